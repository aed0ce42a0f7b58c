//! What is remembered of the past, and who asked for it.
//!
//! 1. *Retention* says how long: the database's ([`Options::retention_micros`](crate::Options)), or a table's
//!    own, which is in its definition. What is past it goes with a compaction.
//! 2. *Pins* hold on to it for longer ([`named`]): a point in time with a name, or a *cursor*, which is a
//!    pin that moves with a consumer of changes. A cursor too far behind is invalidated.
//! 3. The *horizons* ([`horizons`]) say how far back the history of each collection goes now. They are in
//!    the manifest, and only rise.
//!
//! What raises them is [`compact`](crate::compact); who is held against them is every
//! [`ReadView`](crate::ReadView) of the past.

pub mod horizons;
pub mod named;
pub mod report;

pub use horizons::Horizons;
pub use named::{NamedPin, PinKind, PinState};
pub use report::{Kept, Remembered};
