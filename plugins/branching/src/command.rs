//! What the statements do.

use arrow_array::Array;
use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use heliosdb_plugin_api::service::Branch;
use heliosdb_plugin_api::{CommandOutcome, Context, Error, Result, state};

use crate::note::Note;
use crate::statement::{self, Options, Statement, When};

/// `CREATE BRANCH`.
pub fn create(cx: &Context<'_>, text: &str) -> Result<CommandOutcome> {
    let Statement::Create {
        name,
        if_not_exists,
        from,
        when,
        options,
    } = statement::read(text)?
    else {
        return Err(another(text));
    };
    let branches = cx.timelines()?.list()?;
    if if_not_exists && branches.iter().any(|branch| branch.name == name) {
        return Ok(CommandOutcome::done("CREATE BRANCH"));
    }
    let from = match from {
        Some(from) => find(&branches, &from)?,
        None => current(&branches)?,
    };
    let mut note = Note::default();
    set(cx, &mut note, &options)?;
    let at = scn(cx, &when)?;
    cx.timelines()?.create(&name, from.id, at, &note.write()?)?;
    Ok(CommandOutcome::done("CREATE BRANCH"))
}

/// `ALTER BRANCH`.
pub fn alter(cx: &Context<'_>, text: &str) -> Result<CommandOutcome> {
    let branches = cx.timelines()?.list()?;
    match statement::read(text)? {
        Statement::Rename { name, to } => {
            cx.timelines()?.rename(find(&branches, &name)?.id, &to)?;
        }
        Statement::Set { name, options } => {
            let branch = find(&branches, &name)?;
            let mut note = Note::read(&branch.note)?;
            set(cx, &mut note, &options)?;
            cx.timelines()?.note(branch, &note.write()?)?;
        }
        _ => return Err(another(text)),
    }
    Ok(CommandOutcome::done("ALTER BRANCH"))
}

/// `DROP BRANCH`.
pub fn drop(cx: &Context<'_>, text: &str) -> Result<CommandOutcome> {
    let Statement::Drop { name, if_exists } = statement::read(text)? else {
        return Err(another(text));
    };
    let branches = cx.timelines()?.list()?;
    if if_exists && !branches.iter().any(|branch| branch.name == name) {
        return Ok(CommandOutcome::done("DROP BRANCH"));
    }
    let branch = find(&branches, &name)?;
    check_unprotected(branch)?;
    cx.timelines()?.drop(branch)?;
    Ok(CommandOutcome::done("DROP BRANCH"))
}

/// `55000` for a branch that cannot be dropped.
pub(crate) fn check_unprotected(branch: &Branch) -> Result<()> {
    match Note::read(&branch.note)?.protected {
        false => Ok(()),
        true => Err(Error::new(
            state::OBJECT_NOT_IN_PREREQUISITE_STATE,
            format!("branch \"{}\" is protected", branch.name),
        )
        .with_hint("ALTER BRANCH … SET (protected = false) lets it be dropped.")),
    }
}

/// `USE BRANCH`.
pub fn choose(cx: &Context<'_>, text: &str) -> Result<CommandOutcome> {
    let Statement::Use { name } = statement::read(text)? else {
        return Err(another(text));
    };
    let branches = cx.timelines()?.list()?;
    cx.timelines()?.choose(find(&branches, &name)?.id)?;
    Ok(CommandOutcome::done("USE BRANCH"))
}

pub(crate) fn another(text: &str) -> Error {
    Error::internal(format!("another statement than was claimed: {text}"))
}

pub(crate) fn find<'a>(branches: &'a [Branch], name: &str) -> Result<&'a Branch> {
    let found = branches.iter().find(|branch| branch.name == name);
    found.ok_or_else(|| {
        Error::new(
            state::UNDEFINED_OBJECT,
            format!("branch \"{name}\" does not exist"),
        )
    })
}

pub(crate) fn current(branches: &[Branch]) -> Result<&Branch> {
    let mut current = branches.iter().filter(|branch| branch.is_current);
    current.next().ok_or_else(|| {
        Error::new(
            state::UNDEFINED_OBJECT,
            "the branch of this session was dropped",
        )
    })
}

/// Takes options over into a note.
fn set(cx: &Context<'_>, note: &mut Note, options: &Options) -> Result<()> {
    for (name, value) in options {
        match name.as_str() {
            "protected" => note.protected = boolean(name, value)?,
            "expires" => note.expires = expiry(cx, value)?,
            _ => {
                return Err(Error::new(
                    state::INVALID_PARAMETER_VALUE,
                    format!("unrecognized parameter \"{name}\" of a branch"),
                )
                .with_hint("There are: protected, expires."));
            }
        }
    }
    Ok(())
}

pub(crate) fn boolean(name: &str, value: &str) -> Result<bool> {
    match value.to_ascii_lowercase().as_str() {
        "true" | "on" | "yes" | "1" => Ok(true),
        "false" | "off" | "no" | "0" => Ok(false),
        _ => Err(Error::new(
            state::INVALID_PARAMETER_VALUE,
            format!("invalid value for boolean option \"{name}\": {value}"),
        )),
    }
}

/// When a branch goes by itself: so long after now, or `never`.
fn expiry(cx: &Context<'_>, value: &str) -> Result<Option<i64>> {
    if value.eq_ignore_ascii_case("never") {
        return Ok(None);
    }
    let quoted = value.replace('\'', "''");
    let after = micros(cx, &format!("now() + interval '{quoted}'"))?;
    match after > micros(cx, "now()")? {
        true => Ok(Some(after)),
        false => Err(Error::new(
            state::INVALID_PARAMETER_VALUE,
            format!("a branch cannot expire {value} from now"),
        )
        .with_hint("It is an interval, such as '7 days', or never.")),
    }
}

/// A time of SQL, in microseconds since the Unix epoch.
pub(crate) fn micros(cx: &Context<'_>, expression: &str) -> Result<i64> {
    number(
        cx,
        &format!("SELECT (extract(epoch FROM {expression}) * 1000000)::bigint"),
    )?
    .ok_or_else(|| Error::internal("a time that is null"))
}

/// The SCN of a time; `None` for now.
pub(crate) fn scn(cx: &Context<'_>, when: &When) -> Result<Option<u64>> {
    let query = match when {
        When::Now => return Ok(None),
        When::Scn(expression) => format!("SELECT ({expression})::bigint"),
        When::Timestamp(expression) => {
            format!("SELECT helios_scn(({expression})::timestamptz)")
        }
    };
    let value = number(cx, &query)?.ok_or_else(|| {
        Error::new(
            state::INVALID_PARAMETER_VALUE,
            "the time of a branch must not be null",
        )
    })?;
    Ok(Some(u64::try_from(value).unwrap_or(0)))
}

/// What a query of one bigint gives.
pub(crate) fn number(cx: &Context<'_>, query: &str) -> Result<Option<i64>> {
    let answer = cx.sql()?.query(query, &[])?;
    let column = answer.batches.first().and_then(|batch| batch.first());
    let values = column.and_then(|column| column.as_primitive_opt::<Int64Type>());
    let value = values.filter(|values| values.len() == 1 && values.is_valid(0));
    Ok(value.map(|value| value.value(0)))
}
