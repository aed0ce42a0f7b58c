//! Observers of another plugin's objects.

use heliosdb_plugin_api::Result;
use heliosdb_plugin_api::extension::observer::ObserverV1;
use heliosdb_plugin_api::manifest::ObserverDecl;
use heliosdb_plugin_api::service::ObjectInfo;

use super::registered::Registered;
use crate::service::in_statement;
use crate::services::StatementServices;

/// An observer.
pub type Observer = Registered<ObserverV1, ObserverDecl>;

impl Observer {
    /// A command of the observed plugin had these objects in hand; they are there now.
    pub fn changed(
        &self,
        services: &dyn StatementServices,
        command: &str,
        objects: &[ObjectInfo],
    ) -> Result<()> {
        in_statement(services, |cx| {
            self.active.call(|instance| {
                let objects = objects.iter().cloned().map(Into::into).collect();
                (self.vtable.changed)(instance, self.index, cx, command.into(), objects)
            })
        })
    }

    /// The object is gone, and its own plugin has been told.
    pub fn dropped(&self, services: &dyn StatementServices, object: &ObjectInfo) -> Result<()> {
        in_statement(services, |cx| {
            self.active.call(|instance| {
                (self.vtable.dropped)(instance, self.index, cx, object.clone().into())
            })
        })
    }
}
