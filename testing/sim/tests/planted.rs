//! Bugs that were planted on purpose are found: otherwise nothing that the torture and the checker of
//! histories say counts.
//!
//! Each bug is a feature of storage. This builds all of them and lets one after the other be in force:
//! `cargo test -p heliosdb-sim --features planted --test planted -- --nocapture`.
#![cfg(feature = "planted")]
#![allow(clippy::unwrap_used)]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use heliosdb_isolation::check::{Level, check};
use heliosdb_isolation::storage::{self, StorageClient};
use heliosdb_isolation::workload::{self, Workload};
use heliosdb_sim::cases;
use heliosdb_sim::torture::{Config, Totals, crash, torture};
use heliosdb_storage::Engine;
use heliosdb_storage::io::disk::Disk;
use heliosdb_storage::planted::{self, Bug};

/// What looks for bugs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hunt {
    /// A history, crashed at each of its calls.
    Crash,
    /// A longer history that is only compared.
    Live,
    /// Lists on real threads.
    Lists(Level),
    /// The short cases.
    Cases,
    /// Threads in orders that a scheduler chooses: `testing/models` finds it, in `tests/planted.rs` there.
    Models,
}

use Hunt::{Cases, Crash, Lists, Live, Models};
use Level::{ReadCommitted, RepeatableRead, Serializable};

/// Who has to find a bug, with how many seeds.
fn hunt_for(bug: Bug) -> (Hunt, u64) {
    match bug {
        Bug::GcDropsPinned => (Cases, 1),
        Bug::GcForgetsDeletes => (Live, 100),
        Bug::AcknowledgedUnsynced => (Crash, 5),
        Bug::VisibleIsLatest => (Cases, 1),
        Bug::ReadersDoNotWait => (Cases, 1),
        Bug::LatestBeforeFlip => (Lists(RepeatableRead), 20),
        Bug::RangesShowKilled => (Live, 20),
        Bug::ScansShowKilled => (Live, 50),
        Bug::RecoverySkipsFile => (Crash, 10),
        Bug::RecoveryRewindsRows => (Crash, 30),
        Bug::FlushUnsynced => (Crash, 30),
        Bug::RowLocksShared => (Lists(ReadCommitted), 10),
        Bug::LastUpdaterWins => (Lists(RepeatableRead), 10),
        Bug::LocksBeforeFlip => (Lists(ReadCommitted), 20),
        Bug::SsiMissesRanges => (Lists(Serializable), 20),
        Bug::SsiMissesSkew => (Lists(Serializable), 10),
        Bug::SsiForgetsEarly => (Lists(Serializable), 20),
        Bug::SsiTrustsReaders => (Lists(Serializable), 40),
        Bug::FlipBesideFreeze
        | Bug::SwapOfOldSources
        | Bug::SwapShowsGap
        | Bug::FlushInFront
        | Bug::LogForgetsBranches
        | Bug::MergeOfOldSources
        | Bug::InputsRemovedEarly
        | Bug::PlanMissesPins => (Models, 0),
    }
}

/// What a hunt finds with one seed.
fn run(hunt: Hunt, seed: u64) -> Option<String> {
    let config = Config {
        steps: if hunt == Live { 150 } else { 40 },
        nested_one_in: u64::MAX,
        live_only: hunt == Live,
        ..Config::default()
    };
    let totals = &mut Totals::default();
    let found = catch_unwind(AssertUnwindSafe(|| {
        match hunt {
            Crash => crash::crash_at_every_call(seed, &config, totals).err(),
            Live => torture(seed, &config, totals).err(),
            Lists(level) => return lists(level, seed),
            Cases => {
                cases::an_unacknowledged_commit_is_seen_by_none_but_those_who_would_wait_for_it();
                cases::asynchronous_commits_are_lost_from_the_end_and_whole();
                cases::a_snapshot_keeps_what_it_sees();
                None
            }
            Models => None,
        }
        .map(|report| report.to_string())
    }));
    found.unwrap_or_else(|_| Some("a panic, printed above".to_owned()))
}

fn lists(level: Level, seed: u64) -> Option<String> {
    let dir = tempfile::tempdir().unwrap();
    let disk = Arc::new(Disk::open(dir.path()).unwrap());
    let engine = Engine::open(disk, storage::options()).unwrap();
    storage::prepare(&engine).unwrap();
    let workload = Workload {
        level,
        seed,
        threads: 4,
        txns_per_thread: 60,
        keys: 3 + seed % 6,
        ops_max: 6,
    };
    let client = || StorageClient::new(engine.clone());
    let history = match workload::run(&workload, client) {
        Ok(history) => history,
        Err(broken) => return Some(broken),
    };
    let report = check(&history, true);
    let bad = report.violations(level).next();
    bad.map(|bad| bad.describe(&history))
}

#[test]
fn every_planted_bug_is_found() {
    planted::choose(None);
    for hunt in [
        Crash,
        Live,
        Lists(ReadCommitted),
        Lists(Serializable),
        Cases,
    ] {
        assert_eq!(run(hunt, 1), None, "{hunt:?} finds what nobody planted");
    }
    let mut missed = Vec::new();
    for bug in Bug::ALL {
        assert!(bug.is_built(), "{bug:?}");
        planted::choose(Some(*bug));
        let (hunt, seeds) = hunt_for(*bug);
        if hunt == Models {
            continue;
        }
        let found = (1..=seeds).find_map(|seed| run(hunt, seed).map(|what| (seed, what)));
        match found {
            Some((seed, what)) => {
                let what = what.lines().next().unwrap_or_default();
                println!("{bug:?}: {hunt:?}, seed {seed}: {what}");
            }
            None => missed.push((bug, hunt, seeds)),
        }
    }
    planted::choose(None);
    assert!(missed.is_empty(), "not found: {missed:?}");
}
