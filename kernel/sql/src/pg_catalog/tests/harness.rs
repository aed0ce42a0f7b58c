//! Runs queries over the fixture through DataFusion alone: no storage, no sessions.

use std::sync::Arc;

use datafusion::arrow::array::{Array, AsArray};
use datafusion::arrow::datatypes::{DataType, FieldRef, UInt32Type};
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::common::{DataFusionError, Result, TableReference};
use datafusion::config::ConfigOptions;
use datafusion::datasource::cte_worktable::CteWorkTable;
use datafusion::datasource::provider_as_source;
use datafusion::execution::SessionStateBuilder;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::planner::ExprPlanner;
use datafusion::logical_expr::{AggregateUDF, HigherOrderUDF, ScalarUDF, TableSource, WindowUDF};
use datafusion::physical_plan::collect;
use datafusion::prelude::SessionConfig;
use datafusion::sql::planner::{ContextProvider, ParserOptions, SqlToRel};
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::parser::Parser;

use crate::error::SqlError;
use crate::pg_catalog::datum::{PG_TYPE_KEY, Type};
use crate::pg_catalog::{
    SessionView, SystemContext, names, rewrite, scalar_function, system_table,
};
use crate::subplan;
use crate::types::{Format, PgType, encode_text};
use crate::{functions, semantics};

pub struct Harness {
    state: SessionState,
    session: Arc<dyn SessionView>,
}

struct Provider<'a>(&'a Harness);

impl ContextProvider for Provider<'_> {
    fn get_table_source(&self, name: TableReference) -> Result<Arc<dyn TableSource>> {
        let schema = name.schema().unwrap_or("pg_catalog");
        let table = system_table(schema, name.table(), &self.0.session)
            .ok_or_else(|| DataFusionError::Plan(format!("relation \"{name}\" does not exist")))?;
        Ok(provider_as_source(table))
    }

    fn create_cte_work_table(
        &self,
        name: &str,
        schema: datafusion::arrow::datatypes::SchemaRef,
    ) -> Result<Arc<dyn TableSource>> {
        Ok(provider_as_source(Arc::new(CteWorkTable::new(
            name, schema,
        ))))
    }

    fn get_expr_planners(&self) -> &[Arc<dyn ExprPlanner>] {
        self.0.state.expr_planners()
    }

    fn get_function_meta(&self, name: &str) -> Option<Arc<ScalarUDF>> {
        if name == subplan::ARRAY_SUBQUERY {
            return Some(subplan::array_subquery());
        }
        scalar_function(name, &self.0.session)
            .or_else(|| self.0.state.scalar_functions().get(name).cloned())
    }

    fn get_higher_order_meta(&self, _: &str) -> Option<Arc<HigherOrderUDF>> {
        None
    }

    fn get_aggregate_meta(&self, name: &str) -> Option<Arc<AggregateUDF>> {
        self.0.state.aggregate_functions().get(name).cloned()
    }

    fn get_window_meta(&self, name: &str) -> Option<Arc<WindowUDF>> {
        self.0.state.window_functions().get(name).cloned()
    }

    fn get_variable_type(&self, _: &[String]) -> Option<DataType> {
        None
    }

    fn options(&self) -> &ConfigOptions {
        self.0.state.config_options()
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

impl Harness {
    pub fn new() -> Harness {
        let session = super::fixture::Session::over(super::fixture::catalog());
        let mut options = ConfigOptions::new();
        semantics::configure(&mut options);
        let config = SessionConfig::from(options).with_target_partitions(1);
        let builder = SessionStateBuilder::new()
            .with_config(config)
            .with_default_features();
        let state = functions::session_state(builder)
            .with_analyzer_rule(Arc::new(subplan::Subplans))
            .build();
        Harness { state, session }
    }

    /// Plans and runs one query.
    pub fn query(&self, sql: &str) -> Result<(Vec<FieldRef>, Vec<RecordBatch>)> {
        let mut statement = Parser::new(&PostgreSqlDialect {})
            .try_with_sql(sql)
            .and_then(|mut p| p.parse_statement())
            .map_err(|e| DataFusionError::Plan(e.to_string()))?;
        rewrite::statement(&mut statement)
            .and_then(|()| {
                semantics::rewrite_statement(&mut statement, &functions::Functions::builtin())
            })
            .map_err(|e| DataFusionError::External(Box::new(e)))?;
        let provider = Provider(self);
        let options = ParserOptions::from(&self.state.config_options().sql_parser);
        let plan =
            SqlToRel::new_with_options(&provider, options).sql_statement_to_plan(statement)?;
        let plan = self.state.analyzer().execute_and_check(
            plan,
            self.state.config_options(),
            |_, _| {},
        )?;
        let fields = plan.schema().fields().iter().cloned().collect();
        let plan = subplan::bind(plan, &self.state)?;
        let plan = self
            .state
            .optimizer()
            .optimize(plan, &self.state, |_, _| {})?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|e| DataFusionError::Execution(e.to_string()))?;
        let batches = runtime.block_on(async {
            let physical = self
                .state
                .query_planner()
                .create_physical_plan(&plan, &self.state)
                .await?;
            collect(physical, self.state.task_ctx()).await
        })?;
        Ok((fields, batches))
    }

    /// The answer as psql's unaligned output, with a line of column types.
    pub fn answer(&self, sql: &str) -> String {
        let (fields, batches) = match self.query(sql) {
            Ok(answer) => answer,
            Err(error) => return format!("ERROR: {}\n", shown(error)),
        };
        let ctx = SystemContext::new(&self.session);
        let names: Vec<&str> = fields
            .iter()
            .map(|f| semantics::output_name(f.name()))
            .collect();
        let types: Vec<String> = fields
            .iter()
            .map(|f| names::format_type(&ctx, type_of(f), None))
            .collect();
        let mut out = format!("{}\n{}\n", names.join("|"), types.join("|"));
        for batch in &batches {
            for row in 0..batch.num_rows() {
                let cells: Vec<String> = batch
                    .columns()
                    .iter()
                    .zip(&fields)
                    .map(|(array, field)| cell(&ctx, array, row, type_of(field)))
                    .collect();
                out.push_str(&cells.join("|"));
                out.push('\n');
            }
        }
        out
    }
}

fn shown(error: DataFusionError) -> SqlError {
    if let DataFusionError::External(inner) = &error
        && let Some(ours) = inner.downcast_ref::<SqlError>()
    {
        return ours.clone();
    }
    semantics::map_error(error)
}

/// The type a client is told.
fn type_of(field: &FieldRef) -> u32 {
    if let Some(oid) = field
        .metadata()
        .get(PG_TYPE_KEY)
        .and_then(|oid| oid.parse().ok())
    {
        return oid;
    }
    match PgType::from_arrow(field.data_type()) {
        None | Some(PgType::Unknown) => PgType::Text.oid(),
        Some(ty) => ty.oid(),
    }
}

fn cell(ctx: &SystemContext, array: &dyn Array, row: usize, oid: u32) -> String {
    if array.is_null(row) {
        return String::new();
    }
    let reg = [Type::Regclass, Type::Regtype, Type::Regproc]
        .into_iter()
        .find(|t| t.oid() == oid);
    if let (Some(ty), DataType::UInt32) = (reg, array.data_type()) {
        return names::print(ctx, ty, array.as_primitive::<UInt32Type>().value(row));
    }
    let ty = PgType::from_oid(oid)
        .or_else(|| PgType::from_arrow(array.data_type()))
        .unwrap_or(PgType::Text);
    let mut out = String::new();
    encode_text(array, row, &ty, &Format::default(), &mut out);
    out
}
