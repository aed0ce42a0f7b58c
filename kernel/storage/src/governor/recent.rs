//! How much was used lately: a sum over the last full seconds.

use super::RECENT_MICROS;

const SECOND_MICROS: u64 = 1_000_000;
/// The present one, too, which is not over.
const SECONDS: usize = (RECENT_MICROS / SECOND_MICROS) as usize + 1;

/// Microseconds used in each of the last seconds, the present one included.
#[derive(Clone, Copy, Debug, Default)]
pub struct Recent {
    seconds: [u64; SECONDS],
    /// The newest second.
    last: u64,
}

impl Recent {
    /// Forget the seconds that are over.
    fn go_to(&mut self, now: u64) {
        let second = now / SECOND_MICROS;
        let passed = second.saturating_sub(self.last).min(SECONDS as u64);
        for back in 0..passed {
            self.seconds[((second - back) % SECONDS as u64) as usize] = 0;
        }
        self.last = self.last.max(second);
    }

    pub fn add(&mut self, micros: u64, now: u64) {
        self.go_to(now);
        self.seconds[(self.last % SECONDS as u64) as usize] += micros;
    }

    pub fn sum(&mut self, now: u64) -> u64 {
        self.go_to(now);
        let present = self.seconds[(self.last % SECONDS as u64) as usize];
        self.seconds.iter().sum::<u64>() - present
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_older_than_ten_seconds_is_forgotten() {
        let mut recent = Recent::default();
        for second in 0..25 {
            recent.add(7, second * SECOND_MICROS + 3);
        }
        assert_eq!(recent.sum(24 * SECOND_MICROS + 4), 70);
        assert_eq!(recent.sum(30 * SECOND_MICROS), 35);
        assert_eq!(recent.sum(34 * SECOND_MICROS), 7);
        assert_eq!(recent.sum(35 * SECOND_MICROS), 0);
        // What comes late counts where it comes.
        recent.add(5, 1);
        assert_eq!(recent.sum(36 * SECOND_MICROS), 5);
    }
}
