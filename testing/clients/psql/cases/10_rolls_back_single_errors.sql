-- options: -v ON_ERROR_ROLLBACK=on
SELECT to_regclass('not_kept') IS NULL AS gone;
BEGIN;
CREATE TEMP TABLE kept (i int PRIMARY KEY);
INSERT INTO kept VALUES (1);
INSERT INTO kept VALUES (1);
INSERT INTO kept VALUES (2);
COMMIT;
SELECT count(*) FROM kept;
