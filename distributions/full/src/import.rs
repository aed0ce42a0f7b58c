//! `import`: what Lite exported becomes a database of Full's, or nothing changes.

use std::path::PathBuf;

use clap::Args;
use heliosdb_command::args::Place as _;
use heliosdb_command::interrupt::Canceling;
use heliosdb_command::progress::Shown;
use heliosdb_command::{Edition, Failed};
use heliosdb_kernel::dump::{self, ImportOptions};

use crate::{Place, report};

/// The report of an import, in the directory it made.
const REPORT_FILE: &str = "migration-report.html";

/// The target must not exist, or be empty but for settings and plugins. It becomes a database in one
/// step at the end, when everything in it was verified; an import that fails, or is killed, leaves
/// nothing that opens, and may be run again.
#[derive(Debug, Args)]
pub struct Import {
    /// The dump.
    #[arg(value_name = "FILE", required_unless_present = "input")]
    pub file: Option<PathBuf>,
    /// The same.
    #[arg(long, value_name = "FILE", conflicts_with = "file")]
    pub input: Option<PathBuf>,
    #[command(flatten)]
    pub place: Place,
    /// Bring what Lite's plugins keep to the form that Full has for it. An import always does; the flag
    /// is there to say so in scripts.
    #[arg(long)]
    pub migrate_lite_features: bool,
    /// Copies of the data, each on a node of its own. This version has one node.
    #[arg(long, value_name = "N", default_value = "1", value_parser = one_node)]
    pub replication_factor: u32,
    /// Do all of it, verify it, say what came of it, and keep nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Where to write the report. [default: DIR/migration-report.html; with --dry-run nowhere]
    #[arg(long, value_name = "FILE.html")]
    pub report: Option<PathBuf>,
    /// The report as JSON on standard output, instead of a table.
    #[arg(long)]
    pub json: bool,
    /// Import what belongs to plugins that are not here, too, instead of refusing the dump. It stays as it
    /// is until they are.
    #[arg(long)]
    pub keep_orphans: bool,
    /// Settings. [default: DIR/heliosdb.toml if it exists]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// # Errors
///
/// The dump or the target is refused, something of it could not be verified, or the disk is full. The
/// target is as it was.
pub fn run(edition: &Edition, arguments: &Import) -> Result<(), Failed> {
    let file = arguments.input.as_ref().or(arguments.file.as_ref());
    let file = file.ok_or_else(|| "name the dump".to_owned())?;
    let directory = arguments.place.directory();
    let linked = (edition.plugins)()?;
    let canceling = Canceling::start(|| {})?;
    let shown = Shown::new(edition.program);
    let options = ImportOptions {
        config: arguments.config.as_deref(),
        dry_run: arguments.dry_run,
        keep_orphans: arguments.keep_orphans,
        interrupt: canceling.interrupt.clone(),
        ..ImportOptions::new(&linked, edition.name)
    };
    let imported = dump::import(file, &directory, &options, &shown)
        .map_err(|error| canceling.failed(error.explain()))?;
    report::say(&imported, arguments.json)?;
    match (&arguments.report, arguments.dry_run) {
        (Some(file), _) => report::write(file, &imported),
        (None, false) => report::write(&directory.join(REPORT_FILE), &imported),
        (None, true) => Ok(()),
    }
}

/// More copies need more nodes.
fn one_node(text: &str) -> Result<u32, String> {
    match text.parse() {
        Ok(1) => Ok(1),
        Ok(0) | Err(_) => Err("it is a number of nodes, from 1".to_owned()),
        Ok(nodes) => Err(format!(
            "{nodes} copies need a cluster of {nodes} nodes, and this version runs one node"
        )),
    }
}
