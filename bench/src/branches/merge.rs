//! How long a merge takes, by the rows that were changed and by the size of the table.
//!
//! The branch changes one column of so many rows, all over the table, and `main` another column of a hundred, so
//! that both sides have something. Each merge is of a branch of its own. Tables are measured in turns.

use std::path::Path;
use std::time::Instant;

use heliosdb_kernel::Database;

use super::{Client, Plan, milliseconds, open, same, text};
use crate::peer::temporary_directory;
use crate::table;

/// Of the table whose changed rows differ in number, and the numbers.
const ROWS: u64 = 100_000;
const CHANGED: [u64; 4] = [10, 100, 1_000, 10_000];
/// The tables of which the same number is changed.
const TABLES: [u64; 3] = [10_000, ROWS, 1_000_000];
const CHANGED_IN_EACH: u64 = 1_000;
/// Changed on `main` before each merge.
const BESIDE: u64 = 100;

pub fn run(plan: &Plan) -> Result<(), String> {
    let scratch = temporary_directory()?;
    let tables = &TABLES[..plan.choose(3, 2)];
    let mut databases = Vec::new();
    for rows in tables {
        databases.push((*rows, load(&scratch.path().join(rows.to_string()), *rows)?));
    }
    println!(
        "{BESIDE} rows were changed on main, too; median, least and most of {} merges\n",
        plan.rounds
    );
    let by_changes: Vec<Case<'_>> = CHANGED
        .iter()
        .filter_map(|changed| {
            let (rows, database) = databases.iter().find(|(rows, _)| *rows == ROWS)?;
            Some(Case::new(database, *rows, *changed))
        })
        .collect();
    measure(plan, by_changes)?;
    println!();
    let by_size = databases.iter();
    let by_size = by_size.map(|(rows, database)| Case::new(database, *rows, CHANGED_IN_EACH));
    measure(plan, by_size.collect())?;
    for (_, database) in databases {
        database.close().map_err(text)?;
    }
    Ok(())
}

struct Case<'a> {
    database: &'a Database,
    rows: u64,
    changed: u64,
    milliseconds: Vec<f64>,
}

impl<'a> Case<'a> {
    fn new(database: &'a Database, rows: u64, changed: u64) -> Case<'a> {
        Case {
            database,
            rows,
            changed,
            milliseconds: Vec::new(),
        }
    }
}

fn measure(plan: &Plan, mut cases: Vec<Case<'_>>) -> Result<(), String> {
    for _ in 0..plan.rounds {
        for case in &mut cases {
            let took = merge(case.database, case.rows, case.changed)?;
            case.milliseconds.push(took);
        }
    }
    let mut rows = Vec::new();
    let mut first = None;
    for case in &mut cases {
        let median = table::median(&mut case.milliseconds);
        let first = *first.get_or_insert(median);
        let (least, most) = (
            case.milliseconds[0],
            case.milliseconds[case.milliseconds.len() - 1],
        );
        rows.push(vec![
            case.rows.to_string(),
            case.changed.to_string(),
            format!("{median:.2}"),
            format!("{least:.2}"),
            format!("{most:.2}"),
            format!("{:.1}", median * 1e3 / case.changed as f64),
            format!("{:.2}", median / first),
        ]);
    }
    table::print(
        &[
            "rows of the table",
            "changed",
            "merge ms",
            "least",
            "most",
            "µs a changed row",
            "of the first line",
        ],
        &rows,
    );
    Ok(())
}

/// One merge of a new branch.
fn merge(database: &Database, rows: u64, changed: u64) -> Result<f64, String> {
    const SUM: &str = "SELECT sum(n) FROM t";
    const BESIDE_SUM: &str = "SELECT sum(k) FROM t";
    let mut client = Client::new(database)?;
    let (sum, beside) = (client.number(SUM)?, client.number(BESIDE_SUM)?);
    client.run("CREATE BRANCH dev")?;
    client.run("USE BRANCH dev")?;
    let update = format!("UPDATE t SET n = n + 1 WHERE id % {} = 0", rows / changed);
    client.affect(&update, changed)?;
    client.run("USE BRANCH main")?;
    client.expect(SUM, sum)?;
    let update = format!("UPDATE t SET k = k + 1 WHERE id % {} = 0", rows / BESIDE);
    client.affect(&update, BESIDE)?;

    let start = Instant::now();
    let report = client
        .connection
        .query("MERGE BRANCH dev INTO main", &[])
        .map_err(text)?;
    let took = milliseconds(start);

    let report = report.one().map_err(text)?;
    same(
        "the merge",
        report.get::<String>("status").map_err(text)?,
        "merged".to_owned(),
    )?;
    same(
        "rows that were merged",
        report.get::<i64>("updated").map_err(text)?,
        changed as i64,
    )?;
    client.expect(SUM, sum + changed as i64)?;
    client.expect(BESIDE_SUM, beside + BESIDE as i64)?;
    client.run("DROP BRANCH dev")?;
    Ok(took)
}

fn load(directory: &Path, rows: u64) -> Result<Database, String> {
    let database = open(directory, "")?;
    let mut client = Client::new(&database)?;
    client.run("CREATE TABLE t (id bigint PRIMARY KEY, k int, n int, s text)")?;
    let insert = format!(
        "INSERT INTO t SELECT i, 0, 0, md5(i::text) FROM generate_series(1, {rows}) AS g(i)"
    );
    client.affect(&insert, rows)?;
    client.run("CHECKPOINT")?;
    drop(client);
    Ok(database)
}
