-- Statements with WITH that write, and queries in WITH that do.
CREATE TABLE t (id int PRIMARY KEY, n int, s varchar(10) DEFAULT 'none');
CREATE TABLE archive (id int, n int, s varchar(10));
CREATE TABLE log (k serial, what text, id int);
INSERT INTO t VALUES (1, 10, 'one'), (2, 20, 'two'), (3, 30, 'three'), (4, 40, 'four');
-- Plain queries before what writes.
WITH big AS (SELECT id FROM t WHERE n > 20) UPDATE t SET n = n + 1 FROM big WHERE t.id = big.id;
WITH big AS (SELECT id FROM t WHERE n > 20) UPDATE t SET n = n + 1 WHERE id IN (SELECT id FROM big) RETURNING id, n;
WITH src (a, b) AS (SELECT 5, 50), more AS (SELECT a + 1 AS a, b FROM src) INSERT INTO t (id, n) SELECT * FROM src UNION ALL SELECT * FROM more;
WITH src AS (SELECT 7 AS a) INSERT INTO t (id, n) VALUES ((SELECT a FROM src), 70), (8, 80);
WITH gone AS (SELECT 7 AS id) DELETE FROM t USING gone WHERE t.id = gone.id;
WITH gone AS (SELECT 8 AS id) DELETE FROM t WHERE id = (SELECT id FROM gone) RETURNING t.id;
WITH RECURSIVE up (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM up WHERE i < 3) UPDATE t SET s = 'r' || i FROM up WHERE up.i = t.id;
WITH x AS (SELECT 9 AS id) INSERT INTO t (id) WITH x AS (SELECT 10 AS id) SELECT id FROM x RETURNING id;
WITH x AS (SELECT 9 AS id) INSERT INTO t (id) WITH y AS (SELECT 11 AS id) SELECT y.id FROM x, y WHERE x.id < y.id RETURNING id;
SELECT * FROM t ORDER BY id;
-- What was returned.
WITH d AS (DELETE FROM t WHERE id > 8 RETURNING *) INSERT INTO archive SELECT * FROM d;
SELECT * FROM archive ORDER BY id;
WITH i AS (INSERT INTO t (id, n) VALUES (20, 200), (21, 210) RETURNING id, n, s) SELECT * FROM i ORDER BY id;
WITH i AS (INSERT INTO t (id, n) VALUES (22, 220) RETURNING id AS new, n * 2 AS twice, 'x' AS lit, NULL AS nothing) SELECT *, pg_typeof(lit), pg_typeof(nothing), pg_typeof(twice) FROM i;
WITH u AS (UPDATE t SET n = n + 1 WHERE id >= 20 RETURNING id, n) SELECT count(*), sum(n) FROM u;
WITH u (a, b) AS (UPDATE t SET n = n + 1 WHERE id >= 20 RETURNING id, n) SELECT a, b FROM u ORDER BY a;
WITH u (a) AS (UPDATE t SET n = n + 1 WHERE id >= 20 RETURNING id, n) SELECT * FROM u ORDER BY a;
WITH u (a, b, c) AS (UPDATE t SET n = n + 1 WHERE id >= 20 RETURNING id, n) SELECT * FROM u ORDER BY a;
-- One snapshot.
WITH i AS (INSERT INTO t (id, n) VALUES (30, 300)) SELECT count(*) FROM t WHERE id = 30;
SELECT count(*) FROM t WHERE id = 30;
WITH d AS (DELETE FROM t WHERE id = 30 RETURNING id) SELECT (SELECT count(*) FROM t WHERE id = 30) AS seen, (SELECT count(*) FROM d) AS gone;
SELECT count(*) FROM t WHERE id = 30;
WITH u AS (UPDATE t SET n = -1 WHERE id = 1 RETURNING n) SELECT t.n AS old, u.n AS new FROM t, u WHERE t.id = 1;
-- Each of several, read or not.
WITH a AS (INSERT INTO log (what, id) VALUES ('a', 1)), b AS (UPDATE t SET n = 0 WHERE id = 1), c AS (DELETE FROM t WHERE id = 2) SELECT 'done' AS told;
SELECT what, id FROM log;
SELECT id, n FROM t WHERE id < 3 ORDER BY id;
WITH a AS (INSERT INTO t (id, n) VALUES (40, 1) RETURNING id), b AS (INSERT INTO t (id, n) SELECT id + 1, 2 FROM a RETURNING id), c AS (SELECT max(id) AS m FROM b) INSERT INTO log (what, id) SELECT 'c', m + b.id FROM c, b RETURNING what, id;
SELECT id, n FROM t WHERE id >= 40 ORDER BY id;
WITH a AS (UPDATE t SET n = 5 WHERE id = 40 RETURNING id) DELETE FROM t WHERE id = 41;
SELECT id, n FROM t WHERE id >= 40 ORDER BY id;
WITH a AS (DELETE FROM t WHERE id = 40 RETURNING n) UPDATE log SET id = a.n FROM a WHERE what = 'c';
SELECT what, id FROM log ORDER BY k;
-- A query that two parts read runs once.
CREATE SEQUENCE counter;
WITH q AS (SELECT nextval('counter') AS v), a AS (INSERT INTO log (what, id) SELECT 'q', v FROM q RETURNING id) SELECT (SELECT v FROM q), (SELECT id FROM a);
-- Only one part changes a row.
WITH a AS (UPDATE t SET n = 1000 WHERE id = 1 RETURNING id) UPDATE t SET n = 2000 FROM a WHERE t.id = a.id;
SELECT n FROM t WHERE id = 1;
WITH a AS (DELETE FROM t WHERE id = 1 RETURNING id) UPDATE t SET n = 2000 FROM a WHERE t.id = a.id RETURNING t.id;
SELECT count(*) FROM t WHERE id = 1;
WITH a AS (UPDATE t SET n = 1 WHERE id = 3) UPDATE t SET n = 2 WHERE id = 3;
SELECT n FROM t WHERE id = 3;
WITH a AS (UPDATE t SET n = 1 WHERE id = 3), b AS (UPDATE t SET n = 7 WHERE id = 3) SELECT 1;
SELECT n FROM t WHERE id = 3;
-- Constraints of what several parts write.
WITH a AS (INSERT INTO t (id) VALUES (50)) INSERT INTO t (id) VALUES (50);
SELECT count(*) FROM t WHERE id = 50;
CREATE TABLE parent (id int PRIMARY KEY);
CREATE TABLE child (id int, p int REFERENCES parent);
WITH p AS (INSERT INTO parent VALUES (1) RETURNING id) INSERT INTO child SELECT 10, id FROM p;
WITH c AS (INSERT INTO child VALUES (20, 2)) INSERT INTO parent VALUES (2);
WITH c AS (INSERT INTO child VALUES (30, 3)) INSERT INTO parent VALUES (4);
WITH p AS (DELETE FROM parent WHERE id = 1) DELETE FROM child WHERE p = 1;
WITH p AS (DELETE FROM parent WHERE id = 2) SELECT 1;
SELECT * FROM parent ORDER BY id;
SELECT * FROM child ORDER BY id;
-- ON CONFLICT.
WITH up AS (INSERT INTO t (id, n) VALUES (3, 33), (60, 600) ON CONFLICT (id) DO UPDATE SET n = excluded.n RETURNING id, n) SELECT * FROM up ORDER BY id;
WITH up AS (INSERT INTO t (id, n) VALUES (3, 0) ON CONFLICT DO NOTHING RETURNING id) SELECT count(*) FROM up;
WITH a AS (INSERT INTO t (id, n) VALUES (63, 1) RETURNING id) INSERT INTO t (id, n) SELECT id, 2 FROM a ON CONFLICT (id) DO UPDATE SET n = 3;
WITH a AS (UPDATE t SET n = 1 WHERE id = 3 RETURNING id) INSERT INTO t (id, n) SELECT id, 2 FROM a ON CONFLICT (id) DO UPDATE SET n = 3;
WITH a AS (INSERT INTO t (id, n) VALUES (3, 1) ON CONFLICT (id) DO UPDATE SET n = 4 RETURNING id) UPDATE t SET n = 5 FROM a WHERE t.id = a.id;
SELECT n FROM t WHERE id IN (3, 63);
-- With parameters.
PREPARE move (int, int) AS WITH d AS (DELETE FROM t WHERE id = $1 RETURNING *) INSERT INTO archive SELECT id, n + $2, s FROM d RETURNING n;
EXECUTE move (60, 1);
EXECUTE move (60, 1);
PREPARE guess AS WITH i AS (INSERT INTO t (id, s) VALUES ($1, $2) RETURNING id) SELECT id + $3 FROM i;
EXECUTE guess (61, 'sixty-one', 1000);
SELECT id, s FROM t WHERE id = 61;
EXECUTE guess (62, 'sixty-two', 2000);
-- In a block, and undone.
BEGIN;
WITH d AS (DELETE FROM t RETURNING id) SELECT count(*) > 3 FROM d;
SELECT count(*) FROM t;
ROLLBACK;
SELECT count(*) > 3 FROM t;
BEGIN READ ONLY;
WITH d AS (DELETE FROM t RETURNING id) SELECT count(*) FROM d;
ROLLBACK;
-- What is refused.
WITH d AS (DELETE FROM t) SELECT * FROM d;
SELECT * FROM (WITH d AS (DELETE FROM t RETURNING id) SELECT * FROM d) AS x;
INSERT INTO archive (id) WITH d AS (DELETE FROM t RETURNING id) SELECT * FROM d;
WITH o AS (WITH d AS (DELETE FROM t RETURNING id) SELECT * FROM d) SELECT * FROM o;
WITH o AS (WITH d AS (DELETE FROM t RETURNING id) INSERT INTO archive (id) SELECT * FROM d RETURNING id) SELECT * FROM o;
WITH o AS (WITH d AS (SELECT 70 AS id) INSERT INTO archive (id) SELECT * FROM d RETURNING id) SELECT * FROM o;
WITH RECURSIVE d AS (DELETE FROM t USING d WHERE t.id = d.id RETURNING t.id) SELECT * FROM d;
CREATE VIEW v AS WITH d AS (DELETE FROM t RETURNING id) SELECT * FROM d;
BEGIN;
DECLARE c CURSOR FOR WITH d AS (DELETE FROM t RETURNING id) SELECT * FROM d;
ROLLBACK;
WITH d AS (DELETE FROM t RETURNING id), d AS (SELECT 1) SELECT * FROM d;
WITH d AS (DELETE FROM nowhere RETURNING id) SELECT * FROM d;
WITH d AS (DELETE FROM t RETURNING nothing) SELECT * FROM d;
WITH d AS (SELECT 1) INSERT INTO d VALUES (1);
WITH d AS (DELETE FROM t WHERE id = 3 RETURNING id) SELECT 1 / 0;
SELECT count(*) FROM t WHERE id = 3;
-- Many rows.
CREATE TABLE many (id int PRIMARY KEY, v text);
CREATE TABLE moved (id int PRIMARY KEY, v text);
WITH i AS (INSERT INTO many SELECT i, 'v' || i FROM generate_series(1, 30000) AS g(i) RETURNING id) SELECT count(*), min(id), max(id) FROM i;
WITH d AS (DELETE FROM many WHERE id % 3 = 0 RETURNING *), i AS (INSERT INTO moved SELECT * FROM d RETURNING id) SELECT (SELECT count(*) FROM d), (SELECT count(*) FROM i), (SELECT count(*) FROM many);
SELECT (SELECT count(*) FROM many), (SELECT count(*) FROM moved), (SELECT v FROM moved WHERE id = 29997);
WITH d AS (DELETE FROM many RETURNING id, v) INSERT INTO moved SELECT * FROM d UNION ALL SELECT 3, 'again';
SELECT (SELECT count(*) FROM many), (SELECT count(*) FROM moved);
