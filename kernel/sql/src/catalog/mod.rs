//! The catalog: what objects a database has, versioned with its data.
//!
//! [`model`] is the vocabulary, [`snapshot`] one immutable version of the whole. Objects are rows of
//! a storage collection, so that DDL commits, rolls back and is seen exactly as data is.

pub mod model;
pub mod snapshot;

pub use model::{Oid, Relation};
pub use snapshot::{CatalogSnapshot, CatalogVersion};
