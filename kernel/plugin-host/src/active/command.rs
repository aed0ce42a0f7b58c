//! Commands of a plugin.

use arrow_array::ArrayRef;
use arrow_schema::DataType;
use heliosdb_plugin_api::Result;
use heliosdb_plugin_api::abi::RVec;
use heliosdb_plugin_api::abi::arrow::AbiColumn;
use heliosdb_plugin_api::abi::value::fields_in;
use heliosdb_plugin_api::extension::command::CommandV1;
use heliosdb_plugin_api::manifest::CommandDecl;

use super::registered::Registered;
use crate::service::in_statement;
use crate::services::StatementServices;

/// A command.
pub type Command = Registered<CommandV1, CommandDecl>;

/// What a command answered.
#[derive(Clone, Debug)]
pub struct CommandOutcome {
    pub tag: String,
    /// Names and SQL types.
    pub columns: Vec<(String, String)>,
    pub batches: Vec<Vec<ArrayRef>>,
}

impl Command {
    /// Runs the statement. `arrow_type` gives the Arrow type of an SQL type by name.
    pub fn run(
        &self,
        services: &dyn StatementServices,
        statement: &str,
        arrow_type: impl Fn(&str) -> Option<DataType>,
    ) -> Result<CommandOutcome> {
        let rows = in_statement(services, |cx| {
            self.active
                .call(|instance| (self.vtable.run)(instance, self.index, cx, statement.into()))
        })?;
        let columns = fields_in(rows.fields);
        let types = columns.iter().map(|(name, ty)| {
            arrow_type(ty).ok_or_else(|| {
                self.active
                    .broke(format!("column {name} has no type \"{ty}\""))
            })
        });
        let types = types.collect::<Result<Vec<DataType>>>()?;
        let batches = rows.batches.into_iter();
        let batches = batches.map(|batch| self.import(batch, &types));
        Ok(CommandOutcome {
            tag: rows.tag.into(),
            batches: batches.collect::<Result<_>>()?,
            columns,
        })
    }

    fn import(&self, batch: RVec<AbiColumn>, types: &[DataType]) -> Result<Vec<ArrayRef>> {
        let rows = batch.first().map_or(0, |column| column.array.length);
        let rows = usize::try_from(rows).unwrap_or(0);
        if batch.len() != types.len() {
            return Err(self.active.broke("a batch has another number of columns"));
        }
        let columns = batch.into_iter().zip(types);
        columns
            .map(|(column, ty)| {
                let array = column.import(ty, rows);
                array.map_err(|error| self.active.broke(error.message))
            })
            .collect()
    }
}
