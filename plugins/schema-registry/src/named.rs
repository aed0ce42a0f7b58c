//! The named schemas that are there, as SQL shows them to anybody.

use std::collections::BTreeMap;

use heliosdb_jsonschema_state::Draft;
use heliosdb_plugin_api::arrow::ArrayRef;
use heliosdb_plugin_api::{Argument, Context, Error, Result};

/// The objects of the catalog, and what the plugin jsonschema knows of each.
pub const SCHEMAS: &str = "\
SELECT o.oid::bigint, o.schema::text, o.name::text, l.uri, l.draft, l.schema::text
FROM pg_catalog.helios_plugin_objects AS o
JOIN jsonschema_list() AS l ON l.schema_name = o.schema::text AND l.name = o.name::text
WHERE o.plugin = 'jsonschema' AND o.class = 'JSON schema'";

/// The objects alone.
pub const NAMES: &str = "\
SELECT o.oid::bigint, o.schema::text, o.name::text
FROM pg_catalog.helios_plugin_objects AS o
WHERE o.plugin = 'jsonschema' AND o.class = 'JSON schema'";

/// SQL schemas in which an unqualified name is looked for, in that order.
pub const PATH: &str = "SELECT s::text FROM unnest(current_schemas(true)) AS s";

/// Who runs the statement.
pub const ROLE: &str = "SELECT current_user::text";

/// When the schemas that were there were taken over, in microseconds since 1970 UTC.
pub const ADOPTED_AT: &str = "\
SELECT (extract(epoch FROM published_at) * 1000000)::bigint
FROM pg_catalog.helios_plugin_migrations
WHERE plugin = 'schema_registry' AND store = 'versions' AND adopted_from IS NOT NULL
  AND published_at IS NOT NULL
ORDER BY number DESC LIMIT 1";

/// A named schema.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schema {
    pub schema: String,
    pub name: String,
    pub uri: String,
    pub draft: Option<Draft>,
    pub text: String,
}

/// All named schemas, by oid.
pub fn schemas(cx: &Context<'_>) -> Result<BTreeMap<u32, Schema>> {
    rows(cx, SCHEMAS, |row| {
        let draft = row.text(4);
        let draft = draft.map(|name| Draft::by_name(&name).ok_or_else(unexpected));
        let schema = Schema {
            schema: row.required(1)?,
            name: row.required(2)?,
            uri: row.required(3)?,
            draft: draft.transpose()?,
            text: row.required(5)?,
        };
        Ok((row.oid(0)?, schema))
    })
}

/// Their SQL schemas and names, by oid.
pub fn names(cx: &Context<'_>) -> Result<BTreeMap<u32, (String, String)>> {
    rows(cx, NAMES, |row| {
        Ok((row.oid(0)?, (row.required(1)?, row.required(2)?)))
    })
}

pub fn path(cx: &Context<'_>) -> Result<Vec<String>> {
    rows(cx, PATH, |row| row.required(0))
}

pub fn role(cx: &Context<'_>) -> Result<String> {
    let roles: Vec<String> = rows(cx, ROLE, |row| row.required(0))?;
    roles.into_iter().next().ok_or_else(unexpected)
}

pub fn adopted_at(cx: &Context<'_>) -> Result<Option<i64>> {
    let times: Vec<Option<i64>> = rows(cx, ADOPTED_AT, |row| Ok(row.integer(0)))?;
    Ok(times.into_iter().flatten().next())
}

fn rows<T, C: FromIterator<T>>(
    cx: &Context<'_>,
    sql: &str,
    read: impl Fn(Row<'_>) -> Result<T>,
) -> Result<C> {
    let answer = cx.sql()?.query(sql, &[])?;
    let mut out = Vec::new();
    for batch in &answer.batches {
        let rows = batch.first().map_or(0, |column| column.len());
        for row in 0..rows {
            out.push(read(Row { batch, row })?);
        }
    }
    Ok(out.into_iter().collect())
}

/// One row of an answer.
#[derive(Clone, Copy)]
struct Row<'a> {
    batch: &'a [ArrayRef],
    row: usize,
}

impl Row<'_> {
    fn column(&self, column: usize) -> Option<Argument> {
        let array = self.batch.get(column)?;
        Some(Argument::new(array.clone(), false))
    }

    fn text(&self, column: usize) -> Option<String> {
        self.column(column)?.text(self.row).map(str::to_owned)
    }

    fn integer(&self, column: usize) -> Option<i64> {
        self.column(column)?.integer(self.row)
    }

    fn required(&self, column: usize) -> Result<String> {
        self.text(column).ok_or_else(unexpected)
    }

    fn oid(&self, column: usize) -> Result<u32> {
        let oid = self.integer(column).and_then(|oid| u32::try_from(oid).ok());
        oid.ok_or_else(unexpected)
    }
}

fn unexpected() -> Error {
    Error::internal("the named JSON schemas are not as this build of the plugin expects them")
}
