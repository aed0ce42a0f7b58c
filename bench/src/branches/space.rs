//! The space that history takes, beside MariaDB's system-versioned tables.
//!
//! The same rows, and the same rounds of updates of a tenth and deletions, a statement a commit. Both keep every
//! version, HeliosDB because its default retention is longer than the run: they must have the same rows at the end and as many versions, and show at the time of the load what was
//! loaded. Beside each is a fresh table with nothing but the final rows. HeliosDB's bytes are those of all its segments,
//! the catalog and indexes among them; MariaDB's those of the table's file.

use std::path::Path;
use std::time::Instant;

use super::mariadb::MariaDb;
use super::{Client, Plan, open, same, segment_bytes, text};
use crate::peer::temporary_directory;
use crate::table;

const ROWS: u64 = 200_000;
const ROWS_QUICK: u64 = 50_000;
const ROUNDS: u64 = 20;
const ROUNDS_QUICK: u64 = 10;

/// Deleted in a round is the part of the rows whose keys have this remainder.
const DELETED_OF: u64 = 200;

/// What both databases must agree on.
#[derive(Clone, Debug, PartialEq)]
struct Outcome {
    rows: i64,
    sum: i64,
    /// The least and the greatest.
    texts: (String, String),
    /// Of all rows, those that are there among them.
    versions: i64,
}

struct Work {
    rows: u64,
    rounds: u64,
}

impl Work {
    /// A tenth of the rows is updated, and `text` is what theirs becomes.
    fn update(round: u64, text: &str) -> String {
        format!(
            "UPDATE t SET n = n + 1, s = {text} WHERE id % 10 = {}",
            round % 10
        )
    }

    fn delete(round: u64) -> String {
        format!("DELETE FROM t WHERE id % {DELETED_OF} = {round}")
    }
}

pub fn run(plan: &Plan) -> Result<(), String> {
    let work = Work {
        rows: plan.choose(ROWS, ROWS_QUICK),
        rounds: plan.choose(ROUNDS, ROUNDS_QUICK),
    };
    let scratch = temporary_directory()?;
    let mut lines = Vec::new();
    let ours = helios(&work, scratch.path(), &mut lines)?;
    println!(
        "{} rows, {} rounds; {} rows in the end, and {} versions\n",
        work.rows, work.rounds, ours.rows, ours.versions
    );
    let mariadb = MariaDb::start()?;
    if let Some(mariadb) = &mariadb {
        println!("MariaDB {}\n", mariadb.run("SELECT VERSION()")?);
        for format in ["DYNAMIC", "COMPRESSED"] {
            let what = format!("MariaDB, ROW_FORMAT={format}");
            let theirs = versioned(&work, mariadb, &what, format, &mut lines)?;
            same(&what, theirs, ours.clone())?;
        }
    }
    table::print(
        &[
            "what",
            "work s",
            "with history MB",
            "without MB",
            "times",
            "bytes an old version",
        ],
        &lines,
    );
    if mariadb.is_none() {
        println!(
            "\nMariaDB is not on this machine, and was skipped: apt-get install mariadb-server"
        );
    }
    Ok(())
}

fn line(what: &str, seconds: f64, with: u64, without: u64, outcome: &Outcome) -> Vec<String> {
    let old = outcome.versions - outcome.rows;
    vec![
        what.to_owned(),
        format!("{seconds:.1}"),
        format!("{:.2}", with as f64 / 1e6),
        format!("{:.2}", without as f64 / 1e6),
        format!("{:.2}", with as f64 / without as f64),
        format!("{:.1}", (with as f64 - without as f64) / old as f64),
    ]
}

const TABLE: &str = "CREATE TABLE t (id bigint PRIMARY KEY, k int, n int, s varchar(64))";
const SUMS: &str = "count(*), sum(n), min(s), max(s)";

fn helios(work: &Work, scratch: &Path, lines: &mut Vec<Vec<String>>) -> Result<Outcome, String> {
    let directory = scratch.join("versioned");
    let database = open(&directory, "")?;
    let mut client = Client::new(&database)?;
    let start = Instant::now();
    client.run(TABLE)?;
    let insert = format!(
        "INSERT INTO t SELECT i, i % 1000, 0, md5(i::text) FROM generate_series(1, {}) AS g(i)",
        work.rows
    );
    client.affect(&insert, work.rows)?;
    let loaded = client.scn()?;
    let mut versions = work.rows;
    for round in 1..=work.rounds {
        let text = format!("md5(id::text || ':{round}')");
        versions += client.run(&Work::update(round, &text))?;
        client.affect(&Work::delete(round), work.rows / DELETED_OF)?;
    }
    let seconds = start.elapsed().as_secs_f64();
    let now = client.scn()?;

    let mut bytes = Vec::new();
    for finish in ["CHECKPOINT", "VACUUM"] {
        client.run(finish)?;
        bytes.push((finish, segment_bytes(&directory)?));
        // History is there, all of it.
        let then = format!("FROM t AS OF SCN {loaded}");
        client.expect(&format!("SELECT count(*) {then}"), work.rows as i64)?;
        client.expect(&format!("SELECT sum(n) {then}"), 0)?;
        let all = format!("SELECT count(*) FROM t VERSIONS BETWEEN SCN {loaded} AND {now}");
        client.expect(&all, versions as i64)?;
    }
    let outcome = sums(&mut client, versions as i64)?;
    let file = scratch.join("rows");
    client.run(&format!("COPY t TO '{}'", file.display()))?;
    drop(client);
    database.close().map_err(text)?;

    let directory = scratch.join("fresh");
    let database = open(&directory, "")?;
    let mut client = Client::new(&database)?;
    client.run(TABLE)?;
    let copy = format!("COPY t FROM '{}'", file.display());
    client.affect(&copy, outcome.rows as u64)?;
    for (finish, with) in bytes {
        client.run(finish)?;
        let without = segment_bytes(&directory)?;
        let what = format!("HeliosDB, after {finish}");
        lines.push(line(&what, seconds, with, without, &outcome));
    }
    same(
        "the rows without history",
        sums(&mut client, outcome.versions)?,
        outcome.clone(),
    )?;
    drop(client);
    database.close().map_err(text)?;
    Ok(outcome)
}

fn sums(client: &mut Client, versions: i64) -> Result<Outcome, String> {
    let sql = format!("SELECT {SUMS} FROM t");
    let found = client.connection.query(&sql, &[]).map_err(text)?;
    let found = found.one().map_err(text)?;
    Ok(Outcome {
        rows: found.get(0).map_err(text)?,
        sum: found.get(1).map_err(text)?,
        texts: (found.get(2).map_err(text)?, found.get(3).map_err(text)?),
        versions,
    })
}

fn versioned(
    work: &Work,
    mariadb: &MariaDb,
    what: &str,
    format: &str,
    lines: &mut Vec<Vec<String>>,
) -> Result<Outcome, String> {
    mariadb.run("DROP TABLE IF EXISTS t, fresh")?;
    let options = format!("ENGINE=InnoDB ROW_FORMAT={format}");
    let start = Instant::now();
    mariadb.run(&format!("{TABLE} {options} WITH SYSTEM VERSIONING"))?;
    let insert = format!(
        "INSERT INTO t SELECT seq, seq % 1000, 0, md5(seq) FROM seq_1_to_{}",
        work.rows
    );
    same("rows inserted", mariadb.affect(&insert)?, work.rows)?;
    let loaded = mariadb.run("SELECT NOW(6)")?;
    for round in 1..=work.rounds {
        let text = format!("md5(concat(id, ':{round}'))");
        mariadb.affect(&Work::update(round, &text))?;
        let deleted = mariadb.affect(&Work::delete(round))?;
        same("rows deleted", deleted, work.rows / DELETED_OF)?;
    }
    let seconds = start.elapsed().as_secs_f64();
    mariadb.run(&format!(
        "{} {options}; INSERT INTO fresh SELECT * FROM t",
        TABLE.replace("TABLE t ", "TABLE fresh ")
    ))?;

    let outcome = mariadb.run(&format!(
        "SELECT {SUMS}, (SELECT count(*) FROM t FOR SYSTEM_TIME ALL) FROM t"
    ))?;
    let cells: Vec<&str> = outcome.split('\t').collect();
    let [rows, sum, least, greatest, versions] = cells[..] else {
        return Err(format!("{what}: {outcome}"));
    };
    let number = |cell: &str| cell.parse::<i64>().map_err(text);
    let outcome = Outcome {
        rows: number(rows)?,
        sum: number(sum)?,
        texts: (least.to_owned(), greatest.to_owned()),
        versions: number(versions)?,
    };
    for finish in ["", ", after OPTIMIZE"] {
        if !finish.is_empty() {
            mariadb.optimize("t")?;
            mariadb.optimize("fresh")?;
        }
        let then = mariadb.run(&format!(
            "SELECT count(*), sum(n) FROM t FOR SYSTEM_TIME AS OF TIMESTAMP '{loaded}'"
        ))?;
        same("what was loaded", then, format!("{}\t0", work.rows))?;
        let (with, without) = (mariadb.bytes("t")?, mariadb.bytes("fresh")?);
        let what = format!("{what}{finish}");
        lines.push(line(&what, seconds, with, without, &outcome));
    }
    Ok(outcome)
}
