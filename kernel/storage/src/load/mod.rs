//! Loading: what another database held, written straight into segments, with its RowIds and times.
//!
//! 1. A [`Loader`] is made of an open engine; there is one at a time. Segments that it writes are
//!    files that no manifest names: a crash, an error or dropping the loader leaves nothing.
//! 2. A [`TableLoader`] takes the current rows of a table, then the versions that were superseded.
//!    Current rows go into segments that are *newer* than those of the others, so that reading now
//!    never meets history. Index entries, past ones too, are derived from the versions as a
//!    transaction would have made them, sorted outside of memory, and written last. A
//!    [`SortedLoader`] takes any other collection in its order. Several may be at work at a time.
//! 3. [`Loader::publish`] syncs what is left and writes one record to the log, which names the
//!    segments and sets the clock, the row counts, the next ids and the sequences. That record is
//!    there, whole, or not: so is all that was loaded. It may be done again with another loader.
//!
//! What is loaded must be new: no version of a loaded collection may be in the engine before. Small
//! collections share segments, so that a thousand small tables do not make a thousand files that
//! every lookup has to ask; large ones have files of their own, cut at `segment_bytes`.
//!
//! What a branch holds is loaded like the rest ([`Loader::branch_table`]), as far as it is the branch's own. Of rows
//! that it has from above, the deletes go into segments that are older than all others, and the index entries
//! that end with them, or with an update, are derived from what those rows were at the fork.
//!
//! It does not know where versions come from, and does not look at the catalog's rows that it loads,
//! except that every loaded table must be defined in it when all is published. Nor may it take from whoever
//! holds history: a load that begins its own after a pin is refused.

mod entries;
mod files;
mod publish;
mod run;
mod series;
mod sorted;
mod sorter;
mod table;

use std::sync::Arc;

use crate::catalog::FIRST_COLLECTION;
use crate::engine::EngineInner;
use crate::error::Result;
use crate::ids::{CollectionId, RowId, TimelineId, Ts};
use crate::interrupt::Interrupt;
use crate::schema::TableDef;
use crate::view::DroppedIndex;

pub(crate) use self::entries::{IndexLoader, Task, do_all};
pub(crate) use self::files::{Age, Files};
pub(crate) use self::run::Claim;
pub use self::run::discard_runs;
pub(crate) use self::series::{Content, Series};
pub use self::sorted::SortedLoader;
use self::table::IndexesOf;
pub(crate) use self::table::value_bytes;
pub use self::table::{LoadedTable, TableLoader};

/// How to load.
#[derive(Clone, Debug)]
pub struct LoadOptions {
    /// Memory for sorting index entries, of all tables together, and at most an 8th of the engine's budget;
    /// what is more goes to files.
    pub memory_bytes: usize,
    /// A segment is cut when it is as long. Every segment that holds a part of a table costs its
    /// scans one bitmap of RowIds.
    pub segment_bytes: u64,
    /// Ends the load.
    pub interrupt: Arc<Interrupt>,
}

impl Default for LoadOptions {
    fn default() -> LoadOptions {
        LoadOptions {
            memory_bytes: 256 << 20,
            segment_bytes: 256 << 20,
            interrupt: Interrupt::new(),
        }
    }
}

/// What there is besides rows and entries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LoadedState {
    /// No loaded version is newer, and every later commit is.
    pub last_ts: Ts,
    /// What is loaded has all of its history from then on; AS OF a time before, the database cannot be
    /// read afterwards.
    pub history_from: Ts,
    /// Tables whose history begins at another time than that.
    pub tables_from: Vec<(CollectionId, Ts)>,
    /// The first collection id that may be handed out.
    pub next_collection: CollectionId,
    /// As [`Engine::sequences`](crate::Engine::sequences) gives them.
    pub sequences: Vec<(CollectionId, i64, bool)>,
    /// Per table the first RowId that may be handed out. One that is not named goes on after its
    /// highest row.
    pub next_rows: Vec<(CollectionId, RowId)>,
}

/// See the module's header.
pub struct Loader {
    files: Arc<Files>,
}

impl std::fmt::Debug for Loader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Loader").finish_non_exhaustive()
    }
}

impl Loader {
    pub(crate) fn new(engine: Arc<EngineInner>, options: LoadOptions) -> Result<Loader> {
        Loader::on(engine, None, options)
    }

    /// Into a timeline, or into the main one.
    pub(crate) fn on(
        engine: Arc<EngineInner>,
        timeline: Option<TimelineId>,
        options: LoadOptions,
    ) -> Result<Loader> {
        Ok(Loader {
            files: Files::new(engine, timeline, options)?,
        })
    }

    /// Load the rows of a table. `def` is its newest definition as
    /// [`ReadView::tables_ever`](crate::ReadView::tables_ever) gives it: batches have all of its
    /// columns, which are encoded as its `compression` says, and its indexes are made.
    pub fn table(&self, def: &TableDef) -> Result<TableLoader> {
        TableLoader::new(&self.files, def, &[], IndexesOf::All)
    }

    /// The same with indexes that the table has no more, which branches still have: their entries end with them.
    pub fn table_with(&self, def: &TableDef, dropped: &[DroppedIndex]) -> Result<TableLoader> {
        TableLoader::new(&self.files, def, dropped, IndexesOf::All)
    }

    /// Load what a branch has of a table. Of the indexes in `anew` nothing is there above that the branch could use,
    /// or not all of it, so they are made of all rows at the fork ([`TableLoader::push_inherited`]). Without
    /// `has_rows`, the branch has no rows of its own, and the other indexes are left as they are.
    pub fn branch_table(
        &self,
        def: &TableDef,
        dropped: &[DroppedIndex],
        anew: &[CollectionId],
        has_rows: bool,
    ) -> Result<TableLoader> {
        TableLoader::new(
            &self.files,
            def,
            dropped,
            IndexesOf::Branch { anew, has_rows },
        )
    }

    /// Load a sorted collection that is no index of a loaded table.
    pub fn sorted(&self, collection: CollectionId) -> Result<SortedLoader> {
        SortedLoader::new(&self.files, collection)
    }

    /// Make all that was loaded appear at once, durable. After an error nothing of it is there, or,
    /// when the engine has stopped, the next open tells.
    pub fn publish(self, mut state: LoadedState) -> Result<()> {
        state.next_collection = state.next_collection.max(FIRST_COLLECTION);
        self.files.publish(state)
    }
}
