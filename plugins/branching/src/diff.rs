//! `helios_diff(table, a, b)` and `helios_diff_stat(a, b)`: what makes one state another.
//!
//! A state is the name of a branch or a tag, or `name@scn`.

use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array, StringViewArray};
use heliosdb_plugin_api::service::Branch;
use heliosdb_plugin_api::service::timeline::{CellChange, DiffRow, Moment};
use heliosdb_plugin_api::{Arguments, Context, Error, Result, TableCursor, rows, state};

use crate::command::{current, find, number};

/// Rows that are compared for one batch.
const ROWS_MAX: usize = 1024;

/// `helios_diff`.
pub fn diff(cx: &Context<'_>, arguments: &Arguments) -> Result<Box<dyn TableCursor>> {
    let (Some(table), Some(a), Some(b)) = (
        arguments[0].text(0),
        arguments[1].text(0),
        arguments[2].text(0),
    ) else {
        return Ok(rows(columns(&[])));
    };
    let between = moments(cx, a, b)?;
    Ok(Box::new(Differences {
        table: table.to_owned(),
        between,
        rows: cx.timelines()?.diff_rows(table, between)?,
        at: 0,
    }))
}

/// `helios_diff_stat`.
pub fn stat(cx: &Context<'_>, arguments: &Arguments) -> Result<Box<dyn TableCursor>> {
    let tables = match (arguments[0].text(0), arguments[1].text(0)) {
        (Some(a), Some(b)) => {
            let (a, b) = moments(cx, a, b)?;
            cx.timelines()?.diff_stat(a, b)?
        }
        _ => Vec::new(),
    };
    let names = tables.iter().map(|diff| diff.table.clone());
    let statuses = tables.iter().map(|diff| diff.status.clone());
    let count = |of: &dyn Fn(usize) -> u64| -> ArrayRef {
        let counts = (0..tables.len()).map(|at| i64::try_from(of(at)).ok());
        Arc::new(counts.collect::<Int64Array>())
    };
    Ok(rows(vec![
        Arc::new(StringViewArray::from_iter_values(names)),
        Arc::new(StringViewArray::from_iter_values(statuses)),
        count(&|at| tables[at].inserted),
        count(&|at| tables[at].updated),
        count(&|at| tables[at].deleted),
    ]))
}

struct Differences {
    table: String,
    between: (Moment, Moment),
    /// Those that may differ.
    rows: Vec<DiffRow>,
    at: usize,
}

impl TableCursor for Differences {
    fn next(&mut self, cx: &Context<'_>) -> Result<Option<Vec<ArrayRef>>> {
        let rest = self.rows.get(self.at..).unwrap_or_default();
        let rows = &rest[..rest.len().min(ROWS_MAX)];
        if rows.is_empty() {
            return Ok(None);
        }
        self.at += rows.len();
        let cells = cx
            .timelines()?
            .diff_cells(&self.table, self.between, rows)?;
        Ok(Some(columns(&cells)))
    }
}

fn columns(cells: &[CellChange]) -> Vec<ArrayRef> {
    let text = |of: &dyn Fn(&CellChange) -> Option<String>| -> ArrayRef {
        Arc::new(cells.iter().map(of).collect::<StringViewArray>())
    };
    let ids = cells.iter().map(|cell| i64::try_from(cell.row).ok());
    vec![
        text(&|cell| Some(cell.op.clone())),
        Arc::new(ids.collect::<Int64Array>()),
        text(&|cell| cell.key.clone()),
        text(&|cell| cell.column.clone()),
        text(&|cell| cell.old.clone()),
        text(&|cell| cell.new.clone()),
    ]
}

/// Both states, those without a time as they are now.
fn moments(cx: &Context<'_>, a: &str, b: &str) -> Result<(Moment, Moment)> {
    let branches = cx.timelines()?.list()?;
    let now = number(cx, "SELECT helios_current_scn()")?;
    let now = now.and_then(|now| u64::try_from(now).ok());
    Ok((moment(&branches, a, now)?, moment(&branches, b, now)?))
}

fn moment(branches: &[Branch], text: &str, now: Option<u64>) -> Result<Moment> {
    let is_branch = |name: &str| branches.iter().any(|branch| branch.name == name);
    let (name, at) = match text.rsplit_once('@') {
        // A branch may be called like that.
        _ if is_branch(text) => (text, now),
        Some((name, scn)) if !scn.is_empty() && scn.bytes().all(|b| b.is_ascii_digit()) => {
            let at = scn.parse().map_err(|_| {
                Error::new(
                    state::INVALID_PARAMETER_VALUE,
                    format!("\"{scn}\" is no SCN"),
                )
            })?;
            (name, Some(at))
        }
        _ => (text, now),
    };
    let branch = match name {
        "" => current(branches)?,
        name => find(branches, name)?,
    };
    Ok(Moment {
        branch: branch.id,
        at,
    })
}
