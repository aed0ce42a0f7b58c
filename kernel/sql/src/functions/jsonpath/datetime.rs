//! Dates and times in paths: `.datetime()`, its templates, and what is before what.
//!
//! A template is read as SQL/JSON's: separators and quoted text have to be found as they stand, and the whole
//! text has to be read. The fields are those of the standard, `YYYY YYY YY Y MM DD DDD HH24 HH12 HH MI SS SSSSS
//! MS US FF1`–`FF6 AM PM TZH TZM`; what else PostgreSQL's `to_timestamp` knows is refused by name.

use std::cmp::Ordering;
use std::fmt::{Display, Formatter};

use super::run::{Failure, Result};
use crate::error::{Result as SqlResult, SqlError, SqlState, state};
use crate::types::datetime::{
    Civil, MICROS_PER_DAY, MICROS_PER_SECOND, days_in_month, is_valid_date, round_time,
    round_to_precision, write_date, write_time, write_timestamp,
};
use crate::types::timezone::TimeZone;

/// `east` is what a zone is ahead of UTC, in seconds; times of day and instants are in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Datetime {
    /// Days since 1970.
    Date(i32),
    Time(i64),
    TimeTz {
        time: i64,
        east: i32,
    },
    Timestamp(i64),
    TimestampTz {
        utc: i64,
        east: i32,
    },
}

/// Where what has no zone is taken to be, and the time it is.
#[derive(Clone, Copy)]
pub struct Zone<'a> {
    pub zone: &'a TimeZone,
    pub now: i64,
}

impl Datetime {
    pub fn type_name(&self) -> &'static str {
        match self {
            Datetime::Date(_) => "date",
            Datetime::Time(_) => "time without time zone",
            Datetime::TimeTz { .. } => "time with time zone",
            Datetime::Timestamp(_) => "timestamp without time zone",
            Datetime::TimestampTz { .. } => "timestamp with time zone",
        }
    }
}

/// ISO 8601, as `to_jsonb` has it.
impl Display for Datetime {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        let mut text = String::new();
        let offset = |east: i32| {
            let sign = if east < 0 { '-' } else { '+' };
            let minutes = east.unsigned_abs() / 60;
            format!("{sign}{:02}:{:02}", minutes / 60, minutes % 60)
        };
        match self {
            Datetime::Date(days) => write_date(*days, &mut text),
            Datetime::Time(time) => write_time(*time, &mut text),
            Datetime::TimeTz { time, east } => {
                write_time(*time, &mut text);
                text.push_str(&offset(*east));
            }
            Datetime::Timestamp(at) => {
                write_timestamp(*at, &mut text);
                text = text.replacen(' ', "T", 1);
            }
            Datetime::TimestampTz { utc, east } => {
                let local = utc.saturating_add(i64::from(*east) * MICROS_PER_SECOND);
                write_timestamp(local, &mut text);
                text = text.replacen(' ', "T", 1);
                let at = text.find(" BC").unwrap_or(text.len());
                text.insert_str(at, &offset(*east));
            }
        }
        f.write_str(&text)
    }
}

/// `None` when the two cannot be compared. A zone that is needed and is none is an error in any case.
pub fn compare(a: Datetime, b: Datetime, zone: Option<Zone<'_>>) -> Result<Option<Ordering>> {
    use Datetime::{Date, Time, TimeTz, Timestamp, TimestampTz};
    let zoned = |from: &str, to: &str| {
        zone.ok_or_else(|| {
            let message =
                format!("cannot convert value from {from} to {to} without time zone usage");
            let error = SqlError::new(state::FEATURE_NOT_SUPPORTED, message);
            Failure::Always(error.with_hint("Use *_tz() function for time zone support."))
        })
    };
    let midnight = |days: i32| i64::from(days).saturating_mul(MICROS_PER_DAY);
    // Two times of one instant are told apart by their zones, the western one being later.
    let times = |(a, a_east): (i64, i32), (b, b_east): (i64, i32)| {
        let utc = |time: i64, east: i32| time - i64::from(east) * MICROS_PER_SECOND;
        utc(a, a_east)
            .cmp(&utc(b, b_east))
            .then(b_east.cmp(&a_east))
    };
    Ok(Some(match (a, b) {
        (Date(a), Date(b)) => a.cmp(&b),
        (Date(a), Timestamp(b)) => midnight(a).cmp(&b),
        (Date(a), TimestampTz { utc, .. }) => {
            let zone = zoned("date", "timestamptz")?.zone;
            zone.to_utc(midnight(a)).cmp(&utc)
        }
        (Time(a), Time(b)) => a.cmp(&b),
        (Time(a), TimeTz { time, east }) => {
            let Zone { zone, now } = zoned("time", "timetz")?;
            times((a, zone.east_at(now)), (time, east))
        }
        (TimeTz { time, east }, TimeTz { time: t, east: e }) => times((time, east), (t, e)),
        (Timestamp(a), Timestamp(b)) => a.cmp(&b),
        (Timestamp(a), TimestampTz { utc, .. }) => {
            let zone = zoned("timestamp", "timestamptz")?.zone;
            zone.to_utc(a).cmp(&utc)
        }
        (TimestampTz { utc: a, .. }, TimestampTz { utc: b, .. }) => a.cmp(&b),
        (TimestampTz { .. }, Date(_) | Timestamp(_))
        | (Timestamp(_), Date(_))
        | (TimeTz { .. }, Time(_)) => {
            return Ok(compare(b, a, zone)?.map(Ordering::reverse));
        }
        _ => return Ok(None),
    }))
}

/// A text in any of the forms of ISO 8601 that have a date, a time or both, and perhaps a zone.
pub fn parse_iso(text: &str) -> Option<Datetime> {
    const TIMES: [&str; 6] = [
        "HH24:MI:SS.USTZH:TZM",
        "HH24:MI:SS.USTZH",
        "HH24:MI:SSTZH:TZM",
        "HH24:MI:SSTZH",
        "HH24:MI:SS.US",
        "HH24:MI:SS",
    ];
    let read = |template: &str| parse(text, template).ok();
    read("YYYY-MM-DD").or_else(|| {
        ["", "YYYY-MM-DD ", "YYYY-MM-DD\"T\""]
            .iter()
            .find_map(|date| TIMES.iter().find_map(|time| read(&format!("{date}{time}"))))
    })
}

/// The longest first.
const FIELDS: [&str; 26] = [
    "SSSSS", "YYYY", "HH24", "HH12", "SSSS", "A.M.", "P.M.", "YYY", "DDD", "FF1", "FF2", "FF3",
    "FF4", "FF5", "FF6", "TZH", "TZM", "YY", "MM", "DD", "HH", "MI", "SS", "MS", "US", "AM",
];
const FIELDS_OF_TWO: [&str; 2] = ["PM", "Y"];

/// What templates may have elsewhere.
const UNSUPPORTED: [&str; 29] = [
    "Y,YYY", "MONTH", "IYYY", "IDDD", "A.D.", "B.C.", "DAY", "IYY", "MON", "AD", "BC", "CC", "DY",
    "FM", "FX", "ID", "IW", "IY", "OF", "RM", "TM", "TH", "TZ", "WW", "D", "I", "J", "Q", "W",
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Field(&'static str),
    Separator(char),
    Quoted(char),
}

fn invalid(message: impl Into<String>) -> SqlError {
    SqlError::new(state::INVALID_DATETIME_FORMAT, message)
}

fn parts(template: &str) -> SqlResult<Vec<Part>> {
    let mut parts = Vec::new();
    let mut rest = template;
    // Fields are all in capitals or all in small letters.
    let starts = |rest: &str, field: &str| {
        rest.starts_with(field) || rest.starts_with(&field.to_ascii_lowercase())
    };
    'parts: while let Some(first) = rest.chars().next() {
        if !starts(rest, "Y,YYY") {
            for field in FIELDS.into_iter().chain(FIELDS_OF_TWO) {
                if starts(rest, field) {
                    parts.push(Part::Field(field));
                    rest = &rest[field.len()..];
                    continue 'parts;
                }
            }
        }
        if let Some(field) = UNSUPPORTED.iter().find(|field| {
            let head = rest.get(..field.len());
            head.is_some_and(|head| head.eq_ignore_ascii_case(field))
        }) {
            let what = format!("\"{field}\" in the template of .datetime()");
            return Err(SqlError::unsupported(what));
        }
        rest = &rest[first.len_utf8()..];
        if first != '"' {
            if !"-./,':; ".contains(first) {
                let message = format!("invalid datetime format separator: \"{first}\"");
                return Err(invalid(message));
            }
            parts.push(Part::Separator(first));
            continue;
        }
        let mut chars = rest.chars();
        while let Some(c) = chars.next() {
            match c {
                '"' => break,
                '\\' => parts.push(Part::Quoted(chars.next().unwrap_or(c))),
                c => parts.push(Part::Quoted(c)),
            }
        }
        rest = chars.as_str();
    }
    Ok(parts)
}

/// What was read.
#[derive(Default)]
struct Fields {
    year: i64,
    month: Option<i64>,
    day: Option<i64>,
    day_of_year: Option<i64>,
    hour: i64,
    minute: i64,
    second: i64,
    second_of_day: Option<i64>,
    micros: i64,
    precision: Option<i32>,
    twelve_hours: bool,
    afternoon: Option<bool>,
    zone_sign: i64,
    zone_hours: i64,
    zone_minutes: i64,
}

/// Reads a text by a template.
pub fn parse(text: &str, template: &str) -> SqlResult<Datetime> {
    let parts = parts(template)?;
    let mut fields = Fields::default();
    let mut rest = text;
    for (place, part) in parts.iter().enumerate() {
        if rest.is_empty() {
            return Err(invalid("input string is too short for datetime format"));
        }
        let expected = match part {
            Part::Field(name) => {
                fields.read(name, parts.get(place + 1), &mut rest)?;
                continue;
            }
            Part::Separator(c) | Part::Quoted(c) => *c,
        };
        if !rest.starts_with(expected) {
            let what = match part {
                Part::Quoted(_) => "character",
                _ => "separator",
            };
            let message = format!("unmatched format {what} \"{expected}\"");
            return Err(invalid(message));
        }
        rest = &rest[expected.len_utf8()..];
    }
    let has = |those: &[&str]| {
        let is = |part: &Part| matches!(part, Part::Field(name) if those.contains(name));
        parts.iter().any(is)
    };
    let dated = has(&["YYYY", "YYY", "YY", "Y", "MM", "DD", "DDD"]);
    let zoned = has(&["TZH", "TZM"]);
    let timed = has(&[
        "HH24", "HH12", "HH", "MI", "SS", "SSSSS", "SSSS", "MS", "US", "FF1", "FF2", "FF3", "FF4",
        "FF5", "FF6", "AM", "PM", "A.M.", "P.M.",
    ]);
    if (dated || timed) && !rest.trim_start().is_empty() {
        return Err(invalid(
            "trailing characters remain in input string after datetime format",
        ));
    }
    fields.value(text, dated, timed, zoned)
}

impl Fields {
    fn read(&mut self, name: &str, next: Option<&Part>, rest: &mut &str) -> SqlResult<()> {
        let mut number = |width: usize| integer(name, width, next, rest);
        match name {
            "YYYY" => self.year = number(4)?.0,
            "YYY" | "YY" | "Y" => {
                let (year, digits) = number(name.len())?;
                self.year = match digits {
                    4.. => year,
                    _ => near_2020(year),
                };
            }
            "MM" => self.month = Some(number(2)?.0),
            "DD" => self.day = Some(number(2)?.0),
            "DDD" => self.day_of_year = Some(number(3)?.0),
            "HH24" => (self.hour, self.twelve_hours) = (number(2)?.0, false),
            "HH12" | "HH" => (self.hour, self.twelve_hours) = (number(2)?.0, true),
            "MI" => self.minute = number(2)?.0,
            "SS" => self.second = number(2)?.0,
            "SSSSS" | "SSSS" => self.second_of_day = Some(number(5)?.0),
            "MS" => {
                let (ms, digits) = number(3)?;
                self.micros = scaled(ms, digits, 3) * 1000;
            }
            "US" => {
                let (us, digits) = number(6)?;
                self.micros = scaled(us, digits, 6);
            }
            "FF1" | "FF2" | "FF3" | "FF4" | "FF5" | "FF6" => {
                let precision = usize::from(name.as_bytes()[2] - b'0');
                let (us, digits) = number(precision)?;
                self.micros = scaled(us, digits, 6);
                self.precision = Some(precision as i32);
            }
            "TZH" => {
                self.zone_sign = if rest.starts_with('-') { -1 } else { 1 };
                *rest = rest.strip_prefix(['+', '-', ' ']).unwrap_or(rest);
                self.zone_hours = integer(name, 2, next, rest)?.0;
            }
            "TZM" => {
                let minutes = number(2)?.0;
                if self.zone_sign == 0 {
                    self.zone_sign = 1;
                }
                self.zone_minutes = minutes;
            }
            // AM, PM, A.M. and P.M.
            _ => {
                let found = ["am", "pm"].iter().position(|half| {
                    let half = match name.len() {
                        2 => (*half).to_owned(),
                        _ => format!("{}.m.", &half[..1]),
                    };
                    let head = rest.get(..half.len());
                    head.is_some_and(|head| head.eq_ignore_ascii_case(&half))
                });
                let Some(found) = found else {
                    let word = rest.split(char::is_whitespace).next().unwrap_or("");
                    let message = format!("invalid value \"{word}\" for \"{name}\"");
                    let detail =
                        "The given value did not match any of the allowed values for this field.";
                    return Err(invalid(message).with_detail(detail));
                };
                self.afternoon = Some(found == 1);
                self.twelve_hours = true;
                *rest = &rest[name.len()..];
            }
        }
        Ok(())
    }

    /// The value of the text that these fields are of.
    fn value(mut self, text: &str, dated: bool, timed: bool, zoned: bool) -> SqlResult<Datetime> {
        let overflow = || {
            SqlError::new(
                state::DATETIME_FIELD_OVERFLOW,
                format!("date/time field value out of range: \"{text}\""),
            )
        };
        if let Some(seconds) = self.second_of_day {
            if !(0..86_400).contains(&seconds) {
                return Err(overflow());
            }
            (self.hour, self.minute, self.second) =
                (seconds / 3600, seconds / 60 % 60, seconds % 60);
        }
        if self.twelve_hours {
            if !(1..=12).contains(&self.hour) {
                let hour = self.hour;
                let message = format!("hour \"{hour}\" is invalid for the 12-hour clock");
                let hint = "Use the 24-hour clock, or give an hour between 1 and 12.";
                return Err(invalid(message).with_hint(hint));
            }
            match self.afternoon {
                Some(true) if self.hour < 12 => self.hour += 12,
                Some(false) if self.hour == 12 => self.hour = 0,
                _ => {}
            }
        }
        // There is no year 0 before the one that is 1 BC.
        let year = if self.year < 0 {
            self.year + 1
        } else {
            self.year
        };
        let (month, day) = self.month_and_day(year, overflow)?;
        let clock = [(self.hour, 24), (self.minute, 60), (self.second, 60)];
        let is_out = |(value, limit): &(i64, i64)| !(0..*limit).contains(value);
        if clock.iter().any(is_out) || !(0..MICROS_PER_SECOND).contains(&self.micros) {
            return Err(overflow());
        }
        let time = ((self.hour * 60 + self.minute) * 60 + self.second) * MICROS_PER_SECOND;
        let time = time + self.micros;
        if !(0..=15).contains(&self.zone_hours) || !(0..60).contains(&self.zone_minutes) {
            return Err(SqlError::new(
                SqlState::new("22009"),
                format!("time zone displacement out of range: \"{text}\""),
            ));
        }
        let east = (self.zone_sign * (self.zone_hours * 60 + self.zone_minutes) * 60) as i32;
        let precision = self.precision.unwrap_or(-1);
        let civil = Civil {
            year,
            month,
            day,
            time,
        };
        match (dated, timed, zoned) {
            (true, true, false) => {
                let at = civil.to_micros()?;
                Ok(Datetime::Timestamp(round_to_precision(at, precision)))
            }
            (true, true, true) => {
                let local = civil.to_micros()?;
                let utc = local - i64::from(east) * MICROS_PER_SECOND;
                let utc = round_to_precision(utc, precision);
                Ok(Datetime::TimestampTz { utc, east })
            }
            (true, false, true) => Err(invalid("datetime format is zoned but not timed")),
            (true, false, false) => {
                let days = civil.days();
                let days = i32::try_from(days).ok().filter(|_| is_valid_date(days));
                days.map(Datetime::Date).ok_or_else(|| {
                    let message = format!("date out of range: \"{text}\"");
                    SqlError::new(state::DATETIME_FIELD_OVERFLOW, message)
                })
            }
            (false, true, false) => Ok(Datetime::Time(round_time(time, precision))),
            (false, true, true) => {
                let time = round_time(time, precision);
                Ok(Datetime::TimeTz { time, east })
            }
            (false, false, _) => Err(invalid("datetime format is not dated and not timed")),
        }
    }

    fn month_and_day(&self, year: i64, overflow: impl Fn() -> SqlError) -> SqlResult<(u32, u32)> {
        let (mut month, mut day) = (self.month.unwrap_or(1), self.day.unwrap_or(1));
        if let Some(of_year) = self.day_of_year.filter(|_| month <= 1 || day <= 1) {
            if self.year == 0 {
                return Err(invalid(
                    "cannot calculate day of year without year information",
                ));
            }
            let mut left = of_year;
            let mut found = None;
            for month in 1..=12 {
                let length = i64::from(days_in_month(year, month));
                if left <= length {
                    found = Some(i64::from(month));
                    break;
                }
                left -= length;
            }
            let found = found.ok_or_else(&overflow)?;
            if month <= 1 {
                month = found;
            }
            if day <= 1 {
                day = left;
            }
        }
        let is_month = (1..=12).contains(&month);
        if !is_month || day < 1 || day > i64::from(days_in_month(year, month as u32)) {
            return Err(overflow());
        }
        Ok((month as u32, day as u32))
    }
}

/// The year that two or three digits stand for.
fn near_2020(year: i64) -> i64 {
    match year {
        ..70 => year + 2000,
        70..100 => year + 1900,
        100..520 => year + 2000,
        520..1000 => year + 1000,
        _ => year,
    }
}

/// A fraction of so many digits, of `places` in all.
fn scaled(value: i64, digits: usize, places: usize) -> i64 {
    value.saturating_mul(10i64.pow(places.saturating_sub(digits) as u32))
}

/// Reads an integer of a field, and how long it was. Where another field of digits follows, it is just as wide
/// as the field is.
fn integer(
    name: &str,
    width: usize,
    next: Option<&Part>,
    rest: &mut &str,
) -> SqlResult<(i64, usize)> {
    let start = rest.trim_start();
    let head: String = start.chars().take(width).collect();
    let next_has_digits = match next {
        None => false,
        Some(Part::Field(name)) => !matches!(*name, "AM" | "PM" | "A.M." | "P.M." | "TZH"),
        Some(Part::Separator(c) | Part::Quoted(c)) => c.is_ascii_digit(),
    };
    let source = match next_has_digits {
        true => head.as_str(),
        false => start,
    };
    let signed = usize::from(source.starts_with(['+', '-']));
    let digits = source[signed..].bytes();
    let digits = digits.take_while(u8::is_ascii_digit).count();
    let used = if digits == 0 { 0 } else { signed + digits };
    let wrong = |detail: String| {
        invalid(format!("invalid value \"{head}\" for \"{name}\"")).with_detail(detail)
    };
    if next_has_digits {
        let hint = "If your source string is not fixed-width, try using the \"FM\" modifier.";
        if head.len() < width {
            let message = format!("source string too short for \"{name}\" formatting field");
            let remain = head.len();
            let detail = format!("Field requires {width} characters, but only {remain} remain.");
            return Err(invalid(message).with_detail(detail).with_hint(hint));
        }
        if used > 0 && used < width {
            let detail =
                format!("Field requires {width} characters, but only {used} could be parsed.");
            return Err(wrong(detail).with_hint(hint));
        }
    }
    if used == 0 {
        return Err(wrong("Value must be an integer.".to_owned()));
    }
    let value = source[..used].parse::<i32>().map_err(|_| {
        let message = format!("value for \"{name}\" in source string is out of range");
        let detail = "Value must be in the range -2147483648 to 2147483647.";
        SqlError::new(state::DATETIME_FIELD_OVERFLOW, message).with_detail(detail)
    })?;
    *rest = &start[used..];
    Ok((i64::from(value), used))
}
