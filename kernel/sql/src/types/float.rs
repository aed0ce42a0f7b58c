//! Text of `real` and `double precision`.

use crate::error::{Result, SqlError, state};

/// Writes a double: the shortest digits that read back, or `15 + extra` of them when `extra` ≤ 0.
pub fn write_f64(v: f64, extra_float_digits: i32, out: &mut String) {
    if special(v, out) {
        return;
    }
    let text = if extra_float_digits > 0 {
        format!("{v:e}")
    } else {
        format!("{:.*e}", (14 + extra_float_digits).max(0) as usize, v)
    };
    // A shortest form is fixed-point up to 15 digits, `%g` up to its precision.
    let fixed_below = if extra_float_digits > 0 {
        15
    } else {
        (15 + extra_float_digits).max(1)
    };
    layout(&text, fixed_below, out);
}

pub fn write_f32(v: f32, extra_float_digits: i32, out: &mut String) {
    if special(v as f64, out) {
        return;
    }
    let text = if extra_float_digits > 0 {
        format!("{v:e}")
    } else {
        format!("{:.*e}", (5 + extra_float_digits).max(0) as usize, v)
    };
    let fixed_below = if extra_float_digits > 0 {
        6
    } else {
        (6 + extra_float_digits).max(1)
    };
    layout(&text, fixed_below, out);
}

fn special(v: f64, out: &mut String) -> bool {
    if v.is_nan() {
        out.push_str("NaN");
    } else if v.is_infinite() {
        out.push_str(if v > 0.0 { "Infinity" } else { "-Infinity" });
    } else {
        return false;
    }
    true
}

/// Lays `d.ddde±x` out as PostgreSQL does: fixed for exponents in -4 .. `fixed_below`, otherwise
/// with a sign and at least two exponent digits.
fn layout(scientific: &str, fixed_below: i32, out: &mut String) {
    let (mantissa, exponent) = scientific.split_once('e').expect("{:e} writes an exponent");
    let exponent: i32 = exponent.parse().expect("{:e} writes an integer exponent");
    let (sign, mantissa) = match mantissa.strip_prefix('-') {
        Some(m) => ("-", m),
        None => ("", mantissa),
    };
    let mut digits: String = mantissa.chars().filter(|c| *c != '.').collect();
    digits.truncate(digits.trim_end_matches('0').len().max(1));
    out.push_str(sign);
    if exponent < -4 || exponent >= fixed_below {
        let (first, rest) = digits.split_at(1);
        out.push_str(first);
        if !rest.is_empty() {
            out.push('.');
            out.push_str(rest);
        }
        let sign = if exponent < 0 { '-' } else { '+' };
        out.push_str(&format!("e{sign}{:02}", exponent.abs()));
    } else if exponent < 0 {
        out.push_str("0.");
        out.extend(std::iter::repeat_n('0', (-exponent - 1) as usize));
        out.push_str(&digits);
    } else {
        let whole = exponent as usize + 1;
        if digits.len() <= whole {
            out.push_str(&digits);
            out.extend(std::iter::repeat_n('0', whole - digits.len()));
        } else {
            out.push_str(&digits[..whole]);
            out.push('.');
            out.push_str(&digits[whole..]);
        }
    }
}

/// Parses a double; `type_name` names the type in the error.
pub fn parse_f64(input: &str) -> Result<f64> {
    let v = parse(input, "double precision", |s| s.parse::<f64>().ok())?;
    check_range(input, v.is_infinite() || v == 0.0, "double precision")?;
    Ok(v)
}

pub fn parse_f32(input: &str) -> Result<f32> {
    let v = parse(input, "real", |s| s.parse::<f32>().ok())?;
    check_range(input, v.is_infinite() || v == 0.0, "real")?;
    Ok(v)
}

fn parse<T>(input: &str, type_name: &str, number: impl Fn(&str) -> Option<T>) -> Result<T> {
    let s = input.trim_matches(|c: char| c.is_ascii_whitespace() || c == '\x0b');
    let invalid = || {
        SqlError::new(
            state::INVALID_TEXT_REPRESENTATION,
            format!("invalid input syntax for type {type_name}: \"{input}\""),
        )
    };
    let unsigned = s.strip_prefix(['+', '-']).unwrap_or(s);
    let named = ["nan", "inf", "infinity"]
        .iter()
        .any(|w| unsigned.eq_ignore_ascii_case(w));
    if !named && !unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return Err(invalid());
    }
    number(s).ok_or_else(invalid)
}

/// Finite digits that became infinite or zero are out of range (`22003`).
fn check_range(input: &str, suspicious: bool, type_name: &str) -> Result<()> {
    if !suspicious {
        return Ok(());
    }
    let s = input.trim();
    let mantissa = s.split(['e', 'E']).next().unwrap_or("");
    let has_digits = s.bytes().any(|b| b.is_ascii_digit());
    let all_zero = !mantissa.bytes().any(|b| (b'1'..=b'9').contains(&b));
    if !has_digits || all_zero {
        return Ok(());
    }
    Err(SqlError::new(
        state::NUMERIC_VALUE_OUT_OF_RANGE,
        format!("\"{s}\" is out of range for type {type_name}"),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_print_as_postgres_prints_them() {
        let f = |v: f64| {
            let mut s = String::new();
            write_f64(v, 1, &mut s);
            s
        };
        assert_eq!(f(1e20), "1e+20");
        assert_eq!(f(1e14), "100000000000000");
        assert_eq!(f(1e15), "1e+15");
        assert_eq!(f(0.1), "0.1");
        assert_eq!(f(1e-5), "1e-05");
        assert_eq!(f(0.00012), "0.00012");
        assert_eq!(f(-0.0), "-0");
        assert_eq!(f(123456.789), "123456.789");
        assert_eq!(f(f64::NEG_INFINITY), "-Infinity");
        let mut s = String::new();
        write_f32(1e6, 1, &mut s);
        assert_eq!(s, "1e+06");
    }

    #[test]
    fn out_of_range_is_not_infinity() {
        assert_eq!(
            parse_f64("1e400").unwrap_err().code,
            state::NUMERIC_VALUE_OUT_OF_RANGE
        );
        assert_eq!(
            parse_f64("1e-400").unwrap_err().code,
            state::NUMERIC_VALUE_OUT_OF_RANGE
        );
        assert!(parse_f64("-Infinity").unwrap().is_infinite());
        assert_eq!(parse_f64(" 0.0 ").unwrap(), 0.0);
        assert!(parse_f64("1x").is_err());
    }
}
