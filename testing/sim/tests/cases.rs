//! The short cases, one test each.

use heliosdb_sim::cases;

#[test]
fn an_unacknowledged_commit_is_seen_by_none_but_those_who_would_wait_for_it() {
    cases::an_unacknowledged_commit_is_seen_by_none_but_those_who_would_wait_for_it();
}

#[test]
fn asynchronous_commits_are_lost_from_the_end_and_whole() {
    cases::asynchronous_commits_are_lost_from_the_end_and_whole();
}

#[test]
fn a_snapshot_keeps_what_it_sees() {
    cases::a_snapshot_keeps_what_it_sees();
}
