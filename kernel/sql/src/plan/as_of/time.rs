//! Working out when: expressions of AS OF, for each execution.
//!
//! The expression is constant within one execution: literals, parameters, and functions that keep
//! their value through a statement, such as `now()`.

use std::ops::ControlFlow;
use std::sync::Arc;

use arrow::array::AsArray;
use arrow::datatypes::{Int64Type, TimestampMicrosecondType};
use datafusion::execution::SessionState;
use datafusion::scalar::ScalarValue;
use heliosdb_storage::ids::Ts;
use heliosdb_storage::{Engine, ReadView};
use sqlparser::ast::{self, Expr};

use super::Slot;
use super::syntax::{Moment, Time};
use crate::error::{Result, SqlError, state};
use crate::place::{self, Others};
use crate::plan::compile::{Expressions, select};
use crate::plan::context::PlanContext;
use crate::plan::error::convert;
use crate::plan::query::parameter_fields;
use crate::semantics::SessionVars;
use crate::types::{CastContext, Format, PgType, cast, cast_array, encode_text};

const CLAUSE: &str = "AS OF";

/// When a table is read, as planned.
#[derive(Clone, Debug)]
pub(crate) struct When {
    /// `None` for the statement's own.
    branch: Option<String>,
    time: Planned,
}

#[derive(Clone, Debug)]
enum Planned {
    Now,
    At(Scale, Arc<Expressions>),
}

/// What an expression counts in. Both count the same: microseconds of the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scale {
    Timestamp,
    Scn,
}

impl Scale {
    fn ty(self) -> PgType {
        match self {
            Scale::Timestamp => PgType::TimestampTz,
            Scale::Scn => PgType::Int8,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Scale::Timestamp => "AS OF TIMESTAMP",
            Scale::Scn => "AS OF SCN",
        }
    }
}

/// Gives parameters that alone say when their types, where they have none yet.
pub(crate) fn infer(times: &[Moment], types: &mut Vec<Option<PgType>>) {
    for Moment { time, .. } in times {
        let scale = match time {
            Time::Now => continue,
            Time::Timestamp(_) => Scale::Timestamp,
            Time::Scn(_) => Scale::Scn,
        };
        if let Some(expr) = time.expr() {
            crate::dml::assign::infer_parameter(types, expr, &scale.ty());
        }
    }
}

/// Plans times. The types that they say of parameters go to `found`.
pub(crate) fn plan(
    context: &PlanContext<'_>,
    times: &[Moment],
    types: &[Option<PgType>],
    found: &mut Vec<(usize, PgType)>,
) -> Result<Vec<When>> {
    let times = times.iter();
    times
        .map(|Moment { branch, time, .. }| {
            Ok(When {
                branch: branch.clone(),
                time: plan_one(context, time, types, found)?,
            })
        })
        .collect()
}

fn plan_one(
    context: &PlanContext<'_>,
    time: &Time,
    types: &[Option<PgType>],
    found: &mut Vec<(usize, PgType)>,
) -> Result<Planned> {
    let (scale, expr) = match time {
        Time::Now => return Ok(Planned::Now),
        Time::Timestamp(expr) => (Scale::Timestamp, expr),
        Time::Scn(expr) => (Scale::Scn, expr),
    };
    check_constant(expr)?;
    let item = ast::SelectItem::UnnamedExpr(expr.clone());
    let mut statement = ast::Statement::Query(Box::new(select(vec![item], Vec::new())));
    context.rewrite(&mut statement)?;
    let mut planner_context = parameter_fields(types);
    let plan = context
        .planner()
        .sql_statement_to_plan_with_context(statement, &mut planner_context)
        .map_err(convert)?;
    context.check_reads(&plan, 0).map_err(convert)?;
    let plan = context
        .state
        .analyzer()
        .execute_and_check(plan, context.state.config_options(), |_, _| {})
        .map_err(convert)?;
    found.extend(crate::semantics::infer_parameters(&plan)?);
    let expressions = Expressions::of(plan, Default::default(), CLAUSE)?;
    if expressions.is_volatile() {
        return Err(SqlError::unsupported(format!(
            "a volatile function in {CLAUSE}"
        )));
    }
    Ok(Planned::At(scale, Arc::new(expressions)))
}

/// Refuses what needs a row to have a value.
fn check_constant(expr: &Expr) -> Result<()> {
    let found = ast::visit_expressions(expr, |e| match e {
        Expr::Identifier(_) | Expr::CompoundIdentifier(_) => ControlFlow::Break(SqlError::new(
            state::INVALID_COLUMN_REFERENCE,
            format!("argument of {CLAUSE} must not contain variables"),
        )),
        Expr::Subquery(_) | Expr::Exists { .. } | Expr::InSubquery { .. } => {
            ControlFlow::Break(SqlError::unsupported(format!("a subquery in {CLAUSE}")))
        }
        _ => ControlFlow::Continue(()),
    });
    match found {
        ControlFlow::Break(e) => Err(e),
        ControlFlow::Continue(()) => Ok(()),
    }
}

impl When {
    /// The database then. Without `params`, a time that depends on them is not known.
    pub fn view(
        &self,
        engine: &Engine,
        state: &SessionState,
        params: Option<&[ScalarValue]>,
        others: &Others,
    ) -> Result<Option<ReadView>> {
        let vars = SessionVars::of(state.config_options());
        let present = vars.snapshot()?;
        let on = match &self.branch {
            None => present.timeline(),
            Some(name) => place::named(engine, name)?,
        };
        let (scale, expressions) = match &self.time {
            Planned::Now if on == present.timeline() => return Ok(Some(present.committed())),
            Planned::Now => return others.view(engine, on).map(Some),
            Planned::At(scale, expressions) => (*scale, expressions),
        };
        let highest = expressions.parameter_max();
        let params = match params {
            Some(params) if params.len() < highest => {
                return Err(SqlError::new(
                    state::UNDEFINED_PARAMETER,
                    format!("there is no parameter ${highest}"),
                ));
            }
            Some(params) => params,
            None if highest > 0 => return Ok(None),
            None => &[],
        };
        let from = expressions.pg_type(0);
        if !cast::is_allowed(&from, &scale.ty(), CastContext::Implicit) {
            return Err(SqlError::new(
                state::DATATYPE_MISMATCH,
                format!(
                    "argument of {} must be type {}, not type {}",
                    scale.name(),
                    scale.ty().name(),
                    from.name()
                ),
            ));
        }
        let program = expressions.program(state, params)?;
        let value = program.run_one(0, &crate::dml::one_row())?;
        let value = cast_array(
            &value,
            &from,
            &scale.ty(),
            -1,
            CastContext::Implicit,
            &vars.format,
        )?;
        if value.is_null(0) {
            return Err(SqlError::new(
                state::NULL_VALUE_NOT_ALLOWED,
                format!("argument of {} must not be null", scale.name()),
            ));
        }
        let micros = match scale {
            Scale::Timestamp => value.as_primitive::<TimestampMicrosecondType>().value(0),
            Scale::Scn => value.as_primitive::<Int64Type>().value(0),
        };
        let ts = match u64::try_from(micros) {
            Ok(ts) => Ts(ts),
            Err(_) if scale == Scale::Timestamp => Ts(0),
            Err(_) => {
                return Err(SqlError::new(
                    state::INVALID_PARAMETER_VALUE,
                    "SCN must not be negative",
                ));
            }
        };
        if ts == present.ts() && on == present.timeline() {
            return Ok(Some(present.committed()));
        }
        arrive(engine, present, ts, &vars.format)?;
        Ok(Some(place::view_on(engine, on, ts)?))
    }

    /// A branch as it is now.
    pub fn now_on(branch: String) -> When {
        When {
            branch: Some(branch),
            time: Planned::Now,
        }
    }

    /// The branch that is named.
    pub fn branch(&self) -> Option<&str> {
        self.branch.as_deref()
    }
}

/// Make a time that has come final; one that has not is refused.
pub(crate) fn arrive(engine: &Engine, present: &ReadView, ts: Ts, format: &Format) -> Result<()> {
    if ts <= present.ts() {
        return Ok(());
    }
    let now = Ts(engine.now_micros()).max(engine.latest_view().ts());
    if ts > now {
        return Err(SqlError::new(
            state::INVALID_PARAMETER_VALUE,
            "cannot read AS OF a time in the future",
        )
        .with_detail(format!("The present is {}.", shown(now, format))));
    }
    Ok(engine.settle(ts)?)
}

/// A time for people, in both its forms.
pub(crate) fn shown(ts: Ts, format: &Format) -> String {
    let micros = i64::try_from(ts.0).unwrap_or(i64::MAX);
    let mut text = String::new();
    if let Ok(value) =
        ScalarValue::TimestampMicrosecond(Some(micros), Some("UTC".into())).to_array()
    {
        encode_text(&value, 0, &PgType::TimestampTz, format, &mut text);
    }
    format!("{text} (SCN {})", ts.0)
}

impl Slot {
    /// Why a name may not be known at this time.
    pub fn explain(&self, format: &Format) -> String {
        match self.planned_for {
            Some(ts) => format!("The name is looked up as of {}.", shown(ts, format)),
            None => "The time is a parameter. Until it is given, the name is looked up as of now."
                .to_owned(),
        }
    }
}
