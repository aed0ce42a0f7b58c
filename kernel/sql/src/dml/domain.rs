//! Values of domains held against what the domain asks.
//!
//! The conditions are kept with the base type's value called `VALUE`, and are immutable expressions of
//! built-in functions, so that they need no session; their compiled forms are those of
//! [`crate::plan::computed`].

use std::sync::Arc;

use arrow::array::{Array, ArrayRef};
use arrow::datatypes::{Field, Schema};
use arrow::record_batch::RecordBatch;

use crate::catalog::model::DomainRules;
use crate::error::{Result, SqlError, state};
use crate::plan::computed::condition;

/// What conditions call the value.
pub(crate) const VALUE: &str = "value";

impl DomainRules {
    /// 23502 or 23514 when one of the values is none of the domain.
    pub(crate) fn check(&self, values: &ArrayRef) -> Result<()> {
        if self.not_null && values.logical_null_count() > 0 {
            return Err(SqlError::new(
                state::NOT_NULL_VIOLATION,
                format!("domain {} does not allow null values", self.name),
            ));
        }
        if self.checks.is_empty() || values.is_empty() {
            return Ok(());
        }
        let field = Field::new(VALUE, values.data_type().clone(), true);
        let schema = Arc::new(Schema::new(vec![field]));
        let rows = RecordBatch::try_new(schema, vec![values.clone()])?;
        for (name, expression) in &self.checks {
            let holds = condition(expression, &rows)?;
            // NULL is not a violation.
            if holds.iter().any(|holds| holds == Some(false)) {
                return Err(SqlError::new(
                    state::CHECK_VIOLATION,
                    format!(
                        "value for domain {} violates check constraint \"{name}\"",
                        self.name
                    ),
                )
                .with_constraint(name));
            }
        }
        Ok(())
    }
}
