//! The plugin: what of the core is seen in SQL, and how.
//!
//! | in SQL | here |
//! |---|---|
//! | `json_matches_schema`, `jsonschema_errors`, … | [`function`] |
//! | `doc jsonb VALIDATE USING SCHEMA person` | [`clause`], which makes a constraint |
//! | the constraint `json_schema` | [`constraint`] |
//! | `CREATE`, `ALTER`, `DROP JSON SCHEMA` | [`command`] |
//!
//! A named schema is an object of the catalog, of the class [`CLASS`](state::CLASS), and an entry of the store
//! under the object's oid ([`named`]). Constraints depend on the schemas they use, and schemas on
//! those they refer to, so DROP and ALTER know who is concerned.

mod clause;
mod command;
mod constraint;
mod function;
mod name;
mod named;
mod stored_rows;
mod words;

use std::sync::Arc;

use heliosdb_jsonschema_state as state;
use heliosdb_plugin_api::{
    CatalogEvent, Context, Fixture, Host, Migrations, Plugin, Registrar, Result, Settings,
};

use crate::document::{DEPTH_MAX, Parser};
use crate::schema::{Cache, Compiled, Formats, Violations};
use crate::stack::Watch;
use crate::step::{self, OneToTwo};

use named::Named;

/// The plugin, started.
pub struct JsonSchema {
    compiled: Cache,
    /// Violations that one error describes.
    max_errors: usize,
}

heliosdb_plugin_api::plugin!(JsonSchema);

impl Plugin for JsonSchema {
    const MANIFEST: &'static str = include_str!("../../plugin.toml");

    fn start(_host: Host, settings: &Settings) -> Result<JsonSchema> {
        let max_errors = settings.integer("max_errors");
        let formats = match settings.text("formats") {
            Some("assert") => Formats::Assert,
            _ => Formats::Annotate,
        };
        Ok(JsonSchema {
            compiled: Cache::new(formats),
            max_errors: max_errors
                .and_then(|n| usize::try_from(n).ok())
                .unwrap_or(10),
        })
    }

    fn register(self: &Arc<Self>, registrar: &mut Registrar) -> Result<()> {
        function::register(self, registrar)?;
        command::register(self, registrar)?;
        registrar.clause("validate_using_schema", clause::ValidateUsingSchema)?;
        registrar.constraint("json_schema", constraint::JsonSchemaCheck(Arc::clone(self)))
    }

    fn on_event(&self, cx: &Context<'_>, event: &CatalogEvent) -> Result<()> {
        match event {
            CatalogEvent::Dropped(object) => Named::new(cx)?.remove(object.oid),
            // The state is under the oid, and a URI stays.
            CatalogEvent::Renamed { .. } => Ok(()),
        }
    }

    fn migrations() -> Migrations {
        let fixture = |version, golden| Fixture {
            store: state::STORE.to_owned(),
            version,
            entries: state::golden::entries(golden),
        };
        Migrations::default()
            .step(state::STORE, 1, step::CHECKSUM, OneToTwo)
            .fixture(fixture(1, state::golden::VERSION_1))
            .fixture(fixture(2, state::golden::VERSION_2))
    }
}

/// Checks texts against a schema on behalf of a statement.
struct Checker<'a> {
    cx: &'a Context<'a>,
    parser: Parser,
}

impl<'a> Checker<'a> {
    fn new(cx: &'a Context<'a>) -> Checker<'a> {
        Checker {
            cx,
            parser: Parser::new(),
        }
    }

    fn matches(&mut self, schema: &Compiled, text: &str) -> Result<bool> {
        let canceled = || self.cx.is_cancelled();
        let watch = Watch::new(&canceled);
        let document = self.parser.parse(text, DEPTH_MAX)?;
        schema.matches(&document.watched(&watch))
    }

    fn violations(&mut self, schema: &Compiled, text: &str, max: usize) -> Result<Violations> {
        let canceled = || self.cx.is_cancelled();
        let watch = Watch::new(&canceled);
        let document = self.parser.parse(text, DEPTH_MAX)?;
        schema.violations(&document.watched(&watch), max)
    }
}
