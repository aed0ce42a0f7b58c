//! Branches on the way from Lite to Full: what is to be the same there.

use std::path::Path;

use heliosdb_kernel::Database;
use heliosdb_kernel::dump::{self, Report, Silent, VerifyOptions};
use heliosdb_sqllogic::{Edition, moved};

use super::open;

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

/// Who committed what on a branch.
fn log(database: &Database, branch: &str, since: &str, until: &str) -> Vec<(i64, Option<String>)> {
    let mut connection = database.connect().unwrap();
    connection
        .execute(&format!("SET branch = '{branch}'"))
        .unwrap();
    let sql = format!("SELECT scn, role FROM helios_log({since}, {until}) ORDER BY scn");
    let commits = connection.query(&sql, &[]).unwrap();
    let commit = |row: heliosdb_kernel::Row<'_>| (row.get(0).unwrap(), row.get(1).unwrap());
    commits.iter().map(commit).collect()
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
SELECT branch_name, parent_name, fork_point_lsn, created_at, status, owner, expires_at, access
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
            ("main", "CREATE ROLE tester"),
            ("main", "REVOKE CONNECT ON BRANCH dev FROM PUBLIC"),
            ("main", "GRANT CONNECT ON BRANCH dev TO tester"),
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
    for branch in ["main", "dev"] {
        let committed = log(&lite, branch, &times[0], &times[2]);
        assert!(!committed.is_empty());
        assert_eq!(committed, log(&full, branch, &times[0], &times[2]));
    }
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
    // Of the time in between the main branch has nothing, here as there, and the hint says who has.
    let refuses = |database: &Database| {
        let restore = format!("RESTORE DATABASE AS OF SCN {}", times[1]);
        let refused = database.execute(&restore).unwrap_err();
        assert_eq!(refused.code.as_str(), "22023");
        let hint = refused.hint.unwrap_or_default();
        assert!(hint.contains(before), "{hint}");
    };
    refuses(&lite);
    refuses(&full);
    rows(&full, &format!("RESTORE DATABASE AS OF SCN {}", times[2]));
    full.close().unwrap();
    let full = open(&target, Edition::Full);
    assert_eq!(rows(&full, "SHOW helios.edition"), ["full"]);
    // What was the main branch says the same of what it shows.
    refuses(&full);
    rows(&full, "RESTORE DATABASE TO BRANCH late");
    full.close().unwrap();
    let full = open(&target, Edition::Full);
    assert_eq!(rows(&full, "SHOW helios.edition"), ["full"]);
}
