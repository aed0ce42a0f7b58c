//! The branching plugin as a shared object.

heliosdb_plugin_api::export_plugin!(heliosdb_branching::Branching);
