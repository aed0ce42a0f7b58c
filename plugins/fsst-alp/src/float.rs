//! The two types of floats, as the schemes see them: as bits that must come back, and as decimals.

use std::cmp::Ordering;
use std::sync::Arc;

use alp::{ALPFloat, ALPRDFloat, Exponents};
use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Float64Type};
use arrow_array::{Array, ArrayRef, ArrowPrimitiveType, PrimitiveArray};
use arrow_buffer::{ArrowNativeType, ScalarBuffer};
use heliosdb_plugin_api::Result;

use crate::frame::{Kind, Reader, damaged};
use crate::nulls::Rows;
use crate::predicate::Predicate;

pub trait Float: ALPFloat + ALPRDFloat + ArrowNativeType {
    type Arrow: ArrowPrimitiveType<Native = Self>;
    const KIND: Kind;
    const BYTES: usize;

    fn bits(self) -> u64;

    /// The lowest of these bits.
    fn of_bits(bits: u64) -> Self;

    /// The decimal of these digits. Rises with them.
    fn decimal(digits: i64, exponents: Exponents) -> Self;

    /// The digits that come nearest.
    fn digits(self, exponents: Exponents) -> i64;

    fn le_bytes(self) -> impl Iterator<Item = u8> {
        self.bits().to_le_bytes().into_iter().take(Self::BYTES)
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self> {
        let mut bytes = [0; 8];
        bytes[..Self::BYTES].copy_from_slice(reader.take(Self::BYTES)?);
        Ok(Self::of_bits(u64::from_le_bytes(bytes)))
    }
}

impl Float for f64 {
    type Arrow = Float64Type;
    const KIND: Kind = Kind::Float64;
    const BYTES: usize = 8;

    fn bits(self) -> u64 {
        f64::to_bits(self)
    }

    fn of_bits(bits: u64) -> f64 {
        f64::from_bits(bits)
    }

    fn decimal(digits: i64, exponents: Exponents) -> f64 {
        alp::decode_single(digits, exponents)
    }

    fn digits(self, exponents: Exponents) -> i64 {
        alp::encode_single_unchecked(self, exponents)
    }
}

impl Float for f32 {
    type Arrow = Float32Type;
    const KIND: Kind = Kind::Float32;
    const BYTES: usize = 4;

    fn bits(self) -> u64 {
        f32::to_bits(self).into()
    }

    fn of_bits(bits: u64) -> f32 {
        f32::from_bits(bits as u32)
    }

    fn decimal(digits: i64, exponents: Exponents) -> f32 {
        // What an encoder here made has 32 bits. Other digits must still rise.
        let digits = digits.clamp(i32::MIN.into(), i32::MAX.into()) as i32;
        alp::decode_single(digits, exponents)
    }

    fn digits(self, exponents: Exponents) -> i64 {
        alp::encode_single_unchecked(self, exponents).into()
    }
}

/// PostgreSQL's order: zeros are equal, and NaNs are, which are above everything.
pub fn order<F: Float>(a: F, b: F) -> Ordering {
    a.partial_cmp(&b)
        .unwrap_or_else(|| a.is_nan().cmp(&b.is_nan()))
}

/// Whether a float meets a predicate; `None` for one of strings.
pub fn holds<F: Float>(predicate: &Predicate<F>, float: F) -> Option<bool> {
    let equals = |other: &F| order(float, *other).is_eq();
    match predicate {
        Predicate::Order(orders, constant) => Some(orders.holds(order(float, *constant))),
        Predicate::In(list) => Some(list.iter().any(equals)),
        Predicate::StartsWith(_) => None,
    }
}

/// The floats of a block that are not NULL; `None` when it holds others, or none.
pub fn floats<F: Float>(block: &ArrayRef) -> Option<Vec<F>> {
    let array = block.as_primitive_opt::<F::Arrow>()?;
    Some(match array.null_count() {
        0 => array.values().to_vec(),
        _ => array.iter().flatten().collect(),
    })
}

/// An array of these floats and the NULLs of `rows`.
pub fn array<F: Float>(floats: Vec<F>, rows: &Rows) -> Result<ArrayRef> {
    if floats.len() != rows.values() {
        return Err(damaged("it has another number of floats"));
    }
    let values = ScalarBuffer::from(rows.spread(floats, F::default()));
    let array = PrimitiveArray::<F::Arrow>::try_new(values, rows.nulls().cloned());
    Ok(Arc::new(
        array.map_err(|_| damaged("its floats are no column"))?,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nans_are_above_everything_and_equal() {
        let rising = [f64::NEG_INFINITY, -1.0, 0.0, 1.0, f64::INFINITY, f64::NAN];
        for (i, a) in rising.into_iter().enumerate() {
            for (j, b) in rising.into_iter().enumerate() {
                assert_eq!(order(a, b), i.cmp(&j), "{a} {b}");
            }
        }
        assert_eq!(order(-0.0f32, 0.0), Ordering::Equal);
        assert_eq!(order(-f64::NAN, f64::NAN), Ordering::Equal);
    }
}
