//! The engine: everything of an open database, and the public face of storage.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::{Mutex, RwLock};

use crate::archive::{ArchiveState, Archiver};
use crate::backup::unfinished;
use crate::codec::{CodecSet, Encoding};
use crate::compact::{Compacted, Compactor, Goal, Pins};
use crate::error::{Error, Result};
use crate::expression::{Evaluator, Expressions};
use crate::flush::Flusher;
use crate::governor::Governor;
use crate::ids::{CollectionId, TimelineId, Ts, TxnId};
use crate::interrupt::Interrupt;
use crate::io::Io;
use crate::load::{LoadOptions, Loader};
use crate::lock::{LockManager, LockOwner, Locked};
use crate::memory::MemoryBudget;
use crate::options::Options;
use crate::recovery::{self, Recovered};
use crate::removal::Removals;
use crate::schema::TableDef;
use crate::segment::{ColumnPages, Inventory, SegmentReader};
use crate::sequence::{SequenceState, Sequences};
use crate::tables::Tables;
use crate::timeline::{Epoch, Timeline, Timelines};
use crate::transaction::{Isolation, KnownPlans, Transaction};
use crate::view::{Changes, ChangesRequest, EntryChanges, RowChanges};
use crate::view::{OwnWrites, Path, ReadView, ViewInner};
use crate::wal::log::Log;
use crate::wal::record::Record;
use crate::wal::sink::{LocalSink, LogSink};

mod background;
mod stats;
mod timelines;

pub use stats::Stats;

use background::Background;

/// Collection ids that the log is told of ahead of their use.
const COLLECTIONS_AHEAD: u32 = 64;

/// An open database. Cheap to clone; the last clone to go closes it.
#[derive(Clone)]
pub struct Engine(Arc<Open>);

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine")
            .field("latest", &self.0.inner.log.latest())
            .finish_non_exhaustive()
    }
}

/// What the clones of an [`Engine`] share. Transactions and views hold only the inner part, so they
/// do not keep the database open.
struct Open {
    inner: Arc<EngineInner>,
    background: Mutex<Option<Background>>,
}

pub(crate) struct EngineInner {
    pub io: Arc<dyn Io>,
    pub memory: Arc<MemoryBudget>,
    /// Within the budget.
    pub options: Options,
    pub locks: LockManager,
    pub tables: Arc<Tables>,
    pub plans: KnownPlans,
    pub evaluator: Arc<Evaluator>,
    pub log: Log,
    pub flusher: Flusher,
    /// How far history goes back, and who needs it.
    pub pins: Arc<Pins>,
    pub compactor: Compactor,
    pub removals: Removals,
    pub archiver: Option<Archiver>,
    pub governor: Arc<Governor>,
    /// Held shared from a commit's first version in the memtable to its flip, and exclusively by a
    /// freeze. No I/O inside.
    pub freeze: RwLock<()>,
    pub timelines: Timelines,
    next_txn: AtomicU64,
    collections: Mutex<Collections>,
    pub sequences: Sequences,
    /// Whether there are threads to work in the background.
    inline: bool,
    stopping: std::sync::atomic::AtomicBool,
    /// Whether there is a loader.
    pub loading: std::sync::atomic::AtomicBool,
    /// Numbers the runs of what is being sorted outside of memory.
    pub sort_runs: Arc<AtomicU64>,
    directory: Mutex<Option<Box<dyn Send + Sync>>>,
}

struct Collections {
    next: CollectionId,
    logged: CollectionId,
}

impl EngineInner {
    /// The timeline that everybody is on who does not say which.
    pub fn main(&self) -> Arc<Timeline> {
        self.timelines.main()
    }

    pub fn latest(&self) -> Ts {
        self.log.latest()
    }

    /// A view of `timeline` at `ts`. The sources are taken after the timestamp, so they hold all commits up
    /// to it, and before the horizons, so those hold for them.
    pub fn view(&self, timeline: &Arc<Timeline>, ts: Ts, own: Option<OwnWrites>) -> ReadView {
        let path = Path::new(timeline, ts);
        ReadView(Arc::new(ViewInner {
            path,
            timeline: Arc::clone(timeline),
            own,
            tables: Arc::clone(&self.tables),
            evaluator: Arc::clone(&self.evaluator),
            horizons: self.pins.before(ts),
        }))
    }

    /// A view of what `now` says, which is the present and not older than any that was asked before.
    pub fn view_now(
        &self,
        timeline: &Arc<Timeline>,
        now: impl Fn() -> Ts,
        own: Option<OwnWrites>,
    ) -> ReadView {
        loop {
            let view = self.view(timeline, now(), own.clone());
            // A compaction may have come between the timestamp and the sources.
            if view.0.horizons.is_none() {
                return view;
            }
        }
    }

    /// One that no transaction had since the database was opened.
    pub fn next_txn_id(&self) -> TxnId {
        TxnId(self.next_txn.fetch_add(1, Ordering::Relaxed))
    }

    /// Tell the log of ids that were handed out while it could not take that; before any commit with one.
    pub fn log_collections(&self) -> Result<()> {
        let mut collections = self.collections.lock();
        if collections.next > collections.logged {
            let next = collections.next;
            self.log.push_own(Record::next_collection(next))?;
            collections.logged = next;
        }
        Ok(())
    }

    /// Whether nobody works in the background: then a commit does what is due itself.
    pub fn is_inline(&self) -> bool {
        self.inline
    }

    /// Whether the database is being closed, or is.
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }

    /// Whether the directory is still this engine's.
    pub fn is_open(&self) -> bool {
        self.directory.lock().is_some()
    }

    /// Go on from the ids and sequences that a load brought; the log has them.
    pub fn take_over(
        &self,
        timeline: TimelineId,
        next_collection: CollectionId,
        sequences: &[(CollectionId, SequenceState)],
    ) {
        let mut collections = self.collections.lock();
        collections.next = collections.next.max(next_collection);
        collections.logged = collections.logged.max(next_collection);
        let sequences = sequences.iter().copied();
        self.sequences
            .restore(sequences.clone(), timeline, sequences);
    }

    /// See [`Engine::settle`].
    pub fn settle(&self, ts: Ts) -> Result<()> {
        self.log.pass(ts);
        self.log.wait_ts(ts)
    }
}

impl Engine {
    /// Open the database in `io`'s directory; an empty directory becomes a new one.
    pub fn open(io: Arc<dyn Io>, options: Options) -> Result<Engine> {
        Engine::open_with_sink(io, options, Box::new(LocalSink))
    }

    /// The same, with somebody else to say when commits are committed.
    pub fn open_with_sink(
        io: Arc<dyn Io>,
        options: Options,
        sink: Box<dyn LogSink>,
    ) -> Result<Engine> {
        options.check()?;
        let memory = MemoryBudget::new(options.memory_bytes_max);
        let options = options.within(&memory);
        let directory = io.lock().map_err(|e| match e.kind() {
            std::io::ErrorKind::WouldBlock => Error::DirectoryLocked,
            _ => Error::io("lock", crate::io::disk::LOCK_FILE, e),
        })?;
        unfinished::refuse(&*io)?;
        let inline = background::is_inline(&*io);
        let Recovered {
            writer,
            manifest,
            tables,
            brought,
            unflushed,
        } = recovery::recover(&io, &options)?;
        let flusher = Flusher::new(&manifest, &memory);
        let archiver = Archiver::open(&options, &*io, writer.start(), brought)?;
        let segments = flusher.open_segments(&io, &manifest, archiver.as_ref())?;
        let removals = Removals::default();
        if let Some(archiver) = &archiver {
            removals.postpone(archiver.unnamed(&manifest));
        }
        let sequences = Sequences::default();
        for (id, entry) in &manifest.timelines {
            let shown = entry.sequences.iter().map(|(id, state)| (*id, *state));
            let all = manifest.sequences.iter().map(|(id, state)| (*id, *state));
            sequences.restore(all, *id, shown);
        }
        let pins = Pins::new(manifest.horizons.clone());
        let timelines = Timelines::open(&manifest, segments, &pins, !inline, Some(&memory))?;
        let inner = Arc::new(EngineInner {
            locks: LockManager::new(options.lock_timeout_micros, !inline),
            log: Log::new(Arc::clone(&io), writer, manifest.last_ts, sink, &memory),
            flusher,
            removals,
            archiver,
            pins,
            compactor: Compactor::new(&*io),
            governor: Governor::new(Arc::clone(&io), options.cpu),
            io,
            memory,
            options,
            tables: Arc::new(tables),
            plans: KnownPlans::default(),
            evaluator: Evaluator::none(),
            freeze: RwLock::default(),
            timelines,
            next_txn: AtomicU64::new(1),
            collections: Mutex::new(Collections {
                next: manifest.next_collection,
                logged: manifest.next_collection,
            }),
            sequences,
            inline,
            stopping: false.into(),
            loading: false.into(),
            sort_runs: Arc::default(),
            directory: Mutex::new(Some(directory)),
        });
        if inner.archiver.is_some() {
            inner.log.set_archived(inner.log.start());
        }
        let mut background = Background::start_flushing(&inner);
        if let Err(error) = inner.refill(&unflushed).and_then(|()| inner.read_pins()) {
            background.stop(&inner);
            return Err(error);
        }
        background.start(&inner);
        Ok(Engine(Arc::new(Open {
            inner,
            background: Mutex::new(Some(background)),
        })))
    }

    pub(crate) fn inner(&self) -> &Arc<EngineInner> {
        &self.0.inner
    }

    /// Start a transaction. `interrupt` is the session's.
    pub fn begin(&self, isolation: Isolation, interrupt: Arc<Interrupt>) -> Transaction {
        self.start(self.main_and_epoch(), isolation, false, interrupt)
    }

    /// Start one that will write nothing.
    pub fn begin_read_only(&self, isolation: Isolation, interrupt: Arc<Interrupt>) -> Transaction {
        self.start(self.main_and_epoch(), isolation, true, interrupt)
    }

    /// Start one that is SERIALIZABLE and READ ONLY, once there is a snapshot for which it need not
    /// fear to be refused: PostgreSQL's DEFERRABLE.
    pub fn begin_deferrable(&self, interrupt: Arc<Interrupt>) -> Result<Transaction> {
        let main = self.main_and_epoch();
        let mut transaction = self.start(main, Isolation::Serializable, true, interrupt);
        transaction.defer()?;
        Ok(transaction)
    }

    fn main_and_epoch(&self) -> (Arc<Timeline>, Epoch) {
        self.inner().timelines.main_and_epoch()
    }

    fn start(
        &self,
        (timeline, epoch): (Arc<Timeline>, Epoch),
        isolation: Isolation,
        read_only: bool,
        interrupt: Arc<Interrupt>,
    ) -> Transaction {
        Transaction::new(
            Arc::clone(self.inner()),
            (timeline, epoch),
            self.inner().next_txn_id(),
            isolation,
            read_only,
            interrupt,
        )
    }

    /// What may be shown to someone who will not commit: everything durable, and everything
    /// acknowledged without being so.
    pub fn visible_view(&self) -> ReadView {
        let visible = || self.inner().log.visible();
        self.inner().view_now(&self.inner().main(), visible, None)
    }

    /// The newest committed state, durable or not.
    pub fn latest_view(&self) -> ReadView {
        let latest = || self.inner().latest();
        self.inner().view_now(&self.inner().main(), latest, None)
    }

    /// The database AS OF `ts`; one that is still to come reads the newest committed state. A time that
    /// nothing remembers is `SnapshotTooOld`, and so is reading a table AS OF a time before its horizon.
    pub fn view_at(&self, ts: Ts) -> Result<ReadView> {
        self.view_in(&self.inner().main(), ts)
    }

    fn view_in(&self, timeline: &Arc<Timeline>, ts: Ts) -> Result<ReadView> {
        // The sources first: those of a later compaction come after it told how far they go back.
        let ts = ts.min(self.inner().latest());
        let view = self.inner().view(timeline, ts, None);
        self.inner().pins.check(view.ts())?;
        Ok(view)
    }

    /// What was committed to a table in the span of the request; see [`crate::view::changes`]. A span that
    /// begins before the history that is kept is `SnapshotTooOld`; one that ends after
    /// the newest commit is `SnapshotTooNew`, for more may come to be in it, unless [`Engine::settle`] has
    /// ended that. What is read may not be durable: one who remembers it ends at [`Engine::durable`].
    pub fn changes(&self, table: &Arc<TableDef>, request: ChangesRequest) -> Result<RowChanges> {
        let main = self.inner().main();
        let view = self.view_between(&main, table.id, request.since, request.until)?;
        RowChanges::new(view, table, request)
    }

    /// [`Engine::changes`] of a sorted collection.
    pub fn entry_changes(
        &self,
        collection: CollectionId,
        since: Ts,
        until: Ts,
        which: Changes,
    ) -> Result<EntryChanges> {
        let main = self.inner().main();
        let view = self.view_between(&main, collection, since, until)?;
        EntryChanges::new(view, collection, since, which)
    }

    /// A view of `until` whose sources know all since `since`.
    fn view_between(
        &self,
        timeline: &Arc<Timeline>,
        collection: CollectionId,
        since: Ts,
        until: Ts,
    ) -> Result<ReadView> {
        let latest = self.inner().log.passed();
        if until > latest {
            return Err(Error::SnapshotTooNew {
                asked: until,
                latest,
            });
        }
        if since > until {
            return Err(Error::invalid(format!(
                "changes from {since} to {until}, which is before"
            )));
        }
        let view = self.inner().view(timeline, until, None);
        let oldest = self.inner().pins.before(since).map(|h| h.of(collection));
        match oldest.filter(|oldest| since < *oldest) {
            None => Ok(view),
            Some(oldest) => Err(Error::SnapshotTooOld {
                asked: since,
                oldest,
            }),
        }
    }

    /// How far history goes back: the first time AS OF which the database can be read, but for tables with
    /// a retention of their own. It rises when
    /// compaction lets history go, and falls only back to where it was, when that came to nothing.
    pub fn oldest_ts(&self) -> Ts {
        self.inner().pins.horizons().all()
    }

    /// [`Engine::oldest_ts`] of one collection: later or earlier, if its table has a retention of its own.
    pub fn oldest_ts_of(&self, collection: CollectionId) -> Ts {
        self.inner().pins.horizons().of(collection)
    }

    /// Make final what [`Engine::view_at`] shows at `ts`: no later commit gets that time or an earlier
    /// one, and all commits up to it are durable. `ts` must not be in the future, or the clock goes
    /// there.
    pub fn settle(&self, ts: Ts) -> Result<()> {
        self.inner().settle(ts)
    }

    /// A collection id that was never handed out before.
    pub fn allocate_collection_id(&self) -> CollectionId {
        let mut collections = self.inner().collections.lock();
        let id = collections.next;
        let next = CollectionId(id.0.saturating_add(1));
        if next > collections.logged {
            let ahead = CollectionId(id.0.saturating_add(COLLECTIONS_AHEAD));
            // Whoever commits with the id comes later in the log. When there is no space for this, a
            // commit sees to it that there is ([`EngineInner::log_collections`]).
            if self
                .inner()
                .log
                .push_own(Record::next_collection(ahead))
                .is_ok()
            {
                collections.logged = ahead;
            }
        }
        collections.next = next;
        id
    }

    /// The first collection id that was never handed out.
    pub fn next_collection(&self) -> CollectionId {
        self.inner().collections.lock().next
    }

    /// Write the memtable to segments now.
    pub fn flush(&self) -> Result<()> {
        self.inner().flush_all()
    }

    /// Merge the segments that are due to be merged, and let history go that is past its time. Where there
    /// are threads, the background does that after each flush.
    pub fn compact(&self, interrupt: &Interrupt) -> Result<Compacted> {
        self.inner().compact(Goal::Due, interrupt)
    }

    /// Write everything to one segment, with no more history than is to be kept.
    pub fn compact_all(&self, interrupt: &Interrupt) -> Result<Compacted> {
        self.inner().flush_all()?;
        self.inner().compact(Goal::Everything, interrupt)
    }

    /// The clock is right, though it jumped: let history expire by it.
    pub fn confirm_clock(&self) {
        self.inner().compactor.confirm_clock(&*self.inner().io);
    }

    /// What it was opened with, as far as the budget of memory leaves it so.
    pub fn options(&self) -> &Options {
        &self.inner().options
    }

    /// The one budget of memory: storage's own parts, and those of whoever else asks.
    pub fn memory(&self) -> &Arc<MemoryBudget> {
        &self.inner().memory
    }

    /// Who says how much of the machine the background may use: storage's own, and that of whoever else
    /// asks.
    pub fn governor(&self) -> &Arc<Governor> {
        &self.inner().governor
    }

    /// The engine's clock: microseconds since the Unix epoch. Whatever wants the time above storage
    /// asks here, so that the simulator owns it.
    pub fn now_micros(&self) -> u64 {
        self.inner().io.now_micros()
    }

    /// A clock for how long work takes, in nanoseconds from an arbitrary start.
    pub fn monotonic_nanos(&self) -> u64 {
        self.inner().io.monotonic_nanos()
    }

    /// Newest durable commit.
    pub fn durable(&self) -> Ts {
        self.inner().log.durable()
    }

    /// Wait until everything committed at or before `ts` is durable.
    pub fn wait_durable(&self, ts: Ts) -> Result<()> {
        self.inner().log.wait_ts(ts)
    }

    /// Use these codecs from now on: to encode, from the next flush; to decode, from the next page
    /// that is read. An engine opens without any.
    pub fn set_codecs(&self, codecs: Arc<dyn CodecSet>) {
        self.inner().flusher.codecs().set(codecs);
    }

    /// Evaluate expressions of computed columns so from now on. An engine opens without.
    pub fn set_expressions(&self, expressions: Arc<dyn Expressions>) {
        self.inner().evaluator.set(expressions);
    }

    /// How the pages of every column in segments are stored. Reads no page.
    pub fn column_pages(&self) -> Vec<ColumnPages> {
        let mut inventory = Inventory::default();
        for (_, timeline) in self.inner().timelines.all() {
            for segment in timeline.sources().segments() {
                inventory.add(segment);
            }
        }
        inventory.finish()
    }

    /// What a table or a sorted collection takes of segments, history included. What is still in memory
    /// takes nothing. Reads no page.
    pub fn collection_bytes(&self, collection: CollectionId) -> u64 {
        let timelines = self.inner().timelines.all().into_iter();
        let bytes = |segments: &SegmentReader| segments.bytes_of(collection);
        timelines
            .map(|(_, timeline)| timeline.sources().segments().map(bytes).sum::<u64>())
            .sum()
    }

    /// The part of [`Engine::column_pages`] that codecs from outside encoded: what cannot be read
    /// without them.
    pub fn codecs_in_use(&self) -> Vec<ColumnPages> {
        let mut pages = self.column_pages();
        pages.retain(|pages| matches!(pages.encoding, Encoding::Codec(_)));
        pages
    }

    /// How far the log is archived; `None` when it is not to be.
    pub fn archive_state(&self) -> Option<ArchiveState> {
        self.inner().archive_state()
    }

    /// Archive all that is durable now, also of the file of the log that is written to.
    pub fn archive(&self) -> Result<()> {
        self.inner().archive(true)
    }

    /// Start loading what another database held; see [`crate::load`].
    pub fn loader(&self, options: LoadOptions) -> Result<Loader> {
        Loader::new(Arc::clone(self.inner()), options)
    }

    /// Sizes and counters.
    pub fn stats(&self) -> Stats {
        Stats::collect(self.inner())
    }

    /// All locks that somebody holds or waits for.
    pub fn locks(&self) -> Vec<Locked> {
        self.inner().locks.report()
    }

    /// Whom an owner of locks waits for; nobody, if it does not wait.
    pub fn lock_blockers(&self, owner: LockOwner) -> Vec<LockOwner> {
        self.inner().locks.blockers(owner)
    }

    /// Close, and report what goes wrong. Other clones, transactions and views get `Stopped` when
    /// they write; views may still read.
    pub fn close(self) -> Result<()> {
        self.0.close()
    }
}

impl Open {
    fn close(&self) -> Result<()> {
        let Some(background) = self.background.lock().take() else {
            return Ok(());
        };
        background.stop(&self.inner);
        // One that a session asked for ends, too, before the directory may be somebody else's.
        self.inner.compactor.wait();
        self.inner.flush_for_reopening();
        // A log that has stopped refuses, and its close says why.
        let _ = self
            .inner
            .log
            .push_own(Record::row_ids(self.inner.tables.all_next_rows()));
        let closed = self.inner.log.close();
        // A failure is told, and the log keeps what is not archived.
        let _ = self.inner.archive(true);
        self.inner.directory.lock().take();
        closed
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        if let Err(e) = self.close() {
            tracing::error!("closing the database: {e}");
        }
    }
}
