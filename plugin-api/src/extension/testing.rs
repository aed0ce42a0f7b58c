//! `testing/1`: lets a conformance suite make the entries of a plugin panic, in a file too.
//!
//! It is no extension point: a plugin declares nothing for it, and no server calls it.

use abi_stable::std_types::RStr;
use abi_stable::StableAbi;

use crate::abi::Published;
use crate::guard::{guarded_or, injection};

/// The vtable of `testing/1`.
#[repr(C)]
#[derive(StableAbi)]
pub struct TestingV1 {
    /// From now on the entry panics when this thread calls it, as `codec/1.encode`; an empty name
    /// ends it.
    pub panic_in: extern "C" fn(entry: RStr<'_>),
}

unsafe impl Published for TestingV1 {
    const ID: &'static str = "testing/1";
}

pub(crate) static TESTING: TestingV1 = TestingV1 { panic_in };

extern "C" fn panic_in(entry: RStr<'_>) {
    guarded_or("testing/1.panic_in", (), || {
        if entry.is_empty() {
            injection::disarm();
        } else {
            injection::arm(&entry);
        }
    });
}
