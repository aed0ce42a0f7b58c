//! Builds shared objects for tests that load them: `cargo test` alone makes none.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Builds packages of the workspace that `manifest` is of, in the target directory and the profile of
/// the running test; the directory that their files are in.
///
/// # Panics
///
/// When they cannot be built, with what cargo said: this is for tests.
pub fn packages(manifest: &Path, packages: &[&str]) -> PathBuf {
    let test = std::env::current_exe().expect("a test knows its file");
    let is_target = |d: &&Path| d.join("deps").is_dir();
    let directory = test.ancestors().skip(1).find(is_target);
    let directory = directory.expect("a test lies in a target directory");
    let target = directory
        .parent()
        .expect("a profile's directory has a parent");
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo
        .arg("build")
        .arg("--manifest-path")
        .arg(manifest)
        .arg("--target-dir")
        .arg(target);
    if directory.ends_with("release") {
        cargo.arg("--release");
    }
    for package in packages {
        cargo.args(["--package", package]);
    }
    let output = cargo.output().expect("cargo runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    directory.to_owned()
}
