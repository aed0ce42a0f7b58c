//! Extensions, and the views on the plugins behind them. PostgreSQL has nothing like the latter.

use std::collections::BTreeMap;

use heliosdb_plugin_api::extension::{IDS, Maturity};
use heliosdb_plugin_host::store::StoreState;
use heliosdb_plugin_host::{PluginStatus, State};

use crate::catalog::model::oid;
use crate::error::Result;
use crate::pg_catalog::SystemContext;
use crate::pg_catalog::datum::Datum;
use crate::pg_catalog::relation::{NULL, Rows, relations, row};

relations! {
    PG_EXTENSION = pg_catalog.pg_extension 3079 'r' {
        oid Oid, extname Name, extowner Oid, extnamespace Oid, extrelocatable Bool,
        extversion Text, extconfig OidArray null, extcondition TextArray null,
    } => Some(extension_rows);
    PG_AVAILABLE_EXTENSIONS = pg_catalog.pg_available_extensions 12081 'v' {
        name Name, default_version Text, installed_version Text, comment Text,
    } => Some(available_rows);
    PG_AVAILABLE_EXTENSION_VERSIONS = pg_catalog.pg_available_extension_versions 12085 'v' {
        name Name, version Text, installed Bool, superuser Bool, trusted Bool, relocatable Bool,
        schema Name, requires NameArray, comment Text,
    } => Some(version_rows);
    /// Every plugin that was found, is linked, or is missed. `state` is one of `active`, `disabled`,
    /// `failed`, `quarantined`, `missing`; `error` says why it is not active, `faults` counts panics
    /// and broken contracts since the server started.
    HELIOS_PLUGINS = pg_catalog.helios_plugins 12901 'v' {
        name Name, version Text, state Text, activation Text, installed Bool, linkage Text,
        path Text, sha256 Text, abi Int4, requires TextArray, description Text, license Text,
        faults Int4, error Text,
    } => Some(plugin_rows);
    /// The interfaces that plugins may provide, and who does. One in `draft` may still change.
    HELIOS_EXTENSION_POINTS = pg_catalog.helios_extension_points 12902 'v' {
        id Text, state Text, plugins TextArray,
    } => Some(point_rows);
    /// The collections of plugins' stores. `state` is `live`, `orphaned` (live, and no plugin that
    /// runs has it), `shadow` (a migration writes it), `retired` (kept until the migration is finalized)
    /// or `discarded`. The entries are counted by reading them.
    HELIOS_PLUGIN_STORES = pg_catalog.helios_plugin_stores 12903 'v' {
        plugin Name, store Name, version Int4, state Text, collection Oid, entries Int8, bytes Int8,
    } => Some(store_rows);
    /// The steps that brought stores from one version to the next. Digests do not depend on the order
    /// of entries.
    HELIOS_PLUGIN_MIGRATIONS = pg_catalog.helios_plugin_migrations 12904 'v' {
        plugin Name, store Name, number Int8, plugin_version Text, from_version Int4,
        to_version Int4, checksum Text, state Text, entries_in Int8, entries_out Int8,
        digest_in Text, digest_out Text, started_at Timestamptz, published_at Timestamptz,
        adopted_from Text, reason Text,
    } => Some(migration_rows);
    /// What plugins keep in the catalog.
    HELIOS_PLUGIN_OBJECTS = pg_catalog.helios_plugin_objects 12905 'v' {
        oid Oid, plugin Name, class Text, schema Name, name Name, owner Name,
    } => Some(object_rows);
}

/// What a plugin says of itself.
pub fn description(ctx: &SystemContext, plugin: &str) -> Option<String> {
    let status = ctx.session.plugins().plugin(plugin)?;
    status.manifest.map(|m| m.description.clone())
}

fn extension_rows(ctx: &SystemContext, rows: &mut Rows) -> Result<()> {
    for e in ctx.catalog.extensions() {
        rows.push(row![
            e.oid,
            &e.name,
            e.owner,
            oid::PG_CATALOG_SCHEMA,
            false,
            &e.version,
            NULL,
            NULL
        ])?;
    }
    Ok(())
}

/// The plugins that CREATE EXTENSION can install.
fn available(ctx: &SystemContext) -> Vec<PluginStatus> {
    let mut plugins = ctx.session.plugins().plugins();
    plugins.retain(|p| p.state == State::Active);
    plugins
}

fn available_rows(ctx: &SystemContext, rows: &mut Rows) -> Result<()> {
    for p in available(ctx) {
        let Some(manifest) = p.manifest else { continue };
        let installed = ctx.catalog.extension(&p.id).filter(|e| e.installed);
        rows.push(row![
            &p.id,
            manifest.version.to_string(),
            installed.map(|e| e.version.clone()),
            manifest.description.clone()
        ])?;
    }
    Ok(())
}

fn version_rows(ctx: &SystemContext, rows: &mut Rows) -> Result<()> {
    for p in available(ctx) {
        let Some(manifest) = p.manifest else { continue };
        let version = manifest.version.to_string();
        let installed = ctx.catalog.extension(&p.id);
        let installed = installed.is_some_and(|e| e.installed && e.version == version);
        let requires: Vec<String> = manifest.requires.iter().map(|r| r.plugin.clone()).collect();
        rows.push(row![
            &p.id,
            version,
            installed,
            true,
            false,
            false,
            "pg_catalog",
            requires,
            manifest.description.clone()
        ])?;
    }
    Ok(())
}

fn plugin_rows(ctx: &SystemContext, rows: &mut Rows) -> Result<()> {
    for p in ctx.session.plugins().plugins() {
        let manifest = p.manifest.as_deref();
        let present = manifest.is_some();
        let requires = manifest.map(|m| m.requires.iter().map(|r| r.plugin.clone()).collect());
        rows.push(row![
            &p.id,
            manifest.map(|m| m.version.to_string()),
            p.state.name(),
            p.activation.to_string(),
            ctx.catalog.is_installed(&p.id),
            match (&p.path, present) {
                (Some(_), _) => Some("dynamic"),
                (None, true) => Some("static"),
                (None, false) => None,
            },
            p.path.as_ref().map(|path| path.display().to_string()),
            p.sha256.as_ref().map(ToString::to_string),
            manifest.map(|m| number(m.abi)),
            requires.unwrap_or_else(Vec::<String>::new),
            manifest.map(|m| m.description.clone()),
            manifest.map(|m| m.license.clone()),
            number(p.faults),
            p.reason
        ])?;
    }
    // A plugin that was linked into the server before, and is not any more.
    let host = ctx.session.plugins();
    for e in ctx.catalog.extensions() {
        if host.plugin(&e.name).is_none() {
            rows.push(row![
                &e.name,
                &e.version,
                State::Missing.name(),
                NULL,
                true,
                NULL,
                NULL,
                NULL,
                NULL,
                e.requires.clone(),
                NULL,
                NULL,
                0i32,
                "this server does not have it"
            ])?;
        }
    }
    Ok(())
}

fn point_rows(ctx: &SystemContext, rows: &mut Rows) -> Result<()> {
    let mut users: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for p in ctx.session.plugins().plugins() {
        let points = p.manifest.as_ref().map(|m| m.extension_points());
        for point in points.unwrap_or_default() {
            users.entry(point).or_default().push(p.id.clone());
        }
    }
    for (id, maturity) in IDS {
        let state = match maturity {
            Maturity::Draft => "draft",
            Maturity::Frozen => "frozen",
        };
        rows.push(row![id, state, users.remove(id).unwrap_or_default()])?;
    }
    Ok(())
}

fn store_rows(ctx: &SystemContext, rows: &mut Rows) -> Result<()> {
    let plugins = ctx.session.plugins();
    for (store, size) in ctx.session.plugin_stores()? {
        let used = plugins
            .plugin(&store.plugin)
            .filter(|p| p.state == State::Active)
            .and_then(|p| p.manifest)
            .is_some_and(|m| m.stores.iter().any(|s| s.name == store.name));
        let state = match store.state {
            StoreState::Live if !used => "orphaned".to_owned(),
            other => other.to_string(),
        };
        rows.push(row![
            &store.plugin,
            &store.name,
            number(store.version),
            state,
            store.collection.0,
            big(size.entries),
            big(size.bytes)
        ])?;
    }
    Ok(())
}

fn migration_rows(ctx: &SystemContext, rows: &mut Rows) -> Result<()> {
    for m in ctx.session.plugin_migrations()? {
        rows.push(row![
            &m.plugin,
            &m.store,
            big(m.number),
            &m.plugin_version,
            number(m.from_version),
            number(m.to_version),
            &m.checksum,
            m.state.to_string(),
            big(m.entries_in),
            big(m.entries_out),
            m.digest_in.to_string(),
            m.digest_out.to_string(),
            Datum::Timestamp(big(m.started_at)),
            m.published_at.map(|at| Datum::Timestamp(big(at))),
            m.adopted_from,
            m.reason
        ])?;
    }
    Ok(())
}

fn object_rows(ctx: &SystemContext, rows: &mut Rows) -> Result<()> {
    for o in ctx.catalog.plugin_objects() {
        rows.push(row![
            o.oid,
            &o.plugin,
            &o.class,
            ctx.schema_name(o.schema),
            &o.name,
            ctx.role_name(o.owner)
        ])?;
    }
    Ok(())
}

/// Versions and counts of faults stay far below the range of `integer`.
fn number(n: u32) -> i32 {
    i32::try_from(n).unwrap_or(i32::MAX)
}

fn big(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}
