//! Who wrote what, and when.

use abi_stable::std_types::{ROption, RString, RVec};
use abi_stable::StableAbi;

/// A commit that wrote something.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Commit {
    pub scn: u64,
    /// Who made it; `None` for a role that is gone.
    pub role: Option<String>,
}

#[repr(C)]
#[derive(StableAbi, Clone)]
pub struct AbiCommit {
    pub scn: u64,
    pub role: ROption<RString>,
}

/// A cell of a row, and the commit that gave it its value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CellOrigin {
    pub row: u64,
    /// The row's primary key.
    pub key: Option<String>,
    pub column: String,
    /// As text; `None` for NULL.
    pub value: Option<String>,
    /// The commit; where the history begins later, the first that it has of the row.
    pub scn: u64,
    /// Who made it, if that is known.
    pub role: Option<String>,
}

#[repr(C)]
#[derive(StableAbi, Clone)]
pub struct AbiCellOrigin {
    pub row: u64,
    pub key: ROption<RString>,
    pub column: RString,
    pub value: ROption<RString>,
    pub scn: u64,
    pub role: ROption<RString>,
}

/// Some of the cells, and the last row that was looked at while there may be more.
#[repr(C)]
#[derive(StableAbi, Clone)]
pub struct AbiOrigins {
    pub cells: RVec<AbiCellOrigin>,
    pub last: ROption<u64>,
}

fn abi(text: Option<String>) -> ROption<RString> {
    text.map(RString::from).into()
}

fn rust(text: ROption<RString>) -> Option<String> {
    text.into_option().map(String::from)
}

impl From<Commit> for AbiCommit {
    fn from(commit: Commit) -> AbiCommit {
        AbiCommit {
            scn: commit.scn,
            role: abi(commit.role),
        }
    }
}

impl From<AbiCommit> for Commit {
    fn from(commit: AbiCommit) -> Commit {
        Commit {
            scn: commit.scn,
            role: rust(commit.role),
        }
    }
}

impl From<CellOrigin> for AbiCellOrigin {
    fn from(cell: CellOrigin) -> AbiCellOrigin {
        AbiCellOrigin {
            row: cell.row,
            key: abi(cell.key),
            column: cell.column.into(),
            value: abi(cell.value),
            scn: cell.scn,
            role: abi(cell.role),
        }
    }
}

impl From<AbiCellOrigin> for CellOrigin {
    fn from(cell: AbiCellOrigin) -> CellOrigin {
        CellOrigin {
            row: cell.row,
            key: rust(cell.key),
            column: cell.column.into(),
            value: rust(cell.value),
            scn: cell.scn,
            role: rust(cell.role),
        }
    }
}
