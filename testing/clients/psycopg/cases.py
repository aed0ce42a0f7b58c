"""psycopg 3: both flavours of cursors, pipelines, COPY, types both ways, prepared statements, errors."""

import datetime as dt
import decimal
import ipaddress
import uuid

import psycopg
from psycopg import errors, pq, sql
from psycopg.rows import class_row, dict_row, namedtuple_row, scalar_row
from psycopg.types.json import Json, Jsonb
from psycopg.types.range import Range

from telling import case, equal, run

D = decimal.Decimal
UTC = dt.timezone.utc


def connect(**options):
    return psycopg.connect("", **options)


@case
def connection_facts():
    with connect() as conn:
        equal(conn.info.dbname, "helios")
        equal(conn.info.parameter_status("server_encoding"), "UTF8")
        equal(conn.info.encoding, "utf-8")
        assert conn.info.server_version >= 150000, conn.info.server_version
        equal(conn.info.transaction_status.name, "IDLE")
        conn.execute("SELECT 1")
        equal(conn.info.transaction_status.name, "INTRANS")
        equal(conn.info.backend_pid, conn.execute("SELECT pg_backend_pid()").fetchone()[0])


VALUES = [
    ("bool", True),
    ("int2", -32768),
    ("int4", 2**31 - 1),
    ("int8", -(2**63)),
    ("float4", 1.5),
    ("float8", 1e-300),
    ("numeric", D("-12345678901234567890.0123456789")),
    ("numeric", D("0.00")),
    ("text", "ünïcödé \U0001f600 'quote' \\ \n"),
    ("varchar", ""),
    ("bytea", bytes(range(256))),
    ("date", dt.date(1, 1, 1)),
    ("date", dt.date(9999, 12, 31)),
    ("time", dt.time(23, 59, 59, 999999)),
    ("timestamp", dt.datetime(1999, 12, 31, 23, 59, 59, 123456)),
    ("timestamptz", dt.datetime(2024, 2, 29, 12, 0, tzinfo=UTC)),
    ("interval", dt.timedelta(days=-3, seconds=5, microseconds=7)),
    ("uuid", uuid.UUID("12345678-1234-5678-1234-567812345678")),
    ("int4[]", [1, None, 3]),
    ("text[]", ["a,b", '"', "", None, "NULL"]),
    ("float8[]", [1.5, -0.25]),
    ("numeric[]", [D("1.10"), D("2")]),
    ("date[]", [dt.date(2024, 1, 1)]),
    ("bool[]", [True, False]),
    ("uuid[]", [uuid.UUID(int=5)]),
    ("json", {"a": [1, 2.5, None, "x"]}),
    ("jsonb", {"b": {"c": True}, "a": []}),
]


def type_roundtrip(kind, value, binary):
    with connect(autocommit=True) as conn:
        param = Json(value) if kind == "json" else Jsonb(value) if kind == "jsonb" else value
        cur = conn.cursor(binary=binary)
        cur.execute(sql.SQL("SELECT %s::{}").format(sql.SQL(kind)), (param,))
        got = cur.fetchone()[0]
        equal(got, value, kind)


@case
def types_through_text():
    wrong = []
    for kind, value in VALUES:
        try:
            type_roundtrip(kind, value, False)
        except Exception as e:
            wrong.append(f"{kind}: {e}")
    assert not wrong, "; ".join(wrong)


@case
def types_through_binary():
    wrong = []
    for kind, value in VALUES:
        try:
            type_roundtrip(kind, value, True)
        except Exception as e:
            wrong.append(f"{kind}: {e}")
    assert not wrong, "; ".join(wrong)


@case
def types_bound_as_binary():
    wrong = []
    with connect(autocommit=True) as conn:
        for kind, value in VALUES:
            if kind in ("json", "jsonb"):
                continue
            try:
                query = sql.SQL("SELECT %b::{}").format(sql.SQL(kind))
                equal(conn.execute(query, (value,)).fetchone()[0], value, kind)
            except Exception as e:
                wrong.append(f"{kind}: {e}")
    assert not wrong, "; ".join(wrong)


@case
def types_in_a_table():
    with connect() as conn:
        kinds = [(f"c{i}", kind) for i, (kind, _) in enumerate(VALUES)]
        columns = ", ".join(f"{name} {kind}" for name, kind in kinds)
        conn.execute(f"CREATE TEMP TABLE of_types (id int PRIMARY KEY, {columns})")
        values = [Json(v) if k == "json" else Jsonb(v) if k == "jsonb" else v for k, v in VALUES]
        marks = ", ".join(["%s"] * (len(values) + 1))
        conn.execute(f"INSERT INTO of_types VALUES ({marks})", [1, *values])
        conn.execute(f"INSERT INTO of_types VALUES ({marks})", [2, *[None] * len(values)])
        for binary in (False, True):
            rows = conn.cursor(binary=binary).execute("SELECT * FROM of_types ORDER BY id").fetchall()
            equal(list(rows[0][1:]), [v for _, v in VALUES])
            equal(list(rows[1][1:]), [None] * len(VALUES))


@case
def arrays_of_two_dimensions():
    with connect() as conn:
        for binary in (False, True):
            cur = conn.cursor(binary=binary)
            equal(cur.execute("SELECT %s::int4[]", ([[1, 2], [3, 4]],)).fetchone()[0], [[1, 2], [3, 4]])


@case
def special_numbers():
    with connect() as conn:
        for binary in (False, True):
            cur = conn.cursor(binary=binary)
            row = cur.execute(
                "SELECT 'NaN'::float8, 'inf'::float8, '-inf'::float4, 'NaN'::numeric, '-0'::float8"
            ).fetchone()
            assert row[0] != row[0] and row[3].is_nan()
            equal(row[1], float("inf"))
            equal(row[2], float("-inf"))
            equal(str(row[4]), "-0.0")


@case
def network_types():
    values = [
        ("inet", ipaddress.ip_address("192.168.0.1")),
        ("inet", ipaddress.ip_interface("10.1.2.3/8")),
        ("inet", ipaddress.ip_address("2001:db8::1")),
        ("cidr", ipaddress.ip_network("10.0.0.0/8")),
    ]
    with connect() as conn:
        for kind, value in values:
            for binary in (False, True):
                cur = conn.cursor(binary=binary)
                equal(cur.execute(f"SELECT %s::{kind}", (value,)).fetchone()[0], value, kind)


@case
def range_types():
    values = [
        ("int4range", Range(1, 5)),
        ("numrange", Range(D("1.5"), None)),
        ("daterange", Range(dt.date(2024, 1, 1), dt.date(2024, 2, 1))),
        ("int8range", Range(empty=True)),
    ]
    with connect() as conn:
        for kind, value in values:
            for binary in (False, True):
                cur = conn.cursor(binary=binary)
                equal(cur.execute(f"SELECT %s::{kind}", (value,)).fetchone()[0], value, kind)


@case
def composite_of_a_row():
    with connect() as conn:
        got = conn.execute("SELECT ROW(1, 'a b', NULL)").fetchone()[0]
        equal(got, ("1", "a b", None))


@case
def result_columns_are_described():
    with connect() as conn:
        conn.execute("CREATE TEMP TABLE described (n numeric(10,2), v varchar(7), t timestamptz(3), c char(4))")
        cur = conn.execute("SELECT n, v, t, c, 1 AS one, 'x' AS word, NULL AS nothing FROM described")
        equal([c.name for c in cur.description], ["n", "v", "t", "c", "one", "word", "nothing"])
        equal([c.type_code for c in cur.description], [1700, 1043, 1184, 1042, 23, 25, 25])
        equal((cur.description[0].precision, cur.description[0].scale), (10, 2))
        equal(cur.description[1].display_size, 7)


@case
def parameters_without_casts():
    with connect() as conn:
        conn.execute("CREATE TEMP TABLE loose (i int, b bigint, f float8, n numeric, t text, d date, j jsonb, a int[])")
        conn.execute(
            "INSERT INTO loose VALUES (%s,%s,%s,%s,%s,%s,%s,%s)",
            (1, 2**40, 1.5, D("2.50"), "t", dt.date(2024, 1, 2), Jsonb({"k": 1}), [1, 2]),
        )
        equal(
            conn.execute("SELECT * FROM loose").fetchone(),
            (1, 2**40, 1.5, D("2.50"), "t", dt.date(2024, 1, 2), {"k": 1}, [1, 2]),
        )
        equal(conn.execute("SELECT count(*) FROM loose WHERE i = ANY(%s)", ([1, 5],)).fetchone()[0], 1)
        equal(conn.execute("SELECT i + %s, t || %s FROM loose", (2, "u")).fetchone(), (3, "tu"))
        equal(conn.execute("SELECT count(*) FROM loose WHERE d < %s", (dt.date(2025, 1, 1),)).fetchone()[0], 1)
        equal(conn.execute("SELECT t FROM loose LIMIT %s OFFSET %s", (5, 0)).fetchall(), [("t",)])
        equal(conn.execute("SELECT j->>%s FROM loose", ("k",)).fetchone()[0], "1")
        equal(conn.execute("SELECT coalesce(%s, i) FROM loose", (None,)).fetchone()[0], 1)


@case
def executemany_returns_every_result():
    with connect() as conn:
        conn.execute("CREATE TEMP TABLE many (id int GENERATED ALWAYS AS IDENTITY, t text)")
        cur = conn.cursor()
        cur.executemany("INSERT INTO many (t) VALUES (%s) RETURNING id", [("a",), ("b",), ("c",)], returning=True)
        ids = []
        while True:
            ids.append(cur.fetchone()[0])
            if not cur.nextset():
                break
        equal(ids, [1, 2, 3])
        cur.executemany("UPDATE many SET t = t || %s", [("x",), ("y",)])
        equal(cur.rowcount, 6)
        equal(conn.execute("SELECT string_agg(t, ',' ORDER BY id) FROM many").fetchone()[0], "axy,bxy,cxy")


@case
def prepared_by_threshold_and_by_hand():
    with connect(prepare_threshold=2, autocommit=True) as conn:
        conn.execute("CREATE TEMP TABLE prepared (id int, t text)")
        for i in range(6):
            conn.execute("INSERT INTO prepared VALUES (%s, %s)", (i, f"t{i}"))
        for i in range(6):
            equal(conn.execute("SELECT t FROM prepared WHERE id = %s", (i,)).fetchone()[0], f"t{i}")
        equal(conn.execute("SELECT sum(id) FROM prepared WHERE id > %s", (2,), prepare=True).fetchone()[0], 12)
        # A change of the table under a prepared star.
        for _ in range(4):
            conn.execute("SELECT * FROM prepared WHERE id = %s", (1,))
        conn.execute("ALTER TABLE prepared ADD COLUMN extra int DEFAULT 7")
        try:
            row = conn.execute("SELECT * FROM prepared WHERE id = %s", (1,)).fetchone()
            equal(row, (1, "t1", 7))
        except errors.FeatureNotSupported as e:
            equal(e.diag.message_primary, "cached plan must not change result type")
        conn.execute("DEALLOCATE ALL")


@case
def prepared_statements_are_listed():
    with connect(autocommit=True) as conn:
        conn.execute("SELECT %s::int + 1", (1,), prepare=True)
        conn.execute("PREPARE by_hand (text, int) AS SELECT $1 || $2::text")
        rows = conn.execute(
            "SELECT statement, parameter_types::text, from_sql FROM pg_prepared_statements ORDER BY from_sql"
        ).fetchall()
        equal(
            rows,
            [
                ("SELECT $1::int + 1", "{smallint}", False),
                ("PREPARE by_hand (text, int) AS SELECT $1 || $2::text", "{text,integer}", True),
            ],
        )
        conn.execute("DEALLOCATE ALL")
        equal(conn.execute("SELECT count(*) FROM pg_prepared_statements").fetchone()[0], 0)


@case
def pipelines():
    with connect(autocommit=True) as conn:
        conn.execute("CREATE TABLE piped (id int PRIMARY KEY, v int)")
        with conn.pipeline() as p:
            cursors = [conn.execute("INSERT INTO piped VALUES (%s, %s) RETURNING v", (i, i * i)) for i in range(50)]
            p.sync()
            equal([c.fetchone()[0] for c in cursors], [i * i for i in range(50)])
        # What fails aborts what comes up to the sync, and no more.
        with conn.pipeline() as p:
            conn.execute("INSERT INTO piped VALUES (100, 0)")
            conn.execute("INSERT INTO piped VALUES (1, 0)")
            conn.execute("INSERT INTO piped VALUES (101, 0)")
            try:
                p.sync()
            except errors.UniqueViolation:
                pass
            else:
                raise AssertionError("the duplicate was taken")
            cur = conn.execute("SELECT count(*) FROM piped WHERE id >= 100")
            p.sync()
            equal(cur.fetchone()[0], 0)
        with conn.pipeline(), conn.transaction():
            conn.execute("INSERT INTO piped VALUES (200, 0)")
        equal(conn.execute("SELECT count(*) FROM piped").fetchone()[0], 51)
        conn.execute("DROP TABLE piped")


@case
def copy_in_and_out():
    rows = [(i, f"line {i}\twith\ttabs\\ and\nnewline" if i % 7 == 0 else None, i * 0.5) for i in range(5000)]
    with connect() as conn:
        conn.execute("CREATE TEMP TABLE copied (id int, t text, f float8)")
        cur = conn.cursor()
        with cur.copy("COPY copied (id, t, f) FROM STDIN") as copy:
            for row in rows:
                copy.write_row(row)
        equal(cur.rowcount, 5000)
        with cur.copy("COPY (SELECT * FROM copied ORDER BY id) TO STDOUT") as copy:
            copy.set_types(["int4", "text", "float8"])
            equal(list(copy.rows()), rows)
        with cur.copy("COPY copied TO STDOUT (FORMAT csv, HEADER)") as copy:
            data = b"".join(copy)
        assert data.startswith(b"id,t,f\n0,"), data[:40]
        # A row that is wrong takes the whole COPY with it, and tells of its line.
        try:
            with conn.transaction(), cur.copy("COPY copied FROM STDIN") as copy:
                copy.write("1\ta\t1\nx\ta\t1\n")
        except errors.InvalidTextRepresentation as e:
            assert "line 2" in e.diag.context, e.diag.context
        else:
            raise AssertionError("x is no integer")
        # And so does the client's own trouble.
        try:
            with conn.transaction(), cur.copy("COPY copied FROM STDIN") as copy:
                copy.write("1\ta\t1\n")
                raise ZeroDivisionError
        except ZeroDivisionError:
            pass
        equal(conn.execute("SELECT count(*) FROM copied").fetchone()[0], 5000)


@case
def copy_binary():
    rows = [(1, "a", D("1.50"), dt.date(2024, 1, 1)), (2, None, None, None)]
    with connect() as conn:
        conn.execute("CREATE TEMP TABLE copied_binary (id int, t text, n numeric, d date)")
        cur = conn.cursor()
        with cur.copy("COPY copied_binary FROM STDIN (FORMAT binary)") as copy:
            copy.set_types(["int4", "text", "numeric", "date"])
            for row in rows:
                copy.write_row(row)
        with cur.copy("COPY copied_binary TO STDOUT (FORMAT binary)") as copy:
            copy.set_types(["int4", "text", "numeric", "date"])
            equal(list(copy.rows()), rows)


@case
def server_side_cursors():
    with connect() as conn:
        conn.execute("CREATE TEMP TABLE numbers AS SELECT generate_series(1, 1000) AS n")
        with conn.cursor("walk", scrollable=True) as cur:
            cur.execute("SELECT n FROM numbers ORDER BY n")
            equal([c.name for c in cur.description], ["n"])
            equal(cur.fetchmany(3), [(1,), (2,), (3,)])
            cur.scroll(10)
            equal(cur.fetchone(), (14,))
            cur.scroll(0, mode="absolute")
            equal(cur.fetchone(), (1,))
            cur.itersize = 100
            equal(sum(n for (n,) in cur), sum(range(2, 1001)))
        with conn.cursor("held", withhold=True) as cur:
            cur.execute("SELECT n FROM numbers WHERE n > %s ORDER BY n", (990,))
            conn.commit()
            equal(len(cur.fetchall()), 10)
        with conn.cursor("bin") as cur:
            cur.execute("SELECT n, n::numeric / 4 FROM numbers ORDER BY n LIMIT 2", binary=True)
            equal(cur.fetchall(), [(1, D("0.25000000000000000000")), (2, D("0.50000000000000000000"))])


@case
def streams_row_by_row():
    with connect() as conn:
        got = [n for (n,) in conn.cursor().stream("SELECT g FROM generate_series(1, %s) g", (2000,))]
        equal(got, list(range(1, 2001)))


@case
def row_factories():
    class Point:
        def __init__(self, x, y):
            self.x, self.y = x, y

    with connect() as conn:
        query = "SELECT 1 AS x, 2 AS y"
        equal(conn.cursor(row_factory=dict_row).execute(query).fetchone(), {"x": 1, "y": 2})
        equal(conn.cursor(row_factory=namedtuple_row).execute(query).fetchone().y, 2)
        equal(conn.cursor(row_factory=class_row(Point)).execute(query).fetchone().x, 1)
        equal(conn.cursor(row_factory=scalar_row).execute(query).fetchall(), [1])


@case
def transactions_and_savepoints():
    with connect(autocommit=True) as conn:
        conn.execute("CREATE TABLE in_transactions (id int PRIMARY KEY)")
        with conn.transaction():
            conn.execute("INSERT INTO in_transactions VALUES (1)")
            try:
                with conn.transaction():
                    conn.execute("INSERT INTO in_transactions VALUES (2)")
                    conn.execute("INSERT INTO in_transactions VALUES (1)")
            except errors.UniqueViolation:
                pass
            with conn.transaction() as inner:
                conn.execute("INSERT INTO in_transactions VALUES (3)")
                raise psycopg.Rollback(inner)
            conn.execute("INSERT INTO in_transactions VALUES (4)")
        equal(conn.execute("SELECT id FROM in_transactions ORDER BY id").fetchall(), [(1,), (4,)])
        conn.execute("DROP TABLE in_transactions")


@case
def a_failed_transaction_is_over():
    with connect() as conn:
        try:
            conn.execute("SELECT 1/0")
        except errors.DivisionByZero:
            pass
        equal(conn.info.transaction_status.name, "INERROR")
        try:
            conn.execute("SELECT 1")
        except errors.InFailedSqlTransaction:
            pass
        else:
            raise AssertionError("a failed transaction ran on")
        conn.rollback()
        equal(conn.execute("SELECT 1").fetchone(), (1,))


@case
def isolation_levels_and_read_only():
    with connect() as conn:
        conn.isolation_level = psycopg.IsolationLevel.SERIALIZABLE
        conn.read_only = True
        equal(conn.execute("SHOW transaction_isolation").fetchone()[0], "serializable")
        equal(conn.execute("SHOW transaction_read_only").fetchone()[0], "on")
        try:
            conn.execute("CREATE TABLE not_made (i int)")
        except errors.ReadOnlySqlTransaction:
            pass
        else:
            raise AssertionError("read only wrote")


@case
def errors_have_their_fields():
    with connect(autocommit=True) as conn:
        conn.execute("CREATE TABLE parents (id int PRIMARY KEY)")
        conn.execute("CREATE TABLE children (id int CONSTRAINT small CHECK (id < 10), parent int NOT NULL REFERENCES parents)")
        seen = {}
        for query in (
            "INSERT INTO children VALUES (1, 5)",
            "INSERT INTO children VALUES (11, 5)",
            "INSERT INTO children VALUES (1, NULL)",
            "SELECT nothing FROM parents",
            "SELECT * FROM nowhere",
            "SELEC 1",
            "SELECT no_such_function(1)",
        ):
            try:
                conn.execute(query)
            except psycopg.Error as e:
                seen[e.sqlstate] = e.diag
        equal(sorted(seen), ["23502", "23503", "23514", "42601", "42703", "42883", "42P01"])
        equal(seen["23503"].constraint_name, "children_parent_fkey")
        equal(seen["23503"].table_name, "children")
        equal(seen["23503"].schema_name, "public")
        equal(seen["23514"].constraint_name, "small")
        equal(seen["23502"].column_name, "parent")
        equal(seen["42703"].statement_position, "8")
        equal(seen["42601"].severity_nonlocalized, "ERROR")
        conn.execute("DROP TABLE children, parents")


@case
def notices_arrive():
    with connect(autocommit=True) as conn:
        seen = []
        conn.add_notice_handler(lambda diag: seen.append((diag.severity, diag.message_primary)))
        conn.execute("DROP TABLE IF EXISTS never_there")
        equal(seen, [("NOTICE", 'table "never_there" does not exist, skipping')])


@case
def identifiers_are_quoted():
    with connect() as conn:
        name = sql.Identifier('we"ird Table')
        conn.execute(sql.SQL("CREATE TEMP TABLE {} ({} int)").format(name, sql.Identifier("Select")))
        conn.execute(sql.SQL("INSERT INTO {} VALUES ({})").format(name, sql.Literal(5)))
        cur = conn.execute(sql.SQL("SELECT * FROM {}").format(name))
        equal((cur.description[0].name, cur.fetchone()[0]), ("Select", 5))


@case
def a_statement_is_cancelled():
    import threading
    import time

    with connect(autocommit=True) as conn:
        def cancel():
            time.sleep(0.7)
            conn.cancel_safe()

        thread = threading.Thread(target=cancel)
        thread.start()
        started = time.monotonic()
        try:
            conn.execute(
                "SELECT count(*) FROM generate_series(1, 200000) a, generate_series(1, 200000) b WHERE a + b = -1"
            )
        except errors.QueryCanceled:
            pass
        else:
            raise AssertionError("it ran to its end")
        finally:
            thread.join()
        equal(conn.execute("SELECT 1").fetchone(), (1,))
        assert time.monotonic() - started < 50


@case
def two_connections_see_each_other_after_commit():
    with connect() as one, connect(autocommit=True) as two:
        one.execute("CREATE TABLE shared_rows (id int)")
        one.commit()
        one.execute("INSERT INTO shared_rows VALUES (1)")
        equal(two.execute("SELECT count(*) FROM shared_rows").fetchone()[0], 0)
        one.commit()
        equal(two.execute("SELECT count(*) FROM shared_rows").fetchone()[0], 1)
        two.execute("DROP TABLE shared_rows")


@case
def type_info_of_the_catalog():
    from psycopg.types import TypeInfo

    with connect() as conn:
        info = TypeInfo.fetch(conn, "text")
        equal((info.oid, info.array_oid), (25, 1009))
        equal(TypeInfo.fetch(conn, "no_such_type"), None)


@case
def enums_of_the_database():
    import enum

    from psycopg.types.enum import EnumInfo, register_enum

    class Mood(enum.Enum):
        sad = "sad"
        ok = "ok"

    with connect() as conn:
        conn.execute("CREATE TYPE psycopg_mood AS ENUM ('sad', 'ok')")
        info = EnumInfo.fetch(conn, "psycopg_mood")
        equal(list(info.labels), ["sad", "ok"])
        register_enum(info, conn, Mood)
        equal(conn.execute("SELECT %s::psycopg_mood", (Mood.ok,)).fetchone()[0], Mood.ok)


@case
def composites_of_the_database():
    from psycopg.types.composite import CompositeInfo, register_composite

    with connect() as conn:
        conn.execute("CREATE TYPE psycopg_pair AS (a int, b text)")
        info = CompositeInfo.fetch(conn, "psycopg_pair")
        register_composite(info, conn)
        got = conn.execute("SELECT (1, 'x')::psycopg_pair").fetchone()[0]
        equal((got.a, got.b), (1, "x"))


@case
def notifications():
    with connect(autocommit=True) as listener, connect(autocommit=True) as teller:
        listener.execute("LISTEN news")
        teller.execute("SELECT pg_notify('news', 'hello')")
        got = [(n.channel, n.payload) for n in listener.notifies(timeout=10, stop_after=1)]
        equal(got, [("news", "hello")])


@case
async def asynchronously():
    async with await psycopg.AsyncConnection.connect("") as conn:
        async with conn.cursor() as cur:
            await cur.execute("SELECT g, g::text FROM generate_series(1, 3) g")
            equal([row async for row in cur], [(1, "1"), (2, "2"), (3, "3")])
        await conn.execute("CREATE TEMP TABLE later (id int, t text)")
        cur = conn.cursor()
        async with cur.copy("COPY later FROM STDIN") as copy:
            for i in range(100):
                await copy.write_row((i, str(i)))
        async with conn.pipeline():
            a = await conn.execute("SELECT sum(id) FROM later")
            b = await conn.execute("SELECT count(*) FROM later")
            equal(((await a.fetchone())[0], (await b.fetchone())[0]), (4950, 100))
        async with conn.cursor("later_walk") as cur:
            await cur.execute("SELECT id FROM later ORDER BY id DESC")
            equal(await cur.fetchmany(2), [(99,), (98,)])
        async with conn.transaction():
            await conn.execute("DELETE FROM later WHERE id < 50")
        cur = await conn.execute("SELECT count(*) FROM later")
        equal((await cur.fetchone())[0], 50)


@case
async def many_connections_at_once():
    import asyncio

    async def work(i):
        async with await psycopg.AsyncConnection.connect("", autocommit=True) as conn:
            total = 0
            for j in range(10):
                cur = await conn.execute("SELECT %s::int * %s::int", (i, j))
                total += (await cur.fetchone())[0]
            return total

    got = await asyncio.gather(*[work(i) for i in range(20)])
    equal(got, [i * 45 for i in range(20)])


@case
def client_side_binding():
    with psycopg.connect("", cursor_factory=psycopg.ClientCursor) as conn:
        cur = conn.execute("SELECT %s, %s, %s", ("it's \\ here", [1, 2], dt.date(2024, 1, 1)))
        equal(cur.fetchone(), ("it's \\ here", [1, 2], dt.date(2024, 1, 1)))
        cur = conn.execute("SELECT 1; SELECT 2, 3")
        equal(cur.fetchall(), [(1,)])
        assert cur.nextset()
        equal(cur.fetchall(), [(2, 3)])


@case
def large_values():
    with connect() as conn:
        conn.execute("CREATE TEMP TABLE large (t text, b bytea)")
        text, data = "ä" * 3_000_000, bytes(range(256)) * 20_000
        conn.execute("INSERT INTO large VALUES (%s, %b)", (text, data))
        for binary in (False, True):
            got = conn.cursor(binary=binary).execute("SELECT t, b FROM large").fetchone()
            assert got == (text, data)


@case
def timezones():
    with connect() as conn:
        moment = dt.datetime(2024, 7, 1, 12, 0, tzinfo=UTC)
        conn.execute("SET TIME ZONE 'Europe/Berlin'")
        for binary in (False, True):
            got = conn.cursor(binary=binary).execute("SELECT %s::timestamptz", (moment,)).fetchone()[0]
            equal(got, moment)
            equal(got.utcoffset(), dt.timedelta(hours=2))
        equal(conn.execute("SELECT %s::timestamptz::text", (moment,)).fetchone()[0], "2024-07-01 14:00:00+02")


run(f"{psycopg.__version__} (libpq {pq.version()})")
