//! A Parquet file to batches.

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use arrow::datatypes::{Field, Schema, SchemaRef};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};

use super::convert::convert;
use super::failed;
use crate::copy::CopyColumn;
use crate::copy::decode::{BATCH_ROWS, bad_format};
use crate::error::{Result, SqlError};
use crate::types::Format;

/// A file to batches.
pub struct ParquetDecoder {
    columns: Vec<CopyColumn>,
    /// Where each column is in what is read.
    places: Vec<usize>,
    reader: ParquetRecordBatchReader,
    schema: SchemaRef,
    format: Format,
    table: String,
}

impl ParquetDecoder {
    /// Reads these columns of a file. Another column of the file's is an error if the file is to have no others
    /// (`exact`). `table` is only for messages.
    ///
    /// # Errors
    ///
    /// 22P04 when it is no Parquet file, or not of these columns.
    pub fn open(
        file: File,
        columns: &[CopyColumn],
        exact: bool,
        table: &str,
        format: Format,
    ) -> Result<ParquetDecoder> {
        // What Arrow says of the types in some files is not what others say.
        let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
        let builder = contained(|| {
            ParquetRecordBatchReaderBuilder::try_new_with_options(file, options)
                .map_err(|e| failed(&e))
        })?;
        let fields = builder.schema().fields().clone();
        let mut roots = Vec::with_capacity(columns.len());
        for column in columns {
            let mut named = (0..fields.len()).filter(|at| *fields[*at].name() == column.name);
            match (named.next(), named.next()) {
                (Some(at), None) => roots.push(at),
                (None, _) => {
                    let message = format!("the file has no column \"{}\"", column.name);
                    return Err(bad_format(message)
                        .with_hint("Name the columns that it has: COPY … (a, b) FROM …"));
                }
                (Some(_), Some(_)) => {
                    let message = format!("the file has more than one column \"{}\"", column.name);
                    return Err(bad_format(message));
                }
            }
        }
        if let Some(other) = (0..fields.len()).find(|at| exact && !roots.contains(at)) {
            let name = fields[other].name();
            let message = format!("the file has a column \"{name}\", and \"{table}\" has none");
            return Err(
                bad_format(message).with_hint("Name the columns to copy: COPY … (a, b) FROM …")
            );
        }
        // What is read is in the file's order.
        let mut order = roots.clone();
        order.sort_unstable();
        let places = roots
            .iter()
            .map(|root| order.partition_point(|at| at < root));
        let places = places.collect();
        let mask = ProjectionMask::roots(builder.parquet_schema(), roots);
        let reader = contained(|| {
            let builder = builder.with_projection(mask).with_batch_size(BATCH_ROWS);
            builder.build().map_err(|e| failed(&e))
        })?;
        let as_declared = columns.iter();
        let as_declared =
            as_declared.map(|c| Field::new(&c.name, c.ty.arrow_typmod(c.typmod), true));
        Ok(ParquetDecoder {
            schema: Arc::new(Schema::new(as_declared.collect::<Vec<_>>())),
            columns: columns.to_vec(),
            places,
            reader,
            format,
            table: table.to_owned(),
        })
    }

    /// The next rows; `None` at the end.
    pub fn next_batch(&mut self) -> Result<Option<RecordBatch>> {
        let Some(batch) = contained(|| self.reader.next().transpose().map_err(damaged))? else {
            return Ok(None);
        };
        let mut arrays = Vec::with_capacity(self.columns.len());
        for (column, place) in self.columns.iter().zip(&self.places) {
            let values = convert(batch.column(*place), column, &self.format).map_err(|e| {
                let (table, name) = (&self.table, &column.name);
                e.with_context(format!("COPY {table}, column {name}"))
            })?;
            arrays.push(values);
        }
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        RecordBatch::try_new_with_options(self.schema.clone(), arrays, &options)
            .map(Some)
            .map_err(SqlError::internal)
    }
}

fn damaged(error: arrow::error::ArrowError) -> SqlError {
    bad_format(format!("could not read Parquet data: {error}"))
}

/// The library has been seen to panic on damaged files.
fn contained<T>(read: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(|_| {
        Err(bad_format(
            "could not read Parquet data: the file is damaged",
        ))
    })
}
