//! The embedded API over a real directory.

use heliosdb_sql::error::state;

use crate::{Database, SqlError};

fn with_database(work: impl FnOnce(&Database)) {
    let directory = tempfile::tempdir().unwrap();
    let db = Database::open(directory.path()).unwrap();
    work(&db);
    db.close().unwrap();
}

#[test]
fn columns_are_read_by_name_and_index() {
    with_database(|db| {
        let rows = db
            .query(
                "select 1::smallint as i, $1::float8 as f, $2::text as t, null::text as n, \
                 $3::bytea as b, 12.50::numeric(6,2) as d",
                &[&0.1, &"x", &[1u8, 255].as_slice()],
            )
            .unwrap();
        let row = rows.one().unwrap();
        assert_eq!(row.get::<i64>("i").unwrap(), 1);
        assert_eq!(row.get::<f64>(1).unwrap(), 0.1);
        assert_eq!(row.get::<&str>("t").unwrap(), "x");
        assert_eq!(row.get::<Option<&str>>("n").unwrap(), None);
        assert_eq!(row.get::<&[u8]>("b").unwrap(), [1, 255]);
        assert_eq!(row.get::<String>("d").unwrap(), "12.50");
        let said = |error: SqlError| error.message;
        assert_eq!(
            said(row.get::<&str>("n").unwrap_err()),
            "column \"n\" is NULL; read it as an Option"
        );
        assert_eq!(
            said(row.get::<i64>("t").unwrap_err()),
            "column \"t\" is of type text and cannot be read as i64"
        );
        assert_eq!(
            said(row.get::<i64>("missing").unwrap_err()),
            "the result has no column \"missing\""
        );
        assert_eq!(
            said(row.get::<i64>(9).unwrap_err()),
            "there is no column 9: the result has 6 columns"
        );
    });
}

#[test]
fn a_transaction_is_all_or_nothing() {
    with_database(|db| {
        db.execute("create table t (a int primary key)").unwrap();
        let failed: Result<(), SqlError> = db.transaction(|tx| {
            tx.execute("insert into t values (1)")?;
            tx.execute("insert into t values (1)").map(drop)
        });
        assert_eq!(failed.unwrap_err().code, state::UNIQUE_VIOLATION);
        // An error that the closure swallowed still means that nothing was committed.
        let swallowed: Result<(), SqlError> = db.transaction(|tx| {
            tx.execute("insert into t values (2)")?;
            let _ = tx.execute("insert into t values (2)");
            Ok(())
        });
        assert_eq!(
            swallowed.unwrap_err().code,
            state::IN_FAILED_SQL_TRANSACTION
        );
        assert!(db.query("select * from t", &[]).unwrap().is_empty());
        db.transaction::<_, SqlError>(|tx| tx.execute_params("insert into t values ($1)", &[&3]))
            .unwrap();
        assert_eq!(db.query("select * from t", &[]).unwrap().len(), 1);
    });
}

#[test]
fn a_borrowed_session_leaves_nothing_behind() {
    with_database(|db| {
        db.execute("set search_path = nowhere").unwrap();
        let path = |db: &Database| {
            let rows = db.query("show search_path", &[]).unwrap();
            rows.one().unwrap().get::<String>(0).unwrap()
        };
        assert_eq!(path(db), "\"$user\", public");
        let open = db.execute("begin").unwrap_err();
        assert_eq!(open.code, state::ACTIVE_SQL_TRANSACTION);
        db.execute("create table t (a int); insert into t values (1)")
            .unwrap();
        let copy = db.execute("copy t from stdin").unwrap_err();
        assert_eq!(copy.code, state::FEATURE_NOT_SUPPORTED);
        assert_eq!(db.execute("delete from t").unwrap(), 1);
    });
}

#[test]
fn the_governor_is_lites_for_good() {
    let config = |text: &str| crate::config::Config::parse(text, "f").unwrap();
    let off = config("[background]\ncpu_governor = \"off\"\nmax_cpu_background = 7\n");
    let directory = tempfile::tempdir().unwrap();
    let refused = Database::open_edition(directory.path(), &off, &[], "lite");
    let error = refused.map(drop).unwrap_err().to_string();
    assert!(
        error.contains("cpu_governor = \"off\" is an option of HeliosDB Full"),
        "{error}"
    );
    let db = Database::open_edition(directory.path(), &off, &[], "full").unwrap();
    let mut c = db.connect().unwrap();
    let show = |c: &mut crate::Connection, name: &str| {
        let rows = c.query(&format!("SHOW {name}"), &[]).unwrap();
        rows.one().unwrap().get::<String>(0).unwrap()
    };
    assert_eq!(show(&mut c, "cpu_governor"), "off");
    c.execute("SET cpu_governor = on").unwrap();
    assert_eq!(show(&mut c, "cpu_governor"), "on");
    assert_eq!(show(&mut c, "max_cpu_background"), "7");
    c.execute("RESET cpu_governor").unwrap();
    assert_eq!(show(&mut c, "cpu_governor"), "off");
    drop(c);
    db.close().unwrap();
}

#[test]
fn a_directory_opens_again_with_its_rows() {
    let directory = tempfile::tempdir().unwrap();
    let db = Database::open(directory.path()).unwrap();
    db.execute("create table t (a int); insert into t values (1), (2)")
        .unwrap();
    let second = Database::open(directory.path()).err().unwrap().to_string();
    assert!(second.contains("in use by another process"), "{second}");
    db.close().unwrap();
    let db = Database::open(directory.path()).unwrap();
    assert_eq!(db.query("select * from t", &[]).unwrap().len(), 2);
}

#[test]
#[allow(clippy::disallowed_methods)] // The files are an operator's, not the database's.
fn settings_and_plugins_may_be_there_before_the_database() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("heliosdb.toml"), "[server]\n").unwrap();
    std::fs::create_dir(directory.path().join("plugins")).unwrap();
    Database::open(directory.path()).unwrap().close().unwrap();

    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("thesis.tex"), "x").unwrap();
    let refused = Database::open(directory.path()).map(drop).unwrap_err();
    assert!(refused.to_string().contains("thesis.tex"), "{refused}");
}
