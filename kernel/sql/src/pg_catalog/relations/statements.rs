//! What statements cost: `pg_stat_statements`, as version 1.10 of PostgreSQL's extension has it.

use crate::catalog::model::oid;
use crate::error::Result;
use crate::monitor::statements::Times;
use crate::pg_catalog::SystemContext;
use crate::pg_catalog::datum::Datum;
use crate::pg_catalog::relation::{NULL, Rows, relations, row};

relations! {
    PG_STAT_STATEMENTS = pg_catalog.pg_stat_statements 12930 'v' {
        userid Oid, dbid Oid, toplevel Bool, queryid Int8, query Text, plans Int8,
        total_plan_time Float8, min_plan_time Float8, max_plan_time Float8,
        mean_plan_time Float8, stddev_plan_time Float8, calls Int8, total_exec_time Float8,
        min_exec_time Float8, max_exec_time Float8, mean_exec_time Float8,
        stddev_exec_time Float8, rows Int8, shared_blks_hit Int8, shared_blks_read Int8,
        shared_blks_dirtied Int8, shared_blks_written Int8, local_blks_hit Int8,
        local_blks_read Int8, local_blks_dirtied Int8, local_blks_written Int8,
        temp_blks_read Int8, temp_blks_written Int8, blk_read_time Float8,
        blk_write_time Float8, temp_blk_read_time Float8, temp_blk_write_time Float8,
        wal_records Int8, wal_fpi Int8, wal_bytes Numeric, jit_functions Int8,
        jit_generation_time Float8, jit_inlining_count Int8, jit_inlining_time Float8,
        jit_optimization_count Int8, jit_optimization_time Float8, jit_emission_count Int8,
        jit_emission_time Float8,
    } => Some(statement_rows);
    PG_STAT_STATEMENTS_INFO = pg_catalog.pg_stat_statements_info 12931 'v' {
        dealloc Int8, stats_reset Timestamptz,
    } => Some(info_rows);
}

/// What roles see of the statements of others.
const HIDDEN: &str = "<insufficient privilege>";

fn count(n: u64) -> Datum {
    i64::try_from(n).unwrap_or(i64::MAX).into()
}

/// Milliseconds.
fn times(times: &Times) -> [Datum; 5] {
    let millis = |nanos: f64| Datum::Float(nanos / 1e6);
    [
        millis(times.total as f64),
        millis(times.min as f64),
        millis(times.max as f64),
        millis(times.mean()),
        millis(times.deviation()),
    ]
}

fn statement_rows(ctx: &SystemContext, rows: &mut Rows) -> Result<()> {
    let Some(viewer) = ctx.session.live() else {
        return Ok(());
    };
    let role = viewer.role();
    for counted in viewer.instance.monitor().statements.all() {
        let [id, text]: [Datum; 2] = match role.superuser || role.oid == counted.user {
            true => row![counted.id, counted.text.to_string()],
            false => row![NULL, HIDDEN],
        };
        let sums = &counted.sums;
        let mut values: Vec<Datum> = vec![counted.user.into(), oid::DATABASE.into(), true.into()];
        values.extend([id, text, count(sums.plans.count)]);
        values.extend(times(&sums.plans));
        values.push(count(sums.runs.count));
        values.extend(times(&sums.runs));
        values.extend([sums.rows, sums.pages.hit, sums.pages.read].map(count));
        // What is written and logged is of no statement here, and nothing is compiled while it runs.
        let unknown = &PG_STAT_STATEMENTS.columns[values.len()..];
        values.extend(unknown.iter().map(|column| match column.name {
            "wal_bytes" => Datum::text("0"),
            name if name.ends_with("_time") => Datum::Float(0.0),
            _ => Datum::Int(0),
        }));
        rows.extend(values)?;
    }
    Ok(())
}

fn info_rows(ctx: &SystemContext, rows: &mut Rows) -> Result<()> {
    let Some(viewer) = ctx.session.live() else {
        return Ok(());
    };
    let (removals, reset) = viewer.instance.monitor().statements.info();
    rows.push(row![count(removals), Datum::Timestamp(reset)])
}
