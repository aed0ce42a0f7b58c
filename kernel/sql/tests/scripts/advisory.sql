-- Advisory locks of one session, and sleeping.

SELECT pg_advisory_lock(1);
SELECT pg_advisory_lock(1), pg_advisory_lock_shared(1);
SELECT pg_try_advisory_lock(1), pg_try_advisory_lock_shared(1);
SELECT pg_advisory_unlock(1), pg_advisory_unlock(1), pg_advisory_unlock(1);
SELECT pg_advisory_unlock(1);
SELECT pg_advisory_unlock_shared(1), pg_advisory_unlock_shared(1), pg_advisory_unlock_shared(1);
SELECT pg_advisory_unlock(1, 1);
SELECT pg_advisory_unlock_all();

-- The two kinds of key are different locks.
SELECT pg_advisory_lock(0, 7);
SELECT pg_advisory_unlock(7);
SELECT pg_advisory_unlock(0, 7);

-- What a transaction holds cannot be given back.
BEGIN;
SELECT pg_advisory_xact_lock(2), pg_advisory_xact_lock_shared(2, 3);
SELECT pg_advisory_unlock(2);
SELECT pg_try_advisory_xact_lock(2), pg_try_advisory_xact_lock_shared(2, 3);
SELECT pg_advisory_unlock_all();
COMMIT;

-- The session's lock outlives the transaction that took it.
BEGIN;
SELECT pg_advisory_lock(3);
ROLLBACK;
SELECT pg_advisory_unlock(3);
SELECT pg_advisory_unlock(3);

-- In every place of a query, row by row, as far as rows are asked for.
CREATE TABLE advised (id bigint PRIMARY KEY, class int);
INSERT INTO advised SELECT n, n FROM generate_series(1, 100) AS n;
SELECT id FROM advised WHERE pg_try_advisory_lock(id) LIMIT 2;
SELECT pg_advisory_unlock(1), pg_advisory_unlock(2);
SELECT pg_advisory_unlock(3);
SELECT id FROM advised WHERE id < 3 AND pg_try_advisory_lock(class, class) ORDER BY id DESC;
SELECT pg_advisory_unlock(n::int, n::int) FROM generate_series(1, 3) AS n;
SELECT count(pg_advisory_lock(id)) FROM advised;
SELECT bool_and(pg_advisory_unlock(id)) FROM advised;
SELECT pg_advisory_unlock(100);
UPDATE advised SET class = 0 WHERE pg_try_advisory_xact_lock(id) AND id < 4;
SELECT * FROM pg_advisory_lock(9);
SELECT * FROM pg_advisory_unlock(9);
WITH taken AS (SELECT pg_advisory_lock(9)) SELECT count(*) FROM taken;
SELECT pg_advisory_unlock(9);
SELECT 1 FROM (SELECT pg_advisory_lock(id), id FROM advised WHERE id < 3) AS s;
SELECT count(*) FROM (SELECT pg_advisory_unlock(id) FROM advised WHERE id < 3) AS s;
SELECT pg_advisory_unlock(2);
SELECT (SELECT pg_advisory_lock(8)) IS NULL;
SELECT pg_advisory_unlock_all();

-- NULL is no key.
SELECT pg_advisory_lock(NULL) IS NULL, pg_try_advisory_lock(NULL), pg_advisory_unlock(NULL);
SELECT pg_try_advisory_lock(1, NULL);

-- Keys are of just these types.
SELECT pg_try_advisory_lock('12'), pg_advisory_unlock(12::smallint);
SELECT pg_try_advisory_lock('1', '2'), pg_advisory_unlock(1, 2);
SELECT pg_try_advisory_lock(9223372036854775807), pg_advisory_unlock(9223372036854775807);
SELECT pg_advisory_lock('x');
SELECT pg_advisory_lock(1.5);
SELECT pg_advisory_lock(1::bigint, 2);
SELECT pg_advisory_lock();
SELECT pg_advisory_xact_lock(1, 2, 3);
SELECT pg_advisory_unlock_all(1);

PREPARE locking (bigint) AS SELECT pg_try_advisory_lock($1);
EXECUTE locking(5);
EXECUTE locking(5);
DEALLOCATE locking;
SELECT pg_advisory_unlock(5), pg_advisory_unlock(5), pg_advisory_unlock(5);
SELECT pg_advisory_lock(6);
DISCARD ALL;
SELECT pg_advisory_unlock(6);

SELECT pg_sleep(0);
SELECT pg_sleep(-1);
SELECT pg_sleep(0.001);
SELECT pg_sleep('0.001');
SELECT pg_sleep(NULL);
SELECT pg_sleep('nan');
SELECT pg_sleep_for('1 millisecond');
SELECT pg_sleep_for('-1 year');
SELECT pg_sleep_until('2020-01-01');
SELECT pg_sleep_until(clock_timestamp() + interval '1 millisecond');
SELECT pg_sleep_until('-infinity');
SELECT * FROM pg_sleep(0.001);
SELECT pg_sleep(0.001) FROM generate_series(1, 3);
SELECT pg_sleep('x');
SELECT pg_sleep(interval '1 second');
SELECT clock_timestamp() - now() >= interval '20 milliseconds' FROM pg_sleep(0.02);
SET statement_timeout = 20;
SELECT pg_sleep(3600);
SELECT pg_sleep_until('infinity');
SELECT pg_sleep_for('1 year');
RESET statement_timeout;
