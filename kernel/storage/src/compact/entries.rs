//! Merging a sorted collection, entry by entry.

use std::collections::HashSet;

use super::definitions::named;
use super::keep::Keep;
use crate::catalog::{decode_table, table_of};
use crate::error::Result;
use crate::ids::{CollectionId, Ts};
use crate::segment::{EntryVersion, EntryVersions, SegmentReader, SegmentWriter};

/// Versions between two looks at whether to go on.
const CHECK_VERSIONS: usize = 1024;

/// Write collection `id` of `readers`, which are from the newest to the oldest.
pub fn merge(
    readers: &[SegmentReader],
    id: CollectionId,
    keep: Keep,
    check: &dyn Fn() -> Result<()>,
    writer: &mut SegmentWriter,
) -> Result<()> {
    writer.begin_sorted(id)?;
    let mut merged = Merged::new(readers, id)?;
    for count in 0.. {
        if count % CHECK_VERSIONS == 0 {
            check()?;
        }
        let Some((end, (key, begin, value))) = merged.next()? else {
            break;
        };
        if keep.keeps(begin, end, value.is_none()) {
            writer.push_entry(&key, begin, end, value.as_deref())?;
        }
    }
    Ok(())
}

/// [`merge`] of the catalog. A definition stays as long as anything that it names is somewhere else
/// (`elsewhere`): without it nobody could tell that this is past its time.
pub fn merge_definitions(
    readers: &[SegmentReader],
    id: CollectionId,
    keep: Keep,
    elsewhere: &HashSet<CollectionId>,
    writer: &mut SegmentWriter,
) -> Result<()> {
    writer.begin_sorted(id)?;
    let mut merged = Merged::new(readers, id)?;
    let mut chain: Vec<(Option<Ts>, EntryVersion)> = Vec::new();
    loop {
        let next = merged.next()?;
        let goes_on = matches!(&next, Some((Some(_), _)));
        if !goes_on {
            write_chain(&chain, keep, elsewhere, writer)?;
            chain.clear();
        }
        match next {
            Some(version) => chain.push(version),
            None => return Ok(()),
        }
    }
}

fn write_chain(
    chain: &[(Option<Ts>, EntryVersion)],
    keep: Keep,
    elsewhere: &HashSet<CollectionId>,
    writer: &mut SegmentWriter,
) -> Result<()> {
    let mut wanted = 0;
    for (place, (end, (key, begin, value))) in chain.iter().enumerate() {
        let names = match value {
            None => false,
            Some(value) => {
                let def = decode_table(table_of(key)?, value)?;
                named(&def).any(|id| elsewhere.contains(&id))
            }
        };
        if names || keep.keeps(*begin, *end, value.is_none()) {
            wanted = place + 1;
        }
    }
    for (end, (key, begin, value)) in &chain[..wanted] {
        writer.push_entry(key, *begin, *end, value.as_deref())?;
    }
    Ok(())
}

/// All versions by key, newest first, each with its end as far as it is known here.
struct Merged {
    /// Newest first, each with its next version.
    sources: Vec<(EntryVersions, EntryVersion)>,
    /// The version before.
    newer: Option<(Vec<u8>, Ts)>,
}

impl Merged {
    fn new(readers: &[SegmentReader], id: CollectionId) -> Result<Merged> {
        let mut sources = Vec::new();
        for reader in readers {
            if let Some(mut entries) = reader.entry_versions(id, Ts::MAX)?
                && let Some(first) = entries.next().transpose()?
            {
                sources.push((entries, first));
            }
        }
        Ok(Merged {
            sources,
            newer: None,
        })
    }

    fn next(&mut self) -> Result<Option<(Option<Ts>, EntryVersion)>> {
        // Of equal keys the first, which is of the newest file.
        let least = (0..self.sources.len()).min_by_key(|i| &self.sources[*i].1.0);
        let Some(least) = least else {
            return Ok(None);
        };
        let (entries, head) = &mut self.sources[least];
        let version = match entries.next().transpose()? {
            Some(next) => std::mem::replace(head, next),
            None => self.sources.remove(least).1,
        };
        let (key, begin, _) = &version;
        let end = match &mut self.newer {
            Some((newer, ts)) if newer == key => Some(std::mem::replace(ts, *begin)),
            newer => {
                *newer = Some((key.clone(), *begin));
                None
            }
        };
        Ok(Some((end, version)))
    }
}
