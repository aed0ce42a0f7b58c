//! Models of the engine's two subtle places, which run the engine itself.
//!
//! * [`publishing`]: a memtable becomes a segment while its rows are superseded, on its timeline and on
//!   branches; and while somebody reads, branches off, commits private runs, or the power goes.
//! * [`merging`]: segments are merged and history goes, beside those who read old times, branch off at them,
//!   flush, or lose power.
//!
//! A *schedule* is one order in which a few threads go on. What is run is `heliosdb-storage` on the simulated
//! disk, both built a second time (`storage/`, `sim/`) with locks and atomics of [shuttle] in the place of
//! parking_lot's and std's (`locks/`): at each of them, and so at each call of the disk, the scheduler says
//! who goes on. There is no second description of the engine that could be right where the engine is wrong.
//!
//! What every schedule has to keep, of which the places say more:
//!
//! 1. *Always*: whatever a view at a time shows, by any road ([`roads`]), is what the rule of visibility makes
//!    of all commits ([`history`]). So no version is lost, or there twice, for any reader, and what scans
//!    leave out by their bitmaps of kills is what the rule kills.
//! 2. *Always*: who is told of a commit, and then looks, sees it.
//! 3. *Always*: a crash at any step comes back with all that was acknowledged, with whole commits in their
//!    order, and with no file that nothing names ([`machine`]).
//! 4. *Always*: nobody waits for ever, and nothing panics.
//! 5. *Sometimes*: the interleavings that a place is about do happen; each place has a list of them, and a
//!    run that misses one has failed.
//!
//! What it is not: schedules are drawn, not enumerated, by seeds that say all (`explore`). Atomics are
//! sequentially consistent here; what weaker orderings allow, this does not see. Background threads are
//! the model's: the engine finds none on the simulated disk, and the model calls what they call.
//!
//! [shuttle]: https://docs.rs/shuttle

pub mod merging;
pub mod publishing;

pub mod explore;
pub mod machine;
pub mod writer;

pub mod history;
pub mod roads;
