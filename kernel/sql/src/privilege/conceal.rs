//! Errors tell values of rows in their details. A role that may not read those is not told.
//!
//! It is asked of errors of constraints alone: all others speak of values that came with the statement or that
//! the role had read.

use crate::catalog::model::{ConstraintKind, Table};
use crate::catalog::{CatalogSnapshot, Oid};
use crate::error::{SqlError, state};
use crate::privilege::Authority;
use crate::privilege::check::attributes;

/// The error as the role is told it.
pub(crate) fn conceal(
    mut error: SqlError,
    catalog: &CatalogSnapshot,
    role: &Authority,
) -> SqlError {
    let of_rows = matches!(
        error.code,
        state::UNIQUE_VIOLATION
            | state::FOREIGN_KEY_VIOLATION
            | state::CHECK_VIOLATION
            | state::NOT_NULL_VIOLATION
    );
    if of_rows && error.detail.is_some() && !role.superuser && !may_see(&error, catalog, role) {
        error.detail = error.detail.as_deref().and_then(without_key);
    }
    error
}

/// `Key (columns)=(values) is …` without the columns and the values; nothing of other details.
fn without_key(detail: &str) -> Option<String> {
    let told = [IS_NOT_PRESENT, IS_REFERENCED]
        .into_iter()
        .find_map(|what| detail.rfind(what).map(|at| &detail[at..]))?;
    Some(format!("Key{told}"))
}

const IS_NOT_PRESENT: &str = " is not present in table ";
const IS_REFERENCED: &str = " is still referenced from table ";

fn may_see(error: &SqlError, catalog: &CatalogSnapshot, role: &Authority) -> bool {
    let Some(name) = &error.table else {
        return false;
    };
    // Some errors name their table without its schema: then every table of that name has to be readable.
    let schema = error.schema.as_deref().unwrap_or_default();
    let is_meant = |table: &Table| {
        table.name == *name
            && (schema.is_empty()
                || catalog
                    .schema(table.schema)
                    .is_some_and(|s| s.name == schema))
    };
    let mut tables = catalog.tables().filter(|table| is_meant(table)).peekable();
    tables.peek().is_some() && tables.all(|table| sees(error, catalog, role, table))
}

fn sees(error: &SqlError, catalog: &CatalogSnapshot, role: &Authority, table: &Table) -> bool {
    let numbers = |columns: &[u16]| -> Vec<i32> {
        let columns = columns.iter();
        columns.map(|column| i32::from(*column) + 1).collect()
    };
    let constraint = error.constraint.as_deref().unwrap_or_default();
    match error.code {
        state::UNIQUE_VIOLATION => {
            let mut indexes = catalog.indexes_of(table.oid);
            let Some(index) = indexes.find(|index| index.name == constraint) else {
                return false;
            };
            let places = 0..u16::try_from(table.columns.len()).unwrap_or(u16::MAX);
            let read: Vec<u16> = places.filter(|place| index.reads(*place)).collect();
            role.may_see(catalog, table, &numbers(&read))
        }
        state::FOREIGN_KEY_VIOLATION => {
            let mut constraints = catalog.constraints_of(table.oid);
            let Some(found) = constraints.find(|c| c.name == constraint) else {
                return false;
            };
            let ConstraintKind::ForeignKey(key) = &found.kind else {
                return false;
            };
            let sees = |table: Oid, columns: &[u16]| {
                let table = catalog.table(table);
                table.is_some_and(|t| role.may_see(catalog, t, &numbers(columns)))
            };
            // The key is told of the table that was written.
            let detail = error.detail.as_deref().unwrap_or_default();
            match detail.contains(IS_REFERENCED) {
                true => sees(key.referenced_table, &key.referenced_columns),
                false => sees(found.table, &key.columns),
            }
        }
        _ => {
            let all: Vec<i32> = attributes(table).collect();
            role.may_see(catalog, table, &all)
        }
    }
}
