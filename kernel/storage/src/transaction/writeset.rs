//! A transaction's own writes in memory, before anyone else can see them.
//!
//! Each key keeps the writes made to it, newest first, with the transaction's sequence number of
//! each. A read view of the transaction remembers the number at its creation and sees nothing newer,
//! so a statement never meets rows it wrote itself; a savepoint is a number to fall back to. When no
//! view or savepoint lies between two writes of a key the newer one replaces the older.
//!
//! Sequence numbers only grow: rolling back to a savepoint drops newer writes but does not reuse
//! their numbers, so a view from before the rollback stays right.

use std::collections::BTreeMap;
use std::ops::{Bound, ControlFlow};

use crate::error::Result;
use crate::memtable::is_empty_range;

/// What a write does. Row writes tell the row count; all but `Delete` and `Remove` carry a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum WriteKind {
    /// A row that did not exist.
    Insert = 1,
    /// A new version of a row.
    Update = 2,
    Delete = 3,
    /// A key of a sorted collection.
    Put = 4,
    Remove = 5,
}

impl WriteKind {
    pub fn from_byte(byte: u8) -> Option<WriteKind> {
        Some(match byte {
            1 => WriteKind::Insert,
            2 => WriteKind::Update,
            3 => WriteKind::Delete,
            4 => WriteKind::Put,
            5 => WriteKind::Remove,
            _ => return None,
        })
    }

    /// Whether the write leaves a value.
    pub fn is_put(self) -> bool {
        matches!(self, WriteKind::Insert | WriteKind::Update | WriteKind::Put)
    }
}

#[derive(Debug)]
struct Write {
    number: u64,
    kind: WriteKind,
    /// The transaction had not written the key before.
    is_first: bool,
    value: Option<Box<[u8]>>,
    older: Option<Box<Write>>,
}

impl Drop for Write {
    /// A key written often has a long list: take it apart without recursion.
    fn drop(&mut self) {
        let mut next = self.older.take();
        while let Some(mut write) = next {
            next = write.older.take();
        }
    }
}

impl Write {
    fn at(&self, limit: u64) -> Option<&Write> {
        let mut write = Some(self);
        while let Some(w) = write {
            if w.number <= limit {
                return Some(w);
            }
            write = w.older.as_deref();
        }
        None
    }

    fn oldest_kind(&self) -> WriteKind {
        let mut write = self;
        while let Some(older) = &write.older {
            write = older;
        }
        write.kind
    }
}

/// Approximate bytes of a write besides its key and value: its place in a tree whose nodes are half full, as
/// those are that are filled in order, and two allocations.
const WRITE_OVERHEAD_BYTES: usize = 128;

/// See the module's header.
#[derive(Debug, Default)]
pub struct WriteSet {
    map: BTreeMap<Box<[u8]>, Write>,
    /// The newest write's number.
    number: u64,
    /// The newest number that a view or savepoint refers to.
    marked: u64,
    bytes: usize,
}

/// One key's outcome, for the commit.
pub struct FinalWrite {
    pub key: Box<[u8]>,
    pub kind: WriteKind,
    pub value: Option<Box<[u8]>>,
}

impl WriteSet {
    /// One that goes on after `number`.
    pub fn after(number: u64) -> WriteSet {
        WriteSet {
            number,
            marked: number,
            ..WriteSet::default()
        }
    }

    /// The newest write's number.
    pub fn number(&self) -> u64 {
        self.number
    }

    pub fn is_empty(&self) -> bool {
        self.map.is_empty()
    }

    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.map.len()
    }

    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The number up to which a view or savepoint made now sees.
    pub fn mark(&mut self) -> u64 {
        self.marked = self.number;
        self.number
    }

    /// Record a write of a full key. `is_first` says that the transaction certainly did not write it
    /// before.
    pub fn write(
        &mut self,
        key: Box<[u8]>,
        kind: WriteKind,
        value: Option<Box<[u8]>>,
        is_first: bool,
    ) {
        debug_assert_eq!(kind.is_put(), value.is_some());
        self.number += 1;
        self.bytes += WRITE_OVERHEAD_BYTES + key.len() + value.as_ref().map_or(0, |v| v.len());
        let number = self.number;
        match self.map.entry(key) {
            std::collections::btree_map::Entry::Vacant(vacant) => {
                vacant.insert(Write {
                    number,
                    kind,
                    is_first,
                    value,
                    older: None,
                });
            }
            std::collections::btree_map::Entry::Occupied(mut occupied) => {
                let head = occupied.get_mut();
                if head.number > self.marked && head.kind != WriteKind::Insert {
                    let freed = WRITE_OVERHEAD_BYTES + head.value.as_ref().map_or(0, |v| v.len());
                    self.bytes = self.bytes.saturating_sub(freed);
                    *head = Write {
                        number,
                        kind,
                        is_first: head.is_first,
                        value,
                        older: head.older.take(),
                    };
                } else {
                    let newest = Write {
                        number,
                        kind,
                        is_first: head.is_first,
                        value,
                        older: None,
                    };
                    let older = std::mem::replace(head, newest);
                    head.older = Some(Box::new(older));
                }
            }
        }
    }

    /// Forget the writes after `mark`.
    pub fn rollback_to(&mut self, mark: u64) {
        if mark >= self.number {
            return;
        }
        let bytes = &mut self.bytes;
        self.map.retain(|key, head| {
            while head.number > mark {
                let freed = head.value.as_ref().map_or(0, |v| v.len());
                *bytes = bytes.saturating_sub(WRITE_OVERHEAD_BYTES + key.len() + freed);
                match head.older.take() {
                    Some(mut older) => {
                        let older = Write {
                            number: older.number,
                            kind: older.kind,
                            is_first: older.is_first,
                            value: older.value.take(),
                            older: older.older.take(),
                        };
                        *head = older;
                    }
                    None => return false,
                }
            }
            true
        });
    }

    /// The newest write of a key up to `limit`: its number, and its value, or `None` for a delete.
    pub fn get(&self, key: &[u8], limit: u64) -> Option<(u64, Option<&[u8]>)> {
        let write = self.map.get(key)?.at(limit)?;
        Some((write.number, write.value.as_deref()))
    }

    /// Visit all writes by key, those of a key from the newest to the oldest: the key, the number, the
    /// number of the next newer one, the value. What comes before the first of a key is told by
    /// `begin`: whether the transaction may have written it before what is here.
    pub fn visit_all(
        &self,
        mut begin: impl FnMut(&[u8], bool) -> Result<()>,
        mut write: impl FnMut(&[u8], u64, Option<u64>, Option<&[u8]>) -> Result<()>,
    ) -> Result<()> {
        for (key, head) in &self.map {
            begin(key, !head.is_first)?;
            let (mut next, mut newer) = (Some(head), None);
            while let Some(w) = next {
                write(key, w.number, newer, w.value.as_deref())?;
                newer = Some(w.number);
                next = w.older.as_deref();
            }
        }
        Ok(())
    }

    /// Visit the keys within the bounds that have a write up to `limit`, in order.
    pub fn visit(
        &self,
        from: Bound<&[u8]>,
        to: Bound<&[u8]>,
        limit: u64,
        mut visit: impl FnMut(&[u8], Option<&[u8]>) -> ControlFlow<()>,
    ) {
        if is_empty_range(from, to) {
            return;
        }
        for (key, head) in self.map.range::<[u8], _>((from, to)) {
            if let Some(write) = head.at(limit)
                && visit(key, write.value.as_deref()).is_break()
            {
                return;
            }
        }
    }

    /// Take everything out, one outcome per key, in key order. A row that was inserted and deleted
    /// again leaves nothing.
    pub fn drain(&mut self) -> impl Iterator<Item = FinalWrite> + use<> {
        self.bytes = 0;
        std::mem::take(&mut self.map)
            .into_iter()
            .filter_map(|(key, mut head)| {
                let inserted = head.oldest_kind() == WriteKind::Insert;
                let kind = match head.kind {
                    WriteKind::Delete if inserted => return None,
                    WriteKind::Update if inserted => WriteKind::Insert,
                    kind => kind,
                };
                Some(FinalWrite {
                    key,
                    kind,
                    value: head.value.take(),
                })
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(set: &mut WriteSet, key: &str, value: &str) {
        set.write(
            Box::from(key.as_bytes()),
            WriteKind::Put,
            Some(Box::from(value.as_bytes())),
            false,
        );
    }

    #[test]
    fn a_view_sees_what_was_written_before_it() {
        let mut set = WriteSet::default();
        put(&mut set, "a", "1");
        let view = set.mark();
        put(&mut set, "a", "2");
        set.write(Box::from(*b"b"), WriteKind::Remove, None, false);
        assert_eq!(set.get(b"a", view), Some((1, Some(&b"1"[..]))));
        assert_eq!(set.get(b"b", view), None);
        let now = set.mark();
        assert_eq!(set.get(b"a", now), Some((2, Some(&b"2"[..]))));
        assert_eq!(set.get(b"b", now), Some((3, None)));
    }

    #[test]
    fn rolling_back_restores_the_savepoint() {
        let mut set = WriteSet::default();
        put(&mut set, "a", "1");
        let savepoint = set.mark();
        put(&mut set, "a", "2");
        put(&mut set, "a", "3");
        put(&mut set, "b", "4");
        let bytes = set.bytes();
        set.rollback_to(savepoint);
        assert!(set.bytes() < bytes);
        let now = set.mark();
        assert_eq!(set.get(b"a", now), Some((1, Some(&b"1"[..]))));
        assert_eq!(set.get(b"b", now), None);
        assert_eq!(set.len(), 1);
    }

    #[test]
    fn a_row_inserted_and_deleted_leaves_nothing() {
        let mut set = WriteSet::default();
        set.write(
            Box::from(*b"r"),
            WriteKind::Insert,
            Some(Box::from(*b"1")),
            true,
        );
        set.write(
            Box::from(*b"s"),
            WriteKind::Insert,
            Some(Box::from(*b"1")),
            true,
        );
        set.write(Box::from(*b"r"), WriteKind::Delete, None, false);
        set.write(
            Box::from(*b"s"),
            WriteKind::Update,
            Some(Box::from(*b"2")),
            false,
        );
        let finals: Vec<_> = set.drain().map(|w| (w.key, w.kind)).collect();
        assert_eq!(finals, vec![(Box::from(*b"s"), WriteKind::Insert)]);
        assert!(set.is_empty());
    }
}
