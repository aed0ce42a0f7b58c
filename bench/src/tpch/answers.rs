//! Queries through psql, timed by psql, and answers of different servers held against each other.

use crate::peer::{Peer, checked};

/// Between values and instead of NULL in what psql prints: nothing that TPC-H has.
const SEPARATOR: &str = "\u{1f}";
const NULL: &str = "\u{1e}";
/// Averages are exact in one server and floating point in the other.
const RELATIVE: f64 = 1e-9;

/// Rows, and how long psql waited for them.
pub struct Timed {
    pub seconds: f64,
    pub rows: Vec<Vec<Option<String>>>,
}

/// Run the statements of `sql`.
pub fn ask(peer: &Peer, sql: &str) -> Result<Timed, String> {
    let output = checked(
        peer.client("psql")
            .args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1"])
            .args(["-F", SEPARATOR, "-P", &format!("null={NULL}")])
            .args(["-c", "\\timing on"])
            .args(statements(sql).flat_map(|statement| ["-c", statement])),
    )?;
    parse(&output)
}

/// psql gives each statement of one `-c` no time of its own, so each is a `-c`.
fn statements(sql: &str) -> impl Iterator<Item = &str> {
    sql.split(';')
        .map(str::trim)
        .filter(|text| !text.is_empty())
}

fn parse(output: &str) -> Result<Timed, String> {
    let mut timed = Timed {
        seconds: 0.0,
        rows: Vec::new(),
    };
    for line in output.lines() {
        if let Some(rest) = line.strip_prefix("Time: ") {
            let number = rest.split(' ').next().unwrap_or_default();
            let milliseconds: f64 = number.parse().map_err(|e| format!("{line}: {e}"))?;
            timed.seconds += milliseconds / 1e3;
        } else if !line.is_empty() {
            let values = line.split(SEPARATOR);
            timed.rows.push(
                values
                    .map(|value| (value != NULL).then(|| value.to_owned()))
                    .collect(),
            );
        }
    }
    Ok(timed)
}

/// Whether two answers are the same, and where they are not. Numbers may differ in their last digits
/// and texts in the spaces that `char(n)` ends with.
pub fn same(found: &[Vec<Option<String>>], expected: &[Vec<Option<String>>]) -> Result<(), String> {
    if found.len() != expected.len() {
        return Err(format!("{} rows, not {}", found.len(), expected.len()));
    }
    for (number, (found, expected)) in found.iter().zip(expected).enumerate() {
        let equal = found.len() == expected.len()
            && found.iter().zip(expected).all(|pair| match pair {
                (Some(a), Some(b)) => same_value(a, b),
                (a, b) => a == b,
            });
        if !equal {
            return Err(format!("row {number} is {found:?}, not {expected:?}"));
        }
    }
    Ok(())
}

fn same_value(a: &str, b: &str) -> bool {
    if a.trim_end() == b.trim_end() {
        return true;
    }
    match (a.parse::<f64>(), b.parse::<f64>()) {
        (Ok(a), Ok(b)) => (a - b).abs() <= RELATIVE * a.abs().max(b.abs()),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn psql_says_rows_and_times() {
        let output = "a\u{1f}\u{1e}\nTime: 1500.250 ms (00:01.500)\n";
        let timed = parse(output).unwrap();
        assert_eq!(timed.rows, [[Some("a".to_owned()), None]]);
        assert!((timed.seconds - 1.50025).abs() < 1e-9);
    }

    #[test]
    fn a_changed_value_a_missing_row_and_a_null_are_seen() {
        let row = |values: &[Option<&str>]| -> Vec<Option<String>> {
            values
                .iter()
                .map(|value| value.map(str::to_owned))
                .collect()
        };
        let rows = |a, b| vec![row(&[a, b])];
        let expected = rows(Some("BRAZIL   "), Some("25.533587"));
        assert!(same(&rows(Some("BRAZIL"), Some("25.533587000000001")), &expected).is_ok());
        assert!(same(&rows(Some("BRAZIL"), Some("25.53358")), &expected).is_err());
        assert!(same(&rows(Some("brazil"), Some("25.533587")), &expected).is_err());
        assert!(same(&rows(None, Some("25.533587")), &expected).is_err());
        assert!(same(&[], &expected).is_err());
    }
}
