//! The steps of a plugin's stores as the migration engine wants them. No instance is needed.

use std::sync::Arc;

use heliosdb_plugin_api::abi::RootRef;
use heliosdb_plugin_api::abi::value::{entries_in, entries_out};
use heliosdb_plugin_api::extension::migration::MigrationV1;
use heliosdb_plugin_api::manifest::{Manifest, Provides};
use heliosdb_plugin_api::{Entry, Error, Fixture};

use super::health::Health;
use super::interface;
use crate::migration::{Adopt, Step, Wanted};

/// All that a plugin brings for the migration of its stores.
pub struct Steps {
    plugin: String,
    version: String,
    stores: Vec<(String, u32)>,
    steps: Vec<Arc<dyn Step>>,
    adopts: Vec<Adopt>,
    /// Golden state that must always migrate.
    pub fixtures: Vec<Fixture>,
}

impl Steps {
    /// What the plugin has must be what its manifest declares.
    ///
    /// # Errors
    ///
    /// One paragraph that says what differs.
    pub fn of(root: RootRef, manifest: &Manifest, health: &Arc<Health>) -> Result<Steps, String> {
        let mut steps = Steps {
            plugin: manifest.id.clone(),
            version: manifest.version.to_string(),
            stores: manifest
                .stores
                .iter()
                .map(|s| (s.name.clone(), s.version))
                .collect(),
            steps: Vec::new(),
            adopts: Vec::new(),
            fixtures: Vec::new(),
        };
        let declared = &manifest.provides;
        let Some(vtable) = interface::<MigrationV1>(root)? else {
            return if declared.steps.is_empty() && declared.adopts.is_empty() {
                Ok(steps)
            } else {
                Err("the manifest declares steps, but the plugin has no migration/1".to_owned())
            };
        };
        let said = |error| health.fault(error).to_string();
        let own = (vtable.declared)().into_result().map_err(said)?;
        let own: Provides =
            serde_json::from_str(&own).map_err(|e| format!("its steps cannot be read: {e}"))?;
        if own.steps != declared.steps || own.adopts != declared.adopts {
            return Err("the steps it has are not those its manifest declares".to_owned());
        }
        for (index, step) in (0..).zip(&own.steps) {
            steps.steps.push(Arc::new(Own {
                vtable,
                index,
                kind: Kind::Step,
                store: step.store.clone(),
                from: step.from,
                checksum: step.checksum.clone(),
                health: health.clone(),
            }));
        }
        for (index, adopt) in (0..).zip(&own.adopts) {
            steps.adopts.push(Adopt {
                plugin: adopt.plugin.clone(),
                store: adopt.store.clone(),
                version: adopt.version,
                into: adopt.into.clone(),
                // The manifest was refused if the store has more versions than one and this is absent.
                to: adopt.to.unwrap_or(1),
                step: Arc::new(Own {
                    vtable,
                    index,
                    kind: Kind::Adopt,
                    store: adopt.into.clone(),
                    from: adopt.version,
                    checksum: adopt.checksum.clone(),
                    health: health.clone(),
                }),
            });
        }
        let fixtures = (vtable.fixtures)().into_result().map_err(said)?;
        steps.fixtures = fixtures
            .into_iter()
            .map(|fixture| Fixture {
                store: fixture.store.into(),
                version: fixture.version,
                entries: entries_in(fixture.entries),
            })
            .collect();
        Ok(steps)
    }

    /// What the migration engine is asked for.
    pub fn wanted(&self) -> Wanted<'_> {
        Wanted {
            plugin: &self.plugin,
            plugin_version: &self.version,
            stores: &self.stores,
            steps: &self.steps,
            adopts: &self.adopts,
        }
    }
}

enum Kind {
    Step,
    Adopt,
}

/// A step inside the plugin.
struct Own {
    vtable: &'static MigrationV1,
    index: u32,
    kind: Kind,
    store: String,
    from: u32,
    checksum: String,
    health: Arc<Health>,
}

impl Step for Own {
    fn store(&self) -> &str {
        &self.store
    }

    fn from(&self) -> u32 {
        self.from
    }

    fn checksum(&self) -> &str {
        &self.checksum
    }

    fn migrate(&self, entries: Vec<Entry>) -> Result<Vec<Entry>, Error> {
        let entries = entries_out(entries);
        let result = match self.kind {
            Kind::Step => (self.vtable.migrate)(self.index, entries),
            Kind::Adopt => (self.vtable.adopt)(self.index, entries),
        };
        let result = result.into_result().map_err(|e| self.health.fault(e))?;
        Ok(entries_in(result))
    }

    fn check(&self, entry: &Entry) -> Result<(), Error> {
        let entry = entry.clone().into();
        let result = match self.kind {
            Kind::Step => (self.vtable.check)(self.index, entry),
            Kind::Adopt => (self.vtable.check_adopted)(self.index, entry),
        };
        result.into_result().map_err(|e| self.health.fault(e))
    }
}
