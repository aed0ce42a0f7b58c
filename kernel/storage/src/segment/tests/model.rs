//! Random versions of rows and entries, read at every time, against plain maps.

use super::*;

/// Newest first: when it began, and its value or a delete.
type Versions<V> = Vec<(u64, Option<V>)>;

const TS_MAX: u64 = 12;

fn versions<V: std::fmt::Debug + Clone>(
    value: impl Strategy<Value = V>,
) -> impl Strategy<Value = Versions<V>> {
    let value = prop_oneof![3 => value.prop_map(Some), 1 => Just(None)];
    prop::collection::btree_map(1..=TS_MAX, value, 1..5)
        .prop_map(|versions| versions.into_iter().rev().collect())
}

fn types() -> Vec<ColumnType> {
    vec![
        ColumnType::Int64,
        ColumnType::Text,
        ColumnType::Array(Box::new(ColumnType::Int32)),
    ]
}

fn newest<V: Clone>(versions: &Versions<V>, at: u64) -> Option<(Ts, Option<V>)> {
    let found = versions.iter().find(|(begin, _)| *begin <= at);
    found.map(|(begin, value)| (Ts(*begin), value.clone()))
}

/// Push in the writer's order.
fn push_all<K, V>(
    model: &BTreeMap<K, Versions<V>>,
    mut push: impl FnMut(&K, Ts, Option<Ts>, Option<&V>),
) {
    for (key, versions) in model {
        let mut end = None;
        for (begin, value) in versions {
            push(key, Ts(*begin), end, value.as_ref());
            end = Some(Ts(*begin));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn rows_at_every_time(
        model in prop::collection::btree_map(
            0u64..200,
            versions(types().iter().map(datum_of).collect::<Vec<_>>()),
            1..60,
        ),
        exclude in prop::collection::btree_set(0u64..200, 0..40),
        page_bytes in prop::sample::select(vec![16usize, 64, 4096]),
        split in 0usize..8,
    ) {
        let table = Arc::new(table(&types()));
        let io = MemoryIo::empty();
        let mut writer = create(&io, page_bytes);
        writer.begin_rows(&table).unwrap();
        push_all(&model, |id, begin, end, row: Option<&Vec<Datum>>| {
            let row = row.map(|row| encode(&table, row));
            writer.push_row(RowId(*id), begin, end, row.as_deref()).unwrap();
        });
        let meta = writer.finish().unwrap();
        let reader = SegmentReader::open(&io, NAME, Some(&meta), &cache(), &Codecs::none()).unwrap();

        let ids = reader.row_ids(table.id).unwrap().unwrap();
        prop_assert!(ids.iter().eq(model.keys().copied()));
        let exclude = Arc::new(RoaringTreemap::from_iter(exclude));
        for at in 0..=TS_MAX + 1 {
            let decided = model.iter().filter(|(_, versions)| newest(versions, at).is_some());
            let decided: Vec<u64> = decided.map(|(id, _)| *id).collect();
            prop_assert!(reader.decided(table.id, Ts(at)).unwrap().iter().eq(decided));

            let mut visible = BTreeMap::new();
            for id in 0..200 {
                let expected = model.get(&id).and_then(|versions| newest(versions, at));
                let read = reader.row_version(table.id, RowId(id), Ts(at), RowColumns::ALL).unwrap();
                prop_assert_eq!(read.is_some(), expected.is_some());
                if let (Some((begin, row)), Some((begin_read, bytes))) = (expected, read) {
                    prop_assert_eq!(begin, begin_read);
                    prop_assert_eq!(row.is_some(), bytes.is_some());
                    if let (Some(row), Some(bytes)) = (row, bytes) {
                        prop_assert!(same_row(&row, &decode(&table, &bytes)));
                        visible.insert(id, row);
                    }
                }
            }
            for exclude in [Arc::default(), Arc::clone(&exclude)] {
                let blocks = reader.block_count(table.id);
                let split = split.min(blocks);
                let mut read = BTreeMap::new();
                for blocks in [0..split, split..blocks] {
                    let exclude = Arc::clone(&exclude);
                    let scan = RowScan { exclude, blocks, ..everything(&table, Ts(at)) };
                    read.extend(rows_of(reader.scan_rows(&table, scan).unwrap()).unwrap());
                }
                let mut expected = visible.clone();
                expected.retain(|id, _| !exclude.contains(*id));
                prop_assert!(read.keys().eq(expected.keys()));
                prop_assert!(read.iter().all(|(id, row)| same_row(row, &expected[id])));
            }
        }
    }

    #[test]
    fn entries_at_every_time(
        model in prop::collection::btree_map(
            prop::collection::vec(0u8..3, 0..6),
            versions(prop::collection::vec(any::<u8>(), 0..20)),
            1..60,
        ),
        page_bytes in prop::sample::select(vec![1usize, 64, 4096]),
        from in prop::collection::vec(0u8..3, 0..6),
        to in prop::collection::vec(0u8..3, 0..6),
    ) {
        let io = MemoryIo::empty();
        let mut writer = create(&io, page_bytes);
        writer.begin_sorted(SORTED).unwrap();
        push_all(&model, |key, begin, end, value: Option<&Vec<u8>>| {
            writer.push_entry(key, begin, end, value.map(Vec::as_slice)).unwrap();
        });
        let meta = writer.finish().unwrap();
        let reader = SegmentReader::open(&io, NAME, Some(&meta), &cache(), &Codecs::none()).unwrap();
        let bounds = [
            (Bound::Unbounded, Bound::Unbounded),
            (Bound::Included(from.as_slice()), Bound::Excluded(to.as_slice())),
            (Bound::Excluded(from.as_slice()), Bound::Included(to.as_slice())),
        ];
        for at in 0..=TS_MAX + 1 {
            for key in model.keys().chain([&from, &to]) {
                let expected = model.get(key).and_then(|versions| newest(versions, at));
                prop_assert_eq!(reader.entry(SORTED, key, Ts(at)).unwrap(), expected);
            }
            for (lower, upper) in bounds {
                let inside = |key: &Vec<u8>| {
                    std::ops::RangeBounds::<[u8]>::contains(&(lower, upper), key.as_slice())
                };
                let mut expected = Vec::new();
                for (key, versions) in model.iter().filter(|(key, _)| inside(key)) {
                    if let Some((begin, value)) = newest(versions, at) {
                        expected.push((key.clone(), begin, value));
                    }
                }
                let read = reader.range(SORTED, lower, upper, Ts(at)).unwrap();
                let read: Vec<_> = read.map(|entry| entry.unwrap()).collect();
                prop_assert_eq!(read, expected);
            }
        }
    }
}
