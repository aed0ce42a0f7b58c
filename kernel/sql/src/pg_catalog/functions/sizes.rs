//! How much room things take.

use super::{argument, functions};
use crate::catalog::model::{Oid, Relation};
use crate::error::{Result, SqlError, state};
use crate::pg_catalog::SystemContext;
use crate::pg_catalog::datum::{Datum, Type};

functions! {
    pg_relation_size(Regclass) -> Int8 = |c, a| of(c, a, |oid| c.session.relation_size(oid));
    pg_relation_size(Regclass, Text) -> Int8 = |c, a| match argument::text(a, 1)? {
        "main" => of(c, a, |oid| c.session.relation_size(oid)),
        // There are no such forks.
        "fsm" | "vm" | "init" => of(c, a, |_| 0),
        _ => Err(SqlError::new(state::INVALID_PARAMETER_VALUE, "invalid fork name")
            .with_hint("Valid fork names are \"main\", \"fsm\", \"vm\", and \"init\".")),
    };
    pg_table_size(Regclass) -> Int8 = |c, a| of(c, a, |oid| c.session.relation_size(oid));
    pg_indexes_size(Regclass) -> Int8 = |c, a| of(c, a, |oid| indexes(c, oid));
    pg_total_relation_size(Regclass) -> Int8 =
        |c, a| of(c, a, |oid| c.session.relation_size(oid) + indexes(c, oid));
    pg_database_size(Name) -> Int8 = |c, a| {
        let name = argument::text(a, 0)?;
        let ours = name == c.session.database()
            || name == crate::catalog::model::oid::DATABASE.to_string();
        if !ours {
            let message = format!("database \"{name}\" does not exist");
            return Err(SqlError::new(state::INVALID_CATALOG_NAME, message));
        }
        Ok(everything(c).into())
    };
    pg_tablespace_size(Text) -> Int8 = |c, a| match argument::text(a, 0)? {
        "pg_default" | "1663" => Ok(everything(c).into()),
        "pg_global" | "1664" => Ok(Datum::Int(0)),
        name => {
            let message = format!("tablespace \"{name}\" does not exist");
            Err(SqlError::new(state::UNDEFINED_OBJECT, message))
        }
    };
    pg_tablespace_location(Oid) -> Text = |_, _| Ok("".into());
    pg_size_pretty(Int8) -> Text = |_, a| Ok(pretty(argument::int(a, 0)?).into());
}

/// All tables with their indexes.
fn everything(ctx: &SystemContext) -> i64 {
    let size = |oid| ctx.session.relation_size(oid) + indexes(ctx, oid);
    ctx.catalog.tables().map(|t| size(t.oid)).sum()
}

/// A size, or NULL for a relation that is no more.
fn of(ctx: &SystemContext, args: &[Datum], size: impl Fn(Oid) -> i64) -> Result<Datum> {
    let oid = argument::reg(ctx, Type::Regclass, args, 0)?;
    // Views have no storage.
    let known = ctx.catalog.relation(oid).map(|r| match r {
        Relation::View(_) => 0,
        _ => size(oid),
    });
    Ok(known
        .or(crate::pg_catalog::relations::find_oid(oid).map(|_| 0))
        .into())
}

fn indexes(ctx: &SystemContext, table: Oid) -> i64 {
    ctx.catalog
        .indexes_of(table)
        .map(|i| ctx.session.relation_size(i.oid))
        .sum()
}

/// PostgreSQL's rounding: a unit is used from ten of the one below it, halves go away from zero.
fn pretty(bytes: i64) -> String {
    const UNITS: [&str; 6] = ["bytes", "kB", "MB", "GB", "TB", "PB"];
    const LIMIT: i64 = 10 * 1024;
    let mut size = bytes;
    let mut half = false;
    for (i, unit) in UNITS.iter().enumerate() {
        let limit = if i == 0 { LIMIT } else { LIMIT * 2 - 1 };
        if size.unsigned_abs() < limit.unsigned_abs() || i + 1 == UNITS.len() {
            let rounded = if half {
                (size + size.signum()) / 2
            } else {
                size
            };
            return format!("{rounded} {unit}");
        }
        // One bit more than the unit is kept for rounding.
        let shift = if i == 0 { 9 } else { 10 };
        size /= 1 << shift;
        half = true;
    }
    format!("{bytes} bytes")
}

#[cfg(test)]
mod tests {
    use super::pretty;

    #[test]
    fn sizes_print_as_postgresql_prints_them() {
        for (bytes, text) in [
            (0, "0 bytes"),
            (8192, "8192 bytes"),
            (10239, "10239 bytes"),
            (10240, "10 kB"),
            (16384, "16 kB"),
            (-16384, "-16 kB"),
            (1_000_000, "977 kB"),
            (10_485_247, "10239 kB"),
            (10_485_248, "10 MB"),
            (1_000_000_000, "954 MB"),
            (1_000_000_000_000, "931 GB"),
        ] {
            assert_eq!(pretty(bytes), text);
        }
    }
}
