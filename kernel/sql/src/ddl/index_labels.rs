//! Labels of enums in expressions that storage computes, of indexes: by their keys.
//!
//! Such an expression runs where there is no catalog, over the keys that rows keep
//! (`crate::types::enumeration`). So `state = 'done'` is kept as `c1 = "$_label"(562949953421312, 16390)`,
//! which is the number; a renaming of the label is none of the index's. What shows the expression puts the
//! label of now in its place again.

use std::ops::ControlFlow;

use sqlparser::ast::{self, Expr, FunctionArg, FunctionArgExpr, FunctionArguments, Value};

use super::stored_text::{named_type, operands};
use super::view::literal;
use crate::catalog::model::Table;
use crate::error::Result;
use crate::functions::enumeration::LABEL;
use crate::functions::named_types::NamedTypes;
use crate::names::fold;
use crate::semantics::call;
use crate::types::{EnumType, PgType};

/// An expression over a table with keys for labels. One that is no label stays as it is, and is an error of
/// its type.
pub(super) fn with_keys(expr: &Expr, table: &Table, types: &NamedTypes) -> Result<Expr> {
    let mut expr = expr.clone();
    let failed = ast::visit_expressions_mut(&mut expr, |e| match keyed(e, table, types) {
        Ok(()) => ControlFlow::Continue(()),
        Err(error) => ControlFlow::Break(error),
    });
    match failed {
        ControlFlow::Continue(()) => Ok(expr),
        ControlFlow::Break(error) => Err(error),
    }
}

fn keyed(expr: &mut Expr, table: &Table, types: &NamedTypes) -> Result<()> {
    let mut of = None;
    for operand in operands(expr) {
        of = of.or_else(|| enum_of(operand, table));
    }
    if let Some(of) = of {
        for operand in operands(expr) {
            put_key(operand, of)?;
        }
    }
    let Some(ty) = named_type(expr) else {
        return Ok(());
    };
    if let Some(named) = types.resolve(ty)?
        && let PgType::Enum(of) = named.ty
        && named.rules.is_none()
        && let Expr::Cast { expr: inner, .. } = expr
    {
        put_key(inner, of)?;
        let is_kept = is_key(inner) || enum_of(inner, table) == Some(of);
        if is_kept {
            *expr = inner.as_ref().clone();
        }
    }
    Ok(())
}

/// The enum that a column, or a key made before, is of.
fn enum_of(expr: &Expr, table: &Table) -> Option<&'static EnumType> {
    let name = match expr {
        Expr::Identifier(name) => name,
        Expr::CompoundIdentifier(path) => path.last()?,
        Expr::Nested(inner) => return enum_of(inner, table),
        _ => return None,
    };
    match table.column(&fold(name))?.1.ty() {
        PgType::Enum(of) => Some(of),
        _ => None,
    }
}

fn put_key(expr: &mut Expr, of: &EnumType) -> Result<()> {
    if let Some(Value::SingleQuotedString(label)) = literal(expr) {
        let key = of.key_of(label)?;
        let number = |n: i64| Expr::value(Value::Number(n.to_string(), false));
        *expr = call(LABEL, [number(key), number(i64::from(of.oid()))]);
    }
    Ok(())
}

fn is_key(expr: &Expr) -> bool {
    matches!(expr, Expr::Function(call) if call.name.to_string().contains(LABEL))
}

/// The label that a key stands for, where an expression has one.
pub(crate) fn label_in(expr: &Expr, table: &Table) -> Option<String> {
    let Expr::Function(call) = expr else {
        return None;
    };
    let FunctionArguments::List(list) = &call.args else {
        return None;
    };
    if !is_key(expr) {
        return None;
    }
    let mut numbers = list.args.iter().map(|arg| match arg {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(e)) => e.to_string().parse::<i64>().ok(),
        _ => None,
    });
    let (key, oid) = (numbers.next()??, numbers.next()??);
    let mut enums = table
        .columns
        .iter()
        .filter_map(|column| column.ty().enumeration());
    let of = enums.find(|of| i64::from(of.oid()) == oid)?;
    of.label_of(key).map(str::to_owned)
}
