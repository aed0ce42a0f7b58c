-- MERGE, and OVERRIDING of INSERT.
CREATE TABLE t (id int PRIMARY KEY, n int, s varchar(10) DEFAULT 'none');
CREATE TABLE src (id int, n int, s text);
INSERT INTO t VALUES (1, 10, 'one'), (2, 20, 'two'), (3, 30, 'three');
INSERT INTO src VALUES (2, 200, 'b'), (3, 300, 'c'), (4, 400, 'd'), (5, 500, 'e');
MERGE INTO t USING src ON t.id = src.id WHEN MATCHED THEN UPDATE SET n = src.n WHEN NOT MATCHED THEN INSERT (id, n) VALUES (src.id, src.n);
SELECT * FROM t ORDER BY id;
MERGE INTO t AS a USING (SELECT id, n + 1 AS m FROM src WHERE id < 10) AS b ON a.id = b.id WHEN MATCHED AND b.m > 400 THEN DELETE WHEN MATCHED AND a.n = 200 THEN DO NOTHING WHEN MATCHED THEN UPDATE SET n = a.n + b.m, s = 'upd';
SELECT * FROM t ORDER BY id;
MERGE INTO t USING src ON t.id = src.id WHEN NOT MATCHED AND src.id = 5 THEN DO NOTHING WHEN NOT MATCHED THEN INSERT VALUES (src.id, n, s);
SELECT * FROM t ORDER BY id;
MERGE INTO t USING src ON t.id = src.id WHEN MATCHED THEN DO NOTHING;
MERGE INTO t USING src ON false WHEN NOT MATCHED AND src.id > 4 THEN INSERT (id) VALUES (src.id + 100);
MERGE INTO t USING src ON t.id = src.id WHEN MATCHED AND NULL THEN DELETE;
MERGE INTO t USING src s ON t.id = s.id WHEN MATCHED THEN UPDATE SET (n, s) = (DEFAULT, DEFAULT);
SELECT * FROM t ORDER BY id;
-- Literals and what is assigned to them.
MERGE INTO t USING (VALUES (1, '11'), (6, '66')) AS v (id, n) ON t.id = v.id WHEN MATCHED THEN UPDATE SET n = '111', s = NULL WHEN NOT MATCHED THEN INSERT (id, n, s) VALUES (v.id, '66', DEFAULT);
SELECT * FROM t WHERE id IN (1, 6) ORDER BY id;
MERGE INTO t USING (VALUES (1)) AS v (id) ON t.id = v.id WHEN MATCHED THEN UPDATE SET s = 'longer than ten';
-- What an action writes is computed for its rows alone.
MERGE INTO t USING (VALUES (1, 0), (2, 5)) AS v (id, d) ON t.id = v.id WHEN MATCHED AND d = 0 THEN UPDATE SET n = 0 WHEN MATCHED THEN UPDATE SET n = 100 / d;
SELECT n FROM t WHERE id IN (1, 2) ORDER BY id;
CREATE SEQUENCE counter;
MERGE INTO t USING (VALUES (1), (71), (72)) AS v (id) ON t.id = v.id WHEN NOT MATCHED THEN INSERT (id, n) VALUES (v.id, nextval('counter'));
SELECT n FROM t WHERE id > 70 ORDER BY n;
SELECT nextval('counter');
-- Subqueries.
MERGE INTO t USING src ON t.id = src.id WHEN MATCHED AND src.n = (SELECT max(n) FROM src) THEN DELETE WHEN MATCHED AND EXISTS (SELECT 1 FROM src x WHERE x.id = t.id AND x.n = 200) THEN UPDATE SET n = (SELECT count(*) FROM src) WHEN NOT MATCHED THEN INSERT (id, n) VALUES (src.id, (SELECT min(n) FROM src));
SELECT * FROM t ORDER BY id;
-- A row may be changed once.
INSERT INTO src VALUES (2, 201, 'bb');
MERGE INTO t USING src ON t.id = src.id WHEN MATCHED THEN UPDATE SET n = src.n;
MERGE INTO t USING src ON t.id = src.id WHEN MATCHED THEN DELETE;
MERGE INTO t USING src ON t.id = src.id WHEN MATCHED AND src.n = 201 THEN UPDATE SET n = src.n WHEN MATCHED AND src.n = 200 THEN DO NOTHING;
MERGE INTO t USING (VALUES (90), (90)) AS v (id) ON t.id = v.id WHEN NOT MATCHED THEN INSERT (id) VALUES (v.id);
SELECT n FROM t WHERE id = 2;
-- The order of names: nothing matched, no target.
MERGE INTO t USING src ON t.id = src.id WHEN NOT MATCHED THEN INSERT (id) VALUES (t.id);
MERGE INTO t USING src ON t.id = src.id WHEN NOT MATCHED AND t.n > 0 THEN INSERT (id) VALUES (1);
MERGE INTO t USING (VALUES (1)) AS v (k) ON id = k WHEN NOT MATCHED THEN INSERT (id) VALUES (id);
MERGE INTO t USING (VALUES (1)) AS v (k) ON id = k WHEN MATCHED THEN UPDATE SET n = k + n;
MERGE INTO t USING src ON t.id = src.id WHEN MATCHED THEN UPDATE SET n = n;
-- Constraints.
CREATE TABLE parent (id int PRIMARY KEY, tag text UNIQUE, CHECK (id < 1000));
CREATE TABLE child (id int GENERATED ALWAYS AS IDENTITY, p int NOT NULL REFERENCES parent ON DELETE CASCADE, twice int GENERATED ALWAYS AS (p * 2) STORED);
MERGE INTO parent USING (VALUES (1, 'x'), (2, 'y')) AS v (id, tag) ON parent.id = v.id WHEN NOT MATCHED THEN INSERT VALUES (v.id, v.tag);
MERGE INTO child USING parent ON child.p = parent.id WHEN NOT MATCHED THEN INSERT (p) VALUES (parent.id);
SELECT p, twice FROM child ORDER BY p;
MERGE INTO child USING (VALUES (3)) AS v (p) ON child.p = v.p WHEN NOT MATCHED THEN INSERT (p) VALUES (v.p);
MERGE INTO child USING (VALUES (NULL::int)) AS v (p) ON false WHEN NOT MATCHED THEN INSERT (p) VALUES (v.p);
MERGE INTO parent USING (VALUES (2000)) AS v (id) ON parent.id = v.id WHEN NOT MATCHED THEN INSERT (id) VALUES (v.id);
MERGE INTO parent USING (VALUES (3, 'x')) AS v (id, tag) ON parent.id = v.id WHEN NOT MATCHED THEN INSERT VALUES (v.id, v.tag);
MERGE INTO parent USING (VALUES (1)) AS v (id) ON parent.id = v.id WHEN MATCHED THEN DELETE;
SELECT p, twice FROM child ORDER BY p;
MERGE INTO child USING parent ON child.p = parent.id WHEN MATCHED THEN UPDATE SET p = 2, twice = DEFAULT;
MERGE INTO child USING parent ON child.p = parent.id WHEN MATCHED THEN UPDATE SET twice = 1;
MERGE INTO child USING parent ON child.p = parent.id WHEN MATCHED THEN UPDATE SET id = 1;
MERGE INTO child USING parent ON false WHEN NOT MATCHED THEN INSERT (id, p) VALUES (100, parent.id);
MERGE INTO child USING parent ON false WHEN NOT MATCHED THEN INSERT (id, p) OVERRIDING SYSTEM VALUE VALUES (100, parent.id);
MERGE INTO child USING parent ON false WHEN NOT MATCHED THEN INSERT (id, p) OVERRIDING USER VALUE VALUES (200, parent.id);
MERGE INTO child USING parent ON false WHEN NOT MATCHED THEN INSERT (twice, p) VALUES (100, parent.id);
SELECT count(*), count(*) FILTER (WHERE id = 100), count(*) FILTER (WHERE id = 200) FROM child;
CREATE TABLE defaults (id int DEFAULT 7, s text DEFAULT 'd');
MERGE INTO defaults USING (VALUES (1), (2)) AS v (x) ON id = x WHEN NOT MATCHED THEN INSERT DEFAULT VALUES;
SELECT * FROM defaults;
-- WITH, parameters, blocks.
WITH w AS (SELECT 80 AS id) MERGE INTO t USING w ON t.id = w.id WHEN NOT MATCHED THEN INSERT (id, n) VALUES (w.id, 0);
WITH w AS (SELECT 80 AS id), x AS (SELECT 8000 AS n) MERGE INTO t USING w ON t.id = w.id WHEN MATCHED THEN UPDATE SET n = (SELECT n FROM x);
SELECT n FROM t WHERE id = 80;
WITH d AS (DELETE FROM t WHERE id = 80 RETURNING id, n) MERGE INTO defaults USING d ON false WHEN NOT MATCHED THEN INSERT (id) VALUES (d.n);
SELECT max(id) FROM defaults;
PREPARE up (int, int) AS MERGE INTO t USING (SELECT $1 AS id) AS v ON t.id = v.id WHEN MATCHED THEN UPDATE SET n = $2 WHEN NOT MATCHED THEN INSERT (id, n) VALUES (v.id, $2);
EXECUTE up (81, 1);
EXECUTE up (81, 2);
PREPARE guess AS MERGE INTO t USING src ON t.id = src.id AND src.id = $1 WHEN MATCHED THEN UPDATE SET s = $2;
EXECUTE guess (3, 'guessed');
SELECT id, n, s FROM t WHERE id IN (3, 81) ORDER BY id;
BEGIN;
MERGE INTO t USING src ON t.id = src.id WHEN MATCHED AND src.id = 3 THEN DELETE;
SELECT count(*) FROM t WHERE id = 3;
ROLLBACK;
SELECT count(*) FROM t WHERE id = 3;
BEGIN READ ONLY;
MERGE INTO t USING src ON t.id = src.id WHEN MATCHED THEN DELETE;
ROLLBACK;
-- What is refused.
MERGE INTO nowhere USING src ON true WHEN MATCHED THEN DELETE;
MERGE INTO t USING nowhere ON true WHEN MATCHED THEN DELETE;
MERGE INTO t USING src ON t.id = src.id WHEN MATCHED THEN DELETE WHEN MATCHED THEN DO NOTHING;
MERGE INTO t USING t ON t.id = t.id WHEN MATCHED THEN DELETE;
MERGE INTO t USING src ON t.id = src.id WHEN MATCHED THEN UPDATE SET nothing = 1;
MERGE INTO t USING src ON t.id = src.id WHEN MATCHED THEN UPDATE SET n = 1, n = 2;
MERGE INTO t USING src ON t.id = src.id WHEN NOT MATCHED THEN INSERT (id, n) VALUES (1);
MERGE INTO t USING src ON t.id = src.id WHEN NOT MATCHED THEN INSERT (id) VALUES (1, 2);
MERGE INTO t USING src ON t.id = src.id WHEN NOT MATCHED THEN INSERT (id, id) VALUES (1, 2);
MERGE INTO t USING src ON t.id = src.id AND src.id = 3 WHEN MATCHED THEN UPDATE SET n = true;
CREATE VIEW v AS SELECT * FROM t;
MERGE INTO v USING src ON v.id = src.id WHEN MATCHED THEN DELETE;
WITH m AS (MERGE INTO t USING src ON t.id = src.id WHEN MATCHED THEN DELETE) SELECT 1;
WITH RECURSIVE w AS (SELECT 80 AS id) MERGE INTO t USING w ON t.id = w.id WHEN MATCHED THEN DELETE;
-- Many rows.
CREATE TABLE big (id int PRIMARY KEY, n int);
INSERT INTO big SELECT i, 0 FROM generate_series(1, 20000) AS g(i);
MERGE INTO big USING (SELECT i AS id FROM generate_series(1, 40000) AS g(i)) AS s ON big.id = s.id WHEN MATCHED AND s.id % 2 = 0 THEN DELETE WHEN MATCHED THEN UPDATE SET n = s.id WHEN NOT MATCHED AND s.id % 2 = 0 THEN INSERT VALUES (s.id, -1);
SELECT count(*), sum(n), min(id), max(id) FROM big;
-- OVERRIDING.
CREATE TABLE always (id int GENERATED ALWAYS AS IDENTITY, s text);
CREATE TABLE usually (id int GENERATED BY DEFAULT AS IDENTITY, s text);
INSERT INTO always (id, s) VALUES (10, 'no');
INSERT INTO always (id, s) OVERRIDING SYSTEM VALUE VALUES (10, 'system');
INSERT INTO always OVERRIDING SYSTEM VALUE SELECT 11, 'system';
INSERT INTO always (s, id) OVERRIDING USER VALUE VALUES ('user', 12), ('user', (SELECT 13)) RETURNING *;
INSERT INTO always (s, id) OVERRIDING USER VALUE SELECT 'select', 14 RETURNING *;
INSERT INTO usually OVERRIDING USER VALUE VALUES (20, 'user') RETURNING *;
INSERT INTO usually OVERRIDING SYSTEM VALUE VALUES (21, 'system') RETURNING *;
INSERT INTO usually AS u (id, s) OVERRIDING USER VALUE VALUES (22, 'user') RETURNING u.id;
INSERT INTO usually VALUES (23, 'given') RETURNING *;
SELECT * FROM always ORDER BY id;
