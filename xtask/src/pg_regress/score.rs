//! How much of an expected output a run gave, statement by statement.
//!
//! psql echoes every line of its script before it prints what came of it. So the printed lines between the echoes
//! belong to the statement whose last line was echoed, and can be compared without a word about the others.

use std::collections::BTreeMap;

#[derive(Default)]
pub struct Score {
    pub statements: usize,
    pub agreeing: usize,
    /// Errors that were printed and not expected: how many statements have which, without the names in them.
    pub errors: BTreeMap<String, usize>,
    /// Statements with an internal error, as they were written.
    pub internal: Vec<String>,
}

impl Score {
    pub fn is_whole(&self) -> bool {
        self.agreeing == self.statements
    }
}

/// `script` gave `expected` on PostgreSQL, and `adapted`, which has as many lines, gave `printed`.
pub fn score(script: &str, expected: &str, adapted: &str, printed: &str) -> Score {
    let kinds = kinds(script);
    let (expected, expected_lines) = by_line(script, expected, &kinds);
    let (printed, printed_lines) = by_line(adapted, printed, &kinds);
    let lines: Vec<&str> = script.lines().collect();
    let mut score = Score::default();
    let mut first = 0;
    // A script that quits where PostgreSQL lacks something asks nothing behind that.
    for (at, line) in lines.iter().enumerate().take(expected_lines) {
        if kinds[at] != Kind::End {
            continue;
        }
        let statement = lines[first..=at].join("\n");
        first = at + 1;
        // Of psql's own commands, only those that print something tell of the server.
        let nothing = Vec::new();
        let wanted = expected.get(&at).unwrap_or(&nothing);
        let got = printed.get(&at).unwrap_or(&nothing);
        if line.starts_with('\\') && wanted.is_empty() && got.is_empty() {
            continue;
        }
        score.statements += 1;
        if at >= printed_lines {
            *score.errors.entry("not reached".to_owned()).or_default() += 1;
            continue;
        }
        if wanted == got {
            score.agreeing += 1;
            continue;
        }
        let error = got.iter().find(|l| is_error(l));
        match error {
            Some(error) if !wanted.contains(error) => {
                *score.errors.entry(without_names(error)).or_default() += 1;
                if error.contains("internal error") {
                    score.internal.push(format!("{error}\n{statement}"));
                }
            }
            _ => *score.errors.entry("another result".to_owned()).or_default() += 1,
        }
    }
    score
}

fn is_error(line: &str) -> bool {
    ["ERROR:", "FATAL:", "PANIC:", "server closed the connection"]
        .iter()
        .any(|word| line.contains(word))
}

/// An error without what is quoted in it, and without numbers.
fn without_names(error: &str) -> String {
    let mut text = String::new();
    let mut quote: Option<char> = None;
    for c in error.chars() {
        match (quote, c) {
            (Some(open), c) if c == open => {
                quote = None;
                text.push('…');
                text.push(c);
            }
            (Some(_), _) => {}
            (None, '"') => {
                quote = Some(c);
                text.push(c);
            }
            (None, c) if c.is_ascii_digit() => {
                if !text.ends_with('0') {
                    text.push('0');
                }
            }
            (None, c) => text.push(c),
        }
    }
    text
}

/// What was printed after each line, by its place in the script, and how many lines were echoed. Those are found in
/// their order.
fn by_line<'a>(
    script: &str,
    output: &'a str,
    kinds: &[Kind],
) -> (BTreeMap<usize, Vec<&'a str>>, usize) {
    let lines: Vec<&str> = script.lines().collect();
    let mut out: BTreeMap<usize, Vec<&str>> = BTreeMap::new();
    let mut next = 0;
    for line in output.lines() {
        while kinds.get(next) == Some(&Kind::Unseen) {
            next += 1;
        }
        if lines.get(next) == Some(&line) {
            next += 1;
            continue;
        }
        // What a statement prints stands behind the end of it, even if psql echoed more lines first.
        let printed = next.saturating_sub(1);
        let at = (0..=printed)
            .rev()
            .find(|i| kinds.get(*i) == Some(&Kind::End));
        out.entry(at.unwrap_or(0))
            .or_default()
            .push(line.trim_end());
    }
    (out, next)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// A line of a statement, or a comment.
    Inside,
    /// The last of a statement, or a command of psql.
    End,
    /// Empty, or data: it is not echoed.
    Unseen,
}

fn kinds(script: &str) -> Vec<Kind> {
    let mut kinds = Vec::new();
    let mut dollar: Option<String> = None;
    let (mut in_quote, mut in_data, mut in_comment) = (false, false, false);
    for line in script.lines() {
        if in_data {
            in_data = line != "\\.";
            kinds.push(Kind::Unseen);
            continue;
        }
        let mut rest = line;
        let mut code = String::new();
        while !rest.is_empty() {
            if in_comment {
                match rest.find("*/") {
                    Some(at) => {
                        in_comment = false;
                        rest = &rest[at + 2..];
                    }
                    None => rest = "",
                }
            } else if let Some(tag) = &dollar {
                match rest.find(tag.as_str()) {
                    Some(at) => {
                        rest = &rest[at + tag.len()..];
                        dollar = None;
                    }
                    None => rest = "",
                }
            } else if in_quote {
                match rest.find('\'') {
                    Some(at) => {
                        rest = &rest[at + 1..];
                        in_quote = false;
                    }
                    None => rest = "",
                }
            } else if rest.starts_with("--") {
                rest = "";
            } else if let Some(after) = rest.strip_prefix("/*") {
                in_comment = true;
                rest = after;
            } else if let Some(after) = rest.strip_prefix('\'') {
                in_quote = true;
                rest = after;
            } else if let Some(tag) = dollar_tag(rest) {
                rest = &rest[tag.len()..];
                dollar = Some(tag);
            } else if let Some(c) = rest.chars().next() {
                code.push(c);
                rest = &rest[c.len_utf8()..];
            }
        }
        let code = code.trim();
        let inside = in_quote || in_comment || dollar.is_some();
        let is_command = code.starts_with('\\')
            || ["\\g", "\\crosstabview", "\\watch"]
                .iter()
                .any(|command| code.contains(command));
        let ended = !inside && (code.ends_with(';') || is_command);
        kinds.push(match (line.is_empty(), ended) {
            (true, _) => Kind::Unseen,
            (false, true) => Kind::End,
            (false, false) => Kind::Inside,
        });
        let lower = line.to_ascii_lowercase();
        let copies = lower.trim_start().starts_with("copy ") || lower.starts_with("\\copy ");
        in_data = ended && copies && lower.contains("from stdin");
    }
    kinds
}

/// `$tag$` at the beginning of a text.
fn dollar_tag(text: &str) -> Option<String> {
    let rest = text.strip_prefix('$')?;
    let end = rest.find('$')?;
    let tag = &rest[..end];
    let fits = tag.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        && !tag.starts_with(|c: char| c.is_ascii_digit());
    fits.then(|| format!("${tag}$"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCRIPT: &str = "-- about\nSELECT 1;\n\nSELECT\n  2;\nCREATE FUNCTION f() AS $$\nx;\n$$;\nCOPY t FROM stdin;\n1;\n\\.\n\\set a 1\n";

    #[test]
    fn statements_are_found() {
        let found = kinds(SCRIPT);
        let places = |kind| {
            let of_kind = (0..found.len()).filter(|i| found[*i] == kind);
            of_kind.collect::<Vec<usize>>()
        };
        assert_eq!(places(Kind::End), [1, 4, 7, 8, 11]);
        assert_eq!(places(Kind::Unseen), [2, 9, 10]);
    }

    #[test]
    fn each_statement_is_judged_by_itself() {
        let expected = "-- about\nSELECT 1;\n 1\nSELECT\n  2;\n 2\nCREATE FUNCTION f() AS $$\nx;\n$$;\nCOPY t FROM stdin;\n\\set a 1\n";
        let whole = score(SCRIPT, expected, SCRIPT, expected);
        assert_eq!((whole.statements, whole.agreeing), (4, 4));
        let printed = expected.replace("\n 1\n", "\nERROR:  function \"one\" 12 failed\n");
        let other = score(SCRIPT, expected, SCRIPT, &printed);
        assert_eq!((other.statements, other.agreeing), (4, 3));
        assert_eq!(other.errors["ERROR:  function \"…\" 0 failed"], 1);
        let ended = &expected[..expected.find("CREATE").unwrap()];
        let other = score(SCRIPT, expected, SCRIPT, ended);
        assert_eq!((other.statements, other.agreeing), (4, 2));
        let other = score(SCRIPT, ended, SCRIPT, ended);
        assert_eq!((other.statements, other.agreeing), (2, 2));
    }
}
