//! The entries of one index, out of the versions of its table's rows.
//!
//! A version of a row *claims* its key for as long as it lives. Sorted by key, and of one key from
//! the claim that ends last, claims become versions of the entry as transactions write them:
//!
//! * Claims of one row that follow each other without a gap are one version: an update that leaves
//!   the key alone leaves the entry alone.
//! * What a claim had at the fork of a branch is the parent's: it is not written, and where it ends it is
//!   removed. An index that the parent has not, or not whole, has those entries from just after the fork.
//! * Where a claim ends and no other begins, the entry was removed.
//! * Of two claims to one key at one time the one that ends later stands. Among current rows that is
//!   a violation of a unique index, and an error. In the past it means that the index was made later,
//!   when the other row had gone; until then nobody may ask it. Every time from its making on has all
//!   claims that live then, because those do not overlap, and end after all that are left out.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::{Array, ArrayRef, UInt32Array};
use arrow_select::take::take;
use parking_lot::Mutex;
use roaring::RoaringTreemap;

use super::files::{Age, Files};
use super::run::Claim;
use super::series::{Content, Series};
use super::sorter::Sorter;
use crate::error::{Error, Result};
use crate::ids::{CollectionId, ColumnId, RowId, Ts};
use crate::schema::{ColumnType, IndexDef, TableDef};
use crate::segment::RowRun;
use crate::view::index::{EntryEncoder, EntryKey, key_types};
use crate::view::row_key;

/// What a run was until a time.
fn ended(run: &RowRun, until: u64) -> Result<RowRun> {
    let rows = (0..run.count()).filter(|row| run.begins[*row] < until);
    let rows: Vec<usize> = rows.collect();
    let places = UInt32Array::from_iter_values(rows.iter().map(|row| *row as u32));
    let columns = run.columns.iter().map(|array| {
        take(array.as_ref(), &places, None)
            .map_err(|e| Error::internal(format!("rows that cannot be picked: {e}")))
    });
    let end = |row: &usize| {
        run.ends
            .as_ref()
            .map_or(STANDS, |ends| ends[*row])
            .min(until)
    };
    Ok(RowRun {
        ids: rows.iter().map(|row| run.ids[*row]).collect(),
        begins: rows.iter().map(|row| run.begins[*row]).collect(),
        ends: Some(rows.iter().map(end).collect()),
        deleted: None,
        columns: columns.collect::<Result<_>>()?,
    })
}

/// Writes a part of a table; how many versions of entries.
pub type Task = Box<dyn FnOnce() -> Result<u64> + Send>;

/// The end of a claim that still stands.
const STANDS: u64 = u64::MAX;

/// Claims that are judged at once.
const JUDGED: usize = 4096;

/// Holds claims of new rows to keys of a unique index, which come by key, and of one key by row, against
/// what else there is. The rows that are named beside them have a key that equals no other.
pub type Judge<'a> = &'a mut dyn FnMut(&[Claim], &RoaringTreemap) -> Result<()>;

/// Collects the claims to one index's keys.
pub struct IndexLoader {
    files: Arc<Files>,
    table: Arc<TableDef>,
    /// Its place in the table's list.
    index: usize,
    types: Vec<ColumnType>,
    sorter: Sorter,
    entry: EntryKey,
    /// Rows whose keys in a unique index have a NULL, so that they equal no other.
    incomparable: RoaringTreemap,
    /// Of a branch, whose parent has no entries to go on from.
    anew: bool,
    /// When it was dropped, if it was.
    until: Option<Ts>,
}

impl IndexLoader {
    pub fn new(
        files: &Arc<Files>,
        table: &Arc<TableDef>,
        index: usize,
        anew: bool,
    ) -> Result<IndexLoader> {
        Ok(IndexLoader {
            files: Arc::clone(files),
            types: key_types(table, &table.indexes[index])?,
            table: Arc::clone(table),
            index,
            sorter: Sorter::new(&files.sort),
            entry: EntryKey::default(),
            incomparable: RoaringTreemap::new(),
            anew,
            until: None,
        })
    }

    /// Leave out what is later than that.
    pub fn until(self, until: Option<Ts>) -> IndexLoader {
        IndexLoader { until, ..self }
    }

    /// Whether it is made of all rows at the fork.
    pub fn is_anew(&self) -> bool {
        self.anew
    }

    /// Add the claims of rows that a branch has from above, which begin at the fork.
    pub fn push_inherited(&mut self, run: &RowRun) -> Result<()> {
        if !self.anew {
            // What the branch left alone is above.
            return match run.ends {
                Some(_) => self.push(run),
                None => Ok(()),
            };
        }
        let floor = self.files.floor.0;
        let first = floor.saturating_add(1);
        // What ends with the first commit after the fork is nothing but an end.
        let begin = |row: usize| match &run.ends {
            Some(ends) if ends[row] <= first => floor,
            _ => first,
        };
        let begins: Vec<u64> = (0..run.count()).map(begin).collect();
        self.push(&RowRun {
            begins: begins.into(),
            ..run.clone()
        })
    }

    /// Whether no two rows may have the same key.
    pub fn is_unique(&self) -> bool {
        self.def().unique
    }

    /// The index's place in the table's list.
    pub fn place(&self) -> usize {
        self.index
    }

    fn def(&self) -> &IndexDef {
        &self.table.indexes[self.index]
    }

    /// Add the claims of rows: current ones when they have no ends.
    pub fn push(&mut self, run: &RowRun) -> Result<()> {
        match self.until {
            None => self.push_run(run),
            Some(until) => self.push_run(&ended(run, until.0)?),
        }
    }

    fn push_run(&mut self, run: &RowRun) -> Result<()> {
        match self.arrays(&run.columns, run.count()) {
            Ok(arrays) => self.push_keys(run, &arrays, 0..run.count()),
            // So some version is of before the index, which then could not be made for it.
            Err(Error::Expression { .. }) if run.ends.is_some() => {
                for row in 0..run.count() {
                    let columns: Vec<ArrayRef> = run
                        .columns
                        .iter()
                        .map(|array| array.slice(row, 1))
                        .collect();
                    match self.arrays(&columns, 1) {
                        Ok(arrays) => self.push_keys(run, &arrays, row..row + 1)?,
                        Err(Error::Expression { .. }) => {}
                        Err(error) => return Err(error),
                    }
                }
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// What the index reads of `rows` rows, whose stored columns are `columns`.
    fn arrays(&self, columns: &[ArrayRef], rows: usize) -> Result<Vec<ArrayRef>> {
        let stored = |column: ColumnId| Ok(Arc::clone(&columns[usize::from(column.0)]));
        let arrays = self.def().reads().into_iter().map(|column| {
            let Some(n) = column.as_computed() else {
                return stored(column);
            };
            let evaluator = &self.files.engine.evaluator;
            evaluator.compute(&self.table, n, rows, &stored)
        });
        arrays.collect()
    }

    /// Add the claims of `rows`, whose keys are in `arrays`.
    fn push_keys(&mut self, run: &RowRun, arrays: &[ArrayRef], rows: Range<usize>) -> Result<()> {
        let table = Arc::clone(&self.table);
        let def = &table.indexes[self.index];
        let mut encoder = EntryEncoder::new(def, &self.types, arrays.iter())?;
        for (place, row) in rows.enumerate() {
            let id = run.ids[row];
            match encoder.encode(place, RowId(id), &mut self.entry) {
                Ok(true) => {}
                Ok(false) => continue,
                // So the index did not exist yet.
                Err(Error::KeyTooLong { .. }) if run.ends.is_some() => continue,
                Err(error) => return Err(error),
            }
            if def.unique && self.entry.has_null {
                self.incomparable.insert(id);
            }
            let end = run.ends.as_ref().map_or(STANDS, |ends| ends[row]);
            self.sorter
                .push(&self.entry.key, run.begins[row], end, id)?;
        }
        Ok(())
    }

    /// Do the rest of a table, `rows` and the entries of all of its indexes, on two threads where there
    /// are threads; how many versions of entries. So nobody waits for the disk while there is something
    /// to sort.
    pub fn finish_all(
        indexes: Vec<IndexLoader>,
        files: &Files,
        rows: impl FnOnce() -> Result<()> + Send + 'static,
    ) -> Result<u64> {
        let indexes = indexes.into_iter();
        let mut tasks: Vec<Task> = indexes
            .map(|index| Box::new(move || index.finish()) as Task)
            .collect();
        // The last is done first.
        tasks.push(Box::new(move || rows().map(|()| 0)));
        do_all(tasks, files, || Ok(0))
    }

    /// Write the entries; how many versions.
    pub fn finish(self) -> Result<u64> {
        let (table, def) = (self.table.id, self.def().clone());
        let mut claims = self.sorter.finish()?;
        let mut entries = Entries::new(&self.files, def.id);
        let mut claim = Claim::default();
        while claims.next(&mut claim)? {
            if let Some(row) = entries.add(&claim)? {
                return Err(Error::invalid(format!(
                    "rows {row} and {} of table {table} have the same key in unique index {}",
                    claim.row, def.id
                )));
            }
        }
        entries.finish()
    }

    /// [`IndexLoader::finish`] of a unique index whose rows are all new. A key that two of them have is for
    /// `judge` to find; whatever it lets pass is written once.
    pub fn finish_judged(self, judge: Judge<'_>) -> Result<u64> {
        let mut claims = self.sorter.finish()?;
        let mut entries = Entries::new(&self.files, self.table.indexes[self.index].id);
        let mut some = vec![Claim::default(); JUDGED];
        let mut count = 0;
        loop {
            let is_end = !claims.next(&mut some[count])?;
            count += usize::from(!is_end);
            if !is_end && count < JUDGED {
                continue;
            }
            judge(&some[..count], &self.incomparable)?;
            for claim in &some[..count] {
                entries.add(claim)?;
            }
            count = 0;
            if is_end {
                return entries.finish();
            }
        }
    }
}

/// Do `own` on this thread, and `tasks`, the last of them first, on this one and another where there are
/// threads; how many versions of entries all of them wrote.
pub fn do_all(tasks: Vec<Task>, files: &Files, own: impl FnOnce() -> Result<u64>) -> Result<u64> {
    let several = !tasks.is_empty();
    let queue = Arc::new(Mutex::new(tasks));
    let work = {
        let queue = Arc::clone(&queue);
        move || {
            let mut entries = 0;
            loop {
                let next = queue.lock().pop();
                match next {
                    Some(task) => {
                        let written = task();
                        if written.is_err() {
                            queue.lock().clear();
                        }
                        entries += written?;
                    }
                    None => return Ok(entries),
                }
            }
        }
    };
    let outcome = Arc::new(Mutex::new(Ok(0)));
    let helper = match several {
        true => {
            let (work, outcome) = (work.clone(), Arc::clone(&outcome));
            let work = Box::new(move || *outcome.lock() = work());
            files.engine.io.spawn("helios-load", work)
        }
        false => None,
    };
    let first = own();
    if first.is_err() {
        queue.lock().clear();
    }
    let rest: Result<u64> = work();
    if helper.is_some_and(|helper| helper.join().is_err()) {
        return Err(Error::internal("a thread that ended a table panicked"));
    }
    let helped: Result<u64> = std::mem::replace(&mut *outcome.lock(), Ok(0));
    Ok(first? + rest? + helped?)
}

/// Makes versions of entries out of sorted claims.
struct Entries {
    series: Series,
    /// Entries up to then are the parent's.
    floor: u64,
    key: Vec<u8>,
    /// The claim of `key` that is not written yet.
    standing: Option<Standing>,
    /// When the oldest version of `key` that is written begins.
    written: Option<Ts>,
    count: u64,
}

#[derive(Clone, Copy)]
struct Standing {
    begin: u64,
    row: u64,
}

impl Entries {
    fn new(files: &Arc<Files>, index: CollectionId) -> Entries {
        Entries {
            series: Series::new(files, Content::Sorted(index), Age::New),
            floor: files.floor.0,
            key: Vec::new(),
            standing: None,
            written: None,
            count: 0,
        }
    }

    /// Write what is left; how many versions there are.
    fn finish(mut self) -> Result<u64> {
        self.put()?;
        self.series.finish()?;
        Ok(self.count)
    }

    /// Add a claim; the row that it cannot have the key beside.
    fn add(&mut self, claim: &Claim) -> Result<Option<u64>> {
        if claim.key != self.key || self.standing.is_none() {
            self.put()?;
            self.series.cut()?;
            self.written = None;
            self.key.clear();
            self.key.extend_from_slice(&claim.key);
            if claim.end != STANDS {
                self.write(claim.end, None)?;
            }
        } else if let Some(newer) = self.standing {
            if claim.end == STANDS {
                return Ok(Some(newer.row));
            }
            if claim.end > newer.begin {
                return Ok(None);
            }
            let follows = claim.end == newer.begin;
            if !(follows && claim.row == newer.row) {
                self.put()?;
            }
            if !follows {
                self.write(claim.end, None)?;
            }
        }
        self.standing = Some(Standing {
            begin: claim.begin,
            row: claim.row,
        });
        Ok(None)
    }

    /// Write the claim that stands.
    fn put(&mut self) -> Result<()> {
        match self.standing.take() {
            Some(standing) => self.write(standing.begin, Some(row_key(RowId(standing.row)))),
            None => Ok(()),
        }
    }

    fn write(&mut self, begin: u64, value: Option<[u8; 8]>) -> Result<()> {
        if self.floor > 0 && begin <= self.floor {
            return Ok(());
        }
        let end = self.written.replace(Ts(begin));
        let value = value.as_ref().map(<[u8; 8]>::as_slice);
        self.series.push_entry(&self.key, Ts(begin), end, value)?;
        self.count += 1;
        Ok(())
    }
}
