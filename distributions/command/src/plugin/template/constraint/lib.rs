//! {{about}}

use std::sync::Arc;

use heliosdb_plugin_api::{
    Arguments, Clause, ClauseAction, ClauseTarget, Constraint, ConstraintDefinition, Context,
    Error, Host, Plugin, Registrar, Result, Settings, Violation, state,
};

pub struct {{Plugin}};

impl Plugin for {{Plugin}} {
    const MANIFEST: &'static str = include_str!("../plugin.toml");

    fn start(_host: Host, _settings: &Settings) -> Result<{{Plugin}}> {
        Ok({{Plugin}})
    }

    fn register(self: &Arc<Self>, registrar: &mut Registrar) -> Result<()> {
        registrar.clause("{{id}}_prefix", PrefixClause)?;
        registrar.constraint("{{id}}_prefix", Prefix)
    }
}

/// `{{KEYWORD}} PREFIX 'AB-'` in CREATE TABLE: runs once, when the column is made.
struct PrefixClause;

impl Clause for PrefixClause {
    fn apply(
        &self,
        _cx: &Context<'_>,
        target: &ClauseTarget,
        arguments: &[String],
    ) -> Result<Vec<ClauseAction>> {
        let [prefix] = arguments else {
            return Err(Error::new(
                state::INVALID_PARAMETER_VALUE,
                "the clause has one argument",
            ));
        };
        match &target.column {
            Some((_, ty)) if ty == "text" => {}
            _ => {
                return Err(Error::new(
                    state::FEATURE_NOT_SUPPORTED,
                    "a prefix can only be asked of a column of type text",
                ));
            }
        }
        Ok(vec![ClauseAction::AddConstraint {
            kind: "{{id}}_prefix".to_owned(),
            // Kept with the table, and given back to `check`.
            options: prefix.clone(),
            definition: format!("{{KEYWORD}} PREFIX '{}'", prefix.replace('\'', "''")),
            depends_on: Vec::new(),
        }])
    }
}

/// Looks at every row that is written to such a column.
struct Prefix;

impl Constraint for Prefix {
    fn check(
        &self,
        _cx: &Context<'_>,
        definition: &ConstraintDefinition,
        rows: &Arguments,
    ) -> Result<Vec<Violation>> {
        let prefix = &definition.options;
        let Some(column) = rows.get(0) else {
            return Err(Error::new(
                state::INVALID_PARAMETER_VALUE,
                "the constraint is of one column",
            ));
        };
        let mut violations = Vec::new();
        for row in 0..rows.rows() {
            // NULL satisfies a check, as in SQL.
            let Some(text) = column.text(row) else {
                continue;
            };
            if !text.starts_with(prefix) {
                violations.push(Violation {
                    row,
                    detail: Some(format!("\"{text}\" does not begin with \"{prefix}\".")),
                    ..Violation::default()
                });
            }
        }
        Ok(violations)
    }
}

// What a server looks for in the file. To link the plugin into a server instead, leave this line to
// a cdylib crate of its own and write `heliosdb_plugin_api::plugin!({{Plugin}});` here.
heliosdb_plugin_api::export_plugin!({{Plugin}});
