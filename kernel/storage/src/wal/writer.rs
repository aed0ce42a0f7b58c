//! Appending to the log.
//!
//! The writer is used by one thread at a time, the leader of a group commit. It cuts the stream of
//! records into batches, opens each new file with a manifest, and syncs what it wrote. It never
//! writes a block twice, never goes back, and after a failure is not used again.

use std::collections::VecDeque;
use std::sync::Arc;

use super::batch::{
    ALIGNMENT, BATCH_BYTES_MAX, BatchHeader, BatchKind, HEADER_BYTES, batch_bytes, seal,
};
use super::file::{self, Prepared, WalFile};
use super::record::{Effect, Record};
use super::room::file_bytes;
use crate::backup::Point;
use crate::error::{Error, Result};
use crate::ids::{Lsn, TimelineId, Ts};
use crate::io::Io;
use crate::manifest::Manifest;

/// The epoch of a log until its first recovery.
pub const FIRST_EPOCH: u32 = 1;

/// What an effect may add to the manifest besides what its record says.
const EFFECT_BYTES: usize = 64;

/// Where the log stands.
pub struct Position {
    pub database: u64,
    pub epoch: u32,
    /// Where the next batch goes.
    pub lsn: Lsn,
    /// Checksum of the batch before it.
    pub crc: u32,
}

/// See the module's header.
pub struct Writer {
    io: Arc<dyn Io>,
    segment_bytes: u64,
    position: Position,
    synced_through: Lsn,
    /// Oldest first; the last one is written to.
    files: VecDeque<WalFile>,
    /// What all records begun so far have led to.
    manifest: Manifest,
    /// At least as long as the manifest is, encoded.
    manifest_bytes: usize,
    /// Files for later, the next one first.
    prepared: VecDeque<Prepared>,
    /// How many files at the end of the list may have unsynced data.
    unsynced_files: usize,
    buffer: Vec<u8>,
}

impl Writer {
    /// Make the log of a new database: its first file, opened by a manifest, appears at once.
    /// `manifest` is what it starts from.
    pub fn create(
        io: Arc<dyn Io>,
        segment_bytes: u64,
        database: u64,
        manifest: Manifest,
    ) -> Result<Writer> {
        let mut writer = Writer {
            io,
            segment_bytes,
            position: Position {
                database,
                epoch: FIRST_EPOCH,
                lsn: Lsn(0),
                crc: 0,
            },
            synced_through: Lsn(0),
            files: VecDeque::new(),
            manifest,
            manifest_bytes: 0,
            prepared: VecDeque::new(),
            unsynced_files: 0,
            buffer: Vec::new(),
        };
        writer.open_file()?;
        Ok(writer)
    }

    /// Go on with a log that was read to its end: `position.epoch` is new, and the files are synced
    /// up to `position.lsn`. Files after that position hold nothing.
    pub fn resume(
        io: Arc<dyn Io>,
        segment_bytes: u64,
        position: Position,
        files: Vec<WalFile>,
        manifest: Manifest,
    ) -> Result<Writer> {
        let mut writer = Writer {
            io,
            segment_bytes,
            synced_through: position.lsn,
            position,
            files: files.into(),
            manifest,
            manifest_bytes: 0,
            prepared: VecDeque::new(),
            unsynced_files: 0,
            buffer: Vec::new(),
        };
        let end = writer.files.back().map_or(Lsn(0), WalFile::end);
        let mut payload = Vec::new();
        writer.manifest.encode(&mut payload);
        writer.manifest_bytes = payload.len();
        if writer.position.lsn.0 + batch_bytes(payload.len()) > end.0 {
            // No room for a manifest: fill the file up with empty batches, and open the next one.
            while writer.position.lsn < end {
                writer.write_batch(BatchKind::Records, 0, 0, &[])?;
            }
            writer.sync()?;
            writer.open_file()?;
        } else {
            writer.write_batch(BatchKind::Manifest, 0, 0, &payload)?;
        }
        writer.sync()?;
        Ok(writer)
    }

    pub fn position(&self) -> Lsn {
        self.position.lsn
    }

    pub fn database(&self) -> u64 {
        self.position.database
    }

    pub fn start(&self) -> Lsn {
        self.files.front().map_or(Lsn(0), |file| file.start)
    }

    /// Where the first file begins that is not full, or not synced.
    pub fn complete_through(&self) -> Lsn {
        let complete = |file: &&WalFile| file.end() <= self.synced_through;
        let last = self.files.iter().rfind(complete);
        last.map_or(self.start(), WalFile::end)
    }

    /// Files before that, and where the log is synced to.
    pub fn complete_files(&self) -> (Vec<WalFile>, Lsn) {
        let complete = |file: &&WalFile| file.end() <= self.synced_through;
        let files = self.files.iter().filter(complete).cloned();
        (files.collect(), self.synced_through)
    }

    /// The file that the synced part ends in, and where.
    pub fn last_file(&self) -> Option<(WalFile, Lsn)> {
        let begins = |file: &&WalFile| file.start < self.synced_through;
        let last = self.files.iter().rfind(begins)?;
        Some((last.clone(), self.synced_through))
    }

    /// The moment; `None` when not all of it is synced.
    pub fn point(&self) -> Option<Point> {
        (self.synced_through == self.position.lsn).then(|| Point {
            files: self.files.iter().cloned().collect(),
            database: self.position.database,
            epoch: self.position.epoch,
            end: self.position.lsn,
            crc: self.position.crc,
            manifest: self.manifest.clone(),
        })
    }

    pub fn file_count(&self) -> usize {
        self.files.len()
    }

    /// Whether no file for later is there.
    pub fn wants_prepared(&self) -> bool {
        self.prepared.is_empty()
    }

    /// How long a file for later should be: long enough when the manifest has grown by then.
    pub fn prepared_len(&self) -> u64 {
        self.segment_bytes
            .max(batch_bytes(self.manifest_bytes).saturating_mul(4))
    }

    pub fn add_prepared(&mut self, prepared: Prepared) {
        self.prepared.push_back(prepared);
    }

    /// Take back the last file for later, if it takes no more than `spare`.
    pub fn take_spare(&mut self, spare: u64) -> Option<Prepared> {
        let last = self.prepared.back()?;
        match file_bytes(last.len, self.manifest_bytes) <= spare {
            true => self.prepared.pop_back(),
            false => None,
        }
    }

    /// What the files can take; see [`super::room`].
    pub fn room_bytes(&self) -> u64 {
        let end = self.files.back().map_or(Lsn(0), WalFile::end);
        let later = self.prepared.iter();
        let later = later.map(|prepared| file_bytes(prepared.len, self.manifest_bytes));
        end.0 - self.position.lsn.0 + later.sum::<u64>()
    }

    /// Go on in a new file, which opens with a manifest. The very first file gets its name only when
    /// its manifest is synced, so that a directory with a WAL file in it is a database.
    fn open_file(&mut self) -> Result<()> {
        let mut payload = Vec::new();
        self.manifest.encode(&mut payload);
        self.manifest_bytes = payload.len();
        let need = batch_bytes(payload.len()) * 2;
        let len = self.segment_bytes.max(need.next_multiple_of(ALIGNMENT));
        // Whoever queued a record saw to it that there is one.
        let prepared = match self.prepared.pop_front() {
            Some(prepared) if prepared.len >= len => prepared,
            _ => file::prepare(&*self.io, file::PREPARED_NOW.to_owned(), len)?,
        };
        if self.files.is_empty() {
            // The first file of all: it must not be seen without its manifest.
            let header = self.header(BatchKind::Manifest, 0, 0, payload.len());
            let mut buf = vec![0; HEADER_BYTES];
            buf.extend_from_slice(&payload);
            let crc = seal(&header, &mut buf);
            let failed = |op, e| Error::io(op, &prepared.name, e);
            prepared
                .file
                .write_at(&buf, 0)
                .map_err(|e| failed("write", e))?;
            prepared.file.sync_data().map_err(|e| failed("sync", e))?;
            self.files
                .push_back(prepared.install(&*self.io, self.position.lsn)?);
            self.position.lsn.0 += buf.len() as u64;
            self.position.crc = crc;
            self.synced_through = self.position.lsn;
            return Ok(());
        }
        self.files
            .push_back(prepared.install(&*self.io, self.position.lsn)?);
        if self.unsynced_files > 0 {
            self.unsynced_files += 1;
        }
        self.write_batch(BatchKind::Manifest, 0, 0, &payload)
    }

    fn header(
        &self,
        kind: BatchKind,
        record_count: u32,
        continued: u32,
        payload: usize,
    ) -> BatchHeader {
        BatchHeader {
            kind,
            timeline: TimelineId::MAIN,
            epoch: self.position.epoch,
            database: self.position.database,
            lsn: self.position.lsn,
            synced_through: self.synced_through,
            previous_crc: self.position.crc,
            record_count,
            continued,
            payload_bytes: payload as u32,
            crc: 0,
        }
    }

    fn write_batch(
        &mut self,
        kind: BatchKind,
        record_count: u32,
        continued: u32,
        payload: &[u8],
    ) -> Result<()> {
        let header = self.header(kind, record_count, continued, payload.len());
        let mut buf = std::mem::take(&mut self.buffer);
        buf.clear();
        buf.resize(HEADER_BYTES, 0);
        buf.extend_from_slice(payload);
        let crc = seal(&header, &mut buf);
        let lsn = self.position.lsn;
        let current = self.files.iter().rposition(|file| file.start <= lsn);
        let current = current.ok_or_else(|| Error::internal("a batch before the log"))?;
        let file = &self.files[current];
        let at = lsn.0 - file.start.0;
        file.file
            .write_at(&buf, at)
            .map_err(|e| Error::io("write", &file.name, e))?;
        self.unsynced_files = self.unsynced_files.max(self.files.len() - current);
        self.position.lsn.0 += buf.len() as u64;
        self.position.crc = crc;
        self.buffer = buf;
        Ok(())
    }

    /// Payload that still fits into the current file.
    fn room(&self) -> usize {
        let end = self.files.back().map_or(0, |file| file.end().0);
        let left = (end - self.position.lsn.0).min(BATCH_BYTES_MAX as u64) as usize;
        left.saturating_sub(HEADER_BYTES)
    }

    /// Write records, in order. They are in the log's files but not durable until [`sync`](Self::sync).
    pub fn append(&mut self, records: &[Record]) -> Result<()> {
        let mut payload = Vec::new();
        let (mut count, mut continued) = (0, 0);
        let mut room = 0;
        for record in records {
            let mut rest = &record.bytes[..];
            let mut begun = false;
            while !rest.is_empty() {
                if payload.len() == room {
                    if !payload.is_empty() {
                        self.write_batch(BatchKind::Records, count, continued, &payload)?;
                        payload.clear();
                        (count, continued) = (0, 0);
                    }
                    if self.room() == 0 {
                        self.open_file()?;
                    }
                    room = self.room();
                }
                if !begun {
                    begun = true;
                    self.begin(record);
                    count += 1;
                }
                let n = rest.len().min(room - payload.len());
                if count == 0 {
                    continued += n as u32;
                }
                payload.extend_from_slice(&rest[..n]);
                rest = &rest[n..];
            }
        }
        if !payload.is_empty() {
            self.write_batch(BatchKind::Records, count, continued, &payload)?;
        }
        Ok(())
    }

    /// A record begins in the current file.
    fn begin(&mut self, record: &Record) {
        let effect = &record.effect;
        effect.apply(&mut self.manifest);
        if !matches!(effect, Effect::Transaction { .. }) {
            // What it adds to the manifest is written alike there.
            self.manifest_bytes += 2 * record.bytes.len() + EFFECT_BYTES;
        }
        if let (Effect::Transaction { ts, .. }, Some(file)) = (effect, self.files.back_mut()) {
            file.ts_max = file.ts_max.max(*ts);
        }
    }

    /// Make everything written durable.
    pub fn sync(&mut self) -> Result<()> {
        let clean = self.files.len() - self.unsynced_files;
        for file in self.files.range(clean..) {
            file.file
                .sync_data()
                .map_err(|e| Error::io("sync", &file.name, e))?;
        }
        self.unsynced_files = 0;
        self.synced_through = self.position.lsn;
        Ok(())
    }

    /// Say in the log that all of it is synced, so that a damaged end cannot be taken for a torn one.
    ///
    /// A log that ends with its last file on a full disk has no room for that, and goes without.
    pub fn mark_end(&mut self) -> Result<()> {
        if self.room() == 0 {
            if self.prepared.is_empty() {
                return Ok(());
            }
            self.open_file()?;
        } else {
            self.write_batch(BatchKind::Records, 0, 0, &[])?;
        }
        self.sync()
    }

    /// The oldest file, if recovery does not need it once everything up to `flushed` is in segments, nor
    /// the archive, which has what is before `archived`.
    /// The last file always stays, and it opens with a durable manifest or comes after one that does.
    pub fn obsolete(&self, flushed: Ts, archived: Lsn) -> Option<String> {
        let oldest = self.files.front()?;
        let spare = self.files.len() > 1 + self.unsynced_files;
        let needed = oldest.ts_max > flushed || oldest.end() > archived;
        (spare && !needed).then(|| oldest.name.clone())
    }

    /// The oldest file was [`obsolete`](Self::obsolete), and is removed.
    pub fn forget_oldest(&mut self) {
        self.files.pop_front();
    }
}
