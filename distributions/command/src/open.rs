//! Opening a database for a command: settings, first start, server.

use std::io::{self, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use heliosdb_kernel::config::Config;
use heliosdb_kernel::{AuthMethod, Database, FIRST_NAME, Server, ServerConfig, Signals};

use crate::Edition;
use crate::client::{Dial, Identity, Socket};

/// The settings file looked for in a data directory.
pub const CONFIG_FILE: &str = "heliosdb.toml";
/// Where a generated password is kept, readable by its owner alone.
pub const PASSWORD_FILE: &str = "password";
const PASSWORD_CHARACTERS: usize = 24;
/// How long running statements may go on after a signal.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(5);

/// One line for stderr.
pub type Message = String;

/// An open database and the server in front of it.
pub struct Opened {
    server: Server,
    database: Database,
    asks_for_passwords: bool,
    edition: Edition,
}

/// What the command line says about a server.
#[derive(Default)]
pub struct Overrides {
    pub config: Option<PathBuf>,
    pub listen: Option<SocketAddr>,
    pub auth: Option<AuthMethod>,
    /// There is a shell, which tells its errors itself.
    pub has_shell: bool,
}

impl Opened {
    /// Open and serve on the network.
    pub fn serve(
        edition: &Edition,
        directory: &Path,
        overrides: Overrides,
    ) -> Result<Opened, Message> {
        let mut config = read_config(directory, overrides.config.as_deref())?;
        if overrides.has_shell {
            leave_errors_to_shell(&mut config);
        }
        let mut server = config.server(directory);
        let listen = overrides.listen.unwrap_or(config.server.listen);
        server.listen = vec![listen];
        let auth = overrides.auth.unwrap_or(config.server.auth);
        server.auth = auth;
        if auth == AuthMethod::Trust && server.hba.is_none() && !listen.ip().is_loopback() {
            return Err(format!(
                "authentication \"trust\" is allowed on loopback addresses only, and {listen} is reachable from other machines"
            ));
        }
        let database = open(edition, directory, &config)?;
        let asks_for_passwords = server.asks_for_passwords();
        if asks_for_passwords {
            first_password(&database)?;
        }
        let server = database.serve(&server).map_err(|e| e.to_string())?;
        Ok(Opened {
            server,
            database,
            asks_for_passwords,
            edition: *edition,
        })
    }

    /// Open for this process alone.
    pub fn private(
        edition: &Edition,
        directory: &Path,
        config: Option<&Path>,
    ) -> Result<Opened, Message> {
        let mut config = read_config(directory, config)?;
        leave_errors_to_shell(&mut config);
        let database = open(edition, directory, &config)?;
        let server = database
            .serve(&ServerConfig {
                auth: AuthMethod::Trust,
                max_connections: config.server.max_connections,
                ..ServerConfig::default()
            })
            .map_err(|e| e.to_string())?;
        Ok(Opened {
            server,
            database,
            asks_for_passwords: false,
            edition: *edition,
        })
    }

    /// Say where the database is and how to reach it. A server whose standard output nobody reads any
    /// more serves all the same.
    pub fn announce(&self) {
        let directory = self.database.directory();
        let version = env!("CARGO_PKG_VERSION");
        let title = self.edition.title;
        let mut text = format!("{title} {version}, database in {}\n", directory.display());
        for address in self.server.addresses() {
            text += &format!("{}\n", url(*address));
        }
        if let Some(socket) = self.server.unix_socket() {
            text += &format!("Unix socket {}\n", socket.display());
        }
        if let Some(address) = self.server.metrics() {
            text += &format!("metrics at http://{address}/metrics\n");
        }
        if self.asks_for_passwords {
            let file = directory.join(PASSWORD_FILE);
            text += &match file.is_file() {
                true => format!("password in {}\n", file.display()),
                // It came with a dump, was set by SQL, or somebody took the file away.
                false => format!("password of {FIRST_NAME} as it was set; it is in no file here\n"),
            };
        }
        let mut out = io::stdout().lock();
        let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    }

    /// Where it listens.
    pub fn addresses(&self) -> &[SocketAddr] {
        self.server.addresses()
    }

    /// Connections from within this process, as the first role, without a password.
    pub fn dial(self: &Arc<Self>) -> Dial {
        let opened = Arc::clone(self);
        Arc::new(move || {
            opened
                .server
                .connect_local()
                .map(|socket| Box::new(socket) as Box<dyn Socket>)
        })
    }

    pub fn first_identity(&self) -> Identity {
        Identity {
            user: FIRST_NAME.to_owned(),
            database: FIRST_NAME.to_owned(),
            password: None,
            application: self.edition.program,
        }
    }

    /// See [`Server::signals`]: to be asked for before anybody is told that this runs.
    pub fn signals(&self) -> Result<Signals<'_>, Message> {
        self.server
            .signals()
            .map_err(|e| format!("cannot wait for signals: {e}"))
    }

    /// Stop serving, then close.
    pub fn close(self) -> Result<(), Message> {
        self.server.shutdown(SHUTDOWN_GRACE);
        self.database
            .close()
            .map_err(|e| format!("closing the database: {}", e.message))
    }
}

fn url(address: SocketAddr) -> String {
    format!("postgres://{FIRST_NAME}@{address}/{FIRST_NAME}")
}

/// Open with the distribution's plugins.
fn open(edition: &Edition, directory: &Path, config: &Config) -> Result<Database, Message> {
    let plugins = (edition.plugins)()?;
    Database::open_edition(directory, config, &plugins, edition.name).map_err(|e| e.to_string())
}

/// Open a database that is there, for this process alone and without a server.
///
/// # Errors
///
/// There is none, or it does not open.
pub fn existing(
    edition: &Edition,
    directory: &Path,
    config: Option<&Path>,
) -> Result<Database, Message> {
    if !Database::exists(directory) {
        return Err(format!("there is no database in {}", directory.display()));
    }
    let config = read_config(directory, config)?;
    let linked = (edition.plugins)()?;
    let opened = Database::open_edition(directory, &config, &linked, edition.name);
    opened.map_err(|error| match error.error.is_in_use() {
        true => format!("{error}\nHINT:  If that is a server, use --connection URL instead."),
        false => error.to_string(),
    })
}

/// The settings of a database: the file that was named, or its own.
pub fn read_config(directory: &Path, named: Option<&Path>) -> Result<Config, Message> {
    let own = directory.join(CONFIG_FILE);
    match named {
        Some(file) => Config::read(file).map_err(|e| e.to_string()),
        None if own.is_file() => Config::read(&own).map_err(|e| e.to_string()),
        None => Ok(Config::default()),
    }
}

/// Statements that fail are not logged, unless the file says that they are.
fn leave_errors_to_shell(config: &mut Config) {
    let level = &mut config.log.min_error_statement;
    level.get_or_insert_with(|| "panic".to_owned());
}

/// Give the first role a password if it has none. The file is complete and on disk before the
/// database knows the password, so there is never one that nobody can read.
fn first_password(database: &Database) -> Result<(), Message> {
    if database.has_password(FIRST_NAME).map_err(|e| e.message)? {
        return Ok(());
    }
    let password = random_password();
    let file = database.directory().join(PASSWORD_FILE);
    write_private(&file, &password)
        .map_err(|e| format!("cannot write the password to {}: {e}", file.display()))?;
    database
        .set_password(FIRST_NAME, &password)
        .map_err(|e| e.message)
}

fn random_password() -> String {
    use rand::distr::{Alphanumeric, SampleString};
    Alphanumeric.sample_string(&mut rand::rng(), PASSWORD_CHARACTERS)
}

/// Write `text` and a line end to `file`, mode 0600, replacing it as a whole.
fn write_private(file: &Path, text: &str) -> io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    let new = file.with_extension("new");
    let mut out = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&new)?;
    writeln!(out, "{text}")?;
    out.sync_all()?;
    std::fs::rename(&new, file)?;
    if let Some(directory) = file.parent() {
        std::fs::File::open(directory)?.sync_all()?;
    }
    Ok(())
}

/// Whom `--connection URL` means, and how to reach it: over the network in the clear, or by a Unix socket.
pub fn parse_url(edition: &Edition, url: &str) -> Result<(Dial, Identity), Message> {
    use tokio_postgres::config::{ChannelBinding, Host, SslMode, SslNegotiation};
    let config: tokio_postgres::Config = url
        .parse()
        .map_err(|e| format!("invalid connection URL: {e}"))?;
    if config.get_ssl_mode() == SslMode::Require
        || config.get_channel_binding() == ChannelBinding::Require
        || config.get_ssl_negotiation() == SslNegotiation::Direct
    {
        return Err(format!(
            "{} does not speak TLS, which the connection URL demands; a Unix socket needs none",
            edition.program
        ));
    }
    let host = config.get_hosts().first().cloned();
    let host = host.unwrap_or_else(|| Host::Tcp("127.0.0.1".to_owned()));
    let port = config.get_ports().first().copied().unwrap_or(5433);
    let user = config.get_user().unwrap_or(FIRST_NAME).to_owned();
    let password = config
        .get_password()
        .map(|p| String::from_utf8_lossy(p).into_owned())
        .or_else(|| std::env::var("PGPASSWORD").ok());
    let database = config
        .get_dbname()
        .map_or_else(|| user.clone(), str::to_owned);
    let dial: Dial = Arc::new(move || {
        let socket: Box<dyn Socket> = match &host {
            Host::Tcp(host) => {
                let stream = TcpStream::connect((host.as_str(), port))?;
                stream.set_nodelay(true)?;
                Box::new(stream)
            }
            Host::Unix(directory) => {
                let file = directory.join(format!(".s.PGSQL.{port}"));
                Box::new(UnixStream::connect(file)?)
            }
        };
        Ok(socket)
    });
    Ok((
        dial,
        Identity {
            user,
            database,
            password,
            application: edition.program,
        },
    ))
}
