//! Prepared statements, of SQL's PREPARE and of the extended protocol.
//!
//! A [`Prepared`] keeps the syntax tree and the plan made from it. The plan is good as long as the
//! catalog and the settings are those it was made with; after that it is made again, and a change of
//! the result's columns is 0A000, as in PostgreSQL.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use datafusion::scalar::ScalarValue;
use parking_lot::Mutex;
use sqlparser::ast::{self, Expr, Ident, Statement as Ast};

use super::counted::Asked;
use super::cursor::{DeclarePlan, has_into};
use super::depth;
use super::outcome::{Outcome, ResultColumn, Value};
use super::settings::Settings;
use super::statement::{Statement, StatementKind, parse_one};
use super::{Session, done};
use crate::catalog::{CatalogSnapshot, CatalogVersion};
use crate::ddl::routine::CallPlan;
use crate::dml::{InsertPlan, LockingPlan, UpdatePlan, WithPlan, with};
use crate::error::{Result, SqlError, state};
use crate::monitor::statements::Kept;
use crate::names::fold;
use crate::plan::query::PlannedQuery;
use crate::plugin::command::result_columns;
use crate::plugin::syntax::Syntax;
use crate::types::PgType;

pub struct Prepared {
    pub param_types: Vec<PgType>,
    /// `None` when it returns no rows. Those of FETCH and EXECUTE are of what they name, which may be another
    /// when they run ([`Session::columns_now`]).
    pub columns: Option<Arc<[ResultColumn]>>,
    statement: Statement,
    cached: Mutex<Option<Cached>>,
    executions: AtomicU64,
    /// What counts its runs.
    pub(super) kept: Kept,
}

struct Cached {
    catalog: CatalogVersion,
    settings: Settings,
    plan: Arc<Plan>,
}

/// A statement that can be planned ahead.
#[expect(
    clippy::large_enum_variant,
    reason = "made once per statement and moved, never stored in bulk"
)]
pub(super) enum Plan {
    Query(PlannedQuery),
    Insert(InsertPlan),
    Update(UpdatePlan),
    Locking(LockingPlan),
    With(Box<WithPlan>),
    Declare(Box<DeclarePlan>),
    Call(Box<CallPlan>),
    /// EXPLAIN of a statement with parameters.
    Explain(Box<ExplainPlan>),
    /// Everything else is run from its syntax tree.
    Other,
}

/// What is explained, and the columns of EXPLAIN.
pub(super) struct ExplainPlan {
    plan: Arc<Plan>,
    columns: Arc<[ResultColumn]>,
}

impl Plan {
    /// Whether it runs without planning anything.
    fn is_fast(&self) -> bool {
        match self {
            Plan::Query(p) => p.compiled().is_some(),
            Plan::Insert(p) => p.query().is_none(),
            Plan::Update(p) => p.query().compiled().is_some(),
            Plan::Locking(_)
            | Plan::With(_)
            | Plan::Declare(_)
            | Plan::Call(_)
            | Plan::Explain(_)
            | Plan::Other => false,
        }
    }

    /// Whether any session may run it: it is for the compiled route, and all that is compiled in it is so
    /// without the session.
    pub(super) fn is_shareable(&self) -> bool {
        self.is_fast()
            && match self {
                Plan::Query(p) => p.is_shareable(),
                Plan::Insert(p) => p.is_shareable(),
                Plan::Update(p) => p.is_shareable(),
                Plan::Locking(_)
                | Plan::With(_)
                | Plan::Declare(_)
                | Plan::Call(_)
                | Plan::Explain(_)
                | Plan::Other => false,
            }
    }

    /// Whether it needs values to run.
    pub(super) fn has_params(&self) -> bool {
        !self.params().is_empty()
    }

    fn params(&self) -> &[PgType] {
        match self {
            Plan::Query(p) => &p.params,
            Plan::Insert(p) => p.params(),
            Plan::Update(p) => p.params(),
            Plan::Locking(p) => p.params(),
            Plan::With(p) => p.params(),
            Plan::Declare(p) => p.params(),
            Plan::Call(p) => p.params(),
            Plan::Explain(p) => p.plan.params(),
            Plan::Other => &[],
        }
    }

    fn columns(&self) -> Option<Arc<[ResultColumn]>> {
        match self {
            Plan::Query(p) => Some(p.columns.clone()),
            Plan::Insert(p) => p.returning_columns().map(Arc::from),
            Plan::Update(p) => p.returning_columns().map(Arc::from),
            Plan::Locking(p) => Some(p.columns.clone()),
            Plan::With(p) => p.columns(),
            Plan::Call(p) => p.columns(),
            Plan::Explain(p) => Some(p.columns.clone()),
            Plan::Declare(_) | Plan::Other => None,
        }
    }
}

/// An enum as a catalog has it; any other type as it is.
fn version_in(catalog: &CatalogSnapshot, ty: &PgType) -> PgType {
    let of = ty.enumeration().and_then(|_| catalog.pg_type(ty.oid()));
    of.unwrap_or_else(|| ty.clone())
}

/// Whether two types are one to a client.
fn is_same(a: &PgType, b: &PgType) -> bool {
    a == b || (a.enumeration().is_some() && a.oid() == b.oid())
}

/// Whether a value is of this very version of its type.
fn is_of(value: &ScalarValue, ty: &PgType) -> bool {
    ty.enumeration().is_none() || value.data_type() == ty.arrow()
}

impl std::fmt::Debug for Prepared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Prepared")
            .field("text", &self.statement.text)
            .finish_non_exhaustive()
    }
}

impl Prepared {
    pub(crate) fn forget_plan(&self) {
        *self.cached.lock() = None;
    }

    pub fn statement(&self) -> &Statement {
        &self.statement
    }

    /// How often it ran.
    pub(super) fn executions(&self) -> u64 {
        self.executions.load(Ordering::Relaxed)
    }
}

impl Session {
    /// Parses and plans one statement. Types that are not given are inferred.
    pub fn prepare(&mut self, sql: &str, param_types: &[Option<PgType>]) -> Result<Prepared> {
        self.check_no_copy()?;
        let statement = match parse_one(sql, self.instance.syntax()) {
            Ok(statement) => statement,
            Err(e) => {
                self.note_refused(sql, &e);
                self.note_failed_rows();
                if self.txn.in_block() {
                    self.fail_statement();
                }
                return Err(e);
            }
        };
        let offset = statement.offset;
        self.prepare_statement(statement, param_types)
            .map_err(|mut e| {
                // Counted from the start of what was given, like an error of the parser.
                e.position = e.position.map(|p| p + offset);
                e
            })
    }

    /// The same for a statement that runs once, with these values: a plan that depends on them is made
    /// for them.
    pub fn prepare_for(&mut self, sql: &str, params: &[Value]) -> Result<Prepared> {
        let info = self.info.clone();
        info.with_parameters(params, || self.prepare(sql, &[]))
    }

    pub(crate) fn prepare_statement(
        &mut self,
        statement: Statement,
        param_types: &[Option<PgType>],
    ) -> Result<Prepared> {
        self.check_no_copy()?;
        let statement = match statement.kind {
            StatementKind::Known(_) => parse_one(&statement.text, self.instance.syntax())?,
            _ => statement,
        };
        self.note_failed_rows();
        if self.txn.is_failed() && !super::dispatch::is_allowed_in_failed_block(&statement.kind) {
            let refused = super::failed_block();
            self.note_refused(&statement.text, &refused);
            return Err(refused);
        }
        let idle = !self.txn.in_block();
        self.forget_reader();
        let planned = depth::with_stack(statement.depth, || {
            self.plan_or_share(&statement, param_types)
        });
        let kept = Kept::planned(std::mem::take(&mut self.planning));
        self.forget_reader();
        if idle {
            // Planning may have begun a transaction to look at the newest catalog.
            self.abandon();
        }
        match planned {
            Ok(plan) => {
                let cached = (!matches!(*plan, Plan::Other)).then(|| Cached {
                    catalog: self.info.catalog().version,
                    settings: self.info.settings(),
                    plan,
                });
                Ok(Prepared {
                    param_types: cached
                        .as_ref()
                        .map_or_else(Vec::new, |c| c.plan.params().to_vec()),
                    columns: match &cached {
                        Some(c) => c.plan.columns(),
                        None => match self.named_columns(&statement.kind) {
                            Some(columns) => columns,
                            None => described_columns(&statement)?.map(Arc::from),
                        },
                    },
                    statement,
                    cached: Mutex::new(cached),
                    executions: AtomicU64::new(0),
                    kept,
                })
            }
            Err(e) => {
                if !idle {
                    self.fail_statement();
                }
                let functions = self.info.functions();
                let e = super::locate::locate(e, &statement.kind, &statement.text, &functions);
                self.note_refused(&statement.text, &e);
                Err(e)
            }
        }
    }

    pub(super) fn plan_ahead(
        &mut self,
        statement: &Statement,
        param_types: &[Option<PgType>],
    ) -> Result<Plan> {
        let before = self.planning;
        let plan = self.planned(|session| session.plan_of(statement, param_types))?;
        if let Plan::Other = plan {
            self.planning = before;
        }
        Ok(plan)
    }

    fn plan_of(&mut self, statement: &Statement, param_types: &[Option<PgType>]) -> Result<Plan> {
        let (ast, key_lock) = match &statement.kind {
            StatementKind::Sql(ast) => (ast, false),
            StatementKind::SqlWithKeyLock(ast) => (ast, true),
            _ => return Ok(Plan::Other),
        };
        match ast.as_ref() {
            Ast::Query(query) if with::writes(query) => {
                self.begin_statement_snapshot();
                let plan = self.plan_with(query, param_types)?;
                Ok(Plan::With(Box::new(plan)))
            }
            Ast::Merge(_) => {
                self.begin_statement_snapshot();
                let plan = self.plan_with(&with::of_merge(ast), param_types)?;
                Ok(Plan::With(Box::new(plan)))
            }
            Ast::Query(query) if !query.locks.is_empty() => {
                self.begin_statement_snapshot();
                self.plan_locking(query, param_types, key_lock)
                    .map(Plan::Locking)
            }
            Ast::Query(query) if query.locks.is_empty() && !has_into(query) => {
                self.begin_statement_snapshot();
                self.plan_query(query, param_types).map(Plan::Query)
            }
            Ast::Insert(insert) => {
                self.begin_statement_snapshot();
                self.plan_insert(insert, param_types).map(Plan::Insert)
            }
            Ast::Update(update) => {
                self.begin_statement_snapshot();
                self.plan_update(update, param_types).map(Plan::Update)
            }
            Ast::Delete(delete) => {
                self.begin_statement_snapshot();
                self.plan_delete(delete, param_types).map(Plan::Update)
            }
            Ast::Declare { stmts } => {
                self.begin_statement_snapshot();
                let plan = self.plan_declare(stmts, param_types, key_lock)?;
                Ok(Plan::Declare(Box::new(plan)))
            }
            Ast::Call(call) => {
                self.begin_statement_snapshot();
                let plan = self.plan_call(call, param_types)?;
                Ok(Plan::Call(Box::new(plan)))
            }
            Ast::Explain {
                statement: explained,
                options,
                ..
            } => {
                let inner = Statement {
                    kind: StatementKind::Sql(explained.clone()),
                    ..statement.clone()
                };
                let plan = self.plan_of(&inner, param_types)?;
                // Without parameters it is planned when it runs, and told how long that took.
                match plan.has_params() && !matches!(plan, Plan::Declare(_) | Plan::Call(_)) {
                    false => Ok(Plan::Other),
                    true => Ok(Plan::Explain(Box::new(ExplainPlan {
                        plan: Arc::new(plan),
                        columns: [super::explain::column(options.as_deref())].into(),
                    }))),
                }
            }
            _ => Ok(Plan::Other),
        }
    }

    /// The columns that a statement would return if it ran now, as PostgreSQL fixes them at Bind.
    pub fn columns_now(&self, prepared: &Prepared) -> Option<Arc<[ResultColumn]>> {
        match self.named_columns(&prepared.statement.kind) {
            Some(columns) => columns,
            None => prepared.columns.clone(),
        }
    }

    /// For a statement that returns what a cursor or a prepared statement does: the columns of that, if there
    /// is one of the name.
    fn named_columns(&self, kind: &StatementKind) -> Option<Option<Arc<[ResultColumn]>>> {
        match kind {
            StatementKind::Fetch(fetch) if !fetch.moves => {
                Some(self.cursor_columns(&fold(&fetch.cursor)))
            }
            StatementKind::Sql(ast) => match ast.as_ref() {
                Ast::Execute {
                    name: Some(name), ..
                } => {
                    let name = crate::names::parts(name).ok()?.join(".");
                    let executed = self.prepared.get(&name);
                    Some(executed.and_then(|executed| executed.columns.clone()))
                }
                _ => None,
            },
            _ => None,
        }
    }

    pub fn execute_prepared(&mut self, prepared: &Prepared, params: &[Value]) -> Result<Outcome> {
        let statement = &prepared.statement;
        depth::with_stack(statement.depth, || {
            let asked = Asked {
                kind: &statement.kind,
                text: &statement.text,
                kept: Some(&prepared.kept),
            };
            self.run(asked, |session| {
                let types = session.parameter_types(prepared);
                let params = session.bind(&types, params)?;
                session.run_prepared(prepared, &params)
            })
        })
    }

    /// The columns that a statement gives, as it would be planned now; `None` if it gives none.
    pub(super) fn planned_columns(
        &mut self,
        statement: &Statement,
        types: &[Option<PgType>],
    ) -> Result<Option<Arc<[ResultColumn]>>> {
        Ok(self.plan_ahead(statement, types)?.columns())
    }

    /// Plans and runs a statement without the frame around it that a client's statement has.
    pub(super) fn run_once(&mut self, statement: &Statement, params: &[Value]) -> Result<Outcome> {
        self.run_typed(statement, &[], params)
    }

    /// The same with parameters of these types.
    pub(super) fn run_typed(
        &mut self,
        statement: &Statement,
        types: &[Option<PgType>],
        params: &[Value],
    ) -> Result<Outcome> {
        if params.is_empty() {
            return self.dispatch(statement, &[]);
        }
        let info = self.info.clone();
        let plan = info.with_parameters(params, || self.plan_ahead(statement, types))?;
        if matches!(plan, Plan::Other) {
            return self.dispatch(statement, &[]);
        }
        let prepared = Prepared {
            param_types: plan.params().to_vec(),
            columns: plan.columns(),
            statement: statement.clone(),
            cached: Mutex::new(Some(Cached {
                catalog: self.info.catalog().version,
                settings: self.info.settings(),
                plan: Arc::new(plan),
            })),
            executions: AtomicU64::new(0),
            kept: Kept::default(),
        };
        let params = self.bind(&prepared.param_types, params)?;
        self.run_prepared(&prepared, &params)
    }

    fn run_prepared(&mut self, prepared: &Prepared, params: &[ScalarValue]) -> Result<Outcome> {
        // One session runs it, so that nothing is lost between the two.
        let executions = prepared.executions();
        prepared.executions.store(executions + 1, Ordering::Relaxed);
        let cacheable = prepared.cached.lock().is_some() || !prepared.param_types.is_empty();
        if !cacheable {
            return self.dispatch(&prepared.statement, params);
        }
        self.begin_statement_snapshot();
        let plan = loop {
            let plan = self.current_plan(prepared)?;
            if !self.lock_for(&plan)? {
                break plan;
            }
        };
        match params
            .iter()
            .zip(plan.params())
            .all(|(value, ty)| is_of(value, ty))
        {
            true => self.run_plan(&plan, prepared, params),
            false => {
                let given: Vec<Value> = params.iter().cloned().map(Value::Typed).collect();
                let params = self.bind(plan.params(), &given)?;
                self.run_plan(&plan, prepared, &params)
            }
        }
    }

    /// What a client's type is here; `None` for an oid of no type.
    pub fn parameter_type(&self, oid: u32) -> Option<PgType> {
        PgType::from_oid(oid).or_else(|| self.newest_catalog().pg_type(oid))
    }

    /// The types of a statement's parameters as they are now: an enum may have got another label.
    pub fn parameter_types<'a>(&self, prepared: &'a Prepared) -> Cow<'a, [PgType]> {
        let mut types = prepared.param_types.iter();
        if types.all(|ty| ty.enumeration().is_none()) {
            return Cow::Borrowed(&prepared.param_types);
        }
        let catalog = self.newest_catalog();
        let types = prepared.param_types.iter();
        types.map(|ty| version_in(&catalog, ty)).collect()
    }

    /// The catalog that the next statement sees, or nearly so.
    fn newest_catalog(&self) -> Arc<CatalogSnapshot> {
        let known = self.info.catalog();
        if self.txn.in_block() {
            return known;
        }
        let view = self.instance.engine().visible_view();
        self.instance.catalog(&view).unwrap_or(known)
    }

    /// Locks what a plan writes. True when it has to be made again.
    pub(super) fn lock_for(&mut self, plan: &Plan) -> Result<bool> {
        match plan {
            Plan::Insert(p) => self.lock_target(p.collection()),
            Plan::Update(p) => self.lock_target(p.collection()),
            Plan::With(p) => self.lock_parts(p),
            Plan::Explain(p) => self.lock_for(&p.plan),
            Plan::Locking(_) | Plan::Query(_) | Plan::Declare(_) | Plan::Call(_) | Plan::Other => {
                Ok(false)
            }
        }
    }

    pub(super) fn run_plan(
        &mut self,
        plan: &Plan,
        prepared: &Prepared,
        params: &[ScalarValue],
    ) -> Result<Outcome> {
        match plan {
            Plan::Query(p) => self.run_query(p, params),
            Plan::Insert(p) => self.run_insert(p, params),
            Plan::Update(p) => self.run_update(p, params),
            Plan::Locking(p) => self.run_locking(p, params),
            Plan::With(p) => self.run_with(p, params),
            Plan::Declare(p) => self.declare_cursor(p, &prepared.statement.text, params),
            Plan::Call(p) => self.run_call(p, params),
            Plan::Explain(p) => match prepared.statement.ast() {
                Some(ast) => self.explain(ast, Some(&p.plan), params),
                None => Err(SqlError::internal("an EXPLAIN without a statement")),
            },
            Plan::Other => self.dispatch(&prepared.statement, params),
        }
    }

    /// Prepares what the fast path runs; `None` when this is not such a statement.
    pub(super) fn prepare_known(
        &mut self,
        sql: &str,
        types: &[Option<PgType>],
    ) -> Option<Prepared> {
        let statement = parse_one(sql, self.instance.syntax()).ok()?;
        let idle = !self.txn.in_block();
        self.forget_reader();
        let plan = depth::with_stack(statement.depth, || self.plan_or_share(&statement, types));
        let kept = Kept::planned(std::mem::take(&mut self.planning));
        self.forget_reader();
        if idle {
            self.abandon();
        }
        let plan = plan.ok().filter(|plan| plan.is_fast())?;
        Some(Prepared {
            param_types: plan.params().to_vec(),
            columns: plan.columns(),
            statement,
            cached: Mutex::new(Some(Cached {
                catalog: self.info.catalog().version,
                settings: self.info.settings(),
                plan,
            })),
            executions: AtomicU64::new(0),
            kept,
        })
    }

    /// The cached plan, when it is as good as a new one.
    pub(super) fn cached_plan(&mut self, prepared: &Prepared) -> Result<Option<Arc<Plan>>> {
        let (_, catalog) = self.read_view()?;
        let cached = prepared.cached.lock();
        Ok(cached
            .as_ref()
            .filter(|cached| {
                cached.catalog == catalog.version
                    && self.info.with_settings(|s| s.plans_alike(&cached.settings))
            })
            .map(|cached| cached.plan.clone()))
    }

    /// The cached plan, or a new one when the catalog or the settings changed.
    fn current_plan(&mut self, prepared: &Prepared) -> Result<Arc<Plan>> {
        if let Some(plan) = self.cached_plan(prepared)? {
            return Ok(plan);
        }
        let (_, catalog) = self.read_view()?;
        let types = prepared.param_types.iter();
        let types: Vec<Option<PgType>> = types.map(|ty| Some(version_in(&catalog, ty))).collect();
        let plan = self.plan_or_share(&prepared.statement, &types)?;
        if let (Some(old), Some(new)) = (&prepared.columns, plan.columns())
            && (old.len() != new.len()
                || old
                    .iter()
                    .zip(new.iter())
                    .any(|(a, b)| !is_same(&a.ty, &b.ty)))
        {
            return Err(SqlError::result_type_changed());
        }
        *prepared.cached.lock() = Some(Cached {
            catalog: self.info.catalog().version,
            settings: self.info.settings(),
            plan: plan.clone(),
        });
        Ok(plan)
    }

    // The extended protocol's named statements share SQL's names.

    /// Keeps a statement under a name, as PREPARE does.
    pub fn keep_prepared(&mut self, name: String, prepared: Arc<Prepared>) -> Result<()> {
        if self.prepared.get(&name).is_some() {
            return Err(SqlError::new(
                state::DUPLICATE_PREPARED_STATEMENT,
                format!("prepared statement \"{name}\" already exists"),
            ));
        }
        let now = self.now_micros();
        self.prepared.insert(name, prepared, None, now);
        Ok(())
    }

    /// The statement of this name.
    pub fn kept_prepared(&self, name: &str) -> Result<Arc<Prepared>> {
        self.prepared
            .get(name)
            .cloned()
            .ok_or_else(|| undefined_statement(name))
    }

    /// Forgets a name, if it is there.
    pub fn forget_prepared(&mut self, name: &str) {
        self.prepared.remove(name);
    }

    // PREPARE, EXECUTE, DEALLOCATE.

    pub(crate) fn prepare_named(
        &mut self,
        name: String,
        types: &[ast::DataType],
        statement: Ast,
        by: &str,
    ) -> Result<Outcome> {
        if self.prepared.get(&name).is_some() {
            return Err(SqlError::new(
                state::DUPLICATE_PREPARED_STATEMENT,
                format!("prepared statement \"{name}\" already exists"),
            ));
        }
        let functions = self.info.functions();
        let types: Result<Vec<Option<PgType>>> = types
            .iter()
            .map(|t| functions.type_from_ast(t).map(|(t, _)| Some(t)))
            .collect();
        let types = types?;
        let text = statement.to_string();
        let statement = Statement {
            depth: parse_one(&text, &Syntax::default())
                .map_or(depth::DEPTH_MAX, |inner| inner.depth),
            text,
            offset: 0,
            kind: StatementKind::Sql(Box::new(statement)),
        };
        self.begin_statement_snapshot();
        let plan = self.plan_or_share(&statement, &types)?;
        let refused = matches!(
            *plan,
            Plan::Declare(_) | Plan::Call(_) | Plan::Explain(_) | Plan::Other
        );
        if refused {
            return Err(SqlError::new(
                state::SYNTAX_ERROR,
                "only SELECT, INSERT, UPDATE and DELETE can be prepared",
            ));
        }
        // Planned for its executions.
        let kept = Kept::planned(std::mem::take(&mut self.planning));
        let prepared = Prepared {
            param_types: plan.params().to_vec(),
            columns: plan.columns(),
            statement,
            cached: Mutex::new(Some(Cached {
                catalog: self.info.catalog().version,
                settings: self.info.settings(),
                plan,
            })),
            executions: AtomicU64::new(0),
            kept,
        };
        let now = self.info.statement_start();
        self.prepared
            .insert(name, Arc::new(prepared), Some(by), now);
        done("PREPARE")
    }

    pub(crate) fn deallocate(&mut self, name: &Ident) -> Result<Outcome> {
        if name.quote_style.is_none() && name.value.eq_ignore_ascii_case("all") {
            self.prepared.clear();
            return done("DEALLOCATE ALL");
        }
        let name = fold(name);
        if !self.prepared.remove(&name) {
            return Err(undefined_statement(&name));
        }
        done("DEALLOCATE")
    }

    pub(crate) fn execute_named(&mut self, ast: &Ast) -> Result<Outcome> {
        let (prepared, params) = self.executed(ast)?;
        self.note_executed(&prepared);
        self.run_prepared(&prepared, &params)
    }

    /// The statement that an EXECUTE names, and its parameters' values.
    pub(super) fn executed(&mut self, ast: &Ast) -> Result<(Arc<Prepared>, Vec<ScalarValue>)> {
        let Ast::Execute {
            name: Some(name),
            parameters,
            immediate: false,
            into,
            using,
            ..
        } = ast
        else {
            return Err(SqlError::unsupported("this form of EXECUTE"));
        };
        if !into.is_empty() || !using.is_empty() {
            return Err(SqlError::unsupported("EXECUTE INTO or USING"));
        }
        let name = crate::names::parts(name)?.join(".");
        let prepared = self
            .prepared
            .get(&name)
            .cloned()
            .ok_or_else(|| undefined_statement(&name))?;
        if parameters.len() != prepared.param_types.len() {
            return Err(SqlError::new(
                state::SYNTAX_ERROR,
                format!("wrong number of parameters for prepared statement \"{name}\""),
            )
            .with_detail(format!(
                "Expected {} parameters but got {}.",
                prepared.param_types.len(),
                parameters.len()
            )));
        }
        self.begin_statement_snapshot();
        let types = self.parameter_types(&prepared).into_owned();
        let params = self.evaluate(parameters, &types)?;
        Ok((prepared, params))
    }

    /// The plan that a prepared statement would run with, locked for that.
    pub(super) fn plan_to_execute(
        &mut self,
        prepared: &Prepared,
        params: Vec<ScalarValue>,
    ) -> Result<(Arc<Plan>, Vec<ScalarValue>)> {
        loop {
            let plan = self.current_plan(prepared)?;
            if !self.lock_for(&plan)? {
                let given: Vec<Value> = params.into_iter().map(Value::Typed).collect();
                let params = self.bind(plan.params(), &given)?;
                return Ok((plan, params));
            }
        }
    }

    /// Values of constant expressions, as these types.
    fn evaluate(&mut self, exprs: &[Expr], types: &[PgType]) -> Result<Vec<ScalarValue>> {
        if exprs.is_empty() {
            return Ok(Vec::new());
        }
        let (_, catalog) = self.read_view()?;
        let format = self.info.format();
        self.with_state(|session, state| {
            let expressions = crate::plan::compile::Expressions::plan_exprs(
                state,
                &catalog,
                &session.info,
                &[],
                exprs.to_vec(),
                "EXECUTE",
            )?;
            let program = expressions.program(state, &[])?;
            let one = crate::dml::one_row();
            program
                .run(&one)?
                .iter()
                .enumerate()
                .zip(types)
                .map(|((i, array), ty)| {
                    let cast = crate::types::cast_array(
                        array,
                        &expressions.pg_type(i),
                        ty,
                        -1,
                        crate::types::CastContext::Assignment,
                        &format,
                    )?;
                    ScalarValue::try_from_array(&cast, 0).map_err(SqlError::from)
                })
                .collect()
        })
    }
}

/// The columns of statements that return rows without being planned.
fn described_columns(statement: &Statement) -> Result<Option<Vec<ResultColumn>>> {
    let text = |name: &str| ResultColumn {
        name: name.to_owned(),
        ty: PgType::Text,
        table_oid: 0,
        column_attnum: 0,
        typmod: -1,
    };
    if let StatementKind::Plugin(command) = &statement.kind {
        return command.columns.as_deref().map(result_columns).transpose();
    }
    let Some(ast) = statement.ast() else {
        return Ok(None);
    };
    Ok(match ast {
        Ast::ShowVariable { variable } => {
            let words: Vec<String> = variable.iter().map(fold).collect();
            Some(
                match words
                    .iter()
                    .map(String::as_str)
                    .collect::<Vec<_>>()
                    .as_slice()
                {
                    ["all"] => vec![text("name"), text("setting"), text("description")],
                    ["time", "zone"] => vec![text("TimeZone")],
                    ["transaction", "isolation", "level"] => vec![text("transaction_isolation")],
                    words => vec![text(
                        &Settings::column_name(&words.join("."))
                            .unwrap_or_else(|_| "?column?".to_owned()),
                    )],
                },
            )
        }
        Ast::Explain { options, .. } => Some(vec![super::explain::column(options.as_deref())]),
        _ => None,
    })
}

fn undefined_statement(name: &str) -> SqlError {
    SqlError::new(
        state::INVALID_SQL_STATEMENT_NAME,
        format!("prepared statement \"{name}\" does not exist"),
    )
}
