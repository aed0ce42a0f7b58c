//! Migrates the stores of made-up plugins, and of one that there is, on a simulated disk, while the machine crashes at every
//! call and calls fail, and compares with what the steps say.
//!
//! What is held after every crash and every failed call:
//! 1. The stores read as before the migration or as after it, all of them together; after the run
//!    has said that it published, as after it.
//! 2. Every collection that has entries is in the directory, and every shadow belongs to a running
//!    row of the journal.
//! 3. A run that follows ends where an undisturbed one does, with the same counts and digests in the
//!    journal, and a failure that is not the step's leaves no failed row.
//! 4. A dry run, and a finalize before the run, change nothing.
//! 5. After finalize each store has one collection, and all others are empty.
//!
//! [`scenario`] makes the plugins, [`crash`] and [`fault`] disturb them, [`check`] looks.

use std::fmt;

use heliosdb_sim::CrashModel;

pub mod check;
pub mod crash;
pub mod fault;
pub mod scenario;

use scenario::Scenario;

/// `Err` says what is wrong.
pub type Result<T, E = String> = std::result::Result<T, E>;

/// How much one seed is tortured.
#[derive(Clone, Debug)]
pub struct Config {
    pub models: Vec<CrashModel>,
    /// One crash in so many is followed by crashes in what comes after it.
    pub nested_one_in: u64,
    /// One call in so many fails.
    pub faults_one_in: u64,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            models: CrashModel::ALL.to_vec(),
            nested_one_in: 150,
            faults_one_in: 8,
        }
    }
}

/// One seed in so many also has the registry of schemas adopt.
const REGISTRY_ONE_IN: u64 = 4;

/// What was done.
#[derive(Clone, Debug, Default)]
pub struct Totals {
    pub scenarios: u64,
    /// Calls of migrations, each of which was a crash point in each model.
    pub calls: u64,
    pub crashes: u64,
    /// Crashes in what follows a crash.
    pub nested: u64,
    /// Crashes and faults that left the old state live, and the new one.
    pub before: u64,
    pub after: u64,
    /// Runs that went on with what an interrupted one left.
    pub resumed: u64,
    pub faults: u64,
    /// Faults after which the run said that it failed.
    pub refused: u64,
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} scenarios, {} calls; {} crashes ({} nested), {} faults ({} refused); then {} old \
             states and {} new ones, {} runs resumed",
            self.scenarios,
            self.calls,
            self.crashes,
            self.nested,
            self.faults,
            self.refused,
            self.before,
            self.after,
            self.resumed,
        )
    }
}

/// Everything that one seed stands for.
pub fn torture(seed: u64, config: &Config, totals: &mut Totals) -> Result<()> {
    disturb(Scenario::new(seed), config, totals)?;
    match seed.is_multiple_of(REGISTRY_ONE_IN) {
        true => disturb(Scenario::registry(seed), config, totals),
        false => Ok(()),
    }
}

fn disturb(scenario: Scenario, config: &Config, totals: &mut Totals) -> Result<()> {
    crash::crash_at_every_call(&scenario, config, totals)
        .and_then(|()| fault::fail_calls(&scenario, config, totals))
        .map_err(|why| format!("{scenario}: {why}"))?;
    totals.scenarios += 1;
    Ok(())
}
