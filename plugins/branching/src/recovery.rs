//! `RESTORE DATABASE`, `FLASHBACK TABLE` and `UNDROP TABLE`.

use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array, StringViewArray};
use heliosdb_plugin_api::{CommandOutcome, Context, Error, Result, state};

use crate::command::{another, find, scn};
use crate::statement::{self, Statement, When};

/// `RESTORE DATABASE`: one row, with the branch that has what was there.
pub fn restore(cx: &Context<'_>, text: &str) -> Result<CommandOutcome> {
    let timelines = cx.timelines()?;
    let previous = match statement::read(text)? {
        Statement::Restore(when) => timelines.restore(past(cx, &when)?)?,
        Statement::RestoreBranch { name } => {
            let branches = timelines.list()?;
            timelines.restore_branch(find(&branches, &name)?.id)?
        }
        _ => return Err(another(text)),
    };
    let previous: ArrayRef = Arc::new(StringViewArray::from_iter_values([previous]));
    Ok(CommandOutcome {
        tag: "RESTORE DATABASE".to_owned(),
        columns: vec![("previous_branch".to_owned(), "text".to_owned())],
        batches: vec![vec![previous]],
    })
}

/// `FLASHBACK TABLE`: one row, with the number of rows that were written or deleted.
pub fn flashback(cx: &Context<'_>, text: &str) -> Result<CommandOutcome> {
    let Statement::Flashback { table, when } = statement::read(text)? else {
        return Err(another(text));
    };
    let rows = cx.timelines()?.flashback(&table, past(cx, &when)?)?;
    let rows: ArrayRef = Arc::new(Int64Array::from(vec![i64::try_from(rows).ok()]));
    Ok(CommandOutcome {
        tag: "FLASHBACK TABLE".to_owned(),
        columns: vec![("rows".to_owned(), "bigint".to_owned())],
        batches: vec![vec![rows]],
    })
}

/// `UNDROP TABLE`.
pub fn undrop(cx: &Context<'_>, text: &str) -> Result<CommandOutcome> {
    let Statement::Undrop { table, name } = statement::read(text)? else {
        return Err(another(text));
    };
    cx.undrop()?.table(&table, name.as_deref())?;
    Ok(CommandOutcome::done("UNDROP TABLE"))
}

/// The SCN of a time that is no longer.
fn past(cx: &Context<'_>, when: &When) -> Result<u64> {
    scn(cx, when)?.ok_or_else(|| {
        Error::new(
            state::INVALID_PARAMETER_VALUE,
            "what is now is what is there already",
        )
    })
}
