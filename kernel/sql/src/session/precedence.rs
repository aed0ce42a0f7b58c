//! What binds how tightly, where the parser has it otherwise than PostgreSQL.
//!
//! The parser takes all that follows IS DISTINCT FROM for its right side, so that `a IS DISTINCT FROM b AND c` comes out as
//! `a IS DISTINCT FROM (b AND c)`. What was in parentheses is marked in the tree as such, so what must have been
//! read wrongly can be told and turned: AND and OR come out of the comparison, then out of a NOT around it, and an OR out
//! of an AND.
//!
//! It takes `1 < 2 < true` for `(1 < 2) < true`, where PostgreSQL has comparisons that do not follow each other
//! ([`chained`]).

use std::ops::ControlFlow;

use sqlparser::ast::{
    BinaryOperator, Expr, Spanned, UnaryOperator, Value, Visit, VisitMut, Visitor, VisitorMut,
};
use sqlparser::tokenizer::{Location, Token};

/// Turns every expression of a tree that came from the parser.
pub(crate) fn mend(tree: &mut impl VisitMut) {
    let _ = tree.visit(&mut Turn);
}

/// Whether a token compares its neighbours.
pub(crate) fn is_comparison(token: &Token) -> bool {
    matches!(
        token,
        Token::Eq | Token::Neq | Token::Lt | Token::Gt | Token::LtEq | Token::GtEq
    )
}

/// Where the first comparison ends that is an operand of another, without parentheses around it.
pub(crate) fn chained(tree: &impl Visit) -> Option<Location> {
    match tree.visit(&mut Chains) {
        ControlFlow::Break(end) => Some(end),
        ControlFlow::Continue(()) => None,
    }
}

struct Chains;

impl Visitor for Chains {
    type Break = Location;

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<Location> {
        let compared = |expr: &Expr| match expr {
            Expr::BinaryOp { op, .. } => matches!(
                op,
                BinaryOperator::Eq
                    | BinaryOperator::NotEq
                    | BinaryOperator::Lt
                    | BinaryOperator::LtEq
                    | BinaryOperator::Gt
                    | BinaryOperator::GtEq
            ),
            _ => false,
        };
        match expr {
            Expr::BinaryOp { left, .. } if compared(expr) && compared(left) => {
                ControlFlow::Break(left.span().end)
            }
            _ => ControlFlow::Continue(()),
        }
    }
}

struct Turn;

impl VisitorMut for Turn {
    type Break = ();

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        turn(expr);
        ControlFlow::Continue(())
    }
}

fn is_logical(expr: &Expr) -> bool {
    matches!(
        expr,
        Expr::BinaryOp {
            op: BinaryOperator::And | BinaryOperator::Or,
            ..
        }
    )
}

/// The parts of an expression are as they should be.
fn turn(expr: &mut Expr) {
    match expr {
        Expr::IsDistinctFrom(_, right) | Expr::IsNotDistinctFrom(_, right) if is_logical(right) => {
            turn_out(expr);
        }
        Expr::UnaryOp {
            op: UnaryOperator::Not,
            expr: inner,
        } if is_logical(inner) => turn_out(expr),
        Expr::BinaryOp {
            op: BinaryOperator::And,
            right,
            ..
        } if matches!(
            right.as_ref(),
            Expr::BinaryOp {
                op: BinaryOperator::Or,
                ..
            }
        ) =>
        {
            turn_out(expr);
        }
        _ => {}
    }
}

/// The last operand, which is an AND or an OR, becomes the whole, and its first operand the last operand.
fn turn_out(expr: &mut Expr) {
    let Some(last) = last_operand(expr) else {
        return;
    };
    let mut whole = std::mem::replace(&mut **last, nothing());
    let Expr::BinaryOp { left, .. } = &mut whole else {
        return;
    };
    **last = std::mem::replace(&mut **left, nothing());
    **left = std::mem::replace(expr, nothing());
    // What came down may hold the next one.
    turn(left);
    *expr = whole;
    turn(expr);
}

fn nothing() -> Expr {
    Expr::Value(Value::Null.with_empty_span())
}

fn last_operand(expr: &mut Expr) -> Option<&mut Box<Expr>> {
    match expr {
        Expr::IsDistinctFrom(_, last)
        | Expr::IsNotDistinctFrom(_, last)
        | Expr::UnaryOp { expr: last, .. }
        | Expr::BinaryOp { right: last, .. } => Some(last),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use sqlparser::dialect::PostgreSqlDialect;
    use sqlparser::parser::Parser;

    use super::*;

    /// The expression with parentheses around all that has operands.
    fn shape(expr: &Expr) -> String {
        match expr {
            Expr::BinaryOp { left, op, right } => {
                format!("[{} {op} {}]", shape(left), shape(right))
            }
            Expr::UnaryOp { op, expr } => format!("[{op} {}]", shape(expr)),
            Expr::IsDistinctFrom(a, b) => format!("[{} <d> {}]", shape(a), shape(b)),
            Expr::IsNotDistinctFrom(a, b) => format!("[{} <n> {}]", shape(a), shape(b)),
            Expr::Nested(inner) => format!("({})", shape(inner)),
            other => other.to_string(),
        }
    }

    fn read(sql: &str) -> String {
        let mut parser = Parser::new(&PostgreSqlDialect {})
            .try_with_sql(sql)
            .unwrap();
        let mut expr = parser.parse_expr().unwrap();
        mend(&mut expr);
        shape(&expr)
    }

    #[test]
    fn what_follows_is_distinct_from_ends_at_and_and_or() {
        assert_eq!(read("a IS DISTINCT FROM b AND c"), "[[a <d> b] AND c]");
        assert_eq!(
            read("x AND a IS NOT DISTINCT FROM b + 1 OR c AND d"),
            "[[x AND [a <n> [b + 1]]] OR [c AND d]]"
        );
        assert_eq!(
            read("NOT a IS DISTINCT FROM b AND c OR d"),
            "[[[NOT [a <d> b]] AND c] OR d]"
        );
        assert_eq!(
            read("a IS DISTINCT FROM b AND c IS DISTINCT FROM d OR e"),
            "[[[a <d> b] AND [c <d> d]] OR e]"
        );
        assert_eq!(
            read("a IS DISTINCT FROM (b AND c) AND (x AND (y OR z))"),
            "[[a <d> ([b AND c])] AND ([x AND ([y OR z])])]"
        );
    }
}
