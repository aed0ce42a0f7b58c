//! The border: what two separately built binaries agree on.
//!
//! ```text
//!   plugin file                                             host
//!   section .heliosdb.manifest   ── read, not run ──▶  names, versions, claims
//!   section .heliosdb.build      ── read, not run ──▶  panic strategy, ABI version
//!   symbol  root module          ── layout check ───▶  Root, frozen for ever
//!   Root::extension(id)          ── layout check ───▶  one vtable per extension point
//!   Lifecycle::start(host, …)    ◀── layout check ──   host.service(id), one vtable per service
//! ```
//!
//! [`Root`] never changes: appending a field to it would refuse every plugin built before. A new
//! ability is a new id, looked up with [`Root::extension`] or [`HostV1::service`], and each vtable is
//! checked on its own against the layout that the other side carries ([`Interface::get`]).
//!
//! Invariants:
//! 1. Only `repr(C)` types with a stable layout cross: those of abi_stable, the Arrow C structs and
//!    pointers that one side never looks into.
//! 2. Memory is freed by the side that allocated it; every owning type carries its own destructor.
//! 3. No unwinding crosses: every entry goes through [`crate::guard`].

pub mod arrow;
mod mismatch;
pub mod value;

use abi_stable::abi_stability::abi_checking::check_layout_compatibility;
use abi_stable::library::{AbiHeaderRef, RootModule};
use abi_stable::prefix_type::PrefixTypeTrait;
use abi_stable::sabi_types::VersionStrings;
// The border's own small types, so that the host need not name abi_stable.
pub use abi_stable::std_types::{
    RErr, RNone, ROk, ROption, RResult, RSlice, RSome, RStr, RString, RVec,
};
use abi_stable::type_layout::TypeLayout;
use abi_stable::{declare_root_module_statics, StableAbi};

/// The version of [`Root`]. It has one value, for ever; another would be another symbol.
pub const ABI_VERSION: u32 = 1;
/// The section of a shared object that holds the text of its manifest.
pub const MANIFEST_SECTION: &str = ".heliosdb.manifest";
/// The section that says how the object was built: lines `abi=1` and `panic=unwind`.
pub const BUILD_SECTION: &str = ".heliosdb.build";
/// The symbol under which a shared object exports its root.
pub const ROOT_SYMBOL: &str = "_1as_0lib_1header_0root_bmodule_bloader";

/// What a plugin is to the host before anything is known of it.
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = RootRef, prefix_fields = RootFields)))]
pub struct Root {
    /// [`ABI_VERSION`] of the build.
    pub abi: extern "C" fn() -> u32,
    /// The text of its `plugin.toml`.
    pub manifest: extern "C" fn() -> RStr<'static>,
    /// False for a build with `panic = "abort"`, which no guard can hold.
    pub panics_unwind: extern "C" fn() -> bool,
    /// The interface `id`, such as `function/1`, if this build has it.
    #[sabi(last_prefix_field)]
    pub extension: extern "C" fn(id: RStr<'_>) -> ROption<Interface>,
}

impl Root {
    /// The root as it crosses. It lives for ever.
    pub fn publish(self) -> RootRef {
        self.leak_into_prefix()
    }
}

impl RootModule for RootRef {
    declare_root_module_statics! {RootRef}
    const BASE_NAME: &'static str = "heliosdb_plugin";
    const NAME: &'static str = "heliosdb_plugin";
    // Of the root, not of the package: it stays while the package moves on.
    const VERSION_STRINGS: VersionStrings = VersionStrings::new("1.0.0");
}

/// A vtable with the layout it was built with.
#[repr(C)]
#[derive(StableAbi, Clone, Copy)]
pub struct Interface {
    layout: &'static TypeLayout,
    vtable: *const (),
}

// A vtable is a static of functions that any thread may call.
unsafe impl Send for Interface {}
unsafe impl Sync for Interface {}

/// An interface with a published id.
///
/// # Safety
///
/// `ID` must name this very type in every build that publishes it.
pub unsafe trait Published: StableAbi + 'static {
    const ID: &'static str;
}

impl Interface {
    pub fn of<V: Published>(vtable: &'static V) -> Interface {
        Interface {
            layout: V::LAYOUT,
            vtable: (vtable as *const V).cast(),
        }
    }

    /// The vtable, after its layout proved compatible with `V` of this build.
    ///
    /// # Errors
    ///
    /// One paragraph that says which field of which struct differs.
    pub fn get<V: Published>(&self) -> Result<&'static V, String> {
        if self.vtable.is_null() {
            return Err(format!("the vtable of {} is null", V::ID));
        }
        check_layout_compatibility(V::LAYOUT, self.layout)
            .map_err(|why| format!("{} has another layout: {}", V::ID, mismatch::explain(&why)))?;
        // SAFETY: the layouts agree, and `of` made the pointer from a `&'static` of that layout.
        Ok(unsafe { &*self.vtable.cast::<V>() })
    }
}

/// What a plugin holds of its host.
#[repr(C)]
#[derive(StableAbi, Clone, Copy)]
pub struct HostV1 {
    /// The host's own handle of this plugin, first argument of every service.
    pub handle: *const (),
    /// The service `id`, if the host has it and the plugin's manifest names it.
    pub service: extern "C" fn(handle: *const (), id: RStr<'_>) -> ROption<Interface>,
}

// The handle is only ever given back to the host, whose services any thread may call.
unsafe impl Send for HostV1 {}
unsafe impl Sync for HostV1 {}

/// What every call that belongs to a statement carries.
#[repr(C)]
#[derive(StableAbi, Clone, Copy)]
pub struct CallContext {
    /// The host's handle of the statement, second argument of services that act in it. Valid during
    /// the call.
    pub statement: *const (),
    /// Whether the statement was canceled; long calls ask.
    pub cancelled: extern "C" fn(statement: *const ()) -> bool,
}

/// Takes the root out of the symbol [`ROOT_SYMBOL`] of a shared object.
///
/// # Safety
///
/// `symbol` must be the address of that symbol in an object that stays loaded for ever.
///
/// # Errors
///
/// One paragraph: another version of abi_stable, or a root of another layout.
pub unsafe fn root_of(symbol: *const ()) -> Result<RootRef, String> {
    if symbol.is_null() {
        return Err("the root symbol is null".to_owned());
    }
    // SAFETY: `AbiHeaderRef` is a transparent pointer, which `upgrade` checks before it reads more.
    let header = unsafe { std::mem::transmute::<*const (), AbiHeaderRef>(symbol) };
    let header = header.upgrade().map_err(|e| mismatch::shorten(&e))?;
    header
        .init_root_module::<RootRef>()
        .map_err(|e| mismatch::shorten(&e))
}

/// What [`export_plugin!`](crate::export_plugin) puts behind [`ROOT_SYMBOL`].
#[doc(hidden)]
pub mod export {
    use abi_stable::library::{CheckTypeLayout, LibHeader, RootModuleResult};

    pub use abi_stable::library::{LibHeader as Header, RootModuleResult as RootResult};

    pub const fn header(constructor: extern "C" fn() -> RootModuleResult) -> LibHeader {
        // SAFETY: `constructor` returns what `call` made of a `RootRef`.
        unsafe { LibHeader::from_constructor::<super::RootRef>(constructor, CheckTypeLayout::Yes) }
    }

    pub fn call(root: fn() -> super::RootRef) -> RootModuleResult {
        abi_stable::library::__call_root_module_loader(root)
    }

    /// The bytes of a section, from a string constant.
    pub const fn bytes<const N: usize>(text: &str) -> [u8; N] {
        let text = text.as_bytes();
        let mut bytes = [0; N];
        let mut i = 0;
        while i < N {
            bytes[i] = text[i];
            i += 1;
        }
        bytes
    }

    pub const BUILD: &str = if cfg!(panic = "unwind") {
        "abi=1\npanic=unwind\n"
    } else {
        "abi=1\npanic=abort\n"
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_symbol_is_abi_stables() {
        let name = abi_stable::library::ROOT_MODULE_LOADER_NAME;
        assert_eq!(name, ROOT_SYMBOL);
    }
}
