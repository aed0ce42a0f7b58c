//! Timelines, and what is different on each of them.

use std::sync::Arc;

use super::Engine;
use crate::error::Result;
use crate::ids::{CollectionId, TimelineId, Ts};
use crate::interrupt::Interrupt;
use crate::load::{LoadOptions, Loader};
use crate::schema::TableDef;
use crate::sequence::{SequenceSpec, SequenceState};
use crate::timeline::{Closed, LoadedTimeline, TimelineInfo};
use crate::transaction::{Isolation, Transaction};
use crate::view::{Changes, ChangesRequest, EntryChanges, ReadView, RowChanges, TouchedRows};
use crate::wal::record::{Record, SequenceEdit};

impl Engine {
    /// Make a timeline that shows what `from` showed at `at`, and goes on from there on its own. It takes one
    /// record in the log, whatever the size of the database, and is durable when this returns.
    ///
    /// # Errors
    ///
    /// `SnapshotTooOld` when the history of `at` is gone, `SnapshotTooNew` when `at` is to come,
    /// `TimelineExists` when the name is taken, `UnknownTimeline`.
    pub fn create_timeline(&self, name: &str, from: TimelineId, at: Ts) -> Result<TimelineId> {
        self.inner().create_timeline(name, from, at, &[])
    }

    /// [`Engine::create_timeline`] with a note: bytes that mean nothing to storage, at most 16 KiB, which
    /// [`Engine::timelines`] gives back. It is of the timeline, whatever its name becomes.
    pub fn create_timeline_with_note(
        &self,
        name: &str,
        from: TimelineId,
        at: Ts,
        note: &[u8],
    ) -> Result<TimelineId> {
        self.inner().create_timeline(name, from, at, note)
    }

    /// Make the timelines of another database, with their ids: parents stand before those that branched off from
    /// them. `next` is the first id that may be handed out. They are there at once, durable, with nothing of their
    /// own; a [loader](Engine::loader_on) brings that.
    ///
    /// # Errors
    ///
    /// `Invalid` where a parent is missing, an id is taken, or a fork is of a time to come; `TimelineExists`;
    /// `SnapshotTooOld` for a fork before the history.
    pub fn load_timelines(&self, next: TimelineId, timelines: &[LoadedTimeline]) -> Result<()> {
        self.inner().load_timelines(next, timelines)
    }

    /// The first id of a timeline that was never given.
    pub fn next_timeline(&self) -> TimelineId {
        self.inner().timelines.next_id()
    }

    /// [`Engine::loader`] for what a timeline holds that branched off: what is loaded must be newer than the fork.
    pub fn loader_on(&self, timeline: TimelineId, options: LoadOptions) -> Result<Loader> {
        Loader::on(Arc::clone(self.inner()), Some(timeline), options)
    }

    /// Give a timeline another note. Durable when this returns.
    pub fn note_timeline(&self, id: TimelineId, note: &[u8]) -> Result<()> {
        self.inner().note_timeline(id, note)
    }

    /// Drop a timeline, and what it alone holds; views and transactions that have it open read on, and the
    /// transactions cannot commit.
    ///
    /// # Errors
    ///
    /// `TimelineHasBranches`; `Invalid` for the main timeline.
    pub fn drop_timeline(&self, id: TimelineId) -> Result<()> {
        self.inner().drop_timeline(id, Ts::MAX).map(drop)
    }

    /// The same if nobody committed on the timeline after `newest`; whether it was dropped.
    pub fn drop_timeline_at(&self, id: TimelineId, newest: Ts) -> Result<bool> {
        self.inner().drop_timeline(id, newest)
    }

    /// Give a timeline another name. The main one keeps its name.
    pub fn rename_timeline(&self, id: TimelineId, name: &str) -> Result<()> {
        self.inner().rename_timeline(id, name)
    }

    /// Let two timelines have each other's names, at once. When one of them is the main timeline, everybody
    /// is on the other from now on; a restore in place is a timeline AS OF a time that takes the main one's
    /// name. Transactions that began on either before cannot commit (`TimelineMoved`).
    pub fn swap_timelines(&self, a: TimelineId, b: TimelineId) -> Result<()> {
        self.inner().swap_timelines(a, b)
    }

    /// Let nobody else commit on some timelines, and end waits for locks there.
    ///
    /// # Errors
    ///
    /// `TimelineMoved` when somebody else has closed one of them, `UnknownTimeline`.
    pub fn close_timelines(&self, ids: &[TimelineId]) -> Result<Closed> {
        Closed::new(self.inner(), ids)
    }

    /// All timelines, by id.
    pub fn timelines(&self) -> Vec<TimelineInfo> {
        self.inner().timeline_info()
    }

    /// The timeline that one branched off from, and its note.
    pub fn timeline_base(&self, id: TimelineId) -> Result<(Option<TimelineId>, Vec<u8>)> {
        self.inner().timeline_base(id)
    }

    /// The timeline of that name.
    pub fn timeline(&self, name: &str) -> Option<TimelineId> {
        self.inner().timelines.id_of(name)
    }

    /// The name of a timeline that is there.
    pub fn timeline_name(&self, id: TimelineId) -> Option<String> {
        self.inner().timelines.name_of(id)
    }

    /// The timeline whose history is read on `id` at `ts`: `id` itself, or the one above that it branched off
    /// from after that.
    pub fn timeline_at(&self, id: TimelineId, ts: Ts) -> Result<TimelineId> {
        let mut timeline = self.inner().timelines.get(id)?;
        while let Some(base) = timeline.base().filter(|base| ts <= base.fork_ts()) {
            let parent = Arc::clone(&base.parent);
            timeline = parent;
        }
        Ok(timeline.id())
    }

    /// The timeline that everybody is on who does not say which.
    pub fn main_timeline(&self) -> TimelineId {
        self.inner().main().id()
    }

    /// [`Engine::begin`] on a timeline.
    pub fn begin_on(
        &self,
        timeline: TimelineId,
        isolation: Isolation,
        interrupt: Arc<Interrupt>,
    ) -> Result<Transaction> {
        let timeline = self.inner().timelines.get(timeline)?;
        let epoch = timeline.epoch();
        Ok(self.start((timeline, epoch), isolation, false, interrupt))
    }

    /// [`Engine::begin_read_only`] on a timeline.
    pub fn begin_read_only_on(
        &self,
        timeline: TimelineId,
        isolation: Isolation,
        interrupt: Arc<Interrupt>,
    ) -> Result<Transaction> {
        let timeline = self.inner().timelines.get(timeline)?;
        let epoch = timeline.epoch();
        Ok(self.start((timeline, epoch), isolation, true, interrupt))
    }

    /// [`Engine::begin_deferrable`] on a timeline.
    pub fn begin_deferrable_on(
        &self,
        timeline: TimelineId,
        interrupt: Arc<Interrupt>,
    ) -> Result<Transaction> {
        let isolation = Isolation::Serializable;
        let mut transaction = self.begin_read_only_on(timeline, isolation, interrupt)?;
        transaction.defer()?;
        Ok(transaction)
    }

    /// [`Engine::view_at`] of a timeline. Before its fork that shows what its parent showed.
    pub fn view_at_on(&self, timeline: TimelineId, ts: Ts) -> Result<ReadView> {
        self.view_in(&self.inner().timelines.get(timeline)?, ts)
    }

    /// [`Engine::latest_view`] of a timeline.
    pub fn latest_view_on(&self, timeline: TimelineId) -> Result<ReadView> {
        let timeline = self.inner().timelines.get(timeline)?;
        let latest = || self.inner().latest();
        Ok(self.inner().view_now(&timeline, latest, None))
    }

    /// [`Engine::visible_view`] of a timeline.
    pub fn visible_view_on(&self, timeline: TimelineId) -> Result<ReadView> {
        let timeline = self.inner().timelines.get(timeline)?;
        let visible = || self.inner().log.visible();
        Ok(self.inner().view_now(&timeline, visible, None))
    }

    /// [`Engine::changes`] on a timeline: of a span that begins before its fork, what the timelines above
    /// committed up to there as well.
    pub fn changes_on(
        &self,
        timeline: TimelineId,
        table: &Arc<TableDef>,
        request: ChangesRequest,
    ) -> Result<RowChanges> {
        let timeline = self.inner().timelines.get(timeline)?;
        let view = self.view_between(&timeline, table.id, request.since, request.until)?;
        RowChanges::new(view, table, request)
    }

    /// [`Engine::entry_changes`] on a timeline.
    pub fn entry_changes_on(
        &self,
        timeline: TimelineId,
        collection: CollectionId,
        since: Ts,
        until: Ts,
        which: Changes,
    ) -> Result<EntryChanges> {
        let timeline = self.inner().timelines.get(timeline)?;
        let view = self.view_between(&timeline, collection, since, until)?;
        EntryChanges::new(view, collection, since, which)
    }

    /// The rows of a table that anybody wrote on a timeline after `since`, up to `until`.
    pub fn touched_on(
        &self,
        timeline: TimelineId,
        table: CollectionId,
        since: Ts,
        until: Ts,
    ) -> Result<TouchedRows> {
        let timeline = self.inner().timelines.get(timeline)?;
        let view = self.view_between(&timeline, table, since, until)?;
        TouchedRows::new(&view, table, since)
    }

    /// The sequence's next value, `None` when it is exhausted. Never rolled back.
    pub fn sequence_next(&self, id: CollectionId, spec: &SequenceSpec) -> Result<Option<i64>> {
        self.sequence_next_on(self.main_timeline(), id, spec)
    }

    /// [`Engine::sequence_next`] on a timeline: no other timeline gives the same value.
    pub fn sequence_next_on(
        &self,
        timeline: TimelineId,
        id: CollectionId,
        spec: &SequenceSpec,
    ) -> Result<Option<i64>> {
        self.inner().timelines.get(timeline)?;
        let sequences = &self.inner().sequences;
        sequences.next(timeline, id, spec, |edit| self.log_sequence(edit))
    }

    /// PostgreSQL's `setval`.
    pub fn sequence_set(&self, id: CollectionId, value: i64, is_called: bool) -> Result<()> {
        self.sequence_set_on(self.main_timeline(), id, value, is_called)
    }

    /// [`Engine::sequence_set`] on a timeline. When there are several, values are not given again: the
    /// sequence goes on behind what any of them gave.
    pub fn sequence_set_on(
        &self,
        timeline: TimelineId,
        id: CollectionId,
        value: i64,
        is_called: bool,
    ) -> Result<()> {
        self.inner().timelines.get(timeline)?;
        let state = SequenceState { value, is_called };
        let sequences = &self.inner().sequences;
        sequences.set(timeline, id, state, |edit| self.log_sequence(edit))
    }

    fn log_sequence(&self, edit: SequenceEdit) -> Result<()> {
        self.inner().log.push(Record::sequence(edit)).map(|_| ())
    }

    /// The last value and whether it was handed out, as `SELECT last_value, is_called` shows; `None`
    /// when the sequence was never used.
    pub fn sequence_state(&self, id: CollectionId) -> Option<(i64, bool)> {
        self.sequence_state_on(self.main_timeline(), id)
    }

    /// [`Engine::sequence_state`] as a timeline shows it.
    pub fn sequence_state_on(&self, timeline: TimelineId, id: CollectionId) -> Option<(i64, bool)> {
        let state = self.inner().sequences.state(timeline, id);
        state.map(|state| (state.value, state.is_called))
    }

    /// Where a sequence goes on, whichever timeline asks for the next value: the last value that any was given.
    pub fn sequence_counter(&self, id: CollectionId) -> Option<(i64, bool)> {
        let state = self.inner().sequences.counter(id);
        state.map(|state| (state.value, state.is_called))
    }

    /// Take over from another database what a timeline shows of a sequence, and, if `moves`, how it goes on. It
    /// is durable when whatever comes later is.
    pub fn load_sequence(
        &self,
        timeline: TimelineId,
        (id, value, is_called): (CollectionId, i64, bool),
        moves: bool,
    ) -> Result<()> {
        self.inner().timelines.get(timeline)?;
        let state = SequenceState { value, is_called };
        let sequences = &self.inner().sequences;
        sequences.load(timeline, id, state, moves, |edit| self.log_sequence(edit))
    }

    /// All sequences that were ever used, as [`Engine::sequence_state`] gives them.
    pub fn sequences(&self) -> Vec<(CollectionId, i64, bool)> {
        self.sequences_on(self.main_timeline())
    }

    /// [`Engine::sequences`] as a timeline shows them.
    pub fn sequences_on(&self, timeline: TimelineId) -> Vec<(CollectionId, i64, bool)> {
        let all = self.inner().sequences.all(timeline).into_iter();
        all.map(|(id, state)| (id, state.value, state.is_called))
            .collect()
    }
}
