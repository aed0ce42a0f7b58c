//! A dump as a stream that somebody reads at their own speed.
//!
//! A thread of the instance writes, the session's thread reads, and [`CHUNKS`] chunks lie between them:
//! a reader that is slow makes the writer wait, and memory stays bounded. The writer ends
//!
//! 1. with the dump, or with the error that it then hands over;
//! 2. when the statement is canceled or its time is over: the reader sees that within [`CANCEL_POLL`],
//!    also while it waits, and cancels the writer;
//! 3. when the stream is dropped, as when the client goes away: its next chunk has no taker, and a
//!    long stretch without one sees that it was canceled.

use std::io::{self, ErrorKind, Write};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender};
use std::time::Duration;

use heliosdb_dump::{ExportOptions, Silent};
use heliosdb_storage::Interrupt;

use super::export::Source;
use crate::error::{Result, SqlError};
use crate::instance::Instance;
use crate::session::counted::Measured;
use crate::session::timeout::StatementTimer;

const CHUNK_BYTES: usize = 64 << 10;
const CHUNKS: usize = 8;
const CANCEL_POLL: Duration = Duration::from_millis(20);

enum Message {
    Chunk(Vec<u8>),
    /// The last one.
    End(Result<()>),
}

/// The reader's end.
pub(crate) struct ExportStream {
    /// `None` after the last message.
    messages: Option<Receiver<Message>>,
    /// The statement's.
    interrupt: Arc<Interrupt>,
    /// The writer's.
    stop: Arc<Interrupt>,
    bytes: u64,
    /// Branches that the dump is without, in words.
    pub branches_left_out: Option<String>,
    /// The statement's timeout.
    pub guard: Option<StatementTimer>,
    /// What counts the statement at the end.
    pub measured: Option<Box<Measured>>,
}

impl ExportStream {
    /// Takes the view and starts to write. `options.interrupt` is the statement's.
    pub fn start(instance: &Arc<Instance>, options: ExportOptions) -> Result<ExportStream> {
        let source = Source::new(instance, &options)?;
        let branches_left_out = source.branches_left_out();
        let (sender, messages) = mpsc::sync_channel(CHUNKS);
        let stop = Interrupt::new();
        let interrupt = options.interrupt;
        let options = ExportOptions {
            interrupt: stop.clone(),
            ..options
        };
        instance.handle().spawn_blocking(move || {
            let mut chunks = Chunks {
                sender,
                chunk: Vec::new(),
            };
            let written = source.write(&mut chunks, &options, &Silent);
            let written = written.and_then(|_| chunks.flush().map_err(SqlError::internal));
            // Nobody is told when nobody listens.
            let _ = chunks.sender.send(Message::End(written));
        });
        Ok(ExportStream {
            messages: Some(messages),
            interrupt,
            stop,
            bytes: 0,
            branches_left_out,
            guard: None,
            measured: None,
        })
    }

    /// The next bytes, or `None` at the end. Blocks.
    pub fn next(&mut self) -> Result<Option<Vec<u8>>> {
        let Some(mut measured) = self.measured.take() else {
            return self.receive();
        };
        let begun = measured.clock();
        let next = self.receive();
        measured.add(measured.clock().saturating_sub(begun), 0);
        match &next {
            Ok(Some(_)) => self.measured = Some(measured),
            Ok(None) => {}
            Err(error) => measured.fail(error),
        }
        next
    }

    fn receive(&mut self) -> Result<Option<Vec<u8>>> {
        let Some(messages) = &self.messages else {
            return Ok(None);
        };
        let end = loop {
            if let Err(canceled) = self.interrupt.check() {
                break Err(canceled.into());
            }
            match messages.recv_timeout(CANCEL_POLL) {
                Ok(Message::Chunk(chunk)) => {
                    self.bytes += chunk.len() as u64;
                    return Ok(Some(chunk));
                }
                Ok(Message::End(end)) => break end,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    break Err(SqlError::internal("the export ended early"));
                }
            }
        };
        let timer = self.end();
        match (end, timer) {
            (Ok(()), _) => Ok(None),
            (Err(e), Some(timer)) => Err(timer.explain(e)),
            (Err(e), None) => Err(e),
        }
    }

    /// How many bytes were read so far.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    fn end(&mut self) -> Option<StatementTimer> {
        self.stop.cancel();
        self.messages = None;
        self.guard.take()
    }
}

impl Drop for ExportStream {
    fn drop(&mut self) {
        self.end();
    }
}

/// The writer's end: gathers what is written into chunks.
struct Chunks {
    sender: SyncSender<Message>,
    chunk: Vec<u8>,
}

impl Write for Chunks {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = CHUNK_BYTES - self.chunk.len();
        let taken = bytes.len().min(room);
        self.chunk.extend_from_slice(&bytes[..taken]);
        if self.chunk.len() == CHUNK_BYTES {
            self.flush()?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.chunk.is_empty() {
            return Ok(());
        }
        let chunk = std::mem::take(&mut self.chunk);
        let gone = |_| io::Error::new(ErrorKind::BrokenPipe, "nobody reads the dump any more");
        self.sender.send(Message::Chunk(chunk)).map_err(gone)
    }
}
