-- What clients ask about a schema, and how they ask it.
CREATE TABLE parent (id serial PRIMARY KEY, name varchar(20) NOT NULL, code varchar(4), v numeric(10,2));
CREATE TABLE child (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, pid int REFERENCES parent (id), body text);
INSERT INTO parent (name, code, v) VALUES ('one', 'ab', 1.5), ('two', NULL, NULL);
INSERT INTO child (pid, body) VALUES (1, 'first');
-- Operator classes.
CREATE INDEX parent_like ON parent (name varchar_pattern_ops);
CREATE INDEX parent_plain ON parent (name text_ops, id int4_ops DESC);
CREATE INDEX parent_two ON parent (lower(name) text_pattern_ops, code varchar_ops NULLS FIRST);
CREATE INDEX parent_bad ON parent (id text_pattern_ops);
CREATE INDEX parent_bad ON parent (id nothing_ops);
SELECT indexdef FROM pg_indexes WHERE tablename = 'parent' ORDER BY indexname;
SELECT opcname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_opclass o ON o.oid = i.indclass[0] WHERE c.relname LIKE 'parent%' ORDER BY c.relname;
DROP INDEX parent_two;
ALTER TABLE parent ALTER COLUMN name TYPE varchar(40);
ALTER TABLE parent ALTER COLUMN name TYPE int USING 1;
SELECT name FROM parent WHERE name LIKE 'o%';
-- Vectors count from 0, and their text is not an array's.
SELECT c.relname, i.indkey, i.indkey[0], indkey[1], i.indkey::text, indoption::text, i.indclass[0] > 0 AS class FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid WHERE c.relname LIKE 'parent%' ORDER BY 1;
SELECT array_lower(indkey, 1), array_upper(indkey, 1), array_length(indkey, 1) FROM pg_index WHERE indexrelid = 'parent_plain'::regclass;
SELECT unnest(indkey) AS attnum, generate_subscripts(indkey, 1) AS place FROM pg_index WHERE indexrelid = 'parent_plain'::regclass;
SELECT a.attname FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey) WHERE i.indexrelid = 'parent_plain'::regclass ORDER BY a.attnum;
SELECT conkey[1], conkey FROM pg_constraint WHERE conname = 'child_pid_fkey';
-- Every table has system columns.
SELECT attnum, attname, atttypid::regtype, attnotnull FROM pg_attribute WHERE attrelid = 'child'::regclass AND attnum < 0 ORDER BY attnum;
SELECT count(*) FROM pg_attribute WHERE attrelid = 'parent_like'::regclass AND attnum < 0;
-- Beside a star, columns keep their names one level up.
SELECT body FROM (SELECT p.*, c.body FROM parent p LEFT JOIN child c ON c.pid = p.id) s ORDER BY id;
SELECT s.body, s.id FROM (SELECT c.body, p.* FROM parent p JOIN child c ON c.pid = p.id) s;
WITH s AS (SELECT p.*, c.body FROM parent p LEFT JOIN child c ON c.pid = p.id) SELECT body, name FROM s ORDER BY id;
SELECT * FROM (SELECT p.*, c.* FROM parent p JOIN child c ON c.pid = p.id) s;
SELECT * FROM (SELECT *, p.id FROM parent p) s ORDER BY name;
SELECT array_agg(body ORDER BY id) FROM (SELECT p.*, c.body FROM parent p LEFT JOIN child c ON c.pid = p.id) s;
-- Parameters of subqueries that are run for each row.
PREPARE named (text) AS SELECT id, (SELECT c.body || $1 FROM child c WHERE c.pid = p.id LIMIT 1) AS body FROM parent p ORDER BY id;
EXECUTE named ('!');
EXECUTE named ('?');
PREPARE either (int) AS SELECT id, CASE WHEN id = $1 THEN (SELECT json_build_object('id', $1, 'body', c.body) FROM child c WHERE c.pid = p.id AND c.pid = $1) END AS o FROM parent p ORDER BY id;
EXECUTE either (1);
PREPARE rows (int) AS SELECT p.id, x.n FROM parent p, LATERAL (SELECT p.id + $1 AS n LIMIT 1) x ORDER BY 1;
EXECUTE rows (10);
-- Types that Arrow does not tell apart print as what they are.
SELECT CASE WHEN true THEN 'child'::regclass END AS r, 'x'::name AS n;
SELECT r FROM (SELECT 'child'::regclass AS r UNION ALL SELECT 'parent'::regclass) u ORDER BY r;
SELECT typinput::text, typname::text || typoutput::varchar AS o FROM pg_type WHERE typname = 'int4';
-- Views.
CREATE VIEW v1 AS SELECT * FROM parent;
CREATE VIEW v2 AS SELECT p.*, c.body AS b, c.id AS "Child" FROM parent p JOIN child c ON c.pid = p.id LEFT JOIN child d ON d.id = c.id WHERE p.name = 'x' AND d.body IS NOT NULL;
CREATE VIEW v3 AS SELECT name, count(*), max(v) AS m FROM parent WHERE id > 0 GROUP BY name HAVING count(*) > 1 ORDER BY 2 DESC, name LIMIT 3;
CREATE VIEW v4 AS SELECT a.id FROM v1 a, child c WHERE a.id = c.pid OR c.body LIKE 'a%';
CREATE VIEW v5 AS SELECT 'x' AS x, 1 + 1 AS two;
SELECT pg_get_viewdef('v1'::regclass);
SELECT pg_get_viewdef('v2'::regclass);
SELECT pg_get_viewdef('v2'::regclass, true);
SELECT pg_get_viewdef('v3'::regclass);
SELECT pg_get_viewdef('v3'::regclass, true);
SELECT pg_get_viewdef('v4'::regclass), pg_get_viewdef('v4', true);
SELECT definition FROM pg_views WHERE viewname = 'v5';
ALTER TABLE parent RENAME COLUMN name TO label;
ALTER TABLE parent ADD COLUMN later int;
SELECT pg_get_viewdef('v1'::regclass);
SELECT view_definition FROM information_schema.views WHERE table_name = 'v2';
SELECT pg_get_viewdef('v3'::regclass);
-- Zones by their distance from UTC.
SET TIME ZONE INTERVAL '+00:00' HOUR TO MINUTE;
SELECT current_setting('timezone');
SET TIME ZONE INTERVAL '-03:30' HOUR TO MINUTE;
SELECT current_setting('timezone');
SELECT timestamptz '2020-01-01 00:00:00+00' AS t;
SET TIME ZONE INTERVAL '2' HOUR;
SELECT current_setting('timezone');
SET TIME ZONE INTERVAL '90' HOUR TO MINUTE;
SELECT current_setting('timezone');
SET TIME ZONE INTERVAL '1 month';
SET TIME ZONE INTERVAL '30 days';
SET TIME ZONE 3;
SELECT current_setting('timezone');
SELECT timestamptz '2020-01-01 00:00:00+00' AS t;
SET TIME ZONE -7.5;
SELECT timestamptz '2020-01-01 00:00:00+00' AS t, timestamptz '2020-01-01 00:00:00+00' AT TIME ZONE '+02' AS posix;
SET timezone = '<+05:30>-05:30';
SELECT timestamptz '2020-01-01 00:00:00+00' AS t;
SET TIME ZONE LOCAL;
-- What is there of settings and statistics.
SELECT current_setting('default_table_access_method');
SET default_tablespace = '';
SELECT relname, heap_blks_read IS NULL OR true AS known FROM pg_statio_user_tables ORDER BY 1;
SELECT count(*) FROM information_schema.triggers WHERE trigger_schema = 'public' AND event_object_table = 'v1';
SELECT count(*) FROM information_schema.domains WHERE domain_schema = 'public';
SELECT grantor, grantee, table_name, privilege_type, is_grantable, with_hierarchy FROM information_schema.role_table_grants WHERE table_schema = 'public' AND table_name IN ('child', 'v5') ORDER BY 3, 4;
CREATE TABLE arrays (a int[], b varchar(3)[], c text);
SELECT object_name, collection_type_identifier, data_type, udt_name, dtd_identifier FROM information_schema.element_types WHERE object_schema = 'public' ORDER BY 2;
-- Vectors and reg* types keep their ways in subqueries.
SELECT a.attname FROM (SELECT indrelid, indkey, generate_subscripts(indkey, 1) AS idx FROM pg_index WHERE indexrelid = 'parent_plain'::regclass) i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[i.idx] ORDER BY i.idx;
SELECT s.k[0], s.k::text FROM (SELECT i.*, i.indkey AS k FROM pg_index i WHERE i.indexrelid = 'parent_plain'::regclass) s;
SELECT indkey[0], s.indkey[1] FROM (SELECT * FROM pg_index) s WHERE indexrelid = 'parent_plain'::regclass;
SELECT r::text FROM (SELECT 'child'::regclass AS r) s;
SELECT (information_schema._pg_expandarray(i.indkey)).n AS n, (information_schema._pg_expandarray(i.indkey)).x FROM pg_index i WHERE i.indexrelid = 'parent_plain'::regclass;
-- The rows of tables and views have types.
SELECT c.relname, c.relkind, t.typname, t.typtype, t.typcategory, t.typrelid::regclass, e.typname AS of, e.typtype FROM pg_class c JOIN pg_type t ON t.oid = c.reltype LEFT JOIN pg_type e ON e.oid = t.typarray WHERE c.relname IN ('parent', 'v1') ORDER BY 1;
SELECT 'parent'::regtype, 'public.parent[]'::regtype, format_type('v1'::regtype, NULL), to_regtype('parent_pkey');
SELECT relname, reltype FROM pg_class WHERE relname IN ('parent_pkey', 'parent_id_seq') ORDER BY 1;
SELECT typname FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace WHERE nspname = 'public' AND typname IN ('child', '_child') AND pg_type_is_visible(t.oid) ORDER BY 1;
-- A relation's star by its bare name, and an alias that hides a column beside rows of a call.
SELECT parent.*, child.body FROM public.parent JOIN public.child ON child.pid = parent.id;
SELECT body FROM (SELECT parent.*, child.body FROM public.parent JOIN public.child ON child.pid = parent.id) s;
SELECT tables.* FROM information_schema.tables WHERE table_name = 'parent_plain';
SELECT n, def FROM (SELECT unnest(conkey) AS n, conname, CASE WHEN condeferred THEN 'deferred' ELSE 'now' END AS condeferred, condeferred AS def FROM pg_constraint WHERE conname = 'child_pid_fkey') c WHERE condeferred = 'now';
WITH c AS (SELECT unnest(conkey) AS n, upper(conname::text) AS conname FROM pg_constraint WHERE conname = 'child_pid_fkey') SELECT n, conname FROM c;
SELECT unnest(conkey) AS n, upper(conname::text) AS conname FROM pg_constraint WHERE conname = 'child_pid_fkey';

-- Arrays of names as text.
SELECT ARRAY['int4'::regtype, 'text'::regtype]::text;
SELECT ARRAY['int4'::regtype, 'text'::regtype];
SELECT ARRAY['pg_class'::regclass]::text;
SELECT '{int4,text}'::regtype[]::text;
PREPARE typed(int, text) AS SELECT $1, $2;
SELECT parameter_types, parameter_types::text FROM pg_prepared_statements WHERE name = 'typed';
-- What is said of built-in types.
SELECT oid, format_type(oid, NULL), obj_description(oid, 'pg_type') FROM pg_type WHERE oid IN (16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 114, 194, 325, 700, 701, 705, 869, 1033, 1042, 1043, 1082, 1083, 1114, 1184, 1186, 1700, 2202, 2203, 2204, 2205, 2206, 2249, 2275, 2276, 2277, 2278, 2279, 2281, 2283, 2950, 3220, 3500, 3802, 4072, 4089, 4096, 4191) ORDER BY oid;
SELECT objoid::regtype, objsubid, description FROM pg_description WHERE classoid = 'pg_type'::regclass AND objoid IN ('int4[]'::regtype, 'interval'::regtype, 'jsonpath'::regtype) ORDER BY objoid;
SELECT obj_description('int4'::regtype, 'pg_type'), obj_description('int4[]'::regtype, 'pg_type');
