//! References from one schema to another.
//!
//! A schema has a URI, under which others refer to it: the one its statement gives, or else its own
//! absolute `$id`, or else [`default_uri`], so that `{"$ref": "address"}` finds the schema
//! `address` of the same SQL schema. A URI is fixed when the schema is created; renaming the schema
//! does not change it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use heliosdb_jsonschema_state::v2::Record;
use jsonschema::{Registry, Retrieve, Uri, uri};
use serde_json::Value;

use super::draft::{self, Declared, Draft};
use crate::error::{Error, Kind, Result};

/// Scheme and authority of schemas that have no URI of their own. The crate uses it for the same.
const DEFAULT_BASE: &str = "json-schema:///";

/// References one schema may need in all, those of the schemas it refers to included.
const REFERENCES_MAX: usize = 10_000;

/// Finds schemas that have names.
pub trait Registered {
    /// The schema whose URI is `uri`, which is absolute, normalized and without fragment.
    fn by_uri(&self, uri: &str) -> Result<Option<RegisteredSchema>>;
}

/// A schema another may refer to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegisteredSchema {
    pub text: Arc<str>,
    /// What its statement said.
    pub draft: Option<Draft>,
}

impl From<Record> for RegisteredSchema {
    fn from(record: Record) -> RegisteredSchema {
        RegisteredSchema {
            text: record.text.into(),
            draft: record.draft,
        }
    }
}

/// No schema has a name.
#[derive(Clone, Copy, Debug)]
pub struct Unregistered;

impl Registered for Unregistered {
    fn by_uri(&self, _uri: &str) -> Result<Option<RegisteredSchema>> {
        Ok(None)
    }
}

/// The URI of a schema that has no other: `json-schema:///schema/name`.
pub fn default_uri(schema: &str, name: &str) -> String {
    let unreserved = |c: char| c.is_ascii_alphanumeric() || "-._~".contains(c);
    let [schema, name] = [schema, name].map(|part| percent_encoded(part, unreserved));
    format!("{DEFAULT_BASE}{schema}/{name}")
}

fn percent_encoded(text: &str, stays: impl Fn(char) -> bool) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if stays(c) {
            out.push(c);
            continue;
        }
        for byte in c.encode_utf8(&mut [0; 4]).bytes() {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// Encodes what may not stand in a URI but does in references that are in use, such as
/// `#/definitions/List<String>`. Not in values that are data (`const`, `enum` and so on), whose
/// members may have any name.
pub(super) fn encode_references(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            for (name, member) in members {
                match (name.as_str(), member) {
                    ("const" | "enum" | "default" | "examples", _) => {}
                    ("$ref" | "$dynamicRef" | "$recursiveRef", Value::String(reference)) => {
                        let legal = |c: char| {
                            c.is_ascii_alphanumeric() || "-._~:/?#[]@!$&'()*+,;=%".contains(c)
                        };
                        if !reference.chars().all(legal) {
                            *reference = percent_encoded(reference, legal);
                        }
                    }
                    (_, member) => encode_references(member),
                }
            }
        }
        Value::Array(elements) => elements.iter_mut().for_each(encode_references),
        _ => {}
    }
}

/// The URI of a schema: `asked` by a statement, or its own identifier, both read relative to
/// `fallback`, or `fallback`.
pub fn base_uri(
    schema: &Value,
    draft: Draft,
    asked: Option<&str>,
    fallback: &str,
) -> Result<String> {
    let id = schema
        .get(draft::of_crate(draft).id_keyword())
        .and_then(Value::as_str);
    // In the old drafts an identifier that is a fragment is an anchor.
    let id = id.filter(|id| !id.starts_with('#'));
    let Some(reference) = asked.or(id) else {
        return Ok(fallback.to_owned());
    };
    let base = uri::from_str(fallback).map_err(invalid_uri)?;
    let mut resolved = uri::resolve_against(&base.borrow(), reference).map_err(invalid_uri)?;
    if resolved.fragment().is_some_and(|f| !f.as_str().is_empty()) {
        return Err(Kind::InvalidSchema.error(format!(
            "URI \"{reference}\" of a JSON schema has a fragment"
        )));
    }
    resolved.set_fragment(None);
    Ok(resolved.as_str().to_owned())
}

fn invalid_uri(error: jsonschema::ReferencingError) -> Error {
    Kind::InvalidSchema
        .error("invalid URI of a JSON schema")
        .with_detail(error.to_string())
}

/// The base of a schema text that has no name.
pub fn anonymous_base() -> &'static str {
    DEFAULT_BASE
}

/// What a schema refers to, directly and through others.
pub(super) struct Closure {
    /// By URI.
    pub schemas: BTreeMap<String, Loaded>,
}

pub(super) struct Loaded {
    pub registered: RegisteredSchema,
    pub value: Value,
    pub draft: jsonschema::Draft,
}

/// Finds everything `root` refers to. Each round the crate walks what is there and asks for what is
/// not; rounds end when it asks for nothing new.
pub(super) fn close(
    root: &Value,
    root_uri: &str,
    root_draft: jsonschema::Draft,
    registered: &dyn Registered,
    parse: impl Fn(&str) -> Result<Value>,
) -> Result<Closure> {
    let mut closure = Closure {
        schemas: BTreeMap::new(),
    };
    loop {
        let wanted = Arc::new(Mutex::new(BTreeSet::new()));
        let notes = Notes(Arc::clone(&wanted));
        let root = root_draft.create_resource(root.clone());
        closure.registry(notes, root_uri, root)?;
        let wanted = std::mem::take(&mut *wanted.lock().unwrap_or_else(PoisonError::into_inner));
        if wanted.is_empty() {
            return Ok(closure);
        }
        for uri in wanted {
            let Some(found) = registered.by_uri(&uri)? else {
                return Err(Kind::UndefinedSchema
                    .error(format!("JSON schema \"{uri}\" does not exist"))
                    .with_detail("A reference leads to a registered JSON schema only.")
                    .with_hint(format!("Use CREATE JSON SCHEMA … URI '{uri}' AS … first.")));
            };
            let value = parse(&found.text)?;
            let draft = Declared::of(&value).settle(found.draft)?;
            let loaded = Loaded {
                registered: found,
                value,
                draft,
            };
            closure.schemas.insert(uri, loaded);
            if closure.schemas.len() > REFERENCES_MAX {
                return Err(Kind::TooLarge.error(format!(
                    "JSON schema refers to more than {REFERENCES_MAX} others"
                )));
            }
        }
    }
}

impl Closure {
    /// The crate's registry of these schemas and `root`.
    pub(super) fn registry(
        &self,
        retriever: impl Retrieve + 'static,
        root_uri: &str,
        root: jsonschema::Resource,
    ) -> Result<Registry<'static>> {
        let mut builder = Registry::new().retriever(retriever);
        for (uri, schema) in &self.schemas {
            let resource = schema.draft.create_resource(schema.value.clone());
            builder = builder.add(uri, resource).map_err(reference_error)?;
        }
        builder = builder.add(root_uri, root).map_err(reference_error)?;
        builder.prepare().map_err(reference_error)
    }
}

/// Writes down what is asked for and answers with a schema that allows everything.
struct Notes(Arc<Mutex<BTreeSet<String>>>);

impl Retrieve for Notes {
    fn retrieve(
        &self,
        uri: &Uri<String>,
    ) -> std::result::Result<Value, Box<dyn std::error::Error + Send + Sync>> {
        let mut wanted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        wanted.insert(uri.as_str().to_owned());
        Ok(Value::Bool(true))
    }
}

/// Answers nothing: what can be referred to is in the registry already.
pub(super) struct Nothing;

impl Retrieve for Nothing {
    fn retrieve(
        &self,
        uri: &Uri<String>,
    ) -> std::result::Result<Value, Box<dyn std::error::Error + Send + Sync>> {
        Err(format!("\"{uri}\" is not registered").into())
    }
}

pub(super) fn reference_error(error: jsonschema::ReferencingError) -> Error {
    Kind::InvalidSchema
        .error("invalid reference in JSON schema")
        .with_detail(error.to_string())
}
