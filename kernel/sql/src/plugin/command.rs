//! Commands of plugins (`command/1`).

use std::sync::Arc;

use arrow::datatypes::{Field, Schema};
use arrow::record_batch::RecordBatch;
use heliosdb_plugin_host::active::command::{Command, CommandOutcome};

use super::crossing::{self, crossing_type};
use super::services::Reads;
use super::syntax::CommandSyntax;
use crate::error::{Result, SqlError, state};
use crate::session::Session;
use crate::session::outcome::{CommandTag, Outcome, ResultColumn, Rows};
use crate::types::names::parse_type_name;
use crate::types::{Format, PgType};

impl Session {
    pub(crate) fn run_plugin_command(
        &mut self,
        command: &CommandSyntax,
        text: &str,
    ) -> Result<Outcome> {
        self.begin_statement_snapshot();
        self.check_usable(&command.plugin, &command.prefix)?;
        let registry = self.instance.plugins().registry();
        let is_it = |c: &&Arc<Command>| {
            **c.plugin() == *command.plugin && c.declared.prefix == command.prefix
        };
        let registered = registry
            .commands()
            .iter()
            .find(is_it)
            .ok_or_else(|| SqlError::internal("an active plugin without its command"))?;
        let arrow_type = |ty: &str| {
            let (ty, typmod) = parse_type_name(ty).ok()?;
            Some(crossing_type(&ty.arrow_typmod(typmod)))
        };
        let (outcome, in_hand) = self.with_watched_services(Reads::Free, |services| {
            registered.run(services, text, arrow_type)
        })?;
        // What was described to the client is what it gets.
        let declared = command.columns.as_deref().unwrap_or_default();
        if *outcome.columns != *declared {
            return Err(SqlError::new(
                state::EXTERNAL_ROUTINE_EXCEPTION,
                format!(
                    "{} of plugin \"{}\" answered with other columns than its manifest declares",
                    command.prefix, command.plugin
                ),
            )
            .with_detail(format!(
                "Declared are {}, answered was with {}.",
                list(declared),
                list(&outcome.columns)
            )));
        }
        self.tell_of_changes(&command.plugin, &command.prefix, &in_hand)?;
        self.go_to_asked_branch()?;
        if command.columns.is_none() {
            return Ok(Outcome::Command(CommandTag::new(outcome.tag)));
        }
        rows(outcome).map(Outcome::Rows)
    }
}

fn list(columns: &[(String, String)]) -> String {
    match columns {
        [] => "none".to_owned(),
        some => {
            let columns: Vec<String> = some
                .iter()
                .map(|(name, ty)| format!("{name} {ty}"))
                .collect();
            format!("({})", columns.join(", "))
        }
    }
}

/// Column names and SQL types as a client is told of them.
pub(crate) fn result_columns(columns: &[(String, String)]) -> Result<Vec<ResultColumn>> {
    columns
        .iter()
        .map(|(name, ty)| {
            let (ty, typmod) = parse_type_name(ty)?;
            Ok(ResultColumn {
                name: name.clone(),
                ty,
                table_oid: 0,
                column_attnum: 0,
                typmod,
            })
        })
        .collect()
}

/// Rows whose types the host has checked.
fn rows(outcome: CommandOutcome) -> Result<Rows> {
    let columns = result_columns(&outcome.columns)?;
    let fields: Vec<Field> = columns
        .iter()
        .map(|c| Field::new(&c.name, c.ty.arrow_typmod(c.typmod), true))
        .collect();
    let schema = Arc::new(Schema::new(fields));
    let batches = outcome
        .batches
        .into_iter()
        .map(|arrays| {
            let arrays = arrays.into_iter().zip(&columns);
            let arrays = arrays.map(|(array, column)| match column.ty {
                PgType::Json => crossing::read(&array, &column.ty, &Format::default()),
                _ => Ok(array),
            });
            let arrays = arrays.collect::<Result<Vec<_>>>()?;
            Ok(RecordBatch::try_new(schema.clone(), arrays)?)
        })
        .collect::<Result<_>>()?;
    Ok(Rows::batches(columns.into(), batches).with_tag(outcome.tag))
}
