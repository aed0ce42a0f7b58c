//! Where a database came from: a row for each dump that was imported into it.
//!
//! ```text
//! collection 20
//!   key    imported_at u64 BE │ dump_id
//!   value  format u8 = 1 │ JSON of Provenance
//! ```
//!
//! An import writes its row as the last thing before it publishes. Rows travel in dumps like any other
//! content, so a database that moved twice has two. They are data about data: nothing reads them to
//! decide anything.

use std::ops::Bound;

use heliosdb_storage::ids::CollectionId;
use heliosdb_storage::{Durability, Engine, Interrupt, Isolation, ReadView};
use serde::{Deserialize, Serialize};

use crate::error::{Result, SqlError, state};

/// The rows of imports.
pub const IMPORTS: CollectionId = CollectionId(20);

const FORMAT: u8 = 1;

/// One import. Times are microseconds since the Unix epoch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provenance {
    pub dump_id: String,
    pub source_edition: String,
    /// The version of the kernel that wrote the dump.
    pub source_version: String,
    pub exported_at: u64,
    /// The dump holds what was committed up to here.
    pub snapshot_ts: u64,
    /// The past begins here: the first time AS OF which the dump answered; `snapshot_ts` when it had no
    /// history. `None` in a row that was written before this was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest_ts: Option<u64>,
    pub imported_at: u64,
    pub tables: u64,
    pub rows: u64,
    /// Of the file.
    pub bytes: u64,
    /// What became of which store, as the import's report has it.
    pub upgrades: serde_json::Value,
}

/// Writes the row of an import; durable when this returns.
pub fn record(engine: &Engine, import: &Provenance) -> Result<()> {
    let mut value = vec![FORMAT];
    serde_json::to_writer(&mut value, import).map_err(SqlError::internal)?;
    let mut key = import.imported_at.to_be_bytes().to_vec();
    key.extend_from_slice(import.dump_id.as_bytes());
    let mut transaction = engine.begin(Isolation::ReadCommitted, Interrupt::new());
    transaction.begin_statement();
    transaction.put(IMPORTS, &key, &value)?;
    transaction.commit(Durability::Synchronous)?;
    Ok(())
}

/// Every import, oldest first.
pub fn all(view: &ReadView) -> Result<Vec<Provenance>> {
    view.range(IMPORTS, Bound::Unbounded, Bound::Unbounded)?
        .map(|entry| {
            let (key, value) = entry?;
            read(&key, &value)
        })
        .collect()
}

/// Whether this build understands a row.
pub(crate) fn check_entry(key: &[u8], value: &[u8]) -> Result<()> {
    read(key, value).map(drop)
}

fn read(key: &[u8], value: &[u8]) -> Result<Provenance> {
    decode(value).map_err(|why| {
        SqlError::new(
            state::DATA_CORRUPTED,
            format!("the record of an import is damaged (key {key:02x?})"),
        )
        .with_detail(why)
    })
}

fn decode(value: &[u8]) -> std::result::Result<Provenance, String> {
    match value {
        [FORMAT, json @ ..] => serde_json::from_slice(json).map_err(|e| e.to_string()),
        [format, ..] => Err(format!("format {format}; this build reads {FORMAT}")),
        [] => Err("it is empty".to_owned()),
    }
}
