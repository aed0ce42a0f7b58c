//! Calls that leave arguments out, name them, or give a variadic parameter its items: as calls by position.

use sqlparser::ast::{
    BinaryOperator, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgOperator,
    FunctionArguments,
};

use super::bare;
use crate::catalog::model::{Parameter, ParameterMode, Routine};
use crate::error::{Result, SqlError, state};
use crate::functions::Functions;
use crate::names::fold;
use crate::session::statement::parse_expression;

/// Completes a call of the function `key`, if one of the routines of that name wants it.
///
/// # Errors
///
/// 42601 for an argument by position after one by name.
pub(crate) fn complete_call(call: &mut Function, key: &str, functions: &Functions) -> Result<()> {
    let Some(set) = functions.routines(key.trim_start_matches('$')) else {
        return Ok(());
    };
    let FunctionArguments::List(list) = &mut call.args else {
        return Ok(());
    };
    list.args.iter_mut().for_each(name_by_assignment);
    let is_named = |arg: &FunctionArg| !matches!(arg, FunctionArg::Unnamed(_));
    let first = list.args.iter().position(is_named);
    let positional = first.unwrap_or(list.args.len());
    if list.args[positional..].iter().any(|arg| !is_named(arg)) {
        return Err(SqlError::new(
            state::SYNTAX_ERROR,
            "positional argument cannot follow named argument",
        ));
    }
    let fits_as_it_is = |routine: &&std::sync::Arc<Routine>| {
        first.is_none() && routine.inputs().count() == positional && !routine.is_variadic()
    };
    if set.routines().any(|routine| fits_as_it_is(&routine)) {
        return Ok(());
    }
    let mut completed = set
        .routines()
        .filter_map(|routine| complete(routine, &list.args, positional));
    match (completed.next(), completed.next()) {
        (Some(args), None) => {
            drop(completed);
            list.args = args?;
            Ok(())
        }
        (Some(_), Some(_)) => Err(SqlError::new(
            state::AMBIGUOUS_FUNCTION,
            format!("function {} is not unique", super::shown(bare(key))),
        )
        .with_hint(
            "Could not choose a best candidate function. You might need to add explicit type casts.",
        )),
        (None, _) if first.is_some() => {
            let args = list.args.iter().map(|arg| match arg {
                FunctionArg::Named { name, .. } => format!("{} => unknown", fold(name)),
                _ => "unknown".to_owned(),
            });
            let args = args.collect::<Vec<_>>().join(", ");
            let name = super::shown(bare(key));
            Err(SqlError::new(
                state::UNDEFINED_FUNCTION,
                format!("function {name}({args}) does not exist"),
            )
            .with_hint(
                "No function matches the given name and argument types. You might need to add \
                 explicit type casts.",
            ))
        }
        (None, _) => Ok(()),
    }
}

/// `name := value`, which the dialect takes for an operator.
fn name_by_assignment(arg: &mut FunctionArg) {
    if let FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::BinaryOp { left, op, right })) = arg
        && *op == BinaryOperator::Assignment
        && let Expr::Identifier(name) = left.as_ref()
    {
        *arg = FunctionArg::Named {
            name: name.clone(),
            arg: FunctionArgExpr::Expr(right.as_ref().clone()),
            operator: FunctionArgOperator::Assignment,
        };
    }
}

/// The arguments of a call of one routine by position; `None` if it cannot be called so.
fn complete(
    routine: &Routine,
    args: &[FunctionArg],
    positional: usize,
) -> Option<Result<Vec<FunctionArg>>> {
    let inputs: Vec<&Parameter> = routine.inputs().collect();
    let mut given: Vec<Option<FunctionArg>> = vec![None; inputs.len()];
    if routine.is_variadic() && positional >= inputs.len() && args.len() == positional {
        let fixed = inputs.len().saturating_sub(1);
        for (slot, arg) in given.iter_mut().zip(&args[..fixed]) {
            *slot = Some(arg.clone());
        }
        let items = args[fixed..]
            .iter()
            .map(value_of)
            .collect::<Option<Vec<_>>>()?;
        let array = Expr::Array(sqlparser::ast::Array {
            elem: items,
            named: true,
        });
        given[fixed] = Some(FunctionArg::Unnamed(FunctionArgExpr::Expr(array)));
    } else {
        if positional > inputs.len() {
            return None;
        }
        for (slot, arg) in given.iter_mut().zip(&args[..positional]) {
            *slot = Some(arg.clone());
        }
        for arg in &args[positional..] {
            let (name, value) = match arg {
                FunctionArg::Named { name, arg, .. } => (fold(name), arg.clone()),
                FunctionArg::ExprNamed {
                    name: Expr::Identifier(name),
                    arg,
                    ..
                } => (fold(name), arg.clone()),
                _ => return None,
            };
            let at = inputs
                .iter()
                .position(|p| p.name.as_deref() == Some(name.as_str()))?;
            if given[at].is_some() {
                return None;
            }
            given[at] = Some(FunctionArg::Unnamed(value));
        }
    }
    let mut all = Vec::with_capacity(inputs.len());
    for (slot, input) in given.into_iter().zip(inputs) {
        all.push(match (slot, &input.default) {
            (Some(arg), _) => arg,
            (None, Some(default)) => match parse_expression(default) {
                Ok(default) => FunctionArg::Unnamed(FunctionArgExpr::Expr(default)),
                Err(e) => return Some(Err(e)),
            },
            (None, None) if input.mode == ParameterMode::Variadic => return None,
            (None, None) => return None,
        });
    }
    Some(Ok(all))
}

fn value_of(arg: &FunctionArg) -> Option<Expr> {
    match arg {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(e)) => Some(e.clone()),
        _ => None,
    }
}
