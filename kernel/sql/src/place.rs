//! Where a session reads and writes: the timeline that everybody is on, or a branch.
//!
//! Who is on no branch follows the name `main`: after a restore in place that is another timeline. A branch is
//! told by its id, so a session stays on it when it is renamed, and is told when it is dropped.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use heliosdb_storage::ids::{CollectionId, TimelineId, Ts};
use heliosdb_storage::{Engine, Interrupt, Isolation, ReadView, SequenceSpec, Transaction};

use crate::branch::{Note, is_frozen_note};
use crate::error::{Result, SqlError, state};

/// The branch that a session is on, which functions and plans of its statements look at.
#[derive(Debug, Default)]
pub(crate) struct Chosen(AtomicU32);

impl Chosen {
    /// `None` for the main timeline.
    pub fn get(&self) -> Option<TimelineId> {
        match self.0.load(Ordering::Relaxed) {
            0 => None,
            id => Some(TimelineId(id)),
        }
    }

    pub fn set(&self, branch: Option<TimelineId>) {
        let id = branch.map_or(0, |id| id.0);
        self.0.store(id, Ordering::Relaxed);
    }
}

/// A timeline of a database.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    engine: &'a Engine,
    branch: Option<TimelineId>,
}

impl<'a> Place<'a> {
    pub fn new(engine: &'a Engine, branch: Option<TimelineId>) -> Place<'a> {
        Place { engine, branch }
    }

    /// What is durable now.
    ///
    /// # Errors
    ///
    /// 42704 when the branch was dropped; so with the others.
    pub fn visible_view(&self) -> Result<ReadView> {
        match self.branch {
            None => Ok(self.engine.visible_view()),
            Some(branch) => gone(self.engine.visible_view_on(branch)),
        }
    }

    pub fn begin(
        &self,
        isolation: Isolation,
        read_only: bool,
        interrupt: Arc<Interrupt>,
    ) -> Result<Transaction> {
        match (self.branch, read_only) {
            (None, false) => Ok(self.engine.begin(isolation, interrupt)),
            (None, true) => Ok(self.engine.begin_read_only(isolation, interrupt)),
            (Some(branch), false) => gone(self.engine.begin_on(branch, isolation, interrupt)),
            (Some(branch), true) => {
                gone(self.engine.begin_read_only_on(branch, isolation, interrupt))
            }
        }
    }

    pub fn begin_deferrable(&self, interrupt: Arc<Interrupt>) -> Result<Transaction> {
        match self.branch {
            None => Ok(self.engine.begin_deferrable(interrupt)?),
            Some(branch) => gone(self.engine.begin_deferrable_on(branch, interrupt)),
        }
    }

    /// The timeline that it is now.
    pub fn id(&self) -> TimelineId {
        self.branch.unwrap_or_else(|| self.engine.main_timeline())
    }

    pub fn sequence_next(&self, id: CollectionId, spec: &SequenceSpec) -> Result<Option<i64>> {
        gone(self.engine.sequence_next_on(self.id(), id, spec))
    }

    pub fn sequence_set(&self, id: CollectionId, value: i64, is_called: bool) -> Result<()> {
        gone(self.engine.sequence_set_on(self.id(), id, value, is_called))
    }

    /// The last value as this timeline shows it, and whether it was given.
    pub fn sequence_state(&self, id: CollectionId) -> Option<(i64, bool)> {
        self.engine.sequence_state_on(self.id(), id)
    }
}

/// A view of a timeline at a time.
pub(crate) fn view_on(engine: &Engine, timeline: TimelineId, ts: Ts) -> Result<ReadView> {
    gone(engine.view_at_on(timeline, ts))
}

/// What is durable now on branches, one view of each for all that a statement reads there.
#[derive(Default)]
pub(crate) struct Others(RefCell<BTreeMap<TimelineId, ReadView>>);

impl Others {
    pub fn view(&self, engine: &Engine, timeline: TimelineId) -> Result<ReadView> {
        if let Some(known) = self.0.borrow().get(&timeline) {
            return Ok(known.clone());
        }
        let view = gone(engine.visible_view_on(timeline))?;
        self.0.borrow_mut().insert(timeline, view.clone());
        Ok(view)
    }
}

/// The timeline whose privileges, owners and policies are in force for what a view shows.
pub(crate) fn in_force(engine: &Engine, view: &ReadView) -> Result<TimelineId> {
    let history = gone(engine.timeline_at(view.timeline(), view.ts()))?;
    in_force_on(engine, history)
}

/// The timeline whose privileges, owners and policies are in force for the history of another: its own. Nobody can
/// take a right away on a tag, so there it is what the tag was made of; and what the main timeline goes on from
/// since it was restored is the main one's.
pub(crate) fn in_force_on(engine: &Engine, history: TimelineId) -> Result<TimelineId> {
    let mut line = history;
    while line != engine.main_timeline() {
        let (parent, note) = gone(engine.timeline_base(line))?;
        match parent.filter(|_| is_frozen_note(&note)) {
            Some(parent) => line = parent,
            None => break,
        }
    }
    let mut above = Some(engine.main_timeline());
    while let Some(timeline) = above {
        if timeline == line {
            return Ok(engine.main_timeline());
        }
        above = gone(engine.timeline_base(timeline))?.0;
    }
    Ok(line)
}

/// The timeline of a name.
///
/// # Errors
///
/// 42704 when there is none.
pub(crate) fn named(engine: &Engine, name: &str) -> Result<TimelineId> {
    engine.timeline(name).ok_or_else(|| {
        SqlError::new(
            state::UNDEFINED_OBJECT,
            format!("branch \"{name}\" does not exist"),
        )
    })
}

/// What a timeline goes on from, and what is noted of it; nothing of one that was made without SQL.
///
/// # Errors
///
/// 42704 for one that is gone, XX001 for a note that cannot be read.
pub(crate) fn noted(engine: &Engine, timeline: TimelineId) -> Result<(Option<TimelineId>, Note)> {
    let (parent, note) = gone(engine.timeline_base(timeline))?;
    Ok((parent, Note::read(&note)?))
}

/// Says of a timeline that is not there what users know of it.
fn gone<T>(result: heliosdb_storage::Result<T>) -> Result<T> {
    result.map_err(|error| match error {
        heliosdb_storage::Error::UnknownTimeline { .. } => SqlError::new(
            state::UNDEFINED_OBJECT,
            "the branch of this session was dropped",
        )
        .with_hint("SET branch = 'main' chooses another one."),
        error => error.into(),
    })
}
