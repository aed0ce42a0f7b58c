//! The rows of the catalogs, byte by byte: storage's definitions, SQL's objects, the directory of
//! stores, the journal.
//!
//! AS OF the dump's snapshot they are what the dump has, whatever came later. Now, rows of SQL's catalog
//! may be others although every object reads the same: passwords are in no description.

use heliosdb_dump::Dump;
use heliosdb_storage::Engine;
use heliosdb_storage::ids::{CollectionId, Ts};

use super::error::ImportError;
use super::preflight::CATALOG_SECTION;
use super::report::{CheckReport, Verdict};

/// Compares the newest version of every row of the dump with the database. `explained` says that a
/// difference of today is known by its name already.
pub(super) fn compare(
    dump: &Dump,
    engine: &Engine,
    explained: bool,
) -> Result<Vec<CheckReport>, ImportError> {
    let now = engine.latest_view();
    let then = engine.view_at(Ts(dump.manifest().snapshot_ts))?;
    let (mut rows, mut lost, mut changed) = (0u64, 0u64, 0u64);
    let mut last: Option<(CollectionId, Vec<u8>)> = None;
    for entry in dump.entries(CATALOG_SECTION)? {
        let (collection, version) = entry?;
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
            0 => format!("{rows} rows"),
            _ => format!("{lost} of {rows} rows are not as in the dump"),
        }],
    }];
    if changed > 0 && !explained {
        checks.push(CheckReport {
            name: "catalog".to_owned(),
            verdict: Verdict::ChangedSince,
            details: vec![format!(
                "{changed} rows have changed in what no description shows, such as an oid"
            )],
        });
    }
    Ok(checks)
}
