//! Where planning meets PostgreSQL's semantics.
//!
//! What is installed into a planning state, what a session tells functions of itself, and what is
//! asked of a statement before DataFusion sees it.

use std::sync::Arc;

use datafusion::config::ConfigOptions;
use datafusion::execution::{SessionState, SessionStateBuilder};
use datafusion::optimizer::{Optimizer, OptimizerRule};
use heliosdb_plugin_host::services::StatementServices;
use heliosdb_storage::ReadView;
use sqlparser::ast;

use crate::error::Result;
use crate::functions::Functions;
use crate::privilege::Authority;
use crate::routine::{self, Names};
use crate::semantics::vars::{Clock, Services};
use crate::semantics::{self, SessionVars};
use crate::session::info::SessionInfo;

pub(crate) use crate::semantics::map_error;

pub(crate) fn configure(options: &mut ConfigOptions) {
    semantics::configure(options);
}

pub(crate) fn install(builder: SessionStateBuilder) -> SessionStateBuilder {
    // Subqueries that no join can stand for are found last, in plans that are already typed.
    let builder = crate::functions::session_state(builder)
        .with_analyzer_rule(Arc::new(crate::subplan::Subplans));
    let mut rules = super::join_order::physical_rules();
    rules.insert(0, Arc::new(super::append::AppendUnions));
    let rules = super::namesakes::told_apart(super::effects::guarded(rules));
    let rules = super::offset::around(rules);
    builder
        .with_query_planner(Arc::new(super::barrier::Planner))
        .with_optimizer_rules(logical_rules())
        .with_physical_optimizer_rules(rules)
}

/// Ours for windows and row security, and DataFusion's but for the one that makes semi joins of joins with a table whose columns nobody asks for.
/// The order of joins is ours to find ([`super::join_order`]), and finds less where some of them are not inner
/// ones any more.
fn logical_rules() -> Vec<Arc<dyn OptimizerRule + Send + Sync>> {
    let rules = Optimizer::new().rules.into_iter();
    let mut rules: Vec<Arc<dyn OptimizerRule + Send + Sync>> = rules
        .filter(|rule| rule.name() != "eliminate_join")
        .collect();
    // The next pass takes conditions on that have passed.
    rules.push(Arc::new(super::barrier::PassBarriers));
    rules.insert(0, Arc::new(super::windows::Constants));
    rules
}

/// Tells functions and casts of the session: who, where, when, and how values print. Planning reads
/// the state's configuration, physical expressions the one that the execution properties carry.
pub(crate) fn set_session(
    state: &mut SessionState,
    info: &Arc<SessionInfo>,
    services: Option<Arc<dyn StatementServices>>,
    snapshot: ReadView,
    nesting: usize,
) {
    let start = info.transaction_start();
    let engine = info.instance.engine().clone();
    let vars = SessionVars {
        user: info.role().name.clone(),
        session_user: info.session_user(),
        database: info.database.clone(),
        search_path: info.search_path(),
        backend_pid: i32::try_from(info.pid).unwrap_or(i32::MAX),
        transaction_start: start,
        statement_start: info.statement_start(),
        snapshot: Some(snapshot),
        format: info.format(),
        services: services.map(Services),
        nesting,
        session: Some(info.clone()),
        clock: Some(Clock(Arc::new(move || {
            i64::try_from(engine.now_micros()).unwrap_or(i64::MAX)
        }))),
    };
    install_vars(state, vars);
}

fn install_vars(state: &mut SessionState, vars: SessionVars) {
    // Dropped first, so that the options are ours alone and are not copied.
    state.execution_props_mut().config_options = None;
    state.config_mut().options_mut().extensions.insert(vars);
    let options = Arc::clone(state.config().options());
    state.execution_props_mut().config_options = Some(options);
}

/// Forgets the session. A state in the pool must not keep it, nor the instance that it leads to.
pub(crate) fn clear_session(state: &mut SessionState) {
    install_vars(state, SessionVars::default());
}

/// PostgreSQL's spellings and typing, said in DataFusion's words.
pub(crate) fn rewrite_statement(
    statement: &mut ast::Statement,
    functions: &Functions,
    names: Names,
    role: Option<&Authority>,
) -> Result<()> {
    // First of all: what is left then are names of built-in functions.
    routine::resolve(statement, functions, names, role)?;
    crate::pg_catalog::rewrite::statement(statement)?;
    semantics::rewrite_statement(statement, functions)
}
