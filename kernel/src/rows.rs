//! What a query returned: Arrow batches, or rows of typed values.

use std::ops::Range;
use std::sync::{Arc, LazyLock};

use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Float64Type, Int16Type, Int32Type, Int64Type, UInt32Type};
use arrow_array::{Array, RecordBatch};
use arrow_schema::DataType;
use heliosdb_sql::ResultColumn;
use heliosdb_sql::error::{SqlError, state};
use heliosdb_sql::types::{Format, PgType, encode_text_typmod, json};

/// A complete result.
pub struct Rows {
    columns: Arc<[ResultColumn]>,
    batches: Vec<RecordBatch>,
    /// `None` where every column prints the same under all settings.
    format: Option<Box<Format>>,
}

/// What prints columns that no setting matters to.
static PLAIN: LazyLock<Format> = LazyLock::new(Format::default);

/// Whether values print the same under all settings.
fn is_plain(column: &ResultColumn) -> bool {
    matches!(
        column.ty,
        PgType::Bool
            | PgType::Int2
            | PgType::Int4
            | PgType::Int8
            | PgType::Numeric
            | PgType::Text
            | PgType::Varchar
            | PgType::Bpchar
            | PgType::Name
            | PgType::Uuid
            | PgType::Oid
    )
}

impl Rows {
    /// All of `rows`; `format` gives the session's, where it matters.
    pub(crate) fn collect(
        mut rows: heliosdb_sql::Rows,
        format: impl FnOnce() -> Format,
    ) -> Result<Rows, SqlError> {
        let mut batches = Vec::new();
        while let Some(batch) = rows.next_batch()? {
            if batch.num_rows() > 0 {
                batches.push(batch);
            }
        }
        let columns = rows.shared_columns();
        let format = match columns.iter().all(is_plain) {
            true => None,
            false => Some(Box::new(format())),
        };
        Ok(Rows {
            columns,
            batches,
            format,
        })
    }

    /// The result of a statement that returns no rows.
    pub(crate) fn none() -> Rows {
        Rows {
            columns: Arc::from([]),
            batches: Vec::new(),
            format: None,
        }
    }

    pub fn columns(&self) -> &[ResultColumn] {
        &self.columns
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.batches.iter().map(RecordBatch::num_rows).sum()
    }

    pub fn is_empty(&self) -> bool {
        self.batches.is_empty()
    }

    /// The result as Arrow record batches, none of them empty.
    pub fn to_batches(self) -> Vec<RecordBatch> {
        self.batches
    }

    /// The rows in order.
    pub fn iter(&self) -> RowIter<'_> {
        RowIter {
            rows: self,
            batch: 0,
            row: 0,
        }
    }

    /// The only row; an error if there is none or more than one.
    pub fn one(&self) -> Result<Row<'_>, SqlError> {
        let mut rows = self.iter();
        match (rows.next(), rows.next()) {
            (Some(row), None) => Ok(row),
            _ => Err(SqlError::new(
                state::CARDINALITY_VIOLATION,
                format!("expected one row, the query returned {}", self.len()),
            )),
        }
    }
}

impl<'a> IntoIterator for &'a Rows {
    type Item = Row<'a>;
    type IntoIter = RowIter<'a>;

    fn into_iter(self) -> RowIter<'a> {
        self.iter()
    }
}

/// Iterator of [`Rows::iter`].
pub struct RowIter<'a> {
    rows: &'a Rows,
    batch: usize,
    row: usize,
}

impl<'a> Iterator for RowIter<'a> {
    type Item = Row<'a>;

    fn next(&mut self) -> Option<Row<'a>> {
        while let Some(batch) = self.rows.batches.get(self.batch) {
            if self.row < batch.num_rows() {
                self.row += 1;
                return Some(Row {
                    rows: self.rows,
                    batch,
                    row: self.row - 1,
                });
            }
            self.batch += 1;
            self.row = 0;
        }
        None
    }
}

/// One row of a result.
#[derive(Clone, Copy)]
pub struct Row<'a> {
    rows: &'a Rows,
    batch: &'a RecordBatch,
    row: usize,
}

impl<'a> Row<'a> {
    /// The value of a column, by name or by index from 0. NULL needs an `Option`.
    pub fn get<T: FromSql<'a>>(&self, column: impl ColumnRef) -> Result<T, SqlError> {
        let index = column.index(&self.rows.columns)?;
        let column = &self.rows.columns[index];
        T::from_sql(Cell {
            array: self.batch.column(index).as_ref(),
            row: self.row,
            column,
            format: self.rows.format.as_deref().unwrap_or(&PLAIN),
        })
    }

    pub fn len(&self) -> usize {
        self.rows.columns.len()
    }

    pub fn is_empty(&self) -> bool {
        self.rows.columns.is_empty()
    }
}

/// A column's name or its index from 0.
pub trait ColumnRef {
    fn index(&self, columns: &[ResultColumn]) -> Result<usize, SqlError>;
}

impl ColumnRef for usize {
    fn index(&self, columns: &[ResultColumn]) -> Result<usize, SqlError> {
        let valid: Range<usize> = 0..columns.len();
        if valid.contains(self) {
            Ok(*self)
        } else {
            Err(SqlError::new(
                state::UNDEFINED_COLUMN,
                format!(
                    "there is no column {self}: the result has {} columns",
                    columns.len()
                ),
            ))
        }
    }
}

impl ColumnRef for &str {
    fn index(&self, columns: &[ResultColumn]) -> Result<usize, SqlError> {
        columns.iter().position(|c| c.name == *self).ok_or_else(|| {
            let names: Vec<&str> = columns.iter().map(|c| c.name.as_str()).collect();
            SqlError::new(
                state::UNDEFINED_COLUMN,
                format!("the result has no column \"{self}\""),
            )
            .with_detail(format!("Its columns are: {}.", names.join(", ")))
        })
    }
}

/// One value of a result, for [`FromSql`].
#[derive(Clone, Copy)]
pub struct Cell<'a> {
    array: &'a dyn Array,
    row: usize,
    column: &'a ResultColumn,
    format: &'a Format,
}

impl<'a> Cell<'a> {
    pub fn is_null(&self) -> bool {
        self.array.is_null(self.row)
    }

    pub fn ty(&self) -> &PgType {
        &self.column.ty
    }

    /// The array that holds the value, and its place there.
    pub fn arrow(&self) -> (&'a dyn Array, usize) {
        (self.array, self.row)
    }

    fn not_null(&self) -> Result<(), SqlError> {
        if self.is_null() {
            Err(SqlError::new(
                state::DATATYPE_MISMATCH,
                format!(
                    "column \"{}\" is NULL; read it as an Option",
                    self.column.name
                ),
            ))
        } else {
            Ok(())
        }
    }

    fn mismatch(&self, wanted: &str) -> SqlError {
        SqlError::new(
            state::DATATYPE_MISMATCH,
            format!(
                "column \"{}\" is of type {} and cannot be read as {wanted}",
                self.column.name,
                self.column.ty.name()
            ),
        )
    }

    /// Any integer column, widened.
    fn integer(&self, wanted: &str) -> Result<i64, SqlError> {
        self.not_null()?;
        let row = self.row;
        Ok(match self.array.data_type() {
            DataType::Int16 => self.array.as_primitive::<Int16Type>().value(row).into(),
            DataType::Int32 => self.array.as_primitive::<Int32Type>().value(row).into(),
            DataType::Int64 => self.array.as_primitive::<Int64Type>().value(row),
            DataType::UInt32 => self.array.as_primitive::<UInt32Type>().value(row).into(),
            _ => return Err(self.mismatch(wanted)),
        })
    }

    fn text(&self) -> Result<&'a str, SqlError> {
        self.not_null()?;
        match self.array.data_type() {
            DataType::Utf8View => Ok(self.array.as_string_view().value(self.row)),
            DataType::Utf8 => Ok(self.array.as_string::<i32>().value(self.row)),
            DataType::LargeUtf8 => Ok(self.array.as_string::<i64>().value(self.row)),
            DataType::BinaryView => Ok(json::text_at(self.array.as_binary_view(), self.row)),
            _ => Err(self
                .mismatch("&str")
                .with_hint("A String takes the text of any type.")),
        }
    }

    fn bytes(&self) -> Result<&'a [u8], SqlError> {
        self.not_null()?;
        match self.array.data_type() {
            DataType::Binary => Ok(self.array.as_binary::<i32>().value(self.row)),
            DataType::FixedSizeBinary(_) => Ok(self.array.as_fixed_size_binary().value(self.row)),
            _ => Err(self.mismatch("bytes")),
        }
    }
}

/// A Rust type that a value can be read as. Integers and floats widen but never lose; a `String` is
/// the PostgreSQL text of any type.
pub trait FromSql<'a>: Sized {
    fn from_sql(cell: Cell<'a>) -> Result<Self, SqlError>;
}

impl<'a, T: FromSql<'a>> FromSql<'a> for Option<T> {
    fn from_sql(cell: Cell<'a>) -> Result<Self, SqlError> {
        if cell.is_null() {
            Ok(None)
        } else {
            T::from_sql(cell).map(Some)
        }
    }
}

macro_rules! integers {
    ($($ty:ty),*) => {
        $(impl FromSql<'_> for $ty {
            fn from_sql(cell: Cell<'_>) -> Result<Self, SqlError> {
                let value = cell.integer(stringify!($ty))?;
                value.try_into().map_err(|_| {
                    SqlError::new(
                        state::NUMERIC_VALUE_OUT_OF_RANGE,
                        format!(
                            "{value} in column \"{}\" does not fit {}",
                            cell.column.name,
                            stringify!($ty)
                        ),
                    )
                })
            }
        })*
    };
}

integers!(i16, i32, i64, u32, u64);

impl FromSql<'_> for f64 {
    fn from_sql(cell: Cell<'_>) -> Result<Self, SqlError> {
        cell.not_null()?;
        match cell.array.data_type() {
            DataType::Float64 => Ok(cell.array.as_primitive::<Float64Type>().value(cell.row)),
            DataType::Float32 => Ok(cell
                .array
                .as_primitive::<Float32Type>()
                .value(cell.row)
                .into()),
            _ => Err(cell.mismatch("f64")),
        }
    }
}

impl FromSql<'_> for f32 {
    fn from_sql(cell: Cell<'_>) -> Result<Self, SqlError> {
        cell.not_null()?;
        match cell.array.data_type() {
            DataType::Float32 => Ok(cell.array.as_primitive::<Float32Type>().value(cell.row)),
            _ => Err(cell.mismatch("f32")),
        }
    }
}

impl FromSql<'_> for bool {
    fn from_sql(cell: Cell<'_>) -> Result<Self, SqlError> {
        cell.not_null()?;
        match cell.array.data_type() {
            DataType::Boolean => Ok(cell.array.as_boolean().value(cell.row)),
            _ => Err(cell.mismatch("bool")),
        }
    }
}

impl<'a> FromSql<'a> for &'a str {
    fn from_sql(cell: Cell<'a>) -> Result<Self, SqlError> {
        cell.text()
    }
}

impl FromSql<'_> for String {
    fn from_sql(cell: Cell<'_>) -> Result<Self, SqlError> {
        cell.not_null()?;
        let mut text = String::new();
        let column = cell.column;
        encode_text_typmod(
            cell.array,
            cell.row,
            &column.ty,
            column.typmod,
            cell.format,
            &mut text,
        );
        Ok(text)
    }
}

impl<'a> FromSql<'a> for &'a [u8] {
    fn from_sql(cell: Cell<'a>) -> Result<Self, SqlError> {
        cell.bytes()
    }
}

impl FromSql<'_> for Vec<u8> {
    fn from_sql(cell: Cell<'_>) -> Result<Self, SqlError> {
        cell.bytes().map(<[u8]>::to_vec)
    }
}
