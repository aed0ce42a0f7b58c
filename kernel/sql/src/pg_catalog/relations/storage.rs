//! The views on how storage keeps what it has. PostgreSQL has nothing like them.

use std::collections::HashMap;

use crate::error::Result;
use crate::pg_catalog::SystemContext;
use crate::pg_catalog::datum::Datum;
use crate::pg_catalog::relation::{NULL, Rows, relations, row};

relations! {
    /// How the pages of each column in segments are stored: a row per column and codec. A table that
    /// was dropped or truncated since is known by its collection alone; its past may still be read.
    HELIOS_COMPRESSION_STATS = pg_catalog.helios_compression_stats 12900 'v' {
        schemaname Name, tablename Name, attname Name, collection Oid, attnum Int2, codec Text,
        pages Int8, raw_bytes Int8, stored_bytes Int8, ratio Float8,
    } => Some(compression_rows);
}

fn compression_rows(ctx: &SystemContext, rows: &mut Rows) -> Result<()> {
    let tables: HashMap<u32, _> = ctx.catalog.tables().map(|t| (t.collection, t)).collect();
    for pages in ctx.session.column_pages() {
        let table = tables.get(&pages.collection.0);
        let column = table.and_then(|t| t.column_at(pages.column.0));
        let attnum = pages.column.0.checked_add(1).map(i16::try_from);
        let (raw, stored) = (pages.raw_bytes, pages.stored_bytes);
        let ratio = (stored > 0).then(|| raw as f64 / stored as f64);
        rows.push(row![
            table.and_then(|t| ctx.schema_name(t.schema)),
            table.map(|t| t.name.clone()),
            column.map(|c| c.name.clone()),
            pages.collection.0,
            attnum.and_then(|n| n.ok()),
            pages.encoding.name(),
            bytes(pages.pages),
            bytes(raw),
            bytes(stored),
            ratio.map_or(NULL, Datum::Float)
        ])?;
    }
    Ok(())
}

/// Files end long before the range of `bigint` does.
fn bytes(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}
