//! The host's side of each vtable, with every result checked on import.

use std::fmt;
use std::ops::Range;

use arrow_array::{Array, ArrayRef, new_empty_array};
use arrow_schema::DataType;
use heliosdb_plugin_api::abi::arrow::AbiColumn;
use heliosdb_plugin_api::abi::value::{AbiResult, entries_in, entries_out, fields_in};
use heliosdb_plugin_api::abi::{ROption, RStr, RVec};
use heliosdb_plugin_api::arrow::sql_type;
use heliosdb_plugin_api::extension::clause::AbiTarget;
use heliosdb_plugin_api::extension::constraint::AbiConstraint;
use heliosdb_plugin_api::extension::function::FunctionV1;
use heliosdb_plugin_api::extension::migration::MigrationV1;
use heliosdb_plugin_api::manifest::{Provides, table_columns};
use heliosdb_plugin_api::service::ObjectInfo;
use heliosdb_plugin_api::{
    Argument, CatalogEvent, ClauseAction, ClauseTarget, CommandOutcome, Comparison,
    ConstraintDefinition, Entry, Error, Fixture, Turn, Violation,
};

use crate::host::Statement;
use crate::plugin::{Loaded, Started};

/// How a call failed.
#[derive(Clone, Debug)]
pub struct CallError {
    pub error: Error,
    /// The entry panicked.
    pub panicked: bool,
}

impl From<Error> for CallError {
    fn from(error: Error) -> CallError {
        CallError {
            error,
            panicked: false,
        }
    }
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.error.sqlstate, self.error.message)?;
        match &self.error.detail {
            Some(detail) => write!(f, " ({detail})"),
            None => Ok(()),
        }
    }
}

type Called<T> = Result<T, CallError>;

pub(crate) fn called<T>(result: AbiResult<T>) -> Called<T> {
    result.into_result().map_err(|error| CallError {
        panicked: error.panicked,
        error: error.into(),
    })
}

fn absent(id: &str) -> CallError {
    Error::contract(format!("the plugin has no {id}")).into()
}

fn columns(arguments: &[Argument]) -> Called<RVec<AbiColumn>> {
    let export = |a: &Argument| AbiColumn::export(a.array(), a.is_constant());
    let columns: Result<RVec<_>, Error> = arguments.iter().map(export).collect();
    Ok(columns?)
}

fn arrow_type(sql: &str) -> Called<DataType> {
    let unknown = || Error::contract(format!("no Arrow type holds {sql}"));
    Ok(sql_type(sql).ok_or_else(unknown)?)
}

impl Started {
    /// The Arrow type of an SQL type: a built-in one, or the storage of a type of this plugin.
    pub fn type_of(&self, sql: &str) -> Called<DataType> {
        let own = self.provides.types.iter().find(|t| t.name == sql);
        arrow_type(own.map_or(sql, |t| &t.storage))
    }

    /// The place of the function of this name, the first one if it is overloaded.
    pub fn function(&self, name: &str) -> Called<u32> {
        place(&self.provides.functions, |f| f.name == name, name)
    }

    /// Calls a scalar function.
    pub fn scalar(
        &self,
        index: u32,
        statement: &Statement,
        arguments: &[Argument],
        rows: usize,
    ) -> Called<ArrayRef> {
        let vtable = self.loaded.function.ok_or_else(|| absent("function/1"))?;
        let declared = &self.provides.functions[index as usize];
        let mut result = AbiColumn::empty();
        let (cx, count) = (statement.context(), rows as u64);
        let arguments = columns(arguments)?;
        called((vtable.call)(
            self.instance,
            index,
            cx,
            arguments,
            count,
            &mut result,
        ))?;
        Ok(result.import(&self.type_of(&declared.returns)?, rows)?)
    }

    /// A new accumulator of an aggregate function.
    pub fn accumulator(&self, index: u32) -> Called<Accumulator<'_>> {
        let vtable = self.loaded.function.ok_or_else(|| absent("function/1"))?;
        let declared = &self.provides.functions[index as usize];
        let raw = called((vtable.accumulator)(self.instance, index))?;
        if raw.is_null() {
            return Err(Error::contract("the accumulator is null").into());
        }
        Ok(Accumulator {
            vtable,
            raw,
            ty: self.type_of(&declared.returns)?,
            plugin: std::marker::PhantomData,
        })
    }

    /// Opens a table function.
    pub fn open(
        &self,
        index: u32,
        statement: &Statement,
        arguments: &[Argument],
    ) -> Called<Cursor<'_>> {
        let vtable = self.loaded.function.ok_or_else(|| absent("function/1"))?;
        let declared = &self.provides.functions[index as usize];
        let declared = table_columns(&declared.returns).unwrap_or_default();
        let types: Called<Vec<_>> = declared.iter().map(|(_, ty)| self.type_of(ty)).collect();
        let (cx, arguments) = (statement.context(), columns(arguments)?);
        let raw = called((vtable.open)(self.instance, index, cx, arguments))?;
        if raw.is_null() {
            return Err(Error::contract("the cursor is null").into());
        }
        Ok(Cursor {
            vtable,
            raw,
            types: types?,
            plugin: std::marker::PhantomData,
        })
    }

    /// Text to values of the plugin's type at this place.
    pub fn parse(&self, index: u32, text: &ArrayRef, typmod: i32) -> Called<ArrayRef> {
        let vtable = self.loaded.types.ok_or_else(|| absent("type/1"))?;
        let mut result = AbiColumn::empty();
        let column = AbiColumn::export(text, false)?;
        let done = (vtable.parse)(self.instance, index, column, typmod, &mut result);
        called(done)?;
        self.import_storage(index, result, text.len())
    }

    /// Values to text.
    pub fn format(&self, index: u32, values: &ArrayRef) -> Called<ArrayRef> {
        let vtable = self.loaded.types.ok_or_else(|| absent("type/1"))?;
        let mut result = AbiColumn::empty();
        let column = AbiColumn::export(values, false)?;
        called((vtable.format)(self.instance, index, column, &mut result))?;
        Ok(result.import(&DataType::Utf8View, values.len())?)
    }

    /// Wire bytes to values.
    pub fn receive(&self, index: u32, bytes: &ArrayRef, typmod: i32) -> Called<ArrayRef> {
        let vtable = self.loaded.types.ok_or_else(|| absent("type/1"))?;
        let mut result = AbiColumn::empty();
        let column = AbiColumn::export(bytes, false)?;
        let done = (vtable.receive)(self.instance, index, column, typmod, &mut result);
        called(done)?;
        self.import_storage(index, result, bytes.len())
    }

    /// Values to wire bytes.
    pub fn send(&self, index: u32, values: &ArrayRef) -> Called<ArrayRef> {
        let vtable = self.loaded.types.ok_or_else(|| absent("type/1"))?;
        let mut result = AbiColumn::empty();
        let column = AbiColumn::export(values, false)?;
        called((vtable.send)(self.instance, index, column, &mut result))?;
        Ok(result.import(&DataType::Binary, values.len())?)
    }

    pub fn typmod(&self, index: u32, modifiers: &[&str]) -> Called<i32> {
        let vtable = self.loaded.types.ok_or_else(|| absent("type/1"))?;
        let modifiers: Vec<RStr<'_>> = modifiers.iter().map(|&m| m.into()).collect();
        called((vtable.typmod)(
            self.instance,
            index,
            modifiers.as_slice().into(),
        ))
    }

    fn import_storage(&self, index: u32, column: AbiColumn, rows: usize) -> Called<ArrayRef> {
        let storage = arrow_type(&self.provides.types[index as usize].storage)?;
        Ok(column.import(&storage, rows)?)
    }

    /// Runs a statement by the command whose prefix it begins with.
    pub fn command(&self, statement: &str) -> Called<CommandOutcome> {
        let words: Vec<String> = statement
            .split_whitespace()
            .map(str::to_uppercase)
            .collect();
        let claims = |prefix: &str| {
            let prefix: Vec<&str> = prefix.split(' ').collect();
            words.len() >= prefix.len() && words.iter().zip(&prefix).all(|(a, b)| a == b)
        };
        let index = place(&self.provides.commands, |c| claims(&c.prefix), statement)?;
        self.command_at(index, &Statement::new(), statement)
    }

    pub fn command_at(
        &self,
        index: u32,
        statement: &Statement,
        text: &str,
    ) -> Called<CommandOutcome> {
        let vtable = self.loaded.command.ok_or_else(|| absent("command/1"))?;
        let cx = statement.context();
        let rows = called((vtable.run)(self.instance, index, cx, text.into()))?;
        let columns = fields_in(rows.fields);
        let mut batches = Vec::new();
        for batch in rows.batches {
            if batch.len() != columns.len() {
                return Err(Error::contract("a batch has another number of columns").into());
            }
            let rows = batch.first().map_or(0, |c| c.array.length);
            let rows = usize::try_from(rows).map_err(|_| Error::contract("negative rows"))?;
            let mut arrays = Vec::new();
            for (column, (_, sql)) in batch.into_iter().zip(&columns) {
                arrays.push(column.import(&self.type_of(sql)?, rows)?);
            }
            batches.push(arrays);
        }
        Ok(CommandOutcome {
            tag: rows.tag.into(),
            columns,
            batches,
        })
    }

    /// Applies the clause of this name.
    pub fn clause(
        &self,
        name: &str,
        target: &ClauseTarget,
        arguments: &[String],
    ) -> Called<Vec<ClauseAction>> {
        let index = place(&self.provides.clauses, |c| c.name == name, name)?;
        let vtable = self.loaded.clause.ok_or_else(|| absent("clause/1"))?;
        let arguments: Vec<RStr<'_>> = arguments.iter().map(|a| a.as_str().into()).collect();
        let column = target.column.as_ref();
        let target = AbiTarget {
            schema: target.schema.as_str().into(),
            table: target.table.as_str().into(),
            column: column.map(|c| c.0.as_str().into()).into(),
            column_type: column.map(|c| c.1.as_str().into()).into(),
        };
        let statement = Statement::new();
        let cx = statement.context();
        let arguments = arguments.as_slice().into();
        let actions = called((vtable.apply)(self.instance, index, cx, target, arguments))?;
        Ok(actions.into_iter().map(ClauseAction::from).collect())
    }

    /// Checks rows against a constraint of this kind.
    pub fn check(
        &self,
        kind: &str,
        definition: &ConstraintDefinition,
        arguments: &[Argument],
        rows: usize,
    ) -> Called<Vec<Violation>> {
        let index = place(&self.provides.constraints, |c| c.name == kind, kind)?;
        let vtable = self
            .loaded
            .constraint
            .ok_or_else(|| absent("constraint/1"))?;
        let names: Vec<RStr<'_>> = definition
            .columns
            .iter()
            .map(|c| c.as_str().into())
            .collect();
        let definition = AbiConstraint {
            name: definition.name.as_str().into(),
            schema: definition.schema.as_str().into(),
            table: definition.table.as_str().into(),
            columns: names.as_slice().into(),
            options: definition.options.as_str().into(),
        };
        let statement = Statement::new();
        let (cx, count) = (statement.context(), rows as u64);
        let columns = columns(arguments)?;
        let found = (vtable.check)(self.instance, index, cx, definition, columns, count);
        let found: Vec<Violation> = called(found)?.into_iter().map(Violation::from).collect();
        match found.iter().find(|v| v.row >= rows) {
            None => Ok(found),
            Some(v) => Err(Error::contract(format!("row {} of {rows} is no row", v.row)).into()),
        }
    }

    pub fn analyze(&self, index: u32, block: &ArrayRef) -> Called<Option<u64>> {
        let vtable = self.loaded.codec.ok_or_else(|| absent("codec/1"))?;
        let block = AbiColumn::export(block, false)?;
        let size = called((vtable.analyze)(self.instance, index, block))?;
        Ok(size.into_option())
    }

    pub fn encode(&self, index: u32, block: &ArrayRef) -> Called<Vec<u8>> {
        let vtable = self.loaded.codec.ok_or_else(|| absent("codec/1"))?;
        let block = AbiColumn::export(block, false)?;
        Ok(called((vtable.encode)(self.instance, index, block))?.into())
    }

    pub fn decode(
        &self,
        index: u32,
        encoded: &[u8],
        ty: &DataType,
        rows: usize,
    ) -> Called<ArrayRef> {
        let vtable = self.loaded.codec.ok_or_else(|| absent("codec/1"))?;
        let like = AbiColumn::export(&new_empty_array(ty), false)?;
        let mut result = AbiColumn::empty();
        let (encoded, count) = (encoded.into(), rows as u64);
        let done = (vtable.decode)(self.instance, index, encoded, like, count, &mut result);
        called(done)?;
        Ok(result.import(ty, rows)?)
    }

    pub fn decode_slice(
        &self,
        index: u32,
        encoded: &[u8],
        ty: &DataType,
        rows: usize,
        slice: Range<usize>,
    ) -> Called<ArrayRef> {
        let vtable = self.loaded.codec.ok_or_else(|| absent("codec/1"))?;
        let like = AbiColumn::export(&new_empty_array(ty), false)?;
        let mut result = AbiColumn::empty();
        called((vtable.decode_slice)(
            self.instance,
            index,
            encoded.into(),
            like,
            rows as u64,
            slice.start as u64,
            slice.end as u64,
            &mut result,
        ))?;
        Ok(result.import(ty, slice.len())?)
    }

    /// The rows that compare so with the constants; `None` when only decoding can tell.
    pub fn filter(
        &self,
        index: u32,
        encoded: &[u8],
        rows: usize,
        comparison: Comparison,
        constants: &ArrayRef,
    ) -> Called<Option<ArrayRef>> {
        let vtable = self.loaded.codec.ok_or_else(|| absent("codec/1"))?;
        let constants = AbiColumn::export(constants, false)?;
        let mut result = AbiColumn::empty();
        let (encoded, count) = (encoded.into(), rows as u64);
        let filled = called((vtable.filter)(
            self.instance,
            index,
            encoded,
            count,
            comparison as u8,
            constants,
            &mut result,
        ))?;
        match filled {
            false => Ok(None),
            true => Ok(Some(result.import(&DataType::Boolean, rows)?)),
        }
    }

    /// Tells the observer at this place of objects that a command had in hand.
    pub fn changed(
        &self,
        index: u32,
        statement: &Statement,
        command: &str,
        objects: &[ObjectInfo],
    ) -> Called<()> {
        let vtable = self.loaded.observer.ok_or_else(|| absent("observer/1"))?;
        let (cx, command) = (statement.context(), command.into());
        let objects = objects.iter().cloned().map(Into::into).collect();
        called((vtable.changed)(self.instance, index, cx, command, objects))
    }

    /// Tells the observer at this place that an object is gone.
    pub fn dropped(&self, index: u32, statement: &Statement, object: &ObjectInfo) -> Called<()> {
        let vtable = self.loaded.observer.ok_or_else(|| absent("observer/1"))?;
        let (cx, object) = (statement.context(), object.clone().into());
        called((vtable.dropped)(self.instance, index, cx, object))
    }

    /// Lets the worker at this place work for a quantum.
    pub fn work(&self, index: u32, statement: &Statement) -> Called<Turn> {
        let vtable = self.loaded.worker.ok_or_else(|| absent("worker/1"))?;
        let turn = called((vtable.run)(self.instance, index, statement.context()))?;
        Ok(Turn::try_from(turn)?)
    }

    /// Tells the plugin of an event of one of its objects.
    pub fn event(&self, event: CatalogEvent) -> Called<()> {
        let vtable = self.loaded.event.ok_or_else(|| absent("event/1"))?;
        let statement = Statement::new();
        let cx = statement.context();
        called(match event {
            CatalogEvent::Dropped(object) => (vtable.dropped)(self.instance, cx, object.into()),
            CatalogEvent::Renamed { object, old_name } => {
                (vtable.renamed)(self.instance, cx, object.into(), old_name.as_str().into())
            }
        })
    }
}

fn place<T>(list: &[T], is_it: impl Fn(&T) -> bool, name: &str) -> Called<u32> {
    let found = list.iter().position(is_it);
    let missing = || Error::contract(format!("the plugin registers no \"{name}\""));
    Ok(found.ok_or_else(missing)? as u32)
}

/// An accumulator of a group. Dropped, it is released.
pub struct Accumulator<'a> {
    vtable: &'static FunctionV1,
    raw: *mut (),
    ty: DataType,
    plugin: std::marker::PhantomData<&'a Started>,
}

impl Accumulator<'_> {
    pub fn update(&mut self, arguments: &[Argument], rows: usize) -> Called<()> {
        let columns = columns(arguments)?;
        called((self.vtable.update)(self.raw, columns, rows as u64))
    }

    pub fn state(&mut self) -> Called<Vec<u8>> {
        Ok(called((self.vtable.state)(self.raw))?.into())
    }

    pub fn merge(&mut self, state: &[u8]) -> Called<()> {
        called((self.vtable.merge)(self.raw, state.into()))
    }

    pub fn evaluate(&mut self) -> Called<ArrayRef> {
        let mut result = AbiColumn::empty();
        called((self.vtable.evaluate)(self.raw, &mut result))?;
        Ok(result.import(&self.ty, 1)?)
    }

    pub fn size_bytes(&self) -> u64 {
        (self.vtable.size_bytes)(self.raw)
    }
}

impl Drop for Accumulator<'_> {
    fn drop(&mut self) {
        (self.vtable.release)(self.raw);
    }
}

/// Rows of a table function. Dropped, it is closed.
pub struct Cursor<'a> {
    vtable: &'static FunctionV1,
    raw: *mut (),
    types: Vec<DataType>,
    plugin: std::marker::PhantomData<&'a Started>,
}

impl Cursor<'_> {
    /// The next batch; `None` at the end.
    pub fn next(&mut self, statement: &Statement) -> Called<Option<Vec<ArrayRef>>> {
        let mut rows = 0;
        let batch = called((self.vtable.next)(self.raw, statement.context(), &mut rows))?;
        let ROption::RSome(batch) = batch else {
            return Ok(None);
        };
        if batch.len() != self.types.len() {
            return Err(Error::contract("a batch has another number of columns").into());
        }
        let rows = usize::try_from(rows).map_err(|_| Error::contract("too many rows"))?;
        let columns = batch.into_iter().zip(&self.types);
        let columns: Result<Vec<_>, Error> = columns.map(|(c, ty)| c.import(ty, rows)).collect();
        Ok(Some(columns?))
    }
}

impl Drop for Cursor<'_> {
    fn drop(&mut self) {
        (self.vtable.close)(self.raw);
    }
}

/// The steps of a plugin, which need no instance.
pub struct MigrationCalls {
    vtable: &'static MigrationV1,
}

impl Loaded {
    /// `None` for a plugin without `migration/1`.
    pub fn migrations(&self) -> Option<MigrationCalls> {
        let vtable = self.migration?;
        Some(MigrationCalls { vtable })
    }
}

impl MigrationCalls {
    /// Steps and adoptions.
    pub fn declared(&self) -> Called<Provides> {
        let text = called((self.vtable.declared)())?;
        let provides = serde_json::from_str(&text);
        Ok(provides.map_err(|e| Error::contract(format!("declared: {e}")))?)
    }

    pub fn migrate(&self, step: u32, entries: &[Entry]) -> Called<Vec<Entry>> {
        let migrated = (self.vtable.migrate)(step, entries_out(entries.to_vec()));
        Ok(entries_in(called(migrated)?))
    }

    pub fn check(&self, step: u32, entry: &Entry) -> Called<()> {
        called((self.vtable.check)(step, entry.clone().into()))
    }

    pub fn adopt(&self, adoption: u32, entries: &[Entry]) -> Called<Vec<Entry>> {
        let adopted = (self.vtable.adopt)(adoption, entries_out(entries.to_vec()));
        Ok(entries_in(called(adopted)?))
    }

    pub fn check_adopted(&self, adoption: u32, entry: &Entry) -> Called<()> {
        called((self.vtable.check_adopted)(adoption, entry.clone().into()))
    }

    pub fn fixtures(&self) -> Called<Vec<Fixture>> {
        let fixtures = called((self.vtable.fixtures)())?;
        let fixture = |f: heliosdb_plugin_api::extension::migration::AbiFixture| Fixture {
            store: f.store.into(),
            version: f.version,
            entries: entries_in(f.entries),
        };
        Ok(fixtures.into_iter().map(fixture).collect())
    }
}
