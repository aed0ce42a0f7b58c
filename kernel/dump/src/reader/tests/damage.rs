//! Nothing but the dump itself is taken for the dump.

use super::*;
use crate::format::{
    FRAME_HEADER_BYTES, FrameCodec, FrameKind, HEADER_BYTES, TRAILER_BYTES, Trailer,
};

fn error(bytes: Vec<u8>) -> Error {
    match open(bytes) {
        Err(error) => error,
        Ok(_) => panic!("a damaged dump was opened"),
    }
}

fn check(bytes: Vec<u8>, expected: expect_test::Expect) {
    expected.assert_eq(&error(bytes).to_string());
}

/// Position and length of every frame, the manifest's included.
fn frames(bytes: &[u8]) -> Vec<(usize, usize)> {
    let (mut at, mut found) = (HEADER_BYTES, Vec::new());
    while at < bytes.len() - TRAILER_BYTES {
        let header = bytes[at..at + FRAME_HEADER_BYTES].try_into().unwrap();
        let frame = FrameHeader::decode(&header, at as u64).unwrap();
        found.push((at, frame.frame_bytes() as usize));
        at += frame.frame_bytes() as usize;
    }
    found
}

#[test]
fn every_changed_byte_is_refused() {
    let whole = small_dump();
    for offset in 0..whole.len() {
        for flip in [0x01, 0x10, 0x80, 0xff] {
            let mut bytes = whole.clone();
            bytes[offset] ^= flip;
            let error = error(bytes);
            assert!(error.is_damage(), "{error}");
            assert!(error.to_string().contains("my.dump"), "{error}");
            // Only what comes before a frame's place is right or wrong by itself.
            assert!(
                matches!(error, Error::Damaged { .. } | Error::NotADump { .. }),
                "byte {offset} ^ {flip:#x}: {error}"
            );
        }
    }
}

#[test]
fn every_cut_is_called_a_cut() {
    let whole = small_dump();
    for len in 0..whole.len() {
        match error(whole[..len].to_vec()) {
            Error::NotADump { .. } if len == 0 => {}
            Error::Truncated { bytes, .. } => assert_eq!(bytes, len as u64),
            other => panic!("{len} bytes: {other}"),
        }
    }
}

#[test]
fn appended_bytes_are_refused_and_counted() {
    let whole = small_dump();
    for appended in [&b"\0"[..], b"\n", &whole] {
        let bytes = [&whole, appended].concat();
        match error(bytes) {
            Error::Appended { end, bytes, .. } => {
                assert_eq!(end, whole.len() as u64);
                assert_eq!(bytes, (whole.len() + appended.len()) as u64);
            }
            other => panic!("{other}"),
        }
    }
    check(
        [&whole[..], b"more"].concat(),
        expect_test::expect![[
            r#""my.dump" has 4 bytes behind the end of the dump, which is at byte 3295"#
        ]],
    );
}

#[test]
fn frames_swapped_repeated_or_lost_are_refused() {
    let whole = small_dump();
    let frames = frames(&whole);
    let frame = |i: usize| &whole[frames[i].0..frames[i].0 + frames[i].1];
    let build = |order: &[usize]| {
        let mut bytes = whole[..HEADER_BYTES].to_vec();
        order.iter().for_each(|i| bytes.extend(frame(*i)));
        bytes.extend(&whole[whole.len() - TRAILER_BYTES..]);
        bytes
    };
    let all: Vec<usize> = (0..frames.len()).collect();
    assert!(open(build(&all)).is_ok());
    for i in 0..all.len() {
        let mut lost = all.clone();
        lost.remove(i);
        let mut repeated = all.clone();
        repeated.insert(i, i);
        for order in [lost, repeated] {
            let error = error(build(&order));
            assert!(error.is_damage(), "{order:?}: {error}");
        }
        for j in 0..i {
            let mut swapped = all.clone();
            swapped.swap(i, j);
            let error = error(build(&swapped));
            assert!(error.is_damage(), "{swapped:?}: {error}");
        }
    }
}

/// Put a frame at another position, with its header's checksums made right.
fn moved(frame: &[u8], position: u64, change: impl FnOnce(&mut FrameHeader)) -> Vec<u8> {
    let field = |at: usize| u32::from_le_bytes(frame[at..at + 4].try_into().unwrap());
    let mut header = FrameHeader {
        kind: FrameKind::Rows,
        codec: match frame[1] {
            0 => FrameCodec::Plain,
            _ => FrameCodec::Zstd,
        },
        section: field(4),
        number: field(8),
        items: field(12),
        raw_bytes: field(16),
        stored_bytes: field(20),
        position,
        payload_crc: field(32),
    };
    change(&mut header);
    [&header.encode()[..], &frame[FRAME_HEADER_BYTES..]].concat()
}

/// The two frames of the table exchanged by somebody who knows the format: the section's digest tells.
#[test]
fn a_frame_in_anothers_place_does_not_have_the_sections_digest() {
    let whole = small_dump();
    let frames = frames(&whole);
    let ((first, first_bytes), (second, second_bytes)) = (frames[2], frames[3]);
    assert_eq!(first + first_bytes, second);
    let [a, b] = [first..second, second..second + second_bytes].map(|range| &whole[range]);
    let mut bytes = whole[..first].to_vec();
    bytes.extend(moved(b, first as u64, |header| header.number = 0));
    let next = bytes.len() as u64;
    bytes.extend(moved(a, next, |header| header.number = 1));
    bytes.extend(&whole[second + second_bytes..]);
    let error = error(bytes).to_string();
    assert!(error.contains("the manifest at byte"), "{error}");
}

/// The same dump with another manifest, and a trailer that fits it.
fn with_manifest(change: impl FnOnce(&mut Manifest)) -> Vec<u8> {
    let whole = small_dump();
    let dump = open(whole.clone()).unwrap();
    let mut manifest = dump.manifest.clone();
    change(&mut manifest);
    with_manifest_text(&whole, &serde_json::to_string(&manifest).unwrap())
}

fn with_manifest_text(whole: &[u8], text: &str) -> Vec<u8> {
    let (at, bytes) = *frames(whole).last().unwrap();
    let section = u32::from_le_bytes(whole[at + 4..at + 8].try_into().unwrap());
    let header = FrameHeader {
        kind: FrameKind::Manifest,
        codec: FrameCodec::Plain,
        section,
        number: 0,
        items: 1,
        raw_bytes: text.len() as u32,
        stored_bytes: text.len() as u32,
        position: at as u64,
        payload_crc: crc32c::crc32c(text.as_bytes()),
    };
    let mut out = whole[..at].to_vec();
    out.extend(header.encode());
    out.extend(text.as_bytes());
    assert!(at + bytes + TRAILER_BYTES == whole.len());
    let trailer = Trailer {
        manifest_offset: at as u64,
        manifest_bytes: header.frame_bytes() as u32,
        sections: section,
        file_bytes: (out.len() + TRAILER_BYTES) as u64,
        version: crate::format::FORMAT_VERSION,
    };
    out.extend(trailer.encode());
    out
}

#[test]
fn a_manifest_that_does_not_fit_the_file_is_refused() {
    assert!(open(with_manifest(|_| {})).is_ok());
    type Change = fn(&mut Manifest);
    let changes: &[(&str, Change)] = &[
        ("format", |m| m.format = 1),
        ("id", |m| m.dump_id.replace_range(..1, "f")),
        ("branches in version 2", |m| {
            m.branches = Some(BranchesManifest {
                timelines: TimelineIds { main: 1, next: 2 },
                note: String::new(),
                counters: Vec::new(),
                branches: Vec::new(),
            });
        }),
        ("times", |m| m.oldest_ts = m.snapshot_ts + 1),
        ("a section too few", |m| drop(m.sections.pop())),
        ("a section too many", |m| {
            let mut last = m.sections[4].clone();
            last.name = "table/7".to_owned();
            m.sections.push(last);
        }),
        ("a section twice", |m| {
            m.sections[4].name = "table/1024".to_owned()
        }),
        ("an unknown section", |m| {
            m.sections[4].name = "view/1".to_owned()
        }),
        ("a section of another kind", |m| {
            m.sections[0].name = "config".to_owned();
        }),
        ("sections exchanged", |m| m.sections.swap(2, 3)),
        ("an offset", |m| m.sections[2].offset += 1),
        ("stored bytes", |m| m.sections[2].stored_bytes -= 1),
        ("raw bytes", |m| m.sections[2].raw_bytes += 1),
        ("frames", |m| m.sections[2].frames = 1),
        ("items", |m| m.sections[2].items += 1),
        ("a digest", |m| m.sections[2].digest = Digest::default()),
        ("rows", |m| m.tables[0].rows += 1),
        ("superseded", |m| m.tables[0].superseded = 0),
        ("a table without section", |m| m.tables[0].collection = 9),
        ("a section without table", |m| drop(m.tables.pop())),
        ("columns", |m| drop(m.tables[0].columns.pop())),
        ("a table twice", |m| {
            let table = m.tables[0].clone();
            m.tables[1] = table;
        }),
        ("a store twice", |m| m.stores.push(m.stores[0].clone())),
        ("a store without section", |m| m.stores[0].version = 2),
        ("a store's versions", |m| m.stores[0].versions = 4),
        ("a config that nobody counted", |m| m.config = None),
    ];
    for (what, change) in changes {
        let error = error(with_manifest(*change));
        let text = error.to_string();
        assert!(matches!(error, Error::Damaged { .. }), "{what}: {text}");
        assert!(text.contains("the manifest at byte"), "{what}: {text}");
    }
}

#[test]
fn what_the_manifest_says_and_this_build_does_not_know_is_refused() {
    let whole = small_dump();
    let dump = open(whole.clone()).unwrap();
    let text = serde_json::to_string(&dump.manifest).unwrap();
    let unknown = text.replacen('{', "{\"replicas\":3,", 1);
    for text in ["", "{}", "null", &text[1..], &unknown] {
        let error = error(with_manifest_text(&whole, text));
        assert!(matches!(error, Error::Damaged { .. }), "{error}");
    }
}

#[test]
fn other_files_and_other_versions_are_told_by_name() {
    check(
        Vec::new(),
        expect_test::expect![[r#""my.dump" is not a HeliosDB dump: it is empty"#]],
    );
    check(
        b"PGDMP and so on".to_vec(),
        expect_test::expect![[
            r#""my.dump" is not a HeliosDB dump: it begins with something else"#
        ]],
    );
    check(
        b"HELIO".to_vec(),
        expect_test::expect![[r#""my.dump" is cut off: it ends at byte 5, inside the header"#]],
    );
    let mut newer = small_dump();
    newer[8] = 4;
    let crc = crc32c::crc32c(&newer[..28]);
    newer[28..32].copy_from_slice(&crc.to_le_bytes());
    check(
        newer,
        expect_test::expect![[
            r#""my.dump" is a dump of format 4; this build reads formats 2 to 3"#
        ]],
    );
    let mut damaged = small_dump();
    damaged[100] ^= 4;
    check(
        damaged,
        expect_test::expect![[
            r#""my.dump" is damaged: the content of a frame at byte 72: expected checksum fcb8672e, found 757f2519"#
        ]],
    );
    let whole = small_dump();
    check(
        whole[..100].to_vec(),
        expect_test::expect![[r#""my.dump" is cut off: it ends at byte 100, inside a frame"#]],
    );
}

/// The file changes under a dump that is open.
#[test]
fn a_frame_is_checked_again_when_it_is_read() {
    use std::sync::Mutex;

    struct Shared(Arc<Mutex<Vec<u8>>>);
    impl Source for Shared {
        fn bytes(&self) -> std::io::Result<u64> {
            self.0.lock().unwrap().bytes()
        }
        fn read_at(&self, buf: &mut [u8], offset: u64) -> std::io::Result<usize> {
            self.0.lock().unwrap().read_at(buf, offset)
        }
    }

    let whole = small_dump();
    let (at, _) = frames(&whole)[2];
    let bytes = Arc::new(Mutex::new(whole));
    let source = Box::new(Shared(Arc::clone(&bytes)));
    let dump = Dump::open_source(source, "my.dump", &Silent).unwrap();
    bytes.lock().unwrap()[at + FRAME_HEADER_BYTES] ^= 1;
    let mut rows = dump.rows(TABLE, RowVersions::Current).unwrap();
    assert!(matches!(rows.next(), Some(Err(Error::Damaged { .. }))));
    assert!(rows.next().is_none());
    bytes.lock().unwrap().truncate(at);
    let mut rows = dump.rows(TABLE, RowVersions::Current).unwrap();
    assert!(matches!(rows.next(), Some(Err(Error::Truncated { .. }))));
}
