//! Events of the catalog, told to the plugin they concern.

use std::sync::Arc;

use heliosdb_plugin_api::Result;
use heliosdb_plugin_api::service::ObjectInfo;

use super::Active;
use crate::service::in_statement;
use crate::services::StatementServices;

/// Tells one plugin what DDL does to its objects.
pub struct Listener {
    active: Arc<Active>,
}

impl Listener {
    pub(crate) fn new(active: Arc<Active>) -> Listener {
        Listener { active }
    }

    /// The object is gone from the catalog; the plugin removes what it keeps of it.
    pub fn dropped(&self, services: &dyn StatementServices, object: &ObjectInfo) -> Result<()> {
        let Some(vtable) = self.active.vtables.event else {
            return Ok(());
        };
        in_statement(services, |cx| {
            self.active
                .call(|instance| (vtable.dropped)(instance, cx, object.clone().into()))
        })
    }

    /// The object has its new name.
    pub fn renamed(
        &self,
        services: &dyn StatementServices,
        object: &ObjectInfo,
        old_name: &str,
    ) -> Result<()> {
        let Some(vtable) = self.active.vtables.event else {
            return Ok(());
        };
        in_statement(services, |cx| {
            self.active.call(|instance| {
                (vtable.renamed)(instance, cx, object.clone().into(), old_name.into())
            })
        })
    }
}
