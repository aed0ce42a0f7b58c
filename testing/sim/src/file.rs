//! One simulated file: what the process sees, what the platter has, and what is in between.
//!
//! Invariants:
//! 1. `live` is what `read_at` returns: every write in order, synced or not.
//! 2. `Stored::durable` with every op of `Stored::pending` applied in order is `live`, unless a sync
//!    has failed: then a later sync skips the poisoned ops, and `live` may hold bytes that no sync
//!    will ever make durable.
//! 3. An op leaves `pending` only by a sync that succeeds, and a poisoned op (one that was pending
//!    when a sync failed) does not leave at all: asking again proves nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::rng::Rng;

/// What a disk writes whole or not at all.
pub const SECTOR_BYTES: u64 = 512;
/// What the page cache writes back, and the size in which stale content is remembered.
pub const BLOCK_BYTES: u64 = 4096;

#[derive(Clone, Debug)]
enum Change {
    Write { offset: u64, data: Vec<u8> },
    SetLen(u64),
}

/// A change to a file that no successful sync has covered yet.
#[derive(Clone, Debug)]
pub struct PendingOp {
    /// Place in the order of all changes of the disk, names included.
    pub seq: u64,
    change: Change,
}

impl PendingOp {
    fn apply(&self, content: &mut Vec<u8>) {
        match &self.change {
            Change::Write { offset, data } => write_into(content, *offset, data),
            Change::SetLen(len) => content.resize(*len as usize, 0),
        }
    }

    /// What stays in doubt of this op, which no sync has covered, once a later one is durable.
    fn without(&self, later: &PendingOp) -> Vec<PendingOp> {
        let (offset, data, from, over) = match (&self.change, &later.change) {
            (
                Change::Write { offset, data },
                Change::Write {
                    offset: from,
                    data: over,
                },
            ) => (offset, data, from, over),
            (Change::Write { .. }, Change::SetLen(_)) => return vec![self.clone()],
            // A length is written with whatever is written next.
            (Change::SetLen(_), _) => return Vec::new(),
        };
        let end = offset + data.len() as u64;
        let (from, to) = (*from, from + over.len() as u64);
        let part = |start: u64, stop: u64| {
            let data = data.get((start - offset) as usize..(stop.max(start) - offset) as usize)?;
            let change = Change::Write {
                offset: start,
                data: data.to_vec(),
            };
            (!data.is_empty()).then_some(PendingOp {
                seq: self.seq,
                change,
            })
        };
        let front = part(*offset, from.clamp(*offset, end));
        let back = part(to.clamp(*offset, end), end);
        front.into_iter().chain(back).collect()
    }

    /// Sectors of the file this op may alter, given the largest length in play.
    fn sectors(&self, len_max: u64) -> std::ops::Range<u64> {
        match &self.change {
            Change::Write { data, .. } if data.is_empty() => 0..0,
            Change::Write { offset, data } => {
                offset / SECTOR_BYTES..(offset + data.len() as u64).div_ceil(SECTOR_BYTES)
            }
            Change::SetLen(len) => len / SECTOR_BYTES..len_max.div_ceil(SECTOR_BYTES),
        }
    }

    /// File length after this op on a file of length `len`.
    fn len_after(&self, len: u64) -> u64 {
        match &self.change {
            Change::Write { data, .. } if data.is_empty() => len,
            Change::Write { offset, data } => len.max(offset + data.len() as u64),
            Change::SetLen(len) => *len,
        }
    }

    /// The bytes of this op that fall into `sector`, applied to that sector's content.
    fn apply_to_sector(&self, sector: u64, content: &mut [u8]) {
        let start = sector * SECTOR_BYTES;
        match &self.change {
            Change::Write { offset, data } => {
                let from = start.max(*offset);
                let to = (start + SECTOR_BYTES).min(offset + data.len() as u64);
                if from < to {
                    content[(from - start) as usize..(to - start) as usize]
                        .copy_from_slice(&data[(from - offset) as usize..(to - offset) as usize]);
                }
            }
            Change::SetLen(len) => {
                let from = (*len).clamp(start, start + SECTOR_BYTES) - start;
                content[from as usize..].fill(0);
            }
        }
    }
}

/// What a crash can find of a file: cheap to clone, so that every I/O call can leave an image.
#[derive(Clone, Debug, Default)]
pub struct Stored {
    pub durable: Arc<Vec<u8>>,
    pub pending: Vec<Arc<PendingOp>>,
    /// Content a block had before the last sync that changed it: what a lost write leaves behind.
    pub stale: BTreeMap<u64, Arc<[u8]>>,
    /// Ops that were pending when a sync failed, by `seq`.
    poisoned: BTreeSet<u64>,
}

/// An open or openable file.
#[derive(Debug, Default)]
pub struct SimFile {
    pub live: Vec<u8>,
    pub stored: Stored,
}

impl SimFile {
    pub fn from_durable(durable: Arc<Vec<u8>>, stale: BTreeMap<u64, Arc<[u8]>>) -> SimFile {
        let stored = Stored {
            durable: durable.clone(),
            stale,
            ..Stored::default()
        };
        SimFile {
            live: durable.as_ref().clone(),
            stored,
        }
    }

    pub fn write(&mut self, seq: u64, offset: u64, data: &[u8]) {
        self.change(
            seq,
            Change::Write {
                offset,
                data: data.to_vec(),
            },
        );
    }

    pub fn set_len(&mut self, seq: u64, len: u64) {
        self.change(seq, Change::SetLen(len));
    }

    fn change(&mut self, seq: u64, change: Change) {
        let op = PendingOp { seq, change };
        op.apply(&mut self.live);
        self.stored.pending.push(Arc::new(op));
    }

    /// Everything not poisoned becomes durable.
    pub fn sync(&mut self) {
        let stored = &mut self.stored;
        if stored.pending.is_empty() {
            return;
        }
        let before = stored.durable.clone();
        let durable = Arc::make_mut(&mut stored.durable);
        let mut touched = BTreeSet::new();
        let mut kept = Vec::new();
        for op in std::mem::take(&mut stored.pending) {
            if stored.poisoned.contains(&op.seq) {
                kept.push(op);
                continue;
            }
            let len_max = op.len_after(durable.len() as u64).max(durable.len() as u64);
            for sector in op.sectors(len_max) {
                touched.insert(sector * SECTOR_BYTES / BLOCK_BYTES);
            }
            op.apply(durable);
            kept = kept
                .iter()
                .flat_map(|old| old.without(&op))
                .map(Arc::new)
                .collect();
        }
        stored.pending = kept;
        for block in touched {
            let from = (block * BLOCK_BYTES) as usize;
            let mut old = vec![0; BLOCK_BYTES as usize];
            if let Some(rest) = before.get(from..) {
                let n = rest.len().min(old.len());
                old[..n].copy_from_slice(&rest[..n]);
            }
            stored.stale.insert(block, old.into());
        }
    }

    /// A sync failed: what was pending may or may not ever reach the disk.
    pub fn poison(&mut self) {
        self.stored
            .poisoned
            .extend(self.stored.pending.iter().map(|op| op.seq));
    }
}

impl Stored {
    /// Nothing unsynced survives, except what the drive wrote of its own accord: nothing.
    pub fn lost(&self) -> Vec<u8> {
        self.durable.as_ref().clone()
    }

    /// Every op before `cut` survives, the op at `cut` in part, nothing after it.
    pub fn torn(&self, cut: u64, rng: &mut Rng) -> Vec<u8> {
        let mut content = self.durable.as_ref().clone();
        for op in &self.pending {
            if op.seq < cut {
                op.apply(&mut content);
            } else if op.seq == cut {
                if let Change::Write { offset, data } = &op.change {
                    let (from, to) = torn_range(*offset, data.len() as u64, rng);
                    if from < to {
                        write_into(
                            &mut content,
                            offset + from,
                            &data[from as usize..to as usize],
                        );
                    }
                } else if rng.coin() {
                    op.apply(&mut content);
                }
            }
        }
        content
    }

    /// Each sector is as some prefix of the unsynced ops on it left it, each on its own; so is the
    /// length. That is what keeping or losing every sector of every write in any order can leave.
    pub fn reordered(&self, rng: &mut Rng) -> Vec<u8> {
        let mut len_max = self.durable.len() as u64;
        let mut lens = vec![len_max];
        for op in &self.pending {
            let len = op.len_after(lens[lens.len() - 1]);
            lens.push(len);
            len_max = len_max.max(len);
        }
        let mut ops_of: BTreeMap<u64, Vec<&PendingOp>> = BTreeMap::new();
        for op in &self.pending {
            for sector in op.sectors(len_max) {
                ops_of.entry(sector).or_default().push(op);
            }
        }
        let len = if rng.coin() {
            lens[lens.len() - 1]
        } else {
            lens[rng.index(lens.len())]
        };
        // How eager the drive was, so that nearly-all and nearly-nothing both happen often.
        let eagerness = rng.below(5);
        let mut content = self.durable.as_ref().clone();
        content.resize(
            len_max.div_ceil(SECTOR_BYTES) as usize * SECTOR_BYTES as usize,
            0,
        );
        for (sector, ops) in ops_of {
            let at = (sector * SECTOR_BYTES) as usize;
            let kept = match eagerness {
                0 if rng.below(16) > 0 => 0,
                1 if rng.below(16) > 0 => ops.len(),
                _ => rng.index(ops.len() + 1),
            };
            for op in &ops[..kept] {
                op.apply_to_sector(sector, &mut content[at..at + SECTOR_BYTES as usize]);
            }
        }
        content.resize(len as usize, 0);
        content
    }
}

/// The part of a write that a power cut leaves: whole sectors or whole pages, from the front or
/// from the back, perhaps none and perhaps all. Relative to the write's own start.
fn torn_range(offset: u64, len: u64, rng: &mut Rng) -> (u64, u64) {
    let unit = if rng.coin() {
        SECTOR_BYTES
    } else {
        BLOCK_BYTES
    };
    let first = offset / unit;
    let units = (offset + len).div_ceil(unit) - first;
    let cut = first + rng.below(units + 1);
    let at = (cut * unit).clamp(offset, offset + len) - offset;
    if rng.below(4) > 0 { (0, at) } else { (at, len) }
}

fn write_into(content: &mut Vec<u8>, offset: u64, data: &[u8]) {
    if data.is_empty() {
        return;
    }
    let (from, to) = (offset as usize, offset as usize + data.len());
    if content.len() < to {
        content.resize(to, 0);
    }
    content[from..to].copy_from_slice(data);
}
