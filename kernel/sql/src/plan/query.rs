//! Plans a query, and runs a planned one with parameters against a view.

use std::cell::RefCell;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::ParamValues;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::execution::{SendableRecordBatchStream, SessionState};
use datafusion::logical_expr::{Expr, LogicalPlan, Volatility};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::scalar::ScalarValue;
use datafusion::sql::planner::PlannerContext;
use sqlparser::ast;

use super::context::{PlanContext, Uses};
use super::direct;
use super::error::convert;
use super::limit;
use super::origin;
use super::run;
use super::state::{CurrentStatement, StatementContext};
use crate::catalog::CatalogSnapshot;
use crate::error::Result;
use crate::instance::Instance;
use crate::session::info::SessionInfo;
use crate::session::outcome::ResultColumn;
use crate::types::PgType;

/// A query that is ready to run any number of times.
#[derive(Clone, Debug)]
pub(crate) struct PlannedQuery {
    /// Optimised when that may be done once, else only analysed.
    plan: LogicalPlan,
    optimised: bool,
    pub columns: Arc<[ResultColumn]>,
    pub params: Vec<PgType>,
    pub uses: Uses,
}

/// Plans a query. `params` are the types known so far of `$1`, `$2` …; the rest is inferred.
pub(crate) fn plan(
    state: &SessionState,
    catalog: &CatalogSnapshot,
    info: &Arc<SessionInfo>,
    query: ast::Query,
    params: &[Option<PgType>],
) -> Result<PlannedQuery> {
    let mut statement = ast::Statement::Query(Box::new(query));
    crate::plan::bridge::rewrite_statement(&mut statement, &info.functions())?;
    let mut types: Vec<Option<PgType>> = params
        .iter()
        .map(|t| t.clone().filter(|t| *t != PgType::Unknown))
        .collect();
    let count = parameter_count(&statement).max(types.len());
    types.resize(count, None);
    limit::infer(&statement, &mut types);
    let uses = RefCell::new(Uses::default());
    let mut plan = analyse(state, catalog, info, &uses, statement.clone(), &types)?;
    if types.iter().any(Option::is_none) {
        // What is unknown was planned as text; how it was used says what it should be.
        let found = crate::semantics::infer_parameters(&plan)?;
        for (number, ty) in &found {
            if let Some(slot) = types.get_mut(number - 1)
                && slot.is_none()
            {
                *slot = Some(ty.clone());
            }
        }
        if !found.is_empty() {
            plan = analyse(state, catalog, info, &uses, statement, &types)?;
        }
    }
    let params: Vec<PgType> = types
        .into_iter()
        .map(|t| t.unwrap_or(PgType::Text))
        .collect();
    let columns: Arc<[ResultColumn]> = origin::result_columns(&plan).into();
    let uses = uses.take();
    let keep = !is_bound_to_time(&plan) && !limit::waits_for_parameters(&plan);
    let plan = if keep {
        state
            .optimizer()
            .optimize(plan, state, |_, _| {})
            .map_err(convert)?
    } else {
        plan
    };
    Ok(PlannedQuery {
        plan,
        optimised: keep,
        columns,
        params,
        uses,
    })
}

/// Plans and types a statement.
fn analyse(
    state: &SessionState,
    catalog: &CatalogSnapshot,
    info: &Arc<SessionInfo>,
    uses: &RefCell<Uses>,
    statement: ast::Statement,
    types: &[Option<PgType>],
) -> Result<LogicalPlan> {
    let context = PlanContext::new(state, catalog, info, uses);
    let fields: Vec<Option<FieldRef>> = types
        .iter()
        .enumerate()
        .map(|(i, ty)| {
            let arrow = ty.as_ref().map_or(DataType::Utf8, PgType::arrow);
            Some(Arc::new(Field::new(format!("${}", i + 1), arrow, true)))
        })
        .collect();
    let mut planner_context = PlannerContext::new().with_prepare_param_data_types(fields);
    let plan = context
        .planner()
        .sql_statement_to_plan_with_context(statement, &mut planner_context)
        .map_err(convert)?;
    state
        .analyzer()
        .execute_and_check(plan, state.config_options(), |_, _| {})
        .map_err(convert)
}

/// The highest number of a parameter.
fn parameter_count(statement: &ast::Statement) -> usize {
    let mut count = 0;
    let _ = ast::visit_expressions(statement, |e| {
        if let Some(n) = crate::dml::assign::parameter(e) {
            count = count.max(n.min(usize::from(u16::MAX)));
        }
        std::ops::ControlFlow::<()>::Continue(())
    });
    count
}

/// Whether a plan calls a function whose value is fixed only when a statement starts, so that
/// optimising it would fix the value for ever.
fn is_bound_to_time(plan: &LogicalPlan) -> bool {
    let mut found = false;
    let _ = plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            expr.apply(|e| {
                if let Expr::ScalarFunction(f) = e {
                    found |= f.func.signature().volatility == Volatility::Stable;
                }
                Ok(if found {
                    TreeNodeRecursion::Stop
                } else {
                    TreeNodeRecursion::Continue
                })
            })
        })
    });
    found
}

/// Replaces parameters in one expression.
pub(crate) fn bind_expr(expr: Expr, params: &[ScalarValue]) -> Result<Expr> {
    if params.is_empty() {
        return Ok(expr);
    }
    expr.transform_up(|e| match &e {
        Expr::Placeholder(p) => {
            let value =
                p.id.strip_prefix('$')
                    .and_then(|n| n.parse::<usize>().ok())
                    .and_then(|n| params.get(n.wrapping_sub(1)));
            match value {
                Some(value) => Ok(Transformed::yes(Expr::Literal(value.clone(), None))),
                None => Ok(Transformed::no(e)),
            }
        }
        _ => Ok(Transformed::no(e)),
    })
    .map(|t| t.data)
    .map_err(convert)
}

impl PlannedQuery {
    /// The plan of one execution, with its parameters.
    fn bound(&self, state: &SessionState, params: &[ScalarValue]) -> Result<LogicalPlan> {
        let mut plan = self.plan.clone();
        if !self.params.is_empty() {
            plan = plan
                .replace_params_with_values(&ParamValues::from(params.to_vec()))
                .map_err(convert)?;
            if !self.optimised {
                plan = limit::fold(plan)?;
            }
        }
        if !self.optimised {
            plan = state
                .optimizer()
                .optimize(plan, state, |_, _| {})
                .map_err(convert)?;
        }
        crate::subplan::bind(plan, state).map_err(convert)
    }

    /// The physical plan of one execution. `state` gets the statement's context.
    pub fn physical(
        &self,
        instance: &Instance,
        state: &mut SessionState,
        context: StatementContext,
        params: &[ScalarValue],
    ) -> Result<Arc<dyn ExecutionPlan>> {
        state
            .config_mut()
            .set_extension(Arc::new(CurrentStatement(Some(Arc::new(context)))));
        let plan = self.bound(state, params)?;
        let planner = state.query_planner().clone();
        run::block_on(
            instance.handle(),
            planner.create_physical_plan(&plan, state),
        )
        .map_err(convert)
    }

    /// Starts one execution.
    pub fn start(
        &self,
        instance: &Instance,
        state: &mut SessionState,
        context: StatementContext,
        params: &[ScalarValue],
    ) -> Result<SendableRecordBatchStream> {
        let context = Arc::new(context);
        state
            .config_mut()
            .set_extension(Arc::new(CurrentStatement(Some(context.clone()))));
        let plan = self.bound(state, params)?;
        if let Some(batch) = direct::run(&plan, state, &context).map_err(convert)? {
            let schema = batch.schema();
            let batches = futures::stream::iter([Ok(batch)]);
            return Ok(Box::pin(RecordBatchStreamAdapter::new(schema, batches)));
        }
        let planner = state.query_planner().clone();
        let plan = run::block_on(
            instance.handle(),
            planner.create_physical_plan(&plan, state),
        )
        .map_err(convert)?;
        run::start(instance.handle(), state, plan)
    }

    /// The Arrow types of the output.
    pub fn output_types(&self) -> Vec<DataType> {
        self.plan
            .schema()
            .fields()
            .iter()
            .map(|f| f.data_type().clone())
            .collect()
    }
}
