//! Damage to files: every kind is found, and the file is named.

use std::fs;
use std::path::Path;

use super::*;

/// A page as the format draws it: offset, bytes, kind.
struct Page {
    at: usize,
    bytes: usize,
    kind: u8,
}

/// The pages of a segment, which lie back to back.
fn pages(segment: &[u8]) -> Vec<Page> {
    let number = |at: usize, n: usize| {
        let bytes = segment[at..at + n].iter().rev();
        bytes.fold(0, |number, byte| number << 8 | usize::from(*byte))
    };
    let directory = number(segment.len() - 40, 8);
    let (mut pages, mut at) = (Vec::new(), 32);
    while at < directory {
        let bytes = 32 + number(at + 20, 4);
        let kind = segment[at + 4];
        pages.push(Page { at, bytes, kind });
        at += bytes;
    }
    assert_eq!(at, directory);
    pages
}

fn file_name(path: &Path) -> String {
    let directory = path.parent().unwrap().file_name().unwrap();
    let name = path.file_name().unwrap();
    format!("{}/{}", directory.to_str().unwrap(), name.to_str().unwrap())
}

/// Damage the file at `path`, see what is found, and repair it.
fn damaged(
    db: &Database,
    path: &Path,
    bytes: &[u8],
    damage: impl FnOnce(&mut Vec<u8>),
) -> Vec<Finding> {
    let mut changed = bytes.to_vec();
    damage(&mut changed);
    assert!(changed != bytes, "no damage");
    fs::write(path, changed).unwrap();
    let faults = db.faults();
    fs::write(path, bytes).unwrap();
    faults
}

fn first_damage(faults: &[Finding]) -> &Finding {
    let damage = faults.iter().find(|f| f.kind == Kind::Damage);
    damage.unwrap_or_else(|| panic!("no damage in {faults:#?}"))
}

/// The pages that are damaged, each of which is told once with its file and place, and nothing else is
/// called damaged.
#[track_caller]
fn told(faults: &[Finding], path: &Path, at: usize) {
    let first = first_damage(faults);
    assert_eq!(
        first.place.file.as_deref(),
        Some(&*file_name(path)),
        "{faults:#?}"
    );
    assert_eq!(first.place.offset, Some(at as u64), "{faults:#?}");
    assert!(first.place.part.is_some() && first.place.collection.is_some());
    let elsewhere = |f: &&Finding| f.kind == Kind::Damage && f.place.offset != Some(at as u64);
    assert_eq!(faults.iter().find(elsewhere), None);
}

#[test]
fn every_kind_of_page_is_found_when_damaged() {
    let db = database();
    let mut kinds = [false; 10];
    for path in db.segments() {
        let bytes = fs::read(&path).unwrap();
        let all = pages(&bytes);
        for (n, page) in all.iter().enumerate() {
            // The first of each kind in the file, and some others.
            if all[..n].iter().any(|other| other.kind == page.kind) && n % 37 != 0 {
                continue;
            }
            kinds[usize::from(page.kind)] = true;
            let last = page.at + page.bytes - 1;
            for at in [page.at, page.at + 4, page.at + 24, page.at + 32, last] {
                let faults = damaged(&db, &path, &bytes, |b| b[at] ^= 0x40);
                told(&faults, &path, page.at);
            }
            let zeroed = damaged(&db, &path, &bytes, |b| b[page.at..=last].fill(0));
            told(&zeroed, &path, page.at);
            // A page that is whole, and is another one.
            let stale = all
                .iter()
                .find(|p| p.at != page.at && p.bytes == page.bytes);
            if let Some(stale) = stale {
                let (from, to) = (stale.at, page.at);
                let faults = damaged(&db, &path, &bytes, |b| {
                    b.copy_within(from..from + page.bytes, to);
                });
                told(&faults, &path, page.at);
            }
        }
    }
    assert_eq!(kinds[1..], [true; 9], "a kind of page was not tried");
}

#[test]
fn two_damaged_pages_are_both_told() {
    let db = database();
    let path = &db.segments()[0];
    let bytes = fs::read(path).unwrap();
    let pages = pages(&bytes);
    let (a, b) = (pages[2].at, pages[pages.len() - 2].at);
    let faults = damaged(&db, path, &bytes, |bytes| {
        bytes[a + 40] ^= 1;
        bytes[b + 40] ^= 1;
    });
    for at in [a, b] {
        let is_it = |f: &Finding| f.kind == Kind::Damage && f.place.offset == Some(at as u64);
        assert!(faults.iter().any(is_it), "{faults:#?}");
    }
}

#[test]
fn the_frame_of_a_segment_is_checked() {
    let db = database();
    for path in db.segments() {
        let bytes = fs::read(&path).unwrap();
        let end = bytes.len();
        let name = file_name(&path);
        let check = |faults: Vec<Finding>| {
            assert_eq!(faults[0].place.file.as_deref(), Some(&*name), "{faults:#?}");
            // Nobody can say whether indexes fit to tables that cannot be read.
            let last = faults.last().unwrap();
            assert_eq!(last.kind, Kind::NotChecked);
            assert!(last.what.starts_with("tables against their indexes"));
        };
        for at in [0, 12, 20, end - 1, end - 20, end - 45] {
            check(damaged(&db, &path, &bytes, |b| b[at] ^= 1));
        }
        for len in [0, 10, end / 2, end - 1] {
            check(damaged(&db, &path, &bytes, |b| b.truncate(len)));
        }
        check(damaged(&db, &path, &bytes, |b| b.push(0)));
        check(damaged(&db, &path, &bytes, |b| b.fill(0)));
        fs::remove_file(&path).unwrap();
        let faults = db.faults();
        assert_eq!(first_damage(&faults).what, "the file is missing");
        check(faults);
        fs::write(&path, bytes).unwrap();
    }
}

#[test]
fn swapped_files_are_told_from_each_other() {
    let db = database();
    let [a, b] = &db.segments()[..2] else {
        panic!()
    };
    let spare = db.path().join("spare");
    for (from, to) in [(a, &spare), (b, a), (&spare, b)] {
        fs::rename(from, to).unwrap();
    }
    let faults = db.faults();
    for path in [a, b] {
        let name = file_name(path);
        let is_it = |f: &Finding| f.kind == Kind::Damage && f.place.file.as_ref() == Some(&name);
        assert!(faults.iter().any(is_it), "{faults:#?}");
    }
}

#[test]
fn files_that_are_nobodys_are_noted() {
    let db = database();
    let extra = [
        "letter.txt",
        "segments/letter.txt",
        "segments/00000000000000ff.seg",
        "wal/letter.txt",
    ];
    for name in extra {
        fs::write(db.path().join(name), "dear").unwrap();
    }
    let (findings, _) = db.check();
    let mut named: Vec<&str> = findings
        .iter()
        .filter_map(|f| f.place.file.as_deref())
        .collect();
    named.sort_unstable();
    let mut extra = extra.to_vec();
    extra.sort_unstable();
    assert_eq!(named, extra);
    assert!(findings.iter().all(|f| f.kind == Kind::Note));
}

/// Where batches begin that have something in them, in a log file.
fn batches(log: &[u8]) -> Vec<usize> {
    let blocks = (0..log.len()).step_by(4096);
    blocks
        .filter(|at| log[*at..].starts_with(&log[..8]))
        .collect()
}

/// Every batch but the last, which nothing proves to have been synced.
#[test]
fn every_damaged_batch_of_the_log_is_told() {
    let db = database();
    let logs = db.logs();
    let mut all: Vec<(PathBuf, usize)> = Vec::new();
    for path in logs {
        let bytes = fs::read(&path).unwrap();
        let batches = batches(&bytes);
        all.extend(batches.into_iter().map(|at| (path.clone(), at)));
    }
    assert!(all.len() > 8);
    all.pop();
    for (path, at) in &all {
        let bytes = fs::read(path).unwrap();
        // A batch may end a record with a byte or two, and zeros to the next block are nobody's.
        let payload = u32::from_le_bytes(bytes[at + 60..at + 64].try_into().unwrap());
        let inside = (payload > 0).then(|| at + 68 + 2.min(payload as usize - 1));
        for byte in [*at, at + 33, at + 64].into_iter().chain(inside) {
            let faults = damaged(&db, path, &bytes, |b| b[byte] ^= 1);
            let damage: Vec<_> = faults.iter().filter(|f| f.kind == Kind::Damage).collect();
            assert_eq!(damage.len(), 1, "{faults:#?}");
            assert_eq!(damage[0].place.file.as_deref(), Some(&*file_name(path)));
            assert_eq!(damage[0].place.offset, Some(*at as u64));
        }
    }
    // Two at once.
    let ((a, at_a), (b, at_b)) = (&all[1], &all[all.len() - 2]);
    let originals = [fs::read(a).unwrap(), fs::read(b).unwrap()];
    for (path, at) in [(a, at_a), (b, at_b)] {
        let mut bytes = fs::read(path).unwrap();
        bytes[at + 70] ^= 1;
        fs::write(path, bytes).unwrap();
    }
    let faults = db.faults();
    let damage = faults.iter().filter(|f| f.kind == Kind::Damage).count();
    assert_eq!(damage, 2, "{faults:#?}");
    for (path, bytes) in [(b, &originals[1]), (a, &originals[0])] {
        fs::write(path, bytes).unwrap();
    }
}

#[test]
fn a_torn_tail_is_noted_and_is_no_damage() {
    let db = database();
    let logs = db.logs();
    let (path, at) = logs
        .iter()
        .filter_map(|path| {
            let last = *batches(&fs::read(path).unwrap()).last()?;
            Some((path.clone(), last))
        })
        .next_back()
        .unwrap();
    let mut bytes = fs::read(&path).unwrap();
    bytes[at + 64] ^= 1;
    fs::write(&path, &bytes).unwrap();
    let (findings, _) = db.check();
    assert_eq!(findings.len(), 1, "{findings:#?}");
    assert_eq!(findings[0].kind, Kind::Note);
    assert_eq!(
        findings[0].place,
        Place::file(&file_name(&path)).at(at as u64)
    );
    // And so the next start says.
    db.open().close().unwrap();
}

#[test]
fn missing_and_cut_log_files_are_told() {
    let db = database();
    for n in 0..4u8 {
        let engine = db.open();
        let mut txn = begin(&engine);
        txn.put(db.store, &[n], &[n; 40 << 10]).unwrap();
        commit(txn);
        engine.close().unwrap();
    }
    assert_eq!(db.check().0, []);
    let logs = db.logs();
    let logs: Vec<_> = logs.iter().filter(|p| p.extension().is_some()).collect();
    assert!(logs.len() > 2);
    for (n, path) in logs[..logs.len() - 1].iter().enumerate() {
        let bytes = fs::read(path).unwrap();
        for len in [0, 4096, bytes.len() - 1] {
            let faults = damaged(&db, path, &bytes, |b| b.truncate(len));
            let damage = first_damage(&faults);
            assert_eq!(
                damage.place.file.as_deref(),
                Some(&*file_name(path)),
                "{faults:#?}"
            );
        }
        fs::remove_file(path).unwrap();
        let faults = db.faults();
        let what = &first_damage(&faults).what;
        match n {
            0 => assert!(
                what.starts_with("the log before this file is missing"),
                "{what}"
            ),
            _ => assert!(what.contains(&file_name(path)), "{what}"),
        }
        fs::write(path, bytes).unwrap();
    }
}
