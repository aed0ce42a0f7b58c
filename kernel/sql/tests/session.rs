//! Statements through a session over the real engine: what they print, and what they refuse.

#![allow(clippy::unwrap_used)]

mod support;

use expect_test::expect;
use support::{Db, check};

#[test]
fn rows_come_back_as_they_went_in() {
    check(
        "CREATE TABLE t (id int PRIMARY KEY, name text NOT NULL, price numeric(8,2), at date);
         INSERT INTO t VALUES (1, 'ant', 1.50, '2020-01-02'), (2, 'bee', NULL, NULL);
         SELECT * FROM t ORDER BY id;
         SELECT name FROM t WHERE id = 2;
         UPDATE t SET price = 3 WHERE id = 2;
         DELETE FROM t WHERE id = 1;
         SELECT id, price FROM t;",
        expect![[r#""#]],
    );
}

#[test]
fn script() {
    if let Ok(path) = std::env::var("SCRIPT") {
        let db = Db::new();
        println!(
            "{}",
            db.session().run(&std::fs::read_to_string(path).unwrap())
        );
    }
}
