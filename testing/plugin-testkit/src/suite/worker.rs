//! Workers: what they come to does not depend on how long their quanta are, and neither failure nor
//! cancellation makes them lose their place.

use std::sync::atomic::{AtomicU64, Ordering};

use heliosdb_plugin_api::{Entry, Turn};

use super::{Outcome, Suite, ensure, fair};
use crate::host::{LOOK_US, Statement};
use crate::plugin::Started;

/// Quanta after which a worker should have come to rest on what the samples have.
const QUANTA_MAX: u64 = 10_000;

pub fn check(suite: &Suite) -> Outcome {
    let workers = suite.loaded()?.manifest.provides.workers;
    for (index, declared) in (0..).zip(workers) {
        let named = |why| format!("worker {}: {why}", declared.name);
        let whole = finish(suite, index, u64::MAX / 2, |_, _| Ok(()));
        let whole = whole.map_err(named)?;
        for looks in [1, 2, 7] {
            let pieces = finish(suite, index, looks * LOOK_US, |_, _| Ok(()));
            ensure(pieces.map_err(named)? == whole, || {
                named(format!(
                    "in quanta that end at the look {looks} at the budget, it comes to something else"
                ))
            })?;
        }
        let disturbed = finish(suite, index, 2 * LOOK_US, disturb).map_err(named)?;
        ensure(disturbed == whole, || {
            named("after failures and cancellations it comes to something else".to_owned())
        })?;
    }
    Ok(())
}

/// What is in the plugin's stores.
type Kept = Vec<Vec<Entry>>;

fn kept(plugin: &Started) -> Kept {
    let stores = plugin.loaded.manifest.stores.iter();
    stores.map(|store| plugin.host.store(&store.name)).collect()
}

/// What the worker keeps when it has come to rest, in quanta of this length. `between` is done between
/// quanta.
fn finish(
    suite: &Suite,
    index: u32,
    quantum_us: u64,
    between: impl Fn(&Started, u32) -> Outcome,
) -> Result<Kept, String> {
    let plugin = suite.started()?;
    for (store, entries) in &suite.samples.stored {
        plugin.host.set_store(store, entries.clone());
    }
    let quanta = AtomicU64::new(0);
    loop {
        between(&plugin, index)?;
        plugin.host.set_quantum_us(quantum_us);
        let turn = plugin.work(index, &Statement::new());
        plugin.host.set_quantum_us(u64::MAX);
        match turn.map_err(|e| e.to_string())? {
            Turn::More => {}
            Turn::Sleep(_) | Turn::Done => return Ok(kept(&plugin)),
        }
        ensure(quanta.fetch_add(1, Ordering::SeqCst) < QUANTA_MAX, || {
            format!("there is more to do after {QUANTA_MAX} quanta")
        })?;
    }
}

/// A quantum that may not write, and one that is canceled: both are undone, as a host does.
fn disturb(plugin: &Started, index: u32) -> Outcome {
    let before: Vec<(String, Vec<Entry>)> = {
        let stores = plugin.loaded.manifest.stores.iter();
        let stores = stores.map(|store| store.name.clone());
        stores.zip(kept(plugin)).collect()
    };
    for (what, read_only, statement) in [
        ("a quantum that cannot write", true, Statement::new()),
        ("a canceled quantum", false, Statement::cancelled_after(0)),
        (
            "a quantum canceled later",
            false,
            Statement::cancelled_after(3),
        ),
    ] {
        plugin.host.set_read_only(read_only);
        plugin.host.set_quantum_us(2 * LOOK_US);
        let turn = plugin.work(index, &statement);
        plugin.host.set_read_only(false);
        let turn = fair(what, turn)?;
        // One that has no error has kept what it did, and its place with it.
        if turn.is_none() {
            for (store, entries) in &before {
                plugin.host.set_store(store, entries.clone());
            }
        } else {
            return Ok(());
        }
    }
    Ok(())
}
