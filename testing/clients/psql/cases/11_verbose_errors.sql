\set VERBOSITY sqlstate
SELECT 1/0;
\set VERBOSITY terse
SELECT nothing;
\set VERBOSITY default
\set SHOW_CONTEXT always
INSERT INTO books VALUES ('x', 99, 't');
