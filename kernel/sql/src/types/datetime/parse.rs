//! PostgreSQL's date and time input: ISO 8601 and the looser forms of `ParseDateTime`.
//!
//! A text is cut into words; each word is a date, a time, a zone, a month name, a number, an era or
//! a special word (`now`, `today`, `epoch`, `infinity`). Numbers beside a month name are day and
//! year in the order written. What is well-formed but impossible (month 13) is `22008`, what cannot
//! be read is `22007`.

use super::{
    Civil, DATE_INFINITY, DATE_NEG_INFINITY, MICROS_PER_DAY, MICROS_PER_SECOND, TIMESTAMP_INFINITY,
    TIMESTAMP_NEG_INFINITY, civil_from_days, days_from_civil, days_in_month, is_valid_date,
    is_valid_timestamp,
};
use crate::error::{Result, SqlError, state};
use crate::types::format::{DateOrder, Format};
use crate::types::timezone::{TimeZone, parse_offset};

#[derive(Clone, Copy, PartialEq, Debug)]
enum Special {
    Epoch,
    Infinity,
    NegInfinity,
    Now,
}

#[derive(Default, Debug)]
struct Parsed {
    date: Option<(i64, u32, u32)>,
    time: Option<i64>,
    zone: Option<TimeZone>,
    special: Option<Special>,
}

enum Fault {
    Syntax,
    Field,
    /// A month or day out of range: the hint points at DateStyle.
    DateField,
    Displacement,
    Zone(String),
}

fn fault(f: Fault, ty: &str, input: &str) -> SqlError {
    let overflow = |m: String| SqlError::new(state::DATETIME_FIELD_OVERFLOW, m);
    match f {
        Fault::Syntax => SqlError::new(
            state::INVALID_DATETIME_FORMAT,
            format!("invalid input syntax for type {ty}: \"{input}\""),
        ),
        Fault::Field => overflow(format!("date/time field value out of range: \"{input}\"")),
        Fault::DateField => overflow(format!("date/time field value out of range: \"{input}\""))
            .with_hint("Perhaps you need a different \"datestyle\" setting."),
        Fault::Displacement => SqlError::new(
            crate::error::SqlState::new("22009"),
            format!("time zone displacement out of range: \"{input}\""),
        ),
        Fault::Zone(z) => SqlError::new(
            state::INVALID_PARAMETER_VALUE,
            format!("time zone \"{z}\" not recognized"),
        ),
    }
}

/// Days since 1970-01-01, or an infinity.
pub fn parse_date(input: &str, f: &Format) -> Result<i32> {
    if let Some(days) = fast_date(input.as_bytes()) {
        return Ok(days);
    }
    let p = parse(input, f).map_err(|e| fault(e, "date", input))?;
    let days = match p.special {
        Some(Special::Infinity) => return Ok(DATE_INFINITY),
        Some(Special::NegInfinity) => return Ok(DATE_NEG_INFINITY),
        Some(Special::Epoch) => 0,
        Some(Special::Now) => f.time_zone.to_local(f.now).div_euclid(MICROS_PER_DAY),
        None => {
            let (y, m, d) = p.date.ok_or_else(|| fault(Fault::Syntax, "date", input))?;
            days_from_civil(y, m, d)
        }
    };
    if !is_valid_date(days) {
        return Err(SqlError::new(
            state::DATETIME_FIELD_OVERFLOW,
            format!("date out of range: \"{input}\""),
        ));
    }
    Ok(days as i32)
}

/// Microseconds since midnight, 24:00:00 included.
pub fn parse_time(input: &str, f: &Format) -> Result<i64> {
    let ty = "time";
    let p = parse(input, f).map_err(|e| fault(e, ty, input))?;
    match (p.time, p.special) {
        (Some(t), None) => Ok(t),
        (None, Some(Special::Now)) => Ok(f.time_zone.to_local(f.now).rem_euclid(MICROS_PER_DAY)),
        _ => Err(fault(Fault::Syntax, ty, input)),
    }
}

/// Local microseconds since 1970-01-01; a zone in the text is ignored, as PostgreSQL ignores it.
pub fn parse_timestamp(input: &str, f: &Format) -> Result<i64> {
    if let Some(t) = fast_timestamp(input.as_bytes()) {
        return Ok(t);
    }
    let ty = "timestamp";
    let p = parse(input, f).map_err(|e| fault(e, ty, input))?;
    let local = match p.special {
        Some(Special::Infinity) => return Ok(TIMESTAMP_INFINITY),
        Some(Special::NegInfinity) => return Ok(TIMESTAMP_NEG_INFINITY),
        Some(Special::Epoch) => Some(0),
        Some(Special::Now) => Some(f.time_zone.to_local(f.now)),
        None => local_micros(&p).map_err(|e| fault(e, ty, input))?,
    };
    in_range(local, input)
}

/// Microseconds since 1970-01-01 UTC; without a zone the text is in the session's.
pub fn parse_timestamptz(input: &str, f: &Format) -> Result<i64> {
    let ty = "timestamp with time zone";
    if let Some(utc) = input
        .strip_suffix('Z')
        .and_then(|t| fast_timestamp(t.as_bytes()))
    {
        return Ok(utc);
    }
    let p = parse(input, f).map_err(|e| fault(e, ty, input))?;
    let utc = match p.special {
        Some(Special::Infinity) => return Ok(TIMESTAMP_INFINITY),
        Some(Special::NegInfinity) => return Ok(TIMESTAMP_NEG_INFINITY),
        Some(Special::Epoch) => Some(0),
        Some(Special::Now) => Some(f.now),
        None => {
            let zone = p.zone.as_ref().unwrap_or(&f.time_zone);
            local_micros(&p)
                .map_err(|e| fault(e, ty, input))?
                .map(|l| zone.to_utc(l))
        }
    };
    in_range(utc, input)
}

fn in_range(micros: Option<i64>, input: &str) -> Result<i64> {
    micros.filter(|t| is_valid_timestamp(*t)).ok_or_else(|| {
        SqlError::new(
            state::DATETIME_FIELD_OVERFLOW,
            format!("timestamp out of range: \"{input}\""),
        )
    })
}

fn local_micros(p: &Parsed) -> std::result::Result<Option<i64>, Fault> {
    let (year, month, day) = p.date.ok_or(Fault::Syntax)?;
    let c = Civil {
        year,
        month,
        day,
        time: p.time.unwrap_or(0),
    };
    Ok(c.days()
        .checked_mul(MICROS_PER_DAY)
        .and_then(|d| d.checked_add(c.time)))
}

fn two(b: &[u8]) -> Option<u32> {
    match b {
        [a @ b'0'..=b'9', c @ b'0'..=b'9'] => Some(((a - b'0') * 10 + (c - b'0')) as u32),
        _ => None,
    }
}

/// `yyyy-mm-dd`, the form bulk data has. Anything else, even if valid, is `None`.
fn fast_date(b: &[u8]) -> Option<i32> {
    if b.len() != 10 || b[4] != b'-' || b[7] != b'-' {
        return None;
    }
    let year = two(&b[..2])? as i64 * 100 + two(&b[2..4])? as i64;
    let (month, day) = (two(&b[5..7])?, two(&b[8..])?);
    if year == 0 || !(1..=12).contains(&month) || day == 0 || day > days_in_month(year, month) {
        return None;
    }
    Some(days_from_civil(year, month, day) as i32)
}

/// `yyyy-mm-dd hh:mm:ss[.ffffff]` with a blank or a `T`.
fn fast_timestamp(b: &[u8]) -> Option<i64> {
    if b.len() < 19 || (b[10] != b' ' && b[10] != b'T') || b[13] != b':' || b[16] != b':' {
        return None;
    }
    let days = fast_date(&b[..10])?;
    let (h, m, s) = (two(&b[11..13])?, two(&b[14..16])?, two(&b[17..19])?);
    if h > 23 || m > 59 || s > 59 {
        return None;
    }
    let mut micros = 0i64;
    if b.len() > 19 {
        let fraction = &b[20..];
        if b[19] != b'.' || fraction.is_empty() || fraction.len() > 6 {
            return None;
        }
        for d in fraction {
            micros = micros * 10 + d.checked_sub(b'0').filter(|d| *d < 10)? as i64;
        }
        micros *= 10i64.pow(6 - fraction.len() as u32);
    }
    let seconds = h as i64 * 3600 + m as i64 * 60 + s as i64;
    Some(days as i64 * MICROS_PER_DAY + seconds * MICROS_PER_SECOND + micros)
}

/// State while the words of one text are read.
#[derive(Default)]
struct Reader {
    out: Parsed,
    numbers: Vec<String>,
    month_name: Option<u32>,
    bc: bool,
    meridiem: Option<bool>,
    date_is_numeric: bool,
}

fn parse(input: &str, f: &Format) -> std::result::Result<Parsed, Fault> {
    let mut r = Reader::default();
    let cleaned = input.replace(',', " ");
    for word in cleaned.split_ascii_whitespace() {
        r.word(word, f)?;
    }
    r.finish(f)
}

fn month_by_name(word: &str) -> Option<u32> {
    const MONTHS: [&str; 12] = [
        "january",
        "february",
        "march",
        "april",
        "may",
        "june",
        "july",
        "august",
        "september",
        "october",
        "november",
        "december",
    ];
    let w = word.to_ascii_lowercase();
    MONTHS
        .iter()
        .position(|m| {
            *m == w || (w.len() == 3 && m.starts_with(&w)) || (w == "sept" && *m == "september")
        })
        .map(|i| i as u32 + 1)
}

fn is_day_name(word: &str) -> bool {
    const DAYS: [&str; 7] = [
        "sunday",
        "monday",
        "tuesday",
        "wednesday",
        "thursday",
        "friday",
        "saturday",
    ];
    const SHORT: [&str; 13] = [
        "sun", "mon", "tue", "tues", "wed", "weds", "thu", "thur", "thurs", "fri", "sat", "sa",
        "su",
    ];
    let w = word.to_ascii_lowercase();
    DAYS.contains(&w.as_str()) || SHORT.contains(&w.as_str())
}

impl Reader {
    fn word(&mut self, word: &str, f: &Format) -> std::result::Result<(), Fault> {
        let first = word.chars().next().ok_or(Fault::Syntax)?;
        if first.is_ascii_digit() {
            return self.digits(word, f);
        }
        // A date alone may have a zone, too: so pgjdbc writes them.
        let is_dated = self.out.time.is_some() || self.out.date.is_some();
        if matches!(first, '+' | '-') && is_dated {
            return self.zone(word);
        }
        if first == '-' && word.eq_ignore_ascii_case("-infinity") {
            return self.special(Special::NegInfinity);
        }
        if !first.is_ascii_alphabetic() {
            return Err(Fault::Syntax);
        }
        self.name(word, f)
    }

    fn special(&mut self, s: Special) -> std::result::Result<(), Fault> {
        if self.out.special.is_some() || self.out.date.is_some() {
            return Err(Fault::Syntax);
        }
        self.out.special = Some(s);
        Ok(())
    }

    fn name(&mut self, word: &str, f: &Format) -> std::result::Result<(), Fault> {
        let lower = word.to_ascii_lowercase();
        let today = f.time_zone.to_local(f.now).div_euclid(MICROS_PER_DAY);
        let mut day = |days: i64| {
            if self.out.date.replace(civil_from_days(days)).is_some() {
                return Err(Fault::Syntax);
            }
            Ok(())
        };
        match lower.as_str() {
            "now" => return self.special(Special::Now),
            "epoch" => return self.special(Special::Epoch),
            "infinity" | "inf" => return self.special(Special::Infinity),
            "-infinity" | "-inf" => return self.special(Special::NegInfinity),
            "today" => return day(today),
            "tomorrow" => return day(today + 1),
            "yesterday" => return day(today - 1),
            "allballs" => {
                self.out.time = Some(0);
                self.out.zone = Some(TimeZone::utc());
                return Ok(());
            }
            "am" | "a.m." => return self.set_meridiem(false),
            "pm" | "p.m." => return self.set_meridiem(true),
            "bc" | "b.c." => {
                self.bc = true;
                return Ok(());
            }
            "ad" | "a.d." => return Ok(()),
            "at" | "on" => return Ok(()),
            "t" => return Ok(()),
            _ => {}
        }
        if let Some(m) = month_by_name(&lower) {
            if self.month_name.replace(m).is_some() {
                return Err(Fault::Syntax);
            }
            return Ok(());
        }
        if is_day_name(&lower) {
            return Ok(());
        }
        // Jan-08-1999
        if let Some((head, _)) = word.split_once('-')
            && month_by_name(head).is_some()
        {
            return self.date(word, f);
        }
        self.zone(word)
    }

    fn set_meridiem(&mut self, pm: bool) -> std::result::Result<(), Fault> {
        if self.meridiem.replace(pm).is_some() {
            return Err(Fault::Syntax);
        }
        Ok(())
    }

    /// A word that starts with a digit: a time, a date, a date and time joined by `T`, or a number.
    fn digits(&mut self, word: &str, f: &Format) -> std::result::Result<(), Fault> {
        if let Some(at) = word.find(['T', 't'])
            && word.as_bytes().get(at + 1).is_some_and(u8::is_ascii_digit)
            && word[..at]
                .bytes()
                .all(|b| b.is_ascii_digit() || matches!(b, b'-' | b'/' | b'.'))
        {
            self.digits(&word[..at], f)?;
            return self.time_and_zone(&word[at + 1..]);
        }
        if word.contains(':') {
            // 2001-02-03:04:05:06
            if let (Some(dash), Some(colon)) = (word.find('-'), word.find(':'))
                && dash < colon
                && word[..colon].matches('-').count() == 2
            {
                self.date(&word[..colon], f)?;
                return self.time_and_zone(&word[colon + 1..]);
            }
            return self.time_and_zone(word);
        }
        let digits = word.bytes().take_while(u8::is_ascii_digit).count();
        if digits == word.len() {
            return self.number(word);
        }
        let tail = &word[digits..];
        match tail.to_ascii_lowercase().as_str() {
            "am" | "pm" => {
                let hour: i64 = word[..digits].parse().map_err(|_| Fault::Field)?;
                if hour > 12 {
                    return Err(Fault::Field);
                }
                self.out.time = Some(hour * 3600 * MICROS_PER_SECOND);
                return self.set_meridiem(tail.eq_ignore_ascii_case("pm"));
            }
            _ => {}
        }
        // A joined date followed by its zone or a time: 19990108T040506-08 came through above.
        if matches!(tail.as_bytes()[0], b'-' | b'/' | b'.') {
            return self.date(word, f);
        }
        // 08Jan1999
        if tail.as_bytes()[0].is_ascii_alphabetic() {
            let letters = tail.bytes().take_while(u8::is_ascii_alphabetic).count();
            if let Some(m) = month_by_name(&tail[..letters]) {
                self.number(&word[..digits])?;
                if self.month_name.replace(m).is_some() {
                    return Err(Fault::Syntax);
                }
                return if letters < tail.len() {
                    self.number(&tail[letters..])
                } else {
                    Ok(())
                };
            }
            if self.out.time.is_none() && digits == 6 {
                self.number(&word[..digits])?;
                return self.zone(tail);
            }
        }
        Err(Fault::Syntax)
    }

    fn number(&mut self, word: &str) -> std::result::Result<(), Fault> {
        if !word.bytes().all(|b| b.is_ascii_digit()) {
            return Err(Fault::Syntax);
        }
        let complete = self.out.date.is_some();
        match word.len() {
            8 if !complete && self.month_name.is_none() => {
                let n = |s: &str| s.parse::<u32>().map_err(|_| Fault::Field);
                let date = (n(&word[..4])? as i64, n(&word[4..6])?, n(&word[6..])?);
                self.out.date = Some(check_date(date, Fault::Field)?);
                Ok(())
            }
            6 if !complete && self.month_name.is_none() && self.numbers.is_empty() => {
                let n = |s: &str| s.parse::<u32>().map_err(|_| Fault::Field);
                let year = two_digit_year(n(&word[..2])? as i64);
                let date = (year, n(&word[2..4])?, n(&word[4..])?);
                self.out.date = Some(check_date(date, Fault::Field)?);
                Ok(())
            }
            4 | 6 if complete && self.out.time.is_none() => {
                let n = |s: &str| s.parse::<i64>().map_err(|_| Fault::Field);
                let seconds = if word.len() == 6 { n(&word[4..])? } else { 0 };
                self.out.time = Some(check_time(n(&word[..2])?, n(&word[2..4])?, seconds, 0)?);
                Ok(())
            }
            1..=6 if self.numbers.len() < 3 => {
                self.numbers.push(word.to_string());
                Ok(())
            }
            _ => Err(Fault::Syntax),
        }
    }

    /// Three parts between `-`, `/` or `.`; one may be a month name.
    fn date(&mut self, word: &str, f: &Format) -> std::result::Result<(), Fault> {
        if self.out.date.is_some() {
            return Err(Fault::Syntax);
        }
        let parts: Vec<&str> = word.split(['-', '/', '.']).collect();
        let [a, b, c] = parts.as_slice() else {
            // 1999.123 is a year and a day of it.
            if let [y, d] = parts.as_slice()
                && d.len() == 3
                && y.len() == 4
            {
                let n = |s: &str| s.parse::<i64>().map_err(|_| Fault::Syntax);
                let days = days_from_civil(n(y)?, 1, 1) + n(d)? - 1;
                self.out.date = Some(civil_from_days(days));
                return Ok(());
            }
            return Err(Fault::Syntax);
        };
        let n = |s: &str| -> std::result::Result<i64, Fault> {
            if s.is_empty() || s.len() > 7 || !s.bytes().all(|b| b.is_ascii_digit()) {
                return Err(Fault::Syntax);
            }
            s.parse().map_err(|_| Fault::Syntax)
        };
        let (year_text, month, day) = if let Some(m) = month_by_name(b) {
            if a.len() > 2 {
                (*a, m as i64, n(c)?)
            } else {
                (*c, m as i64, n(a)?)
            }
        } else if let Some(m) = month_by_name(a) {
            (*c, m as i64, n(b)?)
        } else if let Some(m) = month_by_name(c) {
            (*a, m as i64, n(b)?)
        } else if a.len() > 2 {
            (*a, n(b)?, n(c)?)
        } else {
            self.date_is_numeric = true;
            match f.date_order {
                DateOrder::Mdy => (*c, n(a)?, n(b)?),
                DateOrder::Dmy => (*c, n(b)?, n(a)?),
                DateOrder::Ymd => (*a, n(b)?, n(c)?),
            }
        };
        let mut year = n(year_text)?;
        if year_text.len() <= 2 {
            year = two_digit_year(year);
        }
        self.out.date = Some(check_date(
            (year, month as u32, day as u32),
            Fault::DateField,
        )?);
        Ok(())
    }

    fn time_and_zone(&mut self, word: &str) -> std::result::Result<(), Fault> {
        if self.out.time.is_some() {
            return Err(Fault::Syntax);
        }
        let end = word.find(|c: char| !(c.is_ascii_digit() || matches!(c, ':' | '.')));
        let (clock, rest) = word.split_at(end.unwrap_or(word.len()));
        let n = |s: &str| -> std::result::Result<i64, Fault> {
            if s.is_empty() || !s.bytes().all(|b| b.is_ascii_digit()) {
                return Err(Fault::Syntax);
            }
            s.parse().map_err(|_| Fault::Field)
        };
        let parts: Vec<&str> = clock.split(':').collect();
        let time = match parts.as_slice() {
            // hhmmss[.f] after a T
            [compact] if matches!(compact.split('.').next().map(str::len), Some(2 | 4 | 6)) => {
                let (digits, fraction) = compact.split_once('.').unwrap_or((compact, ""));
                let at = |i: usize| digits.get(i..i + 2).map_or(Ok(0), n);
                check_time(at(0)?, at(2)?, at(4)?, micros_of(fraction)?)?
            }
            [h, m] => check_time(n(h)?, n(m)?, 0, 0)?,
            [h, m, s] => {
                let (s, fraction) = s.split_once('.').unwrap_or((s, ""));
                check_time(n(h)?, n(m)?, n(s)?, micros_of(fraction)?)?
            }
            _ => return Err(Fault::Syntax),
        };
        self.out.time = Some(time);
        match rest.to_ascii_lowercase().as_str() {
            "" => Ok(()),
            "am" => self.set_meridiem(false),
            "pm" => self.set_meridiem(true),
            _ => self.zone(rest),
        }
    }

    fn zone(&mut self, word: &str) -> std::result::Result<(), Fault> {
        if self.out.zone.is_some() {
            return Err(Fault::Syntax);
        }
        let zone = if word.starts_with(['+', '-']) {
            let digits = word[1..].bytes().all(|b| b.is_ascii_digit() || b == b':');
            match parse_offset(word) {
                Some(east) => TimeZone::fixed(east),
                None if digits => return Err(Fault::Displacement),
                None => return Err(Fault::Syntax),
            }
        } else {
            match TimeZone::lookup_in_literal(word) {
                Some(z) => z,
                None if word.contains('/') => return Err(Fault::Zone(word.to_lowercase())),
                None => return Err(Fault::Syntax),
            }
        };
        self.out.zone = Some(zone);
        Ok(())
    }

    fn finish(mut self, f: &Format) -> std::result::Result<Parsed, Fault> {
        if let Some(month) = self.month_name {
            let number = |s: &String| s.parse::<i64>().map_err(|_| Fault::Syntax);
            let (day, year_text) = match self.numbers.as_slice() {
                [a, b] if a.len() > 2 => (number(b)?, a),
                [a, b] => (number(a)?, b),
                _ => return Err(Fault::Syntax),
            };
            let mut year = number(year_text)?;
            if year_text.len() <= 2 {
                year = two_digit_year(year);
            }
            if self.out.date.is_some() {
                return Err(Fault::Syntax);
            }
            self.out.date = Some(check_date((year, month, day as u32), Fault::Field)?);
        } else if !self.numbers.is_empty() {
            let _ = f;
            return Err(Fault::Syntax);
        }
        if self.bc {
            let (y, m, d) = self.out.date.ok_or(Fault::Syntax)?;
            if y <= 0 {
                return Err(Fault::Field);
            }
            // 29 February is judged in the year meant.
            let year = 1 - y;
            if d > days_in_month(year, m) {
                return Err(Fault::Field);
            }
            self.out.date = Some((year, m, d));
        } else if let Some((0, _, _)) = self.out.date {
            return Err(Fault::Field);
        }
        if let Some(pm) = self.meridiem {
            let t = self.out.time.ok_or(Fault::Syntax)?;
            let hour = t / (3600 * MICROS_PER_SECOND);
            if hour > 12 {
                return Err(Fault::Field);
            }
            let twelve = 12 * 3600 * MICROS_PER_SECOND;
            self.out.time = Some(match (pm, hour) {
                (false, 12) => t - twelve,
                (true, h) if h < 12 => t + twelve,
                _ => t,
            });
        }
        if self.out.special.is_some() && self.out.time.is_some() {
            return Err(Fault::Syntax);
        }
        if self.out.special.is_none() && self.out.date.is_none() && self.out.time.is_none() {
            return Err(Fault::Syntax);
        }
        Ok(self.out)
    }
}

/// 70–99 are 19xx, 00–69 are 20xx.
fn two_digit_year(year: i64) -> i64 {
    if year < 70 { year + 2000 } else { year + 1900 }
}

fn check_date(
    (year, month, day): (i64, u32, u32),
    f: Fault,
) -> std::result::Result<(i64, u32, u32), Fault> {
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return Err(f);
    }
    if day > days_in_month(year, month) {
        return Err(Fault::Field);
    }
    Ok((year, month, day))
}

fn check_time(h: i64, m: i64, s: i64, micros: i64) -> std::result::Result<i64, Fault> {
    let total = ((h * 60 + m) * 60 + s) * MICROS_PER_SECOND + micros;
    if h > 24 || m > 59 || s > 60 || total > MICROS_PER_DAY {
        return Err(Fault::Field);
    }
    Ok(total)
}

/// Fraction digits in microseconds, rounded to the nearest.
fn micros_of(fraction: &str) -> std::result::Result<i64, Fault> {
    if fraction.is_empty() {
        return Ok(0);
    }
    if !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return Err(Fault::Syntax);
    }
    let v: f64 = format!("0.{fraction}").parse().map_err(|_| Fault::Syntax)?;
    Ok((v * 1e6).round_ties_even() as i64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::datetime::{write_date, write_timestamp, write_timestamptz};

    fn ts(s: &str) -> String {
        let mut out = String::new();
        write_timestamp(parse_timestamp(s, &Format::default()).unwrap(), &mut out);
        out
    }

    #[test]
    fn timestamps_in_many_spellings() {
        for (input, shown) in [
            ("2001-02-03 04:05:06", "2001-02-03 04:05:06"),
            ("2001-02-03T04:05:06.789", "2001-02-03 04:05:06.789"),
            ("20010203 040506", "2001-02-03 04:05:06"),
            ("20010203T040506", "2001-02-03 04:05:06"),
            ("Feb 3, 2001 4:05 PM", "2001-02-03 16:05:00"),
            ("3 February 2001", "2001-02-03 00:00:00"),
            ("03-Feb-2001", "2001-02-03 00:00:00"),
            ("2/3/2001", "2001-02-03 00:00:00"),
            ("Sat Feb 03 04:05:06 2001 PST", "2001-02-03 04:05:06"),
            ("0044-03-15 BC", "0044-03-15 00:00:00 BC"),
            ("infinity", "infinity"),
            ("epoch", "1970-01-01 00:00:00"),
            ("2001-02-03 24:00:00", "2001-02-04 00:00:00"),
            ("294246-12-31 23:59:59", "294246-12-31 23:59:59"),
        ] {
            assert_eq!(ts(input), shown, "{input}");
        }
    }

    #[test]
    fn zones_move_the_instant() {
        let mut f = Format {
            time_zone: TimeZone::parse("America/New_York").unwrap(),
            ..Format::default()
        };
        let show = |s: &str, f: &Format| {
            let mut out = String::new();
            write_timestamptz(parse_timestamptz(s, f).unwrap(), &f.time_zone, &mut out);
            out
        };
        assert_eq!(show("2013-01-01 05:00:00Z", &f), "2013-01-01 00:00:00-05");
        assert_eq!(show("2013-07-01 05:00:00+02", &f), "2013-06-30 23:00:00-04");
        assert_eq!(show("2013-03-10 02:30:00", &f), "2013-03-10 03:30:00-04");
        assert_eq!(show("2013-11-03 01:30:00", &f), "2013-11-03 01:30:00-05");
        f.time_zone = TimeZone::parse("Asia/Kolkata").unwrap();
        assert_eq!(
            show("2013-01-01 00:00:00 America/New_York", &f),
            "2013-01-01 10:30:00+05:30"
        );
    }

    #[test]
    fn impossible_is_22008_and_unreadable_22007() {
        let f = Format::default();
        let code = |s: &str| parse_date(s, &f).unwrap_err().code;
        assert_eq!(code("2001-13-01"), state::DATETIME_FIELD_OVERFLOW);
        assert_eq!(code("2001-02-30"), state::DATETIME_FIELD_OVERFLOW);
        assert_eq!(code("hello"), state::INVALID_DATETIME_FORMAT);
        assert_eq!(code(""), state::INVALID_DATETIME_FORMAT);
        let mut out = String::new();
        write_date(parse_date("4714-11-24 BC", &f).unwrap(), &mut out);
        assert_eq!(out, "4714-11-24 BC");
        assert!(parse_date("4714-11-23 BC", &f).is_err());
    }
}
