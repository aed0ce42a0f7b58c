CREATE TABLE authors (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name varchar(50) NOT NULL UNIQUE, born date);
CREATE TABLE books (isbn char(13) PRIMARY KEY, author int NOT NULL REFERENCES authors ON DELETE CASCADE,
  title text NOT NULL, price numeric(8,2) DEFAULT 9.99 CHECK (price > 0), tags text[]);
CREATE INDEX books_title ON books (lower(title));
CREATE VIEW cheap AS SELECT title, price FROM books WHERE price < 5;
CREATE SEQUENCE counter START 5 INCREMENT 2;
COMMENT ON TABLE books IS 'what was written';
\d books
\d authors
\d cheap
\d counter
\d books_title
