//! Branches of a database held against those of a dump: what each of them shows, now and in its past.
//!
//! What a branch is to show at a time is worked out of the dump alone: of its own versions those that live then, and
//! of what it has from above those that live at the fork, or then if that is earlier, and that the branch has not
//! decided by then. It is held against what a query finds, with everything that lies between files and queries.
//!
//! Every table that a branch has is compared at its head; one that it wrote to AS OF the fork and of some of its own
//! commits, too, with its indexes. What it wrote to catalogs and stores is compared version by version.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{Field, Schema};
use heliosdb_storage::ids::{CollectionId, ColumnId, TimelineId, Ts};
use heliosdb_storage::schema::TableDef;
use heliosdb_storage::view::RowVersions;
use heliosdb_storage::{Engine, ReadView, ScanRequest};
use serde::Serialize;

use super::history::Sum;
use super::indexes::compare_entries;
use super::{HistoryComparison, IndexComparison, Shown, samples};
use crate::digest::{RowHasher, VersionsDigest, ids};
use crate::error::{Result, counted};
use crate::manifest::{BranchManifest, Manifest};
use crate::options::CompareOptions;
use crate::progress::Progress;
use crate::reader::{Dump, Rows};

/// A branch or tag of the dump, and what the database has of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BranchComparison {
    pub name: String,
    pub tag: bool,
    /// The tables that it has, or wrote to.
    pub tables: Vec<BranchTable>,
    /// What else differs, one line each, and could not come to be by itself.
    pub problems: Vec<String>,
    /// What users may have done since, one line each.
    pub changes: Vec<String>,
}

/// A table of a branch.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BranchTable {
    pub collection: u32,
    /// In the dump.
    pub name: String,
    /// Now, against the dump's snapshot; `None` of a table that the branch had dropped.
    pub head: Option<HistoryComparison>,
    /// When that differs: whether AS OF the snapshot nothing does.
    pub snapshot_equal: Option<bool>,
    pub history: Vec<HistoryComparison>,
    pub indexes: Vec<IndexComparison>,
}

impl BranchComparison {
    /// Whether nothing differs.
    pub fn is_equal(&self) -> bool {
        self.problems.is_empty()
            && self.changes.is_empty()
            && self.tables.iter().all(BranchTable::is_equal)
    }

    /// Whether what differs came to be after the dump was loaded.
    pub fn is_changed_since(&self) -> bool {
        let later = |table: &BranchTable| {
            let past = table.history.iter().all(|past| past.equal);
            let indexes = table.indexes.iter().all(|index| index.equal);
            past && indexes && table.snapshot_equal != Some(false)
        };
        self.problems.is_empty() && self.tables.iter().all(later) && !self.is_equal()
    }
}

impl BranchTable {
    pub fn is_equal(&self) -> bool {
        self.head.as_ref().is_none_or(|head| head.equal)
            && self.history.iter().all(|past| past.equal)
            && self.indexes.iter().all(|index| index.equal)
    }

    /// What differs, one line each.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for past in self
            .head
            .iter()
            .chain(&self.history)
            .filter(|past| !past.equal)
        {
            lines.push(format!(
                "{} AS OF {} has {}, in the dump {}, or rows with other values",
                self.name,
                past.ts,
                counted(past.found_rows, "row"),
                past.rows
            ));
        }
        for index in self.indexes.iter().filter(|index| !index.equal) {
            lines.push(format!(
                "the index of collection {} of {} has {} entries for {}, or entries of other rows",
                index.collection,
                self.name,
                index.entries,
                counted(index.rows, "row")
            ));
        }
        lines
    }
}

/// Compare every branch of the dump with what `engine` has, in the manifest's order.
pub fn compare_branches(
    dump: &Dump,
    engine: &Engine,
    options: &CompareOptions,
    progress: &dyn Progress,
) -> Result<Vec<BranchComparison>> {
    let mut compared = Vec::new();
    for branch in dump.manifest().branches() {
        let what = format!("comparing {}, rows", branch.label());
        progress.begin(&what, None);
        compared.push(compare(dump, engine, branch, options, progress)?);
        progress.end();
    }
    Ok(compared)
}

fn compare(
    dump: &Dump,
    engine: &Engine,
    branch: &BranchManifest,
    options: &CompareOptions,
    progress: &dyn Progress,
) -> Result<BranchComparison> {
    let mut comparison = BranchComparison {
        name: branch.name.clone(),
        tag: branch.tag,
        tables: Vec::new(),
        problems: Vec::new(),
        changes: Vec::new(),
    };
    let mut timelines = engine.timelines().into_iter();
    let Some(info) = timelines.find(|info| info.id.0 == branch.id) else {
        let gone = "the database does not have it".to_owned();
        comparison.changes.push(gone);
        return Ok(comparison);
    };
    let (base, expected) = (info.base, (TimelineId(branch.parent), Ts(branch.fork_ts)));
    if base != Some(expected) {
        let problem = format!("it goes on from {base:?}, in the dump from {expected:?}");
        comparison.problems.push(problem);
        return Ok(comparison);
    }
    if info.name != branch.name {
        let change = format!("it is called {}", info.name);
        comparison.changes.push(change);
    }
    if info.note != branch.note.as_bytes() {
        let change = "its owner or options are others".to_owned();
        comparison.changes.push(change);
    }
    let comparing = Comparing {
        dump,
        engine,
        branch,
        now: Shown::new(engine.latest_view_on(info.id)?)?,
        then: Shown::new(engine.view_at_on(info.id, Ts(dump.manifest().snapshot_ts))?)?,
        options,
        progress,
    };
    comparison.problems.extend(comparing.entries()?);
    comparison.changes.extend(comparing.sequences());
    comparison.tables = comparing.tables()?;
    let known: BTreeSet<u32> = comparison.tables.iter().map(|t| t.collection).collect();
    for table in branch
        .tables
        .iter()
        .filter(|t| !known.contains(&t.collection))
    {
        let problem = format!("it does not have {}", table.label());
        comparison.problems.push(problem);
    }
    Ok(comparison)
}

struct Comparing<'a> {
    dump: &'a Dump,
    engine: &'a Engine,
    branch: &'a BranchManifest,
    now: Shown,
    /// AS OF the dump's snapshot.
    then: Shown,
    options: &'a CompareOptions,
    progress: &'a dyn Progress,
}

/// A timeline whose rows a branch reads, up to a time.
struct Level<'a> {
    /// `None` for the main one.
    branch: Option<&'a BranchManifest>,
    cap: Ts,
    /// The branch that goes on from it, if that is not the first level.
    below: Option<TimelineId>,
}

impl Comparing<'_> {
    fn entries(&self) -> Result<Option<String>> {
        let mut expected: HashMap<CollectionId, VersionsDigest> = HashMap::new();
        for entry in self.dump.branch_entries(self.branch.id)? {
            let (collection, version) = entry?;
            let sum = expected.entry(collection).or_default();
            sum.add(collection, &version);
        }
        let alone = self.then.view.alone();
        let mut different = Vec::new();
        for (collection, expected) in expected {
            let found = VersionsDigest::of(&alone, collection, &self.options.interrupt)?;
            if found != expected {
                different.push(collection.0);
            }
        }
        different.sort_unstable();
        Ok((!different.is_empty()).then(|| {
            format!("AS OF the snapshot, what it wrote to collections {different:?} is another")
        }))
    }

    /// Sequences that do not stand where the dump has them.
    fn sequences(&self) -> Vec<String> {
        let found = self.engine.sequences_on(TimelineId(self.branch.id));
        let found: HashMap<u32, (i64, bool)> = found
            .into_iter()
            .map(|(id, value, is_called)| (id.0, (value, is_called)))
            .collect();
        let expected = self.branch.sequences.iter();
        let moved = expected.filter_map(|s| {
            let name = s.name.as_ref()?;
            let here = found.get(&s.collection).copied();
            let moved = here != Some((s.value, s.is_called));
            moved.then(|| {
                let here = here.map_or("nowhere".to_owned(), |(value, _)| value.to_string());
                format!(
                    "sequence {name} stands at {here}, in the dump at {}",
                    s.value
                )
            })
        });
        moved.collect()
    }

    fn tables(&self) -> Result<Vec<BranchTable>> {
        let mut collections: Vec<u32> = self.then.tables.keys().copied().collect();
        collections.sort_unstable();
        let mut tables = Vec::new();
        for collection in collections {
            let (def, live) = &self.then.tables[&collection];
            let own = self.branch.table(collection);
            if !live && own.is_none() {
                continue;
            }
            tables.push(self.table(def, *live)?);
        }
        Ok(tables)
    }

    fn table(&self, def: &Arc<TableDef>, live: bool) -> Result<BranchTable> {
        let manifest = self.dump.manifest();
        let collection = def.id.0;
        let own = self.branch.table(collection);
        let mut times = Vec::new();
        if let Some(own) = own {
            let oldest = own.oldest_ts.unwrap_or(manifest.oldest_ts);
            times = samples(own, oldest, self.options.history_samples);
            if self.branch.fork_ts >= oldest && self.options.history_samples > 0 {
                times.push(self.branch.fork_ts);
            }
        }
        let mut all = times.clone();
        all.extend(live.then_some(manifest.snapshot_ts));
        let mut expected = self.expected(def, &all)?.into_iter();
        let mut table = BranchTable {
            collection,
            name: self.label(collection),
            head: None,
            snapshot_equal: None,
            history: Vec::new(),
            indexes: Vec::new(),
        };
        let compared = |ts: u64, expected: Sum, found: Option<Sum>| HistoryComparison {
            ts,
            rows: expected.rows,
            found_rows: found.map_or(0, |found| found.rows),
            equal: found == Some(expected),
        };
        for (ts, expected) in times.into_iter().zip(expected.by_ref()) {
            let view = self.engine.view_at_on(TimelineId(self.branch.id), Ts(ts));
            let found = match view {
                Err(heliosdb_storage::Error::SnapshotTooOld { .. }) => None,
                view => self.found(&view?, def)?,
            };
            table.history.push(compared(ts, expected, found));
        }
        if let Some(expected) = expected.next() {
            let here = self.now.tables.get(&collection).filter(|(_, live)| *live);
            let found = match here {
                Some((now, _)) if now.columns.len() == def.columns.len() => {
                    self.found(&self.now.view, def)?
                }
                _ => None,
            };
            let head = compared(manifest.snapshot_ts, expected, found);
            if !head.equal {
                let then = self.found(&self.then.view, def)?;
                table.snapshot_equal = Some(then == Some(expected));
            }
            table.head = Some(head);
        }
        if self.options.indexes
            && let Some(now) = self.now.definition(collection)?
        {
            let view = &self.now.view;
            for index in &now.indexes {
                if own.is_some() || view.has_own(index.id) {
                    let (options, progress) = (self.options, self.progress);
                    let compared = compare_entries(view, &now, index, options, progress)?;
                    table.indexes.push(compared);
                }
            }
        }
        Ok(table)
    }

    /// What the dump calls a table: the branch, or who it has it from.
    fn label(&self, collection: u32) -> String {
        let manifest = self.dump.manifest();
        let levels = levels(manifest, self.branch);
        let mut tables = levels.iter().filter_map(|level| match level.branch {
            Some(branch) => branch.table(collection),
            None => manifest.table(collection),
        });
        match tables.find_map(|table| table.name.clone()) {
            Some(name) => name,
            None => format!("table {collection}"),
        }
    }

    /// What the branch shows of a table at each of some times, by the dump.
    fn expected(&self, def: &TableDef, times: &[u64]) -> Result<Vec<Sum>> {
        let collection = def.id.0;
        let mut hasher = hasher(def);
        let mut sums = vec![Sum::default(); times.len()];
        let mut decided: Vec<HashSet<u64>> = vec![HashSet::new(); times.len()];
        for level in levels(self.dump.manifest(), self.branch) {
            let caps: Vec<u64> = times.iter().map(|ts| (*ts).min(level.cap.0)).collect();
            // No timeline above decides for one below.
            let mut decides: Vec<HashSet<u64>> = vec![HashSet::new(); times.len()];
            for which in [
                RowVersions::Current,
                RowVersions::Superseded,
                RowVersions::Removed,
            ] {
                for batch in self.versions(&level, collection, which)? {
                    self.options.interrupt.check()?;
                    let batch = batch?;
                    if which == RowVersions::Removed {
                        for (row, begin) in ids(&batch, 0)?.iter().zip(ids(&batch, 1)?) {
                            for (decides, cap) in decides.iter_mut().zip(&caps) {
                                if begin <= cap {
                                    decides.insert(*row);
                                }
                            }
                        }
                        continue;
                    }
                    let superseded = which == RowVersions::Superseded;
                    let width = batch
                        .num_columns()
                        .saturating_sub(2 + usize::from(superseded));
                    let begins = ids(&batch, width + 1)?;
                    let ends = match superseded {
                        true => Some(ids(&batch, width + 2)?),
                        false => None,
                    };
                    let rows = ids(&batch, width)?;
                    let fitted = self.fitted(&level, def, &batch, width)?;
                    let mut at = 0;
                    hasher.lines(&fitted, Some(begins), ends, |line| {
                        let row = rows[at];
                        at += 1;
                        let mut hash = None;
                        for (i, cap) in caps.iter().enumerate() {
                            if line.begin() > *cap {
                                continue;
                            }
                            // All that is above the main timeline is nothing.
                            if level.branch.is_some() {
                                decides[i].insert(row);
                            }
                            if *cap < line.end() && !decided[i].contains(&row) {
                                sums[i].add(*hash.get_or_insert_with(|| line.row()));
                            }
                        }
                    })?;
                    self.progress.advance(batch.num_rows() as u64);
                }
            }
            if level.branch.is_some() {
                for (decided, more) in decided.iter_mut().zip(decides) {
                    decided.extend(more);
                }
            }
        }
        Ok(sums)
    }

    fn versions<'a>(
        &'a self,
        level: &Level<'_>,
        table: u32,
        which: RowVersions,
    ) -> Result<Box<dyn Iterator<Item = Result<RecordBatch>> + 'a>> {
        let rows: Rows<'a> = match level.branch {
            Some(branch) => self.dump.branch_rows(branch.id, table, which)?,
            None if self.dump.manifest().table(table).is_none() => {
                return Ok(Box::new(std::iter::empty()));
            }
            None => self.dump.rows(table, which)?,
        };
        Ok(Box::new(rows))
    }

    /// Rows with the columns that the branch has, as it reads them: of those above, columns that were added there
    /// since are not the branch's.
    fn fitted(
        &self,
        level: &Level<'_>,
        def: &TableDef,
        batch: &RecordBatch,
        width: usize,
    ) -> Result<RecordBatch> {
        let known = match level.below {
            None => width,
            Some(below) => {
                let view = self.engine.latest_view_on(below)?;
                width.min(view.columns_at_fork(def.id)?)
            }
        };
        let rows = batch.num_rows();
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(def.columns.len() + 1);
        for (at, column) in def.columns.iter().enumerate() {
            columns.push(match at < known {
                true => Arc::clone(batch.column(at)),
                false => column.missing_values(rows)?,
            });
        }
        columns.push(Arc::clone(batch.column(width)));
        let fields = columns.iter().enumerate().map(|(at, column)| {
            let name = format!("c{at}");
            Field::new(name, column.data_type().clone(), true)
        });
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        RecordBatch::try_new(schema, columns).map_err(|e| {
            let what = format!("rows of table {} that do not fit: {e}", def.id);
            heliosdb_storage::Error::invalid(what).into()
        })
    }

    /// What a view shows of a table, read as a query reads it; `None` when it no longer keeps that past.
    fn found(&self, view: &ReadView, def: &Arc<TableDef>) -> Result<Option<Sum>> {
        let mut sum = Sum::default();
        let mut hasher = hasher(def);
        let columns = (0..def.columns.len()).map(|i| ColumnId(i as u16));
        let request = ScanRequest {
            row_id: true,
            ..ScanRequest::columns(columns.collect())
        };
        let scans = match view.scan(Arc::clone(def), request) {
            Err(heliosdb_storage::Error::SnapshotTooOld { .. }) => return Ok(None),
            scans => scans?,
        };
        for scan in scans {
            for batch in scan {
                self.options.interrupt.check()?;
                let batch = batch?;
                hasher.lines(&batch, None, None, |line| sum.add(line.row()))?;
                self.progress.advance(batch.num_rows() as u64);
            }
        }
        Ok(Some(sum))
    }
}

fn hasher(def: &TableDef) -> RowHasher {
    RowHasher::new(&vec![false; def.columns.len()])
}

/// The branch, its parent, and so on up to the main timeline.
fn levels<'a>(manifest: &'a Manifest, branch: &'a BranchManifest) -> Vec<Level<'a>> {
    let mut levels = Vec::new();
    let (mut next, mut cap, mut below) = (Some(branch), Ts::MAX, None);
    while let Some(branch) = next {
        levels.push(Level {
            branch: Some(branch),
            cap,
            below,
        });
        cap = cap.min(Ts(branch.fork_ts));
        below = Some(TimelineId(branch.id));
        let mut all = manifest.branches().iter();
        next = all.find(|other| other.id == branch.parent);
    }
    levels.push(Level {
        branch: None,
        cap,
        below,
    });
    levels
}
