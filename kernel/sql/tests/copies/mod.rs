//! COPY here and on PostgreSQL: the same bytes out, and of the same bytes the same rows or the same error with
//! its context.

// Tests read and write files themselves.
#![allow(clippy::disallowed_methods)]

use std::fmt::Write;

use heliosdb_sql::{Outcome, SqlError};

use super::harness::Postgres;
use super::support::{Client, Db};

const DATABASE: &str = "copies";

/// A column of every type that has a binary format, and the values of its rows.
const TYPES: &[(&str, &[&str])] = &[
    ("bool", &["true", "false"]),
    ("int2", &["-32768", "32767"]),
    ("int4", &["-2147483648", "7"]),
    ("int8", &["-9223372036854775808", "7"]),
    ("float4", &["1.5", "'NaN'", "'-Infinity'", "'-0'"]),
    ("float8", &["1e300", "'NaN'", "'Infinity'", "0.1"]),
    (
        "numeric",
        &[
            "0",
            "0.000",
            "-1.50",
            "12345678901234567890.0123456789",
            "1e40",
            "'NaN'",
            "0.00001",
            "10000",
        ],
    ),
    ("numeric(10,2)", &["1.5", "-99999999.99", "0"]),
    ("numeric(12,0)", &["10000", "99990000"]),
    (
        "text",
        &[
            "''",
            "'a\tb\\c\"d,e'",
            "E'two\\nlines\\r\\n'",
            "'é€😀'",
            "'\\.'",
            "'\\N'",
            "'NULL'",
        ],
    ),
    ("varchar(5)", &["'abc'", "''"]),
    ("char(5)", &["'ab'", "''"]),
    ("\"char\"", &["'x'", "''"]),
    ("name", &["'some_name'"]),
    ("bytea", &["'\\x00ff10'", "''"]),
    (
        "date",
        &[
            "'2026-11-22'",
            "'1999-12-31'",
            "'infinity'",
            "'-infinity'",
            "'0044-03-15 BC'",
        ],
    ),
    ("time", &["'00:00'", "'24:00'", "'12:34:56.789012'"]),
    (
        "timestamp",
        &[
            "'2026-11-22 10:11:12.131415'",
            "'1970-01-01'",
            "'infinity'",
            "'0001-01-01 BC'",
        ],
    ),
    ("timestamp(0)", &["'2026-11-22 10:11:12.6'"]),
    ("timestamptz", &["'2026-11-22 10:11:12+02'", "'-infinity'"]),
    (
        "interval",
        &["'1 year 2 months 3 days 04:05:06.789'", "'-1 day'", "'0'"],
    ),
    ("uuid", &["'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'"]),
    ("json", &["'{\"b\" : 1,  \"a\":[null]}'", "'1'"]),
    ("jsonb", &["'{\"b\" : 1,  \"a\":[null, 1.50]}'", "'\"x\"'"]),
    ("oid", &["4294967295", "0"]),
    ("regtype", &["'int4'"]),
    ("int4[]", &["'{}'", "'{1,NULL,3}'"]),
    ("int8[]", &["'{1}'"]),
    ("text[]", &["'{a,\"b,c\",NULL,\"NULL\",\"\"}'"]),
    ("bool[]", &["'{t,f}'"]),
    ("float8[]", &["'{1.5,NaN}'"]),
    ("numeric[]", &["'{1.50,NaN}'"]),
    ("date[]", &["'{2026-11-22}'"]),
    ("timestamptz[]", &["'{\"2026-11-22 10:11:12+02\"}'"]),
    ("uuid[]", &["'{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}'"]),
    ("bytea[]", &["'{\"\\\\x00ff\"}'"]),
    ("jsonb[]", &["'{\"{\\\"a\\\": 1}\"}'"]),
    ("varchar(3)[]", &["'{abc,d}'"]),
    ("char(3)[]", &["'{abc,d}'"]),
];

/// Both servers.
struct Both {
    postgres: Postgres,
    here: Client,
    _db: Db,
}

impl Both {
    fn start() -> Option<Both> {
        let postgres = match Postgres::start() {
            Ok(postgres) => postgres,
            Err(why) => {
                println!("skipped: no PostgreSQL to compare with: {why}");
                return None;
            }
        };
        postgres.create(DATABASE);
        let db = Db::new();
        Some(Both {
            postgres,
            here: db.session(),
            _db: db,
        })
    }

    fn theirs(&self, sql: &str, input: &[u8]) -> Result<Vec<u8>, String> {
        self.postgres.pipe(DATABASE, sql, input)
    }

    fn ours(&mut self, sql: &str, input: &[u8]) -> Result<Vec<u8>, String> {
        run(&mut self.here, sql, input).map_err(|e| told(&e))
    }

    /// Runs a statement that must succeed, on both.
    fn must(&mut self, sql: &str) {
        self.theirs(sql, b"").unwrap();
        self.ours(sql, b"").unwrap_or_else(|e| panic!("{sql}: {e}"));
    }
}

fn run(client: &mut Client, sql: &str, input: &[u8]) -> Result<Vec<u8>, SqlError> {
    let mut printed = Vec::new();
    for statement in &client.0.parse(sql)? {
        match client.0.execute(statement, &[])? {
            Outcome::CopyIn { .. } => {
                // In pieces, so that rows are cut anywhere.
                for piece in input.chunks(7) {
                    client.0.copy_in_data(piece)?;
                }
                client.0.copy_in_done()?;
            }
            Outcome::CopyOut(mut out) => {
                while let Some(chunk) = out.next_chunk()? {
                    assert_eq!(chunk.row_ends.last(), Some(&chunk.data.len()));
                    printed.extend(chunk.data);
                }
            }
            Outcome::Rows(rows) => drop(rows.collect()?),
            Outcome::Command(_) | Outcome::Empty => {}
        }
    }
    Ok(printed)
}

fn told(error: &SqlError) -> String {
    let mut out = format!("ERROR {}: {}\n", error.code.as_str(), error.message);
    for (label, text) in [
        ("DETAIL", &error.detail),
        ("HINT", &error.hint),
        ("CONTEXT", &error.context),
    ] {
        if let Some(text) = text {
            let _ = writeln!(out, "{label}: {text}");
        }
    }
    out
}

/// What differs, for a message.
fn shown(answer: &Result<Vec<u8>, String>) -> String {
    match answer {
        Ok(bytes) => format!("{:?}", String::from_utf8_lossy(bytes)),
        Err(error) => error.clone(),
    }
}

#[test]
fn the_binary_format_is_postgresqls_byte_for_byte() {
    let Some(mut both) = Both::start() else {
        return;
    };
    let mut wrong = String::new();
    for (ty, values) in TYPES {
        both.must("DROP TABLE IF EXISTS t, back");
        both.must(&format!("CREATE TABLE t (i int, v {ty})"));
        both.must(&format!("CREATE TABLE back (i int, v {ty})"));
        for (i, value) in values.iter().enumerate() {
            both.must(&format!("INSERT INTO t VALUES ({i}, {value})"));
        }
        both.must("INSERT INTO t VALUES (100, NULL)");
        let out = "COPY (SELECT * FROM t ORDER BY i) TO STDOUT (FORMAT binary)";
        let theirs = both.theirs(out, b"").unwrap();
        let ours = both.ours(out, b"").unwrap();
        if theirs != ours {
            let _ = writeln!(wrong, "{ty}, out:\n  here {ours:?}\n  there {theirs:?}");
        }
        // The data of each goes into the other, and comes back out as it was.
        let into = "COPY back FROM STDIN WITH BINARY";
        let back = "COPY BINARY (SELECT * FROM back ORDER BY i) TO STDOUT";
        let back = back.replace("BINARY (", "(") + " BINARY";
        both.theirs(into, &ours).unwrap();
        if let Err(error) = both.ours(into, &theirs) {
            let _ = writeln!(wrong, "{ty}, in: {error}");
            continue;
        }
        let again = (
            both.theirs(&back, b"").unwrap(),
            both.ours(&back, b"").unwrap(),
        );
        if again != (theirs.clone(), theirs) {
            let _ = writeln!(wrong, "{ty}: not what it was: {again:?}");
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

const ROWS: &str = "CREATE TABLE t (a int, b text, c numeric(6,2), d date);
    INSERT INTO t VALUES (1, 'one', 1.5, '2026-11-22'), (2, NULL, NULL, NULL), (3, '', 0, NULL),
      (4, E'tab\\there, \"quoted\" and \\\\N', -1, NULL), (5, '\\.', 1, NULL), (6, 'é€', 1, NULL), (NULL, E'a\\nb\\rc', 1, NULL)";

/// COPY TO of the same rows.
const OUT: &[&str] = &[
    "",
    "(FORMAT text)",
    "(FORMAT csv)",
    "(FORMAT 'csv', HEADER)",
    "(HEADER true)",
    "(HEADER 'on')",
    "(HEADER 0)",
    "(DELIMITER ',')",
    "(DELIMITER E'\\x01')",
    "(DELIMITER 'A', NULL 'nothing')",
    "(FORMAT csv, DELIMITER ';', NULL 'NULL')",
    "(FORMAT csv, FORCE_QUOTE *)",
    "(FORMAT csv, FORCE_QUOTE (a, d), HEADER)",
    "(FORMAT csv, QUOTE '''', ESCAPE '\\')",
    "(FORMAT csv, QUOTE '~')",
    "(FORMAT csv, ENCODING 'UTF8')",
    "(FORMAT binary)",
    "(FORMAT binary, HEADER false)",
    "WITH BINARY",
    "WITH CSV HEADER",
    "CSV HEADER QUOTE AS '~' FORCE QUOTE b, c",
    "CSV FORCE QUOTE *",
    "DELIMITER AS ',' NULL AS 'x'",
    "DELIMITERS ','",
    "USING DELIMITERS '|' WITH NULL ''",
    "HEADER",
    "CSV ENCODING 'utf-8'",
];

#[test]
fn copied_out_is_the_same() {
    let Some(mut both) = Both::start() else {
        return;
    };
    for statement in ROWS.split(';') {
        both.must(statement);
    }
    both.must("CREATE TABLE w (id int, note text)");
    let mut statements: Vec<String> = OUT
        .iter()
        .map(|o| format!("COPY t TO STDOUT {o}"))
        .collect();
    statements.extend([
        "COPY t (b, a) TO STDOUT (FORMAT csv, HEADER)".to_owned(),
        "COPY t TO STDIN".to_owned(),
        "COPY BINARY t (a, c) TO STDOUT".to_owned(),
        "COPY (SELECT a AS \"A b\", count(*) OVER () FROM t ORDER BY a) TO STDOUT (FORMAT csv, HEADER, FORCE_QUOTE (\"A b\"))".to_owned(),
        "COPY (SELECT a FROM t ORDER BY 1) TO STDOUT (FORMAT csv, FORCE_QUOTE (z))".to_owned(),
        "COPY (VALUES (1, 'x'::text), (2, 'y')) TO STDOUT BINARY".to_owned(),
        "COPY (TABLE t) TO STDOUT".to_owned(),
        "COPY (SELECT 1 WHERE false) TO STDOUT BINARY".to_owned(),
        "COPY (INSERT INTO w VALUES (1, 'b'), (2, 'c') RETURNING *) TO STDOUT".to_owned(),
        "COPY (UPDATE w SET note = note || '!' RETURNING note, id) TO STDOUT (FORMAT csv, HEADER)".to_owned(),
        "COPY (DELETE FROM w WHERE id = 1 RETURNING id) TO STDOUT BINARY".to_owned(),
        "COPY w TO STDOUT".to_owned(),
        "COPY (SELECT 'aé') TO STDOUT (ENCODING 'LATIN1')".to_owned(),
        "COPY (SELECT 'aé€') TO STDOUT (FORMAT csv, ENCODING 'WIN1252')".to_owned(),
        "COPY (SELECT 'aé€') TO STDOUT (ENCODING latin9)".to_owned(),
        "COPY (SELECT 'aé€') TO STDOUT (ENCODING LATIN1)".to_owned(),
    ]);
    let mut wrong = String::new();
    for sql in statements {
        let (theirs, ours) = (both.theirs(&sql, b""), both.ours(&sql, b""));
        if theirs != ours {
            let (theirs, ours) = (shown(&theirs), shown(&ours));
            let _ = writeln!(wrong, "{sql}\n  here  {ours}\n  there {theirs}");
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

/// A binary header, and rows of one int4 and one text after it.
fn binary(parts: &[&[u8]]) -> Vec<u8> {
    let mut out = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0".to_vec();
    out.extend(parts.concat());
    out
}

const ONE_ROW: &[u8] = b"\0\x02\0\0\0\x04\0\0\0\x01\0\0\0\x03one";

#[test]
fn copied_in_is_the_same() {
    let Some(mut both) = Both::start() else {
        return;
    };
    both.must("CREATE TABLE t (a int, b text)");
    both.must("CREATE TABLE short (a numeric(4,1), b varchar(3), c int[], d timestamp(0))");
    let text = |sql: &str, data: &str| (sql.to_owned(), data.as_bytes().to_vec());
    let bytes = |data: Vec<u8>| ("COPY t FROM STDIN (FORMAT binary)".to_owned(), data);
    let end: &[u8] = b"\xff\xff";
    let inputs = [
        text("COPY t FROM STDIN", "1\tone\n2\t\\N\n3\t\n"),
        text("COPY t FROM STDOUT", "1\tone\n"),
        text("COPY t FROM STDIN (HEADER)", "anything\n1\tone\n"),
        text("COPY t FROM STDIN (HEADER match)", "a\tb\n1\tone\n"),
        text("COPY t FROM STDIN (HEADER match)", "a\tc\n1\tone\n"),
        text("COPY t FROM STDIN (HEADER match)", "a\n1\tone\n"),
        text(
            "COPY t FROM STDIN (FORMAT csv, HEADER match)",
            "\"a\",b\n1,one\n",
        ),
        text(
            "COPY t (b, a) FROM STDIN (FORMAT csv, HEADER match)",
            "b,a\nx,1\n",
        ),
        text(
            "COPY t FROM STDIN (FORMAT csv)",
            "1,\n2,\"\"\n3,\"a,b\"\"c\"\n",
        ),
        text(
            "COPY t FROM STDIN (FORMAT csv, FORCE_NOT_NULL (b))",
            "1,\n2,\"\"\n",
        ),
        text(
            "COPY t FROM STDIN (FORMAT csv, FORCE_NULL (b))",
            "1,\n2,\"\"\n",
        ),
        text(
            "COPY t FROM STDIN (FORMAT csv, FORCE_NULL (b), NULL 'x')",
            "1,x\n2,\"x\"\n",
        ),
        text("COPY t FROM STDIN CSV FORCE NOT NULL b", "1,\n2,\"\"\n"),
        text("COPY t FROM STDIN CSV FORCE NULL b", "1,\n2,\"\"\n"),
        text("COPY t FROM STDIN CSV HEADER DELIMITER ';'", "a;b\n1;one\n"),
        text("COPY t FROM STDIN DELIMITERS ','", "1,one\n"),
        text(
            "COPY t FROM STDIN (DELIMITER '|', NULL 'none')",
            "1|none\nnone|x\n",
        ),
        text(
            "COPY t FROM STDIN (FORMAT csv, QUOTE '''', ESCAPE '\\')",
            "1,'it\\'s'\n",
        ),
        text(
            "COPY t FROM STDIN WHERE a > 1 AND b <> 'three'",
            "1\tone\n2\ttwo\n3\tthree\n\\N\tx\n",
        ),
        text("COPY t (a) FROM STDIN WHERE b IS NULL", "1\n2\n"),
        text(
            "COPY t FROM STDIN (FORMAT csv) WHERE t.a % 2 = 0",
            "1,one\n2,two\n",
        ),
        text("COPY t FROM STDIN WHERE 'true'", "1\tone\n"),
        text("COPY t FROM STDIN WHERE NULL", "1\tone\n"),
        text("COPY t FROM STDIN WHERE false", "x\tone\n"),
        text("COPY t FROM STDIN", "1\n"),
        text("COPY t FROM STDIN", "1\tone\ttwo\n"),
        text("COPY t FROM STDIN", "1\tone\nx\ttwo\n"),
        text(
            "COPY short FROM STDIN CSV",
            "1.25,abc,\"{1,2}\",2026-11-22 10:00:00.7\n",
        ),
        text("COPY short FROM STDIN CSV", "1.25,abcd,,\n"),
        text("COPY short FROM STDIN CSV", "12345,abc,,\n"),
        (
            "COPY t FROM STDIN (ENCODING 'LATIN1')".to_owned(),
            b"1\t\xe9\n".to_vec(),
        ),
        (
            "COPY t FROM STDIN (ENCODING 'win1252')".to_owned(),
            b"1\t\x80\n".to_vec(),
        ),
        (
            "COPY t FROM STDIN (FORMAT csv, ENCODING 'LATIN9')".to_owned(),
            b"1,\xa4\n".to_vec(),
        ),
        bytes(binary(&[ONE_ROW, end])),
        bytes(binary(&[ONE_ROW, ONE_ROW])),
        bytes(binary(&[ONE_ROW, b"\0"])),
        bytes(binary(&[])),
        bytes(binary(&[ONE_ROW, end, b"x"])),
        bytes(binary(&[end, ONE_ROW])),
        bytes(b"".to_vec()),
        bytes(b"PGCO".to_vec()),
        bytes(b"1\tone\n2\ttwo\n".to_vec()),
        bytes(b"PGCOPY\n\xff\r\n\0".to_vec()),
        bytes(b"PGCOPY\n\xff\r\n\0\0\0".to_vec()),
        bytes(b"PGCOPY\n\xff\r\n\0\0\x01\0\0\0\0\0\0".to_vec()),
        bytes(b"PGCOPY\n\xff\r\n\0\0\x02\0\0\0\0\0\0".to_vec()),
        bytes(b"PGCOPY\n\xff\r\n\0\0\0\0\x07\0\0\0\0\xff\xff".to_vec()),
        bytes(b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0".to_vec()),
        bytes(b"PGCOPY\n\xff\r\n\0\0\0\0\0\xff\xff\xff\xff".to_vec()),
        bytes(b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\x05abc".to_vec()),
        bytes([b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\x03abc", ONE_ROW, end].concat()),
        bytes(binary(&[b"\0\x01\0\0\0\x04\0\0\0\x01"])),
        bytes(binary(&[b"\0\x03"])),
        bytes(binary(&[b"\xff\xfe"])),
        bytes(binary(&[b"\0\x02\0\0\0\x04\0\0"])),
        bytes(binary(&[b"\0\x02\0\0\0\x04\0\0\0\x01"])),
        bytes(binary(&[b"\0\x02\0\0\0\x04\0\0\0\x01\0\0"])),
        bytes(binary(&[b"\0\x02\xff\xff\xff\xfe\0\0\0\0"])),
        bytes(binary(&[b"\0\x02\0\0\0\x03abc\0\0\0\0"])),
        bytes(binary(&[b"\0\x02\0\0\0\x05abcde\0\0\0\0"])),
        bytes(binary(&[b"\0\x02\xff\xff\xff\xff\xff\xff\xff\xff", end])),
        bytes(binary(&[b"\0\x02\xff\xff\xff\xff\0\0\0\x01\xe9", end])),
        bytes(binary(&[b"\0\x02\xff\xff\xff\xff\0\0\0\x01\0", end])),
        (
            "COPY t (b) FROM STDIN (FORMAT binary) WHERE b <> 'x'".to_owned(),
            binary(&[b"\0\x01\0\0\0\x01x", b"\0\x01\0\0\0\x01y", end]),
        ),
        (
            "COPY short (b) FROM STDIN BINARY".to_owned(),
            binary(&[b"\0\x01\0\0\0\x04abcd", end]),
        ),
        (
            "COPY short (a) FROM STDIN BINARY".to_owned(),
            binary(&[b"\0\x01\0\0\0\x0a\0\x01\0\0\0\0\0\0\x27\x0f", end]),
        ),
        (
            "COPY short (d) FROM STDIN BINARY".to_owned(),
            binary(&[b"\0\x01\0\0\0\x08\0\0\0\0\0\x0f\x00\x00", end]),
        ),
        (
            "COPY short (c) FROM STDIN BINARY".to_owned(),
            binary(&[
                b"\0\x01\0\0\0\x14\0\0\0\x01\0\0\0\0\0\0\0\x19\0\0\0\0\0\0\0\x01",
                end,
            ]),
        ),
        (
            "COPY short (c) FROM STDIN BINARY".to_owned(),
            binary(&[b"\0\x01\0\0\0\x0c\0\0\0\0\0\0\0\x07\0\0\0\x17", end]),
        ),
        (
            "COPY short (c) FROM STDIN BINARY".to_owned(),
            binary(&[b"\0\x01\0\0\0\x0c\xff\xff\xff\xff\0\0\0\0\0\0\0\x17", end]),
        ),
    ];
    let mut wrong = String::new();
    for (sql, data) in inputs {
        let table = if sql.contains(" short ") {
            "short"
        } else {
            "t"
        };
        let read = format!("COPY {table} TO STDOUT");
        let mut theirs = both.theirs(&sql, &data);
        let mut ours = both.ours(&sql, &data);
        if theirs.is_ok() && ours.is_ok() {
            (theirs, ours) = (both.theirs(&read, b""), both.ours(&read, b""));
        }
        both.must(&format!("TRUNCATE {table}"));
        if theirs != ours {
            let (theirs, ours) = (shown(&theirs), shown(&ours));
            let data = String::from_utf8_lossy(&data);
            let _ = writeln!(wrong, "{sql} {data:?}\n  here  {ours}\n  there {theirs}");
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

#[test]
fn files_of_the_server_go_both_ways() {
    let db = Db::new();
    let mut session = db.session();
    session.ok("CREATE TABLE t (a int PRIMARY KEY, b text)");
    session.ok("INSERT INTO t SELECT i, 'row ' || i FROM generate_series(1, 30000) AS g(i)");
    let directory = tempfile::tempdir().unwrap();
    for format in ["text", "csv", "binary"] {
        let path = directory.path().join(format);
        let path = path.to_str().unwrap();
        session.ok("DROP TABLE IF EXISTS back");
        session.ok("CREATE TABLE back (a int PRIMARY KEY, b text)");
        let out = session.ok(&format!("COPY t TO '{path}' (FORMAT {format})"));
        assert_eq!(out, "COPY 30000\n");
        let into = format!("COPY back FROM '{path}' (FORMAT {format})");
        assert_eq!(
            session.ok(&format!("{into} WHERE a <= 20000")),
            "COPY 20000\n"
        );
        // A file that fails on the way leaves nothing behind.
        let refused = session.run(&into);
        assert!(refused.contains("ERROR 23505"), "{refused}");
        let same = "SELECT count(*) FROM back JOIN t USING (a) WHERE back.b = t.b";
        assert_eq!(session.ok(same), "count\n20000\n");
    }
    session.ok("CREATE ROLE plain LOGIN");
    session.ok("ALTER TABLE t OWNER TO plain");
    let mut plain = db.session_of("plain");
    for (sql, role) in [
        ("COPY t TO '/nowhere/to/be/found'", "pg_write_server_files"),
        ("COPY t FROM '/nowhere/to/be/found'", "pg_read_server_files"),
    ] {
        let refused = plain.run(sql);
        assert!(
            refused.starts_with("ERROR 42501") && refused.contains(role),
            "{refused}"
        );
    }
}
