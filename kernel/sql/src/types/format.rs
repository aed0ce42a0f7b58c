//! The session settings that shape how values read and print.
//!
//! `DateStyle` prints ISO only and `IntervalStyle` prints `postgres` only: [`Format::set_date_style`]
//! and the session refuse the rest by name rather than print something else.

use std::sync::Arc;

use super::PgType;
use super::timezone::TimeZone;
use crate::error::{Result, SqlError, state};

/// How `1/2/2003` reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum DateOrder {
    #[default]
    Mdy,
    Dmy,
    Ymd,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum ByteaOutput {
    #[default]
    Hex,
    Escape,
}

/// The catalog, as far as `regclass` and its kin need it to read and print names.
pub trait ObjectNames: Send + Sync + std::fmt::Debug {
    /// The OID of the object a name denotes, or PostgreSQL's error.
    fn oid(&self, ty: &PgType, name: &str) -> Result<u32>;
    /// The name an OID prints as; `None` when there is no such object.
    fn name(&self, ty: &PgType, oid: u32) -> Option<String>;
}

#[derive(Clone, Debug)]
pub struct Format {
    pub date_order: DateOrder,
    pub time_zone: TimeZone,
    /// Above 0: the shortest text that reads back as the same float. Otherwise 15 (6) + this many
    /// significant digits.
    pub extra_float_digits: i32,
    pub bytea_output: ByteaOutput,
    /// What `now`, `today`, `tomorrow` and `yesterday` mean as input: microseconds since the Unix
    /// epoch, the start of the transaction.
    pub now: i64,
    /// Without it, `regclass` reads and prints numbers.
    pub objects: Option<Arc<dyn ObjectNames>>,
}

impl Default for Format {
    fn default() -> Format {
        Format {
            date_order: DateOrder::Mdy,
            time_zone: TimeZone::utc(),
            extra_float_digits: 1,
            bytea_output: ByteaOutput::Hex,
            now: 0,
            objects: None,
        }
    }
}

impl Format {
    /// Applies a `DateStyle` value such as `ISO, DMY`.
    pub fn set_date_style(&mut self, value: &str) -> Result<()> {
        for word in value.split(',').map(|w| w.trim().to_ascii_lowercase()) {
            match word.as_str() {
                "iso" | "default" => {}
                "mdy" | "us" | "noneuropean" | "noneuro" => self.date_order = DateOrder::Mdy,
                "dmy" | "euro" | "european" => self.date_order = DateOrder::Dmy,
                "ymd" => self.date_order = DateOrder::Ymd,
                "sql" | "postgres" | "german" => {
                    return Err(SqlError::unsupported(format!("DateStyle \"{word}\"")));
                }
                _ => {
                    return Err(SqlError::new(
                        state::INVALID_PARAMETER_VALUE,
                        format!("invalid value for parameter \"DateStyle\": \"{value}\""),
                    ));
                }
            }
        }
        Ok(())
    }

    /// The setting as `SHOW DateStyle` prints it.
    pub fn date_style(&self) -> &'static str {
        match self.date_order {
            DateOrder::Mdy => "ISO, MDY",
            DateOrder::Dmy => "ISO, DMY",
            DateOrder::Ymd => "ISO, YMD",
        }
    }
}
