//! Calls of routines, for whole columns of arguments.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, ListArray, StructArray, UInt32Array};
use arrow::array::{new_empty_array, new_null_array};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::compute::{concat, filter, take};
use arrow::datatypes::{DataType, Field, Fields, Schema};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::logical_expr::ColumnarValue;
use datafusion::scalar::ScalarValue;
use parking_lot::Mutex;
use sqlparser::ast::{self, Expr};

use super::body;
use super::lent::Borrowed;
use super::scope;
use super::traits::{self, Traits};
use crate::catalog::model::{DomainRules, Oid, ResultShape, Routine};
use crate::catalog::model::{RoutineKind, RoutineVolatility};
use crate::catalog::{CatalogSnapshot, CatalogVersion, Relation};
use crate::error::{Result, SqlError, state};
use crate::names::quoted_ident;
use crate::plan::compile::{Expressions, Local};
use crate::plan::query::PlannedQuery;
use crate::semantics::overload::{Call, Param, ResultType};
use crate::session::Session;
use crate::session::info::SessionInfo;
use crate::session::nested::STACK_BYTES_MIN;
use crate::session::settings::Settings;
use crate::session::statement::Statement;
use crate::types::{CastContext, PgType, cast_array};

/// What a call of a routine is at most planned for in different ways.
const PLANS_MAX: usize = 32;

/// Of a chain of calls, how many are told where an error comes from.
const CALLERS_TOLD: usize = 5;

/// The relation that the arguments of a call are, for a body that is an expression. No SQL text can name it.
const ARGUMENTS: &str = "\0arguments";

/// A routine that statements can call.
#[derive(Debug)]
pub(crate) struct Callable {
    pub routine: Arc<Routine>,
    inputs: Vec<Input>,
    output: Output,
    parsed: Mutex<Option<Arc<Parsed>>>,
    plans: Mutex<Vec<(PlanKey, Plan)>>,
}

#[derive(Debug)]
struct Input {
    param: Param,
    rules: Option<Arc<DomainRules>>,
}

/// What a call gives, or each of its rows.
#[derive(Debug)]
enum Output {
    Void,
    Value(PgType, Option<Arc<DomainRules>>),
    /// Of the type of the arguments for parameters like this one.
    OfArguments(Param),
    Rows(Vec<(String, PgType)>),
}

#[derive(Debug)]
struct Parsed {
    statements: Vec<Statement>,
    /// The body, if it is one expression over its arguments.
    expression: Option<Expr>,
    traits: Traits,
}

/// What a plan of a statement was made for.
#[derive(Clone, PartialEq)]
struct PlanKey {
    statement: usize,
    catalog: CatalogVersion,
    settings: Settings,
    types: Vec<DataType>,
}

impl std::fmt::Debug for PlanKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PlanKey({})", self.statement)
    }
}

#[derive(Clone)]
enum Plan {
    Expression(Arc<Expressions>),
    Query(Arc<PlannedQuery>),
    /// A statement with its parameters.
    Bound(Arc<Statement>),
    /// It is no expression that can be compiled.
    NotAnExpression,
}

impl std::fmt::Debug for Plan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Plan")
    }
}

/// The oids of types that stand for those of the arguments.
fn polymorphic(oid: Oid) -> Option<Param> {
    Some(match oid {
        2283 | 5077 => Param::AnyElement,
        2277 | 5078 => Param::AnyArray,
        3500 => Param::AnyEnum,
        2776 | 5079 => Param::AnyNonArray,
        _ => return None,
    })
}

/// Whether a type stands for those of the arguments.
pub(crate) fn is_polymorphic(oid: Oid) -> bool {
    polymorphic(oid).is_some()
}

impl Callable {
    /// `None` when a type of the routine is not there.
    pub fn new(routine: &Arc<Routine>, catalog: &CatalogSnapshot) -> Option<Callable> {
        let types = catalog.types();
        let inputs = routine.inputs().map(|p| {
            let param = match polymorphic(p.type_oid) {
                Some(Param::AnyNonArray) => Param::AnyElement,
                Some(param) => param,
                None => Param::Is(types.resolve(p.type_oid)?.0),
            };
            Some(Input {
                param,
                rules: types.rules(p.type_oid),
            })
        });
        let outputs = || routine.outputs();
        let named = |(at, p): (usize, &crate::catalog::model::Parameter)| {
            let name = p.name.clone();
            let name = name.unwrap_or_else(|| format!("column{}", at + 1));
            Some((name, types.resolve(p.type_oid)?.0))
        };
        let output = match routine.result {
            ResultShape::Value(oid) if oid == PgType::Void.oid() => Output::Void,
            ResultShape::Value(oid) => match polymorphic(oid) {
                Some(param) => Output::OfArguments(param),
                None => Output::Value(types.resolve(oid)?.0, types.rules(oid)),
            },
            ResultShape::Columns => {
                Output::Rows(outputs().enumerate().map(named).collect::<Option<_>>()?)
            }
            ResultShape::Relation(oid) => Output::Rows(columns_of(catalog, oid)?),
        };
        Some(Callable {
            routine: routine.clone(),
            inputs: inputs.collect::<Option<_>>()?,
            output,
            parsed: Mutex::default(),
            plans: Mutex::default(),
        })
    }

    pub fn params(&self) -> Vec<Param> {
        self.inputs.iter().map(|i| i.param.clone()).collect()
    }

    /// Whether a call's value is an array of rows.
    pub fn gives_array(&self) -> bool {
        self.routine.returns_set || matches!(self.output, Output::Rows(_))
    }

    /// What the one column of its rows is called.
    fn column_name(&self) -> String {
        let named = self.routine.outputs().next();
        let name = named.and_then(|p| p.name.clone());
        name.unwrap_or_else(|| self.routine.name.clone())
    }

    /// Whether what stands for the type of the arguments is the same type in each.
    pub fn is_of_one_type(&self) -> bool {
        let mut inputs = self.routine.inputs();
        !inputs.any(|p| matches!(p.type_oid, 5077..=5079))
    }

    /// The columns of its rows, if calls give rows.
    pub fn columns(&self) -> Option<Vec<String>> {
        match (&self.output, self.gives_array()) {
            (_, false) => None,
            (Output::Rows(columns), true) => Some(columns.iter().map(|(n, _)| n.clone()).collect()),
            (_, true) => Some(vec![self.column_name()]),
        }
    }

    /// What calls give whose arguments are for these parameters.
    pub fn result_for(&self, params: Vec<Param>) -> ResultType {
        let list = |item: DataType| DataType::new_list(item, true);
        let set = self.gives_array();
        match &self.output {
            Output::Void if !set => ResultType::Is(PgType::Void),
            Output::Void => ResultType::Arrow(list(PgType::Void.arrow())),
            Output::Value(ty, _) if !set => ResultType::Exactly(ty.clone()),
            Output::Value(ty, _) => ResultType::Arrow(list(ty.arrow())),
            Output::Rows(columns) => match columns.as_slice() {
                [(_, one)] => ResultType::Arrow(list(one.arrow())),
                _ => ResultType::Arrow(list(DataType::Struct(fields(columns)))),
            },
            Output::OfArguments(of) => {
                let of = of.clone();
                ResultType::Of(Arc::new(move |arguments| {
                    let item = item_of(&params, &of, arguments);
                    if set { list(item) } else { item }
                }))
            }
        }
    }

    fn parsed(&self, info: &Arc<SessionInfo>) -> Result<Arc<Parsed>> {
        if let Some(parsed) = &*self.parsed.lock() {
            return Ok(parsed.clone());
        }
        let statements = body::parse(&self.routine, info)?;
        for statement in &statements {
            scope::check_numbers(statement, &self.routine)?;
        }
        let traits = traits::of(&self.routine, info);
        let is_one = !self.gives_array() && !traits.writes && !traits.effects;
        let expression = match statements.as_slice() {
            // No relation is named in one that can be compiled.
            [one] if is_one => body::expression(&scope::bind(one, &self.routine, info)).cloned(),
            _ => None,
        };
        let parsed = Arc::new(Parsed {
            expression: expression.map(over_columns),
            statements,
            traits,
        });
        *self.parsed.lock() = Some(parsed.clone());
        Ok(parsed)
    }

    /// 42501 unless the current role may call it.
    fn check_execute(&self, info: &SessionInfo) -> Result<()> {
        info.role().check_routine(&info.catalog(), &self.routine)
    }

    /// Calls it for every row.
    pub fn invoke(&self, args: &[ColumnarValue], call: &Call<'_>) -> Result<ArrayRef> {
        let info = call.vars.session()?;
        info.interrupt.check()?;
        self.check_execute(info)?;
        if call.rows == 0 {
            return Ok(new_empty_array(call.result));
        }
        let arrays = args.iter().map(|a| a.to_array(call.rows));
        let arrays = arrays.collect::<Result<Vec<_>, _>>()?;
        for (array, input) in arrays.iter().zip(&self.inputs) {
            if let Some(rules) = &input.rules {
                rules.check(array)?;
            }
        }
        let nulls = arrays.iter().filter(|_| self.routine.strict);
        let nulls = nulls.fold(None, |all: Option<NullBuffer>, a| {
            NullBuffer::union(all.as_ref(), a.logical_nulls().as_ref())
        });
        let run = |arrays: &[ArrayRef], rows: usize| {
            let run = || self.run(info, arrays, rows, call);
            stacker::maybe_grow(STACK_BYTES_MIN, STACK_BYTES_MIN * 2, run)
                .map_err(|e| self.explain(e))
        };
        match nulls {
            None => run(&arrays, call.rows),
            Some(nulls) if nulls.null_count() == 0 => run(&arrays, call.rows),
            Some(nulls) if nulls.null_count() == call.rows => {
                Ok(new_null_array(call.result, call.rows))
            }
            Some(nulls) => {
                let complete = BooleanArray::new(nulls.into_inner(), None);
                let arrays = arrays.iter().map(|a| filter(a, &complete));
                let arrays = arrays.collect::<Result<Vec<_>, _>>()?;
                let values = run(&arrays, complete.true_count())?;
                let mut next = 0..;
                let places: UInt32Array = complete
                    .values()
                    .iter()
                    .map(|there| if there { next.next() } else { None })
                    .collect();
                Ok(take(&values, &places, None)?)
            }
        }
    }

    /// Where an error comes from.
    fn explain(&self, mut error: SqlError) -> SqlError {
        error.position = None;
        let here = format!("SQL function \"{}\"", self.routine.name);
        let context = match error.context.take() {
            // A chain of calls may be long.
            Some(inner) if inner.lines().count() >= CALLERS_TOLD => inner,
            Some(inner) => format!("{inner}\n{here}"),
            None => here,
        };
        error.with_context(context)
    }

    fn run(
        &self,
        outer: &Arc<SessionInfo>,
        arrays: &[ArrayRef],
        rows: usize,
        call: &Call<'_>,
    ) -> Result<ArrayRef> {
        let info = self.surroundings(outer)?;
        let parsed = self.parsed(&info)?;
        let is_volatile = self.routine.volatility == RoutineVolatility::Volatile;
        if parsed.traits.writes && !is_volatile {
            return Err(SqlError::new(
                state::FEATURE_NOT_SUPPORTED,
                "a statement that writes is not allowed in a non-volatile function",
            ));
        }
        let borrowed = if is_volatile {
            Borrowed::take(outer)
        } else {
            None
        };
        if let Some(mut borrowed) = borrowed {
            let work = |values: &[ScalarValue], types: &[PgType]| {
                borrowed.run(|guest| {
                    self.with_settings(guest, |guest| {
                        self.call_in(guest, &parsed, types, values, call)
                    })
                })
            };
            return self.each_row(&info, arrays, rows, call, work);
        }
        if parsed.traits.writes {
            return Err(SqlError::unsupported(format!(
                "a call of {}, which writes, in this place",
                self.routine.name
            ))
            .with_hint("Call it in a SELECT of its own."));
        }
        let values = self.read(&info, &parsed, arrays, rows, call)?;
        if !Arc::ptr_eq(&info, outer) {
            self.keep_settings(outer, &info)?;
        }
        Ok(values)
    }

    /// Calls of a body that writes nothing.
    fn read(
        &self,
        info: &Arc<SessionInfo>,
        parsed: &Parsed,
        arrays: &[ArrayRef],
        rows: usize,
        call: &Call<'_>,
    ) -> Result<ArrayRef> {
        let interrupt = info.interrupt.clone();
        let view = call.vars.snapshot()?.clone();
        let nesting = call.vars.nesting;
        let mut reader = Session::routine_reader(info.clone(), interrupt, view, nesting)?;
        if let Some(expression) = &parsed.expression
            && let Some(values) = self.evaluate(&mut reader, expression, arrays, rows, call)?
        {
            return Ok(values);
        }
        let work = |values: &[ScalarValue], types: &[PgType]| {
            self.read_in(&mut reader, parsed, types, values, call)
        };
        self.each_row(info, arrays, rows, call, work)
    }

    /// Calls `work` for each row, and for equal rows once where that gives the same.
    fn each_row(
        &self,
        info: &SessionInfo,
        arrays: &[ArrayRef],
        rows: usize,
        call: &Call<'_>,
        mut work: impl FnMut(&[ScalarValue], &[PgType]) -> Result<ScalarValue>,
    ) -> Result<ArrayRef> {
        let types = arrays
            .iter()
            .zip(&self.inputs)
            .map(|(array, input)| match &input.param {
                Param::Is(ty) => ty.clone(),
                _ => PgType::from_arrow(array.data_type()).unwrap_or(PgType::Text),
            });
        let types: Vec<PgType> = types.collect();
        let remembers = self.routine.volatility != RoutineVolatility::Volatile;
        let mut known: HashMap<Vec<ScalarValue>, ScalarValue> = HashMap::new();
        let mut results = Vec::with_capacity(rows);
        for row in 0..rows {
            info.interrupt.check()?;
            let values = arrays.iter().map(|a| ScalarValue::try_from_array(a, row));
            let values = values.collect::<Result<Vec<_>, _>>()?;
            let result = match known.get(&values) {
                Some(result) => result.clone(),
                None => {
                    let result = work(&values, &types)?;
                    if remembers {
                        known.insert(values, result.clone());
                    }
                    result
                }
            };
            results.push(result);
        }
        let array = ScalarValue::iter_to_array(results)?;
        debug_assert_eq!(array.data_type(), call.result);
        Ok(array)
    }

    /// The body's expression, for all rows at once; `None` when it is none that can be compiled.
    fn evaluate(
        &self,
        reader: &mut Session,
        expression: &Expr,
        arrays: &[ArrayRef],
        rows: usize,
        call: &Call<'_>,
    ) -> Result<Option<ArrayRef>> {
        let named = (1..).zip(arrays);
        let fields = named.map(|(n, a)| Field::new(column(n), a.data_type().clone(), true));
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        let (_, catalog) = reader.read_view()?;
        let types = arrays.iter().map(|a| a.data_type().clone());
        let key = PlanKey {
            statement: 0,
            catalog: catalog.version,
            settings: reader.info.settings(),
            types: types.collect(),
        };
        let plan = self.planned(key, || {
            let local = Local {
                name: ARGUMENTS,
                schema: schema.clone(),
            };
            let planned = reader.with_state(|session, state| {
                let exprs = vec![expression.clone()];
                let locals = [local];
                Expressions::plan_exprs(state, &catalog, &session.info, &locals, exprs, "functions")
            });
            match planned {
                Ok(expressions) => Ok(Plan::Expression(Arc::new(expressions))),
                // What is more than an expression is a query.
                Err(e) if is_no_expression(&e) => Ok(Plan::NotAnExpression),
                Err(e) => Err(e),
            }
        })?;
        let Plan::Expression(expressions) = plan else {
            return Ok(None);
        };
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let batch = RecordBatch::try_new_with_options(schema, arrays.to_vec(), &options)
            .map_err(SqlError::internal)?;
        let values = reader.with_state(|_, state| {
            let program = expressions.prepare(state, &[])?;
            program.run_one(0, &batch)
        })?;
        match &self.output {
            Output::Void => Ok(Some(new_null_array(call.result, rows))),
            _ => self.shaped(&values, call.result, call).map(Some),
        }
    }

    fn planned(&self, key: PlanKey, plan: impl FnOnce() -> Result<Plan>) -> Result<Plan> {
        let known = {
            let plans = self.plans.lock();
            let found = plans.iter().find(|(known, _)| *known == key);
            found.map(|(_, plan)| plan.clone())
        };
        if let Some(known) = known {
            return Ok(known);
        }
        let plan = plan()?;
        let mut plans = self.plans.lock();
        if plans.len() >= PLANS_MAX {
            plans.clear();
        }
        plans.push((key, plan.clone()));
        Ok(plan)
    }

    /// One call over a view.
    fn read_in(
        &self,
        reader: &mut Session,
        parsed: &Parsed,
        types: &[PgType],
        values: &[ScalarValue],
        call: &Call<'_>,
    ) -> Result<ScalarValue> {
        let mut last = reader.keep_rows();
        for (at, statement) in parsed.statements.iter().enumerate() {
            let (_, catalog) = reader.read_view()?;
            let key = PlanKey {
                statement: at,
                catalog: catalog.version,
                settings: reader.info.settings(),
                types: types.iter().map(PgType::arrow).collect(),
            };
            // A key of an expression has the same number, and a routine has either or finds none.
            let key = PlanKey {
                statement: at + 1,
                ..key
            };
            let plan = self.planned(key, || {
                let types: Vec<_> = types.iter().cloned().map(Some).collect();
                let bound = scope::bind(statement, &self.routine, &reader.info);
                let Some(ast::Statement::Query(query)) = bound.ast() else {
                    return Err(SqlError::internal("a statement that writes was to read"));
                };
                let planned = reader.plan_query(query, &types)?;
                Ok(Plan::Query(Arc::new(planned)))
            })?;
            let Plan::Query(planned) = plan else {
                return Err(SqlError::internal("a query was planned as an expression"));
            };
            let is_last = at + 1 == parsed.statements.len();
            last = reader.read_in_function(&planned, values, !is_last || self.wants_all())?;
        }
        self.value(last.batches(), call)
    }

    /// Whether all rows of the last statement are read.
    fn wants_all(&self) -> bool {
        self.routine.returns_set || matches!(self.output, Output::Void)
    }

    /// One call in the statement's transaction.
    fn call_in(
        &self,
        guest: &mut Session,
        parsed: &Parsed,
        types: &[PgType],
        values: &[ScalarValue],
        call: &Call<'_>,
    ) -> Result<ScalarValue> {
        let mut last = guest.keep_rows();
        for (at, statement) in parsed.statements.iter().enumerate() {
            let (_, catalog) = guest.read_view()?;
            let key = PlanKey {
                // No plan has a number so high.
                statement: usize::MAX - at,
                catalog: catalog.version,
                settings: guest.info.settings(),
                types: Vec::new(),
            };
            let bound = self.planned(key, || {
                let bound = scope::bind(statement, &self.routine, &guest.info);
                Ok(Plan::Bound(Arc::new(bound)))
            })?;
            let Plan::Bound(bound) = bound else {
                return Err(SqlError::internal("a plan in place of a statement"));
            };
            last = guest.run_in_function(&bound, types, values)?;
        }
        self.value(last.batches(), call)
    }

    /// The value of a call whose last statement gave these rows.
    fn value(&self, batches: &[RecordBatch], call: &Call<'_>) -> Result<ScalarValue> {
        if matches!(self.output, Output::Void) && !self.routine.returns_set {
            return Ok(ScalarValue::Utf8View(None));
        }
        let item = match call.result {
            DataType::List(item) if self.gives_array() => item.data_type(),
            other => other,
        };
        if !self.gives_array() {
            let first = batches.iter().find(|b| b.num_rows() > 0);
            let Some(first) = first else {
                return Ok(ScalarValue::try_from(item)?);
            };
            let column = self.shaped(&self.column(first, 0, 1)?.slice(0, 1), item, call)?;
            return Ok(ScalarValue::try_from_array(&column, 0)?);
        }
        let mut rows = Vec::with_capacity(batches.len());
        for batch in batches {
            rows.push(self.rows(batch, item, call)?);
        }
        if !self.routine.returns_set {
            // A row of NULLs where there is none.
            let first = rows.iter().find(|rows| !rows.is_empty());
            rows = vec![first.map_or_else(|| new_null_array(item, 1), |rows| rows.slice(0, 1))];
        }
        let rows: Vec<&dyn Array> = rows.iter().map(AsRef::as_ref).collect();
        let count: usize = rows.iter().map(|rows| rows.len()).sum();
        if i32::try_from(count).is_err() {
            let message = format!("function {} returns too many rows", self.routine.name);
            return Err(SqlError::new(state::PROGRAM_LIMIT_EXCEEDED, message));
        }
        let rows = match rows.is_empty() {
            true => new_empty_array(item),
            false => concat(&rows)?,
        };
        let offsets = OffsetBuffer::from_lengths([rows.len()]);
        let field = Arc::new(Field::new_list_field(item.clone(), true));
        let list = ListArray::try_new(field, offsets, rows, None).map_err(SqlError::internal)?;
        Ok(ScalarValue::List(Arc::new(list)))
    }

    /// The rows of a batch as items.
    fn rows(&self, batch: &RecordBatch, item: &DataType, call: &Call<'_>) -> Result<ArrayRef> {
        let DataType::Struct(fields) = item else {
            return self.shaped(&self.column(batch, 0, 1)?, item, call);
        };
        let columns = fields.iter().enumerate().map(|(at, field)| {
            let column = self.column(batch, at, fields.len())?;
            convert(&column, field.data_type(), call)
        });
        let columns = columns.collect::<Result<Vec<_>>>()?;
        let rows =
            StructArray::try_new_with_length(fields.clone(), columns, None, batch.num_rows());
        Ok(Arc::new(rows.map_err(SqlError::internal)?))
    }

    fn column(&self, batch: &RecordBatch, at: usize, count: usize) -> Result<ArrayRef> {
        match batch.num_columns() == count {
            true => Ok(batch.column(at).clone()),
            false => Err(SqlError::new(
                state::INVALID_FUNCTION_DEFINITION,
                format!("return type mismatch in function {}", self.routine.name),
            )
            .with_detail(format!(
                "The final statement returns {} columns, and not {count}.",
                batch.num_columns()
            ))),
        }
    }

    /// Values as those of the result's type, checked if that is a domain.
    fn shaped(&self, values: &ArrayRef, to: &DataType, call: &Call<'_>) -> Result<ArrayRef> {
        let values = convert(values, to, call)?;
        if let Output::Value(_, Some(rules)) = &self.output {
            rules.check(&values)?;
        }
        Ok(values)
    }

    /// What a body that reads runs in: the session, or one like it with the routine's own settings.
    fn surroundings(&self, outer: &Arc<SessionInfo>) -> Result<Arc<SessionInfo>> {
        if !self.routine.definer && self.routine.settings.is_empty() {
            return Ok(outer.clone());
        }
        let inner = Arc::new(outer.inner());
        self.change_settings(&inner)?;
        Ok(inner)
    }

    fn change_settings(&self, info: &SessionInfo) -> Result<()> {
        if self.routine.definer {
            info.become_definer(self.routine.owner);
        }
        for (name, value) in &self.routine.settings {
            info.check_may_set(name)?;
            info.change_settings(|settings| settings.set(name, value))?;
        }
        Ok(())
    }

    /// Runs with the routine's own settings, and goes back to what those were before.
    fn with_settings<T>(
        &self,
        guest: &mut Session,
        work: impl FnOnce(&mut Session) -> Result<T>,
    ) -> Result<T> {
        if !self.routine.definer && self.routine.settings.is_empty() {
            return work(guest);
        }
        let info = guest.info.clone();
        let identity = info.with_settings(Settings::identity);
        let names = self.routine.settings.iter().map(|(name, _)| name);
        let before = names.map(|name| Ok((name, info.with_settings(|s| s.saved(name))?)));
        let before = before.collect::<Result<Vec<_>>>()?;
        let result = self.change_settings(&info).and_then(|()| work(guest));
        info.change_settings(|settings| {
            for (name, saved) in before {
                settings.restore(name, saved);
            }
        });
        if self.routine.definer {
            info.act_as(identity);
        }
        result
    }

    /// What a body that read has set besides the routine's own settings, the session keeps.
    fn keep_settings(&self, outer: &SessionInfo, inner: &SessionInfo) -> Result<()> {
        let changed = std::mem::take(&mut *inner.settings_changed());
        for (name, old, local) in changed {
            if self.routine.settings.iter().any(|(own, _)| *own == name) {
                continue;
            }
            let value = inner.with_settings(|s| s.get(&name).map(str::to_owned))?;
            outer.change_settings(|s| s.set(&name, &value))?;
            outer.settings_changed().push((name, old, local));
        }
        Ok(())
    }

    /// Checks the body: that it parses, that what it names is there, and that its last statement gives what
    /// the routine returns. One of types that are not known yet is parsed only.
    pub fn check(&self, session: &mut Session) -> Result<()> {
        self.with_settings(session, |session| self.check_as_set(session))
    }

    fn check_as_set(&self, session: &mut Session) -> Result<()> {
        let info = session.info.clone();
        let parsed = self.parsed(&info)?;
        let known = self.inputs.iter().map(|i| match &i.param {
            Param::Is(ty) => Some(Some(ty.clone())),
            _ => None,
        });
        let Some(types) = known.collect::<Option<Vec<Option<PgType>>>>() else {
            return Ok(());
        };
        let mut last = None;
        for statement in &parsed.statements {
            let bound = scope::bind(statement, &self.routine, &info);
            last = session.columns_in_function(&bound, &types)?;
        }
        if self.routine.kind == RoutineKind::Procedure && matches!(self.output, Output::Void) {
            return Ok(());
        }
        self.check_result(last.as_deref())
    }

    /// 42P13 when a last statement of these columns does not give what the routine returns.
    fn check_result(&self, columns: Option<&[PgType]>) -> Result<()> {
        let wanted: Vec<(Option<&str>, &PgType)> = match &self.output {
            Output::Void | Output::OfArguments(_) => return Ok(()),
            Output::Value(ty, _) => vec![(None, ty)],
            Output::Rows(columns) => columns
                .iter()
                .map(|(n, ty)| (Some(n.as_str()), ty))
                .collect(),
        };
        let returns = match &self.output {
            Output::Value(ty, _) => ty.name().to_owned(),
            _ => "record".to_owned(),
        };
        let mismatch = |detail: String| {
            let message = format!("return type mismatch in function declared to return {returns}");
            Err(SqlError::new(state::INVALID_FUNCTION_DEFINITION, message).with_detail(detail))
        };
        let Some(columns) = columns else {
            return mismatch(
                "Function's final statement must be SELECT or INSERT/UPDATE/DELETE RETURNING."
                    .to_owned(),
            );
        };
        if columns.len() != wanted.len() {
            return mismatch(match &self.output {
                Output::Value(..) => "Final statement must return exactly one column.".to_owned(),
                _ if columns.len() < wanted.len() => {
                    "Final statement returns too few columns.".to_owned()
                }
                _ => "Final statement returns too many columns.".to_owned(),
            });
        }
        for (at, (from, (name, to))) in columns.iter().zip(wanted).enumerate() {
            let from = match from {
                PgType::Unknown => &PgType::Text,
                from => from,
            };
            let is_allowed = crate::types::cast::is_allowed(from, to, CastContext::Assignment);
            if !is_allowed && *from != PgType::Unknown {
                return mismatch(match name {
                    None => format!("Actual return type is {}.", from.name()),
                    Some(_) => format!(
                        "Final statement returns {} instead of {} at column {}.",
                        from.name(),
                        to.name(),
                        at + 1
                    ),
                });
            }
        }
        Ok(())
    }
}

fn column(number: usize) -> String {
    format!("\0{number}")
}

/// An expression over parameters as one over the columns of [`ARGUMENTS`].
fn over_columns(mut expression: Expr) -> Expr {
    let _ = ast::visit_expressions_mut(&mut expression, |e| {
        if let Expr::Value(value) = e
            && let ast::Value::Placeholder(text) = &value.value
            && let Some(number) = text.strip_prefix('$').and_then(|n| n.parse().ok())
        {
            *e = Expr::Identifier(quoted_ident(&column(number)));
        }
        std::ops::ControlFlow::<()>::Continue(())
    });
    expression
}

/// Whether the compiler of expressions refused something that a query may have.
fn is_no_expression(error: &SqlError) -> bool {
    [
        state::FEATURE_NOT_SUPPORTED,
        state::GROUPING_ERROR,
        state::WINDOWING_ERROR,
    ]
    .contains(&error.code)
}

fn columns_of(catalog: &CatalogSnapshot, relation: Oid) -> Option<Vec<(String, PgType)>> {
    match catalog.relation(relation)? {
        Relation::Table(table) => {
            let columns = table.live_columns();
            let columns = columns.map(|(_, column)| (column.name.clone(), column.ty()));
            Some(columns.collect())
        }
        Relation::View(view) => {
            let columns = view.columns.iter();
            let columns = columns.map(|c| Some((c.name.clone(), catalog.pg_type(c.type_oid)?)));
            columns.collect()
        }
        Relation::Sequence(_) | Relation::Index(_) => None,
    }
}

fn fields(columns: &[(String, PgType)]) -> Fields {
    let fields = columns.iter();
    let fields = fields.map(|(name, ty)| Field::new(name, ty.arrow(), true));
    fields.collect()
}

/// What a polymorphic result is, from the types of the arguments.
fn item_of(params: &[Param], of: &Param, arguments: &[DataType]) -> DataType {
    let mut element = None;
    for (param, ty) in params.iter().zip(arguments) {
        match (param, ty) {
            (Param::AnyElement | Param::AnyEnum, ty) => element = Some(ty.clone()),
            (Param::AnyArray, DataType::List(item)) => element = Some(item.data_type().clone()),
            _ => {}
        }
    }
    let element = element.unwrap_or(DataType::Utf8View);
    match of {
        Param::AnyArray => DataType::new_list(element, true),
        _ => element,
    }
}

/// Values of one type as those of another, as they are assigned.
fn convert(values: &ArrayRef, to: &DataType, call: &Call<'_>) -> Result<ArrayRef> {
    if values.data_type() == to {
        return Ok(values.clone());
    }
    if *values.data_type() == DataType::Null {
        return Ok(new_null_array(to, values.len()));
    }
    let from = PgType::from_arrow(values.data_type()).unwrap_or(PgType::Record);
    let ty = PgType::from_arrow(to).unwrap_or(PgType::Record);
    // A literal of no type is what it is wanted as.
    let (values, from, context) = match from {
        PgType::Unknown => (
            arrow::compute::cast(values, &DataType::Utf8View)?,
            PgType::Text,
            CastContext::Explicit,
        ),
        from => (values.clone(), from, CastContext::Assignment),
    };
    let cast = cast_array(&values, &from, &ty, -1, context, &call.vars.format)?;
    match cast.data_type() == to {
        true => Ok(cast),
        false => Ok(arrow::compute::cast(&cast, to)?),
    }
}
