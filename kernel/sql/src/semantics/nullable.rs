//! A scalar subquery is NULL when it has no row, also over a column that never is.
//!
//! DataFusion takes the subquery's column at its word: `IS NULL` over it is folded to false and a
//! batch with the NULL is refused. [`scalar_subquery`] puts a function around the column that
//! changes nothing but that promise.

use std::sync::Arc;

use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::{DataFusionError, Result};
use datafusion::logical_expr::{
    ColumnarValue, Expr, LogicalPlan, Projection, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF,
    ScalarUDFImpl, Signature, Subquery, Volatility,
};

use super::function::df;
use crate::error::SqlError;

/// The subquery, with an output column that may be null. A correlated one becomes a join or a
/// subplan, whose columns are nullable already.
pub fn scalar_subquery(subquery: Subquery) -> Result<Subquery> {
    let (qualifier, field) = subquery.subquery.schema().qualified_field(0);
    if field.is_nullable() || !subquery.outer_ref_columns.is_empty() {
        return Ok(subquery);
    }
    let column = Expr::from((qualifier, field));
    let value = ScalarUDF::from(Nullable::new())
        .call(vec![column])
        .alias_qualified(qualifier.cloned(), field.name());
    let plan = Projection::try_new(vec![value], Arc::clone(&subquery.subquery))?;
    Ok(Subquery {
        subquery: Arc::new(LogicalPlan::Projection(plan)),
        ..subquery
    })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Nullable {
    signature: Signature,
}

impl Nullable {
    fn new() -> Nullable {
        Nullable {
            signature: Signature::any(1, Volatility::Immutable),
        }
    }
}

fn one_argument() -> DataFusionError {
    df(SqlError::internal("nullable takes one argument"))
}

impl ScalarUDFImpl for Nullable {
    fn name(&self) -> &str {
        "nullable"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        types.first().cloned().ok_or_else(one_argument)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let field = args.arg_fields.first().ok_or_else(one_argument)?;
        Ok(Arc::new(field.as_ref().clone().with_nullable(true)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        args.args.into_iter().next().ok_or_else(one_argument)
    }
}
