//! Encoded keys against a model that compares values as PostgreSQL does.
#![allow(clippy::unwrap_used)]

use std::cmp::Ordering;

use proptest::prelude::*;

use super::*;
use crate::datum::tests::{any_type, datum_of};
use crate::ids::ColumnId;

/// PostgreSQL's comparison of two values, neither NULL.
fn compare(ty: &ColumnType, a: &Datum, b: &Datum) -> Ordering {
    fn float(a: f64, b: f64) -> Ordering {
        match (a.is_nan(), b.is_nan()) {
            (true, true) => Ordering::Equal,
            (true, false) => Ordering::Greater,
            (false, true) => Ordering::Less,
            (false, false) => a.partial_cmp(&b).unwrap(),
        }
    }
    let span = |months: i32, days: i32, nanos: i64| {
        (i128::from(months) * 30 + i128::from(days)) * 86_400_000_000_000 + i128::from(nanos)
    };
    match (a, b) {
        (Datum::Bool(a), Datum::Bool(b)) => a.cmp(b),
        (Datum::Int16(a), Datum::Int16(b)) => a.cmp(b),
        (Datum::Int32(a), Datum::Int32(b)) | (Datum::Date(a), Datum::Date(b)) => a.cmp(b),
        (Datum::Int64(a), Datum::Int64(b))
        | (Datum::Time(a), Datum::Time(b))
        | (Datum::Timestamp(a), Datum::Timestamp(b)) => a.cmp(b),
        (Datum::Float32(a), Datum::Float32(b)) => float(f64::from(*a), f64::from(*b)),
        (Datum::Float64(a), Datum::Float64(b)) => float(*a, *b),
        (Datum::Decimal(a), Datum::Decimal(b)) => a.cmp(b),
        (
            Datum::Interval {
                months,
                days,
                nanos,
            },
            Datum::Interval {
                months: months_b,
                days: days_b,
                nanos: nanos_b,
            },
        ) => span(*months, *days, *nanos).cmp(&span(*months_b, *days_b, *nanos_b)),
        (Datum::Uuid(a), Datum::Uuid(b)) => a.cmp(b),
        (Datum::Oid(a), Datum::Oid(b)) => a.cmp(b),
        (Datum::Bytes(a), Datum::Bytes(b)) => match ty {
            ColumnType::Numeric => a[..a.len() - 2].cmp(&b[..b.len() - 2]),
            ColumnType::Array(item) => compare_arrays(item, a, b),
            _ => a.cmp(b),
        },
        _ => panic!("{a:?} and {b:?} are not of one type"),
    }
}

fn compare_arrays(item: &ColumnType, a: &[u8], b: &[u8]) -> Ordering {
    let (a, b) = (
        ArrayRef::parse(item, a).unwrap(),
        ArrayRef::parse(item, b).unwrap(),
    );
    for index in 0..a.len().min(b.len()) {
        let order = match (a.element(index).unwrap(), b.element(index).unwrap()) {
            (None, None) => Ordering::Equal,
            (None, Some(_)) => Ordering::Greater,
            (Some(_), None) => Ordering::Less,
            (Some(a), Some(b)) => {
                let value = |bytes| Datum::from_value(item, bytes).unwrap();
                compare(item, &value(a), &value(b))
            }
        };
        if order != Ordering::Equal {
            return order;
        }
    }
    a.len().cmp(&b.len())
}

fn compare_columns(
    a: &[Datum],
    b: &[Datum],
    columns: &[KeyColumn],
    types: &[ColumnType],
) -> Ordering {
    for (((a, b), column), ty) in a.iter().zip(b).zip(columns).zip(types) {
        let order = match (a == &Datum::Null, b == &Datum::Null) {
            (true, true) => Ordering::Equal,
            (true, false) if column.nulls_first => Ordering::Less,
            (true, false) => Ordering::Greater,
            (false, true) if column.nulls_first => Ordering::Greater,
            (false, true) => Ordering::Less,
            (false, false) if column.descending => compare(ty, b, a),
            (false, false) => compare(ty, a, b),
        };
        if order != Ordering::Equal {
            return order;
        }
    }
    Ordering::Equal
}

type Columns = (Vec<KeyColumn>, Vec<ColumnType>);

fn columns() -> impl Strategy<Value = Columns> {
    prop::collection::vec((any_type(), any::<bool>(), any::<bool>()), 1..4).prop_map(|columns| {
        let mut keys = Vec::new();
        let mut types = Vec::new();
        for (index, (ty, descending, nulls_first)) in columns.into_iter().enumerate() {
            keys.push(KeyColumn {
                column: ColumnId(index as u16),
                descending,
                nulls_first,
            });
            types.push(ty);
        }
        (keys, types)
    })
}

fn two_keys() -> impl Strategy<Value = (Columns, Vec<Datum>, Vec<Datum>)> {
    columns().prop_flat_map(|(keys, types)| {
        let a: Vec<_> = types.iter().map(datum_of).collect();
        // The second key takes values of the first, so that later columns decide too.
        (
            a,
            types.iter().map(datum_of).collect::<Vec<_>>(),
            0..=types.len(),
        )
            .prop_map(move |(a, mut b, shared)| {
                b[..shared].clone_from_slice(&a[..shared]);
                ((keys.clone(), types.clone()), a, b)
            })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]
    #[test]
    fn keys_compare_as_their_columns_do(((columns, types), a, b) in two_keys()) {
        let key_a = encode_key(&a, &columns, &types).unwrap();
        let key_b = encode_key(&b, &columns, &types).unwrap();
        let order = compare_columns(&a, &b, &columns, &types);
        prop_assert_eq!(key_a.cmp(&key_b), order);
        if order != Ordering::Equal {
            prop_assert!(!key_a.starts_with(&key_b) && !key_b.starts_with(&key_a));
        }
    }

    #[test]
    fn a_prefix_range_holds_exactly_the_keys_with_the_prefix(
        ((columns, types), a, b) in two_keys(), cut in 0usize..4,
    ) {
        let cut = cut.min(columns.len());
        let (from, to) = prefix_range(&encode_key(&a[..cut], &columns, &types).unwrap());
        let key = encode_key(&b, &columns, &types).unwrap();
        let inside = key >= from && to.is_none_or(|to| key < to);
        let equal = compare_columns(&a[..cut], &b[..cut], &columns, &types) == Ordering::Equal;
        prop_assert_eq!(inside, equal);
    }

    #[test]
    fn random_value_bytes_never_panic(
        ty in any_type(), bytes in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        let _ = append_ordered(&ty, &bytes, &mut Vec::new());
    }
}

#[test]
fn the_end_of_a_prefix_of_ff_is_the_end_of_the_collection() {
    assert_eq!(prefix_range(&[]), (vec![], None));
    assert_eq!(prefix_range(&[0xFF, 0xFF]), (vec![0xFF, 0xFF], None));
    assert_eq!(prefix_range(&[1, 0xFF]), (vec![1, 0xFF], Some(vec![2])));
}

#[test]
fn numeric_display_scale_takes_no_part() {
    let column = KeyColumn {
        column: ColumnId(0),
        descending: false,
        nulls_first: false,
    };
    let key = |bytes: &[u8]| {
        encode_key(
            &[Datum::Bytes(bytes.to_vec())],
            &[column],
            &[ColumnType::Numeric],
        )
        .unwrap()
    };
    assert_eq!(key(&[7, 0, 1]), key(&[7, 0, 2]));
    assert!(encode_key(&[Datum::Bytes(vec![1])], &[column], &[ColumnType::Numeric]).is_err());
}
