//! The atomics by which threads of the engine tell each other of what they did.
//!
//! They are std's. In the build that `testing/models` runs, in which a scheduler decides who goes on at each
//! lock, it decides so at each of these, too. Counters and whatever else orders nothing stay with std.

#[cfg(feature = "interleaved")]
pub use parking_lot::{atomic, yield_now};
#[cfg(not(feature = "interleaved"))]
pub use std::{sync::atomic, thread::yield_now};
