//! Observers (`observer/1`): plugins that are told, in the same transaction, what statements do to the
//! objects of another plugin.
//!
//! A command takes an object in hand when it creates it, renames it or asks whether it may change it,
//! all of which lock the catalog first ([`services`](super::services)). So what an observer is told, and
//! what it reads of the observed plugin's objects, nobody else changes before the transaction ends.
//!
//! A plugin that does not run, or whose extension is dropped, is not told. One that fails, or is
//! quarantined, fails the statement: what it keeps would no longer be true.

use std::collections::BTreeSet;
use std::sync::Arc;

use heliosdb_plugin_host::active::observer::Observer;
use heliosdb_plugin_host::services::ObjectInfo;

use super::objects;
use super::services::Reads;
use crate::catalog::Oid;
use crate::error::Result;
use crate::session::Session;

impl Session {
    /// Tells who watches `plugin` of the objects that a command had in hand and that are there now.
    pub(crate) fn tell_of_changes(
        &mut self,
        plugin: &str,
        command: &str,
        in_hand: &BTreeSet<Oid>,
    ) -> Result<()> {
        if in_hand.is_empty() {
            return Ok(());
        }
        for observer in self.observers(plugin)? {
            let (_, catalog) = self.write_view()?;
            let there = in_hand.iter();
            let there = there.filter_map(|oid| objects::get(&catalog, plugin, *oid));
            let there: Vec<ObjectInfo> = there.collect();
            if !there.is_empty() {
                self.with_services(Reads::Free, |services| {
                    observer.changed(services, command, &there)
                })?;
            }
        }
        Ok(())
    }

    /// Tells who watches their plugins of objects that are gone.
    pub(crate) fn tell_of_drops(&mut self, gone: &[ObjectInfo]) -> Result<()> {
        for object in gone {
            for observer in self.observers(&object.plugin)? {
                self.with_services(Reads::Free, |services| observer.dropped(services, object))?;
            }
        }
        Ok(())
    }

    fn observers(&mut self, plugin: &str) -> Result<Vec<Arc<Observer>>> {
        let registry = self.instance.plugins().registry();
        if registry.observers(plugin).next().is_none() {
            return Ok(Vec::new());
        }
        let (_, catalog) = self.write_view()?;
        let told = registry.observers(plugin);
        let told = told.filter(|observer| catalog.is_installed(observer.plugin()));
        Ok(told.cloned().collect())
    }
}
