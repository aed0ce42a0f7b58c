//! A merge: what one branch did since the two last had the same is done on another.
//!
//! Three states are compared: the *base* ([`Tree::base`]), the *source* as it is visible when the merge begins,
//! and the *target* as it is when its rows are locked. What only the source changed is taken, what only the
//! target changed stays, and what both changed alike is so. Cells, entries of plugins' stores and fields of
//! definitions are compared each by itself; what both changed to different things is a conflict.
//!
//! | what | where |
//! |---|---|
//! | definitions | [`schema`], and whether they are whole [`gaps`] |
//! | which rows of which tables | [`rows`] |
//! | rows, by their ids and cell by cell | [`cells`] |
//! | unique keys of what is written | [`keys`] |
//! | writing, and constraints | [`write`] |
//! | entries of plugins' stores | [`stores`] |
//! | what is made of a conflict | [`resolve`] |
//!
//! 1. A merge is one transaction of the target, READ COMMITTED, and the merges into one branch go one after
//!    the other. It locks what it writes before it compares, so a writer beside it comes before or after.
//! 2. It reads rows that anybody wrote on the source since the base, and no others: the work grows with those. But
//!    for rows of the target that are to have something in columns that come to it.
//! 3. Nothing is written while a conflict is open. A dry run does all that a merge does, and then rolls back.
//! 4. A row whose conflict the target won is written all the same, as it was: a later merge the other way sees
//!    that the target decided.
//! 5. Where there are several bases, a thing is compared with what they say of it together. Where they disagree,
//!    whatever differs is a conflict.
//! 6. What both had from a branch that was dropped is compared with what it was on both sides when it came. Where that
//!    is not the same, whatever differs is a conflict.

mod cells;
mod gaps;
mod keys;
mod resolve;
mod rows;
mod schema;
mod stores;
mod write;

pub(super) use self::schema::retyped;

use std::collections::BTreeMap;

use heliosdb_plugin_host::services::{Conflict, MergeReport, MergeRequest};
use heliosdb_storage::ids::{CollectionId, RowId, TimelineId, Ts};
use heliosdb_storage::{Changes, Engine, Isolation, RowLockMode};

use self::resolve::Policies;
use super::check_not_frozen;
use super::lineage::{self, Common, MERGES, State, Tree};
use crate::error::{Result, SqlError, state};
use crate::place::Place;
use crate::session::Session;

/// Conflicts that a report tells.
const CONFLICTS_KEPT_MAX: usize = 10_000;

/// What a merge goes by.
struct Sides {
    tree: Tree,
    common: Common,
    /// The commits of either side that brought something of what is lost.
    lost: Vec<Lost>,
    /// Parts of other timelines that the source knows by merges and no base does.
    learned: Vec<(TimelineId, Ts, Ts)>,
    source: State,
    target: TimelineId,
}

impl Sides {
    /// The parts of timelines that `side` shows and no base has: the timeline, and its span.
    fn news(&self, side: State) -> impl Iterator<Item = (TimelineId, Ts, Ts)> {
        let path = self.tree.path(side).into_iter();
        path.filter_map(|(timeline, from, to)| {
            let from = from.max(self.common.known.of(timeline));
            (from < to).then_some((timeline, from, to))
        })
    }

    /// Where the source may differ from the bases: what it shows, and what it learned. What it learned may have left no
    /// trace in what it shows, as a row that came and went elsewhere before it was merged, and yet be a change of what a
    /// base has.
    fn news_of_source(&self) -> impl Iterator<Item = (TimelineId, Ts, Ts)> {
        self.news(self.source).chain(self.learned.iter().copied())
    }

    /// Keys of a sorted collection that both sides had from what is lost, each with the places of the commits that
    /// brought it. The source may have them in another collection than the target.
    fn keys_of_lost(
        &self,
        engine: &Engine,
        (of_source, of_target): (CollectionId, CollectionId),
    ) -> Result<BTreeMap<Vec<u8>, Vec<usize>>> {
        self.brought_by_lost(|lost| {
            let collection = match lost.is_of_source {
                true => of_source,
                false => of_target,
            };
            let (since, every) = (lost.before().ts, Changes::Every);
            let State { timeline, ts } = lost.after;
            let changes = engine.entry_changes_on(timeline, collection, since, ts, every)?;
            changes.map(|change| Ok(change?.key)).collect()
        })
    }

    /// The same of rows.
    fn rows_of_lost(
        &self,
        engine: &Engine,
        table: CollectionId,
    ) -> Result<BTreeMap<RowId, Vec<usize>>> {
        self.brought_by_lost(|lost| {
            let State { timeline, ts } = lost.after;
            let rows = engine.touched_on(timeline, table, lost.before().ts, ts)?;
            rows.map(|row| Ok(row?)).collect()
        })
    }

    fn brought_by_lost<K: Ord>(
        &self,
        brought: impl Fn(&Lost) -> Result<Vec<K>>,
    ) -> Result<BTreeMap<K, Vec<usize>>> {
        let mut found: BTreeMap<K, Vec<usize>> = BTreeMap::new();
        for (place, lost) in self.lost.iter().enumerate() {
            for key in brought(lost)? {
                found.entry(key).or_default().push(place);
            }
        }
        // What came to one of them only, the other does not know.
        found.retain(|_, places| {
            let of_source = |place: &usize| self.lost[*place].is_of_source;
            places.iter().any(of_source) && !places.iter().all(of_source)
        });
        Ok(found)
    }
}

/// A commit of one side that brought something of a branch that is gone.
struct Lost {
    after: State,
    is_of_source: bool,
}

impl Lost {
    fn before(&self) -> State {
        State {
            ts: Ts(self.after.ts.0.saturating_sub(1)),
            ..self.after
        }
    }
}

/// What came of a merge so far.
#[derive(Default)]
struct Progress {
    report: MergeReport,
    policies: Policies,
}

impl Progress {
    /// Takes down a conflict. All are counted, and the first [`CONFLICTS_KEPT_MAX`] told.
    fn conflict(&mut self, conflict: Conflict) {
        self.report.conflicts_found += 1;
        self.report.conflicts_open += u64::from(conflict.resolution.is_none());
        if self.report.conflicts.len() < CONFLICTS_KEPT_MAX {
            self.report.conflicts.push(conflict);
        }
    }

    fn is_open(&self) -> bool {
        self.report.conflicts_open > 0
    }
}

/// A session on another branch than its own, for as long as this lives.
struct Elsewhere<'a> {
    session: &'a mut Session,
    home: Option<TimelineId>,
}

impl Elsewhere<'_> {
    fn go(session: &mut Session, branch: Option<TimelineId>) -> Elsewhere<'_> {
        let home = session.info.branch();
        session.move_to(branch);
        Elsewhere { session, home }
    }
}

impl Drop for Elsewhere<'_> {
    fn drop(&mut self) {
        self.session.move_to(self.home);
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
        // What a merge that fails found is not what the last one did.
        self.info.note_merge(MergeReport::default());
        self.check_no_block("MERGE BRANCH")?;
        self.check_writable("MERGE BRANCH")?;
        // What a branch has in stores of plugins, and functions in its definitions, are anybody's.
        if !self.info.role().superuser {
            return Err(SqlError::new(
                state::INSUFFICIENT_PRIVILEGE,
                "must be superuser to merge branches",
            ));
        }
        if request.source == request.target {
            return Err(SqlError::new(
                state::INVALID_PARAMETER_VALUE,
                "a branch cannot be merged into itself",
            ));
        }
        if request.drop_source {
            self.own_branch(request.source)?;
        }
        let main = self.instance.engine().main_timeline();
        let target = TimelineId(request.target);
        check_not_frozen(&self.instance, target, "MERGE BRANCH")?;
        let there = Elsewhere::go(self, (target != main).then_some(target));
        let (report, merged) = there.session.merge_here(request, target)?;
        drop(there);
        if let Some(merged) = merged.filter(|_| request.drop_source) {
            self.drop_merged(merged)?;
        }
        Ok(report)
    }

    /// Drops a branch that was merged as it was in a state.
    fn drop_merged(&mut self, merged: State) -> Result<()> {
        let (info, _) = self.own_branch(merged.timeline.0)?;
        let engine = self.instance.engine();
        let dropped = engine.drop_timeline_at(info.id, merged.ts);
        match dropped.map_err(super::not_dropped)? {
            true => Ok(()),
            false => Err(SqlError::new(
                state::OBJECT_IN_USE,
                format!(
                    "branch \"{}\" was merged and is not deleted, because it was written to meanwhile",
                    info.name
                ),
            )
            .with_hint("Merge it again.")),
        }
    }

    /// Everything from here on is on a branch. The statement has written nothing, and none of its transaction
    /// stays.
    fn move_to(&mut self, branch: Option<TimelineId>) {
        self.txn.end_unused();
        self.txn.catalog_writer_ends();
        self.put_on(branch);
    }

    /// The report, and the state of the source that is in the target now, unless nothing was done.
    fn merge_here(
        &mut self,
        request: &MergeRequest,
        target: TimelineId,
    ) -> Result<(MergeReport, Option<State>)> {
        let wait = self.lock_wait();
        let transaction = self.begin_for_merge()?;
        if transaction.timeline() != target {
            return Err(SqlError::new(
                state::SERIALIZATION_FAILURE,
                "the branch that is merged into was restored meanwhile",
            ));
        }
        transaction.lock_key(MERGES, &[], RowLockMode::Update, wait)?;
        // Nobody changes a table between two looks at it.
        self.begin_ddl()?;
        let sides = self.sides(TimelineId(request.source), target)?;
        let mut progress = Progress {
            policies: Policies::new(request)?,
            ..Progress::default()
        };
        if let Some(newest) = sides.common.bases.first() {
            progress.report.base = (newest.timeline.0, newest.ts.0);
        }
        let catalogs = self.merge_definitions(&sides, &mut progress)?;
        // Rows are compared by definitions that are merged, and by no others.
        if !progress.is_open() {
            self.merge_stores(&sides, &mut progress)?;
            self.merge_rows(&sides, &catalogs, &mut progress)?;
        }
        if progress.is_open() || request.dry_run {
            self.txn.end_unused();
            return Ok((progress.report, None));
        }
        let merged = sides.tree.knowledge(self.instance.engine(), sides.source)?;
        lineage::note(self.transaction()?, target, &merged)?;
        progress.report.scn = self.commit_merge()?.map(|ts| ts.0);
        Ok((progress.report, Some(sides.source)))
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
        let mut sides = Sides {
            common: tree.common(engine, source, latest)?,
            lost: Vec::new(),
            learned: Vec::new(),
            tree,
            source,
            target,
        };
        let known = &sides.common.known;
        sides.learned = sides.tree.learned(engine, source, known)?;
        if !sides.common.lost.is_empty() {
            let mut lost = Vec::new();
            for (side, is_of_source) in [(source, true), (latest, false)] {
                for span in sides.news(side) {
                    let merges = lineage::merges_of(engine, span, &sides.common.lost)?;
                    lost.extend(merges.into_iter().map(|ts| Lost {
                        after: State {
                            timeline: span.0,
                            ts,
                        },
                        is_of_source,
                    }));
                }
            }
            sides.lost = lost;
        }
        Ok(sides)
    }
}
