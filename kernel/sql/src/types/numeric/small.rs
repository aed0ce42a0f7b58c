//! Numerics whose coefficient has a place in 128 bits: nearly all there are, and without allocation.
//!
//! What an operation gives is what [`Numeric`](super::Numeric) gives, or `None`, when the result has no
//! place here and `Numeric` has to be asked.

use arrow::array::{Array, AsArray};
use arrow::datatypes::{DataType, Decimal128Type};

use super::{DSCALE_MAX, Numeric, encoding};

/// `coefficient × 10^-dscale`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Small {
    pub coefficient: i128,
    pub dscale: u16,
}

impl Small {
    /// A value of a numeric column that is not NULL.
    pub fn at(column: &dyn Array, row: usize) -> Option<Small> {
        match column.data_type() {
            DataType::LargeBinary => encoding::decode_small(column.as_binary::<i64>().value(row)),
            DataType::Decimal128(_, scale) => Some(Small {
                coefficient: column.as_primitive::<Decimal128Type>().value(row),
                dscale: u16::try_from(*scale).ok()?,
            }),
            _ => None,
        }
    }

    /// The same value with at least so many digits after the point.
    fn scaled(self, dscale: u16) -> Option<i128> {
        match u32::from(dscale.saturating_sub(self.dscale)) {
            0 => Some(self.coefficient),
            zeros => self.coefficient.checked_mul(10i128.checked_pow(zeros)?),
        }
    }

    pub fn checked_add(self, other: Small) -> Option<Small> {
        let dscale = self.dscale.max(other.dscale);
        let sum = self.scaled(dscale)?.checked_add(other.scaled(dscale)?);
        sum.map(|coefficient| Small {
            coefficient,
            dscale,
        })
    }

    pub fn checked_sub(self, other: Small) -> Option<Small> {
        let coefficient = other.coefficient.checked_neg()?;
        self.checked_add(Small {
            coefficient,
            ..other
        })
    }

    pub fn checked_mul(self, other: Small) -> Option<Small> {
        let dscale = self.dscale.checked_add(other.dscale)?;
        let coefficient = self.coefficient.checked_mul(other.coefficient)?;
        (i64::from(dscale) <= DSCALE_MAX).then_some(Small {
            coefficient,
            dscale,
        })
    }
}

impl From<Small> for Numeric {
    fn from(small: Small) -> Numeric {
        Numeric::new(small.coefficient.into(), small.dscale)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn arbitrary() -> impl Strategy<Value = Small> {
        let coefficient = prop_oneof![
            any::<i128>(),
            any::<i64>().prop_map(i128::from),
            -100i128..100
        ];
        (coefficient, 0u16..50).prop_map(|(coefficient, dscale)| Small {
            coefficient,
            dscale,
        })
    }

    proptest! {
        #[test]
        fn results_are_those_of_any_length(a in arbitrary(), b in arbitrary()) {
            let (x, y) = (Numeric::from(a), Numeric::from(b));
            for (small, any) in [
                (a.checked_add(b), x.add(&y)),
                (a.checked_sub(b), x.sub(&y)),
                (a.checked_mul(b), x.mul(&y)),
            ] {
                if let Some(small) = small {
                    prop_assert_eq!(Numeric::from(small).to_string(), any.unwrap().to_string());
                }
            }
        }

        #[test]
        fn bytes_are_those_of_any_length(a in arbitrary()) {
            let mut bytes = Vec::new();
            encoding::encode_small(a, &mut bytes);
            prop_assert_eq!(&bytes, &encoding::encode_to_vec(&a.into()));
            if let Some(back) = encoding::decode_small(&bytes) {
                prop_assert_eq!(back, a);
            }
        }
    }

    #[test]
    fn values_of_money_are_small() {
        let price = Small {
            coefficient: 1_234_567_890,
            dscale: 2,
        };
        let mut bytes = Vec::new();
        encoding::encode_small(price, &mut bytes);
        assert_eq!(encoding::decode_small(&bytes), Some(price));
    }
}
