//! The view on where the database came from. PostgreSQL has nothing like it.

use crate::error::Result;
use crate::pg_catalog::SystemContext;
use crate::pg_catalog::datum::Datum;
use crate::pg_catalog::relation::{Rows, relations, row};

relations! {
    /// The dumps that were imported into this database, oldest first; no row for one that began
    /// here. The past begins at `oldest_ts`. `upgrades` is JSON: what became of which store.
    HELIOS_IMPORTS = pg_catalog.helios_imports 12906 'v' {
        dump_id Text, source_edition Text, source_version Text, exported_at Timestamptz,
        snapshot_ts Int8, oldest_ts Int8, imported_at Timestamptz, tables Int8, rows Int8, bytes Int8,
        upgrades Text,
    } => Some(import_rows);
}

fn import_rows(ctx: &SystemContext, rows: &mut Rows) -> Result<()> {
    for import in ctx.session.imports()? {
        rows.push(row![
            import.dump_id,
            import.source_edition,
            import.source_version,
            Datum::Timestamp(big(import.exported_at)),
            big(import.snapshot_ts),
            import.oldest_ts.map(big),
            Datum::Timestamp(big(import.imported_at)),
            big(import.tables),
            big(import.rows),
            big(import.bytes),
            import.upgrades.to_string()
        ])?;
    }
    Ok(())
}

/// Times and counts stay below the range of `bigint` for longer than files last.
fn big(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}
