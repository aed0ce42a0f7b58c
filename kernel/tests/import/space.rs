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

/// A place with the world's dump and, at `disk`, a disk of this size.
fn with_disk(size: &str) -> Option<(Place, SmallDisk)> {
    let place = Place::with_world();
    let disk = SmallDisk::mount(place.path("disk"), size)?;
    Some((place, disk))
}

/// Import the world with small files of the log, so that a small disk has room for them.
fn import_small(
    place: &Place,
    target: &str,
    progress: &dyn Progress,
) -> Result<Report, ImportError> {
    let settings = place.path("small.toml");
    fs::write(&settings, "[storage]\nwal_segment_size = \"64kB\"\n").unwrap();
    let options = ImportOptions {
        config: Some(&settings),
        ..ImportOptions::new(&[], "full")
    };
    let (dump, target) = (place.path("world.dump"), place.path(target));
    import(&dump, &target, &options, progress)
}

#[test]
fn too_little_space_is_told_before_anything_is_written() {
    let Some((place, disk)) = with_disk("1m") else {
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
    import_small(&place, "disk/a/b", &Silent).unwrap();
}

/// What a killed import left is in nobody's way, not even when it fills the disk.
#[test]
fn leftovers_that_fill_the_disk_make_room() {
    let Some((place, disk)) = with_disk("4m") else {
        return;
    };
    fs::create_dir_all(disk.path.join("db/segments")).unwrap();
    fs::write(
        disk.path.join("db/import.pending"),
        place.marker("world.dump"),
    )
    .unwrap();
    fill(&disk.path.join("db/segments/1.seg"));
    import_small(&place, "disk/db", &Silent).unwrap();
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
    let Some((place, disk)) = with_disk("4m") else {
        return;
    };
    let filler = Filler {
        file: disk.path.join("filler"),
        at: "load",
    };
    let failed = import_small(&place, "disk/db", &filler);
    let error = failed.map(drop).unwrap_err();
    assert!(!matches!(error, ImportError::Leftovers { .. }), "{error}");
    assert!(error.to_string().contains("no space left"), "{error}");
    assert_eq!(names(&disk.path), ["filler"]);
    fs::remove_file(&filler.file).unwrap();
    import_small(&place, "disk/db", &Silent).unwrap();
    assert!(place.verify("world.dump", "disk/db").is_equal());
}
