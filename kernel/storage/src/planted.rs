//! Bugs on purpose, for the tests that must find them: otherwise nothing that those say counts.
//!
//! Each bug is a cargo feature; in a build without any, [`is`] is a constant and nothing of this is left.
//! In a build with several, [`choose`] says which of them is in force; all that are built are, when nobody
//! chose. No build that anyone uses has one.

use std::sync::atomic::{AtomicUsize, Ordering};

macro_rules! bugs {
    ($($bug:ident $feature:literal $what:literal;)*) => {
        /// What goes wrong.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Bug {
            $(#[doc = $what] $bug),*
        }

        impl Bug {
            /// All of them, built or not.
            pub const ALL: &[Bug] = &[$(Bug::$bug),*];

            /// The feature that builds it.
            pub const fn feature(self) -> &'static str {
                match self {
                    $(Bug::$bug => $feature),*
                }
            }

            /// Whether this build has it.
            pub const fn is_built(self) -> bool {
                match self {
                    $(Bug::$bug => cfg!(feature = $feature)),*
                }
            }
        }
    };
}

bugs! {
    GcDropsPinned "planted-gc-drops-pinned" "Compaction takes no notice of snapshots.";
    GcForgetsDeletes "planted-gc-forgets-deletes" "A merge drops deletes that still hide what older files have.";
    AcknowledgedUnsynced "planted-acknowledged-unsynced" "The log is written and not synced.";
    VisibleIsLatest "planted-visible-is-latest" "Everybody is shown what nobody was promised.";
    ReadersDoNotWait "planted-readers-do-not-wait" "Who has read what is not durable is told that it is.";
    LatestBeforeFlip "planted-latest-before-flip" "The newest timestamp is told before its versions can be seen.";
    RangesShowKilled "planted-ranges-show-killed" "A range shows a key's older version, too.";
    ScansShowKilled "planted-scans-show-killed" "A scan does not know what newer segments decide.";
    RecoverySkipsFile "planted-recovery-skips-file" "Recovery begins one file of the log too late.";
    RecoveryRewindsRows "planted-recovery-rewinds-rows" "RowIds begin again after an opening.";
    FlushUnsynced "planted-flush-unsynced" "A segment is published and was not synced.";
    RowLocksShared "planted-row-locks-shared" "Two may lock a row for an update.";
    LastUpdaterWins "planted-last-updater-wins" "A row that changed since a kept snapshot may be written.";
    LocksBeforeFlip "planted-locks-before-flip" "Locks are given back before the commit is seen.";
    SsiMissesRanges "planted-ssi-misses-ranges" "SERIALIZABLE notes keys only.";
    SsiMissesSkew "planted-ssi-misses-skew" "A pivot between a transaction and itself is let through.";
    SsiForgetsEarly "planted-ssi-forgets-early" "Who committed is forgotten while others still run beside it.";
    SsiTrustsReaders "planted-ssi-trusts-readers" "Every transaction that writes nothing counts as safe.";
    FlipBesideFreeze "planted-flip-beside-freeze" "A freeze may come between a commit's versions and its flip.";
    SwapOfOldSources "planted-swap-of-old-sources" "A flush puts its segment into the sources of before it had them to itself.";
    SwapShowsGap "planted-swap-shows-gap" "A flush takes its memtable away before it puts the segment there.";
    FlushInFront "planted-flush-in-front" "The segment of a flush is put in front of what is newer.";
    LogForgetsBranches "planted-log-forgets-branches" "The log goes as far as one timeline does not need it.";
    MergeOfOldSources "planted-merge-of-old-sources" "A merge puts its segment into the sources of before it had them to itself.";
    InputsRemovedEarly "planted-inputs-removed-early" "A merge removes its input before the log has its output.";
    PlanMissesPins "planted-plan-misses-pins" "A pin may be taken between the look at the pins and the plan of horizons.";
}

/// 0, or one more than the number of the bug in force.
static CHOSEN: AtomicUsize = AtomicUsize::new(0);
/// No bug.
const NONE: usize = usize::MAX;

/// Let one bug be in force in this process, or none.
pub fn choose(bug: Option<Bug>) {
    CHOSEN.store(bug.map_or(NONE, |bug| bug as usize + 1), Ordering::SeqCst);
}

/// Give other threads a chance to see what a bug shows for a moment.
pub(crate) fn dawdle() {
    for _ in 0..20 {
        crate::sync::yield_now();
    }
}

/// Whether a bug is in force.
pub(crate) fn is(bug: Bug) -> bool {
    bug.is_built()
        && matches!(CHOSEN.load(Ordering::Relaxed), chosen if chosen == 0 || chosen == bug as usize + 1)
}
