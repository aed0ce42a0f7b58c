//! Built-in codecs: values come back whole or in part, a range finds on encoded bytes what it finds on
//! values, and damaged bytes are an error or other values, never more.

use std::collections::BTreeSet;

use arrow_array::{ArrayRef, BooleanArray};
use arrow_buffer::{BooleanBuffer, Buffer};
use arrow_select::filter::filter;
use expect_test::expect;

use super::*;
use crate::codec::BuiltIn;
use crate::key::append_ordered;
use crate::segment::column::{ColumnPageBuilder, decode_column};
use crate::segment::encoding::{Chooser, StoredColumn};
use crate::segment::filter::ValueRange;
use crate::segment::page::Zstd;

/// How the values of a page hang together.
#[derive(Clone, Copy, Debug)]
enum Pattern {
    Random,
    Constant,
    Few,
    Runs,
    AllNull,
}

const PATTERNS: [Pattern; 5] = [
    Pattern::Random,
    Pattern::Constant,
    Pattern::Few,
    Pattern::Runs,
    Pattern::AllNull,
];

fn page(ty: &ColumnType, values: &[Datum]) -> Vec<u8> {
    let mut builder = ColumnPageBuilder::new(ty);
    for value in values {
        let mut bytes = Vec::new();
        let null = *value == Datum::Null;
        if !null {
            value.write_value(ty, &mut bytes).unwrap();
        }
        builder.push((!null).then_some(&bytes[..])).unwrap();
    }
    let mut raw = Vec::new();
    builder.take(&mut raw);
    raw
}

fn choose(ty: &ColumnType, rows: usize, raw: &[u8]) -> Option<(BuiltIn, Vec<u8>)> {
    let mut zstd = Zstd::new().unwrap();
    let choice = Chooser::default().choose(ty, rows, raw, &mut zstd);
    choice.unwrap().encoded
}

fn plain(ty: &ColumnType, rows: usize, raw: &[u8]) -> ArrayRef {
    decode_column(ty, rows, &Buffer::from_slice_ref(raw)).unwrap()
}

fn same_values(a: &ArrayRef, b: &ArrayRef) -> bool {
    let value = |array: &ArrayRef, row| Datum::from_array(array, row).unwrap();
    a.len() == b.len() && (0..a.len()).all(|row| same(&value(a, row), &value(b, row)))
}

/// What a range finds, by the order of keys.
pub(super) fn found(ty: &ColumnType, values: &[Datum], range: &ColumnRange) -> BooleanBuffer {
    let key = |datum: &Datum| {
        let (mut value, mut key) = (Vec::new(), Vec::new());
        datum.write_value(ty, &mut value).unwrap();
        append_ordered(ty, &value, &mut key).unwrap();
        key
    };
    let inside = |value: &Datum| {
        let value = key(value);
        let lower = match &range.lower {
            Bound::Included(lower) => key(lower) <= value,
            Bound::Excluded(lower) => key(lower) < value,
            Bound::Unbounded => true,
        };
        let upper = match &range.upper {
            Bound::Included(upper) => value <= key(upper),
            Bound::Excluded(upper) => value < key(upper),
            Bound::Unbounded => true,
        };
        lower && upper
    };
    BooleanBuffer::collect_bool(values.len(), |row| {
        values[row] != Datum::Null && inside(&values[row])
    })
}

/// Values of one type in a pattern, some of them NULL.
fn values() -> impl Strategy<Value = (ColumnType, Vec<Datum>)> {
    let types = prop::sample::select(all_types());
    let pattern = prop::sample::select(PATTERNS.to_vec());
    let len = prop_oneof![Just(1usize), 1usize..40, 900usize..2100];
    (types, pattern, len, any::<u64>()).prop_flat_map(|(ty, pattern, len, seed)| {
        let (distinct, nulls) = match pattern {
            Pattern::Random => (len.min(60), seed % 3 == 0),
            Pattern::Constant => (1, seed % 2 == 0),
            Pattern::Few | Pattern::Runs => (5, seed % 2 == 0),
            Pattern::AllNull => (1, true),
        };
        prop::collection::vec(datum_of(&ty), distinct).prop_map(move |pool| {
            let mut state = seed | 1;
            let mut next = |below: usize| {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                (state >> 33) as usize % below
            };
            let mut values = Vec::with_capacity(len);
            while values.len() < len {
                let value = match pattern {
                    Pattern::AllNull => Datum::Null,
                    _ => pool[next(pool.len())].clone(),
                };
                let times = if let Pattern::Runs = pattern {
                    1 + next(40)
                } else {
                    1
                };
                for _ in 0..times.min(len - values.len()) {
                    let null = nulls && next(4) == 0;
                    values.push(if null { Datum::Null } else { value.clone() });
                }
            }
            (ty.clone(), values)
        })
    })
}

pub(super) fn bound_of(values: &[Datum], kind: usize, at: usize) -> Bound<Datum> {
    match (&values[at % values.len()], kind % 3) {
        (Datum::Null, _) | (_, 0) => Bound::Unbounded,
        (value, 1) => Bound::Included(value.clone()),
        (value, _) => Bound::Excluded(value.clone()),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn encoded_is_as_good_as_plain(
        (ty, values) in values(),
        wanted in prop::collection::vec(any::<bool>(), 1..50),
        ends in [any::<usize>(), any::<usize>(), any::<usize>(), any::<usize>()],
        (at, byte, cut) in (any::<usize>(), any::<u8>(), any::<bool>()),
    ) {
        let rows = values.len();
        let raw = page(&ty, &values);
        let plain = plain(&ty, rows, &raw);
        let range = ColumnRange::between(ColumnId(0), bound_of(&values, ends[0], ends[1]), bound_of(&values, ends[2], ends[3]));
        let range = ValueRange::new(&range, &ty).unwrap().map(|values| (values, range));
        if let Some((by_value, range)) = &range {
            let expected = found(&ty, &values, range);
            prop_assert_eq!(&by_value.select(&ty, &plain).unwrap(), &expected);
        }
        let Some((codec, payload)) = choose(&ty, rows, &raw) else {
            return Ok(());
        };
        prop_assert!(payload.len() < raw.len());
        let stored = |payload| StoredColumn { codec, ty: &ty, rows, raw_bytes: raw.len(), payload };
        let decoded = stored(&payload).decode(None).unwrap();
        prop_assert!(same_values(&decoded, &plain), "{codec:?} of {ty:?}");
        let wanted = BooleanBuffer::collect_bool(rows, |row| wanted[row % wanted.len()]);
        let some = stored(&payload).decode(Some(&wanted)).unwrap();
        let expected = filter(&plain, &BooleanArray::new(wanted.clone(), None)).unwrap();
        prop_assert!(same_values(&some, &expected), "some of {codec:?} of {ty:?}");
        if let Some((by_value, range)) = &range {
            let expected = found(&ty, &values, range);
            prop_assert_eq!(stored(&payload).filter(by_value).unwrap(), expected, "{:?}", codec);
        }
        let list = [&values[ends[0] % rows], &values[ends[1] % rows]].map(Datum::clone);
        if !list.contains(&Datum::Null) && !matches!(ty, ColumnType::Array(_)) {
            let mut expected = BooleanBuffer::new_unset(rows);
            for one in &list {
                let one = Bound::Included(one.clone());
                let range = ColumnRange::between(ColumnId(0), one.clone(), one);
                expected = &expected | &found(&ty, &values, &range);
            }
            let range = ColumnRange::one_of(ColumnId(0), list.to_vec());
            let by_value = ValueRange::new(&range, &ty).unwrap().unwrap();
            let some = stored(&payload).filter(&by_value).unwrap();
            prop_assert_eq!(&some & &expected, expected.clone(), "a list by {:?}", codec);
            if matches!(codec, BuiltIn::Dictionary | BuiltIn::Runs) {
                prop_assert_eq!(some, expected, "a list by {:?}", codec);
            }
        }

        let mut damaged = payload.clone();
        let at = at % damaged.len();
        if cut { damaged.truncate(at) } else { damaged[at] ^= byte }
        if let Ok(array) = stored(&damaged).decode(None) {
            prop_assert_eq!(array.len(), rows);
            prop_assert!(array.to_data().validate_full().is_ok());
        }
        let _ = stored(&damaged).decode(Some(&wanted));
        if let Some((by_value, _)) = &range {
            let _ = stored(&damaged).filter(by_value);
        }
    }
}

/// What is chosen for 3,000 values of a kind, and their bits each.
fn chosen(ty: ColumnType, value: impl Fn(u64) -> Datum) -> String {
    let values: Vec<Datum> = (0..3000).map(value).collect();
    let raw = page(&ty, &values);
    match choose(&ty, values.len(), &raw) {
        None => "other".to_owned(),
        Some((codec, payload)) => {
            let bits = payload.len() as f64 * 8.0 / values.len() as f64;
            format!("{} {bits:.2}", codec.name())
        }
    }
}

#[test]
fn each_kind_of_values_has_its_codec() {
    let mixed = |i: u64| i.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40;
    let decimal = ColumnType::Decimal {
        precision: 38,
        scale: 2,
    };
    let text = |text: String| Datum::Bytes(text.into_bytes());
    let choices = [
        (
            "rising",
            chosen(ColumnType::Int64, |i| Datum::Int64(1 << 40 | i as i64)),
        ),
        (
            "small",
            chosen(decimal.clone(), |i| {
                Datum::Decimal(i128::MAX - (mixed(i) % 1000) as i128)
            }),
        ),
        (
            "both ends",
            chosen(decimal, |i| {
                Datum::Decimal(if i % 2 == 0 { i128::MIN } else { i128::MAX })
            }),
        ),
        (
            "flags",
            chosen(ColumnType::Bool, |i| Datum::Bool(mixed(i) % 2 == 0)),
        ),
        (
            "runs",
            chosen(ColumnType::Int32, |i| Datum::Int32(mixed(i / 500) as i32)),
        ),
        (
            "few floats",
            chosen(ColumnType::Float64, |i| {
                Datum::Float64((mixed(i) % 7) as f64 * 0.1)
            }),
        ),
        (
            "many floats",
            chosen(ColumnType::Float64, |i| {
                Datum::Float64((mixed(i) as f64).sqrt())
            }),
        ),
        (
            "a word",
            chosen(ColumnType::Text, |i| text(format!("word {}", mixed(i) % 9))),
        ),
        (
            "one word",
            chosen(ColumnType::Text, |_| text("word".to_owned())),
        ),
        (
            "texts",
            chosen(ColumnType::Text, |i| text(format!("text {}", mixed(i)))),
        ),
        ("nothing", chosen(ColumnType::Text, |_| Datum::Null)),
    ];
    let choices: Vec<String> = choices
        .iter()
        .map(|(of, is)| format!("{of}: {is}\n"))
        .collect();
    expect![[r#"
        rising: bitpacking 0.19
        small: bitpacking 10.13
        both ends: dict 1.20
        flags: bitpacking 1.13
        runs: rle 0.16
        few floats: dict 3.27
        many floats: other
        a word: dict 4.29
        one word: dict 0.15
        texts: strings 34.60
        nothing: rle 0.00
    "#]]
    .assert_eq(&choices.concat());
    let codecs: BTreeSet<&str> = BuiltIn::ALL.iter().map(|codec| codec.name()).collect();
    let missed = codecs
        .iter()
        .find(|codec| !choices.concat().contains(*codec));
    assert_eq!(missed, None);
}

/// The bytes of each codec as docs/file-format.md draws them.
#[test]
fn the_bytes_of_each_codec() {
    let hex = |ty: ColumnType, values: &[Datum]| {
        let raw = page(&ty, values);
        let (codec, payload) = choose(&ty, values.len(), &raw).unwrap();
        let bytes: String = payload.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{} {bytes}\n", codec.name())
    };
    let text = |text: &str| Datum::Bytes(text.as_bytes().to_vec());
    let decimal = ColumnType::Decimal {
        precision: 9,
        scale: 2,
    };
    let mut found = hex(decimal, &[-3, 8, 0, 1, -2, 5].map(Datum::Decimal));
    found += &hex(
        ColumnType::Int64,
        &[7, 8, 9, 10, 11, 12, 13, 14, 15].map(Datum::Int64),
    );
    found += &hex(ColumnType::Float64, &[0.5; 12].map(Datum::Float64));
    let mut words = vec![text("cat"), text("dog"), Datum::Null, text("cat")];
    words.extend(vec![text("dog"); 30]);
    found += &hex(ColumnType::Text, &words);
    let letters: Vec<Datum> = ('a'..='z').map(|c| text(&c.to_string())).collect();
    found += &hex(ColumnType::Text, &letters);
    found += &hex(ColumnType::Text, &[Datum::Null, Datum::Null]);
    expect![[r#"
        bitpacking 00fdffffffffffffffffffffffffffffff00040000000000000000b04381
        bitpacking 0007000000000000000000000000000000010001000000000000000000000000000000
        dict 0001000000000800000008000000000000000000e03f00000000000000000000
        dict 01fbffffff0302000000000003000000000000000600000006000000636174646f6700010000000000000000f6ffffff03
        strings 00000001000000000000001a0000001a0000006162636465666768696a6b6c6d6e6f707172737475767778797a
        rle 03
    "#]].assert_eq(&found);
}

#[test]
fn a_text_equals_the_one_with_its_bytes() {
    let ty = ColumnType::Text;
    let texts = [
        "",
        "a",
        "abcd",
        "abcde",
        "twelve bytes",
        "twelve bytez",
        "thirteen byte",
        "thirteen bytf",
        "thirteen bytes",
        "thir\0een bytes",
    ];
    let mut values: Vec<Datum> = texts.map(|t| Datum::Bytes(t.into())).into();
    values.push(Datum::Null);
    let plain = plain(&ty, values.len(), &page(&ty, &values));
    for (place, wanted) in values[..texts.len()].iter().enumerate() {
        let range =
            |upper| ColumnRange::between(ColumnId(0), Bound::Included(wanted.clone()), upper);
        let select = |range: &ColumnRange| {
            let values = ValueRange::new(range, &ty).unwrap().unwrap();
            values.select(&ty, &plain).unwrap()
        };
        let equal = select(&range(Bound::Included(wanted.clone())));
        assert_eq!(equal.set_indices().collect::<Vec<_>>(), [place]);
        let least = range(Bound::Unbounded);
        assert_eq!(select(&least), found(&ty, &values, &least));
    }
}
