//! The suite that every plugin must pass.

use {{id}}_plugin::{{Plugin}};

heliosdb_plugin_testkit::conformance!({{Plugin}});
