//! SQL over HeliosDB storage: sessions, catalog, planning and execution.

pub mod error;
