//! The first hundred seeds. `HELIOSDB_UPGRADE_SEEDS=N` runs the first N;
//! `cargo run --release -p heliosdb-upgrade -- --databases N` runs as many as one likes.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use heliosdb_upgrade::journey::Totals;
use heliosdb_upgrade::run;

const SEEDS: u64 = 100;
const THREADS: usize = 2;

#[test]
fn what_arrives_in_full_is_what_left_lite() {
    let seeds = std::env::var("HELIOSDB_UPGRADE_SEEDS")
        .ok()
        .map_or(SEEDS, |text| text.parse().expect("a number of seeds"));
    let (next, totals) = (
        AtomicU64::new(1),
        Mutex::new((Totals::default(), Vec::new())),
    );
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed > seeds {
                        return;
                    }
                    let outcome = run(seed);
                    let mut totals = totals.lock().unwrap_or_else(PoisonError::into_inner);
                    match outcome {
                        Ok(one) => totals.0 += one,
                        Err(why) => totals.1.push(format!("seed {seed}: {why}")),
                    }
                }
            });
        }
    });
    let (totals, failures) = totals.into_inner().unwrap_or_else(PoisonError::into_inner);
    println!("{totals}");
    assert!(
        failures.is_empty(),
        "{}\nagain: cargo run -p heliosdb-upgrade -- --databases 1 --seed N",
        failures.join("\n\n")
    );
    // A generator that makes nothing would find no difference either.
    assert!(
        totals.rows > 20 * seeds && totals.tables > 3 * seeds,
        "{totals}"
    );
    assert!(
        totals.past > 20 * seeds && totals.answers > 40 * seeds,
        "{totals}"
    );
    assert!(
        totals.refused > seeds && totals.probes > totals.refused,
        "{totals}"
    );
    assert!(totals.found > seeds / 3, "{totals}");
}
