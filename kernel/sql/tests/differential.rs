//! Expressions here and on PostgreSQL: the same text, the same type, the same column name, or the
//! same SQLSTATE.
//!
//! `expressions.sql` holds the curated ones, a line each. `generated` adds operators over values of
//! each type. Known differences are in `known_differences.txt`; one that goes away must be
//! removed from it.

#![allow(clippy::unwrap_used)]

mod clients;
mod copies;
mod grammar;
mod harness;
mod scripts;
mod support;

use harness::{Postgres, Row, Session};

fn curated() -> Vec<String> {
    include_str!("expressions.sql")
        .lines()
        .map(str::trim)
        .filter(|l| !l.is_empty() && !l.starts_with("--"))
        .map(|l| l.trim_end_matches(';').to_string())
        .collect()
}

/// Binary operators over pairs of typed values.
fn generated() -> Vec<String> {
    const VALUES: &[&str] = &[
        "1::int2",
        "32767::int2",
        "7",
        "2147483647",
        "(-2147483648)",
        "9223372036854775807",
        "0",
        "1.50",
        "-0.001",
        "99999999999999999999.5",
        "2.5::numeric",
        "'NaN'::numeric",
        "0.5::float4",
        "1e300::float8",
        "-2.5::float8",
        "'abc'::text",
        "'7'",
        "NULL",
        "date '2020-02-29'",
        "timestamp '2020-02-29 12:30:00'",
        "timestamptz '2020-02-29 12:30:00+02'",
        "interval '1 month 2 days 03:00:00'",
        "time '10:20:30'",
        "true",
    ];
    const OPERATORS: &[&str] = &["+", "-", "*", "/", "%", "=", "<", ">=", "||"];
    let mut out = Vec::new();
    for a in VALUES {
        for b in VALUES {
            for op in OPERATORS {
                out.push(format!("SELECT {a} {op} {b}"));
            }
        }
    }
    out
}

/// The statement with `pg_typeof` of its first column, when it is a plain `SELECT expression`.
fn with_type(sql: &str) -> Option<String> {
    let expression = sql.strip_prefix("SELECT ")?;
    let upper = expression.to_uppercase();
    if [
        " FROM ", " AS ", "UNION", " ORDER ", "UNNEST", "_SERIES(", "ELEMENTS", "DISTINCT",
    ]
    .iter()
    .any(|w| upper.contains(w))
    {
        return None;
    }
    Some(format!("SELECT pg_typeof({expression})"))
}

fn show(result: &Result<Vec<Row>, String>) -> String {
    match result {
        Err(code) => format!("error {code}"),
        Ok(rows) => rows
            .iter()
            .map(|r| {
                r.iter()
                    .map(|v| v.as_deref().unwrap_or("NULL"))
                    .collect::<Vec<_>>()
                    .join("|")
            })
            .collect::<Vec<_>>()
            .join(" / "),
    }
}

fn ours(session: &Session, sql: &str) -> Result<Vec<Row>, String> {
    session
        .run(sql)
        .map(|a| a.rows)
        .map_err(|e| e.code.as_str().to_string())
}

#[test]
fn expressions_mean_what_they_mean_in_postgres() {
    let postgres = match Postgres::start() {
        Ok(p) => p,
        Err(why) => {
            println!("skipped: no PostgreSQL to compare with: {why}");
            return;
        }
    };
    let session = Session::new();
    let mut statements = Vec::new();
    for sql in curated().into_iter().chain(generated()) {
        statements.extend(with_type(&sql));
        statements.push(sql);
    }
    let theirs = postgres.run(&statements);
    let known: Vec<&str> = include_str!("known_differences.txt")
        .lines()
        .map(str::trim)
        .filter(|l| !l.is_empty() && !l.starts_with('#'))
        .collect();
    let (mut different, mut fixed) = (Vec::new(), Vec::new());
    for (sql, theirs) in statements.iter().zip(&theirs) {
        let ours = ours(&session, sql);
        let listed = known.contains(&sql.as_str());
        match (ours == *theirs, listed) {
            (true, true) => fixed.push(sql.clone()),
            (false, false) => different.push(format!(
                "{sql}\n    here:       {}\n    PostgreSQL: {}",
                match session.run(sql) {
                    Err(e) => format!("error {} {}", e.code.as_str(), e.message),
                    Ok(_) => show(&ours),
                },
                show(theirs)
            )),
            _ => {}
        }
    }
    println!(
        "{} statements compared, {} known differences",
        statements.len(),
        known.len()
    );
    assert!(
        fixed.is_empty(),
        "no longer different, remove from known_differences.txt:\n{}",
        fixed.join("\n")
    );
    assert!(
        different.is_empty(),
        "{} differences:\n{}",
        different.len(),
        different.join("\n")
    );
}
