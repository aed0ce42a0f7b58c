//! Codecs: every block comes back, from damaged bytes too nothing worse than an error.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, Float32Type, Float64Type, Int16Type, Int32Type, Int64Type,
    TimestampMicrosecondType, UInt32Type,
};
use arrow_array::{
    Array, ArrayRef, BinaryArray, BooleanArray, LargeStringArray, StringViewArray, UInt32Array,
};
use arrow_schema::DataType;
use arrow_select::take::take;
use heliosdb_plugin_api::Comparison;

use super::{Outcome, Suite, ensure, fair};
use crate::allocation;
use crate::plugin::Started;
use crate::values::{self, SHAPES, TYPES};

/// Rows of the blocks: none, one, few, and as many as a block can have.
const ROWS: [usize; 4] = [0, 1, 300, 8192];
/// What decoding damaged bytes of a small block may ask for at once.
const ALLOCATION_MAX: usize = 64 << 20;

const COMPARISONS: [Comparison; 8] = [
    Comparison::Equal,
    Comparison::NotEqual,
    Comparison::Less,
    Comparison::LessOrEqual,
    Comparison::Greater,
    Comparison::GreaterOrEqual,
    Comparison::In,
    Comparison::StartsWith,
];

pub fn check(suite: &Suite) -> Outcome {
    let plugin = suite.started()?;
    for (index, declared) in plugin.provides.codecs.iter().enumerate() {
        let any = declared.types.iter().any(|t| t == "any");
        let types: Vec<&str> = match any {
            true => TYPES.to_vec(),
            false => declared.types.iter().map(String::as_str).collect(),
        };
        let mut encoded = 0;
        for ty in types {
            encoded += check_type(suite, &plugin, index as u32, ty)
                .map_err(|why| format!("codec {} of {ty}: {why}", declared.name))?;
        }
        ensure(encoded > 0, || {
            format!("codec {} has nothing to offer for any block", declared.name)
        })?;
    }
    Ok(())
}

/// The number of blocks that the codec took.
fn check_type(suite: &Suite, plugin: &Started, index: u32, ty: &str) -> Result<usize, String> {
    let mut taken = 0;
    for shape in SHAPES {
        for rows in ROWS {
            let block = suite.column(plugin, ty, shape, rows, 11)?;
            let case = Case {
                plugin,
                index,
                block,
                small: rows <= 300,
            };
            let took = case.check();
            taken += usize::from(took.map_err(|why| format!("{rows} rows, {shape:?}: {why}"))?);
        }
        // The same values at an offset, as a slice of a larger column has them.
        let block = suite.column(plugin, ty, shape, 500, 12)?.slice(100, 300);
        let case = Case {
            plugin,
            index,
            block,
            small: false,
        };
        case.check()
            .map_err(|why| format!("a slice, {shape:?}: {why}"))?;
    }
    Ok(taken)
}

struct Case<'a> {
    plugin: &'a Started,
    index: u32,
    block: ArrayRef,
    /// Small enough for the checks that take a while.
    small: bool,
}

impl Case<'_> {
    /// Whether the codec took the block.
    fn check(&self) -> Result<bool, String> {
        let analyzed = self.plugin.analyze(self.index, &self.block);
        if analyzed.map_err(|e| format!("analyze: {e}"))?.is_none() {
            return Ok(false);
        }
        let encoded = self.plugin.encode(self.index, &self.block);
        let encoded = encoded.map_err(|e| format!("encode: {e}"))?;
        let again = self.plugin.encode(self.index, &self.block);
        ensure(again.is_ok_and(|a| a == encoded), || {
            "a second encoding differs".to_owned()
        })?;
        let decoded = self.decode(&encoded, self.block.len());
        let decoded = decoded.map_err(|e| format!("decode: {e}"))?;
        ensure(values::same(&decoded, &self.block, false), || {
            "the decoded block differs".to_owned()
        })?;
        self.slices(&encoded)?;
        self.filters(&encoded)?;
        if self.small {
            self.damaged(&encoded)?;
        }
        Ok(true)
    }

    fn decode(&self, encoded: &[u8], rows: usize) -> Result<ArrayRef, crate::CallError> {
        let ty = self.block.data_type();
        self.plugin.decode(self.index, encoded, ty, rows)
    }

    fn slices(&self, encoded: &[u8]) -> Outcome {
        let (rows, ty) = (self.block.len(), self.block.data_type());
        for (start, end) in [
            (0, 0),
            (0, rows),
            (rows, rows),
            (rows / 2, rows),
            (rows / 3, rows / 2),
            (0, rows.min(1)),
            (rows.saturating_sub(1), rows),
        ] {
            let part = self
                .plugin
                .decode_slice(self.index, encoded, ty, rows, start..end);
            let part = part.map_err(|e| format!("decode_slice {start}..{end}: {e}"))?;
            let expected = self.block.slice(start, end - start);
            ensure(values::same(&part, &expected, false), || {
                format!("decode_slice {start}..{end} differs from the slice")
            })?;
        }
        Ok(())
    }

    fn filters(&self, encoded: &[u8]) -> Outcome {
        let rows = self.block.len();
        let keys = keys(&self.block);
        let places = [0, rows / 2, rows.saturating_sub(1)];
        let valid = |p: &usize| *p < rows && keys[*p].is_some();
        let places: Vec<usize> = places.into_iter().filter(valid).collect();
        for (number, place) in places.iter().enumerate() {
            for comparison in COMPARISONS {
                let constants = match comparison {
                    Comparison::In => &places[number..],
                    Comparison::StartsWith if !matches!(keys[*place], Some(Key::Bytes(_))) => {
                        continue;
                    }
                    _ => std::slice::from_ref(place),
                };
                let array = match (comparison, &keys[*place]) {
                    (Comparison::StartsWith, Some(Key::Bytes(bytes))) => {
                        match beginning(self.block.data_type(), bytes) {
                            Some(array) => array,
                            None => continue,
                        }
                    }
                    _ => chosen(&self.block, constants)?,
                };
                let found = self
                    .plugin
                    .filter(self.index, encoded, rows, comparison, &array);
                let Some(found) = fair("filter", found)?.flatten() else {
                    continue;
                };
                let constants: Vec<Key> = self::keys(&array).into_iter().flatten().collect();
                let each = keys.iter().map(|key| {
                    let key = key.as_ref()?;
                    Some(constants.iter().any(|c| compare(key, comparison, c)))
                });
                let expected: ArrayRef = Arc::new(BooleanArray::from_iter(each));
                ensure(values::same(&found, &expected, false), || {
                    format!("filter {comparison:?} differs from evaluation")
                })?;
            }
        }
        Ok(())
    }

    fn damaged(&self, encoded: &[u8]) -> Outcome {
        let rows = self.block.len();
        let mut random = values::Random(encoded.len() as u64);
        let mut bad: Vec<Vec<u8>> = vec![Vec::new(), vec![0xff; 64], vec![0; 64]];
        let ends = (0..encoded.len()).step_by((encoded.len() / 60).max(1));
        bad.extend(ends.map(|end| encoded[..end].to_vec()));
        for _ in 0..120 {
            let mut flipped = encoded.to_vec();
            if flipped.is_empty() {
                break;
            }
            // Headers and lengths are mostly at the front.
            let limit = if random.below(2) == 0 {
                flipped.len().min(24)
            } else {
                flipped.len()
            };
            let at = random.below(limit);
            flipped[at] = match random.below(3) {
                0 => 0xff,
                1 => 0,
                _ => flipped[at] ^ 1 << random.below(8),
            };
            bad.push(flipped);
        }
        for bytes in bad {
            self.decode_damaged(&bytes, rows)?;
        }
        // Sound bytes for another number of rows.
        for rows in [rows + 1, rows.saturating_sub(1), 8192] {
            self.decode_damaged(encoded, rows)?;
        }
        Ok(())
    }

    /// Damaged bytes may even decode, to something; what must not happen is anything else. A result
    /// of a wrong length or type is found on import.
    fn decode_damaged(&self, bytes: &[u8], rows: usize) -> Outcome {
        let ty = self.block.data_type();
        let (result, largest) = allocation::largest(|| {
            let decoded = self.decode(bytes, rows);
            let slice = self
                .plugin
                .decode_slice(self.index, bytes, ty, rows, 0..rows.min(1));
            [decoded, slice]
        });
        for result in result {
            fair(&format!("decode of {} damaged bytes", bytes.len()), result)?;
        }
        ensure(largest <= ALLOCATION_MAX, || {
            format!("damaged bytes made it allocate {largest} bytes at once")
        })?;
        let constant = self.block.slice(0, self.block.len().min(1));
        if constant.len() == 1 {
            let found = self
                .plugin
                .filter(self.index, bytes, rows, Comparison::Less, &constant);
            fair("filter of damaged bytes", found)?;
        }
        Ok(())
    }
}

/// A value by which its type orders.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Integer(i64),
    Bytes(Vec<u8>),
}

/// PostgreSQL's order: zeros are equal, and NaNs are, which are above everything.
fn float_key(float: f64) -> Key {
    let float = match float.is_nan() {
        true => f64::NAN.copysign(1.0),
        // The sum of both zeros is the one above.
        false => float + 0.0,
    };
    let bits = float.to_bits();
    let bits = bits as i64;
    // The magnitude of what is negative rises downwards.
    Key::Integer(bits ^ ((bits >> 63) & i64::MAX))
}

/// The first half of a text or of bytes, as an array of one.
fn beginning(ty: &DataType, bytes: &[u8]) -> Option<ArrayRef> {
    let half = &bytes[..bytes.len().div_ceil(2)];
    let valid = |text: &[u8]| match std::str::from_utf8(text) {
        Ok(text) => text.to_owned(),
        Err(e) => String::from_utf8_lossy(&text[..e.valid_up_to()]).into_owned(),
    };
    Some(match ty {
        DataType::Utf8View => Arc::new(StringViewArray::from_iter_values([valid(half)])),
        DataType::LargeUtf8 => Arc::new(LargeStringArray::from_iter_values([valid(half)])),
        DataType::Binary => Arc::new(BinaryArray::from_iter_values([half])),
        _ => return None,
    })
}

/// The values of a block in these places.
fn chosen(block: &ArrayRef, places: &[usize]) -> Result<ArrayRef, String> {
    let places = UInt32Array::from_iter_values(places.iter().map(|place| *place as u32));
    take(block.as_ref(), &places, None).map_err(|e| e.to_string())
}

fn compare(key: &Key, comparison: Comparison, constant: &Key) -> bool {
    match comparison {
        Comparison::Equal | Comparison::In => key == constant,
        Comparison::NotEqual => key != constant,
        Comparison::Less => key < constant,
        Comparison::LessOrEqual => key <= constant,
        Comparison::Greater => key > constant,
        Comparison::GreaterOrEqual => key >= constant,
        Comparison::StartsWith => match (key, constant) {
            (Key::Bytes(key), Key::Bytes(constant)) => key.starts_with(constant),
            _ => false,
        },
    }
}

fn keys(array: &ArrayRef) -> Vec<Option<Key>> {
    macro_rules! integers {
        ($ty:ty) => {
            array
                .as_primitive::<$ty>()
                .iter()
                .map(|v| v.map(|v| Key::Integer(i64::from(v))))
                .collect()
        };
    }
    let bytes = |v: Option<&[u8]>| v.map(|v| Key::Bytes(v.to_vec()));
    let text = |v: Option<&str>| bytes(v.map(str::as_bytes));
    match array.data_type() {
        DataType::Boolean => {
            let values = array.as_boolean().iter();
            values.map(|v| v.map(|v| Key::Integer(v.into()))).collect()
        }
        DataType::Int16 => integers!(Int16Type),
        DataType::Int32 => integers!(Int32Type),
        DataType::Int64 => integers!(Int64Type),
        DataType::UInt32 => integers!(UInt32Type),
        DataType::Date32 => integers!(Date32Type),
        DataType::Timestamp(..) => integers!(TimestampMicrosecondType),
        DataType::Float32 => {
            let values = array.as_primitive::<Float32Type>().iter();
            values.map(|v| v.map(|v| float_key(v.into()))).collect()
        }
        DataType::Float64 => {
            let values = array.as_primitive::<Float64Type>().iter();
            values.map(|v| v.map(float_key)).collect()
        }
        DataType::Utf8View => array.as_string_view().iter().map(text).collect(),
        DataType::LargeUtf8 => array.as_string::<i64>().iter().map(text).collect(),
        DataType::Binary => array.as_binary::<i32>().iter().map(bytes).collect(),
        DataType::FixedSizeBinary(_) => {
            let values = array.as_fixed_size_binary();
            values.iter().map(bytes).collect()
        }
        _ => vec![None; array.len()],
    }
}
