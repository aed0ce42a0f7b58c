//! `operator/1`: operators and operator classes. They are declarations: an operator calls a function
//! of the same plugin, and an operator class says which operators an index method may serve.

use abi_stable::std_types::RString;
use abi_stable::StableAbi;

use super::instance;
use crate::abi::value::AbiResult;
use crate::abi::Published;
use crate::error::Error;
use crate::guard::guarded;

/// The vtable of `operator/1`.
#[repr(C)]
#[derive(StableAbi)]
pub struct OperatorV1 {
    /// The operators as JSON: a list of [`OperatorDecl`](crate::manifest::OperatorDecl).
    pub operators: extern "C" fn(instance: *const ()) -> AbiResult<RString>,
    /// The classes as JSON: a list of [`OperatorClassDecl`](crate::manifest::OperatorClassDecl).
    pub classes: extern "C" fn(instance: *const ()) -> AbiResult<RString>,
}

unsafe impl Published for OperatorV1 {
    const ID: &'static str = "operator/1";
}

pub(crate) static OPERATOR: OperatorV1 = OperatorV1 { operators, classes };

extern "C" fn operators(this: *const ()) -> AbiResult<RString> {
    guarded("operator/1.operators", || {
        let instance = unsafe { instance(this) }?;
        json(&instance.registered.operators)
    })
}

extern "C" fn classes(this: *const ()) -> AbiResult<RString> {
    guarded("operator/1.classes", || {
        let instance = unsafe { instance(this) }?;
        json(&instance.registered.operator_classes)
    })
}

fn json<T: serde::Serialize>(list: &T) -> Result<RString, Error> {
    let text = serde_json::to_string(list).map_err(|e| Error::internal(e.to_string()))?;
    Ok(text.into())
}
