//! A plugin of word lists, linked into the tests: commands that make them, clauses and a constraint
//! that use them, and commands that run SQL.

use std::ops::Bound;
use std::sync::Arc;

use heliosdb_plugin_api::arrow::ArrayRef;
use heliosdb_plugin_api::arrow::array::{BooleanArray, StringViewArray};
use heliosdb_plugin_api::{
    Arguments, CatalogEvent, Clause, ClauseAction, ClauseTarget, CommandOutcome, Constraint,
    ConstraintDefinition, Context, Error, Host, Plugin, Registrar, Result, Settings, Violation,
    state,
};

const CLASS: &str = "word list";

pub struct Words;

impl Plugin for Words {
    const MANIFEST: &'static str = r#"
id = "words"
version = "1.0.0"
abi = 1
description = "word lists, for tests"
services = ["store/1", "catalog/1", "sql/1"]

[[command]]
prefix = "CREATE WORD LIST"

[[command]]
prefix = "DROP WORD LIST"

[[command]]
prefix = "RENAME WORD LIST"

[[command]]
prefix = "SHOW WORD LISTS"
returns = "TABLE(name text, words text)"

[[command]]
prefix = "RUN SQL"

[[command]]
prefix = "TRY SQL"

[[clause]]
name = "listed_in"
place = "column"
grammar = "LISTED IN <name>"

[[clause]]
name = "all_listed_in"
place = "table"
grammar = "ALL LISTED IN <name>"

[[clause]]
name = "words"
place = "with"
grammar = "words = <literal>"

[[constraint]]
name = "listed"

[[function]]
name = "is_listed"
kind = "scalar"
arguments = ["text", "text"]
returns = "boolean"
volatility = "stable"

[[store]]
name = "lists"
version = 1
"#;

    fn start(_: Host, _: &Settings) -> Result<Words> {
        Ok(Words)
    }

    fn register(self: &Arc<Self>, registrar: &mut Registrar) -> Result<()> {
        registrar.command("CREATE WORD LIST", create)?;
        registrar.command("DROP WORD LIST", drop_list)?;
        registrar.command("RENAME WORD LIST", rename)?;
        registrar.command("SHOW WORD LISTS", show)?;
        registrar.command("RUN SQL", |cx: &Context<'_>, statement: &str| {
            let result = cx.sql()?.query(quoted(statement)?, &[])?;
            let tag = format!("RUN {}", result.command_tag);
            Ok(CommandOutcome::done(&tag))
        })?;
        registrar.command("TRY SQL", |cx: &Context<'_>, statement: &str| {
            match cx.sql()?.query(quoted(statement)?, &[]) {
                Ok(_) => Ok(CommandOutcome::done("TRY")),
                Err(error) => Ok(CommandOutcome::done(&format!("TRY {}", error.sqlstate))),
            }
        })?;
        registrar.clause("listed_in", Listed)?;
        registrar.clause("all_listed_in", Listed)?;
        registrar.clause("words", Listed)?;
        registrar.constraint("listed", Listed)?;
        registrar.scalar("is_listed", &["text", "text"], is_listed)
    }

    fn on_event(&self, cx: &Context<'_>, event: &CatalogEvent) -> Result<()> {
        if let CatalogEvent::Dropped(object) = event {
            cx.store("lists")?.remove(&object.oid.to_be_bytes())?;
        }
        Ok(())
    }
}

/// `schema.name` or `name`; the tests quote nothing.
fn split(name: &str) -> (Option<&str>, &str) {
    match name.split_once('.') {
        Some((schema, name)) => (Some(schema), name),
        None => (None, name),
    }
}

/// The oid of a list.
fn find(cx: &Context<'_>, name: &str) -> Result<u32> {
    let (schema, name) = split(name);
    let found = cx.catalog()?.find(CLASS, schema, name)?;
    found.map(|object| object.oid).ok_or_else(|| {
        Error::new(
            state::UNDEFINED_OBJECT,
            format!("{CLASS} \"{name}\" does not exist"),
        )
    })
}

fn words(cx: &Context<'_>, oid: u32) -> Result<String> {
    let stored = cx.store("lists")?.get(&oid.to_be_bytes())?;
    let stored = stored.ok_or_else(|| Error::internal("a list without words"))?;
    String::from_utf8(stored).map_err(|_| Error::internal("words that are no text"))
}

fn word(statement: &str, place: usize) -> Result<&str> {
    statement
        .split_whitespace()
        .nth(place)
        .ok_or_else(|| Error::new(state::SYNTAX_ERROR, "syntax error at end of input"))
}

/// What stands between the first `$$` and the last, or between quotes.
fn quoted(statement: &str) -> Result<&str> {
    let mark = if statement.contains("$$") { "$$" } else { "'" };
    let (_, rest) = statement.split_once(mark).unwrap_or_default();
    rest.rsplit_once(mark)
        .map(|(text, _)| text)
        .ok_or_else(|| Error::new(state::SYNTAX_ERROR, "syntax error at end of input"))
}

fn create(cx: &Context<'_>, statement: &str) -> Result<CommandOutcome> {
    let (schema, name) = split(word(statement, 3)?);
    let object = cx.catalog()?.create(CLASS, schema, name)?;
    let words = quoted(statement)?;
    cx.store("lists")?
        .put(&object.oid.to_be_bytes(), words.as_bytes())?;
    Ok(CommandOutcome::done("CREATE WORD LIST"))
}

fn drop_list(cx: &Context<'_>, statement: &str) -> Result<CommandOutcome> {
    let oid = find(cx, word(statement, 3)?)?;
    cx.catalog()?.drop(oid, statement.ends_with("CASCADE"))?;
    Ok(CommandOutcome::done("DROP WORD LIST"))
}

fn rename(cx: &Context<'_>, statement: &str) -> Result<CommandOutcome> {
    let oid = find(cx, word(statement, 3)?)?;
    cx.catalog()?.rename(oid, word(statement, 5)?)?;
    Ok(CommandOutcome::done("RENAME WORD LIST"))
}

fn show(cx: &Context<'_>, _: &str) -> Result<CommandOutcome> {
    let lists = cx.catalog()?.list(CLASS)?;
    let mut texts = Vec::new();
    for list in &lists {
        texts.push(words(cx, list.oid)?);
    }
    // Entries of lists that are gone would be left over here.
    let entries = cx.store("lists")?;
    let entries = entries.range(Bound::Unbounded, Bound::Unbounded)?;
    assert_eq!(entries.len(), lists.len());
    let names = lists.iter().map(|l| format!("{}.{}", l.schema, l.name));
    let names: ArrayRef = Arc::new(StringViewArray::from_iter_values(names));
    let texts: ArrayRef = Arc::new(StringViewArray::from_iter_values(texts));
    let column = |name: &str| (name.to_owned(), "text".to_owned());
    Ok(CommandOutcome {
        tag: format!("SHOW {}", lists.len()),
        columns: vec![column("name"), column("words")],
        batches: vec![vec![names, texts]],
    })
}

fn is_listed(cx: &Context<'_>, a: &Arguments) -> Result<ArrayRef> {
    let listed = (0..a.rows()).map(|row| {
        let (Some(list), Some(word)) = (a[0].text(row), a[1].text(row)) else {
            return Ok(None);
        };
        let words = words(cx, find(cx, list)?)?;
        Ok(Some(words.split(',').any(|w| w == word)))
    });
    let listed = listed.collect::<Result<BooleanArray>>()?;
    Ok(Arc::new(listed))
}

/// The clauses, and the constraint they make: its option is the oid of the list.
struct Listed;

impl Clause for Listed {
    fn apply(
        &self,
        cx: &Context<'_>,
        target: &ClauseTarget,
        arguments: &[String],
    ) -> Result<Vec<ClauseAction>> {
        let oid = find(cx, &arguments[0])?;
        let definition = match &target.column {
            Some(_) => format!("LISTED IN {}", arguments[0]),
            None => format!("ALL LISTED IN {}", arguments[0]),
        };
        Ok(vec![ClauseAction::AddConstraint {
            kind: "listed".to_owned(),
            options: oid.to_string(),
            definition,
            depends_on: vec![oid],
        }])
    }
}

impl Constraint for Listed {
    fn check(
        &self,
        cx: &Context<'_>,
        definition: &ConstraintDefinition,
        rows: &Arguments,
    ) -> Result<Vec<Violation>> {
        let oid = definition.options.parse();
        let words = words(cx, oid.map_err(|_| Error::internal("no oid"))?)?;
        let mut found = Vec::new();
        for row in 0..rows.rows() {
            for (column, name) in definition.columns.iter().enumerate() {
                let Some(word) = rows[column].text(row) else {
                    continue;
                };
                if !words.split(',').any(|w| w == word) {
                    found.push(Violation {
                        row,
                        detail: Some(format!("\"{word}\" of {name} is not in the list.")),
                        ..Violation::default()
                    });
                }
            }
        }
        Ok(found)
    }
}
