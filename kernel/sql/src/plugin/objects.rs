//! Objects that plugins keep in the catalog (`catalog/1`).

use std::sync::Arc;

use heliosdb_plugin_host::active::event::Listener;
use heliosdb_plugin_host::services::{Dependent, ObjectInfo, PluginResult, StatementServices};

use super::services::Reads;
use crate::catalog::model::*;
use crate::catalog::{CatalogSnapshot, Oid};
use crate::ddl::describe;
use crate::ddl::put;
use crate::error::{Result, SqlError, state};
use crate::names::{fold, quote, quoted_ident};
use crate::session::Session;

/// What a plugin is told of an object.
pub(crate) fn info(catalog: &CatalogSnapshot, object: &PluginObject) -> ObjectInfo {
    ObjectInfo {
        oid: object.oid,
        plugin: object.plugin.clone(),
        class: object.class.clone(),
        schema: catalog
            .schema(object.schema)
            .map_or_else(String::new, |s| s.name.clone()),
        name: object.name.clone(),
        owner: catalog
            .role(object.owner)
            .map_or_else(String::new, |r| r.name.clone()),
    }
}

/// An object by name, in one schema or in the first of the path that has it.
pub(crate) fn find(
    catalog: &CatalogSnapshot,
    path: &[String],
    plugin: &str,
    class: &str,
    schema: Option<&str>,
    name: &str,
) -> Option<ObjectInfo> {
    let one;
    let path = match schema {
        Some(schema) => {
            one = [schema.to_owned()];
            &one
        }
        None => path,
    };
    path.iter()
        .filter_map(|schema| catalog.schema_by_name(schema))
        .find_map(|schema| catalog.plugin_object_in(plugin, class, schema.oid, name))
        .map(|object| info(catalog, object))
}

/// A plugin's object by oid.
pub(crate) fn get(catalog: &CatalogSnapshot, plugin: &str, oid: Oid) -> Option<ObjectInfo> {
    existing(catalog, plugin, oid)
        .ok()
        .map(|object| info(catalog, object))
}

/// The same, 42704 without one.
pub(crate) fn existing<'c>(
    catalog: &'c CatalogSnapshot,
    plugin: &str,
    oid: Oid,
) -> Result<&'c Arc<PluginObject>> {
    catalog
        .plugin_object(oid)
        .filter(|o| o.plugin == plugin)
        .ok_or_else(|| {
            SqlError::new(
                state::UNDEFINED_OBJECT,
                format!("object {oid} does not exist"),
            )
        })
}

/// A plugin's objects of one class, oldest first.
pub(crate) fn list(catalog: &CatalogSnapshot, plugin: &str, class: &str) -> Vec<ObjectInfo> {
    catalog
        .plugin_objects()
        .filter(|o| o.plugin == plugin && o.class == class)
        .map(|o| info(catalog, o))
        .collect()
}

/// What cannot be without an object of a plugin.
pub(crate) fn dependents(catalog: &CatalogSnapshot, plugin: &str, oid: Oid) -> Vec<Dependent> {
    if existing(catalog, plugin, oid).is_err() {
        return Vec::new();
    }
    let constraints = catalog.constraints().filter_map(|c| {
        let by = c.plugin().filter(|by| by.depends_on.contains(&oid))?;
        let table = catalog.table(c.table)?;
        let schema = catalog.schema(table.schema)?;
        let column = match by.columns.as_slice() {
            [only] => table.column_at(*only).map(|c| c.name.clone()),
            _ => None,
        };
        Some(Dependent {
            oid: c.oid,
            class: "constraint".to_owned(),
            table: Some(format!("{}.{}", quote(&schema.name), quote(&table.name))),
            column,
            constraint: Some(c.name.clone()),
            description: describe(catalog, c.oid),
        })
    });
    let objects = catalog
        .plugin_objects()
        .filter(|o| o.depends_on.contains(&oid))
        .map(|o| Dependent {
            oid: o.oid,
            class: o.class.clone(),
            table: None,
            column: None,
            constraint: None,
            description: describe(catalog, o.oid),
        });
    constraints.chain(objects).collect()
}

impl Session {
    /// A new object of the current role.
    pub(crate) fn create_plugin_object(
        &mut self,
        plugin: &str,
        class: &str,
        schema: Option<&str>,
        name: &str,
    ) -> Result<ObjectInfo> {
        self.begin_ddl()?;
        let (_, catalog) = self.write_view()?;
        let schema = self.schema_to_create_in(&catalog, schema, name)?;
        // Cut to the length of names, as an identifier is.
        let name = fold(&quoted_ident(name));
        if name.is_empty() {
            return Err(SqlError::new(
                state::INVALID_NAME,
                format!("the name of a {class} cannot be empty"),
            ));
        }
        check_free(&catalog, plugin, class, schema.oid, &name)?;
        let object = PluginObject {
            oid: self.instance.allocate_oid()?,
            plugin: plugin.to_owned(),
            class: class.to_owned(),
            schema: schema.oid,
            name,
            owner: self.info.role().oid,
            depends_on: Vec::new(),
        };
        let catalog = self.change_catalog(vec![put!(PluginObject, object.clone())])?;
        Ok(info(&catalog, &object))
    }

    pub(crate) fn rename_plugin_object(
        &mut self,
        plugin: &str,
        oid: Oid,
        name: &str,
    ) -> Result<()> {
        self.begin_ddl()?;
        let object = self.own_plugin_object(plugin, oid)?;
        let (_, catalog) = self.write_view()?;
        let name = fold(&quoted_ident(name));
        check_free(
            &catalog,
            &object.plugin,
            &object.class,
            object.schema,
            &name,
        )?;
        let renamed = PluginObject {
            name,
            ..object.as_ref().clone()
        };
        let catalog = self.change_catalog(vec![put!(PluginObject, renamed.clone())])?;
        let now = info(&catalog, &renamed);
        self.tell_plugin(&object.plugin, |listener, services| {
            listener.renamed(services, &now, &object.name)
        })
    }

    pub(crate) fn drop_plugin_object(
        &mut self,
        plugin: &str,
        oid: Oid,
        cascade: bool,
    ) -> Result<()> {
        self.begin_ddl()?;
        self.own_plugin_object(plugin, oid)?;
        self.drop_all(&[oid], cascade)
    }

    /// Records that one object cannot be without another.
    pub(crate) fn add_plugin_dependency(&mut self, plugin: &str, oid: Oid, on: Oid) -> Result<()> {
        self.begin_ddl()?;
        let object = self.own_plugin_object(plugin, oid)?;
        let (_, catalog) = self.write_view()?;
        if !can_be_needed(&catalog, on) {
            return Err(SqlError::new(
                state::UNDEFINED_OBJECT,
                format!("object {on} does not exist"),
            ));
        }
        if object.depends_on.contains(&on) || on == oid {
            return Ok(());
        }
        let mut changed = object.as_ref().clone();
        changed.depends_on.push(on);
        self.change_catalog(vec![put!(PluginObject, changed)])?;
        Ok(())
    }

    /// Forgets what an object depends on.
    pub(crate) fn clear_plugin_dependencies(&mut self, plugin: &str, oid: Oid) -> Result<()> {
        self.begin_ddl()?;
        let object = self.own_plugin_object(plugin, oid)?;
        if object.depends_on.is_empty() {
            return Ok(());
        }
        let changed = PluginObject {
            depends_on: Vec::new(),
            ..object.as_ref().clone()
        };
        self.change_catalog(vec![put!(PluginObject, changed)])?;
        Ok(())
    }

    /// A plugin's object that the current role owns; 42704 or 42501.
    pub(crate) fn own_plugin_object(
        &mut self,
        plugin: &str,
        oid: Oid,
    ) -> Result<Arc<PluginObject>> {
        let (_, catalog) = self.write_view()?;
        let object = existing(&catalog, plugin, oid)?;
        self.check_owner(object.owner, &object.class, &object.name)?;
        Ok(object.clone())
    }

    /// Tells a plugin what became of its object, in the same transaction. A plugin that is away is
    /// not told: oids are never given out again, so what it keeps of the object is out of reach.
    pub(crate) fn tell_plugin(
        &mut self,
        plugin: &str,
        tell: impl FnOnce(&Listener, &dyn StatementServices) -> PluginResult<()>,
    ) -> Result<()> {
        let registry = self.instance.plugins().registry();
        match registry.listener(plugin) {
            None => Ok(()),
            Some(listener) => self.with_services(Reads::Free, |services| tell(listener, services)),
        }
    }
}

fn check_free(
    catalog: &CatalogSnapshot,
    plugin: &str,
    class: &str,
    schema: Oid,
    name: &str,
) -> Result<()> {
    match catalog.plugin_object_in(plugin, class, schema, name) {
        None => Ok(()),
        Some(_) => Err(SqlError::new(
            state::DUPLICATE_OBJECT,
            format!("{class} \"{name}\" already exists"),
        )),
    }
}

/// Whether DROP looks for dependents of an object of this oid.
pub(crate) fn can_be_needed(catalog: &CatalogSnapshot, oid: Oid) -> bool {
    catalog.plugin_object(oid).is_some() || catalog.relation(oid).is_some()
}
