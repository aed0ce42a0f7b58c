//! The journal: what was done to a plugin's stores, step by step, and how far a running one is.
//!
//! ```text
//! key    plugin │ 0 │ store │ 0 │ number u64 BE, from 1 per store
//! value  format u8 = 1 │ JSON of JournalRow
//! ```
//!
//! A row is written with the shadow it names and changes with every batch, in the batch's own
//! transaction. Its life: `running` → `published` → `finalized`, or `running` → `failed`. Only rows
//! that are published or finalized say that a step ran: those must not change their checksum.

use std::fmt;
use std::ops::Bound;

use heliosdb_storage::ids::CollectionId;
use heliosdb_storage::{Error, ReadView, Transaction};
use serde::{Deserialize, Serialize};

use super::{Digest, Tally};
use crate::store::{encode_row, split_key};

/// The journal of migrations.
pub const MIGRATIONS: CollectionId = CollectionId(19);

const FORMAT: u8 = 1;
const JOURNAL: &str = "the journal of plugin migrations";

/// Where a step is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MigrationState {
    Running,
    Published,
    Finalized,
    Failed,
}

impl fmt::Display for MigrationState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            MigrationState::Running => "running",
            MigrationState::Published => "published",
            MigrationState::Finalized => "finalized",
            MigrationState::Failed => "failed",
        })
    }
}

/// One step of one store, or one adoption, for which `from_version` is the other store's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MigrationRow {
    pub plugin: String,
    pub store: String,
    /// The order in which a store's steps began.
    pub number: u64,
    pub plugin_version: String,
    pub from_version: u32,
    pub to_version: u32,
    pub checksum: String,
    pub state: MigrationState,
    pub entries_in: u64,
    pub entries_out: u64,
    pub digest_in: Digest,
    pub digest_out: Digest,
    /// Microseconds since the Unix epoch.
    pub started_at: u64,
    pub published_at: Option<u64>,
    /// The store that it was taken over from, as `plugin.store@version`.
    pub adopted_from: Option<String>,
    /// Why it failed.
    pub reason: Option<String>,
}

/// All rows, in order of plugin, store and number.
pub fn migrations(view: &ReadView) -> Result<Vec<MigrationRow>, Error> {
    let entries = view.range(MIGRATIONS, Bound::Unbounded, Bound::Unbounded)?;
    entries
        .map(|entry| {
            let (key, value) = entry?;
            let (id, row) = decode(&key, &value)?;
            Ok(row.shown(id))
        })
        .collect()
}

/// Whether this code can read an entry of the journal.
pub fn check_entry(key: &[u8], value: &[u8]) -> Result<(), Error> {
    decode(key, value).map(drop)
}

/// The key of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RowId {
    pub plugin: String,
    pub store: String,
    pub number: u64,
}

impl RowId {
    fn key(&self) -> Vec<u8> {
        let mut key = prefix(&self.plugin, &self.store);
        key.extend_from_slice(&self.number.to_be_bytes());
        key
    }
}

/// How far a step is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Progress {
    /// The last key that was read, in hexadecimal.
    #[serde(default, with = "hex", skip_serializing_if = "Option::is_none")]
    pub after: Option<Vec<u8>>,
    /// Everything was read and written.
    pub done: bool,
    pub input: Tally,
    pub output: Tally,
}

/// The stored part of a [`MigrationRow`], and what a later run needs to go on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct JournalRow {
    pub plugin_version: String,
    pub from_version: u32,
    pub to_version: u32,
    pub checksum: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adopted_from: Option<String>,
    /// The collections that the step reads and writes.
    pub source: u32,
    pub shadow: u32,
    pub state: MigrationState,
    pub progress: Progress,
    pub started_at: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub published_at: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl JournalRow {
    fn shown(self, id: RowId) -> MigrationRow {
        MigrationRow {
            plugin: id.plugin,
            store: id.store,
            number: id.number,
            plugin_version: self.plugin_version,
            from_version: self.from_version,
            to_version: self.to_version,
            checksum: self.checksum,
            state: self.state,
            entries_in: self.progress.input.entries,
            entries_out: self.progress.output.entries,
            digest_in: self.progress.input.digest,
            digest_out: self.progress.output.digest,
            started_at: self.started_at,
            published_at: self.published_at,
            adopted_from: self.adopted_from,
            reason: self.reason,
        }
    }

    pub fn shadow(&self) -> CollectionId {
        CollectionId(self.shadow)
    }
}

/// The rows of a plugin, in order of store and number.
pub(super) fn rows_of(view: &ReadView, plugin: &str) -> Result<Vec<(RowId, JournalRow)>, Error> {
    let mut from = plugin.as_bytes().to_vec();
    from.push(0);
    let mut to = plugin.as_bytes().to_vec();
    to.push(1);
    let entries = view.range(MIGRATIONS, Bound::Included(&from), Bound::Excluded(&to))?;
    entries
        .map(|entry| {
            let (key, value) = entry?;
            decode(&key, &value)
        })
        .collect()
}

/// The number of a store's next row.
pub(super) fn next_number(view: &ReadView, plugin: &str, store: &str) -> Result<u64, Error> {
    let rows = rows_of(view, plugin)?;
    let of_store = rows.iter().filter(|(id, _)| id.store == store);
    Ok(of_store.map(|(id, _)| id.number).max().unwrap_or(0) + 1)
}

/// Write a row.
pub(super) fn write(tx: &mut Transaction, id: &RowId, row: &JournalRow) -> Result<(), Error> {
    tx.put(MIGRATIONS, &id.key(), &encode_row(FORMAT, row)?)
}

/// The key that one operation at a time on a plugin's stores holds locked. No row has it.
pub(super) fn plugin_lock(plugin: &str) -> Vec<u8> {
    plugin.as_bytes().to_vec()
}

fn prefix(plugin: &str, store: &str) -> Vec<u8> {
    let mut key = plugin.as_bytes().to_vec();
    key.push(0);
    key.extend_from_slice(store.as_bytes());
    key.push(0);
    key
}

fn decode(key: &[u8], value: &[u8]) -> Result<(RowId, JournalRow), Error> {
    let damaged = |expected: &str| {
        let found = format!("{} = {}", key.escape_ascii(), value.escape_ascii());
        Error::corruption(JOURNAL, 0, expected, found)
    };
    let (plugin, store, rest) =
        split_key(key).ok_or_else(|| damaged("a plugin and a store in the key"))?;
    let number = rest
        .try_into()
        .map_err(|_| damaged("a number at the end of the key"))?;
    let row = match value {
        [FORMAT, json @ ..] => {
            serde_json::from_slice(json).map_err(|e| damaged(&format!("a row: {e}")))?
        }
        _ => return Err(damaged("a row of a known format")),
    };
    let id = RowId {
        plugin: plugin.to_owned(),
        store: store.to_owned(),
        number: u64::from_be_bytes(number),
    };
    Ok((id, row))
}

/// Keys are bytes, and JSON has none.
mod hex {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(
        bytes: &Option<Vec<u8>>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match bytes {
            None => serializer.serialize_none(),
            Some(bytes) => {
                let digit = |nibble: u8| char::from(b"0123456789abcdef"[usize::from(nibble)]);
                let text: String = bytes
                    .iter()
                    .flat_map(|byte| [digit(byte >> 4), digit(byte & 15)])
                    .collect();
                serializer.serialize_some(&text)
            }
        }
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Vec<u8>>, D::Error> {
        let Some(text) = Option::<String>::deserialize(deserializer)? else {
            return Ok(None);
        };
        let nibble = |digit: u8| {
            char::from(digit)
                .to_digit(16)
                .and_then(|value| u8::try_from(value).ok())
                .ok_or_else(|| D::Error::custom(format!("not hexadecimal: {text:?}")))
        };
        if !text.len().is_multiple_of(2) {
            return Err(D::Error::custom("half a byte in hexadecimal"));
        }
        let pairs = text.as_bytes().chunks_exact(2);
        let bytes = pairs.map(|pair| Ok(nibble(pair[0])? << 4 | nibble(pair[1])?));
        bytes.collect::<Result<_, _>>().map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row() -> JournalRow {
        JournalRow {
            plugin_version: "1.2.0".to_owned(),
            from_version: 1,
            to_version: 2,
            checksum: "split names".to_owned(),
            adopted_from: None,
            source: 1024,
            shadow: 1030,
            state: MigrationState::Running,
            progress: Progress {
                after: Some(vec![0, 0xa5, 0xff]),
                ..Progress::default()
            },
            started_at: 7,
            published_at: None,
            reason: None,
        }
    }

    /// What is stored may grow, and never change its meaning.
    #[test]
    fn the_stored_form_is_fixed() {
        let id = RowId {
            plugin: "p".to_owned(),
            store: "s".to_owned(),
            number: 3,
        };
        let value = encode_row(FORMAT, &row()).unwrap();
        expect_test::expect![[r#"\x01{\"plugin_version\":\"1.2.0\",\"from_version\":1,\"to_version\":2,\"checksum\":\"split names\",\"source\":1024,\"shadow\":1030,\"state\":\"running\",\"progress\":{\"after\":\"00a5ff\",\"done\":false,\"input\":{\"entries\":0,\"digest\":\"00000000000000000000000000000000\"},\"output\":{\"entries\":0,\"digest\":\"00000000000000000000000000000000\"}},\"started_at\":7}"#]].assert_eq(&value.escape_ascii().to_string());
        assert_eq!(decode(&id.key(), &value).unwrap(), (id.clone(), row()));
        for len in 0..value.len() {
            assert!(decode(&id.key(), &value[..len]).is_err(), "{len}");
        }
        assert!(decode(b"p\x00s\x00123", &value).is_err());
    }
}
