//! DDL: what it makes, what it refuses, and that it is transactional.

use expect_test::expect;

use super::support::check;

#[test]
fn ddl_rolls_back_with_its_transaction() {
    check(
        "BEGIN;
         CREATE TABLE t (id int PRIMARY KEY);
         INSERT INTO t VALUES (1);
         SAVEPOINT a;
         ALTER TABLE t ADD COLUMN n int DEFAULT 5;
         SELECT * FROM t;
         ROLLBACK TO a;
         SELECT * FROM t;
         ROLLBACK;
         SELECT * FROM t;
         CREATE TABLE t (id int);
         BEGIN;
         DROP TABLE t;
         SELECT * FROM t;
         ROLLBACK;
         SELECT * FROM t;",
        expect![[r#"
            BEGIN
            CREATE TABLE
            INSERT 0 1
            SAVEPOINT
            ALTER TABLE
            id | n
            1 | 5
            ROLLBACK
            id
            1
            ROLLBACK
            ERROR 42P01: relation "t" does not exist
            CREATE TABLE
            BEGIN
            DROP TABLE
            ERROR 42P01: relation "t" does not exist
            ROLLBACK
            id
        "#]],
    );
}

#[test]
fn alter_table_changes_columns_and_constraints() {
    check(
        "CREATE TABLE t (id int);
         INSERT INTO t VALUES (1), (2);
         ALTER TABLE t ADD COLUMN a int NOT NULL DEFAULT 4, ADD COLUMN b text;
         ALTER TABLE t ADD COLUMN s serial;
         SELECT * FROM t;
         ALTER TABLE t ADD PRIMARY KEY (id);
         ALTER TABLE t ADD COLUMN bad int NOT NULL;
         ALTER TABLE t ADD CONSTRAINT small CHECK (a < 3);
         ALTER TABLE t ADD CONSTRAINT small CHECK (a < 10);
         ALTER TABLE t ADD UNIQUE (a);
         INSERT INTO t (id, a) VALUES (3, 11);
         ALTER TABLE t DROP CONSTRAINT small;
         ALTER TABLE t ALTER COLUMN b SET DEFAULT 'x', ALTER COLUMN a DROP NOT NULL;
         INSERT INTO t (id, a) VALUES (3, NULL);
         ALTER TABLE t ALTER a SET NOT NULL;
         ALTER TABLE t DROP COLUMN a;
         ALTER TABLE t DROP COLUMN nope;
         ALTER TABLE t DROP COLUMN IF EXISTS nope;
         ALTER TABLE t RENAME COLUMN b TO c;
         ALTER TABLE t RENAME TO u;
         SELECT * FROM u ORDER BY id;
         ALTER TABLE u ALTER COLUMN c TYPE int;
         ALTER TABLE u DROP CONSTRAINT t_pkey;
         INSERT INTO u (id) VALUES (3);",
        expect![[r#"
            CREATE TABLE
            INSERT 0 2
            ALTER TABLE
            ALTER TABLE
            id | a | b | s
            1 | 4 | NULL | 1
            2 | 4 | NULL | 2
            ALTER TABLE
            ERROR 23502: column "bad" of relation "t" contains null values
            ERROR 23514: check constraint "small" of relation "t" is violated by some row
            ALTER TABLE
            ERROR 23505: could not create unique index "t_a_key"
            DETAIL: Key (a)=(4) is duplicated.
            ERROR 23514: new row for relation "t" violates check constraint "small"
            DETAIL: Failing row contains (3, 11, null, 3).
            ALTER TABLE
            ALTER TABLE
            INSERT 0 1
            ERROR 23502: column "a" of relation "t" contains null values
            ALTER TABLE
            ERROR 42703: column "nope" of relation "t" does not exist
            NOTICE: column "nope" of relation "t" does not exist, skipping
            ALTER TABLE
            ALTER TABLE
            ALTER TABLE
            id | c | s
            1 | NULL | 1
            2 | NULL | 2
            3 | x | 4
            ERROR 42804: column "c" cannot be cast automatically to type integer
            HINT: You might need to specify "USING c::integer".
            ALTER TABLE
            INSERT 0 1
        "#]],
    );
}

#[test]
fn drop_asks_before_it_takes_more() {
    check(
        "CREATE TABLE p (id int PRIMARY KEY, x int);
         CREATE TABLE c (p int REFERENCES p);
         CREATE VIEW v AS SELECT x FROM p;
         DROP TABLE p;
         ALTER TABLE p DROP COLUMN x;
         DROP INDEX p_pkey;
         DROP VIEW p;
         DROP TABLE v;
         DROP TABLE nope;
         DROP TABLE IF EXISTS nope;
         DROP TABLE p CASCADE;
         SELECT * FROM v;
         INSERT INTO c VALUES (5);
         CREATE SCHEMA s;
         CREATE TABLE s.t (id int);
         DROP SCHEMA s;
         DROP SCHEMA s CASCADE;
         SELECT * FROM s.t;",
        expect![[r#"
            CREATE TABLE
            CREATE TABLE
            CREATE VIEW
            ERROR 2BP01: cannot drop table p because other objects depend on it
            DETAIL: view v depends on table p
            constraint c_p_fkey on table c depends on table p
            HINT: Use DROP ... CASCADE to drop the dependent objects too.
            ERROR 2BP01: cannot drop column x of table p because other objects depend on it
            DETAIL: view v depends on column x of table p
            HINT: Use DROP ... CASCADE to drop the dependent objects too.
            ERROR 2BP01: cannot drop index p_pkey because constraint p_pkey on table p requires it
            HINT: You can drop constraint p_pkey on table p instead.
            ERROR 42809: "p" is not a view
            HINT: Use DROP TABLE to remove a table.
            ERROR 42809: "v" is not a table
            HINT: Use DROP VIEW to remove a view.
            ERROR 42P01: table "nope" does not exist
            NOTICE: table "nope" does not exist, skipping
            DROP TABLE
            NOTICE: drop cascades to 2 other objects
            DETAIL: drop cascades to view v
            drop cascades to constraint c_p_fkey on table c
            DROP TABLE
            ERROR 42P01: relation "v" does not exist
            INSERT 0 1
            CREATE SCHEMA
            CREATE TABLE
            ERROR 2BP01: cannot drop schema s because other objects depend on it
            DETAIL: table t depends on schema s
            HINT: Use DROP ... CASCADE to drop the dependent objects too.
            NOTICE: drop cascades to table t
            DROP SCHEMA
            ERROR 42P01: relation "s.t" does not exist
        "#]],
    );
}

#[test]
fn names_resolve_along_the_search_path() {
    check(
        "CREATE SCHEMA a; CREATE SCHEMA b;
         CREATE TABLE a.t (x int); INSERT INTO a.t VALUES (1);
         CREATE TABLE b.t (x int); INSERT INTO b.t VALUES (2);
         SELECT * FROM t;
         SET search_path = b, a;
         SELECT * FROM t;
         SELECT a.t.x FROM a.t;
         CREATE VIEW v AS SELECT * FROM t;
         SET search_path = a;
         SELECT * FROM b.v;
         CREATE TABLE nowhere.t (x int);
         CREATE TABLE t (x int);
         CREATE TABLE IF NOT EXISTS t (x int);
         CREATE TABLE pg_catalog.t (x int);",
        expect![[r#"
            CREATE SCHEMA
            CREATE SCHEMA
            CREATE TABLE
            INSERT 0 1
            CREATE TABLE
            INSERT 0 1
            ERROR 42P01: relation "t" does not exist
            SET
            x
            2
            x
            1
            CREATE VIEW
            SET
            x
            2
            ERROR 3F000: schema "nowhere" does not exist
            ERROR 42P07: relation "t" already exists
            NOTICE: relation "t" already exists, skipping
            CREATE TABLE
            ERROR 42501: permission denied to create "pg_catalog.t"
            DETAIL: System catalog modifications are currently disallowed.
        "#]],
    );
}

#[test]
fn definitions_that_make_no_sense_are_refused() {
    check(
        "CREATE TABLE t (a int, a text);
         CREATE TABLE t (a int PRIMARY KEY, b int PRIMARY KEY);
         CREATE TABLE t (a int REFERENCES nope);
         CREATE TABLE t (a nosuchtype);
         CREATE TABLE t (a int, CHECK (b > 0));
         CREATE TABLE t (a int, PRIMARY KEY (b));
         CREATE TABLE t (a int DEFAULT 'x');
         CREATE TABLE t (a int DEFAULT b);
         CREATE TABLE t (a int CHECK (a));
         CREATE TABLE t (a int) ON COMMIT DROP;
         CREATE TABLE t (a int GENERATED ALWAYS AS (now()) STORED);
         CREATE TABLE t (a int UNIQUE DEFERRABLE);
         CREATE TABLE p (a text);
         CREATE TABLE t (a text REFERENCES p);
         CREATE TABLE t (a text REFERENCES p (a));
         CREATE INDEX ON p USING gin (a);
         CREATE TRIGGER x BEFORE INSERT ON p EXECUTE FUNCTION f();
         VACUUM p;
         BEGIN; VACUUM; ROLLBACK;
         VACUUM;",
        expect![[r#"
            ERROR 42701: column "a" specified more than once
            ERROR 42P16: multiple primary keys for table "t" are not allowed
            ERROR 42P01: relation "nope" does not exist
            ERROR 42704: type "nosuchtype" does not exist
            ERROR 42703: column "b" does not exist
            ERROR 42703: column "b" named in key does not exist
            ERROR 22P02: invalid input syntax for type integer: "x"
            ERROR 0A000: cannot use column reference in DEFAULT expression
            ERROR 42804: argument of CHECK must be type boolean, not type integer
            ERROR 42P16: ON COMMIT can only be used on temporary tables
            ERROR 42P17: generation expression is not immutable
            ERROR 0A000: DEFERRABLE unique constraints is not supported
            CREATE TABLE
            ERROR 42704: there is no primary key for referenced table "p"
            ERROR 42830: there is no unique constraint matching given keys for referenced table "p"
            ERROR 0A000: index access method GIN is not supported
            ERROR 0A000: CREATE TRIGGER is not supported
            VACUUM
            BEGIN
            ERROR 25001: VACUUM cannot run inside a transaction block
            ROLLBACK
            VACUUM
        "#]],
    );
}

#[test]
fn roles_own_what_they_make() {
    let db = super::support::Db::new();
    let mut root = db.session();
    let mut out = root.run(
        "CREATE USER ann PASSWORD 'secret';
         CREATE ROLE ann;
         CREATE TABLE t (a int);
         INSERT INTO t VALUES (1);
         CREATE VIEW v AS SELECT * FROM t;",
    );
    assert!(db.instance.role_secret("ann").unwrap().is_some());
    root.ok("GRANT CREATE ON SCHEMA public TO ann");
    let mut ann = db.session_of("ann");
    out += &ann.run(
        "SELECT * FROM t; SELECT * FROM v; INSERT INTO t VALUES (2); DROP TABLE t;
         CREATE ROLE bob; CREATE TABLE mine (a int); INSERT INTO mine VALUES (1);
         SELECT current_user, count(*) FROM mine; ALTER ROLE ann SUPERUSER;
         ALTER ROLE ann PASSWORD 'other';",
    );
    out += &root.run(
        "DROP ROLE ann; DROP TABLE mine; REVOKE CREATE ON SCHEMA public FROM ann; DROP ROLE ann;
         DROP ROLE nope;",
    );
    expect![[r#"
        CREATE ROLE
        ERROR 42710: role "ann" already exists
        CREATE TABLE
        INSERT 0 1
        CREATE VIEW
        ERROR 42501: permission denied for table t
        ERROR 42501: permission denied for view v
        ERROR 42501: permission denied for table t
        ERROR 42501: must be owner of table t
        ERROR 42501: permission denied to create role
        CREATE TABLE
        INSERT 0 1
        current_user | count
        ann | 1
        ERROR 42501: must be superuser to alter superuser roles or change superuser attribute
        ALTER ROLE
        ERROR 2BP01: role "ann" cannot be dropped because some objects depend on it
        DETAIL: privileges for schema public
        owner of table mine
        DROP TABLE
        REVOKE
        DROP ROLE
        ERROR 42704: role "nope" does not exist
    "#]]
    .assert_eq(&out);
}

/// Pages are immutable and full, so that is the only fillfactor there is.
#[test]
fn the_one_fillfactor_is_100() {
    check(
        "CREATE TABLE a (n int) WITH (fillfactor = 100);
         CREATE TABLE b (n int) WITH (fillfactor = 90);
         CREATE TABLE c (n int) WITH (fillfactor = 5);
         CREATE TABLE d (n int) WITH (autovacuum_enabled = false);",
        expect![[r#"
            CREATE TABLE
            ERROR 0A000: fillfactor 90 is not supported
            HINT: Pages are immutable and always full: only a fillfactor of 100 is true.
            ERROR 22023: value 5 out of bounds for option "fillfactor"
            DETAIL: Valid values are between "10" and "100".
            ERROR 0A000: storage parameter "autovacuum_enabled" is not supported
        "#]],
    );
}
