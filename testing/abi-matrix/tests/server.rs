//! The hostile plugin in a whole database: each statement fails or works, and the next one answers.

use heliosdb_abi_matrix::fixture::path;
use heliosdb_kernel::{Config, Database};

/// The plugin's setting is of the whole process.
static ONE_AT_A_TIME: std::sync::Mutex<()> = std::sync::Mutex::new(());

struct Scratch {
    database: Database,
    _directory: tempfile::TempDir,
}

/// A database with the plugin that does this, the plain one beside it, and a table of ten rows.
fn scratch(act: &str) -> Scratch {
    let directory = tempfile::tempdir().expect("a directory");
    let plugins = directory.path().join("plugins");
    std::fs::create_dir(&plugins).expect("a directory");
    for name in ["hostile", "plain"] {
        let there = plugins.join(format!("{name}.so"));
        std::os::unix::fs::symlink(path(name), there).expect("a link");
    }
    let config = format!("[plugins.hostile]\nact = \"{act}\"\n");
    let config = Config::parse(&config, "heliosdb.toml").expect("sound settings");
    let database = Database::open_bundle(directory.path(), &config, &[]);
    let database = database.unwrap_or_else(|e| panic!("{act}: {e}"));
    let setup = "CREATE TABLE t (n bigint); INSERT INTO t SELECT * FROM generate_series(1, 10)";
    for statement in setup.split("; ") {
        database.execute(statement).expect("a table");
    }
    Scratch {
        database,
        _directory: directory,
    }
}

/// Everything else goes on as if nothing had been.
fn answers(database: &Database, act: &str) {
    let rows = database.query("SELECT plain_upper('a'), sum(n)::bigint FROM t", &[]);
    let rows = rows.unwrap_or_else(|e| panic!("after \"{act}\": {e}"));
    let row = rows.one().expect("one row");
    assert_eq!(row.get::<&str>(0).expect("text"), "A");
    assert_eq!(row.get::<i64>(1).expect("a number"), 55);
}

fn refused(act: &str, statements: &[&str]) {
    let _one = ONE_AT_A_TIME.lock().unwrap_or_else(|e| e.into_inner());
    let scratch = scratch(act);
    let mut connection = scratch.database.connect().expect("it connects");
    for statement in statements {
        let error = connection.query(statement, &[]);
        let error = error
            .err()
            .unwrap_or_else(|| panic!("\"{act}\": {statement} went through"));
        assert!(!error.message.is_empty(), "{act}");
        // The same connection, and another one.
        let alive = connection.query("SELECT 1", &[]);
        alive.unwrap_or_else(|e| panic!("after \"{act}\": {e}"));
        answers(&scratch.database, act);
    }
    scratch.database.close().expect("it closes");
}

#[test]
fn functions() {
    for act in [
        "panics",
        "panics with a bomb",
        "gives too few rows",
        "gives another type",
        "says length 2^63 - 1",
        "says null count 1000",
        "has a null buffer",
        "has format zzz",
        "was released",
        "invents a SQLSTATE",
        "talks too much",
    ] {
        refused(
            act,
            &[
                "SELECT hostile_bigint(n) FROM t",
                "SELECT n FROM t WHERE hostile_bigint(n) > 3 ORDER BY n",
            ],
        );
    }
    for act in [
        "gives text that is not UTF-8",
        "points behind a buffer",
        "says a text of 4 GB",
    ] {
        refused(act, &["SELECT hostile_text(n) FROM t"]);
    }
    refused(
        "gives offsets that fall",
        &["SELECT hostile_json(n) FROM t"],
    );
}

#[test]
fn aggregates_and_table_functions() {
    for act in [
        "gives a null accumulator",
        "panics in update",
        "evaluates to two rows",
    ] {
        refused(
            act,
            &[
                "SELECT hostile_sum(n) FROM t",
                "SELECT n % 2, hostile_sum(n) FROM t GROUP BY 1",
            ],
        );
    }
    for act in [
        "gives a null cursor",
        "panics in next",
        "gives ragged columns",
        "announces 2^64 - 1 rows",
    ] {
        refused(act, &["SELECT * FROM hostile_rows(1)"]);
    }
}

#[test]
fn commands_and_constraints() {
    refused("panics in a command", &["DO HOSTILE"]);
    refused("gives ragged columns", &["DO HOSTILE"]);
    refused(
        "adds an unknown constraint",
        &["CREATE TABLE h (c bigint HOSTILE)"],
    );
}

/// What succeeds or fails, but ends, and leaves the rest as it was.
#[test]
fn whatever_comes_of_it() {
    let _one = ONE_AT_A_TIME.lock().unwrap_or_else(|e| e.into_inner());
    for (act, statements) in [
        (
            "is as large as memory",
            &["SELECT n % 3, hostile_sum(n) FROM t GROUP BY 1"][..],
        ),
        (
            "panics in size_bytes",
            &["SELECT n % 3, hostile_sum(n) FROM t GROUP BY 1"],
        ),
        ("panics in release", &["SELECT hostile_sum(n) FROM t"]),
        (
            "blames row 2^64 - 1",
            &[
                "CREATE TABLE h (c bigint HOSTILE)",
                "INSERT INTO h VALUES (1), (2)",
            ],
        ),
    ] {
        let scratch = scratch(act);
        for statement in statements {
            let _ = scratch.database.query(statement, &[]);
            answers(&scratch.database, act);
        }
        scratch.database.close().expect("it closes");
    }
}

/// A codec that lies costs its columns nothing but room: what it encodes is decoded before it is kept.
#[test]
fn a_codec_that_lies_loses_nothing() {
    let _one = ONE_AT_A_TIME.lock().unwrap_or_else(|e| e.into_inner());
    for act in [
        "",
        "decodes to fewer rows",
        "panics in decode",
        "panics in analyze",
        "encodes more than it got",
    ] {
        let scratch = scratch(act);
        for statement in [
            "CREATE TABLE z (c bigint COMPRESSION hostile_codec)",
            "INSERT INTO z SELECT n * 7 FROM generate_series(1, 5000) n",
            "CHECKPOINT",
        ] {
            let done = scratch.database.execute(statement);
            done.unwrap_or_else(|e| panic!("\"{act}\": {statement}: {e}"));
        }
        let rows = scratch.database.query("SELECT sum(c)::bigint FROM z", &[]);
        let rows = rows.unwrap_or_else(|e| panic!("\"{act}\": {e}"));
        let sum: i64 = rows.one().expect("a row").get(0).expect("a number");
        assert_eq!(sum, 7 * 5000 * 5001 / 2, "\"{act}\"");
        answers(&scratch.database, act);
        scratch.database.close().expect("it closes");
    }
}

/// A statement over a table function that neither ends nor looks at cancel is canceled all the same:
/// the server looks between its batches.
#[test]
fn a_statement_that_would_not_end_is_canceled() {
    let _one = ONE_AT_A_TIME.lock().unwrap_or_else(|e| e.into_inner());
    let scratch = scratch("never ends");
    let mut connection = scratch.database.connect().expect("it connects");
    let cancel = connection.cancel_handle();
    std::thread::scope(|scope| {
        let query = scope.spawn(move || {
            connection
                .query("SELECT count(*) FROM hostile_rows(1)", &[])
                .err()
        });
        answers(&scratch.database, "never ends");
        while !query.is_finished() {
            // Once is enough after the statement began; nobody knows when that is.
            cancel.cancel();
            std::thread::yield_now();
        }
        let error = query.join().expect("no panic").expect("it never ends");
        assert_eq!(error.code.as_str(), "57014", "{error}");
    });
    answers(&scratch.database, "never ends");
}
