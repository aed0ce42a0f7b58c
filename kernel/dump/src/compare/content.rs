//! The content of a table: all versions, with their values, RowIds and times.

use heliosdb_storage::view::RowVersions;

use super::{Comparing, Shown};
use crate::digest::TableDigest;
use crate::error::Result;
use crate::manifest::TableManifest;

/// What was found of a table.
#[derive(Default)]
pub(super) struct Content {
    pub rows: u64,
    pub superseded: u64,
    pub values_equal: bool,
    /// Names of those that differ.
    pub columns: Vec<String>,
    pub versions_equal: bool,
    pub snapshot_equal: Option<bool>,
    pub problem: Option<String>,
}

impl Content {
    fn is_equal(&self) -> bool {
        self.values_equal && self.versions_equal && self.problem.is_none()
    }
}

pub(super) fn compare(comparing: &Comparing<'_>, table: &TableManifest) -> Result<Content> {
    let mut content = compare_with(comparing, table, &comparing.now)?;
    if !content.is_equal() {
        let then = compare_with(comparing, table, &comparing.then)?;
        content.snapshot_equal = Some(then.is_equal());
    }
    Ok(content)
}

fn compare_with(
    comparing: &Comparing<'_>,
    table: &TableManifest,
    shown: &Shown,
) -> Result<Content> {
    let problem = |problem: &str| {
        Ok(Content {
            problem: Some(problem.to_owned()),
            ..Content::default()
        })
    };
    let Some((def, live)) = shown.tables.get(&table.collection) else {
        return problem("the database does not have it");
    };
    match (table.name.is_some(), live) {
        (true, false) => return problem("it was dropped"),
        (false, true) => return problem("it was dropped in the dump, and is there"),
        _ => {}
    }
    let dropped: Vec<bool> = table.columns.iter().map(|column| column.dropped).collect();
    let found = match shown.definition(table.collection)? {
        Some(def) => def.columns.iter().map(|column| column.dropped).collect(),
        None => vec![false; def.columns.len()],
    };
    if found != dropped {
        return problem("its columns are not those of the dump");
    }
    let mut digest = TableDigest::new(&dropped);
    for which in [RowVersions::Current, RowVersions::Superseded] {
        for batch in shown.view.row_versions(def, which)? {
            comparing.options.interrupt.check()?;
            let batch = batch?;
            match which {
                RowVersions::Current => digest.add_current(&batch)?,
                RowVersions::Superseded => digest.add_superseded(&batch)?,
                RowVersions::Removed => {}
            }
            comparing.progress.advance(batch.num_rows() as u64);
        }
    }
    let columns = table.columns.iter().zip(&table.column_digests);
    let differ = columns
        .zip(digest.columns())
        .filter(|((_, expected), found)| expected != found);
    Ok(Content {
        rows: digest.rows(),
        superseded: digest.superseded(),
        values_equal: digest.rows() == table.rows && digest.values() == table.digest,
        columns: differ.map(|((column, _), _)| column.name.clone()).collect(),
        versions_equal: digest.superseded() == table.superseded
            && digest.versions() == table.versions_digest,
        snapshot_equal: None,
        problem: None,
    })
}
