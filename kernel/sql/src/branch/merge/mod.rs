//! A merge: what one branch did since the two last had the same is done on another.
//!
//! Three states are compared: the *base* ([`Tree::base`]), the *source* as it is visible when the merge begins,
//! and the *target* as it is when its rows are locked. What only the source changed is taken, what only the
//! target changed stays, and what both changed alike is so. Cells, entries of plugins' stores and fields of
//! definitions are compared each by itself; what both changed to different things is a conflict.
//!
//! | what | where |
//! |---|---|
//! | definitions | [`schema`] |
//! | rows, by their ids and cell by cell | [`rows`] |
//! | entries of plugins' stores | [`stores`] |
//! | what is made of a conflict | [`resolve`] |
//!
//! 1. A merge is one transaction of the target, READ COMMITTED, and the merges into one branch go one after
//!    the other. It locks what it writes before it compares, so a writer beside it comes before or after.
//! 2. It reads rows that anybody wrote on the source since the base, and no others: the work grows with those.
//! 3. Nothing is written while a conflict is open. A dry run does all that a merge does, and then rolls back.
//! 4. A row whose conflict the target won is written all the same, as it was: a later merge the other way sees
//!    that the target decided.

mod resolve;
mod rows;
mod schema;
mod stores;

pub(super) use self::schema::retyped;

use heliosdb_plugin_host::services::{Conflict, MergeReport, MergeRequest};
use heliosdb_storage::ids::{TimelineId, Ts};
use heliosdb_storage::{Isolation, RowLockMode};

use self::resolve::Policies;
use super::check_not_frozen;
use super::lineage::{self, Knowledge, MERGES, State, Tree};
use crate::error::{Result, SqlError, state};
use crate::place::Place;
use crate::session::Session;

/// What a merge goes by.
struct Sides {
    tree: Tree,
    base: State,
    /// What the base has in it.
    known: Knowledge,
    source: State,
    target: TimelineId,
}

impl Sides {
    /// The parts of timelines that `side` shows and the base has not: the timeline, and its span.
    fn news(&self, side: State) -> impl Iterator<Item = (TimelineId, Ts, Ts)> {
        let path = self.tree.path(side).into_iter();
        path.filter_map(|(timeline, from, to)| {
            let from = from.max(self.known.of(timeline));
            (from < to).then_some((timeline, from, to))
        })
    }
}

/// What came of a merge so far.
#[derive(Default)]
struct Progress {
    report: MergeReport,
    policies: Policies,
}

impl Progress {
    /// Takes down a conflict that the policies do not resolve.
    fn conflict(&mut self, conflict: Conflict) {
        self.report.conflicts.push(conflict);
    }

    fn is_open(&self) -> bool {
        let mut conflicts = self.report.conflicts.iter();
        conflicts.any(|conflict| conflict.resolution.is_none())
    }
}

impl Session {
    /// Merges one branch into another, in a transaction of its own.
    ///
    /// # Errors
    ///
    /// 25001 in a transaction block, 42704 for a branch that is not there, 42501 without the privileges that
    /// the merge needs, 72000 when the base is older than what is kept. Conflicts are no error: they are in
    /// the report, and nothing was done while one of them has no resolution.
    pub(crate) fn merge_branches(&mut self, request: &MergeRequest) -> Result<MergeReport> {
        self.check_no_block("MERGE BRANCH")?;
        self.check_writable("MERGE BRANCH")?;
        // What a branch has in stores of plugins, and functions in its definitions, are anybody's.
        if !self.info.role().superuser {
            return Err(SqlError::new(
                state::INSUFFICIENT_PRIVILEGE,
                "must be superuser to merge branches",
            ));
        }
        self.info.note_merge(MergeReport::default());
        if request.source == request.target {
            return Err(SqlError::new(
                state::INVALID_PARAMETER_VALUE,
                "a branch cannot be merged into itself",
            ));
        }
        let home = self.info.branch();
        let main = self.instance.engine().main_timeline();
        let target = TimelineId(request.target);
        check_not_frozen(&self.instance, target, "MERGE BRANCH")?;
        self.move_to((target != main).then_some(target));
        let merged = self.merge_here(request, target);
        if merged.is_err() {
            self.txn.end_unused();
        }
        self.move_to(home);
        merged
    }

    /// Everything from here on is on a branch. The statement has written nothing, and none of its transaction
    /// stays.
    fn move_to(&mut self, branch: Option<TimelineId>) {
        self.txn.end_unused();
        self.txn.catalog_writer_ends();
        self.put_on(branch);
    }

    fn merge_here(&mut self, request: &MergeRequest, target: TimelineId) -> Result<MergeReport> {
        let wait = self.lock_wait();
        let transaction = self.begin_for_merge()?;
        transaction.lock_key(MERGES, &[], RowLockMode::Update, wait)?;
        // Nobody changes a table between two looks at it.
        self.begin_ddl()?;
        let sides = self.sides(TimelineId(request.source), target)?;
        let mut progress = Progress {
            policies: Policies::new(request)?,
            ..Progress::default()
        };
        progress.report.base = (sides.base.timeline.0, sides.base.ts.0);
        let catalogs = self.merge_definitions(&sides, &mut progress)?;
        // Rows are compared by definitions that are merged, and by no others.
        if !progress.is_open() {
            self.merge_stores(&sides, &mut progress)?;
            self.merge_rows(&sides, &catalogs, &mut progress)?;
        }
        if progress.is_open() || request.dry_run {
            self.txn.end_unused();
            return Ok(progress.report);
        }
        let merged = sides.tree.knowledge(self.instance.engine(), sides.source)?;
        lineage::note(self.transaction()?, target, &merged)?;
        progress.report.scn = self.commit_merge()?.map(|ts| ts.0);
        Ok(progress.report)
    }

    fn begin_for_merge(&mut self) -> Result<&mut heliosdb_storage::Transaction> {
        let interrupt = self.interrupt.clone();
        let transaction = self
            .info
            .place()
            .begin(Isolation::ReadCommitted, false, interrupt)?;
        self.txn.begin_with(transaction);
        self.transaction()
    }

    fn sides(&mut self, source: TimelineId, target: TimelineId) -> Result<Sides> {
        let engine = self.instance.engine();
        let tree = Tree::of(engine);
        let visible = Place::new(engine, Some(source)).visible_view()?;
        let source = State {
            timeline: source,
            ts: visible.ts(),
        };
        let latest = State {
            timeline: target,
            ts: engine.latest_view_on(target)?.ts(),
        };
        let (base, known) = tree.base(engine, source, latest)?;
        Ok(Sides {
            tree,
            base,
            known,
            source,
            target,
        })
    }
}
