//! Checks of whole databases, of damaged ones (`damage`), and of ones whose files are whole and whose
//! content is not (`logic`).
#![allow(clippy::unwrap_used)]
#![allow(
    clippy::disallowed_methods,
    reason = "damage is done to files behind the engine's back"
)]

mod damage;
mod logic;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringViewArray};
use arrow_schema::{DataType, Field, Schema};
use tempfile::TempDir;

use super::finding::{Finding, Kind, Place, Totals, Watch};
use super::{Check, CheckOptions};
use crate::codec::{CodecError, CodecSet, ColumnCodec, NoCodecs};
use crate::ids::{CollectionId, ColumnId, RowId};
use crate::io::Io;
use crate::io::disk::Disk;
use crate::schema::{ColumnDef, ColumnType, IndexDef, KeyColumn, TableDef};
use crate::{Durability, Engine, Error, Interrupt, Isolation, Options, Result, Transaction};

/// Keeps what is found.
#[derive(Default)]
struct Found {
    findings: Vec<Finding>,
    phases: Vec<String>,
    advanced: u64,
}

impl Watch for Found {
    fn found(&mut self, finding: Finding) {
        self.findings.push(finding);
    }

    fn begin(&mut self, phase: &str, _: Option<u64>) {
        self.phases.push(phase.to_owned());
    }

    fn advance(&mut self, amount: u64) {
        self.advanced += amount;
    }

    fn end(&mut self) {}
}

/// The text again, but reversed: good for nothing but to be missed.
struct Backwards;

impl ColumnCodec for Backwards {
    fn name(&self) -> &str {
        "backwards"
    }

    fn analyze(&self, _: &ArrayRef) -> Result<Option<u64>, CodecError> {
        Ok(Some(0))
    }

    /// The first text; there is one of many rows.
    fn encode(&self, column: &ArrayRef) -> Result<Vec<u8>, CodecError> {
        let texts = column.as_any().downcast_ref::<StringViewArray>();
        let texts = texts.ok_or_else(|| CodecError::new("texts only"))?;
        Ok(texts.value(0).bytes().rev().collect())
    }

    fn decode(&self, encoded: &[u8], _: &DataType, rows: usize) -> Result<ArrayRef, CodecError> {
        let text: Vec<u8> = encoded.iter().rev().copied().collect();
        let text = String::from_utf8(text).map_err(|e| CodecError::new(e.to_string()))?;
        let texts = std::iter::repeat_n(text.as_str(), rows);
        Ok(Arc::new(StringViewArray::from_iter_values(texts)))
    }
}

impl CodecSet for Backwards {
    fn codec(&self, name: &str) -> Option<Arc<dyn ColumnCodec>> {
        (name == "backwards").then(|| Arc::new(Backwards) as Arc<dyn ColumnCodec>)
    }

    fn may_encode(&self, name: &str) -> bool {
        name == "backwards"
    }
}

/// Many files, small pages.
fn options() -> Options {
    Options {
        wal_segment_bytes: 64 << 10,
        page_bytes: 1 << 10,
        compaction_in_background: false,
        ..Options::default()
    }
}

/// A database on disk, closed.
struct Database {
    directory: TempDir,
    table: TableDef,
    /// A plain sorted collection.
    store: CollectionId,
    dropped: CollectionId,
}

impl Database {
    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn open(&self) -> Engine {
        let io = Arc::new(Disk::open(self.path()).unwrap());
        let engine = Engine::open(io, options()).unwrap();
        engine.set_codecs(Arc::new(Backwards));
        engine
    }

    /// Check it with its codec.
    fn check(&self) -> (Vec<Finding>, Totals) {
        check(self.path(), Arc::new(Backwards)).unwrap()
    }

    /// Findings other than notes.
    fn faults(&self) -> Vec<Finding> {
        let (mut findings, _) = self.check();
        findings.retain(|finding| finding.kind != Kind::Note);
        findings
    }

    fn segments(&self) -> Vec<PathBuf> {
        files(&self.path().join("segments"))
    }

    fn logs(&self) -> Vec<PathBuf> {
        files(&self.path().join("wal"))
    }
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let names = fs::read_dir(directory).unwrap();
    let mut names: Vec<PathBuf> = names.map(|name| name.unwrap().path()).collect();
    names.sort();
    names
}

/// All files and what is in them.
fn contents(directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut contents = BTreeMap::new();
    for path in files(directory) {
        match path.is_dir() {
            true => contents.extend(self::contents(&path)),
            false => contents.extend([(path.clone(), fs::read(&path).unwrap())]),
        }
    }
    contents
}

/// Check a directory, and see that it stays as it is.
fn check(directory: &Path, codecs: Arc<dyn CodecSet>) -> Result<(Vec<Finding>, Totals)> {
    let io: Arc<dyn Io> = Arc::new(Disk::open(directory).unwrap());
    let before = contents(directory);
    let mut found = Found::default();
    let checked = (|| {
        let mut check = Check::open(&io, &CheckOptions::default(), &mut found)?;
        check.set_codecs(codecs);
        check.run()
    })();
    assert!(contents(directory) == before, "a check changed something");
    Ok((found.findings, checked?))
}

fn begin(engine: &Engine) -> Transaction {
    let mut transaction = engine.begin(Isolation::ReadCommitted, Interrupt::new());
    transaction.begin_statement();
    transaction
}

fn commit(transaction: Transaction) {
    transaction.commit(Durability::Synchronous).unwrap();
}

/// Rows of (id, name, kind), the last of which is all one text.
fn batch(rows: impl Iterator<Item = (i64, Option<String>)>) -> RecordBatch {
    let (ids, names): (Vec<i64>, Vec<Option<String>>) = rows.unzip();
    let kinds = ids
        .iter()
        .map(|_| "a kind that is long enough to be encoded");
    let field = |name: &str, ty: ColumnType| Field::new(name, ty.arrow(), true);
    let schema = Schema::new(vec![
        field("c0", ColumnType::Int64),
        field("c1", ColumnType::Text),
        field("c2", ColumnType::Text),
    ]);
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from(ids.clone())),
        Arc::new(StringViewArray::from_iter(names)),
        Arc::new(StringViewArray::from_iter_values(kinds)),
    ];
    RecordBatch::try_new(Arc::new(schema), columns).unwrap()
}

fn table(engine: &Engine) -> TableDef {
    let key = |column| KeyColumn {
        column: ColumnId(column),
        descending: column == 1,
        nulls_first: false,
    };
    let index = |columns: Vec<KeyColumn>, unique| IndexDef {
        id: engine.allocate_collection_id(),
        columns,
        unique,
        predicate: None,
    };
    TableDef {
        id: engine.allocate_collection_id(),
        columns: vec![
            ColumnDef::new(ColumnType::Int64),
            ColumnDef::new(ColumnType::Text),
            ColumnDef {
                compression: Some("backwards".into()),
                ..ColumnDef::new(ColumnType::Text)
            },
        ],
        computed: Vec::new(),
        retention: None,
        indexes: vec![
            index(vec![key(0)], true),
            index(vec![key(1), key(0)], false),
            index(vec![key(1)], true),
        ],
    }
}

fn name(n: i64) -> Option<String> {
    (n % 5 != 0).then(|| format!("name {n} {}", "x".repeat(n as usize % 40)))
}

/// A database with several segments, history, deletes, NULLs, a codec, a store, a dropped table, a
/// column that was added and one that was dropped, several log files and rows that are in the log only.
fn database() -> Database {
    let mut db = Database {
        directory: tempfile::tempdir().unwrap(),
        table: TableDef {
            id: CollectionId(0),
            columns: Vec::new(),
            computed: Vec::new(),
            retention: None,
            indexes: Vec::new(),
        },
        store: CollectionId(0),
        dropped: CollectionId(0),
    };
    let engine = db.open();
    let table = table(&engine);
    let gone = TableDef {
        id: engine.allocate_collection_id(),
        computed: Vec::new(),
        retention: None,
        indexes: Vec::new(),
        ..table.clone()
    };
    db.store = engine.allocate_collection_id();
    db.dropped = gone.id;
    let mut txn = begin(&engine);
    txn.define_table(&table).unwrap();
    txn.define_table(&gone).unwrap();
    commit(txn);
    let mut txn = begin(&engine);
    let ids = txn
        .insert(&table, &batch((0..300).map(|n| (n, name(n)))))
        .unwrap();
    txn.insert(&gone, &batch((0..50).map(|n| (n, name(n)))))
        .unwrap();
    for n in 0..200u32 {
        txn.put(db.store, &n.to_be_bytes(), &[7; 20]).unwrap();
    }
    commit(txn);
    for round in 1..4 {
        let mut txn = begin(&engine);
        let some: Vec<RowId> = ids.iter().copied().skip(round * 30).take(60).collect();
        let changed = (round as i64 * 30..)
            .take(60)
            .map(|n| (n, name(n + 1000 * round as i64)));
        txn.update(&table, &some, &batch(changed)).unwrap();
        commit(txn);
        if round == 2 {
            engine.flush().unwrap();
        }
        let mut txn = begin(&engine);
        txn.delete(&table, &ids[280 + round * 5..][..5]).unwrap();
        txn.remove(db.store, &(round as u32).to_be_bytes()).unwrap();
        commit(txn);
    }
    let mut txn = begin(&engine);
    txn.drop_collection(gone.id).unwrap();
    let mut wide = table.clone();
    wide.columns.push(ColumnDef {
        missing: Some(crate::datum::Datum::Int32(4).encode().into()),
        ..ColumnDef::new(ColumnType::Int32)
    });
    txn.define_table(&wide).unwrap();
    commit(txn);
    engine.flush().unwrap();
    let mut narrow = wide.clone();
    narrow.columns[3].dropped = true;
    let mut txn = begin(&engine);
    txn.define_table(&narrow).unwrap();
    txn.insert(&narrow, &batch((500..520).map(|n| (n, name(n)))))
        .unwrap();
    txn.put(db.store, b"last", b"").unwrap();
    commit(txn);
    engine.close().unwrap();
    db.table = narrow;
    db
}

#[test]
fn a_whole_database_has_no_findings() {
    let db = database();
    let (findings, totals) = db.check();
    assert_eq!(findings, []);
    assert_eq!((totals.tables, totals.rows), (1, 305));
    assert_eq!((totals.indexes, totals.entries), (3, 3 * 305));
    assert_eq!(totals.segments, db.segments().len() as u64);
    assert!(totals.log_files > 1 && totals.log_records > 5 && totals.pages > 100);
    let bytes = db
        .segments()
        .iter()
        .map(|p| p.metadata().unwrap().len())
        .sum::<u64>();
    assert_eq!(totals.bytes, bytes);

    // A crash leaves nothing that is wrong either.
    let engine = db.open();
    let mut txn = begin(&engine);
    txn.put(db.store, b"later", b"").unwrap();
    commit(txn);
    std::mem::forget(engine);
    let copy = tempfile::tempdir().unwrap();
    for (path, bytes) in contents(db.path()) {
        let path = copy.path().join(path.strip_prefix(db.path()).unwrap());
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    assert_eq!(check(copy.path(), Arc::new(Backwards)).unwrap().0, []);
}

#[test]
fn a_new_database_is_whole() {
    let directory = tempfile::tempdir().unwrap();
    let io = Arc::new(Disk::open(directory.path()).unwrap());
    Engine::open(io, options()).unwrap().close().unwrap();
    let (findings, totals) = check(directory.path(), Arc::new(NoCodecs)).unwrap();
    assert_eq!(findings, []);
    assert_eq!(totals.tables, 0);
}

#[test]
fn what_a_missing_codec_encoded_is_not_checked_and_told() {
    let db = database();
    let (findings, totals) = check(db.path(), Arc::new(NoCodecs)).unwrap();
    assert!(!findings.is_empty());
    for finding in &findings {
        assert_eq!(finding.kind, Kind::NotChecked, "{finding:?}");
        assert_eq!(finding.what, "codec \"backwards\" is missing");
        assert_eq!(finding.place.column, Some(ColumnId(2)));
        assert!(finding.place.offset.is_some());
    }
    // Nothing else depends on it.
    assert_eq!(totals.entries, 3 * 305);
}

#[test]
fn a_database_that_is_open_is_not_checked() {
    let db = database();
    let engine = db.open();
    let io: Arc<dyn Io> = Arc::new(Disk::open(db.path()).unwrap());
    let mut found = Found::default();
    let refused = Check::open(&io, &CheckOptions::default(), &mut found).map(drop);
    assert!(matches!(refused, Err(Error::DirectoryLocked)));
    engine.close().unwrap();
    let mut found = Found::default();
    let check = Check::open(&io, &CheckOptions::default(), &mut found).unwrap();
    let opened = Engine::open(Arc::new(Disk::open(db.path()).unwrap()), options());
    assert!(matches!(opened, Err(Error::DirectoryLocked)));
    drop(check);
}

#[test]
fn a_directory_without_a_log_is_no_database() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("letter.txt"), "dear").unwrap();
    let refused = check(directory.path(), Arc::new(NoCodecs)).map(drop);
    assert!(matches!(refused, Err(Error::NotADatabase { .. })));
}

#[test]
fn it_says_how_far_it_is_and_can_be_ended() {
    let db = database();
    let io: Arc<dyn Io> = Arc::new(Disk::open(db.path()).unwrap());
    let mut found = Found::default();
    let mut check = Check::open(&io, &CheckOptions::default(), &mut found).unwrap();
    let bytes = check.run().unwrap().bytes;
    drop(check);
    assert_eq!(found.phases.len(), 3);
    assert!(found.advanced > bytes / 2);

    let options = CheckOptions::default();
    let mut found = Found::default();
    let mut check = Check::open(&io, &options, &mut found).unwrap();
    options.interrupt.cancel();
    assert!(matches!(check.run(), Err(Error::Canceled)));
}
