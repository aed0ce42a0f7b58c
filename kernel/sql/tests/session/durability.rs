//! What survives a database that goes away without a goodbye.

use super::support::{Client, Db};

#[test]
fn schema_and_rows_are_there_after_reopening() {
    let db = Db::new();
    let mut s = db.session();
    s.ok("CREATE SCHEMA app;
          CREATE TABLE app.p (id serial PRIMARY KEY, s text NOT NULL DEFAULT 'd');
          CREATE TABLE app.c (p int REFERENCES app.p INITIALLY DEFERRED, CHECK (p < 100));
          CREATE INDEX ON app.c (p);
          CREATE VIEW app.v AS SELECT p.s FROM app.p JOIN app.c ON c.p = p.id;
          INSERT INTO app.p (s) VALUES ('x'), (DEFAULT);
          INSERT INTO app.c VALUES (1);
          ALTER TABLE app.p ADD COLUMN n int DEFAULT 9;
          CREATE INDEX named ON app.p (s) INCLUDE (n);
          COMMENT ON TABLE app.p IS 'parents';
          CREATE USER ann PASSWORD 'secret';
          ALTER ROLE ann SET lock_timeout = '70s';
          ALTER ROLE ann IN DATABASE helios SET statement_timeout = '90s';
          ALTER DATABASE helios SET statement_timeout = '80s';
          ALTER DATABASE helios SET own.word = 'of all';
          ALTER ROLE ALL SET extra_float_digits = 3;
          CREATE USER old PASSWORD 'secret' VALID UNTIL '2020-01-01'");
    s.ok("BEGIN; INSERT INTO app.p (s) VALUES ('lost'); CREATE TABLE lost (a int)");
    drop(s);
    let db = db.reopen();
    let mut s = db.session();
    assert_eq!(
        s.run("SELECT * FROM app.p ORDER BY id"),
        "id | s | n\n1 | x | 9\n2 | d | 9\n"
    );
    assert_eq!(s.run("SELECT * FROM app.v"), "s\nx\n");
    assert!(s.run("SELECT * FROM lost").starts_with("ERROR 42P01"));
    assert!(
        s.run("INSERT INTO app.c VALUES (77)")
            .starts_with("ERROR 23503")
    );
    s.ok("BEGIN; INSERT INTO app.c VALUES (77); DELETE FROM app.c WHERE p = 77; COMMIT");
    assert!(
        s.run("INSERT INTO app.c VALUES (777)")
            .starts_with("ERROR 23514")
    );
    let next: i64 = s
        .run("INSERT INTO app.p DEFAULT VALUES RETURNING id")
        .lines()
        .nth(1)
        .and_then(|l| l.parse().ok())
        .unwrap();
    assert!(next > 3, "a sequence never goes back: {next}");
    assert!(db.instance.role_secret("ann").unwrap().is_some());
    // A password whose time is over opens nothing.
    assert!(db.instance.role_secret("old").unwrap().is_none());
    s.ok("ALTER ROLE old VALID UNTIL 'infinity'");
    assert!(db.instance.role_secret("old").unwrap().is_some());
    s.ok("ALTER ROLE old VALID UNTIL '2020-01-01'");
    assert_eq!(
        s.run("SELECT pg_get_indexdef('app.named'::regclass)"),
        "pg_get_indexdef\nCREATE INDEX named ON app.p USING btree (s) INCLUDE (n)\n"
    );
    let mut ann = db.session_of("ann");
    let begins_with = |s: &mut Client| {
        s.run("SELECT current_setting('lock_timeout'), current_setting('statement_timeout'), current_setting('own.word'), current_setting('extra_float_digits')")
    };
    let of_ann = "current_setting | current_setting | current_setting | current_setting\n70s | 90s | of all | 3\n";
    assert_eq!(begins_with(&mut ann), of_ann);
    // RESET goes back to them.
    ann.ok("SET lock_timeout = 1; SET statement_timeout = 0; SET own.word = 'x'; RESET ALL");
    assert_eq!(begins_with(&mut ann), of_ann);
    assert_eq!(
        begins_with(&mut s),
        "current_setting | current_setting | current_setting | current_setting\n0 | 80s | of all | 3\n"
    );
    drop(ann);
    s.ok("CHECKPOINT; TRUNCATE app.c; DROP VIEW app.v; INSERT INTO app.c VALUES (2)");
    drop(s);
    let db = db.reopen();
    assert_eq!(db.session().run("SELECT * FROM app.c"), "p\n2\n");
}
