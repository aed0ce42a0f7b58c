//! Entries of version 2.

use std::ops::Bound;

use heliosdb_plugin_api::{Entry, Result};
use serde::{Deserialize, Serialize};

use crate::{Draft, damaged};

const SCHEMA: u8 = 1;
const URI: u8 = 2;

/// A named schema.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// Absolute, normalized, without fragment.
    pub uri: String,
    /// What the statement said of the draft, if it said anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub draft: Option<Draft>,
    pub text: String,
}

impl Record {
    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("strings and a unit enum are JSON")
    }

    pub fn decode(value: &[u8]) -> Result<Record> {
        serde_json::from_slice(value)
            .map_err(|error| damaged("stored JSON schema cannot be read", error.to_string()))
    }
}

/// The key of a schema.
pub fn schema_key(oid: u32) -> Vec<u8> {
    let mut key = vec![SCHEMA];
    key.extend_from_slice(&oid.to_be_bytes());
    key
}

/// The key that leads from a URI to a schema.
pub fn uri_key(uri: &str, oid: u32) -> Vec<u8> {
    let mut key = uri_prefix(uri);
    key.extend_from_slice(&oid.to_be_bytes());
    key
}

/// Where the keys of a URI are. A URI has no byte 0, so no other URI's keys are among them.
pub fn uri_range(uri: &str) -> (Bound<Vec<u8>>, Bound<Vec<u8>>) {
    let from = uri_prefix(uri);
    let mut to = from.clone();
    to.extend_from_slice(&u32::MAX.to_be_bytes());
    (Bound::Included(from), Bound::Included(to))
}

fn uri_prefix(uri: &str) -> Vec<u8> {
    let mut key = vec![URI];
    key.extend_from_slice(uri.as_bytes());
    key.push(0);
    key
}

/// What a key says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key<'a> {
    Schema(u32),
    Uri(&'a str, u32),
}

impl<'a> Key<'a> {
    pub fn decode(key: &'a [u8]) -> Result<Key<'a>> {
        let unreadable = || {
            damaged(
                "key of a stored JSON schema cannot be read",
                format!("It is {key:?}."),
            )
        };
        let (kind, rest) = key.split_first().ok_or_else(unreadable)?;
        let (before, oid) = rest.split_last_chunk::<4>().ok_or_else(unreadable)?;
        let oid = u32::from_be_bytes(*oid);
        match (*kind, before.split_last()) {
            (SCHEMA, None) => Ok(Key::Schema(oid)),
            (URI, Some((0, uri))) => {
                let uri = std::str::from_utf8(uri).map_err(|_| unreadable())?;
                Ok(Key::Uri(uri, oid))
            }
            _ => Err(unreadable()),
        }
    }
}

/// An entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stored<'a> {
    Schema { oid: u32, record: Record },
    Uri { uri: &'a str, oid: u32 },
}

impl<'a> Stored<'a> {
    /// # Errors
    ///
    /// `XX001` for what version 2 never wrote.
    pub fn decode(entry: &'a Entry) -> Result<Stored<'a>> {
        match Key::decode(&entry.key)? {
            Key::Schema(oid) => Ok(Stored::Schema {
                oid,
                record: Record::decode(&entry.value)?,
            }),
            Key::Uri(uri, oid) if entry.value.is_empty() => Ok(Stored::Uri { uri, oid }),
            Key::Uri(uri, _) => Err(damaged(
                "a stored URI of a JSON schema has a value",
                format!("It is \"{uri}\"."),
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::golden::{VERSION_2, entries};

    #[test]
    fn golden_entries_are_read_and_written_as_they_are() {
        let golden = entries(VERSION_2);
        let mut schemas = 0;
        for entry in &golden {
            let key = match Stored::decode(entry).expect("an entry") {
                Stored::Schema { oid, record } => {
                    schemas += 1;
                    assert_eq!(record.encode(), entry.value);
                    schema_key(oid)
                }
                Stored::Uri { uri, oid } => uri_key(uri, oid),
            };
            assert_eq!(key, entry.key);
        }
        assert_eq!((schemas, golden.len()), (3, 6));
    }

    #[test]
    fn what_was_never_written_is_refused() {
        let [schema, .., uri] = &entries(VERSION_2)[..] else {
            panic!("several entries");
        };
        let with = |key: &[u8], value: &[u8]| Entry {
            key: key.to_vec(),
            value: value.to_vec(),
        };
        for entry in [
            with(&[], &[]),
            with(&[3, 0, 0, 0, 1], &[]),
            with(&[SCHEMA, 0, 0, 1], &schema.value),
            with(&[SCHEMA, 0, 0, 0, 0, 1], &schema.value),
            with(&schema.key, b"{}"),
            with(&schema.key, br#"{"uri": "x", "text": "true", "more": 1}"#),
            with(
                &schema.key,
                br#"{"uri": "x", "text": "true", "draft": "5"}"#,
            ),
            with(&uri.key, b"x"),
            with(&[URI, 0xff, 0, 0, 0, 0, 1], &[]),
        ] {
            assert!(Stored::decode(&entry).is_err(), "{entry:?}");
        }
    }
}
