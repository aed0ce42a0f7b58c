//! Tables: rows in one section, superseded versions in another, digests on the way.

use std::sync::Arc;

use heliosdb_storage::catalog::{CATALOG, catalog_key, decode_table};
use heliosdb_storage::ids::CollectionId;
use heliosdb_storage::schema::TableDef;
use heliosdb_storage::view::{EverTable, ReadView, RowVersions};

use super::samples::Samples;
use super::{Export, Oldest};
use crate::describe::NamedTable;
use crate::digest::{TableDigest, ids};
use crate::error::{Error, Result};
use crate::format::section;
use crate::manifest::{ColumnManifest, TableManifest};
use crate::writer::{Pipeline, RowFrames};

pub(super) fn export(
    export: &Export<'_>,
    pipeline: &mut Pipeline<'_>,
    oldest: &mut Oldest,
) -> Result<Vec<TableManifest>> {
    let mut tables = export.view.tables_ever()?;
    let temporary = &export.described.temporary.collections;
    tables.retain(|table| table.live || export.options.history);
    tables.retain(|table| !temporary.contains(&table.def.id));
    for named in &export.described.tables {
        let live = |t: &EverTable| t.live && t.def.id.0 == named.collection;
        if !tables.iter().any(live) {
            return Err(Error::Description(format!(
                "storage has no table {}, which is called {}",
                named.collection, named.name
            )));
        }
    }
    let rows = tables.iter().map(|t| t.def.id);
    let rows = rows.map(|id| export.view.row_count_estimate(id)).sum();
    export.progress.begin("exporting tables, rows", Some(rows));
    let mut manifests = Vec::with_capacity(tables.len());
    for table in tables {
        manifests.push(export_table(export, &table, pipeline, oldest)?);
    }
    export.progress.end();
    Ok(manifests)
}

fn export_table(
    export: &Export<'_>,
    table: &EverTable,
    pipeline: &mut Pipeline<'_>,
    oldest: &mut Oldest,
) -> Result<TableManifest> {
    let id = table.def.id;
    let (name, columns) = match table.live {
        true => named(&export.described.tables, &current(export.view, id)?)?,
        false => (None, unnamed(&table.def)),
    };
    let dropped: Vec<bool> = columns.iter().map(|column| column.dropped).collect();
    let def = match export.options.history {
        true => Arc::clone(&table.def),
        // What is left of dropped columns is history.
        false => {
            let mut def = TableDef::clone(&table.def);
            for (column, dropped) in def.columns.iter_mut().zip(&dropped) {
                column.dropped = *dropped;
            }
            Arc::new(def)
        }
    };
    let mut digest = TableDigest::new(&dropped);
    let mut samples = Samples::default();
    let width = def.columns.len();

    pipeline.section(section::rows(id.0, RowVersions::Current));
    let mut frames = RowFrames::default();
    for batch in export.view.row_versions(&def, RowVersions::Current)? {
        export.interrupt().check()?;
        let batch = batch?;
        digest.add_current(&batch)?;
        let begins = ids(&batch, width + 1)?;
        samples.add(begins);
        begins.iter().for_each(|ts| oldest.see(*ts));
        frames.push(&batch, pipeline)?;
        export.progress.advance(batch.num_rows() as u64);
    }
    frames.finish(pipeline)?;

    if export.options.history {
        let mut frames = RowFrames::default();
        for batch in export.view.row_versions(&def, RowVersions::Superseded)? {
            export.interrupt().check()?;
            let batch = batch?;
            if digest.superseded() == 0 {
                pipeline.section(section::rows(id.0, RowVersions::Superseded));
            }
            digest.add_superseded(&batch)?;
            let begins = ids(&batch, width + 1)?;
            samples.add(begins);
            begins.iter().for_each(|ts| oldest.see(*ts));
            samples.add(ids(&batch, width + 2)?);
            frames.push(&batch, pipeline)?;
            export.progress.advance(batch.num_rows() as u64);
        }
        frames.finish(pipeline)?;
    }
    Ok(TableManifest {
        collection: id.0,
        name,
        columns,
        rows: digest.rows(),
        superseded: digest.superseded(),
        removed: 0,
        next_row: export.view.next_row(id).0,
        digest: digest.values(),
        column_digests: digest.columns().to_vec(),
        versions_digest: digest.versions(),
        samples: match export.options.history {
            true => samples.finish(),
            false => Vec::new(),
        },
        oldest_ts: None,
    })
}

/// The definition that the view shows.
pub(super) fn current(view: &ReadView, id: CollectionId) -> Result<TableDef> {
    match view.get(CATALOG, &catalog_key(id))? {
        Some(value) => Ok(decode_table(id, &value)?),
        None => Err(Error::Description(format!("table {id} is not there"))),
    }
}

/// What a live table is called, checked against what storage has.
pub(super) fn named(
    tables: &[NamedTable],
    def: &TableDef,
) -> Result<(Option<String>, Vec<ColumnManifest>)> {
    let mut tables = tables.iter();
    let Some(NamedTable { name, columns, .. }) = tables.find(|t| t.collection == def.id.0) else {
        return Err(Error::Description(format!("table {} has no name", def.id)));
    };
    let dropped = |c: &ColumnManifest| c.dropped;
    if !columns
        .iter()
        .map(dropped)
        .eq(def.columns.iter().map(|c| c.dropped))
    {
        return Err(Error::Description(format!(
            "{name} has {} columns, and storage has {} of it, or others are dropped",
            columns.len(),
            def.columns.len()
        )));
    }
    Ok((Some(name.clone()), columns.clone()))
}

/// The columns of a table whose names are gone with it.
pub(super) fn unnamed(def: &TableDef) -> Vec<ColumnManifest> {
    let columns = def.columns.iter().enumerate();
    columns
        .map(|(index, column)| ColumnManifest {
            name: format!("column {}", index + 1),
            type_name: format!("{:?}", column.ty).to_lowercase(),
            dropped: false,
            compression: None,
        })
        .collect()
}
