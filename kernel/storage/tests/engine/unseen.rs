//! Versions by name and rows that an index has not seen: together they are what a scan reads.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow_array::Array;
use arrow_array::cast::AsArray;
use arrow_array::types::UInt64Type;
use heliosdb_storage::ids::{ColumnId, RowId, TimelineId, Ts};
use heliosdb_storage::*;

use super::support::*;

/// All versions that a view knows of, superseded ones among them, without own writes.
fn versions(view: &ReadView) -> Vec<(RowId, Ts)> {
    let mut all = Vec::new();
    for which in [RowVersions::Current, RowVersions::Superseded] {
        for batch in view.row_versions(&Arc::new(table()), which).unwrap() {
            let batch = batch.unwrap();
            let numbers = |at: usize| batch.column(at).as_primitive::<UInt64Type>().values();
            let named = numbers(2).iter().zip(numbers(3).iter());
            all.extend(named.map(|(row, begin)| (RowId(*row), Ts(*begin))));
        }
    }
    all
}

/// What an index that has seen all up to `since` finds, and what it adds, is what a scan finds.
fn check(view: &ReadView, since: Ts) {
    let expected = scan(view);
    let mut found = Vec::new();
    let columns = [ColumnId(0), ColumnId(1)];
    for batch in view
        .rows_since(&Arc::new(table()), since, &columns)
        .unwrap()
    {
        let batch = batch.unwrap();
        let begins = batch.column(3).as_primitive::<UInt64Type>();
        let new = |place| begins.is_null(place) || Ts(begins.value(place)) > since;
        assert!((0..batch.num_rows()).all(new));
        found.extend(unbatch(&batch));
    }
    assert!(found.is_sorted_by_key(|(row, _)| *row));
    let indexed: Vec<(RowId, Ts)> = versions(view)
        .into_iter()
        .filter(|(_, begin)| *begin <= since)
        .collect();
    let sees = view.sees(&table(), &indexed).unwrap();
    let hits = indexed.iter().zip(sees).filter(|(_, sees)| *sees);
    let hits: Vec<RowId> = hits.map(|((row, _), _)| *row).collect();
    let rows = view.rows(&table(), &hits, &columns, true).unwrap();
    found.extend(unbatch(&rows));
    found.sort();
    assert_eq!(found, expected, "since {since}");
}

struct Rng(u64);

impl Rng {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1);
        (self.0 >> 33) as usize % n
    }
}

fn write(txn: &mut Transaction, rng: &mut Rng, next: &mut i64) {
    let rows = scan(&txn.latest_view());
    for _ in 0..rng.below(20) {
        *next += 1;
        txn.insert(&table(), &batch(&[row(*next, "new")])).unwrap();
    }
    let some: BTreeSet<usize> = (0..6.min(rows.len()))
        .map(|_| rng.below(rows.len()))
        .collect();
    for (place, at) in some.into_iter().enumerate() {
        let (id, (key, name)) = &rows[at];
        match place % 3 {
            0 => txn.delete(&table(), &[*id]).unwrap(),
            _ => txn
                .update(&table(), &[*id], &batch(&[(*key, format!("{name}+"))]))
                .unwrap(),
        }
    }
}

/// In memory, in files and merged; now, in the past and on branches; with own writes in memory and in
/// runs, and fallen back from.
#[test]
fn what_is_seen_by_name_and_what_is_unseen_is_what_a_scan_reads() {
    let db = Database::with(Options {
        transaction_bytes_max: 4 << 10,
        retention_micros: None,
        ..small()
    });
    let engine = &db.engine;
    let (mut rng, mut next) = (Rng(11), 0);
    let (mut times, mut branches) = (Vec::new(), BTreeMap::<TimelineId, Ts>::new());
    for round in 0..60 {
        let on = match branches.len() > 1 && round % 3 == 0 {
            true => *branches.keys().nth(rng.below(branches.len())).unwrap(),
            false => engine.main_timeline(),
        };
        let begin = || engine.begin_on(on, Isolation::ReadCommitted, Interrupt::new());
        let mut txn = begin().unwrap();
        txn.begin_statement();
        write(&mut txn, &mut rng, &mut next);
        times.push(txn.commit(Durability::Asynchronous).unwrap());
        match round % 12 {
            4 => engine.flush().unwrap(),
            7 => {
                let at = times[rng.below(times.len())];
                let name = format!("branch {round}");
                let id = engine.create_timeline(&name, engine.main_timeline(), at);
                branches.insert(id.unwrap(), at);
            }
            9 => drop(engine.compact_all(&Interrupt::new()).unwrap()),
            _ => {}
        }
        let since = [Ts::ZERO, times[rng.below(times.len())], Ts::MAX][rng.below(3)];
        let at = times[rng.below(times.len())];
        check(&engine.latest_view_on(on).unwrap(), since);
        check(&engine.view_at_on(on, at).unwrap(), since.min(at));
        if round % 5 == 0 {
            let mut txn = begin().unwrap();
            txn.begin_statement();
            write(&mut txn, &mut rng, &mut next);
            let savepoint = txn.savepoint();
            let before = scan(&txn.latest_view());
            for _ in 0..12 {
                write(&mut txn, &mut rng, &mut next);
            }
            check(&txn.latest_view(), since);
            txn.rollback_to(savepoint);
            assert_eq!(scan(&txn.latest_view()), before);
            check(&txn.latest_view(), since);
        }
    }
}

/// The begin of a row that stays is known after the history around it has gone.
#[test]
fn rows_since_a_time_that_nothing_remembers_are_read() {
    let db = Database::with(Options {
        retention_micros: Some(0),
        ..small()
    });
    insert(&db.engine, &[row(1, "old")]);
    let since = db.engine.latest_view().ts();
    let ids = insert(&db.engine, &[row(2, "new"), row(3, "new")]);
    let mut txn = begin(&db.engine);
    txn.delete(&table(), &ids[..1]).unwrap();
    txn.commit(Durability::Synchronous).unwrap();
    insert(&db.engine, &[row(4, "newest")]);
    db.engine.compact_all(&Interrupt::new()).unwrap();
    assert!(db.engine.view_at(since).is_err());
    let view = db.engine.latest_view();
    let rows = view.rows_since(&Arc::new(table()), since, &[ColumnId(0), ColumnId(1)]);
    let rows: Vec<Row> = rows
        .unwrap()
        .flat_map(|batch| unbatch(&batch.unwrap()))
        .map(|(_, row)| row)
        .collect();
    assert_eq!(rows, [row(3, "new"), row(4, "newest")]);
}
