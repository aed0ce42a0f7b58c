//! Loads, checks, guards and migrates plugins.

pub mod store;
