//! The pages that a session's statements asked for, on whatever threads they ran.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use heliosdb_storage::pages::{Pages, apart};

/// Counts, and only ever more.
#[derive(Debug, Default)]
pub(crate) struct PageCounter {
    hit: AtomicU64,
    read: AtomicU64,
}

impl PageCounter {
    pub fn now(&self) -> Pages {
        Pages {
            hit: self.hit.load(Ordering::Relaxed),
            read: self.read.load(Ordering::Relaxed),
        }
    }

    pub fn add(&self, pages: Pages) {
        if pages.hit > 0 {
            self.hit.fetch_add(pages.hit, Ordering::Relaxed);
        }
        if pages.read > 0 {
            self.read.fetch_add(pages.read, Ordering::Relaxed);
        }
    }

    /// Counts what this thread asks for during the work.
    pub fn count<T>(&self, work: impl FnOnce() -> T) -> T {
        let (done, pages) = apart(work);
        self.add(pages);
        done
    }
}

/// What an operator asks for, which its statement does, too.
#[derive(Clone, Debug)]
pub(crate) struct OperatorPages {
    statement: Arc<PageCounter>,
    own: Arc<PageCounter>,
}

impl OperatorPages {
    pub fn new(statement: &Arc<PageCounter>) -> OperatorPages {
        OperatorPages {
            statement: statement.clone(),
            own: Arc::default(),
        }
    }

    pub fn count<T>(&self, work: impl FnOnce() -> T) -> T {
        let (done, pages) = apart(work);
        self.statement.add(pages);
        self.own.add(pages);
        done
    }

    /// So far, all of its partitions.
    pub fn now(&self) -> Pages {
        self.own.now()
    }
}
