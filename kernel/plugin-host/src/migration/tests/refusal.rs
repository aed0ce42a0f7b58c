//! What is refused before anything is written.

use expect_test::expect;

use super::*;

/// The refusal, which must have changed nothing.
fn refused(bench: &Bench) -> String {
    let before = bench.rows();
    let error = bench.run().unwrap_err();
    assert_eq!(bench.rows(), before);
    let (code, hint) = (error.sqlstate(), error.hint());
    format!("{}: {error}. {}", code.unwrap_or("-"), hint.unwrap_or("-"))
}

#[test]
fn a_store_newer_than_the_code() {
    let bench = Bench::new().wants("s", 2);
    bench.fill("p", "s", 3, &numbered(1));
    expect!["55000: store p.s is at version 3, and plugin version 2.0.0 knows only up to version 2. Install the plugin version that wrote the store, or a newer one; or go back with heliosdb-lite plugin rollback."].assert_eq(&refused(&bench));
}

#[test]
fn a_missing_step() {
    let bench = Bench::with_entries(1)
        .wants("s", 4)
        .step(TestStep::new("s", 1))
        .step(TestStep::new("t", 2))
        .step(TestStep::new("s", 3));
    expect!["55000: store p.s is at version 1, and the step from version 2 is missing. Install a plugin version that has the step, start once with it, then upgrade further."].assert_eq(&refused(&bench));
}

#[test]
fn two_steps_from_one_version() {
    let bench = Bench::with_entries(1)
        .wants("s", 2)
        .step(TestStep::new("s", 1))
        .step(TestStep::new("s", 1));
    expect!["55000: store p.s has two steps from version 1. -"].assert_eq(&refused(&bench));
}

#[test]
fn a_step_that_changed_after_it_ran() {
    let mut bench = Bench::with_entries(1)
        .wants("s", 2)
        .step(TestStep::new("s", 1).checksum("a"));
    bench.run().unwrap();
    bench.steps = vec![Arc::new(TestStep::new("s", 1).checksum("b"))];
    expect![[r#"55000: the step of store p.s from version 1 has checksum "b", but ran here with "a". A step that was published may not change; a correction is a new step."#]].assert_eq(&refused(&bench));
    // Finalizing does not make it forgotten, and dropping the step is allowed.
    bench.finalize();
    assert!(bench.run().is_err());
    bench.steps.clear();
    assert!(bench.plan().unwrap().is_empty());
}

#[test]
fn a_plan_that_no_longer_fits() {
    let bench = Bench::with_entries(1)
        .wants("s", 2)
        .step(TestStep::new("s", 1));
    let plan = bench.plan().unwrap();
    run(&bench.engine, &plan, &bench.settings).unwrap();
    let error = run(&bench.engine, &plan, &bench.settings).unwrap_err();
    expect!["store p.s has changed since the migration was planned"].assert_eq(&error.to_string());
}

#[test]
fn a_store_that_is_being_written() {
    let bench = Bench::with_entries(1)
        .wants("s", 2)
        .step(TestStep::new("s", 1));
    let mut writer = bench.begin();
    store::put(&mut writer, &bench.live("s"), b"new", b"v").unwrap();
    expect!["55P03: store p.s is in use: could not obtain the lock. Try again when the transactions that write to it have ended."].assert_eq(&refused(&bench));
    writer.commit(Durability::Synchronous).unwrap();
    assert_eq!(bench.run().unwrap().stores[0].legs[0].input.entries, 2);
}

/// Invariant 4: neither a writer nor a second migration gets in while one runs.
#[test]
fn a_store_that_is_being_migrated() {
    let bench = Bench::with_entries(6);
    let engine = bench.engine.clone();
    let live = bench.live("s");
    let bench = bench
        .wants("s", 2)
        .step(TestStep::new("s", 1).migrate(move |entries| {
            let mut writer = engine.begin(Isolation::ReadCommitted, Interrupt::new());
            let mode = heliosdb_storage::TableLockMode::RowExclusive;
            let lock = writer.lock_table(live.collection, mode, LockWait::NoWait);
            assert!(lock.is_err(), "a writer got in");
            let stores = [("s".to_owned(), 1)];
            let wanted = Wanted {
                plugin: "p",
                plugin_version: "2.0.0",
                stores: &stores,
                steps: &[],
                adopts: &[],
            };
            let plan = preflight(&engine.latest_view(), &wanted).unwrap();
            let settings = Settings {
                lock_wait: LockWait::NoWait,
                ..Settings::default()
            };
            for second in [
                run(&engine, &plan, &settings).unwrap_err(),
                dry_run(&engine, &plan, &settings).unwrap_err(),
                finalize(&engine, "p", &settings).unwrap_err(),
            ] {
                assert!(matches!(second, MigrationError::Busy { .. }), "{second}");
            }
            Ok(entries.iter().map(|e| prefixed(e, 1)).collect())
        }));
    bench.run().unwrap();
    assert_eq!(bench.content("s").0, 2);
}
