//! Arithmetic and bit operators on numbers, checked as PostgreSQL checks them.
//!
//! | operator | types | implementation |
//! |---|---|---|
//! | `+ - *` | int2, int4, int8 | Arrow's checked kernels, `22003` |
//! | `+ - *` | decimals of fixed scale, result ≤ 38 digits | Arrow's decimal kernels |
//! | `+ - *` | numeric | [`Small`], or [`Numeric`](crate::types::Numeric) where 128 bits are too few |
//! | `/ %` | numeric | [`Numeric`](crate::types::Numeric) |
//! | `/ %` | ints | truncating, `22012` |
//! | all | float4, float8 | overflow and underflow are `22003` |

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, LargeBinaryBuilder};
use arrow::compute::kernels::numeric;
use arrow::datatypes::{DECIMAL128_MAX_PRECISION, DataType};
use arrow::error::ArrowError;
use datafusion::common::ScalarValue;
use datafusion::logical_expr::ColumnarValue;

use super::Registry;
use crate::error::{Result, SqlError, state};
use crate::semantics::kernel::*;
use crate::semantics::overload::{Call, Overload, Param, ResultType};
use crate::types::PgType;
use crate::types::cast::{numeric_at, out_of_range};
use crate::types::numeric::{Numeric as AnyNumeric, Small, encoding};

type ArrowKernel = fn(
    &dyn arrow::array::Datum,
    &dyn arrow::array::Datum,
) -> std::result::Result<ArrayRef, ArrowError>;

/// Runs an Arrow kernel on columns or scalars.
fn apply(kernel: ArrowKernel, args: &[ColumnarValue]) -> std::result::Result<ArrayRef, ArrowError> {
    let scalar = |s: &datafusion::common::ScalarValue| {
        s.to_scalar()
            .map_err(|e| ArrowError::ComputeError(e.to_string()))
    };
    match (&args[0], &args[1]) {
        (ColumnarValue::Array(a), ColumnarValue::Array(b)) => kernel(a, b),
        (ColumnarValue::Array(a), ColumnarValue::Scalar(b)) => kernel(a, &scalar(b)?),
        (ColumnarValue::Scalar(a), ColumnarValue::Array(b)) => kernel(&scalar(a)?, b),
        (ColumnarValue::Scalar(a), ColumnarValue::Scalar(b)) => kernel(
            &a.to_array()
                .map_err(|e| ArrowError::ComputeError(e.to_string()))?,
            &b.to_array()
                .map_err(|e| ArrowError::ComputeError(e.to_string()))?,
        ),
    }
}

fn integer(ty: PgType, kernel: ArrowKernel) -> Overload {
    let result = ty.clone();
    overload(vec![ty.clone(), ty.clone()], result, move |args, _| {
        apply(kernel, args).map_err(|e| match e {
            ArrowError::DivideByZero => SqlError::new(state::DIVISION_BY_ZERO, "division by zero"),
            ArrowError::ArithmeticOverflow(_) => out_of_range(&ty),
            other => SqlError::internal(other),
        })
    })
}

fn value_out_of_range(what: &str) -> SqlError {
    SqlError::new(
        state::NUMERIC_VALUE_OUT_OF_RANGE,
        format!("value out of range: {what}"),
    )
}

fn division_by_zero() -> SqlError {
    SqlError::new(state::DIVISION_BY_ZERO, "division by zero")
}

/// A result that overflowed or underflowed though its arguments did not (`float8_pl` and kin).
pub fn check_float(result: f64, arguments_finite: bool, zero_allowed: bool) -> Result<f64> {
    if result.is_infinite() && arguments_finite {
        return Err(value_out_of_range("overflow"));
    }
    if result == 0.0 && !zero_allowed {
        return Err(value_out_of_range("underflow"));
    }
    Ok(result)
}

macro_rules! floats {
    ($r:ident, $A:ident, $B:ident, $R:ident, $t:ty) => {{
        let fin = |a: f64, b: f64| a.is_finite() && b.is_finite();
        let _ = fin;
        $r.add(
            "$+",
            f2::<$A, $B, $R>(|a, b| {
                let r = a as $t + b as $t;
                check_float(r as f64, a.is_finite() && b.is_finite(), true).map(|_| r)
            }),
        );
        $r.add(
            "$-",
            f2::<$A, $B, $R>(|a, b| {
                let r = a as $t - b as $t;
                check_float(r as f64, a.is_finite() && b.is_finite(), true).map(|_| r)
            }),
        );
        $r.add(
            "$*",
            f2::<$A, $B, $R>(|a, b| {
                let r = a as $t * b as $t;
                check_float(
                    r as f64,
                    a.is_finite() && b.is_finite(),
                    a == 0.0 || b == 0.0,
                )
                .map(|_| r)
            }),
        );
        $r.add(
            "$/",
            f2::<$A, $B, $R>(|a, b| {
                if b == 0.0 && !a.is_nan() {
                    return Err(division_by_zero());
                }
                let r = a as $t / b as $t;
                check_float(r as f64, a.is_finite(), a == 0.0 || b.is_infinite()).map(|_| r)
            }),
        );
    }};
}

/// The operator on values of any length, and on those that have a place in 128 bits.
#[derive(Clone, Copy)]
struct Exact {
    small: fn(Small, Small) -> Option<Small>,
    general: fn(&AnyNumeric, &AnyNumeric) -> Result<AnyNumeric>,
}

impl Exact {
    fn run(self, args: &[ColumnarValue], rows: usize) -> Result<ArrayRef> {
        let ((a, a_step), (b, b_step)) = (expand(&args[0])?, expand(&args[1])?);
        let mut out = LargeBinaryBuilder::with_capacity(rows, rows * 16);
        let mut buffer = Vec::new();
        for row in 0..rows {
            let (i, j) = (row * a_step, row * b_step);
            if a.is_null(i) || b.is_null(j) {
                out.append_null();
                continue;
            }
            buffer.clear();
            let small = Small::at(&a, i).zip(Small::at(&b, j));
            match small.and_then(|(a, b)| (self.small)(a, b)) {
                Some(small) => encoding::encode_small(small, &mut buffer),
                None => {
                    let (a, b) = (numeric_at(&a, i)?, numeric_at(&b, j)?);
                    encoding::encode(&(self.general)(&a, &b)?, &mut buffer);
                }
            }
            out.append_value(&buffer);
        }
        Ok(Arc::new(out.finish()))
    }
}

/// Operands of a sum or a difference of decimals. A constant gets the scale of the column it meets: at two
/// scales Arrow multiplies both operands in each row.
fn at_one_scale(args: &[ColumnarValue]) -> Option<[ColumnarValue; 2]> {
    let scaled = |constant: &ScalarValue, column: &ArrayRef| {
        let (ScalarValue::Decimal128(Some(value), precision, scale), DataType::Decimal128(_, to)) =
            (constant, column.data_type())
        else {
            return None;
        };
        let more = u8::try_from(to.checked_sub(*scale)?).ok()?;
        let precision = precision.checked_add(more);
        let precision = precision.filter(|p| *p <= DECIMAL128_MAX_PRECISION)?;
        let value = value.checked_mul(10i128.checked_pow(more.into())?)?;
        let constant = ScalarValue::Decimal128(Some(value), precision, *to);
        Some(ColumnarValue::Scalar(constant))
    };
    match args {
        [
            ColumnarValue::Scalar(constant),
            ColumnarValue::Array(column),
        ] => scaled(constant, column).map(|constant| [constant, args[1].clone()]),
        [
            ColumnarValue::Array(column),
            ColumnarValue::Scalar(constant),
        ] => scaled(constant, column).map(|constant| [args[0].clone(), constant]),
        _ => None,
    }
}

fn sum(args: &[ColumnarValue]) -> std::result::Result<ArrayRef, ArrowError> {
    let one = at_one_scale(args);
    apply(numeric::add, one.as_ref().map_or(args, |one| one))
}

fn difference(args: &[ColumnarValue]) -> std::result::Result<ArrayRef, ArrowError> {
    let one = at_one_scale(args);
    apply(numeric::sub, one.as_ref().map_or(args, |one| one))
}

fn product(args: &[ColumnarValue]) -> std::result::Result<ArrayRef, ArrowError> {
    apply(numeric::mul, args)
}

/// `numeric ⊕ numeric`: native when both are decimals and the result is sure to fit.
fn numeric_operator(
    result: fn(&[DataType]) -> DataType,
    native: fn(&[ColumnarValue]) -> std::result::Result<ArrayRef, ArrowError>,
    exact: Exact,
) -> Overload {
    polymorphic(
        vec![Param::Is(PgType::Numeric), Param::Is(PgType::Numeric)],
        false,
        ResultType::From(result),
        move |args: &[ColumnarValue], call: &Call<'_>| match call.result {
            DataType::Decimal128(p, s) => {
                let array = native(args).map_err(|e| match e {
                    ArrowError::ArithmeticOverflow(_) => SqlError::new(
                        state::NUMERIC_VALUE_OUT_OF_RANGE,
                        "value overflows numeric format",
                    ),
                    other => SqlError::internal(other),
                })?;
                if array.data_type() == call.result {
                    return Ok(array);
                }
                arrow::compute::cast(&array, &DataType::Decimal128(*p, *s))
                    .map_err(SqlError::internal)
            }
            _ => exact.run(args, call.rows),
        },
    )
}

fn parts(types: &[DataType]) -> Option<[(i32, i32); 2]> {
    match types {
        [DataType::Decimal128(p1, s1), DataType::Decimal128(p2, s2)] => {
            Some([(*p1 as i32, *s1 as i32), (*p2 as i32, *s2 as i32)])
        }
        _ => None,
    }
}

fn sum_type(types: &[DataType]) -> DataType {
    let Some([(p1, s1), (p2, s2)]) = parts(types) else {
        return DataType::LargeBinary;
    };
    let scale = s1.max(s2);
    let precision = (p1 - s1).max(p2 - s2) + scale + 1;
    if precision <= 38 {
        DataType::Decimal128(precision as u8, scale as i8)
    } else {
        DataType::LargeBinary
    }
}

fn product_type(types: &[DataType]) -> DataType {
    let Some([(p1, s1), (p2, s2)]) = parts(types) else {
        return DataType::LargeBinary;
    };
    if p1 + p2 < 38 {
        DataType::Decimal128((p1 + p2 + 1) as u8, (s1 + s2) as i8)
    } else {
        DataType::LargeBinary
    }
}

fn minus_type(types: &[DataType]) -> DataType {
    types.first().cloned().unwrap_or(DataType::LargeBinary)
}

pub fn register(r: &mut Registry) {
    for ty in [PgType::Int2, PgType::Int4, PgType::Int8] {
        r.add("$+", integer(ty.clone(), numeric::add));
        r.add("$-", integer(ty.clone(), numeric::sub));
        r.add("$*", integer(ty.clone(), numeric::mul));
        r.add("$/", integer(ty.clone(), numeric::div));
    }
    // Arrow's remainder of MIN % -1 overflows; PostgreSQL's is 0.
    macro_rules! integer_rest {
        ($($T:ident $t:ty;)*) => {$(
            for name in ["$%", "mod"] {
                r.add(name, f2::<$T, $T, $T>(|a, b| {
                    if b == 0 { Err(division_by_zero()) } else { Ok(a.wrapping_rem(b)) }
                }));
            }
            r.add("$-", f1::<$T, $T>(|a| a.checked_neg().ok_or_else(|| out_of_range(&PgType::$T))));
            r.add("$+", f1::<$T, $T>(|a| Ok(a)));
            r.add("abs", f1::<$T, $T>(|a| a.checked_abs().ok_or_else(|| out_of_range(&PgType::$T))));
            r.add("$&", f2::<$T, $T, $T>(|a, b| Ok(a & b)));
            r.add("$|", f2::<$T, $T, $T>(|a, b| Ok(a | b)));
            r.add("$#", f2::<$T, $T, $T>(|a, b| Ok(a ^ b)));
            r.add("$~", f1::<$T, $T>(|a| Ok(!a)));
            r.add("$<<", f2::<$T, Int4, $T>(|a, b| Ok(a.wrapping_shl(b as u32))));
            r.add("$>>", f2::<$T, Int4, $T>(|a, b| Ok(a.wrapping_shr(b as u32))));
        )*};
    }
    integer_rest! { Int2 i16; Int4 i32; Int8 i64; }
    floats!(r, Float4, Float4, Float4, f32);
    floats!(r, Float8, Float8, Float8, f64);
    floats!(r, Float4, Float8, Float8, f64);
    floats!(r, Float8, Float4, Float8, f64);
    r.add("$-", f1::<Float4, Float4>(|a| Ok(-a)));
    r.add("$-", f1::<Float8, Float8>(|a| Ok(-a)));
    r.add("$+", f1::<Float4, Float4>(Ok));
    r.add("$+", f1::<Float8, Float8>(Ok));
    r.add("abs", f1::<Float4, Float4>(|a| Ok(a.abs())));
    r.add("abs", f1::<Float8, Float8>(|a| Ok(a.abs())));

    type N = Numeric;
    r.add(
        "$+",
        numeric_operator(
            sum_type,
            sum,
            Exact {
                small: Small::checked_add,
                general: AnyNumeric::add,
            },
        ),
    );
    r.add(
        "$-",
        numeric_operator(
            sum_type,
            difference,
            Exact {
                small: Small::checked_sub,
                general: AnyNumeric::sub,
            },
        ),
    );
    r.add(
        "$*",
        numeric_operator(
            product_type,
            product,
            Exact {
                small: Small::checked_mul,
                general: AnyNumeric::mul,
            },
        ),
    );
    r.add("$/", f2::<N, N, N>(|a, b| a.div(&b)));
    for name in ["$%", "mod"] {
        r.add(name, f2::<N, N, N>(|a, b| a.rem(&b)));
    }
    let negate = f1::<N, N>(|a| Ok(a.neg())).kernel;
    r.add(
        "$-",
        polymorphic(
            vec![Param::Is(PgType::Numeric)],
            false,
            ResultType::From(minus_type),
            {
                move |args, call| match call.result {
                    DataType::Decimal128(_, _) => {
                        let (a, _) = expand(&args[0])?;
                        numeric::neg(&a).map_err(SqlError::internal)
                    }
                    _ => negate(args, call),
                }
            },
        ),
    );
    r.add("$+", f1::<N, N>(Ok));
    r.add("abs", f1::<N, N>(|a| Ok(a.abs())));
}
