//! The dependencies between the transactions of a history.
//!
//! A list's *order* is its longest committed read; every other read must be a prefix of it. From that
//! follow the edges, all in the direction of time:
//!
//! * `ww`: appended next to the same list; `wr`: read the last element that the other appended;
//! * `rw`: appended the element after the last that the other read, so the other came first;
//! * `rt`: began after the other's end was known.
//!
//! A committed element that nobody read comes behind all of the order: after the last one's transaction,
//! and after those that read the whole order and did not see it.

use std::collections::{BTreeMap, BTreeSet};

use crate::history::{Element, History, Key, Op, Outcome};

/// Why one transaction comes before another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Edge {
    Ww,
    Wr,
    Rw,
    Rt,
}

/// What is wrong with single reads, before any cycle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Misread {
    /// G1a: an element of a transaction that was rolled back, or that nobody appended.
    Aborted { txn: usize, element: Element },
    /// G1b: a list as it was in the middle of another transaction.
    Intermediate { txn: usize, element: Element },
    /// Two reads of a list of which neither is a prefix of the other; an element that comes twice.
    Incompatible { txn: usize, key: Key },
    /// A transaction did not see its own appends, or a list that shrank under its reads.
    Internal { txn: usize, key: Key },
}

/// See the module's header. Nodes are the history's transactions by number.
#[derive(Debug, Default)]
pub struct Graph {
    pub edges: Vec<BTreeSet<(usize, Edge)>>,
    pub misreads: Vec<Misread>,
}

impl Graph {
    /// `real_time` adds the edges of time.
    pub fn new(history: &History, real_time: bool) -> Graph {
        let mut graph = Graph {
            edges: vec![BTreeSet::new(); history.txns.len()],
            misreads: Vec::new(),
        };
        let mut appended: BTreeMap<Element, (usize, Key)> = BTreeMap::new();
        for (txn, op) in ops(history) {
            if let Op::Append(key, element) = op {
                let before = appended.insert(*element, (txn, *key));
                assert!(before.is_none(), "element {element} is appended twice");
            }
        }
        let orders = graph.orders(history);
        graph.misreads(history, &appended);
        for (key, order) in &orders {
            graph.order_edges(history, *key, order, &appended);
        }
        if real_time {
            graph.time_edges(history);
        }
        graph
    }

    fn add(&mut self, from: usize, to: usize, edge: Edge) {
        if from != to {
            self.edges[from].insert((to, edge));
        }
    }

    /// The longest committed read of each list. Others that are no prefix of it are misreads.
    fn orders(&mut self, history: &History) -> BTreeMap<Key, Vec<Element>> {
        let mut orders: BTreeMap<Key, Vec<Element>> = BTreeMap::new();
        let reads = |history| {
            ops(history).filter_map(|(txn, op): (usize, &Op)| match op {
                Op::Read(key, list) => Some((txn, *key, list)),
                Op::Append(..) => None,
            })
        };
        let committed = |txn: usize| history.txns[txn].outcome == Outcome::Committed;
        for (txn, key, list) in reads(history) {
            let order = orders.entry(key).or_default();
            if committed(txn) && list.len() > order.len() {
                order.clone_from(list);
            }
        }
        for (txn, key, list) in reads(history) {
            let distinct: BTreeSet<_> = list.iter().collect();
            if committed(txn) && (!orders[&key].starts_with(list) || distinct.len() != list.len()) {
                self.misreads.push(Misread::Incompatible { txn, key });
            }
        }
        orders
    }

    fn misreads(&mut self, history: &History, appended: &BTreeMap<Element, (usize, Key)>) {
        for (txn, t) in history.txns.iter().enumerate() {
            if t.outcome != Outcome::Committed {
                continue;
            }
            // What it must find at the end of each list: what it appended since it read it last.
            let mut known: BTreeMap<Key, Vec<Element>> = BTreeMap::new();
            let mut own: BTreeMap<Key, Vec<Element>> = BTreeMap::new();
            for op in &t.ops {
                let (key, list) = match op {
                    Op::Append(key, element) => {
                        own.entry(*key).or_default().push(*element);
                        continue;
                    }
                    Op::Read(key, list) => (*key, list),
                };
                let mine = own.get(&key).map_or(&[][..], Vec::as_slice);
                if !list.ends_with(mine)
                    || known
                        .get(&key)
                        .is_some_and(|known| known.len() > list.len())
                {
                    self.misreads.push(Misread::Internal { txn, key });
                }
                known.insert(key, list.clone());
                for element in list {
                    match appended.get(element) {
                        Some((writer, k))
                            if *k == key && history.txns[*writer].outcome != Outcome::Aborted => {}
                        _ => self.misreads.push(Misread::Aborted {
                            txn,
                            element: *element,
                        }),
                    }
                }
                if let Some(last) = list.last()
                    && let Some((writer, _)) = appended.get(last)
                    && *writer != txn
                    && history.txns[*writer].last_append(key) != Some(*last)
                {
                    self.misreads.push(Misread::Intermediate {
                        txn,
                        element: *last,
                    });
                }
            }
        }
    }

    fn order_edges(
        &mut self,
        history: &History,
        key: Key,
        order: &[Element],
        appended: &BTreeMap<Element, (usize, Key)>,
    ) {
        let writer = |element: &Element| appended.get(element).map(|(txn, _)| *txn);
        for pair in order.windows(2) {
            if let (Some(a), Some(b)) = (writer(&pair[0]), writer(&pair[1])) {
                self.add(a, b, Edge::Ww);
            }
        }
        let ordered: BTreeSet<_> = order.iter().collect();
        // Committed appends behind the end of what anybody read.
        let unseen: Vec<usize> = appended
            .iter()
            .filter(|(element, (txn, k))| {
                *k == key
                    && !ordered.contains(element)
                    && history.txns[*txn].outcome == Outcome::Committed
            })
            .map(|(_, (txn, _))| *txn)
            .collect();
        if let Some(last) = order.last().and_then(writer) {
            for to in &unseen {
                self.add(last, *to, Edge::Ww);
            }
        }
        for (txn, t) in history.txns.iter().enumerate() {
            if t.outcome != Outcome::Committed {
                continue;
            }
            let mut own = BTreeSet::new();
            for op in &t.ops {
                let list = match op {
                    Op::Append(k, element) if *k == key => {
                        own.insert(*element);
                        continue;
                    }
                    Op::Read(k, list) if *k == key => list,
                    _ => continue,
                };
                // What others had appended: without its own at the end.
                let others = list.iter().rposition(|element| !own.contains(element));
                let seen = others.map_or(0, |last| last + 1);
                if let Some(last) = seen.checked_sub(1)
                    && let Some(from) = writer(&list[last])
                {
                    self.add(from, txn, Edge::Wr);
                }
                if !order.starts_with(list) {
                    continue;
                }
                match order[seen..].iter().find(|element| !own.contains(element)) {
                    Some(next) => {
                        if let Some(to) = writer(next) {
                            self.add(txn, to, Edge::Rw);
                        }
                    }
                    None => {
                        for to in &unseen {
                            self.add(txn, *to, Edge::Rw);
                        }
                    }
                }
            }
        }
    }

    /// Only the edges that do not follow from others.
    fn time_edges(&mut self, history: &History) {
        let mut by_begin: Vec<usize> = (0..history.txns.len()).collect();
        by_begin.sort_by_key(|txn| history.txns[*txn].begun);
        for (from, t) in history.txns.iter().enumerate() {
            if t.outcome != Outcome::Committed {
                continue;
            }
            let first = by_begin.partition_point(|txn| history.txns[*txn].begun <= t.ended);
            let mut least_end = u64::MAX;
            for to in &by_begin[first..] {
                let later = &history.txns[*to];
                if later.begun > least_end {
                    break;
                }
                if later.outcome == Outcome::Committed {
                    least_end = least_end.min(later.ended);
                    self.add(from, *to, Edge::Rt);
                }
            }
        }
    }
}

fn ops(history: &History) -> impl Iterator<Item = (usize, &Op)> {
    let txns = history.txns.iter().enumerate();
    txns.flat_map(|(txn, t)| t.ops.iter().map(move |op| (txn, op)))
}
