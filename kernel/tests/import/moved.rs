//! What an import makes of a dump: the same database, with its past, at another place.

use std::ops::Bound;

use heliosdb_storage::ReadView;
use heliosdb_storage::ids::{CollectionId, Ts};
use heliosdb_storage::view::RowVersions;

use super::*;

const QUERIES: [&str; 6] = [
    "SELECT * FROM geo.city ORDER BY id",
    "SELECT * FROM geo.country ORDER BY code",
    "SELECT * FROM geo.big ORDER BY name",
    "SELECT name FROM geo.city WHERE people = 717711",
    "SELECT relname, relkind FROM pg_class WHERE relnamespace <> 11 AND oid >= 16384 ORDER BY relname",
    "SELECT rolname, rolcanlogin FROM pg_roles ORDER BY rolname",
];

#[test]
fn a_dump_becomes_the_same_database() {
    let place = Place::with_world();
    let report = place.import("world.dump", "full").unwrap();
    assert!(report.is_equal(), "{}", report.to_text());
    let city = report.tables.iter().find(|t| t.name == "geo.city").unwrap();
    assert_eq!((city.rows, city.versions), (3, 6));
    assert!(city.history_times > 0 && city.indexes == 2, "{city:?}");
    let (old, new) = (place.open("lite"), full(&place.path("full")));
    for query in QUERIES {
        assert_eq!(rows(&old, query), rows(&new, query), "{query}");
    }
    // Both go on from the same state, and the rules still hold.
    for db in [&old, &new] {
        db.execute("INSERT INTO geo.city (country, name) VALUES ('NO', 'Moss')")
            .unwrap();
        let refused = [
            "INSERT INTO geo.country VALUES ('NO', 'again')",
            "INSERT INTO geo.city (country, name) VALUES ('SE', 'Lund')",
            "INSERT INTO geo.city (name, people) VALUES ('Lund', -1)",
        ];
        for sql in refused {
            db.execute(sql).unwrap_err();
        }
    }
    let last = "SELECT id, mayor FROM geo.city ORDER BY id DESC LIMIT 1";
    assert_eq!(rows(&new, last), ["5|nobody"]);
    let sequence = "SELECT last_value, is_called FROM counter";
    assert_eq!(rows(&new, sequence), ["105|t"]);
    assert_eq!(rows(&new, "SELECT nextval('counter')"), ["110"]);
    assert_eq!(rows(&new, "SHOW helios.edition"), ["full"]);
    let imports = rows(&new, "SELECT source_edition, rows FROM helios_imports");
    assert_eq!(imports, ["lite|6"]);
    new.close().unwrap();
    old.close().unwrap();
    assert_eq!(names(&place.path("full")), ["lock", "segments", "wal"]);
}

/// A database knows since when it has a past.
#[test]
fn imports_say_how_far_back_they_go() {
    let place = Place::with_world();
    let db = place.open("lite");
    let mut out = File::create(place.path("present.dump")).unwrap();
    let options = ExportOptions {
        history: false,
        ..ExportOptions::default()
    };
    db.export(&mut out, &options, &Silent).unwrap();
    db.close().unwrap();
    for (dump, has_past) in [("world.dump", "t"), ("present.dump", "f")] {
        let target = format!("{dump}.full");
        place.import(dump, &target).unwrap();
        let db = full(&place.path(&target));
        let past = "SELECT oldest_ts < snapshot_ts FROM helios_imports";
        assert_eq!(rows(&db, past), [has_past], "{dump}");
        db.close().unwrap();
    }
}

/// Every commit that the dump knows of gives the same rows through either engine.
#[test]
fn the_past_comes_along() {
    let place = Place::with_world();
    place.import("world.dump", "full").unwrap();
    let engine = |name: &str| {
        let disk = Arc::new(Disk::open(place.path(name)).unwrap());
        Engine::open(disk, Options::default()).unwrap()
    };
    let (old, new) = (engine("lite"), engine("full"));
    let latest = old.latest_view();
    let mut times = std::collections::BTreeSet::new();
    let tables = latest.tables_ever().unwrap();
    for table in &tables {
        for which in [RowVersions::Current, RowVersions::Superseded] {
            for batch in latest.row_versions(&table.def, which).unwrap() {
                let batch = batch.unwrap();
                for name in ["_begin", "_end"] {
                    let Some(column) = batch.column_by_name(name) else {
                        continue;
                    };
                    let column: &arrow_array::UInt64Array = column.as_any().downcast_ref().unwrap();
                    times.extend(column.iter().flatten());
                }
            }
        }
    }
    assert!(times.len() >= 4, "{times:?}");
    let all: Vec<u64> = times.iter().flat_map(|t| [t - 1, *t]).collect();
    for ts in all {
        let (a, b) = (old.view_at(Ts(ts)).unwrap(), new.view_at(Ts(ts)).unwrap());
        for collection in [0, 16] {
            let collection = CollectionId(collection);
            let read = |view: &ReadView| {
                let range = view.range(collection, Bound::Unbounded, Bound::Unbounded);
                range.unwrap().map(|e| e.unwrap()).collect::<Vec<_>>()
            };
            assert_eq!(read(&a), read(&b), "catalog {collection} AS OF {ts}");
        }
        for table in &tables {
            let read = |view: &ReadView| {
                let batches = view.row_versions(&table.def, RowVersions::Current).unwrap();
                let mut rows = Vec::new();
                for batch in batches {
                    let batch = batch.unwrap();
                    let row = |i| format!("{:?}", batch.slice(i, 1).columns());
                    rows.extend((0..batch.num_rows()).map(row));
                }
                rows
            };
            assert_eq!(read(&a), read(&b), "table {} AS OF {ts}", table.def.id);
        }
    }
}

/// Entries that do not fit into the memory they may have go through files, which are gone in the end.
#[test]
fn indexes_may_be_larger_than_memory() {
    let place = Place::new();
    let db = place.open("lite");
    db.execute(
        "CREATE TABLE t (a int PRIMARY KEY, b text); CREATE INDEX t_b ON t (b, a DESC); \
         INSERT INTO t SELECT n, md5(n::text) FROM generate_series(1, 20000) n",
    )
    .unwrap();
    place.export(&db, "d");
    db.close().unwrap();
    let sorted = std::sync::atomic::AtomicBool::new(false);
    let target = place.path("full");
    struct Look<'a>(&'a Path, &'a std::sync::atomic::AtomicBool);
    impl dump::Progress for Look<'_> {
        fn begin(&self, _phase: &str, _total: Option<u64>) {
            if self.0.join("load").exists() {
                self.1.store(true, std::sync::atomic::Ordering::Relaxed);
            }
        }
        fn advance(&self, _amount: u64) {}
        fn end(&self) {}
    }
    let options = ImportOptions {
        memory_bytes: 64 << 10,
        ..ImportOptions::new(&[], "full")
    };
    let look = Look(&target, &sorted);
    let report = dump::import(&place.path("d"), &target, &options, &look).unwrap();
    assert!(sorted.into_inner(), "nothing went through files");
    assert_eq!(
        (report.tables[0].rows, report.tables[0].indexes),
        (20_000, 2)
    );
    assert_eq!(names(&target), ["lock", "segments", "wal"]);
    let db = full(&target);
    let found = "SELECT a FROM t WHERE b = md5('777')";
    assert_eq!(rows(&db, found), ["777"]);
    db.close().unwrap();
}

#[test]
fn a_dry_run_does_everything_and_keeps_nothing() {
    let place = Place::with_world();
    let options = ImportOptions {
        dry_run: true,
        ..ImportOptions::new(&[], "full")
    };
    let report = place.import_with("world.dump", "a/b", &options).unwrap();
    assert!(report.is_equal());
    assert!(report.target.bytes > 0);
    assert!(report.to_text().contains("nothing was kept"));
    assert!(!place.path("a").exists());
    // What was there stays, and is all there is.
    fs::create_dir(place.path("c")).unwrap();
    fs::write(place.path("c/heliosdb.toml"), "[server]\n").unwrap();
    place.import_with("world.dump", "c", &options).unwrap();
    assert_eq!(names(&place.path("c")), ["heliosdb.toml"]);
}

#[test]
fn settings_come_along_unless_there_are_others() {
    let place = Place::new();
    let text = "# by hand\n[memory]\nbudget = \"64MB\"\n";
    let config = Config::parse(text, "heliosdb.toml").unwrap();
    let db = Database::open_with(place.path("lite"), &config).unwrap();
    place.export(&db, "d");
    db.close().unwrap();
    let kept = |target: &str, name: &str| fs::read_to_string(place.path(target).join(name));

    place.import("d", "new").unwrap();
    assert_eq!(kept("new", "heliosdb.toml").unwrap(), text);

    fs::create_dir(place.path("own")).unwrap();
    fs::write(place.path("own/heliosdb.toml"), "[server]\n").unwrap();
    let report = place.import("d", "own").unwrap();
    assert_eq!(kept("own", "heliosdb.toml").unwrap(), "[server]\n");
    assert_eq!(kept("own", "heliosdb.toml.imported").unwrap(), text);
    assert!(report.notes[0].contains("heliosdb.toml.imported"));
    assert!(place.verify("d", "own").is_equal());

    // Those that an operator names go before the dump's, and the dump's do not take their place for
    // the first start without them.
    fs::write(place.path("other.toml"), "[memory]\n").unwrap();
    let other = place.path("other.toml");
    let options = ImportOptions {
        config: Some(&other),
        ..ImportOptions::new(&[], "full")
    };
    let report = place.import_with("d", "named", &options).unwrap();
    assert!(!place.path("named/heliosdb.toml").exists());
    assert_eq!(kept("named", "heliosdb.toml.imported").unwrap(), text);
    assert!(
        report.notes[0].ends_with("in heliosdb.toml.imported; others were named"),
        "{:?}",
        report.notes
    );
}

/// A setting of a plugin that is not here, or a path of another machine, does not stop an import.
#[test]
fn settings_that_do_not_fit_are_kept_aside() {
    let place = Place::new();
    let text = "[plugins]\ndirectory = \"plugins-of-another-machine\"\n";
    let config = Config {
        text: Some(text.to_owned()),
        ..Config::default()
    };
    let db = Database::open_with(place.path("lite"), &config).unwrap();
    place.export(&db, "d");
    db.close().unwrap();
    let report = place.import("d", "new").unwrap();
    assert!(
        report.notes[0].contains("not used: heliosdb.toml:2"),
        "{:?}",
        report.notes
    );
    assert!(!place.path("new/heliosdb.toml").exists());
    let kept = fs::read_to_string(place.path("new/heliosdb.toml.imported")).unwrap();
    assert_eq!(kept, text);
    full(&place.path("new")).close().unwrap();
}

/// What belongs to a plugin that is away waits for it, when that was asked for.
#[test]
fn state_of_a_plugin_that_is_away_may_come_along() {
    let place = Place::new();
    place.open("lite").close().unwrap();
    place.leave_store("lite", "gone", 7);
    let db = place.open("lite");
    place.export(&db, "d");
    db.close().unwrap();
    let options = ImportOptions {
        keep_orphans: true,
        ..ImportOptions::new(&[], "full")
    };
    let report = place.import_with("d", "full", &options).unwrap();
    let [store] = report.stores.as_slice() else {
        panic!("{:?}", report.stores);
    };
    assert_eq!(store.outcome, dump::report::StoreOutcome::Orphaned);
    assert_eq!((store.entries, store.entries_before), (7, 7));
    assert!(report.notes.iter().any(|note| note.contains("gone")));
    let db = full(&place.path("full"));
    let stores = rows(
        &db,
        "SELECT plugin, store, version, state, entries FROM helios_plugin_stores",
    );
    assert_eq!(stores, ["gone|things|3|orphaned|7"]);
    db.close().unwrap();
}

#[test]
fn the_report_is_a_page_a_text_and_json() {
    let place = Place::new();
    let db = place.open("lite");
    db.execute("CREATE TABLE \"<b>&\" (a int); INSERT INTO \"<b>&\" VALUES (1)")
        .unwrap();
    place.export(&db, "d");
    db.close().unwrap();
    let report = place.import("d", "full").unwrap();
    let text = report.to_text();
    for line in ["public.\"<b>&\"", "1 row imported", "load tables"] {
        assert!(text.contains(line), "{text}");
    }
    let page = report.to_html();
    assert!(page.starts_with("<!DOCTYPE html>"));
    assert!(page.contains("public.&quot;&lt;b&gt;&amp;&quot;"), "{page}");
    for forbidden in ["<script", "http:", "https:", "<b>&"] {
        assert!(!page.contains(forbidden), "{forbidden}");
    }
    let json: serde_json::Value = serde_json::from_str(&report.to_json().unwrap()).unwrap();
    assert_eq!(json["equal"], true);
    assert_eq!(json["action"], "import");
    assert_eq!(json["tables"][0]["verdict"], "equal");
}

/// Enums and domains are the new database's as well, with labels that came between others, and indexes
/// whose conditions have labels.
#[test]
fn types_of_users_move() {
    let place = Place::new();
    let db = place.open("lite");
    db.execute(
        "CREATE SCHEMA s; CREATE TYPE s.mood AS ENUM ('sad', 'happy'); \
         CREATE DOMAIN score AS int CHECK (VALUE < 10); \
         CREATE TABLE t (id int PRIMARY KEY, m s.mood DEFAULT 'happy', p score); \
         CREATE INDEX t_m ON t (m); CREATE INDEX t_sad ON t (id) WHERE m = 'sad'; \
         INSERT INTO t VALUES (1, 'sad', 1), (2, DEFAULT, 2); \
         ALTER TYPE s.mood ADD VALUE 'ok' AFTER 'sad'; INSERT INTO t VALUES (3, 'ok', 3)",
    )
    .unwrap();
    place.export(&db, "d");
    db.close().unwrap();
    place.import("d", "full").unwrap();
    assert!(place.verify("d", "full").is_equal());
    let db = full(&place.path("full"));
    let ordered = "SELECT id FROM t WHERE m >= 'sad' ORDER BY m";
    assert_eq!(rows(&db, ordered), ["1", "3", "2"]);
    assert_eq!(
        rows(&db, "SELECT id FROM t WHERE m = 'sad' AND id > 0"),
        ["1"]
    );
    db.execute("ALTER TYPE s.mood ADD VALUE 'meh' BEFORE 'ok'; INSERT INTO t VALUES (4, 'meh', 4)")
        .unwrap();
    assert_eq!(rows(&db, ordered), ["1", "4", "3", "2"]);
    assert!(db.execute("INSERT INTO t VALUES (5, 'ok', 10)").is_err());
    db.close().unwrap();
}
