//! `VALIDATE USING SCHEMA name` after a column's type.

use heliosdb_plugin_api::{
    Clause, ClauseAction, ClauseTarget, Context, Error, Result, SqlState, state as sqlstate,
};

use super::name::Name;
use super::named::Named;

/// Makes a constraint `json_schema` of the column, which depends on the schema.
pub struct ValidateUsingSchema;

impl Clause for ValidateUsingSchema {
    fn apply(
        &self,
        cx: &Context<'_>,
        target: &ClauseTarget,
        arguments: &[String],
    ) -> Result<Vec<ClauseAction>> {
        let (Some((column, column_type)), [name]) = (&target.column, arguments) else {
            return Err(Error::new(
                sqlstate::SYNTAX_ERROR,
                "VALIDATE USING SCHEMA stands at a column and names a JSON schema",
            ));
        };
        if !matches!(column_type.as_str(), "json" | "jsonb") {
            return Err(not_json(column));
        }
        let schema = Named::new(cx)?.find(&Name::parse(name)?);
        let schema = schema.map_err(|error| match error.sqlstate {
            sqlstate::UNDEFINED_OBJECT => error.with_hint("Use CREATE JSON SCHEMA to create it."),
            _ => error,
        })?;
        Ok(vec![ClauseAction::AddConstraint {
            kind: "json_schema".to_owned(),
            options: schema.oid.to_string(),
            definition: format!("VALIDATE USING SCHEMA {{{}}}", schema.oid),
            depends_on: vec![schema.oid],
        }])
    }
}

pub fn not_json(column: &str) -> Error {
    Error::new(
        SqlState::new("42804"),
        format!("column \"{column}\" is neither of type json nor of type jsonb"),
    )
    .with_detail("VALIDATE USING SCHEMA needs such a column.")
}
