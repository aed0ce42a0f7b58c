//! A semi-join goes down to the relation whose rows it tests.
//!
//! `(a JOIN b) WHERE a.x IN (SELECT …)` keeps of the join the rows whose part of `a` is kept: joining what is
//! kept of `a` is the same, and less work when that is little. It is not when what is tested against is as
//! large as `a`: then the join may leave far fewer rows to test.

use std::sync::Arc;

use datafusion::common::tree_node::Transformed;
use datafusion::error::Result;
use datafusion::logical_expr::JoinType;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::execution_plan::{ChildrenPropertiesMode, ReplaceChildrenOptions};
use datafusion::physical_plan::joins::HashJoinExec;

use super::{inner_join, is_plain, known, passed_on};

/// A semi-join goes down to a relation of so many times the rows it is tested against.
const TIMES_LARGER: f64 = 4.0;

/// The step of a walk from the leaves up.
pub fn push_down(plan: Arc<dyn ExecutionPlan>) -> Result<Transformed<Arc<dyn ExecutionPlan>>> {
    let Some(semi) = plan.downcast_ref::<HashJoinExec>() else {
        return Ok(Transformed::no(plan));
    };
    let movable = *semi.join_type() == JoinType::LeftSemi
        && is_plain(semi)
        && semi.filter().is_none()
        && semi.projection.is_none();
    if !movable || inner_join(semi.left()).is_none() && passed_on(semi.left()).is_none() {
        return Ok(Transformed::no(plan));
    }
    let keys = semi
        .on()
        .iter()
        .map(|(key, _)| Some(key.downcast_ref::<Column>()?.index()));
    let Some(keys) = keys.collect::<Option<Vec<usize>>>() else {
        return Ok(Transformed::no(plan));
    };
    Ok(match pushed(semi, semi.left(), &keys)? {
        Some(plan) => Transformed::yes(plan),
        None => Transformed::no(plan),
    })
}

fn with_inputs(
    plan: &Arc<dyn ExecutionPlan>,
    inputs: Vec<Arc<dyn ExecutionPlan>>,
) -> Result<Arc<dyn ExecutionPlan>> {
    let options = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute);
    plan.clone().replace_children(inputs, options)
}

/// A plan with a semi-join on some of its columns inside; `None` when it cannot go there.
fn pushed(
    semi: &HashJoinExec,
    plan: &Arc<dyn ExecutionPlan>,
    keys: &[usize],
) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    if let Some((projection, places)) = passed_on(plan) {
        let keys = keys.iter().map(|key| places.get(*key).copied());
        let Some(keys) = keys.collect::<Option<Vec<_>>>() else {
            return Ok(None);
        };
        let input = pushed(semi, projection.input(), &keys)?;
        return input
            .map(|input| with_inputs(plan, vec![input]))
            .transpose();
    }
    if let Some(join) = inner_join(plan) {
        let keys = match &join.projection {
            None => keys.to_vec(),
            Some(places) => keys.iter().map(|key| places[*key]).collect(),
        };
        let left = join.left().schema().fields().len();
        let (left_keys, right_keys): (Vec<usize>, Vec<usize>) =
            keys.iter().partition(|key| **key < left);
        let sides = match (left_keys.is_empty(), right_keys.is_empty()) {
            (false, true) => {
                let side = pushed(semi, join.left(), &left_keys)?;
                side.map(|side| vec![side, join.right().clone()])
            }
            (true, false) => {
                let keys: Vec<usize> = right_keys.iter().map(|key| key - left).collect();
                let side = pushed(semi, join.right(), &keys)?;
                side.map(|side| vec![join.left().clone(), side])
            }
            _ => None,
        };
        return sides.map(|sides| with_inputs(plan, sides)).transpose();
    }
    let (Some(rows), Some(tested)) = (known(plan)?.0, known(semi.right())?.0) else {
        return Ok(None);
    };
    if rows < tested * TIMES_LARGER {
        return Ok(None);
    }
    let on = semi.on().iter().zip(keys).map(|((_, right), key)| {
        let name = plan.schema().field(*key).name().clone();
        let left: Arc<dyn PhysicalExpr> = Arc::new(Column::new(&name, *key));
        (left, right.clone())
    });
    let semi = HashJoinExec::try_new(
        plan.clone(),
        semi.right().clone(),
        on.collect(),
        None,
        &JoinType::LeftSemi,
        None,
        *semi.partition_mode(),
        semi.null_equality(),
        false,
    )?;
    Ok(Some(Arc::new(semi)))
}
