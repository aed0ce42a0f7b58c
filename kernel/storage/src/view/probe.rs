//! Lookups of many keys of a sorted collection, which come in order: each source is walked on from the
//! key before, and asked only if it has anything of the collection.

use std::sync::Arc;

use super::{OwnWrites, ReadView, Source};
use crate::error::Result;
use crate::ids::{CollectionId, Ts};
use crate::memtable::{Memtable, full_key};
use crate::segment::{EntryProbe, SegmentReader};

enum Probed {
    Own(OwnWrites),
    Memtable(Arc<Memtable>, Ts),
    /// One of the transaction's runs has no timestamps.
    Segment(Box<EntryProbe>, bool),
}

/// Looks up keys of one collection as a view sees it. See the module's header.
pub(crate) struct Probe {
    collection: CollectionId,
    /// Newest first.
    sources: Vec<Probed>,
}

impl Probe {
    /// What is read is not noted for SERIALIZABLE.
    pub fn new(view: &ReadView, collection: CollectionId) -> Result<Probe> {
        view.check_kept(collection)?;
        let probe = |segment: &SegmentReader, at, is_own| -> Result<Option<Probed>> {
            let probe = segment.probe(collection, at)?;
            Ok(probe.map(|probe| Probed::Segment(Box::new(probe), is_own)))
        };
        let mut sources = Vec::new();
        if let Some(own) = &view.0.own {
            if !own.set.read().is_empty() {
                sources.push(Probed::Own(own.clone()));
            }
            for (run, at) in own.runs() {
                sources.extend(probe(run, at, true)?);
            }
        }
        for (source, level) in view.0.path.sources() {
            match source {
                Source::Memtable(memtable) if memtable.has(collection) => {
                    sources.push(Probed::Memtable(Arc::clone(memtable), level.cap));
                }
                Source::Memtable(_) => {}
                Source::Segment(segment) => sources.extend(probe(segment, level.cap, false)?),
            }
        }
        Ok(Probe {
            collection,
            sources,
        })
    }

    /// Call `f` with the version that the view sees of a key, which is not before the one asked for last:
    /// its timestamp, `None` for an own write, and its value, `None` for a delete.
    pub fn find<R>(
        &mut self,
        key: &[u8],
        f: impl FnOnce(Option<Ts>, Option<&[u8]>) -> R,
    ) -> Result<Option<R>> {
        for source in &mut self.sources {
            match source {
                Probed::Own(own) => {
                    let full = full_key(self.collection, key);
                    if let Some((_, value)) = own.set.read().get(&full, own.limit) {
                        return Ok(Some(f(None, value)));
                    }
                }
                Probed::Memtable(memtable, at) => {
                    let full = full_key(self.collection, key);
                    if let Some(version) = memtable.find(&full, *at) {
                        let ts = version.ts().unwrap_or(*at);
                        return Ok(Some(f(Some(ts), version.value())));
                    }
                }
                Probed::Segment(probe, is_own) => {
                    if let Some((ts, value)) = probe.find(key)? {
                        return Ok(Some(f((!*is_own).then_some(ts), value.as_deref())));
                    }
                }
            }
        }
        Ok(None)
    }
}
