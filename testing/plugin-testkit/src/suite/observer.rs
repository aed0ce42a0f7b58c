//! Observers: told twice of one state they keep it once, and no object makes them panic.

use heliosdb_plugin_api::Entry;
use heliosdb_plugin_api::service::ObjectInfo;

use super::{Outcome, Suite, ensure, fair};
use crate::host::Statement;
use crate::plugin::Started;

/// Prefixes of commands; which one ran is for information.
const COMMANDS: [&str; 3] = ["CREATE SAMPLE", "ALTER SAMPLE", ""];

pub fn check(suite: &Suite) -> Outcome {
    let observers = suite.loaded()?.manifest.provides.observers;
    for (index, declared) in (0..).zip(observers) {
        let named = |why| format!("observer of {}: {why}", declared.plugin);
        let samples = suite.samples.observed.iter();
        let samples = samples.filter(|object| object.plugin == declared.plugin);
        let samples: Vec<ObjectInfo> = samples.cloned().collect();
        if samples.is_empty() {
            return Err(named("Samples::observed has none of it".to_owned()));
        }
        told_of(&suite.started()?, index, &samples).map_err(named)?;
        odd_objects(&suite.started()?, index, &samples).map_err(named)?;
    }
    Ok(())
}

fn told_of(plugin: &Started, index: u32, samples: &[ObjectInfo]) -> Outcome {
    let kept = || -> Vec<Vec<Entry>> {
        let stores = plugin.loaded.manifest.stores.iter();
        stores.map(|store| plugin.host.store(&store.name)).collect()
    };
    let changed = |objects: &[ObjectInfo]| {
        plugin
            .changed(index, &Statement::new(), COMMANDS[0], objects)
            .map_err(|e| e.to_string())
    };
    changed(samples)?;
    let once = kept();
    // Another time must not be what makes the difference either.
    plugin.host.advance_clock_us(1_000_000);
    changed(samples).map_err(|why| format!("told a second time: {why}"))?;
    ensure(kept() == once, || {
        "told twice of one state, it keeps something else".to_owned()
    })?;
    for object in samples {
        changed(std::slice::from_ref(object)).map_err(|why| format!("told of one: {why}"))?;
    }
    ensure(kept() == once, || {
        "told of each object alone, it keeps something else".to_owned()
    })?;
    for object in samples {
        let told = plugin.dropped(index, &Statement::new(), object);
        told.map_err(|e| format!("told of a drop: {e}"))?;
    }
    Ok(())
}

/// Objects that are not there, of other classes, with any names; when it may write and when not.
fn odd_objects(plugin: &Started, index: u32, samples: &[ObjectInfo]) -> Outcome {
    let mut objects = samples.to_vec();
    for sample in samples {
        for odd in ["", "\u{0}", "🐈", "\"", "'; --", &"x".repeat(100_000)] {
            objects.push(ObjectInfo {
                class: odd.to_owned(),
                ..sample.clone()
            });
            objects.push(ObjectInfo {
                schema: odd.to_owned(),
                name: odd.to_owned(),
                owner: odd.to_owned(),
                ..sample.clone()
            });
        }
        objects.extend([0, 1, u32::MAX].map(|oid| ObjectInfo {
            oid,
            ..sample.clone()
        }));
    }
    for (object, command) in objects.iter().zip(COMMANDS.iter().cycle()) {
        for read_only in [true, false] {
            plugin.host.set_read_only(read_only);
            let one = std::slice::from_ref(object);
            let changed = plugin.changed(index, &Statement::new(), command, one);
            let dropped = plugin.dropped(index, &Statement::new(), object);
            plugin.host.set_read_only(false);
            fair("an object changed", changed)?;
            fair("an object was dropped", dropped)?;
        }
        let canceled = Statement::cancelled_after(0);
        let dropped = plugin.dropped(index, &canceled, object);
        fair("canceled, an object was dropped", dropped)?;
    }
    let canceled = Statement::cancelled_after(0);
    let changed = plugin.changed(index, &canceled, COMMANDS[0], &objects);
    fair("canceled, objects changed", changed)?;
    let none = plugin.changed(index, &Statement::new(), COMMANDS[0], &[]);
    fair("no object changed", none)?;
    Ok(())
}
