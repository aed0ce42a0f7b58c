//! One open database: what all its sessions share.
//!
//! An [`Instance`] owns the storage engine, the DataFusion runtime with its threads and memory limit,
//! a cache of catalog versions, and a pool of planning states, because building one costs more than
//! planning a small query.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use datafusion::execution::SessionState;
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use heliosdb_plugin_api::Manifest;
use heliosdb_plugin_host::PluginHost;
use heliosdb_plugin_host::background::workers::Transactions;
use heliosdb_storage::ids::{CollectionId, Ts};
use heliosdb_storage::{Durability, Engine, Interrupt, Isolation, ReadView, SequenceSpec};
use parking_lot::{Mutex, MutexGuard};

use crate::activity::Activity;
use crate::authors::Slots;
use crate::branch::restore;
use crate::catalog::model::{FIRST_USER_OID, Object, Oid, Role, Table};
use crate::catalog::snapshot::{CatalogSnapshot, CatalogVersion};
use crate::catalog::watch::{CatalogSince, CatalogWatch, CatalogWriter};
use crate::catalog::{bootstrap, store};
use crate::ddl::temporary;
use crate::edition;
use crate::error::{Result, SqlError, state};
use crate::monitor::{Beginning, Monitor, relations};
use crate::notify::Notifications;
use crate::plan::computed::IndexExpressions;
use crate::plan::memory::QueryMemory;
use crate::plan::state::{CurrentStatement, new_state};
use crate::plugin::extension;
use crate::plugin::syntax::Syntax;
use crate::plugin::worker::Quanta;
use crate::role::ScramSecret;
use crate::session::settings::Settings;
use crate::session::shared_plans::SharedPlans;
use crate::session::waiting::mark_shared_thread;
use crate::session::{Session, SessionOptions};

/// Expressions are evaluated recursively, as deep as `session::depth` lets them be.
const STACK_BYTES: usize = 16 << 20;

/// Catalog versions kept for views that are a little behind.
const CATALOG_VERSIONS_MAX: usize = 8;
/// How long a shutdown waits for queries to notice.
const SHUTDOWN_WAIT_MAX: std::time::Duration = std::time::Duration::from_secs(5);
/// Planning states kept for reuse.
const STATES_MAX: usize = 64;

/// The syntax of plugins: of those that are missing, as their extensions remember it.
fn syntax(host: &PluginHost, catalog: &CatalogSnapshot) -> Syntax {
    let known: Vec<Arc<Manifest>> = host
        .plugins()
        .into_iter()
        .filter_map(|p| p.manifest)
        .collect();
    let known_syntax = known.iter().map(|m| (m.id.as_str(), &m.provides));
    let missing = catalog
        .extensions()
        .filter(|e| known.iter().all(|m| m.id != e.name))
        .map(|e| (e.name.as_str(), &e.provides));
    Syntax::new(known_syntax.chain(missing))
}

/// Statements that are told apart when nobody says how many.
pub const STATEMENTS_MAX: usize = 5_000;

/// What an operator may choose.
#[derive(Clone, Debug)]
pub struct InstanceOptions {
    /// The role a new database starts with.
    pub superuser: String,
    /// The name of the one database.
    pub database: String,
    /// Threads that run queries; 0 for one per core.
    pub threads: usize,
    /// The plugins that statements may use.
    pub plugins: Arc<PluginHost>,
    /// Which distribution this is, such as `lite`.
    pub edition: String,
    /// The settings file as it was read, for dumps that are to carry it.
    pub config_text: Option<String>,
    /// How many statements `pg_stat_statements` tells apart; 0 for none.
    pub statements_max: usize,
    /// What is logged of statements.
    pub log: LogOptions,
    /// Whether the workers of plugins run. They write when it suits them, beside whoever compares.
    pub workers: bool,
}

/// The parameters of logging that sessions begin with, as SET takes them.
#[derive(Clone, Debug)]
pub struct LogOptions {
    pub min_duration_statement: String,
    pub min_error_statement: String,
    pub statement: String,
}

impl LogOptions {
    /// A value for one of these parameters, by its name in SQL, as SHOW prints it.
    ///
    /// # Errors
    ///
    /// 22023 when it is none.
    pub fn check(parameter: &str, value: &str) -> Result<String> {
        let mut settings = Settings::default();
        settings.set(parameter, value)?;
        settings.get(parameter).map(str::to_owned)
    }
}

impl Default for LogOptions {
    fn default() -> LogOptions {
        LogOptions {
            min_duration_statement: "-1".to_owned(),
            min_error_statement: "error".to_owned(),
            statement: "none".to_owned(),
        }
    }
}

impl Default for InstanceOptions {
    fn default() -> InstanceOptions {
        InstanceOptions {
            superuser: "helios".to_owned(),
            database: "helios".to_owned(),
            threads: 0,
            plugins: PluginHost::none(),
            edition: edition::LITE.to_owned(),
            config_text: None,
            statements_max: STATEMENTS_MAX,
            log: LogOptions::default(),
            workers: true,
        }
    }
}

/// A rule about who may connect, as `pg_hba_file_rules` shows it.
#[derive(Clone, Debug)]
pub struct HbaFileRule {
    pub line: i32,
    pub connection: &'static str,
    pub databases: Vec<String>,
    pub users: Vec<String>,
    pub address: Option<String>,
    pub netmask: Option<String>,
    pub method: &'static str,
}

pub struct Instance {
    engine: Engine,
    options: InstanceOptions,
    /// `None` once shut down. The threads end in the background, whoever drops the instance.
    runtime: Mutex<Option<tokio::runtime::Runtime>>,
    handle: tokio::runtime::Handle,
    /// A thread that only waits for the ends of times: those that compute may be a while until they look at a clock.
    timers: Mutex<Option<tokio::runtime::Runtime>>,
    timer_handle: tokio::runtime::Handle,
    threads: usize,
    runtime_env: Arc<RuntimeEnv>,
    states: Mutex<Vec<SessionState>>,
    catalogs: Mutex<VecDeque<Arc<CatalogSnapshot>>>,
    catalog_watch: Arc<CatalogWatch>,
    /// Schemas of temporary objects whose sessions are gone.
    left_schemas: Mutex<Vec<String>>,
    next_pid: AtomicU32,
    authors: Arc<Slots>,
    /// Held by who decides upon the note of a branch, and changes or drops it.
    branches: Mutex<()>,
    hba_rules: Mutex<Arc<[HbaFileRule]>>,
    notifications: Notifications,
    activity: Activity,
    monitor: Monitor,
    shared_plans: SharedPlans,
    /// When it was opened, microseconds since the Unix epoch.
    opened: i64,
    /// What all plugins that are known or were once installed add to the grammar.
    syntax: Syntax,
}

impl std::fmt::Debug for Instance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Instance")
            .field("database", &self.options.database)
            .finish_non_exhaustive()
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        self.shutdown();
    }
}

fn no_threads(error: std::io::Error) -> SqlError {
    SqlError::new(
        state::OUT_OF_MEMORY,
        format!("could not start threads: {error}"),
    )
}

impl Instance {
    /// Takes over an engine. A new database gets its catalog here.
    pub fn open(engine: Engine, options: InstanceOptions) -> Result<Arc<Instance>> {
        let threads = match options.threads {
            0 => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            n => n,
        };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(threads)
            .thread_name("helios-query")
            .thread_stack_size(STACK_BYTES)
            .on_thread_start(mark_shared_thread)
            .enable_all()
            .build()
            .map_err(no_threads)?;
        let timers = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("helios-timers")
            .enable_time()
            .build()
            .map_err(no_threads)?;
        let runtime_env = RuntimeEnvBuilder::new()
            .with_memory_pool(Arc::new(QueryMemory::new(engine.memory())))
            .build_arc()
            .map_err(crate::plan::error::convert)?;
        engine.set_expressions(Arc::new(IndexExpressions));
        restore::sweep(&engine);
        let catalog = store::load(&engine.latest_view())?;
        let syntax = syntax(&options.plugins, &catalog);
        let notifications = Notifications::new(engine.memory());
        let opened = i64::try_from(engine.now_micros()).unwrap_or(i64::MAX);
        let instance = Arc::new(Instance {
            engine,
            handle: runtime.handle().clone(),
            runtime: Mutex::new(Some(runtime)),
            timer_handle: timers.handle().clone(),
            timers: Mutex::new(Some(timers)),
            threads,
            runtime_env,
            states: Mutex::new(Vec::new()),
            catalogs: Mutex::new(VecDeque::new()),
            catalog_watch: Arc::default(),
            left_schemas: Mutex::default(),
            next_pid: AtomicU32::new(1),
            authors: Arc::default(),
            branches: Mutex::default(),
            hba_rules: Mutex::new(Arc::from([])),
            notifications,
            activity: Activity::default(),
            monitor: Monitor::new(options.statements_max, opened),
            shared_plans: SharedPlans::default(),
            opened,
            syntax,
            options,
        });
        crate::plugin::types::activate(&instance.plugins().registry());
        instance.bootstrap()?;
        instance.install_extensions()?;
        temporary::sweep(&instance)?;
        let quanta: Arc<dyn Transactions> = Arc::new(Quanta::new(&instance));
        if instance.options.workers {
            instance.plugins().start_workers(&quanta);
        }
        Ok(instance)
    }

    /// The turn of who changes the note of a branch, or drops it.
    pub(crate) fn branches_turn(&self) -> parking_lot::MutexGuard<'_, ()> {
        self.branches.lock()
    }

    /// Where sessions say who commits what.
    pub(crate) fn authors(&self) -> &Arc<Slots> {
        &self.authors
    }

    fn bootstrap(&self) -> Result<()> {
        let view = self.engine.latest_view();
        if store::version(&view)? != CatalogVersion(0) {
            return Ok(());
        }
        let _writer = self.catalog_writer();
        let mut transaction = self
            .engine
            .begin(Isolation::ReadCommitted, Interrupt::new());
        transaction.begin_statement();
        let changes = bootstrap::objects(&self.options.superuser);
        store::apply(&mut transaction, &CatalogSnapshot::default(), changes)?;
        transaction.commit(Durability::Synchronous)?;
        Ok(())
    }

    /// Installs the plugins that run here for the first time, as if CREATE EXTENSION had been run.
    fn install_extensions(&self) -> Result<()> {
        let _writer = self.catalog_writer();
        let mut transaction = self
            .engine
            .begin(Isolation::ReadCommitted, Interrupt::new());
        transaction.begin_statement();
        let catalog = self.catalog(&transaction.read_view())?;
        let changes = extension::install_new(self, &catalog)?;
        if changes.is_empty() {
            return Ok(());
        }
        store::apply(&mut transaction, &catalog, changes)?;
        transaction.commit(Durability::Synchronous)?;
        Ok(())
    }

    pub(crate) fn plugins(&self) -> &Arc<PluginHost> {
        &self.options.plugins
    }

    pub(crate) fn syntax(&self) -> &Syntax {
        &self.syntax
    }

    /// The manifest of a plugin that is known, whether it runs or not.
    pub(crate) fn manifest(&self, plugin: &str) -> Option<Arc<Manifest>> {
        self.plugins().plugin(plugin).and_then(|p| p.manifest)
    }

    pub(crate) fn threads(&self) -> usize {
        self.threads
    }

    /// A new session of a role that exists. Authentication is the caller's.
    pub fn session(self: &Arc<Self>, options: SessionOptions) -> Result<Session> {
        Session::new(self.clone(), options)
    }

    /// The role that the database began with.
    pub(crate) fn first_role(&self) -> &str {
        &self.options.superuser
    }

    pub fn database(&self) -> &str {
        &self.options.database
    }

    /// Which distribution this is.
    pub fn edition(&self) -> &str {
        &self.options.edition
    }

    /// Parameters of logging, and what they begin with.
    pub(crate) fn log_defaults(&self) -> [(&'static str, &str); 3] {
        let log = &self.options.log;
        [
            ("log_min_duration_statement", &log.min_duration_statement),
            ("log_min_error_statement", &log.min_error_statement),
            ("log_statement", &log.statement),
        ]
    }

    /// The settings file as it was read.
    pub(crate) fn config_text(&self) -> Option<&str> {
        self.options.config_text.as_deref()
    }

    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// What `pg_hba_file_rules` is to show: the rules that the server goes by.
    pub fn show_hba_rules(&self, rules: Vec<HbaFileRule>) {
        *self.hba_rules.lock() = rules.into();
    }

    pub(crate) fn hba_rules(&self) -> Arc<[HbaFileRule]> {
        self.hba_rules.lock().clone()
    }

    /// The secret a client must prove to know; `None` when the role has no password, or none that is still good.
    pub fn role_secret(&self, role: &str) -> Result<Option<ScramSecret>> {
        let catalog = self.catalog(&self.engine.latest_view())?;
        let now = i64::try_from(self.engine.now_micros()).unwrap_or(i64::MAX);
        let is_valid = |role: &&Arc<Role>| role.valid_until.is_none_or(|until| now <= until);
        match catalog
            .role_by_name(role)
            .filter(is_valid)
            .and_then(|r| r.password.as_deref())
        {
            None => Ok(None),
            Some(text) => ScramSecret::parse(text).map(Some),
        }
    }

    /// Whether the role exists and may log in.
    pub fn may_log_in(&self, role: &str) -> Result<bool> {
        let catalog = self.catalog(&self.engine.latest_view())?;
        Ok(catalog.role_by_name(role).is_some_and(|r| r.login))
    }

    /// Sets a role's password outside any session, as a first start does.
    pub fn set_password(&self, role: &str, password: &str) -> Result<()> {
        let _writer = self.catalog_writer();
        let mut transaction = self
            .engine
            .begin(Isolation::ReadCommitted, Interrupt::new());
        transaction.begin_statement();
        let catalog = self.catalog(&transaction.read_view())?;
        let role = catalog
            .role_by_name(role)
            .ok_or_else(|| crate::role::undefined_role(role))?;
        let role = Role {
            password: Some(ScramSecret::new(password).to_string()),
            ..role.as_ref().clone()
        };
        let change = store::Change::Put(Object::Role(Arc::new(role)));
        store::apply(&mut transaction, &catalog, vec![change])?;
        transaction.commit(Durability::Synchronous)?;
        Ok(())
    }

    /// Stops the workers of plugins and the query threads. Statements that are running fail.
    pub fn shutdown(&self) {
        self.plugins().stop_background();
        if let Some(timers) = self.timers.lock().take() {
            timers.shutdown_background();
        }
        if let Some(runtime) = self.runtime.lock().take() {
            // What still runs holds the engine, and with it the directory: wait for its end, unless
            // the caller is itself one of the threads that must not wait.
            if tokio::runtime::Handle::try_current().is_ok() {
                runtime.shutdown_background();
            } else {
                runtime.shutdown_timeout(SHUTDOWN_WAIT_MAX);
            }
        }
    }

    /// A table as a view shows it.
    pub(crate) fn catalog_table(&self, view: &ReadView, table: Oid) -> Result<Option<Arc<Table>>> {
        // Most branches have not got it, or as it is here; what a column's type is, the whole catalog knows.
        match store::has_table(view, table)? {
            true => Ok(self.catalog(view)?.table(table).cloned()),
            false => Ok(None),
        }
    }

    /// The version of the catalog that a view shows.
    ///
    /// Roles are of the whole database. On a branch they are those of the main timeline, as of now, so the
    /// catalog there is another one whenever that of the main timeline is.
    pub(crate) fn catalog_version(&self, view: &ReadView) -> Result<CatalogVersion> {
        let own = store::version(view)?;
        if view.timeline() == self.engine.main_timeline() {
            return Ok(own);
        }
        let main = store::version(&self.engine.latest_view())?;
        Ok(match own == main {
            true => own,
            false => CatalogVersion(own.0 ^ main.0.rotate_left(64)),
        })
    }

    /// The catalog as of a view.
    pub(crate) fn catalog(&self, view: &ReadView) -> Result<Arc<CatalogSnapshot>> {
        let version = self.catalog_version(view)?;
        if let Some(found) = self.catalogs.lock().iter().find(|c| c.version == version) {
            return Ok(found.clone());
        }
        let counted = &self.monitor.relations;
        if counted.is_crowded() {
            let newest = store::load(&self.engine.latest_view())?;
            counted.forget_gone(|kind, oid| match kind {
                relations::Kind::Table => newest.table(oid).is_some(),
                relations::Kind::Index => newest.index(oid).is_some(),
            });
        }
        let mut loaded = store::load(view)?;
        if loaded.version != version {
            let main = self.catalog(&self.engine.latest_view())?;
            loaded = loaded.with_roles_of(&main);
            loaded.version = version;
        }
        let loaded = Arc::new(loaded.counted_by(counted.clone()));
        let mut catalogs = self.catalogs.lock();
        catalogs.push_front(loaded.clone());
        catalogs.truncate(CATALOG_VERSIONS_MAX);
        Ok(loaded)
    }

    /// Schemas of temporary objects that sessions could not drop when they ended.
    pub(crate) fn left_schemas(&self) -> MutexGuard<'_, Vec<String>> {
        self.left_schemas.lock()
    }

    /// To be held by who changes the catalog, until the transaction has ended.
    pub(crate) fn catalog_writer(&self) -> CatalogWriter {
        self.catalog_watch.writer()
    }

    /// Whether a view sees the catalog that [`Instance::catalog_since`] was told of.
    pub(crate) fn catalog_stands(&self, since: CatalogSince, view: &ReadView) -> bool {
        self.catalog_watch.stands(since, view)
    }

    /// What may be remembered of the catalog with this version that a view shows: nothing, when it is
    /// not the newest one or someone is about to change it.
    pub(crate) fn catalog_since(
        &self,
        view: &ReadView,
        version: CatalogVersion,
    ) -> Result<Option<CatalogSince>> {
        // Counted first: a change that the newest view does not show yet is of a later writer.
        let Some(writers) = self.catalog_watch.writers() else {
            return Ok(None);
        };
        let newest = self.engine.latest_view_on(view.timeline());
        let newest = self.catalog_version(&newest?)?;
        let since = || self.catalog_watch.since(view, writers, version);
        Ok((newest == version).then(since))
    }

    pub(crate) fn allocate_oid(&self) -> Result<Oid> {
        let spec = SequenceSpec {
            start: i64::from(FIRST_USER_OID),
            increment: 1,
            min: 1,
            max: i64::from(u32::MAX),
            cycle: false,
        };
        let next = self.engine.sequence_next(store::OID_COUNTER, &spec)?;
        next.and_then(|n| Oid::try_from(n).ok()).ok_or_else(|| {
            SqlError::new(state::PROGRAM_LIMIT_EXCEEDED, "out of object identifiers")
        })
    }

    pub(crate) fn allocate_collection(&self) -> Result<CollectionId> {
        Ok(self.engine.allocate_collection_id())
    }

    pub(crate) fn runtime_env(&self) -> &RuntimeEnv {
        &self.runtime_env
    }

    pub(crate) fn shared_plans(&self) -> &SharedPlans {
        &self.shared_plans
    }

    pub(crate) fn notifications(&self) -> &Notifications {
        &self.notifications
    }

    pub(crate) fn activity(&self) -> &Activity {
        &self.activity
    }

    /// What it counts.
    pub(crate) fn monitor(&self) -> &Monitor {
        &self.monitor
    }

    /// What is shown of tables and of the database begins again at 0.
    pub(crate) fn reset_statistics(&self, now: i64) {
        let (sessions_begun, sessions) = self.activity.totals();
        let stats = self.engine.stats();
        self.monitor.relations.reset();
        *self.monitor.database.lock() = Beginning {
            reset: Some(now),
            sessions_begun,
            sessions,
            deadlocks: stats.deadlocks,
            pages_read: stats.pages_read,
            pages_missed: stats.pages_missed,
        };
    }

    /// When it was opened, microseconds since the Unix epoch.
    pub(crate) fn opened(&self) -> i64 {
        self.opened
    }

    pub(crate) fn next_pid(&self) -> u32 {
        self.next_pid.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn handle(&self) -> &tokio::runtime::Handle {
        &self.handle
    }

    /// For what has to happen at its time, and never computes.
    pub(crate) fn timers(&self) -> &tokio::runtime::Handle {
        &self.timer_handle
    }

    /// A planning state from the pool. Give it back with [`return_state`](Self::return_state).
    pub(crate) fn take_state(&self) -> SessionState {
        let pooled = self.states.lock().pop();
        pooled.unwrap_or_else(|| new_state(self.runtime_env.clone(), self.threads))
    }

    pub(crate) fn return_state(&self, mut state: SessionState) {
        crate::plan::bridge::clear_session(&mut state);
        state
            .config_mut()
            .set_extension(Arc::new(CurrentStatement::default()));
        let mut states = self.states.lock();
        if states.len() < STATES_MAX {
            states.push(state);
        }
    }

    /// The newest timestamp that a reader may be told of.
    pub fn visible_ts(&self) -> Ts {
        self.engine.visible_view().ts()
    }
}
