//! Plugin files: built once per run, and copies with something changed.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use heliosdb_plugin_testkit::build;

/// Crates of shared objects, and what their files are called.
const CRATES: [(&str, &str); 4] = [
    ("heliosdb-hostile", "libhelios_hostile.so"),
    ("heliosdb-fixture-plain", "libhelios_fixture_plain.so"),
    ("heliosdb-fixture-first", "libhelios_fixture_first.so"),
    ("heliosdb-fixture-mismatch", "libhelios_fixture_mismatch.so"),
];

/// The file of the fixture whose name ends so: `plain`, `first`, `mismatch`, `hostile`.
///
/// # Panics
///
/// When it cannot be built: this is for tests.
pub fn path(name: &str) -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    let directory = BUILT.get_or_init(build);
    let suffix = format!("_{name}.so");
    let (_, file) = CRATES
        .iter()
        .find(|(_, file)| file.ends_with(&suffix))
        .unwrap_or_else(|| panic!("no fixture {name}"));
    directory.join(file)
}

/// The bytes of a fixture.
pub fn read(name: &str) -> Vec<u8> {
    let path = path(name);
    std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// Builds all of them where the tests were built.
fn build() -> PathBuf {
    let manifest = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"));
    build::packages(manifest, &CRATES.map(|(package, _)| package))
}

/// A copy in which every `from` is `to`, which has the same length. The file stays whole, because
/// nothing moves.
///
/// # Panics
///
/// When `from` is nowhere, so that no test passes for nothing.
pub fn replaced(bytes: &[u8], from: &str, to: &str) -> Vec<u8> {
    assert_eq!(from.len(), to.len(), "{from:?} and {to:?}");
    let (from, to) = (from.as_bytes(), to.as_bytes());
    let mut copy = bytes.to_vec();
    let mut at = 0;
    let mut found = 0;
    while at + from.len() <= copy.len() {
        if &copy[at..at + from.len()] == from {
            copy[at..at + from.len()].copy_from_slice(to);
            found += 1;
            at += from.len();
        } else {
            at += 1;
        }
    }
    assert!(
        found > 0,
        "{:?} is not there",
        String::from_utf8_lossy(from)
    );
    copy
}

/// A line as long as the one that the plain fixture's manifest leaves to tests.
pub fn room(line: &str) -> (String, String) {
    let room = format!("#{}", "-".repeat(83));
    (room.clone(), format!("{line:<width$}", width = room.len()))
}
