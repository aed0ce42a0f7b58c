//! Tasks shared by a few threads, such as tables to load.
//!
//! A task may have *pieces*, such as the frames of a table's rows. Preparing a piece (read, decompress,
//! decode, hash) may be done by anybody, using it (encode, write) only in order and by the one who has
//! the task. Whoever is free takes the next task; when no task is left, it prepares
//! pieces for the others, a few ahead of where they are. So two threads are busy until the last
//! task's last rows, however large one task is, and no more than [`AHEAD`] pieces per task wait.
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
pub(crate) trait Work: Sync {
    type Piece: Send;
    /// What comes of a task that is finished.
    type Done: Send;
    /// How many pieces a task has.
    fn pieces(&self, task: usize) -> usize;
    fn prepare(&self, task: usize, piece: usize) -> Result<Self::Piece>;
    /// Use all pieces of a task, which `next` gives in order.
    fn task(
        &self,
        task: usize,
        next: &mut dyn FnMut() -> Result<Option<Self::Piece>>,
    ) -> Result<Self::Done>;
}

/// A task that somebody has.
struct Active<P> {
    task: usize,
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

/// Do the work of `tasks`, in that order as far as one can; what came of them, in any order.
pub(crate) fn run<W: Work>(
    work: &W,
    tasks: impl Iterator<Item = usize>,
    threads: usize,
) -> Result<Vec<(usize, W::Done)>> {
    let crew = Crew {
        work,
        state: Mutex::new(State {
            queue: tasks.collect(),
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
                .name(format!("dump-{helper}"))
                .spawn_scoped(scope, || crew.labour());
            // One thread fewer is slower, and as good.
            if let Err(error) = started {
                tracing::warn!("no second thread: {error}");
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
            if let Some(task) = state.queue.pop_front() {
                state.active.push(Active {
                    task,
                    pieces: self.work.pieces(task),
                    next: 0,
                    used: 0,
                    ready: BTreeMap::new(),
                });
                drop(state);
                let done = self.work.task(task, &mut || self.next_piece(task));
                let mut state = self.state.lock();
                state.active.retain(|active| active.task != task);
                match done {
                    Ok(done) => state.done.push((task, done)),
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
            let (task, piece) = (active.task, active.next);
            active.next += 1;
            drop(state);
            if self.prepare(task, piece).is_break() {
                return;
            }
        }
    }

    /// Prepare a piece for whoever has its task.
    fn prepare(&self, task: usize, piece: usize) -> ControlFlow<()> {
        match self.work.prepare(task, piece) {
            Ok(prepared) => {
                let mut state = self.state.lock();
                let mut active = state.active.iter_mut();
                if let Some(active) = active.find(|active| active.task == task) {
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

    /// The next piece for the one who has the task, prepared here if nobody else did.
    fn next_piece(&self, task: usize) -> Result<Option<W::Piece>> {
        let mut state = self.state.lock();
        loop {
            if state.stop {
                return Err(Error::Worker("another thread failed".to_owned()));
            }
            let mut all = state.active.iter_mut();
            let Some(active) = all.find(|active| active.task == task) else {
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
                return self.work.prepare(task, piece).map(Some);
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

    /// Every piece of every task once, in order, whoever prepares it.
    struct Count<'a> {
        tasks: &'a [usize],
        fail_at: Option<(usize, usize)>,
    }

    impl Work for Count<'_> {
        type Piece = (usize, usize);
        type Done = usize;

        fn pieces(&self, task: usize) -> usize {
            self.tasks[task]
        }

        fn prepare(&self, task: usize, piece: usize) -> Result<(usize, usize)> {
            match self.fail_at == Some((task, piece)) {
                true => Err(Error::NoSection(format!("{task}/{piece}"))),
                false => Ok((task, piece)),
            }
        }

        fn task(
            &self,
            task: usize,
            next: &mut dyn FnMut() -> Result<Option<(usize, usize)>>,
        ) -> Result<usize> {
            let mut count = 0;
            while let Some(piece) = next()? {
                assert_eq!(piece, (task, count));
                count += 1;
            }
            Ok(count)
        }
    }

    #[test]
    fn every_piece_is_used_once_and_in_order() {
        let tasks = [500, 0, 1, 7, 300, 40];
        let work = Count {
            tasks: &tasks,
            fail_at: None,
        };
        for threads in [1, 2, 3, 8] {
            let mut done = run(&work, 0..tasks.len(), threads).unwrap();
            done.sort_unstable();
            let expected: Vec<_> = tasks.into_iter().enumerate().collect();
            assert_eq!(done, expected, "{threads} threads");
        }
    }

    #[test]
    fn an_error_ends_the_work_of_all() {
        let tasks = [500, 300, 40];
        for threads in [1, 2, 3] {
            for fail_at in [(0, 0), (0, 499), (1, 150), (2, 39)] {
                let work = Count {
                    tasks: &tasks,
                    fail_at: Some(fail_at),
                };
                let error = run(&work, 0..tasks.len(), threads).unwrap_err();
                assert!(matches!(error, Error::NoSection(_)), "{error}");
            }
        }
    }
}
