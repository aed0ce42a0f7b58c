//! A table on its way back: what it says as text may name what has another name by now, or is gone.
//!
//! Defaults, generated columns, checks, expressions of indexes and policies were left alone while the table was
//! away, where a change of a name would have changed them. So every such change is made up for here.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::rename::with_table_name;
use super::stored_text::{Labels, Places, RenameRoutine, RenameType, TextChange, change_texts};
use super::user_type::{check_row_type_free, schema_name};
use super::{describe, index};
use crate::catalog::CatalogSnapshot;
use crate::catalog::model::*;
use crate::catalog::store::Change;
use crate::error::{Result, SqlError, SqlState, state};
use crate::names;
use crate::session::Session;

/// A table as it was, with what went with it.
#[derive(Clone, Debug)]
pub(crate) struct Returning {
    pub table: Table,
    pub indexes: Vec<Index>,
    /// Without foreign keys to other tables.
    pub constraints: Vec<Constraint>,
    pub foreign_keys: Vec<Constraint>,
    /// Those that a column owns.
    pub sequences: Vec<Sequence>,
}

impl Returning {
    pub fn of(catalog: &CatalogSnapshot, table: &Table) -> Returning {
        let is_elsewhere = |c: &Constraint| c.references().is_some_and(|to| to != table.oid);
        let constraints = catalog.constraints_of(table.oid);
        let (foreign_keys, constraints) = constraints
            .map(|c| c.as_ref().clone())
            .partition(is_elsewhere);
        let indexes = catalog.indexes_of(table.oid);
        let sequences = catalog.sequences();
        let owned = sequences.filter(|s| s.owned_by.is_some_and(|by| by.table == table.oid));
        Returning {
            table: table.clone(),
            indexes: indexes.map(|i| i.as_ref().clone()).collect(),
            constraints,
            foreign_keys,
            sequences: owned.map(|s| s.as_ref().clone()).collect(),
        }
    }

    /// Every object that it has, but for policies.
    pub fn oids(&self) -> Vec<Oid> {
        let constraints = self.constraints.iter().chain(&self.foreign_keys);
        let constraints = constraints.map(|c| c.oid);
        let indexes = self.indexes.iter().map(|i| i.oid);
        let sequences = self.sequences.iter().map(|s| s.oid);
        let parts = constraints.chain(indexes).chain(sequences);
        std::iter::once(self.table.oid).chain(parts).collect()
    }

    /// A catalog that has nothing else, but for the schemas and sequences that texts may name.
    fn alone(&self, then: &CatalogSnapshot) -> CatalogSnapshot {
        let mut alone = CatalogSnapshot::default();
        for schema in then.schemas() {
            alone.put(Object::Schema(schema.clone()));
        }
        let columns = self.table.columns.iter();
        let named = columns.flat_map(|column| &column.default_sequences);
        for sequence in named.filter_map(|oid| then.sequence(*oid)) {
            alone.put(Object::Sequence(sequence.clone()));
        }
        for sequence in &self.sequences {
            alone.put(Object::Sequence(Arc::new(sequence.clone())));
        }
        alone.put(Object::Table(Arc::new(self.table.clone())));
        for constraint in &self.constraints {
            alone.put(Object::Constraint(Arc::new(constraint.clone())));
        }
        for index in &self.indexes {
            alone.put(Object::Index(Arc::new(index.clone())));
        }
        alone
    }

    fn take(&mut self, changes: Vec<Change>) {
        for change in changes {
            match change {
                Change::Put(Object::Table(table)) => self.table = Arc::unwrap_or_clone(table),
                Change::Put(Object::Constraint(changed)) => {
                    let mut known = self.constraints.iter_mut();
                    if let Some(known) = known.find(|c| c.oid == changed.oid) {
                        *known = Arc::unwrap_or_clone(changed);
                    }
                }
                Change::Put(Object::Index(changed)) => {
                    let mut known = self.indexes.iter_mut();
                    if let Some(known) = known.find(|i| i.oid == changed.oid) {
                        *known = Arc::unwrap_or_clone(changed);
                    }
                }
                _ => {}
            }
        }
    }

    fn change(&mut self, then: &CatalogSnapshot, change: &mut dyn TextChange) -> Result<()> {
        let changes = change_texts(&self.alone(then), change)?;
        self.take(changes);
        Ok(())
    }

    /// 42883 and 42704 for a function or a type that a text names, and that is gone.
    pub fn check_texts(&self, then: &CatalogSnapshot, now: &CatalogSnapshot) -> Result<()> {
        let alone = self.alone(then);
        for routine in then.routines().iter() {
            if now.routines().get(routine.oid).is_none()
                && Places::of_routine(&alone, routine)?.first().is_some()
            {
                let what = describe(then, routine.oid);
                return Err(self.needs(state::UNDEFINED_FUNCTION, &what));
            }
        }
        for ty in then.types().iter() {
            if now.types().get(ty.oid).is_some() {
                continue;
            }
            let schema = schema_name(then, ty.schema);
            // Another one may have its name now.
            let there = now.schema_by_name(&schema);
            if there.is_some_and(|s| now.types().named(s.oid, &ty.name).is_some()) {
                continue;
            }
            if Places::find(&alone, &schema, &ty.name)?.first().is_some() {
                let what = describe(then, ty.oid);
                return Err(self.needs(state::UNDEFINED_OBJECT, &what));
            }
        }
        Ok(())
    }

    fn needs(&self, code: SqlState, what: &str) -> SqlError {
        let error = SqlError::new(code, format!("{what} does not exist"));
        error.with_detail(format!("Table \"{}\" needs it.", self.table.name))
    }

    /// Has the texts name things as they are called now.
    pub fn rename_named(
        &mut self,
        session: &Session,
        then: &CatalogSnapshot,
        now: &CatalogSnapshot,
    ) -> Result<()> {
        for ty in then.types().iter() {
            let Some(present) = now.types().get(ty.oid) else {
                continue;
            };
            let (from, to) = (
                schema_name(then, ty.schema),
                schema_name(now, present.schema),
            );
            if (&from, &ty.name) != (&to, &present.name) {
                let mut rename = RenameType {
                    schema: &from,
                    name: &ty.name,
                    to: [&to, &present.name],
                };
                self.change(then, &mut rename)?;
            }
            let labels = ty.labels().unwrap_or_default();
            let known = present.labels().unwrap_or_default();
            for label in labels {
                let known = known.iter().find(|known| known.key == label.key);
                let Some(known) = known.filter(|known| known.label != label.label) else {
                    continue;
                };
                let mut oids = then.types().made_of(ty.oid);
                oids.push(ty.array_oid);
                let name = [to.as_str(), present.name.as_str()];
                let mut relabel = Labels::new(oids, name, &label.label, &known.label);
                self.change(then, &mut relabel)?;
            }
        }
        for routine in then.routines().iter() {
            let Some(present) = now.routines().get(routine.oid) else {
                continue;
            };
            if (routine.schema, &routine.name) != (present.schema, &present.name) {
                let schema = schema_name(now, present.schema);
                let mut rename = RenameRoutine {
                    oid: routine.oid,
                    name: &routine.name,
                    to: [&schema, &present.name],
                };
                self.change(then, &mut rename)?;
            }
        }
        let columns = self.table.columns.iter();
        let named = columns.flat_map(|column| column.default_sequences.iter().copied());
        let named: BTreeSet<Oid> = named.collect();
        for oid in named {
            if let (Some(was), Some(is)) = (then.sequence(oid), now.sequence(oid))
                && was.name != is.name
            {
                let changes = session.defaults_with(&self.alone(then), was, &is.name)?;
                self.take(changes);
            }
        }
        Ok(())
    }

    /// Gives the table another name.
    pub fn rename(&mut self, then: &CatalogSnapshot, name: &str) -> Result<()> {
        if self.table.name == name {
            return Ok(());
        }
        let mut policies = self.table.policies.iter();
        if let Some(policy) = policies.find(|p| p.depends_on.contains(&self.table.oid)) {
            return Err(SqlError::unsupported(format!(
                "renaming what policy \"{}\" on table \"{}\" reads",
                policy.name, self.table.name
            )));
        }
        let mut table = self.table.clone();
        let changes = with_table_name(&self.alone(then), &mut table, name)?;
        self.take(changes);
        self.table = Table {
            name: name.to_owned(),
            ..table
        };
        Ok(())
    }

    /// Gives indexes and sequences whose names are taken others, as CREATE TABLE would; what was called what, and
    /// what it is called now.
    pub fn name_parts(
        &mut self,
        session: &Session,
        then: &CatalogSnapshot,
        is_taken: impl Fn(&str) -> bool,
    ) -> Result<Vec<(String, String)>> {
        let mut renamed = Vec::new();
        let of_indexes = self.indexes.iter().map(|index| &index.name);
        let of_parts = of_indexes.chain(self.sequences.iter().map(|s| &s.name));
        let mut given: Vec<String> = of_parts.filter(|n| !is_taken(n)).cloned().collect();
        given.push(self.table.name.clone());
        for sequence in self.sequences.clone() {
            if !is_taken(&sequence.name) && sequence.name != self.table.name {
                continue;
            }
            let column = sequence
                .owned_by
                .and_then(|by| self.table.column_at(by.column));
            let column = column.map_or("", |column| column.name.as_str());
            let name = names::choose(&self.table.name, column, "seq", |name| {
                is_taken(name) || given.iter().any(|given| given == name)
            });
            let changes = session.defaults_with(&self.alone(then), &sequence, &name)?;
            self.take(changes);
            renamed.push((format!("sequence \"{}\"", sequence.name), name.clone()));
            given.push(name.clone());
            let mut known = self.sequences.iter_mut();
            if let Some(known) = known.find(|known| known.oid == sequence.oid) {
                known.name = name;
            }
        }
        for index in &mut self.indexes {
            if !is_taken(&index.name) && index.name != self.table.name {
                continue;
            }
            let columns = index::column_names(&self.table, index).join("_");
            let (columns, label) = match (index.primary, index.constraint) {
                (true, _) => ("", "pkey"),
                (false, Some(_)) => (columns.as_str(), "key"),
                (false, None) => (columns.as_str(), "idx"),
            };
            let name = names::choose(&self.table.name, columns, label, |name| {
                let mut constraints = self.constraints.iter().chain(&self.foreign_keys);
                is_taken(name)
                    || given.iter().any(|given| given == name)
                    || constraints.any(|c| c.name == name)
            });
            renamed.push((format!("index \"{}\"", index.name), name.clone()));
            given.push(name.clone());
            let mut constraints = self.constraints.iter_mut();
            if let Some(own) = constraints.find(|c| Some(c.oid) == index.constraint) {
                own.name.clone_from(&name);
            }
            index.name = name;
        }
        Ok(renamed)
    }
}

impl Session {
    /// 42P07 and 42710 when a table's name is taken, by a relation or a type.
    pub(crate) fn check_table_free(
        &self,
        catalog: &CatalogSnapshot,
        schema: Oid,
        name: &str,
    ) -> Result<()> {
        self.check_free(catalog, schema, name)?;
        check_row_type_free(catalog, schema, name)
    }
}
