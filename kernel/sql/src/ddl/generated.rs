//! `GENERATED ALWAYS AS (expression) STORED`: columns that are computed from their row when it is written.
//!
//! The expression is kept as SQL over the table's columns, like a CHECK, and with the columns that it reads. It is
//! immutable, and reads no other generated column, so that the order in which columns are computed does not
//! matter. `crate::dml::write` computes them.

use std::sync::Arc;

use sqlparser::ast::Expr;

use super::create_table::ColumnRequest;
use super::index_labels::with_keys;
use super::row_expression::{RowExpression, check_without_plugins};
use crate::catalog::meta::TableMeta;
use crate::catalog::model::*;
use crate::error::{Result, SqlError, state};
use crate::plan::computed;
use crate::session::Session;

impl Session {
    /// Gives a column of a table with all its columns an expression.
    pub(super) fn generate(&mut self, table: &mut Table, place: u16, expr: &Expr) -> Result<()> {
        let qualified = self.with_qualified_types(expr);
        let (_, catalog) = self.write_view()?;
        let meta = TableMeta::new(&catalog, &Arc::new(table.clone()))?;
        let RowExpression {
            columns,
            ty,
            is_immutable,
            ..
        } = self.row_expression(&catalog, &meta, expr, "column generation expressions")?;
        if !is_immutable {
            return Err(SqlError::new(
                state::INVALID_OBJECT_DEFINITION,
                "generation expression is not immutable",
            ));
        }
        // A function of a plugin may go with it.
        let keyed = with_keys(expr, table, self.info.functions().named_types())?;
        let stored = computed::to_stored(&keyed, table);
        check_without_plugins(&meta, &stored, &columns, "a generated column")?;
        for column in &columns {
            let read = &table.columns[usize::from(*column)];
            if *column == place || read.generated.is_some() {
                return Err(SqlError::new(
                    state::INVALID_OBJECT_DEFINITION,
                    format!(
                        "cannot use generated column \"{}\" in column generation expression",
                        read.name
                    ),
                )
                .with_detail("A generated column cannot reference another generated column."));
            }
        }
        let column = &mut table.columns[usize::from(place)];
        self.check_assigned(&ty, column).map_err(|e| match e.code {
            state::DATATYPE_MISMATCH => SqlError::new(
                state::DATATYPE_MISMATCH,
                format!(
                    "column \"{}\" is of type {} but default expression is of type {}",
                    column.name,
                    column.ty().name(),
                    ty.name()
                ),
            )
            .with_hint("You will need to rewrite or cast the expression."),
            _ => e,
        })?;
        column.generated = Some(Generated {
            columns,
            ..Generated::unread(&qualified)
        });
        Ok(())
    }
}

/// 42601 when a column has more than one source of values.
pub(super) fn check_alone(request: &ColumnRequest, table: &str) -> Result<()> {
    let other = match request {
        ColumnRequest {
            generated: None, ..
        } => return Ok(()),
        ColumnRequest {
            identity: Some(_), ..
        } => "identity",
        request if request.default.is_some() || request.serial => "default",
        _ => return Ok(()),
    };
    Err(SqlError::new(
        state::SYNTAX_ERROR,
        format!(
            "both {other} and generation expression specified for column \"{}\" of table \"{table}\"",
            request.name
        ),
    ))
}

/// 42601 when a column is a generated one, which has no default.
pub(super) fn check_not_generated(table: &Table, place: u16) -> Result<()> {
    let column = &table.columns[usize::from(place)];
    match column.generated {
        None => Ok(()),
        Some(_) => Err(SqlError::new(
            state::SYNTAX_ERROR,
            format!(
                "column \"{}\" of relation \"{}\" is a generated column",
                column.name, table.name
            ),
        )),
    }
}

/// The generated columns that read one.
pub(super) fn readers(table: &Table, place: u16) -> impl Iterator<Item = (u16, &Column)> {
    let columns = table.live_columns().map(|(id, column)| (id.0, column));
    columns.filter(move |(_, column)| {
        let generated = column.generated.as_ref();
        generated.is_some_and(|generated| generated.columns.contains(&place))
    })
}
