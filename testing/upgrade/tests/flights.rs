//! The flights of 2013 moved to Full: the queries give there what they gave in Lite, and what
//! PostgreSQL gave.
//!
//! The data is no part of the repository. Where its folder is absent the test says so and passes.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use heliosdb_kernel::Connection;
use heliosdb_upgrade::edition::{self, Edition};
use heliosdb_upgrade::transfer::{self, findings};

const TABLES: [&str; 5] = ["airlines", "airports", "planes", "weather", "flights"];

#[test]
fn the_flights_answer_alike_on_both_sides() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/nycflights13");
    if !data.is_dir() {
        println!("skipped: no flights at {}", data.display());
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let (dump, target) = (
        directory.path().join("flights.dump"),
        directory.path().join("full"),
    );
    let mut lite = Edition::Lite
        .open(&directory.path().join("lite"))
        .expect("a database");
    let schema = fs::read_to_string(data.join("schema.sql")).expect("the schema");
    lite.execute(&schema).expect("the schema is made");
    for table in TABLES {
        let rows = fs::read(plain(&data, table, directory.path())).expect("the rows");
        let sql = format!("COPY {table} FROM STDIN (FORMAT csv, HEADER, NULL 'NA')");
        let session = lite.session();
        session.execute_text(&sql).map(drop).expect(table);
        for piece in rows.chunks(1 << 20) {
            session.copy_in_data(piece).expect(table);
        }
        session.copy_in_done().expect(table);
    }
    let queries = fs::read_to_string(data.join("queries.sql")).expect("the queries");
    let expected = fs::read_to_string(data.join("expected.csv")).expect("the answers");
    assert_eq!(answers(&mut lite, &queries), expected, "in Lite");
    transfer::export(lite.database(), &dump).expect("a dump");

    let report = transfer::import(&dump, &target).expect("an import");
    println!("{}", report.to_text());
    let mut full = Edition::Full.open(&target).expect("a database");
    assert_eq!(answers(&mut full, &queries), expected, "in Full");
    edition::close(full).expect("it closes");
    let report = transfer::verify(&dump, &target).expect("a report");
    assert_eq!(findings(&report), [] as [String; 0]);
}

/// The file of a table, unpacked if it must be.
fn plain(data: &Path, table: &str, scratch: &Path) -> PathBuf {
    let plain = data.join(format!("{table}.csv"));
    if plain.exists() {
        return plain;
    }
    let unpacked = scratch.join(format!("{table}.csv"));
    let gzip = Command::new("gzip")
        .arg("-dc")
        .arg(data.join(format!("{table}.csv.gz")))
        .stdout(Stdio::from(File::create(&unpacked).expect("a file")))
        .status();
    assert!(gzip.expect("gzip runs").success());
    unpacked
}

/// All answers, as the expected file has them.
fn answers(connection: &mut Connection, queries: &str) -> String {
    let mut out = String::new();
    for sql in queries
        .split(";\n")
        .map(str::trim)
        .filter(|q| !q.is_empty())
    {
        let rows = connection.query(sql, &[]).expect(sql);
        let names: Vec<&str> = rows.columns().iter().map(|c| c.name.as_str()).collect();
        out.push_str(&(names.join(",") + "\n"));
        for row in &rows {
            let field = |at| csv(row.get::<Option<String>>(at).expect("text"));
            let fields: Vec<String> = (0..row.len()).map(field).collect();
            out.push_str(&(fields.join(",") + "\n"));
        }
    }
    out
}

fn csv(field: Option<String>) -> String {
    match field {
        None => String::new(),
        Some(text) if text.is_empty() || text.contains([',', '"', '\n']) => {
            format!("\"{}\"", text.replace('"', "\"\""))
        }
        Some(text) => text,
    }
}
