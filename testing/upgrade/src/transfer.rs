//! Export, import and verification as the editions do them, without progress.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use heliosdb_kernel::Database;
use heliosdb_kernel::dump::{
    self, ExportOptions, ImportError, ImportOptions, Manifest, Progress, Report, Silent,
    VerifyOptions,
};

use crate::edition::{Edition, SETTINGS};
use crate::{Result, text};

/// Writes a dump of a database that is open.
///
/// # Errors
///
/// It cannot be written.
pub fn export(database: &Database, file: &Path) -> Result<Manifest> {
    let mut out = BufWriter::new(File::create(file).map_err(text)?);
    let options = ExportOptions::default();
    let manifest = database.export(&mut out, &options, &Silent).map_err(text)?;
    out.flush().map_err(text)?;
    Ok(manifest)
}

/// Makes a database of Full of a dump.
///
/// # Errors
///
/// As [`dump::import`].
pub fn import(file: &Path, target: &Path) -> Result<Report, ImportError> {
    import_with(file, target, &Silent, |_| ())
}

/// Makes a database of Full of a dump, with other options, and tells somebody.
///
/// # Errors
///
/// As [`dump::import`].
pub fn import_with(
    file: &Path,
    target: &Path,
    progress: &dyn Progress,
    change: impl FnOnce(&mut ImportOptions<'_>),
) -> Result<Report, ImportError> {
    let settings = file.with_extension("toml");
    std::fs::write(&settings, SETTINGS)?;
    let plugins = Edition::Full.plugins().map_err(std::io::Error::other)?;
    let mut options = ImportOptions::new(&plugins, Edition::Full.name());
    options.config = Some(&settings);
    change(&mut options);
    dump::import(file, target, &options, progress)
}

/// Compares a database of Full with a dump in every way there is.
///
/// # Errors
///
/// As [`dump::verify`].
pub fn verify(file: &Path, target: &Path) -> Result<Report> {
    let plugins = Edition::Full.plugins()?;
    let options = VerifyOptions {
        check_views: true,
        check_branches: true,
        check_indexes: true,
        check_compression: true,
        ..VerifyOptions::new(&plugins, Edition::Full.name())
    };
    dump::verify(file, target, &options, &Silent).map_err(|error| error.explain())
}

/// Everything that a comparison found to differ, as `kind name`.
pub fn findings(report: &Report) -> Vec<String> {
    let mut findings = Vec::new();
    for table in report.tables.iter().filter(|t| !t.verdict.is_equal()) {
        findings.push(format!("table {} {}", table.name, table.columns.join(" ")));
    }
    let objects = &report.objects;
    for object in objects
        .missing
        .iter()
        .chain(&objects.changed)
        .chain(&objects.added)
    {
        if !object.verdict.is_equal() {
            findings.push(format!("{} {}", object.kind, object.name));
        }
    }
    for sequence in report.sequences.iter().filter(|s| !s.verdict.is_equal()) {
        findings.push(format!("sequence {}", sequence.name));
    }
    for store in report.stores.iter().filter(|s| !s.verdict.is_equal()) {
        findings.push(format!("store {}.{}", store.plugin, store.store));
    }
    for check in report.checks.iter().filter(|c| !c.verdict.is_equal()) {
        findings.push(format!("check {} {}", check.name, check.details.join("; ")));
    }
    findings
}
