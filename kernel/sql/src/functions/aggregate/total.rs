//! Sums of numerics of any length, for many groups at once.
//!
//! A [`Total`] is one `i128` at the largest scale seen for as long as it has a place in one, and no
//! allocation; what does not fit, and what is not finite, is added as a
//! [`Numeric`](crate::types::Numeric). Either way it is exact, and shows as many digits after the point as
//! PostgreSQL's sum: the most that any value had.
//!
//! What is summed is a column, or the product of two ([`Input`]).

use std::mem::size_of;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Decimal128Array, Int64Array, LargeBinaryArray,
    LargeBinaryBuilder,
};
use arrow::datatypes::{DataType, Decimal128Type, Int64Type};
use datafusion::common::{DataFusionError, Result as DfResult};
use datafusion::logical_expr::{EmitTo, GroupsAccumulator};
use num_bigint::BigInt;

use crate::error::Result;
use crate::semantics::function::df;
use crate::types::cast::numeric_at;
use crate::types::numeric::{Numeric, Small, arith, encoding};

/// See the module's header.
#[derive(Clone, Debug, Default)]
pub struct Total {
    small: Small,
    large: Option<Box<Numeric>>,
}

impl Total {
    fn add(&mut self, n: &Numeric) -> Result<()> {
        self.large = Some(Box::new(match &self.large {
            Some(large) => large.add(n)?,
            None => n.clone(),
        }));
        Ok(())
    }

    /// Adds one of a column's values, which is not NULL.
    fn add_at(&mut self, values: &dyn Array, row: usize) -> Result<()> {
        match Small::at(values, row) {
            Some(value) => self.add_small(value),
            None => self.add(&numeric_at(values, row)?),
        }
    }

    fn add_small(&mut self, value: Small) -> Result<()> {
        let sum = match self.small.dscale == value.dscale {
            true => self.small.coefficient.checked_add(value.coefficient),
            false => None,
        };
        match sum {
            Some(sum) => self.small.coefficient = sum,
            None => match self.small.checked_add(value) {
                Some(sum) => self.small = sum,
                None => return self.add(&value.into()),
            },
        }
        Ok(())
    }

    pub fn value(&self) -> Result<Numeric> {
        match &self.large {
            None => Ok(self.small.into()),
            Some(large) => large.add(&self.small.into()),
        }
    }

    /// As a state, or a result, is stored.
    fn encode(&self, out: &mut Vec<u8>) -> Result<()> {
        match self.large {
            None => encoding::encode_small(self.small, out),
            Some(_) => encoding::encode(&self.value()?, out),
        }
        Ok(())
    }
}

/// The arguments of a sum: a column of numerics, or two of decimals whose product is summed.
pub enum Input<'a> {
    Decimals(&'a Decimal128Array, u16),
    /// The scale is that of the products.
    Products(&'a Decimal128Array, &'a Decimal128Array, u16),
    Other(&'a dyn Array),
}

impl<'a> Input<'a> {
    pub fn of(arguments: &'a [ArrayRef]) -> DfResult<Input<'a>> {
        let decimals = |column: &'a ArrayRef| match column.data_type() {
            DataType::Decimal128(_, scale) => {
                let scale = u16::try_from(*scale).ok()?;
                Some((column.as_primitive::<Decimal128Type>(), scale))
            }
            _ => None,
        };
        match arguments {
            [column] => Ok(match decimals(column) {
                Some((column, scale)) => Input::Decimals(column, scale),
                None => Input::Other(column),
            }),
            [a, b] => match (decimals(a), decimals(b)) {
                (Some((a, x)), Some((b, y))) => Ok(Input::Products(a, b, x + y)),
                _ => Err(DataFusionError::Internal("factors of a sum".into())),
            },
            _ => Err(DataFusionError::Internal("arguments of a sum".into())),
        }
    }

    pub fn rows(&self) -> usize {
        match self {
            Input::Decimals(column, _) | Input::Products(column, ..) => column.len(),
            Input::Other(column) => column.len(),
        }
    }

    pub fn is_valid(&self, row: usize) -> bool {
        match self {
            Input::Decimals(column, _) => column.is_valid(row),
            Input::Products(a, b, _) => a.is_valid(row) && b.is_valid(row),
            Input::Other(column) => column.is_valid(row),
        }
    }

    fn null_count(&self) -> usize {
        match self {
            Input::Decimals(column, _) => column.null_count(),
            Input::Products(a, b, _) => a.null_count() + b.null_count(),
            Input::Other(column) => column.null_count(),
        }
    }

    /// Adds what a row has, which is not NULL.
    pub fn add(&self, row: usize, total: &mut Total) -> Result<()> {
        match *self {
            Input::Decimals(column, dscale) => total.add_small(Small {
                coefficient: column.value(row),
                dscale,
            }),
            Input::Products(a, b, dscale) => match product(a.value(row), b.value(row)) {
                Some(coefficient) => total.add_small(Small {
                    coefficient,
                    dscale,
                }),
                None => {
                    let product = BigInt::from(a.value(row)) * b.value(row);
                    total.add(&Numeric::new(product, dscale))
                }
            },
            Input::Other(column) => total.add_at(column, row),
        }
    }

    /// Calls `f` with each row that is not NULL and passes the filter.
    fn for_each_row(
        &self,
        filter: Option<&BooleanArray>,
        mut f: impl FnMut(usize) -> Result<()>,
    ) -> DfResult<()> {
        if filter.is_none() && self.null_count() == 0 {
            return (0..self.rows()).try_for_each(f).map_err(df);
        }
        for row in 0..self.rows() {
            if self.is_valid(row) && filter.is_none_or(|f| f.is_valid(row) && f.value(row)) {
                f(row).map_err(df)?;
            }
        }
        Ok(())
    }
}

/// The product of two numbers, which mostly are short: those of 64 bits are one multiplication.
fn product(a: i128, b: i128) -> Option<i128> {
    match (i64::try_from(a), i64::try_from(b)) {
        (Ok(a), Ok(b)) => Some(i128::from(a) * i128::from(b)),
        _ => a.checked_mul(b),
    }
}

/// Encoded totals; NULL where `shown` says so.
fn encoded(
    totals: &[Total],
    shown: impl Fn(usize) -> bool,
    mut encode: impl FnMut(usize, &Total, &mut Vec<u8>) -> Result<()>,
) -> DfResult<LargeBinaryArray> {
    let mut out = LargeBinaryBuilder::with_capacity(totals.len(), totals.len() * 16);
    let mut buffer = Vec::new();
    for (group, total) in totals.iter().enumerate() {
        if !shown(group) {
            out.append_null();
            continue;
        }
        buffer.clear();
        encode(group, total, &mut buffer).map_err(df)?;
        out.append_value(&buffer);
    }
    Ok(out.finish())
}

/// Sum or mean of numerics without a scale of their own, or of decimals that are too long to be summed
/// as one `i128` for sure.
pub struct Totals {
    totals: Vec<Total>,
    counts: Vec<i64>,
    avg: bool,
}

impl Totals {
    pub fn new(avg: bool) -> Totals {
        Totals {
            totals: Vec::new(),
            counts: Vec::new(),
            avg,
        }
    }

    fn resize(&mut self, groups: usize) {
        self.totals.resize_with(groups, Total::default);
        self.counts.resize(groups, 0);
    }
}

impl GroupsAccumulator for Totals {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        filter: Option<&BooleanArray>,
        groups: usize,
    ) -> DfResult<()> {
        self.resize(groups);
        let input = Input::of(values)?;
        input.for_each_row(filter, |row| {
            let group = group_indices[row];
            self.counts[group] += 1;
            input.add(row, &mut self.totals[group])
        })
    }

    fn evaluate(&mut self, emit: EmitTo) -> DfResult<ArrayRef> {
        let totals = emit.take_needed(&mut self.totals);
        let counts = emit.take_needed(&mut self.counts);
        let shown = |group: usize| counts[group] > 0;
        let values = match self.avg {
            false => encoded(&totals, shown, |_, total, out| total.encode(out))?,
            true => encoded(&totals, shown, |group, total, out| {
                let mean = arith::average(&total.value()?, counts[group])?;
                encoding::encode(&mean, out);
                Ok(())
            })?,
        };
        Ok(Arc::new(values))
    }

    fn state(&mut self, emit: EmitTo) -> DfResult<Vec<ArrayRef>> {
        let totals = emit.take_needed(&mut self.totals);
        let counts = emit.take_needed(&mut self.counts);
        let sums = encoded(&totals, |_| true, |_, total, out| total.encode(out))?;
        Ok(vec![Arc::new(sums), Arc::new(Int64Array::from(counts))])
    }

    fn merge_batch(
        &mut self,
        states: &[ArrayRef],
        group_indices: &[usize],
        groups: usize,
    ) -> DfResult<()> {
        self.resize(groups);
        let counts = states[1].as_primitive::<Int64Type>();
        for (row, group) in group_indices.iter().enumerate() {
            if counts.value(row) > 0 {
                self.totals[*group].add_at(&states[0], row).map_err(df)?;
                self.counts[*group] += counts.value(row);
            }
        }
        Ok(())
    }

    fn convert_to_state(
        &self,
        values: &[ArrayRef],
        filter: Option<&BooleanArray>,
    ) -> DfResult<Vec<ArrayRef>> {
        let input = Input::of(values)?;
        let mut totals = vec![Total::default(); input.rows()];
        let mut counts = vec![0; input.rows()];
        input.for_each_row(filter, |row| {
            counts[row] = 1;
            input.add(row, &mut totals[row])
        })?;
        let sums = encoded(&totals, |_| true, |_, total, out| total.encode(out))?;
        Ok(vec![Arc::new(sums), Arc::new(Int64Array::from(counts))])
    }

    fn size(&self) -> usize {
        self.totals.capacity() * size_of::<Total>() + self.counts.capacity() * size_of::<i64>()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn arbitrary() -> impl Strategy<Value = Numeric> {
        let finite = |c: i128, s: u16| Numeric::new(BigInt::from(c), s);
        prop_oneof![
            20 => (-1_000_000i64..1_000_000, 0u16..8).prop_map(move |(c, s)| finite(c.into(), s)),
            4 => (any::<i128>(), 0u16..60).prop_map(move |(c, s)| finite(c, s)),
            1 => Just(Numeric::NaN),
            1 => Just(Numeric::Infinity),
            1 => Just(Numeric::NegInfinity),
        ]
    }

    proptest! {
        /// The sum of the numbers one after another is the other way to know it.
        #[test]
        fn a_total_is_the_sum(values in proptest::collection::vec(arbitrary(), 1..20)) {
            let mut sum = Numeric::zero();
            let mut total = Total::default();
            for value in &values {
                sum = sum.add(value).unwrap();
                let column = LargeBinaryArray::from_iter_values([encoding::encode_to_vec(value)]);
                total.add_at(&column, 0).unwrap();
            }
            prop_assert_eq!(total.value().unwrap().to_string(), sum.to_string());
            let mut stored = Vec::new();
            total.encode(&mut stored).unwrap();
            prop_assert_eq!(stored, encoding::encode_to_vec(&sum));
        }
    }
}
