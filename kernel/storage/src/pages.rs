//! Which pages of segments a thread asked for: what a statement cost, for whoever asks.
//!
//! Every reader counts into the thread that it runs on ([`note`]), because it has nothing else at hand and a read
//! never changes threads. Who wants to know what some work asked for takes it [`apart`], and with that out of the
//! thread's count: so work inside of work is counted once, by the innermost that wants to know.

use std::cell::Cell;
use std::ops::{Add, Sub};

/// Pages that were in the page cache, and pages that had to be read from their file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pages {
    pub hit: u64,
    pub read: u64,
}

impl Pages {
    pub fn is_none(self) -> bool {
        self == Pages::default()
    }
}

impl Add for Pages {
    type Output = Pages;

    fn add(self, other: Pages) -> Pages {
        Pages {
            hit: self.hit + other.hit,
            read: self.read + other.read,
        }
    }
}

impl Sub for Pages {
    type Output = Pages;

    /// What came since; counters only grow.
    fn sub(self, before: Pages) -> Pages {
        Pages {
            hit: self.hit.saturating_sub(before.hit),
            read: self.read.saturating_sub(before.read),
        }
    }
}

thread_local! {
    static HERE: Cell<Pages> = const { Cell::new(Pages { hit: 0, read: 0 }) };
}

/// A page was asked for.
pub(crate) fn note(hit: bool) {
    HERE.with(|here| {
        let mut pages = here.get();
        match hit {
            true => pages.hit += 1,
            false => pages.read += 1,
        }
        here.set(pages);
    });
}

/// Does the work; what it asked for, on this thread, is in what is returned and nowhere else.
pub fn apart<T>(work: impl FnOnce() -> T) -> (T, Pages) {
    let before = HERE.with(Cell::get);
    let done = work();
    let after = HERE.with(|here| here.replace(before));
    (done, after - before)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_innermost_counts_and_nobody_else() {
        let (inner, outer) = apart(|| {
            note(true);
            let ((), inner) = apart(|| {
                note(false);
                note(true);
            });
            note(false);
            note(false);
            inner
        });
        assert_eq!(inner, Pages { hit: 1, read: 1 });
        assert_eq!(outer, Pages { hit: 1, read: 2 });
        assert!(apart(|| ()).1.is_none());
    }
}
