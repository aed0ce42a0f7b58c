//! Segments whose checksums are right and whose content is not: a whole one is taken apart and put
//! together again with one thing changed.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use super::*;
use crate::check::finding::{Finding, Kind, Watch};
use crate::codec::{BuiltIn, Codecs, NoCodecs};
use crate::datum::Datum;
use crate::ids::{RowId, TimelineId};
use crate::interrupt::Interrupt;
use crate::io::disk::Disk;
use crate::io::{Io, OpenMode};
use crate::row::RowCodec;
use crate::row::tests::{batch_of, table};
use crate::schema::{ColumnType, TableDef};
use crate::segment::encoding::integers::Integers;
use crate::segment::entries::decode_entries;
use crate::segment::format::{Blobs, Block, Directory, Rows, Sorted, Trailer, ZoneMap};
use crate::segment::input::Input;
use crate::segment::page::{Compression, PageFramer, PageId, PageKind, Payload, read_page};
use crate::segment::{PageCache, SegmentOptions, SegmentWriter};

const NAME: &str = "a.seg";
const SORTED: CollectionId = CollectionId(2001);

fn small_table() -> TableDef {
    table(&[ColumnType::Int32, ColumnType::Text])
}

/// A segment of rows and entries with history, as its directory and its bytes up to that.
struct Parts {
    directory: Directory,
    pages: Vec<u8>,
}

fn parts() -> Parts {
    let directory = tempfile::tempdir().unwrap();
    let io: Arc<dyn Io> = Arc::new(Disk::open(directory.path()).unwrap());
    let table = small_table();
    let codec = RowCodec::new(&table).unwrap();
    let options = SegmentOptions {
        page_bytes: 256,
        // The longer half of the texts.
        blob_bytes_min: 8,
        sketch_rows_min: 8,
        ..SegmentOptions::default()
    };
    let main = TimelineId::MAIN;
    let mut writer = SegmentWriter::create(&io, NAME, main, options, Arc::new(NoCodecs)).unwrap();
    writer.begin_rows(&table).unwrap();
    for n in 0..600u64 {
        let text = match n % 3 {
            0 => Datum::Null,
            _ => Datum::Bytes(format!("text {n}").into_bytes()),
        };
        let mut row = Vec::new();
        let batch = batch_of(&table, &[vec![Datum::Int32(n as i32), text]]);
        codec.encode(&batch, 0, &mut row).unwrap();
        let newest = (n % 10 != 2).then_some(row.as_slice());
        writer
            .push_row(RowId(n), Ts(2000 + n), None, newest)
            .unwrap();
        if n % 2 == 0 {
            let end = Some(Ts(2000 + n));
            writer
                .push_row(RowId(n), Ts(1000), end, Some(&row))
                .unwrap();
            writer
                .push_row(RowId(n), Ts(500), Some(Ts(1000)), Some(&row))
                .unwrap();
        }
    }
    writer.begin_sorted(SORTED).unwrap();
    for n in 0..200u16 {
        let key = n.to_be_bytes();
        writer
            .push_entry(&key, Ts(2000), None, Some(&[7; 3]))
            .unwrap();
        writer
            .push_entry(&key, Ts(1000), Some(Ts(2000)), None)
            .unwrap();
        writer
            .push_entry(&key, Ts(500), Some(Ts(1000)), Some(&[n as u8]))
            .unwrap();
    }
    writer.finish().unwrap();
    let file = io.open(NAME, OpenMode::Read).unwrap();
    let mut bytes = vec![0; file.len().unwrap() as usize];
    file.read_at(&mut bytes, 0).unwrap();
    let (rest, trailer) = bytes.split_last_chunk().unwrap();
    let trailer = Trailer::decode(NAME, trailer, bytes.len() as u64).unwrap();
    let (pages, encoded) = rest.split_at(trailer.directory_offset as usize);
    Parts {
        directory: Directory::decode(NAME, 0, encoded).unwrap(),
        pages: pages.to_vec(),
    }
}

impl Parts {
    fn rows(&mut self) -> &mut Rows {
        match &mut self.directory.collections[0].run {
            Run::Rows(rows) => rows,
            Run::Sorted(_) => panic!("rows come first"),
        }
    }

    fn sorted(&mut self) -> &mut Sorted {
        match &mut self.directory.collections[1].run {
            Run::Sorted(sorted) => sorted,
            Run::Rows(_) => panic!("entries come last"),
        }
    }

    fn head(&mut self) -> &mut Block {
        &mut self.rows().head[1]
    }

    /// Put another payload into a page; its place in the file changes to the end.
    fn replace(
        &mut self,
        place: PagePlace,
        id: (PageKind, CollectionId, u16, u32),
        change: impl FnOnce(&mut Vec<u8>),
    ) -> PagePlace {
        let (kind, collection, column, rows) = id;
        let id = PageId {
            kind,
            collection,
            column: crate::ids::ColumnId(column),
            rows,
        };
        let directory = tempfile::tempdir().unwrap();
        let io = Disk::open(directory.path()).unwrap();
        let file = io.open(NAME, OpenMode::CreateNew).unwrap();
        file.write_at(&self.pages, 0).unwrap();
        let payload = read_page(&*file, NAME, place, id).unwrap();
        let mut raw = match payload {
            Payload::BuiltIn(BuiltIn::Bitpacking, packed) if kind != PageKind::Column => {
                let mut input = Input::new(&packed, 0);
                let numbers = Integers::parse(&mut input, rows as usize).unwrap();
                let numbers = numbers.decode::<u64>(0).into_iter();
                numbers.flat_map(u64::to_le_bytes).collect()
            }
            Payload::Entries(stored) => {
                let hist = kind == PageKind::EntriesHist;
                let page = decode_entries(&stored, hist, place.raw_bytes as usize);
                page.unwrap().to_vec()
            }
            payload => payload.raw().unwrap().to_vec(),
        };
        change(&mut raw);
        let at = self.pages.len() as u64;
        let mut framer = PageFramer::new().unwrap();
        framer
            .frame(id, &raw, Compression::Zstd, at, &mut self.pages)
            .unwrap()
    }

    /// Put it together, and check it.
    fn check(self) -> Vec<Finding> {
        let mut bytes = self.pages;
        let directory = self.directory.encode();
        let trailer = Trailer {
            directory_offset: bytes.len() as u64,
            directory_bytes: directory.len() as u32,
            directory_crc: crc32c::crc32c(&directory),
            file_bytes: (bytes.len() + directory.len() + 40) as u64,
        };
        bytes.extend_from_slice(&directory);
        bytes.extend_from_slice(&trailer.encode());
        let directory = tempfile::tempdir().unwrap();
        let io: Arc<dyn Io> = Arc::new(Disk::open(directory.path()).unwrap());
        let file = io.open(NAME, OpenMode::CreateNew).unwrap();
        file.write_at(&bytes, 0).unwrap();
        let (cache, codecs) = (PageCache::new(1 << 20), Codecs::none());
        let segment = SegmentReader::open(&io, NAME, None, &cache, &codecs).unwrap();
        let mut found = Found(Vec::new());
        let mut report = Report::new(&mut found, &Interrupt::new());
        check(&segment, &mut report).unwrap();
        found.0
    }
}

struct Found(Vec<Finding>);

impl Watch for Found {
    fn found(&mut self, finding: Finding) {
        assert_eq!(finding.kind, Kind::Damage);
        assert_eq!(finding.place.file.as_deref(), Some(NAME));
        self.0.push(finding);
    }

    fn begin(&mut self, _: &str, _: Option<u64>) {}

    fn advance(&mut self, _: u64) {}

    fn end(&mut self) {}
}

/// The change is found, and said to be what it is.
#[track_caller]
fn finds(what: &str, change: impl FnOnce(&mut Parts)) {
    let mut parts = parts();
    change(&mut parts);
    let findings = parts.check();
    let is_it = |f: &Finding| f.what.contains(what);
    assert!(findings.iter().any(is_it), "{what}: {findings:#?}");
}

#[test]
fn a_whole_segment_has_no_findings() {
    let mut parts = parts();
    assert!(parts.rows().head.len() > 2 && parts.rows().hist.len() > 2);
    assert!(parts.sorted().head.len() > 2 && parts.sorted().hist.len() > 2);
    assert_eq!(parts.check(), []);
}

#[test]
fn the_directory_is_held_against_the_pages() {
    finds("expected rows", |p| p.head().min_row -= 1);
    finds("expected rows", |p| p.head().max_row += 1);
    finds("expected versions of", |p| p.head().min_ts.0 -= 1);
    finds("expected versions of", |p| p.head().max_ts.0 += 1);
    finds("deletes, found", |p| p.head().tombstones += 1);
    finds("NULLs, found", |p| {
        p.head().columns[1].as_mut().unwrap().nulls += 1
    });
    finds("expected versions of", |p| {
        p.directory.collections[0].min_ts.0 += 1
    });
    finds("expected versions of", |p| {
        p.directory.collections[1].max_ts.0 += 1
    });
    finds("expected versions of", |p| p.directory.max_ts.0 += 1);
    finds("entries, found", |p| p.sorted().entries += 1);
    finds("first key", |p| p.sorted().head[2].first_key.push(0));
    finds("expected versions of", |p| p.sorted().head[2].min_ts.0 -= 1);
    finds("expected versions of", |p| p.sorted().hist[1].max_ts.0 += 1);
    finds("a collection is there twice", |p| {
        let again = p.directory.collections[1].clone();
        p.directory.collections.push(again);
    });
}

#[test]
fn bytes_of_no_page_and_of_two_are_found() {
    finds("expected the directory at byte", |p| p.pages.push(0));
    finds("expected a page at byte", |p| {
        p.rows().head.remove(1);
    });
    finds("expected a page at byte", |p| {
        let block = p.rows().head[1].clone();
        p.rows().head.insert(1, block);
    });
}

#[test]
fn blob_pages_are_held_against_the_directory_and_their_index() {
    let blobs = |p: &mut Parts, change: fn(&mut Blobs)| {
        let column = p.rows().head[2].columns[1].as_mut().unwrap();
        change(column.blobs.as_mut().unwrap());
    };
    finds("pages of", |p| blobs(p, |blobs| blobs.pages += 1));
    finds("pages of", |p| blobs(p, |blobs| blobs.raw_bytes += 1));
    finds("pages of", |p| blobs(p, |blobs| blobs.stored_bytes -= 1));
    let index = |p: &mut Parts, change: fn(&mut Vec<u8>)| {
        let c = p.directory.collections[0].id;
        let block = &p.rows().head[2];
        let place = block.columns[1].clone().unwrap().blobs.unwrap().index;
        let rows = block.rows;
        let place = p.replace(place, (PageKind::BlobIndex, c, 1, rows), change);
        let column = p.rows().head[2].columns[1].as_mut().unwrap();
        column.blobs.as_mut().unwrap().index = place;
    };
    finds("values in no more pages", |p| index(p, |raw| raw[3] = 1));
    finds("values in no more pages", |p| index(p, |raw| raw[7] = 1));
    finds("the end of the index", |p| index(p, |raw| raw.push(0)));
    // The offset of the last page, its length, and how many values it has.
    finds("expected checksum", |p| {
        index(p, |raw| {
            let at = raw.len() - 20;
            raw[at] ^= 1;
        })
    });
    finds("expected values of", |p| {
        index(p, |raw| {
            let at = raw.len() - 12;
            raw[at] += 1;
        })
    });
    finds("expected values of", |p| {
        index(p, |raw| {
            let at = raw.len() - 4;
            raw[at] -= 1;
        })
    });
    // The rows, behind the kind and the width of their numbers: each is now the next one.
    finds("rows that rise to", |p| index(p, |raw| raw[10] += 1));
}

#[test]
fn zone_maps_bound_the_values() {
    let zone = |p: &mut Parts, column: usize, change: fn(&mut ZoneMap)| {
        change(
            p.head().columns[column]
                .as_mut()
                .unwrap()
                .zone
                .as_mut()
                .unwrap(),
        );
    };
    let what = "outside of the page's zone map";
    finds(what, |p| {
        zone(p, 0, |zone| *zone.min.last_mut().unwrap() += 1)
    });
    finds(what, |p| {
        zone(p, 0, |zone| *zone.max.last_mut().unwrap() -= 1)
    });
    finds(what, |p| zone(p, 1, |zone| zone.min.push(0xFF)));
    finds(what, |p| zone(p, 1, |zone| zone.max.truncate(2)));
    // Wider ones do no harm.
    let mut parts = parts();
    zone(&mut parts, 0, |zone| zone.min = Vec::new());
    zone(&mut parts, 1, |zone| {
        zone.max.truncate(2);
        zone.max_cut = true;
    });
    assert_eq!(parts.check(), []);
}

/// Change number `at` of a page of numbers in a block of HEAD or HIST.
fn number(p: &mut Parts, hist: bool, kind: PageKind, at: usize, change: fn(u64) -> u64) {
    let c = p.directory.collections[0].id;
    let rows = p.rows();
    let block = if hist { &rows.hist[1] } else { &rows.head[1] };
    let (block_rows, place) = (
        block.rows,
        match kind {
            PageKind::RowIds => block.row_ids,
            PageKind::Begins => block.begins,
            _ => block.ends.unwrap(),
        },
    );
    let place = p.replace(place, (kind, c, 0, block_rows), |raw| {
        let bytes = &mut raw[at * 8..][..8];
        let number = u64::from_le_bytes(bytes.try_into().unwrap());
        bytes.copy_from_slice(&change(number).to_le_bytes());
    });
    let rows = p.rows();
    let block = if hist {
        &mut rows.hist[1]
    } else {
        &mut rows.head[1]
    };
    match kind {
        PageKind::RowIds => block.row_ids = place,
        PageKind::Begins => block.begins = place,
        _ => block.ends = Some(place),
    }
}

#[test]
fn rows_rise_and_versions_are_chains() {
    use PageKind::{Begins, Ends, RowIds};
    finds("does not come after the one before it", |p| {
        number(p, false, RowIds, 5, |n| n - 1)
    });
    finds("expected row", |p| number(p, false, RowIds, 5, |n| n - 1));
    finds("does not end where the next one begins", |p| {
        number(p, true, Ends, 4, |n| n + 1)
    });
    finds("does not end where the next one begins", |p| {
        // Every other row has history.
        number(p, false, Begins, 4, |n| n + 1);
        number(p, false, Begins, 5, |n| n + 1);
    });
    finds("ends before it begins", |p| number(p, true, Ends, 5, |_| 1));
    finds("does not come after the entry before it", |p| {
        number(p, true, RowIds, 6, |_| 0)
    });
    finds("is of no entry of HEAD", |p| {
        // The very last version.
        let last = p.rows().hist.len() - 1;
        p.rows().hist.swap(1, last);
        let rows = p.rows().hist[1].rows as usize;
        number(p, true, RowIds, rows - 1, |_| 100_000);
        p.rows().hist.swap(1, last);
    });
}

#[test]
fn the_bitmap_has_the_rows_of_head() {
    let change = |p: &mut Parts, change: fn(&mut roaring::RoaringTreemap)| {
        let c = p.directory.collections[0].id;
        let place = p.rows().bitmap;
        let place = p.replace(place, (PageKind::RowBitmap, c, 0, 0), |raw| {
            let mut rows = roaring::RoaringTreemap::deserialize_from(raw.as_slice()).unwrap();
            change(&mut rows);
            raw.clear();
            rows.serialize_into(raw).unwrap();
        });
        p.rows().bitmap = place;
    };
    finds("expected row 599, found no more rows", |p| {
        change(p, |rows| {
            rows.remove(599);
        });
    });
    finds("expected the end, found row 10000", |p| {
        change(p, |rows| {
            rows.insert(10_000);
        });
    });
    finds("expected row 17, found row 18", |p| {
        change(p, |rows| {
            rows.remove(17);
        });
    });
}

#[test]
fn sketches_have_the_values_of_head() {
    finds(
        "expected about 586 different values, found about 584",
        |p| {
            let c = p.directory.collections[0].id;
            let place = p.rows().sketches[0].unwrap();
            let place = p.replace(place, (PageKind::Sketch, c, 0, 0), |raw| raw[0] += 9);
            p.rows().sketches[0] = Some(place);
        },
    );
    finds("the registers of a sketch", |p| {
        let c = p.directory.collections[0].id;
        let place = p.rows().sketches[1].unwrap();
        let place = p.replace(place, (PageKind::Sketch, c, 1, 0), |raw| raw[0] = 99);
        p.rows().sketches[1] = Some(place);
    });
}

#[test]
fn deletes_have_no_values() {
    finds("the delete at place", |p| {
        let c = p.directory.collections[0].id;
        let (place, rows) = (p.head().deleted.unwrap(), p.head().rows);
        let place = p.replace(place, (PageKind::Deleted, c, 0, rows), |raw| {
            raw.iter_mut().for_each(|bits| *bits = bits.rotate_left(1));
        });
        p.head().deleted = Some(place);
    });
}

/// Change page `number` of HEAD or HIST of the entries.
fn entries(p: &mut Parts, hist: bool, number: usize, change: impl FnOnce(&mut Vec<u8>)) {
    let sorted = p.sorted();
    let pages = if hist { &sorted.hist } else { &sorted.head };
    let (place, count) = (pages[number].place, pages[number].entries);
    let kind = match hist {
        true => PageKind::EntriesHist,
        false => PageKind::Entries,
    };
    let place = p.replace(place, (kind, SORTED, 0, count), change);
    let sorted = p.sorted();
    let pages = if hist {
        &mut sorted.hist
    } else {
        &mut sorted.head
    };
    pages[number].place = place;
}

#[test]
fn entries_are_held_against_each_other() {
    // An entry: shared, unshared and length of the value, a byte each, begin, end in HIST.
    finds("does not end where the next one begins", |p| {
        entries(p, true, 1, |raw| raw[11] += 1)
    });
    finds("ends before it begins", |p| {
        entries(p, true, 1, |raw| raw[11..19].fill(0))
    });
    finds("does not end where the next one begins", |p| {
        entries(p, false, 1, |raw| raw[3] += 1)
    });
    finds("expected versions of", |p| {
        entries(p, false, 1, |raw| raw[4] = 0xFF)
    });
    finds("does not come after the key before it", |p| {
        // The last byte of the first key.
        entries(p, false, 1, |raw| raw[12] = 0xFF);
    });
    finds("first key", |p| entries(p, false, 1, |raw| raw[12] = 0xFF));
    finds("is no restart point", |p| {
        entries(p, false, 1, |raw| {
            let at = raw.len() - 8;
            raw[at] -= 1;
        });
    });
    finds("is of no entry of HEAD", |p| {
        p.sorted().head.remove(1);
    });
}

#[test]
fn the_bloom_filter_has_every_key() {
    finds("is not in it", |p| {
        let place = p.sorted().bloom;
        let place = p.replace(place, (PageKind::Bloom, SORTED, 0, 0), |raw| raw[3] = 0);
        p.sorted().bloom = place;
    });
}

/// What cannot be read is told once, and nothing follows from it.
#[test]
fn damage_has_no_echo() {
    for hist in [false, true] {
        let mut parts = parts();
        let rows = parts.rows();
        let block = if hist { &rows.hist[1] } else { &rows.head[1] };
        let at = block.row_ids.offset;
        parts.pages[at as usize + 40] ^= 1;
        let findings = parts.check();
        assert_eq!(findings.len(), 1, "{findings:#?}");
        assert_eq!(findings[0].place.offset, Some(at));
    }
    let mut parts = parts();
    let at = parts.sorted().head[1].place.offset;
    parts.pages[at as usize + 40] ^= 1;
    let findings = parts.check();
    assert_eq!(findings.len(), 1, "{findings:#?}");
}
