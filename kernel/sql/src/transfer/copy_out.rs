//! What goes out to a client that copies: a query's rows, encoded as they come, or a dump.

use arrow::record_batch::RecordBatch;
use sqlparser::ast::{self, Ident, ObjectName, SetExpr};

use super::copy_in::{check_named, copy_columns, copy_places};
use super::file;
use crate::catalog::Relation;
use crate::copy::{
    BinaryEncoder, CopyColumn, CopyFormat, CopyOptions, Encoder, ForceQuote, ParquetEncoder,
};
use crate::dump::stream::ExportStream;
use crate::error::{Result, SqlError, state};
use crate::plan::compile::{named_table, select};
use crate::session::Session;
use crate::session::counted::Measured;
use crate::session::outcome::{self, CommandTag, Outcome, Rows};
use crate::session::timeout::StatementTimer;

/// Chunks are at least this long, but for the last.
const CHUNK_BYTES: usize = 64 << 10;

/// What a COPY TO or an EXPORT DATABASE sends.
pub struct CopyOut(Source);

enum Source {
    Rows(Box<EncodedRows>),
    Dump(ExportStream),
}

/// The rows of a COPY TO.
struct EncodedRows {
    rows: Rows,
    encoder: Output,
    format: outcome::CopyFormat,
    columns: usize,
    count: u64,
    header_due: bool,
    done: bool,
}

enum Output {
    Lines(Encoder),
    Binary(BinaryEncoder),
    Parquet(Box<ParquetEncoder>),
}

impl Output {
    fn new(
        options: CopyOptions,
        columns: Vec<CopyColumn>,
        format: crate::types::Format,
    ) -> Result<Output> {
        match options.format {
            CopyFormat::Text | CopyFormat::Csv => {
                Encoder::new(options, columns, format).map(Output::Lines)
            }
            CopyFormat::Binary => BinaryEncoder::new(columns, format).map(Output::Binary),
            CopyFormat::Parquet => ParquetEncoder::new(columns, options.compression, format)
                .map(|encoder| Output::Parquet(Box::new(encoder))),
        }
    }

    /// What comes before the rows. The binary format's goes into one message with the first row, where clients
    /// look for it.
    fn header(&mut self, chunk: &mut CopyChunk) -> Result<()> {
        match self {
            Output::Lines(encoder) => {
                encoder.header(&mut chunk.data)?;
                if !chunk.data.is_empty() {
                    chunk.row_ends.push(chunk.data.len());
                }
            }
            Output::Binary(encoder) => encoder.header(&mut chunk.data),
            Output::Parquet(_) => {}
        }
        Ok(())
    }

    fn rows(&mut self, batch: &RecordBatch, chunk: &mut CopyChunk) -> Result<()> {
        if let Output::Parquet(encoder) = self {
            encoder.write(batch)?;
            encoder.take(&mut chunk.data);
            chunk.end_pieces();
            return Ok(());
        }
        for row in 0..batch.num_rows() {
            match self {
                Output::Lines(encoder) => encoder.encode_row(batch, row, &mut chunk.data)?,
                Output::Binary(encoder) => encoder.encode_row(batch, row, &mut chunk.data)?,
                Output::Parquet(_) => {}
            }
            chunk.row_ends.push(chunk.data.len());
        }
        Ok(())
    }

    fn trailer(&mut self, chunk: &mut CopyChunk) -> Result<()> {
        match self {
            Output::Lines(_) => {}
            Output::Binary(encoder) => {
                encoder.trailer(&mut chunk.data);
                chunk.row_ends.push(chunk.data.len());
            }
            Output::Parquet(encoder) => {
                encoder.finish()?;
                encoder.take(&mut chunk.data);
                chunk.end_pieces();
            }
        }
        Ok(())
    }
}

/// Encoded rows, or a piece of a dump. A client of the protocol is sent one message a row.
#[derive(Debug, Default)]
pub struct CopyChunk {
    pub data: Vec<u8>,
    /// Where each row, or the header, ends in `data`. A piece of a dump, or of a file, is one row.
    pub row_ends: Vec<usize>,
}

impl CopyChunk {
    /// Cuts what was added into pieces of a size for messages.
    fn end_pieces(&mut self) {
        let mut end = self.row_ends.last().copied().unwrap_or(0);
        while end < self.data.len() {
            end = self.data.len().min(end + CHUNK_BYTES);
            self.row_ends.push(end);
        }
    }
}

impl CopyOut {
    pub(crate) fn export(dump: ExportStream) -> CopyOut {
        CopyOut(Source::Dump(dump))
    }

    pub fn format(&self) -> outcome::CopyFormat {
        match &self.0 {
            Source::Rows(rows) => rows.format,
            Source::Dump(_) => outcome::CopyFormat::Binary,
        }
    }

    /// A dump has none.
    pub fn columns(&self) -> usize {
        match &self.0 {
            Source::Rows(rows) => rows.columns,
            Source::Dump(_) => 0,
        }
    }

    /// What comes next, or `None` at the end. Blocks.
    pub fn next_chunk(&mut self) -> Result<Option<CopyChunk>> {
        match &mut self.0 {
            Source::Rows(rows) => rows.next_chunk(),
            Source::Dump(dump) => Ok(dump.next()?.map(|data| CopyChunk {
                row_ends: vec![data.len()],
                data,
            })),
        }
    }

    /// The completion tag, after the last chunk: the rows of a COPY, the bytes of a dump.
    pub fn tag(&self) -> CommandTag {
        match &self.0 {
            Source::Rows(rows) => CommandTag::counted("COPY", rows.count),
            Source::Dump(dump) => CommandTag::counted("EXPORT", dump.bytes()),
        }
    }

    /// Rows are read now, so that their transaction can end. A dump belongs to none.
    pub(crate) fn materialise(self) -> Result<CopyOut> {
        match self.0 {
            Source::Rows(rows) => Ok(CopyOut(Source::Rows(Box::new(EncodedRows {
                rows: rows.rows.materialise()?,
                ..*rows
            })))),
            dump => Ok(CopyOut(dump)),
        }
    }

    /// Whether it is found while it is sent.
    pub(crate) fn is_stream(&self) -> bool {
        match &self.0 {
            Source::Rows(rows) => rows.rows.is_stream(),
            Source::Dump(_) => true,
        }
    }

    /// Counts the statement when there is nothing to come any more.
    pub(crate) fn set_measured(&mut self, measured: Box<Measured>) {
        match &mut self.0 {
            Source::Rows(rows) => rows.rows.measured = Some(measured),
            Source::Dump(dump) => dump.measured = Some(measured),
        }
    }

    /// Keeps the statement's timeout for as long as there is something to come.
    pub(crate) fn set_guard(&mut self, timer: Option<StatementTimer>) {
        match &mut self.0 {
            Source::Rows(rows) => rows.rows.guard = timer,
            Source::Dump(dump) => dump.guard = timer,
        }
    }
}

impl EncodedRows {
    fn next_chunk(&mut self) -> Result<Option<CopyChunk>> {
        let mut chunk = CopyChunk::default();
        if std::mem::take(&mut self.header_due) {
            self.encoder.header(&mut chunk)?;
        }
        while !self.done && chunk.data.len() < CHUNK_BYTES {
            match self.rows.next_batch()? {
                Some(batch) => {
                    self.count += batch.num_rows() as u64;
                    self.encoder.rows(&batch, &mut chunk)?;
                }
                None => {
                    self.done = true;
                    self.encoder.trailer(&mut chunk)?;
                }
            }
        }
        Ok((!chunk.row_ends.is_empty()).then_some(chunk))
    }
}

impl Session {
    pub(super) fn copy_table_to(
        &mut self,
        name: &ObjectName,
        columns: &[Ident],
        options: CopyOptions,
        file: Option<&str>,
    ) -> Result<Outcome> {
        let (_, catalog) = self.read_view()?;
        let table = match self.relation(&catalog, name)? {
            Relation::Table(t) => t,
            Relation::View(v) => {
                return Err(SqlError::new(
                    state::WRONG_OBJECT_TYPE,
                    format!("cannot copy from view \"{}\"", v.name),
                )
                .with_hint("Try the COPY (SELECT ...) TO variant."));
            }
            other => {
                return Err(SqlError::new(
                    state::WRONG_OBJECT_TYPE,
                    format!("cannot copy from {} \"{}\"", other.kind(), other.name()),
                ));
            }
        };
        let target = self.with_state(|s, state| s.write_target(state, &catalog, table.oid))?;
        let places = copy_places(&target, columns)?;
        if let ForceQuote::Columns(names) = &options.force_quote {
            check_named(&target, names)?;
        }
        let described = copy_columns(&target, &places);
        let schema = catalog
            .schema(table.schema)
            .map_or("public", |s| s.name.as_str());
        let items = described
            .iter()
            .map(|c| {
                ast::SelectItem::UnnamedExpr(crate::dml::update::column_expr(&table.name, &c.name))
            })
            .collect();
        let from = named_table(vec![schema, &table.name], Some(&table.name));
        let query = select(items, vec![from]);
        let planned = self.plan_query(&query, &[])?;
        let rows = self.query_rows(&planned, &[])?;
        self.start_copy_out(rows, Some(described), options, file)
    }

    pub(super) fn copy_query_to(
        &mut self,
        query: &ast::Query,
        options: CopyOptions,
        file: Option<&str>,
    ) -> Result<Outcome> {
        let rows = match query.body.as_ref() {
            SetExpr::Insert(statement)
            | SetExpr::Update(statement)
            | SetExpr::Delete(statement)
                if query.with.is_none() =>
            {
                self.written_rows(statement)?
            }
            SetExpr::Select(select) if select.into.is_some() => {
                return Err(SqlError::unsupported("COPY (SELECT INTO)"));
            }
            _ => {
                let planned = self.plan_query(query, &[])?;
                self.query_rows(&planned, &[])?
            }
        };
        if let ForceQuote::Columns(names) = &options.force_quote {
            let is_none = |n: &&String| !rows.columns().iter().any(|c| c.name == **n);
            if let Some(unknown) = names.iter().find(is_none) {
                let message = format!("column \"{unknown}\" does not exist");
                return Err(SqlError::new(state::UNDEFINED_COLUMN, message));
            }
        }
        self.start_copy_out(rows, None, options, file)
    }

    /// The rows that INSERT, UPDATE or DELETE returns.
    fn written_rows(&mut self, statement: &ast::Statement) -> Result<Rows> {
        let returns = match statement {
            ast::Statement::Insert(insert) => insert.returning.is_some(),
            ast::Statement::Update(update) => update.returning.is_some(),
            ast::Statement::Delete(delete) => delete.returning.is_some(),
            _ => false,
        };
        if !returns {
            let message = "COPY query must have a RETURNING clause";
            return Err(SqlError::new(state::FEATURE_NOT_SUPPORTED, message));
        }
        match self.dispatch_work(statement, "", &[], false)? {
            Outcome::Rows(rows) => Ok(rows),
            _ => Err(SqlError::internal("RETURNING returned nothing")),
        }
    }

    fn start_copy_out(
        &mut self,
        rows: Rows,
        described: Option<Vec<CopyColumn>>,
        options: CopyOptions,
        file: Option<&str>,
    ) -> Result<Outcome> {
        let described = described.unwrap_or_else(|| {
            let columns = rows.columns().iter();
            let described = columns.map(|c| CopyColumn {
                name: c.name.clone(),
                ty: c.ty.clone(),
                typmod: c.typmod,
            });
            described.collect()
        });
        let format = outcome::CopyFormat::from(options.format);
        let columns = described.len();
        let encoder = Output::new(options, described, self.info.format())?;
        let mut rows = EncodedRows {
            rows,
            encoder,
            format,
            columns,
            count: 0,
            header_due: true,
            done: false,
        };
        let Some(file) = file else {
            return Ok(Outcome::CopyOut(CopyOut(Source::Rows(Box::new(rows)))));
        };
        let mut target = file::Target::create(file)?;
        while let Some(chunk) = rows.next_chunk()? {
            target.write(&chunk.data)?;
        }
        let tag = CommandTag::counted("COPY", rows.count);
        Ok(Outcome::Command(tag))
    }
}
