//! A small database with everything that a dump carries: values of every type, history, dropped
//! columns and tables, indexes, stores of plugins in every state, sequences.

use std::sync::Arc;

use arrow_array::builder::{ListBuilder, StringViewBuilder};
use arrow_array::types::IntervalMonthDayNano;
use arrow_array::{
    ArrayRef, BinaryArray, BinaryViewArray, BooleanArray, Date32Array, Decimal128Array,
    FixedSizeBinaryArray, Float32Array, Float64Array, Int16Array, Int32Array, Int64Array,
    IntervalMonthDayNanoArray, LargeBinaryArray, LargeStringArray, RecordBatch, StringViewArray,
    Time64MicrosecondArray, TimestampMicrosecondArray, UInt32Array,
};
use heliosdb_dump::{
    ColumnManifest, Described, Dump, ExportOptions, Manifest, NamedSequence, NamedTable,
    ObjectDescription, PluginDescription, Silent, Temporary, export,
};
use heliosdb_plugin_host::store::{self, STORES};
use heliosdb_storage::catalog::{CATALOG, catalog_key, decode_table};
use heliosdb_storage::datum::Datum;
use heliosdb_storage::ids::{CollectionId, ColumnId, RowId, Ts};
use heliosdb_storage::io::disk::Disk;
use heliosdb_storage::schema::{ColumnDef, ColumnType, IndexDef, KeyColumn, TableDef};
use heliosdb_storage::{
    Durability, Engine, IndexRange, Interrupt, Isolation, Options, ReadView, SequenceSpec,
    Transaction,
};

pub const ALL_TYPES: CollectionId = CollectionId(1024);
pub const CHANGED: CollectionId = CollectionId(1025);
pub const CHANGED_BY_ID: CollectionId = CollectionId(1026);
pub const CHANGED_BY_NAME: CollectionId = CollectionId(1027);
pub const DROPPED: CollectionId = CollectionId(1028);
pub const EMPTY: CollectionId = CollectionId(1029);
pub const LIVE_STORE: CollectionId = CollectionId(1030);
pub const RETIRED_STORE: CollectionId = CollectionId(1031);
pub const SEQUENCE: CollectionId = CollectionId(1032);
pub const SEQUENCE_SPEC: SequenceSpec = SequenceSpec {
    start: 5,
    increment: 1,
    min: 1,
    max: i64::MAX,
    cycle: false,
};
/// A collection of the layer above.
pub const SYSTEM: CollectionId = CollectionId(16);

pub struct Database {
    pub engine: Engine,
    dir: tempfile::TempDir,
}

impl Database {
    pub fn directory(&self) -> &std::path::Path {
        self.dir.path()
    }
}

pub fn empty() -> Database {
    let dir = tempfile::tempdir().unwrap();
    let disk = Arc::new(Disk::open(dir.path()).unwrap());
    let options = Options {
        wal_segment_bytes: 1 << 20,
        ..Options::default()
    };
    let engine = Engine::open(disk, options).unwrap();
    Database { engine, dir }
}

pub fn commit<R>(engine: &Engine, work: impl FnOnce(&mut Transaction) -> R) -> (R, Ts) {
    let mut tx = engine.begin(Isolation::ReadCommitted, Interrupt::new());
    let result = work(&mut tx);
    (result, tx.commit(Durability::Synchronous).unwrap())
}

fn key(column: u16, descending: bool) -> KeyColumn {
    KeyColumn {
        column: ColumnId(column),
        descending,
        nulls_first: descending,
    }
}

/// A column of each type: those of [`all_types_batch`], as no two have one Arrow type.
pub fn all_types() -> TableDef {
    let schema = all_types_batch().schema();
    let types = schema.fields().iter();
    let types = types.map(|field| ColumnType::from_arrow(field.data_type()).unwrap());
    TableDef {
        id: ALL_TYPES,
        columns: types.map(ColumnDef::new).collect(),
        computed: Vec::new(),
        retention: None,
        indexes: Vec::new(),
    }
}

fn all_types_batch() -> RecordBatch {
    let texts = [
        Some("ä"),
        None,
        Some(""),
        Some("a text too long for a view"),
    ];
    let mut lists = ListBuilder::new(StringViewBuilder::new());
    lists.append_value([Some("a"), None]);
    lists.append_null();
    lists.append_value(Vec::<Option<&str>>::new());
    lists.append_value([Some("another text too long for a view")]);
    let bytes: Vec<Option<&[u8]>> = vec![Some(b"\0\xff"), None, Some(b""), Some(b"abc")];
    // To storage, bytes whose last two are the display scale.
    let numerics: Vec<Option<&[u8]>> = vec![
        Some(b"\x81\x0f\0\x02"),
        None,
        Some(b"\x80\0\0"),
        Some(b"\x81\x0f\0\x03"),
    ];
    let micros = vec![Some(i64::MIN), None, Some(0), Some(i64::MAX)];
    let interval = |months, days, nanos| Some(IntervalMonthDayNano::new(months, days, nanos));
    let intervals = vec![
        interval(-1, 2, -3000),
        None,
        interval(0, 0, 0),
        interval(9, 9, 9000),
    ];
    let uuids = [Some([7u8; 16]), None, Some([0; 16]), Some([255; 16])];
    let decimals = Decimal128Array::from(vec![Some(-1), None, Some(0), Some(999_999_999_999)]);
    let columns: Vec<ArrayRef> = vec![
        Arc::new(BooleanArray::from(vec![
            Some(true),
            None,
            Some(false),
            Some(true),
        ])),
        Arc::new(Int16Array::from(vec![
            Some(i16::MIN),
            None,
            Some(0),
            Some(i16::MAX),
        ])),
        Arc::new(Int32Array::from(vec![
            Some(i32::MIN),
            None,
            Some(0),
            Some(i32::MAX),
        ])),
        Arc::new(Int64Array::from(micros.clone())),
        Arc::new(Float32Array::from(vec![
            Some(-0.0),
            None,
            Some(f32::NAN),
            Some(1e-45),
        ])),
        Arc::new(Float64Array::from(vec![
            Some(f64::NEG_INFINITY),
            None,
            Some(-0.0),
            Some(0.0),
        ])),
        Arc::new(decimals.with_precision_and_scale(12, 2).unwrap()),
        Arc::new(LargeBinaryArray::from(numerics)),
        Arc::new(Date32Array::from(vec![
            Some(i32::MIN),
            None,
            Some(0),
            Some(i32::MAX),
        ])),
        Arc::new(Time64MicrosecondArray::from(vec![
            Some(0),
            None,
            Some(1),
            Some(86_399_999_999),
        ])),
        Arc::new(TimestampMicrosecondArray::from(micros.clone())),
        Arc::new(TimestampMicrosecondArray::from(micros).with_timezone("UTC")),
        Arc::new(IntervalMonthDayNanoArray::from(intervals)),
        Arc::new(StringViewArray::from(texts.to_vec())),
        Arc::new(BinaryArray::from(bytes)),
        Arc::new(LargeStringArray::from(vec![
            Some("{}"),
            None,
            Some("null"),
            Some("[1]"),
        ])),
        Arc::new(BinaryViewArray::from_iter(
            texts.map(|t| t.map(|_| "{ \"a\" : 1 }")),
        )),
        Arc::new(
            FixedSizeBinaryArray::try_from_sparse_iter_with_size(uuids.into_iter(), 16).unwrap(),
        ),
        Arc::new(UInt32Array::from(vec![
            Some(0),
            None,
            Some(1),
            Some(u32::MAX),
        ])),
        Arc::new(lists.finish()),
    ];
    let names = (0..columns.len()).map(|i| format!("c{i}"));
    let columns = names
        .zip(columns)
        .map(|(name, column)| (name, column, true));
    RecordBatch::try_from_iter_with_nullable(columns).unwrap()
}

/// `id bigint PRIMARY KEY, name text` with an index on name, and a column `old` until it is dropped.
pub fn changed() -> TableDef {
    let types = [ColumnType::Int64, ColumnType::Text, ColumnType::Int32];
    TableDef {
        id: CHANGED,
        columns: types.into_iter().map(ColumnDef::new).collect(),
        computed: Vec::new(),
        retention: None,
        indexes: vec![
            IndexDef {
                id: CHANGED_BY_ID,
                columns: vec![key(0, false)],
                unique: true,
                predicate: None,
            },
            IndexDef {
                id: CHANGED_BY_NAME,
                columns: vec![key(1, true)],
                unique: false,
                predicate: None,
            },
        ],
    }
}

pub fn rows(ids: &[i64], name: impl Fn(i64) -> Option<String>) -> RecordBatch {
    let names = ids.iter().map(|id| name(*id));
    let columns: Vec<(&str, ArrayRef, bool)> = vec![
        ("c0", Arc::new(Int64Array::from(ids.to_vec())), true),
        ("c1", Arc::new(StringViewArray::from_iter(names)), true),
        (
            "c2",
            Arc::new(Int32Array::from_iter(ids.iter().map(|id| Some(*id as i32)))),
            true,
        ),
    ];
    RecordBatch::try_from_iter_with_nullable(columns).unwrap()
}

fn table(id: CollectionId) -> TableDef {
    TableDef {
        id,
        columns: vec![ColumnDef::new(ColumnType::Int64)],
        computed: Vec::new(),
        retention: None,
        indexes: Vec::new(),
    }
}

fn numbers(range: std::ops::Range<i64>) -> RecordBatch {
    let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(range));
    RecordBatch::try_from_iter_with_nullable([("c0", numbers, true)]).unwrap()
}

/// What the module's header says.
pub fn sample() -> Database {
    let db = empty();
    let engine = &db.engine;
    for expected in 1024..1033 {
        assert_eq!(engine.allocate_collection_id(), CollectionId(expected));
    }
    let mut def = changed();
    commit(engine, |tx| {
        for table in [&all_types(), &def, &table(DROPPED), &table(EMPTY)] {
            tx.define_table(table).unwrap();
        }
        tx.put(SYSTEM, b"catalog", b"1").unwrap();
        tx.insert(&all_types(), &all_types_batch()).unwrap();
        tx.insert(&table(DROPPED), &numbers(0..100)).unwrap();
        let retired = store::create(tx, RETIRED_STORE, "p", "s", 1).unwrap();
        store::put(tx, &retired, b"k", b"version 1").unwrap();
    });
    let ids: Vec<i64> = (0..200).collect();
    let name = |id: i64| (id % 7 != 0).then(|| format!("name {}", id % 10));
    let (row_ids, _) = commit(engine, |tx| tx.insert(&def, &rows(&ids, name)).unwrap());
    engine.flush().unwrap();
    // A migration went by: the first store is retired, another is live.
    commit(engine, |tx| {
        let retired = format!(
            "\x01{}",
            r#"{"version":1,"collection":1031,"state":"retired"}"#
        );
        let live = format!(
            "\x01{}",
            r#"{"version":2,"collection":1030,"state":"live"}"#
        );
        tx.put(STORES, b"p\0s\0\x00\x00\x04\x07", retired.as_bytes())
            .unwrap();
        tx.put(STORES, b"p\0s\0", live.as_bytes()).unwrap();
        tx.put(LIVE_STORE, b"k", b"version 2").unwrap();
        tx.put(LIVE_STORE, b"gone", b"soon").unwrap();
    });
    commit(engine, |tx| tx.remove(LIVE_STORE, b"gone").unwrap());
    for round in 0..5 {
        let some: Vec<usize> = (0..200).filter(|i| i % 9 == round).collect();
        let ids: Vec<i64> = some.iter().map(|i| *i as i64).collect();
        let these: Vec<RowId> = some.iter().map(|i| row_ids[*i]).collect();
        commit(engine, |tx| {
            let name = |id| Some(format!("round {round} of {id}"));
            tx.update(&def, &these, &rows(&ids, name)).unwrap();
        });
        if round == 2 {
            engine.flush().unwrap();
        }
    }
    commit(engine, |tx| tx.delete(&def, &row_ids[190..]).unwrap());
    def.columns[2].dropped = true;
    commit(engine, |tx| {
        tx.define_table(&def).unwrap();
        tx.drop_collection(DROPPED).unwrap();
        tx.put(SYSTEM, b"catalog", b"2").unwrap();
    });
    engine.sequence_next(SEQUENCE, &SEQUENCE_SPEC).unwrap();
    db
}

/// Names for what a view shows.
pub fn describe(view: &ReadView) -> Described {
    let name = |id: CollectionId| match id {
        ALL_TYPES => "public.all_types".to_owned(),
        CHANGED => "public.changed".to_owned(),
        EMPTY => "public.empty".to_owned(),
        other => format!("public.t{other}"),
    };
    let mut tables = Vec::new();
    for table in view.tables_ever().unwrap() {
        if !table.live {
            continue;
        }
        let value = view.get(CATALOG, &catalog_key(table.def.id)).unwrap();
        let def = decode_table(table.def.id, &value.unwrap()).unwrap();
        let columns = def.columns.iter().enumerate();
        tables.push(NamedTable {
            collection: def.id.0,
            name: name(def.id),
            columns: columns
                .map(|(i, column)| ColumnManifest {
                    name: format!("column_{i}"),
                    type_name: format!("{:?}", column.ty),
                    dropped: column.dropped,
                    compression: column.compression.as_deref().map(str::to_owned),
                })
                .collect(),
        });
    }
    Described {
        edition: "lite".to_owned(),
        database: "helios".to_owned(),
        objects: vec![
            object("schema", "public", "CREATE SCHEMA public"),
            object("role", "helios", "CREATE ROLE helios"),
            object(
                "sequence",
                "public.counter",
                "CREATE SEQUENCE public.counter",
            ),
        ],
        sequences: vec![NamedSequence {
            collection: SEQUENCE.0,
            name: "public.counter".to_owned(),
        }],
        tables,
        plugins: vec![PluginDescription {
            id: "p".to_owned(),
            stores: vec![("s".to_owned(), 2)],
            ..PluginDescription::default()
        }],
        config: Some("[server]\nlisten = \"127.0.0.1:0\"\n".to_owned()),
        system_collections: vec![SYSTEM],
        temporary: Temporary::default(),
        ..Described::default()
    }
}

fn object(kind: &str, name: &str, definition: &str) -> ObjectDescription {
    ObjectDescription {
        kind: kind.to_owned(),
        name: name.to_owned(),
        owner: "helios".to_owned(),
        definition: definition.to_owned(),
        comment: None,
        password: None,
    }
}

pub fn export_with(engine: &Engine, options: &ExportOptions) -> (Vec<u8>, Manifest) {
    let view = engine.latest_view();
    let mut out = Vec::new();
    let manifest = export(engine, &view, describe(&view), &mut out, options, &Silent).unwrap();
    (out, manifest)
}

pub fn open(bytes: &[u8]) -> Dump {
    Dump::open_source(Box::new(bytes.to_vec()), "sample.dump", &Silent).unwrap()
}

pub fn dump_of(engine: &Engine) -> Dump {
    open(&export_with(engine, &ExportOptions::default()).0)
}

/// [`changed`] as it is in the end.
pub fn changed_now() -> TableDef {
    let mut def = changed();
    def.columns[2].dropped = true;
    def
}

/// The place of an id in the first index of [`changed`].
pub fn id_is(id: i64) -> IndexRange {
    IndexRange::equal(vec![Datum::Int64(id)])
}

/// Rows of [`changed_now`].
pub fn rows_now(ids: &[i64], name: impl Fn(i64) -> Option<String>) -> RecordBatch {
    rows(ids, name).project(&[0, 1]).unwrap()
}
