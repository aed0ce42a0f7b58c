//! What a server's log tells of the statements that failed.

use std::collections::BTreeMap;

/// A statement that failed.
#[derive(Debug, PartialEq)]
pub struct Failure {
    pub sqlstate: String,
    pub error: String,
    pub statement: String,
}

impl Failure {
    /// An error that no statement may end with: something in here was not as it has to be.
    pub fn is_internal(&self) -> bool {
        self.sqlstate.starts_with("XX")
    }
}

/// What stands in a log.
#[derive(Debug, Default)]
pub struct Told {
    pub failures: Vec<Failure>,
    /// The lines of panics.
    pub panics: Vec<String>,
}

/// Reads a log. An entry begins with its time; what follows up to the next one are lines of a statement or of a panic.
pub fn read(log: &str) -> Told {
    let mut told = Told::default();
    let mut entry = String::new();
    for line in log.lines() {
        if line.contains("panicked at") {
            told.panics.push(line.to_owned());
        }
        if begins(line) {
            told.failures.extend(failure(&entry));
            entry.clear();
        }
        entry.push_str(line);
        entry.push('\n');
    }
    told.failures.extend(failure(&entry));
    told
}

/// `2026-11-23T…`
fn begins(line: &str) -> bool {
    let pattern = "0000-00-00T";
    let as_pattern = |(c, p): (char, char)| match p {
        '0' => c.is_ascii_digit(),
        _ => c == p,
    };
    line.len() > pattern.len() && line.chars().zip(pattern.chars()).all(as_pattern)
}

fn failure(entry: &str) -> Option<Failure> {
    let (_, rest) = entry.split_once(": statement failed ")?;
    let (_, rest) = rest.split_once("sqlstate=")?;
    let (sqlstate, rest) = rest.split_once(" error=")?;
    let (error, statement) = rest.split_once(" statement=")?;
    Some(Failure {
        sqlstate: sqlstate.to_owned(),
        error: error.to_owned(),
        statement: statement.trim_end().to_owned(),
    })
}

/// Failures by their SQLSTATE: how many, and which message without its names was the most frequent.
pub fn by_sqlstate(failures: &[Failure]) -> BTreeMap<&str, (usize, String)> {
    let mut messages: BTreeMap<&str, BTreeMap<String, usize>> = BTreeMap::new();
    for failure in failures {
        let of = messages.entry(failure.sqlstate.as_str()).or_default();
        *of.entry(without_names(&failure.error)).or_default() += 1;
    }
    let summed = messages.into_iter().map(|(sqlstate, messages)| {
        let count = messages.values().sum();
        let most = messages.into_iter().max_by_key(|(_, count)| *count);
        (
            sqlstate,
            (count, most.map(|(text, _)| text).unwrap_or_default()),
        )
    });
    summed.collect()
}

/// A message's first line with `…` for what is quoted in it.
pub fn without_names(message: &str) -> String {
    let line = message.lines().next().unwrap_or_default();
    let mut text = String::new();
    for (i, part) in line.split('"').enumerate() {
        text.push_str(match i % 2 {
            0 => part,
            _ => "\"…\"",
        });
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_read_with_all_their_lines() {
        let log = "2026-11-23T02:28:21.0Z  WARN something else\n\
                   2026-11-23T02:28:21.0Z  INFO heliosdb::statement: statement failed statement_id=4.6 user=a database=b \
                   sqlstate=42704 error=type \"x\" does not exist statement=select\n  1,\n  2\n\
                   thread 'main' panicked at src/a.rs:1:2:\nboom\n\
                   2026-11-23T02:28:22.0Z  INFO heliosdb::statement: statement failed statement_id=4.7 user=a database=b \
                   sqlstate=XX000 error=lost statement=select 3\n";
        let told = read(log);
        assert_eq!(
            told.panics,
            ["thread 'main' panicked at src/a.rs:1:2:".to_owned()]
        );
        let [first, second] = told.failures.as_slice() else {
            panic!("{told:?}");
        };
        assert_eq!(first.error, "type \"x\" does not exist");
        assert!(first.statement.starts_with("select\n  1,\n  2"));
        assert!(!first.is_internal());
        assert!(second.is_internal());
        let counted = by_sqlstate(&told.failures);
        assert_eq!(
            counted["42704"],
            (1, "type \"…\" does not exist".to_owned())
        );
    }
}
