-- Functions and procedures in LANGUAGE sql.
CREATE FUNCTION one() RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION one() RETURNS int LANGUAGE sql AS 'SELECT 2';
SELECT one();
SELECT one() + one(), one() AS x;
CREATE OR REPLACE FUNCTION one() RETURNS int LANGUAGE sql AS 'SELECT 1 + 0';
CREATE OR REPLACE FUNCTION one() RETURNS text LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION add(a int, b int) RETURNS int LANGUAGE sql IMMUTABLE AS $$ SELECT a + b $$;
CREATE FUNCTION add_numbers(int, int) RETURNS int LANGUAGE sql IMMUTABLE STRICT AS 'SELECT $1 + $2';
SELECT add(1, 2), add(NULL, 2), add_numbers(1, 2), add_numbers(NULL, 2);
SELECT add(1);
SELECT add('a', 1);
SELECT add('7', 1);
SELECT add(1.5, 1);
SELECT add(a, a * 2) FROM generate_series(1, 3) AS g (a);
SELECT public.add(1, 2);
SELECT nowhere.add(1, 2);
SELECT nothing(1, 2);
CREATE FUNCTION add(a text, b text) RETURNS text LANGUAGE sql AS $$ SELECT a || '+' || b $$;
SELECT add('a', 'b'), add(1, 2), add('a'::text, 'b');
CREATE FUNCTION quoted("Big" int) RETURNS int LANGUAGE sql AS 'SELECT "Big" * 2';
SELECT quoted(4);
CREATE FUNCTION bad() RETURNS int AS 'SELECT 1';
CREATE FUNCTION bad() RETURNS int LANGUAGE sql;
CREATE FUNCTION bad() LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION bad() RETURNS nothing LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION bad() RETURNS int LANGUAGE nothing AS 'SELECT 1';
CREATE FUNCTION bad() RETURNS int LANGUAGE sql AS 'SELECT ''a''::text';
CREATE FUNCTION bad() RETURNS int LANGUAGE sql AS 'SELECT 1, 2';
CREATE FUNCTION bad(a int) RETURNS int LANGUAGE sql AS 'SELECT $2';
CREATE FUNCTION bad(a int) RETURNS int LANGUAGE sql AS 'SELECT x FROM nowhere';
CREATE FUNCTION bad(a int, a int) RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION bad(a int DEFAULT 1, b int) RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION bad() RETURNS int LANGUAGE sql LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION bad() RETURNS int LANGUAGE sql COST 0 AS 'SELECT 1';
CREATE FUNCTION bad() RETURNS int LANGUAGE sql ROWS 10 AS 'SELECT 1';
CREATE FUNCTION bad() RETURNS anyelement LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION bad(VARIADIC a int) RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION bad(VARIADIC a int[], b int) RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION bad(a int, OUT b int) RETURNS text LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION nothing_more() RETURNS void LANGUAGE sql AS 'SELECT 1';
SELECT nothing_more();
SELECT nothing_more() IS NULL;

-- Over tables.
CREATE TABLE item (id int PRIMARY KEY, name text, price numeric(8, 2), kind text);
INSERT INTO item VALUES (1, 'pen', 1.50, 'small'), (2, 'desk', 120, 'large'), (3, 'cup', 4.25, 'small');
CREATE FUNCTION price_of(item_id int) RETURNS numeric LANGUAGE sql STABLE AS 'SELECT price FROM item WHERE id = item_id';
SELECT price_of(1), price_of(2), price_of(9);
SELECT id, price_of(id) FROM item ORDER BY id;
SELECT name FROM item WHERE price_of(id) > 4 ORDER BY 1;
CREATE FUNCTION same_name(id int) RETURNS text LANGUAGE sql STABLE AS 'SELECT name FROM item WHERE item.id = same_name.id';
SELECT same_name(2), same_name(3);
CREATE FUNCTION column_first(id int) RETURNS bigint LANGUAGE sql STABLE AS 'SELECT count(*) FROM item WHERE id = id';
SELECT column_first(1);
CREATE FUNCTION first_name() RETURNS text LANGUAGE sql STABLE AS 'SELECT name FROM item ORDER BY name';
SELECT first_name();
CREATE FUNCTION two_steps(n int) RETURNS int LANGUAGE sql AS 'SELECT 1; SELECT n * 10;';
SELECT two_steps(3);
CREATE FUNCTION total(k text DEFAULT 'small', factor numeric DEFAULT 1) RETURNS numeric LANGUAGE sql STABLE AS 'SELECT sum(price) * factor FROM item WHERE kind = k';
SELECT total(), total('large'), total('small', 2), total(factor => 3), total(k => 'large', factor => 2);
SELECT total(nothing => 1);
SELECT total('small', factor => 10), total(k := 'small');
SELECT total(k => 'small', 2);
CREATE FUNCTION with_local(n int) RETURNS int LANGUAGE sql AS 'WITH x AS (SELECT n AS m) SELECT m + n FROM x';
SELECT with_local(5);

-- Rows.
CREATE FUNCTION numbers(n int) RETURNS SETOF int LANGUAGE sql AS 'SELECT * FROM generate_series(1, n)';
SELECT * FROM numbers(3);
SELECT numbers(2);
SELECT n * 2 FROM numbers(2) AS n;
SELECT x FROM numbers(2) AS t (x);
SELECT count(*) FROM numbers(100);
SELECT * FROM numbers(0);
SELECT g, n FROM generate_series(1, 2) AS g, numbers(g) AS n;
SELECT g, n FROM generate_series(0, 1) AS g LEFT JOIN LATERAL numbers(g) AS n ON true;
CREATE FUNCTION cheap(most numeric) RETURNS TABLE (item_name text, item_price numeric) LANGUAGE sql STABLE AS 'SELECT name, price FROM item WHERE price <= most ORDER BY price';
SELECT * FROM cheap(10);
SELECT item_name FROM cheap(200) WHERE item_price > 2;
SELECT c.item_price, c.item_name FROM cheap(5) AS c;
SELECT a, b FROM cheap(5) AS t (a, b);
SELECT * FROM cheap(5) AS t (a, b, c);
CREATE FUNCTION all_items() RETURNS SETOF item LANGUAGE sql STABLE AS 'SELECT * FROM item ORDER BY id';
SELECT * FROM all_items();
SELECT id, name FROM all_items() WHERE id > 1;
CREATE FUNCTION one_item(n int) RETURNS item LANGUAGE sql STABLE AS 'SELECT * FROM item WHERE id = n';
SELECT * FROM one_item(2);
SELECT * FROM one_item(9);
CREATE FUNCTION min_max(OUT lowest numeric, OUT most numeric) LANGUAGE sql STABLE AS 'SELECT min(price), max(price) FROM item';
SELECT * FROM min_max();
SELECT most FROM min_max();
CREATE FUNCTION double_it(INOUT n int) LANGUAGE sql AS 'SELECT n * 2';
SELECT double_it(4), double_it(double_it(1));
SELECT * FROM double_it(4);
CREATE FUNCTION one_column() RETURNS TABLE (v int) LANGUAGE sql AS 'VALUES (1), (2)';
SELECT * FROM one_column();
SELECT one_column();
SELECT v + 1 FROM one_column();
CREATE FUNCTION wrong_columns() RETURNS TABLE (a int, b int) LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION wrong_columns() RETURNS TABLE (a int, b int) LANGUAGE sql AS 'SELECT 1, 2, 3';
CREATE FUNCTION wrong_columns() RETURNS TABLE (a int, b int) LANGUAGE sql AS 'SELECT 1, ''x''::text';
CREATE FUNCTION strict_rows(n int) RETURNS SETOF int LANGUAGE sql STRICT AS 'SELECT n';
SELECT * FROM strict_rows(NULL);
SELECT * FROM strict_rows(1);

-- Types of the arguments.
CREATE FUNCTION same(anyelement) RETURNS anyelement LANGUAGE sql AS 'SELECT $1';
SELECT same(1), same('a'::text), same(1.5), same(ARRAY[1, 2]), same(true);
CREATE FUNCTION first_of(anyarray) RETURNS anyelement LANGUAGE sql IMMUTABLE AS 'SELECT $1[1]';
SELECT first_of(ARRAY[5, 6]), first_of(ARRAY['x', 'y']);
CREATE FUNCTION pair(anyelement, anyelement) RETURNS anyarray LANGUAGE sql AS 'SELECT ARRAY[$1, $2]';
SELECT pair(1, 2), pair('a'::text, 'b');
SELECT pair(1, 'a'::text);
CREATE FUNCTION sum_all(VARIADIC list int[]) RETURNS bigint LANGUAGE sql AS 'SELECT sum(x) FROM unnest(list) AS x';
SELECT sum_all(1), sum_all(1, 2, 3);
CREATE FUNCTION up(varchar) RETURNS varchar LANGUAGE sql AS 'SELECT upper($1)';
SELECT up('abc');
CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
CREATE FUNCTION better(m mood) RETURNS mood LANGUAGE sql AS $$ SELECT CASE m WHEN 'sad' THEN 'ok'::mood ELSE 'happy' END $$;
SELECT better('sad'), better('ok');
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE FUNCTION of_domain(p positive) RETURNS positive LANGUAGE sql AS 'SELECT p - 5';
SELECT of_domain(6);
SELECT of_domain(5);
SELECT of_domain(-1);
DROP TYPE mood;
DROP TYPE mood CASCADE;
SELECT better('sad');

-- That write.
CREATE TABLE log (id serial, what text, at int DEFAULT 0);
CREATE FUNCTION note(what text) RETURNS int LANGUAGE sql AS 'INSERT INTO log (what) VALUES (note.what) RETURNING id';
SELECT note('a');
SELECT note('b'), note('c');
SELECT id, what FROM log ORDER BY id;
SELECT note(x) FROM (VALUES ('d'), ('e')) v (x);
CREATE FUNCTION clear(lowest int) RETURNS SETOF text LANGUAGE sql AS 'DELETE FROM log WHERE id >= lowest RETURNING what';
SELECT * FROM clear(4) ORDER BY 1;
SELECT id, what FROM log ORDER BY id;
CREATE FUNCTION bump() RETURNS void LANGUAGE sql AS 'UPDATE log SET at = at + 1; UPDATE log SET at = at * 2';
SELECT bump();
SELECT id, at FROM log ORDER BY id;
CREATE FUNCTION note_and_count(what text) RETURNS bigint LANGUAGE sql AS 'INSERT INTO log (what) VALUES ($1); SELECT count(*) FROM log';
SELECT note_and_count('f'), note_and_count('g');
BEGIN;
SELECT note_and_count('h');
ROLLBACK;
SELECT count(*) FROM log;
CREATE FUNCTION fails() RETURNS int LANGUAGE sql AS 'INSERT INTO log (what) VALUES (''lost''); SELECT 1 / 0';
SELECT fails();
SELECT count(*) FROM log WHERE what = 'lost';
CREATE FUNCTION stable_write() RETURNS int LANGUAGE sql STABLE AS 'INSERT INTO log (what) VALUES (''x'') RETURNING id';
-- differs: what writes is not named
SELECT stable_write();
CREATE FUNCTION outer_note(what text) RETURNS int LANGUAGE sql AS 'SELECT note($1) * 100';
SELECT outer_note('i') >= 100;
CREATE SEQUENCE counter;
CREATE FUNCTION next_one() RETURNS bigint LANGUAGE sql AS $$ SELECT nextval('counter') $$;
SELECT next_one(), next_one();
SELECT next_one() FROM generate_series(1, 3);
-- differs: it is refused when it is made
CREATE FUNCTION no_commit() RETURNS void LANGUAGE sql AS 'COMMIT';
START TRANSACTION READ ONLY;
SELECT note('x');
ROLLBACK;

-- Recursion, and one in another.
CREATE FUNCTION factorial(n int) RETURNS numeric LANGUAGE sql IMMUTABLE AS 'SELECT CASE WHEN n <= 1 THEN 1::numeric ELSE n * factorial(n - 1) END';
SET check_function_bodies = off;
CREATE FUNCTION factorial(n int) RETURNS numeric LANGUAGE sql IMMUTABLE AS 'SELECT CASE WHEN n <= 1 THEN 1::numeric ELSE n * factorial(n - 1) END';
RESET check_function_bodies;
SELECT factorial(10);
CREATE FUNCTION quad(n int) RETURNS int LANGUAGE sql AS 'SELECT add(add(n, n), add(n, n))';
SELECT quad(3), quad(quad(1));

-- In other places.
CREATE VIEW priced AS SELECT id, price_of(id) AS p, add(id, 100) AS more FROM item;
SELECT * FROM priced ORDER BY id;
CREATE TABLE uses (a int DEFAULT add(1, 1) CHECK (add(a, 0) > 0), b int);
-- differs: what a generated column is made of is built in
CREATE TABLE generated (a int, b int GENERATED ALWAYS AS (add_numbers(a, 10)) STORED);
-- differs: so it is with the key of an index
CREATE INDEX uses_sum ON uses (add(a, 5));
INSERT INTO uses DEFAULT VALUES;
INSERT INTO uses VALUES (5);
INSERT INTO uses VALUES (-5);
SELECT * FROM uses ORDER BY a;
SELECT a FROM uses WHERE add(a, 5) = 10;
UPDATE uses SET a = add(a, 1) WHERE add_numbers(a, 0) = 5;
DELETE FROM uses WHERE a = add(1, 1) RETURNING add(a, 40);
SELECT * FROM uses ORDER BY a;
-- differs: there is an index on it
DROP FUNCTION add(int, int);
ALTER FUNCTION add(int, int) RENAME TO plus;
SELECT * FROM priced ORDER BY id;
INSERT INTO uses DEFAULT VALUES;
SELECT * FROM uses ORDER BY a;
ALTER FUNCTION plus(int, int) RENAME TO add;
PREPARE p (int) AS SELECT add($1, one());
EXECUTE p(4);
DEALLOCATE p;
SELECT kind, add(count(*)::int, 1) FROM item GROUP BY kind ORDER BY add(count(*)::int, 1);
SELECT * FROM item ORDER BY price_of(id) DESC LIMIT 1;

-- Names, schemas, and what becomes of them.
CREATE SCHEMA other;
CREATE FUNCTION other.one() RETURNS int LANGUAGE sql AS 'SELECT 11';
SELECT one(), other.one();
SET search_path = other, public;
SELECT one(), public.one();
RESET search_path;
CREATE FUNCTION lower(n int) RETURNS int LANGUAGE sql AS 'SELECT n - 1';
SELECT lower(5), lower('ABC');
ALTER FUNCTION one() SET SCHEMA other;
ALTER FUNCTION other.one() RENAME TO eleven;
ALTER FUNCTION one() SET SCHEMA other;
SELECT other.one(), other.eleven();
DROP FUNCTION one();
DROP FUNCTION IF EXISTS one();
DROP FUNCTION IF EXISTS one(text);
DROP FUNCTION add;
DROP FUNCTION nothing;
DROP FUNCTION other.eleven;
DROP PROCEDURE quad(int);
DROP FUNCTION quad(int), two_steps(int);
SELECT quad(1);
-- differs: a function's schema is not told
DROP SCHEMA other;
-- differs: a function's schema is not told
DROP SCHEMA other CASCADE;
-- differs: rows of a table are not told from the table
DROP TABLE item;
DROP FUNCTION price_of(int);
DROP FUNCTION price_of(int) CASCADE;
SELECT * FROM priced;

-- What it says of itself.
ALTER FUNCTION add(int, int) STABLE STRICT COST 5;
ALTER FUNCTION numbers(int) ROWS 7 SET search_path TO public, pg_temp;
ALTER FUNCTION add(int, int) ROWS 7;
SELECT proname, provolatile, proisstrict, procost, prorows, proretset, prosecdef, pronargs, pronargdefaults, prokind, prosrc, proconfig FROM pg_proc WHERE proname IN ('add', 'numbers', 'total', 'cheap') ORDER BY proname, pronargs, prosrc;
SELECT p.oid::regproc, pg_get_function_arguments(p.oid), pg_get_function_identity_arguments(p.oid), pg_get_function_result(p.oid) FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname = 'public' AND proname IN ('total', 'cheap', 'min_max', 'numbers', 'sum_all', 'same', 'double_it', 'all_items') ORDER BY proname;
SELECT pg_get_functiondef('total'::regproc);
SELECT pg_get_functiondef('numbers'::regproc);
SELECT proargmodes, proargnames, proallargtypes::text, proargtypes::text FROM pg_proc WHERE proname = 'cheap';
COMMENT ON FUNCTION total(text, numeric) IS 'what it costs';
SELECT obj_description('total'::regproc, 'pg_proc');
COMMENT ON FUNCTION total(int) IS 'nothing';

-- Rights.
CREATE ROLE fn_user;
CREATE TABLE secret (v int);
INSERT INTO secret VALUES (42);
CREATE FUNCTION peek() RETURNS int LANGUAGE sql STABLE AS 'SELECT v FROM secret';
CREATE FUNCTION peek_as_owner() RETURNS int LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public AS 'SELECT v FROM secret';
CREATE FUNCTION who() RETURNS text LANGUAGE sql STABLE SECURITY DEFINER AS 'SELECT current_user::text';
CREATE FUNCTION put_as_owner(n int) RETURNS void LANGUAGE sql SECURITY DEFINER AS 'INSERT INTO secret VALUES (n)';
SET ROLE fn_user;
SELECT peek();
SELECT peek_as_owner();
SELECT who() = current_user, current_user;
SELECT put_as_owner(43);
SELECT v FROM secret;
CREATE FUNCTION mine() RETURNS int LANGUAGE sql AS 'SELECT 1';
DROP FUNCTION peek();
ALTER FUNCTION peek() COST 1;
RESET ROLE;
SELECT v FROM secret ORDER BY v;
REVOKE EXECUTE ON FUNCTION peek_as_owner() FROM PUBLIC;
SET ROLE fn_user;
SELECT peek_as_owner();
RESET ROLE;
GRANT EXECUTE ON FUNCTION peek_as_owner TO fn_user;
SET ROLE fn_user;
SELECT peek_as_owner();
RESET ROLE;
SELECT proacl IS NULL FROM pg_proc WHERE proname IN ('peek', 'peek_as_owner') ORDER BY proname;
GRANT EXECUTE ON FUNCTION nothing(int) TO fn_user;
GRANT SELECT ON FUNCTION peek() TO fn_user;
ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
CREATE FUNCTION closed() RETURNS int LANGUAGE sql AS 'SELECT 1';
SELECT proacl IS NULL FROM pg_proc WHERE proname = 'closed';
SET ROLE fn_user;
SELECT closed();
RESET ROLE;
ALTER DEFAULT PRIVILEGES GRANT EXECUTE ON FUNCTIONS TO PUBLIC;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA public FROM PUBLIC;
SET ROLE fn_user;
SELECT add(1, 2);
SELECT peek_as_owner();
RESET ROLE;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO PUBLIC;
ALTER FUNCTION peek() OWNER TO fn_user;
DROP ROLE fn_user;
DROP OWNED BY fn_user;
SELECT peek();
DROP ROLE fn_user;

-- Procedures.
CREATE TABLE account (id int PRIMARY KEY, amount int);
INSERT INTO account VALUES (1, 100), (2, 50);
CREATE PROCEDURE move(source int, target int, n int) LANGUAGE sql AS 'UPDATE account SET amount = amount - n WHERE id = source; UPDATE account SET amount = amount + n WHERE id = target';
CALL move(1, 2, 30);
SELECT * FROM account ORDER BY id;
CALL move(source => 2, target => 1, n => 5);
CALL public.move(1, 2, 1 + 1);
SELECT * FROM account ORDER BY id;
CALL nothing();
CALL add(1, 2);
CREATE PROCEDURE two_of(INOUT n int, OUT text) LANGUAGE sql AS $$ SELECT n * 2, 'twice' $$;
-- differs: CALL is told
CALL two_of(4, NULL);
CREATE PROCEDURE bad() LANGUAGE sql IMMUTABLE AS 'SELECT 1';
DROP FUNCTION move(int, int, int);
DROP PROCEDURE move(int, int, int);
-- differs: types of the arguments are not told
CALL move(1, 2, 3);
-- differs: there is an index on it
DROP ROUTINE add(int, int);

-- Which one is meant.
CREATE SCHEMA first;
CREATE SCHEMA second;
CREATE FUNCTION first."$="(a text, b text) RETURNS boolean LANGUAGE sql AS 'SELECT true';
CREATE FUNCTION first."$cast"(a int, b text, c bigint) RETURNS int LANGUAGE sql AS 'SELECT 0';
CREATE FUNCTION first.lower(text) RETURNS text LANGUAGE sql AS $$ SELECT 'mine' $$;
CREATE FUNCTION first.lower(varchar) RETURNS text LANGUAGE sql AS $$ SELECT 'closer' $$;
SET search_path = first;
SELECT 'a'::text = 'b', '7'::int, lower('ABC'), lower('ABC'::text), lower('ABC'::varchar), pg_catalog.lower('ABC'::varchar), first.lower('ABC'::text);
SET search_path = first, pg_catalog;
SELECT lower('ABC'::text);
RESET search_path;
SELECT public.lower('ABC');
SELECT first.upper('abc');
CREATE TABLE person (id int, name varchar(20));
INSERT INTO person VALUES (1, 'ANN'), (2, 'BOB');
SET search_path = first, public;
CREATE VIEW called AS SELECT lower(name) AS low, pg_catalog.lower(name) AS built_in FROM person WHERE id = 1;
RESET search_path;
SELECT * FROM called;
CREATE FUNCTION first.twice(bigint) RETURNS text LANGUAGE sql AS $$ SELECT 'bigint' $$;
CREATE FUNCTION second.twice(int) RETURNS text LANGUAGE sql AS $$ SELECT 'int' $$;
SET search_path = first, second, public;
CREATE VIEW chosen AS SELECT twice(1) AS small, twice(1::bigint) AS big;
CREATE TABLE made (a text DEFAULT twice(2), b bigint CHECK (twice(b) = 'bigint'));
CREATE FUNCTION by_default(a int, b text DEFAULT twice(3)) RETURNS text LANGUAGE sql AS 'SELECT b';
RESET search_path;
SELECT * FROM chosen;
INSERT INTO made (b) VALUES (1);
SELECT * FROM made;
SELECT by_default(1);
CREATE FUNCTION second.twice(text) RETURNS text LANGUAGE sql AS $$ SELECT 'text' $$;
ALTER FUNCTION second.twice(text) RENAME TO thrice;
SELECT * FROM chosen;
DROP FUNCTION second.thrice(text) CASCADE;
SELECT * FROM chosen;
ALTER FUNCTION second.twice(int) RENAME TO twice_of_int;
CREATE FUNCTION second.twice_of_int(bigint) RETURNS text LANGUAGE sql AS $$ SELECT 'another' $$;
CREATE FUNCTION first.twice(int) RETURNS text LANGUAGE sql AS $$ SELECT 'later' $$;
SELECT * FROM chosen;
INSERT INTO made (b) VALUES (2);
SELECT * FROM made;
SELECT pg_get_viewdef('chosen'::regclass);
-- differs: a function's schema is not told
DROP FUNCTION first.lower(varchar);
DROP FUNCTION first.lower(text);

-- Arguments that are left out, and the types of those that are there.
CREATE FUNCTION pick(int, step int DEFAULT 1) RETURNS text LANGUAGE sql AS $$ SELECT 'int ' || $2 $$;
CREATE FUNCTION pick(text, step int DEFAULT 2) RETURNS text LANGUAGE sql AS $$ SELECT 'text ' || $2 $$;
SELECT pick(1), pick('x'::text), pick('x'), pick(1, 5), pick('x'::text, step => 7);
CREATE FUNCTION pick(text) RETURNS text LANGUAGE sql AS $$ SELECT 'one text' $$;
SELECT pick(1);
SELECT pick('x'::text);
CREATE FUNCTION many(VARIADIC list int[]) RETURNS text LANGUAGE sql AS $$ SELECT 'many ' || array_length(list, 1) $$;
CREATE FUNCTION many(int) RETURNS text LANGUAGE sql AS $$ SELECT 'one' $$;
SELECT many(1), many(1, 2), many(VARIADIC ARRAY[1, 2, 3]);
SELECT many(ARRAY[1]);
SELECT count(*) FROM (VALUES (1), (2)) AS v (x) WHERE many(VARIADIC ARRAY[x]) = 'many 1';
CREATE FUNCTION upper(n int, step int DEFAULT 1) RETURNS int LANGUAGE sql AS 'SELECT n + step';
SELECT upper('abc'), upper(5), upper(5, 5);
SELECT pair(1, 2.5);
-- differs: calls of one name have one form
CREATE FUNCTION upper(n text) RETURNS SETOF text LANGUAGE sql AS 'SELECT n';
-- differs: calls of one name have one form
CREATE FUNCTION many(a int) RETURNS SETOF int LANGUAGE sql AS 'SELECT a';
-- differs: the one with items takes as many arguments
CREATE FUNCTION many(a text, b text, c text, d text) RETURNS SETOF text LANGUAGE sql AS 'VALUES (a), (b)';
-- differs: so it was not made
SELECT * FROM many('a', 'b', 'c', 'd');

-- Names in bodies.
CREATE FUNCTION of_class(relname text) RETURNS bigint LANGUAGE sql STABLE AS 'SELECT count(*) FROM pg_class WHERE relname = of_class.relname';
SELECT of_class('person'), of_class('nothing');
CREATE FUNCTION sorted(low int) RETURNS SETOF int LANGUAGE sql STABLE AS 'SELECT -id AS low FROM person ORDER BY low';
SELECT * FROM sorted(1);
CREATE FUNCTION grouped(low int) RETURNS SETOF bigint LANGUAGE sql STABLE AS 'SELECT count(*) FROM (SELECT id % 2 AS low FROM person) AS p GROUP BY low';
SELECT * FROM grouped(1);
CREATE FUNCTION of_series(n int) RETURNS bigint LANGUAGE sql AS 'SELECT sum(n) FROM generate_series(1, 3) n';
SELECT of_series(100);
CREATE FUNCTION of_count(count bigint) RETURNS bigint LANGUAGE sql STABLE AS 'SELECT count FROM (SELECT count(*) FROM person) AS t';
SELECT of_count(100);
CREATE FUNCTION of_with(m int) RETURNS int LANGUAGE sql AS 'WITH t AS (SELECT 5 AS m) SELECT m FROM t';
SELECT of_with(100);
CREATE FUNCTION beside(id int) RETURNS SETOF int LANGUAGE sql STABLE AS 'SELECT t.x FROM person, (SELECT id AS x) AS t';
SELECT * FROM beside(9);
CREATE TABLE journal (what text PRIMARY KEY, times int DEFAULT 1);
CREATE FUNCTION enter(what text) RETURNS text LANGUAGE sql AS 'INSERT INTO journal (what) VALUES (what) ON CONFLICT (what) DO UPDATE SET times = journal.times + 1 RETURNING what || times';
SELECT enter('a');
SELECT enter('a');
CREATE FUNCTION enter_by_name(what text) RETURNS text LANGUAGE sql AS 'SELECT enter(what => what)';
SELECT enter_by_name('b');
CREATE VIEW entering AS SELECT enter('v') AS n;
CREATE FUNCTION from_view() RETURNS text LANGUAGE sql AS 'SELECT n FROM entering';
SELECT from_view();
CREATE FUNCTION calls_upper(t text) RETURNS text LANGUAGE sql STABLE AS 'SELECT upper(t)';
CREATE FUNCTION second.upper(a int) RETURNS text LANGUAGE sql AS $$ DELETE FROM journal RETURNING what $$;
SELECT calls_upper('abc');

-- Nobody changes what others have.
CREATE ROLE fn_outsider;
CREATE SCHEMA private;
CREATE FUNCTION private.peek() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 7';
CREATE PROCEDURE private.act() LANGUAGE sql SECURITY DEFINER AS 'SELECT 7';
CREATE VIEW through AS SELECT private.peek() AS p;
GRANT SELECT ON through TO fn_outsider;
CREATE TABLE guarded (owner text, v int CHECK (abs(v) > 0), w text DEFAULT upper('w'));
INSERT INTO guarded VALUES ('fn_outsider', 1), ('somebody', 2);
ALTER TABLE guarded ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON guarded USING (owner = current_user AND lower(owner) <> 'nobody');
CREATE VIEW lowered AS SELECT lower(owner) AS o FROM guarded;
GRANT SELECT, INSERT ON guarded TO fn_outsider;
GRANT SELECT ON lowered TO fn_outsider;
CREATE SCHEMA mine AUTHORIZATION fn_outsider;
SET ROLE fn_outsider;
SELECT private.peek();
CALL private.act();
SELECT * FROM private.peek();
SELECT * FROM through;
CREATE FUNCTION mine."$="(a text, b text) RETURNS boolean LANGUAGE sql AS 'SELECT true';
CREATE FUNCTION mine."$="(a text, b name) RETURNS boolean LANGUAGE sql AS 'SELECT true';
CREATE FUNCTION mine.lower(text) RETURNS text LANGUAGE sql AS $$ SELECT 'changed' $$;
CREATE FUNCTION mine.upper(text) RETURNS text LANGUAGE sql AS $$ SELECT 'changed' $$;
CREATE FUNCTION mine.abs(int) RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION mine.current_user() RETURNS name LANGUAGE sql AS $$ SELECT 'somebody'::name $$;
SET search_path = mine, pg_catalog, public;
SELECT lower('A'::text);
SELECT * FROM guarded;
SELECT * FROM lowered ORDER BY 1;
INSERT INTO guarded VALUES ('somebody', 3);
INSERT INTO guarded VALUES ('fn_outsider', 0);
INSERT INTO guarded VALUES ('fn_outsider', 4) RETURNING w;
RESET search_path;
RESET ROLE;
DROP OWNED BY fn_outsider;
DROP ROLE fn_outsider;
