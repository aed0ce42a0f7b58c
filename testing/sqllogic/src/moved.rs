//! A database of Lite on its way to Full.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use heliosdb_kernel::Database;
use heliosdb_kernel::dump::{self, ExportOptions, ImportOptions, Silent, VerifyOptions};

use crate::{Edition, Failure};

/// Exports the database, imports it into a fresh directory, and compares the two by every means.
///
/// # Errors
///
/// One of the steps fails, or the comparison finds something.
pub fn to_full(lite: &Database) -> Result<(), Failure> {
    let setup = |error: &dyn std::fmt::Display| Failure::setup(error);
    let directory = tempfile::tempdir().map_err(|e| setup(&e))?;
    let (file, target) = (
        directory.path().join("lite.dump"),
        directory.path().join("full"),
    );
    import(lite, &file, &target)?;
    let plugins = Edition::Full.linked()?;
    let options = VerifyOptions {
        check_views: true,
        check_branches: true,
        check_indexes: true,
        check_compression: true,
        ..VerifyOptions::new(&plugins, Edition::Full.name())
    };
    let report =
        dump::verify(&file, &target, &options, &Silent).map_err(|e| setup(&e.explain()))?;
    match report.is_equal() {
        true => Ok(()),
        false => Err(Failure::setup(&report.to_text())),
    }
}

/// Exports the database to `file`, and makes a database of Full of it in `target`.
///
/// # Errors
///
/// One of the two fails.
pub fn import(lite: &Database, file: &Path, target: &Path) -> Result<(), Failure> {
    let setup = |error: &dyn std::fmt::Display| Failure::setup(error);
    let mut out = BufWriter::new(File::create(file).map_err(|e| setup(&e))?);
    lite.export(&mut out, &ExportOptions::default(), &Silent)
        .map_err(|e| setup(&e))?;
    out.flush().map_err(|e| setup(&e))?;
    drop(out);

    let plugins = Edition::Full.linked()?;
    let options = ImportOptions::new(&plugins, Edition::Full.name());
    dump::import(file, target, &options, &Silent).map_err(|e| setup(&e.explain()))?;
    Ok(())
}
