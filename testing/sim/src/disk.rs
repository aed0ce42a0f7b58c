//! [`SimDisk`]: the simulated machine behind [`Io`].
//!
//! Calls that can change the disk are numbered from 1; so, separately, are calls that read it. A
//! crash or a fault is planned by number. A machine may have several directories ([`SimDisk::directory`]),
//! as a database, its backup and its archive are; they share the numbers and the crash. Nothing here uses the real clock, the real file system or
//! a thread: a seed and the calls made are all that decides what happens.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Error, ErrorKind, Result};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

use heliosdb_storage::io::{File, Io, OpenMode};
use parking_lot::Mutex;

use crate::crash::{CrashModel, Image};
use crate::damage::Damage;
use crate::file::SimFile;
use crate::names::{FileId, Names};
use crate::rng::Rng;

/// A numbered call that can change the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    Create,
    CreateDir,
    RemoveDir,
    Write,
    SetLen,
    SyncData,
    SyncDir,
    Rename,
    Link,
    Remove,
}

/// An error the disk can answer with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// EIO. A write may have happened in part; a sync leaves its data in doubt for ever.
    Io,
    /// ENOSPC. A write may have happened in part.
    NoSpace,
}

impl Fault {
    fn error(self) -> Error {
        // The same numbers on every Unix that Rust supports.
        Error::from_raw_os_error(match self {
            Fault::Io => 5,
            Fault::NoSpace => 28,
        })
    }
}

/// What is planned to go wrong, by call number.
#[derive(Clone, Debug, Default)]
struct Plan {
    crash_at: Option<u64>,
    fail: BTreeMap<u64, Fault>,
    /// From this call on there is no space for anything that grows.
    full_from: Option<u64>,
    /// Bytes that all files together may have.
    capacity: Option<u64>,
    fail_reads: BTreeMap<u64, Fault>,
}

#[derive(Debug)]
struct State {
    names: Names,
    files: BTreeMap<FileId, SimFile>,
    next_file: FileId,
    /// Order of all changes to data and names.
    seq: u64,
    calls: u64,
    reads: u64,
    crashed: bool,
    /// Directories that somebody has.
    locked: BTreeSet<String>,
    /// Whether a file may have two names.
    links: bool,
    plan: Plan,
    trace: Vec<Call>,
    /// Images are kept only when asked for.
    images: Option<Vec<Image>>,
    rng: Rng,
    clock: Clock,
}

/// Two clocks that move only when read or told to.
#[derive(Debug)]
struct Clock {
    wall_micros: u64,
    monotonic_micros: u64,
}

/// The simulated machine, or one directory of it. Clones share it.
#[derive(Clone, Debug)]
pub struct SimDisk {
    state: Arc<Mutex<State>>,
    /// Empty, or the directory's name and a slash.
    prefix: String,
}

impl SimDisk {
    /// An empty disk on which everything that happens by chance follows from `seed`.
    pub fn new(seed: u64) -> SimDisk {
        const EPOCH_MICROS: u64 = 1_600_000_000_000_000;
        let now = EPOCH_MICROS + Rng::new(seed).fork(3).below(1 << 40);
        SimDisk::restarted(Names::new(), BTreeMap::new(), seed, now)
    }

    pub(crate) fn restarted(
        names: Names,
        mut files: BTreeMap<FileId, SimFile>,
        seed: u64,
        wall_micros: u64,
    ) -> SimDisk {
        let reachable = names.reachable();
        files.retain(|id, _| reachable.contains(id));
        let next_file = files.keys().next_back().map_or(1, |id| id + 1);
        let clock = Clock {
            wall_micros,
            monotonic_micros: 0,
        };
        let state = State {
            names,
            files,
            next_file,
            seq: 0,
            calls: 0,
            reads: 0,
            crashed: false,
            locked: BTreeSet::new(),
            links: true,
            plan: Plan::default(),
            trace: Vec::new(),
            images: None,
            rng: Rng::new(seed),
            clock,
        };
        SimDisk {
            state: Arc::new(Mutex::new(state)),
            prefix: String::new(),
        }
    }

    /// A directory of this machine, made when it is not there: as durable as one that an operator made
    /// long ago.
    pub fn directory(&self, name: &str) -> SimDisk {
        let name = format!("{}{name}", self.prefix);
        self.state.lock().names.had_dir(&name);
        SimDisk {
            state: Arc::clone(&self.state),
            prefix: name + "/",
        }
    }

    /// No file gets a second name from now on, as between two file systems.
    pub fn forbid_links(&self) {
        self.state.lock().links = false;
    }

    /// The machine's name for one of this directory.
    fn full(&self, name: &str) -> String {
        match name.is_empty() {
            true => self.prefix.trim_end_matches('/').to_owned(),
            false => format!("{}{name}", self.prefix),
        }
    }

    /// Numbered calls so far.
    pub fn calls(&self) -> u64 {
        self.state.lock().calls
    }

    /// Reading calls so far: opens of existing files, reads and lists.
    pub fn reads(&self) -> u64 {
        self.state.lock().reads
    }

    /// The kinds of the numbered calls so far.
    pub fn trace(&self) -> Vec<Call> {
        self.state.lock().trace.clone()
    }

    /// The machine goes away in call `n`: it and every later call fail. A write or a change of
    /// names may have reached the disk; a sync has promised nothing.
    pub fn crash_at(&self, n: u64) {
        self.state.lock().plan.crash_at = Some(n);
    }

    /// Call `n` fails once with `fault`.
    pub fn fail_at(&self, n: u64, fault: Fault) {
        self.state.lock().plan.fail.insert(n, fault);
    }

    /// Reading call `n` fails once with `fault`.
    pub fn fail_read_at(&self, n: u64, fault: Fault) {
        self.state.lock().plan.fail_reads.insert(n, fault);
    }

    /// The disk is full from call `n` on, until [`SimDisk::free_space`]: whatever would make a file
    /// or grow one fails.
    pub fn full_from(&self, n: u64) {
        self.state.lock().plan.full_from = Some(n);
    }

    pub fn free_space(&self) {
        let plan = &mut self.state.lock().plan;
        (plan.full_from, plan.capacity) = (None, None);
    }

    /// There is space for so many bytes in files that have a name, until [`SimDisk::free_space`]: whatever
    /// would make them more fails.
    pub fn set_capacity(&self, bytes: u64) {
        self.state.lock().plan.capacity = Some(bytes);
    }

    /// Nothing more is planned to go wrong.
    pub fn heal(&self) {
        self.state.lock().plan = Plan::default();
    }

    /// Whether a planned crash has happened.
    pub fn crashed(&self) -> bool {
        self.state.lock().crashed
    }

    /// Keep an [`Image`] of every numbered call from now on, as [`SimDisk::crash_at`] that call
    /// would find the disk: one run of a history then serves for a crash at each of its calls.
    pub fn record_images(&self) {
        self.state.lock().images = Some(Vec::new());
    }

    pub fn take_images(&self) -> Vec<Image> {
        self.state
            .lock()
            .images
            .as_mut()
            .map(std::mem::take)
            .unwrap_or_default()
    }

    /// What a crash would find now.
    pub fn image(&self) -> Image {
        self.state.lock().image(None)
    }

    /// Cut the power now. This machine is gone; the returned one starts on what was left.
    pub fn crash(&self, model: CrashModel, seed: u64) -> SimDisk {
        let image = {
            let mut state = self.state.lock();
            state.crashed = true;
            state.image(None)
        };
        image.crash(model, seed)
    }

    /// Frees what a machine has stored that is gone for good. Whoever still has it, or a file of it, is told that it is
    /// gone.
    pub fn scrap(&self) {
        let mut state = self.state.lock();
        state.crashed = true;
        state.images = None;
        state.trace = Vec::new();
        for file in state.files.values_mut() {
            *file = SimFile::default();
        }
    }

    /// Move both clocks forward.
    pub fn advance(&self, micros: u64) {
        let clock = &mut self.state.lock().clock;
        clock.wall_micros += micros;
        clock.monotonic_micros += micros;
    }

    /// Move the wall clock alone, as an operator or a bad time server would.
    pub fn jump(&self, micros: i64) {
        let clock = &mut self.state.lock().clock;
        clock.wall_micros = clock.wall_micros.saturating_add_signed(micros);
    }

    /// Every file by name, with its length.
    pub fn files(&self) -> Vec<(String, u64)> {
        let state = self.state.lock();
        let len = |id| state.files[&id].live.len() as u64;
        state
            .names
            .live()
            .files()
            .into_iter()
            .filter_map(|(name, id)| Some((name.strip_prefix(&self.prefix)?.to_owned(), len(id))))
            .collect()
    }

    /// The content of a file as the process sees it.
    pub fn content(&self, name: &str) -> Result<Vec<u8>> {
        let state = self.state.lock();
        let id = state.names.live().get(&self.full(name))?;
        Ok(state.files[&id].live.clone())
    }

    /// Spoil stored bytes of a file. True when a byte changed.
    pub fn damage(&self, name: &str, damage: Damage) -> Result<bool> {
        let mut state = self.state.lock();
        let id = state.names.live().get(&self.full(name))?;
        let file = state.file(id);
        let stale = match damage {
            Damage::StaleBlock { block } => file.stored.stale.get(&block).cloned(),
            _ => None,
        };
        let durable: &mut Vec<u8> = Arc::make_mut(&mut file.stored.durable);
        damage.apply(durable, stale.as_deref());
        Ok(damage.apply(&mut file.live, stale.as_deref()))
    }
}

impl State {
    fn file(&mut self, id: FileId) -> &mut SimFile {
        self.files
            .get_mut(&id)
            .expect("a handle or a name keeps its file")
    }

    fn image(&self, doing: Option<Call>) -> Image {
        let reachable = self.names.reachable();
        let stored = self.files.iter().filter(|(id, _)| reachable.contains(id));
        Image {
            call: self.calls,
            doing,
            names: self.names.clone(),
            files: stored
                .map(|(id, file)| (*id, file.stored.clone()))
                .collect(),
            now_micros: self.clock.wall_micros,
        }
    }

    fn next_seq(&mut self) -> u64 {
        self.seq += 1;
        self.seq
    }

    fn alive(&self) -> Result<()> {
        if self.crashed {
            return Err(Error::new(
                ErrorKind::BrokenPipe,
                "the simulated machine is gone",
            ));
        }
        Ok(())
    }

    /// Number a call and look up what is planned for it. `grows`: it needs space.
    fn enter(&mut self, call: Call, grows: bool) -> Result<Option<Fault>> {
        self.alive()?;
        self.calls += 1;
        self.trace.push(call);
        let planned = self.plan.fail.get(&self.calls).copied();
        let full = grows && self.plan.full_from.is_some_and(|from| self.calls >= from);
        Ok(planned.or(full.then_some(Fault::NoSpace)))
    }

    /// The same of a call that makes a file longer by `more` bytes.
    fn enter_growing(&mut self, call: Call, more: u64) -> Result<Option<Fault>> {
        let planned = self.enter(call, more > 0)?;
        let fits = |capacity| self.bytes() + more <= capacity;
        let full = more > 0 && !self.plan.capacity.is_none_or(fits);
        Ok(planned.or(full.then_some(Fault::NoSpace)))
    }

    /// Of all files that have a name.
    fn bytes(&self) -> u64 {
        let files = self.names.live().files().into_iter();
        let ids: BTreeSet<FileId> = files.map(|(_, id)| id).collect();
        let len = |id: &FileId| self.files[id].live.len() as u64;
        ids.iter().map(len).sum()
    }

    /// The moment of the call's truth: what a crash in it finds is decided, what the caller is
    /// told is not.
    fn reached(&mut self, call: Call) -> Result<()> {
        if let Some(mut images) = self.images.take() {
            images.push(self.image(Some(call)));
            self.images = Some(images);
        }
        if self.plan.crash_at.is_some_and(|n| self.calls >= n) {
            self.crashed = true;
        }
        self.alive()
    }

    fn enter_read(&mut self) -> Result<()> {
        self.alive()?;
        self.reads += 1;
        match self.plan.fail_reads.get(&self.reads) {
            Some(fault) => Err(fault.error()),
            None => Ok(()),
        }
    }

    /// A call on names: `change` runs only if no fault is planned.
    fn change_names(
        &mut self,
        call: Call,
        change: impl FnOnce(&mut Names, u64) -> Result<()>,
    ) -> Result<()> {
        let grows = matches!(call, Call::Create | Call::CreateDir);
        if let Some(fault) = self.enter(call, grows)? {
            self.reached(call)?;
            return Err(fault.error());
        }
        let seq = self.next_seq();
        let done = change(&mut self.names, seq);
        self.reached(call)?;
        done
    }
}

impl Io for SimDisk {
    fn open(&self, name: &str, mode: OpenMode) -> Result<Arc<dyn File>> {
        let mut state = self.state.lock();
        let id = if mode == OpenMode::CreateNew {
            let id = state.next_file;
            let name = &self.full(name);
            state.names.vacant(name)?;
            state.next_file += 1;
            state.files.insert(id, SimFile::default());
            state.change_names(Call::Create, |names, seq| names.create(seq, name, id))?;
            id
        } else {
            state.enter_read()?;
            state.names.live().get(&self.full(name))?
        };
        let writable = mode != OpenMode::Read;
        Ok(Arc::new(Handle {
            state: self.state.clone(),
            id,
            writable,
        }))
    }

    fn create_dir(&self, name: &str) -> Result<()> {
        let mut state = self.state.lock();
        if name.is_empty() || name.contains('/') {
            return Err(Error::new(
                ErrorKind::InvalidInput,
                format!("not a directory: {name:?}"),
            ));
        }
        let name = &self.full(name);
        if state.names.has_dir(name) {
            return Err(Error::new(ErrorKind::AlreadyExists, name.to_string()));
        }
        state.change_names(Call::CreateDir, |names, seq| {
            names.make_dir(seq, name);
            Ok(())
        })
    }

    fn remove_dir(&self, name: &str) -> Result<()> {
        let mut state = self.state.lock();
        let name = &self.full(name);
        if !state.names.live().list(name)?.is_empty() {
            return Err(Error::new(ErrorKind::DirectoryNotEmpty, name.to_string()));
        }
        state.change_names(Call::RemoveDir, |names, seq| {
            names.remove_dir(seq, name);
            Ok(())
        })
    }

    fn list(&self, dir: &str) -> Result<Vec<String>> {
        let mut state = self.state.lock();
        state.enter_read()?;
        state.names.live().list(&self.full(dir))
    }

    fn rename(&self, from: &str, to: &str) -> Result<()> {
        self.state.lock().change_names(Call::Rename, |names, seq| {
            names.rename(seq, &self.full(from), &self.full(to))
        })
    }

    fn root(&self) -> Option<PathBuf> {
        Some(PathBuf::from(self.full("")))
    }

    fn link(&self, from: &Path, to: &str) -> Result<()> {
        let from = from.to_str().ok_or(ErrorKind::InvalidInput)?;
        let mut state = self.state.lock();
        if !state.links {
            return Err(Error::from(ErrorKind::CrossesDevices));
        }
        let to = self.full(to);
        state.change_names(Call::Link, |names, seq| names.link(seq, from, &to))
    }

    fn remove(&self, name: &str) -> Result<()> {
        self.state.lock().change_names(Call::Remove, |names, seq| {
            names.remove(seq, &self.full(name))
        })
    }

    fn sync_dir(&self, dir: &str) -> Result<()> {
        let mut state = self.state.lock();
        let dir = &self.full(dir);
        let fault = state.enter(Call::SyncDir, false)?;
        state.reached(Call::SyncDir)?;
        if let Some(fault) = fault {
            state.names.poison(dir);
            return Err(fault.error());
        }
        state.names.sync(dir)
    }

    fn lock(&self) -> Result<Box<dyn Send + Sync>> {
        let mut state = self.state.lock();
        state.alive()?;
        if !state.locked.insert(self.prefix.clone()) {
            return Err(Error::new(ErrorKind::WouldBlock, "the directory is in use"));
        }
        Ok(Box::new(DirectoryLock { disk: self.clone() }))
    }

    fn now_micros(&self) -> u64 {
        let mut state = self.state.lock();
        let step = 1 + state.rng.below(40);
        state.clock.wall_micros += step;
        state.clock.wall_micros
    }

    fn monotonic_micros(&self) -> u64 {
        let mut state = self.state.lock();
        let step = 1 + state.rng.below(40);
        state.clock.monotonic_micros += step;
        state.clock.monotonic_micros
    }

    fn thread_cpu_micros(&self) -> u64 {
        0
    }

    fn random_u64(&self) -> u64 {
        self.state.lock().rng.next_u64()
    }

    fn spawn(&self, _name: &str, _work: Box<dyn FnOnce() + Send>) -> Option<JoinHandle<()>> {
        None
    }
}

struct DirectoryLock {
    disk: SimDisk,
}

impl Drop for DirectoryLock {
    fn drop(&mut self) {
        self.disk.state.lock().locked.remove(&self.disk.prefix);
    }
}

struct Handle {
    state: Arc<Mutex<State>>,
    id: FileId,
    writable: bool,
}

impl Handle {
    fn check_writable(&self) -> Result<()> {
        if self.writable {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::PermissionDenied,
            "the file is open for reading",
        ))
    }
}

impl File for Handle {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<usize> {
        let mut state = self.state.lock();
        state.enter_read()?;
        let live = &state.file(self.id).live;
        let start = (offset as usize).min(live.len());
        let len = buf.len().min(live.len() - start);
        buf[..len].copy_from_slice(&live[start..start + len]);
        Ok(len)
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> Result<()> {
        self.check_writable()?;
        let mut state = self.state.lock();
        let end = offset + buf.len() as u64;
        let more = end.saturating_sub(state.file(self.id).live.len() as u64);
        let fault = state.enter_growing(Call::Write, more)?;
        let seq = state.next_seq();
        // A write that fails may have written some of it.
        let len = match fault {
            None => buf.len(),
            Some(_) => state.rng.index(buf.len() + 1),
        };
        state.file(self.id).write(seq, offset, &buf[..len]);
        state.reached(Call::Write)?;
        fault.map_or(Ok(()), |fault| Err(fault.error()))
    }

    fn sync_data(&self) -> Result<()> {
        let mut state = self.state.lock();
        let fault = state.enter(Call::SyncData, false)?;
        state.reached(Call::SyncData)?;
        match fault {
            None => state.file(self.id).sync(),
            Some(_) => state.file(self.id).poison(),
        }
        fault.map_or(Ok(()), |fault| Err(fault.error()))
    }

    fn len(&self) -> Result<u64> {
        let mut state = self.state.lock();
        state.alive()?;
        Ok(state.file(self.id).live.len() as u64)
    }

    fn set_len(&self, len: u64) -> Result<()> {
        self.check_writable()?;
        let mut state = self.state.lock();
        let more = len.saturating_sub(state.file(self.id).live.len() as u64);
        let fault = state.enter_growing(Call::SetLen, more)?;
        if fault.is_none() {
            let seq = state.next_seq();
            state.file(self.id).set_len(seq, len);
        }
        state.reached(Call::SetLen)?;
        fault.map_or(Ok(()), |fault| Err(fault.error()))
    }
}
