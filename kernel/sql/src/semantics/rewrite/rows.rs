//! `(a, b) IN (SELECT …)`, which DataFusion has for one column only, as EXISTS.
//!
//! A row is in the subquery's rows when one of them is equal to it, and unknown to be when none is
//! but the comparison with one is NULL. Where false and NULL mean the same, in the conjuncts of
//! WHERE, one EXISTS says it and becomes a join; elsewhere it takes a CASE over two.

use std::ops::ControlFlow;

use sqlparser::ast::{
    BinaryOperator, CaseWhen, Expr, FunctionArg, FunctionArgExpr, FunctionArguments, Ident, Query,
    SelectItem, SetExpr, TableAlias, TableAliasColumnDef, TableFactor, TableWithJoins, Value,
    helpers::attached_token::AttachedToken, visit_expressions,
};

use super::{expr, names};
use crate::error::{Result, SqlError, state};
use crate::functions::Functions;

/// The name of the subquery. No SQL text can name it.
const ROWS: &str = "\u{1}rows";

/// `row [NOT] IN (subquery)`, taken apart.
struct Membership {
    row: Vec<Expr>,
    subquery: Box<Query>,
    negated: bool,
}

/// Rewrites the conjuncts of a condition for which false is as good as NULL.
pub(super) fn condition(e: &mut Expr, functions: &Functions) -> Result<()> {
    match e {
        Expr::Nested(inner) => return condition(inner, functions),
        Expr::BinaryOp {
            left,
            op: BinaryOperator::And,
            right,
        } => {
            condition(left, functions)?;
            return condition(right, functions);
        }
        _ => {}
    }
    if let Some(found) = membership(e, functions)? {
        let equal = found.equal()?;
        *e = if found.negated {
            found.exists(Expr::IsNotFalse(Box::new(equal)), true)?
        } else {
            found.exists(equal, false)?
        };
    }
    Ok(())
}

/// Rewrites an expression whose NULL may matter.
pub(super) fn value(e: &mut Expr, functions: &Functions) -> Result<()> {
    let Some(found) = membership(e, functions)? else {
        return Ok(());
    };
    let equal = found.equal()?;
    let when = |condition: Expr, result: Value| CaseWhen {
        condition,
        result: Expr::value(result),
    };
    let unknown = Expr::IsNull(Box::new(equal.clone()));
    *e = Expr::Case {
        case_token: AttachedToken::empty(),
        end_token: AttachedToken::empty(),
        operand: None,
        conditions: vec![
            when(found.exists(equal, false)?, Value::Boolean(!found.negated)),
            when(found.exists(unknown, false)?, Value::Null),
        ],
        else_result: Some(Box::new(Expr::value(Value::Boolean(found.negated)))),
    };
    Ok(())
}

fn membership(e: &mut Expr, functions: &Functions) -> Result<Option<Membership>> {
    let (row, subquery, negated) = match e {
        Expr::InSubquery {
            expr,
            subquery,
            negated,
        } => (expr, Some(subquery.clone()), *negated),
        Expr::AnyOp {
            left,
            compare_op: BinaryOperator::Eq,
            right,
            ..
        } => (left, expr::subquery(right), false),
        Expr::AllOp {
            left,
            compare_op: BinaryOperator::NotEq,
            right,
        } => (left, expr::subquery(right), true),
        _ => return Ok(None),
    };
    let (Some(row), Some(subquery)) = (row_items(row), subquery) else {
        return Ok(None);
    };
    if row.iter().any(|e| computes_over_rows(e, functions)) {
        return Err(SqlError::unsupported(
            "aggregate or window function in a row that is looked for in a subquery",
        ));
    }
    if let Some(columns) = width(&subquery)
        && columns != row.len()
    {
        let what = if columns < row.len() { "few" } else { "many" };
        return Err(SqlError::new(
            state::SYNTAX_ERROR,
            format!("subquery has too {what} columns"),
        ));
    }
    Ok(Some(Membership {
        row,
        subquery,
        negated,
    }))
}

/// The parts of `(a, b)` or `ROW(a, b)`.
fn row_items(e: &Expr) -> Option<Vec<Expr>> {
    match e {
        Expr::Tuple(items) => Some(items.clone()),
        Expr::Function(f) if names::function_name(&f.name) == "row" => {
            let FunctionArguments::List(list) = &f.args else {
                return None;
            };
            let items = list.args.iter().map(|arg| match arg {
                FunctionArg::Unnamed(FunctionArgExpr::Expr(e)) => Some(e.clone()),
                _ => None,
            });
            items.collect()
        }
        _ => None,
    }
}

/// Whether an expression calls an aggregate or a window function, which would change its meaning in
/// a query of its own.
fn computes_over_rows(e: &Expr, functions: &Functions) -> bool {
    let found = visit_expressions(e, |e| match e {
        Expr::Function(f)
            if f.over.is_some() || functions.is_aggregate(&names::function_name(&f.name)) =>
        {
            ControlFlow::Break(())
        }
        _ => ControlFlow::Continue(()),
    });
    found.is_break()
}

/// How many columns a subquery has, where its text says so.
fn width(query: &Query) -> Option<usize> {
    let SetExpr::Select(select) = query.body.as_ref() else {
        return None;
    };
    let plain = |item: &SelectItem| {
        matches!(
            item,
            SelectItem::UnnamedExpr(_) | SelectItem::ExprWithAlias { .. }
        )
    };
    select
        .projection
        .iter()
        .all(plain)
        .then_some(select.projection.len())
}

fn column(at: usize) -> Ident {
    names::quoted(&format!("f{at}"))
}

impl Membership {
    /// The comparison of the row with one of the subquery's.
    fn equal(&self) -> Result<Expr> {
        self.row
            .iter()
            .enumerate()
            .map(|(at, value)| Expr::BinaryOp {
                left: Box::new(value.clone()),
                op: BinaryOperator::Eq,
                right: Box::new(Expr::CompoundIdentifier(vec![
                    names::quoted(ROWS),
                    column(at),
                ])),
            })
            .reduce(|a, b| Expr::BinaryOp {
                left: Box::new(a),
                op: BinaryOperator::And,
                right: Box::new(b),
            })
            .map(|e| Expr::Nested(Box::new(e)))
            .ok_or_else(|| SqlError::new(state::SYNTAX_ERROR, "cannot compare rows of zero length"))
    }

    /// `[NOT] EXISTS (SELECT 1 FROM (subquery) AS rows WHERE condition)`.
    fn exists(&self, condition: Expr, negated: bool) -> Result<Expr> {
        let columns = (0..self.row.len()).map(|at| TableAliasColumnDef {
            name: column(at),
            data_type: None,
        });
        let relation = TableFactor::Derived {
            lateral: false,
            subquery: self.subquery.clone(),
            alias: Some(TableAlias {
                explicit: true,
                name: names::quoted(ROWS),
                columns: columns.collect(),
                at: None,
            }),
            sample: None,
        };
        let mut query = expr::select_one()?;
        if let SetExpr::Select(select) = query.body.as_mut() {
            select.from = vec![TableWithJoins {
                relation,
                joins: Vec::new(),
            }];
            select.selection = Some(condition);
        }
        Ok(Expr::Exists {
            subquery: Box::new(query),
            negated,
        })
    }
}
