-- literals and names
SELECT 1
SELECT 3000000000
SELECT 99999999999999999999
SELECT 1.50
SELECT 1e3
SELECT -1.5
SELECT 'a'
SELECT NULL
SELECT TRUE
SELECT 1 + 1
SELECT 2147483647 + 1
SELECT -2147483648 - 1
SELECT 9223372036854775807 + 1
SELECT 32767::int2 + 1::int2
SELECT 5 / 2
SELECT -5 / 2
SELECT -5 % 3
SELECT 5 / 0
SELECT 5.0 / 0
SELECT 5.0::float8 / 0
SELECT 1 / 3.0
SELECT 10.0 / 4
SELECT 2 ^ 10
SELECT 2.0 ^ 0.5
SELECT 7 & 3, 7 | 8, 7 # 2, ~7, 1 << 4, -16 >> 2
SELECT 1.10 * 2.200
SELECT 0.1 + 0.2
SELECT 0.1::float8 + 0.2::float8
SELECT 1e308::float8 * 10
SELECT abs(-5), abs(-5.5), sign(-3.2), -(-3)
SELECT mod(7, 3), mod(-7.5, 2)
-- rounding
SELECT round(2.5), round(-2.5), round(2.567, 2), round(1234.5, -2)
SELECT round(2.5::float8), round(3.5::float8), round(-0.5::float8)
SELECT trunc(2.567, 1), trunc(-2.9), ceil(2.1), floor(-2.1), ceil(-0.5::float8)
SELECT sqrt(2), sqrt(2.0), sqrt(4::numeric)
SELECT power(2, 3), power(2.0, 3), power(2.5, -2), power(0, 0)
SELECT exp(1.0), ln(10.0), log(100.0), log(2.0, 64.0), exp(1)
SELECT sqrt(-1)
SELECT ln(0)
SELECT power(0, -1)
SELECT pi(), degrees(pi()), sin(1), cos(1), atan2(1, 2)
SELECT gcd(12, 18), lcm(4, 6), factorial(20), div(7.5, 2)
SELECT scale(1.500), trim_scale(1.500), min_scale(1.500)
SELECT width_bucket(5.35, 0.024, 10.06, 5)
-- casts
SELECT 2.5::int, 3.5::int, -2.5::int, 2.5::float8::int, 3.5::float8::int
SELECT '42'::int, ' 42 '::int8, '1e3'::numeric
SELECT 'x'::int
SELECT '99999999999'::int
SELECT 40000::int2
SELECT 1e20::float8::int8
SELECT 'NaN'::float8, 'Infinity'::float8, '-inf'::float4
SELECT 'NaN'::numeric::int
SELECT 123.456::numeric(5,2)
SELECT 1234.5::numeric(5,2)
SELECT 0.1::float4, 0.1::float4::float8, 1e20::float8, 1e-7::float8, 123456789.0::float8
SELECT 1::bool, 0::bool, true::int, 'yes'::bool, 'off'::bool
SELECT 'maybe'::bool
SELECT true::text, 1.50::text, 42::text
SELECT 'abcdef'::varchar(3), 'abc  '::char(5) || 'x'
SELECT '\x48656c6c6f'::bytea, 'Hello'::bytea
SELECT 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid
SELECT 'nope'::uuid
SELECT 123::oid
SELECT 5::text::int + 1
-- unknown literals
SELECT 1 + '2'
SELECT '3' * 2.5
SELECT 1 = '1'
SELECT 'a' = 'b'
SELECT '2020-01-01' < date '2020-02-01'
SELECT 1 = 'x'
SELECT 1 = true
SELECT 'a'::text = 1
SELECT 1 + true
SELECT -'5'
SELECT 'a' + 'b'
-- comparison
SELECT 1 < 2.5, 1.0 = 1.00, 1 = 1.0::float8, 0.1::float8 = 0.1
SELECT 'abc' < 'abd', 'a' < 'B'
SELECT 1 IN (1, 2), 3 IN (1, 2), 1 IN (NULL, 2), 1 NOT IN (2, 3)
SELECT 1 IN ('1', '2')
SELECT 1.5 IN (1, 1.50)
SELECT 2 BETWEEN 1 AND 3, 2 NOT BETWEEN 1 AND 3, 'b' BETWEEN 'a' AND 'c'
SELECT NULL = NULL, NULL IS NULL, 1 IS DISTINCT FROM NULL, NULL IS NOT DISTINCT FROM NULL
SELECT 1.0 IS NOT DISTINCT FROM 1.00
SELECT (1, 2) = (1, 2), (1, 2) < (1, 3), (1, 2) IN ((1, 2), (3, 4))
SELECT true AND NULL, false AND NULL, true OR NULL, NOT NULL
SELECT 1 AND true
SELECT NOT 1
SELECT interval '1 day' = interval '24 hours', interval '1 month' > interval '29 days'
-- case, coalesce
SELECT CASE WHEN true THEN 1 ELSE 2.5 END
SELECT CASE WHEN false THEN 1 ELSE 2.5 END
SELECT CASE 3 WHEN 1 THEN 'a' WHEN 3 THEN 'c' END
SELECT CASE WHEN false THEN 1 END
SELECT CASE WHEN true THEN 1 ELSE 'x' END
SELECT CASE WHEN true THEN 1 ELSE true END
SELECT CASE WHEN 1 = 1 THEN 'a' ELSE NULL END
SELECT CASE WHEN false THEN 1/0 ELSE 5 END
SELECT coalesce(NULL, 1), coalesce(NULL, 'a', 'b'), coalesce(1, 2.5), coalesce(NULL, NULL)
SELECT nullif(1, 1), nullif(1, 2), nullif('a', 'b')
SELECT greatest(1, 2.5, NULL), least(3, 1, 2), greatest('a', 'b')
-- text
SELECT 'a' || 'b', 'a' || 1, 1 || 'a', 'x' || NULL, 'a' || 1.50 || true
SELECT length('héllo'), char_length('abc'), octet_length('héllo'), bit_length('a')
SELECT upper('abc'), lower('ABC'), initcap('hello wORLD-foo bar')
SELECT substring('hello' from 2 for 3), substring('hello' from 2), substring('hello' for 2), substr('hello', -1, 4)
SELECT substring('hello', 2, -1)
SELECT substring('foobar' from 'o(.)b'), substring('foobar' from 'o.b')
SELECT position('lo' in 'hello'), strpos('hello', 'z')
SELECT overlay('Txxxxas' placing 'hom' from 2 for 4)
SELECT trim('  x  '), trim(both 'x' from 'xxaxx'), ltrim('  a'), rtrim('a  '), btrim('xyxtrimyyx', 'xyz')
SELECT lpad('hi', 5, 'xy'), rpad('hi', 5, 'xy'), lpad('hello', 2), lpad('hi', 5)
SELECT split_part('a,b,c', ',', 2), split_part('a,b,c', ',', -1), split_part('a,b', ',', 5)
SELECT split_part('a,b', ',', 0)
SELECT replace('abcabc', 'b', 'X'), translate('12345', '143', 'ax')
SELECT left('abcde', 2), left('abcde', -2), right('abcde', 2), right('abcde', -2)
SELECT repeat('ab', 3), reverse('abc'), repeat('x', -1)
SELECT concat('a', NULL, 1, true), concat_ws(',', 'a', NULL, 'b')
SELECT format('%s-%I-%L-%%', 'a', 'B c', 'it''s'), format('%2$s %1$s', 'a', 'b'), format('|%5s|%-5s|', 'a', 'b')
SELECT md5('hello'), ascii('A'), chr(65), to_hex(255)
SELECT quote_ident('a b'), quote_ident('abc'), quote_literal('it''s'), quote_nullable(NULL)
SELECT starts_with('alphabet', 'alph'), 'abc' ^@ 'ab'
SELECT 'abc' LIKE 'a%', 'abc' LIKE '_b_', 'ABC' ILIKE 'a%', 'abc' NOT LIKE 'b%', 'a%c' LIKE 'a\%c', 'a_c' LIKE 'a#_c' ESCAPE '#'
SELECT 'abc' ~ 'b', 'abc' ~ '^b', 'ABC' ~* 'b', 'abc' !~ 'z', 'abc' !~* 'B'
SELECT 'abc' SIMILAR TO 'abc', 'abc' SIMILAR TO 'a', 'abc' SIMILAR TO '%(b|d)%', 'abc' NOT SIMILAR TO '(b|c)%'
SELECT regexp_replace('foobarbaz', 'b..', 'X'), regexp_replace('foobarbaz', 'b..', 'X', 'g'), regexp_replace('foobarbaz', 'b(..)', 'X\1Y', 'g')
SELECT regexp_match('foobarbequebaz', '(bar)(beque)'), regexp_match('abc', 'z')
SELECT regexp_split_to_array('hello world', '\s+'), string_to_array('a,b,,c', ','), string_to_array('a,b', ',', 'b')
SELECT 'a' ~ '('
SELECT encode('hello', 'hex'), encode('hello'::bytea, 'base64'), decode('68656c6c6f', 'hex')
SELECT length(5)
SELECT nosuchfunction(1)
SELECT upper(1, 2)
-- dates and times
SELECT date '2020-02-29', timestamp '2020-02-29 12:34:56.789', timestamptz '2020-02-29 12:34:56+02', time '12:34:56.7'
SELECT date '2020-02-29' + 1, date '2020-03-01' - date '2020-02-01', date '2020-02-29' - 1
SELECT date '2020-01-31' + interval '1 month', date '2020-03-31' - interval '1 month'
SELECT timestamp '2020-01-01 00:00:00' - timestamp '2019-12-25 13:00:00'
SELECT timestamp '2020-01-01' + interval '1 year 2 months 3 days 04:05:06'
SELECT date '2020-01-01' + time '10:00'
SELECT interval '1 day' * 2.5, interval '1 month' / 2, interval '1 day' + interval '2 hours', -interval '1 day'
SELECT interval '1.5 years', interval '1 week', interval '-1 day 2 hours', interval '1-2', interval '90 minutes', interval 'P1DT2H'
SELECT interval '3' day, interval '1 year 2 mons -3 days +04:05:06.789'
SELECT extract(year from date '2020-02-29'), extract(month from timestamp '2020-02-29 10:00'), extract(dow from date '2020-02-29'), extract(isodow from date '2020-03-01')
SELECT extract(epoch from timestamptz '2020-01-01 00:00:00+00'), extract(epoch from interval '1 day 2 hours'), extract(second from timestamp '2020-01-01 00:00:12.345')
SELECT extract(week from date '2021-01-03'), extract(isoyear from date '2021-01-03'), extract(doy from date '2020-12-31'), extract(quarter from date '2020-05-01')
SELECT extract(century from date '2000-12-31'), extract(decade from date '1999-01-01'), extract(millennium from date '2001-01-01'), extract(julian from date '2020-01-01')
SELECT extract(milliseconds from time '10:20:30.5'), extract(microseconds from time '10:20:30.5'), extract(hour from interval '25:00:00')
SELECT extract(hour from date '2020-01-01')
SELECT extract(foo from date '2020-01-01')
SELECT date_part('year', timestamp '2020-02-29 10:00'), date_part('epoch', interval '1 hour')
SELECT date_trunc('month', timestamp '2020-02-29 10:00'), date_trunc('week', timestamp '2020-02-29 10:00'), date_trunc('hour', timestamptz '2020-02-29 10:30+00')
SELECT date_trunc('day', timestamptz '2020-02-29 22:30+00', 'America/New_York'), date_trunc('quarter', date '2020-05-05')
SELECT date_trunc('day', interval '3 days 5 hours'), date_trunc('century', timestamp '2001-05-05')
SELECT timestamptz '2020-07-01 12:00+00' AT TIME ZONE 'America/New_York', timestamp '2020-07-01 12:00' AT TIME ZONE 'America/New_York'
SELECT timestamp '2020-07-01 12:00' AT TIME ZONE '+02', timestamptz '2020-07-01 12:00+00' AT TIME ZONE interval '-03:00'
SELECT timestamp '2020-07-01 12:00' AT TIME ZONE 'Nowhere/Land'
SELECT age(timestamp '2020-03-01', timestamp '2019-12-15'), age(timestamp '2019-12-15', timestamp '2020-03-01')
SELECT justify_days(interval '35 days'), justify_hours(interval '27 hours'), justify_interval(interval '1 mon -1 hour')
SELECT make_date(2020, 2, 29), make_time(8, 15, 23.5), to_timestamp(1284352323.5), make_date(2020, 2, 30)
SELECT 'infinity'::timestamp, '-infinity'::date, 'infinity'::date > date '2020-01-01', isfinite(date '2020-01-01')
SELECT '2020-13-01'::date
SELECT '2020-02-30'::date
SELECT 'hello'::date
SELECT '0044-03-15 BC'::date, '12/25/1999'::date, 'Jan 5 2021'::date, '20210105'::date
SELECT '2020-01-01 24:00:00'::timestamp, '2020-01-01T10:00:00Z'::timestamptz, '2020-01-01 10:00 America/New_York'::timestamptz
SELECT timestamp '2020-01-01 12:00' = date '2020-01-01', date '2020-01-02' > timestamp '2020-01-01 12:00'
SELECT timestamp '2020-01-01 12:34:56.789'::timestamp(1), timestamp '2020-01-01 12:34:56'::date, timestamp '2020-01-01 12:34:56'::time
SELECT to_char(timestamp '2020-02-09 15:04:05.678', 'YYYY-MM-DD HH24:MI:SS.MS'), to_char(timestamp '2020-02-09 15:04:05', 'Day, DD Month YYYY HH12:MI AM'), to_char(date '2020-02-09', 'FMMonth FMDD, YYYY Dy Mon Q WW IW DDD D')
SELECT to_char(1234.5, '9,999.99'), to_char(-12, '999'), to_char(12, '0000'), to_char(0.5, '0.99'), to_char(1234567, '999'), to_char(5, 'FM99'), to_char(-5.5, 'S99.9')
SELECT to_date('05 Dec 2000', 'DD Mon YYYY'), to_timestamp('2020-02-09 15:04', 'YYYY-MM-DD HH24:MI'), to_date('20200209', 'YYYYMMDD')
SELECT date_bin('15 minutes', timestamp '2020-02-11 15:44:17', timestamp '2001-01-01')
SELECT time '10:00' + interval '3 hours', time '10:00' - time '08:30', time '23:00' + interval '2 hours'
-- arrays
SELECT ARRAY[1, 2, 3], ARRAY['a', 'b c', NULL], ARRAY[1, 2.5], '{1,2,3}'::int[]
SELECT (ARRAY[1, 2, 3])[2], (ARRAY[1, 2, 3])[5], (ARRAY[1, 2, 3, 4])[2:3]
SELECT ARRAY[1, 2] || 3, 0 || ARRAY[1], ARRAY[1] || ARRAY[2], ARRAY[1, 2] || '{3}'
SELECT array_length(ARRAY[1, 2, 3], 1), cardinality(ARRAY[1, 2]), array_length('{}'::int[], 1), array_upper(ARRAY[5, 6], 1)
SELECT array_append(ARRAY[1], 2), array_prepend(0, ARRAY[1]), array_cat(ARRAY[1], ARRAY[2]), array_remove(ARRAY[1, 2, 1], 1), array_position(ARRAY['a', 'b'], 'b')
SELECT array_to_string(ARRAY[1, NULL, 3], ','), array_to_string(ARRAY[1, NULL, 3], ',', '*')
SELECT 2 = ANY(ARRAY[1, 2]), 2 = ALL(ARRAY[2, 2]), 3 <> ALL(ARRAY[1, 2]), 1 = ANY('{1,2}'), 5 > ANY(ARRAY[1, 9]), 1 = ANY(ARRAY[2, NULL])
SELECT ARRAY[1, 2, 3] @> ARRAY[2], ARRAY[1] <@ ARRAY[1, 2], ARRAY[1, 2] && ARRAY[2, 3], ARRAY[1, 2] = ARRAY[1, 2], ARRAY[1, 2] < ARRAY[1, 3]
SELECT '{a,"b c",NULL,"NULL"}'::text[], '{}'::int[]
SELECT '{1,x}'::int[]
-- json
SELECT '{"b": 1, "a": [1, 2.50, "x"], "b": 2}'::jsonb, '[1,2]'::jsonb, 'null'::jsonb
SELECT '{"a": {"b": 5}}'::jsonb -> 'a', '{"a": {"b": 5}}'::jsonb -> 'a' ->> 'b', '[1, 2, 3]'::jsonb -> 1, '[1, 2, 3]'::jsonb -> -1, '{"a": {"b": 5}}'::jsonb #>> '{a,b}', '{"a": [7]}'::jsonb #> '{a,0}'
SELECT '{"a": 1, "b": 2}'::jsonb @> '{"a": 1}', '{"a": 1}'::jsonb ? 'a', '[1, 2]'::jsonb @> '[2]', '{"a": 1}'::jsonb ?| ARRAY['x', 'a'], '{"a": 1}'::jsonb ?& ARRAY['x', 'a']
SELECT '{"a": 1}'::jsonb || '{"b": 2}', '[1]'::jsonb || '2', '{"a": 1, "b": 2}'::jsonb - 'a', '[1, 2, 3]'::jsonb - 1
SELECT jsonb_build_object('a', 1, 'b', 'x', 'c', NULL), jsonb_build_array(1, 'a', true), to_jsonb('x'::text), to_jsonb(1.50), jsonb_typeof('[]'), jsonb_array_length('[1, 2]')
SELECT jsonb_set('{"a": 1}', '{b}', '2'), jsonb_set('{"a": [1, 2]}', '{a,0}', '9'), jsonb_strip_nulls('{"a": null, "b": 1}'), jsonb_pretty('{"a": [1]}')
SELECT ('{"a": 5}'::jsonb -> 'a')::int, ('true'::jsonb)::bool
SELECT '{bad'::jsonb
-- sets of rows
SELECT generate_series(1, 3)
SELECT * FROM generate_series(1, 10, 3)
SELECT x FROM generate_series(3, 1, -1) AS g(x)
SELECT g FROM generate_series(1, 3) g WHERE g > 1
SELECT * FROM generate_series(timestamp '2020-01-01', '2020-01-03', interval '1 day')
SELECT * FROM generate_series(1, 3, 0)
SELECT unnest(ARRAY['a', 'b'])
SELECT * FROM unnest(ARRAY[1, 2]) AS t(v) ORDER BY v DESC
SELECT jsonb_array_elements('[1, {"a": 2}]')
SELECT * FROM (VALUES (1, 'a'), (2, 'b')) AS v(x, y) ORDER BY x DESC
SELECT x FROM (VALUES (1), (2.50)) AS v(x) ORDER BY x
SELECT 1 AS x UNION ALL SELECT 2.5
SELECT 1 UNION SELECT 'x'
SELECT NULL AS x UNION ALL SELECT 1
SELECT 'a' AS x UNION ALL SELECT 'b'
SELECT 1 AS x INTERSECT SELECT 1
SELECT 1 AS x EXCEPT SELECT 2
SELECT 1 AS x UNION SELECT true
-- aggregates
SELECT count(*), sum(x), avg(x), min(x), max(x) FROM (VALUES (1), (2), (4)) AS v(x)
SELECT sum(x), avg(x), min(x), max(x) FROM (VALUES (1.5), (2.25)) AS v(x)
SELECT sum(x), avg(x) FROM (VALUES (1::int8), (2)) AS v(x)
SELECT sum(x), avg(x) FROM (VALUES (1.5::float8), (2)) AS v(x)
SELECT sum(x), avg(x) FROM (VALUES (1.5::float4), (2)) AS v(x)
SELECT sum(x), avg(x) FROM (VALUES (interval '1 day'), ('2 hours')) AS v(x)
SELECT sum(x), count(x), avg(x) FROM (VALUES (1), (NULL)) AS v(x) WHERE x > 100
SELECT count(DISTINCT x), sum(DISTINCT x) FROM (VALUES (1), (1), (2)) AS v(x)
SELECT string_agg(x, ',' ORDER BY x DESC), array_agg(x ORDER BY x), min(x) FROM (VALUES ('a'), ('b')) AS v(x)
SELECT bool_and(x > 0), bool_or(x > 1), every(x > 1) FROM (VALUES (1), (2)) AS v(x)
SELECT stddev(x), variance(x), stddev_pop(x), var_pop(x) FROM (VALUES (1), (2), (4)) AS v(x)
SELECT stddev(x), variance(x) FROM (VALUES (1.5::float8), (2), (4)) AS v(x)
SELECT corr(x, y), covar_pop(x, y), regr_slope(x, y) FROM (VALUES (1.0::float8, 2.0::float8), (2, 4.5), (3, 5)) AS v(x, y)
SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY x), percentile_disc(0.5) WITHIN GROUP (ORDER BY x) FROM (VALUES (1), (2), (3), (10)) AS v(x)
SELECT mode() WITHIN GROUP (ORDER BY x) FROM (VALUES (1), (2), (2)) AS v(x)
SELECT count(*) FILTER (WHERE x > 1) FROM (VALUES (1), (2), (3)) AS v(x)
SELECT x % 2 AS odd, sum(x) FROM (VALUES (1), (2), (3)) AS v(x) GROUP BY odd ORDER BY odd
SELECT x, count(*) FROM (VALUES (1), (1), (2)) AS v(x) GROUP BY 1 HAVING count(*) > 1
SELECT x, y FROM (VALUES (1, 2)) AS v(x, y) GROUP BY x
SELECT sum(x) FROM (VALUES ('a')) AS v(x)
SELECT min(true)
SELECT round(avg(x), 2), max(x) - min(x) FROM (VALUES (1), (2), (4)) AS v(x)
SELECT sum(x) / count(*), sum(x)::float8 / count(*) FROM (VALUES (1), (2), (4)) AS v(x)
-- windows
SELECT x, row_number() OVER (ORDER BY x DESC), rank() OVER (ORDER BY y), sum(x) OVER (ORDER BY x), lag(x) OVER (ORDER BY x), lead(x, 1, 0) OVER (ORDER BY x) FROM (VALUES (1, 1), (2, 1), (3, 2)) AS v(x, y) ORDER BY x
SELECT x, avg(x) OVER (PARTITION BY y), ntile(2) OVER (ORDER BY x), first_value(x) OVER (ORDER BY x), count(*) OVER () FROM (VALUES (1, 1), (2, 1), (3, 2)) AS v(x, y) ORDER BY x
SELECT x, sum(x) OVER (ORDER BY x ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) FROM (VALUES (1), (2), (3)) AS v(x) ORDER BY x
-- order
SELECT x FROM (VALUES (1), (NULL), (2)) AS v(x) ORDER BY x
SELECT x FROM (VALUES (1), (NULL), (2)) AS v(x) ORDER BY x DESC
SELECT x FROM (VALUES ('b'), ('A'), ('a')) AS v(x) ORDER BY 1
SELECT x FROM (VALUES (2.5), (10), (1.50)) AS v(x) ORDER BY x
SELECT x FROM (VALUES (interval '1 month'), ('29 days'), ('31 days')) AS v(x) ORDER BY x
SELECT x FROM (VALUES (1), (2), (3)) AS v(x) ORDER BY x LIMIT 2 OFFSET 1
SELECT x FROM (VALUES (1), (2)) AS v(x) ORDER BY x LIMIT NULL
SELECT x AS y FROM (VALUES (2), (1)) AS v(x) ORDER BY y
SELECT x FROM (VALUES (1)) AS v(x) ORDER BY 2
SELECT DISTINCT x FROM (VALUES (1), (1), (2)) AS v(x) ORDER BY x
SELECT DISTINCT ON (x) x, y FROM (VALUES (1, 2), (1, 1), (2, 5)) AS v(x, y) ORDER BY x, y
-- subqueries and joins
SELECT (SELECT 1), EXISTS (SELECT 1), 1 IN (SELECT 1), 2 NOT IN (SELECT 1)
SELECT (SELECT x FROM (VALUES (1), (2)) AS v(x))
SELECT a.x, b.y FROM (VALUES (1), (2)) AS a(x) JOIN (VALUES (1.0, 'one'), (3.0, 'three')) AS b(x, y) ON a.x = b.x
SELECT * FROM (VALUES (1, 'a')) AS a(id, v) JOIN (VALUES (1, 'b')) AS b(id, w) USING (id)
SELECT count(*), count(*) FROM (VALUES (1)) AS v(x)
WITH t AS (SELECT 1 AS x) SELECT x + 1 FROM t
WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t WHERE n < 4) SELECT sum(n) FROM t
SELECT nosuch FROM (VALUES (1)) AS v(x)
SELECT v.nosuch FROM (VALUES (1)) AS v(x)
SELECT w.x FROM (VALUES (1)) AS v(x)
SELECT * FROM nosuchtable
SELECT x FROM (VALUES (1)) AS a(x), (VALUES (2)) AS b(x)
SELECT 1 WHERE 1
SELECT 1 WHERE count(*) > 0
SELEC 1
SELECT FROM WHERE
SELECT 1 +
-- system
SELECT pg_typeof(1), pg_typeof(1.5), pg_typeof('a'), pg_typeof(NULL), pg_typeof(now()), pg_typeof(ARRAY[1])
SELECT current_user = session_user, length(version()) > 0, num_nulls(1, NULL, 2)
SELECT now() = current_timestamp, current_date = now()::date
SELECT length(gen_random_uuid()::text), random() < 1
SELECT min(x), max(x) FROM (VALUES (interval '1 month'), (interval '29 days'), (interval '31 days')) AS v(x)
SELECT substr('abc', 2), 'x'::text AS y
-- one template for many rows, or one each
SELECT to_char(t, 'FMDDth Mon YYYY HH24:MI:SS.US') FROM (VALUES (timestamp '2013-02-03 04:05:06'), (timestamp '2013-11-22 14:15:16.5'), (NULL)) AS v(t)
SELECT to_char(timestamptz '2013-02-03 04:05:06+00', f) FROM (VALUES ('DDTH Day HH12 AM'), ('YYYY-MM-DD TZ OF'), (NULL), ('FMYYYY FMMM')) AS v(f)
SELECT to_date(s, f) FROM (VALUES ('03.02.2013', 'DD.MM.YYYY'), ('2013-02-03', 'YYYY-MM-DD'), (NULL, 'YYYY')) AS v(s, f)
SELECT upper('straße'), initcap('ß aß'), lower('STRASSE')
SELECT pg_typeof(ntile(2) OVER (ORDER BY x)), ntile(2) OVER (ORDER BY x) FROM (VALUES (1), (2)) AS v(x)
SELECT value FROM jsonb_array_elements_text('["a", "b"]')
SELECT e FROM jsonb_array_elements('[1, {"a": 2}]') AS e
SELECT ARRAY['a'::text] || 'b'::text, 'a'::text || ARRAY['b'::text], 'n'::text || 1
SELECT ARRAY[1] || 'b'::text
SELECT 1 EXCEPT ALL SELECT 2
-- json as written
SELECT ' {"b": 1,  "a": [1, 2.50, "x"], "b": 2}'::json, '"\u0000"'::json, '[1 , 2]'::json::jsonb, '{"b":1, "a":2}'::jsonb::json
SELECT '{"a" : {"b": 5}, "a": {"b" : [1,  2]}}'::json -> 'a', '{"a": {"b": 5}}'::json -> 'a' ->> 'b', '[1, 2 , 3]'::json -> -1, '{"a": {"b": 5}}'::json #>> '{a,b}', '{"a": [7]}'::json #> '{a,0}'
SELECT '{"a": "\u0000"}'::json ->> 'a'
SELECT '1'::json = '1'::json
SELECT DISTINCT '1'::json
SELECT '{"a": 1}'::json || '{"b": 2}'
SELECT to_json(1.50), to_json('a"b'::text), to_json(ARRAY[1, NULL]), to_json(timestamptz '2020-01-01 00:00+00'), to_json('{"a" : 1}'::json), to_json(1e20::float8)
SELECT json_build_object('a', 1, 'b', 'x', 'c', NULL), json_build_array(1, 'a', true), json_typeof(' []'), json_array_length('[1, 2]'), json_strip_nulls('{"a": null, "b" : 1}')
SELECT json_build_object(true, 1, 1.5, 2), jsonb_build_object(true, 1, 1.5, 2)
SELECT json_build_object('{}'::json, 1)
SELECT json_extract_path('{"a": {"b": [1 , 2]}}', 'a', 'b'), json_extract_path_text('{"a": {"b": [1 , 2]}}', 'a', 'b', '1'), jsonb_extract_path('{"a": {"b": [1, 2]}}', 'a', 'b', '0')
SELECT json_array_elements('[1, {"a" : 2}]')
SELECT json_object_keys('{"b": 1, "a": 2, "b": 3}')
SELECT date(timestamp '2020-02-29 12:30:00'), date('2020-02-29'), date(NULL)
SELECT text(5), int4('5'), int4(2.5), float8(1.5), bool(1), "char"('abc'::text), name('n'::text)
SELECT "time"(interval '25 hours'), pg_catalog."timestamp"(date '2020-02-29')
SELECT pg_catalog.int8(7::int2), pg_catalog.numeric(7)
SELECT date(true)
SELECT date(1, 2)
