//! Mathematical functions on doubles and numerics.

use super::Registry;
use super::arithmetic::check_float;
use crate::error::{Result, SqlError, SqlState, state};
use crate::semantics::kernel::*;
use crate::types::PgType;
use crate::types::numeric::Numeric as N;

fn out_of_range() -> SqlError {
    SqlError::new(state::NUMERIC_VALUE_OUT_OF_RANGE, "input is out of range")
}

fn domain(message: &str, code: &str) -> SqlError {
    SqlError::new(SqlState::new(code), message)
}

fn log_argument(v: f64) -> Result<f64> {
    if v == 0.0 {
        Err(domain("cannot take logarithm of zero", "2201E"))
    } else if v < 0.0 {
        Err(domain(
            "cannot take logarithm of a negative number",
            "2201E",
        ))
    } else {
        Ok(v)
    }
}

fn power(a: f64, b: f64) -> Result<f64> {
    if a == 0.0 && b < 0.0 {
        return Err(domain(
            "zero raised to a negative power is undefined",
            "2201F",
        ));
    }
    if a < 0.0 && b.is_finite() && b.fract() != 0.0 {
        return Err(domain(
            "a negative number raised to a non-integer power yields a complex result",
            "2201F",
        ));
    }
    check_float(
        a.powf(b),
        a.is_finite() && b.is_finite(),
        a == 0.0 || b.is_infinite() || a.is_infinite(),
    )
}

/// Functions of one double defined everywhere on the finite numbers.
macro_rules! plain {
    ($r:ident $($name:literal $f:expr;)*) => {$(
        $r.add($name, f1::<Float8, Float8>(|v| {
            let f: fn(f64) -> f64 = $f;
            let result = f(v);
            if result.is_nan() && !v.is_nan() { Err(out_of_range()) } else { Ok(result) }
        }));
    )*};
}

fn gcd(a: i64, b: i64) -> Result<i64> {
    let (mut a, mut b) = (a.unsigned_abs(), b.unsigned_abs());
    while b != 0 {
        (a, b) = (b, a % b);
    }
    i64::try_from(a).map_err(|_| crate::types::cast::out_of_range(&PgType::Int8))
}

fn lcm(a: i64, b: i64) -> Result<i64> {
    if a == 0 || b == 0 {
        return Ok(0);
    }
    let overflow = || crate::types::cast::out_of_range(&PgType::Int8);
    (a / gcd(a, b)?)
        .checked_mul(b)
        .and_then(i64::checked_abs)
        .ok_or_else(overflow)
}

fn width_bucket(x: f64, low: f64, high: f64, n: i32) -> Result<i32> {
    let invalid = |m: &str| SqlError::new(SqlState::new("2201G"), m);
    if n <= 0 {
        return Err(invalid("count must be greater than zero"));
    }
    if low == high {
        return Err(invalid("lower bound cannot equal upper bound"));
    }
    if x.is_nan() || low.is_nan() || high.is_nan() {
        return Err(invalid(
            "operand, lower bound, and upper bound cannot be NaN",
        ));
    }
    let (outside, past) = if low < high {
        (x < low, x >= high)
    } else {
        (x > low, x <= high)
    };
    Ok(if outside {
        0
    } else if past {
        n + 1
    } else {
        ((x - low) / (high - low) * n as f64) as i32 + 1
    })
}

pub fn register(r: &mut Registry) {
    plain! { r
        "ceil" f64::ceil; "ceiling" f64::ceil; "floor" f64::floor; "trunc" f64::trunc;
        "round" f64::round_ties_even;
        "sign" |v| if v > 0.0 { 1.0 } else if v < 0.0 { -1.0 } else { v };
        "degrees" f64::to_degrees; "radians" f64::to_radians;
        "sin" f64::sin; "cos" f64::cos; "tan" f64::tan; "cot" |v| 1.0 / v.tan();
        "asin" f64::asin; "acos" f64::acos; "atan" f64::atan;
        "sinh" f64::sinh; "cosh" f64::cosh; "tanh" f64::tanh;
        "asinh" f64::asinh; "acosh" f64::acosh; "atanh" f64::atanh; "cbrt" f64::cbrt;
    }
    r.add("atan2", f2::<Float8, Float8, Float8>(|a, b| Ok(a.atan2(b))));
    r.add("pi", f0::<Float8>(|_| Ok(Some(std::f64::consts::PI))));
    r.add(
        "sqrt",
        f1::<Float8, Float8>(|v| {
            if v < 0.0 {
                Err(domain(
                    "cannot take square root of a negative number",
                    "2201F",
                ))
            } else {
                Ok(v.sqrt())
            }
        }),
    );
    r.add(
        "exp",
        f1::<Float8, Float8>(|v| check_float(v.exp(), v.is_finite(), v.is_infinite())),
    );
    r.add("ln", f1::<Float8, Float8>(|v| Ok(log_argument(v)?.ln())));
    for name in ["log", "log10"] {
        r.add(name, f1::<Float8, Float8>(|v| Ok(log_argument(v)?.log10())));
        r.add(name, f1::<Numeric, Numeric>(|v| v.log(&N::from_i64(10))));
    }
    for name in ["power", "pow", "$^"] {
        r.add(name, f2::<Float8, Float8, Float8>(power));
        r.add(name, f2::<Numeric, Numeric, Numeric>(|a, b| a.power(&b)));
    }
    r.add(
        "random",
        f0::<Float8>(|_| Ok(Some(rand::random::<f64>()))).volatile(),
    );
    r.add("sqrt", f1::<Numeric, Numeric>(|v| v.sqrt()));
    r.add("exp", f1::<Numeric, Numeric>(|v| v.exp()));
    r.add("ln", f1::<Numeric, Numeric>(|v| v.ln()));
    r.add("log", f2::<Numeric, Numeric, Numeric>(|b, v| v.log(&b)));
    r.add("ceil", f1::<Numeric, Numeric>(|v| v.ceil()));
    r.add("ceiling", f1::<Numeric, Numeric>(|v| v.ceil()));
    r.add("floor", f1::<Numeric, Numeric>(|v| v.floor()));
    r.add("sign", f1::<Numeric, Numeric>(|v| Ok(v.sign())));
    r.add("round", f1::<Numeric, Numeric>(|v| v.round(0)));
    r.add("round", f2::<Numeric, Int4, Numeric>(|v, n| v.round(n)));
    r.add("trunc", f1::<Numeric, Numeric>(|v| v.trunc(0)));
    r.add("trunc", f2::<Numeric, Int4, Numeric>(|v, n| v.trunc(n)));
    r.add(
        "div",
        f2::<Numeric, Numeric, Numeric>(|a, b| a.div_trunc(&b)),
    );
    r.add(
        "scale",
        o1::<Numeric, Int4>(|_, v| Ok(matches!(v, N::Finite(_)).then(|| v.dscale() as i32))),
    );
    r.add(
        "min_scale",
        o1::<Numeric, Int4>(|_, v| {
            Ok(matches!(v, N::Finite(_)).then(|| v.trim_scale().dscale() as i32))
        }),
    );
    r.add("trim_scale", f1::<Numeric, Numeric>(|v| Ok(v.trim_scale())));
    r.add("factorial", f1::<Int8, Numeric>(N::factorial));
    r.add("gcd", f2::<Int8, Int8, Int8>(gcd));
    r.add(
        "gcd",
        f2::<Int4, Int4, Int4>(|a, b| {
            i32::try_from(gcd(a as i64, b as i64)?)
                .map_err(|_| crate::types::cast::out_of_range(&PgType::Int4))
        }),
    );
    r.add("lcm", f2::<Int8, Int8, Int8>(lcm));
    r.add(
        "lcm",
        f2::<Int4, Int4, Int4>(|a, b| {
            i32::try_from(lcm(a as i64, b as i64)?)
                .map_err(|_| crate::types::cast::out_of_range(&PgType::Int4))
        }),
    );
    r.add(
        "width_bucket",
        f4::<Float8, Float8, Float8, Int4, Int4>(width_bucket),
    );
}
