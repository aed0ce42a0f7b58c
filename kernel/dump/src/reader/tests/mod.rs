//! A small dump, and what is done to it.

use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringViewArray, UInt64Array};
use heliosdb_storage::ids::{CollectionId, Ts};
use heliosdb_storage::view::{RowVersions, Version};

use super::*;
use crate::Silent;
use crate::describe::{ObjectDescription, PluginDescription};
use crate::digest::VersionsDigest;
use crate::digest::{Digest, TableDigest, digest_of};
use crate::format::entry::Entry;
use crate::format::{FORMAT_VERSION, FORMAT_WITH_BRANCHES};
use crate::manifest::{
    BranchManifest, BranchesManifest, ColumnManifest, LeftOut, SequenceManifest, StoreManifest,
    TableManifest, TimelineIds,
};
use crate::writer::{EntryFrames, Packer, Payload, Pipeline, RowFrames, Writer};

mod damage;
mod golden;
mod hostile;

const TABLE: u32 = 1024;
const STORE: u32 = 1030;
const BRANCH: u32 = 4;
const ID: [u8; 16] = *b"0123456789abcdef";

fn batch(rows: std::ops::Range<u64>, superseded: bool) -> RecordBatch {
    let ids: Vec<u64> = rows.collect();
    let column = |f: &dyn Fn(u64) -> u64| -> ArrayRef {
        Arc::new(UInt64Array::from_iter_values(ids.iter().map(|id| f(*id))))
    };
    let numbers = ids.iter().map(|id| (id % 3 != 0).then_some(*id as i64));
    let texts = ids
        .iter()
        .map(|id| (id % 5 != 0).then(|| format!("row {id} of a small table")));
    let numbers: ArrayRef = Arc::new(Int64Array::from_iter(numbers));
    let texts: ArrayRef = Arc::new(StringViewArray::from_iter(texts));
    let mut columns = vec![
        ("c0", numbers, true),
        ("c1", texts, true),
        ("_rowid", column(&|id| id), false),
        ("_begin", column(&|id| 100 + id), false),
    ];
    if superseded {
        columns.push(("_end", column(&|id| 200 + id), false));
    }
    RecordBatch::try_from_iter_with_nullable(columns).unwrap()
}

fn versions(collection: u32) -> Vec<CollectionVersion> {
    let version = |key: &str, begin, value: Option<&str>| {
        let version = Version {
            key: key.into(),
            begin: Ts(begin),
            value: value.map(Into::into),
        };
        (CollectionId(collection), version)
    };
    vec![
        version("a", 7, Some("new")),
        version("a", 3, Some("old")),
        version("b", 5, None),
        version("b", 4, Some("")),
        version("", 9, Some("empty key")),
    ]
}

fn entry(version: &CollectionVersion) -> Entry<'_> {
    Entry {
        collection: version.0,
        begin: version.1.begin,
        key: &version.1.key,
        value: version.1.value.as_deref(),
    }
}

fn column(name: &str, type_name: &str) -> ColumnManifest {
    ColumnManifest {
        name: name.to_owned(),
        type_name: type_name.to_owned(),
        dropped: false,
        compression: (type_name == "text").then(|| "zstd".to_owned()),
    }
}

/// A manifest of nothing.
pub(crate) fn empty_manifest() -> Manifest {
    Manifest {
        format: crate::format::FORMAT_VERSION,
        edition: "lite".to_owned(),
        kernel_version: "0.1.0".to_owned(),
        dump_id: String::new(),
        created_at_micros: 1_700_000_000_000_000,
        database: "helios".to_owned(),
        snapshot_ts: 1000,
        oldest_ts: 1,
        next_collection: 1031,
        included: vec!["tables".to_owned()],
        left_out: vec![LeftOut {
            what: "branches".to_owned(),
            why: "not asked for".to_owned(),
        }],
        objects: vec![ObjectDescription {
            kind: "table".to_owned(),
            name: "public.t".to_owned(),
            owner: "helios".to_owned(),
            definition: "CREATE TABLE public.t (a bigint, b text)".to_owned(),
            comment: Some("small".to_owned()),
            password: None,
        }],
        tables: Vec::new(),
        plugins: vec![PluginDescription {
            id: "p".to_owned(),
            version: "1.0.0".to_owned(),
            state: "active".to_owned(),
            linkage: Some("static".to_owned()),
            installed: true,
            stores: vec![("s".to_owned(), 1)],
            objects: 2,
            types: vec!["point".to_owned()],
            codecs_in_use: vec!["rle".to_owned()],
        }],
        stores: Vec::new(),
        sequences: vec![SequenceManifest {
            collection: 1029,
            value: 7,
            is_called: true,
            name: None,
        }],
        branches: None,
        config: None,
        sections: Vec::new(),
    }
}

/// Every kind of section but those of branches; two frames in that of the table.
pub(crate) fn small_dump() -> Vec<u8> {
    dump_of(false)
}

/// The same with a branch, and a tag of it.
fn small_dump_with_branches() -> Vec<u8> {
    dump_of(true)
}

fn dump_of(branches: bool) -> Vec<u8> {
    let mut out = Vec::new();
    let version = match branches {
        false => FORMAT_VERSION,
        true => FORMAT_WITH_BRANCHES,
    };
    let writer = Writer::new(&mut out, version, ID).unwrap();
    let mut digest = TableDigest::new(&[false, false]);
    let config = "[server]\n";
    Pipeline::run(writer, 3, |pipeline| {
        let mut manifest = empty_manifest();
        for (section, collection) in [("catalog", 0), ("store/p/s@1", STORE)] {
            pipeline.section(section.to_owned());
            let mut frames = EntryFrames::default();
            for version in versions(collection) {
                frames.push(&entry(&version), pipeline)?;
            }
            frames.finish(pipeline)?;
        }
        manifest.stores.push(StoreManifest {
            plugin: "p".to_owned(),
            name: "s".to_owned(),
            version: 1,
            collection: STORE,
            entries: 2,
            versions: 5,
            digest: "0".repeat(32),
        });
        pipeline.section(format!("table/{TABLE}"));
        for rows in [1..40, 40..60] {
            let batch = batch(rows, false);
            digest.add_current(&batch)?;
            let mut frames = RowFrames::default();
            frames.push(&batch, pipeline)?;
            frames.finish(pipeline)?;
        }
        pipeline.section(format!("history/{TABLE}"));
        let old = batch(60..70, true);
        digest.add_superseded(&old)?;
        let mut frames = RowFrames::default();
        frames.push(&old, pipeline)?;
        frames.finish(pipeline)?;
        // A table without rows has a section without frames.
        pipeline.section(format!("table/{}", TABLE + 1));
        manifest.tables = vec![
            TableManifest {
                collection: TABLE,
                name: Some("public.t".to_owned()),
                columns: vec![column("a", "bigint"), column("b", "text")],
                rows: digest.rows(),
                superseded: digest.superseded(),
                removed: 0,
                next_row: 70,
                digest: digest.values(),
                column_digests: digest.columns().to_vec(),
                versions_digest: digest.versions(),
                samples: vec![120],
                oldest_ts: None,
            },
            TableManifest {
                collection: TABLE + 1,
                name: None,
                columns: vec![],
                rows: 0,
                superseded: 0,
                removed: 0,
                next_row: 1,
                digest: Digest::default(),
                column_digests: vec![],
                versions_digest: Digest::default(),
                samples: vec![],
                oldest_ts: None,
            },
        ];
        pipeline.section("config".to_owned());
        pipeline.frame(Payload {
            kind: crate::format::FrameKind::Text,
            items: 1,
            raw: config.into(),
        })?;
        manifest.config = Some(digest_of(config.as_bytes()));
        if branches {
            manifest.branches = Some(two_branches(pipeline)?);
        }
        Ok(manifest)
    })
    .unwrap();
    out
}

/// Rows that a branch deleted.
fn removed() -> RecordBatch {
    let column = |numbers: [u64; 2]| -> ArrayRef { Arc::new(UInt64Array::from(numbers.to_vec())) };
    RecordBatch::try_from_iter([("_rowid", column([5, 9])), ("_begin", column([901, 902]))])
        .unwrap()
}

/// A branch that wrote to everything, and a tag of it.
fn two_branches(pipeline: &mut Pipeline<'_>) -> Result<BranchesManifest> {
    pipeline.section(format!("branch/{BRANCH}/catalog"));
    let (mut frames, mut sum) = (EntryFrames::default(), VersionsDigest::default());
    for version in versions(STORE) {
        frames.push(&entry(&version), pipeline)?;
        sum.add(version.0, &version.1);
    }
    frames.finish(pipeline)?;
    let mut digest = TableDigest::new(&[false, false]);
    let (current, old) = (batch(70..75, false), batch(75..79, true));
    digest.add_current(&current)?;
    digest.add_superseded(&old)?;
    for (name, batch) in [("table", current), ("history", old), ("removed", removed())] {
        pipeline.section(format!("branch/{BRANCH}/{name}/{TABLE}"));
        let mut frames = RowFrames::default();
        frames.push(&batch, pipeline)?;
        frames.finish(pipeline)?;
    }
    let branch = BranchManifest {
        id: BRANCH,
        name: "dev".to_owned(),
        tag: false,
        parent: 1,
        fork_ts: 2,
        note: "{\"owner\":10}".to_owned(),
        entries: sum.versions,
        entries_digest: sum.digest,
        tables: vec![TableManifest {
            collection: TABLE,
            name: Some("public.t".to_owned()),
            columns: vec![column("a", "bigint"), column("b", "text")],
            rows: digest.rows(),
            superseded: digest.superseded(),
            removed: 2,
            next_row: 79,
            digest: digest.values(),
            column_digests: digest.columns().to_vec(),
            versions_digest: digest.versions(),
            samples: vec![175],
            oldest_ts: None,
        }],
        sequences: vec![SequenceManifest {
            collection: 1029,
            value: 12,
            is_called: true,
            name: Some("public.s".to_owned()),
        }],
    };
    let tag = BranchManifest {
        id: 6,
        name: "release".to_owned(),
        tag: true,
        parent: BRANCH,
        fork_ts: 900,
        note: String::new(),
        entries: 0,
        entries_digest: Digest::default(),
        tables: Vec::new(),
        sequences: Vec::new(),
    };
    Ok(BranchesManifest {
        timelines: TimelineIds { main: 1, next: 7 },
        note: "{\"owner\":10,\"gaps\":[[1,2]]}".to_owned(),
        counters: vec![SequenceManifest {
            collection: 1029,
            value: 12,
            is_called: true,
            name: None,
        }],
        branches: vec![branch, tag],
    })
}

pub(crate) fn open(bytes: Vec<u8>) -> Result<Dump> {
    Dump::open_source(Box::new(bytes), "my.dump", &Silent)
}

/// Read everything there is in a dump.
fn read_all(dump: &Dump) -> Result<()> {
    for section in &dump.manifest().sections {
        match section::kind(&section.name) {
            Some(crate::format::FrameKind::Entries) => {
                dump.entries(&section.name)?.try_for_each(|e| e.map(drop))?;
            }
            Some(crate::format::FrameKind::Text) => drop(dump.config()?),
            _ => {}
        }
    }
    for table in &dump.manifest().tables {
        let dropped: Vec<bool> = table.columns.iter().map(|c| c.dropped).collect();
        let mut digest = TableDigest::new(&dropped);
        for batch in dump.rows(table.collection, RowVersions::Current)? {
            digest.add_current(&batch?)?;
        }
        for batch in dump.rows(table.collection, RowVersions::Superseded)? {
            digest.add_superseded(&batch?)?;
        }
    }
    Ok(())
}

#[test]
fn what_branches_wrote_is_read() {
    let dump = open(small_dump_with_branches()).unwrap();
    let found = dump.branch_entries(BRANCH).unwrap().map(Result::unwrap);
    assert!(found.eq(versions(STORE)));
    let rows = |branch, which| {
        let rows = dump.branch_rows(branch, TABLE, which).unwrap();
        rows.map(Result::unwrap).collect::<Vec<_>>()
    };
    assert_eq!(rows(BRANCH, RowVersions::Current), [batch(70..75, false)]);
    assert_eq!(rows(BRANCH, RowVersions::Superseded), [batch(75..79, true)]);
    assert_eq!(rows(BRANCH, RowVersions::Removed), [removed()]);
    assert_eq!(rows(6, RowVersions::Current), []);
    assert_eq!(dump.branch_entries(6).unwrap().count(), 0);
    // Who reads version 2 alone is told.
    let version = FORMAT_WITH_BRANCHES.to_le_bytes();
    assert_eq!(small_dump_with_branches()[8..12], version);
}

#[test]
fn what_was_written_is_read() {
    let dump = open(small_dump()).unwrap();
    let found = |section: &str| dump.entries(section).unwrap().map(Result::unwrap);
    assert!(found("catalog").eq(versions(0)));
    assert!(found("store/p/s@1").eq(versions(STORE)));
    let rows = |which| dump.rows(TABLE, which).unwrap().map(Result::unwrap);
    assert!(rows(RowVersions::Current).eq([batch(1..40, false), batch(40..60, false)]));
    assert!(rows(RowVersions::Superseded).eq([batch(60..70, true)]));
    let empty = dump.rows(TABLE + 1, RowVersions::Current).unwrap();
    assert_eq!(empty.count(), 0);
    assert_eq!(dump.config().unwrap().as_deref(), Some("[server]\n"));
    assert_eq!(
        dump.manifest().dump_id,
        "30313233-3435-3637-3839-616263646566"
    );
    assert!(matches!(
        dump.rows(7, RowVersions::Current).map(drop),
        Err(Error::NoSection(_))
    ));
    read_all(&dump).unwrap();
}

#[test]
fn the_same_content_makes_the_same_file() {
    assert_eq!(small_dump(), small_dump());
}

/// A batch too large for a frame is cut, and its slices do not carry each other's bytes.
#[test]
fn a_large_batch_is_cut_into_frames() {
    let long = |i: u64| format!("{i:07}").repeat(1500);
    let texts = StringViewArray::from_iter_values((0..1000).map(long));
    let ids = UInt64Array::from_iter_values(0..1000);
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("c0", Arc::new(texts)),
        ("_rowid", Arc::new(ids.clone())),
        ("_begin", Arc::new(ids)),
    ];
    let large = RecordBatch::try_from_iter(columns).unwrap();
    let mut digest = TableDigest::new(&[false]);
    digest.add_current(&large).unwrap();
    let mut out = Vec::new();
    let writer = Writer::new(&mut out, crate::format::FORMAT_VERSION, ID).unwrap();
    let manifest = Pipeline::run(writer, 1, |pipeline| {
        pipeline.section("catalog".to_owned());
        pipeline.section(format!("table/{TABLE}"));
        let mut frames = RowFrames::default();
        frames.push(&large, pipeline)?;
        frames.finish(pipeline)?;
        let mut manifest = empty_manifest();
        manifest.tables.push(TableManifest {
            collection: TABLE,
            name: Some("public.t".to_owned()),
            columns: vec![column("a", "text")],
            rows: 1000,
            superseded: 0,
            removed: 0,
            next_row: 1000,
            digest: digest.values(),
            column_digests: digest.columns().to_vec(),
            versions_digest: digest.versions(),
            samples: vec![],
            oldest_ts: None,
        });
        Ok(manifest)
    })
    .unwrap();
    let section = &manifest.sections[1];
    assert!(section.frames > 3, "{section:?}");
    assert!(section.raw_bytes < 12 << 20, "{section:?}");
    let dump = open(out).unwrap();
    let mut again = TableDigest::new(&[false]);
    for batch in dump.rows(TABLE, RowVersions::Current).unwrap() {
        again.add_current(&batch.unwrap()).unwrap();
    }
    assert_eq!(again.versions(), digest.versions());
    assert_eq!(again.values(), digest.values());
}

/// Write the content of a dump again, with payloads and manifest changed and every checksum right.
fn rewrite(
    dump: &Dump,
    mut change: impl FnMut(&str, &mut Payload),
    change_manifest: impl FnOnce(&mut Manifest),
) -> Vec<u8> {
    let mut out = Vec::new();
    let mut packer = Packer::new(3).unwrap();
    let mut writer = Writer::new(&mut out, crate::format::FORMAT_VERSION, ID).unwrap();
    for (section, frames) in dump.manifest.sections.iter().zip(&dump.frames) {
        writer.section(section.name.clone());
        for frame in frames {
            let mut payload = Payload {
                kind: frame.kind,
                items: frame.items,
                raw: dump.payload(frame).unwrap(),
            };
            change(&section.name, &mut payload);
            writer.frame(&packer.pack(payload).unwrap()).unwrap();
        }
    }
    let mut manifest = dump.manifest.clone();
    change_manifest(&mut manifest);
    writer.finish(manifest, &mut packer).unwrap();
    out
}
