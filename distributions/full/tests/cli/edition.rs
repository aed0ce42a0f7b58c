//! Whose a directory is: each program opens its own, and a dump is the way from one to the other.

use std::fs;
use std::time::{Duration, Instant};

use crate::{Program, answers, cities, full, lite, scratch};

/// Every command that opens the database in `data`, with its status when it is refused.
fn commands(data: &str) -> Vec<(i32, Vec<&str>)> {
    let of = |words: &[&'static str]| [words, &["--data", data]].concat();
    vec![
        (1, [of(&["sql"]), vec!["-c", "SELECT 1"]].concat()),
        (1, of(&["serve", "--listen", "127.0.0.1:0"])),
        (1, of(&["export", "refused.dump"])),
        (1, of(&["plugin", "migrate"])),
        (1, of(&["plugin", "migrate", "--dry-run"])),
        (1, of(&["plugin", "finalize", "jsonschema"])),
        (1, of(&["plugin", "rollback", "jsonschema"])),
    ]
}

fn refused(program: &Program, (code, arguments): &(i32, Vec<&str>), why: &str, hint: &str) {
    let said = program.fails(*code, arguments);
    assert!(said.contains(why), "{arguments:?}: {said}");
    assert!(said.contains("(SQLSTATE 55000)"), "{arguments:?}: {said}");
    assert!(said.contains(hint), "{arguments:?}: {said}");
}

#[test]
fn full_leaves_a_directory_of_lite_alone() {
    let scratch = scratch();
    let directory = scratch.path();
    let Some(lite) = lite(directory) else { return };
    cities(&lite, "db");
    let expected = answers(&lite, "db");
    lite.ok(&["export", "--data", "db", "cities.dump"]);
    let full = full(directory);
    let verify = [
        "verify-migration",
        "--original",
        "cities.dump",
        "--data",
        "db",
    ];
    let verify = (2, verify.to_vec());
    for command in commands("db").iter().chain([&verify]) {
        refused(
            &full,
            command,
            "it is a database of HeliosDB Lite, and this is HeliosDB Full",
            "HINT:  Export it with \"heliosdb-lite export\"",
        );
    }
    assert!(!directory.join("refused.dump").exists());
    // No store was adopted, no extension installed, and Lite goes on.
    assert_eq!(answers(&lite, "db"), expected);
    let sql = "SELECT plugin FROM helios_plugin_stores UNION SELECT extname FROM pg_extension";
    let known = lite.sql("db", sql);
    assert!(known.contains("jsonschema"), "{known}");
    assert!(!known.contains("schema_registry"), "{known}");
    // The way that the hint names.
    full.ok(&["import", "cities.dump", "--data", "moved"]);
    assert_eq!(answers(&full, "moved"), expected);
}

#[test]
fn lite_leaves_a_directory_of_full_alone() {
    let scratch = scratch();
    let directory = scratch.path();
    let Some(lite) = lite(directory) else { return };
    cities(&lite, "db");
    lite.ok(&["export", "--data", "db", "cities.dump"]);
    let full = full(directory);
    full.ok(&["import", "cities.dump", "--data", "moved"]);
    full.sql("made", "CREATE TABLE t (a int)");
    for data in ["moved", "made"] {
        for command in &commands(data) {
            refused(
                &lite,
                command,
                "it is a database of HeliosDB Full, and this is HeliosDB Lite",
                "HINT:  Open it with heliosdb-full.",
            );
        }
        assert_eq!(full.sql(data, "SHOW helios.edition"), "full\n");
    }
    // And from Full to Full.
    full.ok(&["export", "--data", "moved", "full.dump"]);
    full.ok(&["import", "full.dump", "--data", "again"]);
    assert_eq!(answers(&full, "again"), answers(&full, "moved"));
    refused(
        &lite,
        &commands("again")[0],
        "it is a database of HeliosDB Full",
        "HINT:  Open it with heliosdb-full.",
    );
}

/// Killed at moments of its first start, from before it made anything to after it was done, Full opens
/// what it left.
#[test]
fn a_killed_first_start_is_made_up_for() {
    const KILLS: u32 = 12;
    let scratch = scratch();
    let directory = scratch.path();
    let full = full(directory);
    let start = ["sql", "--data", "x", "-c", "SELECT 1"];
    let began = Instant::now();
    full.ok(&start);
    let duration = began.elapsed();
    fs::remove_dir_all(directory.join("x")).unwrap();
    for kill in 0..=KILLS {
        let mut child = full.command(&start).spawn().unwrap();
        let until = Instant::now() + duration * kill / KILLS;
        while Instant::now() < until && child.try_wait().unwrap().is_none() {
            std::thread::sleep(Duration::from_micros(200));
        }
        let _ = child.kill();
        child.wait().unwrap();
        assert_eq!(full.sql("x", "SHOW helios.edition"), "full\n");
        fs::remove_dir_all(directory.join("x")).unwrap();
    }
}
