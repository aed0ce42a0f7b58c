//! Commit: steps 1 to 4 of a transaction's end.
//!
//! 1. Build the log record, reserve room for it in the log, and put the versions into the memtable, behind a pending slot: slow work,
//!    outside of every mutex but that of SERIALIZABLE, and invisible.
//! 2. At the commit point (the log's queue mutex) take the timestamp, queue the record and flip the
//!    slot: from here on every reader agrees. SERIALIZABLE puts its check around that, from before the
//!    versions go into the memtable, since what is there cannot be taken back.
//! 3. Give the locks back, before the disk is waited for: contended rows do not wait for the disk.
//! 4. Wait until the record is durable, and with it everything the transaction read.
//!
//! A transaction with private runs does 1 and 2 in another way: see [`super::publish`].

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::ssi::{self, KeyRanges};
use super::writeset::{FinalWrite, WriteKind};
use super::{Durability, Transaction};
use crate::catalog::CATALOG;
use crate::error::Result;
use crate::history::named::pin_of;
use crate::ids::{CollectionId, Ts};
use crate::memory::{Part, Reservation};
use crate::memtable::{TxnSlot, split_key};
use crate::planted::{self, Bug};
use crate::wal::log::Ticket;
use crate::wal::record::TransactionRecord;

impl Transaction {
    /// Make the writes visible to all, and with `Synchronous` durable. The commit timestamp, or, when
    /// nothing was written, the highest timestamp read. `ReadWriteDependency` when SERIALIZABLE cannot
    /// let it through; then nothing of it stays.
    pub fn commit(mut self, durability: Durability) -> Result<Ts> {
        let engine = Arc::clone(&self.engine);
        let serial = self.serial.take();
        if self.writes.is_empty() {
            if let Some(serial) = serial {
                serial.commit(KeyRanges::default(), false, || Ok((engine.latest(), ())))?;
            }
            let read_ts = Ts(self.read_ts.load(Ordering::Relaxed));
            self.release_locks();
            match durability {
                Durability::Synchronous if self.used_sequence => {
                    engine.log.wait(engine.log.last_ticket())?;
                }
                Durability::Synchronous => engine.log.wait_ts(read_ts)?,
                // Whoever hears of it is not to see less afterwards.
                Durability::Asynchronous => {
                    engine.log.acknowledge(read_ts, engine.is_inline())?;
                }
            }
            return Ok(read_ts);
        }

        engine.admit()?;
        if !self.writes.runs().is_empty() {
            let (ts, ticket) = self.publish_runs(serial)?;
            self.finish(ts, ticket, durability)?;
            engine.after_runs();
            if let Err(e) = engine.remove_obsolete_log() {
                // The commit is one all the same, and the next one tries again.
                tracing::warn!("removing old files of the log: {e}");
            }
            return Ok(ts);
        }
        let mut writes = self.writes.take_memory();
        // The record has all of it once more until it is in the log.
        let _record = (writes.bytes() > engine.memory.grain())
            .then(|| Reservation::of(&engine.memory, Part::Log, writes.bytes()));
        let mut record = TransactionRecord::new(self.timeline.id(), writes.bytes());
        let mut live: Vec<(CollectionId, i64)> = Vec::new();
        let mut finals: Vec<_> = writes.drain().collect();
        forget_dropped(&mut finals);
        for write in &finals {
            record.push(&write.key, write.kind, write.value.as_deref())?;
            let delta = match write.kind {
                WriteKind::Insert => 1,
                WriteKind::Delete => -1,
                _ => continue,
            };
            // Keys come in order, so a table's rows come together.
            let (table, _) = split_key(&write.key);
            match live.last_mut() {
                Some((last, sum)) if *last == table => *sum += delta,
                _ => live.push((table, delta)),
            }
        }
        let record = record.seal();
        // A full disk refuses here, where nothing has happened yet.
        let reserved = engine.log.reserve(record.bytes())?;
        let serial = serial.map(|serial| {
            let keys = finals.iter().map(|write| &*write.key);
            let writes = ssi::writes_of(keys, self.timeline.serializable.limits());
            (serial, writes)
        });

        let slot = TxnSlot::pending();
        let publish = || {
            let window = engine.freeze.read();
            self.timeline.check(self.epoch)?;
            let sources = self.timeline.sources();
            let mut bytes = 0;
            for write in finals {
                bytes += sources
                    .active
                    .insert(write.key, Arc::clone(&slot), write.value);
            }
            engine.timelines.add_active(bytes);
            let _window = (!planted::is(Bug::FlipBesideFreeze)).then_some(window);
            let (ts, ticket) = engine.log.commit(record, &slot, reserved)?;
            sources.active.note_commit(ts);
            for (table, delta) in live {
                self.timeline.live.add(table, delta);
            }
            Ok((ts, (ticket, sources, bytes)))
        };
        if planted::is(Bug::LocksBeforeFlip) {
            self.engine.locks.release_all(self.owner, &mut self.held);
            planted::dawdle();
        }
        let (ts, (ticket, sources, bytes)) = match serial {
            None => publish()?,
            Some((serial, writes)) => serial.commit(writes, true, publish)?,
        };
        // Behind the window: the page cache may have to give back.
        sources.active.count(bytes);
        drop(sources);
        self.memory.set(0);
        self.finish(ts, ticket, durability)?;
        engine.after_commit();
        Ok(ts)
    }

    /// Steps 3 and 4.
    fn finish(&mut self, ts: Ts, ticket: Ticket, durability: Durability) -> Result<()> {
        self.hand_over_pins();
        self.release_locks();
        let log = &self.engine.log;
        match durability {
            Durability::Synchronous => log.wait(ticket),
            Durability::Asynchronous => log.acknowledge(ts, self.engine.is_inline()),
        }
    }
}

impl Transaction {
    /// What the transaction held, the pins that it wrote hold from here on. Nobody else has written them:
    /// their locks are held. After a swap they are not those of the main timeline any more, and hold nothing.
    fn hand_over_pins(&mut self) {
        if self.pins.is_empty() {
            return;
        }
        let view = self.engine.view(&self.timeline, Ts::MAX, None);
        let mut written = Vec::new();
        for name in std::mem::take(&mut self.pins) {
            match pin_of(&view, &name) {
                Ok(pin) => written.push((name, pin)),
                Err(e) => {
                    // Then as long as the database is open.
                    tracing::error!("pin \"{name}\" cannot be read: {e}");
                    self.holds.drain(..).for_each(std::mem::forget);
                }
            }
        }
        // Names change with this lock held exclusively.
        let _window = self.engine.freeze.read();
        if Arc::ptr_eq(&self.timeline, &self.engine.main()) {
            for (name, pin) in written {
                self.engine.pins.name(&name, pin);
            }
        }
    }
}

/// Leave out what was written to collections that the same transaction drops. Nobody could ever read
/// it, and it may be in a shape that no definition in the catalog describes, so that a flush could
/// not write it. The catalog's keys come first.
fn forget_dropped(finals: &mut Vec<FinalWrite>) {
    let mut dropped = Vec::new();
    for write in finals
        .iter()
        .filter(|write| write.kind == WriteKind::Remove)
    {
        let (collection, key) = split_key(&write.key);
        if let (CATALOG, Ok(id)) = (collection, key.try_into()) {
            dropped.push(CollectionId(u32::from_be_bytes(id)));
        }
    }
    if !dropped.is_empty() {
        finals.retain(|write| !dropped.contains(&split_key(&write.key).0));
    }
}
