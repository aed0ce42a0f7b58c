//! All that was committed, and what a view has to show of it: the rule of visibility, word for word.
//!
//! > A version (r, b) of timeline X is visible at T iff b ≤ T and no timeline on the read path holds a put or
//! > delete of r with b < ts ≤ its cap (T for the reader's own timeline, the fork for each ancestor).
//!
//! It is written for being read, not for speed, and has nothing of the engine's memtables, layers or bitmaps.

use std::collections::BTreeMap;

use heliosdb_storage::ids::{RowId, TimelineId, Ts};

/// What has versions.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    Row(RowId),
    /// Of a sorted collection.
    Entry(u8),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// The columns.
    Row(i64, String),
    /// A number that nothing else has; the rest of the value is padding.
    Entry(u64),
}

pub type World = BTreeMap<Key, Value>;

/// One transaction. `None` is a delete.
#[derive(Clone, Debug)]
pub struct Commit {
    pub timeline: TimelineId,
    pub ts: Ts,
    pub changes: BTreeMap<Key, Option<Value>>,
    /// Whether its client was told that it is durable.
    pub is_durable: bool,
}

/// See the module's header.
#[derive(Clone, Debug, Default)]
pub struct History {
    pub commits: Vec<Commit>,
    /// With parent and fork, as they were asked for.
    pub timelines: BTreeMap<TimelineId, Option<(TimelineId, Ts)>>,
}

impl History {
    /// The timelines that a view reads, each with its cap.
    fn path(&self, timeline: TimelineId, at: Ts) -> Vec<(TimelineId, Ts)> {
        let (mut next, mut cap) = (Some((timeline, Ts::MAX)), at);
        let mut path = Vec::new();
        while let Some((timeline, fork)) = next {
            cap = cap.min(fork);
            path.push((timeline, cap));
            next = self.timelines.get(&timeline).copied().flatten();
        }
        path
    }

    /// What `timeline` shows at `at`.
    pub fn shows(&self, timeline: TimelineId, at: Ts) -> World {
        let path = self.path(timeline, at);
        let mut versions: Vec<(&Key, Ts, &Option<Value>)> = Vec::new();
        for commit in &self.commits {
            let is_read =
                |(id, cap): &(TimelineId, Ts)| *id == commit.timeline && commit.ts <= *cap;
            if path.iter().any(is_read) {
                let changes = commit.changes.iter();
                versions.extend(changes.map(|(key, value)| (key, commit.ts, value)));
            }
        }
        let mut world = World::new();
        for (key, begin, value) in &versions {
            let is_killed = versions
                .iter()
                .any(|(other, ts, _)| other == key && begin < ts);
            if let (false, Some(value)) = (is_killed, value) {
                world.insert((*key).clone(), value.clone());
            }
        }
        world
    }

    /// The newest commit of which somebody was told that it is durable.
    pub fn durable(&self) -> Ts {
        let durable = self.commits.iter().filter(|commit| commit.is_durable);
        durable.map(|commit| commit.ts).max().unwrap_or(Ts::ZERO)
    }

    /// The newest commit.
    pub fn latest(&self) -> Ts {
        let all = self.commits.iter().map(|commit| commit.ts);
        all.max().unwrap_or(Ts::ZERO)
    }

    pub fn times(&self) -> Vec<Ts> {
        let mut times: Vec<Ts> = self.commits.iter().map(|commit| commit.ts).collect();
        times.sort_unstable();
        times
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAIN: TimelineId = TimelineId::MAIN;
    const BRANCH: TimelineId = TimelineId(7);

    fn commit(timeline: TimelineId, ts: u64, key: u8, value: Option<u64>) -> Commit {
        Commit {
            timeline,
            ts: Ts(ts),
            changes: BTreeMap::from([(Key::Entry(key), value.map(Value::Entry))]),
            is_durable: ts < 50,
        }
    }

    #[test]
    fn a_branch_shows_its_own_and_what_was_there_at_its_fork() {
        let history = History {
            commits: vec![
                commit(MAIN, 10, 1, Some(100)),
                commit(MAIN, 20, 2, Some(200)),
                commit(BRANCH, 40, 1, None),
                commit(MAIN, 50, 2, Some(201)),
                commit(BRANCH, 60, 3, Some(300)),
            ],
            timelines: BTreeMap::from([(MAIN, None), (BRANCH, Some((MAIN, Ts(30))))]),
        };
        let shows = |timeline, at| -> Vec<(u8, u64)> {
            let world = history.shows(timeline, Ts(at)).into_iter();
            let entries = world.map(|entry| match entry {
                (Key::Entry(key), Value::Entry(value)) => (key, value),
                other => panic!("{other:?}"),
            });
            entries.collect()
        };
        assert_eq!(shows(MAIN, 9), []);
        assert_eq!(shows(MAIN, 30), [(1, 100), (2, 200)]);
        assert_eq!(shows(MAIN, 99), [(1, 100), (2, 201)]);
        assert_eq!(shows(BRANCH, 15), [(1, 100)]);
        assert_eq!(shows(BRANCH, 39), [(1, 100), (2, 200)]);
        assert_eq!(shows(BRANCH, 40), [(2, 200)]);
        assert_eq!(shows(BRANCH, 99), [(2, 200), (3, 300)]);
        assert_eq!((history.durable(), history.latest()), (Ts(40), Ts(60)));
    }
}
