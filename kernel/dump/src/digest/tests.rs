//! What a digest sees, and what it does not.

use std::sync::Arc;

use arrow_array::builder::{Int32Builder, ListBuilder};
use arrow_array::{
    ArrayRef, BinaryArray, BooleanArray, Decimal128Array, Float64Array, Int16Array, Int32Array,
    LargeStringArray, RecordBatch, StringViewArray, UInt64Array,
};

use super::{Digest, TableDigest};

fn digest(columns: Vec<ArrayRef>, dropped: &[bool]) -> TableDigest {
    let rows = columns[0].len() as u64;
    let mut columns = columns;
    columns.push(Arc::new(UInt64Array::from_iter_values(1..=rows)));
    columns.push(Arc::new(UInt64Array::from_iter_values(
        (1..=rows).map(|r| 10 * r),
    )));
    let names = (0..columns.len()).map(|c| format!("c{c}"));
    let batch = RecordBatch::try_from_iter(names.zip(columns)).unwrap();
    let mut digest = TableDigest::new(dropped);
    digest.add_current(&batch).unwrap();
    digest
}

fn of(column: impl arrow_array::Array + 'static) -> Digest {
    digest(vec![Arc::new(column)], &[false]).values()
}

fn ints(values: &[i32]) -> ArrayRef {
    Arc::new(Int32Array::from(values.to_vec()))
}

#[test]
fn order_does_not_matter_and_everything_else_does() {
    let two = |a: &[i32], b: &[i32]| digest(vec![ints(a), ints(b)], &[false, false]);
    let rows = two(&[1, 2, 3], &[4, 5, 6]);
    let turned = two(&[3, 1, 2], &[6, 4, 5]);
    assert_eq!(rows.values(), turned.values());
    assert_eq!(rows.columns(), turned.columns());
    assert_ne!(rows.versions(), turned.versions(), "other RowIds");
    // Two rows exchange a value: no column shows it, the table does.
    let exchanged = two(&[1, 2, 3], &[5, 4, 6]);
    assert_eq!(rows.columns(), exchanged.columns());
    assert_ne!(rows.values(), exchanged.values());
    for other in [
        two(&[4, 5, 6], &[1, 2, 3]),
        two(&[1, 2], &[4, 5]),
        two(&[1, 2, 3, 3], &[4, 5, 6, 6]),
        two(&[1, 2, 3], &[4, 5, 7]),
    ] {
        assert_ne!(rows.values(), other.values());
    }
    let changed = two(&[1, 2, 3], &[4, 5, 7]);
    assert_eq!(rows.columns()[0], changed.columns()[0]);
    assert_ne!(rows.columns()[1], changed.columns()[1]);
}

#[test]
fn values_are_taken_bit_for_bit() {
    let nan = |bits| f64::from_bits(bits);
    let quiet = nan(0x7ff8_0000_0000_0000);
    let floats = [0.0, -0.0, quiet, nan(0x7ff8_0000_0000_0001), f64::INFINITY];
    for (i, a) in floats.iter().enumerate() {
        for (j, b) in floats.iter().enumerate() {
            let equal = of(Float64Array::from(vec![*a])) == of(Float64Array::from(vec![*b]));
            assert_eq!(equal, i == j, "{a} {b}");
        }
    }
    assert_ne!(of(Int32Array::from(vec![0])), of(Int16Array::from(vec![0])));
    assert_ne!(
        of(Int32Array::from(vec![Some(0)])),
        of(Int32Array::from(vec![None]))
    );
}

/// NULL, empty, and an array of nothing or of NULL are all different.
#[test]
fn kinds_of_nothing_are_told_apart() {
    let list = |items: Option<&[Option<i32>]>| {
        let mut list = ListBuilder::new(Int32Builder::new());
        match items {
            None => list.append_null(),
            Some(items) => list.append_value(items.iter().copied()),
        }
        of(list.finish())
    };
    let all = [
        of(StringViewArray::from(vec![None::<&str>])),
        of(StringViewArray::from(vec![""])),
        list(Some(&[])),
        list(Some(&[None])),
        list(Some(&[None, None])),
        list(Some(&[Some(0)])),
        list(Some(&[Some(0), None])),
    ];
    for (i, a) in all.iter().enumerate() {
        assert!(!all[..i].contains(a), "{i}");
    }
    assert_eq!(list(None), all[0]);
}

/// However a value lies in Arrow, its bytes are the same.
#[test]
fn the_layout_of_an_array_does_not_matter() {
    let texts = ["a", "", "a text that no view holds inline", "ä"];
    let view = of(StringViewArray::from(texts.to_vec()));
    assert_eq!(view, of(LargeStringArray::from(texts.to_vec())));
    assert_eq!(
        view,
        of(BinaryArray::from(texts.map(str::as_bytes).to_vec()))
    );
    let sliced = LargeStringArray::from(["x", texts[0], texts[1], texts[2], texts[3]].to_vec());
    assert_eq!(view, of(sliced.slice(1, 4)));
    let numbers = Int32Array::from(vec![Some(9), Some(1), None, Some(3)]);
    assert_eq!(
        of(numbers.slice(1, 3)),
        of(Int32Array::from(vec![Some(1), None, Some(3)]))
    );
    let bools = BooleanArray::from(vec![Some(true), None, Some(false), Some(true)]);
    assert_eq!(
        of(bools.slice(1, 3)),
        of(BooleanArray::from(vec![None, Some(false), Some(true)]))
    );
    // More rows than fit into one matrix.
    let many: Vec<i32> = (0..50_000).collect();
    let turned: Vec<i32> = many.iter().rev().copied().collect();
    assert_eq!(of(Int32Array::from(many)), of(Int32Array::from(turned)));
}

/// A dropped column is no part of the values, and its content is part of the versions.
#[test]
fn dropped_columns_count_in_the_versions_alone() {
    let with = |old: &[i32]| digest(vec![ints(&[1, 2]), ints(old)], &[false, true]);
    let without = digest(vec![ints(&[1, 2])], &[false]);
    assert_eq!(with(&[8, 9]).values(), without.values());
    assert_eq!(with(&[8, 9]).values(), with(&[7, 9]).values());
    assert_ne!(with(&[8, 9]).versions(), with(&[7, 9]).versions());
    assert_eq!(with(&[8, 9]).columns()[1], Digest::default());
}

/// Digests stand in dumps, so they may never change.
#[test]
fn the_digests_are_fixed() {
    let decimals = Decimal128Array::from(vec![Some(15), None]);
    let columns: Vec<ArrayRef> = vec![
        ints(&[1, 2]),
        Arc::new(StringViewArray::from(vec![Some("ä"), None])),
        Arc::new(decimals),
        Arc::new(BooleanArray::from(vec![true, false])),
    ];
    let digest = digest(columns, &[false; 4]);
    let shown = format!(
        "{}\n{}\n{:?}",
        digest.values(),
        digest.versions(),
        digest.columns()
    );
    expect_test::expect![[r#"
        e6e62d4e699825670df6e482c370c358
        84b77bdd08e4bd9982728183105c8992
        [00000000000000014bf7c46bfd7862d1, 0000000000000000543064676a70b4b4, 00000000000000000723c79e717408e2, 0000000000000001a57ad9c6f2d5bbc6]"#]].assert_eq(&shown);
    let text = digest.values().to_string();
    assert_eq!(text.parse(), Ok(digest.values()));
    for bad in ["", "0", &text[1..], &text.replace(&text[..1], "+")] {
        assert!(bad.parse::<Digest>().is_err(), "{bad}");
    }
}
