//! Checking a database that nobody has open; what is checked is in [`heliosdb_storage::check`].
//!
//! Storage's findings get names here, and the layers above add theirs: the catalog's rows, and the
//! plugins' stores. Plugins are started for their codecs, when segments name one, and for nothing else.
//! Nothing in the directory is changed.

mod report;

use std::path::Path;
use std::sync::Arc;

use heliosdb_dump::Progress;
use heliosdb_plugin_host::boot::BootPlan;
use heliosdb_plugin_host::migration::MIGRATIONS;
use heliosdb_plugin_host::{RootRef, store};
use heliosdb_sql::IndexExpressions;
use heliosdb_sql::catalog::check::{self as catalog, Names};
use heliosdb_storage::check::{
    Check, CheckOptions as StorageOptions, Finding, Kind, Place, ReadOnly, Totals, Watch,
};
use heliosdb_storage::ids::CollectionId;
use heliosdb_storage::io::Io;
use heliosdb_storage::io::disk::Disk;
use heliosdb_storage::{Interrupt, ReadView};

use crate::config::Config;
use crate::dump::marker::MARKER_FILE;
use crate::error::{Error, OpenError};
use crate::{Database, plugins};

pub use report::{CheckReport, CheckTotals, CheckVerdict, NamedFinding};

/// What may be in a directory besides what storage puts there.
const EXPECTED_NAMES: [&str; 8] = [
    "heliosdb.toml",
    "password",
    "plugins",
    "plugins.lock",
    "plugins.lock.new",
    "plugins.starting",
    "plugins.starting.new",
    MARKER_FILE,
];
/// More findings than this are counted only: somebody has to read them.
const FINDINGS_MAX: usize = 10_000;

/// How to check.
#[derive(Clone)]
pub struct CheckOptions<'a> {
    pub config: &'a Config,
    /// The plugins that the program links.
    pub linked: &'a [RootRef],
    /// Ends the check.
    pub interrupt: Arc<Interrupt>,
}

/// Checks the database in `directory`.
///
/// # Errors
///
/// There is no answer: no database, one that is open elsewhere, or a directory that cannot be read.
pub fn check(
    directory: &Path,
    options: &CheckOptions<'_>,
    progress: &dyn Progress,
) -> Result<CheckReport, OpenError> {
    run(directory, options, progress).map_err(|error| OpenError {
        directory: directory.to_path_buf(),
        error,
    })
}

fn run(
    directory: &Path,
    options: &CheckOptions<'_>,
    progress: &dyn Progress,
) -> Result<CheckReport, Error> {
    if !directory.is_dir() {
        return Err(Error::NoDirectory);
    }
    if !Database::exists(directory) {
        let reason = "there is none in the directory".to_owned();
        return Err(heliosdb_storage::Error::NotADatabase { reason }.into());
    }
    let io: Arc<dyn Io> = ReadOnly::over(Arc::new(Disk::open(directory)?));
    let mut found = Found {
        findings: Vec::new(),
        more: 0,
        progress,
    };
    if io.list("")?.iter().any(|name| name == MARKER_FILE) {
        let what = "an import into the directory has not finished: what is here is no whole \
                    database. Run the import again; it starts over";
        found.add(Kind::NotChecked, Place::file(MARKER_FILE), what);
        if !directory.join("wal").is_dir() {
            return Ok(found.report(Names::default(), Totals::default(), &[]));
        }
    }
    let settings = StorageOptions {
        expected_names: &EXPECTED_NAMES,
        // A check builds nothing else in memory that grows, but for RowIds and keys.
        page_cache_bytes: options.config.storage_options().memory_bytes_max / 4,
        interrupt: Arc::clone(&options.interrupt),
    };
    let mut check = Check::open(&io, &settings, &mut found)?;
    check.set_expressions(Arc::new(IndexExpressions));
    let plan = plugins::plan(io, directory, options.config, options.linked);
    let in_use = check.codecs_in_use();
    if let Ok(plan) = &plan
        && !in_use.is_empty()
    {
        check.set_codecs(plugins::decoders(
            plan,
            options.config,
            options.linked,
            &in_use,
        ));
    }
    let (view, whole) = (check.view(), check.is_whole());
    let names = Names::read(&view);
    let totals = check.run()?;
    drop(check);
    if let Err(error) = &plan {
        let what = format!("the plugins: {error}");
        found.add(Kind::NotChecked, Place::default(), what);
    }
    if whole {
        found.catalog(&view);
    }
    let stores = found.stores(&view, plan.as_ref().ok());
    Ok(found.report(names, totals, &stores))
}

/// What was found, and who is told how far it is.
struct Found<'a> {
    findings: Vec<Finding>,
    /// Findings that are only counted.
    more: u64,
    progress: &'a dyn Progress,
}

impl Watch for Found<'_> {
    fn found(&mut self, finding: Finding) {
        match self.findings.len() < FINDINGS_MAX {
            true => self.findings.push(finding),
            false => self.more += 1,
        }
    }

    fn begin(&mut self, phase: &str, total: Option<u64>) {
        self.progress.begin(phase, total);
    }

    fn advance(&mut self, amount: u64) {
        if amount > 0 {
            self.progress.advance(amount);
        }
    }

    fn end(&mut self) {
        self.progress.end();
    }
}

impl Found<'_> {
    fn add(&mut self, kind: Kind, place: Place, what: impl Into<String>) {
        let what = what.into();
        self.found(Finding { kind, place, what });
    }

    /// The catalog's rows, and what they say of tables.
    fn catalog(&mut self, view: &ReadView) {
        match catalog::problems(view) {
            Ok(problems) => {
                for problem in problems {
                    let kind = match problem.newer {
                        true => Kind::NotChecked,
                        false => Kind::Damage,
                    };
                    self.add(kind, Place::collection(problem.collection), problem.what);
                }
            }
            // Which was told by storage.
            Err(error) => {
                let what = format!("the catalog: {error}");
                self.add(Kind::NotChecked, Place::default(), what);
            }
        }
    }

    /// The directory of stores; the names of their collections.
    fn stores(&mut self, view: &ReadView, plan: Option<&BootPlan>) -> Vec<(CollectionId, String)> {
        let mut names = vec![
            (store::STORES, "the directory of plugin stores".to_owned()),
            (MIGRATIONS, "the journal of plugin migrations".to_owned()),
        ];
        let stores = match store::stores(view) {
            Ok(stores) => stores,
            Err(error) => {
                let place = Place::collection(store::STORES);
                self.add(Kind::Damage, place, error.to_string());
                return names;
            }
        };
        for store in stores {
            let is_it = |id: &str| id == store.plugin;
            let known = plan.is_none_or(|plan| plan.plugins.iter().any(|p| is_it(&p.manifest.id)));
            if !known {
                let what = format!("a store of plugin \"{}\", which is not here", store.plugin);
                self.add(Kind::Note, Place::collection(store.collection), what);
            }
            let state = match store.state {
                store::StoreState::Live => String::new(),
                other => format!(" ({other})"),
            };
            let name = format!("store {}.{}{state}", store.plugin, store.name);
            names.push((store.collection, name));
        }
        names
    }

    fn report(
        self,
        names: Names,
        totals: Totals,
        stores: &[(CollectionId, String)],
    ) -> CheckReport {
        let named = self.findings.into_iter();
        let named = named.map(|finding| report::named(finding, &names, stores));
        CheckReport::new(named.collect(), self.more, totals)
    }
}

#[cfg(test)]
mod tests;
