//! Everything that the active plugins of a server provide, by name.
//!
//! A [`Registry`] is made once, when all plugins have started or failed, and never changes; a plugin
//! that is quarantined later stays in it and refuses its calls. Names that a plugin *would* provide,
//! were it active, are known too, for error messages ([`Registry::claimed`]).

use std::collections::BTreeMap;
use std::sync::Arc;

use heliosdb_plugin_api::manifest::{
    CodecDecl, Manifest, OperatorClassDecl, OperatorDecl, Provides,
};

use crate::active::Active;
use crate::active::clause::Clause;
use crate::active::codec::Codec;
use crate::active::command::Command;
use crate::active::constraint::Constraint;
use crate::active::event::Listener;
use crate::active::function::Function;
use crate::active::health::Health;
use crate::active::index::Index;
use crate::active::observer::Observer;
use crate::active::registered::Registered;
use crate::active::types::Type;
use crate::active::worker::Worker;
use crate::lifecycle::State;
use crate::names::{NameKind, claims};

/// An operator and the function it calls.
#[derive(Clone, Debug)]
pub struct Operator {
    pub declared: OperatorDecl,
    pub function: Arc<Function>,
}

/// An operator class of a plugin.
#[derive(Clone, Debug)]
pub struct OperatorClass {
    pub plugin: Arc<str>,
    pub declared: OperatorClassDecl,
}

/// A plugin whose name stands in the way or is missed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claimed {
    pub plugin: Arc<str>,
    pub state: State,
}

/// What the active plugins provide. Lists are in the order in which the plugins started.
#[derive(Default)]
pub struct Registry {
    functions: Vec<Arc<Function>>,
    types: Vec<Arc<Type>>,
    operators: Vec<Operator>,
    operator_classes: Vec<OperatorClass>,
    clauses: Vec<Arc<Clause>>,
    commands: Vec<Arc<Command>>,
    constraints: Vec<Arc<Constraint>>,
    codecs: BTreeMap<String, Arc<Codec>>,
    /// Codecs of plugins that are off, kept while pages name them.
    decoders: BTreeMap<String, Arc<Codec>>,
    indexes: BTreeMap<String, Arc<Index>>,
    listeners: BTreeMap<Arc<str>, Listener>,
    observers: Vec<Arc<Observer>>,
    workers: Vec<Arc<Worker>>,
    claims: BTreeMap<(NameKind, String), Arc<str>>,
    states: BTreeMap<Arc<str>, (State, Option<Arc<Health>>)>,
}

impl Registry {
    /// Takes in a plugin that is not active: only its names. One with the id of an active plugin, such
    /// as a file of a plugin that is linked, says nothing about that one.
    pub(crate) fn note(&mut self, manifest: &Manifest, state: State, health: Option<Arc<Health>>) {
        let plugin: Arc<str> = manifest.id.as_str().into();
        let held = self.states.get(&plugin).map(|(held, _)| *held);
        if held == Some(State::Active) && state != State::Active {
            return;
        }
        for claim in claims(manifest) {
            let key = (claim.kind, claim.name);
            // An active plugin's claim goes before that of one that is not.
            let held = self.claims.get(&key).and_then(|p| self.states.get(p));
            if state == State::Active || held.is_none_or(|(held, _)| *held != State::Active) {
                self.claims.insert(key, plugin.clone());
            }
        }
        self.states.insert(plugin, (state, health));
    }

    /// Takes in a started plugin with what it registered; places count in those lists.
    pub(crate) fn add(&mut self, active: Arc<Active>, manifest: &Manifest, registered: Provides) {
        self.note(manifest, State::Active, Some(active.health.clone()));
        let vtables = active.vtables;
        let functions = Registered::all(&active, vtables.function, registered.functions);
        for declared in registered.operators {
            let arguments = [&declared.left, &declared.right];
            let function = functions.iter().find(|f| {
                f.declared.name == declared.function && f.declared.arguments.iter().eq(arguments)
            });
            if let Some(function) = function {
                self.operators.push(Operator {
                    function: function.clone(),
                    declared,
                });
            }
        }
        self.functions.extend(functions);
        for declared in registered.operator_classes {
            self.operator_classes.push(OperatorClass {
                plugin: active.plugin.clone(),
                declared,
            });
        }
        let types = Registered::all(&active, vtables.types, registered.types);
        self.types.extend(types);
        let clauses = Registered::all(&active, vtables.clause, registered.clauses);
        self.clauses.extend(clauses);
        let commands = Registered::all(&active, vtables.command, registered.commands);
        self.commands.extend(commands);
        let constraints = Registered::all(&active, vtables.constraint, registered.constraints);
        self.constraints.extend(constraints);
        self.codecs.extend(codecs(&active, registered.codecs));
        let indexes = Registered::all(&active, vtables.index, registered.indexes);
        let named = indexes.into_iter().map(|i| (i.declared.name.clone(), i));
        self.indexes.extend(named);
        let observers = Registered::all(&active, vtables.observer, registered.observers);
        self.observers.extend(observers);
        let workers = Registered::all(&active, vtables.worker, registered.workers);
        self.workers.extend(workers);
        self.listeners
            .insert(active.plugin.clone(), Listener::new(active));
    }

    /// Takes in the codecs of a plugin that is off, to read what they encoded.
    pub(crate) fn add_decoders(&mut self, active: &Arc<Active>, registered: Vec<CodecDecl>) {
        self.decoders.extend(codecs(active, registered));
    }

    /// Whether decoders of a plugin that is off were taken in.
    pub(crate) fn has_decoders(&self, plugin: &str) -> bool {
        self.decoders.values().any(|c| &**c.plugin() == plugin)
    }

    /// All overloads of all functions.
    pub fn functions(&self) -> &[Arc<Function>] {
        &self.functions
    }

    pub fn types(&self) -> &[Arc<Type>] {
        &self.types
    }

    pub fn operators(&self) -> &[Operator] {
        &self.operators
    }

    pub fn operator_classes(&self) -> &[OperatorClass] {
        &self.operator_classes
    }

    pub fn clauses(&self) -> &[Arc<Clause>] {
        &self.clauses
    }

    pub fn commands(&self) -> &[Arc<Command>] {
        &self.commands
    }

    pub fn constraint(&self, plugin: &str, name: &str) -> Option<&Arc<Constraint>> {
        let is_it = |c: &&Arc<Constraint>| &**c.plugin() == plugin && c.declared.name == name;
        self.constraints.iter().find(is_it)
    }

    /// The codec for new pages.
    pub fn codec(&self, name: &str) -> Option<&Arc<Codec>> {
        self.codecs.get(name)
    }

    /// The codec for pages that name it: also one of a plugin that is off.
    pub fn decoder(&self, name: &str) -> Option<&Arc<Codec>> {
        self.codecs.get(name).or_else(|| self.decoders.get(name))
    }

    pub fn codecs(&self) -> impl Iterator<Item = &Arc<Codec>> {
        self.codecs.values()
    }

    /// The index method of that name.
    pub fn index(&self, name: &str) -> Option<&Arc<Index>> {
        self.indexes.get(name)
    }

    pub fn indexes(&self) -> impl Iterator<Item = &Arc<Index>> {
        self.indexes.values()
    }

    /// Who is told what happens to objects of an active plugin.
    pub fn listener(&self, plugin: &str) -> Option<&Listener> {
        self.listeners.get(plugin)
    }

    /// Who watches the objects of a plugin.
    pub fn observers(&self, plugin: &str) -> impl Iterator<Item = &Arc<Observer>> {
        let watches = move |o: &&Arc<Observer>| o.declared.plugin == plugin;
        self.observers.iter().filter(watches)
    }

    /// Who works in the background.
    pub fn workers(&self) -> &[Arc<Worker>] {
        &self.workers
    }

    /// The plugin that has, or would have, a name: for hints.
    pub fn claimed(&self, kind: NameKind, name: &str) -> Option<Claimed> {
        let plugin = self.claims.get(&(kind, name.to_owned()))?;
        Some(Claimed {
            plugin: plugin.clone(),
            state: self.state(plugin)?,
        })
    }

    /// The state of a plugin that was ever heard of.
    pub fn state(&self, plugin: &str) -> Option<State> {
        let (state, health) = self.states.get(plugin)?;
        let quarantined = health.as_ref().is_some_and(|h| h.is_quarantined());
        Some(match state {
            State::Active if quarantined => State::Quarantined,
            state => *state,
        })
    }
}

fn codecs(active: &Arc<Active>, registered: Vec<CodecDecl>) -> Vec<(String, Arc<Codec>)> {
    let codecs = Registered::all(active, active.vtables.codec, registered);
    let named = codecs.into_iter().map(|c| (c.declared.name.clone(), c));
    named.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_twin_of_an_active_plugin_changes_nothing() {
        let twin = |function: &str| {
            let text = format!(
                "id = \"a\"\nversion = \"1.0.0\"\nabi = 1\n[[function]]\nname = \"{function}\"\n\
                 kind = \"scalar\"\narguments = []\nreturns = \"text\"\n"
            );
            Manifest::parse(&text).unwrap()
        };
        let health = Arc::new(Health::new("a".into()));
        let mut registry = Registry::default();
        registry.note(&twin("f"), State::Active, Some(health.clone()));
        registry.note(&twin("g"), State::Failed, None);
        assert_eq!(registry.state("a"), Some(State::Active));
        assert_eq!(registry.claimed(NameKind::Function, "g"), None);
        while !health.is_quarantined() {
            health.contract(heliosdb_plugin_api::Error::contract("again"));
        }
        assert_eq!(registry.state("a"), Some(State::Quarantined));
    }
}
