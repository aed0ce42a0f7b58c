//! A database in words. They are of the values alone, so that what changes in the code does not change them;
//! types and values are called what [`ColumnType`] and [`Datum`] call them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::ops::Bound;
use std::sync::Arc;

use arrow_array::{Array, UInt64Array};
use heliosdb_storage::catalog::{CATALOG, FIRST_COLLECTION, decode_table, table_of};
use heliosdb_storage::datum::Datum;
use heliosdb_storage::history::named::{NamedPin, pins_of};
use heliosdb_storage::ids::{CollectionId, ColumnId, TimelineId, Ts};
use heliosdb_storage::schema::{ColumnType, Retention, TableDef};
use heliosdb_storage::{Engine, Error, ReadView, Result, ScanRequest};

use super::hash;

/// Longer values are told by their length, their beginning and a hash.
const BYTES_MAX: usize = 40;

/// Everything that an engine says of its state and history: of each timeline, at each of the times that its
/// indexes, stores, pins and definitions of tables have versions of, what went and what came since the time
/// before, of the parent at the fork.
pub fn describe(engine: &Engine) -> Result<String> {
    let mut out = String::new();
    let mut timelines = engine.timelines();
    timelines.sort_by_key(|timeline| timeline.id);
    let mut known: BTreeMap<(TimelineId, Ts), BTreeSet<String>> = BTreeMap::new();
    for timeline in &timelines {
        let newest = engine.latest_view_on(timeline.id)?;
        let base = timeline.base.map(|(parent, fork)| (parent.0, fork.0));
        let _ = writeln!(
            out,
            "timeline {} {}: (parent, fork) {base:?}",
            timeline.id.0, timeline.name
        );
        for (id, ..) in engine.sequences() {
            let state = engine.sequence_state_on(timeline.id, id);
            let _ = writeln!(out, "  sequence {id}: (value, is called) {state:?}");
        }
        let mut collections: Vec<CollectionId> = (0..2).map(CollectionId).collect();
        let next = engine.next_collection();
        collections.extend((FIRST_COLLECTION.0..next.0).map(CollectionId));
        let tables: Vec<CollectionId> = newest.tables_ever()?.iter().map(|t| t.def.id).collect();
        collections.retain(|id| !tables.contains(id));
        let mut times = vec![newest.ts()];
        for id in &collections {
            for version in newest.versions(*id)? {
                times.push(version?.begin);
            }
        }
        let mut last = BTreeSet::new();
        if let Some((parent, fork)) = timeline.base {
            times.retain(|ts| *ts > fork);
            times.push(fork);
            let of_parent = known.range((parent, Ts::ZERO)..=(parent, fork));
            last = of_parent
                .last()
                .map(|(_, lines)| lines.clone())
                .unwrap_or_default();
        }
        times.sort_unstable();
        times.dedup();
        for ts in times {
            let view = match engine.view_at_on(timeline.id, ts) {
                Ok(view) => view,
                Err(Error::SnapshotTooOld { oldest, .. }) => {
                    let _ = writeln!(out, "  at {ts}: history begins at {oldest}");
                    continue;
                }
                Err(e) => return Err(e),
            };
            let mut lines = Vec::new();
            state(&mut lines, &view, &collections)?;
            let now: BTreeSet<String> = lines.into_iter().collect();
            let _ = writeln!(
                out,
                "  at {ts}: {} lines, {:016x}",
                now.len(),
                hash_of(&now)
            );
            for line in last.difference(&now) {
                let _ = writeln!(out, "  - {line}");
            }
            for line in now.difference(&last) {
                let _ = writeln!(out, "  + {line}");
            }
            last = now.clone();
            known.insert((timeline.id, ts), now);
        }
    }
    Ok(out)
}

/// A description without what went and came: the hash of each state stands for that.
pub fn outline(description: &str) -> String {
    let lines = description.lines();
    let kept = lines.filter(|line| !line.starts_with("  - ") && !line.starts_with("  + "));
    kept.flat_map(|line| [line, "\n"]).collect()
}

fn hash_of(lines: &BTreeSet<String>) -> u64 {
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    hash(lines.join("\n").as_bytes())
}

fn state(out: &mut Vec<String>, view: &ReadView, collections: &[CollectionId]) -> Result<()> {
    for pin in pins_of(view)? {
        let NamedPin {
            name,
            kind,
            ts,
            created_micros,
            owner,
            reason,
        } = pin;
        out.push(format!(
            "{kind:?} {name} at {ts} of {owner}, made at {created_micros}: {reason}"
        ));
    }
    let all = (Bound::Unbounded, Bound::Unbounded);
    for entry in view.range(CATALOG, all.0, all.1)? {
        let (key, value) = entry?;
        table(out, view, Arc::new(decode_table(table_of(&key)?, &value)?))?;
    }
    for id in collections.iter().filter(|id| id.0 > 1) {
        for entry in view.range(*id, all.0, all.1)? {
            let (key, value) = entry?;
            out.push(format!("{id} {} = {}", bytes(&key), bytes(&value)));
        }
    }
    Ok(())
}

fn table(out: &mut Vec<String>, view: &ReadView, def: Arc<TableDef>) -> Result<()> {
    let retention = match def.retention {
        None => "the database's".to_owned(),
        Some(Retention::Forever) => "for ever".to_owned(),
        Some(Retention::Micros(micros)) => format!("{micros} µs"),
    };
    let id = def.id;
    out.push(format!("table {id}: retention {retention}"));
    for (number, column) in def.columns.iter().enumerate() {
        let missing = column.missing.as_deref().map(hex);
        let (missing, codec) = (missing.as_deref(), column.compression.as_deref());
        out.push(format!(
            "table {id}: column {number}: {:?}, dropped {}, missing {missing:?}, codec {codec:?}",
            column.ty, column.dropped
        ));
    }
    for (number, computed) in def.computed.iter().enumerate() {
        let inputs: Vec<u16> = computed.inputs.iter().map(|input| input.0).collect();
        let condition = computed.condition.map(|condition| condition.0);
        out.push(format!(
            "table {id}: computed {number}: {:?} {} of {inputs:?}, condition {condition:?}",
            computed.ty, computed.expression
        ));
    }
    for index in &def.indexes {
        let columns = index.columns.iter();
        let columns: Vec<_> = columns
            .map(|key| (key.column.0, key.descending, key.nulls_first))
            .collect();
        let predicate = index.predicate.map(|predicate| predicate.0);
        out.push(format!("table {id}: index {}: unique {}, (column, descending, NULLs first) {columns:?}, predicate {predicate:?}",
                index.id, index.unique
            ),
        );
    }
    let live = (0..def.columns.len()).filter(|column| !def.columns[*column].dropped);
    let live: Vec<ColumnId> = live.map(|column| ColumnId(column as u16)).collect();
    let request = ScanRequest {
        row_id: true,
        ..ScanRequest::columns(live.clone())
    };
    let mut rows = Vec::new();
    for part in view.scan(Arc::clone(&def), request)? {
        for batch in part {
            let batch = batch?;
            let Some((ids, columns)) = batch.columns().split_last() else {
                continue;
            };
            let ids: Option<&UInt64Array> = ids.as_any().downcast_ref();
            let ids = ids.ok_or_else(|| Error::invalid("RowIds of another type"))?;
            for row in 0..batch.num_rows() {
                let mut text = String::new();
                for (column, array) in live.iter().zip(columns) {
                    let ty = &def.columns[usize::from(column.0)].ty;
                    let _ = write!(text, " | {}", value(ty, array.as_ref(), row)?);
                }
                rows.push((ids.value(row), text));
            }
        }
    }
    rows.sort();
    for (row, text) in rows {
        out.push(format!("table {id}: row {row}{text}"));
    }
    Ok(())
}

/// A value, so that two that are not the same to the bit are not the same here.
fn value(ty: &ColumnType, array: &dyn Array, row: usize) -> Result<String> {
    let datum = Datum::from_array(array, row)?;
    Ok(match (&datum, ty) {
        (Datum::Null, _) => "NULL".to_owned(),
        (Datum::Float32(v), _) => format!("{v} {:08x}", v.to_bits()),
        (Datum::Float64(v), _) => format!("{v} {:016x}", v.to_bits()),
        (Datum::Bytes(v), ColumnType::Text | ColumnType::Json | ColumnType::Jsonb) => bytes(v),
        (Datum::Bytes(v), _) => hex(v),
        (other, _) => format!("{other:?}"),
    })
}

fn bytes(value: &[u8]) -> String {
    match value.len() {
        0..=BYTES_MAX => format!("\"{}\"", value.escape_ascii()),
        len => format!(
            "\"{}\"… {len} bytes {:016x}",
            value[..BYTES_MAX].escape_ascii(),
            hash(value)
        ),
    }
}

fn hex(value: &[u8]) -> String {
    let mut text = String::from("0x");
    for byte in value.iter().take(BYTES_MAX) {
        let _ = write!(text, "{byte:02x}");
    }
    if value.len() > BYTES_MAX {
        let _ = write!(text, "… {} bytes {:016x}", value.len(), hash(value));
    }
    text
}
