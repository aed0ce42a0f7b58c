//! HeliosDB's storage engine: write-ahead log, memtable, segments, timelines and locks.
//!
//! It knows rows, keys, timestamps and files. It does not know SQL, names, networks or async: the
//! layers above bring those.

pub mod datum;
pub mod error;
pub mod ids;
pub mod io;
pub mod key;
pub mod row;
pub mod schema;
