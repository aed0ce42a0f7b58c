//! The transaction a session is in.
//!
//! States, and what may be trusted in each:
//!
//! 1. *Idle*: no block. Every statement is its own transaction; a query that writes nothing needs
//!    none and reads the `visible` view.
//! 2. *Implicit block*: the statements of one simple-query message, or of a pipeline up to Sync. A
//!    storage transaction begins with the first statement that needs one.
//! 3. *Block*: between BEGIN and COMMIT. All statements run in one storage transaction.
//! 4. *Failed block*: a statement failed. Only ROLLBACK, ROLLBACK TO and COMMIT (which rolls back)
//!    are accepted; everything else is 25P02. Without savepoints the storage transaction is already
//!    gone, and its locks and cursors with it; otherwise the cursors since the last savepoint are.

use std::collections::BTreeMap;

use heliosdb_storage::ids::Ts;
use heliosdb_storage::{Durability, Isolation, ReadView, Savepoint, Transaction};
use sqlparser::ast::{TransactionAccessMode, TransactionIsolationLevel, TransactionMode};

use super::Session;
use super::deferred::{self, Deferred};
use super::info::EffectsMark;
use super::outcome::{CommandTag, TransactionStatus};
use super::settings::{Saved, Settings};
use crate::catalog::CatalogVersion;
use crate::catalog::watch::CatalogWriter;
use crate::error::{Result, SqlError, state};
use crate::instance::Instance;
use crate::privilege::conceal::conceal;

#[derive(Default)]
pub(crate) struct TransactionState {
    /// Between BEGIN and COMMIT.
    explicit: bool,
    /// Between `begin_implicit` and `end_implicit`.
    implicit: bool,
    failed: bool,
    storage: Option<Transaction>,
    modes: Modes,
    /// Settings as the transaction found them, to go back to.
    settings_before: Option<Settings>,
    /// Values that SET LOCAL replaced, to go back to at the end.
    local: BTreeMap<String, Saved>,
    savepoints: Vec<Frame>,
    pub(super) deferred: Deferred,
    /// When it began is known.
    started: bool,
    /// Held when the transaction changes the catalog.
    catalog_writer: Option<CatalogWriter>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Modes {
    pub isolation: Isolation,
    /// READ COMMITTED was asked for by the name of the lower level, which is told when asked.
    pub uncommitted: bool,
    pub read_only: bool,
    pub deferrable: bool,
}

impl Default for Modes {
    fn default() -> Modes {
        Modes {
            isolation: Isolation::ReadCommitted,
            uncommitted: false,
            read_only: false,
            deferrable: false,
        }
    }
}

/// What BEGIN and SET TRANSACTION may give.
#[derive(Clone, Copy)]
pub(crate) struct GivenModes<'a> {
    pub modes: &'a [TransactionMode],
    /// DEFERRABLE or NOT DEFERRABLE.
    pub deferrable: Option<bool>,
}

/// What [`Session::begin_again`] goes back to.
pub(crate) struct StatementStart {
    mark: Savepoint,
    deferred: deferred::Mark,
    catalog: CatalogVersion,
    effects: EffectsMark,
}

struct Frame {
    name: String,
    mark: Option<Savepoint>,
    settings: Settings,
    local: BTreeMap<String, Saved>,
    deferred: deferred::Mark,
    effects: EffectsMark,
}

impl TransactionState {
    /// Moves the transaction to a session that runs statements inside one of this session's. There
    /// it is an implicit block, so that none of those statements ends it.
    pub fn lend(&mut self) -> TransactionState {
        let implicit = self.implicit;
        let lent = std::mem::take(self);
        self.implicit = implicit;
        TransactionState {
            implicit: true,
            ..lent
        }
    }

    /// Takes back what was lent.
    pub fn take_back(&mut self, lent: TransactionState) {
        *self = TransactionState {
            implicit: self.implicit,
            ..lent
        };
    }

    /// What the statement sees in the storage transaction, if one has begun.
    pub fn statement_view(&self) -> Option<ReadView> {
        self.storage.as_ref().map(Transaction::read_view)
    }

    pub fn in_block(&self) -> bool {
        self.explicit || self.implicit
    }

    pub fn is_explicit(&self) -> bool {
        self.explicit
    }

    pub fn has_storage(&self) -> bool {
        self.storage.is_some()
    }

    pub fn status(&self) -> TransactionStatus {
        match (self.explicit, self.failed) {
            (false, _) => TransactionStatus::Idle,
            (true, false) => TransactionStatus::InTransaction,
            (true, true) => TransactionStatus::Failed,
        }
    }

    /// Ends a storage transaction that has written nothing; the next statement begins another.
    pub fn end_unused(&mut self) {
        if let Some(transaction) = self.storage.take() {
            transaction.rollback();
        }
    }

    /// Has a storage transaction that was begun otherwise than the session's modes say.
    pub fn begin_with(&mut self, transaction: Transaction) {
        self.storage = Some(transaction);
    }

    /// Says that the transaction is about to change the catalog.
    pub fn will_change_catalog(&mut self, instance: &Instance) {
        self.catalog_writer
            .get_or_insert_with(|| instance.catalog_writer());
    }

    /// The catalog is not changed after all.
    pub fn catalog_writer_ends(&mut self) {
        self.catalog_writer = None;
    }

    /// How many savepoints there are.
    pub fn savepoints(&self) -> usize {
        self.savepoints.len()
    }

    pub fn is_failed(&self) -> bool {
        self.failed
    }
}

impl Session {
    /// The storage transaction of the running statement, begun if there is none.
    pub(crate) fn transaction(&mut self) -> Result<&mut Transaction> {
        if self.txn.storage.is_none() {
            let modes = self.effective_modes();
            let (place, interrupt) = (self.info.place(), self.interrupt.clone());
            let mut transaction = match (modes.isolation, modes.read_only) {
                (Isolation::Serializable, true) if modes.deferrable => {
                    place.begin_deferrable(interrupt)?
                }
                (isolation, read_only) => place.begin(isolation, read_only, interrupt)?,
            };
            transaction.begin_statement();
            for frame in &mut self.txn.savepoints {
                frame.mark = Some(transaction.savepoint());
            }
            self.txn.storage = Some(transaction);
        }
        let transaction = self.txn.storage.as_mut();
        let transaction = transaction.ok_or_else(|| SqlError::internal("no transaction"))?;
        // Nothing that it does could be committed, so it need not go on.
        transaction.check_unmoved()?;
        Ok(transaction)
    }

    /// The modes of the transaction: given by BEGIN in a block, by the defaults outside.
    fn effective_modes(&self) -> Modes {
        let modes = match self.txn.explicit {
            true => self.txn.modes,
            false => self.default_modes(),
        };
        Modes {
            read_only: modes.read_only || self.info.is_on_tag(),
            ..modes
        }
    }

    fn default_modes(&self) -> Modes {
        self.info.with_settings(Settings::modes)
    }

    /// Whether all statements of the storage transaction read one snapshot.
    pub(crate) fn keeps_snapshot(&self) -> bool {
        let storage = self.txn.storage.as_ref();
        storage.is_some_and(|t| t.isolation().keeps_snapshot())
    }

    /// Whether what only reads needs a storage transaction, too: in a block, for its snapshot, which is
    /// one for all statements even where the block is implicit; and under SERIALIZABLE, which has to
    /// know of every read.
    pub(crate) fn reads_in_transaction(&self) -> bool {
        self.txn.explicit
            || self.txn.storage.is_some()
            || match self.default_modes().isolation {
                Isolation::ReadCommitted => false,
                Isolation::RepeatableRead => self.txn.implicit,
                Isolation::Serializable => true,
            }
    }

    /// 25006 in a read-only transaction.
    pub(crate) fn check_writable(&self, what: &str) -> Result<()> {
        if self.effective_modes().read_only {
            return Err(SqlError::new(
                state::READ_ONLY_SQL_TRANSACTION,
                format!("cannot execute {what} in a read-only transaction"),
            ));
        }
        Ok(())
    }

    /// Marks the start of a statement: a new snapshot, and `now()` when it starts a transaction.
    pub(crate) fn begin_statement_snapshot(&mut self) {
        // Whose branch has become the main one is on none, as soon as it is heard of.
        self.home_branch();
        self.info.branch();
        let now = self.now_micros();
        self.info.set_statement_start(now);
        if !self.txn.started || !self.txn.in_block() {
            self.info.set_transaction_start(now);
            self.txn.started = true;
        }
        if self.txn.settings_before.is_none() {
            self.txn.settings_before = Some(self.info.settings());
        }
        if let Some(transaction) = &mut self.txn.storage {
            transaction.begin_statement();
        }
    }

    pub(super) fn now_micros(&self) -> i64 {
        i64::try_from(self.instance.engine().now_micros()).unwrap_or(i64::MAX)
    }

    pub(crate) fn begin(&mut self, modes: GivenModes<'_>, tag: &str) -> Result<CommandTag> {
        if self.txn.explicit {
            self.warn(
                state::ACTIVE_SQL_TRANSACTION,
                "there is already a transaction in progress",
            );
            self.set_transaction_modes(modes)?;
            return Ok(CommandTag::new(tag));
        }
        let chosen = self.default_modes().with(modes)?;
        // In an implicit block, what ran before BEGIN becomes part of the block.
        if !self.txn.started {
            self.info.set_transaction_start(self.info.statement_start());
            self.txn.started = true;
        }
        self.txn.explicit = true;
        self.txn.failed = false;
        self.txn.modes = chosen;
        self.show_modes();
        Ok(CommandTag::new(tag))
    }

    /// SET TRANSACTION and the modes of a second BEGIN.
    pub(crate) fn set_transaction_modes(&mut self, modes: GivenModes<'_>) -> Result<()> {
        let before = self.effective_modes();
        let chosen = before.with(modes)?;
        if self.txn.storage.is_some() {
            let late = if chosen.isolation != before.isolation {
                Some("SET TRANSACTION ISOLATION LEVEL must be called before any query")
            } else if before.read_only && !chosen.read_only {
                Some("transaction read-write mode must be set before any query")
            } else if modes.deferrable.is_some() {
                Some("SET TRANSACTION [NOT] DEFERRABLE must be called before any query")
            } else {
                None
            };
            if let Some(message) = late {
                return Err(SqlError::new(state::ACTIVE_SQL_TRANSACTION, message));
            }
        }
        if !self.txn.explicit {
            self.warn(
                state::NO_ACTIVE_SQL_TRANSACTION,
                "SET TRANSACTION can only be used in transaction blocks",
            );
            return Ok(());
        }
        self.txn.modes = chosen;
        self.show_modes();
        Ok(())
    }

    /// SET SESSION CHARACTERISTICS AS TRANSACTION.
    pub(crate) fn set_session_modes(&mut self, modes: GivenModes<'_>) -> Result<()> {
        let chosen = self.default_modes().with(modes)?;
        self.info.change_settings(|s| {
            s.set("default_transaction_isolation", chosen.isolation_name())?;
            s.set("default_transaction_read_only", on_off(chosen.read_only))?;
            s.set("default_transaction_deferrable", on_off(chosen.deferrable))
        })
    }

    fn show_modes(&mut self) {
        let modes = self.txn.modes;
        self.info.change_settings(|s| modes.show(s));
    }

    pub(crate) fn commit_block(&mut self, chain: bool) -> Result<CommandTag> {
        let modes = self.txn.modes;
        if !self.txn.explicit {
            if chain {
                return Err(no_block("COMMIT AND CHAIN"));
            }
            self.warn(
                state::NO_ACTIVE_SQL_TRANSACTION,
                "there is no transaction in progress",
            );
            self.commit()?;
            return Ok(CommandTag::new("COMMIT"));
        }
        let tag = if self.txn.failed {
            self.rollback();
            "ROLLBACK"
        } else {
            self.commit()?;
            "COMMIT"
        };
        self.chain(chain, modes);
        Ok(CommandTag::new(tag))
    }

    pub(crate) fn rollback_block(&mut self, chain: bool) -> Result<CommandTag> {
        let modes = self.txn.modes;
        if !self.txn.explicit {
            if chain {
                return Err(no_block("ROLLBACK AND CHAIN"));
            }
            self.warn(
                state::NO_ACTIVE_SQL_TRANSACTION,
                "there is no transaction in progress",
            );
        }
        let explicit = self.txn.explicit;
        self.rollback();
        self.chain(chain && explicit, modes);
        Ok(CommandTag::new("ROLLBACK"))
    }

    fn chain(&mut self, chain: bool, modes: Modes) {
        if chain {
            self.txn.explicit = true;
            self.txn.modes = modes;
            self.show_modes();
        }
    }

    /// Ends the transaction, keeping what it did. On an error nothing of it stays.
    pub(crate) fn commit(&mut self) -> Result<()> {
        self.commit_uncounted()?;
        self.info.backend.counters.commit();
        Ok(())
    }

    /// The same, of a statement whose rows are still to be read: that it succeeds is known when they were.
    pub(super) fn commit_uncounted(&mut self) -> Result<()> {
        if let Err(e) = self
            .check_all_deferred()
            .and_then(|()| self.hold_cursors())
            .and_then(|()| self.run_on_commit())
        {
            self.rollback();
            return Err(e);
        }
        match self.commit_notifying(Session::commit_storage) {
            Ok(()) => {
                let local = std::mem::take(&mut self.txn.local);
                if !local.is_empty() {
                    self.restore_local(local);
                }
                self.end_cursors(true);
                self.forget_on_commit();
                self.end_transaction();
                Ok(())
            }
            Err(e) => {
                self.rollback();
                Err(e)
            }
        }
    }

    pub(super) fn commit_storage(&mut self) -> Result<()> {
        self.commit_storage_at().map(|_| ())
    }

    /// The same, and when: `None` when there was no storage transaction.
    fn commit_storage_at(&mut self) -> Result<Option<Ts>> {
        let used_sequence = self.info.take_used_sequence();
        let Some(mut transaction) = self.txn.storage.take() else {
            return Ok(None);
        };
        let durability = match self.info.with_settings(Settings::synchronous) {
            true => Durability::Synchronous,
            false => Durability::Asynchronous,
        };
        if used_sequence {
            transaction.used_sequence();
        }
        let role = self.info.role().oid;
        let slots = self.instance.authors();
        self.author.sign(&mut transaction, slots, role)?;
        let at = transaction.commit(durability)?;
        self.author.committed(at);
        Ok(Some(at))
    }

    /// Ends the transaction of a merge, which is none of the client's.
    pub(crate) fn commit_merge(&mut self) -> Result<Option<Ts>> {
        self.check_all_deferred()?;
        let merged = self.commit_storage_at();
        self.txn.catalog_writer = None;
        merged
    }

    /// Ends the transaction without a trace.
    pub(crate) fn rollback(&mut self) {
        if self.txn.started || self.txn.explicit {
            self.info.backend.counters.rollback();
        }
        self.abandon();
    }

    /// The same for what was none of the client's.
    pub(super) fn abandon(&mut self) {
        self.info.take_used_sequence();
        // They read what the transaction wrote.
        self.end_cursors(false);
        if let Some(transaction) = self.txn.storage.take() {
            transaction.rollback();
        }
        if let Some(before) = self.txn.settings_before.take() {
            self.info.change_settings(|s| s.go_back_to(before));
        }
        self.end_transaction();
    }

    fn end_transaction(&mut self) {
        self.info.effects_back_to(EffectsMark::default());
        // The modes are shown as they were before, unless a block or a setting changed them.
        let before = self.txn.settings_before.take();
        let changed = self.txn.explicit
            || before.is_none_or(|before| !self.info.with_settings(|s| s.is_same(&before)));
        self.txn = TransactionState {
            implicit: self.txn.implicit,
            ..TransactionState::default()
        };
        self.rows_failed
            .store(false, std::sync::atomic::Ordering::SeqCst);
        if changed {
            let modes = self.default_modes();
            self.info.change_settings(|s| modes.show(s));
        }
    }

    /// A statement failed: the block fails with it, or the statement's own transaction ends.
    pub(crate) fn fail_statement(&mut self) {
        if !self.txn.in_block() {
            self.rollback();
            return;
        }
        self.txn.failed = true;
        let since = self.txn.savepoints.last();
        let since = since.map(|frame| frame.effects).unwrap_or_default();
        self.info.effects_back_to(since);
        // They read what the transaction wrote.
        self.fail_cursors();
        if self.txn.savepoints.is_empty()
            && let Some(transaction) = self.txn.storage.take()
        {
            transaction.rollback();
        }
    }

    /// A message that belongs to no statement failed (it named an unknown portal, say): an open block
    /// fails with it.
    pub fn fail_block(&mut self) {
        if self.txn.in_block() {
            self.fail_statement();
        }
    }

    /// Starts an implicit block, unless a block is already there.
    pub fn begin_implicit(&mut self) {
        // Rows that failed before this block are not its failure.
        self.note_failed_rows();
        self.txn.implicit = true;
    }

    /// Ends an implicit block: commits when `ok`. A block that BEGIN started goes on.
    pub fn end_implicit(&mut self, ok: bool) -> Result<()> {
        self.note_failed_rows();
        self.txn.implicit = false;
        if self.txn.explicit {
            return Ok(());
        }
        if ok && !self.txn.failed {
            let role = self.info.role();
            let committed = self.commit();
            committed.map_err(|e| conceal(e, &self.info.catalog(), &role))
        } else {
            self.rollback();
            Ok(())
        }
    }

    pub(crate) fn savepoint(&mut self, name: String) -> Result<CommandTag> {
        if !self.txn.explicit {
            return Err(no_block("SAVEPOINT"));
        }
        let mark = self.txn.storage.as_mut().map(Transaction::savepoint);
        self.txn.savepoints.push(Frame {
            name,
            mark,
            settings: self.info.settings(),
            local: self.txn.local.clone(),
            deferred: self.txn.deferred.mark(),
            effects: self.info.effects(),
        });
        Ok(CommandTag::new("SAVEPOINT"))
    }

    fn find_savepoint(&self, name: &str) -> Result<usize> {
        self.txn
            .savepoints
            .iter()
            .rposition(|f| f.name == name)
            .ok_or_else(|| {
                SqlError::new(
                    state::INVALID_SAVEPOINT_SPECIFICATION,
                    format!("savepoint \"{name}\" does not exist"),
                )
            })
    }

    pub(crate) fn release_savepoint(&mut self, name: &str) -> Result<CommandTag> {
        if !self.txn.explicit {
            return Err(no_block("RELEASE SAVEPOINT"));
        }
        let at = self.find_savepoint(name)?;
        self.txn.savepoints.truncate(at);
        self.cursors_without(at);
        Ok(CommandTag::new("RELEASE"))
    }

    pub(crate) fn rollback_to_savepoint(&mut self, name: &str) -> Result<CommandTag> {
        if !self.txn.explicit {
            return Err(no_block("ROLLBACK TO SAVEPOINT"));
        }
        let at = self.find_savepoint(name)?;
        self.txn.savepoints.truncate(at + 1);
        self.cursors_back_to(at);
        let frame = &self.txn.savepoints[at];
        let (settings, local) = (frame.settings.clone(), frame.local.clone());
        match (frame.mark, &mut self.txn.storage) {
            (Some(mark), Some(transaction)) => transaction.rollback_to(mark),
            // The savepoint came before the first write: there is nothing to keep.
            (None, storage) => {
                if let Some(transaction) = storage.take() {
                    transaction.rollback();
                }
            }
            (Some(_), None) => {}
        }
        self.info.effects_back_to(frame.effects);
        self.txn.deferred.back_to(&frame.deferred);
        self.info.change_settings(|s| s.go_back_to(settings));
        self.txn.local = local;
        self.txn.failed = false;
        self.rows_failed
            .store(false, std::sync::atomic::Ordering::SeqCst);
        Ok(CommandTag::new("ROLLBACK"))
    }

    /// Where the running statement may begin again.
    pub(crate) fn begin_again_from(&mut self) -> Result<StatementStart> {
        let mark = self.transaction()?.savepoint();
        Ok(StatementStart {
            mark,
            deferred: self.txn.deferred.mark(),
            catalog: self.info.catalog().version,
            effects: self.info.effects(),
        })
    }

    /// Undoes what the statement wrote and takes a new snapshot. Its locks stay.
    pub(crate) fn begin_again(&mut self, start: &StatementStart) -> Result<()> {
        self.interrupt.check()?;
        let transaction = self.transaction()?;
        transaction.rollback_to(start.mark);
        transaction.begin_statement();
        self.txn.deferred.back_to(&start.deferred);
        self.info.effects_back_to(start.effects);
        let (_, catalog) = self.write_view()?;
        match catalog.version == start.catalog {
            true => Ok(()),
            // What was planned is of another catalog.
            false => Err(heliosdb_storage::Error::SerializationFailure.into()),
        }
    }

    /// Remembers what SET LOCAL replaces; forgets it when a plain SET overrides.
    pub(crate) fn note_set(&mut self, name: &str, old: Saved, local: bool) {
        let name = name.to_ascii_lowercase();
        if local {
            self.txn.local.entry(name).or_insert(old);
        } else {
            self.txn.local.remove(&name);
        }
    }

    /// Forgets what SET LOCAL replaced.
    pub(super) fn forget_local(&mut self, name: &str) {
        self.txn.local.remove(name);
    }

    fn restore_local(&mut self, local: BTreeMap<String, Saved>) {
        self.info.change_settings(|s| {
            for (name, saved) in local {
                s.restore(&name, saved);
            }
        });
    }
}

impl Modes {
    /// These, as a statement changes them.
    fn with(mut self, given: GivenModes<'_>) -> Result<Modes> {
        for mode in given.modes {
            match mode {
                TransactionMode::AccessMode(mode) => {
                    self.read_only = *mode == TransactionAccessMode::ReadOnly;
                }
                TransactionMode::IsolationLevel(level) => {
                    self.uncommitted = *level == TransactionIsolationLevel::ReadUncommitted;
                    self.isolation = match level {
                        TransactionIsolationLevel::ReadUncommitted
                        | TransactionIsolationLevel::ReadCommitted => Isolation::ReadCommitted,
                        TransactionIsolationLevel::RepeatableRead => Isolation::RepeatableRead,
                        TransactionIsolationLevel::Serializable => Isolation::Serializable,
                        TransactionIsolationLevel::Snapshot => {
                            return Err(SqlError::unsupported("isolation level SNAPSHOT"));
                        }
                    };
                }
            }
        }
        self.deferrable = given.deferrable.unwrap_or(self.deferrable);
        Ok(self)
    }

    fn isolation_name(self) -> &'static str {
        match self.isolation {
            Isolation::ReadCommitted if self.uncommitted => "read uncommitted",
            Isolation::ReadCommitted => "read committed",
            Isolation::RepeatableRead => "repeatable read",
            Isolation::Serializable => "serializable",
        }
    }

    fn show(self, settings: &mut Settings) {
        settings.set_internal("transaction_isolation", self.isolation_name());
        settings.set_internal("transaction_read_only", on_off(self.read_only));
        settings.set_internal("transaction_deferrable", on_off(self.deferrable));
    }
}

fn on_off(on: bool) -> &'static str {
    if on { "on" } else { "off" }
}

fn no_block(what: &str) -> SqlError {
    SqlError::new(
        state::NO_ACTIVE_SQL_TRANSACTION,
        format!("{what} can only be used in transaction blocks"),
    )
}
