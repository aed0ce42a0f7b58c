//! The arrays behind set-returning functions; `unnest` makes rows of them.

use super::Registry;
use crate::error::{Result, SqlError, state};
use crate::semantics::kernel::*;
use crate::types::datetime::{Civil, timestamp_out_of_range};
use crate::types::interval::Interval as IntervalValue;
use crate::types::timezone::TimeZone;

/// Rows one call may make; PostgreSQL streams them, here they are an array first.
const ROWS_MAX: usize = 50_000_000;

fn zero_step() -> SqlError {
    SqlError::new(
        state::INVALID_PARAMETER_VALUE,
        "step size cannot equal zero",
    )
}

fn too_many() -> SqlError {
    SqlError::new(
        state::PROGRAM_LIMIT_EXCEEDED,
        format!("generate_series of more than {ROWS_MAX} rows is not supported"),
    )
}

fn integers(start: i64, stop: i64, step: i64) -> Result<Vec<i64>> {
    if step == 0 {
        return Err(zero_step());
    }
    let (start, stop, step) = (start as i128, stop as i128, step as i128);
    let n = if (step > 0) == (start <= stop) || start == stop {
        (stop - start) / step + 1
    } else {
        0
    };
    if n > ROWS_MAX as i128 {
        return Err(too_many());
    }
    Ok((0..n.max(0)).map(|i| (start + i * step) as i64).collect())
}

/// An instant plus an interval; with a zone, days and months are the zone's.
pub fn add_interval(t: i64, by: IntervalValue, zone: Option<&TimeZone>) -> Result<i64> {
    if !crate::types::datetime::is_finite_timestamp(t) {
        return Ok(t);
    }
    let mut t = t;
    if by.months != 0 || by.days != 0 {
        let local = zone.map_or(t, |z| z.to_local(t));
        let mut c = Civil::from_micros(local);
        if by.months != 0 {
            c = c.add_months(by.months)?;
        }
        // Days that are too many for their own microseconds may be right from a time long ago.
        let day = i128::from(crate::types::datetime::MICROS_PER_DAY);
        let moved = i128::from(c.to_micros()?) + i128::from(by.days) * day;
        let moved = i64::try_from(moved).map_err(|_| timestamp_out_of_range())?;
        t = zone.map_or(moved, |z| z.to_utc(moved));
    }
    t.checked_add(by.micros)
        .filter(|t| crate::types::datetime::is_valid_timestamp(*t))
        .ok_or_else(timestamp_out_of_range)
}

fn instants(
    start: i64,
    stop: i64,
    step: IntervalValue,
    zone: Option<&TimeZone>,
) -> Result<Vec<i64>> {
    let direction = step.comparison_key();
    if direction == 0 {
        return Err(zero_step());
    }
    let mut out = Vec::new();
    let mut t = start;
    while (direction > 0 && t <= stop) || (direction < 0 && t >= stop) {
        if out.len() >= ROWS_MAX {
            return Err(too_many());
        }
        out.push(t);
        t = add_interval(t, step, zone)?;
    }
    Ok(out)
}

fn narrow(v: Vec<i64>) -> Vec<i32> {
    v.into_iter().map(|v| v as i32).collect()
}

pub fn register(r: &mut Registry) {
    const NAME: &str = "$generate_series";
    r.add(
        NAME,
        f2::<Int4, Int4, Int4Array>(|a, b| Ok(narrow(integers(a as i64, b as i64, 1)?))),
    );
    r.add(
        NAME,
        f3::<Int4, Int4, Int4, Int4Array>(|a, b, s| {
            Ok(narrow(integers(a as i64, b as i64, s as i64)?))
        }),
    );
    r.add(NAME, f2::<Int8, Int8, Int8Array>(|a, b| integers(a, b, 1)));
    r.add(NAME, f3::<Int8, Int8, Int8, Int8Array>(integers));
    r.add(
        NAME,
        f3::<Timestamp, Timestamp, Interval, TimestampArray>(|a, b, s| instants(a, b, s, None)),
    );
    r.add(
        NAME,
        o3::<TimestampTz, TimestampTz, Interval, TimestampTzArray>(|call, a, b, s| {
            instants(a, b, s, Some(&call.vars.format.time_zone)).map(Some)
        })
        .stable(),
    );
}
