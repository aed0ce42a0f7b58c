//! What is held of the past and why, for people.

use std::collections::BTreeMap;

use super::PinState;
use crate::Engine;
use crate::compact::HeldBy;
use crate::error::Result;
use crate::ids::{CollectionId, Ts};
use crate::schema::Retention;

/// Everything that is remembered, and who holds it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Remembered {
    /// Of all collections that have no horizon of their own.
    pub database: Kept,
    /// Collections that were asked for.
    pub collections: BTreeMap<CollectionId, Kept>,
    pub pins: Vec<PinState>,
    /// Times that transactions read at, and how many do.
    pub snapshots: Vec<(Ts, usize)>,
    /// Times that timelines branched off at, and how many did.
    pub branches: Vec<(Ts, usize)>,
}

/// What is remembered of a collection, or of all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// How far it goes back.
    pub since: Ts,
    pub retention: Option<Retention>,
    pub held_by: HeldBy,
    /// Of superseded versions in segments, as they are stored.
    pub bytes: u64,
}

impl Engine {
    /// What is held, of the database and of some collections with the retention that is to count for them.
    /// Reads no page.
    pub fn remembered(
        &self,
        collections: impl IntoIterator<Item = (CollectionId, Option<Retention>)>,
    ) -> Result<Remembered> {
        let engine = self.inner();
        engine.compactor.look_at_clock(&*engine.io);
        let horizons = engine.pins.horizons();
        let retention = engine.options.retention_micros;
        let retention = retention.map_or(Retention::Forever, Retention::Micros);
        let mut bytes: BTreeMap<CollectionId, u64> = BTreeMap::new();
        for (_, timeline) in engine.timelines.all() {
            for segment in timeline.sources().segments() {
                for collection in segment.collection_bytes() {
                    *bytes.entry(collection.collection).or_default() += collection.hist_bytes;
                }
            }
        }
        let kept = |(id, own): (CollectionId, Option<Retention>)| {
            let retention = own.unwrap_or(retention);
            let kept = Kept {
                since: horizons.of(id),
                retention: Some(retention),
                held_by: engine.held_by(retention),
                bytes: bytes.get(&id).copied().unwrap_or_default(),
            };
            (id, kept)
        };
        Ok(Remembered {
            database: Kept {
                since: horizons.all(),
                retention: Some(retention),
                held_by: engine.held_by(retention),
                bytes: bytes.values().sum(),
            },
            collections: collections.into_iter().map(kept).collect(),
            pins: self.pins()?,
            snapshots: engine.pins.snapshots(),
            branches: engine.pins.forks(),
        })
    }
}
