//! What a merged catalog has not got, or has twice: what each branch did by itself was whole.

use std::collections::{BTreeSet, HashMap};

use heliosdb_plugin_host::services::Conflict;

use super::schema::conflict;
use crate::catalog::model::*;
use crate::catalog::{CatalogSnapshot, Oid};
use crate::ddl::stored_text::Places;
use crate::error::Result;

/// The first thing that a merged catalog lacks, or has twice. `known` are the catalogs that it was made of, the
/// target's last.
pub(super) fn first_gap(
    catalog: &CatalogSnapshot,
    known: &[&CatalogSnapshot],
) -> Result<Option<Conflict>> {
    let orphan = || of_owners(catalog, known.last()?);
    let gap = of_names(catalog).or_else(orphan);
    match gap.or_else(|| of_needs(catalog, known)) {
        Some(gap) => Ok(Some(gap)),
        None => of_texts(catalog, known),
    }
}

fn gone(what: String) -> Option<Conflict> {
    Some(conflict(what, "something that it needs is not there"))
}

fn twice(what: String) -> Option<Conflict> {
    Some(conflict(what, "both branches gave this name"))
}

/// Whether there is a type of an oid.
fn has_type(catalog: &CatalogSnapshot, oid: Oid) -> bool {
    oid < FIRST_USER_OID || catalog.types().find(oid).is_some()
}

/// What is in a schema that is gone, or has a name that another has.
fn of_names(catalog: &CatalogSnapshot) -> Option<Conflict> {
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
        if catalog.schema(ty.schema).is_none() {
            return gone(format!("type {}", ty.name));
        }
        if !types.insert((ty.schema, &ty.name)) {
            return twice(format!("type {}", ty.name));
        }
    }
    let mut routines = BTreeSet::new();
    for routine in catalog.routines().iter() {
        let what = || format!("{} {}", routine.kind.noun(), routine.name);
        if catalog.schema(routine.schema).is_none() {
            return gone(what());
        }
        if !routines.insert((routine.schema, &routine.name, routine.input_types())) {
            return twice(what());
        }
    }
    let mut objects = BTreeSet::new();
    for object in catalog.plugin_objects() {
        let what = || format!("{} {}", object.class, object.name);
        if catalog.schema(object.schema).is_none() {
            return gone(what());
        }
        if !objects.insert((&object.plugin, &object.class, object.schema, &object.name)) {
            return twice(what());
        }
    }
    let mut extensions = BTreeSet::new();
    for extension in catalog.all_extensions() {
        if !extensions.insert(&extension.name) {
            return twice(format!("extension {}", extension.name));
        }
    }
    None
}

/// What comes to the target, and belongs to nobody.
fn of_owners(catalog: &CatalogSnapshot, target: &CatalogSnapshot) -> Option<Conflict> {
    let relations = (catalog.tables().map(|o| (o.oid, o.owner, "table", &o.name)))
        .chain((catalog.sequences()).map(|o| (o.oid, o.owner, "sequence", &o.name)))
        .chain(catalog.views().map(|o| (o.oid, o.owner, "view", &o.name)));
    let others = (catalog
        .schemas()
        .map(|o| (o.oid, o.owner, "schema", &o.name)))
    .chain((catalog.types().iter()).map(|o| (o.oid, o.owner, "type", &o.name)))
    .chain((catalog.routines().iter()).map(|o| (o.oid, o.owner, o.kind.noun(), &o.name)))
    .chain((catalog.plugin_objects()).map(|o| (o.oid, o.owner, o.class.as_str(), &o.name)));
    let mut owned = relations.chain(others);
    let orphan = owned.find(|(oid, owner, ..)| catalog.role(*owner).is_none() && !target.has(*oid));
    let (_, _, kind, name) = orphan?;
    Some(conflict(format!("{kind} {name}"), "its owner was dropped"))
}

/// What needs something that is gone.
fn of_needs(catalog: &CatalogSnapshot, known: &[&CatalogSnapshot]) -> Option<Conflict> {
    let was_dropped = |ty: Oid| {
        let is_there = |catalog: &CatalogSnapshot| catalog.types().find(ty).is_some();
        !is_there(catalog) && known.iter().any(|known| is_there(known))
    };
    let has_column = |table: Oid, column: ColumnId16| {
        let table = catalog.table(table);
        let column = table.and_then(|table| table.column_at(column));
        column.is_some_and(|column| !column.dropped)
    };
    for table in catalog.tables() {
        let mut columns = BTreeSet::new();
        for (_, column) in table.live_columns() {
            if !columns.insert(&column.name) {
                return twice(format!("column {} of table {}", column.name, table.name));
            }
            let has_type = column.extension_type.is_some() || has_type(catalog, column.type_oid);
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
    for ty in catalog.types().iter() {
        if ty.domain().is_some_and(|domain| was_dropped(domain.base)) {
            return gone(format!("domain {}", ty.name));
        }
    }
    for routine in catalog.routines().iter() {
        let mut types = routine.parameters.iter().map(|p| p.type_oid);
        let is_whole = !types.any(was_dropped)
            && match routine.result {
                ResultShape::Value(ty) => !was_dropped(ty),
                ResultShape::Relation(relation) => {
                    relation < FIRST_USER_OID || catalog.has(relation)
                }
                ResultShape::Columns => true,
            };
        if !is_whole {
            return gone(format!("{} {}", routine.kind.noun(), routine.name));
        }
    }
    None
}

/// Expressions and queries that name a function or a type which one side dropped.
fn of_texts(catalog: &CatalogSnapshot, known: &[&CatalogSnapshot]) -> Result<Option<Conflict>> {
    let mut looked_at = BTreeSet::new();
    for other in known {
        for routine in other.routines().iter() {
            if catalog.routines().get(routine.oid).is_some() || !looked_at.insert(routine.oid) {
                continue;
            }
            if let Some(user) = Places::of_routine(catalog, routine)?.first() {
                let gone = format!("{} {}", routine.kind.noun(), routine.name);
                return Ok(Some(needed(catalog, user, &gone)));
            }
        }
        for ty in other.types().iter() {
            if catalog.types().get(ty.oid).is_some() || !looked_at.insert(ty.oid) {
                continue;
            }
            let Some(schema) = other.schema(ty.schema) else {
                continue;
            };
            // Another one may have its name now.
            if let Some(schema) = catalog.schema_by_name(&schema.name)
                && catalog.types().named(schema.oid, &ty.name).is_some()
            {
                continue;
            }
            if let Some(user) = Places::find(catalog, &schema.name, &ty.name)?.first() {
                return Ok(Some(needed(catalog, user, &format!("type {}", ty.name))));
            }
        }
    }
    Ok(None)
}

fn needed(catalog: &CatalogSnapshot, user: Oid, gone: &str) -> Conflict {
    let relation = catalog.relation(user);
    let name = match (relation, catalog.constraint(user)) {
        (Some(relation), _) => catalog.qualified_name(&relation),
        (None, Some(constraint)) => format!("constraint {}", constraint.name),
        (None, None) => format!("object {user}"),
    };
    conflict(
        name,
        format!("{gone}, which it calls or names, was dropped"),
    )
}
