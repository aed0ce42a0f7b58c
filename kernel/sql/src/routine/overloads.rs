//! Routines as the planner has them: overloads beside the built-in ones.
//!
//! By its name alone a routine is found along the search path, where one hides those of later schemas that
//! take the same types; beside a built-in function of the name it is one more overload. By schema and name it
//! is found under [`key`]. One that gives rows is planned as the function `$name`, whose value is the array of
//! its rows.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::call::{Callable, Output};
use super::{body, key, procedure};
use crate::catalog::CatalogSnapshot;
use crate::catalog::model::{Routine, RoutineKind, RoutineVolatility};
use crate::functions::{self, Functions, TableFunction};
use crate::semantics::function::PgFunction;
use crate::semantics::overload::{Overload, Volatility};
use crate::session::info::SessionInfo;

/// The routines behind one name.
#[derive(Debug, Default)]
pub(crate) struct Set {
    callables: Vec<Arc<Callable>>,
}

impl Set {
    /// What calls of the name may do.
    pub fn traits(&self, info: &SessionInfo) -> body::Traits {
        let mut all = body::Traits::default();
        for callable in &self.callables {
            let traits = callable.traits(info);
            all.writes |= traits.writes;
            all.effects |= traits.effects;
        }
        all
    }

    /// What the one value of a call is called by the routine itself.
    pub fn output(&self) -> Option<&str> {
        let mut outputs = self.routines().filter_map(|r| r.outputs().next());
        outputs.find_map(|p| p.name.as_deref())
    }

    pub fn routines(&self) -> impl Iterator<Item = &Arc<Routine>> {
        self.callables.iter().map(|c| &c.routine)
    }
}

/// Adds the routines of a catalog, those without a schema along `path`.
pub(crate) fn add(functions: &mut Functions, catalog: &Arc<CatalogSnapshot>, path: &[String]) {
    let mut by_key: BTreeMap<String, Vec<Arc<Callable>>> = BTreeMap::new();
    let mut of_schema = BTreeMap::new();
    for routine in catalog.routines().iter() {
        let Some(schema) = catalog.schema(routine.schema) else {
            continue;
        };
        // A type that is not there any more makes it one that nobody can call.
        let Some(callable) = Callable::new(routine, catalog) else {
            continue;
        };
        let callable = Arc::new(callable);
        let qualified = key(&schema.name, &planned_name(routine));
        by_key.entry(qualified).or_default().push(callable.clone());
        let of_schema: &mut Vec<_> = of_schema.entry(schema.name.as_str()).or_default();
        of_schema.push(callable);
    }
    for schema in path {
        for callable in of_schema.get(schema.as_str()).into_iter().flatten() {
            let name = planned_name(&callable.routine);
            if functions.is_aggregate(&name) {
                continue;
            }
            let known = by_key.entry(name).or_default();
            let inputs = callable.routine.input_types();
            if !known.iter().any(|k| k.routine.input_types() == inputs) {
                known.push(callable.clone());
            }
        }
    }
    for (key, callables) in by_key {
        add_named(functions, &key, callables);
    }
}

fn planned_name(routine: &Routine) -> String {
    match routine.kind {
        RoutineKind::Function => routine.name.clone(),
        RoutineKind::Procedure => procedure(&routine.name),
    }
}

fn add_named(functions: &mut Functions, key: &str, callables: Vec<Arc<Callable>>) {
    // Of functions that give rows and others, one name has those of the first kind only or the others.
    let table = callables.iter().find_map(|c| c.columns());
    let rows: Vec<Overload> = callables
        .iter()
        .filter(|c| c.gives_array())
        .map(overload)
        .collect();
    let mut values: Vec<Overload> = callables
        .iter()
        .filter(|c| !c.gives_array())
        .map(overload)
        .collect();
    if let Some(columns) = table {
        let array = format!("${key}");
        let udf = PgFunction::udf(&array, rows);
        let mut outputs = callables.iter().map(|c| c.routine.outputs().next());
        let table = TableFunction {
            named_by_alias: columns.len() == 1
                && outputs.all(|output| output.is_none_or(|p| p.name.is_none())),
            columns,
        };
        functions.add_table(key, table, udf);
    }
    if !values.is_empty() {
        if let Some(builtin) = functions::scalar(key)
            && let Some(builtin) = builtin.inner().downcast_ref::<PgFunction>()
        {
            values.extend(builtin.overloads().iter().cloned());
        }
        functions.add_scalar(PgFunction::udf(key, values));
    }
    functions.add_routines(key, Set { callables });
}

fn overload(callable: &Arc<Callable>) -> Overload {
    let called = callable.clone();
    Overload {
        params: callable.params(),
        variadic: false,
        result: callable.result(),
        volatility: match callable.routine.volatility {
            RoutineVolatility::Immutable => Volatility::Immutable,
            RoutineVolatility::Stable => Volatility::Stable,
            RoutineVolatility::Volatile => Volatility::Volatile,
        },
        kernel: Arc::new(move |args, call| called.invoke(args, call)),
    }
}

impl Callable {
    /// The columns of its rows, if calls give rows.
    fn columns(&self) -> Option<Vec<String>> {
        match (&self.output, self.gives_array()) {
            (_, false) => None,
            (Output::Rows(columns), true) => Some(columns.iter().map(|(n, _)| n.clone()).collect()),
            (_, true) => Some(vec![self.column_name()]),
        }
    }
}
