//! A database directory that nobody can change.

use std::io::{Error, ErrorKind, Result};
use std::sync::Arc;
use std::thread::JoinHandle;

use crate::io::{File, Io, OpenMode};

/// Passes reads on and refuses writes.
pub struct ReadOnly(Arc<dyn Io>);

impl ReadOnly {
    pub fn over(io: Arc<dyn Io>) -> Arc<dyn Io> {
        Arc::new(ReadOnly(io))
    }
}

fn refused<T>() -> Result<T> {
    Err(Error::from(ErrorKind::ReadOnlyFilesystem))
}

impl Io for ReadOnly {
    /// To read, whatever was asked for: who opens a file to read and write may only read it.
    fn open(&self, name: &str, mode: OpenMode) -> Result<Arc<dyn File>> {
        match mode {
            OpenMode::CreateNew => refused(),
            OpenMode::Read | OpenMode::ReadWrite => {
                Ok(Arc::new(ReadOnlyFile(self.0.open(name, OpenMode::Read)?)))
            }
        }
    }

    fn create_dir(&self, _: &str) -> Result<()> {
        refused()
    }

    fn remove_dir(&self, _: &str) -> Result<()> {
        refused()
    }

    fn list(&self, dir: &str) -> Result<Vec<String>> {
        self.0.list(dir)
    }

    fn rename(&self, _: &str, _: &str) -> Result<()> {
        refused()
    }

    fn remove(&self, _: &str) -> Result<()> {
        refused()
    }

    fn sync_dir(&self, _: &str) -> Result<()> {
        refused()
    }

    fn lock(&self) -> Result<Box<dyn Send + Sync>> {
        refused()
    }

    fn lock_existing(&self) -> Result<Option<Box<dyn Send + Sync>>> {
        self.0.lock_existing()
    }

    fn now_micros(&self) -> u64 {
        self.0.now_micros()
    }

    fn monotonic_micros(&self) -> u64 {
        self.0.monotonic_micros()
    }

    fn thread_cpu_micros(&self) -> u64 {
        self.0.thread_cpu_micros()
    }

    fn random_u64(&self) -> u64 {
        self.0.random_u64()
    }

    fn spawn(&self, name: &str, work: Box<dyn FnOnce() + Send>) -> Option<JoinHandle<()>> {
        self.0.spawn(name, work)
    }
}

struct ReadOnlyFile(Arc<dyn File>);

impl File for ReadOnlyFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<usize> {
        self.0.read_at(buf, offset)
    }

    fn write_at(&self, _: &[u8], _: u64) -> Result<()> {
        refused()
    }

    fn sync_data(&self) -> Result<()> {
        refused()
    }

    fn len(&self) -> Result<u64> {
        self.0.len()
    }

    fn set_len(&self, _: u64) -> Result<()> {
        refused()
    }

    fn allocate(&self, _: u64) -> Result<()> {
        refused()
    }
}
