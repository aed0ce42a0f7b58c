//! A table with a random history, kept beside no model but the engine's own reads AS OF: whatever
//! gives all versions at once must agree with them at every timestamp.
//!
//! The table starts as `(id int8 unique, name text)`, with a second index on name; columns come and
//! go, rows are inserted, updated and deleted, memtables are flushed, the database is reopened.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, UInt64Array};
use arrow_schema::{Field, Schema};
use heliosdb_storage::datum::Datum;
use heliosdb_storage::ids::{CollectionId, ColumnId, RowId, Ts};
use heliosdb_storage::schema::{ColumnDef, ColumnType, TableDef};
use heliosdb_storage::*;
use proptest::prelude::*;

use super::support::*;

pub const STORE: CollectionId = CollectionId(500);
pub const SEQUENCE: CollectionId = CollectionId(510);

#[derive(Clone, Debug)]
pub enum Op {
    Insert(u8),
    /// The n-th live row.
    Update(u8),
    /// The same with another unique key.
    Rekey(u8),
    Delete(u8),
    AddColumn(bool),
    DropColumn(u8),
    Put(u8),
    Remove(u8),
    Sequence,
    /// End the transaction that all others run in.
    Commit,
    Flush,
    Reopen,
}

pub fn ops(len: usize) -> impl Strategy<Value = Vec<Op>> {
    let op = prop_oneof![
        6 => (1..60u8).prop_map(Op::Insert),
        6 => any::<u8>().prop_map(Op::Update),
        3 => any::<u8>().prop_map(Op::Rekey),
        4 => any::<u8>().prop_map(Op::Delete),
        1 => any::<bool>().prop_map(Op::AddColumn),
        1 => any::<u8>().prop_map(Op::DropColumn),
        3 => (0..12u8).prop_map(Op::Put),
        2 => (0..12u8).prop_map(Op::Remove),
        1 => Just(Op::Sequence),
        6 => Just(Op::Commit),
        3 => Just(Op::Flush),
        1 => Just(Op::Reopen),
    ];
    proptest::collection::vec(op, 1..len)
}

/// A database with a history.
pub struct History {
    pub db: Database,
    pub def: TableDef,
    pub commits: Vec<Ts>,
    pub next_id: i64,
}

pub fn options() -> Options {
    Options {
        // Blocks of a few rows.
        page_bytes: 64,
        ..small()
    }
}

impl History {
    pub fn run(ops: &[Op]) -> History {
        let db = Database::with(options());
        let commits = vec![db.engine.latest_view().ts()];
        let history = History {
            db,
            def: table(),
            commits,
            next_id: 0,
        };
        history.go_on(ops)
    }

    pub fn go_on(mut self, ops: &[Op]) -> History {
        let mut txn = None;
        for op in ops {
            let engine = self.db.engine.clone();
            match op {
                Op::Commit => self.commit(txn.take()),
                Op::Flush => {
                    self.commit(txn.take());
                    engine.flush().unwrap();
                }
                Op::Reopen => {
                    self.commit(txn.take());
                    drop(engine);
                    self.db = self.db.reopen();
                }
                Op::Sequence => {
                    let (min, max) = (1, 100);
                    let spec = SequenceSpec {
                        start: 1,
                        increment: 1,
                        min,
                        max,
                        cycle: false,
                    };
                    engine.sequence_next(SEQUENCE, &spec).unwrap();
                }
                op => self.write(txn.get_or_insert_with(|| begin(&engine)), op),
            }
        }
        self.commit(txn.take());
        self
    }

    fn commit(&mut self, txn: Option<Transaction>) {
        let Some(txn) = txn.filter(|txn| !txn.is_read_only()) else {
            return;
        };
        self.commits
            .push(txn.commit(Durability::Asynchronous).unwrap());
    }

    fn write(&mut self, txn: &mut Transaction, op: &Op) {
        match op {
            Op::Insert(count) => {
                let rows: Vec<_> = (0..*count).map(|_| self.new_row(None)).collect();
                txn.insert(&self.def, &self.batch(&rows)).unwrap();
            }
            Op::Update(n) | Op::Rekey(n) | Op::Delete(n) => {
                let live = scan_columns(&txn.latest_view(), &self.def);
                let Some((row, old)) = live.iter().nth(usize::from(*n) % live.len().max(1)) else {
                    return;
                };
                let key = match (op, &old[0]) {
                    (Op::Update(_), Datum::Int64(key)) => Some(*key),
                    _ => None,
                };
                let new = self.new_row(key);
                let (mode, wait) = (RowLockMode::Update, LockWait::NoWait);
                txn.lock_row(TABLE, *row, mode, wait).unwrap();
                match op {
                    Op::Delete(_) => txn.delete(&self.def, &[*row]).unwrap(),
                    _ => txn.update(&self.def, &[*row], &self.batch(&[new])).unwrap(),
                }
            }
            Op::AddColumn(text) => {
                let (ty, missing) = match text {
                    true => (ColumnType::Text, Datum::Bytes(b"before".to_vec())),
                    false => (ColumnType::Int32, Datum::Null),
                };
                self.def.columns.push(ColumnDef {
                    missing: Some(missing.encode().into()),
                    ..ColumnDef::new(ty)
                });
                txn.define_table(&self.def).unwrap();
            }
            Op::DropColumn(n) => {
                // Not those that are indexed.
                let columns = self.def.columns.get_mut(2..).unwrap_or_default();
                let n = usize::from(*n) % columns.len().max(1);
                if let Some(column) = columns.get_mut(n) {
                    column.dropped = true;
                    txn.define_table(&self.def).unwrap();
                }
            }
            Op::Put(key) => {
                self.next_id += 1;
                let value = self.next_id.to_string();
                txn.put(STORE, &[*key], value.as_bytes()).unwrap();
            }
            Op::Remove(key) => txn.remove(STORE, &[*key]).unwrap(),
            Op::Sequence | Op::Commit | Op::Flush | Op::Reopen => unreachable!(),
        }
    }

    /// A row with a new key, or with this one.
    fn new_row(&mut self, key: Option<i64>) -> Vec<Datum> {
        self.next_id += 1;
        let n = self.next_id;
        let mut row = vec![Datum::Int64(key.unwrap_or(n))];
        for column in &self.def.columns[1..] {
            if !column.dropped {
                row.push(match column.ty {
                    _ if n % 5 == 0 => Datum::Null,
                    ColumnType::Text => Datum::Bytes(format!("text {}", n % 7).into_bytes()),
                    _ => Datum::Int32(n as i32),
                });
            }
        }
        if n % 11 == 0 && key.is_none() {
            row[0] = Datum::Null;
        }
        row
    }

    pub fn batch(&self, rows: &[Vec<Datum>]) -> RecordBatch {
        let kept = self.def.columns.iter().filter(|column| !column.dropped);
        let mut columns: Vec<ArrayRef> = Vec::new();
        let mut fields = Vec::new();
        for (i, column) in kept.enumerate() {
            let values: Vec<_> = rows
                .iter()
                .map(|row| row[i].to_array(&column.ty).unwrap())
                .collect();
            let values: Vec<_> = values.iter().map(|value| &**value).collect();
            columns.push(arrow_select::concat::concat(&values).unwrap());
            fields.push(Field::new(format!("c{i}"), column.ty.arrow(), true));
        }
        RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()
    }
}

pub type Rows = BTreeMap<RowId, Vec<Datum>>;

fn datums(batch: &RecordBatch, columns: usize, row: usize) -> Vec<Datum> {
    (0..columns)
        .map(|c| Datum::from_array(batch.column(c), row).unwrap())
        .collect()
}

fn number(batch: &RecordBatch, column: usize, row: usize) -> u64 {
    let numbers = batch.column(column).as_any();
    numbers.downcast_ref::<UInt64Array>().unwrap().value(row)
}

/// What a view sees of a table, dropped columns included where `def` says so.
pub fn scan_columns(view: &ReadView, def: &TableDef) -> Rows {
    let kept = def.columns.iter().zip(0..).filter(|(c, _)| !c.dropped);
    let request = ScanRequest {
        row_id: true,
        ..ScanRequest::columns(kept.map(|(_, i)| ColumnId(i)).collect())
    };
    let mut rows = Rows::new();
    for part in view.scan(Arc::new(def.clone()), request).unwrap() {
        for batch in part {
            let batch = batch.unwrap();
            let columns = batch.num_columns() - 1;
            for row in 0..batch.num_rows() {
                let id = RowId(number(&batch, columns, row));
                assert!(rows.insert(id, datums(&batch, columns, row)).is_none());
            }
        }
    }
    rows
}

/// A version of a row: `[begin, end)`, and its values.
#[derive(Clone, Debug, PartialEq)]
pub struct RowVersion {
    pub row: RowId,
    pub begin: Ts,
    pub end: Ts,
    pub values: Vec<Datum>,
}

/// All versions that a view gives, the current ones first.
pub fn row_versions(view: &ReadView, def: &Arc<TableDef>) -> Vec<RowVersion> {
    let mut all = Vec::new();
    for which in [RowVersions::Current, RowVersions::Superseded] {
        let mut last = None;
        for batch in view.row_versions(def, which).unwrap() {
            let batch = batch.unwrap();
            assert!((1..=8192).contains(&batch.num_rows()));
            let columns = def.columns.len();
            for row in 0..batch.num_rows() {
                let version = RowVersion {
                    row: RowId(number(&batch, columns, row)),
                    begin: Ts(number(&batch, columns + 1, row)),
                    end: match which {
                        RowVersions::Current | RowVersions::Removed => Ts::MAX,
                        RowVersions::Superseded => Ts(number(&batch, columns + 2, row)),
                    },
                    values: datums(&batch, columns, row),
                };
                assert!(version.begin < version.end);
                let place = (version.row, std::cmp::Reverse(version.begin));
                assert!(last.replace(place).is_none_or(|last| last < place));
                all.push(version);
            }
        }
    }
    all
}

/// The only table.
pub fn only_table(view: &ReadView) -> Arc<TableDef> {
    let tables = view.tables_ever().unwrap();
    assert_eq!(tables.len(), 1);
    assert!(tables[0].live);
    Arc::clone(&tables[0].def)
}

pub fn entries_at(versions: &[Version], at: Ts) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut seen = Vec::new();
    let mut decided: Option<&[u8]> = None;
    for version in versions {
        if version.begin <= at && decided != Some(&version.key) {
            decided = Some(&version.key);
            seen.extend(
                version
                    .value
                    .clone()
                    .map(|value| (version.key.clone(), value)),
            );
        }
    }
    seen
}

/// Hold all that `view` gives of the past against views AS OF then.
pub fn check(engine: &Engine, view: &ReadView, commits: &[Ts]) {
    let def = only_table(view);
    let versions = row_versions(view, &def);
    let commits: Vec<Ts> = commits
        .iter()
        .copied()
        .filter(|t| *t <= view.ts())
        .collect();
    for t in &commits {
        let there = |v: &&RowVersion| v.begin <= *t && *t < v.end;
        let found: Rows = versions
            .iter()
            .filter(there)
            .map(|v| (v.row, v.values.clone()))
            .collect();
        assert_eq!(
            found,
            scan_columns(&engine.view_at(*t).unwrap(), &def),
            "at {t}"
        );
        assert_eq!(found.len(), versions.iter().filter(there).count());
    }
    for collection in [STORE, BY_ID, BY_NAME] {
        let versions = view.versions(collection).unwrap();
        let versions = versions.collect::<Result<Vec<_>>>().unwrap();
        let order = |v: &Version| (v.key.clone(), std::cmp::Reverse(v.begin));
        assert!(versions.is_sorted_by(|a, b| order(a) < order(b)));
        assert!(versions.iter().all(|version| version.begin <= view.ts()));
        for t in &commits {
            let then = engine.view_at(*t).unwrap();
            let range = then.range(collection, Bound::Unbounded, Bound::Unbounded);
            let range = range.unwrap().collect::<Result<Vec<_>>>().unwrap();
            assert_eq!(entries_at(&versions, *t), range, "{collection} at {t}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn versions_say_what_reads_as_of_every_commit_say(ops in ops(80)) {
        let history = History::run(&ops);
        let engine = &history.db.engine;
        let commits = &history.commits;
        check(engine, &engine.latest_view(), commits);
        // Views in the past know what was superseded by then, and nothing of what came later.
        for t in commits.iter().step_by(4) {
            check(engine, &engine.view_at(*t).unwrap(), commits);
        }
    }
}

/// More rows than a batch may have, in blocks of their own and in a memtable, with a stretch that
/// was updated in between.
#[test]
fn long_runs_come_as_they_are_and_others_in_order() {
    let db = Database::with(Options::default());
    let rows: Vec<Row> = (0..30_000).map(|i| row(i, &format!("name {i}"))).collect();
    let ids = insert(&db.engine, &rows);
    db.engine.flush().unwrap();
    let inserted = db.engine.latest_view().ts();
    let mut txn = begin(&db.engine);
    let updated = &ids[9_000..11_000];
    for id in updated {
        txn.lock_row(TABLE, *id, RowLockMode::Update, LockWait::NoWait)
            .unwrap();
    }
    txn.update(&table(), updated, &batch(&rows[9_000..11_000]))
        .unwrap();
    let ts = txn.commit(Durability::Synchronous).unwrap();
    for flushed in [false, true] {
        if flushed {
            db.engine.flush().unwrap();
        }
        let versions = row_versions(&db.engine.latest_view(), &Arc::new(table()));
        assert_eq!(versions.len(), 32_000, "flushed: {flushed}");
        for (version, id) in versions.iter().zip(&ids) {
            let begin = if updated.contains(id) { ts } else { inserted };
            assert_eq!((version.row, version.begin), (*id, begin));
        }
        for (version, id) in versions[30_000..].iter().zip(updated) {
            assert_eq!(
                (version.row, version.begin, version.end),
                (*id, inserted, ts)
            );
        }
    }
}

#[test]
fn a_dropped_table_is_known_by_its_last_definition() {
    let db = Database::new();
    insert(&db.engine, &[row(1, "a")]);
    let mut def = table();
    def.columns[1].dropped = true;
    def.columns[0].compression = Some("zstd".into());
    def.indexes.truncate(1);
    let mut txn = begin(&db.engine);
    txn.define_table(&def).unwrap();
    let defined = txn.commit(Durability::Synchronous).unwrap();
    let mut txn = begin(&db.engine);
    txn.drop_collection(TABLE).unwrap();
    txn.commit(Durability::Synchronous).unwrap();
    db.engine.flush().unwrap();
    def.columns[1].dropped = false;
    for (view, live) in [
        (db.engine.latest_view(), false),
        (db.engine.view_at(defined).unwrap(), true),
    ] {
        let tables = view.tables_ever().unwrap();
        let def = Arc::new(def.clone());
        assert_eq!(tables, [EverTable { def, live }]);
    }
}

#[test]
fn counters_are_those_that_the_next_one_gets() {
    let db = Database::new();
    let view = db.engine.latest_view();
    assert_eq!(view.next_row(TABLE), RowId(1));
    let ids = insert(&db.engine, &[row(1, "a"), row(2, "b")]);
    assert_eq!(view.next_row(TABLE), RowId(ids[1].0 + 1));
    assert_eq!(
        db.engine.next_collection(),
        db.engine.allocate_collection_id()
    );
    assert_eq!(db.engine.sequences(), []);
    db.engine.sequence_set(SEQUENCE, 7, false).unwrap();
    assert_eq!(db.engine.sequences(), [(SEQUENCE, 7, false)]);
}
