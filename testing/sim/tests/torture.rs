//! The torture in its short form: a few fixed seeds of each kind. `cargo xtask ci` runs the binary
//! for longer, and `cargo run --release -p heliosdb-sim --bin torture` as long as one likes.

#![allow(clippy::unwrap_used)]

use std::iter::StepBy;
use std::panic::resume_unwind;

use heliosdb_sim::SimDisk;
use heliosdb_sim::torture::history::Machine;
use heliosdb_sim::torture::{Config, Totals, torture};

/// Every second seed on a thread of its own.
fn run(seeds: std::ops::Range<u64>, config: &Config) -> Totals {
    let some = |seeds: StepBy<std::ops::Range<u64>>| {
        let mut totals = Totals::default();
        for seed in seeds {
            if let Err(report) = torture(seed, config, &mut totals) {
                panic!("history {seed} failed: {report}");
            }
        }
        totals
    };
    let odd = seeds.start + 1..seeds.end;
    std::thread::scope(|scope| {
        let odd = scope.spawn(move || some(odd.step_by(2)));
        let mut totals = some(seeds.step_by(2));
        totals += odd.join().unwrap_or_else(|e| resume_unwind(e));
        totals
    })
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
    assert!(totals.compactions > 100, "{totals}");
    assert!(totals.branchings > 150, "{totals}");
}

/// Crashes at every I/O call in the three models, nested ones, failing calls and damage.
#[test]
fn nothing_acknowledged_is_lost_and_nothing_is_half_there() {
    let totals = run(1..18, &Config::default());
    assert!(totals.crashes.iter().all(|n| *n > 500), "{totals}");
    assert!(
        totals.compactions > 10
            && totals.branchings > 15
            && totals.nested > 200
            && totals.faults > 100
            && totals.damages > 50,
        "{totals}"
    );
}

/// Otherwise none of the above says anything about codecs.
#[test]
fn histories_leave_pages_that_a_codec_encoded() {
    let encoded = |seed| {
        let mut machine = Machine::start(seed, SimDisk::new(seed))
            .map_err(|e| e.to_string())
            .unwrap();
        machine.run(200).map_err(|e| e.to_string()).unwrap();
        let used = machine.engine().codecs_in_use();
        used.iter().map(|pages| pages.pages).sum::<u64>()
    };
    let encoded: Vec<u64> = (1..31).map(encoded).collect();
    assert!(encoded.iter().sum::<u64>() > 30, "{encoded:?}");
}

/// What a seed printed by a failing run is worth.
#[test]
fn one_seed_is_one_history() {
    let run = |seed| {
        let disk = SimDisk::new(seed);
        let mut machine = Machine::start(seed, disk.clone())
            .map_err(|e| e.to_string())
            .unwrap();
        machine.run(100).map_err(|e| e.to_string()).unwrap();
        machine.close().map_err(|e| e.to_string()).unwrap();
        let content = |(name, _): (String, u64)| (disk.content(&name).unwrap(), name);
        (
            disk.trace(),
            disk.files().into_iter().map(content).collect::<Vec<_>>(),
        )
    };
    for seed in 1..6 {
        assert!(run(seed) == run(seed), "seed {seed}");
    }
    assert!(run(1) != run(2));
}
