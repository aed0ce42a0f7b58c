//! The schema_registry plugin as a shared object.

heliosdb_plugin_api::export_plugin!(heliosdb_schema_registry::SchemaRegistry);
