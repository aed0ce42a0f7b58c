//! Arithmetic as PostgreSQL prints it, and bytes that sort as the numbers do.

use num_bigint::BigInt;
use proptest::prelude::*;

use super::encoding::{decode, encode_to_vec, key};
use super::*;

fn n(s: &str) -> Numeric {
    Numeric::parse(s).unwrap()
}

fn arbitrary() -> impl Strategy<Value = Numeric> {
    prop_oneof![
        8 => (any::<i128>(), 0u16..60).prop_map(|(c, s)| Numeric::new(BigInt::from(c), s)),
        4 => (-2000i64..2000, 0u16..4).prop_map(|(c, s)| Numeric::new(BigInt::from(c), s)),
        2 => (any::<i128>(), any::<i128>(), 0u16..200)
            .prop_map(|(a, b, s)| Numeric::new(BigInt::from(a) * BigInt::from(b), s)),
        1 => Just(Numeric::NaN),
        1 => Just(Numeric::Infinity),
        1 => Just(Numeric::NegInfinity),
    ]
}

proptest! {
    #[test]
    fn encoding_round_trips_with_its_scale(v in arbitrary()) {
        let back = decode(&encode_to_vec(&v)).unwrap();
        prop_assert_eq!(back.to_string(), v.to_string());
    }

    #[test]
    fn bytes_order_as_values_do(a in arbitrary(), b in arbitrary()) {
        let (x, y) = (encode_to_vec(&a), encode_to_vec(&b));
        prop_assert_eq!(key(&x).cmp(key(&y)), a.compare(&b), "{} {}", a, b);
    }

    #[test]
    fn text_round_trips(v in arbitrary()) {
        prop_assert_eq!(n(&v.to_string()).to_string(), v.to_string());
    }

    #[test]
    fn decoding_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
        let _ = decode(&bytes);
    }

    #[test]
    fn division_undoes_multiplication(a in -100_000i64..100_000, b in 1i64..10_000) {
        let (a, b) = (Numeric::from_i64(a), Numeric::from_i64(b));
        prop_assert!(a.mul(&b).unwrap().div(&b).unwrap().compare(&a).is_eq());
    }
}

#[test]
fn parsing_keeps_the_scale_written() {
    for (input, shown) in [
        ("1.50", "1.50"),
        (" -0.00 ", "0.00"),
        ("1e3", "1000"),
        ("1.5e-3", "0.0015"),
        (".5", "0.5"),
        ("5.", "5"),
        ("NaN", "NaN"),
        ("-inf", "-Infinity"),
        ("00012.3400", "12.3400"),
    ] {
        assert_eq!(n(input).to_string(), shown, "{input}");
    }
    for bad in [
        "",
        ".",
        "1e",
        "x",
        "1 2",
        "+nan",
        "--1",
        "1..2",
        "1e1000000",
    ] {
        assert!(Numeric::parse(bad).is_err(), "{bad}");
    }
}

/// Figures from PostgreSQL 15.
#[test]
fn results_have_postgres_scales() {
    let div = |a: &str, b: &str| n(a).div(&n(b)).unwrap().to_string();
    assert_eq!(div("1", "3"), "0.33333333333333333333");
    assert_eq!(div("10", "3"), "3.3333333333333333");
    assert_eq!(div("12345.678", "2"), "6172.8390000000000000");
    assert_eq!(div("1", "7.000"), "0.14285714285714285714");
    assert_eq!(n("2").sqrt().unwrap().to_string(), "1.414213562373095");
    assert_eq!(n("1.10").mul(&n("2.200")).unwrap().to_string(), "2.42000");
    assert_eq!(n("-7.5").rem(&n("2")).unwrap().to_string(), "-1.5");
    assert_eq!(n("2.5").round(0).unwrap().to_string(), "3");
    assert_eq!(n("-2.5").round(0).unwrap().to_string(), "-3");
    assert_eq!(n("1234.5").round(-2).unwrap().to_string(), "1200");
    assert_eq!(
        n("2").power(&n("3")).unwrap().to_string(),
        "8.0000000000000000"
    );
    assert_eq!(n("1").exp().unwrap().to_string(), "2.7182818284590452");
    assert_eq!(n("2").ln().unwrap().to_string(), "0.6931471805599453");
    assert_eq!(n("0.1").to_f64(), 0.1);
}
