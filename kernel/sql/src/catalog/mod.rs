//! The catalog: what objects a database has, versioned with its data.
//!
//! [`model`] is the vocabulary and [`access`] that of privileges, [`snapshot`] one immutable version of the
//! whole, `store` its rows in
//! a storage collection, `meta` what execution derives from a table, [`user_type`] what types users made and
//! [`routine`] what functions, `watch` tells cheaply that nothing has changed. Because objects are stored as
//! data is, DDL commits, rolls back and is seen exactly as data is.

pub mod access;
pub mod bootstrap;
pub mod check;
pub(crate) mod meta;
pub mod model;
pub mod routine;
pub mod snapshot;
pub(crate) mod store;
pub mod user_type;
pub(crate) mod watch;

pub use model::{Oid, Relation};
pub use snapshot::{CatalogSnapshot, CatalogVersion};
pub use store::{check_entry, is_object};
