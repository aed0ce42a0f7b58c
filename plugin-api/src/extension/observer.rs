//! `observer/1`: what statements do to the objects of another plugin, told in their transaction.
//!
//! The manifest names the plugin that is observed. Its objects are told of, its stores are not lent:
//! an observer reads what it may read as anybody does, with `sql/1`.

use abi_stable::std_types::{RStr, RVec};
use abi_stable::StableAbi;

use super::{instance, registered};
use crate::abi::value::AbiResult;
use crate::abi::{CallContext, Published};
use crate::context::Context;
use crate::error::Result;
use crate::guard::guarded;
use crate::service::catalog::{AbiObject, ObjectInfo};

/// Watches the objects of one other plugin. An error of its fails the statement.
///
/// What it is told is true when the transaction commits: whoever changes an object holds the lock of
/// the catalog until then.
pub trait Observer: Send + Sync {
    /// A command of the observed plugin has run. `objects`, never none, are those that it created, or
    /// asked the right to change, and that are there now. What became of them, if anything, the
    /// observer finds out by comparing: told twice of one state, it must leave its own as it was.
    ///
    /// `command` is the command's prefix, such as `CREATE JSON SCHEMA`.
    fn changed(&self, cx: &Context<'_>, command: &str, objects: &[ObjectInfo]) -> Result<()>;

    /// An object is gone from the catalog, and its plugin has been told: by a command, by
    /// DROP … CASCADE or with its schema.
    fn dropped(&self, cx: &Context<'_>, object: &ObjectInfo) -> Result<()>;
}

/// The vtable of `observer/1`.
#[repr(C)]
#[derive(StableAbi)]
pub struct ObserverV1 {
    pub changed: extern "C" fn(
        instance: *const (),
        index: u32,
        cx: CallContext,
        command: RStr<'_>,
        objects: RVec<AbiObject>,
    ) -> AbiResult<()>,
    pub dropped: extern "C" fn(
        instance: *const (),
        index: u32,
        cx: CallContext,
        object: AbiObject,
    ) -> AbiResult<()>,
}

unsafe impl Published for ObserverV1 {
    const ID: &'static str = "observer/1";
}

pub(crate) static OBSERVER: ObserverV1 = ObserverV1 { changed, dropped };

fn tell(
    this: *const (),
    index: u32,
    cx: CallContext,
    tell: impl FnOnce(&dyn Observer, &Context<'_>) -> Result<()>,
) -> Result<()> {
    let instance = unsafe { instance(this) }?;
    let (_, body) = registered(&instance.registered.observers, index, "observer")?;
    tell(&**body, &Context::new(cx, &instance.host))
}

extern "C" fn changed(
    this: *const (),
    index: u32,
    cx: CallContext,
    command: RStr<'_>,
    objects: RVec<AbiObject>,
) -> AbiResult<()> {
    guarded("observer/1.changed", || {
        let objects: Vec<ObjectInfo> = objects.into_iter().map(ObjectInfo::from).collect();
        tell(this, index, cx, |observer, cx| {
            observer.changed(cx, command.as_str(), &objects)
        })
    })
}

extern "C" fn dropped(
    this: *const (),
    index: u32,
    cx: CallContext,
    object: AbiObject,
) -> AbiResult<()> {
    guarded("observer/1.dropped", || {
        let object = ObjectInfo::from(object);
        tell(this, index, cx, |observer, cx| {
            observer.dropped(cx, &object)
        })
    })
}
