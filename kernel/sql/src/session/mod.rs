//! A session: one client's statements, one after the other.
//!
//! A [`Session`] is used by one thread at a time and blocks. It owns the transaction, the settings,
//! prepared statements and a COPY in progress. [`statement`] parses, [`transaction`] holds the
//! states a transaction goes through, [`dispatch`] sends each statement to the module that runs it.
//!
//! Invariants:
//! 1. Outside a block, when a statement returns, its transaction has ended — unless it returned
//!    `CopyIn`, whose transaction ends with the data.
//! 2. Rows that are still to be read never belong to a transaction that writes: those were read
//!    before the statement returned.

pub(crate) mod alter_setting;
mod authorization;
mod branch;
pub(crate) mod cluster;
pub(crate) mod comment;
pub(crate) mod counted;
pub(crate) mod cursor;
mod deferred;
mod depth;
pub(crate) mod dispatch;
pub(crate) mod explain;
pub(crate) mod fetch;
pub(crate) mod functions;
mod grammar;
pub(crate) mod info;
pub(crate) mod kept;
mod known;
mod locate;
pub(crate) mod named;
pub(crate) mod nested;
pub(crate) mod normal;
mod notify;
pub(crate) mod outcome;
mod pins;
pub(crate) mod planning;
pub(crate) mod precedence;
pub(crate) mod prepared;
pub(crate) mod reindex;
pub(crate) mod server_settings;
pub(crate) mod settings;
pub(crate) mod shared_plans;
pub(crate) mod shown;
pub(crate) mod spelling;
pub(crate) mod spread;
pub(crate) mod statement;
mod synonym;
pub(crate) mod system_view;
mod taken_out;
pub(crate) mod timeout;
pub(crate) mod transaction;
pub(crate) mod upkeep;
pub(crate) mod user_type;
pub(crate) mod utility;
mod vacuum;
pub(crate) mod waiting;

pub use self::branch::split_database;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arrow::record_batch::RecordBatch;
use datafusion::execution::SessionState;
use datafusion::scalar::ScalarValue;
use heliosdb_storage::ids::{CollectionId, TimelineId};
use heliosdb_storage::{Interrupt, LockWait, ReadView, TableLockMode};

use crate::activity::ClientAddress;
use crate::authors::Author;
use crate::branch::check_may_be_on;
use crate::catalog::access::Privileges;
use crate::catalog::store::{self, Change};
use crate::catalog::watch::CatalogSince;
use crate::catalog::{CatalogSnapshot, CatalogVersion, Relation};
use crate::ddl::grant::default_access;
use crate::ddl::role_settings;
use crate::dml::insert::changed_meanwhile;
use crate::dml::target::{WriteTarget, WriteTargets};
use crate::error::{Result, SqlError, SqlState, state};
use crate::instance::Instance;
use crate::monitor::statements::{Planning, Tally};
use crate::names;
use crate::plan::state::StatementContext;
use crate::plugin::services::Faults;
use crate::privilege::Authority;
use crate::privilege::conceal::conceal;
use crate::transfer::CopyIn;

use counted::{Asked, Receiving};
use cursor::Cursor;
use info::SessionInfo;
use known::KnownTexts;
use named::NamedStatements;
use outcome::{CommandTag, Notice, Outcome, Rows, TransactionStatus, Value};
use settings::{Identity, Settings, Shown};
use statement::{Statement, StatementKind};
use timeout::{CancelHandle, StatementTimer};
use transaction::TransactionState;

/// Who connects, and how.
#[derive(Clone, Debug, Default)]
pub struct SessionOptions {
    pub user: String,
    pub database: String,
    pub application_name: String,
    /// Startup parameters: initial settings, to which RESET goes back.
    pub parameters: Vec<(String, String)>,
    /// Where the client is, if it is in another process.
    pub client: Option<ClientAddress>,
}

pub struct Session {
    pub(crate) instance: Arc<Instance>,
    pub(crate) info: Arc<SessionInfo>,
    pub(crate) interrupt: Arc<Interrupt>,
    pub(crate) txn: TransactionState,
    pub(crate) prepared: NamedStatements,
    /// Above the transaction that they read in.
    cursors: BTreeMap<String, Cursor>,
    known: KnownTexts,
    pub(crate) copy_in: Option<CopyIn>,
    /// Tables prepared for writing.
    targets: WriteTargets,
    /// Since when the catalog has been the one that `info` holds.
    catalog_since: Option<CatalogSince>,
    notices: Vec<Notice>,
    /// What the running statement reads outside a transaction.
    reader: Option<ReadView>,
    /// Rows that parts of the running statement gave to others, by slot.
    pub(crate) returned: Vec<Arc<[RecordBatch]>>,
    /// The branch that it began on.
    home_branch: Option<TimelineId>,
    /// Where queries leave their plans, for EXPLAIN ANALYZE.
    watch: Option<explain::Watch>,
    /// The settings whose reported parameters the client was last told.
    told: Option<Settings>,
    /// Set by rows that failed while they were read.
    pub(crate) rows_failed: Arc<AtomicBool>,
    timer: Option<StatementTimer>,
    /// Of the running statement.
    pub(crate) faults: Faults,
    /// What planning the running statement took so far.
    planning: Planning,
    /// What the running EXECUTE runs.
    executed: Option<(Arc<Tally>, Planning)>,
    /// The COPY whose data is awaited.
    receiving: Option<Receiving>,
    author: Author,
    /// How many statements this session's statements run inside of; 0 for a client's own.
    pub(crate) nesting: usize,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session")
            .field("info", &self.info)
            .finish_non_exhaustive()
    }
}

impl Session {
    pub(crate) fn new(instance: Arc<Instance>, options: SessionOptions) -> Result<Session> {
        let catalog = instance.catalog(&instance.engine().visible_view())?;
        let role = catalog
            .role_by_name(&options.user)
            .ok_or_else(|| {
                SqlError::new(
                    state::INVALID_AUTHORIZATION_SPECIFICATION,
                    format!("role \"{}\" does not exist", options.user),
                )
            })?
            .clone();
        if !role.login {
            return Err(SqlError::new(
                state::INVALID_AUTHORIZATION_SPECIFICATION,
                format!("role \"{}\" is not permitted to log in", role.name),
            ));
        }
        let authority = Authority::of(&catalog, role.oid);
        authority
            .check_database(&catalog, instance.database(), Privileges::CONNECT)
            .map_err(|e| e.with_detail("User does not have CONNECT privilege."))?;
        let (database, branch) = split_database(&options.database);
        if database != instance.database() {
            return Err(SqlError::new(
                state::INVALID_CATALOG_NAME,
                format!("database \"{database}\" does not exist"),
            ));
        }
        let home_branch = match branch {
            Some(branch) => branch::find(&instance, branch)?,
            None => None,
        };
        check_may_be_on(&instance, home_branch, &authority)?;
        let mut settings = Settings::default();
        let identity = Identity {
            session: role.oid,
            role: None,
            definer: false,
        };
        let shown = Shown {
            session: &role.name,
            role: "none",
            superuser: role.superuser,
        };
        settings.set_identity(identity, shown);
        settings.set_internal("helios.edition", instance.edition());
        let most = instance.monitor().statements.most();
        settings.set_internal("pg_stat_statements.max", &most.to_string());
        for (name, value) in instance.log_defaults() {
            settings.set_default(name, value)?;
        }
        let mut refused = Vec::new();
        for (name, value) in role_settings::of_session(&catalog, &role) {
            // A value that no longer is one keeps nobody out.
            refused.extend(settings.set_default(&name, &value).err());
        }
        if !options.application_name.is_empty() {
            settings.set_default("application_name", &options.application_name)?;
        }
        for (name, value) in &options.parameters {
            if Settings::is_superusers(name) && !role.superuser {
                return Err(server_settings::not_allowed(name));
            }
            settings.set_default(name, value)?;
        }
        let info = SessionInfo::new(
            instance.clone(),
            role.oid,
            database.to_owned(),
            settings,
            catalog,
        );
        info.set_branch(home_branch);
        let info = Arc::new(info.of_client(options.client));
        info.instance
            .activity()
            .begin(&info, role.connection_limit)?;
        let mut session = Session {
            instance,
            interrupt: info.interrupt.clone(),
            prepared: NamedStatements::new(info.prepared.clone()),
            info,
            home_branch,
            txn: TransactionState::default(),
            cursors: BTreeMap::new(),
            known: KnownTexts::default(),
            copy_in: None,
            targets: WriteTargets::default(),
            catalog_since: None,
            notices: Vec::new(),
            reader: None,
            returned: Vec::new(),
            watch: None,
            told: None,
            rows_failed: Arc::new(AtomicBool::new(false)),
            timer: None,
            faults: Faults::default(),
            planning: Planning::default(),
            executed: None,
            receiving: None,
            author: Author::default(),
            nesting: 0,
        };
        session.take_changed_parameters();
        for error in refused {
            session.warn(error.code, error.message);
        }
        Ok(session)
    }

    /// Splits and parses. Each statement keeps its own text and where it began.
    pub fn parse(&self, sql: &str) -> Result<Vec<Statement>> {
        if self.knows_texts()
            && let Some(known) = self.known.find(sql)
        {
            return Ok(vec![known]);
        }
        let parsed = statement::parse(sql, self.instance.syntax());
        parsed.inspect_err(|error| self.note_refused(sql, error))
    }

    /// Runs a statement, as the simple protocol and embedding programs do.
    pub fn execute(&mut self, statement: &Statement, params: &[Value]) -> Result<Outcome> {
        if params.is_empty() {
            if let StatementKind::Known(known) = &statement.kind {
                return self.execute_known(statement, known);
            }
            self.learn_text(statement);
            return depth::with_stack(statement.depth, || {
                self.run(Asked::once(statement), |s| s.dispatch(statement, &[]))
            });
        }
        let info = self.info.clone();
        let prepared =
            info.with_parameters(params, || self.prepare_statement(statement.clone(), &[]))?;
        self.execute_prepared(&prepared, params)
    }

    /// Convenience: parses and runs every statement of a text; the outcome of the last.
    pub fn execute_text(&mut self, sql: &str) -> Result<Outcome> {
        self.check_no_copy()?;
        let statements = self.parse(sql)?;
        let many = statements.len() > 1;
        if many {
            self.begin_implicit();
        }
        let mut last = Outcome::Empty;
        for statement in &statements {
            match self.execute(statement, &[]) {
                Ok(Outcome::Rows(rows)) if many => {
                    let columns: Arc<[_]> = rows.columns().into();
                    match rows.collect() {
                        Ok(batches) => last = Outcome::Rows(Rows::batches(columns, batches)),
                        Err(e) => {
                            self.end_implicit(false)?;
                            return Err(e);
                        }
                    }
                }
                // Their transaction would end before the data comes.
                Ok(Outcome::CopyIn { .. }) if many => {
                    self.copy_in_fail("it is not the only statement");
                    self.end_implicit(false)?;
                    return Err(SqlError::unsupported(
                        "COPY FROM STDIN among other statements",
                    ));
                }
                Ok(outcome) => last = outcome,
                Err(e) => {
                    if many {
                        self.end_implicit(false)?;
                    }
                    return Err(e);
                }
            }
        }
        if many {
            self.end_implicit(true)?;
        }
        Ok(last)
    }

    /// 08P01 while the data of a COPY is awaited: its transaction is no other statement's.
    pub(super) fn check_no_copy(&self) -> Result<()> {
        if self.copy_in.is_none() {
            return Ok(());
        }
        Err(SqlError::new(
            state::PROTOCOL_VIOLATION,
            "COPY FROM STDIN is in progress",
        ))
    }

    /// Says to others that nothing runs here, if something did.
    pub fn come_to_rest(&self) {
        self.info.rest(self.txn.status());
    }

    /// State checks before, commit or failure after.
    fn run_statement(
        &mut self,
        kind: &StatementKind,
        text: &str,
        timeout_ms: Option<u64>,
        body: impl FnOnce(&mut Session) -> Result<Outcome>,
    ) -> Result<Outcome> {
        self.note_failed_rows();
        self.note_changed_settings();
        self.check_no_copy()?;
        if self.txn.is_failed() && !dispatch::is_allowed_in_failed_block(kind) {
            return Err(failed_block());
        }
        self.interrupt.reset();
        // After that, or the cancel that comes with it would be forgotten.
        self.info.check_not_terminated()?;
        self.faults = Faults::default();
        let timer = timeout_ms.map(|ms| {
            let handle = self.instance.timers();
            StatementTimer::start(handle, self.interrupt.clone(), Duration::from_millis(ms))
        });
        self.reader = None;
        self.info.pins_asked().clear();
        self.info.settings_changed().clear();
        let was_in_block = self.txn.in_block();
        self.info.set_in_block(was_in_block);
        let result = body(self).and_then(|outcome| {
            self.note_changed_settings();
            self.apply_pins()?;
            self.finish_statement(outcome, was_in_block)
        });
        self.reader = None;
        self.take_warnings();
        match result {
            Ok(mut outcome) => {
                match &mut outcome {
                    Outcome::Rows(rows) => rows.guard = timer,
                    Outcome::CopyOut(out) => out.set_guard(timer),
                    Outcome::CopyIn { .. } => self.timer = timer,
                    _ => {}
                }
                Ok(outcome)
            }
            Err(e) => {
                let e = conceal(e, &self.info.catalog(), &self.info.role());
                if !dispatch::is_transaction_control(kind) || self.txn.in_block() {
                    self.fail_statement();
                }
                let e = match timer {
                    Some(timer) => timer.explain(e),
                    None => e,
                };
                Err(locate::locate(e, kind, text, &self.info.functions()))
            }
        }
    }

    /// Outside a block the statement's transaction ends here (invariant 1).
    fn finish_statement(&mut self, outcome: Outcome, was_in_block: bool) -> Result<Outcome> {
        if self.txn.in_block() {
            return Ok(outcome);
        }
        // COMMIT and ROLLBACK have counted what they ended.
        if was_in_block {
            self.commit_uncounted()?;
            return Ok(outcome);
        }
        match outcome {
            Outcome::Rows(rows) if self.txn.has_storage() => {
                let rows = rows.materialise()?;
                self.commit()?;
                Ok(Outcome::Rows(rows))
            }
            Outcome::CopyIn { .. } => Ok(outcome),
            Outcome::CopyOut(out) if self.txn.has_storage() => {
                let out = out.materialise()?;
                self.commit()?;
                Ok(Outcome::CopyOut(out))
            }
            Outcome::Rows(rows) if rows.is_stream() => {
                self.commit_uncounted()?;
                Ok(Outcome::Rows(rows))
            }
            Outcome::CopyOut(out) if out.is_stream() => {
                self.commit_uncounted()?;
                Ok(Outcome::CopyOut(out))
            }
            outcome => {
                self.commit()?;
                Ok(outcome)
            }
        }
    }

    /// A block whose rows failed while they were read has failed.
    pub(crate) fn note_failed_rows(&mut self) {
        if self.rows_failed.swap(false, Ordering::SeqCst) && self.txn.in_block() {
            self.fail_statement();
        }
    }

    pub fn transaction_status(&self) -> TransactionStatus {
        match self.txn.status() {
            TransactionStatus::InTransaction if self.rows_failed.load(Ordering::SeqCst) => {
                TransactionStatus::Failed
            }
            status => status,
        }
    }

    pub fn cancel_handle(&self) -> CancelHandle {
        CancelHandle(self.interrupt.clone())
    }

    /// The backend's number, as `pg_backend_pid()` says.
    pub fn pid(&self) -> u32 {
        self.info.pid
    }

    pub fn info(&self) -> &Arc<SessionInfo> {
        &self.info
    }

    /// True if nothing tells this session from a new one: no open transaction, no setting changed, no
    /// statement prepared.
    pub fn is_like_new(&self) -> bool {
        !self.txn.in_block()
            && self.copy_in.is_none()
            && self.prepared.is_empty()
            && self.cursors.is_empty()
            && !self.info.has_made_temporary()
            && self.info.advisory.lock().is_empty()
            && !self.info.inbox.is_listening()
            && self.info.with_settings(Settings::is_as_reset)
            && self.info.with_settings(Settings::identity).session == self.info.login
    }

    pub fn take_notices(&mut self) -> Vec<Notice> {
        std::mem::take(&mut self.notices)
    }

    /// A parameter's value, as SHOW prints it.
    pub fn parameter(&self, name: &str) -> Option<String> {
        self.info
            .with_settings(|s| s.get(name).map(str::to_owned))
            .ok()
    }

    /// Parameters to report that changed since the last call.
    pub fn take_changed_parameters(&mut self) -> Vec<(String, String)> {
        let told = &mut self.told;
        self.info.with_settings(|settings| {
            if told.as_ref().is_some_and(|told| told.is_same(settings)) {
                return Vec::new();
            }
            let before = told.replace(settings.clone());
            let known: Vec<_> = before.iter().flat_map(Settings::reported).collect();
            settings
                .reported()
                .filter(|parameter| !known.contains(parameter))
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect()
        })
    }

    /// Every parameter a client is told of when it connects.
    pub fn reported_parameters(&self) -> Vec<(String, String)> {
        self.info.with_settings(|s| {
            s.reported()
                .map(|(n, v)| (n.to_owned(), v.to_owned()))
                .collect()
        })
    }

    pub(crate) fn notice(&mut self, severity: &'static str, code: SqlState, message: String) {
        self.tell(Notice {
            severity,
            code,
            message,
            detail: None,
            hint: None,
        });
    }

    /// Tells the client, if it wants to know as much.
    fn tell(&mut self, notice: Notice) {
        let rank = |level: &str| match level {
            "error" => 4,
            "warning" => 3,
            "notice" => 2,
            _ => 1,
        };
        let least = self
            .info
            .with_settings(|s| rank(s.value("client_min_messages")));
        // What somebody asked for by VERBOSE comes in any case.
        if notice.severity == "INFO" || rank(&notice.severity.to_ascii_lowercase()) >= least {
            self.notices.push(notice);
        }
    }

    /// Tells what functions of the statement warned of.
    fn take_warnings(&mut self) {
        for warning in self.info.take_warnings() {
            self.warn(warning.code, warning.message);
        }
    }

    pub(crate) fn warn(&mut self, code: SqlState, message: impl Into<String>) {
        self.notice("WARNING", code, message.into());
    }

    pub(crate) fn notify_skipped(&mut self, message: impl Into<String>) {
        self.notice("NOTICE", state::SUCCESSFUL_COMPLETION, message.into());
    }

    pub(crate) fn notify_with_detail(&mut self, message: String, detail: String) {
        self.tell(Notice {
            severity: "NOTICE",
            code: state::SUCCESSFUL_COMPLETION,
            message,
            detail: Some(detail),
            hint: None,
        });
    }

    /// Runs what tells the client nothing.
    pub(crate) fn without_notices(
        &mut self,
        run: impl FnOnce(&mut Session) -> Result<()>,
    ) -> Result<()> {
        let told = self.notices.len();
        let result = run(self);
        self.notices.truncate(told);
        result
    }

    /// A view and the catalog in it. In a transaction, its statement snapshot; outside, what is
    /// visible to readers.
    pub(crate) fn read_view(&mut self) -> Result<(ReadView, Arc<CatalogSnapshot>)> {
        let view = match &self.reader {
            _ if self.reads_in_transaction() => self.transaction()?.read_view(),
            // One view for the whole statement: what planning saw is what runs.
            Some(reader) => reader.clone(),
            None => {
                let view = self.info.place().visible_view()?;
                self.reader.insert(view).clone()
            }
        };
        let catalog = self.catalog_at(&view)?;
        Ok((view, catalog))
    }

    /// The same for a statement that writes.
    pub(crate) fn write_view(&mut self) -> Result<(ReadView, Arc<CatalogSnapshot>)> {
        let view = self.transaction()?.read_view();
        let catalog = self.catalog_at(&view)?;
        Ok((view, catalog))
    }

    /// What the running statement sees, own writes so far included, without beginning anything.
    pub(crate) fn statement_view(&self) -> ReadView {
        match (self.txn.statement_view(), &self.reader) {
            (Some(view), _) => view,
            (None, Some(view)) => view.clone(),
            // Who is on a branch that was dropped is told so by what it reads.
            (None, None) => match self.info.place().visible_view() {
                Ok(view) => view,
                Err(_) => self.instance.engine().visible_view(),
            },
        }
    }

    pub(crate) fn forget_reader(&mut self) {
        self.reader = None;
    }

    fn catalog_at(&mut self, view: &ReadView) -> Result<Arc<CatalogSnapshot>> {
        let known = self.info.catalog();
        let version = match self.catalog_since {
            Some(since) if self.instance.catalog_stands(since, view) => since.version,
            _ => {
                let version = self.instance.catalog_version(view)?;
                self.catalog_since = self.instance.catalog_since(view, version)?;
                version
            }
        };
        if version == known.version {
            return Ok(known);
        }
        let catalog = self.instance.catalog(view)?;
        self.info.set_catalog(catalog.clone());
        Ok(catalog)
    }

    /// The version of the catalog in a view that is not older than any before.
    fn catalog_version_at(&self, view: &ReadView) -> Result<CatalogVersion> {
        match self.catalog_since {
            Some(since) if self.instance.catalog_stands(since, view) => Ok(since.version),
            _ => self.instance.catalog_version(view),
        }
    }

    /// Writes catalog changes in the transaction; what follows sees them.
    pub(crate) fn change_catalog(
        &mut self,
        mut changes: Vec<Change>,
    ) -> Result<Arc<CatalogSnapshot>> {
        let (_, catalog) = self.write_view()?;
        branch::check_changes(&self.info, &catalog, &changes)?;
        let made = changes.iter().filter_map(|change| match change {
            Change::Put(object) if !catalog.has(object.oid()) => default_access(&catalog, object),
            _ => None,
        });
        let access: Vec<Change> = made.map(Change::PutAccess).collect();
        changes.extend(access);
        self.put_catalog(&catalog, changes)
    }

    /// Writes changes as they are, privileges of new objects among them.
    pub(crate) fn put_catalog(
        &mut self,
        catalog: &CatalogSnapshot,
        changes: Vec<Change>,
    ) -> Result<Arc<CatalogSnapshot>> {
        self.txn.will_change_catalog(&self.instance);
        self.catalog_since = None;
        let transaction = self.transaction()?;
        let changed = Arc::new(store::apply(transaction, catalog, changes)?);
        self.info.set_catalog(changed.clone());
        Ok(changed)
    }

    pub(crate) fn statement_context(&self, view: ReadView) -> StatementContext {
        StatementContext {
            view,
            times: Vec::new(),
            interrupt: self.interrupt.clone(),
            pages: self.info.pages.clone(),
            recheck: None,
            fast: self.info.with_settings(Settings::fast_path),
            returned: self.returned.clone(),
            watch: self.watch.clone(),
            moments: self.info.moments(),
        }
    }

    /// The timeout of a COPY that ends with its data.
    pub(crate) fn end_timer(&mut self) {
        self.timer = None;
    }

    pub(crate) fn explain_timeout(&self, error: SqlError) -> SqlError {
        match &self.timer {
            Some(timer) => timer.explain(error),
            None => error,
        }
    }

    pub(crate) fn lock_wait(&self) -> LockWait {
        match self.info.with_settings(Settings::lock_timeout_ms) {
            Some(ms) => LockWait::Timeout(ms.saturating_mul(1000)),
            None => LockWait::Block,
        }
    }

    /// Locks a table in this transaction. True when the catalog changed meanwhile, so that what was
    /// resolved has to be resolved again.
    pub(crate) fn lock_table(
        &mut self,
        collection: CollectionId,
        mode: TableLockMode,
    ) -> Result<bool> {
        let wait = self.lock_wait();
        let version = self.info.catalog().version;
        let transaction = self.transaction()?;
        transaction.lock_table(collection, mode, wait)?;
        let latest = transaction.latest_view();
        if self.catalog_version_at(&latest)? == version {
            return Ok(false);
        }
        if self.keeps_snapshot() {
            match mode {
                TableLockMode::RowExclusive => self.check_unaltered(collection, &latest)?,
                TableLockMode::RowShare => self.check_not_rewritten(collection, &latest)?,
                _ => {}
            }
            return Ok(false);
        }
        let transaction = self.transaction()?;
        transaction.begin_statement();
        self.write_view()?;
        Ok(true)
    }

    /// A snapshot that is kept shows the catalog of its time. A table that was altered since is not
    /// written: the constraints that it has now would not be looked at. `latest` is a view since the lock.
    fn check_unaltered(&self, collection: CollectionId, latest: &ReadView) -> Result<()> {
        let (known, newest) = (self.info.catalog(), self.instance.catalog(latest)?);
        let mut tables = known.tables();
        let Some(table) = tables.find(|table| table.collection_id() == collection) else {
            return Ok(());
        };
        let oid = table.oid;
        let is_as_it_was = newest.table(oid) == Some(table)
            && known.constraints_of(oid).eq(newest.constraints_of(oid))
            && known.foreign_keys_to(oid).eq(newest.foreign_keys_to(oid))
            && known.indexes_of(oid).eq(newest.indexes_of(oid));
        // Parents and children are looked up where they were.
        let is_related_there = known.related_tables(oid).all(|related| {
            let place = |catalog: &CatalogSnapshot| catalog.table(related).map(|t| t.collection);
            place(&known) == place(&newest)
        });
        match is_as_it_was && is_related_there {
            true => Ok(()),
            false => Err(changed_meanwhile(&table.name)),
        }
    }

    /// Rows of a table that was written anew since the snapshot are nobody's to lock.
    fn check_not_rewritten(&self, collection: CollectionId, latest: &ReadView) -> Result<()> {
        let (known, newest) = (self.info.catalog(), self.instance.catalog(latest)?);
        let mut tables = known.tables();
        let table = tables.find(|table| table.collection_id() == collection);
        match table {
            Some(table)
                if newest
                    .table(table.oid)
                    .is_some_and(|newest| newest.collection != table.collection) =>
            {
                Err(changed_meanwhile(&table.name))
            }
            _ => Ok(()),
        }
    }

    /// Locks the target of a statement that writes rows. True when its plan has to be made again.
    pub(crate) fn lock_target(&mut self, collection: CollectionId) -> Result<bool> {
        self.lock_table(collection, TableLockMode::RowExclusive)
    }

    /// The relation a name stands for, along the search path.
    pub(crate) fn find_relation(
        &self,
        catalog: &CatalogSnapshot,
        name: &sqlparser::ast::ObjectName,
    ) -> Result<Option<Relation>> {
        let (schema, name) = names::qualified(name, &self.info.database)?;
        let found = match schema {
            Some(schema) => {
                let schema = catalog.schema_by_name(&self.info.schema_named(&schema));
                if let Some(schema) = schema {
                    let role = self.info.role();
                    role.check_schema(catalog, schema, Privileges::USAGE)?;
                }
                schema.and_then(|s| catalog.relation_in(s.oid, &name))
            }
            None => {
                let path = self.info.search_path();
                catalog.resolve(path.iter().map(String::as_str), &name)
            }
        };
        if let Some(relation) = &found {
            self.info.check_not_of_others(catalog, relation)?;
        }
        Ok(found)
    }

    /// The same, 42P01 when there is none.
    pub(crate) fn relation(
        &self,
        catalog: &CatalogSnapshot,
        name: &sqlparser::ast::ObjectName,
    ) -> Result<Relation> {
        self.find_relation(catalog, name)?.ok_or_else(|| {
            let shown = names::parts(name).map(|p| p.join(".")).unwrap_or_default();
            SqlError::new(
                state::UNDEFINED_TABLE,
                format!("relation \"{shown}\" does not exist"),
            )
        })
    }

    /// 42501 unless this role owns the object.
    pub(crate) fn check_owner(&self, owner: u32, kind: &str, name: &str) -> Result<()> {
        self.info.role().check_owner(owner, kind, name)
    }

    /// The prepared form of a table for writing.
    pub(crate) fn write_target(
        &mut self,
        state: &SessionState,
        catalog: &CatalogSnapshot,
        table: u32,
    ) -> Result<Arc<WriteTarget>> {
        let targets = &mut self.targets;
        let known = self
            .info
            .with_settings(|settings| targets.find(catalog.version, settings, table));
        if let Some(target) = known {
            return Ok(target);
        }
        let target = Arc::new(WriteTarget::new(state, catalog, &self.info, table)?);
        self.targets.keep(table, target.clone());
        Ok(target)
    }

    /// Parameters as values of their types.
    pub(crate) fn bind(
        &self,
        types: &[crate::types::PgType],
        params: &[Value],
    ) -> Result<Vec<ScalarValue>> {
        if types.len() != params.len() {
            return Err(SqlError::new(
                state::PROTOCOL_VIOLATION,
                format!(
                    "bind message supplies {} parameters, but the statement requires {}",
                    params.len(),
                    types.len()
                ),
            ));
        }
        let format = std::cell::OnceCell::new();
        types
            .iter()
            .zip(params)
            .map(|(ty, value)| {
                let plain = match value {
                    Value::Typed(value) if value.data_type() == ty.arrow() => {
                        Some(Ok(value.clone()))
                    }
                    Value::Text(text) => crate::types::decode_plain(ty, text),
                    _ => None,
                };
                plain.unwrap_or_else(|| value.bind(ty, format.get_or_init(|| self.info.format())))
            })
            .collect()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // What a nested one leaves behind is its lender's: the settings are shared, and a transaction
        // that was never given back rolls back by itself.
        if self.nesting == 0 {
            self.rollback();
            self.end_temporary();
            // Rows that are still read may outlive the session.
            self.info.advisory.lock().end();
            self.info.inbox.set_waker(None);
            self.instance.notifications().forget(self.info.pid);
            self.instance.activity().end(&self.info);
        }
    }
}

fn failed_block() -> SqlError {
    SqlError::new(
        state::IN_FAILED_SQL_TRANSACTION,
        "current transaction is aborted, commands ignored until end of transaction block",
    )
}

/// The tag of a command that returns nothing.
pub(crate) fn done(tag: &str) -> Result<Outcome> {
    Ok(Outcome::Command(CommandTag::new(tag)))
}

#[cfg(test)]
mod tests {
    use super::prepared::Prepared;
    use super::*;

    /// A server moves sessions and results between threads.
    #[test]
    fn sessions_and_results_may_move_between_threads() {
        fn is_send<T: Send + 'static>() {}
        is_send::<Session>();
        is_send::<Rows>();
        is_send::<Outcome>();
        is_send::<Prepared>();
        is_send::<CancelHandle>();
    }
}
