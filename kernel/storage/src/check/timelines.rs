//! Timelines: what the manifest says of them, and what their files and the log have.

use std::collections::{BTreeMap, BTreeSet};

use super::finding::{Place, Report};
use crate::error::Result;
use crate::ids::{TimelineId, Ts};
use crate::manifest::Manifest;
use crate::segment::SegmentReader;
use crate::wal::record::LoggedTransaction;

/// The segments of each timeline, newest first.
pub type Segments = BTreeMap<TimelineId, Vec<SegmentReader>>;

/// Hold timelines against the rules in [`crate::timeline`]. The error is a cancelation.
pub fn check(
    manifest: &Manifest,
    segments: &Segments,
    transactions: &[LoggedTransaction],
    report: &mut Report<'_>,
) -> Result<()> {
    let mut names = BTreeSet::new();
    for (id, entry) in &manifest.timelines {
        let mut wrong = |what: &str| {
            let what = format!("timeline {id} \"{}\" {what}", entry.name);
            report.damage(Place::default(), what);
        };
        if !names.insert(&entry.name) {
            wrong("has another one's name");
        }
        if *id >= manifest.next_timeline {
            wrong(&format!("is not below {}", manifest.next_timeline));
        }
        if let Some((parent, fork_ts)) = entry.base {
            if parent >= *id || !manifest.timelines.contains_key(&parent) {
                wrong(&format!(
                    "branched off timeline {parent}, which there is not"
                ));
            }
            // Tables may go back less far that the branch does without.
            if fork_ts < manifest.horizons.all() {
                let from = manifest.horizons.all();
                wrong(&format!(
                    "branched off at {fork_ts}, and history goes back to {from}"
                ));
            }
        }
    }
    let fork = |id: &TimelineId| {
        let base = manifest.timelines.get(id).and_then(|entry| entry.base);
        base.map_or(Ts::ZERO, |(_, fork_ts)| fork_ts)
    };
    for (id, segments) in segments {
        for segment in segments {
            let meta = segment.meta();
            let place = || Place::file(&meta.name);
            if meta.timeline != *id {
                let found = meta.timeline;
                report.damage(
                    place(),
                    format!("a file of timeline {found}, named by {id}"),
                );
            }
            if meta.min_ts <= fork(id) && fork(id) > Ts::ZERO {
                let (found, fork) = (meta.min_ts, fork(id));
                let what = format!("a version of {found} on timeline {id}, from before {fork}");
                report.damage(place(), what);
            }
        }
    }
    for transaction in transactions {
        let (id, ts) = (transaction.timeline, transaction.ts);
        if ts <= fork(&id) {
            let origin = &transaction.origin;
            let place = Place::file(&origin.file).at(origin.offset);
            let what = format!(
                "a commit of {ts} on timeline {id}, from before {}",
                fork(&id)
            );
            report.damage(place, what);
        }
    }
    Ok(())
}
