//! The real thing: psql loads nycflights13, 336,776 flights with their foreign keys, and the queries
//! answer what PostgreSQL 15 answered.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::psql::psql;
use crate::{Running, have, text};

/// In the order of the schema, so that what is referenced is there first.
const TABLES: [&str; 5] = ["airlines", "airports", "planes", "weather", "flights"];

fn data() -> Option<PathBuf> {
    let directory = std::env::var_os("HELIOS_FLIGHTS").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/nycflights13"),
        PathBuf::from,
    );
    let found = directory.join("flights.csv.gz").is_file();
    if !found {
        println!(
            "skipped: no data in {} (set HELIOS_FLIGHTS)",
            directory.display()
        );
    }
    found.then_some(directory)
}

/// The table's CSV file, unpacked if need be.
fn csv(data: &Path, table: &str, scratch: &Path) -> PathBuf {
    let plain = data.join(format!("{table}.csv"));
    if plain.is_file() {
        return plain;
    }
    let packed = data.join(format!("{table}.csv.gz"));
    let unpacked = Command::new("gzip")
        .arg("-dc")
        .arg(packed)
        .output()
        .unwrap();
    assert!(unpacked.status.success(), "{}", text(&unpacked.stderr));
    let file = scratch.join(format!("{table}.csv"));
    fs::write(&file, unpacked.stdout).unwrap();
    file
}

#[test]
fn the_flights_load_and_answer() {
    let Some(data) = data() else { return };
    if !have("psql", "--version") || !have("gzip", "--version") {
        return;
    }
    let scratch = tempfile::tempdir().unwrap();
    let running = Running::start(&scratch.path().join("db"), "trust");
    let run = |arguments: &[&str]| {
        let output = psql(&running, arguments);
        assert!(
            output.status.success(),
            "{arguments:?}: {}",
            text(&output.stderr)
        );
        text(&output.stdout)
    };
    run(&["-f", data.join("schema.sql").to_str().unwrap()]);
    for table in TABLES {
        let file = csv(&data, table, scratch.path());
        run(&[
            "-c",
            &format!(
                "\\copy {table} from '{}' with (format csv, header, null 'NA')",
                file.display()
            ),
        ]);
    }
    let answered = run(&["--csv", "-f", data.join("queries.sql").to_str().unwrap()]);
    let expected = fs::read_to_string(data.join("expected.csv")).unwrap();
    for (number, (got, wanted)) in answered.lines().zip(expected.lines()).enumerate() {
        assert_eq!(got, wanted, "line {} of expected.csv", number + 1);
    }
    assert_eq!(answered.lines().count(), expected.lines().count());
    // The same after a restart.
    assert_eq!(running.stop(), Some(0));
    let running = Running::start(&scratch.path().join("db"), "trust");
    let output = psql(
        &running,
        &["--csv", "-f", data.join("queries.sql").to_str().unwrap()],
    );
    assert_eq!(text(&output.stdout), expected);
}
