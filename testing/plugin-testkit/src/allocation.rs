//! Counts what a thread allocates, to catch a plugin that believes a length in damaged bytes.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    static LARGEST: Cell<usize> = const { Cell::new(0) };
}

/// The system's allocator, with the largest request of each thread remembered.
pub struct Watched;

/// Watches allocations in this test binary; without it the suite cannot see over-allocation.
#[macro_export]
macro_rules! watch_allocations {
    () => {
        #[global_allocator]
        static HELIOSDB_WATCHED: $crate::allocation::Watched = $crate::allocation::Watched;
    };
}

// SAFETY: every request goes to the system's allocator as it came.
unsafe impl GlobalAlloc for Watched {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note(layout.size());
        // SAFETY: the caller's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        note(layout.size());
        // SAFETY: the caller's.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, old: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        note(size);
        // SAFETY: the caller's.
        unsafe { System.realloc(old, layout, size) }
    }

    unsafe fn dealloc(&self, old: *mut u8, layout: Layout) {
        // SAFETY: the caller's.
        unsafe { System.dealloc(old, layout) }
    }
}

fn note(size: usize) {
    // A thread that is ending has no counter left, and nobody who reads it.
    let _ = LARGEST.try_with(|largest| largest.set(largest.get().max(size)));
}

/// What `body` returns, and the largest single allocation it asked for on this thread; 0 where
/// nothing watches.
pub fn largest<R>(body: impl FnOnce() -> R) -> (R, usize) {
    LARGEST.set(0);
    let result = body();
    (result, LARGEST.get())
}
