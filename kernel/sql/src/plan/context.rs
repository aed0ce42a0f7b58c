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

use super::as_of::reference::{Reference, take};
use super::as_of::time::When;
use super::as_of::{self, Slot};
use super::changes;
use super::error::{convert, wrap};
use super::provider::StoredTable;
use super::returned::{RETURNED, ReturnedRows};
use crate::catalog::model::{Dependency, View};
use crate::catalog::{CatalogSnapshot, Oid, Relation};
use crate::error::{SqlError, state};
use crate::functions::Functions;
use crate::names;
use crate::pg_catalog::{SessionView, scalar_function, system_table};
use crate::semantics::function::undefined_function;
use crate::semantics::overload::{Unresolved, pg_type};
use crate::semantics::{SessionVars, expr_planners};
use crate::session::info::SessionInfo;
use crate::session::statement::parse_query;
use crate::subplan;
use crate::types::PgType;

/// The catalog part of a name that asks for a table with its row ids. No SQL text can name it by
/// accident: a database of this name does not exist.
pub(crate) const TARGET: &str = "$target";

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
    /// One that does something else, which goes row by row and when the statement runs: it waits, say.
    pub effects: bool,
    /// The other times that tables are read at; those of the statement itself before those of views.
    pub times: Vec<Slot>,
}

pub(crate) struct PlanContext<'a> {
    pub state: &'a SessionState,
    pub catalog: &'a CatalogSnapshot,
    pub info: &'a Arc<SessionInfo>,
    search_path: Vec<String>,
    /// Relations that exist for this statement only, such as `excluded`.
    locals: HashMap<String, SchemaRef>,
    uses: &'a RefCell<Uses>,
    functions: Arc<Functions>,
    expr_planners: Vec<Arc<dyn ExprPlanner>>,
    depth: usize,
    /// Whose privileges count: a view's owner's for what the view reads.
    role: Role,
    /// The slot of the time to read at, inside a view that is read at another time.
    slot: Option<usize>,
    /// Rows of other parts of the statement.
    returned: Arc<[SchemaRef]>,
}

#[derive(Clone, Copy)]
struct Role {
    oid: Oid,
    superuser: bool,
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
            role: Role {
                oid: info.user_oid,
                superuser: info.superuser,
            },
            slot: None,
            returned: Arc::default(),
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
        for when in times {
            let view = when.view(instance.engine(), self.state, params)?;
            let planned_for = view.as_ref().map(ReadView::ts);
            let catalog = match view {
                Some(view) => instance.catalog(&view)?,
                None => self.info.catalog(),
            };
            self.uses.borrow_mut().times.push(Slot {
                when: when.clone(),
                planned_for,
                catalog,
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

    pub fn planner(&self) -> SqlToRel<'_, PlanContext<'a>> {
        let options = ParserOptions::from(&self.state.config_options().sql_parser);
        SqlToRel::new_with_options(self, options)
    }

    fn resolve(&self, name: &TableReference) -> Result<(Relation, bool)> {
        let target = name.catalog() == Some(TARGET);
        if let Some(database) = name.catalog()
            && !target
            && database != self.info.database
        {
            return Err(wrap(SqlError::unsupported(format!(
                "cross-database reference to \"{name}\""
            ))));
        }
        let relation = self.find(self.catalog, name.schema(), name.table());
        Ok((relation.map_err(wrap)?, target))
    }

    fn find(
        &self,
        catalog: &CatalogSnapshot,
        schema: Option<&str>,
        name: &str,
    ) -> std::result::Result<Relation, SqlError> {
        let found = match schema {
            Some(schema) => catalog
                .schema_by_name(names::on_path(schema, &self.search_path))
                .and_then(|schema| catalog.relation_in(schema.oid, name)),
            None => catalog.resolve(self.search_path.iter().map(String::as_str), name),
        };
        let found = found.ok_or_else(|| undefined_table(schema, name))?;
        self.info.check_not_of_others(catalog, &found)?;
        Ok(found)
    }

    fn source(&self, relation: &Relation, target: bool) -> Result<Arc<dyn TableSource>> {
        self.check_privilege(relation, relation.owner())?;
        match relation {
            Relation::Table(t) => {
                let meta = self.catalog.table_meta(t.oid).map_err(wrap)?;
                let mut uses = self.uses.borrow_mut();
                uses.relations.insert(t.oid);
                uses.tables.insert(t.oid);
                let table = StoredTable::new(self.catalog, meta, target);
                Ok(provider_as_source(Arc::new(table)))
            }
            Relation::View(v) => {
                self.uses.borrow_mut().relations.insert(v.oid);
                let plan = self.expand(v, v.owner, None)?;
                Ok(provider_as_source(Arc::new(ViewTable::new(plan, None))))
            }
            Relation::Sequence(s) => {
                self.uses.borrow_mut().relations.insert(s.oid);
                let table = super::sequence_relation(self.info, s).map_err(wrap)?;
                Ok(provider_as_source(table))
            }
            Relation::Index(i) => Err(wrap(
                SqlError::new(
                    state::WRONG_OBJECT_TYPE,
                    format!("cannot open relation \"{}\"", i.name),
                )
                .with_detail("This operation is not supported for indexes."),
            )),
        }
    }

    /// A relation as it was at the time of a slot.
    fn past_source(
        &self,
        slot: usize,
        schema: Option<&str>,
        name: &str,
    ) -> Result<Arc<dyn TableSource>> {
        let past = self.uses.borrow().times.get(slot).cloned();
        let past = past.ok_or_else(|| wrap(undefined_table(schema, name)))?;
        let relation = self.find(&past.catalog, schema, name).map_err(|e| {
            let format = &SessionVars::of(self.state.config_options()).format;
            wrap(e.with_detail(past.explain(format)))
        })?;
        // What is still there has its present owner, and others depend on it.
        let oid = relation.oid();
        let present = self.catalog.relation(oid);
        let owner = present.as_ref().unwrap_or(&relation).owner();
        self.check_privilege(&relation, owner)?;
        if present.is_some() {
            self.uses.borrow_mut().relations.insert(oid);
        }
        match &relation {
            Relation::Table(t) => {
                let meta = past.catalog.table_meta(t.oid).map_err(wrap)?;
                // A dump carries no entries of indexes that were dropped before it.
                let meta = meta.with_indexes_of(self.catalog).map_err(wrap)?;
                let table = StoredTable::at(&past.catalog, meta, slot);
                Ok(provider_as_source(Arc::new(table)))
            }
            Relation::View(v) => {
                let plan = self.expand(v, owner, Some(slot))?;
                Ok(provider_as_source(Arc::new(ViewTable::new(plan, None))))
            }
            Relation::Sequence(_) | Relation::Index(_) => {
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
        self.info.check_not_of_others(self.catalog, &relation)?;
        let owner = relation.owner();
        self.check_privilege(&relation, owner).map_err(convert)?;
        let table = changes::table(relation)?;
        let meta = self.catalog.table_meta(table.oid)?;
        let mut uses = self.uses.borrow_mut();
        uses.relations.insert(table.oid);
        uses.tables.insert(table.oid);
        call.source(meta, self.info)
    }

    fn check_privilege(&self, relation: &Relation, owner: Oid) -> Result<()> {
        if self.role.superuser || owner == self.role.oid {
            return Ok(());
        }
        Err(wrap(SqlError::new(
            state::INSUFFICIENT_PRIVILEGE,
            format!(
                "permission denied for {} {}",
                relation.kind(),
                relation.name()
            ),
        )))
    }

    /// The plan of a view's query, with the view's column names, read at the time of a slot.
    fn expand(&self, view: &View, owner: Oid, slot: Option<usize>) -> Result<LogicalPlan> {
        if self.depth >= VIEW_DEPTH_MAX {
            return Err(wrap(SqlError::new(
                state::PROGRAM_LIMIT_EXCEEDED,
                "views are nested too deeply",
            )));
        }
        let role = self.catalog.role(owner);
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
            role: Role {
                oid: owner,
                superuser: role.is_some_and(|r| r.superuser),
            },
            slot,
            returned: Arc::default(),
        };
        let query = parse_query(&view.definition).map_err(wrap)?;
        let mut statement = sqlparser::ast::Statement::Query(query);
        let first = self.uses.borrow().times.len();
        let times = take(&mut statement, &self.info.database, first).map_err(wrap)?;
        let times = as_of::time::plan(&inner, &times, &[], &mut Vec::new()).map_err(wrap)?;
        inner.add_times(&times, Some(&[])).map_err(wrap)?;
        crate::plan::bridge::rewrite_statement(&mut statement, &self.functions).map_err(wrap)?;
        let plan = inner.planner().sql_statement_to_plan(statement)?;
        name_columns(plan, view.columns.iter().map(|c| c.name.as_str()))
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

fn undefined_table(schema: Option<&str>, name: &str) -> SqlError {
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
        let reference = Reference::of(&name);
        let (slot, schema) = match &reference {
            Some(reference) => (Some(reference.slot), reference.schema),
            None => (self.slot, name.schema()),
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
        match (builtin, slot) {
            (Some(_), Some(_)) => {
                return Err(wrap(as_of_unsupported("system relation", name.table())));
            }
            (Some(table), None) => return Ok(provider_as_source(table)),
            (None, Some(slot)) => return self.past_source(slot, schema, name.table()),
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
        let session: Arc<dyn SessionView> = self.info.clone();
        if let Some(function) = scalar_function(name, &session) {
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
            self.uses.borrow_mut().effects |= crate::functions::has_effect(name);
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
