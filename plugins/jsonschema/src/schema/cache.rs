//! Compiled schemas, kept by their text.
//!
//! A schema is found by the hash of its text and confirmed by the text itself. What it refers to is
//! confirmed too, so a cache may serve statements with different snapshots: each gets what its
//! snapshot says, and two that take turns only cost time.
//!
//! Bounds: [`SCHEMAS_MAX`] schemas and [`TEXT_MAX`] bytes of text; the one not used for longest
//! goes first.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::compile::{Compiled, Formats, Source};
use super::draft::Draft;
use super::reference::Registered;
use crate::error::Result;

const SCHEMAS_MAX: usize = 256;
const TEXT_MAX: usize = 8 << 20;

#[derive(Debug, Default)]
pub struct Cache {
    formats: Formats,
    hasher: RandomState,
    slots: Mutex<Slots>,
}

#[derive(Debug, Default)]
struct Slots {
    by_hash: HashMap<u64, Slot>,
    /// Bytes of all texts.
    text: usize,
    /// Counts uses.
    clock: u64,
}

#[derive(Debug)]
struct Slot {
    text: Box<str>,
    uri: Option<Box<str>>,
    draft: Option<Draft>,
    compiled: Arc<Compiled>,
    used: u64,
}

impl Slot {
    fn is_for(&self, source: Source<'_>) -> bool {
        *self.text == *source.text
            && self.uri.as_deref() == source.uri
            && self.draft == source.draft
    }
}

impl Cache {
    /// A cache of schemas that treat formats alike.
    pub fn new(formats: Formats) -> Cache {
        Cache {
            formats,
            ..Cache::default()
        }
    }

    /// The compiled schema, from the cache or compiled now.
    pub fn get(&self, source: Source<'_>, registered: &dyn Registered) -> Result<Arc<Compiled>> {
        let hash = self
            .hasher
            .hash_one((source.text, source.uri, source.draft));
        // Nothing foreign runs under the lock: neither the crate nor what finds schemas.
        let found = self.slots().find(hash, source);
        if let Some(compiled) = found
            && compiled.is_current(registered)?
        {
            return Ok(compiled);
        }
        let compiled = Arc::new(Compiled::with_formats(source, registered, self.formats)?);
        let dropped = self.slots().keep(hash, source, Arc::clone(&compiled));
        drop(dropped);
        Ok(compiled)
    }

    fn slots(&self) -> MutexGuard<'_, Slots> {
        // Whatever panicked, the map is whole.
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.slots().by_hash.len()
    }
}

impl Slots {
    fn find(&mut self, hash: u64, source: Source<'_>) -> Option<Arc<Compiled>> {
        self.clock += 1;
        let slot = self.by_hash.get_mut(&hash)?;
        if !slot.is_for(source) {
            return None;
        }
        slot.used = self.clock;
        Some(Arc::clone(&slot.compiled))
    }

    /// Keeps a schema and returns what had to go for it, to be dropped outside the lock.
    fn keep(&mut self, hash: u64, source: Source<'_>, compiled: Arc<Compiled>) -> Vec<Slot> {
        let mut gone = Vec::new();
        if source.text.len() > TEXT_MAX {
            return gone;
        }
        self.clock += 1;
        let slot = Slot {
            text: source.text.into(),
            uri: source.uri.map(Into::into),
            draft: source.draft,
            compiled,
            used: self.clock,
        };
        self.text += slot.text.len();
        gone.extend(self.by_hash.insert(hash, slot).inspect(|old| {
            self.text -= old.text.len();
        }));
        while self.by_hash.len() > SCHEMAS_MAX || self.text > TEXT_MAX {
            let oldest = self.by_hash.iter().min_by_key(|(_, slot)| slot.used);
            let Some(slot) = oldest.map(|(hash, _)| *hash) else {
                break;
            };
            if let Some(slot) = self.by_hash.remove(&slot) {
                self.text -= slot.text.len();
                gone.push(slot);
            }
        }
        gone
    }
}
