//! Sorted runs of index entries in files that nobody needs after a crash.
//!
//! ```text
//! run     block …
//! block   payload bytes u32 │ crc32c u32 of the payload │ payload: records, none of them cut
//! record  key bytes u16 │ end u64 │ begin u64 │ row u64 │ key          little-endian
//! ```
//!
//! They are in a directory of their own, are never synced, and go when they were read or dropped; what
//! a crash leaves there goes with the next open.

use std::io::ErrorKind;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::io::{File, Io, OpenMode};

/// The directory of runs.
const DIRECTORY: &str = "load";
const EXTENSION: &str = ".run";

const BLOCK_HEADER_BYTES: usize = 8;
/// Bytes of a record besides its key.
pub const RECORD_HEADER_BYTES: usize = 2 + 8 + 8 + 8;

/// An index entry's claim to a key: row `row` has it from `begin` to `end`, or still (`u64::MAX`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Claim {
    pub key: Vec<u8>,
    pub begin: u64,
    pub end: u64,
    pub row: u64,
}

impl Claim {
    /// By key, and of one key the one that ends last first.
    pub fn order(&self) -> (&[u8], std::cmp::Reverse<(u64, u64)>, u64) {
        (
            &self.key,
            std::cmp::Reverse((self.end, self.begin)),
            self.row,
        )
    }
}

/// Append a record.
pub fn write_record(key: &[u8], begin: u64, end: u64, row: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(&(key.len() as u16).to_le_bytes());
    for number in [end, begin, row] {
        out.extend_from_slice(&number.to_le_bytes());
    }
    out.extend_from_slice(key);
}

/// A record in memory that [`write_record`] wrote.
#[derive(Clone, Copy)]
pub struct RecordRef<'a>(&'a [u8]);

impl<'a> RecordRef<'a> {
    /// The first record of `bytes`; `None` when it is cut.
    pub fn first(bytes: &'a [u8]) -> Option<RecordRef<'a>> {
        let len = u16::from_le_bytes(*bytes.first_chunk()?);
        let record = bytes.get(..RECORD_HEADER_BYTES + usize::from(len))?;
        Some(RecordRef(record))
    }

    pub fn bytes(self) -> &'a [u8] {
        self.0
    }

    pub fn key(self) -> &'a [u8] {
        &self.0[RECORD_HEADER_BYTES..]
    }

    fn number(self, place: usize) -> u64 {
        let at = 2 + place * 8;
        let bytes = self.0[at..].first_chunk().expect("a record has its header");
        u64::from_le_bytes(*bytes)
    }

    /// See [`Claim::order`].
    pub fn order(self) -> (&'a [u8], std::cmp::Reverse<(u64, u64)>, u64) {
        let (end, begin, row) = (self.number(0), self.number(1), self.number(2));
        (self.key(), std::cmp::Reverse((end, begin)), row)
    }

    pub fn read(self, claim: &mut Claim) {
        claim.key.clear();
        claim.key.extend_from_slice(self.key());
        claim.end = self.number(0);
        claim.begin = self.number(1);
        claim.row = self.number(2);
    }
}

/// Remove what an earlier process left.
pub fn discard_runs(io: &dyn Io) -> Result<()> {
    let names = match io.list(DIRECTORY) {
        Ok(names) => names,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(Error::io("list", DIRECTORY, e)),
    };
    for name in names.iter().filter(|name| name.ends_with(EXTENSION)) {
        let name = format!("{DIRECTORY}/{name}");
        io.remove(&name)
            .map_err(|e| Error::io("remove", &name, e))?;
    }
    Ok(())
}

/// A run's file; goes when this does.
pub struct Run {
    io: Arc<dyn Io>,
    file: Arc<dyn File>,
    name: String,
    bytes: u64,
}

impl Drop for Run {
    fn drop(&mut self) {
        // As far as it goes: whoever comes later removes what is left.
        let _ = self.io.remove(&self.name);
    }
}

/// Writes a run.
pub struct RunWriter {
    run: Run,
    block: Vec<u8>,
    block_bytes: usize,
}

impl RunWriter {
    /// Make run `number`, of blocks of about `block_bytes`.
    pub fn create(io: &Arc<dyn Io>, number: u64, block_bytes: usize) -> Result<RunWriter> {
        match io.create_dir(DIRECTORY) {
            Ok(()) => {}
            Err(e) if e.kind() == ErrorKind::AlreadyExists => {}
            Err(e) => return Err(Error::io("create", DIRECTORY, e)),
        }
        let name = format!("{DIRECTORY}/{number:08x}{EXTENSION}");
        let file = io
            .open(&name, OpenMode::CreateNew)
            .map_err(|e| Error::io("create", &name, e))?;
        let run = Run {
            io: Arc::clone(io),
            file,
            name,
            bytes: 0,
        };
        Ok(RunWriter {
            run,
            block: vec![0; BLOCK_HEADER_BYTES],
            block_bytes,
        })
    }

    /// Append a record as [`write_record`] wrote it.
    pub fn push(&mut self, record: &[u8]) -> Result<()> {
        self.block.extend_from_slice(record);
        match self.block.len() >= self.block_bytes {
            true => self.write(),
            false => Ok(()),
        }
    }

    fn write(&mut self) -> Result<()> {
        let payload = &self.block[BLOCK_HEADER_BYTES..];
        let header = [payload.len() as u32, crc32c::crc32c(payload)];
        for (place, number) in self.block.chunks_exact_mut(4).zip(header) {
            place.copy_from_slice(&number.to_le_bytes());
        }
        let Run {
            file, name, bytes, ..
        } = &mut self.run;
        file.write_at(&self.block, *bytes)
            .map_err(|e| Error::io("write", name, e))?;
        *bytes += self.block.len() as u64;
        self.block.truncate(BLOCK_HEADER_BYTES);
        Ok(())
    }

    pub fn finish(mut self) -> Result<Run> {
        if self.block.len() > BLOCK_HEADER_BYTES {
            self.write()?;
        }
        Ok(self.run)
    }
}

/// Reads a run, a block at a time.
pub struct RunReader {
    run: Run,
    /// Of the next block.
    offset: u64,
    block: Vec<u8>,
    at: usize,
}

impl RunReader {
    pub fn new(run: Run) -> RunReader {
        RunReader {
            run,
            offset: 0,
            block: Vec::new(),
            at: 0,
        }
    }

    /// The next record; false at the end.
    pub fn read(&mut self, claim: &mut Claim) -> Result<bool> {
        if self.at == self.block.len() && !self.next_block()? {
            return Ok(false);
        }
        let Some(record) = RecordRef::first(&self.block[self.at..]) else {
            return Err(self.damaged("a whole record", "a part of one"));
        };
        record.read(claim);
        self.at += record.bytes().len();
        Ok(true)
    }

    fn next_block(&mut self) -> Result<bool> {
        if self.offset == self.run.bytes {
            return Ok(false);
        }
        let mut header = [0; BLOCK_HEADER_BYTES];
        self.read_exact(&mut header)?;
        let [len, crc] = [0, 4].map(|at| {
            let bytes = header[at..].first_chunk().expect("two numbers of 4 bytes");
            u32::from_le_bytes(*bytes)
        });
        if u64::from(len) > self.run.bytes - self.offset {
            return Err(self.damaged("a block inside its file", len));
        }
        let mut block = std::mem::take(&mut self.block);
        block.resize(len as usize, 0);
        self.read_exact(&mut block)?;
        let found = crc32c::crc32c(&block);
        if found != crc {
            return Err(self.damaged(format!("checksum {crc:08x}"), format!("{found:08x}")));
        }
        self.block = block;
        self.at = 0;
        Ok(true)
    }

    fn read_exact(&mut self, buf: &mut [u8]) -> Result<()> {
        let Run { file, name, .. } = &self.run;
        let read = file
            .read_at(buf, self.offset)
            .map_err(|e| Error::io("read", name, e))?;
        if read != buf.len() {
            return Err(self.damaged(format!("{} bytes", buf.len()), read));
        }
        self.offset += read as u64;
        Ok(())
    }

    fn damaged(&self, expected: impl std::fmt::Display, found: impl std::fmt::Display) -> Error {
        Error::corruption(&self.run.name, self.offset, expected, found)
    }
}
