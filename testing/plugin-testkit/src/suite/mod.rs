//! The conformance checks: what every plugin of the kinds it declares must do.
//!
//! A check that has nothing to look at in a plugin, such as codecs in a plugin without one, passes.

mod aggregate;
mod codec;
mod command;
mod constraint;
mod function;
mod index;
mod lifecycle;
mod migration;
mod observer;
mod panics;
mod table;
mod types;
mod worker;

use std::fmt;

use arrow_array::ArrayRef;
use heliosdb_plugin_api::abi::RootRef;
use heliosdb_plugin_api::{Argument, Plugin};

use crate::call::CallError;
use crate::host::TestHost;
use crate::plugin::{Loaded, Started};
use crate::samples::Samples;
use crate::values::{self, Shape};

/// A check passes, or says in one line what is wrong.
pub type Outcome = Result<(), String>;
type Check = fn(&Suite) -> Outcome;

/// Every check, by name, in the order in which a fault is easiest to understand.
pub const CHECKS: [(&str, Check); 19] = [
    ("manifest", lifecycle::manifest),
    ("build", lifecycle::build),
    ("start_with_defaults", lifecycle::start_with_defaults),
    (
        "start_with_bad_settings",
        lifecycle::start_with_bad_settings,
    ),
    ("registrations", lifecycle::registrations),
    ("start_and_stop_again", lifecycle::start_and_stop_again),
    ("functions", function::check),
    ("aggregates", aggregate::check),
    ("table_functions", table::check),
    ("types", types::check),
    ("constraints", constraint::check),
    ("clauses", command::clauses),
    ("commands", command::commands),
    ("observers", observer::check),
    ("workers", worker::check),
    ("codecs", codec::check),
    ("indexes", index::check),
    ("migrations", migration::check),
    ("panics", panics::check),
];

pub fn names() -> Vec<&'static str> {
    CHECKS.iter().map(|(name, _)| *name).collect()
}

/// A plugin with what its author says of it.
pub struct Suite {
    pub(crate) root: RootRef,
    pub(crate) samples: Samples,
}

impl Suite {
    pub fn of<P: Plugin>(samples: Samples) -> Suite {
        Suite::of_root(heliosdb_plugin_api::root::<P>(), samples)
    }

    /// Any plugin, one from a file too.
    pub fn of_root(root: RootRef, samples: Samples) -> Suite {
        Suite { root, samples }
    }

    /// Runs one check.
    pub fn check(&self, name: &str) -> Outcome {
        match CHECKS.iter().find(|(known, _)| *known == name) {
            Some((_, check)) => check(self),
            None => Err(format!("no check is called {name}")),
        }
    }

    /// Runs every check.
    pub fn run(&self) -> Report {
        let run = |(name, check): &(&'static str, Check)| (*name, check(self));
        Report {
            outcomes: CHECKS.iter().map(run).collect(),
        }
    }

    fn loaded(&self) -> Result<Loaded, String> {
        Loaded::of_root(self.root)
    }

    /// A host that grants what the manifest names.
    fn host(&self, loaded: &Loaded) -> TestHost {
        let host = TestHost::new();
        let services: Vec<&str> = loaded
            .manifest
            .services
            .iter()
            .map(String::as_str)
            .collect();
        host.grant(&services);
        if let Some(script) = self.samples.sql.clone() {
            host.set_sql(move |sql, parameters| script(sql, parameters));
        }
        host
    }

    /// A started and prepared plugin on a host of its own.
    fn started(&self) -> Result<Started, String> {
        let loaded = self.loaded()?;
        let host = self.host(&loaded);
        let started = loaded.start(&host, &self.samples.settings);
        let started = started.map_err(|e| format!("the plugin does not start: {e}"))?;
        if let Some(prepare) = &self.samples.prepare {
            prepare(&started);
        }
        Ok(started)
    }

    /// A column for an argument of an SQL type: generated, or made of the author's texts for a type
    /// of the plugin's own.
    fn column(
        &self,
        plugin: &Started,
        sql: &str,
        shape: Shape,
        rows: usize,
        seed: u64,
    ) -> Result<ArrayRef, String> {
        let sql = if sql == "any" { "text" } else { sql };
        if let Some(column) = values::column(sql, shape, rows, seed) {
            return Ok(column);
        }
        let index = plugin.provides.types.iter().position(|t| t.name == sql);
        let index = index.ok_or_else(|| format!("nobody knows the type {sql}"))?;
        let storage = &plugin.provides.types[index].storage;
        if shape == Shape::AllNull {
            let nulls = values::column(storage, shape, rows, seed);
            return nulls.ok_or_else(|| format!("{sql} is kept as {storage}, which is no type"));
        }
        let texts = self.samples.types.get(sql).filter(|t| !t.is_empty());
        let texts = texts.ok_or_else(|| format!("Samples::texts has none of the type {sql}"))?;
        let mut random = values::Random(seed);
        let texts: Vec<Option<&str>> = (0..rows)
            .map(|_| match (shape, random.below(5)) {
                (Shape::Mixed, 0) => None,
                _ => Some(texts[random.below(texts.len())].as_str()),
            })
            .collect();
        let texts: ArrayRef = std::sync::Arc::new(arrow_array::StringViewArray::from(texts));
        let parsed = plugin.parse(index as u32, &texts, -1);
        parsed.map_err(|e| format!("a sample of {sql} does not parse: {e}"))
    }

    /// Columns to call a function with: the author's, or generated ones.
    fn argument_sets(
        &self,
        plugin: &Started,
        function: &str,
        types: &[String],
        shape: Shape,
        rows: usize,
    ) -> Result<Vec<Vec<ArrayRef>>, String> {
        if let Some(given) = self.samples.arguments.get(function) {
            return Ok(given.clone());
        }
        let columns = types.iter().enumerate().map(|(i, ty)| {
            // One variadic argument or several make no difference here: it is given once.
            self.column(plugin, ty, shape, rows, 31 + i as u64)
        });
        Ok(vec![columns.collect::<Result<_, _>>()?])
    }
}

/// What every check found.
pub struct Report {
    pub outcomes: Vec<(&'static str, Outcome)>,
}

impl Report {
    pub fn passed(&self) -> bool {
        self.outcomes.iter().all(|(_, outcome)| outcome.is_ok())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, outcome) in &self.outcomes {
            match outcome {
                Ok(()) => writeln!(f, "ok      {name}")?,
                Err(why) => writeln!(f, "FAILED  {name}: {why}")?,
            }
        }
        Ok(())
    }
}

/// An error that a plugin may give for values it does not like; anything else is a fault of its own.
fn is_fair(failed: &CallError) -> bool {
    let code = failed.error.sqlstate.as_str();
    !failed.panicked && !code.starts_with("38") && code != "XX000"
}

/// The result of a call, `None` for a fair error.
fn fair<T>(what: &str, result: Result<T, CallError>) -> Result<Option<T>, String> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(failed) if is_fair(&failed) => Ok(None),
        Err(failed) => Err(format!("{what}: {failed}")),
    }
}

fn arguments(columns: &[ArrayRef]) -> Vec<Argument> {
    let argument = |column: &ArrayRef| Argument::new(column.clone(), false);
    columns.iter().map(argument).collect()
}

fn slices(columns: &[ArrayRef], start: usize, rows: usize) -> Vec<ArrayRef> {
    columns.iter().map(|c| c.slice(start, rows)).collect()
}

fn ensure(holds: bool, otherwise: impl FnOnce() -> String) -> Outcome {
    if holds { Ok(()) } else { Err(otherwise()) }
}
