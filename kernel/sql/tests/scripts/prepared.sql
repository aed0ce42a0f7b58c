-- What is shown of prepared statements.

CREATE TABLE prepared_of (id int PRIMARY KEY, name varchar(10), at timestamptz);
PREPARE one AS SELECT 1;
PREPARE three (int, text) AS SELECT * FROM prepared_of WHERE id = $1 AND name = $2 AND at > $3;
PREPARE "Upper" (bigint[]) AS INSERT INTO prepared_of SELECT unnest($1)::int;
SELECT name, parameter_types, from_sql FROM pg_prepared_statements ORDER BY name COLLATE "C";
-- differs: the text ends before the semicolon
SELECT name, statement FROM pg_prepared_statements ORDER BY name COLLATE "C";
SELECT name, rtrim(statement, ';') FROM pg_prepared_statements ORDER BY name COLLATE "C";
SELECT count(*) FROM pg_prepared_statements WHERE prepare_time BETWEEN now() - interval '1 minute' AND now();
EXECUTE "Upper"('{1,2}');
EXECUTE one;
EXECUTE one;
EXECUTE three(1, 'x', now());
SELECT name, generic_plans + custom_plans AS plans FROM pg_prepared_statements ORDER BY name COLLATE "C";
-- differs: plans are for any values
SELECT name, generic_plans FROM pg_prepared_statements WHERE name = 'three';
DEALLOCATE one;
DEALLOCATE one;
SELECT name FROM pg_prepared_statements ORDER BY name COLLATE "C";
BEGIN;
PREPARE kept AS SELECT 1;
ROLLBACK;
SELECT name FROM pg_prepared_statements ORDER BY name COLLATE "C";
DEALLOCATE ALL;
SELECT count(*) FROM pg_prepared_statements;
PREPARE again AS SELECT 1;
DISCARD ALL;
SELECT count(*) FROM pg_prepared_statements;
