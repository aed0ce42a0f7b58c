\x on
SELECT 1 AS a, 'line
break' AS b;
\x off
\pset null '(null)'
\pset format csv
SELECT NULL AS n, 'a,b' AS c, true AS t;
\pset format unaligned
SELECT 1 AS a, 2.50 AS b;
\pset format aligned
\pset border 2
SELECT 'right' AS w, 12.5::numeric AS n, ARRAY[1,2] AS a;
\a \t
SELECT * FROM (VALUES (1, 'x'), (2, 'y')) v(i, t) ORDER BY i;
