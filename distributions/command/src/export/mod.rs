//! `export`: a database as one file.
//!
//! From a directory it opens the database in this process. From a server it runs `EXPORT DATABASE TO
//! STDOUT`, which does not stop writers, and then reads every byte of the file back, because it came a
//! long way. Either way the file appears when it is whole, and what it lacks is said.

mod args;
mod output;
mod summary;

use std::io::{self, Read, Write};

use heliosdb_kernel::dump::{Dump, ExportOptions, Progress};

use crate::args::Place;
use crate::client::{Column, Error, ServerError, Sink, TextRow};
use crate::interrupt::Canceling;
use crate::open;
use crate::output::describe;
use crate::progress::Shown;
use crate::{Edition, Failed, commands};
pub use args::Export;
use output::Output;

/// # Errors
///
/// The database does not open or does not answer, or the file cannot be written; then there is none.
pub fn run<P: Place>(edition: &Edition, arguments: &Export<P>) -> Result<(), Failed> {
    match &arguments.connection {
        Some(url) => from_server(edition, arguments, url),
        None => from_directory(edition, arguments),
    }
}

fn from_directory<P: Place>(edition: &Edition, arguments: &Export<P>) -> Result<(), Failed> {
    let mut output = Output::open(&arguments.file(None)?, arguments.force)?;
    let canceling = Canceling::start(|| {})?;
    let shown = Shown::new(edition.program);
    let options = ExportOptions {
        interrupt: canceling.interrupt.clone(),
        ..arguments.options()
    };
    let directory = arguments.place.directory();
    let database = open::existing(edition, &directory, arguments.config.as_deref())?;
    let written = database.export(&mut output, &options, &shown);
    database.close().map_err(|error| error.message)?;
    let manifest = written.map_err(|error| canceling.failed(error.to_string()))?;
    summary::warn(edition.program, &manifest);
    Ok(summary::say(&output.finish()?, &manifest)?)
}

fn from_server<P: Place>(
    edition: &Edition,
    arguments: &Export<P>,
    url: &str,
) -> Result<(), Failed> {
    let (dial, identity) = open::parse_url(edition, url)?;
    let mut output = Output::open(&arguments.file(Some(&identity.database))?, arguments.force)?;
    let mut client = commands::connect(dial, &identity)?;
    let canceller = client.canceller();
    let canceling = Canceling::start(move || {
        canceller.cancel();
    })?;
    let shown = Shown::new(edition.program);
    shown.begin("receiving bytes", None);
    let mut received = Received {
        out: &mut output,
        progress: &shown,
        bytes: 0,
    };
    let sent = client.run(&arguments.statement(), &mut received);
    shown.end();
    sent.map_err(|error| {
        canceling.failed(match error {
            Error::Server(error) => describe(&error, ""),
            Error::Lost(why) => why,
            Error::Local(error) => format!("cannot write the dump: {error}"),
        })
    })?;
    let Some((file, name)) = output.reopen()? else {
        // It went to standard output, where nobody can read it back.
        output.finish()?;
        return Ok(());
    };
    let dump = Dump::open(file, &name, &shown);
    let dump = dump.map_err(|error| format!("what the server sent is no whole dump: {error}"))?;
    Ok(summary::say(&output.finish()?, dump.manifest())?)
}

/// Writes what a COPY sends.
struct Received<'a> {
    out: &'a mut dyn Write,
    progress: &'a dyn Progress,
    bytes: u64,
}

impl Sink for Received<'_> {
    fn columns(&mut self, _columns: &[Column]) -> io::Result<()> {
        Ok(())
    }

    fn row(&mut self, _row: TextRow) -> io::Result<()> {
        Ok(())
    }

    /// The tag says how many bytes there are.
    fn complete(&mut self, tag: &str) -> io::Result<()> {
        if tag == format!("EXPORT {}", self.bytes) {
            return Ok(());
        }
        let came = self.bytes;
        let why = format!("the server says \"{tag}\", and {came} bytes came");
        Err(io::Error::other(why))
    }

    fn notice(&mut self, notice: &ServerError) -> io::Result<()> {
        writeln!(io::stderr(), "{}", describe(notice, ""))
    }

    fn copy_data(&mut self, data: &[u8]) -> io::Result<()> {
        self.out.write_all(data)?;
        self.bytes += data.len() as u64;
        self.progress.advance(data.len() as u64);
        Ok(())
    }

    fn copy_source(&mut self) -> Option<&mut dyn Read> {
        None
    }
}
