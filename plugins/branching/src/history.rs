//! `helios_log(since, until)` and `helios_blame(table)`: who wrote what, and when.

use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array, StringViewArray, TimestampMicrosecondArray};
use heliosdb_plugin_api::service::timeline::{CellOrigin, Commit};
use heliosdb_plugin_api::{Arguments, Context, Error, Result, TableCursor, rows, state};

/// Rows that are followed for one batch.
const ROWS_MAX: u32 = 16_384;
/// Commits in one batch.
const COMMITS_MAX: u32 = 65_536;

/// `helios_log`.
pub fn log(_: &Context<'_>, arguments: &Arguments) -> Result<Box<dyn TableCursor>> {
    let scn = |argument: usize| match arguments[argument].integer(0) {
        None => Ok(None),
        Some(scn) => u64::try_from(scn)
            .map(Some)
            .map_err(|_| Error::new(state::INVALID_PARAMETER_VALUE, "SCN must not be negative")),
    };
    Ok(Box::new(Log {
        since: scn(0)?,
        until: scn(1)?,
        is_done: false,
    }))
}

struct Log {
    since: Option<u64>,
    until: Option<u64>,
    is_done: bool,
}

impl TableCursor for Log {
    fn next(&mut self, cx: &Context<'_>) -> Result<Option<Vec<ArrayRef>>> {
        if self.is_done {
            return Ok(None);
        }
        let commits = cx
            .timelines()?
            .commits(self.since, self.until, COMMITS_MAX)?;
        self.is_done = commits.len() < COMMITS_MAX as usize;
        self.since = commits.last().map(|commit| commit.scn).or(self.since);
        let role = |commit: &Commit| commit.role.clone();
        Ok(Some(vec![
            scns(commits.iter().map(|commit| commit.scn)),
            times(commits.iter().map(|commit| commit.scn)),
            Arc::new(commits.iter().map(role).collect::<StringViewArray>()),
        ]))
    }
}

/// `helios_blame`.
pub fn blame(_: &Context<'_>, arguments: &Arguments) -> Result<Box<dyn TableCursor>> {
    let Some(table) = arguments[0].text(0) else {
        return Ok(rows(columns(&[])));
    };
    Ok(Box::new(Blame {
        table: table.to_owned(),
        after: None,
        is_done: false,
    }))
}

struct Blame {
    table: String,
    /// The last row that was looked at.
    after: Option<u64>,
    is_done: bool,
}

impl TableCursor for Blame {
    fn next(&mut self, cx: &Context<'_>) -> Result<Option<Vec<ArrayRef>>> {
        if self.is_done {
            return Ok(None);
        }
        let (cells, last) = cx.timelines()?.blame(&self.table, self.after, ROWS_MAX)?;
        self.after = last;
        self.is_done = last.is_none();
        Ok(Some(columns(&cells)))
    }
}

fn columns(cells: &[CellOrigin]) -> Vec<ArrayRef> {
    let text = |of: &dyn Fn(&CellOrigin) -> Option<String>| -> ArrayRef {
        Arc::new(cells.iter().map(of).collect::<StringViewArray>())
    };
    vec![
        scns(cells.iter().map(|cell| cell.row)),
        text(&|cell| cell.key.clone()),
        text(&|cell| Some(cell.column.clone())),
        text(&|cell| cell.value.clone()),
        scns(cells.iter().map(|cell| cell.scn)),
        times(cells.iter().map(|cell| cell.scn)),
        text(&|cell| cell.role.clone()),
    ]
}

fn scns(numbers: impl Iterator<Item = u64>) -> ArrayRef {
    let numbers = numbers.map(|number| i64::try_from(number).ok());
    Arc::new(numbers.collect::<Int64Array>())
}

/// An SCN is a time in microseconds.
fn times(scns: impl Iterator<Item = u64>) -> ArrayRef {
    let times = scns.map(|scn| i64::try_from(scn).ok());
    let times = times.collect::<TimestampMicrosecondArray>();
    Arc::new(times.with_timezone("UTC"))
}
