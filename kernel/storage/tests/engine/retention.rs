//! How long the past of tables is kept: the database's time, and tables' own.

use heliosdb_storage::ids::{CollectionId, RowId, Ts};
use heliosdb_storage::schema::{Retention, TableDef};
use heliosdb_storage::*;

use super::changes::{entries_between, rows_between};
use super::support::*;

/// A store that has no retention of its own.
const STORE: CollectionId = CollectionId(2500);

fn database(retention_micros: Option<u64>) -> Database {
    Database::with(Options {
        retention_micros,
        ..small()
    })
}

fn keep(engine: &Engine, retention: Option<Retention>) {
    let mut txn = begin(engine);
    let def = TableDef {
        retention,
        ..table()
    };
    txn.define_table(&def).unwrap();
    txn.commit(Durability::Synchronous).unwrap();
}

/// Another value in the store, and another name in the table.
fn change(engine: &Engine, ids: &[RowId], value: &str) -> Ts {
    let mut txn = begin(engine);
    txn.put(STORE, b"k", value.as_bytes()).unwrap();
    txn.update(&table(), ids, &batch(&[row(1, value)])).unwrap();
    txn.commit(Durability::Synchronous).unwrap()
}

fn compact(engine: &Engine) {
    engine.compact_all(&Interrupt::new()).unwrap();
}

fn in_store(engine: &Engine, ts: Ts) -> Result<String> {
    let value = engine.view_at(ts)?.get(STORE, b"k")?;
    Ok(String::from_utf8(value.unwrap()).unwrap())
}

/// Through a scan, a lookup by RowId and both indexes, which must agree.
fn in_table(engine: &Engine, ids: &[RowId], ts: Ts) -> Result<String> {
    let view = engine.view_at(ts)?;
    let columns = [0, 1].map(ids::ColumnId);
    let scanned = view.scan(table().into(), ScanRequest::columns(columns.to_vec()));
    let one = view.rows(&table(), ids, &columns, true);
    let by_id = view.index_rows(
        &table(),
        &table().indexes[0],
        &IndexRange::equal(vec![datum::Datum::Int64(1)]),
    );
    let by_name = view.index_rows(&table(), &table().indexes[1], &IndexRange::all());
    let outcomes = [
        scanned.as_ref().err(),
        one.as_ref().err(),
        by_id.as_ref().err(),
        by_name.as_ref().err(),
    ];
    let refused = outcomes.iter().filter(|outcome| outcome.is_some()).count();
    assert!(refused == 0 || refused == 4, "{outcomes:?}");
    scanned?;
    assert_eq!((by_id?, by_name?), (ids.to_vec(), ids.to_vec()));
    Ok(unbatch(&one?)[0].1.1.clone())
}

/// The time that a refusal names.
fn oldest<T: std::fmt::Debug>(outcome: Result<T>) -> Ts {
    match outcome {
        Err(Error::SnapshotTooOld { oldest, .. }) => oldest,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_table_remembers_for_longer_than_the_database() {
    let db = database(Some(0));
    keep(&db.engine, Some(Retention::Forever));
    let ids = insert(&db.engine, &[row(1, "one")]);
    let first = change(&db.engine, &ids, "two");
    change(&db.engine, &ids, "three");
    compact(&db.engine);
    let check = |engine: &Engine| {
        assert_eq!(in_table(engine, &ids, first).unwrap(), "two");
        assert_eq!(oldest(in_store(engine, first)), engine.oldest_ts());
        assert!(engine.oldest_ts() > first);
        let until = engine.latest_view().ts();
        let changes = rows_between(engine, first, until, Changes::Every).unwrap();
        assert_eq!(changes.len(), 2);
        let refused = entries_between(engine, STORE, first, until, Changes::Net);
        assert_eq!(oldest(refused), engine.oldest_ts());
    };
    check(&db.engine);
    let db = db.reopen();
    check(&db.engine);
    // Like the others again: what they have forgotten goes with the next merge, and the definitions of then.
    keep(&db.engine, None);
    change(&db.engine, &ids, "four");
    compact(&db.engine);
    assert_eq!(
        oldest(in_table(&db.engine, &ids, first)),
        db.engine.oldest_ts()
    );
    assert_eq!(oldest(db.engine.view_at(first)), db.engine.oldest_ts());
    db.check();
}

#[test]
fn a_table_forgets_before_the_database_does() {
    let db = database(None);
    keep(&db.engine, Some(Retention::Micros(0)));
    let ids = insert(&db.engine, &[row(1, "one")]);
    let first = change(&db.engine, &ids, "two");
    let second = change(&db.engine, &ids, "three");
    compact(&db.engine);
    let check = |engine: &Engine| {
        assert_eq!(in_store(engine, first).unwrap(), "two");
        let from = oldest(in_table(engine, &ids, first));
        assert!(first < from && from <= second, "{from}");
        assert_eq!(engine.oldest_ts(), Ts::ZERO);
        assert_eq!(in_table(engine, &ids, second).unwrap(), "three");
        let until = engine.latest_view().ts();
        let refused = rows_between(engine, first, until, Changes::Net);
        assert_eq!(oldest(refused), from);
        let refused = entries_between(engine, BY_NAME, first, until, Changes::Net);
        assert_eq!(oldest(refused), from);
        assert!(entries_between(engine, STORE, first, until, Changes::Net).is_ok());
    };
    check(&db.engine);
    let db = db.reopen();
    check(&db.engine);
    // What is gone does not come back; what comes from now on stays.
    keep(&db.engine, Some(Retention::Forever));
    change(&db.engine, &ids, "four");
    compact(&db.engine);
    check(&db.engine);
    db.check();
}

/// Snapshots and pins hold every table, whatever its own retention.
#[test]
fn a_pin_holds_a_table_that_forgets() {
    let db = database(None);
    keep(&db.engine, Some(Retention::Micros(0)));
    let ids = insert(&db.engine, &[row(1, "one")]);
    let first = change(&db.engine, &ids, "two");
    let mut txn = begin(&db.engine);
    txn.create_pin(NamedPin {
        name: "p".to_owned(),
        kind: PinKind::Point,
        ts: first,
        created_micros: 0,
        owner: String::new(),
        reason: String::new(),
    })
    .unwrap();
    txn.commit(Durability::Synchronous).unwrap();
    change(&db.engine, &ids, "three");
    compact(&db.engine);
    assert_eq!(in_table(&db.engine, &ids, first).unwrap(), "two");
    db.check();
}

/// A dropped table is remembered for as long as it was to be when it was there, and then nothing is left.
#[test]
fn a_dropped_table_keeps_its_time() {
    let db = database(Some(0));
    keep(&db.engine, Some(Retention::Forever));
    let ids = insert(&db.engine, &[row(1, "one")]);
    let first = change(&db.engine, &ids, "two");
    let mut txn = begin(&db.engine);
    txn.drop_collection(TABLE).unwrap();
    txn.commit(Durability::Synchronous).unwrap();
    let other = |value: &[u8]| {
        let mut txn = begin(&db.engine);
        txn.put(STORE, b"k", value).unwrap();
        txn.commit(Durability::Synchronous).unwrap();
    };
    other(b"other");
    compact(&db.engine);
    assert_eq!(in_table(&db.engine, &ids, first).unwrap(), "two");
    // Made again and dropped again, this time like the others.
    keep(&db.engine, None);
    let mut txn = begin(&db.engine);
    txn.drop_collection(TABLE).unwrap();
    txn.commit(Durability::Synchronous).unwrap();
    other(b"another");
    compact(&db.engine);
    compact(&db.engine);
    assert!(db.engine.column_pages().is_empty());
    assert_eq!(
        oldest(in_table(&db.engine, &ids, first)),
        db.engine.oldest_ts()
    );
    db.check();
}

/// Merging what has a dropped column is no loss once that is gone.
#[test]
fn history_goes_on_when_a_merge_loses_nothing() {
    let db = database(Some(0));
    insert(&db.engine, &[row(1, "a"), row(2, "b")]);
    db.engine.flush().unwrap();
    let mut narrower = table();
    narrower.columns[1].dropped = true;
    narrower.indexes.truncate(1);
    let mut txn = begin(&db.engine);
    txn.define_table(&narrower).unwrap();
    txn.commit(Durability::Synchronous).unwrap();
    let mut txn = begin(&db.engine);
    txn.put(STORE, b"k", b"v").unwrap();
    txn.commit(Durability::Synchronous).unwrap();
    compact(&db.engine);
    let lost = db.engine.oldest_ts();
    assert!(lost > Ts::ZERO);
    for id in 3..6 {
        let mut txn = begin(&db.engine);
        let rows = batch(&[row(id, "c")]).project(&[0]).unwrap();
        txn.insert(&narrower, &rows).unwrap();
        txn.commit(Durability::Synchronous).unwrap();
        compact(&db.engine);
        assert_eq!(db.engine.oldest_ts(), lost);
    }
    db.check();
}
