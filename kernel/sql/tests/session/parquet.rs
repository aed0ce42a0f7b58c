//! COPY in parquet: what goes out comes back, what others write comes in, and nothing that a client sends does harm.

use std::sync::Arc;

use arrow::array::*;
use arrow::datatypes::{Field, Int32Type};
use arrow::record_batch::RecordBatch;
use expect_test::expect;
use heliosdb_sql::Outcome;
use parquet::arrow::ArrowWriter;
use proptest::prelude::*;

use super::support::{Client, Db};

const WORLD: &str = "
    CREATE TYPE mood AS ENUM ('sad', 'ok');
    CREATE DOMAIN small AS int CHECK (VALUE < 100);
    CREATE TABLE t (
        k int PRIMARY KEY, b boolean, i2 smallint, i8 bigint, f4 real, f8 double precision, n numeric(10, 2), big numeric,
        s text, v varchar(5), c char(4), y bytea, d date, at time, ts timestamp, tz timestamptz, iv interval, u uuid,
        j json, jb jsonb, m mood, dom small, ints int[], texts text[], decimals numeric(5, 1)[], o oid);
    INSERT INTO t VALUES
        (1, true, -2, 9223372036854775807, 1.5, -0.1, 12345678.91, 1e50, 'ä', 'abc', 'x', '\\x00ff', '2026-02-28', '23:59:59.999999',
         '1969-12-31 23:59:59.999999', '2026-05-01 08:00+02', '1 mon 2 days 03:00', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11',
         '{\"a\" : 1}', '{\"b\": [1, null]}', 'ok', 99, '{1,NULL,3}', '{a,\"b c\",NULL}', '{1.5,-2}', 4294967295),
        (2, NULL, NULL, NULL, 'NaN', 'Infinity', NULL, NULL, '', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
         NULL, NULL, '{}', NULL, NULL, NULL);";

fn copied(client: &mut Client, sql: &str) -> Vec<u8> {
    let statement = client.0.parse(sql).unwrap().remove(0);
    let Outcome::CopyOut(mut out) = client.0.execute(&statement, &[]).unwrap() else {
        panic!("{sql}");
    };
    let mut bytes = Vec::new();
    while let Some(chunk) = out.next_chunk().unwrap() {
        assert_eq!(chunk.row_ends.last(), Some(&chunk.data.len()));
        bytes.extend(chunk.data);
    }
    bytes
}

#[test]
fn what_goes_out_comes_back() {
    let db = Db::new();
    let mut s = db.session();
    s.ok(WORLD);
    let all = s.ok("SELECT * FROM t ORDER BY k");
    for compression in ["zstd", "snappy", "gzip", "lz4", "uncompressed"] {
        let file = copied(
            &mut s,
            &format!("COPY t TO STDOUT (FORMAT parquet, COMPRESSION {compression})"),
        );
        assert!(file.starts_with(b"PAR1") && file.ends_with(b"PAR1"));
        s.ok("TRUNCATE t");
        assert_eq!(
            s.copy_in("COPY t FROM STDIN (FORMAT parquet)", &file),
            "COPY 2\n"
        );
        assert_eq!(s.ok("SELECT * FROM t ORDER BY k"), all, "{compression}");
    }
    // By a file of the server, in many groups, in another order of columns, and none at all.
    let path = tempfile::tempdir().unwrap();
    let path = path.path().join("many.parquet");
    let path = path.to_str().unwrap();
    s.ok("CREATE TABLE many (k int, s text); INSERT INTO many SELECT i, 'row ' || i FROM generate_series(1, 300000) g(i)");
    let sum = s.ok("SELECT count(*), sum(k), min(s), max(s) FROM many");
    s.ok(&format!(
        "COPY (SELECT s, k FROM many) TO '{path}' (FORMAT parquet); TRUNCATE many"
    ));
    let out = s.ok(&format!("COPY many FROM '{path}' (FORMAT parquet)"));
    assert_eq!(out, "COPY 300000\n");
    assert_eq!(
        s.ok("SELECT count(*), sum(k), min(s), max(s) FROM many"),
        sum
    );
    let none = copied(
        &mut s,
        "COPY (SELECT * FROM t WHERE false) TO STDOUT (FORMAT parquet)",
    );
    s.ok("TRUNCATE t");
    assert_eq!(
        s.copy_in("COPY t FROM STDIN (FORMAT parquet)", &none),
        "COPY 0\n"
    );
}

/// A file as another program could have made it.
fn file(columns: Vec<(&str, ArrayRef)>) -> Vec<u8> {
    let fields = columns.iter();
    let fields = fields.map(|(name, values)| Field::new(*name, values.data_type().clone(), true));
    let schema = Arc::new(arrow::datatypes::Schema::new(fields.collect::<Vec<_>>()));
    let arrays = columns.into_iter().map(|(_, values)| values).collect();
    let batch = RecordBatch::try_new(schema.clone(), arrays).unwrap();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, schema, None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    bytes
}

#[test]
fn files_of_others_come_in() {
    let db = Db::new();
    let mut s = db.session();
    s.ok("SET TimeZone = 'UTC'");
    let mut out = String::new();
    let mut load = |column: &str, values: ArrayRef| {
        s.ok(&format!("CREATE TABLE t (c {column})"));
        let from = values.data_type().to_string();
        out.push_str(&format!("{from} to {column}: "));
        let copied = s.copy_in(
            "COPY t FROM STDIN (FORMAT parquet)",
            &file(vec![("c", values)]),
        );
        match copied.starts_with("COPY") {
            true => out.push_str(
                s.ok("SELECT array_agg(c)::text FROM t")
                    .replace("array_agg\n", "")
                    .trim_end(),
            ),
            false => out.push_str(copied.lines().next().unwrap()),
        }
        out.push('\n');
        s.ok("DROP TABLE t");
    };
    let ints: ArrayRef = Arc::new(Int64Array::from(vec![Some(7), None, Some(40_000)]));
    let floats: ArrayRef = Arc::new(Float64Array::from(vec![0.1, 1e300]));
    let decimals: ArrayRef = Arc::new(
        Decimal128Array::from(vec![150, -25])
            .with_precision_and_scale(9, 2)
            .unwrap(),
    );
    let whole: ArrayRef = Arc::new(
        Decimal128Array::from(vec![15])
            .with_precision_and_scale(18, 0)
            .unwrap(),
    );
    let texts: ArrayRef = Arc::new(StringArray::from(vec!["12", " 13"]));
    let bytes: ArrayRef = Arc::new(BinaryArray::from(vec![&b"\x00\x01"[..]]));
    let nanos = TimestampNanosecondArray::from(vec![1_777_615_200_123_456_789]);
    let local: ArrayRef = Arc::new(nanos.clone());
    let utc: ArrayRef = Arc::new(nanos.with_timezone("UTC"));
    let millis: ArrayRef = Arc::new(Time32MillisecondArray::from(vec![86_399_999]));
    let lists: ArrayRef = Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>(vec![
        Some(vec![Some(1), None]),
        Some(vec![]),
    ]));
    let dictionary: ArrayRef = Arc::new(
        vec!["a", "b", "a"]
            .into_iter()
            .collect::<DictionaryArray<Int32Type>>(),
    );
    let nul: ArrayRef = Arc::new(StringArray::from(vec!["a\0b"]));
    for (column, values) in [
        ("bigint", &ints),
        ("int", &ints),
        ("smallint", &ints),
        ("numeric", &ints),
        ("numeric(3)", &ints),
        ("real", &ints),
        ("text", &ints),
        ("boolean", &ints),
        ("float8", &floats),
        ("real", &floats),
        ("numeric", &floats),
        ("int", &floats),
        ("numeric(4, 1)", &decimals),
        ("numeric", &decimals),
        ("float8", &decimals),
        ("int", &decimals),
        ("int", &whole),
        ("int", &texts),
        ("text", &texts),
        ("varchar(2)", &texts),
        ("date", &texts),
        ("jsonb", &texts),
        ("text", &nul),
        ("bytea", &bytes),
        ("text", &bytes),
        ("timestamp", &local),
        ("timestamptz", &local),
        ("timestamptz", &utc),
        ("timestamp", &utc),
        ("date", &utc),
        ("time", &millis),
        ("int[]", &lists),
        ("bigint[]", &lists),
        ("text[]", &lists),
        ("int", &lists),
        ("text", &dictionary),
    ] {
        load(column, values.clone());
    }
    expect![[r#"
        Int64 to bigint: {7,NULL,40000}
        Int64 to int: {7,NULL,40000}
        Int64 to smallint: ERROR 22003: smallint out of range
        Int64 to numeric: {7,NULL,40000}
        Int64 to numeric(3): ERROR 22003: numeric field overflow
        Int64 to real: {7,NULL,40000}
        Int64 to text: ERROR 42804: column "c" is of type text but the file has Int64
        Int64 to boolean: ERROR 42804: column "c" is of type boolean but the file has Int64
        Float64 to float8: {0.1,1e+300}
        Float64 to real: ERROR 22003: "1e300" is out of range for type real
        Float64 to numeric: {0.1,1000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000}
        Float64 to int: ERROR 42804: column "c" is of type integer but the file has Float64
        Decimal128(9, 2) to numeric(4, 1): {1.5,-0.3}
        Decimal128(9, 2) to numeric: {1.50,-0.25}
        Decimal128(9, 2) to float8: {1.5,-0.25}
        Decimal128(9, 2) to int: ERROR 22P02: invalid input syntax for type integer: "1.50"
        Decimal128(18, 0) to int: {15}
        Utf8 to int: {12,13}
        Utf8 to text: {12," 13"}
        Utf8 to varchar(2): ERROR 22001: value too long for type character varying(2)
        Utf8 to date: ERROR 22007: invalid input syntax for type date: "12"
        Utf8 to jsonb: {12,13}
        Utf8 to text: ERROR 22021: invalid byte sequence for encoding "UTF8": 0x00
        Binary to bytea: {"\\x0001"}
        Binary to text: ERROR 42804: column "c" is of type text but the file has Binary
        Timestamp(ns) to timestamp: {"2026-05-01 06:00:00.123456"}
        Timestamp(ns) to timestamptz: ERROR 42804: column "c" is of type timestamp with time zone but the file has timestamps without time zone
        Timestamp(ns, "UTC") to timestamptz: {"2026-05-01 06:00:00.123456+00"}
        Timestamp(ns, "UTC") to timestamp: ERROR 42804: column "c" is of type timestamp without time zone but the file has timestamps in UTC
        Timestamp(ns, "UTC") to date: ERROR 42804: column "c" is of type date but the file has timestamps in UTC
        Time32(ms) to time: {23:59:59.999}
        List(Int32) to int[]: {"{1,NULL}","{}"}
        List(Int32) to bigint[]: {"{1,NULL}","{}"}
        List(Int32) to text[]: ERROR 42804: column "c" is of type text but the file has Int32
        List(Int32) to int: ERROR 42804: column "c" is of type integer but the file has List(Int32)
        Dictionary(Int32, Utf8) to text: {a,b,a}
    "#]].assert_eq(&out);
}

#[test]
fn columns_are_found_by_name() {
    let db = Db::new();
    let mut s = db.session();
    s.ok("CREATE TABLE t (a int PRIMARY KEY, b text DEFAULT 'b', g int GENERATED ALWAYS AS (a * 2) STORED)");
    let numbers = || Arc::new(Int32Array::from(vec![1, 2])) as ArrayRef;
    let texts = || Arc::new(StringArray::from(vec!["x", "y"])) as ArrayRef;
    let both = file(vec![("b", texts()), ("a", numbers())]);
    let more = file(vec![("a", numbers()), ("b", texts()), ("c", numbers())]);
    let less = file(vec![("a", numbers())]);
    let twice = file(vec![("a", numbers()), ("b", texts()), ("b", texts())]);
    let mut out = String::new();
    for (sql, file) in [
        ("COPY t FROM STDIN (FORMAT parquet)", &both),
        ("COPY t FROM STDIN (FORMAT parquet)", &both),
        ("TRUNCATE t", &both),
        ("COPY t FROM STDIN (FORMAT parquet)", &more),
        (
            "COPY t (b, a) FROM STDIN (FORMAT parquet) WHERE a > 1",
            &more,
        ),
        ("TRUNCATE t", &both),
        ("COPY t FROM STDIN (FORMAT parquet)", &less),
        ("COPY t (a) FROM STDIN (FORMAT parquet)", &less),
        ("COPY t FROM STDIN (FORMAT parquet)", &twice),
        (
            "COPY t FROM STDIN (FORMAT parquet)",
            &b"a,b\n1,2\n".to_vec(),
        ),
        ("COPY t FROM STDIN (FORMAT parquet)", &Vec::new()),
        ("COPY t FROM STDIN (FORMAT parquet, HEADER)", &both),
        ("COPY t FROM STDIN (FORMAT parquet, DELIMITER ',')", &both),
        ("COPY t FROM STDIN (FORMAT parquet, NULL '')", &both),
        (
            "COPY t FROM STDIN (FORMAT parquet, ENCODING 'latin1')",
            &both,
        ),
        ("COPY t FROM STDIN (FORMAT parquet, QUOTE '''')", &both),
        ("COPY t FROM STDIN (FORMAT csv, COMPRESSION zstd)", &both),
        (
            "COPY t FROM STDIN (FORMAT parquet, COMPRESSION brotli)",
            &both,
        ),
    ] {
        let said = match sql.starts_with("COPY") {
            true => s.copy_in(sql, file),
            false => s.ok(sql),
        };
        out.push_str(&format!(
            "{sql}\n  {}\n",
            said.trim_end().replace('\n', "\n  ")
        ));
    }
    out.push_str(&s.ok("SELECT * FROM t ORDER BY a"));
    out.push_str(&s.run("COPY (SELECT 1 AS a, 2 AS a) TO STDOUT (FORMAT parquet)"));
    out.push_str(&s.run("CREATE TABLE no_columns (); COPY no_columns TO STDOUT (FORMAT parquet)"));
    let ends = [
        "date 'infinity'",
        "timestamp '-infinity'",
        "timestamptz 'infinity'",
    ];
    for end in ends {
        let statement = format!("COPY (SELECT {end} AS x) TO STDOUT (FORMAT parquet)");
        let statement = s.0.parse(&statement).unwrap().remove(0);
        let Outcome::CopyOut(mut copy) = s.0.execute(&statement, &[]).unwrap() else {
            panic!("no COPY");
        };
        let error = copy.next_chunk().unwrap_err();
        out.push_str(&format!("{}: {}\n", error.code.as_str(), error.message));
    }
    expect![[r#"
        COPY t FROM STDIN (FORMAT parquet)
          COPY 2
        COPY t FROM STDIN (FORMAT parquet)
          ERROR 23505: duplicate key value violates unique constraint "t_pkey"
          DETAIL: Key (a)=(1) already exists.
          CONTEXT: COPY t
        TRUNCATE t
          TRUNCATE TABLE
        COPY t FROM STDIN (FORMAT parquet)
          ERROR 22P04: the file has a column "c", and "t" has none
          HINT: Name the columns to copy: COPY … (a, b) FROM …
        COPY t (b, a) FROM STDIN (FORMAT parquet) WHERE a > 1
          COPY 1
        TRUNCATE t
          TRUNCATE TABLE
        COPY t FROM STDIN (FORMAT parquet)
          ERROR 22P04: the file has no column "b"
          HINT: Name the columns that it has: COPY … (a, b) FROM …
        COPY t (a) FROM STDIN (FORMAT parquet)
          COPY 2
        COPY t FROM STDIN (FORMAT parquet)
          ERROR 22P04: the file has more than one column "b"
        COPY t FROM STDIN (FORMAT parquet)
          ERROR 22P04: could not read Parquet data: Parquet error: Invalid Parquet file. Corrupt footer
        COPY t FROM STDIN (FORMAT parquet)
          ERROR 22P04: could not read Parquet data: EOF: Parquet file too small. Size is 0 but need 8
        COPY t FROM STDIN (FORMAT parquet, HEADER)
          ERROR 0A000: cannot specify HEADER in PARQUET mode
        COPY t FROM STDIN (FORMAT parquet, DELIMITER ',')
          ERROR 42601: cannot specify DELIMITER in PARQUET mode
        COPY t FROM STDIN (FORMAT parquet, NULL '')
          ERROR 42601: cannot specify NULL in PARQUET mode
        COPY t FROM STDIN (FORMAT parquet, ENCODING 'latin1')
          ERROR 0A000: the texts of a Parquet file are in UTF8
        COPY t FROM STDIN (FORMAT parquet, QUOTE '''')
          ERROR 0A000: COPY quote available only in CSV mode
        COPY t FROM STDIN (FORMAT csv, COMPRESSION zstd)
          ERROR 0A000: COPY compression available only in PARQUET mode
        COPY t FROM STDIN (FORMAT parquet, COMPRESSION brotli)
          ERROR 22023: COPY compression "brotli" not recognized
          HINT: It is one of uncompressed, snappy, gzip, lz4 and zstd.
        a | b | g
        1 | b | 2
        2 | b | 4
        ERROR 42701: column "a" specified more than once
        HINT: The columns of a Parquet file are found by their names.
        CREATE TABLE
        ERROR 0A000: COPY in PARQUET mode without columns is not supported
        22008: a Parquet file cannot have infinity as a date or a time
        22008: a Parquet file cannot have infinity as a date or a time
        22008: a Parquet file cannot have infinity as a date or a time
    "#]].assert_eq(&out);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// A damaged file is an error, or other rows; the session goes on.
    #[test]
    fn damaged_files_do_no_harm(damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6), cut in any::<Option<prop::sample::Index>>()) {
        thread_local! {
            static WORLD: (Db, Vec<u8>) = {
                let db = Db::new();
                let mut s = db.session();
                s.ok("CREATE TABLE t (a int, b text, c numeric(9, 2), d int[])");
                s.ok("INSERT INTO t SELECT i, 'text ' || i % 7, i / 3.0, ARRAY[i, NULL] FROM generate_series(1, 500) g(i)");
                let bytes = copied(&mut s, "COPY t TO STDOUT (FORMAT parquet)");
                (db, bytes)
            };
        }
        WORLD.with(|(db, whole)| {
            let mut bytes = whole.clone();
            for (at, byte) in &damage {
                *at.get_mut(&mut bytes) = *byte;
            }
            if let Some(cut) = cut {
                bytes.truncate(cut.index(bytes.len()));
            }
            let mut s = db.session();
            s.ok("BEGIN");
            let said = s.copy_in("COPY t FROM STDIN (FORMAT parquet)", &bytes);
            prop_assert!(!said.contains("XX"), "{}", said);
            s.ok("ROLLBACK");
            prop_assert_eq!(s.ok("SELECT count(*) FROM t"), "count\n500\n");
            Ok(())
        })?;
    }
}
