//! The offsets of window frames: `ROWS $1 PRECEDING`.
//!
//! The planner takes plain numbers there and nothing else. Any other expression goes along as a key of the
//! partition, in a call of [`START`] or [`END`], and the frame gets a number in its place; when the parameters are
//! known, [`plan::windows`](crate::plan) evaluates the call, takes the key away, and puts the value where the
//! number is.

use std::ops::ControlFlow;

use sqlparser::ast::{
    self, Expr, Function, NamedWindowExpr, Select, Value, WindowFrame, WindowFrameBound,
    WindowFrameUnits, WindowSpec, WindowType,
};

use super::expr::{call, cast_call};
use crate::error::{Result, SqlError, state};
use crate::types::PgType;

/// The calls that stand for the offsets of a frame.
pub const START: &str = "$_frame_start";
pub const END: &str = "$_frame_end";

/// Before the parts of a call are rewritten: takes its offsets out, and keeps those that are plain numbers.
pub(super) fn enter(e: &mut Expr) -> Result<()> {
    match e {
        Expr::Function(Function {
            over: Some(WindowType::WindowSpec(spec)),
            ..
        }) => enter_window(spec),
        _ => Ok(()),
    }
}

/// Afterwards: they are plain numbers for the planner, too.
pub(super) fn leave(e: &mut Expr) {
    if let Expr::Function(Function {
        over: Some(WindowType::WindowSpec(spec)),
        ..
    }) = e
    {
        keep_plain(spec, false);
    }
}

/// The same of the windows that a query names.
pub(super) fn enter_named(select: &mut Select) -> Result<()> {
    named(select).try_for_each(enter_window)
}

pub(super) fn leave_named(select: &mut Select) {
    named(select).for_each(|spec| keep_plain(spec, false));
}

fn named(select: &mut Select) -> impl Iterator<Item = &mut WindowSpec> {
    select
        .named_window
        .iter_mut()
        .filter_map(|window| match &mut window.1 {
            NamedWindowExpr::WindowSpec(spec) => Some(spec),
            NamedWindowExpr::NamedWindow(_) => None,
        })
}

fn enter_window(spec: &mut WindowSpec) -> Result<()> {
    let Some(frame) = &mut spec.window_frame else {
        return Ok(());
    };
    let units = frame.units;
    for (name, offset) in [START, END].into_iter().zip(offsets(frame)) {
        let Some(offset) = offset.filter(|offset| !is_plain(offset, units)) else {
            continue;
        };
        let placeholder = Expr::value(Value::Number("0".to_owned(), false));
        let mut expr = std::mem::replace(offset, placeholder);
        // The parser takes a string there for an interval.
        if let Expr::Interval(interval) = expr {
            expr = *interval.value;
        }
        check(&expr, units)?;
        spec.partition_by
            .push(call(name, [cast_call(expr, &PgType::Int8)]));
    }
    keep_plain(spec, true);
    Ok(())
}

/// The offsets of the two ends, where they have one.
fn offsets(frame: &mut WindowFrame) -> [Option<&mut Expr>; 2] {
    fn of(bound: &mut WindowFrameBound) -> Option<&mut Expr> {
        match bound {
            WindowFrameBound::Preceding(offset) | WindowFrameBound::Following(offset) => {
                offset.as_deref_mut()
            }
            WindowFrameBound::CurrentRow => None,
        }
    }
    [
        of(&mut frame.start_bound),
        frame.end_bound.as_mut().and_then(of),
    ]
}

/// Whether the planner can take it as it is.
fn is_plain(offset: &Expr, units: WindowFrameUnits) -> bool {
    match offset {
        Expr::Value(value) => match &value.value {
            Value::Number(number, _) if units == WindowFrameUnits::Range => {
                number.parse::<f64>().is_ok()
            }
            Value::Number(number, _) => number.parse::<i64>().is_ok(),
            _ => false,
        },
        Expr::Interval(_) => units == WindowFrameUnits::Range,
        _ => false,
    }
}

/// Refuses what is not the same for all rows.
fn check(offset: &Expr, units: WindowFrameUnits) -> Result<()> {
    let units = match units {
        WindowFrameUnits::Rows => "ROWS",
        WindowFrameUnits::Groups => "GROUPS",
        WindowFrameUnits::Range => {
            return Err(SqlError::unsupported(
                "RANGE with an offset that is no plain number or interval",
            ));
        }
    };
    let found = ast::visit_expressions(offset, |e| match e {
        Expr::Identifier(_) | Expr::CompoundIdentifier(_) => ControlFlow::Break(SqlError::new(
            state::INVALID_COLUMN_REFERENCE,
            format!("argument of {units} must not contain variables"),
        )),
        Expr::Function(f) if f.over.is_some() => ControlFlow::Break(SqlError::new(
            state::WINDOWING_ERROR,
            "window functions are not allowed in window definitions",
        )),
        Expr::Subquery(_) | Expr::Exists { .. } | Expr::InSubquery { .. } => ControlFlow::Break(
            SqlError::unsupported(format!("a subquery in the argument of {units}")),
        ),
        _ => ControlFlow::Continue(()),
    });
    match found {
        ControlFlow::Break(e) => Err(e),
        ControlFlow::Continue(()) => Ok(()),
    }
}

/// Marks numbers (as "long", which PostgreSQL has no syntax for) so that they stay as they are.
fn keep_plain(spec: &mut WindowSpec, keep: bool) {
    let Some(frame) = &mut spec.window_frame else {
        return;
    };
    for offset in offsets(frame).into_iter().flatten() {
        if let Expr::Value(value) = offset
            && let Value::Number(_, long) = &mut value.value
        {
            *long = keep;
        }
    }
}
