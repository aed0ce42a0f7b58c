//! Branches as sessions make and change them. What the database knows of one beside its timeline is in the
//! timeline's note: who owns it, since when, and what the plugin of branches noted.
//!
//! 1. Branches are no rows, and no transaction has them: a branch that was made is there.
//! 2. Who may CREATE in the database makes branches; a branch is changed by its owner, and by those who are its
//!    owner's members, superusers among them.
//! 3. Nobody's session is on a branch that is dropped, but others' may be: they are told.

pub(crate) mod access;
mod diff;
mod flashback;
mod history;
pub(crate) mod lineage;
mod merge;
pub(crate) mod restore;
mod undrop;

use heliosdb_plugin_host::services::Branch;
use heliosdb_storage::ids::{TimelineId, Ts};
use heliosdb_storage::{Error as StorageError, TimelineInfo};
use serde::{Deserialize, Serialize};

use crate::catalog::access::{AclItem, Privileges};
use crate::catalog::{CatalogVersion, Oid};
use crate::error::{Result, SqlError, state};
use crate::instance::Instance;
use crate::names::NAME_BYTES_MAX;
use crate::place;
use crate::privilege::Authority;
use crate::privilege::check::not_owner;
use crate::session::Session;

/// What everybody is on who chooses no other.
pub(crate) const MAIN: &str = "main";
/// Spans that are noted at most, the newest: notes have 16 KiB.
const GAPS_MAX: usize = 256;

/// See the module's header. JSON.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Note {
    owner: Oid,
    /// Microseconds since the Unix epoch.
    created: u64,
    /// Nobody writes on it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    frozen: bool,
    /// When it was made, if AS OF an earlier time, as an SCN: what it shows of the time in between is none of what was
    /// there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    since: Option<u64>,
    /// It was the main branch up to this SCN.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    main_until: Option<u64>,
    /// Spans after one SCN, up to another, of which it has nothing because another branch was the main one. A dump has
    /// the main branch with the past of those that it goes on from, and so with what `since` said of each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    gaps: Vec<(u64, u64)>,
    /// Who may be on it, once that was said; see [`access`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    access: Option<Vec<AclItem>>,
    /// The plugin's.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    plugin: String,
}

impl Note {
    /// The main timeline has none of its own before the first restore, and neither has one that was made without SQL.
    fn of(info: &TimelineInfo) -> Option<Note> {
        serde_json::from_slice(&info.note).ok()
    }

    pub(crate) fn read(note: &[u8]) -> Result<Note> {
        match note {
            [] => Ok(Note::default()),
            note => serde_json::from_slice(note).map_err(|error| {
                SqlError::new(
                    state::DATA_CORRUPTED,
                    format!("the note of a branch cannot be read: {error}"),
                )
            }),
        }
    }

    fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Spans, as those of `gaps`, of which the timeline has nothing that was there then; it branched off at `fork`.
    fn all_gaps(&self, fork: Option<Ts>) -> impl Iterator<Item = (u64, u64)> {
        let own = fork.zip(self.since).map(|(fork, since)| (fork.0, since));
        own.into_iter().chain(self.gaps.iter().copied())
    }
}

/// What is to be noted of the main timeline in a dump, in which it has the past of all that it goes on from; nothing
/// of one that was never restored.
pub(crate) fn note_in_dump(all: &[TimelineInfo], main: TimelineId) -> Vec<u8> {
    let find = |id| all.iter().find(|info| info.id == id);
    let mut gaps = Vec::new();
    let (mut line, mut cap) = (find(main), Ts::MAX);
    while let Some(info) = line {
        let fork = info.base.map(|(_, fork)| fork);
        let of_line = Note::of(info).unwrap_or_default();
        let shown = of_line.all_gaps(fork).filter(|(from, _)| *from < cap.0);
        gaps.extend(shown.map(|(from, until)| (from, until.min(cap.0))));
        cap = cap.min(fork.unwrap_or(cap));
        line = info.base.and_then(|(parent, _)| find(parent));
    }
    if gaps.is_empty() {
        return Vec::new();
    }
    gaps.sort_unstable();
    // Notes are small; nobody has restored so often and asks for one of the first times.
    gaps.drain(..gaps.len().saturating_sub(GAPS_MAX));
    let noted = find(main).and_then(Note::of).unwrap_or_default();
    let note = Note {
        owner: noted.owner,
        created: noted.created,
        gaps,
        ..Note::default()
    };
    note.to_bytes()
}

/// Whether nobody writes on a branch.
pub(crate) fn is_frozen(instance: &Instance, branch: TimelineId) -> bool {
    let base = instance.engine().timeline_base(branch);
    base.is_ok_and(|(_, note)| is_frozen_note(&note))
}

/// Whether a note says so.
pub(crate) fn is_frozen_note(note: &[u8]) -> bool {
    let note = serde_json::from_slice::<Note>(note);
    note.is_ok_and(|note| note.frozen)
}

/// 42501 for who may not be on a branch, and for who has to read a tag with `t@tag`: a session that is on it has the
/// rights of then, and nobody can take one away there.
pub(crate) fn check_may_be_on(
    instance: &Instance,
    branch: Option<TimelineId>,
    role: &Authority,
) -> Result<()> {
    let Some(branch) = branch else { return Ok(()) };
    access::check_connect(instance.engine(), branch, role)?;
    match !role.superuser && is_frozen(instance, branch) {
        false => Ok(()),
        true => Err(SqlError::new(
            state::INSUFFICIENT_PRIVILEGE,
            "must be superuser to be on a tag",
        )
        .with_hint("Its tables are read as table@tag.")),
    }
}

/// Whether a branch is a tag.
pub(crate) fn is_tag(info: &TimelineInfo) -> bool {
    Note::of(info).is_some_and(|note| note.frozen)
}

/// 25006 for a tag.
fn check_not_frozen(instance: &Instance, branch: TimelineId, what: &str) -> Result<()> {
    match is_frozen(instance, branch) {
        false => Ok(()),
        true => Err(SqlError::new(
            state::READ_ONLY_SQL_TRANSACTION,
            format!("cannot execute {what} on a tag"),
        )
        .with_hint("Make a branch from it.")),
    }
}

/// 40001 unless what the plugin decided upon is still what is noted.
fn check_noted(info: &TimelineInfo, note: &Note, noted: &str) -> Result<()> {
    match note.plugin == noted {
        true => Ok(()),
        false => Err(altered_meanwhile(&info.name)),
    }
}

fn altered_meanwhile(branch: &str) -> SqlError {
    SqlError::new(
        state::SERIALIZATION_FAILURE,
        format!("branch \"{branch}\" was altered meanwhile"),
    )
    .with_hint("Try again.")
}

fn undefined(id: TimelineId) -> SqlError {
    SqlError::new(
        state::UNDEFINED_OBJECT,
        format!("branch {} does not exist", id.0),
    )
}

/// Why a branch was not dropped.
fn not_dropped(error: StorageError) -> SqlError {
    let StorageError::TimelineHasBranches { name, children } = error else {
        return error.into();
    };
    SqlError::new(
        state::DEPENDENT_OBJECTS_STILL_EXIST,
        format!("cannot drop branch \"{name}\" because other branches go on from it"),
    )
    .with_detail(format!("These do: {}.", children.join(", ")))
}

fn catalog_now(instance: &Instance, timeline: TimelineId) -> Result<CatalogVersion> {
    instance.catalog_version(&instance.engine().latest_view_on(timeline)?)
}

/// 42602 for what names no branch.
fn check_name(name: &str) -> Result<()> {
    let is_name = (1..=NAME_BYTES_MAX).contains(&name.len()) && !name.contains(['/', '\0']);
    match is_name {
        true => Ok(()),
        false => Err(SqlError::new(
            state::INVALID_NAME,
            format!("\"{name}\" cannot be the name of a branch"),
        )
        .with_detail(format!(
            "Names of branches have 1 to {NAME_BYTES_MAX} bytes and no slash."
        ))),
    }
}

impl Session {
    /// All branches, the main timeline included, by id.
    pub(crate) fn branches(&mut self) -> Result<Vec<Branch>> {
        let (_, catalog) = self.read_view()?;
        let engine = self.instance.engine();
        let main = engine.main_timeline();
        let current = self.info.branch().unwrap_or(main);
        let all = engine.timelines().into_iter();
        let all = all
            .filter(|info| !restore::is_unfinished(info))
            .map(|info| {
                // The main branch is the database's, and has no options, whatever it was before.
                let note = Note::of(&info).filter(|_| info.id != main);
                let owner = note.as_ref().map(|note| match catalog.role(note.owner) {
                    Some(role) => role.name.clone(),
                    None => note.owner.to_string(),
                });
                let memory = u64::try_from(info.memtable_bytes).unwrap_or(u64::MAX);
                Branch {
                    id: info.id.0,
                    base: info.base.map(|(parent, fork)| (parent.0, fork.0)),
                    owner,
                    created: note.as_ref().map(|note| note.created),
                    bytes: info.segment_bytes.saturating_add(memory),
                    is_frozen: note.as_ref().is_some_and(|note| note.frozen),
                    is_current: info.id == current,
                    access: note.as_ref().and_then(|note| note.access_text(&catalog)),
                    note: note.map(|note| note.plugin).unwrap_or_default(),
                    name: info.name,
                }
            });
        Ok(all.collect())
    }

    /// Makes a branch of what `from` shows at `at`, or now.
    pub(crate) fn create_branch(
        &mut self,
        name: &str,
        from: u32,
        at: Option<u64>,
        plugin: &str,
        frozen: bool,
    ) -> Result<u32> {
        check_name(name)?;
        self.check_no_block("CREATE BRANCH")?;
        self.check_writable("CREATE BRANCH")?;
        let (_, catalog) = self.read_view()?;
        let (role, database) = (self.info.role(), self.instance.database());
        role.check_database(&catalog, database, Privileges::CREATE)?;
        let (engine, from) = (self.instance.engine(), TimelineId(from));
        access::check_connect(engine, from, &role)?;
        let now = engine.latest_view_on(from)?.ts();
        let created = engine.now_micros();
        let note = Note {
            owner: role.oid,
            created,
            frozen,
            since: at.filter(|at| *at < now.0).map(|_| created.max(now.0)),
            access: access::inherited(engine, from, role.oid)?,
            plugin: plugin.to_owned(),
            ..Note::default()
        };
        let at = at.map_or(now, Ts);
        // Rights that were taken since would be there again.
        let in_force = place::in_force_on(engine, engine.timeline_at(from, at)?)?;
        if (at < now || in_force != from) && !role.superuser {
            let then = self
                .instance
                .catalog_version(&engine.view_at_on(from, at)?)?;
            if then != catalog_now(&self.instance, in_force)? {
                return Err(SqlError::new(
                    state::INSUFFICIENT_PRIVILEGE,
                    "must be superuser to make a branch of a time when definitions or rights were others",
                ));
            }
        }
        let made = engine.create_timeline_with_note(name, from, at, &note.to_bytes());
        match made {
            Ok(id) => Ok(id.0),
            Err(StorageError::TimelineExists { name }) => Err(SqlError::new(
                state::DUPLICATE_OBJECT,
                format!("branch \"{name}\" already exists"),
            )),
            Err(StorageError::SnapshotTooNew { .. }) => Err(SqlError::new(
                state::INVALID_PARAMETER_VALUE,
                "cannot make a branch AS OF a time in the future",
            )),
            Err(error @ StorageError::TableTooYoung { .. }) => {
                let then = engine.view_at_on(from, at)?;
                Err(restore::too_young(&self.instance, &then, error))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Drops a branch, and what it alone holds.
    ///
    /// # Errors
    ///
    /// 40001 when another session gave it another note than `noted`.
    pub(crate) fn drop_branch(&mut self, id: u32, noted: &str) -> Result<()> {
        self.check_no_block("DROP BRANCH")?;
        self.check_writable("DROP BRANCH")?;
        let instance = self.instance.clone();
        let _turn = instance.branches_turn();
        let (info, note) = self.own_branch(id)?;
        check_noted(&info, &note, noted)?;
        if self.info.branch() == Some(info.id) {
            return Err(SqlError::new(
                state::OBJECT_IN_USE,
                "cannot drop the branch that the session is on",
            )
            .with_hint("Go to another one with USE BRANCH."));
        }
        let dropped = self.instance.engine().drop_timeline(info.id);
        dropped.map_err(not_dropped)
    }

    pub(crate) fn rename_branch(&mut self, id: u32, name: &str) -> Result<()> {
        check_name(name)?;
        self.check_no_block("ALTER BRANCH")?;
        self.check_writable("ALTER BRANCH")?;
        let (info, _) = self.own_branch(id)?;
        Ok(self.instance.engine().rename_timeline(info.id, name)?)
    }

    /// Replaces what the plugin noted of a branch.
    ///
    /// # Errors
    ///
    /// 40001 when another session gave it another note than `noted`.
    pub(crate) fn note_branch(&mut self, id: u32, noted: &str, plugin: &str) -> Result<()> {
        self.check_no_block("ALTER BRANCH")?;
        self.check_writable("ALTER BRANCH")?;
        let instance = self.instance.clone();
        let _turn = instance.branches_turn();
        let (info, note) = self.own_branch(id)?;
        check_noted(&info, &note, noted)?;
        let note = Note {
            plugin: plugin.to_owned(),
            ..note
        };
        let engine = self.instance.engine();
        Ok(engine.note_timeline(info.id, &note.to_bytes())?)
    }

    /// Puts the session on a branch, once the statement has ended.
    pub(crate) fn ask_branch(&mut self, id: u32) -> Result<()> {
        self.check_no_block("USE BRANCH")?;
        let id = TimelineId(id);
        let engine = self.instance.engine();
        if engine.timeline_name(id).is_none() {
            return Err(undefined(id));
        }
        self.info.ask_branch(id);
        Ok(())
    }

    /// A branch that the current role may change.
    fn own_branch(&mut self, id: u32) -> Result<(TimelineInfo, Note)> {
        let id = TimelineId(id);
        let engine = self.instance.engine();
        let mut all = engine.timelines().into_iter();
        let info = all
            .find(|info| info.id == id)
            .ok_or_else(|| undefined(id))?;
        if info.id == engine.main_timeline() {
            return Err(SqlError::new(
                state::WRONG_OBJECT_TYPE,
                "the main branch is the database's, and stays",
            ));
        }
        let note = Note::of(&info).unwrap_or_default();
        match self.info.role().has(note.owner) {
            true => Ok((info, note)),
            false => Err(not_owner("branch", &info.name)),
        }
    }
}
