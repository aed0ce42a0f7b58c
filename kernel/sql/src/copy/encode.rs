//! COPY TO: batches to the text and csv formats.

use arrow::array::{Array, RecordBatch};

use super::{CopyColumn, CopyFormat, CopyOptions, ForceQuote, Header};
use crate::error::{Result, SqlError, state};
use crate::types::{Format, encode_text_typmod};

pub struct Encoder {
    options: CopyOptions,
    columns: Vec<CopyColumn>,
    force_quote: Vec<bool>,
    format: Format,
    field: String,
}

impl Encoder {
    pub fn new(options: CopyOptions, columns: Vec<CopyColumn>, format: Format) -> Result<Encoder> {
        options.check(false)?;
        let force_quote = match &options.force_quote {
            ForceQuote::All => vec![true; columns.len()],
            ForceQuote::Columns(names) => {
                if let Some(unknown) = names
                    .iter()
                    .find(|n| !columns.iter().any(|c| c.name == **n))
                {
                    return Err(SqlError::new(
                        state::INVALID_COLUMN_REFERENCE,
                        format!("FORCE_QUOTE column \"{unknown}\" not referenced by COPY"),
                    ));
                }
                columns.iter().map(|c| names.contains(&c.name)).collect()
            }
        };
        Ok(Encoder {
            options,
            columns,
            force_quote,
            format,
            field: String::new(),
        })
    }

    /// The header line, if there is one.
    pub fn header(&mut self, out: &mut Vec<u8>) -> Result<()> {
        if self.options.header == Header::No {
            return Ok(());
        }
        let start = out.len();
        for i in 0..self.columns.len() {
            if i > 0 {
                out.push(self.options.delimiter);
            }
            let name = self.columns[i].name.clone();
            match self.options.format {
                CopyFormat::Text => escape_text(&name, self.options.delimiter, out),
                _ => self.csv_field(&name, false, out),
            }
        }
        out.push(b'\n');
        self.options.encoding.encode(out, start)
    }

    /// Appends every row of a batch whose columns are the encoder's.
    pub fn encode(&mut self, batch: &RecordBatch, out: &mut Vec<u8>) -> Result<()> {
        (0..batch.num_rows()).try_for_each(|row| self.encode_row(batch, row, out))
    }

    /// Appends one row of such a batch.
    pub fn encode_row(&mut self, batch: &RecordBatch, row: usize, out: &mut Vec<u8>) -> Result<()> {
        let start = out.len();
        for i in 0..self.columns.len() {
            if i > 0 {
                out.push(self.options.delimiter);
            }
            let values = batch.column(i);
            if values.is_null(row) {
                out.extend_from_slice(self.options.null.as_bytes());
                continue;
            }
            let mut field = std::mem::take(&mut self.field);
            field.clear();
            let column = &self.columns[i];
            encode_text_typmod(
                values,
                row,
                &column.ty,
                column.typmod,
                &self.format,
                &mut field,
            );
            match self.options.format {
                CopyFormat::Text => escape_text(&field, self.options.delimiter, out),
                _ => self.csv_field(&field, self.force_quote[i], out),
            }
            self.field = field;
        }
        out.push(b'\n');
        self.options.encoding.encode(out, start)
    }

    fn csv_field(&self, field: &str, force: bool, out: &mut Vec<u8>) {
        let o = &self.options;
        let special = |b: u8| b == o.delimiter || b == o.quote || b == b'\n' || b == b'\r';
        let quote = force
            || field == o.null
            || field.bytes().any(special)
            // A line that is only \. would end the data.
            || (self.columns.len() == 1 && field == "\\.");
        if !quote {
            out.extend_from_slice(field.as_bytes());
            return;
        }
        out.push(o.quote);
        for b in field.bytes() {
            if b == o.quote || b == o.escape {
                out.push(o.escape);
            }
            out.push(b);
        }
        out.push(o.quote);
    }
}

fn escape_text(field: &str, delimiter: u8, out: &mut Vec<u8>) {
    for b in field.bytes() {
        let letter = match b {
            8 => b'b',
            12 => b'f',
            b'\n' => b'n',
            b'\r' => b'r',
            b'\t' => b't',
            11 => b'v',
            b'\\' => b'\\',
            d if d == delimiter => d,
            _ => {
                out.push(b);
                continue;
            }
        };
        out.push(b'\\');
        out.push(letter);
    }
}
