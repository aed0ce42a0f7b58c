//! Clauses of a plugin.

use heliosdb_plugin_api::Result;
use heliosdb_plugin_api::abi::RStr;
use heliosdb_plugin_api::extension::clause::{AbiTarget, ClauseV1};
use heliosdb_plugin_api::manifest::ClauseDecl;
pub use heliosdb_plugin_api::{ClauseAction, ClauseTarget};

use super::registered::Registered;
use crate::service::in_statement;
use crate::services::StatementServices;

/// A clause.
pub type Clause = Registered<ClauseV1, ClauseDecl>;

impl Clause {
    /// What the clause means where it stands.
    pub fn apply(
        &self,
        services: &dyn StatementServices,
        target: &ClauseTarget,
        arguments: &[String],
    ) -> Result<Vec<ClauseAction>> {
        let column = target.column.as_ref();
        let abi = AbiTarget {
            schema: target.schema.as_str().into(),
            table: target.table.as_str().into(),
            column: column.map(|(name, _)| RStr::from(name.as_str())).into(),
            column_type: column.map(|(_, ty)| RStr::from(ty.as_str())).into(),
        };
        let arguments: Vec<RStr<'_>> = arguments.iter().map(|a| a.as_str().into()).collect();
        let actions = in_statement(services, |cx| {
            self.active.call(|instance| {
                let arguments = arguments.as_slice().into();
                (self.vtable.apply)(instance, self.index, cx, abi, arguments)
            })
        })?;
        Ok(actions.into_iter().map(ClauseAction::from).collect())
    }
}
