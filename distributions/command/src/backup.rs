//! `backup` and `restore`: a database's files in another directory, and a database of those.
//!
//! A backup of a directory that no server has is made without opening the database. From a server it runs
//! `BACKUP DATABASE TO`, so the backup is on the server's machine; writers go on.

use std::path::{Path, PathBuf};

use clap::Args;
use heliosdb_kernel::Database;
use heliosdb_kernel::backup::{self, BackedUp, Restore as Restoring, show_time};

use crate::args::Place;
use crate::client::{Column, Error, ServerError, Sink, TextRow};
use crate::interrupt::Canceling;
use crate::output::{describe, print};
use crate::progress::grouped;
use crate::{Edition, Failed, commands, open};

/// Segments are linked where that is possible, and copied between file systems. The backup opens as a
/// database; with the archive of the log (`[storage] archive`) it is the base of `restore`.
#[derive(Debug, Args)]
pub struct Backup<P: Place> {
    /// The directory to make, or an empty one.
    #[arg(value_name = "TARGET")]
    pub target: PathBuf,
    #[command(flatten)]
    pub place: P,
    /// Back up the database of a running server, whose writers go on, to a directory on its machine:
    /// postgres://user:password@host:port/database. The password may come from PGPASSWORD.
    #[arg(long, value_name = "URL", conflicts_with = "place")]
    pub connection: Option<String>,
}

/// Makes a new database of a backup, and of the archive of the log up to a time. It has a history of its
/// own from there on.
#[derive(Debug, Args)]
pub struct Restore {
    /// The directory to make, or an empty one.
    #[arg(value_name = "TARGET")]
    pub target: PathBuf,
    /// The backup.
    #[arg(long, value_name = "DIR")]
    pub backup: PathBuf,
    /// The directory that `[storage] archive` named. Without it the database is restored as of the backup.
    #[arg(long, value_name = "DIR")]
    pub archive: Option<PathBuf>,
    /// Commits up to and including this time, in UTC if it says no zone: '2026-11-21 05:00:00.000001', or an
    /// SCN. [default: all there are]
    #[arg(long, value_name = "TIME", requires = "archive", value_parser = time)]
    pub to: Option<u64>,
}

fn time(text: &str) -> Result<u64, String> {
    backup::parse_time(text).map(|ts| ts.0)
}

/// # Errors
///
/// There is no database, somebody has it, or the target cannot be made; then there is none.
pub fn back_up<P: Place>(edition: &Edition, arguments: &Backup<P>) -> Result<(), Failed> {
    match &arguments.connection {
        Some(url) => from_server(edition, &arguments.target, url),
        None => from_directory(&arguments.place.directory(), &arguments.target),
    }
}

fn from_directory(directory: &Path, target: &Path) -> Result<(), Failed> {
    if !Database::exists(directory) {
        let message = format!("there is no database in {}", directory.display());
        return Err(Failed::With(message));
    }
    let canceling = Canceling::start(|| {})?;
    let done = backup::back_up_closed(directory, target, &canceling.interrupt);
    let done = done.map_err(|error| {
        canceling.failed(match error.is_in_use() {
            true => format!("{error}\nHINT:  If that is a server, use --connection URL instead."),
            false => error.to_string(),
        })
    })?;
    Ok(print(&text(target, &done))?)
}

fn text(target: &Path, done: &BackedUp) -> String {
    format!(
        "{}: as of {} (SCN {})\n  {} segments linked, {} copied, {} bytes; {} bytes of log\n",
        target.display(),
        show_time(done.ts),
        done.ts,
        done.segments_linked,
        done.segments_copied,
        grouped(done.segment_bytes),
        grouped(done.log_bytes)
    )
}

fn from_server(edition: &Edition, target: &Path, url: &str) -> Result<(), Failed> {
    let (dial, identity) = open::parse_url(edition, url)?;
    let target = std::path::absolute(target)
        .map_err(|error| format!("no absolute path of {}: {error}", target.display()))?;
    let Some(path) = target.to_str() else {
        return Err(Failed::With(format!("{} is not UTF-8", target.display())));
    };
    let mut client = commands::connect(dial, &identity)?;
    let canceller = client.canceller();
    let canceling = Canceling::start(move || {
        canceller.cancel();
    })?;
    let statement = format!("BACKUP DATABASE TO '{}'", path.replace('\'', "''"));
    let ran = client.run(&statement, &mut Said(Vec::new()));
    ran.map_err(|error| {
        canceling.failed(match error {
            Error::Server(error) => describe(&error, ""),
            Error::Lost(why) => why,
            Error::Local(error) => error.to_string(),
        })
    })?;
    Ok(())
}

/// What the server says goes to standard output.
struct Said(Vec<String>);

impl Sink for Said {
    fn columns(&mut self, _columns: &[Column]) -> std::io::Result<()> {
        Ok(())
    }

    fn row(&mut self, _row: TextRow) -> std::io::Result<()> {
        Ok(())
    }

    fn complete(&mut self, _tag: &str) -> std::io::Result<()> {
        let said = self.0.drain(..).collect::<String>();
        print(&said).map_err(std::io::Error::other)
    }

    fn notice(&mut self, notice: &ServerError) -> std::io::Result<()> {
        self.0.push(format!("{}\n", notice.message));
        Ok(())
    }

    fn copy_data(&mut self, _data: &[u8]) -> std::io::Result<()> {
        Ok(())
    }

    fn copy_source(&mut self) -> Option<&mut dyn std::io::Read> {
        None
    }
}

/// # Errors
///
/// The backup or the archive is damaged, or does not cover the time; then the target is as it was.
pub fn restore(arguments: &Restore) -> Result<(), Failed> {
    let canceling = Canceling::start(|| {})?;
    let restoring = Restoring {
        backup: &arguments.backup,
        archive: arguments.archive.as_deref(),
        to: arguments.to.map(heliosdb_kernel::backup::Ts),
        target: &arguments.target,
        interrupt: canceling.interrupt.clone(),
    };
    let restored = restoring.run();
    let restored = restored.map_err(|error| canceling.failed(error.to_string()))?;
    Ok(print(&format!(
        "{}: as of {} (SCN {})\n  {} segments of the backup and the archive, {} commits of the archive\n",
        arguments.target.display(),
        show_time(restored.ts),
        restored.ts,
        restored.segments,
        grouped(restored.archived_commits)
    ))?)
}
