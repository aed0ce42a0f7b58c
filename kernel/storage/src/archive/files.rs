//! The files of an archive.
//!
//! ```text
//! DIR/<database id, 16 hex digits>/
//!   <LSN, 16 hex digits>.wal     a complete file of the log, as it was, all batches of it
//!   <LSN, 16 hex digits>.tail    the first batches of one; only the last may be without its .wal
//!   <number, 16 hex digits>.seg  a segment that a record of the log brought
//!   partial                      being written
//! ```
//!
//! A name appears when its file is synced, by a rename, so whatever has a name is whole.

use std::io::ErrorKind;
use std::sync::Arc;

use super::{another, directory_of, make_directory, uninterrupted};
use crate::backup::copy::{self, sync_dir};
use crate::error::{Error, Result};
use crate::ids::{Lsn, Ts};
use crate::io::{File, Io, OpenMode};
use crate::manifest::SegmentEntry;
use crate::wal::file::{self, WalFile, discard};
use crate::wal::reader;

const WAL: &str = ".wal";
const TAIL: &str = ".tail";
const SEGMENT: &str = ".seg";
const PARTIAL: &str = "partial";

pub fn name_of(start: Lsn) -> String {
    format!("{:016x}{WAL}", start.0)
}

pub fn tail_of(start: Lsn) -> String {
    format!("{:016x}{TAIL}", start.0)
}

fn segment_of(number: u64) -> String {
    format!("{number:016x}{SEGMENT}")
}

/// A database's part of an archive.
pub struct Directory {
    io: Arc<dyn Io>,
    name: String,
}

impl Directory {
    /// To write to; it is made when it is not there.
    pub fn open(io: &Arc<dyn Io>, database: u64) -> Result<Directory> {
        let directory = Directory::existing(io, database);
        match io.list(&directory.name) {
            Ok(_) => {}
            Err(e) if e.kind() == ErrorKind::NotFound => make_directory(&**io, &directory.name)?,
            Err(e) => return Err(Error::io("list", &directory.name, e)),
        }
        Ok(directory)
    }

    /// To read.
    pub fn existing(io: &Arc<dyn Io>, database: u64) -> Directory {
        Directory {
            io: Arc::clone(io),
            name: directory_of(database),
        }
    }

    pub fn path(&self, name: &str) -> String {
        format!("{}/{name}", self.name)
    }

    fn find(&self, name: &str) -> Result<Option<Arc<dyn File>>> {
        let path = self.path(name);
        match self.io.open(&path, OpenMode::Read) {
            Ok(file) => Ok(Some(file)),
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
            Err(e) => Err(Error::io("open", &path, e)),
        }
    }

    /// Archive a complete file, which follows the batch with checksum `follows`; the checksum of its last
    /// batch. What is there under its name must be the same.
    pub fn put_file(&self, file: &WalFile, follows: Option<u32>) -> Result<u32> {
        let name = name_of(file.start);
        let crc = match self.find(&name)? {
            Some(there) => {
                let crc = self.compare(file, file.end(), follows, &*there, &name, file.len)?;
                // It may have got its name in an earlier process that did not live to sync it.
                sync_dir(&*self.io, &self.name)?;
                crc
            }
            None => self.put(file, file.end(), follows, &name)?,
        };
        // The tail has done its duty.
        discard(&*self.io, &self.path(&tail_of(file.start)))?;
        Ok(crc)
    }

    /// Archive a file up to `end`. A tail that is there must be the beginning of it.
    pub fn put_tail(&self, file: &WalFile, end: Lsn, follows: Option<u32>) -> Result<()> {
        let name = tail_of(file.start);
        if let Some(there) = self.find(&name)? {
            let len = there.len();
            let len = len.map_err(|e| Error::io("stat", &self.path(&name), e))?;
            self.compare(file, end, follows, &*there, &name, len)?;
        }
        self.put(file, end, follows, &name).map(drop)
    }

    /// Copy all batches up to `end`, and give the copy its name.
    fn put(&self, file: &WalFile, end: Lsn, follows: Option<u32>, name: &str) -> Result<u32> {
        let partial = self.path(PARTIAL);
        discard(&*self.io, &partial)?;
        let copy = self.io.open(&partial, OpenMode::CreateNew);
        let copy = copy.map_err(|e| Error::io("create", &partial, e))?;
        let crc = each(file, end, follows, |at, batch| {
            let written = copy.write_at(batch, at);
            written.map_err(|e| Error::io("write", &partial, e))
        })?;
        copy.sync_data()
            .map_err(|e| Error::io("sync", &partial, e))?;
        self.give_name(name)?;
        Ok(crc)
    }

    fn give_name(&self, name: &str) -> Result<()> {
        let (partial, path) = (self.path(PARTIAL), self.path(name));
        let renamed = self.io.rename(&partial, &path);
        renamed.map_err(|e| Error::io("rename", &partial, e))?;
        sync_dir(&*self.io, &self.name)
    }

    /// That `there` has `len` bytes, which are the first of `file`.
    fn compare(
        &self,
        file: &WalFile,
        end: Lsn,
        follows: Option<u32>,
        there: &dyn File,
        name: &str,
        len: u64,
    ) -> Result<u32> {
        let path = self.path(name);
        let found = there.len().map_err(|e| Error::io("stat", &path, e))?;
        if found != len || len > end.0 - file.start.0 {
            return Err(another(&path, found.min(len)));
        }
        let mut buf = Vec::new();
        each(file, end, follows, |at, batch| {
            let common = len.saturating_sub(at).min(batch.len() as u64) as usize;
            buf.resize(common, 0);
            let read = there.read_at(&mut buf, at);
            let n = read.map_err(|e| Error::io("read", &path, e))?;
            match n == common && buf == batch[..common] {
                true => Ok(()),
                false => Err(another(&path, at)),
            }
        })
    }

    /// Archive a segment, whose file is `from` in `io`. A link will do: nobody writes to it.
    pub fn put_segment(&self, io: &dyn Io, from: &str, segment: &SegmentEntry) -> Result<()> {
        let name = segment_of(segment.number);
        if let Some(there) = self.find(&name)? {
            let path = self.path(&name);
            let len = there.len().map_err(|e| Error::io("stat", &path, e))?;
            return match len == segment.bytes {
                true => sync_dir(&*self.io, &self.name),
                false => Err(another(&path, len.min(segment.bytes))),
            };
        }
        let partial = self.path(PARTIAL);
        discard(&*self.io, &partial)?;
        copy::bring((io, from), (&*self.io, &partial), &uninterrupted())?;
        self.give_name(&name)
    }

    /// Bring a segment back, as `to` in `io`; false when it is not here.
    pub fn take_segment(&self, segment: &SegmentEntry, io: &dyn Io, to: &str) -> Result<bool> {
        let name = segment_of(segment.number);
        let Some(there) = self.find(&name)? else {
            return Ok(false);
        };
        let path = self.path(&name);
        let len = there.len().map_err(|e| Error::io("stat", &path, e))?;
        if len != segment.bytes {
            let expected = format!("{} bytes", segment.bytes);
            return Err(Error::corruption(&path, 0, expected, len));
        }
        copy::bring((&*self.io, &path), (io, to), &uninterrupted())?;
        Ok(true)
    }

    /// The files from the one on that has `from`, as long as one follows the other; and where the first
    /// gap is, if there is something behind it.
    pub fn log_from(&self, from: Lsn) -> Result<(Vec<WalFile>, Option<Lsn>)> {
        let names = match self.io.list(&self.name) {
            Ok(names) => names,
            Err(e) if e.kind() == ErrorKind::NotFound => Vec::new(),
            Err(e) => return Err(Error::io("list", &self.name, e)),
        };
        let mut found: Vec<(Lsn, bool)> = names.iter().filter_map(|name| parse(name)).collect();
        // Of a start that has both, the complete file.
        found.sort_unstable();
        found.dedup_by_key(|(start, _)| *start);
        let mut files: Vec<WalFile> = Vec::new();
        for (start, is_tail) in found {
            let name = match is_tail {
                true => tail_of(start),
                false => name_of(start),
            };
            let path = self.path(&name);
            let file = self.io.open(&path, OpenMode::Read);
            let file = file.map_err(|e| Error::io("open", &path, e))?;
            let len = file.len().map_err(|e| Error::io("stat", &path, e))?;
            let file = WalFile {
                name: path,
                start,
                len,
                file,
                ts_max: Ts::ZERO,
            };
            match files.last().map(WalFile::end) {
                Some(end) if end != start => return Ok((files, Some(end))),
                None if start > from => return Ok((files, Some(from))),
                None if file.end() <= from && !is_tail => {}
                _ => files.push(file),
            }
        }
        Ok((files, None))
    }
}

/// A name as (start, whether it is a tail).
fn parse(name: &str) -> Option<(Lsn, bool)> {
    match name.strip_suffix(TAIL) {
        Some(digits) => Some((file::parse_name(&format!("{digits}{WAL}"))?, true)),
        None => Some((file::parse_name(name)?, false)),
    }
}

/// Call `visit` with every batch of `file` up to `end` and its offset; the checksum of the last.
fn each(
    file: &WalFile,
    end: Lsn,
    follows: Option<u32>,
    mut visit: impl FnMut(u64, &[u8]) -> Result<()>,
) -> Result<u32> {
    let mut last = None;
    reader::batches(std::slice::from_ref(file), end, |_, header, batch| {
        if let (None, Some(crc)) = (last, follows)
            && header.previous_crc != crc
        {
            let expected = format!("the batch after checksum {crc:#010x}");
            let found = format!("the one after {:#010x}", header.previous_crc);
            return Err(Error::corruption(&file.name, 0, expected, found));
        }
        last = Some(header.crc);
        visit(header.lsn.0 - file.start.0, batch)
    })?;
    last.ok_or_else(|| Error::internal("a file of the log without a batch"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_what_they_are() {
        assert_eq!(parse(&name_of(Lsn(4096))), Some((Lsn(4096), false)));
        assert_eq!(parse(&tail_of(Lsn(4096))), Some((Lsn(4096), true)));
        for other in ["partial", &segment_of(3), "1000.tail", ".wal"] {
            assert_eq!(parse(other), None, "{other}");
        }
    }
}
