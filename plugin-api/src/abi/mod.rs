//! The border itself.

/// The version of the root interface.
pub const ABI_VERSION: u32 = 1;
/// The section of a shared object that holds the text of its manifest.
pub const MANIFEST_SECTION: &str = ".heliosdb.manifest";
/// The section that says how the object was built: lines of `key=value` with `panic` and `abi`.
pub const BUILD_SECTION: &str = ".heliosdb.build";
