//! What earlier builds wrote is read by this one: golden files of every version of the formats. See
//! `heliosdb_sim::golden`.
//!
//! A test here that fails is no reason to touch a file in `golden/`.

#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use heliosdb_sim::golden::{
    ADVICE, Files, LIST, VERSION, describe, later, list, machine, make, of_backup, of_restored,
    open, whole,
};
use heliosdb_sim::{SimDisk, golden};
use heliosdb_storage::check::{Check, CheckOptions, Finding, Kind, Watch};
use heliosdb_storage::ids::Ts;
use heliosdb_storage::io::Io;

/// All versions that there are files of.
const VERSIONS: std::ops::RangeInclusive<u32> = 1..=VERSION;
/// Of the files of one version.
const BYTES_MAX: usize = 450_000;

fn directory(version: u32) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("golden/v{version}"))
}

fn read(version: u32) -> Files {
    fn walk(root: &Path, inner: &Path, files: &mut Files) {
        for entry in fs::read_dir(root.join(inner)).unwrap() {
            let entry = entry.unwrap();
            let name = inner.join(entry.file_name());
            if entry.file_type().unwrap().is_dir() {
                walk(root, &name, files);
                continue;
            }
            let parts: Vec<_> = name.iter().map(|part| part.to_str().unwrap()).collect();
            files.insert(parts.join("/"), fs::read(root.join(&name)).unwrap());
        }
    }
    let mut files = Files::new();
    walk(&directory(version), Path::new(""), &mut files);
    let bytes: usize = files.values().map(Vec::len).sum();
    assert!(bytes < BYTES_MAX, "{bytes} bytes");
    whole(files)
}

fn text(files: &Files, name: &str) -> String {
    String::from_utf8(files[name].clone()).unwrap()
}

/// What is different, told by the first line of it.
#[track_caller]
fn same_text(found: &str, expected: &str, what: &str) {
    if found == expected {
        return;
    }
    let number = found
        .lines()
        .zip(expected.lines())
        .take_while(|(a, b)| a == b)
        .count();
    let (found, expected) = (found.lines().nth(number), expected.lines().nth(number));
    panic!(
        "{what}, line {}:\n  expected {expected:?}\n  found    {found:?}\n{ADVICE}",
        number + 1
    );
}

#[derive(Default)]
struct Findings(Vec<Finding>);

impl Watch for Findings {
    fn found(&mut self, finding: Finding) {
        self.0.push(finding);
    }

    fn begin(&mut self, _: &str, _: Option<u64>) {}

    fn advance(&mut self, _: u64) {}

    fn end(&mut self) {}
}

/// Every page and record of a directory.
#[track_caller]
fn is_whole(machine: &SimDisk, directory: &str) {
    let io: Arc<dyn Io> = Arc::new(machine.directory(directory));
    let mut found = Findings::default();
    let mut check = Check::open(&io, &CheckOptions::default(), &mut found).unwrap();
    golden::prepare_check(&mut check);
    check.run().unwrap();
    drop(check);
    found.0.retain(|finding| finding.kind != Kind::Note);
    assert_eq!(found.0, [], "{directory}: {ADVICE}");
}

#[test]
fn nobody_edited_a_golden_file() {
    for version in VERSIONS {
        let mut files = read(version);
        let said = files.remove(LIST).unwrap();
        let what = format!("the files of version {version}");
        same_text(&list(&files), &String::from_utf8(said).unwrap(), &what);
    }
}

#[test]
fn golden_databases_say_what_they_said() {
    for version in VERSIONS {
        let files = read(version);
        let what = |which: &str| format!("the {which} of version {version}");
        let golden = machine(&files).unwrap();
        is_whole(&golden, "db");
        is_whole(&golden, "backup");
        let engine = open(&golden, "db").unwrap_or_else(|e| panic!("{e}\n{ADVICE}"));
        same_text(
            &describe(&engine).unwrap(),
            &text(&files, "database.txt"),
            &what("database"),
        );

        // It goes on, and what was before stays.
        let before = describe(&engine).unwrap();
        later(&engine).unwrap();
        let after = describe(&engine).unwrap();
        assert_ne!(after, before);
        engine.close().unwrap();
        is_whole(&golden, "db");
        let engine = open(&golden, "db").unwrap();
        same_text(
            &describe(&engine).unwrap(),
            &after,
            &what("database after more commits"),
        );
        // The time of the newest commit of all is one of each timeline's only until it has a newer one.
        let times = |text: &str| -> Vec<Vec<String>> {
            let timelines = text.split("timeline ").skip(1);
            let times = timelines.map(|timeline| {
                let lines = timeline.lines().filter(|line| line.starts_with("  at "));
                lines.map(str::to_owned).collect()
            });
            times.collect()
        };
        let (before, after) = (times(&before), times(&after));
        assert!(before.len() == after.len() && before[0].len() > 12);
        for (before, after) in before.iter().zip(&after) {
            for time in &before[..before.len() - 1] {
                assert!(after.contains(time), "{}: {time}\n{ADVICE}", what("past"));
            }
        }
        engine.close().unwrap();

        let golden = machine(&files).unwrap();
        same_text(
            &of_backup(&golden).unwrap(),
            &text(&files, "backup.txt"),
            &what("backup"),
        );
        let golden = machine(&files).unwrap();
        let restored = text(&files, "restored.txt");
        let to = restored.lines().next().unwrap().rsplit(' ').next().unwrap();
        let to = Ts(to.parse().unwrap());
        same_text(
            &of_restored(&golden, to).unwrap(),
            &restored,
            &what("restore"),
        );
    }
}

#[test]
fn the_history_makes_the_golden_files_again() {
    let (made, golden) = (make().unwrap(), read(VERSION));
    for (name, expected) in &golden {
        let Some(found) = made.get(name) else {
            panic!("{name} is not made any more: {ADVICE}");
        };
        let same = found
            .iter()
            .zip(expected)
            .take_while(|(a, b)| a == b)
            .count();
        assert!(
            found == expected,
            "{name} is made differently, from byte {same} on ({} bytes, and were {}): {ADVICE}",
            found.len(),
            expected.len()
        );
    }
    assert!(made.keys().eq(golden.keys()), "{ADVICE}");
}
