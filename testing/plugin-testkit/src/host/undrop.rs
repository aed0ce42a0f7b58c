//! `undrop/1`: nothing was dropped but a table called `gone`.

use heliosdb_plugin_api::abi::RStr;
use heliosdb_plugin_api::abi::value::AbiResult;
use heliosdb_plugin_api::service::UndropV1;
use heliosdb_plugin_api::{Error, state};

use super::answer;

pub static UNDROP: UndropV1 = UndropV1 { table };

extern "C" fn table(
    host: *const (),
    statement: *const (),
    table: RStr<'_>,
    _: RStr<'_>,
) -> AbiResult<()> {
    answer(host, statement, |host| {
        host.writable()?;
        match table.as_str() {
            "gone" => Ok(()),
            other => Err(Error::new(
                state::UNDEFINED_TABLE,
                format!("no table \"{other}\" was dropped"),
            )),
        }
    })
}
