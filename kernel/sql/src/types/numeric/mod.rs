//! `numeric` of any precision: the value, its text and its comparison.
//!
//! A finite [`Numeric`] is `coefficient × 10^-dscale`, exactly; `dscale` is the number of digits
//! shown after the point, which PostgreSQL carries with the value (`1.50` is not shown as `1.5`)
//! but ignores in comparison. Limits are PostgreSQL's: 131,072 digits before the point and 16,383
//! after it. [`arith`] follows the result scales of its `numeric.c`; [`encoding`] is how a value is
//! stored; [`small`] is for the many values that 128 bits can take.

pub mod arith;
pub mod encoding;
pub mod small;
#[cfg(test)]
mod tests;

use std::cmp::Ordering;
use std::fmt::Write as _;

use num_bigint::{BigInt, Sign};
use num_traits::{Signed, ToPrimitive, Zero};

pub use self::small::Small;
use crate::error::{Result, SqlError, state};

/// Digits after the point at most (`NUMERIC_DSCALE_MAX`).
pub const DSCALE_MAX: i64 = 16_383;
/// Digits before the point at most.
pub const INTEGER_DIGITS_MAX: i64 = 131_072;

#[derive(Clone, Debug)]
pub enum Numeric {
    NegInfinity,
    Finite(Decimal),
    Infinity,
    NaN,
}

/// A finite value. `dscale` ≤ [`DSCALE_MAX`].
#[derive(Clone, Debug)]
pub struct Decimal {
    pub coefficient: BigInt,
    pub dscale: u16,
}

/// 10^n.
pub fn pow10(n: u32) -> BigInt {
    const SMALL: u32 = 38;
    if n <= SMALL {
        BigInt::from(10i128.pow(n))
    } else {
        BigInt::from(10u8).pow(n)
    }
}

/// Decimal digits of |v|; 0 has none.
pub fn digits(v: &BigInt) -> i64 {
    if v.is_zero() {
        return 0;
    }
    if let Some(small) = v.abs().to_u128() {
        return small.ilog10() as i64 + 1;
    }
    // bits × log10(2), then settle the one doubtful digit.
    let estimate = ((v.bits() - 1) as f64 * std::f64::consts::LOG10_2) as u32;
    if v.abs() >= pow10(estimate + 1) {
        estimate as i64 + 2
    } else if v.abs() >= pow10(estimate) {
        estimate as i64 + 1
    } else {
        estimate as i64
    }
}

impl Numeric {
    pub fn new(coefficient: BigInt, dscale: u16) -> Numeric {
        Numeric::Finite(Decimal {
            coefficient,
            dscale,
        })
    }

    pub fn zero() -> Numeric {
        Numeric::new(BigInt::zero(), 0)
    }

    pub fn from_i64(v: i64) -> Numeric {
        Numeric::new(BigInt::from(v), 0)
    }

    /// The value of a `Decimal128(_, scale)` slot.
    pub fn from_decimal128(v: i128, scale: i8) -> Numeric {
        if scale >= 0 {
            Numeric::new(BigInt::from(v), scale as u16)
        } else {
            Numeric::new(BigInt::from(v) * pow10(scale.unsigned_abs() as u32), 0)
        }
    }

    /// The nearest numeric with 15 significant digits, as PostgreSQL converts `float8`.
    pub fn from_f64(v: f64) -> Numeric {
        Numeric::from_float_digits(v, 15)
    }

    /// As [`Numeric::from_f64`] with the 6 digits of a `float4`.
    pub fn from_f32(v: f32) -> Numeric {
        Numeric::from_float_digits(v as f64, 6)
    }

    fn from_float_digits(v: f64, significant: usize) -> Numeric {
        if v.is_nan() {
            return Numeric::NaN;
        }
        if v.is_infinite() {
            return if v > 0.0 {
                Numeric::Infinity
            } else {
                Numeric::NegInfinity
            };
        }
        // `%.15g`: scientific with the digits wanted, zeros at the end dropped.
        let text = format!("{:.*e}", significant - 1, v);
        let (mantissa, exponent) = text.split_once('e').expect("{:e} writes an exponent");
        let exponent: i64 = exponent.parse().expect("{:e} writes an integer exponent");
        let mut m = mantissa.to_string();
        if m.contains('.') {
            m.truncate(m.trim_end_matches('0').trim_end_matches('.').len());
        }
        Numeric::parse(&format!("{m}e{exponent}")).unwrap_or(Numeric::NaN)
    }

    /// Parses PostgreSQL's input syntax. Errors are `22P02` and `22003`.
    pub fn parse(input: &str) -> Result<Numeric> {
        let invalid = || {
            SqlError::new(
                state::INVALID_TEXT_REPRESENTATION,
                format!("invalid input syntax for type numeric: \"{input}\""),
            )
        };
        let s = input.trim_matches(|c: char| c.is_ascii_whitespace() || c == '\x0b');
        let (negative, rest) = match s.as_bytes().first() {
            Some(b'-') => (true, &s[1..]),
            Some(b'+') => (false, &s[1..]),
            _ => (false, s),
        };
        if !rest.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
            let signed = rest.len() != s.len();
            return match rest.to_ascii_lowercase().as_str() {
                "nan" if !signed => Ok(Numeric::NaN),
                "inf" | "infinity" if negative => Ok(Numeric::NegInfinity),
                "inf" | "infinity" => Ok(Numeric::Infinity),
                _ => Err(invalid()),
            };
        }
        let (mantissa, exponent) = match rest.find(['e', 'E']) {
            None => (rest, 0i64),
            Some(at) => {
                let e = &rest[at + 1..];
                let digits = e.strip_prefix(['+', '-']).unwrap_or(e);
                if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
                    return Err(invalid());
                }
                let e: i64 = e.parse().map_err(|_| overflow())?;
                // Far more than the format holds; PostgreSQL draws its line at INT_MAX / 2.
                if e.abs() >= (i32::MAX / 2) as i64 {
                    return Err(overflow());
                }
                (&rest[..at], e)
            }
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let well_formed = |d: &str| d.bytes().all(|b| b.is_ascii_digit());
        if (whole.is_empty() && fraction.is_empty())
            || !well_formed(whole)
            || !well_formed(fraction)
        {
            return Err(invalid());
        }
        let dscale = (fraction.len() as i64 - exponent).max(0);
        let all = [whole, fraction].concat();
        let significant = all.trim_start_matches('0');
        if significant.is_empty() {
            return Ok(Numeric::new(BigInt::zero(), dscale.min(DSCALE_MAX) as u16));
        }
        let integer_digits = significant.len() as i64 - fraction.len() as i64 + exponent;
        if integer_digits > INTEGER_DIGITS_MAX {
            return Err(overflow());
        }
        let mut coefficient = if significant.len() <= 38 {
            BigInt::from(significant.parse::<u128>().map_err(|_| invalid())?)
        } else {
            BigInt::parse_bytes(significant.as_bytes(), 10).ok_or_else(invalid)?
        };
        // The digits stand at scale `fraction.len() - exponent`; below zero they want zeros.
        let scale = fraction.len() as i64 - exponent;
        if scale < 0 {
            coefficient *= pow10((-scale) as u32);
        }
        if negative {
            coefficient = -coefficient;
        }
        if dscale > DSCALE_MAX {
            coefficient = arith::rescale(&coefficient, dscale, DSCALE_MAX);
        }
        Ok(Numeric::new(coefficient, dscale.min(DSCALE_MAX) as u16))
    }

    pub fn is_nan(&self) -> bool {
        matches!(self, Numeric::NaN)
    }

    pub fn is_zero(&self) -> bool {
        matches!(self, Numeric::Finite(d) if d.coefficient.is_zero())
    }

    pub fn is_negative(&self) -> bool {
        match self {
            Numeric::NegInfinity => true,
            Numeric::Finite(d) => d.coefficient.sign() == Sign::Minus,
            _ => false,
        }
    }

    pub fn dscale(&self) -> u16 {
        match self {
            Numeric::Finite(d) => d.dscale,
            _ => 0,
        }
    }

    /// The nearest double; NaN and infinities map to themselves.
    pub fn to_f64(&self) -> f64 {
        match self {
            Numeric::NaN => f64::NAN,
            Numeric::Infinity => f64::INFINITY,
            Numeric::NegInfinity => f64::NEG_INFINITY,
            // Through text: the standard parser rounds correctly.
            Numeric::Finite(d) => match d.coefficient.to_i64() {
                Some(c) if d.dscale == 0 && c.abs() < (1 << 53) => c as f64,
                _ => format!("{}e-{}", d.coefficient, d.dscale)
                    .parse()
                    .unwrap_or(f64::NAN),
            },
        }
    }

    /// Rounded half away from zero to an integer; `None` when it has no place in an `i128`.
    pub fn to_i128(&self) -> Option<i128> {
        match self {
            Numeric::Finite(d) => arith::rescale(&d.coefficient, d.dscale as i64, 0).to_i128(),
            _ => None,
        }
    }

    /// The slot of a `Decimal128(precision, scale)`, rounded half away from zero, or PostgreSQL's
    /// "numeric field overflow".
    pub fn to_decimal128(&self, precision: u8, scale: i8) -> Result<i128> {
        let field_overflow = |what: &str| {
            let sign = if matches!(self, Numeric::Finite(_)) {
                let exponent = precision as i32 - scale as i32;
                let limit = if exponent == 0 {
                    "1".to_string()
                } else {
                    format!("10^{exponent}")
                };
                format!(
                    "A field with precision {precision}, scale {scale} must round to an \
                     absolute value less than {limit}."
                )
            } else {
                format!(
                    "A field with precision {precision}, scale {scale} cannot hold {what} value."
                )
            };
            SqlError::new(state::NUMERIC_VALUE_OUT_OF_RANGE, "numeric field overflow")
                .with_detail(sign)
        };
        match self {
            Numeric::Finite(d) => {
                let v = arith::rescale(&d.coefficient, d.dscale as i64, scale as i64);
                match v.to_i128() {
                    Some(v) if v.unsigned_abs() < 10u128.pow(precision as u32) => Ok(v),
                    _ => Err(field_overflow("")),
                }
            }
            Numeric::NaN => Err(field_overflow("a NaN")),
            _ => Err(field_overflow("an infinite")),
        }
    }

    /// Writes the value as PostgreSQL prints it.
    pub fn write(&self, out: &mut String) {
        match self {
            Numeric::NaN => out.push_str("NaN"),
            Numeric::Infinity => out.push_str("Infinity"),
            Numeric::NegInfinity => out.push_str("-Infinity"),
            Numeric::Finite(d) => {
                if d.coefficient.sign() == Sign::Minus {
                    out.push('-');
                }
                match d.coefficient.magnitude().to_u128() {
                    Some(m) => write_scaled(m, d.dscale as usize, out),
                    None => insert_point(
                        &d.coefficient.magnitude().to_string(),
                        d.dscale as usize,
                        out,
                    ),
                }
            }
        }
    }

    /// PostgreSQL's `numeric` order: -Infinity, the finite, Infinity, then NaN, equal to itself.
    pub fn compare(&self, other: &Numeric) -> Ordering {
        fn class(n: &Numeric) -> u8 {
            match n {
                Numeric::NegInfinity => 0,
                Numeric::Finite(_) => 1,
                Numeric::Infinity => 2,
                Numeric::NaN => 3,
            }
        }
        match (self, other) {
            (Numeric::Finite(a), Numeric::Finite(b)) => match a.dscale.cmp(&b.dscale) {
                Ordering::Equal => a.coefficient.cmp(&b.coefficient),
                Ordering::Less => {
                    (&a.coefficient * pow10((b.dscale - a.dscale) as u32)).cmp(&b.coefficient)
                }
                Ordering::Greater => a
                    .coefficient
                    .cmp(&(&b.coefficient * pow10((a.dscale - b.dscale) as u32))),
            },
            _ => class(self).cmp(&class(other)),
        }
    }
}

/// Writes a `Decimal128` slot without going through [`Numeric`].
pub fn write_decimal128(v: i128, scale: i8, out: &mut String) {
    if scale < 0 {
        return Numeric::from_decimal128(v, scale).write(out);
    }
    if v < 0 {
        out.push('-');
    }
    write_scaled(v.unsigned_abs(), scale as usize, out);
}

fn write_scaled(magnitude: u128, scale: usize, out: &mut String) {
    if scale == 0 {
        let _ = write!(out, "{magnitude}");
    } else if scale <= 38 {
        let unit = 10u128.pow(scale as u32);
        let _ = write!(out, "{}.{:0scale$}", magnitude / unit, magnitude % unit);
    } else {
        insert_point(&magnitude.to_string(), scale, out);
    }
}

fn insert_point(digits: &str, scale: usize, out: &mut String) {
    if scale == 0 {
        out.push_str(digits);
        return;
    }
    if digits.len() > scale {
        let (whole, fraction) = digits.split_at(digits.len() - scale);
        out.push_str(whole);
        out.push('.');
        out.push_str(fraction);
    } else {
        out.push_str("0.");
        for _ in 0..scale - digits.len() {
            out.push('0');
        }
        out.push_str(digits);
    }
}

pub(crate) fn overflow() -> SqlError {
    SqlError::new(
        state::NUMERIC_VALUE_OUT_OF_RANGE,
        "value overflows numeric format",
    )
}

impl std::fmt::Display for Numeric {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut text = String::new();
        self.write(&mut text);
        f.write_str(&text)
    }
}
