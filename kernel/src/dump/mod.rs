//! Dumps: a database's whole content as one file, moved into a fresh directory and compared with it.
//!
//! The format and what is in it are `heliosdb_dump`'s; names and definitions come from
//! `heliosdb_sql`. Here stands what has to know a directory, settings and plugins at once.

#[allow(dead_code, reason = "the import that writes it comes next")]
pub(crate) mod marker;
