//! Spoil synced bytes of a closed database: it answers rightly or with an error, never wrongly.
//!
//! One exception is no damage at all to the engine: the last write to the log, gone as a whole,
//! looks like a write that was never synced. So the commits of that write, and only those, may be
//! missing.

use heliosdb_storage::Error;

use super::history::Machine;
use super::{At, Config, Failure, Report, Result, Totals};
use crate::rng::Rng;
use crate::{CrashModel, Damage, SimDisk};

pub fn damage_bytes(seed: u64, config: &Config, totals: &mut Totals) -> Result<(), Report> {
    let disk = SimDisk::new(seed);
    let mut machine = Machine::start(seed, disk.clone()).at(|| "start".to_string())?;
    machine
        .run(config.steps)
        .at(|| "history without damage".to_string())?;
    machine.close().at(|| "close".to_string())?;
    let image = disk.image();
    let mut rng = Rng::new(seed).fork(31);
    for _ in 0..config.damages {
        let spoiled = image.crash(CrashModel::Lost, 1);
        let files: Vec<_> = spoiled
            .files()
            .into_iter()
            .filter(|(_, len)| *len > 0)
            .collect();
        if files.is_empty() {
            return Ok(());
        }
        let (name, len) = &files[rng.index(files.len())];
        let damage = random_damage(*len, &mut rng);
        if !spoiled.damage(name, damage).unwrap_or(false) {
            continue;
        }
        let reported =
            open_damaged(&machine, spoiled, &mut rng).at(|| format!("{damage:?} in {name}"))?;
        totals.damages += 1;
        totals.damages_reported += u64::from(reported);
    }
    Ok(())
}

fn random_damage(len: u64, rng: &mut Rng) -> Damage {
    let (sectors, blocks) = (len.div_ceil(512), len.div_ceil(4096));
    match rng.below(4) {
        0 => Damage::Bit {
            bit: rng.below(len * 8),
        },
        1 => Damage::Sector {
            sector: rng.below(sectors),
            seed: rng.next_u64(),
        },
        2 => Damage::StaleBlock {
            block: rng.below(blocks),
        },
        _ => Damage::MisplacedBlock {
            block: rng.below(blocks),
            from: rng.below(blocks),
        },
    }
}

/// True when the damage was reported.
fn open_damaged(machine: &Machine, spoiled: SimDisk, rng: &mut Rng) -> Result<bool> {
    match machine.restart_damaged(spoiled, rng.next_u64()) {
        Ok(_) => Ok(false),
        Err(Failure::Refused(
            Error::Corruption { .. }
            | Error::UnsupportedVersion { .. }
            | Error::NotADatabase { .. }
            | Error::Io { .. },
        )) => Ok(true),
        Err(failure) => Err(failure),
    }
}
