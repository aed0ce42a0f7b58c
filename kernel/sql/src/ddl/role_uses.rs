//! What keeps a role from being dropped: what it owns, and what speaks of it.

use crate::catalog::access::AclItem;
use crate::catalog::model::oid;
use crate::catalog::{CatalogSnapshot, Oid};

/// Descriptions, in the order of the objects' oids, as PostgreSQL lists them.
pub(super) fn of(catalog: &CatalogSnapshot, role: Oid) -> Vec<String> {
    let mut uses = owned(catalog, role);
    uses.extend(granted(catalog, role));
    // What a role owns says all that there is to say of it.
    uses.sort_by_key(|(object, ..)| *object);
    uses.dedup_by_key(|(_, what)| what.clone());
    uses.into_iter().map(|(_, what)| what).collect()
}

fn owned(catalog: &CatalogSnapshot, role: Oid) -> Vec<(Oid, String)> {
    let tables = catalog.tables().map(|t| (t.owner, t.oid, "table", &t.name));
    let views = catalog.views().map(|v| (v.owner, v.oid, "view", &v.name));
    let sequences = catalog.sequences();
    let sequences = sequences.map(|s| (s.owner, s.oid, "sequence", &s.name));
    let schemas = catalog
        .schemas()
        .map(|s| (s.owner, s.oid, "schema", &s.name));
    let objects = catalog.plugin_objects();
    let objects = objects.map(|o| (o.owner, o.oid, o.class.as_str(), &o.name));
    let extensions = catalog.all_extensions();
    let extensions = extensions.map(|e| (e.owner, e.oid, "extension", &e.name));
    let all = tables.chain(views).chain(sequences).chain(schemas);
    let all = all.chain(objects).chain(extensions);
    let mut found: Vec<(Oid, String)> = all
        .filter(|(owner, ..)| *owner == role)
        .map(|(_, oid, kind, name)| (oid, format!("owner of {kind} {name}")))
        .collect();
    let types = catalog.types();
    let types = types.iter().filter(|t| t.owner == role);
    found.extend(types.map(|t| (t.oid, format!("owner of type {}", t.name))));
    let routines = catalog.routines().iter().filter(|r| r.owner == role);
    found.extend(routines.map(|r| {
        let what = format!("owner of {}", super::describe(catalog, r.oid));
        (r.oid, what)
    }));
    found
}

fn granted(catalog: &CatalogSnapshot, role: Oid) -> Vec<(Oid, String)> {
    let speaks = |items: &[AclItem]| {
        let mut items = items.iter();
        items.any(|item| item.grantee == role || item.grantor == role)
    };
    let is_owned = |object: Oid| {
        let relation = catalog.relation(object);
        let schema = catalog.schema(object);
        let routine = catalog.routines().get(object);
        relation.is_some_and(|r| r.owner() == role)
            || schema.is_some_and(|s| s.owner == role)
            || routine.is_some_and(|r| r.owner == role)
    };
    let mut found = Vec::new();
    for list in catalog.access_lists() {
        if !speaks(&list.items) || is_owned(list.object) {
            continue;
        }
        let what = match list.class {
            oid::PG_DATABASE => "privileges for database".to_owned(),
            _ => format!("privileges for {}", super::describe(catalog, list.object)),
        };
        found.push((list.object, what));
    }
    for other in catalog.roles().filter(|other| other.oid != role) {
        let mut defaults = other.default_privileges.iter();
        if let Some(default) = defaults.find(|d| speaks(&d.items)) {
            let what = format!(
                "privileges for default privileges on what role {} makes",
                other.name
            );
            found.push((default.oid, what));
        }
    }
    for table in catalog.tables() {
        for policy in table.policies.iter().filter(|p| p.roles.contains(&role)) {
            let what = format!("target of policy {} on table {}", policy.name, table.name);
            found.push((policy.oid, what));
        }
    }
    found
}
