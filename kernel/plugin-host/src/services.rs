//! [`StatementServices`]: what the layer above lends to a plugin during a statement.
//!
//! The SQL layer implements it twice: over a session's transaction, for commands, clauses and
//! constraints, and over a snapshot that only reads, for functions inside queries; [`crate::index`] lends
//! some of them to indexes. The vtables of `store/1`, `blob/1`, `catalog/1`, `sql/1`, `changes/1`,
//! `visible/1`, `timeline/1` and `undrop/1` in [`crate::service`] are made of it, and each call says which plugin asks, so one plugin
//! never sees the state of another. What is not lent is `55000`.

use std::ops::Bound;
use std::sync::Arc;

use arrow_array::ArrayRef;
pub use heliosdb_plugin_api::service::timeline::{
    CellChange, CellOrigin, ColumnResolver, Commit, Conflict, ConflictPolicy, DiffRow, DiffSide,
    MergeReport, MergeRequest, Moment, Resolver, TableDiff,
};
pub use heliosdb_plugin_api::service::{Branch, Dependent, ObjectInfo, QueryResult, Which};
pub use heliosdb_plugin_api::{Error as PluginError, Result as PluginResult};
use heliosdb_plugin_api::{Error, state};

/// A key and its value.
pub type Pair = (Vec<u8>, Vec<u8>);

/// Which changes of a table are asked for.
#[derive(Clone, Debug)]
pub struct ChangesSpan<'a> {
    pub table: u32,
    pub columns: Vec<&'a str>,
    pub since: u64,
    pub until: u64,
    pub which: Which,
}

/// Batches of signed rows, none of them empty: the columns asked for, then `_rowid`, `_scn` and `_sign`.
/// It outlives the statement that made it.
pub type ChangeStream = Box<dyn Iterator<Item = PluginResult<Vec<ArrayRef>>> + Send>;

/// The statement a plugin is called for.
pub trait StatementServices: Send + Sync {
    /// Whether the statement was canceled.
    fn cancelled(&self) -> bool;

    /// The plugin's first fault in this statement. A planner may evaluate a call that failed again
    /// and again; the plugin is then not asked again, and its fault counts once.
    fn fault_of(&self, plugin: &str) -> Option<PluginError> {
        let _ = plugin;
        None
    }

    /// Remembers a fault for [`fault_of`](Self::fault_of).
    fn note_fault(&self, plugin: &str, error: &PluginError) {
        let _ = (plugin, error);
    }

    // store/1. `store` is a name of the plugin's manifest.

    fn store_get(&self, plugin: &str, store: &str, key: &[u8]) -> PluginResult<Option<Vec<u8>>> {
        let _ = (plugin, store, key);
        outside()
    }

    /// At most `limit` pairs in the order of their keys.
    fn store_range(
        &self,
        plugin: &str,
        store: &str,
        from: Bound<&[u8]>,
        to: Bound<&[u8]>,
        limit: usize,
    ) -> PluginResult<Vec<Pair>> {
        let _ = (plugin, store, from, to, limit);
        outside()
    }

    /// # Errors
    ///
    /// `25006` where the statement may only read; so with everything below that writes.
    fn store_put(&self, plugin: &str, store: &str, key: &[u8], value: &[u8]) -> PluginResult<()> {
        let _ = (plugin, store, key, value);
        outside()
    }

    fn store_remove(&self, plugin: &str, store: &str, key: &[u8]) -> PluginResult<()> {
        let _ = (plugin, store, key);
        outside()
    }

    // visible/1 and changes/1. Tables are named by oid.

    /// Of versions of a table's rows, each named by row and SCN of its beginning, those that the statement
    /// sees. `42P01` for no table, `42501` for one that the role may not read.
    fn visible(
        &self,
        plugin: &str,
        table: u32,
        versions: &[(u64, u64)],
    ) -> PluginResult<Vec<bool>> {
        let _ = (plugin, table, versions);
        outside()
    }

    /// The newest SCN that may be remembered.
    fn changes_latest(&self) -> PluginResult<u64> {
        outside()
    }

    /// A new cursor there. `42710` when the plugin has one of that name.
    fn cursor_create(&self, plugin: &str, name: &str) -> PluginResult<u64> {
        let _ = (plugin, name);
        outside()
    }

    /// `55000` for one that fell too far behind.
    fn cursor_find(&self, plugin: &str, name: &str) -> PluginResult<Option<u64>> {
        let _ = (plugin, name);
        outside()
    }

    fn cursor_advance(&self, plugin: &str, name: &str, to: u64) -> PluginResult<()> {
        let _ = (plugin, name, to);
        outside()
    }

    fn cursor_remove(&self, plugin: &str, name: &str) -> PluginResult<()> {
        let _ = (plugin, name);
        outside()
    }

    /// What was committed to a table.
    fn changes(&self, plugin: &str, span: &ChangesSpan<'_>) -> PluginResult<ChangeStream> {
        let _ = (plugin, span);
        outside()
    }

    // timeline/1. Branches are the whole database's, whichever plugin made them.

    fn branches(&self) -> PluginResult<Vec<Branch>> {
        outside()
    }

    /// A branch of what `from` shows at `at`, or now.
    fn branch_create(
        &self,
        name: &str,
        from: u32,
        at: Option<u64>,
        note: &str,
        frozen: bool,
    ) -> PluginResult<u32> {
        let _ = (name, from, at, note, frozen);
        outside()
    }

    fn branch_drop(&self, id: u32, noted: &str) -> PluginResult<()> {
        let _ = (id, noted);
        outside()
    }

    fn branch_rename(&self, id: u32, name: &str) -> PluginResult<()> {
        let _ = (id, name);
        outside()
    }

    fn branch_note(&self, id: u32, noted: &str, note: &str) -> PluginResult<()> {
        let _ = (id, noted, note);
        outside()
    }

    fn branch_choose(&self, id: u32) -> PluginResult<()> {
        let _ = id;
        outside()
    }

    /// Brings what one branch did to another, in a transaction of its own.
    fn branch_merge(&self, request: &MergeRequest) -> PluginResult<MergeReport> {
        let _ = request;
        outside()
    }

    /// Takes the main branch back to a time; the name of the branch that has what was there.
    fn restore(&self, at: u64) -> PluginResult<String> {
        let _ = at;
        outside()
    }

    /// Lets a branch be the main one.
    fn restore_branch(&self, id: u32) -> PluginResult<String> {
        let _ = id;
        outside()
    }

    /// Makes the rows of a table what they were.
    fn flashback(&self, table: &str, at: u64) -> PluginResult<u64> {
        let _ = (table, at);
        outside()
    }

    /// The rows of a table in which two states may differ.
    fn diff_rows(&self, table: &str, between: (Moment, Moment)) -> PluginResult<Vec<DiffRow>> {
        let _ = (table, between);
        outside()
    }

    /// The cells of some of those rows that differ.
    fn diff_cells(
        &self,
        table: &str,
        between: (Moment, Moment),
        rows: &[DiffRow],
    ) -> PluginResult<Vec<CellChange>> {
        let _ = (table, between, rows);
        outside()
    }

    /// Tables that differ.
    fn diff_stat(&self, a: Moment, b: Moment) -> PluginResult<Vec<TableDiff>> {
        let _ = (a, b);
        outside()
    }

    /// Commits of the session's branch in a span, at most so many.
    fn commits(
        &self,
        since: Option<u64>,
        until: Option<u64>,
        most: u32,
    ) -> PluginResult<Vec<Commit>> {
        let _ = (since, until, most);
        outside()
    }

    /// The commits that gave the cells of so many rows their values; and the last row, while there may be more.
    fn blame(
        &self,
        table: &str,
        after: Option<u64>,
        rows_max: u32,
    ) -> PluginResult<(Vec<CellOrigin>, Option<u64>)> {
        let _ = (table, after, rows_max);
        outside()
    }

    /// The report of the session's last merge.
    fn last_merge(&self) -> PluginResult<MergeReport> {
        outside()
    }

    // undrop/1

    /// Brings back the table that was dropped last under a name, under another one if that is given.
    fn undrop_table(&self, table: &str, name: Option<&str>) -> PluginResult<()> {
        let _ = (table, name);
        outside()
    }

    // catalog/1. `plugin` may see and change its own objects only.

    /// A new object in `schema` or the first schema of the search_path. `42710` when it exists.
    fn object_create(
        &self,
        plugin: &str,
        class: &str,
        schema: Option<&str>,
        name: &str,
    ) -> PluginResult<ObjectInfo> {
        let _ = (plugin, class, schema, name);
        outside()
    }

    /// The object in `schema` or along the search_path.
    fn object_find(
        &self,
        plugin: &str,
        class: &str,
        schema: Option<&str>,
        name: &str,
    ) -> PluginResult<Option<ObjectInfo>> {
        let _ = (plugin, class, schema, name);
        outside()
    }

    fn object_get(&self, plugin: &str, oid: u32) -> PluginResult<Option<ObjectInfo>> {
        let _ = (plugin, oid);
        outside()
    }

    /// Oldest first.
    fn objects(&self, plugin: &str, class: &str) -> PluginResult<Vec<ObjectInfo>> {
        let _ = (plugin, class);
        outside()
    }

    fn object_rename(&self, plugin: &str, oid: u32, name: &str) -> PluginResult<()> {
        let _ = (plugin, oid, name);
        outside()
    }

    /// `42501` unless the role owns the object or is a superuser.
    fn object_check_owner(&self, plugin: &str, oid: u32) -> PluginResult<()> {
        let _ = (plugin, oid);
        outside()
    }

    /// `2BP01` while something depends on it and `cascade` is not set.
    fn object_drop(&self, plugin: &str, oid: u32, cascade: bool) -> PluginResult<()> {
        let _ = (plugin, oid, cascade);
        outside()
    }

    /// `oid` cannot be without `on`.
    fn object_depend(&self, plugin: &str, oid: u32, on: u32) -> PluginResult<()> {
        let _ = (plugin, oid, on);
        outside()
    }

    /// Forgets what `oid` depended on.
    fn object_independent(&self, plugin: &str, oid: u32) -> PluginResult<()> {
        let _ = (plugin, oid);
        outside()
    }

    fn object_dependents(&self, plugin: &str, oid: u32) -> PluginResult<Vec<Dependent>> {
        let _ = (plugin, oid);
        outside()
    }

    // sql/1

    /// Runs one statement in the transaction, as the role.
    fn query(&self, sql: &str, parameters: &[Option<&str>]) -> PluginResult<QueryResult> {
        let _ = (sql, parameters);
        outside()
    }
}

/// Services outside of any statement: nothing is canceled and nothing is lent. For codecs, types and
/// tests.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoStatement;

impl NoStatement {
    pub fn shared() -> Arc<dyn StatementServices> {
        Arc::new(NoStatement)
    }
}

impl StatementServices for NoStatement {
    fn cancelled(&self) -> bool {
        false
    }
}

fn outside<T>() -> PluginResult<T> {
    Err(Error::new(
        state::OBJECT_NOT_IN_PREREQUISITE_STATE,
        "the plugin asked for a service that is not lent in this call",
    ))
}
