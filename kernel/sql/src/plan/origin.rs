//! Where the columns of a result come from: the table and column behind each, if one is.
//!
//! A client wants to know (`ftable`, `ftablecol`), and a column of a table has a type that its Arrow
//! type alone does not tell (`varchar(10)` is text to Arrow).

use datafusion::datasource::source_as_provider;
use datafusion::logical_expr::{Expr, LogicalPlan};

use super::provider::StoredTable;
use crate::pg_catalog::{PG_TYPE_KEY, PG_TYPMOD_KEY};
use crate::semantics::output_name;
use crate::session::outcome::ResultColumn;
use crate::types::PgType;

#[derive(Clone, Debug)]
struct Origin {
    ty: PgType,
    typmod: i32,
    table: u32,
    attnum: i16,
}

/// Describes the output of a plan, as analysed and before optimisation.
pub(crate) fn result_columns(plan: &LogicalPlan) -> Vec<ResultColumn> {
    let schema = plan.schema();
    schema
        .fields()
        .iter()
        .enumerate()
        .map(|(i, field)| {
            let name = output_name(field.name()).to_owned();
            match origin(plan, i, 0) {
                Some(o) => ResultColumn {
                    name,
                    ty: o.ty,
                    table_oid: o.table,
                    column_attnum: o.attnum,
                    typmod: o.typmod,
                },
                None => {
                    let named = |key| field.metadata().get(key).and_then(|v| v.parse().ok());
                    let ty = named(PG_TYPE_KEY)
                        .and_then(|oid: i64| u32::try_from(oid).ok().and_then(PgType::from_oid));
                    ResultColumn {
                        name,
                        ty: ty.unwrap_or_else(|| described_type(field.data_type())),
                        table_oid: 0,
                        column_attnum: 0,
                        typmod: named(PG_TYPMOD_KEY)
                            .and_then(|t| i32::try_from(t).ok())
                            .unwrap_or(-1),
                    }
                }
            }
        })
        .collect()
}

/// The type a client is told: a literal whose type stayed open is text.
pub(crate) fn described_type(ty: &arrow::datatypes::DataType) -> PgType {
    match PgType::from_arrow(ty) {
        Some(PgType::Unknown) | None => PgType::Text,
        Some(ty) => ty,
    }
}

const DEPTH_MAX: usize = 256;

fn origin(plan: &LogicalPlan, column: usize, depth: usize) -> Option<Origin> {
    if depth > DEPTH_MAX {
        return None;
    }
    match plan {
        LogicalPlan::Projection(p) => {
            let name = column_behind(p.expr.get(column)?)?;
            origin(
                &p.input,
                p.input.schema().maybe_index_of_column(name)?,
                depth + 1,
            )
        }
        LogicalPlan::SubqueryAlias(a) => origin(&a.input, column, depth + 1),
        LogicalPlan::Filter(f) => origin(&f.input, column, depth + 1),
        LogicalPlan::Sort(s) => origin(&s.input, column, depth + 1),
        LogicalPlan::Limit(l) => origin(&l.input, column, depth + 1),
        LogicalPlan::Distinct(datafusion::logical_expr::Distinct::All(input)) => {
            origin(input, column, depth + 1)
        }
        LogicalPlan::Subquery(s) => origin(&s.subquery, column, depth + 1),
        LogicalPlan::Aggregate(a) => {
            let name = column_behind(a.group_expr.get(column)?)?;
            origin(
                &a.input,
                a.input.schema().maybe_index_of_column(name)?,
                depth + 1,
            )
        }
        LogicalPlan::Window(w) => {
            let inputs = w.input.schema().fields().len();
            if column < inputs {
                origin(&w.input, column, depth + 1)
            } else {
                None
            }
        }
        LogicalPlan::Join(j) => {
            let (qualifier, field) = plan.schema().qualified_field(column);
            [&j.left, &j.right].into_iter().find_map(|side| {
                let at = side
                    .schema()
                    .index_of_column_by_name(qualifier, field.name())?;
                origin(side, at, depth + 1)
            })
        }
        LogicalPlan::TableScan(scan) => {
            let at = match &scan.projection {
                Some(p) => *p.get(column)?,
                None => column,
            };
            let provider = source_as_provider(&scan.source).ok()?;
            let provider: &dyn std::any::Any = provider.as_ref();
            let table = provider.downcast_ref::<StoredTable>()?;
            let column = table.meta().columns.get(at)?;
            Some(Origin {
                ty: column.ty.clone(),
                typmod: column.typmod,
                table: table.oid(),
                attnum: i16::try_from(column.id.0).ok()?.checked_add(1)?,
            })
        }
        _ => None,
    }
}

fn column_behind(expr: &Expr) -> Option<&datafusion::common::Column> {
    match expr {
        Expr::Column(c) => Some(c),
        Expr::Alias(a) => column_behind(&a.expr),
        _ => None,
    }
}
