//! Tags: names for what a branch showed at a moment.
//!
//! A tag is a branch that nobody writes on, so whatever reads branches reads tags: `t@tag`, USE BRANCH, CREATE
//! BRANCH … FROM, the source of a merge. It costs what a branch costs, and holds the history of its moment.

use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array, StringViewArray, TimestampMicrosecondArray};
use heliosdb_plugin_api::service::Branch;
use heliosdb_plugin_api::{CommandOutcome, Context, Error, Result, state};

use crate::command::{another, check_unprotected, current, find, scn};
use crate::note::Note;
use crate::statement::{self, Statement};

/// Names and SQL types, as the manifest declares them.
const COLUMNS: [(&str, &str); 5] = [
    ("tag_name", "text"),
    ("branch_name", "text"),
    ("scn", "bigint"),
    ("created_at", "timestamptz"),
    ("owner", "text"),
];

/// `CREATE TAG`.
pub fn create(cx: &Context<'_>, text: &str) -> Result<CommandOutcome> {
    let Statement::CreateTag {
        name,
        if_not_exists,
        from,
        when,
    } = statement::read(text)?
    else {
        return Err(another(text));
    };
    let branches = cx.timelines()?.list()?;
    let is_there = |branch: &Branch| branch.is_frozen && branch.name == name;
    if if_not_exists && branches.iter().any(is_there) {
        return Ok(CommandOutcome::done("CREATE TAG"));
    }
    let from = match from {
        Some(from) => find(&branches, &from)?,
        None => current(&branches)?,
    };
    let at = scn(cx, &when)?;
    let note = Note::default().write()?;
    cx.timelines()?.freeze(&name, from.id, at, &note)?;
    Ok(CommandOutcome::done("CREATE TAG"))
}

/// `DROP TAG`.
pub fn drop(cx: &Context<'_>, text: &str) -> Result<CommandOutcome> {
    let Statement::DropTag { name, if_exists } = statement::read(text)? else {
        return Err(another(text));
    };
    let branches = cx.timelines()?.list()?;
    let mut tags = branches.iter().filter(|branch| branch.is_frozen);
    match tags.find(|tag| tag.name == name) {
        Some(tag) => {
            check_unprotected(tag)?;
            cx.timelines()?.drop(tag)?;
        }
        None if if_exists => {}
        None => {
            return Err(Error::new(
                state::UNDEFINED_OBJECT,
                format!("tag \"{name}\" does not exist"),
            ));
        }
    }
    Ok(CommandOutcome::done("DROP TAG"))
}

/// `SHOW TAGS`.
pub fn show(cx: &Context<'_>, _: &str) -> Result<CommandOutcome> {
    let branches = cx.timelines()?.list()?;
    let name_of = |id: u32| branches.iter().find(|b| b.id == id).map(|b| b.name.clone());
    let tags: Vec<&Branch> = branches.iter().filter(|branch| branch.is_frozen).collect();
    let text = |of: &dyn Fn(&Branch) -> Option<String>| -> ArrayRef {
        Arc::new(tags.iter().map(|tag| of(tag)).collect::<StringViewArray>())
    };
    let scns = tags.iter().map(|tag| i64::try_from(tag.base?.1).ok());
    let created = tags.iter().map(|tag| i64::try_from(tag.created?).ok());
    let created = created.collect::<TimestampMicrosecondArray>();
    Ok(CommandOutcome {
        tag: "SHOW".to_owned(),
        columns: COLUMNS
            .map(|(name, ty)| (name.to_owned(), ty.to_owned()))
            .into(),
        batches: vec![vec![
            text(&|tag| Some(tag.name.clone())),
            text(&|tag| name_of(tag.base?.0)),
            Arc::new(scns.collect::<Int64Array>()),
            Arc::new(created.with_timezone("UTC")),
            text(&|tag| tag.owner.clone()),
        ]],
    })
}
