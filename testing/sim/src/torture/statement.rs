//! The statements of a history: what they ask of the engine, what the oracle makes of them, and
//! which errors the history itself is the reason of.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow_schema::{Field, Schema};
use heliosdb_storage::datum::Datum;
use heliosdb_storage::ids::{CollectionId, ColumnId, RowId};
use heliosdb_storage::schema::{ColumnDef, ColumnType, IndexDef, KeyColumn, TableDef};
use heliosdb_storage::{Error, Isolation, LockWait, RowLock, RowLockMode, TableLockMode};

use super::check::{key_of, live_columns};
use super::codec;
use super::history::{Machine, Open};
use super::oracle::{Key, Value, World, definition, definitions, entries, overlay, rows};
use super::{Failure, Result, SEQUENCES, STORES, VALUES};
use crate::rng::Rng;

/// Small enough that keys collide.
const KEYS: u64 = 60;

impl Machine {
    /// Run one random statement; false when it ended its transaction.
    pub(super) fn statement(&mut self, open: &mut Open) -> Result<bool> {
        open.txn.begin_statement();
        if open.base.is_none() || open.isolation == Isolation::ReadCommitted {
            open.base = Some(self.commits());
            open.first = open.first.or(open.base);
        }
        if self.rng.coin() {
            let _view = open.txn.read_view();
            open.read = open.base.unwrap_or(0);
        }
        let savepoint = open.txn.savepoint();
        let before = open.changes.clone();
        let done = self.random_statement(open);
        match done {
            Ok(()) => Ok(true),
            Err(Failure::Refused(error)) if self.may_happen(&error, open) => {
                open.changes = before;
                open.txn.rollback_to(savepoint);
                // After these a session can only roll back; the others fail one statement.
                Ok(!matches!(
                    error,
                    Error::SerializationFailure
                        | Error::ReadWriteDependency { .. }
                        | Error::Deadlock { .. }
                ))
            }
            Err(failure) => Err(failure),
        }
    }

    /// Errors that come of what transactions do to each other. Unique violations are predicted
    /// where they arise.
    fn may_happen(&self, error: &Error, open: &Open) -> bool {
        match error {
            Error::UniqueViolation { .. } => true,
            Error::LockNotAvailable | Error::Deadlock { .. } => self.others_open(),
            Error::SerializationFailure => {
                open.isolation.keeps_snapshot() || self.cursor_moved(open)
            }
            Error::ReadWriteDependency { .. } => open.isolation == Isolation::Serializable,
            _ => false,
        }
    }

    fn random_statement(&mut self, open: &mut Open) -> Result<()> {
        let world = overlay(self.oracle.latest(), &open.changes);
        let tables = definitions(&world);
        if tables.is_empty() || (tables.len() < 3 && self.rng.one_in(25)) {
            return self.create_table(open);
        }
        let def = tables[self.rng.index(tables.len())].clone();
        // DDL works on the latest state: an index built now has no entries for what only an older
        // snapshot still shows, which is for the layer above to mind.
        let may_alter = open.base == Some(self.commits());
        match self.rng.below(if may_alter { 100 } else { 92 }) {
            0..38 => self.insert(open, &world, &def),
            38..58 => self.update(open, &world, &def),
            58..70 => self.delete(open, &def),
            70..81 => self.write_store(open, &world),
            81..84 => self.follow(open, &world),
            84..92 => self.use_sequence(open),
            92..98 => self.alter(open, &world, &def),
            _ => self.drop_table(open, &world, &def),
        }
    }

    fn create_table(&mut self, open: &mut Open) -> Result<()> {
        let columns = [ColumnType::Int64, ColumnType::Text, ColumnType::Int32];
        let mut columns = columns.map(ColumnDef::new);
        columns[1].compression = self.rng.coin().then(|| codec::NAME.into());
        let id = self.engine().allocate_collection_id();
        let primary = self.index_on(0, true);
        let unique = self.rng.coin();
        let secondary = self.index_on(2, unique);
        let def = TableDef {
            id,
            columns: columns.to_vec(),
            computed: Vec::new(),
            retention: None,
            indexes: vec![primary, secondary],
        };
        self.define(open, def)
    }

    fn index_on(&mut self, column: u16, unique: bool) -> IndexDef {
        let key = KeyColumn {
            column: ColumnId(column),
            descending: self.rng.one_in(3),
            nulls_first: self.rng.coin(),
        };
        let id = self.engine().allocate_collection_id();
        IndexDef {
            id,
            columns: vec![key],
            unique,
            predicate: None,
        }
    }

    fn define(&mut self, open: &mut Open, def: TableDef) -> Result<()> {
        open.txn
            .lock_table(def.id, TableLockMode::AccessExclusive, LockWait::NoWait)?;
        open.txn.define_table(&def)?;
        let value = Arc::new(Value::Definition(Arc::new(def.clone())));
        open.changes.insert((def.id, Key::Definition), Some(value));
        Ok(())
    }

    fn insert(&mut self, open: &mut Open, world: &World, def: &Arc<TableDef>) -> Result<()> {
        open.txn
            .lock_table(def.id, TableLockMode::RowExclusive, LockWait::NoWait)?;
        let count = if self.rng.one_in(15) {
            80
        } else {
            1 + self.rng.index(4)
        };
        let spread = if count > 10 { 1 << 40 } else { KEYS };
        let new: Vec<_> = (0..count)
            .map(|_| random_row(&mut self.rng, def, spread))
            .collect();
        let mut after: Vec<_> = rows(world, def).into_values().collect();
        let mut collides = false;
        for row in &new {
            collides |= conflicts(def, row, after.iter());
            after.push(row.clone());
        }
        let rows = batch(def, &new)?;
        let inserted = match self.rng.one_in(4) {
            true => self.insert_in_bulk(open, def, &rows),
            false => open.txn.insert(def, &rows),
        };
        let ids = self.expect_unique(inserted, collides, open)?;
        for (id, row) in ids.iter().zip(new) {
            let known = self.oracle.knows_row(def.id, *id)
                || self.branches.knows_row(def.id, *id)
                || !self.given_rows.insert((def.id, *id));
            if known {
                return Err(Failure::Wrong(format!(
                    "row id {id} of table {} again",
                    def.id
                )));
            }
            open.changes
                .insert((def.id, Key::Row(*id)), Some(Arc::new(Value::Row(row))));
        }
        Ok(())
    }

    /// By the column, in a batch or two; before that, sometimes, some that are given up.
    fn insert_in_bulk(
        &mut self,
        open: &mut Open,
        def: &TableDef,
        rows: &RecordBatch,
    ) -> Result<Vec<RowId>, Error> {
        if self.rng.one_in(8) {
            let mut bulk = open.txn.bulk_insert(def)?;
            bulk.push(&open.txn, rows)?;
        }
        let mut bulk = open.txn.bulk_insert(def)?;
        let some = self.rng.index(rows.num_rows());
        let others = rows.num_rows() - some;
        let mut ids = Vec::with_capacity(rows.num_rows());
        for part in [rows.slice(0, some), rows.slice(some, others)] {
            let first = bulk.push(&open.txn, &part)?;
            ids.extend((first.0..).take(part.num_rows()).map(RowId));
        }
        bulk.finish(&mut open.txn)?;
        Ok(ids)
    }

    /// A unique violation must come when, and only when, the oracle foresees it; another open
    /// transaction's uncommitted key may come first.
    fn expect_unique<T>(&self, result: Result<T, Error>, collides: bool, open: &Open) -> Result<T> {
        match result {
            Err(Error::UniqueViolation { index, key, .. }) if !collides => Err(Failure::Wrong(
                format!("index {index} refuses {key:?}, which is free"),
            )),
            Ok(_) if collides => Err(Failure::Wrong(format!(
                "a duplicate key was accepted ({:?})",
                open.isolation
            ))),
            result => Ok(result?),
        }
    }

    /// Rows the snapshot of `open` shows, of which some are taken, each locked. A row that another
    /// transaction has changed since is left out.
    fn lock_some(
        &mut self,
        open: &mut Open,
        def: &TableDef,
        count: usize,
        mode: RowLockMode,
    ) -> Result<Vec<(RowId, Vec<Datum>)>> {
        open.txn
            .lock_table(def.id, TableLockMode::RowExclusive, LockWait::NoWait)?;
        let shown: Vec<_> = rows(&self.world_of(open), def).into_iter().collect();
        let mut locked = Vec::new();
        let mut taken = BTreeSet::new();
        for _ in 0..count.min(shown.len()) {
            let (row, columns) = shown[self.rng.index(shown.len())].clone();
            if !taken.insert(row) {
                continue;
            }
            let key = Key::Row(row);
            let base = open.base.unwrap_or(0);
            let changed = !open.changes.contains_key(&(def.id, key.clone()))
                && self.oracle.changed_since(base, def.id, &key);
            match open.txn.lock_row(def.id, row, mode, LockWait::NoWait) {
                Ok(RowLock::Held) if !changed => locked.push((row, columns)),
                Err(Error::SerializationFailure) if changed => {
                    return Err(Error::SerializationFailure.into());
                }
                Ok(outcome) => {
                    let what = format!("locking row {row} of table {}: {outcome:?}", def.id);
                    return Err(Failure::Wrong(format!("{what}, changed since: {changed}")));
                }
                Err(Error::SerializationFailure) => {
                    return Err(Failure::Wrong(format!("row {row} did not change since")));
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(locked)
    }

    fn update(&mut self, open: &mut Open, world: &World, def: &Arc<TableDef>) -> Result<()> {
        let with_key = self.rng.one_in(3);
        let (count, mode) = if with_key {
            (1, RowLockMode::Update)
        } else {
            (1 + self.rng.index(5), RowLockMode::NoKeyUpdate)
        };
        let mut chosen = self.lock_some(open, def, count, mode)?;
        if chosen.is_empty() {
            return Ok(());
        }
        let indexed: BTreeSet<ColumnId> = def
            .indexes
            .iter()
            .flat_map(|i| i.columns.iter().map(|key| key.column))
            .collect();
        for (_, columns) in &mut chosen {
            let fresh = random_row(&mut self.rng, def, KEYS);
            for (value, column) in columns.iter_mut().zip(&def.columns) {
                if column.dropped {
                    *value = Datum::Null;
                }
            }
            for column in live_columns(def) {
                if with_key || !indexed.contains(&column) {
                    columns[column.0 as usize] = fresh[column.0 as usize].clone();
                }
            }
        }
        let others: Vec<_> = rows(world, def)
            .into_iter()
            .filter(|(row, _)| chosen.iter().all(|(id, _)| id != row))
            .map(|(_, columns)| columns)
            .collect();
        let collides = chosen
            .iter()
            .any(|(_, columns)| conflicts(def, columns, others.iter()));
        let (ids, new): (Vec<_>, Vec<_>) = chosen.into_iter().unzip();
        let updated = open.txn.update(def, &ids, &batch(def, &new)?);
        self.expect_unique(updated, collides, open)?;
        for (id, row) in ids.into_iter().zip(new) {
            open.changes
                .insert((def.id, Key::Row(id)), Some(Arc::new(Value::Row(row))));
        }
        Ok(())
    }

    fn delete(&mut self, open: &mut Open, def: &Arc<TableDef>) -> Result<()> {
        let count = 1 + self.rng.index(6);
        let chosen = self.lock_some(open, def, count, RowLockMode::Update)?;
        let ids: Vec<RowId> = chosen.into_iter().map(|(row, _)| row).collect();
        open.txn.delete(def, &ids)?;
        for id in ids {
            open.changes.insert((def.id, Key::Row(id)), None);
        }
        Ok(())
    }

    fn write_store(&mut self, open: &mut Open, world: &World) -> Result<()> {
        let store = STORES[0];
        let there: Vec<_> = entries(world, store).into_keys().collect();
        let remove = !there.is_empty() && self.rng.one_in(3);
        let key = if remove {
            there[self.rng.index(there.len())].clone()
        } else {
            let len = 1 + self.rng.index(3);
            (0..len)
                .map(|_| [0, 1, b'a', 255][self.rng.index(4)])
                .collect()
        };
        open.txn
            .lock_key(store, &key, RowLockMode::Update, LockWait::NoWait)?;
        let place = (store, Key::Bytes(key.clone()));
        if remove {
            open.txn.remove(store, &key)?;
            open.changes.insert(place, None);
        } else {
            let len = if self.rng.one_in(10) {
                3000
            } else {
                self.rng.index(200)
            };
            let value = self.rng.bytes(len);
            open.txn.put(store, &key, &value)?;
            open.changes
                .insert(place, Some(Arc::new(Value::Bytes(value))));
        }
        Ok(())
    }

    /// Draw from a sequence and, mostly, keep the value: a key that must be new.
    fn use_sequence(&mut self, open: &mut Open) -> Result<()> {
        let sequence = SEQUENCES[self.rng.index(2)];
        let value = self.draw(open, sequence)?;
        if self.rng.one_in(4) {
            return Ok(());
        }
        let mut key = sequence.0.to_be_bytes().to_vec();
        key.extend_from_slice(&value.to_be_bytes());
        open.txn.put(VALUES, &key, b"used")?;
        let kept = Arc::new(Value::Bytes(b"used".to_vec()));
        open.changes.insert((VALUES, Key::Bytes(key)), Some(kept));
        Ok(())
    }

    /// Add a column, drop one, or add an index.
    fn alter(&mut self, open: &mut Open, world: &World, def: &Arc<TableDef>) -> Result<()> {
        let mut def = def.as_ref().clone();
        open.txn
            .lock_table(def.id, TableLockMode::AccessExclusive, LockWait::NoWait)?;
        match self.rng.below(3) {
            0 => {
                let missing = self
                    .rng
                    .coin()
                    .then(|| Datum::Int64(self.rng.below(9) as i64));
                let missing = missing.map(|datum| Arc::from(datum.encode()));
                def.columns.push(ColumnDef {
                    missing,
                    ..ColumnDef::new(ColumnType::Int64)
                });
                self.define(open, def)
            }
            1 => {
                let indexed = |c: &ColumnId| {
                    def.indexes
                        .iter()
                        .any(|i| i.columns.iter().any(|key| key.column == *c))
                };
                let free: Vec<_> = live_columns(&def)
                    .into_iter()
                    .filter(|c| !indexed(c))
                    .collect();
                if !free.is_empty() {
                    let column = free[self.rng.index(free.len())];
                    def.columns[column.0 as usize].dropped = true;
                    self.define(open, def)?;
                }
                Ok(())
            }
            _ => {
                let live = live_columns(&def);
                let column = live[self.rng.index(live.len())];
                let unique = self.rng.one_in(3);
                let index = self.index_on(column.0, unique);
                def.indexes.push(index.clone());
                let all: Vec<_> = rows(world, &def).into_values().collect();
                let only = TableDef {
                    computed: Vec::new(),
                    retention: None,
                    indexes: vec![index.clone()],
                    ..def.clone()
                };
                let collides =
                    (1..all.len()).any(|at| conflicts(&only, &all[at], all[..at].iter()));
                self.define(open, def.clone())?;
                let built = open.txn.build_index(&def, &index);
                self.expect_unique(built, collides, open)
            }
        }
    }

    fn drop_table(&mut self, open: &mut Open, world: &World, def: &Arc<TableDef>) -> Result<()> {
        open.txn
            .lock_table(def.id, TableLockMode::AccessExclusive, LockWait::NoWait)?;
        let indexes = def.indexes.iter().map(|index| index.id);
        for collection in indexes.chain([def.id]).collect::<Vec<CollectionId>>() {
            open.txn.drop_collection(collection)?;
        }
        debug_assert!(definition(world, def.id).is_some());
        for row in rows(world, def).into_keys() {
            open.changes.insert((def.id, Key::Row(row)), None);
        }
        open.changes.insert((def.id, Key::Definition), None);
        Ok(())
    }
}

/// Whether a unique index of `def` forbids `row` beside `others`.
pub(super) fn conflicts<'a>(
    def: &TableDef,
    row: &[Datum],
    mut others: impl Iterator<Item = &'a Vec<Datum>>,
) -> bool {
    others.any(|other| {
        def.indexes
            .iter()
            .filter(|index| index.unique)
            .any(|index| {
                let key = key_of(index, row);
                !key.contains(&Datum::Null) && key == key_of(index, other)
            })
    })
}

pub(super) fn random_row(rng: &mut Rng, def: &TableDef, spread: u64) -> Vec<Datum> {
    let value = |(at, column): (usize, &ColumnDef)| match column.ty {
        _ if column.dropped => Datum::Null,
        // The primary key is never NULL.
        ColumnType::Int64 if at == 0 => Datum::Int64(rng.below(spread) as i64 - 20),
        _ if rng.one_in(6) => Datum::Null,
        ColumnType::Int64 => Datum::Int64(rng.next_u64() as i64),
        ColumnType::Int32 => Datum::Int32(rng.below(spread * 4) as i32),
        _ => {
            let len = if rng.one_in(12) { 900 } else { rng.index(60) };
            Datum::Bytes((0..len).map(|_| b'a' + rng.below(26) as u8).collect())
        }
    };
    def.columns.iter().enumerate().map(value).collect()
}

/// Rows as the batch that `def` asks for: its live columns in order.
pub(super) fn batch(def: &TableDef, rows: &[Vec<Datum>]) -> Result<RecordBatch> {
    let mut fields = Vec::new();
    let mut arrays: Vec<ArrayRef> = Vec::new();
    for column in live_columns(def) {
        let ty = &def.columns[column.0 as usize].ty;
        let mut parts = Vec::new();
        for row in rows {
            parts.push(row[column.0 as usize].to_array(ty)?);
        }
        let parts: Vec<_> = parts.iter().map(|part| part.as_ref()).collect();
        let joined = arrow_select::concat::concat(&parts).expect("parts of one type");
        arrays.push(joined);
        fields.push(Field::new(column.to_string(), ty.arrow(), true));
    }
    let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
    let schema = Arc::new(Schema::new(fields));
    Ok(RecordBatch::try_new_with_options(schema, arrays, &options).expect("columns of one length"))
}
