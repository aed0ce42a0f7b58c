//! Which order is best.
//!
//! A join's size is its sides' product over the larger number of different values of each key, the second
//! and further keys of one join counting by their roots: keys of one join are seldom independent. An order
//! costs what its joins give, read and build (C_out of Cluet and Moerkotte, "On the Complexity of
//! Generating Optimal Left-Deep Processing Trees with Cross Products", ICDT 1995, and the sides). Up to
//! [`EXACT_MAX`] relations all bushy orders without cross products are compared, set by set (Vance and
//! Maier, "Rapid Bushy Join-Order Optimization with Cartesian Products", SIGMOD 1996); of more, the two whose
//! join is smallest are joined again and again (Fegaras, "A New Heuristic for Optimizing Large Queries",
//! DEXA 1998).

use std::sync::Arc;

use super::graph::{Graph, RELATIONS_MAX, Set};

/// So many relations have fifty thousand pairs of sets.
const EXACT_MAX: usize = 10;
/// A row that is built into a hash table, in rows that are read.
const BUILD_COST: f64 = 2.0;
/// What a condition that is no equality of columns leaves: PostgreSQL's default for an inequality.
const CONDITION_SHARE: f64 = 1.0 / 3.0;

/// An order. Copies share what they are made of, since a search makes very many.
#[derive(Clone, Debug)]
pub enum Tree {
    Relation(usize),
    Join(Arc<[Tree; 2]>),
}

impl Tree {
    pub fn join(left: Tree, right: Tree) -> Tree {
        Tree::Join(Arc::new([left, right]))
    }
}

/// A way to join a set of relations.
#[derive(Clone)]
struct Way {
    set: Set,
    rows: f64,
    cost: f64,
    tree: Tree,
}

impl Way {
    fn relation(graph: &Graph, number: usize) -> Option<Way> {
        Some(Way {
            set: 1 << number,
            rows: graph.relations[number].rows?.max(1.0),
            cost: 0.0,
            tree: Tree::Relation(number),
        })
    }

    /// `None` when nothing joins the two but their product.
    fn join(graph: &Graph, a: &Way, b: &Way) -> Option<Way> {
        let rows = size(graph, a, b)?;
        let (build, probe) = match a.rows < b.rows {
            true => (a, b),
            false => (b, a),
        };
        Some(Way {
            set: a.set | b.set,
            rows,
            cost: a.cost + b.cost + rows + build.rows * BUILD_COST + probe.rows,
            tree: Tree::join(build.tree.clone(), probe.tree.clone()),
        })
    }
}

/// Rows of a join; `None` for a product.
fn size(graph: &Graph, a: &Way, b: &Way) -> Option<f64> {
    let mut keys = Vec::new();
    for class in &graph.classes {
        let values = |way: &Way| {
            let here = class.iter().filter(|c| graph.set_of(**c) & way.set != 0);
            let fewest = here.filter_map(|c| graph.distinct(*c)).reduce(f64::min);
            fewest.map(|fewest| fewest.min(way.rows))
        };
        if let (Some(x), Some(y)) = (values(a), values(b)) {
            keys.push(x.max(y));
        }
    }
    if keys.is_empty() {
        return None;
    }
    keys.sort_by(|x, y| y.total_cmp(x));
    let mut rows = a.rows * b.rows;
    let mut power = 1.0;
    for values in keys {
        rows /= values.powf(power);
        power /= 2.0;
    }
    let set = a.set | b.set;
    let conditions = graph.conditions.iter();
    let met_here = conditions.filter(|condition| {
        let of = |way: &Way| condition.set & !way.set == 0;
        condition.set & !set == 0 && !of(a) && !of(b)
    });
    rows *= CONDITION_SHARE.powi(met_here.count() as i32);
    Some(rows.max(1.0))
}

/// What an order costs; `None` when that is not known.
pub fn cost(graph: &Graph, tree: &Tree) -> Option<f64> {
    way(graph, tree).map(|way| way.cost)
}

fn way(graph: &Graph, tree: &Tree) -> Option<Way> {
    match tree {
        Tree::Relation(number) => Way::relation(graph, *number),
        Tree::Join(sides) => {
            let [a, b] = &**sides;
            Way::join(graph, &way(graph, a)?, &way(graph, b)?)
        }
    }
}

/// The best order without products, and its cost.
pub fn best(graph: &Graph) -> Option<(f64, Tree)> {
    let count = graph.relations.len();
    if count > RELATIONS_MAX {
        return None;
    }
    let relations = (0..count).map(|number| Way::relation(graph, number));
    let relations: Vec<Way> = relations.collect::<Option<_>>()?;
    let best = match count <= EXACT_MAX {
        true => exact(graph, relations),
        false => greedy(graph, relations),
    };
    best.map(|best| (best.cost, best.tree))
}

fn exact(graph: &Graph, relations: Vec<Way>) -> Option<Way> {
    let count = relations.len();
    let mut ways: Vec<Option<Way>> = vec![None; 1 << count];
    for way in relations {
        let set = way.set as usize;
        ways[set] = Some(way);
    }
    for set in 1..ways.len() {
        if set.is_power_of_two() {
            continue;
        }
        // Each pair once: the part with the lowest relation, and the rest.
        let lowest = set & set.wrapping_neg();
        let mut part = (set - 1) & set;
        let mut best: Option<Way> = None;
        while part > 0 {
            if part & lowest != 0
                && let (Some(a), Some(b)) = (&ways[part], &ways[set ^ part])
                && let Some(mut way) = Way::join(graph, a, b)
            {
                // However a set is joined, it has the same rows.
                if let Some(best) = &best {
                    way.cost += best.rows - way.rows;
                    way.rows = best.rows;
                }
                if best.as_ref().is_none_or(|best| way.cost < best.cost) {
                    best = Some(way);
                }
            }
            part = (part - 1) & set;
        }
        ways[set] = best;
    }
    ways.pop().flatten()
}

fn greedy(graph: &Graph, mut ways: Vec<Way>) -> Option<Way> {
    while ways.len() > 1 {
        let mut best: Option<(usize, usize, Way)> = None;
        for i in 0..ways.len() {
            for j in i + 1..ways.len() {
                if let Some(way) = Way::join(graph, &ways[i], &ways[j])
                    && best
                        .as_ref()
                        .is_none_or(|(_, _, best)| way.rows < best.rows)
                {
                    best = Some((i, j, way));
                }
            }
        }
        let (i, j, way) = best?;
        ways.swap_remove(j);
        ways[i] = way;
    }
    ways.pop()
}
