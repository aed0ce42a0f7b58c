//! Golden files: what a database of one version of the formats is on disk, made by a fixed history on the
//! simulated machine, and in words.
//!
//! ```text
//! golden/vN/
//!   files.txt        length and hash of every other file
//!   database.txt     what the database says, at all its times
//!   backup.txt       the same of the backup, in outline
//!   restored.txt     and of what backup and archive give
//!   db/…             the database, as a kill of its process leaves it
//!   backup/…         a backup of it
//!   archive/…        the archive of its log
//! ```
//!
//! Files of the log never change their length; here the zeros at their ends are left out, and `files.txt` says
//! how many bytes there are.
//!
//! 1. A directory of golden files is never edited, and neither is a history that made one: builds of all times
//!    read what it has. A change of a format raises its version and is a new directory, made by
//!    `cargo run -p heliosdb-sim --bin golden -- DIRECTORY`, which does not overwrite.
//! 2. The history of the newest version makes its files again, byte for byte: the clock, chance and all
//!    background work are the simulated machine's.
//! 3. What zstd makes of the same bytes is its release's own, which `Cargo.lock` names. When a new one makes
//!    others, the files stay as they are, and what is told differs is a page's stored bytes: that is no change
//!    of a format, for every release reads them.

mod describe;
mod history;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{ArrayRef, BooleanArray, Int64Array, RecordBatch};
use heliosdb_storage::check::Check;
use heliosdb_storage::expression::{ExpressionError, Expressions};
use heliosdb_storage::io::{Io, OpenMode};
use heliosdb_storage::schema::ColumnType;
use heliosdb_storage::{ArchiveDirectory, Engine, Options, Result};

pub use self::describe::{describe, outline};
pub use self::history::{later, make, of_backup, of_restored};

use crate::SimDisk;
use crate::torture::codec::Codecs;

/// The version that [`make`] makes.
pub const VERSION: u32 = 1;
/// What to do when a test of golden files fails.
pub const ADVICE: &str = "never edit a golden file: raise the version of the format that changed, read both, and \
     add a directory with `cargo run -p heliosdb-sim --bin golden -- testing/sim/golden/vN`";

/// Files by name, the directories in them.
pub type Files = BTreeMap<String, Vec<u8>>;

/// The list of the others.
pub const LIST: &str = "files.txt";

/// What is kept of a file: not the zeros at the end of one of the log.
pub fn kept<'a>(name: &str, bytes: &'a [u8]) -> &'a [u8] {
    let log = name.ends_with(".wal") || name.ends_with(".tail");
    let end = bytes.iter().rposition(|byte| *byte != 0);
    match log {
        true => &bytes[..end.map_or(0, |end| end + 1)],
        false => bytes,
    }
}

/// Files that [`kept`] was asked for, as they were.
pub fn whole(mut files: Files) -> Files {
    let list = files.get(LIST).cloned().unwrap_or_default();
    for line in String::from_utf8_lossy(&list).lines() {
        let mut parts = line.split_whitespace().skip(1);
        if let (Some(bytes), Some(name)) = (parts.next(), parts.next())
            && let (Ok(bytes), Some(file)) = (bytes.parse(), files.get_mut(name))
            && file.len() < bytes
        {
            file.resize(bytes, 0);
        }
    }
    files
}

/// Everything that a machine has.
pub fn files(machine: &SimDisk) -> Result<Files> {
    let content = |name: &str| {
        let content = machine.content(name);
        content.map_err(|e| heliosdb_storage::Error::invalid(format!("{name}: {e}")))
    };
    let names = machine.files().into_iter().map(|(name, _)| name);
    names
        .map(|name| Ok((name.clone(), content(&name)?)))
        .collect()
}

/// A machine that has these files.
pub fn machine(files: &Files) -> std::io::Result<SimDisk> {
    // Later than any history: its clock begins where another seed's does, and goes on from there.
    let machine = SimDisk::new(history::SEED);
    machine.advance(history::LATER_MICROS);
    for (name, bytes) in files {
        let Some((directory, name)) = name.split_once('/') else {
            continue;
        };
        let io = machine.directory(directory);
        if let Some((inner, _)) = name.rsplit_once('/')
            && let Err(e) = io.create_dir(inner)
            && e.kind() != std::io::ErrorKind::AlreadyExists
        {
            return Err(e);
        }
        let file = io.open(name, OpenMode::CreateNew)?;
        file.write_at(bytes, 0)?;
        file.sync_data()?;
    }
    Ok(machine)
}

/// Open a directory of a golden machine.
pub fn open(machine: &SimDisk, directory: &str) -> Result<Engine> {
    let engine = Engine::open(Arc::new(machine.directory(directory)), options(machine))?;
    prepare(&engine);
    Ok(engine)
}

/// What every golden database is opened with. None of it changes what a file means.
fn options(machine: &SimDisk) -> Options {
    Options {
        wal_segment_bytes: 64 << 10,
        memory_bytes_max: 1 << 30,
        page_bytes: 2 << 10,
        blob_bytes_min: 256,
        sketch_rows_min: 64,
        retention_micros: None,
        max_pin_age_micros: None,
        transaction_bytes_max: 8 << 10,
        compaction_in_background: false,
        archive: Some(ArchiveDirectory(Arc::new(machine.directory("archive")))),
        ..Options::default()
    }
}

fn prepare(engine: &Engine) {
    engine.set_codecs(Arc::new(Codecs));
    engine.set_expressions(Arc::new(Arithmetic));
}

/// What a check needs to know that an engine is told.
pub fn prepare_check(check: &mut Check<'_>) {
    check.set_codecs(Arc::new(Codecs));
    check.set_expressions(Arc::new(Arithmetic));
}

/// The list of files: name, length and hash.
pub fn list(files: &Files) -> String {
    let mut list = String::new();
    for (name, bytes) in files {
        let _ = writeln!(list, "{:016x} {:>7} {name}", hash(bytes), bytes.len());
    }
    list
}

/// FNV-1a, 64 bits (Fowler, Noll, Vo, draft-eastlake-fnv, §5).
fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

const LAST_DIGIT: &str = "c0 % 10";
const LARGE: &str = "c0 > 5";

/// The expressions that the history's tables have.
struct Arithmetic;

impl Expressions for Arithmetic {
    fn evaluate(
        &self,
        expression: &str,
        rows: &RecordBatch,
        _: &ColumnType,
    ) -> std::result::Result<ArrayRef, ExpressionError> {
        let numbers = rows.column(0).as_primitive::<Int64Type>().iter();
        match expression {
            LAST_DIGIT => Ok(Arc::new(
                numbers.map(|n| n.map(|n| n % 10)).collect::<Int64Array>(),
            )),
            LARGE => Ok(Arc::new(
                numbers.map(|n| n.map(|n| n > 5)).collect::<BooleanArray>(),
            )),
            other => Err(ExpressionError {
                sqlstate: *b"42883",
                message: format!("nobody knows \"{other}\""),
            }),
        }
    }
}
