//! Compiling a schema once, and checking documents with it.

use heliosdb_jsonschema_state::v2::Record;
use jsonschema::error::ValidationErrorKind;
use jsonschema::{PatternOptions, ValidationError, Validator};
use serde_json::Value;

use super::draft::{self, Declared, Draft};
use super::reference::{self, Nothing, Registered, RegisteredSchema};
use super::violation::{Violations, shortened};
use crate::document::{Document, Parser, Text};
use crate::error::{Error, Kind, Result};
use crate::stack;

/// Nesting a schema may have. `serde_json` stops at 127.
pub const DEPTH_MAX: usize = 120;

/// Bytes of text a schema may have, and objects, those it refers to included.
const TEXT_MAX: usize = 16 << 20;
const OBJECTS_MAX: usize = 100_000;

/// Bytes a compiled pattern may take.
const PATTERN_SIZE_MAX: usize = 16 << 20;

/// Content encodings that the crate checks.
const CONTENT_ENCODINGS: [&str; 5] = ["base64", "base64url", "base32", "base32hex", "base16"];

/// Stack that an object of a schema takes while what is inside of it is checked. Measured on chains of
/// references and on nested applicators: 150 to 500 bytes, without optimization.
const FRAME: usize = 1 << 10;

/// Stack for compiling a schema and for dropping it: nesting is at most [`DEPTH_MAX`], times the
/// references the crate compiles on the stack (8).
const COMPILE_STACK: usize = 64 << 20;

/// A schema to be compiled.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    pub text: &'a str,
    /// What a statement says of the draft.
    pub draft: Option<Draft>,
    /// The schema's URI, if it is registered; what its references are relative to.
    pub uri: Option<&'a str>,
}

impl<'a> Source<'a> {
    /// A schema without a name.
    pub fn anonymous(text: &'a str) -> Source<'a> {
        Source {
            text,
            draft: None,
            uri: None,
        }
    }

    /// A schema with a name.
    pub fn named(record: &'a Record) -> Source<'a> {
        Source {
            text: &record.text,
            draft: record.draft,
            uri: Some(&record.uri),
        }
    }

    /// The value and what its `$schema` and `asked` make of its draft; refuses what is no JSON and
    /// what is neither an object nor a boolean.
    pub fn read(self) -> Result<(Value, jsonschema::Draft)> {
        let value = parse(self.text)?;
        let draft = Declared::of(&value).settle(self.draft)?;
        Ok((value, draft))
    }

    /// The URI of a schema that is about to be registered, see [`reference::base_uri`].
    pub fn settle_uri(self, asked: Option<&str>, fallback: &str) -> Result<String> {
        let (value, draft) = self.read()?;
        reference::base_uri(&value, draft::from_crate(draft), asked, fallback)
    }
}

/// What `format` and the `content…` keywords are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Formats {
    /// They say what a value is meant to be; nothing is checked, unless the schema's own meta-schema
    /// asks for it by vocabulary. The default of the newer drafts, here of all.
    #[default]
    Annotate,
    /// They say what a value must be.
    Assert,
}

/// A schema that can check documents. Immutable, and independent of what it was compiled from.
pub struct Compiled {
    /// Always there; an option so that dropping can happen on a larger stack.
    validator: Option<Validator<Text>>,
    draft: Draft,
    references: Vec<(String, RegisteredSchema)>,
    /// Stack that one value may take, see [`stack`].
    reserve: usize,
}

impl Compiled {
    pub fn new(source: Source<'_>, registered: &dyn Registered) -> Result<Compiled> {
        Compiled::with_formats(source, registered, Formats::default())
    }

    pub fn with_formats(
        source: Source<'_>,
        registered: &dyn Registered,
        formats: Formats,
    ) -> Result<Compiled> {
        stack::roomy(COMPILE_STACK, || compile(source, registered, formats))
    }

    /// The draft whose rules hold; for a meta-schema of somebody's own, the draft that one is
    /// written in.
    pub fn draft(&self) -> Draft {
        self.draft
    }

    /// The registered schemas this one refers to, directly or through others, as they were.
    pub fn references(&self) -> &[(String, RegisteredSchema)] {
        &self.references
    }

    /// Whether what it refers to is still what it was compiled with.
    pub fn is_current(&self, registered: &dyn Registered) -> Result<bool> {
        for (uri, schema) in &self.references {
            if registered.by_uri(uri)?.as_ref() != Some(schema) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    pub fn matches(&self, document: &Document<'_>) -> Result<bool> {
        let validator = self.validator();
        stack::run(self.reserve, || validator.is_valid(document.root()))
    }

    /// What is wrong with a document; at most `max` violations are described.
    pub fn violations(&self, document: &Document<'_>, max: usize) -> Result<Violations> {
        let validator = self.validator();
        stack::run(self.reserve, || {
            if validator.is_valid(document.root()) {
                return Violations::default();
            }
            Violations::collect(validator.iter_errors(document.root()), document, max)
        })
    }

    fn validator(&self) -> &Validator<Text> {
        self.validator
            .as_ref()
            .expect("a validator is there until it is dropped")
    }
}

impl Drop for Compiled {
    fn drop(&mut self) {
        let validator = self.validator.take();
        stack::roomy(COMPILE_STACK, || drop(validator));
    }
}

impl std::fmt::Debug for Compiled {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Compiled")
            .field("draft", &self.draft)
            .field("references", &self.references)
            .finish_non_exhaustive()
    }
}

fn compile(source: Source<'_>, registered: &dyn Registered, formats: Formats) -> Result<Compiled> {
    let (value, draft) = source.read()?;
    let base = match source.uri {
        Some(uri) => uri.to_owned(),
        None => reference::base_uri(
            &value,
            draft::from_crate(draft),
            None,
            reference::anonymous_base(),
        )?,
    };
    let closure = reference::close(&value, &base, draft, registered, parse)?;
    let objects = closure.schemas.values().map(|s| count_objects(&s.value));
    let objects = count_objects(&value) + objects.sum::<usize>();
    if objects > OBJECTS_MAX {
        return Err(
            Kind::TooLarge.error(format!("JSON schema has more than {OBJECTS_MAX} objects"))
        );
    }
    // The root is among them because others may refer back to it.
    let registry = closure.registry(Nothing, &base, draft.create_resource(value.clone()))?;
    let mut options = jsonschema::options_for::<Text>()
        .with_registry(&registry)
        .with_retriever(Nothing)
        .with_base_uri(base)
        .with_pattern_options(PatternOptions::regex().size_limit(PATTERN_SIZE_MAX));
    match formats {
        Formats::Assert => options = options.should_validate_formats(true),
        Formats::Annotate => {
            // The newer drafts have vocabularies that ask for it, which an option would overrule.
            if draft < jsonschema::Draft::Draft201909 {
                options = options.should_validate_formats(false);
            }
            options = options.without_content_media_type_support("application/json");
            for encoding in CONTENT_ENCODINGS {
                options = options.without_content_encoding_support(encoding);
            }
        }
    }
    if draft != jsonschema::Draft::Unknown {
        options = options.with_draft(draft);
    }
    let validator = options.build(&value).map_err(|error| invalid(&error))?;
    let references = closure.schemas.into_iter();
    Ok(Compiled {
        draft: draft::from_crate(validator.draft()),
        validator: Some(validator),
        references: references.map(|(uri, s)| (uri, s.registered)).collect(),
        reserve: objects * FRAME + (16 << 10),
    })
}

/// A schema text as a value.
fn parse(text: &str) -> Result<Value> {
    if text.len() > TEXT_MAX {
        return Err(Kind::TooLarge.error(format!("JSON schema is longer than {TEXT_MAX} bytes")));
    }
    // Checked here for its own messages, and for nesting.
    Parser::new().parse(text, DEPTH_MAX)?;
    let mut value: Value = serde_json::from_str(text).map_err(|error| {
        Kind::InvalidSchema
            .error("JSON schema cannot be represented")
            .with_detail(error.to_string())
    })?;
    reference::encode_references(&mut value);
    match value {
        Value::Object(_) | Value::Bool(_) => Ok(value),
        _ => Err(Kind::InvalidSchema.error("JSON schema must be an object or a boolean")),
    }
}

fn count_objects(value: &Value) -> usize {
    match value {
        Value::Object(members) => 1 + members.values().map(count_objects).sum::<usize>(),
        Value::Array(elements) => elements.iter().map(count_objects).sum(),
        // `true` and `false` are schemas too.
        Value::Bool(_) => 1,
        _ => 0,
    }
}

/// Why the crate refuses a schema.
fn invalid(error: &ValidationError<'_>) -> Error {
    let place = match error.instance_path().as_str() {
        "" => "its top level".to_owned(),
        pointer => format!("\"{pointer}\""),
    };
    match error.kind() {
        ValidationErrorKind::Format { format } if format == "regex" => {
            let pattern = error.instance().as_str().unwrap_or_default().to_owned();
            invalid_pattern(&pattern, &place)
        }
        ValidationErrorKind::Referencing(error) => Kind::InvalidSchema
            .error("invalid reference in JSON schema")
            .with_detail(error.to_string()),
        kind => Kind::InvalidSchema
            .error("invalid JSON schema")
            .with_detail(format!(
                "At {place}: {} ({}).",
                shortened(&error.to_string()),
                kind.keyword()
            )),
    }
}

/// Look-around and back-references cannot be done in linear time, so they are not done at all.
fn invalid_pattern(pattern: &str, place: &str) -> Error {
    let looks = ["(?=", "(?!", "(?<=", "(?<!"];
    let refers = pattern
        .as_bytes()
        .windows(2)
        .any(|pair| pair[0] == b'\\' && (matches!(pair[1], b'1'..=b'9') || pair[1] == b'k'));
    let shown = shortened(pattern);
    if refers || looks.iter().any(|look| pattern.contains(look)) {
        return Kind::Unsupported.error(format!("pattern \"{shown}\" is not supported"),
        )
        .with_detail(format!("It stands at {place} of the JSON schema."))
        .with_hint("Look-around and back-references are not supported: patterns are matched in linear time.");
    }
    Kind::InvalidSchema
        .error(format!("invalid pattern \"{shown}\" in JSON schema"))
        .with_detail(format!(
        "It stands at {place} of the JSON schema, and is no regular expression or too large a one."
    ))
}
