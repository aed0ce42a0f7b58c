//! Names in the database's directory: those that the manifest asks for, and others.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::sync::Arc;

use super::finding::{Place, Report};
use crate::backup::label;
use crate::error::{Error, Result};
use crate::flush::{SEGMENTS, parse_name};
use crate::io::Io;
use crate::io::disk::LOCK_FILE;
use crate::manifest::Manifest;
use crate::wal::file::DIRECTORY;

/// Where a load sorts; nobody needs it when no database runs.
const LOAD: &str = "load";

/// Names in `directory`; none when it is missing.
pub fn list(io: &Arc<dyn Io>, directory: &str) -> Result<Vec<String>> {
    match io.list(directory) {
        Ok(names) => Ok(names),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        Err(e) if directory.is_empty() => Err(Error::io("list", ".", e)),
        Err(e) => Err(Error::io("list", directory, e)),
    }
}

/// Tell of names that are nobody's. `expected` may be in the directory itself.
pub fn check(
    io: &Arc<dyn Io>,
    manifest: Option<&Manifest>,
    expected: &[&str],
    report: &mut Report<'_>,
) -> Result<()> {
    let ours = [LOCK_FILE, DIRECTORY, SEGMENTS, LOAD, label::FILE];
    for name in list(io, "")? {
        if !ours.contains(&name.as_str()) && !expected.contains(&name.as_str()) {
            report.note(Place::file(&name), "not a file of the database");
        }
    }
    let Some(manifest) = manifest else {
        return Ok(());
    };
    let named: BTreeSet<u64> = manifest.segments().map(|(_, s)| s.number).collect();
    for name in list(io, SEGMENTS)? {
        let place = Place::file(&format!("{SEGMENTS}/{name}"));
        match parse_name(&name) {
            Some(number) if named.contains(&number) => {}
            Some(_) => {
                let what = "a segment that the manifest does not name; the next start removes it";
                report.note(place, what);
            }
            None => report.note(place, "not a segment"),
        }
    }
    Ok(())
}
