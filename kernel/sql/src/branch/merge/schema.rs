//! Definitions: the rows of the catalog, which are branches' own as any rows are.
//!
//! Oids are never given twice on whichever branches, so an object is the same where its oid is, and one that
//! only the source has is new. An object that both changed is a conflict, but for a table: its columns are merged
//! one by one and field by field, and places of columns are never given twice either
//! (ADD COLUMN leaves free what others have). Roles, and rights on the database, are of no branch. Temporary
//! objects are their sessions'.
//!
//! 1. What is merged is whole ([`gaps`](super::gaps)): everything that an object needs is there, and no name is given
//!    twice. Else there is a conflict.
//! 2. Conflicts of definitions have no resolution: nobody's table wins.
//! 3. A table that is dropped or rewritten on one side, and whose rows the other side wrote, is a conflict.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use heliosdb_plugin_host::services::Conflict;
use heliosdb_storage::{ReadView, TableLockMode};
use serde_json::{Map, Value};

use super::gaps::first_gap;
use super::{Progress, Sides, State};
use crate::branch::lineage::settled;
use crate::catalog::model::*;
use crate::catalog::store::{self, Change, Row};
use crate::catalog::{CatalogSnapshot, Oid};
use crate::error::Result;
use crate::names::is_temporary_schema;
use crate::session::Session;

/// What the tables of a merge are.
pub(super) struct Catalogs {
    pub source: Arc<CatalogSnapshot>,
    /// What the bases say, taken together.
    pub base: Arc<CatalogSnapshot>,
    /// Before anything was brought.
    pub target: Arc<CatalogSnapshot>,
    pub bases: Vec<Known>,
    pub grounds: Vec<Known>,
    /// Before and after each commit that brought something of branches that are gone.
    pub brought: Vec<(Known, Known)>,
    /// Tables whose rows are new as a whole.
    copied: BTreeSet<Oid>,
    /// Tables that storage does not know as they are yet, and indexes of theirs, and their collections, that are
    /// to be filled when the rows are there.
    pub redefined: BTreeSet<Oid>,
    pub unfilled: Vec<(Oid, u32)>,
}

/// A state of the past.
pub(super) struct Known {
    pub view: ReadView,
    pub catalog: Arc<CatalogSnapshot>,
}

impl Catalogs {
    pub fn is_copied(&self, table: Oid) -> bool {
        self.copied.contains(&table)
    }
}

pub(super) fn conflict(object: String, detail: impl Into<String>) -> Conflict {
    Conflict {
        kind: "definition".to_owned(),
        object,
        detail: Some(detail.into()),
        ..Conflict::default()
    }
}

impl Session {
    /// Brings what the source defined since the base.
    pub(super) fn merge_definitions(
        &mut self,
        sides: &Sides,
        progress: &mut Progress,
    ) -> Result<Catalogs> {
        let engine = self.instance.engine().clone();
        let source = sides.source.view(&engine)?;
        let one = |state: State| -> Result<Known> {
            let view = state.view(&engine)?;
            let catalog = self.instance.catalog(&view)?;
            Ok(Known { view, catalog })
        };
        let known = |states: &[State]| -> Result<Vec<Known>> {
            states.iter().map(|state| one(*state)).collect()
        };
        let brought = sides.lost.iter();
        let brought = brought.map(|lost| Ok((one(lost.before())?, one(lost.after)?)));
        let brought = brought.collect::<Result<Vec<_>>>()?;
        let (bases, grounds) = (known(&sides.common.bases)?, known(&sides.common.grounds)?);
        let of_source = self.instance.catalog(&source)?;
        let mut is_same = true;
        for base in &bases {
            is_same &= store::version(&base.view)? == store::version(&source)?;
        }
        let here = self.write_view()?.1;
        let mut catalogs = Catalogs {
            base: match bases.first() {
                Some(base) => base.catalog.clone(),
                None => of_source.clone(),
            },
            source: of_source,
            target: here.clone(),
            bases,
            grounds,
            brought,
            copied: BTreeSet::new(),
            redefined: BTreeSet::new(),
            unfilled: Vec::new(),
        };
        if is_same {
            return Ok(catalogs);
        }
        let target = self.transaction()?.latest_view();
        let there = catalogs.source.clone();
        let mut unsettled = BTreeSet::new();
        let mut base = settled_rows(&catalogs, &mut unsettled)?;
        let lost = sides.keys_of_lost(&engine, (store::CATALOG, store::CATALOG))?;
        settle_lost(&catalogs, &mut base, &mut unsettled, lost)?;
        if catalogs.bases.len() > 1 {
            let base = store::from_rows(&base)?.with_roles_of(&there);
            catalogs.base = Arc::new(base);
        }
        let before = catalogs.base.clone();
        let known = [before.as_ref(), there.as_ref(), here.as_ref()];
        let (source, target) = (store::rows(&source)?, store::rows(&target)?);
        let mut changes = Vec::new();
        let keys = base.keys().chain(source.keys()).chain(&unsettled);
        let keys: BTreeSet<&Vec<u8>> = keys.filter(|key| *key != store::VERSION_KEY).collect();
        for key in keys {
            let (of_base, of_source) = (base.get(key), source.get(key));
            let of_target = target.get(key);
            let is_unsettled = unsettled.contains(key);
            if (of_base == of_source && !is_unsettled) || of_source == of_target {
                continue;
            }
            let Some(row) = store::row(key, of_source.or(of_base).or(of_target))? else {
                continue;
            };
            if is_passed_over(&row, &known) || is_extension_of(&here, &row, of_target) {
                continue;
            }
            if is_unsettled {
                let what = "the branches differ, and what they had in common is not known any more";
                progress.conflict(conflict(name_of(&row, &known), what));
                continue;
            }
            if of_base == of_target {
                changes.push(store::change(key, of_source, row)?);
                continue;
            }
            let merged = match (of_base, of_source, of_target) {
                (Some(base), Some(source), Some(target)) => {
                    store::merge_tables(&row, [base, source, target], merge_table)?
                }
                _ => None,
            };
            match merged {
                Some(merged) => changes.push(Change::Put(Object::Table(Arc::new(merged)))),
                None => {
                    let what = "both branches changed its definition";
                    progress.conflict(conflict(name_of(&row, &known), what));
                }
            }
        }
        if changes.is_empty() || progress.is_open() {
            return Ok(catalogs);
        }
        let merged = store::with_changes(&here, &changes);
        if let Some(gap) = first_gap(&merged, &known)? {
            progress.conflict(gap);
            return Ok(catalogs);
        }
        self.check_untouched(sides, (&before, &here), &merged, progress)?;
        if progress.is_open() {
            return Ok(catalogs);
        }
        self.apply_definitions(&here, changes, &mut catalogs, progress)?;
        Ok(catalogs)
    }

    /// Tables that go, or get another storage, while there are rows that the source has not seen.
    fn check_untouched(
        &mut self,
        sides: &Sides,
        (before, here): (&CatalogSnapshot, &CatalogSnapshot),
        merged: &CatalogSnapshot,
        progress: &mut Progress,
    ) -> Result<()> {
        for table in before.tables() {
            let Some(ours) = here.table(table.oid) else {
                continue;
            };
            let what = match merged.table(table.oid) {
                None => "the source dropped it",
                Some(merged) if merged.collection != ours.collection => "the source rewrote it",
                Some(merged) if retyped(table, merged).is_some() => {
                    "the source changed the type of a column"
                }
                Some(_) => continue,
            };
            self.lock_table(ours.collection_id(), TableLockMode::AccessExclusive)?;
            let latest = State {
                timeline: sides.target,
                ts: self.transaction()?.latest_view().ts(),
            };
            let engine = self.instance.engine();
            let mut is_touched = false;
            for (timeline, from, to) in sides.news(latest) {
                let mut rows = engine.touched_on(timeline, ours.collection_id(), from, to)?;
                is_touched |= rows.next().transpose()?.is_some();
            }
            if is_touched {
                let relation = crate::catalog::Relation::Table(ours.clone());
                let detail = format!("{what}, and the target wrote rows of it");
                progress.conflict(conflict(here.qualified_name(&relation), detail));
            }
        }
        Ok(())
    }

    fn apply_definitions(
        &mut self,
        here: &Arc<CatalogSnapshot>,
        changes: Vec<Change>,
        catalogs: &mut Catalogs,
        progress: &mut Progress,
    ) -> Result<()> {
        for change in &changes {
            progress.report.definitions.push(told(change, here));
        }
        let mut changes = changes;
        let merged = store::with_changes(here, &changes);
        for table in merged.tables() {
            let before = here.table(table.oid);
            if before.is_none_or(|before| before.collection == table.collection) {
                continue;
            }
            // The target's own indexes have entries of rows that are gone.
            for index in merged.indexes_of(table.oid) {
                let known = here.index(index.oid);
                if known.is_some_and(|known| known.collection == index.collection) {
                    let index = Index {
                        collection: self.instance.allocate_collection()?.0,
                        ..index.as_ref().clone()
                    };
                    changes.push(Change::Put(Object::Index(Arc::new(index))));
                }
            }
        }
        let merged = self.put_catalog(here, changes)?;
        let mut redefined = BTreeSet::new();
        for table in here.tables() {
            let now = merged.table(table.oid);
            if now.is_none_or(|now| now.collection != table.collection) {
                // Who writes there looks up this table's rows where they were.
                for related in here
                    .related_tables(table.oid)
                    .filter(|oid| *oid != table.oid)
                {
                    if let Some(related) = here.table(related) {
                        let mode = TableLockMode::ShareRowExclusive;
                        self.lock_table(related.collection_id(), mode)?;
                    }
                }
                let gone = table.collection_id();
                self.lock_table(gone, TableLockMode::AccessExclusive)?;
                self.transaction()?.drop_collection(gone)?;
            }
        }
        for table in merged.tables() {
            let before = here.table(table.oid);
            if before.is_none_or(|before| before.collection != table.collection) {
                self.define_storage(&merged, table.oid)?;
                catalogs.copied.insert(table.oid);
                continue;
            }
            let is_same = here.indexes_of(table.oid).eq(merged.indexes_of(table.oid))
                && here
                    .constraints_of(table.oid)
                    .eq(merged.constraints_of(table.oid))
                && here
                    .foreign_keys_to(table.oid)
                    .eq(merged.foreign_keys_to(table.oid));
            if before != Some(table) || !is_same {
                redefined.insert(table.oid);
            }
        }
        for oid in redefined {
            let Some(table) = merged.table(oid) else {
                continue;
            };
            self.lock_table(table.collection_id(), TableLockMode::AccessExclusive)?;
            for index in merged.indexes_of(oid) {
                let known = here.index(index.oid);
                if known.is_none_or(|known| known.collection != index.collection) {
                    catalogs.unfilled.push((oid, index.collection));
                }
            }
            // Without those that are filled later.
            let filled = merged.table_meta(oid)?.with_indexes_of(here)?;
            self.transaction()?.define_table(&filled.storage)?;
            catalogs.redefined.insert(oid);
        }
        Ok(())
    }
}

/// What both had of rows of the catalog from branches that are gone, where it was the same on both sides. The row of a
/// table that was not is as the bases have it: it is merged field by field.
fn settle_lost(
    catalogs: &Catalogs,
    base: &mut BTreeMap<Vec<u8>, Vec<u8>>,
    unsettled: &mut BTreeSet<Vec<u8>>,
    lost: BTreeMap<Vec<u8>, Vec<usize>>,
) -> Result<()> {
    for (key, places) in lost {
        if key == store::VERSION_KEY {
            continue;
        }
        let mut values = Vec::new();
        for place in places {
            let (_, after) = &catalogs.brought[place];
            values.push(after.view.get(store::CATALOG, &key)?);
        }
        let known = values.iter().flatten().next();
        match settled(&values, &[], PartialEq::eq) {
            Some(Some(value)) => {
                base.insert(key, value.clone());
            }
            Some(None) => {
                base.remove(&key);
            }
            None => match store::row(&key, known)? {
                Some(Row::Object(Object::Table(_))) => {}
                _ => {
                    unsettled.insert(key);
                }
            },
        }
    }
    Ok(())
}

/// What the bases say of each row of the catalog. `unsettled` are those that two of them changed.
fn settled_rows(
    catalogs: &Catalogs,
    unsettled: &mut BTreeSet<Vec<u8>>,
) -> Result<BTreeMap<Vec<u8>, Vec<u8>>> {
    let rows = |known: &[Known]| -> Result<Vec<BTreeMap<Vec<u8>, Vec<u8>>>> {
        known.iter().map(|known| store::rows(&known.view)).collect()
    };
    let (bases, grounds) = (rows(&catalogs.bases)?, rows(&catalogs.grounds)?);
    let Some((newest, others)) = bases.split_first() else {
        return Ok(BTreeMap::new());
    };
    let mut settled_rows = newest.clone();
    if others.is_empty() {
        return Ok(settled_rows);
    }
    let keys: BTreeSet<&Vec<u8>> = bases.iter().flat_map(BTreeMap::keys).collect();
    for key in keys {
        let of = |rows: &[BTreeMap<Vec<u8>, Vec<u8>>]| -> Vec<Option<Vec<u8>>> {
            rows.iter().map(|rows| rows.get(key).cloned()).collect()
        };
        match settled(&of(&bases), &of(&grounds), PartialEq::eq) {
            Some(Some(value)) => {
                settled_rows.insert(key.clone(), value.clone());
            }
            Some(None) => {
                settled_rows.remove(key);
            }
            None => {
                unsettled.insert(key.clone());
            }
        }
    }
    Ok(settled_rows)
}

/// A column of the table before that is dropped now, while there is a new one of its name.
pub(in crate::branch) fn retyped<'a>(before: &'a Table, merged: &Table) -> Option<&'a Column> {
    let mut dropped = before.live_columns().filter(|(id, _)| {
        let now = merged.column_at(id.0);
        now.is_some_and(|now| now.dropped)
    });
    let found = dropped.find(|(_, column)| merged.column(&column.name).is_some());
    found.map(|(_, column)| column)
}

/// An extension that the target has by another oid, the same in everything else. Nothing names it by its oid.
fn is_extension_of(here: &CatalogSnapshot, row: &Row, of_target: Option<&Vec<u8>>) -> bool {
    let Row::Object(Object::Extension(theirs)) = row else {
        return false;
    };
    let ours = here.extension(&theirs.name);
    let ours = ours.filter(|ours| of_target.is_none() && ours.oid != theirs.oid);
    ours.is_some_and(|ours| {
        let same = Extension {
            oid: ours.oid,
            owner: ours.owner,
            ..theirs.as_ref().clone()
        };
        same == **ours
    })
}

/// What is of no branch, or of a session.
fn is_passed_over(row: &Row, known: &[&CatalogSnapshot; 3]) -> bool {
    let is_temporary = |schema: Oid| {
        known.iter().any(|catalog| {
            let schema = catalog.schema(schema);
            schema.is_some_and(|schema| is_temporary_schema(&schema.name))
        })
    };
    let of_relation = |oid: Oid| {
        let schema = known.iter().find_map(|catalog| {
            let relation = catalog.relation(oid).map(|relation| relation.schema());
            let schema = || catalog.schema(oid).map(|schema| schema.oid);
            relation.or_else(schema)
        });
        schema.is_some_and(is_temporary)
    };
    match row {
        Row::Object(Object::Role(_)) => true,
        Row::Object(Object::Schema(schema)) => is_temporary_schema(&schema.name),
        Row::Object(Object::Constraint(constraint)) => of_relation(constraint.table),
        Row::Object(Object::UserType(ty)) => is_temporary(ty.schema),
        Row::Object(Object::Routine(routine)) => is_temporary(routine.schema),
        Row::Object(object) => of_relation(object.oid()),
        Row::Comment { class, object, .. } | Row::Access { class, object, .. } => {
            matches!(*class, oid::PG_DATABASE | oid::PG_AUTHID) || of_relation(*object)
        }
    }
}

fn name_of(row: &Row, known: &[&CatalogSnapshot; 3]) -> String {
    let oid = match row {
        Row::Object(object) => object.oid(),
        Row::Comment { object, .. } | Row::Access { object, .. } => *object,
    };
    let relation = known.iter().find_map(|catalog| {
        let relation = catalog.relation(oid)?;
        Some(catalog.qualified_name(&relation))
    });
    relation.unwrap_or_else(|| match row {
        Row::Object(object) => object_name(object),
        _ => format!("object {oid}"),
    })
}

fn object_name(object: &Object) -> String {
    match object {
        Object::Schema(o) => format!("schema {}", o.name),
        Object::Table(o) => format!("table {}", o.name),
        Object::Constraint(o) => format!("constraint {}", o.name),
        Object::Index(o) => format!("index {}", o.name),
        Object::Sequence(o) => format!("sequence {}", o.name),
        Object::View(o) => format!("view {}", o.name),
        Object::Role(o) => format!("role {}", o.name),
        Object::Extension(o) => format!("extension {}", o.name),
        Object::PluginObject(o) => format!("{} {}", o.class, o.name),
        Object::UserType(o) => format!("type {}", o.name),
        Object::Routine(o) => format!("function {}", o.name),
    }
}

/// A change, as the report has it.
fn told(change: &Change, here: &CatalogSnapshot) -> String {
    match change {
        Change::Put(object) => match here.has(object.oid()) {
            true => format!("changed {}", object_name(object)),
            false => format!("created {}", object_name(object)),
        },
        Change::Remove(oid) => match here.relation(*oid) {
            Some(relation) => format!("dropped {} {}", relation.kind(), relation.name()),
            None => format!("dropped object {oid}"),
        },
        Change::PutComment(_) | Change::RemoveComment { .. } => "changed a comment".to_owned(),
        Change::PutAccess(_) | Change::RemoveAccess { .. } => "changed privileges".to_owned(),
    }
}

/// A table that both changed, as JSON; `None` for a conflict.
fn merge_table(base: &Value, source: &Value, target: &Value) -> Option<Value> {
    let (base, source, target) = (base.as_object()?, source.as_object()?, target.as_object()?);
    let mut merged = merge_fields(base, source, target, &["columns"])?;
    let is_rewritten = |side: &Map<String, Value>| side.get("collection") != base.get("collection");
    let rewritten = (is_rewritten(source), is_rewritten(target));
    let columns = |of: &Map<String, Value>| {
        let columns = of.get("columns").and_then(Value::as_array);
        columns.cloned().unwrap_or_default()
    };
    let (mut base, mut source, mut target) = (columns(base), columns(source), columns(target));
    // The rows are those of the side that wrote them anew, and so is what they are without.
    match rewritten {
        (true, false) => {
            without_as(&source, base.len(), &mut target);
            without_as(&source, base.len(), &mut base);
        }
        (false, true) => {
            without_as(&target, base.len(), &mut source);
            without_as(&target, base.len(), &mut base);
        }
        _ => {}
    }
    let mut all = Vec::new();
    for place in 0..source.len().max(target.len()) {
        let column = merge_column(base.get(place), source.get(place), target.get(place))?;
        all.push(column);
    }
    merged.insert("columns".to_owned(), Value::Array(all));
    Some(Value::Object(merged))
}

/// Rows have in the first `count` of `columns` what those of `rewritten` have there, if they were written without them.
fn without_as(rewritten: &[Value], count: usize, columns: &mut [Value]) {
    for (column, rewritten) in columns.iter_mut().zip(rewritten).take(count) {
        let Some(column) = column.as_object_mut() else {
            continue;
        };
        match rewritten.get("missing") {
            Some(missing) => column.insert("missing".to_owned(), missing.clone()),
            None => column.remove("missing"),
        };
    }
}

fn is_dropped(column: &Value) -> bool {
    column.get("dropped") == Some(&Value::Bool(true))
}

fn merge_column(
    base: Option<&Value>,
    source: Option<&Value>,
    target: Option<&Value>,
) -> Option<Value> {
    match (base, source, target) {
        (_, source, target) if source == target => source.cloned(),
        (Some(base), Some(source), Some(target)) if source == base => Some(target.clone()),
        (Some(base), Some(source), Some(target)) if target == base => Some(source.clone()),
        (Some(base), Some(source), Some(target)) => {
            if is_dropped(source) || is_dropped(target) {
                return None;
            }
            let fields = merge_fields(
                base.as_object()?,
                source.as_object()?,
                target.as_object()?,
                &[],
            )?;
            Some(Value::Object(fields))
        }
        (None, Some(one), None) | (None, None, Some(one)) => Some(one.clone()),
        // A place that one side only left free.
        (None, Some(source), Some(target)) if is_place_of(target, source) => Some(source.clone()),
        (None, Some(source), Some(target)) if is_place_of(source, target) => Some(target.clone()),
        _ => None,
    }
}

/// Whether a column that is not there has the type of another, so that rows with its place can be read as rows
/// with the other. An enum's values are stored as numbers.
fn is_place_of(free: &Value, column: &Value) -> bool {
    let is_user_type = |ty: &Value| ty.as_u64() >= Some(u64::from(FIRST_USER_OID));
    let same = |field: &str| free.get(field) == column.get(field);
    let types = column.get("type_oid").is_some_and(is_user_type) || same("type_oid");
    is_dropped(free) && types && same("typmod") && same("extension_type")
}

fn merge_fields(
    base: &Map<String, Value>,
    source: &Map<String, Value>,
    target: &Map<String, Value>,
    but: &[&str],
) -> Option<Map<String, Value>> {
    let mut merged = Map::new();
    let names: BTreeSet<&String> = base
        .keys()
        .chain(source.keys())
        .chain(target.keys())
        .collect();
    for name in names {
        if but.contains(&name.as_str()) {
            continue;
        }
        let (base, source, target) = (base.get(name), source.get(name), target.get(name));
        let value = match () {
            () if source == target || base == target => source,
            () if base == source => target,
            () => return None,
        };
        if let Some(value) = value {
            merged.insert(name.clone(), value.clone());
        }
    }
    Some(merged)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn columns_of_both_sides() {
        let table = |columns: &[(&str, bool)], name: &str| {
            let columns = columns.iter();
            let columns = columns.map(|(name, dropped)| json!({"name": name, "dropped": dropped}));
            json!({"name": name, "columns": columns.collect::<Vec<_>>()})
        };
        let base = table(&[("a", false)], "t");
        let source = table(&[("a", false), ("", true), ("s", false)], "renamed");
        let target = table(&[("b", false), ("t", false)], "t");
        let merged = table(&[("b", false), ("t", false), ("s", false)], "renamed");
        assert_eq!(merge_table(&base, &source, &target), Some(merged));
        let clash = table(&[("a", false), ("other", false)], "t");
        assert_eq!(merge_table(&base, &clash, &target), None);
        let dropped = table(&[("", true)], "t");
        assert_eq!(merge_table(&base, &dropped, &target), None);
        assert!(merge_table(&base, &dropped, &base).is_some());
    }

    #[test]
    fn columns_of_rows_that_one_side_wrote_anew() {
        let table = |collection: u32, columns: &[(bool, Option<i64>)]| {
            let columns = columns.iter().map(|(dropped, missing)| match missing {
                Some(missing) => json!({"dropped": dropped, "missing": missing}),
                None => json!({"dropped": dropped}),
            });
            json!({"collection": collection, "columns": columns.collect::<Vec<_>>()})
        };
        let base = table(7, &[(false, None), (false, Some(1))]);
        let rewritten = table(8, &[(false, None), (false, None), (false, Some(3))]);
        let dropped = table(7, &[(false, None), (true, Some(1))]);
        let merged = table(8, &[(false, None), (true, None), (false, Some(3))]);
        let merge = merge_table(&base, &rewritten, &dropped);
        assert_eq!(merge, Some(merged.clone()));
        assert_eq!(merge_table(&base, &dropped, &rewritten), Some(merged));
        let again = table(9, &[(false, None), (false, None)]);
        assert_eq!(merge_table(&base, &rewritten, &again), None);
    }
}
