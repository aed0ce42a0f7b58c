//! Values of every type, for the tests of this crate, and the round trips of a single value.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::array::write_array;
use super::*;

/// One of each column type, arrays of fixed and of variable elements, and a nested array.
pub(crate) fn all_types() -> Vec<ColumnType> {
    let mut types = vec![
        ColumnType::Bool,
        ColumnType::Int16,
        ColumnType::Int32,
        ColumnType::Int64,
        ColumnType::Float32,
        ColumnType::Float64,
        ColumnType::Decimal {
            precision: 38,
            scale: 4,
        },
        ColumnType::Numeric,
        ColumnType::Date,
        ColumnType::Time,
        ColumnType::Timestamp,
        ColumnType::TimestampTz,
        ColumnType::Interval,
        ColumnType::Text,
        ColumnType::Bytea,
        ColumnType::Jsonb,
        ColumnType::Json,
        ColumnType::Uuid,
        ColumnType::Oid,
    ];
    for item in types.clone() {
        types.push(ColumnType::Array(Box::new(item)));
    }
    types.push(ColumnType::Array(Box::new(ColumnType::Array(Box::new(
        ColumnType::Text,
    )))));
    types
}

pub(crate) fn any_type() -> impl Strategy<Value = ColumnType> {
    prop::sample::select(all_types())
}

fn bytes() -> BoxedStrategy<Vec<u8>> {
    prop_oneof![
        8 => prop::collection::vec(prop_oneof![Just(0u8), Just(1), Just(255), any::<u8>()], 0..6),
        1 => prop::collection::vec(any::<u8>(), 0..400),
    ]
    .boxed()
}

/// A value of `ty` other than NULL. Small domains are common, so that equal values are.
pub(crate) fn value_of(ty: &ColumnType) -> BoxedStrategy<Datum> {
    let ints = prop_oneof![-2i64..=2, any::<i64>(), Just(i64::MIN), Just(i64::MAX)];
    match ty {
        ColumnType::Bool => any::<bool>().prop_map(Datum::Bool).boxed(),
        ColumnType::Int16 => ints.prop_map(|v| Datum::Int16(v as i16)).boxed(),
        ColumnType::Int32 => ints.prop_map(|v| Datum::Int32(v as i32)).boxed(),
        ColumnType::Int64 => ints.prop_map(Datum::Int64).boxed(),
        ColumnType::Float32 => prop_oneof![
            prop::num::f32::ANY,
            prop::sample::select(vec![
                0.0,
                -0.0,
                f32::NAN,
                -f32::NAN,
                f32::INFINITY,
                f32::MIN
            ]),
        ]
        .prop_map(Datum::Float32)
        .boxed(),
        ColumnType::Float64 => prop_oneof![
            prop::num::f64::ANY,
            prop::sample::select(vec![
                0.0,
                -0.0,
                f64::NAN,
                -f64::NAN,
                f64::INFINITY,
                f64::MIN
            ]),
        ]
        .prop_map(Datum::Float64)
        .boxed(),
        ColumnType::Decimal { .. } => {
            let limit = 10i128.pow(38) - 1;
            prop_oneof![-2..=2i128, -limit..=limit]
                .prop_map(Datum::Decimal)
                .boxed()
        }
        ColumnType::Numeric => (bytes(), any::<[u8; 2]>())
            .prop_map(|(value, scale)| Datum::Bytes([value, scale.to_vec()].concat()))
            .boxed(),
        ColumnType::Date => ints.prop_map(|v| Datum::Date(v as i32)).boxed(),
        ColumnType::Time => ints.prop_map(Datum::Time).boxed(),
        ColumnType::Timestamp | ColumnType::TimestampTz => ints.prop_map(Datum::Timestamp).boxed(),
        ColumnType::Interval => (
            prop_oneof![-2..=2i32, any::<i32>()],
            prop_oneof![-60..=60i32, any::<i32>()],
            prop_oneof![Just(0i64), Just(86_400_000_000_000), any::<i64>()],
        )
            .prop_map(|(months, days, nanos)| Datum::Interval {
                months,
                days,
                nanos,
            })
            .boxed(),
        ColumnType::Text | ColumnType::Jsonb | ColumnType::Json => prop_oneof![
            8 => "[\\x00\\x01a-cé]{0,6}",
            1 => "\\PC{0,200}",
        ]
        .prop_map(|text| Datum::Bytes(text.into_bytes()))
        .boxed(),
        ColumnType::Bytea => bytes().prop_map(Datum::Bytes).boxed(),
        ColumnType::Uuid => any::<[u8; 16]>().prop_map(Datum::Uuid).boxed(),
        ColumnType::Oid => any::<u32>().prop_map(Datum::Oid).boxed(),
        ColumnType::Array(item) => {
            let item = (**item).clone();
            prop::collection::vec(datum_of(&item), 0..5)
                .prop_map(move |elements| array_datum(&item, &elements))
                .boxed()
        }
    }
}

/// A value of `ty`, or NULL.
pub(crate) fn datum_of(ty: &ColumnType) -> BoxedStrategy<Datum> {
    prop_oneof![1 => Just(Datum::Null), 4 => value_of(ty)].boxed()
}

pub(crate) fn array_datum(item: &ColumnType, elements: &[Datum]) -> Datum {
    let mut bytes = Vec::new();
    write_array(item, elements.len(), &mut bytes, |index, out| {
        if elements[index] == Datum::Null {
            return Ok(false);
        }
        elements[index].write_value(item, out).map(|()| true)
    })
    .unwrap();
    Datum::Bytes(bytes)
}

/// Equal bit for bit: NaN equals itself and -0 is not 0.
pub(crate) fn same(a: &Datum, b: &Datum) -> bool {
    a.encode() == b.encode()
}

proptest! {
    #[test]
    fn a_value_survives_arrow_and_its_own_encoding(
        (ty, value) in any_type().prop_flat_map(|ty| { let v = datum_of(&ty); (Just(ty), v) })
    ) {
        let array = value.to_array(&ty).unwrap();
        prop_assert_eq!(array.data_type(), &ty.arrow());
        prop_assert_eq!(array.len(), 1);
        prop_assert!(same(&Datum::from_array(&array, 0).unwrap(), &value));
        prop_assert!(same(&Datum::decode(&value.encode()).unwrap(), &value));
    }

    #[test]
    fn random_bytes_are_an_error_or_a_value(
        ty in any_type(),
        bytes in prop::collection::vec(any::<u8>(), 0..64),
    ) {
        let _ = Datum::decode(&bytes);
        if let Ok(value) = Datum::from_value(&ty, &bytes) {
            let _ = value.to_array(&ty);
        }
    }
}

#[test]
fn every_type_maps_to_one_arrow_type_and_back() {
    for ty in all_types() {
        assert_eq!(ColumnType::from_arrow(&ty.arrow()), Some(ty));
    }
}

#[test]
fn a_value_of_another_type_is_refused() {
    assert!(Datum::Int32(1).to_array(&ColumnType::Int64).is_err());
    assert!(
        Datum::Bytes(vec![0xFF])
            .to_array(&ColumnType::Text)
            .is_err()
    );
}
