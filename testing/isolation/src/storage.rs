//! Lists in storage's own transactions.
//!
//! A list is a row `(key, elements as text)`. Lists are found by the unique index or by reading the whole
//! table, changed as SQL's UPDATE would, and made as INSERT … ON CONFLICT DO UPDATE would.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int64Type, UInt64Type};
use arrow_array::{Int64Array, RecordBatch, StringViewArray};
use arrow_schema::{Field, Schema};
use heliosdb_storage::datum::Datum;
use heliosdb_storage::ids::{CollectionId, ColumnId, RowId};
use heliosdb_storage::schema::{ColumnDef, ColumnType, IndexDef, KeyColumn, TableDef};
use heliosdb_storage::{
    Durability, Engine, Error, IndexRange, InsertOutcome, Interrupt, Isolation, LockWait, Options,
    ReadView, Result, RowLock, RowLockMode, ScanRequest, Transaction,
};

use crate::check::Level;
use crate::history::{Element, Key};
use crate::workload::{Client, Failure, Lists, elements};

const TABLE: CollectionId = CollectionId(2000);
const BY_KEY: CollectionId = CollectionId(2001);
const COLUMNS: [ColumnId; 2] = [ColumnId(0), ColumnId(1)];

/// Settings of an engine under which files come and go within a short run.
pub fn options() -> Options {
    Options {
        memory_bytes_max: 1 << 30,
        memtable_bytes_max: 32 << 10,
        wal_segment_bytes: 256 << 10,
        page_bytes: 4 << 10,
        ..Options::default()
    }
}

/// Make the table, in an engine that holds nothing yet.
///
/// # Errors
///
/// Those of the commit.
pub fn prepare(engine: &Engine) -> Result<()> {
    let mut setup = engine.begin(Isolation::ReadCommitted, Interrupt::new());
    setup.begin_statement();
    setup.define_table(&table())?;
    setup.commit(Durability::Synchronous).map(drop)
}

/// A client of an engine.
pub struct StorageClient {
    engine: Engine,
    txn: Option<Transaction>,
}

impl StorageClient {
    pub fn new(engine: Engine) -> StorageClient {
        StorageClient { engine, txn: None }
    }

    fn statement<R>(
        &mut self,
        run: impl FnOnce(&mut Transaction) -> Result<R>,
    ) -> Result<R, Failure> {
        let txn = self
            .txn
            .as_mut()
            .ok_or_else(|| Failure::Broken("no transaction".to_owned()))?;
        txn.begin_statement();
        run(txn).map_err(failure)
    }
}

fn failure(error: Error) -> Failure {
    match error {
        Error::SerializationFailure
        | Error::ReadWriteDependency { .. }
        | Error::Deadlock { .. } => Failure::Refused,
        other => Failure::Broken(other.to_string()),
    }
}

impl Client for StorageClient {
    fn begin(&mut self, level: Level, read_only: bool) -> Result<(), Failure> {
        let isolation = match level {
            Level::ReadCommitted => Isolation::ReadCommitted,
            Level::RepeatableRead => Isolation::RepeatableRead,
            Level::Serializable => Isolation::Serializable,
        };
        self.txn = Some(match read_only {
            true => self.engine.begin_read_only(isolation, Interrupt::new()),
            false => self.engine.begin(isolation, Interrupt::new()),
        });
        Ok(())
    }

    fn read(&mut self, key: Key) -> Result<Vec<Element>, Failure> {
        let found = self.statement(|txn| find(&txn.read_view(), key))?;
        Ok(found.map(|(_, list)| list).unwrap_or_default())
    }

    fn read_all(&mut self) -> Result<Lists, Failure> {
        self.statement(|txn| scan(&txn.read_view()))
    }

    fn append(&mut self, key: Key, element: Element) -> Result<(), Failure> {
        self.statement(|txn| append(txn, key, element))
    }

    fn commit(&mut self, synchronous: bool) -> Result<(), Failure> {
        let durability = match synchronous {
            true => Durability::Synchronous,
            false => Durability::Asynchronous,
        };
        match self.txn.take() {
            None => Ok(()),
            Some(txn) => txn.commit(durability).map(drop).map_err(failure),
        }
    }

    fn rollback(&mut self) {
        self.txn = None;
    }
}

fn table() -> Arc<TableDef> {
    let key = KeyColumn {
        column: ColumnId(0),
        descending: false,
        nulls_first: false,
    };
    Arc::new(TableDef {
        id: TABLE,
        columns: vec![
            ColumnDef::new(ColumnType::Int64),
            ColumnDef::new(ColumnType::Text),
        ],
        indexes: vec![IndexDef {
            id: BY_KEY,
            columns: vec![key],
            unique: true,
            predicate: None,
        }],
        computed: Vec::new(),
        retention: None,
    })
}

fn row(key: Key, text: &str) -> Result<RecordBatch> {
    let schema = Schema::new(vec![
        Field::new("key", ColumnType::Int64.arrow(), true),
        Field::new("list", ColumnType::Text.arrow(), true),
    ]);
    let key = Int64Array::from(vec![i64::try_from(key).unwrap_or(i64::MAX)]);
    let list = StringViewArray::from(vec![text]);
    RecordBatch::try_new(Arc::new(schema), vec![Arc::new(key), Arc::new(list)])
        .map_err(|e| Error::invalid(e.to_string()))
}

fn text_of(view: &ReadView, row: RowId) -> Result<String> {
    let batch = view.rows(&table(), &[row], &COLUMNS, true)?;
    let lists = batch.column(1).as_string_view();
    Ok(lists.iter().flatten().next().unwrap_or_default().to_owned())
}

fn find(view: &ReadView, key: Key) -> Result<Option<(RowId, Vec<Element>)>> {
    let range = IndexRange::equal(vec![Datum::Int64(i64::try_from(key).unwrap_or(i64::MAX))]);
    let table = table();
    match view.index_rows(&table, &table.indexes[0], &range)?.first() {
        None => Ok(None),
        Some(row) => Ok(Some((*row, elements(&text_of(view, *row)?)))),
    }
}

fn scan(view: &ReadView) -> Result<Lists> {
    let request = ScanRequest {
        row_id: true,
        ..ScanRequest::columns(COLUMNS.to_vec())
    };
    let mut lists = BTreeMap::new();
    for part in view.scan(table(), request)? {
        for batch in part {
            let batch = batch?;
            let keys = batch.column(0).as_primitive::<Int64Type>();
            let texts = batch.column(1).as_string_view();
            let rows = batch.column(2).as_primitive::<UInt64Type>();
            for i in 0..rows.len() {
                lists.insert(keys.value(i).unsigned_abs(), elements(texts.value(i)));
            }
        }
    }
    Ok(lists)
}

/// UPDATE … SET list = list || element, or the INSERT when there is no such list.
fn append(txn: &mut Transaction, key: Key, element: Element) -> Result<()> {
    let found = match find(&txn.read_view(), key)? {
        Some((row, _)) => Some(row),
        None => {
            let new = row(key, &element.to_string())?;
            match txn.insert_or_conflict(&table(), &new, 0, Some(BY_KEY))? {
                InsertOutcome::Inserted(_) => None,
                InsertOutcome::Conflict { row, .. } => Some(row),
            }
        }
    };
    let Some(id) = found else { return Ok(()) };
    match txn.lock_row(TABLE, id, RowLockMode::NoKeyUpdate, LockWait::Block)? {
        RowLock::Gone => Err(Error::invalid("a list is gone")),
        RowLock::Held | RowLock::Changed => {
            let text = text_of(&txn.latest_view(), id)?;
            let new = row(key, &format!("{text} {element}"))?;
            txn.update(&table(), &[id], &new)
        }
    }
}
