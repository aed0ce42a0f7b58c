//! Steps that fail: the old state stays live, the journal says why, and a corrected step runs.

use expect_test::{Expect, expect};

use super::*;

/// Run ten entries through `step`, which fails, then through a correct one.
fn check(step: TestStep, why: Expect) {
    let mut bench = Bench::with_entries(10)
        .wants("t", 1)
        .wants("s", 2)
        .step(step);
    let before = bench.rows().0;
    let error = bench.dry_run().unwrap_err().to_string();
    assert_eq!(bench.rows(), (before.clone(), Vec::new()));
    assert_eq!(bench.run().unwrap_err().to_string(), error);
    assert_eq!(
        bench.rows().0,
        before,
        "nothing is left, and nothing new is there"
    );
    assert_eq!(bench.content("s"), (1, numbered(10)));
    why.assert_eq(&bench.journal());

    bench.steps = vec![Arc::new(TestStep::new("s", 1))];
    let report = bench.run().unwrap();
    assert_eq!(report.stores[1].legs[0].resumed_at, 0);
    assert_eq!(bench.content("s"), (2, after_steps(&numbered(10), 1..2)));
    let rows = bench.rows().1;
    assert_eq!(rows.len(), 2);
    assert_eq!(rows[1].state, MigrationState::Published);
    bench.finalize();
    assert!(bench.plan().unwrap().is_empty());
}

#[test]
fn an_error_in_the_last_batch() {
    let step = TestStep::new("s", 1).migrate(|entries| {
        if entries.iter().any(|e| e.key == b"k009") {
            return Err(PluginError::internal("entry k009 is not JSON"));
        }
        Ok(entries.iter().map(|e| prefixed(e, 1)).collect())
    });
    check(
        step,
        expect![[r#"
        s 1 → 2 failed: the step of store p.s from version 1 failed: entry k009 is not JSON
    "#]],
    );
}

#[test]
fn a_panic() {
    let step = TestStep::new("s", 1).migrate(|entries| {
        assert!(entries.len() == 4, "a batch of {}", entries.len());
        Ok(entries.iter().map(|e| prefixed(e, 1)).collect())
    });
    check(
        step,
        expect![[r#"
        s 1 → 2 failed: the step of store p.s from version 1 panicked: a batch of 2
    "#]],
    );
}

#[test]
fn a_panic_in_a_check() {
    let step = TestStep::new("s", 1).check(|_| panic!("out of cheese"));
    check(
        step,
        expect![[r#"
        s 1 → 2 failed: the step of store p.s from version 1 panicked: out of cheese
    "#]],
    );
}

#[test]
fn an_invariant_that_does_not_hold() {
    let step = TestStep::new("s", 1).check(|entry| match entry.key.ends_with(b"5") {
        true => Err(PluginError::internal("five is right out")),
        false => Ok(()),
    });
    check(
        step,
        expect![[r#"
        s 1 → 2 failed: entry "k005" of store p.s is not one of version 2: five is right out
    "#]],
    );
}

#[test]
fn one_key_twice_in_a_batch() {
    let step = TestStep::new("s", 1).migrate(|entries| {
        let twice = |e: &Entry| [prefixed(e, 1), prefixed(e, 1)];
        Ok(entries.iter().flat_map(twice).collect())
    });
    check(
        step,
        expect![[r#"
        s 1 → 2 failed: the step of store p.s from version 1 makes the key "k000" twice
    "#]],
    );
}

#[test]
fn one_key_twice_in_two_batches() {
    let step = TestStep::new("s", 1).migrate(|entries| {
        let mut entries: Vec<_> = entries.iter().map(|e| prefixed(e, 1)).collect();
        entries[0].key = b"first \xff".to_vec();
        Ok(entries)
    });
    check(
        step,
        expect![[r#"
        s 1 → 2 failed: the step of store p.s from version 1 makes the key "first \xff" twice
    "#]],
    );
}

/// Invariant 4 for those who do not keep the rules.
#[test]
fn a_write_around_the_locks() {
    for key in [b"k000", b"k00x"] {
        let bench = Bench::with_entries(10);
        let (engine, live) = (bench.engine.clone(), bench.live("s"));
        let step = TestStep::new("s", 1).migrate(move |entries| {
            if entries.iter().any(|e| e.key == b"k009") {
                let mut tx = engine.begin(Isolation::ReadCommitted, Interrupt::new());
                tx.put(live.collection, key, b"other").unwrap();
                tx.commit(Durability::Synchronous).unwrap();
            }
            Ok(entries.iter().map(|e| prefixed(e, 1)).collect())
        });
        let bench = bench.wants("s", 2).step(step);
        let error = bench.run().unwrap_err();
        assert!(
            matches!(error, MigrationError::InputChanged { .. }),
            "{error}"
        );
        assert_eq!(bench.content("s").0, 1);
    }
}

/// What was written is read again before anyone else may.
#[test]
fn a_shadow_that_somebody_writes_to() {
    let bench = Bench::with_entries(10);
    let engine = bench.engine.clone();
    let step = TestStep::new("s", 1).check(move |entry| {
        if entry.key == b"k000" {
            let stores = store::stores(&engine.latest_view()).unwrap();
            let shadow = stores.iter().find(|info| info.state == StoreState::Shadow);
            let mut tx = engine.begin(Isolation::ReadCommitted, Interrupt::new());
            tx.remove(shadow.unwrap().collection, b"k009").unwrap();
            tx.commit(Durability::Synchronous).unwrap();
        }
        Ok(())
    });
    let bench = bench.wants("s", 2).step(step);
    let error = bench.run().unwrap_err();
    assert!(
        matches!(error, MigrationError::OutputChanged { .. }),
        "{error}"
    );
    assert_eq!(bench.content("s"), (1, numbered(10)));
}

/// One store's failure keeps all of the plugin's stores as they are.
#[test]
fn the_second_of_two_stores_fails() {
    let bench = Bench::with_entries(5)
        .wants("s", 3)
        .wants("t", 2)
        .step(TestStep::new("s", 1))
        .step(TestStep::new("s", 2))
        .step(TestStep::new("t", 1).migrate(|_| Err(PluginError::internal("no"))));
    bench.fill("p", "t", 1, &numbered(5));
    let before = bench.rows().0;
    bench.run().unwrap_err();
    assert_eq!(bench.rows().0, before);
    expect![[r#"
        s 1 → 2 failed: given up: the step of store p.t from version 1 failed: no
        s 2 → 3 failed: given up: the step of store p.t from version 1 failed: no
        t 1 → 2 failed: the step of store p.t from version 1 failed: no
    "#]]
    .assert_eq(&bench.journal());
}
