//! Expressions over the columns of one row that DDL keeps: of checks, of indexes, of generated columns.

use std::sync::Arc;

use arrow::datatypes::{Field, Schema};
use sqlparser::ast::Expr;

use crate::catalog::CatalogSnapshot;
use crate::catalog::meta::TableMeta;
use crate::error::{Result, SqlError, state};
use crate::plan::compile::{Expressions, Local};
use crate::plan::computed;
use crate::plan::context::Uses;
use crate::session::Session;
use crate::types::PgType;

/// What an expression is found to be.
pub(super) struct RowExpression {
    /// Ids of the columns that it reads.
    pub columns: Vec<u16>,
    pub ty: PgType,
    /// It gives the same for the same row for ever.
    pub is_immutable: bool,
    pub uses: Uses,
}

impl Session {
    /// Reads an expression over the columns of a table. `what` is what it is one of, in the plural, for messages.
    pub(super) fn row_expression(
        &mut self,
        catalog: &Arc<CatalogSnapshot>,
        meta: &TableMeta,
        expr: &Expr,
        what: &str,
    ) -> Result<RowExpression> {
        self.with_state(|session, state| {
            let local = Local {
                name: &meta.table.name,
                schema: meta.schema.clone(),
            };
            let exprs = vec![expr.clone()];
            let info = &session.info;
            let exprs = Expressions::plan_exprs(state, catalog, info, &[local], exprs, what)?;
            let used = exprs.columns_used();
            Ok(RowExpression {
                columns: used.iter().map(|p| meta.columns[*p].id.0).collect(),
                ty: exprs.pg_type(0),
                is_immutable: exprs.are_immutable()?,
                uses: exprs.uses,
            })
        })
    }
}

/// 0A000 when an expression, as it is stored, calls a function that is not built in. `what` it is in is for the message.
pub(super) fn check_without_plugins(
    meta: &TableMeta,
    stored: &str,
    columns: &[u16],
    what: &str,
) -> Result<()> {
    let inputs = columns.iter().map(|column| {
        let def = &meta.storage.columns[usize::from(*column)];
        Field::new(format!("c{column}"), def.ty.arrow(), true)
    });
    let schema = Arc::new(Schema::new(inputs.collect::<Vec<_>>()));
    match computed::compile(stored, &schema) {
        Ok(_) => Ok(()),
        Err(e) if e.code == state::UNDEFINED_FUNCTION => Err(SqlError::unsupported(format!(
            "a function that is not built in, in {what},"
        ))),
        Err(e) => Err(e),
    }
}
