//! The types of plugins, made known to [`crate::types::extension`].

use std::sync::Arc;

use heliosdb_storage::TableLockMode;

use heliosdb_plugin_api::arrow::sql_type;
use heliosdb_plugin_host::active::types::Type;
use heliosdb_plugin_host::registry::Registry;

use crate::catalog::model::Table;
use crate::error::{Result, SqlError, state};
use crate::names::quoted_ident;
use crate::session::Session;
use crate::types::extension::{self, ExtensionType};
use crate::types::names::parse_type_name;

/// Says that this server's plugins read and write the values of their types.
pub(crate) fn activate(registry: &Registry) {
    for ty in registry.types() {
        if let Some(declared) = declare(ty) {
            declared.activate(ty);
        }
    }
}

/// The types of the plugins that `is_installed`.
pub(super) fn installed(
    registry: &Registry,
    is_installed: &impl Fn(&str) -> bool,
) -> Vec<&'static ExtensionType> {
    let types = registry.types().iter().filter(|t| is_installed(t.plugin()));
    types.filter_map(declare).collect()
}

/// A type whose storage does not cross as it is kept is left out.
fn declare(ty: &Arc<Type>) -> Option<&'static ExtensionType> {
    let name = &ty.declared.name;
    let storage = parse_type_name(&ty.declared.storage).ok().map(|(ty, _)| ty);
    let storage = storage.filter(|s| {
        s.extension().is_none() && sql_type(&ty.declared.storage).as_ref() == Some(&s.arrow())
    });
    let Some(storage) = storage else {
        tracing::warn!(
            "type {name} of plugin {} is left out: its values cannot be kept as {}",
            ty.plugin(),
            ty.declared.storage
        );
        return None;
    };
    Some(extension::declare(
        ty.plugin(),
        name,
        &storage,
        ty.declared.ordered,
    ))
}

impl Session {
    /// Drops the columns of a plugin's types; 2BP01 when there are any and nobody said CASCADE.
    pub(super) fn drop_columns_of(&mut self, plugin: &str, cascade: bool) -> Result<()> {
        let (_, catalog) = self.write_view()?;
        let mut columns = Vec::new();
        for table in catalog.tables() {
            for (_, column) in table.live_columns() {
                if let Some(ty) = &column.extension_type
                    && ty.plugin == plugin
                {
                    columns.push((table.clone(), column.name.clone(), ty.name.clone()));
                }
            }
        }
        if columns.is_empty() {
            return Ok(());
        }
        if !cascade {
            let held = |(table, column, ty): &(Arc<Table>, String, String)| {
                format!(
                    "column {column} of table {} depends on type {ty}",
                    table.name
                )
            };
            let lines: Vec<String> = columns.iter().map(held).collect();
            return Err(SqlError::new(
                state::DEPENDENT_OBJECTS_STILL_EXIST,
                format!("cannot drop extension {plugin} because other objects depend on it"),
            )
            .with_detail(lines.join("\n"))
            .with_hint("Use DROP ... CASCADE to drop the dependent objects too."));
        }
        for (table, column, _) in columns {
            self.lock_table(table.collection_id(), TableLockMode::AccessExclusive)?;
            self.notify_skipped(format!(
                "drop cascades to column {column} of table {}",
                table.name
            ));
            self.drop_column(table.oid, &quoted_ident(&column), true, true)?;
        }
        Ok(())
    }
}
