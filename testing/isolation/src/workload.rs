//! Random transactions on real threads, as their clients see them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use parking_lot::Mutex;

use crate::check::Level;
use crate::history::{Element, History, Key, Op, Outcome, Txn};

/// What to run.
#[derive(Clone, Copy, Debug)]
pub struct Workload {
    pub level: Level,
    pub seed: u64,
    pub threads: u64,
    pub txns_per_thread: u64,
    pub keys: u64,
    pub ops_max: u64,
}

/// Lists by their keys.
pub type Lists = BTreeMap<Key, Vec<Element>>;

/// Why a transaction has ended before its time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// A conflict with others: it may be tried again.
    Refused,
    /// What no client expects.
    Broken(String),
}

/// A connection to a database of lists.
pub trait Client {
    /// # Errors
    ///
    /// These and all others: [`Failure`].
    fn begin(&mut self, level: Level, read_only: bool) -> Result<(), Failure>;
    fn read(&mut self, key: Key) -> Result<Vec<Element>, Failure>;
    fn read_all(&mut self) -> Result<Lists, Failure>;
    fn append(&mut self, key: Key, element: Element) -> Result<(), Failure>;
    fn commit(&mut self, synchronous: bool) -> Result<(), Failure>;
    fn rollback(&mut self);
}

/// The elements of a list as text, with blanks between.
pub fn elements(text: &str) -> Vec<Element> {
    text.split_whitespace()
        .filter_map(|word| word.parse().ok())
        .collect()
}

/// splitmix64: a sequence that a seed repeats.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % n
    }
}

/// Run it, each thread with a client of its own.
///
/// # Errors
///
/// The first thing that broke.
pub fn run<C: Client>(
    workload: &Workload,
    client: impl Fn() -> C + Sync,
) -> Result<History, String> {
    let (tick, element) = (AtomicU64::new(1), AtomicU64::new(1));
    let txns = Mutex::new(Vec::new());
    let broken = Mutex::new(None);
    thread::scope(|scope| {
        for number in 0..workload.threads {
            let (tick, element, txns, broken, client) = (&tick, &element, &txns, &broken, &client);
            scope.spawn(move || {
                let mut thread = Thread {
                    workload,
                    random: Random(workload.seed.wrapping_mul(1000).wrapping_add(number)),
                    tick,
                    element,
                };
                let mut client = client();
                for _ in 0..workload.txns_per_thread {
                    match thread.transaction(&mut client) {
                        Ok(txn) => txns.lock().push(txn),
                        Err(what) => {
                            broken.lock().get_or_insert(what);
                            return;
                        }
                    }
                }
            });
        }
    });
    match broken.into_inner() {
        Some(what) => Err(what),
        None => Ok(History {
            txns: txns.into_inner(),
        }),
    }
}

struct Thread<'a> {
    workload: &'a Workload,
    random: Random,
    tick: &'a AtomicU64,
    element: &'a AtomicU64,
}

impl Thread<'_> {
    fn tick(&self) -> u64 {
        self.tick.fetch_add(1, Ordering::SeqCst)
    }

    fn transaction(&mut self, client: &mut impl Client) -> Result<Txn, String> {
        let begun = self.tick();
        let mut ops = Vec::new();
        let outcome = match self.attempt(client, &mut ops) {
            Ok(outcome) => outcome,
            Err(Failure::Refused) => {
                client.rollback();
                Outcome::Aborted
            }
            Err(Failure::Broken(what)) => return Err(what),
        };
        Ok(Txn {
            ops,
            outcome,
            begun,
            ended: self.tick(),
        })
    }

    fn attempt(&mut self, client: &mut impl Client, ops: &mut Vec<Op>) -> Result<Outcome, Failure> {
        let read_only = self.random.below(6) == 0;
        client.begin(self.workload.level, read_only)?;
        for _ in 0..=self.random.below(self.workload.ops_max) {
            self.statement(client, read_only, ops)?;
            thread::yield_now();
        }
        if self.random.below(20) == 0 {
            client.rollback();
            return Ok(Outcome::Aborted);
        }
        client.commit(self.random.below(2) == 0)?;
        Ok(Outcome::Committed)
    }

    fn statement(
        &mut self,
        client: &mut impl Client,
        read_only: bool,
        ops: &mut Vec<Op>,
    ) -> Result<(), Failure> {
        let key = self.random.below(self.workload.keys);
        match self.random.below(8) {
            0 => {
                let mut lists = client.read_all()?;
                let keys = 0..self.workload.keys;
                ops.extend(keys.map(|k| Op::Read(k, lists.remove(&k).unwrap_or_default())));
            }
            1..=3 if !read_only => {
                let element = self.element.fetch_add(1, Ordering::SeqCst);
                // Told before it is done: a transaction that fails here has appended it, too.
                ops.push(Op::Append(key, element));
                client.append(key, element)?;
            }
            _ => ops.push(Op::Read(key, client.read(key)?)),
        }
        Ok(())
    }
}
