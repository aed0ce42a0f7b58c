//! Load: a dump's content into an engine that has nothing, with its ids, RowIds and times.
//!
//! It is done in parts, each of which is published by one record of the engine's log:
//!
//! 1. [`load_state`]: the system collections and the stores of plugins, the sequences, the ids. After
//!    it plugins can start, and what decodes and checks the tables is known.
//! 2. [`load_tables`]: rows with their history, and the entries of their indexes, derived from them.
//! 3. [`load_branches`]: the branches, parents first, each with its entries and then its rows.
//!
//! Whatever is loaded is counted and hashed again, and must be what the manifest says. What makes the
//! parts one, for whoever opens the directory meanwhile, is the caller's business.

mod branches;
mod state;
mod tables;

pub use branches::load_branches;
pub use state::load_state;
pub use tables::{LoadStats, load_tables};
