//! `command/1`: statements of the plugin's own, claimed by the keywords they begin with.

use abi_stable::std_types::{RStr, RVec};
use abi_stable::StableAbi;
use arrow_array::ArrayRef;

use super::{instance, registered};
use crate::abi::arrow::AbiColumn;
use crate::abi::value::{fields_out, AbiResult, AbiRows};
use crate::abi::{CallContext, Published};
use crate::arrow::conform;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::guard::guarded;

/// A command.
pub trait Command: Send + Sync {
    /// Runs the statement, whose text is whole, without the semicolon at its end.
    fn run(&self, cx: &Context<'_>, statement: &str) -> Result<CommandOutcome>;
}

impl<F> Command for F
where
    F: Fn(&Context<'_>, &str) -> Result<CommandOutcome> + Send + Sync,
{
    fn run(&self, cx: &Context<'_>, statement: &str) -> Result<CommandOutcome> {
        self(cx, statement)
    }
}

/// What a command answers.
#[derive(Clone, Debug, Default)]
pub struct CommandOutcome {
    /// The command tag, such as `CREATE JSON SCHEMA`.
    pub tag: String,
    /// Names and SQL types; empty for a command that gives no rows.
    pub columns: Vec<(String, String)>,
    pub batches: Vec<Vec<ArrayRef>>,
}

impl CommandOutcome {
    /// No rows.
    pub fn done(tag: &str) -> CommandOutcome {
        CommandOutcome {
            tag: tag.to_owned(),
            ..CommandOutcome::default()
        }
    }
}

/// The vtable of `command/1`.
#[repr(C)]
#[derive(StableAbi)]
pub struct CommandV1 {
    pub run: extern "C" fn(
        instance: *const (),
        index: u32,
        cx: CallContext,
        statement: RStr<'_>,
    ) -> AbiResult<AbiRows>,
}

unsafe impl Published for CommandV1 {
    const ID: &'static str = "command/1";
}

pub(crate) static COMMAND: CommandV1 = CommandV1 { run };

extern "C" fn run(
    this: *const (),
    index: u32,
    cx: CallContext,
    statement: RStr<'_>,
) -> AbiResult<AbiRows> {
    guarded("command/1.run", || {
        let instance = unsafe { instance(this) }?;
        let (_, body) = registered(&instance.registered.commands, index, "command")?;
        let cx = Context::new(cx, &instance.host);
        let outcome = body.run(&cx, statement.as_str())?;
        let mut batches = RVec::new();
        for batch in outcome.batches {
            if batch.len() != outcome.columns.len() {
                return Err(Error::contract("a batch has another number of columns"));
            }
            let columns = batch.into_iter().zip(&outcome.columns);
            let columns =
                columns.map(|(array, (_, ty))| AbiColumn::export(&conform(array, ty)?, false));
            batches.push(columns.collect::<Result<RVec<_>>>()?);
        }
        Ok(AbiRows {
            tag: outcome.tag.into(),
            fields: fields_out(outcome.columns),
            batches,
        })
    })
}
