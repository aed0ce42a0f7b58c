//! Listening, handing connections to threads, and stopping.
//!
//! A connection alternates between two states. *Parked*, it is a small task on the server's
//! runtime that waits for its socket. *Served*, it owns a thread of the runtime's blocking pool
//! (see `connection`). The pool has a thread for every connection that may be open, because a
//! statement may wait for a lock whose holder's next message needs a thread too.
//!
//! Shutdown, in order:
//!
//! 1. No connection is accepted; parked connections, and served ones between statements, are told
//!    57P01 and closed, which rolls back what they had open.
//! 2. Running statements and COPYs get the grace period; then they are cancelled and told 57P01.
//! 3. Whoever still does not read its socket is disconnected.
//! 4. [`Server::shutdown`] returns when the last connection is gone.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use heliosdb_sql::Instance;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::net::{TcpListener, TcpSocket, UnixListener};
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::time::{sleep_until, timeout, timeout_at};

use crate::auth::AuthMethod;
use crate::connection::{Asks, Connection, LINGER_BRIEFLY, Shared, Turn, Woken};
use crate::hba::{HbaMethod, HbaRule};
use crate::metrics;
use crate::registry::{Registry, StopLevel};
use crate::socket::SocketFile;
use crate::stream::{Stream, Wire};
use crate::tls::{Tls, TlsError, TlsOptions};

/// Between cancelling a statement and breaking its socket.
const CANCEL_GRACE: Duration = Duration::from_secs(2);
/// Clients that wait to be accepted; the system may have a limit of its own (`somaxconn`).
const BACKLOG_MIN: usize = 1024;
const BACKLOG_MAX: u32 = 65_535;
/// How long a thread without a connection waits for the next one.
const KEEP_THREADS: Duration = Duration::from_secs(1);
/// Threads for connections that are still authenticating, cancel requests among them.
const OPENING_THREADS: usize = 16;
/// Plans are recursive; debug builds are generous with stack.
const STACK_BYTES: usize = 8 << 20;

/// What a server needs to be told.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    pub listen: Vec<SocketAddr>,
    /// The directory of a Unix socket, `.s.PGSQL.` and the port of the first address.
    pub unix_socket_directory: Option<PathBuf>,
    /// What is asked of all clients, or by rules that say nothing else.
    pub auth: AuthMethod,
    /// Who may connect; without any, everybody who proves who it is.
    pub hba: Option<Vec<HbaRule>>,
    pub max_connections: usize,
    /// From the first byte to a finished authentication, as PostgreSQL's `authentication_timeout`.
    pub authentication_timeout: Duration,
    /// Clients on the network may speak TLS.
    pub tls: Option<TlsOptions>,
    /// Where `/metrics` is served, if it is.
    pub metrics: Option<SocketAddr>,
}

impl Default for ServerConfig {
    /// Listens nowhere.
    fn default() -> ServerConfig {
        ServerConfig {
            listen: Vec::new(),
            unix_socket_directory: None,
            auth: AuthMethod::default(),
            hba: None,
            max_connections: 100,
            authentication_timeout: Duration::from_secs(60),
            tls: None,
            metrics: None,
        }
    }
}

impl ServerConfig {
    /// Whether any client is asked for a password.
    pub fn asks_for_passwords(&self) -> bool {
        match &self.hba {
            None => self.auth == AuthMethod::Scram,
            Some(rules) => rules.iter().any(|rule| match rule.method {
                None => self.auth == AuthMethod::Scram,
                Some(method) => method == HbaMethod::Prove(AuthMethod::Scram),
            }),
        }
    }
}

/// Why a server did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("cannot listen on {address}: {source}")]
    Listen {
        address: SocketAddr,
        source: io::Error,
    },
    #[error("cannot listen on {address} for /metrics: {source}")]
    Metrics {
        address: SocketAddr,
        source: io::Error,
    },
    #[error("cannot listen on the Unix socket {}: {source}", path.display())]
    Socket { path: PathBuf, source: io::Error },
    #[error("a Unix socket is named after a port, and none is listened on")]
    SocketWithoutPort,
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error(
        "authentication \"trust\" is allowed on loopback addresses only, and {0} is reachable from other machines"
    )]
    TrustNotLocal(SocketAddr),
    #[error("the rule of [[server.hba]] in line {line}: {why}")]
    Rule { line: usize, why: String },
    #[error("cannot start the server's threads: {0}")]
    Threads(io::Error),
    #[error("cannot read the roles: {0}")]
    Roles(heliosdb_sql::SqlError),
}

/// A running server. Dropping it stops it without grace.
pub struct Server {
    runtime: Option<Runtime>,
    shared: Arc<Shared>,
    addresses: Vec<SocketAddr>,
    metrics: Option<SocketAddr>,
    socket: Option<SocketFile>,
    accepting: watch::Sender<bool>,
}

impl Server {
    /// Bind every address, then serve in the background.
    pub fn start(instance: Arc<Instance>, config: &ServerConfig) -> Result<Server, StartError> {
        for rule in config.hba.iter().flatten() {
            rule.check(config.auth).map_err(|why| StartError::Rule {
                line: rule.line,
                why,
            })?;
        }
        if config.auth == AuthMethod::Trust
            && config.hba.is_none()
            && let Some(open) = config.listen.iter().find(|a| !a.ip().is_loopback())
        {
            return Err(StartError::TrustNotLocal(*open));
        }
        let tls = config.tls.as_ref().map(Tls::load).transpose()?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .thread_name("helios-server")
            .worker_threads(1)
            .max_blocking_threads(config.max_connections + OPENING_THREADS)
            .thread_stack_size(STACK_BYTES)
            .thread_keep_alive(KEEP_THREADS)
            .enable_all()
            .build()
            .map_err(StartError::Threads)?;
        let mut listeners = Vec::new();
        for address in &config.listen {
            let _within = runtime.enter();
            let listener =
                listen(*address, config.max_connections).map_err(|source| StartError::Listen {
                    address: *address,
                    source,
                })?;
            listeners.push(Listener::Tcp(listener));
        }
        let addresses: Vec<_> = listeners.iter().filter_map(Listener::address).collect();
        let metrics = match config.metrics {
            None => None,
            Some(address) => {
                let failed = |source| StartError::Metrics { address, source };
                let listener = runtime.block_on(TcpListener::bind(address));
                let listener = listener.map_err(failed)?;
                let bound = listener.local_addr().map_err(failed)?;
                Some((listener, bound))
            }
        };
        let mut socket = None;
        if let Some(directory) = &config.unix_socket_directory {
            let port = addresses.first().ok_or(StartError::SocketWithoutPort)?;
            let path = directory.join(format!(".s.PGSQL.{}", port.port()));
            let failed = |source| StartError::Socket {
                path: path.clone(),
                source,
            };
            let (listener, file) = SocketFile::listen(&path).map_err(failed)?;
            let _within = runtime.enter();
            let listener = UnixListener::from_std(listener).map_err(failed)?;
            listeners.push(Listener::Unix(listener));
            socket = Some(file);
        }
        let rules = config.hba.iter().flatten();
        instance.show_hba_rules(rules.map(|rule| rule.row(config.auth)).collect());
        let asks = match &config.hba {
            None => Asks::All(config.auth),
            Some(rules) => Asks::Rules(rules.as_slice().into(), config.auth),
        };
        let shared = Arc::new(Shared {
            mock_key: mock_key(&instance).map_err(StartError::Roles)?,
            instance,
            registry: Arc::new(Registry::new(config.max_connections)),
            tls,
            authentication_timeout: config.authentication_timeout,
        });
        let (accepting, stop) = watch::channel(true);
        for listener in listeners {
            runtime.spawn(accept(
                listener,
                asks.clone(),
                Arc::clone(&shared),
                stop.clone(),
            ));
        }
        let metrics = metrics.map(|(listener, bound)| {
            let shared = Arc::clone(&shared);
            runtime.spawn(metrics::serve(listener, shared, stop));
            bound
        });
        Ok(Server {
            runtime: Some(runtime),
            shared,
            addresses,
            metrics,
            socket,
            accepting,
        })
    }

    /// The addresses that are listened on, with the ports the system chose.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Where `/metrics` is served, with the port the system chose.
    pub fn metrics(&self) -> Option<SocketAddr> {
        self.metrics
    }

    /// The Unix socket that is listened on.
    pub fn unix_socket(&self) -> Option<&Path> {
        self.socket.as_ref().map(SocketFile::path)
    }

    /// Connections that have passed their startup packet.
    pub fn connections(&self) -> usize {
        self.shared.registry.len()
    }

    /// A connection from within this process: the client's end of a socket pair. Whoever holds the
    /// server may be anyone, so nothing is asked; otherwise it is a connection like all others.
    pub fn connect_local(&self) -> io::Result<UnixStream> {
        let (client, server) = UnixStream::pair()?;
        let wire = Wire::new(Stream::Unix(server), LINGER_BRIEFLY)?;
        if let Some(runtime) = &self.runtime {
            runtime.spawn(serve(Connection::new(
                wire,
                Asks::All(AuthMethod::Trust),
                Arc::clone(&self.shared),
            )));
        }
        Ok(client)
    }

    /// From now on SIGTERM and SIGINT do not end the process, and are waited for instead.
    pub fn signals(&self) -> io::Result<Signals<'_>> {
        let _within = self.runtime.as_ref().map(Runtime::enter);
        Ok(Signals {
            server: self,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Stop as the module says; running statements have `grace` to finish.
    pub fn shutdown(mut self, grace: Duration) {
        self.stop(grace);
    }

    fn stop(&mut self, grace: Duration) {
        let Some(runtime) = self.runtime.take() else {
            return;
        };
        let registry = &self.shared.registry;
        self.accepting.send_replace(false);
        self.socket = None;
        registry.begin_stop(StopLevel::Graceful);
        if !runtime.block_on(emptied(registry, grace)) {
            registry.begin_stop(StopLevel::Forced);
            registry.cancel_all();
            if !runtime.block_on(emptied(registry, CANCEL_GRACE)) {
                registry.disconnect_all();
                // A statement that ignores its cancellation would keep us; leave it behind.
                if !runtime.block_on(emptied(registry, CANCEL_GRACE)) {
                    tracing::warn!(left = registry.len(), "connections did not end");
                }
            }
        }
        runtime.shutdown_timeout(CANCEL_GRACE);
    }
}

/// The signals that ask a server to stop.
pub struct Signals<'a> {
    server: &'a Server,
    terminate: Signal,
    interrupt: Signal,
}

impl Signals<'_> {
    /// Until one comes, or has come.
    pub fn wait(mut self) {
        let Some(runtime) = &self.server.runtime else {
            return;
        };
        runtime.block_on(async {
            tokio::select! {
                _ = self.terminate.recv() => {}
                _ = self.interrupt.recv() => {}
            }
        });
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop(Duration::ZERO);
    }
}

/// Wait until no connection is left; false if `patience` ran out first.
async fn emptied(registry: &Registry, patience: Duration) -> bool {
    let empty = async {
        loop {
            let left = registry.left.notified();
            tokio::pin!(left);
            left.as_mut().enable();
            if registry.is_empty() {
                return;
            }
            left.await;
        }
    };
    timeout(patience, empty).await.is_ok()
}

/// A key that outlives this process and that no client knows: the verifier of the first role. Mock
/// salts then stay the same over a restart, as real ones do.
fn mock_key(instance: &Instance) -> Result<Vec<u8>, heliosdb_sql::SqlError> {
    Ok(match instance.role_secret("helios")? {
        Some(secret) => secret.server_key.to_vec(),
        None => rand::random::<[u8; 32]>().to_vec(),
    })
}

/// All that may connect may do so at once: a client that finds the queue full tries again after a second.
fn listen(address: SocketAddr, connections_max: usize) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    let queue = connections_max.saturating_mul(2).max(BACKLOG_MIN);
    socket.listen(u32::try_from(queue).unwrap_or(u32::MAX).min(BACKLOG_MAX))
}

enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Listener {
    fn address(&self) -> Option<SocketAddr> {
        match self {
            Listener::Tcp(listener) => listener.local_addr().ok(),
            Listener::Unix(_) => None,
        }
    }

    async fn accept(&self) -> io::Result<Accepted> {
        Ok(match self {
            Listener::Tcp(listener) => Accepted::Tcp(listener.accept().await?.0),
            Listener::Unix(listener) => Accepted::Unix(listener.accept().await?.0),
        })
    }
}

enum Accepted {
    Tcp(tokio::net::TcpStream),
    Unix(tokio::net::UnixStream),
}

impl Accepted {
    fn into_wire(self) -> io::Result<Wire> {
        let stream = match self {
            Accepted::Tcp(stream) => Stream::Tcp(stream.into_std()?),
            Accepted::Unix(stream) => Stream::Unix(stream.into_std()?),
        };
        Wire::new(stream, LINGER_BRIEFLY)
    }
}

async fn accept(
    listener: Listener,
    asks: Asks,
    shared: Arc<Shared>,
    mut accepting: watch::Receiver<bool>,
) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = accepting.wait_for(|accepting| !accepting) => return,
        };
        match accepted {
            Ok(accepted) => match accepted.into_wire() {
                Ok(wire) => {
                    tokio::spawn(serve(Connection::new(
                        wire,
                        asks.clone(),
                        Arc::clone(&shared),
                    )));
                }
                Err(error) => tracing::warn!(%error, "an accepted socket is unusable"),
            },
            Err(error) => {
                // Out of descriptors, most likely; the listener itself is fine.
                tracing::warn!(%error, "accepting a connection failed");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// Alternate between parked and served until the connection ends.
async fn serve(mut connection: Box<Connection>) {
    let shared = Arc::clone(connection.shared());
    let deadline = connection.deadline();
    loop {
        let parked = wait_readable(connection.stream(), &shared.registry);
        let woken = if connection.is_open() {
            let call = Arc::clone(connection.call());
            let idle = connection.idle_deadline();
            let idle = async {
                match idle {
                    Some(deadline) => sleep_until(deadline).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = parked => Woken::Readable,
                () = call.notified() => Woken::Called,
                () = idle => Woken::Idle,
            }
        } else if timeout_at(deadline, parked).await.is_ok() {
            Woken::Readable
        } else {
            return;
        };
        match tokio::task::spawn_blocking(move || connection.turn(woken)).await {
            Ok(Turn::Park(parked)) => connection = parked,
            Ok(Turn::Done) | Err(_) => return,
        }
    }
}

/// Until there is something to read, the socket fails, or the server stops.
fn wait_readable<'a>(
    stream: &Arc<Stream>,
    registry: &'a Registry,
) -> impl Future<Output = ()> + 'a {
    let stream = Arc::clone(stream);
    async move {
        let stop = registry.stop.notified();
        tokio::pin!(stop);
        stop.as_mut().enable();
        if registry.stop_level() != StopLevel::Running {
            return;
        }
        // SAFETY: the Arc, owned by the AsyncFd, keeps this one descriptor open for as long as the
        // AsyncFd lives, and always names the same one.
        let watched = unsafe { AsyncFd::register_with_interest(stream, Interest::READABLE) };
        // A socket that cannot be watched is read at once, which says what is wrong with it.
        if let Ok(watched) = watched {
            tokio::select! {
                _ = watched.readable() => {}
                () = stop => {}
            }
        }
    }
}
