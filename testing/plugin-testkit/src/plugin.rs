//! [`Loaded`] and [`Started`]: a plugin as a host sees it, behind its root.

use std::collections::BTreeMap;

use heliosdb_plugin_api::abi::{Interface, Published, RootRef};
use heliosdb_plugin_api::abi::{ROption, RStr};
use heliosdb_plugin_api::extension::clause::ClauseV1;
use heliosdb_plugin_api::extension::codec::CodecV1;
use heliosdb_plugin_api::extension::command::CommandV1;
use heliosdb_plugin_api::extension::constraint::ConstraintV1;
use heliosdb_plugin_api::extension::event::EventV1;
use heliosdb_plugin_api::extension::function::FunctionV1;
use heliosdb_plugin_api::extension::index::IndexV1;
use heliosdb_plugin_api::extension::lifecycle::LifecycleV1;
use heliosdb_plugin_api::extension::migration::MigrationV1;
use heliosdb_plugin_api::extension::observer::ObserverV1;
use heliosdb_plugin_api::extension::operator::OperatorV1;
use heliosdb_plugin_api::extension::testing::TestingV1;
use heliosdb_plugin_api::extension::types::TypeV1;
use heliosdb_plugin_api::extension::worker::WorkerV1;
use heliosdb_plugin_api::manifest::Provides;
use heliosdb_plugin_api::{CatalogEvent, Error, Manifest, Plugin, Settings};

use crate::call::{CallError, called};
use crate::host::{Statement, TestHost};

/// A plugin with its manifest read and its vtables checked; nothing of it was started.
#[derive(Clone)]
pub struct Loaded {
    pub manifest: Manifest,
    pub(crate) lifecycle: &'static LifecycleV1,
    pub(crate) function: Option<&'static FunctionV1>,
    pub(crate) types: Option<&'static TypeV1>,
    pub(crate) operator: Option<&'static OperatorV1>,
    pub(crate) clause: Option<&'static ClauseV1>,
    pub(crate) command: Option<&'static CommandV1>,
    pub(crate) constraint: Option<&'static ConstraintV1>,
    pub(crate) codec: Option<&'static CodecV1>,
    pub(crate) index: Option<&'static IndexV1>,
    pub(crate) migration: Option<&'static MigrationV1>,
    pub(crate) event: Option<&'static EventV1>,
    pub(crate) observer: Option<&'static ObserverV1>,
    pub(crate) worker: Option<&'static WorkerV1>,
    pub(crate) testing: Option<&'static TestingV1>,
}

impl Loaded {
    /// A plugin that the test links.
    ///
    /// # Errors
    ///
    /// One line: what is wrong with the manifest or with a vtable.
    pub fn of<P: Plugin>() -> Result<Loaded, String> {
        Loaded::of_root(heliosdb_plugin_api::root::<P>())
    }

    /// Any plugin, one from a file too.
    pub fn of_root(root: RootRef) -> Result<Loaded, String> {
        let manifest = (root.manifest())();
        let manifest = Manifest::parse(manifest.as_str()).map_err(|e| format!("manifest: {e}"))?;
        let lifecycle = interface(root)?;
        Ok(Loaded {
            manifest,
            lifecycle: lifecycle.ok_or("the plugin has no lifecycle/1")?,
            function: interface(root)?,
            types: interface(root)?,
            operator: interface(root)?,
            clause: interface(root)?,
            command: interface(root)?,
            constraint: interface(root)?,
            codec: interface(root)?,
            index: interface(root)?,
            migration: interface(root)?,
            event: interface(root)?,
            observer: interface(root)?,
            worker: interface(root)?,
            testing: interface(root)?,
        })
    }

    /// Starts an instance with these settings, the others at their defaults.
    ///
    /// # Errors
    ///
    /// `22023` for a setting that the manifest refuses; the plugin's own otherwise.
    pub fn start(
        &self,
        host: &TestHost,
        settings: &BTreeMap<String, toml::Value>,
    ) -> Result<Started, CallError> {
        let resolved = Settings::resolve(&self.manifest.settings, settings);
        let resolved = resolved.map_err(|why| {
            let invalid = heliosdb_plugin_api::state::INVALID_PARAMETER_VALUE;
            CallError::from(Error::new(invalid, why))
        })?;
        let text = serde_json::to_string(&resolved)
            .map_err(|e| CallError::from(Error::internal(e.to_string())))?;
        self.start_raw(host, &text)
    }

    /// Starts an instance with settings as they cross: a JSON object.
    pub fn start_raw(&self, host: &TestHost, settings: &str) -> Result<Started, CallError> {
        let instance = called((self.lifecycle.start)(host.interface(), settings.into()))?;
        if instance.is_null() {
            return Err(Error::contract("start gave a null instance").into());
        }
        let mut started = Started {
            loaded: self.clone(),
            host: host.clone(),
            instance,
            provides: Provides::default(),
        };
        let registered = called((self.lifecycle.registered)(instance))?;
        started.provides = serde_json::from_str(&registered)
            .map_err(|e| Error::contract(format!("registered: {e}")))?;
        started.listen();
        Ok(started)
    }
}

fn interface<V: Published>(root: RootRef) -> Result<Option<&'static V>, String> {
    let found: ROption<Interface> = (root.extension())(RStr::from(V::ID));
    found.into_option().map(|i| i.get::<V>()).transpose()
}

/// A started instance. Dropped, it is stopped.
pub struct Started {
    pub loaded: Loaded,
    pub host: TestHost,
    pub(crate) instance: *const (),
    /// What it registered; places in these lists are its indexes.
    pub provides: Provides,
}

// An instance may be called from any thread: that is the contract of every vtable.
unsafe impl Send for Started {}
unsafe impl Sync for Started {}

impl Started {
    /// Starts a plugin on a host, for the author's own tests.
    ///
    /// # Panics
    ///
    /// When it does not start: this is for tests.
    pub fn new<P: Plugin>(host: &TestHost) -> Started {
        let loaded = Loaded::of::<P>().unwrap_or_else(|why| panic!("{why}"));
        let started = loaded.start(host, &BTreeMap::new());
        started.unwrap_or_else(|why| panic!("{why}"))
    }

    /// Stops the instance.
    ///
    /// # Errors
    ///
    /// The entry's, when it panicked: the instance is gone all the same.
    pub fn stop(mut self) -> Result<(), CallError> {
        self.end()
    }

    pub(crate) fn end(&mut self) -> Result<(), CallError> {
        let instance = std::mem::replace(&mut self.instance, std::ptr::null());
        if instance.is_null() {
            return Ok(());
        }
        self.host.listen(None);
        called((self.loaded.lifecycle.stop)(instance))
    }

    /// Objects that are dropped or renamed from now on are told to the instance.
    fn listen(&self) {
        let Some(event) = self.loaded.event else {
            return;
        };
        let instance = self.instance as usize;
        self.host.listen(Some(Box::new(move |what| {
            let instance = instance as *const ();
            let statement = Statement::new();
            let cx = statement.context();
            let told = match what.clone() {
                CatalogEvent::Dropped(object) => (event.dropped)(instance, cx, object.into()),
                CatalogEvent::Renamed { object, old_name } => {
                    (event.renamed)(instance, cx, object.into(), old_name.as_str().into())
                }
            };
            called(told).map_err(|failed| failed.error)
        })));
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        // The suite checks stopping by itself.
        let _ = self.end();
    }
}
