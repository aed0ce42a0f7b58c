//! The second part of a load: the tables, on two threads.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arrow_array::RecordBatch;
use heliosdb_storage::catalog::{CATALOG, catalog_key, decode_table};
use heliosdb_storage::ids::{CollectionId, RowId, Ts};
use heliosdb_storage::schema::TableDef;
use heliosdb_storage::view::RowVersions;
use heliosdb_storage::{DroppedIndex, Engine, LoadedState, Loader, ReadView};

use crate::crew::{self, Work};
use crate::digest::TableDigest;
use crate::error::{Error, Result, counted};
use crate::format::FrameHeader;
use crate::manifest::{Manifest, TableManifest};
use crate::options::LoadOptions;
use crate::progress::Progress;
use crate::reader::Dump;

/// What was loaded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LoadStats {
    pub tables: u64,
    /// Current ones.
    pub rows: u64,
    /// Superseded ones.
    pub versions: u64,
    pub index_entries: u64,
    /// Of the rows as storage counts them, before compression.
    pub bytes: u64,
}

/// Load all rows with their history, and the entries of the indexes that the catalog defines; publish
/// them. [`load_state`](super::load_state) must have been done. Timestamps and RowIds are kept.
///
/// # Errors
///
/// `Content` when the tables are not those of the catalog, or not what the manifest says; nothing is
/// published then.
pub fn load_tables(
    dump: &Dump,
    engine: &Engine,
    options: &LoadOptions,
    progress: &dyn Progress,
) -> Result<LoadStats> {
    let manifest = dump.manifest();
    let view = engine.latest_view();
    let loader = engine.loader(heliosdb_storage::LoadOptions {
        memory_bytes: options.memory_bytes,
        interrupt: Arc::clone(&options.interrupt),
        ..Default::default()
    })?;
    let jobs = jobs(dump, &view)?;
    let rows = manifest.tables.iter().map(|t| t.rows + t.superseded).sum();
    progress.begin("loading tables, rows", Some(rows));
    // The largest first, so that the others fit beside it.
    let mut order: Vec<usize> = (0..jobs.len()).collect();
    order.sort_by_key(|table| std::cmp::Reverse(jobs[*table].frames.len()));
    let work = Tables {
        dump,
        loader: &loader,
        jobs: &jobs,
        options,
        progress,
    };
    let done = crew::run(&work, order.into_iter(), options.threads.max(1))?;
    progress.end();
    let mut stats = LoadStats::default();
    for (_, table) in done {
        stats.tables += 1;
        stats.rows += table.rows;
        stats.versions += table.versions;
        stats.index_entries += table.index_entries;
        stats.bytes += table.bytes;
    }
    progress.begin("publishing the tables", None);
    loader.publish(LoadedState {
        last_ts: Ts(manifest.snapshot_ts),
        history_from: Ts(manifest.oldest_ts),
        tables_from: manifest
            .tables
            .iter()
            .filter_map(|table| Some((CollectionId(table.collection), Ts(table.oldest_ts?))))
            .collect(),
        next_collection: engine
            .next_collection()
            .max(CollectionId(manifest.next_collection)),
        sequences: Vec::new(),
        next_rows: manifest
            .tables
            .iter()
            .map(|table| (CollectionId(table.collection), RowId(table.next_row)))
            .collect(),
    })?;
    progress.end();
    Ok(stats)
}

/// A table to load.
struct Job<'a> {
    table: &'a TableManifest,
    def: TableDef,
    /// Indexes that it has no more, and branches have.
    dropped_indexes: Vec<DroppedIndex>,
    dropped: Vec<bool>,
    /// Of its current rows, then of its superseded ones.
    frames: Vec<(&'a FrameHeader, RowVersions)>,
}

/// The tables of the dump with their definitions, which are in the engine already.
fn jobs<'a>(dump: &'a Dump, view: &ReadView) -> Result<Vec<Job<'a>>> {
    let ever = view.tables_ever()?.into_iter();
    let mut ever: HashMap<u32, _> = ever.map(|table| (table.def.id.0, table)).collect();
    let mut jobs = Vec::new();
    let manifest = dump.manifest();
    let main = manifest.branches.as_ref().map(|all| all.timelines.main);
    let mut dropped = match main {
        Some(main) => view.dropped_indexes(&forks(manifest, main))?,
        None => BTreeMap::new(),
    };
    for table in &dump.manifest().tables {
        let what = || format!("table {}", table.label());
        let Some(found) = ever.remove(&table.collection) else {
            return Err(Error::content(
                what(),
                "it is there",
                "nothing in the catalog",
            ));
        };
        let mut def = TableDef::clone(&found.def);
        if found.live {
            let value = view.get(CATALOG, &catalog_key(def.id))?;
            let real = decode_table(def.id, &value.unwrap_or_default())?;
            for (column, real) in def.columns.iter_mut().zip(real.columns) {
                if !real.dropped {
                    column.compression = real.compression;
                }
            }
        }
        let (columns, live) = (table.columns.len(), table.name.is_some());
        if (columns, live) != (def.columns.len(), found.live) {
            let say = |columns, live| match live {
                true => format!("{columns} columns"),
                false => format!("{columns} columns, and it was dropped"),
            };
            let found = say(def.columns.len(), found.live);
            return Err(Error::content(what(), say(columns, live), found));
        }
        let mut frames = Vec::new();
        for which in [RowVersions::Current, RowVersions::Superseded] {
            let of_kind = dump.row_frames(table.collection, which)?.iter();
            frames.extend(of_kind.map(|frame| (frame, which)));
        }
        jobs.push(Job {
            table,
            dropped_indexes: dropped.remove(&def.id).unwrap_or_default(),
            def,
            dropped: table.columns.iter().map(|column| column.dropped).collect(),
            frames,
        });
    }
    match ever.keys().min() {
        None => Ok(jobs),
        Some(table) => Err(Error::content(
            "the catalog",
            "nothing of such a table",
            format!("table {table}"),
        )),
    }
}

/// When branches went on from a timeline.
pub(super) fn forks(manifest: &Manifest, timeline: u32) -> Vec<Ts> {
    let branches = manifest.branches().iter();
    let of_it = branches.filter(|branch| branch.parent == timeline);
    of_it.map(|branch| Ts(branch.fork_ts)).collect()
}

struct Tables<'a> {
    dump: &'a Dump,
    loader: &'a Loader,
    jobs: &'a [Job<'a>],
    options: &'a LoadOptions,
    progress: &'a dyn Progress,
}

/// A frame, ready to be written.
struct Prepared {
    which: RowVersions,
    batches: Vec<RecordBatch>,
    digest: TableDigest,
    rows: u64,
}

impl Work for Tables<'_> {
    type Piece = Prepared;
    type Done = heliosdb_storage::LoadedTable;

    fn pieces(&self, table: usize) -> usize {
        self.jobs[table].frames.len()
    }

    fn prepare(&self, table: usize, piece: usize) -> Result<Prepared> {
        self.options.interrupt.check()?;
        let job = &self.jobs[table];
        let (frame, which) = job.frames[piece];
        let batches = self.dump.batches(frame)?;
        let mut digest = TableDigest::new(&job.dropped);
        for batch in &batches {
            match which {
                RowVersions::Current => digest.add_current(batch)?,
                RowVersions::Superseded => digest.add_superseded(batch)?,
                RowVersions::Removed => {}
            }
        }
        Ok(Prepared {
            which,
            batches,
            digest,
            rows: frame.items.into(),
        })
    }

    fn task(
        &self,
        table: usize,
        next: &mut dyn FnMut() -> Result<Option<Prepared>>,
    ) -> Result<heliosdb_storage::LoadedTable> {
        let job = &self.jobs[table];
        let mut loader = self.loader.table_with(&job.def, &job.dropped_indexes)?;
        let mut digest = TableDigest::new(&job.dropped);
        while let Some(piece) = next()? {
            for batch in &piece.batches {
                match piece.which {
                    RowVersions::Current => loader.push_current(batch)?,
                    RowVersions::Superseded => loader.push_superseded(batch)?,
                    RowVersions::Removed => loader.push_removed(batch)?,
                }
            }
            digest.merge(&piece.digest);
            self.progress.advance(piece.rows);
        }
        // Before the index entries, which take their time.
        check(job.table, &digest)?;
        Ok(loader.finish()?)
    }
}

/// Is what was read what the manifest says?
pub(super) fn check(table: &TableManifest, digest: &TableDigest) -> Result<()> {
    let what = || format!("table {}", table.label());
    let counts = |rows: u64, superseded: u64| {
        let (rows, before) = (counted(rows, "row"), counted(superseded, "version"));
        format!("{rows} and {before} before")
    };
    let (expected, found) = (
        counts(table.rows, table.superseded),
        counts(digest.rows(), digest.superseded()),
    );
    if expected != found {
        return Err(Error::content(what(), expected, found));
    }
    let columns = table.columns.iter().zip(&table.column_digests);
    for ((column, expected), found) in columns.zip(digest.columns()) {
        if expected != found {
            let what = format!("column {} of {}", column.name, what());
            return Err(Error::content(what, format!("digest {expected}"), found));
        }
    }
    let digests = [
        ("rows", table.digest, digest.values()),
        ("versions", table.versions_digest, digest.versions()),
    ];
    for (kind, expected, found) in digests {
        if expected != found {
            let what = format!("the {kind} of {}", what());
            return Err(Error::content(what, format!("digest {expected}"), found));
        }
    }
    Ok(())
}
