//! Result rows on their way to the client: Arrow batches in, `DataRow` messages out.

use arrow_array::RecordBatch;
use bytes::BytesMut;
use heliosdb_sql::error::{SqlError, state};
use heliosdb_sql::types::{Format, encode_binary_typmod, encode_text_typmod};
use heliosdb_sql::{ResultColumn, Rows};

use crate::backend::DataRow;
use crate::open::Stop;
use crate::stream::Wire;

const TEXT: i16 = 0;
const BINARY: i16 = 1;

/// The format of every column of a result.
#[derive(Clone, Debug, PartialEq)]
pub struct Formats(Vec<i16>);

impl Formats {
    pub fn text(columns: usize) -> Formats {
        Formats(vec![TEXT; columns])
    }

    /// By Bind's rules: none means text, one means all, else one each.
    pub fn of_bind(codes: &[i16], columns: usize) -> Result<Formats, SqlError> {
        if let Some(bad) = codes.iter().find(|c| !matches!(**c, TEXT | BINARY)) {
            return Err(SqlError::new(
                state::INVALID_PARAMETER_VALUE,
                format!("unsupported format code: {bad}"),
            ));
        }
        match codes {
            [] => Ok(Formats::text(columns)),
            [all] => Ok(Formats(vec![*all; columns])),
            each if each.len() == columns => Ok(Formats(each.to_vec())),
            each => Err(SqlError::new(
                state::PROTOCOL_VIOLATION,
                format!(
                    "bind message has {} result formats but query has {columns} columns",
                    each.len()
                ),
            )),
        }
    }

    pub fn codes(&self) -> &[i16] {
        &self.0
    }
}

/// A result that is partly read.
pub struct Cursor {
    rows: Rows,
    batch: Option<RecordBatch>,
    next_row: usize,
}

impl Cursor {
    pub fn new(rows: Rows) -> Cursor {
        Cursor {
            rows,
            batch: None,
            next_row: 0,
        }
    }

    pub fn rows(&self) -> &Rows {
        &self.rows
    }

    /// What was read and not written yet, and what is still to be read.
    pub fn into_rest(self) -> (Option<RecordBatch>, Rows) {
        let next = self.batch.filter(|batch| self.next_row < batch.num_rows());
        let next = next.map(|b| b.slice(self.next_row, b.num_rows() - self.next_row));
        (next, self.rows)
    }

    /// Wait for the first row, or for the failure that there is instead.
    pub fn prime(&mut self) -> Result<(), SqlError> {
        self.batch().map(drop)
    }

    /// A batch that has unread rows, or `None` at the end.
    fn batch(&mut self) -> Result<Option<&RecordBatch>, SqlError> {
        while self
            .batch
            .as_ref()
            .is_none_or(|b| self.next_row >= b.num_rows())
        {
            self.next_row = 0;
            self.batch = self.rows.next_batch()?;
            if self.batch.is_none() {
                return Ok(None);
            }
        }
        Ok(self.batch.as_ref())
    }
}

/// What a write of rows came to.
#[derive(Debug, PartialEq, Eq)]
pub struct Written {
    pub rows: u64,
    /// The limit stopped it; there may be more.
    pub suspended: bool,
}

/// Encodes rows, reusing its buffers.
#[derive(Default)]
pub struct RowWriter {
    text: String,
    binary: Vec<u8>,
    /// Where an unfinished row starts in the output, for [`RowWriter::take_back`].
    open_row: Option<usize>,
}

impl RowWriter {
    /// Write up to `limit` rows. As in PostgreSQL, reaching the limit suspends even if no row is
    /// left: the end is found by asking again.
    pub(crate) fn write(
        &mut self,
        wire: &mut Wire,
        cursor: &mut Cursor,
        formats: &Formats,
        format: &Format,
        limit: Option<u64>,
    ) -> Result<Written, Stop> {
        let mut written = 0;
        loop {
            if limit.is_some_and(|limit| written >= limit) {
                return Ok(Written {
                    rows: written,
                    suspended: true,
                });
            }
            let row = {
                if cursor.batch()?.is_none() {
                    return Ok(Written {
                        rows: written,
                        suspended: false,
                    });
                }
                cursor.next_row
            };
            let Some(batch) = &cursor.batch else {
                return Ok(Written {
                    rows: written,
                    suspended: false,
                });
            };
            self.row(
                &mut wire.output,
                cursor.rows.columns(),
                batch,
                row,
                formats,
                format,
            )?;
            cursor.next_row += 1;
            written += 1;
            wire.flush_if_full()?;
        }
    }

    fn row(
        &mut self,
        out: &mut BytesMut,
        columns: &[ResultColumn],
        batch: &RecordBatch,
        row: usize,
        formats: &Formats,
        format: &Format,
    ) -> Result<(), SqlError> {
        self.open_row = Some(out.len());
        let message = DataRow::begin(out, columns.len());
        for ((column, array), code) in columns.iter().zip(batch.columns()).zip(formats.codes()) {
            if array.is_null(row) {
                DataRow::null(out);
            } else if *code == BINARY {
                self.binary.clear();
                encode_binary_typmod(
                    array.as_ref(),
                    row,
                    &column.ty,
                    column.typmod,
                    format,
                    &mut self.binary,
                );
                DataRow::value(out, &self.binary);
            } else {
                self.text.clear();
                encode_text_typmod(
                    array.as_ref(),
                    row,
                    &column.ty,
                    column.typmod,
                    format,
                    &mut self.text,
                );
                DataRow::value(out, self.text.as_bytes());
            }
        }
        let whole = message.end(out);
        self.open_row = None;
        if whole {
            Ok(())
        } else {
            Err(SqlError::new(
                state::PROGRAM_LIMIT_EXCEEDED,
                "a result row is longer than a protocol message may be",
            ))
        }
    }

    /// Remove a row that was not finished.
    pub(crate) fn take_back(&mut self, out: &mut BytesMut) {
        if let Some(start) = self.open_row.take() {
            out.truncate(start);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn result_formats_follow_bind() {
        assert_eq!(Formats::of_bind(&[], 2).unwrap().codes(), [0, 0]);
        assert_eq!(Formats::of_bind(&[1], 2).unwrap().codes(), [1, 1]);
        assert_eq!(Formats::of_bind(&[0, 1], 2).unwrap().codes(), [0, 1]);
        assert_eq!(
            Formats::of_bind(&[0, 1], 3).unwrap_err().code,
            state::PROTOCOL_VIOLATION
        );
        assert_eq!(
            Formats::of_bind(&[2], 1).unwrap_err().code,
            state::INVALID_PARAMETER_VALUE
        );
    }
}
