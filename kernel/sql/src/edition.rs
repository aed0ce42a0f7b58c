//! Which edition a database belongs to: one row, the first that is committed to a new database.
//!
//! ```text
//! collection 21
//!   key    "edition"
//!   value  format u8 = 1 │ its name, such as lite or full, UTF-8
//! ```
//!
//! 1. A database without the row is Lite's: it was made before there was one, when Lite was all there
//!    was to make it.
//! 2. A database to which nothing was ever committed is nobody's yet, and becomes that of whoever
//!    opens it. So a program that dies while it makes one can make it the next time.
//! 3. The row never changes. It is not in dumps: their manifest names the edition that wrote them, and
//!    an import records its own.
//!
//! What follows from an edition is decided by whoever opens a database.

use heliosdb_storage::ids::{CollectionId, Ts};
use heliosdb_storage::{Durability, Engine, Interrupt, Isolation, ReadView};

use crate::error::{Result, SqlError, state};

/// The edition of databases that do not say.
pub const LITE: &str = "lite";

pub(crate) const EDITION: CollectionId = CollectionId(21);
const KEY: &[u8] = b"edition";
const FORMAT: u8 = 1;

/// Whose the database is; `None` when it is nobody's yet.
///
/// # Errors
///
/// The row cannot be read, or not by this build.
pub fn of(view: &ReadView) -> Result<Option<String>> {
    match view.get(EDITION, KEY)? {
        Some(value) => read(&value).map(Some),
        None if view.ts() == Ts::ZERO => Ok(None),
        None => Ok(Some(LITE.to_owned())),
    }
}

/// Makes the database that of an edition; durable when this returns. Only for one that is nobody's, or
/// that nobody can open yet.
///
/// # Errors
///
/// It cannot be written.
pub fn record(engine: &Engine, edition: &str) -> Result<()> {
    let mut value = vec![FORMAT];
    value.extend_from_slice(edition.as_bytes());
    let mut transaction = engine.begin(Isolation::ReadCommitted, Interrupt::new());
    transaction.begin_statement();
    transaction.put(EDITION, KEY, &value)?;
    transaction.commit(Durability::Synchronous)?;
    Ok(())
}

fn read(value: &[u8]) -> Result<String> {
    let why = match value {
        [FORMAT, name @ ..] => match std::str::from_utf8(name) {
            Ok(name) => return Ok(name.to_owned()),
            Err(error) => error.to_string(),
        },
        [format, ..] => format!("format {format}; this build reads {FORMAT}"),
        [] => "it is empty".to_owned(),
    };
    let message = "the record of the database's edition is damaged";
    Err(SqlError::new(state::DATA_CORRUPTED, message).with_detail(why))
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use heliosdb_storage::Options;
    use heliosdb_storage::io::disk::Disk;

    use super::*;

    fn open(directory: &Path) -> Engine {
        let disk = Arc::new(Disk::open(directory).unwrap());
        Engine::open(disk, Options::default()).unwrap()
    }

    #[test]
    fn a_database_is_nobodys_until_something_is_committed() {
        let directory = tempfile::tempdir().unwrap();
        let engine = open(directory.path());
        assert_eq!(of(&engine.latest_view()).unwrap(), None);
        engine.close().unwrap();
        let engine = open(directory.path());
        assert_eq!(of(&engine.latest_view()).unwrap(), None);
        record(&engine, "full").unwrap();
        assert_eq!(of(&engine.latest_view()).unwrap().as_deref(), Some("full"));
        engine.close().unwrap();
        let engine = open(directory.path());
        assert_eq!(of(&engine.latest_view()).unwrap().as_deref(), Some("full"));
    }

    /// As every database was before there was the row.
    #[test]
    fn a_database_that_does_not_say_is_lites() {
        let directory = tempfile::tempdir().unwrap();
        let engine = open(directory.path());
        let mut transaction = engine.begin(Isolation::ReadCommitted, Interrupt::new());
        transaction.put(CollectionId(18), b"x", b"y").unwrap();
        transaction.commit(Durability::Synchronous).unwrap();
        assert_eq!(of(&engine.latest_view()).unwrap().as_deref(), Some(LITE));
    }

    #[test]
    fn what_this_build_cannot_read_is_refused() {
        for (value, why) in [
            (&[][..], "it is empty"),
            (b"\x02full", "format 2; this build reads 1"),
            (b"\x01\xff", "invalid utf-8"),
        ] {
            let error = read(value).unwrap_err();
            assert_eq!(error.code, state::DATA_CORRUPTED);
            assert!(error.detail.unwrap().contains(why), "{value:?}");
        }
    }
}
