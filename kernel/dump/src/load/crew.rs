//! Work on several tables, shared by a few threads.
//!
//! The work of a table is a row of *pieces*, the frames of its rows. Preparing a piece (read,
//! decompress, decode, hash) may be done by anybody, using it (encode, write) only in order and by the
//! one who has the table. Whoever is free takes the next table; when no table is left, it prepares
//! pieces for the others, a few ahead of where they are. So two threads are busy until the last
//! table's last rows, however large one table is, and no more than [`AHEAD`] pieces per table wait.
//!
//! With one thread everything is done in order on the caller's.

use std::collections::{BTreeMap, VecDeque};
use std::ops::ControlFlow;
use std::thread;

use parking_lot::{Condvar, Mutex};

use crate::error::{Error, Result};

/// Pieces that may be prepared before the one in use is done.
const AHEAD: usize = 4;

/// What a crew does.
pub(super) trait Work: Sync {
    type Piece: Send;
    /// What comes of a table that is finished.
    type Done: Send;
    /// How many pieces a table has.
    fn pieces(&self, table: usize) -> usize;
    fn prepare(&self, table: usize, piece: usize) -> Result<Self::Piece>;
    /// Use all pieces of a table, which `next` gives in order.
    fn table(
        &self,
        table: usize,
        next: &mut dyn FnMut() -> Result<Option<Self::Piece>>,
    ) -> Result<Self::Done>;
}

/// A table that somebody has.
struct Active<P> {
    table: usize,
    pieces: usize,
    /// The first piece that nobody prepares yet.
    next: usize,
    /// The piece in use, or the next one to be used.
    used: usize,
    ready: BTreeMap<usize, P>,
}

struct State<W: Work> {
    queue: VecDeque<usize>,
    active: Vec<Active<W::Piece>>,
    done: Vec<(usize, W::Done)>,
    error: Option<Error>,
    /// Everybody stops.
    stop: bool,
}

struct Crew<'a, W: Work> {
    work: &'a W,
    state: Mutex<State<W>>,
    changed: Condvar,
}

/// Do the work of `tables`, in that order as far as one can; what came of them, in any order.
pub(super) fn run<W: Work>(
    work: &W,
    tables: impl Iterator<Item = usize>,
    threads: usize,
) -> Result<Vec<(usize, W::Done)>> {
    let crew = Crew {
        work,
        state: Mutex::new(State {
            queue: tables.collect(),
            active: Vec::new(),
            done: Vec::new(),
            error: None,
            stop: false,
        }),
        changed: Condvar::new(),
    };
    thread::scope(|scope| {
        for helper in 1..threads {
            let started = thread::Builder::new()
                .name(format!("dump-load-{helper}"))
                .spawn_scoped(scope, || crew.labour());
            // One thread fewer is slower, and as good.
            if let Err(error) = started {
                tracing::warn!("no thread to load with: {error}");
            }
        }
        crew.labour();
    });
    let state = crew.state.into_inner();
    match state.error {
        Some(error) => Err(error),
        None => Ok(state.done),
    }
}

/// Stops the crew when its holder panics, so that nobody waits for what never comes.
struct OnPanic<'a, 'b, W: Work>(&'a Crew<'b, W>);

impl<W: Work> Drop for OnPanic<'_, '_, W> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.fail(Error::Worker("a thread panicked".to_owned()));
        }
    }
}

impl<W: Work> Crew<'_, W> {
    /// Work until nothing is left.
    fn labour(&self) {
        let _guard = OnPanic(self);
        loop {
            let mut state = self.state.lock();
            if state.stop {
                return;
            }
            if let Some(table) = state.queue.pop_front() {
                state.active.push(Active {
                    table,
                    pieces: self.work.pieces(table),
                    next: 0,
                    used: 0,
                    ready: BTreeMap::new(),
                });
                drop(state);
                let done = self.work.table(table, &mut || self.next_piece(table));
                let mut state = self.state.lock();
                state.active.retain(|active| active.table != table);
                match done {
                    Ok(done) => state.done.push((table, done)),
                    Err(error) => {
                        drop(state);
                        self.fail(error);
                    }
                }
                self.changed.notify_all();
                continue;
            }
            if state.active.is_empty() {
                return;
            }
            let waiting = state.active.iter_mut();
            let mut waiting = waiting.filter(|a| a.next < a.pieces && a.next < a.used + AHEAD);
            let Some(active) = waiting.next() else {
                self.changed.wait(&mut state);
                continue;
            };
            let (table, piece) = (active.table, active.next);
            active.next += 1;
            drop(state);
            if self.prepare(table, piece).is_break() {
                return;
            }
        }
    }

    /// Prepare a piece for whoever has its table.
    fn prepare(&self, table: usize, piece: usize) -> ControlFlow<()> {
        match self.work.prepare(table, piece) {
            Ok(prepared) => {
                let mut state = self.state.lock();
                let mut active = state.active.iter_mut();
                if let Some(active) = active.find(|active| active.table == table) {
                    active.ready.insert(piece, prepared);
                }
                self.changed.notify_all();
                ControlFlow::Continue(())
            }
            Err(error) => {
                self.fail(error);
                ControlFlow::Break(())
            }
        }
    }

    /// The next piece for the one who has the table, prepared here if nobody else did.
    fn next_piece(&self, table: usize) -> Result<Option<W::Piece>> {
        let mut state = self.state.lock();
        loop {
            if state.stop {
                return Err(Error::Worker("another thread failed".to_owned()));
            }
            let mut all = state.active.iter_mut();
            let Some(active) = all.find(|active| active.table == table) else {
                return Ok(None);
            };
            if active.used == active.pieces {
                return Ok(None);
            }
            if let Some(piece) = active.ready.remove(&active.used) {
                active.used += 1;
                self.changed.notify_all();
                return Ok(Some(piece));
            }
            if active.next == active.used {
                let piece = active.next;
                active.next += 1;
                active.used += 1;
                drop(state);
                return self.work.prepare(table, piece).map(Some);
            }
            self.changed.wait(&mut state);
        }
    }

    /// The first error is the one that is told.
    fn fail(&self, error: Error) {
        let mut state = self.state.lock();
        if !state.stop {
            state.error = Some(error);
        }
        state.stop = true;
        self.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every piece of every table once, in order, whoever prepares it.
    struct Count<'a> {
        tables: &'a [usize],
        fail_at: Option<(usize, usize)>,
    }

    impl Work for Count<'_> {
        type Piece = (usize, usize);
        type Done = usize;

        fn pieces(&self, table: usize) -> usize {
            self.tables[table]
        }

        fn prepare(&self, table: usize, piece: usize) -> Result<(usize, usize)> {
            match self.fail_at == Some((table, piece)) {
                true => Err(Error::NoSection(format!("{table}/{piece}"))),
                false => Ok((table, piece)),
            }
        }

        fn table(
            &self,
            table: usize,
            next: &mut dyn FnMut() -> Result<Option<(usize, usize)>>,
        ) -> Result<usize> {
            let mut count = 0;
            while let Some(piece) = next()? {
                assert_eq!(piece, (table, count));
                count += 1;
            }
            Ok(count)
        }
    }

    #[test]
    fn every_piece_is_used_once_and_in_order() {
        let tables = [500, 0, 1, 7, 300, 40];
        let work = Count {
            tables: &tables,
            fail_at: None,
        };
        for threads in [1, 2, 3, 8] {
            let mut done = run(&work, 0..tables.len(), threads).unwrap();
            done.sort_unstable();
            let expected: Vec<_> = tables.into_iter().enumerate().collect();
            assert_eq!(done, expected, "{threads} threads");
        }
    }

    #[test]
    fn an_error_ends_the_work_of_all() {
        let tables = [500, 300, 40];
        for threads in [1, 2, 3] {
            for fail_at in [(0, 0), (0, 499), (1, 150), (2, 39)] {
                let work = Count {
                    tables: &tables,
                    fail_at: Some(fail_at),
                };
                let error = run(&work, 0..tables.len(), threads).unwrap_err();
                assert!(matches!(error, Error::NoSection(_)), "{error}");
            }
        }
    }
}
