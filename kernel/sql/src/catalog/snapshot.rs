//! One version of the whole catalog, immutable and shared.
//!
//! A [`CatalogSnapshot`] answers every question planning asks: an object by oid, a relation by name
//! along a search path, what belongs to a table. Objects are behind `Arc`s, so that a transaction
//! that runs DDL copies the maps and changes its own copy; others keep what they have.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use parking_lot::Mutex;

use super::access::{AccessList, AclItem};
use super::meta::TableMeta;
use super::model::*;
use super::routine::Routines;
use super::user_type::UserTypes;
use crate::error::{Result, SqlError, state};
use crate::monitor::relations::Relations;
use crate::names::{self, split_qualified};
use crate::types::PgType;

/// Names the state of the catalog a snapshot was read from: equal versions, equal catalogs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct CatalogVersion(pub u128);

#[derive(Clone, Debug, Default)]
pub struct CatalogSnapshot {
    pub version: CatalogVersion,
    schemas: BTreeMap<Oid, Arc<Schema>>,
    tables: BTreeMap<Oid, Arc<Table>>,
    constraints: BTreeMap<Oid, Arc<Constraint>>,
    indexes: BTreeMap<Oid, Arc<Index>>,
    sequences: BTreeMap<Oid, Arc<Sequence>>,
    views: BTreeMap<Oid, Arc<View>>,
    roles: BTreeMap<Oid, Arc<Role>>,
    extensions: BTreeMap<Oid, Arc<Extension>>,
    plugin_objects: BTreeMap<Oid, Arc<PluginObject>>,
    types: UserTypes,
    routines: Routines,
    comments: BTreeMap<(Oid, Oid, i32), Arc<Comment>>,
    /// By object, class and part.
    access: BTreeMap<(Oid, Oid, i32), Arc<AccessList>>,
    /// schema → name → relation.
    relation_names: BTreeMap<Oid, BTreeMap<String, Oid>>,
    schema_names: BTreeMap<String, Oid>,
    role_names: BTreeMap<String, Oid>,
    constraints_of: BTreeMap<Oid, Vec<Oid>>,
    indexes_of: BTreeMap<Oid, Vec<Oid>>,
    /// Foreign keys by the table they reference.
    referenced_by: BTreeMap<Oid, Vec<Oid>>,
    metas: Metas,
    /// What is counted of its relations.
    counted: Arc<Relations>,
}

/// What was derived from tables so far. A copy of a snapshot starts anew, because it is made to be
/// changed.
#[derive(Debug, Default)]
struct Metas(Mutex<HashMap<Oid, Arc<TableMeta>>>);

impl Clone for Metas {
    fn clone(&self) -> Metas {
        Metas::default()
    }
}

/// Adds to a list in a map, once.
fn link(map: &mut BTreeMap<Oid, Vec<Oid>>, key: Oid, value: Oid) {
    let list = map.entry(key).or_default();
    if !list.contains(&value) {
        list.push(value);
        list.sort_unstable();
    }
}

fn unlink(map: &mut BTreeMap<Oid, Vec<Oid>>, key: Oid, value: Oid) {
    if let Some(list) = map.get_mut(&key) {
        list.retain(|v| *v != value);
        if list.is_empty() {
            map.remove(&key);
        }
    }
}

impl CatalogSnapshot {
    pub fn schema(&self, oid: Oid) -> Option<&Arc<Schema>> {
        self.schemas.get(&oid)
    }

    pub fn schema_by_name(&self, name: &str) -> Option<&Arc<Schema>> {
        self.schema_names
            .get(name)
            .and_then(|oid| self.schemas.get(oid))
    }

    pub fn schemas(&self) -> impl Iterator<Item = &Arc<Schema>> {
        self.schemas.values()
    }

    pub fn table(&self, oid: Oid) -> Option<&Arc<Table>> {
        self.tables.get(&oid)
    }

    pub(crate) fn table_meta(&self, oid: Oid) -> Result<Arc<TableMeta>> {
        if let Some(meta) = self.metas.0.lock().get(&oid) {
            return Ok(meta.clone());
        }
        let table = self
            .tables
            .get(&oid)
            .ok_or_else(|| SqlError::internal(format!("table {oid} is not in the catalog")))?;
        let meta = Arc::new(TableMeta::new(self, table)?);
        self.metas.0.lock().insert(oid, meta.clone());
        Ok(meta)
    }

    /// The same, of a database that counts there.
    pub(crate) fn counted_by(self, counted: Arc<Relations>) -> CatalogSnapshot {
        CatalogSnapshot { counted, ..self }
    }

    pub(crate) fn counted(&self) -> &Relations {
        &self.counted
    }

    pub fn tables(&self) -> impl Iterator<Item = &Arc<Table>> {
        self.tables.values()
    }

    pub fn constraint(&self, oid: Oid) -> Option<&Arc<Constraint>> {
        self.constraints.get(&oid)
    }

    pub fn constraints(&self) -> impl Iterator<Item = &Arc<Constraint>> {
        self.constraints.values()
    }

    /// The constraints of a table, oldest first.
    pub fn constraints_of(&self, table: Oid) -> impl Iterator<Item = &Arc<Constraint>> {
        self.constraints_of
            .get(&table)
            .into_iter()
            .flatten()
            .filter_map(|oid| self.constraints.get(oid))
    }

    /// Foreign keys of any table that reference this one, oldest first.
    pub fn foreign_keys_to(&self, table: Oid) -> impl Iterator<Item = &Arc<Constraint>> {
        self.referenced_by
            .get(&table)
            .into_iter()
            .flatten()
            .filter_map(|oid| self.constraints.get(oid))
    }

    /// The tables that a table refers to, and those that refer to it.
    pub fn related_tables(&self, table: Oid) -> impl Iterator<Item = Oid> + '_ {
        let parents = self.constraints_of(table).filter_map(|c| match &c.kind {
            ConstraintKind::ForeignKey(key) => Some(key.referenced_table),
            _ => None,
        });
        parents.chain(self.foreign_keys_to(table).map(|c| c.table))
    }

    pub fn index(&self, oid: Oid) -> Option<&Arc<Index>> {
        self.indexes.get(&oid)
    }

    pub fn indexes(&self) -> impl Iterator<Item = &Arc<Index>> {
        self.indexes.values()
    }

    /// The indexes of a table, oldest first.
    pub fn indexes_of(&self, table: Oid) -> impl Iterator<Item = &Arc<Index>> {
        self.indexes_of
            .get(&table)
            .into_iter()
            .flatten()
            .filter_map(|oid| self.indexes.get(oid))
    }

    pub fn primary_key(&self, table: Oid) -> Option<&Arc<Constraint>> {
        self.constraints_of(table)
            .find(|c| matches!(c.kind, ConstraintKind::PrimaryKey { .. }))
    }

    pub fn sequence(&self, oid: Oid) -> Option<&Arc<Sequence>> {
        self.sequences.get(&oid)
    }

    pub fn sequences(&self) -> impl Iterator<Item = &Arc<Sequence>> {
        self.sequences.values()
    }

    pub fn view(&self, oid: Oid) -> Option<&Arc<View>> {
        self.views.get(&oid)
    }

    pub fn views(&self) -> impl Iterator<Item = &Arc<View>> {
        self.views.values()
    }

    pub fn role(&self, oid: Oid) -> Option<&Arc<Role>> {
        self.roles.get(&oid)
    }

    pub fn role_by_name(&self, name: &str) -> Option<&Arc<Role>> {
        self.role_names
            .get(name)
            .and_then(|oid| self.roles.get(oid))
    }

    pub fn roles(&self) -> impl Iterator<Item = &Arc<Role>> {
        self.roles.values()
    }

    /// An extension by its plugin's id, dropped ones included.
    pub fn extension(&self, name: &str) -> Option<&Arc<Extension>> {
        self.extensions.values().find(|e| e.name == name)
    }

    /// Whether a plugin may be used: it is installed and was not dropped.
    pub fn is_installed(&self, plugin: &str) -> bool {
        self.extension(plugin).is_some_and(|e| e.installed)
    }

    /// The installed extensions, oldest first.
    pub fn extensions(&self) -> impl Iterator<Item = &Arc<Extension>> {
        self.extensions.values().filter(|e| e.installed)
    }

    /// The extensions, dropped ones included.
    pub fn all_extensions(&self) -> impl Iterator<Item = &Arc<Extension>> {
        self.extensions.values()
    }

    pub fn extension_by_oid(&self, oid: Oid) -> Option<&Arc<Extension>> {
        self.extensions.get(&oid)
    }

    pub fn plugin_object(&self, oid: Oid) -> Option<&Arc<PluginObject>> {
        self.plugin_objects.get(&oid)
    }

    /// The objects of all plugins, oldest first.
    pub fn plugin_objects(&self) -> impl Iterator<Item = &Arc<PluginObject>> {
        self.plugin_objects.values()
    }

    /// An object of a plugin by name in one schema.
    pub fn plugin_object_in(
        &self,
        plugin: &str,
        class: &str,
        schema: Oid,
        name: &str,
    ) -> Option<&Arc<PluginObject>> {
        self.plugin_objects().find(|o| {
            o.schema == schema && o.name == name && o.class == class && o.plugin == plugin
        })
    }

    pub fn types(&self) -> &UserTypes {
        &self.types
    }

    pub fn routines(&self) -> &Routines {
        &self.routines
    }

    /// The type of an oid, or what a domain is based on.
    pub fn pg_type(&self, oid: Oid) -> Option<PgType> {
        self.types.resolve(oid).map(|(ty, _)| ty)
    }

    pub fn comment(&self, class: Oid, object: Oid, sub: i32) -> Option<&str> {
        self.comments
            .get(&(class, object, sub))
            .map(|c| c.text.as_str())
    }

    pub fn comments(&self) -> impl Iterator<Item = &Arc<Comment>> {
        self.comments.values()
    }

    pub fn relation(&self, oid: Oid) -> Option<Relation> {
        if let Some(t) = self.tables.get(&oid) {
            return Some(Relation::Table(t.clone()));
        }
        if let Some(i) = self.indexes.get(&oid) {
            return Some(Relation::Index(i.clone()));
        }
        if let Some(s) = self.sequences.get(&oid) {
            return Some(Relation::Sequence(s.clone()));
        }
        self.views.get(&oid).map(|v| Relation::View(v.clone()))
    }

    /// A relation by name in one schema.
    pub fn relation_in(&self, schema: Oid, name: &str) -> Option<Relation> {
        let oid = self.relation_names.get(&schema)?.get(name)?;
        self.relation(*oid)
    }

    /// Every relation of a schema, by name.
    pub fn relations_in(&self, schema: Oid) -> impl Iterator<Item = (&str, Oid)> {
        self.relation_names
            .get(&schema)
            .into_iter()
            .flat_map(|names| names.iter().map(|(name, oid)| (name.as_str(), *oid)))
    }

    /// The first relation of that name along a search path of schema names. Schemas of the path that
    /// do not exist are passed over, as PostgreSQL does.
    pub fn resolve<'a>(
        &self,
        search_path: impl IntoIterator<Item = &'a str>,
        name: &str,
    ) -> Option<Relation> {
        search_path
            .into_iter()
            .filter_map(|schema| self.schema_names.get(schema))
            .find_map(|schema| self.relation_in(*schema, name))
    }

    /// The relation that a text names as the input of `regclass` does: by a qualified name, by one along a
    /// search path, or by an oid.
    pub fn relation_named(&self, text: &str, search_path: &[String]) -> Result<Relation> {
        let found = match text.parse::<Oid>() {
            Ok(oid) => self.relation(oid),
            Err(_) => match split_qualified(text)?.as_slice() {
                [name] => self.resolve(search_path.iter().map(String::as_str), name),
                [schema, name] => {
                    let schema = self.schema_by_name(names::on_path(schema, search_path));
                    schema.and_then(|schema| self.relation_in(schema.oid, name))
                }
                _ => None,
            },
        };
        found.ok_or_else(|| {
            let missing = format!("relation \"{text}\" does not exist");
            SqlError::new(state::UNDEFINED_TABLE, missing)
        })
    }

    /// Whether a schema has the temporary objects of a session.
    pub fn is_temporary(&self, schema: Oid) -> bool {
        let schema = self.schema(schema);
        schema.is_some_and(|schema| names::is_temporary_schema(&schema.name))
    }

    /// `schema.name` of a relation, for messages and stored definitions.
    pub fn qualified_name(&self, relation: &Relation) -> String {
        match self.schema(relation.schema()) {
            Some(schema) => format!("{}.{}", schema.name, relation.name()),
            None => relation.name().to_owned(),
        }
    }

    /// Whether there is an object of this oid.
    pub fn has(&self, oid: Oid) -> bool {
        self.schemas.contains_key(&oid)
            || self.relation(oid).is_some()
            || self.constraints.contains_key(&oid)
            || self.roles.contains_key(&oid)
            || self.extensions.contains_key(&oid)
            || self.plugin_objects.contains_key(&oid)
            || self.types().get(oid).is_some()
            || self.routines().get(oid).is_some()
    }

    /// Adds an object or replaces the one of the same oid.
    pub fn put(&mut self, object: Object) {
        self.remove(object.oid());
        match object {
            Object::Schema(s) => {
                self.schema_names.insert(s.name.clone(), s.oid);
                self.schemas.insert(s.oid, s);
            }
            Object::Table(mut t) => {
                self.types.settle(&mut t);
                self.name_relation(t.schema, &t.name, t.oid);
                self.tables.insert(t.oid, t);
            }
            Object::Constraint(c) => {
                link(&mut self.constraints_of, c.table, c.oid);
                if let ConstraintKind::ForeignKey(fk) = &c.kind {
                    link(&mut self.referenced_by, fk.referenced_table, c.oid);
                }
                self.constraints.insert(c.oid, c);
            }
            Object::Index(i) => {
                self.name_relation(i.schema, &i.name, i.oid);
                link(&mut self.indexes_of, i.table, i.oid);
                self.indexes.insert(i.oid, i);
            }
            Object::Sequence(s) => {
                self.name_relation(s.schema, &s.name, s.oid);
                self.sequences.insert(s.oid, s);
            }
            Object::View(v) => {
                self.name_relation(v.schema, &v.name, v.oid);
                self.views.insert(v.oid, v);
            }
            Object::Role(r) => {
                self.role_names.insert(r.name.clone(), r.oid);
                self.roles.insert(r.oid, r);
            }
            Object::Extension(e) => {
                self.extensions.insert(e.oid, e);
            }
            Object::PluginObject(o) => {
                self.plugin_objects.insert(o.oid, o);
            }
            Object::UserType(t) => {
                self.types.put(t);
                for table in self.tables.values_mut() {
                    self.types.settle(table);
                }
            }
            Object::Routine(r) => self.routines.put(r),
        }
    }

    /// Takes an object away. What belongs to it stays until it is removed as well.
    pub fn remove(&mut self, oid: Oid) -> Option<Object> {
        if let Some(s) = self.schemas.remove(&oid) {
            self.schema_names.remove(&s.name);
            return Some(Object::Schema(s));
        }
        if let Some(t) = self.tables.remove(&oid) {
            self.unname_relation(t.schema, &t.name, oid);
            return Some(Object::Table(t));
        }
        if let Some(c) = self.constraints.remove(&oid) {
            unlink(&mut self.constraints_of, c.table, oid);
            if let ConstraintKind::ForeignKey(fk) = &c.kind {
                unlink(&mut self.referenced_by, fk.referenced_table, oid);
            }
            return Some(Object::Constraint(c));
        }
        if let Some(i) = self.indexes.remove(&oid) {
            self.unname_relation(i.schema, &i.name, oid);
            unlink(&mut self.indexes_of, i.table, oid);
            return Some(Object::Index(i));
        }
        if let Some(s) = self.sequences.remove(&oid) {
            self.unname_relation(s.schema, &s.name, oid);
            return Some(Object::Sequence(s));
        }
        if let Some(v) = self.views.remove(&oid) {
            self.unname_relation(v.schema, &v.name, oid);
            return Some(Object::View(v));
        }
        if let Some(e) = self.extensions.remove(&oid) {
            return Some(Object::Extension(e));
        }
        if let Some(o) = self.plugin_objects.remove(&oid) {
            return Some(Object::PluginObject(o));
        }
        if let Some(t) = self.types.remove(oid) {
            return Some(Object::UserType(t));
        }
        if let Some(r) = self.routines.remove(oid) {
            return Some(Object::Routine(r));
        }
        let role = self.roles.remove(&oid)?;
        self.role_names.remove(&role.name);
        Some(Object::Role(role))
    }

    /// The same with the roles of another catalog, and with what they may do with the database.
    pub fn with_roles_of(mut self, other: &CatalogSnapshot) -> CatalogSnapshot {
        self.roles.clone_from(&other.roles);
        self.role_names.clone_from(&other.role_names);
        let is_databases = |list: &AccessList| list.class == oid::PG_DATABASE;
        self.access.retain(|_, list| !is_databases(list));
        let lists = other.access_lists().filter(|list| is_databases(list));
        lists.cloned().for_each(|list| self.put_access(list));
        self
    }

    pub fn put_comment(&mut self, comment: Arc<Comment>) {
        self.comments
            .insert((comment.class, comment.object, comment.sub), comment);
    }

    pub fn remove_comment(&mut self, class: Oid, object: Oid, sub: i32) -> Option<Arc<Comment>> {
        self.comments.remove(&(class, object, sub))
    }

    /// The access list of an object or a column, if it has one of its own.
    pub fn access(&self, class: Oid, object: Oid, sub: i32) -> Option<&[AclItem]> {
        let list = self.access.get(&(object, class, sub))?;
        Some(list.items.as_slice())
    }

    pub fn access_lists(&self) -> impl Iterator<Item = &Arc<AccessList>> {
        self.access.values()
    }

    /// The lists of an object and of its parts.
    pub fn access_lists_of(&self, object: Oid) -> impl Iterator<Item = &Arc<AccessList>> {
        let range = (object, Oid::MIN, i32::MIN)..=(object, Oid::MAX, i32::MAX);
        self.access.range(range).map(|(_, list)| list)
    }

    pub fn put_access(&mut self, list: Arc<AccessList>) {
        self.access
            .insert((list.object, list.class, list.sub), list);
    }

    /// False when there was none.
    pub fn remove_access(&mut self, class: Oid, object: Oid, sub: i32) -> bool {
        self.access.remove(&(object, class, sub)).is_some()
    }

    /// Takes the lists of an object away; their classes and parts.
    pub fn remove_all_access(&mut self, object: Oid) -> Vec<(Oid, i32)> {
        let lists = self.access_lists_of(object);
        let keys: Vec<_> = lists.map(|list| (list.class, list.sub)).collect();
        for (class, sub) in &keys {
            self.access.remove(&(object, *class, *sub));
        }
        keys
    }

    fn name_relation(&mut self, schema: Oid, name: &str, oid: Oid) {
        self.relation_names
            .entry(schema)
            .or_default()
            .insert(name.to_owned(), oid);
    }

    /// Another object may have been given the name before.
    fn unname_relation(&mut self, schema: Oid, name: &str, oid: Oid) {
        if let Some(names) = self.relation_names.get_mut(&schema)
            && names.get(name) == Some(&oid)
        {
            names.remove(name);
        }
    }
}

impl Object {
    pub fn oid(&self) -> Oid {
        match self {
            Object::Schema(o) => o.oid,
            Object::Table(o) => o.oid,
            Object::Constraint(o) => o.oid,
            Object::Index(o) => o.oid,
            Object::Sequence(o) => o.oid,
            Object::View(o) => o.oid,
            Object::Role(o) => o.oid,
            Object::Extension(o) => o.oid,
            Object::PluginObject(o) => o.oid,
            Object::UserType(o) => o.oid,
            Object::Routine(o) => o.oid,
        }
    }
}
