//! The order of segments: of one key, every version in a newer segment is newer than those in an older
//! one. Readers take the first that they find.

use std::collections::BTreeMap;
use std::sync::Arc;

use roaring::RoaringTreemap;

use super::Span;
use crate::check::finding::{Broken, Place, Report};
use crate::error::Result;
use crate::ids::{CollectionId, Ts};
use crate::segment::format::{Block, Collection, Run};
use crate::segment::range::RunCursor;
use crate::segment::reader::SegmentReader;
use crate::segment::versions::EntryVersions;

/// Check `segments`, newest first. Collections that are unsound already are left out. The error is a
/// cancelation.
pub(crate) fn check_order(segments: &[SegmentReader], report: &mut Report<'_>) -> Result<()> {
    let mut sources: BTreeMap<CollectionId, Vec<Source<'_>>> = BTreeMap::new();
    for segment in segments {
        for (index, collection) in segment.collections().iter().enumerate() {
            sources.entry(collection.id).or_default().push(Source {
                segment,
                index,
                collection,
            });
        }
    }
    for (c, sources) in sources {
        if report.unsound.contains(&c) {
            continue;
        }
        for (n, older) in sources.iter().enumerate() {
            for newer in &sources[..n] {
                if newer.span().min > older.span().max {
                    continue;
                }
                report.advance(0)?;
                let mut broken = Broken::default();
                let compared = compare(newer, older, &mut broken);
                let place = || Place::file(&older.segment.meta().name).of(c);
                report.take(place, compared)?;
                broken.report(report, place);
            }
        }
    }
    Ok(())
}

/// A collection in a segment.
struct Source<'a> {
    segment: &'a SegmentReader,
    /// In the directory.
    index: usize,
    collection: &'a Collection,
}

impl Source<'_> {
    fn span(&self) -> Span {
        Span {
            min: self.collection.min_ts,
            max: self.collection.max_ts,
        }
    }
}

fn compare(newer: &Source<'_>, older: &Source<'_>, broken: &mut Broken) -> Result<()> {
    match (&newer.collection.run, &older.collection.run) {
        (Run::Rows(_), Run::Rows(_)) => compare_rows(newer, older, broken),
        (Run::Sorted(_), Run::Sorted(_)) => compare_entries(newer, older, broken),
        _ => {
            let name = &newer.segment.meta().name;
            broken.add(|| format!("rows in one of this file and {name}, entries in the other"));
            Ok(())
        }
    }
}

fn wrong_order(newer: &Source<'_>, what: &str, older_begin: u64, newer_begin: u64) -> String {
    let name = &newer.segment.meta().name;
    format!("{what} has version {older_begin} here, and {newer_begin} in {name}, which is newer")
}

fn compare_rows(newer: &Source<'_>, older: &Source<'_>, broken: &mut Broken) -> Result<()> {
    let c = older.collection.id;
    let rows = |source: &Source<'_>| source.segment.row_ids(c);
    let (Some(newer_rows), Some(older_rows)) = (rows(newer)?, rows(older)?) else {
        return Ok(());
    };
    let common = Arc::new(&*newer_rows & &*older_rows);
    if common.is_empty() {
        return Ok(());
    }
    // HEAD of both has exactly these rows.
    let newest = begins(older.segment, c, &common, false)?;
    let mut oldest = begins(newer.segment, c, &common, false)?;
    let mut superseded = begins(newer.segment, c, &common, true)?.peekable();
    for version in newest {
        let (row, older_begin) = version?;
        let Some((other, mut newer_begin)) = oldest.next().transpose()? else {
            break;
        };
        while let Some(version) = superseded.next_if(|next| match next {
            Ok((next, _)) => *next <= row,
            Err(_) => true,
        }) {
            let (id, begin) = version?;
            if id == row {
                newer_begin = begin;
            }
        }
        if other == row && newer_begin <= older_begin {
            broken.add(|| wrong_order(newer, &format!("row {row}"), older_begin, newer_begin));
        }
    }
    Ok(())
}

/// (row, begin) of a run's versions of the rows in `among`, a block at a time.
fn begins(
    segment: &SegmentReader,
    c: CollectionId,
    among: &Arc<RoaringTreemap>,
    hist: bool,
) -> Result<impl Iterator<Item = Result<(u64, u64)>>> {
    let blocks: &[Block] = match segment.rows(c)? {
        None => &[],
        Some((_, _, rows)) if hist => &rows.hist,
        Some((_, _, rows)) => &rows.head,
    };
    let among = Arc::clone(among);
    let wanted = move |block: &Block| -> Result<Vec<(u64, u64)>> {
        if among.range_cardinality(block.min_row..=block.max_row) == 0 {
            return Ok(Vec::new());
        }
        let ids = segment.row_ids_of(c, block)?;
        let begins = segment.begins(c, block)?;
        let versions = ids.iter().copied().zip(begins.iter().copied());
        Ok(versions.filter(|(id, _)| among.contains(*id)).collect())
    };
    let versions = blocks.iter().flat_map(move |block| {
        let (versions, error) = match wanted(block) {
            Ok(versions) => (versions, None),
            Err(error) => (Vec::new(), Some(Err(error))),
        };
        versions.into_iter().map(Ok).chain(error)
    });
    Ok(versions)
}

fn compare_entries(newer: &Source<'_>, older: &Source<'_>, broken: &mut Broken) -> Result<()> {
    if are_apart(newer, older)? || are_apart(older, newer)? {
        return Ok(());
    }
    let c = older.collection.id;
    let versions = |source: &Source<'_>| source.segment.entry_versions(c, Ts::MAX);
    let (Some(newer_entries), Some(older_entries)) = (versions(newer)?, versions(older)?) else {
        return Ok(());
    };
    let (mut oldest, mut newest) = (Keys::new(newer_entries), Keys::new(older_entries));
    let (mut a, mut b) = (oldest.next()?, newest.next()?);
    while let (Some(new), Some(old)) = (&a, &b) {
        match new.key.cmp(&old.key) {
            std::cmp::Ordering::Less => a = oldest.next()?,
            std::cmp::Ordering::Greater => b = newest.next()?,
            std::cmp::Ordering::Equal => {
                if new.oldest <= old.newest {
                    broken.add(|| wrong_order(newer, "a key", old.newest.0, new.oldest.0));
                }
                a = oldest.next()?;
                b = newest.next()?;
            }
        }
    }
    Ok(())
}

/// Whether all keys of `low` come before those of `high`. The directory tells, and one page.
fn are_apart(low: &Source<'_>, high: &Source<'_>) -> Result<bool> {
    let first = |source: &Source<'_>, last: bool| match &source.collection.run {
        Run::Sorted(sorted) if last => sorted.head.last().map(|page| page.first_key.clone()),
        Run::Sorted(sorted) => sorted.head.first().map(|page| page.first_key.clone()),
        Run::Rows(_) => None,
    };
    let (Some(last_page), Some(from)) = (first(low, true), first(high, false)) else {
        return Ok(true);
    };
    if last_page >= from {
        return Ok(false);
    }
    let mut cursor = RunCursor::new(low.segment.clone(), low.index, false);
    cursor.seek(&from)?;
    Ok(cursor.key().is_none())
}

/// The versions of a collection by key.
struct Keys {
    entries: EntryVersions,
    ahead: Option<(Vec<u8>, Ts)>,
}

struct Key {
    key: Vec<u8>,
    oldest: Ts,
    newest: Ts,
}

impl Keys {
    fn new(entries: EntryVersions) -> Keys {
        Keys {
            entries,
            ahead: None,
        }
    }

    fn version(&mut self) -> Result<Option<(Vec<u8>, Ts)>> {
        if let Some(ahead) = self.ahead.take() {
            return Ok(Some(ahead));
        }
        let next = self.entries.next().transpose()?;
        Ok(next.map(|(key, begin, _)| (key, begin)))
    }

    fn next(&mut self) -> Result<Option<Key>> {
        let Some((key, begin)) = self.version()? else {
            return Ok(None);
        };
        let mut found = Key {
            key,
            oldest: begin,
            newest: begin,
        };
        while let Some((key, begin)) = self.version()? {
            if key != found.key {
                self.ahead = Some((key, begin));
                break;
            }
            found.oldest = begin;
        }
        Ok(Some(found))
    }
}
