//! Columns with a codec, through flushes and reopenings.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, StringViewArray};
use arrow_schema::DataType;
use heliosdb_storage::codec::{CodecError, CodecSet, ColumnCodec, Encoding, NoCodecs};
use heliosdb_storage::datum::Datum;
use heliosdb_storage::ids::ColumnId;
use heliosdb_storage::schema::TableDef;
use heliosdb_storage::*;

use super::support::*;

/// Runs of equal texts: length of the text, the text, length of the run. Has no NULLs.
struct Runs;

impl ColumnCodec for Runs {
    fn name(&self) -> &str {
        "runs"
    }

    fn analyze(&self, column: &ArrayRef) -> Result<Option<u64>, CodecError> {
        self.encode(column).map(|e| Some(e.len() as u64))
    }

    fn encode(&self, column: &ArrayRef) -> Result<Vec<u8>, CodecError> {
        let texts = column.as_any().downcast_ref::<StringViewArray>();
        let texts = texts.ok_or_else(|| CodecError::new("only texts have runs"))?;
        let texts: Vec<&str> = texts.iter().map(Option::unwrap_or_default).collect();
        let mut encoded = Vec::new();
        for run in texts.chunk_by(|a, b| a == b) {
            encoded.extend_from_slice(&(run[0].len() as u32).to_le_bytes());
            encoded.extend_from_slice(run[0].as_bytes());
            encoded.extend_from_slice(&(run.len() as u32).to_le_bytes());
        }
        Ok(encoded)
    }

    fn decode(&self, encoded: &[u8], _: &DataType, _: usize) -> Result<ArrayRef, CodecError> {
        let number = |bytes: &[u8]| u32::from_le_bytes(bytes.try_into().unwrap()) as usize;
        let mut texts = Vec::new();
        let mut rest = encoded;
        while !rest.is_empty() {
            let (text, after) = rest[4..].split_at(number(&rest[..4]));
            let text = std::str::from_utf8(text).unwrap();
            texts.extend(std::iter::repeat_n(text, number(&after[..4])));
            rest = &after[4..];
        }
        Ok(Arc::new(StringViewArray::from(texts)))
    }
}

struct Set;

impl CodecSet for Set {
    fn codec(&self, name: &str) -> Option<Arc<dyn ColumnCodec>> {
        (name == "runs").then(|| Arc::new(Runs) as Arc<dyn ColumnCodec>)
    }

    fn may_encode(&self, name: &str) -> bool {
        name == "runs"
    }
}

/// The table of these tests, the text without index and with a codec.
fn compressed() -> TableDef {
    let mut table = table();
    table.indexes.truncate(1);
    table.columns[1].compression = Some("runs".into());
    table
}

fn define(engine: &Engine, table: &TableDef) {
    let mut txn = begin(engine);
    txn.define_table(table).unwrap();
    txn.commit(Durability::Synchronous).unwrap();
}

/// A thousand rows of few texts, in memory.
fn filled() -> Database {
    let db = Database::new();
    define(&db.engine, &compressed());
    let rows: Vec<Row> = (0..1000)
        .map(|n| row(n, ["a", "", "ccc"][n as usize / 400]))
        .collect();
    let mut txn = begin(&db.engine);
    txn.insert(&compressed(), &batch(&rows)).unwrap();
    txn.commit(Durability::Synchronous).unwrap();
    db
}

fn count(view: &ReadView, column: u16) -> Result<usize> {
    let request = ScanRequest::columns(vec![ColumnId(column)]);
    let mut rows = 0;
    for part in view.scan(Arc::new(compressed()), request)? {
        for batch in part {
            rows += batch?.num_rows();
        }
    }
    Ok(rows)
}

#[test]
fn a_codec_encodes_at_the_flush_and_is_needed_to_read_only() {
    let db = filled();
    assert_eq!(db.engine.codecs_in_use(), []);
    let rows = scan(&db.engine.latest_view());
    db.engine.set_codecs(Arc::new(Set));
    let before = db.engine.latest_view().ts();
    let ids: Vec<_> = rows.iter().map(|(id, _)| *id).collect();
    let mut txn = begin(&db.engine);
    let changed: Vec<Row> = (0..500).map(|n| row(n, "changed")).collect();
    txn.update(&compressed(), &ids[..500], &batch(&changed))
        .unwrap();
    txn.commit(Durability::Synchronous).unwrap();
    let after = scan(&db.engine.latest_view());
    db.engine.flush().unwrap();

    let used = db.engine.codecs_in_use();
    assert_eq!(used.len(), 1);
    assert_eq!((used[0].collection, used[0].column), (TABLE, ColumnId(1)));
    assert_eq!(used[0].encoding, Encoding::Codec("runs".into()));
    assert_eq!(used[0].pages, 2, "one of HEAD, one of HIST");
    assert!(used[0].stored_bytes * 10 < used[0].raw_bytes);
    assert!(db.engine.column_pages().len() > 1);

    let db = db.reopen();
    assert_eq!(db.engine.codecs_in_use(), used, "told without the codec");
    let view = db.engine.latest_view();
    assert_eq!(count(&view, 0).unwrap(), 1000);
    let error = count(&view, 1).unwrap_err();
    let told = "column 1 of table 2000 is encoded with codec \"runs\", which is missing";
    assert_eq!(error.to_string(), told);
    let one = |column| view.rows(&compressed(), &ids[..1], &[ColumnId(column)], false);
    assert_eq!(one(0).unwrap().num_rows(), 1);
    assert!(matches!(one(1), Err(Error::CodecMissing { .. })));

    db.engine.set_codecs(Arc::new(Set));
    assert_eq!(scan(&view), after);
    assert_eq!(scan(&db.engine.view_at(before).unwrap()), rows);
    let text = Datum::from_array(one(1).unwrap().column(0), 0).unwrap();
    assert_eq!(text, Datum::Bytes(b"changed".to_vec()));
}

/// An index tells what to forget of a deleted row; the columns outside of it are of no interest.
#[test]
fn rows_can_be_deleted_while_a_codec_is_missing() {
    let db = filled();
    db.engine.set_codecs(Arc::new(Set));
    db.engine.flush().unwrap();
    let db = db.reopen();
    let id = by_id(&db.engine.latest_view(), 7);
    let mut txn = begin(&db.engine);
    txn.lock_row(TABLE, id[0], RowLockMode::Update, LockWait::Block)
        .unwrap();
    txn.delete(&compressed(), &id).unwrap();
    txn.commit(Durability::Synchronous).unwrap();
    let view = db.engine.latest_view();
    assert_eq!(by_id(&view, 7), []);
    assert_eq!(count(&view, 0).unwrap(), 999);
    db.engine.set_codecs(Arc::new(Set));
    assert_eq!(count(&view, 1).unwrap(), 999);
}

#[test]
fn pages_keep_the_codec_they_were_written_with() {
    let db = filled();
    db.engine.flush().unwrap();
    assert_eq!(db.engine.codecs_in_use(), [], "nobody provides it");
    db.engine.set_codecs(Arc::new(Set));
    let more: Vec<Row> = (1000..2000).map(|n| row(n, "more")).collect();
    let insert = |rows: &[Row], table: &TableDef| {
        let mut txn = begin(&db.engine);
        txn.insert(table, &batch(rows)).unwrap();
        txn.commit(Durability::Synchronous).unwrap();
        db.engine.flush().unwrap();
    };
    insert(&more, &compressed());
    assert_eq!(db.engine.codecs_in_use()[0].pages, 1);

    let mut without = compressed();
    without.columns[1].compression = None;
    define(&db.engine, &without);
    let most: Vec<Row> = (2000..3000).map(|n| row(n, "most")).collect();
    insert(&most, &without);
    assert_eq!(db.engine.codecs_in_use()[0].pages, 1);
    assert_eq!(scan(&db.engine.latest_view()).len(), 3000);

    db.engine.set_codecs(Arc::new(NoCodecs));
    let db = db.reopen();
    assert!(count(&db.engine.latest_view(), 1).is_err());
    db.engine.set_codecs(Arc::new(Set));
    assert_eq!(count(&db.engine.latest_view(), 1).unwrap(), 3000);
}

/// Its values stay readable AS OF a time before the drop, and should not need more for it.
#[test]
fn a_column_that_was_dropped_before_the_flush_is_not_encoded() {
    let db = filled();
    db.engine.set_codecs(Arc::new(Set));
    let before = db.engine.latest_view().ts();
    let rows = scan(&db.engine.latest_view());
    let mut narrow = compressed();
    narrow.columns[1].dropped = true;
    define(&db.engine, &narrow);
    db.engine.flush().unwrap();
    assert_eq!(db.engine.codecs_in_use(), []);
    let db = db.reopen();
    assert_eq!(scan(&db.engine.view_at(before).unwrap()), rows);
}

/// A file that nobody can read is left as it is, and the others around it are merged.
#[test]
fn a_segment_whose_codec_is_missing_is_not_merged() {
    let db = filled();
    db.engine.set_codecs(Arc::new(Set));
    db.engine.flush().unwrap();
    for i in 0..2 {
        let mut txn = begin(&db.engine);
        txn.put(ids::CollectionId(500), &[i], b"v").unwrap();
        txn.commit(Durability::Synchronous).unwrap();
        db.engine.flush().unwrap();
    }
    db.engine.set_codecs(Arc::new(NoCodecs));
    let done = db.engine.compact_all(&Interrupt::new()).unwrap();
    assert_eq!((done.compactions, done.files_in), (1, 2));
    assert_eq!(db.engine.codecs_in_use().len(), 1);
    db.engine.set_codecs(Arc::new(Set));
    let done = db.engine.compact_all(&Interrupt::new()).unwrap();
    assert_eq!((done.files_in, done.files_out), (2, 1));
    assert_eq!(db.engine.codecs_in_use().len(), 1);
}
