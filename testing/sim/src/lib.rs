//! A machine that fails on purpose: a simulated disk, clock and source of randomness for
//! `heliosdb-storage`, all from one seed, and the torture that runs the engine on it.
//!
//! [`SimDisk`] promises what [`heliosdb_storage::io`] says an implementation promises, and breaks
//! everything else whenever it may: unsynced data and names are lost, reordered or torn by a crash,
//! calls fail, stored bits flip. It knows nothing of the engine's formats.

pub mod cases;
mod crash;
mod damage;
mod disk;
mod file;
pub mod golden;
mod names;
pub mod quorum;
pub mod rng;
pub mod torture;

pub use crash::{CrashModel, Image};
pub use damage::Damage;
pub use disk::{Call, Fault, SimDisk};

#[cfg(test)]
mod tests;
