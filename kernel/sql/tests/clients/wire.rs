//! PostgreSQL's protocol from the side of a client, as far as the recorded clients use it: a simple query, an
//! unnamed statement with its parameters as text, and rows for COPY.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

use super::answer::{Answer, Column};

pub struct Wire {
    stream: UnixStream,
}

impl Wire {
    pub fn connect(socket: &Path, user: &str, database: &str) -> Wire {
        let stream = UnixStream::connect(socket.join(".s.PGSQL.5432")).unwrap();
        let mut wire = Wire { stream };
        let mut startup = 196_608_i32.to_be_bytes().to_vec();
        for word in ["user", user, "database", database, ""] {
            put_text(&mut startup, word);
        }
        wire.send_body(&startup);
        let greeting = wire.answer(&[]);
        assert!(greeting.error.is_none(), "{greeting:?}");
        wire
    }

    pub fn simple(&mut self, sql: &str, copy: &[u8]) -> Answer {
        let mut body = Vec::new();
        put_text(&mut body, sql);
        self.send(b'Q', &body);
        self.answer(copy)
    }

    pub fn extended(&mut self, sql: &str, values: &[String]) -> Answer {
        let mut parse = vec![0];
        put_text(&mut parse, sql);
        parse.extend([0, 0]);
        let mut bind = vec![0, 0, 0, 0];
        bind.extend(i16::try_from(values.len()).unwrap().to_be_bytes());
        for value in values {
            bind.extend(i32::try_from(value.len()).unwrap().to_be_bytes());
            bind.extend(value.as_bytes());
        }
        bind.extend([0, 0]);
        self.send(b'P', &parse);
        self.send(b'D', b"S\0");
        self.send(b'B', &bind);
        self.send(b'E', &[0; 5]);
        self.send(b'S', &[]);
        self.answer(&[])
    }

    fn send(&mut self, kind: u8, body: &[u8]) {
        self.stream.write_all(&[kind]).unwrap();
        self.send_body(body);
    }

    fn send_body(&mut self, body: &[u8]) {
        let length = i32::try_from(body.len() + 4).unwrap();
        self.stream.write_all(&length.to_be_bytes()).unwrap();
        self.stream.write_all(body).unwrap();
    }

    fn message(&mut self) -> (u8, Vec<u8>) {
        let mut head = [0; 5];
        self.stream.read_exact(&mut head).unwrap();
        let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
        let mut body = vec![0; length - 4];
        self.stream.read_exact(&mut body).unwrap();
        (head[0], body)
    }

    /// Everything up to the server being ready for the next query.
    fn answer(&mut self, copy: &[u8]) -> Answer {
        let mut answer = Answer::default();
        loop {
            let (kind, body) = self.message();
            let mut body = Body(&body);
            match kind {
                b'Z' => return answer,
                b'E' => _ = answer.error.get_or_insert_with(|| body.error()),
                b'T' => answer.columns.extend(body.columns()),
                b't' => answer.parameters = body.parameters(),
                b'D' => answer.rows.push(body.row()),
                b'C' => answer.tags.push(body.text()),
                b'G' => {
                    self.send(b'd', copy);
                    self.send(b'c', &[]);
                }
                _ => {}
            }
        }
    }
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    out.extend(text.as_bytes());
    out.push(0);
}

/// What is left of a message.
struct Body<'a>(&'a [u8]);

impl Body<'_> {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        let (taken, rest) = self.0.split_first_chunk().unwrap();
        self.0 = rest;
        *taken
    }

    fn int2(&mut self) -> i16 {
        i16::from_be_bytes(self.take())
    }

    fn int4(&mut self) -> i32 {
        i32::from_be_bytes(self.take())
    }

    fn oid(&mut self) -> u32 {
        u32::from_be_bytes(self.take())
    }

    fn text(&mut self) -> String {
        let end = self.0.iter().position(|b| *b == 0).unwrap();
        let text = String::from_utf8(self.0[..end].to_vec()).unwrap();
        self.0 = &self.0[end + 1..];
        text
    }

    /// SQLSTATE and message.
    fn error(&mut self) -> (String, String) {
        let (mut code, mut message) = (String::new(), String::new());
        loop {
            match self.take::<1>()[0] {
                0 => return (code, message),
                b'C' => code = self.text(),
                b'M' => message = self.text(),
                _ => _ = self.text(),
            }
        }
    }

    fn columns(&mut self) -> Vec<Column> {
        let count = self.int2();
        let mut column = || {
            let name = self.text();
            let (_table, _attnum) = (self.oid(), self.int2());
            let (ty, _length) = (self.oid(), self.int2());
            let (typmod, _format) = (self.int4(), self.int2());
            Column { name, ty, typmod }
        };
        (0..count).map(|_| column()).collect()
    }

    fn parameters(&mut self) -> Vec<u32> {
        let count = self.int2();
        (0..count).map(|_| self.oid()).collect()
    }

    fn row(&mut self) -> Vec<Option<String>> {
        let count = self.int2();
        let mut value = || {
            let length = usize::try_from(self.int4()).ok()?;
            let (value, rest) = self.0.split_at(length);
            self.0 = rest;
            Some(String::from_utf8(value.to_vec()).unwrap())
        };
        (0..count).map(|_| value()).collect()
    }
}
