//! Storage's own work in the background under the CPU governor. A cap of 0 lets none of it go on, so that
//! what goes on all the same has another reason.

use heliosdb_storage::governor::{Caps, Share};
use heliosdb_storage::*;

use super::support::*;

fn held_up() -> Options {
    Options {
        compaction_in_background: true,
        cpu: Caps {
            max_cpu_background: 0,
            ..Caps::default()
        },
        ..small()
    }
}

/// Wait until `done`: what is waited for is certain to come.
fn until(done: impl Fn() -> bool) {
    while !done() {
        std::thread::yield_now();
    }
}

fn is_asleep(db: &Database) -> bool {
    db.engine.governor().usage(Share::Storage).waiting > 0
}

/// Rows whose merge takes more than a quantum.
fn fill(db: &Database, files: i64) {
    for file in 0..files {
        let rows: Vec<Row> = (0..8000).map(|i| row(file * 8000 + i, "a name")).collect();
        insert(&db.engine, &rows);
        db.engine.flush().unwrap();
    }
}

#[test]
fn compaction_sleeps_without_a_budget_and_goes_on_when_somebody_waits() {
    let db = Database::with(held_up());
    fill(&db, 4);
    until(|| is_asleep(&db));
    assert_eq!(db.engine.stats().segments, 4);
    db.engine.compact_all(&Interrupt::new()).unwrap();
    assert_eq!(db.engine.stats().segments, 1);
    let usage = db.engine.governor().usage(Share::Storage);
    assert!(
        usage.used_micros > 0 && usage.throttled_micros > 0,
        "{usage:?}"
    );
    assert_eq!(usage.over_micros, 0);
    assert_eq!(scan(&db.engine.latest_view()).len(), 32_000);
    db.check();
}

#[test]
fn compaction_goes_on_when_the_cap_is_raised() {
    let db = Database::with(held_up());
    fill(&db, 4);
    until(|| is_asleep(&db));
    db.engine.governor().set_caps(Caps::default()).unwrap();
    until(|| db.engine.stats().segments == 1);
    db.check();
}

#[test]
fn a_database_with_a_compaction_asleep_can_be_closed() {
    let db = Database::with(held_up());
    fill(&db, 4);
    until(|| is_asleep(&db));
    db.check();
}

#[test]
fn compaction_goes_over_its_budget_when_it_is_too_far_behind() {
    let db = Database::with(Options {
        compaction_debt_files_max: 2,
        ..held_up()
    });
    fill(&db, 4);
    until(|| db.engine.stats().segments == 1);
    let usage = || db.engine.governor().usage(Share::Storage);
    until(|| !usage().in_debt);
    let usage = usage();
    assert!(usage.over_micros > 0, "{usage:?}");
    assert!(usage.used_micros >= usage.over_micros, "{usage:?}");
    db.check();
}

#[test]
fn a_flush_sleeps_until_somebody_waits_or_too_many_memtables_do() {
    let db = Database::with(Options {
        memtable_bytes_max: 4 << 20,
        compaction_in_background: false,
        ..held_up()
    });
    let mut next = 0;
    let mut write = || {
        let rows: Vec<Row> = (next..next + 1000).map(|i| row(i, "a name")).collect();
        insert(&db.engine, &rows);
        next += 1000;
    };
    while db.engine.stats().memtables_frozen == 0 {
        write();
    }
    until(|| is_asleep(&db));
    assert_eq!(db.engine.stats().flushes, 0);
    db.engine.flush().unwrap();
    assert_eq!(db.engine.stats().memtables_frozen, 0);
    // As many as may wait.
    let flushes = db.engine.stats().flushes;
    while db.engine.stats().flushes == flushes {
        write();
    }
    assert!(db.engine.governor().usage(Share::Storage).over_micros > 0);
    let count = next as usize;
    assert_eq!(scan(&db.engine.latest_view()).len(), count);
    db.check();
}
