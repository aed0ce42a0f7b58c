//! A dump becomes a database, or nothing changes.
//!
//! 1. Preflight (`preflight`): nothing is written.
//! 2. The directory is taken and marked (`target`).
//! 3. Catalog, journal and stores are loaded, and published.
//! 4. Plugins start, which runs their steps and adoptions; codecs become known.
//! 5. Tables, their history and their indexes are loaded, and published; then branches, one after the other.
//! 6. The database is opened as any program would open it, and compared with the dump.
//! 7. Rows say whose it is and where it came from. The engine is closed.
//! 8. The report is written as a page, and shown to whoever waits for it. A page that cannot be written
//!    fails nothing; one that belongs to an import which then fails goes with everything else.
//! 9. The settings are written, and the mark is removed: from this moment there is a database.
//!
//! A failure in 3 to 9, a cancel among them, removes what was made; so does a dry run after 7. A
//! process that dies leaves the mark, and the next import removes what is there.

use std::path::Path;
use std::sync::Arc;

use heliosdb_dump::{
    CompareOptions, Dump, LoadOptions, Progress, load_branches, load_state, load_tables,
};
use heliosdb_plugin_host::PluginHost;
use heliosdb_plugin_host::file::Sha256;
use heliosdb_sql::provenance::{self, Provenance};
use heliosdb_sql::{IndexExpressions, Instance, InstanceOptions, edition};
use heliosdb_storage::Engine;

use super::error::ImportError;
use super::marker::{ConfigFile, Marker};
use super::plugins::check_active;
use super::preflight::{Preflight, preflight};
use super::report::{Action, DumpSummary, Report, StoreOutcome, TargetSummary};
use super::settings::Settings;
use super::stopwatch::Stopwatch;
use super::target::{Target, sizes};
use super::{HISTORY_SAMPLES, ImportOptions, branches, catalog, compare, stores, tables};
use crate::plugins;

/// Makes a database of the dump in `file`, in the directory `target`. The report says what was done,
/// upgraded and compared.
///
/// # Errors
///
/// Nothing was changed, or [`ImportError::Leftovers`].
pub fn import(
    file: &Path,
    target: &Path,
    options: &ImportOptions<'_>,
    progress: &dyn Progress,
) -> Result<Report, ImportError> {
    let mut watch = Stopwatch::start(progress)?;
    let ready = watch.time("check", |progress| {
        preflight(file, target, options, progress)
    })?;
    let started_at = watch.now_micros();
    let marker = marker(file, &ready, options, started_at);
    let taken = Target::take(&ready.found, marker)?;
    let import = Import {
        dump: &ready.dump,
        ready: &ready,
        options,
        started_at,
        target: &taken,
    };
    let report = match import.build(&mut watch) {
        Ok(report) => report,
        Err(error) => return Err(taken.abandoned(error)),
    };
    let mut report = Report {
        phases: watch.finish(),
        ..report
    };
    if !options.dry_run {
        let written = taken.write_page(&report);
        report.page_problem = written.err().map(|error| error.to_string());
    }
    if let Some(verified) = options.verified {
        verified(&report);
    }
    if options.dry_run {
        taken.abandon()?;
        return Ok(report);
    }
    let config = ready.settings.write.as_ref();
    match taken.publish(config.map(|(name, text)| (*name, text.as_str()))) {
        Ok(()) => Ok(report),
        Err(error) => Err(taken.abandoned(error)),
    }
}

fn marker(file: &Path, ready: &Preflight, options: &ImportOptions<'_>, started_at: u64) -> Marker {
    let name = file.file_name().unwrap_or(file.as_os_str());
    let dump_id = &ready.dump.manifest().dump_id;
    let mut marker = Marker::new(&name.to_string_lossy(), dump_id, started_at);
    marker.page = options.page.map(str::to_owned);
    marker.config = ready
        .settings
        .write
        .as_ref()
        .map(|(name, text)| ConfigFile {
            file: (*name).to_owned(),
            sha256: Sha256::of(text.as_bytes()),
        });
    marker
}

/// An import whose target is taken.
struct Import<'a> {
    dump: &'a Dump,
    ready: &'a Preflight,
    options: &'a ImportOptions<'a>,
    started_at: u64,
    target: &'a Target,
}

impl Import<'_> {
    /// Steps 3 to 7. Whatever comes of it, the engine is closed afterwards.
    fn build(&self, watch: &mut Stopwatch<'_>) -> Result<Report, ImportError> {
        let options = heliosdb_storage::Options {
            // All that the dump has must be there for the comparison at the end, however old it is.
            compaction_in_background: false,
            ..self.ready.settings.config.storage_options()
        };
        let engine = Engine::open(self.target.io().clone(), options)?;
        engine.set_expressions(Arc::new(IndexExpressions));
        let built = self.fill(&engine, watch);
        let closed = watch.show("close", || engine.close());
        let mut report = built?;
        closed?;
        self.options.interrupt.check()?;
        (report.target.bytes, report.target.log_bytes) = sizes(self.target.io());
        Ok(report)
    }

    fn fill(&self, engine: &Engine, watch: &mut Stopwatch<'_>) -> Result<Report, ImportError> {
        let Settings { config, .. } = &self.ready.settings;
        let interrupt = &self.options.interrupt;
        let load = LoadOptions {
            memory_bytes: self.options.memory_bytes,
            interrupt: interrupt.clone(),
            ..LoadOptions::default()
        };
        watch.time("load catalog and stores", |progress| {
            load_state(self.dump, engine, &load, progress)
        })?;
        interrupt.check()?;

        let linked = self.options.linked;
        let plan = plugins::plan(self.target.io().clone(), self.target.path(), config, linked)?;
        let planned = plan.plugins.clone();
        let host = watch.show("upgrade plugins", || {
            plugins::boot(plan, config, linked, engine)
        })?;
        check_active(&self.ready.readiness, &host)?;
        interrupt.check()?;

        watch.time("load tables", |progress| {
            load_tables(self.dump, engine, &load, progress)
        })?;
        interrupt.check()?;
        if self.dump.manifest().branches.is_some() {
            watch.time("load branches", |progress| {
                load_branches(self.dump, engine, &load, progress)
            })?;
            interrupt.check()?;
        }

        let sql = InstanceOptions {
            // A branch whose time has come would go meanwhile.
            workers: false,
            ..config.instance_options(host.clone(), self.options.edition)
        };
        let instance = Instance::open(engine.clone(), sql)?;
        let filled = self.verify(&instance, &host, &planned, watch);
        let filled = filled.and_then(|report| match report.is_equal() {
            true => self.record(engine, &report).map(|()| report),
            false => Err(ImportError::Differs(Box::new(report))),
        });
        instance.shutdown();
        filled
    }

    /// Step 6.
    fn verify(
        &self,
        instance: &Arc<Instance>,
        host: &PluginHost,
        planned: &[heliosdb_plugin_host::boot::Planned],
        watch: &mut Stopwatch<'_>,
    ) -> Result<Report, ImportError> {
        let manifest = self.dump.manifest();
        let (engine, interrupt) = (instance.engine(), &self.options.interrupt);
        let how = CompareOptions {
            history_samples: HISTORY_SAMPLES,
            indexes: true,
            interrupt: interrupt.clone(),
        };
        let tables = watch.time("verify tables", |progress| {
            tables::compare(self.dump, engine, &how, progress)
        })?;
        let (objects, past) =
            watch.show("verify objects", || compare::objects(manifest, instance))?;
        let (stores, mut checks) = watch.show("verify state of plugins", || {
            let stores = stores::compare(self.dump, engine, host, interrupt)?;
            let checks = compare::plugin_checks(planned, self.options.linked, engine, interrupt)?;
            Ok::<_, ImportError>((stores, checks))
        })?;
        checks.insert(0, past);
        let explained = !(objects.missing.is_empty() && objects.changed.is_empty());
        checks.extend(catalog::compare(self.dump, engine, explained)?);
        if manifest.branches.is_some() {
            checks.extend(watch.time("verify branches", |progress| {
                branches::compare(self.dump, engine, &how, progress)
            })?);
        }
        checks.push(compare::compression(manifest, engine, host));
        Ok(Report {
            action: match self.options.dry_run {
                true => Action::DryRun,
                false => Action::Import,
            },
            dump: DumpSummary::of(self.dump),
            target: TargetSummary {
                directory: self.target.path().display().to_string(),
                edition: self.options.edition.to_owned(),
                kernel_version: env!("CARGO_PKG_VERSION").to_owned(),
                bytes: 0,
                log_bytes: 0,
                imported_at_micros: Some(self.started_at),
            },
            tables,
            plugins: compare::plugins(manifest, host),
            stores,
            objects,
            sequences: compare::sequences(manifest, instance)?,
            checks,
            notes: self.notes(),
            phases: Vec::new(),
            page_problem: None,
        })
    }

    fn notes(&self) -> Vec<String> {
        let mut notes: Vec<String> = self.ready.settings.note.iter().cloned().collect();
        for plugin in &self.ready.readiness.orphans {
            notes.push(format!(
                "plugin {plugin} is not here; what belongs to it is kept and waits for it"
            ));
        }
        notes
    }

    /// Step 7: whose the database is, and where it came from.
    fn record(&self, engine: &Engine, report: &Report) -> Result<(), ImportError> {
        let manifest = self.dump.manifest();
        let upgraded = report.stores.iter().filter(|store| {
            matches!(
                store.outcome,
                StoreOutcome::Migrated | StoreOutcome::Adopted
            )
        });
        let upgrades = serde_json::to_value(upgraded.collect::<Vec<_>>());
        let row = Provenance {
            dump_id: manifest.dump_id.clone(),
            source_edition: manifest.edition.clone(),
            source_version: manifest.kernel_version.clone(),
            exported_at: manifest.created_at_micros,
            snapshot_ts: manifest.snapshot_ts,
            oldest_ts: Some(manifest.oldest_ts),
            imported_at: self.started_at,
            tables: report.tables.len() as u64,
            rows: manifest.rows(),
            bytes: self.dump.bytes(),
            upgrades: upgrades.map_err(|e| std::io::Error::other(e.to_string()))?,
        };
        edition::record(engine, self.options.edition)?;
        Ok(provenance::record(engine, &row)?)
    }
}

impl DumpSummary {
    pub(super) fn of(dump: &Dump) -> DumpSummary {
        let manifest = dump.manifest();
        DumpSummary {
            file: dump.name().to_owned(),
            dump_id: manifest.dump_id.clone(),
            format: manifest.format,
            edition: manifest.edition.clone(),
            kernel_version: manifest.kernel_version.clone(),
            database: manifest.database.clone(),
            created_at_micros: manifest.created_at_micros,
            snapshot_ts: manifest.snapshot_ts,
            oldest_ts: manifest.oldest_ts,
            bytes: dump.bytes(),
            raw_bytes: manifest.raw_bytes(),
            rows: manifest.rows(),
            left_out: manifest.left_out.clone(),
        }
    }
}
