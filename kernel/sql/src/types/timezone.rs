//! Time zones: names of the IANA database, fixed offsets, and PostgreSQL's rules where a local time
//! does not exist or exists twice.

use std::sync::Arc;

use chrono::{DateTime, NaiveDateTime, Offset, TimeZone as _};
use chrono_tz::{OffsetName, Tz};

use crate::error::{Result, SqlError, state};

const MICROS: i64 = 1_000_000;

/// A zone as `SET TimeZone` or `AT TIME ZONE` names it.
#[derive(Clone, Debug, PartialEq)]
pub struct TimeZone {
    name: Arc<str>,
    rule: Rule,
}

#[derive(Clone, Debug, PartialEq)]
enum Rule {
    Named(Tz),
    /// Seconds east of UTC.
    Fixed(i32),
}

/// The offset in force at an instant.
#[derive(Clone, Debug, PartialEq)]
pub struct ZoneOffset {
    /// Seconds east of UTC.
    pub east: i32,
    pub abbreviation: String,
}

/// Abbreviations of PostgreSQL's `Default` set that are in wide use: name, hours east × 4.
const ABBREVIATIONS: &[(&str, i32)] = &[
    ("z", 0),
    ("zulu", 0),
    ("gmt", 0),
    ("ut", 0),
    ("utc", 0),
    ("uct", 0),
    ("wet", 0),
    ("west", 4),
    ("bst", 4),
    ("cet", 4),
    ("met", 4),
    ("cest", 8),
    ("mest", 8),
    ("eet", 8),
    ("eest", 12),
    ("msk", 12),
    ("msd", 16),
    ("ist", 8),
    ("jst", 36),
    ("kst", 36),
    ("aest", 40),
    ("aedt", 44),
    ("acst", 38),
    ("acdt", 42),
    ("awst", 32),
    ("nzst", 48),
    ("nzdt", 52),
    ("hst", -40),
    ("akst", -36),
    ("akdt", -32),
    ("pst", -32),
    ("pdt", -28),
    ("mst", -28),
    ("mdt", -24),
    ("cst", -24),
    ("cdt", -20),
    ("est", -20),
    ("edt", -16),
    ("ast", -16),
    ("adt", -12),
    ("nst", -14),
    ("ndt", -10),
    ("sgt", 32),
    ("hkt", 32),
    ("pht", 32),
    ("brt", -12),
    ("art", -12),
];

impl TimeZone {
    pub fn utc() -> TimeZone {
        TimeZone {
            name: "UTC".into(),
            rule: Rule::Fixed(0),
        }
    }

    /// A fixed offset in seconds east.
    pub fn fixed(east: i32) -> TimeZone {
        // PostgreSQL names such zones in POSIX style, west positive: <+02>-02.
        let (h, m) = (east.abs() / 3600, east.abs() / 60 % 60);
        let minutes = if m == 0 {
            String::new()
        } else {
            format!(":{m:02}")
        };
        let (iso, posix) = if east < 0 { ('-', '+') } else { ('+', '-') };
        TimeZone {
            name: format!("<{iso}{h:02}{minutes}>{posix}{h:02}{minutes}").into(),
            rule: Rule::Fixed(east),
        }
    }

    /// A zone by name. A bare offset has the POSIX sign PostgreSQL gives it here: `+02` is west.
    pub fn parse(name: &str) -> Result<TimeZone> {
        TimeZone::lookup(name).ok_or_else(|| {
            SqlError::new(
                state::INVALID_PARAMETER_VALUE,
                format!("time zone \"{name}\" not recognized"),
            )
        })
    }

    /// As [`parse`](Self::parse), but a number is hours east.
    pub fn of_setting(value: &str) -> Result<TimeZone> {
        match value.trim().parse::<f64>() {
            Ok(hours) if hours.abs() < 168.0 => Ok(TimeZone::fixed((hours * 3600.0) as i32)),
            _ => TimeZone::parse(value),
        }
    }

    pub fn lookup(name: &str) -> Option<TimeZone> {
        let trimmed = name.trim();
        // POSIX's `<abbreviation>offset`, the offset counted to the west.
        if let Some((_, offset)) = trimmed.strip_prefix('<').and_then(|n| n.split_once('>')) {
            return Some(TimeZone {
                name: trimmed.into(),
                rule: Rule::Fixed(-parse_offset(offset)?),
            });
        }
        if trimmed.eq_ignore_ascii_case("utc") || trimmed.eq_ignore_ascii_case("etc/utc") {
            let name = if trimmed.len() == 3 { "UTC" } else { "Etc/UTC" };
            return Some(TimeZone {
                name: name.into(),
                rule: Rule::Fixed(0),
            });
        }
        if let Some(offset) = parse_offset(trimmed) {
            return Some(TimeZone::fixed(-offset));
        }
        let lower = trimmed.to_ascii_lowercase();
        // Zone files before abbreviations, as for SET; `EST` and `MST` are in both with one meaning.
        if let Ok(tz) = trimmed.parse::<Tz>() {
            return Some(TimeZone {
                name: tz.name().into(),
                rule: Rule::Named(tz),
            });
        }
        if let Some((_, quarters)) = ABBREVIATIONS.iter().find(|(n, _)| *n == lower) {
            return Some(TimeZone {
                name: trimmed.to_ascii_uppercase().into(),
                rule: Rule::Fixed(quarters * 900),
            });
        }
        if lower.is_empty() {
            return None;
        }
        chrono_tz::TZ_VARIANTS
            .iter()
            .find(|tz| tz.name().eq_ignore_ascii_case(trimmed))
            .map(|tz| TimeZone {
                name: tz.name().into(),
                rule: Rule::Named(*tz),
            })
    }

    /// A zone as it may follow a timestamp literal: an abbreviation first, then a full name.
    pub fn lookup_in_literal(name: &str) -> Option<TimeZone> {
        let lower = name.to_ascii_lowercase();
        match ABBREVIATIONS.iter().find(|(n, _)| *n == lower) {
            Some((_, quarters)) => Some(TimeZone::fixed(quarters * 900)),
            None => TimeZone::lookup(name),
        }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// The offset at an instant, microseconds since the Unix epoch.
    pub fn offset_at(&self, utc: i64) -> ZoneOffset {
        match &self.rule {
            Rule::Fixed(east) => ZoneOffset {
                east: *east,
                abbreviation: if *east == 0 {
                    "UTC".into()
                } else {
                    self.fixed_abbreviation()
                },
            },
            Rule::Named(tz) => {
                let offset = tz.offset_from_utc_datetime(&naive(utc));
                ZoneOffset {
                    east: offset.fix().local_minus_utc(),
                    abbreviation: offset.abbreviation().unwrap_or("").to_string(),
                }
            }
        }
    }

    fn fixed_abbreviation(&self) -> String {
        match self.name.strip_prefix('<').and_then(|n| n.split_once('>')) {
            Some((inner, _)) => inner.to_string(),
            None => self.name.to_string(),
        }
    }

    /// Seconds east at an instant.
    pub fn east_at(&self, utc: i64) -> i32 {
        match &self.rule {
            Rule::Fixed(east) => *east,
            Rule::Named(tz) => tz
                .offset_from_utc_datetime(&naive(utc))
                .fix()
                .local_minus_utc(),
        }
    }

    /// Wall-clock microseconds at an instant.
    pub fn to_local(&self, utc: i64) -> i64 {
        utc.saturating_add(self.east_at(utc) as i64 * MICROS)
    }

    /// The instant of a wall-clock time. A time skipped by a transition is read with the offset
    /// before it, a repeated one with the offset after it (`DetermineTimeZoneOffset`).
    pub fn to_utc(&self, local: i64) -> i64 {
        let east = match &self.rule {
            Rule::Fixed(east) => *east,
            Rule::Named(tz) => match tz.offset_from_local_datetime(&naive(local)) {
                chrono::LocalResult::Single(o) => o.fix().local_minus_utc(),
                chrono::LocalResult::Ambiguous(_, after) => after.fix().local_minus_utc(),
                chrono::LocalResult::None => self.east_at(local.saturating_sub(86_400 * MICROS)),
            },
        };
        local.saturating_sub(east as i64 * MICROS)
    }
}

/// chrono's calendar is narrower than PostgreSQL's; far instants take the rule of its edge.
fn naive(micros: i64) -> NaiveDateTime {
    match DateTime::from_timestamp_micros(micros) {
        Some(t) => t.naive_utc(),
        None if micros > 0 => DateTime::from_timestamp(4_102_444_800, 0)
            .expect("the year 2100 is in range")
            .naive_utc(),
        None => DateTime::UNIX_EPOCH.naive_utc() - chrono::Days::new(365 * 200),
    }
}

/// `±hh[:mm[:ss]]` or `±hhmm` in seconds, the sign as written.
pub fn parse_offset(text: &str) -> Option<i32> {
    let (sign, rest) = match text.as_bytes().first()? {
        b'+' => (1, &text[1..]),
        b'-' => (-1, &text[1..]),
        b'0'..=b'9' => (1, text),
        _ => return None,
    };
    let number = |s: &str| -> Option<i32> {
        (!s.is_empty() && s.len() <= 2 && s.bytes().all(|b| b.is_ascii_digit()))
            .then(|| s.parse().ok())
            .flatten()
    };
    let parts: Vec<&str> = rest.split(':').collect();
    let (h, m, s) = match parts.as_slice() {
        [h] if h.len() > 2 && h.is_ascii() => {
            let (a, b) = h.split_at(h.len() - 2);
            (number(a)?, number(b)?, 0)
        }
        [h] => (number(h)?, 0, 0),
        [h, m] => (number(h)?, number(m)?, 0),
        [h, m, s] => (number(h)?, number(m)?, number(s)?),
        _ => return None,
    };
    // MAX_TZDISP_HOUR is 15.
    (h <= 15 && m < 60 && s < 60).then_some(sign * (h * 3600 + m * 60 + s))
}
