//! What HeliosDB Lite is made of: the kernel and these plugins.
//!
//! A plugin is linked because its crate is named here. A crate that nothing names is left out by the
//! linker without a word, so each of [`PLUGINS`] is looked for at every start.

use heliosdb_branching as _;
use heliosdb_command::bundle;
use heliosdb_fsst_alp as _;
use heliosdb_jsonschema as _;
use heliosdb_kernel::RootRef;

/// The ids of the bundled plugins, in alphabetical order.
pub const PLUGINS: [&str; 3] = ["branching", "fsst_alp", "jsonschema"];

/// The bundled plugins.
///
/// # Errors
///
/// One of [`PLUGINS`] is not linked.
pub fn plugins() -> Result<Vec<RootRef>, String> {
    bundle::pick(&PLUGINS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_linked_is_what_is_listed() {
        assert_eq!(bundle::linked_ids(), Ok(PLUGINS.map(str::to_owned).into()));
        assert_eq!(plugins().map(|roots| roots.len()), Ok(PLUGINS.len()));
    }
}
