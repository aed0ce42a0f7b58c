//! How far back the history of each collection goes.
//!
//! ```text
//! horizons: all u64 │ own u32 │ { collection u32 │ from u64 } …
//! ```
//!
//! 1. AS OF a time before its horizon a collection cannot be read: versions of then may be gone. Of every
//!    time from it on everything is known.
//! 2. A table whose retention is not the database's has a horizon of its own, and so have its indexes.
//!    The others share one.
//! 3. What says how rows of any time are to be read, the catalogs and whatever else has an id of its own
//!    meaning, goes back as far as any of them.
//! 4. No horizon ever falls.

use std::collections::BTreeMap;

use crate::catalog::FIRST_COLLECTION;
use crate::error::Result;
use crate::ids::{CollectionId, Ts};
use crate::parse::Parser;

/// See the module's header.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Horizons {
    all: Ts,
    own: BTreeMap<CollectionId, Ts>,
}

impl Horizons {
    pub fn new(all: Ts) -> Horizons {
        Horizons {
            all,
            own: BTreeMap::new(),
        }
    }

    /// Of every collection that has none of its own.
    pub fn all(&self) -> Ts {
        self.all
    }

    /// Those that have one of their own.
    pub fn own(&self) -> impl Iterator<Item = (CollectionId, Ts)> {
        self.own.iter().map(|(id, from)| (*id, *from))
    }

    /// Give a collection its own.
    pub fn set(&mut self, id: CollectionId, from: Ts) {
        self.own.insert(id, from);
    }

    pub fn of(&self, id: CollectionId) -> Ts {
        match id < FIRST_COLLECTION {
            true => self.first(),
            false => self.shared(id),
        }
    }

    fn shared(&self, id: CollectionId) -> Ts {
        self.own.get(&id).copied().unwrap_or(self.all)
    }

    /// Before it nothing at all can be read.
    pub fn first(&self) -> Ts {
        self.own
            .values()
            .fold(self.all, |first, own| first.min(*own))
    }

    /// From it on everything can be read.
    pub fn last(&self) -> Ts {
        self.own.values().fold(self.all, |last, own| last.max(*own))
    }

    /// As far as `wanted`, but not past `limit`, and no horizon falls.
    pub fn risen(&self, wanted: &Horizons, limit: Ts) -> Horizons {
        let mut risen = Horizons::new(wanted.all.min(limit).max(self.all));
        for (id, from) in wanted.own() {
            risen.set(id, from.min(limit).max(self.shared(id)));
        }
        // A collection that shares one again keeps its own until that has caught up.
        for (id, from) in self.own() {
            if !wanted.own.contains_key(&id) && from > risen.all {
                risen.set(id, from);
            }
        }
        risen
    }

    /// What holds when both do.
    pub fn join(&self, other: &Horizons) -> Horizons {
        let mut joined = Horizons::new(self.all.max(other.all));
        for id in self.own.keys().chain(other.own.keys()) {
            let from = self.shared(*id).max(other.shared(*id));
            if from != joined.all {
                joined.set(*id, from);
            }
        }
        joined
    }

    /// Collections that were not there before came with a history from `all` on, some with another one.
    pub fn load(&mut self, all: Ts, own: &[(CollectionId, Ts)]) {
        self.all = self.all.max(all);
        self.own.retain(|_, from| *from > all);
        self.own.extend(own.iter().copied());
    }

    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.all.0.to_le_bytes());
        let count = u32::try_from(self.own.len()).expect("collections are numbered by u32");
        out.extend_from_slice(&count.to_le_bytes());
        for (id, from) in &self.own {
            out.extend_from_slice(&id.0.to_le_bytes());
            out.extend_from_slice(&from.0.to_le_bytes());
        }
    }

    pub fn parse(p: &mut Parser<'_>) -> Result<Horizons> {
        let mut horizons = Horizons::new(Ts(p.u64("a timestamp")?));
        for _ in 0..p.u32("a number of collections")? {
            let id = CollectionId(p.u32("a collection")?);
            horizons.set(id, Ts(p.u64("a timestamp")?));
        }
        Ok(horizons)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: CollectionId = CollectionId(2000);
    const SHORT: CollectionId = CollectionId(2001);
    const OTHER: CollectionId = CollectionId(2002);

    fn horizons(all: u64, own: &[(CollectionId, u64)]) -> Horizons {
        let mut horizons = Horizons::new(Ts(all));
        for (id, from) in own {
            horizons.set(*id, Ts(*from));
        }
        horizons
    }

    #[test]
    fn tables_rise_apart_from_the_database_and_the_catalog_stays_with_the_last() {
        let wanted = horizons(70, &[(LONG, 30), (SHORT, 90)]);
        let risen = Horizons::new(Ts(40)).risen(&wanted, Ts::MAX);
        assert_eq!(
            risen,
            horizons(70, &[(LONG, 40), (SHORT, 90)]),
            "none falls"
        );
        assert_eq!((risen.first(), risen.last()), (Ts(40), Ts(90)));
        assert_eq!(risen.of(OTHER), Ts(70));
        assert_eq!(risen.of(crate::catalog::CATALOG), Ts(40));
        let held = Horizons::new(Ts(40)).risen(&wanted, Ts(50));
        assert_eq!(held, horizons(50, &[(LONG, 40), (SHORT, 50)]));
    }

    #[test]
    fn a_table_that_is_like_the_others_again_loses_nothing_and_gains_nothing() {
        let settled = horizons(70, &[(LONG, 40), (SHORT, 90)]);
        let risen = settled.risen(&Horizons::new(Ts(80)), Ts::MAX);
        assert_eq!(risen, horizons(80, &[(SHORT, 90)]));
        assert_eq!(
            risen.risen(&Horizons::new(Ts(95)), Ts::MAX),
            Horizons::new(Ts(95))
        );
    }

    #[test]
    fn joining_is_never_below_either() {
        let (a, b) = (horizons(70, &[(LONG, 40)]), horizons(60, &[(SHORT, 65)]));
        let joined = a.join(&b);
        for id in [LONG, SHORT, OTHER] {
            assert_eq!(joined.of(id), a.of(id).max(b.of(id)), "{id}");
        }
        assert_eq!(joined, b.join(&a));
    }

    #[test]
    fn what_is_loaded_has_its_own_history() {
        let mut loaded = horizons(10, &[(SHORT, 90), (OTHER, 20)]);
        loaded.load(Ts(50), &[(LONG, Ts(30))]);
        assert_eq!(loaded, horizons(50, &[(SHORT, 90), (LONG, 30)]));
    }

    #[test]
    fn horizons_read_back() {
        let known = horizons(70, &[(LONG, 40), (SHORT, 90)]);
        let mut bytes = Vec::new();
        known.encode(&mut bytes);
        let parsed = Horizons::parse(&mut Parser::new(&bytes, "test", 0)).unwrap();
        assert_eq!(parsed, known);
        for len in 0..bytes.len() {
            assert!(Horizons::parse(&mut Parser::new(&bytes[..len], "test", 0)).is_err());
        }
    }
}
