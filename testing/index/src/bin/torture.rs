//! More histories than a test has time for: `index-torture FIRST_SEED SEEDS STEPS`.

use heliosdb_index_torture::history::{Config, run};
use heliosdb_index_torture::{Host, Result};

fn main() -> Result<()> {
    let usage = "usage: index-torture FIRST_SEED SEEDS STEPS";
    let numbers = std::env::args().skip(1).map(|n| n.parse::<u64>());
    let numbers: std::result::Result<Vec<u64>, _> = numbers.collect();
    let Ok([first, seeds, steps]) = numbers.as_deref() else {
        return Err(usage.to_owned());
    };
    for seed in *first..first.saturating_add(*seeds) {
        let config = Config {
            seed,
            steps: *steps,
            retention: !seed.is_multiple_of(2),
        };
        let totals = run(config, &|_| Box::new(Host))?;
        println!("seed {seed}: {totals:?}");
    }
    Ok(())
}
