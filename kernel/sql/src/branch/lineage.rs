//! What of one branch is in another: from forks, and from merges.
//!
//! ```text
//! collection 22
//!   key    timeline u32 BE
//!   value  format u8 = 1 │ SCN u64 BE: the timeline up to there was merged into this one
//! ```
//!
//! The rows are written in the commit of the merge, on the branch that was merged into. So a branch of that
//! branch has them, and what is restored to a time before the merge has not.
//!
//! Together with forks they make a *knowledge*: for each timeline the newest commit of it that a state has in
//! it, which is a version vector (Parker et al., "Detection of Mutual Inconsistency in Distributed Systems",
//! IEEE TSE 1983). The base of a merge is the newest state that both sides have in them; where merges went
//! crosswise there may be several that do not contain each other, and the newest of those is taken.

use std::collections::BTreeMap;
use std::ops::Bound;

use heliosdb_storage::ids::{CollectionId, TimelineId, Ts};
use heliosdb_storage::{Engine, ReadView, Transaction, Version};

use crate::error::{Result, SqlError, state};

/// The rows of merges.
pub const MERGES: CollectionId = CollectionId(22);

const FORMAT: u8 = 1;

/// A timeline at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct State {
    pub timeline: TimelineId,
    pub ts: Ts,
}

impl State {
    pub fn view(self, engine: &Engine) -> Result<ReadView> {
        Ok(engine.view_at_on(self.timeline, self.ts)?)
    }
}

/// See the module's header.
#[derive(Clone, Debug, Default)]
pub(crate) struct Knowledge(BTreeMap<TimelineId, Ts>);

impl Knowledge {
    fn add(&mut self, timeline: TimelineId, ts: Ts) {
        let known = self.0.entry(timeline).or_insert(ts);
        *known = ts.max(*known);
    }

    /// The newest commit of a timeline that is known; none are before the first.
    pub fn of(&self, timeline: TimelineId) -> Ts {
        self.0.get(&timeline).copied().unwrap_or(Ts::ZERO)
    }

    fn has(&self, state: State) -> bool {
        self.of(state.timeline) >= state.ts
    }
}

/// Where a timeline branched off, for all that are there.
pub(crate) struct Tree(BTreeMap<TimelineId, Option<(TimelineId, Ts)>>);

impl Tree {
    pub fn of(engine: &Engine) -> Tree {
        let all = engine.timelines().into_iter();
        Tree(all.map(|info| (info.id, info.base)).collect())
    }

    /// The timelines whose commits a state shows, each with the span that it shows of it: after the first
    /// time, up to the second. Its own comes first.
    pub fn path(&self, state: State) -> Vec<(TimelineId, Ts, Ts)> {
        let mut path = Vec::new();
        let (mut timeline, mut cap) = (state.timeline, state.ts);
        loop {
            match self.0.get(&timeline).copied().flatten() {
                Some((parent, fork)) => {
                    if cap > fork {
                        path.push((timeline, fork, cap));
                    }
                    (timeline, cap) = (parent, cap.min(fork));
                }
                None => {
                    path.push((timeline, Ts::ZERO, cap));
                    return path;
                }
            }
        }
    }

    /// What a state has in it.
    pub fn knowledge(&self, engine: &Engine, state: State) -> Result<Knowledge> {
        let mut knowledge = Knowledge::default();
        for (timeline, _, cap) in self.path(state) {
            knowledge.add(timeline, cap);
        }
        let view = state.view(engine)?;
        for entry in view.range(MERGES, Bound::Unbounded, Bound::Unbounded)? {
            let (key, value) = entry?;
            let (timeline, ts) = decode(&key, &value)?;
            knowledge.add(timeline, ts);
        }
        Ok(knowledge)
    }

    /// The newest state that both have in them, and what that one has.
    ///
    /// # Errors
    ///
    /// 42704 when they have none, as after an import.
    pub fn base(&self, engine: &Engine, a: State, b: State) -> Result<(State, Knowledge)> {
        let (of_a, of_b) = (self.knowledge(engine, a)?, self.knowledge(engine, b)?);
        let both = of_a.0.iter().filter_map(|(timeline, ts)| {
            let ts = (*ts).min(of_b.of(*timeline));
            // Of one that was dropped nothing can be read.
            let is_there = self.0.contains_key(timeline) && ts > Ts::ZERO;
            is_there.then_some(State {
                timeline: *timeline,
                ts,
            })
        });
        let mut candidates = Vec::new();
        for state in both {
            candidates.push((state, self.knowledge(engine, state)?));
        }
        let is_within_another = |state: State| {
            candidates
                .iter()
                .any(|(other, knows)| *other != state && other.ts >= state.ts && knows.has(state))
        };
        let outermost = candidates
            .iter()
            .filter(|(state, _)| !is_within_another(*state));
        let base = outermost.max_by_key(|(state, _)| state.ts);
        base.cloned().ok_or_else(|| {
            SqlError::new(
                state::UNDEFINED_OBJECT,
                "the branches have nothing in common",
            )
        })
    }
}

/// Writes into the transaction that what `merged` knows is now in `target`.
pub(crate) fn note(
    transaction: &mut Transaction,
    target: TimelineId,
    merged: &Knowledge,
) -> Result<()> {
    let view = transaction.latest_view();
    for (timeline, ts) in merged.0.iter().filter(|(timeline, _)| **timeline != target) {
        let key = timeline.0.to_be_bytes();
        let known = match view.get(MERGES, &key)? {
            Some(value) => decode(&key, &value)?.1,
            None => Ts::ZERO,
        };
        if known < *ts {
            let value = [&[FORMAT][..], &ts.0.to_be_bytes()].concat();
            transaction.put(MERGES, &key, &value)?;
        }
    }
    Ok(())
}

/// Rows of merges as they are in a database whose timelines are others: those of `own`, which were written after
/// `after`, and whose branch has those of `above` from before. `place` says what a state has in it there.
pub(crate) fn retold<P: Iterator<Item = (TimelineId, Ts)>>(
    above: Vec<Version>,
    own: Vec<Version>,
    after: Ts,
    place: impl Fn(TimelineId, Ts) -> P,
) -> Result<Vec<Version>> {
    let mut known = Knowledge::default();
    let mut rows: Vec<Version> = above.into_iter().filter(|row| row.begin <= after).collect();
    rows.extend(own.into_iter().filter(|row| row.begin > after));
    rows.sort_by_key(|row| row.begin);
    // By key, and then by time; of one commit what it knows most of.
    let mut retold: BTreeMap<(TimelineId, Ts), Ts> = BTreeMap::new();
    for row in &rows {
        let Some(value) = &row.value else { continue };
        let (timeline, ts) = decode(&row.key, value)?;
        for (timeline, ts) in place(timeline, ts) {
            if known.of(timeline) < ts {
                known.add(timeline, ts);
                if row.begin > after {
                    retold.insert((timeline, row.begin), ts);
                }
            }
        }
    }
    let mut versions: Vec<Version> = retold
        .into_iter()
        .map(|((timeline, begin), ts)| Version {
            key: timeline.0.to_be_bytes().to_vec(),
            begin,
            value: Some([&[FORMAT][..], &ts.0.to_be_bytes()].concat()),
        })
        .collect();
    versions.sort_by(|a, b| (&a.key, b.begin).cmp(&(&b.key, a.begin)));
    Ok(versions)
}

fn decode(key: &[u8], value: &[u8]) -> Result<(TimelineId, Ts)> {
    let damaged = || {
        SqlError::new(
            state::DATA_CORRUPTED,
            format!("a row of merges is damaged (key {key:02x?})"),
        )
    };
    let timeline = u32::from_be_bytes(key.try_into().map_err(|_| damaged())?);
    match value.split_first() {
        Some((&FORMAT, ts)) => {
            let ts = u64::from_be_bytes(ts.try_into().map_err(|_| damaged())?);
            Ok((TimelineId(timeline), Ts(ts)))
        }
        _ => Err(damaged()),
    }
}

/// Whether this build understands a row of merges.
pub(crate) fn check_entry(key: &[u8], value: &[u8]) -> Result<()> {
    decode(key, value).map(|_| ())
}
