//! A plugin with one of everything, which is sound, or has one fault.

mod codec;
mod functions;
mod pair;
mod tally;

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{ArrayRef, StringViewArray};
use heliosdb_plugin_api::manifest::AdoptDecl;
use heliosdb_plugin_api::service::ObjectInfo;
use heliosdb_plugin_api::{
    Arguments, ClauseAction, CommandOutcome, ConstraintDefinition, Context, Entry, Error, Fixture,
    Host, Migrations, Plugin, Registrar, Result, Settings, Step, Violation, state,
};
use heliosdb_plugin_testkit::Samples;

/// The faults. Each is one way in which the plugin is not as the suite wants it.
pub mod fault {
    pub const NONE: u8 = 0;
    pub const PANICS_IN_START: u8 = 1;
    pub const REFUSES_DEFAULTS: u8 = 2;
    pub const BELIEVES_SETTINGS: u8 = 3;
    pub const FORGETS_A_FUNCTION: u8 = 4;
    pub const KEEPS_MEMORY: u8 = 5;
    pub const STARTS_ONCE: u8 = 6;
    pub const WRONG_LENGTH: u8 = 7;
    pub const WRONG_TYPE: u8 = 8;
    pub const COUNTS_ROWS: u8 = 9;
    pub const NOT_DETERMINISTIC: u8 = 10;
    pub const FORGETS_CONSTANTS: u8 = 11;
    pub const PANICS_ON_NULL: u8 = 12;
    pub const FORGETS_MERGE: u8 = 13;
    pub const BELIEVES_STATE: u8 = 14;
    pub const IGNORES_CANCEL: u8 = 15;
    pub const NEVER_THE_SAME_ROWS: u8 = 16;
    pub const TEXT_LOSES: u8 = 17;
    pub const BYTES_LOSE: u8 = 18;
    pub const BELIEVES_BYTES: u8 = 19;
    pub const FIRST_ROW_ONLY: u8 = 20;
    pub const ROW_BEYOND: u8 = 21;
    pub const UNKNOWN_CONSTRAINT: u8 = 22;
    pub const NO_TAG: u8 = 23;
    pub const SLICES_TEXT: u8 = 24;
    pub const LOSES_NULLS: u8 = 25;
    pub const BELIEVES_LENGTH: u8 = 26;
    pub const WRONG_SLICE: u8 = 27;
    pub const WRONG_FILTER: u8 = 28;
    pub const PANICS_ON_DAMAGE: u8 = 29;
    pub const DEPENDS_ON_BATCHES: u8 = 30;
    pub const FAILS_ITS_CHECK: u8 = 31;
    pub const NO_FIXTURE: u8 = 32;
    pub const KEYS_TWICE: u8 = 33;
    pub const PANICS_IN_STOP: u8 = 34;
    pub const OBSERVES_TWICE: u8 = 35;
    pub const BELIEVES_OBJECTS: u8 = 36;
    pub const ADOPTS_BY_BATCH: u8 = 37;
    pub const REFUSES_ITS_OWN: u8 = 38;
    pub const LOSES_ITS_PLACE: u8 = 39;
    pub const BELIEVES_IN_WRITES: u8 = 40;
    pub const NEVER_RESTS: u8 = 41;
}

pub const MANIFEST: &str = include_str!("plugin.toml");

pub struct Specimen<const FAULT: u8> {
    loudness: i64,
    memory: Option<heliosdb_plugin_api::service::Reservation>,
}

impl<const FAULT: u8> Plugin for Specimen<FAULT> {
    const MANIFEST: &'static str = MANIFEST;

    fn start(host: Host, settings: &Settings) -> Result<Self> {
        assert!(FAULT != fault::PANICS_IN_START, "no start");
        let loudness = settings.integer("loudness");
        let loudness = match FAULT {
            fault::BELIEVES_SETTINGS => loudness.expect("the host has checked it"),
            _ => loudness.ok_or_else(|| Error::internal("no loudness"))?,
        };
        if FAULT == fault::REFUSES_DEFAULTS && loudness == 1 {
            return Err(Error::internal("louder, please"));
        }
        let memory = host.memory()?.reserve(1000)?;
        if FAULT == fault::KEEPS_MEMORY {
            std::mem::forget(host.memory()?.reserve(1)?);
        }
        if FAULT == fault::STARTS_ONCE {
            static STARTED: std::sync::Once = std::sync::Once::new();
            let mut first = false;
            STARTED.call_once(|| first = true);
            if !first {
                return Err(Error::internal("it has started before"));
            }
        }
        Ok(Specimen {
            loudness,
            memory: Some(memory),
        })
    }

    fn register(self: &Arc<Self>, registrar: &mut Registrar) -> Result<()> {
        let loudness = usize::try_from(self.loudness).unwrap_or(0);
        registrar.scalar(
            "shout",
            &["text", "integer"],
            move |_: &Context<'_>, a: &Arguments| functions::shout::<FAULT>(loudness, a),
        )?;
        if FAULT != fault::FORGETS_A_FUNCTION {
            registrar.scalar("halve", &["bigint"], functions::halve::<FAULT>)?;
        }
        registrar.scalar("pair_eq", &["pair", "pair"], pair::equal)?;
        registrar.aggregate("total", &["bigint"], functions::total::<FAULT>)?;
        registrar.table("letters", &["text"], functions::letters::<FAULT>)?;
        registrar.sql_type("pair", pair::Pair::<FAULT>)?;
        registrar.constraint("short", Short::<FAULT>)?;
        registrar.clause("short", ShortClause::<FAULT>)?;
        registrar.command("CREATE SPECIMEN", create::<FAULT>)?;
        registrar.command("SHOW SPECIMENS", show)?;
        registrar.observer("collection", Sightings::<FAULT>)?;
        registrar.worker("tally", tally::Tally::<FAULT>)?;
        registrar.codec("runs", codec::Runs::<FAULT>)
    }

    fn migrations() -> Migrations {
        let drawers = AdoptDecl {
            plugin: "collection".to_owned(),
            store: "drawers".to_owned(),
            version: 3,
            into: "sightings".to_owned(),
            to: None,
            checksum: "names of drawers".to_owned(),
        };
        let migrations = Migrations::default()
            .step("specimens", 1, "names in upper case", Upper::<FAULT>)
            .adopt(drawers, Drawers::<FAULT>);
        if FAULT == fault::NO_FIXTURE {
            return migrations;
        }
        let entry = |n: u8| Entry {
            key: vec![b'k', n],
            value: b"name".to_vec(),
        };
        migrations.fixture(Fixture {
            store: "specimens".to_owned(),
            version: 1,
            entries: (0..20).map(entry).collect(),
        })
    }

    fn stop(&self) {
        assert!(FAULT != fault::PANICS_IN_STOP, "no stop");
        debug_assert!(self.memory.is_some());
    }
}

/// What the suite needs to know of the plugin.
#[allow(dead_code)] // Not every user of this file runs the suite.
pub fn samples() -> Samples {
    let texts = StringViewArray::from(vec![
        Some("a"),
        None,
        Some("too long"),
        Some("ok"),
        Some("also too long"),
    ]);
    Samples::new()
        .setting("loudness", 3)
        .texts("pair", &["(1,2)", "(-5,70000)"])
        .constraint("short", "4", vec![Arc::new(texts)])
        .clause("short", &["4"])
        .command("CREATE SPECIMEN beetle")
        .command("SHOW SPECIMENS")
        .adopted(
            "collection.drawers@3",
            (0..20u32)
                .map(|n| Entry {
                    key: n.to_be_bytes().to_vec(),
                    value: b"drawer".to_vec(),
                })
                .collect(),
        )
        .stored(
            "specimens",
            (0..20u8)
                .map(|n| Entry {
                    key: vec![b'k', n],
                    value: vec![b'A'; usize::from(n)],
                })
                .collect(),
        )
        .observed(ObjectInfo {
            oid: 7,
            plugin: "collection".to_owned(),
            class: "drawer".to_owned(),
            schema: "public".to_owned(),
            name: "beetles".to_owned(),
            owner: "ada".to_owned(),
        })
}

/// Drawers that were there first.
struct Drawers<const FAULT: u8>;

impl<const FAULT: u8> Step for Drawers<FAULT> {
    fn migrate(&self, entries: Vec<Entry>) -> Result<Vec<Entry>> {
        let drawer = |(n, entry): (usize, Entry)| match FAULT {
            fault::ADOPTS_BY_BATCH => Entry {
                value: vec![n as u8],
                ..entry
            },
            _ => entry,
        };
        Ok(entries.into_iter().enumerate().map(drawer).collect())
    }

    fn check(&self, entry: &Entry) -> Result<()> {
        if entry.key.len() != 4 || FAULT == fault::REFUSES_ITS_OWN {
            return Err(Error::new(state::DATA_CORRUPTED, "not an oid"));
        }
        Ok(())
    }
}

/// Names of the objects of a collection, by oid.
struct Sightings<const FAULT: u8>;

impl<const FAULT: u8> heliosdb_plugin_api::Observer for Sightings<FAULT> {
    fn changed(&self, cx: &Context<'_>, _: &str, objects: &[ObjectInfo]) -> Result<()> {
        let sightings = cx.store("sightings")?;
        for object in objects {
            let seen = match FAULT {
                fault::OBSERVES_TWICE => sightings.entries()?.len() as u32,
                _ => object.oid,
            };
            let initial = match FAULT {
                fault::BELIEVES_OBJECTS => &object.name[..1],
                _ => &object.name,
            };
            sightings.put(&seen.to_be_bytes(), initial.as_bytes())?;
        }
        Ok(())
    }

    fn dropped(&self, cx: &Context<'_>, object: &ObjectInfo) -> Result<()> {
        cx.store("sightings")?.remove(&object.oid.to_be_bytes())
    }
}

struct Short<const FAULT: u8>;

impl<const FAULT: u8> heliosdb_plugin_api::Constraint for Short<FAULT> {
    fn check(
        &self,
        _: &Context<'_>,
        definition: &ConstraintDefinition,
        rows: &Arguments,
    ) -> Result<Vec<Violation>> {
        let most: usize = definition
            .options
            .parse()
            .map_err(|_| Error::internal(format!("options {:?}", definition.options)))?;
        let Some(column) = rows.get(0) else {
            return Ok(Vec::new());
        };
        let long = |row: &usize| column.text(*row).is_some_and(|t| t.len() > most);
        let violation = |row: usize| Violation {
            row: if FAULT == fault::ROW_BEYOND {
                row + 1000
            } else {
                row
            },
            ..Violation::default()
        };
        let found = (0..rows.rows()).filter(long).map(violation);
        Ok(match FAULT {
            fault::FIRST_ROW_ONLY => found.take(1).collect(),
            _ => found.collect(),
        })
    }
}

struct ShortClause<const FAULT: u8>;

impl<const FAULT: u8> heliosdb_plugin_api::Clause for ShortClause<FAULT> {
    fn apply(
        &self,
        _: &Context<'_>,
        _: &heliosdb_plugin_api::ClauseTarget,
        arguments: &[String],
    ) -> Result<Vec<ClauseAction>> {
        let most = match arguments {
            [most] if most.parse::<usize>().is_ok() => most,
            _ => return Err(Error::new(state::INVALID_PARAMETER_VALUE, "not a length")),
        };
        let kind = match FAULT {
            fault::UNKNOWN_CONSTRAINT => "shorter",
            _ => "short",
        };
        Ok(vec![ClauseAction::AddConstraint {
            kind: kind.to_owned(),
            options: most.clone(),
            definition: format!("SHORT {most}"),
            depends_on: Vec::new(),
        }])
    }
}

const CREATE: &str = "CREATE SPECIMEN ";

fn create<const FAULT: u8>(cx: &Context<'_>, statement: &str) -> Result<CommandOutcome> {
    let name = match FAULT {
        fault::SLICES_TEXT => &statement[CREATE.len()..],
        _ => statement.get(CREATE.len()..).unwrap_or_default().trim(),
    };
    if name.is_empty() || !name.bytes().all(|b| b.is_ascii_lowercase()) {
        return Err(Error::new(state::SYNTAX_ERROR, "a name, please"));
    }
    let object = cx.catalog()?.create("specimen", None, name)?;
    let specimens = cx.store("specimens")?;
    specimens.put(&object.oid.to_be_bytes(), name.to_uppercase().as_bytes())?;
    Ok(CommandOutcome::done(match FAULT {
        fault::NO_TAG => "",
        _ => "CREATE SPECIMEN",
    }))
}

fn show(cx: &Context<'_>, _: &str) -> Result<CommandOutcome> {
    let entries = cx.store("specimens")?.entries()?;
    let names = entries.iter().map(|e| String::from_utf8_lossy(&e.value));
    let names: ArrayRef = Arc::new(StringViewArray::from_iter_values(names));
    Ok(CommandOutcome {
        tag: "SHOW SPECIMENS".to_owned(),
        columns: vec![("name".to_owned(), "text".to_owned())],
        batches: vec![vec![names]],
    })
}

struct Upper<const FAULT: u8>;

impl<const FAULT: u8> Step for Upper<FAULT> {
    fn migrate(&self, entries: Vec<Entry>) -> Result<Vec<Entry>> {
        let upper = |(n, entry): (usize, Entry)| Entry {
            key: match FAULT {
                fault::DEPENDS_ON_BATCHES => [entry.key, vec![n as u8]].concat(),
                fault::KEYS_TWICE => b"the key".to_vec(),
                _ => entry.key,
            },
            value: entry.value.to_ascii_uppercase(),
        };
        Ok(entries.into_iter().enumerate().map(upper).collect())
    }

    fn check(&self, entry: &Entry) -> Result<()> {
        let lower = entry.value.iter().any(u8::is_ascii_lowercase);
        if lower || FAULT == fault::FAILS_ITS_CHECK {
            return Err(Error::new(state::DATA_CORRUPTED, "not upper case"));
        }
        Ok(())
    }
}

/// The text of a row.
#[allow(dead_code)] // As above.
pub fn text(array: &ArrayRef, row: usize) -> String {
    array.as_string_view().value(row).to_owned()
}
