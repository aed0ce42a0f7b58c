//! What the clients know: which of their transactions were acknowledged.

/// Rows of an ordinary transaction.
pub const PARTS: i64 = 3;
/// Rows of a bulk load.
pub const BULK_PARTS: i64 = 20_000;

/// What became of a transaction, as its client knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Sent; no answer came.
    Unknown,
    Acknowledged,
    /// The server refused it, so it must not be there.
    Refused,
}

/// One client's transactions; the index is the sequence number.
#[derive(Clone, Debug, Default)]
pub struct ClientLedger {
    pub fates: Vec<(Fate, i64)>,
}

impl ClientLedger {
    /// A transaction of `parts` rows is about to be sent: its sequence number.
    pub fn begin(&mut self, parts: i64) -> i64 {
        self.fates.push((Fate::Unknown, parts));
        self.fates.len() as i64 - 1
    }

    pub fn settle(&mut self, sequence: i64, fate: Fate) {
        self.fates[sequence as usize].0 = fate;
    }
}

/// All clients' ledgers.
#[derive(Clone, Debug)]
pub struct Ledger {
    pub clients: Vec<ClientLedger>,
}

impl Ledger {
    pub fn new(clients: u32) -> Ledger {
        Ledger {
            clients: vec![ClientLedger::default(); clients as usize],
        }
    }

    pub fn acknowledged(&self) -> u64 {
        self.clients
            .iter()
            .flat_map(|c| &c.fates)
            .filter(|(fate, _)| *fate == Fate::Acknowledged)
            .count() as u64
    }
}
