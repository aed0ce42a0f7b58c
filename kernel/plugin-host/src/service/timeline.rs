//! `timeline/1`.

use heliosdb_plugin_api::abi::value::AbiResult;
use heliosdb_plugin_api::abi::{ROption, RSlice, RStr, RString, RVec};
use heliosdb_plugin_api::service::TimelineV1;
use heliosdb_plugin_api::service::timeline::{
    AbiBranch, AbiCellChange, AbiCellOrigin, AbiCommit, AbiMergeReport, AbiMergeRequest, AbiMoment,
    AbiOrigins, AbiTableDiff, DiffRow,
};

use super::{caller, guarded};

pub(super) static TIMELINE: TimelineV1 = TimelineV1 {
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

extern "C" fn list(handle: *const (), statement: *const ()) -> AbiResult<RVec<AbiBranch>> {
    guarded(statement, || {
        let (_, services) = unsafe { caller(handle, statement) }?;
        let branches = services.branches()?.into_iter();
        Ok(branches.map(AbiBranch::from).collect())
    })
}

extern "C" fn create(
    handle: *const (),
    statement: *const (),
    name: RStr<'_>,
    from: u32,
    at: ROption<u64>,
    note: RStr<'_>,
    frozen: bool,
) -> AbiResult<u32> {
    guarded(statement, || {
        let (_, services) = unsafe { caller(handle, statement) }?;
        services.branch_create(name.as_str(), from, at.into_option(), note.as_str(), frozen)
    })
}

extern "C" fn drop_branch(
    handle: *const (),
    statement: *const (),
    id: u32,
    noted: RStr<'_>,
) -> AbiResult<()> {
    guarded(statement, || {
        let (_, services) = unsafe { caller(handle, statement) }?;
        services.branch_drop(id, noted.as_str())
    })
}

extern "C" fn rename(
    handle: *const (),
    statement: *const (),
    id: u32,
    name: RStr<'_>,
) -> AbiResult<()> {
    guarded(statement, || {
        let (_, services) = unsafe { caller(handle, statement) }?;
        services.branch_rename(id, name.as_str())
    })
}

extern "C" fn note(
    handle: *const (),
    statement: *const (),
    id: u32,
    noted: RStr<'_>,
    note: RStr<'_>,
) -> AbiResult<()> {
    guarded(statement, || {
        let (_, services) = unsafe { caller(handle, statement) }?;
        services.branch_note(id, noted.as_str(), note.as_str())
    })
}

extern "C" fn choose(handle: *const (), statement: *const (), id: u32) -> AbiResult<()> {
    guarded(statement, || {
        let (_, services) = unsafe { caller(handle, statement) }?;
        services.branch_choose(id)
    })
}

extern "C" fn merge(
    handle: *const (),
    statement: *const (),
    request: AbiMergeRequest,
) -> AbiResult<AbiMergeReport> {
    guarded(statement, || {
        let (_, services) = unsafe { caller(handle, statement) }?;
        Ok(services.branch_merge(&request.into())?.into())
    })
}

extern "C" fn last_merge(handle: *const (), statement: *const ()) -> AbiResult<AbiMergeReport> {
    guarded(statement, || {
        let (_, services) = unsafe { caller(handle, statement) }?;
        Ok(services.last_merge()?.into())
    })
}

extern "C" fn restore(handle: *const (), statement: *const (), at: u64) -> AbiResult<RString> {
    guarded(statement, || {
        let (_, services) = unsafe { caller(handle, statement) }?;
        Ok(services.restore(at)?.into())
    })
}

extern "C" fn restore_branch(
    handle: *const (),
    statement: *const (),
    id: u32,
) -> AbiResult<RString> {
    guarded(statement, || {
        let (_, services) = unsafe { caller(handle, statement) }?;
        Ok(services.restore_branch(id)?.into())
    })
}

extern "C" fn flashback(
    handle: *const (),
    statement: *const (),
    table: RStr<'_>,
    at: u64,
) -> AbiResult<u64> {
    guarded(statement, || {
        let (_, services) = unsafe { caller(handle, statement) }?;
        services.flashback(table.as_str(), at)
    })
}

extern "C" fn diff_rows(
    handle: *const (),
    statement: *const (),
    table: RStr<'_>,
    a: AbiMoment,
    b: AbiMoment,
) -> AbiResult<RVec<DiffRow>> {
    guarded(statement, || {
        let (_, services) = unsafe { caller(handle, statement) }?;
        Ok(services
            .diff_rows(table.as_str(), (a.into(), b.into()))?
            .into())
    })
}

extern "C" fn diff_cells(
    handle: *const (),
    statement: *const (),
    table: RStr<'_>,
    a: AbiMoment,
    b: AbiMoment,
    rows: RSlice<'_, DiffRow>,
) -> AbiResult<RVec<AbiCellChange>> {
    guarded(statement, || {
        let (_, services) = unsafe { caller(handle, statement) }?;
        let between = (a.into(), b.into());
        let cells = services.diff_cells(table.as_str(), between, rows.as_slice())?;
        Ok(cells.into_iter().map(AbiCellChange::from).collect())
    })
}

extern "C" fn diff_stat(
    handle: *const (),
    statement: *const (),
    a: AbiMoment,
    b: AbiMoment,
) -> AbiResult<RVec<AbiTableDiff>> {
    guarded(statement, || {
        let (_, services) = unsafe { caller(handle, statement) }?;
        let tables = services.diff_stat(a.into(), b.into())?.into_iter();
        Ok(tables.map(AbiTableDiff::from).collect())
    })
}

extern "C" fn commits(
    handle: *const (),
    statement: *const (),
    since: ROption<u64>,
    until: ROption<u64>,
    most: u32,
) -> AbiResult<RVec<AbiCommit>> {
    guarded(statement, || {
        let (_, services) = unsafe { caller(handle, statement) }?;
        let commits = services.commits(since.into_option(), until.into_option(), most)?;
        Ok(commits.into_iter().map(AbiCommit::from).collect())
    })
}

extern "C" fn blame(
    handle: *const (),
    statement: *const (),
    table: RStr<'_>,
    after: ROption<u64>,
    rows_max: u32,
) -> AbiResult<AbiOrigins> {
    guarded(statement, || {
        let (_, services) = unsafe { caller(handle, statement) }?;
        let (cells, last) = services.blame(table.as_str(), after.into_option(), rows_max)?;
        Ok(AbiOrigins {
            cells: cells.into_iter().map(AbiCellOrigin::from).collect(),
            last: last.into(),
        })
    })
}
