//! A database held against a dump: the tables, by content.
//!
//! Everything is read back through the engine, the way queries read it, and hashed; nothing of what
//! the load knew is used. Per table:
//!
//! * the **current content**: the digests of the values and of each column, and of all versions with
//!   their RowIds and times. What somebody changed since the load is a difference; to tell it from a
//!   fault of the load, the table is then compared AS OF the dump's snapshot, too;
//! * the **history**: what is visible AS OF a few commit times, against the dump's versions that
//!   should be ([`history`]);
//! * the **indexes**: their entries against the rows ([`indexes`]).
//!
//! Branches are compared apart ([`branches`]).
//!
//! Tables that only the database has are not looked at. What a table is called there is not known
//! here; it is found by its collection id, which a load keeps.

mod branches;
mod content;
mod history;
mod indexes;

use std::collections::HashMap;
use std::sync::Arc;

use heliosdb_storage::ids::{CollectionId, Ts};
use heliosdb_storage::schema::TableDef;
use heliosdb_storage::{Engine, ReadView};
use serde::Serialize;

use crate::crew::{self, Work};
use crate::error::Result;
use crate::manifest::TableManifest;
use crate::options::CompareOptions;
use crate::progress::Progress;
use crate::reader::Dump;

pub use branches::{BranchComparison, BranchTable, compare_branches};

use content::Content;

/// Tables are read on as many threads.
const THREADS: usize = 2;

/// One table of the dump, and what the database has of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TableComparison {
    pub collection: u32,
    /// In the dump.
    pub name: String,
    /// In the dump, and found.
    pub rows: u64,
    pub found_rows: u64,
    /// In the dump, and found: versions that were replaced or deleted.
    pub superseded: u64,
    pub found_superseded: u64,
    /// The current rows have the same values.
    pub values_equal: bool,
    /// Names of columns whose values are others. None when rows only exchanged values.
    pub columns: Vec<String>,
    /// All versions have the same values, RowIds and times.
    pub versions_equal: bool,
    /// When something differs now: whether AS OF the dump's snapshot nothing does.
    pub snapshot_equal: Option<bool>,
    pub history: Vec<HistoryComparison>,
    pub indexes: Vec<IndexComparison>,
    /// What else differs, one line each.
    pub problems: Vec<String>,
}

/// The content AS OF one commit of the past.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HistoryComparison {
    pub ts: u64,
    /// By the dump's versions, and found.
    pub rows: u64,
    pub found_rows: u64,
    pub equal: bool,
}

/// An index's entries and the rows they should be of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct IndexComparison {
    pub collection: u32,
    /// Rows of the table, and entries found.
    pub rows: u64,
    pub entries: u64,
    pub equal: bool,
}

impl TableComparison {
    /// Whether nothing differs.
    pub fn is_equal(&self) -> bool {
        self.values_equal
            && self.versions_equal
            && self.problems.is_empty()
            && self.history.iter().all(|sample| sample.equal)
            && self.indexes.iter().all(|index| index.equal)
    }
}

/// Compare every table of the dump with what `engine` has, in the manifest's order.
pub fn compare_tables(
    dump: &Dump,
    engine: &Engine,
    options: &CompareOptions,
    progress: &dyn Progress,
) -> Result<Vec<TableComparison>> {
    let manifest = dump.manifest();
    let (now, then) = (
        Shown::new(engine.latest_view())?,
        Shown::new(engine.view_at(Ts(manifest.snapshot_ts))?)?,
    );
    let mut tasks = Vec::new();
    let mut rows = 0;
    for (place, table) in manifest.tables.iter().enumerate() {
        tasks.push((place, Task::Content));
        rows += table.rows + table.superseded;
        let oldest = table.oldest_ts.unwrap_or(manifest.oldest_ts);
        let times = samples(table, oldest, options.history_samples);
        if !times.is_empty() {
            rows += table.rows * times.len() as u64;
            tasks.push((place, Task::History(times)));
        }
        let def = now.definition(table.collection)?;
        for index in def
            .filter(|_| options.indexes)
            .map_or(0..0, |def| 0..def.indexes.len())
        {
            rows += table.rows;
            tasks.push((place, Task::Index(index)));
        }
    }
    // The largest first, so that the others fit beside them.
    tasks.sort_by_key(|(place, _)| std::cmp::Reverse(manifest.tables[*place].rows));
    progress.begin("comparing tables, rows", Some(rows));
    let comparing = Comparing {
        dump,
        engine,
        now,
        then,
        tasks,
        options,
        progress,
    };
    let mut found = crew::run(&comparing, 0..comparing.tasks.len(), THREADS)?;
    progress.end();
    found.sort_by_key(|(task, _)| *task);
    Ok(comparing.put_together(found))
}

/// Some of a table's commit times AS OF which it can be read, evenly over all that the dump names.
fn samples(table: &TableManifest, oldest: u64, wanted: usize) -> Vec<u64> {
    let all = table.samples.iter().copied().filter(|ts| *ts >= oldest);
    let all: Vec<u64> = all.collect();
    let wanted = wanted.min(all.len());
    let place = |i: usize| (2 * i + 1) * all.len() / (2 * wanted);
    (0..wanted).map(|i| all[place(i)]).collect()
}

/// What is done with a table.
enum Task {
    Content,
    History(Vec<u64>),
    Index(usize),
}

enum Found {
    Content(Content),
    History(Vec<HistoryComparison>),
    Index(Option<IndexComparison>),
}

/// A view, and the tables it knows of.
struct Shown {
    view: ReadView,
    /// The newest definitions with dropped columns as if they were live, and whether the table is
    /// there.
    tables: HashMap<u32, (Arc<TableDef>, bool)>,
}

impl Shown {
    fn new(view: ReadView) -> Result<Shown> {
        let tables = view.tables_ever()?.into_iter();
        let tables = tables.map(|table| (table.def.id.0, (table.def, table.live)));
        Ok(Shown {
            tables: tables.collect(),
            view,
        })
    }

    /// The definition that the view shows, if it shows one.
    fn definition(&self, collection: u32) -> Result<Option<TableDef>> {
        use heliosdb_storage::catalog::{CATALOG, catalog_key, decode_table};
        let id = CollectionId(collection);
        match self.view.get(CATALOG, &catalog_key(id))? {
            Some(value) => Ok(Some(decode_table(id, &value)?)),
            None => Ok(None),
        }
    }
}

struct Comparing<'a> {
    dump: &'a Dump,
    engine: &'a Engine,
    now: Shown,
    /// AS OF the dump's snapshot.
    then: Shown,
    /// Each with the place of its table in the manifest.
    tasks: Vec<(usize, Task)>,
    options: &'a CompareOptions,
    progress: &'a dyn Progress,
}

impl Work for Comparing<'_> {
    type Piece = ();
    type Done = Found;

    fn pieces(&self, _task: usize) -> usize {
        0
    }

    fn prepare(&self, _task: usize, _piece: usize) -> Result<()> {
        Ok(())
    }

    fn task(&self, task: usize, _next: &mut dyn FnMut() -> Result<Option<()>>) -> Result<Found> {
        let (place, task) = &self.tasks[task];
        let table = &self.dump.manifest().tables[*place];
        Ok(match task {
            Task::Content => Found::Content(content::compare(self, table)?),
            Task::History(times) => Found::History(history::compare(self, table, times)?),
            Task::Index(index) => Found::Index(indexes::compare(self, table, *index)?),
        })
    }
}

impl Comparing<'_> {
    /// One comparison per table, in the manifest's order.
    fn put_together(&self, found: Vec<(usize, Found)>) -> Vec<TableComparison> {
        let tables = self.dump.manifest().tables.iter();
        let mut comparisons: Vec<TableComparison> = tables
            .map(|table| TableComparison {
                collection: table.collection,
                name: table.label(),
                rows: table.rows,
                found_rows: 0,
                superseded: table.superseded,
                found_superseded: 0,
                values_equal: false,
                columns: Vec::new(),
                versions_equal: false,
                snapshot_equal: None,
                history: Vec::new(),
                indexes: Vec::new(),
                problems: Vec::new(),
            })
            .collect();
        for (task, found) in found {
            let comparison = &mut comparisons[self.tasks[task].0];
            match found {
                Found::Content(content) => {
                    comparison.found_rows = content.rows;
                    comparison.found_superseded = content.superseded;
                    comparison.values_equal = content.values_equal;
                    comparison.columns = content.columns;
                    comparison.versions_equal = content.versions_equal;
                    comparison.snapshot_equal = content.snapshot_equal;
                    comparison.problems.extend(content.problem);
                }
                Found::History(history) => comparison.history = history,
                Found::Index(index) => comparison.indexes.extend(index),
            }
        }
        comparisons
    }
}
