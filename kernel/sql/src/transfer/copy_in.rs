//! COPY … FROM: data arrives in pieces, from the client or a file; each batch of rows is inserted as it is complete.
//!
//! 1. `copy` finds the table and the columns and puts a [`CopyIn`] into the session, or reads the whole file.
//! 2. The client's data goes through [`Session::copy_in_data`].
//! 3. [`Session::copy_in_done`] inserts the rest, judges and checks what waited for the end, and commits outside
//!    a block. [`Session::copy_in_fail`], or any error, undoes it all.

use std::fs::File;
use std::ops::ControlFlow;
use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::Schema;
use arrow::record_batch::RecordBatch;
use heliosdb_storage::TableLockMode;
use sqlparser::ast::{self, Expr, Ident, ObjectName, visit_expressions};

use super::file;
use crate::catalog::model::Table;
use crate::catalog::{CatalogSnapshot, Relation};
use crate::copy::{BinaryDecoder, CopyColumn, CopyFormat, CopyOptions, Decoder, ParquetDecoder};
use crate::dml::insert::{check_identity, complete, find_column, not_a_table};
use crate::dml::target::WriteTarget;
use crate::dml::write::Writer;
use crate::error::{Result, SqlError, state};
use crate::names::fold;
use crate::plan::compile::{Expressions, Local};
use crate::privilege::conceal::conceal;
use crate::session::Session;
use crate::session::outcome::{self, CommandTag, Outcome};
use crate::session::planning::LazyState;
use crate::session::spelling::Overriding;
use crate::types::{Format, PgType};

pub(crate) struct CopyIn {
    target: Arc<WriteTarget>,
    /// Places of the columns in the data.
    places: Vec<usize>,
    decoder: Input,
    filter: Option<Filter>,
    writer: Writer,
    rows: u64,
}

enum Input {
    Lines(Box<Decoder>),
    Binary(Box<BinaryDecoder>),
    Parquet(Box<Parquet>),
}

/// Rows of a Parquet file, which are read when all of it is there.
struct Parquet {
    columns: Vec<CopyColumn>,
    /// Whether the file is to have no other columns.
    exact: bool,
    table: String,
    format: Format,
    spool: Option<file::Spool>,
    decoder: Option<ParquetDecoder>,
}

impl Parquet {
    fn open(&mut self, file: File) -> Result<()> {
        let format = self.format.clone();
        let decoder = ParquetDecoder::open(file, &self.columns, self.exact, &self.table, format)?;
        self.decoder = Some(decoder);
        Ok(())
    }

    fn next_batch(&mut self) -> Result<Option<RecordBatch>> {
        if self.decoder.is_none()
            && let Some(spool) = &mut self.spool
        {
            let file = spool.file()?;
            self.open(file)?;
        }
        match &mut self.decoder {
            Some(decoder) => decoder.next_batch(),
            None => Err(SqlError::internal("a COPY without data")),
        }
    }
}

impl Input {
    fn push(&mut self, data: &[u8]) -> Result<Vec<RecordBatch>> {
        match self {
            Input::Lines(decoder) => decoder.push(data),
            Input::Binary(decoder) => decoder.push(data),
            Input::Parquet(parquet) => match &mut parquet.spool {
                Some(spool) => spool.write(data).map(|()| Vec::new()),
                None => Err(SqlError::internal("data for a COPY from a file")),
            },
        }
    }

    /// The rows that are left when all has come; more of them may follow.
    fn finish(&mut self) -> Result<(Vec<RecordBatch>, bool)> {
        match self {
            Input::Lines(decoder) => decoder.finish().map(|rows| (rows, false)),
            Input::Binary(decoder) => decoder.finish().map(|rows| (rows, false)),
            Input::Parquet(parquet) => {
                let rows = parquet.next_batch()?;
                let more = rows.is_some();
                Ok((Vec::from_iter(rows), more))
            }
        }
    }
}

/// WHERE: of the rows of the data, those to insert. Generated columns are not computed yet and are NULL in it.
struct Filter {
    condition: Expressions,
    /// The table's, but for NULL in what may not be NULL once it is inserted.
    schema: Arc<Schema>,
}

impl Filter {
    fn keep(&self, state: &LazyState, columns: Vec<ArrayRef>) -> Result<(Vec<ArrayRef>, usize)> {
        let batch = RecordBatch::try_new(self.schema.clone(), columns)?;
        let program = self.condition.prepare(state, &[])?;
        let kept = program.condition(0, &batch)?;
        let kept = arrow::compute::filter_record_batch(&batch, &kept)?;
        Ok((kept.columns().to_vec(), kept.num_rows()))
    }
}

/// Places of the columns named, or of all.
pub(super) fn copy_places(target: &WriteTarget, columns: &[Ident]) -> Result<Vec<usize>> {
    if columns.is_empty() {
        let all = 0..target.meta.columns.len();
        return Ok(all
            .filter(|place| !target.generated.is_generated(*place))
            .collect());
    }
    let mut places = Vec::with_capacity(columns.len());
    for column in columns {
        let name = fold(column);
        let place = find_column(target, &name)?;
        if places.contains(&place) {
            return Err(SqlError::new(
                state::DUPLICATE_COLUMN,
                format!("column \"{name}\" specified more than once"),
            ));
        }
        target.generated.check_copied(&target.meta, place)?;
        places.push(place);
    }
    Ok(places)
}

/// 42703 and its like, unless the columns that an option names are some of the table's.
pub(super) fn check_named(target: &WriteTarget, names: &[String]) -> Result<()> {
    let names: Vec<Ident> = names.iter().map(|n| Ident::with_quote('"', n)).collect();
    match names.is_empty() {
        true => Ok(()),
        false => copy_places(target, &names).map(drop),
    }
}

pub(super) fn copy_columns(target: &WriteTarget, places: &[usize]) -> Vec<CopyColumn> {
    places
        .iter()
        .map(|p| &target.meta.columns[*p])
        .map(|c| CopyColumn {
            name: c.name.clone(),
            ty: c.ty.clone(),
            typmod: c.typmod,
        })
        .collect()
}

impl Session {
    pub(super) fn copy_from(
        &mut self,
        name: &ObjectName,
        columns: &[Ident],
        options: CopyOptions,
        filter: Option<&Expr>,
        file: Option<&str>,
    ) -> Result<Outcome> {
        self.check_writable("COPY FROM")?;
        let (target, catalog) = loop {
            let (_, catalog) = self.write_view()?;
            let table = match self.relation(&catalog, name)? {
                Relation::Table(t) => t,
                Relation::View(v) => {
                    let message = format!("cannot copy to view \"{}\"", v.name);
                    let hint = "To enable copying to a view, provide an INSTEAD OF INSERT trigger.";
                    return Err(SqlError::new(state::WRONG_OBJECT_TYPE, message).with_hint(hint));
                }
                other => return Err(not_a_table(&other, "copy to")),
            };
            self.check_copy_in(&catalog, &table, columns)?;
            if self.lock_table(table.collection_id(), TableLockMode::RowExclusive)? {
                continue;
            }
            if options.freeze {
                self.check_private(&table)?;
            }
            let target = self.with_state(|s, state| s.write_target(state, &catalog, table.oid))?;
            break (target, catalog);
        };
        let filter = match filter {
            Some(filter) => Some(self.copy_filter(&catalog, &target, filter)?),
            None => None,
        };
        let places = copy_places(&target, columns)?;
        if !columns.is_empty() {
            for place in &places {
                // As under OVERRIDING SYSTEM VALUE.
                check_identity(&target, *place, Some(Overriding::System))?;
            }
        }
        check_named(&target, &options.force_not_null)?;
        check_named(&target, &options.force_null)?;
        let described = copy_columns(&target, &places);
        let format = outcome::CopyFormat::from(options.format);
        let decoder = match options.format {
            CopyFormat::Text | CopyFormat::Csv => {
                let format = self.info.format();
                let decoder = Decoder::new(options, &described, target.name(), format)?;
                Input::Lines(Box::new(decoder))
            }
            CopyFormat::Binary => {
                Input::Binary(Box::new(BinaryDecoder::new(&described, target.name())?))
            }
            CopyFormat::Parquet => Input::Parquet(Box::new(Parquet {
                columns: described,
                exact: columns.is_empty(),
                table: target.name().to_owned(),
                format: self.info.format(),
                spool: match file {
                    Some(_) => None,
                    None => Some(file::Spool::create(self.instance.runtime_env())?),
                },
                decoder: None,
            })),
        };
        let catalog = self.info.catalog();
        let writer = Writer::new(self, catalog);
        let columns = places.len();
        let mut copy = CopyIn {
            target,
            places,
            decoder,
            filter,
            writer,
            rows: 0,
        };
        let Some(file) = file else {
            self.copy_in = Some(copy);
            return Ok(Outcome::CopyIn { format, columns });
        };
        let copied = file::Source::open(file)
            .and_then(|source| copy.read(self, source))
            .and_then(|()| copy.finish(self));
        copied.map_err(|e| copy.fail(self, e))?;
        let tag = CommandTag::counted("COPY", copy.rows);
        Ok(Outcome::Command(tag))
    }

    /// Plans the condition that rows are held against.
    fn copy_filter(
        &mut self,
        catalog: &Arc<CatalogSnapshot>,
        target: &WriteTarget,
        filter: &Expr,
    ) -> Result<Filter> {
        let meta = &target.meta;
        let fields = meta.schema.fields().iter();
        let fields = fields.map(|field| field.as_ref().clone().with_nullable(true));
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        let what = "COPY FROM WHERE conditions";
        if has_subquery(filter) {
            let message = "cannot use subquery in COPY FROM WHERE condition";
            return Err(SqlError::new(state::FEATURE_NOT_SUPPORTED, message));
        }
        let condition = self.with_state(|session, state| {
            let plan = |condition: Expr| {
                let local = Local {
                    name: &meta.table.name,
                    schema: schema.clone(),
                };
                let info = &session.info;
                Expressions::plan_exprs(state, catalog, info, &[local], vec![condition], what)
            };
            let condition = plan(filter.clone())?;
            match condition.pg_type(0) {
                PgType::Bool => Ok(condition),
                // A literal of no type yet.
                PgType::Unknown => plan(Expr::Cast {
                    kind: ast::CastKind::Cast,
                    expr: Box::new(filter.clone()),
                    data_type: ast::DataType::Boolean,
                    array: false,
                    format: None,
                }),
                other => {
                    let ty = other.name();
                    let message = format!("argument of WHERE must be type boolean, not type {ty}");
                    Err(SqlError::new(state::DATATYPE_MISMATCH, message))
                }
            }
        })?;
        Ok(Filter { condition, schema })
    }

    /// COPY FREEZE is for a table that this transaction has created or truncated.
    fn check_private(&self, table: &Table) -> Result<()> {
        let (engine, timeline) = (self.instance.engine(), self.info.place().id());
        let committed = self.instance.catalog(&engine.latest_view_on(timeline)?)?;
        match committed.table(table.oid) {
            Some(known) if known.collection == table.collection => Err(SqlError::new(
                state::OBJECT_NOT_IN_PREREQUISITE_STATE,
                "cannot perform COPY FREEZE because the table was not created or truncated in the \
                 current subtransaction",
            )),
            _ => Ok(()),
        }
    }

    /// The next piece of the data. After an error the COPY is over.
    pub fn copy_in_data(&mut self, data: &[u8]) -> Result<()> {
        let Some(mut copy) = self.copy_in.take() else {
            return Err(no_copy());
        };
        match copy.push(self, data) {
            Ok(()) => {
                self.copy_in = Some(copy);
                Ok(())
            }
            Err(e) => {
                let e = copy.fail(self, e);
                Err(self.copy_failed(e))
            }
        }
    }

    pub fn copy_in_done(&mut self) -> Result<CommandTag> {
        let Some(mut copy) = self.copy_in.take() else {
            return Err(no_copy());
        };
        let result = copy
            .finish(self)
            .map_err(|e| copy.fail(self, e))
            .and_then(|()| {
                if self.txn.in_block() {
                    Ok(())
                } else {
                    self.commit()
                }
            });
        self.end_timer();
        self.come_to_rest();
        if result.is_ok() {
            self.end_receiving(Ok(copy.rows));
        }
        match result {
            Ok(()) => Ok(CommandTag::counted("COPY", copy.rows)),
            Err(e) => Err(self.copy_failed(e)),
        }
    }

    /// The client gives up, and says why.
    pub fn copy_in_fail(&mut self, why: &str) -> SqlError {
        self.copy_in = None;
        let error = SqlError::new(
            state::QUERY_CANCELED,
            format!("COPY from stdin failed: {why}"),
        );
        self.copy_failed(error)
    }

    fn copy_failed(&mut self, error: SqlError) -> SqlError {
        let error = self.explain_timeout(error);
        let error = conceal(error, &self.info.catalog(), &self.info.role());
        self.end_timer();
        self.fail_statement();
        self.come_to_rest();
        self.end_receiving(Err(&error));
        error
    }
}

impl CopyIn {
    fn push(&mut self, session: &mut Session, data: &[u8]) -> Result<()> {
        let batches = self.decoder.push(data)?;
        self.insert(session, batches)
    }

    /// Takes all that a file has.
    fn read(&mut self, session: &mut Session, mut source: file::Source) -> Result<()> {
        if let Input::Parquet(parquet) = &mut self.decoder {
            return parquet.open(source.into_file());
        }
        loop {
            let piece = source.next()?;
            if piece.is_empty() {
                return Ok(());
            }
            self.push(session, piece)?;
        }
    }

    /// The data has ended.
    fn finish(&mut self, session: &mut Session) -> Result<()> {
        loop {
            let (batches, more) = self.decoder.finish()?;
            self.insert(session, batches)?;
            if !more {
                break;
            }
        }
        let finished = session.with_state(|session, state| self.writer.finish(session, state));
        finished.map_err(|e| self.context(e))
    }

    fn insert(&mut self, session: &mut Session, batches: Vec<RecordBatch>) -> Result<()> {
        if batches.is_empty() {
            return Ok(());
        }
        session.with_state(|session, state| {
            for batch in batches {
                if session.interrupt.is_canceled() {
                    return Err(SqlError::from(heliosdb_storage::Error::Canceled));
                }
                let mut rows = batch.num_rows();
                let mut columns = complete(
                    state,
                    &self.target,
                    &self.places,
                    batch.columns().to_vec(),
                    rows,
                    &self.writer.format,
                )?;
                if let Some(filter) = &self.filter {
                    (columns, rows) = filter.keep(state, columns).map_err(|e| self.context(e))?;
                    if rows == 0 {
                        continue;
                    }
                }
                let batch = self
                    .writer
                    .check_rows(session, state, &self.target, (columns, rows), None)
                    .map_err(|e| self.context(e))?;
                self.writer
                    .insert(session, &self.target, batch)
                    .map_err(|e| self.context(e))?;
                self.rows += rows as u64;
            }
            Ok(())
        })
    }

    /// What is to be said when `error` ends the COPY.
    fn fail(&mut self, session: &mut Session, error: SqlError) -> SqlError {
        let error = self.writer.fail(session, error);
        match error.code == state::UNIQUE_VIOLATION {
            true => self.context(error),
            false => error,
        }
    }

    /// Rows are checked a batch at a time, so the context names the table and not the line.
    fn context(&self, error: SqlError) -> SqlError {
        // Foreign keys are checked when all rows are in.
        if error.context.is_some() || error.code == state::FOREIGN_KEY_VIOLATION {
            return error;
        }
        error.with_context(format!("COPY {}", self.target.name()))
    }
}

/// Whether a query is part of an expression, as it is written: planning can make one without a query of it.
fn has_subquery(expr: &Expr) -> bool {
    let found = visit_expressions(expr, |e| match e {
        Expr::Subquery(_) | Expr::InSubquery { .. } | Expr::Exists { .. } => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    });
    found.is_break()
}

fn no_copy() -> SqlError {
    SqlError::new(state::PROTOCOL_VIOLATION, "there is no COPY in progress")
}
