//! A plugin that misbehaves in every way it can without leaving Rust's rules for its own memory.
//!
//! Its setting `act` names the one thing it does wrong; without one it behaves. What it does from safe
//! code is in [`bodies`]; what needs its own entries, because the author's kit does not let a plugin do
//! it, is in [`entries`]; what it does to Arrow's structs is in [`columns`].

mod bodies;
mod columns;
mod entries;

use std::sync::{Arc, Mutex, PoisonError};

use heliosdb_plugin_api::{Error, Host, Plugin, Registrar, Result, Settings, state};

/// One act for the process: a test that starts it twice at once wants the same act.
static ACT: Mutex<String> = Mutex::new(String::new());

fn act() -> String {
    ACT.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

fn is(name: &str) -> bool {
    act() == name
}

struct Hostile;

impl Plugin for Hostile {
    const MANIFEST: &'static str = include_str!("../plugin.toml");

    fn start(_: Host, settings: &Settings) -> Result<Hostile> {
        let act = settings.text("act").unwrap_or_default();
        act.clone_into(&mut ACT.lock().unwrap_or_else(PoisonError::into_inner));
        match act {
            "hangs in start" => loop {
                std::thread::park();
            },
            "panics in start" => panic!("no"),
            "refuses in start" => Err(Error::new(state::OUT_OF_MEMORY, "not today")),
            _ => Ok(Hostile),
        }
    }

    fn register(self: &Arc<Self>, registrar: &mut Registrar) -> Result<()> {
        if !is("forgets a function") {
            registrar.scalar("hostile_bigint", &["bigint"], bodies::bigint)?;
        }
        registrar.scalar("hostile_text", &["bigint"], bodies::text)?;
        registrar.scalar("hostile_json", &["bigint"], bodies::json)?;
        registrar.aggregate("hostile_sum", &["bigint"], bodies::sum)?;
        registrar.table("hostile_rows", &["bigint"], bodies::rows)?;
        registrar.sql_type("hostile_type", bodies::Opaque)?;
        registrar.constraint("hostile_constraint", bodies::Never)?;
        registrar.clause("hostile_clause", bodies::Never)?;
        registrar.command("DO HOSTILE", bodies::command)?;
        registrar.codec("hostile_codec", bodies::Opaque)
    }

    fn stop(&self) {
        assert!(!is("panics in stop"), "no");
    }
}

heliosdb_plugin_api::export_plugin!(Hostile, entries::root);
