//! What the layer above says of a database, in words: names, definitions, plugins.
//!
//! A dump carries the catalog's own bytes, which only the SQL layer can read. These descriptions are
//! for people, for comparing two dumps, and for deciding before an import whether the target has the
//! plugins it needs. Loading does not use them.

use std::collections::HashSet;

use heliosdb_storage::ids::CollectionId;
use heliosdb_storage::{LoadedTimeline, ReadView, Version};
use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::manifest::{ColumnManifest, TimelineIds};

/// Everything there is to say, as of one view.
#[derive(Clone, Debug, Default)]
pub struct Described {
    /// `lite` or `full`.
    pub edition: String,
    pub database: String,
    pub objects: Vec<ObjectDescription>,
    /// Tables that exist at the view. Those that were dropped have no name any more.
    pub tables: Vec<NamedTable>,
    /// Sequences that exist at the view.
    pub sequences: Vec<NamedSequence>,
    pub plugins: Vec<PluginDescription>,
    /// The configuration file's text.
    pub config: Option<String>,
    /// Collections of the layer above that travel with the catalog, beside storage's own and the two
    /// of the plugin host.
    pub system_collections: Vec<CollectionId>,
    pub temporary: Temporary,
    /// Branches that go into the dump, parents first.
    pub branches: Vec<DescribedBranch>,
    /// Where there are branches: the ids of timelines in the dump, in which it may give them others.
    pub timelines: Option<TimelineIds>,
    /// What is noted of the main timeline, as it is in the dump.
    pub main_note: Vec<u8>,
    /// What goes into the dump instead of what the view has of a collection, newest version of a key first.
    pub rewritten: Vec<(CollectionId, Vec<Version>)>,
    /// Those that do not, in words, such as `2 branches and 1 tag`.
    pub branches_left_out: Option<String>,
}

/// A branch or a tag, as of the same time as all else that is described.
#[derive(Clone, Debug)]
pub struct DescribedBranch {
    pub view: ReadView,
    /// As it is in the dump. What the view's timeline has from before the fork is the parent's there.
    pub timeline: LoadedTimeline,
    /// Nobody writes on it.
    pub tag: bool,
    pub tables: Vec<NamedTable>,
    pub sequences: Vec<NamedSequence>,
    pub temporary: Temporary,
    /// As that of all else.
    pub rewritten: Vec<(CollectionId, Vec<Version>)>,
}

/// What a database has and no dump of it: what is temporary.
#[derive(Clone, Debug, Default)]
pub struct Temporary {
    /// Tables and sequences.
    pub collections: HashSet<CollectionId>,
    /// Entries of the system collections that speak of it: collection and key.
    pub entries: HashSet<(CollectionId, Vec<u8>)>,
}

/// A table that exists.
#[derive(Clone, Debug)]
pub struct NamedTable {
    pub collection: u32,
    /// Schema-qualified, quoted as in SQL.
    pub name: String,
    /// All of them, dropped ones included, in the order of their ids.
    pub columns: Vec<ColumnManifest>,
}

/// A sequence that exists.
#[derive(Clone, Debug)]
pub struct NamedSequence {
    /// Where its state is kept.
    pub collection: u32,
    /// Schema-qualified, quoted as in SQL.
    pub name: String,
}

/// A schema, table, constraint, index, sequence, view, role, extension, or an object of a plugin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ObjectDescription {
    pub kind: String,
    /// Schema-qualified, quoted as in SQL.
    pub name: String,
    pub owner: String,
    /// Like the SQL that makes it. Without oids, so that equal objects of two databases are equal.
    pub definition: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// Of what is kept of a role's password, which itself stands nowhere but in the catalog.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<Digest>,
}

impl ObjectDescription {
    /// In what `other` is not the same, one line each; `both` says how the two have it. Text is quoted
    /// with escapes, so that none looks like another. Of passwords nothing is shown, and nothing
    /// found where a dump does not know them; that there is one stands in the definition.
    pub fn differences(
        &self,
        other: &ObjectDescription,
        both: impl Fn(&str, &str) -> String,
    ) -> Vec<String> {
        let quoted = |text: &str| format!("{text:?}");
        let comment =
            |o: &ObjectDescription| o.comment.as_deref().map_or("none".to_owned(), quoted);
        let parts = [
            ("owner", quoted(&self.owner), quoted(&other.owner)),
            (
                "definition",
                quoted(&self.definition),
                quoted(&other.definition),
            ),
            ("comment", comment(self), comment(other)),
        ];
        let parts = parts.into_iter().filter(|(_, a, b)| a != b);
        let mut lines: Vec<String> = parts
            .map(|(what, a, b)| format!("{what}: {}", both(&a, &b)))
            .collect();
        if let (Some(a), Some(b)) = (self.password, other.password)
            && a != b
        {
            lines.push("password differs".to_owned());
        }
        lines
    }
}

/// A plugin that the database has, or has something of.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PluginDescription {
    pub id: String,
    pub version: String,
    /// As `helios_plugins` shows it.
    pub state: String,
    /// `static` or `dynamic`; `None` when the plugin itself is not there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub linkage: Option<String>,
    /// It is installed with CREATE EXTENSION.
    pub installed: bool,
    /// Live stores: name and version.
    pub stores: Vec<(String, u32)>,
    /// Objects in the catalog that are of its kinds.
    pub objects: u64,
    /// Its types that a column has.
    pub types: Vec<String>,
    /// Its codecs that pages are written with or that a column asks for.
    pub codecs_in_use: Vec<String>,
}

impl PluginDescription {
    /// Whether a database with this dump's content does not work without the plugin. What merely was
    /// loaded is not needed.
    pub fn needed(&self) -> bool {
        self.installed
            || self.objects > 0
            || !self.stores.is_empty()
            || !self.types.is_empty()
            || !self.codecs_in_use.is_empty()
    }
}
