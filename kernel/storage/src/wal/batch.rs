//! The batch: what one write to the log consists of.
//!
//! ```text
//!  0 ┌───────────────────────────────────────────┬───────────┬───────────┬───────────────────┐
//!    │ magic                                 u64 │ vers. u16 │ kind  u16 │ timeline      u32 │
//! 16 ├───────────────────┬───────────────────────┼───────────┴───────────┴───────────────────┤
//!    │ epoch         u32 │ zero              u32 │ database                              u64 │
//! 32 ├───────────────────┴───────────────────────┼───────────────────────────────────────────┤
//!    │ lsn                                   u64 │ synced_through                        u64 │
//! 48 ├───────────────────┬───────────────────────┼───────────────────────┬───────────────────┤
//!    │ previous_crc  u32 │ record_count      u32 │ continued         u32 │ payload bytes u32 │
//! 64 ├───────────────────┼───────────────────────┴───────────────────────┴───────────────────┤
//!    │ crc           u32 │ payload …                              │ zeros to the next 4 KiB  │
//!    └───────────────────┴───────────────────────────────────────────────────────────────────┘
//! ```
//!
//! The magic is "HELIOWAL". All little-endian. The CRC32C covers the header before it and the payload.
//!
//! * `database` is drawn at random when a database is made, so that a file of another database, or
//!   bytes a user stored, are not taken for a batch of this one.
//! * `lsn` is the batch's own position: batches follow each other without gaps, each starting on a
//!   4 KiB boundary of its file.
//! * The magic, the version, `database` and `lsn` stay where they are in every later version: by them
//!   a batch of a later build is told from bytes that a user stored.
//! * `epoch` grows with every recovery; together with `previous_crc` it keeps what an earlier run
//!   left behind the end of the log from being taken for its continuation.
//! * `synced_through` says that everything before that LSN was synced when this batch was written.
//! * A payload is a piece of the record stream (kind 1) or one whole manifest (kind 0). `continued`
//!   counts the bytes at its start that belong to a record begun earlier, `record_count` the records
//!   that begin in it.

use crate::error::{Error, Result};
use crate::ids::{Lsn, TimelineId};

pub const MAGIC: u64 = u64::from_le_bytes(*b"HELIOWAL");
/// Of batches, and of the records and manifests in them.
pub const VERSION: u16 = 1;
/// What batches began with before version 1, whose numbers went up to 4.
const DRAFT_MAGIC: u64 = u64::from_le_bytes(*b"HDBwal\x1a\x93");
/// What a draft is called in an error.
const DRAFT: u32 = 0;
/// Batches start on multiples of this, so that no block is written twice.
pub const ALIGNMENT: u64 = 4096;
pub const HEADER_BYTES: usize = 68;
/// A larger piece of the record stream goes into several batches.
pub const BATCH_BYTES_MAX: usize = 1 << 20;

mod field {
    pub const MAGIC: usize = 0;
    pub const VERSION: usize = 8;
    pub const KIND: usize = 10;
    pub const TIMELINE: usize = 12;
    pub const EPOCH: usize = 16;
    pub const RESERVED: usize = 20;
    pub const DATABASE: usize = 24;
    pub const LSN: usize = 32;
    pub const SYNCED_THROUGH: usize = 40;
    pub const PREVIOUS_CRC: usize = 48;
    pub const RECORD_COUNT: usize = 52;
    pub const CONTINUED: usize = 56;
    pub const PAYLOAD_BYTES: usize = 60;
    pub const CRC: usize = 64;
}

const _: () = {
    assert!(field::CRC + 4 == HEADER_BYTES);
    assert!(field::RESERVED + 4 == field::DATABASE);
    assert!((HEADER_BYTES as u64) < ALIGNMENT);
    assert!((BATCH_BYTES_MAX as u64).is_multiple_of(ALIGNMENT));
};

/// What a batch carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BatchKind {
    Manifest,
    Records,
}

/// A batch's header, but for what follows from where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchHeader {
    pub kind: BatchKind,
    pub timeline: TimelineId,
    pub epoch: u32,
    pub database: u64,
    pub lsn: Lsn,
    pub synced_through: Lsn,
    pub previous_crc: u32,
    pub record_count: u32,
    pub continued: u32,
    pub payload_bytes: u32,
    pub crc: u32,
}

/// Bytes a batch with such a payload takes in the log.
pub fn batch_bytes(payload: usize) -> u64 {
    ((HEADER_BYTES + payload) as u64).next_multiple_of(ALIGNMENT)
}

/// Fill in the header at the front of `buf`, whose rest is the payload, and pad to the alignment.
/// The checksum, for the next batch's `previous_crc`.
pub fn seal(header: &BatchHeader, buf: &mut Vec<u8>) -> u32 {
    let kind: u16 = match header.kind {
        BatchKind::Manifest => 0,
        BatchKind::Records => 1,
    };
    let mut put = |at: usize, bytes: &[u8]| buf[at..at + bytes.len()].copy_from_slice(bytes);
    put(field::MAGIC, &MAGIC.to_le_bytes());
    put(field::VERSION, &VERSION.to_le_bytes());
    put(field::KIND, &kind.to_le_bytes());
    put(field::TIMELINE, &header.timeline.0.to_le_bytes());
    put(field::EPOCH, &header.epoch.to_le_bytes());
    put(field::RESERVED, &[0; 4]);
    put(field::DATABASE, &header.database.to_le_bytes());
    put(field::LSN, &header.lsn.0.to_le_bytes());
    put(
        field::SYNCED_THROUGH,
        &header.synced_through.0.to_le_bytes(),
    );
    put(field::PREVIOUS_CRC, &header.previous_crc.to_le_bytes());
    put(field::RECORD_COUNT, &header.record_count.to_le_bytes());
    put(field::CONTINUED, &header.continued.to_le_bytes());
    put(field::PAYLOAD_BYTES, &header.payload_bytes.to_le_bytes());
    let crc = checksum(&buf[..field::CRC], &buf[HEADER_BYTES..]);
    buf[field::CRC..HEADER_BYTES].copy_from_slice(&crc.to_le_bytes());
    buf.resize(batch_bytes(buf.len() - HEADER_BYTES) as usize, 0);
    crc
}

fn checksum(header: &[u8], payload: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(header), payload)
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

/// Why bytes are not a batch: what was expected and what was found.
#[derive(Clone, Debug)]
pub struct NotABatch {
    pub expected: String,
    pub found: String,
}

impl NotABatch {
    pub fn new(expected: impl std::fmt::Display, found: impl std::fmt::Display) -> NotABatch {
        NotABatch {
            expected: expected.to_string(),
            found: found.to_string(),
        }
    }
}

/// Where bytes are that may be a batch.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    pub file: &'a str,
    pub lsn: Lsn,
    /// Whose log it is, once its first batch has been read.
    pub database: Option<u64>,
}

impl Place<'_> {
    /// Whether bytes with the magic are a batch of this place, of whatever version. The front of a log
    /// is one; behind it may lie bytes that a user stored, which do not know the database's number.
    fn is_of(&self, bytes: &[u8]) -> bool {
        self.database.is_none_or(|database| {
            u64_at(bytes, field::DATABASE) == database && u64_at(bytes, field::LSN) == self.lsn.0
        })
    }
}

/// Read the header at the front of `bytes`, which are at `place`. The outer error is a version that
/// this build does not know, which is never taken for the end of the log.
pub fn parse_header(
    bytes: &[u8],
    place: Place<'_>,
) -> Result<std::result::Result<BatchHeader, NotABatch>> {
    if bytes.len() < HEADER_BYTES {
        return Ok(Err(NotABatch::new(
            format!("a batch header of {HEADER_BYTES} bytes"),
            format!("{} bytes", bytes.len()),
        )));
    }
    let unsupported = |found: u32| Error::UnsupportedVersion {
        file: place.file.to_owned(),
        found,
        supported: VERSION.into(),
    };
    let magic = u64_at(bytes, field::MAGIC);
    if magic == DRAFT_MAGIC && place.database.is_none() {
        return Err(unsupported(DRAFT));
    }
    if magic != MAGIC {
        let expected = format!("batch magic {MAGIC:#018x}");
        return Ok(Err(NotABatch::new(expected, format!("{magic:#018x}"))));
    }
    let version = u16::from_le_bytes([bytes[field::VERSION], bytes[field::VERSION + 1]]);
    if version != VERSION {
        if place.is_of(bytes) {
            return Err(unsupported(version.into()));
        }
        let expected = format!("a batch of version {VERSION}");
        return Ok(Err(NotABatch::new(expected, version)));
    }
    let kind = match u16::from_le_bytes([bytes[field::KIND], bytes[field::KIND + 1]]) {
        0 => BatchKind::Manifest,
        1 => BatchKind::Records,
        other => return Ok(Err(NotABatch::new("batch kind 0 or 1", other))),
    };
    let timeline = TimelineId(u32_at(bytes, field::TIMELINE));
    if timeline != TimelineId::MAIN {
        return Ok(Err(NotABatch::new("the log's timeline", timeline)));
    }
    Ok(Ok(BatchHeader {
        kind,
        timeline,
        epoch: u32_at(bytes, field::EPOCH),
        database: u64_at(bytes, field::DATABASE),
        lsn: Lsn(u64_at(bytes, field::LSN)),
        synced_through: Lsn(u64_at(bytes, field::SYNCED_THROUGH)),
        previous_crc: u32_at(bytes, field::PREVIOUS_CRC),
        record_count: u32_at(bytes, field::RECORD_COUNT),
        continued: u32_at(bytes, field::CONTINUED),
        payload_bytes: u32_at(bytes, field::PAYLOAD_BYTES),
        crc: u32_at(bytes, field::CRC),
    }))
}

/// Check the whole batch in `bytes` (header and payload) against its checksum.
pub fn verify(header: &BatchHeader, bytes: &[u8]) -> std::result::Result<(), NotABatch> {
    let end = HEADER_BYTES + header.payload_bytes as usize;
    if bytes.len() < end {
        let expected = format!("a batch of {end} bytes");
        return Err(NotABatch::new(expected, format!("{} bytes", bytes.len())));
    }
    let crc = checksum(&bytes[..field::CRC], &bytes[HEADER_BYTES..end]);
    if crc != header.crc {
        let expected = format!("checksum {:#010x}", header.crc);
        return Err(NotABatch::new(expected, format!("{crc:#010x}")));
    }
    if header.continued > header.payload_bytes {
        let expected = format!("at most {} continued bytes", header.payload_bytes);
        return Err(NotABatch::new(expected, header.continued));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: Place<'static> = Place {
        file: "f",
        lsn: Lsn(8192),
        database: Some(77),
    };

    fn sealed() -> (BatchHeader, Vec<u8>) {
        let mut header = BatchHeader {
            kind: BatchKind::Records,
            timeline: TimelineId::MAIN,
            epoch: 3,
            database: 77,
            lsn: Lsn(8192),
            synced_through: Lsn(4096),
            previous_crc: 5,
            record_count: 1,
            continued: 2,
            payload_bytes: 5,
            crc: 0,
        };
        let mut buf = vec![0; HEADER_BYTES];
        buf.extend_from_slice(b"hello");
        header.crc = seal(&header, &mut buf);
        (header, buf)
    }

    #[test]
    fn a_sealed_batch_reads_back() {
        let (header, buf) = sealed();
        assert_eq!(buf.len() as u64, ALIGNMENT);
        let parsed = parse_header(&buf, PLACE).unwrap().unwrap();
        assert_eq!(parsed, header);
        verify(&parsed, &buf).unwrap();
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        let (header, buf) = sealed();
        for bit in 0..(HEADER_BYTES + 5) * 8 {
            let mut bad = buf.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            let ok = match parse_header(&bad, PLACE) {
                Ok(Ok(parsed)) => verify(&parsed, &bad).is_ok() && parsed == header,
                _ => false,
            };
            assert!(!ok, "bit {bit}");
        }
    }

    #[test]
    fn a_later_version_is_told_where_it_is_a_batch_and_not_what_a_user_stored() {
        let (_, mut buf) = sealed();
        buf[field::VERSION] = 2;
        let unsupported = |place| {
            matches!(
                parse_header(&buf, place),
                Err(Error::UnsupportedVersion { found: 2, .. })
            )
        };
        let place = |lsn, database| Place {
            lsn: Lsn(lsn),
            database,
            ..PLACE
        };
        assert!(unsupported(PLACE));
        assert!(unsupported(place(4096, None)), "the front of a log");
        for elsewhere in [place(12288, Some(77)), place(8192, Some(78))] {
            assert!(parse_header(&buf, elsewhere).unwrap().is_err());
        }
        // A draft's batches are told at the front only: no log goes over into a draft.
        buf[..8].copy_from_slice(&DRAFT_MAGIC.to_le_bytes());
        assert!(parse_header(&buf, PLACE).unwrap().is_err());
        let front = parse_header(&buf, place(8192, None));
        assert!(matches!(
            front,
            Err(Error::UnsupportedVersion { found: DRAFT, .. })
        ));
    }
}
