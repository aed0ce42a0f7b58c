//! What is read and changed: the statistics views of tables, indexes and the database.
//!
//! All of it is counted since the database was opened, or since `pg_stat_reset()`, and includes what was rolled back.

use crate::catalog::model::{Oid, oid};
use crate::error::Result;
use crate::monitor::relations::{Count, Counters, Kind, Maintained, Sums};
use crate::pg_catalog::SystemContext;
use crate::pg_catalog::datum::Datum;
use crate::pg_catalog::relation::{NULL, Rows, relations, row};

relations! {
    PG_STAT_ALL_TABLES = pg_catalog.pg_stat_all_tables 12142 'v' {
        relid Oid, schemaname Name, relname Name, seq_scan Int8, seq_tup_read Int8,
        idx_scan Int8, idx_tup_fetch Int8, n_tup_ins Int8, n_tup_upd Int8, n_tup_del Int8,
        n_tup_hot_upd Int8, n_live_tup Int8, n_dead_tup Int8, n_mod_since_analyze Int8,
        n_ins_since_vacuum Int8, last_vacuum Timestamptz, last_autovacuum Timestamptz,
        last_analyze Timestamptz, last_autoanalyze Timestamptz, vacuum_count Int8,
        autovacuum_count Int8, analyze_count Int8, autoanalyze_count Int8,
    } => Some(table_rows);
    PG_STAT_USER_TABLES = pg_catalog.pg_stat_user_tables 12161 'v' {
        relid Oid, schemaname Name, relname Name, seq_scan Int8, seq_tup_read Int8,
        idx_scan Int8, idx_tup_fetch Int8, n_tup_ins Int8, n_tup_upd Int8, n_tup_del Int8,
        n_tup_hot_upd Int8, n_live_tup Int8, n_dead_tup Int8, n_mod_since_analyze Int8,
        n_ins_since_vacuum Int8, last_vacuum Timestamptz, last_autovacuum Timestamptz,
        last_analyze Timestamptz, last_autoanalyze Timestamptz, vacuum_count Int8,
        autovacuum_count Int8, analyze_count Int8, autoanalyze_count Int8,
    } => Some(table_rows);
    PG_STAT_ALL_INDEXES = pg_catalog.pg_stat_all_indexes 12183 'v' {
        relid Oid, indexrelid Oid, schemaname Name, relname Name, indexrelname Name,
        idx_scan Int8, idx_tup_read Int8, idx_tup_fetch Int8,
    } => Some(index_rows);
    PG_STAT_USER_INDEXES = pg_catalog.pg_stat_user_indexes 12192 'v' {
        relid Oid, indexrelid Oid, schemaname Name, relname Name, indexrelname Name,
        idx_scan Int8, idx_tup_read Int8, idx_tup_fetch Int8,
    } => Some(index_rows);
    PG_STAT_DATABASE = pg_catalog.pg_stat_database 12266 'v' {
        datid Oid, datname Name, numbackends Int4, xact_commit Int8, xact_rollback Int8,
        blks_read Int8, blks_hit Int8, tup_returned Int8, tup_fetched Int8, tup_inserted Int8,
        tup_updated Int8, tup_deleted Int8, conflicts Int8, temp_files Int8, temp_bytes Int8,
        deadlocks Int8, checksum_failures Int8, checksum_last_failure Timestamptz,
        blk_read_time Float8, blk_write_time Float8, session_time Float8, active_time Float8,
        idle_in_transaction_time Float8, sessions Int8, sessions_abandoned Int8,
        sessions_fatal Int8, sessions_killed Int8, stats_reset Timestamptz,
    } => Some(database_rows);
}

fn count(n: u64) -> Datum {
    i64::try_from(n).unwrap_or(i64::MAX).into()
}

/// When it was last done; NULL if it never was.
fn last(done: &Maintained) -> Datum {
    match done.times {
        0 => NULL,
        _ => Datum::Timestamp(done.last),
    }
}

/// What was counted of the look-ups in a table's indexes.
fn of_indexes(ctx: &SystemContext, table: Oid) -> Option<Sums> {
    let mut indexes = ctx.catalog.indexes_of(table).peekable();
    indexes.peek()?;
    let mut sums = Sums::default();
    for index in indexes {
        if let Some(counters) = ctx.catalog.counted().known(Kind::Index, index.oid) {
            sums.add(&counters.sums());
        }
    }
    Some(sums)
}

fn table_rows(ctx: &SystemContext, rows: &mut Rows) -> Result<()> {
    for t in ctx.catalog.tables() {
        let known = ctx.catalog.counted().known(Kind::Table, t.oid);
        let counters = known.as_deref();
        let sums = counters.map(Counters::sums).unwrap_or_default();
        let by_index = of_indexes(ctx, t.oid);
        let live = ctx.session.estimated_rows(t.oid).map(|n| n as i64);
        let (analyzed, since_analyze) = counters.map(Counters::analyzed).unwrap_or_default();
        let (vacuumed, since_vacuum) = counters.map(Counters::vacuumed).unwrap_or_default();
        rows.push(row![
            t.oid,
            ctx.schema_name(t.schema),
            &t.name,
            count(sums.get(Count::Scans)),
            count(sums.get(Count::Read)),
            // A table without an index has none that could be scanned.
            by_index.map(|sums| sums.get(Count::Scans) as i64),
            by_index.map(|sums| sums.get(Count::Read) as i64),
            count(sums.get(Count::Inserted)),
            count(sums.get(Count::Updated)),
            count(sums.get(Count::Deleted)),
            // No version is in a table's pages that could be shared with the one before, or be dead.
            0i64,
            live,
            0i64,
            count(since_analyze.changed()),
            count(since_vacuum.get(Count::Inserted)),
            last(&vacuumed),
            NULL,
            last(&analyzed),
            NULL,
            count(vacuumed.times),
            0i64,
            count(analyzed.times),
            0i64,
        ])?;
    }
    Ok(())
}

fn index_rows(ctx: &SystemContext, rows: &mut Rows) -> Result<()> {
    for i in ctx.catalog.indexes() {
        let table: Option<String> = ctx.catalog.table(i.table).map(|t| t.name.clone());
        let known = ctx.catalog.counted().known(Kind::Index, i.oid);
        let sums = known.map(|counters| counters.sums()).unwrap_or_default();
        rows.push(row![
            i.table,
            i.oid,
            ctx.schema_name(i.schema),
            table,
            &i.name,
            count(sums.get(Count::Scans)),
            count(sums.get(Count::Read)),
            count(sums.get(Count::Read)),
        ])?;
    }
    Ok(())
}

fn database_rows(ctx: &SystemContext, rows: &mut Rows) -> Result<()> {
    let Some(viewer) = ctx.session.live() else {
        return Ok(());
    };
    let instance = &viewer.instance;
    let activity = instance.activity();
    let (begun, sessions) = activity.totals();
    let stats = instance.engine().stats();
    let monitor = instance.monitor();
    let from = *monitor.database.lock();
    let sessions = sessions.since(&from.sessions);
    let rows_of = monitor.relations.totals();
    let (tables, indexes) = (rows_of.tables, rows_of.indexes);
    let open = activity.sessions();
    let missed = stats.pages_missed.saturating_sub(from.pages_missed);
    let asked = stats.pages_read.saturating_sub(from.pages_read);
    let none = || count(0);
    let millis = |nanos: u64| Datum::Float(nanos as f64 / 1e6);
    rows.push(row![
        oid::DATABASE,
        &viewer.database,
        i32::try_from(open.len()).unwrap_or(i32::MAX),
        count(sessions.commits),
        count(sessions.rollbacks),
        count(missed),
        count(asked.saturating_sub(missed)),
        count(tables.get(Count::Read) + indexes.get(Count::Read)),
        count(indexes.get(Count::Read)),
        count(tables.get(Count::Inserted)),
        count(tables.get(Count::Updated)),
        count(tables.get(Count::Deleted)),
        none(),
        none(),
        none(),
        count(stats.deadlocks.saturating_sub(from.deadlocks)),
        NULL,
        NULL,
        Datum::Float(0.0),
        Datum::Float(0.0),
        Datum::Float(0.0),
        millis(sessions.nanos),
        Datum::Float(0.0),
        count(begun.saturating_sub(from.sessions_begun)),
        none(),
        none(),
        none(),
        from.reset.map_or(NULL, Datum::Timestamp),
    ])
}
