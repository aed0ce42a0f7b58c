//! Definitions: the rows of the catalog, which are branches' own as any rows are.
//!
//! Oids are never given twice on whichever branches, so an object is the same where its oid is, and one that
//! only the source has is new. An object that both changed is a conflict, but for a table: its columns are merged
//! one by one and field by field, and places of columns are never given twice either
//! ([`columns_elsewhere`](crate::ddl)). Roles, and rights on the database, are of no branch. Temporary
//! objects are their sessions'.
//!
//! 1. What is merged is whole ([`first_gap`]): everything that an object needs is there, and no name is given
//!    twice. Else there is a conflict.
//! 2. Conflicts of definitions have no resolution: nobody's table wins.
//! 3. A table that is dropped or rewritten on one side, and whose rows the other side wrote, is a conflict.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use heliosdb_plugin_host::services::Conflict;
use heliosdb_storage::TableLockMode;
use heliosdb_storage::ids::CollectionId;
use serde_json::{Map, Value};

use super::{Progress, Sides, State};
use crate::catalog::model::*;
use crate::catalog::store::{self, Change, Row};
use crate::catalog::{CatalogSnapshot, Oid};
use crate::ddl::constraint::Fill;
use crate::error::Result;
use crate::names::is_temporary_schema;
use crate::session::Session;

/// What the tables of a merge are.
pub(super) struct Catalogs {
    pub source: Arc<CatalogSnapshot>,
    pub base: Arc<CatalogSnapshot>,
    /// Before anything was brought.
    pub target: Arc<CatalogSnapshot>,
    copied: BTreeMap<Oid, Copied>,
}

/// A table whose rows are new as a whole.
pub(super) struct Copied {
    pub has_rows: bool,
}

impl Catalogs {
    pub fn copied(&self, table: Oid) -> Option<&Copied> {
        self.copied.get(&table)
    }
}

fn conflict(object: String, detail: impl Into<String>) -> Conflict {
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
        let (base, source) = (sides.base.view(&engine)?, sides.source.view(&engine)?);
        let mut catalogs = Catalogs {
            source: self.instance.catalog(&source)?,
            base: self.instance.catalog(&base)?,
            target: self.write_view()?.1,
            copied: BTreeMap::new(),
        };
        if store::version(&base)? == store::version(&source)? {
            return Ok(catalogs);
        }
        let target = self.transaction()?.latest_view();
        let before = catalogs.base.clone();
        let there = catalogs.source.clone();
        let (_, here) = self.write_view()?;
        catalogs.target = here.clone();
        let known = [before.as_ref(), there.as_ref(), here.as_ref()];
        let rows = [&base, &source, &target].map(store::rows);
        let [base, source, target] = rows;
        let (base, source, target) = (base?, source?, target?);
        let mut changes = Vec::new();
        let keys: BTreeSet<&Vec<u8>> = base.keys().chain(source.keys()).collect();
        for key in keys {
            let (of_base, of_source) = (base.get(key), source.get(key));
            let of_target = target.get(key);
            if of_base == of_source || of_source == of_target {
                continue;
            }
            let Some(row) = store::row(key, of_source.or(of_base))? else {
                continue;
            };
            if is_passed_over(&row, &known) {
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
        if let Some(gap) = first_gap(&merged) {
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
        let merged = self.put_catalog(here, changes)?;
        let mut redefined = BTreeSet::new();
        for table in here.tables() {
            let now = merged.table(table.oid);
            if now.is_none_or(|now| now.collection != table.collection) {
                let gone = table.collection_id();
                self.lock_table(gone, TableLockMode::AccessExclusive)?;
                self.transaction()?.drop_collection(gone)?;
            }
        }
        for table in merged.tables() {
            let before = here.table(table.oid);
            if before.is_none_or(|before| before.collection != table.collection) {
                self.define_storage(&merged, table.oid)?;
                catalogs.copied.insert(table.oid, Copied { has_rows: true });
                continue;
            }
            let same_indexes = here.indexes_of(table.oid).eq(merged.indexes_of(table.oid));
            if before != Some(table) || !same_indexes {
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
                    let collection = CollectionId(index.collection);
                    self.fill_index(&merged, oid, collection, Fill::Locked)?;
                }
            }
            self.define_storage(&merged, oid)?;
        }
        Ok(())
    }

    /// Looks at rows of the target by what the source demands of them since.
    pub(super) fn check_new_constraints(&mut self, before: &CatalogSnapshot) -> Result<()> {
        let (_, catalog) = self.write_view()?;
        let constraints: Vec<Arc<Constraint>> = catalog
            .constraints()
            .filter(|c| c.validated && before.table(c.table).is_some())
            .filter(|c| before.constraint(c.oid).is_none_or(|old| !old.validated))
            .cloned()
            .collect();
        for constraint in constraints {
            self.check_existing_rows(&catalog, &constraint)?;
        }
        let tables: Vec<Arc<Table>> = catalog.tables().cloned().collect();
        for table in tables {
            let Some(old) = before.table(table.oid) else {
                continue;
            };
            let places: Vec<u16> = table
                .live_columns()
                .filter(|(id, column)| {
                    column.not_null && old.column_at(id.0).is_none_or(|old| !old.not_null)
                })
                .map(|(id, _)| id.0)
                .collect();
            if !places.is_empty() {
                let mut same = table.as_ref().clone();
                self.make_not_null(&catalog, &mut same, &places, true)?;
            }
        }
        Ok(())
    }
}

/// A column of the table before that is dropped now, while there is a new one of its name.
fn retyped<'a>(before: &'a Table, merged: &Table) -> Option<&'a Column> {
    let mut dropped = before.live_columns().filter(|(id, _)| {
        let now = merged.column_at(id.0);
        now.is_some_and(|now| now.dropped)
    });
    let found = dropped.find(|(_, column)| merged.column(&column.name).is_some());
    found.map(|(_, column)| column)
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
    let none = Vec::new();
    let columns = |of: &'_ Map<String, Value>| of.get("columns").and_then(Value::as_array).cloned();
    let (base, source, target) = (
        columns(base).unwrap_or_else(|| none.clone()),
        columns(source).unwrap_or_else(|| none.clone()),
        columns(target).unwrap_or(none),
    );
    let mut all = Vec::new();
    for place in 0..source.len().max(target.len()) {
        let column = merge_column(base.get(place), source.get(place), target.get(place))?;
        all.push(column);
    }
    merged.insert("columns".to_owned(), Value::Array(all));
    Some(Value::Object(merged))
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

/// The first thing that a catalog lacks, or has twice.
fn first_gap(catalog: &CatalogSnapshot) -> Option<Conflict> {
    let has_column = |table: Oid, column: ColumnId16| {
        let table = catalog.table(table);
        let column = table.and_then(|table| table.column_at(column));
        column.is_some_and(|column| !column.dropped)
    };
    let gone = |what: String| Some(conflict(what, "something that it needs is not there"));
    let twice = |what: String| Some(conflict(what, "both branches gave this name"));
    let mut names: HashMap<(Oid, &str), Oid> = HashMap::new();
    let relations = (catalog.tables().map(|o| (o.schema, &o.name, o.oid)))
        .chain(catalog.indexes().map(|o| (o.schema, &o.name, o.oid)))
        .chain(catalog.sequences().map(|o| (o.schema, &o.name, o.oid)))
        .chain(catalog.views().map(|o| (o.schema, &o.name, o.oid)));
    for (schema, name, oid) in relations {
        if catalog.schema(schema).is_none() {
            return gone(format!("relation {name}"));
        }
        if names.insert((schema, name), oid).is_some() {
            return twice(format!("relation {name}"));
        }
    }
    let mut schemas = BTreeSet::new();
    for schema in catalog.schemas() {
        if !schemas.insert(&schema.name) {
            return twice(format!("schema {}", schema.name));
        }
    }
    let mut types = BTreeSet::new();
    for ty in catalog.types().iter() {
        if !types.insert((ty.schema, &ty.name)) {
            return twice(format!("type {}", ty.name));
        }
    }
    for table in catalog.tables() {
        let mut columns = BTreeSet::new();
        for (_, column) in table.live_columns() {
            if !columns.insert(&column.name) {
                return twice(format!("column {} of table {}", column.name, table.name));
            }
            let has_type = column.type_oid < FIRST_USER_OID
                || column.extension_type.is_some()
                || catalog.pg_type(column.type_oid).is_some();
            let sequences = column.identity.iter().map(|identity| &identity.sequence);
            let mut sequences = sequences.chain(&column.default_sequences);
            if !has_type || sequences.any(|sequence| catalog.sequence(*sequence).is_none()) {
                return gone(format!("column {} of table {}", column.name, table.name));
            }
        }
        let keys = catalog.constraints_of(table.oid);
        let keys = keys.filter(|c| matches!(c.kind, ConstraintKind::PrimaryKey { .. }));
        if keys.count() > 1 {
            return twice(format!("the primary key of table {}", table.name));
        }
        let mut constraints = BTreeSet::new();
        for constraint in catalog.constraints_of(table.oid) {
            if !constraints.insert(&constraint.name) {
                return twice(format!("constraint {}", constraint.name));
            }
        }
    }
    for constraint in catalog.constraints() {
        let mut columns = constraint.columns().iter();
        let mut is_whole = catalog.table(constraint.table).is_some()
            && columns.all(|column| has_column(constraint.table, *column));
        match &constraint.kind {
            ConstraintKind::PrimaryKey { index, .. } | ConstraintKind::Unique { index, .. } => {
                is_whole &= catalog.index(*index).is_some();
            }
            ConstraintKind::ForeignKey(key) => {
                is_whole &= catalog.index(key.referenced_index).is_some();
                let mut columns = key.referenced_columns.iter();
                is_whole &= columns.all(|column| has_column(key.referenced_table, *column));
            }
            ConstraintKind::Plugin(plugin) => {
                is_whole &= plugin.depends_on.iter().all(|oid| catalog.has(*oid));
            }
            ConstraintKind::Check { .. } => {}
        }
        if !is_whole {
            return gone(format!("constraint {}", constraint.name));
        }
    }
    for index in catalog.indexes() {
        let keys = index.columns.iter().map(|part| part.column);
        let keys = keys.filter(|column| *column < EXPRESSION);
        let expressions = index.expressions.iter().chain(&index.predicate);
        let read = expressions.flat_map(|e| e.columns.iter().copied());
        let mut columns = keys.chain(read).chain(index.included.iter().copied());
        if catalog.table(index.table).is_none()
            || !columns.all(|column| has_column(index.table, column))
        {
            return gone(format!("index {}", index.name));
        }
    }
    for sequence in catalog.sequences() {
        if let Some(owner) = sequence.owned_by
            && !has_column(owner.table, owner.column)
        {
            return gone(format!("sequence {}", sequence.name));
        }
    }
    for view in catalog.views() {
        let is_whole = view.depends_on.iter().all(|needed| match needed.column {
            Some(column) if catalog.table(needed.oid).is_some() => has_column(needed.oid, column),
            _ => needed.oid < FIRST_USER_OID || catalog.has(needed.oid),
        });
        if !is_whole {
            return gone(format!("view {}", view.name));
        }
    }
    for object in catalog.plugin_objects() {
        if !object.depends_on.iter().all(|oid| catalog.has(*oid)) {
            return gone(format!("{} {}", object.class, object.name));
        }
    }
    None
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
}
