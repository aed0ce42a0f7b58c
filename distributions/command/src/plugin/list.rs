//! `plugin list`: every plugin of a database, and what the next start of a server does with it.
//!
//! It decides as a server does and runs no plugin, so it works beside a running server, and on a
//! database whose server does not start. What a running server made of its plugins is in the view
//! `helios_plugins`.

use std::io::Write;
use std::path::Path;

use heliosdb_kernel::Database;
use heliosdb_plugin_host::boot::{BootPlan, Planned};
use heliosdb_plugin_host::host::linkage;
use heliosdb_plugin_host::resolve::{Origin, Outcome};

use crate::args::{Place, PluginList};
use crate::client::Column;
use crate::output::write_result;
use crate::{Edition, Failed, open};

const COLUMNS: [&str; 7] = [
    "name",
    "version",
    "activation",
    "state",
    "linkage",
    "extension points",
    "reason",
];
/// PostgreSQL's oid of text.
const TEXT: u32 = 25;

pub fn run<P: Place>(edition: &Edition, arguments: &PluginList<P>) -> Result<(), Failed> {
    let directory = &arguments.place.directory();
    let config = open::read_config(directory, arguments.config.as_deref())?;
    let plan = Database::plan_plugins(directory, &config, &(edition.plugins)()?);
    let plan = plan.map_err(|error| error.to_string())?;
    let columns = COLUMNS.map(|name| Column {
        name: name.to_owned(),
        type_oid: TEXT,
    });
    let mut out = std::io::stdout().lock();
    let written = write_result(&mut out, arguments.format, false, &columns, &rows(&plan));
    match written.and_then(|()| out.flush()) {
        Ok(()) => Ok(()),
        Err(error) => Err(Failed::With(format!("cannot write: {error}"))),
    }
}

fn rows(plan: &BootPlan) -> Vec<Vec<Option<String>>> {
    let mut rows: Vec<Vec<Option<String>>> = plan.plugins.iter().map(found).collect();
    for refused in &plan.unreadable {
        let file = file_name(&refused.path);
        let name = refused.id.clone().unwrap_or_else(|| file.clone());
        let linkage = format!("dynamic ({file})");
        let activation = plan.config.activation(&name).to_string();
        let reason = refused.refusal.to_string();
        rows.push(row([
            &name,
            "",
            &activation,
            "failed",
            &linkage,
            "",
            &reason,
        ]));
    }
    for id in &plan.missing {
        let activation = plan.config.activation(id).to_string();
        let reason = "its file is not in the plugin directory";
        rows.push(row([id, "", &activation, "missing", "dynamic", "", reason]));
    }
    rows
}

fn file_name(path: &Path) -> String {
    let name = path.file_name().unwrap_or(path.as_os_str());
    name.to_string_lossy().into_owned()
}

fn found(plugin: &Planned) -> Vec<Option<String>> {
    let manifest = &plugin.manifest;
    let (state, reason) = match &plugin.outcome {
        Outcome::Start => ("starts".to_owned(), ""),
        Outcome::Not(state, reason) => (state.to_string(), reason.as_str()),
    };
    let mut linkage = linkage(&plugin.origin).to_owned();
    if let Origin::File(path) = &plugin.origin {
        linkage.push_str(&format!(" ({})", file_name(path)));
    }
    row([
        &manifest.id,
        &manifest.version.to_string(),
        &plugin.activation.to_string(),
        &state,
        &linkage,
        &manifest.extension_points().join(", "),
        reason,
    ])
}

/// Empty is NULL.
fn row(cells: [&str; 7]) -> Vec<Option<String>> {
    let cell = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    cells.into_iter().map(cell).collect()
}
