//! What SQL sees of the registry.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use arrow_array::{
    ArrayRef, BooleanArray, Int32Array, LargeStringArray, StringArray, TimestampMicrosecondArray,
    UInt32Array,
};
use heliosdb_jsonschema_state::Draft;
use heliosdb_plugin_api::{
    Arguments, Context, Error, Result, TableCursor, rows, state as sqlstate,
};
use serde_json::Value;

use crate::name::Name;
use crate::named;
use crate::state::{Head, Origin, STORE, Stored, Version, end_of_heads, version_key};

/// A row of `json_schema_versions()`.
struct Row {
    name: Option<(String, String)>,
    oid: u32,
    number: u32,
    recorded_at: Option<i64>,
    is_current: bool,
    dropped_at: Option<i64>,
    version: Version,
}

/// `json_schema_versions()`: all versions of all schemas, by name.
pub fn versions(cx: &Context<'_>, _: &Arguments) -> Result<Box<dyn TableCursor>> {
    let schemas = named::schemas(cx)?;
    let mut heads: BTreeMap<u32, Head> = BTreeMap::new();
    let mut found = Vec::new();
    // Keys of heads come first.
    for entry in cx.store(STORE)?.entries()? {
        cx.check_cancelled()?;
        let (oid, number, version) = match Stored::decode(&entry)? {
            Stored::Head { oid, head } => {
                heads.insert(oid, head);
                continue;
            }
            Stored::Version {
                oid,
                number,
                version,
            } => (oid, number, version),
        };
        let (head, schema) = (heads.get(&oid), schemas.get(&oid));
        let kept = || head.and_then(|head| head.schema.clone().zip(head.name.clone()));
        let there = schema.map(|schema| (schema.schema.clone(), schema.name.clone()));
        let is_last = head.is_some_and(|head| head.last == number);
        found.push(Row {
            name: there.or_else(kept),
            oid,
            number,
            recorded_at: version.recorded.as_ref().map(|mark| mark.at),
            // It may have changed while the plugin was off.
            is_current: is_last && schema.is_some_and(|s| version.is_of(&s.text, s.draft)),
            dropped_at: head.and_then(|head| Some(head.dropped.as_ref()?.at)),
            version,
        });
    }
    let is_adopted = |row: &Row| matches!(row.version.origin, Origin::Adopted(_));
    if found.iter().any(is_adopted) {
        let adopted_at = named::adopted_at(cx)?;
        for row in found.iter_mut().filter(|row| is_adopted(row)) {
            row.recorded_at = adopted_at;
        }
    }
    // Those whose name nobody knows are last.
    let place = |row: &Row| (row.name.is_none(), row.name.clone(), row.oid, row.number);
    found.sort_by_cached_key(place);
    Ok(rows(columns(&found)))
}

fn columns(rows: &[Row]) -> Vec<ArrayRef> {
    let text = |of: fn(&Row) -> Option<&str>| -> ArrayRef {
        Arc::new(rows.iter().map(of).collect::<StringArray>())
    };
    let time = |of: fn(&Row) -> Option<i64>| -> ArrayRef {
        let times = rows.iter().map(of).collect::<TimestampMicrosecondArray>();
        Arc::new(times.with_timezone("UTC"))
    };
    let number = |row: &Row| i32::try_from(row.number).unwrap_or(i32::MAX);
    let drafts = rows.iter().map(|row| draft_of(&row.version));
    let drafts: StringArray = drafts.map(|draft| draft.map(Draft::name)).collect();
    let origins = rows.iter().map(|row| Some(row.version.origin.to_string()));
    let schemas = rows.iter().map(|row| Some(row.version.text.as_str()));
    vec![
        text(|row| Some(&row.name.as_ref()?.0)),
        text(|row| Some(&row.name.as_ref()?.1)),
        Arc::new(Int32Array::from_iter_values(rows.iter().map(number))),
        text(|row| Some(&row.version.uri)),
        Arc::new(drafts),
        text(|row| Some(row.version.digest())),
        Arc::new(origins.collect::<StringArray>()),
        time(|row| row.recorded_at),
        text(|row| Some(&row.version.recorded.as_ref()?.by)),
        Arc::new(
            rows.iter()
                .map(|row| Some(row.is_current))
                .collect::<BooleanArray>(),
        ),
        time(|row| row.dropped_at),
        Arc::new(schemas.collect::<LargeStringArray>()),
        Arc::new(UInt32Array::from_iter_values(
            rows.iter().map(|row| row.oid),
        )),
    ]
}

/// The draft that a schema is of: what its `$schema` says, or its statement, or the newest. None for
/// a meta-schema of somebody's own.
fn draft_of(version: &Version) -> Option<Draft> {
    let schema: Value = serde_json::from_str(&version.text).ok()?;
    let Some(uri) = schema.get("$schema").and_then(Value::as_str) else {
        return Some(version.draft.unwrap_or_default());
    };
    // Both schemes are in use, and so is an empty fragment.
    fn place(uri: &str) -> Option<&str> {
        Some(uri.split_once("://")?.1.trim_end_matches('#'))
    }
    let is_it = |draft: &Draft| place(draft.uri()) == place(uri);
    Draft::ALL.into_iter().find(is_it)
}

/// `json_schema_version(name, version)`: the text of one version.
pub fn version(cx: &Context<'_>, arguments: &Arguments) -> Result<ArrayRef> {
    let store = cx.store(STORE)?;
    let mut finder: Option<Finder> = None;
    let mut out: Vec<Option<String>> = Vec::with_capacity(arguments.rows());
    for row in 0..arguments.rows() {
        cx.check_cancelled()?;
        let (Some(name), Some(number)) = (arguments[0].text(row), arguments[1].integer(row)) else {
            out.push(None);
            continue;
        };
        let finder = match &mut finder {
            Some(finder) => finder,
            None => finder.insert(Finder::new(cx)?),
        };
        let text = || -> Result<String> {
            let oid = finder.find(&Name::parse(name)?);
            let oid =
                oid.ok_or_else(|| undefined(format!("JSON schema \"{name}\" does not exist")))?;
            let number_u32 = u32::try_from(number).ok();
            let key = number_u32.map(|number| version_key(oid, number));
            let value = key.map(|key| store.get(&key)).transpose()?.flatten();
            let value = value.ok_or_else(|| {
                undefined(format!("JSON schema \"{name}\" has no version {number}"))
            })?;
            Ok(Version::decode(&value)?.text)
        };
        out.push(Some(text().map_err(|error| error.at_row(row))?));
    }
    Ok(Arc::new(LargeStringArray::from(out)))
}

fn undefined(message: String) -> Error {
    Error::new(sqlstate::UNDEFINED_OBJECT, message)
}

/// Finds a schema by its name: one that is there, or else the one of that name that was dropped last.
struct Finder {
    path: Vec<String>,
    there: BTreeMap<(String, String), u32>,
    gone: BTreeMap<(String, String), u32>,
}

impl Finder {
    fn new(cx: &Context<'_>) -> Result<Finder> {
        let names = named::names(cx)?;
        let mut gone: BTreeMap<(String, String), (i64, u32)> = BTreeMap::new();
        let heads = cx
            .store(STORE)?
            .range(Bound::Unbounded, Bound::Excluded(&end_of_heads()))?;
        for entry in heads {
            let Stored::Head { oid, head } = Stored::decode(&entry)? else {
                continue;
            };
            let (Some(schema), Some(name)) = (head.schema, head.name) else {
                continue;
            };
            if names.contains_key(&oid) {
                continue;
            }
            let dropped = (head.dropped.map_or(i64::MIN, |mark| mark.at), oid);
            let last = gone.entry((schema, name)).or_insert(dropped);
            *last = dropped.max(*last);
        }
        Ok(Finder {
            path: named::path(cx)?,
            there: names.into_iter().map(|(oid, name)| (name, oid)).collect(),
            gone: gone
                .into_iter()
                .map(|(name, (_, oid))| (name, oid))
                .collect(),
        })
    }

    fn find(&self, name: &Name) -> Option<u32> {
        let path = match &name.schema {
            Some(schema) => std::slice::from_ref(schema),
            None => &self.path,
        };
        let among = |schemas: &BTreeMap<(String, String), u32>| {
            let mut places = path.iter();
            places.find_map(|schema| schemas.get(&(schema.clone(), name.name.clone())).copied())
        };
        among(&self.there).or_else(|| among(&self.gone))
    }
}
