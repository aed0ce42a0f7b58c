//! [`Plugin`]: what an author writes; [`Registrar`]: what it declares; the root that a host sees.

use std::sync::Arc;

use abi_stable::std_types::{RNone, ROption, RSome, RStr};

use crate::abi::{HostV1, Interface, Published, Root, RootRef, ABI_VERSION};
use crate::context::Context;
use crate::error::{Error, Result};
use crate::extension::clause::{Clause, ClauseV1, CLAUSE};
use crate::extension::codec::{Codec, CodecV1, CODEC};
use crate::extension::command::{Command, CommandV1, COMMAND};
use crate::extension::constraint::{Constraint, ConstraintV1, CONSTRAINT};
use crate::extension::event::{CatalogEvent, EventV1, EVENT};
use crate::extension::function::{
    AggregateFunction, FunctionBody, FunctionV1, ScalarFunction, TableFunction, FUNCTION,
};
use crate::extension::index::{Index, IndexV1, INDEX};
use crate::extension::lifecycle::{LifecycleOf, LifecycleV1};
use crate::extension::migration::{MigrationOf, MigrationV1};
use crate::extension::observer::{Observer, ObserverV1, OBSERVER};
use crate::extension::operator::{OperatorV1, OPERATOR};
use crate::extension::testing::{TestingV1, TESTING};
use crate::extension::types::{Type, TypeV1, TYPE};
use crate::extension::worker::{Worker, WorkerV1, WORKER};
use crate::manifest::{
    ClauseDecl, CodecDecl, CommandDecl, ConstraintDecl, FunctionDecl, FunctionKind, IndexDecl,
    Manifest, ObserverDecl, OperatorClassDecl, OperatorDecl, Provides, Settings, TypeDecl,
    WorkerDecl,
};
use crate::migration::Migrations;
use crate::service::Host;

/// A plugin. One value of it is one started instance.
///
/// The host starts no instance before the manifest passed all checks and the plugin's stores are at
/// the versions that the manifest names.
pub trait Plugin: Send + Sync + Sized + 'static {
    /// The text of `plugin.toml`: `include_str!("../plugin.toml")`.
    const MANIFEST: &'static str;

    /// Starts. `host` may be kept until stop.
    ///
    /// # Errors
    ///
    /// The plugin is then shown as failed, with the message, and the server runs without it, unless
    /// the operator forces the plugin.
    fn start(host: Host, settings: &Settings) -> Result<Self>;

    /// Binds everything that the manifest declares to code.
    fn register(self: &Arc<Self>, registrar: &mut Registrar) -> Result<()>;

    /// DDL did something to an object of this plugin; an error fails that statement.
    fn on_event(&self, cx: &Context<'_>, event: &CatalogEvent) -> Result<()> {
        let _ = (cx, event);
        Ok(())
    }

    /// The steps of this plugin's stores.
    fn migrations() -> Migrations {
        Migrations::default()
    }

    /// The host will not call this instance again.
    fn stop(&self) {}
}

/// [`Plugin`] without its type.
pub(crate) trait Running: Send + Sync {
    fn on_event(&self, cx: &Context<'_>, event: &CatalogEvent) -> Result<()>;
    fn stop(&self);
}

impl<P: Plugin> Running for P {
    fn on_event(&self, cx: &Context<'_>, event: &CatalogEvent) -> Result<()> {
        Plugin::on_event(self, cx, event)
    }

    fn stop(&self) {
        Plugin::stop(self);
    }
}

/// A started plugin as its own entries see it.
pub(crate) struct Instance {
    pub registered: Registrar,
    pub host: Host,
    pub plugin: Arc<dyn Running>,
}

impl Instance {
    pub fn start<P: Plugin>(
        manifest: Manifest,
        host: HostV1,
        settings: Settings,
    ) -> Result<Instance> {
        let host = Host::new(host)?;
        let plugin = Arc::new(P::start(host.clone(), &settings)?);
        let mut registrar = Registrar::new(manifest);
        plugin.register(&mut registrar)?;
        Ok(Instance {
            registered: registrar,
            host,
            plugin,
        })
    }
}

/// Collects what an instance provides. Each thing is named here and declared in the manifest, which
/// has its types and options; what is named here and not there is refused, and the other way round.
pub struct Registrar {
    declared: Provides,
    pub(crate) functions: Vec<(FunctionDecl, FunctionBody)>,
    pub(crate) types: Vec<(TypeDecl, Box<dyn Type>)>,
    pub(crate) operators: Vec<OperatorDecl>,
    pub(crate) operator_classes: Vec<OperatorClassDecl>,
    pub(crate) clauses: Vec<(ClauseDecl, Box<dyn Clause>)>,
    pub(crate) commands: Vec<(CommandDecl, Box<dyn Command>)>,
    pub(crate) constraints: Vec<(ConstraintDecl, Box<dyn Constraint>)>,
    pub(crate) codecs: Vec<(CodecDecl, Box<dyn Codec>)>,
    pub(crate) indexes: Vec<(IndexDecl, Box<dyn Index>)>,
    pub(crate) observers: Vec<(ObserverDecl, Box<dyn Observer>)>,
    pub(crate) workers: Vec<(WorkerDecl, Box<dyn Worker>)>,
}

fn undeclared(kind: &str, name: &str) -> Error {
    Error::contract(format!(
        "the plugin registers the {kind} \"{name}\", which its manifest does not declare"
    ))
}

impl Registrar {
    fn new(manifest: Manifest) -> Registrar {
        Registrar {
            functions: Vec::new(),
            types: Vec::new(),
            // They have no code of their own.
            operators: manifest.provides.operators.clone(),
            operator_classes: manifest.provides.operator_classes.clone(),
            clauses: Vec::new(),
            commands: Vec::new(),
            constraints: Vec::new(),
            codecs: Vec::new(),
            indexes: Vec::new(),
            observers: Vec::new(),
            workers: Vec::new(),
            declared: manifest.provides,
        }
    }

    fn function(
        &mut self,
        kind: FunctionKind,
        name: &str,
        arguments: &[&str],
        body: FunctionBody,
    ) -> Result<()> {
        let is_it = |f: &&FunctionDecl| {
            f.kind == kind && f.name == name && f.arguments.iter().eq(arguments.iter())
        };
        let declared = self.declared.functions.iter().find(is_it).cloned();
        let declared = declared
            .ok_or_else(|| undeclared("function", &format!("{name}({})", arguments.join(", "))))?;
        self.functions.push((declared, body));
        Ok(())
    }

    /// Binds a scalar function with these argument types, as the manifest spells them.
    pub fn scalar(
        &mut self,
        name: &str,
        arguments: &[&str],
        body: impl ScalarFunction + 'static,
    ) -> Result<()> {
        let body = FunctionBody::Scalar(Box::new(body));
        self.function(FunctionKind::Scalar, name, arguments, body)
    }

    pub fn aggregate(
        &mut self,
        name: &str,
        arguments: &[&str],
        body: impl AggregateFunction + 'static,
    ) -> Result<()> {
        let body = FunctionBody::Aggregate(Box::new(body));
        self.function(FunctionKind::Aggregate, name, arguments, body)
    }

    pub fn table(
        &mut self,
        name: &str,
        arguments: &[&str],
        body: impl TableFunction + 'static,
    ) -> Result<()> {
        let body = FunctionBody::Table(Box::new(body));
        self.function(FunctionKind::Table, name, arguments, body)
    }

    pub fn sql_type(&mut self, name: &str, body: impl Type + 'static) -> Result<()> {
        let declared = self.declared.types.iter().find(|d| d.name == name);
        let declared = declared.ok_or_else(|| undeclared("type", name))?.clone();
        self.types.push((declared, Box::new(body)));
        Ok(())
    }

    pub fn clause(&mut self, name: &str, body: impl Clause + 'static) -> Result<()> {
        let declared = self.declared.clauses.iter().find(|d| d.name == name);
        let declared = declared.ok_or_else(|| undeclared("clause", name))?.clone();
        self.clauses.push((declared, Box::new(body)));
        Ok(())
    }

    /// `prefix` as the manifest spells it.
    pub fn command(&mut self, prefix: &str, body: impl Command + 'static) -> Result<()> {
        let declared = self.declared.commands.iter().find(|d| d.prefix == prefix);
        let declared = declared
            .ok_or_else(|| undeclared("command", prefix))?
            .clone();
        self.commands.push((declared, Box::new(body)));
        Ok(())
    }

    pub fn constraint(&mut self, name: &str, body: impl Constraint + 'static) -> Result<()> {
        let declared = self.declared.constraints.iter().find(|d| d.name == name);
        let declared = declared
            .ok_or_else(|| undeclared("constraint", name))?
            .clone();
        self.constraints.push((declared, Box::new(body)));
        Ok(())
    }

    pub fn codec(&mut self, name: &str, body: impl Codec + 'static) -> Result<()> {
        let declared = self.declared.codecs.iter().find(|d| d.name == name);
        let declared = declared.ok_or_else(|| undeclared("codec", name))?.clone();
        self.codecs.push((declared, Box::new(body)));
        Ok(())
    }

    /// An index method.
    pub fn index(&mut self, name: &str, body: impl Index + 'static) -> Result<()> {
        let declared = self.declared.indexes.iter().find(|d| d.name == name);
        let declared = declared
            .ok_or_else(|| undeclared("index method", name))?
            .clone();
        self.indexes.push((declared, Box::new(body)));
        Ok(())
    }

    /// Watches the objects of this plugin.
    pub fn observer(&mut self, plugin: &str, body: impl Observer + 'static) -> Result<()> {
        let declared = self.declared.observers.iter().find(|d| d.plugin == plugin);
        let declared = declared
            .ok_or_else(|| undeclared("observer of", plugin))?
            .clone();
        self.observers.push((declared, Box::new(body)));
        Ok(())
    }

    /// Works in the background.
    pub fn worker(&mut self, name: &str, body: impl Worker + 'static) -> Result<()> {
        let declared = self.declared.workers.iter().find(|d| d.name == name);
        let declared = declared.ok_or_else(|| undeclared("worker", name))?.clone();
        self.workers.push((declared, Box::new(body)));
        Ok(())
    }

    /// What was registered, in the order in which places count. Steps are not an instance's.
    pub(crate) fn provides(&self) -> Provides {
        Provides {
            functions: self.functions.iter().map(|(d, _)| d.clone()).collect(),
            types: self.types.iter().map(|(d, _)| d.clone()).collect(),
            operators: self.operators.clone(),
            operator_classes: self.operator_classes.clone(),
            clauses: self.clauses.iter().map(|(d, _)| d.clone()).collect(),
            commands: self.commands.iter().map(|(d, _)| d.clone()).collect(),
            constraints: self.constraints.iter().map(|(d, _)| d.clone()).collect(),
            codecs: self.codecs.iter().map(|(d, _)| d.clone()).collect(),
            indexes: self.indexes.iter().map(|(d, _)| d.clone()).collect(),
            observers: self.observers.iter().map(|(d, _)| d.clone()).collect(),
            workers: self.workers.iter().map(|(d, _)| d.clone()).collect(),
            steps: Vec::new(),
            adopts: Vec::new(),
        }
    }
}

/// A plugin that the binary links: what [`plugin!`](crate::plugin!) submits.
pub struct StaticPlugin {
    pub root: fn() -> RootRef,
}

inventory::collect!(StaticPlugin);

/// Every plugin that this binary links, in no order.
pub fn linked() -> impl Iterator<Item = RootRef> {
    inventory::iter::<StaticPlugin>
        .into_iter()
        .map(|p| (p.root)())
}

/// The root of a plugin, for both ways of linking.
pub fn root<P: Plugin>() -> RootRef {
    extern "C" fn abi() -> u32 {
        ABI_VERSION
    }
    extern "C" fn manifest<P: Plugin>() -> RStr<'static> {
        RStr::from_str(P::MANIFEST)
    }
    extern "C" fn panics_unwind() -> bool {
        cfg!(panic = "unwind")
    }
    Root {
        abi,
        manifest: manifest::<P>,
        panics_unwind,
        extension: extension::<P>,
    }
    .publish()
}

extern "C" fn extension<P: Plugin>(id: RStr<'_>) -> ROption<Interface> {
    let interface = match id.as_str() {
        LifecycleV1::ID => Interface::of(LifecycleOf::<P>::VTABLE),
        MigrationV1::ID => Interface::of(MigrationOf::<P>::VTABLE),
        FunctionV1::ID => Interface::of(&FUNCTION),
        TypeV1::ID => Interface::of(&TYPE),
        OperatorV1::ID => Interface::of(&OPERATOR),
        ClauseV1::ID => Interface::of(&CLAUSE),
        CommandV1::ID => Interface::of(&COMMAND),
        ConstraintV1::ID => Interface::of(&CONSTRAINT),
        CodecV1::ID => Interface::of(&CODEC),
        IndexV1::ID => Interface::of(&INDEX),
        EventV1::ID => Interface::of(&EVENT),
        ObserverV1::ID => Interface::of(&OBSERVER),
        WorkerV1::ID => Interface::of(&WORKER),
        TestingV1::ID => Interface::of(&TESTING),
        _ => return RNone,
    };
    RSome(interface)
}

/// Links a plugin statically into every binary that names its crate (`use heliosdb_x as _;`).
#[macro_export]
macro_rules! plugin {
    ($plugin:ty) => {
        $crate::inventory::submit! {
            $crate::StaticPlugin { root: $crate::root::<$plugin> }
        }
    };
}

/// Makes a shared object of a plugin: the one line of its `dyn/` crate, whose crate type is
/// `cdylib`. The symbol is fixed, so it must not be in a library that others link.
///
/// With a second argument, that function gives the root: for tests of hosts.
#[macro_export]
macro_rules! export_plugin {
    ($plugin:ty) => {
        $crate::export_plugin!($plugin, $crate::root::<$plugin>);
    };
    ($plugin:ty, $root:expr) => {
        #[used]
        #[unsafe(link_section = ".heliosdb.manifest")]
        static HELIOSDB_MANIFEST: [u8; <$plugin as $crate::Plugin>::MANIFEST.len()] =
            $crate::abi::export::bytes(<$plugin as $crate::Plugin>::MANIFEST);

        #[used]
        #[unsafe(link_section = ".heliosdb.build")]
        static HELIOSDB_BUILD: [u8; $crate::abi::export::BUILD.len()] =
            $crate::abi::export::bytes($crate::abi::export::BUILD);

        extern "C" fn heliosdb_root() -> $crate::abi::export::RootResult {
            $crate::abi::export::call($root)
        }

        #[unsafe(export_name = "_1as_0lib_1header_0root_bmodule_bloader")]
        pub static HELIOSDB_ROOT: $crate::abi::export::Header =
            $crate::abi::export::header(heliosdb_root);
    };
}
