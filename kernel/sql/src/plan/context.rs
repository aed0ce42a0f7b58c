//! Name resolution for DataFusion's planner: tables along the search path, views, functions.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, SchemaRef};
use datafusion::catalog::TableProvider;
use datafusion::common::{DFSchema, TableReference};
use datafusion::config::ConfigOptions;
use datafusion::datasource::cte_worktable::CteWorkTable;
use datafusion::datasource::empty::EmptyTable;
use datafusion::datasource::{ViewTable, provider_as_source};
use datafusion::error::Result;
use datafusion::execution::SessionState;
use datafusion::logical_expr::planner::{ExprPlanner, RelationPlanner};
use datafusion::logical_expr::{
    AggregateUDF, Expr, ExprSchemable, HigherOrderUDF, LogicalPlan, LogicalPlanBuilder, ScalarUDF,
    TableSource, WindowUDF, col,
};
use datafusion::scalar::ScalarValue;
use datafusion::sql::planner::{ContextProvider, ParserOptions, SqlToRel};
use heliosdb_storage::ReadView;
use heliosdb_storage::ids::TimelineId;
use sqlparser::ast;

use super::as_of::reference::{Reference, take};
use super::as_of::time::When;
use super::as_of::{self, InForce, Slot, versions};
use super::changes;
use super::compile::select;
use super::error::{convert, wrap};
use super::policy::RAW;
use super::provider::StoredTable;
use super::reads::{self, Restricted};
use super::returned::{RETURNED, ReturnedRows};
use crate::branch::access;
use crate::catalog::access::{PolicyCommand, Privileges};
use crate::catalog::model::{Dependency, Table, View};
use crate::catalog::{CatalogSnapshot, Oid, Relation};
use crate::error::{SqlError, state};
use crate::functions::Functions;
use crate::names;
use crate::pg_catalog::functions::is_secret;
use crate::pg_catalog::{SessionView, scalar_function, system_table};
use crate::place::{self, Others};
use crate::privilege::Authority;
use crate::privilege::check::denied;
use crate::routine::{self, Names, Noted};
use crate::semantics::function::undefined_function;
use crate::semantics::overload::{Unresolved, pg_type};
use crate::semantics::rewrite::cast_call;
use crate::semantics::{SessionVars, expr_planners};
use crate::session::info::SessionInfo;
use crate::session::statement::{parse_expression, parse_query};
use crate::subplan;
use crate::types::PgType;

/// What DML does with the rows of its target, whose row ids it asks for by the catalog part of its name. No SQL
/// text can name it: it has no zero byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// `true` when the statement also reads columns of the rows.
    Update(bool),
    Delete(bool),
    Lock,
    /// Nothing, but asks for their ids.
    Read,
}

impl Target {
    const ALL: [(Target, &'static str); 6] = [
        (Target::Update(false), "\0update"),
        (Target::Update(true), "\0update and read"),
        (Target::Delete(false), "\0delete"),
        (Target::Delete(true), "\0delete and read"),
        (Target::Lock, "\0lock"),
        (Target::Read, "\0read"),
    ];

    /// The catalog part of the target's name.
    pub fn name(self) -> &'static str {
        let mut all = Target::ALL.into_iter();
        all.find(|(target, _)| *target == self)
            .map_or("", |(_, name)| name)
    }

    fn of(name: &str) -> Option<Target> {
        let mut all = Target::ALL.into_iter();
        all.find(|(_, known)| *known == name)
            .map(|(target, _)| target)
    }

    /// The commands whose policies say which rows there are.
    fn commands(target: Option<Target>) -> &'static [PolicyCommand] {
        match target {
            None | Some(Target::Read) => &[PolicyCommand::Select],
            Some(Target::Update(false)) => &[PolicyCommand::Update],
            Some(Target::Update(true) | Target::Lock) => {
                &[PolicyCommand::Select, PolicyCommand::Update]
            }
            Some(Target::Delete(false)) => &[PolicyCommand::Delete],
            Some(Target::Delete(true)) => &[PolicyCommand::Select, PolicyCommand::Delete],
        }
    }
}

/// Views inside views deeper than this are refused.
const VIEW_DEPTH_MAX: usize = 64;

/// What planning a statement looked at.
#[derive(Clone, Debug, Default)]
pub(crate) struct Uses {
    /// Tables, views included.
    pub relations: BTreeSet<Oid>,
    /// Base tables only.
    pub tables: BTreeSet<Oid>,
    /// A function that changes state was named (`nextval`, `setval`, `set_config`).
    pub writes: bool,
    /// One that asks for a pin was: it is made when all rows are there.
    pub pins: bool,
    /// A routine that writes was, which needs the transaction lent.
    pub calls: bool,
    /// One that does something else, which goes row by row and when the statement runs: it waits, say.
    pub effects: bool,
    /// Relations of which the role may read some columns, until it was checked that no others are.
    pub restricted: Vec<Restricted>,
    /// The other times that tables are read at; those of the statement itself before those of views.
    pub times: Vec<Slot>,
    /// The routines that calls mean.
    pub noted: Arc<Noted>,
}

impl Uses {
    /// Takes over what the routines may do that are called, once it is known which ones they are.
    pub fn settle(&mut self, info: &SessionInfo) {
        let notes = self.noted.all();
        if notes.is_empty() {
            return;
        }
        let functions = info.functions();
        let Some(index) = functions.index() else {
            return;
        };
        for note in notes {
            let traits = index.traits(&note.routine, info);
            self.writes |= traits.writes;
            self.calls |= traits.writes;
            self.effects |= traits.writes || traits.effects;
        }
    }
}

pub(crate) struct PlanContext<'a> {
    pub state: &'a SessionState,
    pub catalog: &'a CatalogSnapshot,
    pub info: &'a Arc<SessionInfo>,
    search_path: Vec<String>,
    /// Relations that exist for this statement only, such as `excluded`.
    pub(super) locals: HashMap<String, SchemaRef>,
    pub(super) uses: &'a RefCell<Uses>,
    functions: Arc<Functions>,
    expr_planners: Vec<Arc<dyn ExprPlanner>>,
    depth: usize,
    /// Whose privileges count: a view's owner's for what the view reads.
    role: Arc<Authority>,
    /// Tables whose policies are being planned, and what the innermost is without them.
    securing: Vec<Oid>,
    pub(super) raw: Option<Arc<dyn TableSource>>,
    /// The slot of the time to read at, inside a view that is read at another time.
    pub(super) slot: Option<usize>,
    /// Rows of other parts of the statement.
    pub(super) returned: Arc<[SchemaRef]>,
    /// Whose names of functions are planned.
    names: Names,
    /// The branch whose definitions are planned, where that is not the session's. What they read, they read there.
    pub(super) elsewhere: Option<TimelineId>,
}

impl<'a> PlanContext<'a> {
    pub fn new(
        state: &'a SessionState,
        catalog: &'a CatalogSnapshot,
        info: &'a Arc<SessionInfo>,
        uses: &'a RefCell<Uses>,
    ) -> PlanContext<'a> {
        let functions = info.functions();
        PlanContext {
            state,
            catalog,
            info,
            search_path: info.search_path(),
            locals: HashMap::new(),
            uses,
            expr_planners: expr_planners(functions.clone()),
            functions,
            depth: 0,
            role: info.role(),
            securing: Vec::new(),
            raw: None,
            slot: None,
            returned: Arc::default(),
            names: Names::Statement,
            elsewhere: None,
        }
    }

    pub fn with_names(mut self, names: Names) -> PlanContext<'a> {
        self.names = names;
        self
    }

    /// Rewrites a statement for the planner.
    pub fn rewrite(
        &self,
        statement: &mut sqlparser::ast::Statement,
    ) -> std::result::Result<(), SqlError> {
        crate::plan::bridge::rewrite_statement(
            statement,
            &self.functions,
            self.names,
            Some(&self.role),
        )?;
        self.merge_joins(statement)?;
        match self.elsewhere {
            None => Ok(()),
            // Its body would read the session's branch, and may be another one there.
            Some(_) => routine::refuse_calls(
                statement,
                "functions of users in policies and views of another branch",
            ),
        }
    }

    /// Adds times that tables are read at. Those whose parameters are not known yet are planned as of
    /// now.
    pub fn add_times(
        &self,
        times: &[When],
        params: Option<&[ScalarValue]>,
    ) -> std::result::Result<(), SqlError> {
        let instance = &self.info.instance;
        let (engine, own) = (instance.engine(), self.info.place().id());
        let others = Others::default();
        for when in times {
            let view = when.view(engine, self.state, params, &others)?;
            let planned_for = view.as_ref().map(ReadView::ts);
            let in_force = match (&view, when.branch()) {
                (Some(view), _) => place::in_force(engine, view)?,
                (None, Some(branch)) => place::in_force_on(engine, place::named(engine, branch)?)?,
                (None, None) => own,
            };
            let present = match in_force == own && self.elsewhere.is_none() {
                true => None,
                false => Some(InForce {
                    timeline: in_force,
                    catalog: instance.catalog(&others.view(engine, in_force)?)?,
                }),
            };
            let catalog = match (view, &present) {
                (Some(view), _) => instance.catalog(&view)?,
                (None, Some(present)) => present.catalog.clone(),
                (None, None) => self.info.catalog(),
            };
            let access = match when.branch() {
                None => None,
                Some(branch) => {
                    let branch = place::named(engine, branch)?;
                    if branch != own {
                        access::check_connect(engine, branch, &self.role)?;
                    }
                    Some((branch, access::lists(engine, branch)?))
                }
            };
            self.uses.borrow_mut().times.push(Slot {
                when: when.clone(),
                access,
                planned_for,
                catalog,
                present,
            });
        }
        Ok(())
    }

    pub fn with_local(mut self, name: &str, schema: SchemaRef) -> PlanContext<'a> {
        self.locals.insert(name.to_owned(), schema);
        self
    }

    pub fn with_returned(mut self, slots: &Arc<[SchemaRef]>) -> PlanContext<'a> {
        self.returned = Arc::clone(slots);
        self
    }

    /// The role whose privileges count.
    pub fn role(&self) -> Arc<Authority> {
        self.role.clone()
    }

    /// Whether the policies of a table are being planned.
    pub fn is_securing(&self, table: Oid) -> bool {
        self.securing.contains(&table)
    }

    /// The same to plan the policies of a table in, which is `raw` without them.
    pub fn inside_policy(
        &self,
        table: Oid,
        raw: Arc<dyn TableSource>,
    ) -> std::result::Result<PlanContext<'_>, SqlError> {
        Ok(PlanContext {
            state: self.state,
            catalog: self.catalog,
            info: self.info,
            search_path: vec!["pg_catalog".to_owned()],
            locals: HashMap::new(),
            uses: self.uses,
            functions: self.functions.clone(),
            expr_planners: self.expr_planners.clone(),
            depth: self.depth + 1,
            role: self.role.clone(),
            securing: [self.securing.as_slice(), &[table]].concat(),
            raw: Some(raw),
            slot: self.slot_of_now_elsewhere()?,
            returned: Arc::default(),
            names: Names::Stored,
            elsewhere: self.elsewhere,
        })
    }

    /// A slot for what the definitions of another branch read: that branch as it is now.
    fn slot_of_now_elsewhere(&self) -> std::result::Result<Option<usize>, SqlError> {
        let Some(elsewhere) = self.elsewhere else {
            return Ok(None);
        };
        let name = self.info.instance.engine().timeline_name(elsewhere);
        let slot = self.uses.borrow().times.len();
        self.add_times(&[When::now_on(name.unwrap_or_default())], Some(&[]))?;
        Ok(Some(slot))
    }

    /// Plans a query of ours.
    pub fn plan_query(&self, query: sqlparser::ast::Query) -> Result<LogicalPlan> {
        let mut statement = sqlparser::ast::Statement::Query(Box::new(query));
        self.rewrite(&mut statement).map_err(wrap)?;
        let restricted = self.uses.borrow().restricted.len();
        let plan = self.planner().sql_statement_to_plan(statement)?;
        self.check_reads(&plan, restricted)?;
        Ok(plan)
    }

    pub fn planner(&self) -> SqlToRel<'_, PlanContext<'a>> {
        let options = ParserOptions::from(&self.state.config_options().sql_parser);
        SqlToRel::new_with_options(self, options)
    }

    fn resolve(&self, name: &TableReference) -> Result<(Relation, Option<Target>)> {
        let target = name.catalog().and_then(Target::of);
        if let Some(database) = name.catalog()
            && target.is_none()
            && database != self.info.database
        {
            return Err(wrap(SqlError::unsupported(format!(
                "cross-database reference to \"{name}\""
            ))));
        }
        let relation = self.find(self.catalog, name.schema(), name.table());
        Ok((relation.map_err(wrap)?, target))
    }

    pub(super) fn find(
        &self,
        catalog: &CatalogSnapshot,
        schema: Option<&str>,
        name: &str,
    ) -> std::result::Result<Relation, SqlError> {
        let found = match schema {
            Some(schema) => {
                let schema = catalog.schema_by_name(names::on_path(schema, &self.search_path));
                if let Some(schema) = schema {
                    self.role
                        .check_schema(self.catalog, schema, Privileges::USAGE)?;
                }
                schema.and_then(|schema| catalog.relation_in(schema.oid, name))
            }
            None => catalog.resolve(self.search_path.iter().map(String::as_str), name),
        };
        let found = found.ok_or_else(|| undefined_table(schema, name))?;
        self.info.check_not_of_others(catalog, &found)?;
        Ok(found)
    }

    fn source(&self, relation: &Relation, target: Option<Target>) -> Result<Arc<dyn TableSource>> {
        let reading = self.reading(relation, relation, target.is_some())?;
        let source: Arc<dyn TableSource> = match relation {
            Relation::Table(t) => {
                let meta = self.catalog.table_meta(t.oid).map_err(wrap)?;
                let mut uses = self.uses.borrow_mut();
                uses.relations.insert(t.oid);
                uses.tables.insert(t.oid);
                drop(uses);
                let table = StoredTable::new(self.catalog, meta, target.is_some());
                let raw = provider_as_source(Arc::new(table));
                match self.role.is_bound_by(t) {
                    true => self.secured(t, raw, Target::commands(target))?,
                    false => raw,
                }
            }
            Relation::View(v) => {
                self.uses.borrow_mut().relations.insert(v.oid);
                let plan = self.expand(v, v.owner, None)?;
                provider_as_source(Arc::new(ViewTable::new(plan, None)))
            }
            Relation::Sequence(s) => {
                self.uses.borrow_mut().relations.insert(s.oid);
                let table = super::sequence_relation(self.info, s).map_err(wrap)?;
                provider_as_source(table)
            }
            Relation::Index(i) => {
                return Err(wrap(
                    SqlError::new(
                        state::WRONG_OBJECT_TYPE,
                        format!("cannot open relation \"{}\"", i.name),
                    )
                    .with_detail("This operation is not supported for indexes."),
                ));
            }
        };
        self.restrict(relation, reading, &source);
        Ok(source)
    }

    /// A table as it is, for what DDL reads of it.
    fn raw_table(&self, schema: Option<&str>, name: &str) -> Result<Arc<dyn TableSource>> {
        let found = schema.and_then(|schema| self.catalog.schema_by_name(schema));
        let found = found.and_then(|schema| self.catalog.relation_in(schema.oid, name));
        let Some(Relation::Table(table)) = found else {
            return Err(wrap(undefined_table(schema, name)));
        };
        let meta = self.catalog.table_meta(table.oid).map_err(wrap)?;
        let mut uses = self.uses.borrow_mut();
        uses.relations.insert(table.oid);
        uses.tables.insert(table.oid);
        let table = StoredTable::new(self.catalog, meta, false);
        Ok(provider_as_source(Arc::new(table)))
    }

    /// What the role may read of a relation. DML asks for itself what it needs of its target.
    /// `read` is the same relation as it is read, which may be as it was.
    fn reading(&self, relation: &Relation, read: &Relation, target: bool) -> Result<Reading> {
        if target || matches!(relation, Relation::Index(_)) {
            return Ok(Reading::All);
        }
        let on = self.role.on_relation(self.catalog, relation);
        if on.contains(Privileges::SELECT) {
            return Ok(Reading::All);
        }
        let (names, allowed): (Vec<&str>, Vec<i32>) = match read {
            Relation::Table(t) => {
                let columns = t.live_columns();
                columns
                    .map(|(id, c)| (c.name.as_str(), i32::from(id.0) + 1))
                    .unzip()
            }
            Relation::View(v) => {
                let columns = v.columns.iter().map(|c| c.name.as_str());
                columns.zip(1..).unzip()
            }
            _ => (Vec::new(), Vec::new()),
        };
        let may = |attribute: &i32| {
            let on = self
                .role
                .on_column(self.catalog, relation.oid(), *attribute);
            on.contains(Privileges::SELECT)
        };
        let allowed = names.into_iter().zip(allowed);
        let allowed: Vec<String> = allowed
            .filter(|(_, attribute)| may(attribute))
            .map(|(name, _)| name.to_owned())
            .collect();
        match allowed.is_empty() {
            true => Err(wrap(denied(relation.kind(), relation.name()))),
            false => Ok(Reading::Columns(allowed)),
        }
    }

    /// Remembers what may not be read of a source.
    fn restrict(&self, relation: &Relation, reading: Reading, source: &Arc<dyn TableSource>) {
        let Reading::Columns(names) = reading else {
            return;
        };
        let schema = source.schema();
        let places = names.iter().filter_map(|name| schema.index_of(name).ok());
        self.uses.borrow_mut().restricted.push(Restricted {
            source: source.clone(),
            kind: relation.kind(),
            name: relation.name().to_owned(),
            allowed: places.collect(),
        });
    }

    /// Checks what a plan reads of the relations that were restricted since there were so many.
    pub fn check_reads(&self, plan: &LogicalPlan, since: usize) -> Result<()> {
        let restricted = self.uses.borrow_mut().restricted.split_off(since);
        reads::check(plan, &restricted)
    }

    /// The same where another branch's catalog is in force.
    pub(super) fn under<'b>(&'b self, present: &'b InForce) -> PlanContext<'b> {
        let catalog = present.catalog.as_ref();
        PlanContext {
            state: self.state,
            catalog,
            elsewhere: Some(present.timeline),
            info: self.info,
            search_path: self.search_path.clone(),
            locals: HashMap::new(),
            uses: self.uses,
            functions: self.functions.clone(),
            expr_planners: self.expr_planners.clone(),
            depth: self.depth,
            role: Arc::new(Authority::of(catalog, self.role.oid)),
            securing: self.securing.clone(),
            raw: None,
            slot: self.slot,
            returned: Arc::default(),
            names: self.names,
        }
    }

    /// A relation as it was at the time of a slot.
    fn past_source(&self, reference: &Reference<'_>) -> Result<Arc<dyn TableSource>> {
        let Reference {
            slot,
            versions,
            schema,
            name,
        } = *reference;
        let past = self.uses.borrow().times.get(slot).cloned();
        let past = past.ok_or_else(|| wrap(undefined_table(schema, name)))?;
        if let Some(present) = &past.present
            && self.elsewhere != Some(present.timeline)
        {
            return self.under(present).past_source(reference);
        }
        let relation = self.find(&past.catalog, schema, name).map_err(|e| {
            let format = &SessionVars::of(self.state.config_options()).format;
            wrap(e.with_detail(past.explain(format)))
        })?;
        // What is still there has its present owner, and others depend on it.
        let oid = relation.oid();
        let present = self.catalog.relation(oid);
        let owner = present.as_ref().unwrap_or(&relation).owner();
        let of_now = present.as_ref().unwrap_or(&relation);
        let reading = self.reading(of_now, &relation, false)?;
        // A view depends on what is on its own branch.
        if present.is_some() && self.elsewhere.is_none() {
            self.uses.borrow_mut().relations.insert(oid);
        }
        match &relation {
            Relation::Table(t) => {
                let meta = past.catalog.table_meta(t.oid).map_err(wrap)?;
                // A dump carries no entries of indexes that were dropped before it.
                let meta = meta.with_indexes_of(self.catalog).map_err(wrap)?;
                let mut source: Arc<dyn TableSource> = match versions {
                    true => versions::source(meta, self.info, slot).map_err(wrap)?,
                    false => {
                        let table = StoredTable::at(&past.catalog, meta, slot);
                        provider_as_source(Arc::new(table))
                    }
                };
                // What was there then is seen by the policies of now.
                if let Some(Relation::Table(now)) = &present
                    && self.role.is_bound_by(now)
                {
                    check_same_columns(now, t).map_err(wrap)?;
                    source = self.secured(now, source, &[PolicyCommand::Select])?;
                }
                self.restrict(&relation, reading, &source);
                Ok(source)
            }
            Relation::View(v) if !versions => {
                let plan = self.expand(v, owner, Some(slot))?;
                let source = provider_as_source(Arc::new(ViewTable::new(plan, None)));
                self.restrict(&relation, reading, &source);
                Ok(source)
            }
            other if versions => Err(wrap(
                SqlError::new(
                    state::WRONG_OBJECT_TYPE,
                    format!("\"{}\" is not a table", other.name()),
                )
                .with_detail("Only tables have versions of their rows."),
            )),
            Relation::View(_) | Relation::Sequence(_) | Relation::Index(_) => {
                Err(wrap(as_of_unsupported(relation.kind(), relation.name())))
            }
        }
    }

    /// The changes of a table that a call names.
    fn changes(&self, args: Vec<Expr>) -> std::result::Result<Arc<dyn TableSource>, SqlError> {
        if self.slot.is_some() {
            let what = format!("AS OF for {}", changes::FUNCTION);
            return Err(SqlError::unsupported(what));
        }
        let call = changes::Call::new(self.state, args)?;
        let relation = self
            .catalog
            .relation_named(call.table(), &self.search_path)?;
        if let Some(schema) = self.catalog.schema(relation.schema()) {
            self.role
                .check_schema(self.catalog, schema, Privileges::USAGE)?;
        }
        self.info.check_not_of_others(self.catalog, &relation)?;
        self.role
            .check_relation(self.catalog, &relation, Privileges::SELECT)?;
        let table = changes::table(relation)?;
        if self.role.is_bound_by(&table) {
            let what = format!("{} of a table with row-level security", changes::FUNCTION);
            return Err(SqlError::unsupported(what));
        }
        let meta = self.catalog.table_meta(table.oid)?;
        let mut uses = self.uses.borrow_mut();
        uses.relations.insert(table.oid);
        uses.tables.insert(table.oid);
        call.source(meta, self.info)
    }

    /// The plan of a view's query, with the view's column names, read at the time of a slot.
    fn expand(&self, view: &View, owner: Oid, slot: Option<usize>) -> Result<LogicalPlan> {
        if self.depth >= VIEW_DEPTH_MAX {
            return Err(wrap(SqlError::new(
                state::PROGRAM_LIMIT_EXCEEDED,
                "views are nested too deeply",
            )));
        }
        let inner = PlanContext {
            state: self.state,
            catalog: self.catalog,
            info: self.info,
            // A stored definition is qualified throughout; only built-in names need a path.
            search_path: vec!["pg_catalog".to_owned()],
            locals: HashMap::new(),
            uses: self.uses,
            functions: self.functions.clone(),
            expr_planners: self.expr_planners.clone(),
            depth: self.depth + 1,
            role: Arc::new(Authority::of(self.catalog, owner)),
            securing: self.securing.clone(),
            raw: None,
            slot,
            returned: Arc::default(),
            names: Names::Stored,
            elsewhere: self.elsewhere,
        };
        let query = parse_query(&view.definition).map_err(wrap)?;
        let mut statement = sqlparser::ast::Statement::Query(query);
        let first = self.uses.borrow().times.len();
        let mut times = take(&mut statement, &self.info.database, first).map_err(wrap)?;
        // Where it says no branch it means the one that it is read on.
        let around = slot.and_then(|slot| self.uses.borrow().times.get(slot).cloned());
        let branch = around.and_then(|around| around.when.branch().map(str::to_owned));
        for moment in &mut times {
            moment.branch = moment.branch.take().or_else(|| branch.clone());
        }
        let times = as_of::time::plan(&inner, &times, &[], &mut Vec::new()).map_err(wrap)?;
        inner.add_times(&times, Some(&[])).map_err(wrap)?;
        inner.rewrite(&mut statement).map_err(wrap)?;
        let restricted = self.uses.borrow().restricted.len();
        let plan = inner.planner().sql_statement_to_plan(statement)?;
        self.check_reads(&plan, restricted)?;
        name_columns(plan, view.columns.iter().map(|c| c.name.as_str()))
    }

    /// The function that is called by a name which routines may have.
    fn routine_function(&self, name: &str) -> Option<Arc<ScalarUDF>> {
        let noted = self.uses.borrow().noted.clone();
        let making = routine::Making {
            functions: &self.functions,
            noted: &noted,
            own: self.depth == 0,
            default: &|text, ty| self.default_value(text, ty),
        };
        routine::function(self.functions.index()?, name, &making)
    }

    /// A parameter's default, as a value of a type.
    fn default_value(
        &self,
        text: &str,
        ty: Option<&PgType>,
    ) -> std::result::Result<Expr, SqlError> {
        if self.depth >= VIEW_DEPTH_MAX {
            return Err(SqlError::new(
                state::STATEMENT_TOO_COMPLEX,
                "defaults of parameters call functions too deeply",
            ));
        }
        let mut expr = parse_expression(text)?;
        if let Some(ty) = ty {
            expr = cast_call(expr, ty);
        }
        let item = ast::SelectItem::ExprWithAlias {
            expr,
            alias: names::quoted_ident("default"),
        };
        let inner = PlanContext {
            depth: self.depth + 1,
            ..PlanContext::new(self.state, self.catalog, self.info, self.uses)
        };
        let inner = inner.with_names(Names::Stored);
        let plan = inner
            .plan_query(select(vec![item], Vec::new()))
            .map_err(convert)?;
        let options = self.state.config_options();
        let analyzer = self.state.analyzer();
        let plan = analyzer
            .execute_and_check(plan, options, |_, _| {})
            .map_err(convert)?;
        match plan {
            LogicalPlan::Projection(p) if p.expr.len() == 1 => Ok(p.expr[0].clone().unalias()),
            _ => Err(SqlError::internal("a default that is no expression")),
        }
    }

    /// The tables and views a query names, for what depends on it.
    pub fn dependencies(uses: &Uses) -> Vec<Dependency> {
        uses.relations
            .iter()
            .map(|oid| Dependency {
                oid: *oid,
                column: None,
            })
            .collect()
    }
}

/// 0A000 when the columns that policies read had other names then.
fn check_same_columns(now: &Table, then: &Table) -> std::result::Result<(), SqlError> {
    let mut columns = now.policies.iter().flat_map(|policy| &policy.columns);
    let renamed = columns.find(|place| {
        let (now, then) = (now.column_at(**place), then.column_at(**place));
        match (now, then) {
            (Some(now), Some(then)) => then.dropped || now.name != then.name,
            _ => true,
        }
    });
    match renamed {
        None => Ok(()),
        Some(_) => Err(SqlError::unsupported(format!(
            "AS OF a time at which the policies of \"{}\" had other columns",
            now.name
        ))),
    }
}

/// What a role may read of a relation.
enum Reading {
    All,
    /// The columns of these names.
    Columns(Vec<String>),
}

/// Renames the columns of a plan, in order.
pub(crate) fn name_columns<'n>(
    plan: LogicalPlan,
    names: impl Iterator<Item = &'n str>,
) -> Result<LogicalPlan> {
    let columns = plan.schema().columns();
    let exprs: Vec<Expr> = columns
        .into_iter()
        .zip(names)
        .map(|(column, name)| {
            if column.name == name && column.relation.is_none() {
                col(column)
            } else {
                Expr::Column(column).alias(name)
            }
        })
        .collect();
    LogicalPlanBuilder::from(plan).project(exprs)?.build()
}

pub(super) fn undefined_table(schema: Option<&str>, name: &str) -> SqlError {
    let shown = match schema {
        Some(schema) => format!("{schema}.{name}"),
        None => name.to_owned(),
    };
    SqlError::new(
        state::UNDEFINED_TABLE,
        format!("relation \"{shown}\" does not exist"),
    )
}

fn as_of_unsupported(kind: &str, name: &str) -> SqlError {
    SqlError::unsupported(format!("AS OF for {kind} \"{name}\""))
}

impl ContextProvider for PlanContext<'_> {
    fn get_table_source(&self, name: TableReference) -> Result<Arc<dyn TableSource>> {
        if let TableReference::Bare { table } = &name
            && let Some(schema) = self.locals.get(table.as_ref())
        {
            let table: Arc<dyn TableProvider> = Arc::new(EmptyTable::new(schema.clone()));
            return Ok(provider_as_source(table));
        }
        if name.catalog() == Some(RETURNED) {
            let rows = ReturnedRows::named(&self.returned, name.table())?;
            return Ok(provider_as_source(Arc::new(rows)));
        }
        if name.catalog() == Some(RAW) {
            return match &self.raw {
                Some(raw) => Ok(raw.clone()),
                None => self.raw_table(name.schema(), name.table()),
            };
        }
        let reference = Reference::of(&name);
        // Inside a view that is read at another time, tables are read at that time.
        let around = || {
            self.slot.map(|slot| Reference {
                slot,
                versions: false,
                schema: name.schema(),
                name: name.table(),
            })
        };
        let reference = reference.or_else(around);
        let schema = match &reference {
            Some(reference) => reference.schema,
            None => name.schema(),
        };
        // Built-in relations: those of pg_catalog are found without naming the schema.
        let session: Arc<dyn SessionView> = self.info.clone();
        let builtin = match schema {
            None => system_table("pg_catalog", name.table(), &session),
            Some(schema @ ("pg_catalog" | "information_schema")) => {
                system_table(schema, name.table(), &session)
            }
            Some(_) => None,
        };
        let is_secret = builtin.is_some() && is_secret(name.table());
        if is_secret && !self.role.superuser {
            let kind = if name.table() == "pg_shadow" {
                "view"
            } else {
                "table"
            };
            return Err(wrap(denied(kind, name.table())));
        }
        match (builtin, &reference) {
            (Some(_), Some(_)) => {
                return Err(wrap(as_of_unsupported("system relation", name.table())));
            }
            (Some(table), None) => return Ok(provider_as_source(table)),
            (None, Some(reference)) => return self.past_source(reference),
            (None, None) => {}
        }
        let (relation, target) = self.resolve(&name)?;
        self.source(&relation, target)
    }

    fn get_table_function_source(
        &self,
        name: &str,
        args: Vec<Expr>,
    ) -> Result<Arc<dyn TableSource>> {
        if name == changes::FUNCTION {
            return self.changes(args).map_err(wrap);
        }
        let Some(function) = self.state.table_functions().get(name) else {
            let none = DFSchema::empty();
            let types: Vec<PgType> = args
                .iter()
                .map(|a| Ok(pg_type(&a.get_type(&none)?)))
                .collect::<Result<_>>()?;
            let error = undefined_function(name, &types, Unresolved::None);
            return Err(wrap(match self.functions.hint(name) {
                Some(hint) => error.with_hint(hint),
                None => error,
            }));
        };
        let args = datafusion::catalog::TableFunctionArgs::new(&args, self.state);
        Ok(provider_as_source(
            function.create_table_provider_with_args(args)?,
        ))
    }

    fn create_cte_work_table(&self, name: &str, schema: SchemaRef) -> Result<Arc<dyn TableSource>> {
        Ok(provider_as_source(Arc::new(CteWorkTable::new(
            name, schema,
        ))))
    }

    fn get_expr_planners(&self) -> &[Arc<dyn ExprPlanner>] {
        &self.expr_planners
    }

    fn get_relation_planners(&self) -> &[Arc<dyn RelationPlanner>] {
        self.state.relation_planners()
    }

    fn get_function_meta(&self, name: &str) -> Option<Arc<ScalarUDF>> {
        if name == subplan::ARRAY_SUBQUERY {
            return Some(subplan::array_subquery());
        }
        if routine::is_reference(name) {
            return self.routine_function(name);
        }
        let session: Arc<dyn SessionView> = self.info.clone();
        if let Some(function) = scalar_function(name, &session) {
            // It has its effect while the statement runs, and not when its rows are read.
            self.uses.borrow_mut().effects |= name == "set_config";
            return Some(function);
        }
        if let Some(found) = crate::session::functions::lookup(name, self.info) {
            let mut uses = self.uses.borrow_mut();
            uses.writes |= found.writes;
            uses.pins |= found.pins;
            drop(uses);
            return Some(found.function);
        }
        if let Some(function) = self.functions.scalar(name) {
            let mut uses = self.uses.borrow_mut();
            uses.effects |= crate::functions::has_effect(name);
            return Some(function);
        }
        if self.functions.added_aggregate(name).is_some() {
            return None;
        }
        let elsewhere = name.contains('.')
            || matches!(name, "unnest" | "unnest_outer")
            || self.state.higher_order_functions().contains_key(name)
            || self.state.aggregate_functions().contains_key(name)
            || self.state.window_functions().contains_key(name);
        (!elsewhere).then(|| self.functions.missing(name))
    }

    fn get_higher_order_meta(&self, name: &str) -> Option<Arc<HigherOrderUDF>> {
        self.state.higher_order_functions().get(name).cloned()
    }

    fn get_aggregate_meta(&self, name: &str) -> Option<Arc<AggregateUDF>> {
        let builtin = self.state.aggregate_functions().get(name);
        builtin
            .or_else(|| self.functions.added_aggregate(name))
            .cloned()
    }

    fn get_window_meta(&self, name: &str) -> Option<Arc<WindowUDF>> {
        self.state.window_functions().get(name).cloned()
    }

    fn get_variable_type(&self, _names: &[String]) -> Option<DataType> {
        None
    }

    fn options(&self) -> &ConfigOptions {
        self.state.config_options()
    }

    fn udf_names(&self) -> Vec<String> {
        self.state.scalar_functions().keys().cloned().collect()
    }

    fn higher_order_function_names(&self) -> Vec<String> {
        self.state
            .higher_order_functions()
            .keys()
            .cloned()
            .collect()
    }

    fn udaf_names(&self) -> Vec<String> {
        self.state.aggregate_functions().keys().cloned().collect()
    }

    fn udwf_names(&self) -> Vec<String> {
        self.state.window_functions().keys().cloned().collect()
    }
}
