//! Its codec: run lengths. A run is a length, a flag and the bytes of its value.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Array, ArrayRef, BooleanArray, Int64Array, StringViewArray};
use arrow_schema::DataType;
use heliosdb_plugin_api::{Codec, Comparison, Error, Result, state};

use super::fault;

pub struct Runs<const FAULT: u8>;

type Run = (usize, Option<Vec<u8>>);

fn damaged() -> Error {
    Error::new(state::DATA_CORRUPTED, "not runs")
}

fn values(block: &ArrayRef) -> Result<Vec<Option<Vec<u8>>>> {
    Ok(match block.data_type() {
        DataType::Utf8View => {
            let texts = block.as_string_view().iter();
            texts.map(|v| v.map(|v| v.as_bytes().to_vec())).collect()
        }
        DataType::Int64 => {
            let numbers = block.as_primitive::<Int64Type>().iter();
            numbers
                .map(|v| v.map(|v| v.to_be_bytes().to_vec()))
                .collect()
        }
        _ => return Err(Error::new(state::FEATURE_NOT_SUPPORTED, "another type")),
    })
}

fn runs(mut encoded: &[u8]) -> Result<Vec<Run>> {
    let mut take = |count: usize| {
        let (head, rest) = encoded.split_at_checked(count).ok_or_else(damaged)?;
        encoded = rest;
        Ok::<_, Error>(head)
    };
    let four = |bytes: &[u8]| {
        let bytes = <[u8; 4]>::try_from(bytes).map_err(|_| damaged())?;
        Ok::<_, Error>(u32::from_le_bytes(bytes) as usize)
    };
    let count = four(take(4)?)?;
    let mut all = Vec::new();
    for _ in 0..count {
        let length = four(take(4)?)?;
        let value = match take(1)? {
            [0] => None,
            _ => {
                let bytes = four(take(4)?)?;
                Some(take(bytes)?.to_vec())
            }
        };
        all.push((length, value));
    }
    Ok(all)
}

impl<const FAULT: u8> Runs<FAULT> {
    fn expand(&self, encoded: &[u8], rows: usize) -> Result<Vec<Option<Vec<u8>>>> {
        if FAULT == fault::PANICS_ON_DAMAGE {
            assert!(encoded.len() >= 4, "a count");
        }
        if FAULT == fault::BELIEVES_LENGTH {
            let count = encoded.first_chunk().map(|c| u32::from_le_bytes(*c));
            let room: Vec<u8> = Vec::with_capacity(count.unwrap_or(0) as usize);
            drop(room);
        }
        let runs = runs(encoded)?;
        let total = runs
            .iter()
            .try_fold(0usize, |sum, run| sum.checked_add(run.0));
        if total != Some(rows) {
            return Err(damaged());
        }
        let mut all = Vec::with_capacity(rows);
        for (length, value) in runs {
            all.extend(std::iter::repeat_n(value, length));
        }
        Ok(all)
    }
}

impl<const FAULT: u8> Codec for Runs<FAULT> {
    fn analyze(&self, block: &ArrayRef) -> Result<Option<u64>> {
        Ok((block.len() != 1).then_some(block.len() as u64))
    }

    fn encode(&self, block: &ArrayRef) -> Result<Vec<u8>> {
        let mut runs: Vec<Run> = Vec::new();
        for value in values(block)? {
            match runs.last_mut() {
                Some((length, last)) if *last == value => *length += 1,
                _ => runs.push((1, value)),
            }
        }
        let mut encoded = (runs.len() as u32).to_le_bytes().to_vec();
        for (length, value) in runs {
            encoded.extend((length as u32).to_le_bytes());
            encoded.push(u8::from(value.is_some()));
            if let Some(value) = value {
                encoded.extend((value.len() as u32).to_le_bytes());
                encoded.extend(value);
            }
        }
        Ok(encoded)
    }

    fn decode(&self, encoded: &[u8], ty: &DataType, rows: usize) -> Result<ArrayRef> {
        let mut values = self.expand(encoded, rows)?;
        if FAULT == fault::LOSES_NULLS && *ty == DataType::Utf8View {
            values
                .iter_mut()
                .for_each(|v| *v = v.take().or(Some(Vec::new())));
        }
        match ty {
            DataType::Utf8View => {
                let text = |v: Option<Vec<u8>>| {
                    let text = v.map(|v| String::from_utf8(v).map_err(|_| damaged()));
                    text.transpose()
                };
                let texts: Vec<Option<String>> =
                    values.into_iter().map(text).collect::<Result<_>>()?;
                Ok(Arc::new(StringViewArray::from_iter(texts)))
            }
            _ => {
                let number = |v: Option<Vec<u8>>| {
                    let number = v.map(|v| <[u8; 8]>::try_from(v).map_err(|_| damaged()));
                    Ok(number.transpose()?.map(i64::from_be_bytes))
                };
                let numbers: Vec<Option<i64>> =
                    values.into_iter().map(number).collect::<Result<_>>()?;
                Ok(Arc::new(Int64Array::from(numbers)))
            }
        }
    }

    fn decode_slice(
        &self,
        encoded: &[u8],
        ty: &DataType,
        rows: usize,
        slice: Range<usize>,
    ) -> Result<ArrayRef> {
        let block = self.decode(encoded, ty, rows)?;
        if slice.start > slice.end || slice.end > rows {
            return Err(damaged());
        }
        let start = match FAULT {
            fault::WRONG_SLICE => 0,
            _ => slice.start,
        };
        Ok(block.slice(start, slice.len()))
    }

    fn filter(
        &self,
        encoded: &[u8],
        rows: usize,
        comparison: Comparison,
        constant: &ArrayRef,
    ) -> Result<Option<BooleanArray>> {
        let wanted = values(constant)?.into_iter().next().flatten();
        let Some(wanted) = wanted.filter(|_| comparison == Comparison::Equal) else {
            return Ok(None);
        };
        let values = self.expand(encoded, rows)?;
        let equal = |v: &Option<Vec<u8>>| match FAULT {
            fault::WRONG_FILTER => v.as_ref().map(|v| v.len() == wanted.len()),
            _ => v.as_ref().map(|v| *v == wanted),
        };
        Ok(Some(values.iter().map(equal).collect()))
    }
}
