//! `\copy`: COPY whose file is on the client's side.

use std::io::{self, Read, Write};

use super::command::unquoted;
use super::printer::Printer;
use super::{Failure, Shell};
use crate::client::Error;
use crate::output::Format;

/// A `\copy` line, taken apart.
#[derive(Debug, PartialEq)]
struct CopyLine {
    /// Table with columns, or a query in parentheses.
    target: String,
    from: bool,
    /// `None` is standard input or output.
    file: Option<String>,
    options: String,
}

impl Shell {
    pub(super) fn copy(&mut self, line: &str) -> Result<(), Failure> {
        let copy = parse(line).map_err(|message| {
            self.complain(&message);
            Failure::Reported
        })?;
        let direction = if copy.from { "FROM STDIN" } else { "TO STDOUT" };
        let sql = format!("COPY {} {direction} {}", copy.target, copy.options);
        let outcome = if copy.from {
            self.copy_from(&sql, copy.file.as_deref())
        } else {
            self.copy_to(&sql, copy.file.as_deref())
        };
        outcome.map_err(|error| self.report(error, &sql, None))
    }

    fn copy_from(&mut self, sql: &str, file: Option<&str>) -> Result<(), Error> {
        let mut source: Box<dyn Read> = match file {
            Some(name) => Box::new(std::fs::File::open(name).map_err(|e| named(name, &e))?),
            None => Box::new(io::stdin()),
        };
        let mut out = io::stdout().lock();
        let mut printer = Printer::new(&mut out, self.format, false, false, Some(&mut source));
        self.client.run(sql, &mut printer)
    }

    fn copy_to(&mut self, sql: &str, file: Option<&str>) -> Result<(), Error> {
        let Some(name) = file else {
            let mut out = io::stdout().lock();
            let mut printer = Printer::new(&mut out, Format::Csv, false, false, None);
            return self.client.run(sql, &mut printer);
        };
        let created = std::fs::File::create(name).map_err(|e| named(name, &e))?;
        let mut out = io::BufWriter::new(created);
        let mut printer = Printer::new(&mut out, Format::Csv, false, false, None);
        self.client.run(sql, &mut printer)?;
        out.flush().map_err(|e| named(name, &e))
    }
}

fn named(name: &str, error: &io::Error) -> Error {
    Error::Local(io::Error::other(format!("{name}: {error}")))
}

fn parse(line: &str) -> Result<CopyLine, String> {
    let usage =
        || "usage: \\copy TARGET {from | to} {'FILE' | stdin | stdout} [OPTIONS]".to_owned();
    let (at, word) = direction(line).ok_or_else(usage)?;
    let target = line[..at].trim().to_owned();
    let rest = line[at + word.len()..].trim_start();
    let (name, options) = file_name(rest).ok_or_else(usage)?;
    if target.is_empty() || name.is_empty() {
        return Err(usage());
    }
    let from = word.eq_ignore_ascii_case("from");
    let standard = ["stdin", "stdout", "pstdin", "pstdout"];
    let file = if standard.iter().any(|s| name.eq_ignore_ascii_case(s)) {
        None
    } else if name.eq_ignore_ascii_case("program") {
        return Err("\\copy with a program is not supported".to_owned());
    } else {
        Some(unquoted(name))
    };
    Ok(CopyLine {
        target,
        from,
        file,
        options: options.trim().to_owned(),
    })
}

/// The first `from` or `to` outside quotes and parentheses.
fn direction(line: &str) -> Option<(usize, &str)> {
    let mut depth = 0;
    let mut quote: Option<char> = None;
    let mut word_start: Option<usize> = None;
    for (i, c) in line.char_indices().chain([(line.len(), ' ')]) {
        let in_word = quote.is_none() && (c.is_alphanumeric() || c == '_');
        match (in_word, word_start) {
            (true, None) => word_start = Some(i),
            (false, Some(start)) => {
                let word = &line[start..i];
                let found = word.eq_ignore_ascii_case("from") || word.eq_ignore_ascii_case("to");
                if found && depth == 0 {
                    return Some((start, word));
                }
                word_start = None;
            }
            _ => {}
        }
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (None, '\'' | '"') => quote = Some(c),
            (None, '(') => depth += 1,
            (None, ')') => depth -= 1,
            _ => {}
        }
    }
    None
}

/// The file's name, quotes included, and what follows it.
fn file_name(text: &str) -> Option<(&str, &str)> {
    if !text.starts_with('\'') {
        return Some(text.split_once(char::is_whitespace).unwrap_or((text, "")));
    }
    let bytes = text.as_bytes();
    let mut i = 1;
    while i < bytes.len() {
        if bytes[i] == b'\'' {
            if bytes.get(i + 1) != Some(&b'\'') {
                return Some(text.split_at(i + 1));
            }
            i += 1;
        }
        i += 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_apart() {
        assert_eq!(
            parse("flights (a, b) from '/x/it''s.csv' with (format csv, null 'NA')").unwrap(),
            CopyLine {
                target: "flights (a, b)".into(),
                from: true,
                file: Some("/x/it's.csv".into()),
                options: "with (format csv, null 'NA')".into()
            }
        );
        assert_eq!(
            parse("(select 'from' from t) TO out.csv csv").unwrap(),
            CopyLine {
                target: "(select 'from' from t)".into(),
                from: false,
                file: Some("out.csv".into()),
                options: "csv".into()
            }
        );
        assert_eq!(parse("t from STDIN").unwrap().file, None);
        assert!(parse("t").is_err());
        assert!(parse("t from").is_err());
        assert!(parse("t from 'open").is_err());
        assert!(parse("t from program 'ls'").is_err());
    }
}
