//! The write-ahead log.
//!
//! ```text
//! wal/0000000000000000.wal           wal/0000000004000000.wal
//! ┌──────────┬───────┬───────┬─────┐ ┌──────────┬───────┬────────────────┐
//! │ manifest │ batch │ batch │  …  │ │ manifest │ batch │ zeros          │
//! └──────────┴───────┴───────┴─────┘ └──────────┴───────┴────────────────┘
//!  each batch on a 4 KiB boundary;    ▲ a record may go on behind it
//!  records run through the batches ───┘
//! ```
//!
//! What the log promises:
//!
//! 1. A commit whose ticket was waited for survives any crash.
//! 2. A transaction is one record: after a crash it is there as a whole or not at all.
//! 3. Records are in commit order; timestamps rise strictly.
//! 4. A block that holds acknowledged data is never rewritten. (Recovery writes batches that nothing
//!    proves to be synced once more, with the same bytes in the same place, because a sync that
//!    failed in an earlier run may have left them in memory only. Writing the same bytes cannot tear.)
//! 5. A full disk refuses who would write, and does not stop the log: what is queued has its place in
//!    files that are there ([`room`]).
//! 6. Damage to synced data is reported, never taken for the end of the log.

pub(crate) mod batch;
pub(crate) mod file;
pub(crate) mod log;
pub(crate) mod reader;
pub(crate) mod record;
pub(crate) mod room;
pub mod sink;
pub(crate) mod writer;
