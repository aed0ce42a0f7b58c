//! A small blocking client of the PostgreSQL protocol, for the shell and the `sql` command.
//!
//! Both speak the protocol even to a database in their own process (over a socket pair), so there is
//! one way in which a statement runs and a result reads, here and for any driver.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::BytesMut;
use fallible_iterator::FallibleIterator;
use postgres_protocol::authentication::sasl::{ChannelBinding, SCRAM_SHA_256, ScramSha256};
use postgres_protocol::message::backend::{ErrorFields, Message};
use postgres_protocol::message::frontend;

/// A connected socket.
pub trait Socket: Read + Write + Send {}
impl Socket for TcpStream {}
impl Socket for UnixStream {}

/// Opens a socket to the server: one for the session, one more for each cancel request.
pub type Dial = Arc<dyn Fn() -> io::Result<Box<dyn Socket>> + Send + Sync>;

/// What the server said of a failure, or what became of the connection.
#[derive(Clone, Debug, Default)]
pub struct ServerError {
    pub severity: String,
    pub code: String,
    pub message: String,
    pub detail: Option<String>,
    pub hint: Option<String>,
    pub context: Option<String>,
    /// 1-based character position in the text that was sent.
    pub position: Option<usize>,
}

#[derive(Debug)]
pub enum Error {
    Server(Box<ServerError>),
    /// The connection is of no more use.
    Lost(String),
    /// Writing the output or reading the input of a COPY failed.
    Local(io::Error),
}

pub type Result<T> = std::result::Result<T, Error>;

fn lost(error: io::Error) -> Error {
    Error::Lost(format!("the connection to the server was lost: {error}"))
}

/// A column of a result.
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    pub name: String,
    pub type_oid: u32,
}

/// Text values of a row; `None` is NULL.
pub type TextRow = Vec<Option<String>>;

/// Takes results as they arrive.
pub trait Sink {
    /// A result begins.
    fn columns(&mut self, columns: &[Column]) -> io::Result<()>;
    fn row(&mut self, row: TextRow) -> io::Result<()>;
    /// A statement is complete; its result, if it had one, has ended.
    fn complete(&mut self, tag: &str) -> io::Result<()>;
    fn notice(&mut self, notice: &ServerError) -> io::Result<()>;
    /// Data of a COPY TO STDOUT.
    fn copy_data(&mut self, data: &[u8]) -> io::Result<()>;
    /// The input of a COPY FROM STDIN, if there is one.
    fn copy_source(&mut self) -> Option<&mut dyn Read>;
}

/// Whom to be.
#[derive(Clone, Debug)]
pub struct Identity {
    pub user: String,
    pub database: String,
    pub password: Option<String>,
    /// The program that connects, as `pg_stat_activity` shows it.
    pub application: &'static str,
}

pub struct Client {
    socket: Box<dyn Socket>,
    input: BytesMut,
    output: BytesMut,
    cancel: Canceller,
    /// `I`, `T` or `E`.
    status: u8,
}

/// Cancels the running statement from another thread.
#[derive(Clone)]
pub struct Canceller {
    dial: Dial,
    key: (i32, i32),
    running: Arc<AtomicBool>,
}

impl Canceller {
    /// Ask the server to stop the running statement; false if none runs.
    pub fn cancel(&self) -> bool {
        if !self.running.load(Ordering::SeqCst) {
            return false;
        }
        let mut request = BytesMut::new();
        frontend::cancel_request(self.key.0, self.key.1, &mut request);
        // A server that cannot be reached any more has nothing left to cancel.
        let _ = (self.dial)().and_then(|mut socket| {
            socket.write_all(&request)?;
            socket.read(&mut [0; 1])
        });
        true
    }
}

impl Client {
    pub fn connect(dial: Dial, identity: &Identity) -> Result<Client> {
        let socket = dial().map_err(|e| Error::Lost(format!("cannot connect: {e}")))?;
        let running = Arc::new(AtomicBool::new(false));
        let cancel = Canceller {
            dial,
            key: (0, 0),
            running,
        };
        let mut client = Client {
            socket,
            input: BytesMut::new(),
            output: BytesMut::new(),
            cancel,
            status: b'I',
        };
        client.start(identity)?;
        Ok(client)
    }

    pub fn canceller(&self) -> Canceller {
        self.cancel.clone()
    }

    pub fn in_transaction(&self) -> bool {
        self.status != b'I'
    }

    pub fn in_failed_transaction(&self) -> bool {
        self.status == b'E'
    }

    fn start(&mut self, identity: &Identity) -> Result<()> {
        let parameters = [
            ("user", identity.user.as_str()),
            ("database", identity.database.as_str()),
            ("application_name", identity.application),
            ("client_encoding", "UTF8"),
        ];
        frontend::startup_message(parameters, &mut self.output).map_err(lost)?;
        self.flush()?;
        let mut scram: Option<ScramSha256> = None;
        loop {
            match self.receive()? {
                Message::AuthenticationOk => {}
                Message::AuthenticationSasl(body) => {
                    let offered = body
                        .mechanisms()
                        .any(|mechanism| Ok(mechanism == SCRAM_SHA_256))
                        .map_err(lost)?;
                    let password = identity.password.as_ref().ok_or_else(|| {
                        Error::Lost("the server asks for a password and none was given".into())
                    })?;
                    if !offered {
                        return Err(unsupported_authentication());
                    }
                    let exchange =
                        ScramSha256::new(password.as_bytes(), ChannelBinding::unsupported());
                    frontend::sasl_initial_response(
                        SCRAM_SHA_256,
                        exchange.message(),
                        &mut self.output,
                    )
                    .map_err(lost)?;
                    scram = Some(exchange);
                    self.flush()?;
                }
                Message::AuthenticationSaslContinue(body) => {
                    let exchange = scram.as_mut().ok_or_else(unsupported_authentication)?;
                    exchange.update(body.data()).map_err(lost)?;
                    frontend::sasl_response(exchange.message(), &mut self.output).map_err(lost)?;
                    self.flush()?;
                }
                Message::AuthenticationSaslFinal(body) => {
                    let exchange = scram.as_mut().ok_or_else(unsupported_authentication)?;
                    exchange.finish(body.data()).map_err(lost)?;
                }
                Message::BackendKeyData(body) => {
                    self.cancel.key = (body.process_id(), body.secret_key());
                }
                Message::ParameterStatus(_) | Message::NoticeResponse(_) => {}
                Message::ReadyForQuery(body) => {
                    self.status = body.status();
                    return Ok(());
                }
                Message::ErrorResponse(body) => return Err(server_error(body.fields())),
                _ => return Err(unsupported_authentication()),
            }
        }
    }

    /// Run one or more statements; results go to `sink`. An error of the server ends the run but
    /// not the connection.
    pub fn run(&mut self, sql: &str, sink: &mut dyn Sink) -> Result<()> {
        if sql.contains('\0') {
            return Err(Error::Local(io::Error::other(
                "a statement cannot contain a zero byte",
            )));
        }
        frontend::query(sql, &mut self.output).map_err(Error::Local)?;
        self.cancel.running.store(true, Ordering::SeqCst);
        let outcome = self.flush().and_then(|()| self.results(sink));
        self.cancel.running.store(false, Ordering::SeqCst);
        outcome
    }

    /// Read to ReadyForQuery. The first failure is reported, but all is read.
    fn results(&mut self, sink: &mut dyn Sink) -> Result<()> {
        let mut failure: Option<Error> = None;
        fn note(failure: &mut Option<Error>, outcome: io::Result<()>) {
            if let Err(error) = outcome {
                failure.get_or_insert(Error::Local(error));
            }
        }
        loop {
            match self.receive()? {
                Message::RowDescription(body) => {
                    let columns: Vec<Column> = body
                        .fields()
                        .map(|f| {
                            Ok(Column {
                                name: f.name().to_owned(),
                                type_oid: f.type_oid(),
                            })
                        })
                        .collect()
                        .map_err(lost)?;
                    note(&mut failure, sink.columns(&columns));
                }
                Message::DataRow(body) => {
                    let buffer = body.buffer();
                    let row: TextRow = body
                        .ranges()
                        .map(|range| {
                            Ok(range.map(|r| String::from_utf8_lossy(&buffer[r]).into_owned()))
                        })
                        .collect()
                        .map_err(lost)?;
                    note(&mut failure, sink.row(row));
                }
                Message::CommandComplete(body) => {
                    note(&mut failure, sink.complete(body.tag().map_err(lost)?))
                }
                Message::EmptyQueryResponse => note(&mut failure, sink.complete("")),
                Message::CopyOutResponse(_) | Message::CopyDone => {}
                Message::CopyData(body) => note(&mut failure, sink.copy_data(body.data())),
                Message::CopyInResponse(_) => {
                    let sent = self.send_copy(sink.copy_source())?;
                    note(&mut failure, sent);
                }
                Message::NoticeResponse(body) => {
                    let Error::Server(notice) = server_error(body.fields()) else {
                        continue;
                    };
                    note(&mut failure, sink.notice(&notice));
                }
                Message::ErrorResponse(body) => {
                    let error = server_error(body.fields());
                    if let Error::Server(e) = &error
                        && e.severity == "FATAL"
                    {
                        return Err(error);
                    }
                    // The server's word on a COPY that failed here is no news.
                    failure.get_or_insert(error);
                }
                Message::ReadyForQuery(body) => {
                    self.status = body.status();
                    return failure.map_or(Ok(()), Err);
                }
                _ => {}
            }
        }
    }

    /// Send a COPY's data, or say that there is none. The inner error is the source's.
    fn send_copy(&mut self, source: Option<&mut dyn Read>) -> Result<io::Result<()>> {
        let Some(source) = source else {
            let why = "there is no input for COPY FROM STDIN here; use \\copy";
            frontend::copy_fail(why, &mut self.output).map_err(lost)?;
            self.flush()?;
            return Ok(Ok(()));
        };
        let mut chunk = vec![0; 64 << 10];
        loop {
            match source.read(&mut chunk) {
                Ok(0) => {
                    frontend::copy_done(&mut self.output);
                    self.flush()?;
                    return Ok(Ok(()));
                }
                Ok(count) => {
                    frontend::CopyData::new(&chunk[..count])
                        .map_err(lost)?
                        .write(&mut self.output);
                    self.flush()?;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    frontend::copy_fail(&error.to_string(), &mut self.output).map_err(lost)?;
                    self.flush()?;
                    return Ok(Err(error));
                }
            }
        }
    }

    fn flush(&mut self) -> Result<()> {
        self.socket.write_all(&self.output).map_err(lost)?;
        self.output.clear();
        Ok(())
    }

    fn receive(&mut self) -> Result<Message> {
        loop {
            if let Some(message) = Message::parse(&mut self.input).map_err(lost)? {
                return Ok(message);
            }
            let filled = self.input.len();
            self.input.resize(filled + (32 << 10), 0);
            let count = loop {
                match self.socket.read(&mut self.input[filled..]) {
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    other => break other,
                }
            };
            self.input.truncate(filled + *count.as_ref().unwrap_or(&0));
            match count {
                Ok(0) => {
                    return Err(Error::Lost("the server closed the connection".to_owned()));
                }
                Ok(_) => {}
                Err(error) => return Err(lost(error)),
            }
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        frontend::terminate(&mut self.output);
        // The server notices the closed socket as well.
        let _ = self.flush();
    }
}

fn unsupported_authentication() -> Error {
    Error::Lost("the server asks for an authentication method other than SCRAM-SHA-256".to_owned())
}

fn server_error(mut fields: ErrorFields<'_>) -> Error {
    let mut error = ServerError::default();
    while let Ok(Some(field)) = fields.next() {
        let value = String::from_utf8_lossy(field.value_bytes()).into_owned();
        match field.type_() {
            b'V' => error.severity = value,
            b'C' => error.code = value,
            b'M' => error.message = value,
            b'D' => error.detail = Some(value),
            b'H' => error.hint = Some(value),
            b'W' => error.context = Some(value),
            b'P' => error.position = value.parse().ok(),
            _ => {}
        }
    }
    Error::Server(Box::new(error))
}
