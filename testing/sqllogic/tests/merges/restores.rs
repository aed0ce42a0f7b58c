//! RESTORE DATABASE with restarts in between, beside others, and on the way from Lite to Full.

use std::path::Path;

use heliosdb_kernel::{Config, Database, SqlError};
use heliosdb_sqllogic::{Edition, moved};

fn open(directory: &Path, edition: Edition) -> Database {
    let linked = edition.linked().unwrap();
    let config = Config::default();
    Database::open_edition(directory, &config, &linked, edition.name()).unwrap()
}

fn number(database: &Database, sql: &str) -> i64 {
    let rows = database.query(sql, &[]).unwrap();
    rows.one().unwrap().get(0).unwrap()
}

fn scn(database: &Database) -> i64 {
    number(database, "SELECT helios_current_scn()")
}

/// The branch that has what was there.
fn restore(database: &Database, to: &str) -> Result<String, Box<SqlError>> {
    let rows = database.query(&format!("RESTORE DATABASE {to}"), &[])?;
    Ok(rows.one()?.get(0)?)
}

fn add(database: &Database, id: i64) {
    let sql = format!("INSERT INTO t VALUES ({id})");
    database.execute(&sql).unwrap();
}

fn ids(database: &Database) -> Vec<i64> {
    let rows = database.query("SELECT id FROM t ORDER BY id", &[]).unwrap();
    rows.iter().map(|row| row.get(0).unwrap()).collect()
}

/// A database with a table, and row 1 in it.
fn begin(directory: &Path) -> Database {
    let database = open(directory, Edition::Lite);
    database
        .execute("CREATE TABLE t (id bigint PRIMARY KEY)")
        .unwrap();
    add(&database, 1);
    database
}

/// What a database came by is not of a time: else Full could not open one of its own any more.
#[test]
fn the_edition_and_the_imports_stay() {
    let directory = tempfile::tempdir().unwrap();
    let place = |name| directory.path().join(name);
    std::fs::create_dir(place("lite")).unwrap();
    let lite = begin(&place("lite"));
    let at = scn(&lite);
    add(&lite, 2);
    moved::import(&lite, &place("dump"), &place("full")).unwrap();
    lite.close().unwrap();
    let imports = "SELECT count(*) FROM helios_imports";
    let full = open(&place("full"), Edition::Full);
    assert_eq!((ids(&full), number(&full, imports)), (vec![1, 2], 1));
    let before = restore(&full, &format!("AS OF SCN {at}")).unwrap();
    assert_eq!((ids(&full), number(&full, imports)), (vec![1], 1));
    full.close().unwrap();
    let full = open(&place("full"), Edition::Full);
    assert_eq!((ids(&full), number(&full, imports)), (vec![1], 1));
    restore(&full, &format!("TO BRANCH {before}")).unwrap();
    full.close().unwrap();
    let full = open(&place("full"), Edition::Full);
    assert_eq!((ids(&full), number(&full, imports)), (vec![1, 2], 1));
}

/// The second try of one who went back too far: of the time in between the main branch has nothing, and is not to
/// look as if it had.
#[test]
fn a_time_of_another_branch_is_refused_by_its_name() {
    let directory = tempfile::tempdir().unwrap();
    let mut database = begin(directory.path());
    let first = scn(&database);
    add(&database, 2);
    let second = scn(&database);
    add(&database, 3);
    let before = restore(&database, &format!("AS OF SCN {first}")).unwrap();
    assert_eq!(ids(&database), [1]);
    for again in 0..2 {
        let refused = restore(&database, &format!("AS OF SCN {second}")).unwrap_err();
        assert_eq!(refused.code.as_str(), "22023");
        let hint = refused.hint.unwrap_or_default();
        assert!(hint.contains(&before), "{hint}");
        if again == 0 {
            database.close().unwrap();
            database = open(directory.path(), Edition::Lite);
        }
    }
    // A time of the main branch's own, and one that both have, are not.
    let own = scn(&database);
    add(&database, 4);
    restore(&database, &format!("AS OF SCN {own}")).unwrap();
    assert_eq!(ids(&database), [1]);
    // The main branch of before goes on saying what it has nothing of.
    let refused = restore(&database, &format!("AS OF SCN {second}")).unwrap_err();
    assert_eq!(refused.code.as_str(), "22023");
    let hint = refused.hint.unwrap_or_default();
    assert!(hint.contains(&before), "{hint}");
    restore(&database, &format!("AS OF SCN {first}")).unwrap();
    assert_eq!(ids(&database), [1]);
    restore(&database, &format!("TO BRANCH {before}")).unwrap();
    assert_eq!(ids(&database), [1, 2, 3]);
    restore(&database, &format!("AS OF SCN {second}")).unwrap();
    assert_eq!(ids(&database), [1, 2]);
    database.close().unwrap();
    assert_eq!(ids(&open(directory.path(), Edition::Lite)), [1, 2]);
}

/// Who waits for a lock on what is no longer the main branch waits for nothing.
#[test]
fn a_restore_ends_waits_for_locks() {
    let directory = tempfile::tempdir().unwrap();
    let database = begin(directory.path());
    let at = scn(&database);
    let mut holder = database.connect().unwrap();
    holder.execute("BEGIN").unwrap();
    holder.execute("UPDATE t SET id = 10").unwrap();
    let mut waiter = database.connect().unwrap();
    let waiting = std::thread::spawn(move || {
        let refused = waiter.execute("UPDATE t SET id = 11").unwrap_err();
        refused.code.as_str().to_owned()
    });
    while number(&database, "SELECT count(*) FROM pg_locks WHERE NOT granted") == 0 {
        std::thread::yield_now();
    }
    restore(&database, &format!("AS OF SCN {at}")).unwrap();
    assert_eq!(waiting.join().unwrap(), "40001");
    let refused = holder.execute("COMMIT").unwrap_err();
    assert_eq!(refused.code.as_str(), "40001");
    holder.execute("UPDATE t SET id = 12").unwrap();
    assert_eq!(ids(&database), [12]);
}

/// A name that a user gave is nobody else's.
#[test]
fn what_was_there_gets_a_name_that_is_free() {
    let directory = tempfile::tempdir().unwrap();
    let database = begin(directory.path());
    let at = scn(&database);
    add(&database, 2);
    let now = scn(&database);
    database
        .execute(&format!("CREATE BRANCH before_{now}"))
        .unwrap();
    let before = restore(&database, &format!("AS OF SCN {at}")).unwrap();
    assert_eq!(before, format!("before_{now}_2"));
    assert_eq!(ids(&database), [1]);
}

/// A table that keeps less of its past than the rest is in the way of what it was there for, and is named. Temporary
/// ones are in nobody's.
#[test]
fn a_table_without_its_past_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let database = begin(directory.path());
    let mut connection = database.connect().unwrap();
    for sql in [
        "CREATE TEMP TABLE passing (a int)",
        "INSERT INTO passing VALUES (1)",
    ] {
        connection.execute(sql).unwrap();
    }
    let first = scn(&database);
    for sql in [
        "UPDATE passing SET a = 2",
        "CREATE TABLE brief (a int) WITH (retention = '0')",
        "INSERT INTO brief VALUES (1)",
    ] {
        connection.execute(sql).unwrap();
    }
    let second = scn(&database);
    connection.execute("UPDATE brief SET a = 2").unwrap();
    add(&database, 2);
    // A transaction in the background may hold the past for a moment.
    let from =
        "SELECT coalesce(max(scn), 0) FROM helios_history WHERE kind = 'table' AND name = 'brief'";
    while number(&database, from) <= second {
        database.execute("VACUUM").unwrap();
    }
    let branch = format!("CREATE BRANCH past AS OF SCN {second}");
    for refused in [
        restore(&database, &format!("AS OF SCN {second}")).unwrap_err(),
        Box::new(database.execute(&branch).unwrap_err()),
    ] {
        assert_eq!(refused.code.as_str(), "22023");
        assert!(refused.message.contains("\"brief\""), "{refused}");
    }
    restore(&database, &format!("AS OF SCN {first}")).unwrap();
    assert_eq!(ids(&database), [1]);
    let gone = connection.execute("SELECT * FROM passing").unwrap_err();
    assert_eq!(gone.code.as_str(), "42P01");
}

/// What the time's expression would write were lost without a word.
#[test]
fn the_time_of_a_restore_writes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let database = begin(directory.path());
    let function = "CREATE FUNCTION add(bigint) RETURNS bigint LANGUAGE sql AS 'INSERT INTO t VALUES ($1) RETURNING id'";
    database.execute(function).unwrap();
    let at = scn(&database);
    let refused = restore(&database, &format!("AS OF SCN add({at})")).unwrap_err();
    assert_eq!(refused.code.as_str(), "0A000", "{refused}");
    assert_eq!(ids(&database), [1]);
    assert_eq!(
        number(&database, "SELECT count(*) FROM pg_database_branches()"),
        1
    );
}
