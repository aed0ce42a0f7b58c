//! `clause/1`: options of the plugin's own inside CREATE TABLE and ALTER TABLE.

use abi_stable::std_types::{ROption, RSlice, RStr, RString, RVec};
use abi_stable::StableAbi;

use super::{instance, registered};
use crate::abi::value::AbiResult;
use crate::abi::{CallContext, Published};
use crate::context::Context;
use crate::error::Result;
use crate::guard::guarded;

/// A clause, whose grammar is in the manifest.
pub trait Clause: Send + Sync {
    /// What the clause means for the table or column it stands at. `arguments` are those of the
    /// grammar in their order: a `<name>` as written (maybe qualified, maybe quoted), a `<literal>`
    /// as its value.
    fn apply(
        &self,
        cx: &Context<'_>,
        target: &ClauseTarget,
        arguments: &[String],
    ) -> Result<Vec<ClauseAction>>;
}

/// Where the clause stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClauseTarget {
    pub schema: String,
    pub table: String,
    /// Name and SQL type; none for a clause of a table.
    pub column: Option<(String, String)>,
}

/// What the kernel does for the clause, in the same transaction as the DDL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClauseAction {
    /// A constraint on the column, or on the whole table.
    AddConstraint {
        /// A constraint of the manifest.
        kind: String,
        /// The plugin's own text, given back to [`Constraint::check`](super::constraint::Constraint).
        options: String,
        /// The clause as SQL, for `pg_get_constraintdef` and dumps. `{oid}` stands for the name
        /// that an object of `depends_on` has when the clause is shown.
        definition: String,
        /// Oids of objects of the plugin that it cannot be without.
        depends_on: Vec<u32>,
    },
}

#[repr(C)]
#[derive(StableAbi, Clone, Copy)]
pub struct AbiTarget<'a> {
    pub schema: RStr<'a>,
    pub table: RStr<'a>,
    pub column: ROption<RStr<'a>>,
    pub column_type: ROption<RStr<'a>>,
}

/// The one action of version 1: a constraint.
#[repr(C)]
#[derive(StableAbi, Clone)]
pub struct AbiConstraintAction {
    pub kind: RString,
    pub options: RString,
    pub definition: RString,
    pub depends_on: RVec<u32>,
}

/// The vtable of `clause/1`.
#[repr(C)]
#[derive(StableAbi)]
pub struct ClauseV1 {
    pub apply: extern "C" fn(
        instance: *const (),
        index: u32,
        cx: CallContext,
        target: AbiTarget<'_>,
        arguments: RSlice<'_, RStr<'_>>,
    ) -> AbiResult<RVec<AbiConstraintAction>>,
}

unsafe impl Published for ClauseV1 {
    const ID: &'static str = "clause/1";
}

pub(crate) static CLAUSE: ClauseV1 = ClauseV1 { apply };

extern "C" fn apply(
    this: *const (),
    index: u32,
    cx: CallContext,
    target: AbiTarget<'_>,
    arguments: RSlice<'_, RStr<'_>>,
) -> AbiResult<RVec<AbiConstraintAction>> {
    guarded("clause/1.apply", || {
        let instance = unsafe { instance(this) }?;
        let (_, body) = registered(&instance.registered.clauses, index, "clause")?;
        let column = target.column.into_option();
        let ty = target.column_type.into_option();
        let target = ClauseTarget {
            schema: target.schema.into(),
            table: target.table.into(),
            column: column.map(|c| (c.into(), ty.map(String::from).unwrap_or_default())),
        };
        let arguments: Vec<String> = arguments.iter().map(|a| a.to_string()).collect();
        let actions = body.apply(&Context::new(cx, &instance.host), &target, &arguments)?;
        Ok(actions.into_iter().map(AbiConstraintAction::from).collect())
    })
}

impl From<ClauseAction> for AbiConstraintAction {
    fn from(action: ClauseAction) -> AbiConstraintAction {
        let ClauseAction::AddConstraint {
            kind,
            options,
            definition,
            depends_on,
        } = action;
        AbiConstraintAction {
            kind: kind.into(),
            options: options.into(),
            definition: definition.into(),
            depends_on: depends_on.into(),
        }
    }
}

impl From<AbiConstraintAction> for ClauseAction {
    fn from(action: AbiConstraintAction) -> ClauseAction {
        ClauseAction::AddConstraint {
            kind: action.kind.into(),
            options: action.options.into(),
            definition: action.definition.into(),
            depends_on: action.depends_on.into(),
        }
    }
}
