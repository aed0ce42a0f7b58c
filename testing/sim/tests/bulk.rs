//! Bulk inserts and index builds on a disk that is full from some call on, for every call: whoever writes is
//! refused with nothing half done, reads go on, no file is left behind, and what was refused works when there
//! is space again, in the same transaction, too.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::ops::Bound;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringViewArray};
use arrow_schema::{Field, Schema};
use heliosdb_sim::{CrashModel, SimDisk};
use heliosdb_storage::ids::{CollectionId, ColumnId};
use heliosdb_storage::schema::{ColumnDef, ColumnType, IndexDef, KeyColumn, TableDef};
use heliosdb_storage::{
    Durability, Engine, Error, Interrupt, Isolation, LockWait, Options, ReadView, Result,
    ScanRequest, TableLockMode, Transaction,
};

const TABLE: CollectionId = CollectionId(2000);
const BY_KEY: CollectionId = CollectionId(2001);
/// Built afterwards.
const BY_TEXT: CollectionId = CollectionId(2002);
const ROWS: i64 = 1500;
/// Keys from there on are written row by row.
const SINGLE: i64 = 1 << 20;

fn index(id: CollectionId, column: u16, unique: bool) -> IndexDef {
    let key = KeyColumn {
        column: ColumnId(column),
        descending: false,
        nulls_first: false,
    };
    IndexDef {
        id,
        columns: vec![key],
        unique,
        predicate: None,
    }
}

fn table() -> TableDef {
    TableDef {
        id: TABLE,
        columns: vec![
            ColumnDef::new(ColumnType::Int64),
            ColumnDef::new(ColumnType::Text),
        ],
        computed: Vec::new(),
        retention: None,
        indexes: vec![index(BY_KEY, 0, true)],
    }
}

fn indexed() -> TableDef {
    let mut table = table();
    table.indexes.push(index(BY_TEXT, 1, false));
    table
}

fn batch(keys: &[i64]) -> RecordBatch {
    let schema = Schema::new(vec![
        Field::new("c0", ColumnType::Int64.arrow(), true),
        Field::new("c1", ColumnType::Text.arrow(), true),
    ]);
    // Noise, so that it takes space.
    let noise = |key: i64| (key as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let texts = keys
        .iter()
        .map(|key| Some(format!("{:x}{:x}", noise(*key), noise(!key))));
    let texts: StringViewArray = texts.collect();
    let columns: Vec<ArrayRef> = vec![Arc::new(Int64Array::from(keys.to_vec())), Arc::new(texts)];
    RecordBatch::try_new(Arc::new(schema), columns).unwrap()
}

fn open(disk: &SimDisk) -> Engine {
    let options = Options {
        wal_segment_bytes: 64 << 10,
        memtable_bytes_max: 48 << 10,
        // Entries are sorted in files, and an index that is built spills.
        transaction_bytes_max: 16 << 10,
        page_bytes: 1 << 10,
        retention_micros: Some(0),
        ..Options::default()
    };
    Engine::open(Arc::new(disk.clone()), options).unwrap()
}

fn begin(engine: &Engine) -> Transaction {
    let mut txn = engine.begin(Isolation::ReadCommitted, Interrupt::new());
    txn.begin_statement();
    txn
}

/// What is not there yet, and whether there is to be: `DiskFull`, and no other error.
fn is_refused<T>(outcome: Result<T>) -> bool {
    match outcome {
        Ok(_) => false,
        Err(Error::DiskFull { .. }) => true,
        Err(error) => panic!("{error}"),
    }
}

/// One database, and what was acknowledged.
struct History {
    disk: SimDisk,
    engine: Engine,
    keys: BTreeSet<i64>,
    is_indexed: bool,
    next_key: i64,
    refused: u32,
}

fn keys(view: &ReadView) -> BTreeSet<i64> {
    let request = ScanRequest::columns(vec![ColumnId(0)]);
    let mut keys = BTreeSet::new();
    for part in view.scan(Arc::new(table()), request).unwrap() {
        for batch in part {
            let batch = batch.unwrap();
            let column = batch.column(0).as_primitive::<Int64Type>();
            assert!(column.values().iter().all(|key| keys.insert(*key)));
        }
    }
    keys
}

fn bulk_keys() -> Vec<i64> {
    // In no order.
    (0..ROWS).map(|n| n * 7919 % 10_007).collect()
}

fn insert_in_bulk(txn: &mut Transaction) -> Result<()> {
    let mut bulk = txn.bulk_insert(&table())?;
    for keys in bulk_keys().chunks(300) {
        bulk.push(txn, &batch(keys))?;
    }
    assert_eq!(bulk.finish(txn)?, ROWS as u64);
    Ok(())
}

impl History {
    fn new() -> History {
        let disk = SimDisk::new(5);
        let engine = open(&disk);
        let mut txn = begin(&engine);
        txn.define_table(&table()).unwrap();
        txn.commit(Durability::Synchronous).unwrap();
        History {
            disk,
            engine,
            keys: BTreeSet::new(),
            is_indexed: false,
            next_key: SINGLE,
            refused: 0,
        }
    }

    /// What was acknowledged can be read, by each index, too.
    fn check(&self) {
        let view = self.engine.latest_view();
        assert!(keys(&view) == self.keys);
        let indexes = match self.is_indexed {
            true => &[BY_KEY, BY_TEXT][..],
            false => &[BY_KEY],
        };
        for index in indexes {
            let entries = view.range(*index, Bound::Unbounded, Bound::Unbounded);
            let entries = entries.unwrap().inspect(|entry| assert!(entry.is_ok()));
            assert_eq!(entries.count(), self.keys.len());
        }
    }

    /// Nobody is at work: no file is there that the database does not name, and nothing is locked.
    fn left_nothing(&self) {
        let files = self.disk.files();
        let sum = |directory: &str| -> u64 {
            let files = files.iter().filter(|(name, _)| name.starts_with(directory));
            files.map(|(_, bytes)| bytes + 1).sum()
        };
        let segments = files
            .iter()
            .filter(|(name, _)| name.starts_with("segments/"));
        let stats = self.engine.stats();
        let count = segments.count() as u64;
        assert_eq!(sum("segments/"), stats.segment_bytes + count);
        assert_eq!(sum("load/"), 0);
        assert_eq!(stats.locked_objects, 0);
        self.check();
    }

    fn refuse(&mut self) {
        self.refused += 1;
        self.left_nothing();
        self.disk.free_space();
    }

    /// A bulk insert after a row of the transaction's own; refused, it is done again in the transaction, or in
    /// another one.
    fn insert(&mut self, again_in_transaction: bool) {
        loop {
            let mut txn = begin(&self.engine);
            txn.insert(&table(), &batch(&[SINGLE - 1])).unwrap();
            let savepoint = txn.savepoint();
            if is_refused(insert_in_bulk(&mut txn)) {
                txn.rollback_to(savepoint);
                assert!(keys(&txn.latest_view()) == BTreeSet::from([SINGLE - 1]));
                let files = self.disk.files();
                assert!(!files.iter().any(|(name, _)| name.starts_with("load/")));
                if !again_in_transaction {
                    drop(txn);
                    self.refuse();
                    continue;
                }
                self.refused += 1;
                self.check();
                self.disk.free_space();
                insert_in_bulk(&mut txn).unwrap();
            }
            if is_refused(txn.commit(Durability::Synchronous)) {
                self.refuse();
                continue;
            }
            self.keys.extend(bulk_keys());
            self.keys.insert(SINGLE - 1);
            return self.left_nothing();
        }
    }

    /// Some rows of somebody else.
    fn write(&mut self) {
        let new: Vec<i64> = (self.next_key..).take(40).collect();
        self.next_key += 40;
        let mut txn = begin(&self.engine);
        txn.insert(&table(), &batch(&new)).unwrap();
        if is_refused(txn.commit(Durability::Synchronous)) {
            self.refused += 1;
        } else {
            self.keys.extend(new);
        }
    }

    fn build(&mut self) {
        while is_refused(self.try_build()) {
            self.refuse();
        }
        self.is_indexed = true;
        self.left_nothing();
    }

    fn try_build(&mut self) -> Result<()> {
        let mut txn = begin(&self.engine);
        let mode = TableLockMode::ShareUpdateExclusive;
        txn.lock_table(TABLE, mode, LockWait::NoWait)?;
        let mut build = txn.begin_index(&table(), &indexed().indexes[1])?;
        self.write();
        txn.catch_up_index(&mut build)?;
        txn.lock_table(TABLE, TableLockMode::Share, LockWait::NoWait)?;
        txn.catch_up_index(&mut build)?;
        txn.define_table(&indexed())?;
        txn.commit(Durability::Synchronous).map(drop)
    }
}

#[test]
fn a_full_disk_leaves_nothing_of_bulk_inserts_and_index_builds() {
    let mut quiet = History::new();
    let first = quiet.disk.calls();
    quiet.insert(true);
    let inserted = quiet.disk.calls();
    quiet.build();
    let built = quiet.disk.calls();
    assert_eq!(quiet.refused, 0);
    assert!(
        inserted - first > 10 && built - inserted > 30,
        "{first}, {inserted}, {built}"
    );

    let mut refused = [0; 2];
    for at in first + 1..=built {
        let mut history = History::new();
        history.disk.full_from(at);
        history.insert(at % 2 == 0);
        refused[0] += history.refused;
        let before = history.refused;
        history.build();
        refused[1] += history.refused - before;

        let disk = match at % 3 {
            0 => {
                history.engine.close().unwrap();
                history.disk.clone()
            }
            _ => history.disk.crash(CrashModel::ALL[at as usize % 3], at),
        };
        history.engine = open(&disk);
        history.disk = disk;
        history.left_nothing();
    }
    assert!(refused.iter().all(|count| *count > 8), "{refused:?}");
}
