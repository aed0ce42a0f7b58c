//! PostgreSQL's semantics over DataFusion: names, types, operators, errors.
//!
//! A statement takes these steps, each in a file of its own:
//! 1. [`rewrite`]: the syntax tree, so that literals, casts and special forms mean PostgreSQL's.
//! 2. [`joins`]: joins by columns of the same names, where it is known which columns there are.
//! 3. [`planner`]: while DataFusion plans, operators become calls of our functions; every function
//!    resolves its overload from the argument types ([`overload`]), so the plan's types are
//!    PostgreSQL's from the start.
//! 4. [`coerce`]: an analyzer rule that inserts casts and turns back into native expressions what
//!    means the same natively (comparisons, AND/OR, CASE, IN, decimal sums), for pushdown and speed.
//! 5. [`errors`]: what went wrong, in PostgreSQL's words.
//!
//! What differs from PostgreSQL and is not refused:
//! * text compares by bytes (the `C` collation);
//! * GROUP BY, DISTINCT and set operations tell apart `numeric` values of no fixed scale that are
//!   equal but written with different scales, and intervals equal only as spans (24:00 and 1 day);
//! * negative zero is less than zero in comparisons of floats;
//! * in `SELECT 'a' AS x`, x stays of unknown type one level up, where PostgreSQL makes it text;
//! * `jsonb` values order by their text;
//! * `clock_timestamp()` needs the session's [`vars::Clock`].

pub mod coerce;
pub mod common;
pub mod comparable;
pub mod derived;
pub mod errors;
pub mod function;
pub mod grouping;
pub mod joins;
pub mod kernel;
pub mod nullable;
pub mod overload;
pub mod planner;
mod recursive;
pub mod rewrite;
pub mod set_operations;
pub mod special;
pub mod ties;
mod unsupported;
pub mod vars;

use std::sync::Arc;

use datafusion::optimizer::AnalyzerRule;

pub use coerce::{coerce_expr, infer_parameters};
pub use errors::map_error;
pub use planner::expr_planners;
pub use rewrite::names::output_name;
pub use rewrite::{
    WITH_TIES, call, fetch_to_limit, frames, is_set_returning, rewrite_statement, rows_of,
};
pub use vars::SessionVars;

/// The rules that run before DataFusion's `TypeCoercion`.
pub fn analyzer_rules() -> Vec<Arc<dyn AnalyzerRule + Send + Sync>> {
    vec![
        Arc::new(grouping::Computed),
        Arc::new(ties::Ties),
        Arc::new(coerce::PostgresTypes),
        Arc::new(set_operations::SetOperations),
    ]
}

/// Sets the DataFusion options that PostgreSQL's semantics rely on.
pub fn configure(options: &mut datafusion::common::config::ConfigOptions) {
    let parser = &mut options.sql_parser;
    parser.enable_ident_normalization = true;
    parser.map_string_types_to_utf8view = true;
    parser.parse_float_as_decimal = true;
    // ASC puts NULLs last, DESC first.
    parser.default_null_ordering = "nulls_max".into();
}
