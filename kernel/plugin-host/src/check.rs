//! `plugin check`: everything that can be known of a plugin file before a server has it.
//!
//! First what reading tells, then what running tells: the file is loaded into this process, every
//! interface's layout is compared with this server's, the golden state it ships is migrated, and the
//! plugin is started with its default settings and without any statement. A plugin that crashes takes
//! this process along, so a finding is reported as soon as it is known.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use heliosdb_plugin_api::abi::{Published, RootRef};
use heliosdb_plugin_api::arrow::sql_type;
use heliosdb_plugin_api::extension;
use heliosdb_plugin_api::manifest::{Manifest, Settings, table_columns};
use heliosdb_plugin_api::{Entry, Fixture};

use crate::active::health::Health;
use crate::active::steps::Steps;
use crate::active::{Vtables, interface};
use crate::background::Background;
use crate::file::{self, Allocator, Examined};
use crate::host::{Start, say, start_within};
use crate::load;
use crate::migration::Step;
use crate::service::{Handle, Unlimited};

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// A few words, the same for every file: `file`, `build`, `layout of function/1`, …
    pub subject: String,
    pub verdict: Verdict,
    /// What was seen.
    pub text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Passed,
    /// Nothing that a server refuses, but worth a look.
    Warning,
    /// A server refuses the file, or would find it broken later.
    Failed,
}

/// Looks at the file at `path`; each finding goes to `report` at once. True if nothing failed.
pub fn check(path: &Path, start_timeout: Duration, report: &mut dyn FnMut(Finding)) -> bool {
    let mut report = Report {
        sink: report,
        failed: false,
    };
    if let Some(manifest) = check_read(path, &mut report) {
        check_run(path, &manifest, start_timeout, &mut report);
    }
    !report.failed
}

struct Report<'a> {
    sink: &'a mut dyn FnMut(Finding),
    failed: bool,
}

impl Report<'_> {
    fn add(&mut self, subject: &str, verdict: Verdict, text: impl Into<String>) {
        self.failed |= verdict == Verdict::Failed;
        (self.sink)(Finding {
            subject: subject.to_owned(),
            verdict,
            text: text.into(),
        });
    }

    /// Passed with what `show` makes of the value, or failed with the error.
    fn result<T, E: std::fmt::Display>(
        &mut self,
        subject: &str,
        result: Result<T, E>,
        show: impl FnOnce(&T) -> String,
    ) -> Option<T> {
        match result {
            Ok(value) => {
                self.add(subject, Verdict::Passed, show(&value));
                Some(value)
            }
            Err(error) => {
                self.add(subject, Verdict::Failed, error.to_string());
                None
            }
        }
    }
}

/// What reading tells; the manifest, if a server would load the file.
fn check_read(path: &Path, report: &mut Report<'_>) -> Option<Manifest> {
    let examined = file::examine(path).map_err(|error| error.refusal);
    let examined = report.result("file", examined, |e| {
        format!(
            "a whole shared library of {} bytes, sha256 {}",
            e.bytes, e.sha256
        )
    })?;
    let Examined {
        exports,
        allocator,
        libraries,
        warnings,
        ..
    } = &examined;
    let loaded =
        |build: &file::Build| format!("for plugin ABI {}, panics {}", build.abi, build.panic);
    report.add(
        "libraries",
        Verdict::Passed,
        format!("needs {}", list(libraries)),
    );
    if warnings.is_empty() {
        report.add(
            "symbols",
            Verdict::Passed,
            "no sign of threads, processes or the network",
        );
    }
    for warning in warnings {
        report.add(warning.topic, Verdict::Warning, warning.text.clone());
    }
    if *allocator == Allocator::Unknown {
        report.add(
            "allocator",
            Verdict::Warning,
            "the file is stripped, so whether it has an allocator of its own cannot be seen",
        );
    }
    let exports = exports.len();
    let build = report.result("build", examined.build, loaded);
    let manifest = report.result("manifest", examined.manifest, |m| {
        let points = m.extension_points();
        let points: Vec<String> = points.into_iter().map(str::to_owned).collect();
        format!("plugin \"{}\" {} with {}", m.id, m.version, list(&points))
    });
    let root = report.result("root", examined.root, |()| match exports {
        1 => "exported, and nothing else".to_owned(),
        more => format!("exported, and {} other symbols", more - 1),
    });
    let (build, manifest, ()) = (build?, manifest?, root?);
    if manifest.abi != build.abi {
        let (says, is) = (manifest.abi, build.abi);
        let text = format!("the manifest says abi = {says}, but it was built for {is}");
        report.add("manifest", Verdict::Failed, text);
        return None;
    }
    check_types(&manifest, report);
    Some(manifest)
}

/// A server leaves a function out when one of its types is none whose values can cross.
fn check_types(manifest: &Manifest, report: &mut Report<'_>) {
    let provides = &manifest.provides;
    let known =
        |name: &str| sql_type(name).is_some() || provides.types.iter().any(|own| own.name == name);
    // Types of other plugins cannot be seen here.
    let verdict = match manifest.requires.is_empty() {
        true => Verdict::Failed,
        false => Verdict::Warning,
    };
    for f in &provides.functions {
        let returned = match table_columns(&f.returns) {
            Some(columns) => columns.into_iter().map(|(_, ty)| ty).collect(),
            None => vec![f.returns.clone()],
        };
        let arguments = f.arguments.iter().filter(|name| *name != "any");
        if let Some(name) = arguments.chain(&returned).find(|name| !known(name)) {
            let text = format!(
                "no value of type {name} can cross, so a server leaves out the function {}({})",
                f.name,
                f.arguments.join(", ")
            );
            report.add("types", verdict, text);
        }
    }
}

fn list(names: &[String]) -> String {
    match names {
        [] => "nothing".to_owned(),
        names => names.join(", "),
    }
}

/// What running tells.
fn check_run(path: &Path, manifest: &Manifest, start_timeout: Duration, report: &mut Report<'_>) {
    let root = load::open(path, manifest);
    let loaded = |_: &RootRef| "the root has the published layout and the same manifest".to_owned();
    let Some(root) = report.result("load", root, loaded) else {
        return;
    };
    check_layouts(root, report);
    let health = Arc::new(Health::new(manifest.id.as_str().into()));
    let steps = Steps::of(root, manifest, &health);
    let steps = report.result("migration steps", steps, |steps| {
        let wanted = steps.wanted();
        let (steps, adopts) = (wanted.steps.len(), wanted.adopts.len());
        format!("{steps} steps and {adopts} adoptions, as the manifest declares them")
    });
    if let Some(steps) = steps {
        check_fixtures(manifest, &steps, report);
    }
    let vtables = Vtables::fetch(root, manifest);
    let all = |_: &Vtables| "everything that the manifest uses".to_owned();
    if let Some(vtables) = report.result("extension points", vtables, all) {
        check_start(manifest, vtables, health, start_timeout, report);
    }
}

/// Against every published id, whether the manifest uses it or not.
fn check_layouts(root: RootRef, report: &mut Report<'_>) {
    fn probe<V: Published>(root: RootRef) -> (&'static str, Result<bool, String>) {
        (V::ID, interface::<V>(root).map(|found| found.is_some()))
    }
    let probes = [
        probe::<extension::lifecycle::LifecycleV1>(root),
        probe::<extension::function::FunctionV1>(root),
        probe::<extension::types::TypeV1>(root),
        probe::<extension::operator::OperatorV1>(root),
        probe::<extension::clause::ClauseV1>(root),
        probe::<extension::command::CommandV1>(root),
        probe::<extension::constraint::ConstraintV1>(root),
        probe::<extension::codec::CodecV1>(root),
        probe::<extension::index::IndexV1>(root),
        probe::<extension::event::EventV1>(root),
        probe::<extension::observer::ObserverV1>(root),
        probe::<extension::worker::WorkerV1>(root),
        probe::<extension::migration::MigrationV1>(root),
    ];
    for (id, found) in probes {
        report.result(&format!("layout of {id}"), found, |found| match found {
            true => "as published".to_owned(),
            false => "the plugin does not have it".to_owned(),
        });
    }
}

/// Golden state of every version must lead to the present.
fn check_fixtures(manifest: &Manifest, steps: &Steps, report: &mut Report<'_>) {
    let wanted = steps.wanted();
    for fixture in &steps.fixtures {
        let subject = format!("state of {} version {}", fixture.store, fixture.version);
        let migrated = migrate(manifest, wanted.steps, fixture);
        report.result(&subject, migrated, |(entries, to)| {
            format!(
                "{} entries become {entries} of version {to}",
                fixture.entries.len()
            )
        });
    }
    for store in &manifest.stores {
        let covers = |version: u32| {
            let mut fixtures = steps.fixtures.iter();
            fixtures.any(|f| f.store == store.name && f.version == version)
        };
        let bare: Vec<String> = (1..=store.version)
            .filter(|version| !covers(*version))
            .map(|version| version.to_string())
            .collect();
        if !bare.is_empty() {
            let text = format!("no golden state of version {}", bare.join(", "));
            report.add(&format!("state of {}", store.name), Verdict::Warning, text);
        }
    }
}

/// The number of entries at the present version, and that version.
fn migrate(
    manifest: &Manifest,
    steps: &[Arc<dyn Step>],
    fixture: &Fixture,
) -> Result<(usize, u32), String> {
    let store = &fixture.store;
    let present = manifest
        .store(store)
        .ok_or_else(|| format!("the manifest has no store \"{store}\""))?
        .version;
    if fixture.version > present {
        return Err(format!("the store is only at version {present}"));
    }
    let mut entries = fixture.entries.clone();
    distinct(&mut entries)?;
    for version in fixture.version..present {
        let is_it = |s: &&Arc<dyn Step>| s.store() == store && s.from() == version;
        let Some(step) = steps.iter().find(is_it) else {
            return Err(format!("there is no step from version {version}"));
        };
        let failed = |error| format!("the step from version {version}: {}", say(&error));
        entries = step.migrate(entries).map_err(failed)?;
        distinct(&mut entries).map_err(|why| format!("after the step from {version}, {why}"))?;
        for entry in &entries {
            step.check(entry).map_err(failed)?;
        }
    }
    Ok((entries.len(), present))
}

/// In the order of the keys, as a store hands them out.
fn distinct(entries: &mut [Entry]) -> Result<(), String> {
    entries.sort();
    match entries.windows(2).any(|pair| pair[0].key == pair[1].key) {
        true => Err("a key is there twice".to_owned()),
        false => Ok(()),
    }
}

fn check_start(
    manifest: &Manifest,
    vtables: Vtables,
    health: Arc<Health>,
    start_timeout: Duration,
    report: &mut Report<'_>,
) {
    let settings = match Settings::resolve(&manifest.settings, &Default::default()) {
        Ok(settings) => settings,
        Err(why) => return report.add("start", Verdict::Failed, why),
    };
    let handle = Handle::new(
        manifest.id.as_str().into(),
        &manifest.services,
        Arc::new(Unlimited),
        Background::none(),
    );
    let start = Start {
        // A plugin may keep it for as long as the process lives.
        handle: Box::leak(Box::new(handle)),
        vtables,
        manifest: manifest.clone(),
        settings,
        health: health.clone(),
    };
    let started = match start_within(start_timeout, start) {
        None => Err(format!(
            "it did not end within {} ms",
            start_timeout.as_millis()
        )),
        Some(Err(error)) => Err(say(&error)),
        Some(Ok(started)) => Ok(started),
    };
    let registers = |_: &_| "registers exactly what the manifest declares".to_owned();
    if let Some((active, _)) = report.result("start", started, registers) {
        drop(active);
        match health.last_fault() {
            None => report.add("stop", Verdict::Passed, "stops without a fault"),
            Some(fault) => report.add("stop", Verdict::Failed, fault),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(returns: &str, rest: &str) -> Vec<String> {
        let text = format!(
            "id = \"a\"\nversion = \"1\"\nabi = 1\n{rest}\n[[function]]\nname = \"f\"\n\
             kind = \"scalar\"\narguments = [\"text\", \"any\"]\nreturns = \"{returns}\"\n"
        );
        let mut found = Vec::new();
        let mut sink = |finding: Finding| found.push(format!("{finding:?}"));
        let mut report = Report {
            sink: &mut sink,
            failed: false,
        };
        check_types(&Manifest::parse(&text).unwrap(), &mut report);
        found
    }

    #[test]
    fn a_type_that_no_server_knows_is_found() {
        assert!(said("bigint", "").is_empty());
        assert!(said("own", "[[type]]\nname = \"own\"\nstorage = \"text\"").is_empty());
        let misspelt = said("strng", "").join("");
        assert!(misspelt.contains("Failed"), "{misspelt}");
        assert!(misspelt.contains("no value of type strng"), "{misspelt}");
        // It may be the other plugin's.
        let foreign = said("strng", "requires = [{ plugin = \"b\" }]").join("");
        assert!(foreign.contains("Warning"), "{foreign}");
    }
}
