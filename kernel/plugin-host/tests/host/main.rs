//! A plugin linked into the test goes through a whole boot, and every kind of thing it provides is
//! called as the SQL layer would.
#![allow(clippy::unwrap_used)]

mod background;
mod codec;
mod demo;

use std::sync::Arc;
use std::time::Duration;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Array, ArrayRef, Int64Array, StringViewArray};
use arrow_schema::DataType;
use heliosdb_plugin_api::abi::RootRef;
use heliosdb_plugin_api::{Argument, root};
use heliosdb_plugin_host::boot::BootPlan;
use heliosdb_plugin_host::config::PluginsConfig;
use heliosdb_plugin_host::host::manifests;
use heliosdb_plugin_host::service::{MemoryLimit, Unlimited};
use heliosdb_plugin_host::{NameKind, NoStatement, PluginHost, State};
use heliosdb_storage::io::disk::Disk;
use heliosdb_storage::{Engine, Options};

use demo::{Demo, Forgetful, Panicking, SIZES, Sizes};

/// A database in a directory of its own, which the host is booted on again and again.
struct Home {
    directory: tempfile::TempDir,
}

impl Home {
    fn new() -> Home {
        Home {
            directory: tempfile::tempdir().unwrap(),
        }
    }

    fn boot(&self, linked: &[RootRef]) -> (Arc<PluginHost>, Engine) {
        self.boot_with("", linked)
    }

    /// With this text as `[plugins]`.
    fn boot_with(&self, config: &str, linked: &[RootRef]) -> (Arc<PluginHost>, Engine) {
        let disk = Arc::new(Disk::open(self.directory.path()).unwrap());
        let engine = Engine::open(disk.clone(), Options::default()).unwrap();
        let config: PluginsConfig = toml::from_str(config).unwrap();
        let bundled = manifests(linked).unwrap();
        let plan = BootPlan::make(disk, self.directory.path(), &config, bundled, &|_, _| false);
        let memory: Arc<dyn MemoryLimit> = Arc::new(Unlimited);
        let timeout = Duration::from_secs(30);
        let host = PluginHost::boot(plan.unwrap(), linked, &engine, timeout, &memory).unwrap();
        (host, engine)
    }
}

fn texts(values: &[&str]) -> ArrayRef {
    Arc::new(StringViewArray::from_iter_values(values))
}

#[test]
fn a_plugin_starts_and_answers() {
    let home = Home::new();
    let (host, _engine) = home.boot(&[root::<Demo>()]);
    let demo = host.plugin("demo").unwrap();
    assert_eq!((demo.state, demo.reason), (State::Active, None));
    let registry = host.registry();

    let shout = registry
        .functions()
        .iter()
        .find(|f| f.declared.name == "shout");
    let shout = shout.unwrap();
    let rows = texts(&["a", "bc", "d"]);
    let arguments = [Argument::new(rows, false)];
    let shouted = shout.call(&NoStatement, &arguments, 3, &DataType::Utf8View);
    let shouted = shouted.unwrap();
    let shouted: Vec<_> = shouted.as_string_view().iter().flatten().collect();
    assert_eq!(shouted, ["A!", "BC!", "D!"]);

    let total = registry
        .functions()
        .iter()
        .find(|f| f.declared.name == "total");
    let total = total.unwrap();
    let mut halves = Vec::new();
    for half in [vec![1, 2], vec![39]] {
        let mut accumulator = total.accumulator().unwrap();
        let rows = half.len();
        let half: ArrayRef = Arc::new(Int64Array::from(half));
        accumulator
            .update(&[Argument::new(half, false)], rows)
            .unwrap();
        halves.push(accumulator.state().unwrap());
    }
    let mut whole = total.accumulator().unwrap();
    for half in halves {
        whole.merge(&half).unwrap();
    }
    let whole = whole.evaluate(&DataType::Int64).unwrap();
    assert_eq!(whole.as_primitive::<Int64Type>().value(0), 42);

    let count = registry
        .functions()
        .iter()
        .find(|f| f.declared.name == "upto");
    let limit: ArrayRef = Arc::new(Int64Array::from(vec![5]));
    let mut cursor = count
        .unwrap()
        .open(NoStatement::shared(), &[limit])
        .unwrap();
    let mut seen = 0;
    while let Some(batch) = cursor.next(&[DataType::Int64]).unwrap() {
        seen += batch[0].len();
    }
    assert_eq!(seen, 5);
}

/// A planner may ask from any thread at any time, and a plugin's accumulator is for one at a time.
#[test]
fn the_size_of_an_accumulator_is_known_without_a_call() {
    use std::sync::atomic::Ordering;
    let home = Home::new();
    let (host, _engine) = home.boot(&[root::<Sizes>()]);
    let registry = host.registry();
    let mut accumulator = registry.functions()[0].accumulator().unwrap();
    assert_eq!(accumulator.size_bytes(), 0);
    let rows: ArrayRef = Arc::new(Int64Array::from(vec![40, 2]));
    accumulator
        .update(&[Argument::new(rows, false)], 2)
        .unwrap();
    let calls = SIZES.load(Ordering::SeqCst);
    assert_eq!(accumulator.size_bytes(), 42);
    assert_eq!(SIZES.load(Ordering::SeqCst), calls);
}

#[test]
fn a_plugin_that_does_not_start_is_said_to_have_done_what_it_did() {
    let home = Home::new();
    let (host, _engine) = home.boot(&[root::<Forgetful>(), root::<Panicking>()]);
    let reason = |id: &str| host.plugin(id).unwrap().reason.unwrap();
    assert_eq!(
        reason("forgetful"),
        "plugin \"forgetful\" broke its contract: the manifest declares the function \"f()\", \
         which is not registered"
    );
    assert_eq!(
        reason("panicking"),
        "it panicked while starting: plugin \"panicking\" panicked in lifecycle/1.start: no room"
    );
}

#[test]
fn a_plugin_that_keeps_panicking_is_quarantined() {
    let home = Home::new();
    let (host, _engine) = home.boot(&[root::<Demo>()]);
    let registry = host.registry();
    let shout = registry
        .functions()
        .iter()
        .find(|f| f.declared.name == "shout");
    let bad = [Argument::new(texts(&["panic"]), false)];
    let good = [Argument::new(texts(&["fine"]), false)];
    let call = |arguments: &[Argument]| {
        let called = shout
            .unwrap()
            .call(&NoStatement, arguments, 1, &DataType::Utf8View);
        called.map(|_| ()).map_err(|e| e.message)
    };
    for _ in 0..3 {
        assert_eq!(call(&good), Ok(()));
        let message = call(&bad).unwrap_err();
        assert_eq!(message, "plugin \"demo\" panicked in function/1.call");
    }
    assert_eq!(call(&good).unwrap_err(), "plugin \"demo\" is quarantined");
    assert_eq!(host.plugin("demo").unwrap().state, State::Quarantined);
    let claimed = registry.claimed(NameKind::Function, "shout").unwrap();
    assert_eq!(claimed.state, State::Quarantined);
}

#[test]
fn stores_are_made_and_migrated_before_the_start() {
    use heliosdb_plugin_host::store;
    let home = Home::new();
    let (_, engine) = home.boot(&[root::<Demo>()]);
    let version = |engine: &Engine| {
        let view = engine.latest_view();
        let found = store::find(&view, "demo", "things").unwrap();
        found.map(|s| s.version)
    };
    assert_eq!(version(&engine), Some(1));
    engine.close().unwrap();

    let (host, engine) = home.boot(&[root::<demo::Second>()]);
    assert_eq!(host.plugin("demo").unwrap().reason, None);
    assert_eq!(version(&engine), Some(2));
    assert_eq!(host.reports().len(), 1);
    engine.close().unwrap();

    let (host, engine) = home.boot(&[root::<Demo>()]);
    let demo = host.plugin("demo").unwrap();
    assert_eq!(demo.state, State::Failed);
    assert!(
        demo.reason.unwrap().contains("version 2"),
        "newer than the code"
    );
    assert_eq!(version(&engine), Some(2), "and it was left alone");
}

/// The adoption makes the version that it was written for, and the steps lead on from there.
#[test]
fn what_is_adopted_goes_through_the_steps_of_later_versions() {
    use heliosdb_plugin_host::store;
    use heliosdb_storage::{Durability, Interrupt, Isolation};
    let home = Home::new();
    let (_, engine) = home.boot(&[root::<Demo>()]);
    let things = store::find(&engine.latest_view(), "demo", "things");
    let mut txn = engine.begin(Isolation::ReadCommitted, Interrupt::new());
    store::put(&mut txn, &things.unwrap().unwrap(), b"k", b"v").unwrap();
    txn.commit(Durability::Synchronous).unwrap();
    engine.close().unwrap();

    let (host, engine) = home.boot(&[root::<demo::Heir>()]);
    assert_eq!(host.plugin("heir").unwrap().reason, None);
    let view = engine.latest_view();
    let estate = store::find(&view, "heir", "estate").unwrap().unwrap();
    assert_eq!(estate.version, 2);
    let value = view.get(estate.collection, b"k").unwrap();
    assert_eq!(value.as_deref(), Some(&b"\x02v"[..]));
}
