//! A plugin's codec encodes the pages of a table, in every state that the plugin can be in.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arrow_array::cast::AsArray;
use arrow_array::{ArrayRef, RecordBatch, StringViewArray};
use arrow_schema::{DataType, Field, Schema};
use heliosdb_plugin_api::{Codec, Error, Host, Plugin, Registrar, Result, Settings, root};
use heliosdb_plugin_host::State;
use heliosdb_storage::ids::{CollectionId, ColumnId};
use heliosdb_storage::schema::{ColumnDef, ColumnType, TableDef};
use heliosdb_storage::{
    Durability, Engine, Error as StorageError, Interrupt, Isolation, ScanRequest,
};

use super::Home;

struct Pack;

impl Plugin for Pack {
    const MANIFEST: &'static str = r#"
        id = "pack"
        version = "1.0.0"
        abi = 1
        [[codec]]
        name = "runs"
        types = ["text"]
    "#;

    fn start(_: Host, _: &Settings) -> Result<Pack> {
        Ok(Pack)
    }

    fn register(self: &Arc<Self>, registrar: &mut Registrar) -> Result<()> {
        registrar.codec("runs", Runs)
    }
}

/// One text and how often it stands there; panics when asked to decode "panic".
struct Runs;

impl Codec for Runs {
    fn analyze(&self, block: &ArrayRef) -> Result<Option<u64>> {
        let texts = block.as_string_view();
        let first = texts.iter().next().flatten();
        let same = first.is_some() && texts.iter().all(|text| text == first);
        Ok(same.then(|| first.unwrap_or_default().len() as u64))
    }

    fn encode(&self, block: &ArrayRef) -> Result<Vec<u8>> {
        Ok(block.as_string_view().value(0).as_bytes().to_vec())
    }

    fn decode(&self, encoded: &[u8], _: &DataType, rows: usize) -> Result<ArrayRef> {
        let text = std::str::from_utf8(encoded).map_err(|e| Error::contract(e.to_string()))?;
        assert_ne!(text, "panic");
        let texts = std::iter::repeat_n(text, rows);
        Ok(Arc::new(StringViewArray::from_iter_values(texts)))
    }
}

fn table() -> TableDef {
    let mut column = ColumnDef::new(ColumnType::Text);
    column.compression = Some("runs".into());
    TableDef {
        id: CollectionId(2000),
        columns: vec![column],
        computed: Vec::new(),
        retention: None,
        indexes: Vec::new(),
    }
}

/// A thousand times the same text, flushed.
fn fill(engine: &Engine, text: &str) {
    let mut txn = engine.begin(Isolation::ReadCommitted, Interrupt::new());
    txn.begin_statement();
    txn.define_table(&table()).unwrap();
    let schema = Schema::new(vec![Field::new("c0", DataType::Utf8View, true)]);
    let texts = std::iter::repeat_n(text, 1000);
    let column: ArrayRef = Arc::new(StringViewArray::from_iter_values(texts));
    let batch = RecordBatch::try_new(Arc::new(schema), vec![column]).unwrap();
    txn.insert(&table(), &batch).unwrap();
    txn.commit(Durability::Synchronous).unwrap();
    engine.flush().unwrap();
}

fn read(engine: &Engine) -> Result<usize, StorageError> {
    let request = ScanRequest::columns(vec![ColumnId(0)]);
    let view = engine.latest_view();
    let mut rows = 0;
    for part in view.scan(Arc::new(table()), request)? {
        for batch in part {
            rows += batch?.num_rows();
        }
    }
    Ok(rows)
}

fn count(engine: &Engine) -> usize {
    read(engine).unwrap()
}

fn pages(engine: &Engine) -> u64 {
    engine.codecs_in_use().iter().map(|used| used.pages).sum()
}

#[test]
fn a_codec_of_a_plugin_that_is_off_decodes_and_that_of_a_missing_one_is_missed() {
    let home = Home::new();
    let (_, engine) = home.boot(&[root::<Pack>()]);
    fill(&engine, "same");
    assert_eq!((pages(&engine), count(&engine)), (1, 1000));
    engine.close().unwrap();

    let off = "[pack]\nactivation = \"off\"";
    let (host, engine) = home.boot_with(off, &[root::<Pack>()]);
    assert_eq!(host.plugin("pack").unwrap().state, State::Disabled);
    assert_eq!(count(&engine), 1000);
    fill(&engine, "same");
    assert_eq!((pages(&engine), count(&engine)), (1, 2000));
    engine.close().unwrap();

    let (_, engine) = home.boot(&[]);
    let missing = read(&engine).unwrap_err();
    assert!(matches!(missing, StorageError::CodecMissing { codec, .. } if codec == "runs"));
    engine.close().unwrap();

    let (_, engine) = home.boot(&[root::<Pack>()]);
    assert_eq!(count(&engine), 2000);
}

/// A page that its codec would not decode again is not encoded; and who panics is asked no more.
#[test]
fn a_codec_that_panics_costs_space_and_no_data() {
    let home = Home::new();
    let (host, engine) = home.boot(&[root::<Pack>()]);
    fill(&engine, "same");
    for round in 1..=3 {
        fill(&engine, "panic");
        assert_eq!(pages(&engine), 1, "round {round}");
    }
    assert_eq!(host.plugin("pack").unwrap().state, State::Quarantined);
    assert!(matches!(
        read(&engine),
        Err(StorageError::CodecMissing { .. })
    ));
    engine.close().unwrap();

    let (_, engine) = home.boot(&[root::<Pack>()]);
    assert_eq!(count(&engine), 4000);
}

/// Its codec decodes until it is told not to.
struct Moody;

static ANGRY: AtomicBool = AtomicBool::new(false);

impl Plugin for Moody {
    const MANIFEST: &'static str = Pack::MANIFEST;

    fn start(_: Host, _: &Settings) -> Result<Moody> {
        Ok(Moody)
    }

    fn register(self: &Arc<Self>, registrar: &mut Registrar) -> Result<()> {
        registrar.codec("runs", MoodyRuns)
    }
}

struct MoodyRuns;

impl Codec for MoodyRuns {
    fn analyze(&self, block: &ArrayRef) -> Result<Option<u64>> {
        Runs.analyze(block)
    }

    fn encode(&self, block: &ArrayRef) -> Result<Vec<u8>> {
        Runs.encode(block)
    }

    fn decode(&self, encoded: &[u8], ty: &DataType, rows: usize) -> Result<ArrayRef> {
        assert!(!ANGRY.load(Ordering::SeqCst), "not in the mood");
        Runs.decode(encoded, ty, rows)
    }
}

/// Pages that nobody decodes at present are missed, not damaged; also of a plugin that is off.
#[test]
fn the_decoders_of_a_plugin_that_is_off_are_quarantined_too() {
    let home = Home::new();
    let (_, engine) = home.boot(&[root::<Moody>()]);
    fill(&engine, "same");
    engine.close().unwrap();

    let off = "[pack]\nactivation = \"off\"";
    let (_, engine) = home.boot_with(off, &[root::<Moody>()]);
    ANGRY.store(true, Ordering::SeqCst);
    let missed = |_: usize| matches!(read(&engine), Err(StorageError::CodecMissing { .. }));
    let reads: Vec<bool> = (0..4).map(missed).collect();
    assert_eq!(reads.last(), Some(&true), "{reads:?}");
    assert_eq!(reads.first(), Some(&false), "{reads:?}");
}
