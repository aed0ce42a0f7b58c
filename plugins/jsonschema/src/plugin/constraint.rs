//! The constraint `json_schema`: values of a column match a named schema.
//!
//! Its options are the oid of the schema, in decimal: names change.

use std::sync::Arc;

use heliosdb_plugin_api::{
    Arguments, Constraint, ConstraintDefinition, Context, Result, Violation,
};

use super::clause::not_json;
use super::named::Named;
use super::{Checker, JsonSchema};
use crate::error::Kind;
use crate::schema::Source;

pub struct JsonSchemaCheck(pub Arc<JsonSchema>);

impl Constraint for JsonSchemaCheck {
    fn check(
        &self,
        cx: &Context<'_>,
        definition: &ConstraintDefinition,
        rows: &Arguments,
    ) -> Result<Vec<Violation>> {
        let oid = definition.options.parse::<u32>().map_err(|_| {
            Kind::Damaged.error(format!(
                "constraint \"{}\" names no JSON schema",
                definition.name
            ))
        })?;
        let named = Named::new(cx)?;
        let record = named.record(oid)?;
        let schema = self.0.compiled.get(Source::named(&record), &named)?;
        let mut checker = Checker::new(cx);
        let mut found = Vec::new();
        for (column, values) in definition.columns.iter().zip(rows.iter()) {
            for row in 0..rows.rows() {
                // NULL matches, as it does any CHECK.
                if values.is_null(row) {
                    continue;
                }
                // The column's type was changed.
                let text = values.text(row).ok_or_else(|| not_json(column))?;
                let matches = checker.matches(&schema, text);
                if matches.map_err(|error| error.at_row(row))? {
                    continue;
                }
                let violations = checker.violations(&schema, text, self.0.max_errors)?;
                let name = match named.catalog().get(oid)? {
                    Some(object) => object.name,
                    None => oid.to_string(),
                };
                let detail = format!(
                    "Column \"{column}\" does not match JSON schema \"{name}\".\n{violations}"
                );
                found.push(Violation {
                    row,
                    detail: Some(detail),
                    ..Violation::default()
                });
            }
        }
        Ok(found)
    }
}
