//! Writing versions that come by full key, all collections one after the other: what memory holds.

use super::SegmentWriter;
use crate::error::Result;
use crate::ids::{CollectionId, Ts};
use crate::memtable::split_key;
use crate::schema::TableDef;
use crate::segment::SegmentMeta;
use crate::view::row_of;

/// Says how the rows of a table are written; `None` when the collection is not a table.
pub type DefinitionOf<'a> = &'a mut dyn FnMut(CollectionId) -> Result<Option<TableDef>>;

/// A [`SegmentWriter`] that begins each collection as what it is.
pub struct KeyedWriter<'a> {
    writer: SegmentWriter,
    definition_of: DefinitionOf<'a>,
    /// The open collection, and whether it has rows.
    current: Option<(CollectionId, bool)>,
}

impl<'a> KeyedWriter<'a> {
    pub fn new(writer: SegmentWriter, definition_of: DefinitionOf<'a>) -> KeyedWriter<'a> {
        KeyedWriter {
            writer,
            definition_of,
            current: None,
        }
    }

    /// Add a version, in the order that [`SegmentWriter::push_row`] asks for.
    pub fn push(
        &mut self,
        full: &[u8],
        begin: Ts,
        end: Option<Ts>,
        value: Option<&[u8]>,
    ) -> Result<()> {
        let (collection, key) = split_key(full);
        match self.begin(collection)? {
            true => self.writer.push_row(row_of(key)?, begin, end, value),
            false => self.writer.push_entry(key, begin, end, value),
        }
    }

    /// Whether the collection has rows.
    fn begin(&mut self, collection: CollectionId) -> Result<bool> {
        if let Some((current, has_rows)) = self.current
            && current == collection
        {
            return Ok(has_rows);
        }
        let def = (self.definition_of)(collection)?;
        match &def {
            Some(def) => self.writer.begin_rows(def)?,
            None => self.writer.begin_sorted(collection)?,
        }
        self.current = Some((collection, def.is_some()));
        Ok(def.is_some())
    }

    /// See [`SegmentWriter::finish`].
    pub fn finish(self) -> Result<SegmentMeta> {
        self.writer.finish()
    }
}
