//! Whether a query's filters imply the predicate of a partial index.
//!
//! As PostgreSQL's `predicate_implied_by`, on less: what is equal, NULL tests that a comparison implies,
//! and comparisons of one expression with constants. What is not found implied only costs speed.

use std::cmp::Ordering;

use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{BinaryExpr, Expr, Operator};
use datafusion::scalar::ScalarValue;

/// Whether every row that meets all `filters` meets `predicate`. Both are normal
/// ([`normal`](super::computed::normal)).
pub(crate) fn is_implied(predicate: &Expr, filters: &[Expr]) -> bool {
    let filters: Vec<&Expr> = filters.iter().flat_map(split_conjunction).collect();
    let mut wanted = split_conjunction(predicate).into_iter();
    wanted.all(|wanted| filters.iter().any(|filter| implies(filter, wanted)))
}

/// Whether rows for which `filter` is true are among those for which `wanted` is.
fn implies(filter: &Expr, wanted: &Expr) -> bool {
    if filter == wanted {
        return true;
    }
    if let Expr::BinaryExpr(BinaryExpr {
        left,
        op: Operator::Or,
        right,
    }) = filter
    {
        return implies(left, wanted) && implies(right, wanted);
    }
    match wanted {
        Expr::BinaryExpr(BinaryExpr {
            left,
            op: Operator::Or,
            right,
        }) => implies(filter, left) || implies(filter, right),
        Expr::IsNotNull(tested) => compared(filter).is_some_and(|expr| expr == tested.as_ref()),
        Expr::InList(list) if !list.negated => match comparison(filter) {
            Some((expr, Operator::Eq, value)) if *expr == *list.expr => {
                let mut values = list.list.iter();
                values.any(|e| matches!(e, Expr::Literal(v, _) if v == value))
            }
            _ => false,
        },
        _ => match (comparison(filter), comparison(wanted)) {
            (Some((a, have, x)), Some((b, want, y))) if a == b => x
                .partial_cmp(y)
                .is_some_and(|order| narrows(have, order, want)),
            _ => false,
        },
    }
}

/// Whether `e have x` implies `e want y`, where `order` is that of x and y.
fn narrows(have: Operator, order: Ordering, want: Operator) -> bool {
    use Operator::{Eq, Gt, GtEq, Lt, LtEq, NotEq};
    match (have, want) {
        (Eq, Eq) => order.is_eq(),
        (Eq, NotEq) => order.is_ne(),
        (Eq | Lt | LtEq, LtEq) => order.is_le(),
        (Lt, Lt) => order.is_le(),
        (Eq | LtEq, Lt) => order.is_lt(),
        (Eq | Gt | GtEq, GtEq) => order.is_ge(),
        (Gt, Gt) => order.is_ge(),
        (Eq | GtEq, Gt) => order.is_gt(),
        (Lt, NotEq) => order.is_le(),
        (LtEq, NotEq) => order.is_lt(),
        (Gt, NotEq) => order.is_ge(),
        (GtEq, NotEq) => order.is_gt(),
        _ => false,
    }
}

/// `expr op constant`, whichever way round it is written.
fn comparison(expr: &Expr) -> Option<(&Expr, Operator, &ScalarValue)> {
    let Expr::BinaryExpr(BinaryExpr { left, op, right }) = expr else {
        return None;
    };
    let (expr, op, value) = match (left.as_ref(), right.as_ref()) {
        (expr, Expr::Literal(value, _)) => (expr, *op, value),
        (Expr::Literal(value, _), expr) => (expr, op.swap()?, value),
        _ => return None,
    };
    (!value.is_null()).then_some((expr, op, value))
}

/// What a filter compares so that it cannot be true where that is NULL.
fn compared(filter: &Expr) -> Option<&Expr> {
    use Operator::{Eq, Gt, GtEq, Lt, LtEq, NotEq};
    match filter {
        Expr::BinaryExpr(_) => {
            let (expr, op, _) = comparison(filter)?;
            matches!(op, Eq | NotEq | Lt | LtEq | Gt | GtEq).then_some(expr)
        }
        Expr::InList(list) => Some(&list.expr),
        Expr::Between(between) => Some(&between.expr),
        Expr::Like(like) => Some(&like.expr),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use datafusion::logical_expr::{col, lit};

    use super::*;

    type Holds = fn(i32, i32) -> bool;

    fn check(filter: Expr, predicate: Expr, expected: bool) {
        let found = is_implied(&predicate, std::slice::from_ref(&filter));
        assert_eq!(found, expected, "{filter} => {predicate}");
    }

    /// Held against all small numbers and NULL.
    #[test]
    fn comparisons_imply_what_they_narrow() {
        let ops: [(Operator, Holds); 6] = [
            (Operator::Eq, |a, b| a == b),
            (Operator::NotEq, |a, b| a != b),
            (Operator::Lt, |a, b| a < b),
            (Operator::LtEq, |a, b| a <= b),
            (Operator::Gt, |a, b| a > b),
            (Operator::GtEq, |a, b| a >= b),
        ];
        let compare = |op, n: i32| {
            Expr::BinaryExpr(BinaryExpr::new(Box::new(col("a")), op, Box::new(lit(n))))
        };
        let mut implied = 0;
        for (have, holds) in ops {
            for (want, wanted) in ops {
                for (x, y) in (0..9).map(|n| (n / 3, n % 3)) {
                    let found = is_implied(&compare(want, y), &[compare(have, x)]);
                    let is_true = (-5..8).all(|a| !holds(a, x) || wanted(a, y));
                    assert!(!found || is_true, "a {have} {x} => a {want} {y}");
                    implied += usize::from(found);
                }
            }
        }
        assert!(implied > 50, "{implied}");
    }

    #[test]
    fn null_tests_lists_and_alternatives() {
        check(col("a").eq(lit(1)), col("a").is_not_null(), true);
        check(lit(1).lt(col("a")), col("a").is_not_null(), true);
        check(col("b").eq(lit(1)), col("a").is_not_null(), false);
        check(col("a").is_null(), col("a").is_not_null(), false);
        check(
            col("a").eq(lit(2)),
            col("a").in_list(vec![lit(1), lit(2)], false),
            true,
        );
        check(
            col("a").eq(lit(3)),
            col("a").in_list(vec![lit(1), lit(2)], false),
            false,
        );
        check(
            col("a").eq(lit(1)),
            col("a").in_list(vec![lit(1)], true),
            false,
        );
        let either = || col("a").eq(lit(1)).or(col("a").eq(lit(2)));
        check(col("a").eq(lit(2)), either(), true);
        check(either(), col("a").lt(lit(3)), true);
        check(either(), col("a").lt(lit(2)), false);
        let both = || col("a").gt(lit(1)).and(col("b").is_null());
        check(both().and(col("c")), both(), true);
        check(col("a").gt(lit(1)), both(), false);
        check(both(), col("a").gt(lit(0)), true);
    }
}
