//! Branches and tags: what each of them alone holds.
//!
//! A branch shows what its parent showed up to the fork, and from there on what was committed on it. The first is
//! in the dump with the parent; here is the second: versions of entries, versions of rows, and deletes of rows that
//! the branch has from above, which no version of its own would tell of. All are newer than the fork.
//!
//! After a restore in place the main timeline is itself one that branched off. The dump has it as the first one all
//! the same, with the past that it has from above; who stood above it is a branch that goes on from it.
//!
//! Of the system collections a branch has what the main timeline has in a dump, with its exceptions
//! ([`super::catalog`]), except pins and the journal of migrations, which are the main timeline's. Stores stand
//! beside them in one section. A store that was migrated on the main timeline since the fork is not what the
//! branch has, and what the branch has is not in the dump with the main timeline: it is left out, and named.

use std::collections::{BTreeSet, HashMap, HashSet};

use heliosdb_plugin_host::migration::MIGRATIONS;
use heliosdb_plugin_host::store::{self, STORES, StoreState};
use heliosdb_storage::catalog::CATALOG;
use heliosdb_storage::ids::{CollectionId, TimelineId};
use heliosdb_storage::schema::Retention;
use heliosdb_storage::view::{EverTable, RowVersions};
use heliosdb_storage::{Engine, ReadView};

use super::catalog::{Live, versions};
use super::samples::Samples;
use super::tables::{current, named, unnamed};
use super::{Export, Oldest, sequences_of};
use crate::describe::DescribedBranch;
use crate::digest::{TableDigest, VersionsDigest, ids};
use crate::error::{Error, Result};
use crate::format::entry::Entry;
use crate::format::section;
use crate::manifest::{BranchManifest, BranchesManifest, SequenceManifest, TableManifest};
use crate::writer::{EntryFrames, Pipeline, RowFrames};

/// `main` is where the sequences of the main timeline stand.
pub(super) fn export(
    export: &Export<'_>,
    engine: &Engine,
    main: &[SequenceManifest],
    pipeline: &mut Pipeline<'_>,
    oldest: &mut Oldest,
) -> Result<BranchesManifest> {
    let mut branches = Vec::new();
    let Some(timelines) = export.described.timelines else {
        let what = "branches without the ids of timelines";
        return Err(Error::Description(what.to_owned()));
    };
    let mut known = HashSet::from([TimelineId(timelines.main)]);
    for branch in &export.described.branches {
        if !known.contains(&branch.timeline.parent) {
            let what = format!("branch {} has a parent that is none", branch.timeline.name);
            return Err(Error::Description(what));
        }
        known.insert(branch.timeline.id);
        oldest.see(branch.timeline.fork_ts.0);
        let what = format!("exporting branch {}, rows", branch.timeline.name);
        export.progress.begin(&what, None);
        branches.push(export_branch(export, engine, branch, pipeline)?);
        export.progress.end();
    }
    // Counters are read after all views were taken, and so give nothing that is in the dump.
    let shown = branches.iter().flat_map(|branch| &branch.sequences);
    let shown: BTreeSet<u32> = main.iter().chain(shown).map(|s| s.collection).collect();
    let counters = shown.into_iter().filter_map(|collection| {
        let (value, is_called) = engine.sequence_counter(CollectionId(collection))?;
        Some(SequenceManifest {
            collection,
            value,
            is_called,
            name: None,
        })
    });
    Ok(BranchesManifest {
        timelines,
        note: text(&export.described.main_note, "main")?,
        counters: counters.collect(),
        branches,
    })
}

/// What the kernel keeps with a timeline.
fn text(note: &[u8], name: &str) -> Result<String> {
    String::from_utf8(note.to_vec())
        .map_err(|_| Error::Description(format!("the note of branch {name} is no text")))
}

fn export_branch(
    export: &Export<'_>,
    engine: &Engine,
    branch: &DescribedBranch,
    pipeline: &mut Pipeline<'_>,
) -> Result<BranchManifest> {
    let timeline = &branch.timeline;
    let id = timeline.id.0;
    let note = text(&timeline.note, &timeline.name)?;
    let alone = branch.view.alone();
    let entries = export_entries(export, branch, &alone, pipeline)?;
    let mut tables = Vec::new();
    for table in branch.view.tables_ever()? {
        let collection = table.def.id;
        let is_temporary = branch.temporary.collections.contains(&collection);
        // Of what was temporary nobody keeps the past, that of the fork included, and so it has none on the branch.
        let is_gone = !table.live && table.def.retention == Some(Retention::NONE);
        if !is_temporary && !is_gone && alone.has_own(collection) {
            tables.extend(export_table(export, branch, &alone, &table, pipeline)?);
        }
    }
    let names = branch.sequences.iter();
    let names: HashMap<u32, &String> = names.map(|s| (s.collection, &s.name)).collect();
    let sequences = engine.sequences_on(branch.view.timeline());
    Ok(BranchManifest {
        id,
        name: timeline.name.clone(),
        tag: branch.tag,
        parent: timeline.parent.0,
        fork_ts: timeline.fork_ts.0,
        note,
        entries: entries.versions,
        entries_digest: entries.digest,
        tables,
        sequences: sequences_of(sequences, names, &branch.temporary),
    })
}

/// Collections that the branch has a version of, and that are neither tables nor indexes.
fn collections(export: &Export<'_>, branch: &DescribedBranch) -> Result<Vec<CollectionId>> {
    let mut collections = vec![CATALOG, STORES];
    collections.extend(&export.described.system_collections);
    let stores = store::stores(&branch.view)?.into_iter();
    let live = stores.filter(|store| store.state == StoreState::Live);
    collections.extend(live.map(|store| store.collection));
    collections.retain(|collection| *collection != MIGRATIONS);
    collections.sort_unstable();
    collections.dedup();
    Ok(collections)
}

fn export_entries(
    export: &Export<'_>,
    branch: &DescribedBranch,
    alone: &ReadView,
    pipeline: &mut Pipeline<'_>,
) -> Result<VersionsDigest> {
    let live = Live::new(&branch.view)?;
    let lost = lost_stores(export, branch)?;
    let lost: HashSet<CollectionId> = lost.iter().map(|(_, collection)| *collection).collect();
    let mut sum = VersionsDigest::default();
    let mut frames = EntryFrames::default();
    for collection in collections(export, branch)? {
        let rewritten = branch.rewritten.iter().any(|(id, _)| *id == collection);
        if lost.contains(&collection) || !(rewritten || alone.has_own(collection)) {
            continue;
        }
        for version in versions(alone, collection, &branch.rewritten)? {
            export.interrupt().check()?;
            let mut version = version?;
            if version.begin <= branch.timeline.fork_ts {
                continue;
            }
            let temporary = &branch.temporary.entries;
            if !temporary.is_empty() && temporary.contains(&(collection, version.key.clone())) {
                continue;
            }
            if collection == STORES && !live.keep(&mut version)? {
                continue;
            }
            if sum.versions == 0 {
                pipeline.section(section::branch_catalog(branch.timeline.id.0));
            }
            sum.add(collection, &version);
            let entry = Entry {
                collection,
                begin: version.begin,
                key: &version.key,
                value: version.value.as_deref(),
            };
            frames.push(&entry, pipeline)?;
            export.progress.advance(1);
        }
    }
    frames.finish(pipeline)?;
    Ok(sum)
}

/// Live stores of a branch that the main timeline wrote, and has another collection for by now.
fn lost_stores(
    export: &Export<'_>,
    branch: &DescribedBranch,
) -> Result<Vec<(String, CollectionId)>> {
    let main = store::stores(export.view)?.into_iter();
    let main = main.filter(|store| store.state == StoreState::Live);
    let kept: HashSet<CollectionId> = main.map(|store| store.collection).collect();
    // What a branch above made is in the dump with it.
    let mut made = HashSet::new();
    let mut above = Some(branch.timeline.id);
    while let Some(id) = above {
        let mut all = export.described.branches.iter();
        let next = all.find(|other| other.timeline.id == id);
        if let Some(other) = next {
            for version in other.view.alone().versions(STORES)? {
                let version = version?;
                if let Some(value) = version
                    .value
                    .filter(|_| version.begin > other.timeline.fork_ts)
                {
                    made.insert(store::decode(&version.key, &value)?.collection);
                }
            }
        }
        above = next.map(|other| other.timeline.parent);
    }
    let stores = store::stores(&branch.view)?.into_iter();
    let lost = stores.filter(|store| {
        let known = kept.contains(&store.collection) || made.contains(&store.collection);
        store.state == StoreState::Live && !known
    });
    let named = lost.map(|store| (format!("{}.{}", store.plugin, store.name), store.collection));
    Ok(named.collect())
}

/// Stores that branches have and the dump has not, with the branch.
pub(super) fn stores_left_out(export: &Export<'_>) -> Result<Vec<(String, String)>> {
    let mut left_out = Vec::new();
    for branch in &export.described.branches {
        for (store, _) in lost_stores(export, branch)? {
            left_out.push((store, format!("branch {}", branch.timeline.name)));
        }
    }
    Ok(left_out)
}

/// What the branch wrote to a table; nothing, if it wrote nothing.
fn export_table(
    export: &Export<'_>,
    branch: &DescribedBranch,
    alone: &ReadView,
    table: &EverTable,
    pipeline: &mut Pipeline<'_>,
) -> Result<Option<TableManifest>> {
    let (def, id) = (&table.def, table.def.id);
    let (name, columns) = match table.live {
        true => named(&branch.tables, &current(&branch.view, id)?)?,
        false => (None, unnamed(def)),
    };
    let dropped: Vec<bool> = columns.iter().map(|column| column.dropped).collect();
    let mut digest = TableDigest::new(&dropped);
    let mut samples = Samples::default();
    let mut removed = 0;
    let width = def.columns.len();
    for which in [
        RowVersions::Current,
        RowVersions::Superseded,
        RowVersions::Removed,
    ] {
        let mut frames = RowFrames::default();
        let mut any = false;
        for batch in alone.row_versions_after(def, which, branch.timeline.fork_ts)? {
            export.interrupt().check()?;
            let batch = batch?;
            if !std::mem::replace(&mut any, true) {
                let TimelineId(branch) = branch.timeline.id;
                pipeline.section(section::branch_rows(branch, id.0, which));
            }
            match which {
                RowVersions::Current => {
                    digest.add_current(&batch)?;
                    samples.add(ids(&batch, width + 1)?);
                }
                RowVersions::Superseded => {
                    digest.add_superseded(&batch)?;
                    samples.add(ids(&batch, width + 1)?);
                    samples.add(ids(&batch, width + 2)?);
                }
                RowVersions::Removed => {
                    removed += batch.num_rows() as u64;
                    samples.add(ids(&batch, 1)?);
                }
            }
            frames.push(&batch, pipeline)?;
            export.progress.advance(batch.num_rows() as u64);
        }
        frames.finish(pipeline)?;
    }
    if digest.rows() + digest.superseded() + removed == 0 {
        return Ok(None);
    }
    Ok(Some(TableManifest {
        collection: id.0,
        name,
        columns,
        rows: digest.rows(),
        superseded: digest.superseded(),
        removed,
        next_row: branch.view.next_row(id).0,
        digest: digest.values(),
        column_digests: digest.columns().to_vec(),
        versions_digest: digest.versions(),
        samples: samples.finish(),
        oldest_ts: None,
    }))
}
