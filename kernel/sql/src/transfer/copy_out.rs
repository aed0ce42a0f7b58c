//! What goes out to a client that copies: a query's rows, encoded as they come, or a dump.

use sqlparser::ast::{self, Ident, ObjectName};

use super::copy_in::{copy_columns, copy_places};
use crate::catalog::Relation;
use crate::copy::{CopyColumn, CopyFormat, CopyOptions, Encoder};
use crate::dump::stream::ExportStream;
use crate::error::{Result, SqlError, state};
use crate::plan::compile::{named_table, select};
use crate::session::Session;
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
    encoder: Encoder,
    format: outcome::CopyFormat,
    columns: usize,
    count: u64,
    header_due: bool,
    done: bool,
}

/// Encoded rows, or a piece of a dump. A client of the protocol is sent one message a row.
#[derive(Debug, Default)]
pub struct CopyChunk {
    pub data: Vec<u8>,
    /// Where each row, or the header, ends in `data`. A piece of a dump is one row.
    pub row_ends: Vec<usize>,
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
            self.encoder.header(&mut chunk.data);
            if !chunk.data.is_empty() {
                chunk.row_ends.push(chunk.data.len());
            }
        }
        while !self.done && chunk.data.len() < CHUNK_BYTES {
            match self.rows.next_batch()? {
                Some(batch) => {
                    self.count += batch.num_rows() as u64;
                    for row in 0..batch.num_rows() {
                        self.encoder.encode_row(&batch, row, &mut chunk.data);
                        chunk.row_ends.push(chunk.data.len());
                    }
                }
                None => self.done = true,
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
        self.start_copy_out(&query, Some(described), options)
    }

    pub(super) fn copy_query_to(
        &mut self,
        query: &ast::Query,
        options: CopyOptions,
    ) -> Result<Outcome> {
        self.start_copy_out(query, None, options)
    }

    fn start_copy_out(
        &mut self,
        query: &ast::Query,
        described: Option<Vec<CopyColumn>>,
        options: CopyOptions,
    ) -> Result<Outcome> {
        let planned = self.plan_query(query, &[])?;
        let described = described.unwrap_or_else(|| {
            planned
                .columns
                .iter()
                .map(|c| CopyColumn {
                    name: c.name.clone(),
                    ty: c.ty.clone(),
                    typmod: c.typmod,
                })
                .collect()
        });
        let format = match options.format {
            CopyFormat::Text => outcome::CopyFormat::Text,
            CopyFormat::Csv => outcome::CopyFormat::Csv,
        };
        let columns = described.len();
        let encoder = Encoder::new(options, described, self.info.format())?;
        let rows = self.query_rows(&planned, &[])?;
        let rows = EncodedRows {
            rows,
            encoder,
            format,
            columns,
            count: 0,
            header_due: true,
            done: false,
        };
        Ok(Outcome::CopyOut(CopyOut(Source::Rows(Box::new(rows)))))
    }
}
