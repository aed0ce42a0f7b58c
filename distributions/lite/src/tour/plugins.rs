//! Step: what is a plugin, and what the plugins are made of.

use std::env;

use super::program::show;
use super::stage::{Stage, Who};
use super::step::{Next, Outcome, Play, Step, Trouble};

pub const STEP: Step = Step {
    title: "Plugins",
    play: Play::Code(look),
    next: &[
        Next::Sql("SELECT name, default_version, installed_version FROM pg_available_extensions"),
        Next::Read(
            "heliosdb-lite plugin new reverse --kind function writes a plugin that builds and passes its tests.",
        ),
    ],
};

fn look(stage: &mut Stage) -> Outcome {
    stage.say(
        "JSON Schema is not in the kernel: it is a plugin, and uses what any plugin may use.",
    )?;
    stage.run(
        Who::First,
        "SELECT name, version, state, linkage, activation FROM helios_plugins",
    )?;
    stage.run(
        Who::First,
        "SELECT id, state, plugins FROM helios_extension_points",
    )?;
    stage.say(
        "Its schemas are in a store of the database, versioned, logged and exported like a table:",
    )?;
    stage.run(
        Who::First,
        "SELECT plugin, store, version, state, entries, bytes FROM helios_plugin_stores",
    )?;
    stage.say("What the next start would do with each, without starting any:")?;
    let lite = env::current_exe()
        .map_err(|error| Trouble::failed(format!("cannot find this program: {error}")))?;
    let data = stage.data().to_path_buf();
    let listed = show(
        stage,
        super::program::Program::new(&lite)
            .args(["plugin", "list", "--data"])
            .arg(&data),
    )?;
    if !listed.success {
        return Err(Trouble::failed("plugin list failed"));
    }
    Ok(())
}
