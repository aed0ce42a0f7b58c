//! `event/1`: what happens to the plugin's objects by other hands.

use abi_stable::std_types::RStr;
use abi_stable::StableAbi;

use super::instance;
use crate::abi::value::AbiResult;
use crate::abi::{CallContext, Published};
use crate::context::Context;
use crate::error::Result;
use crate::guard::guarded;
use crate::service::catalog::{AbiObject, ObjectInfo};

/// Something that DDL did to an object of the plugin, inside its transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CatalogEvent {
    /// It is gone: by the plugin's own call, by DROP … CASCADE or with its schema.
    Dropped(ObjectInfo),
    Renamed {
        object: ObjectInfo,
        old_name: String,
    },
}

/// The vtable of `event/1`.
#[repr(C)]
#[derive(StableAbi)]
pub struct EventV1 {
    pub dropped:
        extern "C" fn(instance: *const (), cx: CallContext, object: AbiObject) -> AbiResult<()>,
    pub renamed: extern "C" fn(
        instance: *const (),
        cx: CallContext,
        object: AbiObject,
        old_name: RStr<'_>,
    ) -> AbiResult<()>,
}

unsafe impl Published for EventV1 {
    const ID: &'static str = "event/1";
}

pub(crate) static EVENT: EventV1 = EventV1 { dropped, renamed };

fn fire(this: *const (), cx: CallContext, event: CatalogEvent) -> Result<()> {
    let instance = unsafe { instance(this) }?;
    let cx = Context::new(cx, &instance.host);
    instance.plugin.on_event(&cx, &event)
}

extern "C" fn dropped(this: *const (), cx: CallContext, object: AbiObject) -> AbiResult<()> {
    guarded("event/1.dropped", || {
        fire(this, cx, CatalogEvent::Dropped(object.into()))
    })
}

extern "C" fn renamed(
    this: *const (),
    cx: CallContext,
    object: AbiObject,
    old_name: RStr<'_>,
) -> AbiResult<()> {
    guarded("event/1.renamed", || {
        let event = CatalogEvent::Renamed {
            object: object.into(),
            old_name: old_name.into(),
        };
        fire(this, cx, event)
    })
}
