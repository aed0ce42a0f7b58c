//! Migrations: golden state is led to the present, and another plugin's is adopted, the same in any
//! batches.

use std::collections::BTreeSet;

use heliosdb_plugin_api::manifest::{AdoptDecl, StepDecl};
use heliosdb_plugin_api::{Entry, Fixture};

use super::{Outcome, Suite, ensure};
use crate::call::{CallError, MigrationCalls};

pub fn check(suite: &Suite) -> Outcome {
    let loaded = suite.loaded()?;
    let stores = &loaded.manifest.stores;
    let Some(calls) = loaded.migrations() else {
        let provides = &loaded.manifest.provides;
        return ensure(
            provides.steps.is_empty() && provides.adopts.is_empty(),
            || "the manifest has steps and the plugin no migration/1".to_owned(),
        );
    };
    let declared = calls.declared().map_err(|e| e.to_string())?;
    let steps = declared.steps;
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
        let index = index as u32;
        odd_entries(&|e| calls.migrate(index, e), &|e| calls.check(index, e))
            .map_err(|why| format!("step of {} from {}: {why}", step.store, step.from))?;
    }
    for (index, edge) in (0..).zip(&declared.adopts) {
        let source = format!("{}.{}@{}", edge.plugin, edge.store, edge.version);
        adoption(suite, &calls, index, edge, &source, &fixtures)
            .map_err(|why| format!("adoption of {source}: {why}"))?;
    }
    Ok(())
}

fn adoption(
    suite: &Suite,
    calls: &MigrationCalls,
    index: u32,
    edge: &AdoptDecl,
    source: &str,
    fixtures: &[Fixture],
) -> Outcome {
    let adopt = |entries: &[Entry]| calls.adopt(index, entries);
    let check = |entry: &Entry| calls.check_adopted(index, entry);
    let mut samples = suite.samples.adopted.iter();
    let samples = samples.find(|(store, _)| store == source);
    let (_, entries) = samples.ok_or("Samples::adopted has none of it")?;
    ensure(!entries.is_empty(), || "the sample is empty".to_owned())?;
    let mut entries = entries.clone();
    entries.sort();
    unique(&entries)?;
    let whole = pass(&adopt, &entries, entries.len())?;
    for size in BATCHES {
        ensure(pass(&adopt, &entries, size)? == whole, || {
            format!("it gives other entries in batches of {size}")
        })?;
    }
    unique(&whole)?;
    // What is sound after an adoption is what is sound in that version at any time.
    let is_it = |f: &&Fixture| f.store == edge.into && f.version == edge.to.unwrap_or(1);
    let golden = fixtures.iter().filter(is_it).flat_map(|f| &f.entries);
    for entry in whole.iter().chain(golden) {
        check(entry).map_err(|e| format!("key {:?}: {e}", entry.key))?;
    }
    odd_entries(&adopt, &check)
}

/// Sizes of batches, beside the whole store.
const BATCHES: [usize; 3] = [1, 2, 7];

/// All steps from the fixture's version to the present.
fn lead(calls: &MigrationCalls, steps: &[StepDecl], fixture: &Fixture, to: u32) -> Outcome {
    let mut entries = fixture.entries.clone();
    entries.sort();
    unique(&entries)?;
    for version in fixture.version..to {
        let is_it = |s: &StepDecl| s.store == fixture.store && s.from == version;
        let step = steps.iter().position(is_it);
        let step = step.ok_or_else(|| format!("no step leads from version {version}"))? as u32;
        let migrate = |entries: &[Entry]| calls.migrate(step, entries);
        let all = entries.len().max(1);
        let whole = pass(&migrate, &entries, all)?;
        for size in BATCHES.into_iter().chain([all]) {
            ensure(pass(&migrate, &entries, size)? == whole, || {
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

type Migrate<'a> = &'a dyn Fn(&[Entry]) -> Result<Vec<Entry>, CallError>;
type Check<'a> = &'a dyn Fn(&Entry) -> Result<(), CallError>;

/// What a step or an adoption makes of a store, in batches.
fn pass(migrate: Migrate<'_>, entries: &[Entry], size: usize) -> Result<Vec<Entry>, String> {
    let mut migrated = Vec::new();
    for batch in entries.chunks(size) {
        migrated.extend(migrate(batch).map_err(|e| e.to_string())?);
    }
    let nothing = migrate(&[]);
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
fn odd_entries(migrate: Migrate<'_>, check: Check<'_>) -> Outcome {
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
        let migrated = migrate(std::slice::from_ref(&odd)).err();
        let checked = check(&odd).err();
        for failed in migrated.into_iter().chain(checked) {
            ensure(!failed.panicked, || {
                format!("an entry that nobody wrote: {failed}")
            })?;
        }
    }
    Ok(())
}
