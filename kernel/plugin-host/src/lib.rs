//! Loads, checks, guards and migrates plugins.

pub mod boot;
pub mod boot_guard;
pub mod config;
pub mod file;
pub mod lifecycle;
pub mod lockfile;
pub mod migration;
pub mod names;
mod nearest;
pub mod resolve;
mod state_file;
pub mod store;

pub use nearest::nearest;
pub use state_file::StateFileError;
