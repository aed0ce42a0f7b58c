//! Statements that insert very many rows, held against the same statements that insert them row by row.

use heliosdb_storage::Options;

use super::support::Db;

/// Every statement inserts in bulk, or none does.
fn databases() -> [Db; 2] {
    [1, usize::MAX].map(|bulk_rows_min| {
        Db::with_options(Options {
            bulk_rows_min,
            ..Options::default()
        })
    })
}

const SCHEMA: &str = "
    CREATE TABLE parent (a int, b text, PRIMARY KEY (a, b));
    INSERT INTO parent VALUES (1, 'x'), (2, 'y'), (3, 'z');
    CREATE TABLE t (
        id int PRIMARY KEY, a int, b text, n numeric(6,2) DEFAULT 1.5 CHECK (n < 100),
        up int REFERENCES t, s text NOT NULL DEFAULT 's', UNIQUE (n, s),
        FOREIGN KEY (b, a) REFERENCES parent (b, a));
    CREATE INDEX ON t (lower(s));
    CREATE UNIQUE INDEX ON t (b) WHERE a = 3;
";

/// Numbers that look random, the same for both.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % n
    }

    fn of<'a>(&mut self, some: &[&'a str]) -> &'a str {
        some[self.below(some.len() as u64) as usize]
    }

    fn row(&mut self) -> String {
        let id = self.below(400);
        let (a, b) = match self.below(40) {
            0 => ("9", "'x'"),
            1 => ("NULL", "'nobody'"),
            2 => ("3", "'z'"),
            3..20 => ("1", "'x'"),
            _ => ("NULL", "NULL"),
        };
        let n = match self.below(60) {
            0 => "200".to_owned(),
            1..40 => "NULL".to_owned(),
            _ => self.below(9900).to_string() + "/100.0",
        };
        let up = match self.below(12) {
            0 => self.below(400).to_string(),
            1 => id.to_string(),
            _ => "NULL".to_owned(),
        };
        let s = match self.below(80) {
            0 => "NULL",
            _ => self.of(&["'s'", "'S'", "'other'", "''"]),
        };
        format!("({id}, {a}, {b}, {n}, {up}, {s})")
    }

    /// None says anything that depends on the order in which rows are read.
    fn statement(&mut self) -> String {
        let rows: Vec<String> = (0..1 + self.below(6)).map(|_| self.row()).collect();
        let rows = rows.join(", ");
        let table = "t (id, a, b, n, up, s)";
        match self.below(14) {
            0..5 => format!("INSERT INTO {table} VALUES {rows}"),
            5 => format!("INSERT INTO {table} VALUES {rows} RETURNING id, n"),
            6 => format!("INSERT INTO {table} VALUES {rows} ON CONFLICT DO NOTHING"),
            7 => {
                let plus = self.below(500);
                format!(
                    "INSERT INTO t SELECT id + {plus}, a, b, n, NULL, s FROM t WHERE a = 1 ORDER BY id"
                )
            }
            8 => format!("DELETE FROM t WHERE id = {}", self.below(400)),
            9 => format!("UPDATE t SET s = 'new' WHERE id = {}", self.below(400)),
            10 => "BEGIN".to_owned(),
            11 => self.of(&["COMMIT", "ROLLBACK"]).to_owned(),
            12 => self.of(&["SAVEPOINT p", "ROLLBACK TO p"]).to_owned(),
            _ => format!("DELETE FROM parent WHERE a = {}", 2 + self.below(2)),
        }
    }
}

const LOOK: &str = "
    SELECT * FROM t ORDER BY id;
    SELECT id FROM t WHERE lower(s) = 'other' ORDER BY id;
    SELECT id FROM t WHERE n = 1.5 ORDER BY id;
    SELECT id FROM t WHERE b = 'z' AND a = 3 ORDER BY id;
    SELECT count(*) FROM t;
    SELECT count(*) FROM parent;
";

#[test]
fn the_same_statements_say_and_leave_the_same() {
    let databases = databases();
    let mut random = Random(20_261_121);
    let mut sessions = databases.each_ref().map(Db::session);
    for session in &mut sessions {
        session.ok(SCHEMA);
    }
    let mut refused = 0;
    for n in 0..400 {
        let statement = random.statement();
        let [bulk, single] = sessions.each_mut().map(|session| session.run(&statement));
        assert_eq!(bulk, single, "{n}: {statement}");
        refused += usize::from(bulk.contains("ERROR 23"));
        if n % 20 == 0 {
            let [bulk, single] = sessions.each_mut().map(|session| session.run(LOOK));
            assert_eq!(bulk, single, "after {n}: {statement}");
        }
    }
    assert!((40..360).contains(&refused), "{refused}");
    drop(sessions);
    let [bulk, single] = databases.map(|db| db.reopen().session().run(LOOK));
    assert_eq!(bulk, single);
}

#[test]
fn a_copy_says_what_is_wrong_with_the_first_row() {
    let databases = databases();
    let mut sessions = databases.each_ref().map(Db::session);
    sessions.iter_mut().for_each(|session| {
        session.ok(SCHEMA);
    });
    let mut both = |rows: &str| {
        let [bulk, single] = sessions.each_mut().map(|session| {
            let out = session.copy_in("COPY t FROM STDIN", rows.as_bytes());
            out + &session.run("SELECT count(*) FROM t")
        });
        assert_eq!(bulk, single, "{rows}");
        bulk
    };
    let out = both(
        "1\t1\tx\t5\t\\N\ta\n2\t\\N\t\\N\t\\N\t1\tb\n3\t3\tz\t\\N\t4\tc\n4\t\\N\t\\N\t7\t\\N\td\n",
    );
    assert_eq!(out, "COPY 4\ncount\n4\n");
    for (rows, error) in [
        (
            "5\t\\N\t\\N\t\\N\t\\N\ta\n4\t\\N\t\\N\t\\N\t\\N\tb\n",
            "23505",
        ),
        ("5\t9\tx\t\\N\t\\N\ta\n4\t\\N\t\\N\t\\N\t\\N\tb\n", "23505"),
        ("5\t9\tx\t\\N\t\\N\ta\n6\t\\N\t\\N\t\\N\t\\N\tb\n", "23503"),
        ("5\t\\N\t\\N\t\\N\t99\ta\n", "23503"),
        ("5\t\\N\t\\N\t\\N\t\\N\t\\N\n", "23502"),
        ("5\t\\N\t\\N\t300\t\\N\ta\n", "23514"),
        ("5\t\\N\t\\N\tx\t\\N\ta\n", "22P02"),
        ("5\t3\tz\t\\N\t\\N\ta\n", "23505"),
    ] {
        let out = both(rows);
        assert!(out.starts_with(&format!("ERROR {error}")), "{rows}: {out}");
        assert!(out.ends_with("count\n4\n"), "{rows}: {out}");
    }
}

/// More than one batch of a COPY, so that what is wrong is found at different times.
#[test]
fn what_is_wrong_with_a_row_comes_after_a_key_that_was_taken_before_it() {
    let db = Db::with_options(Options {
        bulk_rows_min: 10_000,
        ..Options::default()
    });
    let mut s = db.session();
    s.ok("CREATE TABLE p (id int PRIMARY KEY); INSERT INTO p SELECT generate_series(1, 50000);
          CREATE TABLE c (id int PRIMARY KEY, p int REFERENCES p, n int CHECK (n > 0), m int NOT NULL)");
    let mut copy = |change: &dyn Fn(usize) -> Option<String>| {
        let rows =
            (1..=40_000usize).map(|n| change(n).unwrap_or_else(|| format!("{n}\t{n}\t1\t1")));
        let rows: Vec<String> = rows.collect();
        let out = s.copy_in("COPY c FROM STDIN", (rows.join("\n") + "\n").as_bytes());
        let count = s.run("SELECT count(*) FROM c");
        s.ok("TRUNCATE c");
        (out, count)
    };
    let (out, count) = copy(&|_| None);
    assert_eq!(
        (out.as_str(), count.as_str()),
        ("COPY 40000\n", "count\n40000\n")
    );
    let twice = |n| (n == 20_000).then(|| "77\t1\t1\t1".to_owned());
    let wrong = |n| (n == 39_000).then(|| "39000\t1\t0\t1".to_owned());
    let null = |n| (n == 30_000).then(|| "30000\t1\t1\t\\N".to_owned());
    let text = |n| (n == 39_999).then(|| "39999\tx\t1\t1".to_owned());
    let lost = |n| (n == 3).then(|| "3\t60000\t1\t1".to_owned());
    let (out, count) = copy(&twice);
    assert_eq!(
        out,
        "ERROR 23505: duplicate key value violates unique constraint \"c_pkey\"\nDETAIL: Key (id)=(77) \
         already exists.\nCONTEXT: COPY c\n"
    );
    assert_eq!(count, "count\n0\n");
    for other in [
        &wrong as &dyn Fn(usize) -> Option<String>,
        &null,
        &text,
        &lost,
    ] {
        let (out, _) = copy(&|n| twice(n).or_else(|| other(n)));
        assert!(out.starts_with("ERROR 23505"), "{out}");
    }
    assert!(copy(&wrong).0.starts_with("ERROR 23514"));
    assert!(copy(&null).0.starts_with("ERROR 23502"));
    assert!(copy(&text).0.starts_with("ERROR 22P02"));
    let (out, _) = copy(&lost);
    assert!(out.starts_with("ERROR 23503"), "{out}");
    assert!(
        out.contains("Key (p)=(60000) is not present in table \"p\"."),
        "{out}"
    );
    let (out, _) = copy(&|n| lost(n).or_else(|| wrong(n)));
    assert!(out.starts_with("ERROR 23514"), "{out}");
}

#[test]
fn tables_made_of_queries_are_filled_in_bulk() {
    let db = Db::with_options(Options {
        bulk_rows_min: 1,
        ..Options::default()
    });
    let mut s = db.session();
    s.ok("CREATE TABLE t AS SELECT n, 'row ' || n AS s FROM generate_series(1, 30000) AS n");
    let look = "SELECT count(*), sum(n), min(s), max(s) FROM t";
    let seen = s.run(look);
    s.ok("BEGIN; INSERT INTO t SELECT n + 30000, s FROM t; SAVEPOINT p; INSERT INTO t SELECT * FROM t");
    assert!(s.run("SELECT count(*) FROM t").ends_with("120000\n"));
    s.ok("ROLLBACK TO p");
    assert!(s.run("SELECT count(*) FROM t").ends_with("60000\n"));
    s.ok("ROLLBACK");
    assert_eq!(s.run(look), seen);
    drop(s);
    assert_eq!(db.reopen().session().run(look), seen);
}
