//! Two dumps compared by what they mean: objects, tables, sequences and stores by name.
//!
//! Ids, times, RowIds, history and the order of rows are not compared, so a database that was moved, or
//! made anew with the same statements, is equal to the first. Passwords are compared by what is kept of
//! them, so one that was set anew differs even if it is the same word. Only the manifests are read: a
//! table's digests say which of its columns differ.
//!
//! [`diff_history`] compares what a moved database keeps besides: every version with its RowId and times.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use crate::describe::ObjectDescription;
use crate::manifest::{Manifest, SequenceManifest, StoreManifest, TableManifest};
use crate::reader::Dump;

/// What differs. Nothing in it means equal.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct DumpDiff {
    /// Object by object, in order of kind and name.
    pub objects: Vec<Difference>,
    pub tables: Vec<Difference>,
    /// Where those stand that both have.
    pub sequences: Vec<Difference>,
    pub stores: Vec<Difference>,
    /// Branches and tags, and what each wrote to tables.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub branches: Vec<Difference>,
    /// What [`diff_history`] found, if it was asked.
    pub history: Vec<Difference>,
    /// The text of the configuration.
    pub config: bool,
}

/// Something that is not the same in both.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Difference {
    /// `table`, `sequence`, `store`, or the kind of object.
    pub kind: String,
    pub name: String,
    pub change: Change,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    OnlyInFirst,
    OnlyInSecond,
    /// In what, one line each.
    Changed(Vec<String>),
}

impl DumpDiff {
    pub fn is_equal(&self) -> bool {
        *self == DumpDiff::default()
    }

    /// With `equal`, which says it all in one word.
    pub fn to_json(&self) -> serde_json::Result<String> {
        #[derive(Serialize)]
        struct Json<'a> {
            equal: bool,
            #[serde(flatten)]
            diff: &'a DumpDiff,
        }
        let equal = self.is_equal();
        serde_json::to_string_pretty(&Json { equal, diff: self })
    }
}

/// Compare two dumps.
pub fn diff(first: &Dump, second: &Dump) -> DumpDiff {
    diff_manifests(first.manifest(), second.manifest())
}

fn diff_manifests(first: &Manifest, second: &Manifest) -> DumpDiff {
    let objects = |m: &'_ Manifest| -> BTreeMap<_, _> {
        let objects = m.objects.clone().into_iter();
        objects
            .map(|o| ((o.kind.clone(), o.name.clone()), o))
            .collect()
    };
    let tables = |m: &Manifest| -> BTreeMap<_, _> {
        let tables = m.tables.clone().into_iter();
        let named = tables.filter_map(|t| Some((("table".to_owned(), t.name.clone()?), t)));
        named.collect()
    };
    DumpDiff {
        objects: differences(objects(first), objects(second), object_changes),
        tables: differences(tables(first), tables(second), table_changes),
        sequences: sequence_differences(first, second),
        stores: differences(stores(first), stores(second), store_changes),
        branches: branch_differences(first, second),
        history: Vec::new(),
        config: first.config != second.config,
    }
}

/// The versions of every table and store, those of dropped tables included, by count and digest. RowIds
/// and times count: only a database that was moved is equal to the one it came from.
pub fn diff_history(first: &Dump, second: &Dump) -> Vec<Difference> {
    // A dropped table has no name but that of its collection; what was moved keeps that.
    let tables = |dump: &Dump| -> BTreeMap<Key, TableManifest> {
        let tables = dump.manifest().tables.iter();
        let labeled = tables.map(|t| match &t.name {
            Some(name) => (("table".to_owned(), name.clone()), t.clone()),
            None => {
                let key = ("dropped table".to_owned(), t.collection.to_string());
                (key, t.clone())
            }
        });
        labeled.collect()
    };
    let stores = |dump: &Dump| stores(dump.manifest());
    let mut found = differences(tables(first), tables(second), |a, b| {
        let versions = |t: &TableManifest| t.rows + t.superseded;
        counted_changes("versions", versions(a), versions(b), || {
            a.versions_digest == b.versions_digest
        })
    });
    found.extend(differences(stores(first), stores(second), |a, b| {
        changed("versions", a.versions, b.versions)
            .into_iter()
            .collect()
    }));
    found
}

/// Kind and name.
type Key = (String, String);

fn stores(manifest: &Manifest) -> BTreeMap<Key, StoreManifest> {
    let stores = manifest.stores.iter();
    let name = |s: &StoreManifest| format!("{}.{}", s.plugin, s.name);
    let named = stores.map(|s| (("store".to_owned(), name(s)), s.clone()));
    named.collect()
}

fn differences<T>(
    mut first: BTreeMap<Key, T>,
    second: BTreeMap<Key, T>,
    changes: fn(&T, &T) -> Vec<String>,
) -> Vec<Difference> {
    let mut found: Vec<(Key, Change)> = Vec::new();
    for (key, b) in second {
        match first.remove(&key) {
            None => found.push((key, Change::OnlyInSecond)),
            Some(a) => {
                let changes = changes(&a, &b);
                if !changes.is_empty() {
                    found.push((key, Change::Changed(changes)));
                }
            }
        }
    }
    let gone = first.into_keys().map(|key| (key, Change::OnlyInFirst));
    found.extend(gone);
    found.sort_by(|(a, _), (b, _)| a.cmp(b));
    let differences = found.into_iter();
    differences
        .map(|((kind, name), change)| Difference { kind, name, change })
        .collect()
}

/// A line when two things are not the same.
fn changed<T: PartialEq + fmt::Display>(what: &str, first: T, second: T) -> Option<String> {
    (first != second).then(|| format!("{what}: {first} and {second}"))
}

/// A line when there are not as many, or as many and others.
fn counted_changes(what: &str, first: u64, second: u64, equal: impl Fn() -> bool) -> Vec<String> {
    let counts = changed(what, first, second);
    let others = (counts.is_none() && !equal()).then(|| format!("{what}: as many, and others"));
    counts.into_iter().chain(others).collect()
}

/// A name, in quotes and with escapes when something in it is not seen as what it is.
fn shown(name: &str) -> Cow<'_, str> {
    let plain = |c: char| matches!(c, '"' | '\'') || c.escape_debug().len() == 1;
    match name.chars().all(plain) {
        true => Cow::Borrowed(name),
        false => Cow::Owned(format!("{name:?}")),
    }
}

fn object_changes(a: &ObjectDescription, b: &ObjectDescription) -> Vec<String> {
    a.differences(b, |a, b| format!("{a} and {b}"))
}

/// Sequences that only one of the two has are objects that only one has.
fn sequence_differences(first: &Manifest, second: &Manifest) -> Vec<Difference> {
    let positions = |m: &Manifest| -> BTreeMap<String, String> {
        let sequences = m.objects.iter().filter(|o| o.kind == "sequence");
        let mut positions: BTreeMap<String, String> = sequences
            .map(|o| (o.name.clone(), "unused".to_owned()))
            .collect();
        for sequence in &m.sequences {
            let SequenceManifest {
                value, is_called, ..
            } = sequence;
            let which = if *is_called { "last" } else { "next" };
            if let Some(position) = sequence.name.as_ref().and_then(|n| positions.get_mut(n)) {
                *position = format!("{which} value {value}");
            }
        }
        positions
    };
    let (first, mut second) = (positions(first), positions(second));
    let pairs = first
        .into_iter()
        .filter_map(|(name, a)| second.remove(&name).map(|b| (name, a, b)));
    let differ = pairs.filter(|(_, a, b)| a != b);
    differ
        .map(|(name, a, b)| Difference {
            kind: "sequence".to_owned(),
            name,
            change: Change::Changed(vec![format!("position: {a} and {b}")]),
        })
        .collect()
}

/// Branches by name, and of those that both have the tables that they wrote to. Where they branched off is a time, and
/// those are not compared.
fn branch_differences(first: &Manifest, second: &Manifest) -> Vec<Difference> {
    type Wrote = (String, BTreeMap<Key, TableManifest>);
    let branches = |m: &Manifest| -> BTreeMap<Key, Wrote> {
        let named = m.branches().iter().map(|branch| {
            let kind = if branch.tag { "tag" } else { "branch" };
            let above = m.branches().iter().find(|other| other.id == branch.parent);
            let above = above.map_or("main", |other| &other.name).to_owned();
            let key = |t: &TableManifest| ("table".to_owned(), t.label());
            let tables = branch.tables.iter().map(|t| (key(t), t.clone()));
            let key = (kind.to_owned(), branch.name.clone());
            (key, (above, tables.collect()))
        });
        named.collect()
    };
    differences(branches(first), branches(second), |a, b| {
        let mut changes: Vec<String> = changed("parent", &a.0, &b.0).into_iter().collect();
        let tables = differences(a.1.clone(), b.1.clone(), |a, b| {
            let removed = changed("removed rows", a.removed, b.removed);
            let mut changes = table_changes(a, b);
            changes.extend(removed);
            changes
        });
        for difference in tables {
            let lines = difference.to_string();
            changes.extend(lines.lines().map(str::to_owned));
        }
        changes
    })
}

fn table_changes(a: &TableManifest, b: &TableManifest) -> Vec<String> {
    let columns = |t: &TableManifest| -> Vec<_> {
        let columns = t.columns.iter().zip(&t.column_digests);
        let live = columns.filter(|(column, _)| !column.dropped);
        let live = live.map(|(c, digest)| (c.name.clone(), c.type_name.clone(), *digest));
        live.collect()
    };
    let list = |columns: &[(String, String, _)]| {
        let columns = columns.iter();
        let columns: Vec<String> = columns
            .map(|(name, ty, _)| format!("{} {ty}", shown(name)))
            .collect();
        format!("({})", columns.join(", "))
    };
    let (mine, others) = (columns(a), columns(b));
    let mut changes = Vec::new();
    changes.extend(changed("rows", a.rows, b.rows));
    changes.extend(changed("columns", list(&mine), list(&others)));
    let mut values = 0;
    for (name, _, digest) in &mine {
        let other = others.iter().find(|(other, _, _)| other == name);
        if other.is_some_and(|(_, _, other)| other != digest) {
            changes.push(format!("column {}: other values", shown(name)));
            values += 1;
        }
    }
    if changes.is_empty() && values == 0 && a.digest != b.digest {
        changes.push("rows: the same values in every column, and other rows".to_owned());
    }
    changes
}

fn store_changes(a: &StoreManifest, b: &StoreManifest) -> Vec<String> {
    let version = changed("version", a.version, b.version);
    let entries = counted_changes("entries", a.entries, b.entries, || a.digest == b.digest);
    version.into_iter().chain(entries).collect()
}

impl fmt::Display for DumpDiff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_equal() {
            return writeln!(f, "equal");
        }
        for all in [&self.objects, &self.tables, &self.sequences, &self.stores] {
            for difference in all {
                write!(f, "{difference}")?;
            }
        }
        for difference in &self.branches {
            write!(f, "{difference}")?;
        }
        for difference in &self.history {
            write!(f, "history of {difference}")?;
        }
        if self.config {
            writeln!(f, "configuration: other text")?;
        }
        Ok(())
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Difference { kind, name, change } = self;
        let name = shown(name);
        match change {
            Change::OnlyInFirst => writeln!(f, "{kind} {name}: only in the first"),
            Change::OnlyInSecond => writeln!(f, "{kind} {name}: only in the second"),
            Change::Changed(changes) => changes
                .iter()
                .try_for_each(|change| writeln!(f, "{kind} {name}: {change}")),
        }
    }
}
