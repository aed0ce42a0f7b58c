//! One thing that a plugin registered: its declaration, and how to call it.

use std::sync::Arc;

use super::Active;

/// A thing behind vtable `V`, declared in the manifest as `D`.
pub struct Registered<V: 'static, D> {
    pub(super) active: Arc<Active>,
    pub(super) vtable: &'static V,
    /// Its place in the list of its kind, by which the plugin knows it.
    pub(super) index: u32,
    pub declared: D,
}

impl<V, D> Registered<V, D> {
    /// All things of a kind, in the order in which they were registered. That there are any implies
    /// the vtable: the manifest names the extension point then, and what it names was fetched.
    pub(crate) fn all(
        active: &Arc<Active>,
        vtable: Option<&'static V>,
        declared: Vec<D>,
    ) -> Vec<Arc<Registered<V, D>>> {
        let places = (0..).zip(declared).zip(vtable.into_iter().cycle());
        places
            .map(|((index, declared), vtable)| {
                Arc::new(Registered {
                    active: active.clone(),
                    vtable,
                    index,
                    declared,
                })
            })
            .collect()
    }

    pub fn plugin(&self) -> &Arc<str> {
        &self.active.plugin
    }

    /// Whether its plugin is called no more.
    pub fn is_quarantined(&self) -> bool {
        self.active.health.is_quarantined()
    }
}
