//! Arguments of a function, a column each.

use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Float64Type, Int16Type, Int32Type, Int64Type};
use arrow_array::{Array, ArrayRef};
use arrow_schema::DataType;

/// One argument: a value per row, or one value for all of them.
#[derive(Clone, Debug)]
pub struct Argument {
    array: ArrayRef,
    constant: bool,
}

impl Argument {
    /// A constant's array has one value.
    pub fn new(array: ArrayRef, constant: bool) -> Argument {
        Argument { array, constant }
    }

    /// The values; one when [`is_constant`](Self::is_constant).
    pub fn array(&self) -> &ArrayRef {
        &self.array
    }

    /// Whether one value stands for every row, so that work on it can be done once.
    pub fn is_constant(&self) -> bool {
        self.constant
    }

    fn place(&self, row: usize) -> Option<usize> {
        let place = if self.constant { 0 } else { row };
        (place < self.array.len() && self.array.is_valid(place)).then_some(place)
    }

    pub fn is_null(&self, row: usize) -> bool {
        self.place(row).is_none()
    }

    /// Text, json or jsonb; `None` for NULL and for other types. So with the others here.
    pub fn text(&self, row: usize) -> Option<&str> {
        let place = self.place(row)?;
        match self.array.data_type() {
            DataType::Utf8View => Some(self.array.as_string_view().value(place)),
            DataType::LargeUtf8 => Some(self.array.as_string::<i64>().value(place)),
            DataType::Utf8 => Some(self.array.as_string::<i32>().value(place)),
            _ => None,
        }
    }

    /// `bytea`.
    pub fn bytes(&self, row: usize) -> Option<&[u8]> {
        let place = self.place(row)?;
        match self.array.data_type() {
            DataType::Binary => Some(self.array.as_binary::<i32>().value(place)),
            DataType::LargeBinary => Some(self.array.as_binary::<i64>().value(place)),
            DataType::BinaryView => Some(self.array.as_binary_view().value(place)),
            _ => None,
        }
    }

    pub fn boolean(&self, row: usize) -> Option<bool> {
        let place = self.place(row)?;
        match self.array.data_type() {
            DataType::Boolean => Some(self.array.as_boolean().value(place)),
            _ => None,
        }
    }

    /// smallint, integer or bigint.
    pub fn integer(&self, row: usize) -> Option<i64> {
        let place = self.place(row)?;
        match self.array.data_type() {
            DataType::Int16 => Some(self.array.as_primitive::<Int16Type>().value(place).into()),
            DataType::Int32 => Some(self.array.as_primitive::<Int32Type>().value(place).into()),
            DataType::Int64 => Some(self.array.as_primitive::<Int64Type>().value(place)),
            _ => None,
        }
    }

    /// real or double precision.
    pub fn float(&self, row: usize) -> Option<f64> {
        let place = self.place(row)?;
        match self.array.data_type() {
            DataType::Float32 => Some(self.array.as_primitive::<Float32Type>().value(place).into()),
            DataType::Float64 => Some(self.array.as_primitive::<Float64Type>().value(place)),
            _ => None,
        }
    }
}

/// All arguments of a call.
#[derive(Clone, Debug)]
pub struct Arguments {
    columns: Vec<Argument>,
    rows: usize,
}

impl Arguments {
    pub fn new(columns: Vec<Argument>, rows: usize) -> Arguments {
        Arguments { columns, rows }
    }

    /// How many values the result must have.
    pub fn rows(&self) -> usize {
        self.rows
    }

    pub fn len(&self) -> usize {
        self.columns.len()
    }

    pub fn is_empty(&self) -> bool {
        self.columns.is_empty()
    }

    pub fn get(&self, index: usize) -> Option<&Argument> {
        self.columns.get(index)
    }

    pub fn iter(&self) -> std::slice::Iter<'_, Argument> {
        self.columns.iter()
    }
}

impl std::ops::Index<usize> for Arguments {
    type Output = Argument;

    /// # Panics
    ///
    /// When the function was declared with fewer arguments.
    fn index(&self, index: usize) -> &Argument {
        &self.columns[index]
    }
}
