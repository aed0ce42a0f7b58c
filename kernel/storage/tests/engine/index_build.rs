//! Indexes that are built while others write: between any two steps a row may come, go, or hand its key on.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use heliosdb_storage::ids::{CollectionId, ColumnId, RowId};
use heliosdb_storage::schema::{ColumnType, ComputedColumn, IndexDef, KeyColumn, TableDef};
use heliosdb_storage::*;

use super::support::*;

const NEW: CollectionId = CollectionId(2500);

/// The table as it is while the index is not there: with no other.
fn bare() -> TableDef {
    let mut table = table();
    table.indexes.clear();
    let computed = |expression: &str, ty| ComputedColumn {
        ty,
        expression: expression.into(),
        inputs: vec![ColumnId(0)],
        condition: None,
    };
    table.computed = vec![
        computed(LAST_DIGIT, ColumnType::Int64),
        computed(LARGE, ColumnType::Bool),
    ];
    table
}

fn on(column: ColumnId, unique: bool, predicate: Option<ColumnId>) -> IndexDef {
    let key = KeyColumn {
        column,
        descending: false,
        nulls_first: false,
    };
    IndexDef {
        id: NEW,
        columns: vec![key],
        unique,
        predicate,
    }
}

/// On the ids, which are unique at every commit; on names; and on an expression of a part of the rows.
fn indexes() -> [IndexDef; 3] {
    [
        on(ColumnId(0), true, None),
        on(ColumnId(1), false, None),
        on(ColumnId::computed(0), false, Some(ColumnId::computed(1))),
    ]
}

struct Writer {
    random: u64,
    rows: BTreeMap<RowId, Row>,
}

impl Writer {
    fn below(&mut self, n: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % n
    }

    fn any_row(&mut self) -> Option<RowId> {
        let place = self.below(self.rows.len().max(1) as u64) as usize;
        self.rows.keys().nth(place).copied()
    }

    fn free_id(&mut self) -> Option<i64> {
        if self.below(8) == 0 {
            return None;
        }
        let first = self.below(100) as i64;
        let taken = |id| self.rows.values().any(|row| row.0 == Some(id));
        (first..first + 1000).find(|id| !taken(*id))
    }

    /// One commit: a row comes, goes, changes, hands its id to another, two exchange theirs, or come in bulk.
    fn write(&mut self, db: &Database) {
        let mut txn = begin(&db.engine);
        let mode = TableLockMode::RowExclusive;
        txn.lock_table(TABLE, mode, LockWait::Block).unwrap();
        self.write_in(&mut txn);
        txn.commit(Durability::Asynchronous).unwrap();
    }

    fn write_in(&mut self, txn: &mut Transaction) {
        let name = format!("name {}", self.below(20));
        if self.below(20) == 0 {
            return self.insert_in_bulk(txn, &name);
        }
        match (self.below(6), self.any_row(), self.any_row()) {
            (0, Some(one), Some(other)) if one != other => {
                let (first, second) = (self.rows[&one].0, self.rows[&other].0);
                self.update(txn, one, (second, name.clone()));
                self.update(txn, other, (first, name));
            }
            (1, Some(one), _) => {
                let (id, _) = self.delete(txn, one);
                self.insert(txn, (id, name));
            }
            (2, Some(one), _) => drop(self.delete(txn, one)),
            (3, Some(one), _) => {
                let id = self.free_id();
                self.update(txn, one, (id, name));
            }
            _ => {
                let id = self.free_id();
                self.insert(txn, (id, name));
            }
        }
    }

    fn insert(&mut self, txn: &mut Transaction, row: Row) {
        let rows = txn
            .insert(&bare(), &batch(std::slice::from_ref(&row)))
            .unwrap();
        self.rows.insert(rows[0], row);
    }

    /// By the column, in two batches.
    fn insert_in_bulk(&mut self, txn: &mut Transaction, name: &str) {
        let mut insert = txn.bulk_insert(&bare()).unwrap();
        for _ in 0..2 {
            let row = (self.free_id(), name.to_owned());
            let id = insert.push(txn, &batch(std::slice::from_ref(&row)));
            self.rows.insert(id.unwrap(), row);
        }
        insert.finish(txn).unwrap();
    }

    fn update(&mut self, txn: &mut Transaction, id: RowId, row: Row) {
        txn.lock_row(TABLE, id, RowLockMode::Update, LockWait::Block)
            .unwrap();
        txn.update(&bare(), &[id], &batch(std::slice::from_ref(&row)))
            .unwrap();
        self.rows.insert(id, row);
    }

    fn delete(&mut self, txn: &mut Transaction, id: RowId) -> Row {
        txn.lock_row(TABLE, id, RowLockMode::Update, LockWait::Block)
            .unwrap();
        txn.delete(&bare(), &[id]).unwrap();
        self.rows.remove(&id).unwrap()
    }
}

/// The builder's transaction has small runs, and now and then rows of its own; files are flushed and merged
/// between steps. The check at the end holds the index against the table.
#[test]
fn an_index_has_the_rows_of_its_last_step() {
    for seed in 1..=12 {
        let db = Database::with(Options {
            transaction_bytes_max: 4 << 10,
            memtable_bytes_max: 16 << 10,
            retention_micros: Some(0),
            ..small()
        });
        let mut txn = begin(&db.engine);
        txn.define_table(&bare()).unwrap();
        txn.commit(Durability::Synchronous).unwrap();
        let mut writer = Writer {
            random: seed * 0x9e37_79b9,
            rows: BTreeMap::new(),
        };
        for _ in 0..150 {
            writer.write(&db);
        }
        let index = indexes()[seed as usize % 3].clone();
        let mut builder = begin(&db.engine);
        let mode = TableLockMode::ShareUpdateExclusive;
        builder.lock_table(TABLE, mode, LockWait::Block).unwrap();
        if seed % 2 == 0 {
            // Rows that only the builder has: others neither see nor change them.
            let own = (0..20).map(|n| (Some(10_000 + n), "own".to_owned()));
            let own: Vec<Row> = own.collect();
            builder.insert(&bare(), &batch(&own)).unwrap();
        }
        let mut build = builder.begin_index(&bare(), &index).unwrap();
        for _ in 0..4 {
            let writes = writer.below(60);
            for _ in 0..writes {
                writer.write(&db);
                match writer.below(30) {
                    0 => db.engine.flush().unwrap(),
                    1 => drop(db.engine.compact_all(&Interrupt::new()).unwrap()),
                    _ => {}
                }
            }
            let changed = builder.catch_up_index(&mut build).unwrap();
            assert!(changed <= 2 * writes, "{changed} rows of {writes} writes");
        }
        let mode = TableLockMode::Share;
        builder.lock_table(TABLE, mode, LockWait::Block).unwrap();
        builder.catch_up_index(&mut build).unwrap();
        let indexed = TableDef {
            indexes: vec![index.clone()],
            ..bare()
        };
        builder.define_table(&indexed).unwrap();
        builder.commit(Durability::Synchronous).unwrap();

        let view = db.engine.latest_view();
        let mut found = view
            .index_rows(&indexed, &index, &IndexRange::all())
            .unwrap();
        found.sort();
        let all = scan(&view);
        let is_in = |(_, (id, _)): &&(RowId, Row)| index.predicate.is_none() || *id > Some(50);
        let expected: Vec<RowId> = all.iter().filter(is_in).map(|(row, _)| *row).collect();
        assert_eq!(found, expected, "seed {seed}");
        db.check();
    }
}

#[test]
fn a_key_that_is_taken_meanwhile_is_found() {
    let db = Database::new();
    let mut txn = begin(&db.engine);
    txn.define_table(&bare()).unwrap();
    let ids = txn
        .insert(&bare(), &batch(&[row(1, "a"), row(2, "b")]))
        .unwrap();
    txn.commit(Durability::Synchronous).unwrap();

    let mut builder = begin(&db.engine);
    let index = &indexes()[0];
    let mut build = builder.begin_index(&bare(), index).unwrap();
    let mut txn = begin(&db.engine);
    txn.lock_row(TABLE, ids[1], RowLockMode::Update, LockWait::Block)
        .unwrap();
    txn.update(&bare(), &ids[1..], &batch(&[row(1, "b")]))
        .unwrap();
    txn.commit(Durability::Synchronous).unwrap();
    let error = builder.catch_up_index(&mut build).unwrap_err();
    let Error::UniqueViolation { key, .. } = error else {
        panic!("{error}");
    };
    assert_eq!(key, [datum::Datum::Int64(1)]);
}

/// Threads that do not wait for the builder, and a builder that waits for them only at the end.
#[test]
fn writers_go_on_while_an_index_is_built() {
    let db = Arc::new(Database::with(Options {
        memtable_bytes_max: 64 << 10,
        ..small()
    }));
    let mut txn = begin(&db.engine);
    txn.define_table(&bare()).unwrap();
    let rows: Vec<Row> = (0..2000).map(|n| row(n, "x")).collect();
    txn.insert(&bare(), &batch(&rows)).unwrap();
    txn.commit(Durability::Synchronous).unwrap();
    let index = indexes()[1].clone();
    let indexed = TableDef {
        indexes: vec![index.clone()],
        ..bare()
    };
    let is_built = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let (db, is_built, indexed) = (&db, &is_built, &indexed);
        for thread in 0..2 {
            scope.spawn(move || {
                for n in 0..300 {
                    let mut txn = begin(&db.engine);
                    let mode = TableLockMode::RowExclusive;
                    txn.lock_table(TABLE, mode, LockWait::Block).unwrap();
                    let built = is_built.load(Ordering::Acquire);
                    let def = if built { indexed.clone() } else { bare() };
                    let row = row(10_000 * (thread + 1) + n, "y");
                    txn.insert(&def, &batch(&[row])).unwrap();
                    txn.commit(Durability::Asynchronous).unwrap();
                }
            });
        }
        let mut builder = begin(&db.engine);
        let mode = TableLockMode::ShareUpdateExclusive;
        builder.lock_table(TABLE, mode, LockWait::Block).unwrap();
        let mut build = builder.begin_index(&bare(), &index).unwrap();
        for _ in 0..3 {
            builder.catch_up_index(&mut build).unwrap();
        }
        let mode = TableLockMode::Share;
        builder.lock_table(TABLE, mode, LockWait::Block).unwrap();
        builder.catch_up_index(&mut build).unwrap();
        builder.define_table(indexed).unwrap();
        is_built.store(true, Ordering::Release);
        builder.commit(Durability::Synchronous).unwrap();
    });
    let view = db.engine.latest_view();
    let found = view
        .index_rows(&indexed, &index, &IndexRange::all())
        .unwrap();
    assert_eq!(found.len(), 2600);
    Arc::into_inner(db).unwrap().check();
}

/// Build an index on ids that are unique, from its beginning to its commit.
fn build(db: &Database) -> TableDef {
    let index = indexes()[0].clone();
    let indexed = TableDef {
        indexes: vec![index.clone()],
        ..bare()
    };
    let mut builder = begin(&db.engine);
    let (mode, wait) = (TableLockMode::ShareUpdateExclusive, LockWait::NoWait);
    builder.lock_table(TABLE, mode, wait).unwrap();
    let mut build = builder.begin_index(&bare(), &index).unwrap();
    builder
        .lock_table(TABLE, TableLockMode::Share, wait)
        .unwrap();
    builder.catch_up_index(&mut build).unwrap();
    builder.define_table(&indexed).unwrap();
    builder.commit(Durability::Synchronous).unwrap();
    indexed
}

/// A transaction that keeps a snapshot has read the catalog in it: the index that came since is not there.
#[test]
fn who_does_not_know_the_index_does_not_write() {
    let isolations = [
        Isolation::ReadCommitted,
        Isolation::RepeatableRead,
        Isolation::Serializable,
    ];
    for isolation in isolations {
        let db = Database::new();
        let mut txn = begin(&db.engine);
        txn.define_table(&bare()).unwrap();
        let ids = txn
            .insert(&bare(), &batch(&[row(1, "a"), row(2, "b")]))
            .unwrap();
        txn.commit(Durability::Synchronous).unwrap();

        let late = || {
            let mut late = db.engine.begin(isolation, Interrupt::new());
            late.begin_statement();
            assert_eq!(scan(&late.read_view()).len(), 2);
            late
        };
        let mut writers: Vec<Transaction> = std::iter::repeat_with(late).take(4).collect();
        let indexed = build(&db);
        for (which, writer) in writers.iter_mut().enumerate() {
            let (mode, wait) = (TableLockMode::RowExclusive, LockWait::NoWait);
            writer.lock_table(TABLE, mode, wait).unwrap();
            let (def, new) = (bare(), batch(&[row(1, "again")]));
            let refused = match which {
                0 => writer.insert(&def, &new).map(drop),
                1 => writer.update(&def, &ids[1..], &new),
                2 => writer.delete(&def, &ids[1..]),
                _ => writer.bulk_insert(&def).map(drop),
            };
            assert!(
                matches!(refused, Err(Error::SerializationFailure)),
                "{isolation:?}, {which}: {refused:?}"
            );
        }
        // Who knows it may, whatever its snapshot; the key is taken.
        let taken = writers[0].insert(&indexed, &batch(&[row(1, "again")]));
        assert!(
            matches!(taken, Err(Error::UniqueViolation { .. })),
            "{taken:?}"
        );
        let known = writers[1].insert(&indexed, &batch(&[row(3, "c")]));
        assert_eq!(known.unwrap().len(), 1);
        drop(writers);
        db.check();
    }
}

/// An index of now does not have a row that a snapshot from before still shows.
#[test]
fn who_keeps_a_snapshot_is_told_that_it_has_other_rows() {
    let db = Database::new();
    let mut txn = begin(&db.engine);
    txn.define_table(&bare()).unwrap();
    let ids = txn
        .insert(&bare(), &batch(&[row(1, "a"), row(2, "b")]))
        .unwrap();
    txn.commit(Durability::Synchronous).unwrap();
    let index = indexes()[0].clone();
    let indexed = TableDef {
        indexes: vec![index.clone()],
        ..bare()
    };
    let differs = |isolation, changed: Option<i64>| {
        let mut builder = db.engine.begin(isolation, Interrupt::new());
        builder.begin_statement();
        if let Some(id) = changed {
            let mut other = begin(&db.engine);
            other
                .lock_row(TABLE, ids[0], RowLockMode::Update, LockWait::NoWait)
                .unwrap();
            other
                .update(&bare(), &ids[..1], &batch(&[row(id, "c")]))
                .unwrap();
            other.commit(Durability::Synchronous).unwrap();
        }
        // What it writes itself it sees.
        builder.insert(&bare(), &batch(&[row(4, "d")])).unwrap();
        builder.build_index(&bare(), &index).unwrap();
        let sees_newest = builder.sees_newest_rows(TABLE).unwrap();
        builder.begin_statement();
        let view = builder.read_view();
        let by_index = |id| {
            let range = IndexRange::equal(vec![datum::Datum::Int64(id)]);
            view.index_rows(&indexed, &index, &range).unwrap()
        };
        let rows = scan(&view);
        let is_wrong = rows
            .iter()
            .any(|(row, (id, _))| by_index(id.unwrap()) != [*row]);
        assert_eq!(sees_newest, !is_wrong, "{isolation:?}");
        is_wrong
    };
    assert!(!differs(Isolation::RepeatableRead, None));
    assert!(!differs(Isolation::Serializable, None));
    assert!(!differs(Isolation::ReadCommitted, Some(10)));
    assert!(differs(Isolation::RepeatableRead, Some(11)));
}
