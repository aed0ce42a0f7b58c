//! Migrations: golden state is led to the present, the same in any batches.

use std::collections::BTreeSet;

use heliosdb_plugin_api::manifest::StepDecl;
use heliosdb_plugin_api::{Entry, Fixture};

use super::{Outcome, Suite, ensure};
use crate::call::MigrationCalls;

pub fn check(suite: &Suite) -> Outcome {
    let loaded = suite.loaded()?;
    let stores = &loaded.manifest.stores;
    let Some(calls) = loaded.migrations() else {
        return ensure(loaded.manifest.provides.steps.is_empty(), || {
            "the manifest has steps and the plugin no migration/1".to_owned()
        });
    };
    let steps = calls.declared().map_err(|e| e.to_string())?.steps;
    let fixtures = calls.fixtures().map_err(|e| e.to_string())?;
    for fixture in &fixtures {
        let store = stores.iter().find(|s| s.name == fixture.store);
        let store = store.ok_or_else(|| format!("a fixture is of no store: {}", fixture.store))?;
        ensure((1..=store.version).contains(&fixture.version), || {
            format!(
                "a fixture of {} is of version {}",
                store.name, fixture.version
            )
        })?;
        lead(&calls, &steps, fixture, store.version).map_err(|why| {
            format!(
                "store {} from version {}: {why}",
                store.name, fixture.version
            )
        })?;
    }
    for (index, step) in steps.iter().enumerate() {
        let golden = fixtures
            .iter()
            .any(|f| f.store == step.store && f.version <= step.from && !f.entries.is_empty());
        ensure(golden, || {
            format!(
                "no fixture runs the step of {} from {}",
                step.store, step.from
            )
        })?;
        odd_entries(&calls, index as u32)
            .map_err(|why| format!("step of {} from {}: {why}", step.store, step.from))?;
    }
    Ok(())
}

/// All steps from the fixture's version to the present.
fn lead(calls: &MigrationCalls, steps: &[StepDecl], fixture: &Fixture, to: u32) -> Outcome {
    let mut entries = fixture.entries.clone();
    entries.sort();
    unique(&entries)?;
    for version in fixture.version..to {
        let is_it = |s: &StepDecl| s.store == fixture.store && s.from == version;
        let step = steps.iter().position(is_it);
        let step = step.ok_or_else(|| format!("no step leads from version {version}"))? as u32;
        let whole = migrate(calls, step, &entries, entries.len().max(1))?;
        for size in [entries.len().max(1), 1, 2, 7] {
            ensure(migrate(calls, step, &entries, size)? == whole, || {
                format!("the step from {version} gives other entries in batches of {size}")
            })?;
        }
        unique(&whole).map_err(|why| format!("the step from {version}: {why}"))?;
        for entry in &whole {
            let sound = calls.check(step, entry);
            sound.map_err(|e| format!("the step from {version}, key {:?}: {e}", entry.key))?;
        }
        entries = whole;
    }
    Ok(())
}

fn migrate(
    calls: &MigrationCalls,
    step: u32,
    entries: &[Entry],
    size: usize,
) -> Result<Vec<Entry>, String> {
    let mut migrated = Vec::new();
    for batch in entries.chunks(size) {
        migrated.extend(calls.migrate(step, batch).map_err(|e| e.to_string())?);
    }
    let nothing = calls.migrate(step, &[]);
    let nothing = nothing.map_err(|e| format!("an empty batch: {e}"))?;
    ensure(nothing.is_empty(), || {
        "an empty batch gives entries".to_owned()
    })?;
    migrated.sort();
    Ok(migrated)
}

fn unique(entries: &[Entry]) -> Outcome {
    let mut keys = BTreeSet::new();
    match entries.iter().find(|entry| !keys.insert(&entry.key)) {
        None => Ok(()),
        Some(entry) => Err(format!("the key {:?} comes twice", entry.key)),
    }
}

/// A store may hold what no version of the plugin wrote; a step says so and does not panic.
fn odd_entries(calls: &MigrationCalls, step: u32) -> Outcome {
    let entry = |key: &[u8], value: &[u8]| Entry {
        key: key.to_vec(),
        value: value.to_vec(),
    };
    for odd in [
        entry(b"", b""),
        entry(b"\xff\xfe", b"\xff\xfe\xfd"),
        entry(b"key", b"{"),
        entry(b"key", b"null"),
        entry(&[0; 300], &[0xff; 300]),
    ] {
        let migrated = calls.migrate(step, std::slice::from_ref(&odd)).err();
        let checked = calls.check(step, &odd).err();
        for failed in migrated.into_iter().chain(checked) {
            ensure(!failed.panicked, || {
                format!("an entry that nobody wrote: {failed}")
            })?;
        }
    }
    Ok(())
}
