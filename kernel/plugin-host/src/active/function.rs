//! Functions of a plugin.

use std::sync::Arc;

use arrow_array::ArrayRef;
use arrow_schema::DataType;
use heliosdb_plugin_api::abi::RVec;
use heliosdb_plugin_api::abi::arrow::AbiColumn;
use heliosdb_plugin_api::abi::value::AbiResult;
use heliosdb_plugin_api::extension::function::FunctionV1;
use heliosdb_plugin_api::manifest::{FunctionDecl, table_columns};
use heliosdb_plugin_api::{Argument, Error, Result, state};

use super::registered::Registered;
use crate::service::in_statement;
use crate::services::StatementServices;

/// One overload of a function.
pub type Function = Registered<FunctionV1, FunctionDecl>;

impl Function {
    /// Names and SQL types of a table function's columns; empty for other kinds.
    pub fn columns(&self) -> Vec<(String, String)> {
        table_columns(&self.declared.returns).unwrap_or_default()
    }

    /// Evaluates a scalar function over `rows` rows. A constant argument has one value.
    ///
    /// # Errors
    ///
    /// The function's own, or `38000` for a result that is not `rows` values of type `result`.
    pub fn call(
        &self,
        services: &dyn StatementServices,
        arguments: &[Argument],
        rows: usize,
        result: &DataType,
    ) -> Result<ArrayRef> {
        if let Some(fault) = services.fault_of(self.plugin()) {
            return Err(fault);
        }
        let evaluated = self.evaluate(services, arguments, rows, result);
        if let Err(error) = &evaluated
            && error.sqlstate == state::EXTERNAL_ROUTINE_EXCEPTION
        {
            services.note_fault(self.plugin(), error);
        }
        evaluated
    }

    fn evaluate(
        &self,
        services: &dyn StatementServices,
        arguments: &[Argument],
        rows: usize,
        result: &DataType,
    ) -> Result<ArrayRef> {
        let arguments = export(arguments)?;
        let mut column = AbiColumn::empty();
        in_statement(services, |cx| {
            self.active.call(|instance| {
                let (index, rows) = (self.index, rows as u64);
                (self.vtable.call)(instance, index, cx, arguments, rows, &mut column)
            })
        })?;
        self.import(column, result, rows)
    }

    fn import(&self, column: AbiColumn, ty: &DataType, rows: usize) -> Result<ArrayRef> {
        column.import(ty, rows).map_err(|error| {
            self.active
                .broke(format!("{}: {}", self.declared.name, error.message))
        })
    }

    /// A new accumulator of an aggregate function.
    pub fn accumulator(self: &Arc<Self>) -> Result<Accumulator> {
        let accumulator = self
            .active
            .call(|instance| (self.vtable.accumulator)(instance, self.index))?;
        if accumulator.is_null() {
            return Err(self.active.broke("it gave no accumulator"));
        }
        let mut accumulator = Accumulator {
            function: self.clone(),
            accumulator,
            size_bytes: 0,
            poisoned: false,
        };
        accumulator.measure();
        Ok(accumulator)
    }

    /// The rows of a table function for arguments of one value each.
    pub fn open(
        self: &Arc<Self>,
        services: Arc<dyn StatementServices>,
        arguments: &[ArrayRef],
    ) -> Result<TableCursor> {
        let arguments: Vec<Argument> = arguments
            .iter()
            .map(|array| Argument::new(array.clone(), true))
            .collect();
        let arguments = export(&arguments)?;
        let cursor = in_statement(&*services, |cx| {
            self.active
                .call(|instance| (self.vtable.open)(instance, self.index, cx, arguments))
        })?;
        if cursor.is_null() {
            return Err(self.active.broke("it gave no cursor"));
        }
        Ok(TableCursor {
            function: self.clone(),
            services,
            cursor,
            poisoned: false,
        })
    }
}

impl std::fmt::Debug for Function {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let arguments = self.declared.arguments.join(", ");
        write!(f, "{}({arguments})", self.declared.name)
    }
}

fn has_panicked<T>(result: &AbiResult<T>) -> bool {
    let error = result.as_ref().into_result().err();
    error.is_some_and(|error| error.panicked)
}

pub(super) fn export(arguments: &[Argument]) -> Result<RVec<AbiColumn>> {
    arguments
        .iter()
        .map(|a| AbiColumn::export(a.array(), a.is_constant()))
        .collect()
}

/// The largest size of an accumulator that is believed: those of all groups are added up, and the sum
/// must not overflow.
const SIZE_BYTES_MAX: u64 = 1 << 30;

/// What an aggregate knows of its rows so far.
pub struct Accumulator {
    function: Arc<Function>,
    accumulator: *mut (),
    /// As of its last change: to ask is a call too, and one thread at a time may call.
    size_bytes: usize,
    poisoned: bool,
}

// One thread at a time: every call needs `&mut` or ownership; `dyn Accumulator` is Send.
unsafe impl Send for Accumulator {}
unsafe impl Sync for Accumulator {}

impl Accumulator {
    fn call<T>(
        &mut self,
        call: impl FnOnce(&'static FunctionV1, *mut ()) -> AbiResult<T>,
    ) -> Result<T> {
        if self.poisoned {
            return Err(Error::contract("an accumulator panicked before"));
        }
        let (vtable, accumulator) = (self.function.vtable, self.accumulator);
        let mut panicked = false;
        let result = self.function.active.call(|_| {
            let result = call(vtable, accumulator);
            panicked = has_panicked(&result);
            result
        });
        self.poisoned = panicked;
        result
    }

    pub fn update(&mut self, arguments: &[Argument], rows: usize) -> Result<()> {
        let arguments = export(arguments)?;
        self.call(|vtable, this| (vtable.update)(this, arguments, rows as u64))?;
        self.measure();
        Ok(())
    }

    pub fn state(&mut self) -> Result<Vec<u8>> {
        Ok(self.call(|vtable, this| (vtable.state)(this))?.into())
    }

    pub fn merge(&mut self, state: &[u8]) -> Result<()> {
        self.call(|vtable, this| (vtable.merge)(this, state.into()))?;
        self.measure();
        Ok(())
    }

    /// The result, one value of type `ty`.
    pub fn evaluate(&mut self, ty: &DataType) -> Result<ArrayRef> {
        let mut column = AbiColumn::empty();
        self.call(|vtable, this| (vtable.evaluate)(this, &mut column))?;
        self.function.import(column, ty, 1)
    }

    /// Memory that it held after it last took something in.
    pub fn size_bytes(&self) -> usize {
        self.size_bytes
    }

    fn measure(&mut self) {
        let bytes = (self.function.vtable.size_bytes)(self.accumulator);
        self.size_bytes = usize::try_from(bytes.min(SIZE_BYTES_MAX)).unwrap_or(usize::MAX);
    }
}

impl Drop for Accumulator {
    fn drop(&mut self) {
        (self.function.vtable.release)(self.accumulator);
    }
}

/// Rows of a table function, on demand.
pub struct TableCursor {
    function: Arc<Function>,
    services: Arc<dyn StatementServices>,
    cursor: *mut (),
    poisoned: bool,
}

// One thread at a time: `next` needs `&mut`; `dyn TableCursor` is Send.
unsafe impl Send for TableCursor {}
unsafe impl Sync for TableCursor {}

impl TableCursor {
    /// The next batch: one array per column, of the types given; `None` at the end.
    pub fn next(&mut self, types: &[DataType]) -> Result<Option<Vec<ArrayRef>>> {
        if self.poisoned {
            return Err(Error::contract("the table function panicked before"));
        }
        let (vtable, cursor) = (self.function.vtable, self.cursor);
        let mut rows = 0;
        let mut panicked = false;
        let batch = in_statement(&*self.services, |cx| {
            self.function.active.call(|_| {
                let result = (vtable.next)(cursor, cx, &mut rows);
                panicked = has_panicked(&result);
                result
            })
        });
        self.poisoned = panicked;
        let Some(batch) = batch?.into_option() else {
            return Ok(None);
        };
        if batch.len() != types.len() {
            return Err(self.function.active.broke(format!(
                "{} gave {} columns, {} are declared",
                self.function.declared.name,
                batch.len(),
                types.len()
            )));
        }
        let rows = usize::try_from(rows).unwrap_or(usize::MAX);
        let columns = batch.into_iter().zip(types);
        let columns = columns.map(|(column, ty)| self.function.import(column, ty, rows));
        columns.collect::<Result<Vec<_>>>().map(Some)
    }
}

impl Drop for TableCursor {
    fn drop(&mut self) {
        (self.function.vtable.close)(self.cursor);
    }
}
