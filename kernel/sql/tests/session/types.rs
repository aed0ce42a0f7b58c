//! Types of a plugin in SQL.

use expect_test::{Expect, expect};
use heliosdb_plugin_api::root;
use heliosdb_sql::types::{PgType, decode_binary, encode_binary};
use heliosdb_sql::{Outcome, Value};

use super::support::points::{Lost, Points};
use super::support::{Db, Plugins};

fn points() -> Plugins {
    Plugins {
        roots: vec![root::<Points>()],
        ..Plugins::default()
    }
}

fn check(sql: &str, expected: Expect) {
    let db = Db::with(&points());
    expected.assert_eq(&db.session().run(sql));
}

#[test]
fn literals_and_casts_go_through_the_plugin() {
    check(
        "SELECT '(1,2)'::point2, CAST('( 5, 6 )' AS point2), NULL::point2;
         SELECT '(1,2)'::point2::text || '!', pg_typeof('(1,2)'::point2), '$1.5'::money2;
         SELECT 'nonsense'::point2;
         SELECT 1::point2;
         SELECT '(1,2)'::point2::int;
         SELECT '(1,2)'::point2(5), '(7,2)'::point2(7);
         SELECT '(7,2)'::point2(5);
         SELECT '(7,2)'::point2::point2(5);
         SELECT '(1,2)'::point2('x');
         SELECT '$1'::money2(3);
         SELECT ARRAY['(1,2)'::point2, NULL], '{\"(1,2)\",NULL}'::point2[];
         SELECT '(1,2)'::text::point2, array_length(ARRAY['$1'::money2], 1), '$1'::money2::text::money2;
         SELECT coalesce(NULL, '(1,2)'::point2), CASE WHEN true THEN '(1,2)'::point2 END;
         SELECT '(1,2)'::point3;",
        expect![[r#"
            point2 | point2 | point2
            (1,2) | (5,6) | NULL
            ?column? | pg_typeof | money2
            (1,2)! | point2 | $1.50
            ERROR 22P02: invalid input syntax for type point2: "nonsense"
            ERROR 42846: cannot cast type integer to point2
            ERROR 42846: cannot cast type point2 to integer
            point2 | point2
            (1,2) | (7,2)
            ERROR 22023: (7,2) lies outside of point2(5)
            ERROR 22023: (7,2) lies outside of point2(5)
            ERROR 22023: the modifier must be a number
            ERROR 22023: the type takes no modifiers
            array | point2
            {"(1,2)",NULL} | {"(1,2)",NULL}
            point2 | array_length | money2
            (1,2) | 1 | $1.00
            coalesce | case
            (1,2) | (1,2)
            ERROR 42704: type "point3" does not exist
        "#]],
    );
}

#[test]
fn columns_keep_values() {
    let db = Db::with(&points());
    expect![[r#"
        CREATE TABLE
        INSERT 0 3
        INSERT 0 3
        ERROR 22023: (101,0) lies outside of point2(100)
        ERROR 23502: null value in column "m" of relation "t" violates not-null constraint
        DETAIL: Failing row contains (9, (1,0), null).
        ERROR 22P02: invalid input syntax for type point2: "x"
        ERROR 42804: column "m" is of type money2 but expression is of type text
        HINT: You will need to rewrite or cast the expression.
        id | p | m
        1 | (1,2) | $3.25
        2 | NULL | $1.00
        3 | (0,0) | $10.00
        4 | (2,1) | $3.25
        5 | NULL | $1.00
        6 | (0,0) | $10.00
        id | p | m
        2 | (9,9) | $1.00
        UPDATE 1
        INSERT 0 1
        id | p
        5 | NULL
        DELETE 1
        id | p | far
        3 | (0,0) | 0
        6 | (0,0) | 0
        4 | (2,1) | 2.23606797749979
        1 | (5,5) | 7.0710678118654755
        2 | (9,9) | 12.727922061357855
        ALTER TABLE
        id | q
        1 | (7,7)
        SELECT 2
        id | p | m
        1 | (5,5) | $3.25
        2 | (9,9) | $1.00
        CREATE VIEW
        count | count
        3 | 3
        ERROR 0A000: a column of type point2[] is not supported
        ERROR 0A000: an index on a column of type money2 is not supported
        ERROR 0A000: an index on a column of type point2 is not supported
        1	(5,5)	$3.25
        2	(9,9)	$1.00
        3	(0,0)	$10.00
        4	(2,1)	$3.25
        6	(0,0)	$10.00
        COPY 5
    "#]]
    .assert_eq(&db.session().run(
        "CREATE TABLE t (id int PRIMARY KEY, p point2(100) DEFAULT '(0,0)', m money2 NOT NULL);
         INSERT INTO t VALUES (1, '(1,2)', '$3.25'), (2, NULL, '$1'), (3, DEFAULT, '$10');
         INSERT INTO t SELECT id + 3, point2_swap(p), m FROM t;
         INSERT INTO t VALUES (9, '(101,0)', '$1');
         INSERT INTO t VALUES (9, '(1,0)', NULL);
         INSERT INTO t VALUES (9, 'x', '$1');
         INSERT INTO t (id, m) SELECT 9, 'text'::text;
         SELECT * FROM t ORDER BY id;
         UPDATE t SET p = '(9,9)' WHERE id = 2 RETURNING *;
         INSERT INTO t VALUES (1, '(5,5)', '$5') ON CONFLICT (id) DO UPDATE SET p = excluded.p;
         DELETE FROM t WHERE p IS NULL RETURNING id, p;
         SELECT id, p, p <-> '(0,0)' AS far FROM t ORDER BY p <-> '(0,0)', id;
         ALTER TABLE t ADD COLUMN q point2 DEFAULT '(7,7)';
         SELECT id, q FROM t WHERE id = 1;
         CREATE TABLE c AS SELECT id, p, m FROM t WHERE id < 3;
         SELECT * FROM c ORDER BY id;
         CREATE VIEW v AS SELECT p FROM t WHERE p <-> '(0,0)'::point2 > 1;
         SELECT count(*), count(p) FROM v;
         CREATE TABLE a (ps point2[]);
         CREATE INDEX ON t (m);
         ALTER TABLE t ADD UNIQUE (p);
         COPY t (id, p, m) TO STDOUT;",
    ));
    let copied = db.session().copy_in(
        "COPY t (id, p, m) FROM STDIN",
        b"20\t(2,0)\t$2\n21\t\\N\t$3\n",
    );
    assert_eq!(copied, "COPY 2\n");
    let copied = db
        .session()
        .copy_in("COPY t (id, p, m) FROM STDIN", b"22\toops\t$2\n");
    expect![[r#"
        ERROR 22P02: invalid input syntax for type point2: "oops"
        CONTEXT: COPY t, line 1, column p: "oops"
    "#]]
    .assert_eq(&copied);
    let db = db.reopen_with(&points());
    expect![[r#"
        id | p | m | q
        1 | (5,5) | $3.25 | (7,7)
        2 | (9,9) | $1.00 | (7,7)
        3 | (0,0) | $10.00 | (7,7)
        4 | (2,1) | $3.25 | (7,7)
        6 | (0,0) | $10.00 | (7,7)
        20 | (2,0) | $2.00 | (7,7)
        21 | NULL | $3.00 | (7,7)
    "#]]
    .assert_eq(&db.session().run("SELECT id, p, m, q FROM t ORDER BY id"));
}

#[test]
fn order_is_the_plugins_to_declare() {
    check(
        "CREATE TABLE t (p point2, m money2);
         INSERT INTO t VALUES ('(1,2)', '$3'), ('(1,2)', '$-1'), ('(3,4)', '$3'), (NULL, NULL);
         SELECT m FROM t ORDER BY m;
         SELECT m FROM t WHERE m > '$1' ORDER BY m DESC;
         SELECT m, count(*) FROM t GROUP BY m ORDER BY m;
         SELECT DISTINCT m FROM t ORDER BY 1;
         SELECT count(DISTINCT m), money2_total(m) FROM t;
         SELECT a.m FROM t a JOIN t b USING (m) ORDER BY 1;
         SELECT m FROM t WHERE m IN ('$3', '$4') OR m BETWEEN '$-2' AND '$0' ORDER BY m;
         SELECT m, row_number() OVER (PARTITION BY m ORDER BY p <-> '(0,0)') FROM t ORDER BY 1, 2;
         SELECT m FROM t UNION SELECT '$3' ORDER BY 1;
         SELECT m FROM t EXCEPT SELECT '$3'::money2 ORDER BY 1;
         SELECT * FROM t WHERE p = '(1,2)';
         SELECT p FROM t ORDER BY p;
         SELECT p FROM t GROUP BY p;
         SELECT DISTINCT p FROM t;
         SELECT DISTINCT ON (p) m FROM t;
         SELECT DISTINCT ON (m) m, p <-> '(0,0)' AS far FROM t ORDER BY m, far;
         SELECT DISTINCT ON (m) p FROM t WHERE m < '$0';
         SELECT count(DISTINCT p) FROM t;
         SELECT p FROM t UNION SELECT p FROM t;
         SELECT row_number() OVER (PARTITION BY p) FROM t;
         SELECT max(m) FROM t;
         SELECT m = ANY (ARRAY['$1'::money2]) FROM t;
         SELECT m < p FROM t;",
        expect![[r#"
            CREATE TABLE
            INSERT 0 4
            m
            $-1.00
            $3.00
            $3.00
            NULL
            m
            $3.00
            $3.00
            m | count
            $-1.00 | 1
            $3.00 | 2
            NULL | 1
            m
            $-1.00
            $3.00
            NULL
            count | money2_total
            2 | $5.00
            m
            $-1.00
            $3.00
            $3.00
            $3.00
            $3.00
            m
            $-1.00
            $3.00
            $3.00
            m | row_number
            $-1.00 | 1
            $3.00 | 1
            $3.00 | 2
            NULL | 1
            m
            $-1.00
            $3.00
            NULL
            m
            $-1.00
            NULL
            ERROR 42883: operator does not exist: point2 = unknown
            HINT: No operator matches the given name and argument types. You might need to add explicit type casts.
            ERROR 42883: could not identify an ordering operator for type point2
            HINT: Use an explicit ordering operator or modify the query.
            ERROR 42883: could not identify an equality operator for type point2
            ERROR 42883: could not identify an equality operator for type point2
            ERROR 42883: could not identify an equality operator for type point2
            m | far
            $-1.00 | 2.23606797749979
            $3.00 | 2.23606797749979
            NULL | NULL
            p
            (1,2)
            ERROR 42883: could not identify an equality operator for type point2
            ERROR 42883: could not identify an equality operator for type point2
            ERROR 42883: could not identify an equality operator for type point2
            ERROR 42883: function max(money2) does not exist
            HINT: No function matches the given name and argument types. You might need to add explicit type casts.
            ERROR 0A000: ANY over values of type money2 is not supported
            ERROR 42883: operator does not exist: money2 < point2
            HINT: No operator matches the given name and argument types. You might need to add explicit type casts.
        "#]],
    );
}

#[test]
fn values_cross_the_wire_in_both_forms() {
    let db = Db::with(&points());
    let mut client = db.session();
    client.ok("CREATE TABLE t (p point2)");
    let insert = client.0.prepare("INSERT INTO t VALUES ($1)", &[]).unwrap();
    let ty = insert.param_types[0].clone();
    assert_eq!(PgType::from_oid(ty.oid()), Some(ty.clone()));
    assert_eq!(ty.name(), "point2");
    let bytes = [1.5f64.to_be_bytes(), 2.5f64.to_be_bytes()].concat();
    let value = decode_binary(&ty, &bytes).unwrap();
    for value in [
        Value::Typed(value),
        Value::Text("(3,4)".to_owned()),
        Value::Null,
    ] {
        client.0.execute_prepared(&insert, &[value]).unwrap();
    }
    let select = client.0.prepare("SELECT p FROM t", &[]).unwrap();
    let Outcome::Rows(rows) = client.0.execute_prepared(&select, &[]).unwrap() else {
        panic!("no rows");
    };
    assert_eq!(rows.columns()[0].ty, ty);
    let format = client.0.info().format();
    let mut sent = Vec::new();
    for batch in rows.collect().unwrap() {
        encode_binary(batch.column(0), 0, &ty, &format, &mut sent);
    }
    assert_eq!(sent, bytes);
    assert!(decode_binary(&ty, b"short").is_err());
}

#[test]
fn the_system_catalogs_show_them() {
    check(
        "CREATE TABLE t (p point2(3), m money2);
         SELECT typname, typlen, typcategory, typarray = 'money2[]'::regtype, typnamespace::regnamespace
           FROM pg_type WHERE oid = 'money2'::regtype;
         SELECT typname, typelem::regtype FROM pg_type WHERE oid = 'point2[]'::regtype;
         SELECT attname, format_type(atttypid, atttypmod), attlen FROM pg_attribute
           WHERE attrelid = 't'::regclass AND attnum > 0 ORDER BY attnum;
         SELECT column_name, data_type, udt_name FROM information_schema.columns
           WHERE table_name = 't' ORDER BY ordinal_position;
         SELECT proname, pg_get_function_arguments(oid), pg_get_function_result(oid) FROM pg_proc
           WHERE pronamespace = 'public'::regnamespace ORDER BY 1;",
        expect![[r#"
            CREATE TABLE
            typname | typlen | typcategory | ?column? | typnamespace
            money2 | -1 | U | t | public
            typname | typelem
            _point2 | point2
            attname | format_type | attlen
            p | point2(3) | -1
            m | money2 | -1
            column_name | data_type | udt_name
            p | USER-DEFINED | point2
            m | USER-DEFINED | money2
            proname | pg_get_function_arguments | pg_get_function_result
            money2_total | money2 | money2
            point2_distance | point2, point2 | double precision
            point2_swap | point2 | point2
        "#]],
    );
}

/// What psql asks for `\df`, `\do` and `\dT`.
#[test]
fn psql_lists_them() {
    check(
        r#"SELECT n.nspname as "Schema", p.proname as "Name",
             pg_catalog.pg_get_function_result(p.oid) as "Result data type",
             pg_catalog.pg_get_function_arguments(p.oid) as "Argument data types",
             CASE p.prokind WHEN 'a' THEN 'agg' WHEN 'w' THEN 'window' WHEN 'p' THEN 'proc'
               ELSE 'func' END as "Type"
           FROM pg_catalog.pg_proc p
             LEFT JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
           WHERE pg_catalog.pg_function_is_visible(p.oid) AND n.nspname <> 'pg_catalog'
             AND n.nspname <> 'information_schema'
           ORDER BY 1, 2, 4;
           SELECT n.nspname as "Schema", o.oprname AS "Name",
             CASE WHEN o.oprkind='l' THEN NULL ELSE pg_catalog.format_type(o.oprleft, NULL) END
               AS "Left arg type",
             CASE WHEN o.oprkind='r' THEN NULL ELSE pg_catalog.format_type(o.oprright, NULL) END
               AS "Right arg type",
             pg_catalog.format_type(o.oprresult, NULL) AS "Result type",
             coalesce(pg_catalog.obj_description(o.oid, 'pg_operator'),
               pg_catalog.obj_description(o.oprcode, 'pg_proc')) AS "Description"
           FROM pg_catalog.pg_operator o
             LEFT JOIN pg_catalog.pg_namespace n ON n.oid = o.oprnamespace
           WHERE n.nspname <> 'pg_catalog' AND n.nspname <> 'information_schema'
             AND pg_catalog.pg_operator_is_visible(o.oid)
           ORDER BY 1, 2, 3, 4;
           SELECT n.nspname as "Schema", pg_catalog.format_type(t.oid, NULL) AS "Name",
             pg_catalog.obj_description(t.oid, 'pg_type') as "Description"
           FROM pg_catalog.pg_type t
             LEFT JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
           WHERE (t.typrelid = 0 OR (SELECT c.relkind = 'c' FROM pg_catalog.pg_class c
               WHERE c.oid = t.typrelid))
             AND NOT EXISTS(SELECT 1 FROM pg_catalog.pg_type el
               WHERE el.oid = t.typelem AND el.typarray = t.oid)
             AND n.nspname <> 'pg_catalog' AND n.nspname <> 'information_schema'
             AND pg_catalog.pg_type_is_visible(t.oid)
           ORDER BY 1, 2;"#,
        expect![[r#"
            Schema | Name | Result data type | Argument data types | Type
            public | money2_total | money2 | money2 | agg
            public | point2_distance | double precision | point2, point2 | func
            public | point2_swap | point2 | point2 | func
            Schema | Name | Left arg type | Right arg type | Result type | Description
            public | <-> | point2 | point2 | double precision | NULL
            Schema | Name | Description
            public | money2 | NULL
            public | point2 | NULL
        "#]],
    );
}

#[test]
fn a_type_goes_with_its_extension() {
    check(
        "CREATE TABLE t (id int, p point2);
         INSERT INTO t VALUES (1, '(1,2)');
         DROP EXTENSION points;
         DROP EXTENSION points CASCADE;
         SELECT * FROM t;
         SELECT '(1,2)'::point2;
         CREATE TABLE u (p point2);
         CREATE EXTENSION points;
         CREATE TABLE u (p point2);",
        expect![[r#"
            CREATE TABLE
            INSERT 0 1
            ERROR 2BP01: cannot drop extension points because other objects depend on it
            DETAIL: column p of table t depends on type point2
            HINT: Use DROP ... CASCADE to drop the dependent objects too.
            NOTICE: drop cascades to column p of table t
            DROP EXTENSION
            id
            1
            ERROR 42704: type "point2" does not exist
            HINT: Plugin "points", which has it, is not installed in this database. Use CREATE EXTENSION points.
            ERROR 42704: type "point2" does not exist
            HINT: Plugin "points", which has it, is not installed in this database. Use CREATE EXTENSION points.
            CREATE EXTENSION
            CREATE TABLE
        "#]],
    );
}

/// Its type is nobody else's in this process, so that nobody else reads and writes it.
#[test]
fn a_column_outlives_its_plugin() {
    let lost = Plugins {
        roots: vec![root::<Lost>()],
        ..Plugins::default()
    };
    let db = Db::with(&lost);
    db.session().ok("CREATE TABLE t (id int, p lost2, n int);
         INSERT INTO t VALUES (1, '(1,2)', 10), (2, NULL, 20)");
    let db = db.reopen();
    expect![[r#"
        id | n
        1 | 10
        2 | 20
        id | empty
        1 | f
        2 | t
        ERROR 55000: values of type lost2 cannot be read or shown: plugin "lost" is not active
        HINT: helios_plugins says what became of the plugin.
        p
        NULL
        ERROR 55000: values of type lost2 cannot be read or shown: plugin "lost" is not active
        HINT: helios_plugins says what became of the plugin.
        INSERT 0 1
        UPDATE 1
        ERROR 42704: type "lost2" does not exist
        HINT: Plugin "lost", which has it, is missing. Put the file of plugin lost into the plugin directory and restart the server.
        ERROR 42704: type "lost2" does not exist
        HINT: Plugin "lost", which has it, is missing. Put the file of plugin lost into the plugin directory and restart the server.
        format_type
        lost2
        DELETE 1
    "#]]
    .assert_eq(&db.session().run(
        "SELECT id, n FROM t ORDER BY id;
         SELECT id, p IS NULL AS empty FROM t ORDER BY id;
         SELECT * FROM t;
         SELECT p FROM t WHERE id = 2;
         INSERT INTO t VALUES (3, '(3,4)', 30);
         INSERT INTO t (id, n) VALUES (4, 40);
         UPDATE t SET n = n + 1 WHERE id = 1;
         SELECT '(1,2)'::lost2;
         CREATE TABLE u (p lost2);
         SELECT format_type(atttypid, atttypmod) FROM pg_attribute
           WHERE attrelid = 't'::regclass AND attname = 'p';
         DELETE FROM t WHERE id = 2;",
    ));
    let db = db.reopen_with(&lost);
    expect![[r#"
        id | p | n
        1 | (1,2) | 11
        4 | NULL | 40
    "#]]
    .assert_eq(&db.session().run("SELECT * FROM t ORDER BY id"));
}
