//! The first step: PostgreSQL's syntax rewritten so that DataFusion's planner sees function calls
//! where PostgreSQL's meaning differs from its own.
//!
//! Literals get PostgreSQL's types, casts become [`special`](super::special)'s `$cast`, special
//! forms (`EXTRACT`, `SUBSTRING … FROM`, `AT TIME ZONE`, subscripts, …) become the functions they
//! stand for, set-returning functions become `unnest` of an array ([`from_function`] in FROM), and
//! every output column gets PostgreSQL's name ([`names`]). No types are known here; [`coerce`](super::coerce) has them.
//!
//! Output names must be unique in DataFusion. A second `count` becomes `count` + [`names::MARK`] +
//! a number, and [`names::output_name`] takes the mark off again.

mod expr;
pub mod frames;
mod from_function;
mod limit;
pub mod names;
mod rows;

use std::ops::ControlFlow;

use sqlparser::ast::{
    Expr, GroupByExpr, LimitClause, ObjectName, OrderByKind, Query, Select, SelectItem,
    SelectItemQualifiedWildcardKind, SetExpr, Statement, TableFactor, Value, VisitMut, VisitorMut,
};

use crate::error::{Result, SqlError, state};
use crate::functions::Functions;
use crate::semantics::{derived, grouping, recursive};

pub use expr::{call, cast_call, is_set_returning, rows_of};
pub use limit::{WITH_TIES, fetch_to_limit};

/// Rewrites a statement in place. `functions` are those it may name.
pub fn rewrite_statement(statement: &mut Statement, functions: &Functions) -> Result<()> {
    if let Statement::Query(query) = statement {
        derived::mark_aliases(query);
    }
    match statement.visit(&mut Rewriter { functions }) {
        ControlFlow::Break(e) => Err(e),
        ControlFlow::Continue(()) => Ok(()),
    }
}

struct Rewriter<'a> {
    functions: &'a Functions,
}

impl VisitorMut for Rewriter<'_> {
    type Break = SqlError;

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<SqlError> {
        if let Some(with) = query.with.as_ref().filter(|with| with.recursive)
            && let Err(e) = recursive::check_with(with)
        {
            return ControlFlow::Break(e);
        }
        if let Some(with) = query.with.as_mut().filter(|with| with.recursive) {
            recursive::set_apart(with);
        }
        for cte in query.with.iter_mut().flat_map(|with| &mut with.cte_tables) {
            if let Err(e) = derived::unmark(cte) {
                return ControlFlow::Break(e);
            }
        }
        if let Some(order_by) = &mut query.order_by
            && let OrderByKind::Expressions(list) = &mut order_by.kind
        {
            list.iter_mut().for_each(|o| keep_number(&mut o.expr));
        }
        if let Err(e) = fetch_to_limit(query) {
            return ControlFlow::Break(e);
        }
        if let Some(LimitClause::LimitOffset { limit, offset, .. }) = &mut query.limit_clause {
            limit.iter_mut().for_each(keep_number);
            offset.iter_mut().for_each(|o| keep_number(&mut o.value));
            // LIMIT NULL and LIMIT ALL are no limit.
            let none = |e: &Expr| matches!(e, Expr::Value(v) if v.value == Value::Null);
            if limit.as_ref().is_some_and(none) {
                *limit = None;
            }
        }
        if let SetExpr::Values(values) = query.body.as_mut() {
            expr::align_values(values);
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<SqlError> {
        if let GroupByExpr::Expressions(list, _) = &mut select.group_by {
            list.iter_mut().for_each(keep_number);
        }
        if let Err(e) = grouping::write_out(select) {
            return ControlFlow::Break(e);
        }
        if let Err(e) = frames::enter_named(select) {
            return ControlFlow::Break(e);
        }
        qualify_stars(select);
        name_columns(select);
        let condition = |e| rows::condition(e, self.functions);
        match select.selection.as_mut().map(condition) {
            Some(Err(e)) => ControlFlow::Break(e),
            _ => ControlFlow::Continue(()),
        }
    }

    fn post_visit_select(&mut self, select: &mut Select) -> ControlFlow<SqlError> {
        frames::leave_named(select);
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<SqlError> {
        if let TableFactor::Derived {
            lateral: false,
            subquery,
            alias: Some(_),
            ..
        } = factor
        {
            derived::mark_aliases(subquery);
        }
        if let TableFactor::Table {
            sample: Some(_), ..
        }
        | TableFactor::Derived {
            sample: Some(_), ..
        } = factor
        {
            return ControlFlow::Break(SqlError::unsupported("TABLESAMPLE"));
        }
        // The planner would read the present: times are taken out before.
        if let TableFactor::Table {
            version: Some(_), ..
        } = factor
        {
            return ControlFlow::Break(SqlError::unsupported("AS OF here"));
        }
        match from_function::to_subquery(factor, self.functions) {
            Ok(()) => ControlFlow::Continue(()),
            Err(e) => ControlFlow::Break(e),
        }
    }

    fn pre_visit_expr(&mut self, e: &mut Expr) -> ControlFlow<SqlError> {
        if let Expr::Subquery(query) = e
            && selects_nothing(&query.body)
        {
            let message = "subquery must return a column";
            return ControlFlow::Break(SqlError::new(state::SYNTAX_ERROR, message));
        }
        match frames::enter(e).and_then(|()| rows::value(e, self.functions)) {
            Ok(()) => ControlFlow::Continue(()),
            Err(e) => ControlFlow::Break(e),
        }
    }

    fn post_visit_expr(&mut self, e: &mut Expr) -> ControlFlow<SqlError> {
        frames::leave(e);
        match expr::rewrite(e, self.functions) {
            Ok(()) => ControlFlow::Continue(()),
            Err(e) => ControlFlow::Break(e),
        }
    }
}

/// True for `SELECT FROM …`, which is a query but no value: DataFusion takes it for one.
fn selects_nothing(body: &SetExpr) -> bool {
    match body {
        SetExpr::Select(select) => select.projection.is_empty(),
        SetExpr::Query(query) => selects_nothing(&query.body),
        SetExpr::SetOperation { left, .. } => selects_nothing(left),
        _ => false,
    }
}

/// Marks a number (as "long", which PostgreSQL has no syntax for) so that it stays a plain literal:
/// an ordinal or a limit.
fn keep_number(e: &mut Expr) {
    if let Expr::Value(v) = e
        && let Value::Number(_, long) = &mut v.value
    {
        *long = true;
    }
}

/// `t.*` of `FROM s.t` becomes `s.t.*`: the planner finds a relation by the whole name alone.
fn qualify_stars(select: &mut Select) {
    let factors = select.from.iter().flat_map(|item| {
        let joined = item.joins.iter().map(|join| &join.relation);
        std::iter::once(&item.relation).chain(joined)
    });
    let tables: Vec<ObjectName> = factors
        .filter_map(|factor| match factor {
            TableFactor::Table {
                name, alias: None, ..
            } => Some(name.clone()),
            _ => None,
        })
        .collect();
    for item in &mut select.projection {
        if let SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(name), _) =
            item
            && name.0.len() == 1
        {
            let wanted = names::function_name(name);
            let named = |table: &&ObjectName| names::function_name(table) == wanted;
            let mut found = tables.iter().filter(named);
            // Of two it is neither.
            if let (Some(whole), None) = (found.next(), found.next()) {
                *name = whole.clone();
            }
        }
    }
}

/// Gives each unnamed output expression PostgreSQL's name for it.
fn name_columns(select: &mut Select) {
    let star = select.projection.iter().any(|item| {
        matches!(
            item,
            SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(_, _)
        )
    });
    let mut seen: Vec<String> = Vec::new();
    for item in &mut select.projection {
        let (name, plain_column) = match item {
            SelectItem::UnnamedExpr(e) => (
                names::column_name(e),
                matches!(e, Expr::Identifier(_) | Expr::CompoundIdentifier(_)),
            ),
            SelectItem::ExprWithAlias { alias, .. } => (names::ident(alias), false),
            _ => continue,
        };
        let repeats = seen.iter().filter(|s| **s == name).count();
        seen.push(name.clone());
        // Beside a star, a column may come twice as well.
        let repeated = repeats > 0 || (star && plain_column);
        let unique = if repeated {
            format!("{name}{}{}", names::MARK, repeats + usize::from(star))
        } else {
            name
        };
        match item {
            SelectItem::UnnamedExpr(e) if repeated || !plain_column => {
                let expr = std::mem::replace(e, Expr::value(Value::Null));
                *item = SelectItem::ExprWithAlias {
                    expr,
                    alias: names::quoted(&unique),
                };
            }
            SelectItem::ExprWithAlias { alias, .. } if repeated => *alias = names::quoted(&unique),
            _ => {}
        }
    }
}
