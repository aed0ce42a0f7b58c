//! Plugins asked about state that they do not change: whether what is in their stores is theirs.

use std::ops::Bound;
use std::sync::Arc;

use heliosdb_plugin_api::abi::RootRef;
use heliosdb_storage::{Interrupt, ReadView};

use crate::active::health::Health;
use crate::active::steps::Steps;
use crate::boot::Planned;
use crate::host::{open, say};
use crate::migration::{Entry, Step, Tally, show_key};
use crate::resolve::Outcome;
use crate::store::{self, StoreState};

/// What a check of one store came to.
#[derive(Clone, Debug)]
pub struct StoreCheck {
    pub plugin: String,
    pub store: String,
    pub version: u32,
    pub tally: Tally,
    /// The plugin knows what an entry of this version looks like. Only a step to the version, or an
    /// adoption into it, says so.
    pub checked: bool,
    /// The first entry that the plugin refuses, and why.
    pub problem: Option<String>,
}

/// Reads every live store of every plugin that `planned` starts, counts its entries, and lets the
/// plugin's code judge each of them.
///
/// # Errors
///
/// The stores cannot be read, or the interrupt. What is wrong with a plugin's code is its stores'
/// problem.
pub fn check_stores<'a>(
    planned: impl IntoIterator<Item = &'a Planned>,
    linked: &[RootRef],
    view: &ReadView,
    interrupt: &Interrupt,
) -> heliosdb_storage::Result<Vec<StoreCheck>> {
    let mut checks = Vec::new();
    for planned in planned {
        if planned.outcome != Outcome::Start {
            continue;
        }
        let manifest = &planned.manifest;
        let health = Arc::new(Health::new(manifest.id.as_str().into()));
        let steps = open(planned.file.as_ref(), manifest, linked)
            .and_then(|root| Steps::of(root, manifest, &health));
        for info in store::stores_of(view, &manifest.id)? {
            if info.state != StoreState::Live {
                continue;
            }
            let mut check = StoreCheck {
                plugin: info.plugin.clone(),
                store: info.name.clone(),
                version: info.version,
                tally: Tally::default(),
                checked: false,
                problem: steps.as_ref().err().cloned(),
            };
            let step = steps.as_ref().ok();
            let step = step.and_then(|steps| step_to(steps, &info.name, info.version));
            check.checked = step.is_some();
            for entry in view.range(info.collection, Bound::Unbounded, Bound::Unbounded)? {
                interrupt.check()?;
                let (key, value) = entry?;
                let entry = Entry { key, value };
                check.tally.add(&entry);
                let Some(step) = step.filter(|_| check.problem.is_none()) else {
                    continue;
                };
                if let Err(error) = step.check(&entry) {
                    check.problem =
                        Some(format!("entry {}: {}", show_key(&entry.key), say(&error)));
                }
            }
            checks.push(check);
        }
    }
    Ok(checks)
}

/// What makes entries of this version of a store, and can tell whether something is one.
fn step_to<'a>(steps: &'a Steps, store: &str, version: u32) -> Option<&'a dyn Step> {
    let wanted = steps.wanted();
    let own = wanted.steps.iter();
    let mut own = own.filter(|step| step.store() == store && step.from() + 1 == version);
    if let Some(step) = own.next() {
        return Some(&**step);
    }
    let mut edges = wanted.adopts.iter();
    let edge = edges.find(|edge| edge.into == store && edge.to == version)?;
    Some(&*edge.step)
}
