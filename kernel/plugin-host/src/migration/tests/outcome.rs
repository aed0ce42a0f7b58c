//! Migrations that go well.

use expect_test::expect;

use super::*;

#[test]
fn a_chain_of_steps_is_published_at_once() {
    let bench = Bench::with_entries(10)
        .wants("s", 4)
        .step(TestStep::new("s", 2))
        .step(TestStep::new("s", 1))
        .step(TestStep::new("s", 3));
    let old = bench.live("s");
    let before = bench.engine.latest_view().ts();
    let report = bench.run().unwrap();
    assert_eq!(bench.content("s"), (4, after_steps(&numbered(10), 1..4)));
    assert_eq!(report.stores[0].legs.len(), 3);
    assert_eq!(report.stores[0].legs[0].input, tally(&numbered(10)));
    assert_eq!(
        report.stores[0].legs[2].output,
        tally(&after_steps(&numbered(10), 1..4))
    );
    expect![[r#"
        s 1 → 2 published
        s 2 → 3 published
        s 3 → 4 published
    "#]]
    .assert_eq(&bench.journal());
    // The shadows between are gone, the old state is kept, and AS OF before it is still the live one.
    expect![[r#"
        s@4 live
        s@1 retired
    "#]]
    .assert_eq(&bench.states());
    assert_eq!(content(&bench.engine.latest_view(), &old), numbered(10));
    let as_of = bench.engine.view_at(before).unwrap();
    assert_eq!(store::find(&as_of, "p", "s").unwrap(), Some(old.clone()));

    assert_eq!(bench.finalize().entries, 10);
    expect![[r#"
        s@4 live
    "#]]
    .assert_eq(&bench.states());
    expect![[r#"
        s 1 → 2 finalized
        s 2 → 3 finalized
        s 3 → 4 finalized
    "#]]
    .assert_eq(&bench.journal());
    assert!(content(&bench.engine.latest_view(), &old).is_empty());
    assert_eq!(content(&as_of, &old), numbered(10));
    assert_eq!(bench.content("s"), (4, after_steps(&numbered(10), 1..4)));
}

#[test]
fn rows_of_the_journal_say_what_was_done() {
    let bench = Bench::with_entries(6)
        .wants("s", 2)
        .step(TestStep::new("s", 1).checksum("sum"));
    bench.run().unwrap();
    let (_, rows) = bench.rows();
    let [row] = &rows[..] else {
        panic!("{rows:?}");
    };
    let (input, output) = (numbered(6), after_steps(&numbered(6), 1..2));
    assert_eq!((row.plugin.as_str(), row.store.as_str()), ("p", "s"));
    assert_eq!((row.number, row.from_version, row.to_version), (1, 1, 2));
    assert_eq!(row.plugin_version, "2.0.0");
    assert_eq!(row.checksum, "sum");
    assert_eq!((row.entries_in, row.digest_in), (6, tally(&input).digest));
    assert_eq!(
        (row.entries_out, row.digest_out),
        (6, tally(&output).digest)
    );
    assert!(row.published_at.unwrap() >= row.started_at);
    assert_eq!((&row.adopted_from, &row.reason), (&None, &None));
}

#[test]
fn new_and_unchanged_stores_and_orphans() {
    let bench = Bench::with_entries(3).wants("s", 1).wants("t", 5);
    bench.fill("p", "gone", 7, &numbered(2));
    let plan = bench.plan().unwrap();
    assert!(!plan.is_empty());
    expect![[r#"
        plugin p 2.0.0
          store s: stays at version 1
          store t: is created at version 5
          store gone: is unknown to the plugin, and kept at version 7"#]]
    .assert_eq(&plan.to_string());
    let mut report = bench.run().unwrap();
    report.elapsed_micros = 1234;
    expect![[r#"
        migration of plugin p to 2.0.0
          store s: stays at version 1
          store t: created at version 5
          store gone: unknown to the plugin, kept at version 7
          took 1.234 ms"#]]
    .assert_eq(&report.to_string());
    assert_eq!(bench.content("t"), (5, Content::new()));
    assert_eq!(bench.content("gone"), (7, numbered(2)));
    assert!(bench.plan().unwrap().is_empty());
    assert!(bench.rows().1.is_empty());
}

/// What the operator reads before saying yes.
#[test]
fn a_dry_run_tells_all_and_leaves_nothing() {
    let bench = Bench::with_entries(9)
        .wants("s", 3)
        .wants("t", 1)
        .step(TestStep::new("s", 1))
        .step(TestStep::new("s", 2).migrate(|entries| {
            let even = |entry: &&Entry| entry.key.last().is_some_and(|last| last % 2 == 0);
            Ok(entries
                .iter()
                .filter(even)
                .map(|e| prefixed(e, 2))
                .collect())
        }));
    expect![[r#"
        plugin p 2.0.0
          store s: goes from version 1 to 3
            step 1 → 2
            step 2 → 3
          store t: is created at version 1"#]]
    .assert_eq(&bench.plan().unwrap().to_string());
    let before = bench.rows();
    let mut tried = bench.dry_run().unwrap();
    assert_eq!(bench.rows(), before);
    assert_eq!(bench.content("s"), (1, numbered(9)));
    let stored = bench.engine.latest_view();
    for id in 1024..2048 {
        let id = heliosdb_storage::ids::CollectionId(id);
        if id != bench.live("s").collection {
            let mut range = stored
                .range(id, Bound::Unbounded, Bound::Unbounded)
                .unwrap();
            assert!(range.next().is_none(), "collection {id}");
        }
    }
    tried.elapsed_micros = 1_000_005;
    expect![[r#"
        dry run of the migration of plugin p to 2.0.0
          store s: would be migrated from version 1 to 3
            step 1 → 2 (prefix)
              in   9 entries, digest 5cb002f2a13e31e83b0a004d1daf3c00
              out  9 entries, digest 4165e9d8ada2075fd2b86b4dfb283845
            step 2 → 3 (prefix)
              in   9 entries, digest 4165e9d8ada2075fd2b86b4dfb283845
              out  5 entries, digest c73e17909d5593c06fe9d25fb5cafd5e
            the old state would be kept in collection 1024 until finalized
          store t: would be created at version 1
          took 1000.005 ms; nothing was published or kept"#]]
    .assert_eq(&tried.to_string());
    let mut done = bench.run().unwrap();
    assert_eq!(done.stores, tried.stores);
    done.elapsed_micros = 99;
    expect![[r#"
        migration of plugin p to 2.0.0
          store s: migrated from version 1 to 3
            step 1 → 2 (prefix)
              in   9 entries, digest 5cb002f2a13e31e83b0a004d1daf3c00
              out  9 entries, digest 4165e9d8ada2075fd2b86b4dfb283845
            step 2 → 3 (prefix)
              in   9 entries, digest 4165e9d8ada2075fd2b86b4dfb283845
              out  5 entries, digest c73e17909d5593c06fe9d25fb5cafd5e
            the old state is kept in collection 1024 until finalized
          store t: created at version 1
          took 0.099 ms"#]]
    .assert_eq(&done.to_string());
}

/// An empty store, and one whose step leaves nothing, are stores.
#[test]
fn nothing_becomes_nothing() {
    let bench = Bench::with_entries(0)
        .wants("s", 2)
        .wants("t", 2)
        .step(TestStep::new("s", 1))
        .step(TestStep::new("t", 1).migrate(|_| Ok(Vec::new())));
    bench.fill("p", "t", 1, &numbered(5));
    bench.run().unwrap();
    assert_eq!(bench.content("s"), (2, Content::new()));
    assert_eq!(bench.content("t"), (2, Content::new()));
}

/// Two migrations before the first finalize keep two old states.
#[test]
fn old_states_gather_until_they_are_finalized() {
    let mut bench = Bench::with_entries(3)
        .wants("s", 2)
        .step(TestStep::new("s", 1))
        .step(TestStep::new("s", 2));
    bench.run().unwrap();
    bench.stores[0].1 = 3;
    bench.run().unwrap();
    expect![[r#"
        s@3 live
        s@1 retired
        s@2 retired
    "#]]
    .assert_eq(&bench.states());
    let finalized = bench.finalize();
    expect![[r#"
        plugin p: 6 entries removed
          store s: version 1
          store s: version 2"#]]
    .assert_eq(&finalized.to_string());
    expect![[r#"
        s@3 live
    "#]]
    .assert_eq(&bench.states());
    assert_eq!(bench.finalize().entries, 0);
}

/// Step 6 is one commit: no timestamp shows one store new and the other old.
#[test]
fn the_stores_of_a_plugin_change_together() {
    let bench = Bench::with_entries(5)
        .wants("s", 2)
        .wants("t", 2)
        .wants("u", 1)
        .step(TestStep::new("s", 1))
        .step(TestStep::new("t", 1));
    bench.fill("p", "t", 1, &numbered(7));
    let first = bench.engine.latest_view().ts();
    bench.run().unwrap();
    let version = |view: &ReadView, name| {
        store::find(view, "p", name)
            .unwrap()
            .map_or(0, |info| info.version)
    };
    let last = bench.engine.latest_view().ts();
    let mut seen = Vec::new();
    for ts in first.0..=last.0 {
        let view = bench.engine.view_at(heliosdb_storage::ids::Ts(ts)).unwrap();
        let versions = ["s", "t", "u"].map(|name| version(&view, name));
        if seen.last() != Some(&versions) {
            seen.push(versions);
        }
    }
    assert_eq!(seen, [[1, 1, 0], [2, 2, 1]]);
}

#[test]
fn what_is_kept_can_be_made_live_again_and_migrates_anew() {
    let bench = Bench::with_entries(10)
        .wants("s", 3)
        .step(TestStep::new("s", 1))
        .step(TestStep::new("s", 2));
    let nothing = rollback(&bench.engine, "p", &bench.settings).unwrap_err();
    assert_eq!(nothing.sqlstate(), Some("55000"), "{nothing}");
    bench.run().unwrap();
    let back = rollback(&bench.engine, "p", &bench.settings).unwrap();
    assert_eq!(back.entries, 10);
    assert_eq!(bench.content("s"), (1, numbered(10)));
    expect![[r#"
        s@1 live
    "#]]
    .assert_eq(&bench.states());
    expect![[r#"
        s 1 → 2 failed: rolled back
        s 2 → 3 failed: rolled back
    "#]]
    .assert_eq(&bench.journal());

    bench.run().unwrap();
    assert_eq!(bench.content("s"), (3, after_steps(&numbered(10), 1..3)));
    bench.finalize();
    assert!(rollback(&bench.engine, "p", &bench.settings).is_err());
    assert_eq!(bench.content("s"), (3, after_steps(&numbered(10), 1..3)));
}
