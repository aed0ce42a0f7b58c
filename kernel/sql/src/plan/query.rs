//! Plans a query, and runs a planned one with parameters against a view.

use std::borrow::Cow;
use std::cell::RefCell;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, SchemaRef};
use datafusion::common::ParamValues;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::execution::SessionState;
use datafusion::logical_expr::{Expr, LogicalPlan, Volatility};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::scalar::ScalarValue;
use datafusion::sql::planner::PlannerContext;
use heliosdb_storage::ReadView;
use sqlparser::ast;

use super::as_of;
use super::as_of::syntax::Moment;
use super::as_of::time::When;
use super::context::{PlanContext, Uses};
use super::effects::{self, one_by_one};
use super::error::convert;
use super::fast::{self, FastQuery};
use super::limit;
use super::origin::{self, Plans};
use super::returned::Scope;
use super::run::{self, QueryRows};
use super::state::{CurrentStatement, StatementContext};
use super::windows;
use crate::branch::access;
use crate::catalog::CatalogSnapshot;
use crate::error::{Result, SqlError, state};
use crate::instance::Instance;
use crate::place::{self, Others};
use crate::routine::Names;
use crate::semantics::SessionVars;
use crate::session::explain::Started;
use crate::session::info::SessionInfo;
use crate::session::outcome::ResultColumn;
use crate::session::planning::LazyState;
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
    /// What to plan again, when the query reads tables at other times.
    source: Option<Arc<Source>>,
    /// The same compiled, when it is one for the fast path.
    fast: Option<Arc<FastQuery>>,
}

/// A query, ready to be planned.
#[derive(Debug)]
struct Source {
    info: Arc<SessionInfo>,
    statement: ast::Statement,
    /// When tables are read, by slot.
    times: Vec<Moment>,
    /// Of the parameters; what is not known is inferred.
    types: Vec<Option<PgType>>,
    /// The columns of rows that other parts of the statement give.
    slots: Arc<[SchemaRef]>,
}

/// Plans a query. `params` are the types known so far of `$1`, `$2` …; the rest is inferred.
pub(crate) fn plan(
    state: &SessionState,
    catalog: &CatalogSnapshot,
    info: &Arc<SessionInfo>,
    query: ast::Query,
    params: &[Option<PgType>],
) -> Result<PlannedQuery> {
    plan_in(state, catalog, info, query, params, &Scope::default())
}

/// Plans a query of a part of a statement.
pub(crate) fn plan_in(
    state: &SessionState,
    catalog: &CatalogSnapshot,
    info: &Arc<SessionInfo>,
    query: ast::Query,
    params: &[Option<PgType>],
    scope: &Scope,
) -> Result<PlannedQuery> {
    let query = scope.around(query);
    let mut statement = ast::Statement::Query(Box::new(query));
    let times = as_of::reference::take(&mut statement, &info.database, 0)?;
    let role = info.role();
    crate::plan::bridge::rewrite_statement(
        &mut statement,
        &info.functions(),
        Names::Statement,
        Some(&role),
    )?;
    let mut types: Vec<Option<PgType>> = params
        .iter()
        .map(|t| t.clone().filter(|t| *t != PgType::Unknown))
        .collect();
    let in_times = times.iter().flat_map(Moment::exprs).map(parameter_count);
    let count = in_times.fold(parameter_count(&statement).max(types.len()), usize::max);
    types.resize(count, None);
    limit::infer(&statement, &mut types);
    windows::infer(&statement, &mut types);
    as_of::time::infer(&times, &mut types);
    let source = Source {
        info: info.clone(),
        statement,
        times,
        types,
        slots: Arc::clone(&scope.slots),
    };
    source.plan(state, catalog, None)
}

impl Source {
    /// Plans; with values of the parameters for the times that they say.
    fn plan(
        mut self,
        state: &SessionState,
        catalog: &CatalogSnapshot,
        params: Option<&[ScalarValue]>,
    ) -> Result<PlannedQuery> {
        let uses = RefCell::new(Uses::default());
        let whens = self.plan_times(state, catalog, &uses)?;
        let given = match params {
            _ if whens.is_empty() => None,
            Some(params) => Some(params.to_vec()),
            None => self.info.given_parameters(&self.types)?,
        };
        let given = given.as_deref();
        let mut plans = self.analyse(state, catalog, &whens, given, &uses)?;
        if self.types.iter().any(Option::is_none) {
            // What is unknown was planned as text; how it was used says what it should be.
            let found = origin::parameters(&plans)?;
            self.infer(&found);
            if !found.is_empty() {
                plans = self.analyse(state, catalog, &whens, given, &uses)?;
            }
        }
        let params: Vec<PgType> = self
            .types
            .iter()
            .map(|t| t.clone().unwrap_or(PgType::Text))
            .collect();
        let columns: Arc<[ResultColumn]> = origin::result_columns(&plans).into();
        let plan = plans.typed;
        let mut uses = uses.take();
        uses.settle(&self.info);
        let keep = !is_bound_to_time(&plan) && !waits_for_parameters(&plan);
        let optimise = |plan| effects::optimise(state, plan, uses.effects).map_err(convert);
        let plan = if keep { optimise(plan)? } else { plan };
        let mut fast = None;
        if !uses.writes && fast::may_compile(&plan) {
            let (limit, timeless) = match keep {
                true => (None, Some(Cow::Borrowed(&plan))),
                false => {
                    let (limit, inner) = limit::take_top(&plan);
                    let inner = fast::without_moments(inner.clone(), params.len())?;
                    let timeless = !is_bound_to_time(&inner) && !waits_for_parameters(&inner);
                    let inner = timeless.then(|| optimise(inner)).transpose()?;
                    (limit, inner.map(Cow::Owned))
                }
            };
            if let Some(plan) = timeless {
                // What does not compile fails, if at all, where the general route has it fail.
                let compiled = FastQuery::compile(&plan, &params, state).unwrap_or(None);
                fast = compiled.map(|query| query.with_limit(limit));
            }
        }
        let source = (!uses.times.is_empty()).then(|| Arc::new(self));
        Ok(PlannedQuery {
            plan,
            optimised: keep,
            columns,
            params,
            uses,
            source,
            fast: fast.map(Arc::new),
        })
    }

    /// Plans again for the times that these values say, in the catalog that the statement sees.
    fn again(&self, state: &SessionState, params: &[ScalarValue]) -> Result<PlannedQuery> {
        let source = Source {
            info: self.info.clone(),
            statement: self.statement.clone(),
            times: self.times.clone(),
            types: self.types.clone(),
            slots: Arc::clone(&self.slots),
        };
        source.plan(state, &self.info.catalog(), Some(params))
    }

    /// Plans when tables are read, which may tell types of parameters.
    fn plan_times(
        &mut self,
        state: &SessionState,
        catalog: &CatalogSnapshot,
        uses: &RefCell<Uses>,
    ) -> Result<Vec<When>> {
        if self.times.is_empty() {
            return Ok(Vec::new());
        }
        let info = self.info.clone();
        let context = PlanContext::new(state, catalog, &info, uses);
        let mut found = Vec::new();
        let whens = as_of::time::plan(&context, &self.times, &self.types, &mut found)?;
        if !self.infer(&found) {
            return Ok(whens);
        }
        as_of::time::plan(&context, &self.times, &self.types, &mut found)
    }

    /// Takes over what was found of parameters whose types are not known; false when it was nothing.
    fn infer(&mut self, found: &[(usize, PgType)]) -> bool {
        let mut some = false;
        for (number, ty) in found {
            if let Some(slot) = self.types.get_mut(number - 1)
                && slot.is_none()
            {
                *slot = Some(ty.clone());
                some = true;
            }
        }
        some
    }

    /// Plans and types the statement.
    fn analyse(
        &self,
        state: &SessionState,
        catalog: &CatalogSnapshot,
        times: &[When],
        params: Option<&[ScalarValue]>,
        uses: &RefCell<Uses>,
    ) -> Result<Plans> {
        uses.borrow_mut().times.clear();
        let context = PlanContext::new(state, catalog, &self.info, uses);
        let context = context.with_returned(&self.slots);
        context.add_times(times, params)?;
        let mut planner_context = parameter_fields(&self.types);
        let mut statement = self.statement.clone();
        context.merge_joins(&mut statement)?;
        let planned = context
            .planner()
            .sql_statement_to_plan_with_context(statement, &mut planner_context)
            .map_err(convert)?;
        context.check_reads(&planned, 0).map_err(convert)?;
        let typed = state
            .analyzer()
            .execute_and_check(planned.clone(), state.config_options(), |_, _| {})
            .map_err(convert)?;
        Ok(Plans { planned, typed })
    }
}

/// What the planner is told of parameters. One of unknown type is text.
pub(super) fn parameter_fields(types: &[Option<PgType>]) -> PlannerContext {
    let fields = types
        .iter()
        .enumerate()
        .map(|(i, ty)| {
            let arrow = ty.as_ref().map_or(DataType::Utf8, PgType::arrow);
            Some(Arc::new(Field::new(format!("${}", i + 1), arrow, true)) as FieldRef)
        })
        .collect();
    PlannerContext::new().with_prepare_param_data_types(fields)
}

/// The highest number of a parameter.
fn parameter_count(syntax: &impl ast::Visit) -> usize {
    let mut count = 0;
    let _ = ast::visit_expressions(syntax, |e| {
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

/// Whether a plan has parts that DataFusion runs only as literals, and that are not known without parameters.
fn waits_for_parameters(plan: &LogicalPlan) -> bool {
    limit::waits_for_parameters(plan) || windows::waits_for_parameters(plan)
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
    /// Whether it groups rows.
    pub fn aggregates(&self) -> bool {
        let is = |plan: &LogicalPlan| Ok(matches!(plan, LogicalPlan::Aggregate(_)));
        self.plan.exists(is).unwrap_or(true)
    }

    /// The plan of one execution, with its parameters.
    fn bound(&self, state: &SessionState, params: &[ScalarValue]) -> Result<LogicalPlan> {
        let mut plan = self.plan.clone();
        if !self.params.is_empty() {
            let values = ParamValues::from(params.to_vec());
            plan = crate::subplan::with_parameters(plan, &values).map_err(convert)?;
            if !self.optimised {
                plan = limit::fold(plan)?;
            }
        }
        if !self.optimised {
            plan = effects::optimise(state, plan, self.uses.effects).map_err(convert)?;
        }
        crate::subplan::bind(plan, state).map_err(convert)
    }

    /// The views of one execution's other times, and the query as planned for their catalogs.
    fn at_times(
        &self,
        instance: &Instance,
        state: &SessionState,
        params: &[ScalarValue],
    ) -> Result<(Cow<'_, PlannedQuery>, Vec<ReadView>)> {
        let Some(source) = &self.source else {
            return Ok((Cow::Borrowed(self), Vec::new()));
        };
        let engine = instance.engine();
        let own = SessionVars::of(state.config_options())
            .snapshot()?
            .timeline();
        let others = Others::default();
        let views = |planned: &PlannedQuery| -> Result<Option<Vec<ReadView>>> {
            let mut views = Vec::with_capacity(planned.uses.times.len());
            for slot in &planned.uses.times {
                // The name may be another branch's by now, or the role not be let in any more.
                let is_same = slot.access.as_ref().is_none_or(|(branch, access)| {
                    let name = slot.when.branch();
                    name.and_then(|name| engine.timeline(name)) == Some(*branch)
                        && access::lists(engine, *branch).is_ok_and(|now| now == *access)
                });
                if !is_same {
                    return Ok(None);
                }
                let view = slot
                    .when
                    .view(engine, state, Some(params), &others)?
                    .ok_or_else(|| SqlError::internal("a time without its parameters"))?;
                if instance.catalog_version(&view)? != slot.catalog.version {
                    return Ok(None);
                }
                let in_force = place::in_force(engine, &view)?;
                let is_planned = match &slot.present {
                    None => in_force == own,
                    Some(present) => {
                        let now = others.view(engine, in_force)?;
                        in_force == present.timeline
                            && instance.catalog_version(&now)? == present.catalog.version
                    }
                };
                if !is_planned {
                    return Ok(None);
                }
                views.push(view);
            }
            Ok(Some(views))
        };
        if let Some(views) = views(self)? {
            return Ok((Cow::Borrowed(self), views));
        }
        let again = source.again(state, params)?;
        let same = self.columns.len() == again.columns.len()
            && self
                .columns
                .iter()
                .zip(again.columns.iter())
                .all(|(a, b)| a.ty == b.ty);
        if !same {
            return Err(SqlError::result_type_changed());
        }
        match views(&again)? {
            Some(views) => Ok((Cow::Owned(again), views)),
            None => Err(SqlError::new(
                state::SERIALIZATION_FAILURE,
                "a branch was changed while a statement that reads it was planned",
            )),
        }
    }

    /// Whether it holds nothing of the session that planned it.
    pub fn is_shareable(&self) -> bool {
        self.source.is_none()
    }

    /// The compiled query, when it needs nothing that has to be planned for an execution.
    pub fn compiled(&self) -> Option<&FastQuery> {
        self.fast.as_deref().filter(|_| self.source.is_none())
    }

    /// The query as it is for the times of one execution, which the context gets.
    fn resolve(
        &self,
        instance: &Instance,
        state: &LazyState,
        context: &mut StatementContext,
        params: &[ScalarValue],
    ) -> Result<Cow<'_, PlannedQuery>> {
        if self.source.is_none() {
            return Ok(Cow::Borrowed(self));
        }
        let (planned, times) = self.at_times(instance, state, params)?;
        context.times = times;
        Ok(planned)
    }

    /// What EXPLAIN says, when the fast path would run it.
    pub fn explain_fast(
        &self,
        instance: &Instance,
        state: &LazyState,
        mut context: StatementContext,
        params: &[ScalarValue],
    ) -> Result<Option<Vec<String>>> {
        let planned = self.resolve(instance, state, &mut context, params)?;
        match &planned.fast {
            Some(fast) if context.fast => fast.explain(&context, params, &state.format()),
            _ => Ok(None),
        }
    }

    /// The physical plan of one execution. `state` gets the statement's context.
    pub fn physical(
        &self,
        instance: &Instance,
        state: &mut LazyState,
        mut context: StatementContext,
        params: &[ScalarValue],
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let planned = self.resolve(instance, state, &mut context, params)?;
        state
            .config_mut()
            .set_extension(Arc::new(CurrentStatement(Some(Arc::new(context)))));
        if self.uses.effects {
            one_by_one(state);
        }
        let plan = planned.bound(state, params)?;
        let planner = state.query_planner().clone();
        run::block_on(
            instance.handle(),
            planner.create_physical_plan(&plan, &*state as &SessionState),
        )
        .map_err(convert)
    }

    /// Starts one execution.
    pub fn start(
        &self,
        instance: &Instance,
        state: &mut LazyState,
        mut context: StatementContext,
        params: &[ScalarValue],
    ) -> Result<QueryRows> {
        let planned = self.resolve(instance, state, &mut context, params)?;
        if context.fast
            && let Some(fast) = &planned.fast
            && let Some(batch) = fast.run(&context, params)?
        {
            if let Some(watch) = &context.watch {
                let lines =
                    fast.described(&context, params, &state.format(), Some(batch.num_rows()))?;
                watch.note(self, || Started::Compiled(lines));
            }
            return Ok(QueryRows::batch(batch));
        }
        let watch = context.watch.clone();
        state
            .config_mut()
            .set_extension(Arc::new(CurrentStatement(Some(Arc::new(context)))));
        if self.uses.effects {
            one_by_one(state);
        }
        let state: &SessionState = state;
        let plan = planned.bound(state, params)?;
        let planner = state.query_planner().clone();
        let plan = run::block_on(
            instance.handle(),
            planner.create_physical_plan(&plan, state),
        )
        .map_err(convert)?;
        if let Some(watch) = watch {
            watch.note(self, || Started::Planned(Arc::clone(&plan)));
        }
        run::start(instance.handle(), state, plan).map(QueryRows::Stream)
    }

    /// The fields of the output, as the plan names them.
    pub fn output_fields(&self) -> Vec<FieldRef> {
        self.plan.schema().fields().iter().cloned().collect()
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
