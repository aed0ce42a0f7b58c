//! `jsonb`: parsing to a value, and the canonical text that stands for the value everywhere else.
//!
//! The canonical text is what PostgreSQL prints: keys ordered by length and then bytes, of equal
//! keys the last, `": "` and `", "` as separators, numbers as `numeric` prints them. Two `jsonb`
//! values are equal exactly when their canonical texts are, except that numbers equal as `numeric`
//! but written with different scales (`1` and `1.0`) differ here.

use super::Numeric;
use super::json::parse::{FromJson, Scalar, Strings, parse};
use crate::error::Result;

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

/// The canonical text of a JSON text.
pub fn canonical(text: &str) -> Result<String> {
    Ok(Json::parse(text)?.to_string())
}

fn key_order(a: &str, b: &str) -> std::cmp::Ordering {
    a.len()
        .cmp(&b.len())
        .then_with(|| a.as_bytes().cmp(b.as_bytes()))
}

impl Json {
    pub fn parse(text: &str) -> Result<Json> {
        parse(text, Strings::Decode)
    }

    /// Parses text that is canonical already (a stored value).
    pub fn stored(text: &str) -> Result<Json> {
        Json::parse(text)
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

impl FromJson<'_> for Json {
    fn scalar(text: &str, scalar: Scalar) -> Result<Json> {
        Ok(match scalar {
            Scalar::Null => Json::Null,
            Scalar::Bool(b) => Json::Bool(b),
            Scalar::Number => Json::Number(Numeric::parse(text)?.to_string()),
            Scalar::String(s) => Json::String(s),
        })
    }

    fn array(_: &str, items: Vec<Json>) -> Json {
        Json::Array(items)
    }

    fn object(_: &str, members: Vec<(String, Json)>) -> Json {
        Json::object(members)
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
}
