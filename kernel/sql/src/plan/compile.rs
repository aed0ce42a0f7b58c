//! Single expressions over a batch: defaults, CHECK conditions, RETURNING, DO UPDATE.
//!
//! An expression is planned as `SELECT expr FROM relations`, so that it is typed, coerced and checked
//! exactly as in a query, and its physical form is then run over batches that are at hand. What is
//! kept is the analysed logical form; the physical form is made per statement, because `now()` and
//! its like become constants of the statement.

use std::cell::RefCell;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray};
use arrow::datatypes::{Field, Schema as ArrowSchema, SchemaRef};
use arrow::record_batch::RecordBatch;
use datafusion::common::DFSchemaRef;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::execution::SessionState;
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::optimizer::simplify_expressions::ExprSimplifier;
use datafusion::physical_expr::{PhysicalExpr, create_physical_expr};
use datafusion::scalar::ScalarValue;
use sqlparser::ast;

use super::computed::is_immutable;
use super::context::{PlanContext, Uses};
use super::error::convert;
use super::fast::{Compiler, lift_moments, moment_values, with_values};
use super::origin::described_type;
use crate::catalog::CatalogSnapshot;
use crate::error::{Result, SqlError, state};
use crate::names::quoted_ident;
use crate::routine::Names;
use crate::session::functions::is_nextval;
use crate::session::info::SessionInfo;
use crate::session::outcome::ResultColumn;
use crate::session::planning::LazyState;
use crate::subplan::is_subplan;
use crate::types::PgType;

/// Analysed expressions over the columns of some relations.
#[derive(Clone, Debug)]
pub(crate) struct Expressions {
    exprs: Vec<Expr>,
    input: DFSchemaRef,
    fields: Vec<Arc<Field>>,
    pub uses: Uses,
    /// The same compiled, when that may be done once for all statements.
    compiled: Option<Arc<[Arc<dyn PhysicalExpr>]>>,
}

/// The same, ready to run over batches whose columns are those of the relations, in order.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    exprs: Arc<[Arc<dyn PhysicalExpr>]>,
    /// Values of the parameters of compiled expressions.
    values: Vec<ScalarValue>,
}

/// A relation that expressions may name: alias and columns.
pub(crate) struct Local<'a> {
    pub name: &'a str,
    pub schema: SchemaRef,
}

/// A select list of expressions.
fn items(exprs: Vec<ast::Expr>) -> Vec<ast::SelectItem> {
    let items = exprs.into_iter().enumerate();
    let items = items.map(|(i, expr)| ast::SelectItem::ExprWithAlias {
        expr,
        alias: quoted_ident(&format!("e{i}")),
    });
    items.collect()
}

impl Expressions {
    /// Plans a select list over relations. `*` and `t.*` expand as usual.
    pub fn plan(
        state: &SessionState,
        catalog: &CatalogSnapshot,
        info: &Arc<SessionInfo>,
        locals: &[Local<'_>],
        items: Vec<ast::SelectItem>,
        what: &str,
    ) -> Result<Expressions> {
        let names = Names::Statement;
        Expressions::plan_named(state, catalog, info, locals, items, what, names)
    }

    #[allow(clippy::too_many_arguments)]
    fn plan_named(
        state: &SessionState,
        catalog: &CatalogSnapshot,
        info: &Arc<SessionInfo>,
        locals: &[Local<'_>],
        items: Vec<ast::SelectItem>,
        what: &str,
        names: Names,
    ) -> Result<Expressions> {
        let uses = RefCell::new(Uses::default());
        let mut context = PlanContext::new(state, catalog, info, &uses).with_names(names);
        for local in locals {
            context = context.with_local(local.name, local.schema.clone());
        }
        let mut statement = ast::Statement::Query(Box::new(select(
            items,
            locals.iter().map(|l| table_factor(l.name)).collect(),
        )));
        context.rewrite(&mut statement)?;
        let plan = context
            .planner()
            .sql_statement_to_plan(statement)
            .map_err(convert)?;
        context.check_reads(&plan, 0).map_err(convert)?;
        let plan = state
            .analyzer()
            .execute_and_check(plan, state.config_options(), |_, _| {})
            .map_err(convert)?;
        let mut uses = uses.take();
        uses.settle(info);
        let mut expressions = Expressions::of(plan, uses, what)?;
        expressions.compiled = expressions.compile(state);
        Ok(expressions)
    }

    /// Whether they hold nothing of the session that planned them.
    pub fn is_shareable(&self) -> bool {
        let calls_nextval = |e: &Expr| {
            e.exists(|e| Ok(matches!(e, Expr::ScalarFunction(f) if is_nextval(&f.func))))
        };
        // That knows its session by itself, and its branch.
        let is_a_sessions = |e| calls_nextval(e).unwrap_or(true);
        self.exprs.is_empty() || (self.compiled.is_some() && !self.exprs.iter().any(is_a_sessions))
    }

    /// Compiles them, unless one of them is different from statement to statement.
    fn compile(&self, state: &SessionState) -> Option<Arc<[Arc<dyn PhysicalExpr>]>> {
        if self.exprs.is_empty() || self.parameter_max() > 0 {
            return None;
        }
        let compiler = Compiler::new(state, &[], true);
        let compiled = self.exprs.iter().map(|e| {
            let lifted = lift_moments(e.clone(), 0).ok()?;
            compiler.compile(&lifted.data, &self.input).ok()?
        });
        compiled.collect()
    }

    /// The expressions of an analysed select list over relations.
    pub fn of(plan: LogicalPlan, uses: Uses, what: &str) -> Result<Expressions> {
        let LogicalPlan::Projection(projection) = plan else {
            return Err(match plan {
                LogicalPlan::Aggregate(_) => SqlError::new(
                    state::GROUPING_ERROR,
                    format!("aggregate functions are not allowed in {what}"),
                ),
                _ => SqlError::unsupported(format!("this kind of expression in {what}")),
            });
        };
        let mut input = projection.input.as_ref();
        while let LogicalPlan::SubqueryAlias(alias) = input {
            input = &alias.input;
        }
        match input {
            LogicalPlan::Aggregate(_) => {
                return Err(SqlError::new(
                    state::GROUPING_ERROR,
                    format!("aggregate functions are not allowed in {what}"),
                ));
            }
            LogicalPlan::Window(_) => {
                return Err(SqlError::new(
                    state::WINDOWING_ERROR,
                    format!("window functions are not allowed in {what}"),
                ));
            }
            _ => {}
        }
        if !is_plain_input(&projection.input) || projection.expr.iter().any(has_subquery) {
            // What `what` says of many, PostgreSQL forbids in one.
            return Err(match what.strip_suffix('s') {
                Some(one) => SqlError::new(
                    state::FEATURE_NOT_SUPPORTED,
                    format!("cannot use subquery in {one}"),
                ),
                None => SqlError::unsupported(format!("a subquery in {what}")),
            });
        }
        Ok(Expressions {
            fields: projection.schema.fields().iter().cloned().collect(),
            exprs: projection.expr,
            input: projection.input.schema().clone(),
            uses,
            compiled: None,
        })
    }

    /// Plans single expressions over relations.
    pub fn plan_exprs(
        state: &SessionState,
        catalog: &CatalogSnapshot,
        info: &Arc<SessionInfo>,
        locals: &[Local<'_>],
        exprs: Vec<ast::Expr>,
        what: &str,
    ) -> Result<Expressions> {
        Expressions::plan(state, catalog, info, locals, items(exprs), what)
    }

    /// Plans expressions of the catalog, where names without schema are those of built-in functions.
    pub fn plan_of_catalog(
        state: &SessionState,
        catalog: &CatalogSnapshot,
        info: &Arc<SessionInfo>,
        locals: &[Local<'_>],
        exprs: Vec<ast::Expr>,
        what: &str,
    ) -> Result<Expressions> {
        let (items, names) = (items(exprs), Names::Stored);
        Expressions::plan_named(state, catalog, info, locals, items, what, names)
    }

    /// The same. They were right once; one that calls a function that is gone
    /// since, with its plugin, fails when it is evaluated and keeps nothing else from running.
    pub fn plan_stored(
        state: &SessionState,
        catalog: &CatalogSnapshot,
        info: &Arc<SessionInfo>,
        locals: &[Local<'_>],
        exprs: Vec<ast::Expr>,
        what: &str,
    ) -> Result<Expressions> {
        let plan = |exprs| Expressions::plan_of_catalog(state, catalog, info, locals, exprs, what);
        let is_gone = |e: &SqlError| e.code == state::UNDEFINED_FUNCTION;
        match plan(exprs.clone()) {
            Err(e) if is_gone(&e) => {}
            planned => return planned,
        }
        let exprs = exprs
            .into_iter()
            .map(|expr| match plan(vec![expr.clone()]) {
                Err(e) if is_gone(&e) => missing(&e),
                _ => expr,
            });
        plan(exprs.collect())
    }

    /// The SQL type of an expression; `Unknown` for an untyped literal.
    pub fn pg_type(&self, at: usize) -> PgType {
        self.fields
            .get(at)
            .and_then(|f| PgType::from_arrow(f.data_type()))
            .unwrap_or(PgType::Unknown)
    }

    pub fn schema(&self) -> SchemaRef {
        Arc::new(ArrowSchema::new(self.fields.clone()))
    }

    pub fn result_columns(&self) -> Vec<ResultColumn> {
        self.fields
            .iter()
            .map(|f| ResultColumn {
                name: crate::semantics::output_name(f.name()).to_owned(),
                ty: described_type(f.data_type()),
                table_oid: 0,
                column_attnum: 0,
                typmod: -1,
            })
            .collect()
    }

    /// For each expression that is a column of the input as it is, the column's place.
    pub fn plain_columns(&self) -> Vec<Option<usize>> {
        self.exprs
            .iter()
            .map(|e| {
                let mut e = e;
                while let Expr::Alias(a) = e {
                    e = &a.expr;
                }
                match e {
                    Expr::Column(c) => self.input.maybe_index_of_column(c),
                    _ => None,
                }
            })
            .collect()
    }

    /// Whether a value may differ from row to row, or from call to call.
    pub fn is_volatile(&self) -> bool {
        self.exprs.iter().any(Expr::is_volatile)
    }

    /// The columns of the input that expressions read, by place.
    pub fn columns_used(&self) -> Vec<usize> {
        let mut used: Vec<usize> = self
            .exprs
            .iter()
            .flat_map(|e| e.column_refs().into_iter().cloned().collect::<Vec<_>>())
            .filter_map(|c| self.input.maybe_index_of_column(&c))
            .collect();
        used.sort_unstable();
        used.dedup();
        used
    }

    /// The highest number of a parameter, 0 when there is none.
    pub fn parameter_max(&self) -> usize {
        let mut max = 0;
        for expr in &self.exprs {
            // It never fails.
            let _ = expr.apply(|e| {
                if let Expr::Placeholder(p) = e {
                    let number = p.id.strip_prefix('$').and_then(|n| n.parse().ok());
                    max = max.max(number.unwrap_or(0));
                }
                Ok(TreeNodeRecursion::Continue)
            });
        }
        max
    }

    /// Whether the values depend on the row alone, for ever.
    pub fn are_immutable(&self) -> Result<bool> {
        let mut each = self.exprs.iter();
        each.try_fold(true, |all, e| Ok(all && is_immutable(e, &self.input)?))
    }

    /// One of them as an optimised plan has it.
    pub fn simplified(&self, state: &SessionState, at: usize) -> Result<Expr> {
        let expr = self.exprs[at].clone();
        self.simplifier(state).simplify(expr).map_err(convert)
    }

    fn simplifier(&self, state: &SessionState) -> ExprSimplifier {
        let context = SimplifyContext::builder()
            .with_schema(self.input.clone())
            .with_config_options(state.config_options().clone())
            .with_query_execution_start_time(state.execution_props().query_execution_start_time)
            .build();
        ExprSimplifier::new(context)
    }

    /// Makes the expressions ready to run in a statement, which needs no planning when they are
    /// compiled.
    pub fn prepare(&self, state: &LazyState, params: &[ScalarValue]) -> Result<Program> {
        match &self.compiled {
            None => self.program(state, params),
            Some(exprs) => Ok(Program {
                exprs: exprs.clone(),
                values: moment_values(state.moments()).to_vec(),
            }),
        }
    }

    /// Makes the expressions ready to run in a statement.
    pub fn program(&self, state: &SessionState, params: &[ScalarValue]) -> Result<Program> {
        let simplifier = self.simplifier(state);
        let exprs = self
            .exprs
            .iter()
            .map(|e| {
                let e = super::query::bind_expr(e.clone(), params)?;
                let e = simplifier.simplify(e).map_err(convert)?;
                create_physical_expr(
                    &e,
                    &self.input,
                    state.execution_props(),
                    &Default::default(),
                )
                .map_err(convert)
            })
            .collect::<Result<_>>()?;
        Ok(Program {
            exprs,
            values: Vec::new(),
        })
    }
}

impl Program {
    pub fn len(&self) -> usize {
        self.exprs.len()
    }

    /// One column per expression.
    pub fn run(&self, batch: &RecordBatch) -> Result<Vec<ArrayRef>> {
        (0..self.exprs.len())
            .map(|i| self.run_one(i, batch))
            .collect()
    }

    pub fn run_one(&self, at: usize, batch: &RecordBatch) -> Result<ArrayRef> {
        let evaluate = || {
            let value = self.exprs[at].evaluate(batch)?;
            value.into_array(batch.num_rows())
        };
        let array = match self.values.is_empty() {
            true => evaluate(),
            false => with_values(self.values.clone(), evaluate),
        };
        array.map_err(convert)
    }

    /// A condition's value per row.
    pub fn condition(&self, at: usize, batch: &RecordBatch) -> Result<BooleanArray> {
        let array = self.run_one(at, batch)?;
        array
            .as_any()
            .downcast_ref::<BooleanArray>()
            .cloned()
            .ok_or_else(|| {
                SqlError::new(
                    state::DATATYPE_MISMATCH,
                    format!(
                        "argument of a condition must be type boolean, not type {}",
                        described_type(array.data_type()).name()
                    ),
                )
            })
    }
}

/// An expression that fails with this 42883 when it is evaluated.
fn missing(error: &SqlError) -> ast::Expr {
    let parts = [&*error.message, error.hint.as_deref().unwrap_or_default()];
    let texts = parts.map(|p| ast::Expr::value(ast::Value::SingleQuotedString(p.to_owned())));
    crate::semantics::call(crate::functions::MISSING, texts)
}

/// Whether a projection's input adds nothing to the relations.
fn is_plain_input(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::TableScan(_) | LogicalPlan::EmptyRelation(_) => true,
        LogicalPlan::SubqueryAlias(a) => is_plain_input(&a.input),
        LogicalPlan::Join(j) => {
            j.on.is_empty()
                && j.filter.is_none()
                && is_plain_input(&j.left)
                && is_plain_input(&j.right)
        }
        _ => false,
    }
}

fn has_subquery(expr: &Expr) -> bool {
    let mut found = false;
    let _ = expr.apply(|e| {
        found |= matches!(
            e,
            Expr::ScalarSubquery(_) | Expr::Exists(_) | Expr::InSubquery(_)
        ) || is_subplan(e);
        Ok(if found {
            TreeNodeRecursion::Stop
        } else {
            TreeNodeRecursion::Continue
        })
    });
    found
}

/// `SELECT items FROM from`.
pub(crate) fn select(items: Vec<ast::SelectItem>, from: Vec<ast::TableWithJoins>) -> ast::Query {
    query(ast::SetExpr::Select(Box::new(ast::Select {
        select_token: ast::helpers::attached_token::AttachedToken::empty(),
        optimizer_hints: Vec::new(),
        distinct: None,
        select_modifiers: None,
        top: None,
        top_before_distinct: false,
        projection: items,
        exclude: None,
        into: None,
        from,
        lateral_views: Vec::new(),
        prewhere: None,
        selection: None,
        connect_by: Vec::new(),
        group_by: ast::GroupByExpr::Expressions(Vec::new(), Vec::new()),
        cluster_by: Vec::new(),
        distribute_by: Vec::new(),
        sort_by: Vec::new(),
        having: None,
        named_window: Vec::new(),
        qualify: None,
        window_before_qualify: false,
        value_table_mode: None,
        flavor: ast::SelectFlavor::Standard,
    })))
}

/// A query with nothing around its body.
pub(crate) fn query(body: ast::SetExpr) -> ast::Query {
    ast::Query {
        with: None,
        body: Box::new(body),
        order_by: None,
        limit_clause: None,
        fetch: None,
        locks: Vec::new(),
        for_clause: None,
        settings: None,
        format_clause: None,
        pipe_operators: Vec::new(),
    }
}

/// `name` as an item of FROM, exactly spelled.
pub(crate) fn table_factor(name: &str) -> ast::TableWithJoins {
    named_table(vec![name], None)
}

/// A possibly qualified, exactly spelled relation as an item of FROM.
pub(crate) fn named_table(name: Vec<&str>, alias: Option<&str>) -> ast::TableWithJoins {
    let parts = name
        .into_iter()
        .map(|n| ast::ObjectNamePart::Identifier(quoted_ident(n)));
    ast::TableWithJoins {
        relation: ast::TableFactor::Table {
            name: ast::ObjectName(parts.collect()),
            alias: alias.map(|a| ast::TableAlias {
                explicit: true,
                name: quoted_ident(a),
                columns: Vec::new(),
                at: None,
            }),
            args: None,
            with_hints: Vec::new(),
            version: None,
            with_ordinality: false,
            partitions: Vec::new(),
            json_path: None,
            sample: None,
            index_hints: Vec::new(),
        },
        joins: Vec::new(),
    }
}
