//! Group commit: many committers, one writer.
//!
//! 0. A committer reserves what its record costs ([`super::room`]), while it can still be refused.
//! 1. At the commit point it takes its timestamp and puts its record on the queue, under
//!    one short mutex without I/O; it gets a *ticket*, its place in the log's order.
//! 2. It gives its locks back and waits for its ticket to be durable.
//! 3. Of those who wait the first becomes the leader: it takes all that is on the queue, writes and
//!    syncs it, and wakes the others. What is queued meanwhile is the next leader's. There is no
//!    timer: a lone committer never waits for company, and a crowd shares each sync.
//! 4. A failed write or sync stops the log for good. It is not tried again, since after a failed sync
//!    nothing is known of what is on disk; reopening finds out.
//! 5. What the leader does with a batch is the [`sink`](super::sink)'s. When that says that leadership is
//!    lost, what was not committed is gone at once: `latest` and `visible` fall back to `durable`, and
//!    whoever has seen more is told by its commit.
//!
//! `visible` = max(durable, highest asynchronously acknowledged timestamp): what may be shown to
//! someone who will not commit.

use std::sync::Arc;

use parking_lot::{Condvar, Mutex, MutexGuard};

use super::batch::ALIGNMENT;
use super::file::{self, WalFile};
use super::record::{Record, SealedTransaction};
use super::room::{Room, record_bytes};
use super::sink::{self, Batch, LocalLog, LogSink};
use super::writer::Writer;
use crate::backup::Point;
use crate::error::{Error, Result};
use crate::ids::{Lsn, Ts};
use crate::io::Io;
use crate::memory::MemoryBudget;
use crate::memtable::TxnSlot;
use crate::planted::{self, Bug};
use crate::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Bytes of asynchronous commits that may wait for the disk before committers have to, and the part of the
/// budget of memory that they are at most.
const ASYNCHRONOUS_BYTES_MAX: usize = 16 << 20;
const ASYNCHRONOUS_SHARE: usize = 32;

/// The most that committers leave for records of storage's own: a flush makes room, and needs a record.
const KEPT_BYTES_MAX: u64 = 64 << 10;

/// A place in the log's order. The record before the first has ticket 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(u64);

struct Queue {
    records: Vec<Record>,
    bytes: usize,
    last_ticket: u64,
    last_ts: Ts,
    room: Room,
    stopped: bool,
}

#[derive(Default)]
struct Progress {
    durable_ticket: u64,
    led: bool,
    stopped: Option<String>,
}

/// Counters for `Engine::stats`.
#[derive(Debug, Default)]
pub struct LogStats {
    pub commits: AtomicU64,
    pub syncs: AtomicU64,
    pub bytes: AtomicU64,
}

/// See the module's header.
pub struct Log {
    io: Arc<dyn Io>,
    /// The commit point. No I/O inside.
    queue: Mutex<Queue>,
    progress: Mutex<Progress>,
    progressed: Condvar,
    /// Whoever sleeps until there is something to write.
    queued: Condvar,
    writer: Mutex<Writer>,
    /// Of the leader alone.
    sink: Mutex<Box<dyn LogSink>>,
    /// What is above `durable` is somebody else's.
    lost: AtomicBool,
    /// One preparation of a file at a time; the number of the next one.
    preparing: Mutex<u64>,
    asynchronous_bytes_max: usize,
    /// What committers leave for records of storage's own.
    kept: u64,
    latest: AtomicU64,
    durable: AtomicU64,
    acknowledged: AtomicU64,
    /// Files before this are full, and synced.
    complete: AtomicU64,
    /// Files before this may go, as far as the archive is concerned; without one all may.
    archived: AtomicU64,
    /// Newest commit up to which segments make the log unnecessary.
    flushed: AtomicU64,
    /// One removal of a file at a time.
    removing: Mutex<()>,
    stats: LogStats,
}

impl Log {
    /// Go on from `last_ts`, the newest commit, which is durable.
    pub fn new(
        io: Arc<dyn Io>,
        writer: Writer,
        last_ts: Ts,
        sink: Box<dyn LogSink>,
        memory: &MemoryBudget,
    ) -> Log {
        let share = memory.bytes_max() / ASYNCHRONOUS_SHARE;
        Log {
            io,
            queue: Mutex::new(Queue {
                records: Vec::new(),
                bytes: 0,
                last_ticket: 0,
                last_ts,
                room: Room::new(writer.room_bytes()),
                stopped: false,
            }),
            progress: Mutex::default(),
            progressed: Condvar::new(),
            queued: Condvar::new(),
            preparing: Mutex::default(),
            complete: AtomicU64::new(writer.complete_through().0),
            archived: AtomicU64::new(u64::MAX),
            flushed: AtomicU64::new(0),
            removing: Mutex::default(),
            asynchronous_bytes_max: ASYNCHRONOUS_BYTES_MAX.min(share),
            kept: (writer.prepared_len() / 8)
                .min(KEPT_BYTES_MAX)
                .next_multiple_of(ALIGNMENT),
            writer: Mutex::new(writer),
            sink: Mutex::new(sink),
            lost: AtomicBool::new(false),
            latest: AtomicU64::new(last_ts.0),
            durable: AtomicU64::new(last_ts.0),
            acknowledged: AtomicU64::new(last_ts.0),
            stats: LogStats::default(),
        }
    }

    /// Newest commit.
    pub fn latest(&self) -> Ts {
        Ts(self.latest.load(Ordering::Acquire))
    }

    /// Newest durable commit; all before it are durable, too.
    pub fn durable(&self) -> Ts {
        Ts(self.durable.load(Ordering::Acquire))
    }

    /// See the module's header.
    pub fn visible(&self) -> Ts {
        if planted::is(Bug::VisibleIsLatest) {
            return self.latest();
        }
        self.durable()
            .max(Ts(self.acknowledged.load(Ordering::Acquire)))
    }

    pub fn stats(&self) -> &LogStats {
        &self.stats
    }

    pub fn position(&self) -> (Lsn, usize) {
        let writer = self.writer.lock();
        (writer.position(), writer.file_count())
    }

    /// A moment between two group commits; everything that was queued before the call is in it.
    pub fn point(&self) -> Result<Point> {
        self.wait(self.last_ticket())?;
        if let Some(point) = self.writer.lock().point() {
            return Ok(point);
        }
        // Only a write that failed leaves something behind that is not synced.
        self.check()?;
        Err(Error::internal("a log that is not synced"))
    }

    /// `Error::Stopped` once the log has stopped.
    pub fn check(&self) -> Result<()> {
        match &self.progress.lock().stopped {
            None => Ok(()),
            Some(reason) => Err(Error::Stopped {
                reason: reason.clone(),
            }),
        }
    }

    /// Reserve what a record of so many bytes costs, or `DiskFull`: then there is no space for the file that
    /// would take it. Waits while a file is made.
    pub fn reserve(&self, bytes: usize) -> Result<Reservation<'_>> {
        self.reserve_beyond(bytes, self.kept)
    }

    /// The same for what storage itself needs, which gets what committers leave.
    pub fn reserve_own(&self, bytes: usize) -> Result<Reservation<'_>> {
        self.reserve_beyond(bytes, 0)
    }

    fn reserve_beyond(&self, bytes: usize, kept: u64) -> Result<Reservation<'_>> {
        let bytes = record_bytes(bytes);
        loop {
            let mut queue = self.queue.lock();
            if queue.room.fits(bytes, kept) || queue.stopped {
                queue.room.reserve(bytes);
                return Ok(Reservation { log: self, bytes });
            }
            drop(queue);
            self.make_room(bytes, kept)?;
        }
    }

    /// The queue, unless the log has stopped.
    fn open_queue(&self) -> Result<MutexGuard<'_, Queue>> {
        let queue = self.queue.lock();
        if queue.stopped {
            drop(queue);
            self.check()?;
            return Err(Error::internal("a stopped log without a reason"));
        }
        Ok(queue)
    }

    /// The commit point: take a timestamp, queue the record, flip the slot.
    pub fn commit(
        &self,
        record: SealedTransaction,
        slot: &TxnSlot,
        reserved: Reservation<'_>,
    ) -> Result<(Ts, Ticket)> {
        let late = planted::is(Bug::LatestBeforeFlip);
        let committed = self.commit_as(reserved, |ts| {
            if !late {
                slot.commit(ts);
            }
            record.at(ts)
        })?;
        if late {
            planted::dawdle();
            slot.commit(committed.0);
        }
        Ok(committed)
    }

    /// The commit point: take a timestamp, let `appear` make everything visible that commits at it, and
    /// queue the record, for which room is reserved. `appear` does no I/O.
    pub fn commit_as(
        &self,
        reserved: Reservation<'_>,
        appear: impl FnOnce(Ts) -> Record,
    ) -> Result<(Ts, Ticket)> {
        let now = Ts(self.io.now_micros());
        let mut queue = self.open_queue()?;
        let ts = now.max(Ts(queue.last_ts.0 + 1));
        let record = appear(ts);
        queue.last_ts = ts;
        let ticket = queue.push(record, reserved);
        self.latest.store(ts.0, Ordering::Release);
        drop(queue);
        self.stats.commits.fetch_add(1, Ordering::Relaxed);
        Ok((ts, ticket))
    }

    /// Give no later commit `ts` or a timestamp before it.
    pub fn pass(&self, ts: Ts) {
        let mut queue = self.queue.lock();
        queue.last_ts = queue.last_ts.max(ts);
    }

    /// No later commit gets this timestamp or one before it.
    pub fn passed(&self) -> Ts {
        self.queue.lock().last_ts
    }

    /// Queue a record that is not a transaction.
    pub fn push(&self, record: Record) -> Result<Ticket> {
        let reserved = self.reserve(record.bytes.len())?;
        self.push_reserved(record, reserved)
    }

    /// The same for what storage itself needs.
    pub fn push_own(&self, record: Record) -> Result<Ticket> {
        let reserved = self.reserve_own(record.bytes.len())?;
        self.push_reserved(record, reserved)
    }

    /// The same when room was reserved before.
    pub fn push_reserved(&self, record: Record, reserved: Reservation<'_>) -> Result<Ticket> {
        let mut queue = self.open_queue()?;
        Ok(queue.push(record, reserved))
    }

    /// Queue what `record` makes of the time that it gets, for which room is reserved. It is in one order with
    /// the commits: those before it are older, those behind it newer.
    pub fn push_at(
        &self,
        reserved: Reservation<'_>,
        record: impl FnOnce(Ts) -> Record,
    ) -> Result<Ticket> {
        let now = Ts(self.io.now_micros());
        let mut queue = self.open_queue()?;
        queue.last_ts = now.max(Ts(queue.last_ts.0 + 1));
        let record = record(queue.last_ts);
        Ok(queue.push(record, reserved))
    }

    /// Queue a load's record, for which room is reserved. The clock goes past `ts`, so that whoever commits
    /// later is newer than all that was loaded.
    pub fn push_load(&self, record: Record, ts: Ts, reserved: Reservation<'_>) -> Result<Ticket> {
        let mut queue = self.open_queue()?;
        queue.last_ts = queue.last_ts.max(ts);
        self.latest.store(queue.last_ts.0, Ordering::Release);
        Ok(queue.push(record, reserved))
    }

    /// The newest ticket handed out.
    pub fn last_ticket(&self) -> Ticket {
        Ticket(self.queue.lock().last_ticket)
    }

    /// Wait until everything up to `ticket` is durable.
    pub fn wait(&self, ticket: Ticket) -> Result<()> {
        let mut progress = self.progress.lock();
        loop {
            if let Some(reason) = &progress.stopped {
                // What was durable before the log stopped stays so.
                return match progress.durable_ticket >= ticket.0 {
                    true => Ok(()),
                    false => Err(Error::Stopped {
                        reason: reason.clone(),
                    }),
                };
            }
            if progress.durable_ticket >= ticket.0 {
                return Ok(());
            }
            if progress.led {
                self.progressed.wait(&mut progress);
                continue;
            }
            progress.led = true;
            drop(progress);
            let written = self.write_queue();
            progress = self.progress.lock();
            progress.led = false;
            match written {
                Ok(durable) => progress.durable_ticket = durable,
                Err(e) => self.stop_locked(&mut progress, &e),
            }
            self.progressed.notify_all();
        }
    }

    /// Take nothing more, because of `error`: what is on disk is in doubt.
    pub fn stop(&self, error: &Error) {
        self.stop_locked(&mut self.progress.lock(), error);
        self.progressed.notify_all();
    }

    fn stop_locked(&self, progress: &mut Progress, error: &Error) {
        tracing::error!("stopping: {error}");
        progress.stopped.get_or_insert_with(|| error.to_string());
        let mut queue = self.queue.lock();
        queue.stopped = true;
        if sink::is_lost(error) {
            let durable = self.durable();
            queue.last_ts = durable;
            // In this order: see `wait_ts`.
            self.lost.store(true, Ordering::Release);
            self.latest.store(durable.0, Ordering::Release);
            self.acknowledged.store(durable.0, Ordering::Release);
        }
    }

    /// Wait until every commit at or before `ts` is durable.
    pub fn wait_ts(&self, ts: Ts) -> Result<()> {
        let latest = self.latest();
        // Once the tail is lost, the latest is not what it was when `ts` was read.
        let limit = match self.lost.load(Ordering::Acquire) {
            true => ts,
            false => ts.min(latest),
        };
        if self.durable() >= limit || planted::is(Bug::ReadersDoNotWait) {
            return Ok(());
        }
        self.wait(self.last_ticket())
    }

    /// The leader's work: write and sync all that is queued. The newest ticket that it covers.
    fn write_queue(&self) -> Result<u64> {
        let mut writer = self.writer.lock();
        let (records, ticket) = {
            let mut queue = self.queue.lock();
            queue.bytes = 0;
            queue.room.begin_writing();
            (std::mem::take(&mut queue.records), queue.last_ticket)
        };
        let bytes: usize = records.iter().map(|record| record.bytes.len()).sum();
        let batch = Batch::new(&records);
        self.sink
            .lock()
            .commit(&batch, &mut LocalLog::new(&mut writer))?;
        self.queue.lock().room.end_writing(writer.room_bytes());
        self.complete
            .store(writer.complete_through().0, Ordering::Release);
        if writer.wants_prepared() {
            self.queued.notify_one();
        }
        drop(writer);
        self.stats.syncs.fetch_add(1, Ordering::Relaxed);
        self.stats.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        if let Some(ts) = batch.last_ts() {
            self.durable.fetch_max(ts.0, Ordering::AcqRel);
        }
        Ok(ticket)
    }

    /// An asynchronous commit at `ts` is told to its client. Waits only when the disk is far behind.
    /// Without a background thread (`inline`) nobody else would write: then a small queue is enough.
    pub fn acknowledge(&self, ts: Ts, inline: bool) -> Result<()> {
        let (bytes, ticket) = {
            let queue = self.queue.lock();
            if queue.stopped && self.durable() < ts {
                drop(queue);
                self.check()?;
                return Err(Error::internal("a stopped log without a reason"));
            }
            self.acknowledged.fetch_max(ts.0, Ordering::AcqRel);
            (queue.bytes, Ticket(queue.last_ticket))
        };
        let limit = if inline {
            self.asynchronous_bytes_max >> 8
        } else {
            self.asynchronous_bytes_max
        };
        if bytes > limit {
            return self.wait(ticket);
        }
        self.queued.notify_one();
        Ok(())
    }

    /// Sleep until something is queued, a file should be prepared or `wake_idle` is called; then see
    /// the queue written.
    pub fn write_when_queued(&self, stop: impl Fn() -> bool) -> Result<()> {
        let ticket = {
            let mut queue = self.queue.lock();
            if queue.records.is_empty() && !stop() {
                self.queued.wait(&mut queue);
            }
            Ticket(queue.last_ticket)
        };
        self.wait(ticket)
    }

    /// End the sleep of `write_when_queued`. Taking the mutex makes sure that a sleeper between its
    /// check and its sleep is not missed.
    pub fn wake_idle(&self) {
        let _queue = self.queue.lock();
        self.queued.notify_all();
    }

    /// Make the next file ahead of its use, unless there is one.
    pub fn prepare_file(&self) -> Result<()> {
        let mut preparing = self.preparing.lock();
        let wanted = self.writer.lock().wants_prepared();
        match wanted {
            true => self.prepare_another(&mut preparing),
            false => Ok(()),
        }
    }

    /// Make another file, unless so much fits by now.
    fn make_room(&self, bytes: u64, kept: u64) -> Result<()> {
        let mut preparing = self.preparing.lock();
        if self.queue.lock().room.fits(bytes, kept) {
            return Ok(());
        }
        let made = self.prepare_another(&mut preparing);
        if made.is_err() {
            // Files that were made for this record only are in the way of everybody else.
            self.give_back_spare();
        }
        made
    }

    fn prepare_another(&self, number: &mut u64) -> Result<()> {
        *number += 1;
        let len = self.writer.lock().prepared_len();
        let prepared = file::prepare(&*self.io, file::prepared_name(*number), len);
        if let Err(error @ Error::Io { op: "sync", .. }) = &prepared {
            self.stop(error);
        }
        let mut writer = self.writer.lock();
        writer.add_prepared(prepared?);
        let mut queue = self.queue.lock();
        queue.room.set_files(writer.room_bytes());
        Ok(())
    }

    /// Remove files for later that nobody has reserved: space is needed elsewhere.
    pub fn give_back_spare(&self) {
        let mut writer = self.writer.lock();
        let mut queue = self.queue.lock();
        let mut given_back = Vec::new();
        while let Some(prepared) = writer.take_spare(queue.room.spare(self.kept)) {
            queue.room.set_files(writer.room_bytes());
            given_back.push(prepared.name);
        }
        drop((queue, writer));
        for name in given_back {
            if let Err(e) = self.io.remove(&name) {
                tracing::warn!("removing \"{name}\": {e}");
            }
        }
    }

    /// Whether [`Log::remove_obsolete`] would remove a file.
    pub fn has_obsolete(&self, flushed: Ts) -> bool {
        let writer = self.writer.lock();
        writer.obsolete(flushed, self.archived()).is_some()
    }

    /// Remove the files that recovery does not need once commits up to `flushed` are in segments.
    /// One that cannot be removed stays the oldest, for the next call: removing those after it would
    /// leave a gap. So does one that is not archived.
    pub fn remove_obsolete(&self, flushed: Ts) -> Result<()> {
        self.flushed.fetch_max(flushed.0, Ordering::AcqRel);
        self.remove_archived()
    }

    /// The same, when files were archived since.
    pub fn remove_archived(&self) -> Result<()> {
        let _removing = self.removing.lock();
        let flushed = Ts(self.flushed.load(Ordering::Acquire));
        loop {
            let obsolete = self.writer.lock().obsolete(flushed, self.archived());
            let Some(name) = obsolete else {
                return Ok(());
            };
            file::remove(&*self.io, &name)?;
            self.writer.lock().forget_oldest();
        }
    }

    /// Whose log it is.
    pub fn database(&self) -> u64 {
        self.writer.lock().database()
    }

    /// Where the oldest file begins.
    pub fn start(&self) -> Lsn {
        self.writer.lock().start()
    }

    /// Files before this are full, and synced.
    pub fn complete_through(&self) -> Lsn {
        Lsn(self.complete.load(Ordering::Acquire))
    }

    /// Those files, oldest first, and where the log is synced to.
    pub fn complete_files(&self) -> (Vec<WalFile>, Lsn) {
        self.writer.lock().complete_files()
    }

    /// The file that the synced part of the log ends in, and where.
    pub fn last_file(&self) -> Result<(WalFile, Lsn)> {
        let last = self.writer.lock().last_file();
        last.ok_or_else(|| Error::internal("a log without a file"))
    }

    /// See [`Log::set_archived`].
    pub fn archived(&self) -> Lsn {
        Lsn(self.archived.load(Ordering::Acquire))
    }

    /// Keep files from `lsn` on, which is in the archive.
    pub fn set_archived(&self, lsn: Lsn) {
        self.archived.store(lsn.0, Ordering::Release);
    }

    /// Write what is left and mark the end. The log takes nothing afterwards.
    pub fn close(&self) -> Result<()> {
        let outcome = self.wait(self.last_ticket());
        self.queue.lock().stopped = true;
        let mut progress = self.progress.lock();
        if progress.stopped.is_none() {
            progress.stopped = Some("the database is closed".to_owned());
            outcome?;
            // Records pushed between the wait and the stop are nobody's promise.
            return self.writer.lock().mark_end();
        }
        outcome
    }
}

/// Room in the log for one record. Given back when it is not used.
pub struct Reservation<'a> {
    log: &'a Log,
    bytes: u64,
}

impl Drop for Reservation<'_> {
    fn drop(&mut self) {
        if self.bytes > 0 {
            self.log.queue.lock().room.give_back(self.bytes);
        }
    }
}

impl Queue {
    fn push(&mut self, record: Record, mut reserved: Reservation<'_>) -> Ticket {
        self.room.queue(std::mem::take(&mut reserved.bytes));
        self.bytes += record.bytes.len();
        self.records.push(record);
        self.last_ticket += 1;
        Ticket(self.last_ticket)
    }
}
