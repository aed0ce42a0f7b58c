//! The stored form of the catalog: rows of one sorted collection.
//!
//! ```text
//! key    kind u8 │ oid u32 BE [│ object u32 BE │ sub i32 BE, for comments and access lists]
//! value  version u8 = 1 │ JSON of the struct in `model`
//! key    0x00             value  16 random bytes: the CatalogVersion
//! ```
//!
//! Every transaction that changes the catalog writes a new version, so a reader that finds the
//! version it knows has nothing to read. The write is also a lock: one transaction at a time changes
//! the catalog. What a view of storage shows is the catalog as of that view, so DDL is transactional
//! by construction.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use heliosdb_storage::ids::{CollectionId, TimelineId, Ts};
use heliosdb_storage::{Changes, Engine, Error as StorageError, ReadView, Transaction};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::access::AccessList;
use super::model::*;
use super::snapshot::{CatalogSnapshot, CatalogVersion};
use crate::authors::{self, AUTHORS};
use crate::branch::lineage::{self, MERGES};
use crate::edition::EDITION;
use crate::error::{Result, SqlError, state};
use crate::provenance::{self, IMPORTS};

/// The catalog's rows.
pub(crate) const CATALOG: CollectionId = CollectionId(16);
/// The counter that oids come from.
pub(crate) const OID_COUNTER: CollectionId = CollectionId(17);

const FORMAT_VERSION: u8 = 1;
pub(crate) const VERSION_KEY: &[u8] = &[0];

/// The kinds, as the first byte of a key. Never renumbered.
mod kind {
    pub const SCHEMA: u8 = 1;
    pub const TABLE: u8 = 2;
    pub const CONSTRAINT: u8 = 3;
    pub const INDEX: u8 = 4;
    pub const SEQUENCE: u8 = 5;
    pub const VIEW: u8 = 6;
    pub const ROLE: u8 = 7;
    pub const COMMENT: u8 = 8;
    pub const EXTENSION: u8 = 9;
    pub const PLUGIN_OBJECT: u8 = 10;
    pub const USER_TYPE: u8 = 11;
    pub const ACCESS: u8 = 12;
    pub const ROUTINE: u8 = 13;
    /// The last that this build knows.
    pub const LAST: u8 = ROUTINE;
}

/// One change to the catalog.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    Put(Object),
    Remove(Oid),
    PutComment(Comment),
    RemoveComment { class: Oid, object: Oid, sub: i32 },
    PutAccess(AccessList),
    RemoveAccess { class: Oid, object: Oid, sub: i32 },
}

impl From<Object> for Change {
    fn from(object: Object) -> Change {
        Change::Put(object)
    }
}

/// The version of the catalog that a view shows.
pub(crate) fn version(view: &ReadView) -> Result<CatalogVersion> {
    match view.get(CATALOG, VERSION_KEY)? {
        None => Ok(CatalogVersion(0)),
        Some(bytes) => {
            let bytes: [u8; 16] = bytes
                .as_slice()
                .try_into()
                .map_err(|_| damaged("version", VERSION_KEY))?;
            Ok(CatalogVersion(u128::from_be_bytes(bytes)))
        }
    }
}

/// Reads the whole catalog.
pub(crate) fn load(view: &ReadView) -> Result<CatalogSnapshot> {
    let mut snapshot = CatalogSnapshot::default();
    snapshot.version = version(view)?;
    for entry in view.range(CATALOG, Bound::Excluded(VERSION_KEY), Bound::Unbounded)? {
        let (key, value) = entry?;
        put(&mut snapshot, &key, &value)?;
    }
    Ok(snapshot)
}

/// A row of the catalog, read.
pub(crate) enum Row {
    Object(Object),
    Comment { class: Oid, object: Oid, sub: i32 },
    Access { class: Oid, object: Oid, sub: i32 },
}

/// All rows that a view shows, as they are stored.
pub(crate) fn rows(view: &ReadView) -> Result<BTreeMap<Vec<u8>, Vec<u8>>> {
    let all = view.range(CATALOG, Bound::Excluded(VERSION_KEY), Bound::Unbounded)?;
    all.map(|row| Ok(row?)).collect()
}

/// The catalog that has those rows, of no version.
pub(crate) fn from_rows(rows: &BTreeMap<Vec<u8>, Vec<u8>>) -> Result<CatalogSnapshot> {
    let mut snapshot = CatalogSnapshot::default();
    for (key, value) in rows {
        put(&mut snapshot, key, value)?;
    }
    Ok(snapshot)
}

/// Reads one; `None` when there is no value.
pub(crate) fn row(key: &[u8], value: Option<&Vec<u8>>) -> Result<Option<Row>> {
    let Some(value) = value else {
        return Ok(None);
    };
    Ok(Some(match key.first().copied() {
        Some(kind::SCHEMA) => Row::Object(Object::Schema(decode(key, value)?)),
        Some(kind::TABLE) => Row::Object(Object::Table(decode(key, value)?)),
        Some(kind::CONSTRAINT) => Row::Object(Object::Constraint(decode(key, value)?)),
        Some(kind::INDEX) => Row::Object(Object::Index(decode(key, value)?)),
        Some(kind::SEQUENCE) => Row::Object(Object::Sequence(decode(key, value)?)),
        Some(kind::VIEW) => Row::Object(Object::View(decode(key, value)?)),
        Some(kind::ROLE) => Row::Object(Object::Role(decode(key, value)?)),
        Some(kind::EXTENSION) => Row::Object(Object::Extension(decode(key, value)?)),
        Some(kind::PLUGIN_OBJECT) => Row::Object(Object::PluginObject(decode(key, value)?)),
        Some(kind::USER_TYPE) => Row::Object(Object::UserType(decode(key, value)?)),
        Some(kind::ROUTINE) => Row::Object(Object::Routine(decode(key, value)?)),
        Some(kind::COMMENT) => {
            let comment: Arc<Comment> = decode(key, value)?;
            let Comment {
                class, object, sub, ..
            } = *comment;
            Row::Comment { class, object, sub }
        }
        Some(kind::ACCESS) => {
            let list: Arc<AccessList> = decode(key, value)?;
            let AccessList {
                class, object, sub, ..
            } = *list;
            Row::Access { class, object, sub }
        }
        _ => return Err(damaged("kind", key)),
    }))
}

/// What makes a row the one that is given, or takes it away. `known` is the row as it was read from either.
pub(crate) fn change(key: &[u8], value: Option<&Vec<u8>>, known: Row) -> Result<Change> {
    Ok(match (known, value) {
        (Row::Object(object), Some(_)) => Change::Put(object),
        (Row::Object(object), None) => Change::Remove(object.oid()),
        (Row::Comment { .. }, Some(value)) => {
            let comment: Arc<Comment> = decode(key, value)?;
            Change::PutComment(Arc::unwrap_or_clone(comment))
        }
        (Row::Comment { class, object, sub }, None) => Change::RemoveComment { class, object, sub },
        (Row::Access { .. }, Some(value)) => {
            let list: Arc<AccessList> = decode(key, value)?;
            Change::PutAccess(Arc::unwrap_or_clone(list))
        }
        (Row::Access { class, object, sub }, None) => Change::RemoveAccess { class, object, sub },
    })
}

/// Three versions of a table's row made one by `merge`, which sees them as JSON; `None` when the row is no
/// table's, or `merge` makes nothing of them.
pub(crate) fn merge_tables(
    row: &Row,
    versions: [&Vec<u8>; 3],
    merge: impl FnOnce(&Value, &Value, &Value) -> Option<Value>,
) -> Result<Option<Table>> {
    let Row::Object(Object::Table(table)) = row else {
        return Ok(None);
    };
    let key = key(kind::TABLE, table.oid);
    let [base, source, target] =
        versions.map(|value| -> Result<Arc<Value>> { decode(&key, value) });
    let Some(merged) = merge(&*base?, &*source?, &*target?) else {
        return Ok(None);
    };
    let merged = serde_json::from_value(merged).map_err(|e| unreadable(&key, &e))?;
    Ok(Some(merged))
}

/// A catalog as it will be after changes.
pub(crate) fn with_changes(catalog: &CatalogSnapshot, changes: &[Change]) -> CatalogSnapshot {
    let mut changed = catalog.clone();
    // What is removed first gives its name to others.
    for change in changes {
        if let Change::Remove(oid) = change {
            changed.remove(*oid);
        }
    }
    for change in changes {
        if let Change::Put(object) = change {
            changed.put(object.clone());
        }
    }
    changed
}

/// Makes what is of no branch what it is in another view: roles, rights on the database, its edition, and the
/// imports it came by.
pub(crate) fn carry_shared(transaction: &mut Transaction, from: &ReadView) -> Result<()> {
    let database = key_of_database();
    let is_shared = |key: &[u8]| key.first() == Some(&kind::ROLE) || key.starts_with(&database);
    carry(transaction, from, CATALOG, is_shared)?;
    // Also when nothing was different: so there is a commit, which is newer than all that is not shown any more.
    let version = uuid::Uuid::new_v4().as_u128();
    transaction.put(CATALOG, VERSION_KEY, &version.to_be_bytes())?;
    for collection in [EDITION, IMPORTS] {
        carry(transaction, from, collection, |_| true)?;
    }
    Ok(())
}

/// Makes the rows that are `wanted` what they are in another view.
fn carry(
    transaction: &mut Transaction,
    from: &ReadView,
    collection: CollectionId,
    wanted: impl Fn(&[u8]) -> bool,
) -> Result<()> {
    let read = |view: &ReadView| -> Result<BTreeMap<Vec<u8>, Vec<u8>>> {
        let all = view.range(collection, Bound::Unbounded, Bound::Unbounded)?;
        let all = all.filter(|row| row.as_ref().map_or(true, |(key, _)| wanted(key)));
        all.map(|row| Ok(row?)).collect()
    };
    let (now, then) = (read(from)?, read(&transaction.latest_view())?);
    for (key, value) in &now {
        if then.get(key) != Some(value) {
            transaction.put(collection, key, value)?;
        }
    }
    for key in then.keys().filter(|key| !now.contains_key(*key)) {
        transaction.remove(collection, key)?;
    }
    Ok(())
}

/// What the keys of access lists of databases begin with.
fn key_of_database() -> Vec<u8> {
    key(kind::ACCESS, oid::PG_DATABASE)
}

/// Whether a view shows a table.
pub(crate) fn has_table(view: &ReadView, oid: Oid) -> Result<bool> {
    Ok(view.get(CATALOG, &key(kind::TABLE, oid))?.is_some())
}

/// What a table's entry became in a span, from commit to commit.
pub(crate) fn table_versions(
    engine: &Engine,
    timeline: TimelineId,
    table: Oid,
    since: Ts,
    until: Ts,
) -> Result<Vec<Arc<Table>>> {
    let key = key(kind::TABLE, table);
    let mut versions = Vec::new();
    for change in engine.entry_changes_on(timeline, CATALOG, since, until, Changes::Every)? {
        let change = change?;
        if change.key == key
            && let Some(value) = change.new
        {
            versions.push(decode(&key, &value)?);
        }
    }
    Ok(versions)
}

/// Tables that a span of a timeline's history took away, from commit to commit, each with the commit. A span that
/// begins before the history begins with that.
pub(crate) fn dropped_tables(
    engine: &Engine,
    timeline: TimelineId,
    since: Ts,
    until: Ts,
) -> Result<Vec<(Ts, Arc<Table>)>> {
    let read = |since| engine.entry_changes_on(timeline, CATALOG, since, until, Changes::Every);
    let changes = match read(since) {
        Err(StorageError::SnapshotTooOld { oldest, .. }) => read(oldest.min(until)),
        changes => changes,
    };
    let mut dropped = Vec::new();
    for change in changes? {
        let change = change?;
        if change.key.first() == Some(&kind::TABLE)
            && change.new.is_none()
            && let Some(value) = change.old
        {
            dropped.push((change.ts, decode(&change.key, &value)?));
        }
    }
    Ok(dropped)
}

/// Whether this build understands an entry of a collection that belongs to the catalog; `None` when
/// the collection does not.
pub fn check_entry(collection: CollectionId, key: &[u8], value: &[u8]) -> Option<Result<()>> {
    match collection {
        CATALOG if key == VERSION_KEY => Some(Ok(())),
        CATALOG => Some(put(&mut CatalogSnapshot::default(), key, value)),
        IMPORTS => Some(provenance::check_entry(key, value)),
        MERGES => Some(lineage::check_entry(key, value)),
        AUTHORS => Some(authors::check_entry(key, value)),
        _ => None,
    }
}

/// Whether a row of a collection is an object of the catalog, or a comment on one.
pub fn is_object(collection: CollectionId, key: &[u8]) -> bool {
    collection == CATALOG && key != VERSION_KEY
}

/// Takes a row in.
pub(super) fn put(snapshot: &mut CatalogSnapshot, key: &[u8], value: &[u8]) -> Result<()> {
    match key.first().copied() {
        Some(kind::SCHEMA) => snapshot.put(Object::Schema(decode(key, value)?)),
        Some(kind::TABLE) => snapshot.put(Object::Table(decode(key, value)?)),
        Some(kind::CONSTRAINT) => snapshot.put(Object::Constraint(decode(key, value)?)),
        Some(kind::INDEX) => snapshot.put(Object::Index(decode(key, value)?)),
        Some(kind::SEQUENCE) => snapshot.put(Object::Sequence(decode(key, value)?)),
        Some(kind::VIEW) => snapshot.put(Object::View(decode(key, value)?)),
        Some(kind::ROLE) => snapshot.put(Object::Role(decode(key, value)?)),
        Some(kind::EXTENSION) => snapshot.put(Object::Extension(decode(key, value)?)),
        Some(kind::PLUGIN_OBJECT) => snapshot.put(Object::PluginObject(decode(key, value)?)),
        Some(kind::USER_TYPE) => snapshot.put(Object::UserType(decode(key, value)?)),
        Some(kind::ROUTINE) => snapshot.put(Object::Routine(decode(key, value)?)),
        Some(kind::COMMENT) => snapshot.put_comment(decode(key, value)?),
        Some(kind::ACCESS) => snapshot.put_access(decode(key, value)?),
        Some(kind) if kind > kind::LAST => {
            return Err(newer(&format!("an object of unknown kind {kind}")));
        }
        _ => return Err(damaged("kind", key)),
    }
    Ok(())
}

/// Writes changes into the transaction and returns the catalog as it then is.
pub(crate) fn apply(
    transaction: &mut Transaction,
    base: &CatalogSnapshot,
    changes: Vec<Change>,
) -> Result<CatalogSnapshot> {
    let mut snapshot = base.clone();
    for change in changes {
        match change {
            Change::Put(object) => {
                let (key, value) = encode_object(&object)?;
                transaction.put(CATALOG, &key, &value)?;
                snapshot.put(object);
            }
            Change::Remove(oid) => {
                if let Some(object) = snapshot.remove(oid) {
                    transaction.remove(CATALOG, &object_key(&object))?;
                }
                for (class, sub) in snapshot.remove_all_access(oid) {
                    transaction.remove(CATALOG, &access_key(class, oid, sub))?;
                }
            }
            Change::PutComment(comment) => {
                let key = comment_key(comment.class, comment.object, comment.sub);
                transaction.put(CATALOG, &key, &encode(&comment)?)?;
                snapshot.put_comment(Arc::new(comment));
            }
            Change::RemoveComment { class, object, sub } => {
                if snapshot.remove_comment(class, object, sub).is_some() {
                    transaction.remove(CATALOG, &comment_key(class, object, sub))?;
                }
            }
            Change::PutAccess(list) => {
                let key = access_key(list.class, list.object, list.sub);
                transaction.put(CATALOG, &key, &encode(&list)?)?;
                snapshot.put_access(Arc::new(list));
            }
            Change::RemoveAccess { class, object, sub } => {
                if snapshot.remove_access(class, object, sub) {
                    transaction.remove(CATALOG, &access_key(class, object, sub))?;
                }
            }
        }
    }
    let version = uuid::Uuid::new_v4().as_u128();
    transaction.put(CATALOG, VERSION_KEY, &version.to_be_bytes())?;
    snapshot.version = CatalogVersion(version);
    Ok(snapshot)
}

fn key(kind: u8, oid: Oid) -> Vec<u8> {
    let mut key = vec![kind];
    key.extend(oid.to_be_bytes());
    key
}

/// An object's row.
pub(crate) struct Entry {
    pub key: Vec<u8>,
    pub object: Oid,
    /// Where its rows, or its values, are.
    pub collection: Option<CollectionId>,
}

/// The rows of the schemas that are `wanted`, and of what is in them.
pub(crate) fn entries(catalog: &CatalogSnapshot, wanted: impl Fn(Oid) -> bool) -> Vec<Entry> {
    let mut entries = Vec::new();
    let mut add = |kind, object, collection: Option<u32>| {
        entries.push(Entry {
            key: key(kind, object),
            object,
            collection: collection.map(CollectionId),
        });
    };
    for schema in catalog.schemas().filter(|s| wanted(s.oid)) {
        add(kind::SCHEMA, schema.oid, None);
    }
    for table in catalog.tables().filter(|t| wanted(t.schema)) {
        add(kind::TABLE, table.oid, Some(table.collection));
        for constraint in catalog.constraints_of(table.oid) {
            add(kind::CONSTRAINT, constraint.oid, None);
        }
    }
    for index in catalog.indexes().filter(|i| wanted(i.schema)) {
        add(kind::INDEX, index.oid, None);
    }
    for sequence in catalog.sequences().filter(|s| wanted(s.schema)) {
        add(kind::SEQUENCE, sequence.oid, Some(sequence.collection));
    }
    for view in catalog.views().filter(|v| wanted(v.schema)) {
        add(kind::VIEW, view.oid, None);
    }
    for ty in catalog.types().iter().filter(|t| wanted(t.schema)) {
        add(kind::USER_TYPE, ty.oid, None);
    }
    for routine in catalog.routines().iter().filter(|r| wanted(r.schema)) {
        add(kind::ROUTINE, routine.oid, None);
    }
    for object in catalog.plugin_objects().filter(|o| wanted(o.schema)) {
        add(kind::PLUGIN_OBJECT, object.oid, None);
    }
    entries
}

pub(crate) fn comment_key(class: Oid, object: Oid, sub: i32) -> Vec<u8> {
    part_key(kind::COMMENT, class, object, sub)
}

pub(crate) fn access_key(class: Oid, object: Oid, sub: i32) -> Vec<u8> {
    part_key(kind::ACCESS, class, object, sub)
}

fn part_key(kind: u8, class: Oid, object: Oid, sub: i32) -> Vec<u8> {
    let mut key = key(kind, class);
    key.extend(object.to_be_bytes());
    key.extend(sub.to_be_bytes());
    key
}

fn object_key(object: &Object) -> Vec<u8> {
    let kind = match object {
        Object::Schema(_) => kind::SCHEMA,
        Object::Table(_) => kind::TABLE,
        Object::Constraint(_) => kind::CONSTRAINT,
        Object::Index(_) => kind::INDEX,
        Object::Sequence(_) => kind::SEQUENCE,
        Object::View(_) => kind::VIEW,
        Object::Role(_) => kind::ROLE,
        Object::Extension(_) => kind::EXTENSION,
        Object::PluginObject(_) => kind::PLUGIN_OBJECT,
        Object::UserType(_) => kind::USER_TYPE,
        Object::Routine(_) => kind::ROUTINE,
    };
    key(kind, object.oid())
}

fn encode_object(object: &Object) -> Result<(Vec<u8>, Vec<u8>)> {
    let value = match object {
        Object::Schema(o) => encode(o.as_ref()),
        Object::Table(o) => encode(o.as_ref()),
        Object::Constraint(o) => encode(o.as_ref()),
        Object::Index(o) => encode(o.as_ref()),
        Object::Sequence(o) => encode(o.as_ref()),
        Object::View(o) => encode(o.as_ref()),
        Object::Role(o) => encode(o.as_ref()),
        Object::Extension(o) => encode(o.as_ref()),
        Object::PluginObject(o) => encode(o.as_ref()),
        Object::UserType(o) => encode(o.as_ref()),
        Object::Routine(o) => encode(o.as_ref()),
    }?;
    Ok((object_key(object), value))
}

fn encode(value: &impl Serialize) -> Result<Vec<u8>> {
    let mut out = vec![FORMAT_VERSION];
    serde_json::to_writer(&mut out, value).map_err(SqlError::internal)?;
    Ok(out)
}

fn decode<T: DeserializeOwned>(key: &[u8], value: &[u8]) -> Result<Arc<T>> {
    match value.split_first() {
        Some((&FORMAT_VERSION, json)) => serde_json::from_slice(json)
            .map(Arc::new)
            .map_err(|e| unreadable(key, &e)),
        Some((version, _)) => Err(newer(&format!(
            "an entry of format {version}, and this build reads {FORMAT_VERSION}"
        ))),
        None => Err(damaged("entry", key)),
    }
}

/// What JSON cannot be read as: from a newer build if it says something that this one has no word for.
fn unreadable(key: &[u8], error: &serde_json::Error) -> SqlError {
    let message = error.to_string();
    let unknown = ["unknown field", "unknown variant"];
    if error.is_data() && unknown.iter().any(|what| message.contains(what)) {
        let what = message.split(',').next().unwrap_or(&message);
        return newer(&format!("an entry with {what} (key {key:02x?})"));
    }
    damaged("entry", key).with_detail(message)
}

fn newer(what: &str) -> SqlError {
    SqlError::new(
        state::FEATURE_NOT_SUPPORTED,
        "the catalog was written by a newer version",
    )
    .with_detail(format!("It has {what}."))
    .with_hint("Use the version that wrote it, or a later one.")
}

fn damaged(what: &str, key: &[u8]) -> SqlError {
    SqlError::new(
        state::DATA_CORRUPTED,
        format!("catalog {what} is damaged (key {key:02x?})"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A row with one field more than this build knows, wherever it stands, is refused by name.
    #[test]
    fn what_a_newer_build_added_is_refused_and_not_lost() {
        let role = r#"{"oid":10,"name":"a","superuser":true,"inherit":true,"create_role":true,
            "create_db":true,"login":true,"connection_limit":-1,"password":null}"#;
        let read = |text: String| {
            let value = [&[FORMAT_VERSION], text.as_bytes()].concat();
            decode::<Role>(&[kind::ROLE], &value)
        };
        assert_eq!(read(role.to_owned()).unwrap().name, "a");
        let error = read(role.replace("\"oid\"", "\"of_the_future\":true,\"oid\"")).unwrap_err();
        assert_eq!(error.code, state::FEATURE_NOT_SUPPORTED);
        assert_eq!(error.message, "the catalog was written by a newer version");
        let detail = error.detail.unwrap();
        assert!(detail.contains("unknown field `of_the_future`"), "{detail}");
        let error = read(role.replace("true", "maybe")).unwrap_err();
        assert_eq!(error.code, state::DATA_CORRUPTED);

        let extension = |provides: &str| {
            let text = format!(
                r#"{{"oid":1,"name":"p","version":"1.0.0","owner":10,"requires":[],
                "provides":{provides},"installed":true}}"#
            );
            let value = [&[FORMAT_VERSION], text.as_bytes()].concat();
            decode::<Extension>(&[kind::EXTENSION], &value)
        };
        assert!(extension("{}").is_ok());
        let error = extension(r#"{"dialect":[{"name":"flux"}]}"#).unwrap_err();
        assert_eq!(error.code, state::FEATURE_NOT_SUPPORTED);
        let constraint = |kind: &str| {
            let text = format!(r#"{{"oid":1,"name":"c","table":2,"kind":{kind}}}"#);
            let value = [&[FORMAT_VERSION], text.as_bytes()].concat();
            decode::<Constraint>(&[kind::CONSTRAINT], &value)
        };
        let check = r#"{"Check":{"expression":"a > 0","columns":[0]}}"#;
        assert!(constraint(check).is_ok());
        let no_inherit = check.replace("\"expression\"", "\"no_inherit\":true,\"expression\"");
        for kind in [no_inherit.as_str(), r#"{"Exclude":{"columns":[0]}}"#] {
            let error = constraint(kind).unwrap_err();
            assert_eq!(error.code, state::FEATURE_NOT_SUPPORTED, "{kind}");
        }
    }
}
