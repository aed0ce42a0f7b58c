//! Crash at every numbered call of a migration, in every model; start again and migrate.
//!
//! The migration runs once and leaves an image at each call.

use heliosdb_plugin_host::migration::{MigrationError, Report, dry_run, finalize, migrations, run};
use heliosdb_plugin_host::store::{StoreState, stores};
use heliosdb_sim::rng::Rng;
use heliosdb_sim::{CrashModel, Image, SimDisk};
use heliosdb_storage::Engine;

use crate::check::{self, Allowed, Side};
use crate::scenario::Scenario;
use crate::{Config, Result, Totals};

/// The plugin's version in the first run, and one that corrects it.
pub(crate) const FIRST: &str = "2.0.0";
pub(crate) const CORRECTED: &str = "2.0.1";

/// What a crash in a call may find.
#[derive(Clone, Copy)]
struct Marks {
    /// Calls made when the run began.
    began: u64,
    /// Calls made when it said that it had published.
    published: Option<u64>,
    /// It never publishes.
    fails: bool,
}

impl Marks {
    fn allowed(&self, call: u64) -> Allowed {
        match self.published {
            _ if self.fails || call <= self.began => Allowed::Only(Side::Before),
            Some(published) if call > published => Allowed::Only(Side::After),
            _ => Allowed::Either,
        }
    }
}

/// What comes before and after a recovery.
#[derive(Clone, Copy, Default)]
pub(crate) struct Around {
    /// An earlier attempt may have been given up or have failed, and be on record so.
    pub given_up: bool,
    /// What happens in the recovery is crashed in its turn.
    pub crash_again: bool,
}

pub fn crash_at_every_call(
    scenario: &Scenario,
    config: &Config,
    totals: &mut Totals,
) -> Result<()> {
    let mut rng = Rng::new(scenario.seed).fork(41);
    let disk = SimDisk::new(scenario.seed);
    let engine = scenario.open(&disk).map_err(|e| e.to_string())?;
    scenario.fill(&engine).map_err(|e| e.to_string())?;
    disk.record_images();
    if rng.one_in(3) {
        try_out(&engine, scenario, scenario.is_broken())?;
    }
    let mut marks = Marks {
        began: disk.calls(),
        published: None,
        fails: scenario.is_broken(),
    };
    match migrate(&engine, scenario, FIRST, scenario.is_broken()) {
        Ok(_) if !marks.fails => {
            marks.published = Some(disk.calls());
            finalize(&engine, &scenario.plugin, &scenario.settings()).map_err(|e| e.to_string())?;
            check::finished(&engine, scenario, false)?;
        }
        Err(MigrationError::Step { .. }) if marks.fails => {
            check::side(&engine, scenario, Allowed::Only(Side::Before))?;
            check::directory(&engine)?;
        }
        outcome => return Err(format!("the undisturbed run: {outcome:?}")),
    }
    drop(engine);
    let mut images = disk.take_images();
    images.push(end_of(&disk));
    totals.calls += images.len() as u64;
    for image in &images {
        for model in &config.models {
            let mut rng = Rng::new(scenario.seed).fork(image.call * 4 + *model as u64);
            let around = Around {
                given_up: scenario.is_broken(),
                crash_again: rng.one_in(config.nested_one_in),
            };
            let after = image.crash(*model, rng.next_u64());
            let allowed = marks.allowed(image.call);
            totals.crashes += 1;
            recover(scenario, &after, allowed, around, &mut rng, totals)
                .map_err(|why| format!("{}: {why}", place(image, *model)))?;
        }
    }
    Ok(())
}

/// The disk after the last call, as if the next one were about to be made.
fn end_of(disk: &SimDisk) -> Image {
    let mut image = disk.image();
    image.call += 1;
    image
}

fn place(image: &Image, model: CrashModel) -> String {
    match image.doing {
        Some(call) => format!("crash in call {} ({call:?}), {}", image.call, model.name()),
        None => format!("crash after call {}, {}", image.call - 1, model.name()),
    }
}

/// Plan and run the migration.
pub(crate) fn migrate(
    engine: &Engine,
    scenario: &Scenario,
    plugin_version: &str,
    broken: bool,
) -> Result<Report, MigrationError> {
    let plan = scenario.plan(&engine.latest_view(), plugin_version, broken)?;
    run(engine, &plan, &scenario.settings())
}

/// Promise 4 for a dry run.
fn try_out(engine: &Engine, scenario: &Scenario, broken: bool) -> Result<()> {
    let rows = || {
        let view = engine.latest_view();
        let (stores, rows) = (stores(&view), migrations(&view));
        Ok::<_, heliosdb_storage::Error>((stores?, rows?))
    };
    let mut before = rows().map_err(|e| e.to_string())?;
    let plan = scenario.plan(&engine.latest_view(), FIRST, broken);
    let plan = plan.map_err(|e| e.to_string())?;
    let tried = dry_run(engine, &plan, &scenario.settings());
    if tried.is_err() != broken {
        return Err(format!("dry run: {tried:?}"));
    }
    let after = rows().map_err(|e| e.to_string())?;
    // It also removes what an interrupted one left.
    before.0.retain(|info| info.state != StoreState::Discarded);
    if after != before {
        return Err(format!("a dry run made {after:?} of {before:?}"));
    }
    Ok(())
}

/// Start on what was left: it may be read, migrated to the end, and finalized.
pub(crate) fn recover(
    scenario: &Scenario,
    disk: &SimDisk,
    allowed: Allowed,
    around: Around,
    rng: &mut Rng,
    totals: &mut Totals,
) -> Result<()> {
    if around.crash_again {
        disk.record_images();
    }
    let engine = scenario.open(disk).map_err(|e| format!("opening: {e}"))?;
    let side = check::side(&engine, scenario, allowed)?;
    check::directory(&engine)?;
    match side {
        Side::Before => totals.before += 1,
        Side::After => totals.after += 1,
    }
    if rng.one_in(6) {
        try_out(&engine, scenario, false)?;
    }
    if rng.one_in(6) {
        finalize(&engine, &scenario.plugin, &scenario.settings())
            .map_err(|e| format!("finalize: {e}"))?;
        check::side(&engine, scenario, Allowed::Only(side))?;
        check::directory(&engine)?;
    }
    let began = disk.calls();
    let corrected = scenario.is_broken() || rng.one_in(6);
    let plugin_version = if corrected { CORRECTED } else { FIRST };
    let report =
        migrate(&engine, scenario, plugin_version, false).map_err(|e| format!("run: {e}"))?;
    let marks = match side {
        Side::Before => Marks {
            began,
            published: Some(disk.calls()),
            fails: false,
        },
        // What a reopened database shows is there to stay.
        Side::After => Marks {
            began: 0,
            published: Some(0),
            fails: false,
        },
    };
    let legs = report.stores.iter().flat_map(|store| &store.legs);
    totals.resumed += u64::from(legs.map(|leg| leg.resumed_at).sum::<u64>() > 0);
    check::side(&engine, scenario, Allowed::Only(Side::After))?;
    check::directory(&engine)?;
    finalize(&engine, &scenario.plugin, &scenario.settings())
        .map_err(|e| format!("finalize: {e}"))?;
    let given_up = around.given_up || corrected;
    check::finished(&engine, scenario, given_up)?;
    let plan = scenario.plan(&engine.latest_view(), plugin_version, false);
    if !plan.as_ref().is_ok_and(|plan| plan.is_empty()) {
        return Err(format!("there is more to do: {plan:?}"));
    }
    drop(engine);
    if !around.crash_again {
        return Ok(());
    }
    let mut images = disk.take_images();
    images.push(end_of(disk));
    let around = Around {
        given_up,
        crash_again: false,
    };
    for image in &images {
        let model = CrashModel::ALL[rng.index(3)];
        let again = image.crash(model, rng.next_u64());
        totals.nested += 1;
        totals.crashes += 1;
        let allowed = marks.allowed(image.call);
        recover(scenario, &again, allowed, around, rng, totals)
            .map_err(|why| format!("then {}: {why}", place(image, model)))?;
    }
    Ok(())
}
