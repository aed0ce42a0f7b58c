//! Fail calls of a migration, one at a time. The run may say so or go on; it may not publish a part,
//! and it may not blame a step.

use heliosdb_plugin_host::migration::{MigrationError, finalize};
use heliosdb_sim::rng::Rng;
use heliosdb_sim::{CrashModel, Fault, SimDisk};
use heliosdb_storage::{Engine, Error};

use crate::check::{self, Allowed, Side};
use crate::crash::{Around, CORRECTED, FIRST, migrate, recover};
use crate::scenario::Scenario;
use crate::{Config, Result, Totals};

/// What is tried at one call.
#[derive(Clone, Copy, Debug)]
enum Trouble {
    Fail(Fault),
    /// No space from this call on.
    Full,
    /// A reading call fails.
    FailRead,
}

pub fn fail_calls(scenario: &Scenario, config: &Config, totals: &mut Totals) -> Result<()> {
    let disk = SimDisk::new(scenario.seed);
    let engine = prepare(scenario, &disk)?;
    let began = (disk.calls(), disk.reads());
    let quiet = disturbed(&engine, scenario);
    if quiet.error.is_some() != scenario.is_broken() {
        return Err(format!("without a fault: {:?}", quiet.error));
    }
    drop(engine);
    let trace = disk.trace();
    let kind = |call: u64| trace[call as usize - 1];
    let writes = (began.0 + 1..=disk.calls()).flat_map(|call| {
        let troubles = [
            Trouble::Fail(Fault::Io),
            Trouble::Fail(Fault::NoSpace),
            Trouble::Full,
        ];
        troubles.map(|trouble| (call, trouble))
    });
    let reads = (began.1 + 1..=disk.reads()).map(|call| (call, Trouble::FailRead));
    let mut rng = Rng::new(scenario.seed).fork(51);
    for (call, trouble) in writes.chain(reads) {
        if rng.one_in(config.faults_one_in) {
            totals.faults += 1;
            fail_once(scenario, call, trouble, &mut rng, totals).map_err(|why| match trouble {
                Trouble::FailRead => format!("read {call} fails: {why}"),
                _ => format!("{trouble:?} at call {call} ({:?}): {why}", kind(call)),
            })?;
        }
    }
    Ok(())
}

fn prepare(scenario: &Scenario, disk: &SimDisk) -> Result<Engine> {
    let engine = scenario.open(disk).map_err(|e| e.to_string())?;
    scenario.fill(&engine).map_err(|e| e.to_string())?;
    Ok(engine)
}

/// How a run and a finalize ended.
struct Ended {
    published: bool,
    error: Option<MigrationError>,
}

fn disturbed(engine: &Engine, scenario: &Scenario) -> Ended {
    let ran = migrate(engine, scenario, FIRST, scenario.is_broken());
    let published = ran.is_ok();
    let finalized = ran.and_then(|_| finalize(engine, &scenario.plugin, &scenario.settings()));
    Ended {
        published,
        error: finalized.err(),
    }
}

fn fail_once(
    scenario: &Scenario,
    call: u64,
    trouble: Trouble,
    rng: &mut Rng,
    totals: &mut Totals,
) -> Result<()> {
    let disk = SimDisk::new(scenario.seed);
    match trouble {
        Trouble::Fail(fault) => disk.fail_at(call, fault),
        Trouble::Full => disk.full_from(call),
        Trouble::FailRead => disk.fail_read_at(call, Fault::Io),
    }
    let engine = prepare(scenario, &disk)?;
    let ended = disturbed(&engine, scenario);
    let allowed = match &ended.error {
        None => Allowed::Only(Side::After),
        Some(MigrationError::Step { .. }) if scenario.is_broken() => Allowed::Only(Side::Before),
        Some(MigrationError::Storage(
            Error::Io { .. } | Error::DiskFull { .. } | Error::Stopped { .. },
        )) => {
            totals.refused += 1;
            match ended.published {
                true => Allowed::Only(Side::After),
                false if scenario.is_broken() => Allowed::Only(Side::Before),
                false => Allowed::Either,
            }
        }
        Some(error) => return Err(format!("the run ends with {error}")),
    };
    disk.heal();
    let around = Around {
        given_up: scenario.is_broken(),
        crash_again: false,
    };
    if rng.coin() {
        let version = if scenario.is_broken() {
            CORRECTED
        } else {
            FIRST
        };
        match again(&engine, scenario, version) {
            Ok(()) => {
                totals.after += 1;
                return check::finished(&engine, scenario, scenario.is_broken());
            }
            Err(MigrationError::Storage(Error::Stopped { .. })) => {}
            Err(error) => return Err(format!("the same process goes on with {error}")),
        }
        // It may have published in memory what it could not write.
        drop(engine);
        let either = Allowed::Either;
        return recover(scenario, &disk, either, around, rng, totals)
            .map_err(|why| format!("the next process: {why}"));
    }
    drop(engine);
    if rng.coin() {
        return recover(scenario, &disk, allowed, around, rng, totals)
            .map_err(|why| format!("another process: {why}"));
    }
    let model = CrashModel::ALL[rng.index(3)];
    let after = disk.crash(model, rng.next_u64());
    recover(scenario, &after, allowed, around, rng, totals)
        .map_err(|why| format!("then a crash, {}: {why}", model.name()))
}

fn again(engine: &Engine, scenario: &Scenario, version: &str) -> Result<(), MigrationError> {
    migrate(engine, scenario, version, false)?;
    finalize(engine, &scenario.plugin, &scenario.settings())?;
    Ok(())
}
