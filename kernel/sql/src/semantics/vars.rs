//! What an expression may ask of its session: [`SessionVars`], carried in DataFusion's options.
//!
//! The session fills one per statement and puts it into the `ConfigOptions` of planning and
//! execution (`options.extensions.insert(vars)`); kernels find it there with [`SessionVars::of`].

use std::any::Any;
use std::sync::{Arc, LazyLock};

use datafusion::common::config::{ConfigEntry, ConfigExtension, ConfigOptions, ExtensionOptions};

use heliosdb_plugin_host::services::StatementServices;
use heliosdb_storage::ReadView;

use crate::error::{Result, SqlError};
use crate::session::info::SessionInfo;
use crate::types::Format;

/// Tells the time, through the storage engine's door to it.
#[derive(Clone)]
pub struct Clock(pub Arc<dyn Fn() -> i64 + Send + Sync>);

impl std::fmt::Debug for Clock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Clock")
    }
}

/// What functions of plugins may ask the running statement for.
#[derive(Clone)]
pub struct Services(pub Arc<dyn StatementServices>);

impl std::fmt::Debug for Services {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Services")
    }
}

/// The session as expressions see it.
#[derive(Clone, Debug)]
pub struct SessionVars {
    pub user: String,
    pub session_user: String,
    pub database: String,
    pub search_path: Vec<String>,
    /// The server process id that `pg_backend_pid()` shows.
    pub backend_pid: i32,
    /// Start of the transaction: `now()`, microseconds since the Unix epoch.
    pub transaction_start: i64,
    /// Start of the statement: `statement_timestamp()`.
    pub statement_start: i64,
    /// What the statement sees.
    pub snapshot: Option<ReadView>,
    /// The wall clock behind `clock_timestamp()`, microseconds since the Unix epoch. Without one it
    /// stands still at the start of the statement.
    pub clock: Option<Clock>,
    /// DateStyle, TimeZone and the other settings that shape text.
    pub format: Format,
    /// There are none where there are no plugins, and outside of a statement.
    pub services: Option<Services>,
    /// How many statements the statement runs inside of.
    pub nesting: usize,
    /// The session itself, for functions that do something to it or wait in it.
    pub session: Option<Arc<SessionInfo>>,
}

impl Default for SessionVars {
    fn default() -> SessionVars {
        SessionVars {
            user: "helios".into(),
            session_user: "helios".into(),
            database: "helios".into(),
            search_path: vec!["public".into()],
            backend_pid: 0,
            transaction_start: 0,
            statement_start: 0,
            snapshot: None,
            clock: None,
            format: Format::default(),
            services: None,
            nesting: 0,
            session: None,
        }
    }
}

impl SessionVars {
    /// What a call of a plugin's function is made with.
    pub fn services(&self) -> Result<&Arc<dyn StatementServices>> {
        match &self.services {
            Some(services) => Ok(&services.0),
            None => Err(SqlError::internal(
                "a plugin's function was called outside of a statement",
            )),
        }
    }

    /// The session that the statement runs in.
    pub fn session(&self) -> Result<&Arc<SessionInfo>> {
        let none = || SqlError::internal("a function of the session was called outside of one");
        self.session.as_ref().ok_or_else(none)
    }

    /// What the statement sees.
    pub fn snapshot(&self) -> Result<&ReadView> {
        let none = || SqlError::internal("there is no snapshot outside of a statement");
        self.snapshot.as_ref().ok_or_else(none)
    }

    /// The wall clock's time, never before the statement began.
    pub fn now(&self) -> i64 {
        let now = self
            .clock
            .as_ref()
            .map_or(self.statement_start, |c| (c.0)());
        now.max(self.statement_start)
    }

    /// The session's, or neutral defaults (UTC, epoch) when a plan runs outside a session.
    pub fn of(options: &ConfigOptions) -> &SessionVars {
        static NEUTRAL: LazyLock<SessionVars> = LazyLock::new(SessionVars::default);
        options.extensions.get::<SessionVars>().unwrap_or(&NEUTRAL)
    }
}

impl ConfigExtension for SessionVars {
    const PREFIX: &'static str = "heliosdb";
}

impl ExtensionOptions for SessionVars {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }

    fn cloned(&self) -> Box<dyn ExtensionOptions> {
        Box::new(self.clone())
    }

    fn set(&mut self, key: &str, _value: &str) -> datafusion::common::Result<()> {
        datafusion::common::config_err!("heliosdb.{key} is set by the session only")
    }

    fn entries(&self) -> Vec<ConfigEntry> {
        Vec::new()
    }
}
