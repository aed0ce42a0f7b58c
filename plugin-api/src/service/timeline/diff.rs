//! What two states differ in.

use abi_stable::std_types::{ROption, RString};
use abi_stable::StableAbi;

/// A branch now, or at an SCN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
#[derive(StableAbi)]
pub struct AbiMoment {
    pub branch: u32,
    pub at: ROption<u64>,
}

/// A branch now, or at an SCN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    pub branch: u32,
    pub at: Option<u64>,
}

impl From<Moment> for AbiMoment {
    fn from(moment: Moment) -> AbiMoment {
        AbiMoment {
            branch: moment.branch,
            at: moment.at.into(),
        }
    }
}

impl From<AbiMoment> for Moment {
    fn from(moment: AbiMoment) -> Moment {
        Moment {
            branch: moment.branch,
            at: moment.at.into_option(),
        }
    }
}

/// A cell that is different. Of a row that one side has not got, every cell that is not NULL; one without
/// a column, if all are. Of a column that one side has not got, what is another value than the column began with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CellChange {
    /// `insert`, `update` or `delete`: what makes the first state the second.
    pub op: String,
    pub row: u64,
    /// The row's primary key.
    pub key: Option<String>,
    pub column: Option<String>,
    /// The values, as text; `None` for NULL.
    pub old: Option<String>,
    pub new: Option<String>,
}

#[repr(C)]
#[derive(StableAbi, Clone)]
pub struct AbiCellChange {
    pub op: RString,
    pub row: u64,
    pub key: ROption<RString>,
    pub column: ROption<RString>,
    pub old: ROption<RString>,
    pub new: ROption<RString>,
}

/// A table in which two states differ.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TableDiff {
    pub table: String,
    /// `created`, `dropped`, `altered`, or the `same` when only rows differ.
    pub status: String,
    pub inserted: u64,
    pub updated: u64,
    pub deleted: u64,
}

#[repr(C)]
#[derive(StableAbi, Clone)]
pub struct AbiTableDiff {
    pub table: RString,
    pub status: RString,
    pub inserted: u64,
    pub updated: u64,
    pub deleted: u64,
}

/// A row in which two states may differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
#[derive(StableAbi)]
pub struct DiffRow {
    /// Of one alone, where each of them has a table or a storage of its own.
    pub of: DiffSide,
    pub row: u64,
}

/// Whose a row is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
#[derive(StableAbi)]
pub enum DiffSide {
    Both,
    A,
    B,
}

impl From<CellChange> for AbiCellChange {
    fn from(cell: CellChange) -> AbiCellChange {
        let text = |text: Option<String>| text.map(RString::from).into();
        AbiCellChange {
            op: cell.op.into(),
            row: cell.row,
            key: text(cell.key),
            column: text(cell.column),
            old: text(cell.old),
            new: text(cell.new),
        }
    }
}

impl From<AbiCellChange> for CellChange {
    fn from(cell: AbiCellChange) -> CellChange {
        let text = |text: ROption<RString>| text.into_option().map(String::from);
        CellChange {
            op: cell.op.into(),
            row: cell.row,
            key: text(cell.key),
            column: text(cell.column),
            old: text(cell.old),
            new: text(cell.new),
        }
    }
}

impl From<TableDiff> for AbiTableDiff {
    fn from(diff: TableDiff) -> AbiTableDiff {
        AbiTableDiff {
            table: diff.table.into(),
            status: diff.status.into(),
            inserted: diff.inserted,
            updated: diff.updated,
            deleted: diff.deleted,
        }
    }
}

impl From<AbiTableDiff> for TableDiff {
    fn from(diff: AbiTableDiff) -> TableDiff {
        TableDiff {
            table: diff.table.into(),
            status: diff.status.into(),
            inserted: diff.inserted,
            updated: diff.updated,
            deleted: diff.deleted,
        }
    }
}
