-- Aggregates over window frames whose start moves.
CREATE TABLE w (i int, x numeric);
INSERT INTO w VALUES (1, 1.50), (2, 'NaN'), (3, 2), (4, 3.0), (5, NULL), (6, NULL);
SELECT i, sum(x) OVER (ORDER BY i ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) FROM w ORDER BY i;
SELECT i, max(x) OVER (ORDER BY i ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) FROM w ORDER BY i;
SELECT i, avg(x) OVER (ORDER BY i ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) FROM w WHERE i <> 2 ORDER BY i;
SELECT i, avg(x) OVER (ORDER BY i ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) FROM (VALUES (1, 1.5::float8), (2, 'NaN'), (3, 2), (4, 'Infinity'), (5, 4), (6, 5)) AS v(i, x) ORDER BY i;
SELECT i, sum(x) OVER (ORDER BY i ROWS BETWEEN 1 PRECEDING AND 1 FOLLOWING) FROM (VALUES (1, 1.5::float8), (2, 'NaN'), (3, 2), (4, 'Infinity'), (5, 4), (6, 5)) AS v(i, x) ORDER BY i;
SELECT i, sum(x) OVER (ORDER BY i ROWS BETWEEN CURRENT ROW AND 1 FOLLOWING) FROM (VALUES (1, 1.5::float4), (2, 'NaN'), (3, 2), (4, 'Infinity'), (5, 4), (6, 5)) AS v(i, x) ORDER BY i;
SELECT i, string_agg(x, ',') OVER (ORDER BY i ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) FROM (VALUES (1, 'a'), (2, 'b'), (3, NULL), (4, 'c')) AS v(i, x) ORDER BY i;
SELECT i, array_agg(x) OVER (ORDER BY i ROWS BETWEEN 2 PRECEDING AND 1 PRECEDING) FROM (VALUES (1, 'a'), (2, 'b'), (3, NULL), (4, 'c')) AS v(i, x) ORDER BY i;
SELECT i, sum(x) OVER (ORDER BY i ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) FROM (VALUES (1, interval '1 day'), (2, interval '2 hours'), (3, NULL)) AS v(i, x) ORDER BY i;
SELECT i, stddev(x) OVER (ORDER BY i ROWS BETWEEN 2 PRECEDING AND CURRENT ROW) FROM (VALUES (1, 1), (2, 2), (3, 4)) AS v(i, x) ORDER BY i;
SELECT i, min(x) OVER (ORDER BY i ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) FROM (VALUES (1, interval '1 day'), (2, interval '2 hours'), (3, interval '3 hours')) AS v(i, x) ORDER BY i;
SELECT i, bool_and(x) OVER (ORDER BY i ROWS BETWEEN 1 PRECEDING AND CURRENT ROW), count(x) OVER (ORDER BY i ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) FROM (VALUES (1, true), (2, false), (3, true), (4, true)) AS v(i, x) ORDER BY i;
SELECT i, bit_or(x) OVER (ORDER BY i ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) FROM (VALUES (1, 1), (2, 2), (3, 4), (4, 8)) AS v(i, x) ORDER BY i;
SELECT i, json_agg(x) OVER (ORDER BY i ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) FROM (VALUES (1, 1), (2, 2), (3, 4), (4, 8)) AS v(i, x) ORDER BY i;
