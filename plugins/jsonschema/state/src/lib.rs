//! The format of the store `schemas` of the plugin jsonschema: how named schemas are kept, in every
//! version that shipped. It is a crate of its own so that a plugin that adopts the store reads it
//! with the code that wrote it.
//!
//! Version 1 kept the text under its name. What a schema's URI is, was found out on every use by
//! reading all schemas.
//!
//! ```text
//! version 1   oid u32 BE, schema name, 0, name        → text of the schema
//! version 2   1, oid u32 BE                           → JSON {"uri", "draft"?, "text"}
//!             2, URI, 0, oid u32 BE                   → nothing
//! ```
//!
//! Version 2 finds a schema by its URI ([`v2::uri_range`]) and knows what the statement said of the
//! draft. The name is the catalog's alone, so renaming a schema does not touch its state. URIs of new
//! schemas are unique; of schemas that came from version 1 with one URI, the oldest has it.
//!
//! A version that shipped never changes. The texts beside `src/` hold entries of each as they were
//! written then ([`golden`]), and tests read them with today's code.
//!
//! Nothing here knows what a text means: whether it is a schema, and the step from version 1 to 2,
//! which needs to know, are the plugin's.

mod draft;
pub mod golden;
pub mod v1;
pub mod v2;

pub use draft::Draft;

use heliosdb_plugin_api::{Error, state};

/// The plugin whose store it is.
pub const PLUGIN: &str = "jsonschema";
/// What the catalog calls a named schema; the oids in keys are those of such objects.
pub const CLASS: &str = "JSON schema";
/// Name of the store.
pub const STORE: &str = "schemas";
/// The version that is written.
pub const VERSION: u32 = 2;

fn damaged(message: &str, detail: impl Into<String>) -> Error {
    Error::new(state::DATA_CORRUPTED, message).with_detail(detail)
}
