//! Files that somebody made up: refused, without a panic, and without memory that they do not
//! justify.

use proptest::prelude::*;

use super::*;
use crate::format::{FrameCodec, FrameKind, HEADER_BYTES, header};

/// A header, and a frame whose header has right checksums and says what it likes.
fn claim(raw_bytes: u32, stored_bytes: u32, payload: &[u8]) -> Vec<u8> {
    let frame = FrameHeader {
        kind: FrameKind::Manifest,
        codec: FrameCodec::Zstd,
        section: 0,
        number: 0,
        items: 1,
        raw_bytes,
        stored_bytes,
        position: HEADER_BYTES as u64,
        payload_crc: crc32c::crc32c(payload),
    };
    [
        &header::encode(FORMAT_VERSION, ID)[..],
        &frame.encode(),
        payload,
    ]
    .concat()
}

#[test]
fn a_length_is_not_believed_before_the_file_has_it() {
    let payload = zstd::bulk::compress(&[7; 1000], 3).unwrap();
    let bytes = payload.len() as u32;
    let most = crate::format::FRAME_RAW_BYTES_MAX as u32;
    // More stored than there is.
    let error = open(claim(most, most - 1, &payload)).unwrap_err();
    assert!(matches!(error, Error::Truncated { .. }), "{error}");
    // More raw than comes out, less than comes out, more than may be.
    for raw_bytes in [most, 1001, 999, most + 1, u32::MAX] {
        let error = open(claim(raw_bytes, bytes, &payload)).unwrap_err();
        assert!(
            matches!(error, Error::Damaged { .. }),
            "{raw_bytes}: {error}"
        );
    }
    // What it says, and no manifest.
    let error = open(claim(1000, bytes, &payload)).unwrap_err();
    assert!(matches!(error, Error::Truncated { .. }), "{error}");
}

/// The writer never makes one, and whoever reads its items finds none.
#[test]
fn a_frame_of_nothing_is_refused() {
    let whole = open(small_dump()).unwrap();
    for emptied in ["catalog", "config"] {
        let clear = |section: &str, payload: &mut Payload| {
            if section == emptied {
                payload.raw.clear();
            }
        };
        let none = |manifest: &mut Manifest| {
            if emptied == "config" {
                manifest.config = Some(digest_of(b""));
            }
        };
        let error = open(rewrite(&whole, clear, none)).unwrap_err();
        assert!(matches!(error, Error::Damaged { .. }), "{emptied}: {error}");
    }
}

#[test]
fn entries_whose_lengths_do_not_fit_are_refused() {
    let whole = open(small_dump()).unwrap();
    for (at, len) in [(4, 400u32), (4, u32::MAX), (8, 4000), (8, u32::MAX)] {
        let bytes = rewrite(
            &whole,
            |section, payload| {
                if section == "catalog" {
                    payload.raw[at..at + 4].copy_from_slice(&len.to_le_bytes());
                }
            },
            |_| {},
        );
        let dump = open(bytes).unwrap();
        let found: Result<Vec<_>> = dump.entries("catalog").unwrap().collect();
        assert!(matches!(found, Err(Error::Damaged { .. })), "{found:?}");
    }
}

#[test]
fn rows_that_are_not_as_many_as_the_frame_says_are_refused() {
    let whole = open(small_dump()).unwrap();
    let history = format!("history/{TABLE}");
    let bytes = rewrite(
        &whole,
        |section, payload| payload.items -= u32::from(section == history),
        |manifest| manifest.tables[0].superseded -= 1,
    );
    let dump = open(bytes).unwrap();
    let mut rows = dump.rows(TABLE, RowVersions::Superseded).unwrap();
    assert!(matches!(rows.next(), Some(Err(Error::Damaged { .. }))));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn random_bytes_are_not_a_dump(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(open(bytes.clone()).is_err());
        let behind_a_header = [&header::encode(FORMAT_VERSION, ID)[..], &bytes].concat();
        prop_assert!(open(behind_a_header).is_err());
        let raw_bytes = 1 + bytes.len() as u32;
        prop_assert!(open(claim(raw_bytes, raw_bytes - 1, &bytes)).is_err());
    }

    /// Payloads with some bytes changed and every checksum right: whatever they are read as, it is an
    /// error or a value.
    #[test]
    fn a_forged_payload_does_no_harm(
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        frame in any::<prop::sample::Index>(),
    ) {
        let whole = open(small_dump()).unwrap();
        let count: usize = whole.frames.iter().map(Vec::len).sum();
        let mut left = frame.index(count);
        let bytes = rewrite(&whole, |_, payload| {
            if left == 0 {
                for (at, byte) in &changes {
                    let at = at.index(payload.raw.len());
                    payload.raw[at] = *byte;
                }
            }
            left = left.wrapping_sub(1);
        }, |_| {});
        let dump = open(bytes).unwrap();
        let _ = read_all(&dump);
    }
}
