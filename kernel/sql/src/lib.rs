//! SQL over HeliosDB storage: sessions, catalog, planning and execution.

pub mod catalog;
pub mod error;

pub use error::{Result, SqlError, SqlState};
