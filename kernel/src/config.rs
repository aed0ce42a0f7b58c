//! `heliosdb.toml`: every option there is, checked.
//!
//! An option exists here only if something obeys it. An unknown section or key, a value of the wrong
//! kind or out of range is an error that names the file, the line and, for a misspelt name, the
//! nearest one that exists.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use heliosdb_plugin_host::config::PluginsConfig;
use heliosdb_plugin_host::nearest;
use heliosdb_server::{AuthMethod, ServerConfig, TlsOptions};
use heliosdb_sql::instance::{LogOptions, STATEMENTS_MAX};
use heliosdb_storage::governor::Caps;
use serde::Deserialize;
use serde::de::{self, Deserializer, Visitor};

use crate::hba::HbaRules;

/// The whole file. Every section and every key may be absent.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    pub server: ServerSection,
    pub storage: StorageSection,
    pub memory: MemorySection,
    pub background: BackgroundSection,
    pub statistics: StatisticsSection,
    pub metrics: MetricsSection,
    pub log: LogSection,
    /// Checked further when the plugins are known: `heliosdb_plugin_host::config`.
    pub plugins: PluginsConfig,
    /// What was read, as it was, for dumps that are to carry it; `None` when nothing was.
    #[serde(skip)]
    pub text: Option<String>,
}

/// `[server]`: the network.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ServerSection {
    /// `host:port`, the host an IP address; port 0 lets the system choose.
    pub listen: SocketAddr,
    #[serde(deserialize_with = "auth_method")]
    pub auth: AuthMethod,
    #[serde(deserialize_with = "connection_count")]
    pub max_connections: usize,
    /// From a connection's first byte to its session.
    #[serde(deserialize_with = "authentication_timeout")]
    pub authentication_timeout: Duration,
    /// Where there is to be a Unix socket, from the data directory.
    pub unix_socket_directory: Option<PathBuf>,
    pub tls: Option<TlsSection>,
    /// Who may connect, the first that fits; without any, all who prove who they are.
    pub hba: Option<HbaRules>,
}

/// `[server.tls]`: files in PEM, from the data directory.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsSection {
    /// The server's certificate, then those it was signed by.
    pub certificate: PathBuf,
    pub key: PathBuf,
    /// Clients on the network that do not speak TLS are refused.
    #[serde(default)]
    pub required: bool,
}

impl Config {
    /// What a server of the database in `directory` is told.
    pub fn server(&self, directory: &Path) -> ServerConfig {
        ServerConfig {
            metrics: self.metrics.listen,
            ..self.server.config(directory)
        }
    }
}

impl ServerSection {
    fn config(&self, directory: &Path) -> ServerConfig {
        ServerConfig {
            listen: vec![self.listen],
            unix_socket_directory: self
                .unix_socket_directory
                .as_ref()
                .map(|path| directory.join(path)),
            auth: self.auth,
            hba: self.hba.as_ref().map(|rules| rules.0.clone()),
            max_connections: self.max_connections,
            metrics: None,
            authentication_timeout: self.authentication_timeout,
            tls: self.tls.as_ref().map(|tls| TlsOptions {
                certificate: directory.join(&tls.certificate),
                key: directory.join(&tls.key),
                required: tls.required,
            }),
        }
    }
}

/// `[storage]`: the write path.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StorageSection {
    /// Rows kept in memory before they are written as a segment; at most a 16th of the budget of memory.
    pub memtable_size: Option<ByteSize>,
    /// Size of a file of the write-ahead log; a multiple of 4 kB, at least 64 kB.
    #[serde(deserialize_with = "wal_segment_size")]
    pub wal_segment_size: Option<ByteSize>,
    /// How long the past is kept.
    pub retention: Option<Retention>,
    /// Where the log is archived to, from the data directory.
    pub archive: Option<PathBuf>,
    /// How far a cursor of changes may be behind.
    pub max_pin_age: Option<MaxPinAge>,
}

/// `[memory]`: the one budget.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MemorySection {
    /// What memtables, transactions, cached pages, queries and plugins have together; at least 16 MB.
    #[serde(deserialize_with = "memory_budget")]
    pub budget: Option<ByteSize>,
}

/// `[background]`: what work that nobody waits for may use of the machine.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BackgroundSection {
    /// Of all of it together.
    pub max_cpu_background: Percent,
    pub incremental_mv_cpu: Percent,
    pub adaptive_indexing_cpu: Percent,
    pub deduplication_cpu: Percent,
    /// Whether it is held to that. In Lite it always is.
    pub cpu_governor: Switch,
}

impl Default for BackgroundSection {
    fn default() -> BackgroundSection {
        let caps = Caps::default();
        BackgroundSection {
            max_cpu_background: Percent(caps.max_cpu_background),
            incremental_mv_cpu: Percent(caps.incremental_mv_cpu),
            adaptive_indexing_cpu: Percent(caps.adaptive_indexing_cpu),
            deduplication_cpu: Percent(caps.deduplication_cpu),
            cpu_governor: match caps.enforced {
                true => Switch::On,
                false => Switch::Off,
            },
        }
    }
}

impl BackgroundSection {
    pub(crate) fn caps(&self) -> Caps {
        Caps {
            max_cpu_background: self.max_cpu_background.0,
            incremental_mv_cpu: self.incremental_mv_cpu.0,
            adaptive_indexing_cpu: self.adaptive_indexing_cpu.0,
            deduplication_cpu: self.deduplication_cpu.0,
            enforced: self.cpu_governor == Switch::On,
        }
    }
}

/// `[statistics]`: what is counted for operators.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StatisticsSection {
    /// How many statements `pg_stat_statements` tells apart; 0 for none.
    #[serde(deserialize_with = "statement_count")]
    pub statements_max: usize,
}

impl Default for StatisticsSection {
    fn default() -> StatisticsSection {
        StatisticsSection {
            statements_max: STATEMENTS_MAX,
        }
    }
}

/// `[metrics]`: numbers for Prometheus.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MetricsSection {
    /// Where `/metrics` is served; nowhere, if it is not said. As `[server] listen` is written.
    pub listen: Option<SocketAddr>,
}

/// `[log]`: what is logged of statements.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogSection {
    /// Those that took so long, or -1 for none.
    #[serde(deserialize_with = "min_duration_statement")]
    pub min_duration_statement: Option<String>,
    /// Those that failed, by level.
    #[serde(deserialize_with = "min_error_statement")]
    pub min_error_statement: Option<String>,
    /// `none`, `ddl`, `mod` or `all`.
    #[serde(deserialize_with = "log_statement")]
    pub statement: Option<String>,
}

impl LogSection {
    pub(crate) fn options(&self) -> LogOptions {
        let options = LogOptions::default();
        let given = |given: &Option<String>, default| given.clone().unwrap_or(default);
        LogOptions {
            min_duration_statement: given(
                &self.min_duration_statement,
                options.min_duration_statement,
            ),
            min_error_statement: given(&self.min_error_statement, options.min_error_statement),
            statement: given(&self.statement, options.statement),
        }
    }
}

/// A whole number from 0 to 100.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Percent(pub u32);

/// `"on"` or `"off"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Switch {
    On,
    Off,
}

impl<'de> Deserialize<'de> for Percent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Percent, D::Error> {
        match u32::deserialize(deserializer)? {
            percent @ 0..=100 => Ok(Percent(percent)),
            other => Err(de::Error::custom(format!(
                "{other} is outside the valid range 0 .. 100 of a percentage"
            ))),
        }
    }
}

impl Default for ServerSection {
    fn default() -> ServerSection {
        ServerSection {
            listen: SocketAddr::from(([127, 0, 0, 1], 5433)),
            auth: AuthMethod::Scram,
            max_connections: 100,
            authentication_timeout: ServerConfig::default().authentication_timeout,
            unix_socket_directory: None,
            tls: None,
            hba: None,
        }
    }
}

/// A number of bytes, written `64MB` with PostgreSQL's units (B, kB, MB, GB, TB; powers of 1024).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ByteSize(pub u64);

/// How long the past is kept, written `7 days` (s, min, h, days) or `forever`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// `None` is for ever.
    pub micros: Option<u64>,
}

/// How far a cursor may be behind before it holds no history any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MaxPinAge {
    /// `None` is without end.
    pub micros: Option<u64>,
}

/// Why a configuration is refused: one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError(String);

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ConfigError {}

impl Config {
    /// Read and check a file.
    pub fn read(path: &Path) -> Result<Config, ConfigError> {
        let text = read_text(path)
            .map_err(|e| ConfigError(format!("cannot read {}: {e}", path.display())))?;
        Config::parse(&text, &path.display().to_string())
    }

    /// Check `text`; `name` is what messages call the file.
    pub fn parse(text: &str, name: &str) -> Result<Config, ConfigError> {
        let parsed: Result<Config, toml::de::Error> = toml::from_str(text);
        let mut config = parsed.map_err(|error| {
            let line = error.span().map_or(1, |span| line_of(text, span.start));
            ConfigError(format!("{name}:{line}: {}", explain(error.message())))
        })?;
        config.plugins.locate(name, text);
        if let Some(rules) = &mut config.server.hba {
            rules
                .locate(text, config.server.auth)
                .map_err(|(line, why)| ConfigError(format!("{name}:{line}: {why}")))?;
        }
        config.text = (!text.is_empty()).then(|| text.to_owned());
        Ok(config)
    }
}

/// The line of a place in the text.
pub(crate) fn line_of(text: &str, at: usize) -> usize {
    1 + text[..at.min(text.len())].matches('\n').count()
}

#[allow(clippy::disallowed_methods)] // The database's own files go through Io; this one is the user's.
fn read_text(path: &Path) -> std::io::Result<String> {
    std::fs::read_to_string(path)
}

/// serde's message on one line, with the nearest valid name when a name is unknown.
fn explain(message: &str) -> String {
    let message = message.lines().collect::<Vec<_>>().join(" ");
    let Some(rest) = message.strip_prefix("unknown field `") else {
        return message;
    };
    let mut names = rest.split('`').step_by(2);
    let unknown = names.next().unwrap_or_default();
    match nearest(unknown, names) {
        Some(near) => format!("unknown option \"{unknown}\"; did you mean \"{near}\"?"),
        None => format!("unknown option \"{unknown}\""),
    }
}

/// `scram` or `trust`.
pub fn parse_auth_method(text: &str) -> Result<AuthMethod, ConfigError> {
    match text {
        "scram" => Ok(AuthMethod::Scram),
        "trust" => Ok(AuthMethod::Trust),
        other => Err(ConfigError(format!(
            "unknown authentication method \"{other}\", expected \"scram\" or \"trust\""
        ))),
    }
}

fn auth_method<'de, D: Deserializer<'de>>(deserializer: D) -> Result<AuthMethod, D::Error> {
    parse_auth_method(&String::deserialize(deserializer)?).map_err(de::Error::custom)
}

fn connection_count<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    match usize::deserialize(deserializer)? {
        count @ 1..=100_000 => Ok(count),
        other => Err(de::Error::custom(format!(
            "max_connections is {other}, outside the valid range 1 .. 100000"
        ))),
    }
}

fn log_option<'de, D: Deserializer<'de>>(name: &str, d: D) -> Result<Option<String>, D::Error> {
    let text = String::deserialize(d)?;
    let checked = LogOptions::check(name, &text).map_err(|e| de::Error::custom(e.message))?;
    Ok(Some(checked))
}

fn min_duration_statement<'de, D: Deserializer<'de>>(d: D) -> Result<Option<String>, D::Error> {
    log_option("log_min_duration_statement", d)
}

fn min_error_statement<'de, D: Deserializer<'de>>(d: D) -> Result<Option<String>, D::Error> {
    log_option("log_min_error_statement", d)
}

fn log_statement<'de, D: Deserializer<'de>>(d: D) -> Result<Option<String>, D::Error> {
    log_option("log_statement", d)
}

fn statement_count<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    match usize::deserialize(deserializer)? {
        count @ (0 | 100..=1_000_000) => Ok(count),
        other => Err(de::Error::custom(format!(
            "statements_max is {other}, outside the valid range 100 .. 1000000 (or 0, for none)"
        ))),
    }
}

/// As long as PostgreSQL takes it.
fn authentication_timeout<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    let within = match text.as_str() {
        "forever" => None,
        text => span("authentication_timeout", text).map_err(de::Error::custom)?,
    };
    match within.map(Duration::from_micros) {
        Some(timeout) if (1..=600).contains(&timeout.as_secs()) => Ok(timeout),
        _ => Err(de::Error::custom(format!(
            "authentication_timeout is \"{text}\", outside the valid range 1s .. 600s"
        ))),
    }
}

/// The least budget that a server with a planner is of any use with.
const BUDGET_BYTES_MIN: u64 = 16 << 20;

fn memory_budget<'de, D: Deserializer<'de>>(d: D) -> Result<Option<ByteSize>, D::Error> {
    let size = ByteSize::deserialize(d)?;
    if size.0 < BUDGET_BYTES_MIN {
        return Err(de::Error::custom("budget must be at least 16MB"));
    }
    Ok(Some(size))
}

fn wal_segment_size<'de, D: Deserializer<'de>>(d: D) -> Result<Option<ByteSize>, D::Error> {
    let size = ByteSize::deserialize(d)?;
    if size.0 < 64 << 10 || size.0 % (4 << 10) != 0 {
        return Err(de::Error::custom(
            "wal_segment_size must be a multiple of 4kB and at least 64kB",
        ));
    }
    Ok(Some(size))
}

impl std::str::FromStr for ByteSize {
    type Err = String;

    fn from_str(text: &str) -> Result<ByteSize, String> {
        let digits = text
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(text.len());
        let (number, unit) = text.split_at(digits);
        let shift = match unit.trim_start() {
            "" | "B" => 0,
            "kB" => 10,
            "MB" => 20,
            "GB" => 30,
            "TB" => 40,
            other => {
                return Err(format!(
                    "invalid unit \"{other}\" in \"{text}\", expected B, kB, MB, GB or TB"
                ));
            }
        };
        number
            .parse::<u64>()
            .ok()
            .and_then(|n| n.checked_mul(1 << shift))
            .map(ByteSize)
            .ok_or_else(|| format!("invalid size \"{text}\""))
    }
}

/// A time in microseconds; `None` for "forever".
fn span(what: &str, text: &str) -> Result<Option<u64>, String> {
    if text == "forever" {
        return Ok(None);
    }
    let digits = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let seconds = match unit.trim_start() {
        "s" => 1,
        "min" => 60,
        "h" => 3600,
        "d" | "day" | "days" => 24 * 3600,
        _ => {
            return Err(format!(
                "{what} is \"{text}\", expected \"forever\" or a time such as \"7 days\" \
                 (s, min, h, days)"
            ));
        }
    };
    let number = number.parse::<u64>().ok();
    match number.and_then(|n| n.checked_mul(seconds * 1_000_000)) {
        Some(micros) => Ok(Some(micros)),
        None => Err(format!("{what} is \"{text}\", which is no number")),
    }
}

impl std::str::FromStr for Retention {
    type Err = String;

    fn from_str(text: &str) -> Result<Retention, String> {
        let micros = span("retention", text)?;
        Ok(Retention { micros })
    }
}

impl<'de> Deserialize<'de> for MaxPinAge {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<MaxPinAge, D::Error> {
        let text = String::deserialize(deserializer)?;
        let micros = span("max_pin_age", &text).map_err(de::Error::custom)?;
        Ok(MaxPinAge { micros })
    }
}

impl<'de> Deserialize<'de> for Retention {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Retention, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

impl<'de> Deserialize<'de> for ByteSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<ByteSize, D::Error> {
        struct Size;
        impl Visitor<'_> for Size {
            type Value = ByteSize;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a size such as \"64MB\"")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<ByteSize, E> {
                text.parse().map_err(de::Error::custom)
            }
        }
        deserializer.deserialize_str(Size)
    }
}

#[cfg(test)]
mod tests {
    use heliosdb_plugin_host::config::Activation;

    use super::*;

    fn error_of(text: &str) -> String {
        Config::parse(text, "heliosdb.toml")
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn absent_means_default() {
        let config = Config::parse("", "f").unwrap();
        assert_eq!(config, Config::default());
        assert_eq!(config.server.listen.to_string(), "127.0.0.1:5433");
    }

    #[test]
    fn every_option_is_read() {
        let config = Config::parse(
            "[server]\nlisten = \"127.0.0.1:0\"\nauth = \"trust\"\nmax_connections = 7\n\
             unix_socket_directory = \"/run/x\"\n\
             tls = { certificate = \"a.crt\", key = \"/b.key\" }\n[storage]\nmemtable_size = \"8MB\"\nwal_segment_size = \"64kB\"\n\
             retention = \"36 h\"\n\
             max_pin_age = \"forever\"\narchive = \"../old\"\n[memory]\nbudget = \"1GB\"\n\
             [background]\nmax_cpu_background = 40\n\
             incremental_mv_cpu = 4\nadaptive_indexing_cpu = 5\ndeduplication_cpu = 6\n\
             cpu_governor = \"off\"\n[statistics]\nstatements_max = 200\n\
             [metrics]\nlisten = \"127.0.0.1:9187\"\n[log]\nmin_duration_statement = \"1500\"\n\
             min_error_statement = \"PANIC\"\nstatement = \"ddl\"\n",
            "f",
        )
        .unwrap();
        assert_eq!(config.server.auth, AuthMethod::Trust);
        assert_eq!(config.server.max_connections, 7);
        let server = config.server(Path::new("/data"));
        let socket = server.unix_socket_directory.unwrap();
        assert_eq!(socket, Path::new("/run/x"));
        let tls = server.tls.unwrap();
        assert_eq!(tls.certificate, Path::new("/data/a.crt"));
        assert_eq!(tls.key, Path::new("/b.key"));
        assert!(!tls.required);
        assert_eq!(config.storage.memtable_size, Some(ByteSize(8 << 20)));
        assert_eq!(config.storage.wal_segment_size, Some(ByteSize(64 << 10)));
        let retention = config.storage.retention.unwrap();
        assert_eq!(retention.micros, Some(36 * 3600 * 1_000_000));
        assert_eq!(config.storage.archive, Some(PathBuf::from("../old")));
        assert_eq!(config.storage.max_pin_age.unwrap().micros, None);
        assert_eq!(config.memory.budget, Some(ByteSize(1 << 30)));
        assert_eq!(config.storage_options().memory_bytes_max, 1 << 30);
        let caps = Caps {
            max_cpu_background: 40,
            incremental_mv_cpu: 4,
            adaptive_indexing_cpu: 5,
            deduplication_cpu: 6,
            enforced: false,
        };
        assert_eq!(config.storage_options().cpu, caps);
        assert_eq!(config.statistics.statements_max, 200);
        assert_eq!(server.metrics.map(|m| m.port()), Some(9187));
        let log = config.log.options();
        assert_eq!(log.min_duration_statement, "1500ms");
        assert_eq!(
            (&*log.min_error_statement, &*log.statement),
            ("panic", "ddl")
        );
    }

    /// The example at the root of the repository, with every comment sign removed, is what an empty
    /// file means.
    #[test]
    fn the_example_shows_the_defaults() {
        let example = include_str!("../../heliosdb.toml").replace("\n#", "\n");
        let options: String = example
            .lines()
            .filter(|l| !l.starts_with(' ') && (l.contains(" = ") || l.starts_with('[')))
            .fold(String::new(), |text, line| text + line + "\n");
        let mut config = Config::parse(&options, "heliosdb.toml").unwrap();
        // There is none of these by default.
        assert!(config.server.unix_socket_directory.take().is_some());
        assert!(config.server.tls.take().is_some());
        assert!(config.server.hba.take().is_some());
        assert!(config.metrics.listen.is_some());
        let (log, default) = (config.log.options(), LogOptions::default());
        assert_eq!(log.min_duration_statement, default.min_duration_statement);
        assert_eq!(log.min_error_statement, default.min_error_statement);
        assert_eq!(log.statement, default.statement);
        assert_eq!(config.server, ServerSection::default());
        assert_eq!(config.statistics, StatisticsSection::default());
        let plugins = PluginsConfig::default();
        assert_eq!(config.plugins.start_timeout, plugins.start_timeout);
        let data = Path::new("/data");
        assert_eq!(
            config.plugins.directory_of(data),
            plugins.directory_of(data)
        );
        for plugin in config.plugins.plugins.values() {
            assert_eq!(plugin.activation, Activation::default());
        }
        let storage = heliosdb_storage::Options::default();
        let written = config.storage_options();
        assert_eq!(written.memtable_bytes_max, storage.memtable_bytes_max);
        assert_eq!(written.wal_segment_bytes, storage.wal_segment_bytes);
        assert_eq!(written.retention_micros, storage.retention_micros);
        assert_eq!(written.cpu, storage.cpu);
        assert_eq!(written.max_pin_age_micros, storage.max_pin_age_micros);
        // What the default is depends on the machine.
        assert_eq!(config.memory.budget, Some(ByteSize(1 << 30)));
    }

    #[test]
    fn the_past_is_kept_for_a_time_or_for_ever() {
        let micros = |text: &str| {
            let text = format!("[storage]\nretention = \"{text}\"\n");
            let config = Config::parse(&text, "f")?;
            Ok(config.storage_options().retention_micros)
        };
        let day = 24 * 3600 * 1_000_000;
        assert_eq!(micros("1 day"), Ok(Some(day)));
        assert_eq!(micros("30d"), Ok(Some(30 * day)));
        assert_eq!(micros("0s"), Ok(Some(0)));
        assert_eq!(micros("90 min"), Ok(Some(day / 16)));
        assert_eq!(micros("forever"), Ok(None));
        for wrong in [
            "7",
            "-1 days",
            "7 parsecs",
            "",
            "days",
            "99999999999999999 days",
        ] {
            let error: ConfigError = micros(wrong).unwrap_err();
            assert!(error.to_string().contains("f:2: retention is"), "{error}");
        }
    }

    #[test]
    fn errors_name_file_line_and_the_nearest_name() {
        assert_eq!(
            error_of("[server]\n\nlisen = \"x\"\n"),
            "heliosdb.toml:3: unknown option \"lisen\"; did you mean \"listen\"?"
        );
        assert_eq!(
            error_of("\n[sever]\n"),
            "heliosdb.toml:2: unknown option \"sever\"; did you mean \"server\"?"
        );
        assert_eq!(
            error_of("[server]\nauth = \"md5\"\n"),
            "heliosdb.toml:2: unknown authentication method \"md5\", expected \"scram\" or \"trust\""
        );
        assert!(error_of("[server]\nmax_connections = 0\n").contains("1 .. 100000"));
        for wrong in ["0s", "11 min", "forever"] {
            let text = format!("[server]\nauthentication_timeout = \"{wrong}\"\n");
            assert!(error_of(&text).contains("1s .. 600s"), "{wrong}");
        }
        let half = error_of("[server.tls]\nkey = \"k\"\n");
        assert!(half.contains("missing field `certificate`"), "{half}");
        assert!(error_of("[memory]\nbudget = \"1mb\"\n").contains("invalid unit \"mb\""));
        assert!(error_of("[memory]\nbudget = \"15MB\"\n").contains("at least 16MB"));
        let gone = error_of("[memory]\nquery_limit = \"1GB\"\n");
        assert!(gone.contains("unknown option \"query_limit\""), "{gone}");
        assert_eq!(
            error_of("[background]\nmax_cpu_background = 101\n"),
            "heliosdb.toml:2: 101 is outside the valid range 0 .. 100 of a percentage"
        );
        assert!(error_of("[background]\ncpu_governor = \"yes\"\n").contains("`on` or `off`"));
        assert!(error_of("[storage]\nwal_segment_size = \"65kB\"\n").contains("multiple of 4kB"));
        assert!(error_of("[server\n").starts_with("heliosdb.toml:1: "));
        assert_eq!(
            error_of("[plugins]\n\ndirectry = \"x\"\n"),
            "heliosdb.toml:3: unknown option \"directry\" of [plugins]; did you mean \"directory\"?"
        );
        assert_eq!(
            error_of("[plugins.a]\nactivation = true\n"),
            "heliosdb.toml:2: unknown activation true, expected \"off\", \"on\" or \"force\""
        );
    }
}
