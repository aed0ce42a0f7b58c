//! Reading the log back.
//!
//! Batches are read in order from the start of the oldest file. The first one that is not valid ends
//! the log, and the question is why:
//!
//! * If any valid batch of this database further on says that the log was synced past that place,
//!   what stood there was acknowledged: it is **corruption**, reported with file, offset and
//!   expectation. Nothing is changed.
//! * Otherwise it is the **torn tail** of a write that was never acknowledged, and the log goes on
//!   from there in a new epoch.
//!
//! A valid batch has the magic, its own position, the database's id, the checksum, the previous
//! batch's checksum, and an epoch that does not go back. What an earlier epoch left behind the end
//! does not have the right previous checksum, and never claims to be synced past it.

use std::sync::Arc;

use super::batch::{
    ALIGNMENT, BatchHeader, BatchKind, HEADER_BYTES, NotABatch, Place, batch_bytes, parse_header,
    verify,
};
use super::file::WalFile;
use super::record::{self, Logged, Origin};
use crate::error::{Error, Result};
use crate::ids::Lsn;
use crate::manifest::Manifest;
use crate::parse::Parser;

/// Larger payloads of a manifest are nobody's: a file of the log is not longer.
const READ_AHEAD_BYTES: usize = ALIGNMENT as usize;

/// What was read.
pub struct Tail {
    pub database: u64,
    pub epoch: u32,
    /// Where the log ends.
    pub lsn: Lsn,
    pub crc: u32,
    /// Batches that are valid but that nothing proves to be synced: position and bytes.
    pub unproven: Vec<(Lsn, Arc<Vec<u8>>)>,
}

/// Told what the log says, in order.
pub trait Replay {
    /// The state that all before has led to.
    fn manifest(&mut self, manifest: Manifest) -> Result<()>;
    /// A record that begins in file number `file`.
    fn record(&mut self, file: usize, record: Logged) -> Result<()>;
    /// The same, as it is in the log, for those who write it once more.
    fn raw(&mut self, file: usize, record: RawRecord<'_>) -> Result<()> {
        self.record(file, record.parse()?)
    }
    /// What comes next is in this batch, which follows those before.
    fn batch(&mut self, _header: &BatchHeader) -> Result<()> {
        Ok(())
    }
    /// Nothing more has to be read.
    fn is_done(&self) -> bool {
        false
    }
}

/// A record as it is in the log.
pub struct RawRecord<'a> {
    pub bytes: &'a [u8],
    pub origin: &'a Origin,
}

impl RawRecord<'_> {
    pub fn parse(&self) -> Result<Logged> {
        let kind = self.bytes[record::HEADER_BYTES - 1];
        let body = self.bytes[record::HEADER_BYTES..].to_vec();
        record::parse(kind, body, self.origin)
    }
}

/// Reads one batch after the other.
struct Reader<'a> {
    files: &'a [WalFile],
    file: usize,
    lsn: Lsn,
    last: Option<BatchHeader>,
    /// The record that the last batches left unfinished: bytes so far, and the file it began in.
    partial: Vec<u8>,
    partial_file: usize,
    /// Whether a record has begun since the start: before that, the rest of one may come whose
    /// beginning was in a file that is gone.
    begun: bool,
    unproven: Vec<(Lsn, Arc<Vec<u8>>)>,
}

/// Read all of `files`, which are not empty.
pub fn read(files: &[WalFile], replay: &mut impl Replay) -> Result<Tail> {
    let mut reader = Reader::new(files);
    while !replay.is_done()
        && let Some((header, bytes)) = reader.next()?
    {
        reader.deliver(&header, &bytes, replay)?;
    }
    reader
        .tail()
        .ok_or_else(|| Error::internal("a log without a batch"))
}

/// Read `files`, which were read before and end at `end`, once more.
pub fn read_until(files: &[WalFile], end: Lsn, replay: &mut impl Replay) -> Result<()> {
    let mut reader = Reader::new(files);
    while reader.lsn < end
        && let Some((header, bytes)) = reader.next()?
    {
        reader.deliver(&header, &bytes, replay)?;
    }
    reader.ended_at(end)
}

/// Call `visit` with the batches of `files` up to `end`: file number, header, and the whole of it.
pub fn batches(
    files: &[WalFile],
    end: Lsn,
    mut visit: impl FnMut(usize, &BatchHeader, &[u8]) -> Result<()>,
) -> Result<()> {
    let mut reader = Reader::new(files);
    while reader.lsn < end
        && let Some((header, bytes)) = reader.next()?
    {
        visit(reader.file, &header, &bytes)?;
    }
    reader.ended_at(end)
}

/// The same as [`read`] to see what is there: damage goes to `damaged`, and reading goes on behind it, with the
/// next batch that is whole. `None` when there is no such batch at all. Errors are of another kind than
/// damage.
pub fn survey(
    files: &[WalFile],
    replay: &mut impl Replay,
    damaged: &mut impl FnMut(Error),
) -> Result<Option<Tail>> {
    let mut tell = |error| match error {
        Error::Corruption { .. } | Error::UnsupportedVersion { .. } => {
            damaged(error);
            Ok(())
        }
        error => Err(error),
    };
    let mut reader = Reader::new(files);
    loop {
        match reader.next() {
            Ok(None) => return Ok(reader.tail()),
            Ok(Some((header, bytes))) => {
                if let Err(error) = reader.deliver(&header, &bytes, replay) {
                    tell(error)?;
                    reader.forget_partial();
                }
            }
            Err(error) => {
                tell(error)?;
                reader.forget_partial();
                if !reader.skip() {
                    return Ok(reader.tail());
                }
            }
        }
    }
}

impl<'a> Reader<'a> {
    fn new(files: &'a [WalFile]) -> Reader<'a> {
        Reader {
            files,
            file: 0,
            lsn: files.first().map_or(Lsn(0), |file| file.start),
            last: None,
            partial: Vec::new(),
            partial_file: 0,
            begun: false,
            unproven: Vec::new(),
        }
    }

    /// That the log goes as far as is known.
    fn ended_at(&self, end: Lsn) -> Result<()> {
        if self.lsn >= end {
            return Ok(());
        }
        let file = self.files.get(self.file).or(self.files.last());
        let (name, start) = file.map_or(("", Lsn(0)), |file| (&*file.name, file.start));
        let expected = format!("the log up to {end}");
        let found = format!("its end at {}", self.lsn);
        Err(Error::corruption(
            name,
            self.lsn.0.saturating_sub(start.0),
            expected,
            found,
        ))
    }

    fn tail(self) -> Option<Tail> {
        let last = self.last?;
        Some(Tail {
            database: last.database,
            epoch: last.epoch,
            lsn: self.lsn,
            crc: last.crc,
            unproven: self.unproven,
        })
    }

    /// What comes of a record is not the rest of one that was lost.
    fn forget_partial(&mut self) {
        self.partial.clear();
        self.begun = false;
    }

    /// Go to the next batch that is whole, whatever preceded it; false when there is none. One of an
    /// earlier epoch is what stood there before.
    fn skip(&mut self) -> bool {
        while let Some(file) = self.files.get(self.file) {
            while self.lsn < file.end() {
                let offset = self.lsn.0 - file.start.0;
                // What is of another version, or cannot be read, is no batch here.
                if let Ok(Ok((header, _))) = read_batch(file, offset, self.last.as_ref())
                    && self.last.is_none_or(|last| last.epoch <= header.epoch)
                {
                    self.last = Some(BatchHeader {
                        crc: header.previous_crc,
                        ..header
                    });
                    return true;
                }
                self.lsn.0 += ALIGNMENT;
            }
            self.file += 1;
        }
        false
    }
}

impl Reader<'_> {
    /// The next valid batch, `None` at the end of the log.
    fn next(&mut self) -> Result<Option<(BatchHeader, Arc<Vec<u8>>)>> {
        if let Some(file) = self.files.get(self.file)
            && self.lsn >= file.end()
        {
            self.file += 1;
        }
        let Some(file) = self.files.get(self.file) else {
            return Ok(None);
        };
        let offset = self.lsn.0 - file.start.0;
        let why = match read_batch(file, offset, self.last.as_ref())? {
            Ok((header, bytes)) => match self.follows(&header) {
                Ok(()) => {
                    // What this batch says to be synced is proven.
                    let synced = header.synced_through;
                    self.unproven.retain(|(lsn, _)| *lsn >= synced);
                    let bytes = Arc::new(bytes);
                    self.unproven.push((self.lsn, Arc::clone(&bytes)));
                    self.lsn.0 += bytes.len() as u64;
                    self.last = Some(header);
                    return Ok(Some((header, bytes)));
                }
                Err(why) => why,
            },
            Err(why) => why,
        };
        if self.last.is_none() || self.synced_later()? {
            return Err(Error::corruption(
                &file.name,
                offset,
                why.expected,
                why.found,
            ));
        }
        Ok(None)
    }

    /// Whether a batch is the continuation of those before.
    fn follows(&self, header: &BatchHeader) -> std::result::Result<(), NotABatch> {
        let Some(last) = &self.last else {
            return match header.kind {
                BatchKind::Manifest => Ok(()),
                BatchKind::Records => Err(NotABatch::new("a manifest", "records")),
            };
        };
        if header.previous_crc != last.crc {
            let expected = format!("the batch after checksum {:#010x}", last.crc);
            let found = format!("the one after {:#010x}", header.previous_crc);
            return Err(NotABatch::new(expected, found));
        }
        if header.epoch < last.epoch {
            let expected = format!("epoch {} or later", last.epoch);
            return Err(NotABatch::new(expected, header.epoch));
        }
        Ok(())
    }

    /// Whether a batch behind the current position proves that the position had been synced.
    fn synced_later(&self) -> Result<bool> {
        let mut block = vec![0; READ_AHEAD_BYTES];
        for file in &self.files[self.file..] {
            let mut lsn = file.start.0.max(self.lsn.0);
            while lsn < file.end().0 {
                let offset = lsn - file.start.0;
                let n = file
                    .file
                    .read_at(&mut block[..HEADER_BYTES], offset)
                    .map_err(|e| Error::io("read", &file.name, e))?;
                let header = parse_header(&block[..n], place(file, offset, self.last.as_ref()))?;
                let claims =
                    matches!(header, Ok(h) if h.lsn.0 == lsn && h.synced_through > self.lsn);
                if claims && read_batch(file, offset, self.last.as_ref())?.is_ok() {
                    return Ok(true);
                }
                lsn += ALIGNMENT;
            }
        }
        Ok(false)
    }

    /// Hand out the records that end in a batch.
    fn deliver(
        &mut self,
        header: &BatchHeader,
        bytes: &[u8],
        replay: &mut impl Replay,
    ) -> Result<()> {
        replay.batch(header)?;
        let file = &self.files[self.file];
        let offset = header.lsn.0 - file.start.0;
        let payload = &bytes[HEADER_BYTES..HEADER_BYTES + header.payload_bytes as usize];
        if header.kind == BatchKind::Manifest {
            let manifest = Manifest::parse(&mut Parser::new(payload, &file.name, offset))?;
            return replay.manifest(manifest);
        }
        let (continued, begun) = payload.split_at(header.continued as usize);
        if begun.len() == payload.len() {
            // A record cut off by a crash is nobody's.
            self.partial.clear();
        }
        if self.partial.is_empty() {
            if self.begun && !continued.is_empty() {
                let found = format!("{} bytes of an earlier one", continued.len());
                return Err(Error::corruption(
                    &file.name,
                    offset,
                    "a record's beginning",
                    found,
                ));
            }
        } else {
            self.partial.extend_from_slice(continued);
            let mut partial = std::mem::take(&mut self.partial);
            let taken = self.take_records(&partial, offset, replay)?;
            partial.drain(..taken);
            self.partial = partial;
            if !begun.is_empty() && !self.partial.is_empty() {
                let found = format!("{} bytes of an unfinished one", self.partial.len());
                return Err(Error::corruption(
                    &file.name,
                    offset,
                    "a whole record",
                    found,
                ));
            }
        }
        if !begun.is_empty() {
            self.begun = true;
            self.partial_file = self.file;
            let taken = self.take_records(begun, offset, replay)?;
            self.partial = begun[taken..].to_vec();
        }
        Ok(())
    }

    /// Hand out the whole records at the front of `bytes`; how long they are.
    fn take_records(
        &mut self,
        bytes: &[u8],
        offset: u64,
        replay: &mut impl Replay,
    ) -> Result<usize> {
        let mut rest = bytes;
        let origin = Origin {
            file: self.files[self.file].name.clone(),
            offset,
        };
        while rest.len() >= record::HEADER_BYTES {
            let length = u64::from_le_bytes(rest[..8].try_into().expect("eight bytes"));
            let Some(end) = usize::try_from(length).ok().and_then(|length| {
                let end = length.checked_add(record::HEADER_BYTES)?;
                (end <= rest.len()).then_some(end)
            }) else {
                break;
            };
            let raw = RawRecord {
                bytes: &rest[..end],
                origin: &origin,
            };
            replay.raw(self.partial_file, raw)?;
            self.partial_file = self.file;
            rest = &rest[end..];
        }
        Ok(bytes.len() - rest.len())
    }
}

/// Where `offset` of `file` is, in the log whose last batch so far was `last`.
fn place<'a>(file: &'a WalFile, offset: u64, last: Option<&BatchHeader>) -> Place<'a> {
    Place {
        file: &file.name,
        lsn: Lsn(file.start.0 + offset),
        database: last.map(|last| last.database),
    }
}

/// Read and check the batch at `offset` of `file`, but for what precedes it.
fn read_batch(
    file: &WalFile,
    offset: u64,
    last: Option<&BatchHeader>,
) -> Result<std::result::Result<(BatchHeader, Vec<u8>), NotABatch>> {
    let mut bytes = vec![0; READ_AHEAD_BYTES];
    let read = |buf: &mut [u8], at| {
        file.file
            .read_at(buf, at)
            .map_err(|e| Error::io("read", &file.name, e))
    };
    let n = read(&mut bytes, offset)?;
    let header = match parse_header(&bytes[..n], place(file, offset, last))? {
        Ok(header) => header,
        Err(why) => return Ok(Err(why)),
    };
    let lsn = file.start.0 + offset;
    if header.lsn.0 != lsn {
        let expected = format!("the batch of LSN {lsn}");
        return Ok(Err(NotABatch::new(
            expected,
            format!("that of LSN {}", header.lsn),
        )));
    }
    if let Some(last) = last
        && header.database != last.database
    {
        let expected = format!("a batch of database {:#018x}", last.database);
        return Ok(Err(NotABatch::new(
            expected,
            format!("{:#018x}", header.database),
        )));
    }
    let len = batch_bytes(header.payload_bytes as usize);
    if offset + len > file.len {
        let expected = format!("at most {} bytes to the end of the file", file.len - offset);
        return Ok(Err(NotABatch::new(expected, format!("a batch of {len}"))));
    }
    if len as usize > bytes.len() {
        let have = bytes.len();
        bytes.resize(len as usize, 0);
        read(&mut bytes[have..], offset + have as u64)?;
    }
    if let Err(why) = verify(&header, &bytes) {
        return Ok(Err(why));
    }
    Ok(Ok((header, bytes)))
}
