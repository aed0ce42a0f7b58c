//! Entries of version 2.

use std::ops::Bound;

use heliosdb_plugin_api::Entry;
use serde::{Deserialize, Serialize};

use crate::error::{Kind, Result};
use crate::schema::{Draft, RegisteredSchema, Source};

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
    pub fn source(&self) -> Source<'_> {
        Source {
            text: &self.text,
            draft: self.draft,
            uri: Some(&self.uri),
        }
    }

    pub fn registered(self) -> RegisteredSchema {
        RegisteredSchema {
            text: self.text.into(),
            draft: self.draft,
        }
    }

    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("strings and a unit enum are JSON")
    }

    pub fn decode(value: &[u8]) -> Result<Record> {
        serde_json::from_slice(value).map_err(|error| {
            Kind::Damaged
                .error("stored JSON schema cannot be read")
                .with_detail(error.to_string())
        })
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
        let damaged = || {
            Kind::Damaged
                .error("key of a stored JSON schema cannot be read")
                .with_detail(format!("It is {key:?}."))
        };
        let (kind, rest) = key.split_first().ok_or_else(damaged)?;
        let (before, oid) = rest.split_last_chunk::<4>().ok_or_else(damaged)?;
        let oid = u32::from_be_bytes(*oid);
        match (*kind, before.split_last()) {
            (SCHEMA, None) => Ok(Key::Schema(oid)),
            (URI, Some((0, uri))) => {
                let uri = std::str::from_utf8(uri).map_err(|_| damaged())?;
                Ok(Key::Uri(uri, oid))
            }
            _ => Err(damaged()),
        }
    }
}

/// The invariant of one entry: it can be read, and its schema can be read by its draft.
pub fn check(entry: &Entry) -> Result<()> {
    match Key::decode(&entry.key)? {
        Key::Schema(_) => Record::decode(&entry.value)?.source().read().map(|_| ()),
        Key::Uri(..) if entry.value.is_empty() => Ok(()),
        Key::Uri(..) => Err(Kind::Damaged.error("a stored URI of a JSON schema has a value")),
    }
}
