//! Expressions compiled once and run with new values of their parameters.
//!
//! A compiled expression is DataFusion's physical form of it, so it computes what the same expression
//! of any other plan computes, by the same code. Only two things differ: `$1` is a [`Parameter`],
//! which takes its value from the execution that runs on this thread ([`with_values`]), and so do
//! `now()` and its like, which stand for two more parameters after the statement's own
//! ([`lift_moments`]).
//!
//! What may be compiled is an expression of the kernel's own functions that is the same at any time
//! and in any session whose settings make plans alike ([`is_timeless`]): it is made with variables
//! of the session that know of no snapshot, clock or service, and would keep none alive.

use std::cell::RefCell;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, LazyLock};

use arrow::datatypes::{DataType, Field, FieldRef, Schema};
use arrow::record_batch::RecordBatch;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, DataFusionError, Result};
use datafusion::config::ConfigOptions;
use datafusion::execution::SessionState;
use datafusion::execution::context::ExecutionProps;
use datafusion::logical_expr::expr::Placeholder;
use datafusion::logical_expr::{ColumnarValue, Expr, Volatility};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{PhysicalExpr, ScalarFunctionExpr, create_physical_expr};
use datafusion::scalar::ScalarValue;

use crate::semantics::SessionVars;
use crate::semantics::function::PgFunction;
use crate::semantics::overload::Overload;
use crate::session::functions::is_nextval;
use crate::types::PgType;

/// How many parameters [`lift_moments`] adds: the starts of the transaction and of the statement.
pub(crate) const MOMENTS: usize = 2;

thread_local! {
    /// Of the execution that runs on this thread.
    static VALUES: RefCell<Vec<ScalarValue>> = const { RefCell::new(Vec::new()) };
}

/// Runs `work` with these values of the parameters.
pub(crate) fn with_values<T>(values: Vec<ScalarValue>, work: impl FnOnce() -> T) -> T {
    /// Puts the values back that were there, also when `work` panics.
    struct Restore(Vec<ScalarValue>);
    impl Drop for Restore {
        fn drop(&mut self) {
            VALUES.with(|v| std::mem::swap(&mut *v.borrow_mut(), &mut self.0));
        }
    }
    let before = VALUES.with(|v| std::mem::replace(&mut *v.borrow_mut(), values));
    let _restore = Restore(before);
    work()
}

/// The values of [`lift_moments`]' parameters, from microseconds since the Unix epoch.
pub(crate) fn moment_values(moments: [i64; MOMENTS]) -> [ScalarValue; MOMENTS] {
    static ZONE: LazyLock<Arc<str>> = LazyLock::new(|| "UTC".into());
    moments.map(|at| ScalarValue::TimestampMicrosecond(Some(at), Some(ZONE.clone())))
}

/// `$n`, as a value that changes from execution to execution.
#[derive(Debug)]
struct Parameter {
    /// Counted from 0.
    place: usize,
    field: FieldRef,
}

impl PartialEq for Parameter {
    fn eq(&self, other: &Parameter) -> bool {
        self.place == other.place
    }
}
impl Eq for Parameter {}
impl Hash for Parameter {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.place.hash(state);
    }
}

impl fmt::Display for Parameter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "${}", self.place + 1)
    }
}

impl PhysicalExpr for Parameter {
    fn data_type(&self, _: &Schema) -> Result<DataType> {
        Ok(self.field.data_type().clone())
    }

    fn nullable(&self, _: &Schema) -> Result<bool> {
        Ok(true)
    }

    fn return_field(&self, _: &Schema) -> Result<FieldRef> {
        Ok(Arc::clone(&self.field))
    }

    fn evaluate(&self, _: &RecordBatch) -> Result<ColumnarValue> {
        let value = VALUES.with(|v| v.borrow().get(self.place).cloned());
        value
            .map(ColumnarValue::Scalar)
            .ok_or_else(|| DataFusionError::Internal(format!("{self} has no value")))
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        Vec::new()
    }

    fn with_new_children(
        self: Arc<Self>,
        _: Vec<Arc<dyn PhysicalExpr>>,
    ) -> Result<Arc<dyn PhysicalExpr>> {
        Ok(self)
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A call whose overload was chosen when it was compiled, and not for each batch.
struct BoundCall {
    call: Arc<dyn PhysicalExpr>,
    args: Vec<Arc<dyn PhysicalExpr>>,
    overload: Overload,
    result: DataType,
    options: Arc<ConfigOptions>,
}

impl BoundCall {
    /// `None` when `call` is no call of a function of ours.
    fn of(call: &Arc<dyn PhysicalExpr>, input: &Schema, props: &ExecutionProps) -> Option<Self> {
        let expr = ScalarFunctionExpr::try_downcast_func::<PgFunction>(call.as_ref())?;
        let function: &dyn std::any::Any = expr.fun().inner().as_ref();
        let function = function.downcast_ref::<PgFunction>()?;
        let types = expr.args().iter().map(|a| a.data_type(input).ok());
        let overload = function.bind(&types.collect::<Option<Vec<_>>>()?).ok()?;
        Some(BoundCall {
            args: expr.args().to_vec(),
            overload: overload.clone(),
            result: expr.return_type().clone(),
            options: props.config_options.clone()?,
            call: call.clone(),
        })
    }
}

impl fmt::Debug for BoundCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.call.fmt(f)
    }
}

impl fmt::Display for BoundCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.call.fmt(f)
    }
}

impl PartialEq for BoundCall {
    fn eq(&self, other: &BoundCall) -> bool {
        self.call.eq(&other.call)
    }
}
impl Eq for BoundCall {}
impl Hash for BoundCall {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.call.hash(state);
    }
}

impl PhysicalExpr for BoundCall {
    fn data_type(&self, _: &Schema) -> Result<DataType> {
        Ok(self.result.clone())
    }

    fn nullable(&self, input: &Schema) -> Result<bool> {
        self.call.nullable(input)
    }

    fn return_field(&self, input: &Schema) -> Result<FieldRef> {
        self.call.return_field(input)
    }

    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue> {
        let args = self.args.iter().map(|a| a.evaluate(batch));
        let args = args.collect::<Result<Vec<_>>>()?;
        let vars = SessionVars::of(&self.options);
        self.overload
            .call(&args, batch.num_rows(), &self.result, vars)
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        self.args.iter().collect()
    }

    fn with_new_children(
        self: Arc<Self>,
        args: Vec<Arc<dyn PhysicalExpr>>,
    ) -> Result<Arc<dyn PhysicalExpr>> {
        Ok(Arc::new(BoundCall {
            call: Arc::clone(&self.call).with_new_children(args.clone())?,
            args,
            overload: self.overload.clone(),
            result: self.result.clone(),
            options: self.options.clone(),
        }))
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.call.fmt_sql(f)
    }
}

/// The number of a parameter, counted from 0.
pub(crate) fn parameter_place(placeholder: &Placeholder) -> Option<usize> {
    let number: usize = placeholder.id.strip_prefix('$')?.parse().ok()?;
    number.checked_sub(1)
}

/// Replaces `now()` and its like by parameters after the first `params`.
pub(crate) fn lift_moments(expr: Expr, params: usize) -> Result<Transformed<Expr>> {
    expr.transform_up(|e| {
        let Expr::ScalarFunction(function) = &e else {
            return Ok(Transformed::no(e));
        };
        let moment = match function.name() {
            "now" | "current_timestamp" | "transaction_timestamp" => 0,
            "statement_timestamp" => 1,
            _ => return Ok(Transformed::no(e)),
        };
        if !function.args.is_empty() || !is_builtin(&function.func) {
            return Ok(Transformed::no(e));
        }
        let id = format!("${}", params + moment + 1);
        let field = Field::new(&id, PgType::TimestampTz.arrow(), true);
        let placeholder = Placeholder::new_with_field(id, Some(Arc::new(field)));
        Ok(Transformed::yes(Expr::Placeholder(placeholder)))
    })
}

fn is_builtin(function: &Arc<datafusion::logical_expr::ScalarUDF>) -> bool {
    let ours = crate::functions::scalar(function.name());
    ours.is_some_and(|ours| Arc::ptr_eq(ours.inner(), function.inner()))
}

/// Whether an expression may be compiled; see the module's header. `nextval` knows its session by itself,
/// so it may be, where `sequences` may be used.
pub(crate) fn is_timeless(expr: &Expr, sequences: bool) -> bool {
    let mut timeless = true;
    let walked = expr.apply(|e| {
        timeless &= match e {
            Expr::ScalarFunction(f) if sequences && is_nextval(&f.func) => true,
            Expr::ScalarFunction(f) => {
                f.func.signature().volatility == Volatility::Immutable && is_builtin(&f.func)
            }
            Expr::ScalarSubquery(_)
            | Expr::Exists(_)
            | Expr::InSubquery(_)
            | Expr::SetComparison(_)
            | Expr::OuterReferenceColumn(..)
            | Expr::ScalarVariable(..)
            | Expr::AggregateFunction(_)
            | Expr::WindowFunction(_)
            | Expr::HigherOrderFunction(_)
            | Expr::Unnest(_) => false,
            Expr::Placeholder(p) => parameter_place(p).is_some(),
            _ => true,
        };
        Ok(if timeless {
            TreeNodeRecursion::Continue
        } else {
            TreeNodeRecursion::Stop
        })
    });
    timeless && walked.is_ok()
}

/// Compiles the expressions of one statement.
pub(crate) struct Compiler {
    props: ExecutionProps,
    /// One field per parameter, those of [`lift_moments`] included.
    params: Vec<FieldRef>,
    sequences: bool,
}

impl Compiler {
    /// For parameters of these types, and for expressions that may or may not use `nextval`.
    pub fn new(state: &SessionState, params: &[PgType], sequences: bool) -> Compiler {
        let mut options = state.config_options().as_ref().clone();
        let vars = SessionVars::of(&options);
        let mut format = vars.format.clone();
        format.objects = None;
        let timeless = SessionVars {
            snapshot: None,
            clock: None,
            services: None,
            session: None,
            format,
            ..vars.clone()
        };
        options.extensions.insert(timeless);
        let mut props = ExecutionProps::new();
        props.config_options = Some(Arc::new(options));
        let types = params.iter().map(PgType::arrow);
        let moments = std::iter::repeat_n(PgType::TimestampTz.arrow(), MOMENTS);
        let fields = types.chain(moments).enumerate();
        let params = fields.map(|(i, ty)| Arc::new(Field::new(name_of(i), ty, true)));
        Compiler {
            props,
            params: params.collect(),
            sequences,
        }
    }

    /// The type of a parameter, counted from 0.
    pub fn parameter_type(&self, place: usize) -> Option<&DataType> {
        self.params.get(place).map(|field| field.data_type())
    }

    /// The physical form over batches of `input`; `None` when it may not be compiled.
    pub fn compile(&self, expr: &Expr, input: &DFSchema) -> Result<Option<Arc<dyn PhysicalExpr>>> {
        if !is_timeless(expr, self.sequences) {
            return Ok(None);
        }
        let width = input.fields().len();
        // A parameter is a column behind those of the input until its expression is made.
        let expr = expr.clone().transform_up(|e| match &e {
            Expr::Placeholder(p) => {
                let place = parameter_place(p).filter(|place| *place < self.params.len());
                let place = place.ok_or_else(|| {
                    DataFusionError::Internal(format!("parameter {} is not known", p.id))
                })?;
                let column = datafusion::common::Column::new_unqualified(name_of(place));
                Ok(Transformed::yes(Expr::Column(column)))
            }
            _ => Ok(Transformed::no(e)),
        })?;
        let wide;
        let input = match expr.transformed {
            false => input,
            true => {
                let own = input.iter();
                let own = own.map(|(qualifier, field)| (qualifier.cloned(), Arc::clone(field)));
                let params = self.params.iter().map(|field| (None, Arc::clone(field)));
                let fields = own.chain(params).collect();
                wide = DFSchema::new_with_metadata(fields, Default::default())?;
                &wide
            }
        };
        let made = create_physical_expr(&expr.data, input, &self.props, &Default::default())?;
        let made = made.transform_up(|e| {
            if let Some(bound) = BoundCall::of(&e, input.as_arrow(), &self.props) {
                return Ok(Transformed::yes(Arc::new(bound) as Arc<dyn PhysicalExpr>));
            }
            let column = e.downcast_ref::<Column>();
            let place = column.and_then(|column| column.index().checked_sub(width));
            match place.and_then(|place| Some((place, self.params.get(place)?))) {
                Some((place, field)) => Ok(Transformed::yes(Arc::new(Parameter {
                    place,
                    field: Arc::clone(field),
                })
                    as Arc<dyn PhysicalExpr>)),
                None => Ok(Transformed::no(e)),
            }
        })?;
        Ok(Some(made.data))
    }
}

/// No column of SQL has such a name.
fn name_of(place: usize) -> String {
    format!("\u{1}${}", place + 1)
}
