//! Merges of branches: what is asked for, and what came of it.

use abi_stable::std_types::{ROption, RString, RVec};
use abi_stable::StableAbi;

/// What becomes of a conflict that no resolver is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
#[derive(StableAbi)]
pub enum ConflictPolicy {
    /// Nothing is merged while there is one.
    #[default]
    Fail,
    SourceWins,
    TargetWins,
}

/// What is made of a cell that both branches changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
#[derive(StableAbi)]
pub enum Resolver {
    /// Both changes, one after the other: of numbers.
    Sum,
    Max,
    Min,
    /// The value of the branch that wrote the row last.
    Latest,
    /// Documents, member by member: of json and jsonb.
    JsonMerge,
}

impl Resolver {
    pub const ALL: [Resolver; 5] = [
        Resolver::Sum,
        Resolver::Max,
        Resolver::Min,
        Resolver::Latest,
        Resolver::JsonMerge,
    ];

    /// As statements and reports have it.
    pub fn name(self) -> &'static str {
        match self {
            Resolver::Sum => "sum",
            Resolver::Max => "max",
            Resolver::Min => "min",
            Resolver::Latest => "latest",
            Resolver::JsonMerge => "json_merge",
        }
    }
}

/// A resolver of one column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnResolver {
    /// As SQL would name it.
    pub table: String,
    pub column: String,
    pub how: Resolver,
}

/// A merge of one branch into another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MergeRequest {
    pub source: u32,
    pub target: u32,
    pub on_conflict: ConflictPolicy,
    pub resolvers: Vec<ColumnResolver>,
    /// Do all of it, and then undo it.
    pub dry_run: bool,
    /// Drop the source once it is merged. What somebody commits on it in between keeps it.
    pub drop_source: bool,
}

/// Something that both branches changed, each otherwise.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conflict {
    /// `update/update`, `update/delete` (the source's comes first), `delete/update`, `unique`, `constraint`,
    /// `definition`, `store`.
    pub kind: String,
    /// The table, or what else it is about.
    pub object: String,
    /// The row's id.
    pub row: Option<u64>,
    /// The row's primary key, or the key that two rows have.
    pub key: Option<String>,
    /// The column, or the constraint.
    pub column: Option<String>,
    /// The values, as text; `None` for NULL and where there is no value.
    pub base: Option<String>,
    pub source: Option<String>,
    pub target: Option<String>,
    pub detail: Option<String>,
    /// Who or what decided: `source`, `target`, or a resolver. `None` while nobody has.
    pub resolution: Option<String>,
}

/// What a merge did, or would do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MergeReport {
    /// The newest state that both had: a branch, and its SCN.
    pub base: (u32, u64),
    /// The commit. `None` for a dry run, and when there was nothing to commit or a conflict is open.
    pub scn: Option<u64>,
    pub inserted: u64,
    pub updated: u64,
    pub deleted: u64,
    /// What was done to definitions, in words.
    pub definitions: Vec<String>,
    /// The first of them, as many as a report holds.
    pub conflicts: Vec<Conflict>,
    /// How many there are.
    pub conflicts_found: u64,
    /// How many of those nothing resolves.
    pub conflicts_open: u64,
}

impl MergeReport {
    /// Those of the conflicts told that nothing resolves.
    pub fn open(&self) -> impl Iterator<Item = &Conflict> {
        let conflicts = self.conflicts.iter();
        conflicts.filter(|conflict| conflict.resolution.is_none())
    }
}

#[repr(C)]
#[derive(StableAbi, Clone)]
pub struct AbiResolver {
    pub table: RString,
    pub column: RString,
    pub how: Resolver,
}

#[repr(C)]
#[derive(StableAbi, Clone)]
pub struct AbiMergeRequest {
    pub source: u32,
    pub target: u32,
    pub on_conflict: ConflictPolicy,
    pub resolvers: RVec<AbiResolver>,
    pub dry_run: bool,
    pub drop_source: bool,
}

impl From<MergeRequest> for AbiMergeRequest {
    fn from(request: MergeRequest) -> AbiMergeRequest {
        let resolvers = request.resolvers.into_iter().map(|resolver| AbiResolver {
            table: resolver.table.into(),
            column: resolver.column.into(),
            how: resolver.how,
        });
        AbiMergeRequest {
            source: request.source,
            target: request.target,
            on_conflict: request.on_conflict,
            resolvers: resolvers.collect(),
            dry_run: request.dry_run,
            drop_source: request.drop_source,
        }
    }
}

impl From<AbiMergeRequest> for MergeRequest {
    fn from(request: AbiMergeRequest) -> MergeRequest {
        let resolvers = request
            .resolvers
            .into_iter()
            .map(|resolver| ColumnResolver {
                table: resolver.table.into(),
                column: resolver.column.into(),
                how: resolver.how,
            });
        MergeRequest {
            source: request.source,
            target: request.target,
            on_conflict: request.on_conflict,
            resolvers: resolvers.collect(),
            dry_run: request.dry_run,
            drop_source: request.drop_source,
        }
    }
}

#[repr(C)]
#[derive(StableAbi, Clone)]
pub struct AbiConflict {
    pub kind: RString,
    pub object: RString,
    pub row: ROption<u64>,
    pub key: ROption<RString>,
    pub column: ROption<RString>,
    pub base: ROption<RString>,
    pub source: ROption<RString>,
    pub target: ROption<RString>,
    pub detail: ROption<RString>,
    pub resolution: ROption<RString>,
}

fn lent(text: Option<String>) -> ROption<RString> {
    text.map(RString::from).into()
}

fn owned(text: ROption<RString>) -> Option<String> {
    text.into_option().map(String::from)
}

impl From<Conflict> for AbiConflict {
    fn from(conflict: Conflict) -> AbiConflict {
        AbiConflict {
            kind: conflict.kind.into(),
            object: conflict.object.into(),
            row: conflict.row.into(),
            key: lent(conflict.key),
            column: lent(conflict.column),
            base: lent(conflict.base),
            source: lent(conflict.source),
            target: lent(conflict.target),
            detail: lent(conflict.detail),
            resolution: lent(conflict.resolution),
        }
    }
}

impl From<AbiConflict> for Conflict {
    fn from(conflict: AbiConflict) -> Conflict {
        Conflict {
            kind: conflict.kind.into(),
            object: conflict.object.into(),
            row: conflict.row.into_option(),
            key: owned(conflict.key),
            column: owned(conflict.column),
            base: owned(conflict.base),
            source: owned(conflict.source),
            target: owned(conflict.target),
            detail: owned(conflict.detail),
            resolution: owned(conflict.resolution),
        }
    }
}

#[repr(C)]
#[derive(StableAbi, Clone)]
pub struct AbiMergeReport {
    pub base: u32,
    pub base_scn: u64,
    pub scn: ROption<u64>,
    pub inserted: u64,
    pub updated: u64,
    pub deleted: u64,
    pub definitions: RVec<RString>,
    pub conflicts: RVec<AbiConflict>,
    pub conflicts_found: u64,
    pub conflicts_open: u64,
}

impl From<MergeReport> for AbiMergeReport {
    fn from(report: MergeReport) -> AbiMergeReport {
        AbiMergeReport {
            base: report.base.0,
            base_scn: report.base.1,
            scn: report.scn.into(),
            inserted: report.inserted,
            updated: report.updated,
            deleted: report.deleted,
            definitions: report.definitions.into_iter().map(RString::from).collect(),
            conflicts: report
                .conflicts
                .into_iter()
                .map(AbiConflict::from)
                .collect(),
            conflicts_found: report.conflicts_found,
            conflicts_open: report.conflicts_open,
        }
    }
}

impl From<AbiMergeReport> for MergeReport {
    fn from(report: AbiMergeReport) -> MergeReport {
        MergeReport {
            base: (report.base, report.base_scn),
            scn: report.scn.into_option(),
            inserted: report.inserted,
            updated: report.updated,
            deleted: report.deleted,
            definitions: report.definitions.into_iter().map(String::from).collect(),
            conflicts: report.conflicts.into_iter().map(Conflict::from).collect(),
            conflicts_found: report.conflicts_found,
            conflicts_open: report.conflicts_open,
        }
    }
}
