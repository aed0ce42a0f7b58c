//! Imports that are stopped: by a cancel, by a failure after the first byte was written, by a kill.

use std::sync::atomic::{AtomicUsize, Ordering};

use heliosdb_kernel::dump::import;

use super::*;

/// Does something when phase number `at` begins, and counts the phases.
struct AtPhase<F: Fn() + Send + Sync> {
    at: usize,
    begun: AtomicUsize,
    act: F,
}

impl<F: Fn() + Send + Sync> Progress for AtPhase<F> {
    fn begin(&self, _phase: &str, _total: Option<u64>) {
        if self.begun.fetch_add(1, Ordering::SeqCst) == self.at {
            (self.act)();
        }
    }

    fn advance(&self, _amount: u64) {}

    fn end(&self) {}
}

/// Runs the import again and again, acting at the first phase, the second, and so on; the number of
/// imports that failed.
fn at_every_phase(
    place: &Place,
    target: &str,
    options: impl Fn() -> ImportOptions<'static>,
    act: impl Fn(&ImportOptions<'_>) + Send + Sync,
    check: impl Fn(),
) -> usize {
    let mut failed = 0;
    for at in 0.. {
        let options = options();
        let progress = AtPhase {
            at,
            begun: AtomicUsize::new(0),
            act: || act(&options),
        };
        let (file, path) = (place.path("world.dump"), place.path(target));
        match import(&file, &path, &options, &progress) {
            Err(error) => {
                let left = matches!(error, ImportError::Leftovers { .. });
                assert!(!left, "phase {at}: {error}");
                failed += 1;
                check();
            }
            Ok(_) if progress.begun.into_inner() <= at => return failed,
            Ok(_) => {
                // It came too late to matter; the next round needs a fresh target.
                fs::remove_dir_all(&path).unwrap();
            }
        }
    }
    failed
}

#[test]
fn a_cancel_in_any_phase_leaves_nothing() {
    let place = Place::with_world();
    let canceled = at_every_phase(
        &place,
        "new/er",
        || ImportOptions {
            page: Some("page.html"),
            ..ImportOptions::new(&[], "full")
        },
        |options| options.interrupt.cancel(),
        || assert!(!place.path("new").exists()),
    );
    assert!(canceled >= 5, "{canceled}");
    assert!(place.verify("world.dump", "new/er").is_equal());
}

#[test]
fn a_cancel_leaves_an_operators_files() {
    let place = Place::with_world();
    let target = place.path("own");
    let prepare = || {
        fs::create_dir_all(target.join("plugins")).unwrap();
        fs::write(target.join("heliosdb.toml"), "[server]\n").unwrap();
    };
    prepare();
    let canceled = at_every_phase(
        &place,
        "own",
        || {
            prepare();
            ImportOptions::new(&[], "full")
        },
        |options| options.interrupt.cancel(),
        || assert_eq!(names(&target), ["heliosdb.toml", "plugins"]),
    );
    assert!(canceled >= 5, "{canceled}");
    assert_eq!(
        fs::read_to_string(target.join("heliosdb.toml")).unwrap(),
        "[server]\n"
    );
}

/// Acts when the first phase whose name begins so begins.
struct AtName<F: Fn() + Send + Sync> {
    name: &'static str,
    act: F,
}

impl<F: Fn() + Send + Sync> Progress for AtName<F> {
    fn begin(&self, phase: &str, _total: Option<u64>) {
        if phase.starts_with(self.name) {
            (self.act)();
        }
    }

    fn advance(&self, _amount: u64) {}

    fn end(&self) {}
}

/// The import of the world, disturbed; it must fail, and leave nothing.
fn disturbed(place: &Place, name: &'static str, act: impl Fn() + Send + Sync) -> ImportError {
    let progress = AtName { name, act };
    let options = ImportOptions::new(&[], "full");
    let (file, target) = (place.path("world.dump"), place.path("target"));
    let error = import(&file, &target, &options, &progress)
        .map(drop)
        .unwrap_err();
    assert!(!matches!(error, ImportError::Leftovers { .. }), "{error}");
    assert!(!target.exists(), "{error}");
    error
}

/// Every bit of every byte.
fn invert(file: &Path) {
    let inverted: Vec<u8> = fs::read(file).unwrap().iter().map(|b| !b).collect();
    fs::write(file, inverted).unwrap();
}

/// A dump was whole when it was checked, and is not when its tables are read.
#[test]
fn damage_that_comes_late_is_found() {
    let place = Place::with_world();
    let dump = place.path("world.dump");
    let error = disturbed(&place, "loading tables", || invert(&dump));
    assert!(
        matches!(&error, ImportError::Dump(error) if error.is_damage()),
        "{error}"
    );
    invert(&dump);
    place.import("world.dump", "target").unwrap();
}

/// What was written is read again from the disk, so a disk that does not keep it is found out.
#[test]
fn a_disk_that_does_not_keep_what_it_is_given_is_found() {
    let place = Place::with_world();
    let segments = place.path("target/segments");
    let error = disturbed(&place, "comparing tables", || {
        for name in names(&segments) {
            invert(&segments.join(name));
        }
    });
    assert!(error.to_string().contains("is damaged"), "{error}");
    place.import("world.dump", "target").unwrap();
}

/// A process that is killed leaves what it had written, and the mark that says so. Simulated by a copy
/// of the target, taken while the import was at work.
#[test]
fn a_killed_import_is_run_again() {
    let place = Place::with_world();
    let target = place.path("target");
    let phases = AtomicUsize::new(0);
    for at in 0.. {
        let killed = place.path("killed");
        let progress = AtPhase {
            at,
            begun: AtomicUsize::new(0),
            act: || {
                if target.exists() {
                    copy(&target, &killed);
                }
            },
        };
        let options = ImportOptions::new(&[], "full");
        import(&place.path("world.dump"), &target, &options, &progress).unwrap();
        fs::remove_dir_all(&target).unwrap();
        if progress.begun.into_inner() <= at {
            break;
        }
        if !killed.exists() {
            continue;
        }
        phases.fetch_add(1, Ordering::SeqCst);
        assert!(names(&killed).contains(&"import.pending".to_owned()));
        let refused = Database::open(&killed).map(drop).unwrap_err().to_string();
        assert!(
            refused.contains("an import into it has not finished"),
            "{refused}"
        );
        place.import("world.dump", "killed").unwrap();
        assert!(place.verify("world.dump", "killed").is_equal());
        assert_eq!(names(&killed), ["lock", "segments", "wal"]);
        fs::remove_dir_all(&killed).unwrap();
    }
    let phases = phases.into_inner();
    assert!(phases >= 4, "{phases}");
}

/// What another import left is cleaned up to the last file, an operator's settings excepted.
#[test]
fn what_an_import_left_goes_and_nothing_else() {
    let place = Place::with_world();
    let target = place.path("target");
    for directory in ["wal", "segments", "load", "plugins"] {
        fs::create_dir_all(target.join(directory)).unwrap();
    }
    for file in [
        "wal/0000000000000000.wal",
        "segments/1.seg",
        "load/1.run",
        "plugins.lock",
        "plugins.starting",
        "lock",
    ] {
        fs::write(target.join(file), "what is this").unwrap();
    }
    fs::write(target.join("heliosdb.toml"), "[server]\n").unwrap();
    fs::write(target.join("import.pending"), place.marker("world.dump")).unwrap();
    place.import("world.dump", "target").unwrap();
    assert_eq!(
        names(&target),
        ["heliosdb.toml", "lock", "plugins", "segments", "wal"]
    );
    assert!(place.verify("world.dump", "target").is_equal());
    let segments = names(&target.join("segments"));
    assert!(!segments.contains(&"1.seg".to_owned()), "{segments:?}");
}

/// A file by the marker's name that no import wrote to its end proves nothing: a database beside it stays
/// as it is, and opens when the file is gone.
#[test]
fn a_marker_that_is_not_whole_gives_no_database_away() {
    let place = Place::with_world();
    let target = place.path("target");
    let db = full(&target);
    db.execute("CREATE TABLE mine (a int)").unwrap();
    db.close().unwrap();
    let whole = place.marker("world.dump");
    let half = &whole[..whole.len() / 2];
    for marker in [
        "",
        "format = 1\n",
        half,
        &whole.replace("made_directories = 1", "made_directories = 2"),
    ] {
        fs::write(target.join("import.pending"), marker).unwrap();
        let before = contents(&target);
        let error = place.import("world.dump", "target").unwrap_err();
        let said = error.to_string();
        assert!(
            said.contains("has a database") && said.contains("import.pending is damaged"),
            "{said}"
        );
        assert!(contents(&target) == before, "{said}");
    }
    fs::remove_file(target.join("import.pending")).unwrap();
    let db = full(&target);
    assert_eq!(rows(&db, "SELECT count(*) FROM mine"), ["0"]);
    db.close().unwrap();
}

/// A crash while the marker itself was made leaves half of one, and nothing that it would speak of.
#[test]
fn half_a_marker_alone_is_in_nobodys_way() {
    let place = Place::with_world();
    let whole = place.marker("world.dump");
    for (number, marker) in ["", &whole[..whole.len() / 2], &whole].iter().enumerate() {
        for name in ["import.pending", "import.pending.new"] {
            let target = format!("{name}-{number}");
            let path = place.path(&target);
            fs::create_dir_all(path.join("plugins")).unwrap();
            fs::write(path.join("heliosdb.toml"), "[server]\n").unwrap();
            fs::write(path.join("lock"), "").unwrap();
            fs::write(path.join(name), marker).unwrap();
            place.import("world.dump", &target).unwrap();
            assert!(place.verify("world.dump", &target).is_equal());
            assert!(!names(&path).iter().any(|name| name.starts_with("import.")));
        }
    }
}

/// The settings that a killed import had made from its dump are not taken for an operator's.
#[test]
fn settings_of_a_killed_import_are_replaced() {
    let place = Place::new();
    for (name, text) in [("one", "[memory]\n"), ("two", "[server]\n")] {
        let config = Config::parse(text, "heliosdb.toml").unwrap();
        let db = Database::open_with(place.path(name), &config).unwrap();
        place.export(&db, &format!("{name}.dump"));
        db.close().unwrap();
    }
    place.import("one.dump", "target").unwrap();
    let target = place.path("target");
    let kept = || fs::read_to_string(target.join("heliosdb.toml")).unwrap();
    assert_eq!(kept(), "[memory]\n");
    // The kill came between the settings and the end.
    let marker = place.marker("one.dump");
    fs::write(target.join("import.pending"), &marker).unwrap();
    place.import("two.dump", "target").unwrap();
    assert_eq!(kept(), "[server]\n");
    assert!(!target.join("heliosdb.toml.imported").exists());

    // Had somebody changed them meanwhile, they would be an operator's.
    fs::write(target.join("heliosdb.toml"), "[storage]\n").unwrap();
    fs::write(target.join("import.pending"), &marker).unwrap();
    place.import("two.dump", "target").unwrap();
    assert_eq!(kept(), "[storage]\n");
    assert!(target.join("heliosdb.toml.imported").exists());
}

/// The page is whole before there is a database, so whoever finds one finds the other. Killed in between,
/// the next import takes it away.
#[test]
fn the_page_is_there_before_the_database() {
    let place = Place::with_world();
    let (target, killed) = (place.path("target"), place.path("killed"));
    let seen = |report: &Report| {
        let all = ["import.pending", "lock", "page.html", "segments", "wal"];
        assert_eq!(names(&target), all);
        let page = fs::read_to_string(target.join("page.html")).unwrap();
        assert_eq!(page, report.to_html());
        copy(&target, &killed);
    };
    let options = ImportOptions {
        page: Some("page.html"),
        verified: Some(&seen),
        ..ImportOptions::new(&[], "full")
    };
    let report = place.import_with("world.dump", "target", &options).unwrap();
    assert_eq!(report.page_problem, None);
    assert_eq!(names(&target), ["lock", "page.html", "segments", "wal"]);
    place.import("world.dump", "killed").unwrap();
    assert_eq!(names(&killed), ["lock", "segments", "wal"]);
    // A finished one is nobody's to take away.
    fs::remove_dir_all(target.join("wal")).unwrap();
    fs::remove_dir_all(target.join("segments")).unwrap();
    let error = place.import("world.dump", "target").unwrap_err();
    assert!(
        error.to_string().contains("it has \"page.html\""),
        "{error}"
    );
}

/// An import that did everything else is not failed by it.
#[test]
fn a_page_that_cannot_be_written_is_said_and_no_more() {
    let place = Place::with_world();
    let target = place.path("target");
    let in_the_way = target.join("import.page.new");
    let progress = AtName {
        name: "close",
        act: || fs::create_dir(&in_the_way).unwrap(),
    };
    let options = ImportOptions {
        page: Some("page.html"),
        ..ImportOptions::new(&[], "full")
    };
    let file = place.path("world.dump");
    let report = import(&file, &target, &options, &progress).unwrap();
    assert!(report.page_problem.is_some());
    let text = report.to_text();
    assert!(text.contains("the report is not on a page"), "{text}");
    assert!(!target.join("page.html").exists());
    assert!(place.verify("world.dump", "target").is_equal());
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        match from.is_dir() {
            true => copy(&from, &to),
            false => drop(fs::copy(&from, &to).unwrap()),
        }
    }
}
