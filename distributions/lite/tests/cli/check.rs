//! `check`: what it says of a whole database and of a damaged one, and its exit status.

use std::fs;

use serde_json::Value;

use crate::{Running, lite, sql, text};

const CITIES: &str = "CREATE TABLE city (id int PRIMARY KEY, name text);
    INSERT INTO city SELECT g, 'city ' || g FROM generate_series(1, 2000) g";

#[test]
fn whole_damaged_and_not_to_be_checked() {
    let scratch = tempfile::tempdir().unwrap();
    let data = scratch.path().join("db");
    let name = data.to_str().unwrap();
    sql(&data, &["-c", CITIES, "-c", "CHECKPOINT"]);

    let output = lite(&["check", name]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let said = text(&output.stdout);
    assert!(said.ends_with("the database is whole\n"), "{said}");
    let output = lite(&["check", "--json", "--data", name]);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["verdict"], "whole");
    assert_eq!(report["findings"], serde_json::json!([]));
    assert_eq!(report["totals"]["rows"], 2000);

    let running = Running::start(&data, "trust");
    let output = lite(&["check", name]);
    assert_eq!(output.status.code(), Some(2));
    let said = text(&output.stderr);
    assert!(said.contains("in use by another process"), "{said}");
    assert!(
        said.contains("HINT:  A check needs the database for itself"),
        "{said}"
    );
    running.stop();

    // The first byte of the first page.
    let segments = fs::read_dir(data.join("segments")).unwrap();
    let path = segments.last().unwrap().unwrap().path();
    let whole = fs::read(&path).unwrap();
    let mut bytes = whole.clone();
    bytes[32] ^= 1;
    fs::write(&path, &bytes).unwrap();
    let output = lite(&["check", name]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    let said = text(&output.stdout);
    let file = path.file_name().unwrap().to_str().unwrap();
    let place = format!("DAMAGED      segments/{file} at byte 32, ");
    assert!(said.starts_with(&place), "{said}");
    assert!(said.ends_with("the database is damaged\n"), "{said}");
    let output = lite(&["check", "--json", name]);
    assert_eq!(output.status.code(), Some(1));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["verdict"], "damaged");
    assert_eq!(report["findings"][0]["kind"], "damage");
    assert_eq!(report["findings"][0]["offset"], 32);
    fs::write(&path, &whole).unwrap();

    let nowhere = scratch.path().join("nowhere");
    let output = lite(&["check", nowhere.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(2));
    assert!(!nowhere.exists());
    fs::write(data.join("import.pending"), "").unwrap();
    let output = lite(&["check", name]);
    assert_eq!(output.status.code(), Some(2), "{}", text(&output.stdout));
    let said = text(&output.stdout);
    assert!(said.contains("has not finished"), "{said}");
}
