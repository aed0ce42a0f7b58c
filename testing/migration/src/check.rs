//! What must hold of a database that a migration was disturbed in.

use std::collections::BTreeSet;
use std::ops::Bound;

use heliosdb_plugin_host::migration::{MigrationState, migrations};
use heliosdb_plugin_host::store::{StoreState, stores};
use heliosdb_storage::Engine;
use heliosdb_storage::catalog::FIRST_COLLECTION;
use heliosdb_storage::ids::CollectionId;

use crate::Result;
use crate::scenario::{Scenario, world};

/// Which of the two worlds is live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Before,
    After,
}

/// Which may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Allowed {
    Only(Side),
    Either,
}

/// Promise 1.
pub fn side(engine: &Engine, scenario: &Scenario, allowed: Allowed) -> Result<Side> {
    let mut sides = BTreeSet::new();
    for view in [engine.latest_view(), engine.visible_view()] {
        let found = world(&view).map_err(|e| format!("reading the stores: {e}"))?;
        // A plugin whose migration changes nothing does not exist: it has one store with a step.
        if found == scenario.before {
            sides.insert(0);
        } else if found == scenario.after {
            sides.insert(1);
        } else {
            return Err(format!(
                "the stores are neither old nor new: {found:?}, old {:?}, new {:?}",
                scenario.before, scenario.after
            ));
        }
    }
    let side = match sides.into_iter().collect::<Vec<_>>()[..] {
        [0] => Side::Before,
        [1] => Side::After,
        _ => return Err("latest and visible state differ".to_owned()),
    };
    match allowed {
        Allowed::Only(only) if only != side => {
            Err(format!("the stores read as {side:?}, not {only:?}"))
        }
        _ => Ok(side),
    }
}

/// Promise 2.
pub fn directory(engine: &Engine) -> Result<()> {
    let view = engine.latest_view();
    let known = stores(&view).map_err(|e| e.to_string())?;
    let rows = migrations(&view).map_err(|e| e.to_string())?;
    let shadows = known.iter().filter(|info| info.state == StoreState::Shadow);
    let mut shadows: Vec<_> = shadows
        .map(|info| (info.plugin.clone(), info.name.clone(), info.version))
        .collect();
    let running = rows
        .iter()
        .filter(|row| row.state == MigrationState::Running);
    let mut running: Vec<_> = running
        .map(|row| (row.plugin.clone(), row.store.clone(), row.to_version))
        .collect();
    shadows.sort();
    running.sort();
    if shadows != running {
        return Err(format!("shadows {shadows:?}, running {running:?}"));
    }
    let listed: BTreeSet<CollectionId> = known.iter().map(|info| info.collection).collect();
    if listed.len() != known.len() {
        return Err(format!("one collection twice: {known:?}"));
    }
    let end = engine.allocate_collection_id();
    for id in (FIRST_COLLECTION.0..end.0).map(CollectionId) {
        let range = view.range(id, Bound::Unbounded, Bound::Unbounded);
        let is_empty = range.map_err(|e| e.to_string())?.next().is_none();
        if !is_empty && !listed.contains(&id) {
            return Err(format!(
                "collection {id} has entries and no row in the directory"
            ));
        }
    }
    Ok(())
}

/// Promises 3 and 5, after a run and a finalize. `afresh`: an attempt was given up on purpose, or
/// failed by itself.
pub fn finished(engine: &Engine, scenario: &Scenario, afresh: bool) -> Result<()> {
    side(engine, scenario, Allowed::Only(Side::After))?;
    directory(engine)?;
    let view = engine.latest_view();
    let known = stores(&view).map_err(|e| e.to_string())?;
    if let Some(left) = known.iter().find(|info| info.state != StoreState::Live) {
        return Err(format!("{left:?} is left"));
    }
    let mut published = 0;
    for row in migrations(&view).map_err(|e| e.to_string())? {
        match row.state {
            MigrationState::Finalized => {
                let tallies = [
                    (row.entries_in, row.digest_in),
                    (row.entries_out, row.digest_out),
                ];
                let expected = scenario.tallies(&row.store, row.to_version);
                let expected = expected.map(|(input, output)| {
                    [input, output].map(|tally| (tally.entries, tally.digest))
                });
                if expected != Some(tallies) || row.published_at.is_none() {
                    return Err(format!("{row:?}, expected {expected:?}"));
                }
                published += 1;
            }
            MigrationState::Failed if afresh && row.reason.is_some() => {}
            _ => return Err(format!("the journal ends with {row:?}")),
        }
    }
    if published != scenario.published_rows() {
        return Err(format!("{published} rows are published"));
    }
    Ok(())
}
