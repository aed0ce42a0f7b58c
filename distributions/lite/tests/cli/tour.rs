//! The tour, all of it on little data: what it promises is what it shows, and what it suggests works.
//!
//! It ends in Full, so `heliosdb-full` must stand beside `heliosdb-lite`, where `cargo test --workspace`
//! puts both.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::{BINARY, lite, sql, text};

#[test]
fn the_tour_shows_what_it_says_and_suggests_what_works() {
    let full = Path::new(BINARY).with_file_name("heliosdb-full");
    assert!(
        full.is_file(),
        "{} is missing: cargo build --bin heliosdb-full",
        full.display()
    );
    let directory = tempfile::tempdir().unwrap();
    let kept = directory.path().join("tour");
    let keep = kept.to_str().unwrap();
    let output = lite(&["tour", "--scale", "0.01", "--keep", keep]);
    let shown = text(&output.stdout);
    assert!(output.status.success(), "{shown}\n{}", text(&output.stderr));
    for expected in [
        // TPC-H at this scale.
        "86,805 rows",
        "22 of 22 queries answered",
        "They were never gone for anybody else",
        "The table is back with its rows, the column was never there.",
        "SQLSTATE: 23505",
        "SQLSTATE: 23503",
        "SQLSTATE: 23514",
        "SQLSTATE: 40001",
        "SQLSTATE: 40002",
        "Ten pens and thirty hats are there again.",
        "The part has its name from main, and its price and note from the branch.",
        "The branch and the tag came along",
        r#"At "/stars", maximum: 9 is greater than the maximum of 5."#,
        "Read back, both are the same.",
        " Lost: 0. ",
        "Refused, and the directory for it was not even made.",
        "byte for byte",
        "It names the table, and its exit status is not 0.",
        "migration-report.html",
    ] {
        assert!(shown.contains(expected), "no {expected:?} in\n{shown}");
    }
    // The sum of 1 + 4 quantities in query 1, computed from the generated rows, is the same everywhere.
    assert!(shown.contains("380456.00"), "{shown}");

    // What it suggests to type works, on what it left behind.
    let suggested: Vec<&str> = shown
        .lines()
        .filter_map(|line| line.trim_start().strip_prefix("try> "))
        .collect();
    assert!(suggested.len() >= 8, "{suggested:?}");
    let arguments: Vec<&str> = suggested.iter().flat_map(|sql| ["-c", sql]).collect();
    sql(&kept.join("lite"), &arguments);

    // Both databases and the report are there for whoever looks.
    assert!(kept.join("full/migration-report.html").is_file());
    assert!(kept.join("tour.dump").is_file());
}

#[test]
fn a_tour_that_cannot_begin_says_why() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("file"), "").unwrap();
    let output = lite(&["tour", "--keep", directory.path().to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("is not empty"));
    for scale in ["0.001", "0.015", "11", "x"] {
        let output = lite(&["tour", "--scale", scale]);
        assert_eq!(output.status.code(), Some(2), "{scale}");
    }
}

/// Nobody should wait for the last step to hear what it needs.
#[test]
fn a_tour_without_full_says_so_at_its_start() {
    let directory = tempfile::tempdir().unwrap();
    let alone = directory.path().join("heliosdb-lite");
    std::fs::copy(BINARY, &alone).unwrap();
    let mut child = Command::new(&alone)
        .args(["tour", "--scale", "0.01", "--keep"])
        .arg(directory.path().join("tour"))
        .env("PATH", "")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let before_the_first_step: Vec<String> = lines
        .map(Result::unwrap)
        .take_while(|line| !line.starts_with("━━ 1."))
        .collect();
    child.kill().unwrap();
    child.wait().unwrap();
    let said = before_the_first_step.join(" ");
    assert!(
        said.contains("will fail: heliosdb-full is neither beside this program nor in PATH"),
        "{said}"
    );
}
