//! Numbers by their digits.
//!
//! A `numeric` has up to 131,072 digits before the point, a double has 16. What can be decided on
//! the digits is: whether a number is an integer, whether two numbers are equal. Bounds and
//! `multipleOf` go through 64-bit integers where the number is one, and through doubles otherwise,
//! because that is how the limits of a schema are kept.

use std::borrow::Cow;

use jsonschema::json::JsonNumber;
use serde_json::Number;

/// The text of a JSON number.
#[derive(Clone, Copy, Debug)]
pub struct Decimal<'a> {
    text: &'a str,
}

impl<'a> Decimal<'a> {
    /// `text` must be a JSON number; a parsed document has no others.
    pub(super) fn new(text: &'a str) -> Decimal<'a> {
        Decimal { text }
    }

    /// The number as sign, digits and power of ten; equal numbers have equal forms.
    pub fn normal(self) -> Normal<'a> {
        let (negative, unsigned) = match self.text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, self.text),
        };
        let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, parse_exponent(exponent)),
            None => (unsigned, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let exponent = exponent - fraction.len() as i128;
        let digits = if fraction.is_empty() {
            Cow::Borrowed(whole)
        } else {
            Cow::Owned([whole, fraction].concat())
        };
        let (digits, zeros) = trim_zeros(digits);
        if digits.is_empty() {
            return Normal {
                negative: false,
                digits,
                exponent: 0,
            };
        }
        Normal {
            negative,
            digits,
            exponent: exponent + zeros,
        }
    }

    /// Equal as numbers. A number of a schema is a 64-bit integer or a double; beside a double the
    /// document's number is rounded to one too.
    pub fn equals(self, expected: &Number) -> bool {
        if let Some(expected) = expected.as_i64() {
            return match self.as_i64() {
                Some(value) => value == expected,
                None => self.normal() == Decimal::new(&expected.to_string()).normal(),
            };
        }
        if let Some(expected) = expected.as_u64() {
            return self.normal() == Decimal::new(&expected.to_string()).normal();
        }
        self.as_f64().is_some() && self.as_f64() == expected.as_f64()
    }
}

/// `digits × 10^exponent`; digits begin and end with other than zero, and are empty for zero.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Normal<'a> {
    pub negative: bool,
    pub digits: Cow<'a, str>,
    pub exponent: i128,
}

impl Normal<'_> {
    fn is_integer(&self) -> bool {
        self.exponent >= 0
    }
}

/// An exponent that does not fit is as far away as any other that does not occur.
fn parse_exponent(text: &str) -> i128 {
    let far = i128::from(i64::MAX);
    match text.parse::<i64>() {
        Ok(exponent) => i128::from(exponent),
        Err(_) if text.starts_with('-') => -far,
        Err(_) => far,
    }
}

/// Without leading and trailing zeros; the count of the latter.
fn trim_zeros(digits: Cow<'_, str>) -> (Cow<'_, str>, i128) {
    let leading = digits.len() - digits.trim_start_matches('0').len();
    let end = digits.trim_end_matches('0').len().max(leading);
    let zeros = (digits.len() - end) as i128;
    let trimmed = match digits {
        Cow::Borrowed(text) => Cow::Borrowed(&text[leading..end]),
        Cow::Owned(mut text) => {
            text.truncate(end);
            text.drain(..leading);
            Cow::Owned(text)
        }
    };
    (trimmed, zeros)
}

impl JsonNumber for Decimal<'_> {
    fn as_u64(&self) -> Option<u64> {
        self.text.parse().ok()
    }

    fn as_i64(&self) -> Option<i64> {
        self.text.parse().ok()
    }

    fn as_f64(&self) -> Option<f64> {
        self.text
            .parse()
            .ok()
            .filter(|value: &f64| value.is_finite())
    }

    fn as_str(&self) -> Cow<'_, str> {
        Cow::Borrowed(self.text)
    }

    /// For messages. A number past a double's range is shown as the double nearest to it.
    fn to_number(&self) -> Cow<'_, Number> {
        let nearest = || {
            let value = self.text.parse::<f64>().unwrap_or_default();
            Number::from_f64(value.clamp(f64::MIN, f64::MAX))
        };
        let number = self.as_i64().map(Number::from);
        let number = number.or_else(|| self.as_u64().map(Number::from));
        Cow::Owned(number.or_else(nearest).unwrap_or_else(|| Number::from(0)))
    }

    fn is_integer(&self) -> bool {
        let integer = !self.text.contains(['.', 'e', 'E']);
        integer || self.normal().is_integer()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn equal(a: &str, b: &str) -> bool {
        Decimal::new(a).normal() == Decimal::new(b).normal()
    }

    #[test]
    fn equal_numbers_have_one_normal_form() {
        for (a, b) in [
            ("1", "1.0"),
            ("100", "1e2"),
            ("0.5", "5E-1"),
            ("0", "-0.00"),
            ("0e99", "0"),
            ("-12.50", "-1.25e+1"),
            ("1e400", "10e399"),
        ] {
            assert!(equal(a, b), "{a} {b}");
        }
        for (a, b) in [
            ("1", "-1"),
            ("9007199254740993", "9007199254740992"),
            ("1e400", "1e401"),
            ("0.1", "0.10000000000000001"),
        ] {
            assert!(!equal(a, b), "{a} {b}");
        }
    }

    #[test]
    fn integers_are_told_by_their_digits() {
        for text in [
            "1",
            "-0",
            "1.0",
            "1.50e1",
            "1e400",
            "12345678901234567890123",
        ] {
            assert!(Decimal::new(text).is_integer(), "{text}");
        }
        for text in ["0.5", "1e-400", "1.5", "15e-1", "9007199254740992.5"] {
            assert!(!Decimal::new(text).is_integer(), "{text}");
        }
    }

    #[test]
    fn numbers_of_a_schema_are_compared_as_they_are_kept() {
        let exact = Number::from(9_007_199_254_740_993_i64);
        assert!(Decimal::new("9007199254740993.0").equals(&exact));
        assert!(!Decimal::new("9007199254740992").equals(&exact));
        assert!(Decimal::new("18446744073709551615").equals(&Number::from(u64::MAX)));
        let tenth = Number::from_f64(0.1).expect("finite");
        assert!(Decimal::new("0.10").equals(&tenth));
        assert!(!Decimal::new("1e400").equals(&tenth));
    }
}
