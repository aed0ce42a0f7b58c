//! COPY FROM: an incremental parser from chunks of bytes to Arrow batches.
//!
//! 1. [`Decoder::push`] looks for record ends in what it has, keeping the scan state (inside quotes
//!    or not) where the bytes stop, so that no byte is scanned twice whatever the chunks.
//! 2. A complete record is checked to be UTF-8, split into fields and each field goes straight into
//!    its column's builder. A field is a slice of the record unless it holds an escape or a quote,
//!    which is undone into one scratch buffer.
//! 3. Every `batch_rows` rows become a batch.
//!
//! An error names the line, and the column and value where there is one, as PostgreSQL's CONTEXT.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{Field, Schema, SchemaRef};

use super::{CopyColumn, CopyFormat, CopyOptions, Header};
use crate::error::{Result, SqlError, state};
use crate::types::{ColumnBuilder, Format};

/// Rows of one batch.
pub(super) const BATCH_ROWS: usize = 8192;
/// A record longer than this is refused (`MaxAllocSize`).
pub(super) const RECORD_BYTES_MAX: usize = (1 << 30) - 1;
/// Characters of a value or line that a CONTEXT shows (`MAX_COPY_DATA_DISPLAY`).
const CONTEXT_CHARS_MAX: usize = 100;

pub struct Decoder {
    options: CopyOptions,
    columns: Vec<Column>,
    table: String,
    format: Format,
    schema: SchemaRef,
    /// The start of a record whose end has not come yet.
    pending: Vec<u8>,
    /// How far `pending` has been scanned, and whether that point is inside quotes.
    scanned: usize,
    in_quote: bool,
    /// Of the line last begun, from 1.
    line: u64,
    header_due: bool,
    /// `\.` has been seen.
    ended: bool,
    rows: usize,
    batches: Vec<RecordBatch>,
    scratch: Vec<u8>,
}

struct Column {
    name: String,
    builder: ColumnBuilder,
    force_null: bool,
    force_not_null: bool,
}

impl Decoder {
    /// `table` is only for messages.
    pub fn new(
        options: CopyOptions,
        columns: &[CopyColumn],
        table: &str,
        format: Format,
    ) -> Result<Decoder> {
        options.check(true)?;
        for (option, names) in [
            ("FORCE_NOT_NULL", &options.force_not_null),
            ("FORCE_NULL", &options.force_null),
        ] {
            for name in names {
                if !columns.iter().any(|c| c.name == *name) {
                    return Err(SqlError::new(
                        state::INVALID_COLUMN_REFERENCE,
                        format!("{option} column \"{name}\" not referenced by COPY"),
                    ));
                }
            }
        }
        let mut fields = Vec::new();
        let mut built = Vec::new();
        for c in columns {
            fields.push(Field::new(&c.name, c.ty.arrow_typmod(c.typmod), true));
            built.push(Column {
                name: c.name.clone(),
                builder: ColumnBuilder::new(&c.ty, c.typmod, BATCH_ROWS)?,
                force_null: options.force_null.contains(&c.name),
                force_not_null: options.force_not_null.contains(&c.name),
            });
        }
        Ok(Decoder {
            header_due: options.header != Header::No,
            options,
            columns: built,
            table: table.to_string(),
            format,
            schema: Arc::new(Schema::new(fields)),
            pending: Vec::new(),
            scanned: 0,
            in_quote: false,
            line: 0,
            ended: false,
            rows: 0,
            batches: Vec::new(),
            scratch: Vec::new(),
        })
    }

    /// The Arrow schema of the batches.
    pub fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    /// Takes more of the stream; gives the batches that are full now.
    pub fn push(&mut self, data: &[u8]) -> Result<Vec<RecordBatch>> {
        let decoded = self.options.encoding.decode(data)?;
        let mut rest = decoded.as_deref().unwrap_or(data);
        if !self.pending.is_empty() {
            // Complete the record at hand; what follows is read in place.
            match self.find_end(rest) {
                None => {
                    self.pending.extend_from_slice(rest);
                    self.check_length()?;
                    return Ok(std::mem::take(&mut self.batches));
                }
                Some(end) => {
                    self.pending.extend_from_slice(&rest[..end]);
                    let record = std::mem::take(&mut self.pending);
                    self.record(&record)?;
                    rest = &rest[end + 1..];
                }
            }
        }
        while !self.ended {
            match self.find_end(rest) {
                Some(end) => {
                    self.record(&rest[..end])?;
                    rest = &rest[end + 1..];
                }
                None => {
                    self.pending.extend_from_slice(rest);
                    self.check_length()?;
                    break;
                }
            }
        }
        Ok(std::mem::take(&mut self.batches))
    }

    /// The stream has ended: the last line may lack its newline. Gives the remaining rows.
    pub fn finish(&mut self) -> Result<Vec<RecordBatch>> {
        if !self.pending.is_empty() && !self.ended {
            let record = std::mem::take(&mut self.pending);
            if self.in_quote {
                self.line += 1;
                return Err(self.at_line(bad_format("unterminated CSV quoted field"), &record));
            }
            self.record(&record)?;
        }
        if self.rows > 0 {
            self.flush()?;
        }
        Ok(std::mem::take(&mut self.batches))
    }

    fn check_length(&self) -> Result<()> {
        if self.pending.len() > RECORD_BYTES_MAX {
            return Err(SqlError::new(
                state::PROGRAM_LIMIT_EXCEEDED,
                "COPY line is too long",
            ));
        }
        Ok(())
    }

    /// The offset in `bytes` of the newline that ends the record under way, or `None` with the scan
    /// state kept for the bytes to come.
    fn find_end(&mut self, bytes: &[u8]) -> Option<usize> {
        match self.options.format {
            CopyFormat::Text => {
                let mut at = 0;
                loop {
                    let newline = at + memchr::memchr(b'\n', &bytes[at..])?;
                    // A newline after an odd number of backslashes is data.
                    let here = bytes[..newline]
                        .iter()
                        .rev()
                        .take_while(|b| **b == b'\\')
                        .count();
                    let before = if here == newline {
                        self.pending
                            .iter()
                            .rev()
                            .take_while(|b| **b == b'\\')
                            .count()
                    } else {
                        0
                    };
                    if (here + before).is_multiple_of(2) {
                        return Some(newline);
                    }
                    at = newline + 1;
                }
            }
            _ => {
                let (quote, escape) = (self.options.quote, self.options.escape);
                let mut at = self.scanned;
                self.scanned = 0;
                while at < bytes.len() {
                    if self.in_quote {
                        let hit = at + memchr::memchr2(quote, escape, &bytes[at..])?;
                        // A separate escape character takes the quote or escape after it along.
                        if bytes[hit] == escape && escape != quote {
                            match bytes.get(hit + 1) {
                                Some(b) if *b == quote || *b == escape => at = hit + 2,
                                Some(_) => at = hit + 1,
                                // Decided by the next chunk: look at this byte again with it.
                                None => return self.defer(bytes, hit),
                            }
                        } else {
                            self.in_quote = false;
                            at = hit + 1;
                        }
                    } else {
                        let hit = at + memchr::memchr2(quote, b'\n', &bytes[at..])?;
                        if bytes[hit] == b'\n' {
                            return Some(hit);
                        }
                        self.in_quote = true;
                        at = hit + 1;
                    }
                }
                self.scanned = at - bytes.len();
                None
            }
        }
    }

    /// The last byte is an escape whose meaning the next byte decides. The next chunk starts with
    /// that byte; it is skipped if it belongs to the escape, which an escape always does here:
    /// a byte that is neither quote nor escape is skipped at no loss.
    fn defer(&mut self, bytes: &[u8], hit: usize) -> Option<usize> {
        debug_assert_eq!(hit + 1, bytes.len());
        self.scanned = 1;
        None
    }

    fn record(&mut self, record: &[u8]) -> Result<()> {
        self.line += 1;
        let record = record.strip_suffix(b"\r").unwrap_or(record);
        if self.header_due {
            self.header_due = false;
            let result = self.header(record);
            self.count_inner_lines(record);
            return result;
        }
        if record == b"\\." {
            self.ended = true;
            return Ok(());
        }
        let text = match std::str::from_utf8(record) {
            Ok(text) => text,
            Err(e) => return Err(self.at_line(not_utf8(record, &e), &[])),
        };
        match self.options.format {
            CopyFormat::Text => self.text_fields(text)?,
            _ => self.csv_fields(text)?,
        }
        self.count_inner_lines(record);
        self.rows += 1;
        if self.rows == BATCH_ROWS {
            self.flush()?;
        }
        Ok(())
    }

    /// Lines inside a quoted field count too.
    fn count_inner_lines(&mut self, record: &[u8]) {
        if self.options.format == CopyFormat::Csv {
            self.line += memchr::memchr_iter(b'\n', record).count() as u64;
        }
    }

    fn flush(&mut self) -> Result<()> {
        let rows = std::mem::take(&mut self.rows);
        let columns = self
            .columns
            .iter_mut()
            .map(|c| c.builder.finish())
            .collect();
        let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(rows));
        let batch = RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)
            .map_err(SqlError::internal)?;
        self.batches.push(batch);
        Ok(())
    }

    fn header(&mut self, record: &[u8]) -> Result<()> {
        if self.options.header != Header::Match {
            return Ok(());
        }
        let text = match std::str::from_utf8(record) {
            Ok(text) => text,
            Err(e) => return Err(self.at_line(not_utf8(record, &e), &[])),
        };
        let mut names = Vec::new();
        let mut at = Some(0);
        while let Some(start) = at {
            let (field, next) = self.header_field(text, start)?;
            names.push(field);
            at = next;
        }
        if names.len() != self.columns.len() {
            return Err(self.at_line(
                bad_format(format!(
                    "wrong number of fields in header line: got {}, expected {}",
                    names.len(),
                    self.columns.len()
                )),
                record,
            ));
        }
        for (i, (got, column)) in names.iter().zip(&self.columns).enumerate() {
            if *got != column.name {
                return Err(self.at_line(
                    bad_format(format!(
                        "column name mismatch in header line field {}: got \"{got}\", expected \"{}\"",
                        i + 1,
                        column.name
                    )),
                    record,
                ));
            }
        }
        Ok(())
    }

    fn header_field(&mut self, text: &str, start: usize) -> Result<(String, Option<usize>)> {
        let mut scratch = std::mem::take(&mut self.scratch);
        let (range, next) = match self.options.format {
            CopyFormat::Text => split_text(text.as_bytes(), start, self.options.delimiter),
            _ => {
                let f = split_csv(text.as_bytes(), start, &self.options, &mut scratch);
                (f.range, f.next)
            }
        };
        let field = match range {
            Some((from, to)) => text[from..to].to_string(),
            None => String::from_utf8_lossy(&scratch).into_owned(),
        };
        scratch.clear();
        self.scratch = scratch;
        Ok((field, next))
    }

    fn text_fields(&mut self, text: &str) -> Result<()> {
        let bytes = text.as_bytes();
        let mut at = Some(0);
        if self.columns.is_empty() {
            return self.no_more_fields(None, text, bytes.is_empty());
        }
        for i in 0..self.columns.len() {
            let Some(start) = at else {
                return Err(self.missing(i, text));
            };
            let (range, next) = split_text(bytes, start, self.options.delimiter);
            at = next;
            let (from, to) = range.unwrap_or((start, start));
            let raw = &text[from..to];
            let column = &mut self.columns[i];
            if raw == self.options.null {
                column.builder.append_null();
                continue;
            }
            let result = if !raw.as_bytes().contains(&b'\\') {
                if raw.contains('\r') {
                    Err(bad_format("literal carriage return found in data")
                        .with_hint("Use \"\\r\" to represent carriage return."))
                } else {
                    column.builder.append_text(raw, &self.format)
                }
            } else {
                self.scratch.clear();
                unescape(raw.as_bytes(), &mut self.scratch);
                match std::str::from_utf8(&self.scratch) {
                    Ok(value) => column.builder.append_text(value, &self.format),
                    Err(e) => Err(not_utf8(&self.scratch, &e)),
                }
            };
            if let Err(e) = result {
                return Err(self.at_field(e, i, raw));
            }
        }
        self.no_more_fields(at, text, false)
    }

    fn csv_fields(&mut self, text: &str) -> Result<()> {
        let bytes = text.as_bytes();
        let mut at = Some(0);
        if self.columns.is_empty() {
            return self.no_more_fields(None, text, bytes.is_empty());
        }
        for i in 0..self.columns.len() {
            let Some(start) = at else {
                return Err(self.missing(i, text));
            };
            self.scratch.clear();
            let field = split_csv(bytes, start, &self.options, &mut self.scratch);
            at = field.next;
            let value = match field.range {
                Some((from, to)) => &text[from..to],
                None => match std::str::from_utf8(&self.scratch) {
                    Ok(value) => value,
                    // Only whole characters are dropped from valid UTF-8.
                    Err(_) => return Err(SqlError::internal("csv field is not UTF-8")),
                },
            };
            let column = &mut self.columns[i];
            let is_null = value == self.options.null
                && if field.quoted {
                    column.force_null
                } else {
                    !column.force_not_null
                };
            if is_null {
                column.builder.append_null();
                continue;
            }
            let result = if !field.quoted && value.contains('\r') {
                Err(bad_format("unquoted carriage return found in data")
                    .with_hint("Use quoted CSV field to represent carriage return."))
            } else {
                column.builder.append_text(value, &self.format)
            };
            if let Err(e) = result {
                let value = value.to_string();
                return Err(self.at_field(e, i, &value));
            }
        }
        self.no_more_fields(at, text, false)
    }

    fn no_more_fields(&self, rest: Option<usize>, text: &str, empty: bool) -> Result<()> {
        if rest.is_some() || (self.columns.is_empty() && !empty) {
            return Err(self.at_line(
                bad_format("extra data after last expected column"),
                text.as_bytes(),
            ));
        }
        Ok(())
    }

    fn missing(&self, column: usize, text: &str) -> SqlError {
        let name = &self.columns[column].name;
        self.at_line(
            bad_format(format!("missing data for column \"{name}\"")),
            text.as_bytes(),
        )
    }

    fn at_line(&self, e: SqlError, line: &[u8]) -> SqlError {
        let mut context = format!("COPY {}, line {}", self.table, self.line);
        if !line.is_empty() {
            context.push_str(&format!(
                ": \"{}\"",
                shorten(&String::from_utf8_lossy(line))
            ));
        }
        e.with_context(context)
    }

    fn at_field(&self, e: SqlError, column: usize, value: &str) -> SqlError {
        e.with_context(format!(
            "COPY {}, line {}, column {}: \"{}\"",
            self.table,
            self.line,
            self.columns[column].name,
            shorten(value)
        ))
    }
}

pub(super) fn bad_format(message: impl Into<String>) -> SqlError {
    SqlError::new(state::BAD_COPY_FILE_FORMAT, message)
}

fn not_utf8(bytes: &[u8], e: &std::str::Utf8Error) -> SqlError {
    let at = e.valid_up_to();
    let length = e.error_len().unwrap_or(bytes.len() - at).max(1);
    let shown: Vec<String> = bytes[at..]
        .iter()
        .take(length)
        .map(|b| format!("0x{b:02x}"))
        .collect();
    SqlError::new(
        state::CHARACTER_NOT_IN_REPERTOIRE,
        format!(
            "invalid byte sequence for encoding \"UTF8\": {}",
            shown.join(" ")
        ),
    )
}

fn shorten(text: &str) -> String {
    match text.char_indices().nth(CONTEXT_CHARS_MAX) {
        Some((cut, _)) => format!("{}...", &text[..cut]),
        None => text.to_string(),
    }
}

/// The range of the text-format field at `start`, and where the next one starts.
fn split_text(
    bytes: &[u8],
    start: usize,
    delimiter: u8,
) -> (Option<(usize, usize)>, Option<usize>) {
    let mut at = start;
    while let Some(hit) = memchr::memchr2(delimiter, b'\\', &bytes[at..]) {
        let hit = at + hit;
        if bytes[hit] == delimiter {
            return (Some((start, hit)), Some(hit + 1));
        }
        // A backslash takes the next byte along, a delimiter too.
        at = (hit + 2).min(bytes.len());
    }
    (Some((start, bytes.len())), None)
}

/// Undoes the text format's escapes.
fn unescape(raw: &[u8], out: &mut Vec<u8>) {
    let mut i = 0;
    while i < raw.len() {
        if raw[i] != b'\\' {
            out.push(raw[i]);
            i += 1;
            continue;
        }
        let Some(&c) = raw.get(i + 1) else {
            // A backslash before the end of the record stands for itself.
            out.push(b'\\');
            return;
        };
        i += 2;
        match c {
            b'b' => out.push(8),
            b'f' => out.push(12),
            b'n' => out.push(b'\n'),
            b'r' => out.push(b'\r'),
            b't' => out.push(b'\t'),
            b'v' => out.push(11),
            b'0'..=b'7' => {
                let mut v = (c - b'0') as u32;
                for _ in 0..2 {
                    match raw.get(i) {
                        Some(d @ b'0'..=b'7') => {
                            v = v * 8 + (d - b'0') as u32;
                            i += 1;
                        }
                        _ => break,
                    }
                }
                out.push(v as u8);
            }
            b'x' if raw.get(i).is_some_and(u8::is_ascii_hexdigit) => {
                let mut v = 0u32;
                for _ in 0..2 {
                    match raw.get(i).and_then(|d| (*d as char).to_digit(16)) {
                        Some(d) => {
                            v = v * 16 + d;
                            i += 1;
                        }
                        None => break,
                    }
                }
                out.push(v as u8);
            }
            other => out.push(other),
        }
    }
}

struct CsvField {
    /// A slice of the record, or `None` when the value is in the scratch buffer.
    range: Option<(usize, usize)>,
    next: Option<usize>,
    quoted: bool,
}

/// The csv field at `start`. Quotes may open and close anywhere in it, as PostgreSQL allows.
fn split_csv(bytes: &[u8], start: usize, o: &CopyOptions, scratch: &mut Vec<u8>) -> CsvField {
    let end = match memchr::memchr2(o.delimiter, o.quote, &bytes[start..]) {
        None => {
            return CsvField {
                range: Some((start, bytes.len())),
                next: None,
                quoted: false,
            };
        }
        Some(hit) => start + hit,
    };
    if bytes[end] == o.delimiter {
        return CsvField {
            range: Some((start, end)),
            next: Some(end + 1),
            quoted: false,
        };
    }
    // Quoted throughout and without escapes: the slice between the quotes will do.
    if end == start
        && let Some(hit) = memchr::memchr2(o.quote, o.escape, &bytes[start + 1..])
    {
        let close = start + 1 + hit;
        if bytes[close] == o.quote {
            match bytes.get(close + 1) {
                None => {
                    return CsvField {
                        range: Some((start + 1, close)),
                        next: None,
                        quoted: true,
                    };
                }
                Some(b) if *b == o.delimiter => {
                    let range = Some((start + 1, close));
                    return CsvField {
                        range,
                        next: Some(close + 2),
                        quoted: true,
                    };
                }
                Some(_) => {}
            }
        }
    }
    let mut inside = false;
    let mut at = start;
    while at < bytes.len() {
        let c = bytes[at];
        if inside {
            if c == o.escape
                && let Some(&next) = bytes.get(at + 1)
                && (next == o.quote || next == o.escape)
            {
                scratch.push(next);
                at += 2;
                continue;
            }
            if c == o.quote {
                inside = false;
            } else {
                scratch.push(c);
            }
        } else if c == o.quote {
            inside = true;
        } else if c == o.delimiter {
            return CsvField {
                range: None,
                next: Some(at + 1),
                quoted: true,
            };
        } else {
            scratch.push(c);
        }
        at += 1;
    }
    CsvField {
        range: None,
        next: None,
        quoted: true,
    }
}
