//! The embedded database: a handle to share, connections to work with.
//!
//! A [`Database`] may be cloned and used from any thread. Its own `execute` and `query` borrow a
//! session for one call, each call its own transaction; a setting made that way ends with the call.
//! A [`Connection`] keeps one session, and with it settings and an open transaction.

use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use heliosdb_plugin_host::boot::BootPlan;
use heliosdb_plugin_host::{PluginHost, RootRef, State};
use heliosdb_server::{Server, ServerConfig};
use heliosdb_sql::{
    CancelHandle, Instance, InstanceOptions, Notification, Outcome, Prepared, Session,
    SessionOptions, SqlError, TransactionStatus, Value,
};
use heliosdb_storage::Engine;
use heliosdb_storage::io::Io;
use heliosdb_storage::io::disk::Disk;

use crate::backup::{self, BackedUp};
use crate::config::Config;
use crate::dump::{ExportOptions, Manifest, Progress, marker};
use crate::edition;
use crate::error::{Error, OpenError};
use crate::params::{ToSql, values};
use crate::plugins;
use crate::rows::Rows;

/// The first role and the first database.
pub const FIRST_NAME: &str = "helios";
/// Sessions kept ready for [`Database::execute`] and its like.
const IDLE_SESSIONS_MAX: usize = 16;

/// An open database. Clones are the same database; it closes when the last clone, connection and
/// server is gone, or at [`Database::close`].
#[derive(Clone)]
pub struct Database {
    shared: Arc<Shared>,
}

struct Shared {
    // Sessions go before the instance they belong to.
    idle: Mutex<Vec<Session>>,
    instance: Arc<Instance>,
    plugins: Arc<PluginHost>,
    directory: PathBuf,
}

impl Database {
    /// Open the database in `directory`, creating both when they do not exist. It must be of Lite, or of
    /// the edition whose bundle the program links.
    pub fn open(directory: impl AsRef<Path>) -> Result<Database, OpenError> {
        Database::open_with(directory, &Config::default())
    }

    /// Open with settings and with every plugin that the program links. What happens, in order: see
    /// the crate's header.
    pub fn open_with(directory: impl AsRef<Path>, config: &Config) -> Result<Database, OpenError> {
        let linked: Vec<RootRef> = heliosdb_plugin_host::linked().collect();
        Database::open_bundle(directory, config, &linked)
    }

    /// Open with settings and these plugins, besides those of the plugin directory. The edition is that
    /// of [`Database::open`].
    pub fn open_bundle(
        directory: impl AsRef<Path>,
        config: &Config,
        linked: &[RootRef],
    ) -> Result<Database, OpenError> {
        let edition = edition::linked().map_err(|error| OpenError {
            directory: directory.as_ref().to_path_buf(),
            error,
        })?;
        Database::open_edition(directory, config, linked, edition)
    }

    /// The same, for a program that says which edition it is. It opens the databases of that edition and
    /// no others; a new database is of it for good, and its dumps and `SHOW helios.edition` say so.
    pub fn open_edition(
        directory: impl AsRef<Path>,
        config: &Config,
        linked: &[RootRef],
        edition: &str,
    ) -> Result<Database, OpenError> {
        let directory = directory.as_ref().to_path_buf();
        let failed = |error| OpenError {
            directory: directory.clone(),
            error,
        };
        if directory.exists() && !directory.is_dir() {
            return Err(failed(Error::NotADirectory));
        }
        let disk = Arc::new(Disk::open(&directory).map_err(|e| failed(e.into()))?);
        let engine = marker::open_engine(disk.clone(), config, edition).map_err(failed)?;
        let plan = plugins::plan(disk, &directory, config, linked).map_err(failed)?;
        Database::start(engine, plan, (config, linked, edition), directory.clone()).map_err(failed)
    }

    /// The same over any disk, such as one that is simulated: a test opens a database so to crash it. What is
    /// stored goes through `io` alone. There is no plugin directory; the plugins are those in `linked`. Where `io`
    /// has no threads, nothing runs in the background, workers of plugins neither.
    #[doc(hidden)]
    pub fn open_on(
        io: Arc<dyn Io>,
        config: &Config,
        linked: &[RootRef],
        edition: &str,
    ) -> Result<Database, OpenError> {
        let directory = io.root().unwrap_or_default();
        let open = || {
            let engine = marker::open_engine(io.clone(), config, edition)?;
            let plan = plugins::plan_linked(io, config, linked)?;
            Database::start(engine, plan, (config, linked, edition), directory.clone())
        };
        open().map_err(|error| OpenError {
            directory: directory.clone(),
            error,
        })
    }

    /// What comes after the engine and the plan.
    fn start(
        engine: Engine,
        plan: BootPlan,
        (config, linked, edition): (&Config, &[RootRef], &str),
        directory: PathBuf,
    ) -> Result<Database, Error> {
        let plugins = plugins::boot(plan, config, linked, &engine)?;
        let options = config.instance_options(plugins.clone(), edition);
        let instance = Instance::open(engine, options)?;
        let shared = Shared {
            idle: Mutex::new(Vec::new()),
            instance,
            plugins,
            directory,
        };
        Ok(Database {
            shared: Arc::new(shared),
        })
    }

    /// Whether a database, or what an import that has not finished left of one, is in `directory`.
    pub fn exists(directory: impl AsRef<Path>) -> bool {
        let directory = directory.as_ref();
        let has = |name| directory.join(name).exists();
        has(marker::MARKER_FILE) || has("wal")
    }

    /// What the next open would do with the plugins. It runs none of them and changes nothing, so the
    /// database may be open elsewhere.
    pub fn plan_plugins(
        directory: impl AsRef<Path>,
        config: &Config,
        linked: &[RootRef],
    ) -> Result<BootPlan, OpenError> {
        let directory = directory.as_ref();
        let failed = |error| OpenError {
            directory: directory.to_path_buf(),
            error,
        };
        if !directory.is_dir() {
            return Err(failed(Error::Directory(ErrorKind::NotADirectory.into())));
        }
        let disk = Disk::open(directory).map_err(|e| failed(e.into()))?;
        let disk: Arc<dyn Io> = Arc::new(disk);
        marker::refuse(&disk).map_err(failed)?;
        plugins::plan(disk, directory, config, linked).map_err(failed)
    }

    /// What this open migrated of the plugins' state.
    pub fn plugin_reports(&self) -> Vec<plugins::Report> {
        self.shared.plugins.reports()
    }

    /// Plugins that are on but did not start, and why.
    pub fn plugin_failures(&self) -> Vec<(String, String)> {
        let all = self.shared.plugins.plugins().into_iter();
        all.filter(|plugin| matches!(plugin.state, State::Failed | State::Quarantined))
            .map(|plugin| (plugin.id, plugin.reason.unwrap_or_default()))
            .collect()
    }

    pub fn directory(&self) -> &Path {
        &self.shared.directory
    }

    /// A connection of its own, as the first role.
    pub fn connect(&self) -> Result<Connection, SqlError> {
        Ok(Connection {
            session: self.new_session()?,
            database: self.clone(),
        })
    }

    /// Run statements without parameters as one transaction; the rows affected by the last one.
    pub fn execute(&self, sql: &str) -> Result<u64, SqlError> {
        self.with_session(|session| run_batch(session, sql))
    }

    /// Run one statement with parameters; the rows it affected.
    pub fn execute_params(&self, sql: &str, params: &[&dyn ToSql]) -> Result<u64, SqlError> {
        self.with_session(|session| run_one(session, sql, params)?.count())
    }

    /// Run one statement and collect its rows.
    pub fn query(&self, sql: &str, params: &[&dyn ToSql]) -> Result<Rows, SqlError> {
        self.with_session(|session| run_one(session, sql, params)?.rows())
    }

    /// Run `work` in a transaction: committed if it returns `Ok`, rolled back otherwise.
    pub fn transaction<T, E: From<SqlError>>(
        &self,
        work: impl FnOnce(&mut Transaction<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        self.connect()?.transaction(work)
    }

    /// Write a dump of everything that is committed now; what it says of itself. Others may go on
    /// writing, and nothing that they commit meanwhile is in it.
    ///
    /// An error leaves an unfinished dump in `out`, which no reader takes for a whole one.
    pub fn export(
        &self,
        out: &mut dyn Write,
        options: &ExportOptions,
        progress: &dyn Progress,
    ) -> Result<Manifest, Error> {
        let instance = &self.shared.instance;
        Ok(instance.export(out, options, progress)?)
    }

    /// Make a backup in `target`, a directory that is made, or empty, while others go on writing. It is a
    /// database as of now, which opens like any other, and with the archive of the log the base of
    /// restores to any time since.
    pub fn backup(&self, target: impl AsRef<Path>) -> Result<BackedUp, Error> {
        backup::back_up(self.shared.instance.engine(), target.as_ref())
    }

    /// Archive everything that is durable now, where `[storage] archive` says; nothing without it.
    pub fn archive(&self) -> Result<(), SqlError> {
        Ok(self.shared.instance.engine().archive()?)
    }

    /// Serve the PostgreSQL protocol in the background until the returned server is shut down.
    pub fn serve(&self, config: &ServerConfig) -> Result<Server, heliosdb_server::StartError> {
        Server::start(Arc::clone(&self.shared.instance), config)
    }

    /// Set a role's password; clients use it from the next connection on.
    pub fn set_password(&self, role: &str, password: &str) -> Result<(), SqlError> {
        self.shared.instance.set_password(role, password)
    }

    /// True if the role can log in with a password.
    pub fn has_password(&self, role: &str) -> Result<bool, SqlError> {
        Ok(self.shared.instance.role_secret(role)?.is_some())
    }

    /// Write what is in memory to disk and close. Sessions that are still open fail from now on.
    /// Without it nothing committed is lost either; the next open replays the log.
    pub fn close(self) -> Result<(), SqlError> {
        self.lock_idle().clear();
        let engine = self.shared.instance.engine().clone();
        self.shared.instance.shutdown();
        Ok(engine.close()?)
    }

    fn new_session(&self) -> Result<Session, SqlError> {
        self.shared.instance.session(SessionOptions {
            user: FIRST_NAME.to_owned(),
            database: FIRST_NAME.to_owned(),
            application_name: String::new(),
            parameters: Vec::new(),
            client: None,
        })
    }

    fn with_session<T>(
        &self,
        work: impl FnOnce(&mut Session) -> Result<T, SqlError>,
    ) -> Result<T, SqlError> {
        let idle = self.lock_idle().pop();
        let mut session = match idle {
            Some(session) => session,
            None => self.new_session()?,
        };
        let outcome = work(&mut session)?;
        if session.transaction_status() != TransactionStatus::Idle {
            return Err(SqlError::new(
                heliosdb_sql::error::state::ACTIVE_SQL_TRANSACTION,
                "the statements left a transaction open, which is rolled back",
            )
            .with_hint("Use Database::transaction, or a Connection, which keeps its session."));
        }
        if session.is_like_new() {
            session.take_notices();
            let mut idle = self.lock_idle();
            if idle.len() < IDLE_SESSIONS_MAX {
                idle.push(session);
            }
        }
        Ok(outcome)
    }

    fn lock_idle(&self) -> std::sync::MutexGuard<'_, Vec<Session>> {
        self.shared
            .idle
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// One session of a database.
pub struct Connection {
    session: Session,
    // After the session, which belongs to it.
    database: Database,
}

impl Connection {
    /// See [`Database::execute`].
    pub fn execute(&mut self, sql: &str) -> Result<u64, SqlError> {
        run_batch(&mut self.session, sql)
    }

    /// See [`Database::execute_params`].
    pub fn execute_params(&mut self, sql: &str, params: &[&dyn ToSql]) -> Result<u64, SqlError> {
        run_one(&mut self.session, sql, params)?.count()
    }

    /// See [`Database::query`].
    pub fn query(&mut self, sql: &str, params: &[&dyn ToSql]) -> Result<Rows, SqlError> {
        run_one(&mut self.session, sql, params)?.rows()
    }

    /// Parse and plan once, for [`Connection::execute_prepared`] and
    /// [`Connection::query_prepared`] on this connection.
    pub fn prepare(&mut self, sql: &str) -> Result<Prepared, SqlError> {
        self.session.prepare(sql, &[])
    }

    pub fn execute_prepared(
        &mut self,
        statement: &Prepared,
        params: &[&dyn ToSql],
    ) -> Result<u64, SqlError> {
        run_prepared(&mut self.session, statement, &values(params))?.count()
    }

    pub fn query_prepared(
        &mut self,
        statement: &Prepared,
        params: &[&dyn ToSql],
    ) -> Result<Rows, SqlError> {
        run_prepared(&mut self.session, statement, &values(params))?.rows()
    }

    /// What others notified this connection of since the last call, on the channels that it listens to
    /// (`LISTEN`), in the order of their commits.
    pub fn notifications(&mut self) -> Vec<Notification> {
        self.session.take_notifications()
    }

    /// Wait for a notification, for ever or for so long; whether there is one.
    pub fn wait_for_notification(&mut self, longest: Option<Duration>) -> bool {
        self.session.wait_for_notification(longest)
    }

    /// Begin a transaction; it is rolled back when dropped without a commit.
    pub fn begin(&mut self) -> Result<Transaction<'_>, SqlError> {
        run_batch(&mut self.session, "BEGIN")?;
        Ok(Transaction {
            connection: self,
            open: true,
        })
    }

    /// See [`Database::transaction`].
    pub fn transaction<T, E: From<SqlError>>(
        &mut self,
        work: impl FnOnce(&mut Transaction<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut transaction = self.begin()?;
        let value = work(&mut transaction)?;
        transaction.commit()?;
        Ok(value)
    }

    /// Stops the running statement from another thread.
    pub fn cancel_handle(&self) -> CancelHandle {
        self.session.cancel_handle()
    }

    /// The session underneath, for what this facade does not offer (COPY, streaming results).
    pub fn session(&mut self) -> &mut Session {
        &mut self.session
    }

    pub fn database(&self) -> &Database {
        &self.database
    }
}

/// An open transaction of a [`Connection`].
pub struct Transaction<'a> {
    connection: &'a mut Connection,
    open: bool,
}

impl Transaction<'_> {
    pub fn execute(&mut self, sql: &str) -> Result<u64, SqlError> {
        self.connection.execute(sql)
    }

    pub fn execute_params(&mut self, sql: &str, params: &[&dyn ToSql]) -> Result<u64, SqlError> {
        self.connection.execute_params(sql, params)
    }

    pub fn query(&mut self, sql: &str, params: &[&dyn ToSql]) -> Result<Rows, SqlError> {
        self.connection.query(sql, params)
    }

    /// Make it durable. An error means that nothing of it happened, as does a transaction in which
    /// a statement had failed.
    pub fn commit(mut self) -> Result<(), SqlError> {
        self.open = false;
        let failed = self.connection.session.transaction_status() == TransactionStatus::Failed;
        run_batch(&mut self.connection.session, "COMMIT")?;
        if failed {
            return Err(SqlError::new(
                heliosdb_sql::error::state::IN_FAILED_SQL_TRANSACTION,
                "a statement of the transaction had failed, so it was rolled back",
            ));
        }
        Ok(())
    }

    pub fn rollback(mut self) -> Result<(), SqlError> {
        self.open = false;
        run_batch(&mut self.connection.session, "ROLLBACK").map(drop)
    }
}

impl Drop for Transaction<'_> {
    fn drop(&mut self) {
        if self.open
            && let Err(error) = run_batch(&mut self.connection.session, "ROLLBACK")
        {
            tracing::warn!(%error, "rolling back a dropped transaction failed");
        }
    }
}

/// What one statement came to.
pub(crate) struct Ran<'a> {
    outcome: Outcome,
    session: &'a mut Session,
}

impl Ran<'_> {
    /// Rows affected, or returned and dropped.
    fn count(self) -> Result<u64, SqlError> {
        match self.outcome {
            Outcome::Rows(mut rows) => {
                let mut count = 0;
                while let Some(batch) = rows.next_batch()? {
                    count += batch.num_rows() as u64;
                }
                Ok(count)
            }
            Outcome::Command(tag) => Ok(affected(&tag.0)),
            Outcome::Empty => Ok(0),
            Outcome::CopyIn { .. } => {
                self.session.copy_in_fail("not possible here");
                Err(copy_unsupported())
            }
            Outcome::CopyOut(_) => Err(copy_unsupported()),
        }
    }

    pub(crate) fn rows(self) -> Result<Rows, SqlError> {
        match self.outcome {
            Outcome::Rows(rows) => Rows::collect(rows, || self.session.info().format()),
            Outcome::CopyIn { .. } | Outcome::CopyOut(_) => self.count().and(Ok(Rows::none())),
            Outcome::Command(_) | Outcome::Empty => Ok(Rows::none()),
        }
    }
}

fn copy_unsupported() -> SqlError {
    SqlError::unsupported("COPY with STDIN or STDOUT in this call")
        .with_hint("Use Connection::session and its copy functions, or COPY with a file name.")
}

/// The count at the end of a command tag: "INSERT 0 3" → 3.
fn affected(tag: &str) -> u64 {
    tag.rsplit(' ')
        .next()
        .and_then(|n| n.parse().ok())
        .unwrap_or(0)
}

pub(crate) fn run_one<'a>(
    session: &'a mut Session,
    sql: &str,
    params: &[&dyn ToSql],
) -> Result<Ran<'a>, SqlError> {
    let params = values(params);
    let prepared = session.prepare_for(sql, &params)?;
    run_prepared(session, &prepared, &params)
}

fn run_prepared<'a>(
    session: &'a mut Session,
    prepared: &Prepared,
    params: &[Value],
) -> Result<Ran<'a>, SqlError> {
    if params.len() != prepared.param_types.len() {
        return Err(SqlError::new(
            heliosdb_sql::error::state::PROTOCOL_VIOLATION,
            format!(
                "{} parameters were given, but the statement requires {}",
                params.len(),
                prepared.param_types.len()
            ),
        ));
    }
    let outcome = session.execute_prepared(prepared, params)?;
    Ok(Ran { outcome, session })
}

fn run_batch(session: &mut Session, sql: &str) -> Result<u64, SqlError> {
    let statements = session.parse(sql)?;
    let several = statements.len() > 1;
    if several {
        session.begin_implicit();
    }
    let mut count = 0;
    for statement in &statements {
        let ran = session.execute(statement, &[]);
        match ran.and_then(|outcome| Ran { outcome, session }.count()) {
            Ok(affected) => count = affected,
            Err(error) => {
                if several && let Err(second) = session.end_implicit(false) {
                    tracing::warn!(error = %second, "rolling back an implicit transaction failed");
                }
                return Err(error);
            }
        }
    }
    if several {
        session.end_implicit(true)?;
    }
    Ok(count)
}

/// What may be in a directory before its database is: an operator's settings and plugins, and what
/// starting those writes, should the first start have ended there.
pub(crate) const EXPECTED_NAMES: [&str; 7] = [
    "heliosdb.toml",
    "plugins",
    "plugins.lock",
    "plugins.lock.new",
    "plugins.starting",
    "plugins.starting.new",
    "import.pending",
];

impl Config {
    pub(crate) fn storage_options(&self) -> heliosdb_storage::Options {
        let mut options = heliosdb_storage::Options {
            expected_names: &EXPECTED_NAMES,
            cpu: self.background.caps(),
            companions: &backup::COMPANIONS,
            ..heliosdb_storage::Options::default()
        };
        let storage = &self.storage;
        if let Some(budget) = self.memory.budget {
            options.memory_bytes_max = budget.0 as usize;
        }
        if let Some(size) = storage.memtable_size {
            options.memtable_bytes_max = size.0 as usize;
        }
        if let Some(size) = storage.wal_segment_size {
            options.wal_segment_bytes = size.0;
        }
        if let Some(retention) = storage.retention {
            options.retention_micros = retention.micros;
        }
        if let Some(age) = storage.max_pin_age {
            options.max_pin_age_micros = age.micros;
        }
        options
    }

    pub(crate) fn instance_options(
        &self,
        plugins: Arc<PluginHost>,
        edition: &str,
    ) -> InstanceOptions {
        InstanceOptions {
            plugins,
            edition: edition.to_owned(),
            config_text: self.text.clone(),
            statements_max: self.statistics.statements_max,
            log: self.log.options(),
            ..InstanceOptions::default()
        }
    }
}
