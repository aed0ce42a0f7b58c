//! The drafts of JSON Schema that are understood, and which of them a schema is of.

pub use heliosdb_jsonschema_state::Draft;
use serde_json::Value;

use crate::error::{Error, Kind, Result};

pub(super) fn of_crate(draft: Draft) -> jsonschema::Draft {
    match draft {
        Draft::Draft4 => jsonschema::Draft::Draft4,
        Draft::Draft6 => jsonschema::Draft::Draft6,
        Draft::Draft7 => jsonschema::Draft::Draft7,
        Draft::Draft201909 => jsonschema::Draft::Draft201909,
        Draft::Draft202012 => jsonschema::Draft::Draft202012,
    }
}

pub(super) fn from_crate(draft: jsonschema::Draft) -> Draft {
    match draft {
        jsonschema::Draft::Draft4 => Draft::Draft4,
        jsonschema::Draft::Draft6 => Draft::Draft6,
        jsonschema::Draft::Draft7 => Draft::Draft7,
        jsonschema::Draft::Draft201909 => Draft::Draft201909,
        _ => Draft::Draft202012,
    }
}

/// The draft that a statement names: `2020-12`, `7`, `draft-07`, `draft7` or the URI of the
/// meta-schema.
pub fn parse_draft(text: &str) -> Result<Draft> {
    let short = text.strip_prefix("draft").unwrap_or(text);
    let short = short.trim_start_matches('-').trim_start_matches('0');
    let by_uri = || match jsonschema::Draft::from_schema_uri(text) {
        jsonschema::Draft::Unknown => None,
        known => Some(from_crate(known)),
    };
    Draft::by_name(short)
        .or_else(by_uri)
        .ok_or_else(|| unknown_draft(text))
}

/// What a schema says of its draft.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Declared {
    Nothing,
    Draft(Draft),
    /// The URI of a meta-schema that is none of a draft's.
    Custom(String),
}

impl Declared {
    pub fn of(schema: &Value) -> Declared {
        match schema.get("$schema").and_then(Value::as_str) {
            None => Declared::Nothing,
            Some(uri) => match jsonschema::Draft::from_schema_uri(uri) {
                jsonschema::Draft::Unknown => Declared::Custom(uri.to_owned()),
                known => Declared::Draft(from_crate(known)),
            },
        }
    }

    /// The draft a schema is read with, `asked` being what a statement says. A statement may say
    /// what the schema does not, and may not contradict it.
    pub fn settle(&self, asked: Option<Draft>) -> Result<jsonschema::Draft> {
        match (self, asked) {
            (Declared::Nothing, asked) => Ok(of_crate(asked.unwrap_or_default())),
            (Declared::Custom(uri), None) if is_of_json_schema_org(uri) => Err(unknown_draft(uri)),
            (Declared::Custom(_), None) => Ok(jsonschema::Draft::Unknown),
            (Declared::Draft(declared), None) => Ok(of_crate(*declared)),
            (Declared::Draft(declared), Some(asked)) if *declared == asked => Ok(of_crate(asked)),
            (_, Some(asked)) => Err(Kind::InvalidSchema
                .error(format!("JSON schema is not of draft {asked}"))
                .with_detail("Its \"$schema\" names another meta-schema.")),
        }
    }
}

/// A draft that is too old or too new; anybody else's meta-schema may be registered.
fn is_of_json_schema_org(uri: &str) -> bool {
    let place = uri.split_once("://").map(|(_, place)| place);
    place.is_some_and(|place| place.starts_with("json-schema.org/"))
}

fn unknown_draft(text: &str) -> Error {
    let names = Draft::ALL.map(Draft::name).join(", ");
    Kind::InvalidSchema
        .error(format!("unrecognized JSON Schema draft \"{text}\""))
        .with_hint(format!("Drafts are {names}."))
}
