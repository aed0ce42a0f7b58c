//! COMPRESSION: methods of the kernel's own and a plugin's codec, from DDL to the pages.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, BooleanArray, StringViewArray};
use arrow::datatypes::DataType;
use expect_test::{Expect, expect};
use heliosdb_plugin_api::{
    Codec, Comparison, Error, Host, Plugin, Registrar, Result, Settings, root,
};
use heliosdb_plugin_host::config::Activation;
use heliosdb_storage::Options;
use parking_lot::Mutex;

use crate::support::{Db, Plugins};

struct Pack;

impl Plugin for Pack {
    const MANIFEST: &'static str = r#"
        id = "pack"
        version = "1.0.0"
        abi = 1
        [[codec]]
        name = "runs"
        types = ["text"]
    "#;

    fn start(_: Host, _: &Settings) -> Result<Pack> {
        Ok(Pack)
    }

    fn register(self: &Arc<Self>, registrar: &mut Registrar) -> Result<()> {
        registrar.codec("runs", Runs)
    }
}

/// Lengths of runs and their texts, one a line; has nothing to offer for NULLs and line breaks.
struct Runs;

impl Codec for Runs {
    fn analyze(&self, block: &ArrayRef) -> Result<Option<u64>> {
        let fits = |text: Option<&str>| text.is_some_and(|text| !text.contains('\n'));
        match block.as_string_view().iter().all(fits) {
            true => self.encode(block).map(|encoded| Some(encoded.len() as u64)),
            false => Ok(None),
        }
    }

    fn encode(&self, block: &ArrayRef) -> Result<Vec<u8>> {
        let texts: Vec<&str> = block.as_string_view().iter().flatten().collect();
        let runs = texts.chunk_by(|a, b| a == b);
        let lines = runs.map(|run| format!("{} {}\n", run.len(), run[0]));
        Ok(lines.collect::<String>().into_bytes())
    }

    fn decode(&self, encoded: &[u8], _: &DataType, _: usize) -> Result<ArrayRef> {
        let damaged = || Error::contract("not what was encoded");
        let mut texts = Vec::new();
        for line in std::str::from_utf8(encoded).map_err(|_| damaged())?.lines() {
            let (count, text) = line.split_once(' ').ok_or_else(damaged)?;
            let count: usize = count.parse().map_err(|_| damaged())?;
            texts.extend(std::iter::repeat_n(text, count));
        }
        Ok(Arc::new(StringViewArray::from(texts)))
    }
}

/// As `pack`, with a codec that filters, too.
struct Sift;

impl Plugin for Sift {
    const MANIFEST: &'static str = r#"
        id = "sift"
        version = "1.0.0"
        abi = 1
        [[codec]]
        name = "sieve"
        types = ["text"]
    "#;

    fn start(_: Host, _: &Settings) -> Result<Sift> {
        Ok(Sift)
    }

    fn register(self: &Arc<Self>, registrar: &mut Registrar) -> Result<()> {
        registrar.codec("sieve", Sieve)
    }
}

/// What [`Sieve`] was asked since it was last looked at.
static ASKED: Mutex<Vec<String>> = Mutex::new(Vec::new());

struct Sieve;

impl Codec for Sieve {
    fn analyze(&self, block: &ArrayRef) -> Result<Option<u64>> {
        Runs.analyze(block)
    }

    fn encode(&self, block: &ArrayRef) -> Result<Vec<u8>> {
        Runs.encode(block)
    }

    fn decode(&self, encoded: &[u8], ty: &DataType, rows: usize) -> Result<ArrayRef> {
        Runs.decode(encoded, ty, rows)
    }

    fn filter(
        &self,
        encoded: &[u8],
        rows: usize,
        comparison: Comparison,
        constants: &ArrayRef,
    ) -> Result<Option<BooleanArray>> {
        let constants: Vec<&str> = constants.as_string_view().iter().flatten().collect();
        ASKED.lock().push(format!("{comparison:?} {constants:?}"));
        assert!(!constants.contains(&"boom"), "it goes off");
        let block = Runs.decode(encoded, &DataType::Utf8View, rows)?;
        let meets = |text: &str| match comparison {
            Comparison::Equal => text == constants[0],
            Comparison::NotEqual => text != constants[0],
            Comparison::Less => text < constants[0],
            Comparison::LessOrEqual => text <= constants[0],
            Comparison::Greater => text > constants[0],
            Comparison::GreaterOrEqual => text >= constants[0],
            Comparison::In => constants.contains(&text),
            Comparison::StartsWith => text.starts_with(constants[0]),
        };
        let found = block.as_string_view().iter().map(|text| text.map(meets));
        Ok(Some(found.collect()))
    }
}

/// The plugin, on or off.
pub fn pack(activation: Activation) -> Plugins {
    let mut plugins = Plugins {
        roots: vec![root::<Pack>()],
        ..Plugins::default()
    };
    let config = &mut plugins.config.plugins;
    config.entry("pack".to_owned()).or_default().activation = activation;
    plugins
}

fn check_in(db: &Db, sql: &str, expected: Expect) {
    expected.assert_eq(&db.session().run(sql));
}

fn check(sql: &str, expected: Expect) {
    check_in(&Db::with(&pack(Activation::On)), sql, expected);
}

const STATS: &str = "SELECT attname, method, codec, pages, raw_bytes > 2 * stored_bytes AS halved
FROM helios_compression_stats WHERE tablename = 't' ORDER BY attname, codec;";

#[test]
fn a_column_is_stored_with_the_method_it_was_given() {
    check(
        &format!(
            "CREATE TABLE t (id int PRIMARY KEY, a text COMPRESSION runs NOT NULL, b text, c text COMPRESSION none DEFAULT 'c');
INSERT INTO t SELECT n, 'a' || n / 500, 'b' FROM generate_series(1, 1000) n;
{STATS}
CHECKPOINT;
{STATS}
ALTER TABLE t ALTER b SET COMPRESSION runs, ALTER COLUMN c SET COMPRESSION zstd, ADD d varchar(9) COMPRESSION runs DEFAULT 'd';
INSERT INTO t SELECT n, 'a', 'b' FROM generate_series(1001, 2000) n;
CHECKPOINT;
{STATS}
SELECT a, b, c, d, count(*) FROM t GROUP BY a, b, c, d ORDER BY a;
ALTER TABLE t SET COMPRESSION default;
SELECT count(*) FROM helios_compression_stats WHERE tablename = 't' AND method <> 'default';"
        ),
        expect![[r#"
            CREATE TABLE
            INSERT 0 1000
            attname | method | codec | pages | halved
            a | runs | NULL | 0 | f
            c | none | NULL | 0 | f
            CHECKPOINT
            attname | method | codec | pages | halved
            a | runs | runs | 1 | t
            b | default | dict | 1 | t
            c | none | none | 1 | f
            id | default | bitpacking | 1 | t
            ALTER TABLE
            INSERT 0 1000
            CHECKPOINT
            attname | method | codec | pages | halved
            a | runs | runs | 2 | t
            b | runs | dict | 1 | t
            b | runs | runs | 1 | t
            c | zstd | none | 1 | f
            c | zstd | zstd | 1 | t
            d | runs | runs | 1 | t
            id | default | bitpacking | 2 | t
            a | b | c | d | count
            a | b | c | d | 1000
            a0 | b | c | d | 499
            a1 | b | c | d | 500
            a2 | b | c | d | 1
            ALTER TABLE
            count
            0
        "#]],
    );
}

/// Sizes are those of pages in files, so a table has one when it was flushed.
#[test]
fn what_a_table_takes_and_why_its_pages_have_their_codecs() {
    check(
        "CREATE TABLE t (id int PRIMARY KEY, a text, b text COMPRESSION none);
INSERT INTO t SELECT n, 'a' || n % 3, 'b' || n FROM generate_series(1, 5000) n;
SELECT pg_relation_size('t'), pg_relation_size('t_pkey');
CHECKPOINT;
SELECT pg_relation_size('t') BETWEEN 40000 AND 90000 AS rows, pg_relation_size('t_pkey') BETWEEN 100 AND 20000 AS keys,
    pg_total_relation_size('t') = pg_table_size('t') + pg_indexes_size('t') AS total,
    pg_relation_size('t') > (SELECT sum(stored_bytes) FROM helios_compression_stats WHERE tablename = 't') AS framed;
SELECT attname, codec, round(bits_per_value::numeric) AS bits, reason FROM helios_compression_stats WHERE tablename = 't' ORDER BY attnum;",
        expect![[r#"
            CREATE TABLE
            INSERT 0 5000
            pg_relation_size | pg_relation_size
            0 | 0
            CHECKPOINT
            rows | keys | total | framed
            t | t | t | t
            attname | codec | bits | reason
            id | bitpacking | 0 | 99 % shorter than none
            a | dict | 2 | 95 % shorter than none
            b | none | 70 | the column asks for it
        "#]],
    );
}

/// A date plus an interval is a timestamp; a scan compares dates all the same.
#[test]
fn dates_are_held_against_timestamps_in_storage() {
    check(
        "CREATE TABLE t (n int, d date);
INSERT INTO t SELECT n, date '2000-01-01' + n FROM generate_series(0, 9999) n;
CHECKPOINT;
EXPLAIN SELECT n FROM t WHERE d >= date '2003-01-01' AND d < date '2003-01-01' + interval '1 month';
SELECT count(*), min(d), max(d) FROM t WHERE d >= date '2003-01-01' AND d < date '2003-01-01' + interval '1 month';
SELECT count(*), max(d) FROM t WHERE d < timestamp '2000-01-03 00:00:01' OR timestamp '2027-05-17 12:00' < d;
SELECT count(*), max(d) FROM t WHERE d < timestamp '2000-01-03 00:00:01';
SELECT count(*), min(d) FROM t WHERE timestamp '2027-05-17 12:00' <= d;
SELECT count(*) FROM t WHERE d = timestamp '2000-01-03 00:00:01';
SELECT n FROM t WHERE d = timestamp '2000-01-03';",
        expect![[r#"
            CREATE TABLE
            INSERT 0 10000
            CHECKPOINT
            QUERY PLAN
            FilterExec: d@1 >= 2003-01-01 AND cast(d@1) < 1044057600000000, projection=[n@0]
              CooperativeExec
                TableScan: table=t, zone_maps=1
            EXPLAIN
            count | min | max
            31 | 2003-01-01 | 2003-01-31
            count | max
            4 | 2027-05-18
            count | max
            3 | 2000-01-03
            count | min
            1 | 2027-05-18
            count
            0
            n
            2
        "#]],
    );
}

/// An index is for few rows; when it names many, the columns are read.
#[test]
fn an_index_is_left_when_it_names_many_rows() {
    check(
        "CREATE TABLE t (n int, m int);
CREATE INDEX ON t (n);
INSERT INTO t SELECT n, n % 7 FROM generate_series(1, 20000) n;
CHECKPOINT;
EXPLAIN SELECT m FROM t WHERE n < 100;
EXPLAIN SELECT m FROM t WHERE n < 10000;
SELECT count(*), sum(m) FROM t WHERE n < 100;
SELECT count(*), sum(m) FROM t WHERE n < 10000;",
        expect![[r#"
            CREATE TABLE
            CREATE INDEX
            INSERT 0 20000
            CHECKPOINT
            QUERY PLAN
            FastPath
              Projection: expr=[m@1 as m]
                Filter: n@0 < 100
                  IndexRead: table=t, index=t_n_idx
            EXPLAIN
            QUERY PLAN
            FilterExec: n@0 < 10000, projection=[m@1]
              CooperativeExec
                TableScan: table=t, zone_maps=1
            EXPLAIN
            count | sum
            99 | 295
            count | sum
            9999 | 29994
        "#]],
    );
}

#[test]
fn a_method_that_is_not_there_or_not_for_the_type_is_refused() {
    check(
        "CREATE TABLE t (a text COMPRESSION lz9);
CREATE TABLE t (a int COMPRESSION runs);
CREATE TABLE t (a int, b numeric);
ALTER TABLE t ALTER a SET COMPRESSION runs;
ALTER TABLE t SET COMPRESSION runs;
ALTER TABLE t ALTER nothing SET COMPRESSION none;
CREATE VIEW v AS SELECT 1 AS a;
ALTER TABLE v SET COMPRESSION none;
ALTER TABLE IF EXISTS missing SET COMPRESSION none;",
        expect![[r#"
            ERROR 22023: invalid compression method "lz9"
            HINT: Compression methods are default, none, zstd, runs.
            ERROR 0A000: column data type integer does not support compression method "runs"
            CREATE TABLE
            ERROR 0A000: column data type integer does not support compression method "runs"
            ERROR 0A000: column data type integer does not support compression method "runs"
            ERROR 42703: column "nothing" of relation "t" does not exist
            CREATE VIEW
            ERROR 42809: "v" is not a table
            NOTICE: relation "missing" does not exist, skipping
            ALTER TABLE
        "#]],
    );
    check(
        "ALTER TABLE t ALTER a SET COMPRESSION;",
        expect![[r#"
        ERROR 42601: syntax error at end of input
    "#]],
    );
}

#[test]
fn an_extension_stays_while_a_column_uses_its_codec() {
    check(
        "CREATE TABLE t (a text COMPRESSION runs);
DROP EXTENSION pack;
SELECT d.refobjid = e.oid AS on_extension, d.objid::regclass, d.objsubid FROM pg_depend d JOIN pg_extension e ON d.refobjid = e.oid WHERE d.classid = 'pg_class'::regclass;
DROP EXTENSION pack CASCADE;
SELECT count(*) FROM helios_compression_stats;
ALTER TABLE t ALTER a SET COMPRESSION runs;
CREATE EXTENSION pack;
ALTER TABLE t ALTER a SET COMPRESSION runs;
BEGIN;
ALTER TABLE t ALTER a SET COMPRESSION none;
ROLLBACK;
SELECT method FROM helios_compression_stats;",
        expect![[r#"
            CREATE TABLE
            ERROR 2BP01: cannot drop extension pack because other objects depend on it
            DETAIL: compression of column a of table t depends on extension pack
            HINT: Use DROP ... CASCADE to drop the dependent objects too.
            on_extension | objid | objsubid
            t | t | 1
            NOTICE: drop cascades to compression of column a of table t
            DROP EXTENSION
            count
            0
            ERROR 0A000: codec runs cannot be used: plugin "pack" is not installed in this database
            HINT: Use CREATE EXTENSION pack.
            CREATE EXTENSION
            ALTER TABLE
            BEGIN
            ALTER TABLE
            ROLLBACK
            method
            runs
        "#]],
    );
}

/// Off, it decodes what there is; missing, its columns cannot be read, and everything else can.
#[test]
fn a_plugin_that_is_off_or_missing() {
    let db = Db::with(&pack(Activation::On));
    check_in(
        &db,
        "CREATE TABLE t (id int PRIMARY KEY, a text COMPRESSION runs);
INSERT INTO t SELECT n, 'a' FROM generate_series(1, 1000) n;
CHECKPOINT;",
        expect![[r#"
            CREATE TABLE
            INSERT 0 1000
            CHECKPOINT
        "#]],
    );
    let db = db.reopen_with(&pack(Activation::Off));
    check_in(
        &db,
        &format!(
            "SELECT a, count(*) FROM t GROUP BY a;
INSERT INTO t SELECT n, 'b' FROM generate_series(1001, 2000) n;
CHECKPOINT;
{STATS}
ALTER TABLE t ALTER a SET COMPRESSION runs;"
        ),
        expect![[r#"
            a | count
            a | 1000
            INSERT 0 1000
            CHECKPOINT
            attname | method | codec | pages | halved
            a | runs | dict | 1 | t
            a | runs | runs | 1 | t
            id | default | bitpacking | 2 | t
            ERROR 0A000: codec runs cannot be used: plugin "pack" is disabled
            HINT: Set activation = "on" under [plugins.pack] in heliosdb.toml and restart the server.
        "#]],
    );
    let db = db.reopen();
    check_in(
        &db,
        "SELECT count(*) FROM t;
SELECT sum(id) FROM t WHERE id < 100;
SELECT id FROM t WHERE id = 7;
SELECT a FROM t WHERE id = 7;
SELECT a, count(*) FROM t GROUP BY a;
DELETE FROM t WHERE id = 7;
UPDATE t SET a = 'x' WHERE id = 8;
SELECT count(*) FROM t;",
        expect![[r#"
            count
            2000
            sum
            4950
            id
            7
            ERROR 55000: column "a" of relation "t" cannot be read: codec "runs" is missing
            HINT: Install or enable plugin "pack", which provides it.
            ERROR 55000: column "a" of relation "t" cannot be read: codec "runs" is missing
            HINT: Install or enable plugin "pack", which provides it.
            DELETE 1
            UPDATE 1
            count
            1999
        "#]],
    );
}

/// Of a table that is larger than the page cache, conditions are told by the codec.
#[test]
fn a_codec_is_asked_which_rows_are_wanted() {
    let plugins = Plugins {
        roots: vec![root::<Sift>()],
        ..Plugins::default()
    };
    let memory_bytes_max = 8 << 20;
    let options = Options {
        memory_bytes_max,
        ..Options::default()
    };
    let db = Db::with_plugins_and_options(&plugins, options);
    let mut s = db.session();
    s.ok("CREATE TABLE packed (id int PRIMARY KEY, word text COMPRESSION sieve NOT NULL)");
    s.ok("CREATE TABLE plain (id int PRIMARY KEY, word text COMPRESSION none NOT NULL)");
    let word = "repeat(chr(97 + n / 64 % 26), 40) || n / 64 % 7";
    for table in ["packed", "plain"] {
        s.ok(&format!(
            "INSERT INTO {table} SELECT n, {word} FROM generate_series(1, 150000) n"
        ));
    }
    s.ok("CHECKPOINT");
    s.ok("VACUUM");
    let a = |letter: char, digit: u8| format!("{}{digit}", letter.to_string().repeat(40));
    let (d3, k1) = (a('d', 3), a('k', 1));
    for (condition, asked) in [
        (format!("word = '{d3}'"), format!("Equal [{d3:?}]")),
        (
            format!("word IN ('{d3}', '{k1}', 'nothing')"),
            format!("In [{d3:?}, {k1:?}, \"nothing\"]"),
        ),
        (
            "word LIKE 'kkkkk%'".to_owned(),
            "StartsWith [\"kkkkk\"]".to_owned(),
        ),
        (format!("word < '{d3}'"), format!("Less [{d3:?}]")),
        (
            format!("word >= '{k1}'"),
            format!("GreaterOrEqual [{k1:?}]"),
        ),
    ] {
        let mut count = |table: &str| {
            s.run(&format!(
                "SELECT count(*), sum(id), min(word), max(word) FROM {table} WHERE {condition}"
            ))
        };
        ASKED.lock().clear();
        let found = count("packed");
        let questions = std::mem::take(&mut *ASKED.lock());
        assert!(questions.contains(&asked), "{condition}: {questions:?}");
        assert!(!found.contains(" | | "), "{found}");
        assert_eq!(found, count("plain"), "{condition}");
    }
    // One that panics is not asked again, and what it encoded can be read.
    for boom in [true, false] {
        ASKED.lock().clear();
        for condition in ["word IN ('boom', 'bang')", "word > 'b'"] {
            let sql = |table| format!("SELECT count(*) FROM {table} WHERE {condition}");
            assert_eq!(s.ok(&sql("packed")), s.ok(&sql("plain")), "{condition}");
        }
        assert_eq!(ASKED.lock().len(), usize::from(boom));
    }
}
