//! Whether the rows that are stored match a schema that has changed, and which do not.
//!
//! The rows are looked for by SQL, with the plugin's own function as the condition, so the table is
//! read a batch at a time and only what is wrong comes here.
//!
//! No table is locked. A transaction that has rows checked holds the schema as it is until it ends,
//! which is what the server does with all that a constraint reads of a store; so the write of the new
//! schema, before the rows are looked for, has waited for rows checked against the old one.

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef};
use arrow_schema::DataType;
use heliosdb_plugin_api::service::Dependent;
use heliosdb_plugin_api::service::sql::quote_identifier;
use heliosdb_plugin_api::{Context, Error, Result, state as sqlstate};

use super::Checker;
use super::name::Name;
use super::named::Named;
use crate::schema::Compiled;

/// Characters of a key that a message shows.
const KEY_MAX: usize = 100;

/// A column that must match a schema.
pub struct Column<'a> {
    /// Qualified, and quoted as SQL needs.
    table: &'a str,
    column: &'a str,
    constraint: &'a str,
    constraint_oid: u32,
}

impl<'a> Column<'a> {
    /// The column of a constraint; none of what is no constraint on a column.
    pub fn of(dependent: &'a Dependent) -> Option<Column<'a>> {
        Some(Column {
            table: dependent.table.as_deref()?,
            column: dependent.column.as_deref()?,
            constraint: dependent.constraint.as_deref()?,
            constraint_oid: dependent.oid,
        })
    }
}

/// Refuses (23514) if a row does not match; shows at most `max` rows. Of a constraint that is NOT VALID
/// nobody has said that its rows match.
pub fn check(
    cx: &Context<'_>,
    named: &Named<'_>,
    oid: u32,
    schema: &Compiled,
    column: &Column<'_>,
    max: usize,
) -> Result<()> {
    let Some(object) = named.catalog().get(oid)? else {
        return Ok(());
    };
    if !is_validated(cx, column)? {
        return Ok(());
    }
    let name = [object.schema, object.name].map(|part| quote_identifier(&part));
    let key = key_columns(cx, column.table)?;
    let value = quote_identifier(column.column);
    let mut select = vec![format!("{value}::text")];
    select.extend(
        key.iter()
            .map(|key| format!("{}::text", quote_identifier(key))),
    );
    let sql = format!(
        "SELECT {} FROM {} WHERE NOT jsonschema_matches($1, {value}) LIMIT {max}",
        select.join(", "),
        column.table
    );
    let wrong = cx.sql()?.query(&sql, &[Some(&name.join("."))])?;

    let mut checker = Checker::new(cx);
    let mut lines = Vec::new();
    for batch in &wrong.batches {
        for row in 0..batch.first().map_or(0, |column| column.len()) {
            let value = text(&batch[0], row).unwrap_or_default();
            let violations = checker.violations(schema, value, 1)?;
            let place = match key.len() {
                0 => "A row".to_owned(),
                _ => {
                    let values = batch[1..].iter();
                    let values = values.map(|column| text(column, row).unwrap_or("null"));
                    let values: Vec<String> = values.map(shortened).collect();
                    format!("The row ({})=({})", key.join(", "), values.join(", "))
                }
            };
            let more = match violations.total {
                0 | 1 => String::new(),
                total => format!(" And {} more.", total - 1),
            };
            let first = violations.first.first();
            let first = first.map_or(String::new(), |violation| violation.to_string());
            lines.push(format!("{place}: {first}{more}"));
        }
    }
    if lines.is_empty() {
        return Ok(());
    }
    Err(Error::new(
        sqlstate::CHECK_VIOLATION,
        format!(
            "check constraint \"{}\" of relation \"{}\" is violated by some row",
            column.constraint,
            Name::parse(column.table)?.name
        ),
    )
    .with_detail(lines.join("\n")))
}

fn is_validated(cx: &Context<'_>, column: &Column<'_>) -> Result<bool> {
    let sql = "SELECT 1 FROM pg_constraint WHERE oid = $1::oid AND NOT convalidated";
    let oid = column.constraint_oid.to_string();
    let found = cx.sql()?.query(sql, &[Some(&oid)])?;
    let mut lengths = found.batches.iter().filter_map(|batch| batch.first());
    Ok(lengths.all(|column| column.is_empty()))
}

/// The columns of the table's primary key; none if it has none.
fn key_columns(cx: &Context<'_>, table: &str) -> Result<Vec<String>> {
    let sql = "SELECT a.attname::text FROM pg_constraint c, pg_attribute a \
               WHERE c.contype = 'p' AND c.conrelid = $1::regclass \
               AND a.attrelid = c.conrelid AND a.attnum = ANY (c.conkey) ORDER BY a.attnum";
    let found = cx.sql()?.query(sql, &[Some(table)])?;
    let mut names = Vec::new();
    for batch in &found.batches {
        let Some(column) = batch.first() else {
            continue;
        };
        names.extend((0..column.len()).filter_map(|row| text(column, row).map(str::to_owned)));
    }
    Ok(names)
}

fn text(column: &ArrayRef, row: usize) -> Option<&str> {
    if column.is_null(row) {
        return None;
    }
    match column.data_type() {
        DataType::Utf8View => Some(column.as_string_view().value(row)),
        DataType::Utf8 => Some(column.as_string::<i32>().value(row)),
        DataType::LargeUtf8 => Some(column.as_string::<i64>().value(row)),
        _ => None,
    }
}

fn shortened(value: &str) -> String {
    match value.char_indices().nth(KEY_MAX) {
        None => value.to_owned(),
        Some((end, _)) => format!("{}…", &value[..end]),
    }
}
