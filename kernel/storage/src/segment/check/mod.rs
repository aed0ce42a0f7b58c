//! A segment against the invariants of [`super`]: every page read through its checksum and decoded,
//! and held against the directory and its neighbours.
//!
//! Findings do not end it. What cannot be read is told once, and what would follow from it is not
//! judged. It holds a page of each kind at a time, and the bitmap of one collection's RowIds.

mod order;
mod rows;
mod sorted;

pub(crate) use self::order::check_order;

use super::format::{Block, HEADER_BYTES, PagePlace, Run};
use super::page::PAGE_HEADER_BYTES;
use super::reader::SegmentReader;
use crate::check::finding::{Broken, Place, Report};
use crate::error::Result;
use crate::ids::{CollectionId, ColumnId, Ts};

/// Check everything in an open segment. The error is a cancelation.
pub(crate) fn check(segment: &SegmentReader, report: &mut Report<'_>) -> Result<()> {
    let name = segment.meta().name.clone();
    report.totals.segments += 1;
    check_layout(segment, report);
    let mut span = Span::new();
    for (n, collection) in segment.collections().iter().enumerate() {
        let file = Place::file(&name).of(collection.id);
        let earlier = &segment.collections()[..n];
        if earlier.iter().any(|other| other.id == collection.id) {
            report.damage(file.part("directory"), "a collection is there twice");
            continue;
        }
        let found = match &collection.run {
            Run::Rows(rows) => rows::check(segment, collection.id, rows, report)?,
            Run::Sorted(sorted) => sorted::check(segment, collection.id, sorted, report)?,
        };
        let said = Span {
            min: collection.min_ts,
            max: collection.max_ts,
        };
        if let Some(found) = found
            && found != said
        {
            let what = format!("expected versions of {found}, found {said} in the directory");
            report.damage(file.part("directory"), what);
        }
        span.cover(collection.min_ts);
        span.cover(collection.max_ts);
    }
    let meta = segment.meta();
    let said = Span {
        min: meta.min_ts,
        max: meta.max_ts,
    };
    if !span.is_empty() && span != said {
        let what = format!("expected versions of {span}, found {said} in the directory");
        report.damage(Place::file(&name).part("directory"), what);
    }
    Ok(())
}

/// What the directory says of a collection.
pub(crate) struct Extent {
    pub collection: CollectionId,
    pub max_ts: Ts,
    /// Of rows.
    pub max_row: Option<u64>,
}

impl SegmentReader {
    /// What the directory says of each collection.
    pub(crate) fn extents(&self) -> impl Iterator<Item = Extent> {
        self.collections().iter().map(|collection| Extent {
            collection: collection.id,
            max_ts: collection.max_ts,
            max_row: match &collection.run {
                Run::Rows(rows) => rows.head.last().map(|block| block.max_row),
                Run::Sorted(_) => None,
            },
        })
    }
}

/// No byte between header and directory is outside of a page, or in two.
fn check_layout(segment: &SegmentReader, report: &mut Report<'_>) {
    let mut places: Vec<PagePlace> = Vec::new();
    let mut whole = true;
    for collection in segment.collections() {
        match &collection.run {
            Run::Rows(rows) => {
                places.push(rows.bitmap);
                places.extend(rows.sketches.iter().flatten());
                for block in rows.head.iter().chain(&rows.hist) {
                    whole &= blob_places(segment, collection.id, block, &mut places);
                    places.extend([block.row_ids, block.begins]);
                    places.extend(block.ends);
                    places.extend(block.deleted);
                    places.extend(block.columns.iter().flatten().map(|page| page.place));
                }
            }
            Run::Sorted(sorted) => {
                places.push(sorted.bloom);
                let pages = sorted.head.iter().chain(&sorted.hist);
                places.extend(pages.map(|page| page.place));
            }
        }
    }
    report.totals.pages += places.len() as u64;
    report.totals.bytes += segment.meta().bytes;
    if !whole {
        // Told where the values are read.
        return;
    }
    places.sort_unstable_by_key(|place| place.offset);
    let mut end = HEADER_BYTES as u64;
    let mut broken = Broken::default();
    for place in &places {
        if place.offset != end {
            broken.add(|| {
                format!(
                    "expected a page at byte {end}, found one at {}",
                    place.offset
                )
            });
        }
        end = end.max(place.offset + bytes(*place));
    }
    let directory = segment.directory_offset();
    if end != directory {
        broken.add(|| format!("expected the directory at byte {end}, found it at {directory}"));
    }
    let name = &segment.meta().name;
    broken.report(report, || Place::file(name).part("directory"));
}

/// Add the blob pages of a block and their indexes; whether all of these could be read.
fn blob_places(
    segment: &SegmentReader,
    collection: CollectionId,
    block: &Block,
    places: &mut Vec<PagePlace>,
) -> bool {
    let mut whole = true;
    for (column, page) in (0u16..).zip(&block.columns) {
        let Some(blobs) = page.as_ref().and_then(|page| page.blobs.as_ref()) else {
            continue;
        };
        places.push(blobs.index);
        match segment.blob_index(collection, block, ColumnId(column)) {
            Ok(Some(index)) => places.extend(index.pages.iter().map(|page| page.place)),
            _ => whole = false,
        }
    }
    whole
}

/// Of a page in the file.
fn bytes(place: PagePlace) -> u64 {
    PAGE_HEADER_BYTES as u64 + u64::from(place.stored_bytes)
}

/// A run, as places name it.
fn run(hist: bool) -> &'static str {
    if hist { "HIST" } else { "HEAD" }
}

/// From the oldest to the newest `begin`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Span {
    min: Ts,
    max: Ts,
}

impl Span {
    fn new() -> Span {
        Span {
            min: Ts::MAX,
            max: Ts::ZERO,
        }
    }

    fn cover(&mut self, begin: Ts) {
        self.min = self.min.min(begin);
        self.max = self.max.max(begin);
    }

    fn is_empty(&self) -> bool {
        self.min > self.max
    }
}

impl std::fmt::Display for Span {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} to {}", self.min, self.max)
    }
}

/// What HEAD has of a key that HIST has.
enum InHead {
    Since(Ts),
    Missing,
    /// Its page cannot be read.
    Unknown,
}

/// The chain of versions within HIST, newest first per key, which HEAD continues.
struct Chain<K> {
    last: Option<(K, Ts)>,
}

impl<K: Ord + Clone> Chain<K> {
    fn new() -> Chain<K> {
        Chain { last: None }
    }

    /// Hold the next version against the one before, or against HEAD.
    fn next(
        &mut self,
        key: &K,
        (begin, end): (Ts, Ts),
        in_head: impl FnOnce() -> InHead,
    ) -> Option<&'static str> {
        let mut wrong = None;
        let newer = match &self.last {
            Some((last, _)) if last > key => {
                wrong = Some("does not come after the entry before it");
                InHead::Unknown
            }
            Some((last, newer)) if last == key => InHead::Since(*newer),
            _ => in_head(),
        };
        wrong = wrong.or(match newer {
            _ if begin >= end => Some("ends before it begins"),
            InHead::Missing => Some("is of no entry of HEAD"),
            InHead::Since(newer) if newer != end => Some("does not end where the next one begins"),
            InHead::Since(_) | InHead::Unknown => None,
        });
        self.last = Some((key.clone(), begin));
        wrong
    }

    /// What came before is not known.
    fn forget(&mut self) {
        self.last = None;
    }
}

/// Where a page of a collection is.
fn page(
    segment: &SegmentReader,
    collection: CollectionId,
    place: PagePlace,
    part: impl Into<String>,
) -> Place {
    Place::file(&segment.meta().name)
        .at(place.offset)
        .part(part)
        .of(collection)
}

#[cfg(test)]
mod tests;
