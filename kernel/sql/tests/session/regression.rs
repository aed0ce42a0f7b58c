//! Forms whose answers were wrong once: what PostgreSQL answers.

use expect_test::expect;

use super::support::check;

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
