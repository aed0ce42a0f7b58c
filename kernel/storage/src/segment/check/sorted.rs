//! The entries of one sorted collection in a segment.

use std::sync::Arc;

use super::{Chain, InHead, Span, bytes, page, run};
use crate::check::finding::{Broken, Place, Report};
use crate::error::Result;
use crate::ids::{CollectionId, Ts};
use crate::segment::filter::Bloom;
use crate::segment::format::{Sorted, SortedPage};
use crate::segment::reader::SegmentReader;
use crate::segment::sorted::PageCursor;

/// The span of versions, if all of them can be read.
pub fn check(
    segment: &SegmentReader,
    c: CollectionId,
    sorted: &Sorted,
    report: &mut Report<'_>,
) -> Result<Option<Span>> {
    let mut check = SortedCheck {
        segment,
        c,
        sorted,
        report,
        span: Span::new(),
        whole: true,
    };
    check.head()?;
    check.hist()?;
    Ok(check.whole.then_some(check.span))
}

struct SortedCheck<'a, 'r> {
    segment: &'a SegmentReader,
    c: CollectionId,
    sorted: &'a Sorted,
    report: &'a mut Report<'r>,
    span: Span,
    /// Whether all keys and timestamps could be read.
    whole: bool,
}

/// An entry without its value.
struct Entry {
    key: Vec<u8>,
    begin: Ts,
    end: Option<Ts>,
}

impl SortedCheck<'_, '_> {
    fn place(&self, hist: bool, number: usize, sorted: &SortedPage) -> Place {
        let part = format!("{} page {number}", run(hist));
        page(self.segment, self.c, sorted.place, part)
    }

    /// HEAD, and the bloom filter of its keys.
    fn head(&mut self) -> Result<()> {
        let bloom_place = page(self.segment, self.c, self.sorted.bloom, "bloom filter");
        let bloom = self.segment.bloom(self.c, self.sorted);
        let bloom: Option<Arc<Bloom>> = self.report.take(|| bloom_place.clone(), bloom)?;
        self.report.advance(bytes(self.sorted.bloom))?;
        let (mut missing, mut count) = (Broken::default(), 0);
        let mut last: Option<Vec<u8>> = None;
        for (number, sorted) in self.sorted.head.iter().enumerate() {
            let Some(entries) = self.page(false, number, sorted)? else {
                continue;
            };
            let mut unordered = Broken::default();
            for entry in entries {
                if last.as_ref().is_some_and(|last| *last >= entry.key) {
                    unordered.add(|| {
                        format!("{} does not come after the key before it", hex(&entry.key))
                    });
                }
                if bloom.as_ref().is_some_and(|b| !b.may_contain(&entry.key)) {
                    missing.add(|| format!("{} is not in it", hex(&entry.key)));
                }
                count += 1;
                last = Some(entry.key);
            }
            let place = self.place(false, number, sorted);
            unordered.report(self.report, || place);
        }
        missing.report(self.report, || bloom_place);
        if self.whole && count != self.sorted.entries {
            let what = format!("expected {} entries, found {count}", self.sorted.entries);
            let place = Place::file(&self.segment.meta().name).of(self.c);
            self.report.damage(place.part("HEAD"), what);
        }
        Ok(())
    }

    /// HIST, beside HEAD, which has the newest version of every key.
    fn hist(&mut self) -> Result<()> {
        let mut head = HeadKeys {
            segment: self.segment,
            c: self.c,
            sorted: self.sorted,
            loaded: None,
        };
        let mut chain = Chain::new();
        for (number, sorted) in self.sorted.hist.iter().enumerate() {
            let Some(entries) = self.page(true, number, sorted)? else {
                chain.forget();
                continue;
            };
            let mut broken = Broken::default();
            for entry in entries {
                let (begin, end) = (entry.begin, entry.end.unwrap_or_default());
                let wrong = chain.next(&entry.key, (begin, end), || head.find(&entry.key));
                if let Some(wrong) = wrong {
                    broken.add(|| {
                        let key = hex(&entry.key);
                        format!("version {begin} to {end} of {key} {wrong}")
                    });
                }
            }
            let place = self.place(true, number, sorted);
            broken.report(self.report, || place);
        }
        Ok(())
    }

    /// A page by itself; `None` when it cannot be read.
    fn page(
        &mut self,
        hist: bool,
        number: usize,
        sorted: &SortedPage,
    ) -> Result<Option<Vec<Entry>>> {
        let mut misplaced = Broken::default();
        let read = entries(self.segment, self.c, sorted, hist, &mut misplaced);
        let place = self.place(hist, number, sorted);
        let entries = self.report.take(|| place.clone(), read)?;
        misplaced.report(self.report, || place.clone());
        self.report.advance(bytes(sorted.place))?;
        let Some(entries) = entries else {
            self.whole = false;
            return Ok(None);
        };
        if entries.len() != sorted.entries as usize {
            let what = format!(
                "expected {} entries, found {}",
                sorted.entries,
                entries.len()
            );
            self.report.damage(place.clone(), what);
        }
        if entries
            .first()
            .is_none_or(|first| first.key != sorted.first_key)
        {
            let what = format!("expected the first key to be {}", hex(&sorted.first_key));
            self.report.damage(place.clone(), what);
        }
        let mut span = Span::new();
        entries.iter().for_each(|entry| span.cover(entry.begin));
        let said = Span {
            min: sorted.min_ts,
            max: sorted.max_ts,
        };
        if span != said {
            let what = format!("expected versions of {said}, found {span}");
            self.report.damage(place, what);
        }
        self.span.cover(span.min);
        self.span.cover(span.max);
        Ok(Some(entries))
    }
}

/// The entries of a page.
fn entries(
    segment: &SegmentReader,
    c: CollectionId,
    sorted: &SortedPage,
    hist: bool,
    misplaced: &mut Broken,
) -> Result<Vec<Entry>> {
    let page = segment.entries(c, sorted, hist)?;
    let mut cursor = PageCursor::new(Arc::clone(&page), None);
    let (mut entries, mut number) = (Vec::new(), 0);
    loop {
        let position = cursor.position();
        if !cursor.advance()? {
            break;
        }
        if !page.restarts_fit(number, position) {
            misplaced.add(|| format!("entry {number} is no restart point"));
        }
        number += 1;
        entries.push(Entry {
            key: cursor.key.clone(),
            begin: cursor.begin,
            end: cursor.end,
        });
    }
    if !page.has_restarts_of(number) {
        misplaced.add(|| format!("restart points of other than {number} entries"));
    }
    Ok(entries)
}

/// Looks up keys in HEAD, in rising order.
struct HeadKeys<'a> {
    segment: &'a SegmentReader,
    c: CollectionId,
    sorted: &'a Sorted,
    /// A page's number and entries; `None` when it cannot be read, which was told before.
    loaded: Option<(usize, Option<Vec<Entry>>)>,
}

impl HeadKeys<'_> {
    fn find(&mut self, key: &[u8]) -> InHead {
        let head = &self.sorted.head;
        let after = head.partition_point(|page| page.first_key.as_slice() <= key);
        let Some(number) = after.checked_sub(1) else {
            return InHead::Missing;
        };
        if self
            .loaded
            .as_ref()
            .is_none_or(|(loaded, _)| *loaded != number)
        {
            let mut told = Broken::default();
            let read = entries(self.segment, self.c, &head[number], false, &mut told);
            self.loaded = Some((number, read.ok()));
        }
        let Some((_, Some(entries))) = &self.loaded else {
            return InHead::Unknown;
        };
        match entries.binary_search_by(|entry| entry.key.as_slice().cmp(key)) {
            Ok(place) => InHead::Since(entries[place].begin),
            Err(_) => InHead::Missing,
        }
    }
}

/// A key for people, who know where to look when it is long.
fn hex(key: &[u8]) -> String {
    const BYTES_MAX: usize = 24;
    let mut text = "key ".to_owned();
    for byte in key.iter().take(BYTES_MAX) {
        text.push_str(&format!("{byte:02x}"));
    }
    if key.len() > BYTES_MAX {
        text.push('…');
    }
    text
}
