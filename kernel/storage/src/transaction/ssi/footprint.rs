//! What is remembered of a transaction that has ended, and how another one is judged against it.

use super::ranges::{KeyRanges, Limits};
use crate::ids::Ts;
use crate::planted::{self, Bug};

/// A serializable transaction that has committed, or several of them summed up. A sum never hides a
/// conflict of its parts; it may show one that none of them had.
#[derive(Clone, Debug)]
pub struct Footprint {
    /// The earliest commit of those in here that wrote.
    first_commit: Ts,
    /// Who has a snapshot at or past this began when all in here had ended.
    ended: Ts,
    /// A transaction that those in here read around closes a dangerous structure with them only if
    /// *its* outward conflict committed up to here: their commit, or, of those that only read, their
    /// snapshot (Ports and Grittner, theorem 3).
    first_out_max: Ts,
    /// The earliest commit among those that overwrote what those in here had read.
    earliest_out: Option<Ts>,
    reads: KeyRanges,
    writes: KeyRanges,
}

impl Footprint {
    /// Of one transaction that wrote, and committed at `ts`.
    pub fn of_writer(
        ts: Ts,
        earliest_out: Option<Ts>,
        reads: KeyRanges,
        writes: KeyRanges,
    ) -> Self {
        Footprint {
            first_commit: ts,
            ended: ts,
            first_out_max: ts,
            earliest_out,
            reads,
            writes,
        }
    }

    /// Of one that only read at `snapshot`, and ended when `latest` was the newest commit.
    pub fn of_reader(snapshot: Ts, latest: Ts, reads: KeyRanges) -> Self {
        Footprint {
            first_commit: Ts::MAX,
            // Whoever has the same snapshot may have taken it before.
            ended: Ts(latest.0.saturating_add(1)),
            first_out_max: snapshot,
            // Nobody reads what it wrote.
            earliest_out: None,
            reads,
            writes: KeyRanges::default(),
        }
    }

    /// Whether a transaction with this snapshot overlaps.
    pub fn overlaps(&self, snapshot: Ts) -> bool {
        self.ended > snapshot
    }

    /// Approximate memory taken.
    pub fn bytes(&self) -> usize {
        size_of::<Footprint>() + self.reads.bytes() + self.writes.bytes()
    }

    /// Take in a transaction that ended later.
    pub fn absorb(&mut self, later: &Footprint, limits: Limits) {
        self.first_commit = self.first_commit.min(later.first_commit);
        self.ended = self.ended.max(later.ended);
        self.first_out_max = self.first_out_max.max(later.first_out_max);
        self.earliest_out = earliest(self.earliest_out, later.earliest_out);
        self.reads.extend(&later.reads);
        self.writes.extend(&later.writes);
        self.reads.bound(limits);
        self.writes.bound(limits);
    }
}

fn earliest(a: Option<Ts>, b: Option<Ts>) -> Option<Ts> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

/// Which part a transaction would play in a dangerous structure if it committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Danger {
    /// It has conflicts in both directions.
    Pivot,
    /// It has read around a pivot that has committed.
    In,
}

impl Danger {
    /// The reason in PostgreSQL's words.
    pub fn reason(self) -> &'static str {
        match self {
            Danger::Pivot => "Canceled on identification as a pivot, during commit attempt.",
            Danger::In => "Canceled on conflict out to pivot, during commit attempt.",
        }
    }
}

/// A transaction's conflicts with those that committed beside it, as far as they were looked at.
#[derive(Clone, Copy, Debug, Default)]
pub struct Conflicts {
    /// The earliest commit that overwrote what it had read.
    pub earliest_out: Option<Ts>,
    /// Up to when such a commit makes it a pivot: of those that read what it overwrites, the greatest
    /// [`Footprint::first_out_max`].
    first_out_max: Option<Ts>,
    /// Of the pivots that it has read around, the earliest commit that *they* had read around.
    earliest_out_of_out: Option<Ts>,
}

impl Conflicts {
    /// Look at one more that overlaps.
    pub fn add(&mut self, other: &Footprint, reads: &KeyRanges, writes: &KeyRanges) {
        if other.writes.intersects(reads) {
            self.earliest_out = earliest(self.earliest_out, Some(other.first_commit));
            self.earliest_out_of_out = earliest(self.earliest_out_of_out, other.earliest_out);
        }
        if other.reads.intersects(writes) {
            self.first_out_max = self.first_out_max.max(Some(other.first_out_max));
        }
    }

    /// Whether these make a dangerous structure whose last part is this transaction's commit.
    /// `read_only_at` is the snapshot of one that wrote nothing.
    pub fn danger(&self, read_only_at: Option<Ts>) -> Option<Danger> {
        if let (Some(out), Some(max)) = (self.earliest_out, self.first_out_max)
            && (out < max || (out == max && !planted::is(Bug::SsiMissesSkew)))
        {
            return Some(Danger::Pivot);
        }
        match self.earliest_out_of_out {
            Some(out) if read_only_at.is_none_or(|snapshot| out <= snapshot) => Some(Danger::In),
            _ => None,
        }
    }
}
