//! Random transactions of SQL sessions on real threads, held against what their level allows.

use heliosdb_isolation::check::{Level, Phenomenon, check};
use heliosdb_isolation::history::{Element, Key};
use heliosdb_isolation::workload::{self, Client, Failure, Lists, Workload, elements};

use super::support::{self, Db};

struct SqlClient(support::Client);

impl SqlClient {
    fn run(&mut self, sql: &str) -> Result<String, Failure> {
        let out = self.0.run(sql);
        match out.strip_prefix("ERROR ") {
            None => Ok(out),
            Some(error) if error.starts_with("40001") || error.starts_with("40P01") => {
                Err(Failure::Refused)
            }
            Some(error) => Err(Failure::Broken(format!("{sql}: {error}"))),
        }
    }

    fn lists(&mut self, condition: &str) -> Result<Lists, Failure> {
        let out = self.run(&format!("SELECT key, list FROM lists {condition}"))?;
        let rows = out
            .lines()
            .skip(1)
            .filter_map(|line| line.split_once(" | "));
        let lists = rows.map(|(key, list)| (key.parse().unwrap(), elements(list)));
        Ok(lists.collect())
    }
}

impl Client for SqlClient {
    fn begin(&mut self, level: Level, read_only: bool) -> Result<(), Failure> {
        let level = match level {
            Level::ReadCommitted => "READ COMMITTED",
            Level::RepeatableRead => "REPEATABLE READ",
            Level::Serializable => "SERIALIZABLE",
        };
        let access = if read_only { "READ ONLY" } else { "READ WRITE" };
        self.run(&format!("BEGIN ISOLATION LEVEL {level} {access}"))
            .map(drop)
    }

    fn read(&mut self, key: Key) -> Result<Vec<Element>, Failure> {
        let mut lists = self.lists(&format!("WHERE key = {key}"))?;
        Ok(lists.remove(&key).unwrap_or_default())
    }

    fn read_all(&mut self) -> Result<Lists, Failure> {
        self.lists("")
    }

    fn append(&mut self, key: Key, element: Element) -> Result<(), Failure> {
        // Either of the two ways that an application has.
        if element.is_multiple_of(2) {
            let sql = format!("UPDATE lists SET list = list || ' {element}' WHERE key = {key}");
            if self.run(&sql)? == "UPDATE 1\n" {
                return Ok(());
            }
        }
        let sql = format!(
            "INSERT INTO lists VALUES ({key}, '{element}')
             ON CONFLICT (key) DO UPDATE SET list = lists.list || ' ' || excluded.list"
        );
        self.run(&sql).map(drop)
    }

    fn commit(&mut self, synchronous: bool) -> Result<(), Failure> {
        let on = if synchronous { "on" } else { "off" };
        self.run(&format!("SET LOCAL synchronous_commit = {on}"))?;
        self.run("COMMIT").map(drop)
    }

    fn rollback(&mut self) {
        self.0.run("ROLLBACK");
    }
}

fn runs(level: Level, seeds: std::ops::Range<u64>) -> Vec<Phenomenon> {
    let mut seen = Vec::new();
    let db = Db::new();
    for seed in seeds {
        db.session()
            .run("DROP TABLE lists; CREATE TABLE lists (key bigint PRIMARY KEY, list text)");
        let workload = Workload {
            level,
            seed,
            threads: 3,
            txns_per_thread: 25,
            keys: 4,
            ops_max: 4,
        };
        let history = workload::run(&workload, || SqlClient(db.session())).unwrap();
        let report = check(&history, true);
        if let Some(bad) = report.violations(level).next() {
            panic!("{workload:?}: {}", bad.describe(&history));
        }
        for phenomenon in [Phenomenon::GSingle, Phenomenon::G2Item] {
            if report.has(phenomenon) {
                seen.push(phenomenon);
            }
        }
    }
    seen
}

#[test]
fn each_level_shows_what_it_may_and_nothing_worse() {
    assert!(runs(Level::ReadCommitted, 0..4).contains(&Phenomenon::GSingle));
    assert!(runs(Level::RepeatableRead, 0..6).contains(&Phenomenon::G2Item));
    assert_eq!(runs(Level::Serializable, 0..6), []);
}
