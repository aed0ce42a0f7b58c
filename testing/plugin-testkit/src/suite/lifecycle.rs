//! Manifest, build, settings, start and stop.

use std::collections::BTreeMap;

use heliosdb_plugin_api::Manifest;
use heliosdb_plugin_api::abi::ABI_VERSION;
use heliosdb_plugin_api::abi::RStr;
use heliosdb_plugin_api::manifest::{Provides, SettingType};

use super::{Outcome, Suite, ensure};

/// Starts and stops of one plugin in [`start_and_stop_again`].
const STARTS: usize = 100;

pub fn manifest(suite: &Suite) -> Outcome {
    let text = (suite.root.manifest())();
    let manifest = Manifest::parse(text.as_str()).map_err(|e| format!("plugin.toml: {e}"))?;
    ensure(manifest.abi == ABI_VERSION, || {
        format!("plugin.toml says abi = {}, not {ABI_VERSION}", manifest.abi)
    })?;
    ensure(!manifest.description.is_empty(), || {
        "plugin.toml has no description".to_owned()
    })?;
    for setting in &manifest.settings {
        ensure(!setting.description.is_empty(), || {
            format!("the setting \"{}\" has no description", setting.name)
        })?;
    }
    Ok(())
}

pub fn build(suite: &Suite) -> Outcome {
    let abi = (suite.root.abi())();
    ensure(abi == ABI_VERSION, || {
        format!("built for ABI {abi}, not {ABI_VERSION}")
    })?;
    ensure((suite.root.panics_unwind())(), || {
        "built with panic = \"abort\", which no host takes".to_owned()
    })?;
    let loaded = suite.loaded()?;
    for id in loaded.manifest.extension_points() {
        let found = (suite.root.extension())(RStr::from(id)).is_some();
        ensure(found, || {
            format!("the plugin needs {id}, which its build does not have")
        })?;
    }
    let unknown = (suite.root.extension())(RStr::from("no_such_point/1"));
    ensure(unknown.is_none(), || {
        "the plugin claims an extension point that does not exist".to_owned()
    })
}

pub fn start_with_defaults(suite: &Suite) -> Outcome {
    let loaded = suite.loaded()?;
    let host = suite.host(&loaded);
    let started = loaded.start(&host, &BTreeMap::new());
    let started = started.map_err(|e| format!("start with default settings: {e}"))?;
    started.stop().map_err(|e| format!("stop: {e}"))?;
    // Without any service it may refuse to start, in order.
    host.grant(&[]);
    if let Err(failed) = loaded.start(&host, &BTreeMap::new()) {
        ensure(!failed.panicked, || {
            format!("start without services: {failed}")
        })?;
    }
    Ok(())
}

/// The manifest refuses values of a wrong type or range; the plugin itself must bear them too, and
/// what is no JSON object of settings at all.
pub fn start_with_bad_settings(suite: &Suite) -> Outcome {
    let loaded = suite.loaded()?;
    let host = suite.host(&loaded);
    for setting in &loaded.manifest.settings {
        let wrong: toml::Value = match setting.kind {
            SettingType::Text | SettingType::Size => toml::Value::Boolean(true),
            _ => toml::Value::String("wrong".to_owned()),
        };
        let name = setting.name.clone();
        let started = loaded.start(&host, &BTreeMap::from([(name, wrong)]));
        ensure(started.is_err(), || {
            format!(
                "the setting \"{}\" takes a value of a wrong type",
                setting.name
            )
        })?;
    }
    let mut bad = vec!["{}".to_owned(), "[]".to_owned(), "{".to_owned()];
    for value in ["null", "-1", "\"\"", "{}", "1e308", "true"] {
        let settings = loaded.manifest.settings.iter();
        let settings: Vec<String> = settings
            .map(|s| format!("\"{}\": {value}", s.name))
            .collect();
        bad.push(format!("{{{}}}", settings.join(", ")));
    }
    for settings in bad {
        match loaded.start_raw(&host, &settings) {
            Ok(started) => started
                .stop()
                .map_err(|e| format!("stop after a start with settings {settings}: {e}"))?,
            Err(failed) => ensure(!failed.panicked, || {
                format!("start with settings {settings}: {failed}")
            })?,
        }
    }
    Ok(())
}

pub fn registrations(suite: &Suite) -> Outcome {
    let loaded = suite.loaded()?;
    let started = loaded
        .start(&suite.host(&loaded), &suite.samples.settings)
        .map_err(|e| format!("the plugin does not start: {e}"))?;
    let claimed = &loaded.manifest.provides;
    compare(claimed, &started.provides, &without_migrations)?;
    let migrations = match loaded.migrations() {
        None => Provides::default(),
        Some(migrations) => migrations.declared().map_err(|e| e.to_string())?,
    };
    compare(claimed, &migrations, &only_migrations)
}

fn without_migrations(provides: &Provides) -> Provides {
    Provides {
        steps: Vec::new(),
        adopts: Vec::new(),
        ..provides.clone()
    }
}

fn only_migrations(provides: &Provides) -> Provides {
    Provides {
        steps: provides.steps.clone(),
        adopts: provides.adopts.clone(),
        ..Provides::default()
    }
}

/// Both sides as lines, so that order does not count and the one that differs can be named.
fn compare(
    claimed: &Provides,
    registered: &Provides,
    part: &dyn Fn(&Provides) -> Provides,
) -> Outcome {
    let (claimed, registered) = (lines(&part(claimed))?, lines(&part(registered))?);
    let only = |mine: &[String], other: &[String]| {
        let missing = mine.iter().find(|line| !other.contains(line));
        missing.cloned()
    };
    if let Some(line) = only(&claimed, &registered) {
        return Err(format!("in the manifest and not registered: {line}"));
    }
    if let Some(line) = only(&registered, &claimed) {
        return Err(format!("registered and not in the manifest: {line}"));
    }
    ensure(claimed.len() == registered.len(), || {
        "something is registered twice".to_owned()
    })
}

fn lines(provides: &Provides) -> Result<Vec<String>, String> {
    let value = serde_json::to_value(provides).map_err(|e| e.to_string())?;
    let mut lines = Vec::new();
    for (kind, list) in value.as_object().into_iter().flatten() {
        let list = list.as_array().into_iter().flatten();
        lines.extend(list.map(|one| format!("{kind} {one}")));
    }
    lines.sort();
    Ok(lines)
}

pub fn start_and_stop_again(suite: &Suite) -> Outcome {
    let loaded = suite.loaded()?;
    let host = suite.host(&loaded);
    for n in 1..=STARTS {
        let started = loaded.start(&host, &suite.samples.settings);
        let started = started.map_err(|e| format!("start {n} on one host: {e}"))?;
        started.stop().map_err(|e| format!("stop {n}: {e}"))?;
        ensure(host.memory_reserved() == 0, || {
            format!(
                "{} bytes are still reserved after stop",
                host.memory_reserved()
            )
        })?;
    }
    // Two instances beside each other are two databases of one process.
    let other = suite.host(&loaded);
    let first = loaded.start(&host, &suite.samples.settings);
    let second = loaded.start(&other, &suite.samples.settings);
    let first = first.map_err(|e| format!("the first of two instances: {e}"))?;
    let second = second.map_err(|e| format!("the second of two instances: {e}"))?;
    first
        .stop()
        .map_err(|e| format!("stop of the first: {e}"))?;
    second
        .stop()
        .map_err(|e| format!("stop of the second: {e}"))
}
