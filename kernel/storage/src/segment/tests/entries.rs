//! Pages of entries come back as they were, whatever their keys and values look like.

use expect_test::expect;

use super::*;
use crate::segment::entries::{decode_entries, encode_entries};
use crate::segment::page::Zstd;
use crate::segment::sorted::SortedPageBuilder;

type Entry = (Vec<u8>, u64, Option<u64>, Option<Vec<u8>>);

fn page(entries: &[Entry]) -> Vec<u8> {
    let mut builder = SortedPageBuilder::default();
    for (key, begin, end, value) in entries {
        builder.push(key, Ts(*begin), end.map(Ts), value.as_deref());
    }
    builder.take().0
}

fn stored(raw: &[u8], hist: bool) -> Option<Vec<u8>> {
    encode_entries(raw, hist, &mut Zstd::new().unwrap()).unwrap()
}

/// Entries by rising key, as an index over two numbers, over texts, or a store has them.
fn entries() -> impl Strategy<Value = (bool, Vec<Entry>)> {
    let numbers = (0u32..40, 0u8..5).prop_map(|(a, b)| [&a.to_be_bytes()[..], &[b]].concat());
    let texts = "[a-c]{0,6}".prop_map(String::into_bytes);
    let keys = prop_oneof![
        prop::collection::btree_set(numbers, 1..150),
        prop::collection::btree_set(texts, 1..150),
        prop::collection::btree_set(prop::collection::vec(any::<u8>(), 0..40), 1..60),
    ];
    (keys, 0u8..4, any::<bool>(), any::<u32>()).prop_map(|(keys, kind, hist, seed)| {
        let entries = keys.into_iter().enumerate().map(|(i, mut key)| {
            let row = (u64::from(seed) + i as u64 * 3).to_be_bytes();
            let value = match kind {
                0 => {
                    key.extend_from_slice(&row);
                    Some(row.to_vec())
                }
                1 => Some(row.to_vec()),
                2 => (i % 3 > 0).then(|| vec![i as u8; i % 7]),
                _ => (i % 9 > 0).then(|| row.to_vec()),
            };
            let begin = 1_700_000_000 + i as u64 % 4;
            (key, begin, hist.then_some(begin + 5), value)
        });
        (hist, entries.collect())
    })
}

proptest! {
    #[test]
    fn a_page_is_stored_shorter_or_not_at_all(
        (hist, entries) in entries(),
        (at, byte, cut) in (any::<usize>(), any::<u8>(), any::<bool>()),
    ) {
        let raw = page(&entries);
        let Some(stored) = stored(&raw, hist) else { return Ok(()) };
        prop_assert!(stored.len() < raw.len());
        prop_assert_eq!(&decode_entries(&stored, hist, raw.len()).unwrap()[..], &raw[..]);

        let mut damaged = stored.clone();
        let at = at % damaged.len();
        if cut { damaged.truncate(at) } else { damaged[at] ^= byte }
        if let Ok(page) = decode_entries(&damaged, hist, raw.len()) {
            prop_assert_eq!(page.len(), raw.len());
        }
    }
}

/// The bytes of an index over a number, as docs/file-format.md draws them.
#[test]
fn the_bytes_of_a_page() {
    let entry = |n: u32| {
        let row = u64::from(n / 2).to_be_bytes();
        let key = [&[1], &(n * 3).to_be_bytes()[..], &row].concat();
        (key, 77, None, Some(row.to_vec()))
    };
    let entries: Vec<Entry> = (0..20).map(entry).collect();
    let hex = |bytes: Option<Vec<u8>>| -> String {
        let bytes = bytes.unwrap_or_default();
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    };
    let mut found = hex(stored(&page(&entries), false)) + "\n";
    let unique = entries.into_iter().map(|(mut key, begin, end, value)| {
        key.truncate(5);
        (key, begin, end, value)
    });
    found += &hex(stored(&page(&unique.collect::<Vec<_>>()), false));
    expect![[r#"
        1400000000004d00000000000000000d0001000000000000000000000000020400010c000101000300000000000000000000000000000001010000000000000000000000000000000054550500
        1400000000004d0000000000000000050001000000000104000101000300000000000000000000000000000001010100000000000000000000000000000000545505"#]].assert_eq(&found);
}
