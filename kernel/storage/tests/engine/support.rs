//! A database in a temporary directory with one table: `(id int8 unique, name text)`.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{
    Array, ArrayRef, BooleanArray, Int64Array, RecordBatch, StringViewArray, UInt64Array,
};
use arrow_schema::{Field, Schema};
use heliosdb_storage::check::{Check, CheckOptions, Finding, Kind, Watch};
use heliosdb_storage::expression::{ExpressionError, Expressions};
use heliosdb_storage::ids::{CollectionId, ColumnId, RowId};
use heliosdb_storage::io::disk::Disk;
use heliosdb_storage::schema::{ColumnDef, ColumnType, IndexDef, KeyColumn, TableDef};
use heliosdb_storage::*;

pub const TABLE: CollectionId = CollectionId(2000);
pub const BY_ID: CollectionId = CollectionId(2001);
pub const BY_NAME: CollectionId = CollectionId(2002);

pub struct Database {
    pub dir: tempfile::TempDir,
    pub engine: Engine,
    pub options: Options,
}

/// Small enough that files end and memtables freeze within a test; and what is merged is the test's say.
pub fn small() -> Options {
    Options {
        wal_segment_bytes: 256 << 10,
        page_bytes: 4 << 10,
        compaction_in_background: false,
        ..Options::default()
    }
}

impl Database {
    pub fn new() -> Database {
        Database::with(small())
    }

    pub fn with(options: Options) -> Database {
        let dir = tempfile::tempdir().unwrap();
        let engine = open(&dir, &options).unwrap();
        let mut txn = begin(&engine);
        txn.define_table(&table()).unwrap();
        txn.commit(Durability::Synchronous).unwrap();
        Database {
            dir,
            engine,
            options,
        }
    }

    /// Close it, see that it is whole, and open it again.
    pub fn reopen(self) -> Database {
        self.engine.close().unwrap();
        let mut findings = findings(&self.dir);
        // Tests choose their own; and what a codec encoded stays as it is.
        let own = |finding: &Finding| finding.what.starts_with("the next collection is");
        findings.retain(|finding| finding.kind == Kind::Damage && !own(finding));
        assert_eq!(findings, []);
        let engine = open(&self.dir, &self.options).unwrap();
        Database { engine, ..self }
    }
}

impl Database {
    /// Close it, and hold every file against the rules of its format.
    pub fn check(self) {
        let engine = self.engine;
        // Tests choose their own.
        while engine.allocate_collection_id() <= CollectionId(3000) {}
        engine.close().unwrap();
        let mut findings = findings(&self.dir);
        findings.retain(|finding| finding.kind != Kind::Note);
        assert_eq!(findings, []);
    }
}

/// What a check of a closed database finds.
pub fn findings(dir: &tempfile::TempDir) -> Vec<Finding> {
    let io: Arc<dyn io::Io> = Arc::new(Disk::open(dir.path()).unwrap());
    let mut findings = Findings::default();
    let mut check = Check::open(&io, &CheckOptions::default(), &mut findings).unwrap();
    check.set_expressions(Arc::new(Arithmetic));
    check.run().unwrap();
    drop(check);
    findings.0
}

#[derive(Default)]
struct Findings(Vec<Finding>);

impl Watch for Findings {
    fn found(&mut self, finding: Finding) {
        self.0.push(finding);
    }

    fn begin(&mut self, _: &str, _: Option<u64>) {}

    fn advance(&mut self, _: u64) {}

    fn end(&mut self) {}
}

pub fn open(dir: &tempfile::TempDir, options: &Options) -> Result<Engine> {
    let engine = Engine::open(Arc::new(Disk::open(dir.path()).unwrap()), options.clone())?;
    engine.set_expressions(Arc::new(Arithmetic));
    Ok(engine)
}

/// All the expressions that tests know.
struct Arithmetic;

pub const LAST_DIGIT: &str = "c0 % 10";
pub const LARGE: &str = "c0 > 50";
/// There is none for 0.
pub const SHARE: &str = "1000 / c0";

impl Expressions for Arithmetic {
    fn evaluate(
        &self,
        expression: &str,
        rows: &RecordBatch,
        ty: &ColumnType,
    ) -> Result<ArrayRef, ExpressionError> {
        assert_eq!(rows.schema().field(0).name(), "c0");
        let numbers = rows.column(0).as_primitive::<Int64Type>();
        if expression == LARGE {
            assert_eq!(*ty, ColumnType::Bool);
            let large: BooleanArray = numbers.iter().map(|n| n.map(|n| n > 50)).collect();
            return Ok(Arc::new(large));
        }
        let computed = numbers.iter().map(|n| match (n, expression) {
            (None, _) => Ok(None),
            (Some(n), LAST_DIGIT) => Ok(Some(n % 10)),
            (Some(0), SHARE) => Err(ExpressionError {
                sqlstate: *b"22012",
                message: "division by zero".into(),
            }),
            (Some(n), SHARE) => Ok(Some(1000 / n)),
            other => panic!("{other:?}"),
        });
        let computed: Int64Array = computed.collect::<Result<_, _>>()?;
        Ok(Arc::new(computed))
    }
}

pub fn begin(engine: &Engine) -> Transaction {
    let mut txn = engine.begin(Isolation::ReadCommitted, Interrupt::new());
    txn.begin_statement();
    txn
}

pub fn table() -> TableDef {
    let key = |column| KeyColumn {
        column: ColumnId(column),
        descending: false,
        nulls_first: false,
    };
    TableDef {
        id: TABLE,
        columns: vec![
            ColumnDef::new(ColumnType::Int64),
            ColumnDef::new(ColumnType::Text),
        ],
        computed: Vec::new(),
        retention: None,
        indexes: vec![
            IndexDef {
                id: BY_ID,
                columns: vec![key(0)],
                unique: true,
                predicate: None,
            },
            IndexDef {
                id: BY_NAME,
                columns: vec![key(1)],
                unique: false,
                predicate: None,
            },
        ],
    }
}

pub type Row = (Option<i64>, String);

pub fn row(id: i64, name: &str) -> Row {
    (Some(id), name.to_owned())
}

pub fn batch(rows: &[Row]) -> RecordBatch {
    let schema = Schema::new(vec![
        Field::new("c0", ColumnType::Int64.arrow(), true),
        Field::new("c1", ColumnType::Text.arrow(), true),
    ]);
    let ids: Int64Array = rows.iter().map(|r| r.0).collect();
    let names: StringViewArray = rows.iter().map(|r| Some(r.1.as_str())).collect();
    RecordBatch::try_new(Arc::new(schema), vec![Arc::new(ids), Arc::new(names)]).unwrap()
}

pub fn unbatch(batch: &RecordBatch) -> Vec<(RowId, Row)> {
    let ids = batch
        .column(0)
        .as_any()
        .downcast_ref::<Int64Array>()
        .unwrap();
    let names = batch
        .column(1)
        .as_any()
        .downcast_ref::<StringViewArray>()
        .unwrap();
    let rows = batch
        .column(2)
        .as_any()
        .downcast_ref::<UInt64Array>()
        .unwrap();
    (0..batch.num_rows())
        .map(|i| {
            let id = ids.is_valid(i).then(|| ids.value(i));
            (RowId(rows.value(i)), (id, names.value(i).to_owned()))
        })
        .collect()
}

/// All rows a view sees, by RowId.
pub fn scan(view: &ReadView) -> Vec<(RowId, Row)> {
    scan_with(view, 1, 8192)
}

pub fn scan_with(view: &ReadView, partitions: usize, batch_rows: usize) -> Vec<(RowId, Row)> {
    let request = ScanRequest {
        row_id: true,
        partitions,
        batch_rows,
        ..ScanRequest::columns(vec![ColumnId(0), ColumnId(1)])
    };
    let mut rows = Vec::new();
    for part in view.scan(Arc::new(table()), request).unwrap() {
        for batch in part {
            rows.extend(unbatch(&batch.unwrap()));
        }
    }
    rows.sort();
    rows
}

/// Insert in a transaction of its own.
pub fn insert(engine: &Engine, rows: &[Row]) -> Vec<RowId> {
    let mut txn = begin(engine);
    let ids = txn.insert(&table(), &batch(rows)).unwrap();
    txn.commit(Durability::Synchronous).unwrap();
    ids
}

/// Rows whose id is `id`, through the unique index.
pub fn by_id(view: &ReadView, id: i64) -> Vec<RowId> {
    let range = IndexRange::equal(vec![datum::Datum::Int64(id)]);
    view.index_rows(&table(), &table().indexes[0], &range)
        .unwrap()
}

/// Rows whose name is `name`, through the other one.
pub fn by_name(view: &ReadView, name: &str) -> Vec<RowId> {
    let range = IndexRange::equal(vec![datum::Datum::Bytes(name.as_bytes().to_vec())]);
    view.index_rows(&table(), &table().indexes[1], &range)
        .unwrap()
}

/// What a crash right now would leave: a copy of the directory's files.
pub fn crash(db: &Database) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    copy_dir(db.dir.path(), copy.path());
    copy
}

/// Copies a directory that threads of an engine may be working in: until no file came or went meanwhile.
pub fn copy_dir(from: &Path, to: &Path) {
    for _ in 0..100 {
        let before = entries(from);
        let all = before.iter().all(|(name, is_dir)| {
            let copied = match is_dir {
                true => fs::create_dir_all(to.join(name)),
                false => fs::copy(from.join(name), to.join(name)).map(drop),
            };
            match copied {
                Err(error) if error.kind() == ErrorKind::NotFound => false,
                copied => {
                    copied.unwrap();
                    true
                }
            }
        });
        if all && entries(from) == before {
            return;
        }
        fs::remove_dir_all(to).unwrap();
        fs::create_dir_all(to).unwrap();
    }
    panic!("{} never holds still", from.display());
}

/// All that is in a directory, each directory before what is in it, and whether it is one.
fn entries(directory: &Path) -> BTreeMap<PathBuf, bool> {
    let mut entries = BTreeMap::new();
    let mut open = vec![PathBuf::new()];
    while let Some(inner) = open.pop() {
        for entry in fs::read_dir(directory.join(&inner)).unwrap() {
            let entry = entry.unwrap();
            let name = inner.join(entry.file_name());
            let is_dir = entry.file_type().unwrap().is_dir();
            if is_dir {
                open.push(name.clone());
            }
            entries.insert(name, is_dir);
        }
    }
    entries
}
