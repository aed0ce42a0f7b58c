//! The system catalogs: `pg_catalog` as PostgreSQL 15 has it, computed from the catalog snapshot.
//!
//! A system relation is a table of typed columns and a function that gives its rows
//! ([`relation`]); it holds nothing, so it can never disagree with the catalog it shows. Catalog
//! functions ([`functions`]) are tables of the same kind. Both see one [`SystemContext`]: the
//! statement's snapshot and its session. Clients ask in a dialect of their own
//! (`'t'::regclass`, `OPERATOR(pg_catalog.~)`, subqueries for every column); [`rewrite`] says it in
//! words the planner has, and [`subplan`] runs what the planner cannot turn into a join.
//!
//! Invariants:
//! 1. Built-in objects carry PostgreSQL's oids, so that clients that know them by heart are right.
//! 2. An oid that appears in one relation (a type, an operator class, a role) has its row in the
//!    relation it refers to.
//! 3. Nothing here writes, and nothing here reads user data.

use std::fmt::Debug;
use std::sync::Arc;

use heliosdb_plugin_host::PluginHost;
use heliosdb_plugin_host::migration::MigrationRow;
use heliosdb_plugin_host::store::StoreInfo;
use heliosdb_storage::segment::ColumnPages;

use crate::catalog::model::{Oid, Relation as UserRelation, oid};
use crate::catalog::snapshot::CatalogSnapshot;
use crate::error::Result;
use crate::instance::HbaFileRule;
use crate::privilege::Authority;
use crate::provenance::Provenance;
use crate::session::info::SessionInfo;
use crate::session::named::NamedStatement;

pub mod added;
pub mod builtin;
pub mod datum;
pub mod definition;
pub mod deparse;
pub mod functions;
pub mod names;
pub mod provider;
pub mod relation;
pub mod relations;
pub mod rewrite;
pub(crate) mod routine;
pub(crate) mod row_type;
pub mod user_type;
pub mod view_definition;

pub use added::Added;
pub use datum::{PG_TYPE_KEY, PG_TYPMOD_KEY};
pub use functions::scalar_function;
pub use provider::system_table;

/// What system relations and catalog functions see while they run: one snapshot of the catalog, and
/// the session. It is made when a scan or a call starts, so a plan may outlive the snapshot it was
/// made under.
#[derive(Clone, Debug)]
pub struct SystemContext {
    pub catalog: Arc<CatalogSnapshot>,
    pub session: Arc<dyn SessionView>,
}

/// What a session tells the system catalogs about itself and about physical facts.
pub trait SessionView: Debug + Send + Sync {
    /// The catalog that the running statement sees.
    fn catalog(&self) -> Arc<CatalogSnapshot>;
    fn current_user(&self) -> String;
    fn session_user(&self) -> String;
    fn database(&self) -> String;
    fn backend_pid(&self) -> i32;
    /// The schemas of `search_path` in its order, `$user` replaced, without the implicit
    /// `pg_catalog`.
    fn search_path(&self) -> Vec<String>;
    /// The schema of the session's temporary objects, if it has made any.
    fn temporary_schema(&self) -> Option<String>;
    /// The transaction's id, assigned now if it had none.
    fn transaction_id(&self) -> u64;
    /// The value of a run-time parameter; 42704 for one that does not exist.
    fn setting(&self, name: &str) -> Result<String>;
    /// `set_config`: gives the new value back.
    fn set_setting(&self, name: &str, value: &str, local: bool) -> Result<String>;
    fn settings(&self) -> Vec<Setting>;
    /// Those that DECLARE has opened.
    fn cursors(&self) -> Vec<Arc<OpenCursor>>;
    /// Those that have names.
    fn prepared_statements(&self) -> Vec<NamedStatement> {
        Vec::new()
    }
    /// Bytes of segments that a table, an index or a sequence takes.
    fn relation_size(&self, relation: Oid) -> i64;
    /// How many rows a table has, as far as is known without counting.
    fn estimated_rows(&self, table: Oid) -> Option<u64>;
    /// How the pages of every table in segments are stored.
    fn column_pages(&self) -> Vec<ColumnPages>;
    /// Sizes and counters of storage, and how far its history goes back.
    fn storage_stats(&self) -> heliosdb_storage::Stats;
    /// What everybody holds of the budget of memory.
    fn memory(&self) -> heliosdb_storage::memory::Usage;
    /// What work in the background may use, and has used.
    fn background_cpu(&self) -> heliosdb_storage::governor::Report;
    /// What is held of the past, of the database and of all tables and indexes.
    fn remembered(&self) -> Result<heliosdb_storage::Remembered>;
    /// The plugins of the server.
    fn plugins(&self) -> Arc<PluginHost>;
    /// Every collection of plugins' stores, with its size.
    fn plugin_stores(&self) -> Result<Vec<(StoreInfo, StoreSize)>>;
    /// The steps that stores went through.
    fn plugin_migrations(&self) -> Result<Vec<MigrationRow>>;
    /// Who may connect.
    fn hba_rules(&self) -> Arc<[HbaFileRule]>;
    /// The dumps that the database was made of.
    fn imports(&self) -> Result<Vec<Provenance>>;
    /// The last value a sequence gave; `None` before the first.
    fn last_value(&self, sequence: Oid) -> Option<i64>;
    /// What plugins add.
    fn added(&self) -> Arc<Added>;
    /// The session, where there is one, for what is told of it and of others.
    fn live(&self) -> Option<&SessionInfo> {
        None
    }
}

/// How much a store holds.
#[derive(Clone, Copy, Debug, Default)]
pub struct StoreSize {
    pub entries: u64,
    /// Keys and values, before any encoding.
    pub bytes: u64,
}

/// A run-time parameter, for `pg_settings`.
#[derive(Clone, Debug)]
pub struct Setting {
    pub name: String,
    pub value: String,
    pub default: String,
    pub description: String,
    /// `bool`, `integer`, `enum`, `string` or `real`.
    pub kind: &'static str,
    /// `internal` for one that cannot be set, else `user`.
    pub context: &'static str,
}

/// A cursor, for `pg_cursors`.
#[derive(Debug)]
pub struct OpenCursor {
    pub name: String,
    /// The text of DECLARE.
    pub statement: String,
    pub is_holdable: bool,
    pub is_scrollable: bool,
    /// Since the Unix epoch.
    pub created_micros: i64,
}

impl SystemContext {
    pub fn new(session: &Arc<dyn SessionView>) -> SystemContext {
        SystemContext {
            catalog: session.catalog(),
            session: session.clone(),
        }
    }

    /// The search path that names are looked up along: `pg_catalog` first, unless the user placed it.
    pub fn effective_search_path(&self) -> Vec<String> {
        let mut path = self.session.search_path();
        if !path.iter().any(|s| s == "pg_catalog") {
            path.insert(0, "pg_catalog".to_owned());
        }
        path
    }

    /// The current role, under this catalog.
    pub(crate) fn current_role(&self) -> Authority {
        let user = self.session.current_user();
        let role = self.catalog.role_by_name(&user).map_or(0, |role| role.oid);
        Authority::of(&self.catalog, role)
    }

    pub fn role_name(&self, role: Oid) -> Option<String> {
        self.catalog.role(role).map(|r| r.name.clone())
    }

    pub fn schema_name(&self, schema: Oid) -> Option<String> {
        match schema {
            oid::PG_CATALOG_SCHEMA => Some("pg_catalog".to_owned()),
            oid::INFORMATION_SCHEMA => Some("information_schema".to_owned()),
            other => self.catalog.schema(other).map(|s| s.name.clone()),
        }
    }

    /// Whether a relation is the one its bare name finds.
    pub fn is_visible(&self, relation: &UserRelation) -> bool {
        self.effective_search_path()
            .iter()
            .find_map(|schema| match self.catalog.schema_by_name(schema) {
                Some(s) => self
                    .catalog
                    .relation_in(s.oid, relation.name())
                    .map(|r| r.oid()),
                None => relations::find(schema, relation.name()).map(|r| r.oid),
            })
            .is_some_and(|found| found == relation.oid())
    }
}

#[cfg(test)]
mod tests;
