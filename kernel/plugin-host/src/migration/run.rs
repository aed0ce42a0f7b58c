//! A migration from its locks to its commit: see the module above for the steps.

use heliosdb_storage::ids::CollectionId;
use heliosdb_storage::{
    Durability, Engine, Interrupt, Isolation, RowLockMode, TableLockMode, Transaction,
};

use super::batch;
use super::error::{MigrationError, store_name};
use super::finalize::sweep;
use super::journal::{self, JournalRow, MIGRATIONS, MigrationState, Progress, RowId};
use super::leg::Work;
use super::preflight::{Action, Leg, Plan, Source, StorePlan, source_name};
use super::report::{LegReport, Outcome, Report, StoreReport};
use super::{Result, Settings, Tally};
use crate::store::{self, StoreInfo, StoreState};

/// Carry out `plan` and publish what comes of it.
pub fn run(engine: &Engine, plan: &Plan, settings: &Settings) -> Result<Report> {
    execute(engine, plan, settings, false)
}

/// Carry out `plan` up to the commit, tell what would be published, and remove what was written.
pub fn dry_run(engine: &Engine, plan: &Plan, settings: &Settings) -> Result<Report> {
    execute(engine, plan, settings, true)
}

fn execute(engine: &Engine, plan: &Plan, settings: &Settings, dry_run: bool) -> Result<Report> {
    let started_at = engine.now_micros();
    let _turn = lock_plugin(engine, &plan.plugin, settings)?;
    let writers_out = lock_sources(engine, plan, settings)?;
    check_fits(engine, plan)?;
    sweep(engine, &plan.plugin, settings)?;

    let mut run = Run {
        engine,
        plan,
        settings,
        dry_run,
        started_at,
        at: None,
    };
    let worked = run.work();
    // Whatever happens to the session, what was given up is cleaned away.
    let cleaning = Settings {
        interrupt: Interrupt::new(),
        ..settings.clone()
    };
    let works = match worked {
        Ok(works) => works,
        Err(error) => {
            let failed = match !dry_run && error.is_final() {
                true => run.fail(&error),
                false => Ok(()),
            };
            drop(writers_out);
            let swept = failed.and_then(|()| sweep(engine, &plan.plugin, &cleaning));
            warn_of_leftovers(plan, swept);
            return Err(error);
        }
    };
    if !dry_run {
        run.publish(&works)?;
    }
    drop(writers_out);
    let swept = sweep(engine, &plan.plugin, &cleaning);
    if dry_run {
        // A dry run that leaves something has not kept its word.
        swept?;
    } else {
        warn_of_leftovers(plan, swept);
    }
    Ok(run.report(&works))
}

/// The outcome of a run is decided; what could not be cleaned away after it waits for the next one.
fn warn_of_leftovers(plan: &Plan, swept: Result<u64>) {
    if let Err(e) = swept {
        let plugin = &plan.plugin;
        tracing::warn!(
            "what the migration of plugin {plugin} left is removed by the next one: {e}"
        );
    }
}

/// Keep every other migration of the plugin out for as long as the transaction lives.
pub(super) fn lock_plugin(
    engine: &Engine,
    plugin: &str,
    settings: &Settings,
) -> Result<Transaction> {
    let mut turn = engine.begin(Isolation::ReadCommitted, settings.interrupt.clone());
    turn.lock_key(
        MIGRATIONS,
        &journal::plugin_lock(plugin),
        RowLockMode::Update,
        settings.lock_wait,
    )
    .map_err(|e| busy(e, || format!("the state of plugin {plugin}")))?;
    Ok(turn)
}

/// Keep writers out of everything that is read, for as long as the transaction lives.
fn lock_sources(engine: &Engine, plan: &Plan, settings: &Settings) -> Result<Transaction> {
    let mut locks = engine.begin(Isolation::ReadCommitted, settings.interrupt.clone());
    for store in &plan.stores {
        let Action::Migrate { source, .. } = &store.action else {
            continue;
        };
        let mode = match source.adopted {
            true => TableLockMode::Share,
            false => TableLockMode::Exclusive,
        };
        locks
            .lock_table(source.store.collection, mode, settings.lock_wait)
            .map_err(|e| {
                busy(e, || {
                    format!(
                        "store {}",
                        store_name(&source.store.plugin, &source.store.name)
                    )
                })
            })?;
    }
    Ok(locks)
}

fn busy(error: heliosdb_storage::Error, what: impl FnOnce() -> String) -> MigrationError {
    use heliosdb_storage::Error::{Deadlock, LockNotAvailable};
    match error {
        LockNotAvailable | Deadlock { .. } => MigrationError::Busy {
            what: what(),
            source: error,
        },
        other => other.into(),
    }
}

/// The directory is as the plan saw it. Holding the locks, it stays so.
fn check_fits(engine: &Engine, plan: &Plan) -> Result<()> {
    let view = engine.latest_view();
    for StorePlan { store, action, .. } in &plan.stores {
        let live = store::find(&view, &plan.plugin, store)?;
        let fits = match action {
            Action::Keep(info) => live.as_ref() == Some(info),
            Action::Create => live.is_none(),
            Action::Migrate { source, .. } if source.adopted => {
                let of_other = store::find(&view, &source.store.plugin, &source.store.name)?;
                live.is_none() && of_other.as_ref() == Some(&source.store)
            }
            Action::Migrate { source, .. } => live.as_ref() == Some(&source.store),
        };
        if !fits {
            return Err(MigrationError::Stale {
                what: format!("store {}", store_name(&plan.plugin, store)),
            });
        }
    }
    Ok(())
}

/// What was done for one store: its place in the plan, and its legs, in the plan's order.
struct StoreWork<'a> {
    place: usize,
    legs: Vec<Work<'a>>,
}

struct Run<'a> {
    engine: &'a Engine,
    plan: &'a Plan,
    settings: &'a Settings,
    dry_run: bool,
    started_at: u64,
    /// The row of the leg being worked on.
    at: Option<RowId>,
}

impl<'a> Run<'a> {
    fn begin(&self) -> Transaction {
        self.engine
            .begin(Isolation::ReadCommitted, self.settings.interrupt.clone())
    }

    /// Steps 3 to 5.
    fn work(&mut self) -> Result<Vec<StoreWork<'a>>> {
        if !self.dry_run {
            self.give_up_unplanned()?;
        }
        let plan = self.plan;
        let mut works = Vec::new();
        for (place, store) in plan.stores.iter().enumerate() {
            if let Action::Migrate { source, legs } = &store.action {
                let legs = self.migrate(store, source, legs)?;
                works.push(StoreWork { place, legs });
            }
        }
        for work in &works {
            self.verify(&work.legs)?;
        }
        Ok(works)
    }

    /// Steps 3 and 4 for one store.
    fn migrate(
        &mut self,
        store: &'a StorePlan,
        source: &Source,
        legs: &'a [Leg],
    ) -> Result<Vec<Work<'a>>> {
        let interrupted = match self.dry_run {
            true => Vec::new(),
            false => self.interrupted(store, source, legs)?,
        };
        let mut interrupted = interrupted.into_iter();
        let mut reads = source.store.collection;
        let mut works: Vec<Work<'a>> = Vec::with_capacity(legs.len());
        for leg in legs {
            let mut work = match interrupted.next() {
                Some((id, row, shadow)) => Work {
                    leg,
                    plugin: &self.plan.plugin,
                    store: &store.store,
                    source: reads,
                    shadow,
                    resumed_at: row.progress.input.entries,
                    progress: row.progress.clone(),
                    journal: Some((id, row)),
                },
                None => self.open(store, leg, reads)?,
            };
            self.at = work.journal.as_ref().map(|(id, _)| id.clone());
            work.migrate(self.engine, self.settings)?;
            reads = work.shadow.collection;
            works.push(work);
        }
        Ok(works)
    }

    /// Make the shadow of a leg, with its row in the journal. That of a dry run is discarded from the
    /// first: whatever happens, the next sweep removes it.
    fn open(&self, store: &'a StorePlan, leg: &'a Leg, reads: CollectionId) -> Result<Work<'a>> {
        let plan = self.plan;
        let shadow = StoreInfo {
            plugin: plan.plugin.clone(),
            name: store.store.clone(),
            version: leg.to,
            collection: self.engine.allocate_collection_id(),
            state: match self.dry_run {
                true => StoreState::Discarded,
                false => StoreState::Shadow,
            },
        };
        let mut tx = self.begin();
        store::write(&mut tx, &shadow)?;
        let mut journal = None;
        if !self.dry_run {
            let id = RowId {
                plugin: plan.plugin.clone(),
                store: store.store.clone(),
                number: journal::next_number(&tx.latest_view(), &plan.plugin, &store.store)?,
            };
            let row = JournalRow {
                plugin_version: plan.plugin_version.clone(),
                from_version: leg.from,
                to_version: leg.to,
                checksum: leg.step.checksum().to_owned(),
                adopted_from: leg.adopts.clone(),
                source: reads.0,
                shadow: shadow.collection.0,
                state: MigrationState::Running,
                progress: Progress::default(),
                started_at: self.engine.now_micros(),
                published_at: None,
                reason: None,
            };
            journal::write(&mut tx, &id, &row)?;
            journal = Some((id, row));
        }
        tx.commit(Durability::Synchronous)?;
        Ok(Work {
            leg,
            plugin: &plan.plugin,
            store: &store.store,
            source: reads,
            shadow,
            progress: Progress::default(),
            journal,
            resumed_at: 0,
        })
    }

    /// What an interrupted run left of a store's legs, if this run can go on with it: the plan must
    /// be the same, and what was read already unchanged. Otherwise it is given up.
    fn interrupted(
        &self,
        store: &StorePlan,
        source: &Source,
        legs: &[Leg],
    ) -> Result<Vec<(RowId, JournalRow, StoreInfo)>> {
        let mut rows = running(self.engine, &self.plan.plugin)?;
        rows.retain(|(id, _, _)| id.store == store.store);
        let Some((_, first, _)) = rows.first() else {
            return Ok(rows);
        };
        let mut reads = source.store.collection;
        let mut fits = rows.len() <= legs.len();
        for (place, ((_, row, _), leg)) in rows.iter().zip(legs).enumerate() {
            fits &= row.plugin_version == self.plan.plugin_version
                && (row.from_version, row.to_version) == (leg.from, leg.to)
                && row.checksum == leg.step.checksum()
                && row.adopted_from == leg.adopts
                && row.source == reads.0
                && (row.progress.done || place + 1 == rows.len());
            reads = row.shadow();
        }
        if fits {
            let Progress {
                after, done, input, ..
            } = &first.progress;
            let found = match (done, after) {
                (false, None) => Tally::default(),
                (false, Some(key)) => batch::tally(
                    self.engine,
                    source.store.collection,
                    Some(key),
                    self.settings,
                )?,
                (true, _) => {
                    batch::tally(self.engine, source.store.collection, None, self.settings)?
                }
            };
            fits = found == *input;
        }
        if fits {
            return Ok(rows);
        }
        self.give_up(&rows, |_| {
            "given up: the plugin or the old state has changed since".to_owned()
        })?;
        sweep(self.engine, &self.plan.plugin, self.settings)?;
        Ok(Vec::new())
    }

    /// Give up what an interrupted run left of stores that are not to be migrated now.
    fn give_up_unplanned(&self) -> Result<()> {
        let migrates = |name: &str| {
            self.plan
                .stores
                .iter()
                .any(|plan| plan.store == name && matches!(plan.action, Action::Migrate { .. }))
        };
        let mut rows = running(self.engine, &self.plan.plugin)?;
        rows.retain(|(id, _, _)| !migrates(&id.store));
        if rows.is_empty() {
            return Ok(());
        }
        self.give_up(&rows, |_| "given up: no longer wanted".to_owned())?;
        sweep(self.engine, &self.plan.plugin, self.settings)?;
        Ok(())
    }

    /// Invariant 2: the journal says why, and the shadows are nobody's.
    fn fail(&self, error: &MigrationError) -> Result<()> {
        let rows = running(self.engine, &self.plan.plugin)?;
        self.give_up(&rows, |id| match self.at.as_ref() == Some(id) {
            true => error.to_string(),
            false => format!("given up: {error}"),
        })
    }

    /// Make failures of rows, and discard their shadows.
    fn give_up(
        &self,
        rows: &[(RowId, JournalRow, StoreInfo)],
        reason: impl Fn(&RowId) -> String,
    ) -> Result<()> {
        let mut tx = self.begin();
        for (id, row, shadow) in rows {
            let mut row = row.clone();
            row.state = MigrationState::Failed;
            row.reason = Some(reason(id));
            row.progress.after = None;
            journal::write(&mut tx, id, &row)?;
            store::set_state(&mut tx, shadow, StoreState::Discarded)?;
        }
        tx.commit(Durability::Synchronous)?;
        Ok(())
    }

    /// Step 5 for one store.
    fn verify(&mut self, legs: &[Work<'a>]) -> Result<()> {
        let mut before: Option<&Work<'a>> = None;
        for work in legs {
            self.at = work.journal.as_ref().map(|(id, _)| id.clone());
            match before {
                None => work.verify_input(self.engine, self.settings)?,
                Some(before) => work.verify_input_of(before)?,
            }
            work.verify_output(self.engine, self.settings)?;
            before = Some(work);
        }
        Ok(())
    }

    /// Step 6.
    fn publish(&self, works: &[StoreWork<'a>]) -> Result<()> {
        let mut tx = self.begin();
        let published_at = self.engine.now_micros();
        for StorePlan {
            store,
            version,
            action,
        } in &self.plan.stores
        {
            match action {
                Action::Create => {
                    let id = self.engine.allocate_collection_id();
                    store::create(&mut tx, id, &self.plan.plugin, store, *version)?;
                }
                Action::Migrate { source, .. } if !source.adopted => {
                    store::set_state(&mut tx, &source.store, StoreState::Retired)?;
                }
                Action::Keep(_) | Action::Migrate { .. } => {}
            }
        }
        for StoreWork { legs, .. } in works {
            for (place, work) in legs.iter().enumerate() {
                // The last leg's shadow goes live, the others' have served.
                let state = match place + 1 == legs.len() {
                    true => StoreState::Live,
                    false => StoreState::Discarded,
                };
                store::set_state(&mut tx, &work.shadow, state)?;
                if let Some((id, row)) = &work.journal {
                    let mut row = row.clone();
                    row.state = MigrationState::Published;
                    row.published_at = Some(published_at);
                    row.progress.after = None;
                    journal::write(&mut tx, id, &row)?;
                }
            }
        }
        tx.commit(Durability::Synchronous)?;
        Ok(())
    }

    fn report(&self, works: &[StoreWork<'a>]) -> Report {
        let store_report = |(place, plan): (usize, &StorePlan)| {
            let (from, outcome) = match &plan.action {
                Action::Keep(info) => (Some(info.version), Outcome::Kept),
                Action::Create => (None, Outcome::Created),
                Action::Migrate { source, .. } => {
                    let outcome = match source.adopted {
                        true => Outcome::Adopted(source_name(&source.store)),
                        false => Outcome::Migrated {
                            retired: source.store.collection,
                        },
                    };
                    (Some(source.store.version), outcome)
                }
            };
            let work = works.iter().find(|work| work.place == place);
            let legs = work.map_or(&[][..], |work| &work.legs);
            let leg_report = |work: &Work<'_>| LegReport {
                from: work.leg.from,
                to: work.leg.to,
                adopts: work.leg.adopts.clone(),
                checksum: work.leg.step.checksum().to_owned(),
                input: work.progress.input,
                output: work.progress.output,
                resumed_at: work.resumed_at,
            };
            StoreReport {
                store: plan.store.clone(),
                from,
                to: plan.version,
                outcome,
                legs: legs.iter().map(leg_report).collect(),
            }
        };
        Report {
            plugin: self.plan.plugin.clone(),
            plugin_version: self.plan.plugin_version.clone(),
            dry_run: self.dry_run,
            stores: self
                .plan
                .stores
                .iter()
                .enumerate()
                .map(store_report)
                .collect(),
            orphans: self.plan.orphans.clone(),
            elapsed_micros: self.engine.now_micros().saturating_sub(self.started_at),
        }
    }
}

/// The running rows of a plugin with their shadows, in order of store and number.
fn running(engine: &Engine, plugin: &str) -> Result<Vec<(RowId, JournalRow, StoreInfo)>> {
    let view = engine.latest_view();
    let shadows = store::stores_of(&view, plugin)?;
    let mut rows = Vec::new();
    for (id, row) in journal::rows_of(&view, plugin)? {
        if row.state != MigrationState::Running {
            continue;
        }
        let shadow = shadows
            .iter()
            .find(|info| info.collection == row.shadow() && info.state == StoreState::Shadow);
        let Some(shadow) = shadow.cloned() else {
            return Err(heliosdb_storage::Error::corruption(
                "the directory of plugin stores",
                0,
                format!(
                    "collection {} as a shadow of store {}",
                    row.shadow(),
                    id.store
                ),
                "none",
            )
            .into());
        };
        rows.push((id, row, shadow));
    }
    Ok(rows)
}
