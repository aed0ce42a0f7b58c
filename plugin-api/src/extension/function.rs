//! `function/1`: scalar, aggregate and table functions, a batch at a time.

use abi_stable::std_types::{RNone, ROption, RSlice, RSome, RVec};
use abi_stable::StableAbi;
use arrow_array::ArrayRef;

use super::{instance, registered};
use crate::abi::arrow::AbiColumn;
use crate::abi::value::AbiResult;
use crate::abi::{CallContext, Published};
use crate::arguments::{Argument, Arguments};
use crate::arrow::conform;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::guard::{guarded, guarded_or};
use crate::manifest::FunctionDecl;
use crate::service::Host;

/// A function of one value per row.
pub trait ScalarFunction: Send + Sync {
    /// One value per row, `arguments.rows()` of them, of the declared type. When every argument is
    /// constant, `rows()` is 1.
    fn call(&self, cx: &Context<'_>, arguments: &Arguments) -> Result<ArrayRef>;
}

impl<F> ScalarFunction for F
where
    F: Fn(&Context<'_>, &Arguments) -> Result<ArrayRef> + Send + Sync,
{
    fn call(&self, cx: &Context<'_>, arguments: &Arguments) -> Result<ArrayRef> {
        self(cx, arguments)
    }
}

/// A function of many rows.
pub trait AggregateFunction: Send + Sync {
    /// A new accumulator, one per group.
    fn accumulator(&self) -> Result<Box<dyn Accumulator>>;
}

impl<F> AggregateFunction for F
where
    F: Fn() -> Result<Box<dyn Accumulator>> + Send + Sync,
{
    fn accumulator(&self) -> Result<Box<dyn Accumulator>> {
        self()
    }
}

/// What an aggregate knows of the rows so far.
pub trait Accumulator: Send {
    /// Takes in a batch.
    fn update(&mut self, arguments: &Arguments) -> Result<()>;
    /// What it knows, in bytes that [`merge`](Self::merge) of another accumulator understands.
    fn state(&mut self) -> Result<Vec<u8>>;
    fn merge(&mut self, state: &[u8]) -> Result<()>;
    /// The result, one value.
    fn evaluate(&mut self) -> Result<ArrayRef>;
    /// Memory it holds, for the limit of queries.
    fn size_bytes(&self) -> usize {
        size_of_val(self)
    }
}

/// A function that gives rows.
pub trait TableFunction: Send + Sync {
    /// `arguments` has one row.
    fn open(&self, cx: &Context<'_>, arguments: &Arguments) -> Result<Box<dyn TableCursor>>;
}

impl<F> TableFunction for F
where
    F: Fn(&Context<'_>, &Arguments) -> Result<Box<dyn TableCursor>> + Send + Sync,
{
    fn open(&self, cx: &Context<'_>, arguments: &Arguments) -> Result<Box<dyn TableCursor>> {
        self(cx, arguments)
    }
}

/// Rows on demand.
pub trait TableCursor: Send {
    /// The next batch, one array per declared column; `None` at the end.
    fn next(&mut self, cx: &Context<'_>) -> Result<Option<Vec<ArrayRef>>>;
}

/// The rows of a table function that are all there at once.
pub fn rows(columns: Vec<ArrayRef>) -> Box<dyn TableCursor> {
    struct Once(Option<Vec<ArrayRef>>);
    impl TableCursor for Once {
        fn next(&mut self, _: &Context<'_>) -> Result<Option<Vec<ArrayRef>>> {
            Ok(self.0.take())
        }
    }
    Box::new(Once(Some(columns)))
}

pub(crate) enum FunctionBody {
    Scalar(Box<dyn ScalarFunction>),
    Aggregate(Box<dyn AggregateFunction>),
    Table(Box<dyn TableFunction>),
}

/// The vtable of `function/1`. `index` counts the functions as registered.
#[repr(C)]
#[derive(StableAbi)]
pub struct FunctionV1 {
    /// Evaluates a scalar function over `rows` rows into `result`.
    pub call: extern "C" fn(
        instance: *const (),
        index: u32,
        cx: CallContext,
        arguments: RVec<AbiColumn>,
        rows: u64,
        result: &mut AbiColumn,
    ) -> AbiResult<()>,
    /// A new accumulator of an aggregate function; `release` ends it.
    pub accumulator: extern "C" fn(instance: *const (), index: u32) -> AbiResult<*mut ()>,
    pub update:
        extern "C" fn(accumulator: *mut (), arguments: RVec<AbiColumn>, rows: u64) -> AbiResult<()>,
    pub state: extern "C" fn(accumulator: *mut ()) -> AbiResult<RVec<u8>>,
    pub merge: extern "C" fn(accumulator: *mut (), state: RSlice<'_, u8>) -> AbiResult<()>,
    pub evaluate: extern "C" fn(accumulator: *mut (), result: &mut AbiColumn) -> AbiResult<()>,
    pub size_bytes: extern "C" fn(accumulator: *mut ()) -> u64,
    pub release: extern "C" fn(accumulator: *mut ()),
    /// A cursor of a table function; `close` ends it.
    pub open: extern "C" fn(
        instance: *const (),
        index: u32,
        cx: CallContext,
        arguments: RVec<AbiColumn>,
    ) -> AbiResult<*mut ()>,
    /// The next batch, nothing at the end.
    pub next: extern "C" fn(
        cursor: *mut (),
        cx: CallContext,
        rows: &mut u64,
    ) -> AbiResult<ROption<RVec<AbiColumn>>>,
    pub close: extern "C" fn(cursor: *mut ()),
}

unsafe impl Published for FunctionV1 {
    const ID: &'static str = "function/1";
}

pub(crate) static FUNCTION: FunctionV1 = FunctionV1 {
    call,
    accumulator,
    update,
    state,
    merge,
    evaluate,
    size_bytes,
    release,
    open,
    next,
    close,
};

/// An accumulator with the type it must evaluate to.
struct OpenAccumulator {
    body: Box<dyn Accumulator>,
    declared: FunctionDecl,
}

/// A cursor with what its calls need.
struct OpenCursor {
    body: Box<dyn TableCursor>,
    host: Host,
    types: Vec<String>,
}

pub(crate) fn import_arguments(columns: RVec<AbiColumn>, rows: u64) -> Result<Arguments> {
    let columns = columns.into_iter().map(|column| {
        let (array, constant) = column.import_trusted()?;
        Ok(Argument::new(array, constant))
    });
    let rows = usize::try_from(rows).map_err(|_| Error::contract("too many rows"))?;
    Ok(Arguments::new(columns.collect::<Result<_>>()?, rows))
}

extern "C" fn call(
    this: *const (),
    index: u32,
    cx: CallContext,
    arguments: RVec<AbiColumn>,
    rows: u64,
    result: &mut AbiColumn,
) -> AbiResult<()> {
    guarded("function/1.call", || {
        let instance = unsafe { instance(this) }?;
        let (declared, body) = registered(&instance.registered.functions, index, "function")?;
        let FunctionBody::Scalar(body) = body else {
            return Err(Error::contract(format!("{} is not scalar", declared.name)));
        };
        let arguments = import_arguments(arguments, rows)?;
        let cx = Context::new(cx, &instance.host);
        let array = body.call(&cx, &arguments)?;
        *result = AbiColumn::export(&conform(array, &declared.returns)?, false)?;
        Ok(())
    })
}

extern "C" fn accumulator(this: *const (), index: u32) -> AbiResult<*mut ()> {
    guarded("function/1.accumulator", || {
        let instance = unsafe { instance(this) }?;
        let (declared, body) = registered(&instance.registered.functions, index, "function")?;
        let FunctionBody::Aggregate(body) = body else {
            return Err(Error::contract(format!(
                "{} is no aggregate",
                declared.name
            )));
        };
        let open = OpenAccumulator {
            body: body.accumulator()?,
            declared: declared.clone(),
        };
        Ok(Box::into_raw(Box::new(open)).cast())
    })
}

/// # Safety
///
/// `accumulator` is what the entry of that name gave out, not yet released, used by one thread.
unsafe fn open_accumulator<'a>(accumulator: *mut ()) -> Result<&'a mut OpenAccumulator> {
    // SAFETY: the caller's.
    unsafe { accumulator.cast::<OpenAccumulator>().as_mut() }
        .ok_or_else(|| Error::contract("the accumulator is null"))
}

extern "C" fn update(accumulator: *mut (), arguments: RVec<AbiColumn>, rows: u64) -> AbiResult<()> {
    guarded("function/1.update", || {
        let open = unsafe { open_accumulator(accumulator) }?;
        open.body.update(&import_arguments(arguments, rows)?)
    })
}

extern "C" fn state(accumulator: *mut ()) -> AbiResult<RVec<u8>> {
    guarded("function/1.state", || {
        let open = unsafe { open_accumulator(accumulator) }?;
        Ok(open.body.state()?.into())
    })
}

extern "C" fn merge(accumulator: *mut (), state: RSlice<'_, u8>) -> AbiResult<()> {
    guarded("function/1.merge", || {
        let open = unsafe { open_accumulator(accumulator) }?;
        open.body.merge(&state)
    })
}

extern "C" fn evaluate(accumulator: *mut (), result: &mut AbiColumn) -> AbiResult<()> {
    guarded("function/1.evaluate", || {
        let open = unsafe { open_accumulator(accumulator) }?;
        let array = conform(open.body.evaluate()?, &open.declared.returns)?;
        *result = AbiColumn::export(&array, false)?;
        Ok(())
    })
}

extern "C" fn size_bytes(accumulator: *mut ()) -> u64 {
    guarded_or("function/1.size_bytes", 0, || {
        let open = unsafe { open_accumulator(accumulator) };
        open.map_or(0, |open| open.body.size_bytes() as u64)
    })
}

extern "C" fn release(accumulator: *mut ()) {
    guarded_or("function/1.release", (), || {
        if !accumulator.is_null() {
            // SAFETY: `accumulator` made it with `Box::into_raw`, and the host releases it once.
            drop(unsafe { Box::from_raw(accumulator.cast::<OpenAccumulator>()) });
        }
    });
}

extern "C" fn open(
    this: *const (),
    index: u32,
    cx: CallContext,
    arguments: RVec<AbiColumn>,
) -> AbiResult<*mut ()> {
    guarded("function/1.open", || {
        let instance = unsafe { instance(this) }?;
        let (declared, body) = registered(&instance.registered.functions, index, "function")?;
        let FunctionBody::Table(body) = body else {
            return Err(Error::contract(format!("{} gives no table", declared.name)));
        };
        let arguments = import_arguments(arguments, 1)?;
        let columns = crate::manifest::table_columns(&declared.returns).unwrap_or_default();
        let open = OpenCursor {
            body: body.open(&Context::new(cx, &instance.host), &arguments)?,
            host: instance.host.clone(),
            types: columns.into_iter().map(|(_, ty)| ty).collect(),
        };
        Ok(Box::into_raw(Box::new(open)).cast())
    })
}

extern "C" fn next(
    cursor: *mut (),
    cx: CallContext,
    rows: &mut u64,
) -> AbiResult<ROption<RVec<AbiColumn>>> {
    guarded("function/1.next", || {
        // SAFETY: `open` made it, and one thread at a time asks for rows.
        let open = unsafe { cursor.cast::<OpenCursor>().as_mut() }
            .ok_or_else(|| Error::contract("the cursor is null"))?;
        let Some(batch) = open.body.next(&Context::new(cx, &open.host))? else {
            return Ok(RNone);
        };
        if batch.len() != open.types.len() {
            return Err(Error::contract(format!(
                "the table function gave {} columns, {} are declared",
                batch.len(),
                open.types.len()
            )));
        }
        *rows = batch.first().map_or(0, |column| column.len() as u64);
        let columns = batch.into_iter().zip(&open.types);
        let columns = columns.map(|(array, ty)| AbiColumn::export(&conform(array, ty)?, false));
        Ok(RSome(columns.collect::<Result<RVec<_>>>()?))
    })
}

extern "C" fn close(cursor: *mut ()) {
    guarded_or("function/1.close", (), || {
        if !cursor.is_null() {
            // SAFETY: `open` made it with `Box::into_raw`, and the host closes it once.
            drop(unsafe { Box::from_raw(cursor.cast::<OpenCursor>()) });
        }
    });
}
