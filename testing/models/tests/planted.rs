//! Bugs that were planted on purpose in the engine are found by the schedules of one of the places: otherwise
//! nothing that those say counts.
//!
//! The engine of these models has all planted bugs, and one at a time is in force. The test is alone in its
//! program, since what is in force is so in all of it. `HELIOSDB_BUG=SwapShowsGap` plants that one only.

use heliosdb_models::explore::{Shared, explore};
use heliosdb_models::{merging, publishing};
use heliosdb_storage::planted::{self, Bug};

type Place = fn(u64, &Shared);

/// Who has to find which bugs.
const PLACES: [(&str, Place, &[Bug]); 2] = [
    (
        "publishing",
        publishing::run,
        &[
            Bug::FlipBesideFreeze,
            Bug::SwapOfOldSources,
            Bug::SwapShowsGap,
            Bug::FlushInFront,
            Bug::LogForgetsBranches,
            Bug::LatestBeforeFlip,
            Bug::FlushUnsynced,
            Bug::ScansShowKilled,
        ],
    ),
    (
        "merging",
        merging::run,
        &[
            Bug::MergeOfOldSources,
            Bug::InputsRemovedEarly,
            Bug::PlanMissesPins,
            Bug::GcDropsPinned,
            Bug::GcForgetsDeletes,
        ],
    ),
];

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
    for (place, run, bugs) in PLACES {
        let mut most = 0;
        for bug in bugs {
            if only
                .as_ref()
                .is_some_and(|only| *only != format!("{bug:?}"))
            {
                continue;
            }
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
    assert!(missed.is_empty(), "not found: {missed:?}");
}
