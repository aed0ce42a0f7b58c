//! What is refused before anything is written: the target is as it was, byte for byte.

use super::*;

/// Imports into a directory that is not there and into one with settings; neither changes.
fn refused(place: &Place, file: &str, options: &ImportOptions<'_>) -> ImportError {
    let settled = place.path("settled");
    fs::create_dir_all(settled.join("plugins")).unwrap();
    fs::write(settled.join("heliosdb.toml"), "[server]\n").unwrap();
    let before = contents(&settled);
    let error = place.import_with(file, "settled", options).unwrap_err();
    assert_eq!(contents(&settled), before);
    let again = place.import_with(file, "not/there", options).unwrap_err();
    assert_eq!(again.to_string(), error.to_string());
    assert!(!place.path("not").exists());
    error
}

fn into_full() -> ImportOptions<'static> {
    ImportOptions::new(&[], "full")
}

#[test]
fn a_damaged_dump_is_refused() {
    let place = Place::with_world();
    let whole = fs::read(place.path("world.dump")).unwrap();
    let mut damaged = whole.clone();
    damaged[whole.len() / 2] ^= 1;
    fs::write(place.path("damaged"), &damaged).unwrap();
    fs::write(place.path("short"), &whole[..whole.len() - 1]).unwrap();
    fs::write(place.path("long"), [whole.as_slice(), b"x"].concat()).unwrap();
    fs::write(place.path("none"), b"").unwrap();
    for file in ["damaged", "short", "long", "none"] {
        let error = refused(&place, file, &into_full());
        let ImportError::Dump(inner) = &error else {
            panic!("{file}: {error}");
        };
        assert!(inner.is_damage(), "{file}: {error}");
        assert!(error.explain().contains("HINT:  Copy the dump again"));
    }
    let missing = refused(&place, "nowhere", &into_full());
    assert!(missing.to_string().contains("cannot open"), "{missing}");
}

#[test]
fn full_does_not_go_back_to_lite() {
    let place = Place::new();
    let db = full(&place.path("full"));
    place.export(&db, "d");
    db.close().unwrap();
    let error = refused(&place, "d", &ImportOptions::new(&[], "lite"));
    assert_eq!(
        error.to_string(),
        "a dump of HeliosDB full cannot be imported into HeliosDB lite"
    );
    place.import("d", "other").unwrap();
}

#[test]
fn every_missing_plugin_is_listed() {
    let place = Place::new();
    place.open("lite").close().unwrap();
    place.leave_store("lite", "gone", 1);
    place.leave_store("lite", "lost", 1);
    let db = place.open("lite");
    place.export(&db, "d");
    db.close().unwrap();
    let error = refused(&place, "d", &into_full());
    assert!(matches!(error, ImportError::Plugins(_)), "{error}");
    let said = error.explain();
    assert!(said.contains("not ready here: gone, lost"), "{said}");
    for plugin in ["gone", "lost"] {
        let line =
            format!("plugin \"{plugin}\": it is not here; the dump has store things version 3");
        assert!(said.contains(&line), "{said}");
    }
}

/// Somebody who has put a plugin there, and sees that it is not, is told what is wrong with the file.
#[test]
fn a_plugin_file_that_cannot_be_read_is_named() {
    let place = Place::new();
    place.open("lite").close().unwrap();
    place.leave_store("lite", "gone", 1);
    let db = place.open("lite");
    place.export(&db, "d");
    db.close().unwrap();
    fs::create_dir_all(place.path("target/plugins")).unwrap();
    fs::write(place.path("target/plugins/libgone.so"), "half a file").unwrap();
    let said = place.import("d", "target").map(drop).unwrap_err().explain();
    for part in [
        "plugin \"gone\": it is not here, unless in a file that cannot be read: ",
        "libgone.so\": ",
        "; the dump has store things version 3",
    ] {
        assert!(said.contains(part), "{said}");
    }
}

/// What is not there has no parent to go up to; making it would leave it behind.
#[test]
fn a_target_beyond_a_directory_that_is_not_there_is_refused() {
    let place = Place::with_world();
    let before = names(place.directory.path());
    for target in ["nox/../y", "nox/..", "nox/a/../../y"] {
        for dry_run in [true, false] {
            let options = ImportOptions {
                dry_run,
                ..into_full()
            };
            let error = place.import_with("world.dump", target, &options);
            let said = error.map(drop).unwrap_err().to_string();
            assert!(said.ends_with("nox\" does not exist"), "{said}");
            assert_eq!(names(place.directory.path()), before);
        }
    }
    fs::create_dir(place.path("here")).unwrap();
    place.import("world.dump", "here/../y").unwrap();
}

#[test]
fn a_directory_with_something_in_it_is_refused() {
    let place = Place::with_world();
    full(&place.path("used")).close().unwrap();
    fs::create_dir(place.path("mine")).unwrap();
    fs::write(place.path("mine/thesis.tex"), "x").unwrap();
    fs::write(place.path("file"), "x").unwrap();
    for (target, why) in [
        ("used", "it has a database"),
        ("mine", "it is not empty: it has \"thesis.tex\""),
        ("file", "it is a file, not a directory"),
    ] {
        let before = contents(&place.path(target));
        let error = place.import("world.dump", target).unwrap_err();
        assert!(error.to_string().ends_with(why), "{error}");
        assert_eq!(contents(&place.path(target)), before);
    }
    // A foreign file beside what an import left is still somebody's.
    for marker in ["format = 1\n", &place.marker("world.dump")] {
        fs::write(place.path("mine/import.pending"), marker).unwrap();
        let error = place.import("world.dump", "mine").unwrap_err();
        assert!(error.to_string().contains("thesis.tex"), "{error}");
        assert!(place.path("mine/thesis.tex").exists());
    }
}

#[test]
fn a_directory_that_somebody_uses_is_refused() {
    let place = Place::with_world();
    let target = place.path("busy");
    fs::create_dir(&target).unwrap();
    let disk = Disk::open(&target).unwrap();
    let lock = heliosdb_storage::io::Io::lock(&disk).unwrap();
    let error = place.import("world.dump", "busy").unwrap_err();
    assert!(error.to_string().contains("another process"), "{error}");
    assert_eq!(names(&target), ["lock"]);
    drop(lock);
    place.import("world.dump", "busy").unwrap();
}

/// An operator's mistake in settings that were asked for is one that the operator corrects.
#[test]
fn settings_that_were_named_must_be_right() {
    let place = Place::with_world();
    fs::write(place.path("wrong.toml"), "[sever]\n").unwrap();
    let wrong = place.path("wrong.toml");
    let options = ImportOptions {
        config: Some(&wrong),
        ..into_full()
    };
    let error = refused(&place, "world.dump", &options);
    assert!(
        error.to_string().contains("did you mean \"server\""),
        "{error}"
    );
}

/// No other file of the target can be taken for the page, nor the page for one of them.
#[test]
fn a_page_has_a_name_of_its_own() {
    let place = Place::with_world();
    for name in ["", ".html", "wal", "heliosdb.toml", "../page.html"] {
        let options = ImportOptions {
            page: Some(name),
            ..into_full()
        };
        let before = names(place.directory.path());
        let error = place.import_with("world.dump", "target", &options);
        let said = error.map(drop).unwrap_err().to_string();
        assert!(said.contains("cannot be the report in it"), "{said}");
        assert_eq!(names(place.directory.path()), before);
    }
}

/// Whoever imports once more, because nobody saw the end of it, hears that it is done.
#[test]
fn a_dump_that_is_there_already_is_told_from_another_database() {
    let place = Place::with_world();
    place.import("world.dump", "target").unwrap();
    let other = place.open("other");
    place.export(&other, "other.dump");
    other.close().unwrap();
    let before = contents(&place.path("target"));
    let error = place.import("world.dump", "target").unwrap_err();
    let said = error.explain();
    for part in [
        "world.dump\" is already imported into \"",
        "verify-migration",
        "helios_imports",
    ] {
        assert!(said.contains(part), "{said}");
    }
    let said = place.import("other.dump", "target").unwrap_err().explain();
    assert!(said.contains("it has a database"), "{said}");
    assert!(contents(&place.path("target")) == before);
    // Still so when it was used, and not while somebody has it.
    let db = full(&place.path("target"));
    db.execute("CREATE TABLE mine (a int)").unwrap();
    let said = place
        .import("world.dump", "target")
        .unwrap_err()
        .to_string();
    assert!(said.contains("it has a database"), "{said}");
    db.close().unwrap();
    let said = place
        .import("world.dump", "target")
        .unwrap_err()
        .to_string();
    assert!(said.contains("is already imported"), "{said}");
}
