//! `to_char`, `to_date` and `to_timestamp` by template, for the patterns in common use.
//!
//! Date templates: `YYYY YYY YY Y MM DD DDD D ID HH24 HH12 HH MI SS MS US AM PM Month Mon Day Dy Q WW
//! IW IYYY J TZ OF` with `FM` and quoted text. Number templates: `9 0 . , D G S MI PR FM` and text.
//! Anything else in a template is refused by name.

use arrow::array::{Array, ArrayRef};
use datafusion::logical_expr::ColumnarValue;

use super::Registry;
use super::datetime::iso_week;
use crate::error::{Result, SqlError, state};
use crate::semantics::kernel::*;
use crate::semantics::overload::{Call, Overload};
use crate::types::PgType;
use crate::types::datetime::{
    Civil, MICROS_PER_SECOND, days_from_civil, days_in_month, is_finite_timestamp, write_offset,
};
use crate::types::interval::Interval as IntervalValue;
use crate::types::numeric::Numeric as N;
use crate::types::timezone::TimeZone;

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAYS: [&str; 7] = [
    "Sunday",
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
];

/// Longest first, so that the first match is the right one. The case of a word sets its output's.
const DATE_PATTERNS: &[&str] = &[
    "HH24", "HH12", "IYYY", "YYYY", "Y,YYY", "MONTH", "Month", "month", "SSSS", "DAY", "Day",
    "day", "DDD", "YYY", "MON", "Mon", "mon", "A.M.", "P.M.", "a.m.", "p.m.", "YY", "MM", "DD",
    "DY", "Dy", "dy", "HH", "MI", "SS", "MS", "US", "AM", "PM", "am", "pm", "ID", "IW", "WW", "TZ",
    "tz", "OF", "TH", "th", "Q", "D", "J", "W", "Y",
];

#[derive(Debug, PartialEq)]
enum Item {
    Pattern {
        name: &'static str,
        fill: bool,
        ordinal: Option<bool>,
    },
    Text(String),
}

fn date_items(template: &str) -> Vec<Item> {
    let mut items: Vec<Item> = Vec::new();
    let mut rest = template;
    let mut fill = true;
    'next: while !rest.is_empty() {
        if let Some(r) = rest.strip_prefix("FM").or_else(|| rest.strip_prefix("fm")) {
            fill = false;
            rest = r;
            continue;
        }
        if let Some(r) = rest.strip_prefix('"') {
            let end = r.find('"').unwrap_or(r.len());
            items.push(Item::Text(r[..end].to_string()));
            rest = r.get(end + 1..).unwrap_or("");
            continue;
        }
        for p in DATE_PATTERNS {
            let upper_only = !p.chars().any(|c| c.is_ascii_lowercase())
                && !matches!(
                    *p,
                    "MONTH" | "MON" | "DAY" | "DY" | "AM" | "PM" | "A.M." | "P.M." | "TZ" | "TH"
                );
            let hit = match rest.get(..p.len()) {
                Some(head) if upper_only => head.eq_ignore_ascii_case(p),
                Some(head) => head == *p,
                None => false,
            };
            if !hit {
                continue;
            }
            rest = &rest[p.len()..];
            if matches!(*p, "TH" | "th") {
                if let Some(Item::Pattern { ordinal, .. }) = items.last_mut() {
                    *ordinal = Some(*p == "TH");
                    continue 'next;
                }
                items.push(Item::Text(p.to_string()));
                continue 'next;
            }
            items.push(Item::Pattern {
                name: p,
                fill,
                ordinal: None,
            });
            fill = true;
            continue 'next;
        }
        let c = rest.chars().next().unwrap_or(' ');
        match items.last_mut() {
            Some(Item::Text(t)) => t.push(c),
            _ => items.push(Item::Text(c.to_string())),
        }
        rest = &rest[c.len_utf8()..];
    }
    items
}

fn cased(word: &str, pattern: &str) -> String {
    if pattern.chars().all(|c| c.is_ascii_uppercase()) {
        word.to_uppercase()
    } else if pattern.chars().all(|c| c.is_ascii_lowercase()) {
        word.to_lowercase()
    } else {
        word.to_string()
    }
}

/// A zone at an instant, for the patterns that name it.
#[derive(Clone, Copy)]
struct Zoned<'a> {
    zone: &'a TimeZone,
    at: i64,
    east: i32,
}

/// A number at least `width` wide, filled with zeros.
fn push_number(out: &mut String, v: i64, width: usize) {
    use std::fmt::Write as _;
    match (v, width) {
        (0..=99, 2) => {
            // Both are digits.
            out.push(char::from(b'0' + (v / 10) as u8));
            out.push(char::from(b'0' + (v % 10) as u8));
        }
        _ => {
            let _ = write!(out, "{v:0width$}");
        }
    }
}

fn date_to_char(c: Civil, items: &[Item], zone: Option<Zoned<'_>>) -> Result<String> {
    let days = c.days();
    let year = if c.year > 0 { c.year } else { 1 - c.year };
    let seconds = c.time / MICROS_PER_SECOND;
    let hour = seconds / 3600;
    let mut out = String::with_capacity(items.len() * 4);
    for item in items {
        let (name, fill, ordinal) = match item {
            Item::Text(t) => {
                out.push_str(t);
                continue;
            }
            Item::Pattern {
                name,
                fill,
                ordinal,
            } => (*name, *fill, *ordinal),
        };
        let start = out.len();
        let mut number = |v: i64, width: usize| {
            push_number(&mut out, v, if fill { width } else { 1 });
        };
        let word = |w: String, width: usize| if fill { format!("{w:<width$}") } else { w };
        let dow = (days + 4).rem_euclid(7);
        match name {
            "YYYY" => number(year, 4),
            "Y,YYY" => out.push_str(&format!("{},{:03}", year / 1000, year % 1000)),
            "YYY" => number(year % 1000, 3),
            "YY" => number(year % 100, 2),
            "Y" => number(year % 10, 1),
            "IYYY" => number(iso_week(days).0, 4),
            "IW" => number(iso_week(days).1, 2),
            "WW" => number((days - days_from_civil(c.year, 1, 1)) / 7 + 1, 2),
            "W" => number((c.day as i64 - 1) / 7 + 1, 1),
            "Q" => number((c.month as i64 - 1) / 3 + 1, 1),
            "MM" => number(c.month as i64, 2),
            "DD" => number(c.day as i64, 2),
            "DDD" => number(days - days_from_civil(c.year, 1, 1) + 1, 3),
            "D" => number(dow + 1, 1),
            "ID" => number((days + 3).rem_euclid(7) + 1, 1),
            "J" => number(days + 2_440_588, 1),
            "HH24" => number(hour, 2),
            "HH" | "HH12" => number(if hour % 12 == 0 { 12 } else { hour % 12 }, 2),
            "MI" => number(seconds / 60 % 60, 2),
            "SS" => number(seconds % 60, 2),
            "SSSS" => number(seconds, 1),
            "MS" => number(c.time % MICROS_PER_SECOND / 1000, 3),
            "US" => number(c.time % MICROS_PER_SECOND, 6),
            "AM" | "PM" => out.push_str(if hour < 12 { "AM" } else { "PM" }),
            "am" | "pm" => out.push_str(if hour < 12 { "am" } else { "pm" }),
            "A.M." | "P.M." => out.push_str(if hour < 12 { "A.M." } else { "P.M." }),
            "a.m." | "p.m." => out.push_str(if hour < 12 { "a.m." } else { "p.m." }),
            "MONTH" | "Month" | "month" => {
                out.push_str(&word(cased(MONTHS[c.month as usize - 1], name), 9));
            }
            "MON" | "Mon" | "mon" => out.push_str(&cased(&MONTHS[c.month as usize - 1][..3], name)),
            "DAY" | "Day" | "day" => out.push_str(&word(cased(DAYS[dow as usize], name), 9)),
            "DY" | "Dy" | "dy" => out.push_str(&cased(&DAYS[dow as usize][..3], name)),
            "TZ" | "tz" => {
                let abbreviation = zone.map(|z| z.zone.offset_at(z.at).abbreviation);
                let abbreviation = abbreviation.unwrap_or_default();
                out.push_str(&if name == "TZ" {
                    abbreviation.to_uppercase()
                } else {
                    abbreviation.to_lowercase()
                });
            }
            "OF" => write_offset(zone.map_or(0, |z| z.east), &mut out),
            other => {
                return Err(SqlError::unsupported(format!(
                    "to_char pattern \"{other}\""
                )));
            }
        }
        if let Some(upper) = ordinal {
            let digits = out[start..].trim_start_matches('0');
            let suffix = match (digits.as_bytes(), digits.len()) {
                ([.., b'1', _], n) if n > 1 => "th",
                ([.., b'1'], _) => "st",
                ([.., b'2'], _) => "nd",
                ([.., b'3'], _) => "rd",
                _ => "th",
            };
            out.push_str(&if upper {
                suffix.to_uppercase()
            } else {
                suffix.to_string()
            });
        }
    }
    Ok(out)
}

/// A number by template; what does not fit is `#`.
fn number_to_char(n: &N, template: &str) -> Result<String> {
    let mut fill = true;
    let mut body = template;
    if let Some(rest) = body.strip_prefix("FM").or_else(|| body.strip_prefix("fm")) {
        fill = false;
        body = rest;
    }
    let upper = body.to_uppercase();
    for unsupported in ["EEEE", "RN", "TH", "V", "PL", "SG", "L"] {
        if upper.contains(unsupported) {
            return Err(SqlError::unsupported(format!(
                "to_char pattern \"{unsupported}\""
            )));
        }
    }
    let (mut sign_first, mut sign_last, mut minus_last, mut brackets) =
        (false, false, false, false);
    let mut core = body;
    if upper.starts_with('S') {
        (sign_first, core) = (true, &core[1..]);
    } else if upper.ends_with("MI") {
        (minus_last, core) = (true, &core[..core.len() - 2]);
    } else if upper.ends_with("PR") {
        (brackets, core) = (true, &core[..core.len() - 2]);
    } else if upper.ends_with('S') {
        (sign_last, core) = (true, &core[..core.len() - 1]);
    }
    let split = core.find(['.', 'D', 'd']);
    let (whole, fraction) = match split {
        Some(i) => (&core[..i], Some(&core[i + 1..])),
        None => (core, None),
    };
    let is_digit = |c: char| c == '9' || c == '0';
    let scale = fraction.map_or(0, |f| f.chars().filter(|c| is_digit(*c)).count());
    let rounded = n.round(scale as i32)?;
    let negative = rounded.is_negative();
    let text = rounded.abs().to_string();
    let (digits, decimals) = text.split_once('.').unwrap_or((&text, ""));
    let digits = if digits == "0" { "" } else { digits };
    let places = whole.chars().filter(|c| is_digit(*c)).count();
    let overflow = digits.len() > places || !matches!(n, N::Finite(_));
    let first_zero = whole
        .chars()
        .filter(|c| is_digit(*c))
        .position(|c| c == '0')
        .unwrap_or(places);
    let mut out = String::new();
    let mut at = 0;
    let mut started = false;
    for c in whole.chars() {
        if is_digit(c) {
            let from_right = places - at;
            let digit = if overflow {
                Some('#')
            } else if from_right <= digits.len() {
                digits.chars().nth(digits.len() - from_right)
            } else if at >= first_zero {
                Some('0')
            } else {
                None
            };
            // A lone zero before the point shows when there is no fraction to show.
            let digit = match digit {
                None if at + 1 == places && digits.is_empty() && fraction.is_none() => Some('0'),
                None if at + 1 == places && digits.is_empty() && !fill && scale == 0 => Some('0'),
                d => d,
            };
            match digit {
                Some(d) => {
                    started = true;
                    out.push(d);
                }
                None if fill => out.push(' '),
                None => {}
            }
            at += 1;
        } else if matches!(c, ',' | 'G' | 'g') {
            if started {
                out.push(',');
            } else if fill {
                out.push(' ');
            }
        } else {
            out.push(c);
        }
    }
    if let Some(f) = fraction {
        let mut shown = String::new();
        let mut i = 0;
        let last_zero = f
            .chars()
            .filter(|c| is_digit(*c))
            .collect::<Vec<_>>()
            .iter()
            .rposition(|c| *c == '0');
        for c in f.chars() {
            if is_digit(c) {
                shown.push(if overflow {
                    '#'
                } else {
                    decimals.chars().nth(i).unwrap_or('0')
                });
                i += 1;
            } else {
                shown.push(c);
            }
        }
        if !fill {
            let keep = last_zero.map_or(0, |i| i + 1);
            while shown.len() > keep && shown.ends_with('0') {
                shown.pop();
            }
        }
        out.push('.');
        out.push_str(&shown);
    }
    let padding = out.len() - out.trim_start_matches(' ').len();
    let (blank, shown) = out.split_at(padding);
    let sign = if negative {
        "-"
    } else if sign_first || sign_last {
        "+"
    } else {
        " "
    };
    Ok(if brackets {
        if negative {
            format!("{blank}<{shown}>")
        } else if fill {
            format!("{blank} {shown} ")
        } else {
            shown.to_string()
        }
    } else if sign_last || minus_last {
        let sign = if sign == " " && !fill { "" } else { sign };
        format!("{blank}{shown}{sign}")
    } else {
        let sign = if sign == " " && !fill { "" } else { sign };
        format!("{blank}{sign}{shown}")
    })
}

/// Reads a date and time by template.
fn from_char(text: &str, items: &[Item]) -> Result<Civil> {
    let bad = |what: &str, value: &str| {
        SqlError::new(
            state::INVALID_DATETIME_FORMAT,
            format!("invalid value \"{value}\" for \"{what}\""),
        )
    };
    let mut c = Civil {
        year: 1,
        month: 1,
        day: 1,
        time: 0,
    };
    let (mut hour, mut minute, mut second, mut micros) = (0i64, 0i64, 0i64, 0i64);
    let mut pm = None;
    let mut day_of_year = None;
    let mut rest = text.trim_start();
    for (index, item) in items.iter().enumerate() {
        let (name, fill) = match item {
            Item::Text(t) => {
                for expected in t.chars() {
                    // A separator matches any separator, blanks are skipped.
                    if expected.is_alphanumeric()
                        || rest.starts_with(|c: char| !c.is_alphanumeric() && c != '-' && c != '+')
                        || rest.starts_with(expected)
                        || (!expected.is_whitespace() && rest.starts_with(['-', '+']))
                    {
                        let mut chars = rest.chars();
                        chars.next();
                        rest = chars.as_str();
                    }
                }
                rest = rest.trim_start();
                continue;
            }
            Item::Pattern { name, fill, .. } => (*name, *fill),
        };
        rest = rest.trim_start();
        let next_is_pattern = matches!(items.get(index + 1), Some(Item::Pattern { .. }));
        let mut number = |width: usize| -> Result<i64> {
            let limit = if fill && next_is_pattern || name != "YYYY" {
                width
            } else {
                9
            };
            let digits: String = rest
                .chars()
                .take_while(char::is_ascii_digit)
                .take(limit)
                .collect();
            rest = &rest[digits.len()..];
            digits
                .parse()
                .map_err(|_| bad(name, &rest.chars().take(width).collect::<String>()))
        };
        match name {
            "YYYY" | "IYYY" => c.year = number(4)?,
            "YYY" => c.year = 2000 + number(3)?,
            "YY" => {
                let y = number(2)?;
                c.year = if y < 70 { 2000 + y } else { 1900 + y };
            }
            "Y" => c.year = 2020 + number(1)?,
            "MM" => c.month = number(2)? as u32,
            "DD" => c.day = number(2)? as u32,
            "DDD" => day_of_year = Some(number(3)?),
            "HH24" | "HH12" | "HH" => hour = number(2)?,
            "MI" => minute = number(2)?,
            "SS" => second = number(2)?,
            "MS" | "US" => {
                let width = if name == "MS" { 3 } else { 6 };
                let digits: String = rest
                    .chars()
                    .take_while(char::is_ascii_digit)
                    .take(width)
                    .collect();
                rest = &rest[digits.len()..];
                let v: i64 = digits.parse().map_err(|_| bad(name, rest))?;
                micros = v * 10i64.pow(6 - digits.len() as u32);
            }
            "AM" | "PM" | "am" | "pm" | "A.M." | "P.M." | "a.m." | "p.m." => {
                let head: String = rest
                    .chars()
                    .take(name.len())
                    .collect::<String>()
                    .to_lowercase();
                pm = Some(head.starts_with('p'));
                rest = rest.get(name.len()..).unwrap_or("");
            }
            "MONTH" | "Month" | "month" | "MON" | "Mon" | "mon" => {
                let word: String = rest.chars().take_while(char::is_ascii_alphabetic).collect();
                let full = name.len() > 3;
                let found = MONTHS.iter().position(|m| {
                    if full {
                        word.eq_ignore_ascii_case(m)
                    } else {
                        word.len() >= 3 && word[..3].eq_ignore_ascii_case(&m[..3])
                    }
                });
                c.month = found.ok_or_else(|| bad(name, &word))? as u32 + 1;
                rest = &rest[if full { word.len() } else { 3 }..];
            }
            "DAY" | "Day" | "day" | "DY" | "Dy" | "dy" => {
                let word: String = rest.chars().take_while(char::is_ascii_alphabetic).collect();
                rest = &rest[word.len()..];
            }
            other => {
                return Err(SqlError::unsupported(format!(
                    "to_timestamp pattern \"{other}\""
                )));
            }
        }
    }
    let out = || {
        SqlError::new(
            state::DATETIME_FIELD_OVERFLOW,
            format!("date/time field value out of range: \"{text}\""),
        )
    };
    if let Some(pm) = pm {
        if !(1..=12).contains(&hour) {
            return Err(SqlError::new(
                state::INVALID_DATETIME_FORMAT,
                format!("hour \"{hour}\" is invalid for the 12-hour clock"),
            ));
        }
        hour = hour % 12 + if pm { 12 } else { 0 };
    }
    if !(1..=12).contains(&c.month) || c.day < 1 || c.day > days_in_month(c.year, c.month) {
        return Err(out());
    }
    if hour > 23 || minute > 59 || second > 59 {
        return Err(out());
    }
    if let Some(doy) = day_of_year {
        let (_, month, day) =
            crate::types::datetime::civil_from_days(days_from_civil(c.year, 1, 1) + doy - 1);
        (c.month, c.day) = (month, day);
    }
    c.time = ((hour * 60 + minute) * 60 + second) * MICROS_PER_SECOND + micros;
    Ok(c)
}

fn interval_civil(v: IntervalValue) -> Civil {
    Civil {
        year: (v.months / 12) as i64,
        month: (v.months % 12).max(1) as u32,
        day: v.days.max(0) as u32,
        time: v.micros,
    }
}

fn zoned(at: i64, zone: &TimeZone, items: &[Item]) -> Result<Option<String>> {
    if !is_finite_timestamp(at) {
        return Ok(None);
    }
    let east = zone.east_at(at);
    let local = at.saturating_add(i64::from(east) * MICROS_PER_SECOND);
    date_to_char(
        Civil::from_micros(local),
        items,
        Some(Zoned { zone, at, east }),
    )
    .map(Some)
}

/// What a date template does with one value.
type Templated<A, R> =
    for<'a> fn(&Call<'_>, <A as Arg>::Item<'a>, &[Item]) -> Result<Option<<R as Ret>::Value>>;

/// A strict function of a value and a date template, which is parsed only when it changes from one
/// row to the next.
fn templated<A: Arg + 'static, R: Ret + 'static>(f: Templated<A, R>) -> Overload {
    let kernel = move |args: &[ColumnarValue], call: &Call<'_>| -> Result<ArrayRef> {
        let (values, value_step) = expand(&args[0])?;
        let (templates, template_step) = expand(&args[1])?;
        let value_column = A::column(&*values)?;
        let template_column = Text::column(&*templates)?;
        let mut parsed: Option<(&str, Vec<Item>)> = None;
        let mut out = R::builder(call.rows);
        for row in 0..call.rows {
            let (value_row, template_row) = (row * value_step, row * template_step);
            if values.is_null(value_row) || templates.is_null(template_row) {
                R::append(&mut out, None)?;
                continue;
            }
            let template = Text::get(&template_column, template_row)?;
            let (_, items) = match parsed.take() {
                Some(p) if p.0 == template => parsed.insert(p),
                _ => parsed.insert((template, date_items(template))),
            };
            let value = A::get(&value_column, value_row)?;
            R::append(&mut out, f(call, value, items)?)?;
        }
        Ok(R::finish(out))
    };
    overload(vec![A::pg(), PgType::Text], R::pg(), kernel)
}

pub fn register(r: &mut Registry) {
    r.add(
        "to_char",
        templated::<Timestamp, Text>(|_, t, f| {
            if !is_finite_timestamp(t) {
                return Ok(None);
            }
            date_to_char(Civil::from_micros(t), f, None).map(Some)
        }),
    );
    r.add(
        "to_char",
        templated::<TimestampTz, Text>(|c, t, f| zoned(t, &c.vars.format.time_zone, f)),
    );
    r.add(
        "to_char",
        templated::<Interval, Text>(|_, v, f| date_to_char(interval_civil(v), f, None).map(Some)),
    );
    r.add(
        "to_char",
        f2::<Numeric, Text, Text>(|n, f| number_to_char(&n, f)),
    );
    r.add(
        "to_char",
        f2::<Int4, Text, Text>(|n, f| number_to_char(&N::from_i64(n as i64), f)),
    );
    r.add(
        "to_char",
        f2::<Int8, Text, Text>(|n, f| number_to_char(&N::from_i64(n), f)),
    );
    r.add(
        "to_char",
        f2::<Float8, Text, Text>(|n, f| number_to_char(&N::from_f64(n), f)),
    );
    r.add(
        "to_date",
        templated::<Text, Date>(|_, s, f| Ok(Some(from_char(s, f)?.days() as i32))),
    );
    r.add(
        "to_timestamp",
        templated::<Text, TimestampTz>(|c, s, f| {
            Ok(Some(
                c.vars
                    .format
                    .time_zone
                    .to_utc(from_char(s, f)?.to_micros()?),
            ))
        }),
    );
    r.add(
        "to_number",
        f2::<Text, Text, Numeric>(|s, _| {
            let digits: String = s
                .chars()
                .filter(|c| c.is_ascii_digit() || matches!(c, '.' | '-'))
                .collect();
            N::parse(&digits)
        }),
    );
}
