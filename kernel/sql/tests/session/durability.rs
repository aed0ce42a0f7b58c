//! What survives a database that goes away without a goodbye.

use super::support::Db;

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
          COMMENT ON TABLE app.p IS 'parents';
          CREATE USER ann PASSWORD 'secret'");
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
    s.ok("CHECKPOINT; TRUNCATE app.c; DROP VIEW app.v; INSERT INTO app.c VALUES (2)");
    drop(s);
    let db = db.reopen();
    assert_eq!(db.session().run("SELECT * FROM app.c"), "p\n2\n");
}
