//! Expressions of indexes: what storage computes keys and predicates with.
//!
//! Such an expression is stored with its table's columns called `c0`, `c1` … by their ids, so that it
//! outlives their renaming, and it may call built-in functions that are immutable and nothing else. So it
//! needs no session: whoever opens a database, or checks or loads one, can compute it from its text and
//! the types of its columns. Compiled forms are kept for the whole process.
//!
//! A query's filter matches when it is, column by column, the same expression once it is analysed.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::{Arc, LazyLock};

use arrow::array::{ArrayRef, BooleanArray};
use arrow::datatypes::{DataType, SchemaRef};
use arrow::record_batch::RecordBatch;
use datafusion::catalog::TableProvider;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column as PlanColumn, DFSchema, TableReference};
use datafusion::config::ConfigOptions;
use datafusion::datasource::empty::EmptyTable;
use datafusion::datasource::provider_as_source;
use datafusion::error::Result as PlanResult;
use datafusion::execution::SessionState;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::logical_expr::planner::ExprPlanner;
use datafusion::logical_expr::{
    AggregateUDF, Expr, ExprSchemable, HigherOrderUDF, ScalarUDF, TableSource, Volatility,
    WindowUDF,
};
use datafusion::scalar::ScalarValue;
use datafusion::sql::planner::{ContextProvider, ParserOptions, SqlToRel};
use heliosdb_storage::expression::{ExpressionError, Expressions as Evaluate};
use heliosdb_storage::schema::ColumnType;
use parking_lot::Mutex;
use sqlparser::ast;

use super::compile::{Expressions, Program, select, table_factor};
use super::error::{convert, wrap};
use crate::catalog::meta::TableMeta;
use crate::catalog::model::{IndexExpression, Table};
use crate::ddl::index_labels::label_in;
use crate::error::{Result, SqlError, state};
use crate::functions::Functions;
use crate::names::{fold, quoted_ident};
use crate::pg_catalog::names::quote_ident;
use crate::routine::Names;
use crate::semantics::function::PgFunction;
use crate::semantics::overload::{self, pg_type};
use crate::semantics::special::PgCast;
use crate::session::statement::parse_expression;
use crate::types::PgType;
use crate::types::enumeration::reuses;

/// What the row is called that expressions read.
const ROW: &str = "row";
/// Compiled expressions kept; past it all are made again.
const COMPILED_MAX: usize = 1024;

/// An expression over the inputs that its schema names.
pub(crate) struct Compiled {
    /// Without qualifiers and aliases.
    pub logical: Expr,
    program: Program,
}

/// By text and schema, and for what Arrow types stand for ([`reuses`]).
type Compilations = HashMap<(String, SchemaRef, u64), Arc<Compiled>>;

static COMPILED: LazyLock<Mutex<Compilations>> = LazyLock::new(Mutex::default);

/// Planning costs a state with some hundred functions; there is one.
static STATE: LazyLock<SessionState> =
    LazyLock::new(|| super::state::new_state(Arc::new(RuntimeEnv::default()), 1));

/// Storage's door to this module.
#[derive(Clone, Copy, Debug, Default)]
pub struct IndexExpressions;

impl Evaluate for IndexExpressions {
    fn evaluate(
        &self,
        expression: &str,
        rows: &RecordBatch,
        ty: &ColumnType,
    ) -> Result<ArrayRef, ExpressionError> {
        evaluate(expression, rows, &ty.arrow()).map_err(|error| ExpressionError {
            sqlstate: error.code.0,
            message: error.message,
        })
    }
}

fn evaluate(expression: &str, rows: &RecordBatch, ty: &DataType) -> Result<ArrayRef> {
    let compiled = compile(expression, &rows.schema())?;
    let values = compiled.program.run_one(0, rows)?;
    match values.data_type() == ty {
        true => Ok(values),
        // Only the spelling of a type may differ, such as that of strings.
        false => Ok(arrow::compute::cast(&values, ty)?),
    }
}

/// The values per row of a condition over columns of the names that it has.
pub(crate) fn condition(expression: &str, rows: &RecordBatch) -> Result<BooleanArray> {
    compile(expression, &rows.schema())?
        .program
        .condition(0, rows)
}

/// The compiled form of an expression over columns named `cn`.
pub(crate) fn compile(expression: &str, schema: &SchemaRef) -> Result<Arc<Compiled>> {
    let key = (expression.to_owned(), schema.clone(), reuses());
    if let Some(known) = COMPILED.lock().get(&key) {
        return Ok(known.clone());
    }
    let compiled = Arc::new(plan(expression, schema)?);
    let mut all = COMPILED.lock();
    if all.len() >= COMPILED_MAX {
        all.clear();
    }
    all.insert(key, compiled.clone());
    Ok(compiled)
}

fn plan(expression: &str, schema: &SchemaRef) -> Result<Compiled> {
    let context = Context {
        schema: schema.clone(),
        functions: Functions::builtin(),
        planners: crate::semantics::expr_planners(Functions::builtin()),
    };
    let item = ast::SelectItem::ExprWithAlias {
        expr: parse_expression(expression)?,
        alias: quoted_ident("value"),
    };
    let query = select(vec![item], vec![table_factor(ROW)]);
    let mut statement = ast::Statement::Query(Box::new(query));
    super::bridge::rewrite_statement(&mut statement, &context.functions, Names::Stored, None)?;
    let options = ParserOptions::from(&STATE.config_options().sql_parser);
    let plan = SqlToRel::new_with_options(&context, options)
        .sql_statement_to_plan(statement)
        .map_err(convert)?;
    let plan = STATE
        .analyzer()
        .execute_and_check(plan, STATE.config_options(), |_, _| {})
        .map_err(convert)?;
    let expressions = Expressions::of(plan, Default::default(), "index expressions")?;
    Ok(Compiled {
        logical: bare(expressions.simplified(&STATE, 0)?, |column| {
            column.name.clone()
        }),
        program: expressions.program(&STATE, &[])?,
    })
}

/// An expression with other names for its columns, and without qualifiers and aliases.
fn bare(expr: Expr, name: impl Fn(&PlanColumn) -> String) -> Expr {
    let renamed = expr.clone().transform_up(|e| {
        Ok(match e {
            Expr::Column(column) => {
                let column = PlanColumn::new_unqualified(name(&column));
                Transformed::yes(Expr::Column(column))
            }
            Expr::Alias(alias) => Transformed::yes(*alias.expr),
            // As storage has a label.
            Expr::Literal(ScalarValue::TimestampSecond(key, Some(_)), metadata) => {
                Transformed::yes(Expr::Literal(ScalarValue::Int64(key), metadata))
            }
            other => Transformed::no(other),
        })
    });
    renamed.map_or(expr, |renamed| renamed.data)
}

/// A filter's expression as [`Compiled::logical`] would have it.
pub(crate) fn normal(meta: &TableMeta, expr: &Expr) -> Expr {
    bare(expr.clone(), |column| {
        match meta.position_by_name(&column.name) {
            Some(at) => stored_name(meta.columns[at].id.0),
            None => column.name.clone(),
        }
    })
}

fn stored_name(column: u16) -> String {
    format!("c{column}")
}

/// An expression that names a table's columns, as the catalog keeps it.
pub(crate) fn to_stored(expr: &ast::Expr, table: &Table) -> String {
    rename(expr.clone(), |name| {
        table.column(name).map(|(id, _)| stored_name(id.0))
    })
}

/// The reverse of [`to_stored`], with the names of now.
pub(crate) fn shown(expression: &IndexExpression, table: &Table) -> String {
    let Ok(expr) = parse_expression(&expression.expression) else {
        return expression.expression.clone();
    };
    let mut expr = expr;
    let _ = ast::visit_expressions_mut(&mut expr, |e| {
        if let Some(label) = label_in(e, table) {
            *e = ast::Expr::value(ast::Value::SingleQuotedString(label));
        }
        ControlFlow::<()>::Continue(())
    });
    rename(expr, |name| {
        let id: u16 = name.strip_prefix('c')?.parse().ok()?;
        table.column_at(id).map(|column| quote_ident(&column.name))
    })
}

fn rename(mut expr: ast::Expr, name: impl Fn(&str) -> Option<String>) -> String {
    let _ = ast::visit_expressions_mut(&mut expr, |e| {
        let column = match &*e {
            ast::Expr::Identifier(ident) => Some(fold(ident)),
            ast::Expr::CompoundIdentifier(parts) => parts.last().map(fold),
            _ => None,
        };
        if let Some(new) = column.and_then(|column| name(&column)) {
            *e = ast::Expr::Identifier(ast::Ident::new(new));
        }
        ControlFlow::<()>::Continue(())
    });
    expr.to_string()
}

/// Whether an analysed expression gives the same for the same input in every session for ever.
pub(crate) fn is_immutable(expr: &Expr, schema: &DFSchema) -> Result<bool> {
    let mut immutable = true;
    expr.apply(|e| {
        immutable &= match e {
            Expr::ScalarFunction(call) => {
                let types = call.args.iter().map(|arg| arg.get_type(schema));
                let types = types.collect::<PlanResult<Vec<_>>>()?;
                is_immutable_call(&call.func, &types)
            }
            Expr::Cast(cast) => {
                let from = cast.expr.get_type(schema)?;
                is_immutable_cast(&pg_type(&from), &pg_type(cast.field.data_type()))
            }
            Expr::AggregateFunction(_) | Expr::WindowFunction(_) | Expr::Placeholder(_) => false,
            _ => true,
        };
        Ok(match immutable {
            true => TreeNodeRecursion::Continue,
            false => TreeNodeRecursion::Stop,
        })
    })
    .map_err(convert)?;
    Ok(immutable)
}

fn is_immutable_call(function: &ScalarUDF, types: &[DataType]) -> bool {
    let inner: &dyn std::any::Any = function.inner().as_ref();
    if let Some(cast) = inner.downcast_ref::<PgCast>() {
        return types
            .iter()
            .all(|from| is_immutable_cast(&pg_type(from), &cast.to));
    }
    let Some(function) = inner.downcast_ref::<PgFunction>() else {
        return function.signature().volatility == Volatility::Immutable;
    };
    // What is made of a time with zone depends on the session's zone, unless the call names one, or tells how
    // long it is between two of them.
    let is_zoned = |ty: &DataType| *item(&pg_type(ty)) == PgType::TimestampTz;
    match function.volatility_for(types) {
        Some(overload::Volatility::Immutable) => match evaluated_name(function) {
            "timezone" => true,
            "$-" if types.iter().all(is_zoned) => true,
            _ => !types.iter().any(is_zoned),
        },
        _ => false,
    }
}

fn evaluated_name(function: &PgFunction) -> &str {
    use datafusion::logical_expr::ScalarUDFImpl;
    function.name()
}

/// The type of an array's items; any other type itself.
fn item(ty: &PgType) -> &PgType {
    match ty {
        PgType::Array(item) => item,
        other => other,
    }
}

/// Labels of enums may be renamed. Texts of times depend on DateStyle and TimeZone; so do times with zone as times without.
fn is_immutable_cast(from: &PgType, to: &PgType) -> bool {
    let is_time = |ty: &PgType| ty.category() == 'D' || *ty == PgType::Interval;
    let zoned = |ty: &PgType| *ty == PgType::TimestampTz;
    if from == to {
        return true;
    }
    let (from, to) = (item(from), item(to));
    if zoned(from) || zoned(to) {
        return false;
    }
    let is_unstable = |ty: &PgType| is_time(ty) || matches!(ty, PgType::Enum(_));
    !((is_unstable(from) || is_unstable(to)) && (from.is_string() || to.is_string()))
}

/// The one relation there is, and the built-in functions.
struct Context {
    schema: SchemaRef,
    functions: Arc<Functions>,
    planners: Vec<Arc<dyn ExprPlanner>>,
}

impl ContextProvider for Context {
    fn get_table_source(&self, name: TableReference) -> PlanResult<Arc<dyn TableSource>> {
        match name {
            TableReference::Bare { table } if &*table == ROW => {
                let table: Arc<dyn TableProvider> = Arc::new(EmptyTable::new(self.schema.clone()));
                Ok(provider_as_source(table))
            }
            other => Err(wrap(SqlError::new(
                state::UNDEFINED_TABLE,
                format!("relation \"{other}\" does not exist"),
            ))),
        }
    }

    fn get_function_meta(&self, name: &str) -> Option<Arc<ScalarUDF>> {
        let found = self.functions.scalar(name);
        found.or_else(|| Some(self.functions.missing(name)))
    }

    fn get_higher_order_meta(&self, _: &str) -> Option<Arc<HigherOrderUDF>> {
        None
    }

    fn get_aggregate_meta(&self, _: &str) -> Option<Arc<AggregateUDF>> {
        None
    }

    fn get_window_meta(&self, _: &str) -> Option<Arc<WindowUDF>> {
        None
    }

    fn get_variable_type(&self, _: &[String]) -> Option<DataType> {
        None
    }

    fn get_expr_planners(&self) -> &[Arc<dyn ExprPlanner>] {
        &self.planners
    }

    fn options(&self) -> &ConfigOptions {
        STATE.config_options()
    }

    fn udf_names(&self) -> Vec<String> {
        Vec::new()
    }

    fn higher_order_function_names(&self) -> Vec<String> {
        Vec::new()
    }

    fn udaf_names(&self) -> Vec<String> {
        Vec::new()
    }

    fn udwf_names(&self) -> Vec<String> {
        Vec::new()
    }
}
