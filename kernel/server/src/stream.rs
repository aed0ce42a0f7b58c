//! One client's socket with its two buffers, used by the one thread that serves it at the moment.
//!
//! Reading blocks for a short while only ([`Wire::fill`]), so that a connection which goes quiet
//! can give its thread back; writing blocks until the client takes the bytes. An idle connection
//! holds no buffer at all.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;

/// Output is written when this much has gathered, and at every point where the client may wait.
const FLUSH_BYTES: usize = 64 << 10;
/// How much is read at a time.
const READ_BYTES: usize = 16 << 10;
/// Buffers above this size are given back once they are empty.
const KEEP_BYTES_MAX: usize = 256 << 10;

/// What waiting for input brought.
#[derive(Debug, PartialEq, Eq)]
pub enum Filled {
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
    fn prepare(&self, linger: Duration) -> io::Result<()> {
        match self {
            Stream::Tcp(stream) => {
                stream.set_nonblocking(false)?;
                stream.set_nodelay(true)?;
                stream.set_read_timeout(Some(linger))
            }
            Stream::Unix(stream) => {
                stream.set_nonblocking(false)?;
                stream.set_read_timeout(Some(linger))
            }
        }
    }

    /// Break the connection under whoever reads or writes it.
    pub fn disconnect(&self) -> io::Result<()> {
        match self {
            Stream::Tcp(stream) => stream.shutdown(Shutdown::Both),
            Stream::Unix(stream) => stream.shutdown(Shutdown::Both),
        }
    }

    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => (&*stream).read(buffer),
            Stream::Unix(stream) => (&*stream).read(buffer),
        }
    }

    fn write_all(&self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Stream::Tcp(stream) => (&*stream).write_all(bytes),
            Stream::Unix(stream) => (&*stream).write_all(bytes),
        }
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
    pub input: BytesMut,
    pub output: BytesMut,
}

impl Wire {
    /// Take over an accepted socket; it becomes blocking with a read timeout of `linger`.
    pub fn new(stream: Stream, linger: Duration) -> io::Result<Wire> {
        stream.prepare(linger)?;
        Ok(Wire {
            stream: Arc::new(stream),
            input: BytesMut::new(),
            output: BytesMut::new(),
        })
    }

    pub fn stream(&self) -> &Arc<Stream> {
        &self.stream
    }

    /// Wait for more input.
    pub fn fill(&mut self) -> io::Result<Filled> {
        let filled = self.input.len();
        // Doubling follows what arrived, so a frame's claimed length costs nothing.
        let room = READ_BYTES.max(filled.min(1 << 20));
        self.input.resize(filled + room, 0);
        let outcome = loop {
            match self.stream.read(&mut self.input[filled..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other,
            }
        };
        let count = *outcome.as_ref().unwrap_or(&0);
        self.input.truncate(filled + count);
        match outcome {
            Ok(0) => Ok(Filled::Closed),
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

    /// Write all gathered output.
    pub fn flush(&mut self) -> io::Result<()> {
        if !self.output.is_empty() {
            self.stream.write_all(&self.output)?;
            self.output.clear();
            if self.output.capacity() > KEEP_BYTES_MAX {
                self.output = BytesMut::new();
            }
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
        if self.input.is_empty() {
            self.input = BytesMut::new();
        }
        if self.output.is_empty() {
            self.output = BytesMut::new();
        }
    }
}
