//! Fail calls of a history, one at a time, and look at what the engine says and keeps.
//!
//! 1. After a failed sync of data nothing more is acknowledged: every later commit answers
//!    `Stopped`.
//! 2. A refused commit is there whole or not at all, and the ones before it are there.
//! 3. What a process that comes after the failed one shows survives the next power cut.
//! 4. A full disk refuses with `DiskFull`, loses nothing and does not stop the engine; when there is space
//!    again, everything goes on.

use heliosdb_storage::Error;

use super::history::Machine;
use super::{At, Config, Failure, Report, Result, Totals};
use crate::rng::Rng;
use crate::{Call, CrashModel, Fault, SimDisk};

/// What is tried at one call.
#[derive(Clone, Copy, Debug)]
enum Trouble {
    Fail(Fault),
    /// No space from this call on, for a while.
    Full,
    /// The machine goes away under the running engine.
    Gone,
    /// A reading call fails.
    FailRead,
}

const TROUBLES: [Trouble; 5] = [
    Trouble::Fail(Fault::Io),
    Trouble::Fail(Fault::NoSpace),
    Trouble::Full,
    Trouble::Gone,
    Trouble::FailRead,
];

pub fn fail_calls(seed: u64, config: &Config, totals: &mut Totals) -> Result<(), Report> {
    let disk = SimDisk::new(seed);
    let mut machine = Machine::start(seed, disk.clone()).at(|| "start".to_string())?;
    machine
        .run(config.steps)
        .at(|| "history without a fault".to_string())?;
    drop(machine);
    let trace = disk.trace();
    let numbered = (1..).zip(&trace);
    let syncs: Vec<u64> = numbered
        .filter(|(_, call)| **call == Call::SyncData)
        .map(|(at, _)| at)
        .collect();
    let mut rng = Rng::new(seed).fork(21);
    for _ in 0..config.faults_max {
        let trouble = TROUBLES[rng.index(TROUBLES.len())];
        let call = match trouble {
            Trouble::FailRead => 1 + rng.below(disk.reads()),
            // Half of the rest go to syncs, where a mistake costs most.
            Trouble::Fail(_) if rng.coin() => syncs[rng.index(syncs.len())],
            _ => 1 + rng.below(trace.len() as u64),
        };
        let fails = match trouble {
            Trouble::FailRead => None,
            _ => Some(trace[call as usize - 1]),
        };
        fail_once(seed, config, trouble, call, fails, &mut rng, totals)
            .at(|| format!("{trouble:?} at call {call} ({fails:?})"))?;
        totals.faults += 1;
    }
    Ok(())
}

fn fail_once(
    seed: u64,
    config: &Config,
    trouble: Trouble,
    call: u64,
    fails: Option<Call>,
    rng: &mut Rng,
    totals: &mut Totals,
) -> Result<()> {
    let disk = SimDisk::new(seed);
    match trouble {
        Trouble::Fail(fault) => disk.fail_at(call, fault),
        Trouble::Full => disk.full_from(call),
        Trouble::Gone => disk.crash_at(call),
        Trouble::FailRead => disk.fail_read_at(call, Fault::Io),
    }
    let Some(mut machine) = expect_only_refusals(Machine::start(seed, disk.clone()))? else {
        // The database was not even made: a second try on the same disk, now healthy, must do.
        let healthy = disk.crash(CrashModel::ALL[rng.index(3)], rng.next_u64());
        return Machine::start(seed, healthy)?.run(8);
    };
    let sync_failed = matches!(trouble, Trouble::Fail(_)) && fails == Some(Call::SyncData);
    let mut stopped = false;
    // In which opening of the database the call had failed when the step began.
    let mut failed_in = None;
    let mut in_step = machine.openings;
    for at in 0..config.steps {
        if matches!(trouble, Trouble::Full) && at == config.steps * 3 / 4 {
            disk.free_space();
        }
        if failed_in.is_none() && disk.calls() >= call {
            failed_in = Some(in_step);
        }
        let before = machine.commits();
        // A step that closes and opens may have met the failure before the opening.
        in_step = machine.openings;
        let step = machine.step();
        stopped |= matches!(step, Err(Failure::Refused(Error::Stopped { .. })));
        if stopped && matches!(trouble, Trouble::Full) {
            let said = "a full disk stopped the engine";
            return Err(Failure::Wrong(said.to_string()));
        }
        let Some(()) = expect_only_refusals(step)? else {
            if stopped || disk.crashed() || !machine.is_open() {
                break;
            }
            machine.abandon();
            machine.resolve_in_doubt()?;
            continue;
        };
        // The very step that met the failure may be a commit that was durable before it.
        let since = failed_in == Some(machine.openings);
        if sync_failed && since && machine.commits() > before {
            let said = "a commit was acknowledged after a failed sync";
            return Err(Failure::Wrong(said.to_string()));
        }
    }
    totals.stopped += u64::from(stopped);
    if matches!(trouble, Trouble::Full) && machine.is_open() {
        // A history that stands on a refused step may be waiting for itself.
        machine.abandon();
        machine.resolve_in_doubt()?;
        disk.free_space();
        machine.run(4)?;
    }
    if !disk.crashed() && rng.coin() {
        disk.heal();
        machine.restart_process()?;
        machine.run(3)?;
    }
    let image_call = disk.calls() + 1;
    let model = CrashModel::ALL[rng.index(3)];
    let after = disk.crash(model, rng.next_u64());
    let mut restarted = machine.restart(after, image_call, rng.next_u64())?;
    totals.crashes[model as usize] += 1;
    totals.commits_checked += machine.survivors(image_call).0 as u64;
    restarted.run(4)?;
    restarted.check_live()
}

/// `None` for an error that a sick disk explains; damage and broken contracts are none of those.
fn expect_only_refusals<T>(result: Result<T>) -> Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(Failure::Refused(
            Error::Io { .. } | Error::DiskFull { .. } | Error::Stopped { .. },
        )) => Ok(None),
        Err(failure) => Err(failure),
    }
}
