//! The plugin interface of HeliosDB and the kit for writing plugins.

pub mod abi;
pub mod error;
pub mod manifest;
pub mod migration;
pub mod service;

pub use error::{state, Error, Result, SqlState};
pub use manifest::{Manifest, Settings};
