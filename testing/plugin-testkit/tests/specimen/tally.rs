//! How many letters the names of all specimens have, counted in the background.

use std::ops::Bound;
use std::sync::atomic::{AtomicU64, Ordering};

use heliosdb_plugin_api::{Context, Result, Turn, Worker};

use super::fault;

/// Its place is the key of the last specimen that it has counted, kept with the sum.
pub struct Tally<const FAULT: u8>;

const SUM: &[u8] = b"sum";
const PLACE: &[u8] = b"place";

impl<const FAULT: u8> Worker for Tally<FAULT> {
    fn run(&self, cx: &Context<'_>) -> Result<Turn> {
        let (specimens, tallies) = (cx.store("specimens")?, cx.store("tallies")?);
        let (budget, pool) = (cx.host().budget()?, cx.host().pool()?);
        let sum = tallies.get(SUM)?.and_then(|sum| sum.try_into().ok());
        let mut sum = u64::from_be_bytes(sum.unwrap_or_default());
        let mut place = tallies.get(PLACE)?;
        let after = match &place {
            Some(place) => Bound::Excluded(place.as_slice()),
            None => Bound::Unbounded,
        };
        let mut left = specimens.range(after, Bound::Unbounded)?.into_iter();
        let mut rests = false;
        loop {
            cx.check_cancelled()?;
            let Some(specimen) = left.next() else {
                rests = FAULT != fault::NEVER_RESTS;
                break;
            };
            let letters = AtomicU64::new(0);
            pool.run(specimen.value.len() as u32, |_| {
                letters.fetch_add(1, Ordering::Relaxed);
                Ok(())
            })?;
            sum += letters.into_inner();
            place = Some(specimen.key);
            if budget.is_used_up() {
                if FAULT == fault::LOSES_ITS_PLACE {
                    place = left.next().map(|next| next.key).or(place);
                }
                break;
            }
        }
        let kept = tallies.put(SUM, &sum.to_be_bytes());
        if FAULT == fault::BELIEVES_IN_WRITES {
            kept.expect("a store can be written");
        } else {
            kept?;
        }
        if let Some(place) = place {
            tallies.put(PLACE, &place)?;
        }
        Ok(if rests { Turn::Done } else { Turn::More })
    }
}
