//! A client that sends any bytes and reads whole messages.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// A message from the server: its type byte and body.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    pub kind: u8,
    pub body: Vec<u8>,
}

pub struct Raw {
    pub stream: TcpStream,
}

/// A message as bytes.
pub fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut out = vec![kind];
    out.extend((body.len() as u32 + 4).to_be_bytes());
    out.extend(body);
    out
}

/// Asks for TLS, and for GSSAPI.
pub const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];
pub const GSS_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 48];

pub fn startup_packet(parameters: &[(&str, &str)]) -> Vec<u8> {
    let mut body = vec![0, 3, 0, 0];
    for (name, value) in parameters {
        body.extend(name.bytes().chain([0]).chain(value.bytes()).chain([0]));
    }
    body.push(0);
    let mut out = (body.len() as u32 + 4).to_be_bytes().to_vec();
    out.extend(body);
    out
}

pub fn query(sql: &str) -> Vec<u8> {
    message(b'Q', format!("{sql}\0").as_bytes())
}

pub fn parse(name: &str, sql: &str) -> Vec<u8> {
    message(b'P', format!("{name}\0{sql}\0\0\0").as_bytes())
}

/// Bind without parameters, text results.
pub fn bind(portal: &str, statement: &str) -> Vec<u8> {
    message(
        b'B',
        format!("{portal}\0{statement}\0\0\0\0\0\0\0").as_bytes(),
    )
}

pub fn describe_portal(name: &str) -> Vec<u8> {
    message(b'D', format!("P{name}\0").as_bytes())
}

pub fn describe_statement(name: &str) -> Vec<u8> {
    message(b'D', format!("S{name}\0").as_bytes())
}

pub fn close_portal(name: &str) -> Vec<u8> {
    message(b'C', format!("P{name}\0").as_bytes())
}

pub fn execute(portal: &str, max_rows: u32) -> Vec<u8> {
    let mut body = portal.as_bytes().to_vec();
    body.push(0);
    body.extend(max_rows.to_be_bytes());
    message(b'E', &body)
}

pub fn sync() -> Vec<u8> {
    message(b'S', b"")
}

impl Raw {
    /// Connect without saying anything.
    pub fn silent(address: SocketAddr) -> Raw {
        let stream = TcpStream::connect(address).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        Raw { stream }
    }

    /// Connect as the first role and read up to the first ReadyForQuery.
    pub fn ready(address: SocketAddr) -> Raw {
        Raw::ready_with_key(address).0
    }

    /// Also the process id and the secret for cancelling.
    pub fn ready_with_key(address: SocketAddr) -> (Raw, [u8; 8]) {
        let mut raw = Raw::silent(address);
        raw.send(&startup_packet(&[
            ("user", "helios"),
            ("database", "helios"),
        ]));
        let messages = raw.until_ready();
        let key = messages.iter().find(|m| m.kind == b'K').unwrap();
        let key = key.body.as_slice().try_into().unwrap();
        (raw, key)
    }

    pub fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// The next message, or `None` when the server has closed the connection.
    pub fn next(&mut self) -> Option<Message> {
        let mut head = [0; 5];
        match self.stream.read_exact(&mut head) {
            Ok(()) => {}
            Err(e) if matches!(e.kind(), std::io::ErrorKind::WouldBlock) => {
                panic!("the server did not answer")
            }
            Err(_) => return None,
        }
        let length = u32::from_be_bytes(head[1..].try_into().unwrap()) as usize;
        let mut body = vec![0; length - 4];
        self.stream.read_exact(&mut body).ok()?;
        Some(Message {
            kind: head[0],
            body,
        })
    }

    pub fn until_ready(&mut self) -> Vec<Message> {
        let mut messages = Vec::new();
        loop {
            let next = self
                .next()
                .unwrap_or_else(|| panic!("closed after {messages:?}"));
            let ready = next.kind == b'Z';
            messages.push(next);
            if ready {
                return messages;
            }
        }
    }

    /// Everything up to the end of the connection.
    pub fn until_closed(&mut self) -> Vec<Message> {
        std::iter::from_fn(|| self.next()).collect()
    }

    /// Send, then read to ReadyForQuery; the answers in short form, see [`shown`].
    pub fn ask(&mut self, bytes: &[u8]) -> String {
        self.send(bytes);
        shown(&self.until_ready())
    }
}

impl Message {
    /// A field of an ErrorResponse or NoticeResponse.
    pub fn field(&self, code: u8) -> Option<String> {
        self.body
            .split(|b| *b == 0)
            .find(|field| field.first() == Some(&code))
            .map(|field| String::from_utf8_lossy(&field[1..]).into_owned())
    }
}

/// Messages in one line: type letters; with the SQLSTATE of errors, the tag of completions, the
/// first column of rows and the status of ReadyForQuery.
pub fn shown(messages: &[Message]) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    messages
        .iter()
        .filter(|m| !matches!(m.kind, b'S' | b'N'))
        .map(|m| match m.kind {
            b'E' => format!("E({})", m.field(b'C').unwrap_or_default()),
            b'C' => format!("C({})", text(&m.body[..m.body.len() - 1])),
            b'D' if m.body[2..6] == [0xff; 4] => "D(NULL)".to_owned(),
            b'D' => {
                let length = u32::from_be_bytes(m.body[2..6].try_into().unwrap()) as usize;
                format!("D({})", text(&m.body[6..6 + length]))
            }
            b'Z' => format!("Z({})", text(&m.body)),
            kind => char::from(kind).to_string(),
        })
        .collect::<Vec<_>>()
        .join(" ")
}
