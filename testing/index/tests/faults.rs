//! A method that does not keep the contract: each fault is found, counted, and in the end the plugin is called no
//! more, while the index can still be removed.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use heliosdb_index_torture::{Booted, index_of, set_up, table};
use heliosdb_plugin_api::arrow::array::{Float64Array, UInt64Array};
use heliosdb_plugin_api::extension::index::{
    Hits, Index, IndexBuild, IndexCost, IndexCursor, IndexDefinition, Rows, Search, Versions,
};
use heliosdb_plugin_api::service::SignedRows;
use heliosdb_plugin_api::{Context, Error, Host, Plugin, Registrar, Result, Settings, root, state};
use heliosdb_plugin_host::index::{IndexError, PluginIndex};
use heliosdb_plugin_host::{State, index};
use heliosdb_sim::SimDisk;
use heliosdb_sim::rng::Rng;
use heliosdb_storage::{Durability, Engine, Interrupt, Isolation, Options};

/// What it does wrong. Tests that set it wait for each other.
static ACT: AtomicU8 = AtomicU8::new(0);
static ONE_AT_A_TIME: std::sync::Mutex<()> = std::sync::Mutex::new(());

#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(u8)]
enum Act {
    Nothing,
    FindsTwice,
    Rises,
    ScoresNothing,
    CostsNothing,
    EvaluatesNothing,
    EvaluatesFewer,
    PanicsInNext,
    PanicsInApply,
    WritesWhileAsked,
    ReadsOtherStore,
    AsksOfOtherTable,
    FailsInApply,
}

fn does(act: Act) -> bool {
    ACT.load(Ordering::SeqCst) == act as u8
}

struct Rogue;

impl Plugin for Rogue {
    const MANIFEST: &'static str = r#"
        id = "word"
        version = "1.0.0"
        abi = 1
        services = ["store/1", "visible/1"]
        [[index]]
        name = "word"
        types = ["text"]
        store = "words"
        [[store]]
        name = "words"
        version = 1
        [[store]]
        name = "other"
        version = 1
    "#;

    fn start(_: Host, _: &Settings) -> Result<Rogue> {
        Ok(Rogue)
    }

    fn register(self: &Arc<Self>, registrar: &mut Registrar) -> Result<()> {
        registrar.index("word", Rogue)
    }
}

/// Names the versions that it was told of, and finds them all.
struct Named(Vec<(u64, u64)>);

fn name(row: u64, begin: u64) -> Vec<u8> {
    [row.to_be_bytes(), begin.to_be_bytes()].concat()
}

impl IndexBuild for Rogue {
    fn add(&mut self, cx: &Context<'_>, versions: &Versions) -> Result<()> {
        for (row, begin) in versions.rows.values().iter().zip(versions.begins.values()) {
            cx.store("words")?.put(&name(*row, *begin), b"")?;
        }
        Ok(())
    }

    fn finish(&mut self, _: &Context<'_>) -> Result<()> {
        Ok(())
    }
}

impl IndexCursor for Named {
    fn next(&mut self, _: &Context<'_>) -> Result<Option<Hits>> {
        assert!(!does(Act::PanicsInNext), "as always");
        let mut named = std::mem::take(&mut self.0);
        if named.is_empty() {
            return Ok(None);
        }
        if does(Act::FindsTwice) {
            named.push(named[0]);
        }
        let score = |at: usize| match at {
            1 if does(Act::Rises) => 2.0,
            0 if does(Act::ScoresNothing) => f64::NAN,
            _ => 1.0,
        };
        Ok(Some(Hits {
            rows: UInt64Array::from_iter_values(named.iter().map(|(row, _)| *row)),
            begins: UInt64Array::from_iter_values(named.iter().map(|(_, begin)| *begin)),
            scores: Float64Array::from_iter_values((0..named.len()).map(score)),
        }))
    }
}

impl Index for Rogue {
    fn build(&self, _: &Context<'_>, _: &IndexDefinition) -> Result<Box<dyn IndexBuild>> {
        Ok(Box::new(Rogue))
    }

    fn apply(&self, cx: &Context<'_>, _: &IndexDefinition, changes: &SignedRows) -> Result<()> {
        for (row, scn) in changes.rows.values().iter().zip(changes.scns.values()) {
            cx.store("words")?.put(&name(*row, *scn), b"")?;
        }
        assert!(!does(Act::PanicsInApply), "as always");
        match does(Act::FailsInApply) {
            true => Err(Error::new(state::DATA_EXCEPTION, "not today")),
            false => Ok(()),
        }
    }

    fn stats(&self, _: &Context<'_>, _: &IndexDefinition, _: &[u8]) -> Result<Vec<u8>> {
        Ok(Vec::new())
    }

    fn stats_of(&self, _: &IndexDefinition, _: &[u8], _: &Rows) -> Result<Vec<u8>> {
        Ok(Vec::new())
    }

    fn merge_stats(&self, _: &[u8], _: &[u8]) -> Result<Vec<u8>> {
        Ok(Vec::new())
    }

    fn open(
        &self,
        cx: &Context<'_>,
        index: &IndexDefinition,
        _: &Search<'_>,
    ) -> Result<Box<dyn IndexCursor>> {
        let store = cx.store("words")?;
        if does(Act::WritesWhileAsked) {
            store.put(b"k", b"v")?;
        }
        if does(Act::ReadsOtherStore) {
            cx.store("other")?.entries()?;
        }
        if does(Act::AsksOfOtherTable) {
            cx.visible()?.of(index.table + 1, &[1], &[1])?;
        }
        let number = |part: &[u8]| part.try_into().map_or(0, u64::from_be_bytes);
        let named = store.entries()?.into_iter();
        let named = named.map(|entry| (number(&entry.key[..8]), number(&entry.key[8..])));
        Ok(Box::new(Named(named.collect())))
    }

    fn evaluate(&self, _: &IndexDefinition, _: &Search<'_>, rows: &Rows) -> Result<Float64Array> {
        if does(Act::EvaluatesFewer) {
            return Ok(Float64Array::from_iter_values(vec![1.0; rows.count - 1]));
        }
        let score = if does(Act::EvaluatesNothing) {
            f64::NAN
        } else {
            1.0
        };
        Ok(Float64Array::from_iter_values(vec![score; rows.count]))
    }

    fn cost(&self, _: &Context<'_>, _: &IndexDefinition, _: &[u8]) -> Result<IndexCost> {
        Ok(IndexCost {
            startup: 0.0,
            total: if does(Act::CostsNothing) {
                f64::NAN
            } else {
                1.0
            },
            rows: 1.0,
        })
    }

    fn size_bytes(&self, _: &Context<'_>, _: &IndexDefinition) -> Result<u64> {
        Ok(0)
    }

    fn check(&self, _: &Context<'_>, _: &IndexDefinition) -> Result<Vec<String>> {
        Ok(Vec::new())
    }
}

struct Scene {
    engine: Engine,
    index: PluginIndex,
    booted: Booted,
}

/// Five rows that the index knows, and five that it does not.
fn scene() -> Scene {
    ACT.store(0, Ordering::SeqCst);
    let booted = Booted::new(&[root::<Rogue>()]).unwrap();
    let engine = Engine::open(Arc::new(SimDisk::new(9)), Options::default()).unwrap();
    set_up(&engine).unwrap();
    let index = index_of(&engine, booted.method("word").unwrap());
    for built in [false, true] {
        let mut txn = engine.begin(Isolation::ReadCommitted, Interrupt::new());
        txn.begin_statement();
        let rows = table::batch(&mut Rng::new(1), 5);
        txn.insert(&table::definition(), &rows).unwrap();
        txn.commit(Durability::Synchronous).unwrap();
        if !built {
            index.build(&Interrupt::new()).unwrap();
        }
    }
    Scene {
        engine,
        index,
        booted,
    }
}

impl Scene {
    fn search(&self) -> index::Result<usize> {
        let view = self.engine.latest_view();
        let reading = self.index.read(&view, &Interrupt::new())?;
        reading.cost(b"")?;
        Ok(reading.search(b"", Some(100))?.len())
    }

    fn state(&self) -> State {
        self.booted.host().plugin("word").unwrap().state
    }
}

/// The error's code, and what it says.
fn said(error: &IndexError) -> (String, String) {
    match error {
        IndexError::Plugin(error) => (error.sqlstate.to_string(), error.message.clone()),
        other => panic!("{other}"),
    }
}

#[test]
fn each_fault_is_found_and_the_third_ends_it() {
    let _one = ONE_AT_A_TIME.lock().unwrap_or_else(|e| e.into_inner());
    for (act, reason) in [
        (Act::FindsTwice, "a version is found twice"),
        (Act::Rises, "scores that do not fall"),
        (Act::ScoresNothing, "scores that do not fall"),
        (Act::CostsNothing, "is no cost"),
        (Act::EvaluatesNothing, "a score that is no number"),
        (Act::EvaluatesFewer, "5 rows were expected, not 4"),
        (Act::PanicsInNext, "panicked in index/1.next"),
    ] {
        let scene = scene();
        assert_eq!(scene.search().unwrap(), 10);
        for fault in 1..=3 {
            ACT.store(act as u8, Ordering::SeqCst);
            let (code, message) = said(&scene.search().unwrap_err());
            assert!(
                code == "38000" && message.contains(reason),
                "{act:?}: {message}"
            );
            ACT.store(0, Ordering::SeqCst);
            match fault {
                3 => assert_eq!(scene.state(), State::Quarantined, "{act:?}"),
                _ => assert_eq!(scene.search().unwrap(), 10, "{act:?}"),
            }
        }
        let (code, _) = said(&scene.search().unwrap_err());
        assert_eq!(code, "55000");
        // Removing an index asks nobody.
        scene.index.remove(&Interrupt::new()).unwrap();
        assert_eq!(scene.engine.pins().unwrap().len(), 0);
    }
}

#[test]
fn what_a_change_has_done_goes_with_its_failure() {
    let _one = ONE_AT_A_TIME.lock().unwrap_or_else(|e| e.into_inner());
    for act in [Act::PanicsInApply, Act::FailsInApply] {
        let scene = scene();
        let header = || scene.index.header(&scene.engine.latest_view()).unwrap();
        let before = header();
        ACT.store(act as u8, Ordering::SeqCst);
        let failed = scene.index.catch_up(usize::MAX, &Interrupt::new());
        assert!(failed.is_err(), "{act:?}");
        ACT.store(0, Ordering::SeqCst);
        assert_eq!(header(), before);
        assert_eq!(scene.search().unwrap(), 10);
        let progress = scene.index.catch_up(usize::MAX, &Interrupt::new());
        assert_eq!(progress.unwrap().rows, 5);
        assert_eq!(scene.search().unwrap(), 10);
    }
}

#[test]
fn an_index_that_is_asked_has_its_own_and_nothing_else() {
    let _one = ONE_AT_A_TIME.lock().unwrap_or_else(|e| e.into_inner());
    for (act, code) in [
        (Act::WritesWhileAsked, "25006"),
        (Act::ReadsOtherStore, "42501"),
        (Act::AsksOfOtherTable, "42501"),
    ] {
        let scene = scene();
        ACT.store(act as u8, Ordering::SeqCst);
        assert_eq!(said(&scene.search().unwrap_err()).0, code, "{act:?}");
        ACT.store(Act::Nothing as u8, Ordering::SeqCst);
        assert_eq!(scene.search().unwrap(), 10);
        assert_eq!(scene.state(), State::Active);
    }
}
