//! References of many rows at once: the keys that they name are locked and looked up in their order.

use arrow_array::ArrayRef;

use super::Transaction;
use crate::error::{Error, Result};
use crate::ids::RowId;
use crate::lock::LockWait;
use crate::schema::{IndexDef, TableDef};
use crate::view::Probe;
use crate::view::index::{EntryEncoder, EntryKey, key_types};

impl Transaction {
    /// Of rows that refer to keys of `index`, a unique and whole one of `table`, the first whose key no row
    /// of the table has now, own writes included. `columns` are those of the keys, as the index has them; a
    /// row with a NULL refers to nothing. What is found stays until the transaction has ended.
    pub fn first_without_parent(
        &mut self,
        table: &TableDef,
        index: &IndexDef,
        columns: &[ArrayRef],
        wait: LockWait,
    ) -> Result<Option<usize>> {
        if !index.unique || index.predicate.is_some() || columns.len() != index.columns.len() {
            return Err(Error::invalid(format!(
                "references to index {} by {} columns",
                index.id,
                columns.len()
            )));
        }
        let keys = Keys::new(table, index, columns)?;
        self.interrupt.check()?;
        self.lock_referenced(table.id, index.id, keys.iter().map(|(key, _)| key), wait)?;
        let mut probe = Probe::new(&self.latest_view(), index.id)?;
        let mut first = keys.nobodys;
        for (key, row) in keys.iter() {
            let is_there = probe.find(key, |_, value| value.is_some())?;
            if is_there != Some(true) {
                first = Some(first.map_or(row, |first| first.min(row)));
            }
        }
        Ok(first)
    }
}

/// The keys of some rows.
struct Keys {
    bytes: Vec<u8>,
    /// Where each key is, and the first row that has it; in order.
    places: Vec<(u32, u32, u32)>,
    /// The first row whose key is longer than any that the index has.
    nobodys: Option<usize>,
}

impl Keys {
    fn new(table: &TableDef, index: &IndexDef, columns: &[ArrayRef]) -> Result<Keys> {
        let types = key_types(table, index)?;
        let rows = columns.first().map_or(0, |column| column.len());
        let mut encoder = EntryEncoder::new(index, &types, columns.iter())?;
        let mut entry = EntryKey::default();
        let mut keys = Keys {
            bytes: Vec::new(),
            places: Vec::with_capacity(rows),
            nobodys: None,
        };
        for row in 0..rows {
            // Without a NULL the key of a unique index has no RowId.
            let encoded = encoder.encode(row, RowId(0), &mut entry);
            if entry.has_null {
                continue;
            }
            match encoded {
                Err(Error::KeyTooLong { .. }) => {
                    keys.nobodys.get_or_insert(row);
                    continue;
                }
                encoded => encoded?,
            };
            let start = keys.bytes.len();
            keys.bytes.extend_from_slice(&entry.key);
            let end = u32::try_from(keys.bytes.len());
            let end = end.map_err(|_| Error::invalid("more than 4 GiB of keys at once"))?;
            keys.places.push((start as u32, end, row as u32));
        }
        let Keys { bytes, places, .. } = &mut keys;
        let key = |place: &(u32, u32, u32)| &bytes[place.0 as usize..place.1 as usize];
        places.sort_by(|a, b| key(a).cmp(key(b)));
        places.dedup_by(|next, kept| key(next) == key(kept));
        Ok(keys)
    }

    fn iter(&self) -> impl Iterator<Item = (&[u8], usize)> {
        let key = |(start, end, row): &(u32, u32, u32)| {
            (&self.bytes[*start as usize..*end as usize], *row as usize)
        };
        self.places.iter().map(key)
    }
}
