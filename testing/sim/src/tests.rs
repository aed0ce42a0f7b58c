//! The disk keeps its promises, and nothing more than its promises.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::io::ErrorKind;

use heliosdb_storage::io::{Io, OpenMode};

use crate::{Call, CrashModel, Damage, Fault, SimDisk};

const SEEDS: u64 = 200;

/// A disk with a durable file `f` of three sectors of `a`.
fn with_file(seed: u64) -> SimDisk {
    let disk = SimDisk::new(seed);
    let file = disk.open("f", OpenMode::CreateNew).unwrap();
    file.write_at(&[b'a'; 1536], 0).unwrap();
    file.sync_data().unwrap();
    disk.sync_dir("").unwrap();
    disk
}

/// Every content of `f` that crashes under `model` leave, as one letter a sector.
fn outcomes(model: CrashModel, change: impl Fn(&SimDisk)) -> BTreeSet<String> {
    let mut seen = BTreeSet::new();
    for seed in 0..SEEDS {
        let disk = with_file(seed);
        change(&disk);
        let content = disk.crash(model, seed).content("f").unwrap();
        seen.insert(content.chunks(512).map(|s| char::from(s[0])).collect());
    }
    seen
}

fn set<const N: usize>(items: [&str; N]) -> BTreeSet<String> {
    items.iter().map(|s| s.to_string()).collect()
}

fn write(disk: &SimDisk, letter: u8, sectors: std::ops::Range<u64>) {
    let data = vec![letter; (sectors.end - sectors.start) as usize * 512];
    disk.open("f", OpenMode::ReadWrite)
        .unwrap()
        .write_at(&data, sectors.start * 512)
        .unwrap();
}

#[test]
fn a_process_reads_its_own_unsynced_writes() {
    let disk = with_file(1);
    write(&disk, b'b', 1..2);
    let mut buf = [0; 2000];
    let file = disk.open("f", OpenMode::Read).unwrap();
    assert_eq!(file.read_at(&mut buf, 512).unwrap(), 1024);
    assert_eq!((buf[0], buf[512], buf[1024]), (b'b', b'a', 0));
    assert_eq!(file.read_at(&mut buf, 4096).unwrap(), 0);
}

#[test]
fn lost_loses_all_that_was_not_synced() {
    assert_eq!(
        outcomes(CrashModel::Lost, |disk| write(disk, b'b', 0..3)),
        set(["aaa"])
    );
}

#[test]
fn synced_data_survives_every_model() {
    for model in CrashModel::ALL {
        let seen = outcomes(model, |disk| {
            write(disk, b'b', 0..2);
            disk.open("f", OpenMode::Read).unwrap().sync_data().unwrap();
        });
        assert_eq!(seen, set(["bba"]), "{model:?}");
    }
}

#[test]
fn reordered_keeps_or_loses_each_sector_of_each_write() {
    let seen = outcomes(CrashModel::Reordered, |disk| {
        write(disk, b'b', 0..2);
        write(disk, b'c', 1..2);
    });
    assert_eq!(seen, set(["aaa", "baa", "aba", "bba", "aca", "bca"]));
}

#[test]
fn torn_cuts_the_write_in_progress_and_keeps_the_order() {
    let seen = outcomes(CrashModel::Torn, |disk| {
        write(disk, b'b', 0..1);
        write(disk, b'c', 1..3);
    });
    // From the front or the back; never the second write's data without the first's.
    assert_eq!(seen, set(["aaa", "baa", "bca", "bac", "bcc"]));
}

#[test]
fn torn_cuts_at_pages_too() {
    let mut lens = BTreeSet::new();
    for seed in 0..SEEDS {
        let disk = with_file(seed);
        let file = disk.open("f", OpenMode::ReadWrite).unwrap();
        file.write_at(&[b'b'; 8192], 4096).unwrap();
        lens.insert(
            disk.crash(CrashModel::Torn, seed)
                .content("f")
                .unwrap()
                .len(),
        );
    }
    assert!(
        lens.contains(&8192) && lens.contains(&1536) && lens.contains(&(4096 + 512)),
        "{lens:?}"
    );
    assert!(lens.iter().all(|len| len % 512 == 0));
}

#[test]
fn a_growing_file_may_keep_its_length_and_lose_its_data() {
    let seen = outcomes(CrashModel::Reordered, |disk| write(disk, b'b', 3..4));
    assert_eq!(seen, set(["aaa", "aaa\0", "aaab"]));
}

#[test]
fn set_len_is_a_change_like_any_other() {
    let cut = |disk: &SimDisk| {
        let file = disk.open("f", OpenMode::ReadWrite).unwrap();
        file.set_len(512).unwrap();
        file.set_len(1024).unwrap();
        assert_eq!(disk.content("f").unwrap()[512..], [0; 512]);
    };
    assert_eq!(outcomes(CrashModel::Lost, cut), set(["aaa"]));
    assert_eq!(outcomes(CrashModel::Torn, cut), set(["aaa", "a", "a\0"]));
    let reordered = outcomes(CrashModel::Reordered, cut);
    assert!(reordered.contains("a") && reordered.contains("a\0") && reordered.contains("aaa"));
}

#[test]
fn names_are_durable_only_after_sync_dir() {
    let disk = SimDisk::new(1);
    disk.create_dir("wal").unwrap();
    disk.open("wal/1", OpenMode::CreateNew)
        .unwrap()
        .sync_data()
        .unwrap();
    assert_eq!(disk.image().crash(CrashModel::Lost, 1).files(), []);
    disk.sync_dir("wal").unwrap();
    // The file is in its directory, but the directory is not in the root.
    assert_eq!(disk.image().crash(CrashModel::Lost, 1).files(), []);
    disk.sync_dir("").unwrap();
    assert_eq!(
        disk.crash(CrashModel::Lost, 1).files(),
        [("wal/1".to_string(), 0)]
    );
}

#[test]
fn renames_and_removals_are_lost_or_kept_whole() {
    let mut seen = BTreeSet::new();
    for seed in 0..SEEDS {
        let disk = with_file(seed);
        disk.open("g", OpenMode::CreateNew).unwrap();
        disk.sync_dir("").unwrap();
        disk.rename("f", "h").unwrap();
        disk.remove("g").unwrap();
        let names: Vec<_> = disk.crash(CrashModel::Reordered, seed).files();
        seen.insert(names.into_iter().map(|(name, _)| name).collect::<String>());
    }
    assert_eq!(seen, set(["fg", "gh", "f", "h"]));
}

#[test]
fn a_removed_file_that_comes_back_has_its_content() {
    let disk = with_file(1);
    disk.remove("f").unwrap();
    assert_eq!(disk.content("f").unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(
        disk.crash(CrashModel::Lost, 1).content("f").unwrap(),
        [b'a'; 1536]
    );
}

#[test]
fn after_a_failed_sync_asking_again_proves_nothing() {
    let disk = with_file(1);
    write(&disk, b'b', 0..1);
    let file = disk.open("f", OpenMode::ReadWrite).unwrap();
    disk.fail_at(disk.calls() + 1, Fault::Io);
    assert!(file.sync_data().is_err());
    write(&disk, b'c', 2..3);
    file.sync_data().unwrap();
    let lost = disk
        .image()
        .crash(CrashModel::Lost, 1)
        .content("f")
        .unwrap();
    assert_eq!((lost[0], lost[1024]), (b'a', b'c'));
    // What is written and synced afterwards is safe even where the doubtful write was.
    write(&disk, b'd', 0..1);
    file.sync_data().unwrap();
    assert_eq!(
        disk.crash(CrashModel::Lost, 1).content("f").unwrap()[0],
        b'd'
    );
}

#[test]
fn a_failed_write_leaves_at_most_a_part() {
    let mut lens = BTreeSet::new();
    for seed in 0..SEEDS {
        let disk = with_file(seed);
        let file = disk.open("f", OpenMode::ReadWrite).unwrap();
        disk.fail_at(disk.calls() + 1, Fault::NoSpace);
        let error = file.write_at(&[b'b'; 100], 1536).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::StorageFull);
        lens.insert(disk.content("f").unwrap().len());
    }
    assert!(lens.len() > 20 && *lens.first().unwrap() == 1536 && *lens.last().unwrap() <= 1636);
}

#[test]
fn a_full_disk_still_overwrites() {
    let disk = with_file(1);
    disk.full_from(0);
    write(&disk, b'b', 0..1);
    let file = disk.open("f", OpenMode::ReadWrite).unwrap();
    assert_eq!(
        file.write_at(b"b", 1536).unwrap_err().kind(),
        ErrorKind::StorageFull
    );
    assert!(disk.open("g", OpenMode::CreateNew).is_err());
    disk.free_space();
    disk.open("g", OpenMode::CreateNew).unwrap();
}

/// An image taken at call n is what `crash_at(n)` leaves.
#[test]
fn images_are_crashes_at_every_call() {
    fn history(disk: &SimDisk) -> std::io::Result<()> {
        disk.create_dir("d")?;
        let file = disk.open("d/f", OpenMode::CreateNew)?;
        file.write_at(&[1; 3000], 0)?;
        disk.sync_dir("d")?;
        file.sync_data()?;
        file.set_len(100)?;
        disk.rename("d/f", "g")?;
        disk.sync_dir("")?;
        disk.remove("g")
    }
    let recorded = SimDisk::new(9);
    recorded.record_images();
    history(&recorded).unwrap();
    let images = recorded.take_images();
    assert_eq!(images.len() as u64, recorded.calls());
    for image in images {
        let disk = SimDisk::new(9);
        disk.crash_at(image.call);
        assert!(history(&disk).is_err());
        assert!(disk.crashed() && disk.open("d/f", OpenMode::Read).is_err());
        assert_eq!(disk.trace().last().copied(), image.doing);
        for model in CrashModel::ALL {
            let (a, b) = (image.crash(model, 5), disk.image().crash(model, 5));
            assert_eq!(a.files(), b.files(), "call {} {model:?}", image.call);
            for (name, _) in a.files() {
                assert_eq!(a.content(&name).unwrap(), b.content(&name).unwrap());
            }
        }
    }
}

#[test]
fn one_seed_is_one_machine() {
    let run = |seed| {
        let disk = with_file(seed);
        write(&disk, b'b', 0..3);
        let found = disk
            .crash(CrashModel::Reordered, seed)
            .content("f")
            .unwrap();
        (
            disk.random_u64(),
            disk.now_micros(),
            disk.monotonic_micros(),
            found,
        )
    };
    assert_eq!(run(4), run(4));
    assert_ne!(run(4), run(5));
}

#[test]
fn the_wall_clock_jumps_and_the_monotonic_clock_does_not() {
    let disk = SimDisk::new(1);
    let (wall, monotonic) = (disk.now_micros(), disk.monotonic_micros());
    disk.jump(-1_000_000);
    assert!(disk.now_micros() < wall && disk.monotonic_micros() > monotonic);
    disk.advance(5_000_000);
    assert!(disk.now_micros() > wall && disk.monotonic_micros() > monotonic + 5_000_000);
}

#[test]
fn the_directory_lock_is_exclusive_and_dies_with_the_machine() {
    let disk = with_file(1);
    let guard = disk.lock().unwrap();
    assert_eq!(disk.lock().err().unwrap().kind(), ErrorKind::WouldBlock);
    assert!(disk.crash(CrashModel::Lost, 1).lock().is_ok());
    drop(guard);
    assert!(with_file(1).lock().is_ok());
}

#[test]
fn open_modes_are_held() {
    let disk = with_file(1);
    let kind = |mode, name| disk.open(name, mode).map(|_| ()).unwrap_err().kind();
    assert_eq!(kind(OpenMode::CreateNew, "f"), ErrorKind::AlreadyExists);
    assert_eq!(kind(OpenMode::Read, "g"), ErrorKind::NotFound);
    assert_eq!(kind(OpenMode::CreateNew, "no/g"), ErrorKind::NotFound);
    assert_eq!(kind(OpenMode::CreateNew, "a/b/c"), ErrorKind::NotFound);
    for name in ["", "/f", "../f", "a/"] {
        assert_eq!(
            kind(OpenMode::CreateNew, name),
            ErrorKind::InvalidInput,
            "{name:?}"
        );
    }
    let file = disk.open("f", OpenMode::Read).unwrap();
    assert_eq!(
        file.write_at(b"x", 0).unwrap_err().kind(),
        ErrorKind::PermissionDenied
    );
    assert_eq!(disk.calls(), 4, "a refused open is no numbered call");
}

#[test]
fn damage_changes_what_it_says() {
    let disk = with_file(1);
    assert!(disk.damage("f", Damage::Bit { bit: 8 }).unwrap());
    assert_eq!(disk.content("f").unwrap()[..3], [b'a', b'a' ^ 1, b'a']);
    assert!(
        disk.damage("f", Damage::Sector { sector: 2, seed: 3 })
            .unwrap()
    );
    assert!(!disk.damage("f", Damage::Bit { bit: 1536 * 8 }).unwrap());
    // The only sync of this file wrote over nothing at all.
    assert!(disk.damage("f", Damage::StaleBlock { block: 0 }).unwrap());
    assert_eq!(disk.content("f").unwrap(), [0; 1536]);
    assert_eq!(
        disk.crash(CrashModel::Lost, 1).content("f").unwrap(),
        [0; 1536]
    );
}

#[test]
fn reads_fail_on_request() {
    let disk = with_file(1);
    let file = disk.open("f", OpenMode::Read).unwrap();
    disk.fail_read_at(disk.reads() + 1, Fault::Io);
    let mut buf = [0; 8];
    assert_eq!(
        file.read_at(&mut buf, 0).unwrap_err().raw_os_error(),
        Some(5)
    );
    assert_eq!(file.read_at(&mut buf, 0).unwrap(), 8);
    assert_eq!(
        disk.trace(),
        [Call::Create, Call::Write, Call::SyncData, Call::SyncDir][..]
    );
}

/// A write in doubt does not come back over what was written and synced after it; nor does a name.
#[test]
fn what_is_synced_after_a_failed_sync_is_safe_in_every_model() {
    for model in CrashModel::ALL {
        for seed in 0..SEEDS {
            let disk = with_file(seed);
            write(&disk, b'b', 0..3);
            let file = disk.open("f", OpenMode::ReadWrite).unwrap();
            disk.open("g", OpenMode::CreateNew).unwrap();
            disk.fail_at(disk.calls() + 1, Fault::Io);
            disk.fail_at(disk.calls() + 2, Fault::Io);
            assert!(file.sync_data().is_err() && disk.sync_dir("").is_err());
            write(&disk, b'c', 1..2);
            disk.remove("g").unwrap();
            file.sync_data().unwrap();
            disk.sync_dir("").unwrap();
            let after = disk.crash(model, seed);
            let content = after.content("f").unwrap();
            assert_eq!(content[512..1024], [b'c'; 512], "{model:?} {seed}");
            assert!(after.content("g").is_err(), "{model:?} {seed}");
            let ends = [content[0], content[1024]];
            assert!(ends.iter().all(|byte| b"ab".contains(byte)));
        }
    }
}

#[test]
fn a_machine_that_was_scrapped_is_gone() {
    let disk = with_file(1);
    let file = disk.open("f", OpenMode::ReadWrite).unwrap();
    disk.scrap();
    let gone = Some(ErrorKind::BrokenPipe);
    let kind = |done: std::io::Result<()>| done.err().map(|error| error.kind());
    assert_eq!(kind(file.read_at(&mut [0], 0).map(drop)), gone);
    assert_eq!(kind(file.write_at(b"a", 9)), gone);
    assert_eq!(kind(file.set_len(9)), gone);
    assert_eq!(kind(file.sync_data()), gone);
    assert_eq!(kind(disk.open("f", OpenMode::Read).map(drop)), gone);
    assert_eq!(disk.files(), [("f".to_owned(), 0)]);
}
