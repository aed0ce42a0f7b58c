//! AS OF: tables as they were, through statements of every kind.

use expect_test::{Expect, expect};
use heliosdb_sql::Value;

use super::support::{Client, Db};

/// The SCN of what a session sees now.
fn scn(s: &mut Client) -> i64 {
    let shown = s.ok("SELECT helios_current_scn()");
    shown.lines().nth(1).and_then(|l| l.parse().ok()).unwrap()
}

/// Runs a script in which `$NAME` stands for an SCN.
fn run_at(s: &mut Client, scns: &[(&str, i64)], sql: &str) -> String {
    let mut sql = sql.to_owned();
    for (name, scn) in scns {
        sql = sql.replace(&format!("${name}"), &scn.to_string());
    }
    let mut out = s.run(&sql);
    for (name, scn) in scns {
        out = out.replace(&scn.to_string(), &format!("${name}"));
    }
    // What is left of times differs from run to run.
    let lines = out.lines().map(|line| match line.split_once(" as of 20") {
        Some((text, time)) => match time.split_once("(SCN $") {
            Some((_, name)) => format!("{text} as of … (SCN ${name}\n"),
            None => format!("{text} as of …\n"),
        },
        None => format!("{line}\n"),
    });
    lines.collect()
}

fn check(s: &mut Client, scns: &[(&str, i64)], sql: &str, expected: Expect) {
    expected.assert_eq(&run_at(s, scns, sql));
}

/// A table in three states, and the SCN of each but the last.
fn items(s: &mut Client) -> [(&'static str, i64); 2] {
    s.ok(
        "CREATE TABLE item (id int PRIMARY KEY, name text, price int);
          CREATE INDEX by_price ON item (price);
          INSERT INTO item VALUES (1, 'pen', 10), (2, 'cup', 20), (3, 'hat', 30)",
    );
    let first = scn(s);
    s.ok("UPDATE item SET price = price + 1 WHERE id < 3; DELETE FROM item WHERE id = 3");
    let second = scn(s);
    s.ok("INSERT INTO item VALUES (4, 'bag', 40); UPDATE item SET name = 'mug' WHERE id = 2");
    [("A", first), ("B", second)]
}

#[test]
fn two_times_of_one_table_in_a_join() {
    let db = Db::new();
    let s = &mut db.session();
    let scns = items(s);
    check(
        s,
        &scns,
        "SELECT * FROM item AS OF SCN $A ORDER BY id;
         SELECT * FROM item AS OF SCN $B ORDER BY id;
         SELECT * FROM item AS OF NOW ORDER BY id;
         SELECT coalesce(n.id, o.id) AS id, o.price AS old, n.price AS new
           FROM item n FULL JOIN item AS OF SCN $A AS o USING (id) ORDER BY 1;
         SELECT a.name, b.name, c.name FROM item AS OF SCN $A a
           JOIN item AS OF SCN $B b USING (id) LEFT JOIN item c USING (id) ORDER BY a.id;
         SELECT (SELECT sum(price) FROM item AS OF SCN $A), (SELECT sum(price) FROM item AS OF SCN $B),
                (SELECT sum(price) FROM item);
         SELECT count(*) FROM item AS OF SCN $A WHERE price IN (SELECT price FROM item AS OF SCN $B);
         SELECT id FROM item AS OF SCN $A EXCEPT SELECT id FROM item AS OF SCN $B;
         SELECT p FROM item AS OF SCN $A AS x (i, n, p) WHERE i = 1",
        expect![[r#"
            id | name | price
            1 | pen | 10
            2 | cup | 20
            3 | hat | 30
            id | name | price
            1 | pen | 11
            2 | cup | 21
            id | name | price
            1 | pen | 11
            2 | mug | 21
            4 | bag | 40
            id | old | new
            1 | 10 | 11
            2 | 20 | 21
            3 | 30 | NULL
            4 | NULL | 40
            name | name | name
            pen | pen | pen
            cup | cup | mug
            sum | sum | sum
            60 | 32 | 72
            count
            0
            id
            3
            p
            10
        "#]],
    );
}

#[test]
fn queries_of_every_shape() {
    let db = Db::new();
    let s = &mut db.session();
    let scns = items(s);
    check(
        s,
        &scns,
        "WITH item AS (SELECT id, price FROM item AS OF SCN $A) SELECT sum(price) FROM item;
         WITH old AS (SELECT * FROM item AS OF SCN $A), gone AS (
           SELECT id FROM old EXCEPT SELECT id FROM item AS OF NOW) SELECT * FROM gone;
         SELECT item.name FROM public.item AS OF SCN $A WHERE item.id = 3;
         SELECT name FROM helios.public.item AS OF SCN $A WHERE id = 3;
         SELECT n.id, l.name FROM item n, LATERAL (SELECT name FROM item AS OF SCN $A o WHERE o.id = n.id) l
           ORDER BY 1;
         CREATE TABLE back AS SELECT * FROM item AS OF SCN $A;
         INSERT INTO item SELECT * FROM item AS OF SCN $A o WHERE o.id = 3 RETURNING id;
         UPDATE item SET price = o.price FROM item AS OF SCN $A o WHERE o.id = item.id AND item.id = 1;
         DELETE FROM item USING item AS OF SCN $B o WHERE o.id = item.id AND o.id = 2;
         SELECT * FROM item ORDER BY id;
         SELECT count(*) FROM back;
         COPY (SELECT * FROM item AS OF SCN $B ORDER BY id) TO STDOUT;
         TABLE item AS OF SCN $B ORDER BY id;
         SELECT 'FROM item AS OF NOW' AS of, 1 AS now FROM item AS of WHERE of.id = 4;
         SELECT 1 FROM item AS OF SCN $A, item AS OF SCN $B",
        expect![[r#"
            sum
            60
            id
            3
            name
            hat
            name
            hat
            id | name
            1 | pen
            2 | cup
            SELECT 3
            id
            3
            INSERT 0 1
            UPDATE 1
            DELETE 1
            id | name | price
            1 | pen | 10
            3 | hat | 30
            4 | bag | 40
            count
            3
            1	pen	11
            2	cup	21
            COPY 2
            id | name | price
            1 | pen | 11
            2 | cup | 21
            of | now
            FROM item AS OF NOW | 1
            ERROR 42701: column name "id" specified more than once
        "#]],
    );
}

/// A key is looked up in the index as it was. An index of today is no index of then, and one that was
/// dropped is not used.
#[test]
fn indexes_and_explain() {
    let db = Db::new();
    let s = &mut db.session();
    let scns = items(s);
    s.ok("CREATE INDEX by_name ON item (name)");
    check(
        s,
        &scns,
        "SELECT name FROM item AS OF SCN $A WHERE id = 2;
         SELECT name FROM item AS OF SCN $A WHERE price BETWEEN 11 AND 20;
         SELECT id FROM item AS OF SCN $A WHERE name = 'cup';
         SELECT id FROM item AS OF SCN $B WHERE id = 3",
        expect![[r#"
            name
            cup
            name
            cup
            id
            2
            id
        "#]],
    );
    let plans = run_at(
        s,
        &scns,
        "EXPLAIN SELECT name FROM item AS OF SCN $A WHERE id = 2;
         EXPLAIN SELECT name FROM item AS OF SCN $A WHERE price > 15;
         EXPLAIN SELECT price FROM item AS OF SCN $A WHERE name = 'cup';
         DROP INDEX by_price;
         EXPLAIN SELECT name FROM item AS OF SCN $A WHERE price > 15",
    );
    let scans: Vec<&str> = plans
        .lines()
        .filter_map(|l| l.split_once("Scan: ").or(l.split_once("Read: ")))
        .map(|(_, scan)| scan)
        .map(|scan| scan.split_once("as_of=").map_or(scan, |(before, _)| before))
        .collect();
    expect![[r#"
        [
            "table=item, index=item_pkey, ",
            "table=item, index=by_price, ",
            "table=item, ",
            "table=item, ",
        ]
    "#]]
    .assert_debug_eq(&scans);
    assert_eq!(plans.matches("(SCN $A)").count(), 4, "{plans}");
}

/// The catalog is read at the time, too: what was dropped is there, and what came later is not.
#[test]
fn across_ddl() {
    let db = Db::new();
    let mut session = db.session();
    let s = &mut session;
    s.ok("CREATE SCHEMA shop; CREATE TABLE shop.item (id int PRIMARY KEY, name text, price int, gone date)");
    s.ok("INSERT INTO shop.item VALUES (1, 'pen', 10, '2026-01-01'), (2, 'cup', 20, NULL)");
    let a = scn(s);
    s.ok("ALTER TABLE shop.item DROP COLUMN gone;
          ALTER TABLE shop.item RENAME COLUMN name TO title;
          ALTER TABLE shop.item ADD COLUMN stock int DEFAULT 7;
          ALTER TABLE shop.item DROP COLUMN price; ALTER TABLE shop.item ADD COLUMN price text DEFAULT 'free'");
    let b = scn(s);
    s.ok("ALTER TABLE shop.item ALTER COLUMN stock TYPE text USING stock || ' left'");
    s.ok("ALTER TABLE shop.item RENAME TO thing; CREATE TABLE shop.item (other text)");
    let c = scn(s);
    s.ok("TRUNCATE shop.thing; INSERT INTO shop.thing VALUES (9, 'new', 1, 1)");
    let d = scn(s);
    s.run("DROP SCHEMA shop CASCADE");
    let scns = [("A", a), ("B", b), ("C", c), ("D", d)];
    let sql = "SELECT * FROM shop.item AS OF SCN $A ORDER BY id;
         SELECT * FROM shop.item AS OF SCN $B ORDER BY id;
         SELECT * FROM shop.thing AS OF SCN $C ORDER BY id;
         SELECT * FROM shop.item AS OF SCN $C;
         SELECT * FROM shop.thing AS OF SCN $D;
         SELECT a.name, a.gone, b.title, b.stock, d.title
           FROM shop.item AS OF SCN $A a JOIN shop.item AS OF SCN $B b USING (id)
             LEFT JOIN shop.thing AS OF SCN $D d USING (id) ORDER BY a.id;
         SELECT name FROM shop.item AS OF SCN $A WHERE id = 2 AND price = 20;
         SELECT title FROM shop.item AS OF SCN $A";
    let expected = expect![[r#"
        id | name | price | gone
        1 | pen | 10 | 2026-01-01
        2 | cup | 20 | NULL
        id | title | stock | price
        1 | pen | 7 | free
        2 | cup | 7 | free
        id | title | stock | price
        1 | pen | 7 left | free
        2 | cup | 7 left | free
        other
        id | title | stock | price
        9 | new | 1 | 1
        name | gone | title | stock | title
        pen | 2026-01-01 | pen | 7 | NULL
        cup | NULL | cup | 7 | NULL
        name
        cup
        ERROR 42703: column "title" does not exist
    "#]];
    let found = run_at(s, &scns, sql);
    expected.assert_eq(&found);
    s.ok("CHECKPOINT");
    assert_eq!(run_at(s, &scns, sql), found);

    // A name that was not there is told with the time it was asked for.
    let error = s.run(&format!("SELECT 1 FROM shop.thing AS OF SCN {b}"));
    assert!(
        error.starts_with("ERROR 42P01: relation \"shop.thing\" does not exist\nDETAIL: The name is looked up as of 20")
            && error.contains(&format!("(SCN {b})")),
        "{error}"
    );

    drop(session);
    let db = db.reopen();
    assert_eq!(run_at(&mut db.session(), &scns, sql), found);
}

#[test]
fn in_transactions() {
    let db = Db::new();
    let s = &mut db.session();
    let scns = items(s);
    let other = &mut db.session();
    // Its own writes, rows and definitions, are not seen.
    check(
        s,
        &scns,
        "BEGIN;
         UPDATE item SET price = 0; ALTER TABLE item ADD COLUMN note text; CREATE TABLE fresh (a int);
         SELECT * FROM item ORDER BY id;
         SELECT * FROM item AS OF NOW ORDER BY id;
         SELECT * FROM item AS OF SCN $A ORDER BY id;
         SELECT count(*) FROM item AS OF SCN helios_current_scn();
         SAVEPOINT before;
         SELECT * FROM fresh AS OF NOW;
         ROLLBACK TO before",
        expect![[r#"
            BEGIN
            UPDATE 3
            ALTER TABLE
            CREATE TABLE
            id | name | price | note
            1 | pen | 0 | NULL
            2 | mug | 0 | NULL
            4 | bag | 0 | NULL
            id | name | price
            1 | pen | 11
            2 | mug | 21
            4 | bag | 40
            id | name | price
            1 | pen | 10
            2 | cup | 20
            3 | hat | 30
            count
            3
            SAVEPOINT
            ERROR 42P01: relation "fresh" does not exist
            DETAIL: The name is looked up as of …
            ROLLBACK
        "#]],
    );
    // Nothing is locked, so the writer above is not waited for.
    check(
        other,
        &scns,
        "SET lock_timeout = '1ms'; BEGIN; SELECT sum(price) FROM item AS OF NOW;
         SELECT sum(price) FROM item AS OF SCN $A; SELECT sum(price) FROM item; ROLLBACK; RESET lock_timeout",
        expect![[r#"
            SET
            BEGIN
            sum
            72
            sum
            60
            ERROR 55P03: canceling statement due to lock timeout
            ROLLBACK
            RESET
        "#]],
    );
    s.ok("COMMIT");

    // NOW is the statement's snapshot, in READ COMMITTED and in REPEATABLE READ.
    s.ok("UPDATE item SET price = 1; BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1 FROM item");
    other.ok("BEGIN; SELECT 1 FROM item");
    db.session().ok("UPDATE item SET price = 2");
    let scns = [("C", scn(&mut db.session()))];
    let sql = "SELECT sum(price) FROM item; SELECT sum(price) FROM item AS OF NOW;
               SELECT sum(price) FROM item AS OF SCN helios_current_scn();
               SELECT sum(price) FROM item AS OF SCN $C; COMMIT";
    check(
        s,
        &scns,
        sql,
        expect![[r#"
        sum
        3
        sum
        3
        sum
        3
        sum
        6
        COMMIT
    "#]],
    );
    check(
        other,
        &scns,
        sql,
        expect![[r#"
        sum
        6
        sum
        6
        sum
        6
        sum
        6
        COMMIT
    "#]],
    );
}

#[test]
fn views() {
    let db = Db::new();
    let mut session = db.session();
    let s = &mut session;
    let scns = items(s);
    s.ok(
        "CREATE VIEW dear AS SELECT name, price FROM item WHERE price > 15;
          CREATE VIEW count_of AS SELECT count(*) AS n FROM dear",
    );
    let c = scn(s);
    s.ok("CREATE OR REPLACE VIEW dear AS SELECT name, price, id FROM item WHERE price > 35");
    s.ok("ALTER TABLE item DROP COLUMN price CASCADE");
    let scns = [scns[0], scns[1], ("C", c)];
    check(
        s,
        &scns,
        "SELECT * FROM dear AS OF SCN $C ORDER BY 1; SELECT * FROM count_of AS OF SCN $C;
         SELECT * FROM dear AS OF SCN $A; SELECT * FROM dear",
        expect![[r#"
            NOTICE: drop cascades to 2 other objects
            DETAIL: drop cascades to view dear
            drop cascades to view count_of
            name | price
            bag | 40
            mug | 21
            n
            2
            ERROR 42P01: relation "dear" does not exist
            DETAIL: The name is looked up as of … (SCN $A).
            ERROR 42P01: relation "dear" does not exist
        "#]],
    );
    // A definition keeps its times, and its names as they were found.
    check(
        s,
        &scns,
        "CREATE VIEW change AS SELECT o.id, o.name AS old, n.name AS new
           FROM item AS OF SCN $A AS o JOIN item n ON n.id = o.id
           WHERE o.name <> 'it''s AS OF NOW' AND o.id NOT IN (SELECT p.id FROM item AS OF TIMESTAMP '1 July 2020' p);
         CREATE VIEW change AS SELECT o.id, o.name AS old, n.name AS new
           FROM item AS OF SCN $A AS o JOIN item n ON n.id = o.id WHERE o.name <> 'it''s AS OF NOW';
         SELECT * FROM change ORDER BY id;
         SELECT definition FROM pg_views WHERE viewname = 'change';
         UPDATE item SET name = upper(name);
         SELECT * FROM change ORDER BY id;
         SELECT * FROM change AS OF SCN $C;
         DROP TABLE item;
         DROP TABLE item CASCADE;
         CREATE VIEW lost AS SELECT * FROM item AS OF SCN $A;
         SELECT sum(price) FROM lost;
         CREATE VIEW recent AS SELECT count(*) AS n FROM lost AS OF TIMESTAMP now() - interval '0';
         SELECT * FROM recent;
         CREATE TABLE item (id int);
         SELECT sum(price) FROM lost",
        expect![[r#"
            ERROR 42P01: relation "item" does not exist
            DETAIL: The name is looked up as of …
            CREATE VIEW
            id | old | new
            1 | pen | pen
            2 | cup | mug
            definition
             SELECT o.id, o.name AS old, n.name AS new FROM "public"."item" AS OF SCN $A AS o JOIN "public"."item" n ON n.id = o.id WHERE o.name <> 'it''s AS OF NOW';
            UPDATE 3
            id | old | new
            1 | pen | PEN
            2 | cup | MUG
            ERROR 42P01: relation "change" does not exist
            DETAIL: The name is looked up as of … (SCN $C).
            ERROR 2BP01: cannot drop table item because other objects depend on it
            DETAIL: view change depends on table item
            HINT: Use DROP ... CASCADE to drop the dependent objects too.
            NOTICE: drop cascades to view change
            DROP TABLE
            CREATE VIEW
            sum
            60
            CREATE VIEW
            n
            3
            CREATE TABLE
            sum
            60
        "#]],
    );
    drop(session);
    let db = db.reopen();
    assert_eq!(
        db.session()
            .run("SELECT sum(price) FROM lost; SELECT * FROM recent"),
        "sum\n60\nn\n3\n"
    );
}

#[test]
fn privileges_are_those_of_now() {
    let db = Db::new();
    let s = &mut db.session();
    s.ok("CREATE ROLE ann LOGIN; CREATE ROLE bob LOGIN; CREATE TABLE t (a int); INSERT INTO t VALUES (1);
          ALTER TABLE t OWNER TO ann; CREATE VIEW v AS SELECT * FROM t; ALTER TABLE t OWNER TO bob");
    let scns = [("A", scn(s))];
    s.ok("ALTER TABLE t OWNER TO ann");
    let (ann, bob) = (&mut db.session_of("ann"), &mut db.session_of("bob"));
    let sql = "SELECT * FROM t AS OF SCN $A";
    check(
        ann,
        &scns,
        sql,
        expect![[r#"
        a
        1
    "#]],
    );
    check(
        bob,
        &scns,
        sql,
        expect![[r#"
        ERROR 42501: permission denied for table t
    "#]],
    );
    check(
        ann,
        &scns,
        "SELECT * FROM v AS OF SCN $A",
        expect![[r#"
            ERROR 42501: permission denied for view v
        "#]],
    );
    s.ok("DROP TABLE t CASCADE");
    check(
        ann,
        &scns,
        sql,
        expect![[r#"
        ERROR 42501: permission denied for table t
    "#]],
    );
    check(
        bob,
        &scns,
        sql,
        expect![[r#"
        a
        1
    "#]],
    );
}

#[test]
fn times_and_zones() {
    let db = Db::new();
    let s = &mut db.session();
    let scns = items(s);
    let written = |s: &mut Client, scn: i64| {
        let shown = s.ok(&format!("SELECT helios_timestamp({scn})"));
        shown.lines().nth(1).unwrap().to_owned()
    };
    for zone in ["UTC", "Asia/Tokyo", "America/New_York"] {
        s.ok(&format!("SET TimeZone = '{zone}'"));
        for (_, scn) in scns {
            let time = written(s, scn);
            let local = time.rsplit_once(['+', '-']).unwrap().0;
            let expected = s.run(&format!("SELECT * FROM item AS OF SCN {scn} ORDER BY id"));
            for time in [
                format!("'{time}'"),
                format!("'{local}'"),
                format!("timestamptz '{time}'"),
                format!("timestamp '{local}'"),
                format!("'{time}'::timestamptz + interval '1 day' - interval '24 hours'"),
                format!("helios_timestamp({scn})"),
                format!("timezone('UTC', helios_timestamp({scn})) AT TIME ZONE 'UTC'"),
            ] {
                let sql = format!("SELECT * FROM item AS OF TIMESTAMP {time} ORDER BY id");
                assert_eq!(s.run(&sql), expected, "{sql}");
            }
            let microsecond = format!(
                "SELECT count(*) FROM item AS OF TIMESTAMP '{time}'::timestamptz - interval '1 microsecond'"
            );
            assert_ne!(s.run(&microsecond), expected);
            assert_eq!(
                s.run(&format!("SELECT helios_scn('{time}')")),
                format!("helios_scn\n{scn}\n")
            );
        }
    }
    // The same statement, the same present.
    assert_eq!(
        s.run("SELECT count(*) FROM item AS OF TIMESTAMP now(); SELECT helios_scn(now()) >= helios_current_scn() AS later"),
        "count\n3\nlater\nt\n"
    );
}

#[test]
fn what_is_refused() {
    let db = Db::new();
    let s = &mut db.session();
    let scns = items(s);
    s.ok("CREATE SEQUENCE numbers");
    check(
        s,
        &scns,
        "SELECT * FROM item AS OF TIMESTAMP '-infinity' WHERE false;
         SELECT * FROM item AS OF TIMESTAMP NULL;
         SELECT * FROM item AS OF TIMESTAMP 'soon';
         SELECT * FROM item AS OF TIMESTAMP 5;
         SELECT * FROM item AS OF SCN -5;
         SELECT * FROM item AS OF SCN 1.5;
         SELECT * FROM item AS OF SCN now();
         SELECT * FROM item AS OF SCN id;
         SELECT * FROM item a, item AS OF TIMESTAMP a.name;
         SELECT * FROM item AS OF SCN count(*);
         SELECT * FROM item AS OF SCN (SELECT 1);
         SELECT * FROM item AS OF TIMESTAMP clock_timestamp();
         SELECT * FROM item AS OF SCN nextval('numbers');
         SELECT * FROM item AS OF SCN $1;
         SELECT * FROM pg_class AS OF NOW;
         SELECT * FROM information_schema.tables AS OF NOW;
         SELECT * FROM numbers AS OF NOW;
         SELECT * FROM by_price AS OF NOW;
         SELECT * FROM other.public.item AS OF NOW;
         WITH c AS (SELECT 1) SELECT * FROM c AS OF NOW;
         WITH RECURSIVE item AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM item AS OF NOW) SELECT * FROM item;
         UPDATE item AS OF SCN $A SET price = 1;
         DELETE FROM item AS OF SCN $A;
         SELECT * FROM item AS OF SCN $A FOR UPDATE;
         CREATE TABLE x (a int CHECK (a IN (SELECT id FROM item AS OF NOW)))",
        expect![[r#"
            ERROR 42P01: relation "item" does not exist
            DETAIL: The name is looked up as of 1970-01-01 00:00:00+00 (SCN 0).
            ERROR 22004: argument of AS OF TIMESTAMP must not be null
            ERROR 22007: invalid input syntax for type timestamp with time zone: "soon"
            ERROR 42804: argument of AS OF TIMESTAMP must be type timestamp with time zone, not type integer
            ERROR 22023: SCN must not be negative
            ERROR 42804: argument of AS OF SCN must be type bigint, not type numeric
            ERROR 42804: argument of AS OF SCN must be type bigint, not type timestamp with time zone
            ERROR 42P10: argument of AS OF must not contain variables
            ERROR 42P10: argument of AS OF must not contain variables
            ERROR 42803: aggregate functions are not allowed in AS OF
            ERROR 0A000: a subquery in AS OF is not supported
            ERROR 0A000: a volatile function in AS OF is not supported
            ERROR 0A000: a volatile function in AS OF is not supported
            ERROR 42P02: there is no parameter $1
            ERROR 0A000: AS OF for system relation "pg_class" is not supported
            ERROR 0A000: AS OF for system relation "tables" is not supported
            ERROR 0A000: AS OF for sequence "numbers" is not supported
            ERROR 0A000: AS OF for index "by_price" is not supported
            ERROR 0A000: cross-database reference to "other.public.item" is not supported
            ERROR 42809: "c" is a WITH query, which has no time of its own
            HINT: Write AS OF after the tables inside it.
            ERROR 42809: "item" is a WITH query, which has no time of its own
            HINT: Write AS OF after the tables inside it.
            ERROR 42601: AS OF, VERSIONS BETWEEN and @ can only follow the name of a table or view that a query reads
            ERROR 42601: AS OF, VERSIONS BETWEEN and @ can only follow the name of a table or view that a query reads
            ERROR 0A000: FOR UPDATE/SHARE with AS OF is not supported
            ERROR 0A000: AS OF here is not supported
        "#]],
    );
    // A syntax error refuses the whole text.
    let syntax = [
        "INSERT INTO item AS OF SCN 5 VALUES (1)",
        "COPY item AS OF NOW TO STDOUT",
        "SELECT * FROM generate_series(1, 2) AS OF NOW",
        "SELECT * FROM (SELECT 1) AS OF NOW",
        "SELECT id AS OF NOW FROM item",
        "CREATE SEQUENCE other AS OF NOW",
        "SELECT * FROM item AS OF SCN",
        "SELECT * FROM item AS OF YESTERDAY",
    ];
    let errors: String = syntax.map(|sql| s.run(sql)).concat();
    expect![[r#"
        ERROR 42601: AS OF, VERSIONS BETWEEN and @ can only follow the name of a table or view that a query reads
        ERROR 42601: AS OF, VERSIONS BETWEEN and @ can only follow the name of a table or view that a query reads
        ERROR 42601: AS OF, VERSIONS BETWEEN and @ can only follow the name of a table or view that a query reads
        ERROR 42601: AS OF, VERSIONS BETWEEN and @ can only follow the name of a table or view that a query reads
        ERROR 42601: AS OF, VERSIONS BETWEEN and @ can only follow the name of a table or view that a query reads
        ERROR 42601: AS OF, VERSIONS BETWEEN and @ can only follow the name of a table or view that a query reads
        ERROR 42601: syntax error at end of input
        ERROR 42601: syntax error at or near "YESTERDAY"
    "#]]
    .assert_eq(&errors);
    for (sql, at) in [
        ("SELECT 1 FROM generate_series(1, 2) AS OF NOW", 37),
        ("SELECT 1 FROM item AS OF SCN 5 +", 33),
        ("SELECT * FROM gone AS OF NOW", 15),
    ] {
        let error = s.0.execute_text(sql).err().unwrap();
        assert_eq!(error.position, Some(at), "{sql}: {error}");
    }
    for sql in [
        "SELECT 1 FROM item AS OF TIMESTAMP now() + interval '1 minute'",
        "SELECT 1 FROM item AS OF TIMESTAMP 'infinity'",
        "SELECT 1 FROM item AS OF SCN 9223372036854775806",
    ] {
        let error = s.run(sql);
        let expected =
            "ERROR 22023: cannot read AS OF a time in the future\nDETAIL: The present is 20";
        assert!(error.starts_with(expected), "{error}");
    }
}

/// A plan is made for a catalog. Another time with the same one runs it, another catalog makes it
/// anew, and what a client was told of the columns stays true or is refused.
#[test]
fn prepared_statements() {
    let db = Db::new();
    let s = &mut db.session();
    let scns = items(s);
    let value = |scn: i64| Value::Text(scn.to_string());
    let run = |s: &mut Client, prepared: &heliosdb_sql::Prepared, params: &[Value]| match s
        .0
        .execute_prepared(prepared, params)
    {
        Ok(outcome) => s.print(outcome),
        Err(e) => format!("ERROR {}: {}\n", e.code.as_str(), e.message),
    };
    let [(_, a), (_, b)] = scns;
    let sums = s.0.prepare(
        "SELECT sum(o.price), (SELECT sum(price) FROM item AS OF NOW) FROM item AS OF SCN $1 o WHERE o.id < $2",
        &[],
    );
    let sums = sums.unwrap();
    let types: Vec<&str> = sums.param_types.iter().map(|t| t.name()).collect();
    assert_eq!(types, ["bigint", "integer"]);
    let point =
        s.0.prepare("SELECT name FROM item AS OF TIMESTAMP $1 WHERE id = 2", &[]);
    let point = point.unwrap();
    assert_eq!(point.param_types[0].name(), "timestamp with time zone");
    let cast = s.0.prepare(
        "SELECT count(*) FROM item AS OF TIMESTAMP $1::timestamptz - $2::interval",
        &[],
    );
    let types: Vec<String> = cast
        .unwrap()
        .param_types
        .iter()
        .map(|t| t.name().to_owned())
        .collect();
    assert_eq!(types, ["timestamp with time zone", "interval"]);
    let time = |s: &mut Client, scn: i64| {
        let shown = s.ok(&format!("SELECT helios_timestamp({scn})"));
        Value::Text(shown.lines().nth(1).unwrap().to_owned())
    };
    let (time_a, time_b) = (time(s, a), time(s, b));
    let mut out = String::new();
    for _ in 0..2 {
        out += &run(s, &sums, &[value(a), value(3)]);
        out += &run(s, &sums, &[value(b), value(9)]);
        out += &run(s, &point, std::slice::from_ref(&time_a));
        out += &run(s, &point, std::slice::from_ref(&time_b));
        s.ok("INSERT INTO item VALUES (5, 'fan', 5)");
        // The catalog changes, but not in what the statements read.
        s.ok("UPDATE item SET price = 6 WHERE id = 5; DELETE FROM item WHERE id = 5");
    }
    expect![[r#"
        sum | sum
        30 | 72
        sum | sum
        32 | 72
        name
        cup
        name
        cup
        sum | sum
        30 | 72
        sum | sum
        32 | 72
        name
        cup
        name
        cup
    "#]]
    .assert_eq(&out);

    // Columns of another time: the same types are taken, others refused.
    s.ok("ALTER TABLE item RENAME COLUMN name TO title; ALTER TABLE item DROP COLUMN price; ALTER TABLE item ADD COLUMN price bigint DEFAULT 10");
    let now = scn(s);
    let all =
        s.0.prepare("SELECT * FROM item AS OF SCN $1 WHERE id = 1", &[])
            .unwrap();
    let id =
        s.0.prepare("SELECT id FROM item AS OF SCN $1 WHERE price = 10", &[])
            .unwrap();
    let mut out = String::new();
    for scn in [now, a, now, b] {
        out += &run(s, &all, &[value(scn)]);
        out += &run(s, &id, &[value(scn)]);
    }
    out += &run(s, &id, &[Value::Null]);
    out += &run(s, &id, &[value(i64::MAX)]);
    expect![[r#"
        id | title | price
        1 | pen | 10
        id
        1
        2
        4
        ERROR 0A000: cached plan must not change result type
        id
        1
        id | title | price
        1 | pen | 10
        id
        1
        2
        4
        ERROR 0A000: cached plan must not change result type
        id
        ERROR 22004: argument of AS OF SCN must not be null
        ERROR 22023: cannot read AS OF a time in the future
    "#]]
    .assert_eq(&out);

    // A statement that runs once is planned with its values.
    s.ok("DROP TABLE item");
    let error =
        s.0.prepare("SELECT * FROM item AS OF SCN $1", &[])
            .unwrap_err();
    assert_eq!(error.message, "relation \"item\" does not exist");
    assert_eq!(
        error.detail.as_deref(),
        Some("The time is a parameter. Until it is given, the name is looked up as of now.")
    );
    let mut once = |sql: &str, params: &[Value]| {
        let statement = s.0.parse(sql).unwrap().remove(0);
        match s.0.execute(&statement, params) {
            Ok(outcome) => s.print(outcome),
            Err(e) => panic!("{sql}: {e}"),
        }
    };
    let mut out = once(
        "SELECT * FROM item AS OF SCN $1 WHERE id = $2",
        &[value(a), value(1)],
    );
    out += &once(
        "SELECT * FROM item AS OF SCN $1 WHERE id = $2",
        &[value(now), value(1)],
    );
    out += &once(
        "SELECT * FROM item AS OF TIMESTAMP $1::timestamptz + $2::interval WHERE name = $3",
        &[time_a, Value::Text("0".into()), Value::Text("hat".into())],
    );
    expect![[r#"
        id | name | price
        1 | pen | 10
        id | title | price
        1 | pen | 10
        id | name | price
        3 | hat | 30
    "#]]
    .assert_eq(&out);
}

#[test]
fn prepare_and_execute() {
    let db = Db::new();
    let s = &mut db.session();
    let scns = items(s);
    check(
        s,
        &scns,
        "PREPARE p (bigint) AS SELECT count(*), max(price) FROM item AS OF SCN $1 o;
         EXECUTE p($A); EXECUTE p($B); EXECUTE p(helios_current_scn());
         PREPARE q AS SELECT (SELECT count(*) FROM item AS OF NOW) - count(*) AS n FROM item;
         EXECUTE q; DELETE FROM item; EXECUTE q;
         PREPARE back AS INSERT INTO item SELECT * FROM item AS OF SCN $1; EXECUTE back($B);
         EXECUTE q; SELECT * FROM item ORDER BY id",
        expect![[r#"
            PREPARE
            count | max
            3 | 30
            count | max
            2 | 21
            count | max
            3 | 40
            PREPARE
            n
            0
            DELETE 3
            n
            0
            PREPARE
            INSERT 0 2
            n
            0
            id | name | price
            1 | pen | 11
            2 | cup | 21
        "#]],
    );
}
