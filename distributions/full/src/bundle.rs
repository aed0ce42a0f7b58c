//! What HeliosDB Full is made of: the kernel and these plugins, those of Lite among them.
//!
//! A program that links this opens databases of Full, also by `heliosdb_kernel::Database::open`.
//!
//! A plugin is linked because its crate is named here. A crate that nothing names is left out by the
//! linker without a word, so each of [`PLUGINS`] is looked for at every start.

use heliosdb_branching as _;
use heliosdb_command::bundle;
use heliosdb_fsst_alp as _;
use heliosdb_jsonschema as _;
use heliosdb_kernel::RootRef;
use heliosdb_schema_registry as _;

/// What dumps and `SHOW helios.edition` call it.
pub const EDITION: &str = "full";

/// The ids of the bundled plugins, in alphabetical order.
pub const PLUGINS: [&str; 4] = ["branching", "fsst_alp", "jsonschema", "schema_registry"];

heliosdb_kernel::edition!(EDITION);

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
    use heliosdb_kernel::Database;

    use super::*;

    #[test]
    fn what_is_linked_is_what_is_listed() {
        assert_eq!(bundle::linked_ids(), Ok(PLUGINS.map(str::to_owned).into()));
        assert_eq!(plugins().map(|roots| roots.len()), Ok(PLUGINS.len()));
    }

    #[test]
    fn a_program_that_links_it_opens_databases_of_full() {
        let directory = tempfile::tempdir().expect("a directory");
        let database = Database::open(directory.path()).expect("a database");
        let rows = database.query("SHOW helios.edition", &[]).expect("rows");
        let edition: Vec<String> = rows.iter().map(|row| row.get(0).expect("text")).collect();
        assert_eq!(edition, [EDITION]);
    }
}
