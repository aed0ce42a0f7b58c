//! `import`: what Lite exported becomes a database of Full's, or nothing changes.

use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use clap::Args;
use heliosdb_command::args::Place as _;
use heliosdb_command::interrupt::Canceling;
use heliosdb_command::progress::Shown;
use heliosdb_command::{Edition, Failed};
use heliosdb_kernel::dump::{self, ImportOptions, Report};

use crate::Place;
use crate::report::{self, ImportPage};

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
    /// Changes nothing: an import always brings what Lite's plugins keep to the form that Full has for it.
    /// The flag is there to say so in scripts.
    #[arg(long)]
    pub migrate_lite_features: bool,
    /// Copies of the data, each on a node of its own. This version has one node.
    #[arg(long, value_name = "N", default_value = "1", value_parser = one_node)]
    pub replication_factor: u32,
    /// Do all of it, verify it, say what came of it, and keep nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Where to write the report; that it can be is checked first. [default: DIR/migration-report.html;
    /// with --dry-run nowhere]
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
/// The arguments, the dump or the target are refused, something could not be verified, or the disk is
/// full. The target is as it was: with a database there is no failure, whatever becomes of the report.
pub fn run(edition: &Edition, arguments: &Import) -> Result<(), Failed> {
    let file = arguments.input.as_ref().or(arguments.file.as_ref());
    let file = file.ok_or_else(|| "name the dump".to_owned())?;
    let directory = arguments.place.directory();
    let linked = (edition.plugins)()?;
    let dry_run = arguments.dry_run;
    let page = ImportPage::import(arguments.report.as_deref(), file, &directory, dry_run)?;
    let in_target = match &page {
        ImportPage::Target(name) => Some(name.clone()),
        ImportPage::Nothing | ImportPage::File(_) => None,
    };
    let page = Mutex::new(page);
    let verified = |report: &Report| {
        let mut page = page.lock().unwrap_or_else(PoisonError::into_inner);
        page.write(report);
    };
    let canceling = Canceling::start(|| {})?;
    let shown = Shown::new(edition.program);
    let options = ImportOptions {
        config: arguments.config.as_deref(),
        dry_run,
        keep_orphans: arguments.keep_orphans,
        page: in_target.as_deref(),
        verified: Some(&verified),
        interrupt: canceling.interrupt.clone(),
        ..ImportOptions::new(&linked, edition.name)
    };
    let mut imported = dump::import(file, &directory, &options, &shown)
        .map_err(|error| canceling.failed(error.explain()))?;
    let page = page.into_inner().unwrap_or_else(PoisonError::into_inner);
    let finished = page.finish(&imported);
    imported.page_problem = finished.as_ref().err().cloned();
    let said = report::say(&imported, arguments.json);
    if dry_run {
        // The report is all that there is.
        finished?;
        return Ok(said?);
    }
    for problem in [finished, said].into_iter().filter_map(Result::err) {
        // There is a database, whoever reads this.
        let _ = writeln!(
            io::stderr(),
            "{}: warning: the import is complete, and its report is not: {problem}",
            edition.program
        );
    }
    Ok(())
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
