//! Bugs that were planted on purpose are found: otherwise nothing that the torture says counts.
//!
//! Each is a feature of this crate, and this file is empty without one:
//! `cargo test -p heliosdb-sim --features planted-gc-drops-pinned --test planted`.
#![cfg(feature = "planted-gc-drops-pinned")]

use heliosdb_sim::torture::{Config, Totals, torture};

/// Compaction takes no notice of snapshots.
#[test]
fn history_that_goes_under_a_snapshot_is_found() {
    let config = Config {
        steps: 150,
        live_only: true,
        ..Config::default()
    };
    let run = |seed| torture(seed, &config, &mut Totals::default()).err();
    let report = (1..200).find_map(run).expect("the torture finds it");
    let found = report.to_string();
    assert!(
        found.contains("snapshot") || found.contains("history"),
        "{found}"
    );
}
