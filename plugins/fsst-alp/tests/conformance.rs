//! The suite that every plugin must pass.

use heliosdb_fsst_alp::FsstAlp;
use heliosdb_plugin_testkit::Samples;

heliosdb_plugin_testkit::conformance!(FsstAlp, Samples::new().setting("zstd_saves_min", 30));
