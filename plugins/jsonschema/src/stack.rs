//! Bounds on what checking a document may take: stack, and time after a cancel.
//!
//! The validator recurses: as deep as schemas are nested, and with a schema that refers to itself
//! as deep as the document is. Neither knows the other, and the validator counts nothing. So:
//!
//! 1. [`run`] notes the lowest address the stack may reach, its *floor*, and leaves `reserve` bytes
//!    below it.
//! 2. The validator asks a value for its identity whenever it follows a reference that can recur;
//!    [`check`] is called there and unwinds to [`run`] when the floor is passed. Between two such
//!    places the validator goes through each schema at most once, which is what `reserve` is for.
//! 3. [`run`] first works on the stack it is on. If that is not enough it starts again on one of
//!    [`GROWN`] bytes over the reserve, and gives an error if that is not enough either.
//!
//! Time is not bounded, since some schemas ask for much of it (each nested `unevaluatedItems`
//! triples it). But whatever the validator does it looks at values, and [`Watch`] counts that: now and then
//! it asks whether the statement was canceled, and unwinds in the same way.
//!
//! Unwinding is by `resume_unwind`: no panic is raised and no panic hook runs.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use crate::error::{Kind, Result};

/// What recursion over a document may use before it is refused.
const GROWN: usize = 16 << 20;

/// Of the thread's own stack, what at least must be left for a try there.
const WORTH_TRYING: usize = 64 << 10;

/// Looks at values between two questions whether to go on: under a millisecond.
const LOOKS: u32 = 1 << 14;

thread_local! {
    /// Zero: no floor, nothing is checked.
    static FLOOR: Cell<usize> = const { Cell::new(0) };
}

/// Why work was left: what [`check`] and [`Watch::look`] unwind with.
#[derive(Clone, Copy)]
enum Left {
    NoStack,
    Canceled,
}

/// Puts the floor back, however the work ends.
struct Restore(usize);

impl Drop for Restore {
    fn drop(&mut self) {
        FLOOR.set(self.0);
    }
}

/// Runs `work`, which may be run a second time from the start, with `reserve` bytes of stack below
/// the point where [`check`] gives up.
pub fn run<T>(reserve: usize, mut work: impl FnMut() -> T) -> Result<T> {
    let room = stacker::remaining_stack().unwrap_or(0);
    let mut outcome = Err(Left::NoStack);
    if room > reserve + WORTH_TRYING {
        outcome = above_floor(room - reserve, &mut work);
    }
    if let Err(Left::NoStack) = outcome {
        outcome = stacker::grow(reserve + GROWN, || above_floor(GROWN, &mut work));
    }
    outcome.map_err(|left| match left {
        Left::NoStack => Kind::TooDeep
            .error("stack depth limit exceeded")
            .with_detail("The JSON schema refers to itself too deeply for this document."),
        Left::Canceled => Kind::Canceled.error("canceling statement due to user request"),
    })
}

/// Runs `work` once on a stack of its own size; for work that does not call [`check`] and whose
/// recursion is bounded by its input.
pub fn roomy<T>(bytes: usize, work: impl FnOnce() -> T) -> T {
    stacker::maybe_grow(bytes, bytes, work)
}

fn above_floor<T>(room: usize, work: &mut impl FnMut() -> T) -> std::result::Result<T, Left> {
    let floor = address().saturating_sub(room).max(1);
    let _restore = Restore(FLOOR.replace(floor));
    catch_unwind(AssertUnwindSafe(work)).map_err(|payload| match payload.downcast::<Left>() {
        Ok(left) => *left,
        Err(payload) => resume_unwind(payload),
    })
}

/// Unwinds to [`run`] if the stack is past the floor. Without a [`run`] it does nothing.
pub fn check() {
    if address() < FLOOR.get() {
        resume_unwind(Box::new(Left::NoStack));
    }
}

/// About where the stack ends now. It grows downwards on every target there is.
#[inline(never)]
fn address() -> usize {
    let here = 0_u8;
    std::hint::black_box(&raw const here) as usize
}

/// Asks from time to time whether to go on.
pub struct Watch<'a> {
    looks: Cell<u32>,
    canceled: &'a dyn Fn() -> bool,
}

impl<'a> Watch<'a> {
    pub fn new(canceled: &'a dyn Fn() -> bool) -> Watch<'a> {
        Watch {
            looks: Cell::new(0),
            canceled,
        }
    }

    /// Counts a look at a value. Unwinds to [`run`] if the statement was canceled; looks outside of
    /// one do not ask.
    pub fn look(&self) {
        let looks = self.looks.get().wrapping_add(1);
        self.looks.set(looks);
        if looks.is_multiple_of(LOOKS) && FLOOR.get() != 0 && (self.canceled)() {
            resume_unwind(Box::new(Left::Canceled));
        }
    }
}

impl std::fmt::Debug for Watch<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watch").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dive(levels: usize) -> usize {
        check();
        let pad = std::hint::black_box([0_u8; 512]);
        match levels {
            0 => pad[0] as usize,
            _ => 1 + dive(levels - 1) + pad[1] as usize,
        }
    }

    #[test]
    fn shallow_work_runs_where_it_is() {
        assert_eq!(run(64 << 10, || dive(10)), Ok(10));
    }

    #[test]
    fn deeper_work_gets_a_larger_stack() {
        let deep = std::thread::Builder::new().stack_size(256 << 10);
        let result = deep.spawn(|| run(64 << 10, || dive(5_000)));
        let result = result.expect("a thread starts").join();
        assert_eq!(result.expect("no overflow"), Ok(5_000));
    }

    #[test]
    fn work_without_end_is_an_error() {
        let error = run(64 << 10, || dive(usize::MAX)).expect_err("refused");
        assert_eq!(error.sqlstate, Kind::TooDeep.state());
        assert_eq!(FLOOR.get(), 0, "the floor is gone");
    }

    #[test]
    fn other_panics_pass_through() {
        let caught = catch_unwind(|| run(64 << 10, || resume_unwind(Box::new(7_u8))));
        let payload = caught.expect_err("passed on");
        assert_eq!(payload.downcast_ref::<u8>(), Some(&7));
    }
}
