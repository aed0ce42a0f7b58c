//! Asking an index: exactly, at the time of the view that asks.
//!
//! 1. The state of the index is taken from the newest commit of the view's timeline.
//! 2. Statistics of what the index covers and of what it has not seen are merged, so that both parts are
//!    scored alike.
//! 3. The plugin's cursor is read on until there are enough hits that the view sees, or none any more.
//! 4. Rows that the index has not seen are evaluated, in batches.
//! 5. The best of both are the answer.
//!
//! Memory: the hits of the answer, and of `k` wanted ones about twice as many.

use std::collections::HashSet;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::UInt64Type;
use arrow_array::{Array, ArrayRef, RecordBatch};
use heliosdb_storage::ids::{RowId, Ts};
use heliosdb_storage::{Error, Interrupt, ReadView};

use super::lent::Asking;
use super::{Header, IndexError, PluginIndex, Result};
use crate::active::index::{Cursor, Index, IndexCost, IndexDefinition, Search};
use crate::services::{PluginResult, StatementServices};
use crate::{cursors, store};

/// A row that was found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hit {
    pub row: RowId,
    /// When the version began that the view sees; `None` for the view's own write.
    pub begin: Option<Ts>,
    pub score: f64,
}

/// An index, as one view may ask it.
pub struct Reading {
    index: PluginIndex,
    /// `None` where the index is not built, or knows too little of the view's time.
    covered: Option<(Header, Asking)>,
    view: ReadView,
    interrupt: Arc<Interrupt>,
}

impl PluginIndex {
    /// Prepare for questions of a view.
    pub fn read(&self, view: &ReadView, interrupt: &Arc<Interrupt>) -> Result<Reading> {
        let state = match self.engine.latest_view_on(view.timeline()) {
            // Who has a timeline open that was dropped reads on, in what was there at its time.
            Err(Error::UnknownTimeline { .. }) => view.committed(),
            state => state?,
        };
        let (plugin, name) = (self.method.plugin(), &self.method.declared.store);
        let header = self.header(&state)?;
        let header = header.filter(|header| header.from <= view.ts());
        let covered = match (header, store::find(&state, plugin, name)?) {
            (Some(header), Some(store)) => {
                let table = (Arc::clone(&self.table), self.definition.table);
                let (place, reader) = (self.place(&store), view.clone());
                let asking = Asking::new(place, state, reader, table, Arc::clone(interrupt));
                Some((header, asking))
            }
            _ => None,
        };
        Ok(Reading {
            index: self.clone(),
            covered,
            view: view.clone(),
            interrupt: Arc::clone(interrupt),
        })
    }
}

impl Reading {
    /// Visible rows that began after it are not in the index.
    pub fn since(&self) -> Ts {
        let covered = self.covered.as_ref();
        covered.map_or(Ts::ZERO, |(header, _)| header.until.min(self.view.ts()))
    }

    /// Whether the index knows anything of the view's time.
    pub fn is_covered(&self) -> bool {
        self.covered.is_some()
    }

    /// The best `k`, or all, the best first and rows of one score by their ids.
    pub fn search(&self, query: &[u8], k: Option<u64>) -> Result<Vec<Hit>> {
        let stats = self.stats(query)?;
        let search = Search {
            query,
            stats: &stats,
            k,
        };
        let mut best = Best::new(k);
        self.unseen(&search, |hit| best.add(hit))?;
        self.indexed(&search, |hit| best.add(hit))?;
        Ok(best.finish())
    }

    /// Statistics of all that the index covers and all that it has not seen.
    pub fn stats(&self, query: &[u8]) -> Result<Vec<u8>> {
        let (method, definition) = (&self.index.method, &self.index.definition);
        let mut stats = match &self.covered {
            None => None,
            Some((_, asking)) => {
                let stats = method.stats(asking, definition, query);
                Some(asking.finish(stats)?)
            }
        };
        self.each_unseen(|_, columns, count| {
            let more = method.stats_of(definition, query, columns, count)?;
            stats = Some(match &stats {
                None => more,
                Some(stats) => method.merge_stats(stats, &more)?,
            });
            Ok(())
        })?;
        match stats {
            Some(stats) => Ok(stats),
            // Of nothing, to score nothing by.
            None => {
                let columns = self.index.columns.iter().map(|column| {
                    let ty = self.index.table.column_type(*column);
                    let ty = ty.map_or(arrow_schema::DataType::Null, |ty| ty.arrow());
                    arrow_array::new_empty_array(&ty)
                });
                let columns: Vec<ArrayRef> = columns.collect();
                Ok(method.stats_of(definition, query, &columns, 0)?)
            }
        }
    }

    /// The plugin's hits on demand, visible or not, for who merges them in another way; `None` where the
    /// index knows nothing of the view's time.
    pub fn open(&self, search: &Search<'_>) -> Result<Option<(Cursor, &dyn StatementServices)>> {
        let Some((_, asking)) = &self.covered else {
            return Ok(None);
        };
        let (method, definition) = (&self.index.method, &self.index.definition);
        let cursor = asking.finish(method.open(asking, definition, search))?;
        Ok(Some((cursor, asking)))
    }

    /// What a question will cost, without what the index has not seen; `None` where it knows nothing of
    /// the view's time.
    pub fn cost(&self, query: &[u8]) -> Result<Option<IndexCost>> {
        self.ask(|method, asking, definition| method.cost(asking, definition, query))
    }

    /// About how many bytes the index takes.
    pub fn size_bytes(&self) -> Result<Option<u64>> {
        self.ask(|method, asking, definition| method.size_bytes(asking, definition))
    }

    /// What is wrong with the index, a line each: by what the plugin knows of it, and if the cursor is
    /// somewhere else than the state.
    pub fn check(&self) -> Result<Vec<String>> {
        let found = self.ask(|method, asking, definition| method.check(asking, definition))?;
        let mut found = found.unwrap_or_default();
        if let Some((header, asking)) = &self.covered {
            let (plugin, name) = (self.index.method.plugin(), self.index.cursor());
            let cursor = cursors::place(&asking.state, plugin, &name)?;
            if cursor != Some(header.until) {
                let until = header.until;
                found.push(format!("the cursor is at {cursor:?}, the index at {until}"));
            }
        }
        Ok(found)
    }

    fn ask<T>(
        &self,
        ask: impl FnOnce(&Index, &Asking, &IndexDefinition) -> PluginResult<T>,
    ) -> Result<Option<T>> {
        let Some((_, asking)) = &self.covered else {
            return Ok(None);
        };
        let answer = ask(&self.index.method, asking, &self.index.definition);
        asking.finish(answer).map(Some)
    }

    /// Hits of the index that the view sees: the best `k`, or all.
    pub fn indexed(&self, search: &Search<'_>, mut add: impl FnMut(Hit)) -> Result<()> {
        let Some((_, asking)) = &self.covered else {
            return Ok(());
        };
        let (method, definition) = (&self.index.method, &self.index.definition);
        let mut cursor = asking.finish(method.open(asking, definition, search))?;
        let mut left = search.k.unwrap_or(u64::MAX);
        let mut found = HashSet::new();
        while left > 0 {
            self.interrupt.check()?;
            let Some(hits) = asking.finish(cursor.next(asking))? else {
                return Ok(());
            };
            let rows = hits.rows.values().iter().map(|row| RowId(*row));
            let named = rows.zip(hits.begins.values().iter().map(|begin| Ts(*begin)));
            let named: Vec<(RowId, Ts)> = named.collect();
            let sees = self.view.sees(&self.index.table, &named)?;
            let scores = hits.scores.values();
            for (((row, begin), sees), score) in named.into_iter().zip(sees).zip(scores) {
                if !sees || left == 0 {
                    continue;
                }
                if !found.insert(row) {
                    return Err(IndexError::Plugin(cursor.came_twice()));
                }
                left -= 1;
                add(Hit {
                    row,
                    begin: Some(begin),
                    score: *score,
                });
            }
        }
        Ok(())
    }

    /// Hits among the visible rows that the index has not seen.
    pub fn unseen(&self, search: &Search<'_>, mut add: impl FnMut(Hit)) -> Result<()> {
        let (method, definition) = (&self.index.method, &self.index.definition);
        self.each_unseen(|batch, columns, count| {
            let scores = method.evaluate(definition, search, columns, count)?;
            let rows = batch.column(columns.len()).as_primitive::<UInt64Type>();
            let begins = batch.column(columns.len() + 1).as_primitive::<UInt64Type>();
            for (at, score) in scores.iter().enumerate() {
                let Some(score) = score else { continue };
                add(Hit {
                    row: RowId(rows.value(at)),
                    begin: begins.is_valid(at).then(|| Ts(begins.value(at))),
                    score,
                });
            }
            Ok(())
        })
    }

    /// The unseen rows in batches, with their indexed columns and how many they are.
    fn each_unseen(
        &self,
        mut each: impl FnMut(&RecordBatch, &[ArrayRef], usize) -> Result<()>,
    ) -> Result<()> {
        let (table, columns) = (&self.index.table, &self.index.columns);
        for batch in self.view.rows_since(table, self.since(), columns)? {
            self.interrupt.check()?;
            let batch = batch?;
            each(&batch, &batch.columns()[..columns.len()], batch.num_rows())?;
        }
        Ok(())
    }
}

/// The best hits so far.
struct Best {
    k: Option<usize>,
    hits: Vec<Hit>,
}

/// Hits beyond twice the wanted ones, before the worse half goes.
const SLACK: usize = 1024;

fn better(a: &Hit, b: &Hit) -> std::cmp::Ordering {
    b.score.total_cmp(&a.score).then(a.row.cmp(&b.row))
}

impl Best {
    fn new(k: Option<u64>) -> Best {
        Best {
            k: k.map(|k| usize::try_from(k).unwrap_or(usize::MAX)),
            hits: Vec::new(),
        }
    }

    fn add(&mut self, hit: Hit) {
        self.hits.push(hit);
        let most = |k: usize| k.saturating_mul(2).saturating_add(SLACK);
        if let Some(k) = self.k.filter(|k| self.hits.len() > most(*k)) {
            self.hits.select_nth_unstable_by(k, better);
            self.hits.truncate(k);
        }
    }

    fn finish(mut self) -> Vec<Hit> {
        self.hits.sort_unstable_by(better);
        self.hits.truncate(self.k.unwrap_or(usize::MAX));
        self.hits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_are_kept_however_many_come() {
        let hit = |row: u64| Hit {
            row: RowId(row),
            begin: None,
            score: (row * 7919 % 1000) as f64,
        };
        for k in [0, 1, 10, 5000] {
            let mut best = Best::new(Some(k));
            (0..4000).for_each(|row| best.add(hit(row)));
            let mut all: Vec<Hit> = (0..4000).map(hit).collect();
            all.sort_by(better);
            all.truncate(k as usize);
            assert_eq!(best.finish(), all, "{k}");
        }
    }
}
