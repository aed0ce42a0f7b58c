//! Averages, variances and deviations, computed as PostgreSQL computes them: floats by
//! Youngs–Cramer (`float8_accum`), numerics from exact sums (`numeric_stddev_internal`).

use std::mem::size_of_val;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, Float64Type, Int64Type};
use datafusion::common::{Result as DfResult, ScalarValue};
use datafusion::logical_expr::Accumulator;

use crate::semantics::function::df;
use crate::types::cast::numeric_at;
use crate::types::numeric::{Numeric, encoding};

pub const SUM_STATE: &[DataType] = &[DataType::Float64, DataType::Int64];
/// N, Sx, Sxx.
pub const MOMENTS_STATE: &[DataType] = &[DataType::Int64, DataType::Float64, DataType::Float64];
/// N, ΣX, ΣX².
pub const NUMERIC_STATE: &[DataType] = &[
    DataType::Int64,
    DataType::LargeBinary,
    DataType::LargeBinary,
];

#[derive(Clone, Copy, Debug, PartialEq)]
enum Output {
    Avg,
    Variance { sample: bool },
    Deviation { sample: bool },
}

macro_rules! makers {
    ($($name:ident $numeric:ident $output:expr;)*) => {$(
        pub fn $name(_: &[DataType], _: &DataType) -> Box<dyn Accumulator> {
            Box::new(Moments { n: 0, sx: 0.0, sxx: 0.0, output: $output })
        }
        pub fn $numeric(_: &[DataType], _: &DataType) -> Box<dyn Accumulator> {
            Box::new(NumericMoments { n: 0, sum: Numeric::zero(), squares: Numeric::zero(), output: $output })
        }
    )*};
}
makers! {
    var_samp var_samp_numeric Output::Variance { sample: true };
    var_pop var_pop_numeric Output::Variance { sample: false };
    stddev_samp stddev_samp_numeric Output::Deviation { sample: true };
    stddev_pop stddev_pop_numeric Output::Deviation { sample: false };
}

pub fn avg_float4(_: &[DataType], _: &DataType) -> Box<dyn Accumulator> {
    Box::new(Moments {
        n: 0,
        sx: 0.0,
        sxx: 0.0,
        output: Output::Avg,
    })
}

pub fn sum_float4(_: &[DataType], _: &DataType) -> Box<dyn Accumulator> {
    Box::new(SumFloat4 { sum: 0.0, n: 0 })
}

#[derive(Debug)]
struct SumFloat4 {
    sum: f32,
    n: i64,
}

impl Accumulator for SumFloat4 {
    fn update_batch(&mut self, values: &[ArrayRef]) -> DfResult<()> {
        for v in values[0]
            .as_primitive::<arrow::datatypes::Float32Type>()
            .iter()
            .flatten()
        {
            self.sum += v;
            self.n += 1;
        }
        Ok(())
    }

    fn evaluate(&mut self) -> DfResult<ScalarValue> {
        Ok(ScalarValue::Float32((self.n > 0).then_some(self.sum)))
    }

    fn size(&self) -> usize {
        size_of_val(self)
    }

    fn state(&mut self) -> DfResult<Vec<ScalarValue>> {
        Ok(vec![
            ScalarValue::Float64(Some(self.sum as f64)),
            ScalarValue::Int64(Some(self.n)),
        ])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> DfResult<()> {
        let counts = states[1].as_primitive::<Int64Type>();
        for (i, v) in states[0].as_primitive::<Float64Type>().iter().enumerate() {
            self.sum += v.unwrap_or(0.0) as f32;
            self.n += counts.value(i);
        }
        Ok(())
    }
}

#[derive(Debug)]
struct Moments {
    n: i64,
    sx: f64,
    sxx: f64,
    output: Output,
}

impl Moments {
    fn add(&mut self, v: f64) {
        self.n += 1;
        self.sx += v;
        if self.n > 1 {
            let n = self.n as f64;
            let t = v * n - self.sx;
            self.sxx += t * t / (n * (n - 1.0));
        } else if !v.is_finite() {
            self.sxx = f64::NAN;
        }
    }
}

impl Accumulator for Moments {
    fn update_batch(&mut self, values: &[ArrayRef]) -> DfResult<()> {
        let doubles = arrow::compute::cast(&values[0], &DataType::Float64)?;
        for v in doubles.as_primitive::<Float64Type>().iter().flatten() {
            self.add(v);
        }
        Ok(())
    }

    fn evaluate(&mut self) -> DfResult<ScalarValue> {
        let n = self.n as f64;
        let variance = |sample: bool| {
            if sample {
                (self.n > 1).then(|| self.sxx / (n - 1.0))
            } else {
                (self.n > 0).then(|| self.sxx / n)
            }
        };
        Ok(ScalarValue::Float64(match self.output {
            Output::Avg => (self.n > 0).then(|| self.sx / n),
            Output::Variance { sample } => variance(sample),
            Output::Deviation { sample } => variance(sample).map(f64::sqrt),
        }))
    }

    fn size(&self) -> usize {
        size_of_val(self)
    }

    fn state(&mut self) -> DfResult<Vec<ScalarValue>> {
        Ok(vec![
            ScalarValue::Int64(Some(self.n)),
            ScalarValue::Float64(Some(self.sx)),
            ScalarValue::Float64(Some(self.sxx)),
        ])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> DfResult<()> {
        let n = states[0].as_primitive::<Int64Type>();
        let sx = states[1].as_primitive::<Float64Type>();
        let sxx = states[2].as_primitive::<Float64Type>();
        for i in 0..n.len() {
            let (n2, sx2, sxx2) = (n.value(i), sx.value(i), sxx.value(i));
            if n2 == 0 {
                continue;
            }
            if self.n == 0 {
                (self.n, self.sx, self.sxx) = (n2, sx2, sxx2);
                continue;
            }
            let (a, b) = (self.n as f64, n2 as f64);
            let t = self.sx / a - sx2 / b;
            self.sxx += sxx2 + a * b * t * t / (a + b);
            self.sx += sx2;
            self.n += n2;
        }
        Ok(())
    }
}

#[derive(Debug)]
struct NumericMoments {
    n: i64,
    sum: Numeric,
    squares: Numeric,
    output: Output,
}

impl Accumulator for NumericMoments {
    fn update_batch(&mut self, values: &[ArrayRef]) -> DfResult<()> {
        let values = match values[0].data_type() {
            DataType::Int16 | DataType::Int32 | DataType::Int64 => {
                arrow::compute::cast(&values[0], &DataType::Decimal128(20, 0))?
            }
            _ => std::sync::Arc::clone(&values[0]),
        };
        for i in 0..values.len() {
            if values.is_null(i) {
                continue;
            }
            let v = numeric_at(&values, i).map_err(df)?;
            self.n += 1;
            self.sum = self.sum.add(&v).map_err(df)?;
            self.squares = self.squares.add(&v.mul(&v).map_err(df)?).map_err(df)?;
        }
        Ok(())
    }

    fn evaluate(&mut self) -> DfResult<ScalarValue> {
        let (Output::Variance { sample } | Output::Deviation { sample }) = self.output else {
            return Ok(ScalarValue::LargeBinary(None));
        };
        if self.n < if sample { 2 } else { 1 } {
            return Ok(ScalarValue::LargeBinary(None));
        }
        let n = Numeric::from_i64(self.n);
        let compute = || {
            // N ΣX² - (ΣX)²
            let top = n.mul(&self.squares)?.sub(&self.sum.mul(&self.sum)?)?;
            if !top.is_nan() && (top.is_zero() || top.is_negative()) {
                return Ok(Numeric::zero());
            }
            let below = Numeric::from_i64(self.n - i64::from(sample));
            let variance = top.div(&n.mul(&below)?)?;
            match self.output {
                Output::Deviation { .. } => variance.sqrt(),
                _ => Ok(variance),
            }
        };
        Ok(ScalarValue::LargeBinary(Some(encoding::encode_to_vec(
            &compute().map_err(df)?,
        ))))
    }

    fn size(&self) -> usize {
        size_of_val(self) + 128
    }

    fn state(&mut self) -> DfResult<Vec<ScalarValue>> {
        Ok(vec![
            ScalarValue::Int64(Some(self.n)),
            ScalarValue::LargeBinary(Some(encoding::encode_to_vec(&self.sum))),
            ScalarValue::LargeBinary(Some(encoding::encode_to_vec(&self.squares))),
        ])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> DfResult<()> {
        let n = states[0].as_primitive::<Int64Type>();
        for i in 0..n.len() {
            self.n += n.value(i);
            self.sum = self
                .sum
                .add(&numeric_at(&states[1], i).map_err(df)?)
                .map_err(df)?;
            self.squares = self
                .squares
                .add(&numeric_at(&states[2], i).map_err(df)?)
                .map_err(df)?;
        }
        Ok(())
    }
}
