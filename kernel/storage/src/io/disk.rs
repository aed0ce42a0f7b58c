//! The real disk: `pread`/`pwrite`/`fdatasync` on files of one directory, `flock` on its lock file,
//! the operating system's clocks.
//!
//! This is the one module of the crate that names `std::fs`, `std::time` and `std::thread::spawn`.

#![expect(
    clippy::disallowed_methods,
    reason = "this is the door that the others must use"
)]

use std::fs;
use std::io::{self, Error, ErrorKind, Result};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use super::{File, Io, OpenMode};

/// Name of the file whose `flock` says that a process has the directory.
pub const LOCK_FILE: &str = "lock";

/// A database directory on the real disk.
#[derive(Debug)]
pub struct Disk {
    root: PathBuf,
    random: AtomicU64,
}

impl Disk {
    /// Open the directory at `root`, making it (mode 0700) when it does not exist.
    pub fn open(root: impl AsRef<Path>) -> Result<Disk> {
        let root = root.as_ref();
        if !root.is_dir() {
            let missing = root.ancestors().take_while(|path| !path.is_dir()).count();
            let mut builder = fs::DirBuilder::new();
            std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
            builder.recursive(true).create(root)?;
            for parent in root.canonicalize()?.ancestors().skip(1).take(missing) {
                fs::File::open(parent)?.sync_all()?;
            }
        }
        let root = root.canonicalize()?;
        let mut seed = [0u8; 8];
        fill_random(&mut seed)?;
        let random = AtomicU64::new(u64::from_le_bytes(seed));
        Ok(Disk { root, random })
    }

    /// The directory.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The path of `name`, which must stay inside the directory.
    fn path(&self, name: &str) -> Result<PathBuf> {
        let relative = Path::new(name);
        if relative
            .components()
            .any(|part| !matches!(part, Component::Normal(_)))
        {
            return Err(Error::new(
                ErrorKind::InvalidInput,
                format!("\"{name}\" leaves the database directory"),
            ));
        }
        Ok(self.root.join(relative))
    }

    /// Lock the lock file, which is open as `file`.
    fn flock(&self, file: fs::File) -> Result<Box<dyn Send + Sync>> {
        // SAFETY: the descriptor is open for as long as `file` lives.
        let taken = unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) };
        if taken != 0 {
            return Err(Error::last_os_error());
        }
        let lock = Lock(file);
        // Whoever had it may have removed it: then the lock is of a file that nobody else will meet.
        let held = lock.0.metadata()?;
        match fs::metadata(self.path(LOCK_FILE)?) {
            Ok(named) if (named.dev(), named.ino()) == (held.dev(), held.ino()) => {
                Ok(Box::new(lock))
            }
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => Err(Error::from(ErrorKind::WouldBlock)),
        }
    }
}

/// The lock file, locked. It is unlocked and not just closed: a child process that another thread starts
/// has a copy of the descriptor until its program runs, which would hold the lock.
struct Lock(fs::File);

impl Drop for Lock {
    fn drop(&mut self) {
        // SAFETY: the descriptor is open for as long as the file lives. Closing it does the rest.
        unsafe { libc::flock(self.0.as_raw_fd(), libc::LOCK_UN) };
    }
}

/// Seconds and nanoseconds of a clock.
fn clock(clock: libc::clockid_t) -> (u64, u64) {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the pointer is to a timespec that is writable for the whole call. It fails for clocks that
    // the system does not have, and both are older than any that we run on.
    unsafe { libc::clock_gettime(clock, &mut time) };
    (time.tv_sec.max(0) as u64, time.tv_nsec.max(0) as u64)
}

/// A clock of the operating system, in microseconds.
fn clock_micros(of: libc::clockid_t) -> u64 {
    let (seconds, nanos) = clock(of);
    seconds
        .saturating_mul(1_000_000)
        .saturating_add(nanos / 1_000)
}

fn fill_random(buf: &mut [u8]) -> Result<()> {
    // SAFETY: the pointer and the length describe `buf`, which is writable for the whole call.
    let got = unsafe { libc::getrandom(buf.as_mut_ptr().cast(), buf.len(), 0) };
    if got == buf.len() as isize {
        Ok(())
    } else {
        Err(Error::last_os_error())
    }
}

impl Io for Disk {
    fn open(&self, name: &str, mode: OpenMode) -> Result<Arc<dyn File>> {
        let mut options = fs::OpenOptions::new();
        options.read(true).custom_flags(libc::O_CLOEXEC).mode(0o600);
        match mode {
            OpenMode::Read => {}
            OpenMode::ReadWrite => {
                options.write(true);
            }
            OpenMode::CreateNew => {
                options.write(true).create_new(true);
            }
        }
        Ok(Arc::new(DiskFile {
            file: options.open(self.path(name)?)?,
        }))
    }

    fn create_dir(&self, name: &str) -> Result<()> {
        let mut builder = fs::DirBuilder::new();
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(self.path(name)?)
    }

    fn remove_dir(&self, name: &str) -> Result<()> {
        fs::remove_dir(self.path(name)?)
    }

    fn list(&self, dir: &str) -> Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(self.path(dir)?)? {
            let name = entry?.file_name();
            // A name that is not UTF-8 is nobody's of ours; the lossy form keeps it visible.
            names.push(name.to_string_lossy().into_owned());
        }
        names.sort();
        Ok(names)
    }

    fn rename(&self, from: &str, to: &str) -> Result<()> {
        fs::rename(self.path(from)?, self.path(to)?)
    }

    fn remove(&self, name: &str) -> Result<()> {
        fs::remove_file(self.path(name)?)
    }

    fn root(&self) -> Option<PathBuf> {
        Some(self.root.clone())
    }

    fn link(&self, from: &Path, to: &str) -> Result<()> {
        fs::hard_link(from, self.path(to)?)
    }

    fn sync_dir(&self, dir: &str) -> Result<()> {
        fs::File::open(self.path(dir)?)?.sync_all()
    }

    fn lock(&self) -> Result<Box<dyn Send + Sync>> {
        let file = fs::OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(self.path(LOCK_FILE)?)?;
        self.flock(file)
    }

    /// Works on a file system that is mounted read-only, too.
    fn lock_existing(&self) -> Result<Option<Box<dyn Send + Sync>>> {
        match fs::File::open(self.path(LOCK_FILE)?) {
            Ok(file) => self.flock(file).map(Some),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn now_micros(&self) -> u64 {
        // A clock before 1970 reads as 1970; the engine only ever moves its own clock forward.
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |d| u64::try_from(d.as_micros()).unwrap_or(u64::MAX))
    }

    fn monotonic_micros(&self) -> u64 {
        // CLOCK_MONOTONIC stands still while the machine is suspended, and the wall clock would seem
        // to have jumped.
        clock_micros(libc::CLOCK_BOOTTIME)
    }

    fn monotonic_nanos(&self) -> u64 {
        let (seconds, nanos) = clock(libc::CLOCK_MONOTONIC);
        seconds.saturating_mul(1_000_000_000).saturating_add(nanos)
    }

    fn thread_cpu_micros(&self) -> u64 {
        clock_micros(libc::CLOCK_THREAD_CPUTIME_ID)
    }

    fn random_u64(&self) -> u64 {
        let mut buf = [0u8; 8];
        if fill_random(&mut buf).is_ok() {
            return u64::from_le_bytes(buf);
        }
        // The kernel refused once the process was seeded: continue the seed (splitmix64).
        let mut z = self
            .random
            .fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn spawn(
        &self,
        name: &str,
        work: Box<dyn FnOnce() + Send>,
    ) -> Option<std::thread::JoinHandle<()>> {
        std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(work)
            .ok()
    }
}

/// A file of [`Disk`].
#[derive(Debug)]
struct DiskFile {
    file: fs::File,
}

impl File for DiskFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<usize> {
        let mut filled = 0;
        while filled < buf.len() {
            match self
                .file
                .read_at(&mut buf[filled..], offset + filled as u64)
            {
                Ok(0) => break,
                Ok(n) => filled += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(filled)
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> Result<()> {
        self.file.write_all_at(buf, offset)
    }

    fn sync_data(&self) -> Result<()> {
        self.file.sync_data()
    }

    fn len(&self) -> Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn set_len(&self, len: u64) -> Result<()> {
        self.file.set_len(len)
    }

    fn allocate(&self, len: u64) -> Result<()> {
        let len = libc::off_t::try_from(len).map_err(|_| Error::from(ErrorKind::InvalidInput))?;
        // SAFETY: the descriptor is open for as long as the file lives.
        let failed = unsafe { libc::fallocate(self.file.as_raw_fd(), 0, 0, len) } != 0;
        match Error::last_os_error() {
            e if failed && !matches!(e.raw_os_error(), Some(libc::EOPNOTSUPP | libc::ENOSYS)) => {
                Err(e)
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disk() -> (tempfile::TempDir, Disk) {
        let dir = tempfile::tempdir().unwrap();
        let disk = Disk::open(dir.path()).unwrap();
        (dir, disk)
    }

    #[test]
    fn reads_what_was_written_and_short_at_the_end() {
        let (_dir, disk) = disk();
        let file = disk.open("a", OpenMode::CreateNew).unwrap();
        file.write_at(b"hello", 3).unwrap();
        file.sync_data().unwrap();
        let mut buf = [9u8; 10];
        assert_eq!(file.read_at(&mut buf, 0).unwrap(), 8);
        assert_eq!(&buf[..8], b"\0\0\0hello");
        assert_eq!(disk.list("").unwrap(), vec!["a".to_owned()]);
    }

    #[test]
    fn the_lock_is_held_once() {
        let (dir, disk) = disk();
        let guard = disk.lock().unwrap();
        let second = Disk::open(dir.path()).unwrap();
        assert_eq!(
            second.lock().map(|_| ()).unwrap_err().kind(),
            ErrorKind::WouldBlock
        );
        assert!(second.lock_existing().is_err());
        drop(guard);
        assert!(second.lock().is_ok());
        let guard = second.lock_existing().unwrap().unwrap();
        assert!(disk.lock().is_err());
        drop(guard);
    }

    #[test]
    fn the_lock_goes_although_a_child_has_the_descriptor() {
        let (dir, disk) = disk();
        drop(disk.lock().unwrap());
        let file = fs::File::open(dir.path().join(LOCK_FILE)).unwrap();
        let copy = file.try_clone().unwrap();
        let guard = disk.flock(file).unwrap();
        assert!(disk.lock().is_err());
        drop(guard);
        assert!(disk.lock().is_ok());
        drop(copy);
    }

    #[test]
    fn who_only_reads_makes_no_lock_file() {
        let (_dir, disk) = disk();
        assert!(disk.lock_existing().unwrap().is_none());
        assert!(disk.list("").unwrap().is_empty());
    }

    /// A suspended machine is not to be had here; but which clock it is can be seen.
    #[test]
    fn the_monotonic_clock_goes_on_while_the_machine_is_suspended() {
        let (_dir, disk) = disk();
        let before = clock_micros(libc::CLOCK_BOOTTIME);
        let now = disk.monotonic_micros();
        assert!((before..=clock_micros(libc::CLOCK_BOOTTIME)).contains(&now));
    }

    #[test]
    fn a_threads_time_is_its_own() {
        let (_dir, disk) = disk();
        let idle = std::thread::scope(|scope| {
            let began = disk.thread_cpu_micros();
            while disk.thread_cpu_micros() < began + 20_000 {
                std::hint::spin_loop();
            }
            scope.spawn(|| disk.thread_cpu_micros()).join().unwrap()
        });
        assert!(idle < 20_000, "{idle}");
    }

    #[test]
    fn a_linked_file_is_the_same_file() {
        let ((_a, here), (_b, there)) = (disk(), disk());
        let file = here.open("a", OpenMode::CreateNew).unwrap();
        there.link(&here.root().join("a"), "b").unwrap();
        file.write_at(b"x", 0).unwrap();
        here.remove("a").unwrap();
        let mut buf = [0];
        let linked = there.open("b", OpenMode::Read).unwrap();
        assert_eq!(linked.read_at(&mut buf, 0).unwrap(), 1);
        assert_eq!(&buf, b"x");
        assert!(there.link(&here.root().join("a"), "c").is_err());
    }

    #[test]
    fn names_do_not_leave_the_directory() {
        let (_dir, disk) = disk();
        for name in ["../x", "/etc/passwd", "a/../../x"] {
            assert!(disk.open(name, OpenMode::Read).is_err(), "{name}");
        }
    }
}
