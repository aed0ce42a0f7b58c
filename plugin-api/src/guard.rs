//! No panic leaves a plugin: each entry of each vtable runs inside [`guarded`].
//!
//! The fallback of an entry is explicit: an error that says which entry panicked and what the panic
//! said. The host counts those and stops calling a plugin that keeps panicking. A segmentation fault,
//! an overflow of the stack and `abort` are beyond any guard.

use std::any::Any;
use std::panic::{catch_unwind, AssertUnwindSafe};

use abi_stable::std_types::{RErr, ROk};

use crate::abi::value::{AbiError, AbiResult};
use crate::error::{Error, Result};

/// Runs the body of an entry.
pub(crate) fn guarded<T>(entry: &'static str, body: impl FnOnce() -> Result<T>) -> AbiResult<T> {
    let body = || {
        injection::strike(entry);
        body()
    };
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(value)) => ROk(value),
        Ok(Err(error)) => RErr(error.into()),
        Err(payload) => RErr(panicked(entry, payload)),
    }
}

/// Runs the body of an entry that has no error to return.
pub(crate) fn guarded_or<T>(entry: &'static str, fallback: T, body: impl FnOnce() -> T) -> T {
    let body = || {
        injection::strike(entry);
        body()
    };
    catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|payload| {
        forget(payload);
        fallback
    })
}

fn panicked(entry: &str, payload: Box<dyn Any + Send>) -> AbiError {
    let said = payload
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| payload.downcast_ref::<String>().cloned());
    forget(payload);
    let error = Error::contract(format!("the plugin panicked in {entry}"));
    let error = match said {
        Some(said) => error.with_detail(said),
        None => error,
    };
    AbiError {
        panicked: true,
        ..error.into()
    }
}

/// A payload whose destructor panics must not get to run.
fn forget(payload: Box<dyn Any + Send>) {
    std::mem::forget(payload);
}

/// Panics on purpose, for conformance tests. It is a matter of one thread, so that tests that run
/// beside each other do not see it.
pub mod injection {
    use std::cell::{Cell, RefCell};

    thread_local! {
        static ARMED: Cell<bool> = const { Cell::new(false) };
        static ENTRY: RefCell<String> = const { RefCell::new(String::new()) };
    }

    /// From now on the entry of this name panics when this thread calls it.
    pub fn arm(entry: &str) {
        ENTRY.with(|armed| entry.clone_into(&mut armed.borrow_mut()));
        ARMED.set(true);
    }

    pub fn disarm() {
        ARMED.set(false);
    }

    pub(super) fn strike(entry: &str) {
        if ARMED.get() && ENTRY.with(|armed| *armed.borrow() == entry) {
            panic!("injected");
        }
    }
}
