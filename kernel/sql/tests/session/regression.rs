//! Forms whose answers were wrong once: what PostgreSQL answers.

use expect_test::expect;

use super::support::check;

#[test]
fn except_all_and_intersect_all_count_rows() {
    check(
        "CREATE TABLE l (a int, b text); CREATE TABLE r (a int, b text);
         INSERT INTO l VALUES (1, 'x'), (1, 'x'), (1, 'x'), (NULL, 'y'), (NULL, 'y'), (2, NULL), (3, 'z');
         INSERT INTO r VALUES (1, 'x'), (NULL, 'y'), (2, NULL), (2, NULL);
         SELECT a, b FROM l EXCEPT ALL SELECT a, b FROM r ORDER BY 1, 2;
         SELECT a, b FROM l INTERSECT ALL SELECT a, b FROM r ORDER BY 1, 2;
         SELECT a FROM l INTERSECT ALL (SELECT 1 UNION ALL SELECT 1) ORDER BY 1;
         SELECT b FROM l EXCEPT ALL SELECT 'x' ORDER BY 1;
         SELECT a FROM l EXCEPT SELECT a FROM r;
         SELECT a FROM l INTERSECT SELECT a FROM r ORDER BY 1;
         SELECT DISTINCT a FROM l EXCEPT ALL SELECT 1 ORDER BY 1;
         SELECT count(*) FROM (SELECT a FROM l EXCEPT ALL SELECT a FROM r EXCEPT ALL SELECT 1) AS q;
         SELECT 1.0 EXCEPT ALL SELECT 1;
         SELECT id FROM (VALUES (1), (2)) AS o(id)
           WHERE EXISTS (SELECT 1 FROM l WHERE a = id EXCEPT ALL SELECT 1) ORDER BY 1;",
        expect![[r#"
            CREATE TABLE
            CREATE TABLE
            INSERT 0 7
            INSERT 0 4
            a | b
            1 | x
            1 | x
            3 | z
            NULL | y
            a | b
            1 | x
            2 | NULL
            NULL | y
            a
            1
            1
            b
            x
            x
            y
            y
            z
            NULL
            a
            3
            a
            1
            2
            NULL
            a
            2
            3
            NULL
            count
            3
            ?column?
            id
            1
        "#]],
    );
}

#[test]
fn an_untyped_null_beside_an_aggregate_is_null() {
    check(
        "CREATE TABLE t (a int);
         INSERT INTO t VALUES (1);
         SELECT NULL, count(*) FROM t;
         SELECT 1, 1, 'a', NULL, count(*) FROM t;
         SELECT NULL AS n, a, count(*) FROM t GROUP BY a;
         SELECT NULL, NULL, 'a', a FROM t;
         SELECT DISTINCT NULL, 'b' FROM t;
         SELECT max(x) IS NULL, min('') FROM (SELECT NULL AS x FROM t) AS q;",
        expect![[r#"
            CREATE TABLE
            INSERT 0 1
            ?column? | count
            NULL | 1
            ?column? | ?column? | ?column? | ?column? | count
            1 | 1 | a | NULL | 1
            n | a | count
            NULL | 1 | 1
            ?column? | ?column? | ?column? | a
            NULL | NULL | a | 1
            ?column? | ?column?
            NULL | b
            ?column? | min
            t | 
        "#]],
    );
}

#[test]
fn an_element_is_appended_to_an_array_of_text() {
    check(
        "CREATE TABLE edge (a text NOT NULL, b varchar(9));
         INSERT INTO edge VALUES ('EWR', 'BOS'), ('BOS', 'LAX');
         SELECT ARRAY['x'] || a, a || ARRAY['x'], ARRAY[a] || b, ARRAY[a] || ARRAY[b] FROM edge ORDER BY 1;
         WITH RECURSIVE r AS (
           SELECT 'EWR'::text AS a, 0 AS d, ARRAY['EWR'] AS path
           UNION ALL
           SELECT x.b, r.d + 1, r.path || x.b FROM r JOIN edge x ON x.a = r.a WHERE r.d < 5)
         SELECT path, d FROM r ORDER BY d;
         SELECT ARRAY[1] || 'a'::text;
         SELECT ARRAY[1] || 2, 'n' || 1, 2 || 'n'::text, ARRAY['a'] || NULL;",
        expect![[r#"
            CREATE TABLE
            INSERT 0 2
            ?column? | ?column? | ?column? | ?column?
            {x,BOS} | {BOS,x} | {BOS,LAX} | {BOS,LAX}
            {x,EWR} | {EWR,x} | {EWR,BOS} | {EWR,BOS}
            path | d
            {EWR} | 0
            {EWR,BOS} | 1
            {EWR,BOS,LAX} | 2
            ERROR 42883: operator does not exist: integer[] || text
            HINT: No operator matches the given name and argument types. You might need to add explicit type casts.
            ?column? | ?column? | ?column? | ?column?
            {1,2} | n1 | 2n | {a}
        "#]],
    );
}

#[test]
fn a_scalar_subquery_without_a_row_is_null() {
    check(
        "CREATE TABLE t (id int PRIMARY KEY, name text NOT NULL);
         INSERT INTO t VALUES (1, 'one');
         SELECT (SELECT name FROM t WHERE id = 9);
         SELECT (SELECT name FROM t WHERE id = 9), EXISTS (SELECT 1 FROM t);
         SELECT (SELECT name FROM t WHERE id = 9) IS NULL AS n, coalesce((SELECT name FROM t WHERE id = 9), 'none');
         SELECT x, x IS NULL AS n FROM (SELECT (SELECT name FROM t WHERE id = 9) AS x) AS q;
         SELECT u.id, (SELECT name FROM t WHERE t.id = u.id + 1) AS x FROM t u;
         SELECT x, x IS NULL AS n FROM (SELECT (SELECT name FROM t WHERE t.id = u.id + 1) AS x FROM t u) AS q;
         SELECT (SELECT count(*) FROM t HAVING false), (SELECT count(*) FROM t WHERE id > 5);
         SELECT u.id, (SELECT count(*) FROM t WHERE t.id > u.id) FROM t u;
         SELECT max((SELECT name FROM t WHERE id = 9)), count((SELECT name FROM t WHERE id = 9)) FROM t;
         SELECT id FROM t WHERE (SELECT name FROM t WHERE id = 9) IS NULL;",
        expect![[r#"
            CREATE TABLE
            INSERT 0 1
            name
            NULL
            name | exists
            NULL | t
            n | coalesce
            t | none
            x | n
            NULL | t
            id | x
            1 | NULL
            x | n
            NULL | t
            count | count
            NULL | 0
            id | count
            1 | 0
            max | count
            NULL | 0
            id
            1
        "#]],
    );
}

#[test]
fn a_row_is_looked_for_in_a_subquery() {
    check(
        "CREATE TABLE t (a int, b int); CREATE TABLE s (x int, y int);
         INSERT INTO t VALUES (1, 1), (1, 2), (2, NULL), (NULL, 9), (3, 3);
         INSERT INTO s VALUES (1, 2), (2, 5), (4, NULL);
         SELECT a, b FROM t WHERE (a, b) IN (SELECT x, y FROM s);
         SELECT a, b FROM t WHERE (a, b) NOT IN (SELECT x, y FROM s) ORDER BY 1, 2;
         SELECT a, b, (a, b) IN (SELECT x, y FROM s) AS i, (a, b) NOT IN (SELECT x, y FROM s) AS n
           FROM t ORDER BY 1, 2;
         SELECT a, b FROM t WHERE a = 3 OR (a, b) IN (SELECT x, y FROM s) ORDER BY 1;
         SELECT a, b FROM t WHERE NOT ((a, b) IN (SELECT x, y FROM s)) ORDER BY 1, 2;
         SELECT a, b FROM t WHERE (a, b) IN (SELECT x, y FROM s WHERE s.y > t.b - 1);
         SELECT a, b FROM t WHERE (a, b) = ANY (SELECT x, y FROM s) AND b = 2;
         SELECT a, count(*) FROM t GROUP BY a HAVING (a, count(*)) IN (SELECT x, y FROM s);
         SELECT t.a, s.y FROM t JOIN s ON t.a = s.x AND (t.a, s.y) IN (SELECT x, y FROM s) ORDER BY 1, 2;
         SELECT count(*) FROM t WHERE (a, b) NOT IN (SELECT x, y FROM s WHERE false);
         SELECT a FROM t WHERE ROW(a, b) IN (SELECT x, y FROM s);
         SELECT a FROM t WHERE (a, b) IN (SELECT x FROM s);
         SELECT a FROM t WHERE (a, b) IN (SELECT x, y, x FROM s);
         SELECT a FROM t WHERE (a, b) IN (SELECT * FROM s);
         DELETE FROM t WHERE (a, b) IN (SELECT x, y FROM s);
         UPDATE t SET a = 0 WHERE (a, b) NOT IN (SELECT x, y FROM s);
         SELECT a, b FROM t ORDER BY 1, 2;",
        expect![[r#"
            CREATE TABLE
            CREATE TABLE
            INSERT 0 5
            INSERT 0 3
            a | b
            1 | 2
            a | b
            1 | 1
            3 | 3
            a | b | i | n
            1 | 1 | f | t
            1 | 2 | t | f
            2 | NULL | NULL | NULL
            3 | 3 | f | t
            NULL | 9 | NULL | NULL
            a | b
            1 | 2
            3 | 3
            a | b
            1 | 1
            3 | 3
            a | b
            1 | 2
            a | b
            1 | 2
            ERROR 0A000: aggregate or window function in a row that is looked for in a subquery is not supported
            a | y
            1 | 2
            1 | 2
            2 | 5
            count
            5
            a
            1
            ERROR 42601: subquery has too few columns
            ERROR 42601: subquery has too many columns
            a
            1
            DELETE 1
            UPDATE 2
            a | b
            0 | 1
            0 | 3
            2 | NULL
            NULL | 9
        "#]],
    );
}

/// An empty select list under EXISTS is good style in PostgreSQL; here it ended the connection.
#[test]
fn a_subquery_may_select_nothing_where_only_its_rows_count() {
    check(
        "CREATE TABLE t (a int);
         INSERT INTO t VALUES (1), (2);
         SELECT EXISTS (SELECT FROM t) AS some, NOT EXISTS (SELECT FROM t WHERE a > 2) AS none;
         SELECT a FROM t WHERE EXISTS (SELECT FROM t u WHERE u.a > t.a);
         SELECT a, EXISTS (SELECT FROM t u WHERE u.a > t.a) AS more FROM t ORDER BY a;
         SELECT t.a FROM t, LATERAL (SELECT FROM t u WHERE u.a <= t.a LIMIT 2) x ORDER BY a;
         SELECT (SELECT FROM t LIMIT 1);
         SELECT ARRAY(SELECT FROM t);",
        expect![[r#"
            CREATE TABLE
            INSERT 0 2
            some | none
            t | t
            a
            1
            a | more
            1 | t
            2 | f
            a
            1
            2
            2
            ERROR 42601: subquery must return a column
            ERROR 42601: subquery must return a column
        "#]],
    );
}
