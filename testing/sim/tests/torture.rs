//! The torture in its short form: a few fixed seeds of each kind. `cargo xtask ci` runs the binary
//! for longer, and `cargo run --release -p heliosdb-sim --bin torture` as long as one likes.

use heliosdb_sim::torture::{Config, Totals, torture};

fn run(seeds: std::ops::Range<u64>, config: &Config) -> Totals {
    let mut totals = Totals::default();
    for seed in seeds {
        if let Err(report) = torture(seed, config, &mut totals) {
            panic!("history {seed} failed: {report}");
        }
    }
    totals
}

/// Two transactions at a time, in both isolation levels, see what the oracle says they see.
#[test]
fn a_running_engine_agrees_with_the_oracle() {
    let config = Config {
        steps: 150,
        live_only: true,
        ..Config::default()
    };
    let totals = run(1..60, &config);
    assert!(totals.commits > 500, "{totals}");
}
