//! RESTORE DATABASE: the main branch becomes what it was, in place.
//!
//! What it was is a branch AS OF that time, which takes the name `main`; what it had become stays, as a branch
//! named after the moment, so a restore is undone by the same means. Nothing is copied.
//!
//! 1. The branch is made under a name that no user can give. What was not finished goes at the next start
//!    ([`sweep`]), and nobody ever saw it.
//! 2. Both timelines are closed: nobody else commits on them, and nobody waits for a lock there. Open
//!    transactions, and those that begin meanwhile, fail with 40001. So nothing has to be waited for.
//! 3. What is of the database and of no time comes along ([`Session::carry_over`]).
//! 4. One record of the log has the names and the notes of both.
//!
//! What comes along is as it is now: roles, rights on the database, its edition, the imports it came by, and points
//! in the history that somebody pinned. Everything else is what it was: rights on objects among it, plugins' stores,
//! and the cursors of those who follow changes, which are where what they made of the changes is.

use std::sync::Arc;

use heliosdb_plugin_host::migration::migrations;
use heliosdb_plugin_host::store::{self as stores, StoreState};
use heliosdb_storage::ids::{TimelineId, Ts};
use heliosdb_storage::{
    Engine, Error as StorageError, Isolation, NamedPin, PinKind, ReadView, TimelineInfo,
};

use super::{Note, check_not_frozen, undefined};
use crate::catalog::{CatalogSnapshot, CatalogVersion, Oid, store};
use crate::error::{Result, SqlError, state};
use crate::instance::Instance;
use crate::names::is_temporary_schema;
use crate::plugin::extension;
use crate::session::Session;
use crate::types::datetime::write_timestamp;

/// The statement that undoes what it did.
const COMMAND: &str = "RESTORE DATABASE";
/// Names with a slash are no users'.
const UNFINISHED: &str = "restore/";

/// A restore that was asked for.
struct Asked {
    instance: Arc<Instance>,
    /// The timeline that was the main one when it was.
    main: TimelineId,
    role: Oid,
}

/// Whether a timeline is that of a restore which is under way, or was left by one.
pub(crate) fn is_unfinished(info: &TimelineInfo) -> bool {
    info.name.starts_with(UNFINISHED)
}

/// Drops what restores have left that did not come to their end.
pub(crate) fn sweep(engine: &Engine) {
    for info in engine.timelines().iter().filter(|info| is_unfinished(info)) {
        if let Err(error) = engine.drop_timeline(info.id) {
            tracing::warn!("what an unfinished restore left cannot be dropped: {error}");
        }
    }
}

impl Session {
    /// Takes the main branch back to a time; the name of the branch that has what was there.
    ///
    /// # Errors
    ///
    /// 42501 for who is no superuser, 25001 in a transaction block, 22023 for a time to come, for one before
    /// the history or the database, and for one that was another branch's; 55000 when plugins that run had other
    /// stores then; 40001 when somebody else restores.
    pub(crate) fn restore_database(&mut self, at: u64) -> Result<String> {
        let (asked, at) = (self.begin_restore()?, Ts(at));
        let engine = asked.instance.engine();
        let then = engine.view_at_on(asked.main, at)?;
        check_on_main(engine, asked.main, at)?;
        check_restorable(&asked, &then)?;
        let note = asked.note();
        let note = Note {
            since: Some(note.created.max(engine.latest_view().ts().0)),
            ..note
        };
        let name = format!("{UNFINISHED}{}", uuid::Uuid::new_v4());
        let made = engine.create_timeline_with_note(&name, asked.main, at, &note.to_bytes());
        let made = made.map_err(|error| match error {
            StorageError::SnapshotTooNew { .. } => SqlError::new(
                state::INVALID_PARAMETER_VALUE,
                "cannot restore the database AS OF a time in the future",
            ),
            error => too_young(&asked.instance, &then, error),
        })?;
        let restored = self.make_main(&asked, made, note);
        if restored.is_err() {
            // It is nobody's; if this fails as well it goes at the next start.
            let _ = engine.drop_timeline(made);
        }
        restored
    }

    /// Lets a branch be the main one; the name of the branch that has what was there.
    pub(crate) fn restore_branch(&mut self, id: u32) -> Result<String> {
        let (asked, id) = (self.begin_restore()?, TimelineId(id));
        let engine = asked.instance.engine();
        let all = engine.timelines();
        let info = all.iter().find(|info| info.id == id);
        let info = info.ok_or_else(|| undefined(id))?;
        if id == asked.main {
            return Err(SqlError::new(
                state::INVALID_PARAMETER_VALUE,
                "the main branch is the database's already",
            ));
        }
        check_not_frozen(&asked.instance, id, COMMAND)?;
        check_restorable(&asked, &engine.latest_view_on(id)?)?;
        self.make_main(&asked, id, asked.note_again(info))
    }

    fn begin_restore(&mut self) -> Result<Asked> {
        self.check_no_block(COMMAND)?;
        self.check_writable(COMMAND)?;
        let role = self.info.role();
        if !role.superuser {
            return Err(SqlError::new(
                state::INSUFFICIENT_PRIVILEGE,
                "must be superuser to restore the database",
            ));
        }
        let main = self.instance.engine().main_timeline();
        let is_on_main = self.info.branch().is_none();
        let transaction = self.transaction()?;
        if !transaction.is_read_only() {
            // That would be lost without a word.
            return Err(SqlError::unsupported(
                "an expression that writes as the time of RESTORE DATABASE",
            ));
        }
        if is_on_main && transaction.timeline() != main {
            return Err(StorageError::TimelineMoved.into());
        }
        self.txn.end_unused();
        Ok(Asked {
            instance: self.instance.clone(),
            main,
            role: role.oid,
        })
    }

    /// Steps 2 to 4.
    fn make_main(&mut self, asked: &Asked, id: TimelineId, note: Note) -> Result<String> {
        let engine = asked.instance.engine();
        let closed = engine.close_timelines(&[asked.main, id])?;
        if engine.main_timeline() != asked.main {
            return Err(StorageError::TimelineMoved.into());
        }
        let now = engine.latest_view_on(asked.main)?.ts();
        let home = self.info.branch();
        self.put_on(Some(id));
        let transaction = closed.begin_on(id, Isolation::ReadCommitted, self.interrupt.clone());
        let carried = transaction.map_err(SqlError::from).and_then(|mut begun| {
            begun.begin_statement();
            self.txn.begin_with(begun);
            self.carry_over(asked)
        });
        self.txn.end_unused();
        self.txn.catalog_writer_ends();
        self.put_on(home);
        let told = carried?;
        let name = free_name(engine, now);
        let all = engine.timelines();
        let was = all.iter().find(|info| info.id == asked.main);
        let before = was.map_or_else(|| asked.note(), |info| asked.note_again(info));
        let before = Note {
            main_until: Some(before.created.max(now.0)),
            ..before
        };
        closed.make_main(id, &note.to_bytes(), &name, &before.to_bytes())?;
        drop(closed);
        for what in told {
            self.notify_skipped(what);
        }
        Ok(name)
    }

    /// Lets what is of the database come along, in a transaction on what is restored; what to tell of it.
    fn carry_over(&mut self, asked: &Asked) -> Result<Vec<String>> {
        let instance = &asked.instance;
        let now = instance.engine().latest_view_on(asked.main)?;
        let (then, catalog) = self.write_view()?;
        let mut told = Vec::new();
        if store::version(&then)? != store::version(&now)? {
            told.push(
                "definitions, and rights on objects, are what they were; roles are what they are"
                    .to_owned(),
            );
        }
        // Those whose they were have gone on without them, or have gone.
        let schemas = catalog.schemas().map(|schema| schema.name.clone());
        let temporary: Vec<String> = schemas.filter(|name| is_temporary_schema(name)).collect();
        self.drop_schemas(&temporary)?;
        let installed = extension::install_new(instance, &catalog)?;
        if !installed.is_empty() {
            self.change_catalog(installed)?;
        }
        self.adopt_orphans()?;
        told.extend(self.make_stores(&now, &then)?);

        self.txn.will_change_catalog(instance);
        let transaction = self.transaction()?;
        store::carry_shared(transaction, &now)?;
        let cursors = transaction.carry_points(&now)?;
        told.extend(moved_cursors(&cursors.0, &cursors.1));
        self.commit_merge()?;
        Ok(told)
    }

    /// Makes the stores that plugins got since, but for those that begin with what another store had: these are
    /// made as they were the first time, when the plugins start.
    fn make_stores(&mut self, now: &ReadView, then: &ReadView) -> Result<Vec<String>> {
        let mut told = Vec::new();
        let known = migrations(now)?;
        let live = stores::stores(now)?.into_iter();
        for store in live.filter(|store| store.state == StoreState::Live) {
            let of_plugin = stores::stores_of(then, &store.plugin)?;
            if of_plugin.iter().any(|other| other.name == store.name) {
                continue;
            }
            let (plugin, name) = (&store.plugin, &store.name);
            if known
                .iter()
                .any(|m| m.plugin == *plugin && m.store == *name)
            {
                told.push(format!(
                    "store \"{name}\" of plugin \"{plugin}\" is made at the next start of the server"
                ));
                continue;
            }
            let id = self.instance.engine().allocate_collection_id();
            stores::create(self.transaction()?, id, plugin, name, store.version)?;
        }
        Ok(told)
    }
}

impl Asked {
    /// What is noted of a branch now.
    fn note(&self) -> Note {
        Note {
            owner: self.role,
            created: self.instance.engine().now_micros(),
            ..Note::default()
        }
    }

    /// What is noted now of a branch that was there, of which it stays true what it has nothing of.
    fn note_again(&self, info: &TimelineInfo) -> Note {
        let was = Note::of(info).unwrap_or_default();
        Note {
            since: was.since,
            gaps: was.gaps,
            access: was.access,
            ..self.note()
        }
    }
}

/// A name for what was the main branch up to `now`.
fn free_name(engine: &Engine, now: Ts) -> String {
    let first = format!("before_{now}");
    let others = (2..).map(|number: u64| format!("before_{now}_{number}"));
    let mut names = std::iter::once(first.clone()).chain(others);
    names
        .find(|name| engine.timeline(name).is_none())
        .unwrap_or(first)
}

/// 22023 when another branch was the main one at that time, of which this one has nothing: after a restore there
/// is nothing of the main branch's own between the time that it was restored to and the restore.
fn check_on_main(engine: &Engine, main: TimelineId, at: Ts) -> Result<()> {
    let line = engine.timeline_at(main, at)?;
    let all = engine.timelines();
    let Some(info) = all.iter().find(|info| info.id == line) else {
        return Ok(());
    };
    let note = Note::of(info).unwrap_or_default();
    let mut gaps = note.all_gaps(info.base.map(|(_, fork)| fork));
    let gap = gaps.find(|(from, until)| *from < at.0 && at.0 <= *until);
    let Some((fork, since)) = gap else {
        return Ok(());
    };
    let was_main = all.iter().filter_map(|info| {
        let until = Note::of(info)?.main_until?;
        (until >= at.0).then_some((until, &info.name))
    });
    let error = SqlError::new(
        state::INVALID_PARAMETER_VALUE,
        "another branch was the main one at that time",
    )
    .with_detail(format!(
        "What is the main branch now was made at {} UTC of what was there at {} UTC; it has nothing in between.",
        time(Ts(since)),
        time(Ts(fork)),
    ));
    Err(match was_main.min() {
        None => error,
        Some((_, name)) => error.with_hint(format!(
            "That was \"{name}\": read it, or make a branch of it, AS OF that time, or let RESTORE DATABASE TO BRANCH \"{name}\" \
             come first."
        )),
    })
}

/// 22023 for what is no database that a restore could be undone in, 55000 when plugins that run now would meet
/// what other versions of them have left.
fn check_restorable(asked: &Asked, then: &ReadView) -> Result<()> {
    let instance = &asked.instance;
    let invalid = |message| SqlError::new(state::INVALID_PARAMETER_VALUE, message);
    if store::version(then)? == CatalogVersion(0) {
        return Err(invalid(
            "the database was not there at that time".to_owned(),
        ));
    }
    let before = instance.catalog(then)?;
    let registry = instance.plugins().registry();
    for command in registry.commands() {
        let plugin = &**command.plugin();
        if command.declared.prefix == COMMAND && !before.is_installed(plugin) {
            return Err(
                invalid(format!("extension \"{plugin}\" was not installed there"))
                    .with_detail("The restore could not be undone.")
                    .with_hint("Read tables AS OF that time."),
            );
        }
    }
    let now = instance.engine().latest_view_on(asked.main)?;
    let catalog = instance.catalog(&now)?;
    match other_version(&now, then, &catalog, &before)? {
        None => Ok(()),
        Some((what, is, was)) => Err(SqlError::new(
            state::OBJECT_NOT_IN_PREREQUISITE_STATE,
            format!("cannot restore the database to a time when {what} had another version"),
        )
        .with_detail(format!("It is version {is} now, and was version {was}."))
        .with_hint("Tables can be read AS OF that time, and flashed back one by one.")),
    }
}

/// What of a plugin was there in another version, with the versions of now and then.
fn other_version(
    now: &ReadView,
    then: &ReadView,
    catalog: &CatalogSnapshot,
    before: &CatalogSnapshot,
) -> Result<Option<(String, String, String)>> {
    for extension in catalog.extensions() {
        let was = before.extension(&extension.name).filter(|e| e.installed);
        if let Some(was) = was.filter(|was| was.version != extension.version) {
            let what = format!("extension \"{}\"", extension.name);
            return Ok(Some((what, extension.version.clone(), was.version.clone())));
        }
    }
    let live = stores::stores(now)?.into_iter();
    for store in live.filter(|store| store.state == StoreState::Live) {
        let was = stores::find(then, &store.plugin, &store.name)?;
        if let Some(was) = was.filter(|was| was.version != store.version) {
            let what = format!("store \"{}\" of plugin \"{}\"", store.name, store.plugin);
            return Ok(Some((
                what,
                store.version.to_string(),
                was.version.to_string(),
            )));
        }
    }
    Ok(None)
}

/// What became of cursors, for those who follow changes.
fn moved_cursors(now: &[NamedPin], then: &[NamedPin]) -> Vec<String> {
    let find = |pins: &[NamedPin], name: &str| {
        let mut cursors = pins.iter().filter(|pin| pin.kind == PinKind::Cursor);
        cursors.find(|pin| pin.name == name).map(|pin| pin.ts)
    };
    let mut told = Vec::new();
    for pin in now.iter().filter(|pin| pin.kind == PinKind::Cursor) {
        let name = &pin.name;
        match find(then, name) {
            None => told.push(format!("cursor \"{name}\" was not there, and is gone")),
            Some(was) if was != pin.ts => told.push(format!("cursor \"{name}\" is at {was} again")),
            Some(_) => {}
        }
    }
    for pin in then.iter().filter(|pin| pin.kind == PinKind::Cursor) {
        if find(now, &pin.name).is_none() {
            told.push(format!(
                "cursor \"{}\" is there again, at {}",
                pin.name, pin.ts
            ));
        }
    }
    told
}

/// Names the table whose history does not go back as far as a branch asks for.
pub(super) fn too_young(instance: &Instance, then: &ReadView, error: StorageError) -> SqlError {
    let StorageError::TableTooYoung { table, oldest, .. } = error else {
        return error.into();
    };
    let catalog = match instance.catalog(then) {
        Ok(catalog) => catalog,
        Err(error) => return error,
    };
    let found = catalog.tables().find(|t| t.collection_id() == table);
    let name = found.map_or_else(|| table.to_string(), |t| t.name.clone());
    SqlError::new(
        state::INVALID_PARAMETER_VALUE,
        format!("the history of table \"{name}\" does not go back to that time"),
    )
    .with_detail(format!(
        "It goes back to {} UTC: the table has a retention of its own.",
        time(oldest)
    ))
    .with_hint(
        "Other tables can be read AS OF that time, and flashed back one by one. \
         ALTER TABLE … SET (retention = 'default') keeps what is to come as long as all the rest.",
    )
}

/// A time as people read it.
fn time(ts: Ts) -> String {
    let mut text = String::new();
    write_timestamp(i64::try_from(ts.0).unwrap_or(i64::MAX), &mut text);
    text
}
