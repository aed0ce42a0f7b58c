//! Where the report of an import or a comparison goes: standard output, and a page.
//!
//! A page is a file of its own ([`Page`]), or one in the directory that the import makes, which the kernel
//! writes ([`ImportPage`]). Whether it can be written is asked before the work, and it is on disk before the
//! work counts. What goes wrong with it later is said, and takes nothing back.

use std::io::Write;
use std::path::{Path, PathBuf};

use heliosdb_command::Failed;
use heliosdb_command::output::print;
use heliosdb_command::partial::PartialFile;
use heliosdb_kernel::dump::Report;

/// The report of an import, in the directory it made.
const REPORT_FILE: &str = "migration-report.html";
/// The status of arguments that cannot be obeyed.
const USAGE: u8 = 2;

/// As a table, or as one JSON object, on standard output.
///
/// # Errors
///
/// Nobody takes it.
pub fn say(report: &Report, json: bool) -> Result<(), String> {
    if !json {
        return print(&report.to_text());
    }
    let text = report
        .to_json()
        .map_err(|error| format!("cannot write the report as JSON: {error}"))?;
    print(&(text + "\n"))
}

/// A file that will hold a report; until it does, what the file held stays.
pub struct Page {
    file: PartialFile,
    written: Result<(), String>,
}

impl Page {
    /// It can be written.
    ///
    /// # Errors
    ///
    /// It cannot.
    pub fn begin(file: &Path) -> Result<Page, Failed> {
        match PartialFile::readable(file) {
            Ok(file) => Ok(Page {
                file,
                written: Ok(()),
            }),
            Err(why) => Err(Failed::Status(USAGE, format!("--report: {why}"))),
        }
    }

    /// All of it, not yet under its name.
    pub fn write(&mut self, report: &Report) {
        let text = report.to_html();
        let written = self.file.write_all(text.as_bytes());
        let written = written.and_then(|()| self.file.flush());
        let name = self.file.target().display();
        self.written = written.map_err(|error| format!("cannot write {name}: {error}"));
    }

    /// Give it its name.
    ///
    /// # Errors
    ///
    /// It has not got it, or could not be written before.
    pub fn finish(self) -> Result<(), String> {
        self.written?;
        self.file.finish().map(drop)
    }
}

/// Where the page of an import goes.
pub enum ImportPage {
    /// Of a dry run that was not asked for one.
    Nothing,
    /// The target, under this name.
    Target(String),
    File(Page),
}

impl ImportPage {
    /// What `--report`, if it was given, means for an import of `dump` into `target`.
    ///
    /// # Errors
    ///
    /// It cannot be written, or would be in the way of something.
    pub fn import(
        report: Option<&Path>,
        dump: &Path,
        target: &Path,
        dry_run: bool,
    ) -> Result<ImportPage, Failed> {
        let Some(file) = report else {
            return Ok(match dry_run {
                true => ImportPage::Nothing,
                false => ImportPage::Target(REPORT_FILE.to_owned()),
            });
        };
        let refused = |why: &str| {
            let shown = file.display();
            Err(Failed::Status(USAGE, format!("--report {shown}: {why}")))
        };
        let (resolved, directory) = (resolve(file), resolve(target));
        if resolved == resolve(dump) {
            return refused("that is the dump");
        }
        if directory.starts_with(&resolved) {
            return refused("that is where the database goes");
        }
        if resolved.parent() != Some(&directory) {
            return Page::begin(file).map(ImportPage::File);
        }
        let name = resolved.file_name().and_then(|name| name.to_str());
        match name.filter(|name| name.ends_with(".html")) {
            _ if dry_run => refused("a dry run keeps nothing in the target"),
            Some(name) => Ok(ImportPage::Target(name.to_owned())),
            None => refused("in the target its name ends in .html"),
        }
    }

    /// Everything is verified, and nothing is published.
    pub fn write(&mut self, report: &Report) {
        if let ImportPage::File(page) = self {
            page.write(report);
        }
    }

    /// The import is over, and went well.
    ///
    /// # Errors
    ///
    /// The page is not there.
    pub fn finish(self, report: &Report) -> Result<(), String> {
        match (self, &report.page_problem) {
            (ImportPage::File(page), _) => page.finish(),
            (_, Some(why)) => Err(why.clone()),
            (_, None) => Ok(()),
        }
    }
}

/// Where a path leads, as far as there is anything.
fn resolve(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    for there in absolute.ancestors() {
        if let (Ok(real), Ok(rest)) = (there.canonicalize(), absolute.strip_prefix(there)) {
            return real.join(rest);
        }
    }
    absolute
}
