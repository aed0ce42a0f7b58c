SELECT * FROM (VALUES ('a', 'x', 1), ('a', 'y', 2), ('b', 'x', 3)) v(r, c, n) \crosstabview
SELECT 1::int2 AS s, 'x'::varchar(5) AS v, now() AS t, 1.5::numeric(4,1) AS n \gdesc
SELECT 1 AS a \g (format=unaligned tuples_only=on)
