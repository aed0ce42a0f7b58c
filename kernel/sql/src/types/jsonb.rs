//! `jsonb`: parsing to a value, and the canonical text that stands for the value everywhere else.
//!
//! The canonical text is what PostgreSQL prints: keys ordered by length and then bytes, of equal
//! keys the last, `": "` and `", "` as separators, numbers as `numeric` prints them. Two `jsonb`
//! values are equal exactly when their canonical texts are, except that numbers equal as `numeric`
//! but written with different scales (`1` and `1.0`) differ here.

use super::Numeric;
use crate::error::{Result, SqlError, SqlState, state};

/// Nesting allowed. PostgreSQL stops where its stack ends, some thousands deep; threads here have less.
const DEPTH_MAX: usize = 400;

#[derive(Clone, Debug, PartialEq)]
pub enum Json {
    Null,
    Bool(bool),
    /// The canonical text of a `numeric`.
    Number(String),
    String(String),
    Array(Vec<Json>),
    /// Sorted as PostgreSQL sorts keys, without duplicates.
    Object(Vec<(String, Json)>),
}

/// Checks that a text is JSON, without changing it (the `json` type). As in PostgreSQL this is a
/// matter of syntax alone: `\u0000`, half a surrogate pair and a number that no `numeric` holds pass
/// here, and fail where a value is made of them.
pub fn check_json(text: &str) -> Result<()> {
    Parser {
        syntax_only: true,
        ..Parser::new(text, "json")
    }
    .document()
    .map(drop)
}

/// The canonical text of a JSON text.
pub fn canonical(text: &str) -> Result<String> {
    Ok(Json::parse(text, "json")?.to_string())
}

fn key_order(a: &str, b: &str) -> std::cmp::Ordering {
    a.len()
        .cmp(&b.len())
        .then_with(|| a.as_bytes().cmp(b.as_bytes()))
}

impl Json {
    pub fn parse(text: &str, type_name: &str) -> Result<Json> {
        Parser::new(text, type_name).document()
    }

    /// Parses text that is canonical already (a stored value).
    pub fn stored(text: &str) -> Result<Json> {
        Json::parse(text, "json")
    }

    pub fn object(mut members: Vec<(String, Json)>) -> Json {
        // A stable sort keeps duplicates in order; of those the last one stays.
        members.sort_by(|a, b| key_order(&a.0, &b.0));
        let mut unique: Vec<(String, Json)> = Vec::with_capacity(members.len());
        for m in members {
            match unique.last_mut() {
                Some(last) if last.0 == m.0 => *last = m,
                _ => unique.push(m),
            }
        }
        Json::Object(unique)
    }

    pub fn type_name(&self) -> &'static str {
        match self {
            Json::Null => "null",
            Json::Bool(_) => "boolean",
            Json::Number(_) => "number",
            Json::String(_) => "string",
            Json::Array(_) => "array",
            Json::Object(_) => "object",
        }
    }

    pub fn get(&self, key: &str) -> Option<&Json> {
        match self {
            Json::Object(m) => m
                .binary_search_by(|(k, _)| key_order(k, key))
                .ok()
                .map(|i| &m[i].1),
            _ => None,
        }
    }

    /// An array element; negative counts from the end.
    pub fn index(&self, i: i64) -> Option<&Json> {
        match self {
            Json::Array(a) => {
                let i = if i < 0 { i + a.len() as i64 } else { i };
                usize::try_from(i).ok().and_then(|i| a.get(i))
            }
            _ => None,
        }
    }

    /// One step of a `#>` path.
    pub fn step(&self, key: &str) -> Option<&Json> {
        match self {
            Json::Object(_) => self.get(key),
            Json::Array(_) => self.index(key.trim().parse().ok()?),
            _ => None,
        }
    }

    /// `->>`: strings without quotes, null as SQL NULL.
    pub fn as_text(&self) -> Option<String> {
        match self {
            Json::Null => None,
            Json::String(s) => Some(s.clone()),
            other => Some(other.to_string()),
        }
    }

    fn equals(&self, other: &Json) -> bool {
        match (self, other) {
            (Json::Number(a), Json::Number(b)) => match (Numeric::parse(a), Numeric::parse(b)) {
                (Ok(a), Ok(b)) => a.compare(&b).is_eq(),
                _ => a == b,
            },
            (a, b) => a == b,
        }
    }

    /// `@>`.
    pub fn contains(&self, other: &Json) -> bool {
        match (self, other) {
            (Json::Object(a), Json::Object(b)) => {
                let _ = a;
                b.iter()
                    .all(|(k, v)| self.get(k).is_some_and(|mine| mine.contains_inner(v)))
            }
            (Json::Array(a), Json::Array(b)) => b
                .iter()
                .all(|v| a.iter().any(|mine| mine.contains_inner(v))),
            // An array may contain a primitive, at the top level only.
            (Json::Array(a), Json::Object(_)) => {
                let _ = a;
                false
            }
            (Json::Array(a), primitive) => a.iter().any(|mine| mine.equals(primitive)),
            (a, b) => a.equals(b),
        }
    }

    fn contains_inner(&self, other: &Json) -> bool {
        match (self, other) {
            (Json::Object(_), Json::Object(_)) | (Json::Array(_), Json::Array(_)) => {
                self.contains(other)
            }
            (a, b) => a.equals(b),
        }
    }

    /// `?`: a key of an object, a string of an array, or the string itself.
    pub fn has_key(&self, key: &str) -> bool {
        match self {
            Json::Object(_) => self.get(key).is_some(),
            Json::Array(a) => a.iter().any(|v| matches!(v, Json::String(s) if s == key)),
            Json::String(s) => s == key,
            _ => false,
        }
    }

    /// `jsonb_pretty`.
    pub fn pretty(&self, indent: usize, out: &mut String) {
        let pad = |n: usize, out: &mut String| {
            out.push('\n');
            out.extend(std::iter::repeat_n(' ', n * 4));
        };
        match self {
            Json::Array(a) => {
                out.push('[');
                for (i, v) in a.iter().enumerate() {
                    if i > 0 {
                        out.push(',');
                    }
                    pad(indent + 1, out);
                    v.pretty(indent + 1, out);
                }
                pad(indent, out);
                out.push(']');
            }
            Json::Object(m) => {
                out.push('{');
                for (i, (k, v)) in m.iter().enumerate() {
                    if i > 0 {
                        out.push(',');
                    }
                    pad(indent + 1, out);
                    write_string(k, out);
                    out.push_str(": ");
                    v.pretty(indent + 1, out);
                }
                pad(indent, out);
                out.push('}');
            }
            other => other.write(out),
        }
    }

    pub fn write(&self, out: &mut String) {
        match self {
            Json::Null => out.push_str("null"),
            Json::Bool(true) => out.push_str("true"),
            Json::Bool(false) => out.push_str("false"),
            Json::Number(n) => out.push_str(n),
            Json::String(s) => write_string(s, out),
            Json::Array(a) => {
                out.push('[');
                for (i, v) in a.iter().enumerate() {
                    if i > 0 {
                        out.push_str(", ");
                    }
                    v.write(out);
                }
                out.push(']');
            }
            Json::Object(m) => {
                out.push('{');
                for (i, (k, v)) in m.iter().enumerate() {
                    if i > 0 {
                        out.push_str(", ");
                    }
                    write_string(k, out);
                    out.push_str(": ");
                    v.write(out);
                }
                out.push('}');
            }
        }
    }
}

impl std::fmt::Display for Json {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut text = String::new();
        self.write(&mut text);
        f.write_str(&text)
    }
}

/// A JSON string literal (`escape_json`).
pub fn write_string(s: &str, out: &mut String) {
    out.push('"');
    for c in s.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if (c as u32) < 0x20 => out.push_str(&format!("\\u{:04x}", c as u32)),
            c => out.push(c),
        }
    }
    out.push('"');
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    type_name: &'a str,
    /// Whether the values do not matter: strings and numbers are then not what the text says.
    syntax_only: bool,
}

impl<'a> Parser<'a> {
    fn new(text: &'a str, type_name: &'a str) -> Parser<'a> {
        Parser {
            text,
            at: 0,
            type_name,
            syntax_only: false,
        }
    }

    fn document(mut self) -> Result<Json> {
        self.blank();
        let value = self.value(0)?;
        self.blank();
        if self.at < self.text.len() {
            return Err(self.unexpected());
        }
        Ok(value)
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn blank(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn error(&self, detail: String) -> SqlError {
        SqlError::new(
            state::INVALID_TEXT_REPRESENTATION,
            format!("invalid input syntax for type {}", self.type_name),
        )
        .with_detail(detail)
    }

    fn unexpected(&self) -> SqlError {
        if self.at >= self.text.len() {
            return self.error("The input string ended unexpectedly.".into());
        }
        let rest = &self.text[self.at..];
        let word: usize = rest
            .char_indices()
            .find(|(_, c)| !(c.is_alphanumeric() || matches!(c, '_' | '.' | '+' | '-')))
            .map_or(rest.len(), |(i, _)| i);
        let token = if word == 0 {
            rest.chars().take(1).collect()
        } else {
            rest[..word].to_string()
        };
        self.error(format!("Token \"{token}\" is invalid."))
    }

    fn value(&mut self, depth: usize) -> Result<Json> {
        if depth > DEPTH_MAX {
            return Err(SqlError::new(
                SqlState::new("54001"),
                "stack depth limit exceeded",
            ));
        }
        match self.peek() {
            Some(b'{') => self.members(depth),
            Some(b'[') => self.elements(depth),
            Some(b'"') => Ok(Json::String(self.string()?)),
            Some(b'-' | b'0'..=b'9') => self.number(),
            _ => {
                for (word, value) in [
                    ("true", Json::Bool(true)),
                    ("false", Json::Bool(false)),
                    ("null", Json::Null),
                ] {
                    let rest = &self.text.as_bytes()[self.at..];
                    if rest.starts_with(word.as_bytes())
                        && !rest.get(word.len()).is_some_and(u8::is_ascii_alphanumeric)
                    {
                        self.at += word.len();
                        return Ok(value);
                    }
                }
                Err(self.unexpected())
            }
        }
    }

    fn elements(&mut self, depth: usize) -> Result<Json> {
        self.at += 1;
        let mut items = Vec::new();
        self.blank();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(Json::Array(items));
        }
        loop {
            self.blank();
            items.push(self.value(depth + 1)?);
            self.blank();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b']') => {
                    self.at += 1;
                    return Ok(Json::Array(items));
                }
                _ => return Err(self.unexpected()),
            }
        }
    }

    fn members(&mut self, depth: usize) -> Result<Json> {
        self.at += 1;
        let mut members = Vec::new();
        self.blank();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(Json::Object(members));
        }
        loop {
            self.blank();
            if self.peek() != Some(b'"') {
                return Err(self.unexpected());
            }
            let key = self.string()?;
            self.blank();
            if self.peek() != Some(b':') {
                return Err(self.unexpected());
            }
            self.at += 1;
            self.blank();
            members.push((key, self.value(depth + 1)?));
            self.blank();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => {
                    self.at += 1;
                    return Ok(Json::object(members));
                }
                _ => return Err(self.unexpected()),
            }
        }
    }

    fn number(&mut self) -> Result<Json> {
        let start = self.at;
        let bytes = self.text.as_bytes();
        let run = |mut at: usize| {
            while bytes.get(at).is_some_and(u8::is_ascii_digit) {
                at += 1;
            }
            at
        };
        let mut at = start + usize::from(bytes[start] == b'-');
        let whole = run(at);
        let leading_zero = bytes.get(at) == Some(&b'0') && whole - at > 1;
        let mut bad = whole == at || leading_zero;
        at = whole;
        if bytes.get(at) == Some(&b'.') {
            let end = run(at + 1);
            bad |= end == at + 1;
            at = end;
        }
        if matches!(bytes.get(at), Some(b'e' | b'E')) {
            let digits = at + 1 + usize::from(matches!(bytes.get(at + 1), Some(b'+' | b'-')));
            let end = run(digits);
            bad |= end == digits;
            at = end;
        }
        bad |= bytes.get(at).is_some_and(|b| b.is_ascii_alphanumeric());
        if bad {
            return Err(self.unexpected());
        }
        self.at = at;
        if self.syntax_only {
            return Ok(Json::Null);
        }
        Ok(Json::Number(
            Numeric::parse(&self.text[start..at])?.to_string(),
        ))
    }

    fn string(&mut self) -> Result<String> {
        self.at += 1;
        let mut out = String::new();
        loop {
            let rest = &self.text[self.at..];
            let stop = rest
                .bytes()
                .position(|b| b == b'"' || b == b'\\' || b < 0x20)
                .ok_or_else(|| self.error("The input string ended unexpectedly.".into()))?;
            out.push_str(&rest[..stop]);
            self.at += stop;
            match rest.as_bytes()[stop] {
                b'"' => {
                    self.at += 1;
                    return Ok(out);
                }
                b'\\' => {
                    self.at += 1;
                    self.escape(&mut out)?;
                }
                c => {
                    return Err(
                        self.error(format!("Character with value 0x{c:02x} must be escaped."))
                    );
                }
            }
        }
    }

    fn escape(&mut self, out: &mut String) -> Result<()> {
        let c = self.peek().ok_or_else(|| self.unexpected())?;
        self.at += 1;
        out.push(match c {
            b'"' => '"',
            b'\\' => '\\',
            b'/' => '/',
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => self.unicode()?,
            _ => {
                let shown = self.text[self.at - 1..].chars().next().unwrap_or('?');
                return Err(self.error(format!("Escape sequence \"\\{shown}\" is invalid.")));
            }
        });
        Ok(())
    }

    fn hex4(&mut self) -> Result<u32> {
        let v = self
            .text
            .as_bytes()
            .get(self.at..self.at + 4)
            .filter(|h| h.iter().all(u8::is_ascii_hexdigit))
            .and_then(|h| std::str::from_utf8(h).ok())
            .and_then(|h| u32::from_str_radix(h, 16).ok())
            .ok_or_else(|| {
                self.error("\"\\u\" must be followed by four hexadecimal digits.".into())
            })?;
        self.at += 4;
        Ok(v)
    }

    fn unicode(&mut self) -> Result<char> {
        let first = self.hex4()?;
        if self.syntax_only {
            return Ok(char::REPLACEMENT_CHARACTER);
        }
        if first == 0 {
            return Err(SqlError::new(
                SqlState::new("22P05"),
                "unsupported Unicode escape sequence",
            )
            .with_detail("\\u0000 cannot be converted to text."));
        }
        if (0xdc00..0xe000).contains(&first) {
            return Err(self.error("Unicode low surrogate must follow a high surrogate.".into()));
        }
        if !(0xd800..0xdc00).contains(&first) {
            return char::from_u32(first).ok_or_else(|| self.unexpected());
        }
        let low = if self.text.as_bytes()[self.at..].starts_with(b"\\u") {
            self.at += 2;
            self.hex4()?
        } else {
            0
        };
        if !(0xdc00..0xe000).contains(&low) {
            return Err(self.error("Unicode low surrogate must follow a high surrogate.".into()));
        }
        char::from_u32(0x10000 + ((first - 0xd800) << 10) + (low - 0xdc00))
            .ok_or_else(|| self.unexpected())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn canonical_text_is_postgres_text() {
        for (input, shown) in [
            (
                r#" {"bb":1,"a":2,"c":{}, "a":3} "#,
                r#"{"a": 3, "c": {}, "bb": 1}"#,
            ),
            ("[1.50,2e3,-0,\"\\u00e9\\n\"]", "[1.50, 2000, 0, \"é\\n\"]"),
            ("\"x\"", "\"x\""),
            ("null", "null"),
            ("[]", "[]"),
        ] {
            assert_eq!(canonical(input).unwrap(), shown);
        }
        for bad in [
            "",
            "{",
            "[1,]",
            "{\"a\"}",
            "01",
            "1.",
            "tru",
            "truex",
            "\"\\u0000\"",
            "\"\n\"",
            "1 2",
        ] {
            assert!(canonical(bad).is_err(), "{bad}");
        }
        assert!(canonical(&"[".repeat(100_000)).is_err());
    }

    #[test]
    fn json_is_checked_for_syntax_alone() {
        for text in [
            r#""\u0000""#,
            r#"["\ud800"]"#,
            "1e999999",
            "{\"a\": 1, \"a\": 2}",
        ] {
            assert!(check_json(text).is_ok(), "{text}");
        }
        for text in [r#""\u00""#, r#""\x""#, "1e", "[1] 2", "\"\n\""] {
            assert!(check_json(text).is_err(), "{text}");
        }
    }
}
