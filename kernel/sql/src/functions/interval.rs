//! `make_interval`, of up to seven numbers.

use arrow::array::{Array, AsArray};
use arrow::datatypes::{Float64Type, Int32Type};

use super::Registry;
use crate::error::Result;
use crate::semantics::kernel::*;
use crate::semantics::overload::Overload;
use crate::types::PgType;
use crate::types::datetime::MICROS_PER_SECOND;
use crate::types::interval::{Interval as Value, out_of_range};

/// `make_interval` of so many arguments: years, months, weeks, days, hours, minutes, seconds.
fn make_interval(count: usize) -> Overload {
    let mut params = vec![PgType::Int4; count.min(6)];
    if count > 6 {
        params.push(PgType::Float8);
    }
    overload(params, PgType::Interval, |args, call| {
        let columns = args.iter().map(expand).collect::<Result<Vec<_>>>()?;
        let mut out = Interval::builder(call.rows);
        for row in 0..call.rows {
            if columns.iter().any(|(a, step)| a.is_null(row * step)) {
                Interval::append(&mut out, None)?;
                continue;
            }
            let whole = |i: usize| {
                columns.get(i).map_or(0, |(a, step)| {
                    i64::from(a.as_primitive::<Int32Type>().value(row * step))
                })
            };
            let seconds = columns.get(6).map_or(0.0, |(a, step)| {
                a.as_primitive::<Float64Type>().value(row * step)
            });
            let micros = (seconds * 1e6).round_ties_even();
            // The bound is 2^63, the least float that no i64 holds.
            if micros.is_nan() || micros.abs() >= 9_223_372_036_854_775_808.0 {
                return Err(out_of_range());
            }
            let small = |n: i64| i32::try_from(n).map_err(|_| out_of_range());
            let minutes = whole(4) * 60 + whole(5);
            let value = Value {
                months: small(whole(0) * 12 + whole(1))?,
                days: small(whole(2) * 7 + whole(3))?,
                micros: (minutes * 60 * MICROS_PER_SECOND)
                    .checked_add(micros as i64)
                    .ok_or_else(out_of_range)?,
            };
            Interval::append(&mut out, Some(value))?;
        }
        Ok(Interval::finish(out))
    })
}

pub fn register(r: &mut Registry) {
    r.all("make_interval", (0..=7).map(make_interval));
}
