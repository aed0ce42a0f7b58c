//! Versions of sorted collections, out of the frames of a section.

use heliosdb_storage::view::Version;

use super::{CollectionVersion, Dump};
use crate::error::Result;
use crate::format::FrameHeader;
use crate::format::entry::Entry;

/// Iterator over the versions of a section. It holds one frame in memory.
pub struct Entries<'a> {
    dump: &'a Dump,
    frames: std::slice::Iter<'a, FrameHeader>,
    /// The frame that is being read, its payload, and how far.
    current: Option<(&'a FrameHeader, Vec<u8>, usize)>,
    failed: bool,
}

impl<'a> Entries<'a> {
    pub(super) fn new(dump: &'a Dump, frames: &'a [FrameHeader]) -> Entries<'a> {
        Entries {
            dump,
            frames: frames.iter(),
            current: None,
            failed: false,
        }
    }

    fn next_entry(&mut self) -> Result<Option<CollectionVersion>> {
        loop {
            if let Some((frame, raw, at)) = &mut self.current
                && *at < raw.len()
            {
                let (entry, rest) = Entry::decode(&raw[*at..])
                    .map_err(|e| self.dump.malformed(frame, e, "less".to_owned()))?;
                let version = Version {
                    key: entry.key.to_vec(),
                    begin: entry.begin,
                    value: entry.value.map(<[u8]>::to_vec),
                };
                let found = (entry.collection, version);
                *at = raw.len() - rest.len();
                return Ok(Some(found));
            }
            let Some(frame) = self.frames.next() else {
                return Ok(None);
            };
            self.current = Some((frame, self.dump.payload(frame)?, 0));
        }
    }
}

impl Iterator for Entries<'_> {
    type Item = Result<CollectionVersion>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let next = self.next_entry();
        self.failed = next.is_err();
        next.transpose()
    }
}
