//! Which columns of a relation a query reads, where it may not read all of them.
//!
//! PostgreSQL asks for SELECT on what a query names, whether the result needs it or not. So this is read from
//! the plan as DataFusion's planner made it, where every name has become a column and nothing was optimised
//! away. A column that cannot be followed to its relation counts as a column of each: what is not understood
//! is refused.

use std::collections::BTreeSet;
use std::sync::Arc;

use datafusion::common::Column;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::error::Result;
use datafusion::logical_expr::{Distinct, Expr, LogicalPlan, TableSource};

use super::error::wrap;
use crate::privilege::check::denied;

/// A relation of which some columns may be read.
#[derive(Clone)]
pub(crate) struct Restricted {
    /// As the plan has it.
    pub source: Arc<dyn TableSource>,
    pub kind: &'static str,
    pub name: String,
    /// By their places in the source's schema.
    pub allowed: BTreeSet<usize>,
}

impl std::fmt::Debug for Restricted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Restricted")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// 42501 when a plan reads a column that it may not, or none at all of a relation.
pub(crate) fn check(plan: &LogicalPlan, restricted: &[Restricted]) -> Result<()> {
    if restricted.is_empty() {
        return Ok(());
    }
    let mut reads = Reads {
        restricted,
        read: vec![BTreeSet::new(); restricted.len()],
        lost: false,
    };
    for column in 0..plan.schema().fields().len() {
        reads.follow(plan, column);
    }
    reads.visit(plan, &[])?;
    for (relation, read) in restricted.iter().zip(&reads.read) {
        let none = read.is_empty() && relation.allowed.is_empty();
        if reads.lost || none || !read.is_subset(&relation.allowed) {
            return Err(wrap(denied(relation.kind, &relation.name)));
        }
    }
    Ok(())
}

struct Reads<'a> {
    restricted: &'a [Restricted],
    read: Vec<BTreeSet<usize>>,
    /// A column could not be followed.
    lost: bool,
}

impl Reads<'_> {
    /// Notes the columns of a plan and of the subqueries in it. `outer` are the nodes whose inputs a subquery
    /// may name, the innermost last.
    fn visit(&mut self, plan: &LogicalPlan, outer: &[&LogicalPlan]) -> Result<()> {
        let around = [outer, &[plan]].concat();
        plan.apply_expressions(|expr| {
            expr.apply(|e| {
                match e {
                    Expr::Column(column) => self.note(column, plan),
                    Expr::OuterReferenceColumn(_, column) => {
                        let of = outer.iter().rev().find(|node| names(node, column));
                        match of {
                            Some(node) => self.note(column, node),
                            None => self.lost = true,
                        }
                    }
                    Expr::ScalarSubquery(s) => self.visit(&s.subquery, &around)?,
                    Expr::Exists(e) => self.visit(&e.subquery.subquery, &around)?,
                    Expr::InSubquery(i) => {
                        self.visit(&i.subquery.subquery, &around)?;
                        self.follow(&i.subquery.subquery, 0);
                    }
                    Expr::SetComparison(c) => {
                        self.visit(&c.subquery.subquery, &around)?;
                        self.follow(&c.subquery.subquery, 0);
                    }
                    _ => {}
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })?;
        // What is LATERAL names what stands beside it.
        let beside = match plan {
            LogicalPlan::Join(_) | LogicalPlan::Subquery(_) => around.as_slice(),
            _ => outer,
        };
        for input in plan.inputs() {
            self.visit(input, beside)?;
        }
        Ok(())
    }

    /// A column that a node names of its inputs.
    fn note(&mut self, column: &Column, node: &LogicalPlan) {
        let inputs = node.inputs();
        let found = inputs
            .iter()
            .find_map(|input| Some((input, input.schema().maybe_index_of_column(column)?)));
        match found {
            Some((input, at)) => self.follow(input, at),
            // A scan's filters name its own columns.
            None => match node.schema().maybe_index_of_column(column) {
                Some(at) if inputs.is_empty() => self.follow(node, at),
                _ => self.lost = true,
            },
        }
    }

    /// Follows a column of a plan's output to the relation that it is of, past what passes it on as it is.
    fn follow(&mut self, plan: &LogicalPlan, column: usize) {
        match plan {
            LogicalPlan::TableScan(scan) => {
                let at = match &scan.projection {
                    Some(places) => places.get(column).copied(),
                    None => Some(column),
                };
                let mark = self
                    .restricted
                    .iter()
                    .position(|r| Arc::ptr_eq(&r.source, &scan.source));
                if let (Some(mark), Some(at)) = (mark, at) {
                    self.read[mark].insert(at);
                }
            }
            LogicalPlan::SubqueryAlias(a) => self.follow(&a.input, column),
            LogicalPlan::Filter(f) => self.follow(&f.input, column),
            LogicalPlan::Sort(s) => self.follow(&s.input, column),
            LogicalPlan::Limit(l) => self.follow(&l.input, column),
            LogicalPlan::Repartition(r) => self.follow(&r.input, column),
            LogicalPlan::Distinct(Distinct::All(input)) => self.follow(input, column),
            LogicalPlan::Subquery(s) => self.follow(&s.subquery, column),
            LogicalPlan::Union(u) => {
                for input in &u.inputs {
                    self.follow(input, column);
                }
            }
            LogicalPlan::RecursiveQuery(r) => {
                self.follow(&r.static_term, column);
                self.follow(&r.recursive_term, column);
            }
            LogicalPlan::Unnest(u) => match u.dependency_indices.get(column) {
                Some(at) => self.follow(&u.input, *at),
                None => self.lost = true,
            },
            LogicalPlan::Window(w) if column < w.input.schema().fields().len() => {
                self.follow(&w.input, column);
            }
            LogicalPlan::Join(join) => {
                let (qualifier, field) = plan.schema().qualified_field(column);
                let side = [&join.left, &join.right].into_iter().find_map(|side| {
                    let at = side
                        .schema()
                        .index_of_column_by_name(qualifier, field.name())?;
                    Some((side, at))
                });
                // The mark of a semi join has none: it is computed.
                if let Some((side, at)) = side {
                    self.follow(side, at);
                }
            }
            // Computed here, of columns that the node's expressions name.
            _ => {}
        }
    }
}

/// Whether an input of a node has a column.
fn names(node: &LogicalPlan, column: &Column) -> bool {
    let inputs = node.inputs();
    let mut inputs = inputs.iter();
    inputs.any(|input| input.schema().maybe_index_of_column(column).is_some())
}
