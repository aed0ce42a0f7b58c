//! Dumps that a build wrote when a format was made, and that every later build must read.

use std::path::Path;

use super::*;

/// Never written again. A change of the format is a new version with a golden file of its own.
const VERSION_2: &[u8] = include_bytes!("../../../golden/version-2.dump");

/// How zstd compresses and where Arrow pads may change with them, and nothing else may.
fn content(dump: &Dump) -> Manifest {
    let mut manifest = dump.manifest().clone();
    for section in &mut manifest.sections {
        (section.offset, section.stored_bytes, section.raw_bytes) = (0, 0, 0);
        section.digest = Digest::default();
    }
    manifest
}

/// A golden file. Where there is none yet, `UPDATE_EXPECT=1` makes it of `today`; one that is there stays.
#[allow(clippy::disallowed_methods)] // It is the source tree's, no database's.
fn golden_file(name: &str, today: impl FnOnce() -> Vec<u8>) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("golden")
        .join(name);
    if !path.exists() && std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::write(&path, today()).unwrap();
    }
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn the_golden_dump_is_read() {
    let golden = open(VERSION_2.to_vec()).unwrap();
    let today = open(small_dump()).unwrap();
    assert_eq!(content(&golden), content(&today));
    let entries = |section: &str| golden.entries(section).unwrap().map(Result::unwrap);
    assert!(entries("catalog").eq(versions(0)));
    assert!(entries("store/p/s@1").eq(versions(STORE)));
    let rows = |which| golden.rows(TABLE, which).unwrap().map(Result::unwrap);
    assert!(rows(RowVersions::Current).eq([batch(1..40, false), batch(40..60, false)]));
    assert!(rows(RowVersions::Superseded).eq([batch(60..70, true)]));
    assert_eq!(golden.config().unwrap().as_deref(), Some("[server]\n"));
}

/// The JSON of the manifest, byte for byte: what a field is called and how its values are written.
#[test]
fn the_golden_manifest_is_fixed() {
    let golden = open(VERSION_2.to_vec()).unwrap();
    let json = serde_json::to_string_pretty(golden.manifest()).unwrap();
    expect_test::expect_file!["../../../golden/version-2.manifest.json"].assert_eq(&json);
}

/// One with branches, and the JSON of its manifest.
#[test]
fn the_golden_dump_with_branches_is_read_and_fixed() {
    let bytes = golden_file("version-3.dump", small_dump_with_branches);
    let golden = open(bytes).unwrap();
    let today = open(small_dump_with_branches()).unwrap();
    assert_eq!(content(&golden), content(&today));
    let entries = |section: &str| golden.entries(section).unwrap().map(Result::unwrap);
    assert!(entries("catalog").eq(versions(0)));
    assert!(entries("store/p/s@1").eq(versions(STORE)));
    let of_branch = golden.branch_entries(BRANCH).unwrap().map(Result::unwrap);
    assert!(of_branch.eq(versions(STORE)));
    let main = |which| golden.rows(TABLE, which).unwrap().map(Result::unwrap);
    assert!(main(RowVersions::Current).eq([batch(1..40, false), batch(40..60, false)]));
    assert!(main(RowVersions::Superseded).eq([batch(60..70, true)]));
    let branch = |which| {
        let rows = golden.branch_rows(BRANCH, TABLE, which).unwrap();
        rows.map(Result::unwrap)
    };
    assert!(branch(RowVersions::Current).eq([batch(70..75, false)]));
    assert!(branch(RowVersions::Superseded).eq([batch(75..79, true)]));
    assert!(branch(RowVersions::Removed).eq([removed()]));
    let json = serde_json::to_string_pretty(golden.manifest()).unwrap();
    expect_test::expect_file!["../../../golden/version-3.manifest.json"].assert_eq(&json);
}
