-- options: -v FETCH_COUNT=10 -A -t
SELECT count(*), sum(n) FROM generate_series(1, 1000) n;
SELECT n FROM generate_series(1, 25) n WHERE n % 5 = 0;
