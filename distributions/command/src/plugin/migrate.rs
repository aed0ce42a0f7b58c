//! `plugin migrate`, `plugin finalize` and `plugin rollback`: the state of plugins, while no server
//! runs.

use heliosdb_kernel::{Database, plugins};

use crate::args::{Place, PluginMigrate, PluginState};
use crate::{Edition, Failed, open};

/// Status 1 when a plugin would not migrate, or did not.
pub fn run<P: Place>(edition: &Edition, arguments: &PluginMigrate<P>) -> Result<(), Failed> {
    let directory = &arguments.place.directory();
    let config = open::read_config(directory, arguments.config.as_deref())?;
    let linked = (edition.plugins)()?;
    if !arguments.dry_run {
        if !directory.is_dir() {
            return Err(format!("there is no directory {}", directory.display()).into());
        }
        let database = Database::open_edition(directory, &config, &linked, edition.name);
        let database = database.map_err(|error| error.to_string())?;
        let reports = database.plugin_reports();
        let failed = database.plugin_failures();
        if reports.is_empty() && failed.is_empty() {
            println!("nothing to migrate");
        }
        for report in reports {
            println!("{report}");
        }
        database.close().map_err(|error| error.message)?;
        return say(edition, failed);
    }
    let reports = plugins::dry_run(directory, &config, &linked, edition.name);
    let reports = reports.map_err(|error| error.to_string())?;
    let mut failed = Vec::new();
    for (plugin, report) in reports {
        match report {
            Ok(report) => println!("{report}"),
            Err(why) => failed.push((plugin, why)),
        }
    }
    say(edition, failed)
}

fn say(edition: &Edition, failed: Vec<(String, String)>) -> Result<(), Failed> {
    if failed.is_empty() {
        return Ok(());
    }
    for (plugin, why) in failed {
        eprintln!("{}: plugin {plugin}: {why}", edition.program);
    }
    Err(Failed::Said)
}

pub fn finalize<P: Place>(edition: &Edition, arguments: &PluginState<P>) -> Result<(), Failed> {
    let directory = &arguments.place.directory();
    let config = open::read_config(directory, arguments.config.as_deref())?;
    let finalized = plugins::finalize(directory, &config, edition.name, &arguments.name);
    println!("{}", finalized.map_err(|error| error.to_string())?);
    Ok(())
}

pub fn rollback<P: Place>(edition: &Edition, arguments: &PluginState<P>) -> Result<(), Failed> {
    let directory = &arguments.place.directory();
    let config = open::read_config(directory, arguments.config.as_deref())?;
    let back = plugins::rollback(directory, &config, edition.name, &arguments.name);
    println!("{}", back.map_err(|error| error.to_string())?);
    Ok(())
}
