//! A few cycles, as part of the ordinary tests. `cargo run --bin kill9 -- --cycles 2000` is the rest.

use std::path::PathBuf;

#[test]
fn acknowledged_rows_survive_kill_9() {
    // target/<profile>/deps/short-… → target/<profile>/heliosdb-lite, which `cargo test --workspace`
    // has built for the tests of its own crate.
    let this = std::env::current_exe().unwrap();
    let binary: PathBuf = this.ancestors().nth(2).unwrap().join("heliosdb-lite");
    assert!(
        binary.is_file(),
        "{} is missing: cargo build --bin heliosdb-lite",
        binary.display()
    );
    let directory = tempfile::tempdir().unwrap();
    let report = heliosdb_kill9::run(&heliosdb_kill9::Options {
        binary,
        directory: directory.path().join("db"),
        cycles: 8,
        clients: 4,
        seed: 7,
    })
    .unwrap();
    assert!(report.acknowledged > 0, "{report:?}");
    println!("{report:?}");
}
