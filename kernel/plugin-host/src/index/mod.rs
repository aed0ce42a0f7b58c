//! Indexes of plugins, kept and asked: the host's side of `index/1`.
//!
//! A [`PluginIndex`] is one index over a table. It is
//!
//! 1. *built* ([`PluginIndex::build`]) of all versions that history has of the table, at a time that is on
//!    disk, under a cursor that holds what comes after;
//! 2. *brought forward* ([`PluginIndex::catch_up`]) by the changes since its cursor, a part of them at a time:
//!    what the plugin makes of them, its blobs, and the cursor are one transaction;
//!    When those are not kept any more, it is built anew ([`PluginIndex::rebuild`]);
//! 3. *asked* ([`PluginIndex::read`]) by a view of any time, on any timeline, with or without writes of its
//!    own.
//!
//! Invariants:
//!
//! 1. The [`Header`] of an index and its entries change in one transaction only, and the cursor with them.
//!    So whoever reads both in one view has a state that was published.
//! 2. The state with header (from, until) names every version of the table that began at or before `until`
//!    and did not end at or before `from`, of the timeline that it is read on and those above it.
//! 3. A view at T ≥ `from` sees a row in a version that the state names, or the version began after `until`
//!    or is the view's own. The first kind is what the plugin finds and the view sees; the second is evaluated
//!    ([`heliosdb_storage::view::unseen`]). No row is of both kinds. Before `from` everything is evaluated.
//! 4. The state is read at the newest commit of the view's timeline, however old the view: newer states
//!    know more, and 3 holds for each. A timeline that branched off has the state of its fork, since the
//!    store branches with the table; a state is only ever changed on the main timeline.
//!
//! It does not know who wants an index or why: names, privileges and plans are the SQL layer's.

pub mod keyspace;
mod lent;
mod maintain;
mod search;

use std::sync::Arc;

use heliosdb_plugin_api::extension::index::IndexDefinition;
use heliosdb_storage::ids::{ColumnId, Ts};
use heliosdb_storage::schema::TableDef;
use heliosdb_storage::{Engine, ReadView};

use crate::active::index::Index;
use crate::services::PluginError;
use crate::store;
pub use keyspace::Header;
use keyspace::Keyspace;
pub use maintain::Progress;
pub use search::{Hit, Reading};

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    #[error(transparent)]
    Storage(#[from] heliosdb_storage::Error),
    /// What the plugin said, or the fault that it made.
    #[error(transparent)]
    Plugin(#[from] PluginError),
    #[error("index {0} is not built")]
    NotBuilt(u32),
    #[error("index {0} is built already")]
    Built(u32),
    /// It has to be built anew.
    #[error("what was committed since {1} is no longer kept for index {0}")]
    Lost(u32, Ts),
    /// The plugin's extension is not there.
    #[error("store \"{store}\" of plugin \"{plugin}\" does not exist")]
    NoStore { plugin: String, store: String },
}

pub type Result<T> = std::result::Result<T, IndexError>;

/// One index of a plugin's method, over one table.
#[derive(Clone)]
pub struct PluginIndex {
    engine: Engine,
    method: Arc<Index>,
    definition: IndexDefinition,
    table: Arc<TableDef>,
    columns: Vec<ColumnId>,
}

impl std::fmt::Debug for PluginIndex {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PluginIndex")
            .field("definition", &self.definition)
            .finish_non_exhaustive()
    }
}

impl PluginIndex {
    /// The index of `definition`, whose columns are `columns` of `table`. Whether it is built, the database
    /// knows. Values cross as storage has them.
    pub fn new(
        engine: Engine,
        method: Arc<Index>,
        definition: IndexDefinition,
        table: Arc<TableDef>,
        columns: Vec<ColumnId>,
    ) -> PluginIndex {
        PluginIndex {
            engine,
            method,
            definition,
            table,
            columns,
        }
    }

    pub fn method(&self) -> &Arc<Index> {
        &self.method
    }

    pub fn definition(&self) -> &IndexDefinition {
        &self.definition
    }

    /// What a view shows of the index; `None` when it is not built there.
    pub fn header(&self, view: &ReadView) -> Result<Option<Header>> {
        let (plugin, store) = (self.method.plugin(), &self.method.declared.store);
        let Some(store) = store::find(view, plugin, store)? else {
            return Ok(None);
        };
        let header = view.get(store.collection, &self.keyspace().header())?;
        let header = header.map(|header| Header::decode(&header)).transpose()?;
        Ok(header)
    }

    /// How far the index has come, on the main timeline.
    pub fn until(&self) -> Result<Ts> {
        let header = self.header(&self.engine.latest_view())?;
        let header = header.ok_or(IndexError::NotBuilt(self.definition.oid))?;
        Ok(header.until)
    }

    fn keyspace(&self) -> Keyspace {
        Keyspace::new(self.definition.oid)
    }

    /// The name of the cursor, among those of the plugin.
    fn cursor(&self) -> String {
        format!("index {}", self.definition.oid)
    }
}
