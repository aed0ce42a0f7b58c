//! What is lent to an index in its calls: its own keyspace in one store, and, where it is asked, what the
//! reader sees.
//!
//! An error of storage that a service meets is kept, and ends the call whatever the plugin makes of it: it
//! says what to do next (retry, wait, reopen), which a plugin's error does not.

use std::ops::Bound;
use std::sync::Arc;

use heliosdb_plugin_api::{Error, state};
use heliosdb_storage::ids::{RowId, Ts};
use heliosdb_storage::schema::TableDef;
use heliosdb_storage::{Interrupt, ReadView, Transaction};
use parking_lot::Mutex;

use super::keyspace::Keyspace;
use super::{IndexError, Result};
use crate::services::{Pair, PluginResult, StatementServices};
use crate::store::StoreInfo;

/// The first error of storage.
#[derive(Default)]
struct Failed(Mutex<Option<heliosdb_storage::Error>>);

impl Failed {
    /// The result as the plugin gets it.
    fn note<T>(&self, result: heliosdb_storage::Result<T>) -> PluginResult<T> {
        result.map_err(|error| {
            let told = Error::internal(error.to_string());
            self.0.lock().get_or_insert(error);
            told
        })
    }

    /// The result as the host takes it.
    fn or<T>(&self, result: PluginResult<T>) -> Result<T> {
        match self.0.lock().take() {
            Some(error) => Err(IndexError::Storage(error)),
            None => result.map_err(IndexError::Plugin),
        }
    }
}

/// The store that the index lies in.
pub(super) struct Place {
    pub store: StoreInfo,
    pub keys: Keyspace,
}

impl Place {
    fn check(&self, store: &str) -> PluginResult<()> {
        if store == self.store.name {
            return Ok(());
        }
        let only = &self.store.name;
        Err(Error::new(
            state::INSUFFICIENT_PRIVILEGE,
            format!("store \"{store}\" is not lent to an index, only \"{only}\""),
        ))
    }

    fn get(&self, view: &ReadView, key: &[u8]) -> heliosdb_storage::Result<Option<Vec<u8>>> {
        view.get(self.store.collection, &self.keys.key(key))
    }

    fn range(
        &self,
        view: &ReadView,
        from: Bound<&[u8]>,
        to: Bound<&[u8]>,
        limit: usize,
    ) -> heliosdb_storage::Result<Vec<Pair>> {
        let (from, to) = self.keys.range(from, to);
        let (from, to) = (
            from.as_ref().map(Vec::as_slice),
            to.as_ref().map(Vec::as_slice),
        );
        let pairs = view.range(self.store.collection, from, to)?.take(limit);
        let strip = |(key, value)| (self.keys.strip(key), value);
        pairs.map(|pair| pair.map(strip)).collect()
    }
}

/// For calls that change the index, in a transaction of theirs.
pub(super) struct Maintenance<'a> {
    pub place: Place,
    pub interrupt: &'a Interrupt,
    transaction: Mutex<&'a mut Transaction>,
    failed: Failed,
}

impl<'a> Maintenance<'a> {
    /// The transaction has locked the store for writing.
    pub fn new(
        place: Place,
        transaction: &'a mut Transaction,
        interrupt: &'a Interrupt,
    ) -> Maintenance<'a> {
        Maintenance {
            place,
            interrupt,
            transaction: Mutex::new(transaction),
            failed: Failed::default(),
        }
    }

    /// The result of a call.
    pub fn finish<T>(&self, result: PluginResult<T>) -> Result<T> {
        self.failed.or(result)
    }

    fn with<T>(
        &self,
        store: &str,
        work: impl FnOnce(&mut Transaction) -> heliosdb_storage::Result<T>,
    ) -> PluginResult<T> {
        self.place.check(store)?;
        let mut transaction = self
            .transaction
            .try_lock()
            .ok_or_else(|| Error::contract("a service was called while another one was running"))?;
        self.failed.note(work(&mut transaction))
    }
}

impl StatementServices for Maintenance<'_> {
    fn cancelled(&self) -> bool {
        self.interrupt.is_canceled()
    }

    fn store_get(&self, _: &str, store: &str, key: &[u8]) -> PluginResult<Option<Vec<u8>>> {
        self.with(store, |tx| self.place.get(&tx.latest_view(), key))
    }

    fn store_range(
        &self,
        _: &str,
        store: &str,
        from: Bound<&[u8]>,
        to: Bound<&[u8]>,
        limit: usize,
    ) -> PluginResult<Vec<Pair>> {
        self.with(store, |tx| {
            self.place.range(&tx.latest_view(), from, to, limit)
        })
    }

    fn store_put(&self, _: &str, store: &str, key: &[u8], value: &[u8]) -> PluginResult<()> {
        let collection = self.place.store.collection;
        self.with(store, |tx| {
            tx.put(collection, &self.place.keys.key(key), value)
        })
    }

    fn store_remove(&self, _: &str, store: &str, key: &[u8]) -> PluginResult<()> {
        let collection = self.place.store.collection;
        self.with(store, |tx| tx.remove(collection, &self.place.keys.key(key)))
    }
}

/// For calls that read the index for somebody.
pub(super) struct Asking {
    pub place: Place,
    /// Where the state of the index is read.
    pub state: ReadView,
    /// What the reader sees.
    pub reader: ReadView,
    pub table: Arc<TableDef>,
    /// The table as the plugin calls it.
    pub table_oid: u32,
    pub interrupt: Arc<Interrupt>,
    failed: Failed,
}

impl Asking {
    pub fn new(
        place: Place,
        state: ReadView,
        reader: ReadView,
        (table, table_oid): (Arc<TableDef>, u32),
        interrupt: Arc<Interrupt>,
    ) -> Asking {
        Asking {
            place,
            state,
            reader,
            table,
            table_oid,
            interrupt,
            failed: Failed::default(),
        }
    }

    /// The result of a call.
    pub fn finish<T>(&self, result: PluginResult<T>) -> Result<T> {
        self.failed.or(result)
    }
}

fn read_only<T>() -> PluginResult<T> {
    Err(Error::new(
        state::READ_ONLY_SQL_TRANSACTION,
        "an index that is asked cannot write to its store",
    ))
}

impl StatementServices for Asking {
    fn cancelled(&self) -> bool {
        self.interrupt.is_canceled()
    }

    fn store_get(&self, _: &str, store: &str, key: &[u8]) -> PluginResult<Option<Vec<u8>>> {
        self.place.check(store)?;
        self.failed.note(self.place.get(&self.state, key))
    }

    fn store_range(
        &self,
        _: &str,
        store: &str,
        from: Bound<&[u8]>,
        to: Bound<&[u8]>,
        limit: usize,
    ) -> PluginResult<Vec<Pair>> {
        self.place.check(store)?;
        self.failed
            .note(self.place.range(&self.state, from, to, limit))
    }

    fn store_put(&self, _: &str, _: &str, _: &[u8], _: &[u8]) -> PluginResult<()> {
        read_only()
    }

    fn store_remove(&self, _: &str, _: &str, _: &[u8]) -> PluginResult<()> {
        read_only()
    }

    fn visible(&self, _: &str, table: u32, versions: &[(u64, u64)]) -> PluginResult<Vec<bool>> {
        if table != self.table_oid {
            return Err(Error::new(
                state::INSUFFICIENT_PRIVILEGE,
                format!("table {table} is not the index's own"),
            ));
        }
        let named = versions
            .iter()
            .map(|(row, begin)| (RowId(*row), Ts(*begin)));
        let named: Vec<_> = named.collect();
        self.failed.note(self.reader.sees(&self.table, &named))
    }
}
