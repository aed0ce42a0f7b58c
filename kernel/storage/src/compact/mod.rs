//! Compaction: what becomes of segments after their flush, and of history after its time.

mod pins;

pub use pins::{Pin, Pins};
