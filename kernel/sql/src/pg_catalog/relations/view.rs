//! The views of `pg_catalog` that put names in the place of oids, and the views of blocks.

use crate::catalog::model::oid;
use crate::error::Result;
use crate::pg_catalog::SystemContext;
use crate::pg_catalog::datum::Datum;
use crate::pg_catalog::definition;
use crate::pg_catalog::relation::{NULL, Rows, relations, row};

relations! {
    PG_TABLES = pg_catalog.pg_tables 12033 'v' {
        schemaname Name, tablename Name, tableowner Name, tablespace Name, hasindexes Bool,
        hasrules Bool, hastriggers Bool, rowsecurity Bool,
    } => Some(table_rows);
    PG_VIEWS = pg_catalog.pg_views 12028 'v' {
        schemaname Name, viewname Name, viewowner Name, definition Text,
    } => Some(view_rows);
    PG_INDEXES = pg_catalog.pg_indexes 12043 'v' {
        schemaname Name, tablename Name, indexname Name, tablespace Name, indexdef Text,
    } => Some(index_rows);
    PG_SEQUENCES = pg_catalog.pg_sequences 12048 'v' {
        schemaname Name, sequencename Name, sequenceowner Name, data_type Regtype,
        start_value Int8, min_value Int8, max_value Int8, increment_by Int8, cycle Bool,
        cache_size Int8, last_value Int8,
    } => Some(sequence_rows);
    PG_CURSORS = pg_catalog.pg_cursors 12077 'v' {
        name Text, statement Text, is_holdable Bool, is_binary Bool, is_scrollable Bool,
        creation_time Timestamptz,
    } => Some(cursor_rows);
    PG_SETTINGS = pg_catalog.pg_settings 12104 'v' {
        name Text, setting Text, unit Text, category Text, short_desc Text, extra_desc Text,
        context Text, vartype Text, source Text, min_val Text, max_val Text, enumvals TextArray,
        boot_val Text, reset_val Text, sourcefile Text, sourceline Int4, pending_restart Bool,
    } => Some(setting_rows);
    PG_STATIO_ALL_TABLES = pg_catalog.pg_statio_all_tables 12170 'v' {
        relid Oid, schemaname Name, relname Name, heap_blks_read Int8, heap_blks_hit Int8,
        idx_blks_read Int8, idx_blks_hit Int8, toast_blks_read Int8, toast_blks_hit Int8,
        tidx_blks_read Int8, tidx_blks_hit Int8,
    } => Some(table_blocks);
    PG_STATIO_USER_TABLES = pg_catalog.pg_statio_user_tables 12179 'v' {
        relid Oid, schemaname Name, relname Name, heap_blks_read Int8, heap_blks_hit Int8,
        idx_blks_read Int8, idx_blks_hit Int8, toast_blks_read Int8, toast_blks_hit Int8,
        tidx_blks_read Int8, tidx_blks_hit Int8,
    } => Some(table_blocks);
    PG_STATIO_ALL_INDEXES = pg_catalog.pg_statio_all_indexes 12196 'v' {
        relid Oid, indexrelid Oid, schemaname Name, relname Name, indexrelname Name,
        idx_blks_read Int8, idx_blks_hit Int8,
    } => Some(index_blocks);
    PG_STATIO_USER_INDEXES = pg_catalog.pg_statio_user_indexes 12205 'v' {
        relid Oid, indexrelid Oid, schemaname Name, relname Name, indexrelname Name,
        idx_blks_read Int8, idx_blks_hit Int8,
    } => Some(index_blocks);
    PG_STATIO_ALL_SEQUENCES = pg_catalog.pg_statio_all_sequences 12209 'v' {
        relid Oid, schemaname Name, relname Name, blks_read Int8, blks_hit Int8,
    } => Some(sequence_blocks);
    PG_STATIO_USER_SEQUENCES = pg_catalog.pg_statio_user_sequences 12218 'v' {
        relid Oid, schemaname Name, relname Name, blks_read Int8, blks_hit Int8,
    } => Some(sequence_blocks);
}

fn table_rows(ctx: &SystemContext, rows: &mut Rows) -> Result<()> {
    for t in ctx.catalog.tables() {
        let has_index = ctx.catalog.indexes_of(t.oid).next().is_some();
        let has_triggers = ctx.catalog.foreign_keys_to(t.oid).next().is_some()
            || ctx.catalog.constraints_of(t.oid).any(|c| c.code() == 'f');
        let (schema, owner) = (ctx.schema_name(t.schema), ctx.role_name(t.owner));
        rows.push(row![
            schema,
            &t.name,
            owner,
            NULL,
            has_index,
            false,
            has_triggers,
            false
        ])?;
    }
    let owner = ctx.role_name(oid::BOOTSTRAP_ROLE);
    for r in super::all().filter(|r| r.kind == 'r') {
        rows.push(row![
            r.schema,
            r.name,
            owner.clone(),
            NULL,
            false,
            false,
            false,
            false
        ])?;
    }
    Ok(())
}

fn view_rows(ctx: &SystemContext, rows: &mut Rows) -> Result<()> {
    for v in ctx.catalog.views() {
        let (schema, owner) = (ctx.schema_name(v.schema), ctx.role_name(v.owner));
        rows.push(row![
            schema,
            &v.name,
            owner,
            definition::view(ctx, v, false)
        ])?;
    }
    let owner = ctx.role_name(oid::BOOTSTRAP_ROLE);
    for r in super::all().filter(|r| r.kind == 'v') {
        // System views are computed, not queries.
        rows.push(row![r.schema, r.name, owner.clone(), NULL])?;
    }
    Ok(())
}

fn index_rows(ctx: &SystemContext, rows: &mut Rows) -> Result<()> {
    for i in ctx.catalog.indexes() {
        let table = ctx.catalog.table(i.table).map(|t| t.name.clone());
        let schema = ctx.schema_name(i.schema);
        rows.push(row![
            schema,
            table,
            &i.name,
            NULL,
            definition::index(ctx, i, false)
        ])?;
    }
    Ok(())
}

fn sequence_rows(ctx: &SystemContext, rows: &mut Rows) -> Result<()> {
    for s in ctx.catalog.sequences() {
        rows.push(row![
            ctx.schema_name(s.schema),
            &s.name,
            ctx.role_name(s.owner),
            s.type_oid,
            s.start,
            s.min,
            s.max,
            s.increment,
            s.cycle,
            s.cache,
            ctx.session.last_value(s.oid),
        ])?;
    }
    Ok(())
}

fn cursor_rows(ctx: &SystemContext, rows: &mut Rows) -> Result<()> {
    for c in ctx.session.cursors() {
        rows.push(row![
            &c.name,
            &c.statement,
            c.is_holdable,
            false,
            c.is_scrollable,
            Datum::Timestamp(c.created_micros),
        ])?;
    }
    Ok(())
}

fn setting_rows(ctx: &SystemContext, rows: &mut Rows) -> Result<()> {
    for s in ctx.session.settings() {
        let source = if s.value == s.default {
            "default"
        } else {
            "session"
        };
        rows.push(row![
            s.name,
            s.value,
            NULL,
            "Run-time Parameters",
            s.description,
            NULL,
            s.context,
            s.kind,
            source,
            NULL,
            NULL,
            NULL,
            s.default.clone(),
            s.default,
            NULL,
            NULL,
            false,
        ])?;
    }
    Ok(())
}

/// Of tables nobody counts which blocks were read from where: NULL.
fn table_blocks(ctx: &SystemContext, rows: &mut Rows) -> Result<()> {
    for t in ctx.catalog.tables() {
        let schema = ctx.schema_name(t.schema);
        let mut row: Vec<Datum> = vec![t.oid.into(), schema.into(), (&t.name).into()];
        row.resize(PG_STATIO_ALL_TABLES.columns.len(), NULL);
        rows.extend(row)?;
    }
    Ok(())
}

fn index_blocks(ctx: &SystemContext, rows: &mut Rows) -> Result<()> {
    for i in ctx.catalog.indexes() {
        let table: Option<String> = ctx.catalog.table(i.table).map(|t| t.name.clone());
        let schema = ctx.schema_name(i.schema);
        rows.push(row![i.table, i.oid, schema, table, &i.name, NULL, NULL])?;
    }
    Ok(())
}

fn sequence_blocks(ctx: &SystemContext, rows: &mut Rows) -> Result<()> {
    for s in ctx.catalog.sequences() {
        rows.push(row![s.oid, ctx.schema_name(s.schema), &s.name, NULL, NULL])?;
    }
    Ok(())
}
