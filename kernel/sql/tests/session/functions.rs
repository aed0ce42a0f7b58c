//! Functions and operators of a plugin in SQL.

use expect_test::{Expect, expect};
use heliosdb_plugin_api::root;

use super::support::letters::Letters;
use super::support::{Db, Plugins};

fn letters() -> Plugins {
    Plugins {
        roots: vec![root::<Letters>()],
        ..Plugins::default()
    }
}

fn check(sql: &str, expected: Expect) {
    let db = Db::with(&letters());
    expected.assert_eq(&db.session().run(sql));
}

#[test]
fn scalar_functions_resolve_and_run_as_built_in_ones() {
    check(
        "CREATE TABLE t (id int, s text, v varchar(5));
         INSERT INTO t VALUES (1, 'one', 'x'), (2, NULL, NULL), (3, 'three', 'z');
         SELECT shout('a'), shout(s), shout(v, 2), shout(s, NULL) FROM t ORDER BY id;
         SELECT pg_typeof(shout('a')), upper(shout('b')) || 'c';
         SELECT id FROM t WHERE shout(s) = 'THREE!';
         SELECT shout(s), count(*) FROM t GROUP BY shout(s) ORDER BY 1;
         SELECT shout(1);
         SELECT shout();
         SELECT pg_catalog.lower(public.shout('a'));
         SELECT * FROM shout('row');
         SELECT id, x FROM t, shout(t.s) x ORDER BY id;",
        expect![[r#"
            CREATE TABLE
            INSERT 0 3
            shout | shout | shout | shout
            A! | ONE! | X!! | NULL
            A! | NULL | NULL | NULL
            A! | THREE! | Z!! | NULL
            pg_typeof | ?column?
            text | B!c
            id
            3
            shout | count
            ONE! | 1
            THREE! | 1
            NULL | 1
            ERROR 42883: function shout(integer) does not exist
            HINT: No function matches the given name and argument types. You might need to add explicit type casts.
            ERROR 42883: function shout() does not exist
            HINT: No function matches the given name and argument types. You might need to add explicit type casts.
            lower
            a!
            shout
            ROW!
            id | x
            1 | ONE!
            2 | NULL
            3 | THREE!
        "#]],
    );
}

#[test]
fn arguments_cross_as_constants_where_they_are() {
    check(
        "CREATE TABLE t (n numeric, s text, j jsonb, k int);
         INSERT INTO t VALUES (1.50, 's', '{}', 7), (NULL, NULL, NULL, NULL);
         SELECT described('c', s, NULL, k) FROM t;
         SELECT described(1, 'c');
         SELECT described(n, j, n + 1) FROM t;
         SELECT described();
         SELECT described(s) FROM t WHERE false;",
        expect![[r#"
            CREATE TABLE
            INSERT 0 2
            described
            Utf8View constant, Utf8View, Utf8View constant null, Int32
            Utf8View constant, Utf8View null, Utf8View constant null, Int32 null
            described
            Int32 constant, Utf8View constant
            described
            Utf8View, LargeUtf8, Utf8View
            Utf8View null, LargeUtf8 null, Utf8View null
            described

            described
        "#]],
    );
}

#[test]
fn volatility_decides_how_often_a_function_is_called() {
    check(
        "SELECT tick() FROM generate_series(1, 3);
         SELECT tick(), tick();
         CREATE TABLE t (a bigint DEFAULT tick(), b int);
         INSERT INTO t (b) VALUES (1), (2);
         SELECT a, b FROM t ORDER BY a;
         EXPLAIN SELECT shout('a') FROM t;",
        expect![[r#"
            tick
            1
            2
            3
            tick | tick
            4 | 5
            CREATE TABLE
            INSERT 0 2
            a | b
            7 | 1
            8 | 2
            QUERY PLAN
            ProjectionExec: expr=[A! as shout]
              CooperativeExec
                TableScan: table=t
            EXPLAIN
        "#]],
    );
}

#[test]
fn json_comes_back_as_postgresql_spells_it() {
    check(
        "SELECT object('k', '[1,2]'), pg_typeof(object('k', '1'));
         SELECT object('k', '[1,2]') -> 'k' -> 1;
         SELECT object('k', 'nonsense');
         CREATE TABLE t (j json); INSERT INTO t VALUES ('{\"x\": 1}');
         SELECT object('k', j) FROM t;",
        expect![[r#"
            object | pg_typeof
            {"a": 1, "b": 1, "k": [1, 2]} | jsonb
            ?column?
            2
            ERROR 22P02: invalid input syntax for type json
            DETAIL: Token "nonsense" is invalid.
            CREATE TABLE
            INSERT 0 1
            object
            {"a": 1, "b": 1, "k": {"x": 1}}
        "#]],
    );
}

#[test]
fn errors_keep_their_parts() {
    check(
        "SELECT refuse('abc');
         CREATE TABLE t (s text CHECK (shout(s) <> 'NO!'), u text DEFAULT shout('d'));
         INSERT INTO t VALUES ('no');
         INSERT INTO t VALUES ('yes') RETURNING u;
         SELECT refuse(s) FROM t;
         SELECT mistake(s) FROM t;",
        expect![[r#"
            ERROR 22023: these letters are refused
            DETAIL: They are "abc".
            HINT: Try others.
            CREATE TABLE
            ERROR 23514: new row for relation "t" violates check constraint "t_s_check"
            DETAIL: Failing row contains (no, D!).
            u
            D!
            INSERT 0 1
            ERROR 22023: these letters are refused
            DETAIL: They are "yes".
            HINT: Try others.
            ERROR 38000: plugin "letters" broke its contract: mistake: damaged Arrow array: 1 rows were expected, not 2
        "#]],
    );
}

/// The planner evaluates a call with constants more than once.
#[test]
fn a_fault_counts_once_in_a_statement() {
    check(
        "SELECT mistake('abc');
         SELECT faults, state FROM helios_plugins;
         SELECT mistake('abc'), mistake('de');
         SELECT faults, state FROM helios_plugins;",
        expect![[r#"
            ERROR 38000: plugin "letters" broke its contract: mistake: damaged Arrow array: 1 rows were expected, not 2
            faults | state
            1 | active
            ERROR 38000: plugin "letters" broke its contract: mistake: damaged Arrow array: 1 rows were expected, not 2
            faults | state
            2 | active
        "#]],
    );
}

#[test]
fn a_function_learns_of_a_cancel() {
    check(
        "CREATE TABLE t (s text); INSERT INTO t VALUES ('a');
         SET statement_timeout = 50;
         SELECT spin(s) FROM t;
         SELECT spin('a');
         INSERT INTO t SELECT spin(s) FROM t;
         RESET statement_timeout;
         SELECT s FROM t;",
        expect![[r#"
            CREATE TABLE
            INSERT 0 1
            SET
            ERROR 57014: canceling statement due to statement timeout
            ERROR 57014: canceling statement due to statement timeout
            ERROR 57014: canceling statement due to statement timeout
            RESET
            s
            a
        "#]],
    );
}

#[test]
fn aggregates_group_distinguish_filter_and_slide() {
    check(
        "CREATE TABLE t (g int, s text);
         INSERT INTO t VALUES (1, 'ab'), (1, 'bc'), (2, 'x'), (2, NULL), (3, NULL);
         SELECT g, alphabet(s) FROM t GROUP BY g ORDER BY g;
         SELECT alphabet(s), alphabet(DISTINCT s), alphabet(s) FILTER (WHERE g = 2) FROM t;
         SELECT alphabet(s) FROM t WHERE false;
         SELECT g, s, alphabet(s) OVER (ORDER BY g, s ROWS BETWEEN 1 PRECEDING AND CURRENT ROW),
           alphabet(s) OVER (PARTITION BY g), alphabet(s) OVER (ORDER BY g, s) FROM t ORDER BY g, s;
         SELECT alphabet(1);
         SELECT alphabet(s || g::text) FROM t, generate_series(1, 20000);",
        expect![[r#"
            CREATE TABLE
            INSERT 0 5
            g | alphabet
            1 | abc
            2 | x
            3 | NULL
            alphabet | alphabet | alphabet
            abcx | abcx | x
            alphabet
            NULL
            g | s | alphabet | alphabet | alphabet
            1 | ab | ab | abc | ab
            1 | bc | abc | abc | abc
            2 | x | bcx | x | abcx
            2 | NULL | x | x | abcx
            3 | NULL | NULL | NULL | abcx
            ERROR 42883: function alphabet(integer) does not exist
            HINT: No function matches the given name and argument types. You might need to add explicit type casts.
            alphabet
            12abcx
        "#]],
    );
}

#[test]
fn table_functions_stand_in_from() {
    check(
        "SELECT * FROM letters('abc');
         SELECT l.letter FROM letters('abc') AS l WHERE l.place > 1;
         SELECT a, b FROM letters('xy') AS l(a, b);
         SELECT p, letter FROM letters('xy') AS l(p);
         SELECT * FROM letters('x') AS l(a, b, c);
         SELECT * FROM letters(NULL);
         CREATE TABLE t (id int, s text);
         INSERT INTO t VALUES (1, 'ab'), (2, NULL), (3, ''), (4, 'c');
         SELECT t.id, l.* FROM t, letters(t.s) AS l ORDER BY 1, 2;
         SELECT id, letter FROM t CROSS JOIN LATERAL letters(s) ORDER BY 1, 2;
         SELECT id, letter FROM t LEFT JOIN letters(t.s) ON true ORDER BY 1, 2;
         SELECT id, (SELECT count(*) FROM letters(t.s)) FROM t ORDER BY id;
         SELECT id FROM t WHERE EXISTS (SELECT 1 FROM letters(t.s) WHERE letter = 'c');
         SELECT * FROM words('to be or not') ORDER BY 1;
         SELECT words('a b'), id FROM t WHERE id < 3;
         SELECT letters('ab');
         CREATE VIEW w AS SELECT t.id, l.letter FROM t, letters(t.s) l;
         SELECT * FROM w ORDER BY 1, 2;
         PREPARE p (text) AS SELECT * FROM letters($1);
         EXECUTE p ('q');
         SELECT * FROM letters(1);",
        expect![[r#"
            place | letter
            1 | a
            2 | b
            3 | c
            letter
            b
            c
            a | b
            1 | x
            2 | y
            p | letter
            1 | x
            2 | y
            ERROR 42P10: table "l" has 2 columns available but 3 columns specified
            place | letter
            CREATE TABLE
            INSERT 0 4
            id | place | letter
            1 | 1 | a
            1 | 2 | b
            4 | 1 | c
            id | letter
            1 | a
            1 | b
            4 | c
            id | letter
            1 | a
            1 | b
            2 | NULL
            3 | NULL
            4 | c
            id | count
            1 | 2
            2 | 0
            3 | 0
            4 | 1
            id
            4
            word
            be
            not
            or
            to
            words | id
            a | 1
            b | 1
            a | 2
            b | 2
            ERROR 0A000: letters, whose rows have several columns, outside of FROM is not supported
            CREATE VIEW
            id | letter
            1 | a
            1 | b
            4 | c
            PREPARE
            place | letter
            1 | q
            ERROR 42883: function letters(integer) does not exist
            HINT: No function matches the given name and argument types. You might need to add explicit type casts.
        "#]],
    );
}

#[test]
fn operators_are_called_by_symbol() {
    check(
        "CREATE TABLE t (s text); INSERT INTO t VALUES ('kitten'), ('mitten'), (NULL);
         SELECT s, s <-> 'sitten' AS d, s @@@ 'kn' FROM t ORDER BY s <-> 'kitten', s;
         SELECT s FROM t WHERE s OPERATOR(public.<->) 'kitten' = 1;
         SELECT 'ab' - 'ac', 3 - 1, date '2024-01-02' - date '2024-01-01';
         SELECT 1 <-> 2;
         SELECT 'a'::text <+> 'b', 'a' <=> 'b' = 1;
         CREATE VIEW v AS SELECT s FROM t WHERE s @@@ 'kn' AND s <+> 'k' > 0;
         SELECT * FROM v;
         CREATE TABLE u (s text CHECK (s @@@ 'x'));
         INSERT INTO u VALUES ('box'), ('bow');",
        expect![[r#"
            CREATE TABLE
            INSERT 0 3
            s | d | ?column?
            kitten | 1 | t
            mitten | 1 | f
            NULL | NULL | NULL
            s
            mitten
            ?column? | ?column? | ?column?
            1 | 2 | 1
            ERROR 42883: operator does not exist: integer <-> integer
            HINT: No operator matches the given name and argument types. You might need to add explicit type casts.
            ?column? | ?column?
            1 | t
            CREATE VIEW
            s
            kitten
            CREATE TABLE
            ERROR 23514: new row for relation "u" violates check constraint "u_s_check"
            DETAIL: Failing row contains (bow).
        "#]],
    );
}

#[test]
fn the_system_catalogs_show_them() {
    check(
        "SELECT p.proname, pg_get_function_arguments(p.oid), pg_get_function_result(p.oid), p.prokind,
           p.provolatile, p.proisstrict, l.lanname, p.probin
           FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang
           WHERE p.pronamespace = 'public'::regnamespace ORDER BY 1, 2;
         SELECT oprname, oprleft::regtype, oprright::regtype, oprresult::regtype, oprcode,
           oprcom = oid AS own FROM pg_operator WHERE oprnamespace = 'public'::regnamespace ORDER BY 1;
         SELECT pg_function_is_visible('has_letters'::regproc), 'has_letters'::regproc,
           to_regproc('nobody');",
        expect![[r#"
            proname | pg_get_function_arguments | pg_get_function_result | prokind | provolatile | proisstrict | lanname | probin
            alphabet | text | text | a | i | t | c | $libdir/letters
            described | VARIADIC "any" | text | f | i | f | c | $libdir/letters
            has_letters | text, text | boolean | f | i | t | c | $libdir/letters
            letters | text | TABLE(place integer, letter text) | f | i | t | c | $libdir/letters
            letters_apart | text, text | integer | f | i | t | c | $libdir/letters
            mistake | text | text | f | i | f | c | $libdir/letters
            object | text, json | jsonb | f | s | t | c | $libdir/letters
            refuse | text | text | f | i | f | c | $libdir/letters
            shout | text | text | f | i | t | c | $libdir/letters
            shout | text, integer | text | f | i | t | c | $libdir/letters
            spin | text | text | f | v | f | c | $libdir/letters
            tick |  | bigint | f | v | f | c | $libdir/letters
            words | text | TABLE(word text) | f | i | t | c | $libdir/letters
            oprname | oprleft | oprright | oprresult | oprcode | own
            - | text | text | integer | letters_apart | f
            <+> | text | text | integer | letters_apart | f
            <-> | text | text | integer | letters_apart | t
            <=> | text | text | integer | letters_apart | f
            @@@ | text | text | boolean | has_letters | f
            pg_function_is_visible | regproc | to_regproc
            t | has_letters | NULL
        "#]],
    );
}

#[test]
fn a_plugin_that_is_not_there_is_named_in_the_hint() {
    let db = Db::with(&letters());
    db.session().ok(
        "CREATE TABLE t (s text CHECK (shout(s) <> 'NO!'), n int DEFAULT 1);
         INSERT INTO t VALUES ('a');
         CREATE VIEW v AS SELECT shout(s) FROM t",
    );
    let failed = Plugins {
        fail: true,
        ..letters()
    };
    let db = db.reopen_with(&failed);
    expect![[r#"
        ERROR 42883: function shout(unknown) does not exist
        HINT: Plugin "letters", which has it, is not running: it failed to start. It claims the function shout(text), which the server itself has
        ERROR 42883: function alphabet(text) does not exist
        HINT: Plugin "letters", which has it, is not running: it failed to start. It claims the function shout(text), which the server itself has
        ERROR 42883: function letters(unknown) does not exist
        HINT: Plugin "letters", which has it, is not running: it failed to start. It claims the function shout(text), which the server itself has
        ERROR 42883: operator does not exist: text <-> text
        HINT: Plugin "letters", which has it, is not running: it failed to start. It claims the function shout(text), which the server itself has
        ERROR 42883: function shout(text) does not exist
        HINT: Plugin "letters", which has it, is not running: it failed to start. It claims the function shout(text), which the server itself has
        ERROR 42883: function shout(text) does not exist
        HINT: Plugin "letters", which has it, is not running: it failed to start. It claims the function shout(text), which the server itself has
        ERROR 42883: function shout(text) does not exist
        HINT: Plugin "letters", which has it, is not running: it failed to start. It claims the function shout(text), which the server itself has
        s
        a
        DELETE 1
        NOTICE: drop cascades to view v
        DROP TABLE
    "#]].assert_eq(&db.session().run(
        "SELECT shout('a');
         SELECT alphabet(s) FROM t;
         SELECT * FROM letters('a');
         SELECT 'a'::text <-> 'b'::text;
         SELECT * FROM v;
         INSERT INTO t VALUES ('b');
         UPDATE t SET n = 2;
         SELECT s FROM t;
         DELETE FROM t;
         DROP TABLE t CASCADE;",
    ));
}

#[test]
fn functions_come_and_go_with_the_extension() {
    check(
        "SELECT shout('a');
         DROP EXTENSION letters;
         SELECT shout('a');
         SELECT 'a'::text <-> 'b'::text;
         CREATE EXTENSION letters;
         SELECT shout('a');
         CREATE VIEW v AS SELECT shout('a') AS s;
         DROP EXTENSION letters;
         DROP EXTENSION letters CASCADE;
         SELECT * FROM v;",
        expect![[r#"
            shout
            A!
            DROP EXTENSION
            ERROR 42883: function shout(unknown) does not exist
            HINT: Plugin "letters", which has it, is not installed in this database. Use CREATE EXTENSION letters.
            ERROR 42883: operator does not exist: text <-> text
            HINT: Plugin "letters", which has it, is not installed in this database. Use CREATE EXTENSION letters.
            CREATE EXTENSION
            shout
            A!
            CREATE VIEW
            ERROR 2BP01: cannot drop extension letters because other objects depend on it
            DETAIL: view v depends on extension letters
            HINT: Use DROP ... CASCADE to drop the dependent objects too.
            NOTICE: drop cascades to view v
            DROP EXTENSION
            ERROR 42P01: relation "v" does not exist
        "#]],
    );
}

/// Its manifest went with its file; the extension remembers the names.
#[test]
fn a_plugin_whose_file_is_gone_is_named_too() {
    let db = Db::with(&letters());
    db.session().ok(
        "CREATE TABLE t (s text CHECK (shout(s) <> 'NO!'), d text DEFAULT shout('d'));
         INSERT INTO t VALUES ('a');
         CREATE VIEW v AS SELECT s <-> 'b' AS apart FROM t",
    );
    let db = db.reopen();
    expect![[r#"
        ERROR 42883: function shout(unknown) does not exist
        HINT: Plugin "letters", which has it, is missing. Put the file of plugin letters into the plugin directory and restart the server.
        ERROR 42883: operator does not exist: text <-> unknown
        HINT: Plugin "letters", which has it, is missing. Put the file of plugin letters into the plugin directory and restart the server.
        ERROR 42883: function nobody(integer) does not exist
        HINT: No function matches the given name and argument types. You might need to add explicit type casts.
        ERROR 2BP01: cannot drop extension letters because other objects depend on it
        DETAIL: constraint t_s_check on table t depends on extension letters
        view v depends on extension letters
        default value for column d of table t depends on extension letters
        HINT: Use DROP ... CASCADE to drop the dependent objects too.
        NOTICE: drop cascades to 3 other objects
        DETAIL: drop cascades to constraint t_s_check on table t
        drop cascades to view v
        drop cascades to default value for column d of table t
        DROP EXTENSION
        INSERT 0 1
        s | d
        NO | NULL
        a | D!
        ERROR 42883: function shout(unknown) does not exist
        HINT: No function matches the given name and argument types. You might need to add explicit type casts.
    "#]].assert_eq(&db.session().run(
        "SELECT shout('a');
         SELECT * FROM v;
         SELECT nobody(1);
         DROP EXTENSION letters;
         DROP EXTENSION letters CASCADE;
         INSERT INTO t VALUES ('NO');
         SELECT * FROM t ORDER BY s;
         SELECT shout('a');",
    ));
}
