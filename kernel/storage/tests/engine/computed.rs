//! Indexes on expressions and on a part of a table, held against all rows at all times.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use heliosdb_storage::catalog::CATALOG;
use heliosdb_storage::datum::Datum;
use heliosdb_storage::ids::{CollectionId, ColumnId, RowId, Ts};
use heliosdb_storage::schema::{ColumnType, ComputedColumn, IndexDef, KeyColumn, TableDef};
use heliosdb_storage::*;
use proptest::prelude::*;

use super::support::*;

const BY_DIGIT: CollectionId = CollectionId(2003);
const LARGE_IDS: CollectionId = CollectionId(2004);
const BY_SHARE: CollectionId = CollectionId(2005);

/// Beside the two usual columns the last digit of the first, whether it is large, and its share.
fn columns() -> Vec<ComputedColumn> {
    let computed = |ty, expression: &str| ComputedColumn {
        ty,
        condition: None,
        inputs: vec![ColumnId(0)],
        expression: expression.into(),
    };
    vec![
        computed(ColumnType::Int64, LAST_DIGIT),
        computed(ColumnType::Bool, LARGE),
        computed(ColumnType::Int64, SHARE),
    ]
}

fn index(id: CollectionId, column: ColumnId, unique: bool, partial: bool) -> IndexDef {
    IndexDef {
        id,
        columns: vec![KeyColumn {
            column,
            descending: false,
            nulls_first: false,
        }],
        unique,
        predicate: partial.then(|| ColumnId::computed(1)),
    }
}

/// By the last digit; large ones, whose names are unique.
fn def() -> TableDef {
    TableDef {
        computed: columns(),
        indexes: vec![
            index(BY_DIGIT, ColumnId::computed(0), false, false),
            index(LARGE_IDS, ColumnId(1), true, true),
        ],
        ..table()
    }
}

fn create() -> Database {
    let db = Database::new();
    let mut txn = begin(&db.engine);
    txn.define_table(&def()).unwrap();
    txn.commit(Durability::Synchronous).unwrap();
    db
}

fn named(view: &ReadView, place: usize, key: Datum) -> BTreeSet<RowId> {
    let def = def();
    let range = IndexRange::equal(vec![key]);
    let rows = view.index_rows(&def, &def.indexes[place], &range).unwrap();
    rows.into_iter().collect()
}

/// Both indexes say of every key what the rows say.
fn indexes_are_right(view: &ReadView) {
    let rows = scan(view);
    for digit in 0..10 {
        let expected = rows
            .iter()
            .filter(|(_, (n, _))| n.map(|n| n % 10) == Some(digit));
        let expected: BTreeSet<RowId> = expected.map(|(id, _)| *id).collect();
        assert_eq!(named(view, 0, Datum::Int64(digit)), expected);
    }
    let nulls = rows.iter().filter(|(_, (n, _))| n.is_none());
    let nulls: BTreeSet<RowId> = nulls.map(|(id, _)| *id).collect();
    assert_eq!(named(view, 0, Datum::Null), nulls);
    let names: BTreeSet<&str> = rows.iter().map(|(_, (_, name))| name.as_str()).collect();
    for name in names {
        let large = |n: &Option<i64>| n.is_some_and(|n| n > 50);
        let expected = rows.iter().filter(|(_, (n, own))| own == name && large(n));
        let expected: BTreeSet<RowId> = expected.map(|(id, _)| *id).collect();
        assert!(expected.len() < 2);
        assert_eq!(named(view, 1, Datum::Bytes(name.into())), expected);
    }
}

#[derive(Clone, Debug)]
enum Op {
    Insert(Option<i64>, u8),
    Update(usize, Option<i64>, u8),
    Delete(usize),
    Commit,
    Rollback,
    Flush,
    Compact,
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let number = || proptest::option::weighted(0.9, 0..100i64);
    let op = prop_oneof![
        6 => (number(), 0..6u8).prop_map(|(n, name)| Op::Insert(n, name)),
        6 => (any::<usize>(), number(), 0..6u8).prop_map(|(i, n, name)| Op::Update(i, n, name)),
        3 => any::<usize>().prop_map(Op::Delete),
        4 => Just(Op::Commit),
        1 => Just(Op::Rollback),
        1 => Just(Op::Flush),
        1 => Just(Op::Compact),
    ];
    proptest::collection::vec(op, 1..80)
}

/// Write unless another large number has the name.
fn write(txn: &mut Transaction, write: impl FnOnce(&mut Transaction) -> Result<()>) {
    let savepoint = txn.savepoint();
    let before = scan(&txn.latest_view());
    match write(txn) {
        Ok(()) => {}
        Err(Error::UniqueViolation { index, key, .. }) => {
            assert_eq!(index, LARGE_IDS);
            let [Datum::Bytes(name)] = key.as_slice() else {
                panic!("{key:?}")
            };
            let taken =
                |(_, (n, own)): &(RowId, Row)| own.as_bytes() == name && n.is_some_and(|n| n > 50);
            assert!(before.iter().any(taken));
            txn.rollback_to(savepoint);
        }
        Err(error) => panic!("{error}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn entries_follow_their_rows(ops in ops()) {
        let db = create();
        let def = def();
        let mut times = Vec::new();
        let mut txn = begin(&db.engine);
        for op in ops {
            let rows = scan(&txn.latest_view());
            let pick = |i: usize| rows.get(i % rows.len().max(1)).map(|(id, _)| *id);
            let new = |n, name| batch(&[(n, format!("name {name}"))]);
            match op {
                Op::Insert(n, name) => write(&mut txn, |txn| {
                    txn.insert(&def, &new(n, name)).map(drop)
                }),
                Op::Update(i, n, name) => if let Some(id) = pick(i) {
                    write(&mut txn, |txn| txn.update(&def, &[id], &new(n, name)))
                },
                Op::Delete(i) => if let Some(id) = pick(i) {
                    write(&mut txn, |txn| txn.delete(&def, &[id]))
                },
                Op::Commit => {
                    indexes_are_right(&txn.latest_view());
                    let txn = std::mem::replace(&mut txn, begin(&db.engine));
                    times.push(txn.commit(Durability::Asynchronous).unwrap());
                }
                Op::Rollback => txn = begin(&db.engine),
                Op::Flush => db.engine.flush().unwrap(),
                Op::Compact => drop(db.engine.compact_all(&Interrupt::new()).unwrap()),
            }
        }
        drop(txn);
        let db = db.reopen();
        let copy = super::load::copy(&db.engine, super::load::WHOLE, false);
        for engine in [&db.engine, &copy.engine] {
            for ts in &times {
                indexes_are_right(&engine.view_at(*ts).unwrap());
            }
            indexes_are_right(&engine.latest_view());
        }
        copy.check();
        db.check();
    }
}

#[test]
fn a_computed_column_reads_like_any_other() {
    let db = create();
    let mut txn = begin(&db.engine);
    let rows = [row(61, "a"), row(7, "b"), (None, "c".into())];
    let ids = txn.insert(&def(), &batch(&rows)).unwrap();
    txn.commit(Durability::Synchronous).unwrap();
    let digits = |batch: &arrow_array::RecordBatch, column: usize| -> Vec<Option<i64>> {
        batch
            .column(column)
            .as_primitive::<Int64Type>()
            .iter()
            .collect()
    };
    let asked = vec![ColumnId::computed(0), ColumnId(1), ColumnId::computed(1)];
    for flushed in [false, true] {
        if flushed {
            db.engine.flush().unwrap();
        }
        let view = db.engine.latest_view();
        let request = ScanRequest {
            row_id: true,
            ..ScanRequest::columns(asked.clone())
        };
        let scans = view.scan(Arc::new(def()), request).unwrap();
        let batches: Vec<_> = scans.into_iter().flatten().map(Result::unwrap).collect();
        assert_eq!(batches.len(), 1);
        assert_eq!(digits(&batches[0], 0), [Some(1), Some(7), None]);
        let large: Vec<_> = batches[0].column(2).as_boolean().iter().collect();
        assert_eq!(large, [Some(true), Some(false), None]);
        assert_eq!(batches[0].num_columns(), 4);
        let picked = view.rows(&def(), &[ids[1], ids[0]], &asked, false).unwrap();
        assert_eq!(digits(&picked, 0), [Some(7), Some(1)]);
        let twice = [ColumnId(0), ColumnId::computed(0), ColumnId(0)];
        let picked = view.rows(&def(), &ids[..1], &twice, true).unwrap();
        assert_eq!(
            (digits(&picked, 0), digits(&picked, 1)),
            (vec![Some(61)], vec![Some(1)])
        );
        assert_eq!(digits(&picked, 2), [Some(61)]);
    }
    let missing = vec![ColumnId::computed(9)];
    assert!(
        db.engine
            .latest_view()
            .scan(Arc::new(def()), ScanRequest::columns(missing))
            .is_err()
    );
}

/// A row for which there is no value is refused, an index that meets one is not made, and one that was
/// made when the row had gone is made again in a copy.
#[test]
fn an_expression_without_a_value_is_told() {
    let db = create();
    let by_share = index(BY_SHARE, ColumnId::computed(2), false, false);
    let zero = insert_into(&db.engine, &def(), &[row(0, "zero"), row(5, "five")]).unwrap();
    let shared = TableDef {
        indexes: vec![by_share.clone()],
        ..def()
    };
    let build = || {
        let mut txn = begin(&db.engine);
        txn.define_table(&shared).unwrap();
        txn.build_index(&shared, &by_share)?;
        txn.commit(Durability::Synchronous)
    };
    let divided = |error: Error| match error {
        Error::Expression { sqlstate, message } => {
            assert_eq!(
                (&sqlstate, message.as_str()),
                (b"22012", "division by zero")
            );
        }
        other => panic!("{other}"),
    };
    divided(build().unwrap_err());
    let mut txn = begin(&db.engine);
    txn.delete(&def(), &zero[..1]).unwrap();
    txn.commit(Durability::Synchronous).unwrap();
    let made: Ts = build().unwrap();
    divided(insert_into(&db.engine, &shared, &[row(0, "again")]).unwrap_err());
    let mut txn = begin(&db.engine);
    let five = &zero[1..];
    divided(
        txn.update(&shared, five, &batch(&[row(0, "now")]))
            .unwrap_err(),
    );
    drop(txn);
    let mut txn = begin(&db.engine);
    txn.update(&shared, five, &batch(&[row(10, "ten")]))
        .unwrap();
    txn.commit(Durability::Synchronous).unwrap();
    let copy = super::load::copy(&db.engine, super::load::WHOLE, false);
    for engine in [&db.engine, &copy.engine] {
        let rows = |view: ReadView, share| {
            let range = IndexRange::equal(vec![Datum::Int64(share)]);
            view.index_rows(&shared, &by_share, &range).unwrap()
        };
        assert_eq!(rows(engine.view_at(made).unwrap(), 200), five);
        assert_eq!(rows(engine.latest_view(), 200), []);
        assert_eq!(rows(engine.latest_view(), 100), five);
    }
    let defined = db.engine.latest_view().get(CATALOG, &TABLE.0.to_be_bytes());
    assert!(defined.unwrap().is_some());
    copy.check();
}

/// Nothing is evaluated for rows that the index leaves out.
#[test]
fn a_condition_comes_before_the_expression() {
    let db = create();
    let mut of_large = TableDef {
        indexes: vec![index(BY_SHARE, ColumnId::computed(2), false, true)],
        ..def()
    };
    of_large.computed[2].condition = Some(ColumnId::computed(1));
    let mut txn = begin(&db.engine);
    txn.define_table(&of_large).unwrap();
    txn.commit(Durability::Synchronous).unwrap();
    let rows = [
        row(0, "a"),
        row(100, "b"),
        (None, "c".into()),
        row(0, "d"),
        row(200, "e"),
    ];
    let ids = insert_into(&db.engine, &of_large, &rows).unwrap();
    let mut txn = begin(&db.engine);
    txn.update(&of_large, &ids[1..2], &batch(&[row(0, "b")]))
        .unwrap();
    txn.update(&of_large, &ids[..1], &batch(&[row(500, "a")]))
        .unwrap();
    txn.commit(Durability::Synchronous).unwrap();
    let entries = |view: &ReadView, share| {
        let range = IndexRange::equal(vec![share]);
        view.index_rows(&of_large, &of_large.indexes[0], &range)
            .unwrap()
    };
    let copy = super::load::copy(&db.engine, super::load::WHOLE, false);
    for engine in [&db.engine, &copy.engine] {
        let view = engine.latest_view();
        assert_eq!(entries(&view, Datum::Int64(2)), &ids[..1]);
        assert_eq!(entries(&view, Datum::Int64(5)), &ids[4..]);
        assert_eq!(entries(&view, Datum::Int64(10)), []);
        assert_eq!(entries(&view, Datum::Null), []);
        let request = ScanRequest::columns(vec![ColumnId::computed(2)]);
        let scans = view.scan(Arc::new(of_large.clone()), request).unwrap();
        let batch = scans.into_iter().flatten().next().unwrap().unwrap();
        let shares: Vec<_> = batch.column(0).as_primitive::<Int64Type>().iter().collect();
        assert_eq!(shares, [Some(2), None, None, None, Some(5)]);
    }
    copy.check();
    db.check();
}

fn insert_into(engine: &Engine, def: &TableDef, rows: &[Row]) -> Result<Vec<RowId>> {
    let mut txn = begin(engine);
    let ids = txn.insert(def, &batch(rows))?;
    txn.commit(Durability::Synchronous)?;
    Ok(ids)
}
