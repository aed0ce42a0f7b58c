//! Functions on `text` and `bytea`. Characters are Unicode code points, as in a UTF-8 database.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, StringViewBuilder};
use datafusion::logical_expr::ColumnarValue;
use md5::{Digest as _, Md5};

use super::Registry;
use crate::error::{Result, SqlError, SqlState, state};
use crate::semantics::kernel::*;
use crate::semantics::overload::{Call, Overload, Param, ResultType};
use crate::types::{PgType, encode_text};

/// The longest text a function makes.
const TEXT_BYTES_MAX: usize = 1 << 30;

fn too_large() -> SqlError {
    SqlError::new(state::PROGRAM_LIMIT_EXCEEDED, "requested length too large")
}

fn count(s: &str) -> i64 {
    if s.is_ascii() {
        s.len() as i64
    } else {
        s.chars().count() as i64
    }
}

/// Characters `from .. to`, counted from 0.
fn characters(s: &str, from: i64, to: i64) -> &str {
    let (from, to) = (from.max(0), to.max(0));
    if to <= from {
        return "";
    }
    let byte = |n: i64| -> usize {
        if s.is_ascii() {
            (n as usize).min(s.len())
        } else {
            s.char_indices().nth(n as usize).map_or(s.len(), |(i, _)| i)
        }
    };
    &s[byte(from)..byte(to)]
}

fn substring(s: &str, start: i32, length: Option<i32>) -> Result<String> {
    let from = start as i64 - 1;
    let to = match length {
        Some(n) if n < 0 => {
            return Err(SqlError::new(
                SqlState::new("22011"),
                "negative substring length not allowed",
            ));
        }
        Some(n) => from + n as i64,
        None => i64::MAX,
    };
    Ok(characters(s, from, to).to_string())
}

fn pad(s: &str, n: i32, fill: &str, left: bool) -> Result<String> {
    let n = n.max(0) as i64;
    if n as usize > TEXT_BYTES_MAX {
        return Err(too_large());
    }
    let have = count(s);
    if have >= n {
        return Ok(characters(s, 0, n).to_string());
    }
    if fill.is_empty() {
        return Ok(s.to_string());
    }
    let padding: String = fill.chars().cycle().take((n - have) as usize).collect();
    Ok(if left {
        padding + s
    } else {
        s.to_string() + &padding
    })
}

fn trim(s: &str, set: &str, left: bool, right: bool) -> String {
    let mut s = s;
    if left {
        s = s.trim_start_matches(|c| set.contains(c));
    }
    if right {
        s = s.trim_end_matches(|c| set.contains(c));
    }
    s.to_string()
}

/// `left` and `right`: a negative count leaves that many off at the other end.
fn left(s: &str, n: i32) -> String {
    let n = n as i64;
    let to = if n < 0 { count(s) + n } else { n };
    characters(s, 0, to).to_string()
}

fn right(s: &str, n: i32) -> String {
    let length = count(s);
    let n = n as i64;
    let from = if n < 0 { -n } else { length - n };
    characters(s, from, length).to_string()
}

fn position(haystack: &str, needle: &str) -> i32 {
    haystack
        .find(needle)
        .map_or(0, |i| count(&haystack[..i]) as i32 + 1)
}

fn split_part(s: &str, delimiter: &str, n: i32) -> Result<String> {
    if n == 0 {
        return Err(SqlError::new(
            state::INVALID_PARAMETER_VALUE,
            "field position must not be zero",
        ));
    }
    if delimiter.is_empty() {
        return Ok(if n == 1 || n == -1 {
            s.to_string()
        } else {
            String::new()
        });
    }
    let parts: Vec<&str> = s.split(delimiter).collect();
    let at = if n > 0 {
        n as i64 - 1
    } else {
        parts.len() as i64 + n as i64
    };
    Ok(usize::try_from(at)
        .ok()
        .and_then(|i| parts.get(i))
        .unwrap_or(&"")
        .to_string())
}

/// The upper case of a character where that is one character, as the C library has it: ß stays.
fn upper(c: char) -> char {
    let mut mapped = c.to_uppercase();
    match (mapped.next(), mapped.next()) {
        (Some(one), None) => one,
        _ => c,
    }
}

/// The lower case of a character, wherever in a word it stands.
fn lower(c: char) -> char {
    match c {
        '\u{130}' => 'i',
        c => c.to_lowercase().next().unwrap_or(c),
    }
}

fn initcap(s: &str) -> String {
    let mut inside = false;
    let mut out = String::with_capacity(s.len());
    for c in s.chars() {
        if inside {
            out.push(lower(c));
        } else {
            out.push(upper(c));
        }
        inside = c.is_alphanumeric();
    }
    out
}

fn translate(s: &str, from: &str, to: &str) -> String {
    let to: Vec<char> = to.chars().collect();
    s.chars()
        .filter_map(|c| match from.chars().position(|f| f == c) {
            None => Some(c),
            Some(i) => to.get(i).copied(),
        })
        .collect()
}

fn overlay(s: &str, new: &str, start: i32, length: i64) -> Result<String> {
    if start <= 0 {
        return Err(SqlError::new(
            SqlState::new("22011"),
            "negative substring length not allowed",
        ));
    }
    let start = start as i64 - 1;
    let head = characters(s, 0, start);
    let tail = characters(s, start + length, i64::MAX);
    Ok([head, new, tail].concat())
}

fn repeat(s: &str, n: i32) -> Result<String> {
    let n = n.max(0) as usize;
    if s.len().saturating_mul(n) > TEXT_BYTES_MAX {
        return Err(too_large());
    }
    Ok(s.repeat(n))
}

fn chr(n: i32) -> Result<String> {
    if n == 0 {
        return Err(SqlError::new(
            state::PROGRAM_LIMIT_EXCEEDED,
            "null character not permitted",
        ));
    }
    if n < 0 {
        return Err(SqlError::new(
            state::PROGRAM_LIMIT_EXCEEDED,
            "character number must be positive",
        ));
    }
    char::from_u32(n as u32).map(String::from).ok_or_else(|| {
        SqlError::new(
            state::PROGRAM_LIMIT_EXCEEDED,
            format!("requested character too large for encoding: {n}"),
        )
    })
}

pub fn quote_ident(s: &str) -> String {
    const RESERVED: &[&str] = &[
        "all",
        "and",
        "any",
        "array",
        "as",
        "asc",
        "both",
        "case",
        "cast",
        "check",
        "column",
        "constraint",
        "create",
        "default",
        "desc",
        "distinct",
        "do",
        "else",
        "end",
        "except",
        "false",
        "for",
        "foreign",
        "from",
        "grant",
        "group",
        "having",
        "in",
        "intersect",
        "into",
        "limit",
        "not",
        "null",
        "offset",
        "on",
        "only",
        "or",
        "order",
        "primary",
        "references",
        "select",
        "table",
        "then",
        "to",
        "true",
        "union",
        "unique",
        "user",
        "using",
        "when",
        "where",
        "window",
        "with",
    ];
    let plain = s.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && s.chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        && !RESERVED.contains(&s);
    if plain {
        s.to_string()
    } else {
        format!("\"{}\"", s.replace('"', "\"\""))
    }
}

pub fn quote_literal(s: &str) -> String {
    let quoted = s.replace('\'', "''");
    if s.contains('\\') {
        format!("E'{}'", quoted.replace('\\', "\\\\"))
    } else {
        format!("'{quoted}'")
    }
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |half: u8| char::from(DIGITS[usize::from(half)]);
    let digits = bytes.iter().flat_map(|b| [digit(b >> 4), digit(b & 0xf)]);
    let mut text = String::with_capacity(2 * bytes.len());
    text.extend(digits);
    text
}

fn md5(bytes: &[u8]) -> String {
    hex(&Md5::digest(bytes))
}

/// The text of any value, as `concat` and `format` use it.
fn any_text(args: &[ColumnarValue], call: &Call<'_>) -> Result<Vec<(ArrayRef, usize, PgType)>> {
    let _ = call;
    args.iter()
        .map(|a| {
            let (array, step) = expand(a)?;
            let ty = PgType::from_arrow(array.data_type()).unwrap_or(PgType::Text);
            Ok((array, step, ty))
        })
        .collect()
}

fn concat(separated: bool) -> Overload {
    let params = if separated {
        vec![Param::Is(PgType::Text), Param::Any]
    } else {
        vec![Param::Any]
    };
    polymorphic(
        params,
        true,
        ResultType::Is(PgType::Text),
        move |args, call| {
            let columns = any_text(args, call)?;
            let mut out = StringViewBuilder::with_capacity(call.rows);
            let mut text = String::new();
            for row in 0..call.rows {
                text.clear();
                let mut separator = String::new();
                let mut first = true;
                let mut null = false;
                for (i, (a, step, ty)) in columns.iter().enumerate() {
                    let at = row * step;
                    if separated && i == 0 {
                        null = a.is_null(at);
                        encode_text(a, at, ty, &call.vars.format, &mut separator);
                        continue;
                    }
                    if a.is_null(at) {
                        continue;
                    }
                    if !first {
                        text.push_str(&separator);
                    }
                    first = false;
                    encode_text(a, at, ty, &call.vars.format, &mut text);
                }
                if null {
                    out.append_null();
                } else {
                    out.append_value(&text);
                }
            }
            Ok(Arc::new(out.finish()))
        },
    )
}

/// `format('%s %I %L %1$s', …)`.
fn format_function(args: &[ColumnarValue], call: &Call<'_>) -> Result<ArrayRef> {
    let columns = any_text(args, call)?;
    let mut out = StringViewBuilder::with_capacity(call.rows);
    let bad = |m: &str| SqlError::new(state::INVALID_PARAMETER_VALUE, m);
    for row in 0..call.rows {
        let value = |i: usize| -> Result<Option<String>> {
            let (a, step, ty) = columns
                .get(i)
                .ok_or_else(|| bad("too few arguments for format()"))?;
            if a.is_null(row * step) {
                return Ok(None);
            }
            let mut s = String::new();
            encode_text(a, row * step, ty, &call.vars.format, &mut s);
            Ok(Some(s))
        };
        let Some(template) = value(0)? else {
            out.append_null();
            continue;
        };
        let mut text = String::new();
        let mut next = 1;
        let mut chars = template.chars().peekable();
        while let Some(c) = chars.next() {
            if c != '%' {
                text.push(c);
                continue;
            }
            if chars.peek() == Some(&'%') {
                chars.next();
                text.push('%');
                continue;
            }
            let mut digits = String::new();
            let mut minus = false;
            let mut index = None;
            let mut width = None;
            loop {
                match chars.peek() {
                    Some(d) if d.is_ascii_digit() => {
                        digits.push(*d);
                        chars.next();
                    }
                    Some('$') => {
                        chars.next();
                        index = digits.parse::<usize>().ok();
                        digits.clear();
                    }
                    Some('-') => {
                        minus = true;
                        chars.next();
                    }
                    _ => break,
                }
            }
            if !digits.is_empty() {
                width = digits.parse::<usize>().ok();
            }
            let kind = chars
                .next()
                .ok_or_else(|| bad("unterminated format() type specifier"))?;
            let at = match index {
                Some(0) => {
                    return Err(bad(
                        "format specifies argument 0, but arguments are numbered from 1",
                    ));
                }
                Some(i) => i,
                None => next,
            };
            next = at + 1;
            let v = value(at)?;
            let shown = match kind {
                's' => v.unwrap_or_default(),
                'I' => quote_ident(&v.ok_or_else(|| {
                    SqlError::new(
                        SqlState::new("22004"),
                        "null values cannot be formatted as an SQL identifier",
                    )
                })?),
                'L' => v.map_or_else(|| "NULL".to_string(), |v| quote_literal(&v)),
                other => {
                    return Err(
                        bad(&format!("unrecognized format() type specifier \"{other}\""))
                            .with_hint("For a single \"%\" use \"%%\"."),
                    );
                }
            };
            let missing = width
                .unwrap_or(0)
                .saturating_sub(shown.chars().count())
                .min(TEXT_BYTES_MAX);
            if minus {
                text.push_str(&shown);
                text.extend(std::iter::repeat_n(' ', missing));
            } else {
                text.extend(std::iter::repeat_n(' ', missing));
                text.push_str(&shown);
            }
        }
        out.append_value(text);
    }
    Ok(Arc::new(out.finish()))
}

/// `||` of a text with any value that is not an array, on either side.
fn concat_any(left_text: bool) -> Overload {
    let text = Param::Is(PgType::Text);
    let params = if left_text {
        vec![text, Param::AnyNonArray]
    } else {
        vec![Param::AnyNonArray, text]
    };
    polymorphic(params, false, ResultType::Is(PgType::Text), |args, call| {
        let columns = any_text(args, call)?;
        let mut out = StringViewBuilder::with_capacity(call.rows);
        for row in 0..call.rows {
            if columns.iter().any(|(a, step, _)| a.is_null(row * step)) {
                out.append_null();
                continue;
            }
            let mut text = String::new();
            for (a, step, ty) in &columns {
                if *ty == PgType::Bool {
                    // A cast to text spells booleans out.
                    text.push_str(if arrow::array::AsArray::as_boolean(a).value(row * step) {
                        "true"
                    } else {
                        "false"
                    });
                } else {
                    encode_text(a, row * step, ty, &call.vars.format, &mut text);
                }
            }
            out.append_value(text);
        }
        Ok(Arc::new(out.finish()))
    })
}

pub fn register(r: &mut Registry) {
    type T = Text;
    for name in ["length", "char_length", "character_length"] {
        r.add(name, f1::<T, Int4>(|s| Ok(count(s) as i32)));
    }
    r.add("length", f1::<Bytea, Int4>(|b| Ok(b.len() as i32)));
    r.add("octet_length", f1::<T, Int4>(|s| Ok(s.len() as i32)));
    r.add("octet_length", f1::<Bytea, Int4>(|b| Ok(b.len() as i32)));
    r.add("bit_length", f1::<T, Int4>(|s| Ok(s.len() as i32 * 8)));
    r.add("lower", f1::<T, T>(|s| Ok(s.chars().map(lower).collect())));
    r.add("upper", f1::<T, T>(|s| Ok(s.chars().map(upper).collect())));
    r.add("initcap", f1::<T, T>(|s| Ok(initcap(s))));
    r.add("reverse", f1::<T, T>(|s| Ok(s.chars().rev().collect())));
    for name in ["substring", "substr"] {
        r.add(name, f2::<T, Int4, T>(|s, from| substring(s, from, None)));
        r.add(
            name,
            f3::<T, Int4, Int4, T>(|s, from, n| substring(s, from, Some(n))),
        );
    }
    r.add("left", f2::<T, Int4, T>(|s, n| Ok(left(s, n))));
    r.add("right", f2::<T, Int4, T>(|s, n| Ok(right(s, n))));
    r.add("lpad", f2::<T, Int4, T>(|s, n| pad(s, n, " ", true)));
    r.add("lpad", f3::<T, Int4, T, T>(|s, n, f| pad(s, n, f, true)));
    r.add("rpad", f2::<T, Int4, T>(|s, n| pad(s, n, " ", false)));
    r.add("rpad", f3::<T, Int4, T, T>(|s, n, f| pad(s, n, f, false)));
    r.add("btrim", f1::<T, T>(|s| Ok(trim(s, " ", true, true))));
    r.add(
        "btrim",
        f2::<T, T, T>(|s, set| Ok(trim(s, set, true, true))),
    );
    r.add("ltrim", f1::<T, T>(|s| Ok(trim(s, " ", true, false))));
    r.add(
        "ltrim",
        f2::<T, T, T>(|s, set| Ok(trim(s, set, true, false))),
    );
    r.add("rtrim", f1::<T, T>(|s| Ok(trim(s, " ", false, true))));
    r.add(
        "rtrim",
        f2::<T, T, T>(|s, set| Ok(trim(s, set, false, true))),
    );
    for name in ["strpos", "position"] {
        r.add(name, f2::<T, T, Int4>(|s, n| Ok(position(s, n))));
    }
    r.add("split_part", f3::<T, T, Int4, T>(split_part));
    r.add(
        "replace",
        f3::<T, T, T, T>(|s, a, b| {
            Ok(if a.is_empty() {
                s.to_string()
            } else {
                s.replace(a, b)
            })
        }),
    );
    r.add(
        "translate",
        f3::<T, T, T, T>(|s, a, b| Ok(translate(s, a, b))),
    );
    r.add(
        "overlay",
        f3::<T, T, Int4, T>(|s, n, at| overlay(s, n, at, count(n))),
    );
    r.add(
        "overlay",
        f4::<T, T, Int4, Int4, T>(|s, n, at, len| overlay(s, n, at, len as i64)),
    );
    r.add("repeat", f2::<T, Int4, T>(repeat));
    r.add("starts_with", f2::<T, T, Bool>(|s, p| Ok(s.starts_with(p))));
    r.add("$^@", f2::<T, T, Bool>(|s, p| Ok(s.starts_with(p))));
    r.add(
        "ascii",
        f1::<T, Int4>(|s| Ok(s.chars().next().map_or(0, |c| c as i32))),
    );
    r.add("chr", f1::<Int4, T>(chr));
    r.add("md5", f1::<T, T>(|s| Ok(md5(s.as_bytes()))));
    r.add("md5", f1::<Bytea, T>(|b| Ok(md5(b))));
    r.add("quote_ident", f1::<T, T>(|s| Ok(quote_ident(s))));
    r.add("quote_literal", f1::<T, T>(|s| Ok(quote_literal(s))));
    r.add(
        "quote_nullable",
        polymorphic(
            vec![Param::Is(PgType::Text)],
            false,
            ResultType::Is(PgType::Text),
            |args, call| {
                let (a, step) = expand(&args[0])?;
                let a = arrow::array::AsArray::as_string_view(&a);
                let mut out = StringViewBuilder::new();
                for row in 0..call.rows {
                    let at = row * step;
                    out.append_value(if a.is_null(at) {
                        "NULL".to_string()
                    } else {
                        quote_literal(a.value(at))
                    });
                }
                Ok(Arc::new(out.finish()))
            },
        ),
    );
    r.add("to_hex", f1::<Int4, T>(|n| Ok(format!("{n:x}"))));
    r.add("to_hex", f1::<Int8, T>(|n| Ok(format!("{n:x}"))));
    r.add("concat", concat(false));
    r.add("concat_ws", concat(true));
    r.add(
        "format",
        polymorphic(
            vec![Param::Is(PgType::Text), Param::Any],
            true,
            ResultType::Is(PgType::Text),
            format_function,
        ),
    );
    r.add("$||", f2::<T, T, T>(|a, b| Ok([a, b].concat())));
    r.add("$||", f2::<Bytea, Bytea, Bytea>(|a, b| Ok([a, b].concat())));
    r.add("$||", concat_any(true));
    r.add("$||", concat_any(false));
    r.add(
        "encode",
        f2::<Bytea, T, T>(|b, how| match how.to_lowercase().as_str() {
            "hex" => Ok(hex(b)),
            "escape" => {
                let mut out = String::new();
                for &c in b {
                    match c {
                        b'\\' => out.push_str("\\\\"),
                        0 | 0x80.. => out.push_str(&format!("\\{c:03o}")),
                        c => out.push(c as char),
                    }
                }
                Ok(out)
            }
            "base64" => Ok(super::system::base64_encode(b)),
            other => Err(SqlError::new(
                state::INVALID_PARAMETER_VALUE,
                format!("unrecognized encoding: \"{other}\""),
            )),
        }),
    );
    r.add(
        "decode",
        f2::<T, T, Bytea>(|s, how| match how.to_lowercase().as_str() {
            "hex" => {
                let mut out = Vec::new();
                crate::types::builder::parse_bytea(&format!("\\x{s}"), &mut out)?;
                Ok(out)
            }
            "escape" => {
                let mut out = Vec::new();
                crate::types::builder::parse_bytea(s, &mut out)?;
                Ok(out)
            }
            "base64" => super::system::base64_decode(s),
            other => Err(SqlError::new(
                state::INVALID_PARAMETER_VALUE,
                format!("unrecognized encoding: \"{other}\""),
            )),
        }),
    );
}
