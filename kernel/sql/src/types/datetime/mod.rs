//! Dates and times: the proleptic Gregorian calendar, ISO output, and the special values.
//!
//! Values are counted from 1970-01-01: days for `date`, microseconds for the rest. The extremes of
//! the integer stand for `infinity` and `-infinity`, as in PostgreSQL (whose own epoch is 2000,
//! which shows only in the binary wire format). [`parse`] reads PostgreSQL's input forms.

pub mod parse;

use std::fmt::Write as _;

use super::timezone::TimeZone;
use crate::error::{Result, SqlError, state};

pub use parse::{parse_date, parse_time, parse_timestamp, parse_timestamptz};

pub const MICROS_PER_SECOND: i64 = 1_000_000;
pub const MICROS_PER_DAY: i64 = 86_400 * MICROS_PER_SECOND;
/// Days from 1970-01-01 to PostgreSQL's epoch, 2000-01-01.
pub const POSTGRES_EPOCH_DAYS: i32 = 10_957;

pub const DATE_INFINITY: i32 = i32::MAX;
pub const DATE_NEG_INFINITY: i32 = i32::MIN;
pub const TIMESTAMP_INFINITY: i64 = i64::MAX;
pub const TIMESTAMP_NEG_INFINITY: i64 = i64::MIN;

/// 4713-11-24 BC, Julian day 0: the first date there is.
const DATE_MIN: i64 = -2_440_588;
/// The last microsecond of 294276. PostgreSQL counts from 2000, so its last values do not fit a count
/// from 1970: the end here is what an `i64` less one (`infinity`) holds.
const TIMESTAMP_MAX: i64 = i64::MAX - 1;
/// 5874897-12-31.
const DATE_MAX: i64 = 2_145_042_905;

/// Days since 1970-01-01 of a date; year 0 is 1 BC. (Howard Hinnant, "chrono-Compatible Low-Level
/// Date Algorithms", `days_from_civil`.)
pub fn days_from_civil(year: i64, month: u32, day: u32) -> i64 {
    let y = if month <= 2 { year - 1 } else { year };
    let era = y.div_euclid(400);
    let year_of_era = y.rem_euclid(400);
    let month_index = (month as i64 + 9) % 12;
    let day_of_year = (153 * month_index + 2) / 5 + day as i64 - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// The inverse of [`days_from_civil`].
pub fn civil_from_days(days: i64) -> (i64, u32, u32) {
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let day_of_era = z.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_index = (5 * day_of_year + 2) / 153;
    let day = (day_of_year - (153 * month_index + 2) / 5 + 1) as u32;
    let month = if month_index < 10 {
        month_index + 3
    } else {
        month_index - 9
    } as u32;
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

pub fn days_in_month(year: i64, month: u32) -> u32 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

pub fn is_valid_date(days: i64) -> bool {
    (DATE_MIN..=DATE_MAX).contains(&days)
}

pub fn is_valid_timestamp(micros: i64) -> bool {
    (DATE_MIN * MICROS_PER_DAY..=TIMESTAMP_MAX).contains(&micros)
}

pub fn is_finite_timestamp(v: i64) -> bool {
    v != TIMESTAMP_INFINITY && v != TIMESTAMP_NEG_INFINITY
}

pub fn is_finite_date(v: i32) -> bool {
    v != DATE_INFINITY && v != DATE_NEG_INFINITY
}

pub fn timestamp_out_of_range() -> SqlError {
    SqlError::new(state::DATETIME_FIELD_OVERFLOW, "timestamp out of range")
}

pub fn date_out_of_range() -> SqlError {
    SqlError::new(state::DATETIME_FIELD_OVERFLOW, "date out of range")
}

/// A broken-down local time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Civil {
    /// Astronomical: 0 is 1 BC.
    pub year: i64,
    pub month: u32,
    pub day: u32,
    /// Microseconds since midnight.
    pub time: i64,
}

impl Civil {
    pub fn from_micros(micros: i64) -> Civil {
        let (year, month, day) = civil_from_days(micros.div_euclid(MICROS_PER_DAY));
        Civil {
            year,
            month,
            day,
            time: micros.rem_euclid(MICROS_PER_DAY),
        }
    }

    pub fn days(self) -> i64 {
        days_from_civil(self.year, self.month, self.day)
    }

    pub fn to_micros(self) -> Result<i64> {
        self.days()
            .checked_mul(MICROS_PER_DAY)
            .and_then(|d| d.checked_add(self.time))
            .filter(|t| is_valid_timestamp(*t))
            .ok_or_else(timestamp_out_of_range)
    }

    /// Adds months, keeping the day within the month (`timestamp_pl_interval`).
    pub fn add_months(self, months: i32) -> Result<Civil> {
        let index = self.year * 12 + (self.month as i64 - 1) + months as i64;
        let (year, month) = (index.div_euclid(12), index.rem_euclid(12) as u32 + 1);
        if year.abs() > 6_000_000 {
            return Err(timestamp_out_of_range());
        }
        Ok(Civil {
            year,
            month,
            day: self.day.min(days_in_month(year, month)),
            time: self.time,
        })
    }
}

fn write_ymd(year: i64, month: u32, day: u32, out: &mut String) -> bool {
    let bc = year <= 0;
    let shown = if bc { 1 - year } else { year };
    let _ = write!(out, "{shown:04}-{month:02}-{day:02}");
    bc
}

pub fn write_date(days: i32, out: &mut String) {
    match days {
        DATE_INFINITY => out.push_str("infinity"),
        DATE_NEG_INFINITY => out.push_str("-infinity"),
        days => {
            let (y, m, d) = civil_from_days(days as i64);
            if write_ymd(y, m, d, out) {
                out.push_str(" BC");
            }
        }
    }
}

/// `.5`, `.123456` or nothing.
pub fn write_fraction(micros: i64, out: &mut String) {
    if micros != 0 {
        let text = format!("{micros:06}");
        out.push('.');
        out.push_str(text.trim_end_matches('0'));
    }
}

pub fn write_time(micros: i64, out: &mut String) {
    let s = micros / MICROS_PER_SECOND;
    let _ = write!(out, "{:02}:{:02}:{:02}", s / 3600, s / 60 % 60, s % 60);
    write_fraction(micros % MICROS_PER_SECOND, out);
}

fn write_special(v: i64, out: &mut String) -> bool {
    match v {
        TIMESTAMP_INFINITY => out.push_str("infinity"),
        TIMESTAMP_NEG_INFINITY => out.push_str("-infinity"),
        _ => return false,
    }
    true
}

pub fn write_timestamp(micros: i64, out: &mut String) {
    if write_special(micros, out) {
        return;
    }
    let c = Civil::from_micros(micros);
    let bc = write_ymd(c.year, c.month, c.day, out);
    out.push(' ');
    write_time(c.time, out);
    if bc {
        out.push_str(" BC");
    }
}

pub fn write_timestamptz(utc: i64, zone: &TimeZone, out: &mut String) {
    if write_special(utc, out) {
        return;
    }
    let east = zone.east_at(utc);
    let c = Civil::from_micros(utc.saturating_add(east as i64 * MICROS_PER_SECOND));
    let bc = write_ymd(c.year, c.month, c.day, out);
    out.push(' ');
    write_time(c.time, out);
    write_offset(east, out);
    if bc {
        out.push_str(" BC");
    }
}

/// `+02`, `-03:30`, `+00:19:32`.
pub fn write_offset(east: i32, out: &mut String) {
    let a = east.unsigned_abs();
    let sign = if east < 0 { '-' } else { '+' };
    let _ = write!(out, "{sign}{:02}", a / 3600);
    if !a.is_multiple_of(3600) {
        let _ = write!(out, ":{:02}", a / 60 % 60);
    }
    if !a.is_multiple_of(60) {
        let _ = write!(out, ":{:02}", a % 60);
    }
}

/// Rounds microseconds to a typmod's precision, half away from the epoch as PostgreSQL does.
pub fn round_to_precision(micros: i64, typmod: i32) -> i64 {
    if !(0..6).contains(&typmod) || !is_finite_timestamp(micros) {
        return micros;
    }
    let unit = 10i64.pow(6 - typmod as u32);
    let half = unit / 2;
    // PostgreSQL's epoch decides which way "away" is; whole seconds apart, so it is the same here
    // except between the epochs, where it counts backwards.
    let offset = POSTGRES_EPOCH_DAYS as i64 * MICROS_PER_DAY;
    let v = micros.saturating_sub(offset);
    let r = if v >= 0 {
        (v.saturating_add(half)) / unit * unit
    } else {
        -((half.saturating_sub(v)) / unit * unit)
    };
    r.saturating_add(offset)
}

/// Microseconds of day; 24:00 stays.
pub fn round_time(micros: i64, typmod: i32) -> i64 {
    if !(0..6).contains(&typmod) {
        return micros;
    }
    let unit = 10i64.pow(6 - typmod as u32);
    (micros + unit / 2) / unit * unit
}
