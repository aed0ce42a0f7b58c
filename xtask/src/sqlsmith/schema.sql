-- What sqlsmith queries beside the system catalog: the types there are, keys, views and enough rows for every
-- comparison to be true now and then, few enough for joins of many tables.
CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
CREATE DOMAIN share AS numeric(5, 2) CHECK (VALUE >= 0 AND VALUE <= 100);
CREATE SCHEMA shop;

CREATE TABLE numbers (
    id int PRIMARY KEY, small int2, big int8, exact numeric, money numeric(12, 2), single float4, double float8,
    is_even bool NOT NULL, part share
);
INSERT INTO numbers
SELECT i, i % 7, i::int8 * 1000000007, i / 7.0, i * 1.25, i / 3.0, exp(i::float8), i % 2 = 0, i
FROM generate_series(1, 40) i;
INSERT INTO numbers VALUES
    (-1, NULL, NULL, 'NaN', NULL, 'Infinity', '-Infinity', false, NULL),
    (0, 0, 0, 0, 0, 0, '-0', true, 0),
    (2147483647, 32767, 9223372036854775807, 99999999999999999999.999, -0.01, '1e-30', '1e300', false, 100);

CREATE TABLE words (
    id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text UNIQUE, code varchar(10), fixed char(6), short name,
    bytes bytea, tags text[], feeling mood DEFAULT 'ok', lower_name text GENERATED ALWAYS AS (lower(name)) STORED
);
INSERT INTO words (name, code, fixed, short, bytes, tags, feeling)
SELECT 'Wörd ' || i, 'c' || i % 5, repeat('x', i % 6), 'n' || i, decode(md5(i::text), 'hex'),
       string_to_array('a b c ' || i, ' '), (ARRAY['sad', 'ok', 'happy'])[i % 3 + 1]::mood
FROM generate_series(1, 30) i;
INSERT INTO words (name, tags) VALUES ('', '{}'), (NULL, NULL);

CREATE TABLE moments (
    at timestamptz PRIMARY KEY, naive timestamp(3), day date, hour time, lasted interval, number int REFERENCES numbers
);
INSERT INTO moments
SELECT '2020-02-28 23:00:00+00'::timestamptz + i * interval '1 day 1 hour', '2001-01-01'::timestamp + i * interval '1 month',
       '2020-02-28'::date + i, '00:00'::time + i * interval '47 minutes', i * interval '1 month -1 day 00:00:01', i
FROM generate_series(1, 30) i;
INSERT INTO moments VALUES ('infinity', '-infinity', 'infinity', '24:00', '-178000000 years', NULL);

CREATE TABLE documents (
    id uuid PRIMARY KEY, doc jsonb, plain json, numbers int[], word int REFERENCES words ON DELETE SET NULL
);
INSERT INTO documents
SELECT md5(i::text)::uuid, jsonb_build_object('n', i, 'a', ARRAY[i, i + 1], 'o', jsonb_build_object('b', i % 2 = 0)),
       json_build_array(i, NULL, 'x' || i), ARRAY[i, NULL, -i], i
FROM generate_series(1, 25) i;
INSERT INTO documents VALUES ('00000000-0000-0000-0000-000000000000', 'null', '"\u00e4"', '{}', NULL);

CREATE TABLE shop.orders (
    id bigserial PRIMARY KEY, number int NOT NULL REFERENCES numbers, placed timestamptz, total numeric(12, 2), note text,
    CHECK (total >= 0)
);
INSERT INTO shop.orders (number, placed, total, note)
SELECT i % 40 + 1, '2024-01-01'::timestamptz + i * interval '7 hours', i * 1.1, CASE WHEN i % 3 = 0 THEN NULL ELSE 'note ' || i END
FROM generate_series(1, 60) i;
CREATE TABLE shop.lines (
    order_id bigint REFERENCES shop.orders ON DELETE CASCADE, line int2, word int REFERENCES words, quantity int DEFAULT 1,
    PRIMARY KEY (order_id, line)
);
INSERT INTO shop.lines SELECT i, l, i % 30 + 1, l * 2 FROM generate_series(1, 50) i, generate_series(1, 3) l;
CREATE TABLE shop.empty (id int PRIMARY KEY, name text, self int REFERENCES shop.empty);

CREATE INDEX ON shop.orders (placed);
CREATE INDEX ON shop.orders (note, total) WHERE total > 10;
CREATE INDEX ON words (lower(code));
CREATE VIEW shop.totals AS
SELECT o.id, sum(l.quantity * o.total) AS total, count(*) AS lines FROM shop.orders o JOIN shop.lines l ON l.order_id = o.id GROUP BY o.id;
CREATE VIEW busy_days AS
SELECT day, rank() OVER (ORDER BY lasted DESC) AS place, number FROM moments WHERE isfinite(day);
