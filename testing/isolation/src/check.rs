//! The anomalies of a history, and which of them a level allows.
//!
//! | | READ COMMITTED | REPEATABLE READ | SERIALIZABLE |
//! |---|---|---|---|
//! | G0, a cycle of `ww` | no | no | no |
//! | G1a, G1b: aborted and intermediate reads | no | no | no |
//! | G1c, a cycle of `ww` and `wr` | no | no | no |
//! | G-single, one `rw` in the cycle; or more, no two of them in a row | allowed | no | no |
//! | G2-item, two `rw` in a row | allowed | allowed | no |
//!
//! REPEATABLE READ is snapshot isolation, whose cycles all have two `rw` in a row (Fekete et al., "Making
//! Snapshot Isolation Serializable", TODS 2005).

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;

use crate::graph::{Edge, Graph, Misread};
use crate::history::History;

/// What a history is held against.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    ReadCommitted,
    RepeatableRead,
    Serializable,
}

/// An anomaly that a cycle shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phenomenon {
    G0,
    G1c,
    GSingle,
    G2Item,
}

/// What is wrong with a history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Anomaly {
    Misread(Misread),
    /// The transactions, and the edge from each to the next; from the last to the first.
    Cycle(Phenomenon, Vec<(usize, Edge)>),
}

impl Anomaly {
    /// Whether a level allows it.
    pub fn is_allowed(&self, level: Level) -> bool {
        match self {
            Anomaly::Misread(_) => false,
            Anomaly::Cycle(phenomenon, _) => match phenomenon {
                Phenomenon::G0 | Phenomenon::G1c => false,
                Phenomenon::GSingle => level == Level::ReadCommitted,
                Phenomenon::G2Item => level != Level::Serializable,
            },
        }
    }

    /// The anomaly with the transactions that are part of it.
    pub fn describe(&self, history: &History) -> String {
        let mut out = format!("{self:?}");
        let mut txns = BTreeSet::new();
        match self {
            Anomaly::Cycle(_, cycle) => txns.extend(cycle.iter().map(|(txn, _)| *txn)),
            Anomaly::Misread(
                Misread::Aborted { txn, .. }
                | Misread::Intermediate { txn, .. }
                | Misread::Incompatible { txn, .. }
                | Misread::Internal { txn, .. },
            ) => {
                txns.insert(*txn);
            }
        }
        for txn in txns {
            out.push_str(&format!("\n  {txn}: {}", history.txns[txn]));
        }
        out
    }
}

/// Everything that was found.
#[derive(Debug)]
pub struct Report {
    pub anomalies: Vec<Anomaly>,
}

impl Report {
    /// What the level does not allow.
    pub fn violations(&self, level: Level) -> impl Iterator<Item = &Anomaly> {
        self.anomalies.iter().filter(move |a| !a.is_allowed(level))
    }

    /// Whether a phenomenon was found.
    pub fn has(&self, phenomenon: Phenomenon) -> bool {
        let found = |a: &Anomaly| matches!(a, Anomaly::Cycle(p, _) if *p == phenomenon);
        self.anomalies.iter().any(found)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for anomaly in &self.anomalies {
            writeln!(f, "{anomaly:?}")?;
        }
        Ok(())
    }
}

/// Look for all of them. One cycle of each phenomenon is enough. With `real_time`, a transaction must
/// also see those whose end was known before it began.
pub fn check(history: &History, real_time: bool) -> Report {
    let graph = Graph::new(history, real_time);
    let misreads = graph.misreads.iter().cloned().map(Anomaly::Misread);
    let mut anomalies: Vec<_> = misreads.collect();
    let mut cycle = |phenomenon, found: Option<Vec<(usize, Edge)>>| {
        let found = found.map(|found| Anomaly::Cycle(phenomenon, found));
        anomalies.extend(found);
    };
    let write = |e| matches!(e, Edge::Ww | Edge::Rt);
    let depend = |e| matches!(e, Edge::Ww | Edge::Wr | Edge::Rt);
    cycle(Phenomenon::G0, find(&graph, &write, Edge::Ww, false));
    cycle(Phenomenon::G1c, find(&graph, &depend, Edge::Wr, false));
    cycle(Phenomenon::GSingle, find(&graph, &|_| true, Edge::Rw, true));
    cycle(Phenomenon::G2Item, adjacent(&graph));
    Report { anomalies }
}

/// A shortest cycle of `allowed` edges through one of kind `through`; with `apart`, one in which no two
/// `rw` follow each other.
fn find(
    graph: &Graph,
    allowed: &dyn Fn(Edge) -> bool,
    through: Edge,
    apart: bool,
) -> Option<Vec<(usize, Edge)>> {
    for (from, edges) in graph.edges.iter().enumerate() {
        for (to, _) in edges.iter().filter(|(_, edge)| *edge == through) {
            // Neither behind the edge nor in front of it may be another rw.
            let step = |last: Edge, next: Edge| {
                allowed(next) && !(apart && last == Edge::Rw && next == Edge::Rw)
            };
            if let Some(back) = path(graph, *to, from, through, &step, apart) {
                let mut cycle = vec![(from, through)];
                cycle.extend(back);
                return Some(cycle);
            }
        }
    }
    None
}

/// A cycle with two `rw` in a row that is none of the others' kind.
fn adjacent(graph: &Graph) -> Option<Vec<(usize, Edge)>> {
    for (from, edges) in graph.edges.iter().enumerate() {
        for (middle, _) in edges.iter().filter(|(_, edge)| *edge == Edge::Rw) {
            let next = graph.edges[*middle].iter();
            for (to, _) in next.filter(|(_, edge)| *edge == Edge::Rw) {
                let back = match *to == from {
                    true => Some(Vec::new()),
                    false => path(graph, *to, from, Edge::Rw, &|_, _| true, false),
                };
                if let Some(back) = back {
                    let mut cycle = vec![(from, Edge::Rw), (*middle, Edge::Rw)];
                    cycle.extend(back);
                    return Some(cycle);
                }
            }
        }
    }
    None
}

/// A shortest path, with the edge out of each of its nodes. `step` says which edge may follow which, the
/// first of them `last`; with `apart` the path does not end with an `rw`.
fn path(
    graph: &Graph,
    from: usize,
    to: usize,
    last: Edge,
    step: &dyn Fn(Edge, Edge) -> bool,
    apart: bool,
) -> Option<Vec<(usize, Edge)>> {
    // A node is met twice at most: after an rw, and after another edge.
    type Place = (usize, bool);
    let start: Place = (from, last == Edge::Rw);
    let mut came: BTreeMap<Place, (Place, Edge)> = BTreeMap::new();
    let mut queue = VecDeque::from([(start, last)]);
    let mut seen = BTreeSet::from([start]);
    while let Some((place, last)) = queue.pop_front() {
        for (next, edge) in &graph.edges[place.0] {
            if !step(last, *edge) {
                continue;
            }
            let reached: Place = (*next, *edge == Edge::Rw);
            if *next == to && !(apart && reached.1) {
                let mut back = vec![(place.0, *edge)];
                let mut at = place;
                while at != start {
                    let (before, edge) = came[&at];
                    back.push((before.0, edge));
                    at = before;
                }
                back.reverse();
                return Some(back);
            }
            if seen.insert(reached) {
                came.insert(reached, (place, *edge));
                queue.push_back((reached, *edge));
            }
        }
    }
    None
}
