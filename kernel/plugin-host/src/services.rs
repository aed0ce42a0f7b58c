//! [`StatementServices`]: what the layer above lends to a plugin during a statement.
//!
//! The SQL layer implements it twice: over a session's transaction, for commands, clauses and
//! constraints, and over a snapshot that only reads, for functions inside queries. The vtables of
//! `store/1`, `catalog/1` and `sql/1` in [`crate::service`] are made of it, and each call says which
//! plugin asks, so one plugin never sees the state of another.

use std::ops::Bound;
use std::sync::Arc;

pub use heliosdb_plugin_api::service::{Dependent, ObjectInfo, QueryResult};
pub use heliosdb_plugin_api::{Error as PluginError, Result as PluginResult};
use heliosdb_plugin_api::{Error, state};

/// A key and its value.
pub type Pair = (Vec<u8>, Vec<u8>);

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

    fn store_get(&self, plugin: &str, store: &str, key: &[u8]) -> PluginResult<Option<Vec<u8>>>;

    /// At most `limit` pairs in the order of their keys.
    fn store_range(
        &self,
        plugin: &str,
        store: &str,
        from: Bound<&[u8]>,
        to: Bound<&[u8]>,
        limit: usize,
    ) -> PluginResult<Vec<Pair>>;

    /// # Errors
    ///
    /// `25006` where the statement may only read; so with everything below that writes.
    fn store_put(&self, plugin: &str, store: &str, key: &[u8], value: &[u8]) -> PluginResult<()>;

    fn store_remove(&self, plugin: &str, store: &str, key: &[u8]) -> PluginResult<()>;

    // catalog/1. `plugin` may see and change its own objects only.

    /// A new object in `schema` or the first schema of the search_path. `42710` when it exists.
    fn object_create(
        &self,
        plugin: &str,
        class: &str,
        schema: Option<&str>,
        name: &str,
    ) -> PluginResult<ObjectInfo>;

    /// The object in `schema` or along the search_path.
    fn object_find(
        &self,
        plugin: &str,
        class: &str,
        schema: Option<&str>,
        name: &str,
    ) -> PluginResult<Option<ObjectInfo>>;

    fn object_get(&self, plugin: &str, oid: u32) -> PluginResult<Option<ObjectInfo>>;

    /// Oldest first.
    fn objects(&self, plugin: &str, class: &str) -> PluginResult<Vec<ObjectInfo>>;

    fn object_rename(&self, plugin: &str, oid: u32, name: &str) -> PluginResult<()>;

    /// `42501` unless the role owns the object or is a superuser.
    fn object_check_owner(&self, plugin: &str, oid: u32) -> PluginResult<()>;

    /// `2BP01` while something depends on it and `cascade` is not set.
    fn object_drop(&self, plugin: &str, oid: u32, cascade: bool) -> PluginResult<()>;

    /// `oid` cannot be without `on`.
    fn object_depend(&self, plugin: &str, oid: u32, on: u32) -> PluginResult<()>;

    /// Forgets what `oid` depended on.
    fn object_independent(&self, plugin: &str, oid: u32) -> PluginResult<()>;

    fn object_dependents(&self, plugin: &str, oid: u32) -> PluginResult<Vec<Dependent>>;

    // sql/1

    /// Runs one statement in the transaction, as the role.
    fn query(&self, sql: &str, parameters: &[Option<&str>]) -> PluginResult<QueryResult>;
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

fn outside<T>() -> PluginResult<T> {
    Err(Error::new(
        state::OBJECT_NOT_IN_PREREQUISITE_STATE,
        "the plugin asked for a service of a statement outside of any statement",
    ))
}

impl StatementServices for NoStatement {
    fn cancelled(&self) -> bool {
        false
    }
    fn store_get(&self, _: &str, _: &str, _: &[u8]) -> PluginResult<Option<Vec<u8>>> {
        outside()
    }
    fn store_range(
        &self,
        _: &str,
        _: &str,
        _: Bound<&[u8]>,
        _: Bound<&[u8]>,
        _: usize,
    ) -> PluginResult<Vec<Pair>> {
        outside()
    }
    fn store_put(&self, _: &str, _: &str, _: &[u8], _: &[u8]) -> PluginResult<()> {
        outside()
    }
    fn store_remove(&self, _: &str, _: &str, _: &[u8]) -> PluginResult<()> {
        outside()
    }
    fn object_create(
        &self,
        _: &str,
        _: &str,
        _: Option<&str>,
        _: &str,
    ) -> PluginResult<ObjectInfo> {
        outside()
    }
    fn object_find(
        &self,
        _: &str,
        _: &str,
        _: Option<&str>,
        _: &str,
    ) -> PluginResult<Option<ObjectInfo>> {
        outside()
    }
    fn object_get(&self, _: &str, _: u32) -> PluginResult<Option<ObjectInfo>> {
        outside()
    }
    fn objects(&self, _: &str, _: &str) -> PluginResult<Vec<ObjectInfo>> {
        outside()
    }
    fn object_rename(&self, _: &str, _: u32, _: &str) -> PluginResult<()> {
        outside()
    }
    fn object_check_owner(&self, _: &str, _: u32) -> PluginResult<()> {
        outside()
    }
    fn object_drop(&self, _: &str, _: u32, _: bool) -> PluginResult<()> {
        outside()
    }
    fn object_depend(&self, _: &str, _: u32, _: u32) -> PluginResult<()> {
        outside()
    }
    fn object_independent(&self, _: &str, _: u32) -> PluginResult<()> {
        outside()
    }
    fn object_dependents(&self, _: &str, _: u32) -> PluginResult<Vec<Dependent>> {
        outside()
    }
    fn query(&self, _: &str, _: &[Option<&str>]) -> PluginResult<QueryResult> {
        outside()
    }
}
