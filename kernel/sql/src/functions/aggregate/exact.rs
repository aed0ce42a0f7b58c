//! `sum` and `avg` of integers, numerics and intervals, exact.
//!
//! Values of at most [`DECIMAL_DIGITS_MAX`] digits are summed as `i128` at one scale: 2³⁰ rows and
//! more fit, and an overflow is found. Longer and unscaled numerics are summed as [`Total`]s. The state is
//! the sum (as an encoded numeric) and the count.

use std::mem::size_of_val;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Decimal128Array, Int64Array, LargeBinaryBuilder,
};
use arrow::datatypes::{
    DataType, Decimal128Type, Int16Type, Int32Type, Int64Type, IntervalMonthDayNanoType,
    IntervalUnit,
};
use datafusion::common::{DataFusionError, Result as DfResult, ScalarValue};
use datafusion::logical_expr::{Accumulator, EmitTo, GroupsAccumulator};

use super::total::{Input, Total, Totals};
use crate::error::SqlError;
use crate::semantics::function::df;
use crate::types::PgType;
use crate::types::cast::{numeric_at, out_of_range};
use crate::types::interval::Interval;
use crate::types::numeric::{Numeric, Small, arith, encoding, overflow};

/// Digits of a decimal that sums as `i128`: 10²⁸ × 10¹⁰ rows fit 38 digits.
pub const DECIMAL_DIGITS_MAX: u8 = 28;

/// Sum and count.
pub const STATE: &[DataType] = &[DataType::LargeBinary, DataType::Int64];
pub const INTERVAL_STATE: &[DataType] = &[
    DataType::Interval(IntervalUnit::MonthDayNano),
    DataType::Int64,
];

pub const INTERVAL_EXTREME_STATE: &[DataType] = &[DataType::Interval(IntervalUnit::MonthDayNano)];

/// The scale at which values of a type are summed as `i128`; `None` for those that are not, and for
/// products.
fn narrow_scale(types: &[DataType]) -> Option<i8> {
    match types {
        [DataType::Int16 | DataType::Int32 | DataType::Int64] => Some(0),
        [DataType::Decimal128(p, s)] if *p <= DECIMAL_DIGITS_MAX => Some(*s),
        _ => None,
    }
}

/// Calls `f` with each value that is not NULL and passes the filter.
fn for_each(
    values: &ArrayRef,
    filter: Option<&BooleanArray>,
    mut f: impl FnMut(usize, i128),
) -> DfResult<()> {
    let passes = |i: usize| filter.is_none_or(|f| f.is_valid(i) && f.value(i));
    macro_rules! run {
        ($t:ty) => {{
            let a = values.as_primitive::<$t>();
            if a.null_count() == 0 && filter.is_none() {
                a.values()
                    .iter()
                    .enumerate()
                    .for_each(|(i, v)| f(i, *v as i128));
            } else {
                for (i, v) in a.iter().enumerate() {
                    if let Some(v) = v
                        && passes(i)
                    {
                        f(i, v as i128);
                    }
                }
            }
        }};
    }
    match values.data_type() {
        DataType::Int16 => run!(Int16Type),
        DataType::Int32 => run!(Int32Type),
        DataType::Int64 => run!(Int64Type),
        DataType::Decimal128(_, _) => run!(Decimal128Type),
        other => return Err(DataFusionError::Internal(format!("exact sum of {other}"))),
    }
    Ok(())
}

fn output(sum: &Numeric, count: i64, avg: bool, result: &DataType) -> DfResult<ScalarValue> {
    if count == 0 {
        return ScalarValue::try_from(result);
    }
    let value = if avg {
        arith::average(sum, count).map_err(df)?
    } else {
        sum.clone()
    };
    Ok(match result {
        DataType::Int64 => {
            let v = value.to_i128().and_then(|v| i64::try_from(v).ok());
            ScalarValue::Int64(Some(v.ok_or_else(|| df(out_of_range(&PgType::Int8)))?))
        }
        DataType::Decimal128(p, s) => {
            ScalarValue::Decimal128(Some(value.to_decimal128(*p, *s).map_err(df)?), *p, *s)
        }
        _ => ScalarValue::LargeBinary(Some(encoding::encode_to_vec(&value))),
    })
}

pub fn sum(types: &[DataType], result: &DataType) -> Box<dyn Accumulator> {
    Box::new(ExactSum::new(types, result, false))
}

pub fn avg(types: &[DataType], result: &DataType) -> Box<dyn Accumulator> {
    Box::new(ExactSum::new(types, result, true))
}

/// One group.
#[derive(Debug)]
struct ExactSum {
    narrow: Option<i8>,
    small: i128,
    total: Total,
    count: i64,
    avg: bool,
    result: DataType,
}

impl ExactSum {
    fn new(types: &[DataType], result: &DataType, avg: bool) -> ExactSum {
        ExactSum {
            narrow: narrow_scale(types),
            small: 0,
            total: Total::default(),
            count: 0,
            avg,
            result: result.clone(),
        }
    }

    fn total(&self) -> DfResult<Numeric> {
        let total = self.total.value().map_err(df)?;
        match self.narrow {
            Some(scale) => total
                .add(&Numeric::from_decimal128(self.small, scale))
                .map_err(df),
            None => Ok(total),
        }
    }

    /// One step of a window: values that enter (+1) or leave (-1).
    fn step(&mut self, values: &[ArrayRef], sign: i64) -> DfResult<()> {
        if self.narrow.is_some() {
            let mut sum = Some(self.small);
            let mut count = 0;
            for_each(&values[0], None, |_, v| {
                sum = sum.and_then(|s| s.checked_add(v * sign as i128));
                count += 1;
            })?;
            self.small = sum.ok_or_else(|| df(overflow()))?;
            self.count += count * sign;
            return Ok(());
        }
        if sign < 0 {
            let reason = "a sum of numerics of any length does not go back";
            return Err(DataFusionError::Internal(reason.to_owned()));
        }
        let input = Input::of(values)?;
        for row in 0..input.rows() {
            if input.is_valid(row) {
                input.add(row, &mut self.total).map_err(df)?;
                self.count += 1;
            }
        }
        Ok(())
    }
}

impl Accumulator for ExactSum {
    fn update_batch(&mut self, values: &[ArrayRef]) -> DfResult<()> {
        self.step(values, 1)
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> DfResult<()> {
        self.step(values, -1)
    }

    fn supports_retract_batch(&self) -> bool {
        // Taking an infinity away again does not give back what was there.
        self.narrow.is_some()
    }

    fn evaluate(&mut self) -> DfResult<ScalarValue> {
        output(&self.total()?, self.count, self.avg, &self.result)
    }

    fn size(&self) -> usize {
        size_of_val(self) + 32
    }

    fn state(&mut self) -> DfResult<Vec<ScalarValue>> {
        Ok(vec![
            ScalarValue::LargeBinary(Some(encoding::encode_to_vec(&self.total()?))),
            ScalarValue::Int64(Some(self.count)),
        ])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> DfResult<()> {
        let sums = Input::of(&states[..1])?;
        let counts = states[1].as_primitive::<Int64Type>();
        for i in 0..counts.len() {
            if counts.is_valid(i) && counts.value(i) > 0 {
                sums.add(i, &mut self.total).map_err(df)?;
                self.count += counts.value(i);
            }
        }
        Ok(())
    }
}

pub fn groups(types: &[DataType], result: &DataType) -> Option<Box<dyn GroupsAccumulator>> {
    make_groups(types, result, false)
}

pub fn avg_groups(types: &[DataType], result: &DataType) -> Option<Box<dyn GroupsAccumulator>> {
    make_groups(types, result, true)
}

fn make_groups(
    types: &[DataType],
    result: &DataType,
    avg: bool,
) -> Option<Box<dyn GroupsAccumulator>> {
    let Some(scale) = narrow_scale(types) else {
        let is_numeric = matches!(result, DataType::LargeBinary);
        return is_numeric.then(|| Box::new(Totals::new(avg)) as Box<dyn GroupsAccumulator>);
    };
    Some(Box::new(ExactSums {
        scale,
        sums: Vec::new(),
        counts: Vec::new(),
        avg,
        result: result.clone(),
    }))
}

/// A decimal as an encoded numeric.
fn encoded(coefficient: i128, scale: i8) -> Vec<u8> {
    let mut out = Vec::with_capacity(24);
    match u16::try_from(scale) {
        Ok(dscale) => {
            let small = Small {
                coefficient,
                dscale,
            };
            encoding::encode_small(small, &mut out);
        }
        Err(_) => encoding::encode(&Numeric::from_decimal128(coefficient, scale), &mut out),
    }
    out
}

/// Many groups at once, for values that sum as `i128`.
struct ExactSums {
    scale: i8,
    sums: Vec<i128>,
    counts: Vec<i64>,
    avg: bool,
    result: DataType,
}

impl GroupsAccumulator for ExactSums {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        filter: Option<&BooleanArray>,
        groups: usize,
    ) -> DfResult<()> {
        self.sums.resize(groups, 0);
        self.counts.resize(groups, 0);
        let mut overflowed = false;
        let (sums, counts) = (&mut self.sums, &mut self.counts);
        for_each(&values[0], filter, |i, v| {
            let g = group_indices[i];
            let (sum, over) = sums[g].overflowing_add(v);
            sums[g] = sum;
            counts[g] += 1;
            overflowed |= over;
        })?;
        if overflowed {
            Err(df(overflow()))
        } else {
            Ok(())
        }
    }

    fn evaluate(&mut self, emit: EmitTo) -> DfResult<ArrayRef> {
        let sums = emit.take_needed(&mut self.sums);
        let counts = emit.take_needed(&mut self.counts);
        match &self.result {
            DataType::Int64 => {
                let values = sums
                    .iter()
                    .zip(&counts)
                    .map(|(s, c)| match i64::try_from(*s) {
                        _ if *c == 0 => Ok(None),
                        Ok(v) => Ok(Some(v)),
                        Err(_) => Err(df(out_of_range(&PgType::Int8))),
                    })
                    .collect::<DfResult<Int64Array>>()?;
                Ok(Arc::new(values))
            }
            DataType::Decimal128(p, s) => {
                let values: Decimal128Array = sums
                    .iter()
                    .zip(&counts)
                    .map(|(v, c)| (*c > 0).then_some(*v))
                    .collect();
                Ok(Arc::new(values.with_precision_and_scale(*p, *s)?))
            }
            _ => {
                let mut out = LargeBinaryBuilder::with_capacity(sums.len(), sums.len() * 16);
                for (sum, count) in sums.iter().zip(&counts) {
                    if *count == 0 {
                        out.append_null();
                        continue;
                    }
                    if !self.avg {
                        out.append_value(encoded(*sum, self.scale));
                        continue;
                    }
                    let sum = Numeric::from_decimal128(*sum, self.scale);
                    let mean = arith::average(&sum, *count).map_err(df)?;
                    out.append_value(encoding::encode_to_vec(&mean));
                }
                Ok(Arc::new(out.finish()))
            }
        }
    }

    fn state(&mut self, emit: EmitTo) -> DfResult<Vec<ArrayRef>> {
        let sums = emit.take_needed(&mut self.sums);
        let counts = emit.take_needed(&mut self.counts);
        let mut out = LargeBinaryBuilder::with_capacity(sums.len(), sums.len() * 16);
        for sum in sums {
            out.append_value(encoded(sum, self.scale));
        }
        Ok(vec![
            Arc::new(out.finish()),
            Arc::new(Int64Array::from(counts)),
        ])
    }

    fn merge_batch(
        &mut self,
        states: &[ArrayRef],
        group_indices: &[usize],
        groups: usize,
    ) -> DfResult<()> {
        self.sums.resize(groups, 0);
        self.counts.resize(groups, 0);
        let counts = states[1].as_primitive::<Int64Type>();
        for (i, g) in group_indices.iter().enumerate() {
            if counts.value(i) == 0 {
                continue;
            }
            let small = encoding::decode_small(states[0].as_binary::<i64>().value(i));
            let v = match small {
                Some(small) if i32::from(small.dscale) == i32::from(self.scale) => {
                    small.coefficient
                }
                _ => {
                    let n = numeric_at(&states[0], i).map_err(df)?;
                    n.to_decimal128(38, self.scale).map_err(df)?
                }
            };
            self.sums[*g] = self.sums[*g].checked_add(v).ok_or_else(|| df(overflow()))?;
            self.counts[*g] += counts.value(i);
        }
        Ok(())
    }

    fn convert_to_state(
        &self,
        values: &[ArrayRef],
        filter: Option<&BooleanArray>,
    ) -> DfResult<Vec<ArrayRef>> {
        let rows = values[0].len();
        let mut each = vec![None; rows];
        for_each(&values[0], filter, |i, v| each[i] = Some(v))?;
        let mut sums = LargeBinaryBuilder::with_capacity(rows, rows * 12);
        let mut counts = Vec::with_capacity(rows);
        for v in each {
            sums.append_value(encoded(v.unwrap_or(0), self.scale));
            counts.push(i64::from(v.is_some()));
        }
        Ok(vec![
            Arc::new(sums.finish()),
            Arc::new(Int64Array::from(counts)),
        ])
    }

    fn size(&self) -> usize {
        self.sums.capacity() * 16 + self.counts.capacity() * 8
    }
}

pub fn interval_sum(_: &[DataType], _: &DataType) -> Box<dyn Accumulator> {
    Box::new(IntervalSum {
        sum: Interval::default(),
        count: 0,
        avg: false,
    })
}

pub fn interval_avg(_: &[DataType], _: &DataType) -> Box<dyn Accumulator> {
    Box::new(IntervalSum {
        sum: Interval::default(),
        count: 0,
        avg: true,
    })
}

#[derive(Debug)]
struct IntervalSum {
    sum: Interval,
    count: i64,
    avg: bool,
}

impl IntervalSum {
    fn add(&mut self, values: &ArrayRef, counts: Option<&Int64Array>) -> DfResult<()> {
        let values = values.as_primitive::<IntervalMonthDayNanoType>();
        for (i, v) in values.iter().enumerate() {
            if let Some(v) = v {
                self.sum = self.sum.checked_add(Interval::from_arrow(v)).map_err(df)?;
                self.count += counts.map_or(1, |c| c.value(i));
            }
        }
        Ok(())
    }
}

impl Accumulator for IntervalSum {
    fn update_batch(&mut self, values: &[ArrayRef]) -> DfResult<()> {
        self.add(&values[0], None)
    }

    fn evaluate(&mut self) -> DfResult<ScalarValue> {
        if self.count == 0 {
            return Ok(ScalarValue::IntervalMonthDayNano(None));
        }
        let value = if self.avg {
            self.sum.multiply(1.0 / self.count as f64)
        } else {
            Ok(self.sum)
        };
        let value = value.and_then(Interval::to_arrow).map_err(df)?;
        Ok(ScalarValue::IntervalMonthDayNano(Some(value)))
    }

    fn size(&self) -> usize {
        size_of_val(self)
    }

    fn state(&mut self) -> DfResult<Vec<ScalarValue>> {
        Ok(vec![
            ScalarValue::IntervalMonthDayNano(Some(self.sum.to_arrow().map_err(df)?)),
            ScalarValue::Int64(Some(self.count)),
        ])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> DfResult<()> {
        let counts = states[1]
            .as_primitive_opt::<Int64Type>()
            .ok_or_else(|| df(SqlError::internal("interval state")))?;
        self.add(&states[0], Some(counts))
    }
}

pub fn interval_min(_: &[DataType], _: &DataType) -> Box<dyn Accumulator> {
    Box::new(IntervalExtreme {
        best: None,
        max: false,
    })
}

pub fn interval_max(_: &[DataType], _: &DataType) -> Box<dyn Accumulator> {
    Box::new(IntervalExtreme {
        best: None,
        max: true,
    })
}

/// `min` and `max` in the order of [`Interval::comparison_key`].
#[derive(Debug)]
struct IntervalExtreme {
    best: Option<Interval>,
    max: bool,
}

impl Accumulator for IntervalExtreme {
    fn update_batch(&mut self, values: &[ArrayRef]) -> DfResult<()> {
        for v in values[0]
            .as_primitive::<IntervalMonthDayNanoType>()
            .iter()
            .flatten()
        {
            let v = Interval::from_arrow(v);
            let better = self.best.is_none_or(|best| {
                let order = v.comparison_key().cmp(&best.comparison_key());
                if self.max {
                    order.is_gt()
                } else {
                    order.is_lt()
                }
            });
            if better {
                self.best = Some(v);
            }
        }
        Ok(())
    }

    fn evaluate(&mut self) -> DfResult<ScalarValue> {
        let best = self.best.map(Interval::to_arrow).transpose().map_err(df)?;
        Ok(ScalarValue::IntervalMonthDayNano(best))
    }

    fn size(&self) -> usize {
        size_of_val(self)
    }

    fn state(&mut self) -> DfResult<Vec<ScalarValue>> {
        Ok(vec![self.evaluate()?])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> DfResult<()> {
        self.update_batch(states)
    }
}
