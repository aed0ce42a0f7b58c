//! Segments: immutable files that hold what a flush took out of one timeline's memtable, or what a load or a
//! compaction wrote.
//!
//! ```text
//! ┌────────────────────┐ 0
//! │ header             │ magic, version, timeline, CRC32C
//! ├────────────────────┤ 32
//! │ page               │ page header (32 bytes, with the CRC32C of itself and of what follows),
//! │ page               │ then the stored bytes; no gaps, no padding
//! │ …                  │
//! ├────────────────────┤ directory_offset
//! │ directory          │ per collection its runs: blocks, page places, zone maps, first keys
//! ├────────────────────┤ file_bytes - 40
//! │ trailer            │ where the directory is, its CRC32C, file length, version, CRC32C, magic
//! └────────────────────┘ file_bytes
//!
//! row collection:     HEAD blocks │ HIST blocks │ bitmap of all RowIds │
//!                     sketches of columns' values in HEAD (when it has many)
//!   a block, up to 8192 rows or about 256 KiB of its longest column:
//!     RowIds │ begin timestamps │ end timestamps (HIST only) │ tombstones (when it has any) │
//!     one page per column that is not dropped │ blob pages and their index (of columns with large values)
//! sorted collection:  HEAD pages │ HIST pages │ bloom filter of all keys
//! ```
//!
//! 1. HEAD has exactly one entry per RowId (key) of the collection: its newest version in this
//!    file, put or delete. HIST has the others. Within a run, entries rise by RowId (key); the
//!    versions of one RowId in HIST go from newest to oldest.
//! 2. The versions of a RowId are a chain without gaps: `end` of a HIST version is `begin` of the
//!    next newer one. So the newest version with begin ≤ T is HEAD's if its begin ≤ T, else HIST's
//!    with begin ≤ T < end, and a reader of the newest state never touches HIST.
//! 3. A RowId (key) that has any version with begin ≤ T is *decided* at T by this file: older files
//!    have nothing to say about it, whether that version is a put or a delete.
//! 4. Every byte is covered by a checksum, and a page says which page it is, so that any damage is
//!    found when the bytes concerned are read; before that it is not looked for.
//! 5. Columns are stored under the types and numbers of the table when the file was written. A later
//!    column takes its missing value; a later drop makes it NULL.
//! 6. A column's pages may be encoded, each by another codec: a built-in one, which suits its values, or
//!    one from outside, which only who reads that column needs. What the directory says, zone maps among it, is of the values and the same either way.
//!
//! [`SegmentWriter`] streams a file out; [`SegmentReader`] reads the directory when opened, and
//! pages on demand through a [`PageCache`]. Which files exist, and which of them a snapshot may
//! see, is not known here: the manifest has that.

mod format;

mod blob;
mod cache;
mod column;
mod conditions;
mod encoded;
mod encoding;
mod entries;
mod estimate;
mod filter;
mod hash;
mod input;
mod page;
mod search;
mod sketch;
mod sorted;

mod writer;

mod begun;
mod range;
mod reader;
mod scan;
mod stamp;
mod versions;

mod check;
mod inventory;

pub(crate) use self::begun::Begun;
pub use self::cache::PageCache;
pub(crate) use self::check::{Extent, check, check_order};
pub use self::filter::{ColumnRange, RowFilter};
pub(crate) use self::inventory::Inventory;
pub use self::inventory::{CollectionBytes, ColumnPages, RivalBytes};
pub use self::range::{EntryProbe, EntryRange};
pub use self::reader::{RowColumns, RowPlace, SegmentReader, Version};
pub use self::scan::{RowScan, SegmentScan};
pub use self::sketch::Sketch;
pub use self::stamp::Unstamped;
pub use self::versions::{EntryVersion, EntryVersions, RowPick, RowRun, RowRuns, compact};
pub use self::writer::{DefinitionOf, KeyedWriter, SegmentOptions, SegmentWriter};

use crate::ids::{CollectionId, TimelineId, Ts};

/// What the manifest records of a segment; [`SegmentReader::open`] holds the file against it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentMeta {
    pub name: String,
    pub bytes: u64,
    pub timeline: TimelineId,
    /// Lowest begin timestamp in the file.
    pub min_ts: Ts,
    /// Highest begin timestamp in the file.
    pub max_ts: Ts,
    /// CRC32C of the directory, which holds every page's place: it stands for the file.
    pub checksum: u32,
    pub collections: Vec<CollectionId>,
}

#[cfg(test)]
mod tests;
