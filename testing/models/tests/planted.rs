//! Bugs that were planted on purpose in the engine are found by the schedules of one of the places: otherwise
//! nothing that those say counts.
//!
//! The engine of these models has all planted bugs, and one at a time is in force. The test is alone in its
//! program, since what is in force is so in all of it. `HELIOSDB_BUG=SwapShowsGap` plants that one only.

use heliosdb_models::explore::{Shared, explore};
use heliosdb_models::{merging, publishing};
use heliosdb_storage::planted::{self, Bug};

type Place = fn(u64, &Shared);

const PUBLISHING: &str = "publishing";
const MERGING: &str = "merging";
const PLACES: [(&str, Place); 2] = [(PUBLISHING, publishing::run), (MERGING, merging::run)];

/// Which place has to find a bug; `None` when the simulated machine does, alone.
fn place_of(bug: Bug) -> Option<&'static str> {
    match bug {
        Bug::FlipBesideFreeze
        | Bug::SwapOfOldSources
        | Bug::SwapShowsGap
        | Bug::FlushInFront
        | Bug::LogForgetsBranches
        | Bug::LatestBeforeFlip
        | Bug::FlushUnsynced
        | Bug::ScansShowKilled => Some(PUBLISHING),
        Bug::MergeOfOldSources
        | Bug::InputsRemovedEarly
        | Bug::PlanMissesPins
        | Bug::GcDropsPinned
        | Bug::GcForgetsDeletes => Some(MERGING),
        Bug::AcknowledgedUnsynced
        | Bug::VisibleIsLatest
        | Bug::ReadersDoNotWait
        | Bug::RangesShowKilled
        | Bug::RecoverySkipsFile
        | Bug::RecoveryRewindsRows
        | Bug::RowLocksShared
        | Bug::LastUpdaterWins
        | Bug::LocksBeforeFlip
        | Bug::SsiMissesRanges
        | Bug::SsiMissesSkew
        | Bug::SsiForgetsEarly
        | Bug::SsiTrustsReaders => None,
    }
}

const SEED: u64 = 1;
const SCHEDULES_MAX: usize = 1000;

#[test]
fn every_planted_bug_is_found() {
    let only = std::env::var("HELIOSDB_BUG").ok();
    let mut missed = Vec::new();
    assert!(
        Bug::ALL.iter().all(|bug| bug.is_built()),
        "storage/Cargo.toml names all"
    );
    let mut hunted = 0;
    for (place, run) in PLACES {
        let mut most = 0;
        for bug in Bug::ALL.iter().filter(|bug| place_of(**bug) == Some(place)) {
            if only
                .as_ref()
                .is_some_and(|only| *only != format!("{bug:?}"))
            {
                continue;
            }
            hunted += 1;
            planted::choose(Some(*bug));
            let report = explore(run, SEED, SCHEDULES_MAX);
            let schedules = report.schedules;
            match report.found {
                Some(found) => println!("{place}, {bug:?}, {schedules} schedules: {found:.300}"),
                None => missed.push(bug),
            }
            most = most.max(schedules);
        }
        // The same schedules find nothing that nobody planted.
        planted::choose(None);
        let report = explore(run, SEED, usize::try_from(most).unwrap_or(SCHEDULES_MAX));
        assert_eq!(report.found, None, "{place}");
    }
    assert!(hunted > 0, "there is no bug of that name");
    assert!(missed.is_empty(), "not found: {missed:?}");
}
