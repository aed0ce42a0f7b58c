//! The columns of a subquery in FROM are called what PostgreSQL calls them.
//!
//! Beside a star the names of the other columns carry a mark ([`names`](super::rewrite::names)), since nobody
//! knows before planning what the star stands for. Here it is known: a mark goes away when no other column has
//! the name. Of several columns of one name the first keeps it, and the others get marks that a client is not
//! shown.

use std::collections::HashMap;

use datafusion::common::Result as DfResult;
use datafusion::logical_expr::planner::{
    PlannedRelation, RelationPlanner, RelationPlannerContext, RelationPlanning,
};
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder};
use sqlparser::ast::{Cte, Query, Select, SelectItem, SetExpr, TableFactor};
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::parser::Parser;

use super::rewrite::names::{MARK, output_name};
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
            } if first_select(&subquery.body).is_some_and(has_star) => {
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
    let marked = |select: &Select| has_star(select) && select.projection.len() > 1;
    if !first_select(&cte.query.body).is_some_and(marked) {
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

/// The SELECT that names the columns of a query.
fn first_select(body: &SetExpr) -> Option<&Select> {
    match body {
        SetExpr::Select(select) => Some(select),
        SetExpr::Query(query) => first_select(&query.body),
        SetExpr::SetOperation { left, .. } => first_select(left),
        _ => None,
    }
}

fn has_star(select: &Select) -> bool {
    select.projection.iter().any(|item| {
        matches!(
            item,
            SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(_, _)
        )
    })
}

fn renamed(plan: LogicalPlan) -> DfResult<LogicalPlan> {
    let mut seen: HashMap<&str, usize> = HashMap::new();
    let schema = plan.schema().clone();
    let names: Vec<String> = schema
        .fields()
        .iter()
        .map(|field| {
            let name = output_name(field.name());
            let before = seen.entry(name).or_default();
            *before += 1;
            match *before {
                1 => name.to_owned(),
                n => format!("{name}{MARK}{n}"),
            }
        })
        .collect();
    if schema.fields().iter().map(|f| f.name()).eq(names.iter()) {
        return Ok(plan);
    }
    let columns = schema
        .iter()
        .zip(names)
        .map(|(column, name)| Expr::from(column).alias(name));
    LogicalPlanBuilder::from(plan).project(columns)?.build()
}
