//! A date compared with a timestamp, said of dates: what storage can hold pages and indexes against.
//!
//! PostgreSQL compares a date with a timestamp by the timestamp of its midnight, and `date + interval` is a
//! timestamp; so `shipped < date '1994-01-01' + interval '1 year'` reaches a scan as a comparison of a cast.
//! A date is before a timestamp when it is before the first midnight that is not before the timestamp.

use datafusion::arrow::datatypes::{DataType, TimeUnit};
use datafusion::logical_expr::{BinaryExpr, Expr, Operator};
use datafusion::scalar::ScalarValue;

use crate::catalog::meta::TableMeta;
use crate::semantics::special::PgCast;

const MICROS_PER_DAY: i64 = 24 * 3600 * 1_000_000;

/// Whether a predicate may be one that [`with_dates`] reads.
pub(super) fn is_usable(filter: &Expr) -> bool {
    match filter {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
            let ordered = matches!(
                op,
                Operator::Eq | Operator::Lt | Operator::LtEq | Operator::Gt | Operator::GtEq
            );
            ordered && (date_of(left).is_some() || date_of(right).is_some())
        }
        _ => false,
    }
}

/// The predicates, and what those that compare dates with timestamps say of dates.
pub(super) fn with_dates(meta: &TableMeta, filters: &[Expr]) -> Vec<Expr> {
    let dates = filters.iter().filter_map(|filter| compared(meta, filter));
    filters.iter().cloned().chain(dates).collect()
}

fn compared(meta: &TableMeta, filter: &Expr) -> Option<Expr> {
    let Expr::BinaryExpr(BinaryExpr { left, op, right }) = filter else {
        return None;
    };
    let (column, op, micros) = match (date_of(left), date_of(right)) {
        (Some(column), None) => (column, *op, timestamp(right)?),
        (None, Some(column)) => (column, op.swap()?, timestamp(left)?),
        _ => return None,
    };
    let Expr::Column(named) = column else {
        return None;
    };
    let place = meta.position_by_name(&named.name)?;
    if *meta.schema.field(place).data_type() != DataType::Date32 {
        return None;
    }
    let midnight = micros.rem_euclid(MICROS_PER_DAY) == 0;
    let (op, days) = as_days(op, midnight, micros.div_euclid(MICROS_PER_DAY))?;
    // The ends of either type stand for infinity.
    let days = i32::try_from(days)
        .ok()
        .filter(|days| *days != i32::MAX && *days != i32::MIN)?;
    let date = Expr::Literal(ScalarValue::Date32(Some(days)), None);
    Some(Expr::BinaryExpr(BinaryExpr::new(
        Box::new(column.clone()),
        op,
        Box::new(date),
    )))
}

/// What `date op timestamp` says of the day of the timestamp; `None` when it says nothing by an order.
fn as_days(op: Operator, midnight: bool, days: i64) -> Option<(Operator, i64)> {
    Some(match op {
        Operator::Eq if midnight => (op, days),
        Operator::Lt | Operator::GtEq if midnight => (op, days),
        Operator::LtEq | Operator::Gt => (op, days),
        // Within a day: the day itself is before.
        Operator::Lt => (Operator::LtEq, days),
        Operator::GtEq => (Operator::Gt, days),
        _ => return None,
    })
}

/// The expression that a cast to `timestamp` casts.
fn date_of(expr: &Expr) -> Option<&Expr> {
    let Expr::ScalarFunction(function) = expr else {
        return None;
    };
    let cast = function.func.inner().downcast_ref::<PgCast>()?;
    match (&cast.target, function.args.as_slice()) {
        (DataType::Timestamp(TimeUnit::Microsecond, None), [arg]) => Some(arg),
        _ => None,
    }
}

fn timestamp(expr: &Expr) -> Option<i64> {
    match expr {
        Expr::Literal(ScalarValue::TimestampMicrosecond(micros, None), _) => *micros,
        Expr::Alias(alias) => timestamp(&alias.expr),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All comparisons around two days' midnights, against comparing the midnights themselves.
    #[test]
    fn days_compare_as_their_midnights() {
        let holds = |op, a: i64, b: i64| match op {
            Operator::Eq => a == b,
            Operator::Lt => a < b,
            Operator::LtEq => a <= b,
            Operator::Gt => a > b,
            _ => a >= b,
        };
        let ops = [
            Operator::Eq,
            Operator::Lt,
            Operator::LtEq,
            Operator::Gt,
            Operator::GtEq,
        ];
        for op in ops {
            for micros in [
                -1,
                0,
                1,
                MICROS_PER_DAY - 1,
                MICROS_PER_DAY,
                -MICROS_PER_DAY,
            ] {
                let midnight = micros.rem_euclid(MICROS_PER_DAY) == 0;
                let day = micros.div_euclid(MICROS_PER_DAY);
                let Some((by, days)) = as_days(op, midnight, day) else {
                    assert!(op == Operator::Eq && !midnight);
                    continue;
                };
                for date in -3..4 {
                    assert_eq!(
                        holds(by, date, days),
                        holds(op, date * MICROS_PER_DAY, micros),
                        "{date} {op} {micros}"
                    );
                }
            }
        }
    }
}
