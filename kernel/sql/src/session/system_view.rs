//! What the system catalogs see of a session.

use std::ops::Bound;
use std::sync::Arc;

use heliosdb_plugin_host::PluginHost;
use heliosdb_plugin_host::migration::MigrationRow;
use heliosdb_plugin_host::store::StoreInfo;
use heliosdb_storage::governor;
use heliosdb_storage::ids::CollectionId;
use heliosdb_storage::segment::ColumnPages;

use super::info::SessionInfo;
use super::named::NamedStatement;
use super::server_settings;
use crate::catalog::{CatalogSnapshot, Oid};
use crate::error::Result;
use crate::instance::HbaFileRule;
use crate::pg_catalog::{Added, OpenCursor, SessionView, Setting, StoreSize};
use crate::provenance::{self, Provenance};

impl SessionView for SessionInfo {
    fn catalog(&self) -> Arc<CatalogSnapshot> {
        SessionInfo::catalog(self)
    }

    fn current_user(&self) -> String {
        self.role().name.clone()
    }

    fn session_user(&self) -> String {
        SessionInfo::session_user(self)
    }

    fn database(&self) -> String {
        self.database.clone()
    }

    fn backend_pid(&self) -> i32 {
        i32::try_from(self.pid).unwrap_or(i32::MAX)
    }

    fn temporary_schema(&self) -> Option<String> {
        let own = SessionInfo::temporary_schema(self);
        (self.has_made_temporary() && self.has_schema(&own)).then_some(own)
    }

    fn search_path(&self) -> Vec<String> {
        let mut path = SessionInfo::search_path(self);
        // The first is the implicit one unless the user placed it.
        if self.with_settings(|s| !s.value("search_path").contains("pg_catalog")) {
            path.retain(|s| s != "pg_catalog");
        }
        path
    }

    fn transaction_id(&self) -> u64 {
        // Transactions are known by their commit timestamp; until then, by when they began.
        u64::try_from(self.transaction_start()).unwrap_or(0)
    }

    fn setting(&self, name: &str) -> Result<String> {
        self.shown_settings().get(name).map(str::to_owned)
    }

    fn set_setting(&self, name: &str, value: &str, local: bool) -> Result<String> {
        if let Some(server) = server_settings::find(name) {
            return self.set_for_server(server, Some(value));
        }
        self.check_may_set(name)?;
        // Outside a block the transaction is over when the value would be asked for.
        let over = local && !self.is_in_block();
        if over {
            let mut settings = self.settings();
            settings.set(name, value)?;
            return settings.get(name).map(str::to_owned);
        }
        let old = self.with_settings(|s| s.saved(name))?;
        if name.eq_ignore_ascii_case("role") {
            let none = value.eq_ignore_ascii_case("none");
            self.change_role((!none).then_some(value))?;
        } else {
            self.change_settings(|s| s.set(name, value))?;
        }
        let now = self.with_settings(|s| s.get(name).map(str::to_owned));
        self.settings_changed().push((name.to_owned(), old, local));
        now
    }

    fn settings(&self) -> Vec<Setting> {
        self.shown_settings().describe()
    }

    fn cursors(&self) -> Vec<Arc<OpenCursor>> {
        self.open_cursors()
    }

    fn prepared_statements(&self) -> Vec<NamedStatement> {
        self.prepared.all()
    }

    fn relation_size(&self, relation: Oid) -> i64 {
        let catalog = SessionInfo::catalog(self);
        let collection = match (catalog.table(relation), catalog.index(relation)) {
            (Some(table), _) => table.collection,
            (None, Some(index)) => index.collection,
            // A sequence is in the log and the manifest.
            (None, None) => return 0,
        };
        let bytes = self
            .instance
            .engine()
            .collection_bytes(CollectionId(collection));
        i64::try_from(bytes).unwrap_or(i64::MAX)
    }

    fn estimated_rows(&self, table: Oid) -> Option<u64> {
        let catalog = SessionInfo::catalog(self);
        let table = catalog.table(table)?;
        let view = self.place().visible_view().ok()?;
        Some(view.row_count_estimate(table.collection_id()))
    }

    fn column_pages(&self) -> Vec<ColumnPages> {
        self.instance.engine().column_pages()
    }

    fn storage_stats(&self) -> heliosdb_storage::Stats {
        self.instance.engine().stats()
    }

    fn memory(&self) -> heliosdb_storage::memory::Usage {
        self.instance.engine().memory().usage()
    }

    fn background_cpu(&self) -> governor::Report {
        self.instance.engine().governor().report()
    }

    fn remembered(&self) -> Result<heliosdb_storage::Remembered> {
        let catalog = SessionInfo::catalog(self);
        let mut collections = Vec::new();
        for table in catalog.tables() {
            let own = table.retention.as_deref();
            let own = own.map(crate::ddl::retention::parse).transpose()?;
            let indexes = catalog.indexes_of(table.oid);
            let indexes = indexes.map(|index| CollectionId(index.collection));
            collections.push((table.collection_id(), own));
            collections.extend(indexes.map(|index| (index, own)));
        }
        Ok(self.instance.engine().remembered(collections)?)
    }

    fn plugins(&self) -> Arc<PluginHost> {
        self.instance.plugins().clone()
    }

    fn plugin_stores(&self) -> Result<Vec<(StoreInfo, StoreSize)>> {
        let view = self.place().visible_view()?;
        let stores = heliosdb_plugin_host::store::stores(&view)?;
        stores
            .into_iter()
            .map(|store| {
                let mut size = StoreSize::default();
                for entry in view.range(store.collection, Bound::Unbounded, Bound::Unbounded)? {
                    let (key, value) = entry?;
                    size.entries += 1;
                    size.bytes += (key.len() + value.len()) as u64;
                }
                Ok((store, size))
            })
            .collect()
    }

    fn plugin_migrations(&self) -> Result<Vec<MigrationRow>> {
        let view = self.place().visible_view()?;
        Ok(heliosdb_plugin_host::migration::migrations(&view)?)
    }

    fn hba_rules(&self) -> Arc<[HbaFileRule]> {
        self.instance.hba_rules()
    }

    fn imports(&self) -> Result<Vec<Provenance>> {
        provenance::all(&self.place().visible_view()?)
    }

    fn last_value(&self, sequence: Oid) -> Option<i64> {
        let catalog = SessionInfo::catalog(self);
        let sequence = catalog.sequence(sequence)?;
        let id = CollectionId(sequence.collection);
        let (value, called) = self.place().sequence_state(id)?;
        called.then_some(value)
    }

    fn live(&self) -> Option<&SessionInfo> {
        Some(self)
    }

    fn added(&self) -> Arc<Added> {
        self.plugin_functions().added.clone()
    }
}
