//! Dates, times, intervals: arithmetic, `extract`, `date_trunc`, `AT TIME ZONE`, the clock.

use super::Registry;
use super::series::add_interval;
use crate::error::{Result, SqlError, SqlState, state};
use crate::semantics::kernel::*;
use crate::semantics::overload::Call;
use crate::types::cast::date_to_timestamp;
use crate::types::datetime::{
    Civil, MICROS_PER_DAY, MICROS_PER_SECOND, civil_from_days, date_out_of_range, days_from_civil,
    days_in_month, is_finite_date, is_finite_timestamp, is_valid_date, timestamp_out_of_range,
};
use crate::types::interval::Interval as IntervalValue;
use crate::types::numeric::Numeric as N;
use crate::types::timezone::TimeZone;

const MICROS_PER_HOUR: i64 = 3600 * MICROS_PER_SECOND;

fn add_days(d: i32, n: i32) -> Result<i32> {
    if !is_finite_date(d) {
        return Ok(d);
    }
    let sum = d as i64 + n as i64;
    if is_valid_date(sum) {
        Ok(sum as i32)
    } else {
        Err(date_out_of_range())
    }
}

fn days_between(a: i32, b: i32) -> Result<i32> {
    if !is_finite_date(a) || !is_finite_date(b) {
        return Err(SqlError::new(
            state::DATETIME_FIELD_OVERFLOW,
            "cannot subtract infinite dates",
        ));
    }
    Ok(a.wrapping_sub(b))
}

/// `timestamp - timestamp`: days and a time, never months.
fn instants_between(a: i64, b: i64) -> Result<IntervalValue> {
    if !is_finite_timestamp(a) || !is_finite_timestamp(b) {
        return Err(SqlError::new(
            state::DATETIME_FIELD_OVERFLOW,
            "cannot subtract infinite timestamps",
        ));
    }
    let micros = a.checked_sub(b).ok_or_else(timestamp_out_of_range)?;
    IntervalValue {
        months: 0,
        days: 0,
        micros,
    }
    .justify_hours()
}

/// `age`: years, months and days counted on the calendar.
fn age(a: i64, b: i64) -> Result<IntervalValue> {
    if !is_finite_timestamp(a) || !is_finite_timestamp(b) {
        return Err(timestamp_out_of_range());
    }
    let negative = a < b;
    let (later, earlier) = if negative { (b, a) } else { (a, b) };
    let (x, y) = (Civil::from_micros(later), Civil::from_micros(earlier));
    let mut micros = x.time - y.time;
    let mut days = x.day as i64 - y.day as i64;
    let mut months = (x.year * 12 + x.month as i64) - (y.year * 12 + y.month as i64);
    if micros < 0 {
        micros += MICROS_PER_DAY;
        days -= 1;
    }
    while days < 0 {
        // The month borrowed is the earlier date's, or with a negative result the later's.
        let c = if negative { x } else { y };
        days += days_in_month(c.year, c.month) as i64;
        months -= 1;
    }
    let v = IntervalValue {
        months: months as i32,
        days: days as i32,
        micros,
    };
    if negative { v.checked_neg() } else { Ok(v) }
}

fn minus(v: IntervalValue) -> Result<IntervalValue> {
    v.checked_neg()
}

fn unsupported_unit(unit: &str, ty: &str) -> SqlError {
    SqlError::new(
        state::FEATURE_NOT_SUPPORTED,
        format!("unit \"{unit}\" not supported for type {ty}"),
    )
}

fn unknown_unit(unit: &str, ty: &str) -> SqlError {
    SqlError::new(
        state::INVALID_PARAMETER_VALUE,
        format!("unit \"{unit}\" not recognized for type {ty}"),
    )
}

/// Singular, lower-case names of the fields of `extract` and `date_trunc`.
fn unit(name: &str) -> String {
    let n = name.trim().to_lowercase();
    match n.as_str() {
        "us" | "usec" | "usecs" | "usecond" | "useconds" | "microseconds" | "microsecond" => {
            "microsecond"
        }
        "ms" | "msec" | "msecs" | "msecond" | "mseconds" | "milliseconds" | "millisecond" => {
            "millisecond"
        }
        "s" | "sec" | "secs" | "seconds" | "second" => "second",
        "m" | "min" | "mins" | "minutes" | "minute" => "minute",
        "h" | "hr" | "hrs" | "hours" | "hour" => "hour",
        "d" | "days" | "day" => "day",
        "w" | "weeks" | "week" => "week",
        "mon" | "mons" | "months" | "month" => "month",
        "qtr" | "quarter" => "quarter",
        "y" | "yr" | "yrs" | "years" | "year" => "year",
        "dec" | "decs" | "decades" | "decade" => "decade",
        "c" | "cent" | "centuries" | "century" => "century",
        "mil" | "mils" | "millennia" | "millennium" => "millennium",
        other => other,
    }
    .to_string()
}

/// ISO 8601 year and week of a date.
pub fn iso_week(days: i64) -> (i64, i64) {
    // The week belongs to the year of its Thursday.
    let thursday = days - (days + 3).rem_euclid(7) + 3;
    let (year, _, _) = civil_from_days(thursday);
    (year, (thursday - days_from_civil(year, 1, 1)) / 7 + 1)
}

/// A field of a local time, as numeric. `None` for a field of other kinds.
fn field(name: &str, c: Civil) -> Option<N> {
    let int = |v: i64| Some(N::from_i64(v));
    let days = c.days();
    let second_micros = c.time % (60 * MICROS_PER_SECOND);
    // Years before Christ are shown without a year zero.
    let shown_year = if c.year > 0 { c.year } else { c.year - 1 };
    match name {
        "microsecond" => int(second_micros),
        "millisecond" => Some(N::new(second_micros.into(), 3)),
        "second" => Some(N::new(second_micros.into(), 6)),
        "minute" => int(c.time / (60 * MICROS_PER_SECOND) % 60),
        "hour" => int(c.time / MICROS_PER_HOUR),
        "day" => int(c.day as i64),
        "month" => int(c.month as i64),
        "quarter" => int((c.month as i64 - 1) / 3 + 1),
        "week" => int(iso_week(days).1),
        "isoyear" => {
            let y = iso_week(days).0;
            int(if y > 0 { y } else { y - 1 })
        }
        "year" => int(shown_year),
        "decade" => int(c.year.div_euclid(10)),
        "century" => int(if c.year > 0 {
            (c.year + 99) / 100
        } else {
            -((99 - (c.year - 1)) / 100)
        }),
        "millennium" => int(if c.year > 0 {
            (c.year + 999) / 1000
        } else {
            -((999 - (c.year - 1)) / 1000)
        }),
        "dow" => int((days + 4).rem_euclid(7)),
        "isodow" => int((days + 3).rem_euclid(7) + 1),
        "doy" => int(days - days_from_civil(c.year, 1, 1) + 1),
        "julian" => {
            let whole = N::from_i64(days + 2_440_588);
            if c.time == 0 {
                return Some(whole);
            }
            let fraction = N::from_i64(c.time).div(&N::from_i64(MICROS_PER_DAY)).ok()?;
            whole.add(&fraction).ok()
        }
        _ => None,
    }
}

fn infinite(name: &str, v: i64, ty: &str) -> Result<Option<N>> {
    match name {
        "year" | "decade" | "century" | "millennium" | "julian" | "isoyear" | "epoch" => {
            Ok(Some(if v > 0 { N::Infinity } else { N::NegInfinity }))
        }
        _ if field(name, Civil::from_micros(0)).is_some() => Ok(None),
        _ => Err(unknown_unit(name, ty)),
    }
}

fn extract_timestamp(name: &str, t: i64) -> Result<Option<N>> {
    const TY: &str = "timestamp without time zone";
    let name = unit(name);
    if !is_finite_timestamp(t) {
        return infinite(&name, t, TY);
    }
    if name == "epoch" {
        return Ok(Some(N::new(t.into(), 6)));
    }
    if name.starts_with("timezone") {
        return Err(unsupported_unit(&name, TY));
    }
    field(&name, Civil::from_micros(t))
        .map(Some)
        .ok_or_else(|| unknown_unit(&name, TY))
}

fn extract_timestamptz(call: &Call<'_>, name: &str, t: i64) -> Result<Option<N>> {
    const TY: &str = "timestamp with time zone";
    let name = unit(name);
    if !is_finite_timestamp(t) {
        return infinite(&name, t, TY);
    }
    let zone = &call.vars.format.time_zone;
    let east = zone.east_at(t) as i64;
    match name.as_str() {
        "epoch" => return Ok(Some(N::new(t.into(), 6))),
        "timezone" => return Ok(Some(N::from_i64(east))),
        "timezone_hour" => return Ok(Some(N::from_i64(east / 3600))),
        "timezone_minute" => return Ok(Some(N::from_i64(east / 60 % 60))),
        _ => {}
    }
    field(&name, Civil::from_micros(zone.to_local(t)))
        .map(Some)
        .ok_or_else(|| unknown_unit(&name, TY))
}

fn extract_date(name: &str, d: i32) -> Result<Option<N>> {
    const TY: &str = "date";
    let name = unit(name);
    if matches!(
        name.as_str(),
        "hour" | "minute" | "second" | "millisecond" | "microsecond"
    ) || name.starts_with("timezone")
    {
        return Err(unsupported_unit(&name, TY));
    }
    if !is_finite_date(d) {
        return infinite(&name, d as i64, TY);
    }
    if name == "epoch" {
        return Ok(Some(N::from_i64(d as i64 * 86_400)));
    }
    let (year, month, day) = civil_from_days(d as i64);
    field(
        &name,
        Civil {
            year,
            month,
            day,
            time: 0,
        },
    )
    .map(Some)
    .ok_or_else(|| unknown_unit(&name, TY))
}

fn extract_time(name: &str, t: i64) -> Result<Option<N>> {
    let name = unit(name);
    match name.as_str() {
        "hour" | "minute" | "second" | "millisecond" | "microsecond" => Ok(field(
            &name,
            Civil {
                year: 1970,
                month: 1,
                day: 1,
                time: t,
            },
        )),
        "epoch" => Ok(Some(N::new(t.into(), 6))),
        other if field(other, Civil::from_micros(0)).is_some() => {
            Err(unsupported_unit(other, "time without time zone"))
        }
        other => Err(unknown_unit(other, "time without time zone")),
    }
}

fn extract_interval(name: &str, v: IntervalValue) -> Result<Option<N>> {
    let name = unit(name);
    let (years, months) = (v.months as i64 / 12, v.months as i64 % 12);
    let second_micros = v.micros % (60 * MICROS_PER_SECOND);
    let int = |v: i64| Ok(Some(N::from_i64(v)));
    match name.as_str() {
        "microsecond" => int(second_micros),
        "millisecond" => Ok(Some(N::new(second_micros.into(), 3))),
        "second" => Ok(Some(N::new(second_micros.into(), 6))),
        "minute" => int(v.micros / (60 * MICROS_PER_SECOND) % 60),
        "hour" => int(v.micros / MICROS_PER_HOUR),
        "day" => int(v.days as i64),
        "month" => int(months),
        "quarter" => int(months / 3 + 1),
        "year" => int(years),
        "decade" => int(years / 10),
        "century" => int(years / 100),
        "millennium" => int(years / 1000),
        "epoch" => {
            // Years of 365.25 days, months of 30.
            let days =
                years as i128 * 1461 * 6 * 3600 + (months as i128 * 30 + v.days as i128) * 86_400;
            Ok(Some(N::new(
                (days * 1_000_000 + v.micros as i128).into(),
                6,
            )))
        }
        other if field(other, Civil::from_micros(0)).is_some() => {
            Err(unsupported_unit(other, "interval"))
        }
        other => Err(unknown_unit(other, "interval")),
    }
}

fn truncate(name: &str, c: Civil, ty: &str) -> Result<Civil> {
    let n = unit(name);
    let day = |c: Civil| Civil { time: 0, ..c };
    let floor = |t: i64, by: i64| t - t % by;
    let year = |y: i64| Civil {
        year: y,
        month: 1,
        day: 1,
        time: 0,
    };
    Ok(match n.as_str() {
        "microsecond" => c,
        "millisecond" => Civil {
            time: floor(c.time, 1000),
            ..c
        },
        "second" => Civil {
            time: floor(c.time, MICROS_PER_SECOND),
            ..c
        },
        "minute" => Civil {
            time: floor(c.time, 60 * MICROS_PER_SECOND),
            ..c
        },
        "hour" => Civil {
            time: floor(c.time, MICROS_PER_HOUR),
            ..c
        },
        "day" => day(c),
        "week" => {
            let days = c.days();
            let (year, month, day) = civil_from_days(days - (days + 3).rem_euclid(7));
            Civil {
                year,
                month,
                day,
                time: 0,
            }
        }
        "month" => day(Civil { day: 1, ..c }),
        "quarter" => day(Civil {
            month: (c.month - 1) / 3 * 3 + 1,
            day: 1,
            ..c
        }),
        "year" => year(c.year),
        "decade" => year(c.year.div_euclid(10) * 10),
        "century" => year((c.year - 1).div_euclid(100) * 100 + 1),
        "millennium" => year((c.year - 1).div_euclid(1000) * 1000 + 1),
        other if field(other, c).is_some() || other == "epoch" => {
            return Err(unsupported_unit(other, ty));
        }
        other => return Err(unknown_unit(other, ty)),
    })
}

fn trunc_timestamp(name: &str, t: i64) -> Result<i64> {
    if !is_finite_timestamp(t) {
        return Ok(t);
    }
    truncate(name, Civil::from_micros(t), "timestamp without time zone")?.to_micros()
}

fn trunc_timestamptz(name: &str, t: i64, zone: &TimeZone) -> Result<i64> {
    if !is_finite_timestamp(t) {
        return Ok(t);
    }
    let local = zone.to_local(t);
    let cut = truncate(name, Civil::from_micros(local), "timestamp with time zone")?.to_micros()?;
    // Below a day the offset in force stays, so that a repeated hour is not moved.
    let fine = matches!(
        unit(name).as_str(),
        "hour" | "minute" | "second" | "millisecond" | "microsecond"
    );
    Ok(if fine {
        t - (local - cut)
    } else {
        zone.to_utc(cut)
    })
}

fn trunc_interval(name: &str, v: IntervalValue) -> Result<IntervalValue> {
    let n = unit(name);
    let floor = |t: i64, by: i64| t - t % by;
    let months = |by: i32| IntervalValue {
        months: v.months / by * by,
        days: 0,
        micros: 0,
    };
    let time = |by: i64| IntervalValue {
        micros: floor(v.micros, by),
        ..v
    };
    Ok(match n.as_str() {
        "microsecond" => v,
        "millisecond" => time(1000),
        "second" => time(MICROS_PER_SECOND),
        "minute" => time(60 * MICROS_PER_SECOND),
        "hour" => time(MICROS_PER_HOUR),
        "day" => IntervalValue { micros: 0, ..v },
        "month" => months(1),
        "quarter" => months(3),
        "year" => months(12),
        "decade" => months(120),
        "century" => months(1200),
        "millennium" => months(12_000),
        "week" => {
            return Err(unsupported_unit("week", "interval")
                .with_detail("Months usually have fractional weeks."));
        }
        other => return Err(unknown_unit(other, "interval")),
    })
}

fn zone(name: &str) -> Result<TimeZone> {
    TimeZone::parse(name)
}

fn interval_zone(v: IntervalValue) -> Result<TimeZone> {
    if v.months != 0 || v.days != 0 {
        return Err(SqlError::new(
            state::INVALID_PARAMETER_VALUE,
            "interval time zone must not include months or days",
        ));
    }
    Ok(TimeZone::fixed((v.micros / MICROS_PER_SECOND) as i32))
}

fn make_date(y: i32, m: i32, d: i32) -> Result<i32> {
    let out = || {
        SqlError::new(
            state::DATETIME_FIELD_OVERFLOW,
            format!("date field value out of range: {y}-{m:02}-{d:02}"),
        )
    };
    let year = if y < 0 { y as i64 + 1 } else { y as i64 };
    if y == 0 || !(1..=12).contains(&m) || d < 1 || d as u32 > days_in_month(year, m as u32) {
        return Err(out());
    }
    let days = days_from_civil(year, m as u32, d as u32);
    if is_valid_date(days) {
        Ok(days as i32)
    } else {
        Err(out())
    }
}

fn to_float(n: Option<N>) -> Option<f64> {
    n.map(|n| n.to_f64())
}

pub fn register(r: &mut Registry) {
    r.add("$+", f2::<Date, Int4, Date>(add_days));
    r.add("$+", f2::<Int4, Date, Date>(|n, d| add_days(d, n)));
    r.add(
        "$-",
        f2::<Date, Int4, Date>(|d, n| add_days(d, n.checked_neg().ok_or_else(date_out_of_range)?)),
    );
    r.add("$-", f2::<Date, Date, Int4>(days_between));
    r.add(
        "$+",
        f2::<Date, Interval, Timestamp>(|d, v| add_interval(date_to_timestamp(d)?, v, None)),
    );
    r.add(
        "$+",
        f2::<Interval, Date, Timestamp>(|v, d| add_interval(date_to_timestamp(d)?, v, None)),
    );
    r.add(
        "$-",
        f2::<Date, Interval, Timestamp>(|d, v| {
            add_interval(date_to_timestamp(d)?, minus(v)?, None)
        }),
    );
    r.add(
        "$+",
        f2::<Date, Time, Timestamp>(|d, t| Ok(date_to_timestamp(d)? + t)),
    );
    r.add(
        "$+",
        f2::<Time, Date, Timestamp>(|t, d| Ok(date_to_timestamp(d)? + t)),
    );
    r.add(
        "$+",
        f2::<Timestamp, Interval, Timestamp>(|t, v| add_interval(t, v, None)),
    );
    r.add(
        "$+",
        f2::<Interval, Timestamp, Timestamp>(|v, t| add_interval(t, v, None)),
    );
    r.add(
        "$-",
        f2::<Timestamp, Interval, Timestamp>(|t, v| add_interval(t, minus(v)?, None)),
    );
    r.add("$-", f2::<Timestamp, Timestamp, Interval>(instants_between));
    r.add(
        "$-",
        f2::<TimestampTz, TimestampTz, Interval>(instants_between),
    );
    r.add(
        "$+",
        o2::<TimestampTz, Interval, TimestampTz>(|c, t, v| {
            add_interval(t, v, Some(&c.vars.format.time_zone)).map(Some)
        }),
    );
    r.add(
        "$+",
        o2::<Interval, TimestampTz, TimestampTz>(|c, v, t| {
            add_interval(t, v, Some(&c.vars.format.time_zone)).map(Some)
        }),
    );
    r.add(
        "$-",
        o2::<TimestampTz, Interval, TimestampTz>(|c, t, v| {
            add_interval(t, minus(v)?, Some(&c.vars.format.time_zone)).map(Some)
        }),
    );
    r.add(
        "$+",
        f2::<Time, Interval, Time>(|t, v| {
            Ok((t + v.micros % MICROS_PER_DAY).rem_euclid(MICROS_PER_DAY))
        }),
    );
    r.add(
        "$+",
        f2::<Interval, Time, Time>(|v, t| {
            Ok((t + v.micros % MICROS_PER_DAY).rem_euclid(MICROS_PER_DAY))
        }),
    );
    r.add(
        "$-",
        f2::<Time, Interval, Time>(|t, v| {
            Ok((t - v.micros % MICROS_PER_DAY).rem_euclid(MICROS_PER_DAY))
        }),
    );
    r.add(
        "$-",
        f2::<Time, Time, Interval>(|a, b| {
            Ok(IntervalValue {
                months: 0,
                days: 0,
                micros: a - b,
            })
        }),
    );
    r.add(
        "$+",
        f2::<Interval, Interval, Interval>(|a, b| a.checked_add(b)),
    );
    r.add(
        "$-",
        f2::<Interval, Interval, Interval>(|a, b| a.checked_add(minus(b)?)),
    );
    r.add("$-", f1::<Interval, Interval>(minus));
    r.add("$+", f1::<Interval, Interval>(Ok));
    r.add("$*", f2::<Interval, Float8, Interval>(|v, f| v.multiply(f)));
    r.add("$*", f2::<Float8, Interval, Interval>(|f, v| v.multiply(f)));
    r.add(
        "$/",
        f2::<Interval, Float8, Interval>(|v, f| {
            if f == 0.0 {
                return Err(SqlError::new(state::DIVISION_BY_ZERO, "division by zero"));
            }
            v.multiply(1.0 / f)
        }),
    );

    r.add(
        "extract",
        o2::<Text, Timestamp, Numeric>(|_, f, t| extract_timestamp(f, t)),
    );
    r.add(
        "extract",
        o2::<Text, TimestampTz, Numeric>(extract_timestamptz),
    );
    r.add(
        "extract",
        o2::<Text, Date, Numeric>(|_, f, d| extract_date(f, d)),
    );
    r.add(
        "extract",
        o2::<Text, Time, Numeric>(|_, f, t| extract_time(f, t)),
    );
    r.add(
        "extract",
        o2::<Text, Interval, Numeric>(|_, f, v| extract_interval(f, v)),
    );
    r.add(
        "date_part",
        o2::<Text, Timestamp, Float8>(|_, f, t| Ok(to_float(extract_timestamp(f, t)?))),
    );
    r.add(
        "date_part",
        o2::<Text, TimestampTz, Float8>(|c, f, t| Ok(to_float(extract_timestamptz(c, f, t)?))),
    );
    r.add(
        "date_part",
        o2::<Text, Date, Float8>(|_, f, d| {
            Ok(to_float(extract_timestamp(f, date_to_timestamp(d)?)?))
        }),
    );
    r.add(
        "date_part",
        o2::<Text, Time, Float8>(|_, f, t| Ok(to_float(extract_time(f, t)?))),
    );
    r.add(
        "date_part",
        o2::<Text, Interval, Float8>(|_, f, v| Ok(to_float(extract_interval(f, v)?))),
    );

    r.add(
        "date_trunc",
        f2::<Text, Timestamp, Timestamp>(trunc_timestamp),
    );
    r.add(
        "date_trunc",
        o2::<Text, TimestampTz, TimestampTz>(|c, f, t| {
            trunc_timestamptz(f, t, &c.vars.format.time_zone).map(Some)
        }),
    );
    r.add(
        "date_trunc",
        f3::<Text, TimestampTz, Text, TimestampTz>(|f, t, z| trunc_timestamptz(f, t, &zone(z)?)),
    );
    r.add("date_trunc", f2::<Text, Interval, Interval>(trunc_interval));

    r.add(
        "timezone",
        f2::<Text, TimestampTz, Timestamp>(|z, t| {
            let z = zone(z)?;
            Ok(if is_finite_timestamp(t) {
                z.to_local(t)
            } else {
                t
            })
        }),
    );
    r.add(
        "timezone",
        f2::<Text, Timestamp, TimestampTz>(|z, t| {
            let z = zone(z)?;
            Ok(if is_finite_timestamp(t) {
                z.to_utc(t)
            } else {
                t
            })
        }),
    );
    r.add(
        "timezone",
        f2::<Interval, TimestampTz, Timestamp>(|z, t| {
            let z = interval_zone(z)?;
            Ok(if is_finite_timestamp(t) {
                z.to_local(t)
            } else {
                t
            })
        }),
    );
    r.add(
        "timezone",
        f2::<Interval, Timestamp, TimestampTz>(|z, t| {
            let z = interval_zone(z)?;
            Ok(if is_finite_timestamp(t) {
                z.to_utc(t)
            } else {
                t
            })
        }),
    );

    for name in ["now", "current_timestamp", "transaction_timestamp"] {
        r.add(
            name,
            f0::<TimestampTz>(|c| Ok(Some(c.vars.transaction_start))).stable(),
        );
    }
    r.add(
        "statement_timestamp",
        f0::<TimestampTz>(|c| Ok(Some(c.vars.statement_start))).stable(),
    );
    r.add(
        "clock_timestamp",
        f0::<TimestampTz>(|c| Ok(Some(c.vars.now()))).volatile(),
    );
    r.add(
        "localtimestamp",
        f0::<Timestamp>(|c| {
            Ok(Some(
                c.vars.format.time_zone.to_local(c.vars.transaction_start),
            ))
        })
        .stable(),
    );
    r.add(
        "localtime",
        f0::<Time>(|c| {
            Ok(Some(
                c.vars
                    .format
                    .time_zone
                    .to_local(c.vars.transaction_start)
                    .rem_euclid(MICROS_PER_DAY),
            ))
        })
        .stable(),
    );
    r.add(
        "current_date",
        f0::<Date>(|c| {
            Ok(Some(
                c.vars
                    .format
                    .time_zone
                    .to_local(c.vars.transaction_start)
                    .div_euclid(MICROS_PER_DAY) as i32,
            ))
        })
        .stable(),
    );

    r.add("age", f2::<Timestamp, Timestamp, Interval>(age));
    r.add(
        "age",
        o2::<TimestampTz, TimestampTz, Interval>(|c, a, b| {
            let z = &c.vars.format.time_zone;
            age(z.to_local(a), z.to_local(b)).map(Some)
        }),
    );
    r.add(
        "age",
        o1::<Timestamp, Interval>(|c, t| {
            let now = c.vars.format.time_zone.to_local(c.vars.transaction_start);
            age(now - now.rem_euclid(MICROS_PER_DAY), t).map(Some)
        })
        .stable(),
    );
    r.add(
        "justify_hours",
        f1::<Interval, Interval>(|v| v.justify_hours()),
    );
    r.add(
        "justify_days",
        f1::<Interval, Interval>(|v| v.justify_days()),
    );
    r.add(
        "justify_interval",
        f1::<Interval, Interval>(|v| v.justify_interval()),
    );
    r.add("isfinite", f1::<Date, Bool>(|d| Ok(is_finite_date(d))));
    r.add(
        "isfinite",
        f1::<Timestamp, Bool>(|t| Ok(is_finite_timestamp(t))),
    );
    r.add(
        "isfinite",
        f1::<TimestampTz, Bool>(|t| Ok(is_finite_timestamp(t))),
    );
    r.add("isfinite", f1::<Interval, Bool>(|_| Ok(true)));
    r.add("make_date", f3::<Int4, Int4, Int4, Date>(make_date));
    r.add(
        "make_time",
        f3::<Int4, Int4, Float8, Time>(|h, m, s| {
            if !(0..=23).contains(&h) || !(0..=59).contains(&m) || !(0.0..60.0).contains(&s) {
                return Err(SqlError::new(
                    state::DATETIME_FIELD_OVERFLOW,
                    format!("time field value out of range: {h}:{m:02}:{s:02}"),
                ));
            }
            Ok((h as i64 * 3600 + m as i64 * 60) * MICROS_PER_SECOND
                + (s * 1e6).round_ties_even() as i64)
        }),
    );
    r.add(
        "to_timestamp",
        f1::<Float8, TimestampTz>(|s| {
            if s.is_nan() {
                return Err(SqlError::new(
                    SqlState::new("22008"),
                    "timestamp cannot be NaN",
                ));
            }
            if s.is_infinite() {
                return Ok(if s > 0.0 { i64::MAX } else { i64::MIN });
            }
            let micros = (s * 1e6).round_ties_even();
            if micros.abs() > 9.2e18 {
                return Err(timestamp_out_of_range());
            }
            Ok(micros as i64)
        }),
    );
    r.add(
        "date_bin",
        f3::<Interval, Timestamp, Timestamp, Timestamp>(date_bin),
    );
    r.add(
        "date_bin",
        f3::<Interval, TimestampTz, TimestampTz, TimestampTz>(date_bin),
    );
}

fn date_bin(stride: IntervalValue, t: i64, origin: i64) -> Result<i64> {
    if stride.months != 0 {
        return Err(SqlError::unsupported(
            "timestamps binned into intervals containing months or years",
        ));
    }
    let stride = stride.comparison_key();
    if stride <= 0 {
        return Err(SqlError::new(
            state::DATETIME_FIELD_OVERFLOW,
            "stride must be greater than zero",
        ));
    }
    let bin = (t as i128 - origin as i128).div_euclid(stride) * stride + origin as i128;
    i64::try_from(bin).map_err(|_| timestamp_out_of_range())
}
