//! The plugin interface of HeliosDB, and the kit for writing plugins.
//!
//! A plugin is a crate with a `plugin.toml`, a type that implements [`Plugin`], and one line for each
//! way of linking it:
//!
//! ```ignore
//! heliosdb_plugin_api::plugin!(MyPlugin);                  // in the library: static
//! heliosdb_plugin_api::export_plugin!(my_plugin::MyPlugin); // in dyn/, a cdylib: a file
//! ```
//!
//! Authors see safe Rust and Arrow arrays: [`extension`] has a trait per extension point, [`service`]
//! what the host lends. What crosses between two separately built binaries is in [`abi`]; it is the
//! only use of abi_stable in the project. This crate knows nothing of the kernel.

pub mod abi;
mod arguments;
pub mod arrow;
mod context;
pub mod error;
pub mod extension;
pub mod guard;
pub mod manifest;
pub mod migration;
mod plugin;
pub mod service;

pub use arguments::{Argument, Arguments};
pub use context::Context;
pub use error::{state, Error, Result, SqlState};
pub use extension::clause::{Clause, ClauseAction, ClauseTarget};
pub use extension::codec::{Codec, Comparison};
pub use extension::command::{Command, CommandOutcome};
pub use extension::constraint::{Constraint, ConstraintDefinition, Violation};
pub use extension::event::CatalogEvent;
pub use extension::function::{
    rows, Accumulator, AggregateFunction, ScalarFunction, TableCursor, TableFunction,
};
pub use extension::index::{Index, IndexBuild, IndexCursor, IndexDefinition};
pub use extension::observer::Observer;
pub use extension::types::Type;
pub use extension::worker::{Turn, Worker};
pub use manifest::{Manifest, Settings};
pub use migration::{Entry, Fixture, Migrations, Step};
pub use plugin::{linked, root, Plugin, Registrar, StaticPlugin};
pub use service::Host;

#[doc(hidden)]
pub use inventory;
