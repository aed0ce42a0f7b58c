//! A damaged segment: every changed byte is told, and no bytes make a reader panic.

use arrow_buffer::Buffer;

use super::memory_io::contents;
use super::*;
use crate::datum::tests::any_type;
use crate::error::Error;
use crate::io::OpenMode;
use crate::segment::blob::BlobIndex;
use crate::segment::column::decode_column;
use crate::segment::filter::Bloom;
use crate::segment::format::{Blobs, Directory, PagePlace, TRAILER_BYTES, Trailer};
use crate::segment::page::{Compression, PageFramer, PageId, PageKind, read_page};
use crate::segment::sorted::{PageCursor, SortedPageData};

fn small_table() -> Arc<TableDef> {
    Arc::new(table(&[
        ColumnType::Int32,
        ColumnType::Text,
        ColumnType::Bool,
    ]))
}

/// A segment with pages of every kind, plain and compressed.
fn small_segment() -> Vec<u8> {
    let table = small_table();
    let io = MemoryIo::empty();
    let mut writer = create(&io, 256);
    writer.begin_rows(&table).unwrap();
    for n in 0..4u64 {
        let text = Datum::Bytes("some text ".repeat(40).into_bytes());
        let row = encode(&table, &[Datum::Int32(n as i32), text, Datum::Null]);
        let newest = (n != 2).then_some(row.as_slice());
        writer.push_row(RowId(n), Ts(20 + n), None, newest).unwrap();
        writer
            .push_row(RowId(n), Ts(10), Some(Ts(20 + n)), Some(&row))
            .unwrap();
    }
    writer.begin_sorted(SORTED).unwrap();
    for n in 0..20u8 {
        let value = (n != 3).then_some([n; 5]);
        writer
            .push_entry(&[7, n], Ts(20), None, value.as_ref().map(|v| &v[..]))
            .unwrap();
        writer
            .push_entry(&[7, n], Ts(10), Some(Ts(20)), Some(&[n]))
            .unwrap();
    }
    writer.finish().unwrap();
    contents(&io, NAME)
}

/// Read each page of the segment at least once.
fn read_all(bytes: Vec<u8>) -> Result<()> {
    let io = MemoryIo::with(NAME, bytes);
    let table = small_table();
    let reader = SegmentReader::open(&io, NAME, None, &PageCache::new(0), &Codecs::none())?;
    reader.row_ids(table.id)?;
    for at in [10, 15, 21, 30] {
        let at = Ts(at);
        reader.decided(table.id, at)?;
        let exclude = Arc::new(RoaringTreemap::from_iter([1, 100]));
        for scan in [
            everything(&table, at),
            RowScan {
                exclude,
                ..everything(&table, at)
            },
        ] {
            for batch in reader.scan_rows(&table, scan)? {
                batch?;
            }
        }
        for n in 0..4 {
            reader.row_version(table.id, RowId(n), at, RowColumns::ALL)?;
        }
        for entry in reader.range(SORTED, Bound::Unbounded, Bound::Unbounded, at)? {
            entry?;
        }
        reader.entry(SORTED, &[7, 5], at)?;
    }
    Ok(())
}

#[test]
fn every_changed_byte_is_found() {
    let whole = small_segment();
    read_all(whole.clone()).unwrap();
    for at in 0..whole.len() {
        for flip in [0x01, 0x80, 0xFF] {
            let mut bytes = whole.clone();
            bytes[at] ^= flip;
            match read_all(bytes) {
                Err(Error::Corruption { file, .. } | Error::UnsupportedVersion { file, .. }) => {
                    assert_eq!(file, NAME);
                }
                other => panic!("byte {at} of {} changed: {other:?}", whole.len()),
            }
        }
    }
}

#[test]
fn a_cut_or_longer_file_is_found() {
    let whole = small_segment();
    for len in 0..whole.len() {
        assert!(read_all(whole[..len].to_vec()).is_err(), "cut to {len}");
    }
    assert!(read_all([&whole[..], &[0]].concat()).is_err());
    assert!(read_all([&whole[..], &whole[..]].concat()).is_err());
}

/// A write that the disk put elsewhere leaves a page that is whole, and not the one asked for.
#[test]
fn a_whole_page_in_the_wrong_place_is_found() {
    let id = PageId {
        kind: PageKind::Bloom,
        collection: SORTED,
        column: ColumnId(0),
        rows: 0,
    };
    let mut bytes = vec![0; 100];
    let place = PageFramer::new()
        .unwrap()
        .frame(id, &[7; 16], Compression::Zstd, 100, &mut bytes)
        .unwrap();
    bytes.copy_within(100.., 40);
    let io = MemoryIo::with(NAME, bytes);
    let file = io.open(NAME, OpenMode::Read).unwrap();
    assert!(read_page(&*file, NAME, place, id).is_ok());
    let elsewhere = PagePlace {
        offset: 40,
        ..place
    };
    assert!(read_page(&*file, NAME, elsewhere, id).is_err());
    let other = PageId {
        collection: CollectionId(9),
        ..id
    };
    assert!(read_page(&*file, NAME, place, other).is_err());
}

#[test]
fn another_version_is_named() {
    let refused = |at: usize, front: &[u8], version: u32| {
        let mut bytes = small_segment();
        bytes[at..at + front.len()].copy_from_slice(front);
        let expected =
            format!("\"{NAME}\" has format version {version}; this build reads version 1");
        assert_eq!(read_all(bytes).unwrap_err().to_string(), expected);
    };
    refused(8, &[9], 9);
    // What segments began with before version 1, with any of their numbers.
    refused(0, b"HELIOSEG\x02", 0);
    refused(0, b"HELIOSEG\x01", 0);
}

proptest! {
    #[test]
    fn random_files_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(read_all(bytes).is_err());
    }

    /// A directory with fitting checksums that no writer made.
    #[test]
    fn a_strange_directory_never_panics(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let whole = small_segment();
        let (body, trailer) = whole.split_at(whole.len() - TRAILER_BYTES);
        let trailer = Trailer::decode(NAME, trailer.try_into().unwrap(), whole.len() as u64);
        let mut trailer = trailer.unwrap();
        let mut body = body.to_vec();
        let directory = &mut body[trailer.directory_offset as usize..];
        for (at, byte) in changes {
            directory[at.index(directory.len())] = byte;
        }
        trailer.directory_crc = crc32c::crc32c(directory);
        let _ = read_all([&body[..], &trailer.encode()].concat());
    }

    #[test]
    fn strange_payloads_never_panic(
        ty in any_type(),
        rows in 1usize..20,
        bytes in prop::collection::vec(prop_oneof![0u8..4, any::<u8>()], 0..200),
        key in prop::collection::vec(any::<u8>(), 0..4),
    ) {
        let page = Buffer::from_slice_ref(&bytes);
        if let Ok(array) = decode_column(&ty, rows, &page) {
            prop_assert_eq!(array.len(), rows);
        }
        let _ = Directory::decode(NAME, 0, &bytes);
        let place = |offset| PagePlace { offset, raw_bytes: 9, stored_bytes: 9 };
        let said = Blobs { index: place(9), pages: 1, raw_bytes: 9, stored_bytes: 9 };
        if let Ok(index) = BlobIndex::decode(&bytes, rows, &said, 1000) {
            (0..rows).for_each(|row| {
                index.of_row(row);
            });
        }
        for hist in [false, true] {
            if let Ok(page) = SortedPageData::decode(page.clone(), hist) {
                let mut cursor = PageCursor::new(Arc::new(page), None);
                cursor.seek_near(&key);
                while let Ok(true) = cursor.advance() {
                    let _ = cursor.value();
                }
            }
        }
        if let Ok(bloom) = Bloom::decode(page) {
            bloom.may_contain(&key);
        }
    }
}
