//! `verify-migration`: whether a database still has what a dump had.

use std::path::PathBuf;

use clap::Args;
use heliosdb_command::args::Place as _;
use heliosdb_command::interrupt::Canceling;
use heliosdb_command::progress::Shown;
use heliosdb_command::{Edition, Failed};
use heliosdb_kernel::dump::{self, VerifyOptions};

use crate::Place;
use crate::report::{self, Page};

/// The status when there is no answer.
const UNKNOWN: u8 = 2;

/// Compares by content: the rows of every table, what plugins keep, and the past at sampled times. Exit
/// status 0: equal; 1: different; 2: it could not tell.
#[derive(Debug, Args)]
pub struct VerifyMigration {
    /// The dump.
    #[arg(long, value_name = "FILE")]
    pub original: PathBuf,
    #[command(flatten)]
    pub place: Place,
    /// Whether every view can be planned, too; none is run. There are no materialized views yet.
    #[arg(long)]
    pub check_mvs: bool,
    /// Every branch and tag that the dump has, too: its tables as it shows them, now and at times in the past.
    #[arg(long)]
    pub check_branches: bool,
    /// Every entry of every index against the rows, too.
    #[arg(long)]
    pub check_indexes: bool,
    /// Whether everything that a codec wrote can be read here, too. It says how many pages of each column
    /// with COMPRESSION are in its codec; that is no difference, because pages choose what helps.
    #[arg(long)]
    pub check_compression: bool,
    /// Settings. [default: DIR/heliosdb.toml if it exists]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// One JSON object on standard output, instead of a table.
    #[arg(long)]
    pub json: bool,
    /// Write the report as an HTML page, too.
    #[arg(long, value_name = "FILE.html")]
    pub report: Option<PathBuf>,
    /// Times in the past at which every table is compared.
    #[arg(long, value_name = "N", default_value_t = dump::HISTORY_SAMPLES)]
    pub history_samples: usize,
}

/// # Errors
///
/// They differ, or it could not tell.
pub fn run(edition: &Edition, arguments: &VerifyMigration) -> Result<(), Failed> {
    match compare(edition, arguments) {
        Ok(true) => Ok(()),
        Ok(false) => Err(Failed::Said),
        Err(Failed::With(why)) => Err(Failed::Status(UNKNOWN, why)),
        Err(other) => Err(other),
    }
}

/// Whether they are equal; the report is out by then.
fn compare(edition: &Edition, arguments: &VerifyMigration) -> Result<bool, Failed> {
    let directory = arguments.place.directory();
    let page = arguments.report.as_deref().map(Page::begin).transpose()?;
    let linked = (edition.plugins)()?;
    let canceling = Canceling::start(|| {})?;
    let shown = Shown::new(edition.program);
    let options = VerifyOptions {
        config: arguments.config.as_deref(),
        check_views: arguments.check_mvs,
        check_branches: arguments.check_branches,
        check_indexes: arguments.check_indexes,
        check_compression: arguments.check_compression,
        history_samples: arguments.history_samples,
        interrupt: canceling.interrupt.clone(),
        ..VerifyOptions::new(&linked, edition.name)
    };
    let verified = dump::verify(&arguments.original, &directory, &options, &shown)
        .map_err(|error| canceling.failed(error.explain()))?;
    report::say(&verified, arguments.json)?;
    if let Some(mut page) = page {
        page.write(&verified);
        page.finish()?;
    }
    Ok(verified.is_equal())
}
