//! `visible/1` and `changes/1` over tables in memory.
//!
//! A test makes tables and writes rows, each write a commit with an SCN of its own. Batches of changes have
//! one row, so that a plugin meets the end of a batch wherever there can be one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::UInt64Type;
use arrow_array::{ArrayRef, BooleanArray, Int8Array, UInt64Array};
use arrow_schema::DataType;
use heliosdb_plugin_api::abi::arrow::AbiColumn;
use heliosdb_plugin_api::abi::value::AbiResult;
use heliosdb_plugin_api::abi::{RErr, RNone, ROk, ROption, RSome, RStr, RVec};
use heliosdb_plugin_api::service::changes::AbiSpan;
use heliosdb_plugin_api::service::{ChangesV1, VisibleV1};
use heliosdb_plugin_api::{Error, Result, SqlState, state};

use super::{Inner, TestHost, answer, lock};

pub static VISIBLE: VisibleV1 = VisibleV1 { visible };

pub static CHANGES: ChangesV1 = ChangesV1 {
    latest,
    create_cursor,
    cursor,
    advance_cursor,
    remove_cursor,
    open,
    next,
    close,
};

/// The values of a row, an array of one value each.
type Values = Vec<ArrayRef>;

/// All tables, and who follows them.
#[derive(Default)]
pub struct Tables {
    tables: BTreeMap<u32, Table>,
    cursors: BTreeMap<String, u64>,
    /// Of the newest commit.
    scn: u64,
    /// What statements see; the newest, unless set.
    snapshot: Option<u64>,
}

struct Table {
    columns: Vec<String>,
    /// Of each row its versions, the oldest first; `None` where it was deleted.
    rows: BTreeMap<u64, Vec<(u64, Option<Values>)>>,
}

impl Table {
    fn at(&self, row: u64, scn: u64) -> Option<(u64, &Values)> {
        let versions = self.rows.get(&row)?.iter().rev();
        let mut versions = versions.skip_while(|(begin, _)| *begin > scn);
        let (begin, values) = versions.next()?;
        Some((*begin, values.as_ref()?))
    }
}

impl TestHost {
    /// A table without rows. A table that is there is emptied.
    pub fn set_table(&self, table: u32, columns: &[&str]) {
        let columns = columns.iter().map(|&name| name.to_owned()).collect();
        let rows = BTreeMap::new();
        let mut tables = lock(&self.0.tables);
        tables.tables.insert(table, Table { columns, rows });
    }

    /// Commits a row's new values, arrays of one value, or its end. The SCN of the commit.
    ///
    /// # Panics
    ///
    /// When there is no such table: this is for tests.
    pub fn commit(&self, table: u32, row: u64, values: Option<Vec<ArrayRef>>) -> u64 {
        let mut tables = lock(&self.0.tables);
        tables.scn += 1;
        let scn = tables.scn;
        let table = tables.tables.get_mut(&table).expect("the test made it");
        table.rows.entry(row).or_default().push((scn, values));
        scn
    }

    /// What statements see from now on: the state at an SCN, or the newest.
    pub fn set_snapshot(&self, scn: Option<u64>) {
        lock(&self.0.tables).snapshot = scn;
    }

    /// Where a cursor is.
    pub fn cursor(&self, name: &str) -> Option<u64> {
        lock(&self.0.tables).cursors.get(name).copied()
    }
}

fn no_table(table: u32) -> Error {
    let message = format!("there is no table with oid {table}");
    Error::new(SqlState::new("42P01"), message)
}

fn no_cursor(name: &str) -> Error {
    Error::new(
        state::UNDEFINED_OBJECT,
        format!("cursor \"{name}\" does not exist"),
    )
}

extern "C" fn visible(
    host: *const (),
    statement: *const (),
    table: u32,
    rows: AbiColumn,
    begins: AbiColumn,
    count: u64,
    result: &mut AbiColumn,
) -> AbiResult<()> {
    answer(host, statement, |host| {
        let count = usize::try_from(count).map_err(|_| Error::contract("too many versions"))?;
        let rows = rows.import(&DataType::UInt64, count)?;
        let begins = begins.import(&DataType::UInt64, count)?;
        let tables = lock(&host.tables);
        let of = tables.tables.get(&table).ok_or_else(|| no_table(table))?;
        let now = tables.snapshot.unwrap_or(tables.scn);
        let rows = rows.as_primitive::<UInt64Type>().values().iter();
        let versions = rows.zip(begins.as_primitive::<UInt64Type>().values());
        let seen = versions.map(|(row, begin)| {
            let found = of.at(*row, now);
            Some(found.is_some_and(|(at, _)| at == *begin))
        });
        let seen: ArrayRef = Arc::new(seen.collect::<BooleanArray>());
        *result = AbiColumn::export(&seen, false)?;
        Ok(())
    })
}

extern "C" fn latest(host: *const (), statement: *const ()) -> AbiResult<u64> {
    answer(host, statement, |host| Ok(lock(&host.tables).scn))
}

extern "C" fn create_cursor(
    host: *const (),
    statement: *const (),
    name: RStr<'_>,
) -> AbiResult<u64> {
    answer(host, statement, |host| {
        host.writable()?;
        let mut tables = lock(&host.tables);
        let at = tables.scn;
        match tables.cursors.contains_key(name.as_str()) {
            true => Err(Error::new(
                state::DUPLICATE_OBJECT,
                format!("cursor \"{name}\" already exists"),
            )),
            false => {
                tables.cursors.insert(name.to_string(), at);
                Ok(at)
            }
        }
    })
}

extern "C" fn cursor(
    host: *const (),
    statement: *const (),
    name: RStr<'_>,
) -> AbiResult<ROption<u64>> {
    answer(host, statement, |host| {
        let tables = lock(&host.tables);
        Ok(tables.cursors.get(name.as_str()).copied().into())
    })
}

extern "C" fn advance_cursor(
    host: *const (),
    statement: *const (),
    name: RStr<'_>,
    to: u64,
) -> AbiResult<()> {
    answer(host, statement, |host| {
        host.writable()?;
        let mut tables = lock(&host.tables);
        let newest = tables.scn;
        let at = tables.cursors.get_mut(name.as_str());
        let at = at.ok_or_else(|| no_cursor(name.as_str()))?;
        if to < *at || to > newest {
            return Err(Error::new(
                state::INVALID_PARAMETER_VALUE,
                format!("cursor \"{name}\" is at {at}, and cannot go to {to}"),
            ));
        }
        *at = to;
        Ok(())
    })
}

extern "C" fn remove_cursor(
    host: *const (),
    statement: *const (),
    name: RStr<'_>,
) -> AbiResult<()> {
    answer(host, statement, |host| {
        host.writable()?;
        let removed = lock(&host.tables).cursors.remove(name.as_str());
        removed.map(drop).ok_or_else(|| no_cursor(name.as_str()))
    })
}

/// Batches that are still to come, the next one last.
type Stream = Vec<Values>;

extern "C" fn open(host: *const (), statement: *const (), span: AbiSpan<'_>) -> AbiResult<*mut ()> {
    answer(host, statement, |host| {
        let batches = changes(host, &span)?;
        Ok(Box::into_raw(Box::new(batches)).cast())
    })
}

fn changes(host: &Inner, span: &AbiSpan<'_>) -> Result<Stream> {
    let tables = lock(&host.tables);
    let table = tables.tables.get(&span.table);
    let table = table.ok_or_else(|| no_table(span.table))?;
    if span.since > span.until || span.until > tables.scn {
        return Err(Error::new(
            state::INVALID_PARAMETER_VALUE,
            "the time asked for is in the future",
        ));
    }
    let place = |name: &RStr<'_>| {
        let place = table.columns.iter().position(|c| c == name.as_str());
        place.ok_or_else(|| {
            let message = format!("column \"{name}\" does not exist");
            Error::new(SqlState::new("42703"), message)
        })
    };
    let places: Vec<usize> = span.columns.iter().map(place).collect::<Result<_>>()?;
    let inside = |scn: &u64| *scn > span.since && *scn <= span.until;
    let mut changed = BTreeSet::new();
    for (row, versions) in &table.rows {
        for scn in versions
            .iter()
            .map(|(scn, _)| scn)
            .filter(|scn| inside(scn))
        {
            match span.net {
                true => changed.insert((0, *row)),
                false => changed.insert((*scn, *row)),
            };
        }
    }
    let mut batches = Vec::new();
    for (scn, row) in changed {
        let (before, after) = match span.net {
            true => (span.since, span.until),
            false => (scn - 1, scn),
        };
        let last = table.rows[&row].iter().rev();
        let last = last.map(|(scn, _)| *scn).find(inside).unwrap_or(scn);
        for (sign, image) in [(-1, table.at(row, before)), (1, table.at(row, after))] {
            let Some((_, values)) = image else { continue };
            let mut batch: Values = places.iter().map(|place| values[*place].clone()).collect();
            let at = if span.net { last } else { scn };
            batch.push(Arc::new(UInt64Array::from(vec![row])));
            batch.push(Arc::new(UInt64Array::from(vec![at])));
            batch.push(Arc::new(Int8Array::from(vec![sign])));
            batches.push(batch);
        }
    }
    batches.reverse();
    Ok(batches)
}

extern "C" fn next(_: *const (), stream: *mut ()) -> AbiResult<ROption<RVec<AbiColumn>>> {
    // SAFETY: `open` made it, and one thread at a time reads it.
    let Some(stream) = (unsafe { stream.cast::<Stream>().as_mut() }) else {
        return RErr(Error::contract("the stream of changes is null").into());
    };
    let Some(batch) = stream.pop() else {
        return ROk(RNone);
    };
    let columns = batch.iter().map(|array| AbiColumn::export(array, false));
    match columns.collect::<Result<RVec<_>>>() {
        Ok(columns) => ROk(RSome(columns)),
        Err(error) => RErr(error.into()),
    }
}

extern "C" fn close(stream: *mut ()) {
    if !stream.is_null() {
        // SAFETY: `open` made it with `Box::into_raw`, and it is closed once.
        drop(unsafe { Box::from_raw(stream.cast::<Stream>()) });
    }
}
