//! Whether the wall clock can be trusted to say what is past its time.
//!
//! History that has gone does not come back, so a clock that was set wrong for a minute must not take
//! it. The wall clock is held against the monotonic one, which nobody sets: when they disagree by more
//! than a minute, nothing expires any more until somebody says that the time is right, or the database
//! is opened again. Slewing moves both alike. What happened to the clock while the database was closed
//! is not known here.

use crate::io::Io;

/// How far the clocks may move apart between two looks at them.
const APART_MICROS_MAX: u64 = 60_000_000;

/// See the module's header.
#[derive(Debug)]
pub struct Clock {
    wall: u64,
    monotonic: u64,
    jumped: bool,
}

impl Clock {
    /// Trust the clock as it is.
    pub fn new(io: &dyn Io) -> Clock {
        Clock {
            wall: io.now_micros(),
            monotonic: io.monotonic_micros(),
            jumped: false,
        }
    }

    /// The time, unless the clock has jumped.
    pub fn now(&mut self, io: &dyn Io) -> Option<u64> {
        let (wall, monotonic) = (io.now_micros(), io.monotonic_micros());
        let expected = self
            .wall
            .saturating_add(monotonic.saturating_sub(self.monotonic));
        if wall.abs_diff(expected) > APART_MICROS_MAX && !self.jumped {
            self.jumped = true;
            let apart = wall as i128 - expected as i128;
            tracing::warn!("the clock jumped by {apart} microseconds: no history expires");
        }
        (self.wall, self.monotonic) = (wall, monotonic);
        (!self.jumped).then_some(wall)
    }

    pub fn has_jumped(&self) -> bool {
        self.jumped
    }
}
