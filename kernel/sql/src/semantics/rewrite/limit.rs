//! `FETCH FIRST n ROWS`, the standard's spelling of LIMIT, `ONLY` or `WITH TIES`.

use sqlparser::ast::{
    Expr, FunctionArg, FunctionArgExpr, FunctionArguments, LimitClause, LockClause, NonBlock,
    Query, Value,
};

use super::expr::{call, cast_call};
use super::names::function_name;

use crate::error::{Result, SqlError, state};
use crate::semantics::ties::COUNT;
use crate::types::PgType;

/// What the limit of an expression `WITH TIES` is called around the expression, as no text can say it.
pub const WITH_TIES: &str = "\0with ties";

/// Turns a FETCH clause into LIMIT. Without a number it is one row.
pub fn fetch_to_limit(query: &mut Query) -> Result<()> {
    if let Some(LimitClause::LimitOffset {
        limit: Some(limit), ..
    }) = &mut query.limit_clause
        && let Some(rows) = rows_with_ties(limit)
    {
        *limit = rows;
        return with_ties(query);
    }
    let Some(fetch) = query.fetch.take() else {
        return Ok(());
    };
    if fetch.percent {
        return Err(SqlError::unsupported("FETCH FIRST … PERCENT"));
    }
    let rows = fetch
        .quantity
        .unwrap_or_else(|| Expr::value(Value::Number("1".to_owned(), false)));
    match &mut query.limit_clause {
        None => {
            query.limit_clause = Some(LimitClause::LimitOffset {
                limit: Some(rows),
                offset: None,
                limit_by: Vec::new(),
            });
        }
        Some(LimitClause::LimitOffset {
            limit: limit @ None,
            ..
        }) => *limit = Some(rows),
        Some(_) => {
            return Err(SqlError::new(
                state::SYNTAX_ERROR,
                "multiple LIMIT clauses not allowed",
            ));
        }
    }
    match fetch.with_ties {
        true => with_ties(query),
        false => Ok(()),
    }
}

/// The expression in a call of [`WITH_TIES`].
fn rows_with_ties(limit: &Expr) -> Option<Expr> {
    let Expr::Function(call) = limit else {
        return None;
    };
    let FunctionArguments::List(list) = &call.args else {
        return None;
    };
    match list.args.as_slice() {
        [FunctionArg::Unnamed(FunctionArgExpr::Expr(rows))]
            if function_name(&call.name) == WITH_TIES =>
        {
            Some(rows.clone())
        }
        _ => None,
    }
}

/// The rows that tie with the last one of the limit come, too.
fn with_ties(query: &mut Query) -> Result<()> {
    let refused = |why: &str| Err(SqlError::new(state::SYNTAX_ERROR, why));
    if query.order_by.is_none() {
        return refused("WITH TIES cannot be specified without ORDER BY clause");
    }
    let skips = |lock: &LockClause| lock.nonblock == Some(NonBlock::SkipLocked);
    if query.locks.iter().any(skips) {
        return refused("SKIP LOCKED and WITH TIES options cannot be used together");
    }
    if let Some(LimitClause::LimitOffset {
        limit: Some(limit), ..
    }) = &mut query.limit_clause
    {
        if matches!(limit, Expr::Value(v) if v.value == Value::Null) {
            return Err(SqlError::new(
                state::INVALID_ROW_COUNT_IN_LIMIT_CLAUSE,
                "row count cannot be null in FETCH FIRST ... WITH TIES clause",
            ));
        }
        let rows = std::mem::replace(limit, Expr::value(Value::Null));
        *limit = call(COUNT, [cast_call(rows, &PgType::Int8)]);
    }
    Ok(())
}
