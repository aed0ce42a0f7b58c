//! The third part of a load: branches and tags, when the main timeline is whole.
//!
//! 1. All timelines are made at once, with their ids, by one record of the engine's log. The main one gets its note.
//! 2. Per branch, parents first: its entries are published, which tell of its tables; then its rows, with the
//!    entries of indexes that follow from them and from what the rows were at the fork.
//! 3. What the branch shows of sequences.
//!
//! Of an index the branch has its own entries, and those of above up to the fork. So whoever stands above has those of
//! indexes that it dropped since, up to then. Of an index that was not there at the fork the branch has all.

use std::collections::BTreeSet;
use std::sync::Arc;

use heliosdb_storage::catalog::{CATALOG, catalog_key, decode_table};
use heliosdb_storage::ids::{CollectionId, ColumnId, RowId, TimelineId, Ts};
use heliosdb_storage::schema::{Retention, TableDef};
use heliosdb_storage::view::{EverTable, RowVersions};
use heliosdb_storage::{
    Engine, LoadedState, LoadedTimeline, Loader, ReadView, SortedLoader, TableLoader,
};

use super::state::push;
use super::tables::{check, forks};
use crate::digest::{TableDigest, VersionsDigest, ids};
use crate::error::{Error, Result, counted};
use crate::manifest::{BranchManifest, Manifest, TableManifest};
use crate::options::LoadOptions;
use crate::progress::Progress;
use crate::reader::{Dump, Rows};

/// Rows that are looked up at once.
const LOOKUP_ROWS: usize = 4096;

/// Load the branches of the dump, if it has any. [`load_tables`](super::load_tables) must have been done.
///
/// # Errors
///
/// `Content` when something is not what the manifest says; what was published before stays.
pub fn load_branches(
    dump: &Dump,
    engine: &Engine,
    options: &LoadOptions,
    progress: &dyn Progress,
) -> Result<()> {
    let manifest = dump.manifest();
    let Some(all) = &manifest.branches else {
        return Ok(());
    };
    if engine.main_timeline().0 != all.timelines.main {
        let found = engine.main_timeline();
        let what = "the main timeline of the database";
        return Err(Error::content(what, all.timelines.main, found));
    }
    let timelines = all.branches.iter().map(|branch| LoadedTimeline {
        id: TimelineId(branch.id),
        name: branch.name.clone(),
        note: branch.note.clone().into_bytes(),
        parent: TimelineId(branch.parent),
        fork_ts: Ts(branch.fork_ts),
    });
    let timelines: Vec<LoadedTimeline> = timelines.collect();
    engine.load_timelines(TimelineId(all.timelines.next), &timelines)?;
    if !all.note.is_empty() {
        engine.note_timeline(engine.main_timeline(), all.note.as_bytes())?;
    }
    let mut sequences: BTreeSet<u32> = manifest.sequences.iter().map(|s| s.collection).collect();
    for branch in &all.branches {
        let tables = branch.tables.iter();
        let rows = tables.map(|t| t.rows + t.superseded + t.removed).sum();
        let what = format!("loading {}, rows", branch.label());
        progress.begin(&what, Some(rows));
        let load = BranchLoad {
            dump,
            branch,
            engine,
            options,
            progress,
        };
        load.entries(manifest)?;
        load.tables(manifest)?;
        progress.end();
        for shown in &branch.sequences {
            let counter = all
                .counters
                .iter()
                .find(|c| c.collection == shown.collection);
            if let Some(counter) = counter.filter(|_| sequences.insert(shown.collection)) {
                let id = CollectionId(counter.collection);
                let state = (id, counter.value, counter.is_called);
                engine.load_sequence(TimelineId(branch.id), state, true)?;
            }
            let state = (CollectionId(shown.collection), shown.value, shown.is_called);
            engine.load_sequence(TimelineId(branch.id), state, false)?;
        }
    }
    Ok(())
}

struct BranchLoad<'a> {
    dump: &'a Dump,
    branch: &'a BranchManifest,
    engine: &'a Engine,
    options: &'a LoadOptions,
    progress: &'a dyn Progress,
}

impl BranchLoad<'_> {
    fn loader(&self) -> Result<Loader> {
        let options = heliosdb_storage::LoadOptions {
            memory_bytes: self.options.memory_bytes,
            interrupt: Arc::clone(&self.options.interrupt),
            ..Default::default()
        };
        let branch = TimelineId(self.branch.id);
        Ok(self.engine.loader_on(branch, options)?)
    }

    /// What there is besides rows. The history of all that was there before stays what it is.
    fn state(&self, manifest: &Manifest) -> LoadedState {
        LoadedState {
            last_ts: Ts(manifest.snapshot_ts),
            history_from: Ts::ZERO,
            next_collection: self.engine.next_collection(),
            ..LoadedState::default()
        }
    }

    fn entries(&self, manifest: &Manifest) -> Result<()> {
        let loader = self.loader()?;
        let mut current: Option<(CollectionId, SortedLoader)> = None;
        let mut sum = VersionsDigest::default();
        for entry in self.dump.branch_entries(self.branch.id)? {
            let (collection, version) = entry?;
            let sorted = match current.take() {
                Some((id, sorted)) if id == collection => sorted,
                before => {
                    if let Some((_, sorted)) = before {
                        sorted.finish()?;
                    }
                    loader.sorted(collection)?
                }
            };
            sum.add(collection, &version);
            let (_, sorted) = current.insert((collection, sorted));
            push(sorted, &version)?;
        }
        if let Some((_, sorted)) = current {
            sorted.finish()?;
        }
        let say = |versions, digest| format!("{}, digest {digest}", counted(versions, "version"));
        let expected = say(self.branch.entries, self.branch.entries_digest);
        let found = say(sum.versions, sum.digest);
        if expected != found {
            let what = format!("the catalog of {}", self.branch.label());
            return Err(Error::content(what, expected, found));
        }
        Ok(loader.publish(self.state(manifest))?)
    }

    fn tables(&self, manifest: &Manifest) -> Result<()> {
        let branch = TimelineId(self.branch.id);
        let view = self.engine.latest_view_on(branch)?;
        let at_fork = self.engine.view_at_on(branch, Ts(self.branch.fork_ts))?;
        let mut dropped = view.dropped_indexes(&forks(manifest, self.branch.id))?;
        let loader = self.loader()?;
        let mut state = self.state(manifest);
        let mut known = BTreeSet::new();
        for table in view.tables_ever()? {
            let id = table.def.id;
            known.insert(id.0);
            let before = match at_fork.get(CATALOG, &catalog_key(id))? {
                Some(value) => Some(indexes_of(&decode_table(id, &value)?)),
                None => None,
            };
            let dropped = dropped.remove(&id).unwrap_or_default();
            // Nothing of a table that was not there is to be had from above.
            let anew = match &before {
                None => Vec::new(),
                Some(before) => {
                    let mut anew = indexes_of(&table.def);
                    anew.extend(dropped.iter().map(|index| index.id));
                    anew.retain(|index| !before.contains(index));
                    anew
                }
            };
            let own = self.branch.table(id.0);
            // What was temporary has no past, at the fork either.
            let is_gone = !table.live && table.def.retention == Some(Retention::NONE);
            if own.is_none() && (is_gone || anew.is_empty()) {
                continue;
            }
            let job = TableLoad {
                load: self,
                table: &table,
                own,
                at_fork: before.is_some().then_some(&at_fork),
            };
            let def = job.def(&view)?;
            let mut rows = loader.branch_table(&def, &dropped, &anew, own.is_some())?;
            job.rows(&mut rows)?;
            job.inherited(&mut rows)?;
            rows.finish()?;
            if let Some(own) = own {
                state.next_rows.push((id, RowId(own.next_row)));
                let from = own.oldest_ts.filter(|_| before.is_none());
                state.tables_from.extend(from.map(|from| (id, Ts(from))));
            }
        }
        let mut tables = self.branch.tables.iter();
        if let Some(unknown) = tables.find(|t| !known.contains(&t.collection)) {
            let what = format!("table {} of {}", unknown.label(), self.branch.label());
            let found = "nothing in the catalog";
            return Err(Error::content(what, "it is there", found));
        }
        Ok(loader.publish(state)?)
    }
}

fn indexes_of(def: &TableDef) -> Vec<CollectionId> {
    def.indexes.iter().map(|index| index.id).collect()
}

/// A table of a branch that has rows, or indexes, of its own.
struct TableLoad<'a> {
    load: &'a BranchLoad<'a>,
    table: &'a EverTable,
    own: Option<&'a TableManifest>,
    /// If the table was there.
    at_fork: Option<&'a ReadView>,
}

impl TableLoad<'_> {
    /// The newest definition, and its codecs where the table is there.
    fn def(&self, view: &ReadView) -> Result<TableDef> {
        let mut def = TableDef::clone(&self.table.def);
        if self.table.live {
            let value = view.get(CATALOG, &catalog_key(def.id))?;
            let real = decode_table(def.id, &value.unwrap_or_default())?;
            for (column, real) in def.columns.iter_mut().zip(real.columns) {
                if !real.dropped {
                    column.compression = real.compression;
                }
            }
        }
        if let Some(own) = self.own
            && own.columns.len() != def.columns.len()
        {
            let what = format!("table {} of {}", own.label(), self.load.branch.label());
            let columns = |n: usize| counted(n as u64, "column");
            let (expected, found) = (columns(own.columns.len()), columns(def.columns.len()));
            return Err(Error::content(what, expected, found));
        }
        Ok(def)
    }

    fn versions(&self, which: RowVersions) -> Result<Rows<'_>> {
        let (branch, table) = (self.load.branch.id, self.table.def.id.0);
        self.load.dump.branch_rows(branch, table, which)
    }

    fn rows(&self, loader: &mut TableLoader) -> Result<()> {
        let Some(own) = self.own else {
            return Ok(());
        };
        let dropped: Vec<bool> = own.columns.iter().map(|column| column.dropped).collect();
        let mut digest = TableDigest::new(&dropped);
        let mut removed = 0;
        for which in [
            RowVersions::Current,
            RowVersions::Superseded,
            RowVersions::Removed,
        ] {
            for batch in self.versions(which)? {
                let batch = batch?;
                match which {
                    RowVersions::Current => {
                        digest.add_current(&batch)?;
                        loader.push_current(&batch)?;
                    }
                    RowVersions::Superseded => {
                        digest.add_superseded(&batch)?;
                        loader.push_superseded(&batch)?;
                    }
                    RowVersions::Removed => {
                        removed += batch.num_rows() as u64;
                        loader.push_removed(&batch)?;
                    }
                }
                self.load.progress.advance(batch.num_rows() as u64);
            }
        }
        if removed != own.removed {
            let branch = self.load.branch.label();
            let what = format!("removed rows of {} of {branch}", own.label());
            return Err(Error::content(what, own.removed, removed));
        }
        check(own, &digest)
    }

    /// The rows that the branch has from above, as they were at the fork: those that it wrote or deleted, and all of
    /// them where an index needs that.
    fn inherited(&self, loader: &mut TableLoader) -> Result<()> {
        let Some(at_fork) = self.at_fork else {
            return Ok(());
        };
        let mut touched = Touched::new(self)?;
        let width = self.table.def.columns.len();
        if loader.wants_all_inherited() {
            let mut next = touched.next()?;
            for batch in at_fork.row_versions(&self.table.def, RowVersions::Current)? {
                self.load.options.interrupt.check()?;
                let batch = batch?;
                let mut ends = Vec::with_capacity(batch.num_rows());
                for row in ids(&batch, width)? {
                    while next.is_some_and(|(touched, _)| touched < *row) {
                        next = touched.next()?;
                    }
                    let end = next.filter(|(touched, _)| touched == row);
                    ends.push(end.map(|(_, ts)| ts));
                }
                loader.push_inherited(&batch, &ends)?;
            }
            return Ok(());
        }
        let columns: Vec<ColumnId> = (0..width).map(|i| ColumnId(i as u16)).collect();
        loop {
            self.load.options.interrupt.check()?;
            let mut some: Vec<(u64, u64)> = Vec::new();
            while some.len() < LOOKUP_ROWS
                && let Some(next) = touched.next()?
            {
                some.push(next);
            }
            if some.is_empty() {
                return Ok(());
            }
            let rows: Vec<RowId> = some.iter().map(|(row, _)| RowId(*row)).collect();
            let batch = at_fork.rows(&self.table.def, &rows, &columns, true)?;
            let mut firsts = some.iter();
            let ends = ids(&batch, width)?.iter().map(|row| {
                let first = firsts.find(|(touched, _)| touched == row);
                first.map(|(_, ts)| *ts)
            });
            let ends: Vec<Option<u64>> = ends.collect();
            loader.push_inherited(&batch, &ends)?;
        }
    }
}

/// The rows that a branch wrote or deleted, by rising RowId, and when it did so for the first time.
struct Touched<'a> {
    versions: Vec<Begins<'a>>,
}

impl<'a> Touched<'a> {
    fn new(table: &'a TableLoad<'a>) -> Result<Touched<'a>> {
        let width = table.table.def.columns.len();
        let mut versions = Vec::new();
        for (which, width) in [
            (RowVersions::Current, width),
            (RowVersions::Superseded, width),
            (RowVersions::Removed, 0),
        ] {
            let mut begins = Begins {
                batches: table.versions(which)?,
                width,
                read: Vec::new().into_iter(),
                next: None,
            };
            begins.advance()?;
            versions.push(begins);
        }
        Ok(Touched { versions })
    }

    fn next(&mut self) -> Result<Option<(u64, u64)>> {
        let rows = self.versions.iter().filter_map(|versions| versions.next);
        let Some((row, _)) = rows.min() else {
            return Ok(None);
        };
        let mut first = u64::MAX;
        for versions in &mut self.versions {
            while let Some((_, ts)) = versions.next.filter(|(other, _)| *other == row) {
                first = first.min(ts);
                versions.advance()?;
            }
        }
        Ok(Some((row, first)))
    }
}

/// Versions by rising RowId, and when they begin.
struct Begins<'a> {
    batches: Rows<'a>,
    /// Columns before the RowId.
    width: usize,
    read: std::vec::IntoIter<(u64, u64)>,
    next: Option<(u64, u64)>,
}

impl Begins<'_> {
    fn advance(&mut self) -> Result<()> {
        loop {
            self.next = self.read.next();
            if self.next.is_some() {
                return Ok(());
            }
            let Some(batch) = self.batches.next() else {
                return Ok(());
            };
            let batch = batch?;
            let (rows, begins) = (ids(&batch, self.width)?, ids(&batch, self.width + 1)?);
            let read: Vec<(u64, u64)> = rows.iter().copied().zip(begins.iter().copied()).collect();
            self.read = read.into_iter();
        }
    }
}
