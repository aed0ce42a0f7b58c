//! Threads of an open database, where there are threads.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;

use super::EngineInner;
use crate::io::Io;

/// The threads; stopped and joined when the database closes.
pub struct Background {
    threads: Vec<JoinHandle<()>>,
}

/// Whether `io` runs nothing in the background.
pub fn is_inline(io: &dyn Io) -> bool {
    match io.spawn("helios-probe", Box::new(|| {})) {
        Some(thread) => thread.join().is_err(),
        None => true,
    }
}

impl Background {
    /// The thread that an engine needs whose memtable is filled from the log.
    pub fn start_flushing(engine: &Arc<EngineInner>) -> Background {
        let mut background = Background {
            threads: Vec::new(),
        };
        background.spawn(engine, "helios-flush", EngineInner::flush_when_wanted);
        background
    }

    /// The others.
    pub fn start(&mut self, engine: &Arc<EngineInner>) {
        self.spawn(engine, "helios-wal", write_log);
        if engine.archiver.is_some() {
            self.spawn(engine, "helios-archive", EngineInner::archive_when_wanted);
        }
        if engine.options.compaction_in_background {
            self.spawn(engine, "helios-compact", EngineInner::compact_when_wanted);
        }
    }

    fn spawn(&mut self, engine: &Arc<EngineInner>, name: &str, work: fn(&EngineInner)) {
        if !engine.inline {
            let inner = Arc::clone(engine);
            self.threads
                .extend(engine.io.spawn(name, Box::new(move || work(&inner))));
        }
    }

    /// End the threads; what they had begun is finished first, but for a compaction, of which nothing stays.
    pub fn stop(self, engine: &EngineInner) {
        engine.stopping.store(true, Ordering::SeqCst);
        engine.log.wake_idle();
        engine.flusher.stop();
        engine.compactor.stop();
        if let Some(archiver) = &engine.archiver {
            archiver.stop();
        }
        engine.governor.wake();
        for thread in self.threads {
            if thread.join().is_err() {
                tracing::error!("a background thread panicked");
            }
        }
    }
}

/// Writes what asynchronous commits leave on the queue, and makes the next WAL file ahead of its use.
fn write_log(engine: &EngineInner) {
    let stopping = || engine.stopping.load(Ordering::SeqCst);
    let mut failed = false;
    while !stopping() {
        let prepared = engine.log.prepare_file();
        if let (Err(e), false) = (&prepared, failed) {
            // Whoever needs it tries again, and is told.
            tracing::warn!("preparing a WAL file: {e}");
        }
        failed = prepared.is_err();
        if engine.log.write_when_queued(stopping).is_err() {
            return;
        }
    }
}
