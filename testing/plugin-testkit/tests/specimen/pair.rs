//! Its type: `(a,b)`, two integers of 32 bits in eight bytes.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{ArrayRef, BinaryArray, BooleanArray, StringArray};
use heliosdb_plugin_api::{Arguments, Context, Error, Result, Type, state};

use super::fault;

pub struct Pair<const FAULT: u8>;

pub fn equal(_: &Context<'_>, arguments: &Arguments) -> Result<ArrayRef> {
    let each = |row| Some(arguments[0].bytes(row)? == arguments[1].bytes(row)?);
    let all = (0..arguments.rows()).map(each);
    Ok(Arc::new(BooleanArray::from_iter(all)))
}

fn refuse(row: usize) -> Error {
    let error = Error::new(state::INVALID_TEXT_REPRESENTATION, "not a pair");
    error.at_row(row)
}

fn parse(text: &str) -> Option<Vec<u8>> {
    let (a, b) = text.strip_prefix('(')?.strip_suffix(')')?.split_once(',')?;
    let (a, b): (i32, i32) = (a.parse().ok()?, b.parse().ok()?);
    Some([a.to_be_bytes(), b.to_be_bytes()].concat())
}

impl<const FAULT: u8> Type for Pair<FAULT> {
    fn parse(&self, text: &ArrayRef, _: i32) -> Result<ArrayRef> {
        let parsed = text.as_string_view().iter().enumerate().map(|(row, text)| {
            let pair = |text| parse(text).ok_or_else(|| refuse(row));
            text.map(pair).transpose()
        });
        let parsed: Vec<Option<Vec<u8>>> = parsed.collect::<Result<_>>()?;
        Ok(Arc::new(BinaryArray::from_iter(parsed)))
    }

    fn format(&self, values: &ArrayRef) -> Result<ArrayRef> {
        let format = |bytes: &[u8]| {
            let part = |at: usize| bytes.get(at..at + 4)?.try_into().ok();
            let a = part(0).map_or(0, i32::from_be_bytes);
            let b = match FAULT {
                fault::TEXT_LOSES => 0,
                _ => part(4).map_or(0, i32::from_be_bytes),
            };
            format!("({a},{b})")
        };
        let values = values.as_binary::<i32>().iter();
        let texts = values.map(|bytes| bytes.map(format));
        Ok(Arc::new(StringArray::from_iter(texts)))
    }

    fn receive(&self, bytes: &ArrayRef, _: i32) -> Result<ArrayRef> {
        for (row, value) in bytes.as_binary::<i32>().iter().enumerate() {
            if FAULT == fault::BELIEVES_BYTES {
                assert!(value.is_none_or(|v| v.len() == 8), "eight bytes");
            }
            if value.is_some_and(|v| v.len() != 8) {
                return Err(refuse(row));
            }
        }
        Ok(bytes.clone())
    }

    fn send(&self, values: &ArrayRef) -> Result<ArrayRef> {
        if FAULT == fault::BYTES_LOSE {
            let zeros = |v: Option<&[u8]>| v.map(|_| [0u8; 8]);
            let lost = values.as_binary::<i32>().iter().map(zeros);
            return Ok(Arc::new(BinaryArray::from_iter(lost)));
        }
        Ok(values.clone())
    }
}
