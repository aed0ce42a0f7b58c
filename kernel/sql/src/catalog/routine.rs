//! Functions and procedures that users make, in `LANGUAGE sql`.
//!
//! What a routine is called with is said by the oids of types; what they stand for in a plan is found in the
//! catalog that has the routine. A body is kept as it was written, and its names are looked up when it runs, so
//! it depends on nothing. Nothing here checks a rule.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::model::Oid;

/// A function or a procedure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Routine {
    pub oid: Oid,
    pub schema: Oid,
    pub name: String,
    pub owner: Oid,
    pub kind: RoutineKind,
    /// Those that are given out, too, in the order they were written.
    pub parameters: Vec<Parameter>,
    pub result: ResultShape,
    /// SETOF, TABLE.
    pub returns_set: bool,
    pub volatility: RoutineVolatility,
    pub strict: bool,
    /// SECURITY DEFINER: it runs with the rights of its owner.
    pub definer: bool,
    pub leakproof: bool,
    /// `u`, `r` or `s`, as `pg_proc.proparallel` has it.
    pub parallel: char,
    pub cost: f32,
    /// Estimated, of one that returns a set; else 0.
    pub rows: f32,
    /// Parameters of the session while it runs: SET name TO value.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub settings: Vec<(String, String)>,
    /// The statements, as they were written.
    pub body: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RoutineKind {
    Function,
    Procedure,
}

impl RoutineKind {
    /// What messages call it.
    pub fn noun(self) -> &'static str {
        match self {
            RoutineKind::Function => "function",
            RoutineKind::Procedure => "procedure",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RoutineVolatility {
    Immutable,
    Stable,
    Volatile,
}

impl RoutineVolatility {
    /// `pg_proc.provolatile`.
    pub fn code(self) -> char {
        match self {
            RoutineVolatility::Immutable => 'i',
            RoutineVolatility::Stable => 's',
            RoutineVolatility::Volatile => 'v',
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ParameterMode {
    In,
    Out,
    InOut,
    Variadic,
    /// A column of RETURNS TABLE.
    Table,
}

impl ParameterMode {
    /// `pg_proc.proargmodes`.
    pub fn code(self) -> char {
        match self {
            ParameterMode::In => 'i',
            ParameterMode::Out => 'o',
            ParameterMode::InOut => 'b',
            ParameterMode::Variadic => 'v',
            ParameterMode::Table => 't',
        }
    }

    /// Whether a call gives it a value.
    pub fn is_input(self) -> bool {
        matches!(
            self,
            ParameterMode::In | ParameterMode::InOut | ParameterMode::Variadic
        )
    }

    /// Whether it is a column of the result.
    pub fn is_output(self) -> bool {
        matches!(
            self,
            ParameterMode::Out | ParameterMode::InOut | ParameterMode::Table
        )
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parameter {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    pub mode: ParameterMode,
    pub type_oid: Oid,
    /// An SQL expression.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<String>,
}

/// What a call, or each row of one, is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ResultShape {
    /// A value of a type, `void` among them.
    Value(Oid),
    /// A row of the parameters that are given out, of which there are several or which are of a TABLE.
    Columns,
    /// A row of a table or view.
    Relation(Oid),
}

impl Routine {
    /// The parameters that a call gives values to.
    pub fn inputs(&self) -> impl Iterator<Item = &Parameter> {
        self.parameters.iter().filter(|p| p.mode.is_input())
    }

    /// The types of what a call gives, which with the schema and the name are its identity.
    pub fn input_types(&self) -> Vec<Oid> {
        self.inputs().map(|p| p.type_oid).collect()
    }

    /// The parameters that are columns of the result.
    pub fn outputs(&self) -> impl Iterator<Item = &Parameter> {
        self.parameters.iter().filter(|p| p.mode.is_output())
    }

    pub fn is_variadic(&self) -> bool {
        self.parameters
            .iter()
            .any(|p| p.mode == ParameterMode::Variadic)
    }

    /// Whether a call may have so many arguments.
    pub fn takes(&self, count: usize) -> bool {
        let inputs = self.inputs().count();
        let needed = self.inputs().filter(|p| p.default.is_none()).count();
        match self.is_variadic() {
            true => count + 1 >= needed,
            false => (needed..=inputs).contains(&count),
        }
    }

    /// Whether some number of arguments may be that of a call of either.
    pub fn takes_as_many_as(&self, other: &Routine) -> bool {
        let most = |r: &Routine| r.inputs().count();
        (0..=most(self).max(most(other))).any(|count| self.takes(count) && other.takes(count))
    }

    /// `pg_proc.prorettype`; that of a row of a relation is not known here.
    pub fn result_type(&self) -> Oid {
        /// `record`.
        const RECORD: Oid = 2249;
        match self.result {
            ResultShape::Value(oid) => oid,
            ResultShape::Columns | ResultShape::Relation(_) => RECORD,
        }
    }
}

/// The routines of one version of the catalog.
#[derive(Clone, Debug, Default)]
pub struct Routines {
    routines: BTreeMap<Oid, Arc<Routine>>,
    /// schema → name → routines, oldest first.
    names: BTreeMap<Oid, BTreeMap<String, Vec<Oid>>>,
}

impl Routines {
    pub fn is_empty(&self) -> bool {
        self.routines.is_empty()
    }

    /// Oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Routine>> {
        self.routines.values()
    }

    pub fn get(&self, oid: Oid) -> Option<&Arc<Routine>> {
        self.routines.get(&oid)
    }

    /// Those of a name in a schema.
    pub fn named(&self, schema: Oid, name: &str) -> impl Iterator<Item = &Arc<Routine>> {
        let oids = self.names.get(&schema).and_then(|names| names.get(name));
        let oids = oids.into_iter().flatten();
        oids.filter_map(|oid| self.routines.get(oid))
    }

    /// The one of a name in a schema that takes these types.
    pub fn find(&self, schema: Oid, name: &str, inputs: &[Oid]) -> Option<&Arc<Routine>> {
        self.named(schema, name)
            .find(|routine| routine.input_types() == inputs)
    }

    pub(super) fn put(&mut self, routine: Arc<Routine>) {
        self.remove(routine.oid);
        let names = self.names.entry(routine.schema).or_default();
        let oids = names.entry(routine.name.clone()).or_default();
        oids.push(routine.oid);
        oids.sort_unstable();
        self.routines.insert(routine.oid, routine);
    }

    pub(super) fn remove(&mut self, oid: Oid) -> Option<Arc<Routine>> {
        let routine = self.routines.remove(&oid)?;
        if let Some(names) = self.names.get_mut(&routine.schema)
            && let Some(oids) = names.get_mut(&routine.name)
        {
            oids.retain(|known| *known != oid);
            if oids.is_empty() {
                names.remove(&routine.name);
            }
        }
        Some(routine)
    }
}
