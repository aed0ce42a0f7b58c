//! psycopg 3: parameters in both formats, server-side statements, COPY, pipelines.

use std::process::Command;

use crate::{Running, have, text};

const SCRIPT: &str = r#"
import sys, datetime, decimal, psycopg
url = sys.argv[1]
with psycopg.connect(url) as conn:
    with conn.cursor() as cur:
        cur.execute("create table p (id bigint primary key, t text, n numeric(10,3), d date, ts timestamptz, b bytea, f float8)")
        when = datetime.datetime(2024, 2, 29, 12, 30, tzinfo=datetime.timezone.utc)
        rows = [(i, None if i % 4 == 0 else f"té{i}", decimal.Decimal(i) / 8, datetime.date(2024, 1, 1) + datetime.timedelta(days=i), when, bytes([i, 0, 255]), i / 3) for i in range(1, 21)]
        cur.executemany("insert into p values (%s, %s, %s, %s, %s, %s, %s)", rows)
    conn.commit()
    for binary in (False, True):
        cur = conn.cursor(binary=binary)
        for _ in range(8):  # past the threshold after which psycopg prepares by name
            cur.execute("select id, t, n, d, ts, b, f from p where id > %s and id <= %s order by id", (4, 7))
            got = cur.fetchall()
        assert got == rows[4:7], got
        cur.execute("select %b::int + %t::int, %s::text", (2, 3, None))
        assert cur.fetchone() == (5, None)
    conn.commit()
    try:
        conn.execute("insert into p (id) values (%s)", (1,))
        raise SystemExit("no error")
    except psycopg.errors.UniqueViolation as e:
        assert e.diag.constraint_name == "p_pkey", e.diag.constraint_name
    conn.rollback()
    with conn.cursor() as cur, cur.copy("copy p (id, t) from stdin") as copy:
        for i in range(100, 200):
            copy.write_row((i, None if i % 2 else "x\ty"))
    with conn.cursor() as cur, cur.copy("copy (select id, t from p where id in (100, 101) order by id) to stdout") as copy:
        assert [r for r in copy.rows()] == [("100", "x\ty"), ("101", None)]
    conn.commit()
    with conn.pipeline():
        a = conn.execute("select count(*) from p")
        b = conn.execute("select max(id) from p where id < %s", (100,))
        assert a.fetchone() == (120,) and b.fetchone() == (20,)
    with conn.transaction():
        conn.execute("delete from p where id >= 100")
    assert conn.execute("select count(*) from p").fetchone() == (20,)
print("ok")
"#;

#[test]
fn psycopg_works() {
    let python = std::env::var("PYTHON").unwrap_or_else(|_| "python3".to_owned());
    if !have(&python, "--version") {
        return;
    }
    let imports = Command::new(&python)
        .args(["-c", "import psycopg"])
        .output()
        .unwrap();
    if !imports.status.success() {
        println!("skipped: {python} has no module psycopg");
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let running = Running::start(directory.path(), "scram");
    let password = std::fs::read_to_string(directory.path().join("password")).unwrap();
    let url = format!(
        "postgres://helios:{}@127.0.0.1:{}/helios",
        password.trim(),
        running.port
    );
    let output = Command::new(&python)
        .args(["-c", SCRIPT, &url])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(text(&output.stdout), "ok\n");
}
