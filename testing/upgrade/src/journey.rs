//! What happens to the database of one seed.

use std::fmt;
use std::path::Path;

use heliosdb_kernel::Connection;
use heliosdb_sim::rng::Rng;
use heliosdb_storage::ids::Ts;

use crate::ask::{self, Answer, Question};
use crate::edition::{self, Edition};
use crate::generate::{Generated, generate};
use crate::past::{self, Moment};
use crate::plant::{Planted, plant};
use crate::probe::probes;
use crate::transfer::{self, findings};
use crate::{Result, text};

/// Probes of one database, at most.
const PROBES_MAX: usize = 25;

/// What was done.
#[derive(Clone, Copy, Debug, Default)]
pub struct Totals {
    pub databases: u64,
    pub rows: u64,
    pub tables: u64,
    pub dump_bytes: u64,
    /// Questions that both sides answered alike.
    pub answers: u64,
    /// Probes that did the same on both sides, and those of them that were refused.
    pub probes: u64,
    pub refused: u64,
    /// Collections that read alike at a moment of the past.
    pub past: u64,
    /// Changes that the verification found.
    pub found: u64,
}

impl std::ops::AddAssign for Totals {
    fn add_assign(&mut self, other: Totals) {
        self.databases += other.databases;
        self.rows += other.rows;
        self.tables += other.tables;
        self.dump_bytes += other.dump_bytes;
        self.answers += other.answers;
        self.probes += other.probes;
        self.refused += other.refused;
        self.past += other.past;
        self.found += other.found;
    }
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} databases with {} rows in {} tables and {} kB of dumps; equal: {} answers, {} probes \
             ({} refused), {} collections AS OF past times; {} planted changes found",
            self.databases,
            self.rows,
            self.tables,
            self.dump_bytes / 1024,
            self.answers,
            self.probes,
            self.refused,
            self.past,
            self.found
        )
    }
}

/// Makes the database of a seed, moves it, and compares.
///
/// # Errors
///
/// Something differs, or fails.
pub fn journey(seed: u64, directory: &Path) -> Result<Totals> {
    let (lite, full) = (directory.join("lite"), directory.join("full"));
    let dump = directory.join("database.dump");

    let Generated {
        mut sql,
        model,
        mut times,
    } = generate(seed, &lite)?;
    let questions = ask::everything(sql.connection())?;
    let before = ask::answers(sql.connection(), &questions);
    let manifest = transfer::export(sql.connection().database(), &dump)?;
    times.push(Ts(manifest.snapshot_ts));

    let report = transfer::import(&dump, &full).map_err(|error| error.explain())?;
    expect_none("the import reports", findings(&report))?;
    expect_none(
        "verifying finds",
        findings(&transfer::verify(&dump, &full)?),
    )?;

    let mut arrived = Edition::Full.open(&full)?;
    let after = ask::answers(&mut arrived, &questions);
    expect_none("SQL answers", ask::differences(&questions, &before, &after))?;

    let mut totals = Totals {
        databases: 1,
        rows: report.dump.rows,
        tables: report.tables.len() as u64,
        dump_bytes: report.dump.bytes,
        answers: questions.len() as u64,
        ..Totals::default()
    };
    // Both change what is there, so it is one or the other.
    let mut rng = Rng::new(seed).fork(5);
    let mut planted = None;
    if seed.is_multiple_of(2) {
        let probes = some(probes(&model), &mut rng);
        let outcomes = probe(&probes, sql.connection(), &mut arrived)?;
        totals.probes = outcomes.len() as u64;
        let refused = outcomes.iter().filter(|o| o[0].starts_with("error"));
        totals.refused = refused.count() as u64;
    } else {
        planted = plant(&mut arrived, &model, &mut rng)?;
    }
    edition::close(sql.into_connection())?;
    edition::close(arrived)?;

    totals.past = compare_past(&lite, &full, &times)?;
    if let Some(planted) = planted {
        let found = findings(&transfer::verify(&dump, &full)?);
        check_found(&planted, &found)?;
        totals.found = 1;
    }
    Ok(totals)
}

fn expect_none(what: &str, differences: Vec<String>) -> Result<()> {
    match differences.as_slice() {
        [] => Ok(()),
        some => Err(format!("{what}:\n{}", some.join("\n"))),
    }
}

/// A few of them, in their order.
fn some(mut probes: Vec<Question>, rng: &mut Rng) -> Vec<Question> {
    while probes.len() > PROBES_MAX {
        probes.remove(rng.index(probes.len()));
    }
    probes
}

fn probe(probes: &[Question], lite: &mut Connection, full: &mut Connection) -> Result<Vec<Answer>> {
    let before = ask::answers(lite, probes);
    let after = ask::answers(full, probes);
    expect_none("probes", ask::differences(probes, &before, &after))?;
    Ok(before)
}

/// Reads both sides at each of the times, the last of which is the dump's; the collections that were
/// compared.
fn compare_past(lite: &Path, full: &Path, times: &[Ts]) -> Result<u64> {
    let (one, other) = (past::open(lite)?, past::open(full)?);
    let last = times.last().copied().unwrap_or(Ts::MAX);
    let mut compared = 0;
    for &ts in times {
        let before: Moment = past::moment(&one, ts, last)?;
        let after = past::moment(&other, ts, last)?;
        let what = format!("AS OF {}", ts.0);
        expect_none(&what, past::differences(&before, &after))?;
        compared += before.len() as u64;
    }
    one.close().map_err(text)?;
    other.close().map_err(text)?;
    Ok(compared)
}

/// The verification finds what was planted and nothing else.
fn check_found(planted: &Planted, found: &[String]) -> Result<()> {
    let is_expected = |finding: &String| {
        let begins = |expected: &String| {
            let (finding, expected) = (finding.replace('"', ""), expected.replace('"', ""));
            finding.starts_with(&expected)
        };
        planted.expected.iter().any(begins)
    };
    if !found.is_empty() && found.iter().all(is_expected) {
        return Ok(());
    }
    let Planted { sql, expected } = planted;
    Err(format!(
        "after {sql}\nexpected {expected:?}\nfound {found:?}"
    ))
}
