//! DROP TABLE, VIEW, INDEX, SEQUENCE, SCHEMA and ROLE, with what depends on them.
//!
//! What depends on an object: its table's indexes, constraints and owned sequences go with it without
//! asking; views, foreign keys of other tables, defaults that use a sequence, and the constraints and
//! objects of plugins that name an object of a plugin need CASCADE. Everything of a plugin depends on
//! its extension, a column's compression with its codec, too.

mod of_routine;
mod of_type;

use std::collections::{BTreeSet, VecDeque};

use heliosdb_storage::TableLockMode;
use heliosdb_storage::ids::CollectionId;
use sqlparser::ast::{self, ObjectType, Statement};

use super::{put, routine};
use crate::catalog::access::Policy;
use crate::catalog::model::*;
use crate::catalog::store::Change;
use crate::catalog::{CatalogSnapshot, Relation};
use crate::error::{Result, SqlError, state};
use crate::names;
use crate::plugin::objects;
use crate::session::outcome::Outcome;
use crate::session::{Session, done};

/// What a DROP takes away.
#[derive(Default)]
struct DropSet {
    objects: BTreeSet<Oid>,
    /// Columns of tables that stay.
    columns: BTreeSet<(Oid, u16)>,
    /// Columns that go with their type, from tables that stay.
    typed_columns: BTreeSet<(Oid, u16)>,
    /// Columns that lose their default.
    defaults: BTreeSet<(Oid, u16)>,
    /// Columns that lose their codec.
    codecs: BTreeSet<(Oid, u16)>,
    /// Policies of tables that stay: table and policy.
    policies: BTreeSet<(Oid, Oid)>,
    /// Descriptions of what needs CASCADE: dependent and what it depends on.
    asked: Vec<(String, String)>,
}

/// What messages call an object.
pub(crate) fn describe(catalog: &CatalogSnapshot, oid: Oid) -> String {
    if let Some(relation) = catalog.relation(oid) {
        return format!("{} {}", relation.kind(), relation.name());
    }
    if let Some(c) = catalog.constraint(oid) {
        let table = catalog.table(c.table).map_or("", |t| t.name.as_str());
        return format!("constraint {} on table {table}", c.name);
    }
    if let Some(o) = catalog.plugin_object(oid) {
        return format!("{} {}", o.class, o.name);
    }
    if let Some(e) = catalog.extension_by_oid(oid) {
        return format!("extension {}", e.name);
    }
    if let Some(ty) = catalog.types().get(oid) {
        return format!("type {}", ty.name);
    }
    if let Some(routine) = catalog.routines().get(oid) {
        let signature = routine::signature(catalog, routine).replace(", ", ",");
        return format!("{} {signature}", routine.kind.noun());
    }
    match catalog.schema(oid) {
        Some(s) => format!("schema {}", s.name),
        None => format!("object {oid}"),
    }
}

/// What uses an extension's functions and operators in a stored expression or query.
#[derive(Default)]
pub(crate) struct ExtensionUses {
    /// Constraints and views.
    pub objects: Vec<Oid>,
    /// Columns with a default: table and place.
    pub defaults: Vec<(Oid, u16)>,
}

impl DropSet {
    /// Adds what cannot stay when `oid` goes.
    fn close(&mut self, catalog: &CatalogSnapshot, roots: &[Oid]) -> Result<()> {
        let mut queue: VecDeque<Oid> = roots.iter().copied().collect();
        self.objects.extend(roots);
        while let Some(oid) = queue.pop_front() {
            let parts = self.parts_of(catalog, oid);
            for part in parts {
                if self.objects.insert(part) {
                    queue.push_back(part);
                }
            }
            for dependent in self.dependents_of(catalog, oid) {
                if self.objects.contains(&dependent) {
                    continue;
                }
                self.asked
                    .push((describe(catalog, dependent), describe(catalog, oid)));
                self.objects.insert(dependent);
                queue.push_back(dependent);
            }
            self.close_type(catalog, oid, &mut queue)?;
            self.close_routine(catalog, oid, &mut queue)?;
            for table in catalog.tables() {
                if self.objects.contains(&table.oid) {
                    continue;
                }
                let on = describe(catalog, oid);
                for policy in table
                    .policies
                    .iter()
                    .filter(|p| p.depends_on.contains(&oid))
                {
                    self.ask_policy(table, policy, on.clone());
                }
                for (id, column) in table.live_columns() {
                    if column.default_sequences.contains(&oid) {
                        self.ask_default(catalog, table, id.0, oid);
                    }
                    if let Some(Compression::Codec { plugin, .. }) = &column.compression
                        && is_extension(catalog, oid, plugin)
                        && self.codecs.insert((table.oid, id.0))
                    {
                        self.asked.push((
                            format!(
                                "compression of column {} of table {}",
                                column.name, table.name
                            ),
                            describe(catalog, oid),
                        ));
                    }
                }
            }
        }
        Ok(())
    }

    /// A policy cannot stay when what it depends on goes.
    fn ask_policy(&mut self, table: &Table, policy: &Policy, on: String) {
        if self.policies.insert((table.oid, policy.oid)) {
            let what = format!("policy {} on table {}", policy.name, table.name);
            self.asked.push((what, on));
        }
    }

    /// A column's default cannot stay when `oid` goes.
    fn ask_default(&mut self, catalog: &CatalogSnapshot, table: &Table, place: u16, oid: Oid) {
        if !self.columns.contains(&(table.oid, place)) && self.defaults.insert((table.oid, place)) {
            let column = table.column_at(place).map_or("", |c| c.name.as_str());
            self.asked.push((
                format!("default value for column {column} of table {}", table.name),
                describe(catalog, oid),
            ));
        }
    }

    /// Adds what uses an extension that goes.
    fn close_uses(
        &mut self,
        catalog: &CatalogSnapshot,
        extension: Oid,
        uses: &ExtensionUses,
    ) -> Result<()> {
        for oid in &uses.objects {
            if !self.objects.contains(oid) {
                self.asked
                    .push((describe(catalog, *oid), describe(catalog, extension)));
                self.close(catalog, &[*oid])?;
            }
        }
        for (oid, place) in &uses.defaults {
            if let Some(table) = catalog.table(*oid)
                && !self.objects.contains(oid)
            {
                self.ask_default(catalog, table, *place, extension);
            }
        }
        Ok(())
    }

    /// What belongs to an object and goes with it.
    fn parts_of(&self, catalog: &CatalogSnapshot, oid: Oid) -> Vec<Oid> {
        let mut parts = Vec::new();
        if catalog.table(oid).is_some() {
            parts.extend(catalog.indexes_of(oid).map(|i| i.oid));
            parts.extend(catalog.constraints_of(oid).map(|c| c.oid));
            parts.extend(
                catalog
                    .sequences()
                    .filter(|s| s.owned_by.is_some_and(|o| o.table == oid))
                    .map(|s| s.oid),
            );
        }
        if let Some(constraint) = catalog.constraint(oid) {
            match &constraint.kind {
                ConstraintKind::PrimaryKey { index, .. } | ConstraintKind::Unique { index, .. } => {
                    parts.push(*index);
                }
                _ => {}
            }
        }
        parts
    }

    /// What another object needs `oid` for.
    fn dependents_of(&self, catalog: &CatalogSnapshot, oid: Oid) -> Vec<Oid> {
        let mut out: Vec<Oid> = catalog
            .views()
            .filter(|v| v.depends_on.iter().any(|d| d.oid == oid))
            .map(|v| v.oid)
            .collect();
        for constraint in catalog.constraints() {
            if let ConstraintKind::ForeignKey(fk) = &constraint.kind
                && (fk.referenced_table == oid || fk.referenced_index == oid)
                && !self.objects.contains(&constraint.table)
            {
                out.push(constraint.oid);
            }
            if let Some(by) = constraint.plugin()
                && (by.depends_on.contains(&oid) || is_extension(catalog, oid, &by.plugin))
                && !self.objects.contains(&constraint.table)
            {
                out.push(constraint.oid);
            }
        }
        for object in catalog.plugin_objects() {
            if object.depends_on.contains(&oid)
                || object.schema == oid
                || is_extension(catalog, oid, &object.plugin)
            {
                out.push(object.oid);
            }
        }
        if let Some(gone) = catalog.extension_by_oid(oid) {
            let needs = |e: &&std::sync::Arc<Extension>| e.requires.contains(&gone.name);
            out.extend(catalog.extensions().filter(needs).map(|e| e.oid));
        }
        if catalog.schema(oid).is_some() {
            out.extend(catalog.relations_in(oid).map(|(_, o)| o).filter(|o| {
                // Indexes go with their tables.
                catalog.index(*o).is_none()
            }));
            let types = catalog.types().iter().filter(|t| t.schema == oid);
            out.extend(types.map(|t| t.oid));
        }
        let is_of = |routine: &Routine| {
            let mut types = routine.parameters.iter().map(|p| p.type_oid);
            let result = match routine.result {
                ResultShape::Value(oid) | ResultShape::Relation(oid) => Some(oid),
                ResultShape::Columns => None,
            };
            let array = catalog.types().get(oid).map_or(0, |ty| ty.array_oid);
            let is_it = |named: Oid| named == oid || (named == array && array != 0);
            routine.schema == oid || types.any(is_it) || result.is_some_and(is_it)
        };
        let routines = catalog.routines().iter();
        out.extend(routines.filter(|r| is_of(r)).map(|r| r.oid));
        out
    }
}

fn is_extension(catalog: &CatalogSnapshot, oid: Oid, plugin: &str) -> bool {
    catalog
        .extension_by_oid(oid)
        .is_some_and(|e| e.name == plugin)
}

impl Session {
    pub(crate) fn drop_objects(&mut self, statement: &Statement) -> Result<Outcome> {
        let Statement::Drop {
            object_type,
            if_exists,
            names,
            cascade,
            temporary,
            purge,
            ..
        } = statement
        else {
            return Err(SqlError::internal("not a DROP"));
        };
        if *temporary || *purge {
            return Err(SqlError::unsupported("this form of DROP"));
        }
        let tag = match object_type {
            ObjectType::Table => "DROP TABLE",
            ObjectType::View => "DROP VIEW",
            ObjectType::Index => "DROP INDEX",
            ObjectType::Sequence => "DROP SEQUENCE",
            ObjectType::Schema => "DROP SCHEMA",
            ObjectType::Role | ObjectType::User => {
                for name in names {
                    self.drop_role(name, *if_exists)?;
                }
                return done("DROP ROLE");
            }
            other => return Err(SqlError::unsupported(format!("DROP {other}"))),
        };
        let mut roots = Vec::new();
        for name in names {
            if let Some(oid) = self.drop_root(object_type, name, *if_exists)? {
                roots.push(oid);
            }
        }
        self.drop_all(&roots, *cascade)?;
        done(tag)
    }

    /// The object a DROP names, checked; `None` when it is not there and need not be.
    fn drop_root(
        &mut self,
        object_type: &ObjectType,
        name: &ast::ObjectName,
        if_exists: bool,
    ) -> Result<Option<Oid>> {
        let (_, catalog) = self.write_view()?;
        let shown = names::parts(name)?.join(".");
        let kind = object_type.to_string().to_lowercase();
        if *object_type == ObjectType::Schema {
            let Some(schema) = catalog.schema_by_name(&shown) else {
                if if_exists {
                    self.notify_skipped(format!("schema \"{shown}\" does not exist, skipping"));
                    return Ok(None);
                }
                return Err(SqlError::new(
                    state::INVALID_SCHEMA_NAME,
                    format!("schema \"{shown}\" does not exist"),
                ));
            };
            let is_systems = schema.oid < FIRST_USER_OID && schema.name != "public";
            if is_systems || names::is_temporary_schema(&schema.name) {
                return Err(SqlError::new(
                    state::DEPENDENT_OBJECTS_STILL_EXIST,
                    format!(
                        "cannot drop schema {shown} because it is required by the database system"
                    ),
                ));
            }
            self.check_owner(schema.owner, "schema", &shown)?;
            return Ok(Some(schema.oid));
        }
        let shown = names::qualified(name, &self.info.database)?.1;
        let Some(relation) = self.find_relation(&catalog, name)? else {
            if if_exists {
                self.notify_skipped(format!("{kind} \"{shown}\" does not exist, skipping"));
                return Ok(None);
            }
            let code = if *object_type == ObjectType::Index {
                state::UNDEFINED_OBJECT
            } else {
                state::UNDEFINED_TABLE
            };
            return Err(SqlError::new(
                code,
                format!("{kind} \"{shown}\" does not exist"),
            ));
        };
        if relation.kind() != kind {
            return Err(SqlError::new(
                state::WRONG_OBJECT_TYPE,
                format!(
                    "\"{shown}\" is not a{} {kind}",
                    if kind == "index" { "n" } else { "" }
                ),
            )
            .with_hint(format!(
                "Use DROP {} to remove a{} {}.",
                relation.kind().to_uppercase(),
                if relation.kind() == "index" { "n" } else { "" },
                relation.kind()
            )));
        }
        let schema = catalog.schema(relation.schema());
        if !schema.is_some_and(|schema| self.info.role().has(schema.owner)) {
            self.check_owner(relation.owner(), relation.kind(), relation.name())?;
        }
        if let Relation::Index(index) = &relation
            && let Some(constraint) = index.constraint.and_then(|c| catalog.constraint(c))
        {
            let table = catalog.table(index.table).map_or("", |t| t.name.as_str());
            return Err(SqlError::new(
                state::DEPENDENT_OBJECTS_STILL_EXIST,
                format!(
                    "cannot drop index {} because constraint {} on table {table} requires it",
                    index.name, constraint.name
                ),
            )
            .with_hint(format!(
                "You can drop constraint {} on table {table} instead.",
                constraint.name
            )));
        }
        if let Relation::Sequence(s) = &relation
            && let Some(owner) = s.owned_by.filter(|o| o.identity)
        {
            let table = catalog.table(owner.table);
            let column = table
                .and_then(|t| t.column_at(owner.column))
                .map_or("", |c| c.name.as_str());
            let table = table.map_or("", |t| t.name.as_str());
            return Err(SqlError::new(
                state::DEPENDENT_OBJECTS_STILL_EXIST,
                format!(
                    "cannot drop sequence {} because column {column} of table {table} requires it",
                    s.name
                ),
            )
            .with_hint(format!(
                "You can drop column {column} of table {table} instead."
            )));
        }
        Ok(Some(relation.oid()))
    }

    /// Takes objects away with what depends on them, when that is allowed.
    pub(crate) fn drop_all(&mut self, roots: &[Oid], cascade: bool) -> Result<()> {
        let (_, catalog) = self.write_view()?;
        let mut set = DropSet::default();
        set.close(&catalog, roots)?;
        self.finish_drop(&catalog, set, roots, cascade)
    }

    /// Takes extensions away, each with what uses it.
    pub(crate) fn drop_extensions(
        &mut self,
        extensions: &[(Oid, ExtensionUses)],
        cascade: bool,
    ) -> Result<()> {
        let (_, catalog) = self.write_view()?;
        let roots: Vec<Oid> = extensions.iter().map(|(oid, _)| *oid).collect();
        let mut set = DropSet::default();
        set.close(&catalog, &roots)?;
        for (oid, uses) in extensions {
            set.close_uses(&catalog, *oid, uses)?;
        }
        self.finish_drop(&catalog, set, &roots, cascade)
    }

    /// Takes a column's dependents away; the column itself is the caller's.
    pub(crate) fn drop_column_dependents(
        &mut self,
        table: &Table,
        place: u16,
        cascade: bool,
    ) -> Result<()> {
        let (_, catalog) = self.write_view()?;
        let mut set = DropSet::default();
        set.columns.insert((table.oid, place));
        let mut roots = Vec::new();
        let column = &table.columns[usize::from(place)].name;
        for constraint in catalog.constraints_of(table.oid) {
            if !constraint.columns().contains(&place) {
                continue;
            }
            roots.push(constraint.oid);
        }
        for index in catalog.indexes_of(table.oid) {
            match index.constraint {
                None if index.names(place) => roots.push(index.oid),
                Some(constraint) if index.included.contains(&place) => roots.push(constraint),
                _ => {}
            }
        }
        for sequence in catalog.sequences() {
            if sequence
                .owned_by
                .is_some_and(|o| o.table == table.oid && o.column == place)
            {
                roots.push(sequence.oid);
            }
        }
        // A view may name the column; which ones it names is not kept, so any view of the table
        // that no longer plans without it depends on it.
        for view in catalog.views() {
            if view.depends_on.iter().any(|d| d.oid == table.oid)
                && mentions(&view.definition, column)
            {
                set.asked.push((
                    describe(&catalog, view.oid),
                    format!("column {column} of table {}", table.name),
                ));
                roots.push(view.oid);
            }
        }
        for policy in table.policies.iter().filter(|p| p.columns.contains(&place)) {
            let on = format!("column {column} of table {}", table.name);
            set.ask_policy(table, policy, on);
        }
        set.close(&catalog, &roots)?;
        self.finish_drop(&catalog, set, &roots, cascade)
    }

    fn finish_drop(
        &mut self,
        catalog: &CatalogSnapshot,
        set: DropSet,
        roots: &[Oid],
        cascade: bool,
    ) -> Result<()> {
        if !set.asked.is_empty() {
            if !cascade {
                let detail: Vec<String> = set
                    .asked
                    .iter()
                    .map(|(a, b)| format!("{a} depends on {b}"))
                    .collect();
                let what = match (roots, set.asked.first()) {
                    ([only], _) if set.columns.is_empty() => describe(catalog, *only),
                    (_, Some((_, on))) => on.clone(),
                    _ => "desired object(s)".to_owned(),
                };
                return Err(SqlError::new(
                    state::DEPENDENT_OBJECTS_STILL_EXIST,
                    format!("cannot drop {what} because other objects depend on it"),
                )
                .with_detail(detail.join("\n"))
                .with_hint("Use DROP ... CASCADE to drop the dependent objects too."));
            }
            match set.asked.as_slice() {
                [(only, _)] => self.notify_skipped(format!("drop cascades to {only}")),
                many => {
                    let each = many.iter().map(|(a, _)| format!("drop cascades to {a}"));
                    self.notify_with_detail(
                        format!("drop cascades to {} other objects", many.len()),
                        each.collect::<Vec<_>>().join("\n"),
                    );
                }
            }
        }
        for (oid, place) in &set.typed_columns {
            if set.objects.contains(oid) {
                continue;
            }
            if let Some(table) = catalog.table(*oid)
                && let Some(column) = table.column_at(*place)
            {
                self.lock_table(table.collection_id(), TableLockMode::AccessExclusive)?;
                let column = names::quoted_ident(&column.name);
                self.without_notices(|session| session.drop_column(*oid, &column, true, true))?;
            }
        }
        let newest;
        let catalog = match set.typed_columns.is_empty() {
            true => catalog,
            false => {
                newest = self.write_view()?.1;
                &*newest
            }
        };
        let mut changes = Vec::new();
        let mut collections = Vec::new();
        let mut redefine = BTreeSet::new();
        for oid in &set.objects {
            if let Some(table) = catalog.table(*oid) {
                self.lock_table(table.collection_id(), TableLockMode::AccessExclusive)?;
                self.check_none_waits("DROP TABLE", table)?;
                collections.push(table.collection);
            }
            if let Some(index) = catalog.index(*oid)
                && !set.objects.contains(&index.table)
                && let Some(table) = catalog.table(index.table)
            {
                self.lock_table(table.collection_id(), TableLockMode::AccessExclusive)?;
                redefine.insert(index.table);
            }
            if let Some(constraint) = catalog.constraint(*oid)
                && let Some(table) = catalog.table(constraint.table)
                && !set.objects.contains(&constraint.table)
            {
                self.lock_table(table.collection_id(), TableLockMode::AccessExclusive)?;
            }
            match catalog.extension_by_oid(*oid) {
                // A tombstone, so that the plugin does not install itself again.
                Some(extension) => changes.push(put!(
                    Extension,
                    Extension {
                        installed: false,
                        ..extension.as_ref().clone()
                    }
                )),
                None => changes.push(Change::Remove(*oid)),
            }
            changes.extend(catalog.comments().filter(|c| c.object == *oid).map(|c| {
                Change::RemoveComment {
                    class: c.class,
                    object: *oid,
                    sub: c.sub,
                }
            }));
        }
        let mut tables: std::collections::BTreeMap<Oid, Table> = Default::default();
        for (oid, place) in &set.defaults {
            if set.objects.contains(oid) {
                continue;
            }
            if let Some(found) = catalog.table(*oid) {
                let table = tables.entry(*oid).or_insert_with(|| found.as_ref().clone());
                let column = &mut table.columns[usize::from(*place)];
                column.default = None;
                column.default_sequences.clear();
            }
        }
        for (oid, place) in &set.codecs {
            if set.objects.contains(oid) {
                continue;
            }
            if let Some(found) = catalog.table(*oid) {
                self.lock_table(found.collection_id(), TableLockMode::AccessExclusive)?;
                let table = tables.entry(*oid).or_insert_with(|| found.as_ref().clone());
                table.columns[usize::from(*place)].compression = None;
                redefine.insert(*oid);
            }
        }
        for (oid, policy) in &set.policies {
            if set.objects.contains(oid) {
                continue;
            }
            if let Some(found) = catalog.table(*oid) {
                let table = tables.entry(*oid).or_insert_with(|| found.as_ref().clone());
                table.policies.retain(|p| p.oid != *policy);
            }
        }
        changes.extend(tables.into_values().map(|t| put!(Table, t)));
        if changes.is_empty() {
            return Ok(());
        }
        let before = catalog;
        let catalog = self.change_catalog(changes)?;
        for collection in collections {
            self.transaction()?
                .drop_collection(CollectionId(collection))?;
        }
        for table in redefine {
            self.define_storage(&catalog, table)?;
        }
        let dropped = set.objects.iter();
        let dropped = dropped.filter_map(|oid| before.plugin_object(*oid));
        let dropped: Vec<_> = dropped
            .map(|object| objects::info(before, object))
            .collect();
        for object in &dropped {
            self.tell_plugin(&object.plugin, |listener, services| {
                listener.dropped(services, object)
            })?;
        }
        self.tell_of_drops(&dropped)
    }
}

/// Whether a stored query has this name as a word, or takes all columns of something.
pub(super) fn mentions(definition: &str, name: &str) -> bool {
    let quoted = format!("\"{}\"", name.replace('"', "\"\""));
    definition.contains('*')
        || definition.contains(&quoted)
        || definition
            .split(|c: char| !(c.is_alphanumeric() || c == '_'))
            .any(|word| word.eq_ignore_ascii_case(name))
}
