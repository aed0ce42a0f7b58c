//! A real file system that is full: ext4 in a file, mounted for the test. Only root can do that; for
//! anybody else, and where there are no loop devices, the test says so and does nothing.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use heliosdb_storage::io::disk::Disk;
use heliosdb_storage::*;

use super::support::*;

const FILE_SYSTEM_BYTES: u64 = 48 << 20;
/// What is in the way until the operator removes it.
const BALLAST_BYTES: usize = 16 << 20;

struct Mount {
    /// Before the directory goes, it is unmounted.
    path: PathBuf,
    _dir: tempfile::TempDir,
}

impl Mount {
    /// `Err` is why there is none.
    fn new() -> Result<Mount, String> {
        // SAFETY: it has no arguments and cannot fail.
        if unsafe { libc::geteuid() } != 0 {
            return Err("only root can mount a file system".to_owned());
        }
        let dir = tempfile::tempdir().unwrap();
        let image = dir.path().join("image");
        fs::File::create(&image)
            .unwrap()
            .set_len(FILE_SYSTEM_BYTES)
            .unwrap();
        let path = dir.path().join("mnt");
        fs::create_dir(&path).unwrap();
        run(Command::new("mkfs.ext4").args(["-q", "-F"]).arg(&image))?;
        run(Command::new("mount")
            .args(["-t", "ext4", "-o", "loop"])
            .args([&image, &path]))?;
        Ok(Mount { path, _dir: dir })
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        if run(Command::new("umount").arg(&self.path)).is_err() {
            // Something still has a file open: it goes when that does.
            let _ = run(Command::new("umount").arg("-l").arg(&self.path));
        }
    }
}

fn run(command: &mut Command) -> Result<(), String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|e| format!("{name}: {e}"))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(format!(
            "{name}: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        )),
    }
}

fn open_at(path: &Path) -> Engine {
    let options = Options {
        wal_segment_bytes: 2 << 20,
        memtable_bytes_max: 2 << 20,
        memtables_frozen_max: 2,
        ..Options::default()
    };
    Engine::open(Arc::new(Disk::open(path).unwrap()), options).unwrap()
}

/// A commit of some rows that do not compress; `DiskFull`, and no other error, when it is refused.
fn add(engine: &Engine, first: i64) -> bool {
    let mut state = first as u64 + 1;
    let mut name = || -> String {
        let letters = (0..256).map(|_| {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1);
            char::from(33 + ((state >> 33) % 90) as u8)
        });
        letters.collect()
    };
    let rows: Vec<Row> = (first..first + 200).map(|id| (Some(id), name())).collect();
    let mut txn = begin(engine);
    let inserted = txn
        .insert(&table(), &batch(&rows))
        .and_then(|_| txn.commit(Durability::Synchronous));
    match inserted {
        Ok(_) => true,
        Err(Error::DiskFull { .. }) => false,
        Err(e) => panic!("{e}"),
    }
}

#[test]
fn a_full_file_system_refuses_writes_and_goes_on_when_it_has_space_again() {
    let mount = match Mount::new() {
        Ok(mount) => mount,
        Err(why) => return eprintln!("skipped: {why}"),
    };
    let ballast = mount.path.join("ballast");
    fs::write(&ballast, vec![7; BALLAST_BYTES]).unwrap();
    let data = mount.path.join("data");
    let engine = open_at(&data);
    let mut txn = begin(&engine);
    txn.define_table(&table()).unwrap();
    txn.commit(Durability::Synchronous).unwrap();

    let mut rows = 0;
    while add(&engine, rows) {
        rows += 200;
    }
    let count = |engine: &Engine| scan(&engine.latest_view()).len() as i64;
    assert!(rows > 1000, "{rows}");
    // It stays full, and everything that was acknowledged can be read.
    for _ in 0..20 {
        if add(&engine, rows) {
            rows += 200;
        }
        assert_eq!(count(&engine), rows);
    }
    // A smaller file than the log's may still fit.
    if let Err(e) = engine.flush() {
        assert!(matches!(e, Error::DiskFull { .. }), "{e}");
    }

    fs::remove_file(&ballast).unwrap();
    for _ in 0..10 {
        assert!(add(&engine, rows), "there is space again");
        rows += 200;
    }
    engine.flush().unwrap();
    assert_eq!(count(&engine), rows);
    engine.close().unwrap();
    let engine = open_at(&data);
    assert_eq!(count(&engine), rows);
    assert!(add(&engine, rows));
    engine.close().unwrap();
}
