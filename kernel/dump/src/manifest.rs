//! The manifest: what is in a dump, what was left out, and what must come out of it.
//!
//! It is the last thing in the file, because only then the counts and digests are known. It is JSON,
//! so that a person can read it; a field that this build does not know is damage, because whoever
//! ignores a field does not know what it loses. The sections it lists cover the file from the header to
//! the manifest without gap or overlap, in order (checked by `reader`).

use serde::{Deserialize, Serialize};

use crate::describe::{ObjectDescription, PluginDescription};
use crate::digest::Digest;

/// Commit times kept per table for comparing its history.
pub const SAMPLES_MAX: usize = 16;

/// Why branches are left out, before what there is of them.
pub(crate) const BRANCHES_NOT_ASKED_FOR: &str = "not asked for: ";

/// See the module's header.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Of the file, as in its header.
    pub format: u32,
    /// `lite` or `full`: which distribution wrote it.
    pub edition: String,
    pub kernel_version: String,
    /// A random UUID.
    pub dump_id: String,
    /// Microseconds since the Unix epoch.
    pub created_at_micros: u64,
    pub database: String,
    /// The commit up to which everything is in the dump.
    pub snapshot_ts: u64,
    /// The first time AS OF which the dump answers; `snapshot_ts` when it has no history.
    pub oldest_ts: u64,
    /// No collection has this id or a higher one.
    pub next_collection: u32,
    /// Kinds of content, in words.
    pub included: Vec<String>,
    pub left_out: Vec<LeftOut>,
    pub objects: Vec<ObjectDescription>,
    pub tables: Vec<TableManifest>,
    pub plugins: Vec<PluginDescription>,
    pub stores: Vec<StoreManifest>,
    pub sequences: Vec<SequenceManifest>,
    /// In dumps of version 3, which all have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branches: Option<BranchesManifest>,
    /// Of the configuration's text, when there is one.
    pub config: Option<Digest>,
    pub sections: Vec<SectionManifest>,
}

/// Something that the database has and the dump has not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LeftOut {
    pub what: String,
    pub why: String,
}

/// A table: one that exists at the snapshot, or one that was dropped and has history.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TableManifest {
    pub collection: u32,
    /// Schema-qualified, quoted as in SQL; `None` when it was dropped.
    pub name: Option<String>,
    /// In order of their ids, dropped ones included.
    pub columns: Vec<ColumnManifest>,
    /// Visible at the snapshot; of a dropped table, when it was dropped.
    pub rows: u64,
    /// Versions that were replaced or deleted before the snapshot.
    pub superseded: u64,
    /// Of a branch's table: rows from above that the branch deleted, before it wrote them if it ever did.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub removed: u64,
    /// No row has this id or a higher one.
    pub next_row: u64,
    /// Of the rows, without regard to their order, ids and times.
    pub digest: Digest,
    /// Per column of `columns`; of a dropped one 0.
    pub column_digests: Vec<Digest>,
    /// Of all versions with their RowIds and times.
    pub versions_digest: Digest,
    /// Commit times at which this table's content was another than at the snapshot; at most
    /// [`SAMPLES_MAX`], evenly chosen, rising.
    pub samples: Vec<u64>,
    /// The first time AS OF which the dump answers for this table, if not the manifest's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest_ts: Option<u64>,
}

impl TableManifest {
    /// What to call the table in a message.
    pub fn label(&self) -> String {
        match &self.name {
            Some(name) => name.clone(),
            None => format!("dropped table {}", self.collection),
        }
    }
}

/// A column of a table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ColumnManifest {
    pub name: String,
    /// As `format_type` shows it; of a dropped table, storage's name for it.
    pub type_name: String,
    pub dropped: bool,
    /// The codec its pages are to be written with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compression: Option<String>,
}

/// A live store of a plugin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoreManifest {
    pub plugin: String,
    pub name: String,
    pub version: u32,
    pub collection: u32,
    /// At the snapshot.
    pub entries: u64,
    /// With those that were replaced or removed, and the removals.
    pub versions: u64,
    /// Of the entries at the snapshot, as the journal of migrations counts them
    /// (`heliosdb_plugin_host::migration::Tally`).
    pub digest: String,
}

impl StoreManifest {
    /// `plugin/name@version`, as the section is called behind `store/`.
    pub fn label(&self) -> String {
        format!("{}/{}@{}", self.plugin, self.name, self.version)
    }
}

/// Where a sequence stands. One that was never used stands nowhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SequenceManifest {
    pub collection: u32,
    pub value: i64,
    pub is_called: bool,
    /// Schema-qualified, quoted as in SQL; `None` when no sequence of the snapshot stands here, but a
    /// counter of the kernel's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// The ids of timelines in a dump.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TimelineIds {
    /// The main timeline's, which has no parent.
    pub main: u32,
    /// No timeline ever had this id or a higher one.
    pub next: u32,
}

/// Branches and tags: timelines that branched off from the main one, which is all else in the manifest, or from each
/// other.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BranchesManifest {
    pub timelines: TimelineIds,
    /// What the kernel keeps with the main timeline.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
    /// Where sequences go on, on whatever branch.
    pub counters: Vec<SequenceManifest>,
    /// Parents stand before those that branched off from them.
    pub branches: Vec<BranchManifest>,
}

/// A branch or a tag, and what it alone holds: what it has from above is not repeated.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BranchManifest {
    pub id: u32,
    pub name: String,
    /// Nobody writes on it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub tag: bool,
    pub parent: u32,
    /// The newest time that both have in common. All that the branch holds is newer.
    pub fork_ts: u64,
    /// What the kernel keeps with the timeline.
    pub note: String,
    /// Versions of entries in system collections and stores.
    pub entries: u64,
    pub entries_digest: Digest,
    /// Those that the branch wrote to, by what it calls them; counts and digests are of what it wrote.
    pub tables: Vec<TableManifest>,
    /// What the branch shows.
    pub sequences: Vec<SequenceManifest>,
}

impl BranchManifest {
    /// What to call it in a message.
    pub fn label(&self) -> String {
        let kind = if self.tag { "tag" } else { "branch" };
        format!("{kind} {}", self.name)
    }

    /// The table with this collection, if the branch wrote to it.
    pub fn table(&self, collection: u32) -> Option<&TableManifest> {
        self.tables.iter().find(|t| t.collection == collection)
    }
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// Consecutive frames that belong together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SectionManifest {
    /// `catalog`, `table/<id>`, `history/<id>`, `store/<plugin>/<name>@<version>` or `config`.
    pub name: String,
    /// Of its first frame.
    pub offset: u64,
    /// In the file, with the headers of the frames.
    pub stored_bytes: u64,
    /// Payloads before compression.
    pub raw_bytes: u64,
    pub frames: u32,
    /// Rows or entries.
    pub items: u64,
    /// XXH3-128 of its bytes in the file.
    pub digest: Digest,
}

impl Manifest {
    /// The table with this collection.
    pub fn table(&self, collection: u32) -> Option<&TableManifest> {
        self.tables.iter().find(|t| t.collection == collection)
    }

    /// The section of this name.
    pub fn section(&self, name: &str) -> Option<&SectionManifest> {
        self.sections.iter().find(|s| s.name == name)
    }

    /// Branches and tags; none in a dump without them.
    pub fn branches(&self) -> &[BranchManifest] {
        self.branches.as_ref().map_or(&[], |all| &all.branches)
    }

    /// The branches and tags that were not asked for, in words.
    pub fn branches_left_out(&self) -> Option<&str> {
        let left_out = self.left_out.iter().find(|left| left.what == "branches")?;
        left_out.why.strip_prefix(BRANCHES_NOT_ASKED_FOR)
    }

    /// Rows of all tables that exist.
    pub fn rows(&self) -> u64 {
        let live = self.tables.iter().filter(|t| t.name.is_some());
        live.map(|t| t.rows).sum()
    }

    /// Payload of all sections before compression.
    pub fn raw_bytes(&self) -> u64 {
        self.sections.iter().map(|s| s.raw_bytes).sum()
    }
}
