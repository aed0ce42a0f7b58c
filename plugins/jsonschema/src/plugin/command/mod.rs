//! `CREATE`, `ALTER` and `DROP JSON SCHEMA`.
//!
//! A schema is compiled when it is stored, so what is stored can be used. What it refers to is
//! recorded as dependencies. ALTER changes the schema first and then looks at everything that
//! depends on it with the new one in place; if anything breaks, the error takes the statement, and
//! with it the change, back.

mod statement;

use std::sync::Arc;

use heliosdb_jsonschema_state::CLASS;
use heliosdb_jsonschema_state::v2::Record;
use heliosdb_plugin_api::{CommandOutcome, Context, Error, Registrar, Result, state as sqlstate};

use super::name::Name;
use super::named::{Named, undefined};
use super::{JsonSchema, stored_rows};
use crate::schema::{Draft, Source, default_uri};

use statement::Statement;

pub fn register(plugin: &Arc<JsonSchema>, registrar: &mut Registrar) -> Result<()> {
    for prefix in [
        "CREATE JSON SCHEMA",
        "ALTER JSON SCHEMA",
        "DROP JSON SCHEMA",
    ] {
        let plugin = Arc::clone(plugin);
        let body = move |cx: &Context<'_>, text: &str| {
            plugin.run(cx, Statement::parse(text)?)?;
            Ok(CommandOutcome::done(prefix))
        };
        registrar.command(prefix, body)?;
    }
    Ok(())
}

impl JsonSchema {
    fn run(&self, cx: &Context<'_>, statement: Statement) -> Result<()> {
        let named = Named::new(cx)?;
        match statement {
            Statement::Create {
                name,
                if_not_exists,
                draft,
                uri,
                text,
            } => {
                let created = named
                    .catalog()
                    .create(CLASS, name.schema.as_deref(), &name.name);
                let object = match created {
                    Err(error) if if_not_exists && error.sqlstate == sqlstate::DUPLICATE_OBJECT => {
                        return Ok(());
                    }
                    created => created?,
                };
                let source = Source {
                    draft,
                    ..Source::anonymous(&text)
                };
                let fallback = default_uri(&object.schema, &object.name);
                let record = Record {
                    uri: source.settle_uri(uri.as_deref(), &fallback)?,
                    draft,
                    text,
                };
                named.insert(object.oid, &record)?;
                self.depend_on_references(&named, object.oid, &record)
            }
            Statement::Replace {
                name,
                if_exists,
                draft,
                text,
            } => {
                let Some(oid) = owned(&named, &name, if_exists)? else {
                    return Ok(());
                };
                let old = named.record(oid)?;
                let record = Record {
                    uri: old.uri,
                    draft: draft.or(kept_draft(old.draft, &text)?),
                    text,
                };
                named.update(oid, &record)?;
                named.catalog().independent(oid)?;
                self.depend_on_references(&named, oid, &record)?;
                self.check_dependents(cx, &named, oid)
            }
            Statement::Rename {
                name,
                if_exists,
                new,
            } => {
                let Some(oid) = owned(&named, &name, if_exists)? else {
                    return Ok(());
                };
                named.catalog().rename(oid, &new)
            }
            Statement::Drop {
                names,
                if_exists,
                cascade,
            } => {
                for name in names {
                    if let Some(oid) = owned(&named, &name, if_exists)? {
                        // What is stored goes when the catalog says that the object is gone.
                        named.catalog().drop(oid, cascade)?;
                    }
                }
                Ok(())
            }
        }
    }

    /// Compiles a schema, which says whether it can be used, and records what it refers to.
    fn depend_on_references(&self, named: &Named<'_>, oid: u32, record: &Record) -> Result<()> {
        let compiled = self.compiled.get(Source::named(record), named)?;
        for (uri, _) in compiled.references() {
            if let Some(on) = named.by_uri(uri)?
                && on != oid
            {
                named.catalog().depend(oid, on)?;
            }
        }
        Ok(())
    }

    /// Checks all that depends on a schema that has changed: that the schemas that refer to it
    /// still compile, and that the rows of the columns that use it or them still match.
    fn check_dependents(&self, cx: &Context<'_>, named: &Named<'_>, oid: u32) -> Result<()> {
        let mut concerned = vec![oid];
        let mut next = 0;
        while let Some(oid) = concerned.get(next).copied() {
            next += 1;
            let record = named.record(oid)?;
            let compiled = self.compiled.get(Source::named(&record), named);
            let compiled = compiled.map_err(|error| broken_reference(named, oid, error))?;
            for dependent in named.catalog().dependents(oid)? {
                if dependent.class == CLASS {
                    if !concerned.contains(&dependent.oid) {
                        concerned.push(dependent.oid);
                    }
                } else if let Some(column) = stored_rows::Column::of(&dependent) {
                    stored_rows::check(cx, named, oid, &compiled, &column, self.max_errors)?;
                }
            }
        }
        Ok(())
    }
}

/// The oid of a schema that the role owns; none if there is none and that is no error.
fn owned(named: &Named<'_>, name: &Name, if_exists: bool) -> Result<Option<u32>> {
    match named.find_maybe(name)? {
        Some(object) => {
            named.catalog().check_owner(object.oid)?;
            Ok(Some(object.oid))
        }
        None if if_exists => Ok(None),
        None => Err(undefined(&name.display())),
    }
}

/// What an earlier statement said of the draft holds until a schema says it itself.
fn kept_draft(draft: Option<Draft>, text: &str) -> Result<Option<Draft>> {
    let (value, _) = Source::anonymous(text).read()?;
    Ok(draft.filter(|_| value.get("$schema").is_none()))
}

fn broken_reference(named: &Named<'_>, oid: u32, error: Error) -> Error {
    let Ok(Some(object)) = named.catalog().get(oid) else {
        return error;
    };
    let why = match &error.detail {
        Some(detail) => format!("{}: {detail}", error.message),
        None => error.message.clone(),
    };
    Error::new(
        error.sqlstate,
        format!(
            "JSON schema {}.{} cannot be used with the changed schema",
            object.schema, object.name
        ),
    )
    .with_detail(why)
}
