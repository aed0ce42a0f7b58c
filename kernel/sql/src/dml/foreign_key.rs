//! Foreign keys: a written row must find its parent, and a changed parent must not lose its children.
//!
//! Whoever writes a child locks the parent's *key* FOR KEY SHARE in the parent's unique index and then
//! looks at the latest version; whoever deletes a parent or changes its key holds that key FOR UPDATE
//! (storage does this). So one of the two always sees the other, and a parent may be updated freely in
//! its other columns. Each distinct key is looked up once per statement, or, of very many rows, once per batch
//! and in their order ([`first_violation`]).

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, UInt64Array};
use arrow::record_batch::RecordBatch;
use heliosdb_storage::datum::Datum;
use heliosdb_storage::ids::{ColumnId, RowId};
use heliosdb_storage::key::encode_key;
use heliosdb_storage::schema::{ColumnType, KeyColumn};
use heliosdb_storage::{
    IndexRange, LockWait, ReadView, RowLock, RowLockMode, ScanRequest, TableLockMode,
};

use super::target::{ForeignKeyTarget, WriteTarget};
use super::write::{Writer, key_text};
use crate::catalog::meta::TableMeta;
use crate::catalog::model::ReferentialAction;
use crate::error::{Result, SqlError, state};
use crate::session::Session;
use crate::session::planning::LazyState;
use crate::types::{CastContext, Format, PgType, cast_array, extension};

/// Found keys are forgotten past this, so that memory stays bounded.
const FOUND_MAX: usize = 1 << 20;

/// A key as the parent's index has it, and in the order of its columns.
type EncodedKey = (Box<[u8]>, Vec<Datum>);

/// A key to which rows of the child refer, and that no row of the parent has.
#[derive(Clone)]
pub(crate) struct Orphan {
    pub change: Change,
    /// As the parent's index has it, and in the order of its columns.
    pub encoded: Box<[u8]>,
    key: Vec<Datum>,
}

/// Which table's change made an orphan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Change {
    Child,
    Parent,
}

/// A check that waits for the end of the statement.
pub(crate) struct PendingCheck {
    fk: ForeignKeyTarget,
    /// In the order of the parent's index.
    key: Vec<Datum>,
}

/// Children of a changed parent, to be looked at when the statement has changed all it will.
pub(crate) struct PendingAction {
    fk: ForeignKeyTarget,
    action: ReferentialAction,
    /// Old keys, in the order of the foreign key's columns.
    old: Vec<Vec<Datum>>,
    /// For ON UPDATE: the new key of each.
    new: Option<Vec<Vec<Datum>>>,
}

/// The child's columns of a foreign key, as values of the parent's columns.
pub(super) fn key_columns(
    writer: &Writer,
    fk: &ForeignKeyTarget,
    batch: &RecordBatch,
) -> Result<Vec<ArrayRef>> {
    fk.key
        .columns
        .iter()
        .zip(&fk.key.referenced_columns)
        .map(|(child, parent)| {
            let lost = || SqlError::internal("a foreign key names a dropped column");
            let at = fk.child.position(ColumnId(*child)).ok_or_else(lost)?;
            let to = fk.parent.position(ColumnId(*parent)).ok_or_else(lost)?;
            let (from, to) = (&fk.child.columns[at], &fk.parent.columns[to]);
            let array = batch.column(at);
            let wanted = to.ty.arrow_typmod(to.typmod);
            if *array.data_type() == wanted {
                return Ok(array.clone());
            }
            let values = as_parent(array, (&from.ty, &to.ty), to.typmod, &writer.format)?;
            let lost = (0..array.len()).filter(|row| values.is_null(*row) && array.is_valid(*row));
            for row in lost {
                match has_null(fk, batch, row) {
                    false => return Err(beyond_parent(writer, fk, batch, row)),
                    true if fk.key.full_match => return Err(mixed_key(fk)),
                    true => {}
                }
            }
            Ok(values)
        })
        .collect()
}

/// Values of a child's column as the parent's has them; NULL for what is beyond that one's type.
fn as_parent(
    array: &ArrayRef,
    (from, to): (&PgType, &PgType),
    typmod: i32,
    format: &Format,
) -> Result<ArrayRef> {
    match from.is_integer() && to.is_integer() {
        true => Ok(arrow::compute::cast(array, &to.arrow_typmod(typmod))?),
        false => cast_array(array, from, to, typmod, CastContext::Implicit, format),
    }
}

fn has_null(fk: &ForeignKeyTarget, batch: &RecordBatch, row: usize) -> bool {
    let places = fk.key.columns.iter();
    let mut places = places.filter_map(|c| fk.child.position(ColumnId(*c)));
    places.any(|at| batch.column(at).is_null(row))
}

/// What is said of a row whose key the parent cannot have.
fn beyond_parent(
    writer: &Writer,
    fk: &ForeignKeyTarget,
    batch: &RecordBatch,
    row: usize,
) -> SqlError {
    let columns = fk.key.columns.iter();
    let values = columns.filter_map(|c| {
        let array = batch.column(fk.child.position(ColumnId(*c))?);
        Datum::from_array(extension::unwrapped(array).as_ref(), row).ok()
    });
    let values: Vec<Datum> = values.collect();
    not_present(
        fk,
        &key_text(&fk.child, &fk.key.columns, &values, &writer.format),
    )
}

fn index_types(meta: &TableMeta, place: usize) -> Vec<ColumnType> {
    let index = &meta.storage.indexes[place];
    index
        .columns
        .iter()
        .map(|c| meta.storage.columns[usize::from(c.column.0)].ty.clone())
        .collect()
}

/// Checks that every row of a batch of the child has its parent.
pub(crate) fn check_rows(
    writer: &mut Writer,
    session: &mut Session,
    fk: &ForeignKeyTarget,
    batch: &RecordBatch,
) -> Result<()> {
    let columns = key_columns(writer, fk, batch)?;
    let later = fk.is_self_reference() || writer.has_parts();
    let mut seen: HashSet<Box<[u8]>> = writer.found.remove(&fk.constraint.oid).unwrap_or_default();
    if seen.len() > FOUND_MAX {
        seen.clear();
    }
    for (encoded, key) in new_keys(fk, &columns, &mut seen)? {
        if later {
            writer.checks.push(PendingCheck {
                fk: fk.clone(),
                key,
            });
        } else {
            require_parent(writer, session, fk, encoded, key)?;
        }
    }
    // What a self-reference found may be changed by the same statement: it is checked at the end.
    if !later {
        writer.found.insert(fk.constraint.oid, seen);
    }
    Ok(())
}

/// The keys among the [`key_columns`] of a foreign key that were not seen before, in the order of the parent's
/// index, as it has them and as they are.
fn new_keys(
    fk: &ForeignKeyTarget,
    columns: &[ArrayRef],
    seen: &mut HashSet<Box<[u8]>>,
) -> Result<Vec<EncodedKey>> {
    let index = &fk.parent.storage.indexes[fk.index_place];
    let types = index_types(&fk.parent, fk.index_place);
    let mut keys = Vec::new();
    for row in 0..columns.first().map_or(0, |column| column.len()) {
        let nulls = columns.iter().filter(|c| c.is_null(row)).count();
        if nulls > 0 {
            if fk.key.full_match && nulls < columns.len() {
                return Err(mixed_key(fk));
            }
            continue;
        }
        let key: Vec<Datum> = fk
            .order
            .iter()
            .map(|at| Datum::from_array(extension::unwrapped(&columns[*at]).as_ref(), row))
            .collect::<heliosdb_storage::Result<_>>()?;
        let encoded = encode_key(&key, &index.columns, &types)?.into_boxed_slice();
        if !seen.contains(&encoded) {
            seen.insert(encoded.clone());
            keys.push((encoded, key));
        }
    }
    Ok(keys)
}

/// Of rows of the child, given as the [`key_columns`] of a foreign key, the first that has no parent, and
/// what is to be said of it. All of them are looked up at once. Those that may wait do.
pub(super) fn first_violation(
    writer: &Writer,
    session: &mut Session,
    fk: &ForeignKeyTarget,
    columns: &[ArrayRef],
) -> Result<Option<(usize, SqlError)>> {
    let rows = columns.first().map_or(0, |column| column.len());
    let mixed = (0..rows).find(|row| {
        let nulls = columns.iter().filter(|c| c.is_null(*row)).count();
        fk.key.full_match && nulls > 0 && nulls < columns.len()
    });
    let index = &fk.parent.storage.indexes[fk.index_place];
    let ordered = fk
        .order
        .iter()
        .map(|at| extension::unwrapped(&columns[*at]));
    let ordered: Vec<ArrayRef> = ordered.collect();
    if writer.waits(session, fk) {
        for (encoded, key) in new_keys(fk, columns, &mut HashSet::new())? {
            require_parent(writer, session, fk, encoded, key)?;
        }
        return Ok(mixed.map(|mixed| (mixed, mixed_key(fk))));
    }
    let wait = session.lock_wait();
    let transaction = session.transaction()?;
    let missing = transaction.first_without_parent(&fk.parent.storage, index, &ordered, wait)?;
    if let Some(mixed) = mixed.filter(|mixed| missing.is_none_or(|missing| *mixed < missing)) {
        return Ok(Some((mixed, mixed_key(fk))));
    }
    let Some(row) = missing else {
        return Ok(None);
    };
    let key = ordered.iter().map(|c| Datum::from_array(c.as_ref(), row));
    let key = key.collect::<heliosdb_storage::Result<Vec<_>>>()?;
    Ok(Some((row, no_parent(&writer.format, fk, &key))))
}

fn mixed_key(fk: &ForeignKeyTarget) -> SqlError {
    violation_words(fk, "insert or update on")
        .with_detail("MATCH FULL does not allow mixing of null and nonnull key values.")
}

/// What is said of a key, in the order of the parent's index, that the parent does not have.
fn no_parent(format: &Format, fk: &ForeignKeyTarget, key: &[Datum]) -> SqlError {
    let key = unordered(fk, key);
    let referenced = &fk.key.referenced_columns;
    not_present(fk, &key_text(&fk.parent, referenced, &key, format))
}

fn not_present(fk: &ForeignKeyTarget, key: &str) -> SqlError {
    violation_words(fk, "insert or update on").with_detail(format!(
        "Key ({})=({key}) is not present in table \"{}\".",
        fk.child.names(&fk.key.columns),
        fk.parent.table.name
    ))
}

pub(crate) fn run_check(
    writer: &mut Writer,
    session: &mut Session,
    check: PendingCheck,
) -> Result<()> {
    let PendingCheck { fk, key } = check;
    let index = &fk.parent.storage.indexes[fk.index_place];
    let types = index_types(&fk.parent, fk.index_place);
    let encoded = encode_key(&key, &index.columns, &types)?.into_boxed_slice();
    let may_be_gone = fk.is_self_reference() || writer.has_parts();
    if may_be_gone && !child_has_key(session, &fk, &key)? {
        // The row that needed the parent was deleted or changed later in the statement.
        return Ok(());
    }
    require_parent(writer, session, &fk, encoded, key)
}

fn child_has_key(session: &mut Session, fk: &ForeignKeyTarget, key: &[Datum]) -> Result<bool> {
    let view = session.transaction()?.latest_view();
    let wanted = vec![unordered(fk, key)];
    Ok(!children(&view, fk, &wanted)?.is_empty())
}

/// A key in the order of the index, put into the order of the foreign key's columns.
fn unordered(fk: &ForeignKeyTarget, key: &[Datum]) -> Vec<Datum> {
    let mut out = vec![Datum::Null; key.len()];
    for (value, at) in key.iter().zip(&fk.order) {
        out[*at] = value.clone();
    }
    out
}

/// Finds the parent of a key, or keeps the key for the end of the transaction, where it may wait. Then
/// nothing is locked but a parent that is there: somebody else may be about to write it.
fn require_parent(
    writer: &Writer,
    session: &mut Session,
    fk: &ForeignKeyTarget,
    encoded: Box<[u8]>,
    key: Vec<Datum>,
) -> Result<()> {
    if !writer.waits(session, fk) {
        let wait = session.lock_wait();
        return match has_parent(session, fk, &encoded, &key, wait)? {
            true => Ok(()),
            false => Err(no_parent(&writer.format, fk, &key)),
        };
    }
    if is_in_parent(session, fk, &key)? {
        match has_parent(session, fk, &encoded, &key, LockWait::NoWait) {
            Ok(true) => return Ok(()),
            Err(e) if e.code != state::LOCK_NOT_AVAILABLE => return Err(e),
            Ok(false) | Err(_) => {}
        }
    }
    let change = Change::Child;
    let orphan = Orphan {
        change,
        encoded,
        key,
    };
    session.check_later(fk, orphan)
}

/// Of keys that waited, the first that rows of the child still refer to and no row of the parent has, with
/// what is to be said of it.
pub(crate) fn first_orphan(
    session: &mut Session,
    fk: &ForeignKeyTarget,
    orphans: &[Orphan],
) -> Result<Option<(usize, SqlError)>> {
    let wait = session.lock_wait();
    let (mut places, mut keys) = (Vec::new(), Vec::new());
    for (place, orphan) in orphans.iter().enumerate() {
        if !has_parent(session, fk, &orphan.encoded, &orphan.key, wait)? {
            places.push(place);
            keys.push(unordered(fk, &orphan.key));
        }
    }
    if keys.is_empty() {
        return Ok(None);
    }
    let view = session.transaction()?.latest_view();
    let found = children(&view, fk, &keys)?;
    let Some(at) = found.into_iter().map(|(_, at)| at).min() else {
        return Ok(None);
    };
    let (place, format) = (places[at], session.info.format());
    let error = match orphans[place].change {
        Change::Child => no_parent(&format, fk, &orphans[place].key),
        Change::Parent => still_referenced(&format, fk, &keys[at]),
    };
    Ok(Some((place, error)))
}

/// Whether a row of the parent has a key, which then stays.
fn has_parent(
    session: &mut Session,
    fk: &ForeignKeyTarget,
    encoded: &[u8],
    key: &[Datum],
    wait: LockWait,
) -> Result<bool> {
    let index = &fk.parent.storage.indexes[fk.index_place];
    let transaction = session.transaction()?;
    // Who has very many locks in the parent has the table instead.
    transaction.lock_table(fk.parent.storage.id, TableLockMode::RowShare, wait)?;
    transaction.lock_key(index.id, encoded, RowLockMode::KeyShare, wait)?;
    is_in_parent(session, fk, key)
}

/// Whether a row of the parent has a key now, in the order of its index.
fn is_in_parent(session: &mut Session, fk: &ForeignKeyTarget, key: &[Datum]) -> Result<bool> {
    let index = &fk.parent.storage.indexes[fk.index_place];
    let view = session.transaction()?.latest_view();
    let range = IndexRange::equal(key.to_vec());
    let rows = view.index_rows(&fk.parent.storage, index, &range)?;
    Ok(!rows.is_empty())
}

fn violation_words(fk: &ForeignKeyTarget, what: &str) -> SqlError {
    SqlError::new(
        state::FOREIGN_KEY_VIOLATION,
        format!(
            "{what} table \"{}\" violates foreign key constraint \"{}\"",
            fk.child.table.name, fk.constraint.name
        ),
    )
    .with_table(&fk.child_schema, &fk.child.table.name)
    .with_constraint(&fk.constraint.name)
}

/// The referenced columns of rows of the parent, without rows that have a NULL there.
fn parent_keys(fk: &ForeignKeyTarget, batch: &RecordBatch) -> Result<Vec<Option<Vec<Datum>>>> {
    let columns: Vec<ArrayRef> = fk
        .key
        .referenced_columns
        .iter()
        .filter_map(|c| fk.parent.position(ColumnId(*c)))
        .map(|at| extension::unwrapped(batch.column(at)))
        .collect();
    (0..batch.num_rows())
        .map(|row| {
            if columns.iter().any(|c| c.is_null(row)) {
                return Ok(None);
            }
            let key = columns.iter().map(|c| Datum::from_array(c.as_ref(), row));
            Ok(Some(key.collect::<heliosdb_storage::Result<Vec<_>>>()?))
        })
        .collect()
}

pub(crate) fn note_parent_deleted(
    writer: &mut Writer,
    fk: &ForeignKeyTarget,
    old: &RecordBatch,
) -> Result<()> {
    let old: Vec<Vec<Datum>> = parent_keys(fk, old)?.into_iter().flatten().collect();
    if !old.is_empty() {
        let action = writer.action(fk.key.on_delete);
        writer.actions.push_back(PendingAction {
            fk: fk.clone(),
            action,
            old,
            new: None,
        });
    }
    Ok(())
}

pub(crate) fn note_parent_updated(
    writer: &mut Writer,
    fk: &ForeignKeyTarget,
    old: &RecordBatch,
    new: &RecordBatch,
) -> Result<()> {
    let after = parent_keys(fk, new)?;
    let mut pairs: (Vec<Vec<Datum>>, Vec<Vec<Datum>>) = Default::default();
    for (before, after) in parent_keys(fk, old)?.into_iter().zip(after) {
        if let Some(before) = before
            && after.as_ref() != Some(&before)
        {
            let nulls = vec![Datum::Null; before.len()];
            pairs.0.push(before);
            pairs.1.push(after.unwrap_or(nulls));
        }
    }
    if !pairs.0.is_empty() {
        let action = writer.action(fk.key.on_update);
        let (old, new) = (pairs.0, Some(pairs.1));
        writer.actions.push_back(PendingAction {
            fk: fk.clone(),
            action,
            old,
            new,
        });
    }
    Ok(())
}

/// Rows of the child whose foreign key is one of `keys`, with the place of the key. Through an index
/// of the child when one begins with the foreign key's columns, else by reading the child once.
fn children(
    view: &ReadView,
    fk: &ForeignKeyTarget,
    keys: &[Vec<Datum>],
) -> Result<Vec<(RowId, usize)>> {
    let child = &fk.child;
    let same_types = fk
        .key
        .columns
        .iter()
        .zip(&fk.key.referenced_columns)
        .all(|(c, p)| {
            child.storage.columns[usize::from(*c)].ty
                == fk.parent.storage.columns[usize::from(*p)].ty
        });
    let width = fk.key.columns.len();
    let index = child.storage.indexes.iter().find(|i| {
        same_types
            && i.predicate.is_none()
            && i.columns.len() >= width
            && i.columns[..width]
                .iter()
                .all(|c| fk.key.columns.contains(&c.column.0))
    });
    let mut found = Vec::new();
    if let Some(index) = index {
        for (at, key) in keys.iter().enumerate() {
            let prefix = index.columns[..width]
                .iter()
                .filter_map(|c| fk.key.columns.iter().position(|k| *k == c.column.0))
                .map(|k| key[k].clone())
                .collect();
            for row in view.index_rows(&child.storage, index, &IndexRange::equal(prefix))? {
                found.push((row, at));
            }
        }
        return Ok(found);
    }
    let types: Vec<ColumnType> = fk
        .key
        .referenced_columns
        .iter()
        .map(|c| fk.parent.storage.columns[usize::from(*c)].ty.clone())
        .collect();
    let plain: Vec<KeyColumn> = fk
        .key
        .referenced_columns
        .iter()
        .map(|c| KeyColumn {
            column: ColumnId(*c),
            descending: false,
            nulls_first: false,
        })
        .collect();
    let mut places = HashMap::with_capacity(keys.len());
    for (at, key) in keys.iter().enumerate() {
        places.insert(encode_key(key, &plain, &types)?, at);
    }
    let request = ScanRequest {
        projection: fk.key.columns.iter().map(|c| ColumnId(*c)).collect(),
        row_id: true,
        ..ScanRequest::columns(Vec::new())
    };
    for batch in view
        .scan(child.storage.clone(), request)?
        .into_iter()
        .flatten()
    {
        let batch = batch?;
        let Some((ids, columns)) = batch.columns().split_last() else {
            continue;
        };
        let Some(ids) = ids.as_any().downcast_ref::<UInt64Array>() else {
            continue;
        };
        let columns: Vec<ArrayRef> = columns
            .iter()
            .zip(fk.key.columns.iter().zip(&fk.key.referenced_columns))
            .map(|(array, (c, p))| {
                let (from, to) = (child.table.column_at(*c), fk.parent.table.column_at(*p));
                match (from, to) {
                    (Some(from), Some(to)) if from.type_oid != to.type_oid => {
                        as_parent(array, (&from.ty(), &to.ty()), to.typmod, &Format::default())
                    }
                    _ => Ok(array.clone()),
                }
            })
            .collect::<Result<_>>()?;
        for row in 0..ids.len() {
            if columns.iter().any(|c| c.is_null(row)) {
                continue;
            }
            let key: Vec<Datum> = columns
                .iter()
                .map(|c| Datum::from_array(c.as_ref(), row))
                .collect::<heliosdb_storage::Result<_>>()?;
            if let Some(at) = places.get(&encode_key(&key, &plain, &types)?) {
                found.push((RowId(ids.value(row)), *at));
            }
        }
    }
    Ok(found)
}

/// Whether the parent still (or again) has a row of this key.
fn parent_has_key(view: &ReadView, fk: &ForeignKeyTarget, key: &[Datum]) -> Result<bool> {
    let index = &fk.parent.storage.indexes[fk.index_place];
    let ordered = fk.order.iter().map(|at| key[*at].clone()).collect();
    let rows = view.index_rows(&fk.parent.storage, index, &IndexRange::equal(ordered))?;
    Ok(!rows.is_empty())
}

pub(crate) fn run_action(
    writer: &mut Writer,
    session: &mut Session,
    state: &LazyState,
    action: PendingAction,
) -> Result<()> {
    let PendingAction {
        fk,
        action,
        old,
        new,
    } = action;
    let view = session.transaction()?.latest_view();
    let mut found = children(&view, &fk, &old)?;
    if found.is_empty() {
        return Ok(());
    }
    if action == ReferentialAction::NoAction {
        let mut kept = Vec::new();
        for (row, at) in found {
            if !parent_has_key(&view, &fk, &old[at])? {
                kept.push((row, at));
            }
        }
        found = kept;
    }
    match action {
        ReferentialAction::NoAction if writer.waits(session, &fk) => {
            for (_, at) in found {
                let orphan = lost(&fk, &old[at])?;
                session.check_later(&fk, orphan)?;
            }
            Ok(())
        }
        ReferentialAction::NoAction | ReferentialAction::Restrict => match found.first() {
            None => Ok(()),
            Some((_, at)) => Err(still_referenced(&writer.format, &fk, &old[*at])),
        },
        ReferentialAction::Cascade if new.is_none() => {
            let rows = lock_children(writer, session, &fk, &found)?;
            if rows.is_empty() {
                return Ok(());
            }
            let target = child_target(writer, session, state, &fk)?;
            let rows: Vec<RowId> = rows.into_iter().map(|(row, _)| row).collect();
            writer.delete(session, &target, &rows)
        }
        ReferentialAction::Cascade | ReferentialAction::SetNull | ReferentialAction::SetDefault => {
            let rows = lock_children(writer, session, &fk, &found)?;
            if rows.is_empty() {
                return Ok(());
            }
            let target = child_target(writer, session, state, &fk)?;
            let new = if action == ReferentialAction::Cascade {
                new
            } else {
                None
            };
            rewrite_children(
                writer,
                session,
                state,
                &fk,
                &target,
                action,
                &rows,
                new.as_deref(),
            )
        }
    }
}

/// A key that the parent lost, in the order of the foreign key's columns.
fn lost(fk: &ForeignKeyTarget, old: &[Datum]) -> Result<Orphan> {
    let index = &fk.parent.storage.indexes[fk.index_place];
    let types = index_types(&fk.parent, fk.index_place);
    let key: Vec<Datum> = fk.order.iter().map(|at| old[*at].clone()).collect();
    Ok(Orphan {
        change: Change::Parent,
        encoded: encode_key(&key, &index.columns, &types)?.into_boxed_slice(),
        key,
    })
}

fn child_target(
    writer: &Writer,
    session: &mut Session,
    state: &LazyState,
    fk: &ForeignKeyTarget,
) -> Result<Arc<WriteTarget>> {
    let catalog = writer.catalog.clone();
    session.write_target(state, &catalog, fk.child.table.oid)
}

fn still_referenced(format: &Format, fk: &ForeignKeyTarget, key: &[Datum]) -> SqlError {
    SqlError::new(
        state::FOREIGN_KEY_VIOLATION,
        format!(
            "update or delete on table \"{}\" violates foreign key constraint \"{}\" on table \"{}\"",
            fk.parent.table.name, fk.constraint.name, fk.child.table.name
        ),
    )
    .with_detail(format!(
        "Key ({})=({}) is still referenced from table \"{}\".",
        fk.parent.names(&fk.key.referenced_columns),
        key_text(&fk.parent, &fk.key.referenced_columns, key, format),
        fk.child.table.name
    ))
    .with_table(&fk.child_schema, &fk.child.table.name)
    .with_constraint(&fk.constraint.name)
}

/// Locks children, and keeps those that are still children. From then on the writer has the catalog that
/// says which indexes and constraints their table has.
fn lock_children(
    writer: &mut Writer,
    session: &mut Session,
    fk: &ForeignKeyTarget,
    found: &[(RowId, usize)],
) -> Result<Vec<(RowId, usize)>> {
    let wait = session.lock_wait();
    session.lock_table(fk.child.id(), TableLockMode::RowExclusive)?;
    let catalog = session.info.catalog();
    if catalog.version != writer.catalog.version {
        writer.catalog = catalog;
        let child = writer.catalog.table(fk.child.table.oid);
        if child.is_none_or(|child| child.collection_id() != fk.child.id()) {
            // Dropped or truncated: all its rows are gone.
            return Ok(Vec::new());
        }
    }
    let transaction = session.transaction()?;
    let mut rows = Vec::with_capacity(found.len());
    for (row, at) in found {
        match transaction.lock_row(fk.child.id(), *row, RowLockMode::Update, wait)? {
            RowLock::Held | RowLock::Changed => rows.push((*row, *at)),
            RowLock::Gone => {}
        }
    }
    Ok(rows)
}

#[expect(
    clippy::too_many_arguments,
    reason = "one action's whole circumstances"
)]
fn rewrite_children(
    writer: &mut Writer,
    session: &mut Session,
    state: &LazyState,
    fk: &ForeignKeyTarget,
    target: &WriteTarget,
    action: ReferentialAction,
    rows: &[(RowId, usize)],
    new: Option<&[Vec<Datum>]>,
) -> Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let ids: Vec<RowId> = rows.iter().map(|(row, _)| *row).collect();
    let all = target.meta.all_columns();
    let view = session.transaction()?.latest_view();
    let batch = view.rows(&target.meta.storage, &ids, &all, false)?;
    let batch = target.meta.read(&batch)?;
    let mut columns = batch.columns().to_vec();
    let mut changed = Vec::new();
    for (i, column) in fk.key.columns.iter().enumerate() {
        let Some(place) = target.meta.position(ColumnId(*column)) else {
            continue;
        };
        changed.push(place);
        let ty = &target.meta.storage.columns[usize::from(*column)].ty;
        columns[place] = match (action, new) {
            (ReferentialAction::Cascade, Some(new)) => {
                let from = &fk.parent.storage.columns[usize::from(fk.key.referenced_columns[i])].ty;
                let arrays: Vec<ArrayRef> = rows
                    .iter()
                    .map(|(_, at)| new[*at][i].to_array(from))
                    .collect::<heliosdb_storage::Result<_>>()?;
                let arrays: Vec<&dyn Array> = arrays.iter().map(|a| a.as_ref()).collect();
                let joined = arrow::compute::concat(&arrays)?;
                let column = &target.meta.columns[place];
                super::assign::to_column(&joined, column, &ty.arrow(), &writer.format)?
            }
            (ReferentialAction::SetDefault, _) if target.default_of(place).is_some() => {
                let at = target.default_of(place).unwrap_or_default();
                let program = target.defaults.prepare(state, &[])?;
                let values = program.run_one(at, &super::rows_without_columns(ids.len()))?;
                let column = &target.meta.columns[place];
                super::assign::to_column(&values, column, &ty.arrow(), &writer.format)?
            }
            _ => arrow::array::new_null_array(&ty.arrow(), ids.len()),
        };
    }
    let rows = (columns, ids.len());
    let batch = writer.check_rows(session, state, target, rows, Some(&changed))?;
    writer.update(session, target, &ids, &batch, &changed)
}
