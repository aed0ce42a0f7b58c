//! Plugins: found, checked, loaded, guarded, migrated, and called.
//!
//! A plugin is foreign code with state in our database. This crate stands between the two: the rest
//! of the kernel sees typed handles ([`Registry`]) that cannot be misused, and a plugin sees services
//! that know who asks.
//!
//! * [`boot`] decides what starts, from files that are read and not run ([`file`], [`lockfile`],
//!   [`boot_guard`], [`config`], [`resolve`]).
//! * [`host`] loads and starts it, and says what became of each plugin.
//! * [`active`] calls into started plugins; [`service`] answers their calls, over what the SQL layer
//!   implements ([`services`]).
//! * [`codec`] hands their codecs to storage.
//! * [`index`] keeps the indexes of their methods, and asks them.
//! * [`background`] lets them work while nobody waits, within the CPU budget.
//! * [`state_file`] is how this crate, and others, keep small texts in the data directory.
//! * [`inspect`] lets plugins judge what is in their stores, without starting them.
//! * [`cursors`] are how far plugins have come that follow the changes of tables.
//! * [`store`] and [`migration`] keep a plugin's state and bring it to the version its code has.
//!
//! It knows storage, and neither SQL nor DataFusion.

pub mod active;
pub mod background;
pub mod boot;
pub mod boot_guard;
pub mod check;
pub mod codec;
pub mod config;
pub mod cursors;
pub mod decoders;
pub mod digest;
pub mod file;
pub mod host;
pub mod index;
pub mod inspect;
pub mod lifecycle;
mod load;
pub mod lockfile;
pub mod migration;
pub mod names;
mod nearest;
pub mod registry;
pub mod resolve;
pub mod service;
pub mod services;
pub mod state_file;
pub mod store;

pub use heliosdb_plugin_api::abi::RootRef;
pub use heliosdb_plugin_api::linked;
pub use host::{PluginHost, PluginStatus};
pub use lifecycle::State;
pub use names::NameKind;
pub use nearest::nearest;
pub use registry::Registry;
pub use services::{NoStatement, PluginError, PluginResult, StatementServices};
pub use state_file::StateFileError;
