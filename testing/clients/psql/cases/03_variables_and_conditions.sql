-- options: -v given=7
\set name 'O''Hara'
SELECT :'name' AS quoted, :given + 1 AS sum;
SELECT 1 AS one, 'two' AS two \gset got_
\echo :got_one :got_two
\if :{?nothing}
\echo wrong
\elif :got_one
\echo right
\else
\echo wrong
\endif
\set column two
SELECT 2 AS :"column";
SELECT 1/0;
\echo :SQLSTATE :ERROR :LAST_ERROR_MESSAGE
SELECT 1 WHERE false;
\echo :ROW_COUNT :ERROR
\unset name
\echo :name
