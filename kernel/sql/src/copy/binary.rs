//! COPY's binary format.
//!
//! ```text
//! signature   11 bytes   PGCOPY \n \377 \r \n \0
//! flags       u32        bits 16 to 31 are critical: none is known
//! extension   u32        length of what is to be skipped
//! row         i16        fields, then for each
//!             i32        bytes, or -1 for NULL
//!             …          what the type's send function writes
//! trailer     i16        -1
//! ```
//!
//! All big-endian. As in PostgreSQL, data that ends where a row could begin has ended, with or without the
//! trailer.

use std::sync::Arc;

use arrow::array::{Array, RecordBatch, RecordBatchOptions};
use arrow::datatypes::{Field, Schema, SchemaRef};

use super::CopyColumn;
use super::decode::{BATCH_ROWS, RECORD_BYTES_MAX, bad_format};
use crate::error::{Result, SqlError, state};
use crate::types::{ColumnBuilder, Format, PgType, encode_binary_typmod, encode_text};

const SIGNATURE: &[u8; 11] = b"PGCOPY\n\xff\r\n\0";
/// What was once "with OIDs".
const FLAG_OIDS: u32 = 1 << 16;
const TRAILER: i16 = -1;
const NULL: i32 = -1;

/// Bytes in pieces of any size to batches.
pub struct BinaryDecoder {
    names: Vec<String>,
    builders: Vec<ColumnBuilder>,
    table: String,
    schema: SchemaRef,
    /// What is not understood yet: less than a header, or than a row.
    pending: Vec<u8>,
    place: Place,
    /// Rows begun.
    line: u64,
    rows: usize,
    batches: Vec<RecordBatch>,
}

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Place {
    Header,
    /// So many bytes of the header's extension.
    Extension(usize),
    Row,
    End,
}

impl BinaryDecoder {
    /// `table` is only for messages.
    pub fn new(columns: &[CopyColumn], table: &str) -> Result<BinaryDecoder> {
        let fields = columns.iter();
        let fields = fields.map(|c| Field::new(&c.name, c.ty.arrow_typmod(c.typmod), true));
        Ok(BinaryDecoder {
            names: columns.iter().map(|c| c.name.clone()).collect(),
            schema: Arc::new(Schema::new(fields.collect::<Vec<_>>())),
            builders: columns
                .iter()
                .map(|c| ColumnBuilder::new(&c.ty, c.typmod, BATCH_ROWS))
                .collect::<Result<_>>()?,
            table: table.to_owned(),
            pending: Vec::new(),
            place: Place::Header,
            line: 0,
            rows: 0,
            batches: Vec::new(),
        })
    }

    /// Takes more of the stream; gives the batches that are full now.
    pub fn push(&mut self, data: &[u8]) -> Result<Vec<RecordBatch>> {
        let mut bytes = std::mem::take(&mut self.pending);
        let taken = if bytes.is_empty() {
            let taken = self.read(data, false)?;
            bytes.extend_from_slice(&data[taken..]);
            0
        } else {
            bytes.extend_from_slice(data);
            self.read(&bytes, false)?
        };
        bytes.drain(..taken);
        self.pending = bytes;
        Ok(std::mem::take(&mut self.batches))
    }

    /// The stream has ended. Gives the remaining rows.
    pub fn finish(&mut self) -> Result<Vec<RecordBatch>> {
        let rest = std::mem::take(&mut self.pending);
        self.read(&rest, true)?;
        match self.place {
            Place::Header => return Err(missing_header(&rest)),
            Place::Extension(_) => {
                return Err(bad_format("invalid COPY file header (wrong length)"));
            }
            Place::Row | Place::End => {}
        }
        if self.rows > 0 {
            self.flush()?;
        }
        Ok(std::mem::take(&mut self.batches))
    }

    /// Reads what is whole, or all when it is the `last`; how much that was.
    fn read(&mut self, bytes: &[u8], last: bool) -> Result<usize> {
        let mut at = 0;
        loop {
            let rest = &bytes[at..];
            match self.place {
                Place::Header => match header(rest)? {
                    Some((length, extension)) => {
                        at += length;
                        self.place = Place::Extension(extension);
                    }
                    None => return Ok(at),
                },
                Place::Extension(left) => {
                    let skipped = left.min(rest.len());
                    at += skipped;
                    if skipped < left {
                        self.place = Place::Extension(left - skipped);
                        return Ok(at);
                    }
                    self.place = Place::Row;
                }
                Place::Row => match self.row(rest, last)? {
                    Some(length) => at += length,
                    None => return Ok(at),
                },
                Place::End if rest.is_empty() => return Ok(at),
                Place::End => {
                    let error = bad_format("received copy data after EOF marker");
                    return Err(self.at_row(error));
                }
            }
        }
    }

    /// Reads a row or the trailer; its length, or `None` when it has not come yet.
    fn row(&mut self, bytes: &[u8], last: bool) -> Result<Option<usize>> {
        let Some(count) = head::<2>(bytes).map(i16::from_be_bytes) else {
            return Ok(None);
        };
        if !last && count == self.builders.len() as i16 && !is_whole(bytes, self.builders.len()) {
            if bytes.len() > RECORD_BYTES_MAX {
                return Err(SqlError::new(
                    state::PROGRAM_LIMIT_EXCEEDED,
                    "COPY row is too long",
                ));
            }
            return Ok(None);
        }
        self.line += 1;
        if count == TRAILER {
            self.place = Place::End;
            return Ok(Some(2));
        }
        if count != self.builders.len() as i16 {
            let expected = self.builders.len();
            let message = format!("row field count is {count}, expected {expected}");
            return Err(self.at_row(bad_format(message)));
        }
        let mut at = 2;
        for column in 0..self.builders.len() {
            let length = self
                .field(&bytes[at..], column)
                .map_err(|e| self.at_column(e, column))?;
            at += 4 + length;
        }
        self.rows += 1;
        if self.rows == BATCH_ROWS {
            self.flush()?;
        }
        Ok(Some(at))
    }

    /// Reads a field of a row that is whole, or the last; how long its value was.
    fn field(&mut self, bytes: &[u8], column: usize) -> Result<usize> {
        let builder = &mut self.builders[column];
        let length = head::<4>(bytes).map(i32::from_be_bytes);
        let length = length.ok_or_else(|| bad_format("unexpected EOF in COPY data"))?;
        if length == NULL {
            builder.append_null();
            return Ok(0);
        }
        let length = usize::try_from(length).map_err(|_| bad_format("invalid field size"))?;
        let value = bytes[4..].get(..length);
        let value = value.ok_or_else(|| bad_format("unexpected EOF in COPY data"))?;
        builder.append_binary(value)?;
        Ok(length)
    }

    fn flush(&mut self) -> Result<()> {
        let rows = std::mem::take(&mut self.rows);
        let columns = self.builders.iter_mut().map(ColumnBuilder::finish);
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let schema = Arc::clone(&self.schema);
        let batch = RecordBatch::try_new_with_options(schema, columns.collect(), &options)
            .map_err(SqlError::internal)?;
        self.batches.push(batch);
        Ok(())
    }

    fn at_row(&self, e: SqlError) -> SqlError {
        e.with_context(format!("COPY {}, line {}", self.table, self.line))
    }

    fn at_column(&self, e: SqlError, column: usize) -> SqlError {
        let (table, line, name) = (&self.table, self.line, &self.names[column]);
        e.with_context(format!("COPY {table}, line {line}, column {name}"))
    }
}

fn head<const N: usize>(bytes: &[u8]) -> Option<[u8; N]> {
    bytes.first_chunk::<N>().copied()
}

/// The length of the header before its extension, and that of the extension; `None` when it has not all come.
fn header(bytes: &[u8]) -> Result<Option<(usize, usize)>> {
    let known = SIGNATURE.len().min(bytes.len());
    if bytes[..known] != SIGNATURE[..known] {
        return Err(bad_format("COPY file signature not recognized"));
    }
    let Some(flags) = bytes.get(SIGNATURE.len()..).and_then(head::<4>) else {
        return Ok(None);
    };
    let flags = u32::from_be_bytes(flags);
    if flags & FLAG_OIDS != 0 {
        return Err(bad_format("invalid COPY file header (WITH OIDS)"));
    }
    if flags >> 16 != 0 {
        return Err(bad_format(
            "unrecognized critical flags in COPY file header",
        ));
    }
    let Some(extension) = bytes.get(SIGNATURE.len() + 4..).and_then(head::<4>) else {
        return Ok(None);
    };
    let extension = usize::try_from(i32::from_be_bytes(extension))
        .map_err(|_| bad_format("invalid COPY file header (missing length)"))?;
    Ok(Some((SIGNATURE.len() + 8, extension)))
}

/// What a header lacks that ends too early.
fn missing_header(bytes: &[u8]) -> SqlError {
    bad_format(match bytes.len().checked_sub(SIGNATURE.len()) {
        None => "COPY file signature not recognized",
        Some(0..4) => "invalid COPY file header (missing flags)",
        Some(_) => "invalid COPY file header (missing length)",
    })
}

/// Whether a row of so many fields is there to its end, or a field of it can be none.
fn is_whole(bytes: &[u8], fields: usize) -> bool {
    let mut at = 2;
    for _ in 0..fields {
        let Some(length) = bytes.get(at..).and_then(head::<4>) else {
            return false;
        };
        at += 4;
        match i32::from_be_bytes(length) {
            NULL => {}
            length => match usize::try_from(length) {
                Ok(length) => at += length,
                Err(_) => return true,
            },
        }
    }
    at <= bytes.len()
}

/// Batches to bytes.
pub struct BinaryEncoder {
    columns: Vec<CopyColumn>,
    format: Format,
    text: String,
}

impl BinaryEncoder {
    pub fn new(columns: Vec<CopyColumn>, format: Format) -> Result<BinaryEncoder> {
        for column in &columns {
            if column.ty == PgType::AclItem {
                return Err(SqlError::new(
                    state::UNDEFINED_FUNCTION,
                    "no binary output function available for type aclitem",
                ));
            }
        }
        Ok(BinaryEncoder {
            columns,
            format,
            text: String::new(),
        })
    }

    pub fn header(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(SIGNATURE);
        out.extend([0; 8]);
    }

    pub fn encode_row(&mut self, batch: &RecordBatch, row: usize, out: &mut Vec<u8>) -> Result<()> {
        out.extend((self.columns.len() as i16).to_be_bytes());
        for (column, values) in self.columns.iter().zip(batch.columns()) {
            if values.is_null(row) {
                out.extend(NULL.to_be_bytes());
                continue;
            }
            let at = out.len();
            out.extend([0; 4]);
            match &column.ty {
                PgType::Extension(extension) => {
                    self.text.clear();
                    encode_text(values, row, &column.ty, &self.format, &mut self.text);
                    out.extend(extension.send_text(&self.text)?);
                }
                ty => encode_binary_typmod(values, row, ty, column.typmod, &self.format, out),
            }
            let length = i32::try_from(out.len() - at - 4).map_err(|_| {
                SqlError::new(
                    state::PROGRAM_LIMIT_EXCEEDED,
                    "a value is longer than COPY's binary format may have it",
                )
            })?;
            out[at..at + 4].copy_from_slice(&length.to_be_bytes());
        }
        Ok(())
    }

    pub fn trailer(&self, out: &mut Vec<u8>) {
        out.extend(TRAILER.to_be_bytes());
    }
}
