//! Loads, checks, guards and migrates plugins.

pub mod migration;
pub mod store;
