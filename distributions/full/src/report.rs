//! Where the report of an import or a comparison goes: standard output, and a file.

use std::fs;
use std::path::Path;

use heliosdb_command::Failed;
use heliosdb_command::output::print;
use heliosdb_kernel::dump::Report;

/// As a table, or as one JSON object, on standard output.
///
/// # Errors
///
/// Nobody takes it.
pub fn say(report: &Report, json: bool) -> Result<(), Failed> {
    if !json {
        return Ok(print(&report.to_text())?);
    }
    let text = serde_json::to_string_pretty(report)
        .map_err(|error| format!("cannot write the report as JSON: {error}"))?;
    Ok(print(&(text + "\n"))?)
}

/// As an HTML page, which replaces what the file held.
///
/// # Errors
///
/// The file cannot be written.
pub fn write(file: &Path, report: &Report) -> Result<(), Failed> {
    let written = fs::write(file, report.to_html());
    written.map_err(|error| format!("cannot write the report to {}: {error}", file.display()))?;
    Ok(())
}
