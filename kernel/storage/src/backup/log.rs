//! The log of a backup: the source's up to a point, as another database's.

use std::sync::Arc;

use super::{Point, copy};
use crate::check::ReadOnly;
use crate::error::{Error, Result};
use crate::interrupt::Interrupt;
use crate::io::{Io, OpenMode};
use crate::recovery::Replayed;
use crate::wal::batch::{BatchHeader, HEADER_BYTES, seal};
use crate::wal::file;
use crate::wal::reader;

/// Read the log of a database that nobody has open, as recovery would.
pub fn read_point(io: &Arc<dyn Io>) -> Result<Point> {
    let files = file::open_all(&*ReadOnly::over(Arc::clone(io)))?;
    if files.is_empty() {
        let reason = "it has no write-ahead log".to_owned();
        return Err(Error::NotADatabase { reason });
    }
    let mut replayed = Replayed::new(files.len());
    let tail = reader::read(&files, &mut replayed)?;
    Ok(Point {
        database: tail.database,
        epoch: tail.epoch,
        end: tail.lsn,
        crc: tail.crc,
        manifest: replayed.manifest,
        files: files
            .into_iter()
            .filter(|file| file.start < tail.lsn)
            .collect(),
    })
}

/// Write the log up to `point` into `target`, for `database`; the bytes of it.
pub fn bring(point: &Point, target: &dyn Io, database: u64, interrupt: &Interrupt) -> Result<u64> {
    let mut bytes = 0;
    let mut previous_crc = None;
    let mut current = None;
    let mut buf = Vec::new();
    reader::batches(&point.files, point.end, |n, header, batch| {
        interrupt.check()?;
        let (name, start) = (&point.files[n].name, point.files[n].start);
        let file = match &current {
            Some((known, file)) if *known == n => Arc::clone(file),
            _ => {
                sync(current.take(), point)?;
                let file = target.open(name, OpenMode::CreateNew);
                let file = file.map_err(|e| Error::io("create", name, e))?;
                current = Some((n, Arc::clone(&file)));
                file
            }
        };
        let header = BatchHeader {
            database,
            previous_crc: previous_crc.unwrap_or(header.previous_crc),
            ..*header
        };
        buf.clear();
        buf.extend_from_slice(&batch[..HEADER_BYTES + header.payload_bytes as usize]);
        previous_crc = Some(seal(&header, &mut buf));
        let written = file.write_at(&buf, header.lsn.0 - start.0);
        written.map_err(|e| Error::io("write", name, e))?;
        bytes += buf.len() as u64;
        Ok(())
    })?;
    sync(current, point)?;
    copy::sync_dir(target, file::DIRECTORY)?;
    Ok(bytes)
}

fn sync(written: Option<(usize, Arc<dyn crate::io::File>)>, point: &Point) -> Result<()> {
    match written {
        None => Ok(()),
        Some((n, file)) => file
            .sync_data()
            .map_err(|e| Error::io("sync", &point.files[n].name, e)),
    }
}
