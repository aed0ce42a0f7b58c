//! Entries of its own, for what the author's kit does not let a plugin do.

use std::sync::OnceLock;

use heliosdb_plugin_api::abi::arrow::AbiColumn;
use heliosdb_plugin_api::abi::value::AbiResult;
use heliosdb_plugin_api::abi::{
    CallContext, HostV1, Interface, Published, RNone, ROk, ROption, RSome, RStr, RString, RVec,
    Root, RootRef,
};
use heliosdb_plugin_api::extension::function::FunctionV1;
use heliosdb_plugin_api::extension::lifecycle::LifecycleV1;

use crate::{Hostile, act, columns, is};

/// The kit's root, with two interfaces replaced.
pub fn root() -> RootRef {
    let own = own();
    Root {
        abi: own.abi(),
        manifest: own.manifest(),
        panics_unwind: own.panics_unwind(),
        extension,
    }
    .publish()
}

fn own() -> RootRef {
    static ROOT: OnceLock<RootRef> = OnceLock::new();
    *ROOT.get_or_init(heliosdb_plugin_api::root::<Hostile>)
}

/// An interface of the kit, as it was meant.
fn kit<V: Published>() -> &'static V {
    let found = (own().extension())(V::ID.into()).into_option();
    let found = found.expect("the kit has every interface");
    found.get().expect("one build has one layout")
}

extern "C" fn extension(id: RStr<'_>) -> ROption<Interface> {
    match id.as_str() {
        LifecycleV1::ID => RSome(Interface::of(&LIFECYCLE)),
        FunctionV1::ID => RSome(Interface::of(function())),
        _ => (own().extension())(id),
    }
}

static LIFECYCLE: LifecycleV1 = LifecycleV1 {
    start,
    registered,
    stop,
};

extern "C" fn start(host: HostV1, settings: RStr<'_>) -> AbiResult<*const ()> {
    if settings.contains("\"gives a null instance\"") {
        return ROk(std::ptr::null());
    }
    (kit::<LifecycleV1>().start)(host, settings)
}

extern "C" fn registered(instance: *const ()) -> AbiResult<RString> {
    match act().as_str() {
        "registers nonsense" => ROk("{\"function\": 7".into()),
        "registers an unknown kind" => ROk("{\"frobnicator\": []}".into()),
        "registers nothing" => ROk("{}".into()),
        _ => (kit::<LifecycleV1>().registered)(instance),
    }
}

extern "C" fn stop(instance: *const ()) -> AbiResult<()> {
    (kit::<LifecycleV1>().stop)(instance)
}

fn function() -> &'static FunctionV1 {
    static FUNCTION: OnceLock<FunctionV1> = OnceLock::new();
    FUNCTION.get_or_init(|| {
        let kit = kit::<FunctionV1>();
        FunctionV1 {
            call,
            accumulator,
            open,
            next,
            update: kit.update,
            state: kit.state,
            merge: kit.merge,
            evaluate: kit.evaluate,
            size_bytes: kit.size_bytes,
            release: kit.release,
            close: kit.close,
        }
    })
}

extern "C" fn call(
    instance: *const (),
    index: u32,
    cx: CallContext,
    arguments: RVec<AbiColumn>,
    rows: u64,
    result: &mut AbiColumn,
) -> AbiResult<()> {
    let done = (kit::<FunctionV1>().call)(instance, index, cx, arguments, rows, result);
    if done.is_ok() {
        columns::lie(&act(), result);
    }
    done
}

extern "C" fn accumulator(instance: *const (), index: u32) -> AbiResult<*mut ()> {
    if is("gives a null accumulator") {
        return ROk(std::ptr::null_mut());
    }
    (kit::<FunctionV1>().accumulator)(instance, index)
}

extern "C" fn open(
    instance: *const (),
    index: u32,
    cx: CallContext,
    arguments: RVec<AbiColumn>,
) -> AbiResult<*mut ()> {
    if is("gives a null cursor") {
        return ROk(std::ptr::null_mut());
    }
    (kit::<FunctionV1>().open)(instance, index, cx, arguments)
}

extern "C" fn next(
    cursor: *mut (),
    cx: CallContext,
    rows: &mut u64,
) -> AbiResult<ROption<RVec<AbiColumn>>> {
    let mut batch = (kit::<FunctionV1>().next)(cursor, cx, rows);
    match act().as_str() {
        "announces 2^64 - 1 rows" => *rows = u64::MAX,
        "announces no rows" => *rows = 0,
        "drops a column on the way" => {
            if let ROk(RSome(columns)) = &mut batch {
                columns.pop();
            }
        }
        "gives nothing but columns" => return ROk(RSome(RVec::new())),
        "gives nothing at all" => return ROk(RNone),
        _ => {}
    }
    batch
}
