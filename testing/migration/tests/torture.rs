//! The torture in its short form: a few fixed seeds. `HELIOSDB_MIGRATION_SEEDS=N` runs the first N;
//! `cargo run --release -p heliosdb-migration --bin crash-migrations` runs as many as one likes.

use heliosdb_migration::{Config, Totals, torture};

const SEEDS: u64 = 6;

#[test]
fn a_migration_that_is_disturbed_ends_like_one_that_is_not() {
    let seeds = std::env::var("HELIOSDB_MIGRATION_SEEDS")
        .ok()
        .map_or(SEEDS, |text| text.parse().expect("a number of seeds"));
    let mut totals = Totals::default();
    for seed in 1..=seeds {
        if let Err(why) = torture(seed, &Config::default(), &mut totals) {
            panic!("{why}");
        }
    }
    println!("{totals}");
    assert!(totals.crashes > 100 && totals.nested > 50, "{totals}");
    assert!(totals.faults > 50 && totals.refused > 20, "{totals}");
    assert!(totals.before > 100 && totals.after > 100, "{totals}");
    assert!(totals.resumed > 50, "{totals}");
}
