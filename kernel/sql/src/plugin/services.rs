//! What a plugin may do while one of its parts runs: the host's [`StatementServices`] over a session.
//!
//! [`SessionServices`] are for commands, clauses, constraints and events, which run on the session's
//! own thread inside its statement: they read and write in its transaction. [`ReadServices`] are for
//! functions that a query calls, on any thread: they read the query's view.
//!
//! Both see the newest own writes; a writer also sees what others committed since its statement
//! began, because what it decides on (whether a name is free, what a schema demands) has to be true
//! when it commits, and the locks it takes keep it so: DDL locks the catalog, and a constraint locks
//! what it reads of stores ([`Reads::Held`]), so nobody changes the rule while rows that were checked
//! by the old one are on their way.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::{Arc, Weak};

use heliosdb_plugin_host::cursors;
use heliosdb_plugin_host::services::{
    Branch, CellChange, CellOrigin, ChangeStream, ChangesSpan, Commit, Dependent, DiffRow,
    MergeReport, MergeRequest, Moment, ObjectInfo, Pair, PluginError, PluginResult, QueryResult,
    StatementServices, TableDiff,
};
use heliosdb_plugin_host::store::{self, StoreInfo};
use heliosdb_storage::ids::Ts;
use heliosdb_storage::{Interrupt, ReadView, RowLockMode, Transaction};
use parking_lot::Mutex;

use super::crossing;
use super::error::to_plugin;
use super::{objects, rows};
use crate::catalog::{CatalogSnapshot, Oid};
use crate::error::{Result, SqlError, state};
use crate::session::Session;
use crate::session::info::SessionInfo;
use crate::session::nested::NestedResult;
use crate::session::planning::Surroundings;
use crate::types::names::format_type;

/// What becomes of a store's entries that a call has read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reads {
    /// Others may change them at once.
    Free,
    /// They stay as they are until the transaction ends.
    Held,
}

/// Services over a guest of a session.
struct SessionServices {
    /// `None` once it went back.
    guest: Mutex<Option<Session>>,
    interrupt: Arc<Interrupt>,
    reads: Reads,
    /// Objects that the call has created or asked the right to change.
    in_hand: Mutex<BTreeSet<Oid>>,
}

/// Takes the guest back at the end of a call, also when the call unwinds.
struct Loan<'a> {
    lender: &'a mut Session,
    services: SessionServices,
}

impl Drop for Loan<'_> {
    fn drop(&mut self) {
        if let Some(guest) = self.services.guest.get_mut().take() {
            self.lender.take_back(guest);
        }
    }
}

impl Session {
    /// Calls a plugin with services over this session's transaction.
    pub(crate) fn with_services<T>(
        &mut self,
        reads: Reads,
        call: impl FnOnce(&dyn StatementServices) -> PluginResult<T>,
    ) -> Result<T> {
        Ok(self.with_watched_services(reads, call)?.0)
    }

    /// The same, and the objects that the call has created or asked the right to change.
    pub(crate) fn with_watched_services<T>(
        &mut self,
        reads: Reads,
        call: impl FnOnce(&dyn StatementServices) -> PluginResult<T>,
    ) -> Result<(T, BTreeSet<Oid>)> {
        let services = SessionServices {
            guest: Mutex::new(Some(self.lend()?)),
            interrupt: self.interrupt.clone(),
            reads,
            in_hand: Mutex::default(),
        };
        let loan = Loan {
            lender: self,
            services,
        };
        let answer = call(&loan.services).map_err(SqlError::from)?;
        let in_hand = std::mem::take(&mut *loan.services.in_hand.lock());
        Ok((answer, in_hand))
    }
}

impl Surroundings {
    /// Services that read what the running statement sees, for functions that it calls; `None` where
    /// no plugin has functions.
    pub(crate) fn read_services(&self) -> Option<Arc<dyn StatementServices>> {
        let registry = self.info.instance.plugins().registry();
        if registry.functions().is_empty() {
            return None;
        }
        Some(Arc::new(ReadServices {
            info: Arc::downgrade(&self.info),
            interrupt: self.interrupt.clone(),
            view: self.view.clone(),
            nesting: self.nesting,
            faults: self.faults.clone(),
        }))
    }
}

impl SessionServices {
    fn with<T>(&self, work: impl FnOnce(&mut Session) -> Result<T>) -> PluginResult<T> {
        // The session runs one thing at a time; a plugin has no threads to wait for.
        let mut guest = self.guest.try_lock().ok_or_else(|| {
            PluginError::contract("a service was called while another one was running")
        })?;
        let session = guest.as_mut().ok_or_else(|| {
            PluginError::contract("a service was called after the call it was lent to")
        })?;
        work(session).map_err(to_plugin)
    }

    fn take_in_hand(&self, oid: Oid) {
        self.in_hand.lock().insert(oid);
    }

    fn read<T>(&self, work: impl FnOnce(&CatalogSnapshot, &Session) -> T) -> PluginResult<T> {
        self.with(|session| {
            let (_, catalog) = session.write_view()?;
            Ok(work(&catalog, session))
        })
    }

    fn write(
        &self,
        plugin: &str,
        store: &str,
        key: &[u8],
        work: impl FnOnce(&mut Transaction, &StoreInfo) -> heliosdb_storage::Result<()>,
    ) -> PluginResult<()> {
        self.with(|session| {
            session.check_writable(&format!("a write of plugin \"{plugin}\""))?;
            let store = live(&session.transaction()?.latest_view(), plugin, store)?;
            // Here and not in storage, because here lock_timeout is known.
            hold(session, &store, key, RowLockMode::Update)?;
            Ok(work(session.transaction()?, &store)?)
        })
    }

    fn move_cursor(
        &self,
        plugin: &str,
        work: impl FnOnce(&mut Transaction) -> heliosdb_storage::Result<()>,
    ) -> PluginResult<()> {
        self.with(|session| {
            session.check_writable(&format!("a cursor of plugin \"{plugin}\""))?;
            Ok(work(session.transaction()?)?)
        })
    }
}

/// The live collection of a plugin's store.
fn live(view: &ReadView, plugin: &str, name: &str) -> Result<StoreInfo> {
    store::find(view, plugin, name)?.ok_or_else(|| {
        SqlError::new(
            state::OBJECT_NOT_IN_PREREQUISITE_STATE,
            format!("store \"{name}\" of plugin \"{plugin}\" does not exist"),
        )
    })
}

/// Locks an entry, or its absence, until the transaction ends.
fn hold(session: &mut Session, store: &StoreInfo, key: &[u8], mode: RowLockMode) -> Result<()> {
    let wait = session.lock_wait();
    let transaction = session.transaction()?;
    Ok(transaction.lock_key(store.collection, key, mode, wait)?)
}

fn get(view: &ReadView, plugin: &str, store: &str, key: &[u8]) -> Result<Option<Vec<u8>>> {
    let store = live(view, plugin, store)?;
    Ok(view.get(store.collection, key)?)
}

fn range(
    view: &ReadView,
    plugin: &str,
    store: &str,
    from: Bound<&[u8]>,
    to: Bound<&[u8]>,
    limit: usize,
) -> Result<Vec<Pair>> {
    let store = live(view, plugin, store)?;
    view.range(store.collection, from, to)?
        .take(limit)
        .map(|entry| entry.map_err(SqlError::from))
        .collect()
}

fn answer(result: NestedResult) -> Result<QueryResult> {
    let batches = result.rows.batches().iter();
    let batches = batches.map(|b| b.columns().iter().map(crossing::any).collect());
    Ok(QueryResult {
        columns: result
            .columns
            .iter()
            .map(|c| (c.name.clone(), format_type(&c.ty, c.typmod)))
            .collect(),
        batches: batches.collect::<Result<_>>()?,
        command_tag: result.tag,
    })
}

impl StatementServices for SessionServices {
    fn cancelled(&self) -> bool {
        self.interrupt.is_canceled()
    }

    fn store_get(&self, plugin: &str, store: &str, key: &[u8]) -> PluginResult<Option<Vec<u8>>> {
        self.with(|session| {
            if self.reads == Reads::Held {
                let info = live(&session.transaction()?.latest_view(), plugin, store)?;
                hold(session, &info, key, RowLockMode::Share)?;
            }
            get(&session.transaction()?.latest_view(), plugin, store, key)
        })
    }

    fn store_range(
        &self,
        plugin: &str,
        store: &str,
        from: Bound<&[u8]>,
        to: Bound<&[u8]>,
        limit: usize,
    ) -> PluginResult<Vec<Pair>> {
        self.with(|session| {
            let mut held = BTreeSet::new();
            loop {
                let view = session.transaction()?.latest_view();
                let entries = range(&view, plugin, store, from, to, limit)?;
                let free = entries.iter().map(|(key, _)| key);
                let free: Vec<_> = free.filter(|key| !held.contains(*key)).cloned().collect();
                if self.reads == Reads::Free || free.is_empty() {
                    return Ok(entries);
                }
                let info = live(&view, plugin, store)?;
                for key in free {
                    hold(session, &info, &key, RowLockMode::Share)?;
                    held.insert(key);
                }
            }
        })
    }

    fn store_put(&self, plugin: &str, store: &str, key: &[u8], value: &[u8]) -> PluginResult<()> {
        self.write(plugin, store, key, |transaction, store| {
            store::put(transaction, store, key, value)
        })
    }

    fn store_remove(&self, plugin: &str, store: &str, key: &[u8]) -> PluginResult<()> {
        self.write(plugin, store, key, |transaction, store| {
            store::remove(transaction, store, key)
        })
    }

    fn visible(&self, _: &str, table: u32, versions: &[(u64, u64)]) -> PluginResult<Vec<bool>> {
        self.with(|session| {
            let (view, catalog) = session.write_view()?;
            let table = rows::table(&catalog, &session.info, table)?;
            rows::visible(&view, &table, versions)
        })
    }

    fn changes_latest(&self) -> PluginResult<u64> {
        self.with(|session| Ok(session.instance.engine().durable().0))
    }

    fn cursor_create(&self, plugin: &str, name: &str) -> PluginResult<u64> {
        let at = self.changes_latest()?;
        self.move_cursor(plugin, |transaction| {
            cursors::create(transaction, plugin, name, Ts(at))
        })?;
        Ok(at)
    }

    fn cursor_find(&self, plugin: &str, name: &str) -> PluginResult<Option<u64>> {
        self.with(|session| {
            let view = session.transaction()?.latest_view();
            let found = cursors::find(session.instance.engine(), &view, plugin, name)?;
            Ok(found.map(|at| at.0))
        })
    }

    fn cursor_advance(&self, plugin: &str, name: &str, to: u64) -> PluginResult<()> {
        self.move_cursor(plugin, |transaction| {
            cursors::advance(transaction, plugin, name, Ts(to))
        })
    }

    fn cursor_remove(&self, plugin: &str, name: &str) -> PluginResult<()> {
        self.move_cursor(plugin, |transaction| {
            cursors::remove(transaction, plugin, name)
        })
    }

    fn changes(&self, _: &str, span: &ChangesSpan<'_>) -> PluginResult<ChangeStream> {
        self.with(|session| {
            let (_, catalog) = session.write_view()?;
            let table = rows::table(&catalog, &session.info, span.table)?;
            rows::changes(&session.info, &session.interrupt, table, span)
        })
    }

    fn branches(&self) -> PluginResult<Vec<Branch>> {
        self.with(Session::branches)
    }

    fn branch_create(
        &self,
        name: &str,
        from: u32,
        at: Option<u64>,
        note: &str,
        frozen: bool,
    ) -> PluginResult<u32> {
        self.with(|session| session.create_branch(name, from, at, note, frozen))
    }

    fn branch_drop(&self, id: u32, noted: &str) -> PluginResult<()> {
        self.with(|session| session.drop_branch(id, noted))
    }

    fn branch_rename(&self, id: u32, name: &str) -> PluginResult<()> {
        self.with(|session| session.rename_branch(id, name))
    }

    fn branch_note(&self, id: u32, noted: &str, note: &str) -> PluginResult<()> {
        self.with(|session| session.note_branch(id, noted, note))
    }

    fn branch_choose(&self, id: u32) -> PluginResult<()> {
        self.with(|session| session.ask_branch(id))
    }

    fn branch_merge(&self, request: &MergeRequest) -> PluginResult<MergeReport> {
        self.with(|session| {
            let report = session.merge_branches(request)?;
            session.info.note_merge(report.clone());
            Ok(report)
        })
    }

    fn restore(&self, at: u64) -> PluginResult<String> {
        self.with(|session| session.restore_database(at))
    }

    fn restore_branch(&self, id: u32) -> PluginResult<String> {
        self.with(|session| session.restore_branch(id))
    }

    fn flashback(&self, table: &str, at: u64) -> PluginResult<u64> {
        self.with(|session| session.flashback_table(table, at))
    }

    fn undrop_table(&self, table: &str, name: Option<&str>) -> PluginResult<()> {
        self.with(|session| session.undrop_table(table, name))
    }

    fn diff_rows(&self, table: &str, between: (Moment, Moment)) -> PluginResult<Vec<DiffRow>> {
        self.with(|session| session.diff_rows(table, between))
    }

    fn diff_cells(
        &self,
        table: &str,
        between: (Moment, Moment),
        rows: &[DiffRow],
    ) -> PluginResult<Vec<CellChange>> {
        self.with(|session| session.diff_cells(table, between, rows))
    }

    fn diff_stat(&self, a: Moment, b: Moment) -> PluginResult<Vec<TableDiff>> {
        self.with(|session| session.diff_stat(a, b))
    }

    fn commits(
        &self,
        since: Option<u64>,
        until: Option<u64>,
        most: u32,
    ) -> PluginResult<Vec<Commit>> {
        self.with(|session| session.commits(since, until, most as usize))
    }

    fn blame(
        &self,
        table: &str,
        after: Option<u64>,
        rows_max: u32,
    ) -> PluginResult<(Vec<CellOrigin>, Option<u64>)> {
        self.with(|session| session.blame(table, after, rows_max as usize))
    }

    fn last_merge(&self) -> PluginResult<MergeReport> {
        self.with(|session| Ok(session.info.last_merge()))
    }

    fn object_create(
        &self,
        plugin: &str,
        class: &str,
        schema: Option<&str>,
        name: &str,
    ) -> PluginResult<ObjectInfo> {
        let created =
            self.with(|session| session.create_plugin_object(plugin, class, schema, name))?;
        self.take_in_hand(created.oid);
        Ok(created)
    }

    fn object_find(
        &self,
        plugin: &str,
        class: &str,
        schema: Option<&str>,
        name: &str,
    ) -> PluginResult<Option<ObjectInfo>> {
        self.read(|catalog, session| {
            let path = session.info.search_path();
            objects::find(catalog, &path, plugin, class, schema, name)
        })
    }

    fn object_get(&self, plugin: &str, oid: u32) -> PluginResult<Option<ObjectInfo>> {
        self.read(|catalog, _| objects::get(catalog, plugin, oid))
    }

    fn objects(&self, plugin: &str, class: &str) -> PluginResult<Vec<ObjectInfo>> {
        self.read(|catalog, _| objects::list(catalog, plugin, class))
    }

    fn object_rename(&self, plugin: &str, oid: u32, name: &str) -> PluginResult<()> {
        self.take_in_hand(oid);
        self.with(|session| session.rename_plugin_object(plugin, oid, name))
    }

    fn object_check_owner(&self, plugin: &str, oid: u32) -> PluginResult<()> {
        self.take_in_hand(oid);
        self.with(|session| {
            // Whoever asks is about to change the object or what it keeps of it.
            session.begin_ddl()?;
            session.own_plugin_object(plugin, oid).map(drop)
        })
    }

    fn object_drop(&self, plugin: &str, oid: u32, cascade: bool) -> PluginResult<()> {
        self.with(|session| session.drop_plugin_object(plugin, oid, cascade))
    }

    fn object_depend(&self, plugin: &str, oid: u32, on: u32) -> PluginResult<()> {
        self.take_in_hand(oid);
        self.with(|session| session.add_plugin_dependency(plugin, oid, on))
    }

    fn object_independent(&self, plugin: &str, oid: u32) -> PluginResult<()> {
        self.take_in_hand(oid);
        self.with(|session| session.clear_plugin_dependencies(plugin, oid))
    }

    fn object_dependents(&self, plugin: &str, oid: u32) -> PluginResult<Vec<Dependent>> {
        self.read(|catalog, _| objects::dependents(catalog, plugin, oid))
    }

    fn query(&self, sql: &str, parameters: &[Option<&str>]) -> PluginResult<QueryResult> {
        self.with(|session| session.run_nested(sql, parameters).and_then(answer))
    }
}

/// The first fault of each plugin in a statement, planned and run.
pub(crate) type Faults = Arc<Mutex<BTreeMap<String, PluginError>>>;

/// Services over a view. What would write is 25006.
struct ReadServices {
    /// Weak, because plans and pooled states may outlive the session.
    info: Weak<SessionInfo>,
    interrupt: Arc<Interrupt>,
    view: ReadView,
    nesting: usize,
    faults: Faults,
}

impl ReadServices {
    /// Runs `work` with a session that reads what the query does.
    fn reading<T>(&self, work: impl FnOnce(&mut Session) -> Result<T>) -> PluginResult<T> {
        let read = || {
            let (info, interrupt) = (self.info()?, self.interrupt.clone());
            let mut session = Session::reader(info, interrupt, self.view.clone(), self.nesting)?;
            work(&mut session)
        };
        read().map_err(to_plugin)
    }

    fn info(&self) -> Result<Arc<SessionInfo>> {
        self.info.upgrade().ok_or_else(|| {
            SqlError::new(
                state::ADMIN_SHUTDOWN,
                "the session of this statement has ended",
            )
        })
    }

    fn read<T>(
        &self,
        work: impl FnOnce(&CatalogSnapshot, &SessionInfo) -> Result<T>,
    ) -> PluginResult<T> {
        let info = self.info().map_err(to_plugin)?;
        let catalog = info.instance.catalog(&self.view).map_err(to_plugin)?;
        work(&catalog, &info).map_err(to_plugin)
    }
}

fn refuse<T>(what: &str) -> PluginResult<T> {
    Err(to_plugin(SqlError::new(
        state::READ_ONLY_SQL_TRANSACTION,
        format!("a function in a query cannot {what}"),
    )))
}

impl StatementServices for ReadServices {
    fn cancelled(&self) -> bool {
        self.interrupt.is_canceled()
    }

    fn fault_of(&self, plugin: &str) -> Option<PluginError> {
        self.faults.lock().get(plugin).cloned()
    }

    fn note_fault(&self, plugin: &str, error: &PluginError) {
        let mut faults = self.faults.lock();
        faults
            .entry(plugin.to_owned())
            .or_insert_with(|| error.clone());
    }

    fn store_get(&self, plugin: &str, store: &str, key: &[u8]) -> PluginResult<Option<Vec<u8>>> {
        get(&self.view, plugin, store, key).map_err(to_plugin)
    }

    fn store_range(
        &self,
        plugin: &str,
        store: &str,
        from: Bound<&[u8]>,
        to: Bound<&[u8]>,
        limit: usize,
    ) -> PluginResult<Vec<Pair>> {
        range(&self.view, plugin, store, from, to, limit).map_err(to_plugin)
    }

    fn store_put(&self, _: &str, _: &str, _: &[u8], _: &[u8]) -> PluginResult<()> {
        refuse("write to a store")
    }

    fn branches(&self) -> PluginResult<Vec<Branch>> {
        self.reading(Session::branches)
    }

    fn diff_rows(&self, table: &str, between: (Moment, Moment)) -> PluginResult<Vec<DiffRow>> {
        self.reading(|session| session.diff_rows(table, between))
    }

    fn diff_cells(
        &self,
        table: &str,
        between: (Moment, Moment),
        rows: &[DiffRow],
    ) -> PluginResult<Vec<CellChange>> {
        self.reading(|session| session.diff_cells(table, between, rows))
    }

    fn diff_stat(&self, a: Moment, b: Moment) -> PluginResult<Vec<TableDiff>> {
        self.reading(|session| session.diff_stat(a, b))
    }

    fn commits(
        &self,
        since: Option<u64>,
        until: Option<u64>,
        most: u32,
    ) -> PluginResult<Vec<Commit>> {
        self.reading(|session| session.commits(since, until, most as usize))
    }

    fn blame(
        &self,
        table: &str,
        after: Option<u64>,
        rows_max: u32,
    ) -> PluginResult<(Vec<CellOrigin>, Option<u64>)> {
        self.reading(|session| session.blame(table, after, rows_max as usize))
    }

    fn last_merge(&self) -> PluginResult<MergeReport> {
        Ok(self.info().map_err(to_plugin)?.last_merge())
    }

    fn store_remove(&self, _: &str, _: &str, _: &[u8]) -> PluginResult<()> {
        refuse("write to a store")
    }

    fn visible(&self, _: &str, table: u32, versions: &[(u64, u64)]) -> PluginResult<Vec<bool>> {
        self.read(|catalog, info| {
            let table = rows::table(catalog, info, table)?;
            rows::visible(&self.view, &table, versions)
        })
    }

    fn changes_latest(&self) -> PluginResult<u64> {
        self.read(|_, info| Ok(info.instance.engine().durable().0))
    }

    fn cursor_create(&self, _: &str, _: &str) -> PluginResult<u64> {
        refuse("create a cursor")
    }

    fn cursor_find(&self, plugin: &str, name: &str) -> PluginResult<Option<u64>> {
        self.read(|_, info| {
            let found = cursors::find(info.instance.engine(), &self.view, plugin, name)?;
            Ok(found.map(|at| at.0))
        })
    }

    fn cursor_advance(&self, _: &str, _: &str, _: u64) -> PluginResult<()> {
        refuse("move a cursor")
    }

    fn cursor_remove(&self, _: &str, _: &str) -> PluginResult<()> {
        refuse("remove a cursor")
    }

    fn changes(&self, _: &str, span: &ChangesSpan<'_>) -> PluginResult<ChangeStream> {
        self.read(|catalog, info| {
            let table = rows::table(catalog, info, span.table)?;
            rows::changes(info, &self.interrupt, table, span)
        })
    }

    fn object_create(
        &self,
        _: &str,
        _: &str,
        _: Option<&str>,
        _: &str,
    ) -> PluginResult<ObjectInfo> {
        refuse("create an object")
    }

    fn object_find(
        &self,
        plugin: &str,
        class: &str,
        schema: Option<&str>,
        name: &str,
    ) -> PluginResult<Option<ObjectInfo>> {
        self.read(|catalog, info| {
            let path = info.search_path();
            Ok(objects::find(catalog, &path, plugin, class, schema, name))
        })
    }

    fn object_get(&self, plugin: &str, oid: u32) -> PluginResult<Option<ObjectInfo>> {
        self.read(|catalog, _| Ok(objects::get(catalog, plugin, oid)))
    }

    fn objects(&self, plugin: &str, class: &str) -> PluginResult<Vec<ObjectInfo>> {
        self.read(|catalog, _| Ok(objects::list(catalog, plugin, class)))
    }

    fn object_rename(&self, _: &str, _: u32, _: &str) -> PluginResult<()> {
        refuse("rename an object")
    }

    fn object_check_owner(&self, plugin: &str, oid: u32) -> PluginResult<()> {
        self.read(|catalog, info| {
            let object = objects::existing(catalog, plugin, oid)?;
            let role = info.role();
            role.check_owner(object.owner, &object.class, &object.name)
        })
    }

    fn object_drop(&self, _: &str, _: u32, _: bool) -> PluginResult<()> {
        refuse("drop an object")
    }

    fn object_depend(&self, _: &str, _: u32, _: u32) -> PluginResult<()> {
        refuse("record a dependency")
    }

    fn object_independent(&self, _: &str, _: u32) -> PluginResult<()> {
        refuse("forget dependencies")
    }

    fn object_dependents(&self, plugin: &str, oid: u32) -> PluginResult<Vec<Dependent>> {
        self.read(|catalog, _| Ok(objects::dependents(catalog, plugin, oid)))
    }

    fn query(&self, sql: &str, parameters: &[Option<&str>]) -> PluginResult<QueryResult> {
        let read = || -> Result<QueryResult> {
            let (info, interrupt) = (self.info()?, self.interrupt.clone());
            let mut reader = Session::reader(info, interrupt, self.view.clone(), self.nesting)?;
            reader.read_nested(sql, parameters).and_then(answer)
        };
        read().map_err(to_plugin)
    }
}
