//! RFC 8259 into a [`Tape`], without recursion.

use super::{Document, Entry, Kind, Tape, name_order};
use crate::error::{self, Error, Result};

/// Parses texts one after the other, in the same memory.
#[derive(Debug, Default)]
pub struct Parser {
    tape: Tape,
    /// Arrays and objects that are open.
    open: Vec<Open>,
    /// Children of those, the innermost last.
    pending: Vec<u32>,
}

#[derive(Debug)]
struct Open {
    node: u32,
    /// Where its children begin in `pending`.
    first: usize,
    object: bool,
}

impl Parser {
    pub fn new() -> Parser {
        Parser::default()
    }

    /// Checks `text` and lays it out. Refused: what is no JSON (22P02), nesting over `depth_max`
    /// (54001), texts of 4 GiB and more (54000).
    pub fn parse<'a>(&'a mut self, text: &'a str, depth_max: usize) -> Result<Document<'a>> {
        if u32::try_from(text.len()).is_err() {
            return Err(error::Kind::TooLarge.error("JSON document is too large"));
        }
        self.tape.nodes.clear();
        self.tape.children.clear();
        self.tape.decoded.clear();
        self.open.clear();
        self.pending.clear();
        Scan {
            text,
            bytes: text.as_bytes(),
            at: 0,
            depth_max,
            parser: self,
        }
        .document()?;
        Ok(Document {
            text,
            tape: &self.tape,
            watch: None,
        })
    }
}

struct Scan<'s> {
    text: &'s str,
    bytes: &'s [u8],
    at: usize,
    depth_max: usize,
    parser: &'s mut Parser,
}

impl Scan<'_> {
    fn document(&mut self) -> Result<()> {
        loop {
            // A value begins here; an opened container goes on with its first child.
            if self.value()? {
                continue;
            }
            // A value ended here: close what ends with it.
            loop {
                self.blank();
                let Some(open) = self.parser.open.last() else {
                    return match self.peek() {
                        None => Ok(()),
                        Some(_) => Err(self.unexpected()),
                    };
                };
                match (self.peek(), open.object) {
                    (Some(b','), true) => {
                        self.at += 1;
                        self.name()?;
                        break;
                    }
                    (Some(b','), false) => {
                        self.at += 1;
                        break;
                    }
                    (Some(b'}'), true) | (Some(b']'), false) => {
                        self.at += 1;
                        self.close();
                    }
                    _ => return Err(self.unexpected()),
                }
            }
        }
    }

    /// Reads a value; true if it is a container that has children to come.
    fn value(&mut self) -> Result<bool> {
        self.blank();
        let node = self.next_node();
        if self.parser.open.last().is_some_and(|open| !open.object) {
            self.parser.pending.push(node);
        }
        let start = self.at;
        match self.peek() {
            Some(c @ (b'{' | b'[')) => {
                if self.parser.open.len() >= self.depth_max {
                    return Err(too_deep(self.depth_max));
                }
                self.at += 1;
                let object = c == b'{';
                let kind = if object { Kind::Object } else { Kind::Array };
                self.push(kind, start);
                self.parser.open.push(Open {
                    node,
                    first: self.parser.pending.len(),
                    object,
                });
                self.blank();
                if self.peek() == Some(if object { b'}' } else { b']' }) {
                    self.at += 1;
                    self.close();
                    return Ok(false);
                }
                if object {
                    self.name()?;
                }
                return Ok(true);
            }
            Some(b'"') => self.string()?,
            Some(b'-' | b'0'..=b'9') => self.number()?,
            Some(b't') => self.word("true", Kind::True)?,
            Some(b'f') => self.word("false", Kind::False)?,
            Some(b'n') => self.word("null", Kind::Null)?,
            _ => return Err(self.unexpected()),
        }
        Ok(false)
    }

    fn name(&mut self) -> Result<()> {
        self.blank();
        if self.peek() != Some(b'"') {
            return Err(self.unexpected());
        }
        let node = self.next_node();
        self.parser.pending.push(node);
        self.string()?;
        self.blank();
        if self.peek() != Some(b':') {
            return Err(self.unexpected());
        }
        self.at += 1;
        Ok(())
    }

    fn close(&mut self) {
        let Some(open) = self.parser.open.pop() else {
            return;
        };
        let Parser { tape, pending, .. } = &mut *self.parser;
        if open.object {
            order_members(tape, self.text, &mut *pending, open.first);
        }
        let first = tape.children.len();
        tape.children.extend(pending.drain(open.first..));
        let entry = &mut tape.nodes[open.node as usize];
        entry.end = self.at as u32;
        entry.first = first as u32;
        entry.len = (tape.children.len() - first) as u32;
    }

    fn string(&mut self) -> Result<()> {
        let start = self.at;
        self.at += 1;
        loop {
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    self.push(Kind::String, start);
                    return Ok(());
                }
                Some(b'\\') => return self.escaped_string(start),
                Some(c) if c >= 0x20 => self.at += 1,
                _ => return Err(self.unexpected()),
            }
        }
    }

    /// The rest of a string from its first escape on.
    fn escaped_string(&mut self, start: usize) -> Result<()> {
        let first = self.parser.tape.decoded.len();
        let mut plain = start + 1;
        loop {
            match self.peek() {
                Some(c @ (b'"' | b'\\')) => {
                    self.parser
                        .tape
                        .decoded
                        .push_str(&self.text[plain..self.at]);
                    self.at += 1;
                    if c == b'"' {
                        break;
                    }
                    let decoded = self.escape()?;
                    self.parser.tape.decoded.push(decoded);
                    plain = self.at;
                }
                Some(c) if c >= 0x20 => self.at += 1,
                _ => return Err(self.unexpected()),
            }
        }
        let len = self.parser.tape.decoded.len() - first;
        self.push(Kind::Escaped, start);
        if let Some(entry) = self.parser.tape.nodes.last_mut() {
            entry.first = first as u32;
            entry.len = len as u32;
        }
        Ok(())
    }

    /// What follows a backslash.
    fn escape(&mut self) -> Result<char> {
        let c = self.peek().ok_or_else(|| self.unexpected())?;
        self.at += 1;
        Ok(match c {
            b'"' => '"',
            b'\\' => '\\',
            b'/' => '/',
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => return self.unicode(),
            _ => {
                self.at -= 1;
                return Err(self.unexpected());
            }
        })
    }

    fn unicode(&mut self) -> Result<char> {
        let high = self.hex4()?;
        if (0xd800..0xdc00).contains(&high) && self.bytes[self.at..].starts_with(b"\\u") {
            let back = self.at;
            self.at += 2;
            let low = self.hex4()?;
            if (0xdc00..0xe000).contains(&low) {
                let code = 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
                return Ok(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            self.at = back;
        }
        Ok(char::from_u32(high).unwrap_or(char::REPLACEMENT_CHARACTER))
    }

    fn hex4(&mut self) -> Result<u32> {
        let mut code = 0;
        for _ in 0..4 {
            let digit = self.peek().and_then(|c| (c as char).to_digit(16));
            let digit = digit.ok_or_else(|| self.unexpected())?;
            code = code * 16 + digit;
            self.at += 1;
        }
        Ok(code)
    }

    fn number(&mut self) -> Result<()> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        match self.peek() {
            Some(b'0') => self.at += 1,
            _ => self.digits()?,
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.digits()?;
        }
        self.end_of_token()?;
        self.push(Kind::Number, start);
        Ok(())
    }

    fn digits(&mut self) -> Result<()> {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        if self.at == start {
            return Err(self.unexpected());
        }
        Ok(())
    }

    fn word(&mut self, word: &str, kind: Kind) -> Result<()> {
        let start = self.at;
        if !self.bytes[start..].starts_with(word.as_bytes()) {
            return Err(self.unexpected());
        }
        self.at += word.len();
        self.end_of_token()?;
        self.push(kind, start);
        Ok(())
    }

    /// `nulls` and `01` are no JSON.
    fn end_of_token(&mut self) -> Result<()> {
        match self.peek() {
            Some(c) if c.is_ascii_alphanumeric() || matches!(c, b'_' | b'.' | b'+' | b'-') => {
                Err(self.unexpected())
            }
            _ => Ok(()),
        }
    }

    fn next_node(&self) -> u32 {
        self.parser.tape.nodes.len() as u32
    }

    fn push(&mut self, kind: Kind, start: usize) {
        self.parser.tape.nodes.push(Entry {
            kind,
            start: start as u32,
            end: self.at as u32,
            first: 0,
            len: 0,
        });
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn blank(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    fn unexpected(&self) -> Error {
        let error = error::Kind::InvalidText.error("invalid input syntax for type json");
        match self
            .text
            .get(self.at..)
            .and_then(|rest| rest.chars().next())
        {
            None if self.at >= self.text.len() => {
                error.with_detail("The input string ended unexpectedly.")
            }
            None => error.with_detail(format!("Byte {} is unexpected.", self.at + 1)),
            Some(c) => error.with_detail(format!(
                "Character \"{}\" at byte {} is unexpected.",
                c.escape_debug(),
                self.at + 1
            )),
        }
    }
}

fn too_deep(depth_max: usize) -> Error {
    error::Kind::TooDeep
        .error("stack depth limit exceeded")
        .with_detail(format!(
            "The JSON value is nested deeper than {depth_max} levels."
        ))
}

/// Brings `pending[first..]`, the names of one object, into order and drops names that come again.
fn order_members(tape: &Tape, text: &str, pending: &mut Vec<u32>, first: usize) {
    let name = |at: u32| tape.string(text, at);
    let members = &mut pending[first..];
    let ordered = members
        .windows(2)
        .all(|pair| name_order(name(pair[0]), name(pair[1])).is_lt());
    if ordered {
        return;
    }
    // Stable, so that of equal names the last one written comes last.
    members.sort_by(|a, b| name_order(name(*a), name(*b)));
    let mut kept = first;
    for i in first..pending.len() {
        let again = pending
            .get(i + 1)
            .is_some_and(|next| name(*next) == name(pending[i]));
        if !again {
            pending[kept] = pending[i];
            kept += 1;
        }
    }
    pending.truncate(kept);
}
