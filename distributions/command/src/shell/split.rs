//! Cutting input into statements at semicolons, as psql does: not inside quotes, dollar quotes,
//! comments or parentheses.

/// Where the lexer stands at the end of the text so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inside {
    /// Nothing but blanks and comments since the last semicolon.
    Nothing,
    Statement,
    Parentheses,
    SingleQuotes,
    DoubleQuotes,
    DollarQuotes,
    Comment,
}

impl Inside {
    /// The character psql puts into its continuation prompt.
    pub fn prompt(self) -> char {
        match self {
            Inside::Nothing => '=',
            Inside::Statement => '-',
            Inside::Parentheses => '(',
            Inside::SingleQuotes => '\'',
            Inside::DoubleQuotes => '"',
            Inside::DollarQuotes => '$',
            Inside::Comment => '*',
        }
    }
}

/// The length in bytes of the first statement of `text`, its semicolon included, or where the text
/// leaves off.
pub fn first_statement(text: &str) -> Result<usize, Inside> {
    let bytes = text.as_bytes();
    let mut i = 0;
    let mut depth = 0usize;
    let mut begun = false;
    while i < bytes.len() {
        match bytes[i] {
            b'-' if bytes.get(i + 1) == Some(&b'-') => {
                i = bytes[i..]
                    .iter()
                    .position(|b| *b == b'\n')
                    .map_or(bytes.len(), |n| i + n);
                continue;
            }
            b'/' if bytes.get(i + 1) == Some(&b'*') => {
                i = comment_end(bytes, i).ok_or(Inside::Comment)?;
                continue;
            }
            b'\'' => {
                let escapes = i > 0
                    && matches!(bytes[i - 1], b'e' | b'E')
                    && (i < 2 || !is_word(bytes[i - 2]));
                i = quote_end(bytes, i, b'\'', escapes).ok_or(Inside::SingleQuotes)?;
                begun = true;
                continue;
            }
            b'"' => {
                i = quote_end(bytes, i, b'"', false).ok_or(Inside::DoubleQuotes)?;
                begun = true;
                continue;
            }
            b'$' if i == 0 || !is_word(bytes[i - 1]) => {
                begun = true;
                if let Some(tag) = dollar_tag(&text[i..]) {
                    let body = i + tag.len();
                    let end = text[body..].find(tag).ok_or(Inside::DollarQuotes)?;
                    i = body + end + tag.len();
                    continue;
                }
            }
            b'(' => depth += 1,
            b')' => depth = depth.saturating_sub(1),
            b';' if depth == 0 => return Ok(i + 1),
            _ => {}
        }
        begun |= !bytes[i].is_ascii_whitespace();
        i += 1;
    }
    Err(match (begun, depth) {
        (false, _) => Inside::Nothing,
        (true, 0) => Inside::Statement,
        (true, _) => Inside::Parentheses,
    })
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'$' || byte >= 0x80
}

/// Comments nest.
fn comment_end(bytes: &[u8], start: usize) -> Option<usize> {
    let mut depth = 0;
    let mut i = start;
    while i + 1 < bytes.len() {
        match &bytes[i..i + 2] {
            b"/*" => {
                depth += 1;
                i += 2;
            }
            b"*/" => {
                depth -= 1;
                i += 2;
                if depth == 0 {
                    return Some(i);
                }
            }
            _ => i += 1,
        }
    }
    None
}

fn quote_end(bytes: &[u8], start: usize, quote: u8, escapes: bool) -> Option<usize> {
    let mut i = start + 1;
    while i < bytes.len() {
        if escapes && bytes[i] == b'\\' {
            i += 2;
        } else if bytes[i] == quote {
            if bytes.get(i + 1) != Some(&quote) {
                return Some(i + 1);
            }
            i += 2;
        } else {
            i += 1;
        }
    }
    None
}

/// `$$` or `$name$` at the start of `text`.
fn dollar_tag(text: &str) -> Option<&str> {
    let end = text[1..].find('$')? + 1;
    let name = &text[1..end];
    let valid = name.bytes().all(|b| is_word(b) && b != b'$')
        && !name.bytes().next().is_some_and(|b| b.is_ascii_digit());
    valid.then(|| &text[..=end])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Result<&str, Inside>) {
        assert_eq!(
            first_statement(text).map(|n| &text[..n]),
            expected,
            "{text}"
        );
    }

    #[test]
    fn semicolons_count_only_at_the_top_level() {
        check("select 1; select 2", Ok("select 1;"));
        check("select ';'; x", Ok("select ';';"));
        check("select 'it''s;'; x", Ok("select 'it''s;';"));
        check(r"select E'\';'; x", Ok(r"select E'\';';"));
        check(r"select '\'; x", Ok(r"select '\';"));
        check("select \";\"; x", Ok("select \";\";"));
        check(
            "select $$;$$, $a$ $$;$a$; x",
            Ok("select $$;$$, $a$ $$;$a$;"),
        );
        check("select $1; x", Ok("select $1;"));
        check("-- a;\nselect 1;", Ok("-- a;\nselect 1;"));
        check(
            "/* a; /* b; */ ; */ select 1;",
            Ok("/* a; /* b; */ ; */ select 1;"),
        );
        check(
            "create rule r as (select 1;); x",
            Ok("create rule r as (select 1;);"),
        );
    }

    #[test]
    fn unfinished_text_says_where_it_stands() {
        check("  -- note\n", Err(Inside::Nothing));
        check("select 1", Err(Inside::Statement));
        check("select (1", Err(Inside::Parentheses));
        check("select 'a;", Err(Inside::SingleQuotes));
        check("select \"a;", Err(Inside::DoubleQuotes));
        check("select $x$ ;", Err(Inside::DollarQuotes));
        check("select /* ;", Err(Inside::Comment));
        check("", Err(Inside::Nothing));
        check("$", Err(Inside::Statement));
    }
}
