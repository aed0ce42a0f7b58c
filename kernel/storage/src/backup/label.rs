//! The label of a backup: where in whose log it ends, so that the archive of that log goes on from it.
//!
//! ```text
//! backup_label, 64 bytes
//!  0 magic "HDBlabel"                8 version u32       12 epoch u32
//! 16 source database u64            24 database u64
//! 32 end LSN u64                    40 newest commit u64
//! 48 source crc u32                 52 zero u32          56 zero u32     60 crc32c of bytes 0..60
//! ```
//!
//! `source crc` is the checksum of the source's batch before the end, which the first archived batch
//! behind it names, in `epoch` or a later one. `database` is the id that the backup's own log has: another
//! one than the source's, so that a backup that is opened is a database of its own.

use std::io::ErrorKind;

use crate::error::{Error, Result};
use crate::ids::{Lsn, Ts};
use crate::io::{Io, OpenMode};

pub const FILE: &str = "backup_label";
const MAGIC: [u8; 8] = *b"HDBlabel";
const VERSION: u32 = 1;
const BYTES: usize = 64;

mod field {
    pub const VERSION: usize = 8;
    pub const EPOCH: usize = 12;
    pub const SOURCE: usize = 16;
    pub const DATABASE: usize = 24;
    pub const END: usize = 32;
    pub const TS: usize = 40;
    pub const SOURCE_CRC: usize = 48;
    pub const ZERO: usize = 52;
    pub const CRC: usize = 60;
}

const _: () = {
    assert!(field::VERSION == MAGIC.len());
    assert!(field::SOURCE_CRC + 4 == field::ZERO);
    assert!(field::CRC + 4 == BYTES);
};

/// See the module's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Label {
    pub source: u64,
    pub database: u64,
    pub epoch: u32,
    pub end: Lsn,
    pub ts: Ts,
    pub source_crc: u32,
}

impl Label {
    fn encode(&self) -> [u8; BYTES] {
        let mut bytes = [0; BYTES];
        let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
        put(0, &MAGIC);
        put(field::VERSION, &VERSION.to_le_bytes());
        put(field::EPOCH, &self.epoch.to_le_bytes());
        put(field::SOURCE, &self.source.to_le_bytes());
        put(field::DATABASE, &self.database.to_le_bytes());
        put(field::END, &self.end.0.to_le_bytes());
        put(field::TS, &self.ts.0.to_le_bytes());
        put(field::SOURCE_CRC, &self.source_crc.to_le_bytes());
        let crc = crc32c::crc32c(&bytes[..field::CRC]);
        bytes[field::CRC..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    fn parse(bytes: &[u8]) -> Result<Label> {
        let wrong = |at: usize, expected: &str, found: &dyn std::fmt::Debug| {
            Error::corruption(FILE, at as u64, expected, format!("{found:?}"))
        };
        if bytes.len() != BYTES {
            return Err(wrong(0, "64 bytes", &bytes.len()));
        }
        let u32_at =
            |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"));
        let u64_at =
            |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"));
        if bytes[..MAGIC.len()] != MAGIC {
            return Err(wrong(0, "the magic of a label", &&bytes[..MAGIC.len()]));
        }
        if u32_at(field::VERSION) != VERSION {
            return Err(Error::UnsupportedVersion {
                file: FILE.to_owned(),
                found: u32_at(field::VERSION),
                supported: VERSION,
            });
        }
        let crc = crc32c::crc32c(&bytes[..field::CRC]);
        if crc != u32_at(field::CRC) {
            return Err(wrong(field::CRC, "the checksum of the label", &crc));
        }
        Ok(Label {
            source: u64_at(field::SOURCE),
            database: u64_at(field::DATABASE),
            epoch: u32_at(field::EPOCH),
            end: Lsn(u64_at(field::END)),
            ts: Ts(u64_at(field::TS)),
            source_crc: u32_at(field::SOURCE_CRC),
        })
    }

    /// Write and sync it; its name is as durable as the directory's next sync makes it.
    pub fn write(&self, io: &dyn Io) -> Result<()> {
        let file = io.open(FILE, OpenMode::CreateNew);
        let file = file.map_err(|e| Error::io("create", FILE, e))?;
        let written = file.write_at(&self.encode(), 0);
        written.map_err(|e| Error::io("write", FILE, e))?;
        file.sync_data().map_err(|e| Error::io("sync", FILE, e))
    }

    /// The label in `io`; `None` when there is none.
    pub fn read(io: &dyn Io) -> Result<Option<Label>> {
        let file = match io.open(FILE, OpenMode::Read) {
            Ok(file) => file,
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(Error::io("open", FILE, e)),
        };
        let mut bytes = [0; BYTES + 1];
        let read = file.read_at(&mut bytes, 0);
        let n = read.map_err(|e| Error::io("read", FILE, e))?;
        Label::parse(&bytes[..n]).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_reads_back_and_no_other_byte_does() {
        let label = Label {
            source: 1,
            database: 2,
            epoch: 3,
            end: Lsn(4096),
            ts: Ts(5),
            source_crc: 6,
        };
        let bytes = label.encode();
        assert_eq!(Label::parse(&bytes).unwrap(), label);
        for at in 0..BYTES {
            let mut bad = bytes;
            bad[at] ^= 1;
            assert!(Label::parse(&bad).is_err(), "{at}");
            assert!(Label::parse(&bytes[..at]).is_err(), "{at}");
        }
    }
}
