//! `check`: whether a database on disk is whole, and what of it is not.
//!
//! It opens nothing to write, so it may look at a database that does not start.

use std::path::PathBuf;

use clap::Args;
use heliosdb_kernel::check::{CheckOptions, CheckReport, CheckVerdict, check};

use crate::args::Place;
use crate::interrupt::Canceling;
use crate::output::print;
use crate::progress::Shown;
use crate::{Edition, Failed, open};

/// The status when there is no answer, or not a whole one.
const UNKNOWN: u8 = 2;

/// Reads every byte of a database that no server runs on, and changes none. Exit status 0: it is whole;
/// 1: it is damaged; 2: not everything could be checked.
#[derive(Debug, Args)]
pub struct Check<P: Place> {
    /// The database's directory.
    #[arg(value_name = "DIR", conflicts_with = "place")]
    pub directory: Option<PathBuf>,
    #[command(flatten)]
    pub place: P,
    /// Settings. [default: DIR/heliosdb.toml if it exists]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// One JSON object on standard output, instead of text.
    #[arg(long)]
    pub json: bool,
}

/// # Errors
///
/// It is damaged, or it could not be checked.
pub fn run<P: Place>(edition: &Edition, arguments: &Check<P>) -> Result<(), Failed> {
    let report = match look(edition, arguments) {
        Ok(report) => report,
        Err(Failed::With(why)) => return Err(Failed::Status(UNKNOWN, why)),
        Err(other) => return Err(other),
    };
    match report.verdict {
        CheckVerdict::Whole => Ok(()),
        CheckVerdict::Damaged => Err(Failed::Said),
        CheckVerdict::Unknown => {
            let why = "not everything could be checked".to_owned();
            Err(Failed::Status(UNKNOWN, why))
        }
    }
}

/// Check, and say what there is.
fn look<P: Place>(edition: &Edition, arguments: &Check<P>) -> Result<CheckReport, Failed> {
    let named = arguments.directory.clone();
    let directory = named.unwrap_or_else(|| arguments.place.directory());
    let config = open::read_config(&directory, arguments.config.as_deref())?;
    let linked = (edition.plugins)()?;
    let canceling = Canceling::start(|| {})?;
    let options = CheckOptions {
        config: &config,
        linked: &linked,
        interrupt: canceling.interrupt.clone(),
    };
    let shown = Shown::new(edition.program);
    let checked = check(&directory, &options, &shown);
    drop(shown);
    let report = checked.map_err(|error| {
        canceling.failed(match error.error.is_in_use() {
            true => {
                format!("{error}\nHINT:  A check needs the database for itself: stop the server.")
            }
            false => error.to_string(),
        })
    })?;
    match arguments.json {
        false => print(&report.to_text())?,
        true => {
            let text = serde_json::to_string_pretty(&report)
                .map_err(|error| format!("cannot write the report as JSON: {error}"))?;
            print(&(text + "\n"))?;
        }
    }
    Ok(report)
}
