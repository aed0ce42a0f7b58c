//! SQL over HeliosDB storage: sessions, catalog, planning and execution.

pub mod catalog;
pub mod error;
pub mod types;

pub use error::{Result, SqlError, SqlState};
