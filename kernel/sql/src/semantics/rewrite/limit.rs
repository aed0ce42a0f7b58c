//! `FETCH FIRST n ROWS ONLY`, the standard's spelling of LIMIT.

use sqlparser::ast::{Expr, LimitClause, Query, Value};

use crate::error::{Result, SqlError, state};

/// Turns a FETCH clause into LIMIT. Without a number it is one row.
pub fn fetch_to_limit(query: &mut Query) -> Result<()> {
    let Some(fetch) = query.fetch.take() else {
        return Ok(());
    };
    if fetch.percent {
        return Err(SqlError::unsupported("FETCH FIRST … PERCENT"));
    }
    if fetch.with_ties {
        return Err(SqlError::unsupported("FETCH FIRST … WITH TIES"));
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
    Ok(())
}
