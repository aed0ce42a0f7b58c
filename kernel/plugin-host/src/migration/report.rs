//! What a run did, or what it would do, for people.

use std::fmt;

use heliosdb_storage::ids::CollectionId;

use super::Tally;
use crate::store::StoreInfo;

/// What a run did to a plugin's stores, or, as a dry run, would do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    pub plugin: String,
    pub plugin_version: String,
    /// Everything was tried, and nothing published or kept.
    pub dry_run: bool,
    pub stores: Vec<StoreReport>,
    /// Stores that the plugin no longer knows.
    pub orphans: Vec<StoreInfo>,
    pub elapsed_micros: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreReport {
    pub store: String,
    /// `None` when it is new.
    pub from: Option<u32>,
    pub to: u32,
    pub outcome: Outcome,
    /// The passes over its entries, in order.
    pub legs: Vec<LegReport>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Kept,
    Created,
    Migrated {
        /// The collection that holds the old state until it is finalized.
        retired: CollectionId,
    },
    /// Taken over from this store, as `plugin.store@version`.
    Adopted(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LegReport {
    pub from: u32,
    pub to: u32,
    /// The store it adopts, as `plugin.store@version`; `from` is that one's version then.
    pub adopts: Option<String>,
    pub checksum: String,
    pub input: Tally,
    pub output: Tally,
    /// Entries that an interrupted run had done.
    pub resumed_at: u64,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Report {
            plugin,
            plugin_version,
            dry_run,
            ..
        } = self;
        let title = if *dry_run {
            "dry run of the migration"
        } else {
            "migration"
        };
        write!(f, "{title} of plugin {plugin} to {plugin_version}")?;
        for store in &self.stores {
            store.write(f, *dry_run)?;
        }
        for orphan in &self.orphans {
            let StoreInfo { name, version, .. } = orphan;
            write!(
                f,
                "\n  store {name}: unknown to the plugin, kept at version {version}"
            )?;
        }
        let (millis, micros) = (self.elapsed_micros / 1000, self.elapsed_micros % 1000);
        write!(f, "\n  took {millis}.{micros:03} ms")?;
        if *dry_run {
            write!(f, "; nothing was published or kept")?;
        }
        Ok(())
    }
}

impl StoreReport {
    fn write(&self, f: &mut fmt::Formatter<'_>, dry_run: bool) -> fmt::Result {
        let StoreReport { store, to, .. } = self;
        let would = if dry_run { "would be " } else { "" };
        write!(f, "\n  store {store}: ")?;
        match (&self.outcome, self.from) {
            (Outcome::Kept, _) => write!(f, "stays at version {to}")?,
            (Outcome::Created, _) => write!(f, "{would}created at version {to}")?,
            (Outcome::Adopted(source), _) => {
                write!(f, "{would}adopted from {source}, to version {to}")?;
            }
            (Outcome::Migrated { .. }, from) => {
                let from = from.unwrap_or(0);
                write!(f, "{would}migrated from version {from} to {to}")?;
            }
        }
        for leg in &self.legs {
            let LegReport {
                from, to, checksum, ..
            } = leg;
            match &leg.adopts {
                Some(source) => write!(f, "\n    {source} → {to} ({checksum})")?,
                None => write!(f, "\n    step {from} → {to} ({checksum})")?,
            }
            if leg.resumed_at > 0 {
                write!(f, ", resumed after {} entries", leg.resumed_at)?;
            }
            write!(f, "\n      in   {}\n      out  {}", leg.input, leg.output)?;
        }
        if let Outcome::Migrated { retired } = &self.outcome {
            let kept = if dry_run { "would be kept" } else { "is kept" };
            write!(
                f,
                "\n    the old state {kept} in collection {retired} until finalized"
            )?;
        }
        Ok(())
    }
}
