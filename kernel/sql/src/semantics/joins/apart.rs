//! Two tables of one name in a FROM that joins by names.
//!
//! Tables of different schemas may both stand there without an alias, and their columns have the schema before them.
//! The planner takes a name without a schema for either, so the schema is written where it was not.

use sqlparser::ast::{ObjectName, TableAlias, TableFactor, TableWithJoins};

use super::Walk;
use crate::error::{Result, SqlError, state};
use crate::names::{fold, parts};
use crate::semantics::rewrite::names;

/// What stands in a FROM.
#[derive(Default)]
struct Occupants<'t> {
    /// Relations that have no alias, with the parts of their names.
    tables: Vec<(Vec<String>, &'t mut ObjectName)>,
    /// Names of what else there is, and the parts of that of the relation that an alias is of.
    others: Vec<(String, Vec<String>)>,
}

impl Walk<'_> {
    /// Writes the schemas of tables of one name; 42712 where it is one table or one of them is something else.
    pub(super) fn tell_apart(&self, from: &mut [TableWithJoins]) -> Result<()> {
        let mut all = Occupants::default();
        for item in from {
            self.occupants(item, &mut all)?;
        }
        for at in 0..all.tables.len() {
            let [name] = all.tables[at].0.as_slice() else {
                continue;
            };
            let name = name.clone();
            let others = all.tables.iter().enumerate();
            let mut others = others.filter(|(other, _)| *other != at);
            if !others.any(|(_, (path, _))| path.last() == Some(&name)) {
                continue;
            }
            // A query of WITH has no schema.
            if self.with.iter().any(|(with, _)| *with == name) {
                return Err(twice(&name));
            }
            let schema = self.relations.schema_of(&name)?;
            let path = vec![schema.ok_or_else(|| unsupported(&name))?, name];
            let idents = path.iter().map(|part| names::quoted(part));
            *all.tables[at].1 = ObjectName::from(idents.collect::<Vec<_>>());
            all.tables[at].0 = path;
        }
        all.check()
    }

    fn occupants<'t>(&self, item: &'t mut TableWithJoins, into: &mut Occupants<'t>) -> Result<()> {
        let joined = item.joins.iter_mut().map(|join| &mut join.relation);
        for factor in std::iter::once(&mut item.relation).chain(joined) {
            let other = |alias: &TableAlias| (fold(&alias.name), Vec::new());
            match factor {
                TableFactor::Table {
                    name,
                    alias: Some(alias),
                    ..
                } => into.others.push((fold(&alias.name), parts(name)?)),
                TableFactor::Table {
                    name, args: None, ..
                } => into.tables.push((parts(name)?, name)),
                TableFactor::NestedJoin {
                    table_with_joins,
                    alias: None,
                } => self.occupants(table_with_joins, into)?,
                TableFactor::NestedJoin {
                    table_with_joins,
                    alias: Some(alias),
                } => {
                    self.tell_apart(std::slice::from_mut(table_with_joins.as_mut()))?;
                    into.others.push(other(alias));
                }
                TableFactor::Derived { alias, .. }
                | TableFactor::Function { alias, .. }
                | TableFactor::UNNEST { alias, .. } => {
                    into.others.extend(alias.as_ref().map(other));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

impl Occupants<'_> {
    /// Whether all can be told apart.
    fn check(&self) -> Result<()> {
        for (at, (path, _)) in self.tables.iter().enumerate() {
            let same = |other: &[String]| relation(other) == relation(path);
            let name = path.last().map_or("", String::as_str);
            if self.tables[at + 1..].iter().any(|(other, _)| same(other)) {
                return Err(twice(name));
            }
            if let Some((_, of)) = self.others.iter().find(|(other, _)| other == name) {
                return Err(collision(name, of, path));
            }
        }
        for (at, (name, of)) in self.others.iter().enumerate() {
            let mut later = self.others[at + 1..].iter();
            if let Some((_, other)) = later.find(|(other, _)| other == name) {
                return Err(collision(name, of, other));
            }
        }
        Ok(())
    }
}

/// A table's schema and name.
fn relation(path: &[String]) -> &[String] {
    &path[path.len().saturating_sub(2)..]
}

/// What is wrong with two of one name. Tables that are written or locked have an alias of ours, and would be two
/// tables without one.
fn collision(name: &str, first: &[String], other: &[String]) -> SqlError {
    let is_target = |path: &[String]| path.len() == 3 && path[2] == name;
    let is_table = |path: &[String]| path.last().is_some_and(|last| last == name);
    let may_be = (is_target(first) && is_table(other)) || (is_target(other) && is_table(first));
    match may_be && relation(first) != relation(other) {
        true => unsupported(name),
        false => twice(name),
    }
}

fn twice(name: &str) -> SqlError {
    SqlError::new(
        state::DUPLICATE_ALIAS,
        format!("table name \"{name}\" specified more than once"),
    )
}

fn unsupported(name: &str) -> SqlError {
    SqlError::unsupported(format!(
        "a join by names of two tables named \"{name}\" here"
    ))
}
