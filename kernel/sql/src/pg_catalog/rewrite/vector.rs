//! `int2vector` and `oidvector`: arrays whose first element has the number 0, and whose text is their elements
//! with blanks between.
//!
//! Only system relations have columns of these types. Values are held as any array; what PostgreSQL answers
//! otherwise for them is said in words about arrays here.
//!
//! | written | becomes |
//! |---|---|
//! | `indkey[n]` | `indkey[n + 1]` |
//! | `indkey::text` | `array_to_string(indkey, ' ')` |
//! | `generate_subscripts(indkey, d)` | `generate_series(0, array_length(indkey, d) - 1)` |
//! | `array_lower(indkey, d)`, `array_upper` | `array_lower(indkey, d) - 1` |
//!
//! `(information_schema._pg_expandarray(array)).x` and `.n` are the elements of any array and their numbers, from 1
//! in a vector, too: `unnest(array)` and `generate_series(1, array_length(array, 1))`.

use sqlparser::ast::{
    AccessExpr, BinaryOperator, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments,
    Subscript, Value,
};

use super::{Rewriter, call, name_is};
use crate::names::{fold, parts};
use crate::pg_catalog::datum::Type;

impl Rewriter {
    /// Whether an expression is a column of such a type.
    pub(super) fn is_vector(&self, expr: &Expr) -> bool {
        matches!(
            self.column_type(expr),
            Some(Type::Int2Vector | Type::OidVector)
        )
    }

    /// What a call becomes that has a vector as its first argument.
    pub(super) fn vector_call(&self, function: &Function) -> Option<Expr> {
        let FunctionArguments::List(list) = &function.args else {
            return None;
        };
        let [
            FunctionArg::Unnamed(FunctionArgExpr::Expr(vector)),
            FunctionArg::Unnamed(FunctionArgExpr::Expr(dimension)),
        ] = list.args.as_slice()
        else {
            return None;
        };
        let is = |name| name_is(&function.name, name);
        if !self.is_vector(vector) {
            return None;
        }
        let arguments = vec![vector.clone(), dimension.clone()];
        if is("generate_subscripts") {
            let last = plus(call("array_length", arguments), BinaryOperator::Minus);
            return Some(call("generate_series", vec![number("0"), last]));
        }
        let bound = ["array_lower", "array_upper"].into_iter().find(|n| is(n))?;
        let bound = plus(call(bound, arguments), BinaryOperator::Minus);
        Some(Expr::Nested(Box::new(bound)))
    }
}

/// A field of what `_pg_expandarray` gives.
pub(super) fn expanded(root: &Expr, access_chain: &[AccessExpr]) -> Option<Expr> {
    let (Expr::Nested(inner), [AccessExpr::Dot(Expr::Identifier(field))]) = (root, access_chain)
    else {
        return None;
    };
    let array = expanded_array(inner)?;
    match fold(field).as_str() {
        "x" => Some(element(array.clone())),
        "n" => Some(number_of(array.clone())),
        _ => None,
    }
}

pub(super) fn element(array: Expr) -> Expr {
    call("unnest", vec![array])
}

pub(super) fn number_of(array: Expr) -> Expr {
    let length = call("array_length", vec![array, number("1")]);
    call("generate_series", vec![number("1"), length])
}

/// The array that is given to `_pg_expandarray`.
pub(super) fn expanded_array(expr: &Expr) -> Option<&Expr> {
    let Expr::Function(function) = expr else {
        return None;
    };
    let parts = parts(&function.name).ok()?;
    if parts.last()? != "_pg_expandarray" {
        return None;
    }
    let FunctionArguments::List(list) = &function.args else {
        return None;
    };
    let [FunctionArg::Unnamed(FunctionArgExpr::Expr(array))] = list.args.as_slice() else {
        return None;
    };
    Some(array)
}

/// Counts the subscript that follows a vector from 1.
pub(super) fn shift_subscript(access_chain: &mut [AccessExpr]) {
    if let Some(AccessExpr::Subscript(Subscript::Index { index })) = access_chain.first_mut() {
        *index = plus(index.clone(), BinaryOperator::Plus);
    }
}

/// The text of a vector.
pub(super) fn as_text(vector: Expr) -> Expr {
    let blank = Value::SingleQuotedString(" ".to_owned()).with_empty_span();
    call("array_to_string", vec![vector, Expr::Value(blank)])
}

/// `expr + 1` or `expr - 1`.
fn plus(expr: Expr, op: BinaryOperator) -> Expr {
    Expr::BinaryOp {
        left: Box::new(expr),
        op,
        right: Box::new(number("1")),
    }
}

fn number(digits: &str) -> Expr {
    Expr::Value(Value::Number(digits.to_owned(), false).with_empty_span())
}
