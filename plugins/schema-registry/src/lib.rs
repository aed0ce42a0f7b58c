//! The registry of JSON schemas, a plugin of Full: every text that a named schema ever had is kept as
//! a version of it, with where it came from.
//!
//! | in SQL | here |
//! |---|---|
//! | `json_schema_versions()`, `json_schema_version(name, version)` | [`function`] |
//! | `CREATE`, `ALTER`, `DROP JSON SCHEMA` of the plugin jsonschema | [`observer`] |
//! | a database that has named schemas and no registry yet | [`adoption`] |
//!
//! The plugin jsonschema goes on having the schemas: what checks rows is its store. The registry's
//! ([`state`]) has what became of them, under the same oids. Invariants:
//!
//! 1. A version never changes and never goes. The versions of a schema count from 1 without a gap.
//! 2. A change of a schema and its version are in one transaction. What changed while this plugin was
//!    off is recorded by the next statement about any schema, as *found*.
//! 3. What the catalog knows is not kept twice: a schema that is there has its name and its owner from
//!    there. The name it had is kept for when it is gone.

mod adoption;
mod function;
mod name;
mod named;
mod observer;
pub mod state;

use std::sync::Arc;

use heliosdb_jsonschema_state as schemas;
use heliosdb_plugin_api::manifest::AdoptDecl;
use heliosdb_plugin_api::{Fixture, Host, Migrations, Plugin, Registrar, Result, Settings};

/// The plugin, started.
pub struct SchemaRegistry;

heliosdb_plugin_api::plugin!(SchemaRegistry);

impl Plugin for SchemaRegistry {
    const MANIFEST: &'static str = include_str!("../plugin.toml");

    fn start(_host: Host, _settings: &Settings) -> Result<SchemaRegistry> {
        Ok(SchemaRegistry)
    }

    fn register(self: &Arc<Self>, registrar: &mut Registrar) -> Result<()> {
        registrar.table("json_schema_versions", &[], function::versions)?;
        registrar.scalar(
            "json_schema_version",
            &["text", "integer"],
            function::version,
        )?;
        registrar.observer(schemas::PLUGIN, observer::Recorder)
    }

    fn migrations() -> Migrations {
        let adopts = AdoptDecl {
            plugin: schemas::PLUGIN.to_owned(),
            store: schemas::STORE.to_owned(),
            version: adoption::FROM,
            into: state::STORE.to_owned(),
            to: Some(1),
            checksum: adoption::CHECKSUM.to_owned(),
        };
        Migrations::default()
            .adopt(adopts, adoption::Adoption)
            .fixture(Fixture {
                store: state::STORE.to_owned(),
                version: 1,
                entries: schemas::golden::entries(state::GOLDEN_1),
            })
    }
}
