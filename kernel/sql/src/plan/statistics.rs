//! What the planner is told of a table: how many rows a scan gives, and how many different values its
//! keys have.
//!
//! Rows are counted by storage; ranges are held against zone maps. A column that is unique by itself has as
//! many values as its table has rows, and one that refers to such a column has at most that many. Of other
//! columns of large tables the sketches that segments have say it.

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::stats::Precision;
use datafusion::common::{ColumnStatistics, Statistics};
use heliosdb_storage::ReadView;
use heliosdb_storage::ids::{CollectionId, ColumnId};

use crate::catalog::CatalogSnapshot;
use crate::catalog::model::{ConstraintKind, Index, Table};

/// Of smaller tables nobody needs to know more than that.
const SKETCHED_ROWS_MIN: u64 = 10_000;
/// Foreign keys are followed so far: `lineitem` to `partsupp` to `part` are two.
const REFERENCES_MAX: usize = 4;

/// For each of a table's columns, dropped ones included, the collection that has a row for each of its
/// values.
pub(super) fn domains(catalog: &CatalogSnapshot, table: &Table) -> Vec<Option<CollectionId>> {
    (0u16..)
        .zip(&table.columns)
        .map(|(column, _)| domain(catalog, table, column, REFERENCES_MAX))
        .collect()
}

fn domain(
    catalog: &CatalogSnapshot,
    table: &Table,
    column: u16,
    references: usize,
) -> Option<CollectionId> {
    let mut indexes = catalog.indexes_of(table.oid);
    if indexes.any(|index| is_key(index, column)) {
        return Some(table.collection_id());
    }
    let references = references.checked_sub(1)?;
    let mut constraints = catalog.constraints_of(table.oid);
    constraints.find_map(|constraint| {
        let ConstraintKind::ForeignKey(key) = &constraint.kind else {
            return None;
        };
        let place = key.columns.iter().position(|of_key| *of_key == column)?;
        let referenced = *key.referenced_columns.get(place)?;
        let table = catalog.table(key.referenced_table)?;
        domain(catalog, table, referenced, references)
    })
}

/// Whether no two rows have the same value in a column.
fn is_key(index: &Index, column: u16) -> bool {
    let [part] = index.columns.as_slice() else {
        return false;
    };
    let plain = index.expression(part).is_none() && index.predicate.is_none();
    index.unique && plain && part.column == column
}

/// Rows, and the different values of columns. `columns` are those of the schema, but for a row id behind
/// them.
pub(super) fn of_scan(
    schema: &SchemaRef,
    view: &ReadView,
    table: CollectionId,
    rows: u64,
    columns: &[ColumnId],
    domains: &[Option<CollectionId>],
) -> Statistics {
    let mut statistics = row_statistics(schema, rows);
    let is_small = view.row_count_estimate(table) < SKETCHED_ROWS_MIN;
    for (column, known) in columns.iter().zip(&mut statistics.column_statistics) {
        let values = match domains.get(usize::from(column.0)) {
            Some(Some(domain)) => Some(view.row_count_estimate(*domain)),
            _ if is_small => None,
            _ => view.distinct_estimate(table, *column),
        };
        let values = values.map_or(0, |values| values.min(rows));
        if values > 0 {
            known.distinct_count =
                Precision::Inexact(usize::try_from(values).unwrap_or(usize::MAX));
        }
    }
    statistics
}

/// Statistics that know the number of rows only.
pub(crate) fn row_statistics(schema: &SchemaRef, rows: u64) -> Statistics {
    Statistics {
        num_rows: Precision::Inexact(usize::try_from(rows).unwrap_or(usize::MAX)),
        total_byte_size: Precision::Absent,
        column_statistics: vec![ColumnStatistics::new_unknown(); schema.fields().len()],
    }
}
