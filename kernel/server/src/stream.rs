//! One client's socket with its two buffers, used by the one thread that serves it at the moment.
//!
//! Reading blocks for a short while only ([`Wire::fill`]), so that a connection which goes quiet
//! can give its thread back; writing blocks until the client takes the bytes, and not for long
//! before it has said who it is ([`Stream::trust`]). An idle connection holds no buffer at all but
//! TLS's own.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use heliosdb_sql::ClientAddress;
use rustls::ServerConnection;
use socket2::SockRef;

/// Output is written when this much has gathered, and at every point where the client may wait.
const FLUSH_BYTES: usize = 64 << 10;
/// How much is read at a time.
const READ_BYTES: usize = 16 << 10;
/// Buffers above this size are given back once they are empty.
const KEEP_BYTES_MAX: usize = 256 << 10;
/// How long a client whose session is not open may leave what it is told unread.
const STRANGER_WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// What waiting for input brought.
#[derive(Debug, PartialEq, Eq)]
pub enum Filled {
    /// Something came. In TLS it may have been nothing but TLS's own.
    Data,
    /// Nothing came within the time allowed.
    Quiet,
    Closed,
}

/// A client's socket: from the network, or from this very process.
#[derive(Debug)]
pub enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Stream {
    /// Where the client is, and where it came in.
    pub fn address(&self) -> ClientAddress {
        match self {
            Stream::Tcp(stream) => match (stream.peer_addr(), stream.local_addr()) {
                (Ok(client), Ok(server)) => ClientAddress::Tcp { client, server },
                _ => ClientAddress::Local,
            },
            Stream::Unix(_) => ClientAddress::Local,
        }
    }

    fn prepare(&self, linger: Duration) -> io::Result<()> {
        let patience = Some(STRANGER_WRITE_TIMEOUT);
        match self {
            Stream::Tcp(stream) => {
                stream.set_nonblocking(false)?;
                stream.set_nodelay(true)?;
                // A client whose machine is gone says nothing; what it holds must not stay for ever.
                SockRef::from(stream).set_keepalive(true)?;
                stream.set_write_timeout(patience)?;
                stream.set_read_timeout(Some(linger))
            }
            Stream::Unix(stream) => {
                stream.set_nonblocking(false)?;
                stream.set_write_timeout(patience)?;
                stream.set_read_timeout(Some(linger))
            }
        }
    }

    fn set_read_timeout(&self, timeout: Duration) -> io::Result<()> {
        match self {
            Stream::Tcp(stream) => stream.set_read_timeout(Some(timeout)),
            Stream::Unix(stream) => stream.set_read_timeout(Some(timeout)),
        }
    }

    /// The client's session is open: from now on it may take its time to read.
    pub fn trust(&self) -> io::Result<()> {
        match self {
            Stream::Tcp(stream) => stream.set_write_timeout(None),
            Stream::Unix(stream) => stream.set_write_timeout(None),
        }
    }

    /// Break the connection under whoever reads or writes it.
    pub fn disconnect(&self) -> io::Result<()> {
        match self {
            Stream::Tcp(stream) => stream.shutdown(Shutdown::Both),
            Stream::Unix(stream) => stream.shutdown(Shutdown::Both),
        }
    }
}

impl Read for &Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => (&*stream).read(buffer),
            Stream::Unix(stream) => (&*stream).read(buffer),
        }
    }
}

impl Write for &Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => (&*stream).write(bytes),
            Stream::Unix(stream) => (&*stream).write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl AsRawFd for Stream {
    fn as_raw_fd(&self) -> RawFd {
        match self {
            Stream::Tcp(stream) => stream.as_raw_fd(),
            Stream::Unix(stream) => stream.as_raw_fd(),
        }
    }
}

pub struct Wire {
    stream: Arc<Stream>,
    /// From the handshake on, everything goes through it.
    tls: Option<Box<ServerConnection>>,
    /// Where what comes is put first, so that a buffer for all that may come is not made for each message.
    arrival: Option<Box<[u8; READ_BYTES]>>,
    /// How long [`Wire::fill`] waits.
    linger: Duration,
    pub input: BytesMut,
    pub output: BytesMut,
}

impl Wire {
    /// Take over an accepted socket; it becomes blocking with a read timeout of `linger`.
    pub fn new(stream: Stream, linger: Duration) -> io::Result<Wire> {
        stream.prepare(linger)?;
        Ok(Wire {
            stream: Arc::new(stream),
            tls: None,
            arrival: None,
            linger,
            input: BytesMut::new(),
            output: BytesMut::new(),
        })
    }

    pub fn stream(&self) -> &Arc<Stream> {
        &self.stream
    }

    /// The state of TLS, if it is spoken.
    pub fn tls(&self) -> Option<&ServerConnection> {
        self.tls.as_deref()
    }

    /// Speak TLS from now on. What has come already is the beginning of the handshake.
    pub fn encrypt(&mut self, tls: ServerConnection) -> io::Result<()> {
        let begun = self.input.split();
        let mut begun = &begun[..];
        let tls = self.tls.insert(Box::new(tls));
        while !begun.is_empty() {
            tls.read_tls(&mut begun)?;
            process(tls, &self.stream)?;
        }
        Ok(())
    }

    /// From now on wait so long for input.
    pub fn linger(&mut self, linger: Duration) -> io::Result<()> {
        if self.linger != linger {
            self.stream.set_read_timeout(linger)?;
            self.linger = linger;
        }
        Ok(())
    }

    /// Wait for more input.
    pub fn fill(&mut self) -> io::Result<Filled> {
        // Doubling follows what arrived, so a frame's claimed length costs nothing.
        let room = self.input.len().min(1 << 20);
        let outcome = match room > READ_BYTES {
            true => {
                let filled = self.input.len();
                self.input.resize(filled + room, 0);
                let outcome = read(&mut self.tls, &self.stream, &mut self.input[filled..]);
                let count = outcome.as_ref().map_or(0, |count| count.unwrap_or(0));
                self.input.truncate(filled + count);
                outcome
            }
            false => {
                let arrival = self
                    .arrival
                    .get_or_insert_with(|| Box::new([0; READ_BYTES]));
                let outcome = read(&mut self.tls, &self.stream, &mut arrival[..]);
                if let Ok(Some(count)) = outcome {
                    self.input.extend_from_slice(&arrival[..count]);
                }
                outcome
            }
        };
        match outcome {
            Ok(Some(0)) => Ok(Filled::Closed),
            Ok(_) => Ok(Filled::Data),
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
                ) =>
            {
                Ok(Filled::Quiet)
            }
            Err(error) => Err(error),
        }
    }

    /// Whether nothing that came is left in the state of TLS, so that only the socket can bring more.
    pub fn is_drained(&mut self) -> bool {
        let Some(tls) = &mut self.tls else {
            return true;
        };
        let left = tls.process_new_packets();
        left.is_ok_and(|left| left.plaintext_bytes_to_read() == 0)
    }

    /// Write all gathered output.
    pub fn flush(&mut self) -> io::Result<()> {
        if !self.output.is_empty() {
            let written = match &mut self.tls {
                None => (&*self.stream).write_all(&self.output),
                Some(tls) => write_encrypted(tls, &self.stream, &self.output),
            };
            // What could not be written is not tried again when the connection ends for it.
            self.output.clear();
            written?;
            if self.output.capacity() > KEEP_BYTES_MAX {
                self.output = BytesMut::new();
            }
        }
        Ok(())
    }

    /// Write all gathered output, which was the last: without such an end, a client of TLS cannot know that
    /// nobody cut it off.
    pub fn finish(&mut self) -> io::Result<()> {
        self.flush()?;
        if let Some(tls) = &mut self.tls {
            tls.send_close_notify();
            send(tls, &self.stream)?;
        }
        Ok(())
    }

    /// Write if much has gathered.
    pub fn flush_if_full(&mut self) -> io::Result<()> {
        if self.output.len() >= FLUSH_BYTES {
            self.flush()
        } else {
            Ok(())
        }
    }

    /// Give memory back before a wait of unknown length.
    pub fn rest(&mut self) {
        self.arrival = None;
        if self.input.is_empty() {
            self.input = BytesMut::new();
        }
        if self.output.is_empty() {
            self.output = BytesMut::new();
        }
    }
}

/// Bytes that the client sent; 0 at their end, `None` if what came was TLS's own.
fn read(
    tls: &mut Option<Box<ServerConnection>>,
    stream: &Stream,
    into: &mut [u8],
) -> io::Result<Option<usize>> {
    loop {
        let mut socket = stream;
        let read = match tls {
            None => socket.read(into).map(Some),
            Some(tls) => read_decrypted(tls, stream, into),
        };
        match read {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}

/// Bytes that the client sent, in the clear; 0 at their end. The socket is read at most once, so that whoever
/// sends records without content holds nobody here; `None` if that brought nothing in the clear.
fn read_decrypted(
    tls: &mut ServerConnection,
    stream: &Stream,
    into: &mut [u8],
) -> io::Result<Option<usize>> {
    if let Some(count) = take_decrypted(tls, into)? {
        return Ok(Some(count));
    }
    let mut socket = stream;
    if tls.read_tls(&mut socket)? == 0 {
        return Ok(Some(0));
    }
    process(tls, stream)?;
    take_decrypted(tls, into)
}

/// Bytes in the clear that are there; 0 at their end, `None` if there are none.
fn take_decrypted(tls: &mut ServerConnection, into: &mut [u8]) -> io::Result<Option<usize>> {
    match tls.reader().read(into) {
        Ok(count) => Ok(Some(count)),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
        // A client that is gone without a word is gone all the same.
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(Some(0)),
        Err(error) => Err(error),
    }
}

/// Take in records that have come, and send what they are answered with; the alert, if they are wrong.
fn process(tls: &mut ServerConnection, stream: &Stream) -> io::Result<()> {
    let processed = tls.process_new_packets();
    let sent = send(tls, stream);
    match processed {
        Ok(_) => sent,
        Err(error) => {
            tracing::debug!(%error, "a client does not speak TLS as this server does");
            Err(io::Error::new(io::ErrorKind::InvalidData, error))
        }
    }
}

fn write_encrypted(
    tls: &mut ServerConnection,
    stream: &Stream,
    mut bytes: &[u8],
) -> io::Result<()> {
    while !bytes.is_empty() {
        match tls.writer().write(bytes)? {
            // Before the end of the handshake only so much is kept.
            0 => return Err(io::ErrorKind::WriteZero.into()),
            taken => bytes = &bytes[taken..],
        }
        send(tls, stream)?;
    }
    Ok(())
}

fn send(tls: &mut ServerConnection, stream: &Stream) -> io::Result<()> {
    let mut socket = stream;
    while tls.wants_write() {
        tls.write_tls(&mut socket)
            .map_err(|error| match error.kind() {
                // Where this is called to read, it would look as if the client were quiet.
                io::ErrorKind::WouldBlock => io::ErrorKind::BrokenPipe.into(),
                _ => error,
            })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    /// A client whose machine was switched off is noticed, and one that reads nothing is not waited for
    /// until it is known.
    #[test]
    fn an_accepted_socket_does_not_wait_for_ever() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let _client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (accepted, _) = listener.accept().unwrap();
        let wire = Wire::new(Stream::Tcp(accepted), Duration::from_millis(50)).unwrap();
        let Stream::Tcp(stream) = &**wire.stream() else {
            panic!("another kind of socket");
        };
        assert!(SockRef::from(stream).keepalive().unwrap());
        assert_eq!(
            stream.write_timeout().unwrap(),
            Some(STRANGER_WRITE_TIMEOUT)
        );
        wire.stream().trust().unwrap();
        assert_eq!(stream.write_timeout().unwrap(), None);
    }
}
