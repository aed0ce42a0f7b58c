//! Entries of a store, and the steps that lead them from one version to the next.

use crate::error::Result;
use crate::manifest::{AdoptDecl, Provides, StepDecl};

/// One entry of a store.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    pub key: Vec<u8>,
    pub value: Vec<u8>,
}

/// A step of a store to its next version, or the adoption of another plugin's store.
///
/// It is pure: the same entries give the same result, on any machine, for ever. The host hands it
/// the whole store in batches, in the order of the keys, and may hand it a batch again after a crash.
pub trait Step: Send + Sync {
    /// Entries of the old version as entries of the new one: none, one or many for each. No key may
    /// come twice in the whole store.
    fn migrate(&self, entries: Vec<Entry>) -> Result<Vec<Entry>>;

    /// An invariant of the new version, checked on every entry as it was written.
    fn check(&self, entry: &Entry) -> Result<()>;
}

/// A store's entries at a version, kept with the plugin's source for ever.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fixture {
    pub store: String,
    pub version: u32,
    pub entries: Vec<Entry>,
}

/// All steps of a plugin.
#[derive(Default)]
pub struct Migrations {
    pub(crate) steps: Vec<(StepDecl, Box<dyn Step>)>,
    pub(crate) adopts: Vec<(AdoptDecl, Box<dyn Step>)>,
    pub(crate) fixtures: Vec<Fixture>,
}

impl Migrations {
    /// A step as the manifest declares it.
    pub fn step(
        mut self,
        store: &str,
        from: u32,
        checksum: &str,
        step: impl Step + 'static,
    ) -> Migrations {
        let declared = StepDecl {
            store: store.to_owned(),
            from,
            checksum: checksum.to_owned(),
        };
        self.steps.push((declared, Box::new(step)));
        self
    }

    /// An adoption as the manifest declares it.
    pub fn adopt(mut self, declared: AdoptDecl, step: impl Step + 'static) -> Migrations {
        self.adopts.push((declared, Box::new(step)));
        self
    }

    /// Golden state that must always migrate.
    pub fn fixture(mut self, fixture: Fixture) -> Migrations {
        self.fixtures.push(fixture);
        self
    }

    pub(crate) fn provides(&self) -> Provides {
        Provides {
            steps: self.steps.iter().map(|(d, _)| d.clone()).collect(),
            adopts: self.adopts.iter().map(|(d, _)| d.clone()).collect(),
            ..Provides::default()
        }
    }
}
