//! Who writes on one timeline: the only one there, so that nobody waits for a lock.

use std::collections::BTreeMap;

use heliosdb_sim::rng::Rng;
use heliosdb_storage::ids::{RowId, TimelineId};
use heliosdb_storage::{
    Durability, Interrupt, Isolation, LockWait, Result, RowLockMode, Transaction,
};

use crate::history::{Commit, Key, Value, World};
use crate::machine::Machine;
use crate::roads::{ENTRIES, NAMES, STORE, TABLE, batch, entry, name, read, rows, table};

/// Padding of a value that is to fill the log.
const PADDING: usize = 24 << 10;
/// What a transaction may have in memory: two large values are a run.
pub const TRANSACTION_BYTES_MAX: usize = 40 << 10;

/// See the module's header.
pub struct Writer {
    timeline: TimelineId,
    world: World,
    rng: Rng,
    /// One transaction in so many has large values; 0 for none.
    pub large_one_in: u64,
    was_large: bool,
}

impl Writer {
    /// One who has seen what is there now. Not all of it need be in the history: a commit is seen before its
    /// client is told.
    pub fn new(machine: &Machine, timeline: TimelineId, rng: Rng) -> Option<Writer> {
        let view = machine.engine.latest_view_on(timeline);
        let view = machine.expect("a writer's view", view)?;
        let world = machine.expect("what a writer sees", read(&view, 0))?;
        Some(Writer {
            timeline,
            world,
            rng,
            large_one_in: 0,
            was_large: false,
        })
    }

    /// Whether the last transaction had more than fits into memory, and so was committed as runs.
    pub fn was_large(&self) -> bool {
        self.was_large
    }

    /// Insert rows, in a transaction of their own.
    pub fn insert(&mut self, machine: &Machine, count: usize) -> Option<()> {
        let mut txn = self.begin(machine)?;
        let mut changes = BTreeMap::new();
        for _ in 0..count {
            let inserted = self.insert_one(machine, &mut txn);
            changes.extend(machine.expect("an insert", inserted)?);
        }
        self.end(machine, txn, changes)
    }

    /// Supersede, delete and insert some rows, and some entries, in one transaction.
    pub fn write(&mut self, machine: &Machine) -> Option<()> {
        let mut txn = self.begin(machine)?;
        let changed = self.change(machine, &mut txn);
        let changes = machine.expect("a write", changed)?;
        self.end(machine, txn, changes)
    }

    fn begin(&self, machine: &Machine) -> Option<Transaction> {
        let (engine, level) = (&machine.engine, Isolation::ReadCommitted);
        let begun = engine.begin_on(self.timeline, level, Interrupt::new());
        let mut txn = machine.expect("a beginning", begun)?;
        txn.begin_statement();
        Some(txn)
    }

    fn insert_one(
        &mut self,
        machine: &Machine,
        txn: &mut Transaction,
    ) -> Result<Option<(Key, Option<Value>)>, String> {
        let new = (machine.next_value() as i64, self.name());
        let ids = txn.insert(&table(), &batch(std::slice::from_ref(&new))?);
        let ids = ids.map_err(|e| e.to_string())?;
        let value = Value::Row(new.0, new.1);
        Ok(ids.first().map(|id| (Key::Row(*id), Some(value))))
    }

    fn name(&mut self) -> String {
        name(self.rng.below(NAMES))
    }

    fn change(
        &mut self,
        machine: &Machine,
        txn: &mut Transaction,
    ) -> Result<BTreeMap<Key, Option<Value>>, String> {
        let mut changes = BTreeMap::new();
        let text = |error: heliosdb_storage::Error| error.to_string();
        let old: Vec<(RowId, i64)> = rows(&self.world).map(|(row, id, _)| (row, id)).collect();
        for (row, id) in old {
            let kind = self.rng.below(5);
            if kind < 3 {
                let lock = txn.lock_row(TABLE, row, RowLockMode::Update, LockWait::NoWait);
                lock.map_err(text)?;
            }
            if kind < 2 {
                let new = (id, self.name());
                let rows = batch(std::slice::from_ref(&new))?;
                txn.update(&table(), &[row], &rows).map_err(text)?;
                changes.insert(Key::Row(row), Some(Value::Row(new.0, new.1)));
            } else if kind < 3 {
                txn.delete(&table(), &[row]).map_err(text)?;
                changes.insert(Key::Row(row), None);
            }
        }
        if self.rng.one_in(3) {
            changes.extend(self.insert_one(machine, txn)?);
        }
        let one_in = self.large_one_in;
        let padding = match one_in > 0 && self.rng.one_in(one_in) {
            true => PADDING,
            false => 0,
        };
        let mut large = 0;
        for key in 0..ENTRIES {
            // A transaction writes something at least.
            match self.rng.below(3) {
                0 if key > 0 => {}
                1 => {
                    txn.remove(STORE, &[key]).map_err(text)?;
                    changes.insert(Key::Entry(key), None);
                }
                _ => {
                    let number = machine.next_value();
                    let value = entry(number, padding);
                    large += padding;
                    txn.put(STORE, &[key], &value).map_err(text)?;
                    changes.insert(Key::Entry(key), Some(Value::Entry(number)));
                }
            }
        }
        self.was_large = large > TRANSACTION_BYTES_MAX;
        Ok(changes)
    }

    fn end(
        &mut self,
        machine: &Machine,
        txn: Transaction,
        changes: BTreeMap<Key, Option<Value>>,
    ) -> Option<()> {
        let is_durable = !self.rng.one_in(4);
        let durability = match is_durable {
            true => Durability::Synchronous,
            false => Durability::Asynchronous,
        };
        let ts = machine.expect("a commit", txn.commit(durability))?;
        for (key, value) in &changes {
            match value {
                Some(value) => self.world.insert(key.clone(), value.clone()),
                None => self.world.remove(key),
            };
        }
        machine.committed(Commit {
            timeline: self.timeline,
            ts,
            changes,
            is_durable,
        });
        Some(())
    }
}
