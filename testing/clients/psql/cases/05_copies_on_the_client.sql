-- options: -v file=FILE
CREATE TABLE copied (i int, t text);
\set command '\\copy copied FROM ' :'file' ' WITH (FORMAT csv)'
:command
SELECT * FROM copied ORDER BY i;
\copy copied TO STDOUT
COPY copied FROM STDIN;
4	four
5	\N
\.
\copy (SELECT i * 2, t FROM copied WHERE i > 3 ORDER BY i) TO STDOUT WITH (FORMAT csv, HEADER, FORCE_QUOTE *)
DROP TABLE copied;
