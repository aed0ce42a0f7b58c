//! A routine's body: its statements, and what has no place among them.

use sqlparser::ast::{self, Expr, SetExpr, Statement as Ast};

use crate::catalog::model::Routine;
use crate::error::{Result, SqlError, state};
use crate::session::info::SessionInfo;
use crate::session::statement::{self, Statement, StatementKind};
use crate::session::upkeep::Command;

/// The statements of a body, as they were written.
pub(crate) fn parse(routine: &Routine, info: &SessionInfo) -> Result<Vec<Statement>> {
    let statements = statement::parse(&routine.body, info.instance.syntax());
    // The position is one in the body, which the client has not sent.
    let mut statements = statements.map_err(|mut e| {
        e.position = None;
        e
    })?;
    statements.retain(|statement| !statement.is_empty());
    for statement in &statements {
        check(statement)?;
    }
    Ok(statements)
}

/// Refuses what has no place in a function.
fn check(statement: &Statement) -> Result<()> {
    let refused = match &statement.kind {
        StatementKind::Checkpoint => "CHECKPOINT",
        StatementKind::Upkeep(upkeep) if upkeep.command == Command::Vacuum => "VACUUM",
        StatementKind::Export(_) => "EXPORT DATABASE",
        StatementKind::Backup(_) => "BACKUP DATABASE",
        StatementKind::ArchiveLog => "ARCHIVE LOG",
        StatementKind::Fetch(_) => "FETCH",
        StatementKind::Plugin(_) => "a command of a plugin",
        StatementKind::Copy(_) => "COPY",
        kind => match kind.ast() {
            Some(Ast::StartTransaction { .. }) => "BEGIN",
            Some(Ast::Commit { .. }) => "COMMIT",
            Some(Ast::Rollback { .. }) => "ROLLBACK",
            Some(Ast::Savepoint { .. }) => "SAVEPOINT",
            Some(Ast::ReleaseSavepoint { .. }) => "RELEASE SAVEPOINT",
            Some(Ast::Prepare { .. }) => "PREPARE",
            Some(Ast::Execute { .. }) => "EXECUTE",
            Some(Ast::Deallocate { .. }) => "DEALLOCATE",
            Some(Ast::Declare { .. }) => "DECLARE CURSOR",
            Some(Ast::Close { .. }) => "CLOSE CURSOR",
            Some(Ast::Discard { .. }) => "DISCARD",
            Some(Ast::Explain { .. }) => "EXPLAIN",
            _ => return Ok(()),
        },
    };
    Err(SqlError::new(
        state::FEATURE_NOT_SUPPORTED,
        format!("{refused} is not allowed in an SQL function"),
    ))
}

/// The one expression that a body is, if it is no more than that.
pub(crate) fn expression(statement: &Statement) -> Option<&Expr> {
    let Some(Ast::Query(query)) = statement.ast() else {
        return None;
    };
    if query.with.is_some()
        || query.order_by.is_some()
        || query.limit_clause.is_some()
        || query.fetch.is_some()
        || !query.locks.is_empty()
    {
        return None;
    }
    let SetExpr::Select(select) = query.body.as_ref() else {
        return None;
    };
    let is_plain = select.from.is_empty()
        && select.distinct.is_none()
        && select.into.is_none()
        && select.selection.is_none()
        && select.having.is_none()
        && select.lateral_views.is_empty()
        && select.named_window.is_empty()
        && matches!(&select.group_by, ast::GroupByExpr::Expressions(e, m) if e.is_empty() && m.is_empty());
    match select.projection.as_slice() {
        [ast::SelectItem::UnnamedExpr(e)] if is_plain => Some(e),
        [ast::SelectItem::ExprWithAlias { expr, .. }] if is_plain => Some(expr),
        _ => None,
    }
}
