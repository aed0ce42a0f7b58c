//! `interval`: months, days and microseconds, kept apart as PostgreSQL keeps them.
//!
//! Arrow's `MonthDayNano` holds nanoseconds, so the time part of an interval is limited to about
//! ±292 years; beyond that it is `22008`, where PostgreSQL goes on to ±178,000 years.

use std::fmt::Write as _;

use arrow::datatypes::IntervalMonthDayNano;

use crate::error::{Result, SqlError, state};

pub const MICROS_PER_SECOND: i64 = 1_000_000;
pub const MICROS_PER_DAY: i64 = 86_400 * MICROS_PER_SECOND;
const DAYS_PER_MONTH: f64 = 30.0;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Interval {
    pub months: i32,
    pub days: i32,
    pub micros: i64,
}

/// An interval while it is justified: what is carried has room.
struct Wide {
    months: i64,
    days: i64,
    micros: i64,
}

impl Wide {
    fn hours(mut self) -> Wide {
        self.days += self.micros / MICROS_PER_DAY;
        self.micros %= MICROS_PER_DAY;
        if self.days > 0 && self.micros < 0 {
            self.micros += MICROS_PER_DAY;
            self.days -= 1;
        } else if self.days < 0 && self.micros > 0 {
            self.micros -= MICROS_PER_DAY;
            self.days += 1;
        }
        self
    }

    fn days(mut self) -> Wide {
        self.months += self.days / 30;
        self.days %= 30;
        if self.months > 0 && self.days < 0 {
            self.days += 30;
            self.months -= 1;
        } else if self.months < 0 && self.days > 0 {
            self.days -= 30;
            self.months += 1;
        }
        self
    }

    fn narrow(self) -> Result<Interval> {
        Ok(Interval {
            months: self.months.try_into().map_err(|_| out_of_range())?,
            days: self.days.try_into().map_err(|_| out_of_range())?,
            micros: self.micros,
        })
    }
}

pub fn out_of_range() -> SqlError {
    SqlError::new(state::DATETIME_FIELD_OVERFLOW, "interval out of range")
}

impl Interval {
    pub fn from_arrow(v: IntervalMonthDayNano) -> Interval {
        Interval {
            months: v.months,
            days: v.days,
            micros: v.nanoseconds / 1000,
        }
    }

    pub fn to_arrow(self) -> Result<IntervalMonthDayNano> {
        let nanos = self.micros.checked_mul(1000).ok_or_else(out_of_range)?;
        Ok(IntervalMonthDayNano::new(self.months, self.days, nanos))
    }

    /// The span PostgreSQL compares by: months of 30 days, days of 24 hours.
    pub fn comparison_key(self) -> i128 {
        (self.months as i128 * 30 + self.days as i128) * MICROS_PER_DAY as i128
            + self.micros as i128
    }

    pub fn checked_add(self, o: Interval) -> Result<Interval> {
        let sum = || {
            Some(Interval {
                months: self.months.checked_add(o.months)?,
                days: self.days.checked_add(o.days)?,
                micros: self.micros.checked_add(o.micros)?,
            })
        };
        sum().ok_or_else(out_of_range)
    }

    pub fn checked_neg(self) -> Result<Interval> {
        let neg = || {
            Some(Interval {
                months: self.months.checked_neg()?,
                days: self.days.checked_neg()?,
                micros: self.micros.checked_neg()?,
            })
        };
        neg().ok_or_else(out_of_range)
    }

    /// `interval_mul`: what a month or a day loses to rounding spills into the next smaller field.
    pub fn multiply(self, factor: f64) -> Result<Interval> {
        let months_f = self.months as f64 * factor;
        let days_f = self.days as f64 * factor;
        let in_int = |v: f64| v.is_finite() && v.abs() <= i32::MAX as f64;
        if !in_int(months_f) || !in_int(days_f) {
            return Err(out_of_range());
        }
        let months = months_f as i32;
        let mut days = days_f as i32;
        let round = |v: f64| (v * 1e6).round_ties_even() / 1e6;
        let month_remainder_days = round((months_f - months as f64) * DAYS_PER_MONTH);
        let mut seconds = round(
            (days_f - days as f64 + month_remainder_days - month_remainder_days.trunc()) * 86_400.0,
        );
        if seconds.abs() >= 86_400.0 {
            days += (seconds / 86_400.0) as i32;
            seconds -= (seconds / 86_400.0).trunc() * 86_400.0;
        }
        days = days
            .checked_add(month_remainder_days as i32)
            .ok_or_else(out_of_range)?;
        let micros = (self.micros as f64 * factor + seconds * 1e6).round_ties_even();
        if !micros.is_finite() || micros.abs() > i64::MAX as f64 {
            return Err(out_of_range());
        }
        Ok(Interval {
            months,
            days,
            micros: micros as i64,
        })
    }

    /// `justify_hours`, `justify_days` and both.
    pub fn justify_hours(self) -> Result<Interval> {
        self.wide().hours().narrow()
    }

    pub fn justify_days(self) -> Result<Interval> {
        self.wide().days().narrow()
    }

    pub fn justify_interval(self) -> Result<Interval> {
        let mut r = self.wide().hours().days();
        if r.months > 0 && (r.days < 0 || (r.days == 0 && r.micros < 0)) {
            r.days += 30;
            r.months -= 1;
        } else if r.months < 0 && (r.days > 0 || (r.days == 0 && r.micros > 0)) {
            r.days -= 30;
            r.months += 1;
        }
        if r.days > 0 && r.micros < 0 {
            r.micros += MICROS_PER_DAY;
            r.days -= 1;
        } else if r.days < 0 && r.micros > 0 {
            r.micros -= MICROS_PER_DAY;
            r.days += 1;
        }
        r.narrow()
    }

    fn wide(self) -> Wide {
        Wide {
            months: self.months.into(),
            days: self.days.into(),
            micros: self.micros,
        }
    }

    /// `IntervalStyle = postgres`: `1 year 2 mons -3 days +04:05:06.7`.
    pub fn write(self, out: &mut String) {
        let mut empty = true;
        let mut after_negative = false;
        let mut part = |value: i64, unit: &str, out: &mut String| {
            if value == 0 {
                return;
            }
            let space = if empty { "" } else { " " };
            let plus = if after_negative && value > 0 { "+" } else { "" };
            let plural = if value == 1 { "" } else { "s" };
            let _ = write!(out, "{space}{plus}{value} {unit}{plural}");
            after_negative = value < 0;
            empty = false;
        };
        part((self.months / 12) as i64, "year", out);
        part((self.months % 12) as i64, "mon", out);
        part(self.days as i64, "day", out);
        if empty || self.micros != 0 {
            let sign = if self.micros < 0 {
                "-"
            } else if after_negative {
                "+"
            } else {
                ""
            };
            let t = self.micros.unsigned_abs();
            let (s, micros) = (t / 1_000_000, t % 1_000_000);
            let space = if empty { "" } else { " " };
            let _ = write!(
                out,
                "{space}{sign}{:02}:{:02}:{:02}",
                s / 3600,
                s / 60 % 60,
                s % 60
            );
            super::datetime::write_fraction(micros as i64, out);
        }
    }

    /// Parses the `postgres`, `postgres_verbose`, SQL-standard and ISO 8601 input forms.
    pub fn parse(input: &str) -> Result<Interval> {
        let invalid = || {
            SqlError::new(
                state::INVALID_DATETIME_FORMAT,
                format!("invalid input syntax for type interval: \"{input}\""),
            )
        };
        let text = input.trim();
        if text.is_empty() {
            return Err(invalid());
        }
        let mut sum = Sum::default();
        let iso = text.strip_prefix('P').or_else(|| text.strip_prefix("-P"));
        if let Some(body) = iso {
            parse_iso8601(body, &mut sum).ok_or_else(invalid)?;
            let v = sum.finish().ok_or_else(|| field_overflow(input))?;
            return if text.starts_with('-') {
                v.checked_neg()
            } else {
                Ok(v)
            };
        }
        parse_postgres(text, &mut sum).ok_or_else(invalid)?;
        sum.finish().ok_or_else(|| field_overflow(input))
    }
}

fn field_overflow(input: &str) -> SqlError {
    SqlError::new(
        state::DATETIME_FIELD_OVERFLOW,
        format!("interval field value out of range: \"{input}\""),
    )
}

/// Fields read so far, wide enough not to overflow before [`Sum::finish`] looks.
#[derive(Default)]
struct Sum {
    months: i128,
    days: i128,
    micros: i128,
}

impl Sum {
    /// Adds `whole.fraction` of a unit; what a unit cannot hold goes to the next smaller one.
    fn add(&mut self, whole: i64, fraction: f64, unit: Unit) {
        let whole = whole as i128;
        match unit {
            Unit::Micros(m) => {
                self.micros += whole * m as i128 + (fraction * m as f64).round_ties_even() as i128;
            }
            Unit::Days(d) => {
                self.days += whole * d as i128;
                self.add_days(fraction * d as f64);
            }
            Unit::Months(1) => {
                self.months += whole;
                self.add_days(fraction * DAYS_PER_MONTH);
            }
            Unit::Months(m) => {
                self.months += whole * m as i128 + (fraction * m as f64).round_ties_even() as i128;
            }
        }
    }

    fn add_days(&mut self, days: f64) {
        let whole = days.trunc();
        self.days += whole as i128;
        let rest = (days - whole) * MICROS_PER_DAY as f64;
        self.micros += rest.round_ties_even() as i128;
    }

    fn negate(&mut self) {
        (self.months, self.days, self.micros) = (-self.months, -self.days, -self.micros);
    }

    fn finish(self) -> Option<Interval> {
        Some(Interval {
            months: self.months.try_into().ok()?,
            days: self.days.try_into().ok()?,
            micros: self.micros.try_into().ok()?,
        })
    }
}

#[derive(Clone, Copy)]
enum Unit {
    Micros(i64),
    Days(i64),
    Months(i64),
}

fn unit(name: &str) -> Option<Unit> {
    Some(match name {
        "us" | "usec" | "usecs" | "usecond" | "useconds" | "microsecond" | "microseconds"
        | "microsecon" => Unit::Micros(1),
        "ms" | "msec" | "msecs" | "msecond" | "mseconds" | "millisecond" | "milliseconds"
        | "millisecon" => Unit::Micros(1000),
        "s" | "sec" | "secs" | "second" | "seconds" => Unit::Micros(MICROS_PER_SECOND),
        "m" | "min" | "mins" | "minute" | "minutes" => Unit::Micros(60 * MICROS_PER_SECOND),
        "h" | "hr" | "hrs" | "hour" | "hours" => Unit::Micros(3600 * MICROS_PER_SECOND),
        "d" | "day" | "days" => Unit::Days(1),
        "w" | "week" | "weeks" => Unit::Days(7),
        "mon" | "mons" | "month" | "months" => Unit::Months(1),
        "y" | "yr" | "yrs" | "year" | "years" => Unit::Months(12),
        "dec" | "decs" | "decade" | "decades" => Unit::Months(120),
        "c" | "cent" | "century" | "centuries" => Unit::Months(1200),
        "mil" | "mils" | "millennium" | "millennia" => Unit::Months(12_000),
        _ => return None,
    })
}

/// A signed decimal: whole part, and the fraction with the same sign.
fn number(text: &str) -> Option<(i64, f64)> {
    let (negative, body) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let (whole, fraction) = body.split_once('.').unwrap_or((body, ""));
    let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    if (whole.is_empty() && fraction.is_empty()) || !digits(whole) || !digits(fraction) {
        return None;
    }
    let w: i64 = if whole.is_empty() {
        0
    } else {
        whole.parse().ok()?
    };
    let f: f64 = if fraction.is_empty() {
        0.0
    } else {
        format!("0.{fraction}").parse().ok()?
    };
    Some(if negative { (-w, -f) } else { (w, f) })
}

fn is_number(text: &str) -> bool {
    number(text).is_some()
}

fn parse_postgres(text: &str, sum: &mut Sum) -> Option<()> {
    // Split into numbers, words and times; `1day` is two tokens.
    let mut tokens: Vec<String> = Vec::new();
    for word in text.split(|c: char| c.is_ascii_whitespace() || c == ',') {
        let mut rest = word;
        while !rest.is_empty() {
            let alphabetic = rest.starts_with(|c: char| c.is_ascii_alphabetic());
            let end = rest
                .char_indices()
                .find(|(_, c)| c.is_ascii_alphabetic() != alphabetic)
                .map_or(rest.len(), |(i, _)| i);
            tokens.push(rest[..end].to_ascii_lowercase());
            rest = &rest[end..];
        }
    }
    let mut i = 0;
    if tokens.first().is_some_and(|t| t == "@") {
        i = 1;
    }
    let mut any = false;
    while i < tokens.len() {
        let token = tokens[i].as_str();
        i += 1;
        if token == "ago" && i == tokens.len() && any {
            sum.negate();
            return Some(());
        }
        any = true;
        if token.contains(':') {
            sum.micros += clock(token)?;
        } else if is_number(token) {
            let (whole, fraction) = number(token)?;
            match tokens.get(i) {
                Some(next) if unit(next).is_some() => {
                    sum.add(whole, fraction, unit(next)?);
                    i += 1;
                }
                // `1 12:34:56` is a day and a time.
                Some(next) if next.contains(':') => sum.add(whole, fraction, Unit::Days(1)),
                None => sum.add(whole, fraction, Unit::Micros(MICROS_PER_SECOND)),
                Some(_) => return None,
            }
        } else if let Some((years, months)) = year_month(token) {
            sum.months += years as i128 * 12 + months as i128;
        } else {
            return None;
        }
    }
    any.then_some(())
}

/// `y-m`, the sign before the year for both.
fn year_month(token: &str) -> Option<(i64, i64)> {
    let (negative, body) = match token.strip_prefix('-') {
        Some(b) => (true, b),
        None => (false, token.strip_prefix('+').unwrap_or(token)),
    };
    let (y, m) = body.split_once('-')?;
    let (y, m): (i64, i64) = (y.parse().ok()?, m.parse().ok()?);
    if !(0..12).contains(&m) {
        return None;
    }
    Some(if negative { (-y, -m) } else { (y, m) })
}

/// `[-]h:mm[:ss[.f]]` in microseconds; `mm:ss.f` when there are two fields and a fraction.
fn clock(token: &str) -> Option<i128> {
    let (negative, body) = match token.as_bytes().first()? {
        b'-' => (true, &token[1..]),
        b'+' => (false, &token[1..]),
        _ => (false, token),
    };
    let parts: Vec<&str> = body.split(':').collect();
    let int = |s: &str| s.parse::<u32>().ok().map(|v| v as i128);
    let seconds = |s: &str| -> Option<i128> {
        let (w, f) = number(s)?;
        (!s.starts_with(['-', '+'])).then_some(())?;
        Some(w as i128 * 1_000_000 + (f * 1e6).round_ties_even() as i128)
    };
    let (h, m, micros) = match parts.as_slice() {
        [m, s] if s.contains('.') => (0, int(m)?, seconds(s)?),
        [h, m] => (int(h)?, int(m)?, 0),
        [h, m, s] => (int(h)?, int(m)?, seconds(s)?),
        _ => return None,
    };
    if m > 59 || micros > 60_000_000 {
        return None;
    }
    let total = (h * 3600 + m * 60) * 1_000_000 + micros;
    Some(if negative { -total } else { total })
}

fn parse_iso8601(body: &str, sum: &mut Sum) -> Option<()> {
    if body.is_empty() {
        return None;
    }
    let (mut time, mut rest) = (false, body);
    while !rest.is_empty() {
        if let Some(r) = rest.strip_prefix('T') {
            (time, rest) = (true, r);
            continue;
        }
        let end = rest.find(|c: char| c.is_ascii_alphabetic())?;
        let (whole, fraction) = number(&rest[..end])?;
        let unit = match (&rest[end..end + 1], time) {
            ("Y", false) => Unit::Months(12),
            ("M", false) => Unit::Months(1),
            ("W", false) => Unit::Days(7),
            ("D", false) => Unit::Days(1),
            ("H", true) => Unit::Micros(3600 * MICROS_PER_SECOND),
            ("M", true) => Unit::Micros(60 * MICROS_PER_SECOND),
            ("S", true) => Unit::Micros(MICROS_PER_SECOND),
            _ => return None,
        };
        sum.add(whole, fraction, unit);
        rest = &rest[end + 1..];
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(s: &str) -> String {
        let mut out = String::new();
        Interval::parse(s).unwrap().write(&mut out);
        out
    }

    #[test]
    fn intervals_read_and_print_as_postgres() {
        for (input, shown) in [
            ("1 year 2 months", "1 year 2 mons"),
            ("1.5 months", "1 mon 15 days"),
            ("1 day 02:03:04.5", "1 day 02:03:04.5"),
            ("-1 days +02:03:00", "-1 days +02:03:00"),
            ("1 week", "7 days"),
            ("P1Y2M3DT4H5M6S", "1 year 2 mons 3 days 04:05:06"),
            ("2 hours ago", "-02:00:00"),
            ("0", "00:00:00"),
            ("1-2", "1 year 2 mons"),
            ("30", "00:00:30"),
            ("100 hours", "100:00:00"),
            ("1 12:00:00", "1 day 12:00:00"),
            ("1.5 days", "1 day 12:00:00"),
        ] {
            assert_eq!(round(input), shown, "{input}");
        }
        for bad in ["", "x", "1 fortnight", "1:2:3:4", "P", "1 2 3 days"] {
            assert!(Interval::parse(bad).is_err(), "{bad}");
        }
    }
}
