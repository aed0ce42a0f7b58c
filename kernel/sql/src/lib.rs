//! SQL over HeliosDB storage: sessions, catalog, planning and execution.

pub mod catalog;
pub mod copy;
pub mod error;
pub mod functions;
pub mod information_schema;
pub mod pg_catalog;
pub mod semantics;
pub mod subplan;
pub mod types;

pub use error::{Result, SqlError, SqlState};
