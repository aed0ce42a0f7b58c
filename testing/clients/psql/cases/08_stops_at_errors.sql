-- options: -v ON_ERROR_STOP=1
SELECT 1 AS before;
SELECT * FROM nowhere;
SELECT 2 AS after;
