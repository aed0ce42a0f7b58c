//! Batches to a Parquet file.

use std::collections::HashSet;
use std::io;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, ListArray, StringBuilder, new_empty_array};
use arrow::compute::cast;
use arrow::datatypes::{
    DataType, Date32Type, Field, Schema, SchemaRef, TimeUnit, TimestampMicrosecondType,
};
use arrow::record_batch::RecordBatch;
use parking_lot::Mutex;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::Compression;
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;

use crate::copy::CopyColumn;
use crate::error::{Result, SqlError, state};
use crate::types::datetime::{
    DATE_INFINITY, DATE_NEG_INFINITY, TIMESTAMP_INFINITY, TIMESTAMP_NEG_INFINITY,
};
use crate::types::{Format, PgType, encode_text_typmod};

/// Rows of a row group at most, and bytes of one that is being written: what readers read side by side, and what
/// a COPY has in memory.
const GROUP_ROWS: usize = 122_880;
const GROUP_BYTES: usize = 32 << 20;

/// Batches to bytes.
pub struct ParquetEncoder {
    columns: Vec<CopyColumn>,
    format: Format,
    compression: Compression,
    /// From the first batch on, whose columns say what the file's are.
    writer: Option<(SchemaRef, ArrowWriter<Sink>)>,
    sink: Sink,
}

/// What is written and not fetched yet.
#[derive(Clone, Default)]
struct Sink(Arc<Mutex<Vec<u8>>>);

impl io::Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl ParquetEncoder {
    /// # Errors
    ///
    /// 42701 when two columns have one name, 0A000 when there is none.
    pub fn new(
        columns: Vec<CopyColumn>,
        compression: Compression,
        format: Format,
    ) -> Result<ParquetEncoder> {
        let mut names = HashSet::new();
        if let Some(twice) = columns.iter().find(|c| !names.insert(c.name.as_str())) {
            let message = format!("column \"{}\" specified more than once", twice.name);
            let error = SqlError::new(state::DUPLICATE_COLUMN, message);
            return Err(error.with_hint("The columns of a Parquet file are found by their names."));
        }
        if columns.is_empty() {
            return Err(SqlError::unsupported(
                "COPY in PARQUET mode without columns",
            ));
        }
        Ok(ParquetEncoder {
            columns,
            format,
            compression,
            writer: None,
            sink: Sink::default(),
        })
    }

    pub fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        let mut arrays = Vec::with_capacity(self.columns.len());
        for (column, values) in self.columns.iter().zip(batch.columns()) {
            arrays.push(outgoing(values, &column.ty, column.typmod, &self.format)?);
        }
        let (schema, writer) = match &mut self.writer {
            Some(writer) => writer,
            none => none.insert(open(&self.columns, &arrays, self.compression, &self.sink)?),
        };
        let batch = RecordBatch::try_new(schema.clone(), arrays).map_err(SqlError::internal)?;
        writer.write(&batch).map_err(|e| not_written(&e))
    }

    /// The file's last bytes are written with this.
    pub fn finish(&mut self) -> Result<()> {
        if self.writer.is_none() {
            let columns = self.columns.iter();
            let none = columns.map(|c| new_empty_array(&c.ty.arrow_typmod(c.typmod)));
            let schema = Schema::new(
                self.columns
                    .iter()
                    .map(|c| Field::new(&c.name, c.ty.arrow_typmod(c.typmod), true))
                    .collect::<Vec<_>>(),
            );
            let batch = RecordBatch::try_new(Arc::new(schema), none.collect());
            self.write(&batch.map_err(SqlError::internal)?)?;
        }
        match &mut self.writer {
            Some((_, writer)) => writer.finish().map(drop).map_err(|e| not_written(&e)),
            None => Err(SqlError::internal("a Parquet file was not begun")),
        }
    }

    /// Takes what has been written since.
    pub fn take(&mut self, out: &mut Vec<u8>) {
        out.append(&mut self.sink.0.lock());
    }
}

fn open(
    columns: &[CopyColumn],
    arrays: &[ArrayRef],
    compression: Compression,
    sink: &Sink,
) -> Result<(SchemaRef, ArrowWriter<Sink>)> {
    let fields = columns.iter().zip(arrays);
    let fields = fields.map(|(c, values)| Field::new(&c.name, values.data_type().clone(), true));
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    let properties = WriterProperties::builder()
        .set_created_by(format!("HeliosDB {}", env!("CARGO_PKG_VERSION")))
        .set_compression(compression)
        .set_max_row_group_row_count(Some(GROUP_ROWS))
        .set_max_row_group_bytes(Some(GROUP_BYTES))
        .build();
    // Arrow's own description would say more to Arrow than the file says to others.
    let options = ArrowWriterOptions::new()
        .with_properties(properties)
        .with_skip_arrow_metadata(true);
    let writer = ArrowWriter::try_new_with_options(sink.clone(), schema.clone(), options);
    Ok((schema, writer.map_err(|e| not_written(&e))?))
}

fn not_written(error: &ParquetError) -> SqlError {
    SqlError::internal(format!("writing Parquet: {error}"))
}

/// Values as the file has them.
fn outgoing(values: &ArrayRef, ty: &PgType, typmod: i32, format: &Format) -> Result<ArrayRef> {
    let as_declared = || -> Result<ArrayRef> {
        let wanted = ty.arrow();
        match *values.data_type() == wanted {
            true => Ok(values.clone()),
            false => Ok(cast(values, &wanted)?),
        }
    };
    match (ty, values.data_type()) {
        (
            PgType::Bool
            | PgType::Int2
            | PgType::Int4
            | PgType::Int8
            | PgType::Float4
            | PgType::Float8
            | PgType::Bytea
            | PgType::Time
            | PgType::Oid,
            _,
        ) => as_declared(),
        (PgType::Numeric, DataType::Decimal128(..)) => Ok(values.clone()),
        (PgType::Text | PgType::Varchar | PgType::Name, DataType::Utf8View) => {
            Ok(cast(values, &DataType::Utf8)?)
        }
        (PgType::Date, DataType::Date32) => {
            let mut days = values.as_primitive::<Date32Type>().iter().flatten();
            match days.any(|day| matches!(day, DATE_INFINITY | DATE_NEG_INFINITY)) {
                true => Err(infinite()),
                false => Ok(values.clone()),
            }
        }
        (
            PgType::Timestamp | PgType::TimestampTz,
            DataType::Timestamp(TimeUnit::Microsecond, _),
        ) => {
            let micros = values.as_primitive::<TimestampMicrosecondType>().iter();
            let is_end = |at| matches!(at, TIMESTAMP_INFINITY | TIMESTAMP_NEG_INFINITY);
            match micros.flatten().any(is_end) {
                true => Err(infinite()),
                false => as_declared(),
            }
        }
        (PgType::Array(item), DataType::List(_)) => {
            let list: &ListArray = values.as_list();
            let items = outgoing(list.values(), item, typmod, format)?;
            let field = Arc::new(Field::new("element", items.data_type().clone(), true));
            let nulls = list.nulls().cloned();
            let list = ListArray::try_new(field, list.offsets().clone(), items, nulls);
            Ok(Arc::new(list.map_err(SqlError::internal)?))
        }
        _ => Ok(texts(values, ty, typmod, format)),
    }
}

fn texts(values: &ArrayRef, ty: &PgType, typmod: i32, format: &Format) -> ArrayRef {
    let mut texts = StringBuilder::with_capacity(values.len(), values.len() * 16);
    let mut text = String::new();
    for row in 0..values.len() {
        if values.is_null(row) {
            texts.append_null();
            continue;
        }
        text.clear();
        encode_text_typmod(values, row, ty, typmod, format, &mut text);
        texts.append_value(&text);
    }
    Arc::new(texts.finish())
}

fn infinite() -> SqlError {
    let message = "a Parquet file cannot have infinity as a date or a time";
    SqlError::new(state::DATETIME_FIELD_OVERFLOW, message)
        .with_hint("Copy a query that has NULL, or a text, in its place.")
}
