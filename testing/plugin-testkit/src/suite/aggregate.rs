//! Aggregates: parts that are merged mean the same as the whole.

use arrow_array::{Array, ArrayRef};
use heliosdb_plugin_api::manifest::{FunctionDecl, FunctionKind};

use super::{Outcome, Suite, arguments, ensure, fair, slices};
use crate::call::{Accumulator, CallError};
use crate::plugin::Started;
use crate::values::{self, SHAPES};

const ROWS: usize = 90;

pub fn check(suite: &Suite) -> Outcome {
    let plugin = suite.started()?;
    for (index, declared) in plugin.provides.functions.iter().enumerate() {
        if declared.kind == FunctionKind::Aggregate {
            check_one(suite, &plugin, index as u32, declared)
                .map_err(|why| format!("aggregate {}: {why}", declared.name))?;
        }
    }
    Ok(())
}

fn check_one(suite: &Suite, plugin: &Started, index: u32, declared: &FunctionDecl) -> Outcome {
    let say = |failed: CallError| failed.to_string();
    let new = || plugin.accumulator(index).map_err(say);
    let empty = fair("no rows", new()?.evaluate())?;
    // The state of a group without rows changes nothing.
    let nothing = new()?.state().map_err(say)?;
    for shape in SHAPES {
        let (name, types) = (&declared.name, &declared.arguments);
        for columns in suite.argument_sets(plugin, name, types, shape, ROWS)? {
            let rows = columns.first().map_or(0, |c| c.len());
            let strict = |row: &usize| !declared.strict || columns.iter().all(|c| c.is_valid(*row));
            let kept: Vec<usize> = (0..rows).filter(strict).collect();
            let columns: Vec<ArrayRef> = columns.iter().map(|c| values::take(c, &kept)).collect();
            let rows = kept.len();

            let mut whole = new()?;
            if fair("update", whole.update(&arguments(&columns), rows))?.is_none() {
                continue;
            }
            let Some(expected) = fair("evaluate", whole.evaluate())? else {
                continue;
            };
            let same = |what: &str, mut accumulator: Accumulator<'_>| {
                let got = accumulator.evaluate().map_err(|e| format!("{what}: {e}"))?;
                ensure(values::same(&got, &expected, true), || {
                    format!("{what} gives another result than the whole ({shape:?})")
                })
            };

            let mut batches = new()?;
            for start in (0..rows).step_by(7) {
                let part = slices(&columns, start, 7.min(rows - start));
                let count = 7.min(rows - start);
                let updated = batches.update(&arguments(&part), count);
                updated.map_err(|e| format!("batches of 7 rows: {e}"))?;
            }
            same("batches of 7 rows", batches)?;

            let mut merged = new()?;
            merged.merge(&nothing).map_err(say)?;
            for start in (0..rows).step_by(40) {
                let count = 40.min(rows - start);
                let mut part = new()?;
                let of_part = arguments(&slices(&columns, start, count));
                part.update(&of_part, count).map_err(say)?;
                let state = part.state().map_err(|e| format!("state: {e}"))?;
                merged.merge(&state).map_err(|e| format!("merge: {e}"))?;
            }
            same("merged parts", merged)?;

            let mut none = new()?;
            none.update(&arguments(&slices(&columns, 0, 0)), 0)
                .map_err(|e| format!("an empty batch: {e}"))?;
            let got = fair("an empty batch", none.evaluate())?;
            let equal = match (&got, &empty) {
                (Some(got), Some(empty)) => values::same(got, empty, false),
                (got, empty) => got.is_none() && empty.is_none(),
            };
            ensure(equal, || {
                "an empty batch gives another result than no batch".to_owned()
            })?;
        }
    }
    damaged_states(plugin, index)
}

/// A state comes from the same plugin, but maybe from another node with another build.
fn damaged_states(plugin: &Started, index: u32) -> Outcome {
    let say = |failed: CallError| failed.to_string();
    let state = plugin.accumulator(index).map_err(say)?.state();
    let state = state.map_err(say)?;
    let mut bad = vec![Vec::new(), vec![0xff; 40], vec![0; 3]];
    bad.extend((0..state.len()).map(|end| state[..end].to_vec()));
    for state in bad {
        let mut accumulator = plugin.accumulator(index).map_err(say)?;
        if let Err(failed) = accumulator.merge(&state) {
            ensure(!failed.panicked, || {
                format!("a damaged state of {} bytes: {failed}", state.len())
            })?;
        }
    }
    Ok(())
}
