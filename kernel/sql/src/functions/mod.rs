//! The functions and operators, by PostgreSQL's names.
//!
//! Each file registers its functions into a [`Registry`]: a name and its overloads, each a closure
//! with its SQL types (`f2::<Text, Int4, Text>(…)`). Operators are functions called `$` + symbol,
//! `$-` with one argument being the prefix operator. Names starting with `$_` are ours alone.

pub mod activity;
pub mod advisory;
pub mod aggregate;
pub mod arithmetic;
pub mod array;
pub mod datetime;
pub mod domain;
pub mod enumeration;
mod frames;
pub mod interval;
pub mod json;
pub mod jsonb;
pub mod jsonpath;
pub mod keys;
pub mod math;
mod monitor;
pub mod notify;
pub mod regex;
pub mod series;
pub mod sleep;
pub mod system;
pub mod text;
mod ties;
pub mod time_travel;
pub mod to_char;

pub mod named_types;
mod visible;

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use datafusion::execution::SessionStateBuilder;
use datafusion::logical_expr::{AggregateUDF, ScalarUDF};

use crate::semantics::function::PgFunction;
use crate::semantics::overload::Overload;
use crate::semantics::special::Special;

pub use visible::{Functions, TableFunction};

/// `field(row, 'a')`: a column of a row, as [`visible::TableFunction`] has them.
pub const FIELD: &str = "$field";

/// `missing(message, hint)` fails with 42883 when it is evaluated for a row.
pub const MISSING: &str = "$_missing";

/// Whether a built-in function does something besides giving a value, so that a query calls it as soon as it
/// runs, and row by row.
pub fn has_effect(name: &str) -> bool {
    [
        sleep::NAMES,
        advisory::NAMES,
        notify::NAMES,
        activity::NAMES,
        monitor::NAMES,
    ]
    .iter()
    .any(|names| names.contains(&name))
}

/// Overloads by function name while they are collected.
#[derive(Default)]
pub struct Registry {
    functions: BTreeMap<String, Vec<Overload>>,
}

impl Registry {
    pub fn add(&mut self, name: &str, overload: Overload) {
        self.functions
            .entry(name.to_string())
            .or_default()
            .push(overload);
    }

    /// Gives the overloads that a function has so far to another name as well.
    pub fn alias(&mut self, name: &str, alias: &str) {
        let overloads = self.functions.get(name).cloned().unwrap_or_default();
        self.all(alias, overloads);
    }

    pub fn all(&mut self, name: &str, overloads: impl IntoIterator<Item = Overload>) {
        self.functions
            .entry(name.to_string())
            .or_default()
            .extend(overloads);
    }
}

static SCALARS: LazyLock<BTreeMap<String, Arc<ScalarUDF>>> = LazyLock::new(|| {
    let mut r = Registry::default();
    activity::register(&mut r);
    monitor::register(&mut r);
    advisory::register(&mut r);
    arithmetic::register(&mut r);
    array::register(&mut r);
    datetime::register(&mut r);
    domain::register(&mut r);
    enumeration::register(&mut r);
    frames::register(&mut r);
    interval::register(&mut r);
    json::register(&mut r);
    jsonb::register(&mut r);
    jsonpath::register(&mut r);
    keys::register(&mut r);
    math::register(&mut r);
    notify::register(&mut r);
    regex::register(&mut r);
    series::register(&mut r);
    sleep::register(&mut r);
    system::register(&mut r);
    text::register(&mut r);
    ties::register(&mut r);
    time_travel::register(&mut r);
    to_char::register(&mut r);
    let mut all: BTreeMap<String, Arc<ScalarUDF>> = r
        .functions
        .into_iter()
        .map(|(name, overloads)| {
            let udf = Arc::new(PgFunction::udf(&name, overloads));
            (name, udf)
        })
        .collect();
    for udf in Special::all() {
        all.insert(udf.name().to_string(), Arc::new(udf));
    }
    all.insert(FIELD.to_owned(), datafusion::functions::core::get_field());
    all
});

/// A built-in scalar function or operator (`$+`) by name.
pub fn scalar(name: &str) -> Option<Arc<ScalarUDF>> {
    SCALARS.get(name).cloned()
}

/// Every built-in scalar function.
pub fn scalars() -> Vec<Arc<ScalarUDF>> {
    SCALARS.values().cloned().collect()
}

/// Every built-in aggregate function.
pub fn aggregates() -> Vec<Arc<AggregateUDF>> {
    aggregate::all()
}

/// A DataFusion session with PostgreSQL's functions, operators and types, and none of DataFusion's
/// own that mean something else.
pub fn session_state(builder: SessionStateBuilder) -> SessionStateBuilder {
    use datafusion::optimizer::analyzer::Analyzer;
    let mut rules = crate::semantics::analyzer_rules();
    // DataFusion's GROUPING and coercion rules follow ours.
    rules.extend(Analyzer::new().rules);
    builder
        .with_expr_planners(crate::semantics::expr_planners(Functions::builtin()))
        .with_relation_planners(vec![Arc::new(crate::semantics::derived::DerivedTables)])
        .with_scalar_functions(scalars())
        .with_aggregate_functions(aggregates())
        .with_window_functions(datafusion::functions_window::all_default_window_functions())
        .with_analyzer_rules(rules)
}
