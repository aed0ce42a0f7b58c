//! Grouping sets as PostgreSQL reads them.
//!
//! The planner knows ROLLUP and CUBE of single expressions, and finds columns of grouping sets by their names. So
//! those of several expressions, and those inside GROUPING SETS, are written out as sets ([`write_out`]), and what is
//! computed for a set is computed below the grouping, as a column of the name that the planner gave it
//! ([`Computed`]).

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, Result as DfResult};
use datafusion::config::ConfigOptions;
use datafusion::logical_expr::{Aggregate, Expr as Planned, GroupingSet, LogicalPlan, Projection};
use datafusion::optimizer::AnalyzerRule;
use sqlparser::ast::{
    Expr, FunctionArg, FunctionArgExpr, FunctionArguments, GroupByExpr, Select, SelectItem, Value,
};

use super::rewrite::names::function_name;
use crate::error::{Result, SqlError, state};

/// PostgreSQL's limit of grouping sets.
const SETS_MAX: usize = 4096;

type Set = Vec<Expr>;

/// Writes the grouping sets of a SELECT the way the planner knows. The select list is as it was parsed.
pub fn write_out(select: &mut Select) -> Result<()> {
    let GroupByExpr::Expressions(list, _) = &mut select.group_by else {
        return Ok(());
    };
    for element in list {
        match element {
            Expr::Rollup(sets) if sets.iter().any(|set| set.len() != 1) => {
                *element = Expr::GroupingSets(rolled_up(sets));
            }
            Expr::Cube(sets) if sets.iter().any(|set| set.len() != 1) => {
                *element = Expr::GroupingSets(cubed(sets)?);
            }
            Expr::GroupingSets(sets) => {
                let mut all = Vec::with_capacity(sets.len());
                for set in std::mem::take(sets) {
                    match nested(&set) {
                        Some(("rollup", inner)) => all.extend(rolled_up(&inner)),
                        Some((_, inner)) => all.extend(cubed(&inner)?),
                        None => all.push(set),
                    }
                }
                *sets = all;
            }
            _ => {}
        }
        if let Expr::Rollup(sets) | Expr::Cube(sets) | Expr::GroupingSets(sets) = element {
            for member in sets.iter_mut().flatten() {
                at_position(member, &select.projection)?;
            }
        }
    }
    Ok(())
}

/// The sets of ROLLUP: all of the elements, and ever fewer of them.
fn rolled_up(elements: &[Set]) -> Vec<Set> {
    let sets = (0..=elements.len()).rev();
    sets.map(|count| elements[..count].concat()).collect()
}

/// The sets of CUBE: each choice of the elements.
fn cubed(elements: &[Set]) -> Result<Vec<Set>> {
    let count = u32::try_from(elements.len()).ok();
    let sets = count.and_then(|count| 1_usize.checked_shl(count));
    let Some(sets) = sets.filter(|sets| *sets <= SETS_MAX) else {
        return Err(SqlError::new(
            state::STATEMENT_TOO_COMPLEX,
            format!("too many grouping sets present (maximum {SETS_MAX})"),
        ));
    };
    let chosen = |bits: usize| {
        let kept = elements.iter().enumerate();
        let kept = kept.filter(|(i, _)| bits & (1 << (elements.len() - 1 - i)) != 0);
        kept.flat_map(|(_, set)| set.clone()).collect()
    };
    Ok((0..sets).rev().map(chosen).collect())
}

/// A ROLLUP or CUBE inside GROUPING SETS, which the parser takes for a call, and its elements.
fn nested(set: &[Expr]) -> Option<(&'static str, Vec<Set>)> {
    let [Expr::Function(call)] = set else {
        return None;
    };
    let name = match function_name(&call.name).as_str() {
        "rollup" => "rollup",
        "cube" => "cube",
        _ => return None,
    };
    let FunctionArguments::List(arguments) = &call.args else {
        return None;
    };
    let elements = arguments.args.iter().map(|argument| match argument {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Tuple(set))) => Some(set.clone()),
        FunctionArg::Unnamed(FunctionArgExpr::Expr(element)) => Some(vec![element.clone()]),
        _ => None,
    });
    Some((name, elements.collect::<Option<_>>()?))
}

/// A number is the place of an output column.
fn at_position(member: &mut Expr, projection: &[SelectItem]) -> Result<()> {
    let Expr::Value(value) = &*member else {
        return Ok(());
    };
    let Value::Number(number, _) = &value.value else {
        return Ok(());
    };
    let item = number.parse::<usize>().ok().and_then(|n| n.checked_sub(1));
    let Some(place) = item.filter(|place| *place < projection.len()) else {
        return Err(SqlError::new(
            state::INVALID_COLUMN_REFERENCE,
            format!("GROUP BY position {number} is not in select list"),
        ));
    };
    let before = &projection[..=place];
    *member = match before.last() {
        Some(SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. })
            if before.iter().all(|item| {
                !matches!(
                    item,
                    SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..)
                )
            }) =>
        {
            expr.clone()
        }
        _ => {
            return Err(SqlError::unsupported(
                "a position behind * in a grouping set",
            ));
        }
    };
    Ok(())
}

/// Computes what grouping sets name below the grouping.
#[derive(Debug)]
pub struct Computed;

impl AnalyzerRule for Computed {
    fn name(&self) -> &str {
        "computed_grouping_sets"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> DfResult<LogicalPlan> {
        plan.transform_up_with_subqueries(compute_below)
            .map(|t| t.data)
    }
}

fn compute_below(plan: LogicalPlan) -> DfResult<Transformed<LogicalPlan>> {
    let LogicalPlan::Aggregate(aggregate) = plan else {
        return Ok(Transformed::no(plan));
    };
    let mut computed: Vec<Planned> = Vec::new();
    if let [Planned::GroupingSet(sets)] = aggregate.group_expr.as_slice() {
        for member in sets.distinct_expr() {
            if !matches!(member, Planned::Column(_)) && !computed.contains(member) {
                computed.push(member.clone());
            }
        }
    }
    if computed.is_empty() {
        return Ok(Transformed::no(LogicalPlan::Aggregate(aggregate)));
    }
    let Aggregate {
        input,
        group_expr,
        aggr_expr,
        ..
    } = aggregate;
    let column = |expr: &Planned| {
        let name = expr.schema_name().to_string();
        Planned::Column(Column::new_unqualified(name))
    };
    let below = input.schema().columns().into_iter().map(Planned::Column);
    let named = computed.iter().map(|expr| {
        let name = expr.schema_name().to_string();
        expr.clone().alias(name)
    });
    let below = Projection::try_new(below.chain(named).collect(), input)?;
    let known = |expr: Planned| match computed.contains(&expr) {
        true => Transformed::new(column(&expr), true, TreeNodeRecursion::Jump),
        false => Transformed::no(expr),
    };
    let members = |exprs: Vec<Planned>| exprs.into_iter().map(|e| known(e).data).collect();
    let group_expr = group_expr.into_iter().map(|expr| match expr {
        Planned::GroupingSet(GroupingSet::Rollup(exprs)) => GroupingSet::Rollup(members(exprs)),
        Planned::GroupingSet(GroupingSet::Cube(exprs)) => GroupingSet::Cube(members(exprs)),
        Planned::GroupingSet(GroupingSet::GroupingSets(sets)) => {
            GroupingSet::GroupingSets(sets.into_iter().map(members).collect())
        }
        other => GroupingSet::GroupingSets(vec![vec![other]]),
    });
    let group_expr = group_expr.map(Planned::GroupingSet).collect();
    // GROUPING tells its arguments from each other by what is grouped by.
    let aggr_expr = aggr_expr.into_iter().map(|expr| {
        let name = expr.schema_name().to_string();
        let changed = expr.transform_down(|e| match e {
            Planned::AggregateFunction(mut f) if f.func.name() == "grouping" => {
                let args = f.params.args.into_iter().map(|e| known(e).data);
                f.params.args = args.collect();
                let call = Planned::AggregateFunction(f);
                Ok(Transformed::new(call, true, TreeNodeRecursion::Jump))
            }
            other => Ok(Transformed::no(other)),
        })?;
        Ok(match changed.transformed {
            true => changed.data.alias(name),
            false => changed.data,
        })
    });
    let aggr_expr = aggr_expr.collect::<DfResult<Vec<_>>>()?;
    let below = Arc::new(LogicalPlan::Projection(below));
    let above = Aggregate::try_new(below, group_expr, aggr_expr)?;
    Ok(Transformed::yes(LogicalPlan::Aggregate(above)))
}
