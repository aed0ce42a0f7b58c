//! One connection from its first byte to its last.
//!
//! Life of a connection:
//!
//! 1. *Opening*: a request for TLS is answered `S`, where there is a certificate, and the handshake follows;
//!    other requests for encryption are answered `N`, each kind once; a cancel request is carried out
//!    and the connection ends; a startup packet names the user and the database.
//! 2. *Authentication*: SCRAM in two messages, or nothing under trust. Until it has succeeded only
//!    `p` messages are read, and nothing about the database is said.
//! 3. *Open*: an [`OpenSession`] answers messages until `Terminate`, end of file, a protocol
//!    violation or shutdown.
//!
//! The machine is driven by frames and never blocks in the middle of one for input, so that at any
//! frame boundary the thread can be given back ([`Turn::Park`]) and 2,000 quiet connections cost
//! 2,000 small structures and no thread. While messages keep coming the connection keeps its thread
//! and reads its socket directly: one wake-up per message, as in a process per connection. How long it
//! lingers on its thread when they stop depends on how its client behaves: [`LINGER`] when it was never quiet for
//! longer, [`LINGER_BRIEFLY`] when it came back from a longer silence with a few messages, and not at all when it has just
//! been let in.
//! Threads are then about as many as clients that work, and memory that each of them keeps at hand is little.
//!
//! Before it is open, a connection has until its deadline, whether it is parked or served, and no thread waits
//! for the rest of a frame that has not come whole: nobody holds the threads that others need by dripping.
//!
//! A panic anywhere below is caught here, answered XX000, and ends this connection only.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use heliosdb_sql::error::{SqlError, state};
use heliosdb_sql::session::split_database;
use heliosdb_sql::{Instance, SessionOptions};
use pgwire::api::auth::sasl::scram::ScramServerAuth;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::auth::{self, AuthMethod, Pending};
use crate::backend::{self, Severity};
use crate::frontend::{self, FrameError, Frontend, Opening};
use crate::hba::{self, Candidate, HbaRule};
use crate::open::OpenSession;
use crate::registry::{Place, Registry, StopLevel};
use crate::stream::{Filled, Stream, Wire};
use crate::tls::{self, Tls};

/// How long a connection keeps its thread while its client, which has been busy, is quiet.
const LINGER: Duration = Duration::from_millis(50);
/// The same for a client that may be quiet for long.
pub const LINGER_BRIEFLY: Duration = Duration::from_millis(2);
/// A client that says so much without a pause is busy.
const BUSY_READS: u32 = 8;

/// What all connections of a server share.
pub struct Shared {
    pub instance: Arc<Instance>,
    pub registry: Arc<Registry>,
    pub tls: Option<Tls>,
    /// Makes the salts of roles that do not exist.
    pub mock_key: Vec<u8>,
    /// From the first byte to an open session.
    pub authentication_timeout: Duration,
}

/// Why a connection ends.
pub enum End {
    /// The client is gone or said goodbye.
    Closed,
    /// It is told why.
    Fatal(Box<SqlError>),
}

impl End {
    pub fn fatal(error: SqlError) -> End {
        End::Fatal(Box::new(error))
    }
}

impl From<io::Error> for End {
    fn from(_: io::Error) -> End {
        End::Closed
    }
}

/// What a stretch of work on a connection's thread ended with.
pub enum Turn {
    /// The client is quiet: wait for its socket, then go on.
    Park(Box<Connection>),
    Done,
}

/// Why a parked connection goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Woken {
    /// Its socket can be read, or the server stops.
    Readable,
    /// Its session has something for it.
    Called,
    /// Its client has said nothing for too long.
    Idle,
}

pub struct Connection {
    // Dropped in this order: the session rolls back before its place is given up, so that a
    // shutdown that waits for places also waits for rollbacks.
    phase: Phase,
    place: Option<Place>,
    wire: Wire,
    /// TLS began without being asked for.
    is_direct: bool,
    asked: Asked,
    /// When it ends unless it is open.
    deadline: Instant,
    asks: Asks,
    /// When its client went quiet, or a little later.
    quiet: Instant,
    /// Told when the session has something for a client that is quiet.
    call: Arc<Notify>,
    shared: Arc<Shared>,
}

/// What clients of a listener are asked for.
#[derive(Clone)]
pub enum Asks {
    /// The same of all.
    All(AuthMethod),
    /// What the rules say, and this where they say nothing.
    Rules(Arc<[HbaRule]>, AuthMethod),
}

enum Phase {
    Opening,
    ClientFirst(Client),
    ClientFinal(Client, Box<Pending>),
    Open(Box<OpenSession>),
}

/// Kinds of encryption that were asked for. Each is answered once.
#[derive(Default)]
struct Asked {
    tls: bool,
    gss: bool,
}

/// What a startup packet asked for.
struct Client {
    user: String,
    database: String,
    application_name: String,
    parameters: Vec<(String, String)>,
}

impl Connection {
    pub fn new(wire: Wire, asks: Asks, shared: Arc<Shared>) -> Box<Connection> {
        Box::new(Connection {
            phase: Phase::Opening,
            place: None,
            wire,
            is_direct: false,
            asked: Asked::default(),
            deadline: Instant::now() + shared.authentication_timeout,
            asks,
            quiet: Instant::now(),
            call: Arc::default(),
            shared,
        })
    }

    pub fn is_open(&self) -> bool {
        matches!(self.phase, Phase::Open(_))
    }

    /// When it ends unless it is open.
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// When it ends if its client says nothing.
    pub fn idle_deadline(&self) -> Option<Instant> {
        match &self.phase {
            Phase::Open(open) => Some(self.quiet + open.idle_timeout()?),
            _ => None,
        }
    }

    pub fn call(&self) -> &Arc<Notify> {
        &self.call
    }

    pub fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    pub fn stream(&self) -> &Arc<Stream> {
        self.wire.stream()
    }

    /// Serve the client until it goes quiet or the connection ends.
    pub fn turn(mut self: Box<Self>, woken: Woken) -> Turn {
        let end = match catch_unwind(AssertUnwindSafe(|| self.work(woken))) {
            Ok(Ok(())) => return Turn::Park(self),
            Ok(Err(end)) => end,
            Err(panic) => {
                let what = panic_text(panic.as_ref());
                tracing::error!(what, "a connection panicked and is closed");
                if let Phase::Open(open) = &mut self.phase {
                    open.take_back_partial_row(&mut self.wire);
                }
                End::fatal(SqlError::internal(what))
            }
        };
        // Rolling back runs the session's code, which may be what panicked.
        let dropped = catch_unwind(AssertUnwindSafe(|| {
            if let End::Fatal(error) = &end {
                backend::error(&mut self.wire.output, Severity::Fatal, error);
            }
            let _ = self.wire.finish();
            drop(self);
        }));
        if let Err(panic) = dropped {
            tracing::error!(
                what = panic_text(panic.as_ref()),
                "closing a connection panicked"
            );
        }
        Turn::Done
    }

    fn work(&mut self, woken: Woken) -> Result<(), End> {
        if let Phase::Open(open) = &mut self.phase {
            match woken {
                Woken::Called => return open.called(&mut self.wire),
                Woken::Idle => return Err(open.idle_for_too_long()),
                Woken::Readable => {}
            }
        }
        self.wire.linger(match self.quiet.elapsed() < LINGER {
            true if self.is_open() => LINGER,
            _ => LINGER_BRIEFLY,
        })?;
        let done = self.serve();
        self.quiet = Instant::now();
        done
    }

    fn serve(&mut self) -> Result<(), End> {
        let mut reads = 0_u32;
        let was_open = self.is_open();
        loop {
            let mut is_whole = false;
            while self.step()? {
                is_whole = true;
            }
            self.wire.flush()?;
            let was_read = reads > 0;
            if was_read && !is_whole && !self.is_open() && self.wire.is_drained() {
                return Ok(());
            }
            // Many come one after another and are let in, and each thread that lingers then is one more that memory
            // stays with.
            let is_let_in = !was_open && self.is_open();
            // Where it lingers it is not called.
            if was_read && (is_let_in || self.is_listening()) && self.wire.is_drained() {
                self.wire.rest();
                return Ok(());
            }
            match self.wire.fill()? {
                Filled::Data => {
                    reads = reads.saturating_add(1);
                    if reads == BUSY_READS && self.is_open() {
                        self.wire.linger(LINGER)?;
                    }
                }
                Filled::Closed => return Err(End::Closed),
                Filled::Quiet => {
                    self.end_if_stopping()?;
                    self.wire.rest();
                    return Ok(());
                }
            }
        }
    }

    fn is_listening(&self) -> bool {
        matches!(&self.phase, Phase::Open(open) if open.is_listening())
    }

    /// Handle one frame; false if there is no complete one.
    fn step(&mut self) -> Result<bool, End> {
        self.end_if_stopping()?;
        if !self.is_open() && Instant::now() >= self.deadline {
            return Err(End::Closed);
        }
        if self.begins_with_tls() {
            self.direct_tls()?;
        }
        match &mut self.phase {
            Phase::Opening => match frontend::next_opening(&mut self.wire.input) {
                Ok(None) => return Ok(false),
                Ok(Some(opening)) => self.opening(opening)?,
                Err(error) => return Err(fatal(error)),
            },
            Phase::ClientFirst(_) | Phase::ClientFinal(..) => {
                match frontend::next_message(&mut self.wire.input, false) {
                    Ok(None) => return Ok(false),
                    Ok(Some(Frontend::Password(message))) => self.authenticate(message)?,
                    Ok(Some(_)) => return Err(End::Closed),
                    Err(error) => return Err(fatal(error)),
                }
            }
            Phase::Open(open) => match frontend::next_message(&mut self.wire.input, true) {
                Ok(None) => return Ok(false),
                Ok(Some(_)) if open.is_terminated() => return Err(End::fatal(shutting_down())),
                Ok(Some(message)) => open.message(&mut self.wire, message)?,
                Err(FrameError::Text { kind, error }) => {
                    open.undecodable(&mut self.wire, kind, error)?;
                }
                Err(error) => return Err(fatal(error)),
            },
        }
        Ok(true)
    }

    fn end_if_stopping(&self) -> Result<(), End> {
        let ends = match self.shared.registry.stop_level() {
            StopLevel::Running => false,
            StopLevel::Graceful => match &self.phase {
                Phase::Open(open) => !open.is_copying(),
                _ => true,
            },
            StopLevel::Forced => true,
        };
        if ends {
            Err(End::fatal(shutting_down()))
        } else {
            Ok(())
        }
    }

    /// Whether the client has begun with a handshake, and may.
    fn begins_with_tls(&self) -> bool {
        matches!(self.phase, Phase::Opening)
            && self.wire.tls().is_none()
            && self.tls_here().is_some()
            && self.wire.input.first() == Some(&tls::HANDSHAKE)
    }

    /// TLS, if it is spoken on this kind of socket. One within the machine has no use for it.
    fn tls_here(&self) -> Option<&Tls> {
        match **self.wire.stream() {
            Stream::Tcp(_) => self.shared.tls.as_ref(),
            Stream::Unix(_) => None,
        }
    }

    fn request_for_tls(&mut self) -> Result<(), End> {
        // Bytes sent before the answer could have been put there by someone in between.
        if !self.wire.input.is_empty() {
            return Err(End::fatal(
                SqlError::new(
                    state::PROTOCOL_VIOLATION,
                    "received unencrypted data after SSL request",
                )
                .with_detail("This could be either a client-software bug or evidence of an attempted man-in-the-middle attack."),
            ));
        }
        if self.asked.tls || self.wire.tls().is_some() {
            return Err(unsupported_protocol(1234, 5679));
        }
        self.asked.tls = true;
        let tls = match self.tls_here() {
            Some(tls) => tls.accept()?,
            None => {
                backend::refuse_encryption(&mut self.wire.output);
                return Ok(());
            }
        };
        backend::accept_encryption(&mut self.wire.output);
        self.wire.flush()?;
        Ok(self.wire.encrypt(tls)?)
    }

    /// The handshake of a client that did not ask.
    fn direct_tls(&mut self) -> Result<(), End> {
        let tls = match self.tls_here() {
            Some(tls) => tls.accept()?,
            None => return Err(End::Closed),
        };
        self.is_direct = true;
        Ok(self.wire.encrypt(tls)?)
    }

    fn opening(&mut self, opening: Opening) -> Result<(), End> {
        if self.is_direct
            && let Some(tls) = self.wire.tls()
            && tls.alpn_protocol() != Some(tls::ALPN)
        {
            return Err(End::fatal(SqlError::new(
                state::PROTOCOL_VIOLATION,
                "received direct SSL connection request without ALPN protocol negotiation extension",
            )));
        }
        let (major, minor, parameters) = match opening {
            Opening::Ssl => return self.request_for_tls(),
            Opening::Gss => {
                if self.asked.gss || self.wire.tls().is_some() {
                    return Err(unsupported_protocol(1234, 5680));
                }
                self.asked.gss = true;
                backend::refuse_encryption(&mut self.wire.output);
                return Ok(());
            }
            Opening::Cancel { pid, secret } => {
                self.shared.registry.cancel(pid, secret);
                return Err(End::Closed);
            }
            Opening::Startup {
                major,
                minor,
                parameters,
            } => (major, minor, parameters),
        };
        if major != 3 {
            return Err(unsupported_protocol(major, minor));
        }
        if self.wire.tls().is_none() && self.tls_here().is_some_and(|tls| tls.required) {
            return Err(End::fatal(
                SqlError::new(
                    state::INVALID_AUTHORIZATION_SPECIFICATION,
                    "connections without TLS are refused",
                )
                .with_hint("Ask for TLS: sslmode=require, or verify-full with sslrootcert."),
            ));
        }
        let (client, unknown) = client_of(parameters).map_err(End::fatal)?;
        let method = self.method(&client)?;
        if minor > 0 || !unknown.is_empty() {
            backend::negotiate_version(&mut self.wire.output, unknown);
        }
        self.place = self.shared.registry.admit(self.wire.stream());
        if self.place.is_none() {
            return Err(End::fatal(SqlError::new(
                state::TOO_MANY_CONNECTIONS,
                "sorry, too many clients already",
            )));
        }
        match method {
            AuthMethod::Scram => {
                let mechanisms = auth::mechanisms(self.binding());
                backend::sasl_mechanisms(&mut self.wire.output, mechanisms);
                self.phase = Phase::ClientFirst(client);
                Ok(())
            }
            AuthMethod::Trust => self.open(client),
        }
    }

    /// How a client is to prove who it is, if it may.
    fn method(&self, client: &Client) -> Result<AuthMethod, End> {
        let (rules, auth) = match &self.asks {
            Asks::All(method) => return Ok(*method),
            Asks::Rules(rules, auth) => (rules, *auth),
        };
        let candidate = Candidate {
            peer: match &**self.wire.stream() {
                // One whose address cannot be told must not pass for a local one.
                Stream::Tcp(stream) => Some(stream.peer_addr()?.ip()),
                Stream::Unix(_) => None,
            },
            is_encrypted: self.wire.tls().is_some(),
            user: &client.user,
            // A rule for a database is one for all of its branches.
            database: split_database(&client.database).0,
        };
        hba::method(rules, auth, &candidate).map_err(End::fatal)
    }

    /// What SCRAM is bound to on this channel.
    fn binding(&self) -> Option<&ScramServerAuth> {
        self.wire.tls()?;
        self.shared.tls.as_ref()?.binding()
    }

    fn authenticate(&mut self, message: bytes::Bytes) -> Result<(), End> {
        match std::mem::replace(&mut self.phase, Phase::Opening) {
            Phase::ClientFirst(client) => {
                let secret = self
                    .shared
                    .instance
                    .role_secret(&client.user)
                    .map_err(End::fatal)?;
                let (reply, pending) = auth::client_first(
                    message,
                    &client.user,
                    secret,
                    &self.shared.mock_key,
                    self.binding(),
                )
                .map_err(End::fatal)?;
                backend::sasl_continue(&mut self.wire.output, reply);
                self.phase = Phase::ClientFinal(client, Box::new(pending));
                Ok(())
            }
            Phase::ClientFinal(client, pending) => {
                let reply = pending
                    .client_final(&message, &client.user)
                    .map_err(End::fatal)?;
                backend::sasl_final(&mut self.wire.output, reply);
                self.open(client)
            }
            Phase::Opening | Phase::Open(_) => Err(End::fatal(SqlError::internal(
                "authentication in the wrong phase",
            ))),
        }
    }

    fn open(&mut self, client: Client) -> Result<(), End> {
        let place = self
            .place
            .as_ref()
            .ok_or_else(|| End::fatal(SqlError::internal("a session without a place")))?;
        backend::authentication_ok(&mut self.wire.output);
        let mut session = self
            .shared
            .instance
            .session(SessionOptions {
                user: client.user,
                database: client.database,
                application_name: client.application_name,
                parameters: client.parameters,
                client: Some(self.wire.stream().address()),
            })
            .map_err(End::fatal)?;
        let call = Arc::clone(&self.call);
        session.set_waker(move || call.notify_one());
        let pid = session.pid() as i32;
        let secret = place.open(pid, session.cancel_handle());
        let mut open = Box::new(OpenSession::new(session, Arc::clone(&self.shared.registry)));
        open.greet(&mut self.wire);
        backend::backend_key_data(&mut self.wire.output, pid, secret);
        self.wire.stream().trust()?;
        open.ready(&mut self.wire)?;
        self.phase = Phase::Open(open);
        Ok(())
    }
}

fn unsupported_protocol(major: u16, minor: u16) -> End {
    End::fatal(SqlError::new(
        state::FEATURE_NOT_SUPPORTED,
        format!("unsupported frontend protocol {major}.{minor}: server supports 3.0 to 3.0"),
    ))
}

pub fn shutting_down() -> SqlError {
    SqlError::new(
        state::ADMIN_SHUTDOWN,
        "terminating connection due to administrator command",
    )
}

fn fatal(error: FrameError) -> End {
    End::fatal(match error {
        FrameError::Violation(message) => SqlError::new(state::PROTOCOL_VIOLATION, message),
        FrameError::Text { error, .. } => error,
    })
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("a panic without a message")
}

/// Sort a startup packet's parameters; also the protocol options that are not known.
fn client_of(parameters: Vec<(String, String)>) -> Result<(Client, Vec<String>), SqlError> {
    let mut client = Client {
        user: String::new(),
        database: String::new(),
        application_name: String::new(),
        parameters: Vec::new(),
    };
    let mut unknown = Vec::new();
    for (name, value) in parameters {
        match name.as_str() {
            "user" => client.user = value,
            "database" => client.database = value,
            "application_name" => client.application_name = value,
            "options" => client.parameters.extend(parse_options(&value)?),
            "replication" => {
                if !matches!(value.as_str(), "false" | "off" | "no" | "0") {
                    return Err(SqlError::unsupported("replication"));
                }
            }
            option if option.starts_with("_pq_.") => unknown.push(name),
            _ => client.parameters.push((name, value)),
        }
    }
    if client.user.is_empty() {
        return Err(SqlError::new(
            state::INVALID_AUTHORIZATION_SPECIFICATION,
            "no PostgreSQL user name specified in startup packet",
        ));
    }
    if client.database.is_empty() {
        client.database = client.user.clone();
    }
    Ok((client, unknown))
}

/// The settings in `options`, a command line of `-c name=value` and `--name=value` in which a
/// backslash takes the next character as it is.
fn parse_options(options: &str) -> Result<Vec<(String, String)>, SqlError> {
    let mut words: Vec<String> = Vec::new();
    let mut word: Option<String> = None;
    let mut characters = options.chars();
    while let Some(c) = characters.next() {
        match c {
            c if c.is_whitespace() => words.extend(word.take()),
            '\\' => word.get_or_insert_default().extend(characters.next()),
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    let invalid = |word: &str| {
        SqlError::new(
            state::SYNTAX_ERROR,
            format!("invalid command-line argument for server process: {word}"),
        )
    };
    let mut settings = Vec::new();
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        let setting = if word == "-c" {
            words.next().ok_or_else(|| invalid(&word))?
        } else if let Some(setting) = word.strip_prefix("--").or_else(|| word.strip_prefix("-c")) {
            setting.to_owned()
        } else {
            return Err(invalid(&word));
        };
        let (name, value) = setting.split_once('=').ok_or_else(|| invalid(&word))?;
        settings.push((name.replace('-', "_"), value.to_owned()));
    }
    Ok(settings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_a_command_line() {
        assert_eq!(
            parse_options(r"-c search_path=a\ b  --time-zone=UTC -cx=1").unwrap(),
            [
                ("search_path".to_owned(), "a b".to_owned()),
                ("time_zone".to_owned(), "UTC".to_owned()),
                ("x".to_owned(), "1".to_owned())
            ]
        );
        assert!(parse_options("-q").is_err());
        assert!(parse_options("-c").is_err());
        assert!(parse_options("-c novalue").is_err());
    }
}
