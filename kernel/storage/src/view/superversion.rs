//! The committed sources of one timeline, newest first, swapped as one.

use std::sync::Arc;

use crate::ids::{CollectionId, ColumnId};
use crate::memtable::Memtable;
use crate::schema::TableDef;
use crate::segment::{RowColumns, SegmentReader};

/// What a collection holds; the two are laid out differently in segments.
#[derive(Clone, Copy, Debug)]
pub enum Kind<'a> {
    /// A table's rows by RowId.
    Rows(RowColumns<'a>),
    /// Sorted keys: an index, the catalog, a store.
    Sorted,
}

impl Kind<'_> {
    /// Rows of which only the timestamp matters, and whether they are deleted.
    pub const BARE_ROWS: Kind<'static> = Kind::Rows(RowColumns {
        count: 0,
        wanted: None,
    });
}

/// Some columns of a table, as it is defined there.
pub struct Wanted(Vec<bool>);

impl Wanted {
    pub fn new(table: &TableDef, columns: impl IntoIterator<Item = ColumnId>) -> Wanted {
        let mut wanted = vec![false; table.columns.len()];
        for column in columns {
            // One that the table does not have is told by who asks for its value.
            if let Some(wanted) = wanted.get_mut(usize::from(column.0)) {
                *wanted = true;
            }
        }
        Wanted(wanted)
    }

    pub fn rows(&self) -> Kind<'_> {
        Kind::Rows(RowColumns {
            count: self.0.len(),
            wanted: Some(&self.0),
        })
    }
}

/// A source to which nothing is added any more.
#[derive(Clone)]
pub enum Layer {
    /// Frozen; a flush will put a segment in its place.
    Memtable(Arc<Memtable>),
    Segment(SegmentReader),
}

impl Layer {
    pub fn segment(&self) -> Option<&SegmentReader> {
        match self {
            Layer::Segment(segment) => Some(segment),
            Layer::Memtable(_) => None,
        }
    }

    /// Put this, which has the commits up to `ts_max`, below the layers that have nothing as old. That
    /// is where the manifest has it, or will have it ([`crate::manifest`], invariant 5).
    pub fn put_by_age(self, layers: &mut Vec<Layer>) {
        let ts_max = match &self {
            Layer::Memtable(memtable) => memtable.ts_max(),
            Layer::Segment(segment) => segment.meta().max_ts,
        };
        let is_newer = |layer: &&Layer| match layer {
            Layer::Memtable(memtable) => memtable.ts_max() > ts_max,
            Layer::Segment(segment) => segment.meta().min_ts > ts_max,
        };
        let place = layers.iter().take_while(is_newer).count();
        layers.insert(place, self);
    }

    /// Whether anything of a collection is in it.
    pub fn has(&self, collection: CollectionId) -> bool {
        match self {
            Layer::Memtable(memtable) => memtable.has(collection),
            Layer::Segment(segment) => segment.has(collection),
        }
    }
}

/// What versions are read from.
#[derive(Clone, Copy)]
pub enum Source<'a> {
    Memtable(&'a Arc<Memtable>),
    Segment(&'a SegmentReader),
}

/// One immutable set of sources. Readers hold it; whatever changes the set replaces it.
///
/// For any one key, all versions in a source are newer than those in the sources after it. Memtables
/// and segments may stand in any order.
#[derive(Clone)]
pub struct Superversion {
    pub active: Arc<Memtable>,
    /// Newest first.
    pub layers: Vec<Layer>,
}

impl Superversion {
    /// All sources, newest first.
    pub fn sources(&self) -> impl Iterator<Item = Source<'_>> {
        let layers = self.layers.iter().map(|layer| match layer {
            Layer::Memtable(memtable) => Source::Memtable(memtable),
            Layer::Segment(segment) => Source::Segment(segment),
        });
        std::iter::once(Source::Memtable(&self.active)).chain(layers)
    }

    /// All memtables, newest first.
    pub fn memtables(&self) -> impl Iterator<Item = &Arc<Memtable>> {
        std::iter::once(&self.active).chain(self.frozen())
    }

    /// The memtables that wait for their flush, newest first.
    pub fn frozen(&self) -> impl DoubleEndedIterator<Item = &Arc<Memtable>> {
        self.layers.iter().filter_map(|layer| match layer {
            Layer::Memtable(memtable) => Some(memtable),
            Layer::Segment(_) => None,
        })
    }

    /// All segments, newest first.
    pub fn segments(&self) -> impl Iterator<Item = &SegmentReader> {
        self.layers.iter().filter_map(Layer::segment)
    }

    /// Whether any source has anything of a collection.
    pub fn has(&self, collection: CollectionId) -> bool {
        self.active.has(collection) || self.layers.iter().any(|layer| layer.has(collection))
    }
}
