//! Pages of sorted collections: entries in key order, each key without what it shares with the
//! key before it.
//!
//! ```text
//! entries … │ restarts: position of each restart point u32 … │ count of restart points u32
//!
//! entry   shared varint │ unshared varint │ value length + 1 varint, 0 for a delete │
//!         begin u64 │ end u64 (HIST only) │ the unshared end of the key │ value
//! varint  LEB128 of a u32, at most 5 bytes
//! ```
//!
//! Every 16th entry is a restart point and shares nothing, so a key is found by binary search over
//! restart points and a walk of at most 16 entries (LevelDB's block format).

use std::sync::Arc;

use arrow_buffer::Buffer;

use super::input::{Input, push_varint};
use super::search::KeyHeads;
use crate::datum::{fixed, malformed};
use crate::error::Result;
use crate::ids::Ts;

const RESTART_INTERVAL: u32 = 16;

/// Collects one page.
#[derive(Default)]
pub(super) struct SortedPageBuilder {
    out: Vec<u8>,
    restarts: Vec<u32>,
    first_key: Vec<u8>,
    last_key: Vec<u8>,
    entries: u32,
}

impl SortedPageBuilder {
    pub fn push(&mut self, key: &[u8], begin: Ts, end: Option<Ts>, value: Option<&[u8]>) {
        let shared = if self.entries.is_multiple_of(RESTART_INTERVAL) {
            self.restarts.push(self.out.len() as u32);
            0
        } else {
            key.iter()
                .zip(&self.last_key)
                .take_while(|(a, b)| a == b)
                .count()
        };
        if self.entries == 0 {
            self.first_key = key.to_vec();
        }
        push_varint(shared as u32, &mut self.out);
        push_varint((key.len() - shared) as u32, &mut self.out);
        push_varint(
            value.map_or(0, |value| value.len() as u32 + 1),
            &mut self.out,
        );
        self.out.extend_from_slice(&begin.0.to_le_bytes());
        if let Some(end) = end {
            self.out.extend_from_slice(&end.0.to_le_bytes());
        }
        self.out.extend_from_slice(&key[shared..]);
        self.out.extend_from_slice(value.unwrap_or_default());
        self.last_key.truncate(shared);
        self.last_key.extend_from_slice(&key[shared..]);
        self.entries += 1;
    }

    pub fn bytes(&self) -> usize {
        self.out.len() + self.restarts.len() * 4
    }

    pub fn entries(&self) -> u32 {
        self.entries
    }

    /// Payload and first key; starts over.
    pub fn take(&mut self) -> (Vec<u8>, Vec<u8>) {
        let mut page = std::mem::take(&mut self.out);
        for restart in &self.restarts {
            page.extend_from_slice(&restart.to_le_bytes());
        }
        page.extend_from_slice(&(self.restarts.len() as u32).to_le_bytes());
        self.restarts.clear();
        self.last_key.clear();
        self.entries = 0;
        (page, std::mem::take(&mut self.first_key))
    }
}

/// A page's payload with its frame checked.
pub(super) struct SortedPageData {
    bytes: Buffer,
    entries_end: usize,
    restarts: Vec<u32>,
    /// Of the keys at the restart points.
    heads: KeyHeads,
    hist: bool,
}

/// Begin and value of an entry of HEAD, `None` for a delete.
type Newest<'a> = (Ts, Option<&'a [u8]>);

/// An entry as it lies in its page.
struct RawEntry<'a> {
    /// Bytes of the key before that it begins with.
    shared: usize,
    begin: Ts,
    end: Option<Ts>,
    /// The rest of the key.
    rest: &'a [u8],
    value: Option<&'a [u8]>,
    /// Where the value begins, and where the next entry does.
    value_at: usize,
    next: usize,
}

impl SortedPageData {
    pub fn decode(bytes: Buffer, hist: bool) -> Result<SortedPageData> {
        let short = || malformed("restart points", format!("a page of {} bytes", bytes.len()));
        let count_at = bytes.len().checked_sub(4).ok_or_else(short)?;
        let count = u32::from_le_bytes(fixed(&bytes[count_at..])?) as usize;
        let restarts_bytes = count.checked_mul(4).ok_or_else(short)?;
        let entries_end = count_at.checked_sub(restarts_bytes).ok_or_else(short)?;
        let mut restarts = Vec::with_capacity(count);
        for bytes in bytes[entries_end..count_at].chunks_exact(4) {
            let restart = u32::from_le_bytes(fixed(bytes)?);
            if restart as usize >= entries_end {
                return Err(short());
            }
            restarts.push(restart);
        }
        let mut page = SortedPageData {
            bytes,
            entries_end,
            restarts,
            heads: KeyHeads::default(),
            hist,
        };
        // A restart point without a key is told when it is read.
        let keys = page.restarts.iter();
        let heads = KeyHeads::new(keys.map(|at| page.key_at(*at).unwrap_or_default()));
        page.heads = heads;
        Ok(page)
    }

    pub fn bytes(&self) -> usize {
        self.bytes.capacity() + self.restarts.capacity() * size_of::<u32>() + self.heads.bytes()
    }

    #[inline]
    fn entry(&self, at: usize) -> Result<RawEntry<'_>> {
        let mut input = Input::new(&self.bytes[..self.entries_end], at);
        let shared = input.varint()? as usize;
        let unshared = input.varint()? as usize;
        let length = input.varint()?.checked_sub(1);
        let begin = Ts(input.u64()?);
        // The chain has no gaps: `end` follows from the version before. It is kept for readers that
        // look at a version alone.
        let end = match self.hist {
            true => Some(Ts(input.u64()?)),
            false => None,
        };
        let rest = input.take(unshared)?;
        let value_at = input.position();
        let value = match length {
            None => None,
            Some(length) => Some(input.take(length as usize)?),
        };
        Ok(RawEntry {
            shared,
            begin,
            end,
            rest,
            value,
            value_at,
            next: input.position(),
        })
    }

    /// The key at a restart point.
    fn key_at(&self, restart: u32) -> Result<&[u8]> {
        self.entry(restart as usize).map(|entry| entry.rest)
    }

    /// Begin and value of `key`, of whose entries a page of HEAD has one at most.
    pub fn find(&self, key: &[u8]) -> Result<Option<Newest<'_>>> {
        // A damaged one is told below.
        let is_behind = |restart| self.key_at(self.restarts[restart]).is_ok_and(|at| at > key);
        let Some(restart) = self.heads.split(key, is_behind).checked_sub(1) else {
            return Ok(None);
        };
        let mut at = self.restarts[restart] as usize;
        // What the key has in common with the entry before, which it comes after.
        let mut common = 0;
        for number in 0..RESTART_INTERVAL {
            if at >= self.entries_end {
                break;
            }
            let entry = self.entry(at)?;
            at = entry.next;
            if number == 0 && entry.shared > 0 {
                return Err(malformed("a restart point", entry.shared));
            }
            if entry.shared > common {
                // It differs from the key where the entry before does.
                continue;
            }
            if entry.shared < common {
                return Ok(None);
            }
            let wanted = &key[common..];
            let pairs = entry.rest.iter().zip(wanted);
            let same = pairs.take_while(|(a, b)| a == b).count();
            common += same;
            match (entry.rest.get(same), wanted.get(same)) {
                (None, None) => return Ok(Some((entry.begin, entry.value))),
                (Some(_), None) => return Ok(None),
                (Some(found), Some(wanted)) if found > wanted => return Ok(None),
                (_, Some(_)) => {}
            }
        }
        Ok(None)
    }

    /// Whether entry `number`, which is at `position` of the page, is a restart point where there is to
    /// be one, and shares nothing then.
    pub fn restarts_fit(&self, number: u32, position: usize) -> bool {
        if !number.is_multiple_of(RESTART_INTERVAL) {
            return true;
        }
        let restart = self.restarts.get((number / RESTART_INTERVAL) as usize);
        restart.is_some_and(|at| *at as usize == position) && self.bytes.get(position) == Some(&0)
    }

    /// How many restart points a page of so many entries has.
    pub fn has_restarts_of(&self, entries: u32) -> bool {
        self.restarts.len() == entries.div_ceil(RESTART_INTERVAL) as usize
    }
}

/// Walks the entries of a page.
pub(super) struct PageCursor {
    page: Arc<SortedPageData>,
    next: usize,
    pub key: Vec<u8>,
    pub begin: Ts,
    /// What begins are, whatever the page says.
    stamp: Option<Ts>,
    /// HIST only.
    pub end: Option<Ts>,
    value: Option<(usize, usize)>,
}

impl PageCursor {
    /// Before the first entry.
    pub fn new(page: Arc<SortedPageData>, stamp: Option<Ts>) -> PageCursor {
        PageCursor {
            page,
            next: 0,
            key: Vec::new(),
            begin: Ts::ZERO,
            stamp,
            end: None,
            value: None,
        }
    }

    /// Go before some entry such that all with a key ≥ `key` are still to come, at most a restart
    /// interval too early.
    pub fn seek_near(&mut self, key: &[u8]) {
        let page = &*self.page;
        let is_behind = |restart| {
            page.key_at(page.restarts[restart])
                .is_ok_and(|at| at >= key)
        };
        let before = page.heads.split(key, is_behind);
        self.next = before
            .checked_sub(1)
            .map_or(0, |last| page.restarts[last] as usize);
        self.key.clear();
    }

    /// Go to the next entry; false at the end of the page.
    pub fn advance(&mut self) -> Result<bool> {
        if self.next >= self.page.entries_end {
            return Ok(false);
        }
        let entry = self.page.entry(self.next)?;
        self.begin = self.stamp.unwrap_or(entry.begin);
        self.end = entry.end;
        if entry.shared > self.key.len() {
            return Err(malformed(
                format!("a key of {} bytes before", entry.shared),
                self.key.len(),
            ));
        }
        self.key.truncate(entry.shared);
        self.key.extend_from_slice(entry.rest);
        self.value = entry.value.map(|_| (entry.value_at, entry.next));
        self.next = entry.next;
        Ok(true)
    }

    /// Where in the page the next entry begins.
    pub fn position(&self) -> usize {
        self.next
    }

    /// The value of the current entry, `None` for a delete.
    pub fn value(&self) -> Option<&[u8]> {
        self.value.map(|(start, end)| &self.page.bytes[start..end])
    }
}
