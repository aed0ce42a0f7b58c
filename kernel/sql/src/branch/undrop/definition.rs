//! What of a dropped table comes back, and what has to be different: names that are taken, roles that are gone,
//! references to what is not there.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::Dropped;
use crate::catalog::CatalogSnapshot;
use crate::catalog::access::{AccessList, PUBLIC, Privileges};
use crate::catalog::model::*;
use crate::catalog::store::Change;
use crate::ddl::constraint::check_alike;
use crate::ddl::describe;
use crate::ddl::returning::Returning;
use crate::error::{Result, SqlError, state};
use crate::privilege::acl::Acl;
use crate::session::Session;

/// What is to be made.
pub(super) struct Restored {
    pub returning: Returning,
    /// Comments and access lists.
    pub others: Vec<Change>,
    /// What is different, or does not come back.
    pub told: Vec<String>,
}

impl Session {
    /// What comes back of a dropped table, in a schema and under a name that are free for it.
    pub(super) fn restored(
        &self,
        dropped: &Dropped,
        now: &CatalogSnapshot,
        schema: &Schema,
        name: &str,
    ) -> Result<Restored> {
        let then = &*dropped.catalog;
        let mut told = Vec::new();
        let mut returning = Returning::of(then, &dropped.table);
        // Who dropped the table may have given its sequence to another one.
        returning.sequences.retain(|s| !now.has(s.oid));
        check_types(&returning.table, then, now)?;
        check_policies(&returning.table, then, now)?;
        leave_out(&mut returning, now, &mut told);
        returning.check_texts(then, now)?;
        returning.rename_named(self, then, now)?;
        returning.rename(then, name)?;
        let is_taken = |name: &str| now.relation_in(schema.oid, name).is_some();
        for (what, name) in returning.name_parts(self, then, is_taken)? {
            told.push(format!(
                "{what} is called \"{name}\", because its name is taken"
            ));
        }
        for constraint in std::mem::take(&mut returning.foreign_keys) {
            match self.referring(&returning.table, constraint, now) {
                Ok(constraint) => returning.foreign_keys.push(constraint),
                Err(notice) => told.push(notice),
            }
        }
        let others = self.owned_again(dropped, now, &mut returning, &mut told);
        self.put_into(&mut returning, schema)?;
        told.extend(lost(then, now, &returning));
        Ok(Restored {
            returning,
            others,
            told,
        })
    }

    /// Gives everything to its owner again, or to who brings it back when that role is gone; what was said of it and
    /// granted on it.
    fn owned_again(
        &self,
        dropped: &Dropped,
        now: &CatalogSnapshot,
        returning: &mut Returning,
        told: &mut Vec<String>,
    ) -> Vec<Change> {
        let then = &*dropped.catalog;
        let is_gone = |role: Oid| role != PUBLIC && now.role(role).is_none();
        let was = dropped.table.owner;
        let role = self.info.role().oid;
        let owner = if is_gone(was) { role } else { was };
        if owner != was {
            told.push("its owner is gone, so it belongs to the current role".to_owned());
        }
        returning.table.owner = owner;
        let indexes = returning.indexes.iter_mut();
        indexes.for_each(|index| index.owner = owner);
        let sequences = returning.sequences.iter_mut();
        sequences.for_each(|sequence| sequence.owner = owner);
        for policy in &mut returning.table.policies {
            policy.roles.retain(|role| !is_gone(*role));
        }
        let policies = &mut returning.table.policies;
        policies.retain(|policy| !policy.roles.is_empty());

        let objects: BTreeSet<Oid> = returning.oids().into_iter().collect();
        let comments = then.comments().filter(|c| objects.contains(&c.object));
        let mut others: Vec<Change> = comments
            .map(|comment| Change::PutComment(Comment::clone(comment)))
            .collect();
        for list in objects.iter().flat_map(|oid| then.access_lists_of(*oid)) {
            let acl = Acl {
                owner: was,
                items: list.items.clone(),
            };
            let mut items = acl.with_owner(owner).items;
            items.retain(|item| !is_gone(item.grantee) && !is_gone(item.grantor));
            others.push(Change::PutAccess(AccessList {
                items,
                ..AccessList::clone(list)
            }));
        }
        others
    }

    /// Puts everything into a schema, with new places for rows and entries. Sequences go on in theirs.
    fn put_into(&self, returning: &mut Returning, schema: &Schema) -> Result<()> {
        let table = &mut returning.table;
        table.schema = schema.oid;
        table.collection = self.instance.allocate_collection()?.0;
        // Every row is written with all columns.
        let columns = table.columns.iter_mut();
        columns.for_each(|column| column.missing = None);
        for index in &mut returning.indexes {
            index.schema = schema.oid;
            index.collection = self.instance.allocate_collection()?.0;
        }
        let sequences = returning.sequences.iter_mut();
        sequences.for_each(|sequence| sequence.schema = schema.oid);
        Ok(())
    }

    /// A foreign key to a table as that is now, or why there is none.
    fn referring(
        &self,
        table: &Table,
        constraint: Constraint,
        now: &CatalogSnapshot,
    ) -> std::result::Result<Constraint, String> {
        let what = format!("foreign key \"{}\"", constraint.name);
        let ConstraintKind::ForeignKey(key) = &constraint.kind else {
            return Ok(constraint);
        };
        let Some(parent) = now.table(key.referenced_table) else {
            return Err(not_back(&what, "the table that it refers to is gone"));
        };
        let has_all = key.referenced_columns.iter().all(|place| {
            let column = parent.column_at(*place);
            column.is_some_and(|column| !column.dropped)
        });
        let is_key = |index: &&Arc<Index>| {
            let columns: BTreeSet<u16> = index.columns.iter().map(|c| c.column).collect();
            let wanted: BTreeSet<u16> = key.referenced_columns.iter().copied().collect();
            index.unique && index.is_plain() && columns == wanted
        };
        let mut indexes = now.indexes_of(parent.oid);
        let same = now.index(key.referenced_index).filter(is_key);
        let Some(index) = same.or_else(|| indexes.find(is_key)).filter(|_| has_all) else {
            return Err(not_back(&what, "the key that it refers to is gone"));
        };
        if check_alike(&constraint.name, table, parent, key).is_err() {
            return Err(not_back(
                &what,
                "the key that it refers to has another type",
            ));
        }
        let numbers = key.referenced_columns.iter().map(|c| i32::from(*c) + 1);
        let numbers: Vec<i32> = numbers.collect();
        let role = self.info.role();
        let may = role.check_columns(now, parent, &numbers, Privileges::REFERENCES);
        if may.is_err() {
            return Err(not_back(
                &what,
                "it takes the right to refer to the other table",
            ));
        }
        let kind = ConstraintKind::ForeignKey(ForeignKey {
            referenced_index: index.oid,
            ..key.clone()
        });
        Ok(Constraint { kind, ..constraint })
    }
}

/// Leaves out what needs what is gone and is no part of what rows mean: defaults by other tables' sequences,
/// codecs, constraints of plugins.
fn leave_out(returning: &mut Returning, now: &CatalogSnapshot, told: &mut Vec<String>) {
    let own: BTreeSet<Oid> = returning.sequences.iter().map(|s| s.oid).collect();
    let columns = returning.table.columns.iter_mut();
    for column in columns.filter(|column| !column.dropped) {
        let named = column.default_sequences.iter();
        let mut gone = named.filter(|oid| !own.contains(oid) && now.sequence(**oid).is_none());
        if gone.next().is_some() {
            column.default = None;
            column.default_sequences.clear();
            told.push(format!(
                "the default of column \"{}\" is not brought back, because its sequence is gone",
                column.name
            ));
        }
        if let Some(Compression::Codec { plugin, name }) = &column.compression
            && !now.is_installed(plugin)
        {
            told.push(format!(
                "the compression of column \"{}\" is not brought back, because codec \"{name}\" is gone",
                column.name
            ));
            column.compression = None;
        }
    }
    returning.constraints.retain(|constraint| {
        let Some(by) = constraint.plugin() else {
            return true;
        };
        let is_whole =
            now.is_installed(&by.plugin) && by.depends_on.iter().all(|oid| now.has(*oid));
        if !is_whole {
            told.push(not_back(
                &format!("constraint \"{}\"", constraint.name),
                "what it needs is gone",
            ));
        }
        is_whole
    });
}

fn not_back(what: &str, why: &str) -> String {
    format!("{what} is not brought back, because {why}")
}

/// 42704 for a type of a column that is gone. One of its name that was made since is another one.
fn check_types(table: &Table, then: &CatalogSnapshot, now: &CatalogSnapshot) -> Result<()> {
    for (_, column) in table.live_columns() {
        let gone = match &column.extension_type {
            Some(ty) if !now.is_installed(&ty.plugin) => ty.name.clone(),
            None if column.type_oid >= FIRST_USER_OID
                && now.types().find(column.type_oid).is_none() =>
            {
                let known = then.types().find(column.type_oid);
                known.map_or_else(|| column.type_oid.to_string(), |(ty, _)| ty.name.clone())
            }
            _ => continue,
        };
        return Err(SqlError::new(
            state::UNDEFINED_OBJECT,
            format!("type \"{gone}\" does not exist"),
        )
        .with_detail(format!(
            "Column \"{}\" of table \"{}\" is of it.",
            column.name, table.name
        ))
        .with_hint("Read the table AS OF a time before the type was dropped."));
    }
    Ok(())
}

/// 42P01 for what a policy reads that is gone, or has another name: without the policy others would see more rows,
/// or none.
fn check_policies(table: &Table, then: &CatalogSnapshot, now: &CatalogSnapshot) -> Result<()> {
    for policy in &table.policies {
        let others = policy.depends_on.iter().filter(|oid| **oid != table.oid);
        for relation in others.filter_map(|oid| then.relation(*oid)) {
            let was = then.qualified_name(&relation);
            let is = now.relation(relation.oid());
            if is.is_some_and(|is| now.qualified_name(&is) == was) {
                continue;
            }
            return Err(SqlError::new(
                state::UNDEFINED_TABLE,
                format!("relation \"{was}\" does not exist"),
            )
            .with_detail(format!(
                "Policy \"{}\" of table \"{}\" reads it.",
                policy.name, table.name
            ))
            .with_hint(
                "Bring that back first, or read the table AS OF a time before it was dropped.",
            ));
        }
    }
    Ok(())
}

/// What went with the table and is not its own: views, and what is in other tables that are there.
fn lost(then: &CatalogSnapshot, now: &CatalogSnapshot, returning: &Returning) -> Vec<String> {
    let table = returning.table.oid;
    let mut gone: BTreeSet<Oid> = returning.oids().into_iter().collect();
    let own = gone.clone();
    let mut told = Vec::new();
    let mut tell = |what: String| told.push(format!("{what} is not brought back"));
    // What reads a view that went went with it.
    loop {
        let views = then.views().filter(|v| now.view(v.oid).is_none());
        let mut views = views.filter(|v| v.depends_on.iter().any(|on| gone.contains(&on.oid)));
        let Some(view) = views.find(|v| !gone.contains(&v.oid)) else {
            break;
        };
        gone.insert(view.oid);
        tell(describe(then, view.oid));
    }
    let keys = then.foreign_keys_to(table).filter(|c| c.table != table);
    for key in keys.filter(|c| now.constraint(c.oid).is_none()) {
        // One that is gone itself brings its own.
        if now.table(key.table).is_some() {
            tell(describe(then, key.oid));
        }
    }
    for routine in then.routines().iter() {
        let is_of = matches!(routine.result, ResultShape::Relation(of) if of == table);
        if is_of && now.routines().get(routine.oid).is_none() {
            tell(describe(then, routine.oid));
        }
    }
    for object in then.plugin_objects() {
        let needs = object.depends_on.iter().any(|on| own.contains(on));
        if needs && now.plugin_object(object.oid).is_none() {
            tell(describe(then, object.oid));
        }
    }
    for other in then.tables().filter(|other| other.oid != table) {
        let Some(present) = now.table(other.oid) else {
            continue;
        };
        for policy in &other.policies {
            let is_there = present.policies.iter().any(|p| p.oid == policy.oid);
            if !is_there && policy.depends_on.iter().any(|on| own.contains(on)) {
                tell(format!("policy {} on table {}", policy.name, other.name));
            }
        }
        for (id, column) in other.live_columns() {
            let uses = column.default_sequences.iter().any(|s| own.contains(s));
            let is = present.column_at(id.0);
            if uses && is.is_some_and(|is| !is.dropped && is.default.is_none()) {
                tell(format!(
                    "default value for column {} of table {}",
                    column.name, other.name
                ));
            }
        }
    }
    told
}
