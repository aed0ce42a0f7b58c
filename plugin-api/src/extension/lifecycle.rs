//! `lifecycle/1`: start, what was registered, stop.

use abi_stable::std_types::{RStr, RString};
use abi_stable::StableAbi;

use super::instance;
use crate::abi::value::AbiResult;
use crate::abi::{HostV1, Published};
use crate::error::{Error, Result};
use crate::guard::guarded;
use crate::manifest::{Manifest, Settings};
use crate::plugin::{Instance, Plugin};

/// The vtable of `lifecycle/1`.
#[repr(C)]
#[derive(StableAbi)]
pub struct LifecycleV1 {
    /// A started instance. `settings` is a JSON object with every setting of the manifest.
    pub start: extern "C" fn(host: HostV1, settings: RStr<'_>) -> AbiResult<*const ()>,
    /// What the instance registered, as JSON of [`Provides`](crate::manifest::Provides), in the
    /// order in which places count.
    pub registered: extern "C" fn(instance: *const ()) -> AbiResult<RString>,
    /// Ends the instance, whose pointer is dead after it.
    pub stop: extern "C" fn(instance: *const ()) -> AbiResult<()>,
}

unsafe impl Published for LifecycleV1 {
    const ID: &'static str = "lifecycle/1";
}

/// The vtable for one plugin type.
pub(crate) struct LifecycleOf<P>(std::marker::PhantomData<P>);

impl<P: Plugin> LifecycleOf<P> {
    pub const VTABLE: &'static LifecycleV1 = &LifecycleV1 {
        start: start::<P>,
        registered,
        stop,
    };
}

extern "C" fn start<P: Plugin>(host: HostV1, settings: RStr<'_>) -> AbiResult<*const ()> {
    guarded("lifecycle/1.start", || {
        let manifest = Manifest::parse(P::MANIFEST).map_err(|e| Error::contract(e.to_string()))?;
        let settings: Settings = serde_json::from_str(&settings)
            .map_err(|e| Error::contract(format!("settings: {e}")))?;
        let instance = Instance::start::<P>(manifest, host, settings)?;
        Ok(Box::into_raw(Box::new(instance)).cast_const().cast())
    })
}

extern "C" fn registered(this: *const ()) -> AbiResult<RString> {
    guarded("lifecycle/1.registered", || {
        let instance = unsafe { instance(this) }?;
        let text = serde_json::to_string(&instance.registered.provides())
            .map_err(|e| Error::internal(e.to_string()))?;
        Ok(text.into())
    })
}

extern "C" fn stop(this: *const ()) -> AbiResult<()> {
    guarded("lifecycle/1.stop", || -> Result<()> {
        if this.is_null() {
            return Err(Error::contract("the instance is null"));
        }
        // SAFETY: `start` made it with `Box::into_raw`, and the host stops it once.
        let instance = unsafe { Box::from_raw(this.cast_mut().cast::<Instance>()) };
        instance.plugin.stop();
        Ok(())
    })
}
