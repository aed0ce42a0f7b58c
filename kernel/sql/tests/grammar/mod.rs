//! Queries made up from a grammar ([`make`]): answered as PostgreSQL answers them, and, with or without one beside
//! us, never with an internal error, and the same in one piece as in three.
//!
//! `HELIOSDB_SEED` says from which number to begin, and `HELIOSDB_QUERIES` how many to make; `cargo xtask fuzz` goes
//! through many. A query that is refused by name (0A000) is counted and no failure.

mod make;

use super::harness::Postgres;
use super::support::{Client, Db};
use make::{Make, SCHEMA};

fn number(name: &str, otherwise: u64) -> u64 {
    let said = std::env::var(name).ok();
    said.and_then(|said| said.parse().ok()).unwrap_or(otherwise)
}

/// The lines of an answer, without an order.
fn sorted(answer: &str) -> Vec<&str> {
    let mut lines: Vec<&str> = answer.lines().collect();
    lines.sort_unstable();
    lines
}

/// `ERROR 22012`, of an error.
fn code(answer: &str) -> Option<&str> {
    answer.starts_with("ERROR ").then(|| &answer[..11])
}

fn session(db: &Db) -> Client {
    let mut session = db.session();
    session.ok("SET statement_timeout = '20s'");
    session
}

#[test]
fn queries_of_a_grammar_mean_what_they_mean_in_postgres() {
    let (first, count) = (number("HELIOSDB_SEED", 1), number("HELIOSDB_QUERIES", 250));
    let queries: Vec<String> = (first..first + count)
        .map(|seed| Make::new(seed).statement())
        .collect();
    let db = Db::new();
    let mut session = session(&db);
    session.ok(SCHEMA);
    let theirs = match Postgres::start() {
        Ok(postgres) => {
            let schema: Vec<&str> = SCHEMA.lines().filter(|line| !line.is_empty()).collect();
            let asked: Vec<String> = queries.iter().map(|query| format!("{query};")).collect();
            let all: Vec<&str> = schema
                .iter()
                .copied()
                .chain(asked.iter().map(String::as_str))
                .collect();
            postgres.script("grammar", &all).split_off(schema.len())
        }
        Err(why) => {
            println!("not compared: no PostgreSQL to compare with: {why}");
            Vec::new()
        }
    };
    let (mut wrong, mut refused, mut failed, mut rows) = (Vec::new(), 0, 0, 0);
    for (i, query) in queries.iter().enumerate() {
        let ours = session.run(query);
        let theirs = theirs.get(i);
        let is_right = match (code(&ours), theirs) {
            (Some(code), _) if code.starts_with("ERROR XX") => false,
            (Some("ERROR 0A000"), _) => {
                refused += 1;
                true
            }
            (Some(ours), Some(theirs)) => {
                failed += 1;
                code(theirs) == Some(ours)
            }
            (None, Some(theirs)) => {
                rows += ours.lines().count() - 1;
                sorted(&ours) == sorted(theirs)
            }
            (_, None) => true,
        };
        if !is_right {
            let seed = first + i as u64;
            let theirs = theirs.map(String::as_str).unwrap_or_default();
            wrong.push(format!(
                "seed {seed}: {query};\n  here:\n{ours}  PostgreSQL:\n{theirs}"
            ));
        }
    }
    println!("{count} queries from {first}: {rows} rows, {refused} refused, {failed} failed alike");
    assert!(
        wrong.is_empty(),
        "{} differ\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

/// Every row makes a condition true, false or unknown (ternary logic partitioning, Rigger and Su 2020).
#[test]
fn a_condition_parts_rows_in_three() {
    let (first, count) = (
        number("HELIOSDB_SEED", 1),
        number("HELIOSDB_QUERIES", 250) / 4,
    );
    let db = Db::new();
    let mut session = session(&db);
    session.ok(SCHEMA);
    let mut parted = 0;
    for seed in first..first + count {
        let (from, condition) = Make::new(seed).partition();
        let mut counted = |condition: &str| {
            let answer = session.run(&format!("SELECT count(*) FROM {from}{condition}"));
            assert!(
                !answer.contains("ERROR XX"),
                "seed {seed}: {from}{condition}\n{answer}"
            );
            answer
                .lines()
                .nth(1)
                .and_then(|line| line.parse::<u64>().ok())
        };
        let parts = [
            format!(" WHERE {condition}"),
            format!(" WHERE NOT ({condition})"),
            format!(" WHERE ({condition}) IS NULL"),
        ];
        let (all, parts) = (counted(""), parts.map(|part| counted(&part)));
        if let (Some(all), [Some(yes), Some(no), Some(unknown)]) = (all, parts) {
            parted += 1;
            assert_eq!(
                all,
                yes + no + unknown,
                "seed {seed}: {from} WHERE {condition}"
            );
        }
    }
    assert!(parted * 2 > count, "{parted} of {count} were answered");
}
