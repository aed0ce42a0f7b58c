//! Arithmetic on [`Numeric`] with the result scales of PostgreSQL's `numeric.c`.
//!
//! PostgreSQL keeps base-10⁴ digits, and its scale rules (`select_div_scale`, `numeric_sqrt`,
//! `power_var_int`, …) look at the *weight* of the first such digit. [`leading_group`] computes that
//! from the decimal coefficient, so the rules can be followed to the letter.

use num_bigint::{BigInt, Sign};
use num_integer::Integer;
use num_traits::{One, Signed, ToPrimitive, Zero};

use super::{DSCALE_MAX, Decimal, INTEGER_DIGITS_MAX, Numeric, digits, overflow, pow10};
use crate::error::{Result, SqlError, state};

/// `NUMERIC_MIN_SIG_DIGITS`: significant digits an inexact result has at least.
const MIN_SIG_DIGITS: i64 = 16;
/// `NUMERIC_MAX_DISPLAY_SCALE` and `NUMERIC_MAX_RESULT_SCALE` bound inexact results.
const MAX_DISPLAY_SCALE: i64 = 1000;
const MAX_RESULT_SCALE: i64 = 2000;
/// Decimal digits of one base-10⁴ digit (`DEC_DIGITS`).
const DEC_DIGITS: i64 = 4;

/// Brings a coefficient from one scale to another, rounding half away from zero.
pub fn rescale(coefficient: &BigInt, from: i64, to: i64) -> BigInt {
    if to >= from {
        return coefficient * pow10((to - from) as u32);
    }
    let cut = from - to;
    // Everything is cut away, and what is left is below one half.
    if cut > digits(coefficient) + 1 {
        return BigInt::zero();
    }
    div_round(coefficient, &pow10(cut as u32))
}

fn div_round(n: &BigInt, d: &BigInt) -> BigInt {
    let (q, r) = n.div_rem(d);
    if r.abs() * 2u8 >= d.abs() {
        if (n.sign() == Sign::Minus) == (d.sign() == Sign::Minus) {
            q + 1
        } else {
            q - 1
        }
    } else {
        q
    }
}

/// The weight and value of the first base-10⁴ digit of |v|; zero has weight 0 and digit 0.
fn leading_group(d: &Decimal) -> (i64, i64) {
    let n = digits(&d.coefficient);
    if n == 0 {
        return (0, 0);
    }
    // The first decimal digit stands for 10^exponent.
    let exponent = n - 1 - d.dscale as i64;
    let weight = exponent.div_euclid(DEC_DIGITS);
    let places = exponent - weight * DEC_DIGITS + 1;
    let drop = n - places;
    let magnitude = d.coefficient.abs();
    let group = if drop >= 0 {
        magnitude / pow10(drop as u32)
    } else {
        magnitude * pow10((-drop) as u32)
    };
    (weight, group.to_i64().unwrap_or(0))
}

/// `select_div_scale`.
fn div_scale(a: &Decimal, b: &Decimal) -> i64 {
    let (weight_a, first_a) = leading_group(a);
    let (weight_b, first_b) = leading_group(b);
    let mut weight = weight_a - weight_b;
    if first_a <= first_b {
        weight -= 1;
    }
    (MIN_SIG_DIGITS - weight * DEC_DIGITS)
        .max(a.dscale as i64)
        .max(b.dscale as i64)
        .clamp(0, MAX_DISPLAY_SCALE)
}

fn division_by_zero() -> SqlError {
    SqlError::new(state::DIVISION_BY_ZERO, "division by zero")
}

fn finite(coefficient: BigInt, scale: i64) -> Result<Numeric> {
    let (coefficient, scale) = if scale > DSCALE_MAX {
        (rescale(&coefficient, scale, DSCALE_MAX), DSCALE_MAX)
    } else {
        (coefficient, scale)
    };
    if digits(&coefficient) - scale > INTEGER_DIGITS_MAX {
        return Err(overflow());
    }
    Ok(Numeric::new(coefficient, scale as u16))
}

fn infinity(negative: bool) -> Numeric {
    if negative {
        Numeric::NegInfinity
    } else {
        Numeric::Infinity
    }
}

fn align(a: &Decimal, b: &Decimal) -> (BigInt, BigInt, u16) {
    let scale = a.dscale.max(b.dscale);
    (
        rescale(&a.coefficient, a.dscale as i64, scale as i64),
        rescale(&b.coefficient, b.dscale as i64, scale as i64),
        scale,
    )
}

impl Numeric {
    pub fn neg(&self) -> Numeric {
        match self {
            Numeric::NaN => Numeric::NaN,
            Numeric::Infinity => Numeric::NegInfinity,
            Numeric::NegInfinity => Numeric::Infinity,
            Numeric::Finite(d) => Numeric::new(-&d.coefficient, d.dscale),
        }
    }

    pub fn abs(&self) -> Numeric {
        if self.is_negative() {
            self.neg()
        } else {
            self.clone()
        }
    }

    /// -1, 0 or 1; NaN stays NaN.
    pub fn sign(&self) -> Numeric {
        match self {
            Numeric::NaN => Numeric::NaN,
            n if n.is_zero() => Numeric::zero(),
            n if n.is_negative() => Numeric::from_i64(-1),
            _ => Numeric::from_i64(1),
        }
    }

    pub fn add(&self, other: &Numeric) -> Result<Numeric> {
        use Numeric::*;
        match (self, other) {
            (Finite(a), Finite(b)) => {
                let (x, y, scale) = align(a, b);
                finite(x + y, scale as i64)
            }
            (NaN, _) | (_, NaN) | (Infinity, NegInfinity) | (NegInfinity, Infinity) => Ok(NaN),
            (Infinity, _) | (_, Infinity) => Ok(Infinity),
            _ => Ok(NegInfinity),
        }
    }

    pub fn sub(&self, other: &Numeric) -> Result<Numeric> {
        self.add(&other.neg())
    }

    pub fn mul(&self, other: &Numeric) -> Result<Numeric> {
        use Numeric::*;
        match (self, other) {
            (Finite(a), Finite(b)) => finite(
                &a.coefficient * &b.coefficient,
                a.dscale as i64 + b.dscale as i64,
            ),
            (NaN, _) | (_, NaN) => Ok(NaN),
            (a, b) if a.is_zero() || b.is_zero() => Ok(NaN),
            (a, b) => Ok(infinity(a.is_negative() != b.is_negative())),
        }
    }

    pub fn div(&self, other: &Numeric) -> Result<Numeric> {
        use Numeric::*;
        match (self, other) {
            (NaN, _) | (_, NaN) => Ok(NaN),
            (Finite(a), Finite(b)) => {
                if b.coefficient.is_zero() {
                    return Err(division_by_zero());
                }
                divide(a, b, div_scale(a, b))
            }
            (_, b) if b.is_zero() => Err(division_by_zero()),
            (Finite(_), _) => Ok(Numeric::zero()),
            (a, Finite(_)) => Ok(infinity(a.is_negative() != other.is_negative())),
            _ => Ok(NaN),
        }
    }

    /// `div()`: the quotient truncated to an integer.
    pub fn div_trunc(&self, other: &Numeric) -> Result<Numeric> {
        match (self, other) {
            (Numeric::Finite(a), Numeric::Finite(b)) => {
                if b.coefficient.is_zero() {
                    return Err(division_by_zero());
                }
                let (x, y, _) = align(a, b);
                finite(x / y, 0)
            }
            _ => self.div(other)?.trunc(0),
        }
    }

    /// The remainder, with the sign of the dividend.
    pub fn rem(&self, other: &Numeric) -> Result<Numeric> {
        use Numeric::*;
        match (self, other) {
            (NaN, _) | (_, NaN) => Ok(NaN),
            (_, b) if b.is_zero() => Err(division_by_zero()),
            (Finite(a), Finite(b)) => {
                let (x, y, scale) = align(a, b);
                finite(x % y, scale as i64)
            }
            (Finite(_), _) => Ok(self.clone()),
            _ => Ok(NaN),
        }
    }

    /// Half away from zero; a negative scale rounds before the point.
    pub fn round(&self, scale: i32) -> Result<Numeric> {
        self.at_scale(scale, rescale)
    }

    pub fn trunc(&self, scale: i32) -> Result<Numeric> {
        self.at_scale(scale, |c, from, to| {
            if to >= from {
                c * pow10((to - from) as u32)
            } else if from - to > digits(c) {
                BigInt::zero()
            } else {
                c / pow10((from - to) as u32)
            }
        })
    }

    fn at_scale(&self, scale: i32, cut: impl Fn(&BigInt, i64, i64) -> BigInt) -> Result<Numeric> {
        let Numeric::Finite(d) = self else {
            return Ok(self.clone());
        };
        let scale = (scale as i64).clamp(-MAX_RESULT_SCALE, MAX_RESULT_SCALE);
        let cut = cut(&d.coefficient, d.dscale as i64, scale);
        if scale >= 0 {
            finite(cut, scale)
        } else {
            finite(cut * pow10((-scale) as u32), 0)
        }
    }

    pub fn floor(&self) -> Result<Numeric> {
        self.at_scale(0, |c, from, _| c.div_floor(&pow10(from as u32)))
    }

    pub fn ceil(&self) -> Result<Numeric> {
        self.at_scale(0, |c, from, _| -((-c).div_floor(&pow10(from as u32))))
    }

    /// The smallest scale that shows the value exactly (`min_scale`).
    pub fn trim_scale(&self) -> Numeric {
        let Numeric::Finite(d) = self else {
            return self.clone();
        };
        let (mut c, mut scale) = (d.coefficient.clone(), d.dscale);
        if c.is_zero() {
            return Numeric::zero();
        }
        let ten = BigInt::from(10);
        while scale > 0 {
            let (q, r) = c.div_rem(&ten);
            if !r.is_zero() {
                break;
            }
            c = q;
            scale -= 1;
        }
        Numeric::new(c, scale)
    }

    /// `sqrt`, with `numeric_sqrt`'s scale.
    pub fn sqrt(&self) -> Result<Numeric> {
        let d = match self {
            Numeric::Finite(d) if d.coefficient.sign() != Sign::Minus => d,
            Numeric::NaN => return Ok(Numeric::NaN),
            Numeric::Infinity => return Ok(Numeric::Infinity),
            _ => {
                return Err(SqlError::new(
                    crate::error::SqlState::new("2201F"),
                    "cannot take square root of a negative number",
                ));
            }
        };
        let (weight, _) = leading_group(d);
        let sweight = (weight + 1) * DEC_DIGITS / 2 - 1;
        let scale = (MIN_SIG_DIGITS - sweight)
            .max(d.dscale as i64)
            .clamp(0, MAX_DISPLAY_SCALE);
        // One digit more than wanted, at an even scale under the root.
        let radicand = rescale(&d.coefficient, d.dscale as i64, 2 * (scale + 1));
        let radicand = if 2 * (scale + 1) < d.dscale as i64 {
            d.coefficient.clone()
        } else {
            radicand
        };
        finite(rescale(&radicand.sqrt(), scale + 1, scale), scale)
    }

    /// `exp`, with `numeric_exp`'s scale.
    pub fn exp(&self) -> Result<Numeric> {
        let d = match self {
            Numeric::Finite(d) => d,
            Numeric::NegInfinity => return Ok(Numeric::zero()),
            other => return Ok(other.clone()),
        };
        let magnitude = (self.to_f64() * std::f64::consts::LOG10_E).clamp(-2000.0, 200_000.0);
        if magnitude > INTEGER_DIGITS_MAX as f64 {
            return Err(overflow());
        }
        let scale = (MIN_SIG_DIGITS - magnitude as i64)
            .max(d.dscale as i64)
            .clamp(0, MAX_DISPLAY_SCALE);
        let work = scale + magnitude.max(0.0) as i64 + 12;
        finite(rescale(&exp_fixed(d, work), work, scale), scale)
    }

    /// Natural logarithm, with `numeric_ln`'s scale.
    pub fn ln(&self) -> Result<Numeric> {
        let d = match self {
            Numeric::NaN | Numeric::Infinity => return Ok(self.clone()),
            Numeric::NegInfinity => return Err(log_domain(true)),
            Numeric::Finite(d) => d,
        };
        check_log_domain(d)?;
        let scale = (MIN_SIG_DIGITS - ln_weight(self))
            .max(d.dscale as i64)
            .clamp(0, MAX_DISPLAY_SCALE);
        let work = scale + 12;
        finite(rescale(&ln_fixed(d, work), work, scale), scale)
    }

    /// Logarithm to a base, with `log_var`'s scale.
    pub fn log(&self, base: &Numeric) -> Result<Numeric> {
        let (Numeric::Finite(x), Numeric::Finite(b)) = (self, base) else {
            if self.is_nan() || base.is_nan() {
                return Ok(Numeric::NaN);
            }
            if self.is_negative() || base.is_negative() {
                return Err(log_domain(true));
            }
            return Ok(match (self, base) {
                (Numeric::Infinity, Numeric::Infinity) => Numeric::NaN,
                (Numeric::Infinity, _) => Numeric::Infinity,
                _ => Numeric::zero(),
            });
        };
        check_log_domain(b)?;
        check_log_domain(x)?;
        let quotient = self.to_f64().ln() / base.to_f64().ln();
        let weight = if quotient.is_finite() && quotient != 0.0 {
            quotient.abs().log10().floor() as i64
        } else {
            0
        };
        let scale = (MIN_SIG_DIGITS - weight)
            .max(b.dscale as i64)
            .max(x.dscale as i64)
            .clamp(0, MAX_DISPLAY_SCALE);
        let work = scale + 24;
        let (num, den) = (ln_fixed(x, work), ln_fixed(b, work));
        if den.is_zero() {
            return Err(division_by_zero());
        }
        finite(div_round(&(num * pow10(scale as u32)), &den), scale)
    }

    /// `power`, with the scales of `power_var` and `power_var_int`.
    pub fn power(&self, exponent: &Numeric) -> Result<Numeric> {
        let domain =
            |message: &str| Err(SqlError::new(crate::error::SqlState::new("2201F"), message));
        let one = || Ok(Numeric::from_i64(1));
        let (b, e) = match (self, exponent) {
            (Numeric::Finite(b), Numeric::Finite(e)) => (b, e),
            (_, e) if e.is_zero() => return one(),
            (b, _) if b.compare(&Numeric::from_i64(1)).is_eq() => return one(),
            (Numeric::NaN, _) | (_, Numeric::NaN) => return Ok(Numeric::NaN),
            (b, e @ (Numeric::Infinity | Numeric::NegInfinity)) => {
                let cmp = b.abs().compare(&Numeric::from_i64(1));
                if cmp.is_eq() {
                    return one();
                }
                let grows = cmp.is_gt() == (matches!(e, Numeric::Infinity));
                return Ok(if grows {
                    Numeric::Infinity
                } else {
                    Numeric::zero()
                });
            }
            (b, e) => {
                if e.is_negative() {
                    return Ok(Numeric::zero());
                }
                let odd = e
                    .rem(&Numeric::from_i64(2))?
                    .abs()
                    .compare(&Numeric::from_i64(1))
                    .is_eq();
                return Ok(infinity(b.is_negative() && odd));
            }
        };
        let integer = exponent.trunc(0)?.compare(exponent).is_eq();
        if b.coefficient.is_zero() {
            if e.coefficient.sign() == Sign::Minus {
                return domain("zero raised to a negative power is undefined");
            }
        } else if self.is_negative() && !integer {
            return domain(
                "a negative number raised to a non-integer power yields a complex result",
            );
        }
        if integer && let Some(n) = exponent.to_i128().and_then(|n| i32::try_from(n).ok()) {
            return power_integer(self, b, n, e.dscale);
        }
        if b.coefficient.is_zero() {
            return finite(BigInt::zero(), MIN_SIG_DIGITS);
        }
        let magnitude = exponent.to_f64() * self.abs().to_f64().log10();
        if magnitude > INTEGER_DIGITS_MAX as f64 {
            return Err(overflow());
        }
        let scale = (MIN_SIG_DIGITS - magnitude.max(-2000.0) as i64)
            .max(b.dscale as i64)
            .max(e.dscale as i64)
            .clamp(0, MAX_DISPLAY_SCALE);
        let work = scale + magnitude.max(0.0) as i64 + 24 + digits(&e.coefficient);
        let positive = Decimal {
            coefficient: b.coefficient.abs(),
            dscale: b.dscale,
        };
        let product = ln_fixed(&positive, work) * &e.coefficient;
        let argument = rescale(&product, work + e.dscale as i64, work);
        let argument = exp_scaled(&argument, work);
        finite(rescale(&argument, work, scale), scale)
    }

    /// n! as `factorial` computes it.
    pub fn factorial(n: i64) -> Result<Numeric> {
        if n < 0 {
            return Err(SqlError::new(
                state::NUMERIC_VALUE_OUT_OF_RANGE,
                "factorial of a negative number is undefined",
            ));
        }
        if n > 32_177 {
            return Err(overflow());
        }
        let mut product = BigInt::one();
        for i in 2..=n {
            product *= i;
        }
        finite(product, 0)
    }
}

fn divide(a: &Decimal, b: &Decimal, scale: i64) -> Result<Numeric> {
    // a / b at `scale`: (a.c × 10^(scale + b.s - a.s)) / b.c
    let shift = scale + b.dscale as i64 - a.dscale as i64;
    let (n, d) = if shift >= 0 {
        (&a.coefficient * pow10(shift as u32), b.coefficient.clone())
    } else {
        (
            a.coefficient.clone(),
            &b.coefficient * pow10((-shift) as u32),
        )
    };
    finite(div_round(&n, &d), scale)
}

/// sum / count, as `avg` ends: the scale is that of a division by an integer.
pub fn average(sum: &Numeric, count: i64) -> Result<Numeric> {
    sum.div(&Numeric::from_i64(count))
}

fn log_domain(negative: bool) -> SqlError {
    SqlError::new(
        crate::error::SqlState::new("2201E"),
        if negative {
            "cannot take logarithm of a negative number"
        } else {
            "cannot take logarithm of zero"
        },
    )
}

fn check_log_domain(d: &Decimal) -> Result<()> {
    match d.coefficient.sign() {
        Sign::Minus => Err(log_domain(true)),
        Sign::NoSign => Err(log_domain(false)),
        Sign::Plus => Ok(()),
    }
}

/// `estimate_ln_dweight`: the decimal weight of ln(x).
fn ln_weight(x: &Numeric) -> i64 {
    let f = x.to_f64();
    let ln = if (0.9..=1.1).contains(&f) {
        // Too close to 1 for the double's own digits: ln(x) ≈ x - 1.
        match x.sub(&Numeric::from_i64(1)) {
            Ok(Numeric::Finite(d)) if !d.coefficient.is_zero() => {
                return digits(&d.coefficient) - 1 - d.dscale as i64;
            }
            _ => return 0,
        }
    } else if f.is_finite() && f > 0.0 {
        f.ln()
    } else if let Numeric::Finite(d) = x {
        (digits(&d.coefficient) - d.dscale as i64) as f64 * std::f64::consts::LN_10
    } else {
        1.0
    };
    ln.abs().log10() as i64
}

/// e^x at fixed-point scale `work`.
fn exp_fixed(x: &Decimal, work: i64) -> BigInt {
    exp_scaled(&rescale(&x.coefficient, x.dscale as i64, work), work)
}

fn exp_scaled(x: &BigInt, work: i64) -> BigInt {
    // Halve until small, Taylor, square back; each squaring loses a bit, hence the guard digits.
    let guard = 30 + (digits(x) - work).max(0);
    let scale = work + guard;
    let unit = pow10(scale as u32);
    let mut r = x * pow10(guard as u32);
    let mut halvings = 0u32;
    let tenth = pow10((scale - 2).max(0) as u32);
    while r.abs() > tenth {
        r = r.div_floor(&BigInt::from(2));
        halvings += 1;
    }
    let mut sum = &unit + &r;
    let mut term = r.clone();
    let mut n = 2u32;
    while !term.is_zero() && n < 10_000 {
        term = (&term * &r) / &unit / n;
        sum += &term;
        n += 1;
        if term.abs() <= BigInt::one() {
            break;
        }
    }
    for _ in 0..halvings {
        sum = (&sum * &sum) / &unit;
    }
    rescale(&sum, scale, work)
}

/// ln(x) at fixed-point scale `work`, for x > 0.
fn ln_fixed(x: &Decimal, work: i64) -> BigInt {
    let guard = 30;
    let scale = work + guard;
    let unit = pow10(scale as u32);
    // x = m × 10^k with m in [0.1, 1) moved to near 1 by square roots; ln x = ln m + k ln 10.
    let k = digits(&x.coefficient) - x.dscale as i64;
    let near_one = (0..=1).contains(&k) && {
        let f = Numeric::Finite(x.clone()).to_f64();
        (0.5..2.0).contains(&f)
    };
    let (m, k) = if near_one {
        (rescale(&x.coefficient, x.dscale as i64, scale), 0)
    } else {
        // Bring the first digit right after the point.
        (rescale(&x.coefficient, digits(&x.coefficient), scale), k)
    };
    let mut ln = ln_small(&m, scale, &unit);
    if k != 0 {
        let ten = &unit * 10;
        ln += ln_small(&ten, scale, &unit) * k;
    }
    rescale(&ln, scale, work)
}

/// ln of a fixed-point value of moderate size by repeated square roots and the atanh series.
fn ln_small(m: &BigInt, scale: i64, unit: &BigInt) -> BigInt {
    let mut m = m.clone();
    let mut roots = 0u32;
    let bound = pow10((scale - 1).max(0) as u32);
    while (&m - unit).abs() > bound {
        m = (m * unit).sqrt();
        roots += 1;
    }
    // ln m = 2 atanh((m - 1) / (m + 1))
    let z = ((&m - unit) * unit) / (&m + unit);
    let z2 = (&z * &z) / unit;
    let mut power = z.clone();
    let mut sum = z;
    let mut n = 3u32;
    while !power.is_zero() && n < 100_000 {
        power = (&power * &z2) / unit;
        sum += &power / n;
        n += 2;
    }
    (sum * 2u8) << roots
}

fn power_integer(
    base: &Numeric,
    b: &Decimal,
    exponent: i32,
    exponent_dscale: u16,
) -> Result<Numeric> {
    let n = digits(&b.coefficient);
    let log10 = if n == 0 {
        0.0
    } else {
        let lead = n.min(17);
        let head = (b.coefficient.abs() / pow10((n - lead) as u32))
            .to_f64()
            .unwrap_or(1.0);
        head.log10() + (n - lead - b.dscale as i64) as f64
    };
    let magnitude = log10 * exponent as f64;
    if magnitude > INTEGER_DIGITS_MAX as f64 {
        return Err(overflow());
    }
    if magnitude + 1.0 < -(MAX_DISPLAY_SCALE as f64) {
        return finite(BigInt::zero(), MAX_DISPLAY_SCALE);
    }
    let scale = (MIN_SIG_DIGITS - magnitude as i64)
        .max(b.dscale as i64)
        .max(exponent_dscale as i64)
        .clamp(0, MAX_DISPLAY_SCALE);
    match exponent {
        0 => return finite(pow10(scale as u32), scale),
        1 => return base.round(scale as i32),
        -1 => {
            return divide(
                &Decimal {
                    coefficient: BigInt::one(),
                    dscale: 0,
                },
                b,
                scale,
            );
        }
        _ => {}
    }
    if n == 0 {
        return finite(BigInt::zero(), scale);
    }
    // Exact while that stays affordable; otherwise floating decimals with guard digits.
    let exact_digits = n.saturating_mul(exponent.unsigned_abs() as i64);
    if exact_digits < 20_000 {
        let power = Decimal {
            coefficient: b.coefficient.pow(exponent.unsigned_abs()),
            dscale: 0,
        };
        let power_scale = b.dscale as i64 * exponent.unsigned_abs() as i64;
        return if exponent > 0 {
            finite(rescale(&power.coefficient, power_scale, scale), scale)
        } else {
            let n = pow10((power_scale + scale) as u32);
            finite(div_round(&n, &power.coefficient), scale)
        };
    }
    let keep = scale + magnitude.max(0.0) as i64 + 24;
    let shorten = |c: BigInt, s: i64| {
        let excess = digits(&c) - keep;
        if excess > 0 {
            (rescale(&c, excess, 0), s - excess)
        } else {
            (c, s)
        }
    };
    let mut result = (BigInt::one(), 0i64);
    let mut square = shorten(b.coefficient.clone(), b.dscale as i64);
    let mut e = exponent.unsigned_abs();
    while e > 0 {
        if e & 1 == 1 {
            result = shorten(&result.0 * &square.0, result.1 + square.1);
        }
        square = shorten(&square.0 * &square.0, square.1 * 2);
        e >>= 1;
    }
    if exponent > 0 {
        finite(rescale(&result.0, result.1, scale), scale)
    } else {
        let shift = result.1 + scale;
        if shift < 0 {
            return finite(BigInt::zero(), scale);
        }
        finite(div_round(&pow10(shift as u32), &result.0), scale)
    }
}
