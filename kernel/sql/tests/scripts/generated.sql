-- GENERATED ALWAYS AS (expression) STORED.
CREATE TABLE t (id int PRIMARY KEY, a int, twice int GENERATED ALWAYS AS (a * 2) STORED, name text NOT NULL DEFAULT 'x', upper text GENERATED ALWAYS AS (upper(name)) STORED UNIQUE);
INSERT INTO t (id, a, name) VALUES (1, 10, 'one'), (2, NULL, 'two');
INSERT INTO t VALUES (3, 30, DEFAULT, 'three', DEFAULT);
INSERT INTO t VALUES (4, 40, 80, 'four');
INSERT INTO t (id, twice) VALUES (4, 80);
INSERT INTO t SELECT 4, 40, 80;
INSERT INTO t (id, a, name) SELECT 4, 40, 'four' RETURNING *;
INSERT INTO t (id, name) VALUES (5, 'ONE');
SELECT * FROM t ORDER BY id;
UPDATE t SET a = a + 1 WHERE id <> 3 RETURNING id, a, twice;
UPDATE t SET twice = 7;
UPDATE t SET twice = DEFAULT, a = 9 WHERE id = 3 RETURNING twice;
UPDATE t SET name = 'two' WHERE id = 1;
UPDATE t SET name = 'uno' WHERE upper = 'ONE' RETURNING upper;
SELECT id FROM t WHERE upper = 'UNO';
SELECT id FROM t WHERE upper = 'ONE';
INSERT INTO t (id, a, name) VALUES (1, 5, 'dos') ON CONFLICT (id) DO UPDATE SET a = excluded.a, name = excluded.name RETURNING *;
INSERT INTO t (id, a, name) VALUES (9, 5, 'dos') ON CONFLICT (upper) DO UPDATE SET a = 6 RETURNING *;
INSERT INTO t (id, a) VALUES (1, 5) ON CONFLICT (id) DO UPDATE SET twice = 5;
SELECT * FROM t ORDER BY id;
DELETE FROM t WHERE twice = 12 RETURNING id;
-- What the catalog says.
SELECT attname, attgenerated, atthasdef, pg_get_expr(adbin, adrelid) FROM pg_attribute LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum WHERE attrelid = 't'::regclass AND attnum > 0 ORDER BY attnum;
SELECT column_name, column_default, is_generated, generation_expression FROM information_schema.columns WHERE table_name = 't' ORDER BY ordinal_position;
-- What can be no expression, and no generated column.
CREATE TABLE bad (a int GENERATED ALWAYS AS (a + 1) STORED);
CREATE TABLE bad (a int, b int GENERATED ALWAYS AS (a) STORED, c int GENERATED ALWAYS AS (b) STORED);
CREATE TABLE bad (a int, c int GENERATED ALWAYS AS (b) STORED, b int GENERATED ALWAYS AS (a) STORED);
CREATE TABLE bad (a int, b float8 GENERATED ALWAYS AS (random()) STORED);
CREATE TABLE bad (a int, b timestamptz GENERATED ALWAYS AS (now()) STORED);
CREATE TABLE bad (a int, b int GENERATED ALWAYS AS (nothing) STORED);
CREATE TABLE bad (a int, b int GENERATED ALWAYS AS (a > 1) STORED);
CREATE TABLE bad (a int, b int DEFAULT 1 GENERATED ALWAYS AS (a) STORED);
CREATE TABLE bad (a int, b int GENERATED ALWAYS AS (a) STORED GENERATED ALWAYS AS IDENTITY);
CREATE TABLE bad (a int, b int GENERATED ALWAYS AS (a) STORED REFERENCES t ON DELETE SET NULL);
CREATE TABLE bad (a int, b int GENERATED ALWAYS AS (a) STORED REFERENCES t ON UPDATE CASCADE);
-- Constraints and references see the computed value.
CREATE TABLE held (a int, b int GENERATED ALWAYS AS (a + 1) STORED NOT NULL CHECK (b < 100) REFERENCES t);
INSERT INTO held VALUES (0);
INSERT INTO held VALUES (NULL);
INSERT INTO held VALUES (99);
INSERT INTO held VALUES (50);
UPDATE held SET a = 7;
SELECT * FROM held;
-- Later.
ALTER TABLE t ADD COLUMN joined text GENERATED ALWAYS AS (nothing || name) STORED;
ALTER TABLE t ADD COLUMN joined text GENERATED ALWAYS AS (name || coalesce(a::text, '')) STORED;
ALTER TABLE t ADD COLUMN wrong int GENERATED ALWAYS AS (twice) STORED;
SELECT id, joined FROM t ORDER BY id;
ALTER TABLE t ALTER COLUMN twice SET DEFAULT 1;
ALTER TABLE t ALTER COLUMN a TYPE bigint;
ALTER TABLE t RENAME COLUMN a TO "A b";
ALTER TABLE t RENAME TO renamed;
UPDATE renamed SET "A b" = 100 WHERE id = 1 RETURNING *;
SELECT pg_get_expr(adbin, adrelid) FROM pg_attrdef WHERE adrelid = 'renamed'::regclass AND adnum < 6 ORDER BY adnum;
-- differs: one of the two is named
ALTER TABLE renamed DROP COLUMN "A b";
ALTER TABLE renamed DROP COLUMN twice;
ALTER TABLE renamed DROP COLUMN "A b" CASCADE;
SELECT * FROM renamed ORDER BY id;
ALTER TABLE renamed ADD COLUMN n numeric(5, 1) GENERATED ALWAYS AS (id / 3.0) STORED;
SELECT id, n FROM renamed ORDER BY id;
CREATE INDEX ON renamed (n);
SELECT id FROM renamed WHERE n = 1.0;
COPY renamed (id, n) TO STDOUT;
COPY renamed (id, n) FROM STDIN;
CREATE TABLE copied AS SELECT * FROM renamed;
INSERT INTO copied (n) VALUES (5);
TRUNCATE renamed, held;
INSERT INTO renamed (id, name) SELECT i, 'n' || i FROM generate_series(1, 30000) AS g(i);
SELECT count(*), sum(n), max(upper) FROM renamed;
-- The name of the table in an expression.
CREATE TABLE g (a int, b int GENERATED ALWAYS AS (g.a * 2) STORED);
ALTER TABLE g RENAME TO g2;
INSERT INTO g2 (a) VALUES (1);
SELECT * FROM g2;
-- differs: the table is not named
CREATE TABLE twice (a int, b int GENERATED ALWAYS AS (a) STORED GENERATED ALWAYS AS (a + 1) STORED);
