-- options: -A -t
SELECT length(string_agg(repeat('x', 1000), '')) FROM generate_series(1, 5000);
\o /dev/null
SELECT n, repeat('y', 100) FROM generate_series(1, 50000) n;
\o
SELECT 'done';
