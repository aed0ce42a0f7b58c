//! What plugins add to the system catalogs: rows beside the built-in ones.
//!
//! The objects are part of an extension and of no row of the catalog, so their oids are derived: from
//! a hash of what the object is, in a range that is never given out. They stay the same as long as
//! the set of extensions does.

use std::collections::BTreeSet;

use crate::catalog::model::Oid;
use crate::types::ExtensionType;
use crate::types::extension::{derived_oid, next_derived_oid};

/// Functions and operators of plugins, as one session sees them.
#[derive(Clone, Debug, Default)]
pub struct Added {
    pub functions: Vec<AddedFunction>,
    pub operators: Vec<AddedOperator>,
    pub types: Vec<&'static ExtensionType>,
}

/// A row of `pg_proc`.
#[derive(Clone, Debug)]
pub struct AddedFunction {
    pub oid: Oid,
    pub name: String,
    pub plugin: String,
    /// `f` of a function, `a` of an aggregate.
    pub kind: char,
    pub strict: bool,
    /// `i`, `s` or `v`.
    pub volatility: char,
    /// The type of the repeated argument, or 0.
    pub variadic: Oid,
    pub arguments: Vec<Oid>,
    /// Of the rows, for a table function of several columns `record`.
    pub result: Oid,
    /// The columns of a table function.
    pub columns: Vec<(String, Oid)>,
}

/// A row of `pg_operator`.
#[derive(Clone, Debug)]
pub struct AddedOperator {
    pub oid: Oid,
    pub name: String,
    pub left: Oid,
    pub right: Oid,
    pub result: Oid,
    pub commutator: Oid,
    pub negator: Oid,
    /// The function behind it.
    pub code: Oid,
}

impl AddedFunction {
    pub fn returns_set(&self) -> bool {
        !self.columns.is_empty()
    }

    /// The types of the arguments, and after them of the columns; so with the other two.
    pub fn all_types(&self) -> Vec<Oid> {
        let columns = self.columns.iter().map(|c| c.1);
        self.arguments.iter().copied().chain(columns).collect()
    }

    /// `i` of an argument, `v` of one that repeats, `t` of a column.
    pub fn modes(&self) -> Vec<String> {
        let repeats = |i| self.variadic != 0 && i + 1 == self.arguments.len();
        let arguments = (0..self.arguments.len()).map(|i| if repeats(i) { "v" } else { "i" });
        let columns = self.columns.iter().map(|_| "t");
        arguments.chain(columns).map(str::to_owned).collect()
    }

    pub fn names(&self) -> Vec<String> {
        let arguments = self.arguments.iter().map(|_| String::new());
        let columns = self.columns.iter().map(|c| c.0.clone());
        arguments.chain(columns).collect()
    }
}

impl Added {
    pub fn function(&self, oid: Oid) -> Option<&AddedFunction> {
        self.functions.iter().find(|f| f.oid == oid)
    }
}

/// Gives out derived oids, each once.
#[derive(Debug, Default)]
pub struct DerivedOids(BTreeSet<Oid>);

impl DerivedOids {
    /// The oid of what this text identifies.
    pub fn of(&mut self, identity: &str) -> Oid {
        let mut oid = derived_oid(identity);
        while !self.0.insert(oid) {
            oid = next_derived_oid(oid);
        }
        oid
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn derived_oids_are_stable_and_distinct() {
        let mut first = DerivedOids::default();
        let mut second = DerivedOids::default();
        assert_eq!(
            first.of("function f(integer)"),
            second.of("function f(integer)")
        );
        let again = first.of("function f(integer)");
        assert_ne!(again, second.of("function g(integer)"));
        assert!((1 << 30..1 << 31).contains(&again));
    }
}
