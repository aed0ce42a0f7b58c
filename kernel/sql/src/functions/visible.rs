//! The functions that the statements of one database may name.
//!
//! The built-in ones are the same for all and never change; what plugins add differs from database
//! to database and from one catalog version to the next. A [`Functions`] is immutable: who adds or
//! removes a plugin makes another.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use datafusion::logical_expr::{AggregateUDF, ScalarUDF};
use sqlparser::ast;

use super::named_types::NamedTypes;
use crate::error::{Result, state};
use crate::routine::{self, Reference};
use crate::semantics::function::PgFunction;
use crate::types::{ExtensionType, PgType, names};

/// A function whose calls give rows. It is planned as the scalar function `$name`, whose value is
/// the array of the rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableFunction {
    /// The names of the columns. Rows of one column are plain values, others are structs.
    pub columns: Vec<String>,
    /// The one column is called as the function is, or as its alias.
    pub named_by_alias: bool,
}

/// What a name that no function answers to should be told with.
type Hint = dyn Fn(&str) -> Option<String> + Send + Sync;

/// The built-in functions and those that plugins add to them. An added name never hides a built-in one, but
/// for operators, whose overloads are added to the built-in ones. Routines of users are not among them: names that
/// may mean one are names of another kind ([`routine::Reference`]).
#[derive(Default)]
pub struct Functions {
    scalars: BTreeMap<String, Arc<ScalarUDF>>,
    aggregates: BTreeMap<String, Arc<AggregateUDF>>,
    tables: BTreeMap<String, TableFunction>,
    types: BTreeMap<&'static str, &'static ExtensionType>,
    named_types: NamedTypes,
    /// Of users.
    routines: Option<routine::Index>,
    hint: Option<Box<Hint>>,
}

impl std::fmt::Debug for Functions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Functions")
            .field("scalars", &self.scalars.keys())
            .field("aggregates", &self.aggregates.keys())
            .field("tables", &self.tables)
            .finish_non_exhaustive()
    }
}

impl Functions {
    /// Nothing but what is built in.
    pub fn builtin() -> Arc<Functions> {
        static BUILTIN: LazyLock<Arc<Functions>> = LazyLock::new(Arc::default);
        BUILTIN.clone()
    }

    /// Adds a scalar function, or an operator under `$` and its symbol.
    pub fn add_scalar(&mut self, function: ScalarUDF) {
        self.scalars
            .insert(function.name().to_owned(), Arc::new(function));
    }

    pub fn add_aggregate(&mut self, function: AggregateUDF) {
        self.aggregates
            .insert(function.name().to_owned(), Arc::new(function));
    }

    /// Adds a function that gives rows; `array` is the scalar function `$name`.
    pub fn add_table(&mut self, name: &str, table: TableFunction, array: ScalarUDF) {
        self.tables.insert(name.to_owned(), table);
        self.add_scalar(array);
    }

    /// Sets the routines of users.
    pub(crate) fn set_routines(&mut self, routines: routine::Index) {
        self.routines = Some(routines);
    }

    /// The routines of users.
    pub(crate) fn index(&self) -> Option<&routine::Index> {
        self.routines.as_ref()
    }

    /// The routines that a name of ours may mean.
    fn referred(&self, name: &str) -> Option<(&routine::Index, Reference)> {
        Some((self.index()?, Reference::decode(name)?))
    }

    /// What the one value of a call is called by the routine itself.
    pub fn output(&self, name: &str) -> Option<String> {
        let (index, reference) = self.referred(name)?;
        index.output(&reference)
    }

    /// Whether a plugin has a function of a name.
    pub fn is_added(&self, name: &str) -> bool {
        !name.starts_with('$')
            && (self.scalars.contains_key(name)
                || self.tables.contains_key(name)
                || self.aggregates.contains_key(name))
    }

    /// Adds a type of a plugin, so that its name may be used.
    pub fn add_type(&mut self, ty: &'static ExtensionType) {
        self.types.insert(ty.name, ty);
    }

    /// Sets where the types of users are looked for.
    pub fn set_named_types(&mut self, types: NamedTypes) {
        self.named_types = types;
    }

    /// The types of users.
    pub fn named_types(&self) -> &NamedTypes {
        &self.named_types
    }

    /// Sets what to hint at when a name is not found: it is asked for names of functions, for `$` with
    /// the symbol of an operator, and for `type ` with the name of a type.
    pub fn set_hint(&mut self, hint: impl Fn(&str) -> Option<String> + Send + Sync + 'static) {
        self.hint = Some(Box::new(hint));
    }

    /// A scalar function or operator (`$+`) by name.
    pub fn scalar(&self, name: &str) -> Option<Arc<ScalarUDF>> {
        let added = self.scalars.get(name).cloned();
        added.or_else(|| super::scalar(name))
    }

    /// An added aggregate function.
    pub fn added_aggregate(&self, name: &str) -> Option<&Arc<AggregateUDF>> {
        self.aggregates.get(name)
    }

    /// A function of a plugin that gives rows.
    pub fn added_table(&self, name: &str) -> Option<&TableFunction> {
        self.tables.get(name)
    }

    /// Whether calls of a name that is built in, or a plugin's, give rows.
    pub fn gives_rows(&self, name: &str) -> bool {
        self.tables.contains_key(name) || crate::semantics::is_set_returning(name)
    }

    /// A function that gives rows, other than the built-in ones. Their array (`$name`) is none.
    pub fn table(&self, name: &str) -> Option<TableFunction> {
        if name.starts_with('$') {
            return None;
        }
        match self.referred(name) {
            Some((index, reference)) => index.table(&reference),
            None => self.tables.get(name).cloned(),
        }
    }

    /// Whether a name users may call is a scalar function.
    pub fn is_scalar(&self, name: &str) -> bool {
        routine::is_reference(name)
            || !name.starts_with('$')
                && (self.scalars.contains_key(name) || super::scalar(name).is_some())
    }

    pub fn is_aggregate(&self, name: &str) -> bool {
        self.aggregates.contains_key(name)
            || super::aggregates()
                .iter()
                .any(|f| f.name() == name || f.aliases().iter().any(|a| a == name))
    }

    /// The type that a call of this name with one argument is a cast to, as no function has the name. `is_bare` when it
    /// is written without quotes and without a schema, where the grammar takes some names for types.
    pub fn type_called(&self, name: &str, is_bare: bool) -> Option<PgType> {
        const OF_THE_GRAMMAR: [&str; 6] = [
            "char",
            "interval",
            "numeric",
            "time",
            "timestamp",
            "varchar",
        ];
        if is_bare && OF_THE_GRAMMAR.contains(&name) {
            return None;
        }
        if self.is_scalar(name) || self.is_aggregate(name) {
            return None;
        }
        // Oids and names of objects are made by functions of the catalog.
        PgType::from_internal_name(name).filter(|ty| !ty.is_object_name() && *ty != PgType::Oid)
    }

    /// Why there may be no function of this name, or operator `$<->`, for the hint of the error.
    pub fn hint(&self, name: &str) -> Option<String> {
        self.hint.as_ref().and_then(|hint| hint(name))
    }

    /// The type and modifier that a name in the syntax tree stands for.
    pub fn type_from_ast(&self, ty: &ast::DataType) -> Result<(PgType, i32)> {
        if let Some(named) = self.named_types.resolve(ty)? {
            return Ok((named.ty, named.typmod));
        }
        let found = names::from_ast(ty).and_then(|(found, typmod)| {
            let Some(extension) = found.extension() else {
                return Ok((found, typmod));
            };
            // Another database of the process may have another type of the name.
            let ours = self.types.get(extension.name).copied();
            let ours = PgType::Extension(ours.ok_or_else(|| names::undefined(extension.name))?);
            match found {
                PgType::Array(_) => Ok((ours.array_of(), typmod)),
                _ => Ok((ours, typmod)),
            }
        });
        found.map_err(|error| {
            let name = ty.to_string().to_lowercase();
            let name = name.split(['(', '[']).next().unwrap_or_default();
            match self.hint(&format!("type {name}")) {
                Some(hint) if error.code == state::UNDEFINED_OBJECT => error.with_hint(hint),
                _ => error,
            }
        })
    }

    /// In place of a function or operator that does not exist: one without a single overload, whose
    /// resolution fails with the types of the arguments in the message.
    pub fn missing(&self, name: &str) -> Arc<ScalarUDF> {
        Arc::new(PgFunction::missing(name, self.hint(name)))
    }
}
