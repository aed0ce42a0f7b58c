//! Constraints: the same rows break them in every way of splitting a batch.

use arrow_array::{Array, ArrayRef};
use heliosdb_plugin_api::{ConstraintDefinition, Violation};

use super::{Outcome, Suite, arguments, ensure, slices};
use crate::plugin::Started;
use crate::values::{self, Shape};

pub fn check(suite: &Suite) -> Outcome {
    let plugin = suite.started()?;
    for declared in &plugin.provides.constraints {
        let samples = suite.samples.constraints.iter();
        let mut samples = samples
            .filter(|(name, _, _)| *name == declared.name)
            .peekable();
        if samples.peek().is_none() {
            return Err(format!(
                "constraint {}: Samples::constraint has none of it",
                declared.name
            ));
        }
        for (name, options, columns) in samples {
            check_one(&plugin, name, options, columns)
                .map_err(|why| format!("constraint {name}: {why}"))?;
        }
        odd_definitions(&plugin, &declared.name)
            .map_err(|why| format!("constraint {}: {why}", declared.name))?;
    }
    Ok(())
}

fn definition(options: &str, columns: usize) -> ConstraintDefinition {
    ConstraintDefinition {
        name: "t_c_check".to_owned(),
        schema: "public".to_owned(),
        table: "t".to_owned(),
        columns: (0..columns).map(|i| format!("c{i}")).collect(),
        options: options.to_owned(),
    }
}

fn check_one(plugin: &Started, kind: &str, options: &str, columns: &[ArrayRef]) -> Outcome {
    let definition = definition(options, columns.len());
    let rows = columns.first().map_or(0, |c| c.len());
    let run = |columns: &[ArrayRef], rows: usize| {
        let found = plugin.check(kind, &definition, &arguments(columns), rows);
        found.map_err(|e| format!("{rows} rows: {e}"))
    };
    let whole = sorted(run(columns, rows)?);
    ensure(sorted(run(columns, rows)?) == whole, || {
        "a second check finds other rows".to_owned()
    })?;
    ensure(run(&slices(columns, 0, 0), 0)?.is_empty(), || {
        "no rows break it".to_owned()
    })?;
    ensure(!whole.is_empty() && whole.len() < rows, || {
        "the sample needs rows that keep it and rows that break it".to_owned()
    })?;
    for size in [1, 3] {
        let mut found = Vec::new();
        for start in (0..rows).step_by(size) {
            let count = size.min(rows - start);
            let part = run(&slices(columns, start, count), count)?;
            found.extend(part.into_iter().map(|v| Violation {
                row: v.row + start,
                ..v
            }));
        }
        ensure(sorted(found) == whole, || {
            format!("batches of {size} rows find other rows than the whole")
        })?;
    }
    let reversed: Vec<usize> = (0..rows).rev().collect();
    let columns: Vec<ArrayRef> = columns.iter().map(|c| values::take(c, &reversed)).collect();
    let mut found = run(&columns, rows)?;
    found.iter_mut().for_each(|v| v.row = rows - 1 - v.row);
    ensure(sorted(found) == whole, || {
        "the order of the rows makes a difference".to_owned()
    })?;
    // NULL is a value that a constraint must say something of, in order.
    let nulls: Vec<ArrayRef> = columns
        .iter()
        .map(|c| arrow_array::new_null_array(c.data_type(), 4))
        .collect();
    run(&nulls, 4)?;
    Ok(())
}

fn sorted(mut found: Vec<Violation>) -> Vec<Violation> {
    found.sort_by(|a, b| (a.row, &a.message, &a.detail).cmp(&(b.row, &b.message, &b.detail)));
    found
}

/// Options of another build, and columns of other types.
fn odd_definitions(plugin: &Started, kind: &str) -> Outcome {
    let text = values::column("text", Shape::Mixed, 8, 1);
    let number = values::column("bigint", Shape::Mixed, 8, 1);
    let columns: Vec<ArrayRef> = text.into_iter().chain(number).collect();
    for options in ["", "{}", "🐈", "\u{0}", "4294967295", "-1"] {
        for columns in [&columns[..1], &columns[1..], &columns[..]] {
            let rows = columns.first().map_or(0, |c| c.len());
            let definition = definition(options, columns.len());
            let found = plugin.check(kind, &definition, &arguments(columns), rows);
            if let Err(failed) = found {
                ensure(!failed.panicked, || {
                    format!("options {options:?}: {failed}")
                })?;
            }
        }
    }
    match plugin.check(kind, &definition("", 0), &[], 0) {
        Err(failed) if failed.panicked => Err(format!("no columns: {failed}")),
        _ => Ok(()),
    }
}
