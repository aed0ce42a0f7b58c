//! Taking over another plugin's store.

use expect_test::expect;

use super::*;

fn edge(plugin: &str, version: u32) -> Adopt {
    Adopt {
        plugin: plugin.to_owned(),
        store: "notes".to_owned(),
        version,
        into: "s".to_owned(),
        to: 5,
        step: Arc::new(TestStep::new("s", 4).checksum("take over")),
    }
}

#[test]
fn the_other_store_stays_and_the_journal_says_where_it_came_from() {
    let mut bench = Bench::new().wants("s", 6).step(TestStep::new("s", 5));
    let notes = bench.fill("other", "notes", 2, &numbered(6));
    bench.adopts = vec![edge("absent", 1), edge("other", 1), edge("other", 2)];
    expect![[r#"
        plugin p 2.0.0
          store s: adopts other.notes@2 for version 6
            step 5 → 6"#]]
    .assert_eq(&bench.plan().unwrap().to_string());
    let mut report = bench.run().unwrap();
    report.elapsed_micros = 0;
    expect![[r#"
        migration of plugin p to 2.0.0
          store s: adopted from other.notes@2, to version 6
            other.notes@2 → 5 (take over)
              in   6 entries, digest 4989de0abe1f48a91731fc6fed9fb3ad
              out  6 entries, digest b50a1fa9834094e9e8cf57222ab2efb0
            step 5 → 6 (prefix)
              in   6 entries, digest b50a1fa9834094e9e8cf57222ab2efb0
              out  6 entries, digest b30c1a909af921ba68ceef4fa619fb56
          took 0.000 ms"#]]
    .assert_eq(&report.to_string());

    assert_eq!(bench.content("s"), (6, after_steps(&numbered(6), 4..6)));
    let view = bench.engine.latest_view();
    assert_eq!(
        store::find(&view, "other", "notes").unwrap(),
        Some(notes.clone())
    );
    assert_eq!(content(&view, &notes), numbered(6));
    let (_, rows) = bench.rows();
    let adopted: Vec<_> = rows.iter().map(|row| row.adopted_from.as_deref()).collect();
    assert_eq!(adopted, [Some("other.notes@2"), None]);
    assert_eq!((rows[0].from_version, rows[0].to_version), (2, 5));

    // It happens once: what the other writes later is its own.
    bench.put(&notes, b"later", b"v");
    assert!(bench.plan().unwrap().is_empty());
    bench.adopts[2].step = Arc::new(TestStep::new("s", 4).checksum("another"));
    expect![[r#"the step of store p.s from version 2 has checksum "another", but ran here with "take over""#]].assert_eq(&bench.run().unwrap_err().to_string());
}

#[test]
fn a_plugin_with_a_store_of_its_own_adopts_nothing() {
    let mut bench = Bench::with_entries(2).wants("s", 1);
    bench.fill("other", "notes", 2, &numbered(6));
    bench.adopts = vec![edge("other", 2)];
    assert!(bench.plan().unwrap().is_empty());
}

#[test]
fn what_cannot_be_adopted_is_refused() {
    let mut bench = Bench::new().wants("s", 5);
    bench.adopts = vec![edge("other", 2), edge("third", 2)];
    bench.fill("other", "notes", 3, &numbered(1));
    expect!["store p.s adopts other.notes at version 2, which is at version 3"]
        .assert_eq(&bench.run().unwrap_err().to_string());
    bench.fill("third", "notes", 2, &numbered(1));
    expect!["store p.s could adopt both other.notes and third.notes"]
        .assert_eq(&bench.run().unwrap_err().to_string());
    // What the edge makes is newer than what the code wants.
    let mut bench = Bench::new().wants("s", 4);
    bench.adopts = vec![edge("other", 2)];
    bench.fill("other", "notes", 2, &numbered(1));
    expect!["store p.s is at version 5, and plugin version 2.0.0 knows only up to version 4"]
        .assert_eq(&bench.run().unwrap_err().to_string());
}

#[test]
fn a_step_that_fails_takes_nothing_over() {
    let mut bench = Bench::new().wants("s", 5);
    bench.fill("other", "notes", 2, &numbered(1));
    let mut failing = edge("other", 2);
    failing.step = Arc::new(TestStep::new("s", 4).migrate(|_| Err(PluginError::internal("no"))));
    bench.adopts = vec![failing];
    let before = bench.rows().0;
    bench.run().unwrap_err();
    assert_eq!(bench.rows().0, before);
    assert!(bench.rows().1[0].reason.is_some());
}
