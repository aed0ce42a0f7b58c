//! The table `(n bigint, body text)`, and random writes to it.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::UInt64Type;
use arrow_array::{Array, Int64Array, RecordBatch, StringViewArray};
use arrow_schema::{Field, Schema};
use heliosdb_sim::rng::Rng;
use heliosdb_storage::ids::{CollectionId, ColumnId, RowId};
use heliosdb_storage::schema::{ColumnDef, ColumnType, TableDef};
use heliosdb_storage::{ReadView, Result, ScanRequest, Transaction};

pub const TABLE: CollectionId = CollectionId(5000);

/// Few, so that rows share them; each is rarer than the one before.
pub const WORDS: [&str; 10] = [
    "the", "of", "index", "row", "version", "branch", "commit", "page", "snow", "quark",
];

pub fn definition() -> TableDef {
    TableDef {
        id: TABLE,
        columns: vec![
            ColumnDef::new(ColumnType::Int64),
            ColumnDef::new(ColumnType::Text),
        ],
        computed: Vec::new(),
        retention: None,
        indexes: Vec::new(),
    }
}

/// A body; now and then there is none.
fn body(rng: &mut Rng) -> Option<String> {
    if rng.one_in(20) {
        return None;
    }
    let count = rng.below(6);
    let word = |rng: &mut Rng| {
        let below = 1 + rng.index(WORDS.len());
        WORDS[rng.index(below)]
    };
    let words: Vec<&str> = (0..count).map(|_| word(rng)).collect();
    Some(words.join(" "))
}

pub fn batch(rng: &mut Rng, rows: usize) -> RecordBatch {
    let schema = Schema::new(vec![
        Field::new("c0", ColumnType::Int64.arrow(), true),
        Field::new("c1", ColumnType::Text.arrow(), true),
    ]);
    let numbers: Int64Array = (0..rows).map(|_| Some(rng.below(1000) as i64)).collect();
    let bodies: StringViewArray = (0..rows).map(|_| body(rng)).collect();
    RecordBatch::try_new(Arc::new(schema), vec![Arc::new(numbers), Arc::new(bodies)])
        .expect("two columns of one length")
}

/// All rows that a view sees, with their bodies.
pub fn scan(view: &ReadView) -> Result<Vec<(RowId, Option<String>)>> {
    let request = ScanRequest {
        row_id: true,
        partitions: 1,
        ..ScanRequest::columns(vec![ColumnId(1)])
    };
    let mut rows = Vec::new();
    for part in view.scan(Arc::new(definition()), request)? {
        for batch in part {
            let batch = batch?;
            let bodies = batch.column(0).as_string_view();
            let ids = batch.column(1).as_primitive::<UInt64Type>();
            for at in 0..batch.num_rows() {
                let body = bodies.is_valid(at).then(|| bodies.value(at).to_owned());
                rows.push((RowId(ids.value(at)), body));
            }
        }
    }
    Ok(rows)
}

/// Some inserts, updates and deletes.
pub fn write(txn: &mut Transaction, rng: &mut Rng, most: u64) -> Result<()> {
    let inserts = rng.below(most + 1) as usize;
    if inserts > 0 {
        txn.insert(&definition(), &batch(rng, inserts))?;
    }
    let rows = scan(&txn.latest_view())?;
    if rows.is_empty() {
        return Ok(());
    }
    let some = |rng: &mut Rng| -> Vec<RowId> {
        let places: BTreeSet<usize> = (0..rng.below(most + 1))
            .map(|_| rng.index(rows.len()))
            .collect();
        places.into_iter().map(|at| rows[at].0).collect()
    };
    let updates = some(rng);
    txn.update(&definition(), &updates, &batch(rng, updates.len()))?;
    if rng.coin() {
        let deletes = some(rng);
        txn.delete(&definition(), &deletes)?;
    }
    Ok(())
}
