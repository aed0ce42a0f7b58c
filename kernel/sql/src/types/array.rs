//! Text of one-dimensional arrays: `{1,NULL,"a b"}`. More dimensions are `0A000`.

use crate::error::{Result, SqlError, state};

/// Writes one element, quoted if it would otherwise read back as something else.
pub fn write_element(text: &str, out: &mut String) {
    let plain = !text.is_empty()
        && !text.eq_ignore_ascii_case("null")
        && !text.bytes().any(|b| {
            matches!(b, b'"' | b'\\' | b'{' | b'}' | b',') || b.is_ascii_whitespace() || b == 0x0b
        });
    if plain {
        out.push_str(text);
        return;
    }
    out.push('"');
    for c in text.chars() {
        if matches!(c, '"' | '\\') {
            out.push('\\');
        }
        out.push(c);
    }
    out.push('"');
}

/// Calls `element` for each element of an array text; `None` is NULL.
pub fn parse(text: &str, mut element: impl FnMut(Option<&str>) -> Result<()>) -> Result<()> {
    let malformed = |detail: &str| {
        SqlError::new(
            state::INVALID_TEXT_REPRESENTATION,
            format!("malformed array literal: \"{text}\""),
        )
        .with_detail(detail)
    };
    let body = text.trim();
    if body.starts_with('[') {
        return Err(SqlError::unsupported("array with explicit bounds"));
    }
    let Some(inner) = body.strip_prefix('{') else {
        return Err(malformed(
            "Array value must start with \"{\" or dimension information.",
        ));
    };
    let mut chars = inner.char_indices().peekable();
    let skip_blank = |chars: &mut std::iter::Peekable<std::str::CharIndices<'_>>| {
        while chars.peek().is_some_and(|(_, c)| c.is_ascii_whitespace()) {
            chars.next();
        }
    };
    skip_blank(&mut chars);
    if let Some((at, '}')) = chars.peek().copied() {
        return if inner[at + 1..].trim().is_empty() {
            Ok(())
        } else {
            Err(malformed("Junk after closing right brace."))
        };
    }
    let mut buffer = String::new();
    loop {
        skip_blank(&mut chars);
        buffer.clear();
        let mut quoted = false;
        // Blanks at the end of an unquoted element do not count; escaped ones do.
        let mut kept = 0;
        let end = loop {
            let Some((at, c)) = chars.next() else {
                return Err(malformed("Unexpected end of input."));
            };
            match c {
                '"' if !quoted && buffer.is_empty() => {
                    quoted = true;
                    loop {
                        match chars.next() {
                            None => return Err(malformed("Unexpected end of input.")),
                            Some((_, '"')) => break,
                            Some((_, '\\')) => match chars.next() {
                                None => return Err(malformed("Unexpected end of input.")),
                                Some((_, c)) => buffer.push(c),
                            },
                            Some((_, c)) => buffer.push(c),
                        }
                    }
                    kept = buffer.len();
                }
                ',' | '}' => break (at, c),
                '{' => return Err(SqlError::unsupported("multi-dimensional array")),
                '"' => return Err(malformed("Unexpected array element.")),
                '\\' => match chars.next() {
                    None => return Err(malformed("Unexpected end of input.")),
                    Some((_, c)) => {
                        buffer.push(c);
                        kept = buffer.len();
                        // A backslash makes even NULL a string.
                        quoted = quoted || buffer.eq_ignore_ascii_case("null");
                    }
                },
                c if c.is_ascii_whitespace() => {
                    if !quoted {
                        buffer.push(c);
                    }
                }
                _ if quoted && kept == buffer.len() && !buffer.is_empty() => {
                    return Err(malformed("Unexpected array element."));
                }
                c => {
                    buffer.push(c);
                    kept = buffer.len();
                }
            }
        };
        buffer.truncate(kept);
        if !quoted && buffer.is_empty() {
            return Err(malformed(&format!("Unexpected \"{}\" character.", end.1)));
        }
        if !quoted && buffer.eq_ignore_ascii_case("null") {
            element(None)?;
        } else {
            element(Some(&buffer))?;
        }
        if end.1 == '}' {
            return if inner[end.0 + 1..].trim().is_empty() {
                Ok(())
            } else {
                Err(malformed("Junk after closing right brace."))
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<Option<String>>> {
        let mut v = Vec::new();
        parse(text, |e| {
            v.push(e.map(str::to_string));
            Ok(())
        })?;
        Ok(v)
    }

    #[test]
    fn quoting_round_trips() {
        let elements = [
            "a",
            "",
            "NULL",
            "a b",
            "x,y",
            "\"q\"",
            "back\\slash",
            "{}",
            "é",
        ];
        let mut text = String::from("{");
        for (i, e) in elements.iter().enumerate() {
            if i > 0 {
                text.push(',');
            }
            write_element(e, &mut text);
        }
        text.push('}');
        let back: Vec<_> = read(&text)
            .unwrap()
            .into_iter()
            .map(Option::unwrap)
            .collect();
        assert_eq!(back, elements);
        assert_eq!(
            read("{1, NULL ,3}").unwrap(),
            [Some("1".into()), None, Some("3".into())]
        );
        assert_eq!(read("{}").unwrap(), []);
        for bad in ["", "1", "{1", "{1,}", "{,1}", "{1}}", "{\"a\"b}", "{1} x"] {
            assert!(read(bad).is_err(), "{bad}");
        }
        assert_eq!(
            read("{{1},{2}}").unwrap_err().code,
            state::FEATURE_NOT_SUPPORTED
        );
    }
}
