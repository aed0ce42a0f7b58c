//! `timeline/1`: branches in a list. Nothing is on them.

use std::collections::BTreeMap;

use heliosdb_plugin_api::abi::value::AbiResult;
use heliosdb_plugin_api::abi::{ROption, RSlice, RStr, RString, RVec};
use heliosdb_plugin_api::service::timeline::{
    AbiBranch, AbiCellChange, AbiCommit, AbiMergeReport, AbiMergeRequest, AbiMoment, AbiOrigins,
    AbiTableDiff, DiffRow, MergeReport,
};
use heliosdb_plugin_api::service::{Branch, TimelineV1};
use heliosdb_plugin_api::{Error, Result, state};

use super::{answer, lock};

/// The id of the main line.
const MAIN: u32 = 1;

pub static TIMELINE: TimelineV1 = TimelineV1 {
    list,
    create,
    drop: drop_branch,
    rename,
    note,
    choose,
    merge,
    restore,
    restore_branch,
    flashback,
    diff_rows,
    diff_cells,
    diff_stat,
    commits,
    blame,
    last_merge,
};

pub struct Branches {
    all: BTreeMap<u32, Branch>,
    last: u32,
}

impl Default for Branches {
    fn default() -> Branches {
        let main = Branch {
            id: MAIN,
            name: "main".to_owned(),
            base: None,
            owner: None,
            created: None,
            bytes: 0,
            is_frozen: false,
            is_current: true,
            access: None,
            note: String::new(),
        };
        Branches {
            all: BTreeMap::from([(MAIN, main)]),
            last: MAIN,
        }
    }
}

impl Branches {
    fn known(&mut self, id: u32) -> Result<&mut Branch> {
        let missing = || {
            let message = format!("branch {id} does not exist");
            Error::new(state::UNDEFINED_OBJECT, message)
        };
        self.all.get_mut(&id).ok_or_else(missing)
    }

    fn check_free(&self, name: &str) -> Result<()> {
        match self.all.values().any(|branch| branch.name == name) {
            false => Ok(()),
            true => Err(Error::new(
                state::DUPLICATE_OBJECT,
                format!("branch \"{name}\" already exists"),
            )),
        }
    }
}

extern "C" fn list(host: *const (), statement: *const ()) -> AbiResult<RVec<AbiBranch>> {
    answer(host, statement, |host| {
        let branches = lock(&host.branches);
        let all = branches.all.values().cloned();
        Ok(all.map(AbiBranch::from).collect())
    })
}

extern "C" fn create(
    host: *const (),
    statement: *const (),
    name: RStr<'_>,
    from: u32,
    at: ROption<u64>,
    note: RStr<'_>,
    frozen: bool,
) -> AbiResult<u32> {
    answer(host, statement, |host| {
        host.writable()?;
        let mut branches = lock(&host.branches);
        branches.known(from)?;
        branches.check_free(&name)?;
        branches.last += 1;
        let id = branches.last;
        let branch = Branch {
            id,
            name: name.to_string(),
            base: Some((from, at.unwrap_or(0))),
            owner: Some("tester".to_owned()),
            created: Some(0),
            bytes: 0,
            is_frozen: frozen,
            is_current: false,
            access: None,
            note: note.to_string(),
        };
        branches.all.insert(id, branch);
        Ok(id)
    })
}

/// As the kernel: who decided upon another note than there is has to look again.
fn check_noted(branch: &Branch, noted: RStr<'_>) -> Result<()> {
    match branch.note == noted.as_str() {
        true => Ok(()),
        false => Err(Error::new(
            state::SERIALIZATION_FAILURE,
            "the branch was altered meanwhile",
        )),
    }
}

extern "C" fn drop_branch(
    host: *const (),
    statement: *const (),
    id: u32,
    noted: RStr<'_>,
) -> AbiResult<()> {
    answer(host, statement, |host| {
        host.writable()?;
        let mut branches = lock(&host.branches);
        check_noted(branches.known(id)?, noted)?;
        branches.all.remove(&id);
        Ok(())
    })
}

extern "C" fn rename(
    host: *const (),
    statement: *const (),
    id: u32,
    name: RStr<'_>,
) -> AbiResult<()> {
    answer(host, statement, |host| {
        host.writable()?;
        let mut branches = lock(&host.branches);
        branches.check_free(&name)?;
        branches.known(id)?.name = name.to_string();
        Ok(())
    })
}

extern "C" fn note(
    host: *const (),
    statement: *const (),
    id: u32,
    noted: RStr<'_>,
    note: RStr<'_>,
) -> AbiResult<()> {
    answer(host, statement, |host| {
        host.writable()?;
        let mut branches = lock(&host.branches);
        let branch = branches.known(id)?;
        check_noted(branch, noted)?;
        branch.note = note.to_string();
        Ok(())
    })
}

extern "C" fn choose(host: *const (), statement: *const (), id: u32) -> AbiResult<()> {
    answer(host, statement, |host| {
        let mut branches = lock(&host.branches);
        branches.known(id)?;
        for branch in branches.all.values_mut() {
            branch.is_current = branch.id == id;
        }
        Ok(())
    })
}

/// Nothing is on the branches, so nothing comes of it.
extern "C" fn merge(
    host: *const (),
    statement: *const (),
    request: AbiMergeRequest,
) -> AbiResult<AbiMergeReport> {
    answer(host, statement, |host| {
        host.writable()?;
        let mut branches = lock(&host.branches);
        branches.known(request.source)?;
        branches.known(request.target)?;
        if request.drop_source && !request.dry_run {
            branches.all.remove(&request.source);
        }
        Ok(MergeReport::default().into())
    })
}

extern "C" fn last_merge(host: *const (), statement: *const ()) -> AbiResult<AbiMergeReport> {
    answer(host, statement, |_| Ok(MergeReport::default().into()))
}

extern "C" fn restore(host: *const (), statement: *const (), at: u64) -> AbiResult<RString> {
    answer(host, statement, |host| {
        host.writable()?;
        Ok(format!("before_{at}").into())
    })
}

extern "C" fn restore_branch(host: *const (), statement: *const (), id: u32) -> AbiResult<RString> {
    answer(host, statement, |host| {
        host.writable()?;
        let mut branches = lock(&host.branches);
        Ok(branches.known(id)?.name.clone().into())
    })
}

/// There are no rows.
extern "C" fn flashback(
    host: *const (),
    statement: *const (),
    _: RStr<'_>,
    _: u64,
) -> AbiResult<u64> {
    answer(host, statement, |host| host.writable().map(|_| 0))
}

extern "C" fn diff_rows(
    host: *const (),
    statement: *const (),
    _: RStr<'_>,
    a: AbiMoment,
    b: AbiMoment,
) -> AbiResult<RVec<DiffRow>> {
    answer(host, statement, |host| {
        let mut branches = lock(&host.branches);
        branches.known(a.branch)?;
        branches.known(b.branch)?;
        Ok(RVec::new())
    })
}

extern "C" fn diff_cells(
    host: *const (),
    statement: *const (),
    _: RStr<'_>,
    _: AbiMoment,
    _: AbiMoment,
    _: RSlice<'_, DiffRow>,
) -> AbiResult<RVec<AbiCellChange>> {
    answer(host, statement, |_| Ok(RVec::new()))
}

extern "C" fn diff_stat(
    host: *const (),
    statement: *const (),
    a: AbiMoment,
    b: AbiMoment,
) -> AbiResult<RVec<AbiTableDiff>> {
    answer(host, statement, |host| {
        let mut branches = lock(&host.branches);
        branches.known(a.branch)?;
        branches.known(b.branch)?;
        Ok(RVec::new())
    })
}

/// Nobody has written anything.
extern "C" fn commits(
    host: *const (),
    statement: *const (),
    _: ROption<u64>,
    _: ROption<u64>,
    _: u32,
) -> AbiResult<RVec<AbiCommit>> {
    answer(host, statement, |_| Ok(RVec::new()))
}

extern "C" fn blame(
    host: *const (),
    statement: *const (),
    _: RStr<'_>,
    _: ROption<u64>,
    _: u32,
) -> AbiResult<AbiOrigins> {
    answer(host, statement, |_| {
        Ok(AbiOrigins {
            cells: RVec::new(),
            last: ROption::RNone,
        })
    })
}
