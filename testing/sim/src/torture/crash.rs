//! Crash at every numbered call of a history, in every model.
//!
//! The history runs once and leaves an image at each call, so that its length costs once and not
//! once per crash.

use super::history::Machine;
use super::{At, Config, Report, Result, Totals};
use crate::rng::Rng;
use crate::{CrashModel, Image, SimDisk};

/// Steps of the history that follows a nested crash.
const NESTED_STEPS: usize = 12;

pub fn crash_at_every_call(seed: u64, config: &Config, totals: &mut Totals) -> Result<(), Report> {
    let disk = SimDisk::new(seed);
    disk.record_images();
    let mut machine = Machine::start(seed, disk.clone()).at(|| "start".to_string())?;
    machine
        .run(config.steps)
        .at(|| format!("history, after call {}", disk.calls()))?;
    let mut images = disk.take_images();
    images.push(end_of(&disk));
    totals.calls += images.len() as u64;
    totals.commits += machine.commits() as u64;
    totals.compactions += machine.compacted;
    totals.branchings += machine.branches.count() as u64;
    for image in &images {
        for model in &config.models {
            let mut rng = Rng::new(seed).fork(image.call * 4 + *model as u64);
            crash_once(&machine, image, *model, config, &mut rng, totals)?;
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

fn crash_once(
    machine: &Machine,
    image: &Image,
    model: CrashModel,
    config: &Config,
    rng: &mut Rng,
    totals: &mut Totals,
) -> Result<(), Report> {
    let nested = rng.one_in(config.nested_one_in);
    let disk = image.crash(model, rng.next_u64());
    if nested {
        disk.record_images();
    }
    let restarted = machine.restart(disk.clone(), image.call, rng.next_u64());
    let mut restarted = restarted.at(|| place(image, model))?;
    count(machine, image, model, totals);
    if nested {
        let went_on = restarted.run(NESTED_STEPS);
        went_on.at(|| format!("{}, then the history after it", place(image, model)))?;
        crash_again(&restarted, &disk, rng, totals).map_err(|r| Report {
            place: format!("{}, then {}", place(image, model), r.place),
            ..r
        })?;
    }
    Ok(())
}

/// Crash a restarted machine at each call of its recovery and of the history after it.
fn crash_again(
    restarted: &Machine,
    disk: &SimDisk,
    rng: &mut Rng,
    totals: &mut Totals,
) -> Result<(), Report> {
    let mut images = disk.take_images();
    images.push(end_of(disk));
    for image in &images {
        let model = CrashModel::ALL[rng.index(3)];
        let again = image.crash(model, rng.next_u64());
        let mut twice = restarted
            .restart(again, image.call, rng.next_u64())
            .at(|| place(image, model))?;
        count(restarted, image, model, totals);
        totals.nested += 1;
        if rng.one_in(8) {
            twice
                .run(4)
                .and_then(|()| twice.check_live())
                .at(|| format!("{}, then the history after it", place(image, model)))?;
        }
    }
    Ok(())
}

fn count(machine: &Machine, image: &Image, model: CrashModel, totals: &mut Totals) {
    totals.crashes[model as usize] += 1;
    totals.commits_checked += machine.survivors(image.call).0 as u64;
}
