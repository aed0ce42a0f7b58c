//! [`PluginHost`]: the plugins of one server, from boot to close.
//!
//! For each plugin that the [`BootPlan`] starts, in its order:
//!
//! 1. a file is opened, with the boot guard told before and after, so that a plugin that kills the
//!    server while it starts is left out the second time;
//! 2. the layout of every interface is checked on its own;
//! 3. its stores are migrated to the versions that its code has;
//! 4. it starts, on a thread of its own, with a time limit;
//! 5. what it registered must equal its manifest.
//!
//! Then storage is handed their codecs ([`crate::codec`]).
//!
//! A plugin that fails on the way is left out with the reason, or stops the boot if it is forced. What
//! it did up to then cannot be half: registration is taken in only when all of it was checked.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use heliosdb_plugin_api::abi::RootRef;
use heliosdb_plugin_api::manifest::{Manifest, Provides};
use heliosdb_plugin_api::{Error, Settings};
use heliosdb_storage::Engine;
use heliosdb_storage::codec::Encoding;

use crate::active::health::Health;
use crate::active::steps::Steps;
use crate::active::{Active, Vtables};
use crate::background::Background;
use crate::background::workers::{self, Transactions};
use crate::boot::{BootError, BootPlan, Planned};
use crate::codec::PluginCodecs;
use crate::config::{Activation, PluginsConfig};
use crate::file::{FileError, PluginFile, Sha256};
use crate::lifecycle::{Ending, State, Verdict, judge};
use crate::load;
use crate::migration::{self, Report};
use crate::registry::Registry;
use crate::resolve::{Origin, Outcome};
use crate::service::{Handle, MemoryLimit};

/// One row of `helios_plugins`.
#[derive(Clone, Debug)]
pub struct PluginStatus {
    pub id: String,
    /// Of a plugin that is present.
    pub manifest: Option<Arc<Manifest>>,
    pub state: State,
    /// Why it is not active, or the last fault of one that is.
    pub reason: Option<String>,
    pub activation: Activation,
    /// `None` for one that is linked into the server.
    pub path: Option<PathBuf>,
    pub sha256: Option<Sha256>,
    /// Panics and broken contracts since the server started.
    pub faults: u32,
}

/// The plugins of one server.
pub struct PluginHost {
    plugins: Vec<Record>,
    registry: Arc<Registry>,
    background: Arc<Background>,
}

impl Drop for PluginHost {
    fn drop(&mut self) {
        self.background.stop();
    }
}

struct Record {
    status: PluginStatus,
    health: Option<Arc<Health>>,
    reports: Vec<Report>,
}

impl std::fmt::Debug for PluginHost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list()
            .entries(self.plugins().iter().map(|p| (p.id.clone(), p.state)))
            .finish()
    }
}

impl PluginHost {
    /// A host without plugins.
    pub fn none() -> Arc<PluginHost> {
        Arc::new(PluginHost {
            plugins: Vec::new(),
            registry: Arc::new(Registry::default()),
            background: Background::none(),
        })
    }

    /// Starts what the plan says. `linked` has the roots of the plan's bundled plugins.
    ///
    /// # Errors
    ///
    /// A forced plugin that does not start, or the guard's files.
    pub fn boot(
        mut plan: BootPlan,
        linked: &[RootRef],
        engine: &Engine,
        start_timeout: Duration,
        memory: &Arc<dyn MemoryLimit>,
    ) -> Result<Arc<PluginHost>, BootError> {
        plan.commit()?;
        let background = Background::new(engine.governor());
        let mut boot = Boot {
            linked,
            engine,
            start_timeout,
            memory,
            background: &background,
            registry: Registry::default(),
            records: Vec::new(),
        };
        for planned in std::mem::take(&mut plan.plugins) {
            boot.take(planned, &mut plan)?;
        }
        for refused in &plan.unreadable {
            tracing::warn!("{refused}");
            boot.records.push(unreadable(refused, &plan.config));
        }
        for id in &plan.missing {
            boot.records.push(missing(id, plan.config.activation(id)));
        }
        let registry = Arc::new(boot.registry);
        engine.set_codecs(Arc::new(PluginCodecs::new(registry.clone())));
        Ok(Arc::new(PluginHost {
            plugins: boot.records,
            registry,
            background,
        }))
    }

    /// Lets the workers work, each quantum in a transaction of the SQL layer's.
    pub fn start_workers(&self, transactions: &Arc<dyn Transactions>) {
        if let Some(workers) = &self.background.workers {
            workers.start(self.registry.workers(), transactions);
        }
    }

    /// Calls a worker soon, however long it wanted to sleep.
    ///
    /// # Errors
    ///
    /// `42704` when it does not run.
    pub fn wake(&self, plugin: &str, worker: &str) -> Result<(), Error> {
        match &self.background.workers {
            Some(workers) => workers.wake(plugin, worker),
            None => Err(workers::unknown(worker)),
        }
    }

    /// Ends all that plugins do in the background. Before the engine closes.
    pub fn stop_background(&self) {
        self.background.stop();
    }

    /// What the active plugins provide.
    pub fn registry(&self) -> Arc<Registry> {
        self.registry.clone()
    }

    /// Every plugin that was found or is missed.
    pub fn plugins(&self) -> Vec<PluginStatus> {
        self.plugins.iter().map(Record::status).collect()
    }

    pub fn plugin(&self, id: &str) -> Option<PluginStatus> {
        self.plugins
            .iter()
            .find(|r| r.status.id == id)
            .map(Record::status)
    }

    /// What was migrated at boot.
    pub fn reports(&self) -> Vec<Report> {
        self.plugins
            .iter()
            .flat_map(|r| r.reports.clone())
            .collect()
    }
}

impl Record {
    fn status(&self) -> PluginStatus {
        let mut status = self.status.clone();
        if let Some(health) = &self.health {
            status.faults = health.faults();
            if health.is_quarantined() && status.state == State::Active {
                status.state = State::Quarantined;
            }
            if status.reason.is_none() {
                status.reason = health.last_fault();
            }
        }
        status
    }
}

fn missing(id: &str, activation: Activation) -> Record {
    let reason = "its file is not in the plugin directory".to_owned();
    absent(id.to_owned(), State::Missing, reason, activation)
}

/// A refused file, by its plugin's id or else by its own name.
fn unreadable(error: &FileError, config: &PluginsConfig) -> Record {
    let name = error.path.file_name().unwrap_or_default();
    let id = match &error.id {
        Some(id) => id.clone(),
        None => name.to_string_lossy().into_owned(),
    };
    let activation = config.activation(&id);
    let mut record = absent(id, State::Failed, error.refusal.to_string(), activation);
    record.status.path = Some(error.path.clone());
    record
}

fn absent(id: String, state: State, reason: String, activation: Activation) -> Record {
    Record {
        status: PluginStatus {
            id,
            manifest: None,
            state,
            reason: Some(reason),
            activation,
            path: None,
            sha256: None,
            faults: 0,
        },
        health: None,
        reports: Vec::new(),
    }
}

/// A boot under way.
struct Boot<'a> {
    linked: &'a [RootRef],
    engine: &'a Engine,
    start_timeout: Duration,
    memory: &'a Arc<dyn MemoryLimit>,
    background: &'a Arc<Background>,
    registry: Registry,
    records: Vec<Record>,
}

impl Boot<'_> {
    fn take(&mut self, planned: Planned, plan: &mut BootPlan) -> Result<(), BootError> {
        let id: Arc<str> = planned.manifest.id.as_str().into();
        let health = Arc::new(Health::new(id.clone()));
        let mut reports = Vec::new();
        let (state, reason) = match &planned.outcome {
            Outcome::Not(state, reason) => (*state, Some(reason.clone())),
            Outcome::Start => {
                let ending = self.start(&planned, &health, &mut reports, plan)?;
                match judge(&id, planned.activation, ending) {
                    Verdict::Run => (State::Active, None),
                    Verdict::Without(state, reason) => (state, Some(reason)),
                    Verdict::StopBoot(why) => return Err(BootError::Forced(why)),
                }
            }
        };
        if state != State::Active {
            self.registry.note(&planned.manifest, state, None);
            // Of two with one id the first is read with: a linked one comes before files.
            let read = self.registry.has_decoders(&id);
            if state == State::Disabled && !read && self.is_needed_to_read(&planned.manifest) {
                self.start_decoders(&planned, &health, plan)?;
            }
            if state != State::Disabled {
                let reason = reason.as_deref().unwrap_or_default();
                tracing::warn!(plugin = &*id, %state, "{reason}");
            }
        }
        self.records.push(Record {
            status: PluginStatus {
                id: id.to_string(),
                state,
                reason,
                activation: planned.activation,
                path: planned.file.as_ref().map(|f| f.path.clone()),
                sha256: planned.file.as_ref().map(|f| f.sha256),
                faults: 0,
                manifest: Some(Arc::new(planned.manifest)),
            },
            health: Some(health),
            reports,
        });
        Ok(())
    }

    /// Steps 1 to 5 for a plugin that is to be active.
    fn start(
        &mut self,
        planned: &Planned,
        health: &Arc<Health>,
        reports: &mut Vec<Report>,
        plan: &mut BootPlan,
    ) -> Result<Ending, BootError> {
        let manifest = &planned.manifest;
        let stopped = manifest
            .requires
            .iter()
            .find(|r| self.registry.state(&r.plugin) != Some(State::Active));
        if let Some(required) = stopped {
            let id = &required.plugin;
            let why = format!("it requires \"{id}\", which did not start");
            return Ok(Ending::Failed(why));
        }
        let started = self.start_guarded(planned, health, plan, |boot, root| {
            boot.migrate(root, manifest, health, reports)
        })?;
        Ok(match started {
            Ok((active, registered)) => {
                self.registry.add(Arc::new(active), manifest, registered);
                Ending::Started
            }
            Err(ending) => ending,
        })
    }

    /// Whether segments name a codec of the plugin.
    fn is_needed_to_read(&self, manifest: &Manifest) -> bool {
        let codecs = &manifest.provides.codecs;
        let named = |name: &str| codecs.iter().any(|c| c.name == name);
        let in_use = self.engine.codecs_in_use();
        in_use.iter().any(|pages| match &pages.encoding {
            Encoding::Codec(name) => named(name),
            _ => false,
        })
    }

    /// A plugin that is off still reads what its codecs wrote. Nothing else of it is taken in, and
    /// its stores are left alone.
    fn start_decoders(
        &mut self,
        planned: &Planned,
        health: &Arc<Health>,
        plan: &mut BootPlan,
    ) -> Result<(), BootError> {
        let plugin = &planned.manifest.id;
        if let Some(why) = &planned.distrust {
            tracing::error!(plugin, "its codecs are not loaded: {why}");
            return Ok(());
        }
        if let Some(file) = &planned.file {
            plan.pin(file)?;
        }
        match self.start_guarded(planned, health, plan, |_, _| Ok(()))? {
            Ok((active, registered)) => {
                let active = Arc::new(active);
                self.registry.add_decoders(&active, registered.codecs);
            }
            Err(ending) => {
                tracing::error!(plugin, "its codecs cannot be loaded: {ending:?}");
            }
        }
        Ok(())
    }

    /// Opens, checks and starts, a file under the eyes of the boot guard. `prepare` runs before the
    /// start.
    fn start_guarded(
        &mut self,
        planned: &Planned,
        health: &Arc<Health>,
        plan: &mut BootPlan,
        prepare: impl FnOnce(&Self, RootRef) -> Result<(), String>,
    ) -> Result<Result<(Active, Provides), Ending>, BootError> {
        if let Some(file) = &planned.file {
            plan.guard().begin(file)?;
        }
        let with = StartWith {
            linked: self.linked,
            start_timeout: self.start_timeout,
            memory: self.memory,
            background: self.background,
        };
        let started = start_instance(&with, planned, health, |root| prepare(self, root));
        if let Some(file) = &planned.file {
            match &started {
                Err(Ending::Hung) => plan.guard().hung(file)?,
                _ => plan.guard().finish(file)?,
            }
        }
        Ok(started)
    }

    /// Brings the plugin's stores to the versions of its code.
    fn migrate(
        &self,
        root: RootRef,
        manifest: &Manifest,
        health: &Arc<Health>,
        reports: &mut Vec<Report>,
    ) -> Result<(), String> {
        let steps = Steps::of(root, manifest, health)?;
        let view = self.engine.latest_view();
        let plan = migration::preflight(&view, &steps.wanted()).map_err(|e| e.to_string())?;
        drop(view);
        if !plan.is_empty() {
            let settings = migration::Settings::default();
            let report = migration::run(self.engine, &plan, &settings);
            reports.push(report.map_err(|e| e.to_string())?);
        }
        Ok(())
    }
}

/// What the start of a server would do to the stores of plugins; it is not done. A plugin that cannot
/// say is left out: it would not start, and would migrate nothing.
pub fn pending(plan: &BootPlan, linked: &[RootRef], engine: &Engine) -> Vec<migration::Plan> {
    let starting = plan.plugins.iter().filter(|p| p.outcome == Outcome::Start);
    let pending = starting.filter_map(|planned| {
        let manifest = &planned.manifest;
        let health = Arc::new(Health::new(manifest.id.as_str().into()));
        let root = open(planned.file.as_ref(), manifest, linked).ok()?;
        let steps = Steps::of(root, manifest, &health).ok()?;
        migration::preflight(&engine.latest_view(), &steps.wanted()).ok()
    });
    pending.filter(|plan| !plan.is_empty()).collect()
}

/// What every plugin that starts would do to its stores; nothing of it is kept.
///
/// # Errors
///
/// Per plugin, why it would not migrate.
pub fn dry_run(
    plan: &BootPlan,
    linked: &[RootRef],
    engine: &Engine,
) -> Vec<(String, Result<Report, String>)> {
    let starting = plan.plugins.iter().filter(|p| p.outcome == Outcome::Start);
    starting
        .map(|planned| {
            let manifest = &planned.manifest;
            let try_it = || {
                let health = Arc::new(Health::new(manifest.id.as_str().into()));
                let root = open(planned.file.as_ref(), manifest, linked)?;
                let steps = Steps::of(root, manifest, &health)?;
                let view = engine.latest_view();
                let plan = migration::preflight(&view, &steps.wanted());
                let plan = plan.map_err(|e| e.to_string())?;
                drop(view);
                migration::dry_run(engine, &plan, &migration::Settings::default())
                    .map_err(|e| e.to_string())
            };
            (manifest.id.clone(), try_it())
        })
        .collect()
}

/// What plugins are started with.
pub(crate) struct StartWith<'a> {
    pub linked: &'a [RootRef],
    pub start_timeout: Duration,
    pub memory: &'a Arc<dyn MemoryLimit>,
    pub background: &'a Arc<Background>,
}

/// Opens, checks and starts. `prepare` runs before the start.
pub(crate) fn start_instance(
    with: &StartWith<'_>,
    planned: &Planned,
    health: &Arc<Health>,
    prepare: impl FnOnce(RootRef) -> Result<(), String>,
) -> Result<(Active, Provides), Ending> {
    let manifest = &planned.manifest;
    let root = open(planned.file.as_ref(), manifest, with.linked).map_err(Ending::Failed)?;
    let vtables = Vtables::fetch(root, manifest).map_err(Ending::Failed)?;
    prepare(root).map_err(Ending::Failed)?;
    let handle = Handle::new(
        manifest.id.as_str().into(),
        &manifest.services,
        with.memory.clone(),
        with.background.clone(),
    );
    let started = start_within(
        with.start_timeout,
        Start {
            // A plugin may call back until it is stopped, which is when the process ends.
            handle: Box::leak(Box::new(handle)),
            vtables,
            manifest: manifest.clone(),
            settings: planned.settings.clone(),
            health: health.clone(),
        },
    );
    match started {
        None => Err(Ending::Hung),
        Some(Err(error)) if health.has_panicked() => Err(Ending::Panicked(say(&error))),
        Some(Err(error)) => Err(Ending::Failed(say(&error))),
        Some(Ok(started)) => Ok(started),
    }
}

/// The root of a plugin, from its file or from the server itself.
pub(crate) fn open(
    file: Option<&PluginFile>,
    manifest: &Manifest,
    linked: &[RootRef],
) -> Result<RootRef, String> {
    if let Some(file) = file {
        file.check_unchanged()?;
        return load::open(&file.path, manifest);
    }
    let is_it = |root: &&RootRef| {
        let text = (root.manifest())();
        Manifest::parse(text.as_str()).is_ok_and(|m| m.id == manifest.id)
    };
    let root = linked
        .iter()
        .find(is_it)
        .ok_or_else(|| "it is not linked into this server".to_owned())?;
    load::check(*root, manifest)?;
    Ok(*root)
}

/// What a plugin is started with.
pub(crate) struct Start {
    pub handle: &'static Handle,
    pub vtables: Vtables,
    pub manifest: Manifest,
    pub settings: Settings,
    pub health: Arc<Health>,
}

#[allow(clippy::disallowed_methods)] // Foreign code that may hang is not the simulator's to schedule.
/// Starts on a thread of its own. `None` when the time is over; the thread is then left to itself.
pub(crate) fn start_within(
    timeout: Duration,
    start: Start,
) -> Option<Result<(Active, Provides), Error>> {
    let (sender, receiver) = mpsc::channel();
    let run = move || {
        let Start {
            handle,
            vtables,
            manifest,
            settings,
            health,
        } = start;
        let started = Active::start(handle, vtables, &manifest, &settings, health);
        // A receiver that gave up drops what came too late, which stops the plugin.
        let _ = sender.send(started);
    };
    let thread = std::thread::Builder::new().name("helios-plugin-start".to_owned());
    if let Err(error) = thread.spawn(run) {
        return Some(Err(Error::internal(format!(
            "no thread to start on: {error}"
        ))));
    }
    match receiver.recv_timeout(timeout) {
        Ok(started) => Some(started),
        Err(RecvTimeoutError::Timeout) => None,
        Err(RecvTimeoutError::Disconnected) => {
            Some(Err(Error::internal("the starting thread died")))
        }
    }
}

/// An error on one line.
pub(crate) fn say(error: &Error) -> String {
    match &error.detail {
        Some(detail) => format!("{}: {detail}", error.message),
        None => error.message.clone(),
    }
}

/// The manifests of roots, as a [`BootPlan`] wants them.
///
/// # Errors
///
/// The first that cannot be read, which is a mistake of whoever built the server.
pub fn manifests(linked: &[RootRef]) -> Result<Vec<Manifest>, String> {
    let parse = |root: &RootRef| {
        let text = (root.manifest())();
        Manifest::parse(text.as_str()).map_err(|e| format!("a bundled plugin's manifest: {e}"))
    };
    linked.iter().map(parse).collect()
}

/// Where a plugin comes from, as `helios_plugins` shows it.
pub fn linkage(origin: &Origin) -> &'static str {
    match origin {
        Origin::Bundled => "static",
        Origin::File(_) => "dynamic",
    }
}
