//! Planted anomalies are found, each under its name, and honest histories have none.

use crate::check::{Anomaly, Level, Phenomenon, Report, check};
use crate::graph::Misread;
use crate::history::{History, Op, Outcome, Txn};

/// A history of transactions that all overlap, or, with their times, as told.
fn history(txns: &[(Outcome, &[Op])]) -> History {
    let txns = txns.iter().map(|(outcome, ops)| Txn {
        ops: ops.to_vec(),
        outcome: *outcome,
        begun: 0,
        ended: 100,
    });
    History {
        txns: txns.collect(),
    }
}

const OK: Outcome = Outcome::Committed;

fn a(key: u64, element: u64) -> Op {
    Op::Append(key, element)
}

fn r(key: u64, list: &[u64]) -> Op {
    Op::Read(key, list.to_vec())
}

fn misreads(report: &Report) -> Vec<&Misread> {
    let all = report.anomalies.iter();
    all.filter_map(|anomaly| match anomaly {
        Anomaly::Misread(misread) => Some(misread),
        Anomaly::Cycle(..) => None,
    })
    .collect()
}

/// Exactly this phenomenon is found, and at which levels it counts.
fn only(history: &History, phenomenon: Phenomenon, allowed: &[Level]) {
    let report = check(history, false);
    assert!(misreads(&report).is_empty(), "{report}");
    assert!(report.has(phenomenon), "{report}");
    for level in [
        Level::ReadCommitted,
        Level::RepeatableRead,
        Level::Serializable,
    ] {
        let violations = report.violations(level).count();
        assert_eq!(violations == 0, allowed.contains(&level), "{report}");
    }
}

#[test]
fn one_after_the_other_is_no_anomaly() {
    let h = history(&[
        (OK, &[a(1, 1), r(2, &[])]),
        (OK, &[r(1, &[1]), a(1, 2), r(1, &[1, 2]), a(2, 3)]),
        (Outcome::Aborted, &[r(1, &[1, 2]), a(1, 9)]),
        (OK, &[r(2, &[3]), r(1, &[1, 2])]),
        (Outcome::Unknown, &[a(2, 10)]),
        (OK, &[r(2, &[3, 10])]),
    ]);
    assert_eq!(check(&h, true).anomalies, []);
}

#[test]
fn g0_write_cycles() {
    let h = history(&[
        (OK, &[a(1, 1), a(2, 2)]),
        (OK, &[a(1, 3), a(2, 4)]),
        (OK, &[r(1, &[1, 3]), r(2, &[4, 2])]),
    ]);
    let report = check(&h, false);
    assert!(report.has(Phenomenon::G0), "{report}");
    assert_ne!(report.violations(Level::ReadCommitted).count(), 0);
}

#[test]
fn g1a_aborted_reads() {
    let aborted = Outcome::Aborted;
    let h = history(&[(aborted, &[a(1, 1)]), (OK, &[r(1, &[1])])]);
    let report = check(&h, false);
    let (txn, element) = (1, 1);
    assert_eq!(misreads(&report), [&Misread::Aborted { txn, element }]);
    // An element from nowhere is the same.
    let nowhere = check(&history(&[(OK, &[r(1, &[7])])]), false);
    assert_eq!(misreads(&nowhere).len(), 1);
}

#[test]
fn g1b_intermediate_reads() {
    let h = history(&[
        (OK, &[a(1, 1), a(1, 2)]),
        (OK, &[r(1, &[1])]),
        (OK, &[r(1, &[1, 2])]),
    ]);
    let report = check(&h, false);
    let (txn, element) = (1, 1);
    assert_eq!(misreads(&report), [&Misread::Intermediate { txn, element }]);
}

#[test]
fn reads_that_contradict_each_other_or_themselves() {
    let h = history(&[
        (OK, &[a(1, 1)]),
        (OK, &[a(1, 2)]),
        (OK, &[r(1, &[1, 2])]),
        (OK, &[r(1, &[2])]),
    ]);
    let (txn, key) = (3, 1);
    let report = check(&h, false);
    assert!(misreads(&report).contains(&&Misread::Incompatible { txn, key }));
    // An append that is lost to its own transaction, and a list that shrinks.
    for ops in [
        &[a(1, 1), r(1, &[])][..],
        &[a(1, 1), r(1, &[1]), r(1, &[])][..],
    ] {
        let (txn, key) = (0, 1);
        let report = check(&history(&[(OK, ops)]), false);
        assert_eq!(misreads(&report)[0], &Misread::Internal { txn, key });
    }
    // An element twice.
    let h = history(&[(OK, &[a(1, 1)]), (OK, &[r(1, &[1, 1])])]);
    assert!(!misreads(&check(&h, false)).is_empty());
}

#[test]
fn g1c_circular_information_flow() {
    let h = history(&[(OK, &[a(1, 1), r(2, &[2])]), (OK, &[a(2, 2), r(1, &[1])])]);
    only(&h, Phenomenon::G1c, &[]);
}

#[test]
fn g_single_read_skew() {
    let h = history(&[
        (OK, &[a(1, 1), a(2, 2)]),
        (OK, &[r(1, &[]), r(2, &[2])]),
        (OK, &[r(1, &[1])]),
    ]);
    only(&h, Phenomenon::GSingle, &[Level::ReadCommitted]);
    // The same without anybody who read what was missed.
    let h = history(&[(OK, &[a(1, 1), a(2, 2)]), (OK, &[r(1, &[]), r(2, &[2])])]);
    only(&h, Phenomenon::GSingle, &[Level::ReadCommitted]);
}

/// A lost update: both read the same, both append, and one of the appends is in front.
#[test]
fn g_single_lost_update() {
    let h = history(&[
        (OK, &[r(1, &[]), a(1, 1)]),
        (OK, &[r(1, &[]), a(1, 2)]),
        (OK, &[r(1, &[1, 2])]),
    ]);
    only(&h, Phenomenon::GSingle, &[Level::ReadCommitted]);
}

/// Two observers disagree on which of two came first: the rw edges are apart, which no snapshot allows.
#[test]
fn a_long_fork_is_no_snapshot() {
    let h = history(&[
        (OK, &[a(1, 1)]),
        (OK, &[a(2, 2)]),
        (OK, &[r(1, &[1]), r(2, &[])]),
        (OK, &[r(1, &[]), r(2, &[2])]),
    ]);
    only(&h, Phenomenon::GSingle, &[Level::ReadCommitted]);
}

#[test]
fn g2_item_write_skew() {
    let h = history(&[
        (OK, &[r(1, &[]), a(2, 2)]),
        (OK, &[r(2, &[]), a(1, 1)]),
        (OK, &[r(1, &[1]), r(2, &[2])]),
    ]);
    let allowed = [Level::ReadCommitted, Level::RepeatableRead];
    only(&h, Phenomenon::G2Item, &allowed);
}

/// The read-only anomaly: two rw in a row, closed by what the report saw.
#[test]
fn g2_item_with_a_reader() {
    let h = history(&[
        (OK, &[r(1, &[]), r(2, &[]), a(1, 1)]),
        (OK, &[a(2, 2)]),
        (OK, &[r(1, &[]), r(2, &[2])]),
    ]);
    let allowed = [Level::ReadCommitted, Level::RepeatableRead];
    only(&h, Phenomenon::G2Item, &allowed);
}

#[test]
fn a_stale_read_is_found_by_its_time() {
    let mut h = history(&[(OK, &[a(1, 1)]), (OK, &[r(1, &[])])]);
    h.txns[0].ended = 10;
    h.txns[1].begun = 11;
    assert_eq!(check(&h, false).anomalies, []);
    let report = check(&h, true);
    assert!(report.has(Phenomenon::GSingle), "{report}");
}
