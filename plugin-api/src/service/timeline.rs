//! `timeline/1`: branches of the database.
//!
//! A branch shows what another one showed at a time and goes on from there. It has an id that is never given
//! again, a name, an owner, and a note of the plugin's that goes where the branch goes. The host holds that
//! names are free, that only an owner changes a branch, and that what a branch is made of stays.

mod diff;
mod history;
mod merge;

pub use diff::*;
pub use history::*;
pub use merge::*;

use abi_stable::std_types::{ROption, RSlice, RStr, RString, RVec};
use abi_stable::StableAbi;

use crate::abi::value::AbiResult;
use crate::abi::Published;
use crate::error::{Error, Result};

/// A branch, or the main line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Branch {
    pub id: u32,
    pub name: String,
    /// Where it goes on from: a branch, and the newest SCN that both have in common.
    pub base: Option<(u32, u64)>,
    /// The role's name; `None` for the main line.
    pub owner: Option<String>,
    /// Microseconds since the Unix epoch.
    pub created: Option<u64>,
    /// Bytes that it alone holds, in memory and on disk.
    pub bytes: u64,
    /// Nobody writes on it: it is a name for a moment.
    pub is_frozen: bool,
    /// The session of the statement is on it.
    pub is_current: bool,
    /// Who may be on it, as `aclitem`s; `None` where nothing was granted or revoked.
    pub access: Option<String>,
    /// What the plugin noted.
    pub note: String,
}

#[repr(C)]
#[derive(StableAbi, Clone)]
pub struct AbiBranch {
    pub id: u32,
    pub name: RString,
    /// 0 for none.
    pub parent: u32,
    pub fork: u64,
    pub owner: ROption<RString>,
    pub created: ROption<u64>,
    pub bytes: u64,
    pub is_frozen: bool,
    pub is_current: bool,
    pub access: ROption<RString>,
    pub note: RString,
}

impl From<Branch> for AbiBranch {
    fn from(branch: Branch) -> AbiBranch {
        let (parent, fork) = branch.base.unwrap_or((0, 0));
        AbiBranch {
            id: branch.id,
            name: branch.name.into(),
            parent,
            fork,
            owner: branch.owner.map(RString::from).into(),
            created: branch.created.into(),
            bytes: branch.bytes,
            is_frozen: branch.is_frozen,
            is_current: branch.is_current,
            access: branch.access.map(RString::from).into(),
            note: branch.note.into(),
        }
    }
}

impl From<AbiBranch> for Branch {
    fn from(branch: AbiBranch) -> Branch {
        Branch {
            id: branch.id,
            name: branch.name.into(),
            base: (branch.parent > 0).then_some((branch.parent, branch.fork)),
            owner: branch.owner.into_option().map(String::from),
            created: branch.created.into_option(),
            bytes: branch.bytes,
            is_frozen: branch.is_frozen,
            is_current: branch.is_current,
            access: branch.access.into_option().map(String::from),
            note: branch.note.into(),
        }
    }
}

/// The vtable of `timeline/1`.
#[repr(C)]
#[derive(StableAbi)]
pub struct TimelineV1 {
    pub list: extern "C" fn(host: *const (), statement: *const ()) -> AbiResult<RVec<AbiBranch>>,
    pub create: extern "C" fn(
        host: *const (),
        statement: *const (),
        name: RStr<'_>,
        from: u32,
        at: ROption<u64>,
        note: RStr<'_>,
        frozen: bool,
    ) -> AbiResult<u32>,
    pub drop: extern "C" fn(*const (), *const (), id: u32, noted: RStr<'_>) -> AbiResult<()>,
    pub rename: extern "C" fn(*const (), *const (), id: u32, name: RStr<'_>) -> AbiResult<()>,
    pub note: extern "C" fn(
        host: *const (),
        statement: *const (),
        id: u32,
        noted: RStr<'_>,
        note: RStr<'_>,
    ) -> AbiResult<()>,
    pub choose: extern "C" fn(*const (), *const (), id: u32) -> AbiResult<()>,
    pub merge: extern "C" fn(*const (), *const (), AbiMergeRequest) -> AbiResult<AbiMergeReport>,
    pub restore: extern "C" fn(*const (), *const (), at: u64) -> AbiResult<RString>,
    pub restore_branch: extern "C" fn(*const (), *const (), id: u32) -> AbiResult<RString>,
    pub flashback: extern "C" fn(*const (), *const (), table: RStr<'_>, at: u64) -> AbiResult<u64>,
    pub diff_rows: extern "C" fn(
        host: *const (),
        statement: *const (),
        table: RStr<'_>,
        a: AbiMoment,
        b: AbiMoment,
    ) -> AbiResult<RVec<DiffRow>>,
    pub diff_cells: extern "C" fn(
        host: *const (),
        statement: *const (),
        table: RStr<'_>,
        a: AbiMoment,
        b: AbiMoment,
        rows: RSlice<'_, DiffRow>,
    ) -> AbiResult<RVec<AbiCellChange>>,
    pub diff_stat: extern "C" fn(
        host: *const (),
        statement: *const (),
        a: AbiMoment,
        b: AbiMoment,
    ) -> AbiResult<RVec<AbiTableDiff>>,
    pub last_merge: extern "C" fn(*const (), *const ()) -> AbiResult<AbiMergeReport>,
    pub commits: extern "C" fn(
        host: *const (),
        statement: *const (),
        since: ROption<u64>,
        until: ROption<u64>,
        most: u32,
    ) -> AbiResult<RVec<AbiCommit>>,
    pub blame: extern "C" fn(
        host: *const (),
        statement: *const (),
        table: RStr<'_>,
        after: ROption<u64>,
        rows_max: u32,
    ) -> AbiResult<AbiOrigins>,
}

unsafe impl Published for TimelineV1 {
    const ID: &'static str = "timeline/1";
}

/// The branches of the statement's database.
#[derive(Clone, Copy)]
pub struct Timelines<'a> {
    host: *const (),
    statement: *const (),
    vtable: &'static TimelineV1,
    lifetime: std::marker::PhantomData<&'a ()>,
}

impl Timelines<'_> {
    pub(crate) fn new(
        host: *const (),
        statement: *const (),
        vtable: &'static TimelineV1,
    ) -> Timelines<'static> {
        Timelines {
            host,
            statement,
            vtable,
            lifetime: std::marker::PhantomData,
        }
    }

    /// All of them, the main line included, by id.
    pub fn list(&self) -> Result<Vec<Branch>> {
        let all = (self.vtable.list)(self.host, self.statement);
        let all = all.into_result().map_err(Error::from)?;
        Ok(all.into_iter().map(Branch::from).collect())
    }

    /// A branch of what `from` shows at the SCN `at`, or now. It is there, durably, when this returns, whatever
    /// becomes of the statement.
    ///
    /// # Errors
    ///
    /// `42710` when the name is taken, `42602` when it cannot be one, `42501` for a role that may not CREATE in
    /// the database, `25001` in a transaction block, `22023` when the history of `at` is gone, and when it is to come.
    pub fn create(&self, name: &str, from: u32, at: Option<u64>, note: &str) -> Result<u32> {
        self.make(name, (from, at), note, false)
    }

    /// The same, of a branch that nobody writes on.
    pub fn freeze(&self, name: &str, from: u32, at: Option<u64>, note: &str) -> Result<u32> {
        self.make(name, (from, at), note, true)
    }

    fn make(
        &self,
        name: &str,
        (from, at): (u32, Option<u64>),
        note: &str,
        frozen: bool,
    ) -> Result<u32> {
        let (host, statement) = (self.host, self.statement);
        let (name, note) = (name.into(), note.into());
        let made = (self.vtable.create)(host, statement, name, from, at.into(), note, frozen);
        made.into_result().map_err(Error::from)
    }

    /// Drops a branch, with what it alone holds, if its note is still what was read.
    ///
    /// # Errors
    ///
    /// `40001` when it has another note by now, `42501` for who is not its owner, `2BP01` when it has branches, `55006` for the one that the session is
    /// on, `42809` for the main line.
    pub fn drop(&self, branch: &Branch) -> Result<()> {
        let noted = branch.note.as_str().into();
        let dropped = (self.vtable.drop)(self.host, self.statement, branch.id, noted);
        dropped.into_result().map_err(Error::from)
    }

    pub fn rename(&self, id: u32, name: &str) -> Result<()> {
        let renamed = (self.vtable.rename)(self.host, self.statement, id, name.into());
        renamed.into_result().map_err(Error::from)
    }

    /// Replaces the plugin's note, if it is still what was read.
    ///
    /// # Errors
    ///
    /// `40001` when the branch has another note by now, `42501` for who is not its owner.
    pub fn note(&self, branch: &Branch, note: &str) -> Result<()> {
        let before = branch.note.as_str().into();
        let noted = (self.vtable.note)(self.host, self.statement, branch.id, before, note.into());
        noted.into_result().map_err(Error::from)
    }

    /// Brings what the source did, since the two last had the same, to the target: a commit of its own.
    ///
    /// Conflicts are in the report and are no error. While one of them is open nothing is done.
    ///
    /// # Errors
    ///
    /// `25001` in a transaction block, `42501` without the privileges, `72000` when the history that it needs is
    /// gone, `22023` for a branch and itself, `42703` and `42804` for a resolver that suits no column.
    pub fn merge(&self, request: MergeRequest) -> Result<MergeReport> {
        let merged = (self.vtable.merge)(self.host, self.statement, request.into());
        Ok(merged.into_result().map_err(Error::from)?.into())
    }

    /// Takes the main line back to an SCN, in place; the name of the branch that has what was there. Transactions that
    /// are open on it come to nothing.
    ///
    /// # Errors
    ///
    /// `42501` for who is no superuser, `25001` in a transaction block, `22023` for a time to come, for one whose history
    /// is gone, and for one that was another branch's or before the database; `55000` when a plugin had other stores then;
    /// `40001` when somebody else restores.
    pub fn restore(&self, at: u64) -> Result<String> {
        let restored = (self.vtable.restore)(self.host, self.statement, at);
        Ok(restored.into_result().map_err(Error::from)?.into())
    }

    /// Lets a branch be the main line; the name of the branch that has what was there. Errors are those of
    /// [`restore`](Timelines::restore).
    pub fn restore_branch(&self, id: u32) -> Result<String> {
        let restored = (self.vtable.restore_branch)(self.host, self.statement, id);
        Ok(restored.into_result().map_err(Error::from)?.into())
    }

    /// Makes the rows of a table what they were at an SCN; how many were written or deleted.
    ///
    /// # Errors
    ///
    /// `42501` without SELECT, INSERT, UPDATE and DELETE, `55000` when the table was truncated since, and others.
    pub fn flashback(&self, table: &str, at: u64) -> Result<u64> {
        let flashed = (self.vtable.flashback)(self.host, self.statement, table.into(), at);
        flashed.into_result().map_err(Error::from)
    }

    /// The rows of a table in which two states may differ: those that were written since both had the same.
    ///
    /// # Errors
    ///
    /// `42P01` for a table that neither has, `42501` without SELECT and for a table with row security,
    /// `22023` for a time to come, or one whose history is gone.
    pub fn diff_rows(&self, table: &str, (a, b): (Moment, Moment)) -> Result<Vec<DiffRow>> {
        let (host, statement) = (self.host, self.statement);
        let rows = (self.vtable.diff_rows)(host, statement, table.into(), a.into(), b.into());
        Ok(rows.into_result().map_err(Error::from)?.into())
    }

    /// The cells of some of those rows in which `b` differs from `a`.
    pub fn diff_cells(
        &self,
        table: &str,
        (a, b): (Moment, Moment),
        rows: &[DiffRow],
    ) -> Result<Vec<CellChange>> {
        let (host, statement) = (self.host, self.statement);
        let (a, b) = (a.into(), b.into());
        let cells = (self.vtable.diff_cells)(host, statement, table.into(), a, b, rows.into());
        let cells = cells.into_result().map_err(Error::from)?;
        Ok(cells.into_iter().map(CellChange::from).collect())
    }

    /// The tables in which `b` differs from `a`.
    pub fn diff_stat(&self, a: Moment, b: Moment) -> Result<Vec<TableDiff>> {
        let diff = (self.vtable.diff_stat)(self.host, self.statement, a.into(), b.into());
        let diff = diff.into_result().map_err(Error::from)?;
        Ok(diff.into_iter().map(TableDiff::from).collect())
    }

    /// Commits of the session's branch after `since`, up to `until` or now, in order, at most so many. Without
    /// `since` from where the history begins.
    ///
    /// # Errors
    ///
    /// `22023` for a span that begins before the history.
    pub fn commits(
        &self,
        since: Option<u64>,
        until: Option<u64>,
        most: u32,
    ) -> Result<Vec<Commit>> {
        let (since, until) = (since.into(), until.into());
        let commits = (self.vtable.commits)(self.host, self.statement, since, until, most);
        let commits = commits.into_result().map_err(Error::from)?;
        Ok(commits.into_iter().map(Commit::from).collect())
    }

    /// Of each cell of so many rows behind the row `after`, the commit that gave it its value; and the last row that was
    /// looked at, while there may be more.
    ///
    /// # Errors
    ///
    /// `42P01` for no table, `42501` without SELECT.
    pub fn blame(
        &self,
        table: &str,
        after: Option<u64>,
        rows_max: u32,
    ) -> Result<(Vec<CellOrigin>, Option<u64>)> {
        let (host, statement) = (self.host, self.statement);
        let origins = (self.vtable.blame)(host, statement, table.into(), after.into(), rows_max);
        let origins = origins.into_result().map_err(Error::from)?;
        let cells = origins.cells.into_iter().map(CellOrigin::from);
        Ok((cells.collect(), origins.last.into_option()))
    }

    /// The report of the session's last merge; an empty one before the first.
    pub fn last_merge(&self) -> Result<MergeReport> {
        let report = (self.vtable.last_merge)(self.host, self.statement);
        Ok(report.into_result().map_err(Error::from)?.into())
    }

    /// Puts the session on a branch, once the statement has ended.
    ///
    /// # Errors
    ///
    /// `25001` in a transaction block, `55006` for a session with temporary tables.
    pub fn choose(&self, id: u32) -> Result<()> {
        let chosen = (self.vtable.choose)(self.host, self.statement, id);
        chosen.into_result().map_err(Error::from)
    }
}
