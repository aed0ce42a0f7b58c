//! What SQL lends to dumps: names and definitions.
//!
//! The format and the reading of storage are `heliosdb_dump`'s, which knows no SQL. [`describe`] says in
//! words what the catalog has.

mod describe;
mod plugins;
