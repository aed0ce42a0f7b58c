//! Catalog queries over a hand-made catalog: relations, functions and the shapes clients use.

#![allow(clippy::unwrap_used)]

pub(crate) mod fixture;
mod harness;

use expect_test::{Expect, ExpectFile, expect, expect_file};

use super::SystemContext;
use super::relations;
use harness::Harness;

fn check(sql: &str, expected: Expect) {
    expected.assert_eq(&Harness::new().answer(sql));
}

/// Files of statements that clients send, each with its answer:
///
/// ```text
/// # what the user did
/// SELECT …
/// ----
/// the answer, up to an empty line
/// ```
fn check_clients(file: &str, expected: ExpectFile) {
    let harness = Harness::new();
    let mut actual = String::new();
    for block in file.split("\n\n").filter(|b| b.starts_with('#')) {
        let (question, _) = block.split_once("\n----").unwrap();
        let (title, sql) = question.split_once('\n').unwrap();
        let answer = harness.answer(sql);
        actual.push_str(&format!("{title}\n{sql}\n----\n{answer}\n"));
    }
    expected.assert_eq(&actual);
}

/// What psql 15 sends for its backslash commands. The answers are PostgreSQL 15's for the same
/// schema, but for what a server says of itself (\\l, \\db, \\dA, \\dL) and the text of views.
#[test]
fn psql_is_answered() {
    check_clients(
        include_str!("clients/psql.txt"),
        expect_file!["clients/psql.txt"],
    );
}

/// What drivers send when they connect and when they meet a type.
#[test]
fn drivers_are_answered() {
    check_clients(
        include_str!("clients/drivers.txt"),
        expect_file!["clients/drivers.txt"],
    );
}

#[test]
fn every_relation_gives_rows_of_its_columns() {
    let session = fixture::Session::over(fixture::catalog());
    let ctx = SystemContext::new(&session);
    for relation in relations::all() {
        let batch = relation
            .scan(&ctx, None)
            .unwrap_or_else(|e| panic!("{relation:?}: {e}"));
        assert_eq!(batch.num_columns(), relation.columns.len(), "{relation:?}");
    }
}

#[test]
fn relations_of_a_user_and_of_the_system_stand_side_by_side() {
    check(
        "SELECT relkind, count(*) FROM pg_class
WHERE relnamespace = 'app'::regnamespace GROUP BY relkind ORDER BY relkind",
        expect![[r#"
            relkind|count
            "char"|bigint
            S|3
            i|4
            r|2
            v|1
        "#]],
    );
}

#[test]
fn a_name_cast_to_regclass_is_an_oid_that_prints_as_the_name() {
    check(
        "SELECT 'parent'::regclass AS a, 'app.parent'::regclass::oid AS b, 'pg_class'::regclass AS c,
'information_schema.tables'::regclass::text AS d, to_regclass('nothing') AS e",
        expect![[r#"
            a|b|c|d|e
            regclass|oid|regclass|text|regclass
            parent|16392|pg_class|information_schema.tables|
        "#]],
    );
}

#[test]
fn a_missing_relation_is_42p01() {
    check(
        "SELECT 'app.nothing'::regclass",
        expect![[r#"
            ERROR: relation "app.nothing" does not exist (SQLSTATE 42P01)
        "#]],
    );
}

#[test]
fn a_type_is_found_by_any_of_its_names() {
    check(
        "SELECT 'int'::regtype AS a, 'character varying(10)'::regtype AS b, 'int4[]'::regtype AS c,
'timestamptz'::regtype::text AS d, to_regtype('nothing') AS e, 'numeric'::regtype::oid AS f",
        expect![[r#"
            a|b|c|d|e|f
            regtype|regtype|regtype|text|regtype|oid
            integer|character varying|integer[]|timestamp with time zone||1700
        "#]],
    );
}

#[test]
fn format_type_reads_type_modifiers() {
    check(
        "SELECT format_type(1043, 14) AS a, format_type(1042, -1) AS b, format_type(1042, NULL) AS c,
format_type(1700, 655366) AS d, format_type(1114, 3) AS e, format_type(1015, 9) AS f, format_type(99999, NULL) AS g",
        expect![[r#"
            a|b|c|d|e|f|g
            text|text|text|text|text|text|text
            character varying(10)|bpchar|character|numeric(10,2)|timestamp(3) without time zone|character varying(5)[]|???
        "#]],
    );
}

#[test]
fn definitions_qualify_what_the_search_path_hides() {
    check(
        "SELECT pg_get_indexdef(indexrelid) AS whole, pg_get_indexdef(indexrelid, 0, true) AS pretty,
pg_get_indexdef(indexrelid, 1, true) AS first, pg_get_indexdef(indexrelid, 2, true) AS past
FROM pg_index WHERE indrelid = 'child'::regclass ORDER BY 1",
        expect![[r#"
            whole|pretty|first|past
            text|text|text|text
            CREATE INDEX child_body ON app.child USING btree (body)|CREATE INDEX child_body ON child USING btree (body)|body|
            CREATE UNIQUE INDEX child_pkey ON app.child USING btree (id)|CREATE UNIQUE INDEX child_pkey ON child USING btree (id)|id|
        "#]],
    );
}

#[test]
fn constraints_print_as_postgresql_prints_them() {
    check(
        "SELECT conname, contype, pg_get_constraintdef(oid) AS plain, pg_get_constraintdef(oid, true) AS pretty
FROM pg_constraint ORDER BY conname",
        expect![[r#"
            conname|contype|plain|pretty
            name|"char"|text|text
            child_pid_fkey|f|FOREIGN KEY (pid) REFERENCES parent(id) ON DELETE CASCADE|FOREIGN KEY (pid) REFERENCES parent(id) ON DELETE CASCADE
            child_pkey|p|PRIMARY KEY (id)|PRIMARY KEY (id)
            parent_name_key|u|UNIQUE (name)|UNIQUE (name)
            parent_pkey|p|PRIMARY KEY (id)|PRIMARY KEY (id)
            parent_v_check|c|CHECK ((v > (0)::numeric))|CHECK (v > 0::numeric)
        "#]],
    );
}

#[test]
fn defaults_print_with_their_types() {
    check(
        "SELECT a.attname, pg_get_expr(d.adbin, d.adrelid) AS expr
FROM pg_attrdef d JOIN pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum ORDER BY a.attnum",
        expect![[r#"
            attname|expr
            name|text
            id|nextval('parent_id_seq'::regclass)
            name|'x'::text
            ts|now()
        "#]],
    );
}

#[test]
fn a_serial_column_knows_its_sequence() {
    check(
        "SELECT pg_get_serial_sequence('app.parent', 'id') AS serial, pg_get_serial_sequence('child', 'id') AS identity,
pg_get_serial_sequence('child', 'body') AS none",
        expect![[r#"
            serial|identity|none
            text|text|text
            app.parent_id_seq|app.child_id_seq|
        "#]],
    );
}

#[test]
fn a_scalar_subquery_needs_no_aggregate() {
    check(
        "SELECT c.relname, (SELECT n.nspname FROM pg_namespace n WHERE n.oid = c.relnamespace) AS schema
FROM pg_class c WHERE c.relname IN ('parent', 'pg_am') ORDER BY 1",
        expect![[r#"
            relname|schema
            name|name
            parent|app
            pg_am|pg_catalog
        "#]],
    );
}

#[test]
fn a_scalar_subquery_of_two_rows_is_21000() {
    check(
        "SELECT c.relname, (SELECT a.attname FROM pg_attribute a WHERE a.attrelid = c.oid) AS one
FROM pg_class c WHERE c.relname = 'child'",
        expect![[r#"
            ERROR: more than one row returned by a subquery used as an expression (SQLSTATE 21000)
        "#]],
    );
}

#[test]
fn an_array_of_a_subquery_keeps_its_order() {
    check(
        "SELECT c.relname, ARRAY(SELECT a.attname FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 ORDER BY a.attnum DESC) AS names
FROM pg_class c WHERE c.relname IN ('child', 'child_body') ORDER BY 1",
        expect![[r#"
            relname|names
            name|name[]
            child|{body,pid,id}
            child_body|{body}
        "#]],
    );
}

#[test]
fn a_subquery_in_case_runs_for_its_rows_only() {
    check(
        "SELECT c.relname, CASE WHEN c.relkind = 'i' THEN
(SELECT a.attname FROM pg_attribute a WHERE a.attrelid = c.oid) END AS column_of_index
FROM pg_class c WHERE c.relname IN ('child', 'child_body') ORDER BY 1",
        expect![[r#"
            relname|column_of_index
            name|text
            child|
            child_body|body
        "#]],
    );
}

#[test]
fn operators_and_collations_of_pg_catalog_are_the_plain_ones() {
    check(
        "SELECT c.relname FROM pg_catalog.pg_class c
WHERE c.relname OPERATOR(pg_catalog.~) '^(par.*)$' COLLATE pg_catalog.default ORDER BY 1",
        expect![[r#"
            relname
            name
            parameters
            parent
            parent_id_seq
            parent_name_key
            parent_pkey
        "#]],
    );
}

#[test]
fn every_object_knows_its_catalog() {
    check(
        "SELECT c.tableoid, c.tableoid::oid AS n FROM pg_constraint c WHERE c.conname = 'child_pkey'",
        expect![[r#"
            tableoid|n
            oid|oid
            2606|2606
        "#]],
    );
}

#[test]
fn information_schema_shows_columns() {
    check(
        "SELECT column_name, ordinal_position, column_default, is_nullable, data_type, numeric_precision, numeric_scale,
udt_name, is_identity, identity_generation FROM information_schema.columns
WHERE table_schema = 'app' AND table_name IN ('parent', 'child') ORDER BY table_name, ordinal_position",
        expect![[r#"
            column_name|ordinal_position|column_default|is_nullable|data_type|numeric_precision|numeric_scale|udt_name|is_identity|identity_generation
            name|integer|character varying|character varying|character varying|integer|integer|name|character varying|character varying
            id|1||NO|bigint|64|0|int8|YES|ALWAYS
            pid|2||YES|integer|32|0|int4|NO|
            body|3||YES|text|||text|NO|
            id|1|nextval('parent_id_seq'::regclass)|NO|integer|32|0|int4|NO|
            name|2|'x'::text|NO|text|||text|NO|
            v|3||YES|numeric|10|2|numeric|NO|
            j|4||YES|jsonb|||jsonb|NO|
            ts|5|now()|YES|timestamp with time zone|||timestamptz|NO|
            arr|6||YES|ARRAY|||_int4|NO|
        "#]],
    );
}

#[test]
fn information_schema_shows_constraints() {
    check(
        "SELECT constraint_name, constraint_type, table_name FROM information_schema.table_constraints
WHERE table_schema = 'app' ORDER BY 1",
        expect![[r#"
            constraint_name|constraint_type|table_name
            name|character varying|name
            16385_16392_1_not_null|CHECK|parent
            16385_16392_2_not_null|CHECK|parent
            16385_16406_1_not_null|CHECK|child
            child_pid_fkey|FOREIGN KEY|child
            child_pkey|PRIMARY KEY|child
            parent_name_key|UNIQUE|parent
            parent_pkey|PRIMARY KEY|parent
            parent_v_check|CHECK|parent
        "#]],
    );
}

#[test]
fn foreign_keys_lead_to_the_key_they_reference() {
    check(
        "SELECT r.constraint_name, r.unique_constraint_name, r.delete_rule, k.column_name, u.table_name, u.column_name AS referenced
FROM information_schema.referential_constraints r
JOIN information_schema.key_column_usage k ON k.constraint_name = r.constraint_name
JOIN information_schema.constraint_column_usage u ON u.constraint_name = r.constraint_name",
        expect![[r#"
            constraint_name|unique_constraint_name|delete_rule|column_name|table_name|referenced
            name|name|character varying|name|name|name
            child_pid_fkey|parent_pkey|CASCADE|pid|parent|id
        "#]],
    );
}

#[test]
fn privileges_are_those_of_owners_and_superusers() {
    check(
        "SELECT has_table_privilege('parent', 'SELECT') AS mine, has_table_privilege('guest', 'parent', 'SELECT') AS guests,
has_table_privilege('guest', 'pg_class', 'SELECT') AS catalog, has_table_privilege('guest', 'pg_authid', 'SELECT') AS secrets,
has_schema_privilege('guest', 'app', 'USAGE') AS schema, has_schema_privilege('guest', 'public', 'USAGE') AS public",
        expect![[r#"
            mine|guests|catalog|secrets|schema|public
            boolean|boolean|boolean|boolean|boolean|boolean
            t|f|t|f|f|t
        "#]],
    );
}

#[test]
fn an_unknown_privilege_is_22023() {
    check(
        "SELECT has_table_privilege('parent', 'EAT')",
        expect![[r#"
            ERROR: unrecognized privilege type: "EAT" (SQLSTATE 22023)
        "#]],
    );
}

#[test]
fn a_session_tells_who_and_where_it_is() {
    check(
        "SELECT current_database() AS a, current_user AS b, current_schema AS c, current_schemas(true) AS d, pg_backend_pid() AS e",
        expect![[r#"
            a|b|c|d|e
            name|name|name|name[]|integer
            cat|helios|app|{pg_catalog,app,public}|42
        "#]],
    );
}

#[test]
fn dependencies_lead_from_sequences_to_columns() {
    check(
        "SELECT classid::regclass AS class, objid::regclass AS object, refobjid::regclass AS owner, refobjsubid, deptype
FROM pg_depend WHERE classid = 'pg_class'::regclass AND deptype IN ('a', 'i') AND refclassid = 'pg_class'::regclass ORDER BY objid, refobjsubid",
        expect![[r#"
            class|object|owner|refobjsubid|deptype
            regclass|regclass|regclass|integer|"char"
            pg_class|parent_id_seq|parent|1|a
            pg_class|child_id_seq|child|1|i
            pg_class|child_body|child|3|a
        "#]],
    );
}

#[test]
fn exists_and_in_are_values() {
    check(
        "SELECT c.relname, EXISTS (SELECT 1 FROM pg_index i WHERE i.indrelid = c.oid) AS indexed,
c.oid IN (SELECT i.indexrelid FROM pg_index i) AS is_index,
c.oid NOT IN (SELECT nullif(i.indexrelid, i.indexrelid) FROM pg_index i) AS unknown
FROM pg_class c WHERE c.relname IN ('child', 'child_body', 'sq') ORDER BY 1",
        expect![[r#"
            relname|indexed|is_index|unknown
            name|boolean|boolean|boolean
            child|t|f|
            child_body|f|t|
            sq|f|f|
        "#]],
    );
}

#[test]
fn a_subquery_may_read_columns_two_levels_up() {
    check(
        "SELECT n.nspname, (SELECT count(*) FROM pg_class c WHERE c.relnamespace = n.oid
AND EXISTS (SELECT 1 FROM pg_index i WHERE i.indrelid = c.oid AND n.nspname = 'app')) AS indexed_tables
FROM pg_namespace n WHERE n.nspname IN ('app', 'public') ORDER BY 1",
        expect![[r#"
            nspname|indexed_tables
            name|bigint
            app|2
            public|0
        "#]],
    );
}

#[test]
fn a_subquery_may_sort_and_limit() {
    check(
        "SELECT c.relname, (SELECT a.attname FROM pg_attribute a WHERE a.attrelid = c.oid ORDER BY a.attnum DESC LIMIT 1) AS last
FROM pg_class c WHERE c.relname IN ('child', 'parent') ORDER BY 1",
        expect![[r#"
            relname|last
            name|name
            child|body
            parent|arr
        "#]],
    );
}

#[test]
fn built_in_objects_have_postgresqls_comments() {
    check(
        "SELECT obj_description(oid, 'pg_namespace') AS d, (SELECT description FROM pg_description WHERE objoid = n.oid) AS e
FROM pg_namespace n WHERE nspname = 'public'",
        expect![[r#"
            d|e
            text|text
            standard public schema|standard public schema
        "#]],
    );
}

#[test]
fn a_function_in_from_may_read_columns_beside_it() {
    check(
        "SELECT c.relname, k.n FROM pg_class c, LATERAL (SELECT unnest(i.indkey) AS n FROM pg_index i WHERE i.indexrelid = c.oid) k
WHERE c.relname IN ('child', 'child_body') ORDER BY 1",
        expect![[r#"
            relname|n
            name|smallint
            child_body|3
        "#]],
    );
}

#[test]
fn a_lateral_left_join_keeps_rows_without_a_match() {
    check(
        "SELECT c.relname, a.attname, a.attnum FROM pg_class c LEFT JOIN LATERAL
(SELECT attname, attnum FROM pg_attribute WHERE attrelid = c.oid ORDER BY attnum DESC LIMIT 2) a ON true
WHERE c.relname IN ('child', 'pg_nothing', 'vw') ORDER BY 1, 3",
        expect![[r#"
            relname|attname|attnum
            name|name|smallint
            child|pid|2
            child|body|3
            vw|id|1
            vw|name|2
        "#]],
    );
}

#[test]
fn how_far_history_goes_back_is_told_with_the_reason() {
    check(
        "SELECT history_from, retention_seconds, held_by, oldest_snapshot, segments, bytes, compactions,
    bytes_read, bytes_written, versions_dropped FROM helios_retention",
        expect![[r#"
            history_from|retention_seconds|held_by|oldest_snapshot|segments|bytes|compactions|bytes_read|bytes_written|versions_dropped
            timestamp with time zone|bigint|text|timestamp with time zone|bigint|bigint|bigint|bigint|bigint|bigint
            1970-01-01 00:00:01+00|3600|snapshot|1970-01-01 00:00:02+00|3|4000|2|9000|3500|70
        "#]],
    );
}

#[test]
fn the_budget_of_background_work_is_told_by_share() {
    check(
        "SELECT share, cap_percent, round(used_percent::numeric, 1) AS used_percent, used_ms, over_ms, throttled_ms, waiting,
    in_debt, enforced FROM helios_background_cpu",
        expect![[r#"
            share|cap_percent|used_percent|used_ms|over_ms|throttled_ms|waiting|in_debt|enforced
            text|integer|numeric|bigint|bigint|bigint|integer|boolean|boolean
            total|15|10.0|15000|40|12|1|t|t
            storage|15|2.0|1000|40|2|0|t|t
            incremental_mv|10|2.0|2000|0|2|1|f|t
            adaptive_indexing|2|2.0|3000|0|2|0|f|t
            deduplication|3|2.0|4000|0|2|0|f|t
            other|15|2.0|5000|0|2|0|f|t
        "#]],
    );
}

#[test]
fn the_budget_of_memory_is_told_by_part() {
    check(
        "SELECT part, bytes, peak_bytes, limit_bytes, refused FROM helios_memory",
        expect![[r#"
            part|bytes|peak_bytes|limit_bytes|refused
            text|bigint|bigint|bigint|bigint
            total|600|1000|1048576|1
            memtables|600|1000|262144|0
            transactions|0|0|131072|0
            log|0|0||0
            files|0|0||0
            work|0|0||0
            scans|0|0||0
            queries|0|0|524288|1
            plugins|0|0|262144|0
            page_cache|0|0|966056|0
        "#]],
    );
}

#[test]
fn what_columns_are_stored_as_is_told_by_name() {
    check(
        "SELECT schemaname, tablename, attname, attnum, codec, pages, raw_bytes, stored_bytes, ratio, bits_per_value, reason
FROM helios_compression_stats ORDER BY attnum",
        expect![[r#"
            schemaname|tablename|attname|attnum|codec|pages|raw_bytes|stored_bytes|ratio|bits_per_value|reason
            name|name|name|smallint|text|bigint|bigint|bigint|double precision|double precision|text
            app|parent|id|1|none|3|3000|3000|1|80|nothing saves an eighth
            app|parent|name|2|rle|3|3000|30|100|0.8|99 % shorter than zstd
        "#]],
    );
}
