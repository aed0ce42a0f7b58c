//! Drivers with a bug each: a comparison that does not find them says nothing.

use heliosdb_plugin_host::active::index::Search;
use heliosdb_plugin_host::index::keyspace::{Header, Keyspace};
use heliosdb_plugin_host::index::{Hit, PluginIndex, Result as Indexed};
use heliosdb_plugin_host::store;
use heliosdb_storage::ids::{RowId, Ts};
use heliosdb_storage::{Durability, Engine, Interrupt, Isolation, ReadView};

use crate::{Ask, Driver, Host};

/// What the index has not seen is left out.
pub struct SkipsTheUnseen;

impl Driver for SkipsTheUnseen {
    fn search(&self, index: &PluginIndex, view: &ReadView, ask: &Ask<'_>) -> Indexed<Vec<Hit>> {
        let reading = index.read(view, &Interrupt::new())?;
        if !reading.is_covered() {
            return Host.search(index, view, ask);
        }
        let stats = reading.stats(ask.word.as_bytes())?;
        let search = search(ask, &stats);
        let mut found = Vec::new();
        reading.indexed(&search, |hit| found.push(hit))?;
        Ok(found)
    }

    fn catch_up(&self, index: &PluginIndex, rows_max: usize) -> Indexed<()> {
        Host.catch_up(index, rows_max)
    }
}

/// What the index names is believed to be visible.
pub struct IgnoresVisibility;

impl Driver for IgnoresVisibility {
    fn search(&self, index: &PluginIndex, view: &ReadView, ask: &Ask<'_>) -> Indexed<Vec<Hit>> {
        let reading = index.read(view, &Interrupt::new())?;
        let stats = reading.stats(ask.word.as_bytes())?;
        let mut found = Vec::new();
        // All of them: this method itself asks what is visible when it is to find the best.
        let all = search(&Ask { k: None, ..*ask }, &stats);
        reading.unseen(&all, |hit| found.push(hit))?;
        if let Some((mut cursor, services)) = reading.open(&all)? {
            while let Some(hits) = cursor.next(services)? {
                for at in 0..hits.rows.len() {
                    found.push(Hit {
                        row: RowId(hits.rows.value(at)),
                        begin: Some(Ts(hits.begins.value(at))),
                        score: hits.scores.value(at),
                    });
                }
            }
        }
        found.sort_by(|a, b| b.score.total_cmp(&a.score));
        found.truncate(ask.k.map_or(usize::MAX, |k| k as usize));
        Ok(found)
    }

    fn catch_up(&self, index: &PluginIndex, rows_max: usize) -> Indexed<()> {
        Host.catch_up(index, rows_max)
    }
}

/// A transaction is answered as if it had written nothing.
pub struct ForgetsOwnWrites;

impl Driver for ForgetsOwnWrites {
    fn search(&self, index: &PluginIndex, view: &ReadView, ask: &Ask<'_>) -> Indexed<Vec<Hit>> {
        Host.search(index, &view.committed(), ask)
    }

    fn catch_up(&self, index: &PluginIndex, rows_max: usize) -> Indexed<()> {
        Host.catch_up(index, rows_max)
    }
}

/// A cursor is published, and what it stands for in another transaction, which does not come.
pub struct PublishesTheCursorApart(pub Engine);

impl Driver for PublishesTheCursorApart {
    fn search(&self, index: &PluginIndex, view: &ReadView, ask: &Ask<'_>) -> Indexed<Vec<Hit>> {
        Host.search(index, view, ask)
    }

    fn catch_up(&self, index: &PluginIndex, _: usize) -> Indexed<()> {
        let engine = &self.0;
        let Some(header) = index.header(&engine.latest_view())? else {
            return Ok(());
        };
        let mut txn = engine.begin(Isolation::ReadCommitted, Interrupt::new());
        let store = store::find(&txn.latest_view(), "word", "words")?;
        if let Some(store) = store {
            let ahead = Header {
                until: engine.durable(),
                ..header
            };
            let key = Keyspace::new(index.definition().oid).header();
            store::put(&mut txn, &store, &key, &ahead.encode())?;
            txn.commit(Durability::Synchronous)?;
        }
        Ok(())
    }
}

fn search<'a>(ask: &Ask<'a>, stats: &'a [u8]) -> Search<'a> {
    Search {
        query: ask.word.as_bytes(),
        stats,
        k: ask.k,
    }
}
