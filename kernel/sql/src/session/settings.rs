//! Run-time parameters: what SET, SHOW and RESET speak of.
//!
//! Every parameter here does what it says, or accepts only the one value that is true. A name that
//! is not here is 42704, as in PostgreSQL; nothing is remembered without being used.

use std::collections::BTreeMap;
use std::sync::Arc;

use heliosdb_storage::Isolation;

use super::transaction::Modes;
use crate::catalog::Oid;
use crate::error::{Result, SqlError, state};
use crate::monitor::log::{LogSettings, Logged};
use crate::pg_catalog::Setting;
use crate::types::Format;
use crate::types::format::ByteaOutput;
use crate::types::timezone::TimeZone;

/// The settings that shape how values read and print, at a transaction that began at `now`.
pub(crate) fn format(settings: &Settings, now: i64) -> Format {
    let mut format = Format {
        now,
        ..Format::default()
    };
    // What is stored was checked when it was set.
    if let Ok(zone) = TimeZone::parse(settings.value("timezone")) {
        format.time_zone = zone;
    }
    let _ = format.set_date_style(settings.value("datestyle"));
    format.extra_float_digits = settings.value("extra_float_digits").parse().unwrap_or(1);
    format.bytea_output = match settings.value("bytea_output") {
        "escape" => ByteaOutput::Escape,
        _ => ByteaOutput::Hex,
    };
    format
}

/// How a parameter's text is checked.
enum Kind {
    /// Any text.
    Text,
    Bool,
    /// One of these words, without regard to case.
    Enum(&'static [&'static str]),
    /// Only this value, without regard to case: we do not do the others.
    Only(&'static [&'static str]),
    /// Only this value, by one of its names: letters and digits alone count, as asyncpg says `'utf-8'` with its quotes.
    Encoding(&'static [&'static str]),
    Int {
        min: i64,
        max: i64,
    },
    /// Milliseconds, with PostgreSQL's units.
    Millis,
    TimeZone,
    DateStyle,
    SearchPath,
    /// What only superusers may set: one of these words, or milliseconds, or -1.
    SuperuserEnum(&'static [&'static str]),
    SuperuserMillis,
    /// The current role, which [`Settings::set_identity`] changes.
    Role,
    /// Of the server ([`super::server_settings`]): a percentage, or on and off.
    ServerPercent,
    ServerBool,
    /// Cannot be set.
    Internal,
}

impl Kind {
    /// Whether a session has a value of its own, which RESET ALL resets.
    fn is_sessions(&self) -> bool {
        !matches!(
            self,
            Kind::Internal | Kind::Role | Kind::ServerPercent | Kind::ServerBool
        )
    }
}

struct Parameter {
    name: &'static str,
    default: &'static str,
    kind: Kind,
    /// Told to the client in a ParameterStatus message.
    reported: bool,
    description: &'static str,
}

const ISOLATION_LEVELS: &[&str] = &[
    "serializable",
    "repeatable read",
    "read committed",
    "read uncommitted",
];

const ERROR_LEVELS: &[&str] = &[
    "debug5", "debug4", "debug3", "debug2", "debug1", "debug", "info", "notice", "warning",
    "error", "log", "fatal", "panic",
];
/// Those at which statements that fail are not logged.
const ABOVE_ERROR: &[&str] = &["log", "fatal", "panic"];

macro_rules! parameters { ($($name:literal $default:literal $kind:expr, $reported:literal, $description:literal;)*) => {
    const PARAMETERS: &[Parameter] = &[$(Parameter { name: $name, default: $default, kind: $kind, reported: $reported, description: $description }),*];
} }

parameters! {
    "adaptive_indexing_cpu" "2" Kind::ServerPercent, false, "Sets the percentage of the machine's CPU time that adaptive indexing may use.";
    "application_name" "" Kind::Text, true, "Sets the application name to be reported in statistics and logs.";
    "bytea_output" "hex" Kind::Enum(&["hex", "escape"]), false, "Sets the output format for bytea.";
    "check_function_bodies" "on" Kind::Bool, false, "Check routine bodies during CREATE FUNCTION and CREATE PROCEDURE.";
    "client_encoding" "UTF8" Kind::Encoding(&["utf8", "unicode"]), true, "Sets the client's character set encoding.";
    "client_min_messages" "notice" Kind::Enum(&["debug5", "debug4", "debug3", "debug2", "debug1", "debug", "log", "notice", "warning", "error"]), false, "Sets the message levels that are sent to the client.";
    "cpu_governor" "on" Kind::ServerBool, false, "Holds background work to its share of the machine's CPU time.";
    "datestyle" "ISO, MDY" Kind::DateStyle, true, "Sets the display format for date and time values.";
    "default_table_access_method" "heap" Kind::Only(&["heap"]), false, "Sets the default table access method for new tables.";
    "default_tablespace" "" Kind::Only(&[""]), false, "Sets the default tablespace to create tables and indexes in.";
    "default_transaction_deferrable" "off" Kind::Bool, false, "Sets the default deferrable status of new transactions.";
    "default_transaction_isolation" "read committed" Kind::Enum(ISOLATION_LEVELS), false, "Sets the transaction isolation level of each new transaction.";
    "default_transaction_read_only" "off" Kind::Bool, false, "Sets the default read-only status of new transactions.";
    "deduplication_cpu" "3" Kind::ServerPercent, false, "Sets the percentage of the machine's CPU time that deduplication may use.";
    "extra_float_digits" "1" Kind::Int { min: -15, max: 3 }, false, "Sets the number of digits displayed for floating-point values.";
    "helios.edition" "" Kind::Internal, false, "Shows which distribution the server is.";
    "helios.fast_path" "on" Kind::Bool, false, "Runs lookups by key on the compiled route.";
    "idle_in_transaction_session_timeout" "0" Kind::Millis, false, "Sets the maximum allowed idle time between queries, when in a transaction.";
    "idle_session_timeout" "0" Kind::Millis, false, "Sets the maximum allowed idle time between queries, when not in a transaction.";
    "incremental_mv_cpu" "10" Kind::ServerPercent, false, "Sets the percentage of the machine's CPU time that maintenance of materialized views may use.";
    "integer_datetimes" "on" Kind::Internal, true, "Shows whether datetimes are integer based.";
    "intervalstyle" "postgres" Kind::Only(&["postgres"]), true, "Sets the display format for interval values.";
    "is_superuser" "off" Kind::Internal, true, "Shows whether the current user is a superuser.";
    "jit" "off" Kind::Only(&["off", "false", "0", "no"]), false, "Allow JIT compilation.";
    "lc_collate" "C" Kind::Internal, false, "Shows the collation order locale.";
    "lc_ctype" "C" Kind::Internal, false, "Shows the character classification and case conversion locale.";
    "lock_timeout" "0" Kind::Millis, false, "Sets the maximum allowed duration of any wait for a lock.";
    "log_min_duration_statement" "-1" Kind::SuperuserMillis, false, "Sets the minimum execution time above which all statements will be logged.";
    "log_min_error_statement" "error" Kind::SuperuserEnum(ERROR_LEVELS), false, "Causes all statements generating error at or above this level to be logged.";
    "log_statement" "none" Kind::SuperuserEnum(Logged::NAMES), false, "Sets the type of statements logged.";
    "max_cpu_background" "15" Kind::ServerPercent, false, "Sets the percentage of the machine's CPU time that all background work together may use.";
    "max_identifier_length" "63" Kind::Internal, false, "Shows the maximum identifier length.";
    "max_index_keys" "32" Kind::Internal, false, "Shows the maximum number of index keys.";
    "pg_stat_statements.max" "5000" Kind::Internal, false, "Shows the maximum number of statements tracked by pg_stat_statements.";
    "role" "none" Kind::Role, false, "Sets the current role.";
    "row_security" "on" Kind::Bool, false, "Enable row security.";
    "search_path" "\"$user\", public" Kind::SearchPath, false, "Sets the schema search order for names that are not schema-qualified.";
    "server_encoding" "UTF8" Kind::Internal, true, "Shows the server (database) character set encoding.";
    "server_version" "15.0 (HeliosDB)" Kind::Internal, true, "Shows the server version.";
    "server_version_num" "150000" Kind::Internal, false, "Shows the server version as an integer.";
    "session_authorization" "" Kind::Internal, true, "Shows the session user name.";
    "standard_conforming_strings" "on" Kind::Only(&["on", "true", "1", "yes"]), true, "Causes '...' strings to treat backslashes literally.";
    "statement_timeout" "0" Kind::Millis, false, "Sets the maximum allowed duration of any statement.";
    "synchronous_commit" "on" Kind::Enum(&["on", "off", "local", "remote_write", "remote_apply"]), false, "Sets the current transaction's synchronization level.";
    "timezone" "UTC" Kind::TimeZone, true, "Sets the time zone for displaying and interpreting time stamps.";
    "transaction_deferrable" "off" Kind::Internal, false, "Whether to defer a read-only serializable transaction.";
    "transaction_isolation" "read committed" Kind::Internal, false, "Shows the current transaction's isolation level.";
    "transaction_read_only" "off" Kind::Internal, false, "Shows the current transaction's read-only status.";
}

/// The spelling that SHOW and ParameterStatus give.
fn display_name(name: &str) -> &str {
    match name {
        "datestyle" => "DateStyle",
        "timezone" => "TimeZone",
        "intervalstyle" => "IntervalStyle",
        other => other,
    }
}

/// Whether a name is one that applications may use as they like: words with a dot between them, the first of
/// which is not ours.
fn is_custom(name: &str) -> bool {
    let is_word = |word: &str| {
        let mut chars = word.chars();
        let first = chars.next();
        first.is_some_and(|c| c.is_alphabetic() || c == '_')
            && chars.all(|c| c.is_alphanumeric() || c == '_' || c == '$')
    };
    let mut words = name.split('.');
    let own = words.clone().next().is_some_and(|first| {
        let ours = ["helios", "heliosdb"];
        ours.iter().any(|ours| first.eq_ignore_ascii_case(ours))
    });
    !own && name.contains('.') && words.all(is_word) && find(name).is_err()
}

/// What a parameter was, for [`Settings::restore`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Saved {
    /// `None` for an application's that was never set.
    value: Option<String>,
    /// Of whom `role` speaks.
    identity: Identity,
    is_superuser: String,
}

/// What the parameters say of an [`Identity`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shown<'a> {
    pub session: &'a str,
    pub role: &'a str,
    pub superuser: bool,
}

fn find(name: &str) -> Result<&'static Parameter> {
    let lower = name.to_ascii_lowercase();
    PARAMETERS.iter().find(|p| p.name == lower).ok_or_else(|| {
        SqlError::new(
            state::UNDEFINED_OBJECT,
            format!("unrecognized configuration parameter \"{name}\""),
        )
    })
}

/// The values of one session. Cloning it, which is cheap, is how a transaction remembers what to go
/// back to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings(Arc<Values>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Values {
    values: BTreeMap<&'static str, String>,
    /// Parameters of applications, whose names have a dot.
    custom: BTreeMap<String, String>,
    identity: Identity,
    /// What RESET goes back to: defaults, as those of the role and the connection's startup options changed them.
    reset: BTreeMap<&'static str, String>,
    /// The same of parameters of applications.
    custom_reset: BTreeMap<String, String>,
    always: Always,
}

/// Who a session acts for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Identity {
    /// Who logged in, or whom SET SESSION AUTHORIZATION made of them.
    pub session: Oid,
    /// What SET ROLE made of that.
    pub role: Option<Oid>,
    /// That is the owner of a SECURITY DEFINER routine, which runs now and may not become another.
    pub definer: bool,
}

impl Identity {
    /// Whose privileges count.
    pub fn current(self) -> Oid {
        self.role.unwrap_or(self.session)
    }
}

/// What every statement asks for, read from the values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Always {
    fast_path: bool,
    /// `None` is no limit.
    statement_timeout_ms: Option<u64>,
    lock_timeout_ms: Option<u64>,
    modes: Modes,
    log: LogSettings,
}

impl Always {
    fn of(values: &BTreeMap<&'static str, String>) -> Always {
        let value = |name: &str| values.get(name).map_or("", String::as_str);
        let is_on = |name| value(name) == "on";
        let millis = |name| positive_millis(name, value(name));
        Always {
            fast_path: is_on("helios.fast_path"),
            statement_timeout_ms: millis("statement_timeout"),
            lock_timeout_ms: millis("lock_timeout"),
            log: LogSettings {
                slow_nanos: slow_nanos(value("log_min_duration_statement")),
                statements: Logged::of_name(value("log_statement")),
                errors: !ABOVE_ERROR.contains(&value("log_min_error_statement")),
            },
            modes: Modes {
                uncommitted: value("default_transaction_isolation") == "read uncommitted",
                isolation: match value("default_transaction_isolation") {
                    "serializable" => Isolation::Serializable,
                    "repeatable read" => Isolation::RepeatableRead,
                    _ => Isolation::ReadCommitted,
                },
                read_only: is_on("default_transaction_read_only"),
                deferrable: is_on("default_transaction_deferrable"),
            },
        }
    }
}

impl Default for Settings {
    fn default() -> Settings {
        let values: BTreeMap<_, _> = PARAMETERS
            .iter()
            .map(|p| (p.name, p.default.to_owned()))
            .collect();
        Settings(Arc::new(Values {
            reset: values.clone(),
            custom: BTreeMap::new(),
            custom_reset: BTreeMap::new(),
            identity: Identity::default(),
            always: Always::of(&values),
            values,
        }))
    }
}

impl Settings {
    /// How long a client may say nothing; for ever, if `None`.
    pub fn idle_timeout_ms(&self, in_transaction: bool) -> Option<u64> {
        let name = match in_transaction {
            true => "idle_in_transaction_session_timeout",
            false => "idle_session_timeout",
        };
        positive_millis(name, self.value(name))
    }

    pub fn get(&self, name: &str) -> Result<&str> {
        if let Some(value) = self.0.custom.get(&name.to_ascii_lowercase()) {
            return Ok(value);
        }
        let parameter = find(name)?;
        Ok(self.0.values.get(parameter.name).map_or("", String::as_str))
    }

    /// A parameter that is known to exist.
    pub fn value(&self, name: &'static str) -> &str {
        self.0.values.get(name).map_or("", String::as_str)
    }

    /// A parameter's value, when it is not the one it has by itself.
    pub fn changed(&self, name: &str) -> Option<&str> {
        let parameter = find(name).ok()?;
        let value = self.0.values.get(parameter.name)?;
        (value != parameter.default).then_some(value.as_str())
    }

    pub fn set(&mut self, name: &str, value: &str) -> Result<()> {
        if is_custom(name) {
            let values = Arc::make_mut(&mut self.0);
            let name = name.to_ascii_lowercase();
            values.custom.insert(name, value.to_owned());
            return Ok(());
        }
        let parameter = find(name)?;
        let value = check(parameter, value)?;
        self.put(parameter.name, value);
        Ok(())
    }

    pub(crate) fn identity(&self) -> Identity {
        self.0.identity
    }

    /// Makes the session act for others, who are shown by these names.
    pub(crate) fn set_identity(&mut self, identity: Identity, shown: Shown<'_>) {
        self.set_internal("session_authorization", shown.session);
        self.set_internal("role", shown.role);
        self.set_internal("is_superuser", if shown.superuser { "on" } else { "off" });
        if self.0.identity != identity {
            Arc::make_mut(&mut self.0).identity = identity;
        }
    }

    /// Whether only superusers may set a parameter.
    pub(super) fn is_superusers(name: &str) -> bool {
        let kind = find(name).map(|parameter| &parameter.kind);
        matches!(kind, Ok(Kind::SuperuserEnum(_) | Kind::SuperuserMillis))
    }

    /// What to [`restore`](Settings::restore) a parameter from.
    pub(crate) fn saved(&self, name: &str) -> Result<Saved> {
        let name = name.to_ascii_lowercase();
        let value = match is_custom(&name) {
            true => self.0.custom.get(&name).cloned(),
            false => Some(self.get(&name)?.to_owned()),
        };
        Ok(Saved {
            value,
            identity: self.0.identity,
            is_superuser: self.value("is_superuser").to_owned(),
        })
    }

    /// Gives a parameter back the value that it had.
    pub(crate) fn restore(&mut self, name: &str, saved: Saved) {
        if is_custom(name) {
            // What was never set is empty from then on, as in PostgreSQL.
            let value = saved.value.unwrap_or_default();
            Arc::make_mut(&mut self.0)
                .custom
                .insert(name.to_owned(), value);
            return;
        }
        let Ok(parameter) = find(name) else { return };
        let of_another = self.0.identity.session != saved.identity.session;
        if matches!(parameter.kind, Kind::Role) && of_another {
            return;
        }
        self.put(parameter.name, saved.value.unwrap_or_default());
        if matches!(parameter.kind, Kind::Role) {
            self.set_internal("is_superuser", &saved.is_superuser);
            Arc::make_mut(&mut self.0).identity = saved.identity;
        }
    }

    /// Sets what only the system may.
    pub fn set_internal(&mut self, name: &'static str, value: &str) {
        // Most often it has the value already, and the others who hold these settings keep them.
        if self.value(name) != value {
            self.put(name, value.to_owned());
        }
    }

    fn put(&mut self, name: &'static str, value: String) {
        let values = Arc::make_mut(&mut self.0);
        values.values.insert(name, value);
        values.always = Always::of(&values.values);
    }

    /// Whether nothing was changed between the two.
    pub fn is_same(&self, other: &Settings) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Makes a value the one RESET goes back to.
    pub fn set_default(&mut self, name: &str, value: &str) -> Result<()> {
        self.set(name, value)?;
        if is_custom(name) {
            let values = Arc::make_mut(&mut self.0);
            let name = name.to_ascii_lowercase();
            values.custom_reset.insert(name, value.to_owned());
            return Ok(());
        }
        let parameter = find(name)?;
        let value = self.value(parameter.name).to_owned();
        Arc::make_mut(&mut self.0)
            .reset
            .insert(parameter.name, value);
        Ok(())
    }

    pub fn reset(&mut self, name: &str) -> Result<()> {
        let first = self.0.custom_reset.get(&name.to_ascii_lowercase());
        let first = first.cloned().unwrap_or_default();
        if let Some(value) = self.custom(name) {
            *value = first;
            return Ok(());
        }
        let parameter = find(name)?;
        if !parameter.kind.is_sessions() {
            return Err(cannot_change(parameter.name));
        }
        if let Some(value) = self.0.reset.get(parameter.name).cloned() {
            self.put(parameter.name, value);
        }
        Ok(())
    }

    /// The settings as they were. An application's parameter that was not there then is empty, as in PostgreSQL.
    pub(super) fn go_back_to(&mut self, before: Settings) {
        let custom = std::mem::replace(self, before).0.custom.clone();
        for name in custom.into_keys() {
            if !self.0.custom.contains_key(&name) {
                let values = Arc::make_mut(&mut self.0);
                values.custom.insert(name, String::new());
            }
        }
    }

    /// The value of an application's parameter that was set.
    fn custom(&mut self, name: &str) -> Option<&mut String> {
        let name = name.to_ascii_lowercase();
        if !self.0.custom.contains_key(&name) {
            return None;
        }
        Arc::make_mut(&mut self.0).custom.get_mut(&name)
    }

    pub fn reset_all(&mut self) {
        if !self.0.custom.is_empty() {
            let values = Arc::make_mut(&mut self.0);
            for (name, value) in &mut values.custom {
                *value = values.custom_reset.get(name).cloned().unwrap_or_default();
            }
        }
        for p in PARAMETERS {
            if p.kind.is_sessions()
                && let Some(value) = self.0.reset.get(p.name).cloned()
            {
                self.put(p.name, value);
            }
        }
    }

    /// Name, value and description of every parameter, in order, for SHOW ALL and `pg_settings`.
    pub fn all(&self) -> impl Iterator<Item = (&str, &str, &'static str)> {
        PARAMETERS
            .iter()
            .map(|p| (display_name(p.name), self.value(p.name), p.description))
    }

    /// Every parameter as `pg_settings` shows it.
    pub fn describe(&self) -> Vec<Setting> {
        PARAMETERS
            .iter()
            .map(|p| Setting {
                name: display_name(p.name).to_owned(),
                value: self.value(p.name).to_owned(),
                default: p.default.to_owned(),
                description: p.description.to_owned(),
                kind: match &p.kind {
                    Kind::Bool | Kind::ServerBool => "bool",
                    Kind::Int { .. }
                    | Kind::Millis
                    | Kind::SuperuserMillis
                    | Kind::ServerPercent => "integer",
                    Kind::Enum(_) | Kind::Only(_) | Kind::SuperuserEnum(_) => "enum",
                    _ => "string",
                },
                context: match p.kind {
                    Kind::Internal => "internal",
                    Kind::ServerPercent
                    | Kind::ServerBool
                    | Kind::SuperuserEnum(_)
                    | Kind::SuperuserMillis => "superuser",
                    _ => "user",
                },
            })
            .collect()
    }

    /// Every setting that SET can change has the value RESET would give it.
    pub fn is_as_reset(&self) -> bool {
        PARAMETERS
            .iter()
            .filter(|p| p.kind.is_sessions())
            .all(|p| self.0.values.get(p.name) == self.0.reset.get(p.name))
            && self.0.custom == self.0.custom_reset
            && self.0.identity.role.is_none()
    }

    /// The parameters a client is told of, with their values.
    pub fn reported(&self) -> impl Iterator<Item = (&str, &str)> {
        PARAMETERS
            .iter()
            .filter(|p| p.reported)
            .map(|p| (display_name(p.name), self.value(p.name)))
    }

    /// The name as SHOW prints it above the value.
    pub fn column_name(name: &str) -> Result<String> {
        if is_custom(name) {
            return Ok(name.to_owned());
        }
        Ok(display_name(find(name)?.name).to_owned())
    }

    pub fn row_security(&self) -> bool {
        self.value("row_security") == "on"
    }

    /// The schemas of `search_path`, with `"$user"` replaced and `pg_catalog` in front, unless the
    /// path itself says where it comes.
    pub fn search_path(&self, user: &str) -> Vec<String> {
        let mut path: Vec<String> = split_list(self.value("search_path"))
            .into_iter()
            .map(|s| if s == "$user" { user.to_owned() } else { s })
            .collect();
        if !path.iter().any(|s| s == "pg_catalog") {
            path.insert(0, "pg_catalog".to_owned());
        }
        path
    }

    /// How long a statement may run, in milliseconds; `None` is no limit.
    pub fn statement_timeout_ms(&self) -> Option<u64> {
        self.0.always.statement_timeout_ms
    }

    /// How long to wait for a lock, in milliseconds; `None` is no limit.
    pub fn lock_timeout_ms(&self) -> Option<u64> {
        self.0.always.lock_timeout_ms
    }

    /// What is logged.
    pub(crate) fn log(&self) -> LogSettings {
        self.0.always.log
    }

    /// Those of a transaction that does not say.
    pub(super) fn modes(&self) -> Modes {
        self.0.always.modes
    }

    /// Whether a plan made under the other settings is good under these.
    pub fn plans_alike(&self, other: &Settings) -> bool {
        if self.is_same(other) {
            return true;
        }
        [
            "search_path",
            "timezone",
            "datestyle",
            "extra_float_digits",
            "bytea_output",
            "row_security",
        ]
        .iter()
        .all(|name| self.0.values.get(name) == other.0.values.get(name))
            && self.0.identity == other.0.identity
    }

    pub fn fast_path(&self) -> bool {
        self.0.always.fast_path
    }

    pub fn synchronous(&self) -> bool {
        self.value("synchronous_commit") != "off"
    }
}

fn cannot_change(name: &str) -> SqlError {
    SqlError::new(
        state::CANT_CHANGE_RUNTIME_PARAM,
        format!("parameter \"{name}\" cannot be changed"),
    )
}

fn invalid(name: &str, value: &str) -> SqlError {
    SqlError::new(
        state::INVALID_PARAMETER_VALUE,
        format!(
            "invalid value for parameter \"{}\": \"{value}\"",
            display_name(name)
        ),
    )
}

/// Splits a list of identifiers as SET search_path has them: quotes kept apart, case folded.
fn split_list(text: &str) -> Vec<String> {
    let mut out = Vec::new();
    let mut chars = text.chars().peekable();
    loop {
        while chars.peek().is_some_and(|c| c.is_whitespace() || *c == ',') {
            chars.next();
        }
        let mut word = String::new();
        match chars.peek() {
            None => return out,
            Some('"') => {
                chars.next();
                while let Some(c) = chars.next() {
                    if c != '"' {
                        word.push(c);
                    } else if chars.peek() == Some(&'"') {
                        chars.next();
                        word.push('"');
                    } else {
                        break;
                    }
                }
            }
            Some(_) => {
                while let Some(c) = chars.next_if(|c| *c != ',') {
                    word.extend(c.to_lowercase());
                }
                word.truncate(word.trim_end().len());
            }
        }
        if !word.is_empty() {
            out.push(word);
        }
    }
}

pub(crate) fn parse_bool(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "on" | "true" | "t" | "yes" | "y" | "1" => Some(true),
        "off" | "false" | "f" | "no" | "n" | "0" => Some(false),
        _ => None,
    }
}

fn positive_millis(name: &str, value: &str) -> Option<u64> {
    if value == "0" {
        return None;
    }
    parse_millis(name, value).ok().filter(|ms| *ms > 0)
}

fn parse_millis(name: &str, value: &str) -> Result<u64> {
    let value = value.trim();
    let digits = value
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(value.len());
    let number: f64 = value[..digits].parse().map_err(|_| invalid(name, value))?;
    let unit = match value[digits..].trim() {
        "" | "ms" => 1.0,
        "us" => 0.001,
        "s" => 1_000.0,
        "min" => 60_000.0,
        "h" => 3_600_000.0,
        "d" => 86_400_000.0,
        _ => return Err(invalid(name, value)),
    };
    let ms = (number * unit).round();
    if !(0.0..=f64::from(i32::MAX)).contains(&ms) {
        return Err(SqlError::new(
            state::INVALID_PARAMETER_VALUE,
            format!(
                "{ms} ms is outside the valid range for parameter \"{name}\" (0 ms .. 2147483647 ms)"
            ),
        ));
    }
    #[expect(
        clippy::cast_possible_truncation,
        reason = "checked to be within i32 above"
    )]
    #[expect(clippy::cast_sign_loss, reason = "checked to be at least 0 above")]
    Ok(ms as u64)
}

/// Of `log_min_duration_statement`, which was checked.
fn slow_nanos(value: &str) -> u64 {
    let millis = parse_millis("log_min_duration_statement", value);
    millis.map_or(u64::MAX, |ms| ms.saturating_mul(1_000_000))
}

/// Milliseconds in the largest unit that divides them, as SHOW prints them.
fn print_millis(ms: u64) -> String {
    match ms {
        0 => "0".to_owned(),
        ms if ms % 86_400_000 == 0 => format!("{}d", ms / 86_400_000),
        ms if ms % 3_600_000 == 0 => format!("{}h", ms / 3_600_000),
        ms if ms % 60_000 == 0 => format!("{}min", ms / 60_000),
        ms if ms % 1_000 == 0 => format!("{}s", ms / 1_000),
        ms => format!("{ms}ms"),
    }
}

fn check(parameter: &Parameter, value: &str) -> Result<String> {
    let name = parameter.name;
    match &parameter.kind {
        Kind::Text => Ok(value.to_owned()),
        Kind::SearchPath => Ok(value.to_owned()),
        Kind::Bool => check_bool(name, value),
        Kind::SuperuserMillis if value.trim() == "-1" => Ok("-1".to_owned()),
        Kind::SuperuserMillis => parse_millis(name, value).map(print_millis),
        Kind::Enum(words) | Kind::SuperuserEnum(words) => {
            let lower = value.to_ascii_lowercase();
            let lower = match (name, lower.as_str()) {
                ("synchronous_commit", "true" | "yes" | "1") => "on".to_owned(),
                ("synchronous_commit", "false" | "no" | "0") => "off".to_owned(),
                _ => lower,
            };
            if words.contains(&lower.as_str()) {
                Ok(lower)
            } else {
                Err(invalid(name, value)
                    .with_hint(format!("Available values: {}.", words.join(", "))))
            }
        }
        Kind::Only(words) => {
            if words.iter().any(|w| w.eq_ignore_ascii_case(value)) {
                Ok(parameter.default.to_owned())
            } else {
                Err(SqlError::unsupported(format!(
                    "value \"{value}\" for parameter \"{}\"",
                    display_name(name)
                )))
            }
        }
        Kind::Encoding(names) => {
            let plain = value.chars().filter(char::is_ascii_alphanumeric);
            let plain = plain.collect::<String>().to_ascii_lowercase();
            match names.contains(&plain.as_str()) {
                true => Ok(parameter.default.to_owned()),
                false => Err(SqlError::unsupported(format!(
                    "value \"{value}\" for parameter \"{name}\""
                ))),
            }
        }
        Kind::Int { min, max } => check_int(name, value, *min, *max),
        Kind::Millis => parse_millis(name, value).map(print_millis),
        Kind::TimeZone => match value.to_ascii_lowercase().as_str() {
            "local" | "default" => Ok(parameter.default.to_owned()),
            _ => TimeZone::of_setting(value).map(|zone| zone.name().to_owned()),
        },
        Kind::DateStyle => {
            let mut format = Format::default();
            format.set_date_style(value)?;
            Ok(format.date_style().to_owned())
        }
        Kind::Role | Kind::ServerPercent | Kind::ServerBool | Kind::Internal => {
            Err(cannot_change(name))
        }
    }
}

fn check_bool(name: &str, value: &str) -> Result<String> {
    let on = parse_bool(value).ok_or_else(|| {
        SqlError::new(
            state::INVALID_PARAMETER_VALUE,
            format!("parameter \"{name}\" requires a Boolean value"),
        )
    })?;
    Ok(if on { "on" } else { "off" }.to_owned())
}

fn check_int(name: &str, value: &str, min: i64, max: i64) -> Result<String> {
    let n: i64 = value.trim().parse().map_err(|_| invalid(name, value))?;
    if n < min || n > max {
        return Err(SqlError::new(
            state::INVALID_PARAMETER_VALUE,
            format!("{n} is outside the valid range for parameter \"{name}\" ({min} .. {max})"),
        ));
    }
    Ok(n.to_string())
}

/// A value for a parameter of the server, as SHOW prints it.
pub(super) fn server_value(name: &'static str, value: &str) -> Result<String> {
    match find(name)?.kind {
        Kind::ServerPercent => check_int(name, value, 0, 100),
        _ => check_bool(name, value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_identifiers_folds_case_outside_quotes() {
        assert_eq!(
            split_list("\"$user\", Public,\"A b\""),
            ["$user", "public", "A b"]
        );
        assert_eq!(split_list(""), Vec::<String>::new());
    }

    #[test]
    fn durations_have_units() {
        let mut s = Settings::default();
        s.set("statement_timeout", "90 s").unwrap();
        assert_eq!(s.get("statement_timeout").unwrap(), "90s");
        assert_eq!(s.statement_timeout_ms(), Some(90_000));
        s.set("statement_timeout", "0").unwrap();
        assert_eq!(s.statement_timeout_ms(), None);
        assert!(s.set("statement_timeout", "-1").is_err());
    }

    #[test]
    fn applications_have_parameters_of_their_own() {
        let mut s = Settings::default();
        assert!(s.get("app.tenant").is_err());
        s.set("App.Tenant", "7").unwrap();
        assert_eq!(s.get("app.tenant").unwrap(), "7");
        s.reset("app.tenant").unwrap();
        assert_eq!(s.get("app.tenant").unwrap(), "");
        assert!(s.set("helios.no_such", "1").is_err());
        assert!(s.set("app.", "1").is_err());
    }

    #[test]
    fn an_unknown_parameter_is_undefined() {
        let e = Settings::default().set("no_such", "1").unwrap_err();
        assert_eq!(e.code, state::UNDEFINED_OBJECT);
    }
}
