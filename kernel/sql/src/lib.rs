//! SQL over HeliosDB storage: sessions, catalog, planning and execution.
//!
//! [`Instance`] is an open database, [`Session`] one client's conversation with it. A statement goes
//! `session` (parse, transaction) → `plan` (names, DataFusion) or `ddl`/`dml`/`transfer` → storage.
//! This is the only crate that names DataFusion.

pub mod error;
pub mod instance;
pub mod session;

mod activity;
mod authors;
mod branch;
pub mod catalog;
mod ddl;
mod dml;
mod dump;
mod monitor;
mod plan;
mod plugin;
mod privilege;
mod routine;
mod transfer;

pub mod copy;
pub mod edition;
pub mod functions;
#[doc(hidden)]
pub mod fuzzing;
pub mod information_schema;
pub mod names;
mod notify;
pub mod pg_catalog;
mod place;
pub mod provenance;
pub mod role;
pub mod semantics;
pub mod subplan;
pub mod types;

pub use activity::ClientAddress;
pub use error::{Result, SqlError, SqlState};
pub use instance::{HbaFileRule, Instance, InstanceOptions};
pub use monitor::log::TARGET as STATEMENT_LOG;
pub use monitor::metrics::Metrics;
pub use notify::Notification;
pub use plan::computed::IndexExpressions;
pub use plugin::names::is_builtin;
pub use role::ScramSecret;
pub use session::cursor::LentRows;
pub use session::fetch::Closed;
pub use session::outcome::{
    CommandTag, CopyFormat, Notice, Outcome, ResultColumn, Rows, TransactionStatus, Value,
};
pub use session::prepared::Prepared;
pub use session::statement::Statement;
pub use session::timeout::CancelHandle;
pub use session::{Session, SessionOptions};
pub use transfer::{CopyChunk, CopyOut};
