//! The store `schemas`: how named schemas are kept, in every version that shipped.
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
//! A version that shipped never changes. `state/` beside the sources holds entries of each as they
//! were written then, and tests read them with today's code.

pub mod golden;
pub mod step;
pub mod v1;
pub mod v2;

/// Name of the store.
pub const STORE: &str = "schemas";
/// The version this code reads and writes.
pub const VERSION: u32 = 2;
