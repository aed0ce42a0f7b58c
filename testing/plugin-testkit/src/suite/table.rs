//! Table functions: to the end, dropped midway, canceled.

use arrow_array::Array;
use heliosdb_plugin_api::Argument;
use heliosdb_plugin_api::manifest::{FunctionDecl, FunctionKind, Volatility};

use super::{Outcome, Suite, ensure, fair};
use crate::host::Statement;
use crate::plugin::Started;
use crate::values::{self, Shape};

/// A function that has not ended after so many batches may go on for ever.
const BATCHES_MAX: usize = 2_000;
/// A canceled statement must end within so many calls.
const CALLS_AFTER_CANCEL: usize = 100;
/// Rows of generated arguments; each is one call.
const CALLS: usize = 12;

pub fn check(suite: &Suite) -> Outcome {
    let plugin = suite.started()?;
    for (index, declared) in plugin.provides.functions.iter().enumerate() {
        if declared.kind == FunctionKind::Table {
            check_one(suite, &plugin, index as u32, declared)
                .map_err(|why| format!("table function {}: {why}", declared.name))?;
        }
    }
    Ok(())
}

fn check_one(suite: &Suite, plugin: &Started, index: u32, declared: &FunctionDecl) -> Outcome {
    let (name, types) = (&declared.name, &declared.arguments);
    for columns in suite.argument_sets(plugin, name, types, Shape::Mixed, CALLS)? {
        let rows = columns.first().map_or(1, |c| c.len());
        for row in 0..rows {
            if declared.strict && columns.iter().any(|c| c.is_null(row)) {
                continue;
            }
            let one = |c: &arrow_array::ArrayRef| Argument::new(c.slice(row, 1), false);
            let arguments: Vec<Argument> = columns.iter().map(one).collect();
            check_call(plugin, index, declared, &arguments)?;
        }
    }
    Ok(())
}

fn check_call(
    plugin: &Started,
    index: u32,
    declared: &FunctionDecl,
    arguments: &[Argument],
) -> Outcome {
    let statement = Statement::new();
    let Some(first) = read(plugin, index, &statement, arguments)? else {
        return Ok(());
    };
    if declared.volatility != Volatility::Volatile {
        let second = read(plugin, index, &statement, arguments)?.unwrap_or_default();
        let same = first.len() == second.len()
            && first
                .iter()
                .zip(&second)
                .all(|(a, b)| values::same(a, b, false));
        ensure(same, || "a second call gives other rows".to_owned())?;
    }
    // Dropped after one batch, and before any.
    for batches in [0, 1] {
        if let Some(mut cursor) = fair("open", plugin.open(index, &statement, arguments))? {
            for _ in 0..batches {
                fair("next", cursor.next(&statement))?;
            }
        }
    }
    cancelled(plugin, index, arguments)
}

/// All columns of all batches up to the limit; `None` when the values are refused.
fn read(
    plugin: &Started,
    index: u32,
    statement: &Statement,
    arguments: &[Argument],
) -> Result<Option<Vec<arrow_array::ArrayRef>>, String> {
    let opened = fair("open", plugin.open(index, statement, arguments))?;
    let Some(mut cursor) = opened else {
        return Ok(None);
    };
    let mut columns = Vec::new();
    for _ in 0..BATCHES_MAX {
        match fair("next", cursor.next(statement))? {
            None => return Ok(None),
            Some(None) => {
                let after = fair("next after the end", cursor.next(statement))?;
                ensure(matches!(after, None | Some(None)), || {
                    "rows come after the end".to_owned()
                })?;
                break;
            }
            Some(Some(batch)) => columns.extend(batch),
        }
    }
    Ok(Some(columns))
}

fn cancelled(plugin: &Started, index: u32, arguments: &[Argument]) -> Outcome {
    let statement = Statement::cancelled_after(0);
    let opened = fair("open", plugin.open(index, &statement, arguments))?;
    let Some(mut cursor) = opened else {
        return Ok(());
    };
    for _ in 0..CALLS_AFTER_CANCEL {
        match fair("next", cursor.next(&statement))? {
            None | Some(None) => return Ok(()),
            Some(Some(_)) => {}
        }
    }
    Err(format!(
        "a canceled statement goes on for {CALLS_AFTER_CANCEL} batches"
    ))
}
