//! Schemas: from text to something that checks documents.
//!
//! [`Draft`] says which rules hold, [`Source`] what is compiled, [`Compiled`] is the result and
//! [`Cache`] keeps results. References leave a schema only through [`Registered`], whose
//! implementor knows the schemas that have names.

mod cache;
mod compile;
mod draft;
mod reference;
mod violation;

#[cfg(test)]
mod tests;

pub use cache::Cache;
pub use compile::{Compiled, DEPTH_MAX, Formats, Source};
pub use draft::{Draft, parse_draft};
pub use reference::{Registered, RegisteredSchema, Unregistered, base_uri, default_uri};
pub use violation::{Violation, Violations};
