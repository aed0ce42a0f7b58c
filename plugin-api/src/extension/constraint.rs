//! `constraint/1`: checks on written rows, inside their transaction.

use abi_stable::std_types::{ROption, RSlice, RStr, RString, RVec};
use abi_stable::StableAbi;

use super::function::import_arguments;
use super::{instance, registered};
use crate::abi::arrow::AbiColumn;
use crate::abi::value::AbiResult;
use crate::abi::{CallContext, Published};
use crate::arguments::Arguments;
use crate::context::Context;
use crate::error::Result;
use crate::guard::guarded;

/// A kind of constraint. Its values are the constraints of tables, each with its options.
pub trait Constraint: Send + Sync {
    /// The rows that break the constraint; `rows` has one column per column of `definition`.
    fn check(
        &self,
        cx: &Context<'_>,
        definition: &ConstraintDefinition,
        rows: &Arguments,
    ) -> Result<Vec<Violation>>;
}

/// A constraint of a table, as a [`ClauseAction`](super::clause::ClauseAction) made it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConstraintDefinition {
    pub name: String,
    pub schema: String,
    pub table: String,
    pub columns: Vec<String>,
    /// The plugin's own text.
    pub options: String,
}

/// A row that breaks a constraint. The client sees `23514`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Violation {
    /// From 0 in the batch.
    pub row: usize,
    /// Instead of PostgreSQL's message for a check constraint.
    pub message: Option<String>,
    pub detail: Option<String>,
    pub hint: Option<String>,
}

#[repr(C)]
#[derive(StableAbi, Clone, Copy)]
pub struct AbiConstraint<'a> {
    pub name: RStr<'a>,
    pub schema: RStr<'a>,
    pub table: RStr<'a>,
    pub columns: RSlice<'a, RStr<'a>>,
    pub options: RStr<'a>,
}

#[repr(C)]
#[derive(StableAbi, Clone)]
pub struct AbiViolation {
    pub row: u64,
    pub message: ROption<RString>,
    pub detail: ROption<RString>,
    pub hint: ROption<RString>,
}

/// The vtable of `constraint/1`.
#[repr(C)]
#[derive(StableAbi)]
pub struct ConstraintV1 {
    pub check: extern "C" fn(
        instance: *const (),
        index: u32,
        cx: CallContext,
        definition: AbiConstraint<'_>,
        columns: RVec<AbiColumn>,
        rows: u64,
    ) -> AbiResult<RVec<AbiViolation>>,
}

unsafe impl Published for ConstraintV1 {
    const ID: &'static str = "constraint/1";
}

pub(crate) static CONSTRAINT: ConstraintV1 = ConstraintV1 { check };

extern "C" fn check(
    this: *const (),
    index: u32,
    cx: CallContext,
    definition: AbiConstraint<'_>,
    columns: RVec<AbiColumn>,
    rows: u64,
) -> AbiResult<RVec<AbiViolation>> {
    guarded("constraint/1.check", || {
        let instance = unsafe { instance(this) }?;
        let (_, body) = registered(&instance.registered.constraints, index, "constraint")?;
        let rows = import_arguments(columns, rows)?;
        let definition = ConstraintDefinition {
            name: definition.name.into(),
            schema: definition.schema.into(),
            table: definition.table.into(),
            columns: definition.columns.iter().map(|c| c.to_string()).collect(),
            options: definition.options.into(),
        };
        let found = body.check(&Context::new(cx, &instance.host), &definition, &rows)?;
        Ok(found.into_iter().map(AbiViolation::from).collect())
    })
}

impl From<Violation> for AbiViolation {
    fn from(v: Violation) -> AbiViolation {
        AbiViolation {
            row: v.row as u64,
            message: v.message.map(RString::from).into(),
            detail: v.detail.map(RString::from).into(),
            hint: v.hint.map(RString::from).into(),
        }
    }
}

impl From<AbiViolation> for Violation {
    fn from(v: AbiViolation) -> Violation {
        Violation {
            row: usize::try_from(v.row).unwrap_or(usize::MAX),
            message: v.message.into_option().map(String::from),
            detail: v.detail.into_option().map(String::from),
            hint: v.hint.into_option().map(String::from),
        }
    }
}
