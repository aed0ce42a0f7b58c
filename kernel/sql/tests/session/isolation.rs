//! The cases of Hermitage (Martin Kleppmann, <https://github.com/ept/hermitage>) at the three levels.
//!
//! Each case tells whether its anomaly could be seen, and whether somebody was refused. The table
//! says what PostgreSQL does with it: 23 cells in which the anomaly is prevented, counting the
//! variants of a case as one.

use expect_test::expect;

use super::support::stage::Stage;
use super::support::{Db, check};

const LEVELS: [&str; 3] = ["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cell {
    /// The anomaly is there.
    Seen,
    /// It is not, and nobody had to be refused for that.
    Prevented,
    /// Somebody was refused with 40001.
    Refused,
}

use Cell::{Prevented, Refused, Seen};

/// A case: what it is called, what it does, and what comes of it at each level.
type Case = (&'static str, fn(&mut Play<'_>) -> bool, [Cell; 3]);

const CASES: &[Case] = &[
    ("G0: write cycles", g0, [Prevented, Refused, Refused]),
    ("G1a: aborted reads", g1a, [Prevented, Prevented, Prevented]),
    (
        "G1b: intermediate reads",
        g1b,
        [Prevented, Prevented, Prevented],
    ),
    // At the highest level PostgreSQL, too, refuses what is a write skew.
    (
        "G1c: circular information flow",
        g1c,
        [Prevented, Prevented, Refused],
    ),
    (
        "OTV: observed transaction vanishes",
        otv,
        [Prevented, Refused, Refused],
    ),
    (
        "PMP: predicate-many-preceders",
        pmp,
        [Seen, Prevented, Prevented],
    ),
    ("PMP, write predicate", pmp_write, [Seen, Refused, Refused]),
    ("P4: lost update", p4, [Seen, Refused, Refused]),
    (
        "G-single: read skew",
        g_single,
        [Seen, Prevented, Prevented],
    ),
    (
        "G-single, predicate dependencies",
        g_single_predicate,
        [Seen, Prevented, Prevented],
    ),
    (
        "G-single, write predicate",
        g_single_write,
        [Seen, Refused, Refused],
    ),
    ("G2-item: write skew", g2_item, [Seen, Seen, Refused]),
    ("G2: anti-dependency cycles", g2, [Seen, Seen, Refused]),
    ("G2, two edges", g2_two_edges, [Seen, Seen, Refused]),
];

/// A stage on which every refusal is noted.
struct Play<'a> {
    stage: Stage<'a>,
    refused: bool,
}

impl Play<'_> {
    fn note(&mut self, out: String) -> String {
        self.refused |= out.contains("ERROR 40001");
        let others = out.replace("ERROR 40001", "").replace("ERROR 25P02", "");
        assert!(!others.contains("ERROR"), "{out}");
        out
    }

    fn run(&mut self, who: usize, sql: &str) -> String {
        let out = self.stage.run(who, sql);
        self.note(out)
    }

    fn wakes(&mut self, who: usize) -> String {
        let out = self.stage.wakes(who);
        self.note(out)
    }

    /// The values of a query of `value`, in order.
    fn values(&mut self, who: usize, condition: &str) -> Vec<i64> {
        let sql = format!("SELECT value FROM test WHERE {condition} ORDER BY id");
        let out = self.run(who, &sql);
        out.lines().filter_map(|line| line.parse().ok()).collect()
    }
}

#[test]
fn hermitage_at_all_levels() {
    let db = Db::new();
    db.session()
        .ok("CREATE TABLE test (id int PRIMARY KEY, value int)");
    let mut prevented = std::collections::BTreeMap::new();
    for (name, case, expected) in CASES {
        for (level, expected) in LEVELS.iter().zip(expected) {
            db.session()
                .ok("DELETE FROM test; INSERT INTO test VALUES (1, 10), (2, 20)");
            let mut play = Play {
                stage: Stage::new(&db, 3),
                refused: false,
            };
            for who in 1..=3 {
                play.run(who, &format!("BEGIN ISOLATION LEVEL {level}"));
            }
            let seen = case(&mut play);
            let cell = match (seen, play.refused) {
                (true, false) => Seen,
                (false, false) => Prevented,
                (false, true) => Refused,
                (true, true) => panic!("{name} at {level}: seen though somebody was refused"),
            };
            assert_eq!(cell, *expected, "{name} at {level}");
            let family = name.split([':', ',']).next().unwrap();
            *prevented.entry((family, *level)).or_insert(true) &= cell != Seen;
        }
    }
    let prevented = prevented.values().filter(|prevented| **prevented);
    assert_eq!(prevented.count(), 23);
}

fn committed(out: &str) -> bool {
    out == "COMMIT\n"
}

fn g0(p: &mut Play<'_>) -> bool {
    p.run(1, "UPDATE test SET value = 11 WHERE id = 1");
    p.stage.waits(2, "UPDATE test SET value = 12 WHERE id = 1");
    p.run(1, "UPDATE test SET value = 21 WHERE id = 2; COMMIT");
    p.wakes(2);
    assert_eq!(p.values(3, "true"), [11, 21]);
    p.run(2, "UPDATE test SET value = 22 WHERE id = 2; COMMIT");
    p.run(3, "COMMIT");
    let end = p.values(3, "true");
    end != [12, 22] && end != [11, 21]
}

fn g1a(p: &mut Play<'_>) -> bool {
    p.run(1, "UPDATE test SET value = 101 WHERE id = 1");
    let before = p.values(2, "true");
    p.run(1, "ROLLBACK");
    let after = p.values(2, "true");
    p.run(2, "COMMIT");
    before != [10, 20] || after != [10, 20]
}

fn g1b(p: &mut Play<'_>) -> bool {
    p.run(1, "UPDATE test SET value = 101 WHERE id = 1");
    let before = p.values(2, "true");
    p.run(1, "UPDATE test SET value = 11 WHERE id = 1; COMMIT");
    let after = p.values(2, "true");
    p.run(2, "COMMIT");
    before.contains(&101) || after.contains(&101)
}

fn g1c(p: &mut Play<'_>) -> bool {
    p.run(1, "UPDATE test SET value = 11 WHERE id = 1");
    p.run(2, "UPDATE test SET value = 22 WHERE id = 2");
    let first = p.values(1, "id = 2");
    let second = p.values(2, "id = 1");
    p.run(1, "COMMIT");
    p.run(2, "COMMIT");
    first == [22] && second == [11]
}

fn otv(p: &mut Play<'_>) -> bool {
    p.run(1, "UPDATE test SET value = 11 WHERE id = 1");
    p.run(1, "UPDATE test SET value = 19 WHERE id = 2");
    p.stage.waits(2, "UPDATE test SET value = 12 WHERE id = 1");
    p.run(1, "COMMIT");
    p.wakes(2);
    let one = p.values(3, "id = 1");
    p.run(2, "UPDATE test SET value = 18 WHERE id = 2");
    let two = p.values(3, "id = 2");
    p.run(2, "COMMIT");
    let two_again = p.values(3, "id = 2");
    let one_again = p.values(3, "id = 1");
    p.run(3, "COMMIT");
    // Once the first has been seen it is seen whole, and so is the second.
    (one == [11] && two == [20]) || (two_again == [18] && one_again == [11])
}

fn pmp(p: &mut Play<'_>) -> bool {
    let before = p.values(1, "value = 30");
    p.run(2, "INSERT INTO test VALUES (3, 30); COMMIT");
    let after = p.values(1, "value % 3 = 0");
    p.run(1, "COMMIT");
    before.is_empty() && after == [30]
}

fn pmp_write(p: &mut Play<'_>) -> bool {
    p.run(1, "UPDATE test SET value = value + 10");
    let before = p.values(2, "value = 20");
    p.stage.waits(2, "DELETE FROM test WHERE value = 20");
    p.run(1, "COMMIT");
    let deleted = p.wakes(2);
    let after = p.values(2, "value = 20");
    p.run(2, "COMMIT");
    // It saw a row to delete, deleted none, and sees one again.
    before == [20] && deleted == "DELETE 0\n" && after == [20]
}

fn p4(p: &mut Play<'_>) -> bool {
    let (first, second) = (p.values(1, "id = 1"), p.values(2, "id = 1"));
    assert_eq!((first, second), (vec![10], vec![10]));
    p.run(1, "UPDATE test SET value = 11 WHERE id = 1");
    p.stage.waits(2, "UPDATE test SET value = 11 WHERE id = 1");
    p.run(1, "COMMIT");
    p.wakes(2);
    let end = p.run(2, "COMMIT");
    committed(&end)
}

fn g_single(p: &mut Play<'_>) -> bool {
    let one = p.values(1, "id = 1");
    p.values(2, "id = 1");
    p.values(2, "id = 2");
    p.run(2, "UPDATE test SET value = 12 WHERE id = 1");
    p.run(2, "UPDATE test SET value = 18 WHERE id = 2; COMMIT");
    let two = p.values(1, "id = 2");
    p.run(1, "COMMIT");
    one == [10] && two == [18]
}

fn g_single_predicate(p: &mut Play<'_>) -> bool {
    let fives = p.values(1, "value % 5 = 0");
    p.run(2, "UPDATE test SET value = 12 WHERE value = 10; COMMIT");
    let threes = p.values(1, "value % 3 = 0");
    p.run(1, "COMMIT");
    fives == [10, 20] && threes == [12]
}

fn g_single_write(p: &mut Play<'_>) -> bool {
    let one = p.values(1, "id = 1");
    p.values(2, "true");
    p.run(2, "UPDATE test SET value = 12 WHERE id = 1");
    p.run(2, "UPDATE test SET value = 18 WHERE id = 2; COMMIT");
    let deleted = p.run(1, "DELETE FROM test WHERE value = 20");
    let end = p.run(1, "COMMIT");
    one == [10] && deleted == "DELETE 0\n" && committed(&end)
}

fn g2_item(p: &mut Play<'_>) -> bool {
    for who in [1, 2] {
        assert_eq!(p.values(who, "id IN (1, 2)"), [10, 20]);
    }
    p.run(1, "UPDATE test SET value = 11 WHERE id = 1");
    p.run(2, "UPDATE test SET value = 21 WHERE id = 2");
    let (first, second) = (p.run(1, "COMMIT"), p.run(2, "COMMIT"));
    committed(&first) && committed(&second)
}

fn g2(p: &mut Play<'_>) -> bool {
    for who in [1, 2] {
        assert!(p.values(who, "value % 3 = 0").is_empty());
    }
    p.run(1, "INSERT INTO test VALUES (3, 30)");
    p.run(2, "INSERT INTO test VALUES (4, 42)");
    let (first, second) = (p.run(1, "COMMIT"), p.run(2, "COMMIT"));
    committed(&first) && committed(&second)
}

/// The anomaly of a read-only transaction, which Hermitage has from Fekete, O'Neil and O'Neil.
fn g2_two_edges(p: &mut Play<'_>) -> bool {
    assert_eq!(p.values(1, "true"), [10, 20]);
    p.run(2, "UPDATE test SET value = value + 5 WHERE id = 2; COMMIT");
    assert_eq!(p.values(3, "true"), [10, 25]);
    p.run(3, "COMMIT");
    p.run(1, "UPDATE test SET value = 0 WHERE id = 1");
    let end = p.run(1, "COMMIT");
    committed(&end)
}

#[test]
fn modes_of_transactions_are_set_and_shown() {
    check(
        "BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY, DEFERRABLE;
         SHOW transaction_isolation; SHOW transaction_read_only; SHOW transaction_deferrable;
         SELECT 1; SET TRANSACTION NOT DEFERRABLE; ROLLBACK;
         BEGIN; SELECT 1; SET TRANSACTION ISOLATION LEVEL SERIALIZABLE; ROLLBACK;
         BEGIN READ ONLY; SELECT 1; SET TRANSACTION READ WRITE; ROLLBACK;
         BEGIN; SET TRANSACTION ISOLATION LEVEL SERIALIZABLE, NOT DEFERRABLE, READ WRITE;
         SHOW transaction_isolation; COMMIT;
         SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL SERIALIZABLE, DEFERRABLE;
         SHOW default_transaction_isolation; SHOW default_transaction_deferrable;
         SHOW transaction_isolation;
         SET default_transaction_isolation = 'repeatable read'; SHOW transaction_isolation",
        expect![[r#"
            BEGIN
            transaction_isolation
            serializable
            SHOW
            transaction_read_only
            on
            SHOW
            transaction_deferrable
            on
            SHOW
            ?column?
            1
            ERROR 25001: SET TRANSACTION [NOT] DEFERRABLE must be called before any query
            ROLLBACK
            BEGIN
            ?column?
            1
            ERROR 25001: SET TRANSACTION ISOLATION LEVEL must be called before any query
            ROLLBACK
            BEGIN
            ?column?
            1
            ERROR 25001: transaction read-write mode must be set before any query
            ROLLBACK
            BEGIN
            SET
            transaction_isolation
            serializable
            SHOW
            COMMIT
            SET
            default_transaction_isolation
            serializable
            SHOW
            default_transaction_deferrable
            on
            SHOW
            transaction_isolation
            serializable
            SHOW
            SET
            transaction_isolation
            repeatable read
            SHOW
        "#]],
    );
}

/// Outside a block, too, a SELECT is a transaction of the default level.
#[test]
fn a_lone_select_is_serializable_by_default() {
    let db = Db::new();
    let mut setup = db.session();
    setup.ok("CREATE TABLE test (id int PRIMARY KEY, value int)");
    setup.ok("INSERT INTO test VALUES (1, 10), (2, 20)");
    let mut stage = Stage::new(&db, 3);
    for who in 1..=3 {
        stage.run(who, "SET default_transaction_isolation = 'serializable'");
    }
    stage.run(1, "BEGIN; SELECT * FROM test");
    stage.run(2, "UPDATE test SET value = value + 5 WHERE id = 2");
    let report = stage.run(3, "SELECT * FROM test WHERE value > 0 ORDER BY id");
    assert_eq!(report, "id | value\n1 | 10\n2 | 25\n");
    stage.run(1, "UPDATE test SET value = 0 WHERE id = 1");
    expect![[r#"
        ERROR 40001: could not serialize access due to read/write dependencies among transactions
        DETAIL: Reason code: Canceled on identification as a pivot, during commit attempt.
        HINT: The transaction might succeed if retried.
    "#]]
    .assert_eq(&stage.run(1, "COMMIT"));
}

/// Reads of the past take part in nothing.
#[test]
fn as_of_reads_refuse_nobody() {
    let db = Db::new();
    let mut setup = db.session();
    setup.ok("CREATE TABLE test (id int PRIMARY KEY, value int)");
    setup.ok("INSERT INTO test VALUES (1, 10), (2, 20)");
    let scn = setup.run("SELECT helios_current_scn()");
    let scn = scn.lines().nth(1).unwrap();
    let mut stage = Stage::new(&db, 2);
    for who in [1, 2] {
        stage.run(who, "BEGIN ISOLATION LEVEL SERIALIZABLE");
        stage.run(who, &format!("SELECT sum(value) FROM test AS OF SCN {scn}"));
    }
    for who in [1, 2] {
        let sql = format!("UPDATE test SET value = 0 WHERE id = {who}; COMMIT");
        assert_eq!(stage.run(who, &sql), "UPDATE 1\nCOMMIT\n");
    }
}
