//! The columns of a subquery in FROM are called what PostgreSQL calls them.
//!
//! Beside a star the names of the other columns carry a mark ([`names`](super::rewrite::names)), since nobody
//! knows before planning what the star stands for; beside a call that gives rows, so do aliases that are also
//! names of columns it is computed with. Here it is known: a mark goes away when no other column has the name. Of several
//! columns of one name the first keeps it, and the others get marks that a client is not shown.

use std::collections::HashMap;
use std::ops::ControlFlow;

use datafusion::common::Result as DfResult;
use datafusion::logical_expr::planner::{
    PlannedRelation, RelationPlanner, RelationPlannerContext, RelationPlanning,
};
use datafusion::logical_expr::{Expr as Planned, LogicalPlan, LogicalPlanBuilder};
use sqlparser::ast::{
    Cte, Expr, Query, Select, SelectItem, SetExpr, TableFactor, visit_expressions,
};
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::parser::Parser;

use super::rewrite::is_set_returning;
use super::rewrite::names::{MARK, function_name, ident, output_name, quoted};
use crate::error::{Result, SqlError};

#[derive(Debug)]
pub struct DerivedTables;

impl RelationPlanner for DerivedTables {
    fn plan_relation(
        &self,
        relation: TableFactor,
        context: &mut dyn RelationPlannerContext,
    ) -> DfResult<RelationPlanning> {
        match relation {
            TableFactor::Derived {
                lateral: false,
                subquery,
                alias: Some(alias),
                sample,
            } if first_select(&subquery.body).is_some_and(is_marked) => {
                // Without its name it is planned as any other.
                let plan = context.plan(TableFactor::Derived {
                    lateral: false,
                    subquery,
                    alias: None,
                    sample,
                })?;
                let planned = PlannedRelation::new(renamed(plan)?, Some(alias));
                Ok(RelationPlanning::Planned(Box::new(planned)))
            }
            relation => Ok(RelationPlanning::Original(Box::new(relation))),
        }
    }
}

/// Makes a query of WITH one that has a subquery in FROM, if its columns' names may carry marks.
pub fn unmark(cte: &mut Cte) -> Result<()> {
    mark_aliases(&mut cte.query);
    let marked = |select: &Select| is_marked(select) && select.projection.len() > 1;
    // Of joined relations the star alone may give a name twice.
    let joins = match cte.query.body.as_ref() {
        SetExpr::Select(select) => is_marked(select) && is_joined(select),
        _ => false,
    };
    if !joins && !first_select(&cte.query.body).is_some_and(marked) {
        return Ok(());
    }
    let sql = "SELECT * FROM (SELECT 1) AS rows";
    let mut outer = Parser::new(&PostgreSqlDialect {})
        .try_with_sql(sql)
        .and_then(|mut parser| parser.parse_query())
        .map_err(SqlError::internal)?;
    if let SetExpr::Select(select) = outer.body.as_mut()
        && let Some(from) = select.from.first_mut()
        && let TableFactor::Derived { subquery, .. } = &mut from.relation
    {
        std::mem::swap::<Query>(subquery, &mut cte.query);
        cte.query = outer;
    }
    Ok(())
}

/// Marks the aliases of a SELECT with set-returning calls that are also names of columns it reads: the planner has
/// both in one row. ORDER BY would not find them any more, and a query that has one stays as it is.
pub fn mark_aliases(query: &mut Query) {
    if query.order_by.is_some() {
        return;
    }
    let SetExpr::Select(select) = query.body.as_mut() else {
        return;
    };
    let mut read: Vec<String> = Vec::new();
    let mut gives_rows = Vec::with_capacity(select.projection.len());
    for item in &select.projection {
        let mut calls = false;
        let _ = visit_expressions(item, |e| {
            match e {
                Expr::Function(f) => calls |= is_set_returning(&function_name(&f.name)),
                Expr::Identifier(name) => read.push(ident(name)),
                Expr::CompoundIdentifier(parts) => read.extend(parts.last().map(ident)),
                _ => {}
            }
            ControlFlow::<()>::Continue(())
        });
        gives_rows.push(calls);
    }
    if !gives_rows.contains(&true) {
        return;
    }
    for (i, item) in select.projection.iter_mut().enumerate() {
        // What a set-returning call gives is in no row with the columns.
        if let SelectItem::ExprWithAlias { expr, alias } = item
            && !gives_rows[i]
            && !matches!(expr, Expr::Identifier(_) | Expr::CompoundIdentifier(_))
            && read.contains(&ident(alias))
        {
            *alias = quoted(&format!("{}{MARK}s{i}", ident(alias)));
        }
    }
}

/// The SELECT that names the columns of a query.
pub fn first_select(body: &SetExpr) -> Option<&Select> {
    match body {
        SetExpr::Select(select) => Some(select),
        SetExpr::Query(query) => first_select(&query.body),
        SetExpr::SetOperation { left, .. } => first_select(left),
        _ => None,
    }
}

fn is_joined(select: &Select) -> bool {
    select.from.len() > 1 || select.from.iter().any(|item| !item.joins.is_empty())
}

/// Whether columns may carry marks.
fn is_marked(select: &Select) -> bool {
    select.projection.iter().any(|item| match item {
        SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(_, _) => true,
        // A name of ours begins with one.
        SelectItem::ExprWithAlias { alias, .. } => {
            alias.value.contains(MARK) && !alias.value.starts_with(MARK)
        }
        _ => false,
    })
}

fn renamed(plan: LogicalPlan) -> DfResult<LogicalPlan> {
    let schema = plan.schema().clone();
    let names = unique(schema.fields().iter().map(|field| field.name().as_str()));
    if schema.fields().iter().map(|f| f.name()).eq(names.iter()) {
        return Ok(plan);
    }
    let columns = schema
        .iter()
        .zip(names)
        .map(|(column, name)| Planned::from(column).alias(name));
    LogicalPlanBuilder::from(plan).project(columns)?.build()
}

/// What the columns of a subquery are called: without marks, but for names that come again.
pub fn unique<'n>(columns: impl Iterator<Item = &'n str>) -> Vec<String> {
    let mut seen: HashMap<&str, usize> = HashMap::new();
    let names = columns.map(|column| {
        let name = match column.starts_with(MARK) {
            true => column,
            false => output_name(column),
        };
        let before = seen.entry(name).or_default();
        *before += 1;
        match *before {
            1 => name.to_owned(),
            n => format!("{name}{MARK}{n}"),
        }
    });
    names.collect()
}
