//! What a session lets its functions and plans know of it.
//!
//! Functions such as `nextval`, `current_user` and `current_setting` run inside plans, on other
//! threads; they see the session only through this. The session replaces the catalog here at each
//! statement.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Weak};

use datafusion::scalar::ScalarValue;
use heliosdb_plugin_host::services::MergeReport;
use heliosdb_storage::ids::{CollectionId, TimelineId};
use heliosdb_storage::{AdvisoryLocks, Interrupt, SequenceSpec};
use parking_lot::{Mutex, MutexGuard, RwLock};

use super::named::ShownStatements;
use super::outcome::Value;
use super::pins::Asked;
use super::settings::{Saved, Settings};
use crate::activity::{Backend, ClientAddress};
use crate::branch::is_frozen;
use crate::catalog::access::Privileges;
use crate::catalog::model::Sequence;
use crate::catalog::{CatalogSnapshot, CatalogVersion, Oid, Relation};
use crate::ddl::temporary::OnCommit;
use crate::error::{Result, SqlError, state};
use crate::functions::Functions;
use crate::instance::Instance;
use crate::monitor::pages::PageCounter;
use crate::names::{TEMPORARY, is_temporary_schema};
use crate::notify::{Inbox, Mark, Pending};
use crate::pg_catalog::OpenCursor;
use crate::pg_catalog::names::SessionNames;
use crate::place::{Chosen, Place};
use crate::plugin::functions::PluginFunctions;
use crate::privilege::Authority;
use crate::privilege::acl::ObjectClass;
use crate::privilege::check::denied;
use crate::routine::lent::Lent;
use crate::types::{Format, PgType};

pub struct SessionInfo {
    pub instance: Arc<Instance>,
    /// The role that logged in.
    pub login: Oid,
    pub database: String,
    pub pid: u32,
    /// What is shown of the statements that have names.
    pub(super) prepared: Arc<ShownStatements>,
    /// What others see of it.
    pub(crate) backend: Backend,
    /// What its statements asked for.
    pub(crate) pages: Arc<PageCounter>,
    pub(crate) interrupt: Arc<Interrupt>,
    /// Held by what waits inside a statement.
    pub(super) turn_to_wait: Arc<Mutex<()>>,
    pub(super) advisory: Arc<Mutex<AdvisoryLocks>>,
    /// Of functions of the statement.
    pub(super) warnings: Arc<Mutex<Vec<SqlError>>>,
    /// What the transaction notifies of.
    pub(super) pending: Arc<Mutex<Pending>>,
    /// What the session was notified of.
    pub(crate) inbox: Arc<Inbox>,
    /// The branch it is on.
    branch: Arc<Chosen>,
    /// The one that a command asked for, which the session is put on when the statement has ended.
    branch_asked: Arc<Mutex<Option<TimelineId>>>,
    on_tag: Arc<AtomicBool>,
    /// What came of the last merge.
    merged: Arc<Mutex<MergeReport>>,
    /// Whether any of these was ever used: those that never do need not look.
    has_effects: Arc<AtomicBool>,
    settings: RwLock<Settings>,
    catalog: RwLock<Arc<CatalogSnapshot>>,
    /// The last value each sequence gave this session, and which gave last.
    sequences: Arc<Mutex<SequenceValues>>,
    used_sequence: Arc<AtomicBool>,
    made_temporary: AtomicBool,
    /// What temporary tables do when a transaction commits.
    on_commit: Arc<Mutex<BTreeMap<Oid, OnCommit>>>,
    /// Those that are open, and perhaps some that were.
    cursors: Mutex<Vec<Weak<OpenCursor>>>,
    /// What functions of the statement asked for.
    pins_asked: Arc<Mutex<Vec<Asked>>>,
    /// Whether the running statement is one of a transaction block.
    in_block: AtomicBool,
    /// Those of a version of the catalog. The plugins of a server never change.
    plugin_functions: Mutex<Option<KnownFunctions>>,
    /// Start of the transaction, microseconds since the Unix epoch: `now()`.
    transaction_start: AtomicI64,
    statement_start: AtomicI64,
    /// What [`SessionInfo::format`] gave for these settings.
    format: Mutex<Option<(Settings, Format)>>,
    /// What [`SessionInfo::role`] gave for a catalog.
    authority: Mutex<Option<(CatalogVersion, Arc<Authority>)>>,
    /// Parameters that functions of the statement set, as they were, and whether for the transaction only.
    settings_changed: Mutex<Vec<(String, Saved, bool)>>,
    /// For the routines that the running statement calls.
    lent: Lent,
    /// Values of the parameters, while a statement is planned that runs once with these.
    parameters: RwLock<Option<Arc<[Value]>>>,
}

/// Functions, with the catalog and the search path that they are of.
type KnownFunctions = (CatalogVersion, Vec<String>, Arc<PluginFunctions>);

/// See [`SessionInfo::effects`].
pub(super) type EffectsMark = (usize, Mark);

#[derive(Default)]
struct SequenceValues {
    current: HashMap<Oid, i64>,
    last: Option<Oid>,
}

impl std::fmt::Debug for SessionInfo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SessionInfo")
            .field("pid", &self.pid)
            .finish_non_exhaustive()
    }
}

impl SessionInfo {
    pub(crate) fn new(
        instance: Arc<Instance>,
        login: Oid,
        database: String,
        settings: Settings,
        catalog: Arc<CatalogSnapshot>,
    ) -> SessionInfo {
        let pid = instance.next_pid();
        let interrupt = Interrupt::of_session(pid);
        let now = i64::try_from(instance.engine().now_micros()).unwrap_or(i64::MAX);
        SessionInfo {
            pid,
            prepared: Arc::default(),
            backend: Backend::new(now),
            pages: Arc::default(),
            advisory: Arc::new(Mutex::new(instance.engine().advisory_locks(&interrupt))),
            interrupt,
            turn_to_wait: Arc::default(),
            warnings: Arc::default(),
            pending: Arc::default(),
            inbox: Arc::default(),
            branch: Arc::default(),
            branch_asked: Arc::default(),
            on_tag: Arc::default(),
            merged: Arc::default(),
            has_effects: Arc::default(),
            instance,
            login,
            database,
            settings: RwLock::new(settings),
            catalog: RwLock::new(catalog),
            sequences: Arc::default(),
            used_sequence: Arc::default(),
            made_temporary: AtomicBool::new(false),
            on_commit: Arc::default(),
            cursors: Mutex::default(),
            pins_asked: Arc::default(),
            in_block: AtomicBool::new(false),
            plugin_functions: Mutex::default(),
            transaction_start: AtomicI64::new(0),
            statement_start: AtomicI64::new(0),
            format: Mutex::default(),
            authority: Mutex::default(),
            settings_changed: Mutex::default(),
            lent: Lent::default(),
            parameters: RwLock::new(None),
        }
    }

    /// One like it for a routine that reads and has settings of its own. What the routine does besides giving a
    /// value, the session does: it locks, notifies, warns, draws from sequences.
    pub(crate) fn inner(&self) -> SessionInfo {
        let moment = |of: &AtomicI64| AtomicI64::new(of.load(Ordering::Acquire));
        SessionInfo {
            pid: self.pid,
            prepared: self.prepared.clone(),
            backend: Backend::new(self.statement_start()),
            pages: self.pages.clone(),
            advisory: self.advisory.clone(),
            interrupt: self.interrupt.clone(),
            turn_to_wait: self.turn_to_wait.clone(),
            warnings: self.warnings.clone(),
            pending: self.pending.clone(),
            inbox: self.inbox.clone(),
            branch: self.branch.clone(),
            branch_asked: self.branch_asked.clone(),
            on_tag: self.on_tag.clone(),
            merged: self.merged.clone(),
            has_effects: self.has_effects.clone(),
            instance: self.instance.clone(),
            login: self.login,
            database: self.database.clone(),
            settings: RwLock::new(self.settings()),
            catalog: RwLock::new(self.catalog()),
            sequences: self.sequences.clone(),
            used_sequence: self.used_sequence.clone(),
            made_temporary: AtomicBool::new(self.has_made_temporary()),
            on_commit: self.on_commit.clone(),
            cursors: Mutex::default(),
            pins_asked: self.pins_asked.clone(),
            in_block: AtomicBool::new(self.is_in_block()),
            plugin_functions: Mutex::default(),
            transaction_start: moment(&self.transaction_start),
            statement_start: moment(&self.statement_start),
            format: Mutex::default(),
            authority: Mutex::default(),
            settings_changed: Mutex::default(),
            lent: Lent::default(),
            parameters: RwLock::new(None),
        }
    }

    /// The transaction that the running statement lends.
    pub(crate) fn lent(&self) -> &Lent {
        &self.lent
    }

    /// The same, of a client that is there.
    pub(crate) fn of_client(mut self, client: Option<ClientAddress>) -> SessionInfo {
        self.backend.client = client;
        self
    }

    /// The statement locks, warns or notifies.
    pub(super) fn note_effect(&self) {
        self.has_effects.store(true, Ordering::Release);
    }

    /// Where the transaction is in what it has locked and notifies of.
    pub(super) fn effects(&self) -> EffectsMark {
        match self.has_effects.load(Ordering::Acquire) {
            true => (self.advisory.lock().mark(), self.pending.lock().mark()),
            false => EffectsMark::default(),
        }
    }

    /// Gives up what it has locked since, and forgets what it notifies of.
    pub(super) fn effects_back_to(&self, (advisory, pending): EffectsMark) {
        if self.has_effects.load(Ordering::Acquire) {
            self.advisory.lock().back_to(advisory);
            self.pending.lock().back_to(pending);
        }
    }

    pub(super) fn take_warnings(&self) -> Vec<SqlError> {
        match self.has_effects.load(Ordering::Acquire) {
            true => std::mem::take(&mut *self.warnings.lock()),
            false => Vec::new(),
        }
    }

    /// What the transaction notifies of and listens to; `None` if that is nothing.
    pub(super) fn take_pending(&self) -> Option<Pending> {
        if !self.has_effects.load(Ordering::Acquire) {
            return None;
        }
        let pending = std::mem::take(&mut *self.pending.lock());
        (!pending.is_empty()).then_some(pending)
    }

    /// The catalog the running statement sees.
    pub fn catalog(&self) -> Arc<CatalogSnapshot> {
        self.catalog.read().clone()
    }

    pub(crate) fn set_catalog(&self, catalog: Arc<CatalogSnapshot>) {
        *self.catalog.write() = catalog;
    }

    pub fn settings(&self) -> Settings {
        self.settings.read().clone()
    }

    pub(crate) fn with_settings<T>(&self, f: impl FnOnce(&Settings) -> T) -> T {
        f(&self.settings.read())
    }

    pub(crate) fn change_settings<T>(&self, f: impl FnOnce(&mut Settings) -> T) -> T {
        f(&mut self.settings.write())
    }

    pub(super) fn authority(&self) -> MutexGuard<'_, Option<(CatalogVersion, Arc<Authority>)>> {
        self.authority.lock()
    }

    /// Parameters that functions of the statement set, as they were, and whether for the transaction only.
    pub(crate) fn settings_changed(&self) -> MutexGuard<'_, Vec<(String, Saved, bool)>> {
        self.settings_changed.lock()
    }

    /// Shows a cursor as long as it is held somewhere else.
    pub(super) fn show_cursor(&self, cursor: &Arc<OpenCursor>) {
        let mut cursors = self.cursors.lock();
        cursors.retain(|cursor| cursor.strong_count() > 0);
        cursors.push(Arc::downgrade(cursor));
    }

    pub(super) fn open_cursors(&self) -> Vec<Arc<OpenCursor>> {
        let cursors = self.cursors.lock();
        cursors.iter().filter_map(Weak::upgrade).collect()
    }

    /// Pins that functions of the running statement asked for.
    pub(super) fn pins_asked(&self) -> MutexGuard<'_, Vec<Asked>> {
        self.pins_asked.lock()
    }

    /// Whether the running statement is one of a transaction block, which may roll back.
    pub(super) fn is_in_block(&self) -> bool {
        self.in_block.load(Ordering::SeqCst)
    }

    /// What it was before.
    pub(super) fn set_in_block(&self, is: bool) -> bool {
        self.in_block.swap(is, Ordering::SeqCst)
    }

    /// The functions that the running statement may name.
    pub(crate) fn functions(&self) -> Arc<Functions> {
        self.plugin_functions().functions.clone()
    }

    /// What plugins add to them, for the catalog that the running statement sees.
    pub(crate) fn plugin_functions(&self) -> Arc<PluginFunctions> {
        let catalog = self.catalog();
        // Only types and routines of users are found along the path.
        let path = match catalog.types().is_empty() && catalog.routines().is_empty() {
            true => Vec::new(),
            false => self.search_path(),
        };
        let mut known = self.plugin_functions.lock();
        if let Some((version, of, functions)) = known.as_ref()
            && *version == catalog.version
            && *of == path
        {
            return functions.clone();
        }
        let plugins = self.instance.plugins();
        let added = PluginFunctions::new(plugins, &catalog, path.clone());
        let functions = Arc::new(added);
        *known = Some((catalog.version, path, functions.clone()));
        functions
    }

    /// Schemas in the order they are searched.
    pub fn search_path(&self) -> Vec<String> {
        let role = self.role();
        let mut path = self.settings.read().search_path(&role.name);
        let own = self.temporary_schema();
        if !role.superuser {
            let catalog = self.catalog();
            let may = |schema: &String| {
                let found = catalog.schema_by_name(schema);
                found.is_none_or(|s| role.has_schema(&catalog, s, Privileges::USAGE))
            };
            path.retain(may);
        }
        match path.iter_mut().find(|schema| *schema == TEMPORARY) {
            Some(place) => *place = own,
            None if self.has_made_temporary() && self.has_schema(&own) => path.insert(0, own),
            None => {}
        }
        path
    }

    /// What the schema of this session's temporary objects is called.
    pub(crate) fn temporary_schema(&self) -> String {
        format!("{TEMPORARY}_{}", self.pid)
    }

    /// Whether a relation that is named without schema is created as a temporary one.
    pub(crate) fn creates_temporary(&self) -> bool {
        let role = self.role();
        let path = self.settings.read().search_path(&role.name);
        path.iter()
            .find(|schema| *schema != "pg_catalog")
            .is_some_and(|first| first == TEMPORARY)
    }

    /// The schema that is meant by a name in front of another.
    pub(crate) fn schema_named<'a>(&self, schema: &'a str) -> Cow<'a, str> {
        match schema == TEMPORARY {
            true => Cow::Owned(self.temporary_schema()),
            false => Cow::Borrowed(schema),
        }
    }

    pub(crate) fn has_schema(&self, name: &str) -> bool {
        self.catalog.read().schema_by_name(name).is_some()
    }

    /// 0A000 for a relation of another session's temporary ones.
    pub(crate) fn check_not_of_others(
        &self,
        catalog: &CatalogSnapshot,
        relation: &Relation,
    ) -> Result<()> {
        let schema = catalog.schema(relation.schema());
        match schema
            .is_some_and(|s| is_temporary_schema(&s.name) && s.name != self.temporary_schema())
        {
            false => Ok(()),
            true => Err(SqlError::new(
                state::FEATURE_NOT_SUPPORTED,
                "cannot access temporary tables of other sessions",
            )),
        }
    }

    /// Whether the schema of the session's number is its own, and not one that was left behind.
    pub(crate) fn has_made_temporary(&self) -> bool {
        self.made_temporary.load(Ordering::Acquire)
    }

    /// What temporary tables do when a transaction commits.
    pub(crate) fn on_commit(&self) -> MutexGuard<'_, BTreeMap<Oid, OnCommit>> {
        self.on_commit.lock()
    }

    pub(crate) fn note_made_temporary(&self) {
        self.made_temporary.store(true, Ordering::Release);
    }

    pub fn transaction_start(&self) -> i64 {
        self.transaction_start.load(Ordering::Acquire)
    }

    pub(crate) fn set_transaction_start(&self, micros: i64) {
        self.transaction_start.store(micros, Ordering::Release);
    }

    pub fn statement_start(&self) -> i64 {
        self.statement_start.load(Ordering::Acquire)
    }

    /// The starts of the transaction and of the statement.
    pub(crate) fn moments(&self) -> [i64; 2] {
        [self.transaction_start(), self.statement_start()]
    }

    pub(crate) fn set_statement_start(&self, micros: i64) {
        self.statement_start.store(micros, Ordering::Release);
    }

    /// Plans with these values of the parameters in view, as far as a plan depends on them.
    pub(crate) fn with_parameters<T>(&self, params: &[Value], plan: impl FnOnce() -> T) -> T {
        let before = self.parameters.write().replace(params.into());
        let planned = plan();
        *self.parameters.write() = before;
        planned
    }

    /// Whether values of the parameters are in view.
    pub(crate) fn has_given_parameters(&self) -> bool {
        self.parameters.read().is_some()
    }

    /// The values that are in view, as these types; NULL where the type is not known.
    pub(crate) fn given_parameters(
        self: &Arc<Self>,
        types: &[Option<PgType>],
    ) -> Result<Option<Vec<ScalarValue>>> {
        let Some(given) = self.parameters.read().clone() else {
            return Ok(None);
        };
        let format = self.format();
        let values = types.iter().zip(given.iter()).map(|(ty, value)| match ty {
            Some(ty) => value.bind(ty, &format),
            None => Ok(ScalarValue::Null),
        });
        values.collect::<Result<_>>().map(Some)
    }

    /// The settings that shape how values read and print.
    pub fn format(self: &Arc<Self>) -> Format {
        let now = self.transaction_start();
        let settings = self.settings();
        let mut known = self.format.lock();
        if let Some((of, format)) = known.as_ref()
            && of.is_same(&settings)
        {
            return Format {
                now,
                ..format.clone()
            };
        }
        let this: Weak<SessionInfo> = Arc::downgrade(self);
        let format = Format {
            objects: Some(Arc::new(SessionNames(this))),
            ..super::settings::format(&settings, now)
        };
        *known = Some((settings, format.clone()));
        format
    }

    /// The relation a `regclass` input names: a qualified or search-path name, or an oid.
    pub fn resolve_relation(&self, text: &str) -> Result<Relation> {
        let catalog = self.catalog();
        let relation = catalog.relation_named(text, &self.search_path())?;
        if text.parse::<Oid>().is_err()
            && let Some(schema) = catalog.schema(relation.schema())
        {
            // It was found along the path only if it may be used.
            let role = self.role();
            role.check_schema(&catalog, schema, Privileges::USAGE)?;
        }
        self.check_not_of_others(&catalog, &relation)?;
        Ok(relation)
    }

    pub(crate) fn resolve_sequence(&self, text: &str) -> Result<Arc<Sequence>> {
        match self.resolve_relation(text)? {
            Relation::Sequence(s) => Ok(s),
            other => Err(SqlError::new(
                state::WRONG_OBJECT_TYPE,
                format!("\"{}\" is not a sequence", other.name()),
            )),
        }
    }

    /// Where the session reads and writes.
    pub(crate) fn place(&self) -> Place<'_> {
        Place::new(self.instance.engine(), self.branch())
    }

    /// The branch that the session is on; `None` for the main timeline. Who was on the branch that became it follows
    /// the name from then on, like all others.
    pub(crate) fn branch(&self) -> Option<TimelineId> {
        let branch = self.branch.get()?;
        if branch == self.instance.engine().main_timeline() {
            self.branch.set(None);
            return None;
        }
        Some(branch)
    }

    /// Asks for a branch, for when the statement has ended.
    pub(crate) fn ask_branch(&self, branch: TimelineId) {
        *self.branch_asked.lock() = Some(branch);
    }

    pub(crate) fn take_asked_branch(&self) -> Option<TimelineId> {
        self.branch_asked.lock().take()
    }

    pub(crate) fn note_merge(&self, report: MergeReport) {
        *self.merged.lock() = report;
    }

    pub(crate) fn last_merge(&self) -> MergeReport {
        self.merged.lock().clone()
    }

    /// Puts the session on a branch, or on the main timeline.
    pub(super) fn set_branch(&self, branch: Option<TimelineId>) {
        let is_tag = branch.is_some_and(|branch| is_frozen(&self.instance, branch));
        self.on_tag.store(is_tag, Ordering::Relaxed);
        self.branch.set(branch);
    }

    /// Whether the session is where nobody writes.
    pub(super) fn is_on_tag(&self) -> bool {
        self.on_tag.load(Ordering::Relaxed)
    }

    /// Whether a sequence was advanced since the last call: the commit must then be durable past it.
    pub(crate) fn take_used_sequence(&self) -> bool {
        self.used_sequence.swap(false, Ordering::SeqCst)
    }

    /// `nextval`.
    pub fn sequence_next(&self, sequence: &Sequence) -> Result<i64> {
        self.check_sequence(sequence, Privileges::USAGE | Privileges::UPDATE)?;
        let spec = SequenceSpec {
            start: sequence.start,
            increment: sequence.increment,
            min: sequence.min,
            max: sequence.max,
            cycle: sequence.cycle,
        };
        let id = CollectionId(sequence.collection);
        let next = self.place().sequence_next(id, &spec)?;
        let value = next.ok_or_else(|| {
            let (end, limit) = if sequence.increment > 0 {
                ("maximum", sequence.max)
            } else {
                ("minimum", sequence.min)
            };
            SqlError::new(
                state::SEQUENCE_GENERATOR_LIMIT_EXCEEDED,
                format!(
                    "nextval: reached {end} value of sequence \"{}\" ({limit})",
                    sequence.name
                ),
            )
        })?;
        self.used_sequence.store(true, Ordering::SeqCst);
        let mut values = self.sequences.lock();
        values.current.insert(sequence.oid, value);
        values.last = Some(sequence.oid);
        Ok(value)
    }

    /// `currval`.
    pub fn sequence_current(&self, sequence: &Sequence) -> Result<i64> {
        self.check_sequence(sequence, Privileges::USAGE | Privileges::SELECT)?;
        self.sequences
            .lock()
            .current
            .get(&sequence.oid)
            .copied()
            .ok_or_else(|| {
                SqlError::new(
                    state::OBJECT_NOT_IN_PREREQUISITE_STATE,
                    format!(
                        "currval of sequence \"{}\" is not yet defined in this session",
                        sequence.name
                    ),
                )
            })
    }

    /// `lastval`.
    pub fn sequence_last(&self) -> Result<i64> {
        let values = self.sequences.lock();
        values
            .last
            .and_then(|oid| values.current.get(&oid).copied())
            .ok_or_else(|| {
                SqlError::new(
                    state::OBJECT_NOT_IN_PREREQUISITE_STATE,
                    "lastval is not yet defined in this session",
                )
            })
    }

    /// `setval`.
    pub fn sequence_set(&self, sequence: &Sequence, value: i64, is_called: bool) -> Result<()> {
        self.check_sequence(sequence, Privileges::UPDATE)?;
        if value < sequence.min || value > sequence.max {
            return Err(SqlError::new(
                state::NUMERIC_VALUE_OUT_OF_RANGE,
                format!(
                    "setval: value {value} is out of bounds for sequence \"{}\" ({}..{})",
                    sequence.name, sequence.min, sequence.max
                ),
            ));
        }
        let id = CollectionId(sequence.collection);
        self.place().sequence_set(id, value, is_called)?;
        self.used_sequence.store(true, Ordering::SeqCst);
        if is_called {
            self.sequences.lock().current.insert(sequence.oid, value);
        }
        Ok(())
    }

    pub(crate) fn discard_sequences(&self) {
        *self.sequences.lock() = SequenceValues::default();
    }

    /// 42501 without any of these.
    fn check_sequence(&self, sequence: &Sequence, any: Privileges) -> Result<()> {
        let class = ObjectClass::Sequence;
        let role = self.role();
        let on = role.on(&self.catalog(), class, sequence.oid, sequence.owner);
        match on.intersects(any) {
            true => Ok(()),
            false => Err(denied("sequence", &sequence.name)),
        }
    }
}
