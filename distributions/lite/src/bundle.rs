//! What HeliosDB Lite is made of: the kernel and these plugins.
//!
//! A plugin is linked because its crate is named here. A crate that nothing names is left out by the
//! linker without a word, so what was linked is compared with [`PLUGINS`] at every start.

use heliosdb_jsonschema as _;
use heliosdb_kernel::{RootRef, linked};
use heliosdb_plugin_api::Manifest;

/// The ids of the bundled plugins, in alphabetical order.
pub const PLUGINS: [&str; 1] = ["jsonschema"];

/// The bundled plugins.
///
/// # Errors
///
/// A difference between what is linked and [`PLUGINS`].
pub fn plugins() -> Result<Vec<RootRef>, String> {
    let roots: Vec<RootRef> = linked().collect();
    let mut ids = Vec::new();
    for root in &roots {
        let text = (root.manifest())();
        let manifest = Manifest::parse(text.as_str())
            .map_err(|error| format!("the manifest of a bundled plugin: {error}"))?;
        ids.push(manifest.id);
    }
    ids.sort();
    if ids != PLUGINS {
        return Err(format!(
            "this build has the plugins {ids:?}, Lite is made of {PLUGINS:?}"
        ));
    }
    Ok(roots)
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_is_linked_is_what_is_listed() {
        assert_eq!(super::plugins().map(|roots| roots.len()), Ok(1));
    }
}
