//! Ordered reads of a sorted collection: a merge of the view's sources.
//!
//! Each source hands out its visible versions in key order, deletes included. Of equal keys the
//! newest source's version wins and the others are dropped; a winning delete yields nothing.
//! In-memory sources are read in chunks, each with a fresh seek, so that the iterator borrows
//! nothing and holds no lock between calls.

use std::collections::VecDeque;
use std::ops::{Bound, ControlFlow};
use std::sync::Arc;

use super::{OwnWrites, ReadView};
use crate::error::Result;
use crate::ids::{CollectionId, Ts};
use crate::memtable::{Memtable, as_slices, full_bounds, full_key, split_key};
use crate::planted::{self, Bug};
use crate::segment::EntryRange;
use crate::view;

/// The first chunk is small, because most ranges are; later ones grow to the maximum.
const CHUNK_MIN: usize = 16;
const CHUNK_MAX: usize = 1024;

/// A visible version: key and value, `None` for a delete.
type Item = (Box<[u8]>, Option<Box<[u8]>>);

enum Origin {
    Own(OwnWrites),
    Memtable(Arc<Memtable>),
}

/// An in-memory source, read in chunks.
struct Chunked {
    origin: Origin,
    collection: CollectionId,
    from: Bound<Box<[u8]>>,
    to: Bound<Box<[u8]>>,
    at: Ts,
    chunk: VecDeque<Item>,
    chunk_size: usize,
    exhausted: bool,
}

impl Chunked {
    fn refill(&mut self) {
        let (limit, at, chunk) = (self.chunk_size, self.at, &mut self.chunk);
        let from = self.from.as_ref().map(|k| &**k);
        let to = self.to.as_ref().map(|k| &**k);
        let mut full = false;
        let mut keep = |key: &[u8], value: Option<&[u8]>| {
            chunk.push_back((Box::from(split_key(key).1), value.map(Box::from)));
            full = chunk.len() >= limit;
            if full {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        };
        match &self.origin {
            Origin::Own(own) => own.set.read().visit(from, to, own.limit, &mut keep),
            Origin::Memtable(memtable) => {
                memtable.visit(from, to, |key, chain| match chain.find(at) {
                    Some(version) => keep(key, version.value()),
                    None => ControlFlow::Continue(()),
                })
            }
        }
        self.exhausted = !full;
        if let Some((key, _)) = self.chunk.back() {
            self.from = Bound::Excluded(full_key(self.collection, key));
        }
        self.chunk_size = (self.chunk_size * 4).min(CHUNK_MAX);
    }

    fn next(&mut self) -> Option<Item> {
        if self.chunk.is_empty() && !self.exhausted {
            self.refill();
        }
        self.chunk.pop_front()
    }
}

/// Where versions come from.
enum Stream {
    Memory(Chunked),
    Segment(Box<EntryRange>),
}

impl Stream {
    fn next(&mut self) -> Result<Option<Item>> {
        match self {
            Stream::Memory(chunked) => Ok(chunked.next()),
            Stream::Segment(entries) => match entries.next().transpose()? {
                None => Ok(None),
                Some((key, _, value)) => Ok(Some((key.into(), value.map(Vec::into_boxed_slice)))),
            },
        }
    }
}

/// A source, with its next item looked at already.
struct Source {
    stream: Stream,
    head: Option<Item>,
}

/// Iterator over `(key, value)` of a sorted collection, in key order.
pub struct RangeIter {
    /// Newest first.
    sources: Vec<Source>,
    failed: bool,
}

impl RangeIter {
    pub(super) fn new(
        view: &ReadView,
        collection: CollectionId,
        from: Bound<&[u8]>,
        to: Bound<&[u8]>,
    ) -> Result<RangeIter> {
        view.check_kept(collection)?;
        if let Some(reads) = view.noting() {
            reads.note_range(collection, from, to);
        }
        let bounds = full_bounds(collection, from, to);
        let chunked = |origin, at| {
            let (full_from, full_to) = as_slices(&bounds);
            Stream::Memory(Chunked {
                origin,
                collection,
                from: full_from.map(Box::from),
                to: full_to.map(Box::from),
                at,
                chunk: VecDeque::new(),
                chunk_size: CHUNK_MIN,
                exhausted: false,
            })
        };
        let mut sources = Vec::new();
        let mut add = |mut stream: Stream| -> Result<()> {
            if let Some(head) = stream.next()? {
                sources.push(Source {
                    stream,
                    head: Some(head),
                });
            }
            Ok(())
        };
        if let Some(own) = &view.0.own {
            add(chunked(Origin::Own(own.clone()), view.ts()))?;
            for (run, at) in own.runs() {
                let entries = run.range(collection, from, to, at)?;
                add(Stream::Segment(Box::new(entries)))?;
            }
        }
        for (source, level) in view.0.path.sources() {
            add(match source {
                view::Source::Memtable(memtable) => {
                    chunked(Origin::Memtable(Arc::clone(memtable)), level.cap)
                }
                view::Source::Segment(segment) => {
                    let entries = segment.range(collection, from, to, level.cap)?;
                    Stream::Segment(Box::new(entries))
                }
            })?;
        }
        Ok(RangeIter {
            sources,
            failed: false,
        })
    }

    /// The newest version of the least key not yet handed out.
    fn next_version(&mut self) -> Result<Option<Item>> {
        let mut least: Option<usize> = None;
        for (i, source) in self.sources.iter().enumerate() {
            let Some((key, _)) = &source.head else {
                continue;
            };
            let less = match least.and_then(|l| self.sources[l].head.as_ref()) {
                Some((other, _)) => key < other,
                None => true,
            };
            if less {
                least = Some(i);
            }
        }
        let Some(winner) = least else { return Ok(None) };
        let Some(item) = self.advance(winner)? else {
            return Ok(None);
        };
        for i in winner + 1..self.sources.len() {
            if self.sources[i]
                .head
                .as_ref()
                .is_some_and(|(key, _)| *key == item.0)
                && !planted::is(Bug::RangesShowKilled)
            {
                self.advance(i)?;
            }
        }
        Ok(Some(item))
    }

    fn advance(&mut self, i: usize) -> Result<Option<Item>> {
        let source = &mut self.sources[i];
        let next = source.stream.next()?;
        Ok(std::mem::replace(&mut source.head, next))
    }
}

impl Iterator for RangeIter {
    type Item = Result<(Vec<u8>, Vec<u8>)>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        loop {
            match self.next_version() {
                Ok(None) => return None,
                Ok(Some((_, None))) => {}
                Ok(Some((key, Some(value)))) => {
                    return Some(Ok((key.into_vec(), value.into_vec())));
                }
                Err(e) => {
                    self.failed = true;
                    return Some(Err(e));
                }
            }
        }
    }
}
