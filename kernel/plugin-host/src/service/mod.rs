//! The host's side of the services: vtables over [`StatementServices`](crate::StatementServices) and
//! over the process.
//!
//! Two opaque pointers come in with every call: the *handle* of the plugin, which says who asks, and
//! the *statement*, which lives as long as the host's call into the plugin. Nothing of the host
//! unwinds into a plugin: each entry is guarded like the plugin's own.

mod background;
mod blob;
mod process;
mod rows;
mod statement;
mod timeline;
mod undrop;

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use heliosdb_plugin_api::abi::value::{AbiError, AbiResult};
use heliosdb_plugin_api::abi::{CallContext, HostV1, Interface, Published, ROption, RStr};
use heliosdb_plugin_api::service::{
    BlobV1, BudgetV1, CatalogV1, ChangesV1, ClockV1, LogV1, MemoryV1, PoolV1, SqlV1, StoreV1,
    TimelineV1, UndropV1, VisibleV1,
};
use heliosdb_plugin_api::{Error, Result};

pub use process::{MemoryLimit, Unlimited};

use crate::background::Background;
use crate::services::StatementServices;

/// What the host knows behind a plugin's handle.
pub(crate) struct Handle {
    pub plugin: Arc<str>,
    granted: BTreeSet<String>,
    pub memory: Arc<dyn MemoryLimit>,
    pub background: Arc<Background>,
}

impl Handle {
    pub fn new(
        plugin: Arc<str>,
        services: &[String],
        memory: Arc<dyn MemoryLimit>,
        background: Arc<Background>,
    ) -> Handle {
        Handle {
            plugin,
            granted: services.iter().cloned().collect(),
            memory,
            background,
        }
    }

    /// What the plugin gets at its start. The handle must outlive the plugin.
    pub fn abi(&'static self) -> HostV1 {
        HostV1 {
            handle: (self as *const Handle).cast(),
            service,
        }
    }
}

/// What the host knows behind a statement's pointer.
struct Statement<'a> {
    services: &'a dyn StatementServices,
    /// A service panicked, and what it was about may be half done.
    panicked: AtomicBool,
}

/// Runs `call` with the context of a statement, which is dead when it returns.
///
/// # Errors
///
/// Those of `call`; and where a service panicked, whatever the plugin made of that.
pub(crate) fn in_statement<T>(
    services: &dyn StatementServices,
    call: impl FnOnce(CallContext) -> Result<T>,
) -> Result<T> {
    let statement = Statement {
        services,
        panicked: AtomicBool::new(false),
    };
    let result = call(CallContext {
        statement: (&raw const statement).cast(),
        cancelled,
    });
    if result.is_ok() && statement.panicked.load(Ordering::Relaxed) {
        return Err(panicked());
    }
    result
}

fn panicked() -> Error {
    Error::internal("the host panicked in a service")
}

extern "C" fn cancelled(statement: *const ()) -> bool {
    let ask = || {
        // SAFETY: `in_statement` made the pointer and is still running.
        let statement = unsafe { &*statement.cast::<Statement<'_>>() };
        statement.services.cancelled()
    };
    catch_unwind(AssertUnwindSafe(ask)).unwrap_or(true)
}

extern "C" fn service(handle: *const (), id: RStr<'_>) -> ROption<Interface> {
    let find = || {
        // SAFETY: `Handle::abi` made the pointer of a `&'static Handle`.
        let handle = unsafe { &*handle.cast::<Handle>() };
        if !handle.granted.contains(id.as_str()) {
            return None;
        }
        Some(match id.as_str() {
            StoreV1::ID => Interface::of(&statement::STORE),
            CatalogV1::ID => Interface::of(&statement::CATALOG),
            SqlV1::ID => Interface::of(&statement::SQL),
            BlobV1::ID => Interface::of(&blob::BLOB),
            ChangesV1::ID => Interface::of(&rows::CHANGES),
            VisibleV1::ID => Interface::of(&rows::VISIBLE),
            TimelineV1::ID => Interface::of(&timeline::TIMELINE),
            UndropV1::ID => Interface::of(&undrop::UNDROP),
            LogV1::ID => Interface::of(&process::LOG),
            ClockV1::ID => Interface::of(&process::CLOCK),
            MemoryV1::ID => Interface::of(&process::MEMORY),
            BudgetV1::ID => Interface::of(&background::BUDGET),
            PoolV1::ID => Interface::of(&background::POOL),
            _ => return None,
        })
    };
    catch_unwind(AssertUnwindSafe(find)).unwrap_or(None).into()
}

/// Who asks, and in which statement.
///
/// # Safety
///
/// Both pointers are what the host gave out, and the statement's call is still running.
unsafe fn caller<'a>(
    handle: *const (),
    statement: *const (),
) -> Result<(&'a str, &'a dyn StatementServices)> {
    if statement.is_null() {
        return Err(Error::contract("the statement is null"));
    }
    // SAFETY: the caller's.
    let (handle, statement) = unsafe {
        (
            &*handle.cast::<Handle>(),
            &*statement.cast::<Statement<'a>>(),
        )
    };
    Ok((&handle.plugin, statement.services))
}

/// Runs the body of a service's entry.
fn guarded<T>(statement: *const (), body: impl FnOnce() -> Result<T>) -> AbiResult<T> {
    let result = catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|_| {
        // SAFETY: `in_statement` made the pointer, if it is one, and is still running.
        if let Some(statement) = unsafe { statement.cast::<Statement<'_>>().as_ref() } {
            statement.panicked.store(true, Ordering::Relaxed);
        }
        Err(panicked())
    });
    result.map_err(AbiError::from).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::services::NoStatement;

    /// Nobody may go on with what a panic left half done.
    #[test]
    fn a_plugin_cannot_hide_that_a_service_panicked() {
        let swallow = |cx: CallContext| {
            let failed = guarded(cx.statement, || -> Result<()> { panic!("half way") });
            assert!(failed.is_err());
            Ok(())
        };
        let error = in_statement(&NoStatement, swallow).unwrap_err();
        assert_eq!(error.message, "the host panicked in a service");
        assert_eq!(in_statement(&NoStatement, |_| Ok(1)), Ok(1));
    }
}
