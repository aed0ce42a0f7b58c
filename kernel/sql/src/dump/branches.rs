//! The branches and tags that go into a dump, or that it leaves out.
//!
//! All are of the time of the one view that the dump is made of: there is one clock and one order of commits for all
//! branches, so what they show at one time is one state of the database. One that was made since is not in it. Nor is
//! what a restore in place is about to make.

use std::collections::BTreeMap;
use std::sync::Arc;

use heliosdb_dump::{Described, ExportOptions, TimelineIds};
use heliosdb_storage::ids::{TimelineId, Ts};
use heliosdb_storage::{Error as StorageError, LoadedTimeline, ReadView, TimelineInfo, Version};

use crate::authors::AUTHORS;
use crate::branch::lineage::{self, MERGES};
use crate::branch::restore::is_unfinished;
use crate::branch::{is_tag, note_in_dump};
use crate::error::{Result, SqlError, state};
use crate::instance::Instance;

/// Adds to a description of `view` the branches that there are: `all` timelines, of which that of `view` is the main one.
///
/// # Errors
///
/// 0A000 where they are to be exported without history.
pub(super) fn describe(
    instance: &Arc<Instance>,
    view: &ReadView,
    all: &[TimelineInfo],
    described: &mut Described,
    options: &ExportOptions,
) -> Result<()> {
    let engine = instance.engine();
    let next = engine.next_timeline();
    let tree = Rerooted::new(all, view);
    let mut there = tree.branches(all);
    there.retain(|(info, timeline)| timeline.fork_ts <= view.ts() && !is_unfinished(info));
    if there.is_empty() {
        return Ok(());
    }
    let infos: Vec<&TimelineInfo> = there.iter().map(|(info, _)| *info).collect();
    if !options.branches {
        described.branches_left_out = Some(in_words(&infos));
        return Ok(());
    }
    if !options.history {
        return Err(SqlError::new(
            state::FEATURE_NOT_SUPPORTED,
            "cannot export branches without history",
        )
        .with_detail(format!(
            "There are {}, which go on from the past of others.",
            in_words(&infos)
        ))
        .with_hint("Leave out the branches, or do not leave out the history."));
    }
    for (info, timeline) in there {
        let at = |ts| engine.view_at_on(info.id, ts);
        let view = match at(view.ts()) {
            // It was dropped since, and so were those that went on from it.
            Err(StorageError::UnknownTimeline { .. }) => continue,
            view => view?,
        };
        let fork = timeline.fork_ts;
        let mut branch = instance.describe_branch(view, timeline, is_tag(info))?;
        if tree.is_renumbered() {
            let before = branch.view.alone();
            let before = before.versions(MERGES)?.collect::<Result<Vec<_>, _>>()?;
            let above = all_merges(&at(fork)?)?;
            let merges = tree.merges(above, before, fork)?;
            branch.rewritten.push((MERGES, merges));
        }
        described.branches.push(branch);
    }
    if described.branches.is_empty() {
        return Ok(());
    }
    described.system_collections.extend([MERGES, AUTHORS]);
    described.main_note = note_in_dump(all, view.timeline());
    described.timelines = Some(TimelineIds {
        main: tree.id(view.timeline()).0,
        next: tree.id(next).0,
    });
    if tree.is_renumbered() {
        let merges = tree.merges(Vec::new(), all_merges(view)?, Ts::ZERO)?;
        described.rewritten.push((MERGES, merges));
    }
    Ok(())
}

fn all_merges(view: &ReadView) -> Result<Vec<Version>> {
    let versions = view.versions(MERGES)?;
    Ok(versions.collect::<Result<Vec<_>, _>>()?)
}

/// The tree of timelines as it is in a dump, where the main one is the first.
///
/// After a restore in place the main timeline goes on from another one, up to a fork. In the dump it has that past as
/// its own; the other one has what it committed after the fork, and goes on from there, as does whoever went on from
/// it. All but the main one are then numbered one further, so that parents keep lower numbers than branches, and the
/// rows that tell of merges follow.
struct Rerooted {
    main: TimelineId,
    /// Timelines above the main one, and up to when it shows what they showed.
    above: BTreeMap<TimelineId, Ts>,
}

impl Rerooted {
    fn new(all: &[TimelineInfo], view: &ReadView) -> Rerooted {
        let mut above = BTreeMap::new();
        let base = |id| all.iter().find(|info| info.id == id)?.base;
        let (mut next, mut cap) = (base(view.timeline()), Ts::MAX);
        while let Some((parent, fork)) = next {
            cap = cap.min(fork);
            above.insert(parent, cap);
            next = base(parent);
        }
        Rerooted {
            main: view.timeline(),
            above,
        }
    }

    fn is_renumbered(&self) -> bool {
        !self.above.is_empty()
    }

    /// What a timeline is called in the dump.
    fn id(&self, id: TimelineId) -> TimelineId {
        match (self.is_renumbered(), id == self.main) {
            (false, _) => id,
            (true, true) => TimelineId::MAIN,
            (true, false) => TimelineId(id.0.saturating_add(1)),
        }
    }

    /// What is in the dump of a time of a timeline: the main one's, where it shows what was there.
    fn place(&self, id: TimelineId, ts: Ts) -> TimelineId {
        match self.above.get(&id) {
            Some(cap) if ts <= *cap => self.id(self.main),
            _ => self.id(id),
        }
    }

    /// All but the main one, parents first.
    fn branches<'a>(&self, all: &'a [TimelineInfo]) -> Vec<(&'a TimelineInfo, LoadedTimeline)> {
        let branches = all.iter().filter(|info| info.id != self.main);
        let branches = branches.filter_map(|info| {
            let (parent, fork_ts) = match self.above.get(&info.id) {
                Some(cap) => (self.id(self.main), *cap),
                None => {
                    let (parent, fork) = info.base?;
                    (self.place(parent, fork), fork)
                }
            };
            let timeline = LoadedTimeline {
                id: self.id(info.id),
                name: info.name.clone(),
                note: info.note.clone(),
                parent,
                fork_ts,
            };
            Some((info, timeline))
        });
        branches.collect()
    }

    /// The rows of merges that were written after `after`, told of the timelines of the dump; `above` has those
    /// that the branch has from above.
    fn merges(&self, above: Vec<Version>, own: Vec<Version>, after: Ts) -> Result<Vec<Version>> {
        let place = |timeline: TimelineId, ts: Ts| {
            let known = (self.place(timeline, ts), ts);
            let root = self
                .above
                .get(&timeline)
                .map(|cap| (self.id(self.main), ts.min(*cap)));
            root.into_iter().chain([known])
        };
        lineage::retold(above, own, after, place)
    }
}

/// `2 branches and 1 tag`.
fn in_words(timelines: &[&TimelineInfo]) -> String {
    let tags = timelines.iter().filter(|info| is_tag(info)).count();
    let counted = |n: usize, one: &str, many: &str| match n {
        0 => None,
        1 => Some(format!("1 {one}")),
        n => Some(format!("{n} {many}")),
    };
    let words = [
        counted(timelines.len() - tags, "branch", "branches"),
        counted(tags, "tag", "tags"),
    ];
    let words: Vec<String> = words.into_iter().flatten().collect();
    words.join(" and ")
}
