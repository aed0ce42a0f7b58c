//! A database against the dump it came from, at any time after the import.
//!
//! The current content is compared, so whatever somebody changed since is a difference, and is told
//! from one that came with the import by looking AS OF the dump's snapshot. The database is opened as
//! any program would open it, with its settings and plugins; but nothing is migrated, because what was
//! compared would then not be what was there.

use std::path::Path;
use std::sync::Arc;

use heliosdb_dump::{CompareOptions, Dump, Progress};
use heliosdb_plugin_host::boot::Planned;
use heliosdb_plugin_host::{PluginHost, host};
use heliosdb_sql::provenance;
use heliosdb_sql::{Instance, InstanceOptions};
use heliosdb_storage::io::Io;
use heliosdb_storage::io::disk::Disk;

use super::error::ImportError;
use super::report::{Action, DumpSummary, Report, TargetSummary};
use super::stopwatch::Stopwatch;
use super::target::{CONFIG_FILE, sizes};
use super::{VerifyOptions, branches, catalog, compare, marker, preflight, stores, tables};
use crate::Database;
use crate::config::Config;
use crate::error::{Error, OpenError};
use crate::plugins;

/// Compares the database in `directory` with the dump in `file`.
///
/// # Errors
///
/// There is no answer: the dump is damaged, the directory cannot be opened, for example because a server
/// runs on it, or plugins have to migrate their state first.
pub fn verify(
    file: &Path,
    directory: &Path,
    options: &VerifyOptions<'_>,
    progress: &dyn Progress,
) -> Result<Report, ImportError> {
    let mut watch = Stopwatch::start(progress)?;
    let dump = watch.time("check", |progress| preflight::open(file, progress))?;
    let failed = |error| OpenError {
        directory: directory.to_path_buf(),
        error,
    };
    if !directory.is_dir() {
        return Err(failed(Error::NoDirectory).into());
    }
    // To open an empty directory would make a database of it.
    if !Database::exists(directory) {
        let reason = "there is none in the directory".to_owned();
        return Err(failed(heliosdb_storage::Error::NotADatabase { reason }.into()).into());
    }
    let config = config_of(directory, options)?;
    let disk: Arc<dyn Io> = Arc::new(Disk::open(directory)?);
    let engine = watch
        .show("open", || {
            marker::open_engine(disk.clone(), &config, options.edition)
        })
        .map_err(failed)?;
    let compared = (|| {
        let plan = plugins::plan(disk.clone(), directory, &config, options.linked)?;
        let planned = plan.plugins.clone();
        let pending = host::pending(&plan, options.linked, &engine);
        if !pending.is_empty() {
            let lines = pending.iter().map(ToString::to_string).collect();
            return Err(ImportError::Pending(lines));
        }
        let host = plugins::boot(plan, &config, options.linked, &engine)?;
        let sql = InstanceOptions {
            // A branch whose time has come would go meanwhile.
            workers: false,
            ..config.instance_options(host.clone(), options.edition)
        };
        let instance = Instance::open(engine.clone(), sql)?;
        let comparison = Comparison {
            dump: &dump,
            directory,
            options,
            instance: &instance,
            host: &host,
            planned: &planned,
        };
        let report = comparison.report(&mut watch);
        instance.shutdown();
        report
    })();
    let closed = engine.close();
    let mut report: Report = compared?;
    closed?;
    (report.target.bytes, report.target.log_bytes) = sizes(&disk);
    report.phases = watch.finish();
    Ok(report)
}

fn config_of(directory: &Path, options: &VerifyOptions<'_>) -> Result<Config, ImportError> {
    let own = directory.join(CONFIG_FILE);
    Ok(match options.config {
        Some(file) => Config::read(file)?,
        None if own.is_file() => Config::read(&own)?,
        None => Config::default(),
    })
}

/// An open database, and what it is compared with.
struct Comparison<'a> {
    dump: &'a Dump,
    directory: &'a Path,
    options: &'a VerifyOptions<'a>,
    instance: &'a Arc<Instance>,
    host: &'a PluginHost,
    planned: &'a [Planned],
}

impl Comparison<'_> {
    fn report(&self, watch: &mut Stopwatch<'_>) -> Result<Report, ImportError> {
        let manifest = self.dump.manifest();
        let (instance, options) = (self.instance, self.options);
        let (engine, interrupt) = (instance.engine(), &options.interrupt);
        let how = CompareOptions {
            history_samples: options.history_samples,
            indexes: options.check_indexes,
            interrupt: interrupt.clone(),
        };
        let tables = watch.time("verify tables", |progress| {
            tables::compare(self.dump, engine, &how, progress)
        })?;
        let (objects, past) =
            watch.show("verify objects", || compare::objects(manifest, instance))?;
        let (stores, mut checks) = watch.show("verify state of plugins", || {
            let stores = stores::compare(self.dump, engine, self.host, interrupt)?;
            let checks = compare::plugin_checks(self.planned, options.linked, engine, interrupt)?;
            Ok::<_, ImportError>((stores, checks))
        })?;
        checks.insert(0, past);
        let explained = !(objects.missing.is_empty() && objects.changed.is_empty());
        checks.extend(catalog::compare(self.dump, engine, explained)?);
        if options.check_views {
            checks.push(compare::views(manifest, instance)?);
        }
        if options.check_branches {
            checks.extend(watch.time("verify branches", |progress| {
                branches::compare(self.dump, engine, &how, progress)
            })?);
        }
        if options.check_compression {
            checks.push(compare::compression(manifest, engine, self.host));
        }
        let imports = provenance::all(&engine.latest_view())?;
        let import = imports.iter().rfind(|row| row.dump_id == manifest.dump_id);
        let mut notes = Vec::new();
        if import.is_none() {
            notes.push("the database does not say that this dump was imported into it".to_owned());
        }
        Ok(Report {
            action: Action::Verify,
            dump: DumpSummary::of(self.dump),
            target: TargetSummary {
                directory: self.directory.display().to_string(),
                edition: options.edition.to_owned(),
                kernel_version: env!("CARGO_PKG_VERSION").to_owned(),
                bytes: 0,
                log_bytes: 0,
                imported_at_micros: import.map(|row| row.imported_at),
            },
            tables,
            plugins: compare::plugins(manifest, self.host),
            stores,
            objects,
            sequences: compare::sequences(manifest, instance)?,
            checks,
            notes,
            phases: Vec::new(),
            page_problem: None,
        })
    }
}
