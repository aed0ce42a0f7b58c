//! Blocks of any values come back to the bit, and damaged ones are errors and nothing else.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use arrow_array::builder::StringViewBuilder;
use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Float64Type};
use arrow_array::{
    Array, ArrayRef, BinaryArray, Float32Array, Float64Array, LargeStringArray, StringViewArray,
};
use heliosdb_fsst_alp::choose::Preference;
use heliosdb_fsst_alp::codec::{BlockCodec, Method, scheme_of};
use heliosdb_fsst_alp::frame::{self, Scheme};
use heliosdb_plugin_api::{Codec, Comparison, state};
use proptest::prelude::*;

fn codec(method: Method) -> BlockCodec {
    let preference = Preference { zstd_saves_min: 0 };
    BlockCodec { method, preference }
}

fn methods(block: &ArrayRef) -> &'static [Method] {
    match block.data_type().is_floating() {
        true => &[Method::Auto, Method::Alp, Method::Dictionary],
        false => &[Method::Auto, Method::Fsst, Method::Dictionary],
    }
}

/// The values as bits: equal NaNs need not be the same, nor equal zeros.
fn bits(block: &ArrayRef) -> Vec<Option<Vec<u8>>> {
    let rows = 0..block.len();
    if let Some(floats) = block.as_primitive_opt::<Float64Type>() {
        let bits = |row| floats.is_valid(row).then(|| floats.value(row).to_bits());
        return rows
            .map(|row| Some(bits(row)?.to_le_bytes().into()))
            .collect();
    }
    if let Some(floats) = block.as_primitive_opt::<Float32Type>() {
        let bits = |row| floats.is_valid(row).then(|| floats.value(row).to_bits());
        return rows
            .map(|row| Some(bits(row)?.to_le_bytes().into()))
            .collect();
    }
    if let Some(texts) = block.as_string_view_opt() {
        return texts.iter().map(|t| Some(t?.as_bytes().into())).collect();
    }
    if let Some(texts) = block.as_string_opt::<i64>() {
        return texts.iter().map(|t| Some(t?.as_bytes().into())).collect();
    }
    let bytes = block.as_binary::<i32>().iter();
    bytes.map(|b| Some(b?.into())).collect()
}

fn round_trip(block: &ArrayRef) {
    for method in methods(block) {
        let codec = codec(*method);
        let (ty, rows) = (block.data_type(), block.len());
        codec.analyze(block).unwrap().unwrap();
        let encoded = codec.encode(block).unwrap();
        assert_eq!(codec.encode(block).unwrap(), encoded);
        let decoded = codec.decode(&encoded, ty, rows).unwrap();
        assert_eq!(decoded.data_type(), ty);
        assert_eq!(bits(&decoded), bits(block), "{method:?}");
        for slice in [0..rows / 2, rows / 3..rows / 2, rows / 2..rows, rows..rows] {
            let part = codec.decode_slice(&encoded, ty, rows, slice.clone());
            let expected = block.slice(slice.start, slice.len());
            assert_eq!(bits(&part.unwrap()), bits(&expected));
        }
    }
}

/// Whatever these bytes decode to, all ways of reading them end.
fn read_anyhow(bytes: &[u8], block: &ArrayRef) {
    let codec = codec(Method::Auto);
    let (ty, rows) = (block.data_type(), block.len());
    let decoded = [
        codec.decode(bytes, ty, rows),
        codec.decode_slice(bytes, ty, rows, rows / 2..rows),
    ];
    for result in decoded {
        match result {
            Ok(array) => array.to_data().validate_full().unwrap(),
            Err(error) => assert_eq!(error.sqlstate, state::DATA_CORRUPTED, "{error}"),
        }
    }
    if rows > 0 {
        for comparison in [
            Comparison::Less,
            Comparison::Equal,
            Comparison::In,
            Comparison::StartsWith,
        ] {
            let _ = codec.filter(bytes, rows, comparison, &block.slice(0, 1));
        }
    }
}

/// As [`read_anyhow`], with a right checksum: what the checksum hides is looked at, too.
fn read_resealed(mut bytes: Vec<u8>, block: &ArrayRef) {
    frame::seal(&mut bytes);
    read_anyhow(&bytes, block);
}

/// The same for the same place, and without a pattern.
fn random(place: usize) -> usize {
    let mixed = (place as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed ^ mixed >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9) as usize >> 34
}

fn texts(rows: usize) -> ArrayRef {
    let words = ["alpha", "beta", "", "gamma ray", "delta: δ", "x"];
    let text =
        |i: usize| (i % 9 != 4).then(|| format!("{} {}", words[random(i) % 6], random(i) % 891));
    Arc::new((0..rows).map(text).collect::<StringViewArray>())
}

fn few_texts(rows: usize) -> ArrayRef {
    let word = |i: usize| ["red", "green", "blue"][random(i) % 3];
    Arc::new(
        (0..rows)
            .map(|i| Some(word(i)))
            .collect::<StringViewArray>(),
    )
}

fn decimals(rows: usize) -> ArrayRef {
    let decimal = |i: usize| (i % 7 != 3).then(|| (random(i) % 5000) as f64 / 100.0);
    let odd = |i: usize| (i % 50 == 49).then_some(f64::NAN);
    let each = (0..rows).map(|i| odd(i).or(decimal(i)));
    Arc::new(each.collect::<Float64Array>())
}

fn noise(rows: usize) -> ArrayRef {
    let noise = |i: usize| 1.0 + (i as f64 / 7.0).sin() / 3.0;
    Arc::new((0..rows).map(noise).map(Some).collect::<Float64Array>())
}

#[test]
fn blocks_that_are_easily_forgotten() {
    let strings: [&[Option<&str>]; 6] = [
        &[],
        &[None],
        &[Some("")],
        &[Some("one")],
        &[Some(""), None, Some(""), None],
        &[None; 2000],
    ];
    for values in strings {
        let values = || values.iter().copied();
        round_trip(&(Arc::new(values().collect::<StringViewArray>()) as ArrayRef));
        round_trip(&(Arc::new(values().collect::<LargeStringArray>()) as ArrayRef));
        let bytes = values().map(|v| v.map(str::as_bytes));
        round_trip(&(Arc::new(bytes.collect::<BinaryArray>()) as ArrayRef));
    }
    let payload = f64::from_bits(0x7ff0_0000_dead_beef);
    let floats: [&[Option<f64>]; 5] = [
        &[],
        &[None],
        &[Some(-0.0)],
        &[Some(payload), None, Some(f64::INFINITY), Some(0.0)],
        &[None; 2000],
    ];
    for values in floats {
        let values = || values.iter().copied();
        round_trip(&(Arc::new(values().collect::<Float64Array>()) as ArrayRef));
        let single = values().map(|v| v.map(|v| v as f32));
        round_trip(&(Arc::new(single.collect::<Float32Array>()) as ArrayRef));
    }
    let every_byte = (0..3000u32).map(|i| Some([(i >> 8) as u8, i as u8, 0, 0xff]));
    round_trip(&(Arc::new(every_byte.collect::<BinaryArray>()) as ArrayRef));
    round_trip(&(Arc::new(StringViewBuilder::new().finish()) as ArrayRef));
    for rows in [1, 1023, 1024, 1025, 8192] {
        for block in [texts(rows), few_texts(rows), decimals(rows), noise(rows)] {
            round_trip(&block);
            round_trip(&block.slice(rows / 3, rows / 2));
        }
    }
}

#[test]
fn each_scheme_is_chosen_where_it_is_best() {
    let scheme = |method, block: &ArrayRef| {
        let encoded = codec(method).encode(block).unwrap();
        scheme_of(&encoded).unwrap()
    };
    assert_eq!(scheme(Method::Auto, &few_texts(8192)), Scheme::Dictionary);
    assert_eq!(scheme(Method::Auto, &decimals(8192)), Scheme::Alp);
    assert_eq!(scheme(Method::Auto, &noise(8192)), Scheme::AlpRd);
    assert_eq!(scheme(Method::Alp, &noise(8192)), Scheme::AlpRd);
    assert_eq!(scheme(Method::Fsst, &texts(8192)), Scheme::Fsst);
    let repeated = (0..8192).map(|i| Some(format!("{:x}", (i / 50 * 0x9e37_79b9u64) << 8)));
    let repeated: ArrayRef = Arc::new(repeated.collect::<StringViewArray>());
    assert_ne!(scheme(Method::Auto, &repeated), Scheme::Fsst);
    let preference = Preference { zstd_saves_min: 60 };
    let method = Method::Auto;
    let other = BlockCodec { method, preference };
    let encoded = other.encode(&texts(8192)).unwrap();
    assert_ne!(scheme_of(&encoded).unwrap(), Scheme::Zstd);
}

/// Every byte of a block, changed: found by the checksum, or by what reads beneath it.
#[test]
fn every_change_of_one_byte_is_harmless() {
    let payload: ArrayRef = Arc::new(Float32Array::from(vec![0.5, -0.0, 1e30]));
    for block in [texts(40), few_texts(60), decimals(60), noise(20), payload] {
        for method in methods(&block) {
            let encoded = codec(*method).encode(&block).unwrap();
            for at in 0..encoded.len() {
                for value in [0, 0x7f, 0xff, encoded[at] ^ 1, encoded[at] ^ 0x10] {
                    if value == encoded[at] {
                        continue;
                    }
                    let mut changed = encoded.clone();
                    changed[at] = value;
                    let read = codec(*method).decode(&changed, block.data_type(), block.len());
                    assert_eq!(read.unwrap_err().sqlstate, state::DATA_CORRUPTED);
                    read_resealed(changed, &block);
                }
                read_resealed(encoded[..at].to_vec(), &block);
            }
            let longer = [&encoded[..], &[0]].concat();
            read_resealed(longer, &block);
        }
    }
}

#[test]
fn values_of_another_type_or_number_are_refused() {
    let (texts, floats) = (texts(50), decimals(50));
    let encoded = codec(Method::Auto).encode(&texts).unwrap();
    let decode = |block: &ArrayRef, rows| {
        let decoded = codec(Method::Auto).decode(&encoded, block.data_type(), rows);
        decoded.map(|_| ()).map_err(|e| e.sqlstate)
    };
    assert_eq!(decode(&texts, 50), Ok(()));
    assert_eq!(decode(&texts, 49), Err(state::DATA_CORRUPTED));
    assert_eq!(decode(&floats, 50), Err(state::DATA_CORRUPTED));
}

fn any_text() -> impl Strategy<Value = Option<String>> {
    prop_oneof![
        1 => Just(None),
        1 => Just(Some(String::new())),
        4 => "[ab]{0,6}".prop_map(Some),
        2 => "https?://[a-e]{1,3}\\.(com|org)/[0-9]{0,4}".prop_map(Some),
        1 => ".{0,40}".prop_map(Some),
    ]
}

fn any_float() -> impl Strategy<Value = Option<f64>> {
    prop_oneof![
        1 => Just(None),
        2 => any::<u64>().prop_map(|bits| Some(f64::from_bits(bits))),
        2 => any::<i16>().prop_map(|n| Some(f64::from(n))),
        4 => any::<i32>().prop_map(|n| Some(f64::from(n) / 1000.0)),
        1 => (1u32..20).prop_map(|n| Some(1.0 / f64::from(n))),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_texts_come_back(values in prop::collection::vec(any_text(), 0..1500)) {
        round_trip(&(Arc::new(values.iter().cloned().collect::<StringViewArray>()) as ArrayRef));
        round_trip(&(Arc::new(values.into_iter().collect::<LargeStringArray>()) as ArrayRef));
    }

    #[test]
    fn any_bytes_come_back(values in prop::collection::vec(prop::option::of(prop::collection::vec(any::<u8>(), 0..20)), 0..500)) {
        round_trip(&(Arc::new(values.into_iter().collect::<BinaryArray>()) as ArrayRef));
    }

    #[test]
    fn any_floats_come_back(values in prop::collection::vec(any_float(), 0..1500)) {
        round_trip(&(Arc::new(values.iter().copied().collect::<Float64Array>()) as ArrayRef));
        let single = values.into_iter().map(|v| v.map(|v| v as f32));
        round_trip(&(Arc::new(single.collect::<Float32Array>()) as ArrayRef));
    }

    #[test]
    fn any_bytes_are_read(
        bytes in prop::collection::vec(any::<u8>(), 0..300),
        scheme in 0u8..7,
        kind in 0u8..5,
        rows in 0usize..70,
    ) {
        for block in [texts(rows), decimals(rows)] {
            read_anyhow(&bytes, &block);
            let header = [0xfa, 1, scheme, kind, rows as u8, 0, 0, 0, 0, 0, 0, 0];
            read_resealed([&header[..], &bytes].concat(), &block);
            // No row is NULL.
            read_resealed([&header[..], &[0], &bytes].concat(), &block);
        }
    }

    #[test]
    fn any_changes_are_harmless(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        rows in 0usize..1200,
    ) {
        for block in [texts(rows), few_texts(rows), decimals(rows), noise(rows)] {
            for method in methods(&block) {
                let mut encoded = codec(*method).encode(&block).unwrap();
                for (at, value) in &changes {
                    let at = at.index(encoded.len());
                    encoded[at] = *value;
                }
                read_resealed(encoded, &block);
            }
        }
    }
}
