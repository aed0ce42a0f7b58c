//! Constraints of a plugin.

use arrow_array::ArrayRef;
use heliosdb_plugin_api::abi::RStr;
use heliosdb_plugin_api::extension::constraint::{AbiConstraint, ConstraintV1};
use heliosdb_plugin_api::manifest::ConstraintDecl;
use heliosdb_plugin_api::{Argument, Result};
pub use heliosdb_plugin_api::{ConstraintDefinition, Violation};

use super::function::export;
use super::registered::Registered;
use crate::service::in_statement;
use crate::services::StatementServices;

/// A kind of constraint.
pub type Constraint = Registered<ConstraintV1, ConstraintDecl>;

impl Constraint {
    /// The rows of `columns` (one array per column of the definition, `rows` values each) that break
    /// the constraint.
    pub fn check(
        &self,
        services: &dyn StatementServices,
        definition: &ConstraintDefinition,
        columns: &[ArrayRef],
        rows: usize,
    ) -> Result<Vec<Violation>> {
        let arguments: Vec<Argument> = columns
            .iter()
            .map(|array| Argument::new(array.clone(), false))
            .collect();
        let arguments = export(&arguments)?;
        let names: Vec<RStr<'_>> = definition
            .columns
            .iter()
            .map(|c| c.as_str().into())
            .collect();
        let abi = AbiConstraint {
            name: definition.name.as_str().into(),
            schema: definition.schema.as_str().into(),
            table: definition.table.as_str().into(),
            columns: names.as_slice().into(),
            options: definition.options.as_str().into(),
        };
        let found = in_statement(services, |cx| {
            self.active.call(|instance| {
                (self.vtable.check)(instance, self.index, cx, abi, arguments, rows as u64)
            })
        })?;
        let found: Vec<Violation> = found.into_iter().map(Violation::from).collect();
        match found.iter().find(|v| v.row >= rows) {
            None => Ok(found),
            Some(v) => Err(self.active.broke(format!(
                "constraint {} blames row {} of {rows}",
                self.declared.name, v.row
            ))),
        }
    }
}
