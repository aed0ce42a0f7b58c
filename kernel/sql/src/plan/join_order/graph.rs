//! A tree of inner joins taken apart: relations, and what must hold between their rows.
//!
//! Columns are counted through all relations. Equalities between columns of one type join them into
//! classes, so that `a = b` and `b = c` can also be met as `a = c`; what else must hold is a condition on the
//! relations it names.

use std::ops::Range;
use std::sync::Arc;

use datafusion::common::JoinSide;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{BinaryExpr, Column};
use datafusion::physical_expr::utils::collect_columns;
use datafusion::physical_plan::ExecutionPlan;

use super::search::Tree;
use super::{inner_join, known, passed_on};

/// Relations, by number: bit n is relation n.
pub type Set = u64;

/// More relations than this stay in the order they have.
pub const RELATIONS_MAX: usize = 32;

/// What is joined.
pub struct Relation {
    pub plan: Arc<dyn ExecutionPlan>,
    pub rows: Option<f64>,
    /// Different values of each column; all are different where that is not known.
    distinct: Vec<Option<f64>>,
    /// Its first column among those of all.
    first: usize,
}

/// What must hold of rows of some relations.
pub struct Condition {
    /// Over the columns of all relations.
    pub expr: Arc<dyn PhysicalExpr>,
    pub set: Set,
}

impl Relation {
    /// Its columns among those of all.
    pub fn columns(&self) -> Range<usize> {
        self.first..self.first + self.plan.schema().fields().len()
    }
}

#[derive(Default)]
pub struct Graph {
    pub relations: Vec<Relation>,
    /// Each of two columns at least, all equal.
    pub classes: Vec<Vec<usize>>,
    pub conditions: Vec<Condition>,
    /// The columns of the tree's result.
    pub output: Vec<usize>,
}

impl Graph {
    /// Takes a tree apart. The second is the order it has.
    pub fn of(plan: &Arc<dyn ExecutionPlan>) -> Result<(Graph, Tree)> {
        let mut graph = Graph::default();
        let (output, tree) = graph.add(plan)?;
        graph.output = output;
        graph.equate_within();
        Ok((graph, tree))
    }

    /// Adds what a plan joins. Its columns as columns of all, and its shape.
    fn add(&mut self, plan: &Arc<dyn ExecutionPlan>) -> Result<(Vec<usize>, Tree)> {
        if let Some((projection, places)) = passed_on(plan)
            && is_joins(projection.input())
        {
            let (columns, tree) = self.add(projection.input())?;
            return Ok((chosen(&columns, &places)?, tree));
        }
        let Some(join) = inner_join(plan) else {
            return self.add_relation(plan);
        };
        let (left, left_tree) = self.add(join.left())?;
        let (right, right_tree) = self.add(join.right())?;
        for (a, b) in join.on() {
            self.equate(over_all(a, &left)?, over_all(b, &right)?);
        }
        if let Some(filter) = join.filter() {
            let sides = filter.column_indices().iter().map(|column| {
                let side = match column.side {
                    JoinSide::Left => &left,
                    JoinSide::Right => &right,
                    JoinSide::None => return Err(unexpected("a condition on no side")),
                };
                let found = side.get(column.index).copied();
                found.ok_or_else(|| unexpected("a condition on a column that is not there"))
            });
            let sides = sides.collect::<Result<Vec<_>>>()?;
            self.require(over_all(filter.expression(), &sides)?);
        }
        let mut columns = left;
        columns.extend(right);
        if let Some(places) = &join.projection {
            columns = chosen(&columns, places)?;
        }
        Ok((columns, Tree::join(left_tree, right_tree)))
    }

    fn add_relation(&mut self, plan: &Arc<dyn ExecutionPlan>) -> Result<(Vec<usize>, Tree)> {
        let (rows, distinct) = known(plan)?;
        let first = self.relations.last().map_or(0, |last| last.columns().end);
        let number = self.relations.len();
        self.relations.push(Relation {
            plan: plan.clone(),
            rows,
            distinct,
            first,
        });
        let columns = self.relations[number].columns();
        Ok((columns.collect(), Tree::Relation(number)))
    }

    fn equate(&mut self, a: Arc<dyn PhysicalExpr>, b: Arc<dyn PhysicalExpr>) {
        let (Some(x), Some(y)) = (a.downcast_ref::<Column>(), b.downcast_ref::<Column>()) else {
            self.require(Arc::new(BinaryExpr::new(a, Operator::Eq, b)));
            return;
        };
        let mut class = vec![x.index(), y.index()];
        self.classes.retain_mut(|other| {
            let meets = other.iter().any(|column| class.contains(column));
            if meets {
                class.append(other);
            }
            !meets
        });
        class.sort_unstable();
        class.dedup();
        self.classes.push(class);
    }

    /// Columns of one relation that are equal to one of another are equal.
    fn equate_within(&mut self) {
        for class in self.classes.clone() {
            for (x, y) in class.iter().zip(class.iter().skip(1)) {
                if self.relation_of(*x) == self.relation_of(*y) {
                    let (x, y) = (self.column(*x), self.column(*y));
                    self.require(Arc::new(BinaryExpr::new(x, Operator::Eq, y)));
                }
            }
        }
    }

    fn column(&self, column: usize) -> Arc<dyn PhysicalExpr> {
        let relation = &self.relations[self.relation_of(column)];
        let schema = relation.plan.schema();
        let name = schema.field(self.place_of(column)).name();
        Arc::new(Column::new(name, column))
    }

    fn require(&mut self, expr: Arc<dyn PhysicalExpr>) {
        let columns = collect_columns(&expr);
        let set = columns
            .iter()
            .fold(0, |set, c| set | self.set_of(c.index()));
        self.conditions.push(Condition { expr, set });
    }

    /// The number of the relation that a column is of.
    pub fn relation_of(&self, column: usize) -> usize {
        self.relations.partition_point(|r| r.first <= column) - 1
    }

    pub fn set_of(&self, column: usize) -> Set {
        1 << self.relation_of(column)
    }

    /// Where in its relation a column is.
    pub fn place_of(&self, column: usize) -> usize {
        column - self.relations[self.relation_of(column)].first
    }

    /// How many different values a column has.
    pub fn distinct(&self, column: usize) -> Option<f64> {
        let relation = &self.relations[self.relation_of(column)];
        let rows = relation.rows?;
        let known = relation.distinct.get(self.place_of(column)).copied();
        Some(known.flatten().unwrap_or(rows).min(rows).max(1.0))
    }
}

fn is_joins(plan: &Arc<dyn ExecutionPlan>) -> bool {
    match passed_on(plan) {
        Some((projection, _)) => is_joins(projection.input()),
        None => inner_join(plan).is_some(),
    }
}

fn chosen(columns: &[usize], places: &[usize]) -> Result<Vec<usize>> {
    let chosen = places.iter().map(|place| columns.get(*place).copied());
    let chosen: Option<Vec<_>> = chosen.collect();
    chosen.ok_or_else(|| unexpected("a projection of a column that is not there"))
}

/// An expression over columns of a plan as one over the columns of all relations.
fn over_all(expr: &Arc<dyn PhysicalExpr>, columns: &[usize]) -> Result<Arc<dyn PhysicalExpr>> {
    moved(expr, |place| columns.get(place).copied())
}

/// An expression whose columns are elsewhere now.
pub fn moved(
    expr: &Arc<dyn PhysicalExpr>,
    place: impl Fn(usize) -> Option<usize>,
) -> Result<Arc<dyn PhysicalExpr>> {
    let moved = expr.clone().transform_up(|expr| {
        let Some(column) = expr.downcast_ref::<Column>() else {
            return Ok(Transformed::no(expr));
        };
        match place(column.index()) {
            Some(place) => Ok(Transformed::yes(
                Arc::new(Column::new(column.name(), place)) as _,
            )),
            None => Err(unexpected("a condition on a column that is not there")),
        }
    });
    Ok(moved?.data)
}

pub fn unexpected(what: &str) -> DataFusionError {
    DataFusionError::Internal(format!("the order of joins: {what}"))
}
