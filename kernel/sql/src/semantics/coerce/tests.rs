//! Parameters get the types that PostgreSQL would give them.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field};
use datafusion::common::config::ConfigOptions;
use datafusion::logical_expr::expr::Placeholder;
use datafusion::logical_expr::{Expr, LogicalPlanBuilder, col, lit};
use datafusion::optimizer::AnalyzerRule;

use super::{PostgresTypes, infer_parameters};
use crate::functions::scalar;
use crate::types::PgType;

fn unknown(n: usize) -> Expr {
    let field = Arc::new(Field::new("", DataType::Utf8, true));
    Expr::Placeholder(Placeholder::new_with_field(format!("${n}"), Some(field)))
}

/// A parameter takes the type of what it is compared with or added to, as a literal would.
#[test]
fn parameters_take_their_types_from_their_surroundings() {
    let call = |f: &str, a: Expr, b: Expr| scalar(f).unwrap().call(vec![a, b]);
    let plan = LogicalPlanBuilder::values(vec![vec![lit(1i32), lit(2i64)]])
        .unwrap()
        .filter(call("$=", col("column1"), unknown(1)))
        .unwrap()
        .project(vec![call("$+", col("column2"), unknown(2)).alias("sum")])
        .unwrap()
        .build()
        .unwrap();
    let plan = PostgresTypes
        .analyze(plan, &ConfigOptions::default())
        .unwrap();
    let mut found = infer_parameters(&plan).unwrap();
    found.sort_by_key(|(n, _)| *n);
    assert_eq!(found, [(1, PgType::Int4), (2, PgType::Int8)]);
}
