//! What reading on a branch costs, beside reading on `main`.
//!
//! Eight branches, each of the one before, each with a hundred changed rows of its own; `main`, the first and the
//! eighth are read in turns, by prepared statements: rows by their keys, the same random ones everywhere, and the
//! whole table. Then all rows of `main` are updated, so that the branches read what only they still show.

use std::path::Path;

use heliosdb_kernel::{Database, Prepared};

use super::reading::{Reader, measure};
use super::{Client, Plan, open, same, text};
use crate::peer::temporary_directory;
use crate::table;

const ROWS: i64 = 500_000;
const ROWS_QUICK: i64 = 100_000;
const DEPTH: i64 = 8;
/// On each branch.
const CHANGED: i64 = 100;

pub fn run(plan: &Plan) -> Result<(), String> {
    let scratch = temporary_directory()?;
    let rows = plan.choose(ROWS, ROWS_QUICK);
    let database = load(&scratch.path().join("heliosdb"), rows)?;
    println!(
        "{rows} rows, {CHANGED} of them changed on each branch; medians of {} rounds in turns\n",
        plan.rounds
    );
    let mut readers = Vec::new();
    for depth in [0, 1, DEPTH] {
        readers.push(OnBranch::new(&database, rows, depth)?);
    }
    let mut main = Client::new(&database)?;
    let mut lines = Vec::new();
    for (state, prepare) in [
        ("as written", ""),
        ("after CHECKPOINT", "CHECKPOINT"),
        ("after VACUUM", "VACUUM"),
        ("main updated wholly", "UPDATE t SET n = n + 1"),
        ("main updated, after CHECKPOINT", "CHECKPOINT"),
        ("main updated, after VACUUM", "VACUUM"),
    ] {
        if prepare.starts_with("UPDATE") {
            main.affect(prepare, rows as u64)?;
            readers[0].added += 1;
        } else if !prepare.is_empty() {
            main.run(prepare)?;
        }
        measure(plan, state, &mut readers, &mut lines)?;
    }
    table::print(
        &[
            "state",
            "read on",
            "point read µs",
            "of main's",
            "scan ms",
            "of main's",
        ],
        &lines,
    );
    drop((readers, main));
    database.close().map_err(text)
}

/// The table, and the branches `d1` to `d8`.
fn load(directory: &Path, rows: i64) -> Result<Database, String> {
    let database = open(directory, "")?;
    let mut client = Client::new(&database)?;
    client.run("CREATE TABLE t (id bigint PRIMARY KEY, n int, s text)")?;
    let insert =
        format!("INSERT INTO t SELECT i, 0, md5(i::text) FROM generate_series(1, {rows}) AS g(i)");
    client.affect(&insert, rows as u64)?;
    client.run("CHECKPOINT")?;
    client.run("VACUUM")?;
    for depth in 1..=DEPTH {
        client.run(&format!("CREATE BRANCH d{depth}"))?;
        client.run(&format!("USE BRANCH d{depth}"))?;
        let update = format!(
            "UPDATE t SET n = n + 1 WHERE id % {} = {depth}",
            rows / CHANGED
        );
        client.affect(&update, CHANGED as u64)?;
    }
    drop(client);
    Ok(database)
}

/// Reads on a branch, and knows what it must find.
struct OnBranch {
    client: Client,
    point: Prepared,
    scan: Prepared,
    rows: i64,
    /// 0 for `main`.
    depth: i64,
    /// To `n` in all rows.
    added: i64,
}

impl OnBranch {
    fn new(database: &Database, rows: i64, depth: i64) -> Result<OnBranch, String> {
        let mut client = match depth {
            0 => Client::new(database)?,
            _ => Client::on(database, &format!("d{depth}"))?,
        };
        let mut prepare = |sql| client.connection.prepare(sql).map_err(text);
        let point = prepare("SELECT n FROM t WHERE id = $1")?;
        let scan = prepare("SELECT count(*), sum(n), max(s) FROM t")?;
        Ok(OnBranch {
            client,
            point,
            scan,
            rows,
            depth,
            added: 0,
        })
    }
}

impl Reader for OnBranch {
    fn name(&self) -> String {
        match self.depth {
            0 => "main".to_owned(),
            depth => format!("depth {depth}"),
        }
    }

    fn rows(&self) -> i64 {
        self.rows
    }

    fn point(&mut self, id: i64) -> Result<(), String> {
        let found = self.client.connection.query_prepared(&self.point, &[&id]);
        let found = found.and_then(|rows| rows.one()?.get::<i64>(0));
        let changed_at = id % (self.rows / CHANGED);
        let changed = changed_at > 0 && changed_at <= self.depth;
        same(
            "a row that was read",
            found.map_err(text)?,
            self.added + i64::from(changed),
        )
    }

    fn scan(&mut self) -> Result<(), String> {
        let found = self.client.connection.query_prepared(&self.scan, &[]);
        let found = found.map_err(text)?;
        let found = found.one().map_err(text)?;
        let number = |at: usize| found.get::<i64>(at).map_err(text);
        same("rows of a scan", number(0)?, self.rows)?;
        same(
            "the sum of a scan",
            number(1)?,
            self.added * self.rows + self.depth * CHANGED,
        )
    }
}
