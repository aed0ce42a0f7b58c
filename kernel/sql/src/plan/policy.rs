//! Row security: which rows of a table a role sees, and which it may write.
//!
//! A table whose policies bind the role is read through them: it stands in the plan as the query
//! `SELECT * FROM table WHERE policies`, under a barrier ([`super::barrier`]) that no condition of the
//! statement's passes that could tell of a row by failing. What is written is held against the policies when
//! the new row is complete. The expressions are run with the privileges of the role that runs the statement,
//! and are bound by the policies of the tables that they read themselves.
//!
//! Permissive policies say which rows there are, together; restrictive ones each leave some out. Without a
//! permissive one there are none.

use std::borrow::Cow;
use std::cell::RefCell;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::{Session as CatalogSession, TableProvider};
use datafusion::common::Constraints;
use datafusion::datasource::{MemTable, TableType, provider_as_source};
use datafusion::error::Result as PlanResult;
use datafusion::execution::SessionState;
use datafusion::logical_expr::{Expr, LogicalPlan, TableSource};
use datafusion::physical_plan::ExecutionPlan;
use sqlparser::ast;

use super::barrier::Barrier;
use super::compile::{Expressions, Local, named_table, select};
use super::context::{PlanContext, Uses};
use super::error::{convert, wrap};
use super::run;
use super::state::CurrentStatement;
use crate::catalog::CatalogSnapshot;
use crate::catalog::access::{PUBLIC, Policy, PolicyCommand};
use crate::catalog::model::Table;
use crate::error::{Result, SqlError, state};
use crate::names::quoted_ident;
use crate::privilege::Authority;
use crate::session::Session;
use crate::session::info::SessionInfo;
use crate::session::planning::LazyState;
use crate::session::settings::Settings;
use crate::session::statement::parse_expression;

/// The catalog part of a name that stands for a table without its policies, and without asking for privileges:
/// for what DDL reads of a table that it may change. See
/// [`Target`](super::context::Target).
pub(crate) const RAW: &str = "\0raw";

/// A condition that policies put.
#[derive(Clone, Debug)]
struct Condition {
    /// Of the one policy that it is, where messages name it.
    policy: Option<String>,
    expr: ast::Expr,
}

/// What a policy is asked.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    /// Whether a row that is there is seen.
    Using,
    /// Whether a row may come to be.
    Check,
}

/// The conditions of a command for a role, all of which have to hold.
fn conditions(
    table: &Table,
    role: &Authority,
    command: PolicyCommand,
    side: Side,
) -> Result<Vec<Condition>> {
    let applies = |policy: &&Policy| {
        let mut roles = policy.roles.iter();
        (policy.command == PolicyCommand::All || policy.command == command)
            && roles.any(|r| *r == PUBLIC || role.has(*r))
    };
    let text = |policy: &Policy| {
        let check = policy.check.as_ref().filter(|_| side == Side::Check);
        check.or(policy.using.as_ref()).cloned()
    };
    let mut permissive: Option<ast::Expr> = None;
    let mut conditions = Vec::new();
    for policy in table.policies.iter().filter(applies) {
        let expr = match text(policy) {
            Some(text) => parse_expression(&text)?,
            // One that puts no condition.
            None => truth(true),
        };
        let expr = ast::Expr::Nested(Box::new(expr));
        if !policy.permissive {
            conditions.push(Condition {
                policy: Some(policy.name.clone()),
                expr,
            });
            continue;
        }
        permissive = Some(match permissive {
            None => expr,
            Some(before) => both(before, ast::BinaryOperator::Or, expr),
        });
    }
    let expr = permissive.unwrap_or_else(|| truth(false));
    let together = Condition {
        policy: None,
        expr: ast::Expr::Nested(Box::new(expr)),
    };
    conditions.insert(0, together);
    Ok(conditions)
}

fn truth(value: bool) -> ast::Expr {
    ast::Expr::Value(ast::Value::Boolean(value).with_empty_span())
}

fn both(left: ast::Expr, op: ast::BinaryOperator, right: ast::Expr) -> ast::Expr {
    ast::Expr::BinaryOp {
        left: Box::new(left),
        op,
        right: Box::new(right),
    }
}

/// 42501 where a role asked for an error instead of fewer rows.
fn check_setting(info: &SessionInfo, table: &Table) -> Result<()> {
    if info.with_settings(Settings::row_security) {
        return Ok(());
    }
    Err(SqlError::new(
        state::INSUFFICIENT_PRIVILEGE,
        format!(
            "query would be affected by row-level security policy for table \"{}\"",
            table.name
        ),
    ))
}

impl PlanContext<'_> {
    /// A table as the role sees it for these commands; `raw` is the table as it is.
    pub(super) fn secured(
        &self,
        table: &Table,
        raw: Arc<dyn TableSource>,
        commands: &[PolicyCommand],
    ) -> PlanResult<Arc<dyn TableSource>> {
        check_setting(self.info, table).map_err(wrap)?;
        if self.is_securing(table.oid) {
            return Err(wrap(SqlError::new(
                state::INVALID_OBJECT_DEFINITION,
                format!(
                    "infinite recursion detected in policy for relation \"{}\"",
                    table.name
                ),
            )));
        }
        let mut filter = None;
        for command in commands {
            let all = conditions(table, &self.role(), *command, Side::Using).map_err(wrap)?;
            for condition in all {
                filter = Some(match filter {
                    None => condition.expr,
                    Some(before) => both(before, ast::BinaryOperator::And, condition.expr),
                });
            }
        }
        let schema = self.catalog.schema(table.schema);
        let schema = schema.map_or("", |s| s.name.as_str());
        let from = named_table(vec![RAW, schema, &table.name], Some(&table.name));
        let wildcard = ast::SelectItem::Wildcard(ast::WildcardAdditionalOptions::default());
        let mut query = select(vec![wildcard], vec![from]);
        if let ast::SetExpr::Select(select) = query.body.as_mut() {
            select.selection = filter;
        }
        let constraints = raw.constraints().cloned().unwrap_or_default();
        let columns = raw.schema();
        let inner = self.inside_policy(table.oid, raw).map_err(wrap)?;
        let plan = inner.plan_query(query)?;
        let plan = Barrier::around(plan);
        Ok(provider_as_source(Arc::new(SecuredTable {
            plan,
            columns,
            constraints,
        })))
    }
}

/// A table under its policies, as DataFusion's planner meets it.
#[derive(Debug)]
pub(super) struct SecuredTable {
    plan: LogicalPlan,
    columns: SchemaRef,
    constraints: Constraints,
}

impl SecuredTable {
    pub fn plan(&self) -> &LogicalPlan {
        &self.plan
    }
}

#[async_trait]
impl TableProvider for SecuredTable {
    fn schema(&self) -> SchemaRef {
        self.columns.clone()
    }

    fn table_type(&self) -> TableType {
        TableType::View
    }

    fn constraints(&self) -> Option<&Constraints> {
        Some(&self.constraints)
    }

    fn get_logical_plan(&'_ self) -> Option<Cow<'_, LogicalPlan>> {
        Some(Cow::Borrowed(&self.plan))
    }

    async fn scan(
        &self,
        _state: &dyn CatalogSession,
        _projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        _limit: Option<usize>,
    ) -> PlanResult<Arc<dyn ExecutionPlan>> {
        Err(wrap(SqlError::internal(
            "a table under policies was not replaced by its plan",
        )))
    }
}

/// What rows that a statement writes have to meet.
#[derive(Clone, Debug, Default)]
pub(crate) struct WritePolicies {
    inserted: Checks,
    updated: Checks,
    /// Rows that ON CONFLICT DO UPDATE meets.
    met: Checks,
}

/// Which rows of a statement are checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Written {
    Inserted,
    Updated,
    Met,
}

#[derive(Clone, Debug, Default)]
struct Checks {
    conditions: Vec<Condition>,
    /// Compiled, where none of them has a subquery.
    compiled: Option<Expressions>,
}

impl WritePolicies {
    /// The policies of a table for the current role, or none when they do not bind it. `reads` is whether the
    /// statement also reads rows of the table, or gives them back: those that it writes have to be seen then.
    pub fn of(
        state: &SessionState,
        catalog: &CatalogSnapshot,
        info: &Arc<SessionInfo>,
        table: &Table,
        reads: bool,
    ) -> Result<Option<Arc<WritePolicies>>> {
        let role = info.role();
        if !role.is_bound_by(table) {
            return Ok(None);
        }
        check_setting(info, table)?;
        let seen = match reads {
            true => conditions(table, &role, PolicyCommand::Select, Side::Using)?,
            false => Vec::new(),
        };
        let checks = |command, side| {
            let mut all = conditions(table, &role, command, side)?;
            all.extend(seen.iter().cloned());
            Checks::new(state, catalog, info, table, all)
        };
        Ok(Some(Arc::new(WritePolicies {
            inserted: checks(PolicyCommand::Insert, Side::Check)?,
            updated: checks(PolicyCommand::Update, Side::Check)?,
            met: checks(PolicyCommand::Update, Side::Using)?,
        })))
    }

    /// 42501 for the first row that may not be. The batch has every column of the table.
    pub fn check(
        &self,
        session: &mut Session,
        state: &LazyState,
        table: &Arc<Table>,
        batch: &RecordBatch,
        written: Written,
    ) -> Result<()> {
        let checks = match written {
            Written::Inserted => &self.inserted,
            Written::Updated => &self.updated,
            Written::Met => &self.met,
        };
        let verdicts = checks.verdicts(session, state, table, batch)?;
        for (condition, verdict) in checks.conditions.iter().zip(&verdicts) {
            let verdict = verdict.as_boolean();
            let holds = (0..verdict.len()).all(|row| verdict.is_valid(row) && verdict.value(row));
            if holds {
                continue;
            }
            let policy = match &condition.policy {
                Some(policy) => format!(" \"{policy}\""),
                None => String::new(),
            };
            let side = match written {
                Written::Met => " (USING expression)",
                _ => "",
            };
            return Err(SqlError::new(
                state::INSUFFICIENT_PRIVILEGE,
                format!(
                    "new row violates row-level security policy{policy}{side} for table \"{}\"",
                    table.name
                ),
            ));
        }
        Ok(())
    }
}

impl Checks {
    fn new(
        state: &SessionState,
        catalog: &CatalogSnapshot,
        info: &Arc<SessionInfo>,
        table: &Table,
        conditions: Vec<Condition>,
    ) -> Result<Checks> {
        let meta = catalog.table_meta(table.oid)?;
        let local = Local {
            name: &table.name,
            schema: meta.schema.clone(),
        };
        let exprs = conditions.iter().map(|c| c.expr.clone()).collect();
        let what = "policy expressions";
        let compiled = Expressions::plan_of_catalog(state, catalog, info, &[local], exprs, what);
        Ok(Checks {
            conditions,
            // What does not compile, one with a subquery, is planned as a query when it runs.
            compiled: compiled.ok(),
        })
    }

    /// A boolean column for each condition.
    fn verdicts(
        &self,
        session: &mut Session,
        state: &LazyState,
        table: &Arc<Table>,
        batch: &RecordBatch,
    ) -> Result<Vec<ArrayRef>> {
        if let Some(compiled) = &self.compiled {
            return compiled.prepare(state, &[])?.run(batch);
        }
        let (view, catalog) = session.write_view()?;
        let schema = catalog.schema(table.schema).map_or("", |s| s.name.as_str());
        let items = self.conditions.iter().enumerate().map(|(at, condition)| {
            ast::SelectItem::ExprWithAlias {
                expr: condition.expr.clone(),
                alias: quoted_ident(&format!("p{at}")),
            }
        });
        let from = named_table(vec![RAW, schema, &table.name], Some(&table.name));
        let query = select(items.collect(), vec![from]);
        let rows = MemTable::try_new(batch.schema(), vec![vec![batch.clone()]]);
        let rows = provider_as_source(Arc::new(rows.map_err(convert)?));
        let context = session.statement_context(view);
        let info = session.info.clone();
        let handle = session.instance.handle().clone();
        let interrupt = session.interrupt.clone();
        session.with_state(|_, state| {
            let uses = RefCell::new(Uses::default());
            let plan = {
                let planning = PlanContext::new(state, &catalog, &info, &uses);
                let planning = planning.inside_policy(table.oid, rows)?;
                planning.plan_query(query).map_err(convert)?
            };
            let plan = state
                .analyzer()
                .execute_and_check(plan, state.config_options(), |_, _| {})
                .map_err(convert)?;
            state
                .config_mut()
                .set_extension(Arc::new(CurrentStatement(Some(Arc::new(context)))));
            let state: &SessionState = state;
            let plan = state.optimizer().optimize(plan, state, |_, _| {});
            let plan = crate::subplan::bind(plan.map_err(convert)?, state).map_err(convert)?;
            let planner = state.query_planner().clone();
            let plan = run::block_on(&handle, planner.create_physical_plan(&plan, state));
            let plan = plan.map_err(convert)?;
            let schema = plan.schema();
            let mut stream = run::start(&handle, state, plan)?;
            let mut batches = Vec::new();
            while let Some(batch) = run::next_batch(&handle, &mut stream, Some(&interrupt))? {
                batches.push(batch);
            }
            let verdicts = arrow::compute::concat_batches(&schema, &batches)?;
            Ok(verdicts.columns().to_vec())
        })
    }
}
