//! A token bucket of CPU time: what may be used, saved up to a bound and owed without one.
//!
//! (Turner, "New directions in communications (or which way to the information age?)", IEEE
//! Communications 24(10), 1986, where it is a counter that is credited at a rate.) It is paid for after
//! use, since nobody knows before how long a piece of work takes: whoever finds it above zero may begin,
//! and the next one waits until what was used is back. So over any time the use is at most what flowed
//! in, and [`Bucket::saved_max`], and one quantum for each thread.
//!
//! Tokens are hundredths of a microsecond: a percent of one CPU flows in at one a microsecond, and
//! nothing is lost in rounding however often the bucket is looked at.

use super::QUANTUM_MICROS;

/// What flows in while nobody uses it is kept for so long.
const SAVED_MICROS: u64 = 100_000;
/// Tokens of a microsecond of CPU time.
const TOKENS_PER_MICRO: i128 = 100;

/// See the module's header. Times are microseconds of one clock that never goes back.
#[derive(Clone, Copy, Debug)]
pub struct Bucket {
    /// Tokens a microsecond: percent of the machine times its CPUs.
    rate: i128,
    level: i128,
    filled_at: u64,
}

impl Bucket {
    /// A bucket with all that it can save.
    pub fn new(percent: u32, cpus: u32, now: u64) -> Bucket {
        let mut bucket = Bucket {
            rate: i128::from(percent) * i128::from(cpus),
            level: 0,
            filled_at: now,
        };
        bucket.level = bucket.saved_max();
        bucket
    }

    /// Let another rate flow in from now on; what is saved or owed stays.
    pub fn set_percent(&mut self, percent: u32, cpus: u32, now: u64) {
        self.fill(now);
        self.rate = i128::from(percent) * i128::from(cpus);
        self.level = self.level.min(self.saved_max());
    }

    /// A quantum at least, or nobody could begin.
    fn saved_max(&self) -> i128 {
        let quantum = i128::from(QUANTUM_MICROS) * TOKENS_PER_MICRO;
        match self.rate {
            0 => 0,
            rate => (rate * i128::from(SAVED_MICROS)).max(quantum),
        }
    }

    fn fill(&mut self, now: u64) {
        let elapsed = now.saturating_sub(self.filled_at);
        self.filled_at = self.filled_at.max(now);
        let level = self.level + self.rate * i128::from(elapsed);
        self.level = level.min(self.saved_max());
    }

    /// Pay for CPU time that was used.
    pub fn take(&mut self, micros: u64, now: u64) {
        self.fill(now);
        self.level -= i128::from(micros) * TOKENS_PER_MICRO;
    }

    /// Forget what is owed beyond as much as can be saved: it was used with leave.
    pub fn forgive(&mut self) {
        self.level = self.level.max(-self.saved_max());
    }

    /// Microseconds until one may begin, 0 for now; `None` when nothing flows in.
    pub fn wait_micros(&mut self, now: u64) -> Option<u64> {
        self.fill(now);
        if self.level > 0 {
            return Some(0);
        }
        if self.rate == 0 {
            return None;
        }
        let micros = (1 - self.level + self.rate - 1) / self.rate;
        Some(u64::try_from(micros).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_waits_exactly_until_what_was_used_is_back() {
        // Half of one of two CPUs.
        let mut bucket = Bucket::new(25, 2, 1_000);
        assert_eq!(bucket.wait_micros(1_000), Some(0));
        // 50 ms are saved; they and 5 ms more are used at once.
        bucket.take(55_000, 1_000);
        let wait = bucket.wait_micros(1_000).unwrap();
        assert_eq!(wait, 10_001);
        assert_eq!(bucket.wait_micros(1_000 + wait - 1), Some(1));
        assert_eq!(bucket.wait_micros(1_000 + wait), Some(0));
    }

    #[test]
    fn nothing_is_lost_by_looking_often() {
        let (mut often, mut seldom) = (Bucket::new(1, 1, 0), Bucket::new(1, 1, 0));
        often.take(100_000, 0);
        seldom.take(100_000, 0);
        for now in 0..100_000 {
            often.wait_micros(now);
        }
        assert_eq!(often.wait_micros(100_000), seldom.wait_micros(100_000));
    }

    #[test]
    fn without_a_rate_nobody_begins_until_there_is_one() {
        let mut bucket = Bucket::new(0, 8, 0);
        assert_eq!(bucket.wait_micros(u64::MAX / 2), None);
        let mut bucket = Bucket::new(0, 8, 0);
        bucket.set_percent(10, 8, 50);
        assert!(bucket.wait_micros(50).is_some_and(|wait| wait > 0));
        assert_eq!(bucket.wait_micros(60), Some(0));
    }

    #[test]
    fn what_was_used_with_leave_is_forgiven_in_part() {
        let mut bucket = Bucket::new(10, 1, 0);
        bucket.take(60_000_000, 0);
        assert!(bucket.wait_micros(0).unwrap() > 500_000_000);
        bucket.forgive();
        // 10 ms of CPU time are owed, which is what can be saved.
        assert_eq!(bucket.wait_micros(0), Some(100_001));
    }
}
