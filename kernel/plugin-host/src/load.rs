//! Opens a plugin file. From here on, code of the file may run.

use std::path::Path;

use heliosdb_plugin_api::abi::{ABI_VERSION, ROOT_SYMBOL, RootRef, root_of};
use heliosdb_plugin_api::manifest::Manifest;
use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};

/// The root of a file that was read and judged before. The object stays loaded for ever: its
/// vtables are `'static`.
///
/// # Errors
///
/// One paragraph: a symbol that cannot be resolved, a root of another layout, a manifest that is not
/// the one in the file's section.
pub(crate) fn open(path: &Path, manifest: &Manifest) -> Result<RootRef, String> {
    // SAFETY: initialisers run now. That is what loading a plugin means; see docs/abi.md on trust.
    let library = unsafe { Library::open(Some(path), RTLD_NOW | RTLD_LOCAL) }
        .map_err(|error| format!("it cannot be loaded: {error}"))?;
    // SAFETY: the symbol is data, of which only the address is taken.
    let symbol = unsafe { library.get::<*const ()>(ROOT_SYMBOL.as_bytes()) }
        .map(|symbol| *symbol)
        .map_err(|error| format!("it has no root: {error}"))?;
    std::mem::forget(library);
    // SAFETY: the address of the root symbol of an object that stays.
    let root = unsafe { root_of(symbol) }?;
    check(root, manifest)?;
    Ok(root)
}

/// What a root says of itself must be what was read before.
pub(crate) fn check(root: RootRef, manifest: &Manifest) -> Result<(), String> {
    let abi = (root.abi())();
    if abi != ABI_VERSION {
        return Err(format!(
            "it was built for ABI {abi}, this server has {ABI_VERSION}"
        ));
    }
    if !(root.panics_unwind())() {
        return Err("it was built with panic = \"abort\"".to_owned());
    }
    let text = (root.manifest())();
    let own = Manifest::parse(text.as_str()).map_err(|e| format!("its manifest: {e}"))?;
    if own != *manifest {
        return Err("the manifest it was built with is not the one in its section".to_owned());
    }
    Ok(())
}
