//! DECLARE, FETCH, MOVE and CLOSE.

use std::thread;
use std::time::{Duration, Instant};

use expect_test::expect;
use heliosdb_sql::Outcome;
use proptest::prelude::*;

use crate::support::{Client, Db};

fn table(session: &mut Client) {
    session.ok("CREATE TABLE t (id int PRIMARY KEY, s text)");
    session.ok("INSERT INTO t SELECT i, 'row ' || i FROM generate_series(1, 5) i");
}

#[test]
fn rows_come_as_they_are_asked_for() {
    let db = Db::new();
    let mut s = db.session();
    table(&mut s);
    expect![[r#"
        BEGIN
        DECLARE CURSOR
        id | s
        1 | row 1
        FETCH 1
        id | s
        2 | row 2
        3 | row 3
        FETCH 2
        MOVE 1
        id | s
        5 | row 5
        FETCH 1
        id | s
        FETCH 0
        id | s
        FETCH 0
        CLOSE CURSOR
        ERROR 34000: cursor "c" does not exist
        ROLLBACK
    "#]]
    .assert_eq(&s.run(
        "BEGIN;
         DECLARE c CURSOR FOR SELECT * FROM t ORDER BY id;
         FETCH c;
         FETCH FORWARD 2 FROM c;
         MOVE c;
         FETCH ALL IN c;
         FETCH NEXT c;
         FETCH RELATIVE 1 c;
         CLOSE c;
         FETCH c;
         ROLLBACK",
    ));
}

#[test]
fn with_scroll_one_may_go_back() {
    let db = Db::new();
    let mut s = db.session();
    table(&mut s);
    expect![[r#"
        BEGIN
        DECLARE CURSOR
        id
        5
        FETCH 1
        id
        4
        3
        FETCH 2
        id
        3
        FETCH 1
        id
        2
        FETCH 1
        id
        1
        FETCH 1
        id
        FETCH 0
        id
        1
        FETCH 1
        MOVE 4
        id
        5
        4
        3
        2
        1
        FETCH 5
        COMMIT
    "#]]
    .assert_eq(&s.run(
        "BEGIN;
         DECLARE c SCROLL CURSOR FOR SELECT id FROM t ORDER BY id;
         FETCH LAST c;
         FETCH -2 c;
         FETCH RELATIVE 0 c;
         FETCH ABSOLUTE 2 c;
         FETCH PRIOR c;
         FETCH ABSOLUTE 0 c;
         FETCH c;
         MOVE ALL c;
         FETCH BACKWARD ALL c;
         COMMIT",
    ));
    let refused = s.run(
        "BEGIN; DECLARE c NO SCROLL CURSOR FOR SELECT id FROM t ORDER BY id;
         MOVE 2 c; FETCH ABSOLUTE 3 c; FETCH PRIOR c; ROLLBACK",
    );
    expect![[r#"
        BEGIN
        DECLARE CURSOR
        MOVE 2
        id
        3
        FETCH 1
        ERROR 55000: cursor can only scan forward
        HINT: Declare it with SCROLL option to enable backward scan.
        ROLLBACK
    "#]]
    .assert_eq(&refused);
}

/// What the transaction writes after DECLARE is not seen, whether rows were read by then or not.
#[test]
fn a_cursor_shows_what_was_there_when_it_was_declared() {
    let db = Db::new();
    let mut s = db.session();
    table(&mut s);
    let mut other = db.session();
    s.ok("BEGIN");
    s.ok("UPDATE t SET s = 'mine' WHERE id = 2");
    s.ok("DECLARE c CURSOR FOR SELECT s FROM t ORDER BY id");
    s.ok("DECLARE late CURSOR FOR SELECT count(*), min(s) FROM t");
    assert_eq!(s.ok("FETCH 2 c"), "s\nrow 1\nmine\nFETCH 2\n");
    s.ok("UPDATE t SET s = 'later'");
    s.ok("INSERT INTO t VALUES (6, 'six')");
    other.ok("INSERT INTO t VALUES (7, 'seven')");
    assert_eq!(s.ok("FETCH ALL c"), "s\nrow 3\nrow 4\nrow 5\nFETCH 3\n");
    assert_eq!(s.ok("FETCH late"), "count | min\n5 | mine\nFETCH 1\n");
    assert_eq!(
        s.ok("SELECT count(*) FROM t WHERE s = 'later'"),
        "count\n5\n"
    );
    s.ok("COMMIT");
}

#[test]
fn cursors_end_with_their_transaction_unless_they_are_held() {
    let db = Db::new();
    let mut s = db.session();
    table(&mut s);
    expect![[r#"
        ERROR 25P01: DECLARE CURSOR can only be used in transaction blocks
        DECLARE CURSOR
        id
        1
        FETCH 1
        BEGIN
        UPDATE 5
        DECLARE CURSOR
        DECLARE CURSOR
        ERROR 42P03: cursor "held" already exists
        ROLLBACK
        BEGIN
        UPDATE 5
        DECLARE CURSOR
        DECLARE CURSOR
        COMMIT
        DELETE 5
        id
        11
        12
        13
        14
        15
        FETCH 5
        ERROR 34000: cursor "plain" does not exist
        id
        2
        3
        4
        5
        FETCH 4
        CLOSE CURSOR ALL
        ERROR 34000: cursor "held" does not exist
    "#]]
    .assert_eq(&s.run(
        "DECLARE c CURSOR FOR SELECT 1;
         DECLARE held CURSOR WITH HOLD FOR SELECT id FROM t ORDER BY id;
         FETCH held;
         BEGIN;
         UPDATE t SET id = id + 10;
         DECLARE gone CURSOR WITH HOLD FOR SELECT id FROM t ORDER BY id;
         DECLARE plain CURSOR FOR SELECT id FROM t;
         DECLARE held CURSOR FOR SELECT 1;
         ROLLBACK;
         BEGIN;
         UPDATE t SET id = id + 10;
         DECLARE gone CURSOR WITH HOLD FOR SELECT id FROM t ORDER BY id;
         DECLARE plain CURSOR FOR SELECT id FROM t;
         COMMIT;
         DELETE FROM t;
         FETCH ALL gone;
         FETCH plain;
         FETCH ALL held;
         CLOSE ALL;
         FETCH held",
    ));
    let left = s.ok("SELECT bytes FROM helios_memory WHERE part = 'queries'");
    assert_eq!(left, "bytes\n0\n");
}

#[test]
fn savepoints_take_cursors_with_them() {
    let db = Db::new();
    let mut s = db.session();
    table(&mut s);
    expect![[r#"
        BEGIN
        DECLARE CURSOR
        SAVEPOINT
        DECLARE CURSOR
        SAVEPOINT
        DECLARE CURSOR
        RELEASE
        ROLLBACK
        id
        1
        FETCH 1
        ERROR 34000: cursor "b" does not exist
        ROLLBACK
        ERROR 34000: cursor "c" does not exist
        ROLLBACK
    "#]]
    .assert_eq(&s.run(
        "BEGIN;
         DECLARE a CURSOR FOR SELECT id FROM t ORDER BY id;
         SAVEPOINT x;
         DECLARE b CURSOR FOR SELECT id FROM t ORDER BY id;
         SAVEPOINT y;
         DECLARE c CURSOR FOR SELECT id FROM t ORDER BY id;
         RELEASE y;
         ROLLBACK TO x;
         FETCH a;
         FETCH b;
         ROLLBACK TO x;
         FETCH c;
         ROLLBACK",
    ));
}

#[test]
fn parameters_locks_and_errors() {
    let db = Db::new();
    let mut s = db.session();
    table(&mut s);
    s.ok("BEGIN");
    let sql = "DECLARE c CURSOR FOR SELECT id FROM t WHERE id > $1 ORDER BY id";
    let declare = s.0.prepare(sql, &[]).unwrap();
    assert_eq!(declare.param_types, [heliosdb_sql::types::PgType::Int4]);
    assert!(declare.columns.is_none());
    let three = heliosdb_sql::Value::Text("3".to_owned());
    let declared = s.0.execute_prepared(&declare, &[three]).unwrap();
    assert!(matches!(declared, Outcome::Command(_)));
    let fetch = s.0.prepare("FETCH ALL c", &[]).unwrap();
    assert_eq!(fetch.columns.as_ref().unwrap()[0].name, "id");
    let rows = s.0.execute_prepared(&fetch, &[]).unwrap();
    assert_eq!(s.print(rows), "id\n4\n5\nFETCH 2\n");
    s.ok("COMMIT");

    s.ok("BEGIN");
    s.ok("DECLARE l CURSOR FOR SELECT id FROM t WHERE id = 1 FOR UPDATE");
    let mut other = db.session();
    let refused = other.run("SELECT id FROM t WHERE id = 1 FOR UPDATE NOWAIT");
    assert!(refused.starts_with("ERROR 55P03"), "{refused}");
    assert_eq!(s.ok("FETCH l"), "id\n1\nFETCH 1\n");
    s.ok("COMMIT");

    // An error of the query fails the block when its row is reached.
    s.ok("BEGIN");
    s.ok("DECLARE e CURSOR FOR SELECT 6 / (3 - i) FROM generate_series(1, 5) g(i)");
    let failed = s.run("FETCH ALL e; SELECT 1; ROLLBACK");
    expect![[r#"
        ERROR 22012: division by zero
        ERROR 25P02: current transaction is aborted, commands ignored until end of transaction block
        ROLLBACK
    "#]]
    .assert_eq(&failed);
    for sql in [
        "DECLARE c BINARY CURSOR WITH HOLD FOR SELECT 1",
        "DECLARE c CURSOR WITH HOLD FOR SELECT id FROM t FOR UPDATE",
    ] {
        let refused = s.run(sql);
        assert!(refused.starts_with("ERROR 0A000"), "{refused}");
    }
    let refused = s.run("FETCH 1.5 c");
    assert!(refused.starts_with("ERROR 42601"), "{refused}");
}

/// What queries hold of the budget.
fn held(db: &Db) -> usize {
    let mut s = db.session();
    let bytes = s.ok("SELECT bytes FROM helios_memory WHERE part = 'queries'");
    bytes.lines().nth(1).unwrap().parse().unwrap()
}

/// Tasks of a query that ended let go what they hold when they next look up, which is soon but not at once.
#[track_caller]
fn expect_held(db: &Db, bytes: usize) {
    let patience = Instant::now() + Duration::from_secs(10);
    while held(db) != bytes && Instant::now() < patience {
        thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(held(db), bytes);
}

/// Rows may be lost where it failed, so nothing goes on from there.
#[test]
fn a_cursor_that_failed_cannot_be_run() {
    let db = Db::new();
    let mut s = db.session();
    expect![[r#"
        BEGIN
        DECLARE CURSOR
        SAVEPOINT
        ERROR 22012: division by zero
        ROLLBACK
        ERROR 55000: portal "e" cannot be run
        ROLLBACK
        ERROR 55000: portal "e" cannot be run
        ROLLBACK
        COMMIT
        ERROR 34000: cursor "e" does not exist
    "#]]
    .assert_eq(&s.run(
        "BEGIN;
         DECLARE e CURSOR WITH HOLD FOR SELECT 6 / (3 - i) FROM generate_series(1, 5) g(i);
         SAVEPOINT s;
         FETCH e;
         ROLLBACK TO s;
         FETCH ALL e;
         ROLLBACK TO s;
         MOVE e;
         ROLLBACK TO s;
         COMMIT;
         FETCH e",
    ));
    // As in PostgreSQL this is so for one that was asked to go back, too.
    expect![[r#"
        DECLARE CURSOR
        MOVE 2
        ERROR 55000: cursor can only scan forward
        HINT: Declare it with SCROLL option to enable backward scan.
        ERROR 55000: portal "h" cannot be run
        CLOSE CURSOR
    "#]]
    .assert_eq(&s.run(
        "DECLARE h CURSOR WITH HOLD FOR SELECT i FROM generate_series(1, 5) g(i);
         MOVE 2 h;
         FETCH PRIOR h;
         FETCH h;
         CLOSE h",
    ));
    // What was kept is let go before anybody says ROLLBACK.
    s.ok("BEGIN");
    s.ok("DECLARE k SCROLL CURSOR FOR SELECT 6 / (20000 - i) FROM generate_series(1, 30000) g(i)");
    s.ok("SAVEPOINT s");
    s.ok("MOVE 8000 k");
    assert!(held(&db) > 0);
    let failed = s.run("MOVE ALL k");
    assert!(failed.starts_with("ERROR 22012"), "{failed}");
    expect_held(&db, 0);
}

/// Those that ROLLBACK TO cannot bring back let go what they hold before anybody says ROLLBACK.
#[test]
fn a_failed_transaction_holds_no_rows() {
    let db = Db::new();
    let mut s = db.session();
    let declare = |name: &str| {
        format!(
            "DECLARE {name} SCROLL CURSOR FOR SELECT i FROM generate_series(1, 50000) g(i);
             MOVE ALL {name};"
        )
    };
    s.run(&format!("BEGIN; {}", declare("a")));
    assert!(held(&db) > 0);
    s.run("SELECT nothing");
    expect_held(&db, 0);
    s.ok("ROLLBACK");

    s.run(&format!("BEGIN; {}", declare("a")));
    let outer = held(&db);
    s.run(&format!("SAVEPOINT s; {}", declare("b")));
    assert!(held(&db) > outer);
    s.run("SELECT nothing");
    expect_held(&db, outer);
    expect![[r#"
        ROLLBACK
        i
        50000
        FETCH 1
        ERROR 34000: cursor "b" does not exist
        ROLLBACK
    "#]]
    .assert_eq(&s.run("ROLLBACK TO s; FETCH PRIOR a; FETCH b; ROLLBACK"));
    expect_held(&db, 0);
}

/// Batches of a sort share the buffers of what was sorted; a cursor that keeps them takes what their rows take.
#[test]
fn kept_rows_count_once() {
    let db = Db::within(512 << 20);
    let mut s = db.session();
    s.ok("CREATE TABLE t (id int PRIMARY KEY, s text)");
    s.ok(
        "INSERT INTO t SELECT i, repeat(md5(i::text), 3) || '1234' FROM generate_series(1, 100000) i",
    );
    s.ok("DECLARE c CURSOR WITH HOLD FOR SELECT s FROM t ORDER BY s");
    let bytes = held(&db);
    assert!((11_600_000..14_000_000).contains(&bytes), "{bytes}");
    assert_eq!(s.ok("MOVE ALL c"), "MOVE 100000\n");
    expect_held(&db, 0);
}

/// Rows that a client has not read yet count as its query's.
#[test]
fn rows_on_their_way_to_the_client_count() {
    let db = Db::new();
    let mut s = db.session();
    s.ok("BEGIN");
    s.ok("DECLARE c CURSOR FOR SELECT i FROM generate_series(1, 50000) g(i)");
    let fetch = s.0.parse("FETCH 40000 c").unwrap();
    let fetched = s.0.execute(&fetch[0], &[]).unwrap();
    s.ok("CLOSE c");
    assert!(held(&db) > 100_000);
    drop(fetched);
    expect_held(&db, 0);
}

#[test]
fn rows_without_columns_go_both_ways() {
    let db = Db::new();
    let mut s = db.session();
    s.ok("BEGIN");
    s.ok("DECLARE c SCROLL CURSOR FOR SELECT FROM generate_series(1, 3)");
    assert!(s.ok("FETCH ALL c").ends_with("FETCH 3\n"));
    assert!(s.ok("FETCH BACKWARD ALL c").ends_with("FETCH 3\n"));
}

#[test]
fn locks_of_all_strengths_take_parameters() {
    let db = Db::new();
    let mut s = db.session();
    table(&mut s);
    for lock in ["UPDATE", "NO KEY UPDATE", "SHARE", "KEY SHARE"] {
        s.ok("BEGIN");
        let sql = format!("DECLARE c CURSOR FOR SELECT id FROM t WHERE id = $1 FOR {lock}");
        let declare = s.0.prepare(&sql, &[]).unwrap();
        assert_eq!(
            declare.param_types,
            [heliosdb_sql::types::PgType::Int4],
            "{lock}"
        );
        let two = heliosdb_sql::Value::Text("2".to_owned());
        let declared = s.0.execute_prepared(&declare, &[two]).unwrap();
        assert!(matches!(declared, Outcome::Command(_)));
        // Who locks the key alone lets others change the rest.
        let mut other = db.session();
        let refused = other.run("SELECT id FROM t WHERE id = 2 FOR NO KEY UPDATE NOWAIT");
        assert_eq!(refused.starts_with("ERROR 55P03"), lock != "KEY SHARE");
        assert_eq!(
            other.ok("SELECT id FROM t WHERE id = 1 FOR UPDATE NOWAIT"),
            "id\n1\n"
        );
        assert_eq!(s.ok("FETCH ALL c"), "id\n2\nFETCH 1\n");
        s.ok("COMMIT");
        s.ok("BEGIN");
        s.ok(&sql.replace("$1", "3"));
        assert_eq!(s.ok("FETCH ALL c"), "id\n3\nFETCH 1\n");
        s.ok("COMMIT");
    }
}

#[test]
fn what_cannot_be_declared_or_prepared_is_a_matter_of_syntax() {
    let db = Db::new();
    let mut s = db.session();
    for sql in [
        "PREPARE p AS DECLARE c CURSOR WITH HOLD FOR SELECT 1",
        "DECLARE c CURSOR WITH HOLD FOR SELECT 1 INTO x",
        "DECLARE c CURSOR WITH HOLD FOR SELECT 1 INTO x FOR UPDATE",
    ] {
        let refused = s.run(sql);
        assert!(refused.starts_with("ERROR 42601"), "{sql}: {refused}");
    }
}

#[test]
fn open_cursors_are_shown() {
    let db = Db::new();
    let mut s = db.session();
    expect![[r#"
        BEGIN
        DECLARE CURSOR
        DECLARE CURSOR
        name | statement | is_holdable | is_binary | is_scrollable | is_now
        My c | DECLARE "My c" SCROLL CURSOR WITH HOLD FOR SELECT 1 | t | f | t | t
        d | declare  d cursor for select 2 | f | f | f | t
        CLOSE CURSOR
        COMMIT
        name
        My c
        CLOSE CURSOR ALL
        name
    "#]]
    .assert_eq(&s.run(
        "BEGIN;
         DECLARE \"My c\" SCROLL CURSOR WITH HOLD FOR SELECT 1;
         declare  d cursor for select 2;
         SELECT name, statement, is_holdable, is_binary, is_scrollable,
                creation_time BETWEEN now() AND clock_timestamp() AS is_now
         FROM pg_cursors ORDER BY name;
         CLOSE d;
         COMMIT;
         SELECT name FROM pg_cursors;
         CLOSE ALL;
         SELECT name FROM pg_cursors",
    ));
    // Another session has others.
    s.ok("DECLARE c CURSOR WITH HOLD FOR SELECT 1");
    assert_eq!(db.session().ok("SELECT name FROM pg_cursors"), "name\n");
}

/// Where a cursor is among `rows` rows, as PostgreSQL has it: 0 is before the first.
struct Model {
    rows: i64,
    place: i64,
}

impl Model {
    /// The rows that `count` steps in one direction pass.
    fn steps(&mut self, count: i64) -> Vec<i64> {
        let mut passed = Vec::new();
        for _ in 0..count.abs() {
            let next = (self.place + count.signum()).clamp(0, self.rows + 1);
            if next == self.place {
                break;
            }
            self.place = next;
            if (1..=self.rows).contains(&next) {
                passed.push(next);
            }
        }
        passed
    }

    fn to(&mut self, place: i64) -> Vec<i64> {
        self.place = place.clamp(0, self.rows + 1);
        Vec::from_iter((1..=self.rows).contains(&self.place).then_some(self.place))
    }

    fn fetch(&mut self, how: &str, n: i64) -> Vec<i64> {
        match how {
            "ABSOLUTE" if n < 0 => self.to(self.rows + 1 + n),
            "ABSOLUTE" => self.to(n),
            "RELATIVE" => self.to(self.place + n),
            _ if n == 0 => self.to(self.place),
            "FORWARD" => self.steps(n),
            _ => self.steps(-n),
        }
    }
}

fn fetched(rows: &[i64]) -> String {
    let lines: String = rows.iter().map(|i| format!("{i}\n")).collect();
    format!("i\n{lines}FETCH {}\n", rows.len())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// Any walk, over rows that come in several batches.
    #[test]
    fn any_walk_passes_the_rows_that_it_should(
        rows in prop_oneof![0..8_i64, 9_000..20_000_i64],
        walk in prop::collection::vec(
            (prop::sample::select(vec!["FORWARD", "BACKWARD", "ABSOLUTE", "RELATIVE"]),
             prop_oneof![-9..10_i64, -20_000..20_000_i64],
             any::<bool>()),
            1..12,
        ),
    ) {
        let db = Db::new();
        let mut s = db.session();
        s.ok("BEGIN");
        s.ok(&format!("DECLARE c SCROLL CURSOR FOR SELECT i FROM generate_series(1, {rows}) g(i)"));
        let mut model = Model { rows, place: 0 };
        for (how, n, moves) in walk {
            let expected = model.fetch(how, n);
            if moves {
                let found = s.ok(&format!("MOVE {how} {n} FROM c"));
                prop_assert_eq!(found, format!("MOVE {}\n", expected.len()));
            } else {
                let found = s.ok(&format!("FETCH {how} {n} FROM c"));
                prop_assert_eq!(found, fetched(&expected), "{} {}", how, n);
            }
        }
        // One that goes forward only passes the same rows.
        s.ok(&format!("DECLARE f CURSOR FOR SELECT i FROM generate_series(1, {rows}) g(i)"));
        let mut model = Model { rows, place: 0 };
        for n in [3, 5_000, 1, 4_000, 20_000] {
            let expected = model.fetch("FORWARD", n);
            let found = s.ok(&format!("FETCH {n} FROM f"));
            prop_assert_eq!(found, fetched(&expected));
            let next = model.fetch("RELATIVE", 2);
            let found = s.ok("FETCH RELATIVE 2 FROM f");
            prop_assert_eq!(found, fetched(&next));
        }
    }
}
