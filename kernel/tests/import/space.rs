//! A disk that is too small, and one that fills while the import is at work.
//!
//! The disk is a tmpfs of a few megabytes. Only root may mount one; elsewhere the tests say so and end.

use std::process::Command;

use heliosdb_kernel::dump::import;

use super::*;

/// A mounted tmpfs, unmounted when dropped.
struct SmallDisk {
    path: PathBuf,
}

impl SmallDisk {
    /// `None`, and why on stderr, where mounting is not allowed.
    fn mount(path: PathBuf, size: &str) -> Option<SmallDisk> {
        fs::create_dir(&path).unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"])
            .arg(&path)
            .output();
        match mounted {
            Ok(output) if output.status.success() => Some(SmallDisk { path }),
            Ok(output) => {
                let why = String::from_utf8_lossy(&output.stderr).into_owned();
                eprintln!("skipped: a tmpfs cannot be mounted here: {why}");
                None
            }
            Err(error) => {
                eprintln!("skipped: there is no mount: {error}");
                None
            }
        }
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.path).output();
    }
}

/// Small files of the log, so that a small disk has room for them.
fn settings(place: &Place) -> PathBuf {
    let file = place.path("small.toml");
    fs::write(&file, "[storage]\nwal_segment_size = \"64kB\"\n").unwrap();
    file
}

#[test]
fn too_little_space_is_told_before_anything_is_written() {
    let place = Place::with_world();
    let Some(disk) = SmallDisk::mount(place.path("disk"), "1m") else {
        return;
    };
    let error = place.import("world.dump", "disk/a/b").unwrap_err();
    let ImportError::Space {
        needed_bytes,
        free_bytes,
        ..
    } = error
    else {
        panic!("{error}");
    };
    assert!(free_bytes <= 1 << 20 && free_bytes < needed_bytes);
    assert!(names(&disk.path).is_empty());
    let settings = settings(&place);
    let options = ImportOptions {
        config: Some(&settings),
        ..ImportOptions::new(&[], "full")
    };
    place
        .import_with("world.dump", "disk/a/b", &options)
        .unwrap();
}

/// What a killed import left is in nobody's way, not even when it fills the disk.
#[test]
fn leftovers_that_fill_the_disk_make_room() {
    let place = Place::with_world();
    let Some(disk) = SmallDisk::mount(place.path("disk"), "4m") else {
        return;
    };
    let settings = settings(&place);
    let options = ImportOptions {
        config: Some(&settings),
        ..ImportOptions::new(&[], "full")
    };
    fs::create_dir_all(disk.path.join("db/segments")).unwrap();
    fs::write(
        disk.path.join("db/import.pending"),
        place.marker("world.dump"),
    )
    .unwrap();
    fill(&disk.path.join("db/segments/1.seg"));
    place
        .import_with("world.dump", "disk/db", &options)
        .unwrap();
    assert!(place.verify("world.dump", "disk/db").is_equal());
}

/// Until no byte fits.
fn fill(file: &Path) {
    let mut file = File::create(file).unwrap();
    while std::io::Write::write(&mut file, &[7; 4096]).is_ok_and(|n| n > 0) {}
}

/// Fills the disk when a phase begins.
struct Filler {
    file: PathBuf,
    at: &'static str,
}

impl Progress for Filler {
    fn begin(&self, phase: &str, _total: Option<u64>) {
        if phase.starts_with(self.at) {
            fill(&self.file);
        }
    }

    fn advance(&self, _amount: u64) {}

    fn end(&self) {}
}

#[test]
fn a_disk_that_fills_half_way_is_left_as_it_was() {
    let place = Place::with_world();
    let Some(disk) = SmallDisk::mount(place.path("disk"), "4m") else {
        return;
    };
    let settings = settings(&place);
    let options = ImportOptions {
        config: Some(&settings),
        ..ImportOptions::new(&[], "full")
    };
    let target = disk.path.join("db");
    let filler = Filler {
        file: disk.path.join("filler"),
        at: "load",
    };
    let failed = import(&place.path("world.dump"), &target, &options, &filler);
    let error = failed.map(drop).unwrap_err();
    assert!(!matches!(error, ImportError::Leftovers { .. }), "{error}");
    assert!(error.to_string().contains("no space left"), "{error}");
    assert_eq!(names(&disk.path), ["filler"]);
    fs::remove_file(&filler.file).unwrap();
    place
        .import_with("world.dump", "disk/db", &options)
        .unwrap();
    assert!(place.verify("world.dump", "disk/db").is_equal());
}
