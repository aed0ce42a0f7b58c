//! The fsst_alp plugin as a shared object.

heliosdb_plugin_api::export_plugin!(heliosdb_fsst_alp::FsstAlp);
