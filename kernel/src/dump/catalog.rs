//! The rows of the catalogs, byte by byte: storage's definitions, SQL's objects, the directory of
//! stores, the journal.
//!
//! AS OF the dump's snapshot they are what the dump has, whatever came later, and so is what they were
//! before, version by version; but for the two collections of the plugin host, which a dump has cut
//! down. Now, rows of SQL's catalog may be others although every object reads the same: oids are in no
//! description.

use std::collections::BTreeMap;

use heliosdb_dump::Dump;
use heliosdb_dump::digest::VersionsDigest;
use heliosdb_plugin_host::migration::MIGRATIONS;
use heliosdb_plugin_host::store::STORES;
use heliosdb_storage::ids::{CollectionId, Ts};
use heliosdb_storage::{Engine, Interrupt, ReadView};

use super::error::ImportError;
use super::preflight::CATALOG_SECTION;
use super::report::{CheckReport, Verdict};
use super::text::counted;

/// Compares every row of the dump with the database. `explained` says that a difference of today is
/// known by its name already.
pub(super) fn compare(
    dump: &Dump,
    engine: &Engine,
    explained: bool,
) -> Result<Vec<CheckReport>, ImportError> {
    let now = engine.latest_view();
    let then = engine.view_at(Ts(dump.manifest().snapshot_ts))?;
    let (mut rows, mut lost, mut changed) = (0u64, 0u64, 0u64);
    let mut last: Option<(CollectionId, Vec<u8>)> = None;
    let mut past: BTreeMap<CollectionId, VersionsDigest> = BTreeMap::new();
    for entry in dump.entries(CATALOG_SECTION)? {
        let (collection, version) = entry?;
        past.entry(collection)
            .or_default()
            .add(collection, &version);
        // The newest version of a key comes first.
        if last
            .as_ref()
            .is_some_and(|(c, key)| (*c, key) == (collection, &version.key))
        {
            continue;
        }
        rows += 1;
        if then.get(collection, &version.key)? != version.value {
            lost += 1;
        } else if heliosdb_sql::catalog::is_object(collection, &version.key)
            && now.get(collection, &version.key)? != version.value
        {
            changed += 1;
        }
        last = Some((collection, version.key));
    }
    let mut checks = vec![CheckReport {
        name: "catalog AS OF the snapshot".to_owned(),
        verdict: Verdict::of(lost == 0),
        details: vec![match lost {
            0 => counted(rows, "row"),
            _ => format!("not as in the dump: {lost} of {}", counted(rows, "row")),
        }],
    }];
    checks.push(history(past, &then)?);
    if changed > 0 && !explained {
        checks.push(CheckReport {
            name: "catalog".to_owned(),
            verdict: Verdict::ChangedSince,
            details: vec![format!(
                "{} changed in what no description shows, such as an oid",
                counted(changed, "row")
            )],
        });
    }
    Ok(checks)
}

/// Every version up to the snapshot, of the collections that a dump has whole.
fn history(
    mut dumped: BTreeMap<CollectionId, VersionsDigest>,
    then: &ReadView,
) -> Result<CheckReport, ImportError> {
    dumped.retain(|collection, _| ![STORES, MIGRATIONS].contains(collection));
    let mut details = Vec::new();
    for (collection, expected) in &dumped {
        let found = VersionsDigest::of(then, *collection, &Interrupt::new())?;
        if found != *expected {
            let (here, there) = (found.versions, expected.versions);
            details.push(format!(
                "collection {collection}: {}",
                versions(here, there)
            ));
        }
    }
    let verdict = Verdict::of(details.is_empty());
    if details.is_empty() {
        let all = dumped.values().map(|sum| sum.versions).sum();
        details.push(counted(all, "version"));
    }
    Ok(CheckReport {
        name: "history of the catalog".to_owned(),
        verdict,
        details,
    })
}

/// How two histories differ.
pub(super) fn versions(here: u64, there: u64) -> String {
    match here == there {
        true => format!("as many versions as in the dump ({here}), and others"),
        false => format!("{} here, {there} in the dump", counted(here, "version")),
    }
}
