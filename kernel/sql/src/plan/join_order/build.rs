//! A tree of joins put together in an order.
//!
//! Every class is met as soon as both sides of a join have a column of it, by one equality: columns of one
//! side are equal already. Every condition is met by the first join that has all its relations, as a
//! key where it is an equality between the sides. A join passes on only what is asked for later.

use std::sync::Arc;

use datafusion::arrow::datatypes::{Schema, SchemaRef};
use datafusion::common::{JoinSide, NullEquality};
use datafusion::error::Result;
use datafusion::logical_expr::{JoinType, Operator};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::conjunction;
use datafusion::physical_expr::expressions::{BinaryExpr, Column};
use datafusion::physical_expr::utils::collect_columns;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::joins::utils::{ColumnIndex, JoinFilter, JoinOn};
use datafusion::physical_plan::joins::{HashJoinExec, PartitionMode};
use datafusion::physical_plan::projection::{ProjectionExec, ProjectionExpr};

use super::graph::{Graph, Set, moved, unexpected};
use super::search::Tree;

/// What is equal in both sides' rows.
type Key = (Arc<dyn PhysicalExpr>, Arc<dyn PhysicalExpr>);

/// Some relations, joined.
struct Joined {
    plan: Arc<dyn ExecutionPlan>,
    set: Set,
    /// Which of all columns it has, in order.
    columns: Vec<usize>,
}

impl Joined {
    fn place(&self, column: usize) -> Option<usize> {
        self.columns.iter().position(|own| *own == column)
    }

    fn column(&self, column: usize) -> Result<Arc<dyn PhysicalExpr>> {
        let place = self
            .place(column)
            .ok_or_else(|| unexpected("a column is lost"))?;
        let schema = self.plan.schema();
        Ok(Arc::new(Column::new(schema.field(place).name(), place)))
    }
}

/// The relations of a graph joined in an order, with the columns of a schema.
pub fn plan(graph: &Graph, tree: &Tree, schema: &SchemaRef) -> Result<Arc<dyn ExecutionPlan>> {
    let joined = join(graph, tree)?;
    let exprs = graph.output.iter().zip(schema.fields());
    let exprs = exprs.map(|(column, field)| {
        let expr = joined.column(*column)?;
        Ok(ProjectionExpr::new(expr, field.name().clone()))
    });
    let exprs = exprs.collect::<Result<Vec<_>>>()?;
    Ok(Arc::new(ProjectionExec::try_new(exprs, joined.plan)?))
}

fn join(graph: &Graph, tree: &Tree) -> Result<Joined> {
    let [left, right] = match tree {
        Tree::Relation(number) => return relation(graph, *number),
        Tree::Join(sides) => &**sides,
    };
    let (left, right) = (join(graph, left)?, join(graph, right)?);
    let set = left.set | right.set;
    let mut on: JoinOn = Vec::new();
    for class in &graph.classes {
        let of = |side: &Joined| class.iter().copied().find(|c| side.place(*c).is_some());
        if let (Some(x), Some(y)) = (of(&left), of(&right)) {
            on.push((left.column(x)?, right.column(y)?));
        }
    }
    let mut filters = Vec::new();
    for condition in &graph.conditions {
        let is_of = |set: Set| condition.set & !set == 0;
        if !is_of(set) || is_of(left.set) || is_of(right.set) {
            continue;
        }
        match key(&condition.expr, &left, &right)? {
            Some(key) => on.push(key),
            None => filters.push(condition.expr.clone()),
        }
    }
    let filter = match filters.is_empty() {
        true => None,
        false => Some(join_filter(&conjunction(filters), &left, &right)?),
    };
    let both: Vec<usize> = [&left.columns[..], &right.columns[..]].concat();
    let kept = (0..both.len()).filter(|place| is_wanted(graph, set, both[*place]));
    let kept: Vec<usize> = kept.collect();
    let columns = kept.iter().map(|place| both[*place]).collect();
    let plan = HashJoinExec::try_new(
        left.plan,
        right.plan,
        on,
        filter,
        &JoinType::Inner,
        Some(kept),
        PartitionMode::Auto,
        NullEquality::NullEqualsNothing,
        false,
    )?;
    Ok(Joined {
        plan: Arc::new(plan),
        set,
        columns,
    })
}

/// A relation, and of it only what meets the conditions on it alone.
fn relation(graph: &Graph, number: usize) -> Result<Joined> {
    let relation = &graph.relations[number];
    let mut joined = Joined {
        plan: relation.plan.clone(),
        set: 1 << number,
        columns: relation.columns().collect(),
    };
    let conditions = graph.conditions.iter();
    let own = conditions.filter(|c| c.set == joined.set || (c.set == 0 && number == 0));
    let own: Vec<_> = own.map(|condition| condition.expr.clone()).collect();
    if !own.is_empty() {
        let predicate = moved(&conjunction(own), |column| joined.place(column))?;
        joined.plan = Arc::new(FilterExec::try_new(predicate, joined.plan)?);
    }
    Ok(joined)
}

/// Whether a column of joined relations is asked for by what comes after.
fn is_wanted(graph: &Graph, set: Set, column: usize) -> bool {
    let open = |class: &&Vec<usize>| class.iter().any(|c| graph.set_of(*c) & set == 0);
    let mut classes = graph.classes.iter().filter(open);
    let mut conditions = graph.conditions.iter().filter(|c| c.set & !set != 0);
    graph.output.contains(&column)
        || classes.any(|class| class.contains(&column))
        || conditions.any(|c| collect_columns(&c.expr).iter().any(|c| c.index() == column))
}

/// A condition as a key, if it is an equality between the sides.
fn key(expr: &Arc<dyn PhysicalExpr>, left: &Joined, right: &Joined) -> Result<Option<Key>> {
    let Some(equality) = expr.downcast_ref::<BinaryExpr>() else {
        return Ok(None);
    };
    if *equality.op() != Operator::Eq {
        return Ok(None);
    }
    let is_of = |expr: &Arc<dyn PhysicalExpr>, side: &Joined| {
        let columns = collect_columns(expr);
        !columns.is_empty() && columns.iter().all(|c| side.place(c.index()).is_some())
    };
    let (x, y) = (equality.left(), equality.right());
    let (x, y) = match (
        is_of(x, left) && is_of(y, right),
        is_of(y, left) && is_of(x, right),
    ) {
        (true, _) => (x, y),
        (_, true) => (y, x),
        _ => return Ok(None),
    };
    let x = moved(x, |column| left.place(column))?;
    let y = moved(y, |column| right.place(column))?;
    let types = (
        x.data_type(&left.plan.schema())?,
        y.data_type(&right.plan.schema())?,
    );
    Ok((types.0 == types.1).then_some((x, y)))
}

/// A condition on rows of both sides.
fn join_filter(expr: &Arc<dyn PhysicalExpr>, left: &Joined, right: &Joined) -> Result<JoinFilter> {
    let mut columns: Vec<usize> = collect_columns(expr).iter().map(Column::index).collect();
    columns.sort_unstable();
    let (mut indices, mut fields) = (Vec::new(), Vec::new());
    for column in &columns {
        let (side, joined) = match left.place(*column) {
            Some(_) => (JoinSide::Left, left),
            None => (JoinSide::Right, right),
        };
        let index = joined
            .place(*column)
            .ok_or_else(|| unexpected("a column is lost"))?;
        fields.push(joined.plan.schema().field(index).clone());
        indices.push(ColumnIndex { index, side });
    }
    let expr = moved(expr, |column| columns.iter().position(|c| *c == column))?;
    Ok(JoinFilter::new(
        expr,
        indices,
        Arc::new(Schema::new(fields)),
    ))
}
