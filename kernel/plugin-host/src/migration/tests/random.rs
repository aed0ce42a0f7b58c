//! Random stores through random steps, compared with a map.

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;

use super::*;

/// What a random step does with an entry; chosen by the sum of the entry's bytes, so that a batch's
/// end does not matter.
#[derive(Clone, Copy, Debug)]
enum Change {
    Keep,
    Drop,
    /// Becomes two.
    Split,
    /// The key goes elsewhere.
    Reverse,
    /// The value grows.
    Grow,
}

fn changes() -> impl Strategy<Value = Vec<Change>> {
    let change = prop_oneof![
        Just(Change::Keep),
        Just(Change::Drop),
        Just(Change::Split),
        Just(Change::Reverse),
        Just(Change::Grow),
    ];
    vec(change, 1..6)
}

/// What the step makes of an entry. New keys end with a byte of their own kind, so that no two
/// entries make the same.
fn changed(changes: &[Change], entry: &Entry) -> Vec<Entry> {
    let bytes = entry.key.iter().chain(&entry.value);
    let sum: usize = bytes.map(|byte| usize::from(*byte)).sum();
    let end = |kind: u8| {
        let mut entry = entry.clone();
        entry.key.push(kind);
        entry
    };
    match changes[sum % changes.len()] {
        Change::Keep => vec![end(0)],
        Change::Drop => Vec::new(),
        Change::Split => vec![end(2), end(1)],
        Change::Reverse => {
            let mut entry = entry.clone();
            entry.key.reverse();
            entry.key.push(3);
            vec![entry]
        }
        Change::Grow => {
            let mut entry = end(4);
            entry.value = entry.value.repeat(3);
            vec![entry]
        }
    }
}

fn entries(content: &Content) -> Vec<Entry> {
    let entry = |(key, value): (&Vec<u8>, &Vec<u8>)| Entry {
        key: key.clone(),
        value: value.clone(),
    };
    content.iter().map(entry).collect()
}

fn model(content: &Content, steps: &[Vec<Change>]) -> Content {
    steps.iter().fold(content.clone(), |content, changes| {
        let made = entries(&content);
        let made = made.iter().flat_map(|entry| changed(changes, entry));
        made.map(|entry| (entry.key, entry.value)).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn a_migration_is_what_its_steps_are(
        content in btree_map(vec(any::<u8>(), 0..4), vec(any::<u8>(), 0..20), 0..60),
        steps in vec(changes(), 1..4),
        batch_entries_max in 1usize..30,
        batch_bytes in 0usize..200,
        dry_first in any::<bool>(),
    ) {
        let mut bench = Bench::new().wants("s", 1 + steps.len() as u32);
        bench.fill("p", "s", 1, &content);
        bench.settings.batch_entries_max = batch_entries_max;
        bench.settings.batch_bytes = batch_bytes;
        for (from, changes) in (1..).zip(steps.clone()) {
            let step = TestStep::new("s", from).check(|_| Ok(())).migrate(move |entries| {
                Ok(entries.iter().flat_map(|entry| changed(&changes, entry)).collect())
            });
            bench.steps.push(Arc::new(step));
        }
        let expected = model(&content, &steps);
        let tried = dry_first.then(|| bench.dry_run().unwrap());
        prop_assert_eq!(bench.content("s"), (1, content.clone()));
        let report = bench.run().unwrap();
        if let Some(tried) = tried {
            prop_assert_eq!(&tried.stores, &report.stores);
        }
        let legs = &report.stores[0].legs;
        prop_assert_eq!(legs[0].input, tally(&content));
        prop_assert_eq!(legs[legs.len() - 1].output, tally(&expected));
        prop_assert_eq!(bench.content("s"), (bench.stores[0].1, expected.clone()));
        bench.finalize();
        prop_assert_eq!(bench.content("s").1, expected);
        prop_assert_eq!(bench.rows().0.len(), 1);
    }
}
