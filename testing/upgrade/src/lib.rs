//! Moves databases from Lite to Full and compares what arrives with what left.
//!
//! A seed stands for a database ([`generate`]): random schemas with every type and constraint, and a
//! history of changes. It is exported, imported and verified, and then compared without the digests
//! that the import itself verifies by:
//!
//! 1. Both sides answer the same questions alike, value by value, bit by bit ([`ask`]).
//! 2. At moments of its life the stored collections read alike ([`past`]).
//! 3. Both do the same from then on: what is refused, what is accepted, which number is next
//!    ([`probe`]).
//! 4. After one change in Full, the verification finds it and nothing else.
//!
//! The tests also stop imports wherever they can be stopped, and damage dumps wherever they can be
//! damaged. `cargo run --release -p heliosdb-upgrade -- --databases 2000` runs many seeds.

pub mod ask;
pub mod damage;
pub mod edition;
pub mod generate;
pub mod journey;
pub mod past;
pub mod plant;
pub mod probe;
mod sql;
pub mod transfer;

use journey::Totals;

/// `Err` says what is wrong.
pub type Result<T, E = String> = std::result::Result<T, E>;

/// An error as the text that a report shows.
pub fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// Everything that one seed stands for, in a directory that goes afterwards.
///
/// # Errors
///
/// Something differs, or fails.
pub fn run(seed: u64) -> Result<Totals> {
    let directory = tempfile::tempdir().map_err(text)?;
    journey::journey(seed, directory.path())
}
