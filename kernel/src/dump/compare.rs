//! A database against the dump it came from: everything but the rows of tables, which are
//! `heliosdb_dump`'s to compare, and the stores of plugins (`stores`).
//!
//! Objects are compared by what they are called and how they are defined, now and AS OF the dump's
//! snapshot; so a difference that came later is told from one that came with the import. Sequences have
//! no past to look into; that their import was verified must do.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use heliosdb_dump::manifest::SequenceManifest;
use heliosdb_dump::{Manifest, ObjectDescription};
use heliosdb_plugin_host::boot::Planned;
use heliosdb_plugin_host::inspect::check_stores;
use heliosdb_plugin_host::{PluginHost, RootRef};
use heliosdb_sql::{Instance, SessionOptions, provenance};
use heliosdb_storage::catalog::FIRST_COLLECTION;
use heliosdb_storage::codec::Encoding;
use heliosdb_storage::ids::{CollectionId, ColumnId, Ts};
use heliosdb_storage::{Engine, Interrupt};

use super::error::ImportError;
use super::report::{
    CheckReport, ObjectReport, ObjectsReport, PluginReport, SequenceReport, Verdict,
};
use super::text::counted;
use crate::database::FIRST_NAME;

/// Objects of the database against those of the dump, by kind and name.
///
/// # Errors
///
/// The catalog cannot be read.
pub(super) fn objects(
    manifest: &Manifest,
    instance: &Arc<Instance>,
) -> Result<(ObjectsReport, CheckReport), ImportError> {
    let engine = instance.engine();
    let describe = |view| instance.describe(&view, instance.edition(), None);
    let now = describe(engine.latest_view())?;
    let then = describe(engine.view_at(Ts(manifest.snapshot_ts))?)?;
    let (expected, now, then) = (
        by_name(&manifest.objects),
        by_name(&now.objects),
        by_name(&then.objects),
    );
    let differences = |dump: &ObjectDescription, here: &ObjectDescription| {
        dump.differences(here, |dump, here| {
            format!("{dump} in the dump, {here} here")
        })
    };
    // Whether the database had it, as the dump has it, at the snapshot.
    let was_equal = |key: &Key<'_>| match (expected.get(key), then.get(key)) {
        (Some(dump), Some(then)) => differences(dump, then).is_empty(),
        (dump, then) => dump.is_none() && then.is_none(),
    };
    let since = |key: &Key<'_>| match was_equal(key) {
        true => Verdict::ChangedSince,
        false => Verdict::Differs,
    };
    let mut report = ObjectsReport {
        compared: manifest.objects.len() as u64,
        ..ObjectsReport::default()
    };
    for (key, object) in &expected {
        let described = |verdict, details| ObjectReport {
            kind: object.kind.clone(),
            name: object.name.clone(),
            verdict,
            details,
        };
        match now.get(key) {
            None => report.missing.push(described(since(key), Vec::new())),
            Some(found) => {
                let details = differences(object, found);
                if !details.is_empty() {
                    report.changed.push(described(since(key), details));
                }
            }
        }
    }
    // A plugin that was switched off where the dump was made may bring something here.
    let known = manifest.plugins.iter().filter(|p| p.installed);
    let known: BTreeSet<&str> = known.map(|p| p.id.as_str()).collect();
    for (key, object) in &now {
        if expected.contains_key(key) {
            continue;
        }
        let (verdict, details) = match brought_by(object, &known) {
            Some(plugin) => (Verdict::Equal, vec![format!("plugin {plugin} brought it")]),
            None => (since(key), Vec::new()),
        };
        report.added.push(ObjectReport {
            kind: object.kind.clone(),
            name: object.name.clone(),
            verdict,
            details,
        });
    }
    let past = expected.keys().chain(then.keys()).filter(|k| !was_equal(k));
    let past: BTreeSet<&Key<'_>> = past.collect();
    let check = CheckReport {
        name: "objects AS OF the snapshot".to_owned(),
        verdict: Verdict::of(past.is_empty()),
        details: past
            .iter()
            .map(|(kind, name)| format!("{kind} {name} is not as in the dump"))
            .collect(),
    };
    Ok((report, check))
}

/// Kind and name, which no two objects share.
type Key<'a> = (&'a str, &'a str);

fn by_name(objects: &[ObjectDescription]) -> BTreeMap<Key<'_>, &ObjectDescription> {
    let named = objects.iter().map(|object| {
        let ObjectDescription { kind, name, .. } = object;
        ((kind.as_str(), name.as_str()), object)
    });
    named.collect()
}

/// The plugin whose extension or object it is, if it is none of those that the dump has installed.
fn brought_by<'a>(object: &'a ObjectDescription, known: &BTreeSet<&str>) -> Option<&'a str> {
    let plugin = match object.kind.split_once(" of ") {
        Some((_, plugin)) => plugin,
        None if object.kind == "extension" => object.name.trim_matches('"'),
        None => return None,
    };
    (!known.contains(plugin)).then_some(plugin)
}

/// Sequences that do not stand where the dump has them, by name; those that only one of the two has are
/// told as objects.
///
/// A sequence that gave out values since the import is a difference like any other change. Where it
/// stood is not known, but an import ends only when all stand where the dump has them: so in a database
/// that says it came from this dump, they were moved since.
///
/// # Errors
///
/// The catalog cannot be read.
pub(super) fn sequences(
    manifest: &Manifest,
    instance: &Arc<Instance>,
) -> Result<Vec<SequenceReport>, ImportError> {
    let engine = instance.engine();
    let now = engine.latest_view();
    let imports = provenance::all(&now)?;
    let verdict = match imports.iter().any(|row| row.dump_id == manifest.dump_id) {
        true => Verdict::ChangedSince,
        false => Verdict::Differs,
    };
    let found = engine.sequences().into_iter();
    let found: BTreeMap<u32, (i64, bool)> = found
        .map(|(id, value, is_called)| (id.0, (value, is_called)))
        .collect();
    let places = instance.sequence_names(&now)?.into_iter();
    let places: BTreeMap<String, u32> = places.map(|s| (s.name, s.collection)).collect();
    let expected = manifest.sequences.iter();
    let expected: BTreeMap<&str, (i64, bool)> = expected
        .filter_map(|s| Some((s.name.as_deref()?, (s.value, s.is_called))))
        .collect();
    let mut reports = Vec::new();
    for object in manifest.objects.iter().filter(|o| o.kind == "sequence") {
        let Some(place) = places.get(&object.name) else {
            continue;
        };
        let dump = expected.get(object.name.as_str()).copied();
        let found = found.get(place).copied();
        if dump != found {
            reports.push(SequenceReport {
                name: object.name.clone(),
                dump,
                found,
                verdict,
            });
        }
    }
    // Counters of the kernel's own, such as that of oids: they run ahead, and never go back.
    let kernels = |s: &&SequenceManifest| s.collection < FIRST_COLLECTION.0;
    for counter in manifest.sequences.iter().filter(kernels) {
        let found = found.get(&counter.collection).copied();
        if found.is_none_or(|(value, _)| value < counter.value) {
            reports.push(SequenceReport {
                name: format!("of collection {}", counter.collection),
                dump: Some((counter.value, counter.is_called)),
                found,
                verdict: Verdict::Differs,
            });
        }
    }
    Ok(reports)
}

/// The plugins of the dump, and those that run here.
pub(super) fn plugins(manifest: &Manifest, host: &PluginHost) -> Vec<PluginReport> {
    let here = |id: &str| host.plugin(id);
    let version = |status: &heliosdb_plugin_host::PluginStatus| {
        let manifest = status.manifest.as_ref();
        manifest.map(|m| m.version.to_string())
    };
    let mut reports: Vec<PluginReport> = manifest
        .plugins
        .iter()
        .filter(|plugin| plugin.needed() || here(&plugin.id).is_some())
        .map(|plugin| {
            let status = here(&plugin.id);
            PluginReport {
                id: plugin.id.clone(),
                from_version: (!plugin.version.is_empty()).then(|| plugin.version.clone()),
                to_version: status.as_ref().and_then(version),
                state: match &status {
                    Some(status) => status.state.name().to_owned(),
                    None => "missing".to_owned(),
                },
                needed: plugin.needed(),
            }
        })
        .collect();
    for status in host.plugins() {
        if manifest.plugins.iter().all(|p| p.id != status.id) {
            reports.push(PluginReport {
                to_version: version(&status),
                state: status.state.name().to_owned(),
                id: status.id,
                from_version: None,
                needed: false,
            });
        }
    }
    reports
}

/// What the code of each plugin says of every entry it keeps.
pub(super) fn plugin_checks(
    planned: &[Planned],
    linked: &[RootRef],
    engine: &Engine,
    interrupt: &Interrupt,
) -> Result<Vec<CheckReport>, ImportError> {
    let checks = check_stores(planned, linked, &engine.latest_view(), interrupt)?;
    let checked = checks
        .into_iter()
        .filter(|c| c.checked || c.problem.is_some());
    Ok(checked
        .map(|check| CheckReport {
            name: format!("{}.{}", check.plugin, check.store),
            verdict: Verdict::of(check.problem.is_none()),
            details: vec![match check.problem {
                Some(problem) => problem,
                None => format!(
                    "its plugin accepts {} of version {}",
                    counted(check.tally.entries, "entry"),
                    check.version
                ),
            }],
        })
        .collect())
}

/// Whether every view can be planned. None is run: a view may take values from sequences, and what it
/// answers is a matter of its tables and of the time.
///
/// # Errors
///
/// There is no session.
pub(super) fn views(
    manifest: &Manifest,
    instance: &Arc<Instance>,
) -> Result<CheckReport, ImportError> {
    let mut session = instance.session(SessionOptions {
        user: FIRST_NAME.to_owned(),
        database: instance.database().to_owned(),
        ..SessionOptions::default()
    })?;
    let objects = manifest.objects.iter();
    let views: Vec<&ObjectDescription> = objects.filter(|o| o.kind == "view").collect();
    let mut problems = Vec::new();
    for view in &views {
        if let Err(error) = session.prepare(&format!("SELECT * FROM {}", view.name), &[]) {
            problems.push(format!("view {}: {}", view.name, error.message));
        }
    }
    Ok(CheckReport {
        name: "views".to_owned(),
        verdict: Verdict::of(problems.is_empty()),
        details: match problems.is_empty() {
            true => vec![format!("{} planned", counted(views.len() as u64, "view"))],
            false => problems,
        },
    })
}

/// How the columns are stored that were given a codec, and whether everything that a codec of a plugin
/// wrote can be read. A page need not be in its column's codec: it may be older than the choice, still
/// be in memory, or the codec may have found that it does not help.
pub(super) fn compression(manifest: &Manifest, engine: &Engine, host: &PluginHost) -> CheckReport {
    let registry = host.registry();
    let mut details = Vec::new();
    let mut readable = true;
    for pages in engine.codecs_in_use() {
        if let Encoding::Codec(codec) = &pages.encoding
            && registry.decoder(codec).is_none()
        {
            readable = false;
            let column = column_name(manifest, pages.collection, pages.column);
            details.push(format!(
                "{column} is stored with codec {codec}, which is missing"
            ));
        }
    }
    let inventory = engine.column_pages();
    for table in manifest.tables.iter().filter(|t| t.name.is_some()) {
        for (place, column) in (0..).map(ColumnId).zip(&table.columns) {
            let Some(wanted) = &column.compression else {
                continue;
            };
            let own = inventory.iter().filter(|pages| {
                (pages.collection, pages.column) == (CollectionId(table.collection), place)
            });
            let (mut all, mut with_it) = (0, 0);
            for pages in own {
                all += pages.pages;
                if pages.encoding.name() == &**wanted {
                    with_it += pages.pages;
                }
            }
            let name = column_name(manifest, CollectionId(table.collection), place);
            details.push(format!(
                "{name}: {with_it} of {} in codec {wanted}",
                counted(all, "page")
            ));
        }
    }
    if details.is_empty() {
        details.push("no column has a codec of its own".to_owned());
    }
    CheckReport {
        name: "compression".to_owned(),
        verdict: Verdict::of(readable),
        details,
    }
}

fn column_name(manifest: &Manifest, table: CollectionId, column: ColumnId) -> String {
    let found = manifest.table(table.0);
    let name = found.and_then(|t| t.columns.get(usize::from(column.0)));
    match (found, name) {
        (Some(table), Some(column)) => format!("{}.{}", table.label(), column.name),
        _ => format!("column {column} of collection {table}"),
    }
}
