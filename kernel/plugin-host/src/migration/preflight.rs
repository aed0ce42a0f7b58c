//! Preflight: what has to be done, or why it cannot be. It reads and writes nothing else.

use std::fmt;
use std::sync::Arc;

use heliosdb_storage::ReadView;

use super::error::{MigrationError, store_name};
use super::journal::{self, JournalRow, MigrationState, RowId};
use super::{Adopt, Result, Step, Wanted};
use crate::store::{self, StoreInfo, StoreState};

/// What a run will do to a plugin's stores.
#[derive(Clone, Debug)]
pub struct Plan {
    pub plugin: String,
    pub plugin_version: String,
    /// Every store that the plugin wants, in its order.
    pub stores: Vec<StorePlan>,
    /// Stores of the plugin that its code no longer names. They are kept as they are.
    pub orphans: Vec<StoreInfo>,
    /// Something that an earlier run left has to be removed.
    pub leftovers: bool,
}

/// What a run will do to one store.
#[derive(Clone, Debug)]
pub struct StorePlan {
    pub store: String,
    /// The version that the plugin wants.
    pub version: u32,
    pub action: Action,
}

#[derive(Clone, Debug)]
pub enum Action {
    /// It is there in the right version.
    Keep(StoreInfo),
    /// It is not there, and starts empty.
    Create,
    /// Its next content is made of `source` by the legs, in their order.
    Migrate { source: Source, legs: Vec<Leg> },
}

/// Where a store's next content comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    pub store: StoreInfo,
    /// It is another plugin's, and stays live.
    pub adopted: bool,
}

/// One pass over all entries of a store.
#[derive(Clone)]
pub struct Leg {
    pub from: u32,
    pub to: u32,
    pub step: Arc<dyn Step>,
    /// It reads another plugin's store, as `plugin.store@version`, and `from` is that one's version.
    pub adopts: Option<String>,
}

impl fmt::Debug for Leg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Leg")
            .field("from", &self.from)
            .field("to", &self.to)
            .field("checksum", &self.step.checksum())
            .field("adopts", &self.adopts)
            .finish()
    }
}

impl Plan {
    /// Whether a run would change nothing.
    pub fn is_empty(&self) -> bool {
        let keeps = |plan: &StorePlan| matches!(plan.action, Action::Keep(_));
        !self.leftovers && self.stores.iter().all(keeps)
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "plugin {} {}", self.plugin, self.plugin_version)?;
        for StorePlan {
            store,
            version,
            action,
        } in &self.stores
        {
            write!(f, "\n  store {store}: ")?;
            match action {
                Action::Keep(_) => write!(f, "stays at version {version}")?,
                Action::Create => write!(f, "is created at version {version}")?,
                Action::Migrate { source, legs } => {
                    match source.adopted {
                        true => {
                            write!(
                                f,
                                "adopts {} for version {version}",
                                source_name(&source.store)
                            )?;
                        }
                        false => {
                            write!(f, "goes from version {} to {version}", source.store.version)?;
                        }
                    }
                    for leg in legs.iter().filter(|leg| leg.adopts.is_none()) {
                        write!(f, "\n    step {} → {}", leg.from, leg.to)?;
                    }
                }
            }
        }
        for orphan in &self.orphans {
            let (name, version) = (&orphan.name, orphan.version);
            write!(
                f,
                "\n  store {name}: is unknown to the plugin, and kept at version {version}"
            )?;
        }
        Ok(())
    }
}

/// `plugin.store@version`.
pub(super) fn source_name(store: &StoreInfo) -> String {
    format!(
        "{}@{}",
        store_name(&store.plugin, &store.name),
        store.version
    )
}

/// Compare what `view` shows with what the plugin's code wants.
///
/// Refused: a store newer than the code, a step missing between the two versions, two steps from one
/// version, a step that ran here with another checksum, an adoption at a version that the other
/// store is not in.
pub fn preflight(view: &ReadView, wanted: &Wanted<'_>) -> Result<Plan> {
    let journal = journal::rows_of(view, wanted.plugin)?;
    check_steps(wanted, &journal)?;
    let mut stores = Vec::with_capacity(wanted.stores.len());
    for (name, version) in wanted.stores {
        stores.push(StorePlan {
            store: name.clone(),
            version: *version,
            action: action(view, wanted, name, *version)?,
        });
    }
    let known = store::stores_of(view, wanted.plugin)?;
    let is_wanted = |info: &StoreInfo| wanted.stores.iter().any(|(name, _)| *name == info.name);
    let migrates = |id: &RowId| {
        stores
            .iter()
            .any(|plan| plan.store == id.store && matches!(plan.action, Action::Migrate { .. }))
    };
    let leftovers = known.iter().any(|info| info.state == StoreState::Discarded)
        || journal
            .iter()
            .any(|(id, row)| row.state == MigrationState::Running && !migrates(id));
    let orphans = known
        .into_iter()
        .filter(|info| info.state == StoreState::Live && !is_wanted(info));
    Ok(Plan {
        plugin: wanted.plugin.to_owned(),
        plugin_version: wanted.plugin_version.to_owned(),
        orphans: orphans.collect(),
        stores,
        leftovers,
    })
}

/// Steps have one meaning: now, and since they ran.
fn check_steps(wanted: &Wanted<'_>, journal: &[(RowId, JournalRow)]) -> Result<()> {
    for (i, step) in wanted.steps.iter().enumerate() {
        let is_same =
            |other: &Arc<dyn Step>| other.store() == step.store() && other.from() == step.from();
        if wanted.steps[..i].iter().any(is_same) {
            return Err(MigrationError::DuplicateStep {
                store: store_name(wanted.plugin, step.store()),
                from: step.from(),
            });
        }
        let same = |id: &RowId, row: &JournalRow| {
            row.adopted_from.is_none()
                && id.store == step.store()
                && row.from_version == step.from()
        };
        check_ran(wanted, step.store(), step, journal, same)?;
    }
    for edge in wanted.adopts {
        let from = format!("{}@{}", store_name(&edge.plugin, &edge.store), edge.version);
        let same = |id: &RowId, row: &JournalRow| {
            row.adopted_from.as_ref() == Some(&from)
                && id.store == edge.into
                && row.to_version == edge.to
        };
        check_ran(wanted, &edge.into, &edge.step, journal, same)?;
    }
    Ok(())
}

/// If `step` ran here, it is the `same` row of the journal, and has the same checksum.
fn check_ran(
    wanted: &Wanted<'_>,
    store: &str,
    step: &Arc<dyn Step>,
    journal: &[(RowId, JournalRow)],
    same: impl Fn(&RowId, &JournalRow) -> bool,
) -> Result<()> {
    use MigrationState::{Finalized, Published};
    for (id, row) in journal {
        let ran = matches!(row.state, Published | Finalized);
        if ran && same(id, row) && row.checksum != step.checksum() {
            return Err(MigrationError::ChecksumChanged {
                store: store_name(wanted.plugin, store),
                from: row.from_version,
                ran: row.checksum.clone(),
                declared: step.checksum().to_owned(),
            });
        }
    }
    Ok(())
}

fn action(view: &ReadView, wanted: &Wanted<'_>, name: &str, version: u32) -> Result<Action> {
    if let Some(live) = store::find(view, wanted.plugin, name)? {
        if live.version == version {
            return Ok(Action::Keep(live));
        }
        let legs = chain(wanted, name, live.version, version)?;
        let source = Source {
            store: live,
            adopted: false,
        };
        return Ok(Action::Migrate { source, legs });
    }
    let Some((store, edge)) = adopted(view, wanted, name)? else {
        return Ok(Action::Create);
    };
    let mut legs = vec![Leg {
        from: store.version,
        to: edge.to,
        step: Arc::clone(&edge.step),
        adopts: Some(source_name(&store)),
    }];
    legs.extend(chain(wanted, name, edge.to, version)?);
    let source = Source {
        store,
        adopted: true,
    };
    Ok(Action::Migrate { source, legs })
}

/// The steps from version `found` to `version`.
fn chain(wanted: &Wanted<'_>, name: &str, found: u32, version: u32) -> Result<Vec<Leg>> {
    let store = || store_name(wanted.plugin, name);
    if found > version {
        return Err(MigrationError::NewerThanCode {
            store: store(),
            found,
            supported: version,
            plugin_version: wanted.plugin_version.to_owned(),
        });
    }
    (found..version)
        .map(|from| {
            let mut steps = wanted.steps.iter();
            let step = steps.find(|step| step.store() == name && step.from() == from);
            let step = step.ok_or_else(|| MigrationError::MissingStep {
                store: store(),
                found,
                from,
            })?;
            Ok(Leg {
                from,
                to: from + 1,
                step: Arc::clone(step),
                adopts: None,
            })
        })
        .collect()
}

/// The store of another plugin that `into` takes over, and the edge along which it does.
fn adopted<'a>(
    view: &ReadView,
    wanted: &Wanted<'a>,
    into: &str,
) -> Result<Option<(StoreInfo, &'a Adopt)>> {
    let mut chosen: Option<(StoreInfo, Vec<&'a Adopt>)> = None;
    for edge in wanted.adopts.iter().filter(|edge| edge.into == into) {
        let Some(info) = store::find(view, &edge.plugin, &edge.store)? else {
            continue;
        };
        match &mut chosen {
            None => chosen = Some((info, vec![edge])),
            Some((first, edges)) if *first == info => edges.push(edge),
            Some((first, _)) => {
                return Err(MigrationError::AdoptTwice {
                    into: store_name(wanted.plugin, into),
                    first: store_name(&first.plugin, &first.name),
                    second: store_name(&info.plugin, &info.name),
                });
            }
        }
    }
    let Some((info, edges)) = chosen else {
        return Ok(None);
    };
    if let Some(edge) = edges.iter().find(|edge| edge.version == info.version) {
        return Ok(Some((info, edge)));
    }
    Err(MigrationError::AdoptVersion {
        into: store_name(wanted.plugin, into),
        source_store: store_name(&info.plugin, &info.name),
        wanted: edges.iter().map(|edge| edge.version).max().unwrap_or(0),
        found: info.version,
    })
}
