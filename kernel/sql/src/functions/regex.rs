//! Regular expressions and LIKE helpers.
//!
//! Patterns are matched by the `regex` crate. Its syntax is PostgreSQL's ARE for what is in common
//! use; back references and look-around, which it does not have, are refused (`2201B`). Matching is
//! leftmost-first where PostgreSQL's is leftmost-longest for alternations.

use std::cell::RefCell;
use std::collections::HashMap;

use regex::{Regex, RegexBuilder};

use super::Registry;
use crate::error::{Result, SqlError, SqlState, state};
use crate::semantics::kernel::*;
use crate::types::pattern;

/// Compiled patterns kept per thread; a pattern is nearly always a constant of the query.
const CACHE_ENTRIES_MAX: usize = 64;

thread_local! {
    static CACHE: RefCell<HashMap<(String, String), Regex>> = RefCell::new(HashMap::new());
}

#[derive(Clone, Copy, Default)]
struct Flags {
    global: bool,
}

fn compile(pattern: &str, flags: &str) -> Result<(Regex, Flags)> {
    let mut parsed = Flags::default();
    let mut options = String::new();
    for c in flags.chars() {
        match c {
            'g' => parsed.global = true,
            'i' | 'c' | 'n' | 'm' | 's' | 'p' | 'w' | 'x' | 'q' | 'e' | 'b' | 't' => {
                options.push(c)
            }
            other => {
                return Err(SqlError::new(
                    state::INVALID_PARAMETER_VALUE,
                    format!("invalid regular expression option: \"{other}\""),
                ));
            }
        }
    }
    let key = (pattern.to_string(), options);
    if let Some(found) = CACHE.with(|c| c.borrow().get(&key).cloned()) {
        return Ok((found, parsed));
    }
    let options = &key.1;
    let literal;
    let mut source = pattern;
    if options.contains('q') {
        literal = regex::escape(pattern);
        source = &literal;
    } else if let Some(rest) = pattern.strip_prefix("***=") {
        literal = regex::escape(rest);
        source = &literal;
    }
    let newline = options.contains('n') || options.contains('m');
    let translated = pattern::translate(source);
    let regex = RegexBuilder::new(&translated)
        .case_insensitive(options.rfind('i') > options.rfind('c'))
        .dot_matches_new_line(!newline && !options.contains('p'))
        .multi_line(newline || options.contains('w'))
        .ignore_whitespace(options.contains('x'))
        .build()
        .map_err(pattern::invalid)?;
    CACHE.with(|c| {
        let mut cache = c.borrow_mut();
        if cache.len() >= CACHE_ENTRIES_MAX {
            cache.clear();
        }
        cache.insert(key, regex.clone());
    });
    Ok((regex, parsed))
}

/// `\1` and `\&` of a replacement.
fn replacement(caps: &regex::Captures<'_>, template: &str, out: &mut String) {
    let mut chars = template.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some('&') => out.push_str(&caps[0]),
            Some(d) if d.is_ascii_digit() && d != '0' => {
                let n = d as usize - '0' as usize;
                out.push_str(caps.get(n).map_or("", |m| m.as_str()));
            }
            Some('\\') => out.push('\\'),
            Some(other) => {
                out.push('\\');
                out.push(other);
            }
            None => out.push('\\'),
        }
    }
}

fn replace(s: &str, pattern: &str, new: &str, flags: &str) -> Result<String> {
    let (re, f) = compile(pattern, flags)?;
    let mut out = String::with_capacity(s.len());
    let mut at = 0;
    for caps in re.captures_iter(s) {
        let whole = caps
            .get(0)
            .ok_or_else(|| SqlError::internal("a match has no group 0"))?;
        out.push_str(&s[at..whole.start()]);
        replacement(&caps, new, &mut out);
        at = whole.end();
        if !f.global {
            break;
        }
    }
    out.push_str(&s[at..]);
    Ok(out)
}

/// The groups of the first match, or the match when there are none.
fn first_match(s: &str, pattern: &str, flags: &str) -> Result<Option<Vec<Option<String>>>> {
    let (re, f) = compile(pattern, flags)?;
    if f.global {
        return Err(SqlError::new(
            state::INVALID_PARAMETER_VALUE,
            "regexp_match() does not support the \"global\" option",
        )
        .with_hint("Use the regexp_matches function instead."));
    }
    Ok(re.captures(s).map(|caps| {
        let text = |m: Option<regex::Match<'_>>| m.map(|m| m.as_str().to_string());
        if caps.len() == 1 {
            vec![text(caps.get(0))]
        } else {
            (1..caps.len()).map(|i| text(caps.get(i))).collect()
        }
    }))
}

fn split(s: &str, pattern: &str, flags: &str) -> Result<Vec<Option<String>>> {
    let (re, _) = compile(pattern, flags)?;
    let mut parts = Vec::new();
    let mut at = 0;
    for m in re.find_iter(s) {
        // An empty match at the ends or right after a match splits nothing.
        if m.is_empty() && (m.start() == at || m.start() >= s.len()) && m.start() == 0 {
            continue;
        }
        if m.is_empty() && m.start() >= s.len() {
            continue;
        }
        parts.push(Some(s[at..m.start()].to_string()));
        at = m.end();
    }
    parts.push(Some(s[at..].to_string()));
    Ok(parts)
}

fn substring(s: &str, pattern: &str) -> Result<Option<String>> {
    let (re, _) = compile(pattern, "")?;
    Ok(re.captures(s).and_then(|c| {
        let group = if c.len() > 1 { c.get(1) } else { c.get(0) };
        group.map(|m| m.as_str().to_string())
    }))
}

fn escape_error() -> SqlError {
    SqlError::new(SqlState::new("22025"), "invalid escape string")
        .with_hint("Escape string must be empty or one character.")
}

/// `LIKE p ESCAPE 'c'` as a pattern whose escape is the backslash (`like_escape`).
fn like_escape(pattern: &str, escape: &str) -> Result<String> {
    let mut it = escape.chars();
    let escape = it.next();
    if it.next().is_some() {
        return Err(escape_error());
    }
    let mut out = String::with_capacity(pattern.len());
    let mut after_escape = false;
    for c in pattern.chars() {
        if Some(c) == escape && !after_escape {
            out.push('\\');
            after_escape = true;
        } else if c == '\\' && escape != Some('\\') {
            out.push_str(if after_escape { "\\" } else { "\\\\" });
            after_escape = false;
        } else {
            out.push(c);
            after_escape = false;
        }
    }
    Ok(out)
}

/// A SIMILAR TO pattern as a regular expression (`similar_to_escape`).
fn similar(pattern: &str, escape: &str) -> Result<String> {
    let mut it = escape.chars();
    let escape = it.next();
    if it.next().is_some() {
        return Err(escape_error());
    }
    let mut out = String::from("^(?:");
    let mut in_class = false;
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        if Some(c) == escape {
            if let Some(next) = chars.next() {
                out.push_str(&regex::escape(&next.to_string()));
            }
        } else if in_class {
            if c == '\\' {
                out.push('\\');
            }
            out.push(c);
            in_class = c != ']';
        } else {
            match c {
                '[' => {
                    out.push('[');
                    in_class = true;
                }
                '%' => out.push_str(".*"),
                '_' => out.push('.'),
                '.' | '^' | '$' | '\\' => {
                    out.push('\\');
                    out.push(c);
                }
                '(' => out.push_str("(?:"),
                other => out.push(other),
            }
        }
    }
    out.push_str(")$");
    Ok(out)
}

pub fn register(r: &mut Registry) {
    type T = Text;
    r.add(
        "$~",
        f2::<T, T, Bool>(|s, p| Ok(compile(p, "")?.0.is_match(s))),
    );
    r.add(
        "$~*",
        f2::<T, T, Bool>(|s, p| Ok(compile(p, "i")?.0.is_match(s))),
    );
    r.add(
        "$!~",
        f2::<T, T, Bool>(|s, p| Ok(!compile(p, "")?.0.is_match(s))),
    );
    r.add(
        "$!~*",
        f2::<T, T, Bool>(|s, p| Ok(!compile(p, "i")?.0.is_match(s))),
    );
    let like = |case: &'static str, negated: bool| match (case, negated) {
        ("", false) => f2::<T, T, Bool>(|s, p| Ok(like_regex(p, "")?.is_match(s))),
        ("", true) => f2::<T, T, Bool>(|s, p| Ok(!like_regex(p, "")?.is_match(s))),
        (_, false) => f2::<T, T, Bool>(|s, p| Ok(like_regex(p, "i")?.is_match(s))),
        (_, true) => f2::<T, T, Bool>(|s, p| Ok(!like_regex(p, "i")?.is_match(s))),
    };
    r.add("$~~", like("", false));
    r.add("$!~~", like("", true));
    r.add("$~~*", like("i", false));
    r.add("$!~~*", like("i", true));
    r.add(
        "regexp_replace",
        f3::<T, T, T, T>(|s, p, n| replace(s, p, n, "")),
    );
    r.add("regexp_replace", f4::<T, T, T, T, T>(replace));
    r.add(
        "regexp_match",
        o2::<T, T, TextArray>(|_, s, p| first_match(s, p, "")),
    );
    r.add(
        "regexp_match",
        o3::<T, T, T, TextArray>(|_, s, p, f| first_match(s, p, f)),
    );
    r.add(
        "regexp_like",
        f2::<T, T, Bool>(|s, p| Ok(compile(p, "")?.0.is_match(s))),
    );
    r.add(
        "regexp_like",
        f3::<T, T, T, Bool>(|s, p, f| Ok(compile(p, f)?.0.is_match(s))),
    );
    r.add(
        "regexp_count",
        f2::<T, T, Int4>(|s, p| Ok(compile(p, "")?.0.find_iter(s).count() as i32)),
    );
    r.add(
        "regexp_split_to_array",
        f2::<T, T, TextArray>(|s, p| split(s, p, "")),
    );
    r.add("regexp_split_to_array", f3::<T, T, T, TextArray>(split));
    r.add(
        "regexp_substr",
        o2::<T, T, Text>(|_, s, p| Ok(compile(p, "")?.0.find(s).map(|m| m.as_str().to_string()))),
    );
    r.add("substring", o2::<T, T, Text>(|_, s, p| substring(s, p)));
    r.add("$like_escape", f2::<T, T, T>(like_escape));
    r.add(
        "$similar",
        f3::<T, T, T, Bool>(|s, p, e| Ok(compile(&similar(p, e)?, "")?.0.is_match(s))),
    );
}

fn like_regex(pattern: &str, flags: &str) -> Result<Regex> {
    let mut out = String::from("^");
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        match c {
            '%' => out.push_str(".*"),
            '_' => out.push('.'),
            '\\' => match chars.next() {
                Some(next) => out.push_str(&regex::escape(&next.to_string())),
                None => {
                    return Err(SqlError::new(
                        SqlState::new("22025"),
                        "LIKE pattern must not end with escape character",
                    ));
                }
            },
            other => out.push_str(&regex::escape(&other.to_string())),
        }
    }
    out.push('$');
    Ok(compile(&out, flags)?.0)
}
