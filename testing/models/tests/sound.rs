//! Every schedule of either place keeps what it has to, and together they reach what the places are about.
//!
//! `HELIOSDB_SCHEDULES=10000 HELIOSDB_SEED=2` runs so many, and others.

use std::str::FromStr;

use heliosdb_models::explore::{Shared, explore};
use heliosdb_models::{merging, publishing};
use heliosdb_storage::planted;

const SEED: u64 = 1;
const SCHEDULES: usize = 300;

fn sound(place: fn(u64, &Shared), sometimes: &[&'static str]) {
    // All of them are built here, and in force when nobody chooses.
    planted::choose(None);
    let schedules = asked("HELIOSDB_SCHEDULES", SCHEDULES);
    let report = explore(place, asked("HELIOSDB_SEED", SEED), schedules);
    println!("{report:#?}");
    assert_eq!(report.found, None);
    assert_eq!(report.schedules, schedules as u64);
    assert_eq!(report.missed(sometimes), [""; 0]);
}

/// What the environment says, or the default.
fn asked<T: FromStr>(name: &str, default: T) -> T {
    let asked = std::env::var(name);
    asked.ok().and_then(|n| n.parse().ok()).unwrap_or(default)
}

#[test]
fn a_memtable_is_published_while_its_rows_are_superseded() {
    sound(publishing::run, publishing::SOMETIMES);
}

#[test]
fn segments_are_merged_beside_readers_of_old_times() {
    sound(merging::run, merging::SOMETIMES);
}
