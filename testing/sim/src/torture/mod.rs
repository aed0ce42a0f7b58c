//! The torture: random histories run against the engine on a [`SimDisk`](crate::SimDisk), while the
//! machine crashes, calls fail and stored bytes go bad, compared with a plain [`oracle`].
//!
//! What is held after every crash:
//! 1. Every commit that was acknowledged as durable is there.
//! 2. What is there is a prefix of the commit order: no transaction is there in part, none without
//!    those before it.
//! 3. Indexes, row ids, ranges and definitions agree with the rows ([`check`]).
//! 4. Reading AS OF an earlier commit gives the world of that commit, or says that its history is gone,
//!    which it is only when nobody holds on to it and its time is over.
//! 5. Branches ([`branches`]) are there with what was acknowledged on them, and show what the timelines
//!    above them showed at the forks.
//! 6. No sequence value and no row id that a surviving commit used is given out again.
//! 7. What a reopened database has shown stays, whatever happens next; also when the crash comes
//!    during recovery.
//! 8. A consumer's cursor and what it wrote are of the same commit, the history since the cursor is there,
//!    and the changes since it are right ([`follow`]).
//!
//! [`crash`] crashes at every numbered call, [`fault`] fails every call, [`damage`] spoils bytes.

mod branches;
pub mod check;
pub(crate) mod codec;
pub mod crash;
pub mod damage;
pub mod fault;
mod follow;
pub mod history;
pub mod oracle;
mod statement;

use std::fmt;
use std::ops::AddAssign;

use heliosdb_storage::Error;
use heliosdb_storage::ids::CollectionId;

use self::history::{Machine, has_little_memory};
use crate::{CrashModel, SimDisk};

/// The sorted collections that histories write to.
pub const STORES: [CollectionId; 3] = [CollectionId(900), CollectionId(901), CollectionId(902)];
/// Takes one key for each sequence value that a transaction used and committed.
pub const VALUES: CollectionId = STORES[1];
/// Has the note of the consumer of changes.
pub const FOLLOWED: CollectionId = STORES[2];
/// The sequences that histories draw from.
pub const SEQUENCES: [CollectionId; 2] = [CollectionId(910), CollectionId(911)];

/// Why a history did not go on.
#[derive(Debug)]
pub enum Failure {
    /// The engine is wrong.
    Wrong(String),
    /// The engine answered with an error that the history gave no reason for. Wrong, unless a fault
    /// was planned.
    Refused(Error),
}

impl Failure {
    /// Say in front what was being looked at.
    fn of(self, what: impl fmt::Display) -> Failure {
        match self {
            Failure::Wrong(why) => Failure::Wrong(format!("{what}: {why}")),
            refused => refused,
        }
    }
}

pub type Result<T, E = Failure> = std::result::Result<T, E>;

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure::Refused(error)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Wrong(what) => f.write_str(what),
            Failure::Refused(error) => write!(f, "unexpected error: {error}"),
        }
    }
}

/// A failure with the place where it happened.
#[derive(Debug)]
pub struct Report {
    pub place: String,
    pub failure: Failure,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.failure)
    }
}

/// Says where a failure happened.
trait At<T> {
    fn at(self, place: impl FnOnce() -> String) -> Result<T, Report>;
}

impl<T> At<T> for Result<T> {
    fn at(self, place: impl FnOnce() -> String) -> Result<T, Report> {
        self.map_err(|failure| Report {
            place: place(),
            failure,
        })
    }
}

/// What a torture is made of.
#[derive(Clone, Debug)]
pub struct Config {
    /// Steps of one history; a step is a statement, an end of a transaction, a flush, a compaction or a
    /// reopening.
    pub steps: usize,
    pub models: Vec<CrashModel>,
    /// One crash in so many is followed by a second history, crashed in its turn and during the
    /// recovery before it.
    pub nested_one_in: u64,
    /// Faults and damages tried on one history, spread over its calls.
    pub faults_max: usize,
    pub damages: usize,
    /// Only run the history and compare: no reopening, no crash, no fault, no damage.
    pub live_only: bool,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            steps: 60,
            models: CrashModel::ALL.to_vec(),
            nested_one_in: 24,
            faults_max: 12,
            damages: 12,
            live_only: false,
        }
    }
}

impl Config {
    /// The same, with fewer steps where each takes long.
    fn of_seed(&self, seed: u64) -> Config {
        let shorter = if has_little_memory(seed) { 4 } else { 1 };
        Config {
            steps: self.steps.div_ceil(shorter),
            ..self.clone()
        }
    }
}

/// What a torture has done.
#[derive(Clone, Debug, Default)]
pub struct Totals {
    pub histories: u64,
    pub commits: u64,
    /// That merged something.
    pub compactions: u64,
    /// Branches made and dropped, and commits on them.
    pub branchings: u64,
    /// Numbered calls of histories, each of which was a crash point in each model.
    pub calls: u64,
    /// Crashes, by model, nested ones included.
    pub crashes: [u64; 3],
    /// Crashes while an earlier crash was being recovered from, or after that.
    pub nested: u64,
    /// Acknowledged durable commits looked for after crashes, and found.
    pub commits_checked: u64,
    pub faults: u64,
    /// Engines that said they had stopped after a fault.
    pub stopped: u64,
    pub damages: u64,
    /// Damages that the engine reported; the others did not touch an answer.
    pub damages_reported: u64,
}

impl AddAssign for Totals {
    fn add_assign(&mut self, other: Totals) {
        let Totals {
            histories,
            commits,
            compactions,
            branchings,
            calls,
            crashes,
            nested,
            commits_checked,
            faults,
            stopped,
            damages,
            damages_reported,
        } = other;
        self.histories += histories;
        self.commits += commits;
        self.compactions += compactions;
        self.branchings += branchings;
        self.calls += calls;
        for (sum, crashes) in self.crashes.iter_mut().zip(crashes) {
            *sum += crashes;
        }
        self.nested += nested;
        self.commits_checked += commits_checked;
        self.faults += faults;
        self.stopped += stopped;
        self.damages += damages;
        self.damages_reported += damages_reported;
    }
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [lost, reordered, torn] = self.crashes;
        write!(
            f,
            "{} histories, {} commits, {} compactions, {} changes of branches, {} calls; crashes: {lost} lost, {reordered} reordered, \
             {torn} torn ({} nested); {} acknowledged commits checked, 0 lost; {} faults \
             ({} stops); {} damages ({} reported, 0 silent)",
            self.histories,
            self.commits,
            self.compactions,
            self.branchings,
            self.calls,
            self.nested,
            self.commits_checked,
            self.faults,
            self.stopped,
            self.damages,
            self.damages_reported,
        )
    }
}

/// Everything that one seed stands for.
pub fn torture(seed: u64, config: &Config, totals: &mut Totals) -> Result<(), Report> {
    let config = &config.of_seed(seed);
    if config.live_only {
        return live(seed, config, totals);
    }
    crash::crash_at_every_call(seed, config, totals)?;
    fault::fail_calls(seed, config, totals)?;
    damage::damage_bytes(seed, config, totals)?;
    totals.histories += 1;
    Ok(())
}

fn live(seed: u64, config: &Config, totals: &mut Totals) -> Result<(), Report> {
    let disk = SimDisk::new(seed);
    let mut machine = Machine::start(seed, disk.clone()).at(|| "start".to_string())?;
    for step in 0..config.steps {
        machine
            .step_without_reopening()
            .at(|| format!("step {step}"))?;
    }
    machine.check_live().at(|| "the end".to_string())?;
    totals.histories += 1;
    totals.commits += machine.commits() as u64;
    totals.compactions += machine.compacted;
    totals.branchings += machine.branches.count() as u64;
    totals.calls += disk.calls();
    Ok(())
}
