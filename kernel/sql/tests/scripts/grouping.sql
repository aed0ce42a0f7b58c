-- Where a primary key is grouped by, the columns of its table need not be.
CREATE TABLE author (id int PRIMARY KEY, name text UNIQUE, born int);
CREATE TABLE book (id int PRIMARY KEY, author int REFERENCES author, title text, price int);
CREATE TABLE line (a int, b int, note text, PRIMARY KEY (a, b));
INSERT INTO author VALUES (1, 'Ann', 1970), (2, 'Bob', 1980), (3, 'Cy', NULL);
INSERT INTO book VALUES (1, 1, 'x', 10), (2, 1, 'y', 20), (3, 2, 'z', NULL);
INSERT INTO line VALUES (1, 1, 'p'), (1, 2, 'q'), (2, 1, 'r');
SELECT a.name AS name, count(b.id) AS n, sum(b.price) FROM author AS a LEFT OUTER JOIN book AS b ON a.id = b.author GROUP BY a.id ORDER BY 1;
SELECT *, count(*) FROM author GROUP BY id ORDER BY id;
SELECT upper(name) || born, max(price) FROM author JOIN book ON author.id = author GROUP BY author.id HAVING name <> 'Cy' ORDER BY born;
SELECT name FROM author GROUP BY id ORDER BY born DESC, name;
SELECT b.title, a.name, count(*) FROM book AS b JOIN author AS a ON a.id = b.author GROUP BY b.id, a.id ORDER BY 1;
SELECT b.title, count(*) FROM author AS a LEFT JOIN book AS b ON a.id = b.author GROUP BY b.id ORDER BY 1;
SELECT a, b, note, count(*) FROM line GROUP BY b, a ORDER BY a, b;
SELECT note FROM line GROUP BY a;
SELECT id, born FROM author GROUP BY name;
SELECT name, count(*) FROM author GROUP BY born;
SELECT a.name FROM author AS a JOIN book AS b ON a.id = b.author GROUP BY b.id;
-- differs: here also through a subquery, as the standard has it
SELECT s.name FROM (SELECT * FROM author) AS s GROUP BY s.id;
SELECT name FROM author GROUP BY GROUPING SETS ((id), ());
-- differs: a subquery with LIMIT for each group is not supported
SELECT (SELECT title FROM book WHERE book.author = author.id ORDER BY 1 LIMIT 1), name FROM author GROUP BY id ORDER BY id;
CREATE VIEW counted AS SELECT a.name, count(b.id) AS n FROM author AS a LEFT JOIN book AS b ON a.id = b.author GROUP BY a.id;
SELECT * FROM counted ORDER BY name;
SELECT name, row_number() OVER (ORDER BY count(*) DESC, name) FROM author JOIN book ON author.id = author GROUP BY author.id ORDER BY 1;
SELECT DISTINCT name FROM author GROUP BY id ORDER BY name;
-- In recursive queries.
WITH RECURSIVE r(i) AS (SELECT 1::bigint UNION ALL SELECT count(*) FROM r) SELECT * FROM r LIMIT 2;
WITH RECURSIVE r(i) AS (SELECT 1 UNION ALL SELECT max(x.i) + 1 FROM r AS x, (VALUES (1)) AS v(n) WHERE i < 3) SELECT * FROM r LIMIT 2;
WITH RECURSIVE r(i) AS (SELECT 1 UNION SELECT i + 1 FROM r WHERE i < 3 GROUP BY i) SELECT * FROM r ORDER BY i;
WITH RECURSIVE r(i) AS (SELECT 1 UNION ALL SELECT i + n::int FROM r, (SELECT count(*) AS n FROM generate_series(1, 2) AS g) AS c WHERE i < 5) SELECT * FROM r ORDER BY i;
-- Nothing stands after the two terms, where the rows end only by a LIMIT outside.
WITH RECURSIVE r(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM r WHERE i < 3 ORDER BY 1) SELECT * FROM r;
WITH RECURSIVE r(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM r WHERE i < 3 LIMIT 2) SELECT * FROM r;
WITH RECURSIVE r(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM r WHERE i < 3 FETCH FIRST 2 ROWS ONLY) SELECT * FROM r;
WITH RECURSIVE r(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM r WHERE i < 3 LIMIT 2 OFFSET 1) SELECT * FROM r;
WITH RECURSIVE r(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM r WHERE i < 3 FOR UPDATE) SELECT * FROM r;
WITH RECURSIVE r(i) AS (SELECT 1 UNION ALL SELECT 2 ORDER BY 1 DESC LIMIT 1) SELECT * FROM r;
WITH RECURSIVE r(i) AS (SELECT 1 UNION ALL (SELECT i + 1 FROM r WHERE i < 3)) SELECT * FROM r ORDER BY 1 LIMIT 2;

-- Expressions in grouping sets, sets of several of them, and sets inside sets.
CREATE TABLE reading (id int, n int);
INSERT INTO reading SELECT g, g % 3 FROM generate_series(1, 7) AS g;
SELECT (id) % 2 AS odd, count(*) FROM reading GROUP BY ROLLUP ((id) % 2) ORDER BY 1;
SELECT id % 2, n, count(*), grouping(id % 2, n) FROM reading GROUP BY CUBE ((id) % 2, (n)) ORDER BY 1, 2, 4;
SELECT id % 2 AS odd, n, sum(id) FROM reading GROUP BY ROLLUP (id % 2, n) HAVING sum(id) > 3 ORDER BY odd NULLS FIRST, n;
SELECT id % 2 + 1, sum(id % 2) FROM reading GROUP BY GROUPING SETS ((id) % 2, ()) ORDER BY 1;
SELECT id % 2, n, count(*) FROM reading GROUP BY ROLLUP ((id % 2, n)) ORDER BY 1, 2;
SELECT id % 2, n, id, count(*) FROM reading GROUP BY CUBE ((id % 2, n), id) ORDER BY 1, 2, 3;
SELECT id % 2, n, count(*) FROM reading GROUP BY GROUPING SETS (ROLLUP (id % 2, n), CUBE (n)) ORDER BY 1, 2;
SELECT id % 2, count(*) FROM reading GROUP BY ROLLUP (1) ORDER BY 1;
SELECT id % 2, count(*) FROM reading GROUP BY ROLLUP (3) ORDER BY 1;
SELECT id % 2 AS odd, count(*) FROM reading GROUP BY ROLLUP (odd) ORDER BY 1;
SELECT n, id % 2, count(*) FROM reading GROUP BY n, ROLLUP (id % 2) ORDER BY 1, 2;
SELECT upper('x' || n) AS u, count(*) FROM reading GROUP BY CUBE (upper('x' || n)) ORDER BY u;
SELECT n::numeric AS d, count(*) FROM reading GROUP BY ROLLUP (n::numeric) ORDER BY d;
SELECT id FROM reading GROUP BY ROLLUP (id % 2);
