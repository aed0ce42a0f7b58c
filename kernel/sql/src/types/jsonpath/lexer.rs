//! The tokens of a path, as PostgreSQL's `jsonpath_scan.l` has them.
//!
//! Its errors quote what it read last, which is not always the token: a name is known to be over only when what
//! follows it was looked at. [`Token::shown`] is that text, and `None` stands for the end of the input.

use crate::error::{Result, SqlError, state};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    End,
    /// A name without quotes, which may be a keyword.
    Name(String),
    String(String),
    Variable(String),
    Integer(String),
    Numeric(String),
    /// An operator of one or two characters.
    Symbol(&'static str),
}

#[derive(Clone, Debug)]
pub struct Token {
    pub kind: Kind,
    pub shown: Option<String>,
}

pub struct Lexer<'a> {
    text: &'a str,
    at: usize,
}

const SYMBOLS: [&str; 32] = [
    "&&", "||", "**", "<=", "==", "<>", "!=", ">=", "!", "<", ">", "?", "%", "$", ".", "[", "]",
    "{", "}", "(", ")", "|", "&", "=", "@", "#", ",", "*", ":", "-", "+", "/",
];

fn is_blank(b: u8) -> bool {
    matches!(b, b' ' | b'\t' | b'\n' | b'\r' | b'\x0c')
}

/// A character that names are made of.
fn is_other(b: u8) -> bool {
    !is_blank(b) && !b"?%$.[]{}()|&!=<>@#,*:-+/\\\"".contains(&b)
}

/// An error at what was read last.
pub fn error(message: &str, shown: Option<&str>) -> SqlError {
    let place = match shown {
        Some(shown) => format!("at or near \"{shown}\""),
        None => "at end".to_owned(),
    };
    SqlError::new(
        state::SYNTAX_ERROR,
        format!("{message} {place} of jsonpath input"),
    )
}

fn surrogate(detail: &str) -> SqlError {
    let message = "invalid input syntax for type jsonpath";
    SqlError::new(state::INVALID_TEXT_REPRESENTATION, message).with_detail(detail)
}

/// The character of a code point.
fn character(code: u32) -> Result<char> {
    if code == 0 {
        let error = SqlError::new(
            state::UNTRANSLATABLE_CHARACTER,
            "unsupported Unicode escape sequence",
        );
        return Err(error.with_detail("\\u0000 cannot be converted to text."));
    }
    char::from_u32(code)
        .ok_or_else(|| SqlError::new(state::SYNTAX_ERROR, "invalid Unicode code point"))
}

impl<'a> Lexer<'a> {
    pub fn new(text: &'a str) -> Lexer<'a> {
        Lexer { text, at: 0 }
    }

    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// How many bytes from `from` on are such.
    fn run(&self, from: usize, is: impl Fn(u8) -> bool) -> usize {
        let bytes = self.text.as_bytes().get(from..).unwrap_or_default();
        bytes.iter().take_while(|b| is(**b)).count()
    }

    pub fn next(&mut self) -> Result<Token> {
        loop {
            self.at += self.run(self.at, is_blank);
            if !self.rest().starts_with("/*") {
                break;
            }
            self.comment()?;
        }
        let token = |kind, shown: &str| {
            Ok(Token {
                kind,
                shown: Some(shown.to_owned()),
            })
        };
        let Some(first) = self.peek() else {
            return Ok(Token {
                kind: Kind::End,
                shown: None,
            });
        };
        match first {
            b'"' => {
                self.at += 1;
                let text = self.string()?;
                return token(Kind::String(text), "\"");
            }
            b'$' if self.rest().starts_with("$\"") => {
                self.at += 2;
                let text = self.string()?;
                return token(Kind::Variable(text), "\"");
            }
            b'$' => {
                let length = self.run(self.at + 1, is_other);
                if length > 0 {
                    let text = &self.rest()[..=length];
                    self.at += text.len();
                    return token(Kind::Variable(text[1..].to_owned()), text);
                }
            }
            b'0'..=b'9' | b'.' => {
                if let Some(token) = self.number()? {
                    return Ok(token);
                }
            }
            _ => {}
        }
        if first == b'\\' || is_other(first) {
            return self.name();
        }
        for symbol in SYMBOLS {
            if self.rest().starts_with(symbol) {
                self.at += symbol.len();
                return token(Kind::Symbol(symbol), symbol);
            }
        }
        Err(error("syntax error", Some(&self.rest()[..1])))
    }

    fn comment(&mut self) -> Result<()> {
        match self.rest()[2..].find("*/") {
            Some(end) => {
                self.at += end + 4;
                Ok(())
            }
            None => Err(error("unexpected end of comment", None)),
        }
    }

    /// A number, if one starts here: the longest of what could be read, and of those the first.
    fn number(&mut self) -> Result<Option<Token>> {
        let bytes = self.rest().as_bytes();
        let digits = |from: usize| self.run(self.at + from, |b| b.is_ascii_digit());
        // No digit follows a zero.
        let integer = match bytes.first() {
            Some(b'0') => 1,
            _ => digits(0),
        };
        let decimal = match bytes.get(integer) {
            Some(b'.') if integer > 0 => integer + 1 + digits(integer + 1),
            Some(b'.') if digits(1) > 0 => 1 + digits(1),
            _ => 0,
        };
        // The exponent of either, or the beginning of one.
        let exponent = |mantissa: usize| -> (usize, usize) {
            if mantissa == 0 || !matches!(bytes.get(mantissa), Some(b'e' | b'E')) {
                return (0, 0);
            }
            let signed = matches!(bytes.get(mantissa + 1), Some(b'+' | b'-'));
            let start = mantissa + 1 + usize::from(signed);
            match digits(start) {
                0 if signed => (0, start),
                0 => (0, 0),
                some => (start + some, 0),
            }
        };
        let (of_integer, of_decimal) = (exponent(integer), exponent(decimal));
        let real = of_integer.0.max(of_decimal.0);
        let fails = of_integer.1.max(of_decimal.1);
        let junk = |length: usize| match bytes.get(length) {
            // A whole character.
            Some(b) if length > 0 && is_other(*b) => {
                length
                    + self.rest()[length..]
                        .chars()
                        .next()
                        .map_or(0, char::len_utf8)
            }
            _ => 0,
        };
        let word = self.run(self.at, is_other);
        let junk = junk(integer).max(junk(decimal)).max(junk(real));
        let longest = [real, decimal, integer, fails, junk, word];
        let longest = longest.into_iter().max().unwrap_or(0);
        let text = self.rest()[..longest].to_owned();
        let kind = if longest == 0 {
            return Ok(None);
        } else if longest == real || longest == decimal {
            Kind::Numeric(text.clone())
        } else if longest == integer {
            Kind::Integer(text.clone())
        } else if longest == fails {
            return Err(error("invalid numeric literal", Some(&text)));
        } else if longest == junk {
            let message = "trailing junk after numeric literal";
            return Err(error(message, Some(&text)));
        } else {
            return Ok(None);
        };
        self.at += longest;
        Ok(Some(Token {
            kind,
            shown: Some(text),
        }))
    }

    /// A name that ends where something begins that names have not.
    fn name(&mut self) -> Result<Token> {
        let mut name = String::new();
        loop {
            let plain = self.run(self.at, is_other);
            name.push_str(&self.rest()[..plain]);
            self.at += plain;
            match self.peek() {
                Some(b'\\') => self.escape(&mut name)?,
                // A comment takes the name that it ends with it.
                Some(b'/') if self.rest().starts_with("/*") => {
                    self.comment()?;
                    return self.next();
                }
                Some(b) if is_blank(b) => {
                    let blanks = self.run(self.at, is_blank);
                    let shown = Some(self.rest()[..blanks].to_owned());
                    self.at += blanks;
                    let kind = Kind::Name(name);
                    return Ok(Token { kind, shown });
                }
                _ => {
                    let kind = Kind::Name(name);
                    return Ok(Token { kind, shown: None });
                }
            }
        }
    }

    /// What is left of a string whose first quote was read.
    fn string(&mut self) -> Result<String> {
        let mut text = String::new();
        loop {
            let plain = self.run(self.at, |b| !matches!(b, b'"' | b'\\'));
            text.push_str(&self.rest()[..plain]);
            self.at += plain;
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(text);
                }
                Some(_) => self.escape(&mut text)?,
                None => return Err(error("unexpected end of quoted string", None)),
            }
        }
    }

    fn escape(&mut self, out: &mut String) -> Result<()> {
        let mut chars = self.rest().chars();
        chars.next();
        let Some(escaped) = chars.next() else {
            return Err(error("unexpected end after backslash", Some("\\")));
        };
        let plain = match escaped {
            'u' => return self.unicode(out),
            'x' => {
                let digits = self.run(self.at + 2, |b| b.is_ascii_hexdigit()).min(2);
                let text = &self.rest()[..2 + digits];
                if digits < 2 {
                    return Err(error("invalid hex character sequence", Some(text)));
                }
                out.push(character(hex(&text[2..]))?);
                self.at += 4;
                return Ok(());
            }
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'v' => '\u{b}',
            // The rule of the scanner for any other character has no line breaks.
            '\n' => return Err(error("unexpected end after backslash", Some("\\"))),
            other => other,
        };
        out.push(plain);
        self.at += 1 + escaped.len_utf8();
        Ok(())
    }

    /// Escapes of code points, as many as follow one another: two may be one character.
    fn unicode(&mut self, out: &mut String) -> Result<()> {
        let start = self.at;
        let mut high: Option<u32> = None;
        while self.rest().starts_with("\\u") {
            let is_hex = |b: u8| b.is_ascii_hexdigit();
            let (digits, length, whole) = if self.rest().as_bytes().get(2) == Some(&b'{') {
                let count = self.run(self.at + 3, is_hex).min(6);
                let closed = self.rest().as_bytes().get(3 + count) == Some(&b'}');
                (3, count, closed && count > 0)
            } else {
                let count = self.run(self.at + 2, is_hex).min(4);
                (2, count, count == 4)
            };
            let end = self.at + digits + length;
            if !whole {
                let text = &self.text[start..end];
                return Err(error("invalid unicode sequence", Some(text)));
            }
            let code = hex(&self.text[self.at + digits..end]);
            self.at = end + usize::from(digits == 3);
            match (code, high) {
                (0xd800..0xdc00, Some(_)) => {
                    let detail = "Unicode high surrogate must not follow a high surrogate.";
                    return Err(surrogate(detail));
                }
                (0xd800..0xdc00, None) => high = Some(code),
                (0xdc00..0xe000, Some(first)) => {
                    out.push(character(
                        0x10000 + ((first - 0xd800) << 10) + (code - 0xdc00),
                    )?);
                    high = None;
                }
                (0xdc00..0xe000, None) | (_, Some(_)) => return Err(lone()),
                (code, None) => out.push(character(code)?),
            }
        }
        match high {
            Some(_) => Err(lone()),
            None => Ok(()),
        }
    }
}

fn lone() -> SqlError {
    surrogate("Unicode low surrogate must follow a high surrogate.")
}

fn hex(digits: &str) -> u32 {
    u32::from_str_radix(digits, 16).unwrap_or(0)
}
