//! JSON Schema as a plugin: schemas as objects of the database, checked where rows are written.
//!
//! Two halves. The core knows no SQL: a JSON text ([`document`]) is checked against a schema
//! ([`schema`]) and gives violations. Over it is the plugin ([`JsonSchema`]): functions, a clause, a
//! constraint and the statements about named schemas. The form in which these are kept is the crate
//! `heliosdb-jsonschema-state`; the step between its versions is here.
//!
//! What the core promises, whatever the schema and the document:
//!
//! 1. Nothing is read from a network or a file. A reference leads to a registered schema, to a
//!    meta-schema of a draft, or to an error.
//! 2. Matching a pattern takes time linear in the text. Patterns that need more are refused when
//!    the schema is compiled.
//! 3. The stack does not overflow: recursion is bounded ([`stack`]) and gives an error.
//! 4. Numbers of documents keep their digits: `1e400`, `9007199254740993` and `1.0` are what they
//!    say. Numbers of schemas are 64-bit integers or doubles.

pub mod document;
pub mod error;
mod plugin;
pub mod schema;
pub mod stack;
mod step;

pub use plugin::JsonSchema;
