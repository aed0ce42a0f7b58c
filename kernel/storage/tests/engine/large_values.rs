//! Large values through the life of a row: random lengths around what is large, updated and deleted,
//! flushed and merged, read at every commit, and again after the database was opened anew.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::{Array, Int64Array, RecordBatch, StringViewArray, UInt64Array};
use heliosdb_storage::ids::{ColumnId, RowId, Ts};
use heliosdb_storage::schema::TableDef;
use heliosdb_storage::*;
use proptest::prelude::*;

use super::support::*;

const MIN: usize = 512;
const PAGE: usize = 2 << 10;

fn options(blob_bytes_min: usize) -> Options {
    Options {
        page_bytes: PAGE,
        blob_bytes_min,
        retention_micros: None,
        ..small()
    }
}

/// The usual columns without indexes, whose keys are not for large values.
fn def() -> TableDef {
    TableDef {
        indexes: Vec::new(),
        ..table()
    }
}

#[derive(Clone, Debug)]
enum Step {
    Insert(Vec<Text>),
    Update(prop::sample::Index, Text),
    Delete(prop::sample::Index),
    Flush,
    Compact,
    Reopen,
}

/// A length and what it is made of; `None` is NULL.
type Text = Option<(usize, u32)>;

fn text() -> impl Strategy<Value = Text> {
    let lengths = [
        0,
        5,
        MIN - 1,
        MIN,
        MIN + 1,
        PAGE - 1,
        PAGE,
        PAGE + 1,
        40 << 10,
    ];
    let length = prop::sample::select(lengths.to_vec());
    prop_oneof![6 => (length, any::<u32>()).prop_map(Some), 1 => Just(None)]
}

fn step() -> impl Strategy<Value = Step> {
    let index = any::<prop::sample::Index>;
    prop_oneof![
        3 => prop::collection::vec(text(), 1..12).prop_map(Step::Insert),
        3 => (index(), text()).prop_map(|(row, text)| Step::Update(row, text)),
        1 => index().prop_map(Step::Delete),
        2 => Just(Step::Flush),
        1 => Just(Step::Compact),
        1 => Just(Step::Reopen),
    ]
}

fn string(text: Text) -> Option<String> {
    let (length, seed) = text?;
    let letter = |n: usize| {
        let mixed = (n as u32 + 1)
            .wrapping_mul(seed | 1)
            .wrapping_mul(0x9E37_79B1)
            >> 27;
        char::from(b'a' + (mixed % 26) as u8)
    };
    Some((0..length).map(letter).collect())
}

fn rows_batch(rows: &[(i64, Option<String>)]) -> RecordBatch {
    let schema = batch(&[]).schema();
    let ids: Int64Array = rows.iter().map(|(id, _)| Some(*id)).collect();
    let texts: StringViewArray = rows.iter().map(|(_, text)| text.as_deref()).collect();
    RecordBatch::try_new(schema, vec![Arc::new(ids), Arc::new(texts)]).unwrap()
}

type Rows = BTreeMap<RowId, (i64, Option<String>)>;

fn of(batch: &RecordBatch) -> Vec<(i64, Option<String>)> {
    let ids: &Int64Array = batch.column(0).as_any().downcast_ref().unwrap();
    let texts: &StringViewArray = batch.column(1).as_any().downcast_ref().unwrap();
    let text = |row| texts.is_valid(row).then(|| texts.value(row).to_owned());
    (0..batch.num_rows())
        .map(|row| (ids.value(row), text(row)))
        .collect()
}

fn check(view: &ReadView, expected: &Rows) {
    let request = ScanRequest {
        row_id: true,
        ..ScanRequest::columns(vec![ColumnId(0), ColumnId(1)])
    };
    let mut found = Rows::new();
    for part in view.scan(Arc::new(def()), request).unwrap() {
        for batch in part {
            let batch = batch.unwrap();
            let rows: &UInt64Array = batch.column(2).as_any().downcast_ref().unwrap();
            found.extend(rows.values().iter().map(|id| RowId(*id)).zip(of(&batch)));
        }
    }
    assert!(found == *expected, "rows at {}", view.ts());
    let columns = [ColumnId(0), ColumnId(1)];
    for (id, row) in expected.iter().step_by(3) {
        let read = view.rows(&def(), &[*id], &columns, false).unwrap();
        assert!(of(&read) == [row.clone()], "row {id} at {}", view.ts());
    }
    let ids: Vec<RowId> = expected.keys().rev().copied().collect();
    let read = view.rows(&def(), &ids, &columns, false).unwrap();
    assert!(
        of(&read).iter().eq(expected.values().rev()),
        "rows at {}",
        view.ts()
    );
}

fn run(steps: Vec<Step>, blob_bytes_min: usize) {
    let mut db = Database::with(options(blob_bytes_min));
    let mut txn = begin(&db.engine);
    txn.define_table(&def()).unwrap();
    txn.commit(Durability::Synchronous).unwrap();
    let mut rows = Rows::new();
    let mut states: Vec<(Ts, Rows)> = Vec::new();
    let mut number = 0;
    for step in steps {
        let mut txn = begin(&db.engine);
        match step {
            Step::Insert(texts) => {
                let new = texts.into_iter().zip(number..);
                let new: Vec<_> = new.map(|(text, id)| (id, string(text))).collect();
                number += new.len() as i64;
                let ids = txn.insert(&def(), &rows_batch(&new)).unwrap();
                rows.extend(ids.into_iter().zip(new));
            }
            Step::Update(row, text) if !rows.is_empty() => {
                let id = *rows.keys().nth(row.index(rows.len())).unwrap();
                let row = rows.get_mut(&id).unwrap();
                row.1 = string(text);
                let row = rows_batch(std::slice::from_ref(row));
                txn.update(&def(), &[id], &row).unwrap();
            }
            Step::Delete(row) if !rows.is_empty() => {
                let id = *rows.keys().nth(row.index(rows.len())).unwrap();
                txn.delete(&def(), &[id]).unwrap();
                rows.remove(&id);
            }
            Step::Flush => db.engine.flush().unwrap(),
            Step::Compact => drop(db.engine.compact_all(&Interrupt::new()).unwrap()),
            Step::Reopen => {
                drop(txn);
                db = db.reopen();
                continue;
            }
            Step::Update(..) | Step::Delete(_) => {}
        }
        let wrote = !txn.is_read_only();
        let ts = txn.commit(Durability::Synchronous).unwrap();
        if wrote {
            states.push((ts, rows.clone()));
        }
    }
    for _ in 0..2 {
        check(&db.engine.latest_view(), &rows);
        for (ts, rows) in &states {
            check(&db.engine.view_at(*ts).unwrap(), rows);
        }
        db.engine.flush().unwrap();
        db.engine.compact_all(&Interrupt::new()).unwrap();
        db = db.reopen();
    }
    db.check();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn values_of_every_length_live_through_flush_merge_and_reopening(
        steps in prop::collection::vec(step(), 1..30),
        blob_bytes_min in prop::sample::select(vec![0, MIN, usize::MAX]),
    ) {
        run(steps, blob_bytes_min);
    }
}
