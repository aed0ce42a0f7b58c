//! A started plugin, and typed calls into it.
//!
//! [`Active`] owns the instance: it stops when the last thing that could call it is gone, so no call
//! finds a dead pointer. The files beside this one wrap a vtable each: they export arguments, call,
//! and believe nothing of what comes back that can be checked.
//!
//! Invariants:
//! 1. Every call into a plugin goes through [`Active::call`], which refuses a quarantined plugin and
//!    counts faults: panics, and results that break the contract.
//! 2. An accumulator or a cursor that panicked is never called again but to release it.

pub mod clause;
pub mod codec;
pub mod command;
pub mod constraint;
pub mod event;
pub mod function;
pub mod health;
pub mod index;
pub mod observer;
pub mod registered;
pub mod steps;
pub mod types;
pub mod worker;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use heliosdb_plugin_api::abi::value::AbiResult;
use heliosdb_plugin_api::abi::{Published, RootRef};
use heliosdb_plugin_api::extension::clause::ClauseV1;
use heliosdb_plugin_api::extension::codec::CodecV1;
use heliosdb_plugin_api::extension::command::CommandV1;
use heliosdb_plugin_api::extension::constraint::ConstraintV1;
use heliosdb_plugin_api::extension::event::EventV1;
use heliosdb_plugin_api::extension::function::FunctionV1;
use heliosdb_plugin_api::extension::index::IndexV1;
use heliosdb_plugin_api::extension::lifecycle::LifecycleV1;
use heliosdb_plugin_api::extension::observer::ObserverV1;
use heliosdb_plugin_api::extension::operator::OperatorV1;
use heliosdb_plugin_api::extension::types::TypeV1;
use heliosdb_plugin_api::extension::worker::WorkerV1;
use heliosdb_plugin_api::manifest::{Manifest, Provides};
use heliosdb_plugin_api::{Error, Result, Settings};

use crate::service::Handle;
use health::Health;

/// The interfaces of a plugin whose layouts were checked; those it does not have are absent.
#[derive(Clone, Copy)]
pub(crate) struct Vtables {
    pub lifecycle: &'static LifecycleV1,
    pub function: Option<&'static FunctionV1>,
    pub types: Option<&'static TypeV1>,
    pub clause: Option<&'static ClauseV1>,
    pub command: Option<&'static CommandV1>,
    pub constraint: Option<&'static ConstraintV1>,
    pub codec: Option<&'static CodecV1>,
    pub index: Option<&'static IndexV1>,
    pub event: Option<&'static EventV1>,
    pub observer: Option<&'static ObserverV1>,
    pub worker: Option<&'static WorkerV1>,
}

/// The interface of a root, its layout checked.
pub(crate) fn interface<V: Published>(root: RootRef) -> Result<Option<&'static V>, String> {
    let found = (root.extension())(V::ID.into()).into_option();
    found.map(|interface| interface.get::<V>()).transpose()
}

impl Vtables {
    /// Fetches and checks what the manifest says the plugin has.
    ///
    /// # Errors
    ///
    /// One paragraph: an interface that is missing or has another layout.
    pub fn fetch(root: RootRef, manifest: &Manifest) -> Result<Vtables, String> {
        let points = manifest.extension_points();
        fn wanted<V: Published>(
            root: RootRef,
            points: &[&str],
        ) -> Result<Option<&'static V>, String> {
            if !points.contains(&V::ID) {
                return Ok(None);
            }
            match interface::<V>(root)? {
                Some(vtable) => Ok(Some(vtable)),
                None => Err(format!(
                    "the manifest uses {}, which this build of the plugin does not have",
                    V::ID
                )),
            }
        }
        wanted::<OperatorV1>(root, &points)?;
        Ok(Vtables {
            lifecycle: interface::<LifecycleV1>(root)?
                .ok_or_else(|| format!("the plugin has no {}", LifecycleV1::ID))?,
            function: wanted(root, &points)?,
            types: wanted(root, &points)?,
            clause: wanted(root, &points)?,
            command: wanted(root, &points)?,
            constraint: wanted(root, &points)?,
            codec: wanted(root, &points)?,
            index: wanted(root, &points)?,
            event: interface(root)?,
            observer: wanted(root, &points)?,
            worker: wanted(root, &points)?,
        })
    }
}

/// A started instance.
pub(crate) struct Active {
    pub plugin: Arc<str>,
    pub vtables: Vtables,
    instance: *const (),
    pub health: Arc<Health>,
    /// A codec failed to filter. What it encoded can be read without, so none of the plugin's is asked again,
    /// lest what more it does wrong ends in quarantine.
    filter_failed: AtomicBool,
}

// The instance is only given back to the plugin, whose `Plugin` trait requires Send and Sync.
unsafe impl Send for Active {}
unsafe impl Sync for Active {}

impl Active {
    /// Starts an instance and checks that it registers exactly what the manifest declares.
    ///
    /// # Errors
    ///
    /// What the plugin said, or the first difference between registration and manifest.
    pub fn start(
        handle: &'static Handle,
        vtables: Vtables,
        manifest: &Manifest,
        settings: &Settings,
        health: Arc<Health>,
    ) -> Result<(Active, Provides)> {
        let settings =
            serde_json::to_string(settings).map_err(|e| Error::internal(e.to_string()))?;
        let started = (vtables.lifecycle.start)(handle.abi(), settings.as_str().into());
        let instance = started.into_result().map_err(|e| health.fault(e))?;
        if instance.is_null() {
            return Err(health.contract(Error::contract("start gave no instance")));
        }
        let active = Active {
            plugin: handle.plugin.clone(),
            vtables,
            instance,
            health,
            filter_failed: AtomicBool::new(false),
        };
        let registered = active.call(|instance| (vtables.lifecycle.registered)(instance))?;
        let registered: Provides = serde_json::from_str(&registered)
            .map_err(|e| active.broke(format!("what it registered cannot be read: {e}")))?;
        equal(&manifest.provides, &registered).map_err(|why| active.broke(why))?;
        Ok((active, registered))
    }

    /// Calls into the plugin.
    pub fn call<T>(&self, call: impl FnOnce(*const ()) -> AbiResult<T>) -> Result<T> {
        self.health.check()?;
        let result = call(self.instance).into_result();
        result.map_err(|error| self.health.fault(error))
    }

    /// The error of a result that breaks the contract, which counts as a fault.
    pub fn broke(&self, what: impl Into<String>) -> Error {
        self.health.contract(Error::contract(what))
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        let stopped = (self.vtables.lifecycle.stop)(self.instance).into_result();
        if let Err(error) = stopped {
            let error = self.health.fault(error);
            tracing::warn!(plugin = &*self.plugin, "stop: {error}");
        }
    }
}

/// Registration and manifest must be equal, in any order.
fn equal(manifest: &Provides, registered: &Provides) -> Result<(), String> {
    fn lists<T: PartialEq>(
        kind: &str,
        manifest: &[T],
        registered: &[T],
        name: impl Fn(&T) -> String,
    ) -> Result<(), String> {
        if let Some(missing) = manifest.iter().find(|d| !registered.contains(d)) {
            let name = name(missing);
            return Err(format!(
                "the manifest declares the {kind} \"{name}\", which is not registered"
            ));
        }
        if let Some(extra) = registered.iter().find(|d| !manifest.contains(d)) {
            let name = name(extra);
            return Err(format!(
                "the {kind} \"{name}\" is registered but not declared in the manifest"
            ));
        }
        if manifest.len() != registered.len() {
            return Err(format!("a {kind} is registered twice"));
        }
        Ok(())
    }
    let (m, r) = (manifest, registered);
    lists("function", &m.functions, &r.functions, |d| {
        format!("{}({})", d.name, d.arguments.join(", "))
    })?;
    lists("type", &m.types, &r.types, |d| d.name.clone())?;
    lists("operator", &m.operators, &r.operators, |d| {
        format!("{} {} {}", d.left, d.name, d.right)
    })?;
    lists(
        "operator class",
        &m.operator_classes,
        &r.operator_classes,
        |d| d.name.clone(),
    )?;
    lists("clause", &m.clauses, &r.clauses, |d| d.name.clone())?;
    lists("command", &m.commands, &r.commands, |d| d.prefix.clone())?;
    lists("constraint", &m.constraints, &r.constraints, |d| {
        d.name.clone()
    })?;
    lists("codec", &m.codecs, &r.codecs, |d| d.name.clone())?;
    lists("index method", &m.indexes, &r.indexes, |d| d.name.clone())?;
    lists("observer of", &m.observers, &r.observers, |d| {
        d.plugin.clone()
    })?;
    lists("worker", &m.workers, &r.workers, |d| d.name.clone())
}
