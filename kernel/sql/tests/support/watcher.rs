//! A plugin that observes the word lists: it writes down what it is told, and what it sees then.

use std::sync::Arc;

use heliosdb_plugin_api::arrow::ArrayRef;
use heliosdb_plugin_api::arrow::array::StringViewArray;
use heliosdb_plugin_api::service::ObjectInfo;
use heliosdb_plugin_api::{
    Argument, CommandOutcome, Context, Error, Host, Observer, Plugin, Registrar, Result, Settings,
};

pub struct Watcher;

impl Plugin for Watcher {
    const MANIFEST: &'static str = r#"
id = "watcher"
version = "1.0.0"
abi = 1
description = "watches word lists, for tests"
services = ["store/1", "sql/1"]

[[command]]
prefix = "SHOW SIGHTINGS"
returns = "TABLE(sighting text)"

[[observer]]
plugin = "words"

[[store]]
name = "sightings"
version = 1
"#;

    fn start(_: Host, _: &Settings) -> Result<Watcher> {
        Ok(Watcher)
    }

    fn register(self: &Arc<Self>, registrar: &mut Registrar) -> Result<()> {
        registrar.observer("words", Sightings)?;
        registrar.command("SHOW SIGHTINGS", show)
    }
}

struct Sightings;

impl Observer for Sightings {
    fn changed(&self, cx: &Context<'_>, command: &str, objects: &[ObjectInfo]) -> Result<()> {
        let names: Vec<&str> = objects.iter().map(|o| o.name.as_str()).collect();
        let names = names.join(", ");
        match names.as_str() {
            "forbidden" => Err(Error::internal("the watcher does not want it")),
            "bomb" => panic!("it went off"),
            _ => write_down(cx, &format!("{command}: {names}")),
        }
    }

    fn dropped(&self, cx: &Context<'_>, object: &ObjectInfo) -> Result<()> {
        if object.name == "held" {
            return Err(Error::internal("the watcher wants to keep it"));
        }
        write_down(cx, &format!("gone: {}.{}", object.schema, object.name))
    }
}

/// With the lists that SQL shows, those of this statement included.
fn write_down(cx: &Context<'_>, what: &str) -> Result<()> {
    let lists = "SELECT string_agg(name::text, ' ' ORDER BY name) FROM helios_plugin_objects";
    let answer = cx.sql()?.query(lists, &[])?;
    let lists = answer.batches.first().and_then(|batch| batch.first());
    let lists = lists.map(|column| Argument::new(column.clone(), false));
    let lists = lists.as_ref().and_then(|column| column.text(0));
    let sightings = cx.store("sightings")?;
    let number = sightings.entries()?.len() as u32;
    let line = format!("{what} ({})", lists.unwrap_or("no list"));
    sightings.put(&number.to_be_bytes(), line.as_bytes())
}

fn show(cx: &Context<'_>, _: &str) -> Result<CommandOutcome> {
    let entries = cx.store("sightings")?.entries()?;
    let lines = entries.iter().map(|e| String::from_utf8_lossy(&e.value));
    let lines: ArrayRef = Arc::new(StringViewArray::from_iter_values(lines));
    Ok(CommandOutcome {
        tag: format!("SHOW {}", entries.len()),
        columns: vec![("sighting".to_owned(), "text".to_owned())],
        batches: vec![vec![lines]],
    })
}
