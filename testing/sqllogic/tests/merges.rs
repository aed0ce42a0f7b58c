//! Random histories of branches, against plain models: rows written on all, merged this way and that, with
//! the database closed and opened in between, or moved to another directory as a dump.
//!
//! Of two branches the model knows the rows of each, and of both the *base*: what was merged last, as it was on the
//! side that it came from. Of three, whose merges go crosswise, it knows less of merges, and writes less: each row is
//! written by one branch alone, so whatever came to another is the newest that any of the two had. A merge
//! may find that it cannot tell, and then it is refused; but it is never wrong.
//!
//! `HELIOS_MERGE_HISTORIES` says how many histories there are, `HELIOS_MERGE_SEED` with which one
//! they begin.
#![allow(clippy::unwrap_used)]

#[path = "merges/dumps.rs"]
mod dumps;
#[path = "merges/histories/mod.rs"]
mod histories;
#[path = "merges/restores.rs"]
mod restores;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::Path;

use heliosdb_kernel::dump::{self, ExportOptions, ImportOptions, Silent};
use heliosdb_kernel::{Config, Database};
use heliosdb_sqllogic::Edition;

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

const THREE: [&str; 3] = ["main", "left", "right"];

/// By id: how often its branch has written a row, and what it is since, if it is there.
type Versions = BTreeMap<i64, (u64, Option<Cells>)>;

/// How many merges were done, and how many refused.
fn crosswise(seed: u64) -> (u64, u64) {
    let mut random = Random(seed);
    let directory = tempfile::tempdir().unwrap();
    let linked = Edition::Lite.linked().unwrap();
    let open = || {
        let config = Config::default();
        Database::open_edition(directory.path(), &config, &linked, "lite").unwrap()
    };
    let mut database = open();
    database
        .execute("CREATE TABLE t (id bigint PRIMARY KEY, a bigint, b bigint)")
        .unwrap();
    for name in &THREE[1..] {
        database.execute(&format!("CREATE BRANCH {name}")).unwrap();
    }
    let mut tables = [Versions::new(), Versions::new(), Versions::new()];
    let (mut merged, mut refused) = (0, 0);
    let mut last = 0;
    for step in 0..2 * STEPS {
        let side = random.next(3) as usize;
        let context = format!("history {seed}, step {step}");
        match random.next(10) {
            0..=4 => {
                let mut connection = database.connect().unwrap();
                connection
                    .execute(&format!("SET branch = '{}'", THREE[side]))
                    .unwrap();
                // The id says whose row it is.
                let own = |id: &i64| *id % 3 == side as i64;
                let there = tables[side]
                    .iter()
                    .filter(|(_, (_, cells))| cells.is_some());
                let ids: Vec<i64> = there.map(|(id, _)| *id).filter(own).collect();
                let some = ids.get(random.next(ids.len().max(1) as u64) as usize);
                let sql = match (random.next(6), some) {
                    (0 | 1, _) | (_, None) => {
                        last += 1;
                        let id = 3 * last + side as i64;
                        tables[side].insert(id, (1, Some([0, 0])));
                        format!("INSERT INTO t VALUES ({id}, 0, 0)")
                    }
                    (kind, Some(id)) => {
                        let (version, cells) = tables[side].get_mut(id).unwrap();
                        *version += 1;
                        // Two values, so that they come back.
                        let (column, value) = (random.next(2) as usize, random.next(2) as i64);
                        let mut now = (*cells).unwrap();
                        if kind >= 3 {
                            now[column] = value;
                            *cells = Some(now);
                            let name = ["a", "b"][column];
                            format!("UPDATE t SET {name} = {value} WHERE id = {id}")
                        } else {
                            *cells = None;
                            format!("DELETE FROM t WHERE id = {id}")
                        }
                    }
                };
                connection.execute(&sql).unwrap();
            }
            5..=8 => {
                let other = (side + 1 + random.next(2) as usize) % 3;
                let sql = format!("MERGE BRANCH {} INTO {}", THREE[side], THREE[other]);
                match database.execute(&sql) {
                    Ok(_) => {
                        merged += 1;
                        for (id, of_source) in tables[side].clone() {
                            let of_target = tables[other].entry(id).or_insert(of_source);
                            if of_target.0 < of_source.0 {
                                *of_target = of_source;
                            }
                        }
                    }
                    Err(error) => {
                        assert_eq!(error.code.as_str(), "40002", "{context}: {sql}");
                        refused += 1;
                    }
                }
            }
            _ => {
                database.close().unwrap();
                database = open();
            }
        }
        for (name, versions) in THREE.iter().zip(&tables) {
            let there = versions.iter();
            let there = there.filter_map(|(id, (_, cells))| Some((*id, (*cells)?)));
            let expected: Table = there.collect();
            assert_eq!(read(&database, name), expected, "{context}: {name}");
        }
    }
    (merged, refused)
}

fn number(name: &str, default: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text.parse().unwrap(),
        Err(_) => default,
    }
}

#[test]
fn histories_of_two_branches() {
    let first = number("HELIOS_MERGE_SEED", 1);
    for seed in first..first + number("HELIOS_MERGE_HISTORIES", HISTORIES) {
        history(seed);
    }
}

#[test]
fn histories_of_three_branches() {
    let first = number("HELIOS_MERGE_SEED", 1);
    let (mut merged, mut refused) = (0, 0);
    for seed in first..first + number("HELIOS_MERGE_HISTORIES", HISTORIES) {
        let (done, not) = crosswise(seed);
        merged += done;
        refused += not;
    }
    // Most of them can be told.
    assert!(merged > refused, "{merged} merges, {refused} refused");
}
