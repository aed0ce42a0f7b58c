//! Files in memory, for tests of formats: nothing is ever lost here.

use std::collections::HashMap;
use std::io::{Error, ErrorKind, Result};
use std::sync::Arc;

use parking_lot::Mutex;

use crate::io::{File, Io, OpenMode};

#[derive(Default)]
pub(super) struct MemoryIo {
    files: Mutex<HashMap<String, Arc<MemoryFile>>>,
}

#[derive(Default)]
struct MemoryFile(Mutex<Vec<u8>>);

impl MemoryIo {
    pub fn empty() -> Arc<dyn Io> {
        Arc::new(MemoryIo::default())
    }

    /// A directory of one file.
    pub fn with(name: &str, bytes: Vec<u8>) -> Arc<dyn Io> {
        let io = MemoryIo::default();
        io.files
            .lock()
            .insert(name.to_owned(), Arc::new(MemoryFile(Mutex::new(bytes))));
        Arc::new(io)
    }
}

/// The whole of a file.
pub(super) fn contents(io: &Arc<dyn Io>, name: &str) -> Vec<u8> {
    let file = io.open(name, OpenMode::Read).unwrap();
    let mut bytes = vec![0; file.len().unwrap() as usize];
    file.read_at(&mut bytes, 0).unwrap();
    bytes
}

impl Io for MemoryIo {
    fn open(&self, name: &str, mode: OpenMode) -> Result<Arc<dyn File>> {
        let mut files = self.files.lock();
        if mode == OpenMode::CreateNew {
            let file = Arc::new(MemoryFile::default());
            if files.insert(name.to_owned(), Arc::clone(&file)).is_some() {
                return Err(Error::from(ErrorKind::AlreadyExists));
            }
            return Ok(file);
        }
        let file = files.get(name).ok_or(Error::from(ErrorKind::NotFound))?;
        Ok(Arc::clone(file) as Arc<dyn File>)
    }

    fn create_dir(&self, _: &str) -> Result<()> {
        Ok(())
    }

    fn remove_dir(&self, _: &str) -> Result<()> {
        Err(Error::from(ErrorKind::Unsupported))
    }

    fn list(&self, _: &str) -> Result<Vec<String>> {
        Ok(self.files.lock().keys().cloned().collect())
    }

    fn rename(&self, _: &str, _: &str) -> Result<()> {
        Err(Error::from(ErrorKind::Unsupported))
    }

    fn remove(&self, name: &str) -> Result<()> {
        self.files
            .lock()
            .remove(name)
            .map(|_| ())
            .ok_or(Error::from(ErrorKind::NotFound))
    }

    fn sync_dir(&self, _: &str) -> Result<()> {
        Ok(())
    }

    fn lock(&self) -> Result<Box<dyn Send + Sync>> {
        Ok(Box::new(()))
    }

    fn now_micros(&self) -> u64 {
        0
    }

    fn monotonic_micros(&self) -> u64 {
        0
    }

    fn thread_cpu_micros(&self) -> u64 {
        0
    }

    fn random_u64(&self) -> u64 {
        4
    }

    fn spawn(&self, _: &str, _: Box<dyn FnOnce() + Send>) -> Option<std::thread::JoinHandle<()>> {
        None
    }
}

impl File for MemoryFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<usize> {
        let bytes = self.0.lock();
        let rest = bytes.get(offset as usize..).unwrap_or_default();
        let len = rest.len().min(buf.len());
        buf[..len].copy_from_slice(&rest[..len]);
        Ok(len)
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> Result<()> {
        let mut bytes = self.0.lock();
        let end = offset as usize + buf.len();
        if bytes.len() < end {
            bytes.resize(end, 0);
        }
        bytes[offset as usize..end].copy_from_slice(buf);
        Ok(())
    }

    fn sync_data(&self) -> Result<()> {
        Ok(())
    }

    fn len(&self) -> Result<u64> {
        Ok(self.0.lock().len() as u64)
    }

    fn set_len(&self, len: u64) -> Result<()> {
        self.0.lock().resize(len as usize, 0);
        Ok(())
    }
}
