//! The codecs of a database's plugins, for one who reads its files and runs nothing else of it.
//!
//! A plugin is started for its codecs alone: its stores are not migrated, nothing else of it is taken
//! in, and nothing is written down. So nobody counts a plugin file that ends the process, and one that
//! did so before, or is not the file that the database has loaded, is not started here.

use std::sync::Arc;
use std::time::Duration;

use crate::RootRef;
use crate::active::health::Health;
use crate::background::Background;
use crate::boot::{BootPlan, Planned};
use crate::codec::PluginCodecs;
use crate::host::{StartWith, start_instance};
use crate::lifecycle::State;
use crate::registry::Registry;
use crate::resolve::Outcome;
use crate::service::MemoryLimit;

/// Those of the plan's plugins that have one of the codecs `names`, as far as they start. A plugin that
/// is off is among them, as in a server.
pub fn decoders(
    plan: &BootPlan,
    linked: &[RootRef],
    names: &[Arc<str>],
    start_timeout: Duration,
    memory: &Arc<dyn MemoryLimit>,
) -> PluginCodecs {
    let mut registry = Registry::default();
    for planned in plan.plugins.iter().filter(|planned| may_decode(planned)) {
        let id = &planned.manifest.id;
        let mut codecs = planned.manifest.provides.codecs.iter();
        let needed = codecs.any(|codec| names.iter().any(|name| **name == *codec.name));
        // Of two with one id the first is read with.
        if !needed || registry.has_decoders(id) {
            continue;
        }
        let health = Arc::new(Health::new(id.as_str().into()));
        let with = StartWith {
            linked,
            start_timeout,
            memory,
            background: &Background::none(),
        };
        match start_instance(&with, planned, &health, |_| Ok(())) {
            Ok((active, registered)) => {
                registry.add_decoders(&Arc::new(active), registered.codecs);
            }
            Err(ending) => tracing::warn!(plugin = id, "its codecs cannot be loaded: {ending:?}"),
        }
    }
    PluginCodecs::new(Arc::new(registry))
}

fn may_decode(planned: &Planned) -> bool {
    let on = match &planned.outcome {
        Outcome::Start => true,
        Outcome::Not(state, _) => *state == State::Disabled,
    };
    on && planned.distrust.is_none()
}
