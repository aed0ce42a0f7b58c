//! Aggregates that keep their input until the end: `string_agg`, ordered-set aggregates, and
//! DISTINCT in front of any accumulator of ours.

use std::collections::HashSet;
use std::mem::size_of_val;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::{SortColumn, SortOptions, lexsort_to_indices};
use arrow::datatypes::{DataType, Field, FieldRef, Schema};
use datafusion::common::{Result as DfResult, ScalarValue};
use datafusion::logical_expr::Accumulator;
use datafusion::physical_expr::PhysicalSortExpr;

use crate::error::{SqlError, state};
use crate::functions::json;
use crate::semantics::function::df;
use crate::types::jsonb::Json;
use crate::types::numeric::encoding;

pub fn fields(types: &[DataType]) -> Vec<FieldRef> {
    types
        .iter()
        .enumerate()
        .map(|(i, t)| Arc::new(Field::new(format!("state_{i}"), t.clone(), true)))
        .collect()
}

/// A list for each argument.
pub fn state_of_inputs(types: &[DataType]) -> Vec<FieldRef> {
    let lists: Vec<DataType> = types
        .iter()
        .map(|t| DataType::new_list(t.clone(), true))
        .collect();
    fields(&lists)
}

type Finish = fn(&[Vec<ScalarValue>], &DataType) -> Result<ScalarValue, SqlError>;

/// Keeps the rows and gives them to `finish`, in the order of the ORDER BY columns that follow the
/// arguments.
#[derive(Debug)]
pub struct Collect {
    columns: Vec<Vec<ScalarValue>>,
    types: Vec<DataType>,
    order: Vec<SortOptions>,
    result: DataType,
    finish: Finish,
}

fn collect(types: &[DataType], result: &DataType, finish: Finish) -> Collect {
    Collect {
        columns: vec![Vec::new(); types.len()],
        types: types.to_vec(),
        order: Vec::new(),
        result: result.clone(),
        finish,
    }
}

impl Collect {
    /// Expects the values of these expressions after the arguments, and orders by them.
    pub fn ordered_by(mut self, order: &[PhysicalSortExpr], schema: &Schema) -> DfResult<Collect> {
        for o in order {
            self.types.push(o.expr.data_type(schema)?);
            self.columns.push(Vec::new());
            self.order.push(o.options);
        }
        Ok(self)
    }

    fn sort(&mut self) -> DfResult<()> {
        let arguments = self.columns.len() - self.order.len();
        if self.order.is_empty() || self.columns[0].is_empty() {
            return Ok(());
        }
        let keys = self.columns[arguments..]
            .iter()
            .zip(&self.order)
            .map(|(c, o)| {
                let values = ScalarValue::iter_to_array(c.iter().cloned())?;
                Ok(SortColumn {
                    values,
                    options: Some(*o),
                })
            })
            .collect::<DfResult<Vec<_>>>()?;
        let order = lexsort_to_indices(&keys, None)?;
        for column in &mut self.columns {
            *column = order
                .values()
                .iter()
                .map(|i| column[*i as usize].clone())
                .collect();
        }
        Ok(())
    }

    fn push(&mut self, arrays: &[ArrayRef]) -> DfResult<()> {
        for (column, a) in self.columns.iter_mut().zip(arrays) {
            for i in 0..a.len() {
                column.push(ScalarValue::try_from_array(a, i)?);
            }
        }
        Ok(())
    }
}

impl Accumulator for Collect {
    fn update_batch(&mut self, values: &[ArrayRef]) -> DfResult<()> {
        self.push(values)
    }

    fn evaluate(&mut self) -> DfResult<ScalarValue> {
        self.sort()?;
        (self.finish)(&self.columns, &self.result).map_err(df)
    }

    fn size(&self) -> usize {
        size_of_val(self)
            + self
                .columns
                .iter()
                .flatten()
                .map(ScalarValue::size)
                .sum::<usize>()
    }

    fn state(&mut self) -> DfResult<Vec<ScalarValue>> {
        Ok(self
            .columns
            .iter()
            .zip(&self.types)
            .map(|(c, t)| ScalarValue::List(ScalarValue::new_list(c, t, true)))
            .collect())
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> DfResult<()> {
        for i in 0..states.first().map_or(0, |s| s.len()) {
            let rows: Vec<ArrayRef> = states.iter().map(|s| s.as_list::<i32>().value(i)).collect();
            self.push(&rows)?;
        }
        Ok(())
    }
}

fn text(v: &ScalarValue) -> Option<&str> {
    match v {
        ScalarValue::Utf8View(s) | ScalarValue::Utf8(s) | ScalarValue::LargeUtf8(s) => s.as_deref(),
        _ => None,
    }
}

pub fn string_agg(types: &[DataType], result: &DataType) -> Collect {
    collect(types, result, |columns, _| {
        let mut out: Option<String> = None;
        for (value, delimiter) in columns[0].iter().zip(&columns[1]) {
            let Some(value) = text(value) else { continue };
            match &mut out {
                None => out = Some(value.to_string()),
                Some(out) => {
                    out.push_str(text(delimiter).unwrap_or(""));
                    out.push_str(value);
                }
            }
        }
        Ok(ScalarValue::Utf8View(out))
    })
}

pub fn jsonb_agg(types: &[DataType], result: &DataType) -> Collect {
    collect(types, result, |columns, _| {
        if columns[0].is_empty() {
            return Ok(ScalarValue::LargeUtf8(None));
        }
        let format = crate::types::Format::default();
        let items = columns[0]
            .iter()
            .map(|v| {
                let a = v.to_array().map_err(SqlError::internal)?;
                crate::functions::jsonb::to_jsonb(&a, 0, &format)
            })
            .collect::<Result<Vec<_>, SqlError>>()?;
        Ok(ScalarValue::LargeUtf8(Some(Json::Array(items).to_string())))
    })
}

pub fn jsonb_object_agg(types: &[DataType], result: &DataType) -> Collect {
    collect(types, result, |columns, _| {
        if columns[0].is_empty() {
            return Ok(ScalarValue::LargeUtf8(None));
        }
        let format = crate::types::Format::default();
        let members = columns[0]
            .iter()
            .zip(&columns[1])
            .map(|(key, value)| {
                if key.is_null() {
                    return Err(null_key());
                }
                let key = key.to_array().map_err(SqlError::internal)?;
                let value = value.to_array().map_err(SqlError::internal)?;
                Ok((
                    crate::functions::jsonb::key(&key, 0, &format)?,
                    crate::functions::jsonb::to_jsonb(&value, 0, &format)?,
                ))
            })
            .collect::<Result<Vec<_>, SqlError>>()?;
        let object = Json::object(members);
        Ok(ScalarValue::LargeUtf8(Some(object.to_string())))
    })
}

pub fn json_agg(types: &[DataType], result: &DataType) -> Collect {
    collect(types, result, |columns, _| {
        if columns[0].is_empty() {
            return Ok(ScalarValue::BinaryView(None));
        }
        let format = crate::types::Format::default();
        let mut out = String::from("[");
        for (i, v) in columns[0].iter().enumerate() {
            if i > 0 {
                out.push_str(", ");
            }
            let a = v.to_array().map_err(SqlError::internal)?;
            json::write(&a, 0, &format, &mut out);
        }
        out.push(']');
        Ok(ScalarValue::BinaryView(Some(out.into_bytes())))
    })
}

pub fn json_object_agg(types: &[DataType], result: &DataType) -> Collect {
    collect(types, result, |columns, _| {
        if columns[0].is_empty() {
            return Ok(ScalarValue::BinaryView(None));
        }
        let format = crate::types::Format::default();
        let mut out = String::from("{ ");
        for (i, (key, value)) in columns[0].iter().zip(&columns[1]).enumerate() {
            if key.is_null() {
                return Err(null_key());
            }
            if i > 0 {
                out.push_str(", ");
            }
            let key = key.to_array().map_err(SqlError::internal)?;
            let value = value.to_array().map_err(SqlError::internal)?;
            json::write_key(&key, 0, &format, &mut out)?;
            out.push_str(" : ");
            json::write(&value, 0, &format, &mut out);
        }
        out.push_str(" }");
        Ok(ScalarValue::BinaryView(Some(out.into_bytes())))
    })
}

fn null_key() -> SqlError {
    SqlError::new(
        state::INVALID_PARAMETER_VALUE,
        "field name must not be null",
    )
}

/// Sorted values without NULLs, and the fraction asked for.
fn sorted(columns: &[Vec<ScalarValue>]) -> Result<(Vec<ScalarValue>, Option<f64>), SqlError> {
    let mut values: Vec<ScalarValue> = columns[0]
        .iter()
        .filter(|v| !v.is_null())
        .cloned()
        .collect();
    values.sort_by(order);
    let fraction = match columns.get(1).and_then(|c| c.first()) {
        Some(ScalarValue::Float64(f)) => *f,
        _ => None,
    };
    if let Some(f) = fraction
        && !(0.0..=1.0).contains(&f)
    {
        let mut shown = String::new();
        crate::types::float::write_f64(f, 1, &mut shown);
        return Err(SqlError::new(
            state::NUMERIC_VALUE_OUT_OF_RANGE,
            format!("percentile value {shown} is not between 0 and 1"),
        ));
    }
    Ok((values, fraction))
}

fn order(a: &ScalarValue, b: &ScalarValue) -> std::cmp::Ordering {
    match (a, b) {
        (ScalarValue::LargeBinary(Some(a)), ScalarValue::LargeBinary(Some(b))) => {
            encoding::key(a).cmp(encoding::key(b))
        }
        (ScalarValue::Float64(Some(a)), ScalarValue::Float64(Some(b))) => a.total_cmp(b),
        _ => a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal),
    }
}

pub fn percentile_cont(types: &[DataType], result: &DataType) -> Collect {
    collect(types, result, |columns, _| {
        let (values, fraction) = sorted(columns)?;
        let (Some(f), false) = (fraction, values.is_empty()) else {
            return Ok(ScalarValue::Float64(None));
        };
        let at = f * (values.len() - 1) as f64;
        let value = |i: usize| match values[i] {
            ScalarValue::Float64(Some(v)) => v,
            _ => f64::NAN,
        };
        let (low, high) = (value(at.floor() as usize), value(at.ceil() as usize));
        let v = if at.fract() == 0.0 {
            low
        } else {
            low + at.fract() * (high - low)
        };
        Ok(ScalarValue::Float64(Some(v)))
    })
}

pub fn percentile_disc(types: &[DataType], result: &DataType) -> Collect {
    collect(types, result, |columns, result| {
        let (values, fraction) = sorted(columns)?;
        let (Some(f), false) = (fraction, values.is_empty()) else {
            return ScalarValue::try_from(result).map_err(SqlError::internal);
        };
        let row = (f * values.len() as f64).ceil().max(1.0) as usize;
        Ok(values[row - 1].clone())
    })
}

pub fn mode(types: &[DataType], result: &DataType) -> Collect {
    collect(types, result, |columns, result| {
        let (values, _) = sorted(columns)?;
        let mut best: Option<(usize, &ScalarValue)> = None;
        for run in values.chunk_by(|a, b| order(a, b).is_eq()) {
            if best.is_none_or(|(n, _)| run.len() > n) {
                best = Some((run.len(), &run[0]));
            }
        }
        match best {
            Some((_, v)) => Ok(v.clone()),
            None => ScalarValue::try_from(result).map_err(SqlError::internal),
        }
    })
}

/// Gives each different row once, in order, to the accumulator behind it.
#[derive(Debug)]
pub struct Distinct {
    inner: Box<dyn Accumulator>,
    types: Vec<DataType>,
    descending: bool,
    rows: HashSet<Vec<ScalarValue>>,
}

impl Distinct {
    pub fn new(inner: Box<dyn Accumulator>, types: Vec<DataType>, descending: bool) -> Distinct {
        Distinct {
            inner,
            types,
            descending,
            rows: HashSet::new(),
        }
    }

    pub fn state(types: &[DataType]) -> Vec<FieldRef> {
        state_of_inputs(types)
    }

    fn ordered(&self) -> Vec<Vec<ScalarValue>> {
        let mut rows: Vec<Vec<ScalarValue>> = self.rows.iter().cloned().collect();
        rows.sort_by(|a, b| {
            a.iter()
                .zip(b)
                .map(|(x, y)| order(x, y))
                .find(|o| o.is_ne())
                .unwrap_or(std::cmp::Ordering::Equal)
        });
        if self.descending {
            rows.reverse();
        }
        rows
    }

    fn columns(&self) -> DfResult<Vec<Vec<ScalarValue>>> {
        let rows = self.ordered();
        Ok((0..self.types.len())
            .map(|c| rows.iter().map(|r| r[c].clone()).collect())
            .collect())
    }
}

impl Accumulator for Distinct {
    fn update_batch(&mut self, values: &[ArrayRef]) -> DfResult<()> {
        for i in 0..values.first().map_or(0, |v| v.len()) {
            let row = values
                .iter()
                .take(self.types.len())
                .map(|v| ScalarValue::try_from_array(v, i))
                .collect::<DfResult<Vec<_>>>()?;
            self.rows.insert(row);
        }
        Ok(())
    }

    fn evaluate(&mut self) -> DfResult<ScalarValue> {
        let arrays = self
            .columns()?
            .into_iter()
            .zip(&self.types)
            .map(|(c, t)| match c.is_empty() {
                true => Ok(arrow::array::new_empty_array(t)),
                false => ScalarValue::iter_to_array(c),
            })
            .collect::<DfResult<Vec<_>>>()?;
        self.inner.update_batch(&arrays)?;
        self.inner.evaluate()
    }

    fn size(&self) -> usize {
        size_of_val(self)
            + self.inner.size()
            + self
                .rows
                .iter()
                .flatten()
                .map(ScalarValue::size)
                .sum::<usize>()
    }

    fn state(&mut self) -> DfResult<Vec<ScalarValue>> {
        Ok(self
            .columns()?
            .iter()
            .zip(&self.types)
            .map(|(c, t)| ScalarValue::List(ScalarValue::new_list(c, t, true)))
            .collect())
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> DfResult<()> {
        for i in 0..states.first().map_or(0, |s| s.len()) {
            let rows: Vec<ArrayRef> = states.iter().map(|s| s.as_list::<i32>().value(i)).collect();
            self.update_batch(&rows)?;
        }
        Ok(())
    }
}
