//! Building an index while others write to its table.
//!
//! ```text
//! begin_index      the rows of a snapshot                          writers go on
//! catch_up_index   what changed since, again and again             writers go on
//! (lock SHARE)     the caller keeps writers out
//! catch_up_index   the rest, little by now; then commit
//! ```
//!
//! The entries are the transaction's own writes, so nobody sees them before it commits, and when it does
//! not, there was no index.
//!
//! 1. After each step the index has exactly the entries of the rows at the step's snapshot, own writes of
//!    the transaction included: nobody else can change a row that the transaction has written.
//! 2. A snapshot is consistent, so two rows of one unique key in it are a violation. To see only those,
//!    a step takes away all entries that went before it adds any.
//! 3. The snapshot of the last step is pinned until the next one, or what changed between could be
//!    forgotten.
//!
//! Nobody else writes to the index, so its keys need no locks. It knows nothing of the past: it must not
//! serve reads AS OF a time before the transaction, nor those of a snapshot that the transaction keeps and
//! that does not show the rows of the last step ([`Transaction::sees_newest_rows`]).

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::UInt64Type;

use super::Transaction;
use super::writeset::WriteKind;
use crate::compact::Pin;
use crate::datum::Datum;
use crate::error::{Error, Result};
use crate::ids::{CollectionId, RowId, Ts};
use crate::schema::{ColumnType, IndexDef, TableDef};
use crate::view::changes::ByKey;
use crate::view::index::{EntryEncoder, EntryKey, key_types};
use crate::view::{ReadView, ScanRequest, row_key, row_of};

/// Rows that are looked at together when an index catches up.
const CHUNK_ROWS: usize = 4096;

/// See the module's header.
pub struct IndexBuild {
    table: Arc<TableDef>,
    index: IndexDef,
    types: Vec<ColumnType>,
    /// The snapshot that the index has the rows of.
    seen: Pin,
}

impl std::fmt::Debug for IndexBuild {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IndexBuild")
            .field("index", &self.index.id)
            .field("seen", &self.seen.ts())
            .finish_non_exhaustive()
    }
}

/// Rows by their ids, and the entries that they have.
struct Entries {
    ids: Vec<u64>,
    entries: Vec<Option<EntryKey>>,
    /// What the index reads of them.
    rows: RecordBatch,
}

impl Entries {
    fn of(&self, row: RowId) -> Option<(&EntryKey, usize)> {
        let place = self.ids.binary_search(&row.0).ok()?;
        Some((self.entries[place].as_ref()?, place))
    }
}

impl IndexBuild {
    /// `rows` are the columns that the index reads, then the RowIds.
    fn entries(&self, rows: RecordBatch) -> Result<Entries> {
        let Some((ids, columns)) = rows.columns().split_last() else {
            return Err(Error::internal("rows without their ids"));
        };
        let ids = ids
            .as_primitive_opt::<UInt64Type>()
            .ok_or_else(|| Error::internal("row ids that are not UInt64"))?;
        let mut encoder = EntryEncoder::new(&self.index, &self.types, columns.iter())?;
        let entries = ids.values().iter().enumerate().map(|(place, id)| {
            let mut entry = EntryKey::default();
            let has_one = encoder.encode(place, RowId(*id), &mut entry)?;
            Ok(has_one.then_some(entry))
        });
        Ok(Entries {
            entries: entries.collect::<Result<_>>()?,
            ids: ids.values().to_vec(),
            rows,
        })
    }

    fn violation(&self, rows: &RecordBatch, place: usize) -> Error {
        let columns = &rows.columns()[..self.types.len()];
        let key = columns
            .iter()
            .map(|column| Datum::from_array(column.as_ref(), place))
            .collect();
        match key {
            Ok(key) => Error::UniqueViolation {
                table: self.table.id,
                index: self.index.id,
                key,
            },
            Err(error) => error,
        }
    }
}

/// Which entries of changed rows a pass is about.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pass {
    Went,
    Came,
}

impl Transaction {
    /// Fill `index`, which may not be in `table.indexes` yet, with the rows that there are. The caller
    /// holds a table lock that keeps writers out.
    pub fn build_index(&mut self, table: &TableDef, index: &IndexDef) -> Result<()> {
        self.begin_index(table, index).map(drop)
    }

    /// Fill `index` with the rows of a snapshot. While others may write, [`Transaction::catch_up_index`] is
    /// to follow.
    ///
    /// # Errors
    /// `UniqueViolation` with the first key that two rows have. Entries may have been written: the caller
    /// falls back to a savepoint.
    pub fn begin_index(&mut self, table: &TableDef, index: &IndexDef) -> Result<IndexBuild> {
        let build = IndexBuild {
            table: Arc::new(table.clone()),
            index: index.clone(),
            types: key_types(table, index)?,
            seen: self.pin_latest(),
        };
        let mut request = ScanRequest::columns(index.reads());
        request.row_id = true;
        let view = self.view_with_own(build.seen.ts());
        for scan in view.scan(Arc::clone(&build.table), request)? {
            for rows in scan {
                self.interrupt.check()?;
                let Entries { ids, entries, rows } = build.entries(rows?)?;
                for (place, entry) in entries.iter().enumerate() {
                    if let Some(entry) = entry {
                        self.add_entry(&build, RowId(ids[place]), entry, &rows, place)?;
                    }
                }
            }
        }
        Ok(build)
    }

    /// Bring an index to the newest snapshot, and tell how many rows had changed since the last one.
    ///
    /// # Errors
    /// As [`Transaction::begin_index`].
    pub fn catch_up_index(&mut self, build: &mut IndexBuild) -> Result<u64> {
        let now = self.pin_latest();
        let before = self.view_with_own(build.seen.ts());
        let after = self.view_with_own(now.ts());
        self.move_entries(build, &before, &after, Pass::Went)?;
        let changed = self.move_entries(build, &before, &after, Pass::Came)?;
        build.seen = now;
        Ok(changed)
    }

    /// Whether all statements that follow see the rows of `table` that are committed now: not when others have
    /// changed some since a snapshot that is kept. An index that is built has the rows of now, and does not
    /// answer for the ones before.
    pub fn sees_newest_rows(&self, table: CollectionId) -> Result<bool> {
        let kept = self.snapshot.as_ref();
        let Some(kept) = kept.filter(|_| self.isolation.keeps_snapshot()) else {
            return Ok(true);
        };
        let changed = ByKey::new(&self.latest_view(), table, kept.ts())?.next()?;
        Ok(changed.is_none())
    }

    /// The committed state at `ts`, and all own writes so far.
    fn view_with_own(&self, ts: Ts) -> ReadView {
        let (engine, timeline) = (&self.engine, &self.timeline);
        self.view_of(None, |own| engine.view(timeline, ts, Some(own)))
    }

    /// Of the rows that changed between two views, take away the entries that went, or add those that
    /// came. Returns how many rows changed.
    fn move_entries(
        &mut self,
        build: &IndexBuild,
        before: &ReadView,
        after: &ReadView,
        pass: Pass,
    ) -> Result<u64> {
        let mut keys = ByKey::new(after, build.table.id, before.ts())?;
        let reads = build.index.reads();
        let mut changed = 0;
        loop {
            self.interrupt.check()?;
            let mut rows = Vec::with_capacity(CHUNK_ROWS);
            while rows.len() < CHUNK_ROWS {
                let Some(key) = keys.next()? else { break };
                rows.push(row_of(&key)?);
            }
            if rows.is_empty() {
                return Ok(changed);
            }
            changed += rows.len() as u64;
            let entries_in =
                |view: &ReadView| build.entries(view.rows(&build.table, &rows, &reads, true)?);
            let (went, came) = (entries_in(before)?, entries_in(after)?);
            for id in &rows {
                let (old, new) = (went.of(*id), came.of(*id));
                if old.map(|(entry, _)| &entry.key) == new.map(|(entry, _)| &entry.key) {
                    continue;
                }
                match (pass, old, new) {
                    (Pass::Went, Some((entry, _)), _) => {
                        self.write(build.index.id, &entry.key, WriteKind::Remove, None)?;
                    }
                    (Pass::Came, _, Some((entry, place))) => {
                        self.add_entry(build, *id, entry, &came.rows, place)?;
                    }
                    _ => {}
                }
            }
        }
    }

    /// Add an entry, unless its key is taken.
    fn add_entry(
        &mut self,
        build: &IndexBuild,
        id: RowId,
        entry: &EntryKey,
        rows: &RecordBatch,
        place: usize,
    ) -> Result<()> {
        let index = &build.index;
        if index.unique
            && !entry.has_null
            && self
                .look_up(build.table.id, index, &entry.key)?
                .row
                .is_some()
        {
            return Err(build.violation(rows, place));
        }
        let row = Some(Box::from(row_key(id)));
        self.write(index.id, &entry.key, WriteKind::Put, row)
    }
}
