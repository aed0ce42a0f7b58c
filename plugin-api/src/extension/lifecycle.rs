//! `lifecycle/1`: start, what was registered, stop.

use abi_stable::std_types::{ROk, RStr, RString};
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

/// Two guards: were the instance dropped while a panic of its `stop` unwinds, a second panic in its
/// destructor would end the process.
extern "C" fn stop(this: *const ()) -> AbiResult<()> {
    let stopped = guarded("lifecycle/1.stop", || -> Result<()> {
        unsafe { instance(this) }?.plugin.stop();
        Ok(())
    });
    let dropped = guarded("lifecycle/1.stop", || -> Result<()> {
        if !this.is_null() {
            // SAFETY: `start` made it with `Box::into_raw`, and the host stops it once.
            drop(unsafe { Box::from_raw(this.cast_mut().cast::<Instance>()) });
        }
        Ok(())
    });
    match stopped {
        ROk(()) => dropped,
        error => error,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use abi_stable::std_types::{RNone, ROption};

    use super::*;
    use crate::abi::Interface;
    use crate::plugin::Registrar;
    use crate::service::Host;

    struct Stubborn;

    impl Plugin for Stubborn {
        const MANIFEST: &'static str = "id = \"stubborn\"\nversion = \"1.0.0\"\nabi = 1\n";

        fn start(_: Host, _: &Settings) -> Result<Stubborn> {
            Ok(Stubborn)
        }

        fn register(self: &Arc<Self>, _: &mut Registrar) -> Result<()> {
            Ok(())
        }

        fn stop(&self) {
            panic!("in stop");
        }
    }

    impl Drop for Stubborn {
        fn drop(&mut self) {
            panic!("in drop");
        }
    }

    extern "C" fn no_service(_: *const (), _: RStr<'_>) -> ROption<Interface> {
        RNone
    }

    /// A second panic while the first unwinds would abort this test.
    #[test]
    fn a_plugin_may_panic_in_its_stop_and_in_its_destructor() {
        let host = HostV1 {
            handle: std::ptr::null(),
            service: no_service,
        };
        let started = start::<Stubborn>(host, "{}".into()).into_result();
        let instance = started.map_err(Error::from).expect("it starts");
        let stopped = stop(instance).into_result().map_err(|error| {
            assert!(error.panicked);
            Error::from(error)
        });
        let error = stopped.expect_err("it panicked");
        assert_eq!(error.detail.as_deref(), Some("in stop"));
    }
}
