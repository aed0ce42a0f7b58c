//! One change to a database, which a comparison must find, and nothing else.

use heliosdb_kernel::Connection;
use heliosdb_sim::rng::Rng;

use crate::ask::{self, Question};
use crate::generate::model::{Model, Role};
use crate::{Result, text};

/// A change that was made.
#[derive(Debug)]
pub struct Planted {
    pub sql: String,
    /// The findings that it must lead to: how each begins.
    pub expected: Vec<String>,
}

/// Values that are tried until one is accepted and is another than before.
const ATTEMPTS: usize = 8;

/// Makes one random change; `None` when the database has nothing that can be changed alone.
///
/// # Errors
///
/// The database does not answer.
pub fn plant(connection: &mut Connection, model: &Model, rng: &mut Rng) -> Result<Option<Planted>> {
    let value = |connection: &mut Connection, rng: &mut Rng| plant_value(connection, model, rng);
    // A single value is what is easiest to miss.
    if !rng.one_in(3)
        && let Some(planted) = value(connection, rng)?
    {
        return Ok(Some(planted));
    }
    for (sql, object) in object_changes(connection, model, rng)? {
        if connection.execute(&sql).is_ok() {
            let expected = consequences(object);
            return Ok(Some(Planted { sql, expected }));
        }
    }
    value(connection, rng)
}

/// What the comparison says of a changed object: a view that is gone does not answer either, and a JSON
/// schema is in the stores of two plugins.
fn consequences(object: String) -> Vec<String> {
    match object.split_once(' ') {
        Some(("view", name)) => vec![format!("check views view {name}"), object],
        Some(("JSON", _)) => {
            let stores = ["store jsonschema.schemas", "store schema_registry.versions"];
            let mut all = stores.map(str::to_owned).to_vec();
            all.push(object);
            all
        }
        _ => vec![object],
    }
}

/// Another value in one column of one row.
fn plant_value(
    connection: &mut Connection,
    model: &Model,
    rng: &mut Rng,
) -> Result<Option<Planted>> {
    for _ in 0..ATTEMPTS {
        let live = model.live();
        let table = &model.tables[live[rng.index(live.len())]];
        let place = rng.index(table.columns.len().max(1));
        let (Some(key), Some(column)) = (table.columns.first(), table.columns.get(place)) else {
            continue;
        };
        if !table.has_key() || table.made == 0 || column.role != Role::Plain {
            continue;
        }
        let name = &table.name;
        let row = key.ty.distinct(rng.below(table.made));
        let condition = format!("WHERE {} = {row}", key.name);
        let look = [Question::new(format!(
            "SELECT {} FROM {name} {condition}",
            column.name
        ))];
        let before = ask::answers(connection, &look);
        let value = column.ty.value(rng);
        let sql = format!("UPDATE {name} SET {} = {value} {condition}", column.name);
        // A check or a unique index may refuse it.
        let _ = connection.execute(&sql);
        if ask::answers(connection, &look) != before {
            let expected = vec![format!("table {name} {}", column.name)];
            return Ok(Some(Planted { sql, expected }));
        }
    }
    Ok(None)
}

/// Statements that change one object each, in random order, with what a comparison must say.
fn object_changes(
    connection: &mut Connection,
    model: &Model,
    rng: &mut Rng,
) -> Result<Vec<(String, String)>> {
    let mut changes = vec![(
        "CREATE TABLE public.planted (a integer)".to_owned(),
        "table public.planted".to_owned(),
    )];
    for (view, _) in &model.views {
        changes.push((format!("DROP VIEW {view}"), format!("view {view}")));
        changes.push((
            format!("COMMENT ON VIEW {view} IS 'planted'"),
            format!("view {view}"),
        ));
    }
    for sequence in &model.sequences {
        changes.push((
            format!(
                "SELECT setval({}, 2, true)",
                crate::generate::name::literal(sequence)
            ),
            format!("sequence {sequence}"),
        ));
    }
    for role in &model.roles {
        changes.push((
            format!("ALTER ROLE {role} PASSWORD 'planted'"),
            format!("role {role}"),
        ));
    }
    for at in model.live() {
        let table = &model.tables[at];
        for index in &table.indexes {
            let name = format!("{}.{index}", table.schema);
            changes.push((format!("DROP INDEX {name}"), format!("index {name}")));
        }
        if let Some(column) = table.columns.iter().find(|c| c.has_default) {
            changes.push((
                format!(
                    "ALTER TABLE {} ALTER COLUMN {} DROP DEFAULT",
                    table.name, column.name
                ),
                format!("table {}", table.name),
            ));
        }
    }
    for schema in &model.documents {
        changes.push((
            format!("COMMENT ON SCHEMA public IS '{}'", rng.next_u64()),
            "schema public".to_owned(),
        ));
        changes.push((
            format!("DROP JSON SCHEMA {schema}"),
            format!("JSON schema of jsonschema {schema}"),
        ));
    }
    // A setval to where it stands already is no change.
    let mut used = Vec::new();
    for sequence in &model.sequences {
        let sql = format!("SELECT last_value, is_called FROM {sequence}");
        let rows = connection.query(&sql, &[]).map_err(text)?;
        let row = rows.one().map_err(text)?;
        let (value, is_called) = (row.get::<i64>(0), row.get::<bool>(1));
        if matches!((value, is_called), (Ok(2), Ok(true))) {
            used.push(format!("sequence {sequence}"));
        }
    }
    changes.retain(|(_, expected)| !used.contains(expected));
    for at in (1..changes.len()).rev() {
        changes.swap(at, rng.index(at + 1));
    }
    Ok(changes)
}
