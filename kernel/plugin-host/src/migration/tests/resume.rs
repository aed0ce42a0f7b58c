//! Runs that stop, and the runs after them.

use std::sync::atomic::AtomicBool;

use super::*;

/// A step that cancels its own run the first time it is given the entry `at`.
fn canceling(from: u32, at: &'static [u8], interrupt: &Arc<Interrupt>) -> Arc<TestStep> {
    let interrupt = Arc::clone(interrupt);
    let canceled = AtomicBool::new(false);
    Arc::new(TestStep::new("s", from).migrate(move |entries| {
        if entries.iter().any(|e| e.key == at) && !canceled.swap(true, Ordering::Relaxed) {
            interrupt.cancel();
        }
        Ok(entries.iter().map(|e| prefixed(e, from)).collect())
    }))
}

/// Ten entries in batches of four, of which the second cancels. The step that did.
fn stopped() -> (Bench, Arc<TestStep>) {
    let mut bench = Bench::with_entries(10).wants("s", 2);
    let step = canceling(1, b"k005", &bench.settings.interrupt);
    bench.steps.push(Arc::clone(&step) as Arc<dyn Step>);
    let error = bench.run().unwrap_err();
    let canceled = MigrationError::Storage(heliosdb_storage::Error::Canceled);
    assert_eq!(error.to_string(), canceled.to_string());
    assert_eq!(bench.content("s"), (1, numbered(10)));
    assert_eq!(bench.journal(), "s 1 → 2 running\n");
    bench.settings.interrupt.reset();
    (bench, step)
}

#[test]
fn a_run_goes_on_where_the_last_one_stopped() {
    let (bench, step) = stopped();
    assert_eq!(step.seen.load(Ordering::Relaxed), 8);
    let report = bench.run().unwrap();
    assert_eq!(step.seen.load(Ordering::Relaxed), 10, "no entry came twice");
    let leg = &report.stores[0].legs[0];
    assert_eq!(leg.resumed_at, 8);
    assert_eq!(leg.input, tally(&numbered(10)));
    assert_eq!(bench.content("s"), (2, after_steps(&numbered(10), 1..2)));
    assert_eq!(bench.journal(), "s 1 → 2 published\n");
}

#[test]
fn a_chain_goes_on_in_its_second_step() {
    let mut bench = Bench::with_entries(10)
        .wants("s", 3)
        .step(TestStep::new("s", 1));
    let step = canceling(2, b"k001", &bench.settings.interrupt);
    bench.steps.push(step);
    bench.run().unwrap_err();
    assert_eq!(bench.journal(), "s 1 → 2 running\ns 2 → 3 running\n");
    bench.settings.interrupt.reset();
    let report = bench.run().unwrap();
    let resumed = report.stores[0].legs.iter().map(|leg| leg.resumed_at);
    assert_eq!(resumed.collect::<Vec<_>>(), [10, 4]);
    assert_eq!(bench.content("s"), (3, after_steps(&numbered(10), 1..3)));
}

/// Starting afresh, the old attempt is on record as failed and nothing of it is left.
fn check_started_afresh(bench: &Bench, content: &Content) {
    let report = bench.run().unwrap();
    assert_eq!(report.stores[0].legs[0].resumed_at, 0);
    assert_eq!(bench.content("s"), (2, content.clone()));
    assert_eq!(
        bench.journal(),
        "s 1 → 2 failed: given up: the plugin or the old state has changed since\n\
         s 1 → 2 published\n"
    );
    assert_eq!(bench.states(), "s@2 live\ns@1 retired\n");
}

/// Half of the entries made by other code are not to be trusted.
#[test]
fn another_plugin_version_starts_afresh() {
    let (mut bench, _) = stopped();
    bench.plugin_version = "2.0.1";
    check_started_afresh(&bench, &after_steps(&numbered(10), 1..2));
}

#[test]
fn another_checksum_starts_afresh() {
    let (mut bench, _) = stopped();
    bench.steps = vec![Arc::new(TestStep::new("s", 1).checksum("corrected"))];
    check_started_afresh(&bench, &after_steps(&numbered(10), 1..2));
}

/// Between two runs the old state is live and may be written.
#[test]
fn a_change_of_what_was_read_starts_afresh() {
    let (bench, _) = stopped();
    bench.put(&bench.live("s"), b"k001", b"changed");
    let mut expected = numbered(10);
    expected.insert(b"k001".to_vec(), b"changed".to_vec());
    check_started_afresh(&bench, &after_steps(&expected, 1..2));
}

#[test]
fn a_change_of_what_was_not_read_yet_does_not() {
    let (bench, _) = stopped();
    bench.put(&bench.live("s"), b"k999", b"added");
    let report = bench.run().unwrap();
    assert_eq!(report.stores[0].legs[0].resumed_at, 8);
    assert_eq!(report.stores[0].legs[0].input.entries, 11);
}

/// Invariant 6.
#[test]
fn a_dry_run_does_not_touch_an_interrupted_run() {
    let (bench, step) = stopped();
    let before = bench.rows();
    assert_eq!(bench.dry_run().unwrap().stores[0].legs[0].resumed_at, 0);
    assert_eq!(bench.rows(), before);
    let seen = step.seen.load(Ordering::Relaxed);
    bench.finalize();
    assert_eq!(bench.rows(), before, "nor does finalizing");
    bench.run().unwrap();
    assert_eq!(step.seen.load(Ordering::Relaxed), seen + 2);
}

#[test]
fn a_canceled_dry_run_leaves_nothing() {
    let mut bench = Bench::with_entries(10).wants("s", 2);
    bench.steps = vec![canceling(1, b"k005", &bench.settings.interrupt)];
    let before = bench.rows();
    bench.dry_run().unwrap_err();
    assert_eq!(bench.rows(), before);
    bench.settings.interrupt.reset();
    bench.run().unwrap();
}

/// The plugin was taken back to the version that fits the store.
#[test]
fn an_interrupted_run_that_nobody_wants_is_given_up() {
    let (mut bench, _) = stopped();
    bench.stores[0].1 = 1;
    let plan = bench.plan().unwrap();
    assert!(!plan.is_empty());
    bench.run().unwrap();
    assert_eq!(
        bench.journal(),
        "s 1 → 2 failed: given up: no longer wanted\n"
    );
    assert_eq!(bench.states(), "s@1 live\n");
    assert!(bench.plan().unwrap().is_empty());
}
