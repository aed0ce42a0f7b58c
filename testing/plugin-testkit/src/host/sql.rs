//! `sql/1`, answered by a script.

use heliosdb_plugin_api::abi::arrow::AbiColumn;
use heliosdb_plugin_api::abi::value::{AbiResult, AbiRows, fields_out};
use heliosdb_plugin_api::abi::{ROption, RSlice, RStr, RVec};
use heliosdb_plugin_api::service::{QueryResult, SqlV1};
use heliosdb_plugin_api::{Error, Result, state};

use super::{answer, lock};

pub static SQL: SqlV1 = SqlV1 { query };

/// What answers until a test says better.
pub fn no_script(sql: &str, _: &[Option<String>]) -> Result<QueryResult> {
    let message = format!("this test host has no answer to: {sql}");
    Err(Error::new(state::FEATURE_NOT_SUPPORTED, message))
}

extern "C" fn query(
    host: *const (),
    statement: *const (),
    sql: RStr<'_>,
    parameters: RSlice<'_, ROption<RStr<'_>>>,
) -> AbiResult<AbiRows> {
    answer(host, statement, |host| {
        let text = |p: &ROption<RStr<'_>>| p.into_option().map(|p| p.to_string());
        let parameters: Vec<Option<String>> = parameters.iter().map(text).collect();
        let result = (lock(&host.sql))(sql.as_str(), &parameters)?;
        let mut batches = RVec::new();
        for batch in result.batches {
            let columns = batch.iter().map(|array| AbiColumn::export(array, false));
            batches.push(columns.collect::<Result<RVec<_>>>()?);
        }
        Ok(AbiRows {
            tag: result.command_tag.into(),
            fields: fields_out(result.columns),
            batches,
        })
    })
}
