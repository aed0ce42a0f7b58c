//! Sorted runs in key order.

use std::ops::Bound;
use std::sync::Arc;

use super::filter::Bloom;
use super::reader::{SegmentReader, Version};
use super::sorted::PageCursor;
use crate::error::Result;
use crate::ids::{CollectionId, RowId, Ts};
use crate::view::row_key;

/// So many entries are walked to one that is on the same page, before it is searched for.
const STEPS_MAX: usize = 8;

/// Walks one run, HEAD or HIST, of a sorted collection.
pub(super) struct RunCursor {
    reader: SegmentReader,
    /// Of the collection in the directory.
    index: usize,
    hist: bool,
    /// The page after the one in `cursor`.
    next_page: usize,
    /// On an entry, or `None` at the end and before a seek.
    cursor: Option<PageCursor>,
}

impl RunCursor {
    /// Not on an entry until [`RunCursor::seek`].
    pub fn new(reader: SegmentReader, index: usize, hist: bool) -> RunCursor {
        RunCursor {
            reader,
            index,
            hist,
            next_page: 0,
            cursor: None,
        }
    }

    /// Go to the first entry with a key ≥ `key`.
    pub fn seek(&mut self, key: &[u8]) -> Result<()> {
        let (_, pages) = self.reader.sorted_pages(self.index, self.hist);
        // Versions of one key may begin on the page before the first that starts with it.
        let page = pages.partition_point(|page| page.first_key.as_slice() < key);
        self.next_page = page.saturating_sub(1);
        self.cursor = None;
        if !self.open_page()? {
            return Ok(());
        }
        if let Some(cursor) = &mut self.cursor {
            cursor.seek_near(key);
        }
        self.advance()?;
        while self.key().is_some_and(|found| found < key) {
            self.advance()?;
        }
        Ok(())
    }

    /// [`RunCursor::seek`] to a key that is not before the entry that this is on.
    fn seek_on(&mut self, key: &[u8]) -> Result<()> {
        let (_, pages) = self.reader.sorted_pages(self.index, self.hist);
        let page_ends = pages
            .get(self.next_page)
            .is_some_and(|next| next.first_key.as_slice() <= key);
        if page_ends {
            return self.seek(key);
        }
        for _ in 0..STEPS_MAX {
            match self.key() {
                Some(found) if found < key => self.advance()?,
                _ => return Ok(()),
            }
        }
        if let Some(cursor) = &mut self.cursor {
            cursor.seek_near(key);
        }
        self.advance()?;
        while self.key().is_some_and(|found| found < key) {
            self.advance()?;
        }
        Ok(())
    }

    /// Open the next page, before its first entry; false when there is none.
    fn open_page(&mut self) -> Result<bool> {
        let (c, pages) = self.reader.sorted_pages(self.index, self.hist);
        let Some(page) = pages.get(self.next_page) else {
            self.cursor = None;
            return Ok(false);
        };
        let page = self.reader.entries(c, page, self.hist)?;
        self.cursor = Some(PageCursor::new(page, self.reader.stamp()));
        self.next_page += 1;
        Ok(true)
    }

    /// Go to the next entry.
    pub fn advance(&mut self) -> Result<()> {
        while let Some(cursor) = &mut self.cursor {
            if cursor.advance()? || !self.open_page()? {
                break;
            }
        }
        Ok(())
    }

    /// The entry's key; `None` at the end of the run.
    pub fn key(&self) -> Option<&[u8]> {
        self.cursor.as_ref().map(|cursor| cursor.key.as_slice())
    }

    /// The entry's begin and value. At the end of the run: nothing's.
    pub fn version(&self) -> (Ts, Option<&[u8]>) {
        self.cursor
            .as_ref()
            .map_or((Ts::ZERO, None), |cursor| (cursor.begin, cursor.value()))
    }
}

/// Iterates over `(key, begin, value)` in key order: of each key the newest version with begin ≤
/// the time asked for. A `None` value is a delete, which hides the key in older files.
pub struct EntryRange {
    head: Option<RunCursor>,
    /// Only when some version is too new.
    hist: Option<RunCursor>,
    to: Bound<Vec<u8>>,
    at: Ts,
}

impl SegmentReader {
    /// The entries of `c` from `from` to `to` as of `at`.
    pub fn range(
        &self,
        c: CollectionId,
        from: Bound<&[u8]>,
        to: Bound<&[u8]>,
        at: Ts,
    ) -> Result<EntryRange> {
        let to = to.map(<[u8]>::to_vec);
        let nothing = EntryRange {
            head: None,
            hist: None,
            to: Bound::Unbounded,
            at,
        };
        let Some((index, collection, _)) = self.sorted(c)? else {
            return Ok(nothing);
        };
        if at < collection.min_ts {
            return Ok(nothing);
        }
        let start = match from {
            Bound::Included(key) | Bound::Excluded(key) => key,
            Bound::Unbounded => &[],
        };
        let mut head = RunCursor::new(self.clone(), index, false);
        head.seek(start)?;
        if let Bound::Excluded(from) = from
            && head.key() == Some(from)
        {
            head.advance()?;
        }
        let mut hist = None;
        if at < collection.max_ts {
            let mut cursor = RunCursor::new(self.clone(), index, true);
            cursor.seek(start)?;
            hist = Some(cursor);
        }
        Ok(EntryRange {
            head: Some(head),
            hist,
            to,
            at,
        })
    }
}

/// Finds entries whose keys come in order.
pub struct EntryProbe {
    reader: SegmentReader,
    collection: CollectionId,
    bloom: Arc<Bloom>,
    head: RunCursor,
    started: bool,
    at: Ts,
}

impl SegmentReader {
    /// Find entries of `c` as of `at`; `None` when there are none.
    pub fn probe(&self, c: CollectionId, at: Ts) -> Result<Option<EntryProbe>> {
        let Some((index, collection, sorted)) = self.sorted(c)? else {
            return Ok(None);
        };
        if at < collection.min_ts {
            return Ok(None);
        }
        Ok(Some(EntryProbe {
            reader: self.clone(),
            collection: c,
            bloom: self.bloom(c, sorted)?,
            head: RunCursor::new(self.clone(), index, false),
            started: false,
            at,
        }))
    }

    /// The first and the last key of a collection: of a table, its rows'.
    pub fn key_ends(&self, c: CollectionId) -> Result<Option<[Vec<u8>; 2]>> {
        if self.has_rows(c) {
            let Some((_, _, rows)) = self.rows(c)? else {
                return Ok(None);
            };
            let ends = rows.head.first().zip(rows.head.last());
            return Ok(ends.map(|(first, last)| {
                [first.min_row, last.max_row].map(|row| row_key(RowId(row)).to_vec())
            }));
        }
        let Some((index, _, sorted)) = self.sorted(c)? else {
            return Ok(None);
        };
        // Every key of HIST is in HEAD.
        let Some((first, last)) = sorted.head.first().zip(sorted.head.last()) else {
            return Ok(None);
        };
        let mut cursor = RunCursor::new(self.clone(), index, false);
        cursor.seek(&last.first_key)?;
        let mut end = last.first_key.clone();
        while let Some(key) = cursor.key() {
            end.clear();
            end.extend_from_slice(key);
            cursor.advance()?;
        }
        Ok(Some([first.first_key.clone(), end]))
    }
}

impl EntryProbe {
    /// The newest version of `key`, which is not before the key that was asked for last: when it began,
    /// and its value, `None` for a delete.
    pub fn find(&mut self, key: &[u8]) -> Result<Option<Version>> {
        if !self.bloom.may_contain(key) {
            return Ok(None);
        }
        match std::mem::replace(&mut self.started, true) {
            false => self.head.seek(key)?,
            true => self.head.seek_on(key)?,
        }
        if self.head.key() != Some(key) {
            return Ok(None);
        }
        let (begin, value) = self.head.version();
        match begin <= self.at {
            true => Ok(Some((begin, value.map(<[u8]>::to_vec)))),
            false => self.reader.entry(self.collection, key, self.at),
        }
    }
}

type Entry = (Vec<u8>, Ts, Option<Vec<u8>>);

impl EntryRange {
    fn find_next(&mut self) -> Result<Option<Entry>> {
        let Some(head) = &mut self.head else {
            return Ok(None);
        };
        while let Some(key) = head.key() {
            let inside = match &self.to {
                Bound::Included(to) => key <= to.as_slice(),
                Bound::Excluded(to) => key < to.as_slice(),
                Bound::Unbounded => true,
            };
            if !inside {
                break;
            }
            let key = key.to_vec();
            let (begin, value) = head.version();
            if begin <= self.at {
                let entry = (key, begin, value.map(<[u8]>::to_vec));
                head.advance()?;
                return Ok(Some(entry));
            }
            head.advance()?;
            // Every key of HIST is in HEAD, so this only moves forward.
            let Some(hist) = &mut self.hist else { continue };
            while let Some(found) = hist.key() {
                let (begin, value) = hist.version();
                if found > key.as_slice() {
                    break;
                }
                if found == key.as_slice() && begin <= self.at {
                    return Ok(Some((key, begin, value.map(<[u8]>::to_vec))));
                }
                hist.advance()?;
            }
        }
        self.head = None;
        Ok(None)
    }
}

impl Iterator for EntryRange {
    type Item = Result<Entry>;

    fn next(&mut self) -> Option<Result<Entry>> {
        let next = self.find_next();
        if next.is_err() {
            self.head = None;
        }
        next.transpose()
    }
}
