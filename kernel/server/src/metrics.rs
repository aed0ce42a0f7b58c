//! The listener of `/metrics`: as much of HTTP/1.1 as Prometheus speaks.
//!
//! A connection is one request and one answer. What a client may cost is bounded: so many connections at the same
//! time, and for each so many bytes and so much time, whatever it sends or does not read. Nothing here waits for a
//! session or takes a thread, so the numbers are there when the server is busy. There is no TLS and nobody
//! is asked who it is; the numbers name no tables and show no data.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;

use crate::connection::Shared;

/// More are closed before they are read.
const CONNECTIONS_MAX: usize = 16;
/// The request line and all headers.
const HEAD_BYTES_MAX: usize = 8 << 10;
/// What is read of one that was refused.
const REST_BYTES_MAX: u64 = 64 << 10;
/// For a whole request to come, and for its answer to be taken.
const PATIENCE: Duration = Duration::from_secs(5);

const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Serves until the server stops.
pub(crate) async fn serve(
    listener: TcpListener,
    shared: Arc<Shared>,
    mut accepting: watch::Receiver<bool>,
) {
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = accepting.wait_for(|accepting| !accepting) => return,
        };
        match accepted {
            Ok((stream, peer)) => {
                let Ok(permit) = Arc::clone(&room).try_acquire_owned() else {
                    continue;
                };
                let shared = Arc::clone(&shared);
                tokio::spawn(async move {
                    answer(stream, peer, &shared).await;
                    drop(permit);
                });
            }
            Err(error) => {
                // Out of descriptors, most likely; the listener itself is fine.
                tracing::warn!(%error, "accepting a connection for /metrics failed");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn answer(mut stream: TcpStream, peer: SocketAddr, shared: &Shared) {
    let answer = match timeout(PATIENCE, read_head(&mut stream)).await {
        Ok(Head::Whole(head)) => respond(&head, shared),
        Ok(Head::TooLong) => Answer::refused("431 Request Header Fields Too Large"),
        Ok(Head::Gone) => return,
        Err(_) => Answer::refused("408 Request Timeout"),
    };
    let sent = timeout(PATIENCE, async {
        stream.write_all(&answer.bytes()).await?;
        stream.shutdown().await?;
        // What was sent and not read would make the system forget the answer.
        let mut rest = (&mut stream).take(REST_BYTES_MAX);
        tokio::io::copy(&mut rest, &mut tokio::io::sink()).await
    });
    if !matches!(sent.await, Ok(Ok(_))) {
        tracing::debug!(%peer, "a client of /metrics did not take its answer");
    }
}

enum Head {
    Whole(Vec<u8>),
    TooLong,
    /// The client left, or its connection failed.
    Gone,
}

/// All up to the empty line; what may follow is nothing that is asked for.
async fn read_head(stream: &mut TcpStream) -> Head {
    let mut head = Vec::new();
    let mut piece = [0; 1024];
    loop {
        match stream.read(&mut piece).await {
            Ok(0) | Err(_) => return Head::Gone,
            Ok(bytes) => head.extend_from_slice(&piece[..bytes]),
        }
        if head.windows(4).any(|end| end == b"\r\n\r\n") {
            return Head::Whole(head);
        }
        if head.len() > HEAD_BYTES_MAX {
            return Head::TooLong;
        }
    }
}

struct Answer {
    status: &'static str,
    header: &'static str,
    body: String,
    /// HEAD is answered without it.
    shows_body: bool,
}

impl Answer {
    fn refused(status: &'static str) -> Answer {
        Answer {
            status,
            header: "",
            body: format!("{status}\n"),
            shows_body: true,
        }
    }

    fn bytes(&self) -> Vec<u8> {
        let mut text = format!(
            "HTTP/1.1 {}\r\nContent-Type: {TEXT}\r\nContent-Length: {}\r\nConnection: close\r\n{}\r\n",
            self.status,
            self.body.len(),
            self.header,
        );
        if self.shows_body {
            text.push_str(&self.body);
        }
        text.into_bytes()
    }
}

fn respond(head: &[u8], shared: &Shared) -> Answer {
    let line = head.split(|b| *b == b'\r').next().unwrap_or_default();
    let words = std::str::from_utf8(line).unwrap_or_default();
    let words: Vec<&str> = words.split(' ').collect();
    let [method, target, version] = words.as_slice() else {
        return Answer::refused("400 Bad Request");
    };
    if !version.starts_with("HTTP/1.") {
        return Answer::refused("505 HTTP Version Not Supported");
    }
    if !matches!(*method, "GET" | "HEAD") {
        return Answer {
            header: "Allow: GET, HEAD\r\n",
            ..Answer::refused("405 Method Not Allowed")
        };
    }
    let path = target.split(['?', '#']).next();
    if path != Some("/metrics") {
        return Answer::refused("404 Not Found");
    }
    Answer {
        status: "200 OK",
        header: "",
        body: numbers(shared),
        shows_body: *method == "GET",
    }
}

/// Those of the database, and the server's own.
fn numbers(shared: &Shared) -> String {
    let mut metrics = shared.instance.metrics();
    metrics.gauge(
        "heliosdb_connections",
        "Connections that have passed their startup packet.",
        shared.registry.len(),
    );
    metrics.gauge(
        "heliosdb_connections_max",
        "Connections that there may be.",
        shared.registry.max(),
    );
    metrics.into_text()
}
