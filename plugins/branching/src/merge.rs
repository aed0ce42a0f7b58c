//! `MERGE BRANCH`, and the conflicts of the session's last one.
//!
//! The kernel merges. What is here is what a statement may say of conflicts, and how they are told: as rows, and
//! the first of them in the error of a merge that fails.

use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array, StringViewArray};
use heliosdb_plugin_api::service::timeline::{
    ColumnResolver, Conflict, ConflictPolicy, MergeReport, MergeRequest, Resolver,
};
use heliosdb_plugin_api::{
    Arguments, CommandOutcome, Context, Error, Result, TableCursor, rows, state,
};

use crate::command::{another, boolean, check_unprotected, find};
use crate::statement::{self, Options, Statement};

/// Names and SQL types, as the manifest declares them.
const COLUMNS: [(&str, &str); 7] = [
    ("status", "text"),
    ("inserted", "bigint"),
    ("updated", "bigint"),
    ("deleted", "bigint"),
    ("conflicts", "bigint"),
    ("scn", "bigint"),
    ("definitions", "text"),
];

/// Conflicts that the error of a merge tells of.
const TOLD_MAX: usize = 20;

/// What the options of a merge ask for.
#[derive(Debug, Default, PartialEq, Eq)]
struct Asked {
    on_conflict: Option<ConflictPolicy>,
    resolvers: Vec<ColumnResolver>,
    delete_after: bool,
    dry_run: bool,
}

/// `MERGE BRANCH`.
pub fn command(cx: &Context<'_>, text: &str) -> Result<CommandOutcome> {
    let Statement::Merge {
        name,
        into,
        options,
    } = statement::read(text)?
    else {
        return Err(another(text));
    };
    let asked = asked(&options)?;
    let timelines = cx.timelines()?;
    let branches = timelines.list()?;
    let (source, target) = (find(&branches, &name)?, find(&branches, &into)?);
    if asked.delete_after {
        check_unprotected(source)?;
        if source.is_current {
            return Err(Error::new(
                state::OBJECT_IN_USE,
                "cannot delete the branch that the session is on",
            )
            .with_hint("Go to another one with USE BRANCH."));
        }
        if branches
            .iter()
            .any(|branch| branch.base.map(|base| base.0) == Some(source.id))
        {
            return Err(Error::new(
                state::DEPENDENT_OBJECTS_STILL_EXIST,
                format!("cannot delete branch \"{name}\" because other branches go on from it"),
            ));
        }
        if source.name == "main" {
            return Err(Error::new(
                state::INVALID_PARAMETER_VALUE,
                "the main branch is not deleted",
            ));
        }
    }
    let report = timelines.merge(MergeRequest {
        source: source.id,
        target: target.id,
        on_conflict: asked.on_conflict.unwrap_or_default(),
        resolvers: asked.resolvers,
        dry_run: asked.dry_run,
        drop_source: asked.delete_after,
    })?;
    if report.conflicts_open > 0 && !asked.dry_run {
        return Err(refused(&name, &into, &report));
    }
    outcome(&report, asked.dry_run)
}

fn asked(options: &Options) -> Result<Asked> {
    let mut asked = Asked::default();
    for (name, value) in options {
        match name.as_str() {
            "conflict_resolution" | "strategy" => {
                let policy = policy(name, value)?;
                if asked.on_conflict.is_some_and(|other| other != policy) {
                    return Err(invalid(
                        "conflict_resolution and strategy say different things".to_owned(),
                    ));
                }
                asked.on_conflict = Some(policy);
            }
            "resolve" => asked.resolvers = resolvers(value)?,
            "delete_branch_after" => asked.delete_after = boolean(name, value)?,
            "dry_run" => asked.dry_run = boolean(name, value)?,
            _ => {
                return Err(invalid(format!("unrecognized parameter \"{name}\" of a merge"))
                    .with_hint(
                        "There are: conflict_resolution, strategy, resolve, delete_branch_after, dry_run.",
                    ));
            }
        }
    }
    Ok(asked)
}

fn invalid(message: String) -> Error {
    Error::new(state::INVALID_PARAMETER_VALUE, message)
}

/// "Ours" is the branch that is merged into.
fn policy(name: &str, value: &str) -> Result<ConflictPolicy> {
    match (name, value.to_ascii_lowercase().as_str()) {
        (_, "fail") => Ok(ConflictPolicy::Fail),
        ("conflict_resolution", "branch_wins") | ("strategy", "theirs") => {
            Ok(ConflictPolicy::SourceWins)
        }
        ("conflict_resolution", "target_wins") | ("strategy", "ours") => {
            Ok(ConflictPolicy::TargetWins)
        }
        _ => Err(
            invalid(format!("invalid value for option \"{name}\": {value}")).with_hint(
                match name {
                    "strategy" => "There are: fail, ours (the target's), theirs (the branch's).",
                    _ => "There are: fail, branch_wins, target_wins.",
                },
            ),
        ),
    }
}

/// `table.column resolver, …`.
fn resolvers(text: &str) -> Result<Vec<ColumnResolver>> {
    let refused = |what: &str| {
        invalid(format!("invalid value for option \"resolve\": {what}"))
            .with_hint("It is a list of table.column and one of sum, max, min, latest, json_merge.")
    };
    let columns = statement::columns_with_words(text).map_err(|_| refused(text))?;
    let resolvers = columns.into_iter().map(|(table, column, word)| {
        let mut known = Resolver::ALL.into_iter();
        let how = known.find(|known| known.name() == word);
        let how = how.ok_or_else(|| refused(&format!("{table}.{column} {word}")))?;
        Ok(ColumnResolver { table, column, how })
    });
    resolvers.collect()
}

fn refused(name: &str, into: &str, report: &MergeReport) -> Error {
    let count = report.conflicts_open;
    let mut told: Vec<String> = report.open().take(TOLD_MAX).map(line).collect();
    let more = count.saturating_sub(u64::try_from(told.len()).unwrap_or(u64::MAX));
    if more > 0 {
        told.push(format!("and {more} more"));
    }
    let plural = match count {
        1 => "",
        _ => "s",
    };
    let kept = report.conflicts.len();
    let listed = match u64::try_from(kept).unwrap_or(u64::MAX) < report.conflicts_found {
        true => format!("lists the first {kept} of them"),
        false => "lists them".to_owned(),
    };
    Error::new(
        state::TRANSACTION_INTEGRITY_CONSTRAINT_VIOLATION,
        format!("merging branch \"{name}\" into \"{into}\" found {count} conflict{plural}"),
    )
    .with_detail(told.join("\n"))
    .with_hint(format!(
        "SELECT * FROM helios_conflicts() {listed}; conflict_resolution or resolve in WITH decides them.",
    ))
}

/// A conflict in words.
fn line(conflict: &Conflict) -> String {
    let mut text = format!("{} of {}", conflict.kind, conflict.object);
    if let Some(column) = &conflict.column {
        text.push_str(&format!(", {column}"));
    }
    if let Some(key) = &conflict.key {
        text.push_str(&format!(", where {key}"));
    }
    if let Some(detail) = &conflict.detail {
        text.push_str(&format!(": {detail}"));
    }
    if conflict.kind == "update/update" {
        let shown = |value: &Option<String>| value.clone().unwrap_or_else(|| "null".to_owned());
        text.push_str(&format!(
            ": {} became {} on the branch and {} on the target",
            shown(&conflict.base),
            shown(&conflict.source),
            shown(&conflict.target)
        ));
    }
    text
}

fn outcome(report: &MergeReport, dry_run: bool) -> Result<CommandOutcome> {
    let status = match report.conflicts_open {
        0 if dry_run => "dry run",
        0 => "merged",
        _ => "conflicts",
    };
    let number = |number: Option<u64>| -> ArrayRef {
        let number = number.and_then(|number| i64::try_from(number).ok());
        Arc::new(Int64Array::from(vec![number]))
    };
    let text =
        |text: &str| -> ArrayRef { Arc::new(StringViewArray::from_iter_values([text.to_owned()])) };
    Ok(CommandOutcome {
        tag: "MERGE BRANCH".to_owned(),
        columns: COLUMNS
            .map(|(name, ty)| (name.to_owned(), ty.to_owned()))
            .into(),
        batches: vec![vec![
            text(status),
            number(Some(report.inserted)),
            number(Some(report.updated)),
            number(Some(report.deleted)),
            number(Some(report.conflicts_found)),
            number(report.scn),
            text(&report.definitions.join("; ")),
        ]],
    })
}

/// `helios_conflicts()`.
pub fn conflicts(cx: &Context<'_>, _: &Arguments) -> Result<Box<dyn TableCursor>> {
    let report = cx.timelines()?.last_merge()?;
    let all = &report.conflicts;
    let text = |of: &dyn Fn(&Conflict) -> Option<String>| -> ArrayRef {
        Arc::new(all.iter().map(of).collect::<StringViewArray>())
    };
    let ids = all.iter().map(|conflict| i64::try_from(conflict.row?).ok());
    Ok(rows(vec![
        text(&|conflict| Some(conflict.kind.clone())),
        text(&|conflict| Some(conflict.object.clone())),
        Arc::new(ids.collect::<Int64Array>()),
        text(&|conflict| conflict.key.clone()),
        text(&|conflict| conflict.column.clone()),
        text(&|conflict| conflict.base.clone()),
        text(&|conflict| conflict.source.clone()),
        text(&|conflict| conflict.target.clone()),
        text(&|conflict| conflict.detail.clone()),
        text(&|conflict| conflict.resolution.clone()),
    ]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_say_who_wins() {
        let read = |options: &[(&str, &str)]| {
            let options = options.iter();
            let options = options.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
            asked(&options.collect())
        };
        let ours = read(&[("strategy", "OURS"), ("dry_run", "on")]).unwrap();
        assert_eq!(ours.on_conflict, Some(ConflictPolicy::TargetWins));
        assert!(ours.dry_run && !ours.delete_after);
        let resolve = read(&[("resolve", "item.price sum, \"a b\".\"c\" json_merge")]).unwrap();
        assert_eq!(resolve.resolvers[0].how, Resolver::Sum);
        assert_eq!(resolve.resolvers[1].table, "\"a b\"");
        assert_eq!(resolve.resolvers[1].column, "c");
        let text = "Public.Item.Price MAX, \"t, \"\"u\"\"\".\"C.d\" sum";
        let folded = read(&[("resolve", text)]).unwrap().resolvers;
        assert_eq!(folded[0].table, "Public.Item");
        assert_eq!(
            (folded[0].column.as_str(), folded[0].how),
            ("price", Resolver::Max)
        );
        assert_eq!(folded[1].table, "\"t, \"\"u\"\"\"");
        assert_eq!(folded[1].column, "C.d");
        for wrong in [
            ("strategy", "branch_wins"),
            ("conflict_resolution", "mine"),
            ("resolve", "price sum"),
            ("resolve", "item.price avg"),
            ("resolve", "item.price sum,"),
            ("resolve", "item.price sum max"),
            ("fast", "true"),
        ] {
            assert_eq!(
                read(&[wrong]).unwrap_err().sqlstate,
                state::INVALID_PARAMETER_VALUE
            );
        }
        let both = [("strategy", "ours"), ("conflict_resolution", "branch_wins")];
        assert!(read(&both).is_err());
    }
}
