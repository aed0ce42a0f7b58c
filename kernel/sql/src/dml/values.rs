//! VALUES of an INSERT that need no query: literals, parameters and single expressions.
//!
//! Most inserts are of this kind, and planning a query costs far more than running them.

use std::sync::Arc;

use arrow::array::ArrayRef;
use datafusion::execution::SessionState;
use datafusion::scalar::ScalarValue;
use sqlparser::ast::Expr;

use super::assign;
use super::target::WriteTarget;
use crate::catalog::CatalogSnapshot;
use crate::error::{Result, SqlError, state};
use crate::plan::compile::Expressions;
use crate::session::info::SessionInfo;
use crate::session::planning::LazyState;
use crate::types::{Format, PgType};

/// Above this many rows an expression per row is better run as a query.
const EXPRESSION_ROWS_MAX: usize = 256;

/// One place of one row.
#[derive(Clone, Debug)]
enum Item {
    Value(ScalarValue),
    /// Counted from 0.
    Parameter(usize),
    /// Place among the list's expressions.
    Expression(usize),
    Default,
}

/// The rows of a VALUES list, each as long as `places`.
#[derive(Clone, Debug)]
pub(crate) struct ValuesList {
    rows: Vec<Vec<Item>>,
    expressions: Option<Expressions>,
}

impl ValuesList {
    /// What is to be computed.
    pub fn expressions(&self) -> Option<&Expressions> {
        self.expressions.as_ref()
    }

    /// Reads a list for these columns. `None` when it needs a query.
    pub fn plan(
        state: &SessionState,
        catalog: &CatalogSnapshot,
        info: &Arc<SessionInfo>,
        target: &WriteTarget,
        places: &[usize],
        rows: &[Vec<Expr>],
        params: &mut Vec<Option<PgType>>,
    ) -> Result<Option<ValuesList>> {
        let format = info.format();
        let mut expressions = Vec::new();
        let mut out = Vec::with_capacity(rows.len());
        for row in rows {
            let mut items = Vec::with_capacity(row.len());
            for (expr, place) in row.iter().zip(places) {
                let column = &target.meta.columns[*place];
                let item = if assign::is_default(expr) {
                    Item::Default
                } else if let Some(n) = assign::parameter(expr) {
                    assign::infer_parameter(params, expr, &column.ty);
                    Item::Parameter(n - 1)
                } else if let Some(value) = assign::literal(expr, column, &format) {
                    Item::Value(value?)
                } else {
                    expressions.push(expr.clone());
                    Item::Expression(expressions.len() - 1)
                };
                items.push(item);
            }
            out.push(items);
        }
        if expressions.is_empty() {
            return Ok(Some(ValuesList {
                rows: out,
                expressions: None,
            }));
        }
        if out.len() > EXPRESSION_ROWS_MAX || expressions.iter().any(needs_query) {
            return Ok(None);
        }
        let expressions =
            Expressions::plan_exprs(state, catalog, info, &[], expressions, "VALUES")?;
        Ok(Some(ValuesList {
            rows: out,
            expressions: Some(expressions),
        }))
    }

    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// One array per place, of the columns' types.
    pub fn run(
        &self,
        state: &LazyState,
        target: &WriteTarget,
        places: &[usize],
        params: &[ScalarValue],
        format: &Format,
    ) -> Result<Vec<ArrayRef>> {
        let values = match &self.expressions {
            Some(e) => e.prepare(state, params)?.run(&super::one_row())?,
            None => Vec::new(),
        };
        let defaults = if self
            .rows
            .iter()
            .flatten()
            .any(|i| matches!(i, Item::Default))
        {
            Some(target.defaults.prepare(state, &[])?)
        } else {
            None
        };
        places
            .iter()
            .enumerate()
            .map(|(i, place)| {
                let column = &target.meta.columns[*place];
                let ty = target.meta.schema.field(*place).data_type();
                let null = ScalarValue::try_from(ty).map_err(SqlError::from)?;
                let one = |array: &ArrayRef| -> Result<ScalarValue> {
                    let cast = assign::to_column(array, column, ty, format)?;
                    ScalarValue::try_from_array(&cast, 0).map_err(SqlError::from)
                };
                let scalars: Vec<ScalarValue> = self
                    .rows
                    .iter()
                    .map(|row| match &row[i] {
                        Item::Value(v) if v.is_null() => Ok(null.clone()),
                        Item::Value(v) => Ok(v.clone()),
                        Item::Parameter(n) => match params.get(*n) {
                            None => Err(SqlError::new(
                                state::UNDEFINED_PARAMETER,
                                format!("there is no parameter ${}", n + 1),
                            )),
                            Some(v) if v.is_null() => Ok(null.clone()),
                            Some(v) => one(&v.to_array().map_err(SqlError::from)?),
                        },
                        Item::Expression(n) => one(&values[*n]),
                        Item::Default => match (&defaults, target.default_of(*place)) {
                            (Some(program), Some(at)) => {
                                one(&program.run_one(at, &super::one_row())?)
                            }
                            _ => Ok(null.clone()),
                        },
                    })
                    .collect::<Result<_>>()?;
                ScalarValue::iter_to_array(scalars).map_err(SqlError::from)
            })
            .collect()
    }
}

/// Whether an expression can only be run by a query.
fn needs_query(expr: &Expr) -> bool {
    let mut found = false;
    let _ = sqlparser::ast::visit_expressions(expr, |e| {
        found |= matches!(
            e,
            Expr::Subquery(_) | Expr::Exists { .. } | Expr::InSubquery { .. }
        ) || assign::parameter(e).is_some();
        if found {
            std::ops::ControlFlow::Break(())
        } else {
            std::ops::ControlFlow::Continue(())
        }
    });
    found
}
