//! An import that ends in the middle: killed, or canceled by Ctrl-C.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use crate::{Program, full, lite, names, scratch};

const IMPORT: [&str; 4] = ["import", "rows.dump", "--data", "x"];
const KILLS: u32 = 8;

/// `rows.dump`, large enough that its import takes a while.
fn dumped(lite: &Program) {
    lite.sql(
        "db",
        "CREATE TABLE t (a bigint PRIMARY KEY, b text, c numeric);
         CREATE INDEX t_b ON t (b);
         INSERT INTO t SELECT n, 'row ' || (n * 7919 % 100003), n * 1.5 FROM generate_series(1, 60000) n",
    );
    lite.sql("db", "UPDATE t SET b = 'changed' WHERE a % 10 = 0");
    lite.sql("db", "CREATE JSON SCHEMA s AS 'true'");
    lite.ok(&["export", "--database", "db", "rows.dump"]);
}

/// The lines of an import's stderr; it ends when the import does.
fn import(full: &Program) -> (std::process::Child, Receiver<String>) {
    let mut child = full
        .command(&IMPORT)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let stderr = BufReader::new(child.stderr.take().unwrap());
    let (send, lines) = channel();
    std::thread::spawn(move || {
        for line in stderr.lines().map_while(Result::ok) {
            let _ = send.send(line);
        }
    });
    (child, lines)
}

/// How long an import takes here.
fn measure(full: &Program) -> Duration {
    let began = Instant::now();
    full.ok(&["import", "rows.dump", "--data", "measured"]);
    began.elapsed()
}

/// Some of the kills come before it did anything, some late; after every one the directory holds nothing
/// that opens, or all of it.
#[test]
fn a_killed_import_succeeds_the_next_time() {
    let scratch = scratch();
    let directory = scratch.path();
    let Some(lite) = lite(directory) else { return };
    dumped(&lite);
    let full = full(directory);
    let duration = measure(&full);
    let mut half = 0;
    for kill in 0..KILLS {
        let (mut child, lines) = import(&full);
        // A moment of the run: whatever it says until then is read.
        let until = Instant::now() + duration * kill / KILLS;
        while let Some(left) = until.checked_duration_since(Instant::now()) {
            if lines.recv_timeout(left).is_err() && child.try_wait().unwrap().is_some() {
                break;
            }
        }
        let _ = child.kill();
        let status = child.wait().unwrap();
        let pending = directory.join("x/import.pending").exists();
        if status.success() {
            assert!(!pending, "it ended well and is pending");
            std::fs::remove_dir_all(directory.join("x")).unwrap();
        } else if pending {
            half += 1;
            let said = full.fails(1, &["sql", "--data", "x", "-c", "SELECT 1"]);
            assert!(said.contains("import"), "{said}");
        } else if directory.join("x/wal").exists() {
            // Killed between the publishing and the end.
            full.ok(&["verify-migration", "--original", "rows.dump", "--data", "x"]);
            std::fs::remove_dir_all(directory.join("x")).unwrap();
        }
    }
    println!("{half} of {KILLS} kills left half a database");
    assert!(half > 0, "no kill came in the middle");
    full.ok(&IMPORT);
    full.ok(&[
        "verify-migration",
        "--original",
        "rows.dump",
        "--data",
        "x",
        "--check-indexes",
    ]);
    assert_eq!(
        full.sql("x", "SELECT count(*) FROM t WHERE b = 'changed'"),
        "6000\n"
    );
}

#[test]
fn ctrl_c_takes_everything_back() {
    let scratch = scratch();
    let directory = scratch.path();
    let Some(lite) = lite(directory) else { return };
    dumped(&lite);
    let full = full(directory);
    let before = names(directory);
    let (mut child, lines) = import(&full);
    // In the middle: the directory is marked.
    while !directory.join("x/import.pending").exists() {
        assert!(
            child.try_wait().unwrap().is_none(),
            "it ended before anything was seen"
        );
        std::thread::yield_now();
    }
    let pid = child.id().to_string();
    Command::new("kill").args(["-INT", &pid]).status().unwrap();
    let status = child.wait().unwrap();
    let said: Vec<String> = lines.iter().collect();
    assert_eq!(status.code(), Some(130), "{said:?}");
    assert!(
        said.iter().any(|line| line.contains("canceled")),
        "{said:?}"
    );
    assert_eq!(names(directory), before);
}
