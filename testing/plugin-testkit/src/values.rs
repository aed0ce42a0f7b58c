//! Generated columns: every SQL type, in the shapes that break things.

use std::sync::Arc;

use arrow_array::builder::FixedSizeBinaryBuilder;
use arrow_array::{
    Array, ArrayRef, BinaryArray, BooleanArray, Date32Array, Float32Array, Float64Array,
    Int16Array, Int32Array, Int64Array, LargeStringArray, StringViewArray,
    TimestampMicrosecondArray, UInt32Array, make_array,
};
use arrow_data::transform::MutableArrayData;
use arrow_schema::DataType;
use heliosdb_plugin_api::arrow::sql_type;

/// Every SQL type that can cross, one name each.
pub const TYPES: [&str; 15] = [
    "boolean",
    "smallint",
    "integer",
    "bigint",
    "real",
    "double precision",
    "text",
    "json",
    "jsonb",
    "bytea",
    "date",
    "timestamp",
    "timestamptz",
    "uuid",
    "oid",
];

/// How the values of a column lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Ordinary and extreme values, a fifth of them NULL.
    Mixed,
    /// The same without NULLs.
    Dense,
    AllNull,
    AllEqual,
    /// A few values, each many times in a row.
    Runs,
    Ascending,
}

pub const SHAPES: [Shape; 6] = [
    Shape::Mixed,
    Shape::Dense,
    Shape::AllNull,
    Shape::AllEqual,
    Shape::Runs,
    Shape::Ascending,
];

/// A column of a built-in SQL type: the same for the same arguments. `None` for a type that has no
/// Arrow type, such as a plugin's own.
pub fn column(sql: &str, shape: Shape, rows: usize, seed: u64) -> Option<ArrayRef> {
    let mut random = Random(seed ^ 0x9e37_79b9_7f4a_7c15);
    let drawn: Vec<Option<u64>> = (0..rows)
        .map(|row| {
            let draw = random.draw();
            match shape {
                Shape::Mixed if draw.is_multiple_of(5) => None,
                Shape::Mixed | Shape::Dense => Some(random.draw()),
                Shape::AllNull => None,
                Shape::AllEqual => Some(seed | (1 << 40)),
                Shape::Runs => Some(((row / 50) as u64 * 7919) | (1 << 40)),
                Shape::Ascending => Some(row as u64 | (1 << 41)),
            }
        })
        .collect();
    Some(build(sql_type(sql)?, sql, &drawn))
}

/// Draws become values: below, the low bits choose an extreme or an ordinary value.
fn build(ty: DataType, sql: &str, drawn: &[Option<u64>]) -> ArrayRef {
    let each = drawn.iter().copied();
    match ty {
        DataType::Boolean => Arc::new(BooleanArray::from_iter(each.map(|d| d.map(|d| d & 2 == 0)))),
        DataType::Int16 => Arc::new(Int16Array::from_iter(
            each.map(|d| d.map(|d| integer(d) as i16)),
        )),
        DataType::Int32 => Arc::new(Int32Array::from_iter(
            each.map(|d| d.map(|d| integer(d) as i32)),
        )),
        DataType::Int64 => Arc::new(Int64Array::from_iter(each.map(|d| d.map(integer)))),
        DataType::Float32 => Arc::new(Float32Array::from_iter(
            each.map(|d| d.map(|d| float(d) as f32)),
        )),
        DataType::Float64 => Arc::new(Float64Array::from_iter(each.map(|d| d.map(float)))),
        DataType::LargeUtf8 => Arc::new(LargeStringArray::from_iter(each.map(|d| d.map(json)))),
        DataType::Utf8View => Arc::new(StringViewArray::from_iter(each.map(|d| d.map(text)))),
        DataType::Binary => Arc::new(BinaryArray::from_iter(each.map(|d| d.map(bytes)))),
        DataType::Date32 => Arc::new(Date32Array::from_iter(
            each.map(|d| d.map(|d| (integer(d) % 2_000_000) as i32)),
        )),
        DataType::Timestamp(_, zone) => {
            let values = each.map(|d| d.map(|d| integer(d) % 200_000_000_000_000_000));
            let array = TimestampMicrosecondArray::from_iter(values);
            Arc::new(array.with_timezone_opt(zone))
        }
        DataType::FixedSizeBinary(16) => {
            let mut builder = FixedSizeBinaryBuilder::with_capacity(drawn.len(), 16);
            for draw in each {
                match draw {
                    None => builder.append_null(),
                    Some(draw) => {
                        let value = ((u128::from(draw) << 64) | u128::from(draw)).to_be_bytes();
                        builder.append_value(value).expect("16 bytes are 16 bytes");
                    }
                }
            }
            Arc::new(builder.finish())
        }
        DataType::UInt32 => Arc::new(UInt32Array::from_iter(
            each.map(|d| d.map(|d| integer(d) as u32)),
        )),
        other => unreachable!("sql_type gives no {other} for {sql}"),
    }
}

fn integer(draw: u64) -> i64 {
    match draw % 16 {
        0 => i64::MIN,
        1 => i64::MAX,
        2 => i64::from(i32::MIN),
        3 => -1,
        4 => 0,
        _ => (draw >> 4) as i64 % 100_000,
    }
}

fn float(draw: u64) -> f64 {
    match draw % 16 {
        0 => f64::MAX,
        1 => f64::MIN_POSITIVE,
        2 => -0.0,
        3 => f64::INFINITY,
        4 => f64::NEG_INFINITY,
        _ => ((draw >> 4) % 1_000_000) as f64 / 64.0 - 4000.0,
    }
}

fn text(draw: u64) -> String {
    match draw % 16 {
        0 => String::new(),
        1 => "a".repeat(3000),
        2 => "naïve – 猫 🐈".to_owned(),
        3 => "tab\tquote\"'\\\u{7f}".to_owned(),
        _ => format!("value-{}", (draw >> 4) % 1000),
    }
}

fn bytes(draw: u64) -> Vec<u8> {
    match draw % 16 {
        0 => Vec::new(),
        1 => vec![0xff; 3000],
        2 => vec![0],
        _ => draw.to_le_bytes()[..(draw >> 8) as usize % 9].to_vec(),
    }
}

fn json(draw: u64) -> String {
    let number = (draw >> 4) % 1000;
    match draw % 16 {
        0 => "null".to_owned(),
        1 => "{}".to_owned(),
        2 => "[]".to_owned(),
        3 => format!("\"{number} – 猫\""),
        4 => format!("{}{}", "[".repeat(60), "]".repeat(60)),
        5 => "1e300".to_owned(),
        6 => "true".to_owned(),
        _ => format!("{{\"a\": {number}, \"b\": [\"x\", null, {{\"c\": -{number}.5}}]}}"),
    }
}

/// The rows of `array` at these places, in this order.
pub fn take(array: &ArrayRef, rows: &[usize]) -> ArrayRef {
    let data = array.to_data();
    let mut taken = MutableArrayData::new(vec![&data], true, rows.len());
    for &row in rows {
        let extended = taken.try_extend(0, row, row + 1);
        extended.expect("a part is no longer than the whole");
    }
    make_array(taken.freeze())
}

/// Arrays of one type, one after the other; `None` for no array.
pub fn concat(arrays: &[ArrayRef]) -> Option<ArrayRef> {
    arrays.first()?;
    let data: Vec<_> = arrays.iter().map(|array| array.to_data()).collect();
    let rows = data.iter().map(|d| d.len()).sum();
    let mut all = MutableArrayData::new(data.iter().collect(), true, rows);
    for (i, array) in data.iter().enumerate() {
        let extended = all.try_extend(i, 0, array.len());
        extended.expect("columns of tests are short");
    }
    Some(make_array(all.freeze()))
}

/// Whether two columns have the same values. Floats may differ in the last digits where `roughly`.
pub fn same(left: &ArrayRef, right: &ArrayRef, roughly: bool) -> bool {
    if !roughly || left.len() != right.len() || left.data_type() != right.data_type() {
        return left.to_data() == right.to_data();
    }
    let near = |a: f64, b: f64, share: f64| {
        a == b || (a - b).abs() <= share * a.abs().max(b.abs()) || a.is_nan() && b.is_nan()
    };
    let any = left.as_any();
    let both = |row: usize| (left.is_valid(row), right.is_valid(row));
    if let (Some(a), Some(b)) = (
        any.downcast_ref::<Float64Array>(),
        right.as_any().downcast_ref::<Float64Array>(),
    ) {
        return (0..a.len()).all(|row| match both(row) {
            (true, true) => near(a.value(row), b.value(row), 1e-9),
            (a, b) => a == b,
        });
    }
    if let (Some(a), Some(b)) = (
        any.downcast_ref::<Float32Array>(),
        right.as_any().downcast_ref::<Float32Array>(),
    ) {
        return (0..a.len()).all(|row| match both(row) {
            (true, true) => near(a.value(row).into(), b.value(row).into(), 1e-4),
            (a, b) => a == b,
        });
    }
    left.to_data() == right.to_data()
}

/// SplitMix64.
pub struct Random(pub u64);

impl Random {
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Below `limit`, which must not be 0.
    pub fn below(&mut self, limit: usize) -> usize {
        (self.draw() % limit as u64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_has_every_shape() {
        for sql in TYPES {
            for shape in SHAPES {
                for rows in [0, 1, 200] {
                    let array = column(sql, shape, rows, 7).expect("a built-in type");
                    assert_eq!(array.len(), rows, "{sql} {shape:?}");
                    assert_eq!(Some(array.data_type().clone()), sql_type(sql));
                    array.to_data().validate_full().expect("a sound array");
                }
            }
        }
    }

    #[test]
    fn pieces_make_the_whole() {
        let whole = column("text", Shape::Mixed, 100, 1).expect("text");
        let pieces = [whole.slice(0, 30), whole.slice(30, 0), whole.slice(30, 70)];
        assert!(same(&whole, &concat(&pieces).expect("three"), false));
        assert_eq!(take(&whole, &[5, 3]).len(), 2);
    }
}
