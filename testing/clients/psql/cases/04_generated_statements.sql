SELECT format('CREATE TABLE generated_%s (i int)', n), format('INSERT INTO generated_%s VALUES (%s)', n, n * 10)
FROM generate_series(1, 3) n \gexec
SELECT 'SELECT ' || i || ' AS v' FROM (SELECT * FROM generated_1 UNION ALL SELECT * FROM generated_3) g ORDER BY i \gexec
SELECT 'DROP TABLE ' || relname FROM pg_class WHERE relname ~ '^generated_' ORDER BY 1 \gexec
SELECT count(*) FROM pg_class WHERE relname LIKE 'generated%';
