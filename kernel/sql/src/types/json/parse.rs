//! The one reader of JSON texts (RFC 8259), for `json` and `jsonb`.
//!
//! It follows PostgreSQL's `jsonapi.c` in what it refuses and in how it says so, which is why it looks
//! one token ahead: a malformed token is reported before the place where it stands. What becomes of
//! the parts is up to a [`FromJson`].

use crate::error::{Result, SqlError, SqlState, state};

/// Nesting allowed. PostgreSQL stops where its stack ends, some thousands deep. Reading needs no stack
/// here, but what is made of a document is printed and dropped recursively, on smaller ones.
const DEPTH_MAX: usize = 400;

/// What is made of a document while it is read. `text` is the part as it is written.
pub trait FromJson<'a>: Sized {
    fn scalar(text: &'a str, scalar: Scalar) -> Result<Self>;
    fn array(text: &'a str, items: Vec<Self>) -> Self;
    fn object(text: &'a str, members: Vec<(String, Self)>) -> Self;
}

pub enum Scalar {
    Null,
    Bool(bool),
    Number,
    String(String),
}

/// What to do with the contents of strings and keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strings {
    /// Read them, and refuse escapes that stand for no character: `\u0000`, half a surrogate pair.
    Decode,
    /// Check their syntax and give empty ones.
    Skip,
}

/// Reads a whole document.
pub fn parse<'a, T: FromJson<'a>>(text: &'a str, strings: Strings) -> Result<T> {
    let mut p = Parser {
        text,
        strings,
        token: Token::End,
        start: 0,
        end: 0,
        string: String::new(),
    };
    p.advance()?;
    let value = p.value()?;
    match p.token {
        Token::End => Ok(value),
        _ => Err(p.expected("end of input")),
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token {
    End,
    Punctuation(u8),
    String,
    Number,
    True,
    False,
    Null,
}

struct Parser<'a> {
    text: &'a str,
    strings: Strings,
    /// The token that is next, and where it stands.
    token: Token,
    start: usize,
    end: usize,
    /// The contents of the next token, if it is a string.
    string: String,
}

/// An array or object that has begun: where, what is in it so far, and the key of what comes next.
enum Open<T> {
    Array(usize, Vec<T>),
    Object(usize, Vec<(String, T)>, String),
}

fn error(detail: String) -> SqlError {
    SqlError::new(
        state::INVALID_TEXT_REPRESENTATION,
        "invalid input syntax for type json",
    )
    .with_detail(detail)
}

fn is_word(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b == b'_' || b >= 0x80
}

impl<'a> Parser<'a> {
    fn is_next(&self, punctuation: u8) -> bool {
        self.token == Token::Punctuation(punctuation)
    }

    /// What stood there is not what can stand there.
    fn expected(&self, what: &str) -> SqlError {
        if self.token == Token::End {
            return error("The input string ended unexpectedly.".into());
        }
        let found = &self.text[self.start..self.end];
        error(format!("Expected {what}, but found \"{found}\"."))
    }

    /// Reads a value and all in it. What is open is kept in a list rather than on the stack.
    fn value<T: FromJson<'a>>(&mut self) -> Result<T> {
        let mut open: Vec<Open<T>> = Vec::new();
        loop {
            if open.len() > DEPTH_MAX {
                return Err(SqlError::new(
                    SqlState::new("54001"),
                    "stack depth limit exceeded",
                ));
            }
            let start = self.start;
            let begun = match self.token {
                Token::Punctuation(b'[') => {
                    self.advance()?;
                    Some(Open::Array(start, Vec::new())).filter(|_| !self.is_next(b']'))
                }
                Token::Punctuation(b'{') => {
                    self.advance()?;
                    match self.token {
                        Token::String => Some(Open::Object(start, Vec::new(), self.key()?)),
                        Token::Punctuation(b'}') => None,
                        _ => return Err(self.expected("string or \"}\"")),
                    }
                }
                _ => None,
            };
            if let Some(begun) = begun {
                open.push(begun);
                continue;
            }
            let mut value = match self.token {
                Token::Punctuation(b']') if self.start > start => {
                    T::array(self.since(start), Vec::new())
                }
                Token::Punctuation(b'}') if self.start > start => {
                    T::object(self.since(start), Vec::new())
                }
                _ => self.scalar()?,
            };
            self.advance()?;
            // The value may be the last of what it stands in, and that of what it stands in.
            loop {
                let Some(outer) = open.pop() else {
                    return Ok(value);
                };
                match outer {
                    Open::Array(start, mut items) => {
                        items.push(value);
                        if self.is_next(b',') {
                            self.advance()?;
                            open.push(Open::Array(start, items));
                            break;
                        }
                        if !self.is_next(b']') {
                            return Err(self.expected("\",\" or \"]\""));
                        }
                        value = T::array(self.since(start), items);
                    }
                    Open::Object(start, mut members, key) => {
                        members.push((key, value));
                        if self.is_next(b',') {
                            self.advance()?;
                            let key = self.key()?;
                            open.push(Open::Object(start, members, key));
                            break;
                        }
                        if !self.is_next(b'}') {
                            return Err(self.expected("\",\" or \"}\""));
                        }
                        value = T::object(self.since(start), members);
                    }
                }
                self.advance()?;
            }
        }
    }

    /// The text from `start` to the end of the next token.
    fn since(&self, start: usize) -> &'a str {
        &self.text[start..self.end]
    }

    fn scalar<T: FromJson<'a>>(&mut self) -> Result<T> {
        let scalar = match self.token {
            Token::String => Scalar::String(std::mem::take(&mut self.string)),
            Token::Number => Scalar::Number,
            Token::True => Scalar::Bool(true),
            Token::False => Scalar::Bool(false),
            Token::Null => Scalar::Null,
            Token::End | Token::Punctuation(_) => return Err(self.expected("JSON value")),
        };
        T::scalar(self.since(self.start), scalar)
    }

    /// Reads a key and the colon after it.
    fn key(&mut self) -> Result<String> {
        if self.token != Token::String {
            return Err(self.expected("string"));
        }
        let key = std::mem::take(&mut self.string);
        self.advance()?;
        if !self.is_next(b':') {
            return Err(self.expected("\":\""));
        }
        self.advance()?;
        Ok(key)
    }

    /// Reads the token after the next one.
    fn advance(&mut self) -> Result<()> {
        let bytes = self.text.as_bytes();
        let blank = |b: &u8| matches!(b, b' ' | b'\t' | b'\n' | b'\r');
        let mut at = self.end;
        while bytes.get(at).is_some_and(blank) {
            at += 1;
        }
        self.start = at;
        let word = |from: usize| {
            let rest = &bytes[from..];
            from + rest.iter().take_while(|b| is_word(**b)).count()
        };
        (self.token, self.end) = match bytes.get(at) {
            None => (Token::End, at),
            Some(b @ (b'{' | b'}' | b'[' | b']' | b',' | b':')) => (Token::Punctuation(*b), at + 1),
            Some(b'"') => (Token::String, self.string(at + 1)?),
            Some(b'-' | b'0'..=b'9') => {
                let (end, valid) = number(bytes, at);
                // What runs on into letters is one token, and a wrong one.
                if !valid || word(end) > end {
                    return Err(self.invalid(word(end)));
                }
                (Token::Number, end)
            }
            Some(_) => match (&self.text[at..word(at)], word(at)) {
                ("true", end) => (Token::True, end),
                ("false", end) => (Token::False, end),
                ("null", end) => (Token::Null, end),
                // A single character that starts nothing, which is ASCII: others are words.
                ("", end) => return Err(self.invalid(end + 1)),
                (_, end) => return Err(self.invalid(end)),
            },
        };
        Ok(())
    }

    /// The token that starts where the next one does and ends here is none.
    fn invalid(&self, end: usize) -> SqlError {
        let token = &self.text[self.start..end];
        error(format!("Token \"{token}\" is invalid."))
    }

    /// Reads the string whose first character is at `at`, and returns where it ends.
    fn string(&mut self, mut at: usize) -> Result<usize> {
        let bytes = self.text.as_bytes();
        let decode = self.strings == Strings::Decode;
        let mut string = String::new();
        let mut high = None;
        loop {
            let rest = &bytes[at..];
            let plain = rest
                .iter()
                .position(|b| matches!(b, b'"' | b'\\') || *b < 0x20)
                .ok_or_else(|| self.invalid(bytes.len()))?;
            if decode {
                string.push_str(&self.text[at..at + plain]);
            }
            at += plain;
            let escape = bytes[at] == b'\\';
            let low = escape && bytes.get(at + 1) == Some(&b'u');
            if high.is_some() && (plain > 0 || !low) {
                return Err(lone_surrogate());
            }
            match bytes[at] {
                b'"' => {
                    self.string = string;
                    return Ok(at + 1);
                }
                b'\\' => {}
                c => {
                    return Err(error(format!(
                        "Character with value 0x{c:02x} must be escaped."
                    )));
                }
            }
            let Some(kind) = bytes.get(at + 1) else {
                return Err(self.invalid(bytes.len()));
            };
            at += 2;
            let character = match kind {
                b'"' | b'\\' | b'/' => char::from(*kind),
                b'b' => '\u{8}',
                b'f' => '\u{c}',
                b'n' => '\n',
                b'r' => '\r',
                b't' => '\t',
                b'u' => {
                    let code = self.hex(at)?;
                    at += 4;
                    if !decode {
                        continue;
                    }
                    match character(code, high.take())? {
                        Unit::High(unit) => {
                            high = Some(unit);
                            continue;
                        }
                        Unit::Character(c) => c,
                    }
                }
                _ => {
                    let shown = self.text[at - 1..].chars().next().unwrap_or_default();
                    return Err(error(format!("Escape sequence \"\\{shown}\" is invalid.")));
                }
            };
            if decode {
                string.push(character);
            }
        }
    }

    /// The four digits at `at`.
    fn hex(&self, at: usize) -> Result<u32> {
        let rest = &self.text.as_bytes()[at..];
        let digits = rest.iter().take(4);
        let read = digits.clone().take_while(|b| b.is_ascii_hexdigit()).count();
        if read < 4 && read == rest.len() {
            return Err(self.invalid(self.text.len()));
        }
        if read < 4 {
            let detail = "\"\\u\" must be followed by four hexadecimal digits.";
            return Err(error(detail.into()));
        }
        Ok(digits.fold(0, |code, b| {
            code * 16 + char::from(*b).to_digit(16).unwrap_or(0)
        }))
    }
}

/// Where the number at `at` ends, and whether it is one.
fn number(bytes: &[u8], at: usize) -> (usize, bool) {
    let run = |mut at: usize| {
        while bytes.get(at).is_some_and(u8::is_ascii_digit) {
            at += 1;
        }
        at
    };
    let start = at + usize::from(bytes[at] == b'-');
    let (mut end, mut valid) = match bytes.get(start) {
        // No digit follows a zero.
        Some(b'0') => (start + 1, true),
        _ => (run(start), run(start) > start),
    };
    if bytes.get(end) == Some(&b'.') {
        let digits = end + 1;
        end = run(digits);
        valid &= end > digits;
    }
    if matches!(bytes.get(end), Some(b'e' | b'E')) {
        let digits = end + 1 + usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
        end = run(digits);
        valid &= end > digits;
    }
    (end, valid)
}

enum Unit {
    Character(char),
    /// The first half of a surrogate pair.
    High(u32),
}

/// What `\u` and these digits stand for after a first half of a pair, or none.
fn character(code: u32, high: Option<u32>) -> Result<Unit> {
    let character = match (code, high) {
        (0xd800..0xdc00, Some(_)) => {
            let detail = "Unicode high surrogate must not follow a high surrogate.";
            return Err(error(detail.into()));
        }
        (0xd800..0xdc00, None) => return Ok(Unit::High(code)),
        (0xdc00..0xe000, Some(high)) => {
            char::from_u32(0x10000 + ((high - 0xd800) << 10) + (code - 0xdc00))
        }
        (0, None) => {
            let code = SqlState::new("22P05");
            let error = SqlError::new(code, "unsupported Unicode escape sequence");
            return Err(error.with_detail("\\u0000 cannot be converted to text."));
        }
        (code, None) => char::from_u32(code),
        (_, Some(_)) => None,
    };
    character.map(Unit::Character).ok_or_else(lone_surrogate)
}

fn lone_surrogate() -> SqlError {
    error("Unicode low surrogate must follow a high surrogate.".into())
}
