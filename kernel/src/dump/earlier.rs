//! What a directory that is refused for its database says of imports into it.
//!
//! It is looked into as a check does ([`heliosdb_storage::check`]): nothing is written, nothing is put
//! right, no plugin runs. Whatever stands in the way, a server that has it open, damage, another version,
//! ends in "nobody knows": the directory is refused all the same.

use std::path::Path;
use std::sync::Arc;

use heliosdb_sql::provenance;
use heliosdb_storage::check::{Check, CheckOptions, Finding, Watch};
use heliosdb_storage::io::Io;
use heliosdb_storage::io::disk::Disk;

/// When the dump was last imported into the database in `directory`, if that is known.
pub(super) fn imported_at(directory: &Path, dump_id: &str) -> Option<u64> {
    if !directory.is_dir() {
        return None;
    }
    let io: Arc<dyn Io> = Arc::new(Disk::open(directory).ok()?);
    let mut nobody = Nobody;
    let check = Check::open(&io, &CheckOptions::default(), &mut nobody).ok()?;
    if !check.is_whole() {
        return None;
    }
    let imports = provenance::all(&check.view()).ok()?;
    let import = imports.iter().rfind(|import| import.dump_id == dump_id);
    import.map(|import| import.imported_at)
}

/// Nobody is told of damage here: who opens the database is.
struct Nobody;

impl Watch for Nobody {
    fn found(&mut self, _: Finding) {}

    fn begin(&mut self, _: &str, _: Option<u64>) {}

    fn advance(&mut self, _: u64) {}

    fn end(&mut self) {}
}
