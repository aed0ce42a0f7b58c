//! Random histories of two branches, against a plain model: rows written on both, merged this way and that, with
//! the database closed and opened in between, or moved to another directory as a dump. And what else is to be the
//! same on branches that were moved to Full.
//!
//! The model knows of each branch its rows, and of both the *base*: what was merged last, as it was on the side
//! that it came from. `HELIOS_MERGE_HISTORIES` says how many histories there are, `HELIOS_MERGE_SEED` with which one
//! they begin.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::Path;

use heliosdb_kernel::dump::{self, ExportOptions, ImportOptions, Report, Silent, VerifyOptions};
use heliosdb_kernel::{Config, Database};
use heliosdb_sqllogic::{Edition, moved};

const HISTORIES: u64 = 60;
const STEPS: usize = 24;
const ROWS: u64 = 5;
const NAMES: [&str; 2] = ["main", "dev"];

/// Columns `a` and `b`, which have no NULLs.
type Cells = [i64; 2];
type Table = BTreeMap<i64, Cells>;

/// Steele, Lea and Flood, "Fast Splittable Pseudorandom Number Generators", OOPSLA 2014.
struct Random(u64);

impl Random {
    fn next(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % below
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Policy {
    Fail,
    Source,
    Target,
}

impl Policy {
    fn option(self) -> &'static str {
        match self {
            Policy::Fail => "fail",
            Policy::Source => "branch_wins",
            Policy::Target => "target_wins",
        }
    }
}

/// What the target is after a merge; `None` when it fails.
fn merged(base: &Table, source: &Table, target: &Table, policy: Policy) -> Option<Table> {
    let mut after = target.clone();
    let ids: BTreeSet<i64> = base.keys().chain(source.keys()).copied().collect();
    for id in ids {
        let wins = |conflict: bool| match (conflict, policy) {
            (true, Policy::Fail) => None,
            (true, Policy::Target) => Some(false),
            _ => Some(true),
        };
        match (base.get(&id), source.get(&id), target.get(&id)) {
            (base, Some(source), Some(target)) => {
                let mut cells = *target;
                for at in 0..cells.len() {
                    let base = base.map(|base| base[at]);
                    if base == Some(source[at]) || source[at] == target[at] {
                        continue;
                    }
                    if wins(base != Some(target[at]))? {
                        cells[at] = source[at];
                    }
                }
                after.insert(id, cells);
            }
            (Some(base), None, Some(target)) => {
                if wins(base != target)? {
                    after.remove(&id);
                }
            }
            (Some(base), Some(source), None) => {
                if base != source && wins(true)? {
                    after.insert(id, *source);
                }
            }
            (None, Some(source), None) => {
                after.insert(id, *source);
            }
            (_, None, _) => {}
        }
    }
    Some(after)
}

fn open(directory: &Path, edition: Edition) -> Database {
    let config = Config::default();
    let linked = edition.linked().unwrap();
    Database::open_edition(directory, &config, &linked, edition.name()).unwrap()
}

fn export(database: &Database, file: &Path) {
    let mut out = File::create(file).unwrap();
    let options = ExportOptions::default();
    database.export(&mut out, &options, &Silent).unwrap();
}

fn read(database: &Database, branch: &str) -> Table {
    let sql = format!("SELECT id, a, b FROM t@{branch}");
    let rows = database.query(&sql, &[]).unwrap();
    let row = |row: heliosdb_kernel::Row<'_>| {
        let cell = |at: usize| row.get::<i64>(at).unwrap();
        (cell(0), [cell(1), cell(2)])
    };
    let table: Table = rows.iter().map(row).collect();
    // The index tells the same.
    let sql = format!("SELECT id FROM t@{branch} WHERE id > 0 ORDER BY id");
    let ids = database.query(&sql, &[]).unwrap();
    let ids: Vec<i64> = ids.iter().map(|row| row.get(0).unwrap()).collect();
    assert_eq!(ids, table.keys().copied().collect::<Vec<_>>());
    table
}

fn history(seed: u64) {
    let mut random = Random(seed);
    let mut directory = tempfile::tempdir().unwrap();
    let open = |directory: &Path| open(directory, Edition::Lite);
    let mut database = open(directory.path());
    database
        .execute("CREATE TABLE t (id bigint PRIMARY KEY, a bigint, b bigint)")
        .unwrap();
    let mut tables = [Table::new(), Table::new()];
    let mut last = 0;
    for _ in 0..ROWS {
        last += 1;
        database
            .execute(&format!("INSERT INTO t VALUES ({last}, 0, 0)"))
            .unwrap();
        tables[0].insert(last, [0, 0]);
    }
    database.execute("CREATE BRANCH dev").unwrap();
    tables[1] = tables[0].clone();
    let mut base = tables[0].clone();
    for step in 0..STEPS {
        let side = random.next(2) as usize;
        let context = format!("history {seed}, step {step}");
        match random.next(10) {
            0..=5 => {
                let mut connection = database.connect().unwrap();
                connection
                    .execute(&format!("SET branch = '{}'", NAMES[side]))
                    .unwrap();
                let ids: Vec<i64> = tables[side].keys().copied().collect();
                let some = ids.get(random.next(ids.len().max(1) as u64) as usize);
                let sql = match (random.next(6), some) {
                    (0 | 1, _) | (_, None) => {
                        last += 1;
                        let cells = [random.next(3) as i64, random.next(3) as i64];
                        tables[side].insert(last, cells);
                        format!("INSERT INTO t VALUES ({last}, {}, {})", cells[0], cells[1])
                    }
                    (2, Some(id)) => {
                        tables[side].remove(id);
                        format!("DELETE FROM t WHERE id = {id}")
                    }
                    (_, Some(id)) => {
                        let (column, value) = (random.next(2) as usize, random.next(3) as i64);
                        tables[side].get_mut(id).unwrap()[column] = value;
                        let name = ["a", "b"][column];
                        format!("UPDATE t SET {name} = {value} WHERE id = {id}")
                    }
                };
                connection.execute(&sql).unwrap();
            }
            6..=8 => {
                let policies = [Policy::Fail, Policy::Source, Policy::Target];
                let policy = policies[random.next(3) as usize];
                let (source, target) = (NAMES[side], NAMES[1 - side]);
                let sql = format!(
                    "MERGE BRANCH {source} INTO {target} WITH (conflict_resolution = '{}')",
                    policy.option()
                );
                let expected = merged(&base, &tables[side], &tables[1 - side], policy);
                match (database.execute(&sql), expected) {
                    (Ok(_), Some(after)) => {
                        tables[1 - side] = after;
                        base = tables[side].clone();
                    }
                    (Err(error), None) => assert_eq!(error.code.as_str(), "40002", "{context}"),
                    (done, expected) => panic!("{context}: {sql}: {done:?}, not {expected:?}"),
                }
            }
            _ => {
                if random.next(2) == 0 {
                    let other = tempfile::tempdir().unwrap();
                    let (file, target) = (other.path().join("dump"), other.path().join("db"));
                    export(&database, &file);
                    let linked = Edition::Lite.linked().unwrap();
                    let options = ImportOptions::new(&linked, "lite");
                    let imported = dump::import(&file, &target, &options, &Silent);
                    imported.unwrap_or_else(|error| panic!("{context}: {}", error.explain()));
                    database.close().unwrap();
                    database = open(&target);
                    directory = other;
                } else {
                    let at = match directory.path().join("db").is_dir() {
                        true => directory.path().join("db"),
                        false => directory.path().to_path_buf(),
                    };
                    database.close().unwrap();
                    database = open(&at);
                }
            }
        }
        for (name, expected) in NAMES.iter().zip(&tables) {
            assert_eq!(read(&database, name), *expected, "{context}: {name}");
        }
    }
}

#[test]
fn histories_of_two_branches() {
    let number = |name, default| match std::env::var(name) {
        Ok(text) => text.parse().unwrap(),
        Err(_) => default,
    };
    let first: u64 = number("HELIOS_MERGE_SEED", 1);
    let count: u64 = number("HELIOS_MERGE_HISTORIES", HISTORIES);
    for seed in first..first + count {
        history(seed);
    }
}

/// What a query gives on `main`, as text.
fn rows(database: &Database, sql: &str) -> Vec<String> {
    let rows = database.query(sql, &[]);
    let rows = rows.unwrap_or_else(|error| panic!("{sql}: {error}"));
    let width = rows.columns().len();
    let line = |row: heliosdb_kernel::Row<'_>| {
        let cell = |at| row.get::<Option<String>>(at).unwrap().unwrap_or_default();
        (0..width).map(cell).collect::<Vec<_>>().join("|")
    };
    rows.iter().map(line).collect()
}

/// Runs statements on branches.
fn run(database: &Database, statements: &[(&str, &str)]) {
    for (branch, sql) in statements {
        let mut connection = database.connect().unwrap();
        connection
            .execute(&format!("SET branch = '{branch}'"))
            .unwrap();
        let done = connection.query(sql, &[]).map(drop);
        done.unwrap_or_else(|error| panic!("{branch}: {sql}: {error}"));
    }
}

fn scn(database: &Database) -> String {
    rows(database, "SELECT helios_current_scn()").remove(0)
}

fn verified(file: &Path, target: &Path) -> Report {
    let linked = Edition::Full.linked().unwrap();
    let options = VerifyOptions {
        check_branches: true,
        check_indexes: true,
        ..VerifyOptions::new(&linked, Edition::Full.name())
    };
    let report = dump::verify(file, target, &options, &Silent);
    report.unwrap_or_else(|error| panic!("{}", error.explain()))
}

/// The branches and tags that are not as in the dump.
fn different(report: &Report) -> Vec<&str> {
    let checks = report.checks.iter().filter(|c| !c.verdict.is_equal());
    checks.map(|check| check.name.as_str()).collect()
}

const BRANCHES: &str = "\
SELECT branch_name, parent_name, fork_point_lsn, created_at, status, owner, expires_at
FROM pg_database_branches() ORDER BY branch_name";

/// What several branches have of one table, at some times.
fn everywhere(database: &Database, branches: &[&str], times: &[String]) -> Vec<String> {
    let mut all = rows(database, BRANCHES);
    for branch in branches {
        all.extend(rows(
            database,
            &format!("SELECT * FROM item@{branch} ORDER BY id"),
        ));
        let by_key = "WHERE name > '' ORDER BY name";
        all.extend(rows(
            database,
            &format!("SELECT id FROM item@{branch} {by_key}"),
        ));
        for time in times {
            let past = format!("SELECT * FROM item@{branch} AS OF SCN {time} ORDER BY id");
            all.push(format!("{branch} AS OF {time}"));
            all.extend(rows(database, &past));
        }
    }
    all
}

/// Branches of branches, tags, merges and definitions: Full has them, their past and where they go on from.
#[test]
fn branches_of_lite_are_branches_of_full() {
    let directory = tempfile::tempdir().unwrap();
    let (file, target) = (directory.path().join("dump"), directory.path().join("full"));
    let lite = open(&directory.path().join("lite"), Edition::Lite);
    run(
        &lite,
        &[
            (
                "main",
                "CREATE TABLE item (id serial PRIMARY KEY, name text UNIQUE, price int)",
            ),
            ("main", "CREATE INDEX item_price ON item (price)"),
            (
                "main",
                "INSERT INTO item (name, price) VALUES ('pen', 10), ('cup', 20), ('hat', 30)",
            ),
        ],
    );
    let mut times = vec![scn(&lite)];
    run(
        &lite,
        &[
            (
                "main",
                "CREATE BRANCH dev WITH (protected = true, expires = '9 years')",
            ),
            ("dev", "DELETE FROM item WHERE name = 'cup'"),
            ("dev", "UPDATE item SET price = 11 WHERE name = 'pen'"),
            ("dev", "INSERT INTO item (name, price) VALUES ('map', 5)"),
            ("main", "DROP INDEX item_price"),
        ],
    );
    times.push(scn(&lite));
    run(
        &lite,
        &[
            (
                "dev",
                "ALTER TABLE item ADD COLUMN note text DEFAULT 'none'",
            ),
            ("dev", "CREATE INDEX item_note ON item (note)"),
            ("dev", "CREATE TAG v1"),
            ("dev", "UPDATE item SET note = 'later' WHERE name = 'map'"),
            ("dev", "CREATE BRANCH below"),
            ("below", "INSERT INTO item (name, price) VALUES ('cup', 2)"),
            ("below", "CREATE TABLE own (a int PRIMARY KEY)"),
            ("below", "INSERT INTO own VALUES (1), (2)"),
            ("main", "ALTER TABLE item ADD COLUMN weight int DEFAULT 3"),
            ("main", "CREATE BRANCH gone"),
            ("gone", "UPDATE item SET price = 0"),
            ("main", "DROP BRANCH gone"),
            ("main", "CREATE BRANCH feature"),
            ("feature", "UPDATE item SET price = 12 WHERE name = 'hat'"),
            ("main", "MERGE BRANCH feature INTO main"),
            ("main", "UPDATE item SET price = 13 WHERE name = 'hat'"),
            (
                "feature",
                "INSERT INTO item (name, price) VALUES ('bag', 40)",
            ),
        ],
    );
    times.push(scn(&lite));
    run(
        &lite,
        &[
            ("main", "DELETE FROM item WHERE name = 'pen'"),
            ("below", "UPDATE item SET note = 'below' WHERE id > 1"),
        ],
    );
    moved::import(&lite, &file, &target).unwrap();
    let report = verified(&file, &target);
    assert!(report.is_equal(), "{}", report.to_text());
    let names: Vec<&str> = report
        .checks
        .iter()
        .map(|check| check.name.as_str())
        .collect();
    for name in ["branch dev", "branch below", "branch feature", "tag v1"] {
        assert!(names.contains(&name), "{names:?}");
    }

    let full = open(&target, Edition::Full);
    let branches = ["main", "dev", "below", "feature", "v1"];
    let all = |database: &Database| everywhere(database, &branches, &times);
    assert_eq!(all(&lite), all(&full));
    let own = "SELECT a FROM own@below ORDER BY a";
    assert_eq!(rows(&full, own), ["1", "2"]);
    // Both go on alike: what was merged before is not merged again, and no id is given twice.
    for database in [&lite, &full] {
        run(
            database,
            &[
                ("main", "MERGE BRANCH feature INTO main"),
                ("dev", "INSERT INTO item (name, price) VALUES ('new', 1)"),
                ("main", "INSERT INTO item (name, price) VALUES ('new', 1)"),
                (
                    "below",
                    "DELETE FROM item WHERE note = 'below' AND price < 5",
                ),
                ("main", "CREATE BRANCH another"),
            ],
        );
        let refused = database.execute("DROP BRANCH dev").unwrap_err();
        assert_eq!(refused.code.as_str(), "55000");
    }
    let content = |database: &Database| {
        let mut all = Vec::new();
        for branch in branches {
            all.extend(rows(
                database,
                &format!("SELECT * FROM item@{branch} ORDER BY id"),
            ));
        }
        all
    };
    assert_eq!(content(&lite), content(&full));
    assert!(content(&full).contains(&"3|hat|13|3".to_owned()));
    full.close().unwrap();
    lite.close().unwrap();
    let report = verified(&file, &target);
    assert!(!report.is_equal());
    assert_eq!(different(&report), ["branch dev", "branch below"]);
}

/// What somebody changed on one branch is found there, and nowhere else.
#[test]
fn a_difference_on_a_branch_is_found() {
    let directory = tempfile::tempdir().unwrap();
    let (file, target) = (directory.path().join("dump"), directory.path().join("full"));
    let lite = open(&directory.path().join("lite"), Edition::Lite);
    run(
        &lite,
        &[
            ("main", "CREATE TABLE item (id int PRIMARY KEY, name text)"),
            (
                "main",
                "INSERT INTO item SELECT n, 'name ' || n FROM generate_series(1, 50) n",
            ),
            ("main", "CREATE BRANCH a"),
            ("a", "UPDATE item SET name = 'a' WHERE id % 7 = 0"),
            ("main", "CREATE BRANCH b"),
        ],
    );
    moved::import(&lite, &file, &target).unwrap();
    lite.close().unwrap();
    assert!(verified(&file, &target).is_equal());
    let planted = [
        (
            "b",
            "UPDATE item SET name = 'planted' WHERE id = 8",
            "branch b",
        ),
        ("a", "DELETE FROM item WHERE id = 49", "branch a"),
    ];
    let mut expected = Vec::new();
    for (branch, sql, name) in planted {
        let full = open(&target, Edition::Full);
        run(&full, &[(branch, sql)]);
        full.close().unwrap();
        expected.insert(0, name);
        let report = verified(&file, &target);
        assert_eq!(different(&report), expected, "{}", report.to_text());
        assert!(report.tables.iter().all(|table| table.verdict.is_equal()));
    }
    let full = open(&target, Edition::Full);
    run(&full, &[("main", "DROP BRANCH b")]);
    full.close().unwrap();
    assert_eq!(different(&verified(&file, &target)), expected);
}

/// After a restore in place the main branch goes on from another one; a dump has it as the first one, and what was
/// merged before and since is merged all the same.
#[test]
fn a_database_that_was_restored_arrives_with_its_branches() {
    let directory = tempfile::tempdir().unwrap();
    let (file, target) = (directory.path().join("dump"), directory.path().join("full"));
    let lite = open(&directory.path().join("lite"), Edition::Lite);
    run(
        &lite,
        &[
            (
                "main",
                "CREATE TABLE item (id int PRIMARY KEY, name text UNIQUE, price int)",
            ),
            (
                "main",
                "INSERT INTO item VALUES (1, 'pen', 10), (2, 'cup', 20), (3, 'hat', 30)",
            ),
            ("main", "CREATE BRANCH early"),
            ("early", "UPDATE item SET price = 11 WHERE id = 1"),
            ("main", "MERGE BRANCH early INTO main"),
        ],
    );
    let mut times = vec![scn(&lite)];
    run(
        &lite,
        &[
            ("main", "UPDATE item SET price = 99 WHERE id = 2"),
            ("main", "DELETE FROM item WHERE id = 3"),
            ("main", "CREATE BRANCH late"),
            ("late", "INSERT INTO item VALUES (4, 'late', 4)"),
            ("early", "INSERT INTO item VALUES (5, 'early', 5)"),
            ("main", "MERGE BRANCH late INTO main"),
            ("late", "INSERT INTO item VALUES (6, 'later', 6)"),
        ],
    );
    times.push(scn(&lite));
    let restore = format!("RESTORE DATABASE AS OF SCN {}", times[0]);
    let before = rows(&lite, &restore).remove(0);
    run(
        &lite,
        &[
            ("main", "UPDATE item SET price = 21 WHERE id = 2"),
            (
                "main",
                "ALTER TABLE item ADD COLUMN note text DEFAULT 'restored'",
            ),
            (&before, "ALTER TABLE item ADD COLUMN number int DEFAULT 7"),
            (&before, "DELETE FROM item WHERE id = 1"),
            ("main", "CREATE TAG restored"),
            ("main", "MERGE BRANCH early INTO main"),
            ("early", "UPDATE item SET name = 'earlier' WHERE id = 5"),
        ],
    );
    times.push(scn(&lite));
    moved::import(&lite, &file, &target).unwrap();
    let report = verified(&file, &target);
    assert!(report.is_equal(), "{}", report.to_text());
    let full = open(&target, Edition::Full);
    let before = before.as_str();
    let branches = ["main", "early", "late", "restored", before];
    let content = |database: &Database| {
        let mut all = Vec::new();
        for branch in branches {
            all.extend(rows(
                database,
                &format!("SELECT * FROM item@{branch} ORDER BY id"),
            ));
            for time in &times {
                let past = format!("SELECT * FROM item@{branch} AS OF SCN {time} ORDER BY id");
                all.push(format!("{branch} AS OF {time}"));
                all.extend(rows(database, &past));
            }
        }
        all
    };
    assert_eq!(content(&lite), content(&full));
    let merges = [
        "MERGE BRANCH early INTO main".to_owned(),
        format!("MERGE BRANCH late INTO {before}"),
        "MERGE BRANCH main INTO early".to_owned(),
    ];
    for merge in &merges {
        let merged = [&lite, &full].map(|database| {
            let merged = database.execute(merge);
            merged.map(drop).map_err(|error| error.to_string())
        });
        assert_eq!(merged[0], merged[1], "{merge}");
        let now = |database: &Database| {
            let of = |branch: &&str| {
                rows(
                    database,
                    &format!("SELECT * FROM item@{branch} ORDER BY id"),
                )
            };
            branches.iter().map(of).collect::<Vec<_>>()
        };
        assert_eq!(now(&lite), now(&full), "{merge}");
    }
    full.close().unwrap();
    // A time from before the import does not know whose the database is; nor does a branch.
    for restore in [
        format!("RESTORE DATABASE AS OF SCN {}", times[1]),
        "RESTORE DATABASE TO BRANCH late".to_owned(),
    ] {
        let full = open(&target, Edition::Full);
        rows(&full, &restore);
        full.close().unwrap();
    }
    let full = open(&target, Edition::Full);
    assert_eq!(rows(&full, "SHOW helios.edition"), ["full"]);
}
