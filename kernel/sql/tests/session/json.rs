//! `json`: a text that is kept as it was written, and has no equality.

use expect_test::expect;

use super::support::{Db, check};

#[test]
fn a_document_is_kept_as_it_is_written() {
    let db = Db::new();
    let mut s = db.session();
    s.ok(
        "CREATE TABLE t (id int PRIMARY KEY, j json, js json[], d json DEFAULT '{ }', s text);
          INSERT INTO t VALUES (1, ' {\"b\" : 1,   \"a\":2, \"b\": 1.50}', '{1,\"\\\"\\\\\\\\u0000\\\"\"}'),
            (2, '\"\\ud800\"', NULL), (3, NULL, NULL)",
    );
    s.ok("ALTER TABLE t ADD COLUMN late json DEFAULT '[ 1 ]'");
    s.ok("UPDATE t SET j = '{\"now\" : [ ]}'::jsonb WHERE id = 3");
    drop(s);
    let db = db.reopen();
    let mut s = db.session();
    expect![[r#"
        id | j | js | d | late
        1 |  {"b" : 1,   "a":2, "b": 1.50} | {1,"\"\\\\u0000\""} | { } | [ 1 ]
        2 | "\ud800" | NULL | { } | [ 1 ]
        3 | {"now": []} | NULL | { } | [ 1 ]
    "#]]
    .assert_eq(&s.run("SELECT id, j, js, d, late FROM t ORDER BY id"));
    expect![[r#"
        1	 {"b" : 1,   "a":2, "b": 1.50}
        2	"\\ud800"
        3	{"now": []}
        COPY 3
    "#]]
    .assert_eq(&s.run("COPY t (id, j) TO STDOUT"));
    expect![[r#"
        COPY 1
    "#]]
    .assert_eq(&s.copy_in("COPY t (id, j) FROM STDIN", b"4\t[1,  2]\n"));
    expect![[r#"
        ERROR 22P02: invalid input syntax for type json
        DETAIL: The input string ended unexpectedly.
        CONTEXT: COPY t, line 1, column j: "[1,"
    "#]]
    .assert_eq(&s.copy_in("COPY t (id, j) FROM STDIN", b"5\t[1,\n"));
    expect![[r#"
        j | js | j | pg_typeof | pg_typeof
        [1,  2] | NULL | [1,  2] | json[] | json
    "#]]
    .assert_eq(&s.run("SELECT j, js[1], j::text, pg_typeof(js), pg_typeof(j) FROM t WHERE id = 4"));
}

#[test]
fn casts() {
    check(
        r#"CREATE TABLE t (j json, b jsonb);
         INSERT INTO t VALUES ('{"a" : 1, "a":2}', '{"a" : 1, "a":2}');
         SELECT j::jsonb, b::json, j::text, j::varchar(3), '1'::text::json, (b::json)::text FROM t;
         INSERT INTO t SELECT b, j FROM t RETURNING *;
         INSERT INTO t (j) SELECT '{}'::text;
         SELECT '1'::json::int;
         SELECT 1::json;
         SELECT '{"a":1}x'::json;
         SELECT '[1,]'::json;
         SELECT '"\u0000"'::json;
         SELECT '"\u0000"'::json::jsonb;
         SELECT coalesce(j, '1') FROM t LIMIT 1;
         SELECT coalesce(j, '1'::jsonb) FROM t;
         SELECT j::text FROM (SELECT j FROM t UNION ALL SELECT '[ ]') s ORDER BY 1;
         SELECT CASE WHEN true THEN j ELSE '2' END FROM t LIMIT 1;
         SELECT oid, typname, typcategory, typarray FROM pg_type WHERE typname = 'json'"#,
        expect![[r#"
            CREATE TABLE
            INSERT 0 1
            j | b | j | j | json | b
            {"a": 2} | {"a": 2} | {"a" : 1, "a":2} | {"a | 1 | {"a": 2}
            j | b
            {"a": 2} | {"a": 2}
            INSERT 0 1
            ERROR 42804: column "j" is of type json but expression is of type text
            HINT: You will need to rewrite or cast the expression.
            ERROR 42846: cannot cast type json to integer
            ERROR 42846: cannot cast type integer to json
            ERROR 22P02: invalid input syntax for type json
            DETAIL: Token "x" is invalid.
            ERROR 22P02: invalid input syntax for type json
            DETAIL: Expected JSON value, but found "]".
            json
            "\u0000"
            ERROR 22P05: unsupported Unicode escape sequence
            DETAIL: \u0000 cannot be converted to text.
            coalesce
            {"a" : 1, "a":2}
            ERROR 42846: COALESCE could not convert type jsonb to json
            j
            [ ]
            {"a" : 1, "a":2}
            {"a": 2}
            case
            {"a" : 1, "a":2}
            oid | typname | typcategory | typarray
            114 | json | U | 199
        "#]],
    );
}

#[test]
fn nothing_is_equal() {
    check(
        r#"CREATE TABLE t (id int, j json, js json[]);
         SELECT j = j FROM t;
         SELECT j <> '{}' FROM t;
         SELECT j < j FROM t;
         SELECT j IS DISTINCT FROM j FROM t;
         SELECT j IN ('1', '2') FROM t;
         SELECT j IN (SELECT j FROM t) FROM t;
         SELECT j = ANY (js) FROM t;
         SELECT js = js FROM t;
         SELECT nullif(j, '1') FROM t;
         SELECT greatest(j, '1') FROM t;
         SELECT CASE j WHEN '1' THEN 1 END FROM t;
         SELECT * FROM t a JOIN t b USING (j);
         SELECT DISTINCT j FROM t;
         SELECT DISTINCT js FROM t;
         SELECT DISTINCT ON (j) id FROM t;
         SELECT j FROM t GROUP BY j;
         SELECT count(*) FROM t GROUP BY ROLLUP (id, j);
         SELECT j FROM t ORDER BY j;
         SELECT id FROM t ORDER BY js DESC;
         SELECT j FROM t UNION SELECT j FROM t;
         SELECT j FROM t EXCEPT SELECT j FROM t;
         SELECT j FROM t INTERSECT ALL SELECT j FROM t;
         SELECT count(DISTINCT j) FROM t;
         SELECT json_agg(DISTINCT j) FROM t;
         SELECT array_agg(id ORDER BY j) FROM t;
         SELECT row_number() OVER (PARTITION BY j) FROM t;
         SELECT row_number() OVER (ORDER BY j) FROM t;
         SELECT min(j) FROM t;
         SELECT j || j FROM t;
         SELECT j @> '{}' FROM t;
         SELECT j LIKE 'a' FROM t;
         SELECT length(j) FROM t;
         CREATE INDEX ON t (j);
         CREATE TABLE u (j json PRIMARY KEY);
         CREATE TABLE u (js json[] UNIQUE);
         CREATE INDEX ON t (id);
         SELECT count(j), count(*) FROM t WHERE j IS NULL"#,
        expect![[r#"
            CREATE TABLE
            ERROR 42883: operator does not exist: json = json
            HINT: No operator matches the given name and argument types. You might need to add explicit type casts.
            ERROR 42883: operator does not exist: json <> unknown
            HINT: No operator matches the given name and argument types. You might need to add explicit type casts.
            ERROR 42883: operator does not exist: json < json
            HINT: No operator matches the given name and argument types. You might need to add explicit type casts.
            ERROR 42883: operator does not exist: json = json
            HINT: No operator matches the given name and argument types. You might need to add explicit type casts.
            ERROR 42883: operator does not exist: json = unknown
            HINT: No operator matches the given name and argument types. You might need to add explicit type casts.
            ERROR 42883: operator does not exist: json = json
            HINT: No operator matches the given name and argument types. You might need to add explicit type casts.
            ERROR 42883: operator does not exist: json = json
            HINT: No operator matches the given name and argument types. You might need to add explicit type casts.
            ERROR 42883: could not identify an equality operator for type json
            ERROR 42883: operator does not exist: json = unknown
            HINT: No operator matches the given name and argument types. You might need to add explicit type casts.
            ERROR 42883: could not identify a comparison function for type json
            ERROR 42883: operator does not exist: json = unknown
            HINT: No operator matches the given name and argument types. You might need to add explicit type casts.
            ERROR 42883: operator does not exist: json = json
            HINT: No operator matches the given name and argument types. You might need to add explicit type casts.
            ERROR 42883: could not identify an equality operator for type json
            ERROR 42883: could not identify an equality operator for type json[]
            ERROR 42883: could not identify an equality operator for type json
            ERROR 42883: could not identify an equality operator for type json
            ERROR 42883: could not identify an equality operator for type json
            ERROR 42883: could not identify an ordering operator for type json
            HINT: Use an explicit ordering operator or modify the query.
            ERROR 42883: could not identify an ordering operator for type json[]
            HINT: Use an explicit ordering operator or modify the query.
            ERROR 42883: could not identify an equality operator for type json
            ERROR 42883: could not identify an equality operator for type json
            ERROR 42883: could not identify an equality operator for type json
            ERROR 42883: could not identify an equality operator for type json
            ERROR 42883: could not identify an equality operator for type json
            ERROR 42883: could not identify an ordering operator for type json
            HINT: Use an explicit ordering operator or modify the query.
            ERROR 42883: could not identify an equality operator for type json
            ERROR 42883: could not identify an ordering operator for type json
            HINT: Use an explicit ordering operator or modify the query.
            ERROR 42883: function min(json) does not exist
            HINT: No function matches the given name and argument types. You might need to add explicit type casts.
            ERROR 42883: operator does not exist: json || json
            HINT: No operator matches the given name and argument types. You might need to add explicit type casts.
            ERROR 42883: operator does not exist: json @> unknown
            HINT: No operator matches the given name and argument types. You might need to add explicit type casts.
            ERROR 42883: operator does not exist: json ~~ unknown
            HINT: No operator matches the given name and argument types. You might need to add explicit type casts.
            ERROR 42883: function length(json) does not exist
            HINT: No function matches the given name and argument types. You might need to add explicit type casts.
            ERROR 42704: data type json has no default operator class for access method "btree"
            HINT: You must specify an operator class for the index or define a default operator class for the data type.
            ERROR 42704: data type json has no default operator class for access method "btree"
            HINT: You must specify an operator class for the index or define a default operator class for the data type.
            ERROR 42704: data type json[] has no default operator class for access method "btree"
            HINT: You must specify an operator class for the index or define a default operator class for the data type.
            CREATE INDEX
            count | count
            0 | 0
        "#]],
    );
}

#[test]
fn parts_of_a_document() {
    check(
        r#"SELECT j -> 'a', j ->> 'a', j -> 'b', j #> '{b,x,1}', j #>> '{}', j #> '{b,x,-1}', j -> 'c', j ->> 'd'
           FROM (SELECT '{"a":1,"a":2, "b" : {"x": [1,  2]}, "c" : null, "d":"q\n"}'::json AS j) s;
         SELECT '[1, {"a" : 2}]'::json -> 1, '[1]'::json -> -1, '[1]'::json -> 5, '1'::json -> 0, '["a"]'::json ->> 0, 'null'::json #>> '{}';
         SELECT '{"a":"\u0000"}'::json -> 'a';
         SELECT '{"a":"\ud800"}'::json ->> 'a';
         SELECT json_typeof(' "\u0000"'), json_typeof('1e999999'), json_typeof('null'), json_typeof('true'), json_typeof('{}'), json_typeof('[]');
         SELECT json_array_length('[1,[2,3],{}]');
         SELECT json_array_length('{}');
         SELECT json_array_length('1');
         SELECT json_array_elements('[1 , {"a" : 2}, "x", null]');
         SELECT json_array_elements_text('[1 , {"a" : 2}, "x", null]');
         SELECT json_array_elements('{}');
         SELECT json_array_elements_text('1');
         SELECT json_object_keys('{"b":1,"a":2,"b":3}');
         SELECT json_object_keys('[1]');
         SELECT json_extract_path('{"a":{"b":[1 , 2]}}', 'a', 'b'), json_extract_path_text('{"a":{"b":[1 , 2]}}', 'a', 'b', '1'), json_extract_path('{"a":1}', NULL), jsonb_extract_path('{"a":{"b":[1 , 2]}}', 'a', 'b', '-1');
         SELECT json_strip_nulls('{"a" : null, "b": [1, null, {"c":null, "d" : "\u00e9\n"}], "b":1}'), json_strip_nulls(' 1.50');
         SELECT json_typeof('1'::jsonb)"#,
        expect![[r#"
            ?column? | ?column? | ?column? | ?column? | ?column? | ?column? | ?column? | ?column?
            2 | 2 | {"x": [1,  2]} | 2 | {"a":1,"a":2, "b" : {"x": [1,  2]}, "c" : null, "d":"q\n"} | 2 | null | q

            ?column? | ?column? | ?column? | ?column? | ?column? | ?column?
            {"a" : 2} | 1 | NULL | NULL | a | NULL
            ERROR 22P05: unsupported Unicode escape sequence
            DETAIL: \u0000 cannot be converted to text.
            ERROR 22P02: invalid input syntax for type json
            DETAIL: Unicode low surrogate must follow a high surrogate.
            json_typeof | json_typeof | json_typeof | json_typeof | json_typeof | json_typeof
            string | number | null | boolean | object | array
            json_array_length
            3
            ERROR 22023: cannot get array length of a non-array
            ERROR 22023: cannot get array length of a scalar
            json_array_elements
            1
            {"a" : 2}
            "x"
            null
            json_array_elements_text
            1
            {"a" : 2}
            x
            NULL
            ERROR 22023: cannot call json_array_elements on a non-array
            ERROR 22023: cannot call json_array_elements_text on a scalar
            json_object_keys
            b
            a
            b
            ERROR 22023: cannot call json_object_keys on an array
            json_extract_path | json_extract_path_text | json_extract_path | jsonb_extract_path
            [1 , 2] | 2 | NULL | 2
            json_strip_nulls | json_strip_nulls
            {"b":[1,null,{"d":"é\n"}],"b":1} | 1.50
            ERROR 42883: function json_typeof(jsonb) does not exist
            HINT: No function matches the given name and argument types. You might need to add explicit type casts.
        "#]],
    );
}

#[test]
fn documents_of_values() {
    check(
        r#"SELECT to_json(1), to_json('a'::text), to_json(1.50), to_json('nan'::float8), to_json(1e20::float8), to_json(true), to_json(null::int),
           to_json('{"a" : 1}'::json), to_json('{"a" : 1}'::jsonb), to_json(array[1,2]), to_json(array['a',null]), to_json(date '2020-01-01'),
           to_json(timestamptz '2020-01-01 00:00+02'), to_json(interval '1 day'), to_json('\x01'::bytea), to_json(array['{"a" : 1}']::json[]);
         SELECT json_build_object('a', 1, 'b', null, 'c', '{"x" : 1}'::json, 'a', 2), json_build_object(1.5, 1, true, 2), json_build_array(1, 'a', null, 1.50, array[1,2]);
         SELECT json_build_object('a');
         SELECT json_build_object(null, 1);
         SELECT json_build_object('{}'::json, 1);
         SELECT jsonb_build_object(array[1], 1);
         SELECT jsonb_build_object('a', '{"x" : 1, "x":2}'::json, true, 1), to_jsonb('{"a" : 1.0}'::json);
         CREATE TABLE t (id int, j json);
         INSERT INTO t VALUES (1, '{"a" : 1}'), (2, '[1, 2]');
         SELECT json_agg(id ORDER BY id), json_agg(j ORDER BY id DESC), json_object_agg(id, j ORDER BY id), jsonb_agg(j ORDER BY id) FROM t;
         SELECT json_agg(id), json_object_agg(id, j) FROM t WHERE false;
         SELECT json_object_agg(null, 1);
         SELECT pg_typeof(to_json(1)), pg_typeof(json_agg(1)), pg_typeof('1'::json -> 'a'), pg_typeof(json_build_array(1)), pg_typeof(json_object_agg(1, 2)), pg_typeof(array_agg(j)) FROM t;
         SELECT j || 'x', 'x' || j, concat(j), format('%s', j) FROM t WHERE id = 1;
         SELECT unnest(array_agg(j ORDER BY id)) FROM t"#,
        expect![[r#"
            to_json | to_json | to_json | to_json | to_json | to_json | to_json | to_json | to_json | to_json | to_json | to_json | to_json | to_json | to_json | to_json
            1 | "a" | 1.50 | "NaN" | 1e+20 | true | NULL | {"a" : 1} | {"a": 1} | [1,2] | ["a",null] | "2020-01-01" | "2019-12-31T22:00:00+00:00" | "1 day" | "\\x01" | [{"a" : 1}]
            json_build_object | json_build_object | json_build_array
            {"a" : 1, "b" : null, "c" : {"x" : 1}, "a" : 2} | {"1.5" : 1, "true" : 2} | [1, "a", null, 1.50, [1,2]]
            ERROR 22023: argument list must have even number of elements
            HINT: The arguments of json_build_object() must consist of alternating keys and values.
            ERROR 22023: argument 1 cannot be null
            HINT: Object keys should be text.
            ERROR 22023: key value must be scalar, not array, composite, or json
            ERROR 22023: key value must be scalar, not array, composite, or json
            jsonb_build_object | to_jsonb
            {"a": {"x": 2}, "true": 1} | {"a": 1.0}
            CREATE TABLE
            INSERT 0 2
            json_agg | json_agg | json_object_agg | jsonb_agg
            [1, 2] | [[1, 2], {"a" : 1}] | { "1" : {"a" : 1}, "2" : [1, 2] } | [{"a": 1}, [1, 2]]
            json_agg | json_object_agg
            NULL | NULL
            ERROR 22023: field name must not be null
            pg_typeof | pg_typeof | pg_typeof | pg_typeof | pg_typeof | pg_typeof
            json | json | json | json | json | json[]
            ?column? | ?column? | concat | format
            {"a" : 1}x | x{"a" : 1} | {"a" : 1} | {"a" : 1}
            unnest
            {"a" : 1}
            [1, 2]
        "#]],
    );
}
