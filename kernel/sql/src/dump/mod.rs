//! What SQL lends to dumps: names and definitions, and the statement that streams one.
//!
//! The format and the reading of storage are `heliosdb_dump`'s, which knows no SQL. [`describe`] says in
//! words what the catalog has, [`export`] takes the one view that all of a dump is read from, and
//! [`stream`] runs it on a thread of its own for EXPORT DATABASE.

mod access;
mod branches;
mod describe;
mod export;
mod plugins;
pub(crate) mod stream;
