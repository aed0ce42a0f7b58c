//! The merged column of a join, as the planner meets it: an operator over the columns of the two sides.
//!
//! Which of them it is depends on their types, and these are known when the planner has both: where they are the
//! same, the merged column of all but a FULL JOIN is simply one of the two.

use datafusion::common::{DFSchema, Result as DfResult};
use datafusion::logical_expr::{Expr as Planned, ExprSchemable, lit};
use sqlparser::ast::{BinaryOperator, Expr};

use super::super::common::common_pg_type;
use super::super::function::df;
use super::super::overload::pg_type;
use crate::error::SqlError;
use crate::functions::Functions;
use crate::types::PgType;

/// The first part of the operators' names. No SQL text can have it, for its zero byte.
const MARK: &str = "\0joined";
const EQUAL: &str = "=";
const COALESCE: &str = "coalesce";

/// How two columns become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Merging {
    Inner,
    Left,
    Right,
    Full,
}

impl Merging {
    const ALL: [(Merging, &'static str); 4] = [
        (Merging::Inner, "inner"),
        (Merging::Left, "left"),
        (Merging::Right, "right"),
        (Merging::Full, "full"),
    ];

    fn word(self) -> &'static str {
        let mut all = Merging::ALL.into_iter();
        all.find(|(merging, _)| *merging == self)
            .map_or("", |(_, word)| word)
    }

    fn of(word: &str) -> Option<Merging> {
        let mut all = Merging::ALL.into_iter();
        all.find(|(_, known)| *known == word)
            .map(|(merging, _)| merging)
    }
}

/// The merged column.
pub(super) fn merged(merging: Merging, left: Expr, right: Expr) -> Expr {
    binary(merging.word(), left, right)
}

/// The condition of the join.
pub(super) fn equal(left: Expr, right: Expr) -> Expr {
    binary(EQUAL, left, right)
}

fn binary(word: &str, left: Expr, right: Expr) -> Expr {
    Expr::BinaryOp {
        left: Box::new(left),
        op: BinaryOperator::PGCustomBinaryOperator(vec![MARK.to_owned(), word.to_owned()]),
        right: Box::new(right),
    }
}

/// A merged column as an item of a select list, which has its name without an alias where it is a column of a side.
pub(super) fn named(mut expr: Expr, name: &str) -> Expr {
    if let Expr::BinaryOp {
        op: BinaryOperator::PGCustomBinaryOperator(parts),
        ..
    } = &mut expr
        && is_joined(parts)
    {
        parts.push(name.to_owned());
    }
    expr
}

/// The same where the select list is one over groups.
pub(super) fn over_groups(expr: &mut Expr) {
    if let Some(name) = name_of(expr).map(str::to_owned)
        && let Expr::BinaryOp {
            op: BinaryOperator::PGCustomBinaryOperator(parts),
            ..
        } = expr
    {
        parts.push(name);
    }
}

/// The same without what [`named`] gave.
pub(super) fn unnamed(mut expr: Expr) -> Expr {
    if let Expr::BinaryOp {
        op: BinaryOperator::PGCustomBinaryOperator(parts),
        ..
    } = &mut expr
        && is_joined(parts)
    {
        parts.truncate(2);
    }
    expr
}

/// The relation's column that a merged one is, but for its type.
pub(super) fn side_of(expr: &Expr) -> Option<&Expr> {
    let mut expr = expr;
    let mut side = None;
    while let Expr::BinaryOp {
        left,
        op: BinaryOperator::PGCustomBinaryOperator(parts),
        right,
    } = expr
        && is_joined(parts)
    {
        expr = match parts.get(1).and_then(|word| Merging::of(word)) {
            Some(Merging::Inner | Merging::Left) => left,
            Some(Merging::Right) => right,
            Some(Merging::Full) | None => return None,
        };
        side = Some(expr);
    }
    side
}

/// The name that [`named`] gave.
pub(super) fn name_of(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::BinaryOp {
            op: BinaryOperator::PGCustomBinaryOperator(parts),
            ..
        } => match parts.as_slice() {
            [mark, _, name, ..] if mark == MARK => Some(name),
            _ => None,
        },
        _ => None,
    }
}

/// Whether an operator is one of these.
pub fn is_joined(parts: &[String]) -> bool {
    parts.first().is_some_and(|mark| mark == MARK)
}

/// What an operator of these stands for.
pub fn plan(
    parts: &[String],
    left: Planned,
    right: Planned,
    schema: &DFSchema,
    functions: &Functions,
) -> DfResult<Planned> {
    let sides = [&left, &right].map(|side| side.get_type(schema).map(|ty| pg_type(&ty)));
    let [of_left, of_right] = sides;
    let (of_left, of_right) = (of_left?, of_right?);
    let types = [of_left.clone(), of_right.clone()];
    let common = common_pg_type("JOIN/USING", &types).map_err(df)?;
    let call = |name: &str, args: Vec<Planned>| match functions.scalar(name) {
        Some(function) => Ok(function.call(args)),
        None => Err(df(SqlError::internal("a join without its functions"))),
    };
    // Of open type on both sides it stays what it is.
    let is = |ty: &PgType| *ty == common || of_left == of_right;
    let cast = |value: Planned| {
        let to = lit(common.key().into_owned());
        call("$cast", vec![value, to, lit(-1_i64)])
    };
    let as_common = |side: Planned, ty: &PgType| match alternatives(side) {
        Ok(all) if is(ty) => call(COALESCE, all),
        Ok(all) => {
            let all: DfResult<Vec<Planned>> = all.into_iter().map(cast).collect();
            call(COALESCE, all?)
        }
        Err(side) if is(ty) => Ok(*side),
        Err(side) => cast(*side),
    };
    // One COALESCE for a whole chain of joins: what is inside of another is planned as a CASE that has it twice.
    let of_full = |side: Planned, ty: &PgType| -> DfResult<Vec<Planned>> {
        match alternatives(side) {
            Ok(all) if is(ty) => Ok(all),
            Ok(all) => all.into_iter().map(cast).collect(),
            Err(side) => Ok(vec![*side]),
        }
    };
    let [_, word, of_item @ ..] = parts else {
        return Err(df(SqlError::internal("a join without its kind")));
    };
    if word == EQUAL {
        return call("$=", vec![left, right]);
    }
    let value = match Merging::of(word) {
        Some(Merging::Inner) if !is(&of_left) && is(&of_right) => right,
        Some(Merging::Inner | Merging::Left) => as_common(left, &of_left)?,
        Some(Merging::Right) => as_common(right, &of_right)?,
        Some(Merging::Full) => {
            let mut all = of_full(left, &of_left)?;
            all.extend(of_full(right, &of_right)?);
            call(COALESCE, all)?
        }
        None => return Err(df(SqlError::internal("a join of no kind"))),
    };
    Ok(match (of_item, &value) {
        ([], _) => value,
        ([name, ..], Planned::Column(column)) if column.name == *name => value,
        // Among groups there are no columns of the sides.
        ([_, name, ..], _) => value.alias(name.as_str()),
        // With a table's name before it, it can stand beside the sides' columns of the same name.
        ([name, ..], _) => value.alias_qualified(Some(MARK), name.as_str()),
    })
}

/// What a merged column of FULL JOINs is one of; or the value again, where it is none.
fn alternatives(value: Planned) -> Result<Vec<Planned>, Box<Planned>> {
    match value {
        Planned::ScalarFunction(call) if call.func.name() == COALESCE => Ok(call.args),
        value => Err(Box::new(value)),
    }
}
