//! The views on how storage keeps what it has. PostgreSQL has nothing like them.

use std::collections::{HashMap, HashSet};

use heliosdb_storage::codec::Encoding;
use heliosdb_storage::governor::Usage;
use heliosdb_storage::ids::{CollectionId, Ts};
use heliosdb_storage::schema::Retention;
use heliosdb_storage::segment::ColumnPages;
use heliosdb_storage::{HeldBy, Kept, PinKind, PinState};

use crate::catalog::model::{Column, Compression};
use crate::error::Result;
use crate::pg_catalog::SystemContext;
use crate::pg_catalog::datum::Datum;
use crate::pg_catalog::relation::{NULL, Rows, relations, row};
use crate::types::interval::Interval;

relations! {
    /// How the pages of each column in segments are stored: a row per column and codec, and one
    /// without a codec for a column that was given a method and has no pages yet. `method` is what
    /// the column's next pages are to be stored with, `reason` why those that are there have this codec.
    /// A table that was dropped or truncated since is
    /// known by its collection alone; its past may still be read.
    HELIOS_COMPRESSION_STATS = pg_catalog.helios_compression_stats 12900 'v' {
        schemaname Name, tablename Name, attname Name, collection Oid, attnum Int2, method Text,
        codec Text, pages Int8, raw_bytes Int8, stored_bytes Int8, ratio Float8, bits_per_value Float8,
        reason Text,
    } => Some(compression_rows);

    /// How far the log is archived; no row when it is not to be. What is archived is before `archived_lsn`
    /// and no newer than `last_commit`; `files_waiting` are full and not archived, and the log has all
    /// from `archived_lsn` to `log_lsn`. `last_error` is why it does not go on; it is tried again.
    HELIOS_ARCHIVE = pg_catalog.helios_archive 12912 'v' {
        archived_lsn Int8, log_lsn Int8, last_commit Timestamptz, last_file Text,
        last_archived Timestamptz, files_archived Int8, files_waiting Int8, failures Int8,
        last_error Text, last_failed Timestamptz,
    } => Some(archive_rows);

    /// How far history goes back (NULL: all the way), and what keeps it: `retention` when it is not past
    /// its time, `forever` when that never comes, a `snapshot` that a transaction reads, or the `clock`,
    /// which jumped. Then what there is in segments, and what merging them did since the server started.
    HELIOS_RETENTION = pg_catalog.helios_retention 12907 'v' {
        history_from Timestamptz, retention_seconds Int8, held_by Text, oldest_snapshot Timestamptz,
        segments Int8, bytes Int8, compactions Int8, bytes_read Int8, bytes_written Int8,
        versions_dropped Int8,
    } => Some(retention_rows);

    /// What is held of the past, and why: of the `database`, of each `table` with its indexes, and by each
    /// `point` (a pin), `cursor`, `snapshot` and `branch`. `history_from` and `scn` are the earliest time that can be
    /// read, or that is held (NULL: all that ever was). What keeps it is as in `helios_retention`, a pin or a
    /// cursor by its name. `status` is `expired` of a cursor that stood still for longer than `max_pin_age`:
    /// it holds nothing any more. `bytes` are those of superseded versions in segments.
    HELIOS_HISTORY = pg_catalog.helios_history 12908 'v' {
        kind Text, schemaname Name null, name Text null, history_from Timestamptz null, scn Int8 null,
        retention Text null, held_by Text null, owner Text null, reason Text null,
        created_at Timestamptz null, status Text, bytes Int8 null,
    } => Some(history_rows);

    /// What work in the background may use of the machine's CPU time, and has used since the server
    /// started: first all of it, then each share. `used_percent` is of the last ten seconds;
    /// `throttled_ms` is how long threads slept because the budget was used up, `over_ms` what went over
    /// it because of a debt. Work that somebody waits for is not background work.
    HELIOS_BACKGROUND_CPU = pg_catalog.helios_background_cpu 12920 'v' {
        share Text, cap_percent Int4, used_percent Float8, used_ms Int8, over_ms Int8,
        throttled_ms Int8, waiting Int4, in_debt Bool, enforced Bool,
    } => Some(background_cpu_rows);

    /// The budget of memory, first all of it, then what each part holds, held at its peak since the server
    /// started, and may hold now (NULL: others make room for it). `refused` is how often a query or a plugin was
    /// told that there is no more.
    HELIOS_MEMORY = pg_catalog.helios_memory 12921 'v' {
        part Text, bytes Int8, peak_bytes Int8, limit_bytes Int8 null, refused Int8,
    } => Some(memory_rows);
}

fn compression_rows(ctx: &SystemContext, rows: &mut Rows) -> Result<()> {
    let tables: HashMap<u32, _> = ctx.catalog.tables().map(|t| (t.collection, t)).collect();
    let mut seen = HashSet::new();
    for pages in ctx.session.column_pages() {
        seen.insert((pages.collection, pages.column));
        let table = tables.get(&pages.collection.0);
        let column = table.and_then(|t| t.column_at(pages.column.0));
        let attnum = pages.column.0.checked_add(1).map(i16::try_from);
        let (raw, stored) = (pages.raw_bytes, pages.stored_bytes);
        let ratio = (stored > 0).then(|| raw as f64 / stored as f64);
        let bits = (pages.values > 0).then(|| stored as f64 * 8.0 / pages.values as f64);
        rows.push(row![
            table.and_then(|t| ctx.schema_name(t.schema)),
            table.map(|t| t.name.clone()),
            column.map(|c| c.name.clone()),
            pages.collection.0,
            attnum.and_then(|n| n.ok()),
            column.map(|c| method(c).to_owned()),
            pages.encoding.name(),
            bytes(pages.pages),
            bytes(raw),
            bytes(stored),
            ratio.map_or(NULL, Datum::Float),
            bits.map_or(NULL, Datum::Float),
            reason(column.map(method), &pages)
        ])?;
    }
    for table in ctx.catalog.tables() {
        for (id, column) in table.live_columns() {
            if column.compression.is_none() || seen.contains(&(table.collection_id(), id)) {
                continue;
            }
            rows.push(row![
                ctx.schema_name(table.schema),
                &table.name,
                &column.name,
                table.collection,
                i16::try_from(id.0 + 1).ok(),
                method(column),
                NULL,
                0i64,
                0i64,
                0i64,
                NULL,
                NULL,
                NULL
            ])?;
        }
    }
    Ok(())
}

/// Why pages have their codec, as far as that can be told: the column may have asked for another since.
fn reason(method: Option<&str>, pages: &ColumnPages) -> String {
    let name = pages.encoding.name();
    let asked = method.filter(|method| *method != "default");
    if asked == Some(name) {
        return "the column asks for it".to_owned();
    }
    let alone = match (&pages.rival, &pages.encoding) {
        (_, Encoding::Codec(_)) => "the column asked for it".to_owned(),
        (_, Encoding::Plain) => "nothing saves an eighth".to_owned(),
        (None, _) => "it saves an eighth".to_owned(),
        (Some(rival), _) => {
            let (with, without) = (rival.stored_bytes, rival.bytes);
            let saved = without.saturating_sub(with) * 100 / without.max(1);
            match rival.encoding.name() {
                other if saved > 0 => format!("{saved} % shorter than {other}"),
                other => format!("about as short as {other}, and read faster"),
            }
        }
    };
    match asked {
        Some(asked) if !matches!(pages.encoding, Encoding::Codec(_)) => {
            format!("{alone}; {asked} saves too little, or was not asked for then")
        }
        _ => alone,
    }
}

fn held_by(held: &HeldBy) -> String {
    match held {
        HeldBy::Forever => "forever".to_owned(),
        HeldBy::Retention => "retention".to_owned(),
        HeldBy::Snapshot => "snapshot".to_owned(),
        HeldBy::Branch => "branch".to_owned(),
        HeldBy::Named(name) => format!("pin \"{name}\""),
        HeldBy::Clock => "clock".to_owned(),
    }
}

/// A retention as it is written down.
fn shown(retention: Option<Retention>) -> Datum {
    match retention {
        None => NULL,
        Some(Retention::Forever) => Datum::text("forever"),
        Some(Retention::Micros(micros)) => {
            let mut text = String::new();
            let span = Interval {
                micros: bytes(micros),
                ..Interval::default()
            };
            span.justify_hours().unwrap_or(span).write(&mut text);
            Datum::text(text)
        }
    }
}

/// NULL when it is the beginning of all.
fn since(ts: Ts) -> [Datum; 2] {
    match ts {
        Ts::ZERO => [NULL, NULL],
        ts => [Datum::Timestamp(bytes(ts.0)), bytes(ts.0).into()],
    }
}

fn counted(count: usize, what: &str, plural: &str) -> String {
    let plural = if count == 1 { "" } else { plural };
    format!("{count} {what}{plural}")
}

fn history_rows(ctx: &SystemContext, rows: &mut Rows) -> Result<()> {
    let remembered = ctx.session.remembered()?;
    let mut kept = |kind: &str, schema: Datum, name: &str, kept: &Kept, bytes_held: u64| {
        let [from, scn] = since(kept.since);
        rows.push(row![
            kind.to_owned(),
            schema,
            name.to_owned(),
            from,
            scn,
            shown(kept.retention),
            held_by(&kept.held_by),
            NULL,
            NULL,
            NULL,
            "ok",
            bytes(bytes_held)
        ])
    };
    let database = &remembered.database;
    kept(
        "database",
        NULL,
        &ctx.session.database(),
        database,
        database.bytes,
    )?;
    for table in ctx.catalog.tables() {
        let Some(own) = remembered.collections.get(&table.collection_id()) else {
            continue;
        };
        let indexes = ctx.catalog.indexes_of(table.oid);
        let indexes = indexes.map(|index| CollectionId(index.collection));
        let indexes = indexes.filter_map(|id| remembered.collections.get(&id));
        let held = own.bytes + indexes.map(|kept| kept.bytes).sum::<u64>();
        let schema = ctx.catalog.schema(table.schema);
        let schema = schema.map_or(NULL, |schema| Datum::text(schema.name.clone()));
        kept("table", schema, &table.name, own, held)?;
    }
    for PinState { pin, expired } in remembered.pins {
        let [from, scn] = since(pin.ts);
        rows.push(row![
            match pin.kind {
                PinKind::Point => "point",
                PinKind::Cursor => "cursor",
            },
            NULL,
            pin.name,
            from,
            scn,
            NULL,
            NULL,
            pin.owner,
            Some(pin.reason).filter(|reason| !reason.is_empty()),
            Datum::Timestamp(bytes(pin.created_micros)),
            if expired { "expired" } else { "ok" },
            NULL
        ])?;
    }
    let snapshots = remembered.snapshots.into_iter();
    let snapshots = snapshots.map(|(ts, n)| ("snapshot", ts, counted(n, "transaction", "s")));
    let branches = remembered.branches.into_iter();
    let branches = branches.map(|(ts, n)| ("branch", ts, counted(n, "branch", "es")));
    for (kind, ts, who) in snapshots.chain(branches) {
        let [from, scn] = since(ts);
        rows.push(row![
            kind, NULL, NULL, from, scn, NULL, NULL, NULL, who, NULL, "ok", NULL
        ])?;
    }
    Ok(())
}

fn retention_rows(ctx: &SystemContext, rows: &mut Rows) -> Result<()> {
    let stats = ctx.session.storage_stats();
    let (horizon, compacted) = (stats.horizon, stats.compacted);
    let time = |ts: Ts| Datum::Timestamp(bytes(ts.0));
    rows.push(row![
        Some(horizon.oldest_ts)
            .filter(|ts| *ts > Ts::ZERO)
            .map_or(NULL, time),
        horizon
            .retention_micros
            .map(|micros| bytes(micros / 1_000_000)),
        match horizon.held_by {
            HeldBy::Forever => "forever",
            HeldBy::Retention => "retention",
            HeldBy::Snapshot => "snapshot",
            HeldBy::Named(_) => "pin",
            HeldBy::Branch => "branch",
            HeldBy::Clock => "clock",
        },
        horizon.oldest_snapshot.map_or(NULL, time),
        bytes(stats.segments as u64),
        bytes(stats.segment_bytes),
        bytes(compacted.compactions),
        bytes(compacted.bytes_in),
        bytes(compacted.bytes_out),
        bytes(compacted.versions_dropped)
    ])
}

fn background_cpu_rows(ctx: &SystemContext, rows: &mut Rows) -> Result<()> {
    let report = ctx.session.background_cpu();
    let total = report
        .shares
        .iter()
        .fold(Usage::default(), |all, (_, usage)| Usage {
            used_micros: all.used_micros + usage.used_micros,
            over_micros: all.over_micros + usage.over_micros,
            throttled_micros: all.throttled_micros + usage.throttled_micros,
            recent_micros: all.recent_micros + usage.recent_micros,
            waiting: all.waiting + usage.waiting,
            in_debt: all.in_debt || usage.in_debt,
        });
    let shares = report.shares.iter().map(|(share, usage)| {
        let own = report.caps.of(*share);
        (share.name(), own, *usage)
    });
    for (name, own, usage) in std::iter::once(("total", None, total)).chain(shares) {
        let all = report.caps.max_cpu_background;
        let cap = own.map_or(all, |own| own.min(all));
        rows.push(row![
            name,
            i32::try_from(cap).ok(),
            Datum::Float(report.percent(usage.recent_micros)),
            bytes(usage.used_micros / 1_000),
            bytes(usage.over_micros / 1_000),
            bytes(usage.throttled_micros / 1_000),
            i32::try_from(usage.waiting).ok(),
            usage.in_debt,
            report.caps.enforced
        ])?;
    }
    Ok(())
}

fn memory_rows(ctx: &SystemContext, rows: &mut Rows) -> Result<()> {
    let usage = ctx.session.memory();
    let size = |bytes: usize| i64::try_from(bytes).ok();
    let refused = usage.parts.iter().map(|part| part.refused).sum();
    rows.push(row![
        "total",
        size(usage.bytes),
        size(usage.peak_bytes),
        size(usage.budget_bytes),
        size(refused)
    ])?;
    for part in &usage.parts {
        rows.push(row![
            part.part.name(),
            size(part.bytes),
            size(part.peak_bytes),
            part.limit_bytes.and_then(size),
            size(part.refused)
        ])?;
    }
    Ok(())
}

fn archive_rows(ctx: &SystemContext, rows: &mut Rows) -> Result<()> {
    let Some(archive) = ctx.session.storage_stats().archive else {
        return Ok(());
    };
    let time = |micros: u64| match micros {
        0 => NULL,
        micros => Datum::Timestamp(bytes(micros)),
    };
    rows.push(row![
        bytes(archive.archived.0),
        bytes(archive.log_end.0),
        time(archive.last_ts.0),
        archive.last_file,
        time(archive.last_micros),
        bytes(archive.files_archived),
        bytes(archive.files_waiting),
        bytes(archive.failures),
        archive.error,
        time(archive.failed_micros)
    ])
}

fn method(column: &Column) -> &str {
    column
        .compression
        .as_ref()
        .map_or("default", Compression::method)
}

/// Files and time end long before the range of `bigint` does.
fn bytes(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}
