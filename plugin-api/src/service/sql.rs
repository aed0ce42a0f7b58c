//! `sql/1`: SQL inside the statement's own transaction, as the statement's own role.

use abi_stable::std_types::{ROption, RSlice, RStr};
use abi_stable::StableAbi;
use arrow_array::ArrayRef;

use crate::abi::value::{fields_in, AbiResult, AbiRows};
use crate::abi::Published;
use crate::error::{Error, Result};

/// The vtable of `sql/1`.
#[repr(C)]
#[derive(StableAbi)]
pub struct SqlV1 {
    pub query: extern "C" fn(
        host: *const (),
        statement: *const (),
        sql: RStr<'_>,
        parameters: RSlice<'_, ROption<RStr<'_>>>,
    ) -> AbiResult<AbiRows>,
}

unsafe impl Published for SqlV1 {
    const ID: &'static str = "sql/1";
}

/// Runs SQL.
#[derive(Clone, Copy)]
pub struct Sql<'a> {
    host: *const (),
    statement: *const (),
    vtable: &'static SqlV1,
    lifetime: std::marker::PhantomData<&'a ()>,
}

/// The whole answer of a query.
#[derive(Clone, Debug)]
pub struct QueryResult {
    /// Names and SQL types of the columns.
    pub columns: Vec<(String, String)>,
    /// Batches of one array per column.
    pub batches: Vec<Vec<ArrayRef>>,
    /// Such as `INSERT 0 3`.
    pub command_tag: String,
}

impl Sql<'_> {
    pub(crate) fn new(
        host: *const (),
        statement: *const (),
        vtable: &'static SqlV1,
    ) -> Sql<'static> {
        Sql {
            host,
            statement,
            vtable,
            lifetime: std::marker::PhantomData,
        }
    }

    /// Runs one statement; `$1` … are the parameters, as text. Identifiers inside `sql` must be
    /// quoted by the caller ([`quote_identifier`]).
    ///
    /// # Errors
    ///
    /// Those of the statement; `0A000` for transaction control.
    pub fn query(&self, sql: &str, parameters: &[Option<&str>]) -> Result<QueryResult> {
        let parameters: Vec<ROption<RStr<'_>>> = parameters
            .iter()
            .map(|p| p.map(RStr::from).into())
            .collect();
        let rows = (self.vtable.query)(
            self.host,
            self.statement,
            sql.into(),
            parameters.as_slice().into(),
        );
        let rows = rows.into_result().map_err(Error::from)?;
        let mut batches = Vec::new();
        for batch in rows.batches {
            let columns = batch.into_iter().map(|c| Ok(c.import_trusted()?.0));
            batches.push(columns.collect::<Result<Vec<_>>>()?);
        }
        Ok(QueryResult {
            columns: fields_in(rows.fields),
            batches,
            command_tag: rows.tag.into(),
        })
    }
}

/// An identifier in double quotes.
pub fn quote_identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A string constant in single quotes.
pub fn quote_literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
