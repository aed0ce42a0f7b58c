//! INSERT, UPDATE, DELETE and the constraints they meet.

use expect_test::expect;

use super::support::{Db, check};

#[test]
fn insert_fills_defaults_and_returns() {
    check(
        "CREATE TABLE t (id serial PRIMARY KEY, n int DEFAULT 7, s varchar(5), b bool DEFAULT true);
         INSERT INTO t DEFAULT VALUES;
         INSERT INTO t (s) VALUES ('a'), ('b') RETURNING id, s, n * 2 AS twice;
         INSERT INTO t (id, n) VALUES (DEFAULT, NULL), (10, DEFAULT) RETURNING *;
         INSERT INTO t SELECT id + 100, n, s, b FROM t;
         SELECT count(*), sum(n) FROM t;
         INSERT INTO t (s) VALUES ('too long');
         INSERT INTO t (nope) VALUES (1);
         INSERT INTO t VALUES (1, 2, 'x', true, 5);
         INSERT INTO t (id, n) VALUES (1);
         INSERT INTO t (n) VALUES ('x');
         INSERT INTO t (n) VALUES (1.5), ('3') RETURNING n;",
        expect![[r#"
            CREATE TABLE
            INSERT 0 1
            id | s | twice
            2 | a | 14
            3 | b | 14
            INSERT 0 2
            id | n | s | b
            4 | NULL | NULL | t
            10 | 7 | NULL | t
            INSERT 0 2
            INSERT 0 5
            count | sum
            10 | 56
            ERROR 22001: value too long for type character varying(5)
            ERROR 42703: column "nope" of relation "t" does not exist
            ERROR 42601: INSERT has more expressions than target columns
            ERROR 42601: INSERT has more target columns than expressions
            ERROR 22P02: invalid input syntax for type integer: "x"
            n
            2
            3
            INSERT 0 2
        "#]],
    );
}

#[test]
fn constraints_are_worded_as_postgresql_words_them() {
    check(
        "CREATE TABLE p (a int, b text, PRIMARY KEY (a, b));
         CREATE TABLE c (id int PRIMARY KEY, a int, b text, q int CHECK (q > 0) NOT NULL,
                         FOREIGN KEY (a, b) REFERENCES p);
         INSERT INTO p VALUES (1, 'x'), (1, 'x');
         INSERT INTO p VALUES (1, 'x'), (2, 'y');
         INSERT INTO p VALUES (NULL, 'x');
         INSERT INTO c VALUES (1, 1, 'x', 5), (2, NULL, 'zzz', 5);
         INSERT INTO c VALUES (3, 1, 'y', 5);
         INSERT INTO c VALUES (3, 1, 'x', -5);
         UPDATE c SET q = NULL WHERE id = 1;
         UPDATE c SET b = 'none' WHERE id = 1;
         DELETE FROM p WHERE a = 1;
         UPDATE p SET b = 'w' WHERE a = 1;
         UPDATE p SET b = 'w' WHERE a = 2;
         SELECT * FROM p ORDER BY a;
         DELETE FROM c;
         DELETE FROM p;",
        expect![[r#"
            CREATE TABLE
            CREATE TABLE
            ERROR 23505: duplicate key value violates unique constraint "p_pkey"
            DETAIL: Key (a, b)=(1, x) already exists.
            INSERT 0 2
            ERROR 23502: null value in column "a" of relation "p" violates not-null constraint
            DETAIL: Failing row contains (null, x).
            INSERT 0 2
            ERROR 23503: insert or update on table "c" violates foreign key constraint "c_a_b_fkey"
            DETAIL: Key (a, b)=(1, y) is not present in table "p".
            ERROR 23514: new row for relation "c" violates check constraint "c_q_check"
            DETAIL: Failing row contains (3, 1, x, -5).
            ERROR 23502: null value in column "q" of relation "c" violates not-null constraint
            DETAIL: Failing row contains (1, 1, x, null).
            ERROR 23503: insert or update on table "c" violates foreign key constraint "c_a_b_fkey"
            DETAIL: Key (a, b)=(1, none) is not present in table "p".
            ERROR 23503: update or delete on table "p" violates foreign key constraint "c_a_b_fkey" on table "c"
            DETAIL: Key (a, b)=(1, x) is still referenced from table "c".
            ERROR 23503: update or delete on table "p" violates foreign key constraint "c_a_b_fkey" on table "c"
            DETAIL: Key (a, b)=(1, x) is still referenced from table "c".
            UPDATE 1
            a | b
            1 | x
            2 | w
            DELETE 2
            DELETE 2
        "#]],
    );
}

#[test]
fn referential_actions_run() {
    check(
        "CREATE TABLE p (id int PRIMARY KEY);
         CREATE TABLE cascade (id int PRIMARY KEY, p int REFERENCES p ON DELETE CASCADE ON UPDATE CASCADE);
         CREATE TABLE setnull (p int REFERENCES p ON DELETE SET NULL);
         CREATE TABLE setdefault (p int DEFAULT 1 REFERENCES p ON DELETE SET DEFAULT);
         CREATE TABLE grandchild (c int REFERENCES cascade ON DELETE CASCADE);
         INSERT INTO p VALUES (1), (2), (3);
         INSERT INTO cascade VALUES (20, 2), (30, 3);
         INSERT INTO setnull VALUES (2), (3);
         INSERT INTO setdefault VALUES (2);
         INSERT INTO grandchild VALUES (20), (30);
         DELETE FROM p WHERE id = 2;
         SELECT * FROM cascade;
         SELECT * FROM grandchild;
         SELECT * FROM setnull ORDER BY p;
         SELECT * FROM setdefault;
         DELETE FROM setnull;
         UPDATE p SET id = 33 WHERE id = 3;
         SELECT * FROM cascade;
         CREATE TABLE tree (id int PRIMARY KEY, parent int REFERENCES tree ON DELETE CASCADE);
         INSERT INTO tree VALUES (3, 2), (2, 1), (1, NULL);
         INSERT INTO tree VALUES (5, 9);
         DELETE FROM tree WHERE id = 1;
         SELECT count(*) FROM tree;",
        expect![[r#"
            CREATE TABLE
            CREATE TABLE
            CREATE TABLE
            CREATE TABLE
            CREATE TABLE
            INSERT 0 3
            INSERT 0 2
            INSERT 0 2
            INSERT 0 1
            INSERT 0 2
            DELETE 1
            id | p
            30 | 3
            c
            30
            p
            3
            NULL
            p
            1
            DELETE 2
            UPDATE 1
            id | p
            30 | 33
            CREATE TABLE
            INSERT 0 3
            ERROR 23503: insert or update on table "tree" violates foreign key constraint "tree_parent_fkey"
            DETAIL: Key (parent)=(9) is not present in table "tree".
            DELETE 1
            count
            0
        "#]],
    );
}

#[test]
fn on_conflict_inserts_or_updates() {
    check(
        "CREATE TABLE t (id int PRIMARY KEY, u text UNIQUE, n int DEFAULT 0);
         INSERT INTO t VALUES (1, 'a', 1);
         INSERT INTO t VALUES (1, 'b', 2) ON CONFLICT DO NOTHING;
         INSERT INTO t VALUES (1, 'b', 2) ON CONFLICT (id) DO UPDATE SET n = t.n + excluded.n RETURNING *;
         INSERT INTO t VALUES (1, 'b', 2), (2, 'c', 1) ON CONFLICT (id) DO UPDATE SET n = 9 WHERE t.n > 100;
         INSERT INTO t VALUES (3, 'a', 2) ON CONFLICT (id) DO NOTHING;
         INSERT INTO t VALUES (3, 'a', 2) ON CONFLICT ON CONSTRAINT t_u_key DO UPDATE SET u = 'z';
         INSERT INTO t VALUES (7, 'q'), (7, 'r') ON CONFLICT (id) DO UPDATE SET n = 5;
         INSERT INTO t VALUES (3, 'a') ON CONFLICT (n) DO NOTHING;
         SELECT * FROM t ORDER BY id;",
        expect![[r#"
            CREATE TABLE
            INSERT 0 1
            INSERT 0 0
            id | u | n
            1 | a | 3
            INSERT 0 1
            INSERT 0 1
            ERROR 23505: duplicate key value violates unique constraint "t_u_key"
            DETAIL: Key (u)=(a) already exists.
            INSERT 0 1
            ERROR 21000: ON CONFLICT DO UPDATE command cannot affect row a second time
            HINT: Ensure that no rows proposed for insertion within the same command have duplicate constrained values.
            ERROR 42P10: there is no unique or exclusion constraint matching the ON CONFLICT specification
            id | u | n
            1 | z | 3
            2 | c | 1
        "#]],
    );
}

#[test]
fn update_and_delete_join_other_tables() {
    check(
        "CREATE TABLE t (id int PRIMARY KEY, n int, s text);
         CREATE TABLE u (id int, v int);
         INSERT INTO t SELECT i, i * 10, 'r' FROM generate_series(1, 5) AS g(i);
         INSERT INTO u VALUES (1, 100), (2, 200), (2, 201);
         UPDATE t SET n = u.v FROM u WHERE u.id = t.id;
         UPDATE t AS x SET n = x.n + 1, s = 'odd' WHERE x.id % 2 = 1 RETURNING x.id, n;
         UPDATE t SET (n, s) = (0, DEFAULT) WHERE id = 5 RETURNING *;
         DELETE FROM t USING u WHERE u.id = t.id RETURNING t.id;
         UPDATE t SET nope = 1;
         UPDATE t SET n = 1, n = 2;
         UPDATE t SET n = (SELECT max(v) FROM u) WHERE id = 4;
         DELETE FROM t WHERE id IN (SELECT 3);
         SELECT * FROM t ORDER BY id;",
        expect![[r#"
            CREATE TABLE
            CREATE TABLE
            INSERT 0 5
            INSERT 0 3
            UPDATE 2
            id | n
            1 | 101
            3 | 31
            5 | 51
            UPDATE 3
            id | n | s
            5 | 0 | NULL
            UPDATE 1
            id
            1
            2
            DELETE 2
            ERROR 42703: column "nope" of relation "t" does not exist
            ERROR 42601: multiple assignments to same column "n"
            UPDATE 1
            DELETE 1
            id | n | s
            4 | 201 | r
            5 | 0 | NULL
        "#]],
    );
}

#[test]
fn copy_takes_text_and_csv() {
    let db = super::support::Db::new();
    let mut s = db.session();
    s.ok("CREATE TABLE t (id int PRIMARY KEY, s text, n numeric(5,2) DEFAULT 1.5)");
    let mut out = s.copy_in("COPY t FROM STDIN", b"1\ta\\tb\t2\n2\t\\N\t\\N\n");
    out += &s.copy_in(
        "COPY t (id, s) FROM STDIN WITH (FORMAT csv)",
        b"3,\"x,\"\"y\"\"\"\n4,\n",
    );
    out += &s.copy_in("COPY t FROM STDIN", b"5\tx\tbad\n");
    out += &s.copy_in("COPY t FROM STDIN", b"4\tx\t1\n");
    out += &s.copy_in("COPY t FROM STDIN", b"9\tx\n");
    out += &s.run(
        "COPY t TO STDOUT; COPY (SELECT s FROM t WHERE id = 3) TO STDOUT WITH (FORMAT csv, HEADER);
         COPY t TO '/nowhere/to/be/found'; COPY nope FROM STDIN;",
    );
    expect![[r#"
        COPY 2
        COPY 2
        ERROR 22P02: invalid input syntax for type numeric: "bad"
        CONTEXT: COPY t, line 1, column n: "bad"
        ERROR 23505: duplicate key value violates unique constraint "t_pkey"
        DETAIL: Key (id)=(4) already exists.
        CONTEXT: COPY t
        ERROR 22P04: missing data for column "n"
        CONTEXT: COPY t, line 1: "9	x"
        1	a\tb	2.00
        2	\N	\N
        3	x,"y"	1.50
        4	\N	1.50
        COPY 4
        s
        "x,""y"""
        COPY 1
        ERROR 58P01: could not open file "/nowhere/to/be/found" for writing: No such file or directory
        HINT: COPY TO instructs the PostgreSQL server process to write a file. You may want a client-side facility such as psql's \copy.
        ERROR 42P01: relation "nope" does not exist
    "#]]
    .assert_eq(&out);
}

#[test]
fn sequences_count() {
    check(
        "CREATE SEQUENCE s START 5 INCREMENT 2 MAXVALUE 9;
         SELECT nextval('s'), nextval('s');
         SELECT currval('s'), lastval();
         SELECT nextval('s');
         SELECT nextval('s');
         SELECT setval('s', 6), nextval('s');
         ALTER SEQUENCE s RESTART;
         SELECT nextval('s');
         SELECT last_value, is_called FROM s;
         CREATE TABLE t (id int GENERATED ALWAYS AS IDENTITY, g int GENERATED BY DEFAULT AS IDENTITY (START WITH 10));
         INSERT INTO t DEFAULT VALUES;
         INSERT INTO t (g) VALUES (3) RETURNING *;
         INSERT INTO t (id) VALUES (3);
         DROP SEQUENCE t_id_seq;
         DROP SEQUENCE s;
         SELECT nextval('s');",
        expect![[r#"
            CREATE SEQUENCE
            nextval | nextval
            5 | 7
            currval | lastval
            7 | 7
            nextval
            9
            ERROR 2200H: nextval: reached maximum value of sequence "s" (9)
            setval | nextval
            6 | 8
            ALTER SEQUENCE
            nextval
            5
            last_value | is_called
            5 | t
            CREATE TABLE
            INSERT 0 1
            id | g
            2 | 3
            INSERT 0 1
            ERROR 428C9: cannot insert a non-DEFAULT value into column "id"
            DETAIL: Column "id" is an identity column defined as GENERATED ALWAYS.
            HINT: Use OVERRIDING SYSTEM VALUE to override.
            ERROR 2BP01: cannot drop sequence t_id_seq because column id of table t requires it
            HINT: You can drop column id of table t instead.
            DROP SEQUENCE
            ERROR 42P01: relation "s" does not exist
        "#]],
    );
}

#[test]
fn copy_freeze_is_for_tables_that_nobody_else_sees() {
    let db = super::support::Db::new();
    let mut s = db.session();
    s.ok("CREATE TABLE t (id int); INSERT INTO t VALUES (1)");
    let mut out = s.copy_in("COPY t FROM STDIN WITH (FREEZE ON)", b"2\n");
    s.ok("BEGIN; TRUNCATE t");
    out += &s.copy_in("COPY t FROM STDIN WITH (FREEZE 1, HEADER off)", b"3\n");
    out += &s.run("COMMIT; SELECT * FROM t; COPY t TO STDOUT WITH (FREEZE)");
    expect![[r#"
        ERROR 55000: cannot perform COPY FREEZE because the table was not created or truncated in the current subtransaction
        COPY 1
        COMMIT
        id
        3
        ERROR 22023: COPY freeze only available using COPY FROM
    "#]].assert_eq(&out);
}

/// A row that another part of the statement has changed is not MERGE's to change again.
#[test]
fn merge_does_not_undo_other_parts_of_its_statement() {
    let db = Db::new();
    let mut session = db.session();
    session.ok("CREATE TABLE t (id int PRIMARY KEY, a int, b int); INSERT INTO t VALUES (1, 0, 0), (2, 0, 0)");
    for other in [
        "DELETE FROM t WHERE id = 2 RETURNING id",
        "UPDATE t SET a = 1 WHERE id = 1 RETURNING id",
    ] {
        let out = session.run(&format!(
            "WITH o AS ({other}) MERGE INTO t USING o ON t.id = o.id WHEN MATCHED THEN UPDATE SET b = 3"
        ));
        assert!(out.starts_with("ERROR 21000"), "{other}: {out}");
    }
    assert_eq!(
        session.run("SELECT * FROM t ORDER BY id"),
        "id | a | b\n1 | 0 | 0\n2 | 0 | 0\n"
    );
}

/// A column that is made LIKE one of a domain asks what the domain asks.
#[test]
fn like_takes_domains_along() {
    let db = Db::new();
    let mut session = db.session();
    session.ok(
        "CREATE DOMAIN pos AS int NOT NULL CHECK (VALUE > 0); CREATE TABLE a (x pos);
         CREATE TABLE b (LIKE a); CREATE TYPE mood AS ENUM ('ok');
         CREATE VIEW v AS SELECT 'ok'::mood AS m; CREATE TABLE c (LIKE v); INSERT INTO c VALUES ('ok')",
    );
    assert!(
        session
            .run("INSERT INTO b VALUES (-1)")
            .starts_with("ERROR 23514")
    );
    assert!(
        session
            .run("INSERT INTO b VALUES (NULL)")
            .starts_with("ERROR 23502")
    );
    session.ok("CREATE TABLE e (expression int, i int); ALTER TABLE e DROP expression");
}
