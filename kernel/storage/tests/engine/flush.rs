//! Data in segments, in memory and in both.

use std::ops::Bound;
use std::sync::Arc;

use heliosdb_storage::datum::Datum;
use heliosdb_storage::ids::{ColumnId, RowId};
use heliosdb_storage::segment::ColumnRange;
use heliosdb_storage::*;

use super::support::*;

/// One segment of several blocks, and a condition that rules half of them out.
#[test]
fn partitions_share_blocks_evenly() {
    let db = Database::new();
    let rows: Vec<Row> = (0..20_000).map(|id| row(id, "a")).collect();
    insert(&db.engine, &rows);
    db.engine.flush().unwrap();
    let counts = |lower: i64| -> Vec<usize> {
        let request = ScanRequest {
            partitions: 2,
            ranges: vec![ColumnRange::between(
                ColumnId(0),
                Bound::Included(Datum::Int64(lower)),
                Bound::Unbounded,
            )],
            ..ScanRequest::columns(vec![ColumnId(0)])
        };
        let scans = db.engine.latest_view().scan(Arc::new(table()), request);
        let rows = |scan: TableScan| scan.map(|batch| batch.unwrap().num_rows()).sum();
        scans.unwrap().into_iter().map(rows).collect()
    };
    for lower in [0, 10_000] {
        let counts = counts(lower);
        assert_eq!(counts.iter().sum::<usize>(), 20_000 - lower as usize);
        let (least, most) = (counts.iter().min(), counts.iter().max());
        assert!(
            counts.len() == 2 && least.unwrap() * 2 > *most.unwrap(),
            "{counts:?}"
        );
    }
}

#[test]
fn a_flush_changes_nothing_that_can_be_seen() {
    let mut db = Database::new();
    let ids = insert(
        &db.engine,
        &[row(1, "a"), row(2, "b"), row(3, "c"), (None, "a".into())],
    );
    let first = db.engine.latest_view().ts();
    db.engine.flush().unwrap();
    let mut txn = begin(&db.engine);
    txn.update(&table(), &ids[..1], &batch(&[row(10, "a")]))
        .unwrap();
    txn.delete(&table(), &ids[1..2]).unwrap();
    txn.commit(Durability::Synchronous).unwrap();
    let expected = vec![
        (ids[0], row(10, "a")),
        (ids[2], row(3, "c")),
        (ids[3], (None, "a".to_owned())),
    ];
    for round in 0..4 {
        let view = db.engine.latest_view();
        assert_eq!(scan(&view), expected, "round {round}");
        assert_eq!(by_id(&view, 1), vec![]);
        assert_eq!(by_id(&view, 10), vec![ids[0]]);
        assert_eq!(by_name(&view, "a"), vec![ids[0], ids[3]]);
        assert_eq!(by_name(&view, "b"), vec![]);
        assert_eq!(view.row_count_estimate(TABLE), 3);
        let columns = [ColumnId(0), ColumnId(1)];
        let rows = view.rows(&table(), &ids, &columns, true).unwrap();
        assert_eq!(unbatch(&rows), expected);
        let past = db.engine.view_at(first).unwrap();
        assert_eq!(scan(&past).len(), 4);
        assert_eq!(by_id(&past, 1), vec![ids[0]]);
        assert_eq!(by_name(&past, "b"), vec![ids[1]]);
        // A transaction sees its own writes over all of it.
        let mut txn = begin(&db.engine);
        txn.delete(&table(), &ids[2..3]).unwrap();
        assert_eq!(scan(&txn.read_view()).len(), 2);
        drop(txn);
        match round {
            0 => db.engine.flush().unwrap(),
            1 => db = db.reopen(),
            _ => db.engine.flush().unwrap(),
        }
    }
    assert_eq!(
        db.engine.stats().segments,
        2,
        "a flush of nothing makes no file"
    );
    let error = begin(&db.engine)
        .insert(&table(), &batch(&[row(3, "again")]))
        .unwrap_err();
    assert!(matches!(error, Error::UniqueViolation { .. }));
    assert!(insert(&db.engine, &[row(4, "d")])[0] > ids[3]);
}

#[test]
fn memtables_flush_by_themselves_and_old_wal_files_go() {
    let options = Options {
        memtable_bytes_max: 200 << 10,
        ..small()
    };
    let db = Database::with(options);
    let name = "n".repeat(200);
    for round in 0..40 {
        let rows: Vec<Row> = (0..100).map(|i| row(round * 100 + i, &name)).collect();
        insert(&db.engine, &rows);
    }
    db.engine.flush().unwrap();
    let stats = db.engine.stats();
    assert!(stats.flushes >= 3, "{stats:?}");
    assert!(stats.wal_files <= 3, "{stats:?}");
    assert!(stats.memtable_bytes < 200 << 10, "{stats:?}");
    let db = db.reopen();
    let rows = scan(&db.engine.latest_view());
    assert_eq!(rows.len(), 4000);
    assert_eq!(db.engine.latest_view().row_count_estimate(TABLE), 4000);
    assert_eq!(by_id(&db.engine.latest_view(), 1234), vec![rows[1234].0]);
    for partitions in [1, 2, 3, 8, 100] {
        for batch_rows in [1000, 7] {
            let view = db.engine.latest_view();
            assert_eq!(
                scan_with(&view, partitions, batch_rows),
                rows,
                "{partitions}"
            );
        }
    }
    // Zone maps leave most blocks out, and never a row that is asked for.
    let request = ScanRequest {
        row_id: true,
        ranges: vec![ColumnRange::between(
            ColumnId(0),
            Bound::Included(Datum::Int64(1000)),
            Bound::Included(Datum::Int64(1010)),
        )],
        ..ScanRequest::columns(vec![ColumnId(0), ColumnId(1)])
    };
    let view = db.engine.latest_view();
    let mut found = Vec::new();
    for part in view.scan(Arc::new(table()), request).unwrap() {
        part.for_each(|batch| found.extend(unbatch(&batch.unwrap())));
    }
    assert!(found.len() < 4000);
    assert!((1000..=1010).all(|id| found.iter().any(|(_, (found, _))| *found == Some(id))));
}

#[test]
fn a_view_outlives_the_flush_of_what_it_reads() {
    let db = Database::new();
    let ids = insert(&db.engine, &[row(1, "a"), row(2, "b")]);
    let view = db.engine.latest_view();
    let mut parts = view
        .scan(Arc::new(table()), ScanRequest::columns(vec![ColumnId(0)]))
        .unwrap();
    let mut txn = begin(&db.engine);
    txn.delete(&table(), &ids).unwrap();
    txn.commit(Durability::Synchronous).unwrap();
    db.engine.flush().unwrap();
    assert_eq!(parts.remove(0).next().unwrap().unwrap().num_rows(), 2);
    assert_eq!(scan(&view).len(), 2);
    assert_eq!(scan(&db.engine.latest_view()).len(), 0);
    let engine = db.engine;
    drop(engine);
    assert_eq!(scan(&view).len(), 2, "and the database");
}

#[test]
fn a_limit_stops_the_scan() {
    let db = Database::new();
    let rows: Vec<Row> = (0..100).map(|i| row(i, "x")).collect();
    insert(&db.engine, &rows);
    for _ in 0..2 {
        let request = ScanRequest {
            limit: Some(10),
            ..ScanRequest::columns(vec![ColumnId(0)])
        };
        let parts = db
            .engine
            .latest_view()
            .scan(Arc::new(table()), request)
            .unwrap();
        let n: usize = parts
            .into_iter()
            .flatten()
            .map(|batch| batch.unwrap().num_rows())
            .sum();
        assert_eq!(n, 10);
        db.engine.flush().unwrap();
    }
}

#[test]
fn a_column_added_and_one_dropped_read_right_on_both_sides_of_a_flush() {
    use schema::{ColumnDef, ColumnType};
    let db = Database::new();
    let ids = insert(&db.engine, &[row(1, "a")]);
    db.engine.flush().unwrap();
    insert(&db.engine, &[row(2, "b")]);
    let before = db.engine.latest_view().ts();
    let mut wider = table();
    wider.columns.push(ColumnDef {
        missing: Some(Arc::from(Datum::Int32(7).encode())),
        ..ColumnDef::new(ColumnType::Int32)
    });
    wider.columns[1].dropped = true;
    wider.indexes.truncate(1);
    let mut txn = begin(&db.engine);
    txn.define_table(&wider).unwrap();
    txn.commit(Durability::Synchronous).unwrap();
    for _ in 0..2 {
        let view = db.engine.latest_view();
        let request = ScanRequest::columns(vec![ColumnId(1), ColumnId(2)]);
        let mut rows = 0;
        for part in view.scan(Arc::new(wider.clone()), request).unwrap() {
            for batch in part {
                let batch = batch.unwrap();
                for i in 0..batch.num_rows() {
                    assert_eq!(Datum::from_array(batch.column(0), i).unwrap(), Datum::Null);
                    assert_eq!(
                        Datum::from_array(batch.column(1), i).unwrap(),
                        Datum::Int32(7)
                    );
                    rows += 1;
                }
            }
        }
        assert_eq!(rows, 2);
        let one = view
            .rows(&wider, &[RowId(ids[0].0)], &[ColumnId(2)], false)
            .unwrap();
        assert_eq!(
            Datum::from_array(one.column(0), 0).unwrap(),
            Datum::Int32(7)
        );
        // AS OF before the change the dropped column is still there.
        assert_eq!(scan(&db.engine.view_at(before).unwrap()).len(), 2);
        assert_eq!(scan(&db.engine.view_at(before).unwrap())[1].1, row(2, "b"));
        db.engine.flush().unwrap();
    }
}

/// The rows have a column that no committed definition has; a flush must not stumble over them.
#[test]
fn a_table_altered_filled_and_dropped_in_one_transaction_leaves_nothing_to_flush() {
    use schema::{ColumnDef, ColumnType};
    let db = Database::new();
    insert(&db.engine, &[row(1, "a")]);
    let before = db.engine.latest_view();
    let mut wider = table();
    wider.columns.push(ColumnDef::new(ColumnType::Int32));
    let mut txn = begin(&db.engine);
    txn.define_table(&wider).unwrap();
    let narrow = batch(&[row(2, "b")]);
    let mut fields = narrow.schema().fields().to_vec();
    fields.push(Arc::new(arrow_schema::Field::new(
        "c2",
        ColumnType::Int32.arrow(),
        true,
    )));
    let mut columns = narrow.columns().to_vec();
    columns.push(Datum::Int32(7).to_array(&ColumnType::Int32).unwrap());
    let schema = Arc::new(arrow_schema::Schema::new(fields));
    let wide = arrow_array::RecordBatch::try_new(schema, columns).unwrap();
    txn.insert(&wider, &wide).unwrap();
    txn.drop_collection(TABLE).unwrap();
    txn.commit(Durability::Synchronous).unwrap();
    db.engine.flush().unwrap();
    assert_eq!(
        scan(&before),
        scan(&db.engine.view_at(before.ts()).unwrap())
    );
}
