//! One leg of a migration: every entry of one collection through one step into another, in batches,
//! and the check of what came of it.

use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};

use heliosdb_storage::ids::CollectionId;
use heliosdb_storage::{Durability, Engine, Isolation, ReadView};

use super::batch::{self, Batch};
use super::error::{MigrationError, show_key, store_name};
use super::journal::{self, JournalRow, Progress, RowId};
use super::preflight::Leg;
use super::{Entry, PluginError, Result, Settings, Tally};
use crate::store::StoreInfo;

/// A leg that is being worked on.
pub(super) struct Work<'a> {
    pub leg: &'a Leg,
    pub plugin: &'a str,
    pub store: &'a str,
    pub source: CollectionId,
    /// The collection written to, as the directory has it.
    pub shadow: StoreInfo,
    pub progress: Progress,
    /// The row to keep up with the progress; a dry run has none.
    pub journal: Option<(RowId, JournalRow)>,
    /// Entries that an earlier run had read already.
    pub resumed_at: u64,
}

impl Work<'_> {
    /// Go on from where the progress is to the last entry.
    pub fn migrate(&mut self, engine: &Engine, settings: &Settings) -> Result<()> {
        while !self.progress.done {
            settings.interrupt.check()?;
            // The source is locked against writers, so every view shows the same; a fresh one pins
            // no more than it must.
            let view = engine.latest_view();
            let after = self.progress.after.as_deref();
            let Batch { entries, last } = batch::read(&view, self.source, after, settings)?;
            let mut progress = self.progress.clone();
            progress.done = last;
            entries.iter().for_each(|entry| progress.input.add(entry));
            if let Some(entry) = entries.last() {
                progress.after = Some(entry.key.clone());
            }
            let entries = match entries.is_empty() {
                true => entries,
                false => self.call(|| self.leg.step.migrate(entries))?,
            };
            self.check_keys(&view, &entries)?;
            entries.iter().for_each(|entry| progress.output.add(entry));
            self.write(engine, settings, &entries, progress)?;
        }
        Ok(())
    }

    /// Write a batch and the progress as one transaction.
    fn write(
        &mut self,
        engine: &Engine,
        settings: &Settings,
        entries: &[Entry],
        progress: Progress,
    ) -> Result<()> {
        let mut tx = engine.begin(Isolation::ReadCommitted, settings.interrupt.clone());
        for entry in entries {
            tx.put(self.shadow.collection, &entry.key, &entry.value)?;
        }
        if let Some((id, row)) = &mut self.journal {
            row.progress = progress.clone();
            journal::write(&mut tx, id, row)?;
        }
        tx.commit(Durability::Synchronous)?;
        self.progress = progress;
        Ok(())
    }

    /// No key comes twice: not in this batch, and not in an earlier one.
    fn check_keys(&self, view: &ReadView, entries: &[Entry]) -> Result<()> {
        let mut seen = HashSet::with_capacity(entries.len());
        for entry in entries {
            if !seen.insert(entry.key.as_slice())
                || view.get(self.shadow.collection, &entry.key)?.is_some()
            {
                return Err(MigrationError::DuplicateKey {
                    store: self.store_name(),
                    from: self.leg.from,
                    key: show_key(&entry.key),
                });
            }
        }
        Ok(())
    }

    /// Read what was written again, and see that it is what the batches counted and what the step
    /// promises.
    pub fn verify_output(&self, engine: &Engine, settings: &Settings) -> Result<()> {
        let mut found = Tally::default();
        batch::visit(engine, self.shadow.collection, None, settings, |entry| {
            found.add(entry);
            match catch_unwind(AssertUnwindSafe(|| self.leg.step.check(entry))) {
                Ok(Ok(())) => Ok(()),
                Ok(Err(reason)) => Err(MigrationError::Invariant {
                    store: self.store_name(),
                    version: self.leg.to,
                    key: show_key(&entry.key),
                    reason: Box::new(reason),
                }),
                Err(payload) => Err(self.panicked(payload.as_ref())),
            }
        })?;
        if found == self.progress.output {
            return Ok(());
        }
        Err(MigrationError::OutputChanged {
            store: self.store_name(),
            version: self.leg.to,
            expected: self.progress.output,
            found,
        })
    }

    /// Read what was read again, and see that nobody has changed it.
    pub fn verify_input(&self, engine: &Engine, settings: &Settings) -> Result<()> {
        let found = batch::tally(engine, self.source, None, settings)?;
        if found == self.progress.input {
            return Ok(());
        }
        Err(self.input_changed(found))
    }

    /// The same for a leg that reads what `before` wrote, which was verified.
    pub fn verify_input_of(&self, before: &Work<'_>) -> Result<()> {
        if before.progress.output == self.progress.input {
            return Ok(());
        }
        Err(self.input_changed(before.progress.output))
    }

    fn input_changed(&self, found: Tally) -> MigrationError {
        MigrationError::InputChanged {
            store: self.store_name(),
            version: self.leg.from,
            expected: self.progress.input,
            found,
        }
    }

    fn store_name(&self) -> String {
        store_name(self.plugin, self.store)
    }

    /// Call the step, and make an error of a panic.
    fn call<T>(&self, step: impl FnOnce() -> Result<T, PluginError>) -> Result<T> {
        match catch_unwind(AssertUnwindSafe(step)) {
            Ok(Ok(made)) => Ok(made),
            Ok(Err(reason)) => Err(MigrationError::Step {
                store: self.store_name(),
                from: self.leg.from,
                reason: Box::new(reason),
            }),
            Err(payload) => Err(self.panicked(payload.as_ref())),
        }
    }

    fn panicked(&self, payload: &(dyn std::any::Any + Send)) -> MigrationError {
        let text = payload
            .downcast_ref::<&str>()
            .copied()
            .or_else(|| payload.downcast_ref::<String>().map(String::as_str));
        MigrationError::Panicked {
            store: self.store_name(),
            from: self.leg.from,
            reason: text.unwrap_or("no message").to_owned(),
        }
    }
}
