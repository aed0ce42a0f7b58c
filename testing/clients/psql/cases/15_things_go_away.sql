DROP VIEW cheap;
DROP TABLE books, authors;
DROP SEQUENCE counter;
\d
