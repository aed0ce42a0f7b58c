//! `SHOW BRANCHES` and `pg_database_branches()`: all branches, the main one first.

use std::sync::Arc;

use arrow_array::{
    ArrayRef, BooleanArray, Float64Array, Int64Array, StringViewArray, TimestampMicrosecondArray,
};
use heliosdb_plugin_api::service::Branch;
use heliosdb_plugin_api::{Arguments, CommandOutcome, Context, Result, TableCursor, rows};

use crate::note::Note;

/// Names and SQL types, as the manifest declares them.
const COLUMNS: [(&str, &str); 12] = [
    ("branch_name", "text"),
    ("branch_id", "bigint"),
    ("parent_id", "bigint"),
    ("created_at", "timestamptz"),
    ("fork_point_lsn", "bigint"),
    ("size_mb", "double precision"),
    ("status", "text"),
    ("parent_name", "text"),
    ("owner", "text"),
    ("is_current", "boolean"),
    ("expires_at", "timestamptz"),
    ("access", "text"),
];

const BYTES_PER_MB: f64 = (1 << 20) as f64;

pub fn command(cx: &Context<'_>, _: &str) -> Result<CommandOutcome> {
    let columns = COLUMNS.map(|(name, ty)| (name.to_owned(), ty.to_owned()));
    Ok(CommandOutcome {
        tag: "SHOW".to_owned(),
        columns: columns.into(),
        batches: vec![columns_of(&cx.timelines()?.list()?)?],
    })
}

pub fn function(cx: &Context<'_>, _: &Arguments) -> Result<Box<dyn TableCursor>> {
    Ok(rows(columns_of(&cx.timelines()?.list()?)?))
}

fn columns_of(branches: &[Branch]) -> Result<Vec<ArrayRef>> {
    let text = |of: &dyn Fn(&Branch) -> Option<String>| -> ArrayRef {
        Arc::new(branches.iter().map(of).collect::<StringViewArray>())
    };
    let number = |of: &dyn Fn(&Branch) -> Option<u64>| -> ArrayRef {
        let numbers = branches
            .iter()
            .map(|branch| i64::try_from(of(branch)?).ok());
        Arc::new(numbers.collect::<Int64Array>())
    };
    let name_of = |id: u32| {
        let parent = branches.iter().find(|branch| branch.id == id);
        parent.map(|parent| parent.name.clone())
    };
    let notes = branches.iter().map(|branch| Note::read(&branch.note));
    let notes: Vec<Note> = notes.collect::<Result<_>>()?;
    let status =
        notes
            .iter()
            .zip(branches)
            .map(|(note, branch)| match (branch.is_frozen, note.protected) {
                (true, _) => "tag",
                (false, true) => "protected",
                (false, false) => "active",
            });
    let created = branches
        .iter()
        .map(|branch| i64::try_from(branch.created?).ok());
    let created = created.collect::<TimestampMicrosecondArray>();
    let expires = notes.iter().map(|note| note.expires);
    let expires = expires.collect::<TimestampMicrosecondArray>();
    let sizes = branches
        .iter()
        .map(|branch| branch.bytes as f64 / BYTES_PER_MB);
    let is_current = branches.iter().map(|branch| Some(branch.is_current));
    Ok(vec![
        text(&|branch| Some(branch.name.clone())),
        number(&|branch| Some(u64::from(branch.id))),
        number(&|branch| branch.base.map(|(parent, _)| u64::from(parent))),
        Arc::new(created.with_timezone("UTC")),
        number(&|branch| branch.base.map(|(_, fork)| fork)),
        Arc::new(sizes.map(Some).collect::<Float64Array>()),
        Arc::new(status.map(Some).collect::<StringViewArray>()),
        text(&|branch| branch.base.and_then(|(parent, _)| name_of(parent))),
        text(&|branch| branch.owner.clone()),
        Arc::new(is_current.collect::<BooleanArray>()),
        Arc::new(expires.with_timezone("UTC")),
        text(&|branch| branch.access.clone()),
    ])
}
