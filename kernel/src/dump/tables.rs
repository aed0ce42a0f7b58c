//! The rows of every table against the dump's digests.

use heliosdb_dump::digest::TableDigest;
use heliosdb_dump::{CompareOptions, Dump, Progress, TableManifest};
use heliosdb_storage::ids::Ts;
use heliosdb_storage::view::RowVersions;
use heliosdb_storage::{Engine, ReadView};

use super::error::ImportError;
use super::report::{TableReport, Verdict};

/// Compares the current rows, and all versions AS OF the dump's snapshot.
pub(super) fn compare(
    dump: &Dump,
    engine: &Engine,
    options: &CompareOptions,
    progress: &dyn Progress,
) -> Result<Vec<TableReport>, ImportError> {
    let manifest = dump.manifest();
    progress.begin("comparing tables, rows", Some(manifest.rows()));
    let now = engine.latest_view();
    let then = engine.view_at(Ts(manifest.snapshot_ts));
    let compared = manifest.tables.iter().map(|table| {
        let compared = compare_table(table, &now, &then, options)?;
        progress.advance(table.rows);
        Ok(compared)
    });
    let compared = compared.collect();
    progress.end();
    compared
}

fn compare_table(
    table: &TableManifest,
    now: &ReadView,
    then: &ReadView,
    options: &CompareOptions,
) -> Result<TableReport, ImportError> {
    let today = digest(table, now, &[RowVersions::Current], options)?;
    let all = [RowVersions::Current, RowVersions::Superseded];
    let past = digest(table, then, &all, options)?;
    let kept = past.versions() == table.versions_digest;
    let equal = today.rows() == table.rows && today.values() == table.digest;
    let columns = table.columns.iter().zip(&table.column_digests);
    let columns = columns.zip(today.columns());
    let columns = columns.filter(|((_, expected), found)| expected != found);
    Ok(TableReport {
        name: table.label(),
        rows: table.rows,
        found_rows: today.rows(),
        versions: table.rows + table.superseded,
        verdict: match (equal, kept) {
            (true, true) => Verdict::Equal,
            (false, true) => Verdict::ChangedSince,
            (_, false) => Verdict::Differs,
        },
        // With other rows every column differs.
        columns: match today.rows() == table.rows {
            true => columns
                .map(|((column, _), _)| column.name.clone())
                .collect(),
            false => Vec::new(),
        },
        details: match kept {
            true => Vec::new(),
            false => vec!["AS OF the dump's snapshot its versions are others".to_owned()],
        },
        history_times: 0,
    })
}

fn digest(
    table: &TableManifest,
    view: &ReadView,
    which: &[RowVersions],
    options: &CompareOptions,
) -> Result<TableDigest, ImportError> {
    let dropped: Vec<bool> = table.columns.iter().map(|column| column.dropped).collect();
    let mut digest = TableDigest::new(&dropped);
    let ever = view.tables_ever()?;
    let found = ever.iter().find(|t| t.def.id.0 == table.collection);
    // One that was dropped since has no rows any more, whatever is left of them.
    let Some(found) = found.filter(|t| t.live || table.name.is_none()) else {
        return Ok(digest);
    };
    // Columns that were added since come after those of the dump, and before what is no column.
    let (known, all) = (table.columns.len(), found.def.columns.len());
    if all < known {
        return Ok(digest);
    }
    for which in which {
        for batch in view.row_versions(&found.def, *which)? {
            options.interrupt.check()?;
            let batch = batch?;
            let kept: Vec<usize> = (0..known).chain(all..batch.num_columns()).collect();
            let batch = batch.project(&kept).map_err(|e| {
                heliosdb_storage::Error::invalid(format!("a batch without its columns: {e}"))
            })?;
            match which {
                RowVersions::Current => digest.add_current(&batch)?,
                RowVersions::Superseded => digest.add_superseded(&batch)?,
            }
        }
    }
    Ok(digest)
}
