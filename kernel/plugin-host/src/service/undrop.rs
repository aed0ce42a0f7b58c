//! `undrop/1`.

use heliosdb_plugin_api::abi::RStr;
use heliosdb_plugin_api::abi::value::AbiResult;
use heliosdb_plugin_api::service::UndropV1;

use super::{caller, guarded};

pub(super) static UNDROP: UndropV1 = UndropV1 { table };

extern "C" fn table(
    handle: *const (),
    statement: *const (),
    table: RStr<'_>,
    name: RStr<'_>,
) -> AbiResult<()> {
    guarded(statement, || {
        let (_, services) = unsafe { caller(handle, statement) }?;
        let name = (!name.is_empty()).then(|| name.as_str());
        services.undrop_table(table.as_str(), name)
    })
}
