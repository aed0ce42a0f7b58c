//! Blobs as entries of a store: what a host does behind `blob/1`.
//!
//! The format is drawn in the module above. Invariants:
//! 1. A blob has a head from its first piece on; pieces are full but for the last.
//! 2. A finished blob is never written, only removed.

use std::ops::{Bound, Range};

use super::BlobId;
use crate::error::{state, Error, Result};

/// Bytes of a full piece.
pub const PIECE_BYTES: usize = 32 << 10;
/// What keys of pieces begin with.
pub const PREFIX: u8 = 0xFF;
/// Bytes of a piece's key.
pub const KEY_BYTES: usize = 21;
/// The version of the head.
const VERSION: u8 = 1;
const HEAD_BYTES: usize = 10;
/// Pieces that are removed at once.
const REMOVED_AT_ONCE: usize = 256;

const _: () = assert!(KEY_BYTES == 1 + 8 + 8 + 4);
const _: () = assert!(HEAD_BYTES == 1 + 1 + 8);

/// The entries of the store that blobs lie in.
pub trait Entries {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>>;
    fn put(&self, key: &[u8], value: &[u8]) -> Result<()>;
    fn remove(&self, key: &[u8]) -> Result<()>;
    /// At most `limit` keys, in order.
    fn keys(&self, from: Bound<&[u8]>, to: Bound<&[u8]>, limit: usize) -> Result<Vec<Vec<u8>>>;
}

/// The key of a piece.
pub fn key(id: BlobId, piece: u32) -> [u8; KEY_BYTES] {
    let mut key = [PREFIX; KEY_BYTES];
    key[1..9].copy_from_slice(&id.owner.to_be_bytes());
    key[9..17].copy_from_slice(&id.blob.to_be_bytes());
    key[17..].copy_from_slice(&piece.to_be_bytes());
    key
}

struct Head {
    finished: bool,
    length: u64,
}

impl Head {
    fn encode(&self) -> [u8; HEAD_BYTES] {
        let mut head = [VERSION; HEAD_BYTES];
        head[1] = self.finished.into();
        head[2..].copy_from_slice(&self.length.to_le_bytes());
        head
    }

    fn decode(bytes: &[u8]) -> Result<Head> {
        let (finished, length) = match bytes {
            [VERSION, finished @ (0 | 1), length @ ..] => (*finished == 1, length),
            _ => return damaged("its head"),
        };
        match length.try_into() {
            Ok(length) => Ok(Head {
                finished,
                length: u64::from_le_bytes(length),
            }),
            Err(_) => damaged("its head"),
        }
    }

    fn read(entries: &dyn Entries, id: BlobId) -> Result<Option<Head>> {
        let head = entries.get(&key(id, 0))?;
        head.map(|head| Head::decode(&head)).transpose()
    }

    /// Of one that may be written to.
    fn open(entries: &dyn Entries, id: BlobId) -> Result<Head> {
        match Head::read(entries, id)? {
            Some(head) if head.finished => Err(Error::new(
                state::OBJECT_NOT_IN_PREREQUISITE_STATE,
                format!("{id} is finished"),
            )),
            Some(head) => Ok(head),
            None => Ok(Head {
                finished: false,
                length: 0,
            }),
        }
    }

    fn write(&self, entries: &dyn Entries, id: BlobId) -> Result<()> {
        entries.put(&key(id, 0), &self.encode())
    }
}

impl std::fmt::Display for BlobId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "blob {}.{}", self.owner, self.blob)
    }
}

fn damaged<T>(what: &str) -> Result<T> {
    Err(Error::new(
        state::DATA_CORRUPTED,
        format!("a blob is damaged: {what}"),
    ))
}

/// The piece that a byte lies in.
fn piece_of(at: u64) -> Result<u32> {
    u32::try_from(at / PIECE_BYTES as u64)
        .ok()
        .and_then(|piece| piece.checked_add(1))
        .ok_or_else(|| {
            Error::new(
                state::PROGRAM_LIMIT_EXCEEDED,
                "a blob cannot have more pieces",
            )
        })
}

/// A piece as it has to be: so long, unless it is the last.
fn piece(entries: &dyn Entries, id: BlobId, number: u32, bytes: usize) -> Result<Vec<u8>> {
    match entries.get(&key(id, number))? {
        Some(piece) if piece.len() == bytes => Ok(piece),
        _ => damaged(&format!("piece {number} of {id}")),
    }
}

pub fn append(entries: &dyn Entries, id: BlobId, mut bytes: &[u8]) -> Result<()> {
    let mut head = Head::open(entries, id)?;
    while !bytes.is_empty() {
        let number = piece_of(head.length)?;
        let filled = (head.length % PIECE_BYTES as u64) as usize;
        let (now, later) = bytes.split_at(bytes.len().min(PIECE_BYTES - filled));
        match filled {
            0 => entries.put(&key(id, number), now)?,
            _ => {
                let mut grown = piece(entries, id, number, filled)?;
                grown.extend_from_slice(now);
                entries.put(&key(id, number), &grown)?;
            }
        }
        head.length += now.len() as u64;
        bytes = later;
    }
    head.write(entries, id)
}

pub fn finish(entries: &dyn Entries, id: BlobId) -> Result<u64> {
    let head = Head {
        finished: true,
        ..Head::open(entries, id)?
    };
    head.write(entries, id)?;
    Ok(head.length)
}

pub fn length(entries: &dyn Entries, id: BlobId) -> Result<Option<u64>> {
    let head = Head::read(entries, id)?.filter(|head| head.finished);
    Ok(head.map(|head| head.length))
}

pub fn read(entries: &dyn Entries, id: BlobId, range: Range<u64>) -> Result<Vec<u8>> {
    let Some(length) = length(entries, id)? else {
        let missing = format!("{id} does not exist");
        return Err(Error::new(state::UNDEFINED_OBJECT, missing));
    };
    if range.start > range.end || range.end > length {
        let (start, end) = (range.start, range.end);
        return Err(Error::new(
            state::INVALID_PARAMETER_VALUE,
            format!("bytes {start} to {end} of {id}, which has {length}"),
        ));
    }
    let (mut found, mut at) = (Vec::new(), range.start);
    while at < range.end {
        let start = at - at % PIECE_BYTES as u64;
        let whole = (length - start).min(PIECE_BYTES as u64);
        let end = range.end.min(start + whole);
        let piece = piece(entries, id, piece_of(at)?, whole as usize)?;
        found.extend_from_slice(&piece[(at - start) as usize..(end - start) as usize]);
        at = end;
    }
    Ok(found)
}

pub fn remove(entries: &dyn Entries, id: BlobId) -> Result<()> {
    remove_range(entries, &key(id, 0), &key(id, u32::MAX))
}

pub fn remove_all(entries: &dyn Entries, owner: u64) -> Result<()> {
    let first = BlobId { owner, blob: 0 };
    let last = BlobId {
        owner,
        blob: u64::MAX,
    };
    remove_range(entries, &key(first, 0), &key(last, u32::MAX))
}

fn remove_range(entries: &dyn Entries, from: &[u8], to: &[u8]) -> Result<()> {
    let mut from = Bound::Included(from.to_vec());
    loop {
        let start = from.as_ref().map(Vec::as_slice);
        let keys = entries.keys(start, Bound::Included(to), REMOVED_AT_ONCE)?;
        for key in &keys {
            entries.remove(key)?;
        }
        match keys.into_iter().next_back() {
            None => return Ok(()),
            Some(last) => from = Bound::Excluded(last),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::collections::BTreeMap;

    use super::*;

    #[derive(Default)]
    struct Map(RefCell<BTreeMap<Vec<u8>, Vec<u8>>>);

    impl Entries for Map {
        fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
            Ok(self.0.borrow().get(key).cloned())
        }

        fn put(&self, key: &[u8], value: &[u8]) -> Result<()> {
            self.0.borrow_mut().insert(key.to_vec(), value.to_vec());
            Ok(())
        }

        fn remove(&self, key: &[u8]) -> Result<()> {
            self.0.borrow_mut().remove(key);
            Ok(())
        }

        fn keys(&self, from: Bound<&[u8]>, to: Bound<&[u8]>, limit: usize) -> Result<Vec<Vec<u8>>> {
            let map = self.0.borrow();
            let keys = map.range::<[u8], _>((from, to)).take(limit);
            Ok(keys.map(|(key, _)| key.clone()).collect())
        }
    }

    fn bytes(length: usize) -> Vec<u8> {
        (0..length).map(|at| (at * 7 + at / 251) as u8).collect()
    }

    #[test]
    fn any_part_of_a_blob_is_read_however_it_was_appended() {
        let whole = bytes(3 * PIECE_BYTES + 17);
        for step in [1000, PIECE_BYTES, PIECE_BYTES + 1, whole.len()] {
            let (map, id) = (Map::default(), BlobId { owner: 1, blob: 2 });
            for part in whole.chunks(step) {
                append(&map, id, part).expect("it is open");
            }
            assert_eq!(length(&map, id), Ok(None), "it is not finished");
            assert_eq!(finish(&map, id), Ok(whole.len() as u64));
            let piece = PIECE_BYTES as u64;
            let end = whole.len() as u64;
            for range in [
                0..0,
                0..end,
                5..9,
                piece - 1..piece + 1,
                piece..2 * piece,
                end..end,
            ] {
                let part = &whole[range.start as usize..range.end as usize];
                assert_eq!(read(&map, id, range).as_deref(), Ok(part), "step {step}");
            }
        }
    }

    #[test]
    fn a_finished_blob_does_not_change_and_goes_with_its_owner() {
        let (map, id) = (Map::default(), BlobId { owner: 1, blob: 2 });
        let state_of = |result: Result<()>| result.map_err(|error| error.sqlstate);
        let other = BlobId { owner: 2, blob: 2 };
        append(&map, id, &bytes(REMOVED_AT_ONCE * 2)).expect("it is open");
        finish(&map, id).expect("it is open");
        finish(&map, other).expect("one that is empty");
        let finished = Err(state::OBJECT_NOT_IN_PREREQUISITE_STATE);
        assert_eq!(state_of(append(&map, id, b"x")), finished);
        assert_eq!(state_of(finish(&map, id).map(drop)), finished);
        let beyond = Err(state::INVALID_PARAMETER_VALUE);
        assert_eq!(state_of(read(&map, other, 0..1).map(drop)), beyond);
        map.put(b"\xfe", b"an entry").expect("it is a map");
        remove_all(&map, 1).expect("it is a map");
        assert_eq!(length(&map, id), Ok(None));
        assert_eq!(length(&map, other), Ok(Some(0)));
        assert_eq!(map.0.borrow().len(), 2);
        let missing = Err(state::UNDEFINED_OBJECT);
        assert_eq!(state_of(read(&map, id, 0..0).map(drop)), missing);
    }

    #[test]
    fn damage_is_an_error() {
        let (map, id) = (Map::default(), BlobId { owner: 1, blob: 2 });
        append(&map, id, &bytes(PIECE_BYTES + 1)).expect("it is open");
        finish(&map, id).expect("it is open");
        let good = map.0.borrow().clone();
        for piece in 0..3 {
            map.put(&key(id, piece), &[9; 3]).expect("it is a map");
            let error = read(&map, id, 0..PIECE_BYTES as u64 + 1).expect_err("it is damaged");
            assert_eq!(error.sqlstate, state::DATA_CORRUPTED);
            *map.0.borrow_mut() = good.clone();
        }
    }
}
