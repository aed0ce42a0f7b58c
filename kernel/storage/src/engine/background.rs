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
    pub fn start(engine: &Arc<EngineInner>) -> Background {
        let mut threads = Vec::new();
        if !engine.inline {
            let inner = Arc::clone(engine);
            let write = Box::new(move || write_log(&inner));
            threads.extend(engine.io.spawn("helios-wal", write));
            let inner = Arc::clone(engine);
            let flush = Box::new(move || inner.flush_when_wanted());
            threads.extend(engine.io.spawn("helios-flush", flush));
            if engine.options.compaction_in_background {
                let inner = Arc::clone(engine);
                let compact = Box::new(move || inner.compact_when_wanted());
                threads.extend(engine.io.spawn("helios-compact", compact));
            }
        }
        Background { threads }
    }

    /// End the threads; what they had begun is finished first, but for a compaction, of which nothing stays.
    pub fn stop(self, engine: &EngineInner) {
        engine.stopping.store(true, Ordering::SeqCst);
        engine.log.wake_idle();
        engine.flusher.stop();
        engine.compactor.stop();
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
    while !stopping() {
        if let Err(e) = engine.log.prepare_file() {
            // The writer will try again when it gets there, and then it counts.
            tracing::warn!("preparing a WAL file: {e}");
        }
        if engine.log.write_when_queued(stopping).is_err() {
            return;
        }
    }
}
