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
//! IEEE TSE 1983). What two states have in common is told by the *bases*: the newest states that both have in
//! them. Where merges went crosswise there are several that do not contain each other.
//!
//! Of a timeline that was dropped nothing can be read. Where both have something of one that no base has, they have
//! more in common than the bases say, and it is *lost*.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use heliosdb_storage::ids::{CollectionId, TimelineId, Ts};
use heliosdb_storage::{Changes, Engine, ReadView, Transaction, Version};

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

    /// What both know.
    fn shared_with(&self, other: &Knowledge) -> Knowledge {
        let both = self.0.iter().map(|(timeline, ts)| {
            let ts = (*ts).min(other.of(*timeline));
            (*timeline, ts)
        });
        Knowledge(both.filter(|(_, ts)| *ts > Ts::ZERO).collect())
    }

    fn take_in(&mut self, other: &Knowledge) {
        for (timeline, ts) in &other.0 {
            self.add(*timeline, *ts);
        }
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

    /// The parts of timelines that a state does not show and yet knows by merges, and `known` does not.
    pub fn learned(
        &self,
        engine: &Engine,
        state: State,
        known: &Knowledge,
    ) -> Result<Vec<(TimelineId, Ts, Ts)>> {
        let shown = self.path(state);
        let knowledge = self.knowledge(engine, state)?;
        let mut parts = Vec::new();
        for (timeline, to) in knowledge.0 {
            // Of one that is gone nobody can say what it did.
            let Some(base) = self.0.get(&timeline) else {
                continue;
            };
            let fork = base.map_or(Ts::ZERO, |(_, fork)| fork);
            let shown = shown.iter().find(|part| part.0 == timeline);
            let shown = shown.map_or(Ts::ZERO, |(_, _, to)| *to);
            let from = known.of(timeline).max(fork).max(shown);
            if from < to {
                parts.push((timeline, from, to));
            }
        }
        Ok(parts)
    }

    /// What two states have in common.
    ///
    /// # Errors
    ///
    /// 42704 when they have nothing, as after an import.
    pub fn common(&self, engine: &Engine, a: State, b: State) -> Result<Common> {
        let shared = self.knowledge(engine, a)?;
        let shared = shared.shared_with(&self.knowledge(engine, b)?);
        let bases = self.outermost(engine, &shared)?;
        let mut known = Knowledge::default();
        for (_, of_base) in &bases {
            known.take_in(of_base);
        }
        let lost = shared.0.iter().filter(|(timeline, ts)| {
            let is_gone = !self.0.contains_key(timeline) && **ts > Ts::ZERO;
            is_gone && known.of(**timeline) < **ts
        });
        let lost = lost.map(|(timeline, _)| *timeline).collect();
        let grounds = match bases.as_slice() {
            [] => {
                return Err(SqlError::new(
                    state::UNDEFINED_OBJECT,
                    "the branches have nothing in common",
                ));
            }
            [_] => Vec::new(),
            [(_, first), rest @ ..] => {
                let of_all = rest
                    .iter()
                    .fold(first.clone(), |all, (_, of_base)| all.shared_with(of_base));
                self.outermost(engine, &of_all)?
            }
        };
        let states = |all: Vec<(State, Knowledge)>| all.into_iter().map(|(state, _)| state);
        Ok(Common {
            bases: states(bases).collect(),
            grounds: states(grounds).collect(),
            known,
            lost,
        })
    }

    /// The states of a knowledge that are within no other of it, newest first, with what they have.
    fn outermost(&self, engine: &Engine, all: &Knowledge) -> Result<Vec<(State, Knowledge)>> {
        let mut candidates = Vec::new();
        for (timeline, ts) in &all.0 {
            if self.0.contains_key(timeline) && *ts > Ts::ZERO {
                let state = State {
                    timeline: *timeline,
                    ts: *ts,
                };
                candidates.push((state, self.knowledge(engine, state)?));
            }
        }
        let is_within_another = |state: State| {
            candidates
                .iter()
                .any(|(other, knows)| *other != state && other.ts >= state.ts && knows.has(state))
        };
        let outermost = candidates
            .iter()
            .filter(|(state, _)| !is_within_another(*state));
        let mut outermost: Vec<_> = outermost.cloned().collect();
        outermost.sort_by_key(|(state, _)| std::cmp::Reverse(state.ts));
        Ok(outermost)
    }
}

/// What two states have in common.
#[derive(Clone, Debug)]
pub(crate) struct Common {
    /// The newest states that both have in them, newest first. There is one, but where merges went crosswise.
    pub bases: Vec<State>,
    /// Of several bases, the newest states that all of them have in them.
    pub grounds: Vec<State>,
    /// What the bases have, together.
    pub known: Knowledge,
    /// Timelines that were dropped, and that both have something of that no base has.
    pub lost: BTreeSet<TimelineId>,
}

/// What several bases say of one thing, as if they had been merged: what one changed of it since the ground. `None`
/// when both changed it, each otherwise, and when more than two do not say the same: one that has what the ground has
/// may be older than the others, or have gone back to it.
pub(crate) fn settled<'a, T>(
    bases: &'a [T],
    grounds: &[T],
    is_same: impl Fn(&T, &T) -> bool,
) -> Option<&'a T> {
    let (one, rest) = bases.split_first()?;
    if rest.iter().all(|other| is_same(other, one)) {
        return Some(one);
    }
    let ([other], (ground, more)) = (rest, grounds.split_first()?) else {
        return None;
    };
    let is_ground = |base| is_same(base, ground) && more.iter().all(|other| is_same(base, other));
    match () {
        () if is_ground(one) => Some(other),
        () if is_ground(other) => Some(one),
        () => None,
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

/// The commits of a span of a timeline that brought something of timelines that are `lost`.
pub(crate) fn merges_of(
    engine: &Engine,
    (timeline, from, to): (TimelineId, Ts, Ts),
    lost: &BTreeSet<TimelineId>,
) -> Result<BTreeSet<Ts>> {
    let mut commits = BTreeSet::new();
    for change in engine.entry_changes_on(timeline, MERGES, from, to, Changes::Every)? {
        let change = change?;
        if let Some(value) = &change.new
            && lost.contains(&decode(&change.key, value)?.0)
        {
            commits.insert(change.ts);
        }
    }
    Ok(commits)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_several_bases_say() {
        let say = |bases: &[i32], grounds: &[i32]| settled(bases, grounds, i32::eq).copied();
        assert_eq!(say(&[4], &[]), Some(4));
        assert_eq!(say(&[4, 4, 4], &[]), Some(4));
        // One of them changed it.
        assert_eq!(say(&[1, 0], &[0]), Some(1));
        assert_eq!(say(&[0, 1], &[0, 0]), Some(1));
        // Two did, or it is not known who.
        assert_eq!(say(&[1, 2], &[0]), None);
        assert_eq!(say(&[0, 1, 0], &[0]), None);
        assert_eq!(say(&[0, 1], &[0, 1]), None);
        assert_eq!(say(&[0, 1], &[]), None);
    }
}
