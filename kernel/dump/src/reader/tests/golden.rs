//! A dump that a build wrote when the format was made, and that every later build must read.

use super::*;

/// Never written again. A change of the format is a new version with a golden file of its own.
const VERSION_2: &[u8] = include_bytes!("../../../golden/version-2.dump");

#[test]
fn the_golden_dump_is_read() {
    let golden = open(VERSION_2.to_vec()).unwrap();
    let today = open(small_dump()).unwrap();
    // How zstd compresses and where Arrow pads may change with them, and nothing else may.
    let content = |dump: &Dump| {
        let mut manifest = dump.manifest().clone();
        for section in &mut manifest.sections {
            (section.offset, section.stored_bytes, section.raw_bytes) = (0, 0, 0);
            section.digest = Digest::default();
        }
        manifest
    };
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
