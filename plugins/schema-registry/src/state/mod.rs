//! The store `versions`: the format of what the registry keeps.
//!
//! ```text
//! version 1   1, oid u32 BE                   → JSON {"schema"?, "name"?, "last", "dropped"?}
//!             2, oid u32 BE, version u32 BE   → JSON {"uri", "draft"?, "text", "digest", "origin",
//!                                                     "recorded"?}
//!
//!             "dropped", "recorded"   {"at": microseconds since 1970 UTC, "by": role}
//!             "digest"                SHA-256 of the text's bytes, 64 hexadecimal digits
//!             "origin"                {"adopted": "plugin.store@version"}, {"command": prefix}, "found"
//! ```
//!
//! The oid is that of the schema's object in the catalog, which is never given out again. An adopted
//! schema has no name here before the first statement that is observed, and its first version no time:
//! an adoption knows neither.
//!
//! A version that shipped never changes: `state/versions-1.txt` has entries as they were written then.

use std::fmt;

use heliosdb_jsonschema_state::Draft;
use heliosdb_plugin_api::{Entry, Error, Result, state};
use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};

/// Name of the store.
pub const STORE: &str = "versions";

/// Entries of version 1 as they were written when it was new.
pub const GOLDEN_1: &str = include_str!("../../state/versions-1.txt");

const HEAD: u8 = 1;
const VERSION: u8 = 2;

/// When and by whom.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mark {
    /// Microseconds since 1970-01-01 UTC.
    pub at: i64,
    /// The role.
    pub by: String,
}

/// What is known of a schema beside its versions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Head {
    /// The SQL schema that it was in, and its name, when a statement was last observed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its latest version, from 1.
    pub last: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dropped: Option<Mark>,
}

/// Where a version came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// From this store, as `plugin.store@version`.
    Adopted(String),
    /// By a statement that began so.
    Command(String),
    /// It was there when the registry looked again, after it had been off.
    Found,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Adopted(store) => write!(f, "adopted from {store}"),
            Origin::Command(command) => f.write_str(command),
            Origin::Found => f.write_str("found"),
        }
    }
}

/// One version of a schema.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Version {
    pub uri: String,
    /// What the statement said of the draft, if it said anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub draft: Option<Draft>,
    pub text: String,
    digest: String,
    pub origin: Origin,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recorded: Option<Mark>,
}

impl Version {
    pub fn new(
        uri: String,
        draft: Option<Draft>,
        text: String,
        origin: Origin,
        recorded: Option<Mark>,
    ) -> Version {
        Version {
            digest: digest_of(&text),
            uri,
            draft,
            text,
            origin,
            recorded,
        }
    }

    /// Whether it is the version of such a schema.
    pub fn is_of(&self, text: &str, draft: Option<Draft>) -> bool {
        self.text == text && self.draft == draft
    }

    /// SHA-256 of the text, in hexadecimal digits.
    pub fn digest(&self) -> &str {
        &self.digest
    }
}

fn digest_of(text: &str) -> String {
    let digest = digest(&SHA256, text.as_bytes());
    digest.as_ref().iter().map(|b| format!("{b:02x}")).collect()
}

/// The key of a schema's head.
pub fn head_key(oid: u32) -> Vec<u8> {
    let mut key = vec![HEAD];
    key.extend_from_slice(&oid.to_be_bytes());
    key
}

/// The key of a version.
pub fn version_key(oid: u32, version: u32) -> Vec<u8> {
    let mut key = vec![VERSION];
    key.extend_from_slice(&oid.to_be_bytes());
    key.extend_from_slice(&version.to_be_bytes());
    key
}

/// Where the heads end and the versions begin.
pub fn end_of_heads() -> Vec<u8> {
    vec![VERSION]
}

impl Head {
    pub fn entry(&self, oid: u32) -> Entry {
        Entry {
            key: head_key(oid),
            value: encode(self),
        }
    }

    pub fn decode(value: &[u8]) -> Result<Head> {
        let head: Head = decode(value)?;
        match head.last {
            0 => Err(damaged("a JSON schema in the registry has no version")),
            _ => Ok(head),
        }
    }
}

impl Version {
    pub fn entry(&self, oid: u32, version: u32) -> Entry {
        Entry {
            key: version_key(oid, version),
            value: encode(self),
        }
    }

    pub fn decode(value: &[u8]) -> Result<Version> {
        decode(value)
    }
}

/// An entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stored {
    Head {
        oid: u32,
        head: Head,
    },
    Version {
        oid: u32,
        number: u32,
        version: Version,
    },
}

impl Stored {
    /// # Errors
    ///
    /// `XX001` for what was never written.
    pub fn decode(Entry { key, value }: &Entry) -> Result<Stored> {
        let unreadable = || {
            damaged("key of a registered JSON schema cannot be read")
                .with_detail(format!("It is {key:?}."))
        };
        let (kind, rest) = key.split_first().ok_or_else(unreadable)?;
        let (oid, rest) = rest.split_first_chunk::<4>().ok_or_else(unreadable)?;
        let oid = u32::from_be_bytes(*oid);
        match (*kind, <[u8; 4]>::try_from(rest)) {
            (HEAD, _) if rest.is_empty() => Ok(Stored::Head {
                oid,
                head: Head::decode(value)?,
            }),
            (VERSION, Ok(number)) if number != [0; 4] => Ok(Stored::Version {
                oid,
                number: u32::from_be_bytes(number),
                version: Version::decode(value)?,
            }),
            _ => Err(unreadable()),
        }
    }

    /// The invariant of an entry: the digest is that of the text.
    pub fn check(&self) -> Result<()> {
        match self {
            Stored::Version { version, .. } if version.digest != digest_of(&version.text) => Err(
                damaged("the digest of a registered JSON schema is not that of its text"),
            ),
            _ => Ok(()),
        }
    }
}

fn encode(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("strings, numbers and enums of them are JSON")
}

fn decode<T: for<'a> Deserialize<'a>>(value: &[u8]) -> Result<T> {
    serde_json::from_slice(value).map_err(|error| {
        damaged("registered JSON schema cannot be read").with_detail(error.to_string())
    })
}

fn damaged(message: &str) -> Error {
    Error::new(state::DATA_CORRUPTED, message)
}

#[cfg(test)]
mod tests;
