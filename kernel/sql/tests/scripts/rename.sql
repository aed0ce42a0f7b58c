-- RENAME, and what is kept as text.
CREATE SCHEMA other;
CREATE TABLE t (a int CHECK (a > 0), b text DEFAULT 'x', CONSTRAINT ab CHECK (t.a < 100 OR b <> 'no'));
CREATE TABLE u (a int, c text);
INSERT INTO t VALUES (1, 'one'), (2, 'two');
INSERT INTO u VALUES (1, 'eins'), (3, 'drei');
CREATE VIEW every AS SELECT * FROM t;
CREATE VIEW part AS SELECT t.a, upper(b) AS big FROM t WHERE t.b <> 'x';
CREATE VIEW joined AS SELECT t.*, c FROM t JOIN u USING (a);
CREATE VIEW above AS SELECT a + 1 AS next FROM every;
CREATE VIEW twice AS WITH t AS (SELECT a FROM public.t AS x) SELECT t.a, y.b FROM t JOIN public.t y ON y.a = t.a;
-- A column more is none of the views'.
ALTER TABLE t ADD COLUMN d int DEFAULT 5;
ALTER TABLE t ADD COLUMN c text DEFAULT 'c of t';
SELECT * FROM every ORDER BY a;
SELECT * FROM joined ORDER BY a;
-- A column with another name.
ALTER TABLE t RENAME COLUMN b TO word;
ALTER TABLE t RENAME a TO "Number";
SELECT * FROM every ORDER BY a;
SELECT * FROM part ORDER BY a;
SELECT * FROM joined ORDER BY a;
SELECT * FROM above ORDER BY next;
SELECT * FROM twice ORDER BY a;
INSERT INTO t VALUES (0, 'none');
INSERT INTO t VALUES (100, 'no');
INSERT INTO t ("Number") VALUES (3);
SELECT * FROM t ORDER BY 1;
ALTER TABLE t RENAME nope TO x;
ALTER TABLE t RENAME word TO d;
ALTER TABLE t RENAME word TO word;
-- A table with another name.
ALTER TABLE t RENAME TO "New Table";
SELECT * FROM t;
SELECT * FROM every ORDER BY a;
SELECT * FROM part ORDER BY a;
SELECT * FROM joined ORDER BY a;
SELECT * FROM twice ORDER BY a;
INSERT INTO "New Table" VALUES (100, 'no');
ALTER TABLE u RENAME TO "New Table";
ALTER TABLE every RENAME TO all_of_it;
SELECT * FROM above ORDER BY next;
CREATE TABLE t (a int);
SELECT count(*) FROM all_of_it;
-- And once more.
ALTER TABLE "New Table" RENAME COLUMN "Number" TO n;
ALTER TABLE "New Table" RENAME TO third;
SELECT * FROM all_of_it ORDER BY a;
SELECT * FROM twice ORDER BY a;
-- differs: a view over views depends on what they read, too
DROP TABLE third;
-- Sequences in defaults.
CREATE SEQUENCE q;
CREATE TABLE s (id serial, n int DEFAULT nextval('q'), m int DEFAULT nextval('q') * 10);
INSERT INTO s DEFAULT VALUES;
ALTER SEQUENCE q RENAME TO "Other Q";
ALTER TABLE s_id_seq RENAME TO ids;
INSERT INTO s DEFAULT VALUES;
SELECT * FROM s ORDER BY id;
SELECT nextval('q');
-- In a transaction.
BEGIN;
ALTER TABLE s RENAME COLUMN n TO k;
ALTER TABLE s RENAME TO r;
SELECT k FROM r ORDER BY k;
ROLLBACK;
SELECT n FROM s ORDER BY n;
ALTER TABLE s ADD CONSTRAINT c1 CHECK (n > 0);
ALTER TABLE s RENAME CONSTRAINT c1 TO c2;
INSERT INTO s (n) VALUES (0);
ALTER TABLE s RENAME CONSTRAINT c1 TO c3;
