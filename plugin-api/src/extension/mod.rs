//! Extension points: one frozen interface each, looked up by id.
//!
//! Each file has the vtable that crosses the border, the trait that an author implements, and the
//! entries that lead from the one to the other inside the plugin. The host's side of a vtable is in
//! the host. Every entry takes the *instance*, the pointer that [`lifecycle::LifecycleV1::start`]
//! gave out, and for things that were registered the place of the thing in its list.

pub mod clause;
pub mod codec;
pub mod command;
pub mod constraint;
pub mod event;
pub mod function;
pub mod index;
pub mod lifecycle;
pub mod migration;
pub mod observer;
pub mod operator;
pub mod testing;
pub mod types;
pub mod worker;

use crate::error::{Error, Result};
use crate::plugin::Instance;

/// The id of every extension point there is, and whether it may still change.
pub const IDS: [(&str, Maturity); 12] = [
    (
        <function::FunctionV1 as crate::abi::Published>::ID,
        Maturity::Draft,
    ),
    (
        <types::TypeV1 as crate::abi::Published>::ID,
        Maturity::Draft,
    ),
    (
        <operator::OperatorV1 as crate::abi::Published>::ID,
        Maturity::Draft,
    ),
    (
        <clause::ClauseV1 as crate::abi::Published>::ID,
        Maturity::Draft,
    ),
    (
        <command::CommandV1 as crate::abi::Published>::ID,
        Maturity::Draft,
    ),
    (
        <constraint::ConstraintV1 as crate::abi::Published>::ID,
        Maturity::Draft,
    ),
    (
        <codec::CodecV1 as crate::abi::Published>::ID,
        Maturity::Draft,
    ),
    (
        <index::IndexV1 as crate::abi::Published>::ID,
        Maturity::Draft,
    ),
    (
        <migration::MigrationV1 as crate::abi::Published>::ID,
        Maturity::Draft,
    ),
    (
        <event::EventV1 as crate::abi::Published>::ID,
        Maturity::Draft,
    ),
    (
        <observer::ObserverV1 as crate::abi::Published>::ID,
        Maturity::Draft,
    ),
    (
        <worker::WorkerV1 as crate::abi::Published>::ID,
        Maturity::Draft,
    ),
];

/// An interface is a draft until its first three users exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Maturity {
    Draft,
    Frozen,
}

/// The instance behind a pointer of the host's.
///
/// # Safety
///
/// `instance` must be what `start` gave out, and not yet stopped.
pub(crate) unsafe fn instance<'a>(instance: *const ()) -> Result<&'a Instance> {
    if instance.is_null() {
        return Err(Error::contract("the instance is null"));
    }
    // SAFETY: the caller's.
    Ok(unsafe { &*instance.cast::<Instance>() })
}

/// The thing of place `index` in a list of what was registered.
pub(crate) fn registered<'a, T>(list: &'a [T], index: u32, kind: &str) -> Result<&'a T> {
    list.get(index as usize)
        .ok_or_else(|| Error::contract(format!("no {kind} was registered at place {index}")))
}
