//! What running a statement gives: rows, a command tag, or the start of a COPY.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arrow::array::{Array, new_null_array};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::record_batch::RecordBatch;
use datafusion::scalar::ScalarValue;
use heliosdb_storage::Interrupt;

use super::counted::Measured;
use super::kept::{self, Memory};
use crate::activity::Active;
use crate::error::{Result, SqlError};
use crate::plan::run::QueryRows;
use crate::transfer::CopyOut;
use crate::types::{CastContext, Format, PgType, cast_array, decode_text};

/// A command's completion tag: `INSERT 0 1`, `CREATE TABLE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandTag(pub String);

impl CommandTag {
    pub(crate) fn new(tag: impl Into<String>) -> CommandTag {
        CommandTag(tag.into())
    }
}

/// A parameter as a client gives it.
#[derive(Clone, Debug)]
pub enum Value {
    Null,
    /// The textual form, read as the parameter's type.
    Text(String),
    Typed(ScalarValue),
}

impl Value {
    /// The value as one of this type.
    pub(crate) fn bind(&self, ty: &PgType, format: &Format) -> Result<ScalarValue> {
        match self {
            Value::Null => ScalarValue::try_from(&ty.arrow()).map_err(SqlError::from),
            Value::Text(text) => decode_text(ty, -1, text, format),
            Value::Typed(value) if value.data_type() == ty.arrow() => Ok(value.clone()),
            Value::Typed(value) => {
                let from = PgType::from_arrow(&value.data_type()).unwrap_or(PgType::Unknown);
                let array = value.to_array().map_err(SqlError::from)?;
                let cast = cast_array(&array, &from, ty, -1, CastContext::Assignment, format)?;
                ScalarValue::try_from_array(&cast, 0).map_err(SqlError::from)
            }
        }
    }
}

/// One column of a result, as RowDescription tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResultColumn {
    pub name: String,
    pub ty: PgType,
    /// The table the column comes from, or 0.
    pub table_oid: u32,
    pub column_attnum: i16,
    pub typmod: i32,
}

/// What a statement gave.
pub enum Outcome {
    Rows(Rows),
    Command(CommandTag),
    /// The session now expects [`copy_in_data`](super::Session::copy_in_data).
    CopyIn {
        format: CopyFormat,
        columns: usize,
    },
    CopyOut(CopyOut),
    /// An empty statement.
    Empty,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CopyFormat {
    Text,
    Csv,
    /// Rows in one of COPY's formats that are no text, or a dump.
    Binary,
}

impl From<crate::copy::CopyFormat> for CopyFormat {
    fn from(format: crate::copy::CopyFormat) -> CopyFormat {
        match format {
            crate::copy::CopyFormat::Text => CopyFormat::Text,
            crate::copy::CopyFormat::Csv => CopyFormat::Csv,
            crate::copy::CopyFormat::Binary | crate::copy::CopyFormat::Parquet => {
                CopyFormat::Binary
            }
        }
    }
}

/// A message that is not an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// `NOTICE`, `WARNING`, `INFO`.
    pub severity: &'static str,
    pub code: crate::error::SqlState,
    pub message: String,
    pub detail: Option<String>,
    pub hint: Option<String>,
}

/// Where a session stands between statements; what ReadyForQuery says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransactionStatus {
    Idle,
    InTransaction,
    Failed,
}

enum Source {
    Stream {
        stream: QueryRows,
        handle: tokio::runtime::Handle,
    },
    Batches(std::vec::IntoIter<RecordBatch>),
}

/// Rows as they come. Dropping it stops the query.
pub struct Rows {
    columns: Arc<[ResultColumn]>,
    source: Source,
    interrupt: Option<Arc<Interrupt>>,
    /// Told of an error, because the transaction the rows belong to has then failed.
    failed: Option<Arc<AtomicBool>>,
    tag: TagKind,
    /// Batches and their rows come the last first: each is turned round when it is asked for.
    backward: bool,
    /// What the rows take of the memory of queries.
    memory: Option<Memory>,
    /// Likewise: the statement runs.
    pub(crate) active: Option<Active>,
    /// What counts the statement when its rows are read.
    pub(crate) measured: Option<Box<Measured>>,
    /// Kept until the rows are read: the statement's timeout.
    pub(crate) guard: Option<super::timeout::StatementTimer>,
}

#[derive(Clone)]
enum TagKind {
    /// `VERB n`.
    Counted(&'static str),
    Fixed(String),
}

impl Rows {
    pub(crate) fn stream(
        columns: Arc<[ResultColumn]>,
        stream: QueryRows,
        handle: tokio::runtime::Handle,
        interrupt: Arc<Interrupt>,
        failed: Arc<AtomicBool>,
    ) -> Rows {
        Rows {
            columns,
            source: Source::Stream { stream, handle },
            interrupt: Some(interrupt),
            failed: Some(failed),
            tag: TagKind::Counted("SELECT"),
            backward: false,
            memory: None,
            active: None,
            measured: None,
            guard: None,
        }
    }

    /// Whether they are found while they are read.
    pub(crate) fn is_stream(&self) -> bool {
        matches!(self.source, Source::Stream { .. })
    }

    pub(crate) fn batches(columns: Arc<[ResultColumn]>, batches: Vec<RecordBatch>) -> Rows {
        Rows {
            columns,
            source: Source::Batches(batches.into_iter()),
            interrupt: None,
            failed: None,
            tag: TagKind::Counted("SELECT"),
            backward: false,
            memory: None,
            active: None,
            measured: None,
            guard: None,
        }
    }

    /// Rows of batches of which the last row is the first.
    pub(crate) fn backward(columns: Arc<[ResultColumn]>, batches: Vec<RecordBatch>) -> Rows {
        Rows {
            backward: true,
            ..Rows::batches(columns, batches)
        }
    }

    /// Counted as this until they are read.
    pub(crate) fn with_memory(mut self, memory: Memory) -> Rows {
        self.memory = Some(memory);
        self
    }

    /// A tag that does not count what is returned, such as that of `SHOW`.
    pub(crate) fn with_tag(mut self, tag: impl Into<String>) -> Rows {
        self.tag = TagKind::Fixed(tag.into());
        self
    }

    /// A tag of another verb that counts what is returned.
    pub(crate) fn with_verb(mut self, verb: &'static str) -> Rows {
        self.tag = TagKind::Counted(verb);
        self
    }

    /// Whether the tag is of a statement that wrote, and counts what it wrote.
    pub(crate) fn writes(&self) -> bool {
        matches!(self.tag, TagKind::Fixed(_))
    }

    pub fn columns(&self) -> &[ResultColumn] {
        &self.columns
    }

    /// The same, to keep.
    pub fn shared_columns(&self) -> Arc<[ResultColumn]> {
        self.columns.clone()
    }

    /// The next rows, or `None` after the last. Blocks.
    pub fn next_batch(&mut self) -> Result<Option<RecordBatch>> {
        let next = match &mut self.source {
            Source::Batches(batches) => {
                let Some(mut batch) = batches.next() else {
                    return Ok(None);
                };
                if self.backward {
                    batch = kept::reversed(&batch)?;
                }
                return shown(batch).map(Some);
            }
            Source::Stream { stream, handle } => {
                let begun = self.measured.as_ref().map(|measured| measured.clock());
                let mut next = || stream.next_batch(handle, self.interrupt.as_deref());
                let next = match &self.measured {
                    Some(measured) => measured.pages().count(next),
                    None => next(),
                };
                if let (Some(measured), Some(begun)) = (&mut self.measured, begun) {
                    let nanos = measured.clock().saturating_sub(begun);
                    let batch = next.as_ref().ok().and_then(Option::as_ref);
                    measured.add(nanos, batch.map_or(0, RecordBatch::num_rows));
                }
                next
            }
        };
        match next {
            Ok(Some(batch)) => shown(batch).map(Some),
            Ok(None) => {
                self.measured = None;
                self.active = None;
                self.guard = None;
                Ok(None)
            }
            Err(e) => {
                let e = match self.guard.take() {
                    Some(timer) => timer.explain(e),
                    None => e,
                };
                if let Some(measured) = self.measured.take() {
                    measured.fail(&e);
                }
                self.active = None;
                if let Some(failed) = &self.failed {
                    failed.store(true, Ordering::SeqCst);
                }
                Err(e)
            }
        }
    }

    /// The completion tag after `n` rows.
    pub fn tag(&self, n: u64) -> CommandTag {
        match &self.tag {
            TagKind::Counted(verb) => CommandTag::counted(verb, n),
            TagKind::Fixed(tag) => CommandTag(tag.clone()),
        }
    }

    /// Reads everything now, so that the transaction can end before the rows are sent.
    pub(crate) fn materialise(mut self) -> Result<Rows> {
        let (columns, tag) = (self.columns.clone(), self.tag.clone());
        let memory = self.memory.take();
        let batches = self.collect()?;
        Ok(Rows {
            tag,
            memory,
            ..Rows::batches(columns, batches)
        })
    }

    /// The rows that are there without reading.
    pub(crate) fn buffered(&self) -> u64 {
        match &self.source {
            Source::Stream { .. } => 0,
            Source::Batches(batches) => {
                let rows = batches.as_slice().iter().map(RecordBatch::num_rows);
                rows.sum::<usize>() as u64
            }
        }
    }

    /// Everything that is left.
    pub fn collect(mut self) -> Result<Vec<RecordBatch>> {
        let mut batches = Vec::new();
        while let Some(batch) = self.next_batch()? {
            batches.push(batch);
        }
        Ok(batches)
    }
}

/// A batch as clients see it.
fn shown(batch: RecordBatch) -> Result<RecordBatch> {
    let batch = typed_nulls(batch)?;
    let replaced = match crate::types::extension::shown(&batch)? {
        Cow::Owned(replaced) => Some(replaced),
        Cow::Borrowed(_) => None,
    };
    Ok(replaced.unwrap_or(batch))
}

/// A column of untyped NULLs has no null bits in Arrow; it goes out as the text it is described as.
fn typed_nulls(batch: RecordBatch) -> Result<RecordBatch> {
    let schema = batch.schema();
    let untyped = |f: &Arc<Field>| *f.data_type() == DataType::Null;
    if !schema.fields().iter().any(untyped) {
        return Ok(batch);
    }
    let fields = schema.fields().iter().map(|f| {
        if untyped(f) {
            let text = f.as_ref().clone().with_data_type(DataType::Utf8View);
            Arc::new(text.with_nullable(true))
        } else {
            f.clone()
        }
    });
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    let columns = batch.columns().iter().map(|a| match a.data_type() {
        DataType::Null => new_null_array(&DataType::Utf8View, a.len()),
        _ => a.clone(),
    });
    RecordBatch::try_new(schema, columns.collect()).map_err(SqlError::internal)
}
