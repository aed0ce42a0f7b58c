//! What reading the past costs, by how old it is, beside reading the present.
//!
//! All rows of a table are updated again and again. What is read, at each age in turns, by prepared statements: rows
//! by their keys, the same random ones everywhere, and the whole table.

use heliosdb_kernel::{Database, Prepared, ToSql};

use super::reading::{Reader, measure};
use super::{Client, Plan, open, same, text};
use crate::peer::temporary_directory;
use crate::table;

const ROWS: i64 = 100_000;
const ROWS_QUICK: i64 = 20_000;
/// Of all rows.
const UPDATES: i64 = 50;
const UPDATES_QUICK: i64 = 20;

pub fn run(plan: &Plan) -> Result<(), String> {
    let scratch = temporary_directory()?;
    let database = open(&scratch.path().join("heliosdb"), "")?;
    let rows = plan.choose(ROWS, ROWS_QUICK);
    let updates = plan.choose(UPDATES, UPDATES_QUICK);
    let mut client = Client::new(&database)?;
    client.run("CREATE TABLE t (id bigint PRIMARY KEY, n int, s text)")?;
    let insert =
        format!("INSERT INTO t SELECT i, 0, md5(i::text) FROM generate_series(1, {rows}) AS g(i)");
    client.affect(&insert, rows as u64)?;
    // What `n` is in all rows, and since when.
    let mut times = vec![client.scn()?];
    for _ in 0..updates {
        client.affect("UPDATE t SET n = n + 1", rows as u64)?;
        times.push(client.scn()?);
    }
    println!(
        "{rows} rows, all of them updated {updates} times; medians of {} rounds in turns\n",
        plan.rounds
    );
    let mut readers = vec![AsOf::new(&database, rows, updates, updates, None)?];
    for ago in [0, 1, updates / 4, updates / 2, updates] {
        let scn = times[(updates - ago) as usize];
        readers.push(AsOf::new(
            &database,
            rows,
            updates,
            updates - ago,
            Some(scn),
        )?);
    }
    let mut lines = Vec::new();
    for (state, prepare) in [
        ("as written", ""),
        ("after CHECKPOINT", "CHECKPOINT"),
        ("after VACUUM", "VACUUM"),
    ] {
        if !prepare.is_empty() {
            client.run(prepare)?;
        }
        measure(plan, state, &mut readers, &mut lines)?;
    }
    table::print(
        &[
            "state",
            "AS OF",
            "point read µs",
            "of the present",
            "scan ms",
            "of the present",
        ],
        &lines,
    );
    drop((readers, client));
    database.close().map_err(text)
}

/// Reads at a time, and knows what it must find.
struct AsOf {
    client: Client,
    point: Prepared,
    scan: Prepared,
    rows: i64,
    /// What `n` was then, in all rows.
    n: i64,
    /// None for the present.
    scn: Option<i64>,
    /// So many updates.
    ago: i64,
}

impl AsOf {
    /// One that reads what was there after `n` of the updates.
    fn new(
        database: &Database,
        rows: i64,
        updates: i64,
        n: i64,
        scn: Option<i64>,
    ) -> Result<AsOf, String> {
        let mut client = Client::new(database)?;
        let (point, scan) = match scn {
            Some(_) => (
                "SELECT n FROM t AS OF SCN $1 WHERE id = $2",
                "SELECT count(*), sum(n), min(n), max(n), max(s) FROM t AS OF SCN $1",
            ),
            None => (
                "SELECT n FROM t WHERE id = $1",
                "SELECT count(*), sum(n), min(n), max(n), max(s) FROM t",
            ),
        };
        let mut prepare = |sql| client.connection.prepare(sql).map_err(text);
        let (point, scan) = (prepare(point)?, prepare(scan)?);
        Ok(AsOf {
            client,
            point,
            scan,
            rows,
            n,
            scn,
            ago: updates - n,
        })
    }
}

impl Reader for AsOf {
    fn name(&self) -> String {
        match (self.scn, self.ago) {
            (None, _) => "(the present)".to_owned(),
            (Some(_), 0) => "the last commit".to_owned(),
            (Some(_), 1) => "1 update ago".to_owned(),
            (Some(_), ago) if self.n == 0 => format!("{ago} updates ago, the oldest"),
            (Some(_), ago) => format!("{ago} updates ago"),
        }
    }

    fn rows(&self) -> i64 {
        self.rows
    }

    fn point(&mut self, id: i64) -> Result<(), String> {
        let connection = &mut self.client.connection;
        let found = match &self.scn {
            Some(scn) => connection.query_prepared(&self.point, &[scn, &id]),
            None => connection.query_prepared(&self.point, &[&id]),
        };
        let found = found.and_then(|rows| rows.one()?.get::<i64>(0));
        same("a row that was read", found.map_err(text)?, self.n)
    }

    fn scan(&mut self) -> Result<(), String> {
        let parameters: Vec<&dyn ToSql> = self.scn.iter().map(|scn| scn as &dyn ToSql).collect();
        let connection = &mut self.client.connection;
        let found = connection.query_prepared(&self.scan, &parameters);
        let found = found.map_err(text)?;
        let found = found.one().map_err(text)?;
        let number = |at: usize| found.get::<i64>(at).map_err(text);
        same("rows of a scan", number(0)?, self.rows)?;
        same("the sum of a scan", number(1)?, self.rows * self.n)?;
        same("the least of a scan", number(2)?, self.n)?;
        same("the most of a scan", number(3)?, self.n)
    }
}
